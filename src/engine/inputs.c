/* The corpus of a run: rank 0 lists it, all know it.
 *
 * Standard input is copied to FILE.stdin first, since sizes must be known before the
 * first token and a resumed run must find the same text. The copy lives as long as the
 * run is unfinished. */
#include "engine_internal.h"

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
  return lsp_store_beside(e->options->output, ".stdin", path, size, &e->ctx->why);
}

lsp_status lsp_inputs_done(const lsp_run *e) {
  char spool[4096];
  if (e->ctx->rank != 0 || !takes_standard_input(e->options))
    return LSP_OK;
  LSP_TRY(spool_path(e, spool, sizeof spool));
  return remove_file(spool, &e->ctx->why);
}

static int is_there(const lsp_run *e, const char *suffix) {
  char path[4096];
  return lsp_store_beside(e->options->output, suffix, path, sizeof path, NULL) ==
             LSP_OK &&
         access(path, F_OK) == 0;
}

/* A finished run has no copy of its standard input left to compare. */
int lsp_inputs_finished(const lsp_run *e) {
  int finished = e->ctx->rank == 0 && e->options->resume != 0 &&
                 takes_standard_input(e->options) &&
                 access(e->options->output, F_OK) == 0 && !is_there(e, ".h5.journal") &&
                 !is_there(e, ".stdin");
  lsp_bcast(e->ctx->comm, &finished, sizeof finished);
  return finished;
}

static lsp_status check_tokenizer(const lsp_run *e) {
  const lsp_document *d =
      lsp_corpus_count(e->corpus) > 0 ? lsp_corpus_document(e->corpus, 0) : NULL;
  if (d != NULL && d->width == 1 && !e->config.bytes_tokenizer &&
      e->options->input_format != LSP_INPUT_MEGATRON)
    return lsp_fail(&e->ctx->why, LSP_E_INPUT,
                    "%s: is text, but the model takes token ids, since %s/config.json "
                    "does not say \"tokenizer\": \"bytes\"; give files of token ids "
                    "(--input-format u16, u32 or megatron)",
                    d->name, e->options->model);
  return LSP_OK;
}

/* A copy that no run under way can be gone on with is of another text. */
static lsp_status forget_spool(const lsp_run *e, const char *spool) {
  const lsp_options *o = e->options;
  const int begun = access(o->output, F_OK) == 0 || is_there(e, ".h5.journal");
  if (!takes_standard_input(o) || o->resume || (begun && !o->overwrite))
    return LSP_OK;
  return remove_file(spool, &e->ctx->why);
}

static lsp_status list_corpus(lsp_run *e, void **packed, size_t *bytes) {
  char spool[4096];
  lsp_failure *why = &e->ctx->why;
  LSP_TRY(spool_path(e, spool, sizeof spool));
  LSP_TRY(forget_spool(e, spool));
  const lsp_corpus_spec spec = {.format = (lsp_input_format)e->options->input_format,
                                .inputs = e->options->inputs,
                                .input_count = e->options->input_count,
                                .spool = spool,
                                .hdf5_reader = lsp_output_documents};
  LSP_TRY(lsp_corpus_open(&spec, &e->corpus, why));
  LSP_TRY(check_tokenizer(e));
  return lsp_corpus_pack(e->corpus, packed, bytes, why);
}

static lsp_status share_corpus(lsp_run *e) {
  lsp_ctx *ctx = e->ctx;
  void *packed = NULL;
  size_t bytes = 0;
  lsp_status st = LSP_OK;
  if (ctx->rank == 0)
    st = list_corpus(e, &packed, &bytes);
  st = lsp_agree(ctx, st);
  if (st == LSP_OK) {
    lsp_bcast(ctx->comm, &bytes, sizeof bytes);
    if (ctx->rank != 0)
      packed = malloc(bytes + 1);
    if (packed == NULL)
      st = lsp_fail(&ctx->why, LSP_E_MEMORY, "no memory for the list of documents");
    st = lsp_agree(ctx, st);
  }
  if (st == LSP_OK) {
    lsp_bcast(ctx->comm, packed, bytes);
    if (ctx->rank != 0)
      st = lsp_corpus_unpack(packed, bytes, &e->corpus, &ctx->why);
    st = lsp_agree(ctx, st);
  }
  free(packed);
  return st;
}

lsp_status lsp_run_open_corpus(lsp_run *e) {
  LSP_TRY(share_corpus(e));
  LSP_TRY(lsp_claims_check_documents(e));
  LSP_TRY(lsp_text_hash_open(e->ctx, e->corpus, &e->text));
  const int64_t n = lsp_corpus_count(e->corpus);
  const lsp_pattern pattern = e->plan.pattern;
  int64_t *tokens = malloc(((size_t)n + 1) * sizeof *tokens);
  lsp_status st = LSP_OK;
  if (tokens == NULL) {
    st = lsp_fail(&e->ctx->why, LSP_E_MEMORY, "no memory for %lld documents",
                  (long long)n);
  } else {
    for (int64_t d = 0; d < n; d++)
      tokens[d] = lsp_corpus_document(e->corpus, d)->tokens;
    st = lsp_plan_open(&e->plan, n, tokens, e->start_position, &pattern, &e->ctx->why);
  }
  free(tokens);
  if (st == LSP_OK)
    st = lsp_list_stops(e);
  return lsp_agree(e->ctx, st);
}
