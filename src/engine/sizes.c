/* Sizes: one place for what is reserved and what is foretold. */
#include "lsp/sizes.h"

#include "engine_internal.h"

#include <math.h>

static int64_t padded(int64_t floats) {
  return lsp_divide_up(floats, LSP_LANES) * LSP_LANES;
}

/* --- layers ---------------------------------------------------------------------- */

int64_t lsp_sizes_strips(const lsp_layer *layer) {
  const int64_t reach = lsp_layer_reach(layer), clamp = layer->position.clamp;
  if (layer->position.kind != LSP_POSITION_RELATIVE)
    return 0;
  const int64_t at_clamp = clamp > 0 ? clamp / LSP_BLOCK + 1 : INT64_MAX;
  if (reach == LSP_REACH_ALL || lsp_layer_fixed(layer) > 0)
    return clamp > 0 ? at_clamp : -1;
  return lsp_min(lsp_divide_up(reach, LSP_BLOCK) + 1, at_clamp);
}

static int has_strata(const lsp_model *m) {
  lsp_stratum stratum[LSP_STRATA_MAX];
  for (int i = 0; i < m->layers; i++)
    if (lsp_layer_strata(&m->layer[i], stratum) > 0)
      return 1;
  return 0;
}

/* Rows of the past that a layer keeps. Where a layer of the model keeps the first rows of a
 * document, or pooled rows, all layers do, and at least the last row: snapshots are alike
 * in all layers. */
static int64_t reach_of(const lsp_model *m, int layer) {
  if (m->two_sided)
    return 0; /* no snapshots */
  const int64_t reach = lsp_layer_reach(&m->layer[layer]);
  return reach == 0 && (lsp_sizes_fixed(m) > 0 || has_strata(m)) ? 1 : reach;
}

/* Groups of pooled rows are as long as what is looked back to, but no longer than those of
 * tiles: a short reach takes little room. */
static lsp_stratum_sizes stratum_of(lsp_stratum s, int64_t longest, int64_t ranks) {
  enum { GROUP = LSP_GROUP * LSP_BLOCK };
  const int64_t most = longest / s.unit;
  const int64_t reach = s.reach == LSP_REACH_ALL ? most : lsp_min(s.reach, most);
  const int64_t rows = lsp_divide_up(lsp_max(reach, 1), LSP_BLOCK) * LSP_BLOCK;
  lsp_stratum_sizes z = {
      .is = s, .reach = reach, .grain = {s.unit, lsp_min(rows, GROUP)}};
  z.groups = lsp_grain_groups(z.grain, reach, ranks);
  return z;
}

int64_t lsp_sizes_picks(const lsp_layer *l) {
  int64_t parts = 0;
  for (int b = 0; b < l->branches; b++) {
    const lsp_pattern *p = &l->branch[b];
    if (p->kind == LSP_PATTERN_RANDOM)
      parts += (int64_t)l->heads.query * p->blocks;
    if (p->kind == LSP_PATTERN_CHOSEN)
      parts += (int64_t)l->heads.shared * p->blocks;
    if (p->kind == LSP_PATTERN_SELECTED)
      parts += (int64_t)l->heads.shared * LSP_BLOCK * (p->blocks - 1);
  }
  return parts;
}

/* Room for what is fetched: at least what a panel picks, at most all within reach. One rank
 * has everything itself, and so has each in a two-sided model, as far as it reaches. */
static int64_t parts_of(const lsp_model *m, const lsp_layer *l, int64_t tiles,
                        int64_t ranks) {
  if (ranks == 1 || m->two_sided || !lsp_layer_picks(l))
    return 0;
  const int64_t part = lsp_tile_head(l->heads) * (int64_t)sizeof(float);
  const int64_t panel = LSP_PANEL / LSP_BLOCK * lsp_sizes_picks(l);
  return lsp_min(tiles * l->heads.shared, lsp_max(panel, LSP_PICKED_BYTES / part));
}

