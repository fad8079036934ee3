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
  (void)head;
  return lsp__block_pairs(first, end) + lsp__picked_pairs(p, first, end);
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
