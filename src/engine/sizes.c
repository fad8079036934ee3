/* Sizes: one place for what is reserved and what is foretold. */
#include "lsp/sizes.h"

#include "compressing.h"
#include "convolved.h"
#include "engine_internal.h"
#include "last_memory.h"
#include "search.h"
#include "sizes_internal.h"
#include "wrapped.h"

#include "lsp/memory.h"

#include <math.h>
#include <stdio.h>

/* --- buffers --------------------------------------------------------------------- */

/* Scratch of a thread: the most that a step of a panel takes. */
static int64_t scratch_of(const lsp_model *m) {
  const int64_t D = m->width, widest = lsp_max(D, m->words.widest);
  int64_t most = LSP_PANEL * (2 * widest + LSP_HEAD_COLUMNS + D) + LSP_BLOCK * widest;
  /* log-probabilities, before which the head's rows may lie; one row has its panel */
  most = lsp_max(most + (int64_t)2 * LSP_PANEL * (lsp_model_head_width(m) - D),
                 LSP_PANEL * D + lsp_last_scratch(m));
  most = lsp_max(most, LSP_PANEL * (D + widest));
  most = lsp_max(most, lsp_wrapped_scratch(m));
  for (int i = 0; i < m->layers; i++) {
    const lsp_layer *l = &m->layer[i];
    const int64_t F = l->inner, Ep = lsp_padded(l->heads.width);
    const int64_t turn = LSP_BLOCK * (int64_t)l->position.rotated;
    const int64_t project = LSP_PANEL * (l->qkv.matrix.rows + D) +
                            2 * turn + /* of a block, and of a tile */
                            (int64_t)2 * LSP_BLOCK * l->heads.shared * l->heads.width +
                            lsp_convolved_scratch(l);
    const int64_t feed = LSP_PANEL * (D + (l->gated ? 3 : 1) * F);
    const int64_t attend = lsp_attend_scratch(l->heads) + LSP_BLOCK * (4 * Ep + 4) +
                           LSP_BLOCK * (int64_t)l->position.rotated;
    most = lsp_max(most, lsp_max(project, lsp_max(feed, attend)));
    most = lsp_max(most, lsp_selecting_scratch(l->heads));
    most = lsp_max(most, lsp_searching_scratch(l));
  }
  return lsp__padded(most) + (int64_t)LSP_PANEL * LSP_PACK_DEPTH;
}

double lsp_sizes_token_flops(const lsp_model *m, int64_t longest) {
  const int64_t at = longest / 2 + 1;
  return lsp_model_flops_per_token(m) + lsp_model_flops_of_pairs(m, at - 1, at);
}

/* Bytes of a process before its first wave: the program and its libraries, MPI with a
 * neighbour on the node, HDF5, the BLAS library's work space of each thread, the three
 * units on their way to the output. Measured with Open MPI 4 and OpenBLAS on one host;
 * FILE.run.json has the plan beside the peak. */
static int64_t process_bytes(const lsp_request *request) {
  enum { PROCESS = 26 << 20, THREAD = 1 << 20 };
  return PROCESS + request->threads * THREAD;
}

static int64_t arena_bytes(const int64_t *floats, size_t n) {
  int64_t bytes = 0;
  for (size_t i = 0; i < n; i++)
    bytes += (int64_t)lsp_arena_size(floats[i]);
  return bytes;
}

/* Documents have pieces in a wave: one each, and one more for every border of a span. */
static int64_t pieces_of_wave(const lsp_plan *plan, int64_t wave_rows, int64_t ranks) {
  return lsp_min(plan->frames, wave_rows / LSP_BLOCK + 1) + ranks;
}

static int picks(const lsp_model *m) {
  int any = 0;
  for (int i = 0; i < m->layers; i++)
    any |= lsp_layer_picks(&m->layer[i]);
  return any;
}

