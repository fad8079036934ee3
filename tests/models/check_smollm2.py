"""What tests/models/smollm2.sh asks of case.json, and checks against it.

Usage: python3 check_smollm2.py CASE_FOLDER QUESTION [ARGUMENT...]        (h5py, numpy)
"""
import hashlib
import json
import os
import sys

import h5py
import numpy as np


def close(case):
    """How far from float64 is allowed: no further than the library in float32 (whose angles are float32, too)."""
    return case["transformers_error"]["float32"]


def check_text(case, path):
    """The novel is the one that the numbers were made from."""
    with open(path, "rb") as f:
        assert hashlib.sha256(f.read()).hexdigest() == case["text_sha256"], f"{path}: another text"


def check_all_ids(case, path):
    """Ids of the whole text, as a file of u32."""
    with open(path, "rb") as f:
        data = f.read()
    assert len(data) == 4 * case["text_tokens"], (len(data), case["text_tokens"])
    assert hashlib.sha256(data).hexdigest() == case["text_ids_sha256"], "other ids than those of `tokenizers`"


def check_nll(case, context, path):
    """Ids, and nll in one context."""
    folder, entry = case["folder"], next(c for c in case["contexts"] if c["context"] == context)
    expected = np.fromfile(os.path.join(folder, entry["nll"]), "<f4").astype("f8")
    with h5py.File(path) as f:
        ids, nll = f["tokens/id"][:], f["tokens/nll"][:].astype("f8")
    assert np.array_equal(ids, np.fromfile(os.path.join(folder, "ids.u16"), "<u2")), "other ids"
    assert np.array_equal(np.isnan(nll), np.isnan(expected)), "other tokens have no prediction"
    error = np.nanmax(np.abs(nll - expected))
    print(f"{context}: largest difference {error:.1e} nats, allowed {close(case):.1e}")
    assert error <= close(case), error
    assert abs(np.nansum(nll) - entry["nll_sum"]) <= 1e-5 * entry["nll_sum"], (np.nansum(nll), entry["nll_sum"])


def check_bits_per_byte(case, printed):
    """As info prints it, with four decimals."""
    assert abs(float(printed.split()[0]) - case["bits_per_byte"]) <= 1e-4, (printed, case["bits_per_byte"])


def check_volumes(case, whole, *parts):
    """Volumes, one after the other, are the whole, bit for bit; the first token of a later one is predicted, too."""
    with h5py.File(whole) as f:
        expected = {name: f[f"tokens/{name}"][:] for name in ("id", "nll", "hidden")}
    assert len(expected["id"]) == case["tokens"]
    files = [h5py.File(part) for part in parts]
    for name, column in expected.items():
        got = np.concatenate([f[f"tokens/{name}"][:] for f in files])
        assert got.tobytes() == column.tobytes(), f"{name} differs"


def main():
    """Command line."""
    folder, question, *arguments = sys.argv[1:]
    with open(os.path.join(folder, "case.json"), encoding="utf-8") as f:
        case = dict(json.load(f), folder=folder)
    if question == "bytes":
        print(case["bytes"])
    elif question == "contexts":
        print(*(entry["context"] for entry in case["contexts"]))
    else:
        globals()[f"check_{question}"](case, *arguments)


if __name__ == "__main__":
    main()
