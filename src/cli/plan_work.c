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

/* Positions after which a pattern is periodic, and how many a period has. */
static void settle(const lsp_pattern *p, int64_t *base, int64_t *period) {
  *base = lsp_max(p->window, p->memory + p->segment);
  *period = 1;
  switch (p->kind) {
  case LSP_PATTERN_RECURRENCE:
    *period = p->same_length ? 1 : lsp_max(p->segment, 1);
    return;
  case LSP_PATTERN_GLOBAL:
    *base = LSP_SINKS_MAX;
    return;
  case LSP_PATTERN_RANDOM:
  case LSP_PATTERN_CHOSEN:
    *base = LSP_GRID_BLOCK * (p->block_reach + 1);
    *period = LSP_GRID_BLOCK;
    return;
  case LSP_PATTERN_SELECTED:
    *base = (int64_t)LSP_GRID_BLOCK * LSP_GRID_BLOCK * p->blocks;
    *period = LSP_GRID_BLOCK;
    return;
  case LSP_PATTERN_COMPRESSED: /* 64 means are a tile */
    *base = p->pool * p->block_reach;
    *period = (int64_t)LSP_GRID_BLOCK * p->pool;
    return;
  case LSP_PATTERN_STORE:
    *period = p->segment;
    return;
  case LSP_PATTERN_COMPRESSED_PAST:
    *base += p->pool * p->block_reach;
    *period = multiple_of(p->segment, (int64_t)LSP_GRID_BLOCK * p->pool);
    return;
  case LSP_PATTERN_LEVELS:
    *base = lsp_words_far(p);
    *period = LSP_GRID_BLOCK * lsp_level_unit(p, p->levels);
    return;
  case LSP_PATTERN_DYNAMIC:
    *base = p->window + p->ramp;
    return;
  default:
    return;
  }
}

/* From `base` on nothing begins before position 0, and fixed keys are apart. */
static void find_period(const lsp_layer *l, int64_t unit, series *s) {
  int64_t base = 1, sinks = 0, period = unit;
  for (int b = 0; b < l->branches; b++) {
    int64_t own, after;
    settle(&l->branch[b], &own, &after);
    base = lsp_max(base, lsp_min(own, COUNTED_MOST));
    sinks = lsp_max(sinks, l->branch[b].sinks);
    period = multiple_of(period, lsp_max(after, 1));
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

static int heads_differ(const lsp_layer *l) {
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].windows != NULL)
      return 1;
  return 0;
}

/* Blocks that the queries of a block of one head pick, at most. */
static int64_t picks_of(const lsp_view *v, int64_t first) {
  const int64_t block = first / LSP_GRID_BLOCK;
  int64_t picks = 0;
  for (int i = 0; i < v->picks; i++) {
    const lsp_pattern *p = v->picked[i];
    const int64_t side = p->block_reach - p->beyond;
    const int64_t before = lsp_max(0, lsp_min(block - p->beyond, side));
    if (p->kind == LSP_PATTERN_SELECTED)
      picks += lsp_min(block, (int64_t)LSP_GRID_BLOCK * (p->blocks - 1));
    else
      picks += lsp_min(p->blocks, p->two_sided ? 2 * side : before);
  }
  return picks;
}

/* Tile products of a block of queries, over all heads. rows: of a two-sided frame. */
static double visits_of_block(const lsp_layer *l, int64_t first, int64_t end,
                              int64_t rows) {
  lsp_view view[LSP_BRANCHES_MAX];
  const int views = lsp_layer_views(l, view);
  const int heads = heads_differ(l) ? l->heads.query : 1;
  double sum = 0;
  for (int v = 0; v < views; v++)
    for (int h = 0; h < heads; h++)
      sum += (double)(lsp_view_tiles(&view[v], h, first, end, rows) +
                      picks_of(&view[v], first));
  return sum * l->heads.query / heads;
}

static double visits_of(const lsp_model *one, int64_t first, int64_t end) {
  return visits_of_block(&one->layer[0], first, end, 0);
}

/* Of a two-sided frame: blocks whose sight does not end with it are alike. */
static double visits_of_frame(const lsp_layer *l, int64_t rows) {
  const int64_t ahead = lsp_layer_ahead(l), B = LSP_GRID_BLOCK;
  const int64_t edge = lsp_divide_up(lsp_max(ahead, lsp_layer_fixed(l)), B) + 1;
  const int64_t blocks = lsp_divide_up(rows, B);
  double sum = 0;
  for (int64_t b = 0, alike; b < blocks; b += alike) {
    alike = b == edge ? lsp_max(1, blocks - edge - b) : 1;
    sum += (double)alike * visits_of_block(l, b * B, lsp_min(rows, (b + 1) * B), rows);
  }
  return sum;
}

/* A frame without text has no rows, whatever its prefix. */
static int64_t rows_of(const lsp_plan *plan, int64_t f) {
  return lsp_plan_tokens_of(plan, f) == 0 ? 0 : lsp_plan_end(plan, f);
}

static double flops_of_layer(const lsp_model *one, const lsp_plan *plan) {
  const costing c = {one, 1, lsp_model_flops_of_pairs};
  series s = {0};
  double sum = 0;
  find_period(&one->layer[0], c.unit, &s);
  count(&c, lsp_plan_longest(plan), &s);
  for (int64_t f = 0; f < plan->frames; f++) {
    const int64_t n = rows_of(plan, f);
    sum += s.sum != NULL ? total(&s, n) : lsp_model_flops_of_pairs(one, 0, n);
  }
  free(s.sum);
  return sum;
}

/* What rows that see all of a frame do is not counted beforehand. */
static double visits_of_two_sided(const lsp_layer *l, const lsp_plan *plan) {
  double sum = 0;
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_GLOBAL)
      return -1;
  for (int64_t f = 0; f < plan->frames; f++)
    sum += visits_of_frame(l, rows_of(plan, f));
  return sum;
}

/* The last block of a frame may have fewer rows. */
static double visits_of_layer(const lsp_model *one, const lsp_plan *plan) {
  const costing c = {one, LSP_GRID_BLOCK, visits_of};
  series s = {0};
  double sum = 0;
  if (one->two_sided)
    return visits_of_two_sided(&one->layer[0], plan);
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
