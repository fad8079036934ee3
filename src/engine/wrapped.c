/* The two schedules: what a frame reads of the memory, and what it leaves there. */
#include "wrapped.h"

#include "attending.h"
#include "states.h"

#include "lsp/associative.h"
#include "lsp/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MATRIX, NORMALIZER }; /* parts of an associative layer */
enum { STATE = 3 };          /* part of a model: what memory tokens have become */

int lsp_wrapped_leaves(const lsp_model *m) {
  return m->wrapper.kind == LSP_WRAP_ASSOCIATIVE || m->wrapper.kind == LSP_WRAP_TOKENS;
}

int lsp_wrapped_through(const lsp_model *m) {
  return m->wrapper.kind == LSP_WRAP_TOKENS;
}

/* --- a frame as all of a wave ------------------------------------------------------ */

/* The wave that is put back with `span.wave =`. */
static lsp_wave narrow(lsp_run *e, int64_t piece) {
  const lsp_wave all = e->span.wave;
  lsp_wave *w = &e->span.wave;
  const lsp_piece *p = &all.piece[piece];
  const int64_t first = e->text.plan.panel_start[p->frame];
  LSP_ASSERT(p->start == 0 && p->end == lsp_plan_end(&e->text.plan, p->frame));
  w->rank = 0;
  w->ranks = 1;
  w->range = w->span = (lsp_range){first, first + p->panel_end - p->panel_first};
  w->piece = &all.piece[piece];
  w->pieces = 1;
  while (w->panel->piece != w->piece)
    w->panel++;
  w->panels = p->panel_end - p->panel_first;
  w->next = (lsp_tiles){0, 0, 0};
  return all;
}

/* Row of the span with a position of a frame. */
static float *row_of(const lsp_run *e, const lsp_piece *p, int64_t position) {
  return e->span.x + (p->row + position - p->start) * e->weights.model.width;
}

/* --- snapshots --------------------------------------------------------------------- */

/* The parts of a layer; of the model but the rows: its other parts are of tokens
 * (segment_ids.h). */
static void save(lsp_run *e, int layer, int64_t stop) {
  if (layer >= 0)
    lsp_state_save(e, layer, stop);
  else
    lsp_store_part(e->progress.store, stop,
                   lsp_memory_first(&e->weights.model, layer) + STATE,
                   lsp_state_part(e, layer, STATE));
}

/* Of the stops within the frame's segment, those that are not at its end (at_end 0), or the
 * one that is. There the parts are saved as they are. */
static void save_stops(lsp_run *e, int layer, const lsp_piece *p, int at_end) {
  const lsp_plan *plan = &e->text.plan;
  const int64_t S = e->weights.model.wrapper.segment;
  const int64_t d = lsp_plan_document_of(plan, p->frame);
  const int64_t start = lsp_plan_segment(plan, p->frame) * S;
  for (int64_t s = lsp_snapshot_after(e, d, start);
       s < e->text.stops && e->text.stop[s].document == d &&
       e->text.stop[s].position <= start + S;
       s++)
    if ((e->text.stop[s].position == start + S) == at_end)
      save(e, layer, s);
}

/* --- associative: reading ------------------------------------------------------------ */

static lsp_association shape_of(const lsp_model *m) {
  return (lsp_association){
      .width = m->wrapper.width, .nu = m->wrapper.nu, .values = m->width};
}

/* Buffers of lsp_wrapped_room. Memory tokens in whole products of a block of rows. */
typedef struct {
  float *copy;                 /* (K, Dp) of the matrix */
  float *hidden, *key, *value; /* (padded rows, D), (, d), (, D) */
  double *beta, *phi, *gamma, *weight, *change;
} room;

static int64_t padded_rows(const lsp_model *m) {
  return lsp_divide_up(m->wrapper.rows, LSP_BLOCK) * LSP_BLOCK;
}

static room room_of(const lsp_model *m, float *at, int64_t *floats) {
  const lsp_association a = shape_of(m);
  const int64_t K = lsp_association_keys(&a), D = m->width, m64 = padded_rows(m);
  const int64_t rows = m->wrapper.rows;
  float *part[9];
  const int64_t size[9] = {K * lsp_padded(m->width),
                           m64 * D,
                           m64 * a.width,
                           m64 * D,
                           2 * rows,
                           2 * rows * K,
                           2 * rows,
                           2 * rows,
                           2 * rows * D};
  *floats = 0;
  for (int i = 0; i < 9; i++) {
    part[i] = at == NULL ? NULL : at + *floats;
    *floats += lsp_divide_up(size[i], LSP_LANES) * LSP_LANES;
  }
  return (room){part[0],
                part[1],
                part[2],
                part[3],
                (double *)(void *)part[4],
                (double *)(void *)part[5],
                (double *)(void *)part[6],
                (double *)(void *)part[7],
                (double *)(void *)part[8]};
}

