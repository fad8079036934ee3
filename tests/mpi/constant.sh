#!/bin/sh
# Laws 2 and 3, by the program's own counters in FILE.run.json: memory and traffic a
# wave do not depend on the length of the corpus.
set -eu
. "$(dirname "$0")/../runs.sh"

# Waves of whole panels, spans longer than the reach of 175 (law) or 127 (law-same)
# positions: then every rank lends once a wave and layer: the tiles of 64 positions that
# hold the reach, keys and values, to the next rank or, the last one, to the next wave.
tokens=15360 wave=1536
book $((10 * tokens)) 31 >ten.txt
head -c $tokens ten.txt >one.txt

# expect WHAT GOT EXPECTED
expect() {
  [ "$2" = "$3" ] || fail "$model: $ranks ranks: $1 is $2, expected $3"
}

for case in law:3 law-same:2; do
  model=${case%:*}
  lent=$((${case#*:} * 64 * 2 * 32 * 4))
  for ranks in 2 3; do
    for length in one ten; do
      run $ranks --model "$FIXTURES/$model" --output $length.h5 --overwrite \
        --write id,nll,hidden --wave-tokens $wave $length.txt
      waves=$(($(wc -c <$length.txt) / wave))
      layers=$(fact $length layers)
      expect wave_tokens "$(fact $length wave_tokens)" $wave
      expect "messages of a rank" "$(fact $length messages_sent max)" \
        $((waves * layers))
      expect "bytes of a rank" "$(fact $length bytes_sent max)" \
        $((waves * layers * lent))
      # The last rank has nobody to lend to in the last wave.
      expect "messages of the last rank" "$(fact $length messages_sent min)" \
        $(((waves - 1) * layers))
      expect "bytes of the last rank" "$(fact $length bytes_sent min)" \
        $(((waves - 1) * layers * lent))
    done
    expect arena_bytes "$(fact ten arena_bytes)" "$(fact one arena_bytes)"
    small=$(fact one peak_bytes max) large=$(fact ten peak_bytes max)
    # The output is read back before it gets its name, in pieces of at most 4 MiB: the
    # smaller one is smaller than that.
    [ $((large - small)) -lt $(((4 << 20) + small / 100)) ] ||
      fail "$model: $ranks ranks: peak memory grew from $small to $large bytes"
    passed "$model: $ranks ranks: $lent bytes a wave and layer, peak $small, $large"
  done
done
