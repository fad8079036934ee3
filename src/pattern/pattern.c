/* The table of patterns, and what several branches show together. */
#include "lsp/pattern.h"

#include "patterns.h"

#include <stddef.h>

#define LSP_PATTERN_ROW(name)                                                          \
  {                                                                                    \
#name, lsp__##name##_reach, lsp__##name##_keys, lsp__##name##_pairs,               \
        lsp__##name##_bend, lsp__##name##_period                                       \
  }

const lsp_pattern_row lsp_pattern_table[LSP_PATTERNS] = {
    [LSP_PATTERN_FULL] = LSP_PATTERN_ROW(full),
    [LSP_PATTERN_LOCAL] = LSP_PATTERN_ROW(local),
    [LSP_PATTERN_FIXED] = LSP_PATTERN_ROW(fixed),
    [LSP_PATTERN_RECURRENCE] = LSP_PATTERN_ROW(recurrence),
    [LSP_PATTERN_GLOBAL] = LSP_PATTERN_ROW(global),
    [LSP_PATTERN_RANDOM] = LSP_PATTERN_ROW(random),
    [LSP_PATTERN_CHOSEN] = LSP_PATTERN_ROW(chosen),
    [LSP_PATTERN_COMPRESSED] = LSP_PATTERN_ROW(compressed),
    [LSP_PATTERN_SELECTED] = LSP_PATTERN_ROW(selected),
    [LSP_PATTERN_LEVELS] = LSP_PATTERN_ROW(levels),
    [LSP_PATTERN_DYNAMIC] = LSP_PATTERN_ROW(dynamic),
    [LSP_PATTERN_LEARNED] = LSP_PATTERN_ROW(learned),
    [LSP_PATTERN_STORE] = LSP_PATTERN_ROW(store),
    [LSP_PATTERN_COMPRESSED_PAST] = LSP_PATTERN_ROW(compressed_past),
    [LSP_PATTERN_COMPRESSIVE] = LSP_PATTERN_ROW(compressive),
};

lsp_keys lsp__no_keys(int64_t position) {
  return (lsp_keys){position + 1, position + 1};
}

lsp_keys lsp__block_keys(int64_t position) {
  return (lsp_keys){lsp_block_of(position) * LSP_GRID_BLOCK, position + 1};
}

double lsp__block_pairs(int64_t first, int64_t end) {
  static const int64_t whole = LSP_GRID_BLOCK * (LSP_GRID_BLOCK + 1) / 2;
  double pairs = 0;
  for (int64_t i = first, next; i < end; i = next) {
    const int64_t in_block = i % LSP_GRID_BLOCK;
    const int64_t blocks = (end - i) / LSP_GRID_BLOCK;
    if (in_block == 0 && blocks > 0) {
      next = i + blocks * LSP_GRID_BLOCK;
      pairs += (double)(blocks * whole);
      continue;
    }
    next = lsp_min(end, i - in_block + LSP_GRID_BLOCK);
    const double n = (double)(next - i);
    pairs += n * (double)(in_block + 1) + n * (n - 1) / 2;
  }
  return pairs;
}

/* Of the numbers 0 .. n - 1. */
static lsp__sum quotients(int64_t n, int64_t unit) {
  const lsp__sum whole = n / unit, rest = n % unit;
  return whole * (whole - 1) / 2 * unit + whole * rest;
}

lsp__sum lsp__whole_means(int64_t first, int64_t end, int64_t start, int64_t unit) {
  return quotients(lsp_max(0, end - start), unit) -
         quotients(lsp_max(0, first - start), unit);
}

/* Blocks of query block b. Some (two-sided: those ahead) are always there; those before
 * become more until they are as many as are picked. */
static int64_t picked_of(const lsp_pattern *p, int64_t b) {
  const int64_t side = p->block_reach - p->beyond;
  const int64_t before = lsp_max(0, lsp_min(b - p->beyond, side));
  return lsp_min(p->blocks, before + (p->two_sided ? side : 0));
}

double lsp__picked_pairs(const lsp_pattern *p, int64_t first, int64_t end) {
  const int64_t settled =
      LSP_GRID_BLOCK * (p->beyond + lsp_min(p->blocks, p->block_reach - p->beyond));
  double pairs = 0;
  int64_t i = first;
  for (int64_t next; i < lsp_min(end, settled); i = next) {
    const int64_t b = lsp_block_of(i);
    next = lsp_min(end, (lsp_max(b, p->beyond) + 1) * LSP_GRID_BLOCK);
    pairs += (double)(next - i) * LSP_GRID_BLOCK * (double)picked_of(p, b);
  }
  if (i < end)
    pairs += (double)(end - i) * LSP_GRID_BLOCK * (double)picked_of(p, lsp_block_of(i));
  return pairs;
}

