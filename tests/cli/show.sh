#!/bin/sh
# longspan show: an output of which every figure is known, beside its text.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python h5py numpy)

# says PATTERN...: each is a line of the last `show`.
says() {
  for pattern in "$@"; do
    grep -qe "$pattern" said || { cat said >&2 && fail "does not say '$pattern'"; }
  done
}

# bad STATUS PATTERN ARGUMENT...: that exit status and one line that matches.
bad() {
  expected=$1 pattern=$2
  shift 2
  status=0
  "$LONGSPAN" show "$@" >said 2>err || status=$?
  [ $status -eq "$expected" ] || { cat err >&2 && fail "$*: exit status $status"; }
  [ "$(wc -l <err)" -eq 1 ] || { cat err >&2 && fail "$*: not one line"; }
  grep -qe "^longspan: .*$pattern" err || { cat err >&2 && fail "expected '$pattern'"; }
}

# The book: a table of contents, a volume and three chapters; Marianne is dear without
# memory; one sentence surprises.
cat >make_book.py <<'END'
import sys
plain = "Nothing of note was to be seen by anybody at all on that day. " * 20
odd = "Zebras quickly vex jumpy dwarfs in a “fjörd” & <glen>! "
name = "They talked to Marianne. " * 10
book = "CONTENTS\n\nCHAPTER I\n\nCHAPTER II\n\nCHAPTER III\n\nVOLUME I\n\n"
for number, more in (("I", ""), ("II", odd), ("III", name)):
    book += f"CHAPTER {number}\n\n{plain}{more}\n\n"
open(sys.argv[1], "wb").write(book.encode() + b"A stray \xff byte.\n")
END
"$python" make_book.py book
run 1 --model "$FIXTURES/law" --output out.h5 book
run 1 --model "$FIXTURES/law" --output base.h5 --mem-len 0 book
"$LONGSPAN" show out.h5 book --baseline base.h5 >said
says '^Bits per byte' '^  VOLUME I, CHAPTER I ' '^The most surprising sentences' \
  '^The words that memory helped most'

# The same files with figures that are known: a bit a byte in chapter I, two elsewhere,
# nine in the odd sentence; a Marianne saves 3 bits, 0.5 a byte beyond its first two.
cat >set_nll.py <<'END'
import h5py, numpy as np, sys
text = open("book", "rb").read()
bits = np.full(len(text), 2.0)
bits[: text.index(b"CHAPTER II\n\nNothing")] = 1.0
at = text.index(b"Zebras")
bits[at : text.index(b"!", at) + 1] = 9.0
base = bits.copy()
for i in range(len(text)):
    if text[i:].startswith(b"Marianne"):
        base[i + 2 : i + 8] += 0.5
for name, value in (("out.h5", bits), ("base.h5", base)):
    with h5py.File(name, "r+") as f:
        f["tokens/nll"][:] = (value * np.log(2)).astype(np.float32)
        f["tokens/nll"][0] = np.nan
END
"$python" set_nll.py
"$LONGSPAN" show out.h5 book >said
says '^  VOLUME I, CHAPTER I  *0\.999 #*$\|^  VOLUME I, CHAPTER I  *1\.000 #*$' \
  '^  CHAPTER II  *2\.[2-9][0-9]* #*$' '^  CHAPTER III  *2\.000 #*$'
[ "$(grep -c '^  .*CHAPTER' said)" -eq 3 ] || fail "not three chapters"
[ "$(grep -n 'bits per byte, at' said | head -1 | sed 's/.*  //; s/,.*//')" = \
  "9.00 bits per byte" ] || { cat said >&2 && fail "not the odd sentence first"; }
says '^    Zebras quickly vex jumpy dwarfs in a “fjörd” & <glen>!$'
[ "$(grep -c 'bits per byte, at' said)" -eq 5 ] || fail "not five sentences"
! grep -q 'helped most' said || fail "words without a baseline"
awk 'length > 80 { bad = 1 } END { exit bad }' said || fail "more than 80 columns"
passed "chapters and sentences"

