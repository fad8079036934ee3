/* The key-value store of a layer (Wu et al. 2022, Memorizing Transformers): of the keys
 * before its segment a query takes those that match best, wherever they lie.
 *
 *   sweep 1   own tiles | rounds of the past, nearest first     lists: score, position
 *             the other branches walk their runs along with it
 *   weigh     lists by position, the highest first; scores become weights
 *   sweep 2   own tiles | the same rounds                       values, in that order
 *
 * What a list holds depends on positions and numbers alone (lsp/nearest.h), and values are
 * added in falling order of positions, in which the tiles come: so no bit depends on ranks,
 * waves or rounds. Where the past is one round it stays where it is for sweep 2; else it
 * comes again.
 *
 * What must hold: tiles of the span, of rings, halos and snapshots are as the store compares
 * them. Where that is before they are turned, a tile of a round is turned where it lies
 * after it was searched, as far as the other branches look: values stay. */
#include "search.h"

#include "compressing.h"
#include "lsp/rotary.h"
#include "states.h"
#include "turning.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { POLL = 16 /* tiles between signs of life */ };

/* What follows works on the queries of a panel and the heads that share keys. */
typedef struct {
  const lsp_run *e;
  int layer, shared;
  const lsp_panel *panel;
  const lsp_pattern *store;
  lsp_heads heads;
} group;

const lsp_pattern *lsp_store_of(const lsp_layer *layer) {
  for (int b = 0; b < layer->branches; b++)
    if (layer->branch[b].kind == LSP_PATTERN_STORE)
      return &layer->branch[b];
  return NULL;
}

static int heads_of(const group *g) {
  return g->heads.query / g->heads.shared;
}

/* --- where things lie ------------------------------------------------------------ */

/* Lists of a query head lie together, row by row. */
static int64_t list_of(const lsp_run *e, int head, int64_t row) {
  return head * e->span.sizes.span_rows + row;
}

static lsp_neighbour *best_of(const lsp_run *e, int layer, int head, int64_t row) {
  return (lsp_neighbour *)(void *)e->span.nearest +
         list_of(e, head, row) * e->span.layer[layer].neighbours;
}

static int32_t *found_of(const lsp_run *e, int head, int64_t row) {
  return (int32_t *)(void *)e->span.found + list_of(e, head, row);
}

/* How many of a list have been added. */
static int32_t *added_of(const lsp_run *e, int head, int64_t row) {
  return found_of(e, head, row) +
         e->span.sizes.span_rows * (int64_t)e->span.sizes.search_heads;
}

lsp_partial lsp_search_result(const lsp_run *e, int layer, int64_t row, int head) {
  const lsp_heads h = e->weights.model.layer[layer].heads;
  const int64_t Ep = lsp_padded(h.width);
  float *at =
      e->span.recalled + (row / LSP_BLOCK * h.query + head) * LSP_BLOCK * (Ep + 2);
  return (lsp_partial){at, Ep, at + LSP_BLOCK * Ep, at + LSP_BLOCK * (Ep + 1)};
}

float *lsp_walked_tile(const lsp_run *e, int layer, const lsp_piece *piece,
                       int64_t tile) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  float *own = lsp_own_tile(e, layer, piece, tile);
  return y->turns ? e->span.turned + (own - e->span.tiles) : own;
}

/* Behind those of the span. */
static float *turned_fixed(const lsp_run *e, int layer) {
  return e->span.turned +
         e->span.sizes.span_rows / LSP_BLOCK * e->span.layer[layer].tile;
}

const float *lsp_walked_fixed(const lsp_run *e, int layer) {
  return e->span.layer[layer].turns ? turned_fixed(e, layer) : lsp_past_fixed(e, layer);
}

/* --- turning --------------------------------------------------------------------- */

