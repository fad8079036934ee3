#!/bin/sh
# A key-value store over the whole text, whose past takes several rounds and waves.
#
# Law 1: the same bytes of FILE.h5 and FILE.memory.h5 for any ranks, waves and threads, with
# scratch files and without, killed and resumed, and of a text that is continued from a
# snapshot.
# Law 3: messages and bytes are those that `plan` foretells; where the store's memory has a
# bound those of a layer and wave are the same for ten times the text.
# Recall: a byte a million tokens back, by hand-built weights (fixtures/reach/store), from
# which ranks, waves, a stop and a snapshot lie between; exact, and lost if the store's
# memory is a little too short for it.
set -eu
. "$(dirname "$0")/../runs.sh"

all=$FIXTURES/branches/store-all

# ---- Law 1

book 20011 3 >text
ids 61 text >text.u16
[ "$(wc -c <text.u16)" -eq 40022 ] || fail "the text has $(wc -c <text.u16) bytes"
results="--input-format u16 --write id,nll,hidden --snapshots documents"
mkdir scratch
# shellcheck disable=SC2086 # lists of words
{
  run 1 --model "$all" --output o.h5 $results text.u16
  whole=$(hash o)
  for set_of in "1 --wave-tokens 3000" "2 --wave-tokens 9000 --threads 2" \
    "3 --wave-tokens 5000 --scratch scratch" "4" "7 --wave-tokens 12000 --scratch scratch"; do
    # shellcheck disable=SC2086
    run ${set_of%% *} --model "$all" --output o.h5 --overwrite $results \
      $(echo "$set_of" | sed 's/^[0-9]* *//') text.u16
    [ "$(hash o)" = "$whole" ] || fail "other bytes: $set_of"
  done
}
[ -z "$(ls -A scratch)" ] || fail "left in the scratch folder: $(ls -A scratch)"
passed "the same bytes on 1, 2, 3, 4, 7 ranks, in scratch files and in memory"

# Killed before a commit, then stopped by a scratch disk that is full, then finished.
limits="--wave-tokens 4096 --scratch scratch"
status=0
# shellcheck disable=SC2086 # lists of words
(
  export LD_PRELOAD="${ASAN_OPTIONS:+$(cc -print-file-name=libasan.so):}$IOFAULT"
  export LSP_FAULT_PATH=o.h5.journal LSP_FAULT_MODE=kill LSP_FAULT_AT=9
  start 1 --model "$all" --output o.h5 --overwrite $results $limits text.u16
) >said 2>&1 || status=$?
[ "$status" -eq 137 ] && [ -e o.h5.journal ] || complain "exit status $status"
# shellcheck disable=SC2086 # lists of words
(
  export LD_PRELOAD="${ASAN_OPTIONS:+$(cc -print-file-name=libasan.so):}$IOFAULT"
  export LSP_FAULT_PATH=.scratch LSP_FAULT_MODE=sticky LSP_FAULT_AT=6
  refused 'scratch scratch: no room for .* MiB more .*No space left.*--resume' 2 \
    --model "$all" --output o.h5 --resume $results $limits text.u16
) || exit 1
# shellcheck disable=SC2086 # lists of words
run 3 --model "$all" --output o.h5 --resume $results $limits text.u16
[ "$(hash o)" = "$whole" ] || fail "resumed: other bytes"
passed "killed, stopped by a full scratch disk, resumed: the same bytes"

# ---- Volumes

head -c 20002 text.u16 >one.u16
tail -c +20003 text.u16 >two.u16
# shellcheck disable=SC2086 # lists of words
{
  run 3 --model "$all" --output one.h5 $results one.u16
  run 2 --model "$all" --output two.h5 $results --wave-tokens 2048 \
    --from-snapshot one.memory.h5 two.u16
  run 1 --model "$all" --output o.h5 --overwrite $results text.u16
}
if can_read "a text in two volumes"; then
  rows o.h5 /tokens/nll 20011 10001 10010 >expected
  rows two.h5 /tokens/nll 10010 0 10010 >got
  cmp -s expected got || fail "continued from a snapshot: other numbers"
  passed "a text in two volumes: the same numbers"
fi

# ---- Law 3

