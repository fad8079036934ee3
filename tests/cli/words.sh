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
for name in "$forged" "$odd"; do
  say=$shown
  [ "$name" = "$odd" ] || say='a\\nlongspan: b.h5 is finished already'
  # shellcheck disable=SC2086 # a list of words
  {
    one_line "$say: " run $law --output o.h5 "$name"
    one_line "$say: " run $law --output o.h5 "@$name"
    one_line "$say" run --model "$name" --output o.h5 "$name"
    one_line "$say" run $law --output "$name/o.h5" "$0"
    one_line "$say" run $law --output o.h5 --from-snapshot "$name" "$0"
    one_line "$say" run $law --output o.h5 --log "$name/log" "$0"
    one_line "$say" run $law --output o.h5 --segment "$name" "$0"
    one_line "$say" run $law --output o.h5 "--$name" "$0"
  }
  one_line "$say" info "$name"
  one_line "$say" show "$name" "$0"
  one_line "$say" plan --model "$name" --tokens 1 --ranks 1
  one_line "$say" "$name"
done
passed "one line a message"
