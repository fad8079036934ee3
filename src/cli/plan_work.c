/* The work of attention over frames of any length. Beyond some position every pattern
 * is periodic but for what grows with the position, so that a beginning and two periods
 * say all:
 *
 *   0 ........ base | period | period | ...          costs per position (or per block)
 *   each counted    | a      | a + b  | a + 2 b ...
 */
#include "estimate.h"
#include "model_words.h"

#include <stdlib.h>

/* Positions that are counted one by one, at most: what two periods begin after. */
enum { COUNTED_MOST = 1 << 22 };

typedef struct {
  int64_t base, period; /* units: positions or blocks */
  double *sum;          /* (base + 2 period + 1) of the units before; NULL: too many */
} series;

typedef struct {
  const lsp_model *one; /* with this layer alone */
  int64_t unit;         /* positions of a unit */
  double (*cost)(const lsp_model *one, int64_t first, int64_t end);
} costing;

static int64_t divisor_of(int64_t a, int64_t b) {
  while (b != 0) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/* A multiple of both; what is too large stays too large. */
static int64_t multiple_of(int64_t a, int64_t b) {
  return a > COUNTED_MOST || b > COUNTED_MOST ? (int64_t)COUNTED_MOST + 1
                                              : a / divisor_of(a, b) * b;
}

/* Where means look back to all that they ever will, and after how many positions their
 * rows begin tiles of their own again. */
static int64_t settled_of(const lsp_pattern *p) {
  const int64_t far = lsp_words_far(p);
  return far == LSP_REACH_ALL ? 1 : lsp_min(far, COUNTED_MOST) + p->pool;
}

static int64_t period_of(const lsp_pattern *p) {
  const int levels = lsp_pattern_levels(p);
  if (p->kind == LSP_PATTERN_RECURRENCE && !p->same_length)
    return lsp_max(p->segment, 1);
  return levels == 0 ? 1 : LSP_GRID_BLOCK * lsp_level_unit(p, levels);
}

/* From `base` on nothing begins before position 0, and fixed keys are apart. */
static void find_period(const lsp_layer *l, int64_t unit, series *s) {
  int64_t base = 1, sinks = 0, period = unit;
  for (int b = 0; b < l->branches; b++) {
    const lsp_pattern *p = &l->branch[b];
    base = lsp_max(base, lsp_max(p->window + p->ramp, p->memory + p->segment));
    if (lsp_pattern_levels(p) > 0)
      base = lsp_max(base, settled_of(p));
    sinks = lsp_max(sinks, lsp_max(p->sinks, lsp_layer_fixed(l)));
    period = lsp_max(1, multiple_of(period, period_of(p)));
  }
  s->period = period / unit;
  s->base = lsp_divide_up(base + sinks, period) * s->period + 1;
}

/* As far as the longest frame, whose units are `most`, needs it. */
static void count(const costing *c, int64_t most, series *s) {
  const int64_t units = lsp_min(s->base + 2 * s->period, most);
  if (units > COUNTED_MOST / c->unit)
    return;
  s->sum = calloc((size_t)units + 1, sizeof *s->sum);
  for (int64_t i = 0; s->sum != NULL && i < units; i++)
    s->sum[i + 1] = s->sum[i] + c->cost(c->one, i * c->unit, (i + 1) * c->unit);
}

/* Of the units [0, n). */
static double total(const series *s, int64_t n) {
  const int64_t counted = s->base + 2 * s->period;
  if (n <= counted)
    return s->sum[n];
  const int64_t periods = (n - s->base) / s->period;
  const double k = (double)periods;
  const int64_t rest = (n - s->base) % s->period;
  const double first = s->sum[s->base + s->period] - s->sum[s->base];
  const double second = s->sum[counted] - s->sum[s->base + s->period];
  /* the rest lies k periods on: it grows as the whole period does */
  const double part = s->sum[s->base + rest] - s->sum[s->base];
  const double next = s->sum[s->base + s->period + rest] - s->sum[s->base + s->period];
  return s->sum[s->base] + k * first + (second - first) * k * (k - 1) / 2 + part +
         k * (next - part);
}

/* Tiles of pooled rows that a block of queries touches, of all levels. */
static int64_t pooled_tiles(const lsp_pattern *p, int64_t first, int64_t end) {
  int64_t tiles = 0;
  for (int level = 1; level <= lsp_pattern_levels(p); level++) {
    lsp_keys all = {INT64_MAX, 0};
    for (int64_t i = first; i < end; i++) {
      const lsp_keys k = lsp_pooled_keys(p, level, i);
      if (k.first >= k.end)
        continue;
      all.first = lsp_min(all.first, k.first);
      all.end = lsp_max(all.end, k.end);
    }
    if (all.first < all.end)
      tiles += lsp_block_of(all.end - 1) - lsp_block_of(all.first) + 1;
  }
  return tiles;
}

/* Tile products of a block of queries, over all heads. rows: of the frame, which two-sided
 * layers see to its end. */
static double visits_in(const lsp_layer *l, lsp_keys block, int64_t rows) {
  lsp_view view[LSP_BRANCHES_MAX];
  const int views = lsp_layer_views(l, view);
  double sum = 0;
  int differ = 0;
  for (int b = 0; b < l->branches; b++)
    differ = differ || l->branch[b].windows != NULL;
  const int heads = differ ? l->heads.query : 1;
  for (int v = 0; v < views; v++)
    for (int h = 0; h < heads; h++) {
      sum += (double)lsp_view_tiles(&view[v], h, block.first, block.end, rows);
      if (view[v].pooled != NULL)
        sum += (double)pooled_tiles(view[v].pooled, block.first, block.end);
    }
  return sum * l->heads.query / heads;
}

static double visits_of(const lsp_model *one, int64_t first, int64_t end) {
  return visits_in(&one->layer[0], (lsp_keys){first, end}, 0);
}

/* A frame without text has no rows, whatever its prefix. */
static int64_t rows_of(const lsp_plan *plan, int64_t f) {
  return lsp_plan_tokens_of(plan, f) == 0 ? 0 : lsp_plan_end(plan, f);
}

/* 1: pairs of any number of positions are worked out at once. */
static int is_summed(const lsp_layer *l) {
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].two_sided || l->branch[b].kind > LSP_PATTERN_RECURRENCE)
      return 1;
  return 0;
}

