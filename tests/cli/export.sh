#!/bin/sh
# longspan export: what a text and an output are together, read back by Python's own
# readers: outputs of bytes, of a small BPE and of bare ids; texts with everything that
# needs escaping; places that index the original file.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python h5py numpy)

# bad STATUS PATTERN ARGUMENT...: that exit status and one line that matches.
bad() {
  expected=$1 pattern=$2
  shift 2
  status=0
  "$LONGSPAN" export "$@" >said 2>err || status=$?
  [ $status -eq "$expected" ] || { cat err >&2 && fail "$*: exit status $status"; }
  [ "$(wc -l <err)" -eq 1 ] || { cat err >&2 && fail "$*: not one line"; }
  grep -qe "^longspan: .*$pattern" err || { cat err >&2 && fail "expected '$pattern'"; }
}

cat >make_texts.py <<'EOF'
hard = ("\ttabs\tand \"quotes\", commas;\r\nline ends\nback\\slash \\n, \\t\u00a0no-break\u2003em\x85next\x1cfile "
        "“fjörd” café cafe\u0301 \U0001f469\u200d\U0001f680 日本語\u3000テキスト <|endoftext|> \u2028line\u2029 x\u200by ,lead \"\" =1+1 ")
open("hard.txt", "wb").write(hard.encode() * 3)
open("broken.txt", "wb").write(b"ab\xffcd \xe2\x80 \xc3 \xf0\x9f\x98x \xed\xa0\x80 nul\0nul \xc2\xa0end \xe3\x80")
open("empty.txt", "wb").write(b"")
open("white.txt", "wb").write(b" \n\t ")
EOF
"$python" make_texts.py
book 6000 3 >book.txt
texts="hard.txt broken.txt empty.txt white.txt book.txt"

mkdir bpe
cp "$FIXTURES/branches/ids-untied/config.json" \
  "$FIXTURES/branches/ids-untied/model.safetensors" "$FIXTURES/tokens/tokenizer.json" bpe/
# shellcheck disable=SC2086 # a list of words
{
  run 1 --model "$FIXTURES/law" --output bytes.h5 $texts
  run 2 --model bpe --output tokens.h5 $texts
  run 1 --model bpe --output nll.h5 --write nll $texts
}
od -An -v -tu1 book.txt | awk '{ for (i = 1; i <= NF; i++) printf "%s ", $i }' |
  "$python" -c 'import sys; sys.stdout.buffer.write(b"".join(int(n).to_bytes(2, "little") for n in sys.stdin.read().split()))' >ids.bin
run 1 --model "$FIXTURES/branches/ids-untied" --output ids.h5 --input-format u16 ids.bin
"$LONGSPAN" tokenize --model bpe --output book.u16 --format u16 book.txt >said
run 1 --model bpe --output known.h5 --input-format u16 book.u16

cat >check.py <<'EOF'
import bisect
import csv
import functools
import json
import math
import re
import subprocess
import sys

import h5py
import numpy as np

longspan, texts = sys.argv[1], sys.argv[2:]
data = [open(name, "rb").read() for name in texts]
NUMBERS = dict(document=int, token=int, id=int, byte_start=int, byte_end=int, word=int, tokens=int, nll=float, bits=float)


def export(path, *options):
    return subprocess.run([longspan, "export", path, *options], check=True, capture_output=True).stdout


def unescape(text):
    return re.sub(r"\\(.)", lambda m: {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}[m.group(1)], text)


def typed(row):
    return {k: (None if v == "" and k in NUMBERS else NUMBERS.get(k, str)(v)) for k, v in row.items()}


def rows(path, what, format):
    """The rows of an export, the same whatever the format is."""
    out = export(path, "--" + what, "--format", format)
    if format == "jsonl":
        return [json.loads(line) for line in out.decode().split("\n")[:-1]]
    if format == "csv":
        assert out.count(b"\r\n") >= 1
        open("rows.csv", "wb").write(out)
        with open("rows.csv", newline="", encoding="utf-8") as file:
            return [typed(row) for row in csv.DictReader(file)]
    lines = [line.split("\t") for line in out.decode().split("\n")[:-1]]
    return [typed(dict(zip(lines[0], map(unescape, line), strict=True))) for line in lines[1:]]


