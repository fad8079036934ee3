#!/bin/sh
# Models wrapped in a memory that passes through their layers: associative memory (a
# wavefront over ranks) and memory tokens (documents shared out).
#
# Law 1: the same bytes of FILE.h5 and FILE.memory.h5 for any ranks, waves, threads and
# instruction sets, snapshots within segments among them; for a text in volumes that are
# cut anywhere, each continued from the last snapshot of the one before; for a run that is
# killed and resumed; for a document among others.
#
# Law 3: what ranks send is counted here again: of an associative memory a rank hands on
# one state a layer and wave, of 8 K (D + 1) bytes; memory tokens go from wave to wave.
# N tokens and 10 N.
#
# usage: wrapped.sh [same] [volumes] [resumed] [alone] [lent] [refusals]
# shellcheck disable=SC2086 # lists of words
set -eu
. "$(dirname "$0")/../runs.sh"
can_read "wrapped" || exit 77

branches=$FIXTURES/branches
results="--write id,nll,hidden"
models=
for folder in "$branches"/armt* "$branches"/rmt* "$FIXTURES"/wrapped/*-[ar]*mt; do
  models="$models $folder"
done
[ "$(echo $models | wc -w)" -ge 9 ] || fail "only the models$models"
few="$branches/armt-odd $branches/rmt-odd $FIXTURES/wrapped/gpt2-armt \
  $FIXTURES/wrapped/gpt2-rmt"

# segment FOLDER: tokens of a segment.
segment() {
  tr -d '\n ' <"$1/config.json" |
    sed 's/.*emory":{\([^}]*\)}.*/\1/; s/.*"segment":\([0-9]*\).*/\1/'
}

available=$(cores)
for core in $available; do last=$core; done
core=$last
use "$core"

mkdir docs
: >docs/a-empty
book 1 61 >docs/b
book 63 62 >docs/c
book 64 63 >docs/d
book 65 64 >docs/e
book 1501 65 >docs/f
book 50 66 >docs/g
book 259 67 >docs/h

# ---- Ranks, waves, threads, instruction sets

# Three runs of each model, which take turns.
same() {
  turn=0
  for model in $models; do
    for core in $available; do
      [ $((turn % 2)) -eq 0 ] || break
    done
    use "$core"
    expected=
    for i in 0 1 2; do
      case $(((turn + 2 * i) % 5)) in
      0) set -- 1 1000000 1 avx2 ;;
      1) set -- 2 300 1 plain ;;
      2) set -- 3 700 2 avx2 ;;
      3) set -- 4 1000000 1 avx2 ;;
      4) set -- 7 500 1 plain ;;
      esac
      run "$1" --model "$model" --output o.h5 --overwrite $results \
        --snapshots documents --snapshot-every 1 --wave-tokens "$2" --threads "$3" \
        --isa "$4" $(given "$model" docs)
      expected=${expected:-$(hash o)}
      [ "$(hash o)" = "$expected" ] ||
        fail "$core: ${model##*/}: $1 ranks, waves of $2, $3 threads, $4"
    done
    passed "$core: ${model##*/}: the same in three runs on 1, 2, 3, 4, or 7 ranks"
    turn=$((turn + 1))
  done
  core=$last
  use "$core"
}

# ---- Volumes

tokens=1201
book $tokens 68 >book.txt

tokens_of() { # tokens_of FILE: its datasets of tokens, to FILE.id and so on
  for dataset in id nll hidden; do
    column "$1.h5" /tokens/$dataset >"$1.$dataset"
  done
}

# snapshot FILE: what the last snapshot says. Of each state, the last of as many as there
# are snapshots.
snapshot() {
  for dataset in position last_id hidden; do
    column "$1.memory.h5" /snapshots/$dataset | od -An -v -tx1
  done
  h5dump -n "$1.memory.h5" | sed -n 's/.* \(\/states\/[a-z0-9]*\/[a-z_]*\)$/\1/p' >states
  while read -r state; do
    echo "$state"
    column "$1.memory.h5" "$state" | od -An -v -tx8 -w64
  done <states
}

