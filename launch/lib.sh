# Shared by the scripts of launch/ and .ci/; to be sourced by a POSIX shell.

BUILD_PACKAGES="build-essential cmake pkg-config openmpi-bin libopenmpi-dev
  libhdf5-openmpi-dev libopenblas0-pthread libjansson-dev libxxhash-dev
  libpcre2-dev libutf8proc-dev"
TEST_PACKAGES="libcmocka-dev python3 python3-h5py hdf5-tools"
MODEL_PACKAGES="python3-numpy python3-pip" # what data/get_model.py needs

say() { printf '\n== %s\n' "$*"; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# need_packages NAME...: installs what is missing, on Debian and its children. Elsewhere,
# or if it cannot, only says so: CMake will name what it does not find.
need_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "Not a Debian system; needed, under these or other names:" "$@"
    return 0
  fi
  missing=
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
      missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  say "Installing$missing"
  # shellcheck disable=SC2086 # lists of words
  as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends $missing ||
    echo "Could not install$missing; trying with what is here." >&2
}

# python_with MODULE...: prints a Python 3 that can import these modules; status 1 if
# there is none. Debian's own comes first: one of pyenv, conda or a module of the site may
# be ahead of it on PATH, and lack packages, or what Python's own library needs.
python_with() (
  set -f
  IFS=:
  for folder in /usr/bin $PATH; do
    if "$folder/python3" -c 'import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)' "$@" </dev/null >/dev/null 2>&1; then
      echo "$folder/python3"
      exit 0
    fi
  done
  exit 1
)

# find_cmake: prints the path of a CMake of 3.25 or newer.
find_cmake() {
  for candidate in /usr/bin/cmake "$(command -v cmake)"; do
    version=$("$candidate" --version 2>/dev/null | sed -n '1s/[^0-9]*//p') || continue
    if [ -n "$version" ] && printf '3.25\n%s\n' "$version" | sort -CV; then
      echo "$candidate"
      return 0
    fi
  done
  echo "CMake 3.25 or newer is needed" >&2
  return 1
}

# build PRESET [CMAKE-OPTION...]: configures and builds in build/PRESET; TARGET alone, if
# that is set, and with JOBS jobs (default: one a processor).
build() {
  preset=$1
  shift
  cmake=$(find_cmake) || return 1
  say "Building $preset"
  mkdir -p build ||
    { echo "$PWD needs to be writable: build/ is made there" >&2; return 1; }
  "$cmake" --preset "$preset" "$@" >"build/configure-$preset.log" 2>&1 ||
    { cat "build/configure-$preset.log"; return 1; }
  "$cmake" --build "build/$preset" -j "${JOBS:-$(nproc)}" ${TARGET:+--target "$TARGET"}
}

# mpi_on_one_host: Open MPI on this machine alone: as root in a container, with more ranks
# than cores, and where there is no ssh (Debian's mpirun refuses to start without one).
mpi_on_one_host() {
  export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_plm_rsh_agent=sh
  [ "$(id -u)" -ne 0 ] ||
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
}
