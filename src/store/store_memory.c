/* Rows of memory: to a snapshot of the memory file, or to the slot.
 *
 *   row r of layer l of snapshot s:
 *     ((s * L + l) * (F + R) + r) * width floats into the dataset, fixed rows first
 *   in the slot (one snapshot) a layer has 2 F + 3 R rows, drawn in lsp/store.h
 *
 * What must hold: every row has its sum beside it, in a slot with its place as seed;
 * every row is written once between two commits, by any rank. */
#include "lsp/store.h"

#include "lsp/durable.h"
#include "lsp/sums.h"
#include "store_internal.h"

#include <string.h>

static int64_t width_bytes(const lsp__facts *f) {
  return (int64_t)f->width * (int64_t)sizeof(float);
}

/* Rows to be written that lie together in a file. */
typedef struct {
  int file;
  const lsp_extent *extent;
  int64_t at; /* the first one's number in the datasets */
  int64_t rows;
  const float *keys, *values;
  const lsp_slot_place *place; /* of the first one; NULL: not in the slot */
} piece;

static uint64_t sum_of(const lsp__facts *f, const piece *p, int64_t i) {
  const float *keys = p->keys + i * f->width, *values = p->values + i * f->width;
  if (p->place == NULL)
    return lsp_sum_row(keys, values, width_bytes(f));
  lsp_slot_place place = *p->place;
  place.row += (uint64_t)i;
  return lsp_sum_slot_row(&place, keys, values, width_bytes(f));
}

static void write_sums(lsp_store *s, const piece *p) {
  enum { AT_ONCE = 512 };
  uint64_t sum[AT_ONCE];
  const int64_t bytes = (int64_t)sizeof *sum;
  for (int64_t first = 0, n; first < p->rows; first += n) {
    n = p->rows - first < AT_ONCE ? p->rows - first : AT_ONCE;
    for (int64_t i = 0; i < n; i++)
      sum[i] = sum_of(&s->facts, p, first + i);
    lsp__store_write(s, p->file, sum, n * bytes,
                     p->extent[LSP_SNAPSHOT_ROW_SUM].offset + (p->at + first) * bytes);
  }
}

static void write_piece(lsp_store *s, const piece *p) {
  const int64_t bytes = width_bytes(&s->facts);
  lsp__store_write(s, p->file, p->keys, p->rows * bytes,
                   p->extent[LSP_SNAPSHOT_KEYS].offset + p->at * bytes);
  lsp__store_write(s, p->file, p->values, p->rows * bytes,
                   p->extent[LSP_SNAPSHOT_VALUES].offset + p->at * bytes);
  write_sums(s, p);
}

/* Row `first` of a layer's F + R. */
static void write_snapshot(lsp_store *s, int64_t snapshot, int layer, int64_t first,
                           int64_t rows, const float *keys, const float *values) {
  const lsp__facts *f = &s->facts;
  LSP_ASSERT(snapshot >= 0 && snapshot < f->snapshots);
  const piece p = {.file = LSP__MEMORY,
                   .extent = f->memory,
                   .at = (snapshot * f->layers + layer) * (f->fixed + f->rows) + first,
                   .rows = rows,
                   .keys = keys,
                   .values = values};
  write_piece(s, &p);
}

static void write_slot(lsp_store *s, lsp__slot_rows r, const float *keys,
                       const float *values) {
  const lsp__facts *f = &s->facts;
  for (int64_t n, row; r.rows > 0; r.first += n, r.rows -= n) {
    n = lsp__slot_piece(f, &r, &row);
    const lsp_slot_place place = lsp__slot_place(&r);
    const piece p = {.file = LSP__SLOT,
                     .extent = f->slot,
                     .at = r.layer * (2 * f->fixed + 3 * f->rows) + row,
                     .rows = n,
                     .keys = keys,
                     .values = values,
                     .place = &place};
    write_piece(s, &p);
    keys += n * f->width;
    values += n * f->width;
  }
}

/* 0: this run has no such file. */
static int has_file(const lsp_store *s, int64_t snapshot) {
  const int file = snapshot == LSP_STORE_SLOT ? LSP__SLOT : LSP__MEMORY;
  return s->facts.file[file].path.at[0] != '\0';
}

static int64_t most(int64_t a, int64_t b) {
  return a > b ? a : b;
}