def same(a, b):
    return [{**r, "text": r["text"].replace("\0", "\ufffd")} for r in a] == b


def white(data):
    """Bytes of white space at the beginning."""
    for n in range(1, 4):
        try:
            if data[:n].decode().isspace() and len(data) >= n and len(data[:n].decode()) == 1:
                return n
        except UnicodeDecodeError:
            pass
    return 0


@functools.lru_cache(None)
def place(token):
    at = 0
    while at < len(token) and (n := white(token[at:])):
        at += n
    return at if at < len(token) else 0


def check(path, text_of):
    """text_of(file, id): the bytes that a token stands for."""
    tokens, words = rows(path, "tokens", "jsonl"), rows(path, "words", "jsonl")
    for what, expected in (("tokens", tokens), ("words", words)):
        assert same(expected, rows(path, what, "csv")) and same(expected, rows(path, what, "tsv")), what
    with h5py.File(path) as f:
        nll, ids = f["tokens/nll"][:], f["tokens/id"][:]
        starts = f["documents/token_start"][:]
        assert list(f["documents/n_bytes"]) == [len(d) for d in data]
        assert len(tokens) == len(ids)
        for i, t in enumerate(tokens):
            d = t["document"]
            assert t["id"] == ids[i] and t["token"] == i - starts[d]
            assert (t["nll"] is None) == bool(np.isnan(nll[i]))
            if t["nll"] is not None:
                assert np.float32(t["nll"]) == nll[i]
                assert math.isclose(t["bits"], nll[i] / math.log(2), rel_tol=1e-6)
            stands = text_of(f, ids[i])
            assert t["text"] == stands.decode(errors="replace")
            if texts[d] != "broken.txt":
                assert data[d][t["byte_start"]:t["byte_end"]] == stands, t
        for d, all_bytes in enumerate(data):
            mine = [t for t in tokens if t["document"] == d]
            assert [t["byte_start"] for t in mine] == [0, *(t["byte_end"] for t in mine)][:len(mine)]
            assert not mine or mine[-1]["byte_end"] == len(all_bytes)
            found = [w for w in words if w["document"] == d]
            assert [w["word"] for w in found] == list(range(len(found)))
            assert [w["text"] for w in found] == all_bytes.decode(errors="replace").split(), texts[d]
            for w in found:
                piece = all_bytes[w["byte_start"]:w["byte_end"]].decode(errors="replace")
                assert piece == w["text"], (w, piece)
            if texts[d] == "broken.txt":
                continue
            # Every token at the word in which its first byte lies that is no white space.
            places = [t["byte_start"] + place(text_of(f, t["id"])) for t in mine]
            for w in found:
                inside = mine[bisect.bisect_left(places, w["byte_start"]):bisect.bisect_left(places, w["byte_end"])]
                assert w["tokens"] == len(inside), (w, inside)
                known = inside and all(t["nll"] is not None for t in inside)
                assert (w["nll"] is not None) == bool(known), w
                if known:
                    assert math.isclose(w["nll"], sum(t["nll"] for t in inside), rel_tol=1e-6)
        for d, row in enumerate(json.loads(line) for line in export(path, "--documents", "--format", "jsonl").splitlines()):
            assert row["document"] == d and row["name"] == texts[d] and row["words"] == len(data[d].decode(errors="replace").split())
            for column in ("token_start", "token_count", "n_bytes", "nll_count", "nll_sum", "bits_per_byte", "not_finite_count"):
                value = f["documents"][column][d]
                assert row[column] is None if math.isnan(value) else row[column] == value, (column, row)
            if row["nll_count"]:
                assert math.isclose(row["bits_per_byte"], row["nll_sum"] / math.log(2) / row["n_bytes"])
                assert math.isclose(row["token_perplexity"], math.exp(row["nll_sum"] / row["nll_count"]))
                assert row["words"] == 0 or math.isclose(row["word_perplexity"], math.exp(row["nll_sum"] / row["words"]))
    one = [t for t in tokens if t["document"] == 4]
    assert rows(path, "tokens", "jsonl")[-len(one):] == one
    out = export(path, "--tokens", "--document", "4", "--format", "jsonl").decode()
    assert [json.loads(line) for line in out.splitlines()] == one
    return tokens


