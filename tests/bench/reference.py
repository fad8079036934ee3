#!/usr/bin/env python3
"""The same work by what people would use and by longspan, on the same cores, in one run.

    reference.py LONGSPAN [--model DIR] [--tokens N ...] [--threads T] [--rounds R] [--gguf FILE|none]
                 [--without WORD ...]
    reference.py LONGSPAN --family transfo-xl [--tokens N] [--threads T]

The first reads random ids as one text with a llama, gpt2, mistral or qwen of DIR (default: SmolLM2, which
data/get_model.py writes to build/models/smollm2): at each length N (default 512 and 2048) the hidden states alone, and
with the log-probability of every token. There are transformers (eager and sdpa, in float32 and bfloat16), llama.cpp
(llama-cpp-python, of the GGUF and of the same in float32) and longspan, T threads each, on the same T processors. They
take turns: R rounds (default 5), each program once a round. Printed are medians of tokens a second, by CPU time and
by the clock, and medians of the ratio of longspan to each within a round. On a machine that does other work quote CPU
time. A processor without products of bfloat16 takes minutes over each of those: --without bfloat16 leaves them out.

The second is a random Transformer-XL (D 512, L 12, F 2048, memory 512, bytes), N tokens (default 16384) in segments of
128 and of 512, by the library and by longspan, one after the other.

longspan's time is that of its compute phases, as FILE.run.json has them; loading and writing are left out for all.
Needs torch 2.x and transformers 4.57.x; llama-cpp-python, if it is there, built with this machine's instructions:
pip install --no-binary llama-cpp-python llama-cpp-python
"""
import argparse
import contextlib
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parent.parent.parent
HIDDEN, LOGPROBS = "hidden states", "log-probabilities"

torch.set_grad_enabled(False)


# ---------------------------------------------------------------- longspan


def run_longspan(program, model, output, arguments, threads):
    """FILE.run.json of one run: one rank a thread."""
    command = [program, "run", "--quiet", "--overwrite", "--model", str(model), "--output", f"{output}.h5",
               "--threads", "1", *arguments]
    if threads > 1:
        command = ["mpirun", "-n", str(threads), *command]
    subprocess.run(command, check=True)
    with open(f"{output}.run.json", encoding="utf-8") as f:
        return json.load(f)


class Longspan:
    """One run of the program for each measurement: it computes log-probabilities in any case, and times them apart."""

    def __init__(self, program, model, threads, scratch):
        self.name = "longspan float32"
        self.how = program, model, os.path.join(scratch, "out")
        self.threads, self.text, self.core = threads, os.path.join(scratch, "ids.u16"), None

    def measure(self, ids, work):
        """Tokens a second by CPU time and by the clock."""
        ids.astype("<u2").tofile(self.text)
        run = run_longspan(*self.how, ["--input-format", "u16", "--snapshots", "none", self.text], self.threads)
        self.core = (f"products {run['semantic_options']['gemm']}, {run['kernels']} kernels, "
                     f"{run['blas']}, core {run['blas_core']}")
        spent = {phase: seconds["avg"] for phase, seconds in run["seconds"].items()}
        seconds = sum(s for phase, s in spent.items() if phase not in ("read tokens", "write", "sync and commit"))
        kept = 1 - spent["log-probabilities"] / seconds if work == HIDDEN else 1
        return len(ids) / (run["cpu_seconds"]["avg"] * kept), len(ids) / (seconds * kept)


# ---------------------------------------------------------------- The others


