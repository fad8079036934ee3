/* The lending of a run before it runs: every wave's loans are listed as the run will list
 * them, and counted. Layers that lend alike are counted once. */
#include "lending.h"

#include <stdlib.h>

typedef struct {
  const lsp_sizing *sizing;
  int64_t wave_rows;
  int of;                       /* layer whose loans are being counted */
  const lsp_layer_sizes *layer; /* its sizes */
  int alike;                    /* layers that lend as it does */
  int rank;
  lsp_sent now;     /* of `rank`, in that layer of this wave */
  lsp_sent *sum;    /* (ranks) all layers, all waves so far */
  lsp_range *stage; /* (layers + 1) of a two-sided model's wave */
  lsp_sent *picked; /* (layers) what picked blocks take at most */
  lsp_lending *out;
} counting;

static void count_loan(const lsp_loan *loan, void *arg) {
  counting *c = arg;
  if (loan->from != c->rank || loan->to == c->rank)
    return;
  const lsp_sent sent = lsp_sent_tiles(loan->end - loan->first, c->layer->tile);
  c->now = lsp_sent_add(c->now, 1, sent);
  c->out->kind[loan->kind] = lsp_sent_add(c->out->kind[loan->kind], c->alike, sent);
}

/* Pooled rows: before the span, and what is kept. */
static void count_pooled(const lsp_loan *loan, void *arg) {
  counting *c = arg;
  const int kind = LSP_LOAN_POOLED;
  if (loan->from != c->rank || loan->to == c->rank)
    return;
  const lsp_sent sent = lsp_sent_tiles(loan->end - loan->first, c->layer->pooled);
  c->now = lsp_sent_add(c->now, 1, sent);
  c->out->kind[kind] = lsp_sent_add(c->out->kind[kind], c->alike, sent);
}

static void count_strata(counting *c, const lsp_view_of_wave *v) {
  for (int s = 0; s < c->layer->strata; s++) {
    const lsp_stratum_sizes *z = &c->layer->stratum[s];
    lsp_grain_past_loans(v, z->grain, z->reach, count_pooled, c);
    lsp_grain_keep_loans(v, z->grain, z->reach, count_pooled, c);
  }
}

static void count_ahead(counting *c, const lsp_range *stage) {
  const lsp_sizing *z = c->sizing;
  const lsp_layer_sizes *y = c->layer;
  lsp_sent kind[LSP_LOAN_KINDS] = {{0, 0}};
  const lsp_step s = {.plan = z->plan,
                      .have = stage[0],
                      .want = stage[1],
                      .sight = y->sight,
                      .room = y->in_rounds ? y->room : LSP_TILES_ALL,
                      .rank = c->rank,
                      .ranks = (int)z->request->ranks};
  lsp_count_step(z, c->of, &s, kind);
  for (int k = 0; k < LSP_LOAN_KINDS; k++) {
    c->now = lsp_sent_add(c->now, 1, kind[k]);
    c->out->kind[k] = lsp_sent_add(c->out->kind[k], c->alike, kind[k]);
  }
}

static void count_past(counting *c, const lsp_view_of_wave *v) {
  const lsp_layer_sizes *y = c->layer;
  const int64_t rounds = lsp_plan_rounds(v->plan, v->wave, y->near_tiles, y->room);
  for (int64_t round = 0; round < rounds; round++)
    lsp_plan_round_loans(v, y->near_tiles, y->room, round, count_loan, c);
  lsp_plan_fixed_loans(v, y->fixed, count_loan, c);
  lsp_plan_keep_loans(v, y->tiles, count_loan, c);
  count_strata(c, v);
}

