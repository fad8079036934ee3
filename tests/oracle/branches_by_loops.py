"""The attention of model_type `longspan` a second time: NumPy in float64, a loop over heads, queries and keys.

Shares nothing with data/reference.py; make_branches.py compares the two on a layer's own inputs.
"""
import math

import numpy as np


def allowed(branch, head, i, j):
    """Whether query i of a head sees key j through this branch."""
    kind = branch["type"]
    if j > i or j < 0:
        return False
    if kind == "full":
        return True
    if kind == "local":
        w = branch["window"]
        return j > i - (w[head] if isinstance(w, list) else w)
    if kind == "fixed":
        return j < min(branch["sinks"], i + 1)
    if branch.get("same_length", False):
        return j >= max(0, i - branch["memory"] + 1)
    return j >= max(0, math.floor(i / branch["segment"]) * branch["segment"] - branch["memory"])


def alibi_slope(head, heads):
    """The slope of a head as the ALiBi paper has it."""
    n = 1
    while 2 * n <= heads:
        n *= 2
    if head < n:
        return 2 ** (-8 * (head + 1) / n)
    return 2 ** (-8 * (2 * (head - n) + 1) / (2 * n))


def rotated(x, angle_by, config, width):
    """A copy of one head's vector, turned by a position."""
    x = x.copy()
    for pair in range(width // 2):
        a, b = (pair, pair + width // 2) if config.get("rotary_pairs", "half") == "half" else (2 * pair, 2 * pair + 1)
        t = angle_by * config.get("rotary_theta", 10000.0) ** (-2 * pair / width)
        x[a], x[b] = x[a] * math.cos(t) - x[b] * math.sin(t), x[b] * math.cos(t) + x[a] * math.sin(t)
    return x


class Layer:
    """One layer's attention; w has the tensors of layers.N.attention without that prefix."""

    def __init__(self, config, number, w):
        self.config, self.w = config, w
        layers = config["layers"]
        layer = layers[number] if isinstance(layers, list) else layers
        self.branches, self.merge = layer["branches"], layer.get("merge", "softmax")
        self.heads = config["num_attention_heads"]
        self.groups = config.get("num_key_value_heads", self.heads)
        self.E = config.get("head_dim") or config["hidden_size"] // self.heads

    def project(self, name, x, number):
        """Head `number` of q, k or v at one row."""
        rows = slice(number * self.E, (number + 1) * self.E)
        y = self.w[f"{name}.weight"][rows] @ x
        y = y + self.w[f"{name}.bias"][rows] if self.config.get("attention_bias") else y
        if self.config.get("query_key_norm") and name != "v":
            y = y / math.sqrt(np.mean(y * y) + self.config.get("norm_eps", 1e-5)) * self.w[f"{name}_norm.weight"]
        return y

    def score(self, head, q, k, i, j):
        """s(i, j) of one head."""
        config, w, E = self.config, self.w, self.E
        scale = config.get("attention_scale") or 1 / math.sqrt(E)
        position = config.get("position", "rotary")
        if position == "rotary":
            width, at = config.get("rotary_width") or E, i
            for b in self.branches:
                local = next((x for x in self.branches if x["type"] == "local"), None)
                if b.get("place") == "window" and not allowed(local, head, i, j):
                    reach = local["window"][head] if isinstance(local["window"], list) else local["window"]
                    at = j + min(i - j, reach - 1 + b["sinks"] - j)
            s = scale * float(rotated(q, at, config, width) @ rotated(k, j, config, width))
        elif position == "relative":
            t, D = i - j, config["hidden_size"]
            t = min(t, config["clamp_len"]) if config.get("clamp_len", 0) > 0 else t
            angles = [t * 10000 ** (-2 * m / D) for m in range(D // 2)]
            r = np.array([math.sin(a) for a in angles] + [math.cos(a) for a in angles])
            R = w["relative.weight"][head * E:(head + 1) * E]
            s = scale * float((q + w["relative.u"][head]) @ k + (q + w["relative.v"][head]) @ (R @ r))
        else:
            s = scale * float(q @ k)
            s -= alibi_slope(head, self.heads) * (i - j) if position == "alibi" else 0
        cap = config.get("score_cap", 0)
        return cap * math.tanh(s / cap) if cap > 0 else s

    def branch(self, seen, score, v, plain):
        """The values that one softmax, or plain weighting, gathers."""
        weight = {j: score[j] if plain else math.exp(score[j] - max(score[j] for j in seen)) for j in seen}
        total = 1 if plain else sum(weight.values())
        return sum(weight[j] * v[j] for j in seen) / total

    def head_output(self, head, i, q, k, v):
        """y of one head at query i."""
        seen = [[j for j in range(i + 1) if allowed(b, head, i, j)] for b in self.branches]
        score = {j: self.score(head, q, k[j], i, j) for j in set().union(*seen)}
        plain = [b.get("normalize", "softmax") == "none" for b in self.branches]
        if self.merge == "softmax":
            return self.branch(sorted(score), score, v, plain[0])
        parts = [self.branch(s, score, v, p) for s, p in zip(seen, plain)]
        gate = np.ones(len(parts))
        if self.merge == "gate":
            gate = np.exp(self.w["gate"][:, head]) / np.exp(self.w["gate"][:, head]).sum()
        return sum(g * part for g, part in zip(gate, parts))

    def run(self, x, queries):
        """A(x) at the queries named; x (T, D) is what the layer's attention reads."""
        x = np.asarray(x, np.float64)
        share, y = self.heads // self.groups, np.zeros((len(queries), self.heads * self.E))
        for head in range(self.heads):
            k = [self.project("k", row, head // share) for row in x]
            v = [self.project("v", row, head // share) for row in x]
            for n, i in enumerate(queries):
                y[n, head * self.E:(head + 1) * self.E] = self.head_output(head, i, self.project("q", x[i], head), k, v)
        out = y @ self.w["o.weight"].T
        return out + self.w["o.bias"] if self.config.get("output_bias") else out
