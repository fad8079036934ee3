#!/usr/bin/env python3
"""Train a small byte-level Transformer-XL and export it as a Hugging Face checkpoint.

The model is transformers' TransfoXLLMHeadModel (model_type `transfo-xl`): one token
per byte, one softmax over 256 values, tied embeddings.  Training runs a batch-first
forward pass over that model's own parameters, several times faster on a CPU; it is
compared with the library's forward pass before training begins.  As in the library a
text starts with a memory of zero vectors, and these are attended to.

With --config it trains a model of model_type `longspan` instead: the module of reference.py, in float32, on
segments of text without anything before them. A two-sided one learns to tell the bytes that are hidden from it. Windows,
recurrences, drawn and chosen blocks, levels, dynamic spans and memories are computed by blocks of 64, of the keys that may
be seen alone; that is held to the module before training begins. With a GPU it trains there.

Examples:
    train.py emma.txt prideprejudice.txt --also kjv.txt --holdout persuasion.txt \\
        --minutes 80 --output model
    train.py emma.txt prideprejudice.txt --holdout persuasion.txt --config config.json \\
        --segment 512 --minutes 8 --output model-window
"""

import argparse
import copy
import functools
import json
import math
import os
import random
import sys
import tempfile
import time
from types import SimpleNamespace

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from safetensors.torch import save_file

import reference

BYTES = 256
HIDDEN, HIDDEN_SHARE = 0, 0.15  # what two-sided models read in place of a byte that they are to tell, and how often


def library():
    """The Hugging Face library, which a longspan model needs nothing of: version 4, the last one with Transformer-XL."""
    import transformers  # pylint: disable=import-outside-toplevel
    transformers.logging.set_verbosity_error()
    return transformers


# ---------------------------------------------------------------- forward pass


@functools.lru_cache(maxsize=4)
def scratch(heads, batch, queries, keys, value):
    """A padded score buffer; only its part in use is ever overwritten."""
    return torch.full((heads, batch, queries, keys + queries), value)


def shifted(buffer, queries, keys):
    """View of padded scores by distance [..., queries, keys + queries] as scores by key.

    Column c of row i holds distance keys - 1 - c; key j of query i is at column
    j + queries - 1 - i, which lies in the padding for keys after the query.
    """
    heads, batch, width = buffer.shape[0], buffer.shape[1], keys + queries
    return buffer.as_strided(
        (heads, batch, queries, keys),
        (batch * queries * width, queries * width, width - 1, 1),
        queries - 1,
    )


class RelativeAttention(torch.autograd.Function):
    """softmax(qu k' + shift(qv r')) v with the causal mask; all scaled queries given.

    qu, qv: [heads, batch, queries, a]; k, v: [heads, batch, keys, a]; r: [heads, keys, a].
    """

    @staticmethod
    def forward(ctx, qu, qv, k, v, r):
        heads, batch, queries, a = qu.shape
        keys = k.shape[2]
        buffer = scratch(heads, batch, queries, keys, -math.inf)
        buffer[..., :keys] = torch.bmm(qv.reshape(heads, -1, a), r.transpose(1, 2)).view(
            heads, batch, queries, keys
        )
        bias = shifted(buffer, queries, keys).reshape(-1, queries, keys)
        score = bias.baddbmm_(qu.reshape(-1, queries, a), k.reshape(-1, keys, a).transpose(1, 2))
        prob = torch.softmax(score, -1)
        ctx.save_for_backward(qu, qv, k, v, r, prob)
        return torch.bmm(prob, v.reshape(-1, keys, a)).view(heads, batch, queries, a)

    @staticmethod
    def backward(ctx, grad):
        qu, qv, k, v, r, prob = ctx.saved_tensors
        heads, batch, queries, a = qu.shape
        keys = k.shape[2]
        flat = grad.reshape(-1, queries, a)
        grad_v = torch.bmm(prob.transpose(1, 2), flat)
        grad_prob = torch.bmm(flat, v.reshape(-1, keys, a).transpose(1, 2))
        grad_score = torch._softmax_backward_data(grad_prob, prob, -1, prob.dtype)
        grad_qu = torch.bmm(grad_score, k.reshape(-1, keys, a))
        grad_k = torch.bmm(grad_score.transpose(1, 2), qu.reshape(-1, queries, a))
        buffer = scratch(heads, batch, queries, keys, 0.0)
        shifted(buffer, queries, keys).copy_(grad_score.view(heads, batch, queries, keys))
        by_distance = buffer[..., :keys].view(heads, -1, keys)
        grad_qv = torch.bmm(by_distance, r)
        grad_r = torch.bmm(by_distance.transpose(1, 2), qv.reshape(heads, -1, a))
        return grad_qu.view_as(qu), grad_qv.view_as(qv), grad_k.view_as(k), grad_v.view_as(v), grad_r


