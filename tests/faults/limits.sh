#!/bin/sh
# Limits of the shell and of the machine: one line, no hang, nothing broken.
set -eu
. "$(dirname "$0")/../runs.sh"

law="--model $FIXTURES/law"
book 100003 95 >text

# under LIMITS PATTERN RANKS ARGUMENT...: as `refused`, after `ulimit LIMITS`.
under() {
  limits=$1
  shift
  # shellcheck disable=SC2086 # a list of words
  (ulimit $limits && refused "$@") || exit 1
}

# A sanitizer reserves more address space than any limit leaves.
if [ -z "${ASAN_OPTIONS-}" ]; then
  # In 350 MiB MPI comes up, and OpenBLAS, which wants 128 MiB at once, asks for ever.
  # shellcheck disable=SC2086 # a list of words
  if "$LONGSPAN" --version | tr '\n' ' ' | grep -q 'OpenBLAS'; then
    under "-v 358400" "limit of 350 MiB on the memory.*matrix products" 1 --gemm blas $law \
      --output o.h5 text
  fi
  # shellcheck disable=SC2086 # a list of words
  under "-v 4000000" "of 4000 threads a rank can be started" 1 $law --threads 4000 \
    --output o.h5 text
  passed "limits on memory and threads"
fi

# 8 MiB: what MPI needs for itself is less, hidden states are more.
# shellcheck disable=SC2086 # a list of words
under "-f 16384" "ulimit -f" 1 $law --write id,nll,hidden --output o.h5 text
[ ! -e o.h5 ] || fail "an output beyond the limit"
passed "a limit on the size of files"

# Nobody reads what a run says.
head -c 3001 text >short
# shellcheck disable=SC2086 # a list of words
{
  { "$LONGSPAN" run $law --output closed.h5 short 2>&1 || echo $? >failed; } | true
  "$LONGSPAN" run $law --output none.h5 short >&- 2>&- || echo $? >failed
  run 1 $law --output read.h5 short
}
[ ! -e failed ] || fail "a closed stderr: exit status $(cat failed)"
[ "$(hash closed)" = "$(hash read)" ] && [ "$(hash none)" = "$(hash read)" ] ||
  fail "a closed stderr: other bytes"
passed "a closed stderr"

# A forgotten mpirun in a job of several tasks is worth a line; the run goes on.
# shellcheck disable=SC2086 # a list of words
{
  SLURM_NTASKS=8 "$LONGSPAN" run --quiet $law --output alone.h5 short 2>said
  [ "$(grep -c '^longspan: this job may run 8 tasks (SLURM_NTASKS=8)' said)" -eq 1 ] ||
    complain "a forgotten mpirun"
  SLURM_NTASKS=8 $MPIRUN -n 1 "$LONGSPAN" run --quiet $law --output one.h5 short 2>said
  [ ! -s said ] || complain "an mpirun that was not forgotten"
}
passed "a forgotten mpirun"
