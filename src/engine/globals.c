/* Global rows of two-sided layers (Beltagy et al. 2020; Zaheer et al. 2020).
 *
 * All keys of a frame are in the wave, in the spans of one rank or of several. For each
 * block of queries that has global rows among its own, a rank walks each of its panels into
 * a partial result; these are merged one after the other, in the order of panels, from rank
 * to rank, and what comes out goes to the rank that has those rows:
 *
 *   rank      0              1              2
 *   panels    p0 p1 p2    -> p3 p4 p5    -> p6 p7 .
 *   result    <-------------------------------/
 *
 * So the bits do not depend on where spans end. With weights of their own, global rows ask
 * with other queries, and other keys and values answer. */
#include "globals.h"

#include <string.h>

/* A layer's global rows. */
typedef struct {
  lsp_run *e;
  int layer;
  const lsp_step *step;
  const lsp_pattern *pattern;
  lsp_heads heads;
  int64_t part;   /* floats of a partial result of a head: (64, Ep), top, sum */
  int64_t blocks; /* of a frame that may hold global rows */
} globals;

static const lsp_pattern *pattern_of(const lsp_layer *l) {
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_GLOBAL && l->branch[b].two_sided)
      return &l->branch[b];
  return NULL;
}

static globals globals_of(lsp_run *e, int layer, const lsp_step *s) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  return (globals){.e = e,
                   .layer = layer,
                   .step = s,
                   .pattern = pattern_of(l),
                   .heads = l->heads,
                   .part = LSP_BLOCK * (lsp_padded(l->heads.width) + (int64_t)2),
                   .blocks = lsp_sizes_global_blocks(l)};
}

static int has_own(const lsp_run *e, int layer) {
  return e->weights.model.layer[layer].global.matrix.rows > 0;
}

/* A partial result of a head, in floats side by side. */
static lsp_partial partial_at(const lsp_heads h, float *at) {
  const int64_t Ep = lsp_padded(h.width);
  return (lsp_partial){at, Ep, at + LSP_BLOCK * Ep, at + LSP_BLOCK * (Ep + 1)};
}

/* Of a panel of the span, all heads. */
static float *of_panel(const globals *g, int64_t panel) {
  return g->e->span.globals + panel * g->heads.query * g->part;
}

/* The result of the rows of a block of the span. */
static float *result_at(const lsp_run *e, lsp_heads h, int64_t row) {
  const int64_t blocks = e->span.sizes.span_rows / LSP_BLOCK;
  const int64_t part = LSP_BLOCK * (lsp_padded(h.width) + (int64_t)2);
  return e->span.globals + (blocks + row / LSP_BLOCK) * h.query * part;
}

/* --- weights of their own -------------------------------------------------------- */

static void place(lsp_run *e, const lsp_panel *p, int layer, int row, float *qkv) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const lsp_heads h = l->heads;
  const int64_t A = (int64_t)h.query * h.width, ld = l->global.matrix.rows;
  const int64_t position = p->start + row, at = p->row + row;
  const int64_t end = lsp_min(position + LSP_BLOCK, p->piece->end);
  if (position < end)
    lsp_finite_projected(e, p->piece, position, (int)(end - position), qkv, layer);
  lsp_norm_block(e, layer, qkv);
  lsp_turn_block(e, layer, position, qkv);
  for (int i = 0; i < LSP_BLOCK; i++)
    memcpy(e->span.global_q + (at + i) * A, qkv + i * ld, (size_t)A * sizeof(float));
  lsp_tile_put(h, e->span.global_tiles + at / LSP_BLOCK * lsp_tile_floats(h), 0,
               LSP_BLOCK, qkv + A, qkv + A + (int64_t)h.shared * h.width, ld);
}

static void project_panel(lsp_run *e, const lsp_panel *p, int layer) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const int64_t ld = l->global.matrix.rows;
  float *qkv = lsp_scratch_of(e);
  const float *x = lsp_attention_input(e, p, layer, qkv + ld * LSP_PANEL);
  lsp_multiply(&e->job, &l->global.matrix, p->rows, x, qkv, lsp_work_of(e));
  lsp_poll(e);
  if (l->global.bias != NULL)
    e->job.kernels.bias_add(p->rows, ld, qkv, l->global.bias);
  for (int row = 0; row < p->rows; row += LSP_BLOCK)
    place(e, p, layer, row, qkv + row * ld);
  lsp_poll(e);
}

void lsp_globals_project(lsp_run *e, int layer) {
  const double begin = MPI_Wtime();
  if (!has_own(e, layer))
    return;
#pragma omp parallel for schedule(dynamic) num_threads(e->job.threads)
  for (int64_t i = 0; i < e->span.wave.panels; i++)
    project_panel(e, &e->span.wave.panel[i], layer);
  e->job.clock.seconds[LSP_PHASE_PROJECT] += MPI_Wtime() - begin;
}

/* --- queries --------------------------------------------------------------------- */

