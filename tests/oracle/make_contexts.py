"""Makes the fixtures of --context: what models of ../fixtures/families give when they read more than they were trained for.

Usage: python3 make_contexts.py FIXTURES [CASE...]        (torch, transformers 4.57.6, safetensors, numpy; make_families.py)

FIXTURES/contexts/CASE holds
    case.json               model (a folder below FIXTURES), context (as the option says it), prefix (ids of the rows before
                            every document), documents, float32_error, least_change (none where there is no step, or where
                            each changes which tokens have a prediction)
    doc{k}.bin              documents: little-endian u16
    expected.safetensors    doc{k}.id I32 [n]; .nll F64 [n], NaN where a token has no prediction;
                            but for chunks also .rows I32 [r]; .hidden F64 [r, D] of the tokens .rows

The frame of a document is its prefix, then its tokens; rows of the frame count from 0. A layer whose config says a window of
w has one of min(w, W).
    full                  as the config says, at any length
    window:W              query i sees keys i-W+1 .. i
    window:W,sinks:S      and the first S rows; a row s < i-W+1 is as far from i as in StreamingLLM's cache of S + W rows:
                          min(i - s, W + S-1 - s)
    chunks:N,stride:S     chunks of M = N - prefix tokens, each behind the prefix, that begin at 0, S, 2S, ...; a chunk gives
                          the nll of tokens from the end of the one before on; the one that reaches the end is the last
    chunks:N,half         chunks of N tokens, the first of which the prefix replaces; a whole chunk gives the nll of its tokens
                          N/2+1 .. N-1, and nothing else is given

Three computations, written straight from this, on the library's weights in float64:
    `Dense`       all scores at once, by distances. What is stored for full and window
    `streaming`   a query at a time over a cache whose keys are turned again by their place in it, as StreamingLLM does
                  (Xiao et al. 2023). Must agree with Dense to 1e-12
    `chunks`      the library's own forward over each chunk, by the loop of its documentation. What is stored for chunks
Dense must also agree with the library's forward, to 1e-12, where the library has the same: full, and a window in every layer
(the same weights as a model of type mistral). Float32 must agree to 1e-5 (`float32_error`), and every number of the context
plus one, or another prefix, must move some nll by more than 5e-4 (`least_change`).
"""
import json
import os
import shutil
import sys
import zlib

import numpy as np
import torch
from safetensors.numpy import save_file

import make_families as families

VOCABULARY = families.VOCABULARY
DOCUMENTS = [1, 41, 64, 65, 300, 700]

# name: (model, context, prefix, documents)
CASES = {
    "full": ("llama", "full", [], DOCUMENTS),
    "full-prefix": ("llama", "full", [7], DOCUMENTS),
    "full-sliding": ("mistral", "full", [], DOCUMENTS),
    "window": ("llama", "window:40", [], DOCUMENTS),
    "window-prefix": ("llama", "window:64", [7], DOCUMENTS),
    "window-one": ("llama", "window:1", [], [1, 2, 65, 300]),
    "window-sliding": ("mistral", "window:40", [], DOCUMENTS),
    "window-wide": ("mistral", "window:100", [5], DOCUMENTS),
    "window-layers": ("smollm3-list", "window:50", [7], DOCUMENTS),
    "sinks": ("llama", "window:40,sinks:4", [], [1, 41, 43, 44, 45, 300, 700]),
    "sinks-prefix": ("llama", "window:64,sinks:1", [7], [1, 62, 63, 64, 65, 300, 700]),
    "sinks-more": ("llama", "window:5,sinks:9", [5], [1, 3, 11, 12, 13, 65, 300]),
    "sinks-sliding": ("mistral", "window:100,sinks:3", [], DOCUMENTS),
    "sinks-layers": ("smollm3-list", "window:50,sinks:4", [7], DOCUMENTS),
    "sinks-yarn": ("qwen3-yarn", "window:60,sinks:2", [], DOCUMENTS),
    "stride": ("llama", "chunks:100,stride:50", [], [1, 99, 100, 101, 150, 700]),
    "stride-prefix": ("llama", "chunks:65,stride:30", [7], [1, 63, 64, 65, 94, 700]),
    "stride-whole": ("llama", "chunks:64,stride:64", [], [1, 63, 64, 65, 129, 300]),
    "stride-one": ("llama", "chunks:20,stride:1", [5], [1, 18, 19, 65]),
    "stride-sliding": ("mistral", "chunks:130,stride:70", [7], [1, 129, 200, 700]),
    "stride-learned": ("gpt2", "chunks:300,stride:150", [], [1, 300, 301, 449, 700]),
    "stride-learned-prefix": ("gpt2", "chunks:90,stride:89", [7], [1, 89, 90, 700]),
    "half": ("llama", "chunks:64,half", [], [1, 63, 64, 65, 127, 128, 300]),
    "half-prefix": ("llama", "chunks:65,half", [7], [1, 64, 65, 129, 700]),
    "half-learned": ("gpt2", "chunks:128,half", [7], [1, 127, 128, 300, 700]),
}