void lsp_turn_tile(const lsp_run *e, int layer, int64_t tile, const float *from,
                   float *to, float *room) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const int64_t pairs = l->position.rotated / 2;
  const int64_t K = (int64_t)l->heads.shared * l->heads.width;
  float *keys = room, *values = keys + LSP_BLOCK * K;
  float *cosine = values + LSP_BLOCK * K, *sine = cosine + LSP_BLOCK * pairs;
  lsp_tile_get(l->heads, from, 0, LSP_BLOCK, keys, values);
  lsp_rotary_table((int)pairs, l->position.frequency, e->weights.layer[layer].turn,
                   tile * LSP_BLOCK, cosine, sine);
  for (int head = 0; head < l->heads.shared; head++)
    e->job.kernels.rotate(LSP_BLOCK, pairs, cosine, sine,
                          keys + (int64_t)head * l->heads.width, K);
  lsp_tile_put(l->heads, to, 0, LSP_BLOCK, keys, values, K);
}

float *lsp_turning_room(const lsp_run *e, int layer) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  return lsp_scratch_of(e) +
         LSP_PANEL * (l->qkv.matrix.rows + (int64_t)e->weights.model.width) +
         LSP_BLOCK * (int64_t)l->position.rotated;
}

/* Tiles [first, end) that lie side by side. */
static void turn_tiles(const lsp_run *e, int layer, int64_t first, int64_t end,
                       const float *from, float *to) {
  const int64_t floats = e->span.layer[layer].tile;
#pragma omp parallel for schedule(dynamic) num_threads(e->job.threads)
  for (int64_t t = first; t < end; t++) {
    lsp_turn_tile(e, layer, t, from + (t - first) * floats, to + (t - first) * floats,
                  lsp_scratch_of(e));
    lsp_poll(e);
  }
}

/* The first tiles of the document that the span enters. */
static void turn_fixed(const lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  const lsp_layer_sizes *y = &e->span.layer[layer];
  if (y->turns && w->pieces > 0 && y->fixed > 0)
    turn_tiles(e, layer, 0, lsp_min(y->fixed, w->piece[0].start / LSP_BLOCK),
               lsp_past_fixed(e, layer), turned_fixed(e, layer));
}

/* Tiles of a round that the other branches look at: turned where they lie, if need be.
 * Returns 0 if there are none. */
static int turn_round(const lsp_run *e, int layer, int64_t round) {
  const lsp_wave *w = &e->span.wave;
  const lsp_layer_sizes *y = &e->span.layer[layer];
  if (w->pieces == 0)
    return 0;
  lsp_tiles t = lsp_past_round(e, layer, round);
  t.first = lsp_max(t.first, lsp_block_of(w->piece[0].start - y->beside));
  if (t.first >= t.end)
    return 0;
  float *tiles = (float *)lsp_past_tile(e, layer, round, t.first);
  if (y->turns)
    turn_tiles(e, layer, t.first, t.end, tiles, tiles);
  return 1;
}

/* --- queries --------------------------------------------------------------------- */

/* Candidates of a row, also of one that is none. */
static lsp_keys candidates_of(const group *g, int head, int64_t row) {
  const int64_t position = g->panel->start + row;
  const lsp_view *v = &g->e->weights.layer[g->layer].view[0];
  if (position < g->panel->piece->first || position >= g->panel->piece->end)
    return (lsp_keys){0, 0};
  lsp_keys k = lsp_store_candidates(g->store, position);
  if (v->store == NULL || v->runs == 0)
    return k;
  k.end = lsp_min(k.end, lsp_view_run(v, head, position).first);
  return k;
}

/* What all scores of a query are multiplied with. */
static double factor_of(const group *g, int head, const float *query) {
  const lsp_layer *l = &g->e->weights.model.layer[g->layer];
  double square = LSP_NORM_LEAST;
  if (!g->store->cosine)
    return (double)l->scale;
  for (int i = 0; i < g->heads.width; i++)
    square += (double)query[i] * (double)query[i];
  return fabs((double)l->store_scale[head]) / sqrt(square);
}

static const float *query_of(const group *g, int head, int64_t row) {
  const int64_t ld = g->e->weights.model.layer[g->layer].output.matrix.cols;
  return g->e->span.q + (g->panel->row + row) * ld + (int64_t)head * g->heads.width;
}

/* Queries of a head as the store compares them, into out (rows, E). Those of which nothing
 * is left become zeros, so that all keys match alike. */
