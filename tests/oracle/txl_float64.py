"""Transformer-XL in plain NumPy float64, written from the formula: the second derivation of the oracle.

A document is evaluated layer by layer over all positions at once. Nothing is cut into segments and no memory
is carried: what a query sees follows from positions alone.

    segment s = i // S of query i
    same_length false:  keys  s*S - mem_len .. i
    same_length true:   keys  i - mem_len + 1 .. i
    memory `zeros`:     positions -mem_len .. -1 exist and are zero rows (normalised to beta under pre_lnorm)
    memory `empty`:     positions below 0 do not exist

    score(i, j) = ((q_i + u) . k_j + (q_i + v) . W_R R_t) / sqrt(d_head),   t = i - j, clamped to clamp_len if > 0
    R_t = [sin(t f), cos(t f)],  f = inv_freq as stored, else computed in float32

Usage: python3 txl_float64.py CHECKPOINT_DIR [TOKEN_FILE]     prints the nll of every token, one a line.
"""
import json
import os
import struct
import sys

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}


def read_safetensors(path):
    """All tensors of one file. Floats become float64, exactly; integers keep their type."""
    with open(path, "rb") as file:
        raw = file.read()
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8:8 + length])
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        data = raw[8 + length + begin:8 + length + end]
        if entry["dtype"] == "BF16":
            array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            array = np.frombuffer(data, DTYPES[entry["dtype"]])
        if array.dtype.kind == "f":
            array = array.astype(np.float64)
        out[name] = array.reshape(entry["shape"])
    return out


def read_checkpoint(folder):
    """(config, tensors) of a folder, sharded or not."""
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    index = os.path.join(folder, "model.safetensors.index.json")
    files = ["model.safetensors"]
    if os.path.exists(index):
        with open(index) as file:
            files = sorted(set(json.load(file)["weight_map"].values()))
    tensors = {}
    for name in files:
        tensors.update(read_safetensors(os.path.join(folder, name)))
    return config, tensors


def inverse_frequencies(d_model):
    """As the reference computes them: every step rounded to float32."""
    exponent = np.arange(0, d_model, 2, dtype=np.float32) / np.float32(d_model)
    power = np.power(10000.0, exponent.astype(np.float64)).astype(np.float32)
    return (np.float32(1) / power).astype(np.float64)


def layer_norm(x, weight, bias, eps):
    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * weight + bias


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


# The reference's other names of some keys, which win.
ALIASES = {"n_token": "vocab_size", "hidden_size": "d_model", "num_attention_heads": "n_head",
           "num_hidden_layers": "n_layer"}


