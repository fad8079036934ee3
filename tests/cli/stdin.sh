#!/bin/sh
# Where the text comes from makes no difference: file, folder, list, standard input,
# token ids, Megatron dataset, own output.
set -eu
. "$(dirname "$0")/../runs.sh"

law="--model $FIXTURES/law"
results="--write id,nll,hidden,hidden:1 --snapshots documents"

# into NAME ARGUMENT...: a run on one rank.
into() {
  name=$1
  shift
  # shellcheck disable=SC2086 # lists of words
  run 1 $law $results --output "$name.h5" --overwrite "$@"
}

same_file() {
  [ "$(hash "$1")" = "$(hash "$2")" ] || fail "$3: other bytes"
  passed "$3"
}

# ---- Standard input. Its document is called "-": so is this file of a folder.

mkdir folder
book 3001 41 >folder/-
into file folder
into spooled - <folder/-
same_file file spooled "standard input is as a file"
for ranks in 1 3; do
  # shellcheck disable=SC2086 # lists of words
  cat folder/- | run $ranks $law $results --output piped.h5 --overwrite -
  same_file file piped "standard input by a pipe, $ranks ranks"
done
# Another text to the same output is another text.
mkdir other
book 2999 42 >other/-
into file other
into spooled - <other/-
same_file file spooled "standard input a second time is read again"
mkdir empty
: >empty/-
into nothing empty
into silence - </dev/null
same_file nothing silence "standard input without a byte"

# ---- A run from standard input is resumed with its text, and with no other

# A run that is killed with something committed and more to do.
book 4000 48 >long
book 4000 49 >wrong
status=0
(
  export LD_PRELOAD="$IOFAULT" LSP_FAULT_PATH=stopped.h5.journal
  export LSP_FAULT_MODE=kill LSP_FAULT_AT=12
  # shellcheck disable=SC2086 # lists of words
  start 1 $law $results --output stopped.h5 --wave-tokens 256 - <long >said 2>&1
) || status=$?
[ $status -eq 137 ] || complain "exit status $status, expected 137"
[ -f stopped.h5.journal ] || fail "it was killed too early"
# shellcheck disable=SC2086 # lists of words
refused "another text" 1 $law $results --output stopped.h5 --resume - <wrong
refused "another text" 1 $law $results --output stopped.h5 --resume - <folder/-
cmp long stopped.stdin || fail "a refusal changed the copy"
cp stopped.stdin kept
cp wrong stopped.stdin # a copy from elsewhere
refused "\`input\` was" 1 $law $results --output stopped.h5 --resume - </dev/null
mv kept stopped.stdin
run 2 $law $results --output stopped.h5 --resume - </dev/null
[ ! -e stopped.stdin ] || fail "the copy outlives its run"
mkdir whole
cp long whole/-
into whole whole
same_file whole stopped "standard input, stopped and resumed"

# The same beside a folder, which might name the copy and does not.
status=0
(
  export LD_PRELOAD="$IOFAULT" LSP_FAULT_PATH=beside.h5.journal
  export LSP_FAULT_MODE=kill LSP_FAULT_AT=12
  # shellcheck disable=SC2086 # lists of words
  start 1 $law --output beside.h5 --wave-tokens 256 - other <long >said 2>&1
) || status=$?
[ $status -eq 137 ] || complain "exit status $status, expected 137"
# shellcheck disable=SC2086 # a list of words
run 1 $law --output beside.h5 --resume - other <long
passed "standard input beside a folder, stopped and resumed"

# A copy that a run left which never began is not the text of the next one; a file of
# that name which no run has left stays.
(
  export LD_PRELOAD="$IOFAULT" LSP_FAULT_MODE=kill LSP_FAULT_AT=1
  export LSP_FAULT_PATH="$work/fresh.h5.part"
  # shellcheck disable=SC2086 # lists of words
  start 1 $law $results --output "$work/fresh.h5" - <wrong >said 2>&1
) && fail "a run that should have been killed"
cmp wrong fresh.stdin || complain "no copy of standard input is left"
cp fresh.stdin copied.stdin
refused "copied.stdin: standard input would be copied" 1 $law --output copied.h5 - <long
refused "copied.stdin: standard input would be copied" 1 $law --output copied.h5 \
  --resume - <long
refused "copied.stdin: standard input would be copied" 1 $law --output copied.h5 \
  --overwrite - <copied.stdin
cmp wrong copied.stdin || fail "a file that no run has left was changed"
status=0
# shellcheck disable=SC2086 # lists of words
start 1 $law $results --output fresh.h5 --resume - <long >said 2>&1 || status=$?
if [ $status -eq 1 ] && grep -q "fresh.stdin: standard input would be copied" said; then
  echo "passed over: this file system keeps no marks"
  rm fresh.stdin
  run 1 $law $results --output fresh.h5 --resume - <long
elif [ $status -ne 0 ]; then
  complain "exit status $status: a leftover copy"
fi
same_file whole fresh "a leftover copy is not believed"

