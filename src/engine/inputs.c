/* The corpus of a run: rank 0 lists it, all know it.
 *
 * Standard input is copied to FILE.stdin first, since sizes must be known before the
 * first token and a resumed run must find the same text. The copy lives as long as the
 * run is unfinished, and no run but that one uses it: what it holds is hashed and
 * compared with the identity of the run like any input. */
#include "engine_internal.h"

#include "lsp/durable.h"
#include "lsp/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int takes_standard_input(const lsp_options *o) {
  for (int i = 0; i < o->input_count; i++)
    if (strcmp(o->inputs[i], "-") == 0)
      return 1;
  return 0;
}

static lsp_status remove_file(const char *path, lsp_failure *why) {
  if (unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR)
    return LSP_OK;
  return lsp_fail(why, LSP_E_IO,
                  "%s: cannot be removed: %s; check the folder and its permissions",
                  path, strerror(errno));
}

static lsp_status spool_path(const lsp_run *e, char *path, size_t size) {
  return lsp_store_beside(e->job.options->output, ".stdin", path, size,
                          &e->job.ctx->why);
}

lsp_status lsp_inputs_done(const lsp_run *e) {
  char spool[4096];
  if (e->job.ctx->rank != 0 || !takes_standard_input(e->job.options))
    return LSP_OK;
  LSP_TRY(spool_path(e, spool, sizeof spool));
  return remove_file(spool, &e->job.ctx->why);
}

static int is_there(const lsp_run *e, const char *suffix) {
  char path[4096];
  return lsp_store_beside(e->job.options->output, suffix, path, sizeof path, NULL) ==
             LSP_OK &&
         access(path, F_OK) == 0;
}

/* Local. A copy that no run needs: it was made for one that has been refused. */
void lsp_inputs_forget(const lsp_run *e) {
  char spool[4096];
  if (e->text.spooling == LSP_SPOOL_COPIED &&
      lsp_store_beside(e->job.options->output, ".stdin", spool, sizeof spool, NULL) ==
          LSP_OK)
    (void)unlink(spool);
}

/* The copy of a run that is under way is not replaced. */
static lsp_status nobody_writes(const lsp_run *e) {
  char journal[4096];
  int fd = -1;
  if (lsp_store_beside(e->job.options->output, ".h5.journal", journal, sizeof journal,
                       NULL) != LSP_OK)
    return LSP_OK;
  const lsp_status st = lsp_lock_file(journal, &fd, NULL);
  if (fd >= 0)
    (void)close(fd);
  if (st != LSP_E_MISMATCH)
    return LSP_OK; /* what else is wrong with it, the store will say */
  return lsp_fail(&e->job.ctx->why, st,
                  "%s: another run is writing this output; wait for its end, or name "
                  "another output",
                  e->job.options->output);
}

static int has_begun(const lsp_run *e) {
  return access(e->job.options->output, F_OK) == 0 || is_there(e, ".h5.journal");
}

/* Standard input is not read to its end, and no text is cut into tokens, for a run that
 * cannot begin. */
static lsp_status may_begin(const lsp_run *e) {
  const lsp_options *o = e->job.options;
  if (!has_begun(e) || o->resume)
    return LSP_OK;
  if (o->overwrite)
    return nobody_writes(e);
  return lsp_fail(&e->job.ctx->why, LSP_E_MISMATCH,
                  "%s: there is a run of this name; use --resume to continue it, or "
                  "--overwrite to begin anew",
                  o->output);
}

static void say_silent(const lsp_run *e, const char *spool) {
  if (e->text.spooling == LSP_SPOOL_SILENT && !e->job.ctx->quiet)
    lsp_say(e->job.ctx,
            "longspan: nothing comes from standard input; its copy %s of the run that "
            "is resumed is used",
            spool);
}

static lsp_status list_corpus(lsp_run *e, void **packed, size_t *bytes) {
  char spool[4096];
  lsp_failure *why = &e->job.ctx->why;
  LSP_TRY(spool_path(e, spool, sizeof spool));
  if (takes_standard_input(e->job.options))
    LSP_TRY(may_begin(e));
  const lsp_corpus_spec spec = {.format =
                                    (lsp_input_format)e->job.options->input_format,
                                .inputs = e->job.options->inputs,
                                .input_count = e->job.options->input_count,
                                .spool = spool,
                                .resumed = e->job.options->resume != 0 && has_begun(e),
                                .spooling = &e->text.spooling,
                                .hdf5_reader = lsp_output_documents};
  LSP_TRY(lsp_corpus_open(&spec, &e->text.corpus, why));
  say_silent(e, spool);
  const lsp_reader reader = {e->job.options->model, e->weights.model.bytes_tokenizer,
                             e->text.has_tokenizer};
  LSP_TRY(lsp_reader_takes(&reader, e->text.corpus, why));
  LSP_TRY(lsp_corpus_pack(e->text.corpus, packed, bytes, why));
  lsp_corpus_close(&e->text.corpus); /* what is shared takes its place */
  return LSP_OK;
}

/* One copy a node. *packed is freed as soon as it is in the shared copy. */
lsp_status lsp_inputs_spread(lsp_run *e, void **packed, size_t bytes) {
  lsp_ctx *ctx = e->job.ctx;
  int64_t floats = (int64_t)((bytes + sizeof(float) - 1) / sizeof(float));
  lsp_bcast(ctx->comm, &bytes, sizeof bytes);
  lsp_bcast(ctx->comm, &floats, sizeof floats);
  LSP_TRY(lsp_shared_open(ctx, floats, &e->text.list));
  if (ctx->rank == 0) {
    LSP_ASSERT(*packed != NULL);
    memcpy(e->text.list.floats, *packed, bytes);
    free(*packed);
    *packed = NULL;
  }
  lsp_shared_spread(ctx, &e->text.list, 0, floats);
  lsp_shared_seal(ctx, &e->text.list);
  return lsp_agree(
      ctx, lsp_corpus_unpack(e->text.list.floats, bytes, &e->text.corpus, &ctx->why));
}

