#!/bin/sh
# From a fresh Debian 12 machine to a finished test run.
#   launch/test.sh [--preset release|dev|asan] [--label REGEX] [--quick]
#                  [--models] [-- CTEST-OPTION...]
set -eu
unset CDPATH # would lead cd elsewhere
cd "$(dirname "$0")/.."
. launch/lib.sh

usage() {
  sed -n '2,4s/^# *//p' launch/test.sh
  echo "  --label  only tests with this label: unit, mpi, golden, cli, faults"
  echo "  --quick  only unit and cli"
  echo "  --models  instead, the slow ones with real models, which are fetched (89 MB)"
}

preset=release
label=.
models= # words for ctest where real models are asked for
while [ $# -gt 0 ]; do
  case $1 in
  --preset) preset=${2:?--preset needs a name} && shift 2 ;;
  --label) label=${2:?--label needs a name} && shift 2 ;;
  --quick) label='unit|cli' && shift ;;
  --models) label=models && models="-C models" && shift ;;
  --help) usage && exit 0 ;;
  --) shift && break ;;
  *) usage >&2 && exit 2 ;;
  esac
done

# shellcheck disable=SC2086 # lists of words
need_packages $BUILD_PACKAGES $TEST_PACKAGES ${models:+$MODEL_PACKAGES}
build "$preset"

say "Testing $preset"
status=0
# shellcheck disable=SC2086 # a list of words
"$(dirname "$(find_cmake)")/ctest" --test-dir "build/$preset" --no-tests=error $models \
  --output-on-failure -j "$(nproc)" -L "$label" "$@" || status=$?
say "Tests of build/$preset: $([ $status -eq 0 ] && echo passed || echo FAILED)"
exit $status
