/* The lending of a run before it runs: every wave's loans are listed as the run will list
 * them, and counted. Layers that lend alike are counted once. */
#include "lsp/sizes.h"

#include "lsp/exchange.h"
#include "lsp/handing.h"
#include "lsp/memory.h"

#include "lending.h"

#include <stdlib.h>

typedef struct {
  const lsp_sizing *sizing;
  int64_t wave_rows;
  const lsp_layer_sizes *layer; /* whose loans are being counted */
  int alike;                    /* layers that lend as it does */
  int rank;
  lsp_sent now;  /* of `rank`, in that layer of this wave */
  lsp_sent *sum; /* (ranks) all layers, all waves so far */
  lsp_lending *out;
} counting;

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

static lsp_sent more_of(lsp_sent a, lsp_sent b) {
  return (lsp_sent){lsp_max(a.messages, b.messages), lsp_max(a.bytes, b.bytes)};
}

static lsp_sent of_tiles(int64_t tiles, int64_t tile) {
  return (lsp_sent){lsp_divide_up(tiles * tile, LSP_EXCHANGE_PIECE),
                    tiles * tile * (int64_t)sizeof(float)};
}

static void count_loan(const lsp_loan *loan, void *arg) {
  counting *c = arg;
  if (loan->from != c->rank || loan->to == c->rank)
    return;
  const lsp_sent sent = of_tiles(loan->end - loan->first, c->layer->tile);
  c->now = add_sent(c->now, 1, sent);
  c->out->kind[loan->kind] = add_sent(c->out->kind[loan->kind], c->alike, sent);
}

/* What is handed along the ranks: one message. */
static lsp_sent of_state(const lsp_layer_sizes *y) {
  return (lsp_sent){y->state > 0, y->state};
}

static void count_state(counting *c, const lsp_view_of_wave *v) {
  const int to = c->layer->state > 0 ? lsp_plan_hands_to(v) : -1;
  if (to >= 0 && to != v->rank)
    c->now = add_sent(c->now, 1, of_state(c->layer));
}

/* The same of the model itself: memory tokens. */
static lsp_sent of_model(const lsp_model *m) {
  lsp_part part[LSP_PARTS_OF_LAYER];
  if (m->wrapper.kind != LSP_WRAP_TOKENS)
    return (lsp_sent){0, 0};
  const int64_t bytes = lsp_parts_bytes(part, lsp_memory_parts_of(m, -1, part));
  return (lsp_sent){bytes > 0, bytes};
}

/* From the end of a wave to the beginning of the next one, after all layers; memory tokens
 * within them. */
static void count_model(counting *c, lsp_view_of_wave v) {
  const lsp_sizing *z = c->sizing;
  const lsp_sent sent = of_model(z->model);
  for (v.rank = 0; sent.messages > 0 && v.rank < v.ranks; v.rank++) {
    const int to = lsp_plan_hands_to(&v);
    const lsp_range span = lsp_plan_span(z->plan, v.wave, v.rank, v.ranks);
    if (to < 0 || to == v.rank || span.end != v.wave.end)
      continue;
    c->sum[v.rank] = add_sent(c->sum[v.rank], 1, sent);
    if (z->model->wrapper.kind == LSP_WRAP_TOKENS)
      c->out->layer = more_of(c->out->layer, sent);
  }
}

/* Pooled rows: before the span, and what is kept. */
static void count_pooled(const lsp_loan *loan, void *arg) {
  counting *c = arg;
  const int kind = LSP_LOAN_POOLED;
  if (loan->from != c->rank || loan->to == c->rank)
    return;
  const lsp_sent sent = of_tiles(loan->end - loan->first, c->layer->pooled);
  c->now = add_sent(c->now, 1, sent);
  c->out->kind[kind] = add_sent(c->out->kind[kind], c->alike, sent);
}

static void count_strata(counting *c, const lsp_view_of_wave *v) {
  for (int s = 0; s < c->layer->strata; s++) {
    const lsp_stratum_sizes *z = &c->layer->stratum[s];
    lsp_grain_past_loans(v, z->grain, z->reach, count_pooled, c);
    lsp_grain_keep_loans(v, z->grain, z->reach, count_pooled, c);
  }
}

