"""Makes broken checkpoints, for the tests of error messages, from a good one. Standard library only.

Usage: python3 make_bad.py FIXTURE OUTDIR      FIXTURE: an unsharded float32 Transformer-XL folder, `law` say

Every OUTDIR/NAME is a checkpoint folder with one defect. OUTDIR/manifest.json maps NAME to a text that the message
must contain: the tensor, the config key or the file that is to blame. OUTDIR/good is the same checkpoint, written by
the same code, without a defect: a program that refuses it refuses for the wrong reason.
"""
import json
import os
import struct
import sys

TENSOR = "transformer.layers.0.dec_attn.o_net.weight"
FILE, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
BAD = {}


class Checkpoint:
    """The parts of a checkpoint folder, each of which a defect may spoil before `write`."""

    def __init__(self, folder):
        with open(os.path.join(folder, CONFIG)) as file:
            self.config = json.load(file)
        with open(os.path.join(folder, FILE), "rb") as file:
            raw = file.read()
        (length,) = struct.unpack_from("<Q", raw)
        self.header = json.loads(raw[8:8 + length])
        self.data = bytearray(raw[8 + length:])
        self.config_text = self.header_text = self.length = self.index = self.raw = None
        self.shard = FILE

    def __getitem__(self, name):
        return self.header[name]

    def spoil_header(self, old, new):
        """Replaces the first occurrence in the header's text, as bytes."""
        text = json.dumps(self.header).encode()
        assert old in text, old
        self.header_text = text.replace(old, new, 1)

    def weight_map(self, **other):
        """An index over the one file, in which some tensors are said to be elsewhere."""
        names = {n: self.shard for n in self.header if n != "__metadata__"}
        self.index = json.dumps({"metadata": {"total_size": len(self.data)}, "weight_map": {**names, **other}})

    def write(self, folder):
        os.makedirs(folder, exist_ok=True)
        text = json.dumps(self.header).encode() if self.header_text is None else self.header_text
        length = len(text) if self.length is None else self.length
        raw = struct.pack("<Q", length) + text + bytes(self.data) if self.raw is None else self.raw(text, self.data)
        config = json.dumps(self.config, indent=2) if self.config_text is None else self.config_text
        for name, content in ((CONFIG, config), (self.shard, raw), (INDEX, self.index)):
            if content is not None:
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(content.encode() if isinstance(content, str) else content)


def bad(name, expect):
    """Registers a defect: a function that spoils a Checkpoint."""
    def register(spoil):
        assert name not in BAD
        BAD[name] = (expect, spoil)
        return spoil
    return register


# --- tensors -----------------------------------------------------------------------------------------------------

@bad("tensor-missing", TENSOR)
def _(c):
    gone = c.header.pop(TENSOR)  # its bytes go too, so that the file itself is sound
    begin, end = gone["data_offsets"]
    del c.data[begin:end]
    for name, entry in c.header.items():
        if name != "__metadata__" and entry["data_offsets"][0] >= end:
            entry["data_offsets"] = [offset - (end - begin) for offset in entry["data_offsets"]]


@bad("tensor-unexpected", "transformer.layers.0.dec_attn.extra.weight")
def _(c):
    end = len(c.data)
    c.header["transformer.layers.0.dec_attn.extra.weight"] = {"dtype": "F32", "shape": [2], "data_offsets": [end, end + 8]}
    c.data += bytes(8)