"$LONGSPAN" show out.h5 book --baseline base.h5 >said
says '^ *30\.0 *10 *3\.00  Marianne  *\(.* \)*talked to Marianne$' \
  '^  CHAPTER III  *2\.000 *-0\.0[0-9]* #' '^  CHAPTER II  *2\.[0-9]* *[-+]0\.000 #'
[ "$(sed -n '/each  word/,$p' said | wc -l)" -eq 2 ] || fail "not one word"
passed "words that memory helped"

# The page: the whole text, coloured, in one file that asks for no other.
"$LONGSPAN" show out.h5 book --html page.html >said
says '^The text in colours: page.html$'
cat >check_page.py <<'END'
from html.parser import HTMLParser
class Page(HTMLParser):
    text, level, inside, levels, anchors, links = "", None, 0, {}, [], []
    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        self.inside += (tag, a.get("class")) == ("div", "text")
        if tag == "b":
            self.level = a["class"]
        if tag == "a":
            (self.links if "href" in a else self.anchors).append(a.get("href", a.get("id")))
    def handle_endtag(self, tag):
        self.inside -= tag == "div"
    def handle_data(self, data):
        if self.inside:
            self.text += data
            for word in data.split():
                self.levels[word] = self.level
data = open("page.html", "rb").read().decode("utf-8")
page = Page()
page.feed(data)
book = open("book", "rb").read().decode("utf-8", "replace")
assert page.text == book, "the text is not the book's"
assert page.levels["“fjörd”"] == "q9" and page.levels["Marianne."] == "q4", page.levels
assert page.links == ["#c0", "#c1", "#c2"] and page.anchors == ["c0", "c1", "c2"]
assert "://" not in data and "<script" not in data and not data.count("src=")
END
"$python" check_page.py
[ ! -e page.html.tmp ] || fail "page.html.tmp is left"
passed "page"

# Without headings: twenty equal parts. Several texts: each has a chart of its own.
head -c 4000 /dev/zero | tr '\0' 'x' >plain
run 1 --model "$FIXTURES/law" --output two.h5 plain book
"$LONGSPAN" show two.h5 plain book >said
[ "$(grep -c '^  from [0-9]* %' said)" -eq 20 ] || fail "not twenty parts"
says '^Bits per byte: plain$' '^Bits per byte: book$' '^  CHAPTER III '
"$LONGSPAN" show two.h5 book >said # found by its name
says '^Bits per byte: book$'
passed "texts"

# Bits by how long ago a word was last seen: at the borders of each row, and one byte
# beyond. In another document it was never seen.
cat >make_since.py <<'END'
distances = [100, 101, 1000, 1001, 10000, 10001, 100000, 100001]
text = b"Anne" + b"".join(b"." * n + b"Anne" for n in distances)
text += b". anne Anne's Anne'' \xe2\x80\x9cAnne\xe2\x80\x9d An\xc3\xa9"
open("since", "wb").write(text)
open("after", "wb").write(b"Anne, rock'n'roll rock'n'roll'")
END
"$python" make_since.py
run 1 --model "$FIXTURES/law" --output since.h5 since after
cp since.h5 since_base.h5

# A word has as many bits as its number in the text, at its last byte; a byte between
# words has a quarter of a bit. The baseline has half a bit more for each word.
cat >set_since.py <<'END'
import re
import h5py
import numpy as np
text = b"".join(open(name, "rb").read() for name in ("since", "after"))
word = rb"(?:Anne's|Anne|anne|An\xc3\xa9|rock'n'roll)"
bits = np.full(len(text), 0.25)
found = list(re.finditer(word, text))
base = bits.copy()
for number, m in enumerate(found):
    bits[m.start():m.end()] = 0
    bits[m.end() - 1] = number
    base[m.start():m.end()] = 0
    base[m.end() - 1] = number + 0.5
for name, value in (("since.h5", bits), ("since_base.h5", base)):
    with h5py.File(name, "r+") as f:
        f["tokens/nll"][:] = (value * np.log(2)).astype(np.float32)
