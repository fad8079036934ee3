/* Rows of memory: to a snapshot of the memory file, or to the slot of the commit to
 * come.
 *
 *   row r of layer l of snapshot s:  ((s * L + l) * R + r) * width floats into the
 * dataset
 *
 * What must hold: the checksum of a slot is a sum over its rows, each hashed with its
 * place as seed, so it does not depend on which rank wrote which row; every row that
 * the slot holds is written once between two commits. */
#include "lsp/store.h"

#include "lsp/durable.h"
#include "lsp/sums.h"
#include "store_internal.h"

#include <string.h>
#include <xxhash.h>

static int64_t width_bytes(const lsp__facts *f) {
  return (int64_t)f->width * (int64_t)sizeof(float);
}

uint64_t lsp__store_row_sum(const lsp__facts *f, int kv, int layer, int64_t row,
                            const void *data) {
  const uint64_t place =
      ((uint64_t)kv * (uint64_t)f->layers + (uint64_t)layer) * (uint64_t)f->rows +
      (uint64_t)row;
  return XXH3_64bits_withSeed(data, (size_t)width_bytes(f), place);
}

int64_t lsp__store_row_offset(const lsp__facts *f, const lsp_extent *extent,
                              int64_t snapshot, int layer, int64_t row) {
  return extent->offset +
         ((snapshot * f->layers + layer) * f->rows + row) * width_bytes(f);
}

/* Where a memory goes. 0: this run has no such file. */
typedef struct {
  int file;
  const lsp_extent *extent;
  int64_t index; /* of the snapshot in its file */
} place;

static int find_place(const lsp_store *s, int64_t snapshot, place *p) {
  if (snapshot == LSP_STORE_SLOT) {
    *p = (place){LSP__SLOT + s->facts.next_slot, s->facts.slot, 0};
  } else {
    LSP_ASSERT(snapshot >= 0 && snapshot < s->facts.snapshots);
    *p = (place){LSP__MEMORY, s->facts.memory, snapshot};
  }
  return s->facts.file[p->file].path.at[0] != '\0';
}

/* The sums of rows, beside them; a slot's one sum is in its record. */
static void write_sums(lsp_store *s, const place *p, int layer, int64_t first,
                       int64_t rows, const float *keys, const float *values) {
  enum { AT_ONCE = 512 };
  uint64_t sum[AT_ONCE];
  const lsp__facts *f = &s->facts;
  for (int64_t at = 0, n; at < rows; at += n) {
    n = rows - at < AT_ONCE ? rows - at : AT_ONCE;
    for (int64_t i = 0; i < n; i++)
      sum[i] = lsp_sum_row(keys + (at + i) * f->width, values + (at + i) * f->width,
                           width_bytes(f));
    lsp__store_write(s, p->file, sum, n * (int64_t)sizeof *sum,
                     p->extent[LSP_SNAPSHOT_ROW_SUM].offset +
                         (int64_t)sizeof *sum *
                             ((p->index * f->layers + layer) * f->rows + first + at));
  }
}

static void count_rows(lsp_store *s, int kv, int layer, int64_t first, int64_t rows,
                       const float *data) {
  lsp__slot_sum *sum = &s->slot_sum;
  for (int64_t i = 0; i < rows; i++)
    sum->sum +=
        lsp__store_row_sum(&s->facts, kv, layer, first + i, data + i * s->facts.width);
  sum->rows += rows;
  sum->first = sum->first < first ? sum->first : first;
}

void lsp_store_memory(lsp_store *store, int64_t snapshot, int layer, int64_t first,
                      int64_t rows, const float *keys, const float *values) {
  const lsp__facts *f = &store->facts;
  place p;
  if (rows == 0 || !find_place(store, snapshot, &p))
    return;
  LSP_ASSERT(layer >= 0 && layer < f->layers);
  LSP_ASSERT(first >= 0 && rows > 0 && rows <= f->rows - first);
  const float *const data[2] = {keys, values};
  for (int kv = 0; kv < 2; kv++) {
    if (snapshot == LSP_STORE_SLOT)
      count_rows(store, kv, layer, first, rows, data[kv]);
    lsp__store_write(store, p.file, data[kv], rows * width_bytes(f),
                     lsp__store_row_offset(f, &p.extent[LSP_SNAPSHOT_KEYS + kv],
                                           p.index, layer, first));
  }
  if (snapshot != LSP_STORE_SLOT)
    write_sums(store, &p, layer, first, rows, keys, values);
}

void lsp_store_memory_end(lsp_store *store, int64_t snapshot, int32_t id,
                          const float *hidden) {
  place p;
  if (!find_place(store, snapshot, &p))
    return;
  const lsp_extent *last = &p.extent[LSP_SNAPSHOT_LAST_ID];
  const lsp_extent *row = &p.extent[LSP_SNAPSHOT_HIDDEN];
  const uint64_t sum = lsp_sum_end(id, hidden, row->row_bytes);
  lsp__store_write(store, p.file, &id, (int64_t)sizeof id,
                   last->offset + p.index * last->row_bytes);
  lsp__store_write(store, p.file, hidden, row->row_bytes,
                   row->offset + p.index * row->row_bytes);
  lsp__store_write(store, p.file, &sum, (int64_t)sizeof sum,
                   p.extent[LSP_SNAPSHOT_END_SUM].offset +
                       p.index * (int64_t)sizeof sum);
}

lsp_status lsp_store_read_memory(lsp_store *store, int layer, int64_t first,
                                 int64_t rows, float *keys, float *values) {
  const lsp__facts *f = &store->facts;
  const int slot = f->last.slot;
  LSP_ASSERT((slot == 0 || slot == 1) && layer >= 0 && layer < f->layers);
  LSP_ASSERT(first >= 0 && rows >= 0 && rows <= f->rows - first);
  /* Rows before those that the slot holds are of older commits: zero. */
  const int64_t absent = f->rows - f->last.slot_rows - first;
  const int64_t skip = absent < 0 ? 0 : absent < rows ? absent : rows;
  const lsp__target *file = &f->file[LSP__SLOT + slot];
  float *const data[2] = {keys, values};
  for (int kv = 0; kv < 2; kv++) {
    memset(data[kv], 0, (size_t)(skip * width_bytes(f)));
    LSP_TRY(lsp_read_at(store->fd[LSP__SLOT + slot], file->path.at,
                        data[kv] + skip * f->width, (rows - skip) * width_bytes(f),
                        lsp__store_row_offset(f, &f->slot[LSP_SNAPSHOT_KEYS + kv], 0,
                                              layer, first + skip),
                        &store->ctx->why));
  }
  return LSP_OK;
}
