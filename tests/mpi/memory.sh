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
run 2 --model "$FIXTURES/law" --output out.h5 --memory 44M --threads 8 text
SLURM_MEM_PER_NODE=40
refused 'Slurm (SLURM_MEM_PER_NODE) has 40 MiB left; start fewer ranks a node' \
  2 --model "$FIXTURES/law" --output out.h5 --overwrite text
unset SLURM_MEM_PER_NODE
refused 'memory 20M: the smallest wave of this model needs .* MiB a rank' \
  1 --model "$FIXTURES/law" --output out.h5 --overwrite --memory 20M text
passed "limits"
