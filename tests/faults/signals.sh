#!/bin/sh
# Being told to stop, and ranks that stop without being told.
set -eu
. "$(dirname "$0")/../runs.sh"

preload="${ASAN_OPTIONS:+$(cc -print-file-name=libasan.so):}$IOFAULT"
law="--model $FIXTURES/law"
book 40009 91 >text
book 300007 92 >long
# shellcheck disable=SC2086 # a list of words
run 2 $law --output whole.h5 text
whole=$(hash whole)

# begin RANKS ARGUMENT...: a run of `text` to out/o.h5 in the background; what it says
# goes to `began`.
begin() {
  ranks=$1
  shift
  # shellcheck disable=SC2086 # lists of words
  if [ "$ranks" -eq 1 ]; then
    "$LONGSPAN" run --quiet $law --output out/o.h5 --resume "$@" >began 2>&1 </dev/null &
  else
    $MPIRUN -n "$ranks" "$LONGSPAN" run --quiet $law --output out/o.h5 --resume "$@" \
      >began 2>&1 </dev/null &
  fi
  launcher=$!
}

# until_true WHAT COMMAND...: looks ten times a second, half a minute long.
until_true() {
  what=$1 waited=0
  shift
  until "$@"; do
    sleep 0.1
    waited=$((waited + 1))
    [ $waited -lt $((limit * 5)) ] || { cat began >&2 && fail "$what: not in time"; }
  done
}

gone() {
  ! kill -0 $launcher 2>/dev/null
}

# committed N: at least so many records of 128 bytes.
committed() {
  [ -f out/o.h5.journal ] && [ "$(wc -c <out/o.h5.journal)" -gt $(($1 * 128 + 1000)) ]
}

# ended STATUS WHAT [PATTERN]: the run ends so, saying that in one line of ours.
ended() {
  until_true "$2" gone
  status=0
  wait $launcher || status=$?
  [ $status -eq "$1" ] || { cat began >&2 && fail "$2: exit status $status"; }
  [ $# -lt 3 ] || [ "$(grep -c "^longspan: .*$3" began)" -eq 1 ] ||
    { cat began >&2 && fail "$2: expected '$3'"; }
}

# resumed WHAT: to the same bytes, with nothing left behind.
resumed() {
  # shellcheck disable=SC2086 # a list of words
  run 2 $law --output out/o.h5 --resume text
  [ "$(hash out/o)" = "$whole" ] || fail "$1: other bytes"
  [ "$(cd out && echo *)" = "o.h5 o.memory.h5 o.run.json" ] || fail "$1: left $(ls out)"
  rm out/*
  passed "$1"
}

# rank_pid RANK: its process.
rank_pid() {
  for child in $(ps -o pid= --ppid $launcher); do
    tr '\0' '\n' <"/proc/$child/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1" &&
      echo "$child"
  done
}
mkdir out

# ---- Signals

LD_PRELOAD=$preload LSP_FAULT_INIT=10 begin 2 text
ended 75 "USR1 before MPI is up" "stopped on request"
resumed "USR1 before MPI is up"

# A process that hangs in a write: the first TERM waits for the commit that never comes,
# the second does not.
LD_PRELOAD=$preload LSP_FAULT_PATH=o.h5.part LSP_FAULT_MODE=hang LSP_FAULT_AT=60 \
  LSP_FAULT_COUNT_FILE="$work/calls" begin 1 --wave-tokens 512 text
hung() {
  [ -f calls ] && [ "$(cat calls)" -ge 60 ]
}
until_true "the call that hangs" hung
kill -TERM $launcher
sleep 3
kill -0 $launcher 2>/dev/null || fail "ended by the first TERM"
kill -INT $launcher
ended 75 "a second signal" "ended at once by a second signal"
printf LSPALIVE >out/o.h5.alive # such as a killed run on several hosts leaves
resumed "a second signal ends at once"

# --max-time, where a wave by default is the whole text: the first one fits, too.
for i in 1 2 3 4 5 6 7 8 9 10; do cat long; done >longer
begin 2 --max-time 1 longer
ended 75 "--max-time" "stopped "
rm -f out/*
passed "--max-time"

# ---- The watchdog (of Open MPI's ranks the processes are known)

LD_PRELOAD=$preload LSP_FAULT_INIT=hang LSP_FAULT_RANK=1 begin 2 --watchdog 2 text
ended 1 "MPI does not come up" "MPI has not come up on all ranks"
resumed "a rank that hangs in MPI_Init"

LD_PRELOAD=$preload LSP_FAULT_PATH=o.h5.slot LSP_FAULT_MODE=hang LSP_FAULT_AT=6 \
  LSP_FAULT_RANK=1 begin 2 --wave-tokens 512 --watchdog 2 text
ended 1 "a write that hangs" "no progress .* rank 1 on host .* is stuck in: "
resumed "a rank that hangs in a write"

if $MPIRUN --version 2>/dev/null | grep -q 'Open MPI'; then
  for victim in 1 0; do
    begin $((2 + victim)) --wave-tokens 512 --watchdog 2 long
    until_true "commits" committed 2
    kill -STOP "$(rank_pid $victim)"
    ended 1 "a stopped rank" "no progress .* rank $victim on host .* has stopped"
    rm out/*
    passed "rank $victim is stopped"
  done

  # Standard input may be silent for as long as it likes; who reads it may not stop.
  mkfifo pipe
  sleep 100 >pipe &
  feeder=$!
  # shellcheck disable=SC2086 # lists of words
  $MPIRUN -n 2 "$LONGSPAN" run --quiet $law --output out/o.h5 --watchdog 2 - \
    >began 2>&1 <pipe &
  launcher=$!
  sleep 5
  ! gone || { cat began >&2 && fail "ended for want of standard input"; }
  kill -STOP "$(rank_pid 0)"
  ended 1 "standard input" "no progress .* rank 0 on host .* has stopped.*reading the input"
  kill $feeder
  rm -f out/*
  passed "a rank that is stopped while it waits for standard input"

  # All of a job suspended, such as by Slurm: nobody is to blame.
  begin 2 --wave-tokens 512 --watchdog 2 text
  until_true "commits" committed 2
  suspended="$(rank_pid 0) $(rank_pid 1)"
  # shellcheck disable=SC2086 # a list of words
  {
    kill -STOP $suspended
    sleep 4
    kill -CONT $suspended
  }
  ended 0 "a job suspended and continued"
  resumed "a job suspended and continued"
fi
