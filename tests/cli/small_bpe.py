"""Trains a small byte-level BPE and prints its tokenizer.json.

Usage: python3 small_bpe.py MERGES TEXT          (Python alone)

Splitting as GPT-2's: a word takes the blank before it. Every byte is a token, so any text can be cut.
"""
import collections
import json
import re
import sys


def letters():
    """The character that stands for each byte in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(other)}}


def main():
    merges, path = int(sys.argv[1]), sys.argv[2]
    letter = letters()
    with open(path, "rb") as file:
        text = file.read().decode("utf-8", "replace")
    words = collections.Counter(re.findall(r" ?[^\W\d_]+| ?\d+| ?[^\w\s]+|\s+", text))
    pieces = {word: [letter[b] for b in word.encode()] for word in words}
    vocabulary, rules = [letter[b] for b in range(256)], []
    for _ in range(merges):
        pairs = collections.Counter()
        for word, times in words.items():
            for pair in zip(pieces[word], pieces[word][1:]):
                pairs[pair] += times
        if not pairs:
            break
        a, b = max(pairs, key=lambda p: (pairs[p], p))
        rules.append([a, b])
        vocabulary.append(a + b)
        for piece in pieces.values():
            i = 0
            while i + 1 < len(piece):
                if (piece[i], piece[i + 1]) == (a, b):
                    piece[i:i + 2] = [a + b]
                i += 1
    end = len(vocabulary)
    json.dump({
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": end, "content": "<|end|>", "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True}],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: i for i, token in enumerate(dict.fromkeys(vocabulary))}, "merges": rules}},
        sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main()