def parse(context):
    """("window", {"window": 40, "sinks": 4})"""
    parts = dict((part.split(":") + [""])[:2] for part in context.split(","))
    kind = next(iter(parts))
    return kind, {key: int(value) for key, value in parts.items() if value}


# ---------------------------------------------------------------- all scores at once


class Dense:
    """A decoder of the library with attention of our own: (nll, hidden) of a frame."""

    def __init__(self, model, window=None, sinks=0):
        self.model, self.window, self.sinks = model, window, sinks
        self.inputs = []  # of the last run: of every layer's attention, and what it gave

    def window_of(self, number, rows):
        """Keys that a query of a layer sees, itself included."""
        config = self.model.config
        own = config.sliding_window if self.is_sliding(number) else rows
        return min(own, self.window or rows)

    def is_sliding(self, number):
        config = self.model.config
        if config.model_type == "mistral":
            return config.sliding_window is not None
        types = getattr(config, "layer_types", None)
        return types is not None and types[number] == "sliding_attention"

    def is_turned(self, number):
        return getattr(self.model.config, "no_rope_layers", [1] * 999)[number] != 0

    def heads(self, number, x):
        """Queries (T, H, E), keys and values (T, H, E), normed but not turned."""
        a = self.model.model.layers[number].self_attn
        E = a.head_dim
        q, k, v = (p(x).view(len(x), -1, E) for p in (a.q_proj, a.k_proj, a.v_proj))
        if hasattr(a, "q_norm"):
            q, k = a.q_norm(q), a.k_norm(k)
        k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], 1) for t in (k, v))
        return q, k, v

    def scale(self, number):
        rotary = self.model.model.rotary_emb
        factor = rotary.attention_scaling if self.is_turned(number) else 1
        return factor ** 2 * self.model.model.layers[number].self_attn.head_dim ** -0.5

    def scores(self, number, q, k, distance):
        """(H, queries, keys), of heads that are turned against each other by their distance."""
        if not self.is_turned(number):
            return torch.einsum("ihe,jhe->hij", q, k)
        angle = distance[..., None].to(q.dtype) * self.model.model.rotary_emb.inv_freq.to(q.dtype)
        half = q.shape[-1] // 2
        (qa, qb), (ka, kb) = (t.split(half, -1) for t in (q, k))
        same = torch.einsum("ihp,jhp->hijp", qa, ka) + torch.einsum("ihp,jhp->hijp", qb, kb)
        across = torch.einsum("ihp,jhp->hijp", qa, kb) - torch.einsum("ihp,jhp->hijp", qb, ka)
        return (same * angle.cos() + across * angle.sin()).sum(-1)

    def attention(self, number, x):
        q, k, v = self.heads(number, x)
        rows = len(x)
        i, j = torch.arange(rows)[:, None], torch.arange(rows)[None]
        window = self.window_of(number, rows)
        near = (j <= i) & (j > i - window)
        sink = (j <= i) & (j < self.sinks) & ~near
        distance = torch.where(sink, torch.minimum(i - j, window + self.sinks - 1 - j), i - j)
        out = []
        for part in range(0, rows, 100):
            here = slice(part, part + 100)
            s = self.scores(number, q[here], k, distance[here]) * self.scale(number)
            s = s.masked_fill(~(near | sink)[here], -torch.inf)
            out.append(torch.einsum("hij,jhe->ihe", s.softmax(-1), v).reshape(-1, q.shape[1] * q.shape[2]))
        return torch.cat(out)

    def run(self, ids, prefix):
        x = self.model.model.embed_tokens(torch.cat([torch.tensor(prefix, dtype=torch.int64), ids]))
        self.inputs = []
        for number, layer in enumerate(self.model.model.layers):
            normed = layer.input_layernorm(x)
            y = self.attention(number, normed)
            self.inputs.append((normed, y))
            x = x + layer.self_attn.o_proj(y)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        hidden = self.model.model.norm(x)
        return nll_of(self.model, hidden, ids, len(prefix)), hidden[len(prefix):].double().numpy()


