"""The fixtures of tokenizers: python3 make_tokenizers.py TEXT FIXTURES/tokenizers

Trains small byte-level BPEs on TEXT (any English book), gives them the splitting rules,
normalizers and templates of GPT-2, Llama 3, SmolLM and Qwen, and writes for each

  NAME/tokenizer.json
  NAME/text.bin, NAME/parse.bin   uint16 ids of hard.txt, special tokens as text or parsed
  NAME/long.txt                   number and FNV-1a hash of the ids of 1 MB without a space

beside hard.txt, which holds what tokenizers get wrong. The ids are those of the library
`tokenizers` (0.22.2). `borders` has no trained merges: a character merges with its
neighbours, so that the borders of pieces show in the ids; `strip` has added tokens that
take spaces or have to be words.
"""
import json
import os
import random
import sys

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

END = "<|endoftext|>"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def byte_level(regex, prefix=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True,
            "use_regex": regex}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
            "invert": False}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def template(name, number):
    text = {"Sequence": {"id": "A", "type_id": 0}}
    return {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": name, "type_id": 0}}, text],
            "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]}}}


DIGITS = {"type": "Digits", "individual_digits": True}
RULES = {
    "gpt2": byte_level(True),
    "gpt2-prefix": byte_level(True, True),
    "llama3": sequence(split(LLAMA3), byte_level(False)),
    "smollm": sequence(DIGITS, byte_level(True)),
    "qwen": sequence(split(QWEN), byte_level(False)),
    "strip": byte_level(True),
    "borders": sequence(split(LLAMA3), byte_level(False)),
}


def added(number, content, **switches):
    token = {"id": number, "content": content, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": False}
    token.update(switches)
    return token


def whole(name, vocabulary, merges):
    """A tokenizer.json of the family."""
    special = dict(special=True)
    if name == "llama3":  # a whole word without merges
        vocabulary["\u0120unreachable"] = len(vocabulary)
    tokens = [added(vocabulary.get(END, len(vocabulary)), END, **special)]
    after = len(vocabulary) + (END not in vocabulary)
    model = {"type": "BPE", "dropout": None, "unk_token": None,
             "continuing_subword_prefix": None, "end_of_word_suffix": None,
             "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
             "vocab": vocabulary, "merges": [list(pair) for pair in merges]}
    processor = byte_level(True)
    normalizer = None
    if name.startswith("gpt2"):
        model["merges"] = [" ".join(pair) for pair in merges]
        model["continuing_subword_prefix"] = model["end_of_word_suffix"] = ""
    if name == "llama3":
        model["ignore_merges"] = True
        tokens.append(added(after, "<|begin_of_text|>", **special))
        processor = {"type": "Sequence",
                     "processors": [byte_level(True),
                                    template("<|begin_of_text|>", after)]}
    if name == "qwen":
        normalizer = {"type": "NFC"}
        tokens += [added(after, "<|im_start|>", **special), added(after + 1, "<tool_call>"),
                   added(after + 2, "caf\u00e9", normalized=True)]
    if name == "strip":
        tokens += [added(after, "<L>", lstrip=True),
                   added(after + 1, "<R>", rstrip=True, normalized=True),
                   added(after + 2, "wordy", single_word=True, normalized=True),
                   added(after + 3, "    ", normalized=True),
                   added(after + 4, "<|LR|>", lstrip=True, rstrip=True, **special)]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens,
            "normalizer": normalizer, "pre_tokenizer": RULES[name],
            "post_processor": processor, "decoder": byte_level(True), "model": model}


def train(text, name):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = [END] if name in ("smollm", "gpt2") else []
    tokenizer.train([text], trainers.BpeTrainer(
        vocab_size=1000, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def borders():
    printing = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    others = [b for b in range(256) if b not in printing]
    letter = {b: chr(b) for b in printing}
    letter.update({b: chr(256 + i) for i, b in enumerate(others)})
    vocabulary = {letter[b]: b for b in range(256)}
    pairs = []
    for x in b"a1!' \n":
        pairs += [(x, lead) for lead in range(0xc2, 0xf5)]
        pairs += [(tail, x) for tail in range(0x80, 0xc0)]
    for left, right in pairs:
        vocabulary.setdefault(letter[left] + letter[right], len(vocabulary))
    return vocabulary, [(letter[left], letter[right]) for left, right in pairs]


LINES = [
    "Plain text, it's we'll they've I'm you're he'd don't. IT'S WE'LL THEY'VE I'M YOU'RE "
    "HE'D It\u2019s we\u2019ll '\u017f x'\u017ft 'S' 'Ll 'lL 'Re 'vE unreachable\n",
    "e\u0301 e\u0301\u0323 a\u0323\u0301\u0300 \u0301start n\u0303o cafe\u0301 caf\u00e9 "
    "\u1100\u1161\u11a8 \uac00\u11a8 \u0b47\u0b3e \u212b \u2126 \u0344 \u0958 \ufb1d "
    "\ufb01 \ufdfa \u00bd \ufe49 \u00a8 \u1e9b\u0323 \u0f73 \u0f71\u0f72\u0f80 \u305a\u3099 "
    "\u304b\u3099\n",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f469\U0001f3fd\u200d\U0001f4bb "
    "\U0001f3f3\ufe0f\u200d\U0001f308 \U0001f1e9\U0001f1ea 1\ufe0f\u20e3 \u2764\ufe0f\n",
    "\u4e2d\u6587\u6ca1\u6709\u7a7a\u683c\u3002\n\u8fd9\u662f\u6d4b\u8bd5\uff01\u65e5\u672c"
    "\u8a9e\u306e\u3001\u30ab\u30bf\r\n\ud55c\uad6d\uc5b4 1234 \u0e44\u0e17\u0e22\n",
    "\u05e9\u05dc\u05d5\u05dd \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0661\u0662\u0663 "
    "\u06f1\u06f2 \u0967\u0968 \u09ea \u2167 \u2460 \u32bf \U0001f10b \U0001d7d9 \u4e00 "
    "\U0001e5d0\U0001e5f1a \U00031350a \u1c8aa 1\U000116d0\n",
    "".join(map(chr, range(1, 128))) + "\x80\x85\u00a0\u00ad\u1680\u180e\u2000\u200b\u200c"
    "\u2028\u2029\u202f\u205f\u3000\ufeff\n",
    "tabs\t\tand\t \t spaces   and    more     \n\n\n  \n \n\r\n\r\n \r\n\t\r\n\v\f x\n",
    " " * 300 + "x" + " " * 77 + "\n" + "\n" * 50 + "a" + "\t" * 40 + "b",
    "1 12 123 1234 12345 123456 3.14159 1,000,000 0x1F 2024-01-31 12ab34cd v1.2.3\n",
    "<|endoftext|> a<|endoftext|>b <|im_start|>user\n<tool_call> caf\u00e9<|endoftext|> <L>"
    "  <L>x   <R>   y <R>\n z wordy wordys swordy wordy's  wordy <|LR|>  q   <|LR|><L> \n "
    "<R>wordy <|endoftext|><|endoftext|> <|endoftext <|begin_of_text|>\n",
]
BROKEN = [b"\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xed\xb0\x80",
          b"\xf0\x80\x80\xaf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\x80",
          b"\xbf\xbf", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xf0\x9f", b"\xe2\x28\xa1",
          b"\xf0\x9f\x98\x41", b"\xc3\xc3\xa9", b"\xe2\x82\xe2\x82\xac"]
ALPHABET = ([chr(c) for c in range(32, 127)] +
            list("\u00e9\u00fc\u00df\u017f\u0130\u0131\u01c6\u0391\u03b1\u0430\u0301\u0308"
                 "\u0323\u0345'\u2019\u00a0\u2009\u3000\n\r\t  \u0663\u2463\u4e2d\u30ab"
                 "\u309b\u3099\U0001f642\U0001f3fd\u200d\ufe0f\U0001d7d9\u1100\u1161\u11a8"
                 "\uac00\u0bd7\u0bc6\u0f71\u0f72"))


def hard(draw):
    parts = [line.encode() for line in LINES]
    for bad in BROKEN:
        parts.append(b"bad " + bad + b" x" + bad + b"\n" + bad + b"y'" + bad + bad + b" 5" +
                     bad + b"5 ")
    parts.append("".join(draw.choice("etaoinshrdlu") for _ in range(3000)).encode() + b"\n")
    for _ in range(700):
        word = "".join(draw.choice(ALPHABET) for _ in range(draw.randint(1, 12)))
        parts.append((word + draw.choice(["", " ", "\n", "  ", "'s "])).encode())
    for _ in range(60):
        parts.append(bytes(draw.randrange(256) for _ in range(draw.randint(1, 9))))
    return b"".join(parts) + b"end \xf0\x9f\x98"


def without_space():
    """1 MB of letters, as the test writes them."""
    state = 1
    letters = []
    for _ in range(1000000):
        state = (state * 1664525 + 1013904223) % 2**32
        letters.append("etaoinshrdlucmfw"[state >> 28])
    return "".join(letters)


def fnv(ids):
    value = 0xcbf29ce484222325
    for number in ids:
        value = ((value ^ number) * 0x100000001b3) % 2**64
    return value


def main():
    text, folder = sys.argv[1:]
    draw = random.Random(7)
    data = hard(draw)
    with open(f"{folder}/hard.txt", "wb") as out:
        out.write(data)
    for name in RULES:
        vocabulary, merges = borders() if name == "borders" else train(text, name)
        os.makedirs(f"{folder}/{name}", exist_ok=True)
        path = f"{folder}/{name}/tokenizer.json"
        with open(path, "w", encoding="utf-8") as out:
            json.dump(whole(name, vocabulary, merges), out, ensure_ascii=False,
                      separators=(",", ":"))
        tokenizer = Tokenizer.from_file(path)
        for mode in ("text", "parse"):
            tokenizer.encode_special_tokens = mode == "text"
            ids = tokenizer.encode(data.decode("utf-8", "replace"),
                                   add_special_tokens=False).ids
            np.array(ids, dtype="<u2").tofile(f"{folder}/{name}/{mode}.bin")
        ids = tokenizer.encode(without_space(), add_special_tokens=False).ids
        with open(f"{folder}/{name}/long.txt", "w") as out:
            out.write(f"{len(ids)} {fnv(ids):016x}\n")


main()
