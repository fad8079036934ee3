#!/bin/sh
# The disk is full, fails, or takes half of what it is given: every rank ends with status
# 1, one line names the file, and --resume finishes the run. A failure of o.run.json
# alone does not fail the run. LSP_SWEEP=full: at every call.
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
  case $mode.$6 in enospc.*run.json* | eio.*run.json*) expected=0 ;; esac
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
  points enospc 1 2 0
  points eio 2 2 1
  points sticky 3 3 0
  points short 2
} | sweep

# A real disk that is too small, by more and by less: the run fits, or it says so.
mkdir small
if [ "$(id -u)" -ne 0 ] || ! mount -t tmpfs -o size=1400k none small 2>/dev/null; then
  echo "passed over: only root can mount a small disk"
  exit 0
fi
trap 'umount "$work/small"; rm -rf "$work"' EXIT
fits=0 full=0
for filled in 0 60 100 140 150 160 170 180 200 400 800 1391 1395 1399; do
  rm -f small/*
  head -c $((filled * 1024)) /dev/zero >small/other
  status=0
  go $((1 + filled / 4 % 2)) small >said 2>&1 || status=$?
  if [ $status -eq 0 ]; then
    [ "$(hash small/o)" = "$whole" ] || fail "$filled KiB taken: other bytes"
    fits=$((fits + 1))
    continue
  fi
  [ $status -eq 1 ] && [ "$(grep -c '^longspan: ' said)" -eq 1 ] &&
    grep -q '^longspan: small/o.*No space left' said ||
    { cat said >&2 && fail "$filled KiB taken: exit status $status"; }
  rm small/other
  goes_on small 1 || fail "$filled KiB taken, then freed"
  full=$((full + 1))
done
[ $fits -gt 0 ] && [ $full -gt 0 ] || fail "fits $fits times, is too small $full times"
passed "a small disk: fits $fits times, is too small $full times"
