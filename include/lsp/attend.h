/* Block attention with relative positions over a causal pattern.
 *
 * One call is one block of 64 queries of one head: the keys are walked tile by tile
 * from the query's own block outwards with an online softmax (Milakov and Gimelshein
 * 2018; Rabe and Staats 2021), so the result depends on positions alone, never on where
 * a tile lies or who lent it. Transformer-XL, section 3.3: for query i and key j at
 * distance t = i - j,
 *
 *   score = ((q_i + u) . k_j + (q_i + v) . r_t) / sqrt(E)
 *
 * The position term needs no keys: with r stored by falling distance, the product of a
 * block's (q + v) with 64 distances is a strip that serves two tiles, each row of it
 * read at an offset shifted by one. Beyond clamp_len the strip is one number a row.
 *
 * Knows nothing of MPI or of where tiles come from. Local, thread-safe. */
#ifndef LSP_ATTEND_H
#define LSP_ATTEND_H

#include "lsp/kernels.h"
#include "lsp/memory.h"

/* Relative positions of one layer and run.
 *   strips (n, H, E, 64): strip d, head, component, column c, for the distance
 *   64 d + 63 - c, clamped */
typedef struct {
  const float *strips;
  int64_t n; /* strips that exist; distances beyond use the last one, which must then
                be past the clamp */
  int64_t clamp; /* distances from here on are alike; <= 0: none are */
} lsp_distances;

/* Floats of n strips. */
static inline int64_t lsp_strip_floats(lsp_heads h, int64_t n) {
  return n * h.heads * lsp_tile_keys(h);
}

/* Strip d out of rows r (64, H E): row c for distance 64 d + 63 - c. */
void lsp_strip_put(lsp_heads h, const float *rows, float *strip);

typedef struct {
  const lsp_kernels *kernels;
  lsp_heads heads;
  int head;
  const float *u, *v; /* (E) of this head */
  lsp_distances distances;
  int rows;           /* queries that exist from the first on: 1..64 */
  const float *query; /* (64, ld_query), this head's columns */
  int64_t ld_query;
  /* Lowest key that each query sees, relative to the first position of the block (so
   * at most the query's own row number; negative ones are in earlier tiles). */
  const int64_t *first_key; /* (rows) */
  /* tile[d]: the tile d blocks before the queries' own; as far as first_key asks. */
  const float *const *tile;
  float *out; /* (64, ld_out), this head's columns: rows that exist are written */
  int64_t ld_out;
} lsp_attention;

/* Floats of scratch that a thread lends to a call. */
int64_t lsp_attend_scratch(lsp_heads h);

void lsp_attend_block(const lsp_attention *a, float *scratch);

#endif
