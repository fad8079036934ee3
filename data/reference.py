#!/usr/bin/env python3
"""The models of model_type `longspan` as formulas, in PyTorch: one whole document at a time, nothing clever.

Usage: reference.py MODEL_DIR TEXT [--tokens N]        bits per byte of a text, in float64

In float64 this is the oracle of the tests (tests/oracle/make_branches.py), in float32 what train.py trains. README.md
beside it has the keys of config.json and the papers. Parameters bear the names of the checkpoint's tensors.

Letters: D hidden_size, H query heads, G key/value heads, E head_dim, F intermediate_size, T rows, B branches. Queries
are i, keys j, both rows of the frame: the prefix, then the document. Block b is the rows 64 b .. 64 b + 63. Angles are
always computed in float64.
"""
import argparse
import functools
import json
import math
import os
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

BLOCK = 64
QUERIES_AT_ONCE = 1024  # rows of the score matrix that are held at a time; the result does not depend on it

REQUIRED = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
            "layers")
DEFAULTS = dict(tokenizer=None, causal=True, num_key_value_heads=None, head_dim=None, norm="rms", norm_place="pre",
                norm_bias=True, norm_eps=1e-5, position="rotary", rotary_theta=10000.0, rotary_width=None, rotary_pairs="half",
                max_position=None, clamp_len=0, query_key_norm=False, attention_scale=None, score_cap=0.0, logit_cap=0.0,
                attention_bias=False, output_bias=False, feed_bias=False, activation="silu", gated=True, prefix=[],
                embedding_scale=1.0, tie_word_embeddings=True, head_bias=False)
IGNORED = ("architectures", "torch_dtype", "transformers_version", "dtype")
WORDS = dict(model_type=("longspan",), tokenizer=(None, "bytes"), norm=("layer", "rms"),
             norm_place=("pre", "post", "both"), position=("relative", "rotary", "learned", "alibi", "none"),
             rotary_pairs=("half", "adjacent"), activation=("relu", "gelu", "gelu_tanh", "silu"),
             merge=("softmax", "gate", "sum", "input_gate"), place=("text", "window"), normalize=("softmax", "none"),
             projections=("shared", "own"))
BRANCHES = {  # type: keys that must be there, the others with their defaults
    "full": ((), dict(normalize="softmax")),
    "local": (("window",), dict(normalize="softmax", dilation=1)),
    "fixed": (("sinks",), dict(place="text")),
    "recurrence": (("segment", "memory"), dict(same_length=False, normalize="softmax")),
    "global": ((), dict(tokens=None, positions=None, projections="shared")),
    "random": (("blocks", "reach"), dict(beyond=0, seed=0)),
    "chosen": (("blocks", "reach"), dict(beyond=0)),
    "compressed": ((), dict(pool=64, reach=0)),
    "selected": (("blocks",), {}),
    "levels": (("window", "pool", "levels"), {}),
    "dynamic": (("window", "ramp"), {}),
}
CAUSAL = {"recurrence", "chosen", "compressed", "selected", "levels", "dynamic"}  # not in a two-sided model
ALONE = {"compressed", "selected", "levels", "dynamic"}  # never in one softmax with another branch
ONCE = ALONE | {"chosen", "global"}  # at most one of them in a layer
LIMITS = dict(blocks=(1, 64), reach=(0, math.inf), beyond=(0, math.inf), seed=(0, 2**32 - 1), pool=(2, 64),
              levels=(1, 8), ramp=(1, math.inf), tokens=(1, 4096), dilation=(1, 1))


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