static lsp_status share_corpus(lsp_run *e) {
  void *packed = NULL;
  size_t bytes = 0;
  lsp_status st = LSP_OK;
  if (e->job.ctx->rank == 0)
    st = list_corpus(e, &packed, &bytes);
  st = lsp_agree(e->job.ctx, st);
  if (st == LSP_OK)
    st = lsp_inputs_spread(e, &packed, bytes);
  free(packed);
  return st;
}

static lsp_status lay_plan(lsp_run *e, const lsp_plan_sizes *sizes, int64_t *table) {
  const int64_t n = sizes->documents;
  int64_t *tokens = NULL;
  if (e->text.tables.owner) {
    tokens = malloc(((size_t)n + 1) * sizeof *tokens);
    if (tokens == NULL)
      return lsp_fail(&e->job.ctx->why, LSP_E_MEMORY, "no memory for %lld documents",
                      (long long)n);
    for (int64_t d = 0; d < n; d++)
      tokens[d] = lsp_corpus_document(e->text.corpus, d).tokens;
  }
  const lsp_status st =
      lsp_plan_lay(&e->text.plan, sizes, tokens, table, &e->job.ctx->why);
  free(tokens);
  return st;
}

/* The option that asks for snapshots; NULL: none does. */
static const char *asks_for_snapshots(const lsp_options *o) {
  return o->from_snapshot != NULL                 ? "--from-snapshot"
         : o->snapshot_every > 0                  ? "--snapshot-every"
         : o->snapshots == LSP_SNAPSHOT_DOCUMENTS ? "--snapshots documents"
                                                  : NULL;
}

/* Chunks end with themselves, and what a two-sided model makes of a text depends on all
 * that follows: nothing of either goes on. */
static lsp_status check_snapshots(const lsp_run *e) {
  const lsp_options *o = e->job.options;
  const char *option = asks_for_snapshots(o);
  if (e->weights.model.two_sided && option != NULL)
    return lsp_fail(&e->job.ctx->why, LSP_E_USAGE,
                    "%s: %s has \"causal\": false: its rows see what follows them, so "
                    "that a text cannot be continued from a snapshot; leave the option "
                    "out",
                    option, o->model);
  if (e->text.context.kind != LSP_CONTEXT_CHUNKS || option == NULL)
    return LSP_OK;
  return lsp_fail(
      &e->job.ctx->why, LSP_E_USAGE,
      "%s and --context %s exclude each other: a chunk ends with itself, and "
      "no snapshot continues it",
      option, o->context);
}

static lsp_status size_plan(const lsp_run *e, lsp_plan_sizes *sizes) {
  const int64_t n = lsp_corpus_count(e->text.corpus);
  *sizes = (lsp_plan_sizes){.documents = n};
  LSP_TRY(check_snapshots(e));
  LSP_TRY(lsp_sizes_framing(&e->text.context, &e->weights.model.wrapper,
                            e->weights.model.prefixes, &sizes->framing,
                            &e->job.ctx->why));
  sizes->first_position = lsp_framing_continue(&sizes->framing, e->text.start_position);
  sizes->framing.own = e->weights.model.two_sided;
  for (int64_t d = 0; d < n; d++)
    sizes->frames += lsp_framing_frames(&sizes->framing, d,
                                        lsp_corpus_document(e->text.corpus, d).tokens);
  return LSP_OK;
}

/* Where documents and frames begin, in tokens, panels and rows: one table a node. */
static lsp_status open_plan(lsp_run *e) {
  static const int64_t FLOATS = (int64_t)(sizeof(int64_t) / sizeof(float));
  lsp_plan_sizes sizes;
  LSP_TRY(lsp_agree(e->job.ctx, size_plan(e, &sizes)));
  LSP_TRY(lsp_shared_open(
      e->job.ctx,
      FLOATS * lsp_plan_numbers(&sizes.framing, sizes.documents, sizes.frames),
      &e->text.tables));
  LSP_TRY(lsp_agree(e->job.ctx,
                    lay_plan(e, &sizes, (int64_t *)(void *)e->text.tables.floats)));
  lsp_shared_seal(e->job.ctx, &e->text.tables);
  return LSP_OK;
}

/* Text for a model with a tokenizer becomes ids: all documents are of one kind. */
static lsp_status cut_text(lsp_run *e) {
  lsp_ctx *ctx = e->job.ctx;
  const lsp_document first = lsp_corpus_document(e->text.corpus, 0);
  lsp_status st = LSP_OK;
  if (e->text.tokenizer != NULL && lsp_is_text(&first)) {
    if (ctx->rank == 0)
      st = may_begin(e);
    LSP_TRY(lsp_agree(ctx, st));
    LSP_TRY(lsp_tokens_open(e));
  }
  if (ctx->rank != 0) /* it may be large */
    lsp_tokenizer_close(&e->text.tokenizer);
  return LSP_OK;
}

lsp_status lsp_run_open_corpus(lsp_run *e) {
  LSP_TRY(share_corpus(e));
  LSP_TRY(lsp_claims_check_documents(e));
  LSP_TRY(cut_text(e));
  LSP_TRY(lsp_text_hash_open(e->job.ctx, e->text.corpus, &e->text.hash));
  LSP_TRY(open_plan(e));
  return lsp_agree(e->job.ctx, lsp_list_stops(e));
}
