"""Makes the Transformer-XL fixtures: tiny random checkpoints and the numbers the reference gives for them.

Usage: python3 make_fixtures.py OUTDIR [CASE...]        (torch, transformers 4.57, safetensors, numpy)

Every OUTDIR/CASE holds
    config.json, model*.safetensors   a checkpoint as Hugging Face writes it (plus the config key `tgt_len`)
    doc{k}.bin                        documents: bytes for byte models, little-endian u16 for the others
    expected.safetensors              doc{k}.id I32 [n]; .nll F64 [n], NaN at 0; .rows I32 [r]; .hidden F64 [r, D]
    case.json                         mem_init, segment, mem_len, documents, note, float32_error

The numbers come from HF's TransfoXLLMHeadModel in float64, segment by segment with its own memory, on weights upcast
from the stored type. txl_float64.py must give the same to 1e-10. `float32_error` is how far HF itself is from that
when it runs in float32: a yardstick for tolerances.
"""
import json
import os
import shutil
import sys
import warnings
import zlib

import numpy as np
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file, save_file as save_torch
from transformers import TransfoXLConfig, TransfoXLLMHeadModel, logging

import txl_float64

warnings.simplefilter("ignore")
logging.set_verbosity(logging.CRITICAL)
logging.disable_progress_bar()
torch.set_num_threads(1)
torch.set_grad_enabled(False)

BYTES = dict(vocab_size=256, tokenizer="bytes", cutoffs=[], div_val=1)
TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

# name: (config keys, how it is stored and run). Unnamed config keys: DEFAULT. `save`: how shared tensors are stored.
DEFAULT = dict(d_model=32, d_embed=32, n_head=2, d_head=16, d_inner=64, n_layer=2, div_val=1, cutoffs=[], clamp_len=-1,
               mem_len=64, tgt_len=64, same_length=True, pre_lnorm=False, untie_r=True, proj_share_all_but_first=True,
               tie_word_embeddings=True)
