/* A matrix that holds all segments before the query's: no key is seen one by one. */
#include "patterns.h"

int64_t lsp__compressive_reach(const lsp_pattern *p) {
  (void)p;
  return 0;
}

lsp_keys lsp__compressive_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  return lsp__no_keys(position);
}

double lsp__compressive_pairs(const lsp_pattern *p, int head, int64_t first,
                              int64_t end) {
  (void)p;
  (void)head;
  (void)first;
  (void)end;
  return 0;
}

int64_t lsp__compressive_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  (void)position;
  return INT64_MAX;
}

int64_t lsp__compressive_period(const lsp_pattern *p) {
  (void)p;
  return 1;
}
