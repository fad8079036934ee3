#!/bin/sh
# longspan plan: the messages it foresees are those of a run; it works for any size.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python json)

plan() {
  "$LONGSPAN" plan --model "$FIXTURES/law" "$@" >said || fail "plan $*"
}

says() {
  grep -qe "$1" said || { cat said >&2 && fail "does not say '$1'"; }
}

plan --tokens 1000000 --ranks 4
says '^1,000,000 tokens in one document on 4 ranks of 1 thread$'
says '^  panels *3,909$' # 64, 64, 128, then 256 rows each
says '^  keys, values *1 message, 48.0 KiB, a rank, layer and wave'

# Memory and traffic of a rank do not depend on the length.
plan --tokens 1000000000 --ranks 100 --wave-tokens 2000000
sed -n '/^  keys, values/p; /^  memory/,/^$/p' said >once
plan --tokens 8000000000 --ranks 100 --wave-tokens 2000000
sed -n '/^  keys, values/p; /^  memory/,/^$/p' said >eight_times
cmp once eight_times || fail "memory or traffic grows with the length"

for ranks in 1 2 7 100000; do
  for tokens in 1 255 1000000000000; do
    plan --tokens $tokens --ranks $ranks
    says "^  waves "
  done
done
plan --tokens 1 --ranks 100000
says '99,999 ranks without work'
plan --tokens 100000 --ranks 1
says '^  keys, values *0 messages'
passed "plans"

# What is quadratic is said, and that nothing is. One layer in four sees every position.
plan --tokens 1000000 --ranks 4
says '^  quadratic *nothing: work grows as the text does$'
every=$PWD/every
mkdir every
sight='{"branches": [{"type": "local", "window": 64}]}'
full='{"branches": [{"type": "full"}]}'
four="$sight, $full, $sight, $sight"
cat >every/config.json <<END
{"model_type": "longspan", "vocab_size": 256, "tokenizer": "bytes", "hidden_size": 32,
 "num_hidden_layers": 16, "num_attention_heads": 4, "intermediate_size": 64,
 "layers": [$four, $four, $four, $four]}
END
said_of() {
  "$LONGSPAN" plan --model "$every" --ranks 4 "$@" >said || fail "plan $*"
  tr -s ' \n' ' ' <said >line
}
said_of --tokens 1000000
grep -q 'layers 1, 5, ... 13 look at every position before: work grows with the square of' \
  line || { cat said >&2 && fail "what is quadratic"; }
grep -q 'keys and values are kept, 1.4 GiB on all ranks, at most 369 MiB on one' line ||
  { cat said >&2 && fail "what is kept"; }
number() {
  said_of --format json --tokens "$1"
  awk -v key="\"$2\":" '$1 == key { sub(",", ""); printf "%.6g", $2 }' said
}
for key in flops_of_full_layers full_kept_bytes; do
  echo "$(number 1000000 $key) $(number 2000000 $key)"
done >grown
awk 'NR == 1 && ($2 / $1 < 3.999 || $2 / $1 > 4.001) { exit 1 }
     NR == 2 && ($2 / $1 < 1.999 || $2 / $1 > 2.001) { exit 1 }' grown ||
  { cat grown >&2 && fail "twice the text: not four times the work, twice what is kept"; }
passed "what is quadratic"

# What a layer keeps and fetches, and what is one wave. says_of TEXT MERGE BRANCHES [KEYS]
fourth=$every every=$PWD/kept
mkdir kept
says_of() {
  cat >"$every/config.json" <<END
{"model_type": "longspan", "vocab_size": 256, "tokenizer": "bytes", "hidden_size": 32,
 "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, ${4-}
 "layers": {"merge": "$2", "branches": [$3]}}
END
  said_of --tokens 100000
  grep -qF -e "$1" line || { cat said >&2 && fail "$3: does not say '$1'"; }
}
levels='{"type": "levels", "window": 64, "pool": 8, "levels": 3}'
compressed='{"type": "compressed", "pool": 16}'
says_of 'layers 0, 1: 70 positions, 2 tiles, and' softmax "$levels"
says_of 'quadratic nothing' softmax "$levels"
says_of 'layers 0, 1: 0 positions, 1 tile, and 6,250 pooled rows' softmax "$compressed"
says_of 'layers 0, 1 look back without end: work grows with the square of the text: 9' \
  softmax "$compressed"
says_of 'keys and values are kept, 3.1 MiB on all ranks' softmax "$compressed"
says_of '3,263 positions, 51 tiles, and 50 pooled rows; blocks are fetched as they are picked' \
  softmax '{"type": "chosen", "blocks": 4, "reach": 50}'
says_of 'but for the last tile' softmax '{"type": "chosen", "blocks": 4, "reach": 50}'
says_of 'layers 0, 1: 64 positions to each side; up to' softmax \
  '{"type": "local", "window": 64}' '"causal": false,'
says_of 'one wave layers 0, 1 need all of a document' softmax \
  '{"type": "local", "window": 64}, {"type": "global", "tokens": 2}' '"causal": false,'
