/* What the files of lsp/sizes.h share:
 *
 *   sizes_layers.c   what a layer keeps and borrows
 *   sizes_ahead.c    the same of layers that look ahead
 *   sizes_frames.c   how documents become frames, and whether a model has their positions
 *   sizes.c          buffers, and the choice of waves */
#ifndef LSP_SIZES_INTERNAL_H
#define LSP_SIZES_INTERNAL_H

#include "lsp/sizes.h"

static inline int64_t lsp__padded(int64_t floats) {
  return lsp_divide_up(floats, LSP_LANES) * LSP_LANES;
}

/* Rows of a stratum in the panel within which a run began, and what a mean has so far. */
static inline int64_t lsp__opening_rows(const lsp_stratum_sizes *s) {
  return LSP_PANEL / s->grain.unit + 2;
}

/* Floats of the ring of a stratum. */
static inline int64_t lsp__ring_floats(const lsp_layer_sizes *y,
                                       const lsp_stratum_sizes *s) {
  return s->groups * s->grain.group * y->pooled;
}

#endif
