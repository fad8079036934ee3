#!/bin/sh
# Models that read a text segment by segment, each behind tokens before it (memory "input"):
#
#   frames      a segment is what a document with its frame's tokens would be to the model
#               without the memory, bit for bit
#   law 1       the same bytes for any number of ranks, threads and waves, stopped and
#               resumed or not; a text cut into volumes anywhere has the bits of the whole
#   laws 2, 3   no message, and the same memory, for N and 10 N tokens
set -eu
. "$(dirname "$0")/../runs.sh"

results="--write id,nll,hidden --snapshots last"

# wrapped NAME FIXTURE SEGMENT ROWS: a model of the fixtures, in a memory.
wrapped() {
  mkdir "$1"
  cp "$FIXTURES/branches/$2/model.safetensors" "$1"
  sed "1s/{/{ \"memory\": { \"type\": \"input\", \"segment\": $3, \"rows\": $4 },/" \
    "$FIXTURES/branches/$2/config.json" >"$1/config.json"
}

wrapped full full 100 40          # frames of three panels
wrapped far full 50 120           # what is read again is longer than a segment
wrapped alibi local-alibi 64 0    # nothing is read again
wrapped prefixed prefix 33 7      # rows before every frame
wrapped short global-positions 1 3
wrapped pooled compressed 150 90  # means, which no snapshot holds
wrapped ahead two_sided_global 120 50
wrapped around two_sided_full 90 33

mkdir text
book 1500 41 >text/a
: >text/b-empty
book 63 42 >text/c
book 1 43 >text/d
book 701 44 >text/e

# ---- Ranks, threads, waves

# same CORE MODEL: like one rank and one wave.
same() {
  # shellcheck disable=SC2046 # a text, and its format
  set -- "$1" "$2" $(given "$2" text)
  core=$1 model=$2
  shift 2
  # shellcheck disable=SC2086 # a list of words
  run 1 --model "$model" --output one.h5 --overwrite $results "$@"
  expected=$(hash one)
  for set_of in "2 256" "3 300" "4 1300" "7 1000000"; do
    # shellcheck disable=SC2086 # a list of words
    run "${set_of% *}" --model "$model" --output other.h5 --overwrite $results \
      --wave-tokens "${set_of#* }" --threads $((${set_of% *} % 2 + 1)) "$@"
    [ "$(hash other)" = "$expected" ] || fail "$core: $model: ${set_of% *} ranks"
  done
  "$LONGSPAN" verify one.h5 >said 2>&1 || complain "$core: $model: verify"
  passed "$core: $model: ranks, threads, waves"
}

for core in $(cores); do
  use "$core"
  for model in far prefixed pooled ahead; do
    same "$core" "$model"
  done
done
use packed
for model in full alibi short around "$FIXTURES/branches/input-memory"; do
  same packed "$model"
done

# ---- A frame is what a document with its tokens would be

