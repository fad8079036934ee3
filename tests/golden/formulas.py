"""Models of model_type `longspan` with blocks that are chosen: one document, all rows at once, NumPy in float64.

The choices are given, not made: choices.py has the program's. Nothing here comes from data/reference.py, which makes
choices of its own and needs torch. Keys of config.json that no such fixture has are refused.

Letters: D hidden_size, H query heads, G key/value heads, E head_dim, T rows of the frame. Queries are i, keys j.
"""
import json
import math
import os

import numpy as np

BLOCK = 64
WORD = 1 << 64
NAMES = {"model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
         "layers"}
DEFAULTS = dict(num_key_value_heads=None, head_dim=None, norm="rms", norm_place="pre", norm_eps=1e-5, position="rotary",
                rotary_theta=10000.0, clamp_len=0, query_key_norm=False, attention_bias=False, activation="silu",
                prefix=[])
POSITIONS = ("rotary", "alibi", "relative", "none")
KEYS = {"local": {"window"}, "fixed": {"sinks"}, "global": {"tokens"}, "random": {"blocks", "reach", "beyond", "seed"},
        "chosen": {"blocks", "reach", "beyond"}, "compressed": {"pool", "reach"}, "selected": {"blocks"},
        "levels": {"window", "pool", "levels"}, "dynamic": {"window", "ramp"}}
POOLED = ("compressed", "levels")


def check(config):
    """Refuses what is not written down here."""
    unknown = set(config) - NAMES - set(DEFAULTS)
    for layer in config["layers"]:
        unknown |= set(layer) - {"branches", "merge"}
        for branch in layer["branches"]:
            unknown |= set(branch) - {"type"} - KEYS.get(branch["type"], set())
            unknown |= {branch["type"]} - set(KEYS)
    c = {**DEFAULTS, **config}
    words = c["position"] in POSITIONS and c["activation"] in ("silu", "gelu") and c["norm_place"] in ("pre", "both")
    if unknown or not words or c["norm"] not in ("rms", "layer"):
        raise ValueError(f"config.json: formulas.py lacks {sorted(unknown) or 'a word of it'}; write it down there")
    return c


def tensors(path):
    """The tensors of a safetensors file as float64."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + int.from_bytes(data[:8], "little")
    found = {}
    for name, t in json.loads(data[8:start]).items():
        if name != "__metadata__":
            first, end = (start + at for at in t["data_offsets"])
            stored = np.frombuffer(data[first:end], {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[t["dtype"]])
            if t["dtype"] == "BF16":  # the upper half of a float32
                stored = (stored.astype("<u4") << 16).view("<f4")
            found[name] = stored.reshape(t["shape"]).astype(np.float64)
    return found


def slopes(heads):
    """ALiBi's slopes: 2^(-8k/n) for n a power of two; the heads beyond it take every second one of 2n."""
    n = 1 << (heads.bit_length() - 1)
    return [2 ** (-8 * (h + 1) / n) if h < n else 2 ** (-4 * (2 * (h - n) + 1) / n) for h in range(heads)]