/* Of a block of queries: numbers of the blocks that they choose. */
static int64_t choices_of(const lsp_layer *l) {
  const lsp_pattern *p = lsp_layer_chooser(l);
  if (p == NULL)
    return 0;
  return (int64_t)l->heads.shared * (p->kind == LSP_PATTERN_CHOSEN
                                         ? p->blocks
                                         : LSP_BLOCK * (int64_t)(p->blocks - 1));
}

static lsp_layer_sizes layer_of(const lsp_model *m, int i, int64_t longest,
                                int64_t ranks) {
  const lsp_layer *l = &m->layer[i];
  lsp_layer_sizes s = {.tile = lsp_tile_floats(l->heads)};
  const int64_t reach = reach_of(m, i);
  s.reach = reach == LSP_REACH_ALL ? longest : lsp_min(reach, longest);
  s.tiles = lsp_divide_up(s.reach, LSP_BLOCK);
  const int64_t near = lsp_layer_near(l);
  s.near = near == LSP_REACH_ALL ? longest : lsp_min(near, longest);
  s.near_tiles = lsp_divide_up(s.near, LSP_BLOCK);
  s.parts = parts_of(m, l, s.tiles, ranks);
  s.choices = choices_of(l);
  s.fixed = lsp_divide_up(lsp_sizes_fixed(m), LSP_BLOCK);
  s.groups = lsp_kept_groups(s.tiles, ranks);
  s.strips = lsp_sizes_strips(l);
  lsp_stratum stratum[LSP_STRATA_MAX];
  s.strata = lsp_layer_strata(l, stratum);
  /* Blocks are attended in one go where they pick some of the past, or look at means. */
  s.room = lsp_layer_picks(l) || s.strata > 0 ? s.near_tiles
                                              : lsp_min(s.near_tiles, LSP_ROUND_TILES);
  s.pooled = (int64_t)2 * l->heads.shared * l->heads.width;
  for (int k = 0; k < s.strata; k++)
    s.stratum[k] = stratum_of(stratum[k], longest, ranks);
  if (m->two_sided)
    lsp_sizes_ahead(m, i, longest, ranks, &s);
  return s;
}

/* A record of the journal counts them in 31 bits. */
static lsp_status check_pooled(const lsp_model *model, int64_t longest,
                               lsp_failure *why) {
  const int64_t rows = lsp_sizes_fixed(model) + lsp_sizes_pooled(model, longest);
  if (rows <= INT32_MAX)
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_LIMIT,
      "the model looks back to %lld means of keys and values, and a snapshot "
      "holds at most 2147483647; give its compressed branches a smaller "
      "reach, or a larger pool",
      (long long)rows);
}

/* Rows of a stratum in the panel within which a run began, and what a mean has so far. */
static int64_t opening_rows(const lsp_stratum_sizes *s) {
  return LSP_PANEL / s->grain.unit + 2;
}

static int64_t ring_floats(const lsp_layer_sizes *y, const lsp_stratum_sizes *s) {
  return s->groups * s->grain.group * y->pooled;
}

static void place_strata(lsp_layer_sizes *y, int64_t *ring, int64_t *opening) {
  for (int k = 0; k < y->strata; k++) {
    lsp_stratum_sizes *s = &y->stratum[k];
    s->ring_at = *ring;
    s->opening_at = *opening;
    *ring += ring_floats(y, s);
    *opening += opening_rows(s) * y->pooled;
  }
}

lsp_status lsp_sizes_layers(const lsp_model *model, int64_t longest, int64_t ranks,
                            lsp_layer_sizes *layer, lsp_failure *why) {
  int64_t ring = 0, wait = 0, fixed = 0, opening = 0, rows = 0, rows_opening = 0;
  for (int i = 0; i < model->layers; i++) {
    lsp_layer_sizes *s = &layer[i];
    *s = layer_of(model, i, longest, ranks);
    if (s->strips < 0)
      return lsp_fail(
          why, LSP_E_LIMIT,
          "layer %d looks back without end with relative positions, and a "
          "table of their distances takes %.0f MiB for every million tokens; "
          "give the model a clamp_len, or rotary positions",
          i,
          4e6 * model->layer[i].heads.query * model->layer[i].heads.width / (1 << 20));
    s->ring_at = ring;
    s->fixed_at = fixed;
    s->opening_at = opening;
    s->wait_at = wait;
    ring += lsp_sizes_ring(s);
    wait += lsp_sizes_wait(model, i, s);
    fixed += s->fixed * s->tile;
    opening += LSP_PANEL / LSP_BLOCK * s->tile;
    place_strata(s, &rows, &rows_opening);
  }
  return check_pooled(model, longest, why);
}