static void count_layer(counting *c, const lsp_view_of_wave *v) {
  const lsp_layer_sizes *y = c->layer;
  const int64_t rounds = lsp_plan_rounds(v->plan, v->wave, y->near_tiles, y->room);
  c->now = (lsp_sent){0, 0};
  c->rank = v->rank;
  for (int sweep = 0; sweep < lsp_sizes_sweeps(y, rounds); sweep++)
    for (int64_t round = 0; round < rounds; round++)
      lsp_plan_round_loans(v, y->near_tiles, y->room, round, count_loan, c);
  lsp_plan_fixed_loans(v, y->fixed, count_loan, c);
  lsp_plan_keep_loans(v, y->tiles, count_loan, c);
  count_strata(c, v);
  count_state(c, v);
  c->out->layer = more_of(c->out->layer, c->now);
  c->sum[v->rank] = add_sent(c->sum[v->rank], c->alike, c->now);
}

static int strata_lend_alike(const lsp_layer_sizes *a, const lsp_layer_sizes *b) {
  int alike = a->strata == b->strata && (a->strata == 0 || a->pooled == b->pooled);
  for (int s = 0; alike && s < a->strata; s++)
    alike = a->stratum[s].grain.unit == b->stratum[s].grain.unit &&
            a->stratum[s].reach == b->stratum[s].reach;
  return alike;
}

static int lends_alike(const lsp_layer_sizes *a, const lsp_layer_sizes *b) {
  return a->tiles == b->tiles && a->near_tiles == b->near_tiles && a->room == b->room &&
         a->fixed == b->fixed && a->tile == b->tile &&
         (a->neighbours > 0) == (b->neighbours > 0) && a->state == b->state &&
         strata_lend_alike(a, b);
}

/* Layers that lend as layer i does; 0 if one before it does. */
static int count_alike(const lsp_sizing *z, int i) {
  int n = 0;
  for (int k = 0; k < z->model->layers; k++)
    if (lends_alike(&z->layer[k], &z->layer[i])) {
      if (k < i)
        return 0;
      n++;
    }
  return n;
}

/* Layers that look ahead lend by stages (lsp/halos.h): none is like another. */
static void count_sent(lsp_loan_kind kind, int64_t floats, void *arg) {
  counting *c = arg;
  const lsp_sent sent = of_tiles(1, floats);
  c->now = add_sent(c->now, 1, sent);
  c->out->kind[kind] = add_sent(c->out->kind[kind], 1, sent);
}

static void count_stages(counting *c, lsp_range wave) {
  const lsp_sizing *z = c->sizing;
  for (int i = 0; i < z->model->layers; i++) {
    const lsp_sight *sight = &z->layer[i].sight;
    lsp_step s = lsp_sizes_step(z->plan, &z->layer[i]);
    s.ranks = (int)z->request->ranks;
    s.have = wave;
    s.want = (lsp_range){lsp_plan_ready(z->plan, wave.first, sight),
                         lsp_plan_ready(z->plan, wave.end, sight)};
    for (s.rank = 0; s.rank < s.ranks; s.rank++) {
      c->now = (lsp_sent){0, 0};
      lsp_ahead_loans(z, i, &s, count_sent, c);
      c->out->layer = more_of(c->out->layer, c->now);
      c->sum[s.rank] = add_sent(c->sum[s.rank], 1, c->now);
    }
    wave = s.want;
  }
}

static void count_wave(counting *c, lsp_range wave) {
  const lsp_sizing *z = c->sizing;
  lsp_view_of_wave v = {z->plan, wave, 0, (int)z->request->ranks};
  int64_t idle = 0;
  for (int r = 0; r < v.ranks; r++) {
    const lsp_range span = lsp_plan_span(z->plan, wave, r, v.ranks);
    idle += span.first == span.end;
  }
  c->out->idle = lsp_max(c->out->idle, idle);
  if (z->model->two_sided) {
    count_stages(c, wave);
    return;
  }
  for (int i = 0; i < z->model->layers; i++) {
    c->layer = &z->layer[i];
    c->alike = count_alike(z, i);
    for (v.rank = 0; c->alike > 0 && v.rank < v.ranks; v.rank++)
      count_layer(c, &v);
  }
  count_model(c, v);
}

/* Each stratum is borrowed and kept by itself; in a two-sided layer every rank looks, in
 * every round, at all others. */
static int64_t cost_of_wave(const lsp_sizing *z) {
  enum { LISTS = 4 };
  const int64_t ranks = z->request->ranks;
  int64_t rounds = 1;
  int strata = 0;
  for (int i = 0; i < z->model->layers; i++) {
    const lsp_layer_sizes *y = &z->layer[i];
    strata = strata > y->strata ? strata : y->strata;
    if (y->in_rounds)
      rounds = lsp_max(rounds, z->request->longest / LSP_GRID_BLOCK / y->room);
  }
  return z->model->two_sided ? add_times(0, rounds, LISTS * ranks * ranks)
                             : ranks * (1 + strata);
}

