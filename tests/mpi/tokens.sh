#!/bin/sh
# A run over text whose model has a tokenizer: the same bytes for any ranks and waves, and
# for a run that was killed and resumed; the spooled tokens end with it.
set -eu
. "$(dirname "$0")/../runs.sh"

cp -r "$FIXTURES/branches/ids-tied-bias" model
cp "$FIXTURES/tokens/tokenizer.json" model
results="--model model --write id,nll,hidden --snapshots documents"
mkdir texts
book 9000 21 >texts/a
: >texts/b
cp "$FIXTURES/tokens/text" texts/c
book 1 22 >texts/d
head -c 3000 /dev/urandom >noise
{ book 2000 23 && cat noise && book 500 24; } >texts/e

# clean NAME: nothing is left beside the files of a finished run.
clean() {
  for left in "$1".h5.*; do
    [ ! -e "$left" ] || fail "$left is left over"
  done
  [ ! -e "$1.stdin" ] || fail "$1.stdin is left over"
}

same() {
  [ "$(hash one)" = "$(hash "$1")" ] || fail "$2: other bytes"
  passed "$2"
}

# shellcheck disable=SC2086 # lists of words
{
  run 1 $results --output one.h5 texts
  clean one
  for ranks in 2 3 4; do
    run $ranks $results --output more.h5 --overwrite --wave-tokens $((700 * ranks)) texts
    clean more
    same more "$ranks ranks"
  done
  printf '%s\n' texts/a texts/b texts/c texts/d texts/e >list
  run 2 $results --output list.h5 @list
}

# ---- Killed, and resumed on other ranks

# killed NAME FILE CALL ARGUMENT...: a run that dies at a call of I/O on a file.
killed() {
  name=$1 at=$2 number=$3
  shift 3
  status=0
  (
    export LD_PRELOAD="$IOFAULT" LSP_FAULT_PATH="$at" LSP_FAULT_MODE=kill
    export LSP_FAULT_AT="$number" LSP_FAULT_RANK=0
    # shellcheck disable=SC2086 # lists of words
    start 2 $results --output "$name.h5" --wave-tokens 1000 "$@" >said 2>&1
  ) || status=$?
  [ $status -ne 0 ] && [ $status -ne 1 ] || complain "exit status $status: not killed"
}

# shellcheck disable=SC2086 # lists of words
{
  killed stopped stopped.h5.journal 12 texts
  [ -s stopped.h5.journal ] && [ -s stopped.h5.ids.tmp ] || fail "killed too early"
  cp -r texts others
  book 9000 25 >others/a
  refused '`input` was' 2 $results --output stopped.h5 --resume others
  refused '`special_tokens` was\|`input` was' 2 $results --output stopped.h5 --resume \
    --special-tokens parse texts
  sed 's/"dropout": null/"dropout":  null/' model/tokenizer.json >changed
  cmp -s changed model/tokenizer.json && fail "the tokenizer is as it was"
  cp -r model other
  cp changed other/tokenizer.json
  refused '`tokenizer` was' 1 $results --model other --output stopped.h5 --resume texts
  refused 'there is a run of this name' 1 $results --output stopped.h5 texts
  run 3 $results --output stopped.h5 --resume texts
  clean stopped
  same stopped "killed and resumed on 3 ranks"
  run 1 $results --output stopped.h5 --resume texts
  clean stopped

  for file in ids starts; do
    for call in 1 2 4; do
      killed early early.h5.$file.tmp $call texts
      [ ! -e early.h5.journal ] || fail "killed too late"
      run 2 $results --output early.h5 texts
      clean early
      [ "$(hash one)" = "$(hash early)" ] || fail "killed at call $call of $file"
      rm early.*
    done
  done
  passed "killed while the text was being cut"
}

# ---- Standard input

# shellcheck disable=SC2086 # lists of words
{
  mkdir folder
  cp texts/e folder/-
  run 1 $results --output one.h5 --overwrite folder
  run 3 $results --output piped.h5 - <texts/e
  clean piped
  same piped "standard input"
  killed piped piped.h5.journal 12 --overwrite - <texts/e
  [ -s piped.stdin ] || fail "the copy of standard input is gone"
  run 2 $results --output piped.h5 --resume - </dev/null
  clean piped
  same piped "standard input, killed and resumed"
}

# ---- What is refused

# nothing: a refusal has left nothing.
nothing() {
  for left in x.*; do
    [ ! -e "$left" ] || fail "$left is left over"
  done
}

cp -r model small
sed 's/"vocab_size": 1000/"vocab_size": 511/; s/999/510/' model/config.json >small/config.json
cp -r model broken
echo '{"version": "1.0", "model": {"type": "Unigram"}}' >broken/tokenizer.json
head -c 400 texts/c >ids
# shellcheck disable=SC2086 # lists of words
for ranks in 1 2; do
  refused 'a: is text, and one.h5 is token ids' $ranks $results --output x.h5 texts one.h5
  refused 'a: is text, but the model takes token ids: there is no tokenizer.json' $ranks \
    --model "$FIXTURES/branches/ids-tied-bias" --output x.h5 texts
  refused 'ids from 0 to 511, but the model has a vocabulary of 511' $ranks \
    --model small --output x.h5 texts
  refused 'broken/tokenizer.json: ' $ranks --model broken --output x.h5 texts
  refused 'nowhere: cannot be opened' $ranks $results --output x.h5 texts nowhere
  nothing
done
# A tokenizer that cannot be read is not in the way of ids.
# shellcheck disable=SC2086 # lists of words
{
  : >no_ids
  run 2 --model broken --output x.h5 --input-format u16 no_ids
}
passed "refusals"
