"""Makes the fixtures of the library's families (gpt2, llama, mistral, qwen2, qwen3, smollm3): tiny random checkpoints and
the numbers that transformers gives for them.

Usage: python3 make_families.py OUTDIR [CASE...]        (torch, transformers 4.57.6, safetensors, numpy)

Every OUTDIR/CASE holds what a folder of make_fixtures.py holds:
    config.json, model.safetensors    a checkpoint, or one in two files with their index
    doc{k}.bin                        documents: little-endian u16
    expected.safetensors              doc{k}.id I32 [n]; .nll F64 [n]; .rows I32 [r]; .hidden F64 [r, D]
    case.json                         documents, note, float32_error, least_change
nll is NaN at 0. Hidden (after the last norm) is kept for the rows named by doc{k}.rows.

The numbers come from the library's own code with eager attention, loaded by its from_pretrained from the folder itself, in
float64: where that code says float32 (norms, softmax, tables of rotary positions), float64 is put in its place (`Double`).
Before they are written
    the library as it is, in float32, must agree to 1e-5 (`float32_error`: the case is well conditioned),
    every number of config.json that is changed by a small step, every word and switch by another one, must move some nll by
    more than 5e-4 (`least_change`: the case can tell).
A config in the dialect of version 5 of the library is translated for version 4 (`older`), which cannot read it.
"""
import contextlib
import copy
import json
import os
import shutil
import sys
import tempfile
import zlib

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, modeling_rope_utils
from transformers.models.gpt2 import modeling_gpt2
from transformers.models.llama import modeling_llama
from transformers.models.ministral import modeling_ministral
from transformers.models.mistral import modeling_mistral
from transformers.models.qwen2 import modeling_qwen2
from transformers.models.qwen3 import modeling_qwen3
from transformers.models.smollm3 import modeling_smollm3

torch.set_num_threads(1)
torch.set_grad_enabled(False)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

MODULES = [modeling_rope_utils, modeling_gpt2, modeling_llama, modeling_ministral, modeling_mistral, modeling_qwen2,
           modeling_qwen3, modeling_smollm3]
TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DOCUMENTS = [1, 63, 64, 65, 300]
VOCABULARY = 61

GPT2 = dict(model_type="gpt2", vocab_size=VOCABULARY, n_embd=20, n_layer=2, n_head=4, n_positions=300)
OTHERS = dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=36,
              max_position_embeddings=512, hidden_act="silu")


def gpt2(**keys):
    return {**GPT2, **keys}


def of(model_type, **keys):
    return {"model_type": model_type, **OTHERS, **keys}


