/* A memory of learned slots after the last norm. A row's result depends on that row alone:
 * the block kernel's chains, and products with the shape of a panel. */
#include "last_memory.h"

#include <string.h>

static lsp_heads one_head(const lsp_model *m) {
  return (lsp_heads){1, 1, m->width};
}

int64_t lsp_last_tiles(const lsp_model *m) {
  return lsp_divide_up(m->last.slots, LSP_BLOCK) * lsp_tile_floats(one_head(m));
}

void lsp_last_make(const lsp_model *m, float *tiles) {
  const lsp_heads h = one_head(m);
  memset(tiles, 0, (size_t)lsp_last_tiles(m) * sizeof(float));
  for (int64_t at = 0; at < m->last.slots; at += LSP_BLOCK, tiles += lsp_tile_floats(h))
    lsp_tile_put(h, tiles, 0, (int)lsp_min(LSP_BLOCK, m->last.slots - at),
                 m->last.keys + at * m->width, m->last.values + at * m->width,
                 m->width);
}

/* Rows side by side, a partial result of a block, and what the walk takes. */
int64_t lsp_last_scratch(const lsp_model *m) {
  const lsp_heads h = one_head(m);
  return m->last.slots == 0
             ? 0
             : 2 * (int64_t)LSP_PANEL * m->width +
                   (int64_t)LSP_BLOCK * lsp_padded(h.width) + lsp_attend_scratch(h);
}

/* y (64, ld) of a block of rows x (64, D). */
static void read_block(const lsp_run *e, const float *x, float *y, int64_t ld,
                       float *room) {
  const lsp_model *m = &e->weights.model;
  const lsp_heads h = one_head(m);
  const lsp_queries q = {.kernels = &e->job.kernels,
                         .heads = h,
                         .normalize = m->last.normalize,
                         .scale = m->last.scale,
                         .u = e->weights.zeros,
                         .v = e->weights.zeros,
                         .rows = LSP_BLOCK,
                         .query = x,
                         .ld_query = m->width};
  float top[LSP_BLOCK], sum[LSP_BLOCK];
  int64_t first[LSP_BLOCK] = {0}, end[LSP_BLOCK];
  const lsp_partial part = {room, lsp_padded(h.width), top, sum};
  lsp_attending work;
  for (int i = 0; i < LSP_BLOCK; i++)
    end[i] = m->last.slots;
  lsp_attend_begin(&q, room + LSP_BLOCK * part.ldo, &work);
  lsp_attend_empty(&q, &part);
  for (int64_t t = (m->last.slots - 1) / LSP_BLOCK; t >= 0; t--) {
    const lsp_visit visit = {.tile = e->weights.last_slots + t * lsp_tile_floats(h),
                             .back = -t};
    lsp_attend_walk(&q, &(lsp_seen){first, end}, &visit, 1, &work, &part);
  }
  lsp_attend_finish(&q, &part, (lsp_weight){.all = 1}, 0, y, ld);
}

/* y (rows, ld) */
static void read_rows(const lsp_run *e, int rows, const float *x, float *y, int64_t ld,
                      float *room) {
  for (int64_t row = 0; row < rows; row += LSP_BLOCK)
    read_block(e, x + row * e->weights.model.width, y + row * ld, ld, room);
}

/* Rows [h; y] (rows, 2 D). */
static void put_beside(const lsp_run *e, int rows, const float *x, float *both,
                       float *room) {
  const int64_t D = e->weights.model.width;
  for (int64_t i = 0; i < rows; i++)
    memcpy(both + i * 2 * D, x + i * D, (size_t)D * sizeof(float));
  read_rows(e, rows, x, both + D, 2 * D, room);
}

/* Feature by feature; y (rows, D). */
static void mix(const lsp_run *e, int rows, const float *y, float *x) {
  const lsp_model *m = &e->weights.model;
  const int64_t D = m->width;
  if (m->last.merge == LSP_LAST_ADD) {
    e->job.kernels.add(rows * D, x, y);
    return;
  }
  const float *s = e->weights.last_gate;
  for (int r = 0; r < rows; r++, x += D, y += D)
    for (int64_t d = 0; d < D; d++)
      x[d] = (1 - s[d]) * x[d] + s[d] * y[d];
}

void lsp_last_apply(const lsp_run *e, int rows, float *x, float *room) {
  const lsp_model *m = &e->weights.model;
  const int64_t D = m->width;
  float *rest = room + (int64_t)2 * LSP_PANEL * D;
  if (m->last.slots == 0 || m->last.merge == LSP_LAST_CONCAT)
    return;
  if (m->last.merge == LSP_LAST_PROJECT) {
    put_beside(e, rows, x, room, rest);
    lsp_multiply(&e->job, &m->last.project, rows, room, x, lsp_work_of(e));
    return;
  }
  read_rows(e, rows, x, room, D, rest);
  mix(e, rows, room, x);
}

const float *lsp_last_beside(const lsp_run *e, int rows, const float *x, float *room) {
  const lsp_model *m = &e->weights.model;
  if (m->last.slots == 0 || m->last.merge != LSP_LAST_CONCAT)
    return x;
  put_beside(e, rows, x, room, room + (int64_t)2 * LSP_PANEL * m->width);
  return room;
}
