#!/bin/sh
# longspan plan --format json: what is foreseen is what a run counts, for every kind of
# layer and loan, one document and many, at several rank counts.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python json)
export OMP_NUM_THREADS=1

# same PLAN.json RUN.json KEY...: these numbers are equal in both, or, where content decides
# what is sent, the run's are not above the plan's, and what is visited is not said. A key
# that the run does not write is passed over.
cat >same.py <<'END'
import json, sys

plan, run = (json.load(open(path)) for path in sys.argv[1:3])
wrong = []
for key in sys.argv[3:]:
    if key not in run:
        print("passed over:", key)
        continue
    value = run[key]
    if isinstance(value, dict) and "max" in value:
        value = value["max"]
    if key == "visits" and plan[key] is None:
        equal = "picked" in run
    elif key.startswith(("messages_", "bytes_")) and not plan["lending_is_exact"]:
        equal = value <= plan[key] and "picked" in run
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
# Ids, of the few that most of these models know.
"$python" - <<'END'
import array, os, random

random.seed(1)
os.mkdir("ids")
lengths = {"text.bin": 5000, "ids/a": 700, "ids/b": 1, "ids/c": 65, "ids/d": 3000}
for name, length in lengths.items():
    ids = array.array("H", (random.randrange(61) for _ in range(length)))
    open(name, "wb").write(ids.tobytes())
END
for name in local-heads sinks-window full gate recurrence-prefix; do
  foreseen "branches/$name" 3 2048 one
  cat plan.json >>plans
  foreseen "branches/$name" 4 1500 many
done
foreseen branches/layers 1 3000 many
for context in "--context window:100,sinks:4" "--context chunks:500,stride:131" \
  "--context chunks:130,half"; do
  foreseen branches/full 3 1500 many
done
context=
passed "windows, first positions, everything before, gates, prefixes, contexts"

for name in chosen random-two nsa levels dynamic two_sided_local two_sided_mixed; do
  foreseen "branches/$name" 3 1024 --input-format u16 text.bin
  cat plan.json >>plans
done
for name in nsa global-positions two_sided_heads two_sided_own; do
  foreseen "branches/$name" 4 1500 --input-format u16 ids/*
done
passed "blocks, means, spans, both sides"

# None of these numbers may be nothing in all of these runs.
for kind in halo kept keep fixed pooled; do
  grep -A1 "\"$kind\": {" plans | grep -q '"messages": [1-9]' ||
    fail "no run has loans of kind $kind"
done
grep -q '"flops_of_full_layers": [1-9]' plans || fail "no run has a layer that sees all"
passed "every kind of loan"