# name: (config keys, note, how it is stored and which documents it has)
#   dtype       of all tensors
#   bare        names without what the library puts before them
#   old         buffers that older versions stored
#   repeat      the tied head is stored, too
#   shards      two files and their index
#   v5          config.json in the dialect of version 5
CASES = {
    "gpt2": (gpt2(activation_function="gelu_new"), "GPT-2 as it is", {}),
    "gpt2-old": (
        gpt2(n_embd=32, n_positions=130, n_inner=40, activation_function="gelu", layer_norm_epsilon=1e-3,
             scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=False),
        "names without a prefix, the masks that old files hold; gelu by erf, scores by layer",
        dict(dtype="float16", bare=True, old=True, documents=[1, 63, 64, 65, 130])),
    "gpt2-untied": (
        {"model_type": "gpt2", "vocab_size": VOCABULARY, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3,
         "max_position_embeddings": 300, "n_embd": 8, "activation_function": "relu", "scale_attn_weights": False,
         "tie_word_embeddings": False, "n_inner": None},
        "keys by their other names, scores without a scale, a head of its own, bfloat16, two files",
        dict(dtype="bfloat16", shards=True)),

    "llama": (of("llama", rms_norm_eps=1e-3), "Llama by default: a head of its own", {}),
    "llama-linear": (
        of("llama", num_key_value_heads=1, head_dim=12, attention_bias=True, mlp_bias=True, hidden_act="gelu",
           tie_word_embeddings=True, rope_scaling={"type": "linear", "factor": 2.5}, rope_theta=500.0),
        "every bias, one key/value head, heads of 12, gelu, linear scaling under its old name", dict(dtype="float16")),
    "llama3": (
        of("llama", num_attention_heads=2, num_key_value_heads=1, rope_theta=5000.0,
           rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 64}),
        "scaling of Llama 3 with waves of all three kinds, frequencies stored, bfloat16, two files",
        dict(dtype="bfloat16", old=True, shards=True)),
    "llama-yarn": (
        of("llama", num_attention_heads=2, num_key_value_heads=1, intermediate_size=32, rope_theta=800.0,
           rope_scaling={"rope_type": "yarn", "factor": 6.0, "attention_factor": 1.3, "beta_fast": 4.0, "beta_slow": 0.5,
                         "truncate": False, "original_max_position_embeddings": 50}),
        "YaRN with all its numbers; config of version 5", dict(v5=True)),
    "llama-bare": (
        of("llama", num_key_value_heads=2, head_dim=None, tie_word_embeddings=True, hidden_act="relu", rope_theta=300.0,
           rope_scaling=None, pretraining_tp=2),
        "names without a prefix, tied, relu, another theta", dict(bare=True)),

    "mistral": (of("mistral", num_key_value_heads=2, sliding_window=64), "a window of 64 in every layer", {}),
    "mistral-full": (
        of("mistral", num_key_value_heads=None, head_dim=20, sliding_window=None, rms_norm_eps=1e-2,
           rope_scaling={"rope_type": "yarn", "factor": 4.0, "mscale": 1.2, "mscale_all_dim": 0.4,
                         "original_max_position_embeddings": 128}),
        "no window, heads of 20, YaRN with both mscale, bfloat16", dict(dtype="bfloat16")),
    "mistral-types": (
        of("mistral", num_key_value_heads=1, head_dim=8, sliding_window=37, rope_theta=1000.0, tie_word_embeddings=True,
           layer_types=["full_attention", "sliding_attention"]),
        "one key/value head, a window of 37 in the second layer, tied, float16, two files; config of version 5",
        dict(dtype="float16", shards=True, v5=True)),

    "qwen2": (
        of("qwen2", num_key_value_heads=2, tie_word_embeddings=True, sliding_window=50, use_sliding_window=False,
           max_window_layers=1),
        "biases of queries, keys and values, tied, a window that is not used", dict(repeat=True)),
    "qwen2-top": (
        of("qwen2", num_hidden_layers=3, intermediate_size=28, num_key_value_heads=4, use_sliding_window=True,
           sliding_window=50, max_window_layers=1, rope_theta=1e6, rms_norm_eps=1e-2),
        "a window in the layers from 1 on, bfloat16", dict(dtype="bfloat16")),
    "qwen2-types": (
        of("qwen2", num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, use_sliding_window=True,
           sliding_window=40, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
           rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 100}),
        "layer_types, YaRN with the least that it needs, float16; config of version 5", dict(dtype="float16", v5=True)),

    "qwen3": (
        of("qwen3", head_dim=12, intermediate_size=28, num_key_value_heads=2, rms_norm_eps=1e-3),
        "queries and keys normed by head, heads of 12", {}),
    "qwen3-bias": (
        of("qwen3", head_dim=10, num_key_value_heads=1, attention_bias=True, tie_word_embeddings=True,
           use_sliding_window=True, sliding_window=64, layer_types=["full_attention", "sliding_attention"],
           hidden_act="gelu_pytorch_tanh"),
        "biases, a window in the second layer by layer_types, gelu by tanh, float16", dict(dtype="float16")),
    "qwen3-yarn": (
        of("qwen3", num_hidden_layers=3, num_attention_heads=2, head_dim=24, num_key_value_heads=2, intermediate_size=24,
           use_sliding_window=True, sliding_window=129, max_window_layers=2,
           rope_scaling={"rope_type": "yarn", "factor": 3.0, "beta_fast": 8.0, "original_max_position_embeddings": 160}),
        "YaRN, a window of 129 in the last layer, bfloat16, two files; config of version 5",
        dict(dtype="bfloat16", shards=True, v5=True)),

    "smollm3": (
        of("smollm3", pad_token_id=None, num_hidden_layers=4, intermediate_size=12, num_key_value_heads=2, rope_theta=10000.0),
        "the fourth layer without positions, tied by default", {}),
    "smollm3-list": (
        of("smollm3", pad_token_id=None, num_hidden_layers=3, intermediate_size=20, num_key_value_heads=1, no_rope_layers=[0, 1, 0],
           use_sliding_window=True, sliding_window=33, attention_bias=True, mlp_bias=True, tie_word_embeddings=False,
           rope_theta=2000.0,
           rope_scaling={"rope_type": "yarn", "factor": 4.0, "truncate": False, "original_max_position_embeddings": 100}),
        "layers without positions by a list, a window in these, every bias, YaRN in the other, bfloat16",
        dict(dtype="bfloat16")),
    "smollm3-types": (
        of("smollm3", pad_token_id=None, num_hidden_layers=3, num_key_value_heads=4, no_rope_layer_interval=2, sliding_window=48,
           layer_types=["sliding_attention", "full_attention", "sliding_attention"], rope_theta=1000.0),
        "every second layer without positions, windows by layer_types, float16; config of version 5",
        dict(dtype="float16", v5=True)),
}


