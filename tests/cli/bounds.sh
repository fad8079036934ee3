#!/bin/sh
# Numbers in files that no run can have written: one line says which, and nothing
# overflows.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python h5py)

law="--model $FIXTURES/law"
book 3000 81 >one
book 2000 82 >two
# shellcheck disable=SC2086 # a list of words
run 1 $law --output one.h5 one

"$python" - <<'END'
import h5py, shutil
for i, position in enumerate((-1, -2**63, 2**60 + 1, 2**63 - 1)):
    shutil.copy("one.memory.h5", f"wrong{i}.h5")
    with h5py.File(f"wrong{i}.h5", "r+") as f:
        f["snapshots/position"][-1] = position
shutil.copy("one.h5", "count.h5")
with h5py.File("count.h5", "r+") as f:
    f["documents/token_count"][0] = 2**63 - 1
shutil.copy("one.h5", "start.h5")
with h5py.File("start.h5", "r+") as f:
    f["documents/token_start"][0] = -2**63
shutil.copy("one.h5", "bytes.h5")
with h5py.File("bytes.h5", "r+") as f:
    f["documents/n_bytes"][0] = -2**63
END
# shellcheck disable=SC2086 # a list of words
{
  for i in 0 1 2 3; do
    refused "wrong$i.h5: /snapshots/position: " 1 $law --output o.h5 \
      --from-snapshot wrong$i.h5 two
  done
  [ ! -e o.h5 ] && [ ! -e o.h5.part ] || fail "leaves an output"
  refused 'count.h5: /documents/token_' 1 $law --output o.h5 count.h5
  refused 'start.h5: /documents/token_start' 1 $law --output o.h5 start.h5
  refused 'bytes.h5: /documents/n_bytes' 1 $law --output o.h5 bytes.h5
}
for command in "info count.h5" "show start.h5 one" "info wrong3.h5"; do
  status=0
  # shellcheck disable=SC2086 # a list of words
  "$LONGSPAN" $command >said 2>&1 || status=$?
  [ $status -eq 1 ] && [ "$(wc -l <said)" -eq 1 ] || { cat said >&2 && fail "$command"; }
done
passed "positions and counts"
