#!/bin/sh
# Cost follows what is seen. FILE.run.json counts `visits`: products of a block of 64
# queries of one head with a tile of 64 keys. They are counted here again from
# config.json and the lengths of the documents, query by query, by what each branch is
# said to show: the tiles that hold a key of the run (the union of full, local and
# recurrence), those that hold a fixed key that the run of its query does not show, blocks
# that are drawn, as far as neither shows them, tiles of 64 means of each level or of a
# compressed past, and of 64 learned slots.
# The numbers are the same, on one rank and on three: a head with a short window does
# not pay for one with a long window, nor a layer, nor a rank for what it got from
# another.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python json)

cat >visits.py <<'END'
import json
import math
import os
import struct
import sys

config = json.load(open(sys.argv[1]))
documents = [int(n) + len(config.get("prefix", [])) for n in sys.argv[2:]]
heads = config["num_attention_heads"]
layers = config["layers"]
if isinstance(layers, dict):
    layers = [layers] * config["num_hidden_layers"]


def tensor(name):
    """Numbers of a tensor."""
    with open(os.path.join(os.path.dirname(sys.argv[1]), "model.safetensors"), "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
        first, end = header[name]["data_offsets"]
        letter = {"F64": "d", "F32": "f", "F16": "e"}[header[name]["dtype"]]
        f.seek(8 + size + first)
        return [x for x, in struct.iter_unpack("<" + letter, f.read(end - first))]


def mix(z):
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def drawn(branch, layer, head, block):
    """Blocks that a block of queries draws: Floyd's sampling of a counter's numbers."""
    low = max(0, block - branch["reach"])
    n = max(0, block - branch.get("beyond", 0) - low)
    r = min(branch["blocks"], n)
    if n == r:
        return set(range(low, low + n))
    key = mix(mix(mix(mix(branch.get("seed", 0)) ^ layer) ^ head) ^ block)
    taken = set()
    for t in range(r):
        most = n - r + t
        x = mix((key + t * 0x9E3779B97F4A7C15) % 2**64) * (most + 1) >> 64
        taken.add(most if x in taken else x)
    return {low + x for x in taken}


def first_key(branch, layer, head, i):
    """The run of a branch: keys from here to i."""
    kind = branch["type"]
    if kind == "full":
        return 0
    if kind == "local":
        window = branch["window"]
        return max(0, i - (window[head] if isinstance(window, list) else window) + 1)
    if kind == "dynamic":
        part = min(1, max(0, tensor(f"layers.{layer}.attention.span")[head]))
        return max(0, i - math.ceil(part * branch["window"] + branch["ramp"]) + 1)
    if kind == "levels":
        return levels_of(branch, i)[0]
    memory = branch["memory"]
    if branch.get("same_length", False):
        return max(0, i - memory + 1)
    return max(0, i // branch["segment"] * branch["segment"] - memory)


def levels_of(branch, i):
    """First key of the run, and the means of each level, [first, end)."""
    window, pool, found = branch["window"], branch["pool"], []
    first = start = max(0, (i - window + 1) // pool * pool)
    for level in range(1, branch["levels"] + 1):
        end = start // pool**level
        low = max(0, end - window if level == branch["levels"] else (end - window) // pool * pool)
        found.append((low, end))
        start = low * pool**level
    return first, found


def means(branch, beside, i):
    """What a query sees of each level."""
    if branch["type"] == "levels":
        return levels_of(branch, i)[1]
    if branch["type"] == "compressed_past":
        run, = (b for b in beside if b["type"] == "recurrence")
        end = max(0, i // run["segment"] * run["segment"] - run["memory"]) // branch["pool"]
        return [(max(0, end - branch["rows"]) if branch.get("rows", 0) else 0, end)]
    end = (i + 1) // branch["pool"]
    return [(max(0, end - branch["reach"]) if branch.get("reach", 0) else 0, end)]


def sees_of(branches, layer, head, i):
    """The first key of the run, and how many fixed ones a query sees before it."""
    runs = [b for b in branches if b["type"] not in ("fixed", "global", "random", "compressed", "compressed_past",
                                                    "learned")]
    first = min([first_key(b, layer, head, i) for b in runs], default=i + 1)
    sinks = max([b.get("sinks", b.get("tokens", 0)) for b in branches], default=0)
    if any(i in b.get("positions", ()) for b in branches):
        sinks = i + 1  # a global row sees all before it
    return first, min(sinks, first, i + 1), bool(runs)


def tiles_of_block(branches, beside, layer, head, queries):
    run, fixed, picked, pooled = set(), set(), set(), set()
    blocks = set()
    for b in branches:
        if b["type"] == "random":
            blocks |= drawn(b, layer, head, queries[0] // 64)
    for i in queries:
        first, sinks, is_run = sees_of(branches, layer, head, i)
        run.update(range(first // 64, (i + 64) // 64) if is_run else ())
        fixed.update((0, t) for t in range((sinks + 63) // 64))
        for b in branches:  # each global row by itself
            if i not in b.get("positions", ()):
                fixed.update((n, p // 64) for n, p in enumerate(b.get("positions", ())) if sinks <= p < first and p <= i)
        picked.update(c for c in blocks if max(64 * c, sinks) < min(64 * c + 64, first))
        for b in branches:
            for level, (low, end) in enumerate(means(b, beside, i) if "pool" in b else ()):
                pooled.update((level, t) for t in range(low // 64, (end + 63) // 64) if low < end)
    slots = sum((b["slots"] + 63) // 64 for b in branches if b["type"] == "learned")
    return len(run) + len(fixed) + len(picked) + len(pooled) + slots


total = 0
for number, layer in enumerate(layers):
    merge, all_of = layer.get("merge", "softmax"), layer["branches"]
    views = [all_of] if merge == "softmax" else [[b] for b in all_of]
    if merge == "memory_gate":
        views = [[b for b in all_of if (b["type"] == "learned") == is_memory] for is_memory in (False, True)]
    for branches in views:
        for head in range(heads):
            for rows in documents:
                for start in range(0, rows, 64):
                    queries = range(start, min(start + 64, rows))
                    total += tiles_of_block(branches, all_of, number, head, queries)
print(total)
END

mkdir many
lengths="1 64 200 1500 65"
n=0
for length in $lengths; do
  n=$((n + 1))
  book "$length" $n >many/$n
done
fewest='' most=''
for model in local-heads local-grows sinks-text sinks-window-heads full recurrence \
  recurrence-same recurrence-prefix layers plain-sum gate dynamic dynamic-sum global \
  global-gate random random-sum random-two levels levels-gate levels-two compressed \
  learned-softmax learned-concat compressed-past; do
  folder=$FIXTURES/branches/$model
  # shellcheck disable=SC2086 # a list of numbers
  expected=$("$python" visits.py "$folder/config.json" $lengths)
  for ranks in 1 3; do
    # shellcheck disable=SC2046 # a list of words
    run $ranks --model "$folder" --output o.h5 --overwrite --write nll \
      --snapshots none --wave-tokens 700 $(given "$folder" many)
    [ "$(fact o visits)" = "$expected" ] ||
      fail "$model: $ranks ranks: $(fact o visits) visits, expected $expected"
  done
  [ "$model" != local-grows ] || fewest=$expected
  [ "$model" != full ] || most=$expected
done
# This test can tell: three layers of short windows cost less than two that see all.
[ $((2 * fewest)) -lt "$most" ] || fail "short windows: $fewest visits, full: $most"
passed "visits are those that the patterns ask for"
