#!/bin/sh
# Every C file is as clang-format 14 writes it. With --fix: makes it so.
set -eu
cd "$(dirname "$0")/.."
how="--dry-run -Werror"
[ "${1-}" != --fix ] || how=-i
# shellcheck disable=SC2086 # two words
find src include tests -name '*.[ch]' -print0 |
  xargs -0 "${CLANG_FORMAT:-clang-format}" --style=file $how