def read_branch(given, number, c):
    """One branch; it knows its layer's number, how many query heads there are, and whether the model is causal."""
    if given.get("type") not in BRANCHES:
        raise ValueError(f"a branch of type {given.get('type')!r}, not one of {list(BRANCHES)}")
    required, defaults = BRANCHES[given["type"]]
    b = fill(given, defaults, ("type", *required), given["type"])
    b.layer, b.heads, b.causal = number, c.num_attention_heads, c.causal
    for key, (least, most) in LIMITS.items():
        if getattr(b, key, None) is not None and not least <= getattr(b, key) <= most:
            raise ValueError(f"{b.type}: {key} is {getattr(b, key)}, not {least} .. {most}")
    if b.type in CAUSAL and not c.causal:
        raise ValueError(f"{b.type} needs a causal model")
    if hasattr(b, "pool") and b.pool & (b.pool - 1):
        raise ValueError(f"pool is {b.pool}, not a power of two")
    if b.type == "levels" and (b.window % b.pool or b.pool**b.levels > 2**40):
        raise ValueError("levels: window must be a multiple of pool, pool^levels at most 2^40")
    if b.type in ("random", "chosen") and b.reach <= b.beyond:
        raise ValueError(f"{b.type}: reach {b.reach} leaves nothing beyond {b.beyond}")
    if b.type == "global":
        if (b.tokens is None) == (b.positions is None):
            raise ValueError("global needs one of tokens and positions")
        b.positions = list(range(b.tokens)) if b.positions is None else b.positions
        if not b.positions or b.positions != sorted({p for p in b.positions if 0 <= p < 4096}):
            raise ValueError("positions must rise, from 0 to below 4096")
    return b


def check_layer(layer, c):
    """What branches of a layer cannot have beside them."""
    kinds = [b.type for b in layer.branches]
    shared = layer.merge == "softmax"
    if not 1 <= len(kinds) <= 8:
        raise ValueError("a layer has 1 to 8 branches")
    if any(unnormalised(b) or b.type in ALONE for b in layer.branches) and shared and len(kinds) > 1:
        raise ValueError(f"normalize none, and {sorted(ALONE)}, cannot share a softmax")
    if any(kinds.count(kind) > 1 for kind in ONCE) or {"chosen", "selected"} <= set(kinds):
        raise ValueError(f"a layer has at most one of {sorted(ONCE)} each, and chosen or selected")
    if {"chosen", "random", "selected"} & set(kinds) and {"full", "recurrence"} & set(kinds):
        raise ValueError("beside full or recurrence nothing is left to pick")
    if "selected" in kinds and ("compressed" not in kinds or shared):
        raise ValueError("selected needs a compressed branch beside it, and a merge of several softmaxes")
    if any(getattr(b, "projections", "shared") == "own" for b in layer.branches) and (c.causal or not shared):
        raise ValueError("projections own needs a two-sided model and merge softmax")
    if any(getattr(b, "place", "text") == "window" for b in layer.branches):
        if c.position != "rotary" or not shared or sorted(kinds) != ["fixed", "local"] or not c.causal:
            raise ValueError("place window needs position rotary, merge softmax and one local branch beside it")
    far = {"random", "chosen", "global", "fixed"} & set(kinds)
    if c.position == "relative" and (not c.causal or ALONE & set(kinds) or far and not c.clamp_len):
        raise ValueError(f"relative positions go with causal models, not with {sorted(ALONE)}; {far} need clamp_len")


def read_layer(given, number, c):
    """One layer: its branches and how they are merged."""
    layer = fill(given, dict(merge="softmax"), ("branches",), "layer")
    layer.branches = [read_branch(b, number, c) for b in layer.branches]
    check_layer(layer, c)
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
    c.layers = [read_layer(layer, number, c) for number, layer in enumerate(layers)]
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


def is_global(b, row):
    """Whether rows are among the global ones."""
    return torch.isin(row, torch.tensor(b.positions, device=row.device))


