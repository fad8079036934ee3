#!/bin/sh
# longspan info: models, outputs, memory files, outputs under way, and what is none.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python h5py)

# says PATTERN...: each is a line of the last `info`.
says() {
  for pattern in "$@"; do
    grep -qe "$pattern" said || { cat said >&2 && fail "does not say '$pattern'"; }
  done
}

# bad PATTERN PATH: exit status 1 and one line that matches.
bad() {
  status=0
  "$LONGSPAN" info "$2" >said 2>err || status=$?
  [ $status -eq 1 ] || fail "$2: exit status $status, expected 1"
  [ "$(wc -l <err)" -eq 1 ] || { cat err >&2 && fail "$2: not one line"; }
  grep -q "^longspan: .*$1" err || { cat err >&2 && fail "$2: expected '$1'"; }
}

# Parameters, counted from the tensors themselves.
for model in law wt103 untied-bf16 div1-noshare div2-nocut other-names cutoffs20 \
  families/llama3 families/smollm3 families/gpt2; do
  count=$("$python" - "$FIXTURES/$model" <<'END'
import glob, json, math, struct, sys
n = 0
for name in glob.glob(sys.argv[1] + "/model*.safetensors"):
    data = open(name, "rb").read()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    n += sum(math.prod(t["shape"]) for name, t in header.items()
             if name != "__metadata__" and not name.endswith("inv_freq"))
print(f"{n:,}")
END
  )
  "$LONGSPAN" info "$FIXTURES/$model" >said
  says "^  parameters *$count\$" '^  layers *[124], ' '^  stored .* tensors of '
done
"$LONGSPAN" info "$FIXTURES/law" >said
says '^  segment *80 tokens' '^  memory *96 positions' \
  '^  reach .*back 175 positions in each layer' 'bytes' \
  '^  layers *2, layer norm after each' '^  heads *2 heads of width 16$' \
  '^  snapshot *87.5 KiB$' '^  work *0.04915 MFLOP a token outside attention, 0.0524'
"$LONGSPAN" info "$FIXTURES/families/smollm3-list" >said
says '^  positions *rotary; none in layers 0, 2$' '^  trained *for documents of up to 512' \
  '^  attention *layers 0, 2: a window of 33, without positions$' \
  'rope_type yarn, *$' '^  stored *51 tensors of BF16'
"$LONGSPAN" info "$FIXTURES/families/gpt2" >said
says '^.*: a gpt2 model$' '^  positions *learned; there are 300, ' '^  reach .*beginning'
passed "models"

