/* Sends bytes to the ranks that write them.
 *
 * The owner of a unit, who writes it, is the lowest rank that has bytes in it. Every
 * rank finds it by a scan over the ranks: MPI_Exscan with an operation of our own, in
 * O(log P) steps of 24 bytes, so that no rank holds a list of all. The operation joins
 * two adjacent runs of bytes L and R. The owner of the last unit of both is that of R's
 * last unit, except where all of R lies in the unit in which L ends: then it is that of
 * L's last unit. A rank without bytes changes nothing.
 *
 * What must hold: every rank takes the same steps, whatever failed before. Messages of
 * two calls never mix: each call begins with a reduction over all ranks, which nobody
 * leaves before all have received the messages of the call before. */
#include "lsp/route.h"

#include <stdlib.h>
#include <string.h>

enum { TAG_HEAD = 211, TAG_INTERIOR, TAG_TAIL };
enum { HEADER = sizeof(int64_t) }; /* of a message: offset of its bytes */

/* Bytes [begin, end), and the owner of the unit that its last byte lies in; end <=
 * begin: none. */
typedef struct {
  int64_t begin, end, owner;
} reach;

struct lsp_route {
  lsp_ctx *ctx;
  char *from, *to,
      *whole; /* a unit (and a header): received, to be sent, to be written */
  MPI_Datatype reach_type;
  MPI_Op reach_op;
};

/* Bytes of one call: what this rank has, where the first of them lies in memory, and
 * how they are written. */
typedef struct {
  lsp_route *route;
  reach mine;
  const char *data;
  int64_t begin, end; /* of all ranks together */
  void (*write)(void *arg, const void *data, int64_t n, int64_t offset);
  void *arg;
} load;

static int is_empty(const reach *r) {
  return r->end <= r->begin;
}

static int64_t down(int64_t offset) {
  return offset / LSP_ROUTE_UNIT * LSP_ROUTE_UNIT;
}

static int64_t up(int64_t offset) {
  return down(offset + LSP_ROUTE_UNIT - 1);
}

/* The reach of left and right together. */
static reach joined(const reach *left, const reach *right) {
  if (is_empty(left))
    return *right;
  if (is_empty(right))
    return *left;
  LSP_ASSERT(left->end == right->begin); /* adjacent, in rank order */
  const int64_t unit = down(right->end - 1);
  const int shares = down(right->begin) == unit && down(left->end - 1) == unit;
  return (reach){left->begin, right->end, shares ? left->owner : right->owner};
}

static void join_reaches(void *in, void *inout, int *n, MPI_Datatype *type) {
  (void)type;
  const reach *left = in;
  reach *right = inout;
  for (int i = 0; i < *n; i++)
    right[i] = joined(&left[i], &right[i]);
}

lsp_status lsp_route_open(lsp_ctx *ctx, lsp_route **out) {
  lsp_route *r = calloc(1, sizeof *r);
  *out = r;
  if (r == NULL)
    return lsp_fail(&ctx->why, LSP_E_MEMORY,
                    "not enough memory for the buffers of the output");
  r->ctx = ctx;
  r->from = malloc((size_t)LSP_ROUTE_UNIT + HEADER);
  r->to = malloc((size_t)LSP_ROUTE_UNIT + HEADER);
  r->whole = malloc((size_t)LSP_ROUTE_UNIT);
  LSP_MPI(MPI_Type_contiguous(3, MPI_INT64_T, &r->reach_type));
  LSP_MPI(MPI_Type_commit(&r->reach_type));
  LSP_MPI(MPI_Op_create(join_reaches, 0, &r->reach_op));
  if (r->from == NULL || r->to == NULL || r->whole == NULL)
    return lsp_fail(&ctx->why, LSP_E_MEMORY,
                    "not enough memory for the three buffers of 1 MiB of the output");
  return LSP_OK;
}

void lsp_route_close(lsp_route **route) {
  lsp_route *r = *route;
  if (r == NULL)
    return;
  LSP_MPI(MPI_Type_free(&r->reach_type));
  LSP_MPI(MPI_Op_free(&r->reach_op));
  free(r->from);
  free(r->to);
  free(r->whole);
  free(r);
  *route = NULL;
}

/* The part of [from, to) that this rank has. */
static reach clipped(const load *l, int64_t from, int64_t to) {
  reach r = l->mine;
  r.begin = r.begin > from ? r.begin : from;
  r.end = r.end < to ? r.end : to;
  if (is_empty(&r))
    r.begin = r.end = 0;
  return r;
}

static const char *at(const load *l, int64_t offset) {
  return l->data + (offset - l->mine.begin);
}

static void send_piece(const load *l, reach piece, int64_t owner, int tag,
                       MPI_Request *request) {
  const int64_t n = piece.end - piece.begin;
  LSP_ASSERT(n > 0 && n <= LSP_ROUTE_UNIT);
  memcpy(l->route->to, &piece.begin, HEADER);
  memcpy(l->route->to + HEADER, at(l, piece.begin), (size_t)n);
  LSP_MPI(MPI_Isend(l->route->to, lsp_count(n + HEADER), MPI_BYTE, (int)owner, tag,
                    l->route->ctx->comm, request));
}