def angles(position, width, theta):
    """cos and sin (T, width / 2) of the turns of a position's pairs."""
    turn = np.asarray(position, np.float64)[:, None] * theta ** (-2 * np.arange(width // 2) / width)
    return np.cos(turn), np.sin(turn)


def normed(x, kind, eps, weight, bias=None):
    """RMS or layer norm over the last axis."""
    x = x - x.mean(-1, keepdims=True) if kind == "layer" else x
    x = x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight
    return x + bias if kind == "layer" else x


def softmax(score, seen):
    """Over the keys that are seen (T, keys); 0 for a query that sees none."""
    weight = np.where(seen, score, -np.inf)
    weight -= np.max(weight, 1, initial=-1e300, keepdims=True)
    np.exp(weight, out=weight)
    weight /= np.maximum(weight.sum(1, keepdims=True), 1e-300)
    return weight


def means(x, unit):
    """The means of each `unit` rows of x (T, ..)."""
    whole = len(x) // unit
    return x[:whole * unit].reshape(whole, unit, *x.shape[1:]).mean(1)


def splitmix(z):
    z = (z + 0x9E3779B97F4A7C15) % WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % WORD
    return z ^ (z >> 31)


def drawn(branch, layer, head, b):
    """The blocks that block b of a head draws, by Floyd's rule."""
    low, end, r = max(0, b - branch["reach"]), b - branch.get("beyond", 0), branch["blocks"]
    n = max(0, end - low)
    if n <= r:
        return list(range(low, end))
    key = branch.get("seed", 0)
    for number in (layer, head, b):
        key = splitmix(key) ^ number
    key, taken = splitmix(key), set()
    for t, m in enumerate(range(n - r, n)):
        x = splitmix((key + t * 0x9E3779B97F4A7C15) % WORD) * (m + 1) >> 64
        taken.add(m if x in taken else x)
    return [low + x for x in taken]


def of_blocks(lists, blocks):
    """Which of the blocks are in each list (.., k) of block numbers, -1 for none."""
    mask = np.zeros((*lists.shape[:-1], blocks + 1), bool)
    np.put_along_axis(mask, np.where(lists < 0, blocks, lists), True, -1)
    return mask[..., :blocks]


class Layer:
    """One layer of a model; w(name) is one of its tensors, or None."""

    def __init__(self, c, number, layer, w):
        self.c, self.number, self.branches, self.w = c, number, layer["branches"], w
        self.merge = layer.get("merge", "softmax")
        self.H = c["num_attention_heads"]
        self.G = c["num_key_value_heads"] or self.H
        self.E = c["head_dim"] or c["hidden_size"] // self.H

    def branch(self, kind):
        """The branch of a type, or None."""
        return next((b for b in self.branches if b["type"] == kind), None)

    def chooser(self):
        """(The branch that chooses, how many blocks beside the own one), or (None, 0)."""
        chosen, selected = self.branch("chosen"), self.branch("selected")
        if selected:
            return selected, selected["blocks"] - 1
        return chosen, chosen["blocks"] if chosen else 0

    # ------------------------------------------------------------ parts of a layer

    def norm(self, x, name, kind=None):
        """One of the layer's norms; those of heads are RMS norms whatever the others are."""
        return normed(x, kind or self.c["norm"], self.c["norm_eps"], self.w(f"{name}.weight"), self.w(f"{name}.bias"))

    def heads(self, x, name):
        """Queries, keys or values (T, heads, E)."""
        y = x @ self.w(f"attention.{name}.weight").T
        y = y + self.w(f"attention.{name}.bias") if self.c["attention_bias"] else y
        y = y.reshape(len(x), -1, self.E)
        normed = self.c["query_key_norm"] and name != "v"
        return self.norm(y, f"attention.{name}_norm", "rms") if normed else y

    def turned(self, x, position):
        """x (T, E), its pairs (m, m + E/2) turned by a position."""
        cos, sin = angles(position, self.E, self.c["rotary_theta"])
        a, b = x[:, :self.E // 2], x[:, self.E // 2:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], 1)

    def score(self, head, q, k, j):
        """s(i, j) for all queries of a head and keys that stand at j; of keys of the future anything."""
        i, D = np.arange(len(q)), self.c["hidden_size"]
        scale = 1 / math.sqrt(self.E)
        if self.c["position"] == "rotary":
            return scale * self.turned(q, i) @ self.turned(k, j).T
        if self.c["position"] == "none":
            return scale * q @ k.T
        t = np.maximum(i[:, None] - j, 0)
        if self.c["position"] == "alibi":
            return scale * q @ k.T - slopes(self.H)[head] * t
        t = np.minimum(t, self.c["clamp_len"]) if self.c["clamp_len"] else t
        angle = np.arange(t.max() + 1)[:, None] * 10000.0 ** (-np.arange(0, D, 2) / D)
        r = np.concatenate([np.sin(angle), np.cos(angle)], 1)
        R = r @ self.w("attention.relative.weight")[head * self.E:(head + 1) * self.E].T
        far = scale * (q + self.w("attention.relative.v")[head]) @ R.T
        return scale * (q + self.w("attention.relative.u")[head]) @ k.T + np.take_along_axis(far, t, 1)

    def feed(self, x):
        """The feed-forward half: down(act(gate x) * up x)."""
        y = x @ self.w("feed.gate.weight").T
        if self.c["activation"] == "silu":
            y = y / (1 + np.exp(-y))
        else:
            y = y * (1 + np.vectorize(math.erf)(y / math.sqrt(2))) / 2
        return (y * (x @ self.w("feed.up.weight").T)) @ self.w("feed.down.weight").T

    # ------------------------------------------------------------ what queries see

    def dynamic(self, branch, head, t):
        """What exp(score) is multiplied by at the distances t."""
        span = np.float32(branch["window"]) * np.clip(np.float32(self.w("attention.span")[head]), 0, 1)
        return np.clip((branch["ramp"] + float(span) - t) / branch["ramp"], 0, 1)

    def mask(self, branch, head, T, choice):
        """Whether query i sees key j (T, T) by a branch that shows rows."""
        i, j, kind = np.arange(T)[:, None], np.arange(T), branch["type"]
        if kind == "local":
            window = branch["window"]
            seen = j > i - (window[head] if isinstance(window, list) else window)
        elif kind == "fixed":
            seen = j < branch["sinks"] + 0 * i
        elif kind == "global":
            seen = (j < branch["tokens"]) | (i < branch["tokens"])
        elif kind == "dynamic":
            seen = self.dynamic(branch, head, i - j) > 0
        else:
            blocks = -(-T // BLOCK)
            if kind == "random":
                picked = np.zeros((blocks, blocks), bool)
                for b in range(blocks):
                    picked[b, drawn(branch, self.number, head, b)] = True
                picked = picked[np.arange(T) // BLOCK]
            else:
                picked = of_blocks(choice[:, head // (self.H // self.G)], blocks)
                picked[np.arange(T), np.arange(T) // BLOCK] = True
            seen = picked[:, j // BLOCK]
        return seen & (j <= i)

    def pooled(self, branch, T):
        """For each level (rows a mean, the first mean that row i sees, the one after the last)."""
        i, p = np.arange(T), branch["pool"]
        if branch["type"] == "compressed":
            end = (i + 1) // p
            return [(p, np.maximum(0, end - (branch.get("reach", 0) or T)), end)]
        first = np.maximum(0, (i - branch["window"] + 1) // p * p)
        levels, unit = [(1, first, i + 1)], 1
        for level in range(1, branch["levels"] + 1):
            unit, end = unit * p, first // p
            first = np.maximum(0, end - branch["window"])
            first = first if level == branch["levels"] else first // p * p
            levels.append((unit, first, end))
        return levels

    def pooled_keys(self, branch, k):
        """(keys, their positions, which of them each row sees) of a pooled branch; or values, of values."""
        levels = self.pooled(branch, len(k))
        rows = [means(k, unit) for unit, _, _ in levels]
        at = [(np.arange(len(r)) + 1) * unit - 1 for r, (unit, _, _) in zip(rows, levels)]
        seen = [(np.arange(len(r)) >= first[:, None]) & (np.arange(len(r)) < end[:, None])
                for r, (_, first, end) in zip(rows, levels)]
        return np.concatenate(rows), np.concatenate(at), np.concatenate(seen, 1)

    def gathered(self, part, head, q, k, v, choice):
        """What one softmax over some branches gives a head, (T, E)."""
        T, b = len(q), part[0]
        if b["type"] in POOLED:
            keys, at, seen = self.pooled_keys(b, k)
            return softmax(self.score(head, q, keys, at), seen) @ self.pooled_keys(b, v)[0]
        seen = np.logical_or.reduce([self.mask(b, head, T, choice) for b in part])
        score = self.score(head, q, k, np.arange(T))
        if b["type"] == "dynamic":
            t = np.arange(T)[:, None] - np.arange(T)
            score = score + np.log(np.maximum(self.dynamic(b, head, t), 1e-300))
        return softmax(score, seen) @ v

    def shares(self, x):
        """By what the result of each softmax is multiplied: (softmaxes, T or 1, H)."""
        if self.merge == "gate":
            gate = np.exp(self.w("attention.gate"))
            return (gate / gate.sum(0))[:, None]
        if self.merge == "input_gate":
            gate = 1 / (1 + np.exp(-x @ self.w("attention.gate_input.weight").T))
            return gate.reshape(len(x), -1, self.H).swapaxes(0, 1)
        return np.ones((len(self.branches), 1, self.H))

    def attention(self, x, choice):
        """A(x), (T, D)."""
        q, k, v = (self.heads(x, name) for name in "qkv")
        parts = [self.branches] if self.merge == "softmax" else [[b] for b in self.branches]
        share, y = self.shares(x), np.zeros_like(q)
        for head in range(self.H):
            g = head // (self.H // self.G)
            for part, s in zip(parts, share):
                y[:, head] += s[:, head, None] * self.gathered(part, head, q[:, head], k[:, g], v[:, g], choice)
        return y.reshape(len(x), -1) @ self.w("attention.o.weight").T

    def forward(self, x, choice):
        both = self.c["norm_place"] == "both"
        y = self.attention(self.norm(x, "attention_norm"), choice)
        x = x + (self.norm(y, "attention_post_norm") if both else y)
        y = self.feed(self.norm(x, "feed_norm"))
        return x + (self.norm(y, "feed_post_norm") if both else y)


class Model:
    """A checkpoint."""

    def __init__(self, folder):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        if isinstance(config["layers"], dict):
            config["layers"] = [config["layers"]] * config["num_hidden_layers"]
        self.c, self.w = check(config), tensors(os.path.join(folder, "model.safetensors"))
        self.layers = [Layer(self.c, n, layer, lambda name, n=n: self.w.get(f"layers.{n}.{name}"))
                       for n, layer in enumerate(self.c["layers"])]

    def run(self, ids, choices):
        """Rows of a document: (what enters each layer, hidden, nll, NaN where there is none).

        choices[N] (T, G, k): the blocks that each row of the frame sees in layer N beside its own, -1 for none.
        """
        prefix = len(self.c["prefix"])
        frame = np.concatenate([np.array(self.c["prefix"], int), ids])
        x, entering = self.w["embed.weight"][frame], []
        for layer in self.layers:
            entering.append(x)
            x = layer.forward(x, choices.get(layer.number))
        hidden = normed(x, self.c["norm"], self.c["norm_eps"], self.w["norm.weight"], self.w.get("norm.bias"))
        logits = hidden @ self.w["embed.weight"].T
        most = logits.max(1, keepdims=True)
        log_p = logits - most - np.log(np.exp(logits - most).sum(1, keepdims=True))
        nll = np.append(np.nan, -log_p[np.arange(len(frame) - 1), frame[1:]])
        return entering, hidden[prefix:], nll[prefix:]