# cut MODEL PLACE...: the book in volumes that end at these places has the bits of the
# whole.
cut() {
  model=$1 text=$(given "$1" book.txt) width=2
  shift
  [ "${text#* }" != "$text" ] || width=1
  format=${text#"${text%% *}"} text=${text%% *}
  run 2 --model "$model" $results --output whole.h5 --overwrite \
    --wave-tokens 900 $text $format
  tokens_of whole
  at=0 before='' ranks=1
  for cut in "$@" $tokens; do
    tail -c +$((width * at + 1)) "$text" | head -c $((width * (cut - at))) >volume.txt
    run $ranks --model "$model" $results --output "part-$cut.h5" --overwrite \
      --wave-tokens $((260 * ranks)) ${before:+--from-snapshot "$before"} volume.txt \
      $format
    tokens_of "part-$cut"
    for dataset in id nll hidden; do
      row=$(($(wc -c <whole.$dataset) / tokens))
      tail -c +$((at * row + 1)) whole.$dataset |
        head -c $(((cut - at) * row)) >expected
      cmp -s expected "part-$cut.$dataset" ||
        fail "$core: ${model##*/}: $ranks ranks: $dataset of tokens $at to $cut"
    done
    at=$cut before=part-$cut.memory.h5 ranks=$((ranks % 3 + 1))
  done
  snapshot whole >expected
  snapshot "part-$tokens" >got
  grep -q /states/ expected || fail "a snapshot of nothing"
  cmp -s expected got || fail "$core: ${model##*/}: the snapshot after volumes"
  passed "$core: ${model##*/}: cut at $*"
}

# Within a segment and at its end; twice within one; within the last one.
volumes() {
  for model in $models; do
    S=$(segment "$model")
    cut "$model" 1 $((S + S / 2)) $((2 * S)) $((5 * S - 1)) $((5 * S + 1)) \
      $((tokens - 1))
  done
}

# ---- Killed and resumed

# killed RANKS AT VICTIM: kills a rank of the run before its AT-th call of the output's
# files, if it makes so many.
cat >faulty <<'END'
#!/bin/sh
[ "${OMPI_COMM_WORLD_RANK-0}" -ne $VICTIM ] || export LD_PRELOAD="$IOFAULT"
exec "$PROGRAM" "$@"
END
chmod +x faulty
killed() {
  status=0
  (
    export PROGRAM="$LONGSPAN" VICTIM="$3" LSP_FAULT_MODE=kill LSP_FAULT_PATH=/parts.
    export LSP_FAULT_AT="$2" OMPI_MCA_odls_base_sigkill_timeout=0
    LONGSPAN=$work/faulty
    start "$1" --model "$model" --output "$work/parts.h5" --resume $results \
      --snapshots documents --snapshot-every 2 --wave-tokens $((128 * $1)) \
      $(given "$model" "$work/docs")
  ) >said 2>&1 || status=$?
  case $status in
  1 | 2 | 75 | 124) complain "exit status $status of $1 ranks, the last one killed" ;;
  0) ;;
  *) kills=$((kills + 1)) ;;
  esac
}

resumed() {
  for model in $few; do
    kills=0
    run 2 --model "$model" --output whole.h5 --overwrite $results \
      --snapshots documents --snapshot-every 2 $(given "$model" docs)
    rm -f parts.*
    killed 1 40 0
    case $model in
    *rmt*) killed 3 30 0 ;; # only one rank has rows of a long document
    *) killed 3 20 2 ;;
    esac
    killed 2 30 0
    killed 1 30 0
    [ $kills -eq 4 ] || fail "${model##*/}: only $kills kills"
    run 3 --model "$model" --output parts.h5 --resume $results --snapshots documents \
      --snapshot-every 2 $(given "$model" docs)
    [ "$(hash parts)" = "$(hash whole)" ] ||
      fail "$core: ${model##*/}: resumed: other bytes"
    passed "$core: ${model##*/}: killed $kills times, resumed on 1, 2, 3 ranks"
  done
}

# ---- A document among others