# ---------------------------------------------------------------- the library in float64


class Wide:
    """torch, in which float32 is float64."""

    def __getattr__(self, name):
        return torch.float64 if name in ("float", "float32") else getattr(torch, name)


@contextlib.contextmanager
def Double():
    """The library's models compute with float64 where they would with float32."""
    narrow = torch.Tensor.float
    for module in MODULES:
        module.torch = Wide()
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        for module in MODULES:
            module.torch = torch
        torch.Tensor.float = narrow


def older(config):
    """A config as version 4 of the library reads it."""
    config = copy.deepcopy(config)
    rope = config.pop("rope_parameters", None)
    if rope is not None:
        config["rope_theta"] = rope.pop("rope_theta")
        config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    if "dtype" in config:
        config["torch_dtype"] = config.pop("dtype")
    return config


def newer(config):
    """A config as version 5 of the library writes it."""
    config = copy.deepcopy(config)
    rope = config.pop("rope_scaling", None) or {"rope_type": "default"}
    config["rope_parameters"] = {**rope, "rope_theta": config.pop("rope_theta", 10000.0)}
    config["dtype"] = config.pop("torch_dtype")
    return config


def load(folder, config, dtype):
    """The model of a folder, with another config."""
    with tempfile.TemporaryDirectory() as other:
        for file in os.listdir(folder):
            if file.startswith("model"):
                os.symlink(os.path.abspath(os.path.join(folder, file)), os.path.join(other, file))
        with open(os.path.join(other, "config.json"), "w", encoding="utf-8") as file:
            json.dump(older(config), file)
        model, info = AutoModelForCausalLM.from_pretrained(other, dtype=dtype, attn_implementation="eager",
                                                           output_loading_info=True)
    assert not info["missing_keys"] and not info["mismatched_keys"], info
    return model.eval()


def run(model, ids):
    """(nll, hidden) of one document."""
    hidden = model.base_model(ids[None], use_cache=False).last_hidden_state
    logits = model.lm_head(hidden)[0].double()
    nll = -torch.log_softmax(logits[:-1], -1).gather(1, ids[1:, None])[:, 0]
    return np.concatenate([[np.nan], nll.numpy()]), hidden[0].double().numpy()


# ---------------------------------------------------------------- weights