@functools.lru_cache(None)
def vocabulary(f, i):
    first, end = f["tokenizer/token_start"][i:i + 2]
    return f["tokenizer/token_bytes"][first:end].tobytes()


check("bytes.h5", lambda f, i: bytes([i]))
tokens = check("tokens.h5", vocabulary)
with h5py.File("tokens.h5") as f:
    for group in f["tokenizer"], f["tokens"]:
        for dataset in group.values():
            if not h5py.h5ds.is_scale(dataset.id):
                assert all(len(d) == 1 for d in dataset.dims), dataset.name
    assert f["tokens/byte_start"].dtype == "<i8" and f["tokenizer/token_bytes"].dtype == "u1"
    assert f["tokens/byte_start"][:].tolist() == [t["byte_start"] for t in tokens]
    book = f["documents/token_start"][4]
    assert b"".join(vocabulary(f, i) for i in f["tokens/id"][book:]) == data[4]
assert len(tokens) < 0.8 * sum(map(len, data))
# Without ids: places and surprisal, no text.
bare = rows("nll.h5", "tokens", "jsonl")
assert [{**t, "id": None, "text": None} for t in tokens] == bare
ids = rows("ids.h5", "tokens", "jsonl")
assert {t["text"] for t in ids} == {t["byte_start"] for t in ids} == {None}
# Ids that a tokenizer beside the model explains: text and words, without places.
book = [{**t, "document": 0, "byte_start": None, "byte_end": None} for t in tokens if t["document"] == 4]
known = rows("known.h5", "tokens", "jsonl")
assert [{**t, "nll": 0, "bits": 0} for t in known] == [{**t, "nll": 0, "bits": 0} for t in book]
assert [w["text"] for w in rows("known.h5", "words", "jsonl")] == data[4].decode().split()
row, = (json.loads(line) for line in export("ids.h5", "--documents", "--format", "jsonl").splitlines())
assert row["words"] is row["word_perplexity"] is row["bits_per_byte"] is None and row["token_perplexity"] > 1
EOF
# shellcheck disable=SC2086 # a list of words
"$python" check.py "$LONGSPAN" $texts
passed "tokens, words and documents"

"$LONGSPAN" verify bytes.h5 tokens.h5 nll.h5 ids.h5 >/dev/null
"$LONGSPAN" export tokens.h5 --words --output words.tsv
"$LONGSPAN" export tokens.h5 --words | cmp - words.tsv
"$LONGSPAN" export tokens.h5 --words --format csv --output words.tsv # replaces
head -1 words.tsv | grep -q '^document,word,byte_start' || fail "the file was not replaced"
[ ! -e words.tsv.tmp ] || fail "words.tsv.tmp is left"
passed "--output"

# A reader that leaves early: no word, and no failure.
status=$( { "$LONGSPAN" export tokens.h5 --tokens 2>err; echo $? >status; } | head -n 1 >/dev/null; cat status)
[ "$status" -eq 0 ] || fail "exit status $status after a broken pipe"
[ ! -s err ] || { cat err >&2 && fail "speaks of a broken pipe"; }
if [ -w /dev/full ]; then
  status=0
  "$LONGSPAN" export tokens.h5 --tokens >/dev/full 2>err || status=$?
  [ $status -eq 1 ] && grep -q 'standard output: writing failed: No space left' err ||
    fail "a full disk: $(cat err)"
fi
passed "pipes"

bad 1 'ids.h5: was made from token ids without a tokenizer' ids.h5 --words
bad 1 'nll.h5: has no /tokens/id' nll.h5 --words
bad 1 'tokens.memory.h5: a memory file' tokens.memory.h5 --tokens
bad 1 'is the output that is read' tokens.h5 --tokens --output tokens.h5
bad 1 'absent.h5' absent.h5 --tokens
bad 2 'one of --tokens, --words and --documents' tokens.h5
bad 2 'one of --tokens, --words and --documents' tokens.h5 --tokens --words
bad 2 'takes one FILE.h5' --tokens
bad 2 'takes one FILE.h5' --tokens tokens.h5 bytes.h5
bad 2 "document 5: tokens.h5 has 5 documents" tokens.h5 --tokens --document 5
bad 2 "'xml' is not one of tsv|csv|jsonl" tokens.h5 --tokens --format xml
passed "refusals"

