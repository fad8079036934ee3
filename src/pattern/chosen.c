/* The query's own block, and blocks before it that are chosen while the program runs. */
#include "patterns.h"

int64_t lsp__chosen_reach(const lsp_pattern *p) {
  return LSP_GRID_BLOCK * (p->block_reach + 1) - 1;
}

lsp_keys lsp__chosen_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  return lsp__block_keys(position);
}

double lsp__chosen_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  const int64_t settled = LSP_GRID_BLOCK * (p->block_reach + 1);
  double pairs = lsp__block_pairs(first, end);
  int64_t i = first;
  (void)head;
  for (int64_t next; i < lsp_min(end, settled); i = next) {
    const int64_t b = lsp_block_of(i);
    const int64_t n = lsp_min(b - p->beyond, p->block_reach - p->beyond);
    next = lsp_min(end, (b + 1) * LSP_GRID_BLOCK);
    pairs +=
        (double)(next - i) * LSP_GRID_BLOCK * (double)lsp_max(0, lsp_min(p->blocks, n));
  }
  if (i < end)
    pairs += (double)(end - i) * LSP_GRID_BLOCK *
             (double)lsp_min(p->blocks, p->block_reach - p->beyond);
  return pairs;
}

int64_t lsp__chosen_bend(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  return (lsp_block_of(position) + 1) * LSP_GRID_BLOCK;
}

int64_t lsp__chosen_period(const lsp_pattern *p) {
  (void)p;
  return LSP_GRID_BLOCK;
}
