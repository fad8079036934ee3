#!/bin/sh
# Cost follows what is seen. FILE.run.json counts `visits`: products of a block of 64
# queries of one head with a tile of 64 keys. They are counted here again from
# config.json and the lengths of the documents, query by query, by what each branch is
# said to show: the tiles that hold a key of the run (the union of full, local and
# recurrence), and those that hold a fixed key that the run of its query does not show.
# The numbers are the same, on one rank and on three: a head with a short window does
# not pay for one with a long window, nor a layer, nor a rank for what it got from
# another.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python json)

cat >visits.py <<'END'
import json
import sys

config = json.load(open(sys.argv[1]))
documents = [int(n) + len(config.get("prefix", [])) for n in sys.argv[2:]]
heads = config["num_attention_heads"]
layers = config["layers"]
if isinstance(layers, dict):
    layers = [layers] * config["num_hidden_layers"]


def first_key(branch, head, i):
    """The run of a branch: keys from here to i."""
    kind = branch["type"]
    if kind == "full":
        return 0
    if kind == "local":
        window = branch["window"]
        return max(0, i - (window[head] if isinstance(window, list) else window) + 1)
    memory = branch["memory"]
    if branch.get("same_length", False):
        return max(0, i - memory + 1)
    return max(0, i // branch["segment"] * branch["segment"] - memory)


def tiles_of_block(branches, head, queries):
    runs = [b for b in branches if b["type"] != "fixed"]
    sinks = max([b["sinks"] for b in branches if b["type"] == "fixed"], default=0)
    run, fixed = set(), set()
    for i in queries:
        first = min([first_key(b, head, i) for b in runs], default=i + 1)
        run.update(range(first // 64, (i + 64) // 64) if runs else ())
        fixed.update(range((min(sinks, first) + 63) // 64))
    return len(run) + len(fixed)


total = 0
for layer in layers:
    union = layer.get("merge", "softmax") == "softmax"
    for branches in [layer["branches"]] if union else [[b] for b in layer["branches"]]:
        for head in range(heads):
            for rows in documents:
                for start in range(0, rows, 64):
                    queries = range(start, min(start + 64, rows))
                    total += tiles_of_block(branches, head, queries)
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
  recurrence-same recurrence-prefix layers plain-sum gate; do
  folder=$FIXTURES/branches/$model
  # shellcheck disable=SC2086 # a list of numbers
  expected=$("$python" visits.py "$folder/config.json" $lengths)
  for ranks in 1 3; do
    run $ranks --model "$folder" --output o.h5 --overwrite --write nll \
      --snapshots none --wave-tokens 700 many
    [ "$(fact o visits)" = "$expected" ] ||
      fail "$model: $ranks ranks: $(fact o visits) visits, expected $expected"
  done
  [ "$model" != local-grows ] || fewest=$expected
  [ "$model" != full ] || most=$expected
done
# This test can tell: three layers of short windows cost less than two that see all.
[ $((2 * fewest)) -lt "$most" ] || fail "short windows: $fewest visits, full: $most"
passed "visits are those that the patterns ask for"
