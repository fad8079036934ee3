#!/bin/sh
# What a run reads, and what others have put under the names that it writes, stays as it
# was: the run refuses with one line before it has changed anything, or does its work
# beside it.
set -eu
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/runs.sh"

law="--model $FIXTURES/law"
book 1500 1 >text
book 1500 2 >other

# everything FOLDER: a hash of what is in it: names, kinds, contents.
everything() {
  (cd "$1" && find . -printf '%p %y %l\n' | sort &&
    find . -type f -exec sha256sum {} + | sort) | sha256sum
}

# fresh: the folder `in`, with two texts, a model, and nothing else.
fresh() {
  rm -rf in
  mkdir in
  cp text other in
  cp -r "$FIXTURES/law" in/model
}

# stays WORDS NAME RANKS ARGUMENT...: refused with these words; `in` is as it was.
stays() {
  words=$1 name=$2
  shift 2
  before=$(everything in)
  (cd in && refused "$words" "$@" <text) || fail "$name"
  [ "$(everything in)" = "$before" ] || { find in -ls >&2 && fail "$name: changed"; }
  passed "$name"
}

# --- what is read

# shellcheck disable=SC2086 # lists of words
{
  fresh
  cp in/text in/o.stdin
  stays "o.stdin: is an input" "an input named like the copy of standard input" \
    2 $law --output o.h5 o.stdin
  stays "o.stdin: is an input" "the same with --overwrite" \
    1 $law --overwrite --output o.h5 o.stdin
  stays "o.stdin: is an input" "the same beside standard input" \
    1 $law --overwrite --output o.h5 - o.stdin
  stays "o.stdin: standard input would be copied" "the same in a folder" \
    1 $law --overwrite --output o.h5 - .
  fresh
  cp in/text in/o.stdin
  stays "o.stdin: standard input would be copied" "a text of the name of that copy" \
    1 $law --output o.h5 -
  stays "o.stdin: standard input would be copied" "the same with --resume" \
    1 $law --resume --output o.h5 -

  fresh
  (cd in && run 1 $law --output first.h5 text && run 1 $law --output o.h5 text)
  ln in/o.h5 in/hard.h5
  ln -s o.h5 in/soft.h5
  for input in hard.h5 soft.h5 ./../in/o.h5; do
    stays "$input: is an input" "--overwrite of an input ($input)" \
      1 $law --overwrite --output o.h5 $input
  done
  rm in/o.h5 in/hard.h5 in/soft.h5
  for suffix in h5.part.tmp memory.h5 run.json; do
    cp text in/x.$suffix
    stays "x.$suffix: is an input" "an input named .$suffix" \
      1 $law --overwrite --output x.h5 x.$suffix
    rm in/x.$suffix
  done
  ln in/text in/x.h5
  stays "text: is an input" "an output that is an input, by a hard link" \
    1 $law --overwrite --output x.h5 text
  rm in/x.h5
  mkdir in/folder
  cp text in/folder/y.run.json
  stays "y.run.json: is an input" "an output in the folder that is read" \
    1 $law --overwrite --output folder/y.h5 folder
  echo folder/y.run.json >in/list
  stays "y.run.json: is an input" "an output among the files of a list" \
    1 $law --overwrite --output folder/y.h5 @list
  mv in/list in/z.run.json
  stays "z.run.json: is a list" "a list" 1 $law --overwrite --output z.h5 @z.run.json
  stays "is a file of the model" "--overwrite of the model" \
    1 --model model --overwrite --output model/model.safetensors text
  ln in/model/config.json in/c.run.json
  stays "is a file of the model" "--overwrite of the model, by a hard link" \
    1 --model model --overwrite --output c.h5 text
  stays "first.memory.h5: is the snapshot" "--overwrite of the snapshot" \
    1 $law --overwrite --from-snapshot first.memory.h5 --output first.h5 text
  stays "text: is an input .*--log" "a log that is an input" \
    1 $law --log text --output w.h5 text
  stays "folder/y.run.json: is an input" "a log in the folder that is read" \
    1 $law --log folder/y.run.json --output w.h5 folder

  # --- what others have put there
  fresh
  while read -r planted kinds; do
    for kind in $kinds; do
      case $kind in
      text) cp other in/$planted ;;
      link) ln -s other in/$planted ;;
      dangling) ln -s nowhere in/$planted ;;
      hard) ln in/other in/$planted ;;
      pipe) mkfifo in/$planted ;;
      folder) mkdir in/$planted ;;
      esac
      stays "$planted" "$planted: $kind" 1 $law --output o.h5 - >shown
      rm -r in/$planted
    done
  done <<'TABLE'
