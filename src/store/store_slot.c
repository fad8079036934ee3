/* Where the rows of the slot lie (drawn in lsp/store.h), and reading them.
 *
 * What must hold: of a page that was read nothing stays in the cache, for other ranks may
 * write rows into it, and on a network file system each has to write its own bytes alone;
 * C = 3 R, so that the rows of a commit lie apart from the memory of the two before. */
#include "lsp/store.h"

#include "store_internal.h"

#include <fcntl.h>

enum { CACHED_AT_ONCE = 1 << 16 }; /* at least a page, on any machine */

int64_t lsp__slot_piece(const lsp__facts *f, const lsp__slot_rows *r, int64_t *row) {
  const int64_t C = 3 * f->rows;
  if (r->is_fixed || r->rows == 0) {
    *row = r->area * f->fixed + r->first;
    return r->rows;
  }
  const int64_t at = r->first % C;
  *row = 2 * f->fixed + at;
  return r->rows < C - at ? r->rows : C - at;
}

lsp_slot_place lsp__slot_place(const lsp__slot_rows *r) {
  return (lsp_slot_place){.what = r->is_fixed ? (uint64_t)r->area : 2,
                          .layer = (uint64_t)r->layer,
                          .since = r->is_fixed ? (uint64_t)r->since : 0,
                          .row = (uint64_t)r->first};
}

lsp__slot_rows lsp__slot_past(const lsp_memory_spec *m, const lsp_commit *c,
                              int layer) {
  const int64_t kept = lsp_memory_layer_rows(m, layer);
  const int64_t rows = c->memory_rows < kept ? c->memory_rows : kept;
  return (lsp__slot_rows){.layer = layer, .first = c->memory_end - rows, .rows = rows};
}

lsp__slot_rows lsp__slot_fixed(const lsp_memory_spec *m, const lsp_commit *c,
                               int layer) {
  return (lsp__slot_rows){.layer = layer,
                          .is_fixed = 1,
                          .area = c->fixed_area,
                          .since = c->fixed_at,
                          .rows =
                              lsp_memory_layer_fixed(m, layer) > 0 ? c->fixed_rows : 0};
}

static lsp_status read_part(const lsp__facts *f, int fd, int dataset, int64_t at,
                            int64_t n, int64_t row_bytes, void *to, lsp_failure *why) {
  const int64_t offset = f->slot[dataset].offset + at * row_bytes;
  const int64_t begin = offset / CACHED_AT_ONCE * CACHED_AT_ONCE;
  const lsp_status status =
      lsp_read_at(fd, f->file[LSP__SLOT].path.at, to, n * row_bytes, offset, why);
  (void)posix_fadvise(fd, begin, offset + n * row_bytes + CACHED_AT_ONCE - begin,
                      POSIX_FADV_DONTNEED);
  return status;
}

lsp_status lsp__slot_read(const lsp__facts *f, int fd, lsp__slot_rows r, float *keys,
                          float *values, uint64_t *sum, lsp_failure *why) {
  const int64_t layer_rows = 2 * f->fixed + 3 * f->rows;
  const int64_t bytes = (int64_t)f->width * (int64_t)sizeof(float);
  for (int64_t n, row, done = 0; r.rows > 0; r.first += n, r.rows -= n, done += n) {
    n = lsp__slot_piece(f, &r, &row);
    const int64_t at = r.layer * layer_rows + row;
    LSP_TRY(
        read_part(f, fd, LSP_SNAPSHOT_KEYS, at, n, bytes, keys + done * f->width, why));
    LSP_TRY(read_part(f, fd, LSP_SNAPSHOT_VALUES, at, n, bytes,
                      values + done * f->width, why));
    if (sum != NULL)
      LSP_TRY(read_part(f, fd, LSP_SNAPSHOT_ROW_SUM, at, n, (int64_t)sizeof *sum,
                        sum + done, why));
  }
  return LSP_OK;
}
