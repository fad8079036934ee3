"""Memories around a model of model_type `longspan`, and after its last norm, a second time: NumPy in float64, row by row.

Layers and the last norm are those of data/reference.py, which branches_by_loops.py and the families check; everything
between them is written here again: frames, what predicts which token, what is read, written and handed on.
"""
import math

import numpy as np
import torch


def matrix(model, name):
    """A parameter as it is stored."""
    return dict(model.named_parameters())[name].detach().numpy()


def phi(x, nu):
    """DPFP: each of 2 d numbers times the one j places before it, in a circle."""
    y = np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)])
    return np.concatenate([y * np.concatenate([y[-j:], y[:-j]]) for j in range(1, nu + 1)])


class Associative:
    """The associative memory of one layer."""

    def __init__(self, model, number):
        self.part = {name: matrix(model, f"memory.layers.{number}.{name}")
                     for name in ("query.weight", "key.weight", "value.weight", "beta.weight", "beta.bias")}
        self.nu, self.A, self.z = model.config["memory"].get("nu", 3), None, None

    def read(self, x):
        """Rows with what each of them reads."""
        if self.A is None:
            return x
        out = []
        for row in x:
            q = phi(self.part["query.weight"] @ row, self.nu)
            out.append(row + q @ self.A / (self.z @ q + 1e-5))
        return np.array(out)

    def write(self, rows):
        """The memory after these rows, all of which see it as it was."""
        new_A, new_z = 0, 0
        for y in rows:
            k, v = phi(self.part["key.weight"] @ y, self.nu), self.part["value.weight"] @ y
            beta = 1 / (1 + math.exp(-float(self.part["beta.weight"][0] @ y + self.part["beta.bias"][0])))
            old, gamma = 0, 1.0
            if self.A is not None:
                old = k @ self.A / (self.z @ k + 1e-5)
                gamma = min(1.0, max(0.0, 1 - (self.z @ k + 1e-5) / (k @ k + 1e-5)))
            new_A, new_z = new_A + beta * np.outer(k, v - old), new_z + gamma * k
        self.A = new_A if self.A is None else self.A + new_A
        self.z = new_z if self.z is None else self.z + new_z


def through(model, x, memories):
    """The rows of a frame after the last norm."""
    if model.position is not None:
        x = x + np.stack([matrix(model, "position.weight")[row] for row in range(len(x))])
    for layer, memory in zip(model.layers, memories or [None] * len(model.layers)):
        x = memory.read(x) if memory else x
        x = layer(torch.from_numpy(x)).detach().numpy()
        if memory:
            memory.write(x[-model.config["memory"]["tokens"]:])
    return x if model.norm is None else model.norm(torch.from_numpy(x)).detach().numpy()


def all_frames(model, ids):
    """[(rows after the last norm, first own row)] of a document that is read in a memory."""
    m, prefix, embed = model.config["memory"], model.config.get("prefix", []), matrix(model, "embed.weight")
    scale = model.config.get("embedding_scale", 1.0)
    memories = [Associative(model, n) for n in range(len(model.layers))] if m["type"] == "associative" else None
    state = matrix(model, "memory.tokens") if m["type"] != "input" else None
    frames = []
    for start in range(0, len(ids), m["segment"]):
        before = list(ids[max(0, start - m["rows"]):start]) if m["type"] == "input" else []
        front = list(prefix) + before
        rows = [scale * embed[t] for t in front + list(ids[start:start + m["segment"]])]
        first = len(front)
        if m["type"] == "associative":
            rows = rows + list(state)
        if m["type"] == "tokens":
            rows, first = list(state) + rows + list(state), len(state)
        rows = through(model, np.array(rows), memories)
        frames.append((rows, first))
        state = rows[len(rows) - m["tokens"]:] if m["type"] == "tokens" else state
    return frames


def after_last(model, h):
    """(hidden, what the head reads) of one row."""
    m = model.config.get("last_memory")
    if not m:
        return h, h
    keys, values = matrix(model, "last_memory.keys"), matrix(model, "last_memory.values")
    score = [(m.get("scale") or 1 / math.sqrt(len(h))) * float(key @ h) for key in keys]
    if m.get("normalize", "softmax") == "softmax":
        weight = [math.exp(s - max(score)) for s in score]
        score = [w / sum(weight) for w in weight]
    y = sum(s * v for s, v in zip(score, values))
    merge = m.get("merge", "add")
    if merge == "add":
        return h + y, h + y
    if merge == "gate":
        s = 1 / (1 + np.exp(-matrix(model, "last_memory.gate")))
        return (h + s * (y - h),) * 2
    both = np.concatenate([h, y])
    return (matrix(model, "last_memory.project.weight") @ both,) * 2 if m.get("project", True) else (h, both)


def nll_of(model, row, token):
    """-log p of a token by a row after the last norm."""
    name = "embed.weight" if model.head.weight is None else "head.weight"
    logits = matrix(model, name) @ after_last(model, row)[1]
    logits = logits + matrix(model, "head.bias") if model.head.bias is not None else logits
    cap = model.config.get("logit_cap", 0)
    logits = cap * np.tanh(logits / cap) if cap else logits
    return math.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[token]


def run(model, ids):
    """(hidden, nll) of a document."""
    ids, hidden, nll = [int(t) for t in ids], [], []
    kind = model.config.get("memory", {}).get("type")
    if kind:
        frames, S = all_frames(model, ids), model.config["memory"]["segment"]
    else:
        frames, S = [(model.rows(model.embedded(model.frame(torch.tensor(ids)))).detach().numpy(),
                      len(model.config.get("prefix", [])))], len(ids)
    for t, token in enumerate(ids):
        rows, first = frames[t // S]
        at = first + t % S
        hidden.append(after_last(model, rows[at])[0])
        if not model.c.causal:
            by = rows[at]
        elif t % S or (kind in (None, "input") and at):
            by = rows[at - 1]
        else:
            by = None if t == 0 or kind == "input" else frames[t // S - 1][0][frames[t // S - 1][1] + S - 1]
        nll.append(math.nan if by is None else nll_of(model, by, token))
    return np.array(hidden), np.array(nll)
