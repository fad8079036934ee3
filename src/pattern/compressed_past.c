/* Rows that have left the recurrence, `pool` of them made one.
 *
 *   compressed rows        | c | c | c |
 *   memory                             | j j j j j j |
 *   segment                                          | j j i     |
 *                                      a - memory    a
 *
 * The config has it that segment and memory are multiples of the pool. */
#include "patterns.h"

int64_t lsp__compressed_past_reach(const lsp_pattern *p) {
  (void)p;
  return 0;
}

lsp_keys lsp__compressed_past_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  return lsp__no_keys(position);
}

lsp_keys lsp__compressed_past_rows(const lsp_pattern *p, int64_t position) {
  const int64_t left = position / p->segment * p->segment - p->memory;
  const int64_t end = lsp_max(0, left) / p->pool;
  return (lsp_keys){p->block_reach == 0 ? 0 : lsp_max(0, end - p->block_reach), end};
}

/* Rows that are shown before position x: segment by segment, as many as have left. */
static lsp__sum pairs_before(const lsp_pattern *p, int64_t x) {
  const int64_t S = p->segment, each = S / p->pool;
  const int64_t most = p->block_reach == 0 ? INT64_MAX / 2 : p->block_reach;
  const int64_t from = lsp_divide_up(p->memory, S), rest = p->memory % S;
  /* Segment n >= from shows (n S - memory) / pool rows, at most `most`. */
  const int64_t offset = rest == 0 ? 0 : (S - rest) / p->pool;
  const int64_t whole = x / S;
  const int64_t n = lsp_max(0, whole - from);
  const int64_t grows = most < offset ? 0 : lsp_min(n, (most - offset) / each + 1);
  lsp__sum sum = (lsp__sum)grows * offset + (lsp__sum)grows * (grows - 1) / 2 * each;
  sum += (lsp__sum)(n - grows) * (n > grows ? most : 0);
  sum *= S;
  if (whole >= from)
    sum += (lsp__sum)lsp_min(most, offset + (whole - from) * each) * (x % S);
  return sum;
}

double lsp__compressed_past_pairs(const lsp_pattern *p, int head, int64_t first,
                                  int64_t end) {
  (void)head;
  return (double)(pairs_before(p, end) - pairs_before(p, first));
}

int64_t lsp__compressed_past_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  (void)position;
  return INT64_MAX;
}

int64_t lsp__compressed_past_period(const lsp_pattern *p) {
  return p->block_reach > 0 ? p->segment : 0;
}
