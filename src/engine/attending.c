/* Attention of the span's panels: which tiles a block visits, where they lie, and how the
 * results of a layer's views become one.
 *
 *   run      the keys around or before the query, the highest tile first:
 *            own tiles | rounds of the past, nearest first | positions before 0
 *   fixed    the first tiles of the document, nearest first, as far as the run does not
 *            show them
 *   picked   blocks one by one, the highest first, as far as neither shows them
 *   pooled   rows of each level, the highest first
 *   learned  slots, the highest first
 *   store    what was found (search.c)
 *
 * Each source but the run is a partial result of its own, merged after those before it. The
 * order is one of positions; where a tile lies, and in which pass it is walked, changes no
 * bit. */
#include "attending.h"
#include "ahead.h"
#include "compressing.h"
#include "globals.h"
#include "picks.h"
#include "search.h"
#include "turning.h"

#include <string.h>

enum {
  VISITS = 64, /* tiles that are listed at once */
  SOURCES = 3, /* runs of tiles that a run of keys lies in */
  PICKED = LSP_BLOCK * LSP_PICKS_MAX + LSP_BRANCHES_MAX * LSP_PICKS_MAX
};

/* A block of a head and view under way. */
typedef struct {
  lsp_run *e;
  int layer, head, view;
  const lsp_panel *panel;
  int64_t position; /* of its first row */
  float *query;     /* (64, ld): in the span's queries, this head's columns */
  int64_t ld;
  lsp_queries queries;
  int64_t first[LSP_BLOCK], end[LSP_BLOCK]; /* what a source shows, relative */
  lsp_attending work;
  float *scratch; /* after lsp_attend_scratch: (2, 64 Ep) partials, the sum of views,
                     queries turned back */
  float weight[LSP_BLOCK]; /* of a result, row by row */
  int64_t visits;
} block;

/* Rows [low, high) that any query sees; empty if high <= low. */
typedef struct {
  int64_t low, high;
} extent;

static int64_t block_floats(const block *b) {
  return (int64_t)LSP_BLOCK * lsp_padded(b->queries.heads.width);
}

static int shared_of(const block *b) {
  return b->head / (b->queries.heads.query / b->queries.heads.shared);
}

static const lsp_view *view_of(const block *b) {
  return &b->e->weights.layer[b->layer].view[b->view];
}

/* --- walking --------------------------------------------------------------------- */

/* Tiles [low, high) of a source, the highest first. */
static void walk(block *b, lsp_source from, int64_t low, int64_t high,
                 const lsp_partial *to) {
  const lsp_seen seen = {b->first, b->end};
  lsp_visit visit[VISITS];
  const int64_t here = b->position / LSP_BLOCK;
  const float *part = from.tile + shared_of(b) * lsp_tile_head(b->queries.heads);
  low = lsp_max(low, from.first);
  for (int64_t tile = lsp_min(high, from.end) - 1; tile >= low;) {
    int64_t n = 0;
    for (; n < VISITS && tile >= low; n++, tile--)
      visit[n] = (lsp_visit){.tile = part + (tile - from.first) * from.stride,
                             .back = here - tile};
    lsp_attend_walk(&b->queries, &seen, visit, n, &b->work, to);
    b->visits += n;
  }
}

/* What row i sees of a source. */
static void see(block *b, int i, lsp_keys k, extent *all) {
  b->first[i] = k.first - b->position;
  b->end[i] = k.end - b->position;
  if (k.first >= k.end)
    return;
  all->low = lsp_min(all->low, k.first);
  all->high = lsp_max(all->high, k.end);
}

/* The part of a run that the frame has. */
static lsp_keys within(const block *b, lsp_keys k) {
  const int64_t end = lsp_plan_end(&b->e->text.plan, b->panel->piece->frame);
  return (lsp_keys){k.first, lsp_min(k.end, end)};
}

static lsp_partial part_of(const block *b, const lsp_partial *to, float top[LSP_BLOCK],
                           float sum[LSP_BLOCK]) {
  return (lsp_partial){b->scratch + block_floats(b), to->ldo, top, sum};
}

