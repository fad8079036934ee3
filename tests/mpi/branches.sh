#!/bin/sh
# Law 1 for every kind of branch, position and merge, and for layers that differ in where
# positions enter (two models of fixtures/families): the same bytes of FILE.h5 and
# FILE.memory.h5 for any number of ranks, threads and waves, any instruction set,
# stopped and resumed or not, whatever else is in the corpus.
#
# Compared: the SHA-256 of both files. Each model of fixtures/branches has two runs, of
# which the ranks, waves, threads and instruction sets differ; the models together have
# every pair of rank counts that is listed below with every pair of waves. (That one
# rank computes what the formulas say is asked by tests/golden.) Models take turns
# between the BLAS cores. LSP_SWEEP=full: every model on every core, in all five pairs.
set -eu
. "$(dirname "$0")/../runs.sh"

word() { # word I WORD...: the I-th, from 0
  shift $(($1 + 1))
  echo "$1"
}

# ---- The corpora

# The longest is the only one that crosses a wave of all sizes; the others lie before
# and behind it, at the borders of blocks and panels.
mkdir many
: >many/a-empty
book 1 2 >many/b
book 64 4 >many/c
book 127 6 >many/d
book 257 11 >many/e
book 3001 1 >many/f
book 65 5 >many/g
book 700 12 >many/h

# Documents of a model that has 304 positions.
mkdir few
cp many/[bcde] few
book 303 15 >few/f
book 303 16 >few/g

corpus_of() { # corpus_of FOLDER: what the model reads
  if grep -q '"max_position' "$1/config.json"; then
    given "$1" few
  else
    given "$1" many
  fi
}

# Two-sided models leave no memory; those wrapped in memory tokens no layer's rows.
results_of() { # results_of FOLDER
  case ${1##*/}$(grep -c '"causal": *false' "$1/config.json") in
  *1) echo "--write id,nll,hidden,hidden:1" ;;
  rmt*) echo "--write id,nll,hidden --snapshots documents" ;;
  *) echo "--write id,nll,hidden,hidden:1 --snapshots documents" ;;
  esac
}

# ---- Ranks, threads, waves, instruction sets

# same FOLDER TURN: two runs.
same() {
  model=${1##*/} expected=
  # shellcheck disable=SC2046,SC2086 # lists of words
  for j in 0 1; do
    ranks=$(word $((2 * ($2 % 5) + j)) 1 3 2 7 4 1 3 2 7 4)
    set_of="--wave-tokens $(word $((($2 + j) % 3)) 300 700 1000000)"
    set_of="$set_of --isa $(word $((($2 + j) % 2)) plain avx2)"
    set_of="$set_of --threads $((($2 / 2 + j) % 2 + 1))"
    run "$ranks" --model "$1" --output o.h5 --overwrite \
      $(results_of "$1") $set_of $(corpus_of "$1")
    expected=${expected:-$(hash o)}
    [ "$(hash o)" = "$expected" ] ||
      fail "$core: $model: $ranks ranks $set_of, and another run"
  done
}

available=$(cores)
models=0
for folder in "$FIXTURES"/branches/*/ "$FIXTURES"/families/smollm3-list/ \
  "$FIXTURES"/families/qwen3-bias/; do
  folder=${folder%/}
  # shellcheck disable=SC2086 # a list of words
  cores_of=$(word $((models % $(echo $available | wc -w))) $available) turns=$models
  [ "${LSP_SWEEP-}" != full ] || { cores_of=$available turns="0 1 2 3 4"; }
  for core in $cores_of; do
    use "$core"
    for turn in $turns; do
      same "$folder" "$turn"
    done
  done
  models=$((models + 1))
done
[ $models -ge 55 ] || fail "only $models models"
passed "$models models: the same on 1, 2, 3, 4, 7 ranks"
