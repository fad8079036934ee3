#!/bin/sh
# A bit that flips on the disk is noticed, wherever it is: in the files of a run that was
# stopped, by --resume; in finished ones, by `verify`; in a snapshot, by --from-snapshot.
# What is refused stays as it is. LSP_SWEEP=full: many more places.
set -eu
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/runs.sh"
law="--model $FIXTURES/law"
flips=1
[ "${LSP_SWEEP-}" != full ] || flips=20
book 2100 1 >a.txt
book 900 2 >b.txt
texts="a.txt b.txt"

# flip FILE OFFSET BIT: changes it; once more, and the file is as it was.
flip() {
  byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
  bit=$((1 << $3))
  printf "\\$(printf %03o $((byte & bit ? byte - bit : byte + bit)))" |
    dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# places FIRST BYTES COUNT: lines "OFFSET BIT" within these bytes of a file.
places() {
  awk -v first="$1" -v bytes="$2" -v n="$3" 'BEGIN {
    for (i = 0; i < n; i++)
      print first + int((i + 0.37) * bytes / n), (3 * i + 1) % 8
  }'
}

# datasets FILE: lines "NAME OFFSET BYTES" of those that have any bytes.
datasets() {
  h5dump -pH "$1" | awk '
    /GROUP "/ { group = $2; gsub(/"/, "", group); group = group == "/" ? "" : "/" group }
    /DATASET "/ { name = $2; gsub(/"/, "", name) }
    /^ *SIZE [0-9]+$/ { size = $2 }
    /^ *OFFSET [0-9]+$/ { if (size > 0) print group "/" name, $2, size }'
}

# everything FOLDER: a hash of what is in it, names and contents.
everything() {
  (cd "$1" && sha256sum * | sha256sum)
}

options="$law --wave-tokens 512 --write id,nll,hidden,hidden:1 --snapshots documents"

# --- A run that was killed when all was committed and nothing was renamed

# attempt FOLDER AT: the run, killed before its call AT about the memory file (0: never).
attempt() {
  status=0
  # shellcheck disable=SC2086 # a list of words
  (
    export LD_PRELOAD="$IOFAULT" LSP_FAULT_PATH="o.memory.h5" LSP_FAULT_MODE=kill
    export LSP_FAULT_AT="$2" LSP_FAULT_TRACE_FILE="$work/trace"
    exec "$LONGSPAN" run --quiet $options --output "$1/o.h5" $texts
  ) >said 2>&1 </dev/null || status=$?
}

mkdir whole out
attempt whole 0
[ $status -eq 0 ] || complain "undisturbed: exit status $status"
whole=$(hash whole/o)
at=$(grep ' rename ' trace | tail -n 1 | cut -d ' ' -f 1)
attempt out "$at"
[ $status -eq 137 ] && [ -f out/o.h5.part ] && [ -f out/o.memory.h5.part ] ||
  complain "killed before call $at: exit status $status"
before=$(everything out)

# state NAME: if it is a state, how it is said that it is damaged.
state() {
  case $1 in
  */matrix* | */normalizer*) echo "/states/[0-9]*/${1##*/} (snapshot [0-9]*)" ;;
  esac
}

# found RANKS FILE OFFSET BIT NAME: --resume refuses, and changes nothing. A state is named.
found() {
  flip "$2" "$3" "$4"
  flipped=$(everything out)
  # shellcheck disable=SC2086 # a list of words
  refused "--resume refused.*$(state "$5").*checksum" "$1" $options --output out/o.h5 --resume \
    $texts </dev/null
  [ "$(everything out)" = "$flipped" ] || fail "$5: something was changed"
  flip "$2" "$3" "$4"
}

# sweep FILE COMMAND ARGUMENT...: a command for places in the whole file and in each of
# its datasets.
sweep() {
  file=$1 count=0
  shift
  {
    places 0 2048 $((2 * flips)) | sed 's/$/ front/'
    places 0 "$(wc -c <"$file")" $((2 * flips)) | sed 's/$/ somewhere/'
    command -v h5dump >/dev/null && datasets "$file" | while read -r name at bytes; do
      places "$at" "$bytes" $flips | sed "s|\$| $name|"
    done
  } >list
  while read -r at bit name; do
    "$@" "$file" "$at" "$bit" "$name"
    count=$((count + 1))
  done <list
  passed "$count flips in $file"
}

