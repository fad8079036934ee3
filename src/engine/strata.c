/* Pooled rows of a span: made from what is projected, borrowed, averaged again, turned,
 * and kept.
 *
 *   rows of a stratum   | borrowed: reach | first piece | second piece | ...
 *   tiles of them       |    64 rows each, numbered in each frame from its row 0    |
 *
 * Both lie in span.strata, which the layers use in turn. What must hold: a row is formed
 * only where all its positions are tokens; what is not formed or borrowed is seen by no
 * query, and is zero in the tiles. */
#include "strata.h"

#include "attending.h"
#include "lsp/rotary.h"
#include "strata_memory.h"

#include <math.h>
#include <string.h>

static const lsp_stratum_sizes *stratum_of(const lsp_run *e, int layer, int s) {
  return &e->span.layer[layer].stratum[s];
}

static size_t row_bytes(const lsp_run *e, int layer) {
  return (size_t)e->span.layer[layer].pooled * sizeof(float);
}

/* --- where things lie ------------------------------------------------------------ */

/* Floats of the rows of a stratum; tiles begin where a vector does. */
static int64_t rows_floats(const lsp_run *e, int layer, int s) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  const int64_t floats =
      lsp_stratum_room(&y->stratum[s], e->span.sizes.span_rows) * y->pooled;
  return lsp_divide_up(floats, LSP_LANES) * LSP_LANES;
}

static float *rows_of(const lsp_run *e, int layer, int s) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  float *at = e->span.strata;
  for (int k = 0; k < s; k++)
    at += rows_floats(e, layer, k) + lsp_stratum_tiles(&y->stratum[k],
                                                       e->span.sizes.span_rows,
                                                       e->span.sizes.span_pieces) *
                                         y->tile;
  return at;
}

float *lsp_stratum_row(const lsp_run *e, int layer, int s, const lsp_piece *piece,
                       int64_t row) {
  const lsp_stratum_sizes *z = stratum_of(e, layer, s);
  const int64_t unit = z->grain.unit, later = piece != e->span.wave.piece;
  const int64_t at = z->reach + piece->row / unit + later + row - piece->start / unit;
  return rows_of(e, layer, s) + at * e->span.layer[layer].pooled;
}

float *lsp_stratum_kept(const lsp_run *e, int layer, int s, int64_t row) {
  const lsp_stratum_sizes *z = stratum_of(e, layer, s);
  return e->kept.strata + z->ring_at +
         lsp_grain_place(z->grain, row, e->job.ctx->size, z->groups) *
             e->span.layer[layer].pooled;
}

float *lsp_stratum_opening(const lsp_run *e, int layer, int s, int64_t row) {
  const lsp_stratum_sizes *z = stratum_of(e, layer, s);
  const int64_t first = lsp_grain_past(&e->text.plan, z->grain, 0, 0).end;
  return e->kept.strata_opening + z->opening_at +
         (row - first) * e->span.layer[layer].pooled;
}

float *lsp_stratum_begun(const lsp_run *e, int layer, int s) {
  const lsp_stratum_sizes *z = stratum_of(e, layer, s);
  return e->kept.strata_opening + z->opening_at +
         (LSP_PANEL / z->grain.unit + 1) * e->span.layer[layer].pooled;
}

lsp_stratum_rows lsp_strata_rows(const lsp_run *e, int layer, int stratum,
                                 const lsp_piece *piece) {
  const lsp_stratum_sizes *z = stratum_of(e, layer, stratum);
  const int64_t own = piece->start / z->grain.unit;
  const int64_t first = piece == e->span.wave.piece ? lsp_max(0, own - z->reach) : own;
  return (lsp_stratum_rows){lsp_stratum_row(e, layer, stratum, piece, first), first,
                            piece->end / z->grain.unit};
}

/* Tiles that hold the rows of a piece; those of the first piece come first. */
static float *tile_of(const lsp_run *e, int layer, int s, const lsp_piece *piece,
                      int64_t first, int64_t tile) {
  const lsp_stratum_sizes *z = stratum_of(e, layer, s);
  const int64_t i = piece - e->span.wave.piece;
  int64_t at = tile - first;
  if (i > 0)
    at += lsp_stratum_before(z) + piece->row / (LSP_BLOCK * z->grain.unit) + i;
  return rows_of(e, layer, s) + rows_floats(e, layer, s) +
         at * e->span.layer[layer].tile;
}

lsp_source lsp_strata_tiles(const lsp_run *e, int layer, int stratum,
                            const lsp_piece *piece) {
  const lsp_stratum_rows r = lsp_strata_rows(e, layer, stratum, piece);
  const int64_t first = r.first / LSP_BLOCK;
  return (lsp_source){tile_of(e, layer, stratum, piece, first, first), first,
                      lsp_divide_up(r.end, LSP_BLOCK), e->span.layer[layer].tile};
}

