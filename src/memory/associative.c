/* DPFP features, and a matrix under the delta rule: lsp/associative.h. */
#include "lsp/associative.h"

#include <math.h>
#include <string.h>

static const double eps = 1e-5;

/* Element t of [max(x, 0); max(-x, 0)]. NaN stays NaN. */
static double rectified(const float *x, int width, int t) {
  if (t < width)
    return x[t] <= 0 ? 0 : (double)x[t];
  return x[t - width] >= 0 ? 0 : -(double)x[t - width];
}

void lsp_association_features(const lsp_association *a, const float *x, double *phi) {
  const int n = 2 * a->width;
  for (int j = 1; j <= a->nu; j++)
    for (int t = 0; t < n; t++)
      *phi++ = rectified(x, a->width, t) * rectified(x, a->width, (t - j % n + n) % n);
}

static double dot(int64_t n, const double *x, const double *y) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    sum += x[i] * y[i];
  return sum;
}

/* --- reading ---------------------------------------------------------------------- */

void lsp_association_copy(const lsp_association *a, const double *matrix, int64_t first,
                          int64_t end, float *copy) {
  const int64_t D = a->values, ld = lsp_padded((int)D);
  for (int64_t i = first; i < end; i++) {
    for (int64_t c = 0; c < D; c++)
      copy[i * ld + c] = (float)matrix[i * D + c];
    for (int64_t c = D; c < ld; c++)
      copy[i * ld + c] = 0;
  }
}

void lsp_association_weigh(const lsp_association *a, const double *normalizer,
                           int64_t rows, const float *query, double *phi,
                           float *weight) {
  const int64_t K = lsp_association_keys(a);
  for (int64_t r = 0; r < rows; r++) {
    lsp_association_features(a, query + r * a->width, phi);
    const double all = dot(K, normalizer, phi) + eps;
    for (int64_t i = 0; i < K; i++)
      weight[r * K + i] = (float)(phi[i] / all);
  }
}

void lsp_association_read(const lsp_association *a, const lsp_kernels *k, int rows,
                          const float *weight, const float *copy, float *room,
                          float *x) {
  const int64_t K = lsp_association_keys(a), D = a->values, ld = lsp_padded((int)D);
  const lsp_product p = {.a = weight,
                         .lda = K,
                         .b = copy,
                         .ldb = ld,
                         .c = room,
                         .ldc = ld,
                         .rows = rows,
                         .cols = (int)ld,
                         .depth = (int)K};
  k->product(&p);
  for (int r = 0; r < rows; r++)
    k->add(D, x + r * D, room + r * ld);
}

/* --- writing ---------------------------------------------------------------------- */

double lsp_association_strength(const lsp_association *a, const float *y,
                                const float *w, float bias) {
  double sum = 0;
  for (int64_t i = 0; i < a->values; i++)
    sum += (double)w[i] * (double)y[i];
  return 1 / (1 + exp(-(sum + (double)bias)));
}

void lsp_association_look(const lsp_association *a, const lsp_association_rows *r,
                          const double *normalizer) {
  const int64_t K = lsp_association_keys(a);
  for (int64_t t = 0; t < r->rows; t++) {
    double *phi = r->phi + t * K;
    lsp_association_features(a, r->key + t * a->width, phi);
    const double known = dot(K, normalizer, phi) + eps;
    const double fresh = 1 - known / (dot(K, phi, phi) + eps);
    r->weight[t] = r->first ? 0 : 1 / known;
    r->gamma[t] = r->first ? 1 : fresh < 0 ? 0 : fresh > 1 ? 1 : fresh;
  }
}

/* What a row changes: beta (v - v_old), columns [first, end). */
static void change_of(const lsp_association *a, const lsp_association_rows *r,
                      int64_t t, int64_t first, int64_t end, const double *matrix) {
  const int64_t K = lsp_association_keys(a), D = a->values;
  const double *phi = r->phi + t * K;
  double *change = r->change + t * D;
  memset(change + first, 0, (size_t)(end - first) * sizeof *change);
  for (int64_t i = 0; i < K && !r->first; i++)
    for (int64_t c = first; c < end; c++)
      change[c] += phi[i] * matrix[i * D + c];
  for (int64_t c = first; c < end; c++)
    change[c] = r->beta[t] * ((double)r->value[t * D + c] - r->weight[t] * change[c]);
}

void lsp_association_write(const lsp_association *a, const lsp_association_rows *r,
                           int64_t first, int64_t end, double *matrix) {
  const int64_t K = lsp_association_keys(a), D = a->values;
  for (int64_t t = 0; t < r->rows; t++)
    change_of(a, r, t, first, end, matrix);
  for (int64_t i = 0; i < K; i++)
    for (int64_t t = 0; t < r->rows; t++) {
      const double phi = r->phi[t * K + i];
      for (int64_t c = first; c < end; c++)
        matrix[i * D + c] += phi * r->change[t * D + c];
    }
}

void lsp_association_count(const lsp_association *a, const lsp_association_rows *r,
                           double *normalizer) {
  const int64_t K = lsp_association_keys(a);
  for (int64_t t = 0; t < r->rows; t++)
    for (int64_t i = 0; i < K; i++)
      normalizer[i] += r->gamma[t] * r->phi[t * K + i];
}
