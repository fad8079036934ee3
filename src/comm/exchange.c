/* Isend and Irecv of a list, tested while compute runs, waited for at the end. Tags are
 * the kinds of message and are used again for every list: messages of one pair and tag
 * do not overtake each other. */
#include "lsp/exchange.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
  int peer, tag, sends;
  const float *from;
  float *to;
  int count;
} message;

struct lsp_exchange {
  lsp_ctx *ctx;
  MPI_Comm comm;
  message *list;
  MPI_Request *request;
  MPI_Status *status; /* never read: with MPICH, gcc warns of MPI_STATUSES_IGNORE */
  int count, room;
  int pending; /* begun and not yet all done */
  lsp_traffic traffic[LSP_EXCHANGE_KINDS];
};

lsp_status lsp_exchange_open(lsp_ctx *ctx, lsp_exchange **out) {
  lsp_exchange *x = calloc(1, sizeof *x);
  *out = x;
  LSP_TRY(lsp_agree(
      ctx, x != NULL ? LSP_OK
                     : lsp_fail(&ctx->why, LSP_E_MEMORY,
                                "not enough memory for the messages between ranks")));
  LSP_ASSERT(x != NULL);
  x->ctx = ctx;
  LSP_MPI(MPI_Comm_dup(ctx->comm, &x->comm));
  return LSP_OK;
}

void lsp_exchange_close(lsp_exchange **x) {
  if (*x == NULL)
    return;
  LSP_MPI(MPI_Comm_free(&(*x)->comm));
  free((*x)->list);
  free((*x)->request);
  free((*x)->status);
  free(*x);
  *x = NULL;
}

void lsp_exchange_clear(lsp_exchange *x) {
  LSP_ASSERT(!x->pending);
  x->count = 0;
}

static lsp_status grow(lsp_exchange *x) {
  if (x->count < x->room)
    return LSP_OK;
  const int room = x->room == 0 ? 16 : 2 * x->room;
  message *list = realloc(x->list, (size_t)room * sizeof *list);
  if (list != NULL)
    x->list = list;
  MPI_Request *request = realloc(x->request, (size_t)room * sizeof(MPI_Request));
  if (request != NULL)
    x->request = request;
  MPI_Status *status = realloc(x->status, (size_t)room * sizeof *status);
  if (status != NULL)
    x->status = status;
  if (list == NULL || request == NULL || status == NULL)
    return lsp_fail(&x->ctx->why, LSP_E_MEMORY, "no memory for %d messages", room);
  x->room = room;
  return LSP_OK;
}

/* One loan as messages that MPI can count. */
static lsp_status enlist(lsp_exchange *x, message m, int64_t n) {
  while (n > 0) {
    const int64_t piece = n < LSP_EXCHANGE_PIECE ? n : LSP_EXCHANGE_PIECE;
    LSP_TRY(grow(x));
    m.count = lsp_count(piece);
    x->list[x->count++] = m;
    if (m.sends)
      m.from += piece;
    else
      m.to += piece;
    n -= piece;
  }
  return LSP_OK;
}

lsp_status lsp_exchange_send(lsp_exchange *x, int peer, int kind, const float *from,
                             int64_t n) {
  LSP_ASSERT(peer != x->ctx->rank && kind >= 0 && kind < LSP_EXCHANGE_KINDS);
  return enlist(x, (message){.peer = peer, .tag = kind, .sends = 1, .from = from}, n);
}

lsp_status lsp_exchange_receive(lsp_exchange *x, int peer, int kind, float *to,
                                int64_t n) {
  LSP_ASSERT(peer != x->ctx->rank && kind >= 0 && kind < LSP_EXCHANGE_KINDS);
  return enlist(x, (message){.peer = peer, .tag = kind, .to = to}, n);
}

void lsp_exchange_begin(lsp_exchange *x) {
  LSP_ASSERT(!x->pending);
  for (int i = 0; i < x->count; i++) {
    const message *m = &x->list[i];
    if (!m->sends)
      LSP_MPI(MPI_Irecv(m->to, m->count, MPI_FLOAT, m->peer, m->tag, x->comm,
                        &x->request[i]));
  }
  for (int i = 0; i < x->count; i++) {
    const message *m = &x->list[i];
    if (!m->sends)
      continue;
    LSP_MPI(MPI_Isend(m->from, m->count, MPI_FLOAT, m->peer, m->tag, x->comm,
                      &x->request[i]));
    x->traffic[m->tag].messages++;
    x->traffic[m->tag].bytes += (int64_t)m->count * (int64_t)sizeof(float);
  }
  x->pending = x->count > 0;
}

void lsp_exchange_poll(lsp_exchange *x) {
  if (!x->pending)
    return;
  int done = 0;
  LSP_MPI(MPI_Testall(x->count, x->request, &done, x->status));
  x->pending = !done;
}

void lsp_exchange_end(lsp_exchange *x) {
  if (!x->pending)
    return;
  LSP_MPI(MPI_Waitall(x->count, x->request, x->status));
  x->pending = 0;
}

lsp_traffic lsp_exchange_traffic_of(const lsp_exchange *x, int kind) {
  return x->traffic[kind];
}

lsp_traffic lsp_exchange_traffic(const lsp_exchange *x) {
  lsp_traffic all = {0, 0};
  for (int kind = 0; kind < LSP_EXCHANGE_KINDS; kind++) {
    all.messages += x->traffic[kind].messages;
    all.bytes += x->traffic[kind].bytes;
  }
  return all;
}
