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

/* Bounds within a tile of what each row sees. */
typedef struct {
  int low[B], high[B];
  int partial; /* 0: every row sees all of it */
} bounds;

int64_t lsp_attend_scratch(lsp_heads h) {
  return (int64_t)B * (2 * lsp_padded(h.width) + B + WINDOW);
}

void lsp_strip_put(lsp_heads h, const float *rows, float *strip) {
  for (int head = 0; head < h.query; head++, strip += lsp_tile_keys(h))
    for (int e = 0; e < h.width; e++)
      for (int c = 0; c < B; c++)
        strip[e * B + c] = rows[((int64_t)c * h.query + head) * h.width + e];
}

void lsp_attend_begin(const lsp_queries *q, float *scratch, lsp_attending *w) {
  const int64_t padded = lsp_padded(q->heads.width);
  LSP_ASSERT(q->rows > 0 && q->rows <= B);
  w->qu = scratch;
  w->qv = w->qu + B * padded;
  w->score = w->qv + B * padded;
  w->window = w->score + (int64_t)B * B;
  w->at = WINDOW;
  w->strip = -2;
  q->kernels->shift_scale(q->rows, q->heads.width, q->query, q->ld_query, q->u,
                          q->scale, w->qu, padded);
  if (q->distances.strips != NULL)
    q->kernels->shift_scale(q->rows, q->heads.width, q->query, q->ld_query, q->v,
                            q->scale, w->qv, padded);
}

void lsp_attend_empty(const lsp_queries *q, const lsp_partial *p) {
  LSP_ASSERT(p->ldo == lsp_padded(q->heads.width));
  memset(p->out, 0, (size_t)(B * p->ldo) * sizeof(float));
  for (int i = 0; i < B; i++) {
    p->top[i] = -FLT_MAX;
    p->sum[i] = 0;
  }
}

/* Room for strip d in the window, left of the strip before it. */
static float *make_room(lsp_attending *w, int64_t d) {
  if (w->at == 0) {
    for (int i = 0; i < B; i++)
      memcpy(w->window + (int64_t)i * WINDOW + WINDOW - B,
             w->window + (int64_t)i * WINDOW, B * sizeof(float));
    w->at = WINDOW - B;
  }
  w->at -= B;
  w->strip = d;
  return w->window + w->at;
}

/* The position term of strip d into the window. */
static void add_strip(const lsp_queries *q, const lsp_seen *seen, lsp_attending *w,
                      int64_t d) {
  const lsp_distances *r = &q->distances;
  int strip_low[B];
  float *out = make_room(w, d);
  if (d < 0) { /* distances below 0: read, and masked */
    for (int i = 0; i < B; i++)
      memset(out + (int64_t)i * WINDOW, 0, B * sizeof(float));
    return;
  }
  const int64_t stored = d < r->n ? d : r->n - 1;
  for (int i = 0; i < q->rows; i++) {
    /* The distances of this row end at i - first: columns left of it are not needed. */
    const int64_t low = B * d + B - 1 - (i - seen->first[i]);
    strip_low[i] = low < 0 ? 0 : low > B ? B : (int)low;
  }
  const lsp_product p = {.a = w->qv,
                         .lda = lsp_padded(q->heads.width),
                         .b = r->strips + (stored * q->heads.query + q->head) *
                                              lsp_tile_keys(q->heads),
                         .ldb = B,
                         .c = out,
                         .ldc = WINDOW,
                         .rows = q->rows,
                         .cols = B,
                         .depth = q->heads.width,
                         .col_low = d < r->n ? strip_low : NULL};
  q->kernels->product(&p);
  if (d >= r->n) /* past the clamp, as the first column of the last strip is */
    for (int i = 0; i < q->rows; i++)
      for (int c = 1; c < B; c++)
        out[(int64_t)i * WINDOW + c] = out[(int64_t)i * WINDOW];
}

/* Beyond the clamp a strip is like the one before it, whose last column serves. */
static void repeat_strip(const lsp_queries *q, lsp_attending *w, int64_t d) {
  float *out = make_room(w, d);
  for (int i = 0; i < q->rows; i++) {
    float *row = out + (int64_t)i * WINDOW;
    for (int c = 0; c < B; c++)
      row[c] = row[B];
  }
}

/* Strips d and d - 1 into the window, as far as they are not there. */
static void need_strips(const lsp_queries *q, const lsp_seen *seen, lsp_attending *w,
                        int64_t d) {
  const lsp_distances *r = &q->distances;
  if (w->strip == d)
    return;
  if (w->strip != d - 1) {
    w->at = WINDOW;
    add_strip(q, seen, w, d - 1);
  }
  if (r->clamp > 0 && B * d - 1 >= r->clamp)
    repeat_strip(q, w, d);
  else
    add_strip(q, seen, w, d);
}

static void find_bounds(const lsp_queries *q, const lsp_seen *seen, int64_t back,
                        bounds *b) {
  b->partial = 0;
  for (int i = 0; i < q->rows; i++) {
    const int64_t low = seen->first[i] + B * back, high = seen->end[i] - 1 + B * back;
    b->low[i] = low < 0 ? 0 : low > B ? B : (int)low;
    b->high[i] = high < -1 ? -1 : high > B - 1 ? B - 1 : (int)high;
    b->partial |= b->low[i] > 0 || b->high[i] < B - 1;
  }
}

static float slope_at(const lsp_queries *q, int64_t distance) {
  return -q->slope * (float)(distance < 0 ? -distance : distance);
}