said_of --format json --tokens 1000
"$python" - said <<'END' || fail "JSON of a two-sided model"
import json, sys

plan = json.load(open(sys.argv[1]))
assert plan["causal"] is False and plan["one_wave_layers"] == [0, 1]
assert plan["picking_layers"] == [] and plan["pooled_rows"] == [[], []]
END
every=$fourth
passed "what is kept, fetched, or one wave"

# --help names every key of the JSON but those of the parts.
said_of --format json --tokens 1000
"$LONGSPAN" plan --help | tr -s ' \n' ' ' >help
for key in $(sed -n 's/^  "\([a-z_]*\)":.*/\1/p' said); do
  case $key in
  format | *_by_part) continue ;;
  messages_* | bytes_*) key=_${key#*_} ;;
  esac
  grep -q "${key#_}" help || fail "--help does not name the key $key"
done
passed "keys"

# The work of a long text is worked out from its beginning: the same as if it was counted,
# which a text with one position less or more shows.
for n in 100000 1000000000; do
  a=$(number $n flops_of_attention) b=$(number $((n + 64000)) flops_of_attention)
  awk -v a="$a" -v b="$b" -v n=$n 'BEGIN { r = b / a; e = (1 + 64000 / n)
    exit !(r > e * 0.999 && r < e * e * 1.001) }' || fail "work at $n: $a, then $b"
done
passed "long texts"

# Texts as run takes them: files, folders, lists, ids.
mkdir texts
printf 'one' >texts/a
printf 'three' >texts/b
: >texts/c
printf '%s\n' texts texts/a >list
plan --ranks 2 texts
says '^8 tokens in 3 documents on 2 ranks of 1 thread$'
plan --ranks 2 --input texts @list
says '^19 tokens in 7 documents on 2 ranks'
plan --ranks 2 --input=texts/b
says '^5 tokens in one document on 2 ranks'
head -c 40 /dev/zero >ids.bin
"$LONGSPAN" plan --model "$FIXTURES/wt103" --ranks 1 --input-format u32 ids.bin >said
says '^10 tokens in one document on 1 rank of'
: >nothing
plan --ranks 2 --input nothing
says '^0 tokens in one document on 2 ranks'
passed "texts"

# A rate is assumed, and said to be, unless a run or the user gives it.
plan --tokens 20000 --ranks 2
says 'if each rank reaches 40 GFLOP/s (assumed'
printf 'A text. %.0s' 1 2 3 4 5 6 7 8 9 >text
run 1 --model "$FIXTURES/law" --output out.h5 text
plan --tokens 20000 --ranks 2 --like out.run.json
says 'GFLOP/s (as in the run of'
plan --tokens 20000 --ranks 2 --rate 100
says 'if each rank reaches 100 GFLOP/s (given)'
echo '{"flops": 0}' >other.run.json
status=0
"$LONGSPAN" plan --model "$FIXTURES/law" --tokens 9 --ranks 2 --like other.run.json \
  2>said || status=$?
[ $status -eq 1 ] || fail "exit status $status, expected 1"
says '^longspan: other.run.json: does not say what a run reached'
passed "rates"

# bad STATUS PATTERN ARGUMENT...: that exit status, and one line that matches.
bad() {
  expected=$1 pattern=$2
  shift 2
  status=0
  "$LONGSPAN" plan "$@" >said 2>err || status=$?
  [ $status -eq "$expected" ] || fail "$*: exit status $status, expected $expected"
  [ "$(wc -l <err)" -eq 1 ] || { cat err >&2 && fail "$*: not one line"; }
  grep -q "^longspan: $pattern" err || { cat err >&2 && fail "$*: expected '$pattern'"; }
  [ ! -s said ] || fail "$*: wrote to standard output"
}
law="--model $FIXTURES/law"
# shellcheck disable=SC2086 # a list of words
{
  bad 2 '--tokens: 0 is not in \[1, ' $law --tokens 0 --ranks 2
  bad 2 'plan needs --model DIR, --ranks P and --tokens N or INPUTs$' $law --ranks 2
  bad 2 'plan needs ' $law --tokens 5
  bad 2 '--tokens and texts exclude each other' $law --ranks 1 --tokens 5 texts
  bad 2 "--format: 'xml' is not one of text|json" $law --ranks 1 --tokens 5 --format xml
  bad 2 'plan does not read standard input' $law --ranks 1 -
  bad 1 'nowhere: ' $law --ranks 1 nowhere
  bad 2 '--segment 5: no layer of ' --model every --ranks 1 --tokens 5 --segment 5
}
bad 1 'texts/a: is text, but the model takes token ids' --model "$FIXTURES/wt103" \
  --ranks 1 texts/a
bad 1 '' --model absent --tokens 1 --ranks 2
sed 's/"layers"/"position": "learned", "max_position": 99, "layers"/' every/config.json \
  >learned.json
mkdir learned
mv learned.json learned/config.json
bad 1 'learned: the model has learned 99 positions, and the longest text takes 100;' \
  --model learned --tokens 100 --ranks 2
passed "what is refused"
