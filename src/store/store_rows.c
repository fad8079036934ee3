/* Rows of the output: to the ranks that write them, and to disk. */
#include "lsp/store.h"

#include "store_internal.h"

static void write_bytes(void *arg, const void *data, int64_t n, int64_t offset) {
  lsp__store_write(arg, LSP__OUTPUT, data, n, offset);
}

void lsp_store_rows(lsp_store *store, lsp_output_dataset dataset, int64_t first,
                    int64_t rows, const void *data) {
  const lsp_extent *e = &store->facts.output[dataset];
  if (e->offset < 0 || e->rows == 0 || e->row_bytes == 0)
    return;
  LSP_ASSERT(rows >= 0 && (rows == 0 || (first >= 0 && rows <= e->rows - first)));
  const lsp_byte_range all = {e->offset, e->offset + e->rows * e->row_bytes};
  lsp_byte_range mine = {0, 0};
  if (rows > 0) {
    mine.begin = e->offset + first * e->row_bytes;
    mine.end = mine.begin + rows * e->row_bytes;
  }
  lsp_route_rows(store->route, all, mine, data, write_bytes, store);
}
