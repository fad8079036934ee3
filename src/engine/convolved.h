/* Convolved rows of a compressed past (lsp_layer.compress), before they are whole: what
 * each position gives to the row of its unit. Letters: D model width, G key/value heads, E
 * head width, c positions of a unit. */
#ifndef LSP_CONVOLVED_H
#define LSP_CONVOLVED_H

#include "engine_internal.h"

/* Floats of the matrices A_j (c, 2 G E, D), and of the constant (2 G E); 0: the layer does
 * not convolve. */
int64_t lsp_convolved_matrices(const lsp_layer *layer);
int64_t lsp_convolved_constant(const lsp_layer *layer);

/* Local. Fills both. LSP_ASSERTs that there is memory for a copy of the projection. */
void lsp_convolved_make(const lsp_job *job, const lsp_layer *layer, float *matrices,
                        float *constant);

/* Floats that a thread needs for lsp_convolved_panel; 0: the layer does not convolve. */
int64_t lsp_convolved_scratch(const lsp_layer *layer);

/* Local, thread-safe. x (rows, D): what enters attention of a panel. Returns (rows, 2 G E),
 * at the beginning of room (lsp_convolved_scratch): a row's part of the keys and values of
 * its unit, without the constant. NULL: the layer does not convolve. */
const float *lsp_convolved_panel(const lsp_run *e, const lsp_panel *p, int layer,
                                 const float *x, float *room);

#endif
