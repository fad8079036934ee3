#!/bin/sh
# The spooled tokens of a text on a disk that is full or fails, and a text that changes
# while it is cut: one line, and nothing left that looks whole.
set -eu
. "$(dirname "$0")/../runs.sh"

cp -r "$FIXTURES/branches/ids-tied-bias" model
cp "$FIXTURES/tokens/tokenizer.json" model
book 6000 31 >text

left() {
  for rest in out.*; do
    [ ! -e "$rest" ] || fail "$1: $rest is left over"
  done
}

# Each call of I/O on a file fails, until there is none left.
fail_all() {
  file=$1 mode=$2 ranks=$3 call=0 status=1
  while [ $status -ne 0 ]; do
    call=$((call + 1)) status=0
    [ $call -lt 40 ] || fail "$file: more calls than there can be"
    (
      export LD_PRELOAD="$IOFAULT" LSP_FAULT_PATH="out.h5.$file.tmp" LSP_FAULT_MODE="$mode"
      export LSP_FAULT_AT=$call LSP_FAULT_RANK=0
      start "$ranks" --model model --output out.h5 text >said 2>&1
    ) || status=$?
    case $status in
    0) ;;
    1)
      grep -q "^longspan: out.h5" said || complain "$mode, call $call of $file: not named"
      left "$mode, call $call of $file"
      ;;
    *) complain "$mode, call $call of $file: exit status $status" ;;
    esac
  done
  [ $call -gt 3 ] || fail "$file: $call calls"
  rm -f out.*
}
for file in ids starts; do
  fail_all $file enospc 1
  fail_all $file eio 2
  passed "a disk that is full or fails under $file"
done

# Another text under the same path on another host.
book 2500000 33 >book
book 2500000 34 >book.1
status=0
(
  export LD_PRELOAD="$IOFAULT" LSP_FAULT_RANK=1
  export LSP_FAULT_PATH="$work/book" LSP_FAULT_OPEN_AS="$work/book.1"
  # shellcheck disable=SC2086 # a list of words
  timeout -k 5 $limit $MPIRUN -n 2 "$LONGSPAN" tokenize --model model --output out.bin \
    "$work/book"
) >said 2>&1 || status=$?
[ $status -eq 1 ] || complain "exit status $status, expected 1"
grep -q "^longspan: .*/book: .*not those that were hashed" said || complain "what is said"
left "another text on another host"
passed "another text of the same size under the same path"

# ---- Two runs with one output, and one that is stopped

# A run that hangs while the text is cut.
(
  export LD_PRELOAD="$IOFAULT" LSP_FAULT_PATH=out.h5.ids.tmp LSP_FAULT_MODE=hang
  export LSP_FAULT_AT=3
  exec "$LONGSPAN" run --quiet --model model --output out.h5 text
) >said 2>&1 &
first=$!
tries=0
until [ -s out.h5.ids.tmp ]; do
  tries=$((tries + 1))
  [ $tries -lt 200 ] || { kill -9 $first && fail "the first run does not begin"; }
  sleep 0.1
done
for how in "" --resume --overwrite; do
  # shellcheck disable=SC2086 # perhaps nothing
  (refused "out.h5: another run is writing this output" 1 --model model --output out.h5 \
    $how text) || { kill -9 $first && fail "a second run $how"; }
done
[ -s out.h5.ids.tmp ] || fail "the tokens of the first run are gone"
kill -9 $first
wait $first || true
run 2 --model model --output out.h5 text
rm -f out.*
passed "one run at a time has an output"

status=0
(
  export LD_PRELOAD="$IOFAULT" LSP_FAULT_INIT=10
  start 2 --model model --output out.h5 text >said 2>&1
) || status=$?
[ $status -eq 75 ] || complain "exit status $status, expected 75"
left "a run that was stopped"
passed "a run that is asked to stop leaves no tokens"