void lsp_store_memory(lsp_store *store, int64_t snapshot, int layer, int64_t first,
                      int64_t rows, const float *keys, const float *values) {
  const lsp__facts *f = &store->facts;
  if (rows == 0 || !has_file(store, snapshot))
    return;
  LSP_ASSERT(layer >= 0 && layer < f->layers);
  LSP_ASSERT(first >= 0 && rows > 0 && rows <= f->rows - first);
  if (snapshot != LSP_STORE_SLOT) {
    LSP_ASSERT(first >= f->rows - lsp_memory_layer_rows(&store->memory, layer));
    write_snapshot(store, snapshot, layer, f->fixed + first, rows, keys, values);
    return;
  }
  store->count.rows += rows;
  store->count.rows_end = most(store->count.rows_end, first + rows);
  const lsp__slot_rows r = {
      .layer = layer, .first = f->last.memory_end + first, .rows = rows};
  write_slot(store, r, keys, values);
}

void lsp_store_fixed(lsp_store *store, int64_t snapshot, int layer, int64_t first,
                     int64_t rows, const float *keys, const float *values) {
  const lsp__facts *f = &store->facts;
  if (rows == 0 || !has_file(store, snapshot))
    return;
  LSP_ASSERT(layer >= 0 && layer < f->layers && first >= 0 && rows > 0);
  LSP_ASSERT(rows <= lsp_memory_layer_fixed(&store->memory, layer) - first);
  if (snapshot != LSP_STORE_SLOT) {
    write_snapshot(store, snapshot, layer, first, rows, keys, values);
    return;
  }
  store->count.fixed += rows;
  store->count.fixed_end = most(store->count.fixed_end, first + rows);
  const lsp__slot_rows r = {.layer = layer,
                            .is_fixed = 1,
                            .area = 1 - f->last.fixed_area,
                            .since = f->last.memory_end,
                            .first = first,
                            .rows = rows};
  write_slot(store, r, keys, values);
}

void lsp_store_memory_end(lsp_store *store, int64_t snapshot, int32_t id,
                          const float *hidden) {
  const lsp_extent *e = store->facts.memory;
  if (!has_file(store, snapshot))
    return;
  LSP_ASSERT(snapshot >= 0 && snapshot < store->facts.snapshots);
  const lsp_extent *last = &e[LSP_SNAPSHOT_LAST_ID], *row = &e[LSP_SNAPSHOT_HIDDEN];
  const uint64_t sum = lsp_sum_end(id, hidden, row->row_bytes);
  lsp__store_write(store, LSP__MEMORY, &id, (int64_t)sizeof id,
                   last->offset + snapshot * last->row_bytes);
  lsp__store_write(store, LSP__MEMORY, hidden, row->row_bytes,
                   row->offset + snapshot * row->row_bytes);
  lsp__store_write(store, LSP__MEMORY, &sum, (int64_t)sizeof sum,
                   e[LSP_SNAPSHOT_END_SUM].offset + snapshot * (int64_t)sizeof sum);
}

/* Rows [first, first + rows) of some, of which `there` are in the slot from `begins` on:
 * the others are zero. */
static lsp_status read_rows(lsp_store *s, lsp__slot_rows there, int64_t begins,
                            int64_t first, int64_t rows, float *const data[2]) {
  const int64_t width = s->facts.width;
  const int64_t from = most(first, begins);
  const int64_t end =
      begins + there.rows < first + rows ? begins + there.rows : first + rows;
  for (int kv = 0; kv < 2; kv++)
    memset(data[kv], 0, (size_t)(rows * width_bytes(&s->facts)));
  if (from >= end)
    return LSP_OK;
  there.first += from - begins;
  there.rows = end - from;
  return lsp__slot_read(&s->facts, s->fd[LSP__SLOT], there,
                        data[0] + (from - first) * width,
                        data[1] + (from - first) * width, NULL, &s->ctx->why);
}

lsp_status lsp_store_read_memory(lsp_store *store, int layer, int64_t first,
                                 int64_t rows, float *keys, float *values) {
  const lsp__facts *f = &store->facts;
  float *const data[2] = {keys, values};
  LSP_ASSERT(layer >= 0 && layer < f->layers);
  LSP_ASSERT(first >= 0 && rows >= 0 && rows <= f->rows - first);
  const lsp__slot_rows there = lsp__slot_past(&store->memory, &f->last, layer);
  return read_rows(store, there, f->rows - there.rows, first, rows, data);
}

lsp_status lsp_store_read_fixed(lsp_store *store, int layer, int64_t first,
                                int64_t rows, float *keys, float *values) {
  const lsp__facts *f = &store->facts;
  float *const data[2] = {keys, values};
  LSP_ASSERT(layer >= 0 && layer < f->layers);
  LSP_ASSERT(first >= 0 && rows >= 0 && rows <= f->fixed - first);
  const lsp__slot_rows there = lsp__slot_fixed(&store->memory, &f->last, layer);
  return read_rows(store, there, 0, first, rows, data);
}