sweep out/o.h5.part found 1
sweep out/o.memory.h5.part found 1
found 3 out/o.h5.part 3000 1 "three ranks"
[ "$(everything out)" = "$before" ] || fail "a flip was not taken back"

# A record in the middle of the journal: what follows it is lost, and that is said.
cp -r out again
size=$(wc -c <again/o.h5.journal)
flip again/o.h5.journal $((size - 300)) 2
# shellcheck disable=SC2086 # a list of words
run 1 $options --output again/o.h5 --resume a.txt b.txt </dev/null
grep -q 'o.h5.journal: damaged after record' said || complain "lost records are not said"
[ "$(hash again/o)" = "$whole" ] || fail "other bytes after lost records"
passed "lost records"

# shellcheck disable=SC2086 # a list of words
run 3 $options --output out/o.h5 --resume a.txt b.txt </dev/null
[ "$(hash out/o)" = "$whole" ] || fail "other bytes after --resume"

# --- Finished files

# verified ARGUMENT...: all is right.
verified() {
  status=0
  "$LONGSPAN" verify "$@" >said 2>&1 || status=$?
  [ $status -eq 0 ] && [ "$(grep -c ': all right: ' said)" -eq "$(wc -l <said)" ] ||
    complain "verify: exit status $status: $*"
}

# not_right PATTERN ARGUMENT...: status 1, and each line is longspan's and says what to do.
not_right() {
  pattern=$1
  shift
  status=0
  "$LONGSPAN" verify "$@" >said 2>&1 || status=$?
  [ $status -eq 1 ] || complain "verify: exit status $status, expected 1: $*"
  grep -q "^longspan: .*$pattern.*; " said || complain "verify: no '$pattern': $*"
}

# spoilt FILE OFFSET BIT NAME: `verify` finds it.
spoilt() {
  flip "$1" "$2" "$3"
  not_right "" "$1"
  flip "$1" "$2" "$3"
}

flips=$((3 * flips))
sweep out/o.h5 spoilt
sweep out/o.memory.h5 spoilt
verified out/o.h5 out/o.memory.h5 whole/o.h5 whole/o.memory.h5
verified --model "$FIXTURES/law" out/o.h5 out/o.memory.h5 -- a.txt b.txt
not_right "another text" out/o.h5 -- b.txt
not_right "another model" --model "$FIXTURES/law-same" out/o.memory.h5
mkdir model
cp "$FIXTURES/law/model.safetensors" model
sed 's/"pre_lnorm": false/"pre_lnorm": true/' "$FIXTURES/law/config.json" >model/config.json
not_right "another config.json" --model model out/o.h5
not_right "gone.h5" whole/o.h5 gone.h5
passed "intact files, other texts and models"

if command -v h5dump >/dev/null; then
  datasets whole/o.h5 >list
  at=$(awk '$1 == "/tokens/nll" { print $2 }' list)
  flip whole/o.h5 $((at + 4 * 300)) 3
  flip whole/o.h5 $((at + 4 * 2500)) 3
  not_right "rows 256 to 512 of /tokens (document 0, a.txt)" whole/o.h5
  grep -q "rows 2356 to 2612 of /tokens (document 1, b.txt)" said ||
    complain "not where it is"
  [ "$(wc -l <said)" -eq 2 ] || complain "not a line a place"
  passed "a line a place"
fi

# --- A snapshot that a book is continued from

volume="$law --output out/two.h5"
snapshot() {
  flip "$1" "$2" "$3"
  # shellcheck disable=SC2086 # a list of words
  refused "last.memory.h5: .*\(damaged\|readable\)" 1 $volume --from-snapshot "$1" b.txt \
    </dev/null
  [ ! -e out/two.h5.part ] || fail "$4: something was made"
  flip "$1" "$2" "$3"
}
# The last snapshot is in the second half of each dataset.
cp out/o.memory.h5 last.memory.h5
datasets last.memory.h5 | while read -r name at bytes; do
  snapshot last.memory.h5 $((at + bytes * 3 / 4)) 5 "$name"
done
snapshot last.memory.h5 900 3 front
# shellcheck disable=SC2086 # a list of words
run 1 $volume --from-snapshot last.memory.h5 b.txt </dev/null
verified out/two.h5 out/two.memory.h5
passed "snapshots"

# --- No false alarm: killed before each commit of a run that was continued from a snapshot
# and writes many, what is committed verifies.

