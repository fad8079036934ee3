/* Isend and Irecv of one message a state, in numbers of 8 bytes, so that MPI's counts reach
 * 16 GiB. The tag is the number of the state: those of different numbers may overtake each
 * other. Requests of both ways lie in one list, which a poll tests as a whole. */
#include "lsp/chain.h"

#include <stdlib.h>

struct lsp_chain {
  lsp_ctx *ctx;
  MPI_Comm comm;
  int states;
  MPI_Request *request; /* (2 states) coming, then leaving */
  MPI_Status *status;   /* never read: with MPICH, gcc warns of MPI_STATUSES_IGNORE */
  lsp_traffic traffic;
};

lsp_status lsp_chain_open(lsp_ctx *ctx, int states, lsp_chain **out) {
  lsp_chain *c = calloc(1, sizeof *c);
  const size_t n = 2 * (size_t)states;
  *out = c;
  LSP_ASSERT(states > 0 && states <= LSP_CHAIN_STATES);
  if (c != NULL) {
    c->comm = MPI_COMM_NULL;
    c->request = malloc(n * sizeof(MPI_Request));
    c->status = malloc(n * sizeof *c->status);
  }
  const int is_there = c != NULL && c->request != NULL && c->status != NULL;
  LSP_TRY(lsp_agree(
      ctx, is_there ? LSP_OK
                    : lsp_fail(&ctx->why, LSP_E_MEMORY,
                               "no memory for the states that ranks hand along")));
  LSP_ASSERT(c != NULL && c->request != NULL);
  c->ctx = ctx;
  c->states = states;
  for (size_t i = 0; i < n; i++)
    c->request[i] = MPI_REQUEST_NULL;
  LSP_MPI(MPI_Comm_dup(ctx->comm, &c->comm));
  return LSP_OK;
}

void lsp_chain_close(lsp_chain **chain) {
  lsp_chain *c = *chain;
  if (c == NULL)
    return;
  if (c->comm != MPI_COMM_NULL) {
    LSP_MPI(MPI_Waitall(2 * c->states, c->request, c->status));
    LSP_MPI(MPI_Comm_free(&c->comm));
  }
  free(c->request);
  free(c->status);
  free(c);
  *chain = NULL;
}

static int count_of(int64_t bytes) {
  const int64_t number = (int64_t)sizeof(double);
  LSP_ASSERT(bytes % number == 0);
  return lsp_count(bytes / number);
}

void lsp_chain_expect(lsp_chain *c, int state, int from, void *to, int64_t bytes) {
  LSP_ASSERT(from != c->ctx->rank && state >= 0 && state < c->states &&
             c->request[state] == MPI_REQUEST_NULL);
  LSP_MPI(MPI_Irecv(to, count_of(bytes), MPI_DOUBLE, from, state, c->comm,
                    &c->request[state]));
}

void lsp_chain_poll(lsp_chain *c) {
  int done = 0;
  LSP_MPI(MPI_Testall(2 * c->states, c->request, &done, c->status));
}

void lsp_chain_wait(lsp_chain *c, int state) {
  LSP_MPI(MPI_Wait(&c->request[state], c->status));
}

void lsp_chain_hand(lsp_chain *c, int state, int to, const void *from, int64_t bytes) {
  MPI_Request *leaving = &c->request[c->states + state];
  LSP_ASSERT(to != c->ctx->rank && state >= 0 && state < c->states &&
             *leaving == MPI_REQUEST_NULL);
  LSP_MPI(MPI_Isend(from, count_of(bytes), MPI_DOUBLE, to, state, c->comm, leaving));
  c->traffic.messages++;
  c->traffic.bytes += bytes;
}

void lsp_chain_end(lsp_chain *c, int state) {
  LSP_MPI(MPI_Wait(&c->request[c->states + state], c->status));
}

lsp_traffic lsp_chain_traffic(const lsp_chain *c) {
  return c->traffic;
}
