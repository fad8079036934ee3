/* Mistral (Jiang et al. 2023): every layer sees a window, unless it is null. With
 * layer_types some do, which the library calls Ministral. */
#include "decoder.h"

static const decoder_kind kind = {
    .biases = DECODER_NO_BIAS,
    .sight = DECODER_WINDOW,
    .shared = 8,
    .trained = 131072,
    .window = 4096,
    .theta = 10000,
};

const lsp_family lsp__mistral = DECODER_FAMILY("mistral", kind);

const lsp_family lsp__ministral = DECODER_FAMILY("ministral", kind);
