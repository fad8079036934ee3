#!/bin/sh
# Law 1 for blocks that are picked one by one: drawn, chosen by content, selected token by
# token. Picked blocks lie in the span, in spans of other ranks of this wave, in rings of
# earlier waves; there are more of them than fit into the room for fetched ones; borders
# of spans and waves lie before and behind a picked block.
#
# Compared: the SHA-256 of both files with that of one rank and one wave, which fetches
# nothing. The models are those of fixtures/branches with other layers: no weight depends on
# what is picked.
set -eu
. "$(dirname "$0")/../runs.sh"

hidden="--write id,nll,hidden,hidden:1 --snapshots documents"
results=$hidden

# model FIXTURE LAYERS: with these layers, in ./model.
model() {
  rm -rf model
  mkdir model
  cp "$FIXTURES/branches/$1/model.safetensors" model
  tr -d '\n' <"$FIXTURES/branches/$1/config.json" |
    sed "s/\"layers\": .*/\"layers\": $2}/" >model/config.json
  grep -qF "$2" model/config.json || fail "no such layers in the config"
}

# same WHAT RUN...: runs "RANKS WAVE" of the documents in ./text, all like one rank and
# one wave. What others have is fetched in all of them but the first.
same() {
  what=$1
  shift
  # shellcheck disable=SC2086 # a list of words
  run 1 --model model --output one.h5 --overwrite $results text
  expected=$(hash one)
  for set_of in "$@"; do
    # shellcheck disable=SC2086 # a list of words
    run ${set_of% *} --model model --output other.h5 --overwrite $results \
      --wave-tokens ${set_of#* } --threads $((${set_of% *} % 2 + 1)) text
    [ "$(hash other)" = "$expected" ] ||
      fail "$core: $what: ${set_of% *} ranks, waves of ${set_of#* }"
    [ "${set_of% *}" -eq 1 ] || [ "$(fact other parts_fetched)" -gt 0 ] ||
      fail "$core: $what: ${set_of% *} ranks, waves of ${set_of#* }: nothing fetched"
  done
  passed "$core: $what: $# runs"
}

random_of() { # random_of BLOCKS REACH BEYOND SEED
  echo "{\"type\": \"random\", \"blocks\": $1, \"reach\": $2, \"beyond\": $3, \"seed\": $4}"
}
local_of() { # local_of WINDOW
  echo "{\"type\": \"local\", \"window\": $1}"
}
fixed_of() {
  echo "{\"type\": \"fixed\", \"sinks\": $1}"
}

chosen_of() { # chosen_of BLOCKS REACH BEYOND
  echo "{\"type\": \"chosen\", \"blocks\": $1, \"reach\": $2, \"beyond\": $3}"
}
compressed_of() { # compressed_of POOL REACH
  echo "{\"type\": \"compressed\", \"pool\": $1, \"reach\": $2}"
}
selected_of() { # selected_of BLOCKS
  echo "{\"type\": \"selected\", \"blocks\": $1}"
}

texts() {
  rm -rf text
  mkdir text
  book 700 41 >text/a
  book 1 42 >text/b
  book 3130 43 >text/c
  book 130 44 >text/d
  book 2500 45 >text/e
}

drawn() {
  texts
  results=$hidden
  first="$(random_of 2 6 0 1), $(local_of 100), $(fixed_of 70)"
  second="$(random_of 3 17 2 5), $(random_of 1 40 0 5), $(local_of 1)"
  model local-heads "[{\"branches\": [$first]}, {\"branches\": [$second]}]"
  same "drawn blocks" "1 256" "2 256" "3 512" "4 700" "7 1300" "5 1000000"
  model local-heads \
    "[{\"branches\": [$first], \"merge\": \"sum\"}, {\"branches\": [$first]}]"
  same "drawn blocks beside others" "2 700" "3 1000000" "7 600"
}

chosen() {
  texts
  results="$hidden --write id,hidden,hidden:1,chosen:0,chosen:1"
  first="$(chosen_of 2 6 0), $(local_of 100), $(fixed_of 70)"
  second="$(chosen_of 5 40 2), $(random_of 1 9 0 5)"
  model local-heads "[{\"branches\": [$first]}, {\"branches\": [$second]}]"
  same "chosen blocks" "1 256" "2 256" "3 512" "4 700" "7 1300" "5 1000000"
  model local-heads \
    "[{\"branches\": [$first], \"merge\": \"sum\"}, {\"branches\": [$second]}]"
  same "chosen blocks beside others" "2 700" "3 1000000" "7 600"
}

selected() {
  texts
  results="$hidden --write id,hidden,hidden:1,chosen:0,chosen:1"
  first="$(compressed_of 16 0), $(selected_of 4), $(local_of 100)"
  second="$(compressed_of 4 150), $(selected_of 9)"
  model local-heads "[{\"branches\": [$first], \"merge\": \"sum\"}, \
{\"branches\": [$second], \"merge\": \"sum\"}]"
  same "selected blocks" "1 256" "2 256" "3 512" "4 700" "7 1300" "5 1000000"
}

# ---- More than there is room for

# Heads of 8 in blocks of 6 KiB: 5,461 of them fit into 32 MiB, and there are 4 heads. Of
# 200,000 tokens the second of two ranks wants nearly all 6,250 blocks that the first one
# has; its panels are attended in batches.
many() {
  rm -rf text
  book 200000 46 >text
  first="$(random_of 12 2000 0 1), $(local_of 1)"
  model full "[{\"branches\": [$first]}, {\"branches\": [$(local_of 1)]}]"
  results="--write id,nll"
  same "more than fits" "2 1000000" "3 1000000"
  run 2 --model model --output other.h5 --overwrite --write id --wave-tokens 1000000 text
  [ "$(fact other bytes_fetched)" -gt $((32 << 20)) ] ||
    fail "$(fact other bytes_fetched) bytes fetched: they fit"
}

# ---- What was chosen is written

# ok_by_verify FILE: 0 if its sums are right.
ok_by_verify() {
  "$LONGSPAN" verify "$1" >verified 2>&1
}

# misused PATTERN ARGUMENT...: a run that is refused with exit status 2.
misused() {
  pattern=$1 status=0
  shift
  start 1 "$@" >said 2>&1 || status=$?
  [ $status -eq 2 ] || complain "exit status $status, expected 2: $*"
  grep -q "^longspan: .*$pattern" said || complain "expected '$pattern': $*"
}

written() {
  texts
  model local-heads "[{\"branches\": [$(chosen_of 2 6 0)]}, \
{\"branches\": [$(local_of 9)]}]"
  misused "chosen:1: that layer chooses no blocks" --model model --output w.h5 \
    --write id,chosen:1 text
  misused "chosen:2: the model has 2 layers; give a LAYER from 0 to 1" --model model \
    --output w.h5 --write id,chosen:2 text
  ! "$LONGSPAN" plan --model model --ranks 2 --tokens 140000000000 >said 2>&1 ||
    fail "more blocks than numbers for them"
  grep -q 'layer 0 chooses among the blocks of a text of 140000000000 rows' said ||
    complain "expected where blocks are counted to"
  run 3 --model model --output w.h5 --overwrite --write id,chosen:0 --wave-tokens 700 text
  ok_by_verify w.h5 || complain "verify: $(cat verified)"
  "$LONGSPAN" info w.h5 | tr -s ' \n' ' ' | grep -q 'chosen_0 (blocks chosen in' ||
    fail "info does not say what w.h5 holds"
  can_read "what was chosen" || return 0
  # Document c begins at token 701 with blocks that choose as many as there are.
  rows w.h5 /tokens/chosen_0 6461 701 256 | od -An -v -td4 -w16 | awk '
    { b = int((NR - 1) / 64) }
    b == 0 && ($1 != -1 || $2 != -1 || $3 != -1 || $4 != -1) { exit 1 }
    b == 1 && ($1 != 0 || $2 != -1 || $3 != 0 || $4 != -1) { exit 1 }
    b == 2 && ($1 != 0 || $2 != 1 || $3 != 0 || $4 != 1) { exit 1 }
    b == 3 && ($1 < 0 || $1 >= $2 || $2 > 2 || $3 < 0 || $3 >= $4 || $4 > 2) { exit 1 }
    END { if (NR != 256) exit 1 }' || fail "the first blocks of a document chose others"
  at=$(h5dump -p -H -d /tokens/chosen_0 w.h5 | awk '$1 == "OFFSET" { print $2; exit }')
  printf 'x' | dd of=w.h5 bs=1 seek=$((at + 16 * 3000)) conv=notrunc 2>/dev/null
  ! ok_by_verify w.h5 || fail "verify passes a choice that was changed"
  grep -q '/tokens (document 2' verified || complain "verify: $(cat verified)"
  passed "what was chosen is written, verified, refused"
}

available=$(cores)
for core in $available; do
  use "$core"
  drawn
  chosen
  selected
done
(many)
(written)
