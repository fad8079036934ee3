/* Transformer-XL's segment and memory. Segments are counted from position 0. */
#include "patterns.h"

int64_t lsp__recurrence_reach(const lsp_pattern *p) {
  return p->same_length ? p->memory - 1 : p->memory + p->segment - 1;
}

lsp_keys lsp__recurrence_keys(const lsp_pattern *p, int head, int64_t position) {
  const int64_t first = p->same_length ? position - p->memory + 1
                                       : position / p->segment * p->segment - p->memory;
  (void)head;
  return (lsp_keys){p->virtual_past ? first : lsp_max(first, 0), position + 1};
}

/* Segments [s, e) whose memory is whole, or whose queries see all before them, are alike
 * but for their number of keys: those before are walked, the others counted. */
static double segment_pairs(const lsp_pattern *p, int64_t first, int64_t end) {
  double pairs = 0;
  const double S = (double)p->segment;
  for (int64_t i = first; i < end;) {
    const int64_t next = (i / p->segment + 1) * p->segment;
    const int whole =
        i % p->segment == 0 && next <= end && (p->virtual_past || i >= p->memory);
    if (whole) {
      const int64_t alike = (end - i) / p->segment;
      pairs += (double)alike * (S * (double)(p->memory + 1) + S * (S - 1) / 2);
      i += alike * p->segment;
      continue;
    }
    const int64_t run_end = lsp_min(end, next);
    const double n = (double)(run_end - i);
    const double least = (double)(i + 1 - lsp__recurrence_keys(p, 0, i).first);
    pairs += n * least + n * (n - 1) / 2;
    i = run_end;
  }
  return pairs;
}

double lsp__recurrence_pairs(const lsp_pattern *p, int head, int64_t first,
                             int64_t end) {
  (void)head;
  if (!p->same_length)
    return segment_pairs(p, first, end);
  if (p->virtual_past)
    return (double)(end - first) * (double)p->memory;
  return lsp__growing_pairs(first, end, p->memory);
}

int64_t lsp__recurrence_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)head;
  if (!p->same_length)
    return (position / p->segment + 1) * p->segment;
  return !p->virtual_past && position < p->memory - 1 ? p->memory - 1 : INT64_MAX;
}

int64_t lsp__recurrence_period(const lsp_pattern *p) {
  return p->same_length ? 1 : p->segment;
}