alone() {
  for model in $few; do
    run 1 --model "$model" --output alone.h5 --overwrite $results --wave-tokens 900 \
      $(given "$model" docs/f)
    run 3 --model "$model" --output among.h5 --overwrite $results --wave-tokens 700 \
      $(given "$model" docs)
    for dataset in id nll hidden; do
      rows alone.h5 /tokens/$dataset 1501 0 1501 >expected
      rows among.h5 /tokens/$dataset 2003 193 1501 >got
      cmp -s expected got || fail "${model##*/}: $dataset differs among other documents"
    done
  done
  passed "a document is the same alone and among others"
}

# ---- What is sent

# counts NAME MODEL TEXT...: messages and bytes of a layer and wave at most, messages and
# bytes of the rank that sends most bytes and of the one that sends least, reserved bytes.
counts() {
  name=$1 model=$2
  shift 2
  run "$ranks" --model "$model" --output "$name.h5" --overwrite --write nll \
    --snapshots none --wave-tokens 1536 "$@"
  echo "$(fact "$name" messages_a_layer_and_wave max)" \
    "$(fact "$name" bytes_a_layer_and_wave max)" \
    "$(fact "$name" bytes_sent max)" "$(fact "$name" bytes_sent min)" \
    "$(fact "$name" arena_bytes)"
}

# number KEY: of the model's config.json.
number() {
  sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" "$model/config.json" | tail -1
}

# Segments of 64 tokens and 4 memory tokens take 128 rows each: 12 of them a wave. In a
# wave each rank hands on the state of each layer, once; the last one for the next wave. What
# the model has beside memory tokens goes with them: 63 ids and two numbers.
lent() {
  model=$branches/armt
  state=$((8 * 6 * $(number width) * ($(number hidden_size) + 1)))
  beside=$((63 * 4 + 4 + 16)) layers=$(number num_hidden_layers)
  book 15360 69 >ten.txt
  head -c 1536 ten.txt >one.txt
  for ranks in 2 3; do
    for waves in 2 20; do
      text=one.txt
      [ $waves -eq 2 ] || text=ten.txt
      set -- $(counts "waves-$waves" "$model" $(given "$model" $text))
      [ "$1 $2" = "1 $state" ] ||
        fail "armt: $ranks ranks, $waves waves: $1 messages, $2 bytes a layer and wave"
      all=$((waves * layers * state))
      last=$(((waves - 1) * layers * state))
      [ "$3 $4" = "$all $last" ] ||
        fail "armt: $ranks ranks, $waves waves: $3 and $4 bytes, expected $all and $last"
      [ $waves -eq 2 ] || [ "$5" = "$reserved" ] || fail "armt: $reserved, then $5 bytes"
      reserved=$5
    done
    passed "armt: $ranks ranks: one state of $state bytes a layer and wave, and $all" \
      "bytes in $waves waves"
  done

  # A document that goes on is all of the waves after the first, and rank 0's: its rows
  # came there from the last rank once.
  model=$branches/rmt ranks=3
  rows=$((4 * 4 * $(number hidden_size)))
  head -c 600 ten.txt >before.txt
  for text in one.txt ten.txt; do
    set -- $(given "$model" before.txt)
    set -- $(counts rows "$model" "$1" $(given "$model" $text))
    [ "$1 $2 $3 $4" = "1 $((beside + rows)) $((beside + rows)) 0" ] ||
      fail "rmt: $text: $1 messages, $2 bytes in a wave, at most $3 and at least $4 in all"
  done
  passed "rmt: $((beside + rows)) bytes, once"
}

# ---- Refused

refusals() {
  status=0
  start 1 --model "$branches/rmt" --output no.h5 --write hidden:1 \
    $(given "$branches/rmt" docs/c) >said 2>&1 || status=$?
  [ $status -eq 2 ] || complain "exit status $status, expected 2"
  grep -q "^longspan: --write hidden:1: .*wrapped in memory tokens" said ||
    complain "another reason"
  [ ! -e no.h5 ] || fail "a refused run left a file"
  passed "what no span has is refused"
}

for part in ${*:-same volumes resumed alone lent refusals}; do
  $part
done
