#!/bin/sh
# Law 1 and law 3 for memories that are states, handed along the ranks: the same bytes of
# FILE.h5 and FILE.memory.h5 (states of every snapshot included) for any number of ranks,
# waves and threads, for a run killed and resumed, for a text in volumes that are cut inside
# of a segment, of a block and of a panel; and what a rank sends of a layer does not grow
# with the text.
#
# Segments are shorter than a block, no multiple of anything, longer than a span and than a
# wave; and so many in a span that the ranks walk them twice. No weight depends on a segment,
# so the models are fixtures with other numbers.
# shellcheck disable=SC2046,SC2086 # lists of words
set -eu
. "$(dirname "$0")/../runs.sh"
can_read "states" || exit 77

branches=$FIXTURES/branches
results="--write id,nll,hidden"

# model NAME FIXTURE SED: a fixture with another config.json, in ./NAME.
model() {
  rm -rf "$1"
  mkdir "$1"
  cp "$branches/$2/model.safetensors" "$1"
  tr -d '\n' <"$branches/$2/config.json" | sed "$3" >"$1/config.json"
  tr -d '\n' <"$branches/$2/config.json" | cmp -s - "$1/config.json" &&
    fail "$1: sed changed nothing"
  return 0
}

segment='s/"segment": *[0-9]*/"segment":'
model short compressive "$segment 3/"
model odd compressive "$segment 50/"
model long compressive "$segment 2000/"
model odd-delta compressive-delta "$segment 77/"
model long-delta compressive-delta "$segment 700/"
model single compressive "$segment 1/"

# ---- Ranks, waves, threads

mkdir docs
: >docs/a
book 1 61 >docs/b
book 700 62 >docs/c
book 3001 63 >docs/d
book 64 64 >docs/e
book 257 65 >docs/f

# same MODEL: stops at ends of documents and, every so often, inside of them.
same() {
  every="--snapshots documents --snapshot-every $2"
  expected=
  for set_of in "1 1000000" "2 256" "3 700" "4 1000000" "7 1300" "1 300" "5 900"; do
    ranks=${set_of% *}
    run $ranks --model "$1" --output o.h5 --overwrite $results $every \
      --wave-tokens ${set_of#* } --threads $((ranks % 2 + 1)) $(given "$1" docs)
    expected=${expected:-$(hash o)}
    [ "$(hash o)" = "$expected" ] ||
      fail "$core: $1: $ranks ranks, waves of ${set_of#* }"
  done
  [ "$(column o.memory.h5 /states/0/matrix | od -An -v -tx1 | grep -cv '^\( 00\)*$')" -gt 20 ] ||
    fail "$1: states of nothing"
  passed "$core: $1: seven ways to cut it"
}

for core in $(cores); do last=$core; done
core=$last
use "$core"
same short 100
same odd 333
same long 500
same odd-delta 333
same long-delta 100

# More segments than there are records of them: the walk is done twice.
mkdir many
book 30011 66 >many/a
run 3 --model single --output o.h5 --overwrite $results --wave-tokens 4000 \
  $(given single many)
expected=$(hash o)
run 1 --model single --output o.h5 --overwrite $results --wave-tokens 1000000 \
  $(given single many)
[ "$(hash o)" = "$expected" ] || fail "single: walked twice"
passed "$core: single: 30011 segments, walked twice"

# ---- Volumes

tokens=2501
book $tokens 67 >book.txt

# snapshot FILE: what the last snapshot says.
snapshot() {
  for dataset in position last_id hidden; do
    column "$1.memory.h5" /snapshots/$dataset | od -An -v -tx1
  done
  for layer in 0 1; do
    for part in $parts; do
      column "$1.memory.h5" /states/$layer/$part | od -An -v -tx8 -w64
    done
  done
}

# volumes MODEL CUT...
volumes() {
  model=$1 text=$(given "$1" book.txt)
  shift
  format=${text#"${text%% *}"} text=${text%% *} width=2
  run 2 --model $model $results --output whole.h5 --overwrite --wave-tokens 1100 \
    $text $format
  at=0 before='' ranks=1
  for cut in "$@" $tokens; do
    tail -c +$((width * at + 1)) $text | head -c $((width * (cut - at))) >volume.txt
    run $ranks --model $model $results --output "part-$cut.h5" --overwrite \
      --wave-tokens $((260 * ranks)) ${before:+--from-snapshot "$before"} volume.txt \
      $format
    for dataset in id nll hidden; do
      rows whole.h5 /tokens/$dataset $tokens $at $((cut - at)) >expected
      column "part-$cut.h5" /tokens/$dataset | cmp -s - expected ||
        fail "$core: $model: $ranks ranks: $dataset of tokens $at to $cut"
    done
    at=$cut before=part-$cut.memory.h5 ranks=$((ranks % 3 + 1))
  done
  snapshot whole >expected
  snapshot "part-$tokens" >got
  [ "$(wc -l <expected)" -gt 20 ] || fail "a snapshot of nothing"
  cmp -s expected got || fail "$core: $model: the snapshot after volumes"
  passed "$core: $model: cut at $*"
}

parts="matrix normalizer matrix_sum normalizer_sum"
volumes short 1 2 500 1001
volumes odd 1 63 300 1000
volumes long 64 257 2000 2001
parts="$parts decay_sum"
volumes odd-delta 1 77 100 513
volumes long-delta 699 701 1403

# A volume without a token: what comes after it begins anew.
: >nothing
head -c 200 book.txt-61 >begun
run 1 --model odd --output first.h5 begun --input-format u16
for ranks in 1 3; do
  run $ranks --model odd $results --output after.h5 --overwrite \
    --from-snapshot first.memory.h5 nothing book.txt-61 --input-format u16
  run 1 --model odd $results --output alone.h5 --overwrite book.txt-61 --input-format u16
  for dataset in id nll hidden; do
    column after.h5 /tokens/$dataset >got
    column alone.h5 /tokens/$dataset | cmp -s - got || fail "after an empty volume: $dataset"
  done
done
passed "$core: an empty volume"

# ---- Killed and resumed

cat >faulty <<'END_OF_FAULTY'
#!/bin/sh
[ "${OMPI_COMM_WORLD_RANK-0}" -ne $((RANKS - 1)) ] || export LD_PRELOAD="$IOFAULT"
exec "$PROGRAM" "$@"
END_OF_FAULTY
chmod +x faulty

# killed RANKS AT: kills the last rank before its AT-th call of the output's files.
killed() {
  status=0
  (
    export PROGRAM="$LONGSPAN" RANKS="$1" LSP_FAULT_MODE=kill LSP_FAULT_PATH=/parts.
    export LSP_FAULT_AT="$2" OMPI_MCA_odls_base_sigkill_timeout=0
    LONGSPAN=$work/faulty
    start "$1" --model "$model" --output "$work/parts.h5" --resume $results \
      --snapshots documents --snapshot-every 500 --wave-tokens $((256 * $1)) \
      $(given "$model" "$work/docs")
  ) >said 2>&1 || status=$?
  case $status in
  1 | 2 | 75 | 124) complain "exit status $status of $1 ranks, the last one killed" ;;
  0) ;;
  *) kills=$((kills + 1)) ;;
  esac
}

