"""The store's search beside FAISS's exact flat index, on the same core, in turn.

    python3 tests/bench/store_search.py build/release/bench/store_search [M [K [E [ROWS]]]]

Needs numpy and faiss-cpu. The bench writes its keys and queries and what it found; FAISS
(IndexFlatIP, one thread) searches the same: the lists must be the same but for keys whose
scores are closer than float32 tells apart, which are counted. Figures are medians of rates
measured in turn."""

import os
import re
import struct
import subprocess
import sys
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import faiss  # noqa: E402
import numpy as np  # noqa: E402

REPEATS = 5


def longspan(bench, sizes, dump):
    out = subprocess.run([bench, *sizes], check=True, text=True, stdout=subprocess.PIPE,
                         env={**os.environ, "LSP_SEARCH_DUMP": dump}).stdout
    line = next(x for x in out.splitlines() if x.startswith("scaled"))
    return float(re.search(r"([\d.]+) GFLOP/s", line).group(1)), out


def read(path):
    with open(path, "rb") as f:
        keys, width, rows, most, _ = struct.unpack("<5q", f.read(40))
        k = np.fromfile(f, np.float32, keys * width).reshape(keys, width)
        q = np.fromfile(f, np.float32, rows * width).reshape(rows, width)
        at = np.fromfile(f, np.int64, rows * most).reshape(rows, most)
    return k, q, at


def exact(k, q, most):
    """In float64; ties to the lower position."""
    scores = q.astype(np.float64) @ k.astype(np.float64).T
    return np.stack([np.lexsort((np.arange(len(k)), -s))[:most] for s in scores])


def main():
    bench, sizes = sys.argv[1], sys.argv[2:]
    faiss.omp_set_num_threads(1)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        dump = os.path.join(folder, "search")
        for i in range(REPEATS):
            rate, out = longspan(bench, sizes, dump)
            ours.append(rate)
            k, q, at = read(dump)
            index = faiss.IndexFlatIP(k.shape[1])
            index.add(k)
            index.search(q, at.shape[1])  # what it sets up once
            begin = time.process_time()
            _, found = index.search(q, at.shape[1])
            theirs.append(2e-9 * q.size * len(k) / (time.process_time() - begin))
    print(out, end="")
    right = np.sort(exact(k, q, at.shape[1]), axis=1)
    wrong = (np.sort(at, axis=1) != right).sum()
    off = (np.sort(found, axis=1) != right).sum()
    print(f"longspan  {np.median(ours):6.1f} GFLOP/s, {wrong} of {at.size} not as in float64")
    print(f"faiss     {np.median(theirs):6.1f} GFLOP/s, {off} of {at.size} not as in float64")
    print(f"longspan / faiss = {np.median(np.array(ours) / np.array(theirs)):.2f}")
    if wrong:
        sys.exit("a list differs from that of float64")


if __name__ == "__main__":
    main()
