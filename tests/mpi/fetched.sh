#!/bin/sh
# Laws 2 and 3 for picked blocks, by the program's own counters in FILE.run.json.
#
# Traffic: what chosen blocks take is counted here again from what the file says was chosen
# (/tokens/chosen_N), part by part, a part being a block of one key/value head. In a wave
# and layer a span wants, once each, the parts that its blocks chose but those that
#   lie in the span itself;
#   is the block before the span, which comes anyway;
#   lie in an earlier wave and in this rank's own ring: group g of 32 blocks with rank
#     g mod P.
# It asks for all of one other rank in one message, 8 bytes a part, and gets them in one.
#
# So all spans of a wave of W positions together fetch at most W / 64 blocks times the w
# parts that a block picks: r H drawn, k G chosen, 64 (S - 1) G selected. This and the
# memory of a rank are the same for N tokens and for 10 N.
set -eu
. "$(dirname "$0")/../runs.sh"
can_read "fetched" || exit 77

wave=1536 # 24 blocks; divided by 2 and 3 it ends at borders of panels
part=$((4 * 64 * (8 + 16))) # of heads of 8
tokens=$((10 * wave))
book $((10 * tokens)) 61 >ten.txt
head -c $tokens ten.txt >one.txt

# model BRANCHES MERGE: local-heads (2 key/value heads, 4 query heads of 8, 2 layers).
model() {
  rm -rf model
  mkdir model
  cp "$FIXTURES/branches/local-heads/model.safetensors" model
  tr -d '\n' <"$FIXTURES/branches/local-heads/config.json" |
    sed "s/\"layers\": .*/\"layers\": {\"branches\": [$1], \"merge\": \"$2\"}}/" \
      >model/config.json
}

# ---- Exactly what was chosen

# wanted FILE LAYER: "parts messages" that the choices of a layer take.
wanted() {
  column "$1.h5" "/tokens/chosen_$2" | od -An -v -td4 -w$((4 * 2 * 3)) |
    awk -v P="$ranks" -v W=$((wave / 64)) '
      function want(tile, head) {
        if (tile < 0 || tile >= start - 1)
          return
        owner = tile >= begin ? int((tile - begin) / (W / P)) : int(tile / 32) % P
        if (owner == rank || (w, rank, tile, head) in seen)
          return
        seen[w, rank, tile, head] = 1
        parts++
        if (!((w, rank, owner) in asked)) {
          asked[w, rank, owner] = 1
          messages += 2
        }
      }
      NR % 64 == 1 {
        block = (NR - 1) / 64
        w = int(block / W)
        begin = w * W
        rank = int((block - begin) / (W / P))
        start = begin + rank * W / P
        for (i = 1; i <= 6; i++)
          want($i, i > 3)
      }
      END { printf "%d %d\n", parts, messages }'
}

# exact TEXT
exact() {
  run "$ranks" --model model --output exact.h5 --overwrite --write id,chosen:0,chosen:1 \
    --wave-tokens $wave "$1"
  # shellcheck disable=SC2046 # four numbers
  set -- $(wanted exact 0) $(wanted exact 1)
  parts=$(($1 + $3)) messages=$(($2 + $4))
  [ $parts -gt 0 ] || fail "nothing was chosen from other ranks"
  [ "$(fact exact parts_fetched)" -eq $parts ] ||
    fail "$ranks ranks: $(fact exact parts_fetched) parts fetched, $parts wanted"
  got=$(awk '/"picked": {/ { inside = 1 } inside && $1 == "\"messages_sent\":" {
    print $2 + 0; exit }' exact.run.json)
  [ "$got" -eq $messages ] || fail "$ranks ranks: $got messages, expected $messages"
  got=$(awk '/"picked": {/ { inside = 1 } inside && $1 == "\"bytes_sent\":" {
    printf "%.0f", $2 + 0; exit }' exact.run.json)
  [ "$got" -eq $((parts * (8 + part))) ] ||
    fail "$ranks ranks: $got bytes, expected $((parts * (8 + part)))"
  passed "$ranks ranks: $parts parts in $messages messages, $got bytes"
}

model '{"type": "chosen", "blocks": 3, "reach": 40}' softmax
for ranks in 2 3; do
  exact one.txt
done

# ---- N tokens and 10 N

# foretold KEY: a number that the plan of a text says.
foretold() {
  awk -v key="\"$1\":" '$1 == key { printf "%.0f", $2 + 0; exit }' plan.json
}

# below_plan TEXT: the run has sent what its plan says at most.
below_plan() {
  "$LONGSPAN" plan --model model --ranks "$ranks" --wave-tokens $wave --format json \
    "$1.txt" >plan.json || fail "plan"
  for what in messages bytes; do
    most=$(($(foretold ${what}_a_layer_and_wave) +
      $(foretold picked_${what}_a_layer_and_wave)))
    sent=$(fact "$1" ${what}_a_layer_and_wave max)
    [ "$sent" -le $most ] || fail "$1: $sent $what in a layer and wave, foretold $most"
  done
  [ "$(foretold planned_bytes)" -eq "$(fact "$1" planned_bytes)" ] ||
    fail "$1: $(fact "$1" planned_bytes) bytes, foretold $(foretold planned_bytes)"
}

# bounded WHAT PICKED REACH: PICKED parts of a block at most, from REACH blocks back.
bounded() {
  for text in one ten; do
    run "$ranks" --model model --output $text.h5 --overwrite --write id,nll \
      --wave-tokens $wave $text.txt
  done
  [ "$(fact one arena_bytes)" -eq "$(fact ten arena_bytes)" ] ||
    fail "$1: memory grows from $(fact one arena_bytes) to $(fact ten arena_bytes)"
  below_plan one
  below_plan ten
  # What all fetch; what is kept and borrowed of blocks and of means.
  most=$((wave / 64 * $2 * (part + 8) + 4 * ($3 + 1) * 2 * part))
  for text in one ten; do
    sent=$(fact $text bytes_a_layer_and_wave max)
    [ "$sent" -le $most ] || fail "$1: $text: $sent bytes of $most"
    all=$((2 * $(wc -c <$text.txt) / wave * (wave / 64) * $2 * part))
    [ "$(fact $text bytes_fetched)" -le $all ] ||
      fail "$1: $text: $(fact $text bytes_fetched) bytes fetched of $all"
  done
  first=$(fact one bytes_a_layer_and_wave max) # both texts are alike
  [ "$sent" -le $((2 * first)) ] || fail "$1: $first bytes have become $sent"
  passed "$ranks ranks: $1: $(fact one bytes_fetched), $(fact ten bytes_fetched) bytes" \
    "fetched, at most $sent of $most in a layer and wave"
}

window='{"type": "local", "window": 20}'
for ranks in 2 3; do
  model "{\"type\": \"random\", \"blocks\": 3, \"reach\": 40}, $window" softmax
  bounded random 12 40
  model "{\"type\": \"chosen\", \"blocks\": 3, \"reach\": 40}, $window" softmax
  bounded chosen 6 40
  model "{\"type\": \"compressed\", \"pool\": 16, \"reach\": 160}, \
{\"type\": \"selected\", \"blocks\": 4}, $window" sum
  bounded selected 384 44
done
