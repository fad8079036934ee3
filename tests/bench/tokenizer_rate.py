"""Text to ids beside the library `tokenizers`, on one core: the same ids, and the ratio.

Usage: python3 tests/bench/tokenizer_rate.py BUILD/bench/tokenizer_rate TOKENIZER.JSON TEXT...
       (tokenizers, numpy, xxhash)

Prints a line a file: MB/s of processor time of longspan (a median of 5) and of the library
(a median of 3, the whole text in one call), their ratio, and whether the ids are equal.
The library's cache of words is its own default; it runs without threads.
"""
import os
import statistics
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import numpy as np
import xxhash
from tokenizers import Tokenizer


def library(tokenizer, path):
    with open(path, "rb") as file:
        data = file.read()
    text = data.decode("utf-8", "replace")
    times = []
    for _ in range(3):
        began = time.process_time()
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        times.append(time.process_time() - began)
    return len(data) / 1e6 / statistics.median(times), np.array(ids, dtype="<i4")


def main():
    program, path, *texts = sys.argv[1:]
    tokenizer = Tokenizer.from_file(path)
    tokenizer.encode_special_tokens = True
    ours = subprocess.run([program, path, *texts], capture_output=True, text=True, check=True)
    print(f"{'text':24} {'tokens':>9} {'longspan':>9} {'library':>9} {'ratio':>6}  ids")
    for line in ours.stdout.splitlines():
        name, _, tokens, rate, digest = line.split("\t")
        theirs, ids = library(tokenizer, name)
        same = len(ids) == int(tokens) and xxhash.xxh3_64_hexdigest(ids.tobytes()) == digest
        print(f"{os.path.basename(name):24} {tokens:>9} {rate:>9} {theirs:9.2f} "
              f"{float(rate) / theirs:6.1f}  {'equal' if same else 'DIFFER'}", flush=True)


main()