def layer_norm(x, norm):
    """Layer normalisation with the parameters of the module `norm`."""
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def attend(attn, x, memory, distances):
    """One attention sub-layer over [memory ; x]; returns it with its residual."""
    heads, a = attn.n_head, attn.d_head
    context = torch.cat([memory, x], 1)
    normed = layer_norm(context, attn.layer_norm) if attn.pre_lnorm else context
    width = heads * a
    weight_q, weight_kv = attn.qkv_net.weight.split([width, 2 * width])
    q = F.linear(normed[:, -x.shape[1]:], weight_q).view(*x.shape[:2], heads, a).permute(2, 0, 1, 3)
    kv = F.linear(normed, weight_kv).view(*context.shape[:2], 2, heads, a).permute(2, 3, 0, 1, 4)
    r = F.linear(distances, attn.r_net.weight).view(-1, heads, a).transpose(0, 1)
    qu = (q + attn.r_w_bias[:, None, None]) * attn.scale
    qv = (q + attn.r_r_bias[:, None, None]) * attn.scale
    mixed = RelativeAttention.apply(qu, qv, kv[0], kv[1], r)
    out = x + F.linear(mixed.permute(1, 2, 0, 3).reshape(*x.shape[:2], width), attn.o_net.weight)
    return out if attn.pre_lnorm else layer_norm(out, attn.layer_norm)


def feed_forward(ff, x):
    """One feed-forward sub-layer with its residual."""
    first, second = ff.CoreNet[0], ff.CoreNet[3]
    normed = layer_norm(x, ff.layer_norm) if ff.pre_lnorm else x
    hidden = torch.relu_(F.linear(normed, first.weight, first.bias))
    out = x + F.linear(hidden, second.weight, second.bias)
    return out if ff.pre_lnorm else layer_norm(out, ff.layer_norm)


def sinusoids(model, keys):
    """The embeddings of the distances keys - 1 ... 0."""
    distance = torch.arange(keys - 1, -1, -1.0)
    if model.config.clamp_len > 0:
        distance.clamp_(max=model.config.clamp_len)
    angle = torch.outer(distance, model.transformer.pos_emb.inv_freq)
    return torch.cat([angle.sin(), angle.cos()], -1)


def forward(model, tokens, memories):
    """Logits of a segment [batch, length] and the layer inputs to remember."""
    embedding, head = model.transformer.word_emb.emb_layers[0], model.crit.out_layers[0]
    x = F.embedding(tokens, embedding.weight) * model.transformer.word_emb.emb_scale
    distances = sinusoids(model, memories[0].shape[1] + tokens.shape[1])
    inputs = []
    for layer, memory in zip(model.transformer.layers, memories):
        inputs.append(x.detach())
        x = feed_forward(layer.pos_ff, attend(layer.dec_attn, x, memory, distances))
    return F.linear(x, head.weight, head.bias), inputs


def empty_memories(model, batch, length):
    """The memory before a text: zero vectors for every layer."""
    return [torch.zeros(batch, length, model.config.d_model) for _ in model.transformer.layers]


def remember(memories, inputs, length):
    """The last `length` rows of memory and segment, zeros in front where too few."""
    rows = [torch.cat([m, x], 1) for m, x in zip(memories, inputs)]
    return [F.pad(r, (0, 0, max(0, length - r.shape[1]), 0))[:, max(0, r.shape[1] - length):] for r in rows]


# ---------------------------------------------------------------- longspan


def is_longspan(model):
    """Whether this is a model of reference.py, and not the library's."""
    return isinstance(model, reference.Model)


def fast_attention(attention, x):
    """What reference.Attention computes, where one softmax over plain scores is all there is."""
    c, q_k_v = attention.c, attention.heads(x, attention.q, attention.k, attention.v)
    rows = torch.arange(x.shape[-2])
    q, k, v = q_k_v if c.position != "rotary" else (*(reference.rotate(y, rows, c) for y in q_k_v[:2]), q_k_v[2])
    mask = sum(reference.sees(b, rows[None, :, None], rows[None]) for b in attention.layer.branches) > 0
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=c.attention_scale)
    return attention.o(y.transpose(-3, -2).flatten(-2))


def is_plain(attention):
    """Whether fast_attention computes the same."""
    c, layer = attention.c, attention.layer
    return (c.position in ("rotary", "learned", "none") and not c.score_cap and layer.merge == "softmax"
            and all(b.type in reference.SEES and b.type != "global" for b in layer.branches)
            and all(getattr(b, "place", "text") == "text" and not reference.unnormalised(b) for b in layer.branches))


BLOCK = reference.BLOCK
BY_BLOCKS = {"local", "random", "chosen", "levels", "compressed", "dynamic", "recurrence", "learned", "store",
             "compressed_past", "compressive"}


