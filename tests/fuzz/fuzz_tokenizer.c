/* libFuzzer: a tokenizer.json of any bytes is read or refused, and a text of any bytes has
 * ids, places that do not fall, and the same ids when it is cut.
 *
 *   input: tokenizer.json NUL text      (without NUL: a short text of its own)
 *
 * Built with clang and -DLSP_FUZZ=ON; run by `.ci/run fuzz`. */
#include "lsp/text.h"
#include "lsp/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { IDS_MOST = 1 << 16, TEXT_MOST = 4096 };

typedef struct {
  int32_t id[IDS_MOST];
  int64_t n, last;
  const lsp_tokenizer *t;
} list;

static lsp_status take(const int32_t *id, const int64_t *start, int64_t n, void *arg,
                       lsp_failure *why) {
  list *l = arg;
  (void)why;
  for (int64_t i = 0; i < n; i++) {
    size_t bytes = 0;
    LSP_ASSERT(start[i] >= l->last && l->n < IDS_MOST);
    LSP_ASSERT(lsp_tokenizer_token(l->t, id[i], &bytes) != NULL);
    l->last = start[i];
    l->id[l->n++] = id[i];
  }
  return LSP_OK;
}

static lsp_status encode(lsp_encoder *e, list *l, const char *text, size_t bytes,
                         lsp_failure *why) {
  l->last = 0;
  lsp_status status = lsp_encoder_put(e, text, bytes, why);
  if (status == LSP_OK)
    status = lsp_encoder_end(e, 0, why);
  LSP_ASSERT(status == LSP_OK || status == LSP_E_LIMIT);
  return status;
}

static void try_text(const lsp_tokenizer *t, lsp_special special, const char *text,
                     size_t bytes) {
  lsp_failure why = {0};
  lsp_encoder *e = NULL;
  list *whole = calloc(2, sizeof *whole);
  LSP_ASSERT(whole != NULL);
  list *parts = whole + 1;
  whole->t = parts->t = t;
  LSP_ASSERT(lsp_encoder_open(t, special, take, whole, &e, &why) == LSP_OK);
  const lsp_status status = encode(e, whole, text, bytes, &why);
  lsp_encoder_close(&e);
  LSP_ASSERT(lsp_encoder_open(t, special, take, parts, &e, &why) == LSP_OK);
  const int64_t cut = lsp_tokenizer_cut(t, special, text, (int64_t)bytes, 0);
  if (status == LSP_OK && cut >= 0) {
    LSP_ASSERT(encode(e, parts, text, (size_t)cut, &why) == LSP_OK);
    LSP_ASSERT(encode(e, parts, text + cut, bytes - (size_t)cut, &why) == LSP_OK);
    LSP_ASSERT(parts->n == whole->n);
    LSP_ASSERT(memcmp(parts->id, whole->id, (size_t)parts->n * sizeof *parts->id) == 0);
  }
  lsp_encoder_close(&e);
  free(whole);
}

/* A message, as it is shown: a key of the file may hold anything. */
static int is_one_line(const lsp_failure *why) {
  char shown[LSP_TEXT_GROWTH * sizeof why->text + 1];
  return lsp_text_shown(why->text, shown, sizeof shown) > 0 &&
         strchr(shown, '\n') == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char other[] = "It's 12 o'clock,\n\n caf\xc3\xa9 e\xcc\x81 \xff<s> <s>x";
  lsp_failure why = {0};
  lsp_tokenizer *t = NULL;
  const char *json = (const char *)data;
  const size_t bytes = strnlen(json, size);
  const char *text = bytes < size ? json + bytes + 1 : other;
  const size_t length = bytes < size ? size - bytes - 1 : sizeof other - 1;
  const lsp_status status =
      lsp_tokenizer_parse("tokenizer.json", json, bytes, &t, &why);
  LSP_ASSERT((status == LSP_OK) == (t != NULL));
  LSP_ASSERT(status == LSP_OK || is_one_line(&why));
  if (t != NULL && length <= TEXT_MOST) {
    try_text(t, LSP_SPECIAL_TEXT, text, length);
    try_text(t, LSP_SPECIAL_PARSE, text, length);
  }
  lsp_tokenizer_close(&t);
  return 0;
}
