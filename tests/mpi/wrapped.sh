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
# usage: wrapped.sh [same] [volumes] [resumed] [alone] [lent] [refused]
# shellcheck disable=SC2086 # lists of words
set -eu
. "$(dirname "$0")/../runs.sh"
can_read "wrapped" || exit 77

branches=$FIXTURES/branches
results="--write id,nll,hidden"
models=
for folder in "$branches"/armt* "$branches"/rmt* "$FIXTURES"/families/*-armt \
  "$FIXTURES"/families/*-rmt; do
  [ ! -d "$folder" ] || models="$models $folder"
done
[ "$(echo $models | wc -w)" -ge 2 ] || fail "only the models$models"

# segment FOLDER: tokens of a segment.
segment() {
  tr -d '\n ' <"$1/config.json" |
    sed 's/.*emory":{\([^}]*\)}.*/\1/; s/.*"segment":\([0-9]*\).*/\1/'
}

for core in $(cores); do last=$core; done
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

same() {
  for core in $(cores); do
    use "$core"
    for model in $models; do
      expected=
      for set_of in "1 1000000 1 avx2" "2 300 1 plain" "3 700 2 avx2" "4 1000000 1 avx2" \
        "7 500 1 plain"; do
        set -- $set_of
        run "$1" --model "$model" --output o.h5 --overwrite $results \
          --snapshots documents --snapshot-every 1 --wave-tokens "$2" --threads "$3" \
          --isa "$4" $(given "$model" docs)
        expected=${expected:-$(hash o)}
        [ "$(hash o)" = "$expected" ] ||
          fail "$core: ${model##*/}: $1 ranks, waves of $2, $3 threads, $4"
      done
      passed "$core: ${model##*/}: the same on 1, 2, 3, 4, 7 ranks"
    done
  done
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
    cut "$model" 1 $((S + S / 2)) $((2 * S)) $((tokens - 1))
    cut "$model" $((3 * S)) $((5 * S - 1)) $((5 * S + 1)) 1000
  done
}

# ---- Killed and resumed

# killed RANKS AT: kills rank RANKS - 1 of the run before its AT-th call of the output's
# files, if it makes so many.
cat >faulty <<'END'
#!/bin/sh
[ "${OMPI_COMM_WORLD_RANK-0}" -ne $((RANKS - 1)) ] || export LD_PRELOAD="$IOFAULT"
exec "$PROGRAM" "$@"
END
chmod +x faulty
killed() {
  status=0
  (
    export PROGRAM="$LONGSPAN" RANKS="$1" LSP_FAULT_MODE=kill LSP_FAULT_PATH=/parts.
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
  for model in $models; do
    kills=0
    run 2 --model "$model" --output whole.h5 --overwrite $results \
      --snapshots documents --snapshot-every 2 $(given "$model" docs)
    rm -f parts.*
    killed 1 40
    killed 3 20
    killed 2 25
    killed 1 30
    [ $kills -ge 3 ] || fail "${model##*/}: only $kills kills"
    run 3 --model "$model" --output parts.h5 --resume $results --snapshots documents \
      --snapshot-every 2 $(given "$model" docs)
    [ "$(hash parts)" = "$(hash whole)" ] ||
      fail "$core: ${model##*/}: resumed: other bytes"
    passed "$core: ${model##*/}: killed $kills times, resumed on 1, 2, 3 ranks"
  done
}

# ---- A document among others

alone() {
  for model in $models; do
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

# counts NAME TOKENS MODEL
counts() {
  head -c "$2" ten.txt >"$1.txt"
  run "$ranks" --model "$3" --output "$1.h5" --overwrite --write nll --snapshots none \
    --wave-tokens $wave $(given "$3" "$1.txt")
  echo "$(fact "$1" messages_a_layer_and_wave max)" \
    "$(fact "$1" bytes_a_layer_and_wave max)" "$(fact "$1" messages_sent max)" \
    "$(fact "$1" bytes_sent max)" "$(fact "$1" arena_bytes)"
}

# Waves of 12 segments of 64 tokens and 4 memory tokens: 128 rows each. Two layers, states
# of 8 (2 nu 6) (24 + 1) bytes; or 4 rows of 24, and what else is of the model.
lent() {
  wave=1536
  book 7680 69 >ten.txt
  for ranks in 2 3; do
    state=$((8 * 36 * 25))
    one=$(counts one 1536 "$branches/armt")
    ten=$(counts ten 7680 "$branches/armt")
    # Every rank but the last hands on in a wave; the last one, to the first of the next.
    last=$((9 * 2))
    inner=$((10 * 2))
    set -- $one
    [ "$1 $2" = "1 $state" ] || fail "armt: $ranks ranks: $1 messages, $2 bytes a layer"
    set -- $ten
    [ "$1 $2" = "1 $state" ] || fail "armt: $ranks ranks: 10 N: $1 messages, $2 bytes"
    echo "$ten" "$last" "$inner"
    passed "armt: $ranks ranks: one state of $state bytes a layer and wave"
  done
}

# ---- Refused

refusals() {
  refused "wrapped in memory tokens" 1 --model "$branches/rmt" --output no.h5 \
    --write hidden:1 $(given "$branches/rmt" docs/c)
  [ ! -e no.h5 ] || fail "a refused run left a file"
  passed "what no span has is refused"
}

for part in ${*:-same volumes resumed alone lent refusals}; do
  $part
done
