# A small run on two ranks, and a fault at each of its I/O calls in turn; for the shell
# tests, to be sourced after runs.sh. LSP_SWEEP=full: every call, not only a sample.

# A rank that is killed takes the others with it at once.
export OMPI_MCA_odls_base_sigkill_timeout=0

book 2100 1 >a.txt
book 900 2 >b.txt

# go RANKS FOLDER ARGUMENT...: the run, into FOLDER/o.h5.
go() {
  go_ranks=$1 go_folder=$2
  shift 2
  start "$go_ranks" --model "$FIXTURES/law" --wave-tokens 512 --write id,nll,hidden,hidden:0 \
    --snapshots documents --output "$go_folder/o.h5" "$@" a.txt b.txt </dev/null
}

# A rank with faults; its exit status goes to STATUSES.RANK. One that is to be killed is
# the launcher's own child, so that the launcher sees it die.
cat >"$work/faulty" <<'END'
#!/bin/sh
case $LSP_FAULT_MODE in
kill | torn) LD_PRELOAD=$FAULTS exec "$PROGRAM" "$@" ;;
esac
status=0
LD_PRELOAD=$FAULTS "$PROGRAM" "$@" || status=$?
echo $status >"$STATUSES.$OMPI_COMM_WORLD_RANK"
exit $status
END
chmod +x "$work/faulty"

# attempt FOLDER MODE RANK AT [TRACE]: a run with that fault into an empty folder. Every
# rank ends by itself.
attempt() {
  rm -rf "$1" "$1".status.*
  mkdir "$1"
  (
    export PROGRAM="$LONGSPAN" FAULTS="$IOFAULT" STATUSES="$work/$1.status"
    export LSP_FAULT_PATH="$1" LSP_FAULT_MODE="$2" LSP_FAULT_RANK="$3"
    export LSP_FAULT_AT="$4" LSP_FAULT_TRACE_FILE="${5-}"
    case $2 in
    kill | torn) ;;
    *) export OMPI_MCA_orte_abort_on_non_zero_status=0 ;;
    esac
    LONGSPAN=$work/faulty
    go 2 "$1"
  )
}

# What is there when all is done.
contents() {
  (cd "$1" && echo *)
}

# The undisturbed run, once for the calls of each rank: `calls` has one line a call,
# "RANK NUMBER CALL FILE".
for rank in 0 1; do
  attempt whole count $rank 0 "$work/trace" >said 2>&1 ||
    { cat said >&2 && fail "undisturbed: exit status $?"; }
  sed "s|^|$rank |; s|[^ ]*/||" trace >>calls
  rm trace
done
whole=$(hash whole/o)
[ "$(contents whole)" = "o.h5 o.memory.h5 o.run.json" ] ||
  fail "undisturbed: leaves $(contents whole)"

# points MODE WHICH [STEP FIRST]: lines "MODE RANK NUMBER CALL FILE". A sample has each
# kind of call on each file, as it occurs for the WHICH-th time (counted around); with
# STEP only every STEP-th kind.
points() {
  awk -v mode="$1" -v which="$2" -v step="${3-1}" -v first="${4-0}" \
    -v full="${LSP_SWEEP-}" '
    (mode == "torn" || mode == "short") && $3 != "write" { next }
    full == "full" { print mode, $0; next }
    {
      kind = $1 " " $3 " " $4
      if (!(kind in count))
        order[++kinds] = kind
      line[kind, count[kind]++] = $0
    }
    END {
      for (i = 1 + first; i <= kinds; i += step)
        print mode, line[order[i], (which - 1) % count[order[i]]]
    }' calls
}

# wrong REASON: of the point that is tried.
wrong() {
  echo "FAILED: $*" >&2
}

# sweep: `try FOLDER MODE RANK NUMBER CALL FILE` for each line of standard input, two
# at a time.
sweep() {
  began=$(date +%s)
  cat >"$work/points"
  for worker in 0 1; do
    awk -v worker=$worker 'NR % 2 == worker' "$work/points" |
      while read -r mode rank at call file; do
        # Failures are collected: a sweep shows all of them.
        try "out.$worker" "$mode" "$rank" "$at" "$call" "$file" ||
          echo "FAILED: $mode at rank $rank, call $at ($call $file)" |
          tee -a "$work/failures" >&2
      done &
    eval "pid_$worker=$!"
  done
  # shellcheck disable=SC2154 # set by eval
  wait "$pid_0" && wait "$pid_1" || fail "a worker of the sweep ended early"
  [ ! -s "$work/failures" ] || fail "$(wc -l <"$work/failures") points"
  for mode in $(cut -d ' ' -f 1 "$work/points" | sort -u); do
    passed "$mode at $(grep -c "^$mode " "$work/points") of $(wc -l <calls) calls"
  done
  passed "in $(($(date +%s) - began)) s"
}

# goes_on FOLDER RANKS: --resume gives the bytes of the undisturbed run, from the last
# commit, and leaves nothing beside them.
goes_on() {
  committed=$("$LONGSPAN" info "$1/o.h5" 2>/dev/null |
    sed -n 's/^  committed *\([0-9,]*\) of .*/\1/p' | tr -d ,)
  status=0
  go "$2" "$1" --resume >"$1.resumed" 2>&1 || status=$?
  [ $status -eq 0 ] ||
    { cat "$1.resumed" >&2 && wrong "--resume: exit status $status" && return 1; }
  [ "$(hash "$1/o")" = "$whole" ] || { wrong "other bytes" && return 1; }
  [ "$(contents "$1")" = "o.h5 o.memory.h5 o.run.json" ] ||
    { wrong "leaves $(contents "$1")" && return 1; }
  [ -z "$committed" ] || grep -q "\"first_token\": $committed," "$1/o.run.json" ||
    { wrong "does not resume from token $committed" && return 1; }
  grep -q '"state": "done"' "$1/o.run.json" ||
    { wrong "o.run.json does not say that it is done" && return 1; }
}