/* Begins a source beside the run. What the window of strips holds was cut to what the last
 * source shows. */
static void begin_part(block *b, const lsp_partial *part) {
  b->work.strip = -2;
  lsp_attend_empty(&b->queries, part);
}

static void merge_part(block *b, const lsp_partial *to, const lsp_partial *part) {
  if (b->queries.normalize == LSP_NORMALIZE_NONE)
    b->e->job.kernels.add(block_floats(b), to->out, part->out);
  else
    b->e->job.kernels.softmax_merge(b->queries.rows, to->ldo, to, part);
}

/* --- the run --------------------------------------------------------------------- */

/* Where the run's tiles lie, the highest first. */
static int run_sources(const block *b, lsp_pass pass, lsp_source source[SOURCES]) {
  const lsp_piece *piece = b->panel->piece;
  if (b->e->weights.model.two_sided)
    return lsp_ahead_sources(b->e, b->layer, piece, pass.walks, source);
  const int64_t stride = b->e->span.layer[b->layer].tile;
  const int64_t start = piece->start / LSP_BLOCK;
  int n = 0;
  if (pass.opens)
    source[n++] = (lsp_source){lsp_walked_tile(b->e, b->layer, piece, start), start,
                               b->position / LSP_BLOCK + 1, stride};
  if (pass.walks && start > 0 && piece == &b->e->span.wave.piece[0]) {
    const lsp_tiles t = lsp_past_round(b->e, b->layer, pass.round);
    source[n++] = (lsp_source){lsp_past_tile(b->e, b->layer, pass.round, t.first),
                               t.first, t.end, stride};
  }
  if (pass.closes && b->e->weights.layer[b->layer].ghost != NULL)
    source[n++] =
        (lsp_source){b->e->weights.layer[b->layer].ghost, INT64_MIN / 2, 0, 0};
  return n;
}

static void walk_run(block *b, lsp_pass pass, const lsp_partial *to) {
  lsp_source source[SOURCES];
  extent all = {INT64_MAX, INT64_MIN};
  if (view_of(b)->runs == 0)
    return;
  for (int i = 0; i < b->queries.rows; i++)
    see(b, i, within(b, lsp_view_run(view_of(b), b->head, b->position + i)), &all);
  const int n = run_sources(b, pass, source);
  for (int s = 0; s < n && all.low < all.high; s++)
    walk(b, source[s], lsp_block_of(all.low), lsp_block_of(all.high - 1) + 1, to);
}

/* --- fixed keys ------------------------------------------------------------------ */

/* The first tiles of the piece's document: its own, and those before it. */
static void walk_fixed(block *b, int64_t low, int64_t high, const lsp_partial *to) {
  const lsp_piece *piece = b->panel->piece;
  lsp_source source[SOURCES];
  const int n = b->e->weights.model.two_sided
                    ? lsp_ahead_fixed(b->e, b->layer, piece, source)
                    : 0;
  for (int i = 0; i < n; i++)
    walk(b, source[i], low, high, to);
  if (n > 0)
    return;
  const int64_t stride = b->e->span.layer[b->layer].tile;
  const int64_t start = piece->start / LSP_BLOCK;
  walk(b,
       (lsp_source){lsp_walked_tile(b->e, b->layer, piece, start), start, high, stride},
       low, high, to);
  if (start > 0)
    walk(b, (lsp_source){lsp_walked_fixed(b->e, b->layer), 0, start, stride}, low, high,
         to);
}

/* Sinks that are scored as if just before the window: queries stand elsewhere. */
static void stand_after_sinks(block *b) {
  const lsp_view *v = view_of(b);
  float *turned = b->scratch + 3 * block_floats(b);
  lsp_turn_back(b->e, b->layer, b->position,
                lsp_window_of(v->run[0], b->head) - 1 + v->fixed->sinks, b->query,
                b->ld, turned, turned + block_floats(b));
  b->queries.query = turned;
  b->queries.ld_query = b->queries.heads.width;
  lsp_attend_begin(&b->queries, lsp_scratch_of(b->e), &b->work);
}

