/* A tokenizer: opened from the text of its tokenizer.json, and what can be asked of it. */
#include "tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void lsp_tokenizer_close(lsp_tokenizer **t) {
  if (*t == NULL)
    return;
  for (int i = 0; i < (*t)->rules; i++)
    pcre2_code_free((*t)->rule[i].code);
  free((*t)->token);
  free((*t)->text);
  free((*t)->merge);
  free((*t)->word);
  free((*t)->name);
  free((*t)->raw.node);
  free((*t)->normal.node);
  free(*t);
  *t = NULL;
}

lsp_status lsp_tokenizer_parse(const char *path, const char *text, size_t bytes,
                               lsp_tokenizer **out, lsp_failure *why) {
  *out = NULL;
  if (bytes > LSP_TOKENIZER_BYTES_MOST)
    return lsp_fail(why, LSP_E_LIMIT,
                    "%s: is %zu bytes; expected at most %d; check that this is a "
                    "tokenizer.json",
                    path, bytes, (int)LSP_TOKENIZER_BYTES_MOST);
  json_t *json = NULL;
  LSP_TRY(lsp_json_parse(path, text, bytes, &json, why));
  lsp_tokenizer *t = calloc(1, sizeof *t);
  lsp_status status = LSP_OK;
  if (t == NULL)
    status = lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for a tokenizer", path);
  else
    status = lsp__tokenizer_read(t, path, json, why);
  json_decref(json);
  if (status != LSP_OK) {
    lsp_tokenizer_close(&t);
    return status;
  }
  XXH128_canonical_t hash;
  XXH128_canonicalFromHash(&hash, XXH3_128bits(text, bytes));
  memcpy(t->hash, hash.digest, sizeof t->hash);
  *out = t;
  return LSP_OK;
}

int64_t lsp_tokenizer_size(const lsp_tokenizer *t) {
  return t->n;
}

const unsigned char *lsp_tokenizer_token(const lsp_tokenizer *t, int64_t id,
                                         size_t *bytes) {
  *bytes = 0;
  if (id < 0 || id >= t->n || t->token[id].text == NULL)
    return NULL;
  *bytes = t->token[id].bytes;
  return (const unsigned char *)t->token[id].text;
}

int lsp_tokenizer_prefix(const lsp_tokenizer *t, int32_t id[LSP_TEMPLATE_MOST]) {
  memcpy(id, t->prefix, (size_t)t->prefixes * sizeof *id);
  return t->prefixes;
}

void lsp_tokenizer_hash(const lsp_tokenizer *t, unsigned char hash[16]) {
  memcpy(hash, t->hash, sizeof t->hash);
}
