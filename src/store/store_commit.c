/* Commit and finish.
 *
 * A commit has five steps whose order is the point: every rank syncs what it wrote; all
 * agree; the rows written to the slot are counted; rank 0 appends the record and syncs
 * it; all agree again. Only the record makes wave and memory valid.
 *
 * Finish: all ranks verify everything. Then on rank 0, each step synced before the next:
 *   1. FILE.memory.h5.part -> FILE.memory.h5
 *   2. FILE.h5.part -> FILE.h5
 *   3. remove FILE.h5.journal
 *   4. remove FILE.h5.slot
 * A crash after 1 leaves a journal and FILE.memory.h5: resume takes it in place of the
 * .part. After 2, a journal and FILE.h5 without .part: resume does 3 and 4. After 3,
 * FILE.h5 of this identity: finished; resume does 4.
 *
 * What must hold: after a failure nothing is appended and nothing is renamed; what is
 * damaged is never renamed. */
#include "lsp/store.h"

#include "lsp/durable.h"
#include "store_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Collective. The first failure since open, on any rank; then on all ranks for good. */
static lsp_status agree(lsp_store *s) {
  if (s->why.status != LSP_OK)
    s->ctx->why = s->why;
  const lsp_status status = lsp_agree(s->ctx, s->why.status);
  if (status != LSP_OK)
    lsp__store_keep(s, &s->ctx->why);
  return status;
}

lsp_status lsp__store_sync(lsp_store *s) {
  const double began = MPI_Wtime();
  for (int i = 0; i < LSP__FILES && s->why.status == LSP_OK; i++)
    if (s->dirty[i] &&
        lsp_sync_file(s->fd[i], s->facts.file[i].path.at, &s->why) == LSP_OK)
      s->dirty[i] = 0;
  s->written.seconds += MPI_Wtime() - began;
  return agree(s);
}

/* Collective. What all ranks have written to the slot since the last commit. */
static lsp__slot_count take_count(lsp_store *s) {
  lsp__slot_count all = s->count;
  LSP_MPI(
      MPI_Allreduce(MPI_IN_PLACE, &all.rows, 2, MPI_INT64_T, MPI_SUM, s->ctx->comm));
  LSP_MPI(MPI_Allreduce(MPI_IN_PLACE, &all.rows_end, 2, MPI_INT64_T, MPI_MAX,
                        s->ctx->comm));
  s->count = (lsp__slot_count){0, 0, 0, 0};
  return all;
}

/* Collective. The n new rows of every layer, as far as it keeps them, are there. */
static void check_count(lsp_store *s, const lsp_commit *c) {
  const lsp_memory_spec *m = &s->memory;
  const int64_t n = c->memory_end - s->facts.last.memory_end;
  const lsp__slot_count all = take_count(s);
  int64_t rows = 0, fixed = 0;
  LSP_ASSERT(n >= 0 && n <= m->rows && c->memory_rows <= m->rows);
  LSP_ASSERT(c->memory_rows >= 0 && c->memory_rows <= c->memory_end);
  LSP_ASSERT(c->fixed_rows >= 0 && c->fixed_rows <= m->fixed);
  for (int i = 0; i < m->layers; i++) {
    const int64_t kept = lsp_memory_layer_rows(m, i);
    rows += n < kept ? n : kept;
    fixed += lsp_memory_layer_fixed(m, i) > 0 && c->fixed_new ? c->fixed_rows : 0;
  }
  LSP_ASSERT(all.rows == rows && all.rows_end <= n);
  LSP_ASSERT(all.fixed == fixed && all.fixed_end <= c->fixed_rows);
}

/* Collective. The memory of the record. */
static void complete(lsp_store *s, lsp_commit *c) {
  const lsp_commit *last = &s->facts.last;
  if (s->facts.file[LSP__SLOT].path.at[0] == '\0') {
    c->memory_end = c->memory_rows = c->fixed_rows = 0;
    c->fixed_new = c->has_parts = 0;
  } else {
    check_count(s, c);
    c->has_parts = lsp__store_count_parts(s);
  }
  c->fixed_area = c->fixed_new ? 1 - last->fixed_area : last->fixed_area;
  c->fixed_at = c->fixed_new ? last->memory_end : last->fixed_at;
  LSP_ASSERT(c->fixed_new || c->fixed_rows == 0 || c->fixed_rows == last->fixed_rows);
  c->fixed_new = 0;
}

lsp_status lsp_store_commit(lsp_store *store, lsp_commit *commit) {
  lsp_store *s = store;
  lsp__store_seal_parts(s, commit);
  LSP_TRY(lsp__store_sync(s));
  complete(s, commit);
  if (s->ctx->rank == 0)
    (void)lsp_journal_append(s->journal, commit, &s->why);
  LSP_TRY(agree(s));
  s->facts.last = *commit;
  s->facts.records++;
  return LSP_OK;
}

/* Network file systems report late failures at close. */
static void close_files(lsp_store *s) {
  for (int i = 0; i < LSP__FILES; i++) {
    const int fd = s->fd[i];
    s->fd[i] = -1;
    if (fd >= 0 && close(fd) != 0 && s->why.status == LSP_OK)
      (void)lsp_fail(&s->why, LSP_E_IO,
                     "%s: closing it failed: %s; run the same command with --resume to "
                     "resume from the last commit",
                     s->facts.file[i].path.at, strerror(errno));
  }
}

static lsp_status check_and_rename(lsp_store *s) {
  const lsp__names *n = &s->names;
  const char *output = s->facts.file[LSP__OUTPUT].path.at;
  const char *memory = s->facts.file[LSP__MEMORY].path.at;
  LSP_TRY(lsp_layout_check(output, "longspan-output", &s->why));
  if (memory[0] != '\0')
    LSP_TRY(lsp_layout_check(memory, "longspan-memory", &s->why));
  const char *identity = lsp_journal_identity(s->journal);
  const int rename_memory = memory[0] != '\0' && strcmp(memory, n->memory.at) != 0;
  LSP_TRY(lsp__store_may_replace(n, identity, rename_memory, &s->why));
  if (rename_memory)
    LSP_TRY(lsp_rename(memory, n->memory.at, &s->why));
  if (memory[0] == '\0' && lsp__store_is_left_over(n, identity))
    LSP_TRY(lsp__store_remove(n->memory.at, &s->why));
  LSP_TRY(lsp_rename(output, n->output.at, &s->why));
  LSP_TRY(lsp__store_remove(n->journal.at, &s->why));
  LSP_TRY(lsp_sync_folder_of(n->journal.at, &s->why));
  return lsp__store_remove_rest(n, &s->why);
}

lsp_status lsp_store_finish(lsp_store *store) {
  LSP_TRY(lsp__store_sync(store));
  close_files(store);
  LSP_TRY(agree(store));
  /* Written nowhere since it was verified for a resume: once is enough. */
  int is_verified = 0;
  LSP_MPI(MPI_Allreduce(&store->is_verified, &is_verified, 1, MPI_INT, MPI_MIN,
                        store->ctx->comm));
  const lsp_status status =
      is_verified ? LSP_OK : lsp__store_verify(store, NULL, "not finished");
  if (status != LSP_OK) {
    lsp__store_keep(store, &store->ctx->why);
    return status;
  }
  if (store->ctx->rank == 0)
    (void)check_and_rename(store);
  return agree(store);
}
