#!/bin/sh
# longspan plan --format json: what is foreseen is what a run counts, for every kind of
# layer and loan, one document and many, at several rank counts.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python json)
export OMP_NUM_THREADS=1

# same PLAN.json RUN.json KEY...: these numbers are equal in both, those behind --most no
# more than planned (null: not planned). A key that the run does not write is passed over.
cat >same.py <<'END'
import json, sys

plan, run = (json.load(open(path)) for path in sys.argv[1:3])
wrong, most = [], False
for key in sys.argv[3:]:
    if key == "--most":
        most = True
        continue
    if key not in run:
        print("passed over:", key)
        continue
    value = run[key]
    if isinstance(value, dict) and "max" in value:
        value = value["max"]
    if most:
        equal = plan[key] is None or 0 < value <= plan[key] * (1 + 1e-9)
    elif key == "flops":  # sums in another order
        equal = abs(plan[key] - value) <= 1e-9 * value
    else:
        equal = plan[key] == value
    if not equal:
        wrong.append(f"{key}: planned {plan[key]}, counted {value}")
sys.exit("\n".join(wrong) or 0)
END

# foreseen MODEL RANKS WAVE TEXT...: a run and its plan.
context=
foreseen() {
  model=$FIXTURES/$1 ranks=$2 wave=$3
  shift 3
  set -- $context "$@"
  run "$ranks" --model "$model" --output out.h5 --overwrite --wave-tokens "$wave" "$@"
  "$LONGSPAN" plan --model "$model" --ranks "$ranks" --wave-tokens "$wave" \
    --format json "$@" >plan.json || fail "plan $model $*"
  "$python" same.py plan.json out.run.json ranks threads layers wave_tokens flops visits \
    messages_a_layer_and_wave bytes_a_layer_and_wave messages_sent bytes_sent loans \
    planned_bytes || fail "$model on $ranks ranks, waves of $wave: $*"
}

# bounded MODEL KEYS...: a run and its plan, of which only these numbers are foreseen.
bounded() {
  model=$FIXTURES/branches/$1
  shift
  # shellcheck disable=SC2046 # a list of words
  run 3 --model "$model" --output out.h5 --overwrite --wave-tokens 1500 $(given "$model" some)
  # shellcheck disable=SC2046 # a list of words
  "$LONGSPAN" plan --model "$model" --ranks 3 --wave-tokens 1500 --format json \
    $(given "$model" some) >plan.json || fail "plan $model"
  "$python" same.py plan.json out.run.json ranks threads layers wave_tokens planned_bytes \
    "$@" || fail "$model on 3 ranks"
}

book 12000 1 >one
mkdir many
for n in 1 63 64 65 700 3000; do book $n $n >many/$n; done
: >many/empty
for case in 1:5000 2:5000 8:4000; do
  foreseen law "${case%:*}" "${case#*:}" one
  foreseen law-same "${case%:*}" "${case#*:}" many
done
passed "a Transformer-XL"

if [ ! -d "$FIXTURES/branches" ]; then
  echo "passed over: there are no longspan models"
  exit 0
fi
for name in local-heads sinks-window full gate recurrence-prefix; do
  foreseen "branches/$name" 3 2048 one
  cat plan.json >>plans
  foreseen "branches/$name" 4 1500 many
done
for name in levels levels-gate compressed; do
  # shellcheck disable=SC2046 # a list of words
  foreseen "branches/$name" 3 2048 $(given "$FIXTURES/branches/$name" one)
  cat plan.json >>plans
  # shellcheck disable=SC2046 # a list of words
  foreseen "branches/$name" 4 1500 $(given "$FIXTURES/branches/$name" many)
done
foreseen branches/layers 1 3000 many
for context in "--context window:100,sinks:4" "--context chunks:500,stride:131" \
  "--context chunks:130,half"; do
  foreseen branches/full 3 1500 many
done
context=
passed "windows, first positions, everything before, means, gates, prefixes, contexts"

# Memories of layers and around the model. Of --store a model needs to know nothing.
for name in learned-softmax learned-gate last-concat store store-all compressed-past \
  compressive compressive-delta input-memory armt rmt; do
  # shellcheck disable=SC2046 # a list of words
  foreseen "branches/$name" 3 2048 $(given "$FIXTURES/branches/$name" one)
  # shellcheck disable=SC2046 # a list of words
  foreseen "branches/$name" 4 1500 $(given "$FIXTURES/branches/$name" many)
done
context="--store layers:0-1,k:5,gate:0.25,memory:700,segment:100"
foreseen branches/local-heads 3 2048 one
foreseen branches/full 4 1500 many
context=
passed "memories"

mkdir some
for n in 1 64 65 700 3000; do book $n $n >some/$n; done
for name in levels-two levels-gate compressed global global-gate; do
  bounded $name flops visits messages_a_layer_and_wave bytes_a_layer_and_wave \
    messages_sent bytes_sent loans
done
for name in random-sum chosen; do
  bounded $name flops visits
done
bounded two_sided_local flops visits messages_a_layer_and_wave bytes_a_layer_and_wave \
  messages_sent bytes_sent loans
for name in two_sided_mixed two_sided_own; do
  bounded $name flops messages_a_layer_and_wave bytes_a_layer_and_wave messages_sent \
    bytes_sent loans
done
bounded dynamic --most flops visits # as long as spans can be
for name in random random-two chosen-local nsa selected-reach two_sided_mixed; do
  bounded $name flops --most visits # a block that is shown twice is visited once
done
passed "means, picked blocks, learned spans, both sides"

# None of these numbers may be nothing in all of these runs.
for kind in halo kept keep fixed pooled; do
  grep -A1 "\"$kind\": {" plans | grep -q '"messages": [1-9]' ||
    fail "no run has loans of kind $kind"
done
grep -q '"flops_of_full_layers": [1-9]' plans || fail "no run has a layer that sees all"
passed "every kind of loan"
