/* The query's own block, and blocks that the compressed attention beside it weighs most. */
#include "patterns.h"

/* Pooled rows of `pool` positions stand for the blocks. */
int64_t lsp__selected_reach(const lsp_pattern *p) {
  return p->block_reach == 0
             ? LSP_REACH_ALL
             : p->pool * (p->block_reach + 1) + 2 * (int64_t)LSP_GRID_BLOCK - 1;
}

lsp_keys lsp__selected_keys(const lsp_pattern *p, int head, int64_t position) {
  (void)p;
  (void)head;
  return lsp__block_keys(position);
}

/* Blocks before its own that a query sees: as many as it selects, as have means within
 * reach. */
static int64_t seen_by(const lsp_pattern *p, int64_t i) {
  const int64_t whole = (i + 1) / p->pool;
  const int64_t first = p->block_reach == 0 ? 0 : lsp_max(0, whole - p->block_reach);
  return lsp_min(p->blocks - 1, lsp_block_of(i) - lsp_block_of(first * p->pool));
}

/* From position `settled` on all blocks are alike: what is within reach of a place in the
 * block, or more than is selected. */
double lsp__selected_pairs(const lsp_pattern *p, int head, int64_t first, int64_t end) {
  const int64_t settled = (int64_t)LSP_GRID_BLOCK * p->blocks;
  double blocks = 0, alike = 0;
  (void)head;
  for (int64_t i = 0; i < LSP_GRID_BLOCK; i++)
    alike += (double)seen_by(p, settled + i);
  for (int64_t i = first; i < end;) {
    const int64_t periods =
        i % LSP_GRID_BLOCK == 0 && i >= settled ? (end - i) / LSP_GRID_BLOCK : 0;
    blocks += periods > 0 ? (double)periods * alike : (double)seen_by(p, i);
    i += periods > 0 ? periods * LSP_GRID_BLOCK : 1;
  }
  return lsp__block_pairs(first, end) + LSP_GRID_BLOCK * blocks;
}

int64_t lsp__selected_bend(const lsp_pattern *p, int head, int64_t position) {
  return lsp__chosen_bend(p, head, position);
}

int64_t lsp__selected_period(const lsp_pattern *p) {
  (void)p;
  return LSP_GRID_BLOCK;
}