# number 0 is Anne, 1 to 8 are the distances, then anne, Anne's, Anne, Anne, Ané, and of
# the other document Anne, rock'n'roll twice.
rows = {"up to 100 bytes": [1, 11, 12, 16], "up to 1,000": [2, 3], "up to 10,000": [4, 5],
        "up to 100,000": [6, 7], "longer ago": [8], "never before": [0, 9, 10, 13, 14, 15]}
assert len(found) == 17
for name, numbers in rows.items():
    n = sum(len(found[k].group()) for k in numbers)
    print(f"{name} {len(numbers)} {100 * n / len(text):.2f} % {sum(numbers) / n:.3f} "
          f"{-0.5 * len(numbers) / n:+.3f} {sum(numbers) / len(numbers):.2f}")
words = sum(len(m.group()) for m in found)
print(f"between words - {100 - 100 * words / len(text):.2f} % 0.250 -0.000 -")
print(f"all - 100.00 % {bits.mean():.3f} {-0.5 * 17 / len(text):+.3f} -")
END
"$python" set_since.py | sed 's/+0\.000\|-0\.000/0.000/' >expected
table() {
  sed -n '/^  last seen/,/^$/p' | sed '1d; /^$/d; s/^  *//; s/[+-]0\.000/0.000/' | tr -s ' '
}
"$LONGSPAN" show since.h5 --baseline since_base.h5 >said
table <said | diff expected - || fail "not the bits by distance, with a baseline"
"$LONGSPAN" show since.h5 since after >said
says '^Bits per byte by how long ago a word was last seen$' '^  Distances are in bytes, '
table <said >got
awk '{ $(NF - 1) = ""; print }' expected | tr -s ' ' | diff - got ||
  fail "not the bits by distance"

# Of many words, and of words longer than what is kept of one, each is known again.
cat >many.py <<'END'
import itertools
words = ["".join(w) for w in itertools.product("abcdefgh", repeat=4)]
words += ["x" * 254 + end for end in ("yz", "yy", "y", "")]
words += words[::-1]
open("many", "w").write(" ".join(words))
at, last, count = 0, {}, [0] * 6
for w in words:
    far = at - last[w] if w in last else 1 << 62
    count[sum(far > most for most in (100, 1000, 10000, 100000, 1 << 61))] += 1
    at += len(w)
    last[w] = at
    at += 1
print(*[f"{n:,}" for n in count])
END
"$python" many.py >expected
run 1 --model "$FIXTURES/law" --output many.h5 many
"$LONGSPAN" show many.h5 >said
[ "$(table <said | sed 6q | awk '{ print $(NF - 4) }' | xargs)" = "$(cat expected)" ] ||
  { cat expected said >&2 && fail "not the many words"; }
passed "how long ago"

# Without a text the output is read alone, and says the same.
"$LONGSPAN" show out.h5 book --baseline base.h5 --html page.html >said
"$LONGSPAN" show out.h5 --baseline base.h5 --html alone.html >alone
sed 's/page.html/alone.html/' said | cmp - alone || fail "another answer without the text"
cmp page.html alone.html || fail "another page without the text"
passed "the output alone"

sed 's/Zebras/Zebrus/' book >other
head -c 1000 book >short
bad 1 "other: byte $(grep -abo Zebras book | cut -d: -f1 | awk '{ print $1 + 4 }') is 117" \
  out.h5 other
bad 1 'short: 1000 bytes, but document 0' out.h5 short
bad 1 'two.h5: .*same texts' out.h5 book --baseline two.h5
bad 1 'two.h5 has no document of this name' two.h5 other
bad 1 'a memory file' out.memory.h5 book
bad 1 'absent' out.h5 absent
bad 1 'page.html' out.h5 book --html absent/page.html
bad 2 'show takes FILE.h5' --html page.html
bad 2 'no such option; did you mean --html' out.h5 book --htm x
passed "what does not belong together"
