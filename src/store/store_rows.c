/* Rows of the output, and which rank writes them.
 *
 *   file    | unit 0    | unit 1    | unit 2    | unit 3    |      aligned, 1 MiB each
 *   dataset     [.....................................]
 *               :common :      interior     : common :
 *   ranks       [ 0   | 1|  2 |      3         | 4 | 5]
 *
 * A unit that lies only partly within the dataset may hold bytes of another dataset as
 * well: rank 0 writes it. Any other unit is written by the lowest rank that has bytes
 * in it; the ranks after it send it theirs.
 *
 * Who that is comes from a scan over the ranks (MPI_Exscan with an operation of our
 * own, O(log P) steps of 24 bytes): of adjacent reaches L and R, the owner of the last
 * unit is L's if R lies within one unit and L ends inside it, else R's. Ranks without
 * bytes are its neutral element. Nothing has the size of P.
 *
 * What must hold: every rank takes the same steps whatever failed before; the reduction
 * at the beginning of a call keeps its messages from mixing with those of the call
 * before, for nobody leaves it until all have received theirs. */
#include "lsp/store.h"

#include "store_internal.h"

#include <stdlib.h>
#include <string.h>

enum { TAG_HEAD = 211, TAG_INTERIOR, TAG_TAIL };
enum { HEADER = sizeof(int64_t) }; /* of a message: offset of its bytes */

static int64_t down(int64_t offset) {
  return offset / LSP__UNIT * LSP__UNIT;
}

static int64_t up(int64_t offset) {
  return down(offset + LSP__UNIT - 1);
}

static int is_empty(const lsp__reach *r) {
  return r->end <= r->begin;
}

/* The reach of left and right together. */
static lsp__reach joined(const lsp__reach *left, const lsp__reach *right) {
  if (is_empty(left))
    return *right;
  if (is_empty(right))
    return *left;
  LSP_ASSERT(left->end == right->begin); /* adjacent, in rank order */
  const int64_t unit = down(right->end - 1);
  const int shares = down(right->begin) == unit && down(left->end - 1) == unit;
  return (lsp__reach){left->begin, right->end, shares ? left->owner : right->owner};
}

static void join_reaches(void *in, void *inout, int *n, MPI_Datatype *type) {
  (void)type;
  const lsp__reach *left = in;
  lsp__reach *right = inout;
  for (int i = 0; i < *n; i++)
    right[i] = joined(&left[i], &right[i]);
}

lsp_status lsp__store_rows_open(lsp_store *s) {
  s->from = malloc((size_t)LSP__UNIT + HEADER);
  s->to = malloc((size_t)LSP__UNIT + HEADER);
  s->whole = malloc((size_t)LSP__UNIT);
  LSP_MPI(MPI_Type_contiguous(3, MPI_INT64_T, &s->reach_type));
  LSP_MPI(MPI_Type_commit(&s->reach_type));
  LSP_MPI(MPI_Op_create(join_reaches, 0, &s->reach_op));
  if (s->from == NULL || s->to == NULL || s->whole == NULL)
    return lsp_fail(&s->ctx->why, LSP_E_MEMORY,
                    "not enough memory for the three buffers of 1 MiB of the output");
  return LSP_OK;
}

void lsp__store_rows_close(lsp_store *s) {
  if (s->reach_type != MPI_DATATYPE_NULL)
    LSP_MPI(MPI_Type_free(&s->reach_type));
  if (s->reach_op != MPI_OP_NULL)
    LSP_MPI(MPI_Op_free(&s->reach_op));
  free(s->from);
  free(s->to);
  free(s->whole);
}

/* Bytes of this call: what this rank has, and where the first of them lies in memory.
 */
typedef struct {
  lsp__reach mine;
  const char *data;
  int64_t begin, end; /* of all ranks together */
} load;

/* What of [from, to) is this rank's. */
static lsp__reach clipped(const load *l, int64_t from, int64_t to) {
  lsp__reach r = l->mine;
  r.begin = r.begin > from ? r.begin : from;
  r.end = r.end < to ? r.end : to;
  if (is_empty(&r))
    r.begin = r.end = 0;
  return r;
}

static const char *at(const load *l, int64_t offset) {
  return l->data + (offset - l->mine.begin);
}

static void send_piece(lsp_store *s, const load *l, lsp__reach piece, int64_t owner,
                       int tag, MPI_Request *request) {
  const int64_t n = piece.end - piece.begin;
  LSP_ASSERT(n > 0 && n <= LSP__UNIT);
  memcpy(s->to, &piece.begin, HEADER);
  memcpy(s->to + HEADER, at(l, piece.begin), (size_t)n);
  LSP_MPI(MPI_Isend(s->to, lsp_count(n + HEADER), MPI_BYTE, (int)owner, tag,
                    s->ctx->comm, request));
}

