/* Associative memory of a layer: values found by keys, in a matrix that memory tokens write
 * at the end of a segment and all rows of later segments read (Rodkin et al. 2024, ARMT,
 * arXiv:2407.04841; the update is the delta rule, Schlag et al. 2021).
 *
 *   phi(x)   y = [max(x, 0); max(-x, 0)], the products y[t] y[t - j], j = 1 .. nu (DPFP)
 *   read     x += phi(q)^T A / (z . phi(q) + eps)
 *   write    v_old = phi(k)^T A / (z . phi(k) + eps)
 *            A += sum beta phi(k) (v - v_old)^T,   z += sum gamma phi(k)
 *            gamma = clip(1 - (z . phi(k) + eps) / (|phi(k)|^2 + eps), 0, 1)
 *   first    of a document: nothing is read, v_old = 0, gamma = 1
 *
 * All rows of a write see the same A and z. State is in double: what is added to a sum
 * 10^6 times would be lost in float, and v - v_old is a difference of near numbers. Sums
 * run over rows, then keys, in rising order: no bit depends on threads. Letters: d width
 * of a key, K = 2 nu d of phi, D of a value. Local, pure, thread-safe. */
#ifndef LSP_ASSOCIATIVE_H
#define LSP_ASSOCIATIVE_H

#include "lsp/kernels.h"

#include <stdint.h>

typedef struct {
  int width, nu;  /* d */
  int64_t values; /* D */
} lsp_association;

static inline int64_t lsp_association_keys(const lsp_association *a) {
  return (int64_t)2 * a->nu * a->width;
}

/* phi (K) of x (d). */
void lsp_association_features(const lsp_association *a, const float *x, double *phi);

/* --- reading ---------------------------------------------------------------------- */

/* Rows [first, end) of the matrix (K, D) as floats, copy (K, Dp), Dp = lsp_padded(D):
 * what lsp_association_read takes. */
void lsp_association_copy(const lsp_association *a, const double *matrix, int64_t first,
                          int64_t end, float *copy);

/* weight (rows, K) of queries (rows, d): phi(q) / (z . phi(q) + eps). phi: room (K). */
void lsp_association_weigh(const lsp_association *a, const double *normalizer,
                           int64_t rows, const float *query, double *phi,
                           float *weight);

/* x (rows, D) += weight A; at most LSP_BLOCK rows. room (rows, Dp). A row's bits depend on
 * itself alone. */
void lsp_association_read(const lsp_association *a, const lsp_kernels *k, int rows,
                          const float *weight, const float *copy, float *room,
                          float *x);

/* --- writing ---------------------------------------------------------------------- */

/* sigmoid(w . y + bias), y and w (D). */
double lsp_association_strength(const lsp_association *a, const float *y,
                                const float *w, float bias);

/* What the memory tokens of a segment write. */
typedef struct {
  int64_t rows;
  int first;              /* of the document */
  const float *key;       /* (rows, d), before phi */
  const float *value;     /* (rows, D) */
  double *beta;           /* (rows) */
  double *phi;            /* (rows, K) room */
  double *gamma, *weight; /* (rows) room */
  double *change;         /* (rows, D) room */
} lsp_association_rows;

/* Fills phi, gamma and weight. */
void lsp_association_look(const lsp_association *a, const lsp_association_rows *r,
                          const double *normalizer);

/* Columns [first, end) of the matrix; columns may be shared out among threads. */
void lsp_association_write(const lsp_association *a, const lsp_association_rows *r,
                           int64_t first, int64_t end, double *matrix);

/* The normalizer, after the matrix. */
void lsp_association_count(const lsp_association *a, const lsp_association_rows *r,
                           double *normalizer);

#endif