static double summed(const lsp_model *one, const lsp_plan *plan) {
  double sum = 0, last = 0;
  int64_t rows = 0;
  for (int64_t f = 0; f < plan->frames; f++) {
    const int64_t n = rows_of(plan, f);
    if (n != rows)
      last = lsp_model_flops_of_pairs(one, 0, n);
    rows = n;
    sum += last;
  }
  return sum;
}

static double flops_of_layer(const lsp_model *one, const lsp_plan *plan) {
  const costing c = {one, 1, lsp_model_flops_of_pairs};
  series s = {0};
  double sum = 0;
  if (is_summed(&one->layer[0]))
    return summed(one, plan);
  find_period(&one->layer[0], c.unit, &s);
  count(&c, lsp_plan_longest(plan), &s);
  for (int64_t f = 0; f < plan->frames; f++) {
    const int64_t n = rows_of(plan, f);
    sum += s.sum != NULL ? total(&s, n) : lsp_model_flops_of_pairs(one, 0, n);
  }
  free(s.sum);
  return sum;
}

/* Blocks of a frame from which on, and up to which before its end, a two-sided layer
 * touches as many tiles in each. */
static int64_t border_of(const lsp_layer *l) {
  int64_t rows = lsp_layer_fixed(l);
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_LOCAL)
      rows = lsp_max(rows, lsp_layer_fixed(l) + l->branch[b].window);
  return lsp_divide_up(rows, LSP_GRID_BLOCK) + 1;
}

/* Blocks of queries among which are global rows: each sees all tiles. */
static int64_t global_blocks(const lsp_layer *l, int64_t rows) {
  int64_t blocks = 0, last = -1;
  for (int b = 0; b < l->branches; b++)
    for (int64_t i = 0; i < lsp_min(rows, LSP_SINKS_MAX); i++)
      if (l->branch[b].kind == LSP_PATTERN_GLOBAL &&
          lsp_pattern_is_global(&l->branch[b], i) && lsp_block_of(i) != last) {
        last = lsp_block_of(i);
        blocks++;
      }
  return blocks;
}

static double visits_around(const lsp_layer *l, int64_t rows) {
  const int64_t blocks = lsp_divide_up(rows, LSP_GRID_BLOCK);
  const int64_t border = lsp_min(border_of(l), blocks);
  double sum = (double)global_blocks(l, rows) * (double)blocks * l->heads.query;
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t first = b * LSP_GRID_BLOCK;
    const int64_t alike = b == border ? lsp_max(1, blocks - 2 * border) : 1;
    sum += (double)alike *
           visits_in(l, (lsp_keys){first, lsp_min(rows, first + LSP_GRID_BLOCK)}, rows);
    b += alike - 1;
  }
  return sum;
}

static double visits_two_sided(const lsp_layer *l, const lsp_plan *plan) {
  double sum = 0, last = 0;
  int64_t rows = 0;
  for (int64_t f = 0; f < plan->frames; f++) {
    const int64_t n = rows_of(plan, f);
    if (n != rows)
      last = visits_around(l, n);
    rows = n;
    sum += last;
  }
  return sum;
}

/* The last block of a frame may have fewer rows. What is picked is not known, but as the
 * program runs. */
static double visits_of_layer(const lsp_model *one, const lsp_plan *plan) {
  const costing c = {one, LSP_GRID_BLOCK, visits_of};
  series s = {0};
  double sum = 0;
  if (lsp_layer_picks(&one->layer[0]))
    return -1;
  if (one->two_sided)
    return visits_two_sided(&one->layer[0], plan);
  find_period(&one->layer[0], c.unit, &s);
  count(&c, lsp_plan_longest(plan) / LSP_GRID_BLOCK, &s);
  for (int64_t f = 0; f < plan->frames && s.sum != NULL; f++) {
    const int64_t n = rows_of(plan, f), blocks = n / LSP_GRID_BLOCK;
    sum += total(&s, blocks);
    if (n % LSP_GRID_BLOCK > 0)
      sum += visits_of(one, blocks * LSP_GRID_BLOCK, n);
  }
  const int counted = s.sum != NULL;
  free(s.sum);
  return counted ? sum : -1;
}

plan_work lsp_plan_work(const lsp_model *model, int i, const lsp_plan *plan) {
  lsp_model one = *model;
  one.layers = 1;
  one.layer = &model->layer[i];
  return (plan_work){flops_of_layer(&one, plan), visits_of_layer(&one, plan)};
}