static void add_fixed(block *b, const lsp_partial *to) {
  const lsp_view *v = view_of(b);
  float top[LSP_BLOCK], sum[LSP_BLOCK];
  const lsp_partial part = part_of(b, to, top, sum);
  int begun = 0;
  for (int n = 0; n < lsp_view_fixed_ranges(v); n++) {
    extent all = {INT64_MAX, INT64_MIN};
    for (int i = 0; i < b->queries.rows; i++)
      see(b, i, within(b, lsp_view_fixed_range(v, n, b->head, b->position + i)), &all);
    if (all.low >= all.high)
      continue;
    if (!begun && v->fixed->in_window)
      stand_after_sinks(b);
    if (!begun)
      begin_part(b, &part);
    begun = 1;
    b->work.strip = -2;
    walk_fixed(b, lsp_block_of(all.low), lsp_block_of(all.high - 1) + 1, &part);
  }
  if (begun)
    merge_part(b, to, &part);
}

/* --- picked blocks --------------------------------------------------------------- */

/* Two rising lists in one, each number once; the second goes into the first, of n. */
static int64_t unite(int64_t *list, int64_t n, const int64_t *more, int64_t m) {
  int64_t fresh = 0;
  for (int64_t i = 0, k = 0; k < m; k++) {
    while (i < n && list[i] < more[k])
      i++;
    fresh += i == n || list[i] != more[k];
  }
  for (int64_t at = n + fresh - 1, i = n - 1, k = m - 1; k >= 0; at--) {
    if (i >= 0 && list[i] >= more[k]) {
      k -= list[i] == more[k];
      list[at] = list[i--];
    } else {
      list[at] = more[k--];
    }
  }
  return n + fresh;
}

/* What is drawn for the block, wherever it lies: two-sided layers have it at hand. */
static int64_t list_drawn(const block *b, int64_t tile[PICKED]) {
  const lsp_view *v = view_of(b);
  const int64_t end = lsp_plan_end(&b->e->text.plan, b->panel->piece->frame);
  int64_t more[LSP_PICKS_MAX], n = 0;
  for (int i = 0; i < v->picks; i++)
    n = unite(tile, n, more,
              lsp_draw_blocks(v->picked[i], b->layer, b->head, b->position / LSP_BLOCK,
                              lsp_divide_up(end, LSP_BLOCK), more));
  return n;
}

/* All that the view's branches pick for the block. */
static int64_t list_picked(const block *b, int64_t tile[PICKED]) {
  const lsp_view *v = view_of(b);
  int64_t more[LSP_BLOCK * LSP_PICKS_MAX], n = 0;
  if (b->e->weights.model.two_sided)
    return list_drawn(b, tile);
  for (int i = 0; i < v->picks; i++) {
    LSP_ASSERT(lsp_picks_most(b->e, b->layer, v->picked[i]) <=
               (int64_t)LSP_BLOCK * LSP_PICKS_MAX);
    n = unite(tile, n, more,
              lsp_picks_of(b->e, b->layer, v->picked[i], b->panel, b->position, b->head,
                           more));
  }
  return n;
}

static int sees_tile(const block *b, int64_t position, int64_t tile) {
  const lsp_view *v = view_of(b);
  if (b->e->weights.model.two_sided)
    return 1; /* all rows of a block draw alike */
  for (int i = 0; i < v->picks; i++)
    if (lsp_picks_sees(b->e, b->layer, v->picked[i], b->panel, position, b->head, tile))
      return 1;
  return 0;
}

/* What the query at a position sees of a tile that neither run nor fixed keys show it.
 * Fixed keys beside picked blocks are the first of the document. */