def timed(function, ids, threads):
    """Tokens a second by CPU time (as if all threads had been busy to the end) and by the clock."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    function()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return len(ids) * threads / cpu, len(ids) / wall


class Transformers:
    """A model of the library, held in memory."""

    def __init__(self, folder, attention, dtype, threads):
        from transformers import AutoModelForCausalLM
        self.name, self.threads = f"transformers {attention} {str(dtype)[6:]}", threads
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=attention).eval()

    def measure(self, ids, work):
        """Tokens a second by CPU time and by the clock."""
        ids = torch.from_numpy(ids.astype("i8"))
        if work == HIDDEN:
            return timed(lambda: self.model.base_model(ids[None], use_cache=False), ids, self.threads)
        return timed(lambda: F.cross_entropy(self.model(ids[None], use_cache=False).logits[0, :-1].float(), ids[1:],
                                             reduction="none"), ids, self.threads)


class LlamaCpp:
    """A model of llama.cpp, with its own batches of 512; for log-probabilities numpy ends what it leaves undone."""

    def __init__(self, library, path, name, threads, longest):
        self.binding, self.name, self.threads = library, name, threads
        settings = library.llama_model_default_params()
        self.model = library.llama_model_load_from_file(str(path).encode(), settings)
        if not self.model:
            raise RuntimeError(f"{path}: llama.cpp cannot read it")
        settings = library.llama_context_default_params()
        settings.n_ctx, settings.n_batch = longest, longest
        settings.n_threads = settings.n_threads_batch = threads
        self.context = library.llama_init_from_model(self.model, settings)
        self.batch = library.llama_batch_init(longest, 0, 1)
        self.words = library.llama_vocab_n_tokens(library.llama_model_get_vocab(self.model))

    def fill(self, ids, all_rows):
        """The batch: ids at positions from 0; logits of every row, or of the last."""
        self.batch.n_tokens = len(ids)
        for i, token in enumerate(ids.tolist()):
            self.batch.token[i], self.batch.pos[i] = token, i
            self.batch.n_seq_id[i], self.batch.seq_id[i][0] = 1, 0
            self.batch.logits[i] = all_rows or i == len(ids) - 1

    def measure(self, ids, work):
        """Tokens a second by CPU time and by the clock."""
        self.fill(ids, work == LOGPROBS)
        self.binding.llama_memory_clear(self.binding.llama_get_memory(self.context), True)
        return timed(lambda: self.compute(ids, work), ids, self.threads)

    def compute(self, ids, work):
        """One pass over the ids."""
        if self.binding.llama_decode(self.context, self.batch):
            raise RuntimeError("llama_decode failed")
        if work == LOGPROBS:
            pointer = self.binding.llama_get_logits(self.context)
            rows = np.ctypeslib.as_array(pointer, (len(ids), self.words))
            F.cross_entropy(torch.from_numpy(rows[:-1]), torch.from_numpy(ids[1:].astype("i8")), reduction="none")


def in_float32(library, source, scratch):
    """The same GGUF with every tensor in float32."""
    target = os.path.join(scratch, "float32.gguf")
    settings = library.llama_model_quantize_default_params()
    settings.ftype, settings.allow_requantize = library.LLAMA_FTYPE_ALL_F32, True
    if library.llama_model_quantize(str(source).encode(), target.encode(), ctypes.byref(settings)):
        raise RuntimeError(f"{source}: llama.cpp cannot write it in float32")
    return target


@contextlib.contextmanager
def no_words():
    """llama.cpp speaks through the descriptors of the process."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def llama_cpp_models(gguf, threads, longest, scratch):
    """Both models of llama.cpp, or none and a line that says why."""
    try:
        import llama_cpp
    except ImportError as error:
        print(f"# left out: llama.cpp ({error}; see the head of this file)")
        return []
    with no_words():
        return [LlamaCpp(llama_cpp, path, f"llama.cpp {name}", threads, longest)
                for name, path in ((Path(gguf).stem.split(".")[-1], gguf),
                                   ("float32", in_float32(llama_cpp, gguf, scratch)))]


def fetch_gguf(scratch):
    """The GGUF that the default model was made from."""
    sys.path.insert(0, str(ROOT / "data"))
    import get_model
    return get_model.download("smollm2", Path(scratch))


# ---------------------------------------------------------------- The comparison


