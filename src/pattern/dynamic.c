/* A window as long as each head has learned. Before the weights are there, the longest. */
#include "patterns.h"

int64_t lsp__dynamic_reach(const lsp_pattern *p) {
  return p->window + p->ramp - 1;
}

static int64_t keys_of(const lsp_pattern *p, int head) {
  return p->windows != NULL ? p->windows[head] : p->window + p->ramp;
}

lsp_keys lsp__dynamic_keys(const lsp_pattern *p, int head, int64_t position) {
  return (lsp_keys){lsp_max(0, position - keys_of(p, head) + 1), position + 1};
}

double lsp__dynamic_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  return lsp__growing_pairs(first, end, keys_of(p, head));
}

int64_t lsp__dynamic_bend(const lsp_pattern *p, int head, int64_t position) {
  const int64_t whole = keys_of(p, head) - 1;
  return position < whole ? whole : INT64_MAX;
}

int64_t lsp__dynamic_period(const lsp_pattern *p) {
  (void)p;
  return 1;
}
