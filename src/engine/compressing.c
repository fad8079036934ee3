/* Segments of a span are listed as records: what the span (or a batch of its panels) has of
 * a segment. A record that is the whole segment has sums of its own, begun with zeros, as
 * the state's are at the beginning of a segment; any other is added to the sums of the
 * state, row by row, where they stand. Both give the same chains. The walk is cut where a
 * snapshot is taken. */
#include "compressing.h"

#include "attending.h"
#include "states.h"

#include "lsp/compressive.h"

#include <string.h>

enum { RECORDS_BYTES = 32 << 20 }; /* of records, unless a panel needs more */

typedef struct {
  const lsp_piece *piece;
  int64_t segment;
  int64_t first, end; /* positions of the piece */
  int whole;
} record;

/* Where things lie in span.compressing. */
typedef struct {
  float *query;  /* (span_rows, H E) s(q), then what they read */
  float *key;    /* (span_rows, G E) s(k) */
  record *list;  /* (records) */
  double *sums;  /* (records, G, E + 1, E) U, sum of s(k) */
  float *copies; /* (records, G, E + 1, E) M, z */
  char *again;   /* the parts as they came */
} room;

/* Panels [first, end) of the span and their records. */
typedef struct {
  lsp_run *e;
  int layer;
  const lsp_pattern *is;
  lsp_heads heads;
  room at;
  int64_t most, n; /* records */
  lsp_range panels;
} batch;

/* --- sizes ----------------------------------------------------------------------- */

const lsp_pattern *lsp_compressing_branch(const lsp_layer *l) {
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_COMPRESSIVE)
      return &l->branch[b];
  return NULL;
}

static int64_t padded(int64_t floats) {
  return lsp_divide_up(floats, LSP_LANES) * LSP_LANES;
}

static int64_t square_of(lsp_heads h) {
  return h.shared * lsp_compressive_floats(h.width);
}

/* Segments that a span has of its pieces. */
static int64_t segments_of(const lsp_pattern *is, int64_t span_rows, int64_t pieces) {
  return span_rows / is->segment + 2 * pieces;
}

static int64_t records_of(const lsp_layer *l, int64_t span_rows, int64_t pieces) {
  const lsp_pattern *is = lsp_compressing_branch(l);
  const int64_t bytes = square_of(l->heads) * (int64_t)(sizeof(double) + sizeof(float));
  return lsp_min(segments_of(is, span_rows, pieces),
                 lsp_max(LSP_PANEL / is->segment + 2, RECORDS_BYTES / bytes));
}

/* Floats of the parts of a layer, which are kept to be walked again where records do not
 * hold all segments of a span. */
static int64_t parts_floats(const lsp_layer *l) {
  const lsp_heads h = l->heads;
  const int64_t squares = lsp_compressing_branch(l)->delta ? 3 : 2;
  return (int64_t)(sizeof(double) / sizeof(float)) * h.shared * h.width *
         (squares * h.width + 2);
}

/* The sizes of the room's parts, in its order. */
static void room_sizes(const lsp_layer *l, int64_t rows, int64_t pieces,
                       int64_t size[6]) {
  const int64_t n = records_of(l, rows, pieces), square = square_of(l->heads);
  size[0] = rows * l->heads.query * l->heads.width;
  size[1] = rows * l->heads.shared * l->heads.width;
  size[2] = n * (int64_t)(sizeof(record) / sizeof(float));
  size[3] = n * square * (int64_t)(sizeof(double) / sizeof(float));
  size[4] = n * square;
  size[5] =
      n < segments_of(lsp_compressing_branch(l), rows, pieces) ? parts_floats(l) : 0;
  for (int i = 0; i < 6; i++)
    size[i] = padded(size[i]);
}

int64_t lsp_compressing_floats(const lsp_layer *l, int64_t rows, int64_t pieces) {
  int64_t size[6], all = 0;
  if (lsp_compressing_branch(l) == NULL)
    return 0;
  room_sizes(l, rows, pieces, size);
  for (int i = 0; i < 6; i++)
    all += size[i];
  return all;
}

static room room_of(const lsp_run *e, int layer) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  int64_t size[6];
  float *at[6], *next = e->span.compressing;
  room_sizes(l, e->span.sizes.span_rows, e->span.sizes.span_pieces, size);
  for (int i = 0; i < 6; i++) {
    at[i] = next;
    next += size[i];
  }
  return (room){at[0], at[1],        (record *)(void *)at[2], (double *)(void *)at[3],
                at[4], (char *)at[5]};
}

