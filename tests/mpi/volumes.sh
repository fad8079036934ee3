#!/bin/sh
# A document cut into volumes, each continued from the last snapshot of the one before,
# has the bits of the whole: ids, nll (the first token of a volume is predicted by the
# last hidden row of the one before), hidden states, snapshots. What does not fit is
# refused.
set -eu
. "$(dirname "$0")/../runs.sh"
can_read "volumes" || exit 77

book 7001 21 >book.txt # a prime
results="--write id,nll,hidden --snapshot-every 3"

# part FIRST COUNT: bytes of the book.
part() {
  tail -c "+$(($1 + 1))" book.txt | head -c "$2"
}

# tokens FILE: ids, nll and hidden states, each to a file of its own: FILE.id, ...
tokens() {
  for dataset in id nll hidden; do
    column "$1.h5" /tokens/$dataset >"$1.$dataset"
  done
}

# like_the_whole NAME FIRST COUNT: tokens of a volume.
like_the_whole() {
  tokens "$1"
  for dataset in id nll hidden; do
    bytes=$(($(wc -c <"whole.$dataset") / 7001))
    tail -c "+$(($2 * bytes + 1))" "whole.$dataset" | head -c $(($3 * bytes)) >expected
    cmp -s expected "$1.$dataset" ||
      fail "$core: $ranks ranks: $options: $dataset of tokens $2 to $(($2 + $3))"
  done
}

# same_memory NAME COUNT: the last COUNT snapshots of NAME are the last of the whole.
same_memory() {
  for dataset in position rows last_id hidden keys values; do
    column whole.memory.h5 /snapshots/$dataset >expected
    column "$1.memory.h5" /snapshots/$dataset >got
    bytes=$(($(wc -c <expected) / snapshots * $2))
    tail -c $bytes expected >expected.tail
    tail -c $bytes got | cmp -s - expected.tail ||
      fail "$core: $ranks ranks: $options: $dataset of the last snapshots of $1"
  done
}

# volumes CUT...: the book in volumes that end at these positions.
volumes() {
  at=0 before=
  for cut in "$@" 7001; do
    part $at $((cut - at)) >volume.txt
    # shellcheck disable=SC2086 # lists of words
    run "$ranks" $options $results --wave-tokens $((300 * ranks)) \
      --output "until-$cut.h5" --overwrite ${before:+--from-snapshot $before} volume.txt
    like_the_whole "until-$cut" $at $((cut - at))
    at=$cut before=until-$cut.memory.h5
  done
  same_memory until-7001 1
  passed "$core: $ranks ranks: ${options##*/}: cut at $*"
}

# whole MODEL OPTION...: the book in one piece, on two ranks.
whole() {
  options="--model $FIXTURES/$1"
  shift
  options="$options $*"
  # shellcheck disable=SC2086 # lists of words
  run 2 $options $results --output whole.h5 --overwrite --wave-tokens 1500 book.txt
  tokens whole
  snapshots=$(($(column whole.memory.h5 /snapshots/last_id | wc -c) / 4))
}

for core in $(cores); do
  use "$core"
  whole law
  ranks=1 && volumes 1
  ranks=3 && volumes 63
  ranks=1 && volumes 100 1000
  ranks=3 && volumes 64 5000
  # Volumes of whole groups of three segments: their snapshots are those of the whole.
  ranks=3 && volumes 240 1200
  before=$(column until-240.memory.h5 /snapshots/last_id | wc -c)
  between=$(column until-1200.memory.h5 /snapshots/last_id | wc -c)
  same_memory until-7001 $((snapshots - (before + between) / 4))
  for dataset in position rows last_id hidden keys values; do
    for cut in 240 1200 7001; do
      column until-$cut.memory.h5 /snapshots/$dataset
    done >got
    column whole.memory.h5 /snapshots/$dataset | cmp -s - got ||
      fail "$core: $dataset of the snapshots of three volumes"
  done
  passed "$core: snapshots of three volumes are those of the whole"
  whole law --mem-init empty
  ranks=3 && volumes 1 100
  ranks=1 && volumes 5000
  whole law-same
  ranks=3 && volumes 1 64 1000
  ranks=1 && volumes 100 5000
  whole odd
  ranks=3 && volumes 63 1000
done

# The first rows of a document are seen from everywhere; a volume that begins in their
# block has them, though no window goes back that far.
core=packed && use $core
results="--write id,nll,hidden"
whole branches/prefix
ranks=1 && volumes 2 60 1000
ranks=3 && volumes 60
whole branches/layers
ranks=3 && volumes 1 64 1000

# Where a layer looks back without end, a snapshot has room for the longest document of
# the run that made it.
part 0 700 >long.txt
part 0 50 >begun.txt
part 50 6951 >volume.txt
# shellcheck disable=SC2086 # lists of words
{
  run 2 $options --output first.h5 long.txt begun.txt
  run 3 $options $results --wave-tokens 900 --output until-7001.h5 --overwrite \
    --from-snapshot first.memory.h5 volume.txt
}
like_the_whole until-7001 50 6951
rm first.*
passed "$ranks ranks: ${options##*/}: after a longer document"

# A volume without a token: what comes after it begins anew.
: >nothing.txt
full="--model $FIXTURES/branches/full"
# shellcheck disable=SC2086 # lists of words
{
  run 1 $full --output first.h5 begun.txt
  for ranks in 1 3; do
    run $ranks $full --output none.h5 --overwrite --from-snapshot first.memory.h5 nothing.txt
    run $ranks $full $results --output after.h5 --overwrite \
      --from-snapshot first.memory.h5 nothing.txt volume.txt
  done
  run 1 $full $results --output alone.h5 volume.txt
}
for dataset in id nll hidden; do
  column after.h5 /tokens/$dataset >got
  column alone.h5 /tokens/$dataset | cmp -s - got || fail "after an empty volume: $dataset"
done
rm first.* none.* after.* alone.* long.txt begun.txt
passed "an empty volume"

# ---- What does not fit

law="--model $FIXTURES/law"
# shellcheck disable=SC2086 # lists of words
{
  run 1 $law --output first.h5 book.txt
  goes_on="--output second.h5 --from-snapshot first.memory.h5 book.txt"
  refused 'made with model = ' 1 --model "$FIXTURES/law-same" $goes_on
  refused 'made with model = ' 3 --model "$FIXTURES/law-same" $goes_on
  refused 'made with segment = 80, but this run has 40' 1 $law --segment 40 $goes_on
  refused 'made with mem_len = 96, but this run has 95' 1 $law --mem-len 95 $goes_on
  refused 'made with mem_init = zeros, but this run has empty' 1 $law --mem-init empty \
    $goes_on
  for core in $(cores); do
    [ "$core" != packed ] || continue
    use "$core"
    refused 'made with gemm = packed, but this run has blas' 1 $law $goes_on
    use packed
  done
  refused 'first.h5' 1 $law --output second.h5 --from-snapshot first.h5 book.txt
  refused 'none.h5' 1 $law --output second.h5 --from-snapshot none.h5 book.txt
  head -c 9000 first.memory.h5 >short.h5
  refused 'short.h5' 1 $law --output second.h5 --from-snapshot short.h5 book.txt
  run 1 $law --output none.h5 --snapshots none book.txt
}
[ ! -e none.memory.h5 ] || fail "--snapshots none: a memory file"
for left in second*; do
  [ ! -e "$left" ] || fail "left behind by what was refused: $left"
done
passed "what does not fit is refused"
