#!/bin/sh
# Law 1 for parts, for every kind of branch: a text in volumes, each continued from the
# last snapshot of the one before; a run killed and resumed; a document among others.
# Kinds of branches that tests/mpi/volumes.sh and law.sh, which have Transformer-XL, do
# not know: full attention, sinks, windows by head, gates, prefixes, rounds of the past.
#
# Compared: bytes of /tokens/id, nll and hidden, and of the last snapshot (position,
# rows, last_id, hidden, and all keys and values that were there); after a kill the
# SHA-256 of both files.
# shellcheck disable=SC2086 # results is a list of words
set -eu
. "$(dirname "$0")/../runs.sh"
can_read "parts" || exit 77

tokens=2501
book $tokens 51 >book.txt
results="--write id,nll,hidden"
branches=$FIXTURES/branches

# ---- Volumes

# The bytes of FILE's datasets of tokens, to FILE.id, FILE.nll, FILE.hidden.
tokens_of() {
  for dataset in id nll hidden; do
    column "$1.h5" /tokens/$dataset >"$1.$dataset"
  done
}

# snapshot FILE: what the last snapshot says, without rows that were not there. Keys and
# values are (snapshot, layer, fixed and kept rows, width).
snapshot() {
  for dataset in position last_id hidden rows layer_rows; do
    column "$1.memory.h5" /snapshots/$dataset | od -An -v -tx1
  done
  for dataset in keys values; do
    column "$1.memory.h5" /snapshots/$dataset | od -An -v -tx4 -w64 |
      grep -v '^\( 00000000\)*$'
  done
}

# volumes MODEL CUT...: the book in volumes that end at these positions has the bits of
# the whole.
volumes() {
  model=$1 text=$(given "$1" book.txt) width=2
  shift
  [ "${text#* }" != "$text" ] || width=1
  format=${text#"${text%% *}"} text=${text%% *}
  # shellcheck disable=SC2086 # lists of words
  run 2 --model "$model" $results --output whole.h5 --overwrite \
    --wave-tokens 1100 $text $format
  tokens_of whole
  at=0 before='' ranks=1
  for cut in "$@" $tokens; do
    tail -c +$((width * at + 1)) $text | head -c $((width * (cut - at))) >volume.txt
    # shellcheck disable=SC2086 # lists of words
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
  [ "$(wc -l <expected)" -gt 20 ] || fail "a snapshot of nothing"
  cmp -s expected got || fail "$core: ${model##*/}: the snapshot after volumes"
  passed "$core: ${model##*/}: cut at $*"
}

available=$(cores)
for core in $available; do last=$core; done
core=$last
use "$core"
# Within a panel and within a block; at a border of a block, of a panel; within the
# sinks.
volumes "$branches/full" 1 300
volumes "$branches/layers" 100 1000
volumes "$branches/recurrence-prefix" 62 700
volumes "$branches/sinks-window-heads" 2 1333
volumes "$branches/sinks-text" 3 64 512 1000
volumes "$branches/gate" 511 1535
volumes "$branches/plain-sum" 63 257
volumes "$branches/levels" 1 63 300 1000
volumes "$branches/levels-gate" 65 129 514
volumes "$branches/chosen-local" 2 127 700
volumes "$branches/chosen-random" 64 321
volumes "$branches/nsa" 50 129 1000
volumes "$branches/compressed" 31 400
volumes "$branches/random-two" 100 513
volumes "$branches/dynamic" 7 256
volumes "$branches/global" 3 70 900
volumes "$branches/learned-softmax" 62 700
volumes "$branches/learned-concat" 5 320
volumes "$branches/last-add" 65 1001
volumes "$branches/last-concat" 1 130 1001
volumes "$branches/compressed-past" 3 65 130 770

# More sinks than the first panels hold: they come and are kept over several volumes.
mkdir sinks-300
cp "$branches/sinks-window/model.safetensors" sinks-300
sed 's/"sinks": 4/"sinks": 300/' "$branches/sinks-window/config.json" \
  >sinks-300/config.json
volumes sinks-300 50 129 280 1000

# ---- Killed and resumed

# killed RANKS AT: kills rank RANKS - 1 of the run of the documents before its AT-th
# call of the output's files, if it makes so many.
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
      --snapshots documents --wave-tokens $((256 * $1)) $(given "$model" "$work/docs")
  ) >said 2>&1 || status=$?
  case $status in
  1 | 2 | 75 | 124) complain "exit status $status of $1 ranks, the last one killed" ;;
  0) ;;
  *) kills=$((kills + 1)) ;;
  esac
}

# resumed MODEL: killed again and again, each time with other ranks, then let go on.
resumed() {
  model=$1 kills=0
  run 2 --model "$model" --output whole.h5 --overwrite $results \
    --snapshots documents $(given "$model" docs)
  rm -f parts.*
  killed 1 30
  killed 3 12
  killed 2 15
  killed 1 20
  [ $kills -eq 4 ] || fail "${model##*/}: only $kills kills"
  run 3 --model "$model" --output parts.h5 --resume $results --snapshots documents \
    $(given "$model" docs)
  [ "$(hash parts)" = "$(hash whole)" ] ||
    fail "$core: ${model##*/}: resumed: other bytes"
  passed "$core: ${model##*/}: killed 4 times, resumed on 1, 2, 3 ranks"
}

mkdir docs
book 65 52 >docs/a
book 700 53 >docs/b
book 3001 54 >docs/c
book 257 55 >docs/d
resumed "$branches/layers"
resumed "$branches/sinks-window-heads"
resumed "$branches/recurrence-prefix"
resumed sinks-300
resumed "$branches/levels-two"
resumed "$branches/chosen-random"
resumed "$branches/nsa"
resumed "$branches/compressed-past"
resumed "$branches/last-concat"

# ---- A document among others

# alone MODEL: document c alone, and as one of the four.
alone() {
  run 1 --model "$1" --output alone.h5 --overwrite $results --wave-tokens 900 \
    $(given "$1" docs/c)
  run 3 --model "$1" --output among.h5 --overwrite $results --wave-tokens 900 \
    $(given "$1" docs)
  for dataset in id nll hidden; do
    rows alone.h5 /tokens/$dataset 3001 0 3001 >expected
    rows among.h5 /tokens/$dataset 4023 765 3001 >got
    cmp -s expected got ||
      fail "$core: ${1##*/}: $dataset differs among other documents"
  done
}
for model in full layers recurrence-prefix sinks-window-heads norms-relative \
  plain-sum levels chosen-local nsa random dynamic global-gate; do
  alone "$branches/$model"
done
passed "$core: a document is the same alone and among others"
