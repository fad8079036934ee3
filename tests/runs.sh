# Whole runs of the program, for the shell tests; to be sourced by a POSIX shell after
# `set -eu`. Goes to a folder of its own, which is removed at the end.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"

# More threads than cores, many of them waiting for each other: none may spin.
export OMP_WAIT_POLICY=passive

# A run that takes longer than this many seconds hangs. A sanitizer is slow to start.
limit=180
[ -z "${ASAN_OPTIONS-}" ] || limit=300

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

passed() {
  echo "ok: $*"
}

# find_python MODULE...: prints a Python 3 that can import these modules, or fails and says
# what to install. Never plain python3, which may be one without packages.
find_python() (
  . "$FIXTURES/../../launch/lib.sh"
  # shellcheck disable=SC2086 # a list of words
  python_with "$@" ||
    fail "no Python 3 here imports '$*'; install (launch/test.sh does)" $TEST_PACKAGES
)

# fact FILE KEY [FIELD]: a number of FILE.run.json.
fact() {
  awk -v key="\"$2\":" -v field="\"${3-}\":" '
    $1 == key && NF == 2 && $2 != "{" { number = $2; exit }
    $1 == key { inside = 1 }
    inside && $1 == field { number = $2; exit }
    END { sub(",", "", number); printf "%.0f", number }' "$1.run.json"
}

# What products are by: nothing, or --gemm.
gemm=

# start RANKS ARGUMENT...: longspan run, quietly; exit status of the run. One rank is
# started directly.
start() {
  ranks=$1
  shift
  if [ "$ranks" -eq 1 ]; then
    # shellcheck disable=SC2086 # a list of words
    timeout -k 5 $limit "$LONGSPAN" run --quiet $gemm "$@"
  else
    # shellcheck disable=SC2086 # a list of words
    timeout -k 5 $limit $MPIRUN -n "$ranks" "$LONGSPAN" run --quiet $gemm "$@"
  fi
}

# complain TEXT: a failure, and what the run said.
complain() {
  cat "$work/said" >&2
  fail "$@"
}

# run RANKS ARGUMENT...: a run that must succeed.
run() {
  status=0
  start "$@" >"$work/said" 2>&1 || status=$?
  case $status in
  0) ;;
  124 | 137) complain "hangs: $*" ;;
  *) complain "exit status $status: $*" ;;
  esac
}

# refused PATTERN RANKS ARGUMENT...: exit status 1, one line of longspan, which matches.
# (mpirun adds lines of its own.)
refused() {
  pattern=$1
  shift
  status=0
  start "$@" >"$work/said" 2>&1 || status=$?
  [ $status -eq 1 ] || complain "exit status $status, expected 1: $*"
  [ "$(grep -c '^longspan: ' "$work/said")" -eq 1 ] || complain "not one line: $*"
  [ "$1" -ne 1 ] || [ "$(wc -l <"$work/said")" -eq 1 ] || complain "not one line: $*"
  grep -q "^longspan: .*$pattern" "$work/said" || complain "expected '$pattern': $*"
}

# hash NAME: of NAME.h5 and, if there is one, NAME.memory.h5, whatever they are called.
hash() {
  sha256sum <"$1.h5"
  [ ! -f "$1.memory.h5" ] || sha256sum <"$1.memory.h5"
}

# book BYTES SEED: text with words, sentences and paragraphs, the same everywhere (the
# generator stays below 2^53).
book() {
  awk -v bytes="$1" -v seed="$2" '
    function below(n) {
      seed = (seed * 16807) % 2147483647
      return seed % n
    }
    BEGIN {
      count = split("the of and to a in that it was he for on is with as his at by " \
        "had not but from her they she were which you one all said there been river " \
        "house evening captain letter answered morning nothing window remember " \
        "mountain garden sister without business winter silence candle journey " \
        "stranger", word, " ")
      while (written < bytes) {
        words = 4 + below(16)
        sentence = ""
        for (i = 0; i < words; i++) {
          rank = int(count * (below(1000) * below(1000) / 1000000)) + 1
          w = word[rank]
          if (i == 0)
            w = toupper(substr(w, 1, 1)) substr(w, 2)
          sentence = sentence (i == 0 ? "" : below(9) == 0 ? ", " : " ") w
        }
        sentence = sentence (below(8) == 0 ? "?" : ".") (below(6) == 0 ? "\n\n" : " ")
        printf "%s", sentence
        written += length(sentence)
      }
    }' | head -c "$1"
}

# vocabulary FOLDER: how many ids the model of a folder has; 256: it reads bytes.
vocabulary() {
  sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' "$1/config.json"
}

# ids VOCABULARY FILE: a text as ids of 16 bits: character c at position i is
# (c + 256 (i mod 3)) mod VOCABULARY.
ids() {
  # shellcheck disable=SC2059 # octal escapes are the text
  printf "$(od -An -v -tu1 "$2" | tr -s ' ' '\n' | awk -v all="$1" 'NF {
    id = ($1 + 256 * (n++ % 3)) % all
    printf "\\%03o\\%03o", id % 256, int(id / 256)
  }')"
}

# given FOLDER TEXT: what a run of the model of a folder is given for a text, or a folder of
# texts: itself, or ids made of it, beside it.
given() {
  all=$(vocabulary "$1")
  if [ "$all" -eq 256 ]; then
    echo "$2"
    return
  fi
  if [ -d "$2" ] && [ ! -d "$2-$all" ]; then
    mkdir "$2-$all"
    for text in "$2"/*; do
      ids "$all" "$text" >"$2-$all/${text##*/}"
    done
  elif [ -f "$2" ]; then
    ids "$all" "$2" >"$2-$all"
  fi
  echo "$2-$all --input-format u16"
}

# Datasets are read by a tool of HDF5; without it, what needs them is passed over.
can_read() {
  ! command -v h5dump >/dev/null || return 0
  echo "passed over without h5dump: $*"
  return 1
}

# column FILE DATASET: its bytes, little-endian, to standard output.
column() {
  h5dump -d "$2" -b LE -o column "$1" >/dev/null || fail "$1: no $2"
  cat column
}

# rows FILE DATASET ALL FIRST COUNT: the bytes of some of its ALL rows.
rows() {
  h5dump -d "$2" -b LE -o column "$1" >/dev/null || fail "$1: no $2"
  row=$(($(wc -c <column) / $3))
  tail -c "+$(($4 * row + 1))" column | head -c $(($5 * row))
}

# cores: the products to test with: "packed", longspan's own, and a BLAS core, "Haswell" if
# it can run here. With OpenBLAS's Haswell kernels a row's bits depend on its place in a
# call, so what holds by luck alone elsewhere shows itself.
cores() {
  echo packed
  if [ -z "${OPENBLAS_CORETYPE-}" ] && grep -q avx2 /proc/cpuinfo &&
    OPENBLAS_CORETYPE=Haswell "$LONGSPAN" --version | tr '\n' ' ' |
    grep -q 'OpenBLAS.*core Haswell'; then
    echo Haswell
  else
    echo default
  fi
}

# use CORE: one of the above.
given_core=${OPENBLAS_CORETYPE-}
use() {
  gemm="--gemm blas"
  case $1 in
  packed) gemm= ;;
  default) [ -n "$given_core" ] || unset OPENBLAS_CORETYPE ;;
  *) export OPENBLAS_CORETYPE="$1" ;;
  esac
}