static float *queries_of_span(const lsp_run *e, int layer) {
  return has_own(e, layer) ? e->span.global_q : e->span.q;
}

/* Floats from a row of queries to the next. */
static int64_t row_of(const globals *g) {
  return g->e->weights.model.layer[g->layer].output.matrix.cols;
}

typedef struct {
  const globals *globals;
  int slot;
} lent_queries;

static float *queries_in_slot(const globals *g, int slot) {
  const int64_t A = row_of(g);
  return g->e->span.global_rows + slot * g->blocks * LSP_BLOCK * A;
}

static void pass_queries(const lsp_block_loan *loan, void *arg) {
  const lent_queries *l = arg;
  const globals *g = l->globals;
  const lsp_run *e = g->e;
  const int64_t A = row_of(g), block = LSP_BLOCK * A;
  const int64_t f = e->span.ahead.fixed_frame[l->slot];
  const float *from = NULL;
  float *to = NULL;
  if (loan->from == g->step->rank)
    from =
        queries_of_span(e, g->layer) + (loan->first - e->span.ahead.own.first) * block;
  if (loan->to == g->step->rank)
    to = queries_in_slot(g, l->slot) +
         (loan->first - lsp_blocks_of_frame(&e->text.plan, f)) * block;
  lsp_ahead_pass(e, loan, from, to, (loan->end - loan->first) * block);
}

void lsp_globals_lend(lsp_run *e, int layer, const lsp_step *s) {
  const globals g = globals_of(e, layer, s);
  for (int slot = 0; slot < 2 && g.pattern != NULL; slot++) {
    lent_queries l = {&g, slot};
    lsp_step_fixed_loans(s, slot, pass_queries, &l);
  }
}

/* Queries of block b of a piece's frame. */
static const float *queries_of(const globals *g, const lsp_piece *piece, int64_t b) {
  const int64_t A = row_of(g);
  for (int slot = 0; slot < 2; slot++)
    if (g->e->span.ahead.fixed_frame[slot] == piece->frame)
      return queries_in_slot(g, slot) + b * LSP_BLOCK * A;
  return queries_of_span(g->e, g->layer) + (piece->row + b * LSP_BLOCK) * A;
}

/* --- what they see --------------------------------------------------------------- */

static int has_globals(const globals *g, int64_t b, int64_t end) {
  for (int64_t i = b * LSP_BLOCK; i < lsp_min(end, (b + 1) * LSP_BLOCK); i++)
    if (lsp_pattern_is_global(g->pattern, i))
      return 1;
  return 0;
}

static int64_t frame_end(const globals *g, const lsp_piece *piece) {
  return lsp_plan_end(&g->e->text.plan, piece->frame);
}

/* Keys of a panel for the queries of block b, one head. */
static int64_t see_panel(const globals *g, const lsp_panel *panel, int64_t b, int head,
                         float *to) {
  const lsp_run *e = g->e;
  const int64_t A = row_of(g), at = b * LSP_BLOCK;
  const int64_t end = frame_end(g, panel->piece);
  const int64_t tile = lsp_tile_floats(g->heads);
  const int shared = head / (g->heads.query / g->heads.shared);
  const float *tiles = has_own(e, g->layer) ? e->span.global_tiles : e->span.tiles;
  const lsp_partial part = partial_at(g->heads, to);
  lsp_queries q = lsp_queries_of(e, g->layer, head);
  q.rows = (int)lsp_min(LSP_BLOCK, end - at);
  q.query = queries_of(g, panel->piece, b) + (int64_t)head * g->heads.width;
  q.ld_query = A;
  int64_t first[LSP_BLOCK] = {0}, past[LSP_BLOCK] = {0};
  lsp_visit visit[LSP_PANEL / LSP_BLOCK];
  lsp_attending work;
  int n = 0;
  for (int i = 0; i < q.rows; i++)
    if (lsp_pattern_is_global(g->pattern, at + i)) {
      first[i] = -at;
      past[i] = end - at;
    }
  const lsp_seen seen = {first, past};
  for (int row = panel->rows - LSP_BLOCK; row >= 0; row -= LSP_BLOCK)
    if (panel->start + row < end)
      visit[n++] = (lsp_visit){.tile = tiles + (panel->row + row) / LSP_BLOCK * tile +
                                       shared * lsp_tile_head(g->heads),
                               .back = b - (panel->start + row) / LSP_BLOCK};
  lsp_attend_begin(&q, lsp_scratch_of(e), &work);
  lsp_attend_empty(&q, &part);
  lsp_attend_walk(&q, &seen, visit, n, &work, &part);
  return n;
}

/* All panels whose frame has block b, with global rows in it. */
static void see_panels(const globals *g, int64_t b) {
  const double begin = MPI_Wtime();
  const lsp_wave *w = &g->e->span.wave;
  int64_t visits = 0;
#pragma omp parallel for schedule(dynamic) collapse(2)                                 \
    num_threads(g->e->job.threads) reduction(+ : visits)
  for (int64_t i = 0; i < w->panels; i++)
    for (int head = 0; head < g->heads.query; head++) {
      if (has_globals(g, b, frame_end(g, w->panel[i].piece)))
        visits += see_panel(g, &w->panel[i], b, head, of_panel(g, i) + head * g->part);
      lsp_poll(g->e);
    }
  g->e->job.clock.visits += visits;
  g->e->job.clock.seconds[LSP_PHASE_ATTEND] += MPI_Wtime() - begin;
}

