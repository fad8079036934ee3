/* The first keys of the document, as far as the query. */
#include "patterns.h"

int64_t lsp__fixed_reach(const lsp_pattern *p) {
  (void)p;
  return 0;
}

lsp_keys lsp__fixed_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)head;
  return (lsp_keys){0, p->two_sided ? p->sinks : lsp_min(p->sinks, position + 1)};
}

double lsp__fixed_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  const int64_t among = lsp_max(first, lsp_min(end, p->sinks));
  (void)head;
  if (p->two_sided)
    return lsp__growing_both(first, among, INT64_MAX) +
           (double)(end - among) * (double)p->sinks;
  return lsp__growing_pairs(first, end, p->sinks);
}

int64_t lsp__fixed_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  (void)position;
  return INT64_MAX;
}

int64_t lsp__fixed_period(const lsp_pattern *p) {
  (void)p;
  return 1;
}
