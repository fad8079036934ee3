#!/bin/sh
# What a run refuses: exit status, one line that says what is wrong, and nothing changed.
# And how it ends when it is asked to, or when a rank dies.
set -eu
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/runs.sh"
export OMPI_MCA_odls_base_sigkill_timeout=0

law="--model $FIXTURES/law"
book 3000 1 >a.txt
book 3000 2 >b.txt

# everything: a hash of what is in a folder, names and contents.
everything() {
  (cd "$1" && find . -type f -exec sha256sum {} + | sort | sha256sum)
}

# no NAME PATTERN ARGUMENT...: refused on two ranks, and the folder `out` stays as it is.
no() {
  name=$1 words=$2
  shift 2
  before=$(everything out)
  # shellcheck disable=SC2086 # a list of words
  refused "$words" 2 "$@" </dev/null
  [ "$(everything out)" = "$before" ] || fail "$name: something was changed"
  passed "$name"
}

# --- inputs

mkdir out empty
mkfifo pipe
printf '\001\000\377\377' >beyond.bin
# shellcheck disable=SC2086 # lists of words
{
  no "no such input" "gone.txt" $law --output out/o.h5 a.txt gone.txt
  no "a folder without files" "empty" $law --output out/o.h5 empty
  no "a FIFO" "pipe" $law --output out/o.h5 pipe
  no "no such model" "gone" --model gone --output out/o.h5 a.txt
  no "text for a model of words" "tokenizer" --model "$FIXTURES/wt103" \
    --output out/o.h5 a.txt
  no "no folder for the output" "nowhere/o.h5" $law --output nowhere/o.h5 a.txt
}
if [ "$(id -u)" -ne 0 ]; then
  book 100 1 >closed.txt
  chmod 000 closed.txt
  # shellcheck disable=SC2086 # a list of words
  no "an input that may not be read" "closed.txt" $law --output out/o.h5 closed.txt
fi
[ "$(echo out/*)" = "out/*" ] || fail "something was made: $(echo out/*)"

