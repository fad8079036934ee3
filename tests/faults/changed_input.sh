#!/bin/sh
# What is computed on is what was hashed: another text under the same name on another
# host, and a text that is changed during the run, are refused before a token is used.
set -eu
. "$(dirname "$0")/../runs.sh"

law="--model $FIXTURES/law"
book 40000 71 >text
book 40000 72 >other
seen="not those that were hashed"

# elsewhere PATH PATTERN ARGUMENT...: refused where rank 1 finds another file at PATH.
elsewhere() {
  path=$1 pattern=$2
  shift 2
  (
    export LD_PRELOAD="$IOFAULT" LSP_FAULT_RANK=1
    export LSP_FAULT_PATH="$work/$path" LSP_FAULT_OPEN_AS="$work/$path.1"
    # shellcheck disable=SC2086 # lists of words
    refused "$pattern" 2 $law --output swapped.h5 --overwrite "$@"
  )
}

cp other text.1
elsewhere text "text: tokens 0 to 39999 of document .*$seen" "$work/text"
passed "another text of the same size under the same path"
for name in text other; do # the documents of both have one name
  cp $name book
  # shellcheck disable=SC2086 # lists of words
  run 1 $law --output $name.h5 book
done
cp text.h5 ids.h5
cp other.h5 ids.h5.1
elsewhere ids.h5 "ids.h5: tokens 0 to .*$seen" "$work/ids.h5"
passed "other token ids of the same size under the same path"

# changed: 0 if a run ended, refused, as its text changed under it. A byte near the end
# is changed once something is committed; size and time stay.
changed() {
  cp text moving
  rm -f moving.*
  status=0
  # shellcheck disable=SC2086 # lists of words
  start 2 $law --output moving.h5 --overwrite --wave-tokens 256 moving >said 2>&1 &
  run_pid=$!
  until [ -n "$(find moving.h5.journal -size +1500c 2>/dev/null)" ]; do
    kill -0 $run_pid 2>/dev/null || break
    sleep 0.05
  done
  printf X | dd of=moving bs=1 seek=39990 conv=notrunc 2>/dev/null
  touch -r text moving
  wait $run_pid || status=$?
  [ $status -ne 0 ] || return 1 # it was faster
  [ $status -eq 1 ] || complain "exit status $status, expected 1"
  grep -q "^longspan: .*$seen" said || complain "expected '$seen'"
}
changed || changed || changed || fail "a text that changes during the run goes unnoticed"
passed "a text that changes during the run"
# shellcheck disable=SC2086 # lists of words
refused "\`input\` was" 2 $law --output moving.h5 --resume moving
cp text moving
# shellcheck disable=SC2086 # lists of words
run 2 $law --output moving.h5 --resume moving
mv moving.h5 resumed.h5
rm moving.memory.h5
# shellcheck disable=SC2086 # lists of words
run 1 $law --output moving.h5 moving
cmp resumed.h5 moving.h5 || fail "resumed to other bytes"
passed "the text restored, the run is resumed to the same bytes"

# ---- The configuration of a model is part of it

mkdir model
cp "$FIXTURES/law/config.json" "$FIXTURES/law/model.safetensors" model
head -c 600 text >short
run 1 --model model --output model.h5 short
for change in 's/"layer_norm_epsilon": 1e-05/"layer_norm_epsilon": 1e-06/' \
  's/"pre_lnorm": false/"pre_lnorm": true/'; do
  sed "$change" "$FIXTURES/law/config.json" >model/config.json
  refused "\`config\` was" 1 --model model --output model.h5 --resume short
done
cp "$FIXTURES/law/config.json" model
run 1 --model model --output model.h5 --resume short
passed "another configuration of the same weights"
