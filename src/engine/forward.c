/* The model over a span, layer by layer.
 *
 *   project    q, k, v = W N(x); heads normed and turned; keys and values into tiles
 *   attend     blocks of queries over their tiles (attending.c)
 *   feed       x += O y;  x += F(N x)
 *
 *   | border panels: look into the past | interior ............ | tail: lent |
 *
 * The tail is projected first and lent while the rest is; the border is attended last, as
 * the rounds of its past arrive. Where there is more than one round, it walks its own
 * tiles while the first is on its way. Layers that look at blocks one by one, or at means,
 * go another way (forward_far). */
#include "attending.h"
#include "compressing.h"
#include "convolved.h"
#include "engine_internal.h"
#include "last_memory.h"
#include "picks.h"
#include "search.h"
#include "states.h"
#include "wrapped.h"

#include <math.h>
#include <omp.h>
#include <string.h>

float *lsp_scratch_of(const lsp_run *e) {
  return e->span.scratch + omp_get_thread_num() * e->span.sizes.scratch;
}

void lsp_poll(const lsp_run *e) {
  lsp_beat();
  if (omp_get_thread_num() != 0)
    return;
  lsp_exchange_poll(e->span.exchange);
  if (e->span.chain != NULL)
    lsp_chain_poll(e->span.chain);
}

float *lsp_work_of(const lsp_run *e) {
  return lsp_scratch_of(e) + e->span.sizes.scratch -
         (int64_t)LSP_PANEL * LSP_PACK_DEPTH;
}

/* y = x W^T */
static void matmul(const lsp_run *e, int64_t rows, const float *x, const lsp_matrix *w,
                   float *y) {
  lsp_multiply(&e->job, w, rows, x, y, lsp_work_of(e));
}

/* y = N(x + add); add may be NULL, y may be x. */
static void norm(const lsp_run *e, const lsp_norm *n, int64_t rows, const float *x,
                 const float *add, float *y) {
  const int64_t D = e->weights.model.width;
  if (n->kind == LSP_NORM_LAYER) {
    e->job.kernels.layer_norm(rows, D, x, add, n->gain,
                              n->bias != NULL ? n->bias : e->weights.zeros, n->eps, y);
    return;
  }
  const lsp_rms rms = {.x = x,
                       .add = add,
                       .gain = n->gain,
                       .y = y,
                       .ldx = D,
                       .ldy = D,
                       .rows = rows,
                       .width = D,
                       .eps = n->eps};
  e->job.kernels.rms_norm(&rms);
}

/* What goes into a part of a layer: x, or its norm in `room`. */
static const float *input(const lsp_run *e, const lsp_layer *l, const lsp_norm *n,
                          int64_t rows, const float *x, float *room) {
  if (l->place == LSP_PLACE_POST)
    return x;
  norm(e, n, rows, x, NULL, room);
  return room;
}

/* x and what came out of a part of a layer, added in the way of the layer. */
static void add_result(const lsp_run *e, const lsp_layer *l, const lsp_norm *before,
                       const lsp_norm *after, int64_t rows, float *x, float *y) {
  if (l->place == LSP_PLACE_POST) {
    norm(e, before, rows, x, y, x);
    return;
  }
  if (l->place == LSP_PLACE_BOTH)
    norm(e, after, rows, y, NULL, y);
  e->job.kernels.add(rows * e->weights.model.width, x, y);
}

/* --- projections ----------------------------------------------------------------- */

/* Rows before the piece come from the snapshot that the run began with (a document taken up
 * within a panel). Returns the block's first row that is its own. */
static int open_tile(const lsp_run *e, const lsp_panel *p, int layer, int64_t tile,
                     float *to) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  const int64_t position = tile * LSP_BLOCK;
  if (position >= p->piece->first)
    return 0;
  memcpy(to, e->kept.opening + y->opening_at + (tile - e->kept.opening_first) * y->tile,
         (size_t)y->tile * sizeof(float));
  return (int)lsp_min(LSP_BLOCK, p->piece->first - position);
}

/* A block into its tile and the span's queries. Where a store compares keys as they are
 * before, they are turned in a copy of the tile. */
