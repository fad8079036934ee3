#!/bin/sh
# Law 1: the same bytes of FILE.h5 and FILE.memory.h5 for any number of ranks, threads
# and waves, any instruction set, stopped and resumed or not, whatever else is in the
# corpus.
#
# Five rank counts, three wave sizes, two thread counts, three instruction sets make 90
# runs of a corpus. Phase p of three runs each rank count i once, with
#   wave size (i + p) mod 3, instruction set (i + wave size) mod 3, threads (i + wave
#   size) mod 2,
# so that the three phases together have every pair of two settings, and any one phase
# every rank count and every wave size. All three are run where OpenBLAS's Haswell
# kernels are, for the book and for the many documents; elsewhere one.
set -eu
. "$(dirname "$0")/../runs.sh"

results="--write id,nll,hidden --snapshots documents --snapshot-every 3"
waves="300 1500 1000000"
kernels="plain avx2 avx512"
small=
[ -z "${ASAN_OPTIONS-}" ] || small=1

word() { # word I WORD...: the I-th, from 0
  shift $(($1 + 1))
  echo "$1"
}

# ---- The corpora

book 20011 1 >book.txt # a prime
# In byte order of paths, which is that of no language: A-1 A.txt A/B Z a b ...
mkdir many many/A
: >many/empty
book 1 2 >many/A-1
book 63 3 >many/A.txt
book 64 4 >many/A/B
book 65 5 >many/Z
book 127 6 >many/a
book 128 7 >many/b
book 129 8 >many/b1
book 255 9 >many/b10
book 256 10 >many/b9
book 257 11 >many/zz
book 2003 12 >many/longer-than-a-wave
many=$(find many -type f -exec cat {} + | wc -c)

# law FIXTURE PHASES ARGUMENT...: all runs of these phases have the hash of one rank,
# one thread, one wave.
law() {
  model=$1 phases=$2
  shift 2
  # shellcheck disable=SC2086 # lists of words
  {
    run 1 --model "$FIXTURES/$model" --output one.h5 --overwrite $results \
      --threads 1 "$@"
    expected=$(hash one)
    runs=1
    for phase in $phases; do
      i=0
      for ranks in 1 2 3 4 7; do
        wave=$(((i + phase) % 3))
        set_of="$(word $wave $waves) --isa $(word $(((i + wave) % 3)) $kernels)"
        set_of="--wave-tokens $set_of --threads $(((i + wave) % 2 + 1))"
        i=$((i + 1))
        [ -z "$small" ] || [ $ranks -eq 3 ] || continue
        run $ranks --model "$FIXTURES/$model" --output other.h5 --overwrite $results \
          $set_of "$@"
        [ "$(hash other)" = "$expected" ] ||
          fail "$core: $model: $*: $ranks ranks $set_of"
        runs=$((runs + 1))
      done
    done
  }
  passed "$core: $model, ${1##*/}: $runs runs"
}

available=$(cores)
for core in $available; do
  use "$core"
  all="0 1 2"
  if [ "$core" != Haswell ]; then
    case $available in *Haswell*) all=1 ;; esac
  fi
  law law "$all" book.txt
  law law-same "$all" many
  law law-same 2 book.txt
  law law 0 many
  law wt103 0 "$FIXTURES/wt103/doc3.bin" --input-format u16
  law head64 1 many
done
[ -n "$small" ] || [ "$(echo "$available" | wc -l)" -gt 1 ] ||
  echo "one BLAS core only: $available"

# ---- A document is the same alone and among others

