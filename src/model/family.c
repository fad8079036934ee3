/* The families that are known. */
#include "family.h"

#include <stddef.h>

const lsp_family *const lsp__families[] = {&lsp__transfo_xl, &lsp__longspan, NULL};