static void place_block(lsp_run *e, const lsp_panel *p, int layer, int row, float *qkv,
                        const float *convolved) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const lsp_heads h = l->heads;
  const int64_t A = (int64_t)h.query * h.width, ld = l->qkv.matrix.rows;
  const int64_t ldq = l->output.matrix.cols; /* results may be wider */
  const int64_t position = p->start + row, tile = position / LSP_BLOCK;
  const int64_t real = lsp_max(position, p->piece->first);
  const int64_t end = lsp_min(position + LSP_BLOCK, p->piece->end);
  const int turns = e->span.layer[layer].turns;
  float *to = lsp_own_tile(e, layer, p->piece, tile);
  if (real < end)
    lsp_finite_projected(e, p->piece, real, (int)(end - real),
                         qkv + (real - position) * ld, layer);
  if (e->weights.layer[layer].strata > 0)
    lsp_strata_plain(e, p, layer, row, qkv, convolved);
  lsp_norm_block(e, layer, qkv);
  if (e->weights.layer[layer].strata > 0)
    lsp_strata_block(e, p, layer, row, qkv);
  if (lsp_compressing_branch(l) != NULL)
    lsp_compressing_block(e, p, layer, row, qkv);
  const int first = open_tile(e, p, layer, tile, to);
  const float *key = qkv + first * ld + A;
  if (!turns)
    lsp_turn_block(e, layer, position, qkv);
  lsp_tile_put(h, to, first, LSP_BLOCK - first, key, key + (int64_t)h.shared * h.width,
               ld);
  if (turns) {
    lsp_turn_block(e, layer, position, qkv);
    lsp_turn_tile(e, layer, tile, to, lsp_walked_tile(e, layer, p->piece, tile),
                  lsp_turning_room(e, layer));
  }
  for (int i = 0; i < LSP_BLOCK; i++)
    memcpy(e->span.q + (p->row + row + i) * ldq, qkv + i * ld,
           (size_t)A * sizeof(float));
}

/* Weights of the views' results, of each row by itself: sigmoid(W x), (rows, views H). */
static void open_gates(lsp_run *e, const lsp_panel *p, int layer, const float *x) {
  const lsp_matrix *w = &e->weights.model.layer[layer].input_gate;
  float *gate = e->span.gates + p->row * w->rows;
  if (w->rows == 0)
    return;
  matmul(e, p->rows, x, w, gate);
  for (int64_t i = 0; i < p->rows * w->rows; i++)
    gate[i] = (float)(1 / (1 + exp(-(double)gate[i])));
}

const float *lsp_attention_input(const lsp_run *e, const lsp_panel *p, int layer,
                                 float *room) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  return input(e, l, &l->attention_norm, p->rows,
               e->span.x + p->row * e->weights.model.width, room);
}

void lsp_open_gates(lsp_run *e, int layer, int64_t first, int64_t end) {
#pragma omp parallel for schedule(dynamic) num_threads(e->job.threads)
  for (int64_t i = first; i < end; i++) {
    const lsp_panel *p = &e->span.wave.panel[i];
    open_gates(e, p, layer, lsp_attention_input(e, p, layer, lsp_scratch_of(e)));
    lsp_poll(e);
  }
}

static void project_panel(lsp_run *e, const lsp_panel *p, int layer) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const int64_t ld = l->qkv.matrix.rows;
  float *qkv = lsp_scratch_of(e), *normed = qkv + ld * LSP_PANEL;
  const float *x = lsp_attention_input(e, p, layer, normed);
  matmul(e, p->rows, x, &l->qkv.matrix, qkv);
  open_gates(e, p, layer, x);
  lsp_poll(e);
  if (l->qkv.bias != NULL)
    e->job.kernels.bias_add(p->rows, ld, qkv, l->qkv.bias);
  /* behind the rows, and the angles by which they are turned */
  const float *convolved =
      lsp_convolved_panel(e, p, layer, x,
                          normed + (int64_t)LSP_PANEL * e->weights.model.width +
                              (int64_t)LSP_BLOCK * l->position.rotated);
  for (int row = 0; row < p->rows; row += LSP_BLOCK)
    place_block(e, p, layer, row, qkv + row * ld, convolved);
  lsp_poll(e);
}

void lsp_project(lsp_run *e, int layer, int64_t first, int64_t end) {
  const double begin = MPI_Wtime();
#pragma omp parallel for schedule(dynamic) num_threads(e->job.threads)
  for (int64_t i = first; i < end; i++)
    project_panel(e, &e->span.wave.panel[i], layer);
  e->job.clock.seconds[LSP_PHASE_PROJECT] += MPI_Wtime() - begin;
}

/* --- output projection and feed-forward ------------------------------------------ */

