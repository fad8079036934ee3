/* Opening: rank 0 looks, decides and makes; all agree; then every rank opens the files.
 *
 * What must hold: every rank takes the same way out; what rank 0 found goes to the
 * others in one broadcast. */
#include "lsp/store.h"

#include "lsp/json.h"
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static lsp_status open_on_rank_0(lsp__opening *o) {
  const char *text = o->spec->identity;
  LSP_TRY(lsp__store_names(o->spec->path, &o->names, o->why));
  LSP_TRY(
      lsp_json_parse("identity of the run", text, strlen(text), &o->identity, o->why));
  LSP_TRY(lsp__store_decide(o));
  if (o->facts->state == LSP_STORE_FINISHED)
    return lsp__store_tidy(o);
  if (o->facts->state == LSP_STORE_RESUMED)
    return lsp__store_resume(o);
  LSP_TRY(lsp__store_draw(o));
  return lsp__store_create(o);
}

/* Journal and lock go to the store, or are closed. */
static void end_opening(lsp__opening *o, lsp_store *s) {
  lsp_skeleton_close(&o->output);
  lsp_skeleton_close(&o->memory);
  lsp_skeleton_close(&o->slot);
  json_decref(o->identity);
  s->journal = o->journal;
  s->lock = o->lock;
  s->names = o->names;
}

static lsp_status begin(lsp_ctx *ctx, const lsp_store_spec *spec, lsp_store *s) {
  if (ctx->rank != 0)
    return LSP_OK;
  lsp__opening o = {.ctx = ctx, .spec = spec, .lock = -1, .facts = &s->facts};
  o.why = &ctx->why;
  o.output.fd = o.memory.fd = o.slot.fd = -1;
  s->facts.last.slot = -1;
  const lsp_status status = open_on_rank_0(&o);
  end_opening(&o, s);
  return status;
}

/* A network file system may still show the folder as it was: ten looks in some 9 s. */
static int open_patiently(const lsp__target *t) {
  enum { LOOKS = 10 };
  struct stat st;
  for (int i = 1;; i++) {
    const int fd = open(t->path.at, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size == t->bytes)
      return fd;
    const int error = fd < 0 ? errno : EAGAIN; /* of another size */
    if (fd >= 0)
      (void)close(fd);
    errno = error;
    if (i == LOOKS || (error != ENOENT && error != ESTALE && error != EAGAIN))
      return -1;
    const struct timespec pause = {i / 4, 20000000L << (i % 4)};
    (void)nanosleep(&pause, NULL);
  }
}

static lsp_status open_files(lsp_store *s) {
  for (int i = 0; i < LSP__FILES; i++) {
    const lsp__target *t = &s->facts.file[i];
    if (t->path.at[0] == '\0')
      continue;
    s->fd[i] = open_patiently(t);
    if (s->fd[i] < 0)
      return lsp_fail(
          &s->ctx->why, LSP_E_IO,
          "%s: rank %d cannot open the file that rank 0 made: %s; the folder "
          "of the output must be one that all hosts share",
          t->path.at, s->ctx->rank,
          errno == EAGAIN ? "its size is another" : strerror(errno));
  }
  return LSP_OK;
}

static lsp_status open_all(lsp_ctx *ctx, const lsp_store_spec *spec, lsp_store *s) {
  lsp_status status = begin(ctx, spec, s);
  LSP_TRY(lsp_agree(ctx, status));
  lsp_bcast(ctx->comm, &s->facts, sizeof s->facts);
  if (s->facts.state == LSP_STORE_FINISHED)
    return LSP_OK;
  status = open_files(s);
  if (status == LSP_OK)
    status = lsp_route_open(ctx, &s->route);
  return lsp_agree(ctx, status);
}

lsp_status lsp_store_open(lsp_ctx *ctx, const lsp_store_spec *spec, lsp_store **out,
                          lsp_store_state *state, lsp_commit *last) {
  *out = NULL;
  lsp_store *s = calloc(1, sizeof *s);
  lsp_status status = LSP_OK;
  if (s == NULL)
    status = lsp_fail(&ctx->why, LSP_E_MEMORY, "not enough memory for the output");
  status = lsp_agree(ctx, status);
  if (status != LSP_OK) {
    free(s);
    return status;
  }
  LSP_ASSERT(s != NULL);
  s->ctx = ctx;
  s->lock = -1;
  s->slot_sum.first = INT64_MAX;
  for (int i = 0; i < LSP__FILES; i++)
    s->fd[i] = -1;
  status = open_all(ctx, spec, s);
  if (status != LSP_OK || s->facts.state == LSP_STORE_FINISHED) {
    *state = s->facts.state;
    *last = s->facts.last;
    lsp_store_close(&s);
    return status;
  }
  *out = s;
  *state = s->facts.state;
  *last = s->facts.last;
  return LSP_OK;
}