const float *lsp_compressing_results(const lsp_run *e, int layer) {
  return room_of(e, layer).query;
}

/* --- projected rows -------------------------------------------------------------- */

void lsp_compressing_block(lsp_run *e, const lsp_panel *p, int layer, int row,
                           const float *qkv) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const room at = room_of(e, layer);
  const int64_t A = (int64_t)l->heads.query * l->heads.width;
  const int64_t K = (int64_t)l->heads.shared * l->heads.width;
  for (int64_t i = 0; i < LSP_BLOCK; i++, qkv += l->qkv.matrix.rows) {
    e->job.kernels.elu_one(A, qkv, at.query + (p->row + row + i) * A);
    e->job.kernels.elu_one(K, qkv + A, at.key + (p->row + row + i) * K);
  }
}

/* --- records --------------------------------------------------------------------- */

static void append(batch *b, const lsp_piece *piece, int64_t first, int64_t end) {
  const int64_t S = b->is->segment;
  record *last = b->n > 0 ? &b->at.list[b->n - 1] : NULL;
  if (last != NULL && last->piece == piece && last->segment == first / S) {
    last->end = lsp_min(end, (last->segment + 1) * S);
    first = last->end;
  }
  for (int64_t next; first < end; first = next) {
    next = lsp_min(end, (first / S + 1) * S);
    b->at.list[b->n++] =
        (record){.piece = piece, .segment = first / S, .first = first, .end = next};
  }
}

/* Records of as many panels from `first` on as there is room for: at least one panel. */
static void take_panels(batch *b, int64_t first) {
  const lsp_wave *w = &b->e->span.wave;
  const int64_t S = b->is->segment;
  int64_t panel = first;
  for (b->n = 0; panel < w->panels; panel++) {
    const lsp_panel *p = &w->panel[panel];
    const int64_t low = lsp_max(p->start, p->piece->first);
    const int64_t high = lsp_min(p->start + p->rows, p->piece->end);
    if (low >= high)
      continue;
    if (b->n + (high - 1) / S - low / S + 1 > b->most)
      break;
    append(b, p->piece, low, high);
  }
  LSP_ASSERT(panel > first);
  b->panels = (lsp_range){first, panel};
  for (record *r = b->at.list; r < b->at.list + b->n; r++)
    r->whole = r->first == r->segment * S && r->end == r->first + S;
}

/* Rows [first, end) of a record as the memory of one head takes them, as far as they lie
 * side by side: within a tile. */
static lsp_compressive_rows rows_at(const batch *b, const record *r, int64_t first,
                                    int64_t end, int head) {
  const lsp_heads h = b->heads;
  const int64_t K = (int64_t)h.shared * h.width, tile = first / LSP_BLOCK;
  const float *values = lsp_own_tile(b->e, b->layer, r->piece, tile) +
                        head * lsp_tile_head(h) + lsp_tile_keys(h);
  return (lsp_compressive_rows){
      .key = b->at.key + (r->piece->row + first - r->piece->start) * K +
             (int64_t)head * h.width,
      .ldk = K,
      .value = values + first % LSP_BLOCK * lsp_padded(h.width),
      .ldv = lsp_padded(h.width),
      .rows = lsp_min(end, (tile + 1) * LSP_BLOCK) - first};
}

typedef void (*absorb)(const lsp_compressive *m, const lsp_compressive_rows *rows);

static void absorb_rows(const batch *b, const record *r, int64_t first, int64_t end,
                        int head, const lsp_compressive *m, absorb how) {
  while (first < end) {
    const lsp_compressive_rows rows = rows_at(b, r, first, end, head);
    how(m, &rows);
    first += rows.rows;
  }
}

static double *sums_of(const batch *b, int64_t r, int head) {
  return b->at.sums +
         (r * b->heads.shared + head) * lsp_compressive_floats(b->heads.width);
}

static float *copy_of(const batch *b, int64_t r, int head) {
  return b->at.copies +
         (r * b->heads.shared + head) * lsp_compressive_floats(b->heads.width);
}

