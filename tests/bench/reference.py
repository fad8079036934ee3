#!/usr/bin/env python3
"""The same work by `transformers` on torch CPU and by longspan, on the same cores.

    reference.py LONGSPAN [--tokens N] [--threads T]

A random Transformer-XL (D 512, L 12, F 2048, memory 512, bytes) reads N tokens at batch 1,
in segments of 128 and of 512, by the reference with T threads and by `longspan run` with T
ranks of one thread. Prints `key = value`; the two run one after the other on one machine,
so quote their ratio. Needs torch 2.x and transformers 4.57.x.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time

import torch
from transformers import TransfoXLConfig, TransfoXLLMHeadModel

_type_as = torch.Tensor.type_as
torch.Tensor.type_as = lambda t, other=None, dtype=None: (
    t.to(dtype) if other is None else _type_as(t, other)
)

SIZES = dict(d_model=512, d_embed=512, n_head=8, d_head=64, d_inner=2048, n_layer=12)


def make_model(folder):
    """A random checkpoint as the library writes it, and the model itself."""
    torch.manual_seed(1)
    config = TransfoXLConfig(
        vocab_size=256, cutoffs=[], div_val=1, mem_len=512, clamp_len=-1,
        same_length=True, untie_r=True, tgt_len=128, **SIZES)
    config.tokenizer = "bytes"
    model = TransfoXLLMHeadModel(config).eval()
    model.save_pretrained(folder, safe_serialization=True)
    return model


def reference_rate(model, ids, segment):
    """Tokens a second of segment-by-segment evaluation with memory, first one not timed."""
    memory = None
    with torch.no_grad():
        memory = model(ids[:, :segment], mems=memory).mems
        begin = time.perf_counter()
        for start in range(segment, ids.shape[1], segment):
            memory = model(ids[:, start:start + segment], mems=memory).mems
        return (ids.shape[1] - segment) / (time.perf_counter() - begin)


def longspan_rate(program, folder, text, threads, segment):
    """Tokens a second of the compute phases, as FILE.run.json has them."""
    output = os.path.join(folder, "out.h5")
    command = [program, "run", "--quiet", "--overwrite", "--model", folder, "--output",
               output, "--threads", "1", "--segment", str(segment), text]
    if threads > 1:
        command = ["mpirun", "-n", str(threads)] + command
    subprocess.run(command, check=True)
    with open(os.path.join(folder, "out.run.json"), encoding="utf-8") as f:
        run = json.load(f)
    seconds = sum(phase["avg"] for phase in run["seconds"].values())
    return run["token_end"] / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("OPENBLAS_CORETYPE =", os.environ.get("OPENBLAS_CORETYPE", "(not set)"))
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(folder)
        data = bytes(97 + (i * 7 + i // 13) % 26 for i in range(arguments.tokens))
        text = os.path.join(folder, "text")
        with open(text, "wb") as f:
            f.write(data)
        ids = torch.tensor(list(data), dtype=torch.long)[None]
        for segment in (128, 512):
            theirs = reference_rate(model, ids, segment)
            ours = longspan_rate(arguments.program, folder, text, arguments.threads,
                                 segment)
            print(f"transformers_tokens_per_second[{segment}] = {theirs:.0f}")
            print(f"longspan_tokens_per_second[{segment}] = {ours:.0f}")
            print(f"ratio[{segment}] = {ours / theirs:.2f}", flush=True)


if __name__ == "__main__":
    main()