/* One message of the bytes [begin, end), into to at its place; its length. */
static int64_t receive_piece(lsp_store *s, int64_t begin, int64_t end, char *to,
                             int tag) {
  MPI_Status status;
  int got = 0;
  int64_t offset = 0;
  LSP_MPI(MPI_Recv(s->from, lsp_count(LSP__UNIT + HEADER), MPI_BYTE, MPI_ANY_SOURCE,
                   tag, s->ctx->comm, &status));
  LSP_MPI(MPI_Get_count(&status, MPI_BYTE, &got));
  LSP_ASSERT(got > HEADER);
  memcpy(&offset, s->from, HEADER);
  const int64_t n = got - HEADER;
  LSP_ASSERT(offset >= begin && n <= end - offset);
  memcpy(to + (offset - begin), s->from + HEADER, (size_t)n);
  return n;
}

/* The bytes [begin, end), all of them from ranks after this one, in one write. */
static void receive_and_write(lsp_store *s, int64_t begin, int64_t end, int tag) {
  if (end <= begin)
    return;
  LSP_ASSERT(end - begin <= LSP__UNIT);
  for (int64_t missing = end - begin; missing > 0;)
    missing -= receive_piece(s, begin, end, s->whole, tag);
  lsp__store_write(s, LSP__OUTPUT, s->whole, end - begin, begin);
}

/* A unit that other datasets share: rank 0 writes it. */
static void write_common(lsp_store *s, const load *l, int64_t from, int64_t to,
                         int tag) {
  const int64_t begin = l->begin > from ? l->begin : from;
  const int64_t end = l->end < to ? l->end : to;
  if (end <= begin)
    return;
  const lsp__reach mine = clipped(l, begin, end);
  if (s->ctx->rank != 0) {
    MPI_Request request = MPI_REQUEST_NULL;
    if (!is_empty(&mine))
      send_piece(s, l, mine, 0, tag, &request);
    LSP_MPI(MPI_Wait(&request, MPI_STATUS_IGNORE));
    return;
  }
  if (!is_empty(&mine))
    lsp__store_write(s, LSP__OUTPUT, at(l, mine.begin), mine.end - mine.begin,
                     mine.begin);
  receive_and_write(s, is_empty(&mine) ? begin : mine.end, end, tag);
}

/* The owner of the unit that the first of mine lies in. */
static int64_t head_owner(const lsp__reach *before, const lsp__reach *mine) {
  const int shares = !is_empty(before) && down(before->end - 1) == down(mine->begin);
  return shares ? before->owner : mine->owner;
}

/* Whole units of the dataset. */
static void write_interior(lsp_store *s, const load *l, int64_t from, int64_t to) {
  const int64_t all_end = l->end < to ? l->end : to;
  if (all_end <= (l->begin > from ? l->begin : from))
    return;
  lsp__reach mine = clipped(l, from, to), before = {0, 0, 0};
  mine.owner = s->ctx->rank;
  LSP_MPI(MPI_Exscan(&mine, &before, 1, s->reach_type, s->reach_op, s->ctx->comm));
  if (s->ctx->rank == 0) /* what Exscan leaves undefined */
    before = (lsp__reach){0, 0, 0};
  if (is_empty(&mine))
    return;
  MPI_Request request = MPI_REQUEST_NULL;
  lsp__reach own = mine;
  const int64_t owner = head_owner(&before, &mine);
  if (owner != s->ctx->rank) {
    const int64_t unit_end = down(mine.begin) + LSP__UNIT;
    own.begin = mine.end < unit_end ? mine.end : unit_end;
    send_piece(s, l, (lsp__reach){mine.begin, own.begin, 0}, owner, TAG_INTERIOR,
               &request);
  }
  if (!is_empty(&own)) {
    const int64_t unit_end = up(own.end);
    lsp__store_write(s, LSP__OUTPUT, at(l, own.begin), own.end - own.begin, own.begin);
    receive_and_write(s, own.end, all_end < unit_end ? all_end : unit_end,
                      TAG_INTERIOR);
  }
  LSP_MPI(MPI_Wait(&request, MPI_STATUS_IGNORE));
}

void lsp_store_rows(lsp_store *store, lsp_output_dataset dataset, int64_t first,
                    int64_t rows, const void *data) {
  const lsp_extent *e = &store->facts.output[dataset];
  if (e->offset < 0 || e->rows == 0 || e->row_bytes == 0)
    return;
  LSP_ASSERT(rows >= 0 && (rows == 0 || (first >= 0 && rows <= e->rows - first)));
  load l = {.data = data};
  if (rows > 0) {
    l.mine.begin = e->offset + first * e->row_bytes;
    l.mine.end = l.mine.begin + rows * e->row_bytes;
  }
  lsp__reach all = l.mine;
  LSP_MPI(MPI_Allreduce(&l.mine, &all, 1, store->reach_type, store->reach_op,
                        store->ctx->comm));
  if (is_empty(&all))
    return;
  l.begin = all.begin;
  l.end = all.end;
  const int64_t end = e->offset + e->rows * e->row_bytes;
  const int64_t head_end = up(e->offset), tail_begin = down(end);
  if (head_end > tail_begin) { /* within one unit */
    write_common(store, &l, e->offset, end, TAG_HEAD);
    return;
  }
  write_common(store, &l, e->offset, head_end, TAG_HEAD);
  write_interior(store, &l, head_end, tail_begin);
  write_common(store, &l, tail_begin, end, TAG_TAIL);
}
