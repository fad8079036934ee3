#!/bin/sh
# A rank is killed before an I/O call, or in the middle of a write; the run is then resumed,
# on another number of ranks, to the same bytes. LSP_SWEEP=full: at every call.
set -eu
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/runs.sh"
. "$tests/sweep.sh"

try() {
  folder=$1 mode=$2 rank=$3 at=$4
  began=$(date +%s) status=0
  attempt "$folder" "$mode" "$rank" "$at" >"$folder.said" 2>&1 || status=$?
  case $status in
  0 | 1 | 2 | 75 | 124) cat "$folder.said" >&2 && wrong "exit status $status" && return 1 ;;
  esac
  [ $(($(date +%s) - began)) -lt "$limit" ] || { wrong "hangs" && return 1; }
  goes_on "$folder" $((at % 2 == 0 ? 1 : 3))
}

{
  points kill 1
  points kill 3
  points torn 2
} | sort -u | sweep
