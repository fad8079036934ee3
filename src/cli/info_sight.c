/* What a query sees, kind by kind.
 *
 * What must hold: the same model gives the same runs everywhere. Blocks are drawn as a run
 * draws them, from a counter-based generator: splitmix64 of (seed, layer, head, block)
 * and of the number of the draw (Steele, Lea and Flood 2014), r of n by Floyd's rule
 * (Bentley and Floyd 1987). */
#include "info_sight.h"

#include <stdlib.h>

enum { BLOCK = LSP_GRID_BLOCK, BLOCKS_MAX = 64 };

static const uint64_t golden = 0x9E3779B97F4A7C15;

/* A query, and who is told what it sees. */
typedef struct {
  const lsp_sight *sight;
  int64_t i;
  void (*see)(const lsp_seen *seen, void *arg);
  void *arg;
} look;

static void tell(const look *l, int64_t first, int64_t end, lsp_seen_how how) {
  const lsp_seen seen = {
      .first = first, .end = end, .how = how, .unit = 1, .weight = LSP_SEEN_WHOLE};
  if (first < end)
    l->see(&seen, l->arg);
}

/* Averages [first, end) of a level. */
static void tell_pooled(const look *l, int64_t first, int64_t end, int64_t unit,
                        int level) {
  const lsp_seen seen = {.first = first * unit,
                         .end = end * unit,
                         .how = LSP_SEEN_POOLED,
                         .unit = unit,
                         .level = level,
                         .weight = LSP_SEEN_WHOLE};
  if (first < end)
    l->see(&seen, l->arg);
}

/* One past the last row that a query can see. */
static int64_t end_of_sight(const look *l) {
  return l->sight->two_sided ? l->sight->rows : l->i + 1;
}

/* --- patterns, global rows ------------------------------------------------------- */

static lsp_keys keys_of(const look *l, const lsp_pattern *p) {
  const lsp_sight *s = l->sight;
  if (!s->two_sided)
    return lsp_pattern_of(p)->keys(p, s->head, l->i);
  if (p->kind == LSP_PATTERN_FIXED)
    return (lsp_keys){0, p->sinks};
  if (p->kind != LSP_PATTERN_LOCAL)
    return (lsp_keys){0, s->rows};
  const int64_t window = lsp_window_of(p, s->head);
  return (lsp_keys){l->i - window, l->i + window + 1};
}

static void see_pattern(const look *l, const lsp_sight_part *p) {
  const lsp_keys k = keys_of(l, p->pattern);
  tell(l, lsp_max(k.first, 0), lsp_min(k.end, l->sight->rows),
       p->pattern->kind == LSP_PATTERN_FIXED ? LSP_SEEN_FIXED : LSP_SEEN_RUN);
}

static int64_t global_row(const lsp_sight_part *p, int64_t k) {
  return p->positions != NULL ? p->positions[k] : k;
}

static void see_global(const look *l, const lsp_sight_part *p) {
  const int64_t end = end_of_sight(l);
  for (int64_t k = 0; k < p->count; k++)
    if (global_row(p, k) == l->i) {
      tell(l, 0, end, LSP_SEEN_GLOBAL);
      return;
    }
  for (int64_t k = 0; k < p->count && global_row(p, k) < end; k++)
    tell(l, global_row(p, k), global_row(p, k) + 1, LSP_SEEN_GLOBAL);
}

/* --- blocks ---------------------------------------------------------------------- */

/* Rising numbers without those of a gap. */
typedef struct {
  int64_t first, count, gap_from, gap; /* gap_from: how many lie before the gap */
} candidates;

static int64_t candidate(const candidates *c, int64_t k) {
  return c->first + k + (k >= c->gap_from ? c->gap : 0);
}

