/* The families that are known. */
#include "family.h"

#include <stddef.h>

const lsp_family *const lsp__families[] = {
    &lsp__gpt2,  &lsp__llama, &lsp__longspan, &lsp__ministral,  &lsp__mistral,
    &lsp__qwen2, &lsp__qwen3, &lsp__smollm3,  &lsp__transfo_xl, NULL};
