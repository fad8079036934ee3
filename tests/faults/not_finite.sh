#!/bin/sh
# Weights that are finite and overflow: the run stops with the first place that is not
# finite, the same line for any ranks, threads, waves and kernels; or counts such results
# (--not-finite count), with the same bytes for any of these. Sums hold what is large.
set -eu
. "$(dirname "$0")/../runs.sh"

# header FILE: the text before the tensors. place FILE TENSOR: its first byte.
header() {
  head -c $((8 + $(od -A n -t u8 -N 8 "$1"))) "$1" | tail -c +9
}
place() {
  echo $((8 + $(od -A n -t u8 -N 8 "$1") + $(header "$1" |
    sed 's/.*"'"$2"'":{[^}]*"data_offsets":\[\([0-9]*\),.*/\1/')))
}

# spoil FOLDER TENSOR INDEX BYTES: one float of a tensor, by octal bytes.
spoil() {
  # shellcheck disable=SC2059
  printf "$4" | dd of="$1/model.safetensors" bs=1 conv=notrunc 2>/dev/null \
    seek=$(($(place "$1/model.safetensors" "$2") + 4 * $3))
}
large='\346\261\141\177'    # 3e38
negative='\346\261\141\377' # -3e38
million='\200\226\030\113'  # 1e7