# What the file says of places, ids and bytes is looked at before it is used, and is under
# the sums of `verify`.
cat >damage.py <<'EOF'
import h5py
import shutil
for name, dataset, row, value in (("starts", "tokens/byte_start", 5, 1 << 40), ("starts2", "tokens/byte_start", 700, 1),
                                  ("id", "tokens/id", 700, 100000), ("edges", "tokenizer/token_start", 90, 1 << 50),
                                  ("bytes", "tokenizer/token_bytes", 90, 1)):
    shutil.copy("tokens.h5", name + ".h5")
    with h5py.File(name + ".h5", "r+") as f:
        f[dataset][row] = value
EOF
"$python" damage.py
bad 1 'starts.h5: /tokens/byte_start does not rise within the text (row [45])' \
  starts.h5 --tokens --output rows
bad 1 'starts2.h5: /tokens/byte_start does not rise within the text' starts2.h5 --words
bad 1 'id.h5: an id of /tokens/id is not in the vocabulary (row 700)' id.h5 --words
bad 1 'edges.h5: /tokenizer/token_start does not rise' edges.h5 --tokens
[ ! -e rows ] && [ ! -e rows.tmp ] || fail "a part of the rows is left"
for name in starts starts2 id edges bytes; do
  ! "$LONGSPAN" verify $name.h5 >said 2>&1 || fail "verify finds nothing in $name.h5"
done
grep -q 'headers, names, sizes or attributes: the checksum is wrong' said ||
  fail "the bytes of the vocabulary are under no sum"
passed "damage"

# A word longer than any that is held, in a file of the first version.
cat >long.py <<'EOF'
import h5py
import json
import numpy as np
import subprocess
import sys
text = "é" * 600000 + " end"
data = np.frombuffer(text.encode(), "u1")
n = len(data)
columns = dict(token_start=np.int64([0]), token_count=np.int64([n]), n_bytes=np.int64([n]), nll_count=np.int64([n - 1]),
               nll_sum=np.float64([n - 1]), bits_per_byte=np.float64([1]))
with h5py.File("long.h5", "w") as f:
    f.attrs["format"], f.attrs["format_version"] = "longspan-output", "1"
    for name, rows in (("tokens/token", n), ("documents/document", 1), ("integrity/panel", 1)):
        f.create_dataset(name, (rows,), ">f4")
    f["tokens/id"] = data.astype("<i4")
    f["tokens/nll"] = np.float32([np.nan] + [1] * (n - 1))
    f["documents/name"] = np.array([b"long"], "S8")
    f["integrity/panel_xxh3"] = np.uint64([0])
    for name, column in columns.items():
        f["documents/" + name] = column
out = subprocess.run([sys.argv[1], "export", "long.h5", "--words", "--format", "jsonl"], check=True, capture_output=True)
word, end = map(json.loads, out.stdout.splitlines())
assert (word["byte_start"], word["byte_end"], word["tokens"]) == (0, 1200000, 1200000)
assert word["text"] == "é" * (1 << 19) + "…" and end["text"] == "end" and end["nll"] == 3
EOF
"$python" long.py "$LONGSPAN"
passed "a long word"

# show and info speak of bytes and words of the text, as for a model of bytes.
"$LONGSPAN" show tokens.h5 book.txt hard.txt >said
"$LONGSPAN" show tokens.h5 >all
grep -q '^Bits per byte: book.txt$' said || fail "no chart of book.txt"
grep -q 'bits per byte, at byte' said || fail "no sentences"
"$LONGSPAN" info tokens.h5 >said
grep -q '^  bits per byte ' said && grep -q '^  bytes a token ' said ||
  { cat said >&2 && fail "info does not speak of bytes"; }
"$LONGSPAN" show known.h5 book.txt >said
grep -q '^Bits per byte: book.txt$' said || fail "no chart of ids that a tokenizer explains"
passed "show and info"