alone_and_among() {
  run 2 --model "$FIXTURES/law" --output alone.h5 --overwrite --write id,nll,hidden \
    --wave-tokens 1500 --snapshots documents book.txt
  run 3 --model "$FIXTURES/law" --output among.h5 --overwrite --write id,nll,hidden \
    --wave-tokens 1500 --snapshots documents many book.txt many/zz
  all=$((many + 20011 + 257))
  for dataset in id nll hidden; do
    rows alone.h5 /tokens/$dataset 20011 0 20011 >expected
    rows among.h5 /tokens/$dataset $all "$many" 20011 >got
    cmp -s expected got || fail "$core: $dataset differs among other documents"
  done
  # 12 documents come before it, 11 of them with tokens and so with a snapshot.
  for dataset in nll_count nll_sum bits_per_byte n_bytes; do
    rows alone.h5 /documents/$dataset 1 0 1 >expected
    rows among.h5 /documents/$dataset 14 12 1 >got
    cmp -s expected got || fail "$core: $dataset differs among other documents"
  done
  for dataset in position rows last_id hidden keys values; do
    rows alone.memory.h5 /snapshots/$dataset 1 0 1 >expected
    rows among.memory.h5 /snapshots/$dataset 13 11 1 >got
    cmp -s expected got || fail "$core: snapshot: $dataset differs among others"
  done
  passed "$core: a document is the same alone and among others"
}

for core in $available; do
  use "$core"
  ! can_read "a document alone and among others" || alone_and_among
done

# ---- Stopped and resumed on other rank counts

journal() {
  if [ -f parts.h5.journal ]; then wc -c <parts.h5.journal; else echo 0; fi
}

# Sends a signal to the process of the file `pid` once it has committed twelve waves (a
# record of the journal has 128 bytes). It gives up with the run itself.
signal_after_commits() {
  from=$(journal)
  while [ ! -f pid ]; do sleep 0.02; done
  while [ "$(journal)" -le $((from + 1536)) ]; do
    kill -0 "$(cat pid)" 2>/dev/null || return 0
    sleep 0.02
  done
  kill -s "$1" "$(cat pid)" 2>/dev/null || return 0
}

# interrupted SIGNAL RANKS: a run of the parts, with the signal after a while; its exit
# status.
interrupted() {
  signal=$1 ranks=$2
  launcher="$MPIRUN -n $ranks"
  [ "$ranks" -gt 1 ] || launcher=
  rm -f pid
  signal_after_commits "$signal" &
  watcher=$!
  status=0
  # shellcheck disable=SC2086,SC2016 # lists of words; expanded by the inner shell
  timeout -k 5 $limit sh -c 'echo $$ >pid.new; mv pid.new pid; exec "$@"' sh \
    $launcher "$LONGSPAN" run --quiet $gemm --model "$FIXTURES/law" --output parts.h5 \
    --resume $results --wave-tokens $((256 * ranks)) many long.txt \
    >"$work/said" 2>&1 || status=$?
  wait $watcher
}

stopped_and_resumed() {
  run 2 --model "$FIXTURES/law" --output whole.h5 --overwrite $results many long.txt
  # In pieces: stopped on request (exit status 75), and killed (one rank, so that the
  # signal reaches it: mpirun's end is that of its ranks, but later).
  stops=0 kills=0 turn=0
  while :; do
    case $((turn % 5)) in
    0) interrupted USR1 3 ;;
    1) interrupted KILL 1 ;;
    2) interrupted USR1 4 ;;
    3) interrupted TERM 1 ;;
    4) interrupted USR1 2 ;;
    esac
    turn=$((turn + 1))
    case $status in
    0) break ;;
    75) stops=$((stops + 1)) ;;
    137) kills=$((kills + 1)) ;;
    *) complain "exit status $status after $signal on $ranks ranks" ;;
    esac
    [ $turn -lt 200 ] || fail "no end after $turn runs"
  done
  [ $stops -ge 2 ] && [ $kills -ge 1 ] || fail "only $stops stops and $kills kills"
  [ "$(hash parts)" = "$(hash whole)" ] || fail "$core: resumed: other bytes"
  for left in parts.h5.* parts.memory.h5.*; do
    [ ! -e "$left" ] || fail "left behind: $left"
  done
  passed "$core: stopped $stops times, killed $kills times, resumed on 1, 2, 3, 4 ranks"
}

book 60013 13 >long.txt
for core in $available; do last=$core; done
core=$last
use "$core"
stopped_and_resumed
