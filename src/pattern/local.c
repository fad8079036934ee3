/* The last keys, the query's own included; two-sided: as many before it as after it. */
#include "patterns.h"

int64_t lsp__local_reach(const lsp_pattern *p) {
  return p->two_sided ? p->window : p->window - 1;
}

lsp_keys lsp__local_keys(const lsp_pattern *p, int head, int64_t position) {
  const int64_t window = lsp_window_of(p, head);
  if (p->two_sided)
    return (lsp_keys){lsp_max(0, position - window), position + window + 1};
  return (lsp_keys){lsp_max(0, position - window + 1), position + 1};
}

double lsp__growing_pairs(int64_t first, int64_t end, int64_t most) {
  double pairs = 0;
  const int64_t whole = lsp_max(first, lsp_min(end, most)); /* from here on: `most` */
  const double n = (double)(whole - first);
  pairs += n * (double)(first + 1) + n * (n - 1) / 2;
  if (whole < end)
    pairs += (double)(end - whole) * (double)most;
  return pairs;
}

double lsp__growing_both(int64_t first, int64_t end, int64_t most) {
  return 2 * lsp__growing_pairs(first, end, most) - (double)(end - first);
}

double lsp__local_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  if (p->two_sided)
    return lsp__growing_both(first, end, lsp_window_of(p, head) + 1);
  return lsp__growing_pairs(first, end, lsp_window_of(p, head));
}

int64_t lsp__local_bend(const lsp_pattern *p, int head, int64_t position) {
  const int64_t whole = lsp_window_of(p, head) - !p->two_sided;
  return position < whole ? whole : INT64_MAX;
}

int64_t lsp__local_period(const lsp_pattern *p) {
  (void)p;
  return 1;
}
