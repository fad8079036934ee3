/* The grid of a document: blocks and panels, by position alone.
 *
 *   block   64 positions: the unit of the attention grid, and of key tiles
 *   panel   the row count of a matrix product, whole blocks:
 *             0    64    128        256                512              768
 *             | p0 | p1  |    p2    |        p3        |       p4       | ...
 *
 * The grid starts at position 0 of the document and does not depend on its length, so
 * a document continued from a snapshot keeps it, and a short one costs little.
 * Pure functions. */
#ifndef LSP_GRID_H
#define LSP_GRID_H

#include <stdint.h>

enum { LSP_PANEL = 256, LSP_GRID_BLOCK = 64 };

/* First position of panel p. */
static inline int64_t lsp_panel_start(int64_t p) {
  return p < 2 ? 64 * p : p == 2 ? 128 : LSP_PANEL * (p - 2);
}

/* Rows of panel p: 64, 64, 128, 256, 256, ... */
static inline int lsp_panel_rows(int64_t p) {
  return p < 2 ? 64 : p == 2 ? 128 : LSP_PANEL;
}

/* Block that holds a position, which may be negative. */
static inline int64_t lsp_block_of(int64_t position) {
  return position >= 0 ? position / LSP_GRID_BLOCK
                       : -((-position + LSP_GRID_BLOCK - 1) / LSP_GRID_BLOCK);
}

/* Panel that holds a position. */
static inline int64_t lsp_panel_of(int64_t position) {
  if (position < 128)
    return position / 64;
  return position < LSP_PANEL ? 2 : position / LSP_PANEL + 2;
}

static inline int64_t lsp_divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

static inline int64_t lsp_min(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static inline int64_t lsp_max(int64_t a, int64_t b) {
  return a > b ? a : b;
}

#endif
