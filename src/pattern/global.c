/* Rows that all others see. What they see themselves is lsp_view's: everything. */
#include "patterns.h"

int64_t lsp__global_reach(const lsp_pattern *p) {
  (void)p;
  return 0;
}

lsp_keys lsp__global_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  return lsp__no_keys(position);
}

/* Global rows before a position. */
static int64_t rows_before(const lsp_pattern *p, int64_t position) {
  if (p->positions == NULL)
    return lsp_min(p->sinks, position);
  int low = 0, high = p->position_count;
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if (p->positions[middle] < position)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

int lsp_pattern_is_global(const lsp_pattern *p, int64_t position) {
  return rows_before(p, position) < rows_before(p, position + 1);
}

/* With rows at or before it. */
static int64_t pairs_of_row(const lsp_pattern *p, int64_t i) {
  const int global = lsp_pattern_is_global(p, i);
  const int64_t before = global ? i : rows_before(p, i);
  return (p->two_sided ? 2 : 1) * before + global;
}

double lsp__global_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  double pairs = 0;
  int64_t i = first;
  (void)head;
  for (; i < lsp_min(end, LSP_SINKS_MAX); i++)
    pairs += (double)pairs_of_row(p, i);
  if (i < end)
    pairs += (double)(end - i) * (double)pairs_of_row(p, i);
  return pairs;
}

int64_t lsp__global_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  (void)position;
  return INT64_MAX;
}

int64_t lsp__global_period(const lsp_pattern *p) {
  (void)p;
  return 1;
}
