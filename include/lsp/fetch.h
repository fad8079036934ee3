/* Parts of other ranks' memory, fetched by request.
 *
 *   rank a                          rank b
 *   key, key, key     ------->      finds where each part lies
 *   three parts       <-------      one message, from where they lie to where they go
 *
 * A rank asks as few others as it wants something from, and learns who asks it as requests
 * arrive: nobody lists all ranks. A round has ended everywhere once every request of every
 * rank has been heard (the nonblocking consensus of Hoefler, Siebert and Lumsdaine 2010);
 * one-sided MPI has no part in it. In a round two ranks exchange at most two messages each
 * way. Parts of a round are of one size; both ranks must mean the same by a key. MPI
 * failures end the job. */
#ifndef LSP_FETCH_H
#define LSP_FETCH_H

#include "lsp/ctx.h"
#include "lsp/exchange.h"

#include <stdint.h>

typedef struct lsp_fetch lsp_fetch;

/* Local, in the round. Where the part lies that `peer` means by a key. */
typedef const float *(*lsp_fetch_find)(int peer, int64_t key, void *arg);

/* Collective. most: parts that a rank asks for in a round; the same on every rank. */
lsp_status lsp_fetch_open(lsp_ctx *ctx, int64_t most, lsp_fetch **out);

/* Local. NULL is accepted. */
void lsp_fetch_close(lsp_fetch **fetch);

/* Bytes that a handle takes. */
int64_t lsp_fetch_size(int64_t most);

/* Local. Begins a new list, and adds a part of a peer (never oneself), to be put to `to`.
 * Those of a peer follow each other. */
void lsp_fetch_clear(lsp_fetch *f);
void lsp_fetch_ask(lsp_fetch *f, int peer, int64_t key, float *to);

/* Collective. A round: returns when what was asked for is here and what others asked for is
 * no longer read. floats: of a part. */
void lsp_fetch_round(lsp_fetch *f, int64_t floats, lsp_fetch_find find, void *arg);

/* Requests and parts that this rank has sent since open. */
lsp_traffic lsp_fetch_traffic(const lsp_fetch *f);

#endif