# ---- Finished, says --resume, only if it is the same run

run 1 $law $results --output fresh.h5 --resume - <long
grep -q "finished already" said || complain "expected 'finished already'"
refused "\`input\` was" 1 $law $results --output fresh.h5 --resume - <wrong
refused "\`input\` was" 1 $law $results --output fresh.h5 --resume - </dev/null
refused "\`model\` was" 1 --model "$FIXTURES/law-same" $results --output fresh.h5 \
  --resume - <long
refused "exists; use\|there is a run" 1 $law $results --output fresh.h5 - <long
[ ! -e fresh.stdin ] || fail "a refusal leaves a copy of standard input"
same_file whole fresh "refusals leave a finished output as it is"

# ---- Being asked to stop while standard input is read

# A writer that never ends keeps the pipe open.
mkfifo never
sleep 100 >never &
writer=$!
# shellcheck disable=SC2086 # a list of words
timeout $limit "$LONGSPAN" run $law --output never.h5 - <never >said 2>&1 &
reader=$!
until [ -e never.stdin.tmp ] || ! kill -0 $reader 2>/dev/null; do
  sleep 0.05
done
kill -TERM $reader
status=0
wait $reader || status=$?
kill $writer
[ $status -eq 75 ] || complain "exit status $status, expected 75"
for left in never.*; do
  [ ! -e "$left" ] || fail "$left is left behind"
done
passed "asked to stop while standard input is read"

# ---- Folders and lists: the order of documents is that of the bytes of their paths

mkdir -p many/A many/b/c
book 700 43 >many/A-1
book 300 44 >many/A/z
book 64 45 >many/B
: >many/a
book 1000 46 >many/b/c/d
book 129 47 >many/é
book 9 48 >many/.hidden
(
  cd many
  printf '%s\n' A-1 A/z B '' a b/c/d é >../list
  into ../listed @../list
  into ../named A-1 A/z B a b/c/d é
)
into folder many
same_file listed named "a list is as its files"
same_file listed folder "a folder is as its files in order"

# ---- Token ids

can_read "token ids" || exit 0

# as_text NAME WHAT: the same ids, results and sums as the text has.
as_text() {
  for dataset in /tokens/id /tokens/nll /tokens/hidden /documents/token_start \
    /documents/token_count /documents/n_bytes /documents/nll_count /documents/nll_sum \
    /documents/bits_per_byte; do
    column folder.h5 $dataset >expected
    column "$1.h5" $dataset | cmp -s - expected || fail "$2: $dataset differs"
  done
  for dataset in position rows last_id hidden keys values; do
    column folder.memory.h5 /snapshots/$dataset >expected
    column "$1.memory.h5" /snapshots/$dataset | cmp -s - expected ||
      fail "$2: /snapshots/$dataset differs"
  done
  passed "$2"
}

into own folder.h5
as_text own "own output"

python=$(find_python)
"$python" - <<'END'
import array, os, struct

texts = [open(os.path.join("many", p), "rb").read()
         for p in ("A-1", "A/z", "B", "a", "b/c/d", "é")]


def ids(kind, text):
    a = array.array(kind, list(text))
    assert a.itemsize == {"B": 1, "H": 2, "i": 4}[kind]
    return a.tobytes()


# The format is little-endian, and so is every machine that these tests know.
for name, kind in (("u16", "H"), ("u32", "i")):
    os.mkdir(name)
    for d, text in enumerate(texts):
        open("%s/%d" % (name, d), "wb").write(ids(kind, text))

# Each document in sequences of at most 250 tokens.
for name, kind, code in (("bytes", "B", 1), ("short", "H", 8), ("int", "i", 4)):
    lengths, edges = [], [0]
    for text in texts:
        rest = len(text)
        while rest > 0:
            lengths.append(min(rest, 250))
            rest -= lengths[-1]
        edges.append(len(lengths))
    width = array.array(kind).itemsize
    pointers = [width * sum(lengths[:i]) for i in range(len(lengths))]
    with open(name + ".idx", "wb") as f:
        f.write(b"MMIDIDX\0\0")
        f.write(struct.pack("<QBQQ", 1, code, len(lengths), len(edges)))
        f.write(struct.pack("<%di" % len(lengths), *lengths))
        f.write(struct.pack("<%dq" % len(pointers), *pointers))
        f.write(struct.pack("<%dq" % len(edges), *edges))
    open(name + ".bin", "wb").write(b"".join(ids(kind, text) for text in texts))
END

for format in u16 u32; do
  into $format --input-format $format $format
  as_text $format "token ids, $format"
done
into spooled --input-format u16 - <u16/4
into one many/b/c/d
column one.h5 /tokens/nll >expected
column spooled.h5 /tokens/nll | cmp -s - expected || fail "u16 by standard input"
passed "u16 by standard input"
for kind in bytes short int; do
  into megatron $kind.idx
  as_text megatron "Megatron dataset of $kind"
done
into prefix --input-format megatron int
into megatron int.bin
same_file megatron prefix "a Megatron dataset by any of its names"
