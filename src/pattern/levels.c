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
  return p->kind == LSP_PATTERN_LEVELS ? p->levels
                                       : p->kind == LSP_PATTERN_COMPRESSED ||
                                             p->kind == LSP_PATTERN_COMPRESSED_PAST;
}

lsp_keys lsp_pooled_keys(const lsp_pattern *p, int level, int64_t position) {
  if (p->kind == LSP_PATTERN_COMPRESSED_PAST)
    return lsp__compressed_past_rows(p, position);
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
  if (p->kind == LSP_PATTERN_COMPRESSED_PAST && p->block_reach > 0)
    return p->block_reach + lsp_divide_up(p->memory + p->segment, p->pool);
  if (p->kind == LSP_PATTERN_COMPRESSED || p->kind == LSP_PATTERN_COMPRESSED_PAST)
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

/* With x = i + 1, level l begins before k_l(x) p^l, k_l(x) = max(0, floor((x - c_l) / p^l)),
 * c_l being what the levels before it show at least, w (1 + p + ... + p^(l-1)): so it shows
 * k_l - p k_(l+1) rows, the last one at most w. */
double lsp__levels_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  lsp__sum pairs = ((lsp__sum)end - first) * ((lsp__sum)first + 1 + end) / 2;
  lsp__sum shown = p->window, unit = p->pool;
  (void)head;
  for (int l = 1; l <= p->levels && shown <= end; l++) {
    pairs -= (p->pool - 1) *
             lsp__whole_means(first + 1, end + 1, (int64_t)shown, (int64_t)unit);
    shown += p->window * unit;
    if (l == p->levels && shown <= end)
      pairs -= lsp__whole_means(first + 1, end + 1, (int64_t)shown, (int64_t)unit);
    unit *= p->pool;
  }
  return (double)pairs;
}

int64_t lsp__levels_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)head;
  return position + 1 < p->window ? p->window - 1 : (position / p->pool + 1) * p->pool;
}

int64_t lsp__levels_period(const lsp_pattern *p) {
  return p->pool;
}