int64_t lsp_sizes_tail(const lsp_model *m, int i) {
  const lsp_vocabulary *v = &m->words;
  return padded(lsp_divide_up(v->cut[i + 1] - v->cut[i], LSP_BLOCK) * LSP_BLOCK *
                v->cluster[i].width);
}

int64_t lsp_sizes_projection(const lsp_model *m, int i) {
  const lsp_cluster *k = &m->words.cluster[i];
  return m->words.projected ? padded((int64_t)m->width * k->width) : 0;
}

/* Zeros that stand for absent biases. */
static int64_t widest_bias(const lsp_model *m) {
  int64_t most = m->width;
  for (int i = 0; i < m->layers; i++)
    most = lsp_max(most, m->layer[i].heads.width);
  return padded(most);
}

int64_t lsp_sizes_prepared(const lsp_model *m) {
  int64_t floats = widest_bias(m);
  for (int i = 0; i < m->layers; i++) {
    const lsp_layer *l = &m->layer[i];
    floats += padded(lsp_strip_floats(l->heads, lsp_max(0, lsp_sizes_strips(l)))) +
              padded(lsp_tile_floats(l->heads)) +
              padded((int64_t)LSP_BRANCHES_MAX * l->heads.query);
  }
  for (int i = 1; i < m->words.clusters; i++)
    floats += lsp_sizes_tail(m, i);
  for (int i = 0; i < m->words.clusters; i++)
    floats += 2 * lsp_sizes_projection(m, i);
  return floats;
}

int64_t lsp_sizes_layer_reach(const lsp_model *m, int layer, int64_t longest) {
  const int64_t reach = reach_of(m, layer);
  return reach == LSP_REACH_ALL ? longest : reach;
}

int64_t lsp_sizes_reach(const lsp_model *m, int64_t longest) {
  int64_t most = 0;
  for (int i = 0; i < m->layers; i++)
    most = lsp_max(most, lsp_sizes_layer_reach(m, i, longest));
  return most;
}

int64_t lsp_sizes_fixed(const lsp_model *m) {
  int64_t most = 0;
  for (int i = 0; i < m->layers && !m->two_sided; i++)
    most = lsp_max(most, lsp_layer_fixed(&m->layer[i]));
  return most;
}

/* Rows of a stratum in a snapshot, but for one that looks back without end: it has none. */
static int64_t bounded_rows(const lsp_stratum *s) {
  const int64_t most = (int64_t)1
                       << 40; /* no snapshot has more: their sum is a number */
  return (s->reach == LSP_REACH_ALL ? 0 : lsp_min(s->reach, most)) + (s->below < 0);
}

int64_t lsp_sizes_pooled(const lsp_model *m, int64_t longest) {
  int64_t most = 0;
  for (int i = 0; i < m->layers; i++) {
    lsp_stratum stratum[LSP_STRATA_MAX];
    const int n = lsp_layer_strata(&m->layer[i], stratum);
    int64_t rows = 0;
    for (int k = 0; k < n; k++)
      rows += bounded_rows(&stratum[k]) +
              (stratum[k].reach == LSP_REACH_ALL ? longest / stratum[k].unit : 0);
    most = lsp_max(most, rows);
  }
  return most;
}

int64_t lsp_sizes_pooled_rows(const lsp_model *m, int layer, int k, int64_t all) {
  lsp_stratum stratum[LSP_STRATA_MAX];
  const int n = lsp_layer_strata(&m->layer[layer], stratum);
  if (stratum[k].reach != LSP_REACH_ALL)
    return stratum[k].reach;
  for (int i = 0; i < n; i++)
    all -= bounded_rows(&stratum[i]);
  return all;
}

