/* The tokenizer of a model folder: rank 0 reads its text, every rank parses it. */
#include "lsp/spool.h"

#include "lsp/beat.h"
#include "lsp/durable.h"
#include "lsp/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char FILE_NAME[] = "tokenizer.json";

static lsp_status name_file(const char *dir, char path[PATH_MAX], lsp_failure *why) {
  const int n = snprintf(path, PATH_MAX, "%s/%s", dir, FILE_NAME);
  if (n > 0 && n < PATH_MAX)
    return LSP_OK;
  return lsp_fail(why, LSP_E_USAGE, "--model: the path of the folder is too long");
}

static lsp_status read_all(int fd, const char *path, char **text, size_t *bytes,
                           lsp_failure *why) {
  struct stat facts;
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode))
    return lsp_fail(why, LSP_E_INPUT, "%s: is not a regular file; copy it to one",
                    path);
  if (facts.st_size > LSP_TOKENIZER_BYTES_MOST)
    return lsp_fail(why, LSP_E_LIMIT,
                    "%s: is %lld bytes, more than the %d of the largest tokenizer that "
                    "is read; check that it is one",
                    path, (long long)facts.st_size, (int)LSP_TOKENIZER_BYTES_MOST);
  *bytes = (size_t)facts.st_size;
  *text = malloc(*bytes + 1);
  if (*text == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: no memory for its %zu bytes", path, *bytes);
  (*text)[*bytes] = '\0';
  return lsp_read_at(fd, path, *text, (int64_t)*bytes, 0, why);
}

lsp_status lsp_tokenizer_text(const char *dir, char **text, size_t *bytes,
                              lsp_failure *why) {
  char path[PATH_MAX];
  *text = NULL;
  *bytes = 0;
  LSP_TRY(name_file(dir, path, why));
  const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
    return LSP_OK;
  if (fd < 0)
    return lsp_fail(why, LSP_E_INPUT, "%s: cannot be opened: %s; check the permissions",
                    path, strerror(errno));
  const lsp_status status = read_all(fd, path, text, bytes, why);
  (void)close(fd);
  if (status != LSP_OK) {
    free(*text);
    *text = NULL;
  }
  return status;
}

static lsp_status parse(const char *dir, const char *text, size_t bytes,
                        lsp_tokenizer **out, lsp_failure *why) {
  char path[PATH_MAX];
  LSP_TRY(name_file(dir, path, why));
  return lsp_tokenizer_parse(path, text, bytes, out, why);
}

lsp_status lsp_tokenizer_of(const char *dir, lsp_tokenizer **out, lsp_failure *why) {
  char *text = NULL;
  size_t bytes = 0;
  *out = NULL;
  LSP_TRY(lsp_tokenizer_text(dir, &text, &bytes, why));
  if (text == NULL)
    return LSP_OK;
  const lsp_status status = parse(dir, text, bytes, out, why);
  free(text);
  return status;
}

/* The text of rank 0 to all, which free it. */
static lsp_status spread(lsp_ctx *ctx, char **text, size_t *bytes) {
  int64_t size = *text == NULL ? -1 : (int64_t)*bytes;
  lsp_bcast(ctx->comm, &size, sizeof size);
  if (size < 0)
    return LSP_OK;
  *bytes = (size_t)size;
  if (ctx->rank != 0)
    *text = malloc(*bytes + 1);
  LSP_TRY(lsp_agree(ctx, *text != NULL
                             ? LSP_OK
                             : lsp_fail(&ctx->why, LSP_E_MEMORY,
                                        "no memory for the %zu bytes of a tokenizer",
                                        *bytes)));
  lsp_bcast(ctx->comm, *text, *bytes);
  return LSP_OK;
}

lsp_status lsp_tokenizer_share(lsp_ctx *ctx, const char *dir, lsp_tokenizer **out) {
  char *text = NULL;
  size_t bytes = 0;
  lsp_status status = LSP_OK;
  *out = NULL;
  if (ctx->rank == 0)
    status = lsp_tokenizer_text(dir, &text, &bytes, &ctx->why);
  status = lsp_agree(ctx, status);
  if (status == LSP_OK)
    status = spread(ctx, &text, &bytes);
  if (status == LSP_OK && text != NULL)
    status = lsp_agree(ctx, parse(dir, text, bytes, out, &ctx->why));
  free(text);
  if (status != LSP_OK)
    lsp_tokenizer_close(out);
  return status;
}

lsp_status lsp_tokenizer_fits(const lsp_tokenizer *t, const char *dir,
                              int64_t vocabulary, lsp_failure *why) {
  if (lsp_tokenizer_size(t) <= vocabulary)
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_INPUT,
      "%s/%s: has ids from 0 to %lld, but the model has a vocabulary of "
      "%lld: a tokenizer that does not fit the model; put the one beside it "
      "that it was trained with",
      dir, FILE_NAME, (long long)lsp_tokenizer_size(t) - 1, (long long)vocabulary);
}

int lsp_is_text(const lsp_document *d) {
  return d->width == 1 && d->text_bytes >= 0;
}

lsp_status lsp_reader_takes(const lsp_reader *r, const lsp_corpus *c,
                            lsp_failure *why) {
  const char *text = NULL, *ids = NULL;
  for (int64_t i = 0; i < lsp_corpus_count(c); i++) {
    const lsp_document d = lsp_corpus_document(c, i);
    if (lsp_is_text(&d))
      text = text == NULL ? d.name : text;
    else
      ids = ids == NULL ? d.path : ids; /* a dataset has names of its own */
  }
  if (r->bytes || text == NULL)
    return LSP_OK;
  if (!r->has_tokenizer)
    return lsp_fail(
        why, LSP_E_INPUT,
        "%s: is text, but the model takes token ids: there is no %s in %s, "
        "and its config.json does not say \"tokenizer\": \"bytes\"; put the "
        "model's tokenizer there, or give files of token ids (--input-format "
        "u16, u32 or megatron)",
        text, FILE_NAME, r->dir);
  if (ids == NULL)
    return LSP_OK;
  return lsp_fail(why, LSP_E_INPUT,
                  "%.200s: is text, and %.200s is token ids; give them to two runs",
                  text, ids);
}

/* --- counting -------------------------------------------------------------------- */

static lsp_status count(const int32_t *id, const int64_t *start, int64_t n, void *arg,
                        lsp_failure *why) {
  (void)id, (void)start, (void)why;
  *(int64_t *)arg += n;
  return LSP_OK;
}

static lsp_status count_all(lsp_encoder *e, lsp_corpus *text, int64_t document,
                            lsp_failure *why) {
  unsigned char piece[LSP_CHUNK_TOKENS];
  const int64_t bytes = lsp_corpus_document(text, document).tokens;
  for (int64_t at = 0, n = 0; at < bytes; at += n) {
    n = bytes - at < LSP_CHUNK_TOKENS ? bytes - at : LSP_CHUNK_TOKENS;
    LSP_TRY(lsp_corpus_bytes(text, document, at, n, piece, why));
    LSP_TRY(lsp_encoder_put(e, piece, (size_t)n, why));
  }
  return lsp_encoder_end(e, 0, why);
}

lsp_status lsp_tokenizer_count(const lsp_tokenizer *t, lsp_special special,
                               lsp_corpus *text, int64_t document, int64_t *tokens,
                               lsp_failure *why) {
  lsp_encoder *e = NULL;
  *tokens = 0;
  LSP_TRY(lsp_encoder_open(t, special, count, tokens, &e, why));
  const lsp_status status = count_all(e, text, document, why);
  lsp_encoder_close(&e);
  return status;
}
