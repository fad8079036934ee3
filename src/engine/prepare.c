/* What is made from the weights once, and lies beside them in the shared block:
 *
 *   strips   of each layer: the relative positions through W_r, by falling distance
 *   ghost    of each layer: the tile of positions before 0, whose hidden rows are zero
 *            (with pre_lnorm a zero row is normed to the norm's bias, so its keys and
 *            values are not zero)
 *   tails    the output rows of the clusters beyond the shortlist, packed for the
 *            block kernel
 *
 * Angles are products and sines in double precision. */
#include "engine_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t padded_floats(int64_t n) {
  return (n + 15) / 16 * 16;
}

/* Rows of sinusoids: row c of strip d is distance 64 d + 63 - c. */
static void sinusoids(const lsp_run *e, int64_t d, float *rows) {
  const int D = e->config.d_model;
  for (int c = 0; c < LSP_BLOCK; c++) {
    int64_t t = LSP_BLOCK * d + LSP_BLOCK - 1 - c;
    if (e->config.clamp_len > 0)
      t = lsp_min(t, e->config.clamp_len);
    for (int j = 0; j < D / 2; j++) {
      const double angle = (double)t * (double)e->model.inv_freq[j];
      rows[(int64_t)c * D + j] = (float)sin(angle);
      rows[(int64_t)c * D + D / 2 + j] = (float)cos(angle);
    }
  }
}

static void make_strips(lsp_run *e, float *work) {
  const int64_t D = e->config.d_model;
  const int64_t A = (int64_t)e->heads.heads * e->heads.width;
  const int64_t strip = lsp_strip_floats(e->heads, 1);
  float *rows = work, *projected = work + LSP_BLOCK * D;
  for (int64_t d = 0; d < e->strip_count; d++) {
    sinusoids(e, d, rows);
    for (int layer = 0; layer < e->config.n_layer; layer++) {
      lsp_gemm(LSP_BLOCK, A, D, rows, e->model.layer[layer].r, projected);
      lsp_strip_put(e->heads, projected,
                    (float *)(uintptr_t)e->strips[layer] + d * strip);
    }
  }
}

static void make_ghosts(lsp_run *e, float *work) {
  const int64_t D = e->config.d_model;
  const int64_t A = (int64_t)e->heads.heads * e->heads.width;
  float *rows = work, *qkv = work + LSP_BLOCK * D;
  for (int layer = 0; layer < e->config.n_layer; layer++) {
    const lsp_txl_layer *w = &e->model.layer[layer];
    memset(rows, 0, (size_t)(LSP_BLOCK * D) * sizeof(float));
    if (e->config.pre_lnorm)
      e->kernels.layer_norm(LSP_BLOCK, D, rows, NULL, w->norm1_gain, w->norm1_bias,
                            (float)e->config.layer_norm_epsilon, rows);
    lsp_gemm(LSP_BLOCK, 3 * A, D, rows, w->qkv, qkv);
    for (int i = 0; i < LSP_BLOCK; i++)
      (void)lsp_finite_spoil(e, qkv + 3 * A * i);
    lsp_tile_put(e->heads, (float *)(uintptr_t)e->ghost[layer], 0, LSP_BLOCK, qkv + A,
                 qkv + 2 * A, 3 * A);
  }
}

static void pack_tail(const lsp_txl_cluster *k, float *out) {
  const int64_t width = k->width;
  for (int64_t t = 0; t * LSP_BLOCK < k->rows; t++, out += LSP_BLOCK * width)
    for (int64_t j = 0; j < width; j++)
      for (int c = 0; c < LSP_BLOCK; c++) {
        const int64_t row = t * LSP_BLOCK + c;
        out[j * LSP_BLOCK + c] = row < k->rows ? k->out[row * width + j] : 0.0f;
      }
}

void lsp_prepare(lsp_run *e, float *block, int fill) {
  float *at = block;
  for (int layer = 0; layer < e->config.n_layer; layer++) {
    e->strips[layer] = at;
    at += padded_floats(lsp_strip_floats(e->heads, e->strip_count));
    e->ghost[layer] = at;
    at += padded_floats(lsp_tile_floats(e->heads));
  }
  for (int i = 1; i < e->config.clusters; i++) {
    if (fill)
      pack_tail(&e->model.cluster[i], at);
    e->tail[i] = at;
    at += lsp_sizes_tail(&e->config, i);
  }
  if (!fill)
    return;
  const int64_t D = e->config.d_model;
  const int64_t A = (int64_t)e->heads.heads * e->heads.width;
  float *work = aligned_alloc(64, (size_t)(LSP_BLOCK * (D + 3 * A)) * sizeof(float));
  LSP_ASSERT(work != NULL);
  make_strips(e, work);
  make_ghosts(e, work);
  free(work);
}