MANY = [5, 9, 16, 20, 31, 40, 48, 60, 75, 90, 110, 130, 150, 180, 210, 240, 250, 260, 280, 290]
CASES = {
    "law": (
        dict(BYTES, mem_len=96, tgt_len=80, same_length=False),
        dict(docs=[1, 2, 131, 700], note="under 50,000 parameters")),
    "law-same": (
        dict(BYTES, mem_len=128, tgt_len=64, pre_lnorm=True),
        dict(docs=[1, 2, 131, 700], note="law with same_length and pre_lnorm")),
    "odd": (
        dict(BYTES, d_model=36, d_embed=36, n_head=3, d_head=20, d_inner=50, untie_r=False, clamp_len=40,
             mem_len=50, tgt_len=37, layer_norm_epsilon=1e-3),
        dict(docs=[1, 2, 257, 700], note="odd sizes; n_head*d_head != d_model; shared biases stored once")),
    "wt103": (
        dict(vocab_size=600, cutoffs=[60, 200, 400], div_val=4, d_embed=64, clamp_len=100, mem_len=160),
        dict(docs=[1, 2, 131, 900], note="options of the wikitext-103 model; three tails, the last of width 1")),
    "div2-empty": (
        dict(vocab_size=600, cutoffs=[100, 300], div_val=2, d_embed=24, d_model=28, pre_lnorm=True, same_length=False,
             mem_len=48, tgt_len=32, proj_share_all_but_first=False),
        dict(docs=[1, 2, 131, 701], mem_init="empty", note="memory grows from nothing; own output projections")),
    "div1-tails": (
        dict(vocab_size=500, cutoffs=[50, 150, 300], d_embed=20, clamp_len=0, mem_len=100, tgt_len=48, pre_lnorm=True,
             same_length=False),
        dict(docs=[1, 2, 257, 700], shards=2, note="clusters of one table; emb_projs.0 is all but the first projection")),
    "segment1": (
        dict(vocab_size=300, cutoffs=[200], mem_len=33, tgt_len=1, n_layer=1, tie_word_embeddings=False),
        dict(docs=[1, 2, 131, 700], dtype="float16", note="segments of one token; untied head; one tail")),
    "untied-bf16": (
        dict(vocab_size=400, cutoffs=[40, 160], div_val=4, d_embed=32, mem_len=40, tgt_len=56, same_length=False,
             tie_word_embeddings=False, proj_share_all_but_first=False),
        dict(docs=[1, 2, 131, 700], dtype="bfloat16", note="nothing tied; mem_len below the segment")),
    "div1-noshare": (
        dict(vocab_size=400, cutoffs=[64, 128], d_embed=18, mem_len=61, tgt_len=47, clamp_len=30,
             proj_share_all_but_first=False, untie_r=False),
        dict(docs=[1, 2, 131, 700], save="first_name", mem_init="empty",
             note="as safetensors' save_model leaves it: shared tensors under their first name, crit.out_layers.0.weight and "
                  "transformer.layers.0.dec_attn.r_w_bias, r_r_bias; config has proj_share_all_but_first, not tie_projs")),
    "mem200": (
        dict(BYTES, mem_len=200, tgt_len=100, same_length=False, clamp_len=150, untie_r=False),
        dict(docs=[1, 2, 131, 1500], save="duplicates", note="every name stored, tied ones too")),
    "head64": (
        dict(BYTES, d_head=64, mem_len=70, tgt_len=128, pre_lnorm=True, clamp_len=50),
        dict(docs=[1, 2, 257, 700], dtype="bfloat16", shards=2, note="wide heads; mem_len below the segment")),
    "nomem": (
        dict(BYTES, mem_len=0, tgt_len=50, same_length=False),
        dict(docs=[1, 2, 131, 700], dtype="float16", save="no_inv_freq", note="no memory; inv_freq not stored")),
    "same-empty": (
        dict(BYTES, mem_len=150, tgt_len=64, pre_lnorm=True, clamp_len=90),
        dict(docs=[1, 2, 131, 700], mem_init="empty", note="the window of mem_len, cut at the start of the text")),
    "empty-bytes": (
        dict(BYTES, mem_len=50, tgt_len=64, same_length=False, d_embed=24, clamp_len=60),
        dict(docs=[1, 2, 131, 700], mem_init="empty", note="mem_len below the segment; emb_projs.0 and own out_projs.0")),
    "div2-nocut": (
        dict(vocab_size=300, div_val=2, mem_len=64, tgt_len=40, pre_lnorm=True, n_layer=1),
        dict(docs=[1, 2, 131, 700], dtype="bfloat16", note="div_val 2 without cutoffs: projections although "
                                                           "d_embed == d_model; out_projs.0 is its own")),
    "other-names": (
        dict(vocab_size=300, cutoffs=[40, 120], div_val=2, d_embed=24, d_model=28, mem_len=48, tgt_len=40),
        dict(docs=[1, 2, 131, 401], save="first_name", names=True, edit=dict(same_length=1, clamp_len=-7, untie_r=1),
             note="config by its other names, numbers for truth values, clamp_len below -1; tied projections stored only as "
                  "crit.out_projs.i")),
    "cutoffs20": (
        dict(vocab_size=300, cutoffs=MANY, d_embed=12, d_model=16, n_head=1, d_inner=24, n_layer=1, mem_len=40, tgt_len=30,
             same_length=False, tie_projs=[False, False, True, 1, 0, True]),
        dict(docs=[1, 2, 131, 401], save="first_name", edit=dict(tie_projs=[False, False, True, 1, 0, True]),
             note="21 clusters of one table; tie_projs shorter than that, with numbers; emb_projs.0 stored only as "
                  "crit.out_projs.2")),
}


def patch_torch():
    """Lets the reference run, and run in float64.

    Its forward calls type_as(dtype=...), which torch refuses; and it masks `score.float()`, which in float64 overflows
    (the fill value is float64's) and would round the scores.
    """
    type_as, to_float = torch.Tensor.type_as, torch.Tensor.float
    torch.Tensor.type_as = lambda t, other=None, dtype=None: t.to(dtype) if other is None else type_as(t, other)
    torch.Tensor.float = lambda t, *args, **kw: t if t.dtype == torch.float64 else to_float(t, *args, **kw)


