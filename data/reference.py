#!/usr/bin/env python3
"""The models of model_type `longspan` as formulas, in PyTorch: one whole document at a time, nothing clever.

Usage: reference.py MODEL_DIR TEXT [--tokens N]        bits per byte of a text, in float64

In float64 this is the oracle of the tests (tests/oracle/make_branches.py), in float32 what train.py trains. README.md
beside it has the keys of config.json and the papers. Parameters bear the names of the checkpoint's tensors.

Letters: D hidden_size, H query heads, G key/value heads, E head_dim, F intermediate_size, T rows, B branches. Queries
are i, keys j, both rows of the frame: the prefix, then the document. Angles are always computed in float64.
"""
import argparse
import json
import math
import os
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

QUERIES_AT_ONCE = 1024  # rows of the score matrix that are held at a time; the result does not depend on it

REQUIRED = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
            "layers")
DEFAULTS = dict(tokenizer=None, num_key_value_heads=None, head_dim=None, norm="rms", norm_place="pre", norm_bias=True,
                norm_eps=1e-5, position="rotary", rotary_theta=10000.0, rotary_width=None, rotary_pairs="half",
                max_position=None, clamp_len=0, query_key_norm=False, attention_scale=None, score_cap=0.0, logit_cap=0.0,
                attention_bias=False, output_bias=False, feed_bias=False, activation="silu", gated=True, prefix=[],
                embedding_scale=1.0, tie_word_embeddings=True, head_bias=False)
IGNORED = ("architectures", "torch_dtype", "transformers_version", "dtype")
WORDS = dict(model_type=("longspan",), tokenizer=(None, "bytes"), norm=("layer", "rms"),
             norm_place=("pre", "post", "both"), position=("relative", "rotary", "learned", "alibi", "none"),
             rotary_pairs=("half", "adjacent"), activation=("relu", "gelu", "gelu_tanh", "silu"),
             merge=("softmax", "gate", "sum"), place=("text", "window"), normalize=("softmax", "none"))
BRANCHES = {  # type: keys that must be there, the others with their defaults
    "full": ((), dict(normalize="softmax")),
    "local": (("window",), dict(normalize="softmax")),
    "fixed": (("sinks",), dict(place="text")),
    "recurrence": (("segment", "memory"), dict(same_length=False, normalize="softmax")),
}


# ---------------------------------------------------------------- config.json


def fill(given, defaults, required, where):
    """The keys of an object with their defaults; unknown and missing ones are refused."""
    given = {key: value for key, value in given.items() if not key.startswith("_")}
    for key in given:
        if key not in defaults and key not in required:
            raise ValueError(f"{where}: unknown key {key!r}")
    for key in required:
        if given.get(key) is None:
            raise ValueError(f"{where}: {key!r} is missing")
    filled = {**defaults, **given}
    for key, words in WORDS.items():
        if filled.get(key, words[0]) not in words:
            raise ValueError(f"{where}: {key} is {filled[key]!r}, not one of {words}")
    return SimpleNamespace(**filled)


def read_layer(given, c):
    """One layer: its branches and how they are merged."""
    layer = fill(given, dict(merge="softmax"), ("branches",), "layer")
    kinds = [branch.get("type") for branch in layer.branches]
    if any(kind not in BRANCHES for kind in kinds):
        raise ValueError(f"branches of type {kinds}, not all of {list(BRANCHES)}")
    layer.branches = [fill(b, BRANCHES[kind][1], ("type", *BRANCHES[kind][0]), kind)
                      for b, kind in zip(layer.branches, kinds)]
    if not 1 <= len(kinds) <= 8:
        raise ValueError("a layer has 1 to 8 branches")
    if any(unnormalised(b) for b in layer.branches) and layer.merge == "softmax" and len(kinds) > 1:
        raise ValueError("normalize none cannot share a softmax")
    if any(getattr(b, "place", "text") == "window" for b in layer.branches):
        if c.position != "rotary" or layer.merge != "softmax" or sorted(kinds) != ["fixed", "local"]:
            raise ValueError("place window needs position rotary, merge softmax and one local branch beside it")
    return layer