int64_t lsp_sizes_pooled_at(const lsp_model *m, int layer, int k, int64_t all) {
  lsp_stratum stratum[LSP_STRATA_MAX];
  int64_t at = 0;
  (void)lsp_layer_strata(&m->layer[layer], stratum);
  for (int i = 0; i < k; i++)
    at += lsp_sizes_pooled_rows(m, layer, i, all) + (stratum[i].below < 0);
  return at;
}

/* --- frames ---------------------------------------------------------------------- */

lsp_status lsp_sizes_framing(const lsp_context *c, int prefix, lsp_framing *framing,
                             lsp_failure *why) {
  const int64_t tokens = c->chunk - (c->half ? 0 : prefix);
  char text[LSP_CONTEXT_SIZE];
  *framing = (lsp_framing){.prefix = prefix};
  if (c->kind != LSP_CONTEXT_CHUNKS)
    return LSP_OK;
  lsp_context_print(c, text);
  if (c->half ? c->chunk / 2 < prefix : tokens < 1)
    return lsp_fail(why, LSP_E_USAGE,
                    "--context %s: chunks of %lld rows have no room for tokens behind "
                    "the %d rows of the prefix; ask for longer ones",
                    text, (long long)c->chunk, prefix);
  if (c->stride > tokens)
    return lsp_fail(
        why, LSP_E_USAGE,
        "--context %s: a chunk holds %lld tokens, and a longer stride would "
        "pass over some; ask for a stride of at most that",
        text, (long long)tokens);
  *framing = (lsp_framing){.prefix = c->half ? 0 : prefix,
                           .tokens = tokens,
                           .stride = c->stride > 0 ? c->stride : tokens,
                           .half = c->half};
  return LSP_OK;
}

/* Half of what the model was trained for, as a round number. */
static int64_t half_of(int64_t trained) {
  return lsp_max(trained / 2, 1);
}

static int looks_back(const lsp_model *m) {
  for (int i = 0; i < m->layers; i++)
    if (lsp_layer_reach(&m->layer[i]) == LSP_REACH_ALL)
      return 1;
  return 0;
}

lsp_status lsp_sizes_positions(const lsp_model *m, const char *dir,
                               const lsp_context *context, int64_t longest,
                               lsp_failure *why) {
  const long long half =
      half_of(m->positions_most > 0 ? m->positions_most : m->trained);
  if (m->positions_most > 0 && longest > m->positions_most)
    return lsp_fail(
        why, LSP_E_INPUT,
        "%s: the model has learned %lld positions, and the longest text "
        "takes %lld; read it in pieces (--context chunks:%lld,stride:%lld), "
        "or use a model with rotary or relative positions",
        dir, (long long)m->positions_most, (long long)longest,
        (long long)m->positions_most, half);
  if (m->trained == 0 || longest <= m->trained || context->kind != LSP_CONTEXT_MODEL)
    return LSP_OK;
  if (!looks_back(m))
    return lsp_fail(
        why, LSP_E_INPUT,
        "%s: the model was trained for %lld positions, and the longest text "
        "takes %lld; say how it is to be read: --context full (its own "
        "windows, beyond its training) or chunks:%lld,stride:%lld",
        dir, (long long)m->trained, (long long)longest, (long long)m->trained, half);
  return lsp_fail(why, LSP_E_INPUT,
                  "%s: the model was trained for %lld positions, and the longest text "
                  "takes %lld; say how it is to be read: --context window:%lld,sinks:4 "
                  "(each token sees the last ones and the first 4), window:%lld, "
                  "chunks:%lld,stride:%lld, or full (all, beyond its training)",
                  dir, (long long)m->trained, (long long)longest, half, half,
                  (long long)m->trained, half);
}

/* --- buffers --------------------------------------------------------------------- */

