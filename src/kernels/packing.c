/* The order of packed weights. */
#include "lsp/packing.h"

#include <string.h>

static int64_t group_rows(int64_t rows, int64_t first) {
  return rows - first < LSP_LANES ? rows - first : LSP_LANES;
}

void lsp_pack(int64_t rows, int64_t depth, float *w, float *work) {
  for (int64_t first = 0; first < rows; first += LSP_LANES) {
    const int64_t n = group_rows(rows, first);
    float *group = w + first * depth;
    memcpy(work, group, (size_t)(n * depth) * sizeof(float));
    for (int64_t k = 0; k < depth; k++)
      for (int64_t i = 0; i < n; i++)
        group[k * n + i] = work[i * depth + k];
  }
}

void lsp_pack_row(int64_t rows, int64_t depth, const float *w, int64_t row,
                  float *out) {
  const int64_t first = row / LSP_LANES * LSP_LANES, n = group_rows(rows, first);
  for (int64_t k = 0; k < depth; k++)
    out[k] = w[first * depth + k * n + row - first];
}
