/* One block of queries, one head: scores, positions, online softmax, values.
 *
 * Strips of the position term lie side by side in a window that fills from the right:
 *
 *   |        | strip d | strip d-1 | ...      columns: falling distance to the right
 *   tile d reads row i of strips d and d-1 from column 63 - i of strip d on, since
 *   distance 64 d + i - j is column 63 - (i - j) of strip d.
 *
 * When the window is full the leftmost strip moves to the right end. */
#include "lsp/attend.h"

#include "lsp/status.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { B = LSP_BLOCK, WINDOW_STRIPS = 6, WINDOW = WINDOW_STRIPS * B };

typedef struct {
  float *qu, *qv; /* (64, E padded) q + u and q + v, scaled */
  float *score;   /* (64, 64) */
  float *window;  /* (64, WINDOW) */
  float *sum_out; /* (64, E padded) weighted values */
  float top[B], sum[B], decay[B];
  int low[B], high[B], strip_low[B];
  int at; /* column of the newest strip in the window */
} work;

int64_t lsp_attend_scratch(lsp_heads h) {
  return (int64_t)B * (3 * lsp_padded(h.width) + B + WINDOW);
}

void lsp_strip_put(lsp_heads h, const float *rows, float *strip) {
  for (int head = 0; head < h.heads; head++, strip += lsp_tile_keys(h))
    for (int e = 0; e < h.width; e++)
      for (int c = 0; c < B; c++)
        strip[e * B + c] = rows[((int64_t)c * h.heads + head) * h.width + e];
}

static void begin(const lsp_attention *a, work *w, float *scratch) {
  const int64_t padded = lsp_padded(a->heads.width);
  const float scale = 1.0f / sqrtf((float)a->heads.width);
  w->qu = scratch;
  w->qv = w->qu + B * padded;
  w->sum_out = w->qv + B * padded;
  w->score = w->sum_out + B * padded;
  w->window = w->score + (int64_t)B * B;
  w->at = WINDOW;
  a->kernels->shift_scale(a->rows, a->heads.width, a->query, a->ld_query, a->u, scale,
                          w->qu, padded);
  a->kernels->shift_scale(a->rows, a->heads.width, a->query, a->ld_query, a->v, scale,
                          w->qv, padded);
  memset(w->sum_out, 0, (size_t)(B * padded) * sizeof(float));
  for (int i = 0; i < B; i++) {
    w->top[i] = -FLT_MAX;
    w->sum[i] = 0;
  }
}

/* The position term of strip d into the window, left of the strip before it. */
static void add_strip(const lsp_attention *a, work *w, int64_t d) {
  const lsp_distances *r = &a->distances;
  if (w->at == 0) {
    for (int i = 0; i < B; i++)
      memcpy(w->window + (int64_t)i * WINDOW + WINDOW - B,
             w->window + (int64_t)i * WINDOW, B * sizeof(float));
    w->at = WINDOW - B;
  }
  w->at -= B;
  float *out = w->window + w->at;
  const int64_t stored = d < r->n ? d : r->n - 1;
  for (int i = 0; i < a->rows; i++) {
    /* The distances of this row end at i - first_key: columns left of it are not
     * needed. */
    const int64_t low = 64 * d + 63 - (i - a->first_key[i]);
    w->strip_low[i] = low < 0 ? 0 : low > B ? B : (int)low;
  }
  const int alike = r->clamp > 0 && 64 * d - 1 >= r->clamp;
  if (alike) { /* so was the strip before: its last column serves */
    for (int i = 0; i < a->rows; i++) {
      float *row = out + (int64_t)i * WINDOW;
      for (int c = 0; c < B; c++)
        row[c] = row[B];
    }
    return;
  }
  const lsp_product p = {.a = w->qv,
                         .lda = lsp_padded(a->heads.width),
                         .b = r->strips + (stored * a->heads.heads + a->head) *
                                              lsp_tile_keys(a->heads),
                         .ldb = B,
                         .c = out,
                         .ldc = WINDOW,
                         .rows = a->rows,
                         .cols = B,
                         .depth = a->heads.width,
                         .col_low = w->strip_low};
  a->kernels->product(&p);
}

/* Bounds of the keys that each row sees in tile d; 0 if every row sees all of it. */
static int bounds(const lsp_attention *a, work *w, int64_t d) {
  int partial = 0;
  for (int i = 0; i < a->rows; i++) {
    const int64_t low = a->first_key[i] + B * d;
    w->low[i] = low < 0 ? 0 : low > B ? B : (int)low;
    w->high[i] = d == 0 ? i : B - 1;
    partial |= w->low[i] > 0 || w->high[i] < B - 1;
  }
  return partial;
}

static void tile(const lsp_attention *a, work *w, int64_t d) {
  const int padded = lsp_padded(a->heads.width);
  const float *keys = a->tile[d] + a->head * lsp_tile_head(a->heads);
  const float *values = keys + lsp_tile_keys(a->heads);
  const int partial = bounds(a, w, d);
  const int *low = partial ? w->low : NULL, *high = partial ? w->high : NULL;
  const lsp_product scores = {.a = w->qu,
                              .lda = padded,
                              .b = keys,
                              .ldb = B,
                              .init = w->window + w->at + B - 1,
                              .ldi = WINDOW - 1,
                              .c = w->score,
                              .ldc = B,
                              .rows = a->rows,
                              .cols = B,
                              .depth = a->heads.width,
                              .col_low = low,
                              .col_high = high};
  a->kernels->product(&scores);
  a->kernels->softmax_tile(a->rows, w->score, low, high, w->top, w->sum, w->decay);
  const lsp_product weighted = {.a = w->score,
                                .lda = B,
                                .b = values,
                                .ldb = padded,
                                .init = w->sum_out,
                                .ldi = padded,
                                .scale = w->decay,
                                .c = w->sum_out,
                                .ldc = padded,
                                .rows = a->rows,
                                .cols = padded,
                                .depth = B,
                                .depth_low = low,
                                .depth_high = high};
  a->kernels->product(&weighted);
}

static void finish(const lsp_attention *a, const work *w) {
  const int64_t padded = lsp_padded(a->heads.width);
  for (int i = 0; i < a->rows; i++) {
    const float over = 1.0f / w->sum[i];
    for (int e = 0; e < a->heads.width; e++)
      a->out[i * a->ld_out + e] = w->sum_out[i * padded + e] * over;
  }
}

void lsp_attend_block(const lsp_attention *a, float *scratch) {
  work w;
  LSP_ASSERT(a->rows > 0 && a->rows <= B);
  begin(a, &w, scratch);
  int64_t lowest = 0;
  for (int i = 0; i < a->rows; i++)
    lowest = a->first_key[i] < lowest ? a->first_key[i] : lowest;
  const int64_t tiles = (B - 1 - lowest) / B + 1;
  /* The strip to the right of strip 0 holds distances below 0: read, and masked. */
  for (int i = 0; i < B; i++)
    memset(w.window + (int64_t)i * WINDOW + WINDOW - B, 0, B * sizeof(float));
  w.at = WINDOW - B;
  for (int64_t d = 0; d < tiles; d++) {
    add_strip(a, &w, d);
    tile(a, &w, d);
  }
  finish(a, &w);
}
