/* Llama (Touvron et al. 2023), and what is stored as it: TinyLlama, SmolLM. */
#include "decoder.h"

static const decoder_kind kind = {
    .biases = DECODER_BIAS_BY_KEY,
    .feed_biases = 1,
    .sight = DECODER_FULL,
    .trained = 2048,
    .theta = 10000,
};

const lsp_family lsp__llama = DECODER_FAMILY("llama", kind);