static void put_queries(const group *g, int head, float *out, float *room) {
  const lsp_run *e = g->e;
  const int64_t ld = e->weights.model.layer[g->layer].output.matrix.cols;
  const size_t bytes = (size_t)g->heads.width * sizeof(float);
  for (int64_t row = 0; row < g->panel->rows; row++, out += g->heads.width) {
    const float *query = query_of(g, head, row);
    if (e->span.layer[g->layer].turns && row % LSP_BLOCK == 0)
      lsp_turn_back(e, g->layer, g->panel->start + row, 0, query, ld, out, room);
    else if (!e->span.layer[g->layer].turns)
      memcpy(out, query, bytes);
    if (factor_of(g, head, query) == 0)
      memset(out, 0, bytes);
  }
}

/* A search of each head of a group, in this thread's scratch. */
typedef struct {
  lsp_search search;
  lsp_search_state state;
  int64_t low, high; /* first and end of its candidates in a source */
} head_search;

/* Floats that a head takes: queries, what the search keeps, and two bounds a row. */
static int64_t head_floats(int width) {
  return (int64_t)LSP_PANEL * width + lsp_search_floats(LSP_PANEL) +
         (int64_t)4 * LSP_PANEL;
}

int64_t lsp_searching_scratch(const lsp_layer *l) {
  const int64_t E = l->heads.width, n = l->heads.query / l->heads.shared;
  const int64_t turning = LSP_BLOCK * (int64_t)l->position.rotated;
  if (lsp_store_of(l) == NULL)
    return 0;
  return lsp_max(n * (head_floats(l->heads.width) +
                      lsp_divide_up(sizeof(head_search), sizeof(float))) +
                     LSP_BLOCK * E + lsp_max(LSP_BLOCK * E, turning) + LSP_LANES,
                 (int64_t)2 * LSP_BLOCK * E * l->heads.shared + turning);
}

/* What the rows of a head may take of a source. Returns 0 if that is nothing. */
static int open_ranges(const group *g, int head, lsp_source from, float *at,
                       head_search *s) {
  int64_t *first = (int64_t *)(void *)at, *end = first + LSP_PANEL;
  s->low = INT64_MAX;
  s->high = INT64_MIN;
  for (int64_t row = 0; row < g->panel->rows; row++) {
    const lsp_keys k = candidates_of(g, head, row);
    first[row] = k.first;
    end[row] = k.end;
    if (k.first >= k.end)
      continue;
    s->low = lsp_min(s->low, k.first);
    s->high = lsp_max(s->high, k.end);
  }
  s->low = lsp_max(s->low, from.first * LSP_BLOCK);
  s->high = lsp_min(s->high, from.end * LSP_BLOCK);
  return s->low < s->high;
}

static void open_head(const group *g, int head, float *at, float *room,
                      head_search *s) {
  const int64_t *first = (const int64_t *)(void *)at;
  float *query = at + (int64_t)4 * LSP_PANEL;
  put_queries(g, head, query, room);
  s->search = (lsp_search){.kernels = &g->e->job.kernels,
                           .width = g->heads.width,
                           .most = g->store->neighbours,
                           .cosine = g->store->cosine,
                           .rows = (int)g->panel->rows,
                           .query = query,
                           .ld = g->heads.width,
                           .first = first,
                           .end = first + LSP_PANEL,
                           .best = best_of(g->e, g->layer, head, g->panel->row),
                           .found = found_of(g->e, head, g->panel->row)};
  lsp_search_begin(&s->search, query + (int64_t)LSP_PANEL * g->heads.width, &s->state);
}

/* --- sweep 1 --------------------------------------------------------------------- */

/* Tiles [low, high) of a source by `n` searches. */
static void look(const group *g, lsp_source from, int64_t low, int64_t high,
                 head_search *s, int n, float *normalised) {
  for (int64_t t = low; t < high; t++) {
    lsp_search_tile tile;
    lsp_search_prepare(&s[0].search,
                       from.tile + (t - from.first) * from.stride +
                           g->shared * lsp_tile_head(g->heads),
                       t * LSP_BLOCK, normalised, &tile);
    for (int i = 0; i < n; i++)
      lsp_search_look(&s[i].search, &s[i].state, &tile);
    if ((t - low) % POLL == POLL - 1)
      lsp_poll(g->e);
  }
}

