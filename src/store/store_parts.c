/* Parts of a memory (lsp/parts.h): to a snapshot of the memory file, or to the slot, and
 * out of them.
 *
 *   part p of snapshot s:  s * bytes into its dataset
 *   in the slot            area 0: parts 0, 1, ... | area 1: parts 0, 1, ...
 *                          the commit of record r uses area r modulo 2
 *
 * What must hold: a commit has all parts, written once each by any rank, or none; the sum
 * of a part in the slot is written when it is known which commit it belongs to, and is
 * synced with it. */
#include "lsp/store.h"

#include "lsp/durable.h"
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Where a part of the commit to come lies, among those of both areas. */
static int place_in_slot(const lsp__facts *f, int part) {
  return (int)(f->records % 2) * f->parts + part;
}

static void write_sum(lsp_store *s, int file, const lsp_extent *extent, int64_t at,
                      uint64_t sum) {
  const int64_t bytes = (int64_t)sizeof sum;
  lsp__store_write(s, file, &sum, bytes,
                   extent[LSP_SNAPSHOT_PART_SUM].offset + at * bytes);
}

void lsp_store_part(lsp_store *store, int64_t snapshot, int part, const void *data) {
  const lsp__facts *f = &store->facts;
  const int file = snapshot == LSP_STORE_SLOT ? LSP__SLOT : LSP__MEMORY;
  LSP_ASSERT(part >= 0 && part < f->parts);
  if (f->file[file].path.at[0] == '\0')
    return;
  const int64_t bytes = lsp_part_bytes(&store->memory.part[part]);
  const uint64_t sum = lsp_sum_part(data, bytes);
  if (file == LSP__MEMORY) {
    const lsp_extent *e = &f->memory[LSP_MEMORY_DATASETS + part];
    LSP_ASSERT(snapshot >= 0 && snapshot < f->snapshots);
    lsp__store_write(store, file, data, bytes, e->offset + snapshot * bytes);
    write_sum(store, file, f->memory, snapshot * f->parts + part, sum);
    return;
  }
  const lsp_extent *e = &f->slot[LSP_MEMORY_DATASETS + place_in_slot(f, part)];
  lsp__store_write(store, file, data, bytes, e->offset);
  store->written_part[part]++;
  store->part_sum[part] = sum;
}

static uint64_t sum_in_slot(const lsp_commit *c, int part, uint64_t data) {
  const lsp_slot_part p = {.data = data,
                           .part = (uint64_t)part,
                           .panel_end = (uint64_t)c->panel_end,
                           .token_end = (uint64_t)c->token_end};
  return lsp_sum_slot_part(&p);
}

void lsp__store_seal_parts(lsp_store *s, const lsp_commit *c) {
  for (int i = 0; i < s->facts.parts; i++)
    if (s->written_part[i] > 0)
      write_sum(s, LSP__SLOT, s->facts.slot, place_in_slot(&s->facts, i),
                sum_in_slot(c, i, s->part_sum[i]));
}

int lsp__store_count_parts(lsp_store *s) {
  const int n = s->facts.parts;
  if (n == 0)
    return 0;
  LSP_MPI(
      MPI_Allreduce(MPI_IN_PLACE, s->written_part, n, MPI_INT, MPI_SUM, s->ctx->comm));
  const int all = s->written_part[0];
  LSP_ASSERT(all == 0 || all == 1);
  for (int i = 0; i < n; i++)
    LSP_ASSERT(s->written_part[i] == all);
  memset(s->written_part, 0, (size_t)n * sizeof *s->written_part);
  return all;
}

/* --- reading --------------------------------------------------------------------- */

static lsp_status wrong_sum(const char *path, const lsp_part *part, const char *of,
                            lsp_failure *why) {
  char name[LSP_PART_PATH];
  lsp_part_path(part, name);
  return lsp_fail(why, LSP_E_FORMAT,
                  "%s: /states/%s (%s): the checksum is wrong; restore the file from a "
                  "copy, or make it anew",
                  path, name, of);
}

static lsp_status read_if_any(int fd, const char *path, void *data, int64_t bytes,
                              int64_t offset, lsp_failure *why) {
  return bytes > 0 ? lsp_read_at(fd, path, data, bytes, offset, why) : LSP_OK;
}

lsp_status lsp__store_read_part(const lsp__slot_parts *from, int part, void *data,
                                lsp_failure *why) {
  const lsp__facts *f = from->facts;
  const lsp_extent *slot = f->slot;
  const char *path = f->file[LSP__SLOT].path.at;
  const int at = (int)((from->records + 1) % 2) * f->parts + part;
  const lsp_extent *e = &slot[LSP_MEMORY_DATASETS + at];
  const int64_t sums = slot[LSP_SNAPSHOT_PART_SUM].offset;
  uint64_t sum = 0;
  lsp_status st = read_if_any(from->fd, path, data, e->row_bytes, e->offset, why);
  if (st == LSP_OK)
    st = lsp_read_at(from->fd, path, &sum, (int64_t)sizeof sum,
                     sums + at * (int64_t)sizeof sum, why);
  /* Other ranks may write into these pages: lsp__slot_read. */
  (void)posix_fadvise(from->fd, 0, 0, POSIX_FADV_DONTNEED);
  LSP_TRY(st);
  return sum == sum_in_slot(from->commit, part, lsp_sum_part(data, e->row_bytes))
             ? LSP_OK
             : wrong_sum(path, &from->part[part], "of the last commit", why);
}