int64_t lsp_wrapped_room(const lsp_model *m) {
  int64_t floats = 0;
  if (m->wrapper.kind == LSP_WRAP_ASSOCIATIVE)
    (void)room_of(m, NULL, &floats);
  return floats;
}

/* Queries of a panel; phi, weights and what is read of a block of rows. */
int64_t lsp_wrapped_scratch(const lsp_model *m) {
  const lsp_association a = shape_of(m);
  if (m->wrapper.kind != LSP_WRAP_ASSOCIATIVE)
    return 0;
  return LSP_PANEL * (int64_t)a.width + LSP_LANES +
         lsp_association_keys(&a) * (2 + LSP_BLOCK) +
         (int64_t)LSP_BLOCK * lsp_padded(m->width);
}

static void read_panel(lsp_run *e, const lsp_panel *p, int layer, const float *copy) {
  const lsp_model *m = &e->weights.model;
  const lsp_association a = shape_of(m);
  const int64_t K = lsp_association_keys(&a), D = m->width;
  const double *normalizer = lsp_state_part(e, layer, NORMALIZER);
  double *phi = (double *)(void *)lsp_scratch_of(e);
  float *weight = (float *)(phi + K), *out = weight + LSP_BLOCK * K;
  float *query = out + (int64_t)LSP_BLOCK * lsp_padded(m->width);
  float *x = e->span.x + p->row * D;
  lsp_multiply(&e->job, &m->wrapper.layer[layer].query, p->rows, x, query,
               lsp_work_of(e));
  for (int row = 0; row < p->rows; row += LSP_BLOCK) {
    lsp_association_weigh(&a, normalizer, LSP_BLOCK, query + (int64_t)row * a.width,
                          phi, weight);
    lsp_association_read(&a, &e->job.kernels, LSP_BLOCK, weight, copy, out,
                         x + row * D);
    lsp_poll(e);
  }
}

static void read_frame(lsp_run *e, int layer) {
  const lsp_association a = shape_of(&e->weights.model);
  const int64_t K = lsp_association_keys(&a);
  const double *matrix = lsp_state_part(e, layer, MATRIX);
  int64_t floats = 0;
  const room r = room_of(&e->weights.model, e->span.wrapped, &floats);
  const double begin = MPI_Wtime();
#pragma omp parallel num_threads(e->job.threads)
  {
#pragma omp for schedule(static)
    for (int64_t i = 0; i < K; i++)
      lsp_association_copy(&a, matrix, i, i + 1, r.copy);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < e->span.wave.panels; i++)
      read_panel(e, &e->span.wave.panel[i], layer, r.copy);
  }
  e->job.clock.seconds[LSP_PHASE_PROJECT] += MPI_Wtime() - begin;
}

/* --- associative: writing ------------------------------------------------------------ */

/* Keys, values and strengths of a block of memory tokens, from `first` on. */
static void project_rows(lsp_run *e, int layer, const room *r, int64_t first) {
  const lsp_model *m = &e->weights.model;
  const lsp_associative *w = &m->wrapper.layer[layer];
  const lsp_association a = shape_of(m);
  const lsp_piece *p = e->span.wave.piece;
  const int64_t D = m->width, rows = lsp_min(LSP_BLOCK, m->wrapper.rows - first);
  float *hidden = r->hidden + first * D;
  memset(hidden, 0, (size_t)(LSP_BLOCK * D) * sizeof *hidden);
  memcpy(hidden, row_of(e, p, p->tokens_end + first),
         (size_t)(rows * D) * sizeof *hidden);
  lsp_multiply(&e->job, &w->key, LSP_BLOCK, hidden, r->key + first * a.width,
               lsp_work_of(e));
  lsp_multiply(&e->job, &w->value, LSP_BLOCK, hidden, r->value + first * D,
               lsp_work_of(e));
  for (int64_t i = 0; i < rows; i++)
    r->beta[first + i] =
        lsp_association_strength(&a, hidden + i * D, w->beta, w->beta_bias[0]);
}

static void write_frame(lsp_run *e, int layer, int is_first) {
  const lsp_model *m = &e->weights.model;
  const lsp_association a = shape_of(m);
  double *matrix = lsp_state_part(e, layer, MATRIX);
  double *normalizer = lsp_state_part(e, layer, NORMALIZER);
  int64_t floats = 0;
  const room r = room_of(m, e->span.wrapped, &floats);
  const lsp_association_rows rows = {.rows = m->wrapper.rows,
                                     .first = is_first,
                                     .key = r.key,
                                     .value = r.value,
                                     .beta = r.beta,
                                     .phi = r.phi,
                                     .gamma = r.gamma,
                                     .weight = r.weight,
                                     .change = r.change};
  const double begin = MPI_Wtime();
#pragma omp parallel num_threads(e->job.threads)
  {
#pragma omp for schedule(dynamic)
    for (int64_t first = 0; first < m->wrapper.rows; first += LSP_BLOCK)
      project_rows(e, layer, &r, first);
#pragma omp single
    lsp_association_look(&a, &rows, normalizer);
#pragma omp for schedule(static)
    for (int64_t c = 0; c < a.values; c += LSP_BLOCK) {
      lsp_association_write(&a, &rows, c, lsp_min(c + LSP_BLOCK, a.values), matrix);
      lsp_poll(e);
    }
  }
  lsp_association_count(&a, &rows, normalizer);
  e->job.clock.seconds[LSP_PHASE_FEED] += MPI_Wtime() - begin;
}

