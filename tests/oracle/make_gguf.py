"""Tiny GGUF files with random weights, and what data/get_model.py must make of them.

Usage: python3 make_gguf.py OUTDIR        (gguf, torch, transformers 4.57.6, numpy)

OUTDIR/NAME.gguf is written by llama.cpp's own Python library; the tensors of a file are of different types.
OUTDIR/NAME.json holds the keys of config.json that matter, the SHA-256 of every tensor's float32 bytes under its name
in transformers, and the ids of a text. Numbers come from the library's own functions on the blocks; rows in the order
of llama.cpp are put back one by one. llama and qwen2 are also loaded by transformers, which has to agree. (Its reader
leaves out head widths of qwen3, and the number of positions of gpt2.)
"""
import hashlib
import json
import os
import sys
import tempfile

import numpy as np
import transformers
from gguf import GGMLQuantizationType as Type
from gguf import GGUFWriter
from gguf.quants import dequantize
from transformers.convert_slow_tokenizer import bytes_to_unicode

RANDOM = np.random.default_rng(7)
HALVES = {  # type: bytes a block, numbers a block, where its factors are
    Type.Q4_0: (18, 32, (0,)), Type.Q4_1: (20, 32, (0, 2)), Type.Q5_0: (22, 32, (0,)), Type.Q5_1: (24, 32, (0, 2)),
    Type.Q8_0: (34, 32, (0,)), Type.Q4_K: (144, 256, (0, 2)), Type.Q5_K: (176, 256, (0, 2)),
    Type.Q6_K: (210, 256, (208,)), Type.F16: (2, 1, (0,)),
}
TEXT = "The cat's 1234 feet:\n\n  théâtre, bathe in the end<|end|>"