/* --- means of keys and values ---------------------------------------------------- */

/* A block whose rows are averaged. */
typedef struct {
  lsp_run *e;
  const lsp_panel *panel;
  int layer;
  int64_t position; /* of its first row */
  const float *qkv;
  const float *convolved; /* (64, 2 G E) or NULL */
  int plain;              /* rows are not normed yet */
} block;

/* A position's key and value, or key and queries by group, or its part of a convolution,
 * added to a row. */
static void add_position(const block *b, const lsp_stratum *is, int64_t position,
                         float *row) {
  const lsp_layer *l = &b->e->weights.model.layer[b->layer];
  const lsp_kernels *k = &b->e->job.kernels;
  const int64_t E = l->heads.width, G = l->heads.shared, H = l->heads.query;
  const int64_t at = position - b->position;
  const float *query = b->qkv + at * l->qkv.matrix.rows;
  if (!is->routing) {
    k->add(2 * G * E, row,
           is->convolved ? b->convolved + at * 2 * G * E : query + H * E);
    return;
  }
  k->add(G * E, row, query + H * E);
  for (int64_t h = 0; h < H; h++)
    k->add(E, row + G * E + h / (H / G) * E, query + h * E);
}

/* The sum of a unit as far as `end`; what a snapshot has of it is where it begins. */
static void sum_unit(const block *b, int s, int64_t unit, int64_t end, float *row) {
  const lsp_stratum_sizes *z = stratum_of(b->e, b->layer, s);
  const int64_t begun = b->panel->piece->first;
  int64_t at = unit * z->grain.unit;
  if (at < begun) {
    memcpy(row, lsp_stratum_begun(b->e, b->layer, s), row_bytes(b->e, b->layer));
    at = begun;
  } else {
    memset(row, 0, row_bytes(b->e, b->layer));
  }
  for (; at < end; at++)
    add_position(b, &z->is, at, row);
}

static void scale_row(int64_t n, float by, float *row) {
  for (int64_t i = 0; i < n; i++)
    row[i] *= by;
}

/* A sum of rows that are not normed, now whole: (2 G E). As of a position, one that is not
 * finite spoils the queries that see it, and no others. */
static void settle_plain(const block *b, const lsp_stratum *is, float *row) {
  const lsp_run *e = b->e;
  const int64_t n = e->span.layer[b->layer].pooled;
  if (is->convolved)
    e->job.kernels.add(n, row, e->weights.layer[b->layer].convolved_constant);
  else
    scale_row(n, 1.0f / (float)is->pool, row);
  lsp_norm_keys(e, b->layer, row);
  if (e->job.kernels.finite(n, row))
    return;
  for (int64_t i = 0; i < n; i++)
    row[i] = i < n / 2 ? NAN : 0;
}

static void mean_of_unit(const block *b, int s, int64_t unit) {
  const lsp_stratum_sizes *z = stratum_of(b->e, b->layer, s);
  const lsp_heads h = b->e->weights.model.layer[b->layer].heads;
  const int64_t half = (int64_t)h.shared * h.width, end = (unit + 1) * z->grain.unit;
  float *row = lsp_stratum_row(b->e, b->layer, s, b->panel->piece, unit);
  if (end <= b->panel->piece->first) {
    memcpy(row, lsp_stratum_opening(b->e, b->layer, s, unit),
           row_bytes(b->e, b->layer));
    return;
  }
  const float mean = 1.0f / (float)z->is.pool;
  const int heads = h.query / h.shared;
  sum_unit(b, s, unit, end, row);
  if (z->is.plain) {
    settle_plain(b, &z->is, row);
    return;
  }
  scale_row(half, mean, row);
  if (z->is.routing)
    scale_row(half, 1.0f / (float)(z->is.pool * heads), row + half);
  else
    scale_row(half, mean, row + half);
}

/* What a snapshot within the block has of a unit that it cuts. */
static void cut_unit(const block *b, int s, int64_t stop, int64_t position) {
  const int64_t unit = stratum_of(b->e, b->layer, s)->grain.unit;
  if (position % unit == 0)
    return;
  /* Where the row goes that is made after this, if the unit becomes whole. */
  float *row = lsp_stratum_row(b->e, b->layer, s, b->panel->piece, position / unit);
  sum_unit(b, s, position / unit, position, row);
  lsp_strata_save_cut(b->e, b->layer, s, stop, row);
}

