/* The block is an anonymous mapping. Its pages are zero, and take memory only when they
 * are first touched: near the thread that touches them. */
#include "lsp/arena.h"

#include <sys/mman.h>

lsp_status lsp_arena_open(lsp_arena *a, size_t bytes, lsp_failure *why) {
  const size_t size = (bytes + LSP_ALIGNMENT - 1) / LSP_ALIGNMENT * LSP_ALIGNMENT;
  a->used = 0;
  a->size = 0;
  a->base =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (a->base == MAP_FAILED) {
    a->base = NULL;
    return lsp_fail(why, LSP_E_MEMORY,
                    "cannot reserve %.1f MiB of memory; use a smaller --memory or more "
                    "ranks",
                    (double)size / (1 << 20));
  }
  a->size = size;
  return LSP_OK;
}

void lsp_arena_close(lsp_arena *a) {
  if (a->base != NULL)
    (void)munmap(a->base, a->size);
  a->base = NULL;
  a->size = a->used = 0;
}

float *lsp_arena_floats(lsp_arena *a, int64_t n) {
  const size_t bytes = lsp_arena_size(n);
  LSP_ASSERT(n >= 0 && bytes <= a->size - a->used);
  float *p = (float *)(void *)(a->base + a->used);
  a->used += bytes;
  return p;
}