refusal='--scratch no/such/folder: cannot make a file there'
# shellcheck disable=SC2086 # lists of words
refused "$refusal" 2 --model "$all" --output n.h5 $results --scratch no/such/folder text.u16
# shellcheck disable=SC2086 # lists of words
refused 'memory 40M: .* or --scratch DIR, which keeps .* MiB of it in files' 1 \
  --model "$all" --output n.h5 $results --memory 40M text.u16
[ -z "$(ls n.* 2>/dev/null)" ] || fail "files of a run that was refused"
passed "refused before anything was written"

planned() { # planned KEY
  sed -n "s/.*\"$1\": *\\([0-9]*\\).*/\\1/p" plan.json
}

# counted MODEL TOKENS RANKS WAVE
counted() {
  head -c $((2 * $2)) text.long >text.part
  run "$3" --model "$1" --input-format u16 --output c.h5 --overwrite --snapshots none \
    --write nll --wave-tokens "$4" text.part
  "$LONGSPAN" plan --model "$1" --tokens "$2" --ranks "$3" --wave-tokens "$4" \
    --format json >plan.json
  for key in messages_a_layer_and_wave bytes_a_layer_and_wave messages_sent bytes_sent; do
    [ "$(fact c $key max)" = "$(planned $key)" ] ||
      fail "$2 tokens, $3 ranks: $key $(fact c $key max), planned $(planned $key)"
  done
}

cat text.u16 text.u16 text.u16 text.u16 text.u16 text.u16 text.u16 >text.long
mkdir bounded
cp "$all/model.safetensors" bounded
sed 's/"memory": 0/"memory": 1000/' "$all/config.json" >bounded/config.json
cmp -s "$all/config.json" bounded/config.json && fail "the memory is not bounded"
counted "$all" 20000 3 4096
for ranks in 2 3; do
  counted bounded 12288 $ranks 1536
  short="$(fact c messages_a_layer_and_wave max) $(fact c bytes_a_layer_and_wave max)"
  counted bounded 122880 $ranks 1536
  long="$(fact c messages_a_layer_and_wave max) $(fact c bytes_a_layer_and_wave max)"
  [ "$short" = "$long" ] || fail "$ranks ranks: $short in a layer and wave, then $long"
done
passed "messages and bytes as planned; of a bounded store they do not grow"

# ---- Recall

S=1000000
far=$FIXTURES/reach/store
given=$far/text.bin
limit=$((limit * 4))

# model FOLDER MEMORY: the store's segment is a million tokens, so that only what comes
# after them has something to search.
model() {
  mkdir "$1"
  cp "$far/model.safetensors" "$1"
  sed "s/\"segment\": 64/\"segment\": $S/; s/\"memory\": 0/\"memory\": $2/" \
    "$far/config.json" >"$1/config.json"
}

# above MOST FIRST COUNT FILE: how many nll from FIRST on are not below MOST.
above() {
  rows "$4" /tokens/nll "$(rows_of "$4")" "$2" "$3" | od -An -v -tf4 -w4 |
    awk -v most="$1" '{ n++; high += !($1 + 0 < most) } END { print n + 0, high + 0 }'
}

rows_of() {
  case $1 in second.h5) echo 160 ;; *) echo $((S + 120)) ;; esac
}

if can_read "recall"; then
  model million 0
  model shorter $((S - 4))
  head -c 4 "$given" >again
  tail -c +5 "$given" | head -c 4 >period
  while [ "$(wc -c <period)" -lt $((S + 200)) ]; do
    cat period period >more
    mv more period
  done
  cat again period | head -c $((S + 120)) >text
  head -c $((S - 40)) text >first
  tail -c +$((S - 39)) text >second

  run 2 --model million --output far.h5 --write nll --snapshots none --wave-tokens 100000 text
  [ "$(above 0.001 $((S + 1)) 119 far.h5)" = "119 0" ] || fail "not recalled"
  run 3 --model shorter --output far.h5 --overwrite --write nll --snapshots none \
    --wave-tokens 200000 --scratch scratch text
  lost=$(above 1 $((S + 1)) 119 far.h5)
  [ "${lost#119 }" -gt 80 ] || fail "recalled without the keys: $lost"
  run 3 --model million --output first.h5 --write nll --wave-tokens 250000 first
  run 2 --model million --output second.h5 --write nll --from-snapshot first.memory.h5 second
  [ "$(above 0.001 41 119 second.h5)" = "119 0" ] || fail "not recalled from a snapshot"
  passed "a byte a million tokens back, over ranks, waves and a snapshot"
fi
