/* Sizes of parts. */
#include "lsp/parts.h"

static const int64_t most_bytes = (int64_t)1 << 60;

int64_t lsp_part_number(lsp_part_type type) {
  return type == LSP_PART_F64 || type == LSP_PART_I64 ? 8 : 4;
}

int64_t lsp_part_bytes(const lsp_part *part) {
  int64_t bytes = lsp_part_number(part->type);
  for (int i = 0; i < part->dims; i++)
    if (part->dim[i] < 0 || __builtin_mul_overflow(bytes, part->dim[i], &bytes) ||
        bytes > most_bytes)
      return -1;
  return bytes;
}

int64_t lsp_parts_bytes(const lsp_part *part, int n) {
  return lsp_parts_at(part, n);
}

int64_t lsp_parts_at(const lsp_part *part, int i) {
  int64_t at = 0;
  for (int k = 0; k < i; k++)
    at += (lsp_part_bytes(&part[k]) + 7) / 8 * 8;
  return at;
}