# untied FOLDER: the model `law` with an output layer of its own, equal to the embedding.
untied() {
  cp -r "$FIXTURES/law" "$1"
  sed -i '1s/{/{ "tie_word_embeddings": false,/' "$1/config.json"
  weights=$FIXTURES/law/model.safetensors
  text=$(header "$weights" | sed 's/ *$//')
  end=$(($(wc -c <"$weights") - 8 - $(od -A n -t u8 -N 8 "$weights")))
  text="${text%?},\"crit.out_layers.0.weight\":{\"dtype\":\"F32\",\"shape\":[256,32],"
  text="$text\"data_offsets\":[$end,$((end + 32768))]}}"
  while [ $((${#text} % 8)) -ne 0 ]; do text="$text "; done
  n=${#text}
  {
    # shellcheck disable=SC2059 # octal bytes
    printf "$(printf '\\%03o' $((n % 256)) $((n / 256)) 0 0 0 0 0 0)"
    printf '%s' "$text"
    tail -c "$end" "$weights"
    tail -c "+$(($(place "$weights" transformer.word_emb.emb_layers.0.weight) + 1))" \
      "$weights" | head -c 32768
  } >"$1/model.safetensors"
}

# Row 122 of the embedding, the letter z, which only one place of the text has.
book 3003 31 | tr z y >a.txt
{ head -c 2000 a.txt && printf z && tail -c 1002 a.txt; } >z.txt
untied sound
cp -r sound embedding
spoil embedding transformer.word_emb.emb_layers.0.weight $((32 * 122)) "$large"

one="1 --threads 1"
two="2 --wave-tokens 300 --threads 2 --isa plain"
three="3 --wave-tokens 700 --isa avx2"

# stops MODEL PATTERN HOW...: by the same line, however it is run.
stops() {
  model=$1 pattern=$2
  shift 2
  rm -f line
  for how in "$@"; do
    # shellcheck disable=SC2086 # a list of words
    refused "$pattern" ${how%% *} --model "$model" --output stop.h5 --overwrite \
      ${how#* } a.txt z.txt
    grep '^longspan: ' said >other
    [ -f line ] || cp other line
    cmp -s line other || { cat line other >&2 && fail "$model: $how: another line"; }
    [ ! -f stop.h5 ] && [ ! -f stop.run.json ] || fail "$model: an output"
  done
  passed "$core: $model stops: $pattern"
}

# missing FILE: its tokens without nll.
missing() {
  column "$1" /tokens/nll | od -A n -v -w4 -t x4 | grep -c '7fc00000'
}

# int64 FILE DATASET: its numbers, on one line.
int64() {
  column "$1" "$2" | od -A n -v -t d8 | xargs
}

counts() {
  say="--not-finite count --write id,nll,hidden --snapshots documents --snapshot-every 3"
  # shellcheck disable=SC2086 # a list of words
  {
    run 1 --model embedding --output one.h5 --overwrite $say --threads 1 a.txt z.txt
    grep -q 'one.h5: [0-9]* of 6004 predicted tokens have no finite nll' said ||
      complain "not said at the end"
    for how in "$two" "$three"; do
      run ${how%% *} --model embedding --output other.h5 --overwrite $say a.txt z.txt \
        ${how#* }
      [ "$(hash other)" = "$(hash one)" ] || fail "$core: $how: other bytes"
    done
    # Stopped by the first such result, and resumed with another mind.
    refused 'z.txt' 2 --model embedding --output resumed.h5 --overwrite \
      --wave-tokens 600 ${say#*count} a.txt z.txt
    "$LONGSPAN" info resumed.h5 | grep -q 'not finished' || fail "nothing to resume"
    run 3 --model embedding --output resumed.h5 --resume $say --wave-tokens 300 \
      a.txt z.txt
  }
  [ "$(hash resumed)" = "$(hash one)" ] || fail "$core: resumed: other bytes"
  grep -q '"not_finite": [1-9]' one.run.json || fail "run.json does not count"
  passed "$core: counted: the same bytes, resumed too"
}

counted() {
  n=$(($(missing one.h5) - 2)) # a document's first token has none
  [ $n -gt 100 ] || fail "only $n not finite"
  [ "$(int64 one.h5 /documents/not_finite_count)" = "0 $n" ] || fail "counted otherwise"
  [ "$(int64 one.h5 /documents/nll_count)" = "3002 $((3002 - n))" ] || fail "nll_count"
  column one.h5 /documents/bits_per_byte | od -A n -t f8 | grep -q nan ||
    fail "bits per byte of a document that has results not finite"
  "$LONGSPAN" info one.h5 >said
  grep -q '^  not finite  *[0-9,]* of 6,004 predicted tokens' said || complain "info"
  grep -q '^  z.txt .* not finite$' said || complain "info: document"
  ! grep -q '^  bits per byte' said || complain "info: an average over some"
  ! "$LONGSPAN" show one.h5 a.txt z.txt >said 2>&1 || complain "show"
  grep -q '^longspan: one.h5: [0-9]* tokens of document 1 have no' said ||
    complain "show: another message"
  # What comes before the first of them is as if it were not there.
  at=$((1 + 3003 + 2000))
  run 1 --model sound --output sound.h5 --overwrite a.txt z.txt
  rows one.h5 /tokens/nll 6006 0 $at >expected
  rows sound.h5 /tokens/nll 6006 0 $at | cmp -s - expected ||
    fail "results before the first that is not finite differ"
  [ "$(rows one.h5 /tokens/nll 6006 $at 1 | od -A n -t x4)" = " 7fc00000" ] ||
    fail "the first row that is not finite predicts something"
  passed "$core: as many as the file has"
}

# Every nll is 1e7 / ln 2 bits, near enough, whatever the sum; byte 122 does not occur.
large_sums() {
  cp -r "$FIXTURES/law" bias
  spoil bias crit.out_layers.0.bias 122 "$million"
  for ranks in 1 2 3; do
    run $ranks --model bias --output large-$ranks.h5 --wave-tokens $((400 * ranks)) a.txt
    [ "$(hash large-$ranks)" = "$(hash large-1)" ] || fail "large sums: $ranks ranks"
  done
  "$LONGSPAN" info large-1.h5 >said
  grep -q '^  bits per byte *144221' said || complain "bits per byte of a large nll"
  ! can_read "the sum of large numbers" || {
    column large-1.h5 /documents/nll_sum | od -A n -t f8 >sum
    column large-1.h5 /tokens/nll | od -A n -v -w4 -t f4 |
      awk '!/nan/ { sum += $1 } END { printf "%.17g\n", sum }' >expected
    [ "$(paste -d ' ' sum expected | awk '{ print ($1 / $2 - 1) ^ 2 < 1e-14 }')" -eq 1 ] ||
      fail "nll_sum $(cat sum), expected $(cat expected)"
  }
  passed "large sums"
}

for core in $(cores); do
  use "$core"
  stops embedding 'z.txt (document 1), position 2000, embedding: .*--not-finite' \
    "$one" "$two" "$three"
  counts
  ! can_read "what is not finite" || counted
done
core=packed
use "$core"
for i in layer head tied; do cp -r "$FIXTURES/law" $i; done
spoil layer transformer.layers.1.pos_ff.CoreNet.0.bias 0 "$negative"
spoil layer transformer.layers.1.pos_ff.CoreNet.0.bias 1 "$large"
stops layer 'position [0-9]*, layer 1 (of 0 to 1): ' "$two" "$three"
spoil head crit.out_layers.0.bias 122 "$large"
stops head 'a.txt (document 0), position 0, log-probabilities: ' "$one" "$three"
spoil tied transformer.word_emb.emb_layers.0.weight $((32 * 122)) "$large"
stops tied 'a.txt (document 0), position [0-9]*, log-probabilities: ' "$one" "$two"
large_sums
