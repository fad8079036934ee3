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
                embedding_scale=1.0, tie_word_embeddings=True, head_bias=False, memory=None, last_memory=None)
IGNORED = ("architectures", "torch_dtype", "transformers_version", "dtype")
WORDS = dict(model_type=("longspan",), tokenizer=(None, "bytes"), norm=("layer", "rms"),
             norm_place=("pre", "post", "both"), position=("relative", "rotary", "learned", "alibi", "none"),
             rotary_pairs=("half", "adjacent"), activation=("relu", "gelu", "gelu_tanh", "silu"),
             merge=("softmax", "gate", "sum", "input_gate", "concat", "memory_gate"), place=("text", "window"),
             normalize=("softmax", "none"), projections=("shared", "own"), keys=("plain", "rotated"),
             similarity=("scaled", "cosine"), compress=("mean", "convolution"), rule=("linear", "delta"),
             heads=("grouped", "tiled"), gate_of=(None, "memory", "others"), gate_empty=(None, "mix", "skip"),
             join=("add", "gate", "concat"))
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
    "learned": (("slots",), dict(normalize="softmax")),
    "store": (("memory", "segment", "neighbours"), dict(keys="plain", similarity="scaled")),
    "compressed_past": (("pool",), dict(rows=0, compress="mean")),
    "compressive": (("segment",), dict(rule="linear", heads="grouped")),
}
MEMORIES = {"learned", "store", "compressive"}  # what merge memory_gate weighs against the others
CAUSAL = {"recurrence", "chosen", "compressed", "selected", "levels", "dynamic", "compressed_past",
          *MEMORIES}  # not in a two-sided model
ALONE = {"compressed", "selected", "levels", "dynamic", "compressive"}  # never in one softmax with another branch
ONCE = ALONE | {"chosen", "global", "compressed_past", *MEMORIES}  # at most one of them in a layer
LIMITS = dict(blocks=(1, 64), reach=(0, math.inf), beyond=(0, math.inf), seed=(0, 2**32 - 1), pool=(2, 64),
              levels=(1, 8), ramp=(1, math.inf), tokens=(1, 4096), dilation=(1, 1), slots=(1, 65536),
              neighbours=(1, 256), rows=(0, math.inf), memory=(0, math.inf), segment=(1, math.inf))
WRAPPERS = {  # memories around the whole model
    "input": (("segment", "rows"), {}),
    "associative": (("segment", "tokens", "width"), dict(nu=3)),
    "tokens": (("segment", "tokens"), {}),
}
LAST = (("slots",), dict(normalize="softmax", join="add", project=True, scale=None))  # its key "merge" is `join` here


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


def check_limits(x, limits):
    """Whether the numbers of a branch, or of a memory, are within their limits."""
    for key, (least, most) in limits.items():
        if getattr(x, key, None) is not None and not least <= getattr(x, key) <= most:
            raise ValueError(f"{x.type}: {key} is {getattr(x, key)}, not {least} .. {most}")


