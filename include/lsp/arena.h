/* Memory with a lifetime: one block, reserved in one direction, released all at once.
 *
 *   base <= base + used <= base + size; every pointer handed out is 64-byte aligned.
 *
 * Sized before the loop that uses it; nothing is allocated inside. Local. */
#ifndef LSP_ARENA_H
#define LSP_ARENA_H

#include "lsp/status.h"

#include <stdint.h>

enum { LSP_ALIGNMENT = 64 };

typedef struct {
  char *base;
  size_t size, used;
} lsp_arena;

/* bytes > 0. LSP_E_MEMORY with the size in words. */
lsp_status lsp_arena_open(lsp_arena *a, size_t bytes, lsp_failure *why);

/* NULL-safe; leaves *a empty. */
void lsp_arena_close(lsp_arena *a);

/* Bytes that n floats occupy in an arena: what to add up for lsp_arena_open. */
static inline size_t lsp_arena_size(int64_t n_floats) {
  const size_t bytes = (size_t)n_floats * sizeof(float);
  return (bytes + LSP_ALIGNMENT - 1) / LSP_ALIGNMENT * LSP_ALIGNMENT;
}

/* The next n floats: zero after open, of any content after a rewind. To ask for more
 * than there is breaks an invariant. */
float *lsp_arena_floats(lsp_arena *a, int64_t n);

#endif