int lsp_pattern_picks(const lsp_pattern *p) {
  return p->kind == LSP_PATTERN_RANDOM || p->kind == LSP_PATTERN_CHOSEN ||
         p->kind == LSP_PATTERN_SELECTED;
}

int lsp_pattern_is_memory(const lsp_pattern *p) {
  return p->kind == LSP_PATTERN_LEARNED || p->kind == LSP_PATTERN_STORE ||
         p->kind == LSP_PATTERN_COMPRESSIVE;
}

int64_t lsp_pattern_near(const lsp_pattern *p) {
  if (p->two_sided)
    return lsp_pattern_of(p)->reach(p);
  switch (p->kind) {
  case LSP_PATTERN_RANDOM:
    return 0;
  case LSP_PATTERN_CHOSEN:
  case LSP_PATTERN_SELECTED:
    return LSP_GRID_BLOCK - 1;
  default:
    return lsp_pattern_of(p)->reach(p);
  }
}

int64_t lsp_pattern_ahead(const lsp_pattern *p) {
  if (!p->two_sided)
    return 0;
  switch (p->kind) {
  case LSP_PATTERN_FULL:
  case LSP_PATTERN_GLOBAL:
    return LSP_REACH_ALL;
  case LSP_PATTERN_LOCAL:
    return p->window;
  case LSP_PATTERN_RANDOM:
    return LSP_GRID_BLOCK * (p->block_reach + 1) - 1;
  default:
    return 0;
  }
}

lsp_keys lsp_view_run(const lsp_view *v, int head, int64_t position) {
  lsp_keys all = {position + 1, position + 1};
  for (int i = 0; i < v->runs; i++) {
    const lsp_keys k = lsp_pattern_of(v->run[i])->keys(v->run[i], head, position);
    all.first = lsp_min(all.first, k.first);
    all.end = lsp_max(all.end, k.end);
  }
  return all;
}

lsp_keys lsp_keys_outside(lsp_keys k, lsp_keys run, int above) {
  if (above)
    return (lsp_keys){lsp_max(k.first, run.end), k.end};
  return (lsp_keys){k.first, lsp_min(k.end, run.first)};
}

/* Two-sided: what is before the run, and what is after it. */
static int parts_of(const lsp_pattern *p) {
  return p->two_sided ? 2 : 1;
}

/* The beginning of the frame (0: there is none), then single positions. */
static int beginnings(const lsp_view *v) {
  return v->fixed->positions == NULL || v->sinks != NULL;
}

int lsp_view_fixed_ranges(const lsp_view *v) {
  if (v->fixed == NULL)
    return 0;
  return parts_of(v->fixed) * (beginnings(v) + v->fixed->position_count);
}

/* Keys of the fixed source, whatever the run holds of them. A global row of a causal model
 * sees all before it. */
static lsp_keys fixed_keys(const lsp_view *v, int n, int64_t position) {
  const lsp_pattern *p = v->fixed;
  const int64_t most = p->two_sided ? INT64_MAX / 4 : position + 1;
  const int64_t sinks = lsp_max(p->sinks, v->sinks != NULL ? v->sinks->sinks : 0);
  if (p->kind == LSP_PATTERN_GLOBAL && !p->two_sided &&
      lsp_pattern_is_global(p, position))
    return (lsp_keys){0, n == 0 ? most : 0};
  if (n < beginnings(v))
    return (lsp_keys){0, lsp_min(sinks, most)};
  const int64_t at = p->positions[n - beginnings(v)];
  return (lsp_keys){lsp_max(at, sinks), lsp_min(at + 1, most)};
}

lsp_keys lsp_view_fixed_range(const lsp_view *v, int n, int head, int64_t position) {
  if (v->fixed == NULL)
    return (lsp_keys){0, 0};
  const int parts = parts_of(v->fixed);
  return lsp_keys_outside(fixed_keys(v, n / parts, position),
                          lsp_view_run(v, head, position), n % parts);
}

/* --- pairs ----------------------------------------------------------------------- */

static int64_t first_key(const lsp_view *v, int i, int head, int64_t position) {
  return lsp_pattern_of(v->run[i])->keys(v->run[i], head, position).first;
}

