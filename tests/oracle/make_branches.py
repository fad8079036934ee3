"""Makes the fixtures of model_type `longspan`: tiny random checkpoints and the numbers the formulas give for them.

Usage: python3 make_branches.py OUTDIR [CASE...]        (torch, safetensors, numpy; data/reference.py)

Every OUTDIR/CASE holds what a folder of make_fixtures.py holds:
    config.json, model.safetensors    a checkpoint
    doc{k}.bin                        documents: bytes for byte models, little-endian u16 for the others
    expected.safetensors              doc{k}.id I32 [n]; .nll F64 [n]; .rows I32 [r]; .hidden F64 [r, D];
                                      .choices_{l} I32 [prefix + n, G, k] where layer l chooses blocks: those that the row
                                      and key/value head see beside their own, rising, -1 for none
    case.json                         documents, note, float32_error, least_change; margin where blocks are chosen
nll is NaN at 0 exactly where the model has no prefix and is causal. Hidden is kept for the rows named by doc{k}.rows.

The numbers come from data/reference.py in float64 on the weights as stored. Before they are written
    its attention must agree with branches_by_loops.py to 1e-12 (layer by layer, every few queries),
    a computation in float32 must agree to 1e-5 (`float32_error`: the case is well conditioned),
    every number of config.json that is changed by a small step, every word by another one, must move some nll by more
    than 5e-4 (`least_change`: the case can tell),
    of every choice the first block left out must score lower than the last one taken by 1e-4 of the scores (`margin`:
    float32 chooses alike). Weights are drawn again until it is so.
"""
import copy
import json
import os
import shutil
import sys
import zlib

import numpy as np
import torch
from safetensors.numpy import save_file

import wrapped_by_loops
from branches_by_loops import Layer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data"))
import reference  # noqa: E402

torch.set_num_threads(1)
torch.set_grad_enabled(False)

TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DEFAULT = dict(model_type="longspan", vocab_size=256, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
               intermediate_size=36)
DOCUMENTS = [1, 63, 64, 65, 300, 700]
IDS = dict(vocab_size=1000)  # models of ids; the others are models of bytes
SMALL = dict(vocab_size=61, hidden_size=24, head_dim=8, num_key_value_heads=2, intermediate_size=20)
MARGIN, STORE_MARGIN = 1e-4, 2e-5
AROUND = 1e-11  # rounding through all layers, and through the segments of a document
SPANS = [-0.2, 0.35, 0.7, 1.3]  # of dynamic windows: nothing, a part of the longest, all of it


def full(**keys):
    return dict(type="full", **keys)


def local(window, **keys):
    return dict(type="local", window=window, **keys)


def fixed(sinks, **keys):
    return dict(type="fixed", sinks=sinks, **keys)


def recurrence(segment, memory, **keys):
    return dict(type="recurrence", segment=segment, memory=memory, **keys)


def glob(**keys):
    return dict(type="global", **keys)


def random(blocks, reach, **keys):
    return dict(type="random", blocks=blocks, reach=reach, **keys)


def by_block(blocks, reach, **keys):
    return dict(type="chosen", blocks=blocks, reach=reach, **keys)


def compressed(pool, **keys):
    return dict(type="compressed", pool=pool, **keys)


def selected(blocks):
    return dict(type="selected", blocks=blocks)


def levels(window, pool, count):
    return dict(type="levels", window=window, pool=pool, levels=count)


def dynamic(window, ramp):
    return dict(type="dynamic", window=window, ramp=ramp)


def learned(slots, **keys):
    return dict(type="learned", slots=slots, **keys)


def store(memory, segment, neighbours, **keys):
    return dict(type="store", memory=memory, segment=segment, neighbours=neighbours, **keys)


def past(pool, **keys):
    return dict(type="compressed_past", pool=pool, **keys)


def compressive(segment, **keys):
    return dict(type="compressive", segment=segment, **keys)


def wrapped(kind, segment, **keys):
    return dict(type=kind, segment=segment, **keys)


def gated(*branches, **keys):
    """A layer with a memory and a gate."""
    return one(*branches, merge="memory_gate", **keys)


def half(*documents):
    """How most of the sparse models are stored, and their documents."""
    return dict(dtype="float16", documents=list(documents))


def one(*branches, **keys):
    """A layer."""
    return dict(branches=list(branches), **keys)


