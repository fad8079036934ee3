# Shared by the scripts of launch/ and .ci/; to be sourced by a POSIX shell.

BUILD_PACKAGES="build-essential cmake pkg-config openmpi-bin libopenmpi-dev
  libhdf5-openmpi-dev libopenblas0-pthread libjansson-dev libxxhash-dev"
TEST_PACKAGES="libcmocka-dev python3 python3-h5py hdf5-tools"

say() { printf '\n== %s\n' "$*"; }

# need_packages NAME...: installs what is missing, on Debian and its children. Elsewhere,
# or if it cannot, says so and goes on: CMake will name what it does not find.
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
  as_root=
  [ "$(id -u)" -eq 0 ] || as_root=sudo
  # shellcheck disable=SC2086 # lists of words
  $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends $missing ||
    echo "Could not install$missing; going on with what is here." >&2
}

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
  cmake=$(find_cmake)
  say "Building $preset"
  "$cmake" --preset "$preset" "$@" >"${TMPDIR:-/tmp}/longspan-configure.$$" 2>&1 ||
    { cat "${TMPDIR:-/tmp}/longspan-configure.$$"; return 1; }
  rm -f "${TMPDIR:-/tmp}/longspan-configure.$$"
  "$cmake" --build "build/$preset" -j "${JOBS:-$(nproc)}" ${TARGET:+--target "$TARGET"}
}

# mpi_on_one_host: Open MPI on this machine alone: as root in a container, with more ranks
# than cores, and where there is no ssh (Debian's mpirun refuses to start without one).
mpi_on_one_host() {
  export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_plm_rsh_agent=sh
  [ "$(id -u)" -ne 0 ] ||
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
}