/* ALiBi's term of a tile: number 63 - i + j belongs to the distance 64 back + i - j. */
static void fill_slope(const lsp_queries *q, int64_t back, float slope[2 * B]) {
  for (int x = 0; x < 2 * B; x++)
    slope[x] = slope_at(q, B * back + B - 1 - x);
}

/* The same of pooled rows, one by one: (64, 64), where strips would be. */
static void fill_slopes(const lsp_queries *q, const lsp_visit *t, float *slope) {
  for (int i = 0; i < q->rows; i++)
    for (int j = 0; j < B; j++)
      slope[i * B + j] = slope_at(q, t->distance + i - t->unit * j);
}

/* The soft end of a window: log m of every distance, added to scores. */
static void soften_tile(const lsp_queries *q, const lsp_visit *t, float *score) {
  float soft[2 * B];
  if ((double)(B * t->back + B - 1) <= (double)q->span)
    return; /* all at full weight */
  for (int x = 0; x < 2 * B; x++) {
    const double distance = (double)(B * t->back + B - 1 - x);
    const double m = ((double)q->ramp + (double)q->span - distance) / (double)q->ramp;
    soft[x] = m >= 1 || m <= 0 ? 0.0f : (float)log(m); /* at 0 nothing is seen */
  }
  for (int i = 0; i < q->rows; i++)
    for (int j = 0; j < B; j++)
      score[i * B + j] += soft[B - 1 - i + j];
}

static void score_tile(const lsp_queries *q, const lsp_visit *t, const bounds *b,
                       lsp_attending *w) {
  const int padded = lsp_padded(q->heads.width);
  float slope[2 * B];
  lsp_product p = {.a = w->qu,
                   .lda = padded,
                   .b = t->tile,
                   .ldb = B,
                   .c = w->score,
                   .ldc = B,
                   .rows = q->rows,
                   .cols = B,
                   .depth = q->heads.width,
                   .col_low = b->partial ? b->low : NULL,
                   .col_high = b->partial ? b->high : NULL};
  if (q->distances.strips != NULL) {
    p.init = w->window + w->at + B - 1;
    p.ldi = WINDOW - 1;
  } else if (q->slope != 0 && t->unit > 0) {
    fill_slopes(q, t, w->window);
    p.init = w->window;
    p.ldi = B;
  } else if (q->slope != 0) {
    fill_slope(q, t->back, slope);
    p.init = slope + B - 1;
    p.ldi = -1;
  }
  q->kernels->product(&p);
  if (q->cap > 0)
    q->kernels->soft_cap((int64_t)q->rows * B, w->score, q->cap);
  if (q->ramp > 0)
    soften_tile(q, t, w->score);
}

static void weigh_tile(const lsp_queries *q, const lsp_visit *t, const bounds *b,
                       const lsp_attending *w, const float *decay,
                       const lsp_partial *part) {
  const int padded = lsp_padded(q->heads.width);
  const lsp_product p = {.a = w->score,
                         .lda = B,
                         .b = t->tile + lsp_tile_keys(q->heads),
                         .ldb = padded,
                         .init = part->out,
                         .ldi = padded,
                         .scale = decay,
                         .c = part->out,
                         .ldc = padded,
                         .rows = q->rows,
                         .cols = padded,
                         .depth = B,
                         .depth_low = b->partial ? b->low : NULL,
                         .depth_high = b->partial ? b->high : NULL};
  q->kernels->product(&p);
}

void lsp_attend_walk(const lsp_queries *q, const lsp_seen *seen, const lsp_visit *visit,
                     int64_t n, lsp_attending *w, const lsp_partial *p) {
  float decay[B];
  bounds b;
  for (int64_t k = 0; k < n; k++) {
    const lsp_visit *t = &visit[k];
    if (q->distances.strips != NULL)
      need_strips(q, seen, w, t->back);
    find_bounds(q, seen, t->back, &b);
    const int *low = b.partial ? b.low : NULL, *high = b.partial ? b.high : NULL;
    score_tile(q, t, &b, w);
    if (q->normalize == LSP_NORMALIZE_NONE) {
      q->kernels->mask_tile(q->rows, w->score, low, high);
      weigh_tile(q, t, &b, w, NULL, p);
      continue;
    }
    q->kernels->softmax_tile(q->rows, w->score, low, high, p->top, p->sum, decay);
    weigh_tile(q, t, &b, w, decay, p);
  }
}

void lsp_attend_scores(const lsp_queries *q, const lsp_seen *seen,
                       const lsp_visit *visit, lsp_attending *w, int low[LSP_BLOCK],
                       int high[LSP_BLOCK]) {
  bounds b;
  if (q->distances.strips != NULL)
    need_strips(q, seen, w, visit->back);
  find_bounds(q, seen, visit->back, &b);
  score_tile(q, visit, &b, w);
  memcpy(low, b.low, sizeof b.low);
  memcpy(high, b.high, sizeof b.high);
}

void lsp_attend_finish(const lsp_queries *q, const lsp_partial *p, lsp_weight weight,
                       int add, float *out, int64_t ld_out) {
  for (int i = 0; i < q->rows; i++) {
    float over = 1.0f;
    if (q->normalize == LSP_NORMALIZE_SOFTMAX)
      over = p->sum[i] == 0 ? 0.0f : 1.0f / p->sum[i];
    const float share = weight.row != NULL ? weight.row[i * weight.ld] : weight.all;
    if (share != 1)
      over *= share;
    const float *in = p->out + i * p->ldo;
    float *row = out + i * ld_out;
    for (int e = 0; e < q->heads.width; e++)
      row[e] = add ? row[e] + in[e] * over : in[e] * over;
  }
}