def by_draw(b, i, j):
    """Whether the block of key j was drawn for the block of query i, (H, queries, keys)."""
    blocks = int(max(i.max(), j.max())) // BLOCK + 1
    return drawn(b.blocks, b.reach, b.beyond, b.seed, b.layer, b.heads, blocks, b.causal)[:, i[0] // BLOCK, j // BLOCK]


SEES = {  # (H or 1, queries, keys): whether query i sees key j, in a causal model given j <= i
    "full": lambda b, i, j: j >= 0,
    "local": lambda b, i, j: j > i - per_head(b.window) if b.causal else (i - j).abs() <= per_head(b.window),
    "fixed": lambda b, i, j: j < b.sinks,
    "recurrence": lambda b, i, j: j >= (i - b.memory + 1 if b.same_length else i // b.segment * b.segment - b.memory),
    "global": lambda b, i, j: is_global(b, i) | is_global(b, j),
    "random": by_draw,
}
NEAR = {"full", "local", "fixed", "recurrence", "dynamic"}  # a query sees what the one before it saw, or less, and itself


def sees(branch, i, j):
    """The mask of a branch for the queries i (1, n, 1) and the keys j (1, m)."""
    return SEES[branch.type](branch, i, j) & (j <= i if branch.causal else j >= 0 * i)


# ---------------------------------------------------------------- random blocks


def mix(z):
    """The finaliser of splitmix64 after one step of its counter."""
    z = z + 0x9E3779B97F4A7C15 & 2**64 - 1
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & 2**64 - 1
    z = (z ^ z >> 27) * 0x94D049BB133111EB & 2**64 - 1
    return z ^ z >> 31


def draw(key, n, r):
    """r distinct numbers below n, by Floyd's rule; number t comes from the counter key + t steps."""
    if n <= r:
        return range(n)
    taken = set()
    for t in range(r):
        m = n - r + t
        x = mix(key + t * 0x9E3779B97F4A7C15) * (m + 1) >> 64
        taken.add(m if x in taken else x)
    return sorted(taken)


@functools.lru_cache(maxsize=64)
def drawn(r, reach, beyond, seed, layer, heads, blocks, causal):
    """Which blocks (last index) each block of queries of each head has drawn, (heads, blocks, blocks)."""
    mask = torch.zeros(heads, blocks, blocks, dtype=torch.bool)
    for head in range(heads):
        for b in range(blocks):
            candidates = [c for c in range(max(0, b - reach), min(blocks, b + 1 if causal else b + reach + 1))
                          if abs(c - b) > beyond]
            key = mix(mix(mix(mix(seed) ^ layer) ^ head) ^ b)
            mask[head, b, [candidates[x] for x in draw(key, len(candidates), r)]] = True
    return mask


# ---------------------------------------------------------------- means of rows


def means(x, unit):
    """The means of each `unit` rows of x (..., T, E), one after the other; only whole ones."""
    whole = x.shape[-2] // unit
    return x[..., :whole * unit, :].unflatten(-2, (whole, unit)).mean(-2)


def shown(b, i):
    """What the queries i see of a pooled branch: of the means of `unit` rows those from first to before last."""
    if b.type == "compressed":
        last = (i + 1) // b.pool
        return [(b.pool, (last - b.reach).clamp(min=0) if b.reach else 0 * i, last)]
    first = ((i - b.window + 1) // b.pool * b.pool).clamp(min=0)  # of the rows themselves; below, of what it leaves
    shown, unit = [(1, first, i + 1)], 1
    for level in range(1, b.levels + 1):
        unit, last = unit * b.pool, first // b.pool
        first = (last - b.window).clamp(min=0)
        first = first if level == b.levels else first // b.pool * b.pool
        shown.append((unit, first, last))
    return shown


POOLED = {"compressed", "levels"}


# ---------------------------------------------------------------- choices


def best(score, candidates, k):
    """Which are the k best candidates along the last axis; equal ones by their number, NaN last."""
    most = torch.finfo(score.dtype).max
    rank = (-score).nan_to_num(most, most, -most).masked_fill(~candidates, math.inf)
    order = rank.sort(dim=-1, stable=True).indices[..., :k]
    return torch.zeros_like(candidates).scatter(-1, order, True) & candidates


def as_given(choice, blocks):
    """The mask (G, T, blocks) of a choice (T, G, k) of block numbers, -1 for none."""
    choice = torch.as_tensor(choice, dtype=torch.long).transpose(0, 1)
    mask = torch.zeros(*choice.shape[:2], blocks + 1, dtype=torch.bool)
    return mask.scatter(-1, choice.where(choice >= 0, blocks), True)[..., :blocks]


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
        self.c, self.layer, self.share = c, layer, H // G
        self.q = nn.Linear(D, H * E, c.attention_bias)
        self.k, self.v = nn.Linear(D, G * E, c.attention_bias), nn.Linear(D, G * E, c.attention_bias)
        self.o = nn.Linear(H * E, D, c.output_bias)
        if c.query_key_norm:
            self.q_norm, self.k_norm = Norm(E, c, "rms"), Norm(E, c, "rms")
        if c.position == "relative":
            self.relative = Relative(c)
        if layer.merge == "gate":
            self.gate = nn.Parameter(torch.zeros(len(layer.branches), H))
        if layer.merge == "input_gate":
            self.gate_input = nn.Linear(D, len(layer.branches) * H, False)
        if self.branch("dynamic"):
            self.span = nn.Parameter(torch.full((H,), 0.5))
        if getattr(self.branch("global"), "projections", "shared") == "own":
            self.global_q = nn.Linear(D, H * E, c.attention_bias)
            self.global_k, self.global_v = (nn.Linear(D, G * E, c.attention_bias) for _ in range(2))
        self.choice, self.scores = None, None

    def branch(self, kind):
        """The first branch of a type, if there is one."""
        return next((b for b in self.layer.branches if b.type == kind), None)

    def forward(self, x):
        """x (..., T, D) to the same shape."""
        T, self.scores = x.shape[-2], None
        q, k, v = self.heads(x, self.q, self.k, self.v)
        picks = self.pick_by_block(q, k) if self.branch("chosen") else None
        y = [self.rows(q, k, v, picks, i, min(i + QUERIES_AT_ONCE, T)) for i in range(0, T, QUERIES_AT_ONCE)]
        y = sum(g * torch.cat(part, -2) for g, part in zip(self.gates(x), zip(*y)))
        y = self.own_rows(x, y) if hasattr(self, "global_q") else y
        return self.o(y.transpose(-3, -2).flatten(-2))

    def heads(self, x, *nets):
        """Queries, keys and values (..., H, T, E); query head h has key/value head h // (H / G)."""
        q, k, v = (net(x).unflatten(-1, (-1, self.c.head_dim)).transpose(-3, -2) for net in nets)
        if self.c.query_key_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        return q, k.repeat_interleave(self.share, -3), v.repeat_interleave(self.share, -3)

    def gates(self, x):
        """The weight of every softmax: 1, of each head (H, 1, 1), or from the input (..., H, T, 1)."""
        count, H = len(self.layer.branches), self.c.num_attention_heads
        if self.layer.merge == "gate":
            return self.gate.softmax(0)[:, :, None, None]
        if self.layer.merge == "input_gate":
            return self.gate_input(x).sigmoid().unflatten(-1, (count, H)).movedim(-2, 0).transpose(-2, -1)[..., None]
        return [1] * count

    def rows(self, q, k, v, picks, first, last):
        """What each softmax gathers for the queries first .. last - 1, a list of (..., H, last - first, E)."""
        at = SimpleNamespace(q=q[..., first:last, :], k=k, v=v, i=torch.arange(first, last)[None, :, None])
        at.pooled = {b.type: self.pooled(b, at) for b in self.layer.branches if b.type in POOLED}
        at.picks = picks[..., first:last, :] if self.branch("chosen") else None
        if self.branch("selected"):
            at.picks = self.pick_by_token(*at.pooled["compressed"], at.i, -(-k.shape[-2] // BLOCK))
        near = [b for b in self.layer.branches if b.type not in POOLED]
        if near:
            at.j = self.columns(near, at.i, k.shape[-2])
            at.score, at.v_j = self.placed(at.q, k[..., at.j[0], :], at.i, at.j), v[..., at.j[0], :]
        parts = [self.layer.branches] if self.layer.merge == "softmax" else [[b] for b in self.layer.branches]
        return [self.gather(part, at) for part in parts]

    def columns(self, branches, i, T):
        """The keys that these branches may show to the queries i; more than are shown change nothing."""
        j = torch.arange(T if not self.c.causal else int(i.max()) + 1)[None]
        if not self.c.causal or not all(b.type in NEAR for b in branches):
            return j
        seen = sum(self.mask(b, i[:, :1], j) for b in branches).sum((0, 1)) > 0
        return j[:, seen | (j[0] > i.min())]

    def gather(self, branches, at):
        """The softmax over what branches show together, a key counted once, or one branch's plain weighting."""
        b = branches[0]
        if b.type in POOLED:
            return at.pooled[b.type][0] @ torch.cat([means(at.v, unit) for unit, _, _ in shown(b, at.i)], -2)
        mask = sum(self.mask(b, at.i, at.j, at.picks) for b in branches) > 0
        if unnormalised(b):
            return at.score.masked_fill(~mask, 0) @ at.v_j
        score = at.score + self.ramp(b, at.i, at.j).clamp(min=1e-30).log() if b.type == "dynamic" else at.score
        return softmax_over(score, mask) @ at.v_j

    def mask(self, b, i, j, picks=None):
        """Whether query i sees key j through a branch, (..., H or 1, queries, keys); picks: blocks beside its own."""
        if b.type == "dynamic":
            return (j <= i) & (self.ramp(b, i, j) > 0)
        if b.type in ("chosen", "selected"):
            picks = picks.repeat_interleave(self.share, -3)[..., j[0] // BLOCK]
            return (j <= i) & (picks | (i // BLOCK == j // BLOCK))
        return sees(b, i, j)

    def ramp(self, b, i, j):
        """What a dynamic branch multiplies exp(score) by: 1 within the head's span, falling to 0 over `ramp` keys."""
        span = (b.window * self.span.float().clamp(0, 1)).to(self.span.dtype)[:, None, None]
        return ((b.ramp + span - (i - j)) / b.ramp).clamp(0, 1)

    def pooled(self, b, at):
        """The softmax over means of keys that stand at their last row, and which are seen, (..., H, queries, means)."""
        keys, last, mask = [], [], []
        for unit, first, end in shown(b, at.i):
            keys.append(means(at.k, unit))
            c = torch.arange(keys[-1].shape[-2])[None]
            last.append((c + 1) * unit - 1)
            mask.append((first <= c) & (c < end))
        mask = torch.cat(mask, -1)
        return softmax_over(self.score(at.q, torch.cat(keys, -2), at.i, torch.cat(last, -1)), mask), mask

    def pick_by_block(self, q, k):
        """The blocks that `chosen` shows beside the own one, (..., G, T, blocks): by mean query before and mean key."""
        b, T = self.branch("chosen"), q.shape[-2]
        blocks = -(-T // BLOCK)
        q = means(q.unflatten(-3, (-1, self.share)).mean(-3), BLOCK)[..., :blocks - 1, :]
        k = means(k[..., ::self.share, :, :], BLOCK)
        score = F.pad(q @ k.transpose(-2, -1), (0, blocks - k.shape[-2], 1, 0))
        back = torch.arange(blocks)[:, None] - torch.arange(blocks)
        candidates = ((back > b.beyond) & (back <= b.reach)).expand(score.shape)
        score, candidates = (x.repeat_interleave(BLOCK, -2)[..., :T, :] for x in (score, candidates))
        return self.pick(score, candidates, b.blocks)

    def pick_by_token(self, p, mask, i, blocks):
        """The blocks that `selected` shows to the queries i beside the own one, (..., G, queries, blocks)."""
        b, unit = self.branch("selected"), BLOCK // self.branch("compressed").pool
        p = p.detach().unflatten(-3, (-1, self.share)).sum(-3)
        p, mask = (F.pad(x, (0, blocks * unit - x.shape[-1])).unflatten(-1, (blocks, unit)) for x in (p, mask))
        candidates = mask.any(-1) & (torch.arange(blocks) < i // BLOCK)
        return self.pick(p.sum(-1), candidates.expand(p.shape[:-1]), b.blocks - 1)

    @torch.no_grad()
    def pick(self, score, candidates, k):
        """The k best, or those that were given; in evaluation scores are kept, `Model.scores` says how."""
        first = 0 if self.scores is None else self.scores[0].shape[0]
        if not self.training and score.dim() == 3:
            new = [x.detach().transpose(0, 1) for x in (score, candidates)]
            self.scores = new if self.scores is None else [torch.cat(pair) for pair in zip(self.scores, new)]
        if self.choice is None:
            return best(score, candidates, k)
        return as_given(self.choice[first:first + score.shape[-2]], score.shape[-1])

    def own_rows(self, x, y):
        """y with the results of the global rows replaced: from projections of their own, over the whole frame."""
        rows = torch.tensor([p for p in self.branch("global").positions if p < x.shape[-2]], dtype=torch.long)
        q, k, v = self.heads(x, self.global_q, self.global_k, self.global_v)
        score = self.score(q[..., rows, :], k, rows[None, :, None], torch.arange(x.shape[-2])[None])
        return y.index_copy(-2, rows, score.softmax(-1) @ v)

    def placed(self, q, k, i, j):
        """Scores; with place "window", of keys that the window does not show as if they were just outside of it."""
        score = self.score(q, k, i, j)
        fixed = [b for b in self.layer.branches if getattr(b, "place", "text") == "window"]
        if fixed:
            local = self.branch("local")
            near = torch.minimum(i, per_head(local.window) - 1 + fixed[0].sinks)
            score = torch.where(sees(local, i, j), score, self.score(q, k, near, j))
        return score

    def score(self, q, k, i, j):
        """s(i, j) for queries at i (H or 1, n, 1) and keys at j (1, m), whatever a branch shows."""
        c, t = self.c, (i - j).clamp(min=0) if self.c.causal else (i - j).abs()
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
    """The softmax of every row over the keys of its mask; without any key all weights are 0."""
    nothing = ~mask.any(-1, keepdim=True)
    return score.masked_fill(~(mask | nothing), -math.inf).softmax(-1).masked_fill(nothing, 0)


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
    """A longspan model; `config` is the object of config.json.

    choices[layer], where it is set, is what a `chosen` or `selected` branch takes for its choice: integers (T, G, k),
    the blocks that row t of the frame and key/value head g see beside their own, -1 for none. Otherwise the model
    chooses. scores[layer] has, after one document in evaluation, what it chose by: scores and whether they are
    candidates, each (T, G, blocks).
    """

    def __init__(self, config):
        super().__init__()
        self.config, self.c = config, read_config(config)
        c = self.c
        self.embed = nn.Embedding(c.vocab_size, c.hidden_size)
        self.position = nn.Embedding(c.max_position, c.hidden_size) if c.position == "learned" else None
        self.layers = nn.ModuleList(Layer(c, layer) for layer in c.layers)
        self.norm = None if c.norm_place == "post" else Norm(c.hidden_size, c)
        self.head = Head(c)
        self.choices, self.scores = {}, {}

    def frame(self, ids):
        """ids (..., T) with those of the prefix in front."""
        return torch.cat([torch.tensor(self.c.prefix, dtype=ids.dtype).expand(*ids.shape[:-1], -1), ids], -1)

    def rows(self, ids):
        """(hidden, logits) of all rows of a frame."""
        c = self.c
        x = c.embedding_scale * self.embed(ids)
        if self.position is not None:
            x = x + self.position(torch.arange(ids.shape[-1]))  # a longer document than max_position is an error
        for number, layer in enumerate(self.layers):
            layer.attention.choice = self.choices.get(number)
            x = layer(x)
            self.scores[number] = layer.attention.scores
        hidden = x if self.norm is None else self.norm(x)
        weight = self.embed.weight if self.head.weight is None else self.head.weight
        logits = F.linear(hidden, weight, self.head.bias)
        return hidden, c.logit_cap * (logits / c.logit_cap).tanh() if c.logit_cap else logits

    def forward(self, ids):
        """(hidden (..., T, D), logits (..., T, V)) of a document."""
        hidden, logits = self.rows(self.frame(ids))
        return hidden[..., len(self.c.prefix):, :], logits[..., len(self.c.prefix):, :]

    def nll(self, ids):
        """-log p of every token of a document (T): by the row before it, NaN where there is none; two-sided by its own."""
        frame = self.frame(ids)
        log_p = self.rows(frame)[1].log_softmax(-1)
        if not self.c.causal:
            return -log_p.gather(-1, frame[:, None])[len(self.c.prefix):, 0]
        log_p = log_p[:-1]
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
        weights = {name: w.detach().to("cpu", dtype).contiguous() for name, w in self.state_dict().items()}
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
