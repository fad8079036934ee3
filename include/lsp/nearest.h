/* The keys that match a query best: exact search over tiles of keys (lsp/tiles.h), of one
 * query head and its key/value head, any number of queries at once.
 *
 *   scores in float32, a tile at a time, against the least that still counts (a kernel:
 *   scores never leave the registers)  ->  what may be among the best  ->  its score in
 *   double  ->  the list of the query
 *
 * What is found is what double precision alone would have found, for a float32 score is
 * off by at most
 *
 *   |fl(q k) - q k| <= gamma_E sum |q_i| |k_i| <= gamma_E |q| |k|,
 *   gamma_E = E u / (1 - E u), u = 2^-24                     (Higham 2002, section 3.1)
 *
 * and a key whose float32 score is lower than the list's last one by more than that cannot
 * be better. Better is a higher score, then a lower position; NaN comes after all numbers.
 * So the result depends neither on the order in which tiles come nor on how they are dealt
 * to calls.
 *
 * Scores in double: products of floats, which are exact there, added in rising order.
 *   plain    q k
 *   cosine   q k / sqrt(k k + 1e-12)
 * What a caller multiplies all scores of a query with must be positive: it changes no order
 * then. (A query that is multiplied with 0 must be given as zeros.) Local, thread-safe,
 * cannot fail. */
#ifndef LSP_NEAREST_H
#define LSP_NEAREST_H

#include "lsp/kernels.h"

#include <stdint.h>

#define LSP_NORM_LEAST 1e-12 /* added to the sum of squares of what is normalised */

/* While the search goes on: the score. */
typedef struct {
  double score;
  int64_t position;
} lsp_neighbour;

/* Queries that search together. All lent. */
typedef struct {
  const lsp_kernels *kernels;
  int width;          /* E */
  int most;           /* keys that a query takes: k >= 1 */
  int cosine;         /* keys are normalised first */
  int rows;           /* queries */
  const float *query; /* (rows, ld), their head's columns */
  int64_t ld;
  const int64_t *first, *end; /* (rows): candidates are first[i] .. end[i] - 1 */
  lsp_neighbour
      *best;      /* (rows, most) a heap, the least at 0: lasts from call to call */
  int32_t *found; /* (rows) how many there are; zeros: the search begins */
} lsp_search;

/* What a call keeps of its queries: in room that the caller lends, of
 * lsp_search_floats(rows). */
typedef struct {
  float *norm;      /* (rows) at least |q| */
  float *last;      /* (rows) at most the least score of a full list; -inf */
  float *least;     /* (rows) what a score of the tile under way must reach */
  uint64_t *passes; /* (rows) */
} lsp_search_state;

static inline int64_t lsp_search_floats(int64_t rows) {
  return (rows + LSP_LANES) * 5;
}

/* A tile of one key/value head, as queries search it. */
typedef struct {
  const float *keys;      /* (E, 64) as they are, lent */
  const float *compared;  /* (E, 64) the same, or normalised ones */
  double norm[LSP_BLOCK]; /* cosine: sqrt(k k + 1e-12) */
  float largest;          /* at least the norm of any that is compared */
  int64_t position;       /* of column 0 */
} lsp_search_tile;

/* Makes a tile ready. room: (E, 64) floats for normalised keys; NULL without cosine. */
void lsp_search_prepare(const lsp_search *s, const float *keys, int64_t position,
                        float *room, lsp_search_tile *tile);

/* Begins a call: what the lists hold so far. */
void lsp_search_begin(const lsp_search *s, float *room, lsp_search_state *state);

/* Looks through a tile. */
void lsp_search_look(const lsp_search *s, lsp_search_state *state,
                     const lsp_search_tile *tile);

/* 1 if a is better than b. */
int lsp_neighbour_better(lsp_neighbour a, lsp_neighbour b);

/* Puts a list in the order of positions, the highest first. */
void lsp_neighbours_order(lsp_neighbour *list, int64_t n);

#endif
