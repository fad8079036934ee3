#!/bin/sh
# Causal means causal: what comes after a token changes nothing before it.
#
# For every model of fixtures/branches that is not two-sided: a text, and the same text with another token j,
# as documents of one corpus. Compared, with the text unchanged: the bytes of
# /tokens/hidden and /tokens/nll. The first that differs has to lie in the row of token
# j: rows before it are the same in every bit, and its own are not (so that this
# comparison can tell).
set -eu
. "$(dirname "$0")/../runs.sh"
can_read "causal" || exit 77

places="0 1 63 64 65 150 299"
length=300

# What is at place J of FILE is another token: 7 in its lowest byte, of WIDTH.
change() { # change FILE J WIDTH
  head -c $(($2 * $3)) "$1"
  printf '\007'
  tail -c +$(($2 * $3 + 2)) "$1"
}

# Corpora of bytes, and of ids of 16 bits below 1000 and 61. Document 0 is the text.
numbers() { # numbers MOST: none is 7
  awk -v n=$length -v most="$1" 'BEGIN {
    for (i = 0; i < n; i++)
      printf "\\%03o\\%03o", 8 + (i * i + 11 * i) % (most - 8), (most > 61 ? i % 3 : 0)
  }' >escapes
  # shellcheck disable=SC2059 # octal escapes are the text
  printf "$(cat escapes)"
}
book $length 3 >text
numbers 231 >ids-of-1000
numbers 61 >ids-of-61
mkdir 256 1000 61
cp text 256/0
cp ids-of-1000 1000/0
cp ids-of-61 61/0
for j in $places; do
  change text "$j" 1 >"256/$((j + 1000))"
  change ids-of-1000 "$j" 2 >"1000/$((j + 1000))"
  change ids-of-61 "$j" 2 >"61/$((j + 1000))"
done

# first_difference DATASET DOCUMENT: the row in which a document first differs from the
# text; nothing if it never does.
first_difference() {
  row=$(($(wc -c <"$1.all") / (documents * length)))
  head -c $((length * row)) "$1.all" >expected
  tail -c +$(($2 * length * row + 1)) "$1.all" | head -c $((length * row)) >got
  cmp expected got 2>/dev/null | awk -v row=$row '{
    sub(",", "", $5)
    print int(($5 - 1) / row)
  }'
}

documents=8 models=0
for folder in "$FIXTURES"/branches/*/; do
  folder=${folder%/}
  model=${folder##*/} corpus=$(vocabulary "$folder")
  ! grep -q '"causal": *false' "$folder/config.json" || continue
  [ "$corpus" -eq 256 ] || corpus="$corpus --input-format u16"
  # shellcheck disable=SC2086 # a list of words
  run 1 --model "$folder" --output o.h5 --overwrite --write nll,hidden \
    --snapshots none $corpus
  column o.h5 /tokens/hidden >hidden.all
  column o.h5 /tokens/nll >nll.all
  prefix=$(grep -c '"prefix"' "$folder/config.json") || prefix=0
  d=1
  for j in $places; do
    found=$(first_difference hidden $d)
    [ "$found" = "$j" ] ||
      fail "$model: token $j is another; the first other hidden row is ${found:-none}"
    # The first token of a text has no nll, unless the model has a prefix.
    [ "$j" -gt 0 ] || [ "$prefix" -gt 0 ] || j=1
    # Nor has that of a segment, where no row before it is read again.
    [ "$model" != input-memory-none ] || [ $((j % 50)) -gt 0 ] || j=$((j + 1))
    found=$(first_difference nll $d)
    [ "$found" = "$j" ] ||
      fail "$model: token $j is another, and the first other nll is ${found:-none}"
    d=$((d + 1))
  done
  models=$((models + 1))
done
[ $models -ge 48 ] || fail "only $models models"
passed "$models models: no token changes anything before it, each changes its own row"