def read_config(given):
    """The configuration with everything filled in, `layers` a list."""
    c = fill({k: v for k, v in given.items() if k not in IGNORED}, DEFAULTS, REQUIRED, "config.json")
    H, D = c.num_attention_heads, c.hidden_size
    c.num_key_value_heads = c.num_key_value_heads or H
    if H % c.num_key_value_heads or (c.head_dim is None and D % H):
        raise ValueError("the heads do not divide")
    E = c.head_dim = c.head_dim or D // H
    c.attention_scale = c.attention_scale or 1 / math.sqrt(E)
    c.rotary_width = c.rotary_width or E
    if c.position == "rotary" and (c.rotary_width % 2 or c.rotary_width > E):
        raise ValueError(f"rotary_width {c.rotary_width} is not even or above head_dim {E}")
    if c.position == "relative" and D % 2 or c.position == "learned" and not c.max_position:
        raise ValueError(f"position {c.position!r} needs an even hidden_size, or max_position")
    if c.tokenizer == "bytes" and c.vocab_size != 256:
        raise ValueError("bytes need vocab_size 256")
    layers = c.layers if isinstance(c.layers, list) else [c.layers] * c.num_hidden_layers
    c.layers = [read_layer(layer, c) for layer in layers]
    if len(c.layers) != c.num_hidden_layers:
        raise ValueError(f"{len(c.layers)} layers, not {c.num_hidden_layers}")
    return c


def unnormalised(branch):
    """Whether scores weigh the values as they are, without a softmax."""
    return getattr(branch, "normalize", "softmax") == "none"


# ---------------------------------------------------------------- what a query sees


def per_head(window):
    """A window for all heads, or one a query head, as (H or 1, 1, 1)."""
    return torch.tensor(window).reshape(-1, 1, 1)


