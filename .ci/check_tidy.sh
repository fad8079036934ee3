#!/bin/sh
# clang-tidy over src: all of it, or the files that are named. Details: build/tidy.log
set -eu
cd "$(dirname "$0")/.."
. launch/lib.sh
tidy=$(command -v "${CLANG_TIDY:-clang-tidy}") || { echo "clang-tidy is not here" >&2; exit 1; }
$(find_cmake) --preset dev >/dev/null
[ $# -gt 0 ] || set -- $(find src -name '*.c')
printf '%s\n' "$@" |
  xargs -P "$(nproc)" -n 2 "$tidy" -p build/dev --quiet \
    --extra-arg=-Wno-unknown-warning-option >build/tidy.log 2>&1 && exit 0
grep -E '(error|warning):' build/tidy.log | sed "s|$PWD/||" | sort -u
exit 1