class TransformerXL:
    def __init__(self, folder):
        self.config, self.tensors = read_checkpoint(folder)
        c = self.config
        c.update({key: c[alias] for alias, key in ALIASES.items() if alias in c})
        self.ends = [0] + list(c["cutoffs"]) + [c["vocab_size"]]
        self.n_cluster = len(c["cutoffs"])
        self.inv_freq = self.find("transformer.pos_emb.inv_freq")
        if self.inv_freq is None:
            self.inv_freq = inverse_frequencies(c["d_model"])

    def find(self, *names):
        """The first of these tensors that is stored, or None."""
        return next((self.tensors[n] for n in names if n in self.tensors), None)

    def emb_layer(self, i):
        name = f"transformer.word_emb.emb_layers.{i}.weight"
        tied = self.config.get("tie_word_embeddings", True)
        return self.find(name, f"crit.out_layers.{i}.weight") if tied else self.find(name)

    def out_layer(self, i):
        tied = self.config.get("tie_word_embeddings", True)
        return self.emb_layer(i) if tied else self.find(f"crit.out_layers.{i}.weight")

    def ties(self):
        """Which output projections are those of the embedding."""
        shared = self.config.get("proj_share_all_but_first", True)
        named = self.config.get("tie_projs", [False] + [shared] * self.n_cluster) or []
        return [bool(tie) for tie in named] + [False] * (self.n_cluster + 1 - len(named))

    def emb_proj(self, i):
        names = [f"transformer.word_emb.emb_projs.{i}"]
        if self.config["div_val"] == 1:
            names += [f"crit.out_projs.{k}" for k, tie in enumerate(self.ties()) if tie]
        elif self.ties()[i]:
            names += [f"crit.out_projs.{i}"]
        return self.find(*names)

    def out_proj(self, i):
        if self.ties()[i]:
            return self.emb_proj(0 if self.config["div_val"] == 1 else i)
        return self.find(f"crit.out_projs.{i}")

    def embed(self, ids):
        c = self.config
        x = np.zeros((len(ids), c["d_model"]))
        clusters = 1 if c["div_val"] == 1 else self.n_cluster + 1
        for i in range(clusters):
            low, high = (0, c["vocab_size"]) if clusters == 1 else self.ends[i:i + 2]
            rows = np.flatnonzero((ids >= low) & (ids < high))
            e = self.emb_layer(i)[ids[rows] - low]
            proj = self.emb_proj(i)
            x[rows] = e if proj is None else e @ proj.T
        return x * np.sqrt(float(c["d_model"]))

    def bias(self, layer, which):
        own = f"transformer.layers.{layer}.dec_attn.{which}"
        if self.config["untie_r"]:
            return self.find(own)
        return self.find(f"transformer.{which}", own, f"transformer.layers.0.dec_attn.{which}")

    def attention(self, layer, x, virtual, segment):
        """Attention output of x [n, D]; `virtual` zero rows stand before position 0."""
        c, n = self.config, len(x)
        H, E, M = c["n_head"], c["d_head"], c["mem_len"]
        p = f"transformer.layers.{layer}.dec_attn."
        rows = np.concatenate([np.zeros((virtual, c["d_model"])), x])
        if c["pre_lnorm"]:
            rows = self.norm(p, rows)
        q, k, v = np.split(rows @ self.tensors[p + "qkv_net.weight"].T, 3, axis=1)
        q, k, v = (a.reshape(-1, H, E).transpose(1, 0, 2) for a in (q[virtual:], k, v))

        i = np.arange(n)[:, None]
        j = np.arange(-virtual, n)[None, :]
        first = i - M + 1 if c["same_length"] else i // segment * segment - M
        distance = np.maximum(i - j, 0)
        if c["clamp_len"] > 0:
            distance = np.minimum(distance, c["clamp_len"])
        angle = np.arange(distance.max() + 1)[:, None] * self.inv_freq
        strip = np.concatenate([np.sin(angle), np.cos(angle)], 1) @ self.tensors[p + "r_net.weight"].T
        strip = strip.reshape(-1, H, E).transpose(1, 0, 2)

        out = np.empty((n, H, E))
        for h in range(H):
            content = (q[h] + self.bias(layer, "r_w_bias")[h]) @ k[h].T
            position = np.take_along_axis((q[h] + self.bias(layer, "r_r_bias")[h]) @ strip[h].T, distance, 1)
            score = np.where((j >= first) & (j <= i), (content + position) / np.sqrt(float(E)), -np.inf)
            weight = np.exp(score - score.max(1, keepdims=True))
            out[:, h] = weight / weight.sum(1, keepdims=True) @ v[h]
        return out.reshape(n, H * E) @ self.tensors[p + "o_net.weight"].T

    def norm(self, prefix, x):
        t = self.tensors
        return layer_norm(x, t[prefix + "layer_norm.weight"], t[prefix + "layer_norm.bias"],
                          self.config["layer_norm_epsilon"])

    def feed_forward(self, layer, x):
        t, p = self.tensors, f"transformer.layers.{layer}.pos_ff.CoreNet."
        inner = np.maximum(x @ t[p + "0.weight"].T + t[p + "0.bias"], 0)
        return inner @ t[p + "3.weight"].T + t[p + "3.bias"]

    def hidden(self, ids, segment, mem_init):
        """Last hidden state [n, D]. There is no final norm, with pre_lnorm either."""
        virtual = self.config["mem_len"] if mem_init == "zeros" else 0
        x = self.embed(ids)
        for layer in range(self.config["n_layer"]):
            attn, ff = (f"transformer.layers.{layer}.{part}." for part in ("dec_attn", "pos_ff"))
            if self.config["pre_lnorm"]:
                x = x + self.attention(layer, x, virtual, segment)
                x = x + self.feed_forward(layer, self.norm(ff, x))
            else:
                x = self.norm(attn, x + self.attention(layer, x, virtual, segment))
                x = self.norm(ff, x + self.feed_forward(layer, x))
        return x

    def log_probs(self, hidden):
        """[n, V]. Head columns: the shortlist, then cluster 1, 2, ... in rising order."""
        c, out = self.config, np.empty((len(hidden), self.config["vocab_size"]))
        whole = c["div_val"] == 1
        short = self.ends[1]
        for i in range(self.n_cluster + 1):
            low, high = self.ends[i:i + 2]
            weight = self.out_layer(0)[low:high] if whole else self.out_layer(i)
            bias = self.tensors[f"crit.out_layers.{0 if whole else i}.bias"][slice(low, high) if whole else slice(None)]
            if i == 0 and self.n_cluster:
                weight = np.concatenate([weight, self.tensors["crit.cluster_weight"]])
                bias = np.concatenate([bias, self.tensors["crit.cluster_bias"]])
            proj = self.out_proj(i)
            row = hidden if proj is None else hidden @ proj
            log_p = log_softmax(row @ weight.T + bias)
            if i == 0:
                head = log_p
                out[:, :short] = head[:, :short]
            else:
                out[:, low:high] = head[:, short + i - 1, None] + log_p
        return out

    def run(self, ids, segment=None, mem_init="zeros"):
        """(nll [n] with NaN at 0, hidden [n, D])."""
        ids = np.asarray(ids, np.int64)
        hidden = self.hidden(ids, segment or self.config["tgt_len"], mem_init)
        log_p = self.log_probs(hidden)
        nll = np.full(len(ids), np.nan)
        nll[1:] = -log_p[np.arange(len(ids) - 1), ids[1:]]
        return nll, hidden


def read_tokens(path, config):
    """Token ids of a document file: bytes for byte models, little-endian u16 for the others."""
    return np.fromfile(path, "u1" if config.get("tokenizer") == "bytes" else "<u2").astype(np.int64)


if __name__ == "__main__":
    model = TransformerXL(sys.argv[1])
    case_path = os.path.join(sys.argv[1], "case.json")
    case = json.load(open(case_path)) if os.path.exists(case_path) else {}
    document = sys.argv[2] if len(sys.argv) > 2 else os.path.join(sys.argv[1], "doc0.bin")
    for value in model.run(read_tokens(document, model.config), case.get("segment"), case.get("mem_init", "zeros"))[0]:
        print(repr(float(value)))
