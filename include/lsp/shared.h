/* One block of floats a node: weights and what is made from them, in memory that the
 * ranks of the node share. */
#ifndef LSP_SHARED_H
#define LSP_SHARED_H

#include "lsp/ctx.h"

#include <stdint.h>

typedef struct {
  float
      *floats; /* 64-byte aligned; read-only after lsp_shared_seal but for the owner */
  int64_t count;
  int owner; /* 1: this rank fills the block. One rank a node does; every rank does
                where /dev/shm has no room */
  int is_window;
  MPI_Win window;
} lsp_shared;

/* Collective. Shared by an MPI window where /dev/shm has room, else private copies. */
lsp_status lsp_shared_open(lsp_ctx *ctx, int64_t count, lsp_shared *shared);

/* Collective. Rank 0's floats [first, first + n) to all owners. */
void lsp_shared_spread(lsp_ctx *ctx, lsp_shared *shared, int64_t first, int64_t n);

/* Collective. Every owner's block becomes the bitwise or of all owners' blocks: where
 * each holds a part and zeros elsewhere, the whole. */
void lsp_shared_merge(lsp_ctx *ctx, lsp_shared *shared);

/* Collective. What owners wrote is visible to all after it. */
void lsp_shared_seal(lsp_ctx *ctx, lsp_shared *shared);

/* Collective. */
void lsp_shared_close(lsp_shared *shared);

#endif
