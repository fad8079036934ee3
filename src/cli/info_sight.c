/* What a query sees, kind by kind: src/pattern/ says it, this puts it into runs of keys. */
#include "info_sight.h"

#include <stdlib.h>

enum { BLOCK = LSP_GRID_BLOCK };

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

static void see_pattern(const look *l, const lsp_sight_part *p) {
  const lsp_keys k = lsp_pattern_of(p->pattern)->keys(p->pattern, l->sight->head, l->i);
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

/* The numbers of a part that is no pattern, as those of one. */
static lsp_pattern pattern_of(const lsp_sight *s, const lsp_sight_part *p,
                              lsp_pattern_kind kind) {
  return (lsp_pattern){.kind = kind,
                       .two_sided = s->two_sided,
                       .window = p->window,
                       .blocks = (int)lsp_min(p->blocks, LSP_PICKS_MAX),
                       .block_reach = p->reach,
                       .beyond = p->beyond,
                       .seed = p->seed,
                       .pool = (int)p->pool,
                       .levels = p->levels};
}

/* What block b draws. */
static void tell_drawn(const look *l, const lsp_pattern *p, int64_t b,
                       lsp_seen_how how) {
  const lsp_sight *s = l->sight;
  int64_t block[LSP_PICKS_MAX];
  const int n =
      lsp_draw_blocks(p, s->layer, s->head, b, lsp_divide_up(s->rows, BLOCK), block);
  for (int k = 0; k < n; k++)
    tell(l, block[k] * BLOCK, lsp_min((block[k] + 1) * BLOCK, s->rows), how);
}

static void see_random(const look *l, const lsp_sight_part *p) {
  const lsp_pattern drawn = pattern_of(l->sight, p, LSP_PATTERN_RANDOM);
  tell_drawn(l, &drawn, l->i / BLOCK, LSP_SEEN_RANDOM);
}

static void see_chosen(const look *l, const lsp_sight_part *p) {
  const lsp_pattern drawn = pattern_of(l->sight, p, LSP_PATTERN_RANDOM);
  const int64_t b = l->i / BLOCK;
  tell(l, b * BLOCK, l->i + 1, LSP_SEEN_RUN);
  tell_drawn(l, &drawn, b, LSP_SEEN_CHOSEN);
}

/* --- averages -------------------------------------------------------------------- */

static void see_level(const look *l, const lsp_pattern *p, int level) {
  const lsp_keys k = lsp_pooled_keys(p, level, l->i);
  tell_pooled(l, k.first, k.end, lsp_level_unit(p, level), level);
}

/* Averages that are whole, as far back as they reach. */
static void see_compressed(const look *l, const lsp_sight_part *p) {
  const lsp_pattern pooled = pattern_of(l->sight, p, LSP_PATTERN_COMPRESSED);
  see_level(l, &pooled, 1);
}

/* Blocks of which an average is seen, one less than it takes in all. Each query has a draw
 * of its own. */
static void see_selected(const look *l, const lsp_sight_part *p) {
  const lsp_pattern pooled = pattern_of(l->sight, p, LSP_PATTERN_COMPRESSED);
  lsp_pattern drawn = pattern_of(l->sight, p, LSP_PATTERN_RANDOM);
  const int64_t b = l->i / BLOCK;
  const int64_t first = lsp_pooled_keys(&pooled, 1, l->i).first * p->pool / BLOCK;
  drawn.blocks--;
  drawn.block_reach = b - lsp_min(first, b);
  drawn.seed = (uint64_t)l->i;
  tell(l, b * BLOCK, l->i + 1, LSP_SEEN_RUN);
  tell_drawn(l, &drawn, b, LSP_SEEN_CHOSEN);
}

/* Each level begins where the finer one ends. */
static void see_levels(const look *l, const lsp_sight_part *p) {
  const lsp_pattern pooled = pattern_of(l->sight, p, LSP_PATTERN_LEVELS);
  const lsp_keys run = lsp_pattern_of(&pooled)->keys(&pooled, l->sight->head, l->i);
  tell(l, run.first, run.end, LSP_SEEN_RUN);
  for (int level = 1; level <= p->levels; level++)
    see_level(l, &pooled, level);
}

/* --- memories -------------------------------------------------------------------- */

static void see_nothing(const look *l, const lsp_sight_part *p) {
  (void)l;
  (void)p;
}

/* A number for every query and pick, that looks like any other. */
static uint64_t mixed(int64_t i, int64_t n) {
  uint64_t z = (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)n;
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

/* The candidates, and as an example of those found one in each of as many parts. */
static void see_store(const look *l, const lsp_sight_part *p) {
  const lsp_keys k = lsp_store_candidates(p->pattern, l->i);
  const int64_t n = lsp_max(k.end - k.first, 0);
  const int64_t found = lsp_min(n, p->pattern->neighbours);
  tell(l, k.first, k.end, LSP_SEEN_COMPARED);
  for (int64_t f = 0; f < found; f++) {
    const int64_t first = k.first + f * n / found, end = k.first + (f + 1) * n / found;
    const int64_t at =
        first + (int64_t)(mixed(l->i, f) % (uint64_t)lsp_max(end - first, 1));
    tell(l, at, at + 1, LSP_SEEN_CHOSEN);
  }
}

static void see_past(const look *l, const lsp_sight_part *p) {
  see_level(l, p->pattern, 1);
}

static void see_held(const look *l, const lsp_sight_part *p) {
  tell(l, 0, l->i / p->pattern->segment * p->pattern->segment, LSP_SEEN_HELD);
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

static see_part *const see_kind[LSP_SIGHTS] = {[LSP_SIGHT_PATTERN] = see_pattern,
                                               [LSP_SIGHT_GLOBAL] = see_global,
                                               [LSP_SIGHT_RANDOM] = see_random,
                                               [LSP_SIGHT_CHOSEN] = see_chosen,
                                               [LSP_SIGHT_COMPRESSED] = see_compressed,
                                               [LSP_SIGHT_SELECTED] = see_selected,
                                               [LSP_SIGHT_LEVELS] = see_levels,
                                               [LSP_SIGHT_DYNAMIC] = see_dynamic,
                                               [LSP_SIGHT_LEARNED] = see_nothing,
                                               [LSP_SIGHT_STORE] = see_store,
                                               [LSP_SIGHT_PAST] = see_past,
                                               [LSP_SIGHT_HELD] = see_held};

/* Rows of a frame, which are told as those of the text: `before` of them are none, then
 * comes row `first` of the text. */
typedef struct {
  int64_t first, before;
  void (*see)(const lsp_seen *seen, void *arg);
  void *arg;
} frame;

static void tell_of_text(const lsp_seen *seen, void *arg) {
  const frame *f = arg;
  lsp_seen s = *seen;
  s.first = lsp_max(seen->first, f->before) - f->before + f->first;
  s.end = seen->end - f->before + f->first;
  if (s.first < s.end)
    f->see(&s, f->arg);
}

/* A text that is read in segments. */
static void see_segment(const lsp_sight *s, int64_t i,
                        void (*see)(const lsp_seen *seen, void *arg), void *arg) {
  const int64_t start = i / s->segment * s->segment;
  frame f = {lsp_max(0, start - s->again), s->before, see, arg};
  lsp_sight one = *s;
  const look l = {.sight = s, .i = i, .see = see, .arg = arg};
  one.segment = 0;
  one.rows = s->before + lsp_min(start + s->segment, s->rows) - f.first;
  if (s->holds)
    tell(&l, 0, start, LSP_SEEN_HELD);
  lsp_sight_of(&one, s->before + i - f.first, tell_of_text, &f);
}

/* A segment is seen through the frame, which has none. */
/* NOLINTNEXTLINE(misc-no-recursion) */
void lsp_sight_of(const lsp_sight *s, int64_t i,
                  void (*see)(const lsp_seen *seen, void *arg), void *arg) {
  const look l = {.sight = s, .i = i, .see = see, .arg = arg};
  if (s->segment > 0) {
    see_segment(s, i, see, arg);
    return;
  }
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
  case LSP_SIGHT_STORE:
    return reach_of_pattern(part->pattern);
  case LSP_SIGHT_PAST:
    return part->pattern->memory + part->pattern->segment +
           times(part->pattern->block_reach, part->pattern->pool);
  case LSP_SIGHT_HELD:
    return part->pattern->segment;
  case LSP_SIGHT_LEARNED:
  case LSP_SIGHT_SELECTED:
  case LSP_SIGHTS:
    break;
  }
  return 0;
}
