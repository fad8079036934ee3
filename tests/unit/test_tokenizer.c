/* Text to ids: those of the library `tokenizers`, wherever the text is taken apart. */
#include "tokenizers.h"

#include <inttypes.h>

static void expect_ids(const char *name, const char *file, const token_list *list) {
  size_t bytes = 0;
  char *expected = tokenizer_file(name, file, &bytes);
  const unsigned char *id = (const unsigned char *)expected;
  for (size_t i = 0; i < list->n && 2 * i + 1 < bytes; i++)
    if (list->id[i] != (id[2 * i] | id[2 * i + 1] << 8))
      fail_msg("%s/%s: token %zu, byte %" PRId64 ": %d", name, file, i, list->start[i],
               list->id[i]);
  assert_int_equal(list->n, bytes / 2);
  free(expected);
}

static void test_hard_text_has_the_ids_of_the_library(void **state) {
  (void)state;
  size_t bytes = 0;
  char *text = tokenizer_file(NULL, "hard.txt", &bytes);
  for (int i = 0; i < TOKENIZERS; i++) {
    lsp_tokenizer *t = tokenizer_open(tokenizer_names[i]);
    for (int parse = 0; parse < 2; parse++) {
      token_list list = {0};
      lsp_encoder *e =
          encoder_open(t, parse ? LSP_SPECIAL_PARSE : LSP_SPECIAL_TEXT, &list);
      encode(e, text, bytes, bytes, 0);
      expect_ids(tokenizer_names[i], parse ? "parse.bin" : "text.bin", &list);
      lsp_encoder_close(&e);
      token_free(&list);
    }
    lsp_tokenizer_close(&t);
  }
  free(text);
}

/* Longer than what an encoder holds: the text is repeated. */
static void test_ids_do_not_depend_on_the_pieces(void **state) {
  (void)state;
  static const size_t piece[] = {1, 2, 3, 7, 4096, 300000};
  enum { TIMES = 25 };
  size_t bytes = 0;
  char *once = tokenizer_file(NULL, "hard.txt", &bytes);
  char *text = malloc(TIMES * bytes);
  assert_non_null(text);
  for (size_t k = 0; k < TIMES; k++)
    memcpy(text + k * bytes, once, bytes);
  for (int i = 0; i < TOKENIZERS; i++) {
    lsp_tokenizer *t = tokenizer_open(tokenizer_names[i]);
    token_list whole = {0};
    lsp_encoder *e = encoder_open(t, LSP_SPECIAL_PARSE, &whole);
    encode(e, text, TIMES * bytes, TIMES * bytes, 0);
    lsp_encoder_close(&e);
    token_list list = {0};
    e = encoder_open(t, LSP_SPECIAL_PARSE, &list);
    for (size_t k = 0; k < sizeof piece / sizeof piece[0]; k++) {
      list.n = 0;
      encode(e, text, TIMES * bytes, piece[k], 0);
      assert_int_equal(list.n, whole.n);
      assert_memory_equal(list.id, whole.id, list.n * sizeof *list.id);
      assert_memory_equal(list.start, whole.start, list.n * sizeof *list.start);
    }
    lsp_encoder_close(&e);
    token_free(&list);
    token_free(&whole);
    lsp_tokenizer_close(&t);
  }
  free(text);
  free(once);
}

static uint64_t fnv(const token_list *list) {
  uint64_t value = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < list->n; i++)
    value = (value ^ (uint64_t)list->id[i]) * UINT64_C(0x100000001b3);
  return value;
}

static void test_a_megabyte_without_a_space(void **state) {
  (void)state;
  enum { LETTERS = 1000000 };
  char *text = malloc(LETTERS);
  assert_non_null(text);
  uint32_t draw = 1;
  for (int i = 0; i < LETTERS; i++) {
    draw = draw * 1664525u + 1013904223u;
    text[i] = "etaoinshrdlucmfw"[draw >> 28];
  }
  for (int i = 0; i < TOKENIZERS; i++) {
    char found[64];
    size_t bytes = 0;
    token_list list = {0};
    lsp_tokenizer *t = tokenizer_open(tokenizer_names[i]);
    lsp_encoder *e = encoder_open(t, LSP_SPECIAL_TEXT, &list);
    encode(e, text, LETTERS, 65536, 0);
    char *expected = tokenizer_file(tokenizer_names[i], "long.txt", &bytes);
    (void)snprintf(found, sizeof found, "%zu %016" PRIx64 "\n", list.n, fnv(&list));
    assert_string_equal(found, expected);
    free(expected);
    lsp_encoder_close(&e);
    token_free(&list);
    lsp_tokenizer_close(&t);
  }
  free(text);
}

/* Where no normal form changes the text, tokens that follow each other hold its bytes: the
 * place of each is that of its first byte, and that of a U+FFFD where what is no UTF-8
 * begins. */
