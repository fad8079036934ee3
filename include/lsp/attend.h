/* Attention of one block of 64 queries of one head, walked tile by tile.
 *
 *   begin     queries scaled, position terms added
 *   walk      tiles of one source, in a listed order: an online softmax (Milakov and
 *             Gimelshein 2018; Rabe and Staats 2021), or, without softmax, a plain sum
 *   finish    divided by the sum; a row that saw nothing is zero
 *
 * A walk may stop after any tile and be taken up again: what it has so far (maximum, sum,
 * weighted values) is a partial result of floats, so the bits do not depend on where it
 * was cut, only on the order of its tiles. Sources are walked into partial results of
 * their own and merged (lsp_kernels.softmax_merge) in a listed order.
 *
 * Scores, for query i and key j at distance t = i - j, scale c:
 *   none      c q_i . k_j                     (rotary: both turned before)
 *   relative  c ((q_i + u) . k_j + (q_i + v) . r_t)     Transformer-XL, section 3.3
 *   ALiBi     c q_i . k_j - slope t           Press et al. 2021
 * then cap tanh(score / cap) where there is a cap, then log m_t where a window ends softly.
 * (ALiBi of a key ahead: its distance is j - i.)
 *
 * The relative term needs no keys: with r stored by falling distance, the product of a
 * block's (q + v) with 64 distances is a strip that serves two tiles, each row of it read
 * at an offset shifted by one. Beyond the clamp the strip is one number a row.
 *
 * Knows nothing of MPI or of where tiles come from. Cannot fail. Local, thread-safe. */
#ifndef LSP_ATTEND_H
#define LSP_ATTEND_H

#include "lsp/kernels.h"
#include "lsp/model.h"
#include "lsp/tiles.h"

/* Relative positions of one layer and run.
 *   strips (n, H, E, 64): strip d, head, component, column c, for the distance
 *   64 d + 63 - c, clamped */
typedef struct {
  const float *strips; /* NULL: no such positions */
  int64_t n; /* strips that exist; distances beyond use the last one, which must then
                be past the clamp */
  int64_t clamp; /* distances from here on are alike; <= 0: none are */
} lsp_distances;

/* Floats of n strips. */
static inline int64_t lsp_strip_floats(lsp_heads h, int64_t n) {
  return n * h.query * lsp_tile_keys(h);
}

/* Strip d out of rows r (64, H E): row c for distance 64 d + 63 - c. */
void lsp_strip_put(lsp_heads h, const float *rows, float *strip);

/* What a block asks. All pointers are lent for the call. */
typedef struct {
  const lsp_kernels *kernels;
  lsp_heads heads;
  int head; /* query head */
  lsp_normalize normalize;
  float scale, cap;   /* cap 0: none */
  const float *u, *v; /* (E) of this head; zeros where there are none */
  lsp_distances distances;
  float slope; /* ALiBi; 0: none */
  float span,
      ramp; /* soft window: log clamp((ramp + span - t) / ramp, 0, 1) is added to
                         scores at distance t, after the cap; ramp 0: none */
  int rows; /* queries that exist from the first on: 1..64 */
  const float *query; /* (64, ld_query), this head's columns */
  int64_t ld_query;
} lsp_queries;

/* What it sees of a source: keys first[i] .. end[i] - 1 of row i, relative to the first
 * position of the block (negative ones are in earlier tiles); none if end <= first. */
typedef struct {
  const int64_t *first, *end; /* (rows) */
} lsp_seen;

/* The part of one key/value head of a tile (keys, then values), `back` blocks before the
 * queries' own. Pooled rows: column j stands at the distance `distance` + i - `unit` j from
 * query i, and what is seen of them is counted in rows, those of the tile beginning at
 * -64 `back`. */
typedef struct {
  const float *tile;
  int64_t back;
  int64_t unit, distance; /* 0: positions themselves */
} lsp_visit;

/* Scratch of a thread: floats that it lends, and where a block's queries lie in it. */
typedef struct {
  float *qu, *qv; /* (64, Ep) q + u and q + v, scaled */
  float *score;   /* (64, 64) */
  float *window;  /* (64, ...) strips of the position term */
  int at;         /* column of the newest strip in the window */
  int64_t strip;  /* its number; -2: none */
} lsp_attending;

int64_t lsp_attend_scratch(lsp_heads h);

/* Begins a block in scratch of lsp_attend_scratch floats. */
void lsp_attend_begin(const lsp_queries *q, float *scratch, lsp_attending *w);

/* An empty partial result of 64 rows: out (64, Ep) is zeroed. */
void lsp_attend_empty(const lsp_queries *q, const lsp_partial *p);

/* Walks n tiles into a partial result. */
void lsp_attend_walk(const lsp_queries *q, const lsp_seen *seen, const lsp_visit *visit,
                     int64_t n, lsp_attending *w, const lsp_partial *p);

/* The scores of a tile alone, into w->score (64, 64), and which of them each row sees:
 * low .. high, inclusive; none if high < low. */
void lsp_attend_scores(const lsp_queries *q, const lsp_seen *seen,
                       const lsp_visit *visit, lsp_attending *w, int low[LSP_BLOCK],
                       int high[LSP_BLOCK]);

/* What the results of rows are weighted by. */
typedef struct {
  float all;
  const float *row; /* (rows) of each, at steps of ld; NULL: `all` */
  int64_t ld;
} lsp_weight;

/* The result of rows that exist, times their weight: out (64, ld_out), this head's columns.
 * add: to what is there. */
void lsp_attend_finish(const lsp_queries *q, const lsp_partial *p, lsp_weight weight,
                       int add, float *out, int64_t ld_out);

#endif
