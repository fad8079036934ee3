/* Weights in the order in which lsp_kernels.packed reads them. A matrix (rows, depth) is
 * packed in its own place: each group of LSP_LANES rows, of the last one what is left, is
 * stored with its columns one behind the other.
 *
 *   rows 16 g .. 16 g + n - 1   at   16 g depth + k n + i,   n = 16, or the rest
 *
 * So rows from a multiple of LSP_LANES on are a packed matrix of their own. Local. */
#ifndef LSP_PACKING_H
#define LSP_PACKING_H

#include "lsp/kernels.h"

/* Packs w (rows, depth), row-major. work (LSP_LANES, depth), lent. */
void lsp_pack(int64_t rows, int64_t depth, float *w, float *work);

/* Row `row` of a packed matrix into out (depth). */
void lsp_pack_row(int64_t rows, int64_t depth, const float *w, int64_t row, float *out);

#endif
