/* The watchdog: ends the job when no rank has made progress for a stated time, and
 * names the rank that holds the others.
 *
 * Progress is a sign of life (lsp/beat.h) of a rank, or that it uses its processor
 * while it does not wait for others: a rank that computes long is not one that stopped.
 * Ranks see each other in memory that they share, or, on several hosts, in a small file
 * beside the output. */
#ifndef LSP_WATCH_H
#define LSP_WATCH_H

#include "lsp/ctx.h"

#include <stdint.h>

typedef struct lsp_watch lsp_watch;

/* Local. From here to lsp_watch_up the process ends with exit status 1 if that takes
 * longer than `seconds` (0: never): other ranks have not come up. Before MPI_Init. The
 * lowest rank that still runs says so: each waits a little longer than those below. */
void lsp_watch_start(int64_t seconds, int64_t rank);
void lsp_watch_up(void);

/* Collective. seconds 0: no watchdog, *out is NULL. path: the file, used where ranks
 * are on several hosts; one that an earlier run left is replaced, any other file of
 * that name refused. From here to lsp_watch_close the job may end with exit status 1 at
 * any time. */
lsp_status lsp_watch_open(lsp_ctx *ctx, const char *path, int64_t seconds,
                          lsp_watch **out);

/* Local. Removes a file of that name that an earlier run left, and no other. */
void lsp_watch_forget(const char *path);

/* Collective. Removes the file. NULL is accepted. */
void lsp_watch_close(lsp_watch **watch);

#endif
