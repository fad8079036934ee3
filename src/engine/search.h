/* A layer with a key-value store: it looks at its past twice, for the keys that match best
 * and then for their values. Collective along the exchange, but for what is said to be
 * local. */
#ifndef LSP_SEARCH_H
#define LSP_SEARCH_H

#include "attending.h"
#include "lsp/nearest.h"

/* The branch of a layer that is a store, or NULL. Local. */
const lsp_pattern *lsp_store_of(const lsp_layer *layer);

/* The layer over the span, from x to x. */
void lsp_search_layer(lsp_run *e, int layer);

/* Local, thread-safe. What the store gave for a block of the span's rows (the first is
 * `row`) and a query head: a partial result, in the order of lsp_partial. */
lsp_partial lsp_search_result(const lsp_run *e, int layer, int64_t row, int head);

/* Local, thread-safe. Tiles as the other branches walk them. A store that compares keys as
 * they are before they are turned has its layer's tiles so (they are lent, kept and
 * remembered so); the others walk turned copies. Of a piece of the span; and the fixed
 * tiles before it. */
float *lsp_walked_tile(const lsp_run *e, int layer, const lsp_piece *piece,
                       int64_t tile);
const float *lsp_walked_fixed(const lsp_run *e, int layer);

/* Room for that beside what projecting uses of this thread's scratch. */
float *lsp_turning_room(const lsp_run *e, int layer);

/* Local, thread-safe. A tile as the others walk it, from one that is not turned. to may be
 * from. room: (64, 2 G E + rotated) floats. */
void lsp_turn_tile(const lsp_run *e, int layer, int64_t tile, const float *from,
                   float *to, float *room);

#endif