"$python" -c 'print("A line of text that says little. " * 60)' >text
run 1 --model "$FIXTURES/law" --output out.h5 --snapshot-every 3 text
"$LONGSPAN" info out.h5 >said
bits=$("$python" -c 'import h5py
print("%.4f" % h5py.File("out.h5")["documents/bits_per_byte"][0])')
says 'an output of longspan, complete' '^  tokens *1,981 in 1 document$' \
  '^  each token has *id, nll$' "^  bits per byte *$bits\$" '^  segment *80$' \
  "^  text  *1,981 *$bits\$"
"$LONGSPAN" info out.memory.h5 >said
says 'memory snapshots of longspan' '^  snapshots *9$' '2 layers, 175 rows of width 32' \
  '^  each takes *87.5 KiB$' '^  format *version 2$' '^  0 to 1, each *175 *0 *43.8 KiB  -$' \
  '^ *0 *0 *240 *175 *100 %  65 to 239$' '^ *8 *0 *1,981 *175 *100 %  1,806 to 1,980$'
passed "outputs and memory files"

# Rows that stand for many positions are counted apart; what a two-sided model predicts is
# said.
if [ -d "$FIXTURES/branches" ]; then
  "$python" -c 'open("few.bin", "wb").write(bytes([7, 0, 9, 0, 30, 0] * 300))'
  run 1 --model "$FIXTURES/branches/chosen-local" --output few.h5 --input-format u16 \
    --snapshot-every 500 few.bin
  "$LONGSPAN" info few.memory.h5 >said
  says '2 layers, 511 rows of width 16$' '^  fixed rows *2, ' \
    '^  pooled rows *8, .*means of many positions$' '^ *0 *0 *500 *500 *98 %  0 to 499$'
  run 1 --model "$FIXTURES/branches/two_sided_local" --output few.h5 --overwrite \
    --input-format u16 few.bin
  "$LONGSPAN" info few.h5 >said
  says '^  predicts *own: a row its own token'
  passed "means, both sides"
fi

# Token ids: of the bytes of ids there is nothing to say.
"$LONGSPAN" run --model "$FIXTURES/wt103" --output ids.h5 --input-format u16 --overwrite \
  "$FIXTURES/wt103/doc2.bin" "$FIXTURES/wt103/doc0.bin" >ran 2>&1
"$LONGSPAN" info ids.h5 >said
! grep 'bits per byte\|bits a byte' said ran || fail "bits per byte of token ids"
bits=$("$python" -c 'import h5py, math
d = h5py.File("ids.h5")["documents"]
b = d["nll_sum"][0] / d["nll_count"][0] / math.log(2)
print("%.4f %.4f %.6f" % (b, 2 ** b, 2 ** b))')
closing=${bits##* } bits=${bits% *}
says "^  bits per token *${bits% *}\$" "^  perplexity *${bits#* }\$" \
  "doc2.bin *131 *${bits% *}\$" 'doc0.bin *1 *-$'
grep -q "ids.h5: ${bits%%.*}[0-9.]* bits a token, perplexity $closing," ran ||
  fail "the closing line: $(tail -1 ran)"
passed "token ids"

# A run stopped on request leaves an output under way, which info does not touch.
"$python" -c 'print("A line of text that says little. " * 60000)' >long
for seconds in 1 2 4 8 16; do # a second may pass before the first wave can begin
  status=0
  start 1 --model "$FIXTURES/law" --output way.h5 --wave-tokens 256 --resume \
    --max-time $seconds long >said 2>&1 || status=$?
  [ $status -eq 75 ] || { cat said >&2 && fail "stopped run: exit status $status"; }
  ! "$LONGSPAN" info way.h5 2>/dev/null | grep -q '^  committed *[1-9]' || break
done
cp way.h5.journal before
for path in way.h5 way.h5.part way.h5.journal; do
  "$LONGSPAN" info $path >said
  says '^way.h5: an output of longspan, not finished$' \
    '^  committed *[0-9,]* of 1,980,001 tokens' '^  so far *[0-9.]* bits a token' \
    '^  memory *175 rows before the next token, in FILE.h5.slot$' \
    '^  to resume *.*--resume'
done
printf 'torn' >>way.h5.journal
"$LONGSPAN" info way.h5 >said
says 'not finished'
printf 'torn' >>before
cmp way.h5.journal before || fail "info changed the journal"
# A run that was begun with --overwrite: the complete output, and what replaces it.
cp out.h5 old.h5
cp out.memory.h5 old.memory.h5
for seconds in 1 2 4 8 16; do
  status=0
  start 1 --model "$FIXTURES/law" --output old.h5 --overwrite --wave-tokens 256 \
    --max-time $seconds long >said 2>&1 || status=$?
  [ $status -eq 75 ] || { cat said >&2 && fail "--overwrite: exit status $status"; }
  [ ! -e old.h5.journal ] || break
done
"$LONGSPAN" info old.h5 >said
says '^old.h5: an output of longspan, complete; a run with --overwrite is to replace it' \
  '^  tokens *1,981 in 1 document$' \
  '^old.h5: the new output, which will replace the complete one, not finished$' \
  '^  committed *[0-9,]* of 1,980,001 tokens'
cmp out.h5 old.h5 || fail "--overwrite: the old output was changed before the end"
passed "outputs under way"

head -c 3000 out.h5 >cut.h5
: >empty.h5
mkdir folder
bad 'No such file' absent.h5
bad 'cut.h5: ' cut.h5
bad 'empty.h5: ' empty.h5
bad 'text: not a readable HDF5 file' text
bad 'folder/config.json: ' folder
printf 'nothing' >broken.h5.journal
bad 'broken.h5.journal: not a journal' broken.h5
passed "what is none"