/* Scratch of a thread: the most that a step of a panel takes. */
static int64_t scratch_of(const lsp_model *m) {
  const int64_t D = m->width, widest = lsp_max(D, m->words.widest);
  int64_t most = LSP_PANEL * (2 * widest + LSP_HEAD_COLUMNS + D) + LSP_BLOCK * widest;
  most = lsp_max(most, LSP_PANEL * (D + widest));
  for (int i = 0; i < m->layers; i++) {
    const lsp_layer *l = &m->layer[i];
    const int64_t F = l->inner, Ep = lsp_padded(l->heads.width);
    const int64_t project =
        LSP_PANEL * (l->qkv.matrix.rows + D) + LSP_BLOCK * (int64_t)l->position.rotated;
    const int64_t feed = LSP_PANEL * (D + (l->gated ? 3 : 1) * F);
    const int64_t attend = lsp_attend_scratch(l->heads) + LSP_BLOCK * (4 * Ep + 4) +
                           LSP_BLOCK * (int64_t)l->position.rotated;
    most = lsp_max(most, lsp_max(project, lsp_max(feed, attend)));
    most = lsp_max(most, lsp_selecting_scratch(l->heads));
  }
  return padded(most) + (int64_t)LSP_PANEL * LSP_PACK_DEPTH;
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
  const int64_t floats[] = {s->x,
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
                            s->rings,
                            s->kept_fixed,
                            s->strata,
                            s->strata_rings,
                            s->picked,
                            s->choices,
                            s->gates,
                            s->moved,
                            s->moved,
                            s->waiting,
                            s->globals,
                            s->global_q,
                            s->global_tiles,
                            s->global_rows,
                            z->model->width};
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
    floats += padded(lsp_stratum_room(t, s->span_rows) * y->pooled) +
              lsp_stratum_tiles(t, s->span_rows, s->span_pieces) * y->tile;
    s->strata_rings += ring_floats(y, t);
    s->strata_opening += opening_rows(t) * y->pooled;
  }
  s->strata = lsp_max(s->strata, floats);
}

/* What global rows take: partial results of the span's panels for a block of them, and the
 * results of the frames. */
static void add_globals(const lsp_layer *l, const lsp_layer_sizes *y, lsp_sizes *s) {
  const int64_t n = lsp_sizes_global_blocks(l), blocks = s->span_rows / LSP_BLOCK;
  const int64_t A = (int64_t)l->heads.query * l->heads.width;
  const int64_t block =
      LSP_BLOCK * l->heads.query * (lsp_padded(l->heads.width) + (int64_t)2);
  if (n == 0)
    return;
  s->globals = lsp_max(s->globals, 2 * blocks * block);
  s->global_rows = lsp_max(s->global_rows, 2 * n * LSP_BLOCK * A + block);
  if (l->global.matrix.rows == 0)
    return;
  s->global_q = lsp_max(s->global_q, s->span_rows * A);
  s->global_tiles = lsp_max(s->global_tiles, blocks * y->tile);
}

/* What the layers need: the most of any for what they use in turn, the sum of what is
 * kept. */