def read_branch(given, number, c):
    """One branch; it knows its layer's number, how many query heads there are, and whether the model is causal."""
    if given.get("type") not in BRANCHES:
        raise ValueError(f"a branch of type {given.get('type')!r}, not one of {list(BRANCHES)}")
    required, defaults = BRANCHES[given["type"]]
    b = fill(given, defaults, ("type", *required), given["type"])
    b.layer = number
    b.query_heads, b.causal = c.num_attention_heads, c.causal
    check_limits(b, LIMITS)
    if b.type == "recurrence" and b.same_length and not b.memory:
        raise ValueError("recurrence: with same_length and memory 0 no key is left")
    if b.type in CAUSAL and not c.causal:
        raise ValueError(f"{b.type} needs a causal model")
    if b.type == "store" and (c.score_cap or b.keys == "rotated" and c.position != "rotary"):
        raise ValueError("a store has no score_cap, and rotated keys only with position rotary")
    if b.type == "compressed_past" and c.position == "relative":
        raise ValueError("compressed_past does not go with relative positions")
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
    check_memories(layer, kinds)
    if {"chosen", "random", "selected"} & set(kinds) and {"full", "recurrence"} & set(kinds):
        raise ValueError("beside full or recurrence nothing is left to pick")
    if "selected" in kinds and ("compressed" not in kinds or shared):
        raise ValueError("selected needs a compressed branch beside it, and a merge of several softmaxes")
    if any(getattr(b, "projections", "shared") == "own" for b in layer.branches) and (c.causal or not shared):
        raise ValueError("projections own needs a two-sided model and merge softmax")
    if any(getattr(b, "place", "text") == "window" for b in layer.branches):
        rows = sorted(kind for kind in kinds if not (layer.merge == "memory_gate" and kind in MEMORIES))
        if c.position != "rotary" or layer.merge not in ("softmax", "memory_gate") or rows != ["fixed", "local"] or not c.causal:
            raise ValueError("place window needs position rotary, one local branch beside it, and one softmax of both")
    far = {"random", "chosen", "global", "fixed"} & set(kinds)
    soft = (ALONE - MEMORIES) & set(kinds)
    if c.position == "relative" and (not c.causal or soft or far and not c.clamp_len):
        raise ValueError(f"relative positions go with causal models, not with {sorted(soft)}; {sorted(far)} need clamp_len")


def check_memories(layer, kinds):
    """The same of memories; a compressed past is told the recurrence that it follows."""
    if layer.merge == "memory_gate":
        others = [kind for kind in kinds if kind not in MEMORIES]
        if len(kinds) - len(others) != 1 or not others:
            raise ValueError(f"memory_gate needs one of {sorted(MEMORIES)}, and others")
        if len(others) > 1 and any(unnormalised(b) or b.type in ALONE for b in layer.branches if b.type in others):
            raise ValueError(f"normalize none, and {sorted(ALONE)}, cannot share the softmax of the others")
        layer.gate_of, layer.gate_empty = layer.gate_of or "memory", layer.gate_empty or "mix"
    elif layer.gate_of or layer.gate_empty:
        raise ValueError("gate_of and gate_empty need merge memory_gate")
    apart = {"random", "chosen", "compressed", "selected", "levels", "compressed_past", "compressive"}
    if "store" in kinds and apart & set(kinds):
        raise ValueError("a store does not go beside blocks, means or a compressive memory")
    if "store" in kinds and layer.merge == "softmax" and {"fixed", "global", "full"} & set(kinds):
        raise ValueError("a store does not share a softmax with fixed, global or full, which show the same keys")
    if "compressed_past" in kinds:
        before = [b for b in layer.branches if b.type == "recurrence"]
        past = layer.branches[kinds.index("compressed_past")]
        if len(before) != 1 or before[0].same_length or before[0].segment % past.pool or before[0].memory % past.pool:
            raise ValueError("compressed_past needs one recurrence, same_length false, of multiples of pool")
        past.segment, past.memory = before[0].segment, before[0].memory


def read_layer(given, number, c):
    """One layer: its branches and how they are merged."""
    layer = fill(given, dict(merge="softmax", gate_of=None, gate_empty=None), ("branches",), "layer")
    layer.branches = [read_branch(b, number, c) for b in layer.branches]
    check_layer(layer, c)
    return layer


def read_wrapper(given, c):
    """The memory around the model."""
    if given.get("type") not in WRAPPERS:
        raise ValueError(f"a memory of type {given.get('type')!r}, not one of {list(WRAPPERS)}")
    required, defaults = WRAPPERS[given["type"]]
    m = fill(given, defaults, ("type", *required), "memory")
    check_limits(m, dict(segment=(1, math.inf), rows=(0, math.inf), tokens=(1, 65536), width=(1, 65536), nu=(1, 64)))
    if m.type != "input" and (not c.causal or c.prefix):
        raise ValueError(f"a memory of type {m.type!r} needs a causal model without a prefix")
    if any(b.type in ("store", "compressive") for layer in c.layers for b in layer.branches):
        raise ValueError("store and compressive do not go with a memory around the model")
    return m