static void add_bytes(const lsp_sizing *z, lsp_sizes *s) {
  const int64_t blocks = s->span_rows / LSP_BLOCK;
  const int64_t floats[] = {
      s->x,
      s->q,
      s->tiles,
      s->halo,
      s->fixed,
      s->partials,
      s->memory_rows,
      z->request->threads * s->scratch,
      s->tokens,
      s->tokens,
      s->lead,
      s->starts,
      s->sums,
      s->shares,
      z->request->scratch ? 0 : s->rings,
      s->kept_fixed,
      s->strata,
      s->strata_rings,
      s->states,
      s->wrapped,
      s->compressing,
      s->picked,
      s->choices,
      s->nearest,
      s->found,
      s->recalled,
      s->turned,
      s->gates,
      s->moved,
      s->moved,
      s->waiting,
      s->globals,
      s->global_q,
      s->global_tiles,
      s->global_rows,
      z->model->width,
  };
  s->scratch_bytes = z->request->scratch ? s->rings * (int64_t)sizeof(float) : 0;
  s->buffers = arena_bytes(floats, sizeof floats / sizeof floats[0]);
  s->lists = (blocks + 1) * (int64_t)(sizeof(lsp_piece) + sizeof(lsp_panel)) +
             (picks(z->model) ? lsp_picking_size(s->parts, blocks + 1) : 0);
  s->pieces = pieces_of_wave(z->plan, s->wave_rows, z->request->ranks);
  s->root = arena_bytes(&s->opening, 1) + arena_bytes(&s->strata_opening, 1) +
            s->pieces * (int64_t)(sizeof(lsp_share) + 5 * sizeof(double)) +
            z->request->ranks * 2 * (int64_t)sizeof(int);
  s->process = process_bytes(z->request);
  s->node = (int64_t)sizeof(float) *
                (lsp_model_floats(z->model) + lsp_sizes_prepared(z->model)) +
            z->request->tables;
}

/* Pooled rows: of one layer at a time, but for what is kept. */
static void add_strata(const lsp_layer_sizes *y, lsp_sizes *s) {
  int64_t floats = 0;
  for (int k = 0; k < y->strata; k++) {
    const lsp_stratum_sizes *t = &y->stratum[k];
    floats += lsp__padded(lsp_stratum_room(t, s->span_rows) * y->pooled) +
              lsp_stratum_tiles(t, s->span_rows, s->span_pieces) * y->tile;
    s->strata_rings += lsp__ring_floats(y, t);
    s->strata_opening += lsp__opening_rows(t) * y->pooled;
  }
  s->strata = lsp_max(s->strata, floats);
}

/* What global rows take: partial results of the span's panels for a block of them, and the
 * results of the frames. */
static void add_globals(const lsp_layer *l, const lsp_layer_sizes *y, lsp_sizes *s) {
  const int64_t n = lsp_sizes_global_blocks(l), blocks = s->span_rows / LSP_BLOCK;
  const int64_t A = l->output.matrix.cols;
  const int64_t block =
      (int64_t)LSP_BLOCK * l->heads.query * (lsp_padded(l->heads.width) + 2);
  if (n == 0)
    return;
  s->globals = lsp_max(s->globals, 2 * blocks * block);
  s->global_rows = lsp_max(s->global_rows, 2 * n * LSP_BLOCK * A + block);
  if (l->global.matrix.rows == 0)
    return;
  s->global_q = lsp_max(s->global_q, s->span_rows * A);
  s->global_tiles = lsp_max(s->global_tiles, blocks * y->tile);
}

static int64_t states_of(const lsp_model *m) {
  lsp_part part[LSP_PARTS_OF_LAYER];
  int64_t bytes = 0;
  for (int layer = -1; layer < m->layers; layer++)
    bytes += lsp_parts_bytes(part, lsp_memory_parts_of(m, layer, part));
  return bytes / (int64_t)sizeof(float);
}

