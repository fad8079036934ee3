#!/usr/bin/env python3
"""A small tokenizer, a text, and the ids that the tokenizers library gives it.

    make_tokens.py OUTDIR          (tests/fixtures/tokens)

Byte-level BPE by GPT-2's splitting rule, trained on the LICENSE of this tree: 512 ids, two
special tokens and a template that puts <s> before a text. Needs tokenizers (0.22).
"""
import json
import pathlib
import struct
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCABULARY = 512
TEXT = (
    "The license is granted, \"as is\", to any person; it's theirs.\n\n"
    "  Caf\u00e9 na\u00efve \u4e2d\u6587 \u0928\u092e\u0938\u094d\u0924\u0947 "
    "\U0001f469\u200d\U0001f680 1234 don't  stop\t\r\n"
    "<|endoftext|>the end<s> of it\n" * 3
)


def train(license_text):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>", "<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    t.train_from_iterator([license_text], trainer)
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", t.token_to_id("<s>"))]
    )
    return t


def main():
    here = pathlib.Path(__file__).resolve().parent
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    t = train((here / "../../LICENSE").read_text())
    (out / "tokenizer.json").write_text(
        json.dumps(json.loads(t.to_str()), ensure_ascii=False, indent=0) + "\n"
    )
    (out / "text").write_text(TEXT, newline="")
    for name, as_text in (("text", True), ("parse", False)):
        t.encode_special_tokens = as_text
        ids = t.encode(TEXT, add_special_tokens=False).ids
        (out / f"{name}.u16").write_bytes(struct.pack(f"<{len(ids)}H", *ids))


main()