lsp_status lsp_store_read_part(lsp_store *store, int part, void *data) {
  const lsp__facts *f = &store->facts;
  const lsp__slot_parts from = {.facts = f,
                                .part = store->memory.part,
                                .fd = store->fd[LSP__SLOT],
                                .commit = &f->last,
                                .records = f->records};
  LSP_ASSERT(part >= 0 && part < f->parts);
  if (f->last.has_parts)
    return lsp__store_read_part(&from, part, data, &store->ctx->why);
  memset(data, 0, (size_t)lsp_part_bytes(&store->memory.part[part]));
  return LSP_OK;
}

lsp_status lsp_file_read_part(const lsp_file_view *file, const char *path,
                              int64_t snapshot, int part, void *data,
                              lsp_failure *why) {
  const lsp_memory_spec *m = &file->memory;
  const lsp_extent *e = &file->extent[LSP_MEMORY_DATASETS + part];
  const lsp_extent *sums = &file->extent[LSP_SNAPSHOT_PART_SUM];
  char of[48];
  uint64_t sum = 0;
  LSP_ASSERT(part >= 0 && part < m->parts && snapshot >= 0 && snapshot < m->snapshots);
  LSP_TRY(read_if_any(file->fd, path, data, e->row_bytes,
                      e->offset + snapshot * e->row_bytes, why));
  LSP_TRY(lsp_read_at(
      file->fd, path, &sum, (int64_t)sizeof sum,
      sums->offset + snapshot * sums->row_bytes + part * (int64_t)sizeof sum, why));
  if (sum == lsp_sum_part(data, e->row_bytes))
    return LSP_OK;
  (void)snprintf(of, sizeof of, "snapshot %lld", (long long)snapshot);
  return wrong_sum(path, &m->part[part], of, why);
}

/* --- a file for all ranks -------------------------------------------------------- */

static lsp_status no_memory(lsp_ctx *ctx, const char *path) {
  return lsp_fail(&ctx->why, LSP_E_MEMORY, "%s: not enough memory for its index", path);
}

/* Arrays of the others, which know nothing yet. */
static lsp_status make_arrays(lsp_ctx *ctx, const char *path, lsp_file_view *file) {
  const size_t parts = (size_t)file->memory.parts;
  if (ctx->rank == 0)
    return LSP_OK;
  file->extent = calloc(LSP_MEMORY_DATASETS + parts, sizeof *file->extent);
  file->shared_part = calloc(parts + 1, sizeof *file->shared_part);
  file->memory.part = file->shared_part;
  return file->extent != NULL && file->shared_part != NULL ? LSP_OK
                                                           : no_memory(ctx, path);
}

static lsp_status open_shared(lsp_ctx *ctx, const char *path, lsp_file_view *file) {
  if (ctx->rank == 0)
    return LSP_OK;
  file->fd = open(path, O_RDONLY | O_CLOEXEC);
  if (file->fd >= 0)
    return LSP_OK;
  return lsp_fail(&ctx->why, LSP_E_INPUT,
                  "%s: cannot be opened here: %s; put it where every host sees it",
                  path, strerror(errno));
}

lsp_status lsp_file_share(lsp_ctx *ctx, const char *path, lsp_file_view *file) {
  lsp_memory_spec *m = &file->memory;
  int64_t number[] = {m->snapshots, m->layers, m->rows,  m->width,
                      m->fixed,     m->pooled, m->parts, m->hidden_width};
  lsp_bcast(ctx->comm, number, sizeof number);
  if (ctx->rank != 0)
    *m = (lsp_memory_spec){.snapshots = number[0],
                           .layers = (int)number[1],
                           .rows = number[2],
                           .width = (int)number[3],
                           .fixed = number[4],
                           .pooled = number[5],
                           .parts = (int)number[6],
                           .hidden_width = (int)number[7]};
  const size_t parts = (size_t)m->parts;
  LSP_TRY(lsp_agree(ctx, make_arrays(ctx, path, file)));
  lsp_bcast(ctx->comm, file->extent,
            (LSP_MEMORY_DATASETS + parts) * sizeof *file->extent);
  lsp_bcast(ctx->comm, (void *)(uintptr_t)m->part, parts * sizeof *m->part);
  return lsp_agree(ctx, open_shared(ctx, path, file));
}