/* What a store takes: its lists, and what they gave. */
static void add_store(const lsp_layer *l, const lsp_layer_sizes *y, lsp_sizes *s) {
  enum { NEIGHBOUR = sizeof(lsp_neighbour) / sizeof(float) };
  const int64_t blocks = s->span_rows / LSP_BLOCK, H = l->heads.query;
  const int64_t block = LSP_BLOCK * H * (lsp_padded(l->heads.width) + 2);
  lsp_view view[LSP_BRANCHES_MAX];
  if (y->neighbours == 0)
    return;
  s->nearest = lsp_max(s->nearest, s->span_rows * H * y->neighbours * NEIGHBOUR);
  s->search_heads = s->search_heads > H ? s->search_heads : (int)H;
  s->found = 2 * s->span_rows * s->search_heads;
  s->recalled = lsp_max(s->recalled, blocks * block);
  s->partials = lsp_max(s->partials, blocks * block * lsp_layer_views(l, view));
  if (y->turns)
    s->turned = lsp_max(s->turned, (blocks + y->fixed) * y->tile);
}

/* What the layers need: the most of any for what they use in turn, the sum of what is
 * kept. */
static void add_layers(const lsp_sizing *z, lsp_sizes *s) {
  const int64_t blocks = s->span_rows / LSP_BLOCK;
  s->rooms = 1;
  if (z->request->hidden_layers > 0) /* on their way out (written.c) */
    s->q = s->x;
  s->q = lsp_max(s->q, s->span_rows * z->request->chosen_width);
  for (int i = 0; i < z->model->layers; i++) {
    const lsp_layer *l = &z->model->layer[i];
    const lsp_layer_sizes *y = &z->layer[i];
    const int64_t A = l->output.matrix.cols;
    const int64_t row = l->heads.query * (lsp_padded(l->heads.width) + (int64_t)2);
    s->q = lsp_max(s->q, s->span_rows * A);
    s->tiles = lsp_max(s->tiles, blocks * y->tile);
    s->gates = lsp_max(s->gates, s->span_rows * l->input_gate.rows);
    s->room = lsp_max(s->room, y->room * y->tile);
    s->fixed_room = lsp_max(s->fixed_room, y->fixed * y->tile);
    s->memory_rows = lsp_max(s->memory_rows,
                             (int64_t)2 * LSP_PANEL * l->heads.shared * l->heads.width);
    s->picked = lsp_max(s->picked, y->parts * lsp_tile_head(l->heads));
    s->parts = lsp_max(s->parts, y->parts);
    s->choices = lsp_max(s->choices, blocks * y->choices);
    s->compressing = lsp_max(s->compressing,
                             lsp_compressing_floats(l, s->span_rows, s->span_pieces));
    s->rings += lsp_sizes_ring(y);
    s->waiting += lsp_sizes_wait(z->model, i, y);
    add_globals(l, y, s);
    s->kept_fixed += y->fixed * y->tile;
    s->opening += LSP_PANEL / LSP_BLOCK * y->tile;
    add_strata(y, s);
    add_store(l, y, s);
    if (z->model->two_sided ? !y->in_rounds : y->near_tiles <= y->room)
      continue;
    lsp_view view[LSP_BRANCHES_MAX];
    s->rooms = 2;
    s->partials = lsp_max(s->partials, s->span_rows * row * lsp_layer_views(l, view));
  }
  s->halo = s->rooms * s->room;
  s->states = states_of(z->model);
  s->wrapped = lsp_wrapped_room(z->model);
  for (int i = 0; i < z->model->layers; i++)
    if (z->layer[i].lag > 0)
      s->moved = lsp_max(s->x, s->q);
  s->fixed = 2 * s->fixed_room;
  if (z->plan->first_position % LSP_PANEL == 0)
    s->opening = s->strata_opening = 0;
}

/* Rows of the panels of a frame. */
static int64_t rows_of_frame(int64_t rows) {
  return rows == 0 ? 0 : lsp_panel_start(lsp_panel_of(rows - 1) + 1);
}