static lsp_keys picked_keys(const block *b, int64_t position, int64_t tile, int above) {
  const lsp_view *v = view_of(b);
  const lsp_keys none = {0, 0};
  const int64_t end = lsp_plan_end(&b->e->text.plan, b->panel->piece->frame);
  if (!sees_tile(b, position, tile))
    return none;
  lsp_keys k = {tile * LSP_BLOCK, lsp_min((tile + 1) * LSP_BLOCK, end)};
  for (int n = 0; n < lsp_view_fixed_ranges(v); n++)
    k.first = lsp_max(k.first, lsp_view_fixed_range(v, n, b->head, position).end);
  return lsp_keys_outside(k, lsp_view_run(v, b->head, position), above);
}

/* The block's key/value head of a picked tile. */
static const float *picked_tile(const block *b, int64_t tile) {
  const lsp_piece *piece = b->panel->piece;
  if (!b->e->weights.model.two_sided)
    return lsp_picks_tile(b->e, b->layer, piece, tile, shared_of(b));
  return lsp_ahead_tile(b->e, b->layer, piece, tile) +
         shared_of(b) * lsp_tile_head(b->queries.heads);
}

/* One tile: what of it is before the run, then (two-sided) what is after it. */
static void walk_picked(block *b, int64_t tile, const lsp_partial *to) {
  const lsp_seen seen = {b->first, b->end};
  const lsp_visit visit = {.tile = picked_tile(b, tile),
                           .back = b->position / LSP_BLOCK - tile};
  const int parts = b->e->weights.model.two_sided ? 2 : 1;
  for (int above = 0; above < parts; above++) {
    extent all = {INT64_MAX, INT64_MIN};
    for (int i = 0; i < b->queries.rows; i++)
      see(b, i, picked_keys(b, b->position + i, tile, above), &all);
    if (all.low >= all.high)
      continue;
    b->work.strip = -2;
    lsp_attend_walk(&b->queries, &seen, &visit, 1, &b->work, to);
    b->visits++;
  }
}

static void add_picked(block *b, const lsp_partial *to) {
  float top[LSP_BLOCK], sum[LSP_BLOCK];
  int64_t tile[PICKED];
  const lsp_partial part = part_of(b, to, top, sum);
  int64_t n = view_of(b)->picks > 0 ? list_picked(b, tile) : 0;
  if (n == 0)
    return;
  begin_part(b, &part);
  while (n > 0)
    walk_picked(b, tile[--n], &part);
  merge_part(b, to, &part);
}

/* --- pooled rows ----------------------------------------------------------------- */

/* Number of the stratum of a level of the view. */
static int stratum_of(const block *b, int level) {
  const lsp_layer *l = &b->e->weights.model.layer[b->layer];
  int n = level - 1;
  for (const lsp_pattern *p = l->branch; p != view_of(b)->pooled; p++)
    n += lsp_pattern_levels(p);
  return n;
}

/* Rows of a level: they are counted in rows of their own, from 0. */
static void walk_level(block *b, int level, const lsp_partial *to) {
  const lsp_pattern *p = view_of(b)->pooled;
  const lsp_source from =
      lsp_strata_tiles(b->e, b->layer, stratum_of(b, level), b->panel->piece);
  const float *part = from.tile + shared_of(b) * lsp_tile_head(b->queries.heads);
  const lsp_seen seen = {b->first, b->end};
  const int64_t unit = lsp_level_unit(p, level);
  extent all = {INT64_MAX, INT64_MIN};
  for (int i = 0; i < b->queries.rows; i++) {
    const lsp_keys k = lsp_pooled_keys(p, level, b->position + i);
    see(b, i, k, &all);
    b->first[i] = k.first;
    b->end[i] = k.end;
  }
  if (all.low >= all.high)
    return;
  for (int64_t tile = (all.high - 1) / LSP_BLOCK; tile >= all.low / LSP_BLOCK; tile--) {
    const lsp_visit visit = {.tile = part + (tile - from.first) * from.stride,
                             .back = -tile,
                             .unit = unit,
                             .distance =
                                 b->position + 1 - (tile * LSP_BLOCK + 1) * unit};
    LSP_ASSERT(tile >= from.first && tile < from.end);
    lsp_attend_walk(&b->queries, &seen, &visit, 1, &b->work, to);
    b->visits++;
  }
}

