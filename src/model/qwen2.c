/* Qwen2 and Qwen2.5 (Yang et al. 2024): queries, keys and values have biases, and the upper
 * layers a window if it is asked for. */
#include "decoder.h"

static const decoder_kind kind = {
    .biases = DECODER_BIAS,
    .sight = DECODER_TOP,
    .shared = 32,
    .trained = 32768,
    .window = 4096,
    .theta = 10000,
};

const lsp_family lsp__qwen2 = DECODER_FAMILY("qwen2", kind);
