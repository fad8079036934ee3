/* A window of keys, and before it windows of means, each level coarser than the one before:
 * every position of the past within reach is seen once, by itself or in a mean.
 *
 *   level 2   | c . | c . |
 *   level 1               | c | c | c |
 *   level 0                           | j j j j j i
 *             a_2 u_2     f_1         f_0
 *
 * f_0 is a multiple of the pool p, f_l one of p^(l + 1), so that a level begins where the one
 * above it ends. */
#include "patterns.h"

static int64_t floor_to(int64_t n, int64_t unit) {
  return n <= 0 ? 0 : n / unit * unit;
}

/* First position that level 0 shows. */
static int64_t first_key(const lsp_pattern *p, int64_t position) {
  return floor_to(position - p->window + 1, p->pool);
}

int64_t lsp_level_unit(const lsp_pattern *p, int level) {
  int64_t unit = 1;
  for (int l = 0; l < level; l++)
    unit *= p->pool;
  return unit;
}

int lsp_pattern_levels(const lsp_pattern *p) {
  return p->kind == LSP_PATTERN_LEVELS ? p->levels : p->kind == LSP_PATTERN_COMPRESSED;
}

lsp_keys lsp_pooled_keys(const lsp_pattern *p, int level, int64_t position) {
  if (p->kind == LSP_PATTERN_COMPRESSED) {
    const int64_t whole = (position + 1) / p->pool;
    return (lsp_keys){p->block_reach == 0 ? 0 : lsp_max(0, whole - p->block_reach),
                      whole};
  }
  int64_t first = first_key(p, position), unit = 1;
  lsp_keys rows = {0, 0};
  for (int l = 1; l <= level; l++) {
    unit *= p->pool;
    rows.end = first / unit;
    rows.first = l == p->levels ? lsp_max(0, rows.end - p->window)
                                : floor_to(rows.end - p->window, p->pool);
    first = rows.first * unit;
  }
  return rows;
}

/* Levels show at most window + pool - 1 rows each; those of the finer ones together are, in
 * rows of this one, less than `finer`. */
int64_t lsp_level_reach(const lsp_pattern *p, int level) {
  if (p->kind == LSP_PATTERN_COMPRESSED)
    return p->block_reach == 0 ? LSP_REACH_ALL : p->block_reach;
  const int64_t rows = p->window + p->pool - 1;
  int64_t finer = 0;
  for (int l = 1; l <= level; l++)
    finer = (finer + rows) / p->pool + 1;
  return finer + rows + 1;
}

int64_t lsp__levels_reach(const lsp_pattern *p) {
  return p->window + p->pool - 2;
}

lsp_keys lsp__levels_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)head;
  return (lsp_keys){first_key(p, position), position + 1};
}

static double rows_seen(const lsp_pattern *p, int64_t position) {
  double rows = (double)(position + 1 - first_key(p, position));
  for (int l = 1; l <= p->levels; l++) {
    const lsp_keys k = lsp_pooled_keys(p, l, position);
    rows += (double)(k.end - k.first);
  }
  return rows;
}

/* Within p positions that end before a new mean comes, each query sees one key more than
 * the one before. Far from the beginning levels differ little: what they show then is
 * counted as the most of a period, but for less than pool rows a level. */
double lsp__levels_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  enum { COUNTED = 1 << 16 };
  double pairs = 0;
  (void)head;
  const int64_t counted = lsp_min(end, lsp_max(first, COUNTED));
  for (int64_t i = first; i < counted; i++)
    pairs += rows_seen(p, i);
  if (end > counted) {
    const double ends = rows_seen(p, counted) + rows_seen(p, end - 1);
    pairs += (double)(end - counted) * ends / 2;
  }
  return pairs;
}

int64_t lsp__levels_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)head;
  return position + 1 < p->window ? p->window - 1 : (position / p->pool + 1) * p->pool;
}

int64_t lsp__levels_period(const lsp_pattern *p) {
  return p->pool;
}
