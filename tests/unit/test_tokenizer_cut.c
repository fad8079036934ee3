/* Where a text may be cut: both parts, encoded apart, have the ids and places of the
 * whole, whatever stands before and after. */
#include "tokenizers.h"

#include "random.h"

static const lsp_special specials[] = {LSP_SPECIAL_TEXT, LSP_SPECIAL_PARSE};

static void expect_same(lsp_encoder *e, token_list *list, const char *text,
                        size_t bytes, size_t cut) {
  list->n = 0;
  encode(e, text, bytes, bytes, 0);
  const size_t n = list->n;
  encode(e, text, cut, cut, (int64_t)cut);
  encode(e, text + cut, bytes - cut, bytes, 0);
  if (list->n != 2 * n || memcmp(list->id, list->id + n, n * sizeof *list->id) != 0 ||
      memcmp(list->start, list->start + n, n * sizeof *list->start) != 0)
    fail_msg("cut at %zu of \"%.*s\"", cut, (int)bytes, text);
}

/* Every cut of a text, within `around` bytes on either side. Returns their number. */
static int64_t try_cuts(const lsp_tokenizer *t, const char *text, int64_t bytes,
                        int64_t around) {
  int64_t cuts = 0;
  for (size_t k = 0; k < 2; k++) {
    token_list list = {0};
    lsp_encoder *e = encoder_open(t, specials[k], &list);
    int64_t from = 0;
    for (int64_t cut = 0; cut >= 0; from = cut) {
      cut = lsp_tokenizer_cut(t, specials[k], text, bytes, from);
      if (cut < 0)
        break;
      assert_true(cut > from && cut < bytes);
      const int64_t first = cut > around ? cut - around : 0;
      const int64_t end = bytes - cut > around ? cut + around : bytes;
      expect_same(e, &list, text + first, (size_t)(end - first), (size_t)(cut - first));
      cuts++;
    }
    lsp_encoder_close(&e);
    token_free(&list);
  }
  return cuts;
}

static void test_every_cut_of_hard_text(void **state) {
  (void)state;
  size_t bytes = 0;
  char *text = tokenizer_file(NULL, "hard.txt", &bytes);
  for (int i = 0; i < TOKENIZERS; i++) {
    lsp_tokenizer *t = tokenizer_open(tokenizer_names[i]);
    for (int64_t around = 1; around < 300; around = 3 * around + 1)
      assert_true(try_cuts(t, text, (int64_t)bytes, around) > 100);
    lsp_tokenizer_close(&t);
  }
  free(text);
}

static void test_every_cut_of_random_text(void **state) {
  (void)state;
  static const char *const part[] = {"a",
                                     "b",
                                     "S",
                                     "e",
                                     "1",
                                     "2",
                                     " ",
                                     " ",
                                     " ",
                                     "\n",
                                     "\n",
                                     "\r",
                                     "\t",
                                     "\v",
                                     "'",
                                     "'s",
                                     ".",
                                     "-",
                                     "<L>",
                                     "<R>",
                                     "<|LR|>",
                                     "wordy",
                                     "    ",
                                     "<|endoftext|>",
                                     "<tool_call>",
                                     "caf\xc3\xa9",
                                     "\xc3\xa9",
                                     "\xcc\x81",
                                     "\xcc\xa3",
                                     "\xc2\xa0",
                                     "\xc2\x85",
                                     "\xe3\x80\x80",
                                     "\xe4\xb8\xad",
                                     "\xe3\x82\x99",
                                     "\xff",
                                     "\xe2\x82",
                                     "\xf0\x9f",
                                     "\xe1\xa0\x8e",
                                     "\xe1\x84\x80",
                                     "\xe1\x85\xa1",
                                     "\xef\xb7\xba",
                                     "\xc2\xa8"};
  enum { PARTS = sizeof part / sizeof part[0], TEXTS = 400, LONG = 40 };
  for (int i = 0; i < TOKENIZERS; i++) {
    lsp_random r = {.state = 11};
    int64_t cuts = 0;
    lsp_tokenizer *t = tokenizer_open(tokenizer_names[i]);
    for (int k = 0; k < TEXTS; k++) {
      char text[LONG * 16] = "";
      size_t n = 0;
      for (int64_t left = lsp_random_in(&r, 2, LONG); left > 0; left--) {
        const char *next = part[lsp_random_in(&r, 0, PARTS - 1)];
        memcpy(text + n, next, strlen(next));
        n += strlen(next);
      }
      cuts += try_cuts(t, text, (int64_t)n, LONG * 16);
    }
    assert_true(cuts > TEXTS);
    lsp_tokenizer_close(&t);
  }
}

/* A file whose one part is replaced: a tokenizer of which less is known. */
static lsp_tokenizer *open_with(const char *name, const char *old, const char *new) {
  size_t bytes = 0;
  lsp_failure why = {0};
  lsp_tokenizer *t = NULL;
  char *text = tokenizer_file(name, "tokenizer.json", &bytes);
  char *wider = malloc(bytes + strlen(new) + 1);
  char *at = strstr(text, old);
  assert_non_null(wider);
  assert_non_null(at);
  (void)sprintf(wider, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
  if (lsp_tokenizer_parse(name, wider, strlen(wider), &t, &why) != LSP_OK)
    fail_msg("%s", why.text);
  free(wider);
  free(text);
  return t;
}

static int64_t first_cut(const lsp_tokenizer *t, const char *text) {
  return lsp_tokenizer_cut(t, LSP_SPECIAL_TEXT, text, (int64_t)strlen(text), 0);
}

static void test_what_is_known_of_a_rule_decides(void **state) {
  (void)state;
  lsp_tokenizer *t = tokenizer_open("gpt2");
  assert_int_equal(first_cut(t, "ab cd"), 2);
  assert_int_equal(first_cut(t, "ab.\ncd"), 3);
  assert_int_equal(first_cut(t, "abcd"), -1);
  assert_int_equal(lsp_tokenizer_cut(t, LSP_SPECIAL_TEXT, "ab cd ef", 8, 2), 5);
  lsp_tokenizer_close(&t);
  t = tokenizer_open("llama3");
  assert_int_equal(first_cut(t, "ab.\ncd"), 4);
  lsp_tokenizer_close(&t);
  t = open_with("llama3", "{1,3}", "{1,4}");
  assert_int_equal(first_cut(t, "ab cd\nef"), -1);
  lsp_tokenizer_close(&t);
  t = open_with("llama3", "<|endoftext|>\",\"single_word\"", "b c\",\"single_word\"");
  assert_int_equal(first_cut(t, "ab cd\nef"), 5);
  lsp_tokenizer_close(&t);
}

LSP_TESTS(cmocka_unit_test(test_every_cut_of_hard_text),
          cmocka_unit_test(test_every_cut_of_random_text),
          cmocka_unit_test(test_what_is_known_of_a_rule_decides))