/* inner (rows, F or 2 F) -> what goes into the product downwards. */
static const float *activated(const lsp_run *e, const lsp_layer *l, int64_t rows,
                              float *inner) {
  const lsp_kernels *k = &e->job.kernels;
  const int64_t F = l->inner;
  if (!l->gated) {
    k->activate(l->activation, rows, F, inner, l->up.bias);
    return inner;
  }
  float *out = inner + (int64_t)2 * LSP_PANEL * F;
  k->gate(l->activation, rows, F, inner, l->up.bias,
          l->up.bias != NULL ? l->up.bias + F : NULL, out);
  return out;
}

static void last_norm(const lsp_run *e, int rows, float *x) {
  const lsp_norm *n = &e->weights.model.last_norm;
  if (n->kind != LSP_NORM_NONE)
    norm(e, n, rows, x, NULL, x);
}

static void feed_panel(lsp_run *e, const lsp_panel *p, int layer) {
  const lsp_model *m = &e->weights.model;
  const lsp_layer *l = &m->layer[layer];
  const lsp_kernels *k = &e->job.kernels;
  const int64_t D = m->width, A = l->output.matrix.cols;
  float *x = e->span.x + p->row * D;
  float *y = lsp_scratch_of(e), *inner = y + LSP_PANEL * D;
  matmul(e, p->rows, e->span.q + p->row * A, &l->output.matrix, y);
  lsp_poll(e);
  if (l->output.bias != NULL)
    k->bias_add(p->rows, D, y, l->output.bias);
  add_result(e, l, &l->attention_norm, &l->attention_post, p->rows, x, y);
  const float *in = input(e, l, &l->feed_norm, p->rows, x, y);
  matmul(e, p->rows, in, &l->up.matrix, inner);
  lsp_poll(e);
  matmul(e, p->rows, activated(e, l, p->rows, inner), &l->down.matrix, y);
  if (l->down.bias != NULL)
    k->bias_add(p->rows, D, y, l->down.bias);
  add_result(e, l, &l->feed_norm, &l->feed_post, p->rows, x, y);
  if (layer + 1 == m->layers && !lsp_wrapped_leaves(m)) {
    last_norm(e, p->rows, x);
    lsp_last_apply(e, p->rows, x, y);
  }
  lsp_finite_hidden(e, p, layer);
  lsp_poll(e);
}

void lsp_feed(lsp_run *e, int layer, int64_t first, int64_t end) {
  const double begin = MPI_Wtime();
#pragma omp parallel for schedule(dynamic) num_threads(e->job.threads)
  for (int64_t i = first; i < end; i++)
    feed_panel(e, &e->span.wave.panel[i], layer);
  e->job.clock.seconds[LSP_PHASE_FEED] += MPI_Wtime() - begin;
}

void lsp_leave(lsp_run *e, lsp_leaving what) {
  const int layer = e->weights.model.layers - 1;
#pragma omp parallel for schedule(dynamic) num_threads(e->job.threads)
  for (int64_t i = 0; i < e->span.wave.panels; i++) {
    const lsp_panel *p = &e->span.wave.panel[i];
    float *x = e->span.x + p->row * e->weights.model.width;
    if (what == LSP_LEAVE_NORM)
      last_norm(e, p->rows, x);
    else
      lsp_last_apply(e, p->rows, x, lsp_scratch_of(e));
    lsp_finite_hidden(e, p, layer);
    lsp_poll(e);
  }
}

/* --- a layer --------------------------------------------------------------------- */

/* The panels that are lent in the first round: from the lowest tile that a rank after this
 * one looks into, or all where somebody needs the first tiles of a document. */
typedef struct {
  const lsp_run *e;
  int64_t from;
} lent_part;

static void extend_tail(const lsp_loan *loan, void *arg) {
  lent_part *t = arg;
  const lsp_wave *w = &t->e->span.wave;
  if (loan->from != t->e->span.wave.rank || loan->kind == LSP_LOAN_KEPT)
    return;
  if (loan->kind == LSP_LOAN_FIXED) {
    t->from = 0;
    return;
  }
  while (t->from > 0 && w->panel[t->from - 1].piece == &w->piece[w->pieces - 1] &&
         (w->panel[t->from - 1].start + w->panel[t->from - 1].rows) / LSP_BLOCK >
             loan->first)
    t->from--;
}

static int64_t tail_of(const lsp_run *e, int layer) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  const lsp_view_of_wave v = lsp_wave_view(e);
  lent_part t = {e, e->span.wave.panels};
  lsp_plan_round_loans(&v, y->near_tiles, y->room, 0, extend_tail, &t);
  lsp_plan_fixed_loans(&v, y->fixed, extend_tail, &t);
  return t.from;
}

