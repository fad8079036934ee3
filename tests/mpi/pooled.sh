#!/bin/sh
# Means of keys and values (levels, compressed, compressed_past): rows that stand for many
# positions.
#
# Law 1 where a mean is longer than a span, and where snapshots cut it anywhere: the same
# bytes of FILE.h5 and FILE.memory.h5 on any number of ranks, and of a text in volumes.
# (tests/mpi/branches.sh and parts.sh ask the same of the models of fixtures/branches.)
#
# Traffic, counted here again row by row and compared as exact numbers with what the run
# counted. A stratum whose rows average u positions reaches T rows back. In a wave
#   a span gets the T rows that end before it, each from the rank whose span has its last
#     position, or, of an earlier wave, from the rank that keeps its group: group g lies
#     with rank g mod P, and has T rows, rounded up to 64, at most 2048;
#   the last T rows before the end of a wave that goes on go to the ranks that keep them.
# So a layer sends in a wave at most T rows for each span and T more to keep, of each of
# its strata, whatever the length of the text; a row is 8 G E bytes.
# shellcheck disable=SC2086 # results is a list of words
set -eu
. "$(dirname "$0")/../runs.sh"

results="--write id,nll,hidden"

# model FOLDER LAYERS: with the weights of the fixture of one level.
model() {
  mkdir "$1"
  cp "$FIXTURES/branches/levels/model.safetensors" "$1"
  tr -d '\n' <"$FIXTURES/branches/levels/config.json" |
    sed "s/\"layers\": .*/\"layers\": $2}/" >"$1/config.json"
}
levels() { # levels WINDOW POOL LEVELS
  echo "{\"type\": \"levels\", \"window\": $1, \"pool\": $2, \"levels\": $3}"
}
model deep "{\"branches\": [$(levels 8 4 6)]}"
means='{"type": "compressed", "pool": 8}' near='{"type": "local", "window": 30}'
model mixed "[{\"branches\": [$(levels 64 64 2)]}, \
{\"branches\": [$means, $near], \"merge\": \"sum\"}]"

# Rows that have left a memory: all of them; the last three, of 64 positions each.
past() { # past SEGMENT MEMORY POOL MORE
  echo "{\"type\": \"recurrence\", \"segment\": $1, \"memory\": $2}, \
{\"type\": \"compressed_past\", \"pool\": $3$4}"
}
model past "[{\"branches\": [$(past 96 32 8 '')]}, \
{\"branches\": [$(past 192 64 64 ', "rows": 3')]}]"

book 12001 3 >long.txt
long=$(given deep long.txt)
head -c 3001 long.txt >book.txt
given deep book.txt >/dev/null
ids=book.txt-61

# ---- Ranks and waves; snapshots in the midst of all means

for name in deep mixed past; do
  expected=
  for case in 1:1000000 2:4096 3:700 4:5000 7:1000000; do
    run "${case%:*}" --model $name --output o.h5 --overwrite $results \
      --wave-tokens "${case#*:}" --snapshot-every 997 $long
    expected=${expected:-$(hash o)}
    [ "$(hash o)" = "$expected" ] ||
      fail "$name: ${case%:*} ranks, waves of ${case#*:}: other bytes"
  done
  "$LONGSPAN" info o.memory.h5 | grep -q '^  pooled rows  *[1-9]' ||
    fail "$name: the memory file has no pooled rows"
  passed "$name: the same on 1, 2, 3, 4, 7 ranks, with 13 snapshots"
done

# ---- Volumes

if can_read "volumes"; then
  # state FILE: what the last snapshot says, without rows that were not there.
  state() {
    for dataset in hidden keys values; do
      column "$1.memory.h5" /snapshots/$dataset | od -An -v -tx4 -w64 |
        grep -v '^\( 00000000\)*$'
    done
  }
  volumes() { # volumes MODEL CUT...
    name=$1
    shift
    run 2 --model "$name" $results --output whole.h5 --overwrite --input-format u16 \
      --wave-tokens 1100 $ids
    column whole.h5 /tokens/nll >whole
    at=0 before='' ranks=1
    for cut in "$@" 3001; do
      tail -c +$((2 * at + 1)) $ids | head -c $((2 * (cut - at))) >volume
      run $ranks --model "$name" $results --output "part-$cut.h5" --overwrite \
        --input-format u16 --wave-tokens $((260 * ranks)) \
        ${before:+--from-snapshot "$before"} volume
      tail -c +$((4 * at + 1)) whole | head -c $((4 * (cut - at))) >expected
      column "part-$cut.h5" /tokens/nll >got
      cmp -s expected got || fail "$name: $ranks ranks: tokens $at to $cut"
      at=$cut before=part-$cut.memory.h5 ranks=$((ranks % 3 + 1))
    done
    state whole >expected
    state part-3001 >got
    cmp -s expected got || fail "$name: the snapshot after volumes"
    passed "$name: cut at $*"
  }
  # Within means of every level, at their borders, in a panel more than once.
  volumes deep 1 3 64 256 1025
  volumes deep 129 130 200 255 2999
  volumes mixed 63 1001 1002 1003
  volumes past 1 3 95 97 192 1001 1002 2048