# name: (config keys, note, how it is stored and which documents it has)
CASES = {
    "full": (dict(layers=one(full())), "everything by default: full attention, rotary, RMS norm, gated silu", {}),
    "full-one-group": (
        dict(hidden_size=36, head_dim=20, num_key_value_heads=1, rotary_width=12, rotary_pairs="adjacent",
             rotary_theta=500.5, layers=one(full())),
        "one key/value head, heads of 20, of which 12 are rotated, adjacent pairs, another theta", {}),
    "local": (
        dict(head_dim=24, num_key_value_heads=2, layers=one(local(64))),
        "a window of 64, heads of 24, two key/value heads", {}),
    "local-grows": (
        dict(num_hidden_layers=3, num_key_value_heads=2, layers=[one(local(w)) for w in (1, 37, 130)]),
        "windows that grow with the layer, the first of one key", {}),
    "local-heads": (
        dict(num_key_value_heads=2, rotary_pairs="adjacent", layers=one(local([1, 37, 65, 200]))),
        "a window for each query head, two of them on one key/value head", {}),
    "local-caps": (
        dict(position="none", score_cap=3.0, logit_cap=4.0, feed_bias=True, activation="gelu", layers=one(local(65))),
        "no positions; scores and logits capped; gelu with biases", {}),
    "local-bf16": (
        dict(num_attention_heads=2, head_dim=64, num_key_value_heads=1, norm_place="both", layers=one(local(100)),
             _comment="keys like this one are ignored", torch_dtype="bfloat16", architectures=["Longspan"]),
        "heads of 64, norms on both sides, bfloat16", dict(dtype="bfloat16")),
    "local-relative": (
        dict(position="relative", clamp_len=40, num_key_value_heads=2, norm="layer", norm_bias=False,
             layers=one(local(65))),
        "relative positions clamped within the window; layer norm without bias", {}),
    "local-alibi": (
        dict(position="alibi", norm="layer", activation="gelu_tanh", gated=False, layers=one(local(130))),
        "ALiBi on four heads; gelu by tanh, not gated", {}),
    "alibi-six": (
        dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=3, position="alibi", score_cap=15.0,
             norm_place="both", norm="layer", activation="relu", layers=one(full())),
        "ALiBi on six heads, capped with the scores; layer norms on both sides; gated relu", {}),
    "learned": (
        dict(position="learned", max_position=304, prefix=[255], gated=False, layers=one(full(), local(37), merge="gate")),
        "a table of positions, which holds a prefix, too; a gate", dict(documents=[1, 63, 64, 65, 303])),
    "sinks-text": (
        dict(num_key_value_heads=2, layers=one(local(100), fixed(4))),
        "the first four rows at their true distance", {}),
    "sinks-window": (
        dict(rotary_theta=100.0, layers=one(local(64), fixed(4, place="window"))),
        "the first four rows placed at the window's edge", {}),
    "sinks-window-heads": (
        dict(rotary_width=6, num_key_value_heads=1, rotary_pairs="adjacent", rotary_theta=100.0, prefix=[7, 200],
             layers=one(fixed(3, place="window"), local([1, 37, 65, 100]))),
        "the same with a window for each head, a prefix of two and 6 of 8 components rotated", {}),
    "recurrence": (
        dict(position="relative", norm="layer", norm_place="post", activation="relu", gated=False, feed_bias=True,
             layers=one(recurrence(48, 100))),
        "Transformer-XL with an empty memory: relative positions, post-norm, relu", {}),
    "recurrence-same": (
        dict(position="relative", norm="layer", norm_place="post", activation="relu", gated=False, feed_bias=True,
             clamp_len=90, layers=one(recurrence(64, 130, same_length=True))),
        "the same with same_length and clamp_len", {}),
    "recurrence-local": (
        dict(num_key_value_heads=2, layers=one(recurrence(64, 0), local(37))),
        "the union of blocks without memory and a window", {}),
    "recurrence-gate": (
        dict(norm_place="post", layers=one(recurrence(48, 48, same_length=True), local([5, 37, 100, 200]), merge="gate")),
        "a gate over same_length and windows of each head; RMS post-norm", {}),
    "recurrence-prefix": (
        dict(position="relative", clamp_len=150, prefix=[3, 3], layers=one(recurrence(48, 64), fixed(2), full(), merge="gate")),
        "a prefix of two shifts the segments; a gate over three branches", {}),
    "prefix": (
        dict(prefix=[10], layers=one(local(37), fixed(1)), embedding_scale=5.656854249492381),
        "the one row of the prefix is a sink for every query; scaled embeddings", {}),
    "plain": (
        dict(attention_scale=0.02, layers=one(local(100, normalize="none"))),
        "scores as weights, without a softmax", {}),
    "plain-sum": (
        dict(attention_scale=0.05, position="alibi", norm_place="both",
             layers=one(full(), local(37, normalize="none"), recurrence(48, 64, normalize="none"), merge="sum")),
        "a sum of a softmax and of two branches without one, ALiBi", {}),
    "sum": (
        dict(position="relative", clamp_len=150, num_key_value_heads=2, layers=one(local(65), fixed(2), merge="sum")),
        "a sum of two softmaxes; relative positions", {}),
    "gate": (
        dict(num_key_value_heads=1, layers=one(full(), local(37), fixed(3), merge="gate")),
        "a gate over three branches, one key/value head", {}),
    "norms": (
        dict(query_key_norm=True, attention_bias=True, output_bias=True, feed_bias=True, activation="gelu_tanh",
             num_key_value_heads=2, norm="layer", norm_eps=1e-3, attention_scale=1.5, rotary_width=4,
             layers=one(recurrence(64, 70), fixed(2))),
        "query and key norm, every bias, own scale and epsilon", {}),
    "norms-relative": (
        dict(query_key_norm=True, attention_bias=True, position="relative", norm_place="both", score_cap=8.0,
             attention_scale=0.9, layers=one(local(37))),
        "query and key norm with relative positions, capped", {}),
    "layers": (
        dict(num_hidden_layers=4, intermediate_size=24, num_key_value_heads=2,
             layers=[one(local(1)), one(local(37), local(65), recurrence(48, 7), merge="gate"),
                     one(fixed(2), local([1, 64, 65, 130]), recurrence(48, 0)),
                     one(full(), merge="gate")]),
        "every layer another; a gate over one branch", {}),
    "ids-untied": (
        dict(IDS, tie_word_embeddings=False, head_bias=True, logit_cap=6.0, layers=one(local(64))),
        "1000 ids, a head of its own with a bias, logits capped, float16", dict(dtype="float16")),
    "ids-tied-bias": (
        dict(IDS, head_bias=True, position="none", prefix=[999], norm="layer", layers=one(recurrence(48, 0), fixed(1))),
        "1000 ids, a tied head with a bias, a prefix, no positions, float16", dict(dtype="float16")),
    "global": (
        dict(SMALL, layers=one(local(40), glob(tokens=5))),
        "the first five rows see and are seen; a causal window of 40", half(1, 64, 257, 600)),
    "global-positions": (
        dict(SMALL, position="relative", clamp_len=60, prefix=[7],
             layers=one(glob(positions=[3, 7, 64, 200, 511]), local([1, 37, 65, 20]), fixed(1))),
        "five chosen rows, a window for each head, a sink, relative positions, a prefix", half(1, 63, 65, 600)),
    "global-gate": (
        dict(SMALL, num_key_value_heads=1, position="alibi", layers=one(glob(positions=[3, 130]), local(30), merge="gate")),
        "two rows in a softmax of their own: the first queries see nothing there; ALiBi", half(3, 128, 401)),
    "random": (
        dict(SMALL, layers=one(random(2, 6, seed=7), local(70), fixed(3))),
        "two of six blocks, a window, sinks; every head and layer draws for itself", half(1, 65, 256, 901)),
    "random-two": (
        dict(SMALL, position="alibi", num_hidden_layers=3, prefix=[5, 9],
             layers=one(random(1, 4, seed=1), random(3, 11, beyond=4, seed=4294967295), local([1, 37, 64, 130]))),
        "a near and a far draw beside windows of each head; ALiBi, a prefix, three layers", half(2, 255, 1100)),
    "random-sum": (
        dict(SMALL, num_key_value_heads=4, position="none", layers=one(local(20), random(2, 5, beyond=1), merge="sum")),
        "a softmax over drawn blocks alone, which the first blocks do not have; no positions", half(64, 129, 704)),
    "random-relative": (
        dict(SMALL, position="relative", clamp_len=100, layers=one(random(2, 9, beyond=2, seed=3), fixed(2), local(33))),
        "relative positions, clamped", half(1, 300, 830)),
    "chosen": (
        dict(SMALL, layers=one(by_block(2, 6))),
        "the two best of six blocks, and the own one", half(1, 63, 65, 256, 700)),
    "chosen-local": (
        dict(SMALL, query_key_norm=True, attention_bias=True, position="relative", clamp_len=50,
             layers=one(local([1, 40, 64, 100]), by_block(2, 7, beyond=1), fixed(2))),
        "two of six blocks beyond the next, windows of each head, sinks; relative, normed, biases", half(64, 129, 640)),
    "chosen-gate": (
        dict(SMALL, num_key_value_heads=1, position="alibi", prefix=[60, 1],
             layers=one(by_block(1, 7), local(30), merge="gate")),
        "the best of seven blocks in a softmax of its own; one key/value head, ALiBi, a prefix", half(62, 127, 800)),
    "chosen-random": (
        dict(SMALL, num_key_value_heads=4, position="none",
             layers=one(by_block(1, 8), random(1, 8, seed=11), local(50))),
        "what is chosen, what is drawn and a window in one softmax; a choice for each head", half(1, 128, 700)),
    "compressed": (
        dict(SMALL, rotary_pairs="adjacent", layers=one(compressed(16), local(64), merge="gate")),
        "means of 16 rows over all of the past, and a window", half(1, 15, 16, 64, 513)),
    "compressed-reach": (
        dict(SMALL, position="learned", max_position=304, score_cap=9.0, layers=one(compressed(8, reach=20))),
        "20 means of 8 rows and nothing else: the first queries see nothing", half(7, 8, 65, 304)),
    "nsa": (
        dict(SMALL, layers=one(compressed(16), selected(3), local(50), merge="input_gate")),
        "NSA: means of 16, the two best blocks of each token and group, a window, gates from the input",
        half(1, 16, 65, 577)),
    "nsa-64": (
        dict(SMALL, num_key_value_heads=1, position="alibi", query_key_norm=True, prefix=[9], norm_place="both",
             layers=one(local([1, 20, 64, 90]), selected(3), compressed(64), merge="input_gate")),
        "the same with means of whole blocks, ALiBi, one key/value head, a prefix, norms on both sides", half(63, 64, 640)),
    "selected-reach": (
        dict(SMALL, num_key_value_heads=4, position="none", layers=one(selected(2), compressed(4, reach=70), merge="gate")),
        "70 means of 4 rows, the best block for each head among those that they show", half(3, 128, 520)),
    "levels": (
        dict(SMALL, layers=one(levels(16, 4, 3))),
        "three levels of means of 4 above a window of 16", half(1, 17, 64, 256, 1500)),
    "levels-two": (
        dict(SMALL, position="alibi", num_key_value_heads=1, prefix=[3],
             layers=[one(levels(8, 2, 5)), one(levels(12, 2, 4))]),
        "means of two rows, five levels and four; ALiBi, a prefix", half(2, 63, 128, 700)),
    "levels-gate": (
        dict(SMALL, score_cap=12.0, query_key_norm=True, rotary_width=4,
             layers=one(levels(64, 16, 1), local(10), merge="input_gate")),
        "one level of means of 16 and a small window, gates from the input; capped, normed", half(1, 65, 1200)),
    "dynamic": (
        dict(SMALL, layers=one(dynamic(100, 32))),
        "spans of nothing, a part and all of 100 with a ramp of 32", half(1, 65, 257, 500)),
    "dynamic-sum": (
        dict(SMALL, position="alibi", score_cap=9.0, num_key_value_heads=4, prefix=[2],
             layers=one(dynamic(200, 7), fixed(2), merge="sum")),
        "spans up to 200 with a short ramp beside sinks; ALiBi, capped", half(64, 129, 520)),
    "sparse-layers": (
        dict(SMALL, num_hidden_layers=5, norm="layer", activation="gelu",
             layers=[one(levels(8, 8, 2)), one(random(2, 7, seed=5), local(64)), one(dynamic(150, 20)),
                     one(compressed(32), selected(2), local(30), merge="input_gate"), one(by_block(2, 5), glob(tokens=2))]),
        "every layer another of them", half(1, 64, 900)),
    "two_sided_local": (
        dict(SMALL, causal=False, layers=one(local(40))),
        "40 keys before, 40 after", half(1, 64, 65, 257, 600)),
    "two_sided_heads": (
        dict(SMALL, causal=False, position="alibi", prefix=[8, 9], num_hidden_layers=3, query_key_norm=True,
             layers=one(local([1, 37, 64, 130]), fixed(2))),
        "windows of each head on both sides, sinks; ALiBi of both directions, a prefix, three layers", half(1, 128, 700)),
    "two_sided_global": (
        dict(SMALL, causal=False, layers=one(local(37), glob(tokens=3))),
        "three global rows that see and are seen", half(2, 64, 450)),
    "two_sided_own": (
        dict(SMALL, causal=False, attention_bias=True, query_key_norm=True, num_key_value_heads=1,
             layers=one(glob(positions=[0, 70, 299], projections="own"), local([20, 64, 100, 7]))),
        "global rows with projections of their own, biases, norms", half(1, 71, 400)),
    "two_sided_random": (
        dict(SMALL, causal=False, rotary_pairs="adjacent",
             layers=one(random(2, 4, beyond=1, seed=9), local(64), glob(tokens=4))),
        "drawn blocks on both sides, a window and global rows", dict(half(1, 129, 840), draw=1)),
    "two_sided_full": (
        dict(SMALL, causal=False, position="learned", max_position=400, norm_place="post", tie_word_embeddings=False,
             layers=one(full(), local(20), merge="gate")),
        "everything, and a window, gated; learned positions, post-norm, a head of its own", half(1, 63, 64, 400)),
    "two_sided_plain": (
        dict(SMALL, causal=False, position="none", attention_scale=0.05,
             layers=one(full(), local([5, 37, 64, 100], normalize="none"), merge="sum")),
        "a softmax and a weighting without one; no positions", half(1, 129, 300)),
    "two_sided_mixed": (
        dict(SMALL, causal=False, num_hidden_layers=5, norm="layer",
             layers=[one(local(37)), one(full(), merge="input_gate"), one(local(64), glob(tokens=2, projections="own")),
                     one(random(1, 5, seed=2), local([1, 2, 64, 65])), one(random(2, 3), local(9), merge="gate")]),
        "every layer another", half(1, 65, 500)),
    "store": (
        dict(SMALL, layers=[one(local(64)), gated(local(64), store(128, 64, 4))]),
        "the four best of the 128 rows before a segment of 64, a gate, in the second layer", half(1, 63, 64, 65, 449)),
    "store-all": (
        dict(SMALL, layers=gated(local(40), store(0, 64, 3))),
        "of all rows before the segment, in every layer", half(1, 64, 65, 257)),
    "compressive": (
        dict(SMALL, layers=gated(local(40), compressive(64))),
        "Infini-attention: a window and a matrix of the segments before", half(1, 63, 64, 65, 449)),
    "compressive-delta": (
        dict(SMALL, layers=gated(local(40), compressive(64, rule="delta"))),
        "the same with the delta rule", half(1, 63, 64, 65, 449)),
    "learned-softmax": (
        dict(SMALL, layers=one(local(40), learned(19))),
        "19 learned slots in one softmax with a window", half(1, 64, 65, 300)),
    "learned-none": (
        dict(SMALL, attention_scale=0.1, layers=one(local(40), learned(5, normalize="none"), merge="sum")),
        "five slots that scores weigh as they are, added", half(1, 64, 65, 300)),
    "learned-gate": (
        dict(SMALL, layers=gated(local(40), learned(70))),
        "70 slots behind a gate of each head", half(1, 64, 65, 300)),
    "learned-concat": (
        dict(SMALL, layers=one(learned(64), local(40), merge="concat")),
        "64 slots and a window, their results side by side", half(1, 64, 65, 300)),
    "compressed-past": (
        dict(SMALL, layers=one(recurrence(64, 64), past(4))),
        "Compressive Transformer: means of four rows that have left the recurrence", half(1, 64, 65, 129, 449)),
    "armt": (
        dict(SMALL, layers=one(local(64)), memory=wrapped("associative", 64, tokens=4, width=32)),
        "ARMT: four memory tokens behind segments of 64", dict(half(1, 63, 64, 65, 449), calm=0.5)),
    "rmt": (
        dict(SMALL, layers=one(full()), memory=wrapped("tokens", 64, tokens=4)),
        "RMT: four memory tokens before and behind segments of 64", dict(half(1, 63, 64, 65, 449), calm=0.5)),
    "input-memory": (
        dict(SMALL, layers=one(full()), memory=wrapped("input", 64, rows=32)),
        "32 tokens before a segment of 64 are read again with it", half(1, 63, 64, 65, 449)),
    "store-cosine": (
        dict(SMALL, layers=[one(local(40)), gated(store(100, 64, 5, similarity="cosine"), local(64), gate_of="others")]),
        "by the cosine, with a scale of each head; the gate weighs the window", half(1, 65, 449)),
    "store-rotated": (
        dict(SMALL, num_key_value_heads=4, rotary_width=6, layers=[one(local(40)), gated(local(64), store(128, 64, 3, keys="rotated"))]),
        "by keys as they are turned; a key/value head for each query head", half(1, 64, 321)),
    "store-joined": (
        dict(SMALL, query_key_norm=True, layers=[one(local(40)), one(local([1, 30, 64, 100]), store(130, 64, 4))]),
        "in one softmax with windows of each head, of which it shows none; normed", half(1, 64, 65, 449)),
    "store-recurrence": (
        dict(SMALL, layers=[one(recurrence(64, 64)), one(recurrence(32, 32), store(100, 48, 4))]),
        "in one softmax with a recurrence: what has left it", half(31, 32, 33, 350)),
    "store-odd": (
        dict(SMALL, position="alibi", prefix=[7], layers=[one(local(40)), gated(local(33), store(77, 50, 4), gate_empty="skip")]),
        "segments of 50 rows with a prefix, 77 before; a query without a memory has the window alone; ALiBi",
        half(1, 48, 49, 50, 349)),
    "store-relative": (
        dict(SMALL, position="relative", clamp_len=50, norm_place="post",
             layers=[one(local(40)), gated(local(64), store(128, 64, 4, similarity="cosine"))]),
        "beside relative positions, which it does not have", half(1, 65, 300)),
    "store-one-group": (
        dict(SMALL, num_key_value_heads=1, position="none", attention_scale=0.7,
             layers=[one(local(40)), one(local(30), store(64, 16, 7), merge="gate")]),
        "one key/value head, segments of 16, a gate over two softmaxes", half(15, 16, 17, 300)),
    "store-far": (
        dict(SMALL, layers=[gated(local(30), store(250, 20, 2)), gated(local(30), store(3, 1, 1))]),
        "250 rows before segments of 20, and one of the three rows before each", half(2, 21, 400)),
    "store-window": (
        dict(SMALL, rotary_theta=100.0,
             layers=[one(local(40)), gated(local(50), fixed(3, place="window"), store(0, 32, 3))]),
        "beside a window and sinks that are placed at its edge", half(1, 32, 33, 200)),
    "compressive-odd": (
        dict(SMALL, position="alibi", prefix=[6], query_key_norm=True, layers=gated(compressive(50), local(33))),
        "segments of 50 rows with a prefix; ALiBi, which the memory does not have; normed", half(1, 48, 49, 50, 349)),
    "compressive-tiled": (
        dict(SMALL, num_attention_heads=6, layers=gated(local(40), compressive(32, heads="tiled"))),
        "query head h reads the memory of key/value head h mod 2 of six", half(31, 32, 33, 300)),
    "compressive-others-skip": (
        dict(SMALL, norm_place="post", attention_bias=True,
             layers=gated(local(40), fixed(2), compressive(48, rule="delta"), gate_of="others", gate_empty="skip")),
        "the gate weighs window and sinks; the first segment has them alone; delta rule, biases, post-norm",
        half(1, 47, 48, 49, 350)),
    "compressive-gate": (
        dict(SMALL, position="relative", clamp_len=12,
             layers=[one(compressive(64), local(20), merge="gate"), one(local(20), compressive(16, rule="delta"), merge="input_gate")]),
        "a softmax gate and gates from the input; relative positions, which the memory does not have", half(1, 64, 65, 300)),
    "compressive-sum": (
        dict(SMALL, position="none",
             layers=[one(compressive(30), merge="sum"), one(local(50), compressive(64), merge="concat")]),
        "alone, so that the first queries have nothing; and beside a window; no positions", half(1, 30, 65, 300)),
    "compressive-long": (
        dict(SMALL, layers=[gated(local(16), compressive(2)), gated(local(16), compressive(1, rule="delta"))]),
        "1009 segments of two rows, 2018 of one", half(1, 2, 3, 2018)),
    "compressed-past-conv": (
        dict(SMALL, norm_place="post", attention_bias=True, layers=one(recurrence(64, 32), past(4, compress="convolution"))),
        "by a convolution of four rows; post-norm, biases", half(1, 65, 97, 449)),
    "compressed-past-rows": (
        dict(SMALL, query_key_norm=True, position="alibi", prefix=[3], layers=one(past(16, rows=3), recurrence(48, 0))),
        "the last three means of 16 rows, no memory before the segment; normed, ALiBi, a prefix", half(1, 46, 47, 48, 400)),
    "compressed-past-gate": (
        dict(SMALL, score_cap=9.0, num_key_value_heads=4,
             layers=[one(recurrence(32, 64), past(8, compress="convolution", rows=5), local(20), merge="gate"),
                     one(recurrence(128, 64), past(64), merge="input_gate")]),
        "a softmax of its own beside others; convolutions of eight rows, means of 64; capped", half(1, 128, 193, 450)),
    "compressed-past-memory": (
        dict(SMALL, query_key_norm=True, rotary_pairs="adjacent",
             layers=gated(learned(10), recurrence(20, 30), past(2, compress="convolution"))),
        "in one softmax with the recurrence, beside slots; segments of 20, pairs of rows", half(1, 19, 50, 51, 300)),
    "learned-relative": (
        dict(SMALL, position="relative", clamp_len=40, score_cap=6.0, prefix=[1], query_key_norm=True,
             layers=[one(learned(33), local([1, 20, 64, 90]), fixed(2)), gated(full(), learned(1), gate_of="others")]),
        "slots have no distance; capped, normed, with windows of each head and sinks; one slot", half(1, 64, 300)),
    "input-memory-two-sided": (
        dict(SMALL, causal=False, layers=one(local(40)), memory=wrapped("input", 100, rows=30)),
        "two-sided within 30 tokens before a segment of 100 and itself", half(1, 100, 101, 450)),
    "input-memory-learned": (
        dict(SMALL, position="learned", max_position=81, layers=one(full()), memory=wrapped("input", 30, rows=50)),
        "learned positions, more tokens before a segment than it has", half(1, 30, 31, 60, 350)),
    "input-memory-none": (
        dict(SMALL, layers=one(full()), memory=wrapped("input", 50, rows=0)),
        "nothing is read again: segments for themselves, whose first tokens nothing predicts", half(1, 50, 51, 201)),
    "input-memory-prefix": (
        dict(SMALL, prefix=[4, 9], norm_place="post", position="alibi",
             layers=[one(recurrence(16, 20)), one(fixed(3), local(30), merge="concat")], memory=wrapped("input", 64, rows=1)),
        "a prefix of two and one token before every segment; a recurrence that starts anew", half(1, 65, 321)),
    "armt-odd": (
        dict(SMALL, num_hidden_layers=4, position="learned", max_position=56, query_key_norm=True, embedding_scale=1.7,
             layers=one(local(20), fixed(2)), memory=wrapped("associative", 50, tokens=5, width=16, nu=2)),
        "four layers, segments of 50, learned positions, also of the memory tokens; nu 2", dict(half(1, 49, 50, 51, 349), calm=0.5)),
    "armt-long": (
        dict(SMALL, layers=one(full()), memory=wrapped("associative", 2, tokens=1, width=48)),
        "1009 segments of two tokens", dict(half(1, 2, 3, 202, 2018), calm=0.4, change=3)),
    "armt-post": (
        dict(SMALL, norm_place="post", position="relative", clamp_len=12, layers=one(recurrence(10, 8)), num_key_value_heads=1,
             memory=wrapped("associative", 33, tokens=2, width=32, nu=1)),
        "post-norm, relative positions, a recurrence within the segment; nu 1", dict(half(1, 33, 34, 363), calm=0.5)),
    "rmt-odd": (
        dict(SMALL, num_hidden_layers=3, position="learned", max_position=65, embedding_scale=2.0,
             tie_word_embeddings=False, head_bias=True, layers=one(local(40), learned(9)), memory=wrapped("tokens", 50, tokens=7)),
        "three layers, segments of 50, learned positions, a head of its own", dict(half(1, 49, 50, 51, 349), calm=0.5)),
    "rmt-long": (
        dict(SMALL, layers=one(full()), memory=wrapped("tokens", 2, tokens=1)),
        "1009 segments of two tokens", dict(half(1, 2, 3, 202, 2018), calm=0.3, change=3)),
    "rmt-post": (
        dict(SMALL, norm_place="post", position="alibi", norm="layer", layers=one(local(30), fixed(2)),
             memory=wrapped("tokens", 40, tokens=2)),
        "post-norm, ALiBi, a window that reaches over the segment alone", dict(half(1, 40, 41, 320), calm=0.4)),
    "last-gate": (
        dict(SMALL, layers=one(local(64)), norm_place="post", prefix=[8], last_memory=dict(slots=66, merge="gate", scale=0.4)),
        "66 slots after the last layer, which has no norm behind it; a gate of each feature; a scale", half(1, 64, 300)),
    "last-project": (
        dict(SMALL, layers=one(local(64)), last_memory=dict(slots=5, merge="concat", normalize="none", scale=0.05)),
        "five slots without a softmax, beside the hidden rows, projected", half(1, 64, 300)),
    "last-concat-plain": (
        dict(SMALL, causal=False, layers=one(local(20)), tie_word_embeddings=False, head_bias=True, logit_cap=7.0,
             last_memory=dict(slots=64, normalize="none", merge="concat", project=False, scale=0.03)),
        "two-sided, 64 slots without a softmax beside the hidden rows; a bias, capped", half(1, 64, 300)),
    "last-add": (
        dict(SMALL, layers=one(local(64)), last_memory=dict(slots=17)),
        "17 slots after the last norm, added", half(1, 64, 65, 300)),
    "last-concat": (
        dict(SMALL, layers=one(local(64)), tie_word_embeddings=False,
             last_memory=dict(slots=17, merge="concat", project=False)),
        "17 slots beside the hidden rows: the head reads both", half(1, 64, 65, 300)),
}


