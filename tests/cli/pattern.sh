#!/bin/sh
# longspan info of a model: what each layer sees, in words and drawn.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python json)

# model NAME LAYERS [KEYS]: a folder with a config.json, and weights that info counts but
# does not read.
model() {
  mkdir -p "$1"
  cat >"$1/config.json" <<END
{"model_type": "longspan", "vocab_size": 256, "tokenizer": "bytes", "hidden_size": 64,
 "num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 96, ${3-}
 "layers": [$2],
 "num_hidden_layers": $(printf '%s' "[$2]" | "$python" -c 'import json, sys
print(len(json.load(sys.stdin)))')}
END
  "$python" - "$1/model.safetensors" <<'END'
import json, struct, sys

header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<Q", len(header)) + header + bytes(4))
END
}

# says NAME TEXT...: info of that model says this, wherever it breaks its lines.
says() {
  "$LONGSPAN" info "$1" >said || fail "info $1"
  tr -s ' \n' ' ' <said >line
  name=$1
  shift
  for text in "$@"; do
    grep -qF -e "$text" line || { cat said >&2 && fail "$name: does not say '$text'"; }
  done
}

local='{"branches": [{"type": "local", "window": 512}]}'
full='{"branches": [{"type": "full"}]}'
sinks='{"branches": [{"type": "fixed", "sinks": 4, "place": "window"}, {"type": "local",
  "window": 512}]}'
heads='{"branches": [{"type": "local", "window": [16, 16, 16, 64, 64, 128, 128, 128]}]}'
recurrence='{"branches": [{"type": "recurrence", "segment": 128, "memory": 512}]}'
same='{"branches": [{"type": "recurrence", "segment": 128, "memory": 512,
  "same_length": true}]}'
gate='{"branches": [{"type": "local", "window": 8}, {"type": "full", "normalize": "none"},
  {"type": "fixed", "sinks": 1}], "merge": "gate"}'

model windows "$local, $local, $local"
says windows '8 query heads, 2 key/value heads of width 8' \
  'layers 0 to 2: a window of 512' 'RMS norm before each sublayer' \
  'back 511 positions in each layer, and at most 1,533 through all 3 layers'
model mixed "$local, $full, $local, $full, $heads, $full, $local, $full"
says mixed 'layers 0, 2, 6: a window of 512' 'layers 1, 3, ... 7: every position before' \
  'layer 4: windows of 16 (heads 0 to 2), 64 (heads 3, 4), 128 (heads 5 to 7)' \
  'to the beginning of its document: layers 1, 3, ... 7 see every position before' \
  'for every position before it: it grows with the text'
model sinks "$sinks, $sinks" '"prefix": [7, 8],'
says sinks 'the first 4 positions (as if just before the window) and a window of 512, in one' \
  'and at the first 4 positions at any distance' '2 rows before every document (ids 7, 8)'
model segments "$recurrence, $same" '"position": "relative", "clamp_len": 100,'
says segments 'layer 0: segments of 128 with a memory of 512' \
  'layer 1: the last 512 positions' 'alike from 100 on (clamp_len)' \
  'back 511 positions to 639 in a layer, and at most 1,150 through all 2 layers'
model gate "$gate" '"position": "learned", "max_position": 2000, "norm": "layer",
  "norm_place": "both", "score_cap": 30, "logit_cap": 20,'
says gate 'a window of 8, every position before (without a softmax) and the first position,' \
  'weighed by a gate' 'layer norm before and after each sublayer' \
  'learned; there are 2,000, and a longer document is refused' \
  'scores at 30, logits at 20'
passed "words"

# drawn NAME PICTURES: an SVG that is well-formed, has so many pictures, refers to nothing
# outside, and whose bytes are the same again.
drawn() {
  "$LONGSPAN" info --pattern "$1.svg" "$1" >said || fail "info --pattern of $1"
  grep -q "^  drawn .* in $1.svg" said || { cat said >&2 && fail "$1: not said"; }
  "$LONGSPAN" info "$1" --pattern=again.svg >said
  cmp "$1.svg" again.svg || fail "$1: drawn twice, and differs"
  "$python" - "$1.svg" "$2" <<'END' || fail "$1.svg"
import re, sys
import xml.etree.ElementTree as tree

svg = tree.parse(sys.argv[1]).getroot()
space = "{http://www.w3.org/2000/svg}"
assert svg.tag == space + "svg", svg.tag
pictures = [g for g in svg.iter(space + "g") if g.get("class") == "picture"]
assert len(pictures) == int(sys.argv[2]), f"{len(pictures)} pictures"
for element in svg.iter():
    assert element.tag in {space + t for t in ("svg", "title", "rect", "g", "path", "text")}
    assert not any("href" in key or "url(" in value for key, value in element.items())
END
}
drawn windows 1
drawn mixed 5
drawn sinks 1
drawn segments 2
drawn gate 3
"$LONGSPAN" info --pattern law.svg "$FIXTURES/law" >said || fail "a Transformer-XL"

# The cells of a small picture, one a position: a window of 2 beside the first position.
model tiny '{"branches": [{"type": "fixed", "sinks": 1}, {"type": "local", "window": 2}]}'
drawn tiny 1
"$python" - tiny.svg <<'END' || fail "tiny.svg: not the cells"
import re, sys
import xml.etree.ElementTree as tree

def cells(d):
    for x0, y0, x1, y1 in re.findall(r"M(\d+) (\d+)H(\d+)V(\d+)H\d+z", d):
        for y in range(int(y0), int(y1)):
            yield from ((y, x) for x in range(int(x0), int(x1)))

paths = [p for p in tree.parse(sys.argv[1]).getroot().iter() if p.get("fill", "none") != "none"
         and p.get("d")]
past, fixed, run = (sorted(cells(p.get("d"))) for p in paths)
assert run == sorted((i, j) for i in range(16) for j in range(max(0, i - 1), i + 1)), run
assert fixed == [(i, 0) for i in range(2, 16)], fixed
assert past == sorted((i, j) for i in range(16) for j in range(1, i - 1)), past
END
passed "pictures"

# A file of that name is replaced; what cannot be written is said in one line.
bad() {
  expected=$1 pattern=$2
  shift 2
  status=0
  "$LONGSPAN" info "$@" >said 2>err || status=$?
  [ $status -eq "$expected" ] || fail "$*: exit status $status, expected $expected"
  [ "$(wc -l <err)" -eq 1 ] || { cat err >&2 && fail "$*: not one line"; }
  grep -q "^longspan: .*$pattern" err || { cat err >&2 && fail "$*: expected '$pattern'"; }
}
echo old >tiny.svg
"$LONGSPAN" info --pattern tiny.svg tiny >said
cmp tiny.svg again.svg || fail "the old file is still there"
bad 1 'absent/x.svg' --pattern absent/x.svg tiny
bad 1 'tiny: ' --pattern tiny tiny
bad 2 '--pattern: needs a value' tiny --pattern
bad 2 '--pattern: .*tiny.svg is no model folder' --pattern x.svg tiny.svg
bad 2 '--patern: no such option; did you mean --pattern?' --patern x.svg tiny
bad 2 'info takes one PATH' tiny tiny
[ ! -e x.svg ] || fail "x.svg was written"
passed "what is refused"
