/* The fixtures of tokenizers, opened, and texts encoded with them. */
#ifndef LSP_TESTS_TOKENIZERS_H
#define LSP_TESTS_TOKENIZERS_H

#include "harness.h"

#include "lsp/tokenizer.h"

static const char *const tokenizer_names[] = {"gpt2", "gpt2-prefix", "llama3", "smollm",
                                              "qwen", "strip",       "borders"};
enum { TOKENIZERS = sizeof tokenizer_names / sizeof tokenizer_names[0] };

/* A file of a fixture, to be freed; NAME NULL: beside the fixtures. */
static inline char *tokenizer_file(const char *name, const char *file, size_t *bytes) {
  char path[LSP_TEST_PATH];
  (void)snprintf(path, sizeof path, LSP_FIXTURES "/tokenizers/%s/%s",
                 name == NULL ? "." : name, file);
  FILE *in = fopen(path, "rb");
  assert_non_null(in);
  assert_int_equal(fseek(in, 0, SEEK_END), 0);
  *bytes = (size_t)ftell(in);
  rewind(in);
  char *text = malloc(*bytes + 1);
  assert_non_null(text);
  assert_int_equal(fread(text, 1, *bytes, in), *bytes);
  (void)fclose(in);
  text[*bytes] = '\0';
  return text;
}

static inline lsp_tokenizer *tokenizer_open(const char *name) {
  size_t bytes = 0;
  lsp_failure why = {0};
  lsp_tokenizer *t = NULL;
  char *text = tokenizer_file(name, "tokenizer.json", &bytes);
  if (lsp_tokenizer_parse(name, text, bytes, &t, &why) != LSP_OK)
    fail_msg("%s", why.text);
  free(text);
  return t;
}

/* Tokens of texts, one after the other. */
typedef struct {
  int32_t *id;
  int64_t *start;
  size_t n, room;
} token_list;

static inline lsp_status token_take(const int32_t *id, const int64_t *start, int64_t n,
                                    void *arg, lsp_failure *why) {
  token_list *list = arg;
  (void)why;
  for (int64_t i = 0; i < n; i++) {
    if (list->n == list->room) {
      list->room = 2 * list->room + 64;
      list->id = realloc(list->id, list->room * sizeof *list->id);
      list->start = realloc(list->start, list->room * sizeof *list->start);
      assert_non_null(list->id);
      assert_non_null(list->start);
    }
    list->id[list->n] = id[i];
    list->start[list->n++] = start[i];
  }
  return LSP_OK;
}

static inline void token_free(token_list *list) {
  free(list->id);
  free(list->start);
  memset(list, 0, sizeof *list);
}

static inline lsp_encoder *encoder_open(const lsp_tokenizer *t, lsp_special special,
                                        token_list *list) {
  lsp_failure why = {0};
  lsp_encoder *e = NULL;
  if (lsp_encoder_open(t, special, token_take, list, &e, &why) != LSP_OK)
    fail_msg("%s", why.text);
  return e;
}

/* A whole text, in pieces of `piece` bytes; the next one begins where this one ends. */
static inline void encode(lsp_encoder *e, const char *text, size_t bytes, size_t piece,
                          int64_t next) {
  lsp_failure why = {0};
  for (size_t i = 0; i < bytes; i += piece) {
    const size_t n = bytes - i < piece ? bytes - i : piece;
    if (lsp_encoder_put(e, text + i, n, &why) != LSP_OK)
      fail_msg("%s", why.text);
  }
  if (lsp_encoder_end(e, next, &why) != LSP_OK)
    fail_msg("%s", why.text);
}

#endif
