/* Requests are synchronous sends: one is done when its receiver has taken it. A rank whose
 * requests are done enters a barrier that does not block, and serves until all have
 * entered it. A rank that has left may begin the next round while another has not yet seen
 * the end of this one, but not the one after: requests and parts of odd and even rounds
 * have tags of their own. */
#include "lsp/fetch.h"

#include <stdlib.h>
#include <string.h>

enum { TAG_KEYS, TAG_PARTS, TAGS };

/* What is asked of one rank: keys and places [first, end). */
typedef struct {
  int peer;
  int64_t first, end;
} asked;

struct lsp_fetch {
  lsp_ctx *ctx;
  MPI_Comm comm;
  int64_t most, parts; /* parts: that are asked for */
  int turn;            /* of the round: 0 or 1 */
  int64_t *key;        /* (most) asked for */
  MPI_Aint *to;        /* (most) where the parts go */
  asked *group;        /* (most) */
  MPI_Request *heard;  /* (most) requests on their way, by group */
  MPI_Request *coming; /* (most) parts on their way here, by group */
  int groups;
  int64_t *wanted;      /* (most) keys that another rank asks for */
  MPI_Aint *from;       /* (most) where they lie */
  MPI_Request *leaving; /* (room) parts on their way to others */
  int leaves, room;
  lsp_traffic traffic;
};

int64_t lsp_fetch_size(int64_t most) {
  return most * (int64_t)(2 * sizeof(int64_t) + 2 * sizeof(MPI_Aint) + sizeof(asked) +
                          2 * sizeof(MPI_Request));
}

static void *room_for(int64_t n, size_t size) {
  return calloc(n > 0 ? (size_t)n : 1, size);
}

lsp_status lsp_fetch_open(lsp_ctx *ctx, int64_t most, lsp_fetch **out) {
  lsp_fetch *f = calloc(1, sizeof *f);
  *out = f;
  if (f != NULL) {
    f->ctx = ctx;
    f->comm = MPI_COMM_NULL;
    f->most = most;
    f->key = room_for(most, sizeof *f->key);
    f->to = room_for(most, sizeof *f->to);
    f->group = room_for(most, sizeof *f->group);
    f->heard = room_for(most, sizeof(MPI_Request));
    f->coming = room_for(most, sizeof(MPI_Request));
    f->wanted = room_for(most, sizeof *f->wanted);
    f->from = room_for(most, sizeof *f->from);
  }
  const int is_there = f != NULL && f->key != NULL && f->to != NULL &&
                       f->group != NULL && f->heard != NULL && f->coming != NULL &&
                       f->wanted != NULL && f->from != NULL;
  LSP_TRY(lsp_agree(ctx, is_there
                             ? LSP_OK
                             : lsp_fail(&ctx->why, LSP_E_MEMORY,
                                        "no memory for the requests between ranks")));
  LSP_ASSERT(f != NULL);
  LSP_MPI(MPI_Comm_dup(ctx->comm, &f->comm));
  return LSP_OK;
}

void lsp_fetch_close(lsp_fetch **fetch) {
  lsp_fetch *f = *fetch;
  if (f == NULL)
    return;
  if (f->comm != MPI_COMM_NULL)
    LSP_MPI(MPI_Comm_free(&f->comm));
  free(f->key);
  free(f->to);
  free(f->group);
  free(f->heard);
  free(f->coming);
  free(f->wanted);
  free(f->from);
  free(f->leaving);
  free(f);
  *fetch = NULL;
}

/* --- asking ---------------------------------------------------------------------- */

void lsp_fetch_clear(lsp_fetch *f) {
  f->parts = f->groups = 0;
}

static MPI_Aint address_of(const void *at) {
  MPI_Aint address;
  LSP_MPI(MPI_Get_address(at, &address));
  return address;
}

void lsp_fetch_ask(lsp_fetch *f, int peer, int64_t key, float *to) {
  LSP_ASSERT(peer != f->ctx->rank && f->parts < f->most);
  if (f->groups == 0 || f->group[f->groups - 1].peer != peer)
    f->group[f->groups++] = (asked){peer, f->parts, f->parts};
  f->key[f->parts] = key;
  f->to[f->parts] = address_of(to);
  f->group[f->groups - 1].end = ++f->parts;
}

/* n parts at their places, as one thing to send or receive. */
static MPI_Datatype parts_at(const MPI_Aint *at, int64_t n, int64_t floats) {
  MPI_Datatype type;
  LSP_MPI(MPI_Type_create_hindexed_block(lsp_count(n), lsp_count(floats), at, MPI_FLOAT,
                                         &type));
  LSP_MPI(MPI_Type_commit(&type));
  return type;
}