def read_last(given, c):
    """The learned memory after the last norm."""
    required, defaults = LAST
    m = fill({"join" if key == "merge" else key: value for key, value in given.items()}, defaults, required, "last_memory")
    m.type, m.scale = "last_memory", m.scale or 1 / math.sqrt(c.hidden_size)
    check_limits(m, dict(slots=LIMITS["slots"]))
    if given.get("project") is not None and m.join != "concat":
        raise ValueError("last_memory: project goes only with merge concat")
    m.doubles = m.join == "concat" and not m.project  # the head reads rows of 2 D
    if m.doubles and c.tie_word_embeddings:
        raise ValueError("last_memory: concat without project needs a head of its own")
    return m


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
    c.memory = c.memory and read_wrapper(c.memory, c)
    c.last_memory = c.last_memory and read_last(c.last_memory, c)
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
    return drawn(b.blocks, b.reach, b.beyond, b.seed, b.layer, b.query_heads, blocks, b.causal)[:, i[0] // BLOCK, j // BLOCK]


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
    if b.type == "compressed_past":
        last = (i // b.segment * b.segment - b.memory).clamp(min=0) // b.pool
        return [(b.pool, (last - b.rows).clamp(min=0) if b.rows else 0 * i, last)]
    first = ((i - b.window + 1) // b.pool * b.pool).clamp(min=0)  # of the rows themselves; below, of what it leaves
    shown, unit = [(1, first, i + 1)], 1
    for level in range(1, b.levels + 1):
        unit, last = unit * b.pool, first // b.pool
        first = (last - b.window).clamp(min=0)
        first = first if level == b.levels else first // b.pool * b.pool
        shown.append((unit, first, last))
    return shown


POOLED = {"compressed", "levels"}
FIRST = {  # the first key that a run of keys around query i shows, (H or 1, queries, 1)
    "local": lambda b, i: i - per_head(b.window) + 1,
    "recurrence": lambda b, i: i - b.memory + 1 if b.same_length else i // b.segment * b.segment - b.memory,
}


def offered(b, i, j):
    """Whether the keys j are among those of which a store takes the best for the queries i."""
    end = i // b.segment * b.segment
    return (j < end) & (j >= end - b.memory if b.memory else j >= 0)


# ---------------------------------------------------------------- choices


def best(score, candidates, k):
    """Which are the k best candidates along the last axis; equal ones by their number, NaN last."""
    most = torch.finfo(score.dtype).max
    rank = (-score).nan_to_num(most, most, -most).masked_fill(~candidates, math.inf)
    order = rank.sort(dim=-1, stable=True).indices[..., :k]
    return torch.zeros_like(candidates).scatter(-1, order, True) & candidates


def ranked(score, candidates, k):
    """[numbers, scores] (T, H, k) of the k best candidates of scores (H, T, n), -1 and -inf where there are fewer."""
    score = F.pad(score.masked_fill(~candidates, -math.inf), (0, k), value=-math.inf)
    value, order = score.sort(dim=-1, descending=True, stable=True)
    value, order = (x[..., :k].transpose(0, 1) for x in (value, order))
    return [order.masked_fill(value == -math.inf, -1), value]


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
        self.o = nn.Linear(H * E * (len(layer.branches) if layer.merge == "concat" else 1), D, c.output_bias)
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
        self.memories(D, H, G, E)
        self.choice, self.scores, self.found = None, None, None

    def memories(self, D, H, G, E):
        """The parameters of memories and of their merge."""
        learned, store, past = self.branch("learned"), self.branch("store"), self.branch("compressed_past")
        if learned:
            self.memory_keys, self.memory_values = (nn.Parameter(torch.randn(G, learned.slots, E)) for _ in range(2))
        if store and store.similarity == "cosine":
            self.store_scale = nn.Parameter(torch.full((H,), math.sqrt(E)))
        if past and past.compress == "convolution":
            self.compress = nn.Conv1d(D, D, past.pool, past.pool)
        if self.layer.merge == "memory_gate":
            self.memory_gate = nn.Parameter(torch.zeros(H))

    def branch(self, kind):
        """The first branch of a type, if there is one."""
        return next((b for b in self.layer.branches if b.type == kind), None)

    def forward(self, x):
        """x (..., T, D) to the same shape."""
        T, self.scores, self.found = x.shape[-2], None, None
        q, k, v = self.heads(x, self.q, self.k, self.v)
        whole = SimpleNamespace(q=q, k=k, v=v)
        whole.picks = self.pick_by_block(q, k) if self.branch("chosen") else None
        whole.units = self.units(x) if self.branch("compressed_past") else None
        whole.read = self.read(q, k, v) if self.branch("compressive") else None
        y = [self.rows(whole, i, min(i + QUERIES_AT_ONCE, T)) for i in range(0, T, QUERIES_AT_ONCE)]
        y = [torch.cat(part, -2) for part in zip(*y)]
        y = torch.cat(y, -3) if self.layer.merge == "concat" else sum(g * part for g, part in zip(self.gates(x), y))
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
        if self.layer.merge == "memory_gate":
            g = self.memory_gate.sigmoid()[:, None, None]
            g = g if self.layer.gate_of == "memory" else 1 - g
            memory = next(b for b in self.layer.branches if b.type in MEMORIES)
            empty = torch.arange(x.shape[-2])[:, None] < (0 if memory.type == "learned" else memory.segment)
            return (1 - g).where(~empty | (self.layer.gate_empty == "mix"), 1), g
        return [1] * count

    def parts(self):
        """The branches that share a softmax, one list for each softmax."""
        branches = self.layer.branches
        if self.layer.merge == "memory_gate":
            return [[b for b in branches if (b.type in MEMORIES) == memory] for memory in (False, True)]
        return [branches] if self.layer.merge == "softmax" else [[b] for b in branches]

    def rows(self, whole, first, last):
        """What each softmax gathers for the queries first .. last - 1, a list of (..., H, last - first, E)."""
        at = SimpleNamespace(**vars(whole))
        at.q, at.i = whole.q[..., first:last, :], torch.arange(first, last)[None, :, None]
        at.pooled = {b.type: self.pooled(b, at) for b in self.layer.branches if b.type in POOLED}
        at.picks = whole.picks[..., first:last, :] if self.branch("chosen") else None
        at.read = whole.read[..., first:last, :] if self.branch("compressive") else None
        if self.branch("selected"):
            at.picks = self.pick_by_token(*at.pooled["compressed"], at.i, -(-at.k.shape[-2] // BLOCK))
        near = [b for b in self.layer.branches if b.type not in POOLED and b.type not in OTHERS]
        if near:
            at.j = self.columns(near, at.i, at.k.shape[-2])
            at.score, at.v_j = self.placed(at.q, at.k[..., at.j[0], :], at.i, at.j), at.v[..., at.j[0], :]
        return [self.gather(part, at) for part in self.parts()]

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
        if b.type == "compressive":
            return at.read
        sources = [OTHERS[b.type](self, branches, at) for b in branches if b.type in OTHERS]
        near = [b for b in branches if b.type not in OTHERS]
        if near:
            mask = sum(self.mask(b, at.i, at.j, at.picks) for b in near) > 0
            score = at.score + self.ramp(b, at.i, at.j).clamp(min=1e-30).log() if b.type == "dynamic" else at.score
            sources = [(score, mask, at.v_j)] + sources
        score, v = torch.cat([s for s, _, _ in sources], -1), torch.cat([v for _, _, v in sources], -2)
        mask = torch.cat([mask.expand(s.shape) for s, mask, _ in sources], -1)
        return (score.masked_fill(~mask, 0) if unnormalised(b) else softmax_over(score, mask)) @ v

    def slots(self, _, at):
        """Scores, mask and values of learned slots, for the queries at.i; they stand nowhere."""
        k, v = (x.repeat_interleave(self.share, 0).expand(*at.q.shape[:-2], -1, -1)
                for x in (self.memory_keys, self.memory_values))
        q = at.q + self.relative.u[:, None] if self.c.position == "relative" else at.q
        score = self.capped(q @ k.transpose(-2, -1) * self.c.attention_scale)
        return score, torch.ones_like(score, dtype=torch.bool), v

    def units(self, x):
        """Keys and values of the rows that a compressed past makes of each `pool` rows of x, (..., H, units, E)."""
        b = self.branch("compressed_past")
        rows = means(x, b.pool)
        if b.compress == "convolution":
            rows = x[..., :rows.shape[-2] * b.pool, :].unflatten(-2, (-1, b.pool))
            rows = torch.einsum("...uij,oji->...uo", rows, self.compress.weight) + self.compress.bias
        return self.heads(rows, self.q, self.k, self.v)[1:]

    def past(self, _, at):
        """Scores, mask and values of the compressed past; a row of it stands at the last of those it is made of."""
        (k, v), ((unit, first, end),) = at.units, shown(self.branch("compressed_past"), at.i)
        c = torch.arange(k.shape[-2])[None]
        return self.score(at.q, k, at.i, (c + 1) * unit - 1), (first <= c) & (c < end), v

    def stored(self, branches, at):
        """Scores, mask and values of a store: of each query the best keys before its segment, and before its run."""
        b, i = self.branch("store"), at.i
        j = torch.arange(int(i.max()) // b.segment * b.segment)[None]
        candidates = offered(b, i, j)
        for other in branches:
            candidates = candidates & (j < FIRST[other.type](other, i)) if other.type in FIRST else candidates
        q, k, v = at.q, at.k[..., j[0], :], at.v[..., j[0], :]
        if b.keys == "rotated":
            q, k = rotate(q, i[..., 0], self.c), rotate(k, j[0], self.c)
        return self.similar(b, q, k), self.nearest(b, q, k, candidates), v

    def similar(self, b, q, k):
        """How well keys match queries."""
        if b.similarity == "cosine":
            q, k = (x / (x.square().sum(-1, keepdim=True) + 1e-12).sqrt() for x in (q, k))
            return self.store_scale.abs().to(q.dtype)[:, None, None] * (q @ k.transpose(-2, -1))
        return q @ k.transpose(-2, -1) * self.c.attention_scale

    @torch.no_grad()
    def nearest(self, b, q, k, candidates):
        """Which keys match best, by scores in double, or those that were given; in evaluation `Model.found` says which."""
        score = self.similar(b, q.double(), k.double())
        candidates = candidates.expand(score.shape)
        first = 0 if self.found is None else self.found[0].shape[0]
        if not self.training and score.dim() == 3:
            new = ranked(score, candidates, b.neighbours + 1)
            self.found = new if self.found is None else [torch.cat(pair) for pair in zip(self.found, new)]
        if self.choice is None:
            return best(score, candidates, b.neighbours)
        return as_given(self.choice[first:first + score.shape[-2]], score.shape[-1])

    def read(self, q, k, v):
        """What all queries read from a compressive memory of the segments before theirs, (..., H, T, E).

        The memory is summed in double: after many segments a number may not be lost that a float holds."""
        b, E = self.branch("compressive"), self.c.head_dim
        q, k, v = sigma(q), sigma(k[..., ::self.share, :, :]), v[..., ::self.share, :, :]
        G, H = k.shape[-3], q.shape[-3]
        group = torch.arange(H) % G if b.heads == "tiled" else torch.arange(H) // self.share
        M, z = (torch.zeros(*k.shape[:-2], *shape, dtype=torch.double) for shape in ((E, E), (E, 1)))
        y = []
        for q, k, v in zip(*(x.split(b.segment, -2) for x in (q, k, v))):
            now = M.to(q.dtype), z.to(q.dtype)
            y.append(recalled(q, *(x[..., group, :, :] for x in now)))
            v = v - recalled(k, *now) if b.rule == "delta" else v
            M, z = M + (k.transpose(-2, -1) @ v).double(), z + k.sum(-2)[..., None].double()
        return torch.cat(y, -2)

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
        return self.capped(s)

    def capped(self, s):
        """Scores after their cap."""
        cap = self.c.score_cap
        return cap * (s / cap).tanh() if cap else s


OTHERS = {"learned": Attention.slots, "store": Attention.stored, "compressed_past": Attention.past,
          "compressive": None}  # branches whose keys are not rows of the frame, or are not found by their position


def sigma(x):
    """What a compressive memory makes of queries and keys: all of it above 0."""
    return F.elu(x) + 1


def recalled(q, M, z):
    """What the memory M with the normaliser z (..., E, 1) gives for q (..., n, E); 0 where nothing was written yet."""
    return q @ M / (q @ z).clamp(min=1e-10)


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


def phi(x, nu):
    """DPFP: 2 nu numbers for each of x, none below 0."""
    y = torch.cat([x.relu(), (-x).relu()], -1)
    return torch.cat([y * y.roll(j, -1) for j in range(1, nu + 1)], -1)


class Associative(nn.Module):
    """A layer's associative memory: state (A, z), written from the memory tokens of a segment, read by the next ones."""

    def __init__(self, c):
        super().__init__()
        D, self.nu = c.hidden_size, c.memory.nu
        self.query, self.key = (nn.Linear(D, c.memory.width, False) for _ in range(2))
        self.value, self.beta = nn.Linear(D, D, False), nn.Linear(D, 1)

    def read(self, x, state):
        """What rows x get from the memory."""
        q, (A, z) = phi(self.query(x), self.nu), (part.to(x.dtype) for part in state)
        return q @ A / (q @ z + 1e-5)

    def write(self, y, state):
        """The state after y, the memory tokens' rows behind the layer; state None: of the first segment. In double."""
        k, v, beta = phi(self.key(y), self.nu), self.value(y), self.beta(y).sigmoid()
        if state is None:
            return (k.transpose(-2, -1) @ (beta * v)).double(), k.sum(-2)[..., None].double()
        A, z = (part.to(y.dtype) for part in state)
        known = k @ z + 1e-5
        fresh = (1 - known / (k.square().sum(-1, keepdim=True) + 1e-5)).clamp(0, 1)
        change = k.transpose(-2, -1) @ (beta * (v - k @ A / known)), (fresh * k).sum(-2)[..., None]
        return tuple(old + new.double() for old, new in zip(state, change))


class Wrapper(nn.Module):
    """The parameters of a memory around the model."""

    def __init__(self, c):
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(c.memory.tokens, c.hidden_size) / math.sqrt(c.hidden_size))
        if c.memory.type == "associative":
            self.layers = nn.ModuleList(Associative(c) for _ in c.layers)


class LastMemory(nn.Module):
    """Learned slots after the last norm."""

    def __init__(self, c):
        super().__init__()
        D, self.m = c.hidden_size, c.last_memory
        self.keys, self.values = (nn.Parameter(torch.randn(self.m.slots, D) / math.sqrt(D)) for _ in range(2))
        if self.m.join == "gate":
            self.gate = nn.Parameter(torch.zeros(D))
        if self.m.join == "concat" and self.m.project:
            self.project = nn.Linear(2 * D, D, False)

    def forward(self, h):
        """(hidden rows, what the head reads)."""
        score = self.m.scale * (h @ self.keys.T)
        y = (score if unnormalised(self.m) else score.softmax(-1)) @ self.values
        if self.m.join == "concat":
            both = torch.cat([h, y], -1)
            return (self.project(both),) * 2 if self.m.project else (h, both)
        s = self.gate.sigmoid() if self.m.join == "gate" else None
        return (h + y if s is None else (1 - s) * h + s * y,) * 2


class Head(nn.Module):
    """hidden to logits; a tied head has no weight of its own."""

    def __init__(self, c):
        super().__init__()
        shape = (c.vocab_size, c.hidden_size * (2 if c.last_memory and c.last_memory.doubles else 1))
        self.weight = None if c.tie_word_embeddings else nn.Parameter(torch.randn(shape) / math.sqrt(c.hidden_size))
        self.bias = nn.Parameter(torch.zeros(c.vocab_size)) if c.head_bias else None


class Model(nn.Module):
    """A longspan model; `config` is the object of config.json.

    choices[layer], where it is set, is what a `chosen`, `selected` or `store` branch takes for its choice: integers
    (T, G, k), the blocks that row t of the frame and key/value head g see beside their own, or (T, H, k), the rows that
    query head h takes from the store; -1 for none. Otherwise the model chooses. scores[layer] has, after one document in
    evaluation, what it chose blocks by: scores and whether they are candidates, each (T, G, blocks). found[layer] has
    what was found in the store: rows and their scores, each (T, H, k + 1): the best first, the first one that was left
    last. (A model in a memory reads many frames; there these are of the last one.)
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
        self.memory = Wrapper(c) if c.memory and c.memory.type != "input" else None
        self.last_memory = LastMemory(c) if c.last_memory else None
        self.choices, self.scores, self.found = {}, {}, {}

    def frame(self, ids):
        """ids (..., T) with those of the prefix in front."""
        return torch.cat([torch.tensor(self.c.prefix, dtype=ids.dtype).expand(*ids.shape[:-1], -1), ids], -1)

    def embedded(self, ids):
        """The rows of tokens, without positions."""
        return self.c.embedding_scale * self.embed(ids)

    def rows(self, x, states=None):
        """The rows of a frame after the last norm. states: of the layers' associative memories, which are changed."""
        if self.position is not None:
            x = x + self.position(torch.arange(x.shape[-2]))  # a longer frame than max_position is an error
        for number, layer in enumerate(self.layers):
            layer.attention.choice = self.choices.get(number)
            if states and states[number] is not None:
                x = x + self.memory.layers[number].read(x, states[number])
            x = layer(x)
            if states:
                y = x[..., x.shape[-2] - self.c.memory.tokens:, :]
                states[number] = self.memory.layers[number].write(y, states[number])
            self.scores[number], self.found[number] = layer.attention.scores, layer.attention.found
        return x if self.norm is None else self.norm(x)

    def frames(self, ids):
        """(rows of a frame, its first own row, the end of those) of all frames of a document."""
        m, T, p = self.c.memory, ids.shape[-1], len(self.c.prefix)
        if m is None:
            yield self.rows(self.embedded(self.frame(ids))), p, p + T
            return
        tokens = None if self.memory is None else self.memory.tokens.expand(*ids.shape[:-1], -1, -1)
        states = [None] * len(self.layers) if m.type == "associative" else None
        for first in range(0, T, m.segment):
            end = min(first + m.segment, T)
            if m.type == "input":
                lead = min(m.rows, first)
                x, own = self.embedded(self.frame(ids[..., first - lead:end])), p + lead
            elif m.type == "associative":
                x, own = torch.cat([self.embedded(ids[..., first:end]), tokens], -2), 0
            else:
                x, own = torch.cat([tokens, self.embedded(ids[..., first:end]), tokens], -2), m.tokens
            x = self.rows(x, states)
            if m.type == "tokens":
                tokens = x[..., x.shape[-2] - m.tokens:, :]
            yield x, own, own + end - first

    def own_and_before(self, ids):
        """Of every token its row, and the row that predicts it, (..., T, D); not a number where there is none."""
        linked, own, before = self.memory is not None, [], []
        for x, first, end in self.frames(ids):
            none = torch.full_like(x[..., :1, :], math.nan)
            last = own[-1][..., -1:, :] if own and linked else none if linked or not first else x[..., first - 1:first, :]
            own.append(x[..., first:end, :])
            before.append(torch.cat([last, x[..., first:end - 1, :]], -2))
        return torch.cat(own, -2), torch.cat(before, -2)

    def ends(self, x):
        """(hidden, logits) of rows after the last norm."""
        c = self.c
        hidden, read = (x, x) if self.last_memory is None else self.last_memory(x)
        weight = self.embed.weight if self.head.weight is None else self.head.weight
        logits = F.linear(read, weight, self.head.bias)
        return hidden, c.logit_cap * (logits / c.logit_cap).tanh() if c.logit_cap else logits

    def forward(self, ids):
        """(hidden (..., T, D), logits (..., T, V)) of a document."""
        return self.ends(self.own_and_before(ids)[0])

    def nll(self, ids):
        """-log p of every token of a document (T): by the row before it, NaN where there is none; two-sided by its own."""
        return self.measured(ids)[0]

    def measured(self, ids):
        """(nll (T), hidden (T, D)) of a document."""
        own, before = self.own_and_before(ids)
        log_p = self.ends(before if self.c.causal else own)[1].log_softmax(-1)
        return -log_p.gather(-1, ids[:, None])[:, 0], self.ends(own)[0]

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