/* 0: the budget did not suffice. */
static int count_waves(counting *c, int64_t budget) {
  const lsp_plan *plan = c->sizing->plan;
  const int64_t panels = lsp_plan_panels(plan), cost = cost_of_wave(c->sizing);
  for (int64_t panel = 0; panel < panels;) {
    const lsp_range wave = lsp_sizes_wave(c->sizing->model, plan, panel, c->wave_rows);
    budget -= cost;
    if (budget < 0)
      return 0;
    count_wave(c, wave);
    panel = wave.end;
  }
  return 1;
}

/* --- bounds ---------------------------------------------------------------------- */

/* Grains that a layer borrows, and those that it keeps: how many, the floats of one, in how
 * many rounds; and of them, what a rank has itself: in its ring, and in its span. */
typedef struct {
  lsp_grain grain;
  int64_t reach, floats, rounds;
  int64_t groups, own;
} looking;

/* What a rank lends at most of them in a wave: to spans that begin within the reach after
 * its own one or, of its ring, after the wave's beginning, in rounds that may cut a loan in
 * two. rows: what the wave has at least. */
static lsp_sent bound_of_past(const lsp_sizing *z, looking l, int64_t rows) {
  const int64_t P = z->request->ranks, share = rows / P;
  const int64_t reach = l.reach * l.grain.unit;
  int64_t spans = lsp_min(P, lsp_divide_up(reach, LSP_PANEL) + 4);
  if (share > 0)
    spans = lsp_min(spans, (reach + LSP_PANEL) / share + 2);
  if (l.reach == 0)
    return (lsp_sent){0, 0};
  const int64_t most = lsp_min(l.reach, l.groups * l.grain.group + l.own);
  const lsp_sent lent = of_tiles(most, l.floats);
  const int64_t cuts = l.groups + 1 + 2 * l.rounds + lent.messages;
  return (lsp_sent){add_times(0, 2 * spans, cuts), add_times(0, 2 * spans, lent.bytes)};
}

/* What goes at most to those who keep it. */
static lsp_sent bound_of_keeping(looking l) {
  const lsp_sent kept = of_tiles(lsp_min(l.own, l.reach), l.floats);
  if (l.reach == 0)
    return (lsp_sent){0, 0};
  return (lsp_sent){l.own / l.grain.group + 2 + kept.messages, kept.bytes};
}

/* What a rank lends at most in a layer: tiles, pooled rows, and the first tiles to
 * everyone. */
static lsp_sent bound_of_layer(const lsp_sizing *z, const lsp_layer_sizes *y,
                               const lsp_sizes *sizes, int64_t rows) {
  const int64_t P = z->request->ranks, own = sizes->span_rows / LSP_GRID_BLOCK;
  looking tiles = {.grain = lsp_grain_tile(),
                   .reach = y->near_tiles,
                   .floats = y->tile,
                   .rounds = lsp_divide_up(y->near_tiles, lsp_max(1, y->room)),
                   .groups = y->groups,
                   .own = own};
  if (P == 1)
    return (lsp_sent){0, 0};
  lsp_sent sent = add_sent(of_state(y), lsp_sizes_sweeps(y, tiles.rounds),
                           bound_of_past(z, tiles, rows));
  tiles.reach = y->tiles;
  sent = add_sent(sent, 1, bound_of_keeping(tiles));
  for (int s = 0; s < y->strata; s++) {
    const lsp_stratum_sizes *t = &y->stratum[s];
    const looking means = {.grain = t->grain,
                           .reach = t->reach,
                           .floats = y->pooled,
                           .rounds = 1,
                           .groups = t->groups,
                           .own = sizes->span_rows / t->grain.unit + 1};
    sent = add_sent(sent, 1, bound_of_past(z, means, rows));
    sent = add_sent(sent, 1, bound_of_keeping(means));
  }
  return add_sent(sent, 2 * P, of_tiles(y->fixed, y->tile));
}

/* What a rank sends for picked blocks at most, in a layer of a wave: what all other spans
 * pick, and its own requests. In a batch it hears from each of them, and answers, once; two
 * batches that follow each other pick more than there is room for, and where there is room
 * for all within reach there is but one. */
