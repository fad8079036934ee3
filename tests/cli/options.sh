#!/bin/sh
# Options: what is refused, how it is said, and the exit status. No run takes place.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset OMPI_COMM_WORLD_RANK PMIX_RANK PMI_RANK SLURM_PROCID

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# refused MESSAGE ARGUMENT...: exit status 2 and this one line.
refused() {
  message="longspan: $1"
  shift
  status=0
  "$LONGSPAN" "$@" >out 2>err || status=$?
  [ $status -eq 2 ] || fail "$*: exit status $status, expected 2"
  [ "$(cat err)" = "$message" ] || fail "$*: said '$(cat err)', expected '$message'"
  [ ! -s out ] || fail "$*: wrote to standard output"
}

# says TEXT ARGUMENT...: exit status 0 and the text on standard output.
says() {
  text=$1
  shift
  "$LONGSPAN" "$@" >out 2>err || fail "$*: exit status $?"
  grep -qe "$text" out || fail "$*: does not say '$text'"
  [ ! -s err ] || fail "$*: wrote to standard error"
}

run="run --model m --output o.h5 book.txt"
# shellcheck disable=SC2086 # a list of words
{
  refused "--wave-tokens: 0 is not in [1, 1099511627776]" $run --wave-tokens 0
  refused "--wave-tokens: 0 is not in [1, 1099511627776]" $run --wave-tokens=0
  refused "--mem-len: 99999999999999999999 is not in [0, 16777216]" \
    $run --mem-len 99999999999999999999
  refused "--mem-len: -1 is not in [0, 16777216]" $run --mem-len -1
  refused "--segment: '12k' is not a whole number" $run --segment 12k
  refused "--segment: '' is not a whole number" $run --segment=
  refused "--max-time: '1:60' is not a time: H:MM:SS, MM:SS or seconds" \
    $run --max-time 1:60
  refused "--max-time: 0:00 is not 1 or more" $run --max-time 0:00
  refused "--mem-init: 'zero' is not one of zeros|empty" $run --mem-init zero
  words="id,nll,hidden,hidden:LAYER,chosen:LAYER"
  refused "--write: 'ids' is not one of $words" $run --write nll,ids
  refused "--write: '' is not one of $words" $run --write nll,
  for layer in hidden: hidden:-1 hidden:x hidden:1x hidden:1000000 chosen: chosen:-1 \
    chose:1; do
    refused "--write: '$layer' is not one of $words" $run --write "id,$layer"
  done
  refused "--segment: needs a value: N" $run --segment
  refused "--segment: needs a value: N" $run --segment --resume
  refused "--resume: takes no value, but was given 'yes'" $run --resume=yes
  refused "--mem-lne: no such option; did you mean --mem-len?" $run --mem-lne 3
  refused "--wave: no such option; did you mean --wave-tokens?" $run --wave 3
  refused "--colour: no such option; --help lists them" $run --colour
  refused "-q: no such option; --help lists them" $run -q
  refused "--resume and --overwrite exclude each other" $run --resume --overwrite
}
refused "--model: is missing; give the folder of a checkpoint" run --output o.h5 book.txt
refused "--output: is missing; give the file to write, such as book.h5" \
  run --model m book.txt
refused "no INPUT; give the files or folders to read, or - for standard input" \
  run --model m --output o.h5
refused "--output: is empty; give FILE.h5" run --model m --output= book.txt
refused "walk: no such command; --help lists them" walk
refused "verify takes FILE.h5 and FILE.memory.h5 files; the texts follow after --" \
  verify -- book.txt
refused "verify does not read standard input; give the text as a file" \
  verify o.h5 -- -

# Options and inputs in any order; what follows -- is an input.
refused "--segment: 0 is not in [1, 16777216]" run book.txt --segment 0 --output=o.h5 -
refused "--model: is missing; give the folder of a checkpoint" \
  run --output o.h5 -- --segment 0

# One line in all: the other ranks are silent, with the same exit status.

# silent STATUS VARIABLE=VALUE... ARGUMENT...: exit status, and not a word.
silent() {
  expected=$1
  shift
  status=0
  env "$@" >out 2>err || status=$?
  [ $status -eq "$expected" ] || fail "$*: exit status $status"
  [ ! -s err ] || fail "$*: said '$(cat err)'"
}
silent 2 OMPI_COMM_WORLD_RANK=1 "$LONGSPAN" run --segment 0
silent 2 PMI_RANK=1 "$LONGSPAN" walk
silent 2 PMI_RANK=1 "$LONGSPAN"

# Processes that would each take themselves for the only one.
status=0
SLURM_STEP_ID=0 SLURM_NTASKS=3 "$LONGSPAN" run --model m --output o.h5 book.txt \
  >out 2>err || status=$?
[ $status -eq 1 ] || fail "singletons: exit status $status"
grep -q '^longspan: 3 processes were started.*srun --mpi=pmix.*mpirun' err ||
  fail "singletons: said '$(cat err)'"
for rank in 1 2; do
  silent 1 PMI_SIZE=3 PMI_RANK=$rank "$LONGSPAN" run --model m --output o.h5 book.txt
done

says 'Usage: longspan COMMAND' --help
says '^\* --mem-len N' run --help
says '^  --wave-tokens N' run --help
says 'Usage: longspan run' run --model m --help
for command in info show verify plan; do
  says "Usage: longspan $command" $command --help
done
"$LONGSPAN" run --help | awk 'length > 80 { print; bad = 1 } END { exit bad }' ||
  fail "help: lines of more than 80 columns"
says '^longspan [0-9]*\.[0-9]*\.[0-9]*' --version
says '^  MPI  ' run --version
says '^  BLAS .*core' --version
says '^  HDF5 .*[0-9]\.[0-9]' info --version
