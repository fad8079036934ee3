/* Slots of keys and values that are weights: every query sees all of them. */
#include "patterns.h"

int64_t lsp__learned_reach(const lsp_pattern *p) {
  (void)p;
  return 0;
}

lsp_keys lsp__learned_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  return lsp__no_keys(position);
}

double lsp__learned_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  (void)head;
  return (double)(end - first) * (double)p->slots;
}

int64_t lsp__learned_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  (void)position;
  return INT64_MAX;
}

int64_t lsp__learned_period(const lsp_pattern *p) {
  (void)p;
  return 1;
}
