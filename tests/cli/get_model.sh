#!/bin/sh
# GGUF files as folders of a model: the numbers of every block type, names, orders of rows,
# config.json, splitting rules; longspan reads the folders. What cannot be had is refused
# by name.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python h5py numpy)
get_model=$FIXTURES/../../data/get_model.py

for file in "$FIXTURES"/gguf/*.gguf; do
  name=$(basename "$file" .gguf)
  "$python" "$get_model" "$file" --output "$name" >said || fail "$name"
  CASE=${file%.gguf}.json FOLDER=$name "$python" - <<'END'
import hashlib, json, os, struct
import numpy as np

case, folder = json.load(open(os.environ["CASE"], encoding="utf-8")), os.environ["FOLDER"]
config = json.load(open(folder + "/config.json"))
for key, value in case["config"].items():
    assert config[key] == value, (key, config[key], value)
with open(folder + "/model.safetensors", "rb") as f:
    size = struct.unpack("<Q", f.read(8))[0]
    header, data = json.loads(f.read(size)), f.read()
header.pop("__metadata__")
assert sorted(header) == sorted(case["tensors"]), set(header) ^ set(case["tensors"])
end = 0
for name, entry in header.items():
    begin, end_of = entry["data_offsets"]
    assert begin == end and entry["dtype"] == "F32" and end_of - begin == 4 * np.prod(entry["shape"])
    end = end_of
    assert hashlib.sha256(data[begin:end]).hexdigest() == case["tensors"][name], name
assert end == len(data)
open("text.txt", "w", encoding="utf-8", newline="").write(case["text"])
END
  run 2 --model "$name" --output "$name.h5" --special-tokens parse text.txt
  CASE=${file%.gguf}.json NAME=$name "$python" - <<'END'
import json, os
import h5py

case, name = json.load(open(os.environ["CASE"], encoding="utf-8")), os.environ["NAME"]
with h5py.File(name + ".h5") as f:
    ids = f["tokens/id"][:].tolist()
    first = f["tokens/nll"][0]
bos = name == "llama-bias"  # its rule says that texts begin with one, which is no row of the output
assert ids == case["ids"][bos:], (ids, case["ids"])
assert (first == first) == bos, "only after a beginning does the first token have a prediction"
END
done
passed "$(find . -name model.safetensors | wc -l) files"

# ---- Refusals

# refuses PATTERN ARGUMENT...: one line, and nothing is left behind.
refuses() {
  pattern=$1
  shift
  status=0
  "$python" "$get_model" "$@" --output refused >said 2>&1 || status=$?
  [ $status -eq 1 ] || complain "exit status $status: $*"
  [ "$(wc -l <said)" -eq 1 ] || complain "not one line: $*"
  grep -q "^get_model.py: .*$pattern" said || complain "expected '$pattern': $*"
  [ -z "$(find . -name 'refused' -o -name '.refused*')" ] || fail "left behind: $*"
}

# changed FROM TO: llama.gguf with one word for another of the same length.
changed() {
  FILE=$FIXTURES/gguf/llama.gguf FROM=$1 TO=$2 "$python" - <<'END'
import os
data, a, b = open(os.environ["FILE"], "rb").read(), os.environb[b"FROM"], os.environb[b"TO"]
assert a in data and len(a) == len(b)
open("changed.gguf", "wb").write(data.replace(a, b))
END
}

refuses "neither a file nor a model" no-such-model
changed architecture architecturf && refuses "architecture None; there are llama" changed.gguf
changed smollm smollx && refuses "splitting rule 'smollx'.*there are gpt-2" changed.gguf
changed blk.1.ffn_up blk.1.ffn_uq && refuses "tensor blk.1.ffn_uq.weight is not one" changed.gguf
changed llama.rope.freq_base llama.rope.freq_basf &&
  refuses "llama.rope.freq_basf is 50000.0, which this program cannot" changed.gguf
changed llama.block_count llama.block_cound && refuses "llama.block_count is missing" changed.gguf
changed GGUF FUGG && refuses "does not begin with GGUF" changed.gguf
head -c 50000 "$FIXTURES/gguf/llama.gguf" >short.gguf
refuses "ends before the data of" short.gguf
head -c 900 "$FIXTURES/gguf/llama.gguf" >short.gguf
refuses "ends early" short.gguf
head -c 10 "$FIXTURES/gguf/llama.gguf" >short.gguf
refuses "10 bytes; a GGUF file is longer" short.gguf
mkdir there
status=0
"$python" "$get_model" "$FIXTURES/gguf/llama.gguf" --output there >said 2>&1 || status=$?
{ [ $status -eq 1 ] && grep -q "there: is there already" said; } || complain "overwrote a folder"
passed "refusals"
