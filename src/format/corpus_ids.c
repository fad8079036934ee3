/* Texts as ids: the corpus of what a tokenizer has made of the documents of another.
 *
 *   corpus    doc 0           | doc 1  | doc 2 ...
 *   ids       a head, then 4 bytes a token, one document after the other
 *   starts    a head, then 8 bytes a token, in the same order
 *
 * What must hold: the id of token t of the corpus lies at 4 t after the head and its start
 * at 8 t, so that the place of a document in one file says its place in the other. Starts
 * are no part of the hash of the ids, so what is read of them is looked at. */
#include "lsp/corpus.h"

#include "corpus_internal.h"
#include "lsp/durable.h"
#include "regular.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ID_BYTES = sizeof(uint32_t), START_BYTES = sizeof(int64_t) };

static lsp_status no_memory(lsp_failure *why) {
  return lsp_fail(why, LSP_E_MEMORY, "not enough memory for the list of documents");
}

static lsp_status add_all(const lsp_corpus *text, const lsp_token_files *files,
                          lsp_corpus *c, lsp_failure *why) {
  const char *path = lsp__corpus_keep(c, files->ids);
  int64_t all = 0, before = 0;
  c->starts = lsp__corpus_keep(c, files->starts);
  if (path == NULL || c->starts == NULL)
    return no_memory(why);
  for (int64_t d = 0; d < lsp_corpus_count(text); d++)
    all += files->tokens[d];
  for (int64_t d = 0; d < lsp_corpus_count(text); d++) {
    const lsp_document old = lsp_corpus_document(text, d);
    const lsp_document new = {.name = lsp__corpus_keep(c, old.name),
                              .path = path,
                              .offset = LSP_TOKEN_FILE_HEAD + before * ID_BYTES,
                              .tokens = files->tokens[d],
                              .width = ID_BYTES,
                              .file_bytes = LSP_TOKEN_FILE_HEAD + all * ID_BYTES,
                              .text_bytes = old.text_bytes};
    if (new.name == NULL)
      return no_memory(why);
    LSP_TRY(lsp__corpus_add(c, &new, why));
    before += new.tokens;
  }
  return LSP_OK;
}

lsp_status lsp_corpus_of_ids(const lsp_corpus *text, const lsp_token_files *files,
                             lsp_corpus **out, lsp_failure *why) {
  lsp_corpus *c = lsp__corpus_new();
  *out = c;
  if (c == NULL)
    return no_memory(why);
  const lsp_status status = add_all(text, files, c, why);
  if (status != LSP_OK)
    lsp_corpus_close(out);
  return status;
}

int lsp_corpus_has_starts(const lsp_corpus *c) {
  return c->starts != NULL;
}

/* From a place in the file of ids to that in the file of starts. */
static int64_t start_place(int64_t id_place) {
  return LSP_TOKEN_FILE_HEAD +
         (id_place - LSP_TOKEN_FILE_HEAD) / ID_BYTES * START_BYTES;
}

static lsp_status open_starts(lsp_corpus *c, const lsp_document *d, lsp_failure *why) {
  const int64_t expected = start_place(d->file_bytes);
  int64_t bytes = 0;
  if (c->starts_fd >= 0)
    return LSP_OK;
  LSP_TRY(lsp__regular_open(c->starts, &c->starts_fd, &bytes, why));
  if (bytes == expected)
    return LSP_OK;
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: is %" PRId64 " bytes, where the tokens of this run need %" PRId64
                  "; it was changed while the run was using it: begin again",
                  c->starts, bytes, expected);
}

lsp_status lsp_corpus_starts(lsp_corpus *c, int64_t d, int64_t first, int64_t n,
                             int64_t *start, lsp_failure *why) {
  const lsp_document one = lsp_corpus_document(c, d);
  LSP_ASSERT(first >= 0 && n >= 0 && first <= one.tokens && n <= one.tokens - first);
  if (c->starts == NULL)
    return lsp_fail(
        why, LSP_E_USAGE,
        "%s: its tokens were not made from a text here, so where they begin "
        "in it is not known; give the text",
        one.name);
  if (n == 0)
    return LSP_OK;
  LSP_TRY(open_starts(c, &one, why));
  LSP_TRY(lsp_read_at(c->starts_fd, c->starts, start, n * START_BYTES,
                      start_place(one.offset + first * ID_BYTES), why));
  for (int64_t i = 0; i < n; i++)
    if (start[i] < (i == 0 ? 0 : start[i - 1]) || start[i] > one.text_bytes)
      return lsp_fail(why, LSP_E_MISMATCH,
                      "%s: says that token %" PRId64 " of document %s begins at byte "
                      "%" PRId64 ", which is no place in it; it was changed while the "
                      "run was using it: begin again",
                      c->starts, first + i, one.name, start[i]);
  return LSP_OK;
}
