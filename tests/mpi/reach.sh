#!/bin/sh
# Reach that works: models whose weights were written by hand
# (tests/oracle/make_reach.py) predict each byte from one far back, and from nothing
# else. Asserted: the nll of every token whose source exists is below 0.001, however ranks
# and waves cut the text; with a shorter reach (config.short.json: by one key, one block,
# levels, or a block that was drawn otherwise) their mean is above 1.
#
# A text is `head` bytes and then `period` bytes again and again. Sinks, global rows, the
# chosen block, what the levels show and what memories hold are 10^6 tokens back.
#
# usage: reach.sh [CASE...]
set -eu
. "$(dirname "$0")/../runs.sh"
can_read "reach" || exit 77

# of CASE KEY [DEFAULT]: a number of its reach.json.
of() {
  number=$(sed -n "s/.*\"$2\": *\\([0-9.]*\\).*/\\1/p" "$FIXTURES/reach/$1/reach.json")
  echo "${number:-${3-}}"
}

# text CASE TOKENS: doubles the periods until there are enough.
text() {
  given=$FIXTURES/reach/$1/text.bin
  head -c "$(of "$1" head)" "$given" >text.begin
  tail -c +$(($(of "$1" head) + 1)) "$given" >text.again
  while [ -s text.again ] && [ "$(wc -c <text.again)" -lt "$2" ]; do
    cat text.again text.again >text.more
    mv text.more text.again
  done
  cat text.begin text.again | head -c "$2" >text
}

# nll_of CASE [FROM]: how many, the largest, the mean of those whose source exists. What is
# not a number is as large as can be.
nll_of() {
  column o.h5 /tokens/nll | tail -c +$((4 * ${2-$(of "$1" from)} + 1)) |
    head -c -$((4 * $(of "$1" behind 0))) | od -An -v -tf4 -w4 | awk '
    { x = $1 ~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/ ? $1 + 0 : 1e30 }
    n++ == 0 || x > most { most = x }
    { sum += x }
    END { printf "%d %.9f %.9f\n", n, most, sum / n }'
}

# holds CASE TOKENS RANKS WAVE
holds() {
  run "$3" --model "$FIXTURES/reach/$1" --output o.h5 --overwrite --write nll \
    --snapshots none --wave-tokens "$4" text
  nll_of "$1" >found
  read -r count most mean <found
  [ "$count" -eq $(($2 - $(of "$1" from) - $(of "$1" behind 0))) ] || fail "$1: $count tokens"
  awk -v x="$most" -v below="$(of "$1" nll_below)" 'BEGIN { exit !(x < below) }' ||
    fail "$1: $3 ranks, waves of $4: an nll of $most"
}

# falls_short CASE: the same with the shorter reach.
falls_short() {
  rm -rf short
  mkdir short
  cp "$FIXTURES/reach/$1/model.safetensors" short
  cp "$FIXTURES/reach/$1/config.short.json" short/config.json
  head -c "$(of "$1" short 5000)" text >text.short
  run 1 --model short --output o.h5 --overwrite --write nll --snapshots none text.short
  nll_of "$1" >found
  read -r count most mean <found
  above=$(of "$1" short_mean_above)
  awk -v x="$mean" -v above="$above" 'BEGIN { exit !(x > above) }' ||
    fail "$1: with a shorter reach the mean nll is $mean"
  passed "$1: $tokens tokens; with less reach the mean nll is $mean"
}

# remembers CASE TOKENS: a volume that ends in the midst of a segment; the rest continues it
# from its snapshot on one rank, is killed, and resumed on three, and has every token right.
# Another document, which begins with the same bytes as the rest, knows nothing.
remembers() {
  head -c 777 text >volume
  tail -c +778 text >rest
  run 2 --model "$FIXTURES/reach/$1" --output first.h5 --overwrite --write nll volume
  set -- "$1" "$2" --model "$FIXTURES/reach/$1" --write nll --snapshots none \
    --wave-tokens 40000
  rm -f o.*
  status=0
  (
    export LD_PRELOAD="$IOFAULT" LSP_FAULT_MODE=kill LSP_FAULT_PATH=/o. LSP_FAULT_AT=90
    shift 2
    start 1 "$@" --output "$work/o.h5" --from-snapshot first.memory.h5 rest
  ) >said 2>&1 || status=$?
  [ $status -eq 137 ] || complain "$1: not killed, but $status"
  model=$1 count=$2
  shift 2
  run 3 "$@" --output o.h5 --resume --from-snapshot first.memory.h5 rest
  nll_of "$model" 0 >found
  read -r count most mean <found
  [ "$count" -eq $((tokens - 777)) ] || fail "$model: $count tokens"
  awk -v x="$most" -v below="$(of "$model" nll_below)" 'BEGIN { exit !(x < below) }' ||
    fail "$model: continued: an nll of $most"
  run 2 "$@" --output o.h5 --overwrite rest
  nll_of "$model" >found
  read -r count most mean <found
  awk -v x="$mean" -v above="$(of "$model" short_mean_above)" 'BEGIN { exit !(x > above) }' ||
    fail "$model: another document: the mean nll is $mean"
  passed "$model: continued from a snapshot, killed and resumed; another document: $mean"
}

# The source lies across borders of spans and of waves: waves of one panel, of three,
# all.
for case in ${*:-window layers dynamic random two-sided selected sink sink-window global \
  chosen levels compressed-past compressive compressive-delta store armt rmt}; do
  case $case in
  window | layers | dynamic | random | two-sided) tokens=4001 ;;
  selected) tokens=100003 ;;
  store) tokens=20001 ;; # every token compares all before it; a million: store.sh
  *) tokens=1000100 ;;
  esac
  text "$case" $tokens
  if [ $tokens -eq 4001 ]; then
    holds "$case" $tokens 3 256
    holds "$case" $tokens 3 900
    holds "$case" $tokens 2 1000000
  else
    holds "$case" $tokens 2 40000
  fi
  case $case in
  compressive* | compressed-past | armt | rmt) remembers "$case" $tokens ;;
  esac
  falls_short "$case"
done
