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

levels='{"branches": [{"type": "levels", "window": 64, "pool": 8, "levels": 3}]}'
nsa='{"branches": [{"type": "compressed", "pool": 16}, {"type": "selected", "blocks": 5},
  {"type": "local", "window": 32}], "merge": "input_gate"}'
chosen='{"branches": [{"type": "chosen", "blocks": 4, "reach": 1000, "beyond": 2},
  {"type": "local", "window": 32}]}'
drawn='{"branches": [{"type": "random", "blocks": 1, "reach": 50, "beyond": 1},
  {"type": "global", "tokens": 2}, {"type": "local", "window": 32}]}'
listed='{"branches": [{"type": "global", "positions": [5, 9, 400]},
  {"type": "local", "window": 32}], "merge": "sum"}'
learned='{"branches": [{"type": "dynamic", "window": 200, "ramp": 32}]}'
model levels "$levels, $learned, $levels"
says levels \
  'layers 0, 2: a window of 64 and before it 3 levels of as many means of 8, back over 37,440' \
  'layer 1: a window as long as each head has learned, up to 200, that ends over 32' \
  'back 231 positions to 37,440 in a layer' 'the farthest of them in means' ', at most '
model nsa "$nsa, $nsa"
says nsa 'means of 16 positions, all before; its block of 64 and the 4 before it that the' \
  'a window of 32; each weighed by gates of the token' 'layers 0, 1 look back without end' \
  'after a million positions: it grows with the text'
model picked "$chosen, $drawn, $listed"
says picked \
  'its block of 64 and the best 4 of the 1,000 before it but for the nearest 2 and a window' \
  '1 block of 64 drawn from the 50 before it but for the nearest; the first 2 positions,' \
  'which see every position before; a window of 32; in one softmax' \
  '3 positions from 5 to 400, which see every position before; a window of 32; added' \
  'at the first 2 positions at any distance; and at 3 positions of a list at any distance'
model sides "$local, $drawn" '"causal": false,'
says sides 'a window of 512 to each side' 'drawn from the 50 to each side but for the' \
  'each predicts its own token ("causal" is false)' \
  'layer 1 needs all of a document, which is one wave' 'back and ahead 512 positions to' \
  'snapshot none'
model whole "$full" '"causal": false,'
says whole 'layer 0: every position ' 'look at all of its document: layer 0 sees every' \
  'within it grows with the document: 2.56 in one of 10,000, 256 in one of 1,000,000'

# Spans are said as soon as they are known; what is kept of a layer is said.
model blocks '{"branches": [{"type": "chosen", "blocks": 2, "reach": 7}]}, {"branches":
  [{"type": "random", "blocks": 3, "reach": 9, "seed": 5}, {"type": "fixed", "sinks": 2}]}'
says blocks \
  'layer 0: keys and values of the last 511 positions, 7 means of 64 (to choose blocks by)' \
  'layer 1: keys and values of the last 639 positions, the first 2'
model means '{"branches": [{"type": "compressed", "pool": 16}, {"type": "selected",
  "blocks": 3}, {"type": "local", "window": 50}], "merge": "input_gate"}, {"branches":
  [{"type": "levels", "window": 8, "pool": 4, "levels": 2}]}'
says means 'layer 0: keys and values of every position, all means of 16' \
  'layer 1: keys and values of the last 10 positions, 15 means of 4, 16 means of 16'
model spans '{"branches": [{"type": "dynamic", "window": 100, "ramp": 32}]}' # no weights
says spans 'a window as long as each head has learned, up to 100, that ends over 32' \
  'keys and values of the last 131 positions'
model looks '{"branches": [{"type": "local", "window": 20}, {"type": "global",
  "positions": [0, 9]}]}' '"causal": false,'

# Memories: of layers, after the last norm, around the model.
learned='{"branches": [{"type": "learned", "slots": 1200}, {"type": "local", "window": 32}]}'
store='{"branches": [{"type": "local", "window": 32}, {"type": "store", "memory": 0,
  "segment": 128, "neighbours": 16, "similarity": "cosine", "keys": "rotated"}],
  "merge": "memory_gate"}'
near='{"branches": [{"type": "local", "window": 32}, {"type": "store", "memory": 4096,
  "segment": 128, "neighbours": 1}], "merge": "concat"}'
past='{"branches": [{"type": "recurrence", "segment": 64, "memory": 128}, {"type":
  "compressed_past", "pool": 8, "rows": 100, "compress": "convolution"}]}'
matrix='{"branches": [{"type": "compressive", "segment": 2048, "rule": "delta"}, {"type":
  "recurrence", "segment": 2048, "memory": 0}], "merge": "memory_gate"}'
