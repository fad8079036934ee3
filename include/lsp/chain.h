/* States that go from rank to rank in the order of the text.
 *
 *   rank r-1:  [ own sums ............ | receive, add, hand on | read ......
 *   rank r  :  [ own sums ............         | receive, add, hand on | read ...
 *
 * What is expected is posted early, so that the message comes while the rank computes;
 * handing on returns at once, and need not have ended before a state of another number is
 * handed on: so a rank is not held up by those after it. States are numbered; of each
 * number one is under way each way. What must hold: what is expected is waited for, what is
 * handed on is ended, before the next one of that number; between two ranks both sides mean
 * the same number and give the same bytes. MPI failures end the job. Knows nothing of
 * layers. */
#ifndef LSP_CHAIN_H
#define LSP_CHAIN_H

#include "lsp/ctx.h"
#include "lsp/exchange.h"

#include <stdint.h>

typedef struct lsp_chain lsp_chain;

/* Collective. states: so many, numbered from 0; at most LSP_CHAIN_STATES. */
enum { LSP_CHAIN_STATES = 32767 };
lsp_status lsp_chain_open(lsp_ctx *ctx, int states, lsp_chain **out);

/* Collective. All is waited for and ended. NULL is accepted. */
void lsp_chain_close(lsp_chain **chain);

/* Local, returns at once. `to` is lent until lsp_chain_wait. bytes: a multiple of 8. */
void lsp_chain_expect(lsp_chain *chain, int state, int from, void *to, int64_t bytes);

/* Local, thread 0; cheap. Moves messages: called every few milliseconds. */
void lsp_chain_poll(lsp_chain *chain);

/* Blocks until what is expected has come; at once if nothing is. */
void lsp_chain_wait(lsp_chain *chain, int state);

/* Local, returns at once. `from` is lent until lsp_chain_end. Never to oneself. */
void lsp_chain_hand(lsp_chain *chain, int state, int to, const void *from,
                    int64_t bytes);

/* Blocks until what was handed on has left; at once if nothing was. */
void lsp_chain_end(lsp_chain *chain, int state);

/* Counted since open, sent by this rank. */
lsp_traffic lsp_chain_traffic(const lsp_chain *chain);

#endif
