/* Rows of keys and values to tiles and back. Keys are transposed 8 x 8 at a time so
 * that both sides move whole cache lines. */
#include "lsp/tiles.h"

#include <string.h>

enum { PATCH = 8 };

/* out (cols, 64) at column `first` = transpose of in (rows, cols), ld. */
static void transpose_in(const float *in, int64_t ld, int rows, int cols, float *out,
                         int first) {
  for (int i0 = 0; i0 < rows; i0 += PATCH) {
    const int i1 = i0 + PATCH < rows ? i0 + PATCH : rows;
    for (int e = 0; e < cols; e++)
      for (int i = i0; i < i1; i++)
        out[e * LSP_BLOCK + first + i] = in[i * ld + e];
  }
}

void lsp_tile_put(lsp_heads h, float *tile, int first, int rows, const float *key,
                  const float *value, int64_t ld) {
  const int padded = lsp_padded(h.width);
  for (int head = 0; head < h.shared; head++) {
    float *k = tile + head * lsp_tile_head(h);
    float *v = k + lsp_tile_keys(h);
    const int64_t column = (int64_t)head * h.width;
    transpose_in(key + column, ld, rows, h.width, k, first);
    for (int i = 0; i < rows; i++) {
      float *row = v + (int64_t)(first + i) * padded;
      memcpy(row, value + i * ld + column, (size_t)h.width * sizeof(float));
      memset(row + h.width, 0, (size_t)(padded - h.width) * sizeof(float));
    }
  }
}

void lsp_tile_get(lsp_heads h, const float *tile, int first, int rows, float *key,
                  float *value) {
  const int padded = lsp_padded(h.width);
  const int64_t ld = (int64_t)h.shared * h.width;
  for (int head = 0; head < h.shared; head++) {
    const float *k = tile + head * lsp_tile_head(h);
    const float *v = k + lsp_tile_keys(h);
    const int64_t column = (int64_t)head * h.width;
    for (int i = 0; i < rows; i++) {
      for (int e = 0; e < h.width; e++)
        key[i * ld + column + e] = k[e * LSP_BLOCK + first + i];
      memcpy(value + i * ld + column, v + (int64_t)(first + i) * padded,
             (size_t)h.width * sizeof(float));
    }
  }
}