# Found while reading: there is an output under way by then.
# shellcheck disable=SC2086 # a list of words
refused "beyond.bin.*65535" 2 $law --input-format u16 --output out/o.h5 beyond.bin
passed "a token beyond the vocabulary"
rm -f out/*

# Wrong usage: every rank ends with 2, one of them speaks.
said_by_all() {
  status=0
  # shellcheck disable=SC2086 # a list of words
  OMPI_MCA_orte_abort_on_non_zero_status=0 timeout -k 5 "$limit" $MPIRUN -n 3 sh -c '
    status=0
    "$0" "$@" || status=$?
    echo "status $status" >&2' "$LONGSPAN" run "$@" >said 2>&1 || status=$?
  [ $status -eq 0 ] || { cat said >&2 && fail "exit status $status: $*"; }
  [ "$(grep -c '^status 2$' said)" -eq 3 ] && [ "$(wc -l <said)" -eq 4 ] &&
    [ "$(grep -c '^longspan: ' said)" -eq 1 ] || { cat said >&2 && fail "$*"; }
}
# shellcheck disable=SC2086 # lists of words
{
  said_by_all $law --output out/o.h5 --colour a.txt
  said_by_all --model "$FIXTURES/law-same" --mem-len 0 --output out/o.h5 a.txt
}
[ "$(echo out/*)" = "out/*" ] || fail "something was made: $(echo out/*)"
passed "wrong usage"

# Processes that would each take themselves for the only one.
status=0
# shellcheck disable=SC2086 # a list of words
SLURM_STEP_NUM_TASKS=4 SLURM_STEP_ID=0 "$LONGSPAN" run $law --output out/o.h5 a.txt \
  >said 2>&1 || status=$?
[ $status -eq 1 ] && [ "$(wc -l <said)" -eq 1 ] && grep -q '^longspan: 4 processes' said ||
  { cat said >&2 && fail "singletons: exit status $status"; }
passed "singletons"

# --- outputs that are there

# shellcheck disable=SC2086 # a list of words
run 1 $law --output out/o.h5 a.txt
# shellcheck disable=SC2086 # lists of words
{
  no "an output that is there" "out/o.h5 exists.*--overwrite" $law --output out/o.h5 a.txt
  no "finished, another input" "input" $law --output out/o.h5 --resume b.txt
  before=$(everything out)
  run 2 $law --output out/o.h5 --resume a.txt
  [ "$(everything out)" = "$before" ] || fail "--resume of a finished run changed it"
  passed "--resume of a finished run"
}
rm -f out/*

head -c 3000 /dev/urandom >garbage.h5
for path in garbage.h5 gone.h5; do
  status=0
  "$LONGSPAN" info $path >said 2>&1 || status=$?
  [ $status -eq 1 ] && [ "$(wc -l <said)" -eq 1 ] && grep -q "^longspan: $path" said ||
    { cat said >&2 && fail "info $path: exit status $status"; }
done
passed "info of what is none of ours"

# --- being stopped

# Long enough to be met in the middle: waves of one panel.
i=0
while [ $i -lt 40 ]; do
  cat a.txt b.txt
  i=$((i + 1))
done >long.txt
slow="$law --wave-tokens 256 --write id,nll"
# shellcheck disable=SC2086 # a list of words
run 2 $law --output whole.h5 --write id,nll long.txt
whole=$(hash whole)

# begin FOLDER: a run in the background ($launcher); returns after its first commits.
begin() {
  # shellcheck disable=SC2086 # lists of words
  $MPIRUN -n 2 "$LONGSPAN" run --quiet $slow --output "$1/o.h5" long.txt \
    >began 2>&1 </dev/null &
  launcher=$!
  waited=0
  until [ -s "$1/o.h5.journal" ] && [ "$(wc -c <"$1/o.h5.journal")" -gt 2000 ]; do
    sleep 0.05
    waited=$((waited + 1))
    [ $waited -lt 600 ] || { cat began >&2 && fail "no commit in 30 s"; }
  done
}

# ended SECONDS: the exit status of the launcher, which must come by then.
ended() {
  waited=0
  while kill -0 $launcher 2>/dev/null; do
    sleep 0.1
    waited=$((waited + 1))
    [ $waited -lt $(($1 * 10)) ] || { kill -KILL $launcher; fail "no end in $1 s"; }
  done
  status=0
  wait $launcher || status=$?
}

# to_the_end FOLDER: --resume on three ranks, not from the beginning.
to_the_end() {
  "$LONGSPAN" info "$1/o.h5" >said
  grep -q '^  committed *[1-9]' said || { cat said >&2 && fail "nothing was committed"; }
  # shellcheck disable=SC2086 # a list of words
  run 3 $law --write id,nll --output "$1/o.h5" --resume long.txt
  [ "$(hash "$1/o")" = "$whole" ] || fail "other bytes"
  grep -q '"first_token": [1-9]' "$1/o.run.json" || fail "began anew"
  [ "$(cd "$1" && echo *)" = "o.h5 o.memory.h5 o.run.json" ] || fail "leaves $(ls "$1")"
}

begin out
kill -USR1 $launcher
ended 20
[ $status -eq 75 ] || { cat began >&2 && fail "SIGUSR1: exit status $status"; }
[ "$(grep -c '^longspan: stopped' began)" -eq 1 ] || { cat began >&2 && fail "SIGUSR1"; }
grep -q '"state": "stopped"' out/o.run.json || fail "SIGUSR1: o.run.json"

# shellcheck disable=SC2086 # lists of words
{
  no "under way" "--resume" $slow --output out/o.h5 long.txt
  no "another model" "\`model\`" --model "$FIXTURES/odd" --write id,nll \
    --output out/o.h5 --resume long.txt
  no "another input" "\`input\`" $slow --output out/o.h5 --resume b.txt
  no "another --segment" "\`segment\`" $slow --segment 32 --output out/o.h5 --resume \
    long.txt
  no "another --write" "\`write\`" $law --write id,nll,hidden --output out/o.h5 \
    --resume long.txt
}
mkdir moved
cp long.txt moved/long.txt
# shellcheck disable=SC2086 # a list of words
no "another path" "the name of document 0 (its path as given) was long.txt and is now \
moved/long.txt; nothing was changed" $slow --output out/o.h5 --resume moved/long.txt
cp a.txt out/o.h5
no "an output that came meanwhile" "o.h5: has come, or was changed" $slow \
  --output out/o.h5 --resume long.txt
rm out/o.h5
to_the_end out
rm -f out/*
passed "SIGUSR1"

# Another run of the same output while the first is writing it: suspended, or it might be
# done before the other has given up waiting.
begin out
# shellcheck disable=SC2046 # a list of words
kill -STOP $(ps -o pid= --ppid $launcher)
# shellcheck disable=SC2086 # a list of words
{
  refused "another run" 2 $slow --output out/o.h5 --resume long.txt </dev/null
  refused "another run" 1 $slow --output out/o.h5 --overwrite long.txt </dev/null
}
# shellcheck disable=SC2046 # a list of words
kill -CONT $(ps -o pid= --ppid $launcher)
passed "two runs of one output"

# A rank dies: the others do not wait for it.
victim=$(ps -o pid= --ppid $launcher | tail -1)
kill -KILL "$victim"
ended 10
[ $status -ne 0 ] && [ $status -ne 75 ] || fail "a rank died: exit status $status"
to_the_end out
rm -f out/*
passed "a rank that dies"

# The ranks of a run that was killed may still die when the next one begins: a process
# holds the journal for another second.
begin out
kill -KILL $launcher $(ps -o pid= --ppid $launcher)
wait $launcher || true
flock out/o.h5.journal sleep 1.5 &
sleep 0.1
# shellcheck disable=SC2086 # a list of words
run 2 $law --write id,nll --output out/o.h5 --resume long.txt
grep -q 'o.h5: another run still holds this output; waiting' said ||
  { cat said >&2 && fail "nothing was said while waiting"; }
wait
[ "$(hash out/o)" = "$whole" ] || fail "other bytes"
rm -f out/*
passed "--resume right after a kill"

# A second may pass before the first wave can begin.
for seconds in 1 2 4 8 16; do
  status=0
  # shellcheck disable=SC2086 # a list of words
  start 2 $slow --max-time $seconds --output out/o.h5 --resume long.txt >said 2>&1 \
    </dev/null || status=$?
  [ $status -eq 75 ] || { cat said >&2 && fail "--max-time: exit status $status"; }
  ! "$LONGSPAN" info out/o.h5 2>/dev/null | grep -q '^  committed *[1-9]' || break
done
to_the_end out
passed "--max-time"
