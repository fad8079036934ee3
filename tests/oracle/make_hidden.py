"""Makes the expected numbers of `--write hidden:LAYER`: what enters each layer of a few checkpoints of make_branches.py.

Usage: python3 make_hidden.py FIXTURES          (torch, safetensors, numpy; data/reference.py)

FIXTURES/hidden/CASE.safetensors, for the checkpoint FIXTURES/branches/CASE and its documents k of DOCUMENTS:
    doc{k}.rows I32 [r]; doc{k}.hidden_{l} F64 [r, D] for l = 0 .. L: what enters layer l; of l = L the last state
in the sense of transformers' output_hidden_states. The numbers come from data/reference.py in float64.
"""
import os
import sys

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data"))
import reference  # noqa: E402

torch.set_num_threads(1)
torch.set_grad_enabled(False)

CASES = ("local-grows", "prefix", "recurrence")  # three layers; rows before a text, scaled embeddings; norms afterwards
DOCUMENTS = (0, 3, 4)


def states(model, ids):
    """What enters each layer, and the last state, of every token: L + 1 of (T, D)."""
    seen = []
    hooks = [layer.register_forward_pre_hook(lambda _, x: seen.append(x[0].clone())) for layer in model.layers]
    hidden, _ = model(ids)
    for hook in hooks:
        hook.remove()
    prefix = len(model.c.prefix)
    return [x[prefix:] for x in seen] + [hidden]


def main():
    fixtures = sys.argv[1]
    os.makedirs(os.path.join(fixtures, "hidden"), exist_ok=True)
    for case in CASES:
        folder = os.path.join(fixtures, "branches", case)
        model = reference.Model.load(folder, torch.float64)
        was = load_file(os.path.join(folder, "expected.safetensors"))
        out = {}
        for k in DOCUMENTS:
            rows = was[f"doc{k}.rows"]
            all_states = states(model, torch.tensor(was[f"doc{k}.id"].astype(np.int64)))
            last = all_states[-1].numpy()[rows]
            assert np.abs(last - was[f"doc{k}.hidden"]).max() < 1e-12
            out[f"doc{k}.rows"] = rows
            for layer, x in enumerate(all_states):
                out[f"doc{k}.hidden_{layer}"] = x.numpy()[rows]
        path = os.path.join(fixtures, "hidden", case + ".safetensors")
        save_file(out, path)
        print(path)


if __name__ == "__main__":
    main()