/* --- associative: a layer -------------------------------------------------------------- */

static void layer_of_frame(lsp_run *e, int layer) {
  const lsp_piece *p = e->span.wave.piece;
  const int is_first = lsp_plan_segment(&e->text.plan, p->frame) == 0;
  if (is_first)
    lsp_state_zero(e, layer);
  else
    read_frame(e, layer);
  save_stops(e, layer, p, 0);
  lsp_forward_layer(e, layer);
  write_frame(e, layer, is_first);
  save_stops(e, layer, p, 1);
  if (layer + 1 < e->weights.model.layers)
    return;
  lsp_leave(e, LSP_LEAVE_NORM);
  lsp_leave(e, LSP_LEAVE_MEMORY);
}

void lsp_wrapped_layer(lsp_run *e, int layer) {
  if (layer == 0)
    lsp_state_expect(e, layer);
  if (layer + 1 < e->weights.model.layers) /* it may come while this one is under way */
    lsp_state_expect(e, layer + 1);
  lsp_state_wait(e, layer);
  for (int64_t i = 0; i < e->span.wave.pieces; i++) {
    const lsp_wave all = narrow(e, i);
    layer_of_frame(e, layer);
    e->span.wave = all;
  }
  lsp_state_hand(e, layer);
}

/* --- memory tokens ---------------------------------------------------------------------- */

static void layers_of_frame(lsp_run *e) {
  const lsp_model *m = &e->weights.model;
  const lsp_piece *p = e->span.wave.piece;
  const size_t bytes = (size_t)(m->wrapper.rows * m->width) * sizeof(float);
  float *state = lsp_state_part(e, -1, STATE);
  if (lsp_plan_segment(&e->text.plan, p->frame) == 0) {
    lsp_state_zero(e, -1);
    memcpy(state, m->wrapper.tokens, bytes);
  }
  save_stops(e, -1, p, 0);
  e->span.memory = state;
  lsp_embed(e, 0, e->span.wave.panels);
  e->span.memory = NULL;
  for (int layer = 0; layer < m->layers; layer++)
    lsp_forward_layer(e, layer);
  lsp_leave(e, LSP_LEAVE_NORM);
  memcpy(state, row_of(e, p, p->tokens_end), bytes);
  lsp_leave(e, LSP_LEAVE_MEMORY);
  save_stops(e, -1, p, 1);
}

void lsp_wrapped_layers(lsp_run *e) {
  lsp_state_expect(e, -1);
  lsp_state_wait(e, -1);
  for (int64_t i = 0; i < e->span.wave.pieces; i++) {
    const lsp_wave all = narrow(e, i);
    layers_of_frame(e);
    e->span.wave = all;
    lsp_beat();
  }
  lsp_state_hand(e, -1);
}

/* --- steps ------------------------------------------------------------------------------ */

/* Frames of a span, and whether the first one goes on where the span before ended. */
static int64_t frames_of(const lsp_plan *plan, lsp_range span) {
  return span.first == span.end ? 0
                                : lsp_plan_frame(plan, span.end - 1) + 1 -
                                      lsp_plan_frame(plan, span.first);
}

static int goes_on(const lsp_plan *plan, lsp_range span, lsp_range wave) {
  return span.first < span.end && span.first > wave.first &&
         lsp_plan_segment(plan, lsp_plan_frame(plan, span.first)) > 0;
}

/* When a rank has done each layer: as soon as it has done the one before, and the rank
 * before it this one. */
lsp_wave_steps lsp_wrapped_steps(const lsp_model *m, const lsp_plan *plan,
                                 lsp_range wave, int ranks) {
  lsp_wave_steps s = {0, frames_of(plan, wave) * m->layers};
  int64_t *handed = calloc((size_t)m->layers, sizeof *handed);
  LSP_ASSERT(handed != NULL);
  for (int r = 0; r < ranks; r++) {
    const lsp_range span = lsp_plan_span(plan, wave, r, ranks);
    const int64_t frames = frames_of(plan, span);
    const int waits = goes_on(plan, span, wave);
    int64_t done = 0;
    for (int layer = 0; layer < m->layers && frames > 0; layer++) {
      done = (waits ? lsp_max(done, handed[layer]) : done) + frames;
      handed[layer] = done;
    }
    s.taken = lsp_max(s.taken, done);
  }
  free(handed);
  return s;
}