# ---------------------------------------------------------------- weights and documents


def randomise(model, rng):
    """Draws every parameter at a scale at which nothing is negligible and attention is neither flat nor a spike."""
    D = model.c.hidden_size
    for name, p in sorted(model.named_parameters()):
        draw = rng.standard_normal(tuple(p.shape))
        if "norm" in name and name.endswith("weight"):
            draw = 1 + 0.3 * draw
        elif name.endswith("bias"):
            draw *= 0.3
        elif name.endswith(("embed.weight", "head.weight", "position.weight")):
            draw *= 1.5 / D ** 0.5
        elif name.endswith("attention.span"):
            draw = np.array(SPANS)
        elif name.endswith(("memory_keys", "memory_values")):
            draw *= 1.2
        elif name.endswith("store_scale"):
            draw = 3 * draw + np.sign(draw)
        elif name.endswith("compress.weight"):
            draw *= 1.2 / (p.shape[1] * p.shape[2]) ** 0.5
        elif name in ("last_memory.keys", "last_memory.values"):
            draw *= 1.5
        elif name.startswith("memory.layers.") and name.endswith("value.weight"):
            draw *= 0.3 / D ** 0.5
        elif any(part in name for part in (".q.", ".k.", "global_q.", "global_k.")):
            draw *= (1.6 if "q" in name else 1.2) / D ** 0.5
        elif not name.endswith(("attention.gate", "memory_gate", "last_memory.gate")) and "relative.u" not in name and "relative.v" not in name:
            draw *= 1.2 / p.shape[-1] ** 0.5
        p.copy_(torch.from_numpy(draw))


