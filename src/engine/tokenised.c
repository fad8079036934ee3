/* Text as the tokens of a model: a run over text, whose model has a tokenizer, reads ids
 * from a file beside the output.
 *
 *   FILE.h5.ids.tmp      a head of 64 bytes, then the ids of all documents, 4 bytes each
 *   FILE.h5.starts.tmp   a head, then where each token begins in its document, 8 bytes each
 *
 * Sizes must be known before the first token is computed, so the text is cut once, when a
 * run begins. The files belong to one process and end with it: a resumed run makes them
 * anew, and the hashes of text and ids in its identity say whether they are the same. The
 * text is hashed first, so that all ranks cut what all hosts see, and a text that changes
 * meanwhile is refused. */
#include "engine_internal.h"

#include "lsp/bos.h"
#include "lsp/durable.h"
#include "lsp/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- the tokenizer --------------------------------------------------------------- */

static int takes_text(const lsp_options *o) {
  return o->input_format == LSP_INPUT_AUTO || o->input_format == LSP_INPUT_TEXT;
}

static lsp_status open_fitting(lsp_run *e) {
  lsp_ctx *ctx = e->job.ctx;
  const char *dir = e->job.options->model;
  LSP_TRY(lsp_tokenizer_share(ctx, dir, &e->text.tokenizer));
  if (e->text.tokenizer == NULL)
    return LSP_OK;
  return lsp_agree(ctx, lsp_tokenizer_fits(e->text.tokenizer, dir,
                                           e->weights.model.words.size, &ctx->why));
}

/* A tokenizer that cannot be read stops only a run that needs one. */
lsp_status lsp_run_open_tokenizer(lsp_run *e) {
  lsp_ctx *ctx = e->job.ctx;
  const lsp_options *o = e->job.options;
  lsp_model *model = &e->weights.model;
  lsp_status st = LSP_OK;
  if (!model->bytes_tokenizer)
    st = open_fitting(e);
  if (st != LSP_OK && (takes_text(o) || lsp_bos_needs_tokenizer(o->bos, model)))
    return st;
  if (st != LSP_OK) {
    lsp_say(ctx, "longspan: the ids are taken without a tokenizer, since %s",
            ctx->why.text);
    memset(&ctx->why, 0, sizeof ctx->why);
    lsp_tokenizer_close(&e->text.tokenizer);
  }
  e->text.has_tokenizer = e->text.tokenizer != NULL;
  if (e->text.has_tokenizer)
    lsp_tokenizer_hash(e->text.tokenizer, e->text.tokenizer_hash);
  return lsp_agree(ctx, lsp_bos_apply(o->bos, e->text.tokenizer, model, &ctx->why));
}

/* --- the files ------------------------------------------------------------------- */

static const struct {
  const char *suffix, *begins;
} kind[LSP_TOKEN_FILES] = {{".h5.ids", "LSPIDS01"}, {".h5.starts", "LSPBGN01"}};

lsp_status lsp_token_file_name(const char *output, int i, char *path, size_t size,
                               lsp_failure *why) {
  LSP_TRY(lsp_store_beside(output, kind[i].suffix, path, size - sizeof ".tmp", why));
  memcpy(path + strlen(path), ".tmp", sizeof ".tmp");
  return LSP_OK;
}

lsp_status lsp_token_files_check(const char *output, lsp_failure *why) {
  char path[4096];
  for (int i = 0; i < LSP_TOKEN_FILES; i++) {
    LSP_TRY(lsp_token_file_name(output, i, path, sizeof path, why));
    LSP_TRY(lsp_own_remnant(path, kind[i].begins, why));
  }
  return LSP_OK;
}

/* A run that is resumed may still be dying. */
static lsp_status begin_file(const lsp_run *e, lsp_token_file *f) {
  enum { TENTHS = 40 };
  const struct timespec tenth = {0, 100000000};
  lsp_failure *why = &e->job.ctx->why;
  lsp_status st = lsp_replacement_begin(f->path, &f->file, why);
  for (int i = 0; st == LSP_E_MISMATCH && e->job.options->resume && i < TENTHS; i++) {
    (void)nanosleep(&tenth, NULL);
    st = lsp_replacement_begin(f->path, &f->file, why);
  }
  if (st == LSP_E_MISMATCH)
    return lsp_fail(why, st,
                    "%s: another run is writing this output; wait for its end, or name "
                    "another output",
                    e->job.options->output);
  return st;
}

