/* Qwen3 (Yang et al. 2025): Qwen2 with queries and keys that are normed, by head. */
#include "decoder.h"

static const decoder_kind kind = {
    .biases = DECODER_BIAS_BY_KEY,
    .head_norms = 1,
    .sight = DECODER_TOP,
    .shared = 32,
    .head_width = 128,
    .trained = 32768,
    .window = 4096,
    .theta = 10000,
};

const lsp_family lsp__qwen3 = DECODER_FAMILY("qwen3", kind);