static lsp_sent bound_of_fetched(const counting *c, int layer) {
  const lsp_layer_sizes *y = &c->sizing->layer[layer];
  const lsp_heads heads = c->sizing->model->layer[layer].heads;
  const int64_t P = c->sizing->request->ranks;
  const int64_t blocks = lsp_divide_up(c->wave_rows, LSP_GRID_BLOCK);
  const int64_t span = lsp_divide_up(blocks, P) + LSP_PANEL / LSP_GRID_BLOCK;
  const int64_t part = lsp_tile_head(heads) * (int64_t)sizeof(float);
  if (y->parts == 0)
    return (lsp_sent){0, 0};
  const int64_t picks = add_times(0, span, y->picks);
  const int64_t batches =
      y->parts == y->tiles * heads.shared ? 1 : lsp_min(span, picks / y->parts * 2 + 3);
  const int64_t each = lsp_min(picks, add_times(0, batches, y->parts));
  const int64_t all =
      lsp_min(add_times(0, blocks, y->picks), add_times(0, P - 1, each));
  return (lsp_sent){2 * batches * lsp_min(P - 1, all),
                    add_times(0, all, part + (int64_t)sizeof(int64_t))};
}

static int64_t count_of_waves(const counting *c) {
  const lsp_plan *plan = c->sizing->plan;
  const lsp_model *m = c->sizing->model;
  const int64_t panels = lsp_plan_panels(plan);
  if (panels == 0)
    return 0;
  const lsp_range first = lsp_sizes_wave(m, plan, 0, c->wave_rows);
  if (first.end == panels)
    return 1;
  if (plan->frames == 1) {
    const lsp_range second = lsp_plan_wave(plan, first.end, c->wave_rows);
    return 1 + lsp_divide_up(panels - first.end, second.end - second.first);
  }
  int64_t waves = 0;
  for (int64_t panel = 0; panel < panels; waves++)
    panel = lsp_sizes_wave(m, plan, panel, c->wave_rows).end;
  return waves;
}

static void bound_all(counting *c) {
  const lsp_sizing *z = c->sizing;
  const int64_t rows = c->wave_rows / LSP_PANEL * LSP_PANEL;
  const lsp_sizes sizes = lsp_sizes_of(z, c->wave_rows);
  lsp_lending *out = c->out;
  out->idle = -1;
  out->layer = out->rank = (lsp_sent){0, 0};
  for (int k = 0; k < LSP_LOAN_KINDS; k++)
    out->kind[k] = (lsp_sent){-1, -1};
  for (int i = 0; i < z->model->layers && z->model->two_sided; i++) {
    const lsp_sent each = lsp_ahead_bound(z, i, sizes.span_rows);
    out->layer = more_of(out->layer, each);
    out->rank = add_sent(out->rank, out->waves, each);
  }
  for (int i = 0; i < z->model->layers && !z->model->two_sided; i++) {
    const lsp_sent last =
        bound_of_layer(z, &z->layer[i], &sizes, 0); /* of it nothing is known */
    out->layer = more_of(out->layer, last);
    out->rank = add_sent(out->rank, 1, last);
    out->rank = add_sent(out->rank, lsp_max(0, out->waves - 1),
                         bound_of_layer(z, &z->layer[i], &sizes, rows));
  }
  if (z->request->ranks == 1 || z->model->two_sided)
    return;
  if (z->model->wrapper.kind == LSP_WRAP_TOKENS)
    out->layer = more_of(out->layer, of_model(z->model));
  out->rank = add_sent(out->rank, out->waves, of_model(z->model));
}

lsp_status lsp_sizes_lending(const lsp_sizing *z, int64_t wave_rows, int64_t budget,
                             lsp_lending *out, lsp_failure *why) {
  const int64_t ranks = z->request->ranks;
  counting c = {.sizing = z, .wave_rows = wave_rows, .out = out};
  LSP_ASSERT(wave_rows >= LSP_PANEL && ranks <= INT32_MAX);
  *out = (lsp_lending){.exact = ranks <= budget};
  out->waves = count_of_waves(&c);
  if (out->exact) {
    c.sum = calloc((size_t)ranks, sizeof *c.sum);
    if (c.sum == NULL)
      return lsp_fail(why, LSP_E_MEMORY, "no memory for the loans of %lld ranks",
                      (long long)ranks);
    out->exact = count_waves(&c, budget);
  }
  for (int64_t r = 0; out->exact && r < ranks; r++)
    out->rank = more_of(out->rank, c.sum[r]);
  free(c.sum);
  if (!out->exact)
    bound_all(&c);
  for (int i = 0; i < z->model->layers; i++)
    out->fetched = more_of(out->fetched, bound_of_fetched(&c, i));
  return LSP_OK;
}
