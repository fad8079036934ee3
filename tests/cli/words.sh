#!/bin/sh
# Names and texts with any bytes: they forge no line, reach no terminal control, and
# stop no run.
set -eu
. "$(dirname "$0")/../runs.sh"

# A newline that begins a line of ours, ESC, a C1 control as UTF-8 and as a byte, Latin-1,
# an overlong slash, a bidirectional override.
forged=$(printf 'a\nlongspan: b.h5 is finished already')
odd=$(printf 'c\033[31m \302\233m \233 caf\351 \300\257 \342\200\256x')
shown='c\\x1b\[31m \\xc2\\x9bm \\x9b caf\\xe9 \\xc0\\xaf \\xe2\\x80\\xaex'

# safe FILE...: no control character but newline, and nothing that is not UTF-8.
safe() {
  for file in "$@"; do
    LC_ALL=C tr -d '\n\040-\176\302-\364\200-\277' <"$file" >left
    [ ! -s left ] || { od -c "$file" | head >&2 && fail "$file: control characters"; }
    iconv -f UTF-8 -t UTF-8 "$file" >/dev/null || fail "$file: not UTF-8"
    ! grep -q "$(printf '\302[\200-\237]')" "$file" || fail "$file: C1 controls"
  done
}

# one_line PATTERN ARGUMENT...: fails with one line that matches.
one_line() {
  pattern=$1
  shift
  status=0
  "$LONGSPAN" "$@" >out 2>err || status=$?
  [ $status -ne 0 ] || fail "$*: succeeded"
  [ "$(wc -l <err)" -eq 1 ] || { cat err >&2 && fail "$*: not one line"; }
  grep -q "^longspan: .*$pattern" err || { cat err >&2 && fail "expected '$pattern'"; }
  safe out err
}

law="--model $FIXTURES/law"
name=$forged$odd
say="a\\\\nlongspan: b.h5 is finished already$shown"
# shellcheck disable=SC2086 # a list of words
{
  one_line "$say: " run $law --output o.h5 "$name"
  one_line "$say: " run $law --output o.h5 "@$name"
  one_line "$say" run --model "$name" --output o.h5 "$name"
  one_line "$say" run $law --output "$name/o.h5" "$0"
  one_line "$say" run $law --output o.h5 --from-snapshot "$name" "$0"
  one_line "$say" run $law --output o.h5 --log "$name/log" "$0"
  one_line "a.nlongspan" run $law --output o.h5 --segment "$name" "$0"
  one_line "a.nlongspan" run $law --output o.h5 "--$name" "$0"
}
one_line "$say" info "$name"
one_line "$say" show "$name" "$0"
one_line "$say" plan --model "$name" --tokens 1 --ranks 1
one_line "a.nlongspan" "$name"
passed "one line a message"

# ---- Whole runs over such names: to the end, with names that can be read back

python=$(find_python h5py)
markup="<b>\"Tom\" & 'Huck'"
slash='back\x41slash'
mkdir "$odd"
book 3000 71 >"$odd/$forged"
book 400 72 >"$odd/$odd"
book 500 73 >"$odd/$markup"
book 600 74 >"$odd/$slash"
book 700 75 >"$odd/café"
cp -r "$FIXTURES/law" "$odd.model"

# odd_run RANKS ARGUMENT...: as `run`, with all that longspan says in `said`.
odd_run() {
  ranks=$1
  shift
  # shellcheck disable=SC2086 # a list of words
  timeout -k 5 $limit $MPIRUN -n "$ranks" "$LONGSPAN" run --model "$odd.model" \
    --snapshots documents --log log "$@" >said 2>&1 ||
    { cat said >&2 && fail "exit status $?: run $*"; }
  safe said log
}

