#!/bin/sh
# --store: layers that are given a store do what a model does that has one, bit for bit; the
# same bytes for any number of ranks and waves; it is in the file, and decides what may be
# resumed.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python json)

results="--write id,nll,hidden"
local=$FIXTURES/branches/local-heads full=$FIXTURES/branches/full
mkdir text
book 700 41 >text/a
book 63 42 >text/b
book 2001 43 >text/c

# with MODEL: a copy of it whose config.json has the store that
# --store layers:0-1,k:5,gate:0.5,memory:300,segment:100 gives, and gates of 0.
mkdir with
"$python" - "$local" with <<'END'
import json, struct, sys

config = json.load(open(f"{sys.argv[1]}/config.json"))
data = open(f"{sys.argv[1]}/model.safetensors", "rb").read()
n = struct.unpack("<Q", data[:8])[0]
header, data = json.loads(data[8 : 8 + n]), data[8 + n :]
layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
list_of = config["layers"]
if isinstance(list_of, dict):
    list_of = [json.loads(json.dumps(list_of)) for _ in range(layers)]
for i, layer in enumerate(list_of):
    layer["branches"].append(
        {"type": "store", "memory": 300, "segment": 100, "neighbours": 5})
    layer["merge"] = "memory_gate"
    end = len(data) + 4 * heads
    header[f"layers.{i}.attention.memory_gate"] = {
        "dtype": "F32", "shape": [heads], "data_offsets": [len(data), end]}
    data += bytes(4 * heads)
config["layers"] = list_of
json.dump(config, open(f"{sys.argv[2]}/config.json", "w"))
header = json.dumps(header).encode()
header += b" " * (-len(header) % 8)
with open(f"{sys.argv[2]}/model.safetensors", "wb") as f:
    f.write(struct.pack("<Q", len(header)) + header + data)
END
given="--store layers:0-1,k:5,gate:0.5,memory:300,segment:100"
# shellcheck disable=SC2086 # lists of words
run 2 --model "$local" --output given.h5 $results $given text
if can_read "a store that is given and one that a model has"; then
  # shellcheck disable=SC2086 # a list of words
  run 2 --model with --output had.h5 $results text
  run 2 --model "$local" --output bare.h5 text
  for of in given had bare; do rows $of.h5 /tokens/nll 2764 0 2764 >$of; done
  cmp given had || fail "not what a model with a store does"
  if cmp -s given bare; then fail "a store that says nothing"; fi
  passed "as a model that has a store"
fi

# same NAME MODEL OPTION...: like one rank and one wave.
same() {
  name=$1 model=$2
  shift 2
  # shellcheck disable=SC2086 # a list of words
  run 1 --model "$model" --output one.h5 --overwrite $results "$@" text
  for set_of in "2 256" "3 700" "4 1000000"; do
    # shellcheck disable=SC2086 # a list of words
    run "${set_of% *}" --model "$model" --output other.h5 --overwrite $results "$@" \
      --wave-tokens "${set_of#* }" text
    [ "$(hash other)" = "$(hash one)" ] || fail "$name: ${set_of% *} ranks"
  done
  passed "$name"
}
# shellcheck disable=SC2086 # a list of words
same "windows of heads" "$local" $given
same "a window with sinks, the whole text" "$full" --context window:60,sinks:4 \
  --store layers:0-1,k:3,gate:0.2,segment:64,keys:rotated

# What it says is in the file, word for word, and nothing else resumes it.
# shellcheck disable=SC2086 # lists of words
run 2 --model "$local" --output cut.h5 --wave-tokens 256 $results $given text
"$LONGSPAN" info cut.h5 | tr -s ' \n' ' ' >said
grep -q 'layers:0-1,k:5,gate:0.5,memory:300,segment:100,keys:plain' said ||
  complain "the file does not say its store"
run 2 --model "$local" --output first.h5 --snapshots last $given text/a
for other in "" "--store layers:0-1,k:5,gate:0.5,memory:300,segment:101" \
  "--store layers:0-1,k:5,gate:0.25,memory:300,segment:100"; do
  # shellcheck disable=SC2086 # a list of words
  refused "" 2 --model "$local" --output second.h5 --from-snapshot first.memory.h5 $other \
    text/b
done
# shellcheck disable=SC2086 # a list of words
run 2 --model "$local" --output second.h5 --from-snapshot first.memory.h5 $given text/b
passed "recorded"

# misused PATTERN STORE: exit status 2, one line, for run and plan.
misused() {
  status=0
  start 2 --output no.h5 --model "$local" --store "$2" text >said 2>&1 || status=$?
  [ $status -eq 2 ] || complain "exit status $status, expected 2: $2"
  [ "$(grep -c "^longspan: .*$1" said)" -eq 1 ] || complain "expected '$1': $2"
  status=0
  "$LONGSPAN" plan --model "$local" --ranks 2 --tokens 1000 --store "$2" >said 2>&1 ||
    status=$?
  [ $status -eq 2 ] || complain "plan: exit status $status, expected 2: $2"
  [ "$(grep -c "^longspan: .*$1" said)" -eq 1 ] || complain "plan: expected '$1': $2"
}
misused "layers, k or gate is missing" layers:1,k:4
misused "there is no layer 2 in" layers:0+2,k:4,gate:0.5
misused "no number above 0 and below 1" layers:0,k:4,gate:1
[ ! -e no.h5 ] || fail "something was written"
passed "refusals"
