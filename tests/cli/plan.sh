#!/bin/sh
# longspan plan: the messages it foresees are those of a run; it works for any size.
set -eu
. "$(dirname "$0")/../runs.sh"

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
plan --tokens 1000000000 --ranks 1000 --wave-tokens 2000000
sed -n '/^  keys, values/p; /^  memory/,$p' said >once
plan --tokens 10000000000 --ranks 1000 --wave-tokens 2000000
sed -n '/^  keys, values/p; /^  memory/,$p' said >ten_times
cmp once ten_times || fail "memory or traffic grows with the length"

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

# fact KEY FIELD: a number of out.run.json.
fact() {
  awk -v key="\"$1\":" -v field="\"$2\":" '
    $1 == key { inside = 1 }
    inside && $1 == field { number = $2; exit }
    END { sub(",", "", number); printf "%.0f", number }' out.run.json
}

# sent WHERE: messages and bytes as plan writes them.
sent() {
  awk -v n="$(fact "messages_$1" max)" -v b="$(fact "bytes_$1" max)" 'BEGIN {
    printf "%d message%s, ", n, n == 1 ? "" : "s"
    unit[0] = "bytes"; unit[1] = "KiB"; unit[2] = "MiB"
    for (i = 0; b >= 1024; i++) b /= 1024
    printf(i == 0 || b >= 100 ? "%.0f %s" : "%.1f %s", b, unit[i])
  }'
}

# What a run counts is what was foreseen: spans longer than the reach, spans shorter
# than it, and ranks without work.
export OMP_NUM_THREADS=1
head -c 20000 /dev/zero | tr '\0' 'x' >text
for case in 1:5000 2:5000 4:20000 8:4000; do
  ranks=${case%:*} wave=${case#*:}
  run $ranks --model "$FIXTURES/law" --output out.h5 --overwrite --wave-tokens $wave text
  plan --tokens 20000 --ranks $ranks --wave-tokens $wave
  says "^  keys, values  *$(sent a_layer_and_wave), a rank, layer and wave (most)"
  says "^  *$(sent sent), a rank in the whole run (most)"
done
passed "messages"

# A rate is assumed, and said to be, unless a run or the user gives it.
says 'if each rank reaches 40 GFLOP/s (assumed'
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

status=0
"$LONGSPAN" plan --model "$FIXTURES/law" --tokens 0 --ranks 2 2>said || status=$?
[ $status -eq 2 ] || fail "exit status $status, expected 2"
says '^longspan: --tokens: 0 is not in \[1, '
status=0
"$LONGSPAN" plan --model absent --tokens 1 --ranks 2 2>said || status=$?
[ $status -eq 1 ] || fail "exit status $status, expected 1"
passed "what is refused"
