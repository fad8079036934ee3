"""Reader of GGUF files: the metadata, and tensors as float32. Needs numpy alone.

A GGUF file (little-endian, versions 2 and 3) is

    "GGUF"  version u32  number of tensors u64  number of metadata u64
    metadata: name, type u32, value           a name or string: length u64, bytes
    tensors:  name, dimensions u32, each u64 (fastest first), type u32, offset u64 (from the start of the data)
    padding to general.alignment (32), data

Quantised tensors are rows of blocks; a block holds 32 or 256 numbers. What a block type means is one function below:
rows of bytes, one a block, to rows of float32. Products and sums are those of float32, in the order written here.
"""
import math
import struct
from pathlib import Path

import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
CHUNK_BLOCKS = 1 << 17  # blocks that are turned into numbers at a time, to bound the memory


# ---------------------------------------------------------------- Blocks


def halves(raw):
    """Bytes as float16, turned to float32: one column for two bytes."""
    return raw.view("<f2").astype(np.float32)


def nibbles(raw):
    """The low halves of all bytes of a row, then the high ones."""
    return np.concatenate([raw & 15, raw >> 4], axis=1)


def fifth_bits(raw):
    """Four bytes as 32 numbers 0 or 16, from the lowest bit."""
    return ((raw.view("<u4") >> np.arange(32, dtype=np.uint32)) & 1).astype(np.uint8) << 4


def q4_0(raw):
    return halves(raw[:, :2]) * (nibbles(raw[:, 2:]).astype(np.float32) - 8)


def q4_1(raw):
    return halves(raw[:, :2]) * nibbles(raw[:, 4:]).astype(np.float32) + halves(raw[:, 2:4])


def q5_0(raw):
    numbers = nibbles(raw[:, 6:]) | fifth_bits(raw[:, 2:6].copy())
    return halves(raw[:, :2]) * (numbers.astype(np.float32) - 16)


def q5_1(raw):
    numbers = nibbles(raw[:, 8:]) | fifth_bits(raw[:, 4:8].copy())
    return halves(raw[:, :2]) * numbers.astype(np.float32) + halves(raw[:, 2:4])


def q8_0(raw):
    return halves(raw[:, :2]) * raw[:, 2:].view(np.int8).astype(np.float32)


def scales_of_eight(raw):
    """12 bytes as 8 scales and 8 minima of 6 bits each."""
    a, b, c = raw[:, :4], raw[:, 4:8], raw[:, 8:]
    scales = np.concatenate([a & 63, (c & 15) | (a >> 6 << 4)], axis=1)
    minima = np.concatenate([b & 63, (c >> 4) | (b >> 6 << 4)], axis=1)
    return scales.astype(np.float32), minima.astype(np.float32)


def eight_of_32(raw, numbers):
    """Blocks of 8 times 32 numbers with scales and minima of their own; raw begins with both factors."""
    scales, minima = scales_of_eight(raw[:, 4:16])
    scales = (halves(raw[:, :2]) * scales)[:, :, None]
    minima = (halves(raw[:, 2:4]) * minima)[:, :, None]
    return (scales * numbers.astype(np.float32) - minima).reshape(len(raw), 256)


def pairs_of_32(raw):
    """128 bytes as 8 times 32 numbers: of every 32 bytes the low halves, then the high ones."""
    raw = raw.reshape(-1, 4, 1, 32)
    return ((raw >> np.array([0, 4], np.uint8)[:, None]) & 15).reshape(-1, 8, 32)


def q4_k(raw):
    return eight_of_32(raw, pairs_of_32(raw[:, 16:]))


def q5_k(raw):
    fifth = (raw[:, None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None]) & 1
    return eight_of_32(raw, pairs_of_32(raw[:, 48:]) | fifth << 4)


def q6_k(raw):
    low = (raw[:, :128].reshape(-1, 2, 1, 64) >> np.array([0, 4], np.uint8)[:, None]) & 15
    high = (raw[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None]) & 3
    numbers = (low.reshape(-1, 16, 16) | high.reshape(-1, 16, 16) << 4).astype(np.float32) - 32
    scales = halves(raw[:, 208:]) * raw[:, 192:208].view(np.int8).astype(np.float32)
    return (scales[:, :, None] * numbers).reshape(len(raw), 256)


def bf16(raw):
    return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)