/* Rank 0. */
static lsp_status begin_files(lsp_run *e) {
  lsp_failure *why = &e->job.ctx->why;
  for (int i = 0; i < LSP_TOKEN_FILES; i++) {
    lsp_token_file *f = &e->text.token_file[i];
    char head[LSP_TOKEN_FILE_HEAD] = "";
    memcpy(head, kind[i].begins, strlen(kind[i].begins));
    LSP_TRY(lsp_store_beside(e->job.options->output, kind[i].suffix, f->path,
                             sizeof f->path, why));
    LSP_TRY(begin_file(e, f));
    f->is_open = 1;
    LSP_TRY(lsp_write_at(f->file.fd, f->file.temporary, head, sizeof head, 0, why));
  }
  return LSP_OK;
}

void lsp_tokens_close(lsp_run *e) {
  for (int i = 0; i < LSP_TOKEN_FILES; i++)
    if (e->text.token_file[i].is_open)
      lsp_replacement_end(&e->text.token_file[i].file);
  lsp_tokenizer_close(&e->text.tokenizer);
}

/* --- from text to ids ------------------------------------------------------------ */

static void say_rate(const lsp_run *e, const int64_t *tokens, double seconds) {
  int64_t bytes = 0, count = 0;
  for (int64_t d = 0; d < lsp_corpus_count(e->text.corpus); d++) {
    bytes += lsp_corpus_document(e->text.corpus, d).text_bytes;
    count += tokens[d];
  }
  char rate[32] = ""; /* of a short text it says nothing */
  if (seconds > 1)
    (void)snprintf(rate, sizeof rate, ", %.1f MB/s", 1e-6 * (double)bytes / seconds);
  if (!e->job.ctx->quiet)
    lsp_say(e->job.ctx,
            "longspan: %lld bytes of text are %lld tokens (%.2f bytes a token%s)",
            (long long)bytes, (long long)count,
            count > 0 ? (double)bytes / (double)count : 0, rate);
}

/* All ranks; the corpus of ids, packed, on rank 0. */
static lsp_status cut(lsp_run *e, int64_t *tokens, void **packed, size_t *bytes) {
  lsp_ctx *ctx = e->job.ctx;
  const lsp_options *o = e->job.options;
  char path[LSP_TOKEN_FILES][4096];
  for (int i = 0; i < LSP_TOKEN_FILES; i++)
    LSP_TRY(lsp_token_file_name(o->output, i, path[i], sizeof path[i], &ctx->why));
  const lsp_spool_spec spec = {.tokenizer = e->text.tokenizer,
                               .special = (lsp_special)o->special_tokens,
                               .width = sizeof(uint32_t),
                               .head = LSP_TOKEN_FILE_HEAD,
                               .ids = path[LSP_TOKEN_IDS],
                               .starts = path[LSP_TOKEN_STARTS]};
  const double begun = MPI_Wtime();
  LSP_TRY(lsp_spool_text(ctx, e->text.corpus, &spec, tokens));
  lsp_status st = LSP_OK;
  if (ctx->rank == 0) {
    const lsp_token_files files = {spec.ids, spec.starts, tokens};
    lsp_corpus *ids = NULL;
    say_rate(e, tokens, MPI_Wtime() - begun);
    st = lsp_corpus_of_ids(e->text.corpus, &files, &ids, &ctx->why);
    if (st == LSP_OK)
      st = lsp_corpus_pack(ids, packed, bytes, &ctx->why);
    lsp_corpus_close(&ids);
  }
  return lsp_agree(ctx, st);
}

static lsp_status begin(lsp_run *e, int64_t **tokens) {
  lsp_failure *why = &e->job.ctx->why;
  if (e->job.ctx->rank != 0)
    return LSP_OK;
  *tokens = calloc((size_t)lsp_corpus_count(e->text.corpus) + 1, sizeof **tokens);
  if (*tokens == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for the list of documents");
  return begin_files(e);
}

lsp_status lsp_tokens_open(lsp_run *e) {
  lsp_ctx *ctx = e->job.ctx;
  lsp_text_hash text;
  int64_t *tokens = NULL;
  void *packed = NULL;
  size_t bytes = 0;
  memset(&text, 0, sizeof text);
  lsp_status st = lsp_agree(ctx, begin(e, &tokens));
  if (st == LSP_OK)
    st = lsp_text_hash_open(ctx, e->text.corpus, &text);
  if (st == LSP_OK)
    st = cut(e, tokens, &packed, &bytes);
  memcpy(e->text.text_hash, text.hash, sizeof text.hash);
  lsp_text_hash_close(&text);
  free(tokens);
  if (st == LSP_OK) {
    lsp_corpus_close(&e->text.corpus);
    lsp_shared_close(&e->text.list);
    e->text.is_tokenised = 1;
    st = lsp_inputs_spread(e, &packed, bytes);
  }
  free(packed);
  return st;
}