/* Blocks within reach of block b that are not too near. */
static candidates blocks_within(const lsp_sight *s, const lsp_sight_part *p,
                                int64_t b) {
  const int64_t first = lsp_max(0, b - p->reach);
  const int64_t before = lsp_max(0, b - p->beyond - first);
  candidates c = {.first = first, .count = before, .gap_from = before};
  if (!s->two_sided)
    return c;
  const int64_t last = lsp_min(b + p->reach, lsp_divide_up(s->rows, BLOCK) - 1);
  c.gap = b + p->beyond + 1 - first - before;
  c.count += lsp_max(0, last - (b + p->beyond));
  return c;
}

static uint64_t mix(uint64_t z) {
  z += golden;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

__extension__ typedef unsigned __int128 wide;

/* u as a fraction of 2^64, times n. */
static int64_t scaled(uint64_t u, int64_t n) {
  return (int64_t)(((wide)u * (wide)n) >> 64);
}

static int is_among(const int64_t *list, int64_t n, int64_t x) {
  for (int64_t k = 0; k < n; k++)
    if (list[k] == x)
      return 1;
  return 0;
}

/* Tells r of the candidates, or all if there are no more. */
static void tell_drawn(const look *l, const candidates *c, int64_t r, uint64_t key,
                       lsp_seen_how how) {
  int64_t taken[BLOCKS_MAX];
  const int64_t n = c->count, all = lsp_min(lsp_min(r, n), BLOCKS_MAX);
  for (int64_t t = 0; t < all; t++) {
    const int64_t m = n - all + t;
    const int64_t x = scaled(mix(key + (uint64_t)t * golden), m + 1);
    taken[t] = is_among(taken, t, x) ? m : x;
    const int64_t block = candidate(c, taken[t]);
    tell(l, block * BLOCK, lsp_min((block + 1) * BLOCK, l->sight->rows), how);
  }
}

/* who: the block, or where each query has its own draw, the query. */
static uint64_t key_of(const lsp_sight *s, uint64_t seed, int64_t who) {
  const uint64_t of_layer = mix(mix(seed) ^ (uint64_t)s->layer);
  return mix(mix(of_layer ^ (uint64_t)s->head) ^ (uint64_t)who);
}

static void see_random(const look *l, const lsp_sight_part *p) {
  const int64_t b = l->i / BLOCK;
  const candidates c = blocks_within(l->sight, p, b);
  tell_drawn(l, &c, p->blocks, key_of(l->sight, p->seed, b), LSP_SEEN_RANDOM);
}

static void see_chosen(const look *l, const lsp_sight_part *p) {
  const int64_t b = l->i / BLOCK;
  const candidates c = blocks_within(l->sight, p, b);
  tell(l, b * BLOCK, l->i + 1, LSP_SEEN_RUN);
  tell_drawn(l, &c, p->blocks, key_of(l->sight, p->seed, b), LSP_SEEN_CHOSEN);
}

/* --- averages -------------------------------------------------------------------- */

/* Averages that query i sees: those that are whole, as far back as they reach. */
static lsp_keys averages_of(const lsp_sight_part *p, int64_t i) {
  const int64_t end = (i + 1) / p->pool;
  return (lsp_keys){p->reach > 0 ? lsp_max(0, end - p->reach) : 0, end};
}

static void see_compressed(const look *l, const lsp_sight_part *p) {
  const lsp_keys k = averages_of(p, l->i);
  tell_pooled(l, k.first, k.end, p->pool, 1);
}

/* Blocks of which an average is seen, one less than it takes in all. */
static void see_selected(const look *l, const lsp_sight_part *p) {
  const int64_t b = l->i / BLOCK;
  const lsp_keys k = averages_of(p, l->i);
  const int64_t first = lsp_min(k.first * p->pool / BLOCK, b);
  const candidates c = {.first = first, .count = b - first, .gap_from = b};
  tell(l, b * BLOCK, l->i + 1, LSP_SEEN_RUN);
  tell_drawn(l, &c, p->blocks - 1, key_of(l->sight, p->seed, l->i), LSP_SEEN_CHOSEN);
}

/* Each level begins where the finer one ends, at a whole average of the next. */
static void see_levels(const look *l, const lsp_sight_part *p) {
  int64_t unit = 1, from = lsp_max(0, l->i - p->window + 1) / p->pool * p->pool;
  tell(l, from, l->i + 1, LSP_SEEN_RUN);
  for (int level = 1; level <= p->levels; level++) {
    unit *= p->pool;
    const int64_t end = from / unit, first = lsp_max(0, end - p->window);
    const int64_t whole = level < p->levels ? first / p->pool * p->pool : first;
    tell_pooled(l, whole, end, unit, level);
    from = whole * unit;
  }
}

/* --- a ramp ---------------------------------------------------------------------- */

/* The weight at distance x is (ramp + window - x) / ramp, within 0 and 1: runs that hold
 * each other, the wider the lighter. */
static void see_dynamic(const look *l, const lsp_sight_part *p) {
  for (int weight = 1; weight <= LSP_SEEN_WHOLE; weight++) {
    const int64_t eighths = 8 * (p->ramp + p->window) - (weight - 1) * p->ramp;
    const lsp_seen seen = {.first = lsp_max(0, l->i - (eighths - 1) / 8),
                           .end = l->i + 1,
                           .how = LSP_SEEN_RUN,
                           .unit = 1,
                           .weight = weight};
    l->see(&seen, l->arg);
  }
}

/* --- all of them ----------------------------------------------------------------- */

typedef void see_part(const look *l, const lsp_sight_part *p);

static see_part *const see_kind[LSP_SIGHTS] = {
    [LSP_SIGHT_PATTERN] = see_pattern,       [LSP_SIGHT_GLOBAL] = see_global,
    [LSP_SIGHT_RANDOM] = see_random,         [LSP_SIGHT_CHOSEN] = see_chosen,
    [LSP_SIGHT_COMPRESSED] = see_compressed, [LSP_SIGHT_SELECTED] = see_selected,
    [LSP_SIGHT_LEVELS] = see_levels,         [LSP_SIGHT_DYNAMIC] = see_dynamic};

void lsp_sight_of(const lsp_sight *s, int64_t i,
                  void (*see)(const lsp_seen *seen, void *arg), void *arg) {
  const look l = {.sight = s, .i = i, .see = see, .arg = arg};
  for (int k = 0; k < s->parts; k++)
    see_kind[s->part[k].kind](&l, &s->part[k]);
}

int64_t lsp_sight_speaker(const lsp_sight *s, int64_t first, int64_t end) {
  for (int n = 0; n < s->parts; n++)
    for (int64_t k = 0; s->part[n].kind == LSP_SIGHT_GLOBAL && k < s->part[n].count;
         k++) {
      const int64_t row = global_row(&s->part[n], k);
      if (row >= first && row < end)
        return row;
    }
  return end - 1;
}

/* --- how far --------------------------------------------------------------------- */

static int64_t times(int64_t a, int64_t b) {
  const int64_t most = INT64_MAX / 64;
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) || product > most ? most : product;
}

static int64_t reach_of_pattern(const lsp_pattern *p) {
  const int64_t reach = lsp_pattern_of(p)->reach(p);
  return lsp_max(reach == LSP_REACH_ALL ? 0 : reach + 1, p->sinks);
}

int64_t lsp_sight_reach(const lsp_sight_part *part) {
  int64_t reach = part->window;
  switch (part->kind) {
  case LSP_SIGHT_PATTERN:
    return reach_of_pattern(part->pattern);
  case LSP_SIGHT_GLOBAL:
    return part->count > 0 ? global_row(part, part->count - 1) + 1 : 0;
  case LSP_SIGHT_RANDOM:
  case LSP_SIGHT_CHOSEN:
    return times(part->reach + 1, BLOCK);
  case LSP_SIGHT_COMPRESSED:
    return times(part->reach, part->pool);
  case LSP_SIGHT_LEVELS:
    for (int level = 0; level < part->levels; level++)
      reach = times(reach, part->pool);
    return reach;
  case LSP_SIGHT_DYNAMIC:
    return part->window + part->ramp;
  case LSP_SIGHT_SELECTED:
  case LSP_SIGHTS:
    break;
  }
  return 0;
}