fi

# ---- What is damaged is found

run 2 --model mixed --output o.h5 --overwrite --input-format u16 $ids
"$LONGSPAN" verify o.memory.h5 >said || complain "a whole file is damaged"
offset=$(h5dump -p -H -d /snapshots/keys o.memory.h5 2>/dev/null |
  sed -n 's/.*OFFSET \([0-9]*\).*/\1/p' || true)
if [ -n "$offset" ]; then
  # The ninth of the pooled rows of the first layer, which come first.
  rows=$("$LONGSPAN" info o.memory.h5 | sed -n 's/^  pooled rows  *\([0-9]*\).*/\1/p')
  [ "$rows" -ge 375 ] || fail "$rows pooled rows, of 3001 / 8 and more"
  printf '\125\252' |
    dd of=o.memory.h5 bs=1 seek=$((offset + 4 * 16 * 8)) conv=notrunc 2>/dev/null
  status=0
  "$LONGSPAN" verify o.memory.h5 >said 2>&1 || status=$?
  [ $status -eq 1 ] || complain "a pooled row is damaged, and nothing is said"
  refused 'o.memory.h5: damaged' 1 --model mixed --output p.h5 --input-format u16 \
    --from-snapshot o.memory.h5 $ids
  passed "a damaged row"
fi

# ---- Traffic

wave=1536 # divided by 2 and 3 it ends at borders of panels

# lent TOKENS: messages and bytes of pooled rows, of all ranks in the whole run.
lent() {
  awk -v N="$1" -v W=$wave -v P="$ranks" -v window=8 -v pool=4 -v levels=6 \
    -v bytes=$((8 * 2 * 8)) -v layers=2 '
    function send(message, from, to) {
      if (from == to)
        return
      if (!((w, l, message, from, to) in seen)) {
        seen[w, l, message, from, to] = 1
        messages++
      }
      rows++
    }
    function owner(position) {
      return int((position - begin) / (W / P))
    }
    function stratum(start, to, keeps,   c, end) {
      end = int(start / u)
      for (c = end - 1; c >= 0 && c >= end - T; c--) {
        last = (c + 1) * u - 1
        keeper = int(c / G) % P
        if (keeps && last >= begin)
          send("keep " int(c / G), owner(last), keeper)
        else if (!keeps && last >= begin)
          send("halo", owner(last), to)
        else if (!keeps)
          send("kept " int(c / G), keeper, to)
      }
    }
    BEGIN {
      most = window + pool - 1
      finer = 0
      u = 1
      for (l = 1; l <= levels; l++) {
        u *= pool
        finer = int((finer + most) / pool) + 1
        T = finer + most + 1
        T = T < int(N / u) ? T : int(N / u)
        G = 64 * int((T + 63) / 64)
        for (w = 0; w < N / W; w++) {
          begin = W * w
          for (r = 0; r < P; r++)
            stratum(begin + r * W / P, r, 0)
          if (w + 1 < N / W)
            stratum(begin + W, 0, 1)
        }
      }
      printf "%d %.0f\n", layers * messages, layers * rows * bytes
    }'
}

book $((40 * wave)) 31 >ten.txt
head -c $((4 * wave)) ten.txt >one.txt
for ranks in 2 3; do
  for text in one ten; do
    # shellcheck disable=SC2046 # a list of words
    run $ranks --model deep --output $text.h5 --overwrite --write nll --wave-tokens $wave \
      --snapshots none $(given deep $text.txt)
    tokens=$(wc -c <$text.txt)
    [ "$(fact $text wave_tokens)" -eq $wave ] || fail "other waves than asked for"
    counted="$(fact $text pooled messages) $(fact $text pooled bytes)"
    [ "$counted" = "$(lent "$tokens")" ] ||
      fail "$ranks ranks, $tokens tokens: $counted sent, expected $(lent "$tokens")"
  done
  # At most 18 rows of each of 6 strata, and a tile, to every other span and to keep.
  most=$(fact ten bytes_a_layer_and_wave max)
  [ "$most" -le $((ranks * (6 * 18 * 8 * 2 * 8 + 4 * 2 * 64 * (8 + 16)))) ] ||
    fail "$ranks ranks: $most bytes of a layer and wave"
  passed "$ranks ranks: $counted messages and bytes, as the rule says"
done