static void add_pooled(block *b, const lsp_partial *to) {
  const lsp_pattern *p = view_of(b)->pooled;
  float top[LSP_BLOCK], sum[LSP_BLOCK];
  for (int level = 1; p != NULL && level <= lsp_pattern_levels(p); level++) {
    const lsp_partial part = part_of(b, to, top, sum);
    begin_part(b, &part);
    walk_level(b, level, &part);
    merge_part(b, to, &part);
  }
}

/* --- learned slots --------------------------------------------------------------- */

/* They stand nowhere: queries are as they are before they are turned, and scores have no
 * term of position. */
static lsp_queries ask_slots(block *b) {
  lsp_queries q = b->queries;
  float *turned = b->scratch + 3 * block_floats(b);
  q.distances.strips = NULL;
  q.slope = 0;
  if (b->e->weights.model.layer[b->layer].position.kind != LSP_POSITION_ROTARY)
    return q;
  lsp_turn_back(b->e, b->layer, b->position, 0, b->query, b->ld, turned,
                turned + block_floats(b));
  q.query = turned;
  q.ld_query = q.heads.width;
  return q;
}

static void walk_slots(block *b, const lsp_queries *q, const lsp_partial *to) {
  const lsp_prepared *made = &b->e->weights.layer[b->layer];
  const int64_t slots = view_of(b)->learned->slots;
  const lsp_seen seen = {b->first, b->end};
  for (int i = 0; i < q->rows; i++) {
    b->first[i] = 0;
    b->end[i] = slots;
  }
  for (int64_t tile = (slots - 1) / LSP_BLOCK; tile >= 0; tile--) {
    const lsp_visit visit = {.tile = made->slots + tile * lsp_tile_floats(q->heads) +
                                     shared_of(b) * lsp_tile_head(q->heads),
                             .back = -tile};
    lsp_attend_walk(q, &seen, &visit, 1, &b->work, to);
    b->visits++;
  }
}

static void add_learned(block *b, const lsp_partial *to) {
  float top[LSP_BLOCK], sum[LSP_BLOCK];
  if (view_of(b)->learned == NULL)
    return;
  const lsp_partial part = part_of(b, to, top, sum);
  const lsp_queries q = ask_slots(b);
  lsp_attend_begin(&q, lsp_scratch_of(b->e), &b->work);
  begin_part(b, &part);
  walk_slots(b, &q, &part);
  merge_part(b, to, &part);
}

/* --- a store --------------------------------------------------------------------- */

static void add_store(block *b, const lsp_partial *to) {
  if (view_of(b)->store == NULL)
    return;
  const int64_t row = b->panel->row + b->position - b->panel->start;
  const lsp_partial part = lsp_search_result(b->e, b->layer, row, b->head);
  merge_part(b, to, &part);
}

/* --- views ----------------------------------------------------------------------- */

lsp_queries lsp_queries_of(const lsp_run *e, int layer, int head) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const lsp_prepared *made = &e->weights.layer[layer];
  const int64_t column = (int64_t)head * l->heads.width;
  const int relative = l->position.kind == LSP_POSITION_RELATIVE;
  return (lsp_queries){
      .kernels = &e->job.kernels,
      .heads = l->heads,
      .head = head,
      .normalize = LSP_NORMALIZE_SOFTMAX,
      .scale = l->scale,
      .cap = l->score_cap,
      .u = relative ? l->position.u + column : e->weights.zeros,
      .v = relative ? l->position.v + column : e->weights.zeros,
      .distances = {made->strips, made->strip_count, l->position.clamp},
      .slope = l->position.kind == LSP_POSITION_ALIBI ? l->position.slope[head] : 0};
}