/* --- from rank to rank ----------------------------------------------------------- */

/* One message, all heads. */
static void pass_result(const globals *g, int from, int to, float *at) {
  const lsp_block_loan loan = {LSP_LOAN_HALO, from, to, 0, 0};
  lsp_exchange_clear(g->e->span.exchange);
  lsp_ahead_pass(g->e, &loan, at, at, g->heads.query * g->part);
  lsp_exchange_begin(g->e->span.exchange);
  lsp_ahead_end(g->e);
}

static void merge_all(const globals *g, float *to, float *part) {
  for (int head = 0; head < g->heads.query; head++) {
    const lsp_partial a = partial_at(g->heads, to + head * g->part);
    const lsp_partial b = partial_at(g->heads, part + head * g->part);
    g->e->job.kernels.softmax_merge(LSP_BLOCK, a.ldo, &a, &b);
  }
}

/* The panels of a piece, after those of lower ranks; to whom it concerns next. */
static void merge_piece(const globals *g, const lsp_piece *piece, int64_t b) {
  const lsp_step *s = g->step;
  const lsp_range own = g->e->span.ahead.own;
  const int64_t f = lsp_blocks_of_frame(s->plan, piece->frame);
  const int64_t first = s->plan->panel_start[piece->frame] + piece->panel_first -
                        g->e->span.wave.span.first;
  const int64_t panels = piece->panel_end - piece->panel_first;
  const int ends = piece->end == frame_end(g, piece);
  const int home = lsp_step_rank_of(s, f + b);
  float *result = of_panel(g, first);
  int64_t from = 1;
  if (piece->start > 0) {
    result = queries_in_slot(g, 2);
    from = 0;
    pass_result(g, lsp_step_rank_of(s, own.first - 1), s->rank, result);
  }
  for (int64_t i = from; i < panels; i++)
    merge_all(g, result, of_panel(g, first + i));
  if (!ends)
    pass_result(g, s->rank, lsp_step_rank_of(s, own.end), result);
  else if (home != s->rank)
    pass_result(g, s->rank, home, result);
  else
    memcpy(result_at(g->e, g->heads, (f + b - own.first) * LSP_BLOCK), result,
           (size_t)(g->heads.query * g->part) * sizeof(float));
}

/* What came of global rows of the span whose frame ends with another rank. */
static void fetch_result(const globals *g, const lsp_piece *piece, int64_t b) {
  const lsp_step *s = g->step;
  const int64_t f = lsp_blocks_of_frame(s->plan, piece->frame);
  const int64_t end = lsp_blocks_of_frame(s->plan, piece->frame + 1);
  const lsp_range own = g->e->span.ahead.own;
  if (piece->end < frame_end(g, piece) && f + b >= own.first && f + b < own.end)
    pass_result(g, lsp_step_rank_of(s, end - 1), s->rank,
                result_at(g->e, g->heads, (f + b - own.first) * LSP_BLOCK));
}

void lsp_globals_see(lsp_run *e, int layer, const lsp_step *s) {
  const globals g = globals_of(e, layer, s);
  const lsp_wave *w = &e->span.wave;
  for (int64_t b = 0; b < g.blocks; b++) {
    see_panels(&g, b);
    for (int64_t i = 0; i < w->pieces; i++)
      if (has_globals(&g, b, frame_end(&g, &w->piece[i])))
        merge_piece(&g, &w->piece[i], b);
    for (int64_t i = 0; i < w->pieces; i++)
      if (has_globals(&g, b, frame_end(&g, &w->piece[i])))
        fetch_result(&g, &w->piece[i], b);
  }
}

void lsp_globals_replace(const lsp_run *e, int layer, const lsp_panel *panel,
                         int64_t position, int head, const lsp_partial *p) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const lsp_pattern *pattern = pattern_of(l);
  const int64_t part = LSP_BLOCK * (lsp_padded(l->heads.width) + (int64_t)2);
  const int64_t row = panel->row + position - panel->start;
  const int64_t end = lsp_min(position + LSP_BLOCK, panel->piece->end);
  if (pattern == NULL || position >= lsp_layer_fixed(l))
    return;
  const lsp_partial from =
      partial_at(l->heads, result_at(e, l->heads, row) + head * part);
  for (int64_t i = 0; i < end - position; i++)
    if (lsp_pattern_is_global(pattern, position + i)) {
      memcpy(p->out + i * p->ldo, from.out + i * from.ldo,
             (size_t)p->ldo * sizeof(float));
      p->top[i] = from.top[i];
      p->sum[i] = from.sum[i];
    }
}