def nll_of(model, hidden, ids, before):
    """nll of the ids after `before` rows, NaN for what nothing precedes."""
    logp = torch.log_softmax(model.lm_head(hidden).double(), -1)
    rows = torch.arange(len(ids)) + before - 1
    nll = -logp[rows.clamp(min=0), ids]
    return torch.where(rows < 0, torch.nan, nll).numpy()


# ---------------------------------------------------------------- as StreamingLLM has it


def turned(x, place, frequency):
    """Heads (T, H, E) by their places (T)."""
    angle = place[:, None, None].to(x.dtype) * frequency.to(x.dtype)
    a, b = x.split(x.shape[-1] // 2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def streaming(dense, number, x, i):
    """What attention of a layer gives for row i: a cache of the first rows and of the last ones."""
    q, k, v = dense.heads(number, x)
    window = dense.window_of(number, len(x))
    kept = [j for j in range(i + 1) if j < dense.sinks or j > i - window]
    q, k, v = q[i:i + 1], k[kept], v[kept]
    if dense.is_turned(number):
        place = torch.arange(len(kept))
        if dense.sinks == 0:
            place = torch.tensor(kept)  # as far apart, wherever the cache begins
        frequency = dense.model.model.rotary_emb.inv_freq
        q, k = turned(q, place[-1:], frequency), turned(k, place, frequency)
    weight = (torch.einsum("ihe,jhe->hij", q, k) * dense.scale(number)).softmax(-1)
    return torch.einsum("hij,jhe->ihe", weight, v).reshape(-1)


def error_of_streaming(dense):
    """How far some rows of the last run are from it, relative to the largest value."""
    worst = 0.0
    for number, (x, y) in enumerate(dense.inputs):
        for i in set(range(0, len(x), 17)) | {len(x) - 1}:
            worst = max(worst, float((streaming(dense, number, x, i) - y[i]).abs().max() / y.abs().max()))
    return worst


# ---------------------------------------------------------------- chunks


def forward(model, ids, before):
    """nll of a chunk's ids, by the library's own forward."""
    hidden = model.base_model(ids[None], use_cache=False).last_hidden_state[0]
    return nll_of(model, hidden, ids[before:], before)


def strided(model, ids, prefix, size, stride):
    """The loop of the library's documentation (perplexity of models with a fixed length)."""
    start = torch.tensor(prefix, dtype=torch.int64)
    nll, past = np.full(len(ids), np.nan), 0
    for begin in range(0, len(ids), stride):
        end = min(begin + size - len(prefix), len(ids))
        chunk = forward(model, torch.cat([start, ids[begin:end]]), len(prefix))
        nll[past:end] = chunk[past - begin:]
        past = end
        if end == len(ids):
            break
    return nll


def half(model, ids, prefix, size):
    """llama-perplexity: only whole chunks, only their second halves."""
    nll = np.full(len(ids), np.nan)
    for begin in range(0, len(ids) - size + 1, size):
        chunk = ids[begin:begin + size].clone()
        chunk[:len(prefix)] = torch.tensor(prefix, dtype=torch.int64)
        nll[begin + size // 2 + 1:begin + size] = forward(model, chunk, 0)[size // 2 + 1:]
    return nll


# ---------------------------------------------------------------- a case


def compute(model, context, ids, prefix):
    """(nll, hidden or None) of a document."""
    kind, number = parse(context)
    if kind != "chunks":
        return Dense(model, number.get("window"), number.get("sinks", 0)).run(ids, prefix)
    if "stride" in number:
        return strided(model, ids, prefix, number["chunks"], number["stride"]), None
    return half(model, ids, prefix, number["chunks"]), None


def load(fixtures, name, dtype, **other):
    """A model of fixtures/families, some keys of whose config are others."""
    folder = os.path.join(fixtures, "families", name)
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = {**json.load(file), **other}
    return families.load(folder, config, dtype)


def check_dense(fixtures, name, context, ids, prefix, model):
    """Dense against StreamingLLM's way and, where it has the same, against the library."""
    _, number = parse(context)
    window, sinks = number.get("window"), number.get("sinks", 0)
    dense = Dense(model, window, sinks)
    nll, hidden = dense.run(ids, prefix)
    error = error_of_streaming(dense)
    assert error < 1e-12, f"streaming: {error}"
    if sinks or (window and name != "llama"):
        return
    other = model
    if window:
        other = load(fixtures, name, torch.float64, model_type="mistral", sliding_window=window,
                     num_key_value_heads=model.config.num_key_value_heads)
    whole = torch.cat([torch.tensor(prefix, dtype=torch.int64), ids])
    theirs = other.base_model(whole[None], use_cache=False).last_hidden_state[0, len(prefix):].numpy()
    error = np.abs(theirs - hidden).max() / np.abs(hidden).max()
    assert error < 1e-12, f"the library: {error}"


def others(context, prefix):
    """(what is different, context, prefix) of those that differ by one from these."""
    parts = context.split(",")
    for k, part in enumerate(parts):
        if ":" in part:
            key, value = part.split(":")
            yield key, ",".join(parts[:k] + [f"{key}:{int(value) + 1}"] + parts[k + 1:]), prefix
    if prefix:
        yield "prefix", context, [(prefix[0] + 1) % VOCABULARY] + prefix[1:]


def moved(a, b):
    """The largest difference; one that only one of them has counts as infinite."""
    if (np.isnan(a) != np.isnan(b)).any():
        return np.inf
    return float(np.nanmax(np.abs(a - b), initial=0))


def tells(model, key, context, prefix):
    """Is the step allowed, and not hidden by the window of the model's own layers?"""
    number = parse(context)[1]
    if number.get("stride", 1) > number.get("chunks", np.inf) - len(prefix):
        return False
    if number.get("chunks", 0) > getattr(model.config, "n_positions", np.inf):
        return False
    own = model.config.sliding_window if model.config.model_type == "mistral" else np.inf
    return key != "window" or number["window"] <= own


def least_change(model, context, prefix, ids, nll):
    """The step that moves the nll least, and by how much."""
    least = (np.inf, "")
    for key, changed, start in others(context, prefix):
        if tells(model, key, changed, start):
            least = min(least, (moved(compute(model, changed, ids, start)[0], nll), f"{changed} {start or ''}"))
    return least


def make(name, fixtures):
    model_name, context, prefix, documents = CASES[name]
    folder = os.path.join(fixtures, "contexts", name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    single = load(fixtures, model_name, torch.float32)
    expected, coarse = {}, 0.0
    with families.Double():
        model = load(fixtures, model_name, torch.float64)
    for k, n in enumerate(documents):
        ids = torch.from_numpy(rng.integers(0, VOCABULARY, n))
        ids.numpy().astype("<u2").tofile(os.path.join(folder, f"doc{k}.bin"))
        with families.Double():
            nll, hidden = compute(model, context, ids, prefix)
        nll32, hidden32 = compute(single, context, ids, prefix)
        coarse = max(coarse, np.nanmax(np.abs(nll32 - nll) / np.maximum(1, nll), initial=0))
        expected.update({f"doc{k}.id": ids.numpy().astype(np.int32), f"doc{k}.nll": nll})
        if hidden is not None:
            coarse = max(coarse, np.abs(hidden32 - hidden).max() / np.abs(hidden).max())
            rows = families.choose_rows(n)
            expected.update({f"doc{k}.rows": rows.astype(np.int32), f"doc{k}.hidden": hidden[rows]})
    with families.Double():
        if parse(context)[0] != "chunks":
            check_dense(fixtures, model_name, context, ids, prefix, model)
        change, by = least_change(model, context, prefix, ids, nll)
    save_file(expected, os.path.join(folder, "expected.safetensors"))
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name:22}{size / 1000:4.0f} kB   float32 {coarse:.0e}   least change {change:.0e} ({by})", flush=True)
    assert coarse < 1e-5 and change > 5e-4, name
    case = {"model": f"families/{model_name}", "context": context, "prefix": prefix, "documents": len(documents),
            "float32_error": float(f"{coarse:.1e}")}
    if np.isfinite(change):
        case["least_change"] = float(f"{change:.1e}")
    families.write_json(os.path.join(folder, "case.json"), case)
    for file in os.listdir(folder):
        os.chmod(os.path.join(folder, file), 0o644)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for chosen in sys.argv[2:] or CASES:
        make(chosen, sys.argv[1])
