#!/bin/sh
# longspan show: an output of a tokenizer, of which every figure is known. What a token has
# counts where its first letter is.
set -eu
. "$(dirname "$0")/../runs.sh"
python=$(find_python h5py numpy)

bad() {
  pattern=$1
  shift
  status=0
  "$LONGSPAN" show "$@" >said 2>err || status=$?
  [ $status -eq 1 ] || { cat err >&2 && fail "$*: exit status $status"; }
  grep -qe "^longspan: .*$pattern" err || { cat err >&2 && fail "expected '$pattern'"; }
}

cat >make_book.py <<'END'
plain = "Nothing of note was to be seen by anybody at all on that day. " * 20
odd = "Zebras quickly vex jumpy dwarfs in a “fjörd” & <glen>! "
name = "They talked to Marianne. " * 10
book = ""
for number, more in (("I", ""), ("II", odd), ("III", name)):
    book += f"CHAPTER {number}\n\n{plain}{more}\n\n"
open("book", "wb").write(book.encode())
open("other", "wb").write(b"Another text.")
END
"$python" make_book.py
mkdir bpe
cp "$FIXTURES/branches/ids-untied/config.json" \
  "$FIXTURES/branches/ids-untied/model.safetensors" "$FIXTURES/tokens/tokenizer.json" bpe/
run 2 --model bpe --output out.h5 book other
cp out.h5 base.h5

# A bit a byte of every token in chapter I, two elsewhere, nine in the odd sentence; the
# first token of a Marianne has 3 bits more in the baseline.
cat >set_nll.py <<'END'
import h5py
import numpy as np
text = open("book", "rb").read()
with h5py.File("out.h5") as f:
    start = f["tokens/byte_start"][:f["documents/token_count"][0]]
    all_tokens = len(f["tokens/nll"])
end = np.append(start[1:], len(text))
blank = np.array([text[s:s + 1] == b" " for s in start])
place = start + (blank & (end - start > 1))  # of what a token has
rate = np.full(len(start), 2.0)
rate[start < text.index(b"CHAPTER II\n")] = 1.0
first = text.index(b"Zebras")
last = text.index(b"!", first)
rate[(place >= first) & (place <= last)] = 9.0
bits = np.full(all_tokens, 2.0)
bits[:len(start)] = rate * (end - start)
base = bits.copy()
for i, s in enumerate(place):
    if text[s:].startswith(b"Marianne"):
        base[i] += 3
for name, value in (("out.h5", bits), ("base.h5", base)):
    with h5py.File(name, "r+") as f:
        f["tokens/nll"][:] = (value * np.log(2)).astype(np.float32)
print("%.2f" % (bits[:len(start)][rate == 9.0].sum() / (last + 1 - first)), format(first, ","))
END
"$python" set_nll.py >expected
read -r bits place <expected
"$LONGSPAN" show out.h5 book --baseline base.h5 --html page.html >said
for pattern in '^Bits per byte, change by memory: book$' '^  CHAPTER I  *[01]\.[09][0-9]* ' \
  '^  CHAPTER III  *[12]\.[09][0-9]* *-0\.0[0-9]* #' "^  $bits bits per byte, at byte $place$" \
  '^    Zebras quickly vex jumpy dwarfs in a “fjörd” & <glen>!$' \
  '^ *30\.0 *10 *3\.00  Marianne  *\(.* \)*talked to Marianne$'; do
  grep -qe "$pattern" said || { cat said >&2 && fail "does not say '$pattern'"; }
done
[ "$(sed -n '/each  word/,/^$/p' said | wc -l)" -eq 3 ] || { cat said >&2 && fail "not one word"; }
passed "chapters, sentences, words"

# What a token has counts for the word in which its place lies, and is put where that word
# was last seen.
cat >table.py <<'END'
import re
import h5py
import numpy as np
text = open("book", "rb").read()
with h5py.File("out.h5") as f:
    start = f["tokens/byte_start"][:f["documents/token_count"][0]]
    nll = f["tokens/nll"][:len(start)]
blank = np.array([text[s:s + 1] == b" " for s in start])
place = start + (blank & (np.append(start[1:], len(text)) - start > 1))
bits = np.zeros(len(text))
bits[place] = nll / np.log(2)
rows = {100: "up to 100 bytes", 1000: "up to 1,000", 10000: "up to 10,000",
        100000: "up to 100,000", 1 << 62: "longer ago", None: "never before"}
found = {name: [] for name in rows.values()}
last, between = {}, np.full(len(text), True)
for m in re.finditer(rb"(?:[A-Za-z]|(?!\xe2\x80)[\xc2-\xf4][\x80-\xbf]+)+", text):
    far = m.start() - last[m.group()] if m.group() in last else None
    found[rows[far and min(r for r in rows if r and r >= far)]].append(m.span())
    last[m.group()] = m.end()
    between[m.start():m.end()] = False
for name, spans in found.items():
    n, has = sum(b - a for a, b in spans), sum(bits[a:b].sum() for a, b in spans)
    print(name, len(spans), f"{100 * n / len(text):.2f} %",
          f"{has / n:.3f} {has / len(spans):.2f}" if spans else "- -")
print(f"between words - {100 * between.mean():.2f} % {bits[between].mean():.3f} -")
print(f"all - 100.00 % {bits.mean():.3f} -")
END
"$python" table.py >table
"$LONGSPAN" show out.h5 book >said
sed -n '/^  last seen/,/^$/p' said | sed '1d; /^$/d; s/^  *//' | tr -s ' ' | diff table - ||
  fail "not the bits by how long ago"
passed "how long ago"

cat >check_page.py <<'END'
from html.parser import HTMLParser
class Page(HTMLParser):
    text, inside = "", 0
    def handle_starttag(self, tag, attributes):
        self.inside += (tag, dict(attributes).get("class")) == ("div", "text")
    def handle_endtag(self, tag):
        self.inside -= tag == "div"
    def handle_data(self, data):
        self.text += data if self.inside else ""
page = Page()
page.feed(open("page.html", encoding="utf-8").read())
assert page.text == open("book", encoding="utf-8").read(), "the text is not the book's"
END
"$python" check_page.py
passed "page"

"$LONGSPAN" show out.h5 >all
grep -q '^Bits per byte: book$' all && grep -q '^Bits per byte: other$' all ||
  fail "not all texts without a text"
mkdir same
sed 's/Zebras/Zebrus/' book >same/book
bad 'same/book: bytes .* are not what token [0-9]* of out.h5 stands for' out.h5 same/book
head -c 100 book >same/book
bad 'same/book: 100 bytes, but document 0 of out.h5 has' out.h5 same/book
run 1 --model bpe --output nll.h5 --write nll book
bad 'nll.h5: has no /tokens/id' nll.h5 book
passed "what does not belong together"