static double keys_seen(const lsp_view *v, int head, int64_t position) {
  const lsp_keys run = lsp_view_run(v, head, position);
  const lsp_keys fixed = lsp_view_fixed(v, head, position);
  return (double)(run.end - run.first) + (double)lsp_max(0, fixed.end - fixed.first);
}

/* Where a first key that goes along meets one that stands, or the first or last of the
 * fixed keys: the lower one counts, so that it may be the other from there on. */
static int64_t meeting(const lsp_view *v, int head, int64_t from, int64_t end) {
  for (int i = 0; i < v->runs; i++) {
    const int64_t goes = first_key(v, i, head, from);
    if (first_key(v, i, head, from + 1) == goes)
      continue;
    if (v->fixed != NULL && goes < 0)
      end = lsp_min(end, from - goes);
    else if (v->fixed != NULL && v->fixed->sinks > goes)
      end = lsp_min(end, from + v->fixed->sinks - goes);
    for (int k = 0; k < v->runs; k++) {
      const int64_t other = first_key(v, k, head, from);
      if (other > goes)
        end = lsp_min(end, from + other - goes);
    }
  }
  return end;
}

/* Step by step, from where the number of keys begins to change evenly to where it ceases
 * to. */
static double walked_pairs(const lsp_view *v, int head, int64_t first, int64_t end) {
  double pairs = 0;
  for (int64_t i = first; i < end;) {
    int64_t next = end;
    for (int k = 0; k < v->runs; k++)
      next = lsp_min(next, lsp_pattern_of(v->run[k])->bend(v->run[k], head, i));
    if (next > i + 1)
      next = meeting(v, head, i, next);
    pairs +=
        (keys_seen(v, head, i) + keys_seen(v, head, next - 1)) * (double)(next - i) / 2;
    i = next;
  }
  return pairs;
}

/* Smallest number that is a multiple of both; INT64_MAX: longer than any text. 0: one of them
 * is. */
static int64_t multiple_of(int64_t m, int64_t n) {
  int64_t a = m, b = n;
  while (b != 0) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  if (m > 0 && __builtin_mul_overflow(m / a, n, &m))
    return INT64_MAX;
  return m;
}

/* Positions after which the number of keys repeats itself beyond `settled`, from where on
 * all reaches are whole. 0: it grows. */
static int64_t period_of(const lsp_view *v, int64_t *settled) {
  int64_t period = 1;
  *settled = v->fixed != NULL ? v->fixed->sinks : 0;
  for (int i = 0; i < v->runs; i++) {
    const int64_t reach = lsp_pattern_near(v->run[i]);
    const int64_t own = lsp_pattern_of(v->run[i])->period(v->run[i]);
    period = multiple_of(period, own);
    if (reach != LSP_REACH_ALL)
      *settled = lsp_max(*settled, reach + (v->fixed != NULL ? v->fixed->sinks : 0));
  }
  return period;
}

static double pairs_of(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  return lsp_pattern_of(p)->pairs(p, head, first, end);
}

/* Candidates of a store that the run shows: the run has them. */
static int64_t shown(const lsp_view *v, int head, int64_t position) {
  const lsp_keys run = lsp_view_run(v, head, position);
  const lsp_keys own = lsp_store_candidates(v->store, position);
  return run.first < run.end ? lsp_max(0, own.end - lsp_max(own.first, run.first)) : 0;
}

static double all_shown(const lsp_view *v, int head, int64_t first, int64_t end) {
  double keys = 0;
  for (int64_t i = first; i < end; i++)
    keys += (double)shown(v, head, i);
  return keys;
}

/* Positions that are walked one by one, at most. */
enum { WALKED_MOST = 1 << 20 };

double lsp_view_candidates(const lsp_view *v, int head, int64_t first, int64_t end) {
  int64_t settled = 0;
  if (v->store == NULL)
    return 0;
  const double all = pairs_of(v->store, head, first, end);
  if (v->runs == 0)
    return all;
  const int64_t own = period_of(v, &settled), segment = v->store->segment;
  if (own == 0)
    return 0; /* the run shows all */
  const int64_t period = own > WALKED_MOST ? own : multiple_of(own, segment);
  settled = lsp_min(end, lsp_max(first, settled + segment));
  if (settled - first > WALKED_MOST || (end > settled && period > WALKED_MOST))
    return all; /* more than are walked: at most that */
  const int64_t periods = end > settled ? (end - settled) / period : 0;
  double keys = all_shown(v, head, first, settled);
  if (periods > 0)
    keys += (double)periods * all_shown(v, head, settled, settled + period);
  return all - keys - all_shown(v, head, settled + periods * period, end);
}