odd_run 2 --output "$odd.h5" "$odd"
odd_run 1 --output one.h5 "$odd"
[ "$(hash "$odd")" = "$(hash one)" ] || fail "other bytes on one rank"
odd_run 1 --output "$odd.h5" --resume "$odd"
grep -q "$shown.h5 is finished already" said || fail "--resume: not finished"
odd_run 2 --output again.h5 "$odd.h5" # names go through two files
"$LONGSPAN" info "$odd.h5" >said
safe said
grep -q '^longspan: b' said && fail "info: a forged line"
"$LONGSPAN" show "$odd.h5" "$odd" --html "$odd.html" >said
safe said "$odd.html"
"$LONGSPAN" show "$odd.h5" "$PWD/$odd/café" --html cafe.html >said
grep -q '^<title>café - longspan</title>$' cafe.html || fail "not the base name"
ODD=$odd PYTHONUTF8=0 "$python" - <<'END'
import json, os, re
import h5py

folder = os.environb[b"ODD"]
written = sorted(os.listdir(folder))


def restored(text):
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode())


for path in (folder + b".h5", b"again.h5"):
    with h5py.File(path) as f:
        names = [n.decode("utf-8") for n in f["documents/name"][:]]
        assert [restored(n) for n in names] == written, names
        assert all(n.isprintable() for n in names), names
        identity = json.loads(f.attrs["identity"])
        assert all(f.attrs[k] == v for k, v in identity.items() if k in f.attrs)
        assert identity["gemm"] and identity["kernels"]
        ids = f["tokens/id"][:].astype("u1").tobytes()
        assert ids == b"".join(open(os.path.join(folder, n), "rb").read() for n in written)
facts = json.load(open(folder + b".run.json", encoding="utf-8"))
assert facts["state"] == "done" and facts["escaped"] == ["command_line"], facts
assert folder + b".model" in restored(facts["command_line"]), facts["command_line"]
page = open(folder + b".html", encoding="utf-8").read()
assert "<h2>&lt;b&gt;&quot;Tom&quot; &amp; &#39;Huck&#39;</h2>" in page
assert "<h2>a\\nlongspan: b.h5" in page and "<title>&lt;b&gt;&quot;Tom" in page
END
passed "names of any bytes"

# A run of such names is stopped and resumed; over other names it is another run.
mkdir long
book 300000 76 >"long/$odd"
# shellcheck disable=SC2086 # a list of words
{
  odd_run 2 --output whole.h5 long
  for seconds in 1 2 4 8 16; do # a second may pass before the output is opened
    status=0
    "$LONGSPAN" run --quiet $law --snapshots documents --output "$odd.h5" --overwrite \
      --wave-tokens 64 --max-time $seconds long >said 2>&1 || status=$?
    [ $status -eq 75 ] || { cat said >&2 && fail "stopped run: exit status $status"; }
    [ ! -e "$odd.h5.journal" ] || break
  done
  mv "long/$odd" "long/$slash"
  refused "$shown.h5: " 1 $law --snapshots documents \
    --output "$odd.h5" --resume long
  safe said
  mv "long/$slash" "long/$odd"
  odd_run 2 --output "$odd.h5" --resume long
}
[ "$(hash "$odd")" = "$(hash whole)" ] || fail "resumed: other bytes"
passed "resumed over names of any bytes"

# What FILE.run.json says is not needed: it stops no run.
# shellcheck disable=SC2086 # a list of words
LSP_FAULT_PATH=blocked.run.json LSP_FAULT_MODE=sticky LSP_FAULT_AT=1 \
  LD_PRELOAD=$IOFAULT timeout -k 5 $limit "$LONGSPAN" run --model "$odd.model" \
  --snapshots documents --output blocked.h5 "$odd" >said 2>&1 ||
  { cat said >&2 && fail "without run.json: exit status $?"; }
[ "$(hash blocked)" = "$(hash one)" ] || fail "without run.json: other bytes"
[ ! -e blocked.run.json ] || fail "run.json is there"
[ "$(grep -c '^longspan: blocked.run.json.*No space left' said)" -eq 1 ] ||
  { cat said >&2 && fail "not one warning"; }
odd_run 1 --output blocked.h5 --resume "$odd"
passed "run.json that cannot be written"