static void count_sent(lsp_fetch *f, int64_t bytes) {
  f->traffic.messages++;
  f->traffic.bytes += bytes;
}

static void send_requests(lsp_fetch *f, int64_t floats) {
  const int tag = f->turn * TAGS;
  for (int i = 0; i < f->groups; i++) {
    const asked *g = &f->group[i];
    const int64_t n = g->end - g->first;
    MPI_Datatype type = parts_at(f->to + g->first, n, floats);
    LSP_MPI(MPI_Irecv(MPI_BOTTOM, 1, type, g->peer, tag + TAG_PARTS, f->comm,
                      &f->coming[i]));
    LSP_MPI(MPI_Type_free(&type));
    LSP_MPI(MPI_Issend(f->key + g->first, lsp_count(n), MPI_INT64_T, g->peer,
                       tag + TAG_KEYS, f->comm, &f->heard[i]));
    count_sent(f, n * (int64_t)sizeof(int64_t));
  }
}

/* --- serving --------------------------------------------------------------------- */

static MPI_Request *new_leaving(lsp_fetch *f) {
  if (f->leaves == f->room) {
    f->room = f->room == 0 ? 16 : 2 * f->room;
    MPI_Request *more = realloc(f->leaving, (size_t)f->room * sizeof(MPI_Request));
    LSP_ASSERT(more != NULL); /* a list of some bytes, which grows rarely */
    f->leaving = more;
  }
  return &f->leaving[f->leaves++];
}

typedef struct {
  int64_t floats;
  lsp_fetch_find find;
  void *arg;
} service;

/* Answers one request, if there is one. */
static void serve(lsp_fetch *f, const service *s) {
  const int tag = f->turn * TAGS;
  int is_there = 0, n = 0;
  MPI_Message message;
  MPI_Status status;
  if (MPI_Improbe(MPI_ANY_SOURCE, tag + TAG_KEYS, f->comm, &is_there, &message,
                  &status) != MPI_SUCCESS)
    lsp_panic(__FILE__, __LINE__, "MPI_Improbe");
  if (!is_there)
    return;
  LSP_MPI(MPI_Get_count(&status, MPI_INT64_T, &n));
  LSP_ASSERT(n >= 0 && n <= f->most);
  LSP_MPI(MPI_Mrecv(f->wanted, n, MPI_INT64_T, &message, &status));
  for (int i = 0; i < n; i++)
    f->from[i] = address_of(s->find(status.MPI_SOURCE, f->wanted[i], s->arg));
  MPI_Datatype type = parts_at(f->from, n, s->floats);
  LSP_MPI(MPI_Isend(MPI_BOTTOM, 1, type, status.MPI_SOURCE, tag + TAG_PARTS, f->comm,
                    new_leaving(f)));
  LSP_MPI(MPI_Type_free(&type));
  count_sent(f, n * s->floats * (int64_t)sizeof(float));
}

static int is_done(MPI_Request *request) {
  MPI_Status status;
  int done = 0;
  if (MPI_Test(request, &done, &status) != MPI_SUCCESS)
    lsp_panic(__FILE__, __LINE__, "MPI_Test");
  return done;
}

static void wait_for(int n, MPI_Request *request) {
  MPI_Status status;
  for (int i = 0; i < n; i++)
    LSP_MPI(MPI_Wait(&request[i], &status));
}

void lsp_fetch_round(lsp_fetch *f, int64_t floats, lsp_fetch_find find, void *arg) {
  const service s = {floats, find, arg};
  MPI_Request barrier = MPI_REQUEST_NULL;
  int heard = 0, in_barrier = 0, is_over = 0;
  f->turn = !f->turn;
  f->leaves = 0;
  send_requests(f, floats);
  while (!is_over) {
    lsp_beat_wait(1); /* for other ranks: no sign of life */
    serve(f, &s);
    while (heard < f->groups && is_done(&f->heard[heard]))
      heard++;
    if (in_barrier)
      is_over = is_done(&barrier);
    else if (heard == f->groups) {
      LSP_MPI(MPI_Ibarrier(f->comm, &barrier));
      in_barrier = 1;
    }
  }
  wait_for(f->groups, f->coming);
  wait_for(f->leaves, f->leaving);
  lsp_beat_wait(0);
}

lsp_traffic lsp_fetch_traffic(const lsp_fetch *f) {
  return f->traffic;
}
