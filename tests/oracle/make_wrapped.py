"""Makes the fixtures of the library's families in a memory around the model (config.json: "longspan_memory").

Usage: python3 make_wrapped.py OUTDIR [CASE...]        (torch, transformers 4.57.6, safetensors, numpy)

Every OUTDIR/CASE holds what a folder of make_families.py holds; the checkpoint has the tensors memory.*, too.

The numbers are those of the library's own model in float64 (see make_families.py), which reads a document segment by
segment from embeddings (`inputs_embeds`), as the programs of the papers' authors do it:
    tokens         state, segment, state in; the last rows that come out are the next state (Bulatov et al. 2022)
    associative    hooks around every layer of the library read before it and write after it (Rodkin et al. 2024)
    input          tokens before the segment are read again with it
Before they are written
    the same in float32 must agree to 1e-5 (`float32_error`),
    every number of longspan_memory that is changed by a small step, and every tensor of the memory that is changed by a
    tenth, must move some nll by more than 5e-4 (`least_change`).
"""
import copy
import os
import shutil
import sys
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file as save_numpy
from transformers import AutoConfig, AutoModelForCausalLM

from make_families import (VOCABULARY, Double, choose_rows, gpt2, load, of, randomise, tensors_of, write_json,
                           write_tensors)

CALM = 0.5  # of what layers add to their input: a chain of segments must not make much of small differences
DOCUMENTS = [1, 49, 50, 51, 350]


def around(kind, **keys):
    return dict(longspan_memory=dict(type=kind, **keys))


# name: (config keys, note, how it is stored)
CASES = {
    "gpt2-rmt": (
        gpt2(n_positions=57, activation_function="gelu_new", **around("tokens", segment=50, tokens=3)),
        "GPT-2 as a recurrent memory transformer: positions count from the state before the segment", {}),
    "gpt2-armt": (
        gpt2(n_positions=56, activation_function="gelu", **around("associative", segment=50, tokens=4, width=24)),
        "GPT-2 with an associative memory; the memory tokens have positions behind the segment, float16", dict(dtype="float16")),
    "llama-armt": (
        of("llama", num_key_value_heads=2, tie_word_embeddings=True,
           **around("associative", segment=50, tokens=3, width=32, nu=2)),
        "Llama with an associative memory; nu 2, bfloat16, two files", dict(dtype="bfloat16", shards=True)),
    "llama-rmt": (
        of("llama", num_key_value_heads=1, rms_norm_eps=1e-3, **around("tokens", segment=50, tokens=2)),
        "Llama as a recurrent memory transformer, a head of its own", {}),
    "mistral-input": (
        of("mistral", num_key_value_heads=2, sliding_window=40, **around("input", segment=50, rows=33)),
        "Mistral's windows, 33 tokens before each segment read again", {}),
}


# ---------------------------------------------------------------- tensors


def memory_tensors(config, model, rng):
    """The tensors of the memory, by name, in float64."""
    m, D = config["longspan_memory"], model.config.hidden_size
    if m["type"] == "input":
        return {}

    def draw(*shape, scale=1.0):
        return torch.from_numpy(rng.standard_normal(shape) * scale / shape[-1] ** 0.5)

    found = {"memory.tokens": draw(m["tokens"], D, scale=1.2)}
    for i in range(model.config.num_hidden_layers if m["type"] == "associative" else 0):
        found |= {f"memory.layers.{i}.query.weight": draw(m["width"], D, scale=1.2),
                  f"memory.layers.{i}.key.weight": draw(m["width"], D, scale=1.2),
                  f"memory.layers.{i}.value.weight": draw(D, D, scale=0.6),
                  f"memory.layers.{i}.beta.weight": draw(1, D), f"memory.layers.{i}.beta.bias": draw(1, scale=0.3)}
    return found


# ---------------------------------------------------------------- reading segment by segment


def dpfp(x, nu):
    """Deterministic parameter-free projection."""
    x = torch.cat([F.relu(x), F.relu(-x)], dim=-1)
    rolled = torch.cat([x.roll(shifts=j, dims=-1) for j in range(1, nu + 1)], dim=-1)
    return torch.cat([x] * nu, dim=-1) * rolled


