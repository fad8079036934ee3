/* Which keys a query sees, computed from positions; no mask is ever stored. */
#include "lsp/plan.h"

int64_t lsp_pattern_first(const lsp_pattern *p, int64_t position) {
  const int64_t first = p->same_length ? position - p->memory + 1
                                       : position / p->segment * p->segment - p->memory;
  return p->virtual_past ? first : lsp_max(first, 0);
}

int64_t lsp_pattern_reach(const lsp_pattern *p) {
  return p->same_length ? p->memory - 1 : p->memory + p->segment - 1;
}

double lsp_pattern_pairs(const lsp_pattern *p, int64_t first, int64_t end) {
  double pairs = 0;
  int64_t i = first;
  /* Goes by runs of queries that share their first key, or that see equally many
   * keys. */
  while (i < end) {
    int64_t run_end;
    if (!p->same_length) {
      run_end = lsp_min(end, (i / p->segment + 1) * p->segment);
      const double least = (double)(i - lsp_pattern_first(p, i) + 1);
      const double n = (double)(run_end - i);
      pairs += n * least + n * (n - 1) / 2;
    } else if (!p->virtual_past && i < p->memory) {
      run_end = lsp_min(end, p->memory);
      const double n = (double)(run_end - i);
      pairs += n * (double)(i + 1) + n * (n - 1) / 2;
    } else {
      run_end = end;
      pairs += (double)(run_end - i) * (double)p->memory;
    }
    i = run_end;
  }
  return pairs;
}