/* What the group's queries may take of a source. */
static void look_group(const group *g, lsp_source from) {
  const int n = heads_of(g);
  float *at = lsp_scratch_of(g->e);
  head_search *s = (head_search *)(void *)at;
  at += lsp_divide_up(lsp_divide_up(n * (int64_t)sizeof *s, sizeof(float)), LSP_LANES) *
        LSP_LANES;
  float *normalised = at + n * head_floats(g->heads.width);
  int64_t low = INT64_MAX, high = INT64_MIN;
  int searches = 0;
  for (int i = 0; i < n; i++) {
    float *room = at + i * head_floats(g->heads.width);
    if (!open_ranges(g, g->shared * n + i, from, room, &s[searches]))
      continue;
    open_head(g, g->shared * n + i, room, normalised, &s[searches]);
    low = lsp_min(low, s[searches].low);
    high = lsp_max(high, s[searches].high);
    searches++;
  }
  if (searches > 0)
    look(g, from, low / LSP_BLOCK, lsp_divide_up(high, LSP_BLOCK), s, searches,
         normalised);
}

/* Own tiles (round -1) or those of a round, as a source of a panel; empty: it has none. */
static lsp_source source_of(const lsp_run *e, int layer, const lsp_panel *p,
                            int64_t round) {
  const int64_t stride = e->span.layer[layer].tile;
  if (round < 0) {
    const int64_t start = p->piece->start / LSP_BLOCK;
    return (lsp_source){lsp_own_tile(e, layer, p->piece, start), start,
                        (p->start + p->rows) / LSP_BLOCK, stride};
  }
  if (p->piece != &e->span.wave.piece[0] || p->piece->start == 0)
    return (lsp_source){NULL, 0, 0, stride};
  const lsp_tiles t = lsp_past_round(e, layer, round);
  return (lsp_source){lsp_past_tile(e, layer, round, t.first), t.first, t.end, stride};
}

typedef void each_group(const group *g, lsp_source from);

/* Every panel of the span, and every head of keys and values. */
static void for_groups(lsp_run *e, int layer, int64_t round, each_group *each) {
  const double begin = MPI_Wtime();
  const lsp_layer *l = &e->weights.model.layer[layer];
  const lsp_pattern *store = lsp_store_of(l);
  LSP_ASSERT(store != NULL);
#pragma omp parallel for schedule(dynamic) collapse(2) num_threads(e->job.threads)
  for (int64_t i = 0; i < e->span.wave.panels; i++)
    for (int shared = 0; shared < l->heads.shared; shared++) {
      const lsp_panel *p = &e->span.wave.panel[i];
      const group g = {e, layer, shared, p, store, l->heads};
      const lsp_source from = source_of(e, layer, p, round);
      if (from.first < from.end)
        each(&g, from);
      lsp_poll(e);
    }
  e->job.clock.seconds[LSP_PHASE_ATTEND] += MPI_Wtime() - begin;
}

/* --- weights --------------------------------------------------------------------- */

/* A list in the order of positions; its scores become weights, relative to the highest. */
static void weigh_list(const group *g, int head, int64_t row, lsp_partial *to) {
  const int64_t at = g->panel->row + row, i = at % LSP_BLOCK;
  lsp_neighbour *list = best_of(g->e, g->layer, head, at);
  const int n = *found_of(g->e, head, at);
  const double factor = factor_of(g, head, query_of(g, head, row));
  double top = -FLT_MAX, sum = 0;
  lsp_neighbours_order(list, n);
  for (int k = 0; k < n; k++) {
    list[k].score *= factor;
    if (!(list[k].score <= top))
      top = list[k].score;
  }
  to->top[i] = (float)top;
  for (int k = 0; k < n; k++) {
    list[k].score = exp(list[k].score - (double)to->top[i]);
    sum += list[k].score;
  }
  to->sum[i] = (float)sum;
  *added_of(g->e, head, at) = 0;
}