/* Rows that a wave may take up again: those that waited in the layers. */
static int64_t rows_behind(const lsp_sizing *z) {
  int64_t blocks = 0;
  for (int i = 0; i < z->model->layers; i++)
    blocks += z->layer[i].lag;
  return blocks * LSP_BLOCK;
}

static int reads_again(const lsp_framing *g) {
  return g->tokens > g->stride || g->again > 0 || g->before > 0;
}

/* Rows of what spans are made of: a panel, the longest frame, or document. */
static int64_t rows_of_unit(const lsp_sizing *z) {
  switch (z->plan->framing.whole) {
  case 0:
    return LSP_PANEL;
  case 1:
    return rows_of_frame(z->request->longest);
  default:
    return lsp_plan_longest_document(z->plan);
  }
}

lsp_sizes lsp_sizes_of(const lsp_sizing *z, int64_t wave_rows) {
  const int64_t all = lsp_plan_rows_before(z->plan, lsp_plan_panels(z->plan));
  lsp_sizes s = {.wave_rows = lsp_max(lsp_min(wave_rows, all), LSP_PANEL)};
  if (lsp_sizes_whole(z->model))
    s.wave_rows = lsp_max(s.wave_rows, rows_of_frame(z->request->longest));
  if (z->plan->framing.whole)
    s.wave_rows = lsp_max(s.wave_rows, rows_of_frame(z->request->longest));
  const int64_t share =
      lsp_divide_up(s.wave_rows + rows_behind(z), z->request->ranks) + rows_of_unit(z);
  const int64_t most = z->plan->framing.whole ? s.wave_rows : all;
  s.span_rows =
      lsp_divide_up(lsp_min(share, lsp_max(most, LSP_PANEL)), LSP_BLOCK) * LSP_BLOCK;
  const int64_t blocks = s.span_rows / LSP_BLOCK;
  s.x = s.span_rows * z->model->width;
  s.scratch = scratch_of(z->model);
  s.reach = lsp_sizes_reach(z->model, z->request->longest);
  s.fixed_rows = lsp_sizes_fixed(z->model);
  s.pooled_rows = lsp_sizes_pooled(z->model, z->request->longest);
  s.span_pieces = lsp_min(z->plan->frames, blocks);
  s.tokens = s.span_rows + 1;
  s.lead = reads_again(&z->plan->framing) ? s.span_rows : 0;
  s.starts =
      z->request->starts ? s.tokens * (int64_t)(sizeof(int64_t) / sizeof(float)) : 0;
  s.sum_panels =
      z->model->two_sided ? (s.wave_rows + rows_behind(z)) / LSP_BLOCK + 1 : blocks;
  s.sums = (blocks +
            s.sum_panels * (z->request->hidden_layers + z->request->chosen_layers)) *
           (int64_t)(sizeof(uint64_t) / sizeof(float));
  s.shares = blocks * (int64_t)(sizeof(lsp_share) / sizeof(float));
  add_layers(z, &s);
  add_bytes(z, &s);
  return s;
}

/* --- the choice ------------------------------------------------------------------ */

/* Waves of `rows` rows a rank, or the whole corpus. Where a span may have all of a wave,
 * since documents are not divided, of so many that it has at most twice `rows`. */
static lsp_sizes with_rows(const lsp_sizing *z, int64_t rows) {
  const int64_t ranks = z->request->ranks;
  const int64_t all = lsp_plan_rows_before(z->plan, lsp_plan_panels(z->plan));
  int64_t wave = rows >= lsp_divide_up(all, ranks) ? all : rows * ranks;
  if (z->plan->framing.whole == 2 && ranks > 1) {
    const int64_t share = lsp_min(rows, 2 * rows - lsp_plan_longest_document(z->plan));
    wave = lsp_min(all, lsp_max(2 * rows, lsp_max(share, 0) * ranks));
  }
  return lsp_sizes_of(z, wave);
}

int64_t lsp_sizes_least(const lsp_sizing *z) {
  const lsp_sizes s = with_rows(z, LSP_PANEL);
  return lsp_sizes_rank(&s);
}