/* Receives one message of the bytes [begin, end) and puts it in its place in `to`.
 * Returns its length. */
static int64_t receive_piece(const load *l, int64_t begin, int64_t end, char *to,
                             int tag) {
  MPI_Status status;
  int got = 0;
  int64_t offset = 0;
  LSP_MPI(MPI_Recv(l->route->from, lsp_count(LSP_ROUTE_UNIT + HEADER), MPI_BYTE,
                   MPI_ANY_SOURCE, tag, l->route->ctx->comm, &status));
  LSP_MPI(MPI_Get_count(&status, MPI_BYTE, &got));
  LSP_ASSERT(got > HEADER);
  memcpy(&offset, l->route->from, HEADER);
  const int64_t n = got - HEADER;
  LSP_ASSERT(offset >= begin && n <= end - offset);
  memcpy(to + (offset - begin), l->route->from + HEADER, (size_t)n);
  return n;
}

/* Receives the bytes [begin, end), all from ranks after this one, and writes them at
 * once. */
static void receive_and_write(const load *l, int64_t begin, int64_t end, int tag) {
  if (end <= begin)
    return;
  LSP_ASSERT(end - begin <= LSP_ROUTE_UNIT);
  for (int64_t missing = end - begin; missing > 0;)
    missing -= receive_piece(l, begin, end, l->route->whole, tag);
  l->write(l->arg, l->route->whole, end - begin, begin);
}

/* Rank 0 writes a unit that other datasets share. */
static void write_common(const load *l, int64_t from, int64_t to, int tag) {
  const int64_t begin = l->begin > from ? l->begin : from;
  const int64_t end = l->end < to ? l->end : to;
  if (end <= begin)
    return;
  const reach mine = clipped(l, begin, end);
  if (l->route->ctx->rank != 0) {
    MPI_Request request = MPI_REQUEST_NULL;
    if (!is_empty(&mine))
      send_piece(l, mine, 0, tag, &request);
    LSP_MPI(MPI_Wait(&request, MPI_STATUS_IGNORE));
    return;
  }
  if (!is_empty(&mine))
    l->write(l->arg, at(l, mine.begin), mine.end - mine.begin, mine.begin);
  receive_and_write(l, is_empty(&mine) ? begin : mine.end, end, tag);
}

/* The owner of the unit in which the first byte of `mine` lies. */
static int64_t head_owner(const reach *before, const reach *mine) {
  const int shares = !is_empty(before) && down(before->end - 1) == down(mine->begin);
  return shares ? before->owner : mine->owner;
}

/* Writes the units that lie wholly within the dataset. */
static void write_interior(const load *l, int64_t from, int64_t to) {
  const int64_t all_end = l->end < to ? l->end : to;
  if (all_end <= (l->begin > from ? l->begin : from))
    return;
  reach mine = clipped(l, from, to), before = {0, 0, 0};
  mine.owner = l->route->ctx->rank;
  LSP_MPI(MPI_Exscan(&mine, &before, 1, l->route->reach_type, l->route->reach_op,
                     l->route->ctx->comm));
  if (l->route->ctx->rank == 0) /* what Exscan leaves undefined */
    before = (reach){0, 0, 0};
  if (is_empty(&mine))
    return;
  MPI_Request request = MPI_REQUEST_NULL;
  reach own = mine;
  const int64_t owner = head_owner(&before, &mine);
  if (owner != l->route->ctx->rank) {
    const int64_t unit_end = down(mine.begin) + LSP_ROUTE_UNIT;
    own.begin = mine.end < unit_end ? mine.end : unit_end;
    send_piece(l, (reach){mine.begin, own.begin, 0}, owner, TAG_INTERIOR, &request);
  }
  if (!is_empty(&own)) {
    const int64_t unit_end = up(own.end);
    l->write(l->arg, at(l, own.begin), own.end - own.begin, own.begin);
    receive_and_write(l, own.end, all_end < unit_end ? all_end : unit_end,
                      TAG_INTERIOR);
  }
  LSP_MPI(MPI_Wait(&request, MPI_STATUS_IGNORE));
}

void lsp_route_rows(
    lsp_route *route, lsp_byte_range dataset, lsp_byte_range mine, const void *data,
    void (*write)(void *arg, const void *data, int64_t n, int64_t offset), void *arg) {
  load l = {.route = route,
            .mine = {mine.begin, mine.end, 0},
            .data = data,
            .write = write,
            .arg = arg};
  reach all = l.mine;
  LSP_MPI(MPI_Allreduce(&l.mine, &all, 1, route->reach_type, route->reach_op,
                        route->ctx->comm));
  if (is_empty(&all))
    return;
  l.begin = all.begin;
  l.end = all.end;
  const int64_t head_end = up(dataset.begin), tail_begin = down(dataset.end);
  if (head_end > tail_begin) { /* within one unit */
    write_common(&l, dataset.begin, dataset.end, TAG_HEAD);
    return;
  }
  write_common(&l, dataset.begin, head_end, TAG_HEAD);
  write_interior(&l, head_end, tail_begin);
  write_common(&l, tail_begin, dataset.end, TAG_TAIL);
}
