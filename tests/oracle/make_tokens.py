#!/usr/bin/env python3
"""A small model with its tokenizer, a text, the ids that the tokenizers library gives it, and
the nll that transformers gives the text.

    make_tokens.py OUTDIR          (tests/fixtures/tokens)

Byte-level BPE by GPT-2's splitting rule, trained on the LICENSE of this tree: 512 ids, two
special tokens and a template that puts <s> before a text. A random llama of two layers in
float16, evaluated in float64. Needs tokenizers, torch, transformers.
"""
import json
import pathlib
import struct
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM
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


def random_llama(out):
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=65536,
        tie_word_embeddings=True,
        initializer_range=0.4,
        bos_token_id=1,
        eos_token_id=0,
        torch_dtype="float16",
    )
    LlamaForCausalLM(config).half().save_pretrained(out)
    (out / "generation_config.json").unlink(missing_ok=True)
    return LlamaForCausalLM.from_pretrained(out, torch_dtype=torch.float64).eval()


def nll(model, ids):
    """Of all ids but the first."""
    ids = torch.tensor(ids)
    with torch.no_grad():
        logits = model(ids[None]).logits[0, :-1]
    return -torch.log_softmax(logits, -1).gather(1, ids[1:, None])[:, 0].numpy()


def main():
    here = pathlib.Path(__file__).resolve().parent
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    t = train((here / "../../LICENSE").read_text())
    (out / "tokenizer.json").write_text(
        json.dumps(json.loads(t.to_str()), ensure_ascii=False, indent=0) + "\n"
    )
    (out / "text").write_text(TEXT, newline="")
    model = random_llama(out)
    assert t.encode("").ids == [1]
    for name, as_text in (("text", True), ("parse", False)):
        t.encode_special_tokens = as_text
        ids = t.encode(TEXT, add_special_tokens=False).ids
        (out / f"{name}.u16").write_bytes(struct.pack(f"<{len(ids)}H", *ids))
        nll(model, [1] + ids).astype("<f8").tofile(out / f"{name}.nll")


main()