/* 1: the block gives to the stratum. */
static int gives_to(const block *b, int s) {
  const lsp_stratum *is = &stratum_of(b->e, b->layer, s)->is;
  return is->below < 0 && is->plain == b->plain;
}

static void average(const block *b) {
  lsp_run *e = b->e;
  const lsp_layer_sizes *y = &e->span.layer[b->layer];
  const lsp_piece *piece = b->panel->piece;
  const int64_t end = lsp_min(b->position + LSP_BLOCK, piece->end);
  if (y->strata == 0 || b->position >= end)
    return;
  int64_t stop = e->text.stops; /* no snapshot has pooled rows */
  if (e->span.sizes.pooled_rows > 0)
    stop = lsp_snapshot_after(e, piece->frame, lsp_max(b->position, piece->first));
  for (; stop < e->text.stops && e->text.stop[stop].document == piece->frame &&
         e->text.stop[stop].position <= end;
       stop++)
    for (int s = 0; s < y->strata; s++)
      if (gives_to(b, s))
        cut_unit(b, s, stop, e->text.stop[stop].position);
  for (int s = 0; s < y->strata; s++) {
    const int64_t unit = y->stratum[s].grain.unit;
    for (int64_t u = b->position / unit; gives_to(b, s) && (u + 1) * unit <= end; u++)
      mean_of_unit(b, s, u);
  }
}

void lsp_strata_block(lsp_run *e, const lsp_panel *p, int layer, int row,
                      const float *qkv) {
  const block b = {e, p, layer, p->start + row, qkv, NULL, 0};
  average(&b);
}

void lsp_strata_plain(lsp_run *e, const lsp_panel *p, int layer, int row,
                      const float *qkv, const float *convolved) {
  const int64_t n = e->span.layer[layer].pooled;
  const block b = {
      e, p, layer, p->start + row, qkv, convolved != NULL ? convolved + row * n : NULL,
      1};
  average(&b);
}

/* --- means of means -------------------------------------------------------------- */

static void mean_of_rows(lsp_run *e, int layer, int s, const lsp_piece *piece,
                         int64_t row) {
  const lsp_stratum_sizes *z = stratum_of(e, layer, s);
  const int64_t n = e->span.layer[layer].pooled;
  float *to = lsp_stratum_row(e, layer, s, piece, row);
  if ((row + 1) * z->grain.unit <= piece->first) {
    memcpy(to, lsp_stratum_opening(e, layer, s, row), row_bytes(e, layer));
    return;
  }
  memset(to, 0, row_bytes(e, layer));
  for (int i = 0; i < z->is.pool; i++)
    e->job.kernels.add(
        n, to, lsp_stratum_row(e, layer, z->is.below, piece, row * z->is.pool + i));
  scale_row(n, 1.0f / (float)z->is.pool, to);
}

static void form_level(lsp_run *e, int layer, int s) {
  const lsp_wave *w = &e->span.wave;
  const int64_t unit = stratum_of(e, layer, s)->grain.unit;
#pragma omp parallel num_threads(e->job.threads)
  for (int64_t i = 0; i < w->pieces; i++) {
    const lsp_piece *piece = &w->piece[i];
#pragma omp for schedule(static) nowait
    for (int64_t row = piece->start / unit; row < piece->end / unit; row++)
      mean_of_rows(e, layer, s, piece, row);
  }
}

/* --- what crosses ranks and waves ------------------------------------------------ */

typedef struct {
  lsp_run *e;
  int layer, stratum;
} lending;

static const float *lent_from(const lending *l, const lsp_loan *loan) {
  const lsp_wave *w = &l->e->span.wave;
  if (loan->kind == LSP_LOAN_KEPT)
    return lsp_stratum_kept(l->e, l->layer, l->stratum, loan->first);
  return lsp_stratum_row(l->e, l->layer, l->stratum, lsp_past_piece(w, loan->frame),
                         loan->first);
}

static float *lent_to(const lending *l, const lsp_loan *loan) {
  if (loan->kind == LSP_LOAN_KEEP)
    return lsp_stratum_kept(l->e, l->layer, l->stratum, loan->first);
  return lsp_stratum_row(l->e, l->layer, l->stratum, &l->e->span.wave.piece[0],
                         loan->first);
}