def randomise(model, rng):
    """Draws every parameter at a scale at which nothing is negligible and attention is neither flat nor a spike."""
    config = model.config
    narrow = any(p is not None for p in model.crit.out_projs)
    for name, p in sorted(model.named_parameters()):
        draw = rng.standard_normal(tuple(p.shape))
        if name.endswith("layer_norm.weight"):
            draw = 1 + 0.3 * draw
        elif name.endswith("bias"):
            draw *= 0.3
        elif "emb_layers" in name or "out_layers" in name or "cluster_weight" in name:
            draw *= 0.7 if narrow else 1.5 / config.d_model ** 0.5
        elif "_projs" in name:
            draw *= 2.0 / (p.shape[0] * p.shape[1]) ** 0.5
        else:
            draw *= 1.4 / p.shape[1] ** 0.5
        p.copy_(torch.from_numpy(draw))


def edit_config(folder, how):
    """What the reference would not write, but reads: fewer keys, other names, other values."""
    path = os.path.join(folder, "config.json")
    with open(path) as file:
        config = json.load(file)
    if how.get("save") == "first_name":
        config["proj_share_all_but_first"] = any(config.pop("tie_projs"))
    if how.get("names"):
        config.update({alias: config.pop(key) for alias, key in txl_float64.ALIASES.items()})
    config.update(how.get("edit", {}))
    with open(path, "w") as file:
        file.write(json.dumps(config, indent=2, sort_keys=True) + "\n")


