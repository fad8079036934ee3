"""Holds data/reference.py against models of Hugging Face that have the same formulas, on random weights.

Usage: python3 branches_by_transformers.py        (torch, transformers 4.57; a few seconds)

    Mistral          rotary positions, a window, grouped heads, gated silu, RMS norm
    BLOOM            ALiBi on 4 and on 6 heads, layer norm, every bias, gelu by tanh
    Longformer       two-sided windows, global rows with projections of their own, post-norm, every bias
    Transformer-XL   relative positions, recurrence with and without same_length, clamped distances, post-norm, relu

Logits (of Longformer, hidden) must agree to 5e-5 of the largest one, in float32, in which all but the last insist on
computing. For Transformer-XL hidden is compared, in float64, to 1e-10.
"""
import os
import sys
import warnings

import torch
from transformers import (BloomConfig, BloomForCausalLM, LongformerConfig, LongformerModel, MistralConfig, MistralForCausalLM,
                          TransfoXLConfig, TransfoXLLMHeadModel, logging)

import make_fixtures

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data"))
import reference  # noqa: E402

warnings.simplefilter("ignore")
logging.set_verbosity(logging.CRITICAL)
torch.set_grad_enabled(False)

V, D, L, H, G, T = 256, 36, 2, 4, 2, 320
BASE = dict(model_type="longspan", vocab_size=V, hidden_size=D, num_hidden_layers=L, num_attention_heads=H,
            intermediate_size=48)


def drawn(model):
    """The model with random weights at which attention is not flat."""
    for p in model.eval().parameters():
        p.copy_(torch.randn_like(p) * 1.5 / p.shape[1] ** 0.5 if p.dim() == 2 else p + 0.2 * torch.randn_like(p))
    return model


def renamed(state, names):
    """The tensors with parts of their names replaced, in the order given."""
    result = {}
    for name, tensor in state.items():
        for old, new in names:
            name = name.replace(old, new)
        result[name] = tensor
    return result


def mistral():
    theirs = drawn(MistralForCausalLM(MistralConfig(
        vocab_size=V, hidden_size=D, num_hidden_layers=L, num_attention_heads=H, num_key_value_heads=G, head_dim=16,
        intermediate_size=48, sliding_window=37, rms_norm_eps=1e-5, attn_implementation="eager")))
    ours = reference.Model(dict(BASE, num_key_value_heads=G, head_dim=16, tie_word_embeddings=False,
                                layers=dict(branches=[dict(type="local", window=37)])))
    ours.load_state_dict(renamed(theirs.state_dict(), [
        ("model.", ""), ("embed_tokens", "embed"), ("self_attn", "attention"), ("_proj", ""), ("mlp", "feed"),
        ("input_layernorm", "attention_norm"), ("post_attention_layernorm", "feed_norm"), ("lm_head", "head")]))
    return ours, lambda ids: theirs(ids[None]).logits[0]


def bloom(heads):
    width = 8 * heads
    theirs = drawn(BloomForCausalLM(BloomConfig(vocab_size=V, hidden_size=width, n_layer=L, n_head=heads)))
    theirs.transformer.word_embeddings_layernorm = torch.nn.Identity()  # the family has no norm there
    ours = reference.Model(dict(
        BASE, hidden_size=width, num_attention_heads=heads, intermediate_size=4 * width, norm="layer", position="alibi",
        activation="gelu_tanh", gated=False, attention_bias=True, output_bias=True, feed_bias=True,
        layers=dict(branches=[dict(type="full")])))
    state = renamed(theirs.transformer.state_dict(), [
        ("post_attention_layernorm", "feed_norm"), ("input_layernorm", "attention_norm"), ("word_embeddings", "embed"),
        ("self_attention.dense", "attention.o"), ("self_attention", "attention"), ("mlp.dense_h_to_4h", "feed.up"),
        ("mlp.dense_4h_to_h", "feed.down"), ("ln_f", "norm")])
    state = {"layers" + name[1:] if name.startswith("h.") else name: p for name, p in state.items()}
    for name in [name for name in state if "query_key_value" in name]:
        parts = state.pop(name).unflatten(0, (heads, 3, -1)).unbind(1)
        state.update({name.replace("query_key_value", net): p.flatten(0, 1) for net, p in zip("qkv", parts)})
    ours.load_state_dict(state)
    return ours, lambda ids: theirs(ids[None]).logits[0]


