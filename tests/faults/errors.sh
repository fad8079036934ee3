#!/bin/sh
# The disk is full, fails, or takes half of what it is given: every rank ends with status
# 1, one line names the file, and --resume goes on. LSP_SWEEP=full: at every call.
set -eu
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/runs.sh"
. "$tests/sweep.sh"

# said_once FOLDER: one line of longspan, about a file of the run.
said_once() {
  [ "$(grep -c '^longspan: ' "$1.said")" -eq 1 ] && grep -q "^longspan: $1" "$1.said" &&
    grep -q '^longspan: .*; ' "$1.said" && return 0
  cat "$1.said" >&2
  wrong "not one line of longspan that names the file and says what to do"
  return 1
}

try() {
  folder=$1 mode=$2 rank=$3 at=$4 expected=1
  [ "$mode" != short ] || expected=0
  status=0
  attempt "$folder" "$mode" "$rank" "$at" >"$folder.said" 2>&1 || status=$?
  # The launcher itself says 0 here (see attempt).
  case $status in 124 | 137) cat "$folder.said" >&2 && wrong "hangs" && return 1 ;; esac
  for s in "$(cat "$folder.status.0")" "$(cat "$folder.status.1")"; do
    [ "$s" = $expected ] ||
      { cat "$folder.said" >&2 && wrong "exit status $s, not $expected" && return 1; }
  done
  [ $expected -eq 0 ] || said_once "$folder" || return 1
  goes_on "$folder" $((at % 2 == 0 ? 1 : 3))
}

{
  points enospc 1
  points eio 2
  points sticky 3
  points short 2
} | sweep

# A real disk that is too small, from the first byte and in the middle of a run.
mkdir small
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=1m none small 2>/dev/null; then
  trap 'umount "$work/small"; rm -rf "$work"' EXIT
  for filled in 0 300 900; do
    head -c $((filled * 1024)) /dev/zero >small/other
    for ranks in 1 2; do
      rm -f small/o.*
      refused "small/o.*full" $ranks --model "$FIXTURES/law" --write id,nll,hidden \
        --output small/o.h5 a.txt b.txt a.txt b.txt a.txt
    done
  done
  passed "a full disk"
else
  echo "passed over: only root can mount a small disk"
fi
