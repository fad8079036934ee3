/* Loans between ranks as messages.
 *
 *   rank r-1:  [ ............... | tail ]
 *   rank r  :             [ past | own ............ | tail ]
 *
 * What is lent and borrowed is listed, begun and ended; one list at a time. What holds: a
 * list that is begun is ended before the next is cleared; both ranks of a message have it
 * in their lists of the same turn. A message moves only while someone is inside MPI, so
 * compute calls lsp_exchange_poll every few milliseconds. MPI failures end the job. The
 * only user of point-to-point MPI; knows nothing of layers. */
#ifndef LSP_EXCHANGE_H
#define LSP_EXCHANGE_H

#include "lsp/ctx.h"

#include <stdint.h>

enum {
  LSP_EXCHANGE_PIECE = 1 << 28, /* floats of one MPI message: 1 GiB */
  LSP_EXCHANGE_KINDS = 5        /* what is told apart between two ranks */
};

typedef struct {
  int64_t messages, bytes; /* sent by this rank */
} lsp_traffic;

typedef struct lsp_exchange lsp_exchange;

/* Collective. */
lsp_status lsp_exchange_open(lsp_ctx *ctx, lsp_exchange **out);
void lsp_exchange_close(lsp_exchange **x);

/* Local. Begins a new list. */
void lsp_exchange_clear(lsp_exchange *x);

/* Local. Adds a message of n floats to or from a peer, never oneself. Messages of a kind
 * between two ranks are listed in the same order by both. LSP_E_MEMORY: the list cannot
 * grow; nothing was begun. */
lsp_status lsp_exchange_send(lsp_exchange *x, int peer, int kind, const float *from,
                             int64_t n);
lsp_status lsp_exchange_receive(lsp_exchange *x, int peer, int kind, float *to,
                                int64_t n);

/* Collective over the pairs, returns at once.
 *   what is sent is lent until lsp_exchange_end, not written
 *   what is received is lent until lsp_exchange_end, not to be read before */
void lsp_exchange_begin(lsp_exchange *x);

/* Local, thread 0 only; cheap. */
void lsp_exchange_poll(lsp_exchange *x);

/* Collective over the pairs. Waits for all messages of the list. */
void lsp_exchange_end(lsp_exchange *x);

/* Counted since open: of one kind, and of all. */
lsp_traffic lsp_exchange_traffic_of(const lsp_exchange *x, int kind);
lsp_traffic lsp_exchange_traffic(const lsp_exchange *x);

#endif
