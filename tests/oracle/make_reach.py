"""Makes longspan models whose weights are written by hand: what they copy from far away is exact at any distance.

Usage: python3 make_reach.py OUTDIR        (torch, safetensors, numpy; data/reference.py)

    window       one layer: the byte at the far edge of a window of 200
    layers       three layers: the byte three windows back, one window edge after the other
    sink         four sinks; the byte read asks for one of them by its bits 5 and 6
    sink-window  the first byte of the document, found by the place that place "window" gives it

Every OUTDIR/CASE holds
    config.json, model.safetensors   the model
    config.short.json                the same weights with a shorter reach
    text.bin                         `head` bytes, then twice `period` bytes; a test repeats the last `period` as it likes
    reach.json                       head, period; what must hold for the text at any length:
        from, nll_below              every token from this one on has a lower nll
        short_mean_above             with config.short.json their mean is higher
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
    number, payload = [0b00, 0b01, 0b11, 0b10], [0b00001, 0b11110, 0b10011, 0b01100]
    model = blank(hidden_size=16, head_dim=8, position="none", attention_bias=True, head_bias=True,
                  layers=dict(branches=[dict(type="local", window=16), dict(type="fixed", sinks=4)]))
    even(model.layers[0].attention_norm, 1 / 2)
    attention = model.layers[0].attention
    for row, bit in enumerate((5, 6)):
        attention.q.weight[row, bit] = GAP
        attention.k.weight[row, bit] = 1.0
    attention.q.bias[2] = -GAP
    attention.k.weight[2, 7] = 1.0
    copy_bits(attention, 0, 8)
    attention.v.weight[5:] = 0
    even(model.norm, 13 / 16)
    model.head.weight[:, 8:13] = SURE * CODE[:, :5]
    model.head.weight[:, 6], model.head.weight[:, 5] = -SURE * CODE[:, 5], SURE * CODE[:, 6]
    model.head.bias.copy_(SURE * CODE[:, 7])
    short = copy.deepcopy(model.config)
    short["layers"]["branches"][1]["sinks"] = 3
    head = bytes(number[n] << 5 | payload[n] for n in range(4))
    period = bytes(128 | number[n] << 5 | payload[n - 1] for n in range(4))
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


def nll_of(model, text):
    """The nll of a text as one document, in float64."""
    return model.double().nll(torch.tensor(list(text))).numpy()


def make(name, case, outdir):
    model, short, head, period, first = case()
    if isinstance(period, int):  # random bytes will do
        period = np.random.default_rng(7).integers(0, 256, period).astype("u1").tobytes()
    folder = os.path.join(outdir, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save(folder)
    with open(os.path.join(folder, "config.short.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(short, indent=2) + "\n")
    with open(os.path.join(folder, "text.bin"), "wb") as file:
        file.write(head + 2 * period)
    reach = dict(head=len(head), period=len(period), nll_below=1e-3, short_mean_above=1.0)
    reach["from"] = first
    with open(os.path.join(folder, "reach.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(reach, indent=2) + "\n")
    for file in os.listdir(folder):
        os.chmod(os.path.join(folder, file), 0o644)

    text = (head + period * 20000)[:max(5000, 3 * len(period))]
    model = reference.Model.load(folder)
    failing = reference.Model(short)
    failing.load_state_dict(model.state_dict())
    single = np.nanmax(model.nll(torch.tensor(list(text))).numpy()[first:])
    good, bad = nll_of(model, text)[first:], nll_of(failing, text)[first:]
    print(f"{name:12} nll below {good.max():.1e} (float32 {single:.1e}) from {first} on; shorter: mean {bad.mean():.1f}, "
          f"below 1: {np.mean(bad < 1):.3f}", flush=True)
    assert good.max() < 1e-4 and single < 1e-4 and bad.mean() > 2


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for chosen in (window, layers, sink, sink_window):
        make(chosen.__name__.replace("_", "-"), chosen, sys.argv[1])
