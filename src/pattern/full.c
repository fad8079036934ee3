/* Every key before, and the query's own. */
#include "patterns.h"

int64_t lsp__full_reach(const lsp_pattern *p) {
  (void)p;
  return LSP_REACH_ALL;
}

lsp_keys lsp__full_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)head;
  return (lsp_keys){0, p->two_sided ? INT64_MAX / 4 : position + 1};
}

double lsp__full_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  (void)head;
  if (p->two_sided)
    return lsp__growing_both(first, end, INT64_MAX);
  return lsp__growing_pairs(first, end, INT64_MAX);
}

int64_t lsp__full_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  (void)position;
  return INT64_MAX;
}

int64_t lsp__full_period(const lsp_pattern *p) {
  (void)p;
  return 0;
}