static void add_layers(const lsp_sizing *z, lsp_sizes *s) {
  const int64_t blocks = s->span_rows / LSP_BLOCK;
  s->rooms = 1;
  if (z->request->hidden_layers > 0) /* on their way out (written.c) */
    s->q = s->x;
  for (int i = 0; i < z->model->layers; i++) {
    const lsp_layer *l = &z->model->layer[i];
    const lsp_layer_sizes *y = &z->layer[i];
    const int64_t A = (int64_t)l->heads.query * l->heads.width;
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
    s->rings += lsp_sizes_ring(y);
    s->waiting += lsp_sizes_wait(z->model, i, y);
    add_globals(l, y, s);
    s->kept_fixed += y->fixed * y->tile;
    s->opening += LSP_PANEL / LSP_BLOCK * y->tile;
    add_strata(y, s);
    if (z->model->two_sided ? !y->in_rounds : y->near_tiles <= y->room)
      continue;
    lsp_view view[LSP_BRANCHES_MAX];
    s->rooms = 2;
    s->partials = lsp_max(s->partials, s->span_rows * row * lsp_layer_views(l, view));
  }
  s->halo = s->rooms * s->room;
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

lsp_sizes lsp_sizes_of(const lsp_sizing *z, int64_t wave_rows) {
  const int64_t all = lsp_plan_rows_before(z->plan, lsp_plan_panels(z->plan));
  lsp_sizes s = {.wave_rows = lsp_max(lsp_min(wave_rows, all), LSP_PANEL)};
  if (lsp_sizes_whole(z->model))
    s.wave_rows = lsp_max(s.wave_rows, rows_of_frame(z->request->longest));
  const int64_t share =
      lsp_divide_up(s.wave_rows + rows_behind(z), z->request->ranks) + LSP_PANEL;
  s.span_rows =
      lsp_divide_up(lsp_min(share, lsp_max(all, LSP_PANEL)), LSP_BLOCK) * LSP_BLOCK;
  const int64_t blocks = s.span_rows / LSP_BLOCK;
  s.x = s.span_rows * z->model->width;
  s.scratch = scratch_of(z->model);
  s.reach = lsp_sizes_reach(z->model, z->request->longest);
  s.fixed_rows = lsp_sizes_fixed(z->model);
  s.pooled_rows = lsp_sizes_pooled(z->model, z->request->longest);
  s.span_pieces = lsp_min(z->plan->frames, blocks);
  s.tokens = s.span_rows + 1;
  s.lead = z->plan->framing.tokens > z->plan->framing.stride ? s.span_rows : 0;
  s.starts =
      z->request->starts ? s.tokens * (int64_t)(sizeof(int64_t) / sizeof(float)) : 0;
  s.sums = blocks * (1 + z->request->hidden_layers) *
           (int64_t)(sizeof(uint64_t) / sizeof(float));
  s.shares = blocks * (int64_t)(sizeof(lsp_share) / sizeof(float));
  add_layers(z, &s);
  add_bytes(z, &s);
  return s;
}

/* --- the choice ------------------------------------------------------------------ */

/* Waves of `rows` rows a rank, or the whole corpus. */
static lsp_sizes with_rows(const lsp_sizing *z, int64_t rows) {
  const int64_t ranks = z->request->ranks;
  const int64_t all = lsp_plan_rows_before(z->plan, lsp_plan_panels(z->plan));
  return lsp_sizes_of(z, rows >= lsp_divide_up(all, ranks) ? all : rows * ranks);
}

int64_t lsp_sizes_least(const lsp_sizing *z) {
  const lsp_sizes s = with_rows(z, LSP_PANEL);
  return lsp_sizes_rank(&s);
}

static lsp_status too_little(const char *what, int64_t needed, int64_t memory,
                             lsp_failure *why) {
  const double mib = 1 << 20;
  return lsp_fail(why, LSP_E_MEMORY,
                  "--memory %.0fM: %s of this model needs %.1f MiB a rank; give "
                  "--memory %.0fM or more",
                  (double)memory / mib, what, (double)needed / mib,
                  ceil((double)needed / mib));
}

/* Floats of a row in the buffers of a span. */
static double row_floats(const lsp_model *m) {
  double most = 0;
  for (int i = 0; i < m->layers; i++)
    most = fmax(most, 4.0 * m->layer[i].heads.query * m->layer[i].heads.width);
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
    return too_little("a wave of the --wave-tokens given", lsp_sizes_rank(out),
                      z->request->memory, why);
  return LSP_OK;
}

lsp_status lsp_sizes_choose(const lsp_sizing *z, lsp_sizes *out, lsp_failure *why) {
  const lsp_request *request = z->request;
  if (request->wave_tokens > 0)
    return as_asked(z, out, why);
  *out = with_rows(z, LSP_PANEL);
  int64_t memory = request->memory;
  if (memory <= 0) /* what is kept comes on top of what waves need */
    memory = LSP_MEMORY_DEFAULT +
             (int64_t)sizeof(float) * (out->rings + out->kept_fixed +
                                       out->strata_rings + out->strata + out->waiting);
  memory = request->memory > 0 ? memory : lsp_max(memory, lsp_sizes_rank(out));
  if (lsp_sizes_rank(out) > memory)
    return too_little(lsp_sizes_whole(z->model)
                          ? "the longest document, which layers see as a whole,"
                          : "the smallest wave",
                      lsp_sizes_rank(out), memory, why);
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
