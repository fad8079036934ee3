#!/bin/sh
# Broken checkpoints: one line that names the tensor, key or file that is to blame, exit
# status 1, and an output that is to be replaced stays as it was.
set -eu
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/runs.sh"
# shellcheck disable=SC2034 # used by start
limit=20

python=$(find_python)
"$python" "$tests/oracle/make_bad.py" "$FIXTURES/law" bad
book 700 1 >a.txt
run 1 --model bad/good --output o.h5 --snapshots documents a.txt
before=$(hash o)

"$python" -c '
import json
for name, words in sorted(json.load(open("bad/manifest.json")).items()):
    print(name, words)' >manifest
[ "$(wc -l <manifest)" -gt 50 ] || fail "only $(wc -l <manifest) broken checkpoints"

# try RANKS NAME WORDS
try() {
  status=0
  start "$1" --model "bad/$2" --output o.h5 --overwrite --snapshots documents a.txt \
    >said 2>&1 </dev/null || status=$?
  [ $status -eq 1 ] || { cat said >&2 && fail "$2: exit status $status"; }
  [ "$(grep -c '^longspan: ' said)" -eq 1 ] || { cat said >&2 && fail "$2: not one line"; }
  [ "$1" -gt 1 ] || [ "$(wc -l <said)" -eq 1 ] || { cat said >&2 && fail "$2: lines"; }
  grep '^longspan: ' said | grep -qF "$3" ||
    { cat said >&2 && fail "$2: does not say '$3'"; }
  [ "$(hash o)" = "$before" ] || fail "$2: the output was touched"
  [ "$(echo o.*)" = "o.h5 o.memory.h5 o.run.json" ] || fail "$2: leaves $(echo o.*)"
}

n=0
while read -r name words; do
  n=$((n + 1))
  try 1 "$name" "$words"
  [ $((n % 6)) -ne 0 ] || try 2 "$name" "$words"
done <manifest
passed "$n broken checkpoints"