static void ask(block *b) {
  const lsp_view *v = view_of(b);
  lsp_queries *q = &b->queries;
  *q = lsp_queries_of(b->e, b->layer, b->head);
  q->normalize = v->normalize;
  if (v->soft != NULL) {
    q->span = lsp_layer_span(&b->e->weights.model.layer[b->layer], v->soft, b->head);
    q->ramp = (float)v->soft->ramp;
  }
  q->rows = (int)lsp_min(LSP_BLOCK, b->panel->piece->end - b->position);
  q->query = b->query;
  q->ld_query = b->ld;
}

/* Where the result of a view is kept between passes; in scratch where there is but one. */
static lsp_partial partial_of(const block *b, lsp_pass pass, float top[LSP_BLOCK],
                              float sum[LSP_BLOCK]) {
  const lsp_run *e = b->e;
  const int64_t Ep = lsp_padded(b->queries.heads.width), H = b->queries.heads.query;
  if (pass.opens && pass.closes)
    return (lsp_partial){b->scratch, Ep, top, sum};
  const int64_t blocks = e->span.sizes.span_rows / LSP_BLOCK;
  const int64_t row = b->panel->row + b->position - b->panel->start;
  const int64_t number = (b->view * blocks + row / LSP_BLOCK) * H + b->head;
  float *at = e->span.partials + number * LSP_BLOCK * (Ep + 2);
  return (lsp_partial){at, Ep, at + LSP_BLOCK * Ep, at + LSP_BLOCK * (Ep + 1)};
}

/* 1: the memory holds nothing yet for the query at a position. */
static int is_empty(const lsp_view *memory, int64_t position) {
  if (memory->store != NULL)
    return lsp_store_candidates(memory->store, position).end == 0;
  return memory->compressive != NULL && position < memory->compressive->segment;
}

/* Beside a memory that holds nothing yet the result of the others stays as it is. */
static lsp_weight weight_beside(block *b, float all) {
  const lsp_view *memory = &b->e->weights.layer[b->layer].view[1];
  for (int i = 0; i < b->queries.rows; i++)
    b->weight[i] = is_empty(memory, b->position + i) ? 1.0f - (float)b->view : all;
  return (lsp_weight){.row = b->weight, .ld = 1};
}

/* What the view's result is weighted by. */
static lsp_weight weight_of(block *b) {
  const lsp_run *e = b->e;
  const lsp_prepared *made = &e->weights.layer[b->layer];
  const int64_t at = (int64_t)b->view * b->queries.heads.query + b->head;
  const int64_t ld = e->weights.model.layer[b->layer].input_gate.rows;
  if (ld > 0) {
    const int64_t row = b->panel->row + b->position - b->panel->start;
    return (lsp_weight){.row = e->span.gates + row * ld + at, .ld = ld};
  }
  if (made->gate == NULL)
    return (lsp_weight){.all = 1.0f};
  const lsp_layer *l = &e->weights.model.layer[b->layer];
  if (l->merge == LSP_MERGE_MEMORY && l->gate_skips)
    return weight_beside(b, made->gate[at]);
  return (lsp_weight){.all = made->gate[at]};
}

/* The view's result becomes, or is added to, that of the block. Where the queries are it
 * goes only once all views have read them; side by side all but the first have columns of
 * their own. */
static void finish(block *b, const lsp_partial *p) {
  const int views = b->e->weights.layer[b->layer].views;
  const int concat = b->e->weights.model.layer[b->layer].merge == LSP_MERGE_CONCAT;
  const int width = b->queries.heads.width;
  const int64_t A = (int64_t)b->queries.heads.query * width;
  const lsp_weight weight = weight_of(b);
  float *sum = b->scratch + 2 * block_floats(b);
  if (views == 1)
    lsp_attend_finish(&b->queries, p, weight, 0, b->query, b->ld);
  else if (concat && b->view > 0)
    lsp_attend_finish(&b->queries, p, weight, 0, b->query + b->view * A, b->ld);
  else
    lsp_attend_finish(&b->queries, p, weight, b->view > 0, sum, width);
  if (views > 1 && b->view + 1 == views)
    for (int i = 0; i < b->queries.rows; i++)
      memcpy(b->query + i * b->ld, sum + (int64_t)i * width,
             (size_t)width * sizeof(float));
}