static void enlist(const lsp_loan *loan, void *arg) {
  const lending *l = arg;
  lsp_exchange *x = l->e->span.exchange;
  const int rank = l->e->span.wave.rank;
  const int64_t floats = (loan->end - loan->first) * l->e->span.layer[l->layer].pooled;
  lsp_status st = LSP_OK;
  if (loan->from == rank && loan->to == rank)
    memcpy(lent_to(l, loan), lent_from(l, loan), (size_t)floats * sizeof(float));
  else if (loan->from == rank)
    st = lsp_exchange_send(x, loan->to, LSP_LOAN_POOLED, lent_from(l, loan), floats);
  else
    st = lsp_exchange_receive(x, loan->from, LSP_LOAN_POOLED, lent_to(l, loan), floats);
  LSP_ASSERT(st == LSP_OK); /* a list of some kilobytes, which grows rarely */
}

/* Rows before the span come to it. */
static void borrow(lsp_run *e, int layer, int s) {
  const lsp_stratum_sizes *z = stratum_of(e, layer, s);
  const lsp_view_of_wave v = lsp_wave_view(e);
  lending l = {e, layer, s};
  lsp_exchange_clear(e->span.exchange);
  lsp_grain_past_loans(&v, z->grain, z->reach, enlist, &l);
  lsp_exchange_begin(e->span.exchange);
  lsp_past_end(e);
}

void lsp_strata_keep(lsp_run *e, int layer) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  const lsp_view_of_wave v = lsp_wave_view(e);
  if (y->strata == 0)
    return;
  lsp_exchange_clear(e->span.exchange);
  for (int s = 0; s < y->strata; s++) {
    lending l = {e, layer, s};
    lsp_grain_keep_loans(&v, y->stratum[s].grain, y->stratum[s].reach, enlist, &l);
  }
  lsp_exchange_begin(e->span.exchange);
  lsp_past_end(e);
}

/* --- tiles ----------------------------------------------------------------------- */

/* Keys of 64 rows turned for the last position of each. */
static void turn_keys(const lsp_run *e, int layer, int64_t unit, int64_t first,
                      float *rows, float *room) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const int64_t pairs = l->position.rotated / 2;
  float *cosine = room, *sine = room + LSP_BLOCK * pairs;
  if (l->position.kind != LSP_POSITION_ROTARY)
    return;
  lsp_rotary_angles((int)pairs, l->position.frequency, (first + 1) * unit - 1, unit,
                    cosine, sine);
  for (int head = 0; head < l->heads.shared; head++)
    e->job.kernels.rotate(LSP_BLOCK, pairs, cosine, sine,
                          rows + (int64_t)head * l->heads.width,
                          e->span.layer[layer].pooled);
}

static void make_tile(const lsp_run *e, int layer, int s, const lsp_piece *piece,
                      int64_t tile) {
  const lsp_heads h = e->weights.model.layer[layer].heads;
  const lsp_stratum_sizes *z = stratum_of(e, layer, s);
  const int64_t n = e->span.layer[layer].pooled;
  const lsp_stratum_rows r = lsp_strata_rows(e, layer, s, piece);
  const int64_t at = tile * LSP_BLOCK;
  const int64_t first = lsp_max(at, r.first), end = lsp_min(at + LSP_BLOCK, r.end);
  float *rows = lsp_scratch_of(e);
  memset(rows, 0, LSP_BLOCK * row_bytes(e, layer));
  memcpy(rows + (first - at) * n, r.row + (first - r.first) * n,
         (size_t)(end - first) * row_bytes(e, layer));
  if (!z->is.routing)
    turn_keys(e, layer, z->grain.unit, at, rows, rows + LSP_BLOCK * n);
  lsp_tile_put(h, tile_of(e, layer, s, piece, r.first / LSP_BLOCK, tile), 0, LSP_BLOCK,
               rows, rows + (int64_t)h.shared * h.width, n);
}

static void make_tiles(lsp_run *e, int layer, int s) {
  const lsp_wave *w = &e->span.wave;
#pragma omp parallel num_threads(e->job.threads)
  for (int64_t i = 0; i < w->pieces; i++) {
    const lsp_source t = lsp_strata_tiles(e, layer, s, &w->piece[i]);
#pragma omp for schedule(static) nowait
    for (int64_t tile = t.first; tile < t.end; tile++) {
      make_tile(e, layer, s, &w->piece[i], tile);
      lsp_beat();
    }
  }
}

void lsp_strata_form(lsp_run *e, int layer) {
  const double begin = MPI_Wtime();
  const double waited = e->job.clock.seconds[LSP_PHASE_WAIT];
  for (int s = 0; s < e->span.layer[layer].strata; s++) {
    if (stratum_of(e, layer, s)->is.below >= 0)
      form_level(e, layer, s);
    borrow(e, layer, s);
    make_tiles(e, layer, s);
  }
  e->job.clock.seconds[LSP_PHASE_PROJECT] +=
      MPI_Wtime() - begin - (e->job.clock.seconds[LSP_PHASE_WAIT] - waited);
}
