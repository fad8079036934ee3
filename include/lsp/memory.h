/* Memories that are states (lsp/parts.h): which parts a model's layers, and the model as a
 * whole, hand along a text. One file a memory in src/memory; what it does with its parts is
 * in a header of its own. Local, pure. */
#ifndef LSP_MEMORY_H
#define LSP_MEMORY_H

#include "lsp/model.h"
#include "lsp/parts.h"

/* Parts of a layer (of the model: layer -1), in order; returns how many.
 *
 *   compressive   matrix (G, E, E), normalizer (G, E)    before the segment under way
 *                 matrix_sum (G, E, E), normalizer_sum (G, E)    of that segment so far
 *                 decay_sum (G, E, E)                            delta rule only
 *   associative   matrix (2 nu width, D), normalizer (2 nu width)
 *   of a wrapped model (two-sided: none, nothing continues it): ids of the segment under way, and of the input rows before it that
 *                 are read again (segment - 1 + those rows), how many of them there are,
 *                 and segments that are done; tokens (rows, D) of a model wrapped in
 *                 memory tokens
 *
 * Sums are in double: a number that is added 10^6 times to a sum in float may not change it
 * any more. */
int lsp_memory_parts_of(const lsp_model *model, int layer,
                        lsp_part part[LSP_PARTS_OF_LAYER]);

/* All parts: those of layer 0, of layer 1, ..., of the model; returns how many. part NULL:
 * they are only counted. */
int lsp_memory_parts(const lsp_model *model, lsp_part *part);

/* Number of the first part of a layer (-1: of the model) among all. */
int lsp_memory_first(const lsp_model *model, int layer);

#endif
