/* Rows of a compressed past that are a convolution of what enters attention.
 *
 *   W (sum_j C_j z_(c u + j) + b)  =  sum_j A_j z_(c u + j)  +  W b,      A_j = W C_j
 *
 * W gives keys and values. So a unit is a sum over its positions, as a mean is, and one
 * that a snapshot cuts leaves 2 G E sums. A_j and W b (and the bias of the projection) are
 * made once, in double precision. The rows of a panel that are the j-th of their unit are
 * multiplied with A_j in one call, whose shape depends on the grid alone. */
#include "convolved.h"

#include "attending.h"

#include "lsp/packing.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* Rows of W. */
static int64_t rows_of(const lsp_layer *l) {
  return (int64_t)2 * l->heads.shared * l->heads.width;
}

/* Positions of a unit; 0: there is no convolution. */
static int64_t unit_of(const lsp_layer *l) {
  return l->compress.rows > 0 ? l->compress.cols / l->compress.rows : 0;
}

int64_t lsp_convolved_matrices(const lsp_layer *l) {
  return rows_of(l) * l->compress.cols;
}

int64_t lsp_convolved_constant(const lsp_layer *l) {
  return l->compress.rows > 0 ? rows_of(l) : 0;
}

int64_t lsp_convolved_scratch(const lsp_layer *l) {
  const int64_t c = unit_of(l), n = rows_of(l);
  return c == 0 ? 0 : LSP_PANEL * n + LSP_PANEL / c * (l->compress.rows + n);
}

/* --- once ------------------------------------------------------------------------ */

/* W, whatever order the projection is stored in. */
static void copy_projection(const lsp_layer *l, float *out) {
  const lsp_matrix *w = &l->qkv.matrix;
  const int64_t D = w->cols, first = w->rows - rows_of(l);
  if (w->storage != LSP_STORED_PACKED)
    memcpy(out, w->data + first * D, (size_t)(rows_of(l) * D) * sizeof(float));
  for (int64_t i = first; w->storage == LSP_STORED_PACKED && i < w->rows; i++)
    lsp_pack_row(w->rows, D, w->data, i, out + (i - first) * D);
}

/* Row of A_j: (D), sum over m of w_m C_j[m, :]. */
static void make_row(const lsp_layer *l, int64_t j, const float *w, double *sum,
                     float *out) {
  const int64_t D = l->compress.rows;
  memset(sum, 0, (size_t)D * sizeof *sum);
  for (int64_t m = 0; m < D; m++) {
    const float *c = l->compress.data + m * l->compress.cols + j * D;
    for (int64_t d = 0; d < D; d++)
      sum[d] += (double)w[m] * (double)c[d];
  }
  for (int64_t d = 0; d < D; d++)
    out[d] = (float)sum[d];
}

static float constant_of(const lsp_layer *l, int64_t row, const float *w) {
  const int64_t first = l->qkv.matrix.rows - rows_of(l);
  double sum = l->qkv.bias != NULL ? (double)l->qkv.bias[first + row] : 0;
  for (int64_t m = 0; m < l->compress.rows; m++)
    sum += (double)w[m] * (double)l->compress_bias[m];
  return (float)sum;
}

/* In the order in which rows are multiplied with the projection, too. */
static void pack(const lsp_layer *l, float *matrices, float *work) {
  const int64_t n = rows_of(l), D = l->compress.rows;
  for (int64_t j = 0; l->qkv.matrix.storage == LSP_STORED_PACKED && j < unit_of(l); j++)
    lsp_pack(n, D, matrices + j * n * D, work);
}

void lsp_convolved_make(const lsp_job *job, const lsp_layer *l, float *matrices,
                        float *constant) {
  const int64_t n = rows_of(l), D = l->compress.rows, c = unit_of(l);
  float *w = calloc((size_t)((n + LSP_LANES) * D), sizeof *w);
  double *sums = calloc((size_t)(D * job->threads), sizeof *sums);
  LSP_ASSERT(w != NULL && sums != NULL);
  copy_projection(l, w);
#pragma omp parallel for schedule(static) num_threads(job->threads)
  for (int64_t i = 0; i < c * n; i++) {
    double *sum = sums + omp_get_thread_num() * D;
    make_row(l, i / n, w + i % n * D, sum, matrices + i * D);
    lsp_beat();
  }
  for (int64_t i = 0; i < n; i++)
    constant[i] = constant_of(l, i, w + i * D);
  pack(l, matrices, w + n * D);
  free(w);
  free(sums);
}

/* --- panels ---------------------------------------------------------------------- */

const float *lsp_convolved_panel(const lsp_run *e, const lsp_panel *p, int layer,
                                 const float *x, float *room) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const int64_t c = unit_of(l), n = rows_of(l), D = l->compress.rows;
  if (c == 0)
    return NULL;
  const int64_t units = p->rows / c;
  float *picked = room + LSP_PANEL * n, *product = picked + LSP_PANEL / c * D;
  for (int64_t j = 0; j < c; j++) {
    const lsp_matrix a = {e->weights.layer[layer].convolved + j * n * D, n, D,
                          l->qkv.matrix.storage};
    for (int64_t u = 0; u < units; u++)
      memcpy(picked + u * D, x + (u * c + j) * D, (size_t)D * sizeof(float));
    lsp_multiply(&e->job, &a, units, picked, product, lsp_work_of(e));
    for (int64_t u = 0; u < units; u++)
      memcpy(room + (u * c + j) * n, product + u * n, (size_t)n * sizeof(float));
    lsp_poll(e);
  }
  return room;
}