def choose_rows(n):
    """Rows of which hidden is kept: borders of 64-row blocks and a spread."""
    rows = {m + d for m in (64, 128, 256, 512, 1024) for d in (-1, 0)} | {0, 1, n - 1}
    rows |= set(np.linspace(0, n - 1, 8).astype(int).tolist())
    return np.array(sorted(r for r in rows if 0 <= r < n))


def run(model, ids):
    """(nll, hidden) of one document."""
    nll, hidden = model.measured(ids)
    return nll.double().numpy(), hidden.double().numpy()


# ---------------------------------------------------------------- checks


def choices_of(layer):
    """How many blocks a layer chooses, 0 if it does not."""
    chosen, selected_ = layer.attention.branch("chosen"), layer.attention.branch("selected")
    return chosen.blocks if chosen else selected_.blocks - 1 if selected_ else 0


def choices(model):
    """{layer: what it chose, (T, G, k)} of the last document."""
    found = {}
    for number, scores in model.scores.items():
        k = choices_of(model.layers[number])
        if k:
            picked = reference.best(*scores, k)
            blocks = torch.arange(picked.shape[-1]).where(picked, picked.shape[-1]).sort(-1).values
            blocks = torch.nn.functional.pad(blocks, (0, k), value=picked.shape[-1])[..., :k]
            found[number] = blocks.where(blocks < picked.shape[-1], -1).int().numpy()
    return found


