/* Keys and values of the positions before the query's segment, of which a query takes those
 * that match best. They are its candidates: every one is compared. */
#include "patterns.h"

int64_t lsp__store_reach(const lsp_pattern *p) {
  return p->memory == 0 ? LSP_REACH_ALL : p->memory + p->segment - 1;
}

lsp_keys lsp__store_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  return lsp__no_keys(position);
}

lsp_keys lsp_store_candidates(const lsp_pattern *p, int64_t position) {
  const int64_t end = position / p->segment * p->segment;
  return (lsp_keys){p->memory == 0 ? 0 : lsp_max(0, end - p->memory), end};
}

/* Sum over the whole segments before x of what their queries see, and of a part of one. */
static double pairs_before(const lsp_pattern *p, int64_t x) {
  const int64_t whole = x / p->segment, rest = x % p->segment;
  const int64_t most = p->memory == 0 ? INT64_MAX / 2 : p->memory;
  const int64_t grows = lsp_min(whole, most / p->segment + 1);
  lsp__sum sum = (lsp__sum)grows * (grows - 1) / 2 * p->segment;
  sum += (lsp__sum)(whole - grows) * (whole > grows ? most : 0);
  sum *= p->segment;
  sum += (lsp__sum)lsp_min(whole * p->segment, most) * rest;
  return (double)sum;
}

double lsp__store_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  (void)head;
  return pairs_before(p, end) - pairs_before(p, first);
}

int64_t lsp__store_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  (void)position;
  return INT64_MAX;
}

int64_t lsp__store_period(const lsp_pattern *p) {
  return p->memory == 0 ? 0 : p->segment;
}