static void weigh_group(const group *g, lsp_source from) {
  (void)from;
  const int n = heads_of(g);
  for (int head = g->shared * n; head < (g->shared + 1) * n; head++)
    for (int64_t row = 0; row < g->panel->rows; row++) {
      lsp_partial to = lsp_search_result(g->e, g->layer, g->panel->row + row, head);
      weigh_list(g, head, row, &to);
      memset(to.out + (g->panel->row + row) % LSP_BLOCK * to.ldo, 0,
             (size_t)to.ldo * sizeof(float));
    }
}

/* --- sweep 2 --------------------------------------------------------------------- */

/* The values of what a list has in a source, which comes in falling order of tiles. */
static void add_list(const group *g, int head, int64_t row, lsp_source from) {
  const int64_t at = g->panel->row + row;
  const lsp_neighbour *list = best_of(g->e, g->layer, head, at);
  const int n = *found_of(g->e, head, at);
  const lsp_partial to = lsp_search_result(g->e, g->layer, at, head);
  float *out = to.out + at % LSP_BLOCK * to.ldo;
  int32_t *k = added_of(g->e, head, at);
  for (; *k < n && list[*k].position >= from.first * LSP_BLOCK; ++*k) {
    const int64_t tile = list[*k].position / LSP_BLOCK;
    LSP_ASSERT(tile < from.end);
    const float *value = from.tile + (tile - from.first) * from.stride +
                         g->shared * lsp_tile_head(g->heads) + lsp_tile_keys(g->heads) +
                         list[*k].position % LSP_BLOCK * to.ldo;
    g->e->job.kernels.add_scaled(to.ldo, out, value, (float)list[*k].score);
  }
}

static void add_group(const group *g, lsp_source from) {
  const int n = heads_of(g);
  for (int head = g->shared * n; head < (g->shared + 1) * n; head++)
    for (int64_t row = 0; row < g->panel->rows; row++)
      add_list(g, head, row, from);
}

/* --- the layer ------------------------------------------------------------------- */

static void search_past(lsp_run *e, int layer, int64_t rounds) {
  const int64_t panels = e->span.wave.panels;
  for (int64_t round = 0; round < rounds; round++) {
    lsp_past_end(e);
    if (round + 1 < rounds)
      lsp_past_begin(e, layer, round + 1);
    for_groups(e, layer, round, look_group);
    if (round == 0)
      turn_fixed(e, layer);
    if (turn_round(e, layer, round))
      lsp_attend(e, layer, 0, panels, (lsp_pass){.walks = 1, .round = round});
  }
}

/* Where the past came in several rounds it comes again. */
static void recall_past(lsp_run *e, int layer, int64_t rounds) {
  const int again = lsp_sizes_sweeps(&e->span.layer[layer], rounds) > 1;
  if (again)
    lsp_past_again(e, layer, 0);
  for_groups(e, layer, -1, weigh_group);
  for_groups(e, layer, -1, add_group);
  for (int64_t round = 0; round < rounds; round++) {
    if (again)
      lsp_past_end(e);
    if (again && round + 1 < rounds)
      lsp_past_again(e, layer, round + 1);
    for_groups(e, layer, round, add_group);
  }
}

void lsp_search_layer(lsp_run *e, int layer) {
  const int64_t panels = e->span.wave.panels, rounds = lsp_past_rounds(e, layer);
  const int compresses = lsp_compressing_branch(&e->weights.model.layer[layer]) != NULL;
  if (compresses)
    lsp_state_expect(e, layer);
  lsp_project(e, layer, 0, panels);
  memset(e->span.found, 0, (size_t)e->span.sizes.found * sizeof(float));
  lsp_past_begin(e, layer, 0);
  for_groups(e, layer, -1, look_group);
  lsp_attend(e, layer, 0, panels, (lsp_pass){.opens = 1});
  search_past(e, layer, rounds);
  recall_past(e, layer, rounds);
  lsp_past_keep_begin(e, layer);
  if (compresses)
    lsp_compressing_layer(e, layer);
  lsp_attend(e, layer, 0, panels, (lsp_pass){.closes = 1});
  lsp_feed(e, layer, 0, panels);
  lsp_past_keep_end(e, layer);
}