def found(model, rows):
    """{layer: the rows that the rows named took from a store, rising, (r, H, k)} of the last document."""
    taken = {}
    for number, of_layer in model.found.items():
        if of_layer is not None:
            k = of_layer[0].shape[-1] - 1
            j = of_layer[0][..., :k]
            j = j.where(j >= 0, np.iinfo(np.int32).max).sort(-1).values
            taken[number] = j.where(j < np.iinfo(np.int32).max, -1)[rows + len(model.c.prefix)].int().numpy()
    return taken


def margin_of_store(model):
    """The least distance between the last key taken and the first one left, as a share of the scores.

    Keys that are equal (of the same token, in the first layer) may take each other's place: their values are equal."""
    least = np.inf
    for of_layer in model.found.values():
        if of_layer is not None:
            taken, left = of_layer[1][..., -2], of_layer[1][..., -1]
            size = of_layer[1][..., 0].abs().maximum(taken.abs())
            there = (left > -np.inf) & (taken - left > 1e-13 * size)
            least = min(least, float(((taken - left) / size)[there].min()) if there.any() else np.inf)
    return least


def margin(model):
    """The least distance between the last block taken and the first one left, as a share of the scores."""
    least = np.inf
    for number, taken in choices(model).items():
        score, candidates = model.scores[number]
        k = taken.shape[-1]
        order = score.masked_fill(~candidates, -np.inf).sort(-1, descending=True).values
        there = candidates.sum(-1) > k
        if there.any():
            gap = order[..., k - 1] - order[..., k]
            by_token = model.layers[number].attention.branch("selected")
            size = order[..., k - 1] if by_token else score.masked_fill(~candidates, 0).abs().amax(-1)
            least = min(least, float((gap / size)[there].min()))
    return least


