#!/bin/sh
# Laws 2 and 3, by the program's own counters in FILE.run.json.
#
# Memory: what a rank reserves is the same for a text of N and of 10 N tokens, where the
# reach is bounded; its peak does not grow but by a little.
#
# Traffic: what each rank sends is counted here again, tile by tile, and compared as
# exact numbers: messages and bytes of a layer and wave at most, and of the whole run. A
# layer reaches T tiles back (T = all: to the beginning) and keeps the F first ones. In
# a wave,
#   a span gets each tile of its past, the T tiles before it, from the rank whose span has
#     it, or, of an earlier wave, from the rank that keeps its group of 32 tiles: group g
#     lies with rank g mod P. One message a pair of ranks and, of kept tiles, a group; and
#     so for each round of 128 tiles, counted from the span backwards;
#   the last T tiles of a wave that goes on go to the ranks that keep their groups: one
#     message a pair of ranks and group;
#   the first F tiles go from rank 0 to all others, once, in the wave that has them.
# So a layer and wave have at most 2 T tiles a span and T more to keep, whatever N is;
# for full attention, T grows with the text, and so do the bytes of a wave.
set -eu
. "$(dirname "$0")/../runs.sh"

wave=1536 # 24 tiles; divided by 2 and 3 it ends at borders of panels

# expect WHAT GOT EXPECTED
expect() {
  [ "$2" = "$3" ] || fail "$model: $ranks ranks: $1 is $2, expected $3"
}

# lent TOKENS: "messages bytes" of a layer and wave at most; of the rank that sends most
# in the run, and of the one that sends least. By the rule above.
lent() {
  awk -v P="$ranks" -v W=$((wave / 64)) -v waves=$(($1 / wave)) -v T="$reach" \
    -v F="$fixed" -v bytes="$tile" -v layers="$layers" '
    function send(message, from, to) {
      if (from == to)
        return
      if (!((w, message, from, to) in seen)) {
        seen[w, message, from, to] = 1
        messages[from]++
      }
      tiles[from]++
    }
    function owner(t) {
      return int((t - begin) / (W / P))
    }
    BEGIN {
      if (T == "all")
        T = W * waves
      room = T < 128 ? T : 128
      for (w = 0; w < waves; w++) {
        begin = W * w
        split("", messages)
        split("", tiles)
        for (r = 0; r < P; r++) {
          start = begin + r * W / P
          for (t = start - 1; t >= 0 && t >= start - T; t--) {
            round = int((start - 1 - t) / room)
            if (t >= begin)
              send("halo " round, owner(t), r)
            else
              send("kept " round " " int(t / 32), int(t / 32) % P, r)
          }
          for (t = 0; t < F && w == 0; t++)
            send("fixed", 0, r)
        }
        for (t = begin + W - 1; t >= 0 && t >= begin + W - T && w + 1 < waves; t--)
          if (t >= begin)
            send("keep " int(t / 32), owner(t), int(t / 32) % P)
        for (r = 0; r < P; r++) {
          if (messages[r] > wave_messages)
            wave_messages = messages[r]
          if (tiles[r] > wave_tiles)
            wave_tiles = tiles[r]
          all_messages[r] += layers * messages[r]
          all_tiles[r] += layers * tiles[r]
        }
      }
      for (r = 0; r < P; r++) {
        most = r == 0 || all_messages[r] > most ? all_messages[r] : most
        least = r == 0 || all_messages[r] < least ? all_messages[r] : least
        most_tiles = r == 0 || all_tiles[r] > most_tiles ? all_tiles[r] : most_tiles
        least_tiles = r == 0 || all_tiles[r] < least_tiles ? all_tiles[r] : least_tiles
      }
      printf "%d %.0f %d %.0f %d %.0f\n", wave_messages, wave_tiles * bytes, most,
        most_tiles * bytes, least, least_tiles * bytes
    }'
}

# The same six numbers as the run counted them.
counted() {
  echo "$(fact "$1" messages_a_layer_and_wave max)" \
    "$(fact "$1" bytes_a_layer_and_wave max)" \
    "$(fact "$1" messages_sent max)" "$(fact "$1" bytes_sent max)" \
    "$(fact "$1" messages_sent min)" "$(fact "$1" bytes_sent min)"
}

# travel NAME TEXT: a run, which sends what the rule says.
travel() {
  run "$ranks" --model "$FIXTURES/$model" --output "$1.h5" --overwrite --write id,nll \
    --wave-tokens $wave "$2"
  layers=$(fact "$1" layers)
  expect wave_tokens "$(fact "$1" wave_tokens)" $wave
  expect "what is sent: a layer and wave, most and least of a run" "$(counted "$1")" \
    "$(lent "$(wc -c <"$2")")"
}

# of MODEL REACH FIXED HEADS WIDTH: tiles in reach, first tiles; heads of keys and
# values.
of() {
  model=$1 reach=$2 fixed=$3
  tile=$((4 * $4 * 64 * ($5 + ($5 + 15) / 16 * 16)))
}

# ---- A bounded reach: N tokens and 10 N

bounded() {
  of "$@"
  travel one one.txt
  travel ten ten.txt
  for fact in messages_a_layer_and_wave bytes_a_layer_and_wave; do
    expect "$fact for 10 N tokens" "$(fact ten $fact max)" "$(fact one $fact max)"
  done
  expect arena_bytes "$(fact ten arena_bytes)" "$(fact one arena_bytes)"
  small=$(fact one peak_bytes max) large=$(fact ten peak_bytes max)
  # The output is read back before it gets its name, in pieces of at most 4 MiB: the
  # smaller one is smaller than that.
  [ $((large - small)) -lt $(((4 << 20) + small / 100)) ] ||
    fail "$model: $ranks ranks: peak memory grew from $small to $large bytes"
  passed "$model: $ranks ranks: at most $(fact ten messages_a_layer_and_wave max)" \
    "messages, $(fact ten bytes_a_layer_and_wave max) bytes; peak $small, $large"
}

tokens=$((10 * wave))
book $((10 * tokens)) 31 >ten.txt
head -c $tokens ten.txt >one.txt
for ranks in 2 3; do
  bounded law 3 0 2 16      # a reach of 175 positions
  bounded law-same 2 0 2 16 # 127
done
bounded branches/sinks-text 2 1 2 8
bounded branches/norms 3 1 2 8
bounded branches/recurrence 3 0 4 8

# ---- Full attention: bytes of a wave grow with the text, no faster

of branches/full all 0 4 8
for ranks in 2 3; do
  for waves in 3 6; do # 144 tiles: the last span has two rounds
    head -c $((waves * wave)) ten.txt >some.txt
    travel waves-$waves some.txt
  done
  [ "$(fact waves-6 bytes_a_layer_and_wave max)" -gt \
    "$(fact waves-3 bytes_a_layer_and_wave max)" ] || fail "$model: nothing grows"
  passed "$model: $ranks ranks: $(fact waves-6 bytes_a_layer_and_wave max) bytes"
done