/* stage: of the layer, and of the next one; NULL where none looks ahead. */
static void count_layer(counting *c, const lsp_view_of_wave *v,
                        const lsp_range *stage) {
  c->now = (lsp_sent){0, 0};
  c->rank = v->rank;
  if (stage != NULL)
    count_ahead(c, stage);
  else
    count_past(c, v);
  c->now = lsp_sent_add(c->now, 1, c->picked[c->of]);
  c->out->layer = lsp_sent_most(c->out->layer, c->now);
  c->sum[v->rank] = lsp_sent_add(c->sum[v->rank], c->alike, c->now);
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
         a->fixed == b->fixed && a->tile == b->tile && strata_lend_alike(a, b);
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

static void count_wave(counting *c, lsp_range wave) {
  const lsp_sizing *z = c->sizing;
  lsp_view_of_wave v = {z->plan, wave, 0, (int)z->request->ranks};
  int64_t idle = 0;
  for (int r = 0; r < v.ranks; r++) {
    const lsp_range span = lsp_plan_span(z->plan, wave, r, v.ranks);
    idle += span.first == span.end;
  }
  c->out->idle = lsp_max(c->out->idle, idle);
  for (int i = 0; i < z->model->layers; i++) {
    const int two_sided = z->model->two_sided;
    c->of = i;
    c->layer = &z->layer[i];
    c->alike = two_sided ? 1 : count_alike(z, i); /* waves begin layers elsewhere */
    for (v.rank = 0; c->alike > 0 && v.rank < v.ranks; v.rank++)
      count_layer(c, &v, two_sided ? c->stage + i : NULL);
  }
}

/* The wave that begins at a panel, and where its layers are. */
static lsp_range wave_at(counting *c, int64_t panel) {
  const lsp_sizing *z = c->sizing;
  if (!z->model->two_sided)
    return lsp_plan_wave(z->plan, panel, c->wave_rows);
  lsp_sizes_stages(z->model, z->layer, z->plan, panel, c->wave_rows, c->stage);
  return c->stage[0];
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
  return z->model->two_sided ? lsp_add_times(0, rounds, LISTS * ranks * ranks)
                             : ranks * (1 + strata);
}

/* 0: the budget did not suffice. */
static int count_waves(counting *c, int64_t budget) {
  const lsp_plan *plan = c->sizing->plan;
  const int64_t panels = lsp_plan_panels(plan), cost = cost_of_wave(c->sizing);
  for (int64_t panel = 0; panel < panels;) {
    const lsp_range wave = wave_at(c, panel);
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
  const lsp_sent lent = lsp_sent_tiles(most, l.floats);
  const int64_t cuts = l.groups + 1 + 2 * l.rounds + lent.messages;
  return (lsp_sent){lsp_add_times(0, 2 * spans, cuts),
                    lsp_add_times(0, 2 * spans, lent.bytes)};
}

/* What goes at most to those who keep it. */
static lsp_sent bound_of_keeping(looking l) {
  const lsp_sent kept = lsp_sent_tiles(lsp_min(l.own, l.reach), l.floats);
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
  lsp_sent sent = bound_of_past(z, tiles, rows);
  tiles.reach = y->tiles;
  sent = lsp_sent_add(sent, 1, bound_of_keeping(tiles));
  for (int s = 0; s < y->strata; s++) {
    const lsp_stratum_sizes *t = &y->stratum[s];
    const looking means = {.grain = t->grain,
                           .reach = t->reach,
                           .floats = y->pooled,
                           .rounds = 1,
                           .groups = t->groups,
                           .own = sizes->span_rows / t->grain.unit + 1};
    sent = lsp_sent_add(sent, 1, bound_of_past(z, means, rows));
    sent = lsp_sent_add(sent, 1, bound_of_keeping(means));
  }
  return lsp_sent_add(sent, 2 * P, lsp_sent_tiles(y->fixed, y->tile));
}

/* A frame that layers see as a whole is in one wave. */
static lsp_range next_wave(const counting *c, int64_t panel) {
  const lsp_sizing *z = c->sizing;
  return lsp_sizes_whole(z->model) ? lsp_plan_whole_wave(z->plan, panel, c->wave_rows)
                                   : lsp_plan_wave(z->plan, panel, c->wave_rows);
}

static int64_t count_of_waves(const counting *c) {
  const lsp_plan *plan = c->sizing->plan;
  const int64_t panels = lsp_plan_panels(plan);
  if (panels == 0)
    return 0;
  const lsp_range first = next_wave(c, 0);
  if (first.end == panels)
    return 1;
  if (plan->frames == 1) {
    const lsp_range second = next_wave(c, first.end);
    return 1 + lsp_divide_up(panels - first.end, second.end - second.first);
  }
  int64_t waves = 0;
  for (int64_t panel = 0; panel < panels; waves++)
    panel = next_wave(c, panel).end;
  return waves;
}

/* Of layer i in a wave that has at least `rows` rows. */
static lsp_sent bound_of(const counting *c, int i, const lsp_sizes *sizes,
                         int64_t rows) {
  const lsp_sizing *z = c->sizing;
  if (z->model->two_sided)
    return lsp_bound_of_step(z, i, sizes, rows);
  return lsp_sent_add(bound_of_layer(z, &z->layer[i], sizes, rows), 1,
                      lsp_bound_of_picks(z, i, sizes, rows));
}

static void bound_all(counting *c) {
  const lsp_sizing *z = c->sizing;
  const lsp_sizes sizes = lsp_sizes_of(z, c->wave_rows);
  const int64_t rows = c->wave_rows / LSP_PANEL * LSP_PANEL;
  lsp_lending *out = c->out;
  out->idle = -1;
  out->layer = out->rank = (lsp_sent){0, 0};
  for (int k = 0; k < LSP_LOAN_KINDS; k++)
    out->kind[k] = (lsp_sent){-1, -1};
  for (int i = 0; i < z->model->layers; i++) {
    const lsp_sent last = bound_of(c, i, &sizes, 0); /* of it nothing is known */
    const int64_t known = z->model->two_sided ? 0 : rows;
    out->layer = lsp_sent_most(out->layer, last);
    out->rank = lsp_sent_add(out->rank, 1, last);
    out->rank = lsp_sent_add(out->rank, lsp_max(0, out->waves - 1),
                             bound_of(c, i, &sizes, known));
  }
}

/* Picked blocks are not known before: a bound, the same in every wave. */
static void bound_picked(counting *c) {
  const lsp_sizing *z = c->sizing;
  const lsp_sizes sizes = lsp_sizes_of(z, c->wave_rows);
  for (int i = 0; i < z->model->layers; i++) {
    c->picked[i] = lsp_bound_of_picks(z, i, &sizes, 0);
    c->out->fetched |= c->picked[i].messages > 0;
  }
}

static lsp_status count_all(counting *c, int64_t budget, lsp_failure *why) {
  const size_t layers = (size_t)c->sizing->model->layers;
  const int64_t ranks = c->sizing->request->ranks;
  c->sum = calloc((size_t)ranks, sizeof *c->sum);
  c->stage = calloc(layers + 1, sizeof *c->stage);
  c->picked = calloc(layers, sizeof *c->picked);
  if (c->sum == NULL || c->stage == NULL || c->picked == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for the loans of %lld ranks",
                    (long long)ranks);
  bound_picked(c);
  c->out->exact = count_waves(c, budget);
  for (int64_t r = 0; c->out->exact && r < ranks; r++)
    c->out->rank = lsp_sent_most(c->out->rank, c->sum[r]);
  return LSP_OK;
}

lsp_status lsp_sizes_lending(const lsp_sizing *z, int64_t wave_rows, int64_t budget,
                             lsp_lending *out, lsp_failure *why) {
  const int64_t ranks = z->request->ranks;
  counting c = {.sizing = z, .wave_rows = wave_rows, .out = out};
  LSP_ASSERT(wave_rows >= LSP_PANEL && ranks <= INT32_MAX);
  *out = (lsp_lending){.exact = ranks <= budget};
  out->waves = count_of_waves(&c);
  const lsp_status st = out->exact ? count_all(&c, budget, why) : LSP_OK;
  free(c.sum);
  free(c.stage);
  free(c.picked);
  LSP_TRY(st);
  if (!out->exact)
    bound_all(&c);
  return LSP_OK;
}
