#!/bin/sh
# Every choice of blocks in every fixture that makes any, against float64 (choices.py), in the
# documents of the fixture, in random ones, and in one whose blocks are all alike. The same
# choices on one rank and on three.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python h5py numpy)
export PYTHONDONTWRITEBYTECODE=1
check="$FIXTURES/../golden/choices.py"

cases=0
for model in "$FIXTURES"/branches/*/; do
  grep -qE '"type": "(chosen|selected)"' "$model/config.json" || continue
  name=$(basename "$model")
  mkdir "$name"
  results=$("$python" "$check" texts "$model" "$name")
  for ranks in 1 3; do
    run "$ranks" --model "$model" --input-format u16 --output "$name.$ranks.h5" \
      --write "$results" --wave-tokens $((ranks * 512)) \
      "$model"/doc*.bin "$name"/random*.bin
  done
  [ "$(hash "$name.1")" = "$(hash "$name.3")" ] || fail "$name: other bytes on 3 ranks"
  "$python" "$check" check "$model" "$name.1.h5" "$model"/doc*.bin "$name"/random*.bin >said ||
    fail "$name: $(cat said)"
  passed "$name: $(cat said)"
  cases=$((cases + 1))
done
[ "$cases" -ge 8 ] || fail "$cases fixtures that choose"
