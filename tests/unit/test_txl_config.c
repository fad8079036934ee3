/* config.json as the library reads it: other names, truth values of Python, ties that
 * are null or short, any number of cutoffs; and what no model can have is refused. */
#include "harness.h"

#include "lsp/transfo_xl.h"

/* What every config of a case has beside the keys that the case is about. */
static const char base[] =
    "\"model_type\": \"transfo-xl\", \"d_embed\": 32, \"d_head\": 8, "
    "\"d_inner\": 64, \"mem_len\": 16";

/* Reads {keys, base}. */
static lsp_status read_keys(const char *keys, lsp_txl_config *c, lsp_failure *why) {
  char path[LSP_TEST_PATH + 16];
  static const char *dir;
  if (dir == NULL)
    dir = lsp_test_folder();
  (void)snprintf(path, sizeof path, "%s/config.json", dir);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fprintf(f, "{%s, %s}\n", keys, base) > 0);
  assert_int_equal(fclose(f), 0);
  memset(why, 0, sizeof *why);
  return lsp_txl_config_read(dir, c, why);
}

#define SIZES                                                                          \
  "\"vocab_size\": 500, \"d_model\": 40, \"n_head\": 4, \"n_layer\": 2, \"div_val\": " \
  "1"
#define CUTS SIZES ", \"cutoffs\": [100, 200, 300]"

static lsp_txl_config good(const char *keys) {
  lsp_txl_config c;
  lsp_failure why;
  const lsp_status st = read_keys(keys, &c, &why);
  if (st != LSP_OK)
    fail_msg("%s: %s", keys, why.text);
  return c;
}

static void bad(const char *keys, const char *words) {
  lsp_txl_config c;
  lsp_failure why;
  assert_int_equal(read_keys(keys, &c, &why), LSP_E_FORMAT);
  expect_message(&why, words);
}

static void test_other_names_are_the_same_sizes_and_win(void **state) {
  (void)state;
  const lsp_txl_config c = good(
      "\"n_token\": 501, \"hidden_size\": 42, \"num_attention_heads\": 5, "
      "\"num_hidden_layers\": 3, \"div_val\": 1, \"clamp_len\": 0, \"cutoffs\": []");
  assert_true(c.vocab_size == 501 && c.d_model == 42 && c.n_head == 5);
  assert_int_equal(c.n_layer, 3);
  const lsp_txl_config both =
      good(SIZES ", \"clamp_len\": 0, \"cutoffs\": [], \"hidden_size\": 42, "
                 "\"num_hidden_layers\": null");
  assert_true(both.d_model == 42 && both.n_layer == 2);
  bad(SIZES ", \"clamp_len\": 0, \"cutoffs\": [], \"hidden_size\": 41",
      "d_model is 41");
  bad(SIZES ", \"clamp_len\": 0, \"cutoffs\": [], \"n_token\": -1",
      "\"n_token\" is -1");
}

static void test_switches_are_truth_values_of_python(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int truth;
  } value[] = {{"true", 1}, {"false", 0}, {"1", 1}, {"0", 0}, {"2", 1}, {"null", 0}};
  char keys[512];
  for (size_t i = 0; i < sizeof value / sizeof value[0]; i++) {
    (void)snprintf(keys, sizeof keys,
                   CUTS ", \"clamp_len\": 0, \"same_length\": %s, \"untie_r\": %s, "
                        "\"pre_lnorm\": %s, \"tie_word_embeddings\": %s, "
                        "\"proj_share_all_but_first\": %s",
                   value[i].text, value[i].text, value[i].text, value[i].text,
                   value[i].text);
    const lsp_txl_config c = good(keys);
    assert_int_equal(c.same_length, value[i].truth);
    assert_int_equal(c.untie_r, value[i].truth);
    assert_int_equal(c.pre_lnorm, value[i].truth);
    assert_int_equal(c.tie_word_embeddings, value[i].truth);
    assert_true(c.tie_proj[0] == 0 && c.tie_proj[1] == value[i].truth);
  }
  const lsp_txl_config c = good(CUTS ", \"clamp_len\": 0");
  assert_true(c.same_length && c.untie_r && c.tie_word_embeddings && !c.pre_lnorm);
  bad(CUTS ", \"clamp_len\": 0, \"same_length\": \"yes\"", "expected true or false");
}

static void test_ties_that_are_not_named_are_none(void **state) {
  (void)state;
  static const struct {
    const char *ties;
    int tied[4];
  } list[] = {{"null", {0, 0, 0, 0}},
              {"[]", {0, 0, 0, 0}},
              {"[false, true]", {0, 1, 0, 0}},
              {"[0, 1, null, 1]", {0, 1, 0, 1}},
              {"[true, false, true, true, false, true]", {1, 0, 1, 1}}};
  char keys[512];
  for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
    (void)snprintf(keys, sizeof keys, CUTS ", \"clamp_len\": 0, \"tie_projs\": %s",
                   list[i].ties);
    const lsp_txl_config c = good(keys);
    for (int k = 0; k < 4; k++)
      assert_int_equal(c.tie_proj[k], list[i].tied[k]);
  }
  bad(CUTS ", \"clamp_len\": 0, \"tie_projs\": [false, \"no\"]", "tie_projs[1]");
  bad(CUTS ", \"clamp_len\": 0, \"tie_projs\": true", "tie_projs must be a list");
}

static void test_any_clamp_below_one_is_none(void **state) {
  (void)state;
  assert_int_equal(good(CUTS ", \"clamp_len\": -2").clamp_len, -2);
  assert_int_equal(good(CUTS ", \"clamp_len\": -1000000000000").clamp_len,
                   -INT64_C(1000000000000));
  assert_int_equal(good(CUTS ", \"clamp_len\": 1000000000").clamp_len, 1000000000);
  bad(CUTS ", \"clamp_len\": 1.5", "\"clamp_len\" is 1.5");
}

/* SIZES, and cutoffs 1, 2, ..., n. */
static void many(char *keys, size_t size, int n) {
  size_t at = (size_t)snprintf(keys, size,
                               "\"vocab_size\": 5000, \"d_model\": 40, "
                               "\"n_head\": 4, \"n_layer\": 2, "
                               "\"div_val\": 1, \"clamp_len\": 0, "
                               "\"cutoffs\": [");
  for (int i = 1; i <= n; i++)
    at += (size_t)snprintf(keys + at, size - at, "%s%d", i > 1 ? ", " : "", i);
  (void)snprintf(keys + at, size - at, "]");
}

static void test_many_cutoffs_are_found_again(void **state) {
  (void)state;
  static char keys[16384];
  many(keys, sizeof keys, LSP_TXL_CLUSTERS_MAX - 1);
  static lsp_txl_config c;
  c = good(keys);
  assert_int_equal(c.clusters, LSP_TXL_CLUSTERS_MAX);
  for (int id = 0; id < 5000; id++) {
    const int want = id < c.clusters ? id : c.clusters - 1;
    assert_int_equal(lsp_txl_cluster_of(&c, id), want);
  }
  many(keys, sizeof keys, LSP_TXL_CLUSTERS_MAX);
  bad(keys, "expected at most 1023");
}

LSP_TESTS(cmocka_unit_test(test_other_names_are_the_same_sizes_and_win),
          cmocka_unit_test(test_switches_are_truth_values_of_python),
          cmocka_unit_test(test_ties_that_are_not_named_are_none),
          cmocka_unit_test(test_any_clamp_below_one_is_none),
          cmocka_unit_test(test_many_cutoffs_are_found_again))
