"""Makes longspan models whose weights are written by hand: what they copy from far away is exact at any distance.

Usage: python3 make_reach.py OUTDIR [CASE...]        (torch, safetensors, numpy; data/reference.py)

    window       one layer: the byte at the far edge of a window of 200
    layers       three layers: the byte three windows back, one window edge after the other
    sink         four sinks; the byte read asks for one of them by its bits 5 and 6
    sink-window  the first byte of the document, found by the place that place "window" gives it
    global       the same four bytes as the sinks, at rows that are global
    random       two layers of two heads: two bits of a byte each, from blocks that each of them drew
    chosen       one of four blocks at the beginning, which the block before asked for
    selected     the same, which every token asks for
    levels       one of four bytes at the beginning, through means of means of means
    compressed-past
                 the same, through means of rows that have left the memory
    dynamic      the byte at the far end of a learned span of 199
    two-sided    three layers: the byte three windows ahead
    store        the bytes of the sinks, as what matches best of all the text before a segment
    compressive, compressive-delta   the sinks' bytes, given once, in a matrix
    armt         the same, which memory tokens write into a layer's matrix
    rmt          the same, which memory tokens carry from segment to segment

Every OUTDIR/CASE holds
    config.json, model.safetensors   the model
    config.short.json                the same weights with a shorter reach
    text.bin                         `head` bytes, then twice `period` bytes; a test repeats the last `period` as it likes
    reach.json                       head, period (0: there is no more text than the head); what must hold at any length:
        from, behind, nll_below      every token from this one on, but for the last `behind`, has a lower nll
        short_mean_above             with config.short.json their mean is higher, in the first `short` bytes
"""
import copy
import json
import math
import os
import shutil
import sys

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data"))
import reference  # noqa: E402

torch.set_num_threads(1)
torch.set_grad_enabled(False)

EPS, SURE = 1e-5, 10.0  # every wrong bit of a prediction costs 2 * SURE in its logit
CODE = torch.tensor([[1.0 if byte >> bit & 1 else -1.0 for bit in range(8)] for byte in range(256)])
BASE = dict(model_type="longspan", vocab_size=256, tokenizer="bytes", num_hidden_layers=1, num_attention_heads=1,
            intermediate_size=1, attention_scale=1.0, tie_word_embeddings=False, norm_eps=EPS)
GAP = 25.0  # by how much the score of the key meant exceeds every other
NUMBER, PAYLOAD = [0b00, 0b01, 0b11, 0b10], [0b00001, 0b11110, 0b10011, 0b01100]  # of four bytes; numbers in Gray code
MARKS = torch.tensor([[1.0 if number >> row & 1 else -1.0 for row in range(2)] for number in NUMBER])  # as columns


def blank(**keys):
    """A model with all weights 0 and gains 1, whose embedding holds the eight bits of a byte as +-1."""
    model = reference.Model({**BASE, **keys})
    for name, p in model.named_parameters():
        p.fill_(1.0 if "norm" in name else 0.0)
    model.embed.weight[:, :8] = CODE
    return model


def even(norm, share):
    """The gain that gives rows of which this share is +-1, the rest 0, back as they are."""
    norm.weight.fill_(math.sqrt(share + EPS))


def copy_bits(attention, source, target, sign=1.0):
    """What the eight columns from `source` hold at a key is added to those from `target` at the query."""
    for bit in range(8):
        attention.v.weight[bit, source + bit] = sign
        attention.o.weight[target + bit, bit] = 1.0


def peak(frequency, distance, reach):
    """The factor A with which the largest of A sum cos(f (t - distance)), t in `reach`, is ahead by GAP."""
    t = np.setdiff1d(np.asarray(reach), [distance])[:, None]
    return GAP / (len(frequency) - np.cos((t - distance) * frequency).sum(1).max())


