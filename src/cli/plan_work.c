/* The work of attention over frames of any length. Beyond some position every pattern
 * is periodic but for what grows with the position, so that a beginning and two periods
 * say all:
 *
 *   0 ........ base | period | period | ...          costs per position (or per block)
 *   each counted    | a      | a + b  | a + 2 b ...
 */
#include "estimate.h"

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

/* From `base` on nothing begins before position 0, and fixed keys are apart. */
static void find_period(const lsp_layer *l, int64_t unit, series *s) {
  int64_t base = 1, sinks = 0, period = unit;
  for (int b = 0; b < l->branches; b++) {
    const lsp_pattern *p = &l->branch[b];
    base = lsp_max(base, lsp_max(p->window, p->memory + p->segment));
    sinks = lsp_max(sinks, p->sinks);
    if (p->kind == LSP_PATTERN_RECURRENCE && !p->same_length)
      period = multiple_of(period, lsp_max(p->segment, 1));
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

/* Tile products of a block of queries, over all heads. */
static double visits_of(const lsp_model *one, int64_t first, int64_t end) {
  const lsp_layer *l = &one->layer[0];
  lsp_view view[LSP_BRANCHES_MAX];
  const int views = lsp_layer_views(l, view);
  double sum = 0;
  int differ = 0;
  for (int b = 0; b < l->branches; b++)
    differ = differ || l->branch[b].windows != NULL;
  const int heads = differ ? l->heads.query : 1;
  for (int v = 0; v < views; v++)
    for (int h = 0; h < heads; h++)
      sum += (double)lsp_view_tiles(&view[v], h, first, end, 0);
  return sum * l->heads.query / heads;
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

/* The last block of a frame may have fewer rows. */
static double visits_of_layer(const lsp_model *one, const lsp_plan *plan) {
  const costing c = {one, LSP_GRID_BLOCK, visits_of};
  series s = {0};
  double sum = 0;
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
