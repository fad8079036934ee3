/* A block that the ranks of a node share: MPI's shared window, whose backing file lies
 * in /dev/shm. Containers often give that little room, and going beyond it is a SIGBUS
 * in mid-run: then every rank has its own copy. */
#include "lsp/shared.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

static int room_to_share(lsp_ctx *ctx, int64_t bytes) {
  struct statvfs fs;
  int fits = ctx->node_size > 1 && statvfs("/dev/shm", &fs) == 0 &&
             (double)fs.f_bavail * (double)fs.f_frsize > 1.1 * (double)bytes;
  int all = 0;
  LSP_MPI(MPI_Allreduce(&fits, &all, 1, MPI_INT, MPI_MIN, ctx->node));
  return all;
}

static void open_window(lsp_ctx *ctx, MPI_Aint bytes, lsp_shared *s) {
  MPI_Aint size = 0;
  int unit = 0;
  void *base = NULL;
  s->is_window = 1;
  s->owner = ctx->node_rank == 0;
  LSP_MPI(MPI_Win_allocate_shared(s->owner ? bytes + 64 : 0, 1, MPI_INFO_NULL,
                                  ctx->node, (void *)&base, &s->window));
  LSP_MPI(MPI_Win_shared_query(s->window, 0, &size, &unit, (void *)&base));
  LSP_MPI(MPI_Win_lock_all(MPI_MODE_NOCHECK, s->window));
  /* Mapped at page borders on every rank, so the same step aligns all of them. */
  s->floats = (float *)(((uintptr_t)base + 63) / 64 * 64);
}

lsp_status lsp_shared_open(lsp_ctx *ctx, int64_t count, lsp_shared *shared) {
  const int64_t bytes = (count * (int64_t)sizeof(float) + 63) / 64 * 64;
  memset(shared, 0, sizeof *shared);
  shared->count = count;
  lsp_status st = LSP_OK;
  if (room_to_share(ctx, bytes)) {
    open_window(ctx, (MPI_Aint)bytes, shared);
  } else {
    shared->owner = 1;
    shared->floats = aligned_alloc(64, (size_t)bytes);
    if (shared->floats == NULL)
      st = lsp_fail(&ctx->why, LSP_E_MEMORY,
                    "no memory for %.1f MiB that the ranks of a node share",
                    (double)bytes / (1 << 20));
  }
  return lsp_agree(ctx, st);
}

/* The owners, in order of their ranks; MPI_COMM_NULL on the other ranks. */
static MPI_Comm owners_of(lsp_ctx *ctx, const lsp_shared *shared) {
  MPI_Comm owners = MPI_COMM_NULL;
  LSP_MPI(
      MPI_Comm_split(ctx->comm, shared->owner ? 0 : MPI_UNDEFINED, ctx->rank, &owners));
  return owners;
}

void lsp_shared_spread(lsp_ctx *ctx, lsp_shared *shared, int64_t first, int64_t n) {
  const size_t bytes = (size_t)n * sizeof(float);
  if (ctx->size == 1)
    return;
  MPI_Comm owners = owners_of(ctx, shared);
  if (owners == MPI_COMM_NULL)
    return;
  lsp_bcast(owners, shared->floats + first, bytes);
  LSP_MPI(MPI_Comm_free(&owners));
}

void lsp_shared_merge(lsp_ctx *ctx, lsp_shared *shared) {
  static const int64_t PIECE = 1 << 24;
  if (ctx->size == 1)
    return;
  MPI_Comm owners = owners_of(ctx, shared);
  if (owners == MPI_COMM_NULL)
    return;
  for (int64_t at = 0; at < shared->count; at += PIECE) {
    const int64_t rest = shared->count - at;
    LSP_MPI(MPI_Allreduce(MPI_IN_PLACE, shared->floats + at,
                          lsp_count(rest < PIECE ? rest : PIECE), MPI_UINT32_T, MPI_BOR,
                          owners));
  }
  LSP_MPI(MPI_Comm_free(&owners));
}

void lsp_shared_seal(lsp_ctx *ctx, lsp_shared *shared) {
  if (shared->is_window)
    LSP_MPI(MPI_Win_sync(shared->window));
  LSP_MPI(MPI_Barrier(ctx->node));
  if (shared->is_window)
    LSP_MPI(MPI_Win_sync(shared->window));
}

void lsp_shared_close(lsp_shared *shared) {
  if (shared->is_window) {
    LSP_MPI(MPI_Win_unlock_all(shared->window));
    LSP_MPI(MPI_Win_free(&shared->window));
  } else {
    free(shared->floats);
  }
  shared->floats = NULL;
}
