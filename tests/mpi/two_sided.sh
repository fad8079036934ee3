#!/bin/sh
# Two-sided models, beyond law 1 over the table of models (branches.sh):
#   - stopped and killed while rows wait in the layers for those ahead of them, and resumed
#     on other ranks and waves: the same bytes;
#   - killed between the layers of a document that is one wave: resumed after the last layer
#     that was done, the same bytes;
#   - ten times the text takes the same memory, and the same messages a layer and wave;
#   - the borders of spans move over global rows, and a document is the same alone and
#     among others, however short these are;
#   - a document that layers see as a whole and that does not fit, and snapshots, are
#     refused before anything is written.
set -eu
. "$(dirname "$0")/../runs.sh"

two_sided=$FIXTURES/branches/two_sided
reads="--input-format u16"

# Ids below 61 of 16 bits.
ids() { # ids TOKENS SEED
  awk -v n="$1" -v seed="$2" 'BEGIN {
    for (i = 0; i < n; i++) {
      seed = (seed * 16807) % 2147483647
      printf "\\%03o\\000", seed % 61
    }
  }' >escapes
  # shellcheck disable=SC2059 # octal escapes are the text
  printf "$(cat escapes)"
}
ids 3001 1 >a
ids 65 2 >b
ids 20011 3 >c
ids 700 4 >d
: >e
ids 1 5 >f
ids 390 7 >g

# ---- Stopped, killed, resumed

journal() {
  if [ -f parts.h5.journal ]; then wc -c <parts.h5.journal; else echo 0; fi
}

# signal_after SIGNAL COMMITS: to the process of the file `pid` (a record of the journal has
# 128 bytes). It gives up with the run itself.
signal_after() {
  from=$(journal)
  while [ ! -f pid ]; do sleep 0.02; done
  while [ "$(journal)" -le $((from + 128 * $2)) ]; do
    kill -0 "$(cat pid)" 2>/dev/null || return 0
    sleep 0.02
  done
  kill -s "$1" "$(cat pid)" 2>/dev/null || return 0
}

# interrupted MODEL SIGNAL RANKS WAVE: exit status of a part of the run.
interrupted() {
  launcher="$MPIRUN -n $3"
  [ "$3" -gt 1 ] || launcher=
  rm -f pid
  signal_after "$2" 9 &
  watcher=$!
  status=0
  # shellcheck disable=SC2086,SC2016 # lists of words; expanded by the inner shell
  timeout -k 5 $limit sh -c 'echo $$ >pid.new; mv pid.new pid; exec "$@"' sh \
    $launcher "$LONGSPAN" run --quiet --model "$1" --output parts.h5 --resume $reads \
    --write id,nll,hidden,hidden:1 --wave-tokens "$4" a b c d e f >"$work/said" 2>&1 ||
    status=$?
  wait $watcher
}

resumed() { # resumed MODEL
  stops=0 kills=0 turn=0
  # shellcheck disable=SC2086 # a list of words
  run 2 --model "$1" --output whole.h5 --overwrite $reads \
    --write id,nll,hidden,hidden:1 a b c d e f
  rm -f parts.*
  while :; do
    case $((turn % 3)) in
    0) interrupted "$1" KILL 1 300 ;;
    1) interrupted "$1" USR1 3 900 ;;
    2) interrupted "$1" KILL 1 700 ;;
    esac
    turn=$((turn + 1))
    case $status in
    0) break ;;
    75) stops=$((stops + 1)) ;;
    137) kills=$((kills + 1)) ;;
    *) complain "exit status $status: ${1##*/}" ;;
    esac
    [ $turn -lt 50 ] || fail "no end after $turn runs"
  done
  [ $stops -ge 1 ] && [ $kills -ge 1 ] || fail "only $stops stops and $kills kills"
  [ "$(hash parts)" = "$(hash whole)" ] || fail "${1##*/}: resumed: other bytes"
  passed "${1##*/}: stopped $stops times, killed $kills times, resumed on 1 and 3 ranks"
}

for model in local heads; do # of the second, layers look at the first rows, too
  resumed "${two_sided}_$model"
done

# ---- Killed between layers

# killed_at MODEL CALL: before this call of the file of layers; 1: there were fewer.
killed_at() {
  rm -f parts.*
  status=0
  (
    export LD_PRELOAD="$IOFAULT" LSP_FAULT_MODE=kill LSP_FAULT_PATH=parts.h5.layers
    export LSP_FAULT_AT="$2"
    # shellcheck disable=SC2086 # a list of words
    start 1 --model "$1" --output "$work/parts.h5" $reads --write id,nll,hidden g
  ) >said 2>&1 || status=$?
  [ $status -ne 0 ] || return 1
  [ $status -eq 137 ] || complain "exit status $status at call $2"
}

# goes_on MODEL RANKS: to the bytes of the whole; says what was kept.
goes_on() {
  # shellcheck disable=SC2086 # lists of words
  timeout -k 5 $limit $MPIRUN -n "$2" "$LONGSPAN" run --model "$1" --output parts.h5 \
    --resume $reads --write id,nll,hidden g >said 2>&1 || complain "not resumed"
  [ "$(hash parts)" = "$(hash whole)" ] || fail "${1##*/}: resumed: other bytes"
  [ ! -e parts.h5.layers ] || fail "the file of layers is still there"
}
kept() {
  grep -q "resumed after layer 1 of 2" said
}

model=${two_sided}_full
# shellcheck disable=SC2086 # a list of words
run 1 --model "$model" --output whole.h5 --overwrite $reads --write id,nll,hidden g
at=1 last=0
while killed_at "$model" $at; do
  goes_on "$model" $((at % 3 + 1))
  ! kept || last=$at
  at=$((at + 1))