def is_by_blocks(attention):
    """Whether BlockAttention computes the same."""
    c, layer = attention.c, attention.layer
    kinds = [b.type for b in layer.branches]
    return (c.causal and c.position in ("rotary", "learned", "none") and not c.score_cap and set(kinds) <= BY_BLOCKS
            and not any(reference.unnormalised(b) for b in layer.branches)
            and not any(b.type == "store" and len(part) > 1 for part in attention.parts() for b in part)
            and (layer.merge != "softmax" or sum(kind in ("random", "chosen") for kind in kinds) <= 1))


def with_before(x, n):
    """Of every block of x (..., blocks, 64, E) its own rows behind those of the n blocks before, zeros where none is."""
    padded = F.pad(x, (0, 0, 0, 0, n, 0))
    return torch.cat([padded[..., m:m + x.shape[-3], :, :] for m in range(n + 1)], -2)


def of_blocks(x, index):
    """The rows of those blocks of x (batch, H, blocks, 64, E) that index (batch, H, blocks, r) names for each block."""
    first = torch.arange(x.shape[0] * x.shape[1]).view(*x.shape[:2], 1, 1) * x.shape[2]
    rows = x.flatten(0, 2).index_select(0, (index + first).flatten())
    return rows.view(*index.shape[:3], -1, x.shape[-1])


FAR = {"compressed", "compressed_past", "learned"}  # show no rows of the text
SELF = {"local", "chosen", "levels", "dynamic", "recurrence", "learned"}  # no query is without any key