# volume FOLDER ARGUMENT...
volume() {
  folder=$1
  shift
  # shellcheck disable=SC2086 # a list of words
  timeout -k 5 "$limit" "$LONGSPAN" run --quiet $law --from-snapshot last.memory.h5 \
    --wave-tokens 512 --snapshot-every 2 --write nll --output \
    "$folder/o.h5" "$@" a.txt b.txt </dev/null
}

mkdir three
rm -f trace
(export LD_PRELOAD="$IOFAULT" LSP_FAULT_PATH=o.h5.journal LSP_FAULT_TRACE_FILE="$work/trace"
volume three) >said 2>&1 || complain "a volume"
volume=$(hash three/o)
verified three/o.h5 three/o.memory.h5
commits=0
for at in $(grep ' write ' trace | tail -n +2 | cut -d ' ' -f 1); do
  rm -rf three
  mkdir three
  (export LD_PRELOAD="$IOFAULT" LSP_FAULT_PATH=o.h5.journal LSP_FAULT_MODE=kill \
    LSP_FAULT_AT="$at"; volume three) >said 2>&1 && fail "not killed before call $at"
  volume three --resume >said 2>&1 || complain "--resume after a kill before call $at"
  [ "$(hash three/o)" = "$volume" ] || fail "other bytes after a kill before call $at"
  commits=$((commits + 1))
done
[ $commits -gt 4 ] || fail "only $commits commits"
passed "$commits commits"

# --- States of a memory: in the files of a run that was killed, in finished ones, in a
# snapshot, and in the slot, where a damaged one costs a wave and no more.

model=$FIXTURES/branches/compressive
[ -d "$model" ] || exit 0
for text in a b; do
  ids "$(vocabulary "$model")" $text.txt >$text.u16
done
texts="a.u16 b.u16"
flips=1
options="--model $model --wave-tokens 512 --input-format u16 --snapshots documents"
rm -rf whole out trace
mkdir whole out
attempt whole 0
[ $status -eq 0 ] || complain "states: undisturbed: exit status $status"
whole=$(hash whole/o)
at=$(grep ' rename ' trace | tail -n 1 | cut -d ' ' -f 1)
attempt out "$at"
[ $status -eq 137 ] || complain "states: killed before call $at: exit status $status"
sweep out/o.memory.h5.part found 1
# shellcheck disable=SC2086 # a list of words
run 2 $options --output out/o.h5 --resume $texts </dev/null
[ "$(hash out/o)" = "$whole" ] || fail "states: other bytes after --resume"
sweep out/o.memory.h5 spoilt
verified out/o.h5 out/o.memory.h5
volume="$options --output out/two.h5"
cp out/o.memory.h5 last.memory.h5
datasets last.memory.h5 | while read -r name at bytes; do
  snapshot last.memory.h5 $((at + bytes * 3 / 4)) 5 "$name"
done
passed "states"

# Killed before it appends its last record but one.
rm -f trace
rm -rf three
mkdir three
(export LD_PRELOAD="$IOFAULT" LSP_FAULT_PATH=o.h5.journal LSP_FAULT_TRACE_FILE="$work/trace"
  # shellcheck disable=SC2086 # a list of words
  start 1 $options --output three/o.h5 $texts) >said 2>&1 || complain "states: traced"
at=$(grep ' write ' trace | tail -n 2 | head -n 1 | cut -d ' ' -f 1)
rm -rf three
mkdir three
(export LD_PRELOAD="$IOFAULT" LSP_FAULT_PATH=o.h5.journal LSP_FAULT_MODE=kill \
  LSP_FAULT_AT="$at"
  # shellcheck disable=SC2086 # a list of words
  start 1 $options --output three/o.h5 $texts) >said 2>&1 && fail "states: not killed"
cp three/o.h5.slot slot.h5
fell=0
datasets slot.h5 >list
while read -r name at bytes; do
  rm -rf again
  cp -r three again
  flip again/o.h5.slot $((at + bytes / 3)) 2
  # shellcheck disable=SC2086 # a list of words
  run 1 $options --output again/o.h5 --resume $texts </dev/null
  ! grep -q 'memory of the last commit does not have its checksum' said || fell=$((fell + 1))
  [ "$(hash again/o)" = "$whole" ] || fail "states: other bytes after damage to $name"
done <list
[ "$fell" -ge 8 ] || fail "only $fell damages of the slot were noticed"
passed "$(wc -l <list) places of the slot"
