"""What SmolLM2-135M-Instruct must give on the beginning of Persuasion: ids, and nll for several contexts.

Usage: python3 make_smollm2.py MODEL_DIR PERSUASION.txt OUTDIR        (torch, transformers 4.57.6, tokenizers, numpy)

MODEL_DIR is what data/get_model.py writes, PERSUASION.txt what data/fetch_novels.py does. The nll come from the
formulas below, in float64 on the stored weights; with the whole past they are held against LlamaForCausalLM, in float32 and with
its weights in float64 (its norms and angles stay in float32), and both differences are written down.

OUTDIR holds
    case.json   the text (name, SHA-256 of all of it, `bytes` of it that are `tokens` tokens), SHA-256 of the ids of all
                of the text as little-endian u32, bits a byte of each context, errors measured
    ids.u16     the ids of these tokens
    NAME.f32    their nll with the context that case.json names; NaN where there is no prediction
"""
import hashlib
import json
import math
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer

torch.set_grad_enabled(False)

TOKENS = 2048
CONTEXTS = ("full", "window:300", "window:300,sinks:4", "chunks:1024,stride:512", "chunks:512,half")


# ---------------------------------------------------------------- The formulas


class Llama:
    """A llama without biases, whole heads rotated, in float64: rows of ids in, logits of each row out."""

    def __init__(self, folder):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
            self.c = json.load(f)
        assert not self.c["rope_scaling"] and self.c["tie_word_embeddings"]
        self.w = {name: t.double() for name, t in load_file(os.path.join(folder, "model.safetensors")).items()}

    def norm(self, x, name):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.c["rms_norm_eps"]) * self.w[name]

    def rotate(self, x, rows):
        """x (heads, T, E), each row turned by the angles of its place; pair m is (m, m + E/2)."""
        width = x.shape[-1]
        speed = self.c["rope_theta"] ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = rows.double()[:, None] * speed
        a, b = x.split(width // 2, -1)
        return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], -1)

    def scores(self, q, k, window, sinks):
        """Of all queries and keys, -inf where a query does not see a key."""
        i = torch.arange(q.shape[1])
        shown = (i[:, None] >= i) & (i[:, None] - i < window)
        scores = self.rotate(q, i) @ self.rotate(k, i).transpose(1, 2)
        scores = scores.masked_fill(~shown, -math.inf)
        if sinks:  # a sink that has left the window stands directly before it
            near = self.rotate(q, i.clamp(max=window + sinks - 1)) @ self.rotate(k, i).transpose(1, 2)
            left = (i[:, None] - i >= window) & (i < sinks)
            scores = torch.where(left, near, scores)
        return scores / math.sqrt(q.shape[-1])

    def attention(self, x, place, window, sinks):
        heads, groups = self.c["num_attention_heads"], self.c["num_key_value_heads"]
        q, k, v = ((x @ self.w[f"{place}.{letter}_proj.weight"].T).view(len(x), n, -1).transpose(0, 1)
                   for letter, n in (("q", heads), ("k", groups), ("v", groups)))
        k, v = (t.repeat_interleave(heads // groups, 0) for t in (k, v))
        y = self.scores(q, k, window, sinks).softmax(-1) @ v
        return y.transpose(0, 1).reshape(len(x), -1) @ self.w[f"{place}.o_proj.weight"].T

    def feed_forward(self, x, place):
        gate, up, down = (self.w[f"{place}.{part}_proj.weight"].T for part in ("gate", "up", "down"))
        return (F.silu(x @ gate) * (x @ up)) @ down

    def nll(self, ids, window=math.inf, sinks=0):
        """Of every token but the first, which has none."""
        x = self.w["model.embed_tokens.weight"][ids]
        for layer in range(self.c["num_hidden_layers"]):
            place = f"model.layers.{layer}"
            x = x + self.attention(self.norm(x, f"{place}.input_layernorm.weight"), f"{place}.self_attn", window, sinks)
            x = x + self.feed_forward(self.norm(x, f"{place}.post_attention_layernorm.weight"), f"{place}.mlp")
        logits = self.norm(x, "model.norm.weight") @ self.w["model.embed_tokens.weight"].T
        return of_logits(logits, ids)


def of_logits(logits, ids):
    """NaN, then the nll of each token by the row before it."""
    rest = F.cross_entropy(logits[:-1], ids[1:], reduction="none")
    return torch.cat([torch.tensor([math.nan], dtype=rest.dtype), rest])


def strided(model, ids, size, stride):
    """Chunks that overlap: a token is scored in the first chunk that holds it."""
    nll, scored = torch.full((len(ids),), math.nan, dtype=torch.float64), 0
    for begin in range(0, len(ids), stride):
        end = min(begin + size, len(ids))
        nll[scored:end] = model.nll(ids[begin:end])[scored - begin:]
        scored = end
        if end == len(ids):
            return nll
    raise AssertionError("the last chunk reaches the end")


def halves(model, ids, size):
    """Whole chunks side by side: of each the tokens after its middle are scored."""
    nll = torch.full((len(ids),), math.nan, dtype=torch.float64)
    for begin in range(0, len(ids) - size + 1, size):
        first = size // 2 + 1
        nll[begin + first:begin + size] = model.nll(ids[begin:begin + size])[first:]
    return nll


def by_context(model, ids, context):
    """The nll of all ids with a context as longspan's option has it."""
    kind, *parts = context.replace(",", ":").split(":")
    if kind == "full":
        return model.nll(ids)
    if kind == "window":
        return model.nll(ids, int(parts[0]), int(parts[2]) if len(parts) > 2 else 0)
    return halves(model, ids, int(parts[0])) if parts[1] == "half" else strided(model, ids, int(parts[0]), int(parts[2]))


# ---------------------------------------------------------------- The fixture


def library_errors(folder, ids, ours):
    """The largest differences of transformers from the formulas: in float32, and with weights in float64."""
    errors = {}
    for dtype in (torch.float32, torch.float64):
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
        theirs = of_logits(model(ids[None]).logits[0].double(), ids)
        errors[str(dtype)[6:]] = float((theirs - ours)[1:].abs().max())
    return errors


def beginning(text, encoding):
    """How many bytes the first TOKENS tokens are; that text alone must give the same ids."""
    return len(text[:encoding.offsets[TOKENS - 1][1]].encode())


def main():
    """Command line."""
    folder, path, out = sys.argv[1:]
    with open(path, encoding="utf-8", newline="") as f:
        text = f.read()
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    encoding = tokenizer.encode(text)
    size, ids = beginning(text, encoding), torch.tensor(encoding.ids[:TOKENS])
    assert tokenizer.encode(text.encode()[:size].decode()).ids == ids.tolist()

    os.makedirs(out, exist_ok=True)
    model, contexts = Llama(folder), []
    for context in CONTEXTS:
        nll = by_context(model, ids, context)
        name = context.translate(str.maketrans(":,", "--")) + ".f32"
        nll.numpy().astype("<f4").tofile(os.path.join(out, name))
        known = nll[~nll.isnan()]
        contexts.append(dict(context=context, nll=name, predicted=len(known), nll_sum=float(known.sum())))
        print(f"{context}: {len(known)} tokens, {known.mean():.4f} nats a token", flush=True)
        if context == "full":
            errors = library_errors(folder, ids, nll)
            print("transformers:", errors, flush=True)
    ids.numpy().astype("<u2").tofile(os.path.join(out, "ids.u16"))
    case = dict(text=os.path.basename(path), text_sha256=hashlib.sha256(text.encode()).hexdigest(),
                text_tokens=len(encoding.ids),
                text_ids_sha256=hashlib.sha256(np.array(encoding.ids, "<u4").tobytes()).hexdigest(),
                tokens=TOKENS, bytes=size, bits_per_byte=contexts[0]["nll_sum"] / math.log(2) / size,
                transformers_error=errors, contexts=contexts)
    with open(os.path.join(out, "case.json"), "w", encoding="utf-8") as f:
        json.dump(case, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
