#!/bin/sh
# Law 1 where attention crosses borders: windows whose far edges lie just before, at and
# after borders of blocks, panels and spans; windows longer than spans and waves; a past
# that comes in several rounds.
#
# Borders of spans and waves lie at borders of panels (64, 128, 256, 512, ...), so
# windows move, not borders: each query head has a width of its own, and ranks and waves
# put a border at every panel. Compared: the SHA-256 of both files with that of one rank
# and one wave. The models are those of fixtures/branches with other layers: no weight
# depends on a window, sinks, a segment or a memory.
set -eu
. "$(dirname "$0")/../runs.sh"

results="--write id,nll,hidden,hidden:1 --snapshots documents"

# model LAYERS: local-heads (4 query heads, 2 layers) with these layers, in ./model.
model() {
  rm -rf model
  mkdir model
  cp "$FIXTURES/branches/local-heads/model.safetensors" model
  tr -d '\n' <"$FIXTURES/branches/local-heads/config.json" |
    sed "s/\"layers\": .*/\"layers\": $1}/" >model/config.json
  grep -qF "$1" model/config.json || fail "no such layers in the config"
}

# two_layers BRANCHES BRANCHES MERGE: of the second layer.
two_layers() {
  model "[{\"branches\": [$1]}, {\"branches\": [$2]$3}]"
}

# same WHAT RUN...: runs "RANKS WAVE" of the documents in ./text, all like one rank and
# one wave.
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
  done
  passed "$core: $what: $# runs"
}

local_of() { # local_of W0 W1 W2 W3
  echo "{\"type\": \"local\", \"window\": [$1, $2, $3, $4]}"
}
fixed_of() {
  echo "{\"type\": \"fixed\", \"sinks\": $1}"
}
recurrence_of() { # recurrence_of SEGMENT MEMORY
  echo "{\"type\": \"recurrence\", \"segment\": $1, \"memory\": $2}"
}

available=$(cores)
for core in $available; do last=$core; done

# ---- Edges of windows, of sinks and of a segment's memory at borders

edges() {
  results="$results --snapshot-every 6" # segments of 80 and of 48
  rm -rf text
  mkdir text
  book 700 41 >text/a
  book 1130 42 >text/b
  book 130 43 >text/c
  book 1500 44 >text/d
  near="$(local_of 64 65 66 129), $(fixed_of 3)"
  far="$(local_of 257 192 321 577), $(fixed_of 70), $(recurrence_of 80 177)"
  two_layers "$near" "$far" ', "merge": "sum"'
  same "edges at borders" "2 256" "3 512" "2 768" "3 1300" "7 1300" "5 1000000"
  near="$(local_of 1 2 128 193), $(recurrence_of 48 16)"
  two_layers "$near" "$(fixed_of 130), $(local_of 256 255 258 320)" ''
  same "edges beside borders" "3 256" "2 512" "3 768" "2 1300" "7 1000000"
}

# ---- Windows longer than spans and waves

# 2,000 keys are 32 tiles: the spans of three waves and of more than seven ranks of a
# wave.
long() {
  rm -rf text
  mkdir text
  book 900 45 >text/a
  book 5003 46 >text/b
  first="$(local_of 2000 700 1 2049), $(fixed_of 3)"
  second="$(recurrence_of 600 1500), $(local_of 5 1600 3000 64)"
  two_layers "$first" "$second" ', "merge": "sum"'
  same "windows longer than waves" "2 256" "3 700" "7 1100" "4 1800" "7 1000000"
}

# ---- Rounds

# A round has 128 tiles, 8,192 keys. The first layer sees 16,700 keys, which are 261
# tiles and three rounds, in two heads; the second one 8,300 in one head of one of its
# two sums.
rounds() {
  rm -rf text
  mkdir text
  book 700 47 >text/a
  book 18001 48 >text/b
  first="$(local_of 16700 64 300 8200), $(fixed_of 5)"
  second="$(local_of 1 400 8300 33), $(recurrence_of 100 100)"
  two_layers "$first" "$second" ', "merge": "sum"'
  same "a past in three rounds" "1 600" "2 5000" "3 600" "7 1000000"
}

# ---- Blocks that are picked one by one, means of levels

# Spans and waves end within what blocks are drawn and chosen from, within the positions
# of a mean, and between levels; a block is chosen from before the wave and from other
# spans.
picked() {
  rm -rf text
  mkdir text
  book 700 49 >text/a
  book 4500 50 >text/b
  book 130 51 >text/c
  random='{"type": "random", "blocks": 2, "reach": 40, "beyond": 1}'
  chosen='{"type": "chosen", "blocks": 3, "reach": 50}'
  levels='{"type": "levels", "window": 64, "pool": 4, "levels": 4}'
  two_layers "$levels" "$(local_of 64 65 130 1), $(fixed_of 3), $random, $chosen" ''
  same "levels, drawn and chosen blocks" "2 256" "3 512" "7 700" "4 1000000" "3 1800"
  means='{"type": "compressed", "pool": 16}, {"type": "selected", "blocks": 4}'
  two_layers "$chosen, {\"type\": \"global\", \"tokens\": 70}" \
    "$means, $(local_of 3 64 128 200)" ', "merge": "sum"'
  same "chosen and selected blocks, means" "2 256" "3 512" "7 700" "5 1000000"
}

# ---- Rows that have left a memory

# Units of 8 and of 64 rows, of which some are cut by the end of a span of one panel and
# of three; segments that are no multiple of a block, and longer than a wave.
compressed() {
  results="$results --snapshot-every 5" # segments of 40, of 704
  rm -rf text
  mkdir text
  book 700 52 >text/a
  book 3003 53 >text/b
  book 130 54 >text/c
  past='{"type": "compressed_past", "pool": 8}'
  few='{"type": "compressed_past", "pool": 64, "rows": 5}'
  two_layers "$(recurrence_of 40 24), $past" \
    "$(recurrence_of 704 192), $few, $(local_of 3 64 65 129)" ', "merge": "sum"'
  same "a compressed past" "2 256" "3 512" "7 700" "4 1000000"
}

core=$last
use "$core"
(edges)
(picked)
(compressed)
rounds
for core in $available; do break; done
use "$core"
long
