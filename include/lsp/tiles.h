/* Keys and values of one layer, in tiles of LSP_BLOCK positions of a document:
 *
 *   tile = for each head: keys (E, 64) transposed, so that a product with queries reads
 *          rows of 64 keys; then values (64, Ep), Ep = E padded to lanes, padding zero
 *
 * A run of tiles is one stretch of memory: what is lent to a neighbour is sent from
 * where it lies, and what is kept from wave to wave are such runs for every layer.
 * Row-major; G heads of keys and values, E head width. Local. */
#ifndef LSP_TILES_H
#define LSP_TILES_H

#include "lsp/model.h"

#include <stdint.h>

/* Floats of the keys, of the values and of both of one head's tile, and of a tile. */
static inline int64_t lsp_tile_keys(lsp_heads h) {
  return (int64_t)h.width * LSP_BLOCK;
}
static inline int64_t lsp_tile_values(lsp_heads h) {
  return (int64_t)lsp_padded(h.width) * LSP_BLOCK;
}
static inline int64_t lsp_tile_head(lsp_heads h) {
  return lsp_tile_keys(h) + lsp_tile_values(h);
}
static inline int64_t lsp_tile_floats(lsp_heads h) {
  return h.shared * lsp_tile_head(h);
}

/* Rows of keys and values into a tile: row i of `rows` becomes position `first` + i of
 * the tile; the others stay.
 *   key, value (rows, G E) with leading dimension ld, heads side by side */
void lsp_tile_put(lsp_heads h, float *tile, int first, int rows, const float *key,
                  const float *value, int64_t ld);

/* The reverse: rows [first, first + rows) of a tile into dense (rows, G E). */
void lsp_tile_get(lsp_heads h, const float *tile, int first, int rows, float *key,
                  float *value);

#endif
