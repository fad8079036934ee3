#!/bin/sh
# Law 1 for every --context: the same bytes of FILE.h5 for any number of ranks, threads and
# waves, stopped and resumed or not, whatever else is in the corpus. Chunks are frames, so
# that a chunk is what a document with these tokens would be.
set -eu
. "$(dirname "$0")/../runs.sh"

results="--write id,nll,hidden --snapshots last"
full=$FIXTURES/branches/full     # every position before, no prefix
prefix=$FIXTURES/branches/prefix # rows before every document

mkdir text
book 1500 41 >text/a
: >text/b-empty
book 63 42 >text/c
book 3001 43 >text/d
book 700 44 >text/e

# same CORE MODEL CONTEXT: like one rank and one wave.
same() {
  what="$1: ${2##*/} --context $3"
  # shellcheck disable=SC2086 # a list of words
  run 1 --model "$2" --output one.h5 --overwrite $results --context "$3" text
  expected=$(hash one)
  for set_of in "2 256" "3 300" "4 1300" "7 1000000"; do
    # shellcheck disable=SC2086 # a list of words
    run "${set_of% *}" --model "$2" --output other.h5 --overwrite $results --context "$3" \
      --wave-tokens "${set_of#* }" --threads $((${set_of% *} % 2 + 1)) text
    [ "$(hash other)" = "$expected" ] || fail "$what: ${set_of% *} ranks"
  done
  passed "$what"
}

for core in $(cores); do
  use "$core"
  same "$core" "$full" full
  same "$core" "$full" window:100,sinks:4
  same "$core" "$full" chunks:700,stride:300 # leads of several panels
  same "$core" "$full" chunks:200,half
  same "$core" "$prefix" window:64
  same "$core" "$prefix" chunks:500,stride:131
  same "$core" "$prefix" chunks:130
done

# ---- A chunk is what a document with its tokens would be

if can_read "chunks beside documents"; then
  mkdir parts
  head -c 600 text/d >parts/a # chunk 0 of chunks:600,stride:250
  for k in 1 2 3; do
    tail -c "+$((250 * k + 1))" text/d | head -c 600 >parts/d$k
  done
  run 1 --model "$full" --output chunks.h5 --context chunks:600,stride:250 text/d
  run 1 --model "$full" --output parts.h5 parts
  rows chunks.h5 /tokens/nll 3001 0 600 >here
  rows parts.h5 /tokens/nll 2400 0 600 >there
  cmp here there || fail "the first chunk"
  for k in 1 2 3; do # of the later ones the last 250
    rows chunks.h5 /tokens/nll 3001 $((350 + 250 * k)) 250 >here
    rows parts.h5 /tokens/nll 2400 $((600 * k + 350)) 250 >there
    cmp here there || fail "chunk $k"
  done
  passed "chunks are documents"
fi

# ---- Half of the tokens say nothing of all bytes

if can_read "half chunks"; then
  # shellcheck disable=SC2086 # a list of words
  "$LONGSPAN" run --model "$full" --output half.h5 --context chunks:200,half $gemm text \
    >said 2>&1 || complain "half chunks"
  grep -q 'half.h5: .* bits a token, perplexity .* over ' said || complain "no score"
  if grep -q 'bits a byte over' said; then complain "bits a byte of half the tokens"; fi
  "$LONGSPAN" export half.h5 --documents --format jsonl >documents
  [ "$(grep -c '"nll_count":[1-9].*"bits_per_byte":null' documents)" -ge 3 ] ||
    complain "bits per byte of half the tokens"
  if grep -q '"word_perplexity":[0-9]' documents; then complain "words of half the tokens"; fi
  [ "$(grep -c '"words":[1-9]' documents)" -ge 3 ] || complain "its words cannot be read"
  status=0
  "$LONGSPAN" show half.h5 >shown 2>said || status=$?
  [ $status -eq 1 ] || complain "show: exit status $status, expected 1"
  grep -q 'half of its tokens alone' said || complain "show does not say why"
  passed "half of the tokens"
fi

# ---- Killed, again and again, and resumed

chunks="--context chunks:700,stride:300"
# shellcheck disable=SC2086 # lists of words
run 1 --model "$full" --output whole.h5 $results $chunks text
kills=0
for at in 25 32 40; do
  status=0
  (
    export LSP_FAULT_MODE=kill LSP_FAULT_PATH=/cut. LSP_FAULT_AT=$at LD_PRELOAD="$IOFAULT"
    start 1 --model "$full" --output "$work/cut.h5" --resume $results $chunks \
      --wave-tokens 256 text
  ) >said 2>&1 || status=$?
  case $status in
  1 | 2 | 75 | 124) complain "exit status $status of a run that is killed" ;;
  0) ;;
  *) kills=$((kills + 1)) ;;
  esac
done
[ $kills -ge 2 ] || fail "only $kills kills"
# shellcheck disable=SC2086 # a list of words
refused "" 1 --model "$full" --output cut.h5 $results --context chunks:700,stride:299 \
  --resume text
# shellcheck disable=SC2086 # lists of words
run 3 --model "$full" --output cut.h5 $results $chunks --resume text
[ "$(hash cut)" = "$(hash whole)" ] || fail "resumed: other bytes"
"$LONGSPAN" verify cut.h5 >said || complain "verify"
passed "killed $kills times and resumed"

# ---- Refusals

# misused PATTERN ARGUMENT...: exit status 2, one line.
misused() {
  pattern=$1
  shift
  status=0
  start 2 --output no.h5 "$@" text >said 2>&1 || status=$?
  [ $status -eq 2 ] || complain "exit status $status, expected 2: $*"
  [ "$(grep -c "^longspan: .*$pattern" said)" -eq 1 ] || complain "expected '$pattern': $*"
}
misused "exclude each other" --model "$full" --context chunks:200 --snapshots documents
misused "no room for tokens" --model "$prefix" --context chunks:1
misused "expected full, window:W" --model "$full" --context windows:9
[ ! -e no.h5 ] || fail "something was written"
passed "refusals"
