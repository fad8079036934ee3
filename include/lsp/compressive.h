/* A compressive memory: one matrix a key/value head that holds all segments before a
 * query's (Munkhdalai, Faruqui and Gopal 2024, "Infini-attention").
 *
 *   before position 0:  M = 0, z = 0                          M (E, E), z (E)
 *   read, query q:      y = s(q) M / max(s(q) . z, 1e-10)     s(x) = elu(x) + 1
 *   a segment ends:     M += sum_j s(k_j) u_j^T,  z += sum_j s(k_j)
 *   linear rule:        u_j = v_j
 *   delta rule:         u_j = v_j - s(k_j) M / max(s(k_j) . z, 1e-10), M and z of before
 *
 * The sums of the segment under way stand beside M and z. With the delta rule
 *
 *   M <- M - A M + U,   A = sum_j s(k_j) s(k_j)^T / max(s(k_j) . z, 1e-10),
 *                       U = sum_j s(k_j) v_j^T
 *
 * so that U and A are sums of rows, too. All is in double precision: a number that is added
 * 10^6 times in float may not change the sum any more. Every sum is a chain over positions
 * in rising order, whose terms (products of two floats, but for A) are exact: where it was
 * cut, at a block, a rank, a wave or a snapshot, changes no bit, nor do instruction sets.
 * All functions are of one head, local and thread-safe; letters: E head width. */
#ifndef LSP_COMPRESSIVE_H
#define LSP_COMPRESSIVE_H

#include "lsp/kernels.h"

#include <stdint.h>

/* Parts of one head (lsp/memory.h), row-major, lent. */
typedef struct {
  const lsp_kernels *kernels;
  int64_t width;                       /* E */
  double *matrix;                      /* (E, E) rows are components of s(k) */
  double *normalizer;                  /* (E) */
  double *matrix_sum, *normalizer_sum; /* of the segment under way: U, sum of s(k) */
  double *decay_sum;                   /* (E, E) A; NULL: the linear rule */
} lsp_compressive;

/* Rows of the segment under way, in order. key (rows, E), ldk: s(k); value likewise. */
typedef struct {
  const float *key, *value;
  int64_t ldk, ldv, rows;
} lsp_compressive_rows;

/* All parts are zeros. */
void lsp_compressive_begin(const lsp_compressive *m);

/* Adds rows to the sums. */
void lsp_compressive_absorb(const lsp_compressive *m, const lsp_compressive_rows *rows);

/* The two halves of that: U and sum of s(k), which need nothing of before; A, which needs
 * the normalizer. */
void lsp_compressive_absorb_sums(const lsp_compressive *m,
                                 const lsp_compressive_rows *rows);
void lsp_compressive_absorb_decay(const lsp_compressive *m,
                                  const lsp_compressive_rows *rows);

/* The segment ends: M and z become those of after it, the sums zeros. */
void lsp_compressive_close(const lsp_compressive *m);

/* What queries read, in float: M (E, E), then z (E). */
static inline int64_t lsp_compressive_floats(int64_t width) {
  return (width + 1) * width;
}
void lsp_compressive_copy(const lsp_compressive *m, float *copy);

/* y of rows: out (rows, E), ldo; query (rows, E), ld: s(q). out may be query. Zero where the
 * memory is. work (LSP_COMPRESSIVE_WORK, E). */
enum { LSP_COMPRESSIVE_WORK = LSP_BLOCK };
typedef struct {
  const lsp_kernels *kernels;
  int64_t width, rows;
  const float *query;
  float *out;
  int64_t ld, ldo;
} lsp_compressive_queries;
void lsp_compressive_read(const lsp_compressive_queries *q, const float *copy,
                          double *work);

#endif
