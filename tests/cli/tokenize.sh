#!/bin/sh
# longspan tokenize: the ids of the library, in the formats that run reads; and that run
# over them computes what it computes over the text.
set -eu
. "$(dirname "$0")/../runs.sh"

tokens="$FIXTURES/tokens"
cp -r "$FIXTURES/branches/ids-tied-bias" model
cp "$tokens/tokenizer.json" model

# tokenize RANKS ARGUMENT...: that must succeed.
tokenize() {
  ranks=$1
  shift
  # shellcheck disable=SC2086 # a list of words
  timeout -k 5 $limit $MPIRUN -n "$ranks" "$LONGSPAN" tokenize --model model "$@" \
    >said 2>&1 || complain "tokenize $*"
}

# bad STATUS PATTERN ARGUMENT...: refused with one line.
bad() {
  expected=$1 pattern=$2
  shift 2
  status=0
  "$LONGSPAN" tokenize "$@" >said 2>&1 || status=$?
  [ $status -eq "$expected" ] || complain "exit status $status, expected $expected: $*"
  [ "$(wc -l <said)" -eq 1 ] || complain "not one line: $*"
  grep -q "^longspan: .*$pattern" said || complain "expected '$pattern': $*"
}

# ---- The ids

for special in text parse; do
  tokenize 1 --format u16 --special-tokens $special --output ids --overwrite "$tokens/text"
  cmp ids "$tokens/$special.u16" || fail "other ids than the library's: $special"
done
grep -q '^ids: 318 tokens of 2 bytes in 1 document; 492 bytes of text, 1.55 a token' said ||
  complain "what it says"
tokenize 1 --format u16 --output ids --overwrite --quiet - <"$tokens/text"
cmp ids "$tokens/text.u16" || fail "standard input: other ids"
[ ! -s said ] || complain "--quiet says something"
[ ! -e ids.stdin ] && [ ! -e ids.tmp ] || fail "a file is left over"
passed "the ids of the library"

# ---- Formats, and the run over them

mkdir texts
book 3000 5 >texts/a
: >texts/b
book 2000 6 >texts/c
tokenize 2 --format megatron --output set.idx texts
tokenize 3 --format megatron --output again texts
cmp set.bin again.bin && cmp set.idx again.idx || fail "other ranks, other dataset"
tokenize 1 --output a.u32 texts/a
tokenize 2 --format u16 --output a.u16 texts/a
results="--model model --write id,nll,hidden --snapshots none"
# shellcheck disable=SC2086 # lists of words
{
  run 1 $results --output text.h5 texts/a
  run 1 $results --output u16.h5 --input-format u16 a.u16
  run 2 $results --output u32.h5 --input-format u32 a.u32
  run 1 $results --output texts.h5 texts
  run 1 $results --output set.h5 set
}
if can_read "results of text and of ids"; then
  for what in id nll hidden; do
    column text.h5 /tokens/$what >expected
    for format in u16 u32; do
      column $format.h5 /tokens/$what | cmp - expected || fail "$format: other $what"
    done
    column texts.h5 /tokens/$what >expected
    column set.h5 /tokens/$what | cmp - expected || fail "megatron: other $what"
  done
  column texts.h5 /documents/n_bytes | od -An -td8 -v -w8 | tr -d ' ' | tr '\n' ' ' >got
  [ "$(cat got)" = "3000 0 2000 " ] || fail "bytes of the texts: $(cat got)"
fi
passed "a run over the ids computes what it computes over the text"

# ---- What is refused

bad 1 'a.u32: is there already; use --overwrite' --model model --output a.u32 texts/a
bad 1 'again.bin: is there already' --model model --format megatron --output again texts
bad 2 'c: is one of 3 documents.*--format megatron\|b: is one of 3' --model model --output x texts
bad 1 'there is no tokenizer.json' --model "$FIXTURES/law" --output x texts/a
bad 1 'nowhere: cannot be opened' --model model --output x nowhere
bad 2 'model: is missing' --output x texts/a
bad 2 'output: is missing' --model model texts/a
bad 2 'no INPUT' --model model --output x
bad 2 'the name of a file to write' --model model --output x/ texts/a
cp texts/a mine
bad 1 'mine: would be read and replaced' --model model --overwrite --output mine mine
cmp mine texts/a || fail "an input was changed"
cp texts/a y.tmp
bad 1 'y.tmp: nothing says that this file was left' --model model --output y texts/a
bad 1 'not a longspan\|cannot be' --model model --output nowhere/x texts/a
[ ! -e x ] && [ ! -e x.tmp ] || fail "a refusal leaves a file"
passed "refusals"

# An output is whole, or the old one.
cp a.u16 before
status=0
(
  export LD_PRELOAD="$IOFAULT" LSP_FAULT_PATH=a.u16.tmp LSP_FAULT_MODE=enospc LSP_FAULT_AT=2
  exec "$LONGSPAN" tokenize --model model --format u16 --overwrite --output a.u16 texts/c
) >said 2>&1 || status=$?
[ $status -eq 1 ] || complain "a full disk: exit status $status"
grep -q '^longspan: a.u16.tmp: ' said || complain "a full disk is not named"
cmp a.u16 before || fail "a full disk: the old file is gone"
[ ! -e a.u16.tmp ] || fail "a full disk: a file is left over"
passed "a full disk leaves what was there"
