/* Strata of a layer: rows that average its keys and values (lsp_stratum). A row is
 * 2 G E floats: the mean key before it is turned, then the mean value (routing: the mean
 * query of each group of heads). Rows of a compressed past are made of keys and values
 * before they are normed by head, or are convolutions (convolved.h).
 *
 *   positions   | . . . . | . . . . | . . . . | . . .            unit 4
 *   rows        |    0    |    1    |    2    |  not whole yet
 *
 * A row belongs to the span that has its last position. A mean is a sum in rising order of
 * what it averages, times 1 / pool: where spans, waves and snapshots cut it changes no bit.
 * What a span looks back to of earlier spans and waves comes and is kept as tiles are
 * (lsp/plan.h), but row by row. */
#ifndef LSP_STRATA_H
#define LSP_STRATA_H

#include "engine_internal.h"

/* Tiles that lie side by side: `first` and those after it, `stride` floats each. */
typedef struct {
  const float *tile;
  int64_t first, end, stride;
} lsp_source;

/* Rows that lie side by side. */
typedef struct {
  const float *row;
  int64_t first, end;
} lsp_stratum_rows;

/* Local, thread-safe. What a block of the span (its first row is `row` of the panel) gives
 * to the strata that average keys and values: qkv (64, (H + 2 G) E), normed by head, not
 * turned. */
void lsp_strata_block(lsp_run *e, const lsp_panel *p, int layer, int row,
                      const float *qkv);

/* The same of strata that average what is not normed: qkv likewise, before that. convolved
 * (panel's rows, 2 G E): what lsp_convolved_panel gave. */
void lsp_strata_plain(lsp_run *e, const lsp_panel *p, int layer, int row,
                      const float *qkv, const float *convolved);

/* Collective. After all panels have been projected: borrows what is before the span, makes
 * the higher levels, and tiles of all. */
void lsp_strata_form(lsp_run *e, int layer);

/* Collective. What the next waves will look back to goes to the ranks that keep it. */
void lsp_strata_keep(lsp_run *e, int layer);

/* Local, from lsp_strata_form on. Rows of a stratum that a piece's queries may look at: its
 * own, and those before it within reach. */
lsp_stratum_rows lsp_strata_rows(const lsp_run *e, int layer, int stratum,
                                 const lsp_piece *piece);

/* The same as tiles of 64 rows: tile t holds rows 64 t .. 64 t + 63; keys are turned for
 * the last position that they average (routing: not). */
lsp_source lsp_strata_tiles(const lsp_run *e, int layer, int stratum,
                            const lsp_piece *piece);

#endif