o.h5.part text link
o.h5.part.tmp text link dangling hard pipe folder
o.memory.h5.part.tmp link
o.h5.slot link
o.h5.slot.tmp text
o.h5.journal.tmp text link
o.run.json text link
o.run.json.tmp text
o.h5.ids.tmp text link
o.h5.starts.tmp text dangling hard
o.stdin link
o.stdin.tmp text dangling
TABLE
  passed "texts, links, pipes and folders under names that a run needs"
  cp other in/o.h5
  stays "o.h5: is no longspan-output" "--overwrite of a text" \
    1 $law --overwrite --output o.h5 text
  rm in/o.h5
  ln -s other in/o.h5
  stays "o.h5: is a link" "--overwrite of a link" 1 $law --overwrite --output o.h5 text
  rm in/o.h5
  cp other in/o.memory.h5
  stays "o.memory.h5: is no longspan-memory" "--overwrite of a text as memory" \
    1 $law --overwrite --output o.h5 text

  rm in/o.memory.h5
  run 1 $law --output in/o.h5 in/text
  stays "o: the files beside it would be those of o.h5" "an output of the same names" \
    1 $law --overwrite --output o text

  # --- what may be replaced
  rm in/o.*
  cp other in/o.memory.h5
  run 1 $law --output in/o.h5 --snapshots none in/text
  cmp -s other in/o.memory.h5 || fail "a memory file that is not the run's"
  run 1 $law --overwrite --output in/o.h5 --snapshots none in/text
  cmp -s other in/o.memory.h5 || fail "--overwrite: a memory file that is not the run's"
  rm in/o.memory.h5
  passed "a memory file that no run replaces"
  run 1 $law --overwrite --output in/o.h5 in/text
  [ -f in/o.memory.h5 ] || fail "no memory file"
  run 1 $law --overwrite --output in/o.h5 --snapshots none in/text
  [ ! -f in/o.memory.h5 ] || fail "the memory file of the output that was replaced"
  passed "--overwrite takes the memory file with the output"
  rm in/o.h5
  run 1 $law --output in/o.h5 --snapshots none in/text
  passed "a run.json of longspan"
  rm in/o.h5
  cp other in/o.run.json
  run 1 $law --overwrite --output in/o.h5 --snapshots none in/text
  passed "a run.json of somebody, with --overwrite"

  # --- the page of show
  fresh
  run 1 $law --output in/o.h5 in/text
}
page() {
  words=$1
  shift
  before=$(everything in) status=0
  "$LONGSPAN" show in/o.h5 in/text "$@" >said 2>&1 || status=$?
  [ $status -eq 1 ] && grep -q "^longspan: .*$words" said ||
    { cat said >&2 && fail "show: exit status $status: $*"; }
  [ "$(everything in)" = "$before" ] || fail "show: changed: $*"
}
ln in/text in/hard
for file in text o.h5 hard; do
  page "in/$file: is read" --html in/$file
done
ln -s other in/page.tmp
page "page.tmp: is a link" --html in/page
rm in/page.tmp
ln -s other in/page
page "page: is a link" --html in/page
passed "show --html"
