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
  lsp__sum pairs = lsp__whole_means(first + 1, end + 1, 0, p->pool);
  (void)head;
  if (p->block_reach > 0) /* those that are too far back */
    pairs -= lsp__whole_means(first + 1, end + 1, p->block_reach * p->pool, p->pool);
  return (double)pairs;
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