def randomise(model, rng, config):
    """Draws every parameter at a scale at which nothing is negligible and attention is neither flat nor a spike."""
    D = model.config.hidden_size
    for name, p in sorted(model.named_parameters()):
        draw = rng.standard_normal(tuple(p.shape))
        last = name.rsplit(".", 2)[-2]
        if "norm" in last or last.startswith("ln_"):
            draw = 1 + 0.3 * draw if name.endswith("weight") else 0.3 * draw
        elif name.endswith("bias"):
            draw *= 0.3
        elif last in ("wte", "wpe", "embed_tokens", "lm_head"):
            draw *= 1.5 / D ** 0.5
        elif last == "c_attn":
            draw *= np.repeat([1.2, 1.2 if config.get("scale_attn_weights", True) else 0.4, 1.2], D) / D ** 0.5
        elif last in ("q_proj", "k_proj"):
            draw *= 1.2 / D ** 0.5
        else:
            fan_in = p.shape[0] if config["model_type"] == "gpt2" else p.shape[1]
            draw *= 1.2 / fan_in ** 0.5
        p.copy_(torch.from_numpy(draw))


def tensors_of(model, how, rng):
    """What the checkpoint holds, by name."""
    state = {name: p.detach().clone() for name, p in model.state_dict().items()}
    if model.config.tie_word_embeddings and not how.get("repeat"):
        del state["lm_head.weight"]
    prefix = model.base_model_prefix + "."
    if how.get("old") and prefix == "transformer.":
        n = model.config.n_positions
        for i in range(model.config.n_layer):
            state[f"{prefix}h.{i}.attn.bias"] = torch.ones(n, n, dtype=torch.uint8).tril().view(1, 1, n, n)
            state[f"{prefix}h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    elif how.get("old"):
        for i in range(model.config.num_hidden_layers):
            state[f"{prefix}layers.{i}.self_attn.rotary_emb.inv_freq"] = torch.from_numpy(rng.random(8))
    if how.get("bare"):
        state = {name.removeprefix(prefix): t for name, t in state.items()}
    dtype = TYPES[how.get("dtype", "float32")]
    return {name: (t.to(dtype) if t.is_floating_point() else t).contiguous() for name, t in state.items()}


def write_tensors(folder, tensors, how):
    if not how.get("shards"):
        save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        return
    names = sorted(tensors)
    index = {}
    for k, part in enumerate((names[::2], names[1::2])):
        file = f"model-{k + 1:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, os.path.join(folder, file), metadata={"format": "pt"})
        index |= {name: file for name in part}
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json(os.path.join(folder, "model.safetensors.index.json"),
               {"metadata": {"total_size": total}, "weight_map": index})


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=2) + "\n")


# ---------------------------------------------------------------- checks

BY_PART = {  # keys that are numbers, and by what they are multiplied
    "rms_norm_eps": 1.5, "layer_norm_epsilon": 1.5, "rope_theta": 1.01, "factor": 1.02, "low_freq_factor": 1.05,
    "high_freq_factor": 1.05, "original_max_position_embeddings": 2, "attention_factor": 1.01, "beta_fast": 2,
    "beta_slow": 2, "mscale": 1.02, "mscale_all_dim": 1.05}
BY_ONE = ("sliding_window", "max_window_layers", "no_rope_layer_interval")
SWITCHES = ("attention_bias", "mlp_bias", "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "truncate",
            "use_sliding_window")
OTHER = {"relu": "gelu", "gelu": "gelu_new", "gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "silu": "gelu",
         "sliding_attention": "full_attention", "full_attention": "sliding_attention"}


def decides(config, key):
    """Does a key decide anything beside the others?"""
    types, sliding = config.get("layer_types"), config.get("use_sliding_window")
    if key in ("max_window_layers", "use_sliding_window") and types is not None:
        return False
    if config["model_type"] == "qwen2" and key in ("sliding_window", "max_window_layers"):
        return sliding
    return True