# frames MODEL FIXTURE SEGMENT ROWS: of text/a.
frames() {
  model=$1 bare=$FIXTURES/branches/$2
  rm -rf parts && mkdir parts
  at=0 k=1000 all=0
  while [ $at -lt 1500 ]; do
    first=$((at > $4 ? at - $4 : 0))
    tail -c "+$((first + 1))" text/a | head -c $((at + $3 - first)) >parts/$k
    all=$((all + $(wc -c <parts/$k)))
    at=$((at + $3)) k=$((k + 1))
  done
  # shellcheck disable=SC2046 # a text, and its format
  run 1 --model "$model" --output frames.h5 --overwrite --write nll,hidden text/a
  run 1 --model "$bare" --output parts.h5 --overwrite --write nll,hidden parts
  for dataset in nll hidden; do
    column frames.h5 /tokens/$dataset >got
    column parts.h5 /tokens/$dataset >there
    here=$(($(wc -c <got) / 1500)) # bytes of a row
    : >expected
    at=0 begin=0
    for part in parts/*; do # of each its own rows, the last ones
      n=$(wc -c <"$part") own=$((1500 - at < $3 ? 1500 - at : $3))
      tail -c "+$(((begin + n - own) * here + 1))" there | head -c $((own * here)) >>expected
      at=$((at + own)) begin=$((begin + n))
    done
    cmp got expected || fail "$model: $dataset"
  done
  passed "$model: $((k - 1000)) frames of $all rows are documents"
}

if can_read "frames beside documents"; then
  frames full full 100 40
  frames far full 50 120
fi

# ---- Killed, again and again, and resumed

# shellcheck disable=SC2086 # a list of words
run 1 --model far --output whole.h5 --overwrite $results text
kills=0
for at in 25 32 40; do
  status=0
  (
    export LSP_FAULT_MODE=kill LSP_FAULT_PATH=/cut. LSP_FAULT_AT=$at LD_PRELOAD="$IOFAULT"
    # shellcheck disable=SC2086 # a list of words
    start 1 --model far --output "$work/cut.h5" --resume $results --wave-tokens 256 text
  ) >said 2>&1 || status=$?
  case $status in
  1 | 2 | 75 | 124) complain "exit status $status of a run that is killed" ;;
  0) ;;
  *) kills=$((kills + 1)) ;;
  esac
done
[ $kills -ge 2 ] || fail "only $kills kills"
# shellcheck disable=SC2086 # a list of words
run 3 --model far --output cut.h5 $results --resume text
[ "$(hash cut)" = "$(hash whole)" ] || fail "resumed: other bytes"
passed "killed $kills times and resumed"

# ---- Volumes, cut anywhere: within a segment, at its borders, within what is read again

# part FIRST END: tokens of the book, as the model is given them.
part() {
  tail -c "+$(($1 + 1))" text/a | head -c $(($2 - $1)) >volume.txt
  echo volume.txt
}

# volumes RANKS CUT...: in volumes that end there.
volumes() {
  ranks=$1 at=0 before=
  shift
  for cut in "$@" 1500; do
    # shellcheck disable=SC2046,SC2086 # lists of words
    run "$ranks" --model "$model" --output "until-$cut.h5" --overwrite $results \
      --wave-tokens $((200 * ranks)) ${before:+--from-snapshot $before} $(part $at "$cut")
    for dataset in id nll hidden; do
      rows whole.h5 /tokens/$dataset 1500 $at $((cut - at)) >expected
      column "until-$cut.h5" /tokens/$dataset | cmp -s - expected ||
        fail "$model: $ranks ranks: $dataset from $at to $cut"
    done
    at=$cut before=until-$cut.memory.h5
  done
  for dataset in snapshots/position snapshots/last_id snapshots/hidden \
    states/model/ids states/model/id_count states/model/segments; do
    column whole.memory.h5 /$dataset >expected
    column until-1500.memory.h5 /$dataset | cmp -s - expected ||
      fail "$model: $ranks ranks: $dataset of the last snapshot"
  done
  passed "$model: $ranks ranks: cut at $*"
}

if can_read "volumes"; then
  for model in full far alibi; do
    # shellcheck disable=SC2086 # a list of words
    run 2 --model $model --output whole.h5 --overwrite $results --wave-tokens 700 text/a
    volumes 1 1 2
    volumes 3 49 50 51
    volumes 2 99 100 101 1499
    volumes 1 200 263 700
  done
fi

# ---- What a rank sends and holds for N and 10 N tokens

book 20000 45 >ten.txt
head -c 2000 ten.txt >one.txt
for ranks in 2 3; do
  for text in one ten; do
    run $ranks --model full --output $text.h5 --overwrite --write id,nll \
      --wave-tokens 1000 $text.txt
    for fact in messages_a_layer_and_wave messages_sent; do
      [ "$(fact $text $fact max)" = 0 ] || fail "$ranks ranks: $text: $fact is not 0"
    done
  done
  [ "$(fact one arena_bytes)" = "$(fact ten arena_bytes)" ] ||
    fail "$ranks ranks: a rank holds more for 10 N tokens"
  passed "$ranks ranks: no message, $(fact ten arena_bytes) bytes for N and 10 N tokens"
done

# ---- Refusals

for cut in 130 131; do # within one frame, but not the same place
  head -c $cut text/a >volume.txt
  run 1 --model far --output at-$cut.h5 --overwrite volume.txt
done
refused "made with" 1 --model full --output no.h5 --from-snapshot at-130.memory.h5 text/e
[ ! -e no.h5 ] || fail "something was written"
passed "refusals"
