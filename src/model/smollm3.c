/* SmolLM3 (Hugging Face 2025): every fourth layer has no positions. */
#include "decoder.h"

static const decoder_kind kind = {
    .biases = DECODER_BIAS_BY_KEY,
    .feed_biases = 1,
    .sight = DECODER_UNTURNED,
    .unturned = 1,
    .shared = 4,
    .trained = 32768,
    .theta = 2000000,
    .tied = 1,
};

const lsp_family lsp__smollm3 = DECODER_FAMILY("smollm3", kind);
