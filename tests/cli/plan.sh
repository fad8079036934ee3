#!/bin/sh
# longspan plan: the messages it foresees are those of a run; it works for any size.
set -eu
. "$(dirname "$0")/../runs.sh"

plan() {
  "$LONGSPAN" plan --model "$FIXTURES/law" "$@" >said || fail "plan $*"
}

says() {
  grep -qe "$1" said || { cat said >&2 && fail "does not say '$1'"; }
}

plan --tokens 1000000 --ranks 4
says '^1,000,000 tokens in one document on 4 ranks of 1 thread$'
says '^  panels *3,909$' # 64, 64, 128, then 256 rows each
says '^  sent *1 message, 48.0 KiB, a rank and layer'

# Memory and traffic of a rank do not depend on the length.
plan --tokens 1000000000 --ranks 1000 --wave-tokens 2000000
sed -n '/^  sent/p; /^  memory/,$p' said >once
plan --tokens 10000000000 --ranks 1000 --wave-tokens 2000000
sed -n '/^  sent/p; /^  memory/,$p' said >ten_times
cmp once ten_times || fail "memory or traffic grows with the length"

for ranks in 1 2 7 100000; do
  for tokens in 1 255 1000000000000; do
    plan --tokens $tokens --ranks $ranks
    says "^  waves "
  done
done
plan --tokens 1 --ranks 100000
says '99,999 ranks without work'
plan --tokens 100000 --ranks 1
says '^  sent *0 messages'
passed "plans"

# What a run counts is what was foreseen.
head -c 10000 /dev/zero | tr '\0' 'x' >text
run 4 --model "$FIXTURES/law" --output out.h5 --wave-tokens 20000 text
sent=$("$(find_python)" -c 'import json
run = json.load(open("out.run.json"))
print("%d messages, %.1f KiB" % (run["messages_sent"]["max"],
                                 run["bytes_sent"]["max"] / 1024))')
plan --tokens 10000 --ranks 4 --wave-tokens 20000
says "^  *at most $sent, a rank in all"
passed "messages"

status=0
"$LONGSPAN" plan --model "$FIXTURES/law" --tokens 0 --ranks 2 2>said || status=$?
[ $status -eq 2 ] || fail "exit status $status, expected 2"
says '^longspan: --tokens: 0 is not in \[1, '
status=0
"$LONGSPAN" plan --model absent --tokens 1 --ranks 2 2>said || status=$?
[ $status -eq 1 ] || fail "exit status $status, expected 1"
passed "what is refused"
