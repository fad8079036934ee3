# What building and running longspan needs, and what of it is missing; to be sourced by a
# POSIX shell after lib.sh.
# shellcheck shell=sh

# thing|in words|Debian|module|Spack|conda
NEEDS='compiler|a C compiler with OpenMP|build-essential|gcc|gcc|c-compiler
make|make|build-essential||gmake|make
cmake|CMake 3.25 or newer|cmake|cmake|cmake|cmake
pkgconfig|pkg-config|pkg-config||pkgconf|pkg-config
mpi|MPI (mpicc with mpirun)|openmpi-bin libopenmpi-dev|openmpi|openmpi|openmpi openmpi-mpicc
hdf5|HDF5, parallel or serial, with its _hl library|libhdf5-openmpi-dev|hdf5|hdf5+hl|hdf5
blas|a shared CBLAS (OpenBLAS best)|libopenblas0-pthread|openblas|openblas|libopenblas
jansson|jansson 2.11 or newer|libjansson-dev|jansson|jansson|jansson
xxhash|xxHash 0.8 or newer|libxxhash-dev|xxhash|xxhash|xxhash
pcre2|PCRE2 10.34 or newer|libpcre2-dev|pcre2|pcre2|pcre2
utf8proc|utf8proc 2.4 or newer|libutf8proc-dev|utf8proc|utf8proc|utf8proc
python|Python 3, to fetch the novel|python3|python|python|python
numpy|Python 3 with numpy and pip, to get the model|python3-numpy python3-pip|python|py-numpy py-pip|numpy pip'

# compiles COMPILER PROGRAM [OPTION...]
compiles() {
  compiler=$1
  program=$2
  shift 2
  command -v "$compiler" >/dev/null &&
    printf '%s\n' "$program" | "$compiler" -x c -o /dev/null - "$@" >/dev/null 2>&1
}

has_module() { "${PKG_CONFIG:-pkg-config}" --exists "$1" 2>/dev/null; }

has_compiler() { compiles "${CC:-cc}" 'int main(void) { return 0; }' -fopenmp; }
has_make() { command -v make >/dev/null; }
has_cmake() { find_cmake >/dev/null 2>&1; }
has_pkgconfig() { command -v "${PKG_CONFIG:-pkg-config}" >/dev/null; }
has_jansson() { has_module 'jansson >= 2.11'; }
has_xxhash() { has_module 'libxxhash >= 0.8.0'; }
has_pcre2() { has_module 'libpcre2-8 >= 10.34'; }
has_utf8proc() { has_module 'libutf8proc >= 2.4'; }
# fetch_python: prints a Python that data/fetch_novels.py runs on.
fetch_python() { python_with argparse bz2 gzip lzma zlib; }
has_python() { fetch_python >/dev/null; }
# model_python: prints a Python that data/get_model.py runs on.
model_python() { python_with numpy pip zipfile; }
has_numpy() { model_python >/dev/null; }

# launcher: prints the program that starts MPI ranks.
launcher() { command -v mpirun || command -v mpiexec; }

has_mpi() {
  launcher >/dev/null || return 1
  for compiler in mpicc "${CC:-cc}"; do
    ! compiles "$compiler" '#include <mpi.h>
      int main(void) { return MPI_Init(0, 0); }' || return 0
  done
  return 1
}

has_hdf5() {
  [ -z "${HDF5_ROOT:-}" ] || return 0
  for module in hdf5-openmpi hdf5-mpich hdf5 hdf5-serial; do
    ! has_module $module || return 0
  done
  command -v h5pcc >/dev/null || command -v h5cc >/dev/null
}

# Folders where CMake, too, looks for libraries.
library_folders() {
  for root in "${OPENBLAS_ROOT:-}" "${BLAS_ROOT:-}" "${MKLROOT:-}" "${CONDA_PREFIX:-}"; do
    [ -z "$root" ] || printf '%s\n' "$root" "$root/lib" "$root/lib64"
  done
  printf '%s\n' "${LD_LIBRARY_PATH:-}" | tr : '\n'
  printf '%s\n' "${CMAKE_PREFIX_PATH:-}" | tr ':;' '\n' | sed 's|$|/lib|; p; s|$|64|'
  "${CC:-cc}" -print-search-dirs 2>/dev/null | sed -n 's/^libraries: =//p' | tr : '\n'
}

has_blas() {
  [ -z "${LSP_BLAS_LIBRARY:-}" ] || return 0
  for folder in $(library_folders | sort -u); do
    for library in "$folder"/libopenblas.so* "$folder"/libblis.so* \
      "$folder"/libmkl_rt.so* "$folder"/libcblas.so* "$folder"/libblas.so*; do
      [ ! -e "$library" ] || ! compiles "${CC:-cc}" 'char cblas_sgemm(void);
        int main(void) { return cblas_sgemm(); }' "-Wl,--allow-shlib-undefined" \
        -x none "$library" || return 0
    done
  done
  return 1
}

# missing_things [python] [numpy]: prints what is not here, one word each; these two only
# if asked.
missing_things() {
  asked=" $* "
  printf '%s\n' "$NEEDS" | while IFS='|' read -r thing _; do
    case $thing in python | numpy) case $asked in *" $thing "*) ;; *) continue ;; esac ;; esac
    "has_$thing" || echo "$thing"
  done
}

# column N THING...: that column of NEEDS for these things, in one line.
column() {
  n=$1
  shift
  for thing in "$@"; do
    printf '%s\n' "$NEEDS" | grep "^$thing|" | cut -d'|' -f"$n"
  done | tr ' ' '\n' | sed '/^$/d' | awk '!seen[$0]++' | paste -sd' ' -
}

# explain_missing THING...: what is missing, all at once, and where it comes from.
explain_missing() {
  echo "Missing here:"
  for thing in "$@"; do
    printf '%s\n' "$NEEDS" | sed -n "s/^$thing|\([^|]*\)|.*/  \1/p"
  done
  cat <<END

Any one of these may bring it (only the first has been tried):

  Debian, as root
    apt-get install $(column 3 "$@")
  Modules of the site; names differ, "module avail" lists them (untried)
    module load $(column 4 "$@")
  Spack (untried)
    spack install $(column 5 "$@")
    spack load $(column 5 "$@")
  conda (untried)
    conda create -n longspan -c conda-forge $(column 6 "$@")
    conda activate longspan

HDF5 in a place of its own: HDF5_ROOT=FOLDER. CBLAS likewise: OPENBLAS_ROOT=FOLDER.
jansson and xxHash: PKG_CONFIG_PATH=FOLDER/lib/pkgconfig. Then run this again.
END
}

# use_conda: lets CMake and pkg-config look into an active conda environment.
use_conda() {
  [ -n "${CONDA_PREFIX:-}" ] || return 0
  export CMAKE_PREFIX_PATH="$CONDA_PREFIX${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}"
  export PKG_CONFIG_PATH="$CONDA_PREFIX/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
}