def processor():
    """The processor's name."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        fields = dict(line.split(":", 1) for line in f.read().split("\n\n", maxsplit=1)[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    return f"{fields.get('model name')}, family {fields.get('cpu family')}, model {fields.get('model')}"


def contenders(arguments, scratch):
    """Everything that takes part, longspan last."""
    folder, threads = arguments.model, arguments.threads
    def wanted(name):
        return not any(word in name for word in arguments.without)

    everyone = [Transformers(folder, attention, dtype, threads)
                for dtype in (torch.float32, torch.bfloat16) for attention in ("eager", "sdpa")
                if wanted(f"transformers {attention} {str(dtype)[6:]}")]
    gguf = arguments.gguf
    if gguf is None and folder == default_model() and wanted("llama.cpp"):
        gguf = fetch_gguf(scratch)
    if gguf not in (None, "none") and wanted("llama.cpp"):
        everyone += llama_cpp_models(gguf, threads, max(arguments.tokens), scratch)
    return everyone + [Longspan(arguments.program, folder, threads, scratch)]


def compare(everyone, ids, work, rounds):
    """Prints a table: one row a program."""
    rates = {one.name: [] for one in everyone}
    for one in everyone:
        one.measure(ids, work)  # not counted
    for _ in range(rounds):
        for one in everyone:
            rates[one.name].append(one.measure(ids, work))
    ours = rates[everyone[-1].name]
    print(f"\n{len(ids)} tokens, {work}\n{'':30} tokens/s: CPU   clock   longspan is times: CPU   clock")
    for name, theirs in rates.items():
        cpu, wall = (statistics.median(column) for column in zip(*theirs))
        more = [statistics.median(o[i] / t[i] for o, t in zip(ours, theirs)) for i in (0, 1)]
        print(f"{name:30} {cpu:13.0f} {wall:7.0f} {more[0]:23.2f} {more[1]:7.2f}", flush=True)


def default_model():
    """Where quickstart.sh keeps it."""
    return str(ROOT / "build" / "models" / "smollm2")


def compare_all(arguments):
    """All lengths, both works."""
    if not os.path.isfile(os.path.join(arguments.model, "config.json")):
        sys.exit(f"{arguments.model}: no model there; data/get_model.py smollm2 --output {arguments.model}")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:arguments.threads])
    torch.set_num_threads(arguments.threads)
    with open(os.path.join(arguments.model, "config.json"), encoding="utf-8") as f:
        vocabulary = min(json.load(f)["vocab_size"], 1 << 16)
    with tempfile.TemporaryDirectory() as scratch:
        everyone = contenders(arguments, scratch)
        print(f"# {processor()}; threads {arguments.threads}, load {os.getloadavg()[0]:.1f}, torch "
              f"{torch.__version__}, rounds {arguments.rounds}")
        for tokens in arguments.tokens:
            ids = np.random.default_rng(tokens).integers(0, vocabulary, tokens)
            for work in (HIDDEN, LOGPROBS):
                compare(everyone, ids, work, arguments.rounds)
        print(f"\n# longspan: {everyone[-1].core}; load {os.getloadavg()[0]:.1f}")


# ---------------------------------------------------------------- Transformer-XL


def make_transfo_xl(folder):
    """A random checkpoint as the library writes it, and the model itself."""
    from transformers import TransfoXLConfig, TransfoXLLMHeadModel
    cast = torch.Tensor.type_as
    torch.Tensor.type_as = lambda t, other=None, dtype=None: t.to(dtype) if other is None else cast(t, other)
    torch.manual_seed(1)
    config = TransfoXLConfig(
        vocab_size=256, cutoffs=[], div_val=1, mem_len=512, clamp_len=-1, same_length=True, untie_r=True, tgt_len=128,
        d_model=512, d_embed=512, n_head=8, d_head=64, d_inner=2048, n_layer=12)
    config.tokenizer = "bytes"
    model = TransfoXLLMHeadModel(config).eval()
    model.save_pretrained(folder, safe_serialization=True)
    return model


def transfo_xl_rate(model, ids, segment):
    """Tokens a second of segment-by-segment evaluation with memory, first one not timed."""
    memory = model(ids[:, :segment], mems=None).mems
    begin = time.perf_counter()
    for start in range(segment, ids.shape[1], segment):
        memory = model(ids[:, start:start + segment], mems=memory).mems
    return (ids.shape[1] - segment) / (time.perf_counter() - begin)


def compare_transfo_xl(program, tokens, threads):
    """Both segments."""
    torch.set_num_threads(threads)
    print("OPENBLAS_CORETYPE =", os.environ.get("OPENBLAS_CORETYPE", "(not set)"))
    with tempfile.TemporaryDirectory() as folder:
        model = make_transfo_xl(folder)
        data = bytes(97 + (i * 7 + i // 13) % 26 for i in range(tokens))
        text = os.path.join(folder, "text")
        with open(text, "wb") as f:
            f.write(data)
        ids = torch.tensor(list(data), dtype=torch.long)[None]
        for segment in (128, 512):
            theirs = transfo_xl_rate(model, ids, segment)
            run = run_longspan(program, folder, os.path.join(folder, "out"), ["--segment", str(segment), text], threads)
            ours = run["token_end"] / sum(phase["avg"] for phase in run["seconds"].values())
            print(f"transformers_tokens_per_second[{segment}] = {theirs:.0f}")
            print(f"longspan_tokens_per_second[{segment}] = {ours:.0f}")
            print(f"ratio[{segment}] = {ours / theirs:.2f}", flush=True)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="LONGSPAN")
    parser.add_argument("--family", choices=("llama", "transfo-xl"), default="llama",
                        help="llama stands for every family whose model is read whole")
    parser.add_argument("--model", metavar="DIR", default=default_model())
    parser.add_argument("--gguf", metavar="FILE|none", help="for llama.cpp; default: that of SmolLM2")
    parser.add_argument("--without", metavar="WORD", nargs="+", default=[],
                        help="leave out what has one of these words in its name: bfloat16 eager llama.cpp ...")
    parser.add_argument("--tokens", type=int, nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    arguments.program = os.path.abspath(arguments.program)
    if arguments.family == "transfo-xl":
        compare_transfo_xl(arguments.program, (arguments.tokens or [16384])[0], arguments.threads)
        return
    arguments.tokens = arguments.tokens or [512, 2048]
    compare_all(arguments)


if __name__ == "__main__":
    main()