def error_of_loops(model, ids, step):
    """How far the attention of every layer is from branches_by_loops, relative to its largest value."""
    worst, inputs = 0.0, []
    hooks = [layer.attention.register_forward_hook(lambda _, x, y: inputs.append((x[0], y))) for layer in model.layers]
    model(ids)
    for hook in hooks:
        hook.remove()
    count = len(model.layers)
    for number, (x, y) in list(enumerate(inputs))[:count] + list(enumerate(inputs))[count:][-3 * count:]:
        number %= count
        w = {name: p.numpy() for name, p in model.layers[number].attention.state_dict().items()}
        queries = list(range(0, len(x), step)) + [len(x) - 1]
        again = Layer(model.config, number, w)
        worst = max(worst, float(np.abs(again.run(x, queries) - y.numpy()[queries]).max() / y.abs().max()))
        for (head, i), taken in again.taken.items():
            assert [j for j in model.found[number][0][i, head].tolist() if j >= 0][:len(taken)] == taken
    return worst


def error_around(model, ids, want_nll, want_hidden):
    """How far the whole model is from wrapped_by_loops, relative to its largest values."""
    hidden, nll = wrapped_by_loops.run(model, ids)
    assert (np.isnan(nll) == np.isnan(want_nll)).all()
    return max(float(np.abs(hidden - want_hidden).max() / np.abs(want_hidden).max()),
               float(np.nanmax(np.abs(nll - want_nll) / np.maximum(1, want_nll), initial=0)))