static lsp_status too_little(const char *what, const lsp_sizes *s, int64_t memory,
                             lsp_failure *why) {
  const double mib = 1 << 20, needed = (double)lsp_sizes_rank(s);
  const double rings = 4.0 * (double)s->rings;
  char scratch[120] = "";
  if (s->scratch_bytes == 0 && rings > needed / 8)
    (void)snprintf(scratch, sizeof scratch,
                   ", or --scratch DIR, which keeps %.1f MiB of it in files, and "
                   "--memory %.0fM",
                   rings / mib, ceil((needed - rings) / mib));
  return lsp_fail(why, LSP_E_MEMORY,
                  "--memory %.0fM: %s of this model needs %.1f MiB a rank; give "
                  "--memory %.0fM or more%s",
                  (double)memory / mib, what, needed / mib, ceil(needed / mib),
                  scratch);
}

/* Floats of a row in the buffers of a span. */
static double row_floats(const lsp_model *m) {
  double most = 0;
  for (int i = 0; i < m->layers; i++)
    most = fmax(most, 3.0 * m->layer[i].heads.query * m->layer[i].heads.width +
                          (double)m->layer[i].output.matrix.cols);
  return most + m->width;
}

/* What was asked for. Bytes of such waves must be countable before they are counted. */
static lsp_status as_asked(const lsp_sizing *z, lsp_sizes *out, lsp_failure *why) {
  const int64_t all = lsp_plan_rows_before(z->plan, lsp_plan_panels(z->plan));
  const int64_t wave = lsp_min(z->request->wave_tokens, all);
  if (4 * row_floats(z->model) * (double)wave / (double)z->request->ranks > 0x1p50)
    return lsp_fail(why, LSP_E_LIMIT,
                    "--wave-tokens %lld would take more than a PiB a rank; use fewer, "
                    "or more ranks",
                    (long long)wave);
  *out = lsp_sizes_of(z, wave);
  if (z->request->memory > 0 && lsp_sizes_rank(out) > z->request->memory)
    return too_little("a wave of the --wave-tokens given", out, z->request->memory,
                      why);
  return LSP_OK;
}

lsp_status lsp_sizes_choose(const lsp_sizing *z, lsp_sizes *out, lsp_failure *why) {
  const lsp_request *request = z->request;
  if (request->wave_tokens > 0)
    return as_asked(z, out, why);
  *out = with_rows(z, LSP_PANEL);
  int64_t memory = request->memory;
  if (memory <= 0) /* what is kept comes on top of what waves need */
    memory =
        LSP_MEMORY_DEFAULT +
        (int64_t)sizeof(float) *
            ((request->scratch ? 0 : out->rings) + out->kept_fixed + out->strata_rings +
             out->strata + out->waiting + out->states + out->compressing);
  memory = request->memory > 0 ? memory : lsp_max(memory, lsp_sizes_rank(out));
  if (lsp_sizes_rank(out) > memory)
    return too_little(
        lsp_sizes_whole(z->model) ? "the longest document, which layers see as a whole,"
        : z->plan->framing.whole  ? "the longest frame, which a rank has as a whole,"
                                  : "the smallest wave",
        out, memory, why);
  const double thirty = 30 * lsp_nominal_rate * (double)request->threads /
                        lsp_sizes_token_flops(z->model, request->longest);
  const int64_t most = lsp_min(memory / (4 * (int64_t)z->model->width),
                               thirty < 1e12 ? (int64_t)thirty : (int64_t)1e12);
  int64_t low = 1, high = lsp_max(most / LSP_PANEL, 1);
  while (low < high) { /* the most panels that fit */
    const int64_t middle = high - (high - low) / 2;
    const lsp_sizes s = with_rows(z, middle * LSP_PANEL);
    if (lsp_sizes_rank(&s) <= memory)
      low = middle;
    else
      high = middle - 1;
  }
  *out = with_rows(z, low * LSP_PANEL);
  return LSP_OK;
}