/* U and the sum of s(k) of all segments that the batch has whole. */
static void sum_records(const batch *b) {
  const int64_t E = b->heads.width;
#pragma omp parallel for schedule(dynamic) collapse(2) num_threads(b->e->job.threads)
  for (int64_t i = 0; i < b->n; i++)
    for (int head = 0; head < b->heads.shared; head++) {
      const record *r = &b->at.list[i];
      double *sums = sums_of(b, i, head);
      const lsp_compressive m = {.kernels = &b->e->job.kernels,
                                 .width = E,
                                 .matrix_sum = sums,
                                 .normalizer_sum = sums + E * E};
      if (!r->whole)
        continue;
      memset(sums, 0, (size_t)lsp_compressive_floats(E) * sizeof *sums);
      absorb_rows(b, r, r->first, r->end, head, &m, lsp_compressive_absorb_sums);
      lsp_poll(b->e);
    }
}

/* --- the walk -------------------------------------------------------------------- */

/* The parts of a head, in the state that begins at `parts` (lsp/memory.h). */
static lsp_compressive head_of(const batch *b, char *parts, int head) {
  const int64_t E = b->heads.width;
  const char *zero = lsp_state_part(b->e, b->layer, 0);
  double *part[5] = {NULL};
  for (int i = 0; i < (b->is->delta ? 5 : 4); i++) {
    const char *kept = lsp_state_part(b->e, b->layer, i);
    part[i] = (double *)(void *)(parts + (kept - zero));
  }
  return (lsp_compressive){.kernels = &b->e->job.kernels,
                           .width = E,
                           .matrix = part[0] + head * E * E,
                           .normalizer = part[1] + head * E,
                           .matrix_sum = part[2] + head * E * E,
                           .normalizer_sum = part[3] + head * E,
                           .decay_sum = b->is->delta ? part[4] + head * E * E : NULL};
}

/* The sums of a whole segment take the place of the state's, which are zeros. */
static void add_record(const batch *b, int64_t i, int head, const lsp_compressive *m) {
  const int64_t E = b->heads.width;
  const record *r = &b->at.list[i];
  const double *sums = sums_of(b, i, head);
  memcpy(m->matrix_sum, sums, (size_t)(E * E) * sizeof *sums);
  memcpy(m->normalizer_sum, sums + E * E, (size_t)E * sizeof *sums);
  absorb_rows(b, r, r->first, r->end, head, m, lsp_compressive_absorb_decay);
  lsp_compressive_close(m);
}

/* Positions of records: from one to another. */
typedef struct {
  int64_t first, first_at, last, last_at;
} leg;

static void walk_head(const batch *b, const leg *g, int head, char *parts, int copies) {
  const lsp_compressive m = head_of(b, parts, head);
  for (int64_t i = g->first; i <= g->last; i++) {
    const record *r = &b->at.list[i];
    const int64_t from = i == g->first ? g->first_at : r->first;
    const int64_t to = i == g->last ? g->last_at : r->end;
    if (from == 0)
      lsp_compressive_begin(&m); /* a document */
    if (copies && from == r->first)
      lsp_compressive_copy(&m, copy_of(b, i, head));
    if (r->whole && from == r->first && to == r->end) {
      add_record(b, i, head, &m);
      continue;
    }
    absorb_rows(b, r, from, to, head, &m, lsp_compressive_absorb);
    if (to == (r->segment + 1) * b->is->segment)
      lsp_compressive_close(&m);
  }
}

/* The next leg after `at` in record i: as far as a stop, which is returned; else to the
 * end of the batch, -1. */
static int64_t next_leg(const batch *b, int64_t i, int64_t at, int stops, leg *g) {
  const lsp_run *e = b->e;
  *g = (leg){i, at, b->n - 1, b->at.list[b->n - 1].end};
  for (; stops && e->text.stops > 0 && i < b->n; i++) {
    const record *r = &b->at.list[i];
    const int64_t s =
        lsp_snapshot_after(e, r->piece->frame, i == g->first ? at : r->first);
    if (s == e->text.stops || e->text.stop[s].document != r->piece->frame ||
        e->text.stop[s].position > r->end)
      continue;
    g->last = i;
    g->last_at = e->text.stop[s].position;
    return s;
  }
  return -1;
}

