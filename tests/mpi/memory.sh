#!/bin/sh
# Memory: the waves that a run chooses are those that `plan` foretells, every time; what
# it then takes is what was said; limits of the machine are respected before anything is
# written.
set -eu
. "$(dirname "$0")/../runs.sh"

export OMP_NUM_THREADS=1

book 50000 7 >text
for ranks in 1 2 4; do
  memory=$((ranks == 4 ? 30 : 34))M
  "$LONGSPAN" plan --model "$FIXTURES/law" --tokens 50000 --ranks $ranks \
    --memory $memory >said
  wave=$(sed -n 's/,//g; s/^  waves *[0-9]* of \([0-9]*\) tokens.*/\1/p' said)
  for again in 1 $((ranks == 2 ? 2 : 1)); do
    run $ranks --model "$FIXTURES/law" --output out.h5 --overwrite \
      --memory $memory text
    [ "$(fact out wave_tokens)" = "$wave" ] ||
      fail "$ranks ranks, run $again: $(fact out wave_tokens) tokens a wave, not $wave"
  done
  [ "$wave" -lt 50000 ] || fail "$ranks ranks: one wave, which shows nothing"
  peak=$(fact out peak_bytes max) planned=$(fact out planned_bytes)
  # A sanitizer takes memory of its own.
  [ -n "${ASAN_OPTIONS-}" ] || [ $((peak * 100)) -lt $((planned * 115)) ] ||
    fail "$ranks ranks: $peak bytes taken, $planned foretold"
  passed "$ranks ranks: waves of $wave tokens, $peak of $planned bytes"
done

# Slurm's limit stands for all of them (tests/unit/test_limits.c).
rm -f out.*
export SLURM_MEM_PER_NODE=90
refused 'Slurm (SLURM_MEM_PER_NODE) has 90 MiB left; give --memory 44M, or start fewer' \
  2 --model "$FIXTURES/law" --output out.h5 --memory 200M text text text
refused 'left; give --memory 44M in place of --wave-tokens, or start fewer ranks' \
  2 --model "$FIXTURES/law" --output out.h5 --wave-tokens 200000 --threads 2 text text
[ -z "$(ls out.* 2>/dev/null)" ] || fail "files of a run that was refused"
run 2 --model "$FIXTURES/law" --output out.h5 --memory 44M --threads 4 text
SLURM_MEM_PER_NODE=40
refused 'Slurm (SLURM_MEM_PER_NODE) has 40 MiB left; start fewer ranks a node' \
  2 --model "$FIXTURES/law" --output out.h5 --overwrite text
unset SLURM_MEM_PER_NODE
refused 'memory 20M: the smallest wave of this model needs .* MiB a rank' \
  1 --model "$FIXTURES/law" --output out.h5 --overwrite --memory 20M text
passed "limits"

# ---- A long reach

# What is kept of a reach of 100,000 rows is dealt over the ranks by groups of 32 tiles:
# of the 1,563 tiles that 99,999 rows back take, which touch 50 groups, a rank has room
# for its share of the groups, and, on its way, for two rounds of 128 tiles. Compared:
# what is reserved with that window and with one of 1, which needs none of this; the
# difference is, up to the alignment of five buffers,
#   4 (32 tile ceil(50 / ranks) + 2 * 128 tile + results of unfinished walks) bytes,
# the last of rows (heads (width + 2)) of a span. Nothing of the reach is left out, and
# no rank has more than its share.

# The model: four query heads of 8, of which one has the window, on two of keys.
window() { # window FOLDER W
  mkdir "$1"
  cp "$FIXTURES/branches/local-heads/model.safetensors" "$1"
  layers="[{\"branches\": [{\"type\": \"local\", \"window\": [1, $2, 1, 1]}]}"
  layers="$layers, {\"branches\": [{\"type\": \"local\", \"window\": 1}]}]"
  tr -d '\n' <"$FIXTURES/branches/local-heads/config.json" |
    sed "s/\"layers\": .*/\"layers\": $layers}/" >"$1/config.json"
}

# begun RANKS MODEL WAVE: a run that is asked to stop after its first commit; then
# FILE.run.json says what was reserved.
begun() {
  rm -f out.* pid
  (
    while [ ! -s out.h5.journal ] || [ "$(wc -c <out.h5.journal)" -lt 512 ]; do
      sleep 0.05
      [ ! -f ended ] || exit 0
    done
    kill -s USR1 "$(cat pid)" 2>/dev/null || exit 0
  ) &
  watcher=$! status=0
  rm -f ended
  launcher="$MPIRUN -n $1"
  [ "$1" -gt 1 ] || launcher=
  # shellcheck disable=SC2086,SC2016 # a list of words; expanded by the inner shell
  timeout -k 5 $limit sh -c 'echo $$ >pid; exec "$@"' sh $launcher "$LONGSPAN" run \
    --quiet --model "$2" --output out.h5 --write nll --wave-tokens "$3" long.txt \
    >said 2>&1 || status=$?
  : >ended
  wait $watcher
  case $status in 0 | 75) ;; *) complain "exit status $status: $1 ranks, $2" ;; esac
}

book 120000 9 >long.txt
window near 1
window far 100000
tile=$((2 * 64 * (8 + 16))) # floats: keys of 8, values of 8 padded to 16
for ranks in 1 2 4 7; do
  wave=$((2048 * ranks)) # a span is of 2,048 rows and a panel more
  begun $ranks near $wave
  near=$(fact out arena_bytes)
  begun $ranks far $wave
  far=$(fact out arena_bytes)
  kept=$((4 * 32 * tile * ((50 + ranks - 1) / ranks)))
  expected=$((kept + 4 * (2 * 128 * tile + (2048 + 256) * 4 * (16 + 2))))
  more=$((far - near - expected))
  [ $((more * more)) -le $((20480 * 20480)) ] ||
    fail "$ranks ranks: $((far - near)) bytes for the reach, expected $expected"
  passed "$ranks ranks: $kept bytes of 100,000 rows a rank"
done

# ---- What a commit writes does not grow with the reach

# Of a wave its own rows go to the ring, whatever the reach holds of earlier ones.
# Compared: bytes written in all, for reaches of two and of twelve waves. The files'
# heads differ by some bytes; rows of the reach for each commit would be 100 times as
# much.
window two 2001
window twelve 12001
for model in two twelve; do
  head -c 20000 long.txt >some.txt
  run 2 --model $model --output $model.h5 --write nll --snapshots none \
    --wave-tokens 1000 some.txt
done
small=$(fact two written_bytes) large=$(fact twelve written_bytes)
[ "$small" -gt 1000000 ] || fail "only $small bytes written"
[ $((large - small)) -lt 10000 ] ||
  fail "a reach of 2,000 rows: $small bytes written, of 12,000: $large"
passed "a reach of 2,000 rows: $small bytes written, of 12,000: $large"
