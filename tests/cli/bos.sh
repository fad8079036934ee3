#!/bin/sh
# A language model over text: ids, places and nll are those of its library, with the token
# that its tokenizer puts before a text, or another one, or none.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python h5py)

model="$FIXTURES/tokens"
text="$model/text"
cp -r "$model" bare
rm bare/tokenizer.json
cp -r "$model" broken
echo '{"model": {"type": "Unigram"}}' >broken/tokenizer.json

# into NAME RANKS ARGUMENT...: a run.
into() {
  name=$1 ranks=$2
  shift 2
  run "$ranks" --output "$name.h5" --overwrite "$@"
}

same() {
  [ "$(hash "$1")" = "$(hash "$2")" ] || fail "$3: other bytes"
  passed "$3"
}

# library NAME KIND: ids and nll of a run are those of the library; starts rise.
library() {
  "$python" - "$1.h5" "$model/$2" <<'PYTHON' || fail "$1: not as the library has it"
import sys
import h5py
import numpy as np
f = h5py.File(sys.argv[1])
ids = np.fromfile(sys.argv[2] + ".u16", "<u2")
nll = np.fromfile(sys.argv[2] + ".nll", "<f8")
assert np.array_equal(f["tokens/id"][:], ids), "ids"
# float32 against float64 of the same weights; another token before the text moves some
# nll by more than 1
error = np.abs(f["tokens/nll"][:] - nll).max()
assert error < 2e-5, error
assert f["documents/n_bytes"][0] == 492
if "byte_start" in f["tokens"]:
    start = f["tokens/byte_start"][:]
    assert start[0] == 0 and (np.diff(start) >= 0).all() and start[-1] < 492
PYTHON
  passed "$1: ids and nll of the library"
}

# ---- What the template says

into text 1 --model "$model" "$text"
library text text
into parse 2 --model "$model" --special-tokens parse "$text"
library parse parse
into named 3 --model "$model" --bos template "$text"
same text named "--bos template is the default"
into one 2 --model "$model" --bos 1 "$text"
same text one "--bos ID of what the template says"

# ---- Ids that are given get the same, if there is a tokenizer to say so

# nll NAME: the column of a run.
nll() {
  column "$1.h5" /tokens/nll
}

into ids 2 --model "$model" --input-format u16 "$model/text.u16"
into bare_one 1 --model bare --bos 1 --input-format u16 "$model/text.u16"
into bare 1 --model bare --input-format u16 "$model/text.u16"
into none 2 --model "$model" --bos none "$text"
into ids_none 1 --model "$model" --bos none --input-format u16 "$model/text.u16"
into other 1 --model "$model" --bos 0 "$text"
if can_read "what stands before ids"; then
  nll text >expected
  nll ids | cmp - expected || fail "ids: other nll"
  nll bare_one | cmp - expected || fail "ids without a tokenizer, --bos 1: other nll"
  nll bare >without
  nll none | cmp - without || fail "--bos none: other nll"
  nll ids_none | cmp - without || fail "--bos none over ids: other nll"
  ! nll other | cmp -s - expected || fail "--bos 0 changes nothing"
  ! cmp -s without expected || fail "--bos none changes nothing"
  first=$(head -c 4 without | od -An -tu4 | tr -d ' ')
  [ "$first" -ge 2143289344 ] || fail "without a token before it the first has an nll"
  first=$(head -c 4 expected | od -An -tu4 | tr -d ' ')
  [ "$first" -lt 2139095040 ] || fail "after a token the first has no nll"
fi
passed "ids, and what stands before them"

# ---- What is refused

# usage PATTERN ARGUMENT...: exit status 2 and one line.
usage() {
  pattern=$1
  shift
  status=0
  start 1 --output x.h5 "$@" >said 2>&1 || status=$?
  [ $status -eq 2 ] || complain "exit status $status, expected 2: $*"
  grep -q "^longspan: .*$pattern" said || complain "expected '$pattern': $*"
}
usage 'no token 512 in the model.s vocabulary of 512' --model "$model" --bos 512 "$text"
usage '.eos. is not template, none or a token id' --model "$model" --bos eos "$text"
usage 'not for a model of model_type "transfo-xl"' --model "$FIXTURES/law" --bos none "$text"

refused 'broken/tokenizer.json: ' 1 --model broken --output x.h5 "$text"
refused 'broken/tokenizer.json: ' 2 --model broken --output x.h5 --input-format u16 \
  "$model/text.u16"
into x 2 --model broken --bos none --input-format u16 "$model/text.u16"
grep -q '^longspan: the ids are taken without a tokenizer, since broken/tokenizer.json' \
  said || complain "it does not say that a tokenizer is passed over"
! can_read "ids without their tokenizer" || nll x | cmp - without || fail "other nll"
passed "a tokenizer that cannot be read is in the way of what needs it alone"

# Another token before the text is another run.
status=0
(
  export LD_PRELOAD="$IOFAULT" LSP_FAULT_PATH=stopped.h5.journal
  export LSP_FAULT_MODE=kill LSP_FAULT_AT=8
  start 1 --model "$model" --output stopped.h5 --wave-tokens 64 "$text" >said 2>&1
) || status=$?
[ $status -eq 137 ] || complain "exit status $status, expected 137"
refused '`prefix_ids` was' 1 --model "$model" --output stopped.h5 --resume --bos 0 "$text"
refused '`prefix` was' 1 --model "$model" --output stopped.h5 --resume --bos none "$text"
run 2 --model "$model" --output stopped.h5 --resume --bos 1 "$text"
same text stopped "stopped and resumed with the same token before the text"

# ---- plan

# planned TOKENS PREFIX ARGUMENT...
planned() {
  tokens=$1 prefix=$2
  shift 2
  "$LONGSPAN" plan --model "$model" --ranks 2 --format json "$@" "$text" >said
  grep -q "\"tokens\": $tokens,\{0,1\}$" said || complain "plan: not $tokens tokens"
  grep -q "\"prefix\": $prefix,\{0,1\}$" said || complain "plan: not $prefix before them"
}
planned 354 1
planned 318 0 --bos none --special-tokens parse
planned 354 1 --bos 5
passed "plan"