model memories "$learned, $store, $near, $past, $matrix" \
  '"last_memory": {"slots": 17, "merge": "gate", "normalize": "none"},'
says memories 'layer 0: 1,200 learned slots and a window of 32, in one softmax' \
  'layer 1: a window of 32 and the best 16 of all positions before its segment of 128 by' \
  'by cosine (keys as turned), memory and attention weighed by a gate' \
  'layer 2: a window of 32 and the best of the 4,096 positions before its segment of 128,' \
  'of 128, side by side' \
  'memory of 128 and the last 100 convolutions of 8 positions that have left the memory, in' \
  'layer 4: a matrix of all segments of 2,048 before (delta rule) and segments of 2,048' \
  'last memory 17 learned slots after the last norm (without a softmax), weighed against' \
  'layer 1 looks back without end' 'it grows with the text'
model held "$matrix, $learned"
says held 'the matrix of layer 0 holds something of all segments before' \
  'layer 0: keys and values of the last 2,047 positions; and a state of 3.2 KiB a layer' \
  'layer 1: keys and values of the last 31 positions' 'snapshot 515 KiB'
around() { # NAME NUMBERS [KEYS]
  model "$1" "$full, $full" "\"memory\": {$2}, ${3-}"
}
around input '"type": "input", "segment": 512, "rows": 256' \
  '"position": "learned", "max_position": 1000,'
says input 'read in segments of 512 tokens, each after the 256 tokens before it, which are' \
  'a token sees at most 767 tokens before its own, through all layers' \
  'learned; there are 1,000 heads' 'ids of the segment under way and of what is read again, 3.0'
around alone '"type": "input", "segment": 1, "rows": 0'
says alone 'read in segments of 1 token, each by itself; positions count from 0 in each'
around both '"type": "input", "segment": 512, "rows": 256' '"causal": false,'
says both 'a token sees at most its segment and the 256 tokens before it' 'snapshot none'
around armt '"type": "associative", "segment": 512, "tokens": 16, "width": 10, "nu": 2'
says armt 'each before 16 memory tokens, which write a matrix (40 x 64) of each layer, that' \
  'through the memory, what it holds of all segments before' \
  'layers 0, 1: a state of 20.3 KiB a layer the model: ids of the segment under way, 2.0 KiB'
around rmt '"type": "tokens", "segment": 512, "tokens": 16'
says rmt 'each between 16 memory tokens before and as many behind it, of which the next' \
  'ids of the segment under way, and the memory tokens, 6.0 KiB' 'of whole segments, with the'
if [ -d "$FIXTURES/branches" ]; then
  cp -r "$FIXTURES/branches/dynamic" learned
  says learned 'windows of 0 (head 0), 36 (head 1), 71 (head 2), 100 (head 3) as learned,'
fi
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
drawn blocks 2
drawn means 4
drawn spans 1
drawn looks 1
drawn memories 8
drawn held 3
drawn armt 1
drawn rmt 1
[ ! -d learned ] || drawn learned 4 # heads differ
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

# Cells of models with the newer branches, one position each or several, against formulas.
model pooled '{"branches": [{"type": "compressed", "pool": 2, "reach": 2}]}'
model both '{"branches": [{"type": "local", "window": 1}, {"type": "global",
  "positions": [3]}]}' '"causal": false,'
model drawn2 "$sinks, "'{"branches": [{"type": "random", "blocks": 1, "reach": 6, "seed": 7}]}'
for name in pooled both drawn2; do
  "$LONGSPAN" info --pattern $name.svg $name >said
done
cat >cells.py <<'END'
import re
import xml.etree.ElementTree as tree

space = "{http://www.w3.org/2000/svg}"
colour = {"#1f8f83": "mean", "#8e5bb5": "random", "#2b6cb0": "run", "#e0a800": "global"}


def cells(path, number):
    """How each cell is seen, and how many positions one has."""
    svg = tree.parse(path).getroot()
    picture = [g for g in svg.iter(space + "g") if g.get("class") == "picture"][number]
    got = {}
    for p in picture.iter(space + "path"):
        if p.get("fill") not in colour:
            continue
        for x0, y0, x1, y1 in re.findall(r"M(\d+) (\d+)H(\d+)V(\d+)H\d+z", p.get("d")):
            for y in range(int(y0), int(y1)):
                for x in range(int(x0), int(x1)):
                    got[y, x] = colour[p.get("fill")]
    said = re.search(r"A cell: (\d+) positions", open(path).read())
    return got, int(said.group(1)) if said else 1


def mix(z):
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


