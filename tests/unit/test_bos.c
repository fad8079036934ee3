/* What stands before a text: --bos. */
#include "harness.h"

#include "lsp/bos.h"
#include "lsp/spool.h"

static lsp_model model_of(int64_t vocabulary) {
  lsp_model m;
  memset(&m, 0, sizeof m);
  m.words.size = vocabulary;
  m.prefixes = 2; /* of which nothing may stay */
  return m;
}

static void expect_refused(const char *text, lsp_model *m, const char *words) {
  lsp_failure why = {0};
  assert_int_equal(lsp_bos_apply(text, NULL, m, &why), LSP_E_USAGE);
  expect_message(&why, words);
  assert_null(strchr(why.text, '\n'));
}

static void test_an_id_or_nothing(void **state) {
  (void)state;
  lsp_failure why = {0};
  lsp_model m = model_of(100);
  assert_int_equal(lsp_bos_apply("99", NULL, &m, &why), LSP_OK);
  assert_true(m.prefixes == 1 && m.prefix[0] == 99);
  assert_int_equal(lsp_bos_apply("0", NULL, &m, &why), LSP_OK);
  assert_true(m.prefixes == 1 && m.prefix[0] == 0);
  assert_int_equal(lsp_bos_apply("none", NULL, &m, &why), LSP_OK);
  assert_int_equal(m.prefixes, 0);
}

static void test_the_template_of_the_tokenizer_is_the_default(void **state) {
  (void)state;
  lsp_failure why = {0};
  lsp_tokenizer *t = NULL;
  lsp_model m = model_of(1000);
  if (lsp_tokenizer_of(LSP_FIXTURES "/tokens", &t, &why) != LSP_OK || t == NULL)
    fail_msg("%s", why.text);
  assert_int_equal(lsp_bos_apply(NULL, t, &m, &why), LSP_OK);
  assert_true(m.prefixes == 1 && m.prefix[0] == 1);
  m.prefixes = 0;
  assert_int_equal(lsp_bos_apply("template", t, &m, &why), LSP_OK);
  assert_true(m.prefixes == 1 && m.prefix[0] == 1);
  assert_int_equal(lsp_bos_apply("none", t, &m, &why), LSP_OK);
  assert_int_equal(m.prefixes, 0);
  assert_int_equal(lsp_bos_apply(NULL, NULL, &m, &why), LSP_OK);
  assert_int_equal(m.prefixes, 0);
  lsp_tokenizer_close(&t);
}

static void test_what_is_no_id_is_refused(void **state) {
  (void)state;
  static const char *const wrong[] = {"",   "-1", "x",  "1x",         " 1",
                                      "+1", "1 ", "no", "2147483648", "1e3"};
  lsp_model m = model_of(100);
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    expect_refused(wrong[i], &m, "is not template, none or a token id");
  expect_refused("100", &m, "no token 100 in the model's vocabulary of 100");
}

static void test_a_model_may_not_leave_it_to_an_option(void **state) {
  (void)state;
  lsp_failure why = {0};
  lsp_model m;
  char *text = NULL;
  const lsp_choices choices = {.mem_len = -1, .segment = -1, .mem_init = -1};
  const char *dir = LSP_FIXTURES "/branches/ids-tied-bias";
  memset(&m, 0, sizeof m);
  assert_int_equal(lsp_model_text(dir, &text, &why), LSP_OK);
  assert_int_equal(lsp_model_describe(dir, text, &choices, &m, &why), LSP_OK);
  free(text);
  assert_int_equal(lsp_bos_apply(NULL, NULL, &m, &why), LSP_OK);
  assert_true(m.prefixes == 1 && m.prefix[0] == 999);
  assert_false(lsp_bos_needs_tokenizer(NULL, &m));
  expect_refused("none", &m, "\"longspan\": its config.json says what stands before");
  lsp_model_close(&m);
}

LSP_TESTS(cmocka_unit_test(test_an_id_or_nothing),
          cmocka_unit_test(test_the_template_of_the_tokenizer_is_the_default),
          cmocka_unit_test(test_what_is_no_id_is_refused),
          cmocka_unit_test(test_a_model_may_not_leave_it_to_an_option))