done
[ $at -gt 9 ] && [ $last -gt 0 ] || fail "$at kills, the last that kept a layer was $last"
# The same with a byte of a panel, or of the header, changed: nothing is kept.
for place in 1048600 20; do
  killed_at "$model" $last
  printf 'x' | dd of=parts.h5.layers bs=1 seek=$place conv=notrunc 2>/dev/null
  goes_on "$model" 2
  ! kept || fail "a layer was kept although byte $place of its file was changed"
done
passed "${model##*/}: killed at $((at - 1)) calls between layers, and damaged"

# ---- Ten times the text

grows() { # grows RANKS
  for text in one ten; do
    # shellcheck disable=SC2086 # a list of words
    run "$1" --model "${two_sided}_local" --output $text.h5 --overwrite $reads \
      --write id,nll --wave-tokens 1536 $text
  done
  for of in "arena_bytes" "messages_a_layer_and_wave max" "bytes_a_layer_and_wave max"; do
    # shellcheck disable=SC2086 # a fact and its field
    [ "$(fact ten $of)" = "$(fact one $of)" ] ||
      fail "$1 ranks: $of: $(fact one $of), of ten times the text $(fact ten $of)"
  done
  small=$(fact one peak_bytes max) large=$(fact ten peak_bytes max)
  [ $((large - small)) -lt $(((4 << 20) + small / 100)) ] ||
    fail "$1 ranks: peak memory grew from $small to $large bytes"
  passed "$1 ranks: ten times the text: $(fact ten bytes_a_layer_and_wave max) bytes a" \
    "layer and wave, peak $small, $large"
}

# By hand, of 2 ranks in the midst of a text: a wave of 24 tiles, 12 a span. Layers look 40
# positions, one tile, back and ahead, and so lag by a panel of 4 tiles. A span of queries
# begins and ends 4 tiles before that of its keys: it gets the keys of these and of the one
# before them, 5 tiles, and the 4 blocks of hidden rows and queries, from the rank before it;
# the first span gets them of those that were put away, where all but one tile lie with the
# rank that computed them. Keys and values of 2 heads of width 8, padded to 16, of a tile;
# 24 numbers of a hidden row and 32 of its queries.
by_hand=$((5 * 4 * 2 * 64 * (8 + 16) + 4 * 4 * 64 * (24 + 32)))

ids 9216 6 >one
for i in 1 2 3 4 5 6 7 8 9 10; do cat one; done >ten
for ranks in 2 3; do
  grows $ranks
  [ $ranks -ne 2 ] || [ "$(fact ten bytes_a_layer_and_wave max)" -eq $by_hand ] ||
    fail "bytes a layer and wave: $(fact ten bytes_a_layer_and_wave max), by hand $by_hand"
done

# ---- Global rows and borders; alone and among others

for model in own global mixed; do
  expected=
  for ranks in 1 2 3 4 7; do # rows 0, 70, 299 of 700: panels begin at 64, 128, 256
    # shellcheck disable=SC2086 # a list of words
    run $ranks --model "${two_sided}_$model" --output alone.h5 --overwrite $reads \
      --write id,nll,hidden d
    expected=${expected:-$(hash alone)}
    [ "$(hash alone)" = "$expected" ] || fail "$model: other bytes on $ranks ranks"
  done
  ! can_read "a document alone and among others" || {
    # shellcheck disable=SC2086 # a list of words
    run 3 --model "${two_sided}_$model" --output among.h5 --overwrite $reads \
      --write id,nll,hidden f b e d b a f
    for dataset in id nll hidden; do
      rows alone.h5 /tokens/$dataset 700 0 700 >expected
      rows among.h5 /tokens/$dataset 3833 66 700 >got
      cmp -s expected got || fail "$model: $dataset differs among other documents"
    done
  }
  passed "$model: borders among global rows; alone and among others"
done

# ---- Short documents between long ones

# Layers that see all of a document and its global rows apart: the documents in the midst of
# a span look at no other rank's keys, whichever round brings those.
mkdir apart
cp "${two_sided}_local/model.safetensors" apart
branches='{"type": "full"}, {"type": "global", "tokens": 2}'
"$(find_python json)" -c 'import json, sys
config = json.load(open(sys.argv[1]))
config["layers"] = {"branches": json.loads(f"[{sys.argv[2]}]"), "merge": "sum"}
json.dump(config, open("apart/config.json", "w"))' "${two_sided}_local/config.json" "$branches"
ids 6000 8 >long
expected=
for ranks in 1 3 2; do
  # shellcheck disable=SC2086 # a list of words
  run $ranks --model apart --output apart.h5 --overwrite $reads --write id,nll,hidden \
    long d b g d long
  expected=${expected:-$(hash apart)}
  [ "$(hash apart)" = "$expected" ] || fail "full beside global: other bytes on $ranks ranks"
done
passed "short documents between long ones"

# ---- Refused

for option in "--snapshots documents" "--snapshot-every 100"; do
  status=0
  # shellcheck disable=SC2086 # lists of words
  start 1 --model "${two_sided}_local" --output no.h5 $reads $option a >said 2>&1 ||
    status=$?
  [ $status -eq 2 ] || fail "$option: exit status $status"
  grep -q "^longspan: ${option%% *}.*: .*\"causal\": false" said || fail "$option: $(cat said)"
  [ ! -e no.h5 ] && [ ! -e no.h5.journal ] || fail "$option: something was written"
done
# shellcheck disable=SC2086 # a list of words
refused "the longest document, which layers see as a whole, of this model needs" 2 \
  --model "${two_sided}_mixed" --output no.h5 $reads --memory 32M ten
[ ! -e no.h5 ] && [ ! -e no.h5.journal ] || fail "something was written"
passed "snapshots, and a document that does not fit, are refused"
