/* Sizes of parts. */
#include "lsp/parts.h"

#include <stdio.h>
#include <string.h>

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

int lsp_part_same(const lsp_part *a, const lsp_part *b) {
  int same = a->layer == b->layer && a->type == b->type && a->dims == b->dims &&
             strcmp(a->name, b->name) == 0;
  for (int i = 0; same && i < a->dims; i++)
    same = a->dim[i] == b->dim[i];
  return same;
}

static const char *type_name(lsp_part_type type) {
  switch (type) {
  case LSP_PART_F32:
    return "float32";
  case LSP_PART_F64:
    return "float64";
  case LSP_PART_I32:
    return "int32";
  case LSP_PART_I64:
    return "int64";
  }
  return "of no type";
}

void lsp_part_words(const lsp_part *part, char text[LSP_PART_WORDS]) {
  int n = snprintf(text, LSP_PART_WORDS, "%s (", part->name);
  for (int i = 0; i < part->dims && n < LSP_PART_WORDS; i++)
    n += snprintf(text + n, (size_t)(LSP_PART_WORDS - n), "%s%lld", i > 0 ? ", " : "",
                  (long long)part->dim[i]);
  if (n < LSP_PART_WORDS)
    (void)snprintf(text + n, (size_t)(LSP_PART_WORDS - n), ") %s",
                   type_name(part->type));
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
