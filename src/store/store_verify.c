/* What a run has written, read back: all that is committed before it is resumed, and
 * everything before it is finished. Every rank verifies its share.
 *
 * The files are opened for this alone. On a network file system a rank that opens a file
 * sees what the others wrote before they closed it, and after a resume nothing that was
 * read here stays in the cache: where two ranks write into one page, each has to write
 * its own bytes alone.
 *
 * What must hold: nothing on disk is changed here; what is damaged comes out on all
 * ranks. */
#include "lsp/store.h"

#include "lsp/beat.h"
#include "lsp/verify.h"
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { SECONDS_BETWEEN_LINES = 10 };

/* What one rank has found. */
typedef struct {
  const lsp_store *store;
  const char *path;         /* under verification */
  char first[2 * PATH_MAX]; /* the first damaged place, with its file */
  int64_t places;
  double bytes, said; /* read so far; when that was last said */
} findings;

static void add_place(void *arg, const char *place) {
  findings *f = arg;
  if (f->places++ == 0)
    (void)snprintf(f->first, sizeof f->first, "%s: %s", f->path, place);
}

/* Rank 0 speaks for all: they have about as much. */
static void tell_progress(void *arg, int64_t bytes) {
  findings *f = arg;
  const lsp_ctx *ctx = f->store->ctx;
  const double now = MPI_Wtime();
  f->bytes += (double)bytes;
  if (ctx->rank != 0 || ctx->quiet || now - f->said < SECONDS_BETWEEN_LINES)
    return;
  f->said = now;
  lsp_say(ctx, "%s: verified %.1f GiB of what was written", f->path,
          f->bytes * ctx->size / (1 << 30));
}

static lsp_status verify_rows(const lsp_store *s, int file, lsp_verification *v,
                              const lsp_commit *c, lsp_failure *why) {
  if (s->plan == NULL || (c != NULL && c->panel_end == 0))
    return LSP_OK;
  v->plan = s->plan;
  v->panel_end = c != NULL ? c->panel_end : lsp_plan_panels(s->plan);
  v->token_end = c != NULL ? c->token_end : lsp_plan_tokens(s->plan);
  v->documents = lsp_plan_documents_before(s->plan, v->token_end);
  v->snapshot_end = s->memory.snapshots;
  return file == LSP__OUTPUT ? lsp_verify_output(v, why) : lsp_verify_memory(v, why);
}

static lsp_status verify_file(const lsp_store *s, int file, const lsp_commit *c,
                              findings *f) {
  const lsp__target *t = &s->facts.file[file];
  const int is_output = file == LSP__OUTPUT;
  lsp_failure *why = &s->ctx->why;
  if (t->path.at[0] == '\0')
    return LSP_OK;
  f->path = t->path.at;
  const int fd = lsp__store_open_patiently(t, O_RDONLY);
  if (fd < 0)
    return lsp_fail(why, LSP_E_IO,
                    "%s: rank %d cannot open it to verify it: %s; check the file "
                    "system, then run the same command with --resume",
                    t->path.at, s->ctx->rank,
                    errno == EAGAIN ? "its size is another" : strerror(errno));
  lsp_verification v = {.path = t->path.at,
                        .fd = fd,
                        .bytes = t->bytes,
                        .extent = is_output ? s->facts.output : s->facts.memory,
                        .memory = is_output ? NULL : &s->memory,
                        .part = s->ctx->rank,
                        .parts = s->ctx->size,
                        .damaged = add_place,
                        .read = tell_progress,
                        .arg = f};
  lsp_status status = LSP_OK;
  if (s->ctx->rank == 0)
    status = lsp_verify_layout(&v, t->layout, why);
  if (status == LSP_OK)
    status = verify_rows(s, file, &v, c, why);
  if (c != NULL) /* the run goes on writing */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  (void)close(fd);
  return status;
}

lsp_status lsp__store_verify(lsp_store *s, const lsp_commit *c, const char *what) {
  findings f = {.store = s, .said = MPI_Wtime()};
  lsp_beat_phase("verifying what is written", -1);
  lsp_status status = verify_file(s, LSP__OUTPUT, c, &f);
  if (status == LSP_OK)
    status = verify_file(s, LSP__MEMORY, c, &f);
  int64_t places = 0;
  LSP_MPI(MPI_Allreduce(&f.places, &places, 1, MPI_INT64_T, MPI_SUM, s->ctx->comm));
  char more[64] = "";
  if (places > 1)
    (void)snprintf(more, sizeof more, " (and %lld more places)", (long long)places - 1);
  if (status == LSP_OK && f.places > 0)
    status = lsp_fail(&s->ctx->why, LSP_E_FORMAT,
                      "%s: %s%s: a disk or a memory may be failing; restore the files "
                      "from a copy, or begin anew with --overwrite",
                      what, f.first, more);
  return lsp_agree(s->ctx, status);
}