def longformer():
    window, rows = 20, [0, 5, 6, 77, 255]
    theirs = drawn(LongformerModel(LongformerConfig(
        vocab_size=V, hidden_size=D, num_hidden_layers=L, num_attention_heads=H, intermediate_size=48,
        attention_window=[2 * window] * L, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, layer_norm_eps=1e-5,
        max_position_embeddings=T + 2), add_pooling_layer=False)).encoder
    ours = drawn(reference.Model(dict(
        BASE, causal=False, position="none", norm="layer", norm_place="post", activation="gelu", gated=False,
        attention_bias=True, output_bias=True, feed_bias=True,
        layers=dict(branches=[dict(type="local", window=window), dict(type="global", positions=rows, projections="own")]))))
    state = renamed(theirs.state_dict(), [
        ("layer.", "layers."), ("attention.self.query", "attention.q"), ("attention.self.key", "attention.k"),
        ("attention.self.value", "attention.v"), ("q_global", "global_q"), ("k_global", "global_k"),
        ("v_global", "global_v"), ("attention.output.dense", "attention.o"),
        ("attention.output.LayerNorm", "attention_norm"), ("intermediate.dense", "feed.up"), ("output.dense", "feed.down"),
        ("output.LayerNorm", "feed_norm")])
    ours.load_state_dict({**ours.state_dict(), **state})
    assert set(state) == set(ours.state_dict()) - {"embed.weight"}

    def hidden(ids):
        mask = torch.zeros(1, T)
        mask[:, rows] = 1.0
        return theirs(ours.embed(ids)[None], attention_mask=mask).last_hidden_state[0]

    return ours, hidden


def transformer_xl(same, clamp, segment, memory):
    theirs = drawn(TransfoXLLMHeadModel(TransfoXLConfig(
        vocab_size=V, cutoffs=[], div_val=1, d_model=D, d_embed=D, n_head=H, d_head=20, d_inner=48, n_layer=L,
        mem_len=memory, clamp_len=clamp, same_length=same, untie_r=True, dropout=0.0, dropatt=0.0)))
    branch = dict(type="recurrence", segment=segment, memory=memory, same_length=same)
    ours = reference.Model(dict(
        BASE, head_dim=20, position="relative", clamp_len=max(clamp, 0), norm="layer", norm_place="post", activation="relu",
        gated=False, feed_bias=True, head_bias=True, embedding_scale=D ** 0.5, layers=dict(branches=[branch])))
    state = renamed(theirs.state_dict(), [
        ("transformer.", ""), ("word_emb.emb_layers.0", "embed"), ("crit.out_layers.0", "head"), ("dec_attn", "attention"),
        ("attention.layer_norm", "attention_norm"), ("pos_ff.layer_norm", "feed_norm"), ("o_net", "o"),
        ("r_net", "relative"), ("r_w_bias", "relative.u"), ("r_r_bias", "relative.v"), ("pos_ff.CoreNet.0", "feed.up"),
        ("pos_ff.CoreNet.3", "feed.down")])
    for name in [name for name in state if "qkv_net" in name]:
        state.update({name.replace("qkv_net", net): p for net, p in zip("qkv", state.pop(name).chunk(3))})
    ours.load_state_dict({name: p for name, p in state.items() if name in ours.state_dict()})
    ours, theirs = ours.double(), theirs.double()
    theirs.transformer.pos_emb.inv_freq = 10000.0 ** (-torch.arange(0, D, 2).double() / D)  # theirs are rounded

    def hidden(ids):
        return torch.from_numpy(make_fixtures.run_reference(theirs, ids.numpy(), segment, "empty")[1])

    return ours, hidden


CASES = {
    "Mistral": mistral, "BLOOM, 4 heads": lambda: bloom(4), "BLOOM, 6 heads": lambda: bloom(6),
    "Longformer": longformer,
    "Transformer-XL": lambda: transformer_xl(False, -1, 48, 64),
    "Transformer-XL, same_length, clamped": lambda: transformer_xl(True, 40, 64, 100),
}


def main():
    make_fixtures.patch_torch()
    torch.manual_seed(1)
    for name, case in CASES.items():
        ours, theirs = case()
        ids = torch.randint(V, (T,))
        have, want = ours(ids)[1 if name.startswith(("Mistral", "BLOOM")) else 0], theirs(ids)
        apart = ((have - want).abs().max() / want.abs().max()).item()
        print(f"{name:38}{apart:.0e}", flush=True)
        if not apart < (1e-10 if "XL" in name else 5e-5):
            sys.exit("differs")


if __name__ == "__main__":
    main()
