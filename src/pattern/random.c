/* Blocks drawn by a counter-based generator: any rank knows what any block of queries of
 * any head draws, and no state is carried. */
#include "patterns.h"

/* A step of splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t mixed(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/* A number below n: the high half of a product. */
static int64_t below(uint64_t u, int64_t n) {
  __extension__ typedef unsigned __int128 wide;
  return (int64_t)(uint64_t)(((wide)u * (uint64_t)n) >> 64);
}

/* Candidates: low .. high, without those in between, gap_low .. gap_high (none if the gap
 * is empty). */
typedef struct {
  int64_t low, high, gap_low, gap_high;
} candidates;

static candidates candidates_of(const lsp_pattern *p, int64_t b, int64_t blocks) {
  candidates c = {.low = lsp_max(0, b - p->block_reach),
                  .high = b - 1 - p->beyond,
                  .gap_low = 0,
                  .gap_high = -1};
  if (p->two_sided) {
    c.high = lsp_min(blocks - 1, b + p->block_reach);
    c.gap_low = lsp_max(c.low, b - p->beyond);
    c.gap_high = lsp_min(c.high, b + p->beyond);
  }
  return c;
}

static int64_t number_of(const candidates *c) {
  return lsp_max(0, c->high - c->low + 1) - lsp_max(0, c->gap_high - c->gap_low + 1);
}

static int64_t candidate(const candidates *c, int64_t index) {
  const int64_t at = c->low + index;
  return c->gap_high >= c->gap_low && at >= c->gap_low
             ? at + c->gap_high - c->gap_low + 1
             : at;
}

/* Puts `value` into a rising list of n; 0 if it is there. */
static int insert(int64_t *list, int n, int64_t value) {
  int at = n;
  while (at > 0 && list[at - 1] > value)
    at--;
  if (at > 0 && list[at - 1] == value)
    return 0;
  for (int i = n; i > at; i--)
    list[i] = list[i - 1];
  list[at] = value;
  return 1;
}

int lsp_draw_blocks(const lsp_pattern *p, int layer, int head, int64_t b,
                    int64_t blocks, int64_t block[LSP_PICKS_MAX]) {
  const candidates c = candidates_of(p, b, blocks);
  const int64_t n = number_of(&c), r = lsp_min(p->blocks, n);
  uint64_t key = mixed(p->seed) ^ (uint64_t)layer;
  key = mixed(mixed(mixed(key) ^ (uint64_t)head) ^ (uint64_t)b);
  int taken = 0;
  for (int64_t t = 0; t < r; t++) {
    const int64_t most = n - r + t;
    const uint64_t u = mixed(key + (uint64_t)t * 0x9E3779B97F4A7C15u);
    if (n == r || !insert(block, taken, below(u, most + 1)))
      (void)insert(block, taken, n == r ? t : most);
    taken++;
  }
  for (int i = 0; i < taken; i++)
    block[i] = candidate(&c, block[i]);
  return taken;
}

int64_t lsp__random_reach(const lsp_pattern *p) {
  return LSP_GRID_BLOCK * (p->block_reach + 1) - 1;
}

lsp_keys lsp__random_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  return lsp__no_keys(position);
}

/* (Two-sided: what the end of the frame takes away is not counted.) */
double lsp__random_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  (void)head;
  return lsp__picked_pairs(p, first, end);
}

int64_t lsp__random_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  (void)position;
  return INT64_MAX;
}

int64_t lsp__random_period(const lsp_pattern *p) {
  (void)p;
  return LSP_GRID_BLOCK;
}
