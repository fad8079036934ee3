/* A state that goes from rank to rank in the order of the text.
 *
 *   rank r-1:  [ own sums ............ | receive, add, hand on | read ......
 *   rank r  :  [ own sums ............         | receive, add, hand on | read ...
 *
 * What is expected is posted early, so that the message comes while the rank computes;
 * handing on returns at once. One state at a time. What must hold: what is expected is
 * waited for, what is handed on is ended, before the next one; both sides give the same
 * bytes. MPI failures end the job. Knows nothing of layers. */
#ifndef LSP_CHAIN_H
#define LSP_CHAIN_H

#include "lsp/ctx.h"
#include "lsp/exchange.h"

#include <stdint.h>

typedef struct lsp_chain lsp_chain;

/* Collective. */
lsp_status lsp_chain_open(lsp_ctx *ctx, lsp_chain **out);
void lsp_chain_close(lsp_chain **chain);

/* Local, returns at once. `to` is lent until lsp_chain_wait. */
void lsp_chain_expect(lsp_chain *chain, int from, void *to, int64_t bytes);

/* Local, thread 0; cheap. 1 if what is expected has come (or nothing is). */
int lsp_chain_poll(lsp_chain *chain);

/* Blocks until what is expected has come. */
void lsp_chain_wait(lsp_chain *chain);

/* Local, returns at once. `from` is lent until lsp_chain_end. Never to oneself. */
void lsp_chain_hand(lsp_chain *chain, int to, const void *from, int64_t bytes);

/* Blocks until what was handed on has left. */
void lsp_chain_end(lsp_chain *chain);

/* Counted since open, sent by this rank. */
lsp_traffic lsp_chain_traffic(const lsp_chain *chain);

#endif