got, each = cells("pooled.svg", 0)
assert each == 1
assert got == {(i, 2 * c + k): "mean" for i in range(16) for k in (0, 1)
               for c in range(max(0, (i + 1) // 2 - 2), (i + 1) // 2)}, got
got, each = cells("both.svg", 0)
assert each == 1
want = {(i, j): "run" for i in range(16) for j in range(16) if abs(i - j) <= 1}
want.update({(i, j): "global" for i in range(16) for j in range(16) if 3 in (i, j)})
assert got == want, got
# Of layer 1, head 0; one block of those within reach.
got, each = cells("drawn2.svg", 1)
rows = max(y for y, x in got) + 1
for y in range(rows):
    b = (y * each + each - 1) // 64
    near = list(range(max(0, b - 6), b))
    key = mix(mix(mix(mix(7) ^ 1) ^ 0) ^ b)
    take = near[mix(key) * len(near) >> 64] if near else None
    seen = {x for (at, x) in got if at == y}
    want = set() if take is None else {j // each for j in range(64 * take, 64 * take + 64)}
    assert seen == want, (y, seen, want)
END
"$python" cells.py || fail "not the cells"
passed "pictures"

# Without a model: an example of each kind of attention, which is the picture of README.md.
"$LONGSPAN" info --pattern examples.svg >said || fail "no examples"
grep -q '^  drawn  *an example of each kind of attention, in examples.svg$' said ||
  { cat said >&2 && fail "the examples are not said"; }
cmp examples.svg "$FIXTURES/../../data/patterns.svg" ||
  fail "data/patterns.svg is not what 'longspan info --pattern data/patterns.svg' draws"
cat >examples.py <<'END'
"""Every cell of the examples against the formulas of the branches: a cell of 8 keys is what
the last of its 8 queries sees of any of its keys, and of a global query what that sees."""
import re
import xml.etree.ElementTree as tree

N, EACH, B = 512, 8, 64
tone = ["-", "unseen", "held", "compared", "third", "second", "first", *(f"{w}/8" for w in range(1, 8)),
        "random", "chosen", "fixed", "run", "global"]  # the later one is drawn
colour = {"#e8edf3": "unseen", "#84bebb": "third", "#51a69f": "second", "#1f8f83": "first",
          "#8e5bb5": "random", "#c0395a": "chosen", "#dd7a16": "fixed", "#2b6cb0": "run",
          "#e0a800": "global", "#d9d3a8": "held", "#f3d3da": "compared"}
faint = "#d0ddeb #b9cde2 #a1bdda #8aacd2 #729cc9 #5a8cc1 #437cb8".split()
colour.update((of, f"{w}/8") for w, of in enumerate(faint, 1))


def mix(z):
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def drawn(b, blocks, r):
    """Of seed, layer and head 0."""
    key, taken = mix(mix(mix(mix(0) ^ 0) ^ 0) ^ b), []
    r = min(r, len(blocks))
    for t in range(r):
        m = len(blocks) - r + t
        x = mix((key + t * 0x9E3779B97F4A7C15) % 2**64) * (m + 1) >> 64
        taken.append(m if x in taken else x)
    return [blocks[k] for k in taken]


def block(c, how):
    return [(j, how) for j in range(B * c, B * c + B)]


def local(i, w):
    return [(j, "run") for j in range(max(0, i - w + 1), i + 1)]


def around(i, w):
    return [(j, "run") for j in range(N) if abs(i - j) <= w]


def fixed(i):
    return [(j, "fixed") for j in range(min(16, i + 1))]


def all_global(i):
    return [(j, "global") for j in range(N if i < 16 else 16)]


def random(i):
    b = i // B
    near = drawn(b, range(max(0, b - 6), b), 2)
    return fixed(i) + local(i, 32) + sum((block(c, "random") for c in near), [])


def two_sided(i):
    b = i // B
    near = drawn(b, [c for c in range(N // B) if abs(c - b) > 1], 1)
    return all_global(i) + around(i, 48) + sum((block(c, "random") for c in near), [])


def levels(i):
    """A level ends where the finer one begins."""
    w, p, names = 8, 4, ("first", "second", "third")
    f = max(0, (i - w + 1) // p * p)
    seen = [(j, "run") for j in range(f, i + 1)]
    for level, name in enumerate(names, 1):
        unit, e = p**level, f // p**level
        assert e * unit == f
        a = max(0, e - w) if name == "third" else max(0, (e - w) // p * p)
        seen += [(j, name) for j in range(a * unit, e * unit)]
        f = a * unit
    return seen


def dynamic(i):
    seen = []
    for j in range(i + 1):
        eighths = -(-8 * (160 + 96 - (i - j)) // 160)  # rounded up
        if eighths > 0:
            seen.append((j, "run" if eighths >= 8 else f"{eighths}/8"))
    return seen


def segment(i, n, before=0):
    return [(j, "run") for j in range(max(0, i // n * n - before), i + 1)]


def held(i, n):
    return [(j, "held") for j in range(i // n * n)]


def past(i):
    left = max(0, i // 64 * 64 - 64)
    return [(j, "first") for j in range(left // 32 * 32)] + segment(i, 64, 64)


def store(i):
    a = i // 64 * 64
    return [(j, "compared") for j in range(max(0, a - 256), a)] + local(i, 32)


def example(picture, sees, two_sided=False, rows=0, content=0, found=0):
    """rows: those that are global. content: blocks that are chosen, found: keys, nobody knows
    which."""
    cells = {}
    for path in picture.iter("{http://www.w3.org/2000/svg}path"):
        if path.get("fill") is None:
            continue
        for x0, y0, x1, y1 in re.findall(r"M(\d+) (\d+)H(\d+)V(\d+)H\d+z", path.get("d")):
            for y in range(int(y0), int(y1)):
                for x in range(int(x0), int(x1)):
                    assert (y, x) not in cells, "drawn twice"
                    cells[y, x] = colour[path.get("fill")]
    for y in range(N // EACH):
        i = y * EACH if y * EACH < rows else y * EACH + EACH - 1
        row = ["unseen" if two_sided or x <= y else "-" for x in range(N // EACH)]
        for j, how in sees(i):
            row[j // EACH] = max(row[j // EACH], how, key=tone.index)
        got = [cells.get((y, x), "-") for x in range(N // EACH)]
        if content:
            chosen = {x * EACH // B for x, how in enumerate(got) if how == "chosen"}
            assert len(chosen) == min(content, i // B), (y, chosen)
            assert all(c < i // B for c in chosen), (y, chosen)
            for c in chosen:
                for x in range(c * B // EACH, (c + 1) * B // EACH):
                    if row[x] != "run":
                        row[x] = "chosen"
        if found:
            chosen = [x for x, how in enumerate(got) if how == "chosen"]
            assert len(chosen) <= found and bool(chosen) == ("compared" in row), (y, chosen)
            for x in chosen:
                assert row[x] == "compared", (y, x)
                row[x] = "chosen"
        assert got == row, (y, got, row)


def by_block(i):
    return [(j, "run") for j in range(i // B * B, i + 1)]


def by_token(i):
    pooled = [(j, "first") for j in range((i + 1) // 32 * 32)]
    return pooled + by_block(i) + local(i, 32)


svg = tree.parse("examples.svg").getroot()
p = [g for g in svg.iter("{http://www.w3.org/2000/svg}g") if g.get("class") == "picture"]
assert len(p) == 18, len(p)
example(p[0], lambda i: local(i, N))
example(p[1], lambda i: local(i, 96))
example(p[2], lambda i: around(i, 48), two_sided=True)
example(p[3], lambda i: fixed(i) + local(i, 96))
example(p[4], lambda i: [(j, "run") for j in range(max(0, i // 64 * 64 - 96), i + 1)])
example(p[5], lambda i: all_global(i) + around(i, 48), two_sided=True, rows=16)
example(p[6], random)
example(p[7], two_sided, two_sided=True, rows=16)
example(p[8], by_block, content=2)
example(p[9], by_token, content=1)
example(p[10], levels)
example(p[11], dynamic)
example(p[12], lambda i: local(i, 96))
bars = [r for r in p[12].iter("{http://www.w3.org/2000/svg}rect") if int(r.get("x", 0)) < 0]
assert len(bars) == 1, "learned slots are not drawn"
example(p[13], store, found=6)
example(p[14], past)
example(p[15], lambda i: held(i, 64) + segment(i, 64))
example(p[16], lambda i: segment(i, 128, 64))
example(p[17], lambda i: held(i, 128) + segment(i, 128))
# An average that is wider than a cell begins at a border, and has none within.
for k, width, how in ((9, 32, "first"), (10, 16, "second"), (10, 64, "third")):
    paths = [path for path in p[k].iter() if path.get("stroke-width") in (".2", ".3")]
    within = [path for path in paths if colour.get(path.get("stroke")) == how]
    borders = paths[paths.index(within[0]) + 1]
    for path, inside in ((within[0], True), (borders, False)):
        at = {int(x) * EACH for x in re.findall(r"M(\d+) ", path.get("d"))}
        assert at and all((x % width > 0) == inside for x in at), (how, at)
END
"$python" examples.py || fail "examples.svg: not the cells"
passed "examples"

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
bad 2 'info takes one PATH' --pattern x.svg tiny tiny
bad 2 'info takes one PATH'
bad 1 'absent/x.svg' --pattern absent/x.svg
[ ! -e x.svg ] || fail "x.svg was written"
passed "what is refused"