def steps(config):
    """Every configuration that differs in one number, word or switch and has the same tensors."""
    other = dict(rotary_pairs={"half": "adjacent", "adjacent": "half"}, place={"text": "window", "window": "text"},
                 activation=dict(relu="gelu", gelu="gelu_tanh", gelu_tanh="gelu", silu="gelu"),
                 keys=dict(plain="rotated", rotated="plain"), rule=dict(linear="delta", delta="linear"),
                 heads=dict(grouped="tiled", tiled="grouped"), gate_of=dict(memory="others", others="memory"),
                 gate_empty=dict(mix="skip", skip="mix"), normalize=dict(softmax="none", none="softmax"))
    by_one = ("window", "sinks", "segment", "memory", "clamp_len", "tokens", "blocks", "reach", "beyond", "seed", "levels",
              "ramp", "neighbours", "nu")
    lists = ("window", "positions")
    by_part = ("rotary_theta", "attention_scale", "score_cap", "logit_cap", "embedding_scale", "norm_eps", "scale")
    units = {"recurrence": [b["pool"] for layer in (config["layers"] if isinstance(config["layers"], list)
                                                    else [config["layers"]])
                            for b in layer["branches"] if b["type"] == "compressed_past"]}
    implied = {"store": dict(keys="plain"), "compressive": dict(rule="linear", heads="grouped"),
               "associative": dict(nu=3)}

    def walk(node, path):
        if isinstance(node, dict):
            node = {**implied.get(node.get("type"), {}), **node}
            if node.get("merge") == "memory_gate":
                never_empty = any(b["type"] == "learned" for b in node["branches"])
                node = {**dict(gate_of="memory"), **({} if never_empty else dict(gate_empty="mix")), **node}
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            here = path + (key,)
            if isinstance(value, (dict, list)) and key != "prefix":
                yield from walk(value, here)
            elif key in other and isinstance(value, str):
                yield here, other[key][value]
            elif isinstance(value, bool) and key == "same_length":
                yield here, not value
            elif key == "segment" and node.get("same_length"):
                continue  # the window is then of the memory alone
            elif key == "pool":
                yield here, value // 2 if value == 64 else value * 2
            elif key == "window" and node["type"] == "levels":
                yield here, value + node["pool"]
            elif key in by_one and units.get(node.get("type")):
                yield here, value + max(units[node["type"]])
            elif here == ("memory", "tokens"):
                continue  # the shape of a tensor
            elif key == "memory" and value == 0 and node.get("type") == "store":
                continue  # all
            elif key == "rows" and node.get("type") in ("input", "compressed_past"):
                yield here, value + 1 if value else 1
            elif key in by_one or (path and path[-1] in lists):
                yield here, value + 1
            elif key in by_part:
                yield here, value * 1.01
            elif key == "rotary_width":
                yield here, value - 2
            elif key == "prefix":
                yield here, [5] * len(value)

    defaults = dict(clamp_len=30) if config.get("position") == "relative" else {}
    defaults |= {} if config.get("position", "rotary") != "rotary" else dict(rotary_theta=1e4, rotary_pairs="half")
    config = {**defaults, **config, "activation": config.get("activation", "silu")}
    for path, value in walk(config, ()):
        changed = copy.deepcopy(config)
        node = changed
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
        yield path, changed


