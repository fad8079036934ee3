/* Llama (Touvron et al. 2023), and what is stored as it: TinyLlama, SmolLM. */
#include "decoder.h"

static const decoder_kind kind = {
    .biases = DECODER_BIAS_BY_KEY,
    .feed_biases = 1,
    .sight = DECODER_FULL,
    .trained = 2048,
    .theta = 10000,
};

const lsp_family lsp__llama = {
    .model_type = "llama",
    .describe = lsp__decoder_describe,
    .slots = lsp__decoder_slots,
    .ties = lsp__decoder_ties,
    .release = lsp__decoder_release,
    .ignores = lsp__decoder_ignores,
    .kind = &kind,
};