resumed() {
  model=$1 kills=0
  run 2 --model "$model" --output whole.h5 --overwrite $results \
    --snapshots documents --snapshot-every 500 $(given "$model" docs)
  rm -f parts.*
  killed 1 40
  killed 3 20
  killed 2 30
  killed 1 40
  [ $kills -eq 4 ] || fail "$model: only $kills kills"
  run 3 --model "$model" --output parts.h5 --resume $results --snapshots documents \
    --snapshot-every 500 $(given "$model" docs)
  [ "$(hash parts)" = "$(hash whole)" ] || fail "$core: $model: resumed: other bytes"
  passed "$core: $model: killed 4 times, resumed on 1, 2, 3 ranks"
}

resumed odd
resumed long
resumed long-delta

# ---- What is sent (law 3)

# Of a layer (of 2) and wave each rank hands its parts on once, in one message of
# G (2 E^2 + 2 E) numbers of 8 bytes, or G (3 E^2 + 2 E) with the delta rule (G 2, E 8); in
# the last wave the last rank does not. So it is for ten times the text; and the most that a
# layer of a wave sends, with what its window sends, is the same.
handed() { # handed KEY FIELD
  tr -d ' \n' <o.run.json | sed -n "s/.*\"states\":{.*\"$1\":{[^}]*\"$2\":\([0-9]*\).*/\1/p"
}
before=
sent() { # sent MODEL TOKENS SQUARES
  book $2 68 >text
  run 3 --model "$1" --output o.h5 --overwrite --write nll --snapshots none \
    --wave-tokens 768 $(given "$1" text)
  bytes=$((2 * ($3 * 8 * 8 + 2 * 8) * 8)) waves=$(($2 / 768))
  for count in "messages_sent max $((2 * waves))" "messages_sent min $((2 * waves - 2))" \
    "bytes_sent max $((2 * waves * bytes))"; do
    set -- "$1" "$2" "$3" $count
    [ "$(handed $4 $5)" -eq $6 ] ||
      fail "$1: $2 tokens: $4 of states is $(handed $4 $5), expected $6"
  done
  most="$(fact o messages_a_layer_and_wave max) $(fact o bytes_a_layer_and_wave max)"
  [ "${before:-$most}" = "$most" ] || fail "$1: a layer and wave: $before, then $most"
  before=$most
}
for tokens in 3072 30720; do
  sent odd $tokens 2
done
before=
for tokens in 3072 30720; do
  sent odd-delta $tokens 3
done
passed "each rank hands on its state once a layer and wave, whatever the text"

# The plan foresees what a run counts.
python=$(find_python json)
cat >same.py <<'END'
import json, sys

plan, run = (json.load(open(path)) for path in sys.argv[1:3])
of = lambda x: x["max"] if isinstance(x, dict) and "max" in x else x
wrong = [f"{key}: planned {plan[key]}, counted {of(run[key])}" for key in (
    "messages_a_layer_and_wave", "bytes_a_layer_and_wave", "messages_sent", "bytes_sent",
    "visits", "planned_bytes") if plan[key] != of(run[key])]
sys.exit("\n".join(wrong) or 0)
END
for name in odd long-delta single; do
  run 3 --model $name --output o.h5 --overwrite --wave-tokens 700 $(given $name docs)
  OMP_NUM_THREADS=1 "$LONGSPAN" plan --model $name --ranks 3 --wave-tokens 700 \
    --format json $(given $name docs) >plan.json || fail "plan $name"
  "$python" same.py plan.json o.run.json || fail "$name: the plan is another"
done
passed "the plan foresees what is sent and held"