class BlockAttention:
    """What reference.Attention computes, by blocks of 64 queries, each with the only keys that it may see.

    i is (blocks, 64, 1), j (..., blocks, 1, keys). Keys come from several sources: the rows of the block and of some
    blocks before it, a block that was drawn or chosen, and means of rows and learned slots, which all blocks look at.
    Rows that a last block lacks are filled up; nothing before them sees them.
    """

    def __init__(self, attention):
        self.attention, self.c, self.branches = attention, attention.c, attention.layer.branches

    def __call__(self, x):
        a = self.attention
        if x.dim() != 3:
            return type(a).forward(a, x)
        T = x.shape[1]
        x = F.pad(x, (0, 0, 0, -T % BLOCK))
        self.x, rows = x, torch.arange(x.shape[1])
        self.i, self.heads = rows.view(-1, BLOCK, 1), a.heads(x, a.q, a.k, a.v)
        q, k, v = self.heads
        q_k_v = self.placed(q, rows) * self.c.attention_scale, self.placed(k, rows), v
        self.q, self.k, self.v = (y.unflatten(-2, (-1, BLOCK)) for y in q_k_v)
        y = [self.gather(part) for part in a.parts()]
        y = torch.cat(y, -3) if a.layer.merge == "concat" else sum(g * part for g, part in zip(a.gates(x), y))
        return a.o(y.transpose(-3, -2).flatten(-2))[:, :T]

    def placed(self, x, rows):
        """Queries or keys as they stand at these rows."""
        return reference.rotate(x, rows, self.c) if self.c.position == "rotary" else x

    def gather(self, branches):
        """One softmax over what the branches show together."""
        if branches[0].type == "compressive":
            return self.attention.read(*self.heads)
        if branches[0].type == "store":
            return self.stored(branches[0])
        sources = [self.near(branches)] if any(b.type not in FAR for b in branches) else []
        sources += [self.far(b, branches) for b in branches if b.type in ("random", "chosen")]
        sources += [source for b in branches if b.type in reference.POOLED for source in self.means(b)]
        sources += [self.past(b) for b in branches if b.type == "compressed_past"]
        scores = [self.q @ k.transpose(-2, -1) + mask.log() for k, _, mask in sources]
        if any(b.type == "learned" for b in branches):
            score, mask, v = self.attention.slots(None, SimpleNamespace(q=self.heads[0]))
            scores.append(score.unflatten(-2, (-1, BLOCK)))
            sources.append((v, v[:, :, None], mask))
        score = torch.cat(scores, -1)
        if branches[0].type == "dynamic":
            score = score + self.ramp(branches[0], score.shape[-1])
        if any(b.type in SELF for b in branches):
            p = score.softmax(-1)
        else:
            seen = score > -math.inf
            p = reference.softmax_over(score.masked_fill(~seen, 0), seen)
        p = p.split([k.shape[-2] for k, _, _ in sources], -1)
        return sum(part @ v for part, (_, v, _) in zip(p, sources)).flatten(-3, -2)

    def seen(self, b, j):
        """Whether the queries see the keys j through a branch, as far as positions decide."""
        past = (j <= self.i) & (j >= 0)
        if b.type == "local":
            return past & (j > self.i - torch.tensor(b.window).reshape(-1, 1, 1, 1))
        if b.type == "recurrence":
            return past & reference.SEES["recurrence"](b, self.i, j)
        if b.type == "levels":
            return past & (j >= reference.shown(b, self.i)[0][1])
        if b.type == "chosen":
            return past & (j // BLOCK == self.i // BLOCK)
        return past if b.type == "dynamic" else past & (j < 0)

    def ramp(self, b, keys):
        """The logarithm of the weights of a dynamic branch, the same for all blocks, (H, 1, 64, keys)."""
        back = torch.arange(BLOCK)[:, None] - torch.arange(keys) + keys - BLOCK
        span = (b.window * self.attention.span.clamp(0, 1))[:, None, None, None]
        return ((b.ramp + span - back) / b.ramp).clamp(1e-30, 1).log()  # 0 has no slope

    def near(self, branches):
        """Keys, values and mask of the rows of windows, and of the own block."""
        back = dict(local=lambda b: torch.tensor(b.window).max(), levels=lambda b: b.window + b.pool,
                    dynamic=lambda b: b.window + b.ramp,
                    recurrence=lambda b: b.memory if b.same_length else b.memory + b.segment)
        rows = max([int(back[b.type](b)) - 1 for b in branches if b.type in back], default=0)
        n = min(-(-rows // BLOCK), self.i.shape[0] - 1)
        j = self.i[:, :1] - n * BLOCK + torch.arange((n + 1) * BLOCK)
        return with_before(self.k, n), with_before(self.v, n), sum(self.seen(b, j) for b in branches) > 0

    def far(self, b, branches):
        """The same of blocks that were drawn or chosen, but for what the others show."""
        count, heads = self.i.shape[0], self.c.num_attention_heads
        if b.type == "random":
            picked = reference.drawn(b.blocks, b.reach, b.beyond, b.seed, b.layer, heads, count, True)
        else:
            picked = self.attention.pick_by_block(*self.heads[:2])[..., ::BLOCK, :]
            picked = picked.repeat_interleave(self.attention.share, -3)
        there, index = picked.byte().topk(min(b.blocks, count), -1)
        index, there = (x.expand(*self.q.shape[:3], -1) for x in (index, there > 0))
        j = (index[..., None] * BLOCK + torch.arange(BLOCK)).flatten(-2)[..., None, :]
        mask = there.repeat_interleave(BLOCK, -1)[..., None, :] & (sum(self.seen(other, j) for other in branches) == 0)
        return of_blocks(self.k, index), of_blocks(self.v, index), mask

    def past(self, b):
        """The same of a compressed past, which all blocks look at."""
        k, v = self.attention.units(self.x)
        (unit, first, end), = reference.shown(b, self.i)
        c = torch.arange(k.shape[-2])
        return self.placed(k, (c + 1) * unit - 1)[:, :, None], v[:, :, None], (first <= c) & (c < end)

    def stored(self, b):
        """What a store alone gives, segment by segment; chosen in float32."""
        q, k, v = self.heads
        rows, y = torch.arange(q.shape[-2]), [torch.zeros_like(q[..., :b.segment, :])]
        q, k = (self.placed(x, rows) if b.keys == "rotated" else x for x in (q, k))
        for end in range(b.segment, q.shape[-2], b.segment):
            before = slice(max(0, end - b.memory) if b.memory else 0, end)
            score = self.attention.similar(b, q[..., end:end + b.segment, :], k[..., before, :])
            best = score.detach().topk(min(b.neighbours, score.shape[-1]), -1).indices
            taken = torch.zeros_like(score, dtype=torch.bool).scatter(-1, best, True)
            y.append(score.masked_fill(~taken, -math.inf).softmax(-1) @ v[..., before, :])
        return torch.cat(y, -2)

    def means(self, b):
        """The same of the means of rows that a branch shows, of every level; of more than 64 rows all that there are."""
        for unit, first, end in reference.shown(b, self.i):
            if unit > 1:
                k, v = (reference.means(x, unit) for x in self.heads[1:])
                c = torch.arange(k.shape[-2])
                k, per_block = self.placed(k, (c + 1) * unit - 1), BLOCK // unit
                n = int((self.i // BLOCK - first * unit // BLOCK).max())
                if per_block and n + 1 < self.i.shape[0]:
                    c = self.i[:, :1] // unit - n * per_block + torch.arange((n + 1) * per_block)
                    k, v = (with_before(x.unflatten(-2, (-1, per_block)), n) for x in (k, v))
                else:
                    k, v = k[:, :, None], v[:, :, None]
                yield k, v, (first <= c) & (c < end)


def fast_of(attention):
    """A faster way to compute an attention, None if there is none."""
    if is_by_blocks(attention):
        return BlockAttention(attention)
    return functools.partial(fast_attention, attention) if is_plain(attention) else None


def difference_from_reference(attention, segment):
    """Largest relative difference of the fast way, of results and all gradients, with other weights, drawn at random."""
    attention = copy.deepcopy(attention)
    for name, p in attention.named_parameters():
        p.data.uniform_(-0.2, 1.2) if name == "span" else p.data.normal_(0, 0.5 / p.shape[-1] ** 0.5)
    x = torch.randn(2, min(segment, 1024), attention.c.hidden_size, requires_grad=True)
    weight, found = torch.randn_like(x), []
    for forward in (attention.forward, fast_of(attention)):
        y = forward(x)
        gradients = torch.autograd.grad((y * weight).sum(), [x, *attention.parameters()], allow_unused=True)
        found.append([y, *(g for g in gradients if g is not None)])
    return max(((a - b).abs().max() / a.abs().max().clamp(min=1e-6)).item() for a, b in zip(*found))


def longspan_model(args):
    """The model of a config.json, newly drawn or from a checkpoint, its fast attention compared with the formulas."""
    if args.init:
        model = reference.Model.load(args.init)
    else:
        with open(args.config, encoding="utf-8") as file:
            model = reference.Model(json.load(file))
        for name, p in model.named_parameters():
            if name in ("embed.weight", "position.weight", "head.weight"):
                p.data.normal_(0, 0.5 / p.shape[1] ** 0.5)
            elif name.endswith(("attention.o.weight", "feed.down.weight")):
                p.data.zero_()
    if model.c.tokenizer != "bytes":
        sys.exit("only models of bytes are trained here")
    for attention in (layer.attention for layer in model.layers):
        fast = fast_of(attention)
        if fast is not None:
            difference = difference_from_reference(attention, args.segment)
            if not difference <= 2e-5:
                sys.exit(f"the fast attention differs from that of reference.py by {difference:.1e}")
            attention.forward = fast
    return model


@torch.no_grad()
def longspan_bits(folder, text):
    """Mean code length of text[1:] (of all of it with a prefix) as one document, by the formulas in float32.

    Two-sided: of every seventh byte, all of these hidden.
    """
    model, ids = reference.Model.load(folder), on_device(text)
    if model.c.causal:
        nll = model.nll(ids)
        return nll[~nll.isnan()].double().mean().item() / math.log(2)
    hidden = torch.arange(len(ids)) % 7 == 3
    logits = model(ids.masked_fill(hidden, HIDDEN))[1]
    return F.cross_entropy(logits[hidden].double(), ids[hidden]).item() / math.log(2)


# ---------------------------------------------------------------- evaluation


@torch.no_grad()
def bits_per_byte(model, text, segment, mem_len):
    """Mean code length of text[1:], the memory carried from segment to segment."""
    tokens = on_device(text)[None]
    memories, bits = empty_memories(model, 1, mem_len), 0.0
    for start in range(0, tokens.shape[1] - 1, segment):
        target = tokens[:, start + 1:start + 1 + segment]
        logits, inputs = forward(model, tokens[:, start:start + target.shape[1]], memories)
        memories = remember(memories, inputs, mem_len)
        bits += F.cross_entropy(logits[0].double(), target[0], reduction="sum").item()
    return bits / math.log(2) / (tokens.shape[1] - 1)


def repair_type_as():
    """Let the library's forward call type_as(dtype=...), which torch does not have."""
    original = torch.Tensor.type_as
    torch.Tensor.type_as = lambda t, other=None, dtype=None: (
        t.to(dtype) if other is None else original(t, other)
    )


@torch.no_grad()
def difference_from_library(model, segment=24, mem_len=40):
    """Largest relative difference in log probability from the library's, over three segments."""
    tokens = torch.randint(BYTES, (2, 3 * segment))
    theirs, kept = None, model.config.mem_len
    model.reset_memory_length(mem_len)
    ours, worst = empty_memories(model, 2, mem_len), 0.0
    for part in tokens.split(segment, 1):
        logits, inputs = forward(model, part, ours)
        ours = remember(ours, inputs, mem_len)
        reference = model(part, mems=theirs)
        theirs = reference.mems
        error = (logits.log_softmax(-1) - reference.logits).abs() / reference.logits.abs().clamp(min=1)
        worst = max(worst, error.max().item())
    model.reset_memory_length(kept)
    return worst


# ---------------------------------------------------------------- text


class Streams:
    """Parallel streams of text: each reads a passage, then jumps to another one."""

    def __init__(self, texts, also, batch, passage, rng):
        self.texts, self.also, self.passage, self.rng = texts, also, passage, rng
        self.share = 0.0
        self.cursors = [self.jump() for _ in range(batch)]

    def jump(self):
        """A random passage [text, position, end]; texts are drawn by their length."""
        group = self.also if self.also and self.rng.random() < self.share else self.texts
        text = self.rng.choices(group, [len(t) for t in group])[0]
        start = self.rng.randrange(max(1, len(text) - self.passage))
        return [text, start, min(len(text), start + self.rng.randint(self.passage // 2, self.passage))]

    def next(self, length):
        """Tokens [batch, length + 1], and which of the streams begin a new passage."""
        rows, fresh = [], []
        for i, (text, position, end) in enumerate(self.cursors):
            if position + length + 1 > end:
                self.cursors[i] = text, position, end = self.jump()
                fresh.append(i)
            rows.append(text[position:position + length + 1])
            self.cursors[i] = [text, position + length, end]
        return on_device(np.stack(rows)), fresh


def on_device(text):
    """Bytes as ids, where the model is."""
    return torch.from_numpy(text.astype(np.int64)).to(torch.get_default_device())


def read_bytes(path):
    """The bytes of a file."""
    return np.fromfile(path, dtype=np.uint8)


# ---------------------------------------------------------------- optimisation


def sum_over_workers(tensors):
    """Replace the tensors by their sums over all workers."""
    if dist.is_initialized():
        flat = torch.cat([t.flatten() for t in tensors])
        dist.all_reduce(flat)
        for tensor, total in zip(tensors, flat.split([t.numel() for t in tensors])):
            tensor.copy_(total.view_as(tensor))


def worker():
    """This worker's number and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def orthogonalise(matrices, steps=5):
    """Newton-Schulz iteration: the nearest (semi-)orthogonal matrices, roughly."""
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = 3.4445 * x + torch.bmm(torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x)
    return x if wide else x.transpose(1, 2)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised, for matrices.

    A parameter holding several matrices one above the other (qkv_net) is listed in
    `stacked` with their number and each is orthogonalised on its own.
    """

    def __init__(self, params, stacked, lr, momentum=0.95, decay=0.1):
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})
        self.stacked = stacked

    def direction(self, p, momentum):
        """The orthogonalised step of one parameter."""
        buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
        buffer.lerp_(p.grad, 1 - momentum)
        pieces = p.grad.lerp(buffer, momentum).view(self.stacked.get(p, 1), -1, p.shape[1])
        scale = max(1.0, pieces.shape[1] / pieces.shape[2]) ** 0.5
        return orthogonalise(pieces).reshape(p.shape) * scale

    @torch.no_grad()
    def step(self):
        """Update every parameter, the workers sharing the effort."""
        rank, workers = worker()
        for group in self.param_groups:
            updates = [self.direction(p, group["momentum"]) if i % workers == rank else torch.zeros_like(p)
                       for i, p in enumerate(group["params"])]
            sum_over_workers(updates)
            for p, update in zip(group["params"], updates):
                p.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-group["lr"])


def optimisers(model, args):
    """Muon for the matrices of the layers, AdamW for everything else."""
    named = dict(model.named_parameters())
    if is_longspan(model):
        matrices = [p for n, p in named.items() if n.startswith("layers.") and n.endswith("weight") and p.dim() == 2]
        stacked = {}
    else:
        matrices = [p for n, p in named.items() if ".layers." in n and n.endswith("_net.weight")
                    or "CoreNet" in n and p.dim() == 2]
        stacked = {layer.dec_attn.qkv_net.weight: 3 for layer in model.transformer.layers}
    chosen = set(matrices)
    rest = [p for p in named.values() if p not in chosen]
    return [
        Muon(matrices, stacked, args.lr),
        torch.optim.AdamW(rest, lr=args.adam_lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def schedule(progress, decay_share, warm_up=0.02):
    """Share of the peak learning rate: linear warm-up, plateau, linear decay to 0."""
    return min(1.0, progress / warm_up, (1 - progress) / decay_share)


# ---------------------------------------------------------------- checkpoint


def configuration(args):
    """The library's configuration of the model."""
    return library().TransfoXLConfig(
        vocab_size=BYTES, cutoffs=[], div_val=1, d_model=args.d_model, d_embed=args.d_model,
        n_layer=args.layers, n_head=args.heads, d_head=args.d_head, d_inner=args.d_inner,
        mem_len=args.mem_len, clamp_len=args.clamp_len, same_length=False, untie_r=True,
        pre_lnorm=args.pre_lnorm, dropout=0.0, dropatt=0.0, tie_word_embeddings=True,
        proj_share_all_but_first=False, eos_token_id=None, tie_projs=[False],
        tgt_len=args.tgt_len, tokenizer="bytes", architectures=["TransfoXLLMHeadModel"],
    )


def write_checkpoint(model, directory):
    """Write config.json and model.safetensors (float16), each replaced in one step."""
    os.makedirs(directory, exist_ok=True)
    half = {n: p.detach().half().contiguous() for n, p in model.named_parameters()}
    half["transformer.pos_emb.inv_freq"] = model.transformer.pos_emb.inv_freq
    temporary = os.path.join(directory, f".{os.getpid()}.")
    save_file(half, temporary + "weights", metadata={"format": "pt"})
    os.chmod(temporary + "weights", 0o644)
    config = model.config.to_diff_dict() | {"tie_word_embeddings": True, "torch_dtype": "float16"}
    config.pop("dtype", None)
    with open(temporary + "config", "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2, sort_keys=True)
        file.write("\n")
    os.replace(temporary + "weights", os.path.join(directory, "model.safetensors"))
    os.replace(temporary + "config", os.path.join(directory, "config.json"))


def load_checkpoint(directory):
    """The model of a checkpoint, in float32."""
    return library().TransfoXLLMHeadModel.from_pretrained(directory, dtype=torch.float32).eval()


# ---------------------------------------------------------------- training


class Trainer:
    """A model with its optimisers, its streams of text and their memories."""

    def __init__(self, model, args):
        self.model, self.args = model, args
        self.optimisers = optimisers(model, args)
        self.peaks = [o.param_groups[0]["lr"] for o in self.optimisers]
        self.rank, self.workers = worker()
        rng = random.Random(args.seed * self.workers + self.rank)
        texts, also = ([read_bytes(p) for p in group] for group in (args.texts, args.also))
        self.streams = Streams(texts, also, args.batch // self.workers, args.passage, rng)
        self.prepare()

    def prepare(self):
        """Start without memories."""
        self.memories = empty_memories(self.model, self.args.batch // self.workers, self.args.train_mem_len)

    def segment(self, progress):
        """Length of the segments at this point: short first, if that was asked for."""
        args = self.args
        return args.first_segment if args.first_segment and progress < args.first_share else args.segment

    def memory_length(self, progress):
        """Rows of memory kept at this point: short first, then the long one."""
        args = self.args
        return args.train_mem_len if progress < 1 - args.long_share else args.long_mem_len

    def step(self, progress):
        """One update; returns the loss in bits per byte."""
        self.streams.share = self.args.also_share * (1 - 0.8 * progress)
        tokens, fresh = self.streams.next(self.segment(progress))
        loss = self.loss(tokens, fresh, progress)
        (loss / self.workers).backward()
        self.update(schedule(progress, self.args.decay_share))
        return loss.item() / math.log(2)

    def loss(self, tokens, fresh, progress):
        """Mean code length in nats of tokens [batch, length + 1] but the first."""
        logits = self.logits(tokens[:, :-1], fresh, progress)
        return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    def logits(self, tokens, fresh, progress):
        """Logits of a segment [batch, length]; the memories go on, those of fresh streams from nothing."""
        for memory in self.memories:
            memory[fresh] = 0
        logits, inputs = forward(self.model, tokens, self.memories)
        self.memories = remember(self.memories, inputs, self.memory_length(progress))
        return logits

    def export(self):
        """Write the checkpoint."""
        write_checkpoint(self.model, self.args.output)

    def holdout_bits(self, text):
        """Bits per byte of a text."""
        return bits_per_byte(self.model, text, self.args.tgt_len, self.args.mem_len)

    def update(self, share):
        """Clip the gradients and let the optimisers step at this share of their rates."""
        sum_over_workers([p.grad for p in self.model.parameters()])
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.args.clip)
        for optimiser, peak in zip(self.optimisers, self.peaks):
            optimiser.param_groups[0]["lr"] = peak * share
            optimiser.step()
            optimiser.zero_grad()

    def report(self, step, progress, started, losses):
        """Export a checkpoint and print how far training has come."""
        self.export()
        args, seconds = self.args, time.time() - started
        line = f"{seconds / 60:6.1f} min  step {step}  progress {progress:.3f}  "
        line += f"{step * args.batch * args.segment / seconds:.0f} bytes/s  train {np.mean(losses):.4f}"
        if args.holdout:
            text = read_bytes(args.holdout)[:args.eval_bytes]
            line += f"  holdout {self.holdout_bits(text):.4f}"
        print(line, flush=True)

    def progress(self, started, step):
        """Share of the steps, or of the training time, that has passed, the same for all workers."""
        if self.args.steps:
            return min(1.0, step / self.args.steps)
        share = torch.tensor([min(1.0, (time.time() - started) / 60 / self.args.minutes)])
        if self.workers > 1:
            dist.broadcast(share, 0)
        return share.item()

    def run(self):
        """Train for the minutes asked for."""
        started, last, step, progress, losses = time.time(), time.time(), 0, 0.0, []
        while progress < 1:
            losses.append(self.step(progress))
            step += 1
            progress = self.progress(started, step)
            if self.rank == 0 and (progress == 1 or time.time() - last > 60 * self.args.report_minutes):
                self.report(step, progress, started, losses)
                last, losses = time.time(), []


class LongspanTrainer(Trainer):
    """The same for a model of reference.py, which reads each segment as a document."""

    def prepare(self):
        """Nothing is remembered."""

    def loss(self, tokens, fresh, progress):
        """The same; of a two-sided model that of tokens which are hidden from it."""
        if self.model.c.causal:
            return super().loss(tokens, fresh, progress)
        tokens = tokens[:, :-1]
        hidden = torch.rand(tokens.shape) < HIDDEN_SHARE
        return F.cross_entropy(self.model(tokens.masked_fill(hidden, HIDDEN))[1][hidden], tokens[hidden])

    def logits(self, tokens, fresh, progress):
        return self.model(tokens)[1]

    def export(self):
        self.model.save(self.args.output, torch.float16)

    def holdout_bits(self, text):
        return longspan_bits(self.args.output, text)


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("texts", nargs="+", metavar="TEXT", help="texts to train on")
    add("--output", required=True, metavar="DIR", help="where to write config.json and model.safetensors")
    add("--config", metavar="JSON", help="train the longspan model of this config.json; the sizes and memories below do "
                                         "not apply")
    add("--init", metavar="DIR", help="go on from this checkpoint (its sizes hold)")
    add("--also", nargs="+", default=[], metavar="TEXT", help="further texts, read less often")
    add("--also-share", type=float, default=0.25, help="how often at first; falls to a fifth of it (%(default)s)")
    add("--holdout", metavar="TEXT", help="text to measure the model on, never trained on")
    add("--eval-bytes", type=int, default=60000, help="bytes of it measured during training (%(default)s)")
    add("--minutes", type=float, default=80, help="training time (%(default)s)")
    add("--steps", type=int, default=0, help="train for so many steps instead, for models to be compared")
    add("--report-minutes", type=float, default=5, help="time between exported checkpoints (%(default)s)")
    add("--d-model", type=int, default=256)
    add("--layers", type=int, default=4)
    add("--heads", type=int, default=4)
    add("--d-head", type=int, default=64)
    add("--d-inner", type=int, default=1024)
    add("--pre-lnorm", action="store_true", help="normalise the inputs of the sub-layers, not their outputs")
    add("--tgt-len", type=int, default=128, help="segment length for evaluation, goes to config.json (%(default)s)")
    add("--mem-len", type=int, default=512, help="memory for evaluation, goes to config.json (%(default)s)")
    add("--clamp-len", type=int, default=512, help="largest distance told apart (%(default)s)")
    add("--segment", type=int, default=256, help="segment length in training (%(default)s)")
    add("--first-segment", type=int, default=0, help="the same at first, for longspan models (0: no other)")
    add("--first-share", type=float, default=0.5, help="how long that is (%(default)s)")
    add("--train-mem-len", type=int, default=128, help="memory in training at first (%(default)s)")
    add("--long-mem-len", type=int, default=384, help="memory in the last part of training (%(default)s)")
    add("--long-share", type=float, default=0.5, help="how large that last part is (%(default)s)")
    add("--passage", type=int, default=65536, help="longest passage read before a jump (%(default)s)")
    add("--batch", type=int, default=12, help="streams read in parallel (%(default)s)")
    add("--lr", type=float, default=0.008, help="learning rate of the matrices, Muon (%(default)s)")
    add("--adam-lr", type=float, default=0.001, help="learning rate of the rest, AdamW (%(default)s)")
    add("--decay-share", type=float, default=0.95, help="last part of training, where the rates fall (%(default)s)")
    add("--clip", type=float, default=1.0, help="largest norm of the gradient (%(default)s)")
    add("--workers", type=int, default=os.cpu_count(), help="processes of one thread (%(default)s); one with a GPU")
    add("--seed", type=int, default=1)
    return parser.parse_args()


def starting_model(args):
    """The model to train, its forward pass checked against the library's."""
    torch.manual_seed(args.seed)
    model = load_checkpoint(args.init) if args.init else library().TransfoXLLMHeadModel(configuration(args)).eval()
    difference = difference_from_library(model)
    if difference > 1e-5:
        sys.exit(f"the forward pass differs from the library's by {difference:.1e}")
    return model


def prepare():
    """Settings of every process."""
    if torch.cuda.is_available():
        torch.set_default_device("cuda")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    repair_type_as()


def train(rank, args):
    """The work of one process."""
    prepare()
    if args.workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{args.meeting}", rank=rank, world_size=args.workers)
    if args.config:
        torch.manual_seed(args.seed)
        LongspanTrainer(longspan_model(args), args).run()
    else:
        Trainer(starting_model(args), args).run()
    if args.workers > 1:
        dist.destroy_process_group()


def measure(args):
    """Print the exported model's figures for the whole holdout text."""
    text = read_bytes(args.holdout)
    if args.config:
        print(f"{args.holdout}: {longspan_bits(args.output, text):.4f} bits per byte", flush=True)
        return
    model = load_checkpoint(args.output)
    for mem_len in (args.mem_len, 0):
        bits = bits_per_byte(model, text, args.tgt_len, mem_len)
        print(f"{args.holdout}: {bits:.4f} bits per byte with memory {mem_len}", flush=True)


def main():
    """Train in as many processes as asked for; then measure the exported checkpoint."""
    args = parse_arguments()
    if torch.cuda.is_available():
        args.workers = 1
        print(f"training on a GPU, {torch.cuda.get_device_name()}", flush=True)
    else:
        print(f"no GPU found: training in {args.workers} processes of one thread", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        args.meeting = os.path.join(directory, "meeting")
        mp.spawn(train, (args,), args.workers)
    if args.holdout:
        prepare()
        measure(args)


if __name__ == "__main__":
    main()