def blocks(shape, kind):
    """Random bytes of a type, with factors that are small numbers, and what they stand for."""
    if kind == Type.F32:
        values = RANDOM.normal(0, 0.1, shape).astype("f4")
        return values, values
    size, numbers, halves = HALVES[kind]
    rows, columns = shape
    raw = RANDOM.integers(0, 256, (rows * columns // numbers, size), dtype=np.uint8)
    for place in halves:
        factors = RANDOM.normal(0, 0.01, len(raw)).astype("<f2")
        raw[:, place:place + 2] = factors[:, None].view(np.uint8)
    raw = raw.reshape(rows, -1)
    return raw, dequantize(raw, kind).reshape(shape).astype("f4")


def put_back(values, heads):
    """Rows of llama.cpp: of a head 0, E/2, 1, E/2 + 1, ...; back to 0, 1, 2, ..."""
    width = len(values) // heads
    order = [head * width + i for head in range(heads) for m in range(width // 2) for i in (m, m + width // 2)]
    back = np.empty_like(values)
    back[order] = values
    return back


# ---------------------------------------------------------------- The files

D, F, V, E = 32, 256, 260, 16  # width, feed-forward, tokens, head


def rotary(theirs, ours, shape, kinds):
    """Names of one layer's tensors in both worlds, shapes and types."""
    return [(f"blk.{{}}.{theirs}", f"model.layers.{{}}.{ours}", shape, kinds)]


def rotary_layer(head=E, biases=(), norms=False):
    """The tensors of a layer with 2 heads and 1 of keys."""
    k = lambda *kinds: kinds  # noqa: E731: types by layer
    rows = [("attn_norm.weight", "input_layernorm.weight", (D,), k(Type.F32)),
            ("ffn_norm.weight", "post_attention_layernorm.weight", (D,), k(Type.F32)),
            ("attn_q.weight", "self_attn.q_proj.weight", (2 * head, D), k(Type.Q4_1, Type.Q5_0)),
            ("attn_k.weight", "self_attn.k_proj.weight", (head, D), k(Type.Q5_1, Type.F16)),
            ("attn_v.weight", "self_attn.v_proj.weight", (head, D), k(Type.Q8_0, Type.Q4_0)),
            ("attn_output.weight", "self_attn.o_proj.weight", (D, 2 * head), k(Type.Q4_0, Type.Q4_1)),
            ("ffn_gate.weight", "mlp.gate_proj.weight", (F, D), k(Type.Q4_1)),
            ("ffn_up.weight", "mlp.up_proj.weight", (F, D), k(Type.Q5_0)),
            ("ffn_down.weight", "mlp.down_proj.weight", (D, F), k(Type.Q6_K, Type.Q4_K))]
    rows += [(f"attn_{b}.bias", f"self_attn.{b}_proj.bias", (2 * head if b == "q" else head,), k(Type.F32))
             for b in "qkv" if b in biases]
    if "o" in biases:
        rows.append(("attn_output.bias", "self_attn.o_proj.bias", (D,), k(Type.F32)))
    if norms:
        rows += [(f"attn_{b}_norm.weight", f"self_attn.{b}_norm.weight", (head,), k(Type.F32)) for b in "qk"]
    return [row for theirs, ours, shape, kinds in rows for row in rotary(theirs, ours, shape, kinds)]


def rotary_ends(tied):
    """The tensors outside the layers."""
    ends = [("token_embd.weight", "model.embed_tokens.weight", (V, D), (Type.Q8_0,)),
            ("output_norm.weight", "model.norm.weight", (D,), (Type.F32,))]
    return ends + ([] if tied else [("output.weight", "lm_head.weight", (V, D), (Type.Q5_1,))])


def gpt2_tensors():
    """All of a gpt2; the shapes of weights are llama.cpp's, those of transformers are transposed."""
    both = [("token_embd.weight", "transformer.wte.weight", (V, D), (Type.Q8_0,)),
            ("position_embd.weight", "transformer.wpe.weight", (64, D), (Type.F32,))]
    both += [(f"output_norm.{p}", f"transformer.ln_f.{p}", (D,), (Type.F32,)) for p in ("weight", "bias")]
    for theirs, ours, rows, columns in (("attn_qkv", "attn.c_attn", 3 * D, D), ("attn_output", "attn.c_proj", D, D),
                                        ("ffn_up", "mlp.c_fc", F, D), ("ffn_down", "mlp.c_proj", D, F)):
        kind = Type.Q5_K if columns == F else Type.Q4_0
        both.append((f"blk.{{}}.{theirs}.weight", f"transformer.h.{{}}.{ours}.weight", (rows, columns), (kind,)))
        both.append((f"blk.{{}}.{theirs}.bias", f"transformer.h.{{}}.{ours}.bias", (rows,), (Type.F32,)))
    for theirs, ours in (("attn_norm", "ln_1"), ("ffn_norm", "ln_2")):
        both += [(f"blk.{{}}.{theirs}.{p}", f"transformer.h.{{}}.{ours}.{p}", (D,), (Type.F32,))
                 for p in ("weight", "bias")]
    return both


FILES = {  # name: architecture, layers, tensors, splitting rule, keys of config.json
    "llama": ("llama", 2, rotary_layer() + rotary_ends(False), "smollm",
              dict(rope_theta=50000.0, rms_norm_eps=1e-5, tie_word_embeddings=False, attention_bias=False)),
    "llama-bias": ("llama", 1, rotary_layer(biases="qkvo") + rotary_ends(True), "llama-bpe",
                   dict(rope_theta=10000.0, rms_norm_eps=1e-5, tie_word_embeddings=True, attention_bias=True)),
    "qwen2": ("qwen2", 1, rotary_layer(biases="qkv") + rotary_ends(True), "qwen2",
              dict(rope_theta=1e6, rms_norm_eps=1e-6, tie_word_embeddings=True)),
    "qwen3": ("qwen3", 1, rotary_layer(head=32, norms=True) + rotary_ends(True), "qwen2",
              dict(rope_theta=1e6, rms_norm_eps=1e-6, head_dim=32, tie_word_embeddings=True, attention_bias=False)),
    "gpt2": ("gpt2", 1, gpt2_tensors(), "gpt-2",
             dict(n_positions=64, n_inner=F, n_embd=D, layer_norm_epsilon=1e-5, tie_word_embeddings=True)),
}


def pieces():
    """Tokens, merges: the bytes, three merges, one special token."""
    tokens, merges = list(bytes_to_unicode().values()), []
    for a, b in (("t", "h"), ("th", "e"), ("Ġ", "the")):
        merges.append(f"{a} {b}")
        tokens.append(a + b)
    return tokens + ["<|end|>"], merges


def expected_ids(rule, tokens, bos):
    """By hand: "the" after a space and alone are the only merges; the special token is one where it is parsed."""
    letters = "".join(bytes_to_unicode()[b] for b in TEXT[:-len("<|end|>")].encode())
    for merged, mark in (("Ġthe", "\1"), ("the", "\2"), ("th", "\3")):
        letters = letters.replace(merged, mark)
    known = {"\1": "Ġthe", "\2": "the", "\3": "th"}
    ids = [tokens.index(known.get(letter, letter)) for letter in letters] + [V - 1]
    return [bos] * (rule == "llama-bpe") + ids


def write_metadata(w, architecture, layers, rule, config):
    """All but the tensors."""
    w.add_block_count(layers)
    w.add_context_length(64)
    w.add_embedding_length(D)
    w.add_feed_forward_length(F)
    w.add_head_count(2)
    if architecture == "gpt2":
        w.add_layer_norm_eps(config["layer_norm_epsilon"])
    else:
        w.add_head_count_kv(1)
        w.add_layer_norm_rms_eps(config["rms_norm_eps"])
        w.add_rope_freq_base(config["rope_theta"])
    if architecture == "qwen3":
        w.add_key_length(config["head_dim"])
        w.add_value_length(config["head_dim"])
    tokens, merges = pieces()
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(rule)
    w.add_token_list(tokens)
    w.add_token_merges(merges)
    w.add_token_types([1] * (V - 1) + [3])
    w.add_bos_token_id(V - 1)
    w.add_eos_token_id(V - 1)


def write_tensors(w, architecture, layers, table):
    """The tensors; name in transformers -> float32."""
    expected = {}
    for theirs, ours, shape, kinds in table:
        for layer in range(layers if "{}" in theirs else 1):
            kind = kinds[layer % len(kinds)]
            raw, values = blocks(shape, kind)
            w.add_tensor(theirs.format(layer), raw, raw_dtype=kind)
            if architecture == "llama" and (".q_proj." in ours or ".k_proj." in ours):
                values = put_back(values, len(values) // E)
            if architecture == "gpt2" and values.ndim == 2 and ".h." in ours:
                values = values.T
            expected[ours.format(layer)] = np.ascontiguousarray(values, "<f4")
    return expected


def hold_against_library(path, expected):
    """transformers reads the same numbers from the file."""
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.path.abspath(path), os.path.join(folder, "m.gguf"))
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file="m.gguf")
    for name, tensor in model.state_dict().items():
        if name in expected:
            assert np.array_equal(tensor.numpy(), expected[name]), (path, name)


def main():
    """Command line."""
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    for name, (architecture, layers, table, rule, config) in FILES.items():
        path = os.path.join(out, f"{name}.gguf")
        w = GGUFWriter(path, architecture)
        write_metadata(w, architecture, layers, rule, config)
        expected = write_tensors(w, architecture, layers, table)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()
        if name in ("llama", "qwen2"):
            hold_against_library(path, expected)
        case = dict(config=dict(config, model_type=architecture, vocab_size=V, bos_token_id=V - 1),
                    tensors={n: hashlib.sha256(t.tobytes()).hexdigest() for n, t in sorted(expected.items())},
                    text=TEXT, ids=expected_ids(rule, pieces()[0], V - 1))
        with open(os.path.join(out, f"{name}.json"), "w", encoding="utf-8") as f:
            json.dump(case, f, indent=1, ensure_ascii=False)
            f.write("\n")


if __name__ == "__main__":
    main()
