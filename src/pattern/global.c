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

int lsp_pattern_is_global(const lsp_pattern *p, int64_t position) {
  if (p->positions == NULL)
    return position < p->sinks;
  int low = 0, high = p->position_count;
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if (p->positions[middle] < position)
      low = middle + 1;
    else
      high = middle;
  }
  return low < p->position_count && p->positions[low] == position;
}

/* Global rows at or before a position. */
static int64_t rows_to(const lsp_pattern *p, int64_t position) {
  if (p->positions == NULL)
    return lsp_min(p->sinks, position + 1);
  int64_t n = 0;
  while (n < p->position_count && p->positions[n] <= position)
    n++;
  return n;
}

/* Of one global row: what it sees beyond the global ones before it. */
double lsp__global_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  const int64_t last =
      p->positions == NULL ? p->sinks : p->positions[p->position_count - 1] + 1;
  double pairs = 0;
  (void)head;
  if (p->two_sided)
    return (double)(end - first) * (double)rows_to(p, INT64_MAX / 2);
  for (int64_t i = first; i < lsp_min(end, last); i++)
    pairs += lsp_pattern_is_global(p, i) ? (double)(i + 1) : (double)rows_to(p, i);
  if (end > last)
    pairs += (double)(end - lsp_max(first, last)) * (double)rows_to(p, last);
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