# number in the file: name, numbers a block, bytes a block, function
TYPES = {
    0: ("F32", 1, 4, lambda raw: raw.view("<f4")),
    1: ("F16", 1, 2, halves),
    2: ("Q4_0", 32, 18, q4_0),
    3: ("Q4_1", 32, 20, q4_1),
    6: ("Q5_0", 32, 22, q5_0),
    7: ("Q5_1", 32, 24, q5_1),
    8: ("Q8_0", 32, 34, q8_0),
    12: ("Q4_K", 256, 144, q4_k),
    13: ("Q5_K", 256, 176, q5_k),
    14: ("Q6_K", 256, 210, q6_k),
    30: ("BF16", 1, 2, bf16),
}
OTHER_TYPES = {  # known by name, so that a refusal can say it
    9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
    29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}


# ---------------------------------------------------------------- The file


class Tensor:
    """One tensor of the file: name, shape (slowest first) and where its bytes are."""

    def __init__(self, name, shape, kind, data):
        self.name, self.shape, self.kind, self.data = name, shape, kind, data

    def type_name(self):
        """Its type in words, as in `Q4_1`."""
        return TYPES[self.kind][0]

    def values(self):
        """All of it as float32."""
        _name, numbers, size, function = TYPES[self.kind]
        raw = self.data.reshape(-1, size)
        out = np.empty((len(raw), numbers), np.float32)
        for start in range(0, len(raw), CHUNK_BLOCKS):
            chunk = slice(start, start + CHUNK_BLOCKS)
            out[chunk] = function(np.ascontiguousarray(raw[chunk]))
        return out.reshape(self.shape)


class Gguf:
    """A GGUF file: `metadata` (name -> value) and `tensors` (name -> Tensor)."""

    def __init__(self, path):
        self.path, self.position, self.metadata, self.tensors = Path(path), 0, {}, {}
        if self.path.stat().st_size < 24:
            raise ValueError(f"{path}: {self.path.stat().st_size} bytes; a GGUF file is longer")
        self.data = np.memmap(path, np.uint8, "r")
        if self.data[:4].tobytes() != b"GGUF":
            raise ValueError(f"{path}: does not begin with GGUF; expected a model of llama.cpp")
        self.position = 4
        version = self.number("I")
        if version not in (2, 3):
            raise ValueError(f"{path}: GGUF version {version}; versions 2 and 3 (little-endian) can be read")
        tensors, metadata = self.number("Q"), self.number("Q")
        for _ in range(metadata):
            name = self.string()
            self.metadata[name] = self.value(self.number("I"))
        self.read_tensors([self.tensor_head() for _ in range(tensors)])

    def take(self, count):
        """The next `count` bytes."""
        start = self.position
        self.position = start + count
        if self.position > len(self.data):
            raise ValueError(f"{self.path}: ends early, at byte {len(self.data)}; download it again")
        return self.data[start:self.position].tobytes()

    def number(self, code):
        """The next number of a struct format."""
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def string(self):
        """The next string."""
        return self.take(self.number("Q")).decode("utf-8", "replace")

    def value(self, kind):
        """The next value of a metadata type."""
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            kind, count = self.number("I"), self.number("Q")
            if kind in SCALARS:
                code = SCALARS[kind]
                return list(struct.unpack(f"<{count}{code}", self.take(count * struct.calcsize("<" + code))))
            return [self.value(kind) for _ in range(count)]
        if kind not in SCALARS:
            raise ValueError(f"{self.path}: metadata of unknown type {kind} at byte {self.position}")
        return self.number(SCALARS[kind])

    def tensor_head(self):
        """The next tensor's name, shape, type and offset."""
        name = self.string()
        shape = tuple(self.number("Q") for _ in range(self.number("I")))[::-1]
        return name, shape, self.number("I"), self.number("Q")

    def read_tensors(self, heads):
        """Checks all types and places before any number is read."""
        alignment = self.metadata.get("general.alignment", 32)
        begin = -(-self.position // alignment) * alignment
        for name, shape, kind, offset in heads:
            if kind not in TYPES:
                what = OTHER_TYPES.get(kind, f"number {kind}")
                raise ValueError(f"{self.path}: {name} is of type {what}; "
                                 f"expected one of {', '.join(t[0] for t in TYPES.values())}")
            _name, numbers, size, _function = TYPES[kind]
            if not shape or shape[-1] % numbers:
                raise ValueError(f"{self.path}: {name} has shape {shape}; its rows are blocks of {numbers}")
            start, count = begin + offset, math.prod(shape) // numbers * size
            if start + count > len(self.data):
                raise ValueError(f"{self.path}: ends before the data of {name}; download it again")
            self.tensors[name] = Tensor(name, shape, kind, self.data[start:start + count])