def least_change(model, ids):
    """The step of the configuration that moves the nll least, and by how much."""
    want, least = model.nll(ids).numpy(), (np.inf, "")
    for path, changed in steps(model.config):
        try:
            other = reference.Model(changed).double()
        except ValueError:  # the step leads out of the family
            continue
        if {n: p.shape for n, p in other.named_parameters()} != {n: p.shape for n, p in model.named_parameters()}:
            continue  # it asks for other tensors
        other.load_state_dict(model.state_dict())
        moved = float(np.nanmax(np.abs(other.nll(ids).numpy() - want)))
        least = min(least, (moved, ".".join(map(str, path))))
    return least


# ---------------------------------------------------------------- a fixture


def drawn(name, attempt, folder):
    """A model with weights drawn at random, stored, and what its documents are drawn with."""
    keys, _, how = CASES[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()) + attempt)
    is_bytes = keys.get("vocab_size", 256) == 256
    model = reference.Model({**DEFAULT, **(dict(tokenizer="bytes") if is_bytes else {}), **keys})
    randomise(model, rng)
    for name, p in model.named_parameters():  # a chain of segments must not make much of small differences
        if name.startswith("layers.") and name.endswith(("attention.o.weight", "feed.down.weight")):
            p *= how.get("calm", 1)
    model.save(folder, TYPES[how.get("dtype", "float32")])
    model = reference.Model.load(folder, torch.float64)
    documents = [torch.from_numpy(rng.integers(0, model.c.vocab_size, n)) for n in how.get("documents", DOCUMENTS)]
    return model, documents


def least_margin(model, documents):
    """That of all documents; of stores, which choose for every query and head, a larger one counts."""
    least, has_store = np.inf, any(layer.attention.branch("store") for layer in model.layers)
    for ids in documents if has_store or any(choices_of(layer) for layer in model.layers) else []:
        model(ids)
        least = min(least, margin_of_store(model) if has_store else margin(model))
        if least < (STORE_MARGIN if has_store else MARGIN):
            return 0
    return least


def make(name, outdir):
    _, note, how = CASES[name]
    folder = os.path.join(outdir, name)
    shutil.rmtree(folder, ignore_errors=True)
    attempt, least = how.get("draw", 0), 0  # where the first weights are such that float32 comes near to 1e-5
    while not least:
        model, documents = drawn(name, attempt, folder)
        attempt, least = attempt + 1, least_margin(model, documents)

    single = reference.Model.load(folder, torch.float32)
    expected, coarse, around = {}, 0.0, 0.0
    for k, ids in enumerate(documents):
        ids.numpy().astype("u1" if model.c.tokenizer else "<u2").tofile(os.path.join(folder, f"doc{k}.bin"))
        nll32, hidden32 = run(single, ids)
        nll, hidden = run(model, ids)
        rows, taken = choose_rows(len(ids)), choices(model)
        expected.update({f"doc{k}.found_{number}": j for number, j in found(model, rows).items()})
        assert all((j == found(single, rows)[number]).all() for number, j in found(model, rows).items())
        around = max(around, error_around(model, ids, nll, hidden))
        for number in taken:
            expected[f"doc{k}.choices_{number}"] = taken[number]
            assert (taken[number] == choices(single)[number]).all()
        model.choices = taken  # what is given back changes nothing
        assert not taken or (run(model, ids)[1] == hidden).all()
        model.choices = {}
        alone = model.c.memory and getattr(model.c.memory, "rows", 1) == 0  # segments that nothing comes before
        none = 0 if model.c.prefix or not model.c.causal else -(-len(ids) // model.c.memory.segment) if alone else 1
        assert np.isnan(nll).sum() == none and not np.isnan(hidden).any()
        coarse = max(coarse, np.abs(hidden32 - hidden).max() / np.abs(hidden).max(),
                     np.nanmax(np.abs(nll32 - nll) / np.maximum(1, nll), initial=0))
        expected.update({f"doc{k}.id": ids.numpy().astype(np.int32), f"doc{k}.nll": nll,
                         f"doc{k}.rows": rows.astype(np.int32), f"doc{k}.hidden": hidden[rows]})
    ids = documents[how.get("change", -1)]
    loops = error_of_loops(model, ids, 29) if "documents" in how else error_of_loops(model, ids[:300], 11)
    moved, by = least_change(model, ids)
    save_file(expected, os.path.join(folder, "expected.safetensors"))
    total = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name:19}{total / 1000:5.0f} kB   loops {loops:.0e}, {around:.0e}   float32 {coarse:.0e}   "
          f"least change {moved:.0e} ({by})" + (f"   margin {least:.1e}, draw {attempt}" if least < np.inf else ""), flush=True)
    assert loops < 1e-12 and around < AROUND and coarse < 1e-5 and moved > 5e-4, name
    case = {"documents": len(documents), "note": note, "float32_error": float(f"{coarse:.1e}"),
            "least_change": float(f"{moved:.1e}")} | ({"margin": float(f"{least:.1e}")} if least < np.inf else {})
    with open(os.path.join(folder, "case.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(case, indent=2) + "\n")
    for file in os.listdir(folder):
        os.chmod(os.path.join(folder, file), 0o644)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for case in sys.argv[2:] or CASES:
        make(case, sys.argv[1])