/* Panels before this one wait for the past: those that look before the span, and, where
 * the first tiles of their document come with it, all of that document. */
static int64_t border_of(const lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  const lsp_layer_sizes *y = &e->span.layer[layer];
  const int waits = lsp_past_enters(e, layer);
  int64_t end = 0;
  if (w->panels == 0 || w->piece[0].start == 0)
    return 0;
  while (end < w->panels && w->panel[end].piece == &w->piece[0] &&
         (waits || w->panel[end].start - y->near < w->piece[0].start))
    end++;
  return end;
}

static void layer_rounds(lsp_run *e, int layer, int64_t border) {
  const int64_t rounds = lsp_past_rounds(e, layer);
  if (rounds > 1)
    lsp_attend(e, layer, 0, border, (lsp_pass){.opens = 1});
  for (int64_t round = 0; round < rounds; round++) {
    lsp_past_end(e);
    if (round + 1 < rounds)
      lsp_past_begin(e, layer, round + 1);
    else
      lsp_past_keep_begin(e, layer);
    lsp_attend(e, layer, 0, border,
               (lsp_pass){.opens = rounds == 1,
                          .closes = round + 1 == rounds,
                          .walks = 1,
                          .round = round});
  }
}

/* What is attended in one go: all that a query sees. */
static const lsp_pass whole = {.opens = 1, .walks = 1, .closes = 1};

/* A layer with picked blocks or pooled rows: both need all panels projected, and the panels
 * are attended in batches as their blocks are fetched. */
static void forward_far(lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  const int far = lsp_layer_picks(&e->weights.model.layer[layer]);
  const int compresses = lsp_compressing_branch(&e->weights.model.layer[layer]) != NULL;
  if (compresses)
    lsp_state_expect(e, layer);
  lsp_project(e, layer, 0, w->panels);
  lsp_past_begin(e, layer, 0);
  lsp_past_end(e);
  lsp_strata_form(e, layer);
  if (compresses)
    lsp_compressing_layer(e, layer);
  const int64_t batches = far ? lsp_picks_open(e, layer) : 1;
  for (int64_t i = 0; i < batches; i++) {
    const lsp_range batch =
        far ? lsp_picks_fetch(e, layer, i) : (lsp_range){0, w->panels};
    lsp_attend(e, layer, batch.first, batch.end, whole);
    lsp_feed(e, layer, batch.first, batch.end);
  }
  lsp_past_keep_begin(e, layer);
  lsp_past_keep_end(e, layer);
  lsp_strata_keep(e, layer);
}

/* A layer with a compressive memory. What other ranks keep is on its way before the memory
 * is waited for: so a rank is held up by those after it, who may keep tiles for it, only if
 * they lag by more than it takes to project a layer. */
static void forward_compressive(lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  const int64_t tail = tail_of(e, layer), border = border_of(e, layer);
  const int in_one = lsp_past_rounds(e, layer) == 1;
  lsp_state_expect(e, layer);
  lsp_project(e, layer, tail, w->panels);
  lsp_past_begin(e, layer, 0);
  lsp_project(e, layer, 0, tail);
  if (in_one) {
    lsp_past_end(e);
    lsp_past_keep_begin(e, layer);
  }
  lsp_compressing_layer(e, layer);
  lsp_attend(e, layer, in_one ? 0 : border, w->panels, whole);
  lsp_feed(e, layer, in_one ? 0 : border, w->panels);
  if (!in_one) {
    layer_rounds(e, layer, border);
    lsp_feed(e, layer, 0, border);
  }
  lsp_past_keep_end(e, layer);
}

void lsp_forward_layer(lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  if (e->weights.model.two_sided) {
    lsp_ahead_layer(e, layer);
    return;
  }
  if (e->span.layer[layer].neighbours > 0) {
    lsp_search_layer(e, layer);
    return;
  }
  if (e->weights.layer[layer].is_far) {
    forward_far(e, layer);
    return;
  }
  if (lsp_compressing_branch(&e->weights.model.layer[layer]) != NULL) {
    forward_compressive(e, layer);
    return;
  }
  const int64_t tail = tail_of(e, layer), border = border_of(e, layer);
  lsp_project(e, layer, tail, w->panels);
  lsp_past_begin(e, layer, 0);
  lsp_project(e, layer, 0, tail);
  lsp_attend(e, layer, border, w->panels, (lsp_pass){.opens = 1, .closes = 1});
  lsp_feed(e, layer, border, w->panels);
  layer_rounds(e, layer, border);
  lsp_feed(e, layer, 0, border);
  lsp_past_keep_end(e, layer);
}
