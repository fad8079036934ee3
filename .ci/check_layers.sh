#!/bin/sh
# The include law of layers.txt, and who may speak HDF5 and MPI.
set -eu
cd "$(dirname "$0")/.."
bad=$(mktemp)
trap 'rm -f "$bad"' EXIT

# Every "FILE:LINE: include" is judged by the module of the file and of the header.
grep -nE '^[[:space:]]*#[[:space:]]*include' -r src include --include='*.[ch]' |
  awk '
    BEGIN {
      while ((getline line < ".ci/layers.txt") > 0) {
        n = split(line, word, " ")
        if (n == 0 || word[1] ~ /^#/) continue
        level[word[1]] = ++levels
        for (i = 2; i <= n; i++) module_of[word[i]] = word[1]
      }
    }
    function complain(what) { print file ": " what }
    function may_use(list) { return index(" " list " ", " " module " ") > 0 }
    {
      split($0, part, ":"); file = part[1] ":" part[2]
      split(part[1], folder, "/")
      if (folder[1] == "src") module = folder[2]
      else { name = folder[3]; sub(/\.h$/, "", name); module = module_of[name] }
      if (module == "") next # an unlisted header is named below
      if (!(module in level)) { complain("module " module " is not in layers.txt"); next }
      match($0, /[<"][^>"]*[>"]/); header = substr($0, RSTART + 1, RLENGTH - 2)
      quoted = substr($0, RSTART, 1) == "\""
      if (header ~ /^lsp\//) {
        name = header; sub(/^lsp\//, "", name); sub(/\.h$/, "", name)
        if (!(name in module_of)) complain(header " is not in layers.txt")
        else if (level[module_of[name]] > level[module])
          complain(module " may not use " header)
      } else if (quoted && header == "build_info.h") {
        if (!may_use("cli")) complain("only cli may use build_info.h")
      } else if (quoted) {
        if (header ~ /\// || system("test -f src/" module "/" header))
          complain(header " is not a private header of " module)
      } else if (header ~ /^(hdf5|hdf5_hl|H5[A-Za-z]*)\.h$/) {
        if (!may_use("store")) complain("only store may use " header)
      } else if (header == "mpi.h" && !may_use("base comm engine cli"))
        complain(module " may not use mpi.h")
    }' >>"$bad"

# MPI by way of another header is still MPI.
grep -nE '\<MPI_[A-Z][a-z_]+ *\(' -r src --include='*.[ch]' |
  grep -vE '^src/(base|comm|store|engine|cli)/' |
  sed 's/\([^:]*:[^:]*\):.*/\1: only base, comm, store, engine and cli may call MPI/' >>"$bad"
grep -nE '\<MPI_(I?[BSR]?send|I?M?recv|Sendrecv|(Send|Recv)_init)[a-z_]* *\(' -ri src \
  --include='*.[ch]' | grep -v '^src/comm/' |
  sed 's/\([^:]*:[^:]*\):.*/\1: only comm may send and receive/' >>"$bad"

# layers.txt and include/lsp/ name the same headers.
listed=$(sed '/^#/d; s/^[^ ]* *//' .ci/layers.txt)
for header in include/lsp/*.h; do
  name=$(basename "$header" .h)
  echo $listed | tr ' ' '\n' | grep -qx "$name" ||
    echo "$header: not in .ci/layers.txt" >>"$bad"
done
for name in $listed; do
  [ -f "include/lsp/$name.h" ] ||
    echo ".ci/layers.txt: include/lsp/$name.h is not there" >>"$bad"
done

# One name, one file.
find src include tests -name '*.[ch]' | sed 's|.*/||' | sort | uniq -d |
  sed 's/$/: two files have this name/' >>"$bad"

cat "$bad"
[ ! -s "$bad" ]