def steps(config):
    """Every configuration that differs in one number, word or switch and has the same tensors."""
    config = older(config)
    if config["model_type"] != "gpt2":
        config.setdefault("rope_theta", 10000.0)

    def walk(node, path):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            here = path + (key,)
            if not decides(config, here[0]):
                continue
            if isinstance(value, (dict, list)):
                yield from walk(value, here)
            elif key in BY_PART and value is not None:
                yield here, type(value)(value * BY_PART[key])
            elif key in BY_ONE and value is not None:
                yield here, value + 1
            elif key in SWITCHES:
                yield here, not value
            elif path and path[-1] == "no_rope_layers":
                yield here, 1 - value
            elif isinstance(value, str) and value in OTHER:
                yield here, OTHER[value]

    for path, value in walk(config, ()):
        if path[-1] in ("attention_bias", "mlp_bias") and value:
            continue  # there are no tensors for it
        changed = copy.deepcopy(config)
        node = changed
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
        yield path, changed


def least_change(folder, config, ids):
    """The step of the configuration that moves the nll least, and by how much."""
    least = (np.inf, "")
    with Double():
        want = run(load(folder, config, torch.float64), ids)[0]
        for path, changed in steps(config):
            moved = float(np.nanmax(np.abs(run(load(folder, changed, torch.float64), ids)[0] - want)))
            least = min(least, (moved, ".".join(map(str, path))))
    return least


# ---------------------------------------------------------------- a fixture


def choose_rows(n):
    """Rows of which hidden is kept: borders of 64-row blocks and a spread."""
    rows = {m + d for m in (64, 128, 256) for d in (-1, 0)} | {0, 1, n - 1} | set(np.linspace(0, n - 1, 5).astype(int).tolist())
    return np.array(sorted(r for r in rows if 0 <= r < n))


def make_documents(folder, config, documents, rng):
    """(expected numbers, the largest difference of float32) of random documents, which are written."""
    with Double():
        model = load(folder, config, torch.float64)
    single = load(folder, config, torch.float32)
    expected, coarse = {}, 0.0
    for k, n in enumerate(documents):
        ids = torch.from_numpy(rng.integers(0, VOCABULARY, n))
        ids.numpy().astype("<u2").tofile(os.path.join(folder, f"doc{k}.bin"))
        with Double():
            nll, hidden = run(model, ids)
        nll32, hidden32 = run(single, ids)
        assert np.isnan(nll).sum() == 1 and not np.isnan(hidden).any()
        coarse = max(coarse, np.abs(hidden32 - hidden).max() / np.abs(hidden).max(),
                     np.nanmax(np.abs(nll32 - nll)[1:] / np.maximum(1, nll[1:]), initial=0))
        rows = choose_rows(n)
        expected.update({f"doc{k}.id": ids.numpy().astype(np.int32), f"doc{k}.nll": nll,
                         f"doc{k}.rows": rows.astype(np.int32), f"doc{k}.hidden": hidden[rows]})
    return expected, coarse, ids


def make(name, outdir):
    config, note, how = CASES[name]
    folder = os.path.join(outdir, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    config = {**config, "torch_dtype": how.get("dtype", "float32")}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**copy.deepcopy(config)), dtype=torch.float64)
    randomise(model, rng, config)
    tensors = tensors_of(model, how, rng)
    config = newer(config) if how.get("v5") else config
    write_json(os.path.join(folder, "config.json"), config)
    write_tensors(folder, tensors, how)

    documents = how.get("documents", DOCUMENTS)
    expected, coarse, ids = make_documents(folder, config, documents, rng)
    moved, by = least_change(folder, config, ids)
    save_numpy(expected, os.path.join(folder, "expected.safetensors"))
    sizes = {f: os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)}
    weights = sum(n for f, n in sizes.items() if f.startswith("model"))
    print(f"{name:15}{weights / 1000:5.0f} of {sum(sizes.values()) / 1000:4.0f} kB   float32 {coarse:.0e}   "
          f"least change {moved:.0e} ({by})", flush=True)
    assert coarse < 1e-5 and moved > 5e-4 and weights < 82000, name
    write_json(os.path.join(folder, "case.json"),
               {"documents": len(documents), "note": note, "float32_error": float(f"{coarse:.1e}"),
                "least_change": float(f"{moved:.1e}")})
    for file in os.listdir(folder):
        os.chmod(os.path.join(folder, file), 0o644)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for chosen in sys.argv[2:] or CASES:
        make(chosen, sys.argv[1])