static void test_places_count_the_bytes_of_the_text(void **state) {
  (void)state;
  static const char *const name[] = {"gpt2", "llama3", "smollm", "borders"};
  static const char text[] =
      "a\xff b caf\xc3\xa9\xe2\x82 x\xed\xa0\x80\n12 \xf0\x9f\x98\x80";
  /* U+FFFD: three bytes at the same place */
  static const int place[] = {0,  1,  1,  1,  2,  3,  4,  5,  6,  7,  8,  9,
                              10, 10, 10, 12, 13, 14, 14, 14, 15, 15, 15, 16,
                              16, 16, 17, 18, 19, 20, 21, 22, 23, 24};
  for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
    token_list list = {0};
    lsp_tokenizer *t = tokenizer_open(name[i]);
    lsp_encoder *e = encoder_open(t, LSP_SPECIAL_TEXT, &list);
    encode(e, text, sizeof text - 1, 3, 1000);
    size_t at = 0;
    for (size_t k = 0; k < list.n; k++) {
      size_t bytes = 0;
      assert_non_null(lsp_tokenizer_token(t, list.id[k], &bytes));
      assert_true(at < sizeof place / sizeof place[0]);
      assert_int_equal(list.start[k], place[at]);
      at += bytes;
    }
    assert_int_equal(at, sizeof place / sizeof place[0]);
    list.n = 0;
    encode(e, "b c", 3, 3, 0);
    assert_int_equal(list.start[0], 1000);
    assert_true(list.start[list.n - 1] >= 1001);
    lsp_encoder_close(&e);
    token_free(&list);
    lsp_tokenizer_close(&t);
  }
}

/* What a normal form joins is placed where the first of its characters began. */
static void test_places_under_a_normal_form(void **state) {
  (void)state;
  token_list list = {0};
  lsp_tokenizer *t = tokenizer_open("qwen");
  lsp_encoder *e = encoder_open(t, LSP_SPECIAL_TEXT, &list);
  static const char text[] = "1e\xcc\x81"
                             "2\xff"
                             "3";
  encode(e, text, sizeof text - 1, 1, 0);
  int64_t one = -1;
  int64_t two = -1;
  int64_t three = -1;
  for (size_t k = 0; k < list.n; k++) {
    size_t bytes = 0;
    const unsigned char *token = lsp_tokenizer_token(t, list.id[k], &bytes);
    assert_true(k == 0 || list.start[k] >= list.start[k - 1]);
    if (bytes == 1 && token[0] == '1')
      one = list.start[k];
    else if (bytes == 1 && token[0] == '2')
      two = list.start[k];
    else if (bytes == 1 && token[0] == '3')
      three = list.start[k];
    else
      assert_true(list.start[k] == 1 || list.start[k] == 5);
  }
  assert_int_equal(one, 0);
  assert_int_equal(two, 4);
  assert_int_equal(three, 6);
  lsp_encoder_close(&e);
  token_free(&list);
  lsp_tokenizer_close(&t);
}

static void test_the_template_and_the_names(void **state) {
  (void)state;
  int32_t id[LSP_TEMPLATE_MOST];
  size_t bytes = 0;
  lsp_tokenizer *t = tokenizer_open("llama3");
  assert_int_equal(lsp_tokenizer_prefix(t, id), 1);
  assert_int_equal(id[0], lsp_tokenizer_size(t) - 1);
  assert_memory_equal(lsp_tokenizer_token(t, id[0], &bytes), "<|begin_of_text|>", 17);
  assert_int_equal(bytes, 17);
  assert_null(lsp_tokenizer_token(t, lsp_tokenizer_size(t), &bytes));
  assert_null(lsp_tokenizer_token(t, -1, &bytes));
  assert_int_equal(bytes, 0);
  unsigned char hash[2][16];
  lsp_tokenizer_hash(t, hash[0]);
  lsp_tokenizer_close(&t);
  assert_null(t);
  lsp_tokenizer_close(&t);
  t = tokenizer_open("gpt2");
  assert_int_equal(lsp_tokenizer_prefix(t, id), 0);
  lsp_tokenizer_hash(t, hash[1]);
  assert_memory_not_equal(hash[0], hash[1], 16);
  lsp_tokenizer_close(&t);
}

static lsp_status refuse_tokens(const int32_t *id, const int64_t *start, int64_t n,
                                void *arg, lsp_failure *why) {
  (void)id;
  (void)start;
  (void)n;
  (void)arg;
  return lsp_fail(why, LSP_E_IO, "full");
}

static void test_a_failure_of_the_taker_comes_back(void **state) {
  (void)state;
  lsp_failure why = {0};
  lsp_encoder *e = NULL;
  lsp_tokenizer *t = tokenizer_open("gpt2");
  assert_int_equal(lsp_encoder_open(t, LSP_SPECIAL_TEXT, refuse_tokens, NULL, &e, &why),
                   LSP_OK);
  assert_int_equal(lsp_encoder_end(e, 0, &why), LSP_OK); /* an empty text */
  assert_int_equal(lsp_encoder_put(e, "abc", 3, &why), LSP_OK);
  assert_int_equal(lsp_encoder_end(e, 0, &why), LSP_E_IO);
  expect_message(&why, "full");
  assert_int_equal(lsp_encoder_end(e, 0, &why), LSP_OK); /* an empty text */
  lsp_encoder_close(&e);
  lsp_tokenizer_close(&t);
}

LSP_TESTS(cmocka_unit_test(test_hard_text_has_the_ids_of_the_library),
          cmocka_unit_test(test_ids_do_not_depend_on_the_pieces),
          cmocka_unit_test(test_a_megabyte_without_a_space),
          cmocka_unit_test(test_places_count_the_bytes_of_the_text),
          cmocka_unit_test(test_places_under_a_normal_form),
          cmocka_unit_test(test_the_template_and_the_names),
          cmocka_unit_test(test_a_failure_of_the_taker_comes_back))