/* The state at `parts` from before the batch to after it. stops: snapshots are taken. */
static void walk(const batch *b, char *parts, int copies, int stops) {
  int64_t i = 0, at = b->n > 0 ? b->at.list[0].first : 0;
  while (i < b->n) {
    leg g;
    const int64_t stop = next_leg(b, i, at, stops, &g);
#pragma omp parallel for schedule(dynamic) num_threads(b->e->job.threads)
    for (int head = 0; head < b->heads.shared; head++) {
      walk_head(b, &g, head, parts, copies);
      lsp_poll(b->e);
    }
    if (stop >= 0)
      lsp_state_save(b->e, b->layer, stop);
    i = g.last;
    at = g.last_at;
    if (at == b->at.list[i].end && ++i < b->n)
      at = b->at.list[i].first;
  }
}

/* --- reading --------------------------------------------------------------------- */

static int64_t row_of(const record *r, int64_t position) {
  return r->piece->row + position - r->piece->start;
}

/* The record that holds a row of the span. */
static int64_t record_of(const batch *b, int64_t row) {
  int64_t low = 0, high = b->n - 1;
  while (low < high) { /* the last that begins at the row or before it */
    const int64_t middle = high - (high - low) / 2;
    if (row_of(&b->at.list[middle], b->at.list[middle].first) <= row)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

static void read_panel(const batch *b, const lsp_panel *p, int head) {
  const lsp_heads h = b->heads;
  const int64_t A = (int64_t)h.query * h.width;
  const int64_t high = lsp_min(p->start + p->rows, p->piece->end);
  const int shared = b->is->tiled ? head % h.shared : head / (h.query / h.shared);
  double *work = (double *)(void *)lsp_scratch_of(b->e);
  int64_t at = lsp_max(p->start, p->piece->first);
  if (at >= high)
    return;
  for (int64_t i = record_of(b, p->row + at - p->start), next; at < high; i++) {
    const record *r = &b->at.list[i];
    float *row = b->at.query + row_of(r, at) * A + (int64_t)head * h.width;
    next = lsp_min(high, r->end);
    const lsp_compressive_queries q = {.kernels = &b->e->job.kernels,
                                       .width = h.width,
                                       .rows = next - at,
                                       .query = row,
                                       .out = row,
                                       .ld = A,
                                       .ldo = A};
    lsp_compressive_read(&q, copy_of(b, i, shared), work);
    at = next;
  }
}

static void read_batch(const batch *b) {
#pragma omp parallel for schedule(dynamic) collapse(2) num_threads(b->e->job.threads)
  for (int64_t i = b->panels.first; i < b->panels.end; i++)
    for (int head = 0; head < b->heads.query; head++) {
      read_panel(b, &b->e->span.wave.panel[i], head);
      lsp_poll(b->e);
    }
}

/* --- a layer --------------------------------------------------------------------- */

static void count_seconds(lsp_run *e, double since) {
  e->job.clock.seconds[LSP_PHASE_ATTEND] += MPI_Wtime() - since;
}

/* All batches from the second on, of the state at `parts`: for what becomes of it, or to
 * read. */
static void walk_rest(batch *b, char *parts, int reads) {
  while (b->panels.end < b->e->span.wave.panels) {
    take_panels(b, b->panels.end);
    sum_records(b);
    walk(b, parts, reads, !reads);
    if (reads)
      read_batch(b);
  }
}

void lsp_compressing_layer(lsp_run *e, int layer) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  batch b = {.e = e,
             .layer = layer,
             .is = lsp_compressing_branch(l),
             .heads = l->heads,
             .at = room_of(e, layer),
             .most = records_of(l, e->span.sizes.span_rows, e->span.sizes.span_pieces)};
  const int64_t panels = e->span.wave.panels;
  char *parts = lsp_state_part(e, layer, 0);
  const size_t bytes = (size_t)parts_floats(l) * sizeof(float);
  double begin = MPI_Wtime();
  if (panels == 0)
    return;
  take_panels(&b, 0);
  sum_records(&b);
  count_seconds(e, begin);
  lsp_state_wait(e, layer);
  begin = MPI_Wtime();
  const int in_one = b.panels.end == panels;
  if (!in_one)
    memcpy(b.at.again, parts, bytes);
  walk(&b, parts, in_one, 1);
  walk_rest(&b, parts, 0);
  lsp_state_hand(e, layer);
  if (!in_one) {
    b.panels.end = 0;
    walk_rest(&b, b.at.again, 1);
  } else {
    read_batch(&b);
  }
  count_seconds(e, begin);
}
