/* The query's own block, and blocks that the compressed attention beside it weighs most. */
#include "patterns.h"

/* Pooled rows of `pool` positions stand for the blocks. */
int64_t lsp__selected_reach(const lsp_pattern *p) {
  return p->block_reach == 0 ? LSP_REACH_ALL
                             : p->pool * (p->block_reach + 1) + 2 * LSP_GRID_BLOCK - 1;
}

lsp_keys lsp__selected_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  return lsp__block_keys(position);
}

double lsp__selected_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  double pairs = lsp__block_pairs(first, end);
  int64_t i = first;
  (void)head;
  for (int64_t next; i < end; i = next) {
    const int64_t b = lsp_block_of(i);
    next = b >= p->blocks ? end : lsp_min(end, (b + 1) * LSP_GRID_BLOCK);
    pairs += (double)(next - i) * LSP_GRID_BLOCK * (double)lsp_min(p->blocks - 1, b);
  }
  return pairs;
}

int64_t lsp__selected_bend(const lsp_pattern *p, int head, int64_t position) {
  return lsp__chosen_bend(p, head, position);
}

int64_t lsp__selected_period(const lsp_pattern *p) {
  (void)p;
  return LSP_GRID_BLOCK;
}
