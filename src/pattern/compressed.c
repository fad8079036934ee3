/* Means of keys and values, as far as they are whole. */
#include "patterns.h"

int64_t lsp__compressed_reach(const lsp_pattern *p) {
  (void)p;
  return 0;
}

lsp_keys lsp__compressed_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  return lsp__no_keys(position);
}

double lsp__compressed_pairs(const lsp_pattern *p, int head, int64_t first,
                             int64_t end) {
  double pairs = 0;
  (void)head;
  for (int64_t i = first, next; i < end; i = next) {
    const int64_t whole = (i + 1) / p->pool;
    if (p->block_reach > 0 && whole >= p->block_reach)
      return pairs + (double)(end - i) * (double)p->block_reach;
    next = lsp_min(end, (whole + 1) * p->pool - 1);
    pairs += (double)(next - i) * (double)whole;
  }
  return pairs;
}

int64_t lsp__compressed_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  (void)position;
  return INT64_MAX;
}

int64_t lsp__compressed_period(const lsp_pattern *p) {
  return p->block_reach > 0 ? 1 : 0;
}