def save(model, folder, how, dtype, shards):
    """Writes the checkpoint in the stored type; `how` says what becomes of shared tensors."""
    model.to(TYPES[dtype])
    weights = os.path.join(folder, "model.safetensors")
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    if how == "hf":
        try:
            model.save_pretrained(folder, max_shard_size=size // shards + 4096 if shards > 1 else "5GB")
        except RuntimeError as error:  # the reference declares only the head's ties, and refuses shared r biases
            print(f"  save_pretrained refused: {str(error)[:90]}...")
            how = "once"
    model.config.save_pretrained(folder)
    state = model.state_dict()
    if how != "hf":
        if how != "duplicates":
            seen = set()
            order = None if how == "first_name" else lambda n: (n.startswith("crit."), n.count("."), n)
            for name in sorted(state, key=order):
                if state[name].data_ptr() in seen or (how == "no_inv_freq" and name.endswith("inv_freq")):
                    del state[name]
                else:
                    seen.add(state[name].data_ptr())
        save_torch({k: v.clone() for k, v in state.items()}, weights, metadata={"format": "pt"})
    generation = os.path.join(folder, "generation_config.json")
    if os.path.exists(generation):
        os.remove(generation)


def reload(folder, dtype):
    """The reference on the stored weights, computing in `dtype`. from_pretrained must agree with a plain load."""
    with open(os.path.join(folder, "config.json")) as file:
        model = TransfoXLLMHeadModel(TransfoXLConfig(**json.load(file)))
    state = {}
    for name in sorted(os.listdir(folder)):
        if name.startswith("model") and name.endswith(".safetensors"):
            state.update(load_file(os.path.join(folder, name)))
    # Tied parameters are one object, so a single stored name fills them all; upcasting from the stored type is exact.
    model.double()
    unexpected = model.load_state_dict({k: v.double() for k, v in state.items()}, strict=False).unexpected_keys
    assert not unexpected, unexpected
    return model.to(dtype).eval()


def check_from_pretrained(folder, model):
    """Says where HF's own loader gives other tensors than a plain load."""
    loaded = TransfoXLLMHeadModel.from_pretrained(folder, torch_dtype=torch.float32).double().state_dict()
    wrong = [n for n, t in model.state_dict().items() if loaded[n].is_meta or not torch.equal(t, loaded[n])]
    if wrong:
        print(f"  from_pretrained differs in {', '.join(wrong)}")


def run_reference(model, ids, segment, mem_init):
    """(nll, hidden) segment by segment, in the model's type."""
    n, mems = len(ids), None
    if mem_init == "empty":
        mems = [torch.zeros(0, 1, model.config.d_model, dtype=next(model.parameters()).dtype)] * model.config.n_layer
    log_p, hidden = [], []
    for begin in range(0, n, segment):
        out = model(torch.from_numpy(ids[None, begin:begin + segment]), mems=mems, output_hidden_states=True)
        mems = out.mems
        log_p.append(out.prediction_scores[0])
        hidden.append(out.hidden_states[-1][0])
    log_p = torch.cat(log_p).double().numpy()
    nll = np.full(n, np.nan)
    nll[1:] = -log_p[np.arange(n - 1), ids[1:]]
    return nll, torch.cat(hidden).double().numpy()


def draw_ids(rng, n, vocab, uniform):
    """Random tokens; unless uniform, half of them by Zipf's law, so that every cluster occurs."""
    flat = rng.integers(0, vocab, n)
    if uniform:
        return flat.astype(np.int64)
    weight = 1 / (1 + np.arange(vocab))
    zipf = rng.choice(vocab, n, p=weight / weight.sum())
    return np.where(rng.random(n) < 0.5, zipf, flat).astype(np.int64)


def choose_rows(n, segment, mem_len):
    """All rows of a short document; else about 64: borders of segments, of the memory, of 64-row blocks, and a spread."""
    if n <= 300:
        return np.arange(n)
    last = (n - 1) // segment * segment
    marks = [0, 64, 128, 256, segment, 2 * segment, mem_len, mem_len + segment, last]
    rows = {m + d for m in marks for d in (-1, 0, 1)} | {0, n - 2, n - 1}
    rows |= set(np.linspace(0, n - 1, 40).astype(int).tolist())
    return np.array(sorted(r for r in rows if 0 <= r < n))


def worst(a, b):
    return max((float(np.abs(x - y)[~np.isnan(x)].max(initial=0)) for x, y in zip(a, b)), default=0.0)


def make(name, outdir):
    keys, how = CASES[name]
    folder = os.path.join(outdir, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    model = TransfoXLLMHeadModel(TransfoXLConfig(dropout=0.0, **{**DEFAULT, **keys}))
    randomise(model, rng)
    save(model, folder, how.get("save", "hf"), how.get("dtype", "float32"), how.get("shards", 1))
    if how.get("save") == "first_name":
        edit_config(folder, how)

    model, single = reload(folder, torch.float64), reload(folder, torch.float32)
    check_from_pretrained(folder, model)
    config, second = model.config, txl_float64.TransformerXL(folder)
    mem_init, segment = how.get("mem_init", "zeros"), config.tgt_len
    is_bytes = getattr(config, "tokenizer", None) == "bytes"
    expected, apart, coarse = {}, 0.0, 0.0
    for k, n in enumerate(how["docs"]):
        ids = draw_ids(rng, n, config.vocab_size, is_bytes)
        ids.astype("u1" if is_bytes else "<u2").tofile(os.path.join(folder, f"doc{k}.bin"))
        nll, hidden = run_reference(model, ids, segment, mem_init)
        apart = max(apart, worst((nll, hidden), second.run(ids, segment, mem_init)))
        coarse = max(coarse, worst((nll, hidden), run_reference(single, ids, segment, mem_init)))
        rows = choose_rows(n, segment, config.mem_len)
        expected.update({f"doc{k}.id": ids.astype(np.int32), f"doc{k}.nll": nll,
                         f"doc{k}.rows": rows.astype(np.int32), f"doc{k}.hidden": hidden[rows]})
    assert apart < 1e-10, f"{name}: the two derivations differ by {apart}"
    save_file(expected, os.path.join(folder, "expected.safetensors"))
    case = {"mem_init": mem_init, "segment": segment, "mem_len": config.mem_len, "documents": len(how["docs"]),
            "note": how["note"], "float32_error": float(f"{coarse:.1e}")}
    with open(os.path.join(folder, "case.json"), "w") as file:
        file.write(json.dumps(case, indent=2) + "\n")
    count = sum(p.numel() for p in model.parameters())
    assert not name.startswith("law") or count <= 50_000
    total = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name:13} {count:6} parameters {total / 1000:6.0f} kB   apart {apart:.0e}   float32 {coarse:.0e}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    patch_torch()
    for chosen in sys.argv[2:] or CASES:
        make(chosen, sys.argv[1])
