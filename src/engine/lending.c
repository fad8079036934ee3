/* The lending of a run before it runs.
 *
 * In a long document nearly all waves are alike: they begin where the reach before them
 * is whole, have panels of LSP_PANEL rows only, and are followed by another wave. One
 * of them is counted and stands for all. What differs is walked: the first waves, and
 * the last one. */
#include "lsp/sizes.h"

#include "lsp/exchange.h"

#include <stdlib.h>

typedef struct {
  const lsp_plan *plan;
  int64_t wave_rows, ranks, tile;
  int rank;      /* whose loans are being counted */
  lsp_sent *sum; /* (ranks) of one layer, all waves so far */
  lsp_sent now;  /* of `rank`, in a layer of this wave */
} counting;

/* Messages of one loan. */
static int64_t pieces(int64_t tiles, int64_t tile) {
  return lsp_divide_up(tiles * tile, LSP_EXCHANGE_PIECE);
}

static void count_loan(const lsp_loan *loan, void *arg) {
  counting *c = arg;
  const int64_t tiles = loan->end - loan->first;
  if (loan->peer == c->rank)
    return;
  c->now.messages += pieces(tiles, c->tile);
  c->now.bytes += tiles * c->tile * (int64_t)sizeof(float);
}

static lsp_sent more_of(lsp_sent a, lsp_sent b) {
  return (lsp_sent){lsp_max(a.messages, b.messages), lsp_max(a.bytes, b.bytes)};
}

/* a + n b; INT64_MAX where a number cannot hold it. */
static int64_t add_times(int64_t a, int64_t n, int64_t b) {
  int64_t product, sum;
  if (__builtin_mul_overflow(n, b, &product) ||
      __builtin_add_overflow(a, product, &sum))
    return INT64_MAX;
  return sum;
}

static lsp_sent add_sent(lsp_sent a, int64_t n, lsp_sent b) {
  return (lsp_sent){add_times(a.messages, n, b.messages),
                    add_times(a.bytes, n, b.bytes)};
}

/* A wave that stands for `times` waves. */
static void count_wave(counting *c, lsp_range wave, int64_t times, lsp_lending *out) {
  int64_t idle = 0;
  for (c->rank = 0; c->rank < c->ranks; c->rank++) {
    const lsp_range span = lsp_plan_span(c->plan, wave, c->rank, (int)c->ranks);
    c->now = (lsp_sent){0, 0};
    lsp_plan_lent(c->plan, wave, c->rank, (int)c->ranks, count_loan, c);
    idle += span.first == span.end;
    out->wave = more_of(out->wave, c->now);
    c->sum[c->rank] = add_sent(c->sum[c->rank], times, c->now);
  }
  out->idle = lsp_max(out->idle, idle);
}

/* How many waves, from this one on, are alike. */
static int64_t alike(const lsp_plan *plan, lsp_range wave) {
  const int64_t start = lsp_plan_rows_before(plan, wave.first);
  const lsp_tiles past = lsp_plan_past(plan, wave.first);
  if (start < LSP_PANEL || past.end - past.first < plan->reach_tiles)
    return 1;
  return lsp_max(1, (lsp_plan_panels(plan) - 1 - wave.first) / (wave.end - wave.first));
}

/* 0: the budget did not suffice. */
static int count_waves(counting *c, int64_t budget, lsp_lending *out) {
  const int64_t panels = lsp_plan_panels(c->plan);
  for (int64_t panel = 0; panel < panels;) {
    const lsp_range wave = lsp_plan_wave(c->plan, panel, c->wave_rows);
    const int64_t times = alike(c->plan, wave);
    budget -= c->ranks;
    if (budget < 0)
      return 0;
    count_wave(c, wave, times, out);
    panel += times * (wave.end - wave.first);
  }
  return 1;
}

/* Spans that hold something begin at borders of panels, and where they were cut lies
 * less than a panel before; so at most this many begin within the reach. Each borrows
 * once of a rank, as does the next wave; rank 0 lends what it carries, too. rows: what the
 * wave has at least. */
static lsp_sent bound_of_wave(const counting *c, int64_t rows) {
  const int64_t reach = c->plan->reach_tiles * LSP_GRID_BLOCK;
  const int64_t share = rows / c->ranks;
  int64_t spans = lsp_min(c->ranks - 1, lsp_divide_up(reach, LSP_PANEL) + 3);
  if (share > 0)
    spans = lsp_min(spans, (reach + LSP_PANEL) / share + 1);
  const int64_t loans = c->ranks == 1 || reach == 0 ? 0 : lsp_max(spans + 1, 2 * spans);
  return (lsp_sent){loans * pieces(c->plan->reach_tiles, c->tile),
                    loans * c->plan->reach_tiles * c->tile * (int64_t)sizeof(float)};
}

static int64_t count_of_waves(const counting *c) {
  const int64_t panels = lsp_plan_panels(c->plan);
  if (panels == 0)
    return 0;
  const lsp_range first = lsp_plan_wave(c->plan, 0, c->wave_rows);
  if (first.end == panels)
    return 1;
  const lsp_range second = lsp_plan_wave(c->plan, first.end, c->wave_rows);
  return 1 + lsp_divide_up(panels - first.end, second.end - second.first);
}

lsp_status lsp_sizes_lending(const lsp_txl_config *config, const lsp_plan *plan,
                             int64_t wave_rows, int64_t ranks, int64_t budget,
                             lsp_lending *out, lsp_failure *why) {
  counting c = {.plan = plan,
                .wave_rows = wave_rows,
                .ranks = ranks,
                .tile = lsp_tile_floats(lsp_sizes_heads(config))};
  LSP_ASSERT(plan->documents == 1 && wave_rows >= LSP_PANEL && ranks <= INT32_MAX);
  *out = (lsp_lending){.exact = ranks <= budget, .waves = count_of_waves(&c)};
  if (out->exact) {
    c.sum = calloc((size_t)ranks, sizeof *c.sum);
    if (c.sum == NULL)
      return lsp_fail(why, LSP_E_MEMORY, "no memory for the loans of %lld ranks",
                      (long long)ranks);
    out->exact = count_waves(&c, budget, out);
  }
  lsp_sent layer = {0, 0};
  for (int64_t r = 0; out->exact && r < ranks; r++)
    layer = more_of(layer, c.sum[r]);
  free(c.sum);
  if (!out->exact) {
    out->idle = -1;
    out->wave = bound_of_wave(&c, 0); /* of the last wave nothing is known */
    layer = add_sent(out->wave, out->waves - 1,
                     bound_of_wave(&c, wave_rows / LSP_PANEL * LSP_PANEL));
  }
  out->rank = add_sent((lsp_sent){0, 0}, config->n_layer, layer);
  return LSP_OK;
}
