/* Opening: rank 0 looks, decides and makes; all agree, and verify what an earlier run
 * committed; then every rank opens the files.
 *
 * What must hold: every rank takes the same way out; what rank 0 found goes to the
 * others in one broadcast. */
#include "lsp/store.h"

#include "lsp/json.h"
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void begin_opening(lsp__opening *o, lsp_store *s, const lsp_store_spec *spec) {
  memset(o, 0, sizeof *o);
  o->ctx = s->ctx;
  o->spec = spec;
  o->why = &s->ctx->why;
  o->facts = &s->facts;
  o->lock = o->output.fd = o->memory.fd = o->slot.fd = -1;
}

static lsp_status open_files(lsp_store *s) {
  for (int i = 0; i < LSP__FILES; i++) {
    const lsp__target *t = &s->facts.file[i];
    if (t->path.at[0] == '\0')
      continue;
    s->fd[i] = lsp__store_open_patiently(t, O_RDWR);
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

/* A copy of n things; NULL: of none, or there is no memory for it. */
static const void *copy_of(const void *from, int64_t n, size_t size, int *failed) {
  if (from == NULL || n == 0)
    return NULL;
  void *copy = malloc((size_t)n * size);
  if (copy == NULL)
    *failed = 1;
  else
    memcpy(copy, from, (size_t)n * size);
  return copy;
}

/* Where parts lie, and which are written. */
static int keep_parts(lsp_store *s) {
  const size_t parts = (size_t)s->memory.parts;
  s->written_part = calloc(parts + 1, sizeof *s->written_part);
  s->part_sum = calloc(parts + 1, sizeof *s->part_sum);
  s->facts.memory = calloc(LSP_MEMORY_DATASETS + parts, sizeof *s->facts.memory);
  s->facts.slot = calloc(LSP_MEMORY_DATASETS + 2 * parts, sizeof *s->facts.slot);
  return s->written_part != NULL && s->part_sum != NULL && s->facts.memory != NULL &&
                 s->facts.slot != NULL
             ? 0
             : -1;
}

/* What is read until close, on every rank. */
static lsp_status keep_contents(lsp_store *s, const lsp_store_spec *spec) {
  const lsp_memory_spec *m = &spec->memory;
  int failed = 0;
  s->plan = spec->plan;
  s->memory = *m;
  s->memory.document = copy_of(m->document, m->snapshots, sizeof(int64_t), &failed);
  s->memory.position = copy_of(m->position, m->snapshots, sizeof(int64_t), &failed);
  s->memory.layer_rows = copy_of(m->layer_rows, m->layers, sizeof(int64_t), &failed);
  s->memory.part = copy_of(m->part, m->parts, sizeof *m->part, &failed);
  if (keep_parts(s) != 0 || failed)
    return lsp_fail(&s->ctx->why, LSP_E_MEMORY, "not enough memory for %lld snapshots",
                    (long long)m->snapshots);
  for (int i = 0; i < m->layers; i++)
    LSP_ASSERT(lsp_memory_layer_rows(m, i) >= 0 &&
               lsp_memory_layer_rows(m, i) <= m->rows);
  return LSP_OK;
}

/* Collective. What is committed is as it was written; then rank 0 mends. */
static lsp_status take_up(lsp_store *s, lsp__opening *o, const char *path) {
  char what[PATH_MAX + 64];
  (void)snprintf(what, sizeof what, "%s: --resume refused", path);
  LSP_TRY(lsp__store_verify(s, &s->facts.last, what));
  s->is_verified = s->plan != NULL && s->facts.last.panel_end > 0 &&
                   s->facts.last.panel_end == lsp_plan_panels(s->plan);
  return lsp_agree(s->ctx, s->ctx->rank == 0 ? lsp__store_mend(o) : LSP_OK);
}

/* Collective. What rank 0 found. */
static void share_facts(lsp_store *s) {
  const size_t parts = (size_t)s->memory.parts;
  lsp_extent *memory = s->facts.memory, *slot = s->facts.slot;
  lsp_bcast(s->ctx->comm, &s->facts, sizeof s->facts);
  s->facts.memory = memory;
  s->facts.slot = slot;
  lsp_bcast(s->ctx->comm, memory, (LSP_MEMORY_DATASETS + parts) * sizeof *memory);
  lsp_bcast(s->ctx->comm, slot, (LSP_MEMORY_DATASETS + 2 * parts) * sizeof *slot);
}

static lsp_status open_all(lsp_store *s, lsp__opening *o, const lsp_store_spec *spec) {
  lsp_ctx *ctx = s->ctx;
  lsp_status status = keep_contents(s, spec);
  if (status == LSP_OK && ctx->rank == 0)
    status = open_on_rank_0(o);
  LSP_TRY(lsp_agree(ctx, status));
  share_facts(s);
  if (s->facts.state == LSP_STORE_FINISHED)
    return LSP_OK;
  if (s->facts.state == LSP_STORE_RESUMED)
    LSP_TRY(take_up(s, o, spec->path));
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
  for (int i = 0; i < LSP__FILES; i++)
    s->fd[i] = -1;
  lsp__opening o;
  begin_opening(&o, s, spec);
  status = open_all(s, &o, spec);
  end_opening(&o, s);
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