class Memory:
    """The associative memory of one layer, as hooks around it."""

    def __init__(self, w, m):
        self.w, self.m, self.A, self.z = w, m, None, None

    def part(self, name, x):
        return F.linear(x, self.w[name + ".weight"], self.w.get(name + ".bias"))

    def before(self, _, args, kwargs):
        """Adds what is read to the rows that enter the layer."""
        x = args[0] if args else kwargs["hidden_states"]
        if self.A is not None:
            q = dpfp(self.part("query", x), self.m.get("nu", 3))
            x = x + torch.einsum("btk,kd->btd", q, self.A) / (torch.einsum("btk,k->bt", q, self.z) + 1e-5)[..., None]
        return ((x, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": x})

    def after(self, _, __, output):
        """Writes what the memory tokens have become."""
        y = (output[0] if isinstance(output, tuple) else output)[0, -self.m["tokens"]:]
        k, v, beta = dpfp(self.part("key", y), self.m.get("nu", 3)), self.part("value", y), self.part("beta", y).sigmoid()
        if self.A is None:
            self.A, self.z = torch.zeros(k.shape[1], v.shape[1], dtype=y.dtype), torch.zeros(k.shape[1], dtype=y.dtype)
            gamma = torch.ones(len(y), dtype=y.dtype)
        else:
            seen = k @ self.z + 1e-5
            v, gamma = v - k @ self.A / seen[:, None], (1 - seen / (k.square().sum(-1) + 1e-5)).clamp(0, 1)
        self.A = self.A + torch.einsum("mk,md->kd", k, v * beta)
        self.z = self.z + torch.einsum("m,mk->k", gamma, k)


def layers_of(model):
    return model.base_model.h if hasattr(model.base_model, "h") else model.base_model.layers


def run(model, config, tensors, ids):
    """(nll, hidden) of one document."""
    m = config["longspan_memory"]
    embed = model.get_input_embeddings()
    tensors = {name: t.to(embed.weight.dtype) for name, t in tensors.items()}
    state, hooks = tensors.get("memory.tokens"), []
    if m["type"] == "associative":
        for i, layer in enumerate(layers_of(model)):
            head = f"memory.layers.{i}."
            memory = Memory({n.removeprefix(head): t for n, t in tensors.items() if n.startswith(head)}, m)
            hooks += [layer.register_forward_pre_hook(memory.before, with_kwargs=True),
                      layer.register_forward_hook(memory.after)]
    hidden, by = [], []
    for start in range(0, len(ids), m["segment"]):
        lead = min(m["rows"], start) if m["type"] == "input" else 0
        x = embed(ids[start - lead:start + m["segment"]])
        n, first = len(x) - lead, {"input": lead, "tokens": m.get("tokens"), "associative": 0}[m["type"]]
        x = torch.cat({"input": [x], "tokens": [state, x, state], "associative": [x, state]}[m["type"]])
        rows = model.base_model(inputs_embeds=x[None], use_cache=False).last_hidden_state[0]
        by.append(rows[first - 1] if lead else hidden[-1][-1] if hidden else torch.full_like(rows[0], np.nan))
        by.extend(rows[first:first + n - 1])
        hidden.append(rows[first:first + n])
        state = rows[-m["tokens"]:] if m["type"] == "tokens" else state
    for hook in hooks:
        hook.remove()
    logits = model.lm_head(torch.stack(by)).double()
    nll = -torch.log_softmax(logits, -1).gather(1, ids[:, None])[:, 0]
    return nll.numpy(), torch.cat(hidden).double().numpy()


# ---------------------------------------------------------------- a fixture


def make_documents(folder, config, tensors, rng):
    """(expected numbers, the largest difference of float32) of random documents, which are written."""
    with Double():
        model = load(folder, config, torch.float64)
    single, expected, coarse = load(folder, config, torch.float32), {}, 0.0
    for k, n in enumerate(DOCUMENTS):
        ids = torch.from_numpy(rng.integers(0, VOCABULARY, n))
        ids.numpy().astype("<u2").tofile(os.path.join(folder, f"doc{k}.bin"))
        with Double():
            nll, hidden = run(model, config, tensors, ids)
        nll32, hidden32 = run(single, config, tensors, ids)
        assert np.isnan(nll).sum() == 1 and np.isnan(nll[0]) and not np.isnan(hidden).any()
        coarse = max(coarse, np.abs(hidden32 - hidden).max() / np.abs(hidden).max(),
                     np.nanmax(np.abs(nll32 - nll) / np.maximum(1, nll), initial=0))
        rows = choose_rows(n)
        expected.update({f"doc{k}.id": ids.numpy().astype(np.int32), f"doc{k}.nll": nll,
                         f"doc{k}.rows": rows.astype(np.int32), f"doc{k}.hidden": hidden[rows]})
    return expected, coarse, ids


def least_change(folder, config, tensors, ids):
    """The number of the memory that moves the nll least when it is changed, and by how much."""
    least = (np.inf, "")
    with Double():
        model = load(folder, config, torch.float64)
        want = run(model, config, tensors, ids)[0]
        for key, value in {**dict(nu=3), **config["longspan_memory"]}.items():
            if key in ("segment", "rows", "nu") and (key != "nu" or config["longspan_memory"]["type"] == "associative"):
                changed = copy.deepcopy(config)
                changed["longspan_memory"][key] = value + 1
                least = min(least, (float(np.nanmax(np.abs(run(model, changed, tensors, ids)[0] - want))), key))
        for name, t in tensors.items():
            noise = torch.from_numpy(np.random.default_rng(0).standard_normal(tuple(t.shape)))
            moved = run(model, config, {**tensors, name: t * (1 + 0.1 * noise)}, ids)[0]
            least = min(least, (float(np.nanmax(np.abs(moved - want))), name))
    return least


def make(name, outdir):
    config, note, how = CASES[name]
    folder = os.path.join(outdir, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    config = {**config, "torch_dtype": how.get("dtype", "float32")}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**copy.deepcopy(config)), dtype=torch.float64)
    randomise(model, rng, config)
    for part, p in model.named_parameters():
        if part.endswith(("c_proj.weight", "o_proj.weight", "down_proj.weight")):
            p *= CALM
    stored = tensors_of(model, how, rng)
    dtype = next(t.dtype for t in stored.values() if t.is_floating_point())
    tensors = {part: t.to(dtype) for part, t in memory_tensors(config, model, rng).items()}
    write_json(os.path.join(folder, "config.json"), config)
    write_tensors(folder, {**stored, **tensors}, how)

    expected, coarse, ids = make_documents(folder, config, tensors, rng)
    moved, by = least_change(folder, config, tensors, ids)
    save_numpy(expected, os.path.join(folder, "expected.safetensors"))
    total = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name:15}{total / 1000:4.0f} kB   float32 {coarse:.0e}   least change {moved:.0e} ({by})", flush=True)
    assert coarse < 1e-5 and moved > 5e-4, name
    write_json(os.path.join(folder, "case.json"),
               {"documents": len(DOCUMENTS), "note": note, "float32_error": float(f"{coarse:.1e}"),
                "least_change": float(f"{moved:.1e}")})
    for file in os.listdir(folder):
        os.chmod(os.path.join(folder, file), 0o644)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for chosen in sys.argv[2:] or CASES:
        make(chosen, sys.argv[1])