SEES = {  # (H or 1, queries, keys): whether query i sees key j, given j <= i
    "full": lambda b, i, j: j >= 0,
    "local": lambda b, i, j: j > i - per_head(b.window),
    "fixed": lambda b, i, j: j < b.sinks,
    "recurrence": lambda b, i, j: j >= (i - b.memory + 1 if b.same_length else i // b.segment * b.segment - b.memory),
}


def sees(branch, i, j):
    """The mask of a branch for the queries i (1, n, 1) and the keys j (1, m)."""
    return (j <= i) & SEES[branch.type](branch, i, j)


# ---------------------------------------------------------------- positions


def rotate(x, position, c):
    """x (..., T, E) with the pairs of its first rotary_width components turned by position (..., T) times theta_i."""
    w = c.rotary_width
    angle = position[..., None].double() * c.rotary_theta ** (-torch.arange(0, w, 2).double() / w)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    half = c.rotary_pairs == "half"
    a, b = (x[..., :w // 2], x[..., w // 2:w]) if half else (x[..., 0:w:2], x[..., 1:w:2])
    a, b = a * cos - b * sin, b * cos + a * sin
    turned = torch.cat([a, b], -1) if half else torch.stack([a, b], -1).flatten(-2)
    return torch.cat([turned, x[..., w:]], -1)


def sinusoids(t, D):
    """r_t (T, D): sines, then cosines, of t times 10000^(-2m/D)."""
    angle = t[:, None].double() * 10000.0 ** (-torch.arange(0, D, 2).double() / D)
    return torch.cat([angle.sin(), angle.cos()], -1)


def slopes(H):
    """ALiBi's m_h: a geometric series; for H between powers of two, filled up with every second slope of the next."""
    n = 1 << (H.bit_length() - 1)
    series = [2.0 ** (-8.0 * (h + 1) / n) for h in range(n)]
    return series + ([] if n == H else slopes(2 * n)[0::2][:H - n])


# ---------------------------------------------------------------- modules


class Norm(nn.Module):
    """RMS norm; layer norm is the same after the mean is taken away."""

    def __init__(self, width, c, kind=None):
        super().__init__()
        self.kind, self.eps = kind or c.norm, c.norm_eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if self.kind == "layer" and c.norm_bias else None

    def forward(self, x):
        x = x - x.mean(-1, keepdim=True) if self.kind == "layer" else x
        x = x / (x.square().mean(-1, keepdim=True) + self.eps).sqrt() * self.weight
        return x if self.bias is None else x + self.bias


class Relative(nn.Module):
    """Transformer-XL's weights of the distance and of the two biases of a query."""

    def __init__(self, c):
        super().__init__()
        H, E = c.num_attention_heads, c.head_dim
        self.weight = nn.Parameter(torch.randn(H * E, c.hidden_size) / math.sqrt(c.hidden_size))
        self.u, self.v = nn.Parameter(torch.zeros(H, E)), nn.Parameter(torch.zeros(H, E))


class Attention(nn.Module):
    """All heads of a layer: scores, the branches' masks, the merge."""

    def __init__(self, c, layer):
        super().__init__()
        D, H, G, E = c.hidden_size, c.num_attention_heads, c.num_key_value_heads, c.head_dim
        self.c, self.layer = c, layer
        self.q = nn.Linear(D, H * E, c.attention_bias)
        self.k, self.v = nn.Linear(D, G * E, c.attention_bias), nn.Linear(D, G * E, c.attention_bias)
        self.o = nn.Linear(H * E, D, c.output_bias)
        if c.query_key_norm:
            self.q_norm, self.k_norm = Norm(E, c, "rms"), Norm(E, c, "rms")
        if c.position == "relative":
            self.relative = Relative(c)
        if layer.merge == "gate":
            self.gate = nn.Parameter(torch.zeros(len(layer.branches), H))

    def forward(self, x):
        """x (..., T, D) to the same shape."""
        T = x.shape[-2]
        q, k, v = self.heads(x)
        y = [self.rows(q, k, v, i, min(i + QUERIES_AT_ONCE, T)) for i in range(0, T, QUERIES_AT_ONCE)]
        return self.o(torch.cat(y, -2).transpose(-3, -2).flatten(-2))

    def heads(self, x):
        """Queries, keys and values (..., H, T, E); query head h has key/value head h // (H / G)."""
        E, share = self.c.head_dim, self.c.num_attention_heads // self.c.num_key_value_heads
        q, k, v = (net(x).unflatten(-1, (-1, E)).transpose(-3, -2) for net in (self.q, self.k, self.v))
        if self.c.query_key_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        return q, k.repeat_interleave(share, -3), v.repeat_interleave(share, -3)

    def rows(self, q, k, v, first, last):
        """What the queries first .. last - 1 gather, (..., H, last - first, E)."""
        i, j = torch.arange(first, last)[None, :, None], torch.arange(last)[None]
        # What no query sees is left out. No branch goes back to an earlier key: the first query sees all but later ones.
        seen = sum(sees(b, i[:, :1], j) for b in self.layer.branches).sum((0, 1)) > 0
        j = j[:, seen | (j[0] > first)]
        masks = [sees(b, i, j) for b in self.layer.branches]
        q, k, v = q[..., first:last, :], k[..., j[0], :], v[..., j[0], :]
        score = self.placed(q, k, i, j)
        if self.layer.merge == "softmax" and not unnormalised(self.layer.branches[0]):
            return softmax_over(score, sum(masks) > 0) @ v
        y = [score.masked_fill(~m, 0) @ v if unnormalised(b) else softmax_over(score, m) @ v
             for b, m in zip(self.layer.branches, masks)]
        share = self.gate.softmax(0)[:, :, None, None] if self.layer.merge == "gate" else [1] * len(y)
        return sum(g * part for g, part in zip(share, y))

    def placed(self, q, k, i, j):
        """Scores; with place "window", of keys that the window does not show as if they were just outside of it."""
        score = self.score(q, k, i, j)
        fixed = [b for b in self.layer.branches if getattr(b, "place", "text") == "window"]
        if fixed:
            local, = (b for b in self.layer.branches if b.type == "local")
            near = torch.minimum(i, per_head(local.window) - 1 + fixed[0].sinks)
            score = torch.where(sees(local, i, j), score, self.score(q, k, near, j))
        return score

    def score(self, q, k, i, j):
        """s(i, j) for queries at i (H or 1, n, 1) and keys at j (1, m), whatever a branch shows."""
        c, t = self.c, (i - j).clamp(min=0)
        if c.position == "rotary":
            q, k = rotate(q, i[..., 0], c), rotate(k, j[0], c)
        if c.position == "relative":
            t = t.clamp(max=c.clamp_len) if c.clamp_len else t
            R = sinusoids(torch.arange(int(t.max()) + 1), c.hidden_size).to(q.dtype) @ self.relative.weight.T
            far = (q + self.relative.v[:, None]) @ R.unflatten(-1, (-1, c.head_dim)).transpose(0, 1).transpose(-2, -1)
            s = (q + self.relative.u[:, None]) @ k.transpose(-2, -1) + far.gather(-1, t.expand(*far.shape[:-1], -1))
        else:
            s = q @ k.transpose(-2, -1)
        s = s * c.attention_scale
        if c.position == "alibi":
            s = s - torch.tensor(slopes(c.num_attention_heads), dtype=s.dtype)[:, None, None] * t
        return c.score_cap * (s / c.score_cap).tanh() if c.score_cap else s


def softmax_over(score, mask):
    """The softmax of every row over the keys of its mask."""
    return score.masked_fill(~mask, -math.inf).softmax(-1)


class Feed(nn.Module):
    """The feed-forward half of a layer."""

    ACT = dict(relu=F.relu, gelu=F.gelu, gelu_tanh=lambda x: F.gelu(x, approximate="tanh"), silu=F.silu)

    def __init__(self, c):
        super().__init__()
        self.act = self.ACT[c.activation]
        self.up = nn.Linear(c.hidden_size, c.intermediate_size, c.feed_bias)
        self.gate = nn.Linear(c.hidden_size, c.intermediate_size, c.feed_bias) if c.gated else None
        self.down = nn.Linear(c.intermediate_size, c.hidden_size, c.feed_bias)

    def forward(self, x):
        return self.down(self.act(self.gate(x)) * self.up(x) if self.gate else self.act(self.up(x)))


class Layer(nn.Module):
    """Attention and feed-forward with their norms: before, after, or on both sides."""

    def __init__(self, c, layer):
        super().__init__()
        self.place = c.norm_place
        self.attention, self.attention_norm = Attention(c, layer), Norm(c.hidden_size, c)
        self.feed, self.feed_norm = Feed(c), Norm(c.hidden_size, c)
        if self.place == "both":
            self.attention_post_norm, self.feed_post_norm = Norm(c.hidden_size, c), Norm(c.hidden_size, c)

    def forward(self, x):
        if self.place == "post":
            x = self.attention_norm(x + self.attention(x))
            return self.feed_norm(x + self.feed(x))
        after = (self.attention_post_norm, self.feed_post_norm) if self.place == "both" else (nn.Identity(),) * 2
        x = x + after[0](self.attention(self.attention_norm(x)))
        return x + after[1](self.feed(self.feed_norm(x)))


class Head(nn.Module):
    """hidden to logits; a tied head has no weight of its own."""

    def __init__(self, c):
        super().__init__()
        shape = (c.vocab_size, c.hidden_size)
        self.weight = None if c.tie_word_embeddings else nn.Parameter(torch.randn(shape) / math.sqrt(c.hidden_size))
        self.bias = nn.Parameter(torch.zeros(c.vocab_size)) if c.head_bias else None


class Model(nn.Module):
    """A longspan model; `config` is the object of config.json."""

    def __init__(self, config):
        super().__init__()
        self.config, self.c = config, read_config(config)
        c = self.c
        self.embed = nn.Embedding(c.vocab_size, c.hidden_size)
        self.position = nn.Embedding(c.max_position, c.hidden_size) if c.position == "learned" else None
        self.layers = nn.ModuleList(Layer(c, layer) for layer in c.layers)
        self.norm = None if c.norm_place == "post" else Norm(c.hidden_size, c)
        self.head = Head(c)

    def frame(self, ids):
        """ids (..., T) with those of the prefix in front."""
        return torch.cat([torch.tensor(self.c.prefix, dtype=ids.dtype).expand(*ids.shape[:-1], -1), ids], -1)

    def rows(self, ids):
        """(hidden, logits) of all rows of a frame."""
        c = self.c
        x = c.embedding_scale * self.embed(ids)
        if self.position is not None:
            x = x + self.position(torch.arange(ids.shape[-1]))  # a longer document than max_position is an error
        for layer in self.layers:
            x = layer(x)
        hidden = x if self.norm is None else self.norm(x)
        weight = self.embed.weight if self.head.weight is None else self.head.weight
        logits = F.linear(hidden, weight, self.head.bias)
        return hidden, c.logit_cap * (logits / c.logit_cap).tanh() if c.logit_cap else logits

    def forward(self, ids):
        """(hidden (..., T, D), logits (..., T, V)) of a document."""
        hidden, logits = self.rows(self.frame(ids))
        return hidden[..., len(self.c.prefix):, :], logits[..., len(self.c.prefix):, :]

    def nll(self, ids):
        """-log p of every token of a document (T), NaN where no row comes before it."""
        frame = self.frame(ids)
        log_p = self.rows(frame)[1].log_softmax(-1)[:-1]
        return F.pad(-log_p.gather(-1, frame[1:, None])[:, 0], (1, 0), value=math.nan)[len(self.c.prefix):]

    @staticmethod
    def load(folder, dtype=torch.float32):
        """The model of a checkpoint; the stored weights are converted to dtype."""
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            model = Model(json.load(file)).to(dtype)
        model.load_state_dict(load_file(os.path.join(folder, "model.safetensors")))
        return model.eval()

    def save(self, folder, dtype=torch.float32):
        """Write config.json and model.safetensors."""
        os.makedirs(folder, exist_ok=True)
        weights = {name: w.detach().to(dtype).contiguous() for name, w in self.state_dict().items()}
        save_file(weights, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            file.write(json.dumps(self.config, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description="Bits per byte of a text, from the formulas in float64.")
    parser.add_argument("model", metavar="MODEL_DIR")
    parser.add_argument("text", metavar="TEXT")
    parser.add_argument("--tokens", type=int, metavar="N", help="only the first N bytes")
    args = parser.parse_args()
    model = Model.load(args.model, torch.float64)
    if model.c.tokenizer != "bytes":
        parser.error(f"{args.model}: not a model of bytes")
    with open(args.text, "rb") as file:
        ids = torch.tensor(list(file.read(args.tokens)))
    with torch.no_grad():
        nll = model.nll(ids)
    nll = nll[~nll.isnan()]
    print(f"{nll.mean().item() / math.log(2):.9f} bits per byte over {len(nll)} bytes")


if __name__ == "__main__":
    main()
