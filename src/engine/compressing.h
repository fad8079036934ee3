/* Layers with a compressive memory (lsp/compressive.h): its matrices go along the text as a
 * state (states.h), and each segment's queries read those of before it.
 *
 *   project    s(q) and s(k) beside the span's queries and tiles
 *   sums       of each segment that the span has whole, all at once
 *   chain      wait for M and z; add segment by segment; hand on at once
 *   read       every row; the results wait in place of s(q) until the views are merged
 *
 * Between the last two steps lies a copy of M and z in float for each segment of the span.
 * Where segments are so short that the copies do not fit, the chain is walked twice: once
 * to hand on, once more batch by batch, a batch of panels being read before the next. */
#ifndef LSP_COMPRESSING_H
#define LSP_COMPRESSING_H

#include "engine_internal.h"

/* The compressive branch of a layer, or NULL. */
const lsp_pattern *lsp_compressing_branch(const lsp_layer *layer);

/* Floats that a layer takes of span.compressing; 0: it has no such branch. pieces: of a
 * span, at most. */
int64_t lsp_compressing_floats(const lsp_layer *layer, int64_t span_rows,
                               int64_t pieces);

/* Local, thread-safe. s(q) and s(k) of the block at `row` of a panel: qkv (64, (H + 2 G) E)
 * is normed by head, not turned. */
void lsp_compressing_block(lsp_run *e, const lsp_panel *p, int layer, int row,
                           const float *qkv);

/* Collective along the chain, after all panels of the span have been projected; all from
 * the sums on. lsp_state_expect was called before. */
void lsp_compressing_layer(lsp_run *e, int layer);

/* What the rows read: (span_rows, H E), heads side by side. */
const float *lsp_compressing_results(const lsp_run *e, int layer);

#endif
