# The output as others read it: h5py finds names, dimension scales and attributes, maps
# the datasets, and has the ids and sums that the text has; h5dump reads every dataset.
set -eu
. "$(dirname "$0")/../runs.sh"

python=$(find_python h5py numpy)

printf 'It was a dark and stormy night; the rain fell in torrents.' >a.txt
printf 'x' >b.txt
: >c.txt
"$LONGSPAN" run --quiet --model "$FIXTURES/law" --output out.h5 --write id,nll,hidden,hidden:0 \
  --snapshots documents a.txt b.txt c.txt

"$python" - <<'EOF'
import math
import h5py
import numpy as np

text = [open(name, "rb").read() for name in ("a.txt", "b.txt", "c.txt")]
with h5py.File("out.h5") as f:
    assert f.attrs["format"] == "longspan-output", f.attrs["format"]
    assert all(isinstance(v, str) for v in f.attrs.values())
    tokens, documents = f["tokens"], f["documents"]
    assert bytes(tokens["id"][:].astype("u1")) == b"".join(text)
    assert tokens["id"].dtype == "<i4" and tokens["nll"].dtype == "<f4"
    for name in ("hidden", "hidden_0"):
        assert [d.label for d in tokens[name].dims] == ["token", "feature"]
    same = tokens["id"][:] == ord("t")  # what enters layer 0 is the embedding of the id
    assert same.sum() > 1 and len(np.unique(tokens["hidden_0"][:][same], axis=0)) == 1
    for group in (tokens, documents):
        for dataset in group.values():
            if not h5py.h5ds.is_scale(dataset.id):
                assert all(len(d) == 1 for d in dataset.dims), dataset.name
    assert list(documents["token_count"]) == [len(t) for t in text]
    assert [n.decode() for n in documents["name"]] == ["a.txt", "b.txt", "c.txt"]
    nll = tokens["nll"][:]
    first = [0, len(text[0])]
    assert np.isnan(nll[first]).all() and np.isnan(nll).sum() == 2
    total = float(nll[1:len(text[0])].astype("f8").sum())
    assert abs(documents["nll_sum"][0] - total) < 1e-9 * total
    bits = total / math.log(2) / len(text[0])
    assert abs(documents["bits_per_byte"][0] - bits) < 1e-9
    assert np.isnan(documents["bits_per_byte"][1:]).all()
    hidden = tokens["hidden"]
    mapped = np.memmap("out.h5", hidden.dtype, "r", hidden.id.get_offset(), hidden.shape)
    assert (mapped == hidden[:]).all()
with h5py.File("out.memory.h5") as f:
    snapshots = f["snapshots"]
    assert list(snapshots["position"]) == [len(text[0]), 1]
    assert list(snapshots["last_id"]) == [text[0][-1], ord("x")]
    rows = snapshots["rows"][0]
    keys = snapshots["keys"][0]
    assert rows == len(text[0]) and (keys[:, -rows:] != 0).any() and not keys[:, :-rows].any()
print("h5py: as drawn")
EOF

if command -v h5dump >/dev/null; then
  h5dump -d /tokens/nll -d /documents/name out.h5 | grep -q '"a.txt' ||
    { echo "h5dump does not show the names" >&2; exit 1; }
  h5dump out.memory.h5 >/dev/null
fi