/* What comes beside run and fixed keys. A pattern that has a run in it, too, has told its
 * pairs there. */
static double more_pairs(const lsp_view *v, int head, int64_t first, int64_t end) {
  double pairs = 0;
  for (int i = 0; i < v->picks; i++) {
    pairs += pairs_of(v->picked[i], head, first, end);
    if (v->picked[i]->kind != LSP_PATTERN_RANDOM)
      pairs -= lsp__block_pairs(first, end);
  }
  if (v->pooled != NULL && v->pooled->kind != LSP_PATTERN_LEVELS)
    pairs += pairs_of(v->pooled, head, first, end);
  if (v->learned != NULL)
    pairs += pairs_of(v->learned, head, first, end);
  return pairs + lsp_view_candidates(v, head, first, end);
}

/* Global rows go beyond what walks in steps can count: they and two-sided views are
 * counted branch by branch. */
static int is_counted_apart(const lsp_view *v) {
  return (v->fixed != NULL && v->fixed->kind == LSP_PATTERN_GLOBAL) ||
         (v->runs > 0 && v->run[0]->two_sided) ||
         (v->pooled != NULL && v->pooled->kind == LSP_PATTERN_LEVELS);
}

static double run_pairs(const lsp_view *v, int head, int64_t first, int64_t end) {
  int64_t settled;
  if (is_counted_apart(v)) {
    double pairs = v->fixed == NULL ? 0 : pairs_of(v->fixed, head, first, end);
    if (v->sinks != NULL)
      pairs += pairs_of(v->sinks, head, first, end);
    for (int i = 0; i < v->runs; i++)
      pairs += pairs_of(v->run[i], head, first, end);
    return pairs;
  }
  if (v->runs == 0)
    return v->fixed == NULL ? 0 : pairs_of(v->fixed, head, first, end);
  if (v->runs == 1 && v->fixed == NULL && v->picks == 0)
    return pairs_of(v->run[0], head, first, end);
  const int64_t period = period_of(v, &settled);
  settled = lsp_min(end, lsp_max(first, settled));
  double pairs = walked_pairs(v, head, first, settled);
  if (period == 0) /* all before is seen */
    return pairs + lsp__growing_pairs(settled, end, INT64_MAX);
  const int64_t periods = (end - settled) / period;
  if (periods > 0)
    pairs += (double)periods * walked_pairs(v, head, settled, settled + period);
  return pairs + walked_pairs(v, head, settled, settled + (end - settled) % period);
}

double lsp_view_pairs(const lsp_view *v, int head, int64_t first, int64_t end) {
  return run_pairs(v, head, first, end) + more_pairs(v, head, first, end);
}

/* --- tiles ----------------------------------------------------------------------- */

/* Widens `all` by the keys of k that exist. */
static void widen(lsp_keys *all, lsp_keys k, int64_t rows) {
  k.end = lsp_min(k.end, rows);
  if (k.first >= k.end)
    return;
  all->first = lsp_min(all->first, k.first);
  all->end = lsp_max(all->end, k.end);
}

static int64_t tiles_of(lsp_keys k) {
  return k.first < k.end ? lsp_block_of(k.end - 1) - lsp_block_of(k.first) + 1 : 0;
}

int64_t lsp_view_tiles(const lsp_view *v, int head, int64_t first, int64_t end,
                       int64_t rows) {
  static const lsp_keys none = {INT64_MAX, 0};
  const int two_sided = (v->runs > 0 && v->run[0]->two_sided) ||
                        (v->fixed != NULL && v->fixed->two_sided);
  const int64_t most = two_sided ? rows : end;
  lsp_keys run = none;
  int64_t tiles = 0;
  for (int64_t i = first; i < end; i++)
    widen(&run, lsp_view_run(v, head, i), most);
  for (int n = 0; n < lsp_view_fixed_ranges(v); n++) {
    lsp_keys fixed = none;
    for (int64_t i = first; i < end; i++)
      widen(&fixed, lsp_view_fixed_range(v, n, head, i), most);
    tiles += tiles_of(fixed);
  }
  for (int l = 1; v->pooled != NULL && l <= lsp_pattern_levels(v->pooled); l++) {
    lsp_keys means = none;
    for (int64_t i = first; i < end; i++)
      widen(&means, lsp_pooled_keys(v->pooled, l, i), INT64_MAX);
    tiles += tiles_of(means);
  }
  if (v->learned != NULL && first < end)
    tiles += lsp_divide_up(v->learned->slots, LSP_GRID_BLOCK);
  return tiles_of(run) + tiles;
}