def find_by_rotation(attention, distance, reach):
    """Biases of query and key with which rotary attention picks one distance out of `reach`."""
    w = attention.c.head_dim
    f = attention.c.rotary_theta ** (-np.arange(0, w, 2) / w)
    attention.k.bias[:w // 2] = 1.0
    angle = torch.from_numpy(-distance * f)
    attention.q.bias.copy_(peak(f, distance, reach) * torch.cat([angle.cos(), angle.sin()]))


def find_by_distance(attention, distance, reach):
    """The same by the vector v of relative positions: R is the identity, v along r of the distance."""
    D = attention.c.hidden_size
    f = 10000.0 ** (-np.arange(0, D, 2) / D)
    attention.relative.weight.copy_(torch.eye(D))
    attention.relative.v.copy_(peak(f, distance, reach) * reference.sinusoids(torch.tensor([distance]), D))


def ask(attention, number, kind):
    """The score grows by `number` for each equal bit of the two that are asked for, by `kind` if bit 7 is clear."""
    for row, bit in enumerate((5, 6)):
        attention.q.weight[row, bit] = number
        attention.k.weight[row, bit] = 1.0
    attention.q.bias[2] = -kind
    attention.k.weight[2, 7] = 1.0


def window():
    """The token at the far edge of the window is predicted; the text repeats itself with the window's length."""
    W = 200
    model = blank(hidden_size=16, attention_bias=True, layers=dict(branches=[dict(type="local", window=W)]))
    even(model.layers[0].attention_norm, 1 / 2)
    find_by_rotation(model.layers[0].attention, W - 1, range(W))
    copy_bits(model.layers[0].attention, 0, 8)
    model.head.weight[:, 8:] = SURE * CODE
    short = copy.deepcopy(model.config)
    short["layers"]["branches"][0]["window"] = W - 1
    return model, short, b"", W, W


def layers():
    """Layer after layer looks at the edge of its window: in all 3 (W - 1) tokens back."""
    W, L = 200, 3
    model = blank(hidden_size=32, num_hidden_layers=L, position="relative",
                  layers=dict(branches=[dict(type="local", window=W)]))
    for number, layer in enumerate(model.layers):
        even(layer.attention_norm, (number + 1) / 4)
        find_by_distance(layer.attention, W - 1, range(W))
        copy_bits(layer.attention, 8 * number, 8 * number + 8)
    model.head.weight[:, 8 * L:] = SURE * CODE
    short = copy.deepcopy(model.config)
    short["layers"] = [dict(branches=[dict(type="local", window=W - (number == L - 1))]) for number in range(L)]
    return model, short, b"", L * (W - 1) + 1, L * (W - 1) + 1


def sink():
    """Sinks have bit 7 clear, their number (Gray code) in bits 6 and 5, and a payload in the others.

    All later bytes have bit 7 set; they ask for the sink of their number, and the next byte has its payload and the
    next number. Bytes of the window show no payload: without bit 7 the score is lower by 2 GAP.
    """
    model = blank(hidden_size=16, head_dim=8, position="none", attention_bias=True, head_bias=True,
                  layers=dict(branches=[dict(type="local", window=16), dict(type="fixed", sinks=4)]))
    even(model.layers[0].attention_norm, 1 / 2)
    attention = model.layers[0].attention
    ask(attention, GAP, GAP)
    copy_bits(attention, 0, 8)
    attention.v.weight[5:] = 0
    even(model.norm, 13 / 16)
    model.head.weight[:, 8:13] = SURE * CODE[:, :5]
    model.head.weight[:, 6], model.head.weight[:, 5] = -SURE * CODE[:, 5], SURE * CODE[:, 6]
    model.head.bias.copy_(SURE * CODE[:, 7])
    short = copy.deepcopy(model.config)
    short["layers"]["branches"][1]["sinks"] = 3
    head = bytes(NUMBER[n] << 5 | PAYLOAD[n] for n in range(4))
    period = bytes(128 | NUMBER[n] << 5 | PAYLOAD[n - 1] for n in range(4))
    return model, short, head, period, 4


def sink_window():
    """The first byte, at the distance it seems to have, is copied with all bits flipped; no other byte is as far."""
    W, s = 16, 4
    model = blank(hidden_size=16, attention_bias=True,
                  layers=dict(branches=[dict(type="local", window=W), dict(type="fixed", sinks=s, place="window")]))
    even(model.layers[0].attention_norm, 1 / 2)
    find_by_rotation(model.layers[0].attention, W - 1 + s, range(W + s))
    copy_bits(model.layers[0].attention, 0, 8, -1.0)
    model.head.weight[:, 8:] = SURE * CODE
    short = copy.deepcopy(model.config)
    short["layers"]["branches"][1]["place"] = "text"
    return model, short, b"a", bytes([ord("a") ^ 255]), W + s


def global_rows():
    """The sinks' bytes at four global rows of a beginning of 320 bytes; the rest of it is like the text that follows."""
    model, _, head, period, _ = sink()
    rows = [3, 70, 200, 319]
    branches = [dict(type="local", window=16), dict(type="global", positions=rows)]
    far = blank(**{**model.config, "layers": dict(branches=branches)})
    far.load_state_dict(model.state_dict())
    text = bytearray(period * 80)
    for row, byte in zip(rows, head):
        text[row] = byte
    short = copy.deepcopy(far.config)
    short["layers"]["branches"][1]["positions"] = rows[:3]
    return far, short, bytes(text), period, len(text) + 1


def draws():
    """Every bit of what a block repeats is the opposite of another bit of a block drawn eleven to twenty back.

    A block shows its byte from its second row to the first of the next: what its rows predict. Layer l and head h have
    the bits 4 l + 2 h and the next one. Nothing is seen but the one block drawn, and all of its rows alike.
    """
    branch, blocks, rng = dict(type="random", blocks=1, reach=20, beyond=10, seed=20261126), 63, np.random.default_rng(8)
    model = blank(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, head_dim=8, layers=dict(branches=[branch]))
    shown = [int(x) for x in rng.integers(0, 256, blocks)]
    for number, layer in enumerate(model.layers):
        even(layer.attention_norm, 1 / 2)
        for head in range(2):
            for bit in (4 * number + 2 * head, 4 * number + 2 * head + 1):
                layer.attention.v.weight[8 * head + bit % 2, (bit + 3) % 8] = -1.0
                layer.attention.o.weight[8 + bit, 8 * head + bit % 2] = 1.0
    model.head.weight[:, 8:] = SURE * CODE
    far = [reference.drawn(1, 20, 10, 20261126, layer, 2, blocks, True) for layer in range(2)]
    for b in range(11, blocks):
        for bit in range(8):
            source, = far[bit // 4][bit // 2 % 2, b].nonzero()[:, 0].tolist()
            shown[b] = shown[b] & ~(1 << bit) | (~shown[source] >> (bit + 3) % 8 & 1) << bit
    short = copy.deepcopy(model.config)
    short["layers"]["branches"][0]["reach"] = 19
    text = bytes([0]) + b"".join(bytes([byte] * 64) for byte in shown)
    return model, short, text[:4001], b"", 11 * 64 + 1


def chosen():
    """Four blocks of one byte each, bit 7 clear, with a number and a payload; then blocks that ask for one of them.

    What rows of a block predict follows from the block it chose: its payload, the number after its own, bit 7. The
    number is what the next block is chosen by. A block's byte stands from its second row to the first of the next here, too.
    """
    model = blank(hidden_size=16, head_dim=8, position="none", attention_bias=True, head_bias=True,
                  layers=dict(branches=[dict(type="chosen", blocks=1, reach=16384)]))
    even(model.layers[0].attention_norm, 1 / 2)
    ask(model.layers[0].attention, 5.0, 3 * GAP)
    copy_bits(model.layers[0].attention, 0, 8)
    even(model.norm, 1.0)
    model.head.weight[:, 8:13] = SURE * CODE[:, :5]
    model.head.weight[:, 14], model.head.weight[:, 13] = -SURE * CODE[:, 5], SURE * CODE[:, 6]
    model.head.bias.copy_(SURE * CODE[:, 7])
    short = copy.deepcopy(model.config)
    short["layers"]["branches"][0]["reach"] = 8
    head = b"".join(bytes([NUMBER[n] << 5 | PAYLOAD[n]] * 64) for n in range(4))
    period = b"".join(bytes([128 | NUMBER[n] << 5 | PAYLOAD[n - 1]] * 64) for n in range(4))
    return model, short, head + period[-1:], period, len(head) + 1


def selected():
    """The same four blocks, of which every token asks for one by its number; the text is that of the sinks.

    Means of the blocks that follow have no number, since each has as many of the one as of the other.
    """
    model = blank(hidden_size=16, head_dim=8, position="none", attention_bias=True, head_bias=True,
                  layers=dict(branches=[dict(type="compressed", pool=64), dict(type="selected", blocks=2)], merge="gate"))
    attention = model.layers[0].attention
    even(model.layers[0].attention_norm, 1 / 2)
    ask(attention, 8.0, 3 * GAP)
    copy_bits(attention, 0, 8)
    attention.v.weight[5:] = 0
    attention.gate.copy_(torch.tensor([[-60.0], [60.0]]))
    even(model.norm, 13 / 16)
    model.head.weight[:, 8:13] = SURE * CODE[:, :5]
    model.head.weight[:, 6], model.head.weight[:, 5] = -SURE * CODE[:, 5], SURE * CODE[:, 6]
    model.head.bias.copy_(SURE * CODE[:, 7])
    short = copy.deepcopy(model.config)
    short["layers"]["branches"][0]["reach"] = 8
    head = b"".join(bytes([NUMBER[n] << 5 | PAYLOAD[n]] * 64) for n in range(4))
    period = bytes(128 | NUMBER[n] << 5 | PAYLOAD[n - 1] for n in range(4))
    return model, short, head, period, len(head) + 1


def levels(unit=4096):
    """Four marked bytes, 4096 apart, stand out of means of 4096 rows that they are the only ones to have a part in.

    Columns: 0, 1 the number (asked for), 2, 3 the same of marked bytes alone (the key), 4 .. 8 their payload, 9 keeps
    all rows as long as these; 10 .. 14 what was found, brought to size by the norm behind attention. Keys and values
    of bytes that are not marked are 0, so that a mean of u rows scores 2 A / u for the marked byte asked for.
    """
    model = blank(hidden_size=16, head_dim=8, position="none", norm_place="both", head_bias=True,
                  layers=dict(branches=[dict(type="levels", window=256, pool=16, levels=3)]))
    embed, attention = model.embed.weight, model.layers[0].attention
    embed.fill_(0.0)
    embed[:, :2] = CODE[:, 5:7]
    embed[:128, 2:4], embed[:128, 4:9] = CODE[:128, 5:7], CODE[:128, :5]
    embed[128:, 9] = math.sqrt(7)
    even(model.layers[0].attention_norm, 9 / 16)
    for column in range(2):
        attention.q.weight[column, column] = 1.2 * GAP * unit / 2
        attention.k.weight[column, 2 + column] = 1.0
    for bit in range(5):
        attention.v.weight[bit, 4 + bit] = 1.0
        attention.o.weight[10 + bit, bit] = float(unit)
    even(model.layers[0].attention_post_norm, 5 / 16)
    even(model.norm, 14 / 16)
    model.head.weight[:, 10:15] = SURE * CODE[:, :5]
    model.head.weight[:, 1], model.head.weight[:, 0] = -SURE * CODE[:, 5], SURE * CODE[:, 6]
    model.head.bias.copy_(SURE * CODE[:, 7])
    short = copy.deepcopy(model.config)
    short["layers"]["branches"][0]["levels"] = 1
    period = bytes(128 | NUMBER[n] << 5 | PAYLOAD[n - 1] for n in range(4))
    text = bytearray(period * unit)
    for n in range(4):
        text[n * unit] = NUMBER[n] << 5 | PAYLOAD[n]
    return model, short, bytes(text), period, len(text)


def compressed_past():
    """The same four bytes, in means of 64 rows that have left the memory; all other rows of the past score 0."""
    unit = 64
    model = blank(hidden_size=16, head_dim=8, position="none", norm_place="both", head_bias=True, layers=dict(branches=[
        dict(type="recurrence", segment=64, memory=64), dict(type="compressed_past", pool=unit)]))
    far, _, text, period, _ = levels(unit)
    model.load_state_dict(far.state_dict())
    short = copy.deepcopy(model.config)
    short["layers"]["branches"][1]["rows"] = 8
    return model, short, text, period, 2 * len(text)


def dynamic():
    """The token at the far end of a span of 199 with the steepest ramp, which shows 200 keys."""
    S = 199
    model = blank(hidden_size=16, attention_bias=True, layers=dict(branches=[dict(type="dynamic", window=S, ramp=1)]))
    even(model.layers[0].attention_norm, 1 / 2)
    model.layers[0].attention.span.fill_(1.0)
    find_by_rotation(model.layers[0].attention, S, range(S + 1))
    copy_bits(model.layers[0].attention, 0, 8)
    model.head.weight[:, 8:] = SURE * CODE
    short = copy.deepcopy(model.config)
    short["layers"]["branches"][0]["window"] = S - 1
    return model, short, b"", S + 1, S + 1


def two_sided():
    """Layer after layer looks at the far edge of its window, ahead; a row says its own token by what it found there."""
    W, L = 200, 3
    model = blank(hidden_size=32, head_dim=32, num_hidden_layers=L, causal=False, attention_bias=True,
                  layers=dict(branches=[dict(type="local", window=W)]))
    for number, layer in enumerate(model.layers):
        even(layer.attention_norm, (number + 1) / 4)
        find_by_rotation(layer.attention, -W, range(-W, W + 1))
        copy_bits(layer.attention, 8 * number, 8 * number + 8)
    model.head.weight[:, 8 * L:] = SURE * CODE
    short = copy.deepcopy(model.config)
    short["layers"] = [dict(branches=[dict(type="local", window=W - (number == L - 1))]) for number in range(L)]
    return model, short, b"", L * W, 0


def compressive(rule):
    """Of the sinks' bytes a compressive memory holds each in a row of its own; what follows leaves nothing in it.

    Component n of a key is 100 for the marked byte of number n, else -100 or less, so that s(k) = elu(k) + 1 is 0. A
    byte asks likewise, marked or not: so what it reads is the value of one key, however long ago.
    """
    model = blank(hidden_size=16, head_dim=8, position="none", attention_bias=True, head_bias=True,
                  layers=dict(branches=[dict(type="local", window=16), dict(type="compressive", segment=50, rule=rule)],
                              merge="memory_gate"))
    attention, A = model.layers[0].attention, 100.0
    even(model.layers[0].attention_norm, 1 / 2)
    attention.q.bias.fill_(-A)
    attention.k.bias.fill_(-3 * A)
    for n, number in enumerate(NUMBER):
        for row, bit in enumerate((5, 6)):
            attention.q.weight[n, bit] = attention.k.weight[n, bit] = A if number >> row & 1 else -A
        attention.k.weight[n, 7] = -2 * A
    copy_bits(attention, 0, 8)
    attention.v.weight[5:] = 0
    attention.memory_gate.fill_(60.0)
    even(model.norm, 13 / 16)
    model.head.weight[:, 8:13] = SURE * CODE[:, :5]
    model.head.weight[:, 6], model.head.weight[:, 5] = -SURE * CODE[:, 5], SURE * CODE[:, 6]
    model.head.bias.copy_(SURE * CODE[:, 7])
    short = copy.deepcopy(model.config)
    short["layers"]["branches"][1]["segment"] = 8192
    head = bytes(NUMBER[n] << 5 | PAYLOAD[n] for n in range(4))
    period = bytes(128 | NUMBER[n] << 5 | PAYLOAD[n - 1] for n in range(4))
    return model, short, head, period, 51


def store():
    """The sinks' bytes, each among the four keys of the whole text that match best, wherever it is."""
    model, _, head, period, _ = sink()
    branches = [dict(type="local", window=16), dict(type="store", memory=0, segment=64, neighbours=4)]
    far = blank(**{**model.config, "position": "rotary", "layers": dict(branches=branches, merge="memory_gate")})
    far.load_state_dict(model.state_dict(), strict=False)
    far.layers[0].attention.memory_gate.fill_(60.0)
    short = copy.deepcopy(far.config)
    short["layers"]["branches"][1]["memory"] = 64
    return far, short, head, period, 65


def wrapped(kind, **keys):
    """A model in a memory of four tokens, each of which seeks the marked byte of its number.

    Columns of bytes: 0, 1 the number (asked for); 2, 3 and 4 .. 8 the number and the payload of marked bytes alone; 9
    keeps all rows as long as these; 10 says that it is a byte. Of memory tokens: 11 says so; 17, 18 the number sought.
    Of both: 12 .. 16 a payload that was sought, 19 .. 23 one that was asked for.
    """
    model = blank(hidden_size=32, head_dim=8, position="none", head_bias=True, layers=dict(branches=[dict(type="full")]),
                  memory=dict(type=kind, segment=50, tokens=4, **keys), **(dict(num_attention_heads=2) if kind == "tokens" else {}))
    embed, attention, tokens = model.embed.weight, model.layers[0].attention, model.memory.tokens
    embed.fill_(0.0)
    embed[:, :2] = CODE[:, 5:7]
    embed[:128, 2:4], embed[:128, 4:9] = CODE[:128, 5:7], CODE[:128, :5]
    embed[128:, 9], embed[:, 10] = math.sqrt(7), math.sqrt(3)
    tokens.fill_(0.0)
    tokens[:, 11], tokens[:, 24] = 1.0, 3.0
    tokens[:, 17:19] = MARKS
    even(model.layers[0].attention_norm, 12 / 32)
    for row in range(2):
        attention.q.weight[row, 17 + row] = GAP
        attention.k.weight[row, 2 + row] = 1.0
    for bit in range(5):
        attention.v.weight[2 + bit, 4 + bit] = attention.o.weight[12 + bit, 2 + bit] = 1.0
    model.head.weight[:, 19:24] = SURE * CODE[:, :5]
    model.head.weight[:, 1], model.head.weight[:, 0] = -SURE * CODE[:, 5], SURE * CODE[:, 6]
    model.head.bias.copy_(SURE * CODE[:, 7])
    short = copy.deepcopy(model.config)
    short["memory"]["segment"] = 8192
    head = bytes(NUMBER[n] << 5 | PAYLOAD[n] for n in range(4))
    period = bytes(128 | NUMBER[n] << 5 | PAYLOAD[n - 1] for n in range(4))
    return model, short, head, period, 51


def armt():
    """A memory token writes the payload it found under the number it found; where it finds none its key is 0.

    Of a number n the features are those of four keys' signs that n alone has: y[n] and y[4 + n + 2], two apart.
    """
    model, *rest = wrapped("associative", width=4)
    attention, memory = model.layers[0].attention, model.memory.layers[0]
    for row in range(2):
        attention.v.weight[row, 2 + row] = attention.o.weight[25 + row, row] = 1.0
        memory.query.weight[:, row] = memory.key.weight[:, 25 + row] = MARKS[:, row]
    for bit in range(5):
        memory.value.weight[19 + bit, 12 + bit] = 1.0
    memory.beta.bias.fill_(60.0)
    even(model.norm, 17 / 32)
    return model, *rest


def rmt():
    """The rows behind a segment keep the payloads that they found in the first one; bytes ask the rows before it.

    The second head is that of the bytes. Memory tokens look at bytes there, which have no payload.
    """
    model, *rest = wrapped("tokens")
    attention = model.layers[0].attention
    for row in range(2):
        attention.q.weight[8 + row, row] = GAP
        attention.k.weight[8 + row, 17 + row] = 1.0
    attention.q.weight[10, 11] = 2 * GAP
    attention.k.weight[10, 10] = 1.0
    for bit in range(5):
        attention.v.weight[8 + bit, 12 + bit] = attention.o.weight[19 + bit, 8 + bit] = 1.0
    even(model.norm, 12 / 32)
    return model, *rest


def nll_of(model, text):
    """The nll of a text as one document, in float64."""
    return model.double().nll(torch.tensor(list(text))).numpy()


CASES = {"window": window, "layers": layers, "sink": sink, "sink-window": sink_window, "global": global_rows,
         "random": draws, "chosen": chosen, "selected": selected, "levels": levels,
         "compressed-past": compressed_past, "dynamic": dynamic, "two-sided": two_sided,
         "compressive": lambda: compressive("linear"), "compressive-delta": lambda: compressive("delta"),
         "store": store, "armt": armt, "rmt": rmt}
SHORT = {"levels": 25000, "random": 4001}  # bytes of text in which the shorter reach fails; others 5000
BEHIND = {"two-sided": 600}
# Stored as float16: no weight of theirs need be exact.
HALF = {"store", "global", "random", "chosen", "selected", "levels", "compressed-past", "compressive",
        "compressive-delta", "armt", "rmt"}


def make(name, case, outdir):
    model, short, head, period, first = case()
    if isinstance(period, int):  # random bytes will do
        period = np.random.default_rng(7).integers(0, 256, period).astype("u1").tobytes()
    folder = os.path.join(outdir, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save(folder, torch.float16 if name in HALF else torch.float32)
    with open(os.path.join(folder, "config.short.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(short, indent=2) + "\n")
    with open(os.path.join(folder, "text.bin"), "wb") as file:
        file.write(head + 2 * period)
    length, behind = SHORT.get(name, 5000), BEHIND.get(name, 0)
    reach = dict(head=len(head), period=len(period), nll_below=1e-3, short_mean_above=1.0)
    reach |= (dict(short=length) if name in SHORT else {}) | (dict(behind=behind) if behind else {})
    reach["from"] = first
    with open(os.path.join(folder, "reach.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(reach, indent=2) + "\n")
    for file in os.listdir(folder):
        os.chmod(os.path.join(folder, file), 0o644)

    text = (head + period * 20000)[:length]
    model = reference.Model.load(folder)
    failing = reference.Model(short)
    failing.load_state_dict(model.state_dict())
    part = slice(first, len(text) - behind)
    single = np.nanmax(model.nll(torch.tensor(list(text))).numpy()[part])
    good, bad = nll_of(model, text)[part], nll_of(failing, text)[part]
    print(f"{name:12} nll below {good.max():.1e} (float32 {single:.1e}) from {first} on; shorter: mean {bad.mean():.1f}, "
          f"below 1: {np.mean(bad < 1):.3f}", flush=True)
    assert good.max() < 1e-4 and single < 1e-4 and bad.mean() > 2


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for chosen_case in sys.argv[2:] or CASES:
        make(chosen_case, CASES[chosen_case], sys.argv[1])