@bad("tensor-shape", TENSOR)
def _(c):
    rows, columns = c[TENSOR]["shape"]
    c[TENSOR]["shape"] = [rows * 2, columns // 2]


@bad("tensor-rank", TENSOR)
def _(c):
    rows, columns = c[TENSOR]["shape"]
    c[TENSOR]["shape"] = [rows * columns]


@bad("tensor-overlap", TENSOR)
def _(c):
    c[TENSOR]["data_offsets"] = [offset - 4 for offset in c[TENSOR]["data_offsets"]]


@bad("tensor-hole", FILE)
def _(c):
    begin = c[TENSOR]["data_offsets"][0]
    for name, entry in c.header.items():
        if name != "__metadata__" and entry["data_offsets"][0] >= begin:
            entry["data_offsets"] = [offset + 4 for offset in entry["data_offsets"]]
    c.data[begin:begin] = bytes(4)


@bad("tensor-offsets-reversed", TENSOR)
def _(c):
    c[TENSOR]["data_offsets"].reverse()


@bad("tensor-offsets-negative", TENSOR)
def _(c):
    c[TENSOR]["data_offsets"][0] = -4


@bad("tensor-offsets-fraction", TENSOR)
def _(c):
    c[TENSOR]["data_offsets"][1] += 0.5


@bad("tensor-size", TENSOR)
def _(c):
    c[TENSOR]["shape"][0] += 1


@bad("tensor-product-overflow", TENSOR)
def _(c):
    c[TENSOR]["shape"] = [1 << 33, 1 << 33]


@bad("tensor-dimension-overflow", TENSOR)
def _(c):
    c[TENSOR]["shape"] = [2, (1 << 64) - 2]


@bad("tensor-dtype", "F8_E4M3")
def _(c):
    c[TENSOR]["dtype"] = "F8_E4M3"
    c[TENSOR]["shape"][1] *= 4


@bad("tensor-dtype-integer", TENSOR)
def _(c):
    c[TENSOR]["dtype"] = "I32"


@bad("tensor-without-shape", TENSOR)
def _(c):
    del c[TENSOR]["shape"]


@bad("tensor-nan", TENSOR)
def _(c):
    struct.pack_into("<f", c.data, c[TENSOR]["data_offsets"][0] + 8, float("nan"))


@bad("tensor-infinite", TENSOR)
def _(c):
    struct.pack_into("<f", c.data, c[TENSOR]["data_offsets"][0] + 8, float("inf"))


# --- the file ----------------------------------------------------------------------------------------------------

@bad("file-missing", FILE)
def _(c):
    c.shard = "other.safetensors"


@bad("file-empty", FILE)
def _(c):
    c.raw = lambda text, data: b""


@bad("file-length-only", FILE)
def _(c):
    c.raw = lambda text, data: struct.pack("<Q", len(text))


@bad("file-truncated-header", FILE)
def _(c):
    c.raw = lambda text, data: struct.pack("<Q", len(text)) + text[:len(text) // 2]


@bad("file-truncated", FILE)
def _(c):
    del c.data[-10:]


@bad("file-trailing-bytes", FILE)
def _(c):
    c.data += b"12345678"


@bad("header-huge", FILE)
def _(c):
    c.length = (1 << 63) + 60


@bad("header-above-limit", FILE)
def _(c):
    c.length = 100_000_001


@bad("header-not-json", FILE)
def _(c):
    c.header_text = json.dumps(c.header).encode()[:-1] + b"]"


@bad("header-not-object", FILE)
def _(c):
    c.header_text = b"[1, 2]"


@bad("header-deep", FILE)
def _(c):
    c.header_text = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


@bad("header-duplicate-key", TENSOR)
def _(c):
    text, entry = json.dumps(c.header), json.dumps({TENSOR: c[TENSOR]})
    c.header_text = (text[:-1] + ", " + entry[1:]).encode()


@bad("header-bad-utf8", FILE)
def _(c):
    c.spoil_header(b"o_net", b"o_n\xff\xfe")


@bad("header-metadata-number", "__metadata__")
def _(c):
    c.header["__metadata__"] = {"format": 1}


# --- config.json -------------------------------------------------------------------------------------------------

def bad_config(name, key, *value):
    """A config key with a bad value, or without one."""
    @bad("config-" + name, key)
    def _(c):
        c.config.pop(key)
        c.config.update({key: v for v in value})


bad_config("no-d-model", "d_model")
bad_config("no-vocab-size", "vocab_size")
bad_config("d-model-negative", "d_model", -32)
bad_config("d-model-odd", "d_model", 33)
bad_config("d-model-fraction", "d_model", 32.5)
bad_config("d-model-text", "d_model", "32")
bad_config("n-head-zero", "n_head", 0)
bad_config("n-layer-zero", "n_layer", 0)
bad_config("n-layer-huge", "n_layer", 10 ** 18)
bad_config("d-inner-beyond-64-bits", "d_inner", 10 ** 30)
bad_config("mem-len-negative", "mem_len", -1)
bad_config("attn-type", "attn_type", 1)
bad_config("div-val-zero", "div_val", 0)
bad_config("cutoffs-falling", "cutoffs", [100, 50])
bad_config("cutoffs-beyond-vocab", "cutoffs", [256])
bad_config("cutoffs-zero", "cutoffs", [0])
bad_config("same-length-text", "same_length", "yes")
bad_config("eps-negative", "layer_norm_epsilon", -1e-5)
bad_config("other-family", "model_type", "no-such-model")
bad_config("no-model-type", "model_type")


@bad("config-d-inner-other", "transformer.layers.0.pos_ff.CoreNet.0.weight")
def _(c):
    c.config["d_inner"] *= 2  # the config is sound, and the tensors are of another model


@bad("config-nan", "layer_norm_epsilon")
def _(c):
    c.config["layer_norm_epsilon"] = float("nan")  # json writes the bare word NaN, which is not JSON


@bad("config-window-empty", "mem_len")
def _(c):
    c.config.update(mem_len=0, same_length=True)  # every key would be masked


@bad("config-not-json", CONFIG)
def _(c):
    c.config_text = json.dumps(c.config)[:-1]


@bad("config-empty", CONFIG)
def _(c):
    c.config_text = ""


@bad("config-array", CONFIG)
def _(c):
    c.config_text = "[]"


# --- the index of shards -----------------------------------------------------------------------------------------

@bad("index-outside", "../x.safetensors")
def _(c):
    c.shard = "model-00001-of-00002.safetensors"
    c.weight_map(**{TENSOR: "../x.safetensors"})


@bad("index-absolute", "/x.safetensors")
def _(c):
    c.shard = "model-00001-of-00002.safetensors"
    c.weight_map(**{TENSOR: "/x.safetensors"})


@bad("index-missing-shard", "model-00002-of-00002.safetensors")
def _(c):
    c.shard = "model-00001-of-00002.safetensors"
    c.weight_map(**{TENSOR: "model-00002-of-00002.safetensors"})


@bad("index-tensor-not-in-shard", "transformer.layers.9.extra")
def _(c):
    c.shard = "model-00001-of-00001.safetensors"
    c.weight_map(**{"transformer.layers.9.extra": c.shard})


@bad("index-not-json", INDEX)
def _(c):
    c.shard = "model-00001-of-00001.safetensors"
    c.index = '{"weight_map": {'


@bad("index-no-map", INDEX)
def _(c):
    c.shard = "model-00001-of-00001.safetensors"
    c.index = '{"metadata": {"total_size": 1}}'


def main(fixture, outdir):
    manifest = {}
    Checkpoint(fixture).write(os.path.join(outdir, "good"))
    for name, (expect, spoil) in BAD.items():
        checkpoint = Checkpoint(fixture)
        spoil(checkpoint)
        checkpoint.write(os.path.join(outdir, name))
        manifest[name] = expect
    with open(os.path.join(outdir, "manifest.json"), "w") as file:
        file.write(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
