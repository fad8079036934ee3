/* The context of a run: communicator, the message of a failure, agreement, log.
 *
 * Local functions never communicate. A collective function returns the same status on
 * every rank, so LSP_TRY around it is safe; a local status becomes a collective one by
 * lsp_agree. */
#ifndef LSP_CTX_H
#define LSP_CTX_H

#include "lsp/beat.h"
#include "lsp/status.h"

#include <mpi.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
  MPI_Comm comm; /* all ranks */
  int rank, size;
  MPI_Comm node; /* the ranks that share this rank's memory */
  int node_rank, node_size;
  MPI_Comm leaders; /* one rank a node (node_rank 0); MPI_COMM_NULL elsewhere */
  int quiet;        /* no progress, no table */
  FILE *log;        /* rank 0: a file asked for by --log, else NULL */
  double started;   /* MPI_Wtime at lsp_ctx_open */
  double launched;  /* MPI_Wtime when this process began, before MPI was up */
  lsp_failure why;  /* the message of the first failure, the same on all ranks after
                       lsp_agree */
} lsp_ctx;

/* Collective. MPI must be initialised. Aborts the job on MPI errors from here on. */
void lsp_ctx_open(lsp_ctx *ctx, MPI_Comm comm);

/* Collective. Frees the communicators. */
void lsp_ctx_close(lsp_ctx *ctx);

/* Collective. Every rank offers its own status (its message being in ctx->why); every
 * rank returns the same one, that of the lowest failing rank, whose message is copied
 * to all others, with rank and host at its end where ranks are on several hosts, and
 * the rank alone where it is not 0. */
lsp_status lsp_agree(lsp_ctx *ctx, lsp_status status);

/* Collective. 1 if all ranks gave the same value. */
int lsp_all_same(lsp_ctx *ctx, int64_t value);

/* Collective. The broadcast from rank 0 of any number of bytes, in pieces that MPI 3
 * can count. */
void lsp_bcast(MPI_Comm comm, void *data, size_t bytes);

/* Local. One line on stderr (and in the log file), from rank 0 alone, in the shown form
 * of lsp/text.h: no file name can forge a line or reach the terminal's controls. */
void lsp_say(const lsp_ctx *ctx, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Local. n as an MPI count, which is an int. Callers split messages that may be larger,
 * so a larger n is a broken invariant. */
static inline int lsp_count(int64_t n) {
  LSP_ASSERT(n >= 0 && n <= INT32_MAX);
  return (int)n;
}

/* An MPI call that must succeed. While it runs, the process counts as waiting for other
 * ranks. */
#define LSP_MPI(call)                                                                  \
  (lsp_beat_wait(1),                                                                   \
   (call) == MPI_SUCCESS ? lsp_beat_wait(0) : lsp_panic(__FILE__, __LINE__, #call))

#endif