/* What the rows have read of a compressive memory. */
static void take_compressed(block *b) {
  const lsp_heads h = b->queries.heads;
  const int64_t A = (int64_t)h.query * h.width, Ep = lsp_padded(h.width);
  const int64_t row = b->panel->row + b->position - b->panel->start;
  const float *from =
      lsp_compressing_results(b->e, b->layer) + row * A + (int64_t)b->head * h.width;
  float top[LSP_BLOCK] = {0}, sum[LSP_BLOCK];
  const lsp_partial p = {b->scratch, Ep, top, sum};
  for (int i = 0; i < b->queries.rows; i++) {
    memcpy(p.out + i * Ep, from + i * A, (size_t)h.width * sizeof(float));
    sum[i] = 1;
  }
  finish(b, &p);
}

static void attend_view(block *b, lsp_pass pass) {
  float top[LSP_BLOCK], sum[LSP_BLOCK];
  ask(b);
  float *scratch = lsp_scratch_of(b->e);
  b->scratch = scratch + lsp_attend_scratch(b->queries.heads);
  if (view_of(b)->compressive != NULL) {
    if (pass.closes)
      take_compressed(b);
    return;
  }
  lsp_attend_begin(&b->queries, scratch, &b->work);
  const lsp_partial p = partial_of(b, pass, top, sum);
  if (pass.opens)
    lsp_attend_empty(&b->queries, &p);
  walk_run(b, pass, &p);
  if (!pass.closes)
    return;
  add_fixed(b, &p);
  add_picked(b, &p);
  add_pooled(b, &p);
  add_learned(b, &p);
  add_store(b, &p);
  if (view_of(b)->fixed != NULL && view_of(b)->fixed->kind == LSP_PATTERN_GLOBAL)
    lsp_globals_replace(b->e, b->layer, b->panel, b->position, b->head, &p);
  finish(b, &p);
}

/* Rows after the last token become zero, so that what follows is finite. Returns the
 * visits. */
static int64_t attend_block(block *b, lsp_pass pass) {
  const lsp_heads h = b->e->weights.model.layer[b->layer].heads;
  const int64_t rows = lsp_min(LSP_BLOCK, b->panel->piece->end - b->position);
  b->visits = 0;
  for (int64_t i = lsp_max(rows, 0); i < LSP_BLOCK; i++)
    for (int64_t at = 0; at < b->ld; at += (int64_t)h.query * h.width)
      memset(b->query + i * b->ld + at, 0, (size_t)h.width * sizeof(float));
  if (rows <= 0)
    return 0;
  for (b->view = 0; b->view < b->e->weights.layer[b->layer].views; b->view++)
    attend_view(b, pass);
  return b->visits;
}

void lsp_attend(lsp_run *e, int layer, int64_t first, int64_t end, lsp_pass pass) {
  const double begin = MPI_Wtime();
  const lsp_layer *l = &e->weights.model.layer[layer];
  const lsp_heads h = l->heads;
  const int64_t ld = l->output.matrix.cols; /* at least that of the queries */
  const lsp_panel *panel = e->span.wave.panel;
  int64_t visits = 0;
#pragma omp parallel for schedule(dynamic) collapse(2) num_threads(e->job.threads)     \
    reduction(+ : visits)
  for (int64_t i = first; i < end; i++)
    for (int head = 0; head < h.query; head++) {
      for (int row = 0; row < panel[i].rows; row += LSP_BLOCK) {
        block b = {.e = e,
                   .layer = layer,
                   .head = head,
                   .panel = &panel[i],
                   .position = panel[i].start + row,
                   .query =
                       e->span.q + (panel[i].row + row) * ld + (int64_t)head * h.width,
                   .ld = ld};
        visits += attend_block(&b, pass);
      }
      lsp_poll(e);
    }
  e->job.clock.visits += visits;
  e->job.clock.seconds[LSP_PHASE_ATTEND] += MPI_Wtime() - begin;
}
