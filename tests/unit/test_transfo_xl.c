/* config.json as the library reads it: other names, truth values of Python, ties that
 * are null or short, any number of cutoffs; and what no model can have is refused. */
#include "harness.h"

#include "lsp/model.h"
#include "lsp/options.h"

/* What every config of a case has beside the keys that the case is about. */
static const char base[] =
    "\"model_type\": \"transfo-xl\", \"d_embed\": 32, \"d_head\": 8, "
    "\"d_inner\": 64, \"mem_len\": 16";

/* Describes {keys, base}, under the options given. */
static lsp_status describe(const char *keys, const lsp_choices *choices, lsp_model *m,
                           lsp_failure *why) {
  static char text[20000];
  assert_true((size_t)snprintf(text, sizeof text, "{%s, %s}", keys, base) <
              sizeof text);
  memset(why, 0, sizeof *why);
  return lsp_model_describe("dir", text, choices, m, why);
}

#define SIZES                                                                          \
  "\"vocab_size\": 500, \"d_model\": 40, \"n_head\": 4, \"n_layer\": 2, \"div_val\": " \
  "1"
#define CUTS SIZES ", \"cutoffs\": [100, 200, 300]"

static const lsp_choices nothing = {.mem_len = -1, .segment = -1, .mem_init = -1};

/* A description whose views lie in a block that nobody reads. Closed by close_model. */
static lsp_model good_with(const char *keys, const lsp_choices *choices) {
  lsp_model m;
  lsp_failure why;
  if (describe(keys, choices, &m, &why) != LSP_OK)
    fail_msg("%s: %s", keys, why.text);
  float *block = calloc((size_t)lsp_model_floats(&m), sizeof *block);
  assert_non_null(block);
  lsp_model_place(&m, block);
  return m;
}

static lsp_model good(const char *keys) {
  return good_with(keys, &nothing);
}

/* The block begins with the first embedding. */
static void close_model(lsp_model *m) {
  free((void *)(uintptr_t)m->words.cluster[0].embed);
  lsp_model_close(m);
}

static void bad_with(const char *keys, const lsp_choices *choices, lsp_status status,
                     const char *words) {
  lsp_model m;
  lsp_failure why;
  assert_int_equal(describe(keys, choices, &m, &why), status);
  expect_message(&why, words);
  lsp_model_close(&m);
}

static void bad(const char *keys, const char *words) {
  bad_with(keys, &nothing, LSP_E_FORMAT, words);
}

static const char *fact(const lsp_model *m, const char *key) {
  for (int i = 0; i < m->facts; i++)
    if (strcmp(m->fact[i].key, key) == 0)
      return m->fact[i].value;
  return "(none)";
}

/* Is the output projection of a cluster that of the embedding? */
static int tied(const lsp_model *m, int cluster) {
  const lsp_cluster *k = &m->words.cluster[cluster];
  assert_non_null(k->out_proj);
  return k->out_proj == k->in_proj;
}

static void test_other_names_are_the_same_sizes_and_win(void **state) {
  (void)state;
  lsp_model c = good(
      "\"n_token\": 501, \"hidden_size\": 42, \"num_attention_heads\": 5, "
      "\"num_hidden_layers\": 3, \"div_val\": 1, \"clamp_len\": 0, \"cutoffs\": []");
  assert_true(c.words.size == 501 && c.width == 42 && c.layer[0].heads.query == 5);
  assert_int_equal(c.layers, 3);
  close_model(&c);
  lsp_model both =
      good(SIZES ", \"clamp_len\": 0, \"cutoffs\": [], \"hidden_size\": 42, "
                 "\"num_hidden_layers\": null");
  assert_true(both.width == 42 && both.layers == 2);
  close_model(&both);
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
    lsp_model c = good(keys);
    assert_int_equal(c.layer[0].branch[0].same_length, value[i].truth);
    assert_int_equal(c.layer[0].position.u != c.layer[1].position.u, value[i].truth);
    assert_int_equal(c.layer[0].place, value[i].truth ? LSP_PLACE_PRE : LSP_PLACE_POST);
    assert_int_equal(c.words.cluster[0].out == c.words.cluster[0].embed,
                     value[i].truth);
    assert_true(tied(&c, 0) == 0 && tied(&c, 1) == value[i].truth);
    close_model(&c);
  }
  lsp_model c = good(CUTS ", \"clamp_len\": 0");
  assert_true(c.layer[0].branch[0].same_length && c.layer[0].place == LSP_PLACE_POST);
  assert_true(c.layer[0].position.v != c.layer[1].position.v);
  assert_ptr_equal(c.words.cluster[1].out, c.words.cluster[1].embed);
  close_model(&c);
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
    lsp_model c = good(keys);
    for (int k = 0; k < 4; k++)
      assert_int_equal(tied(&c, k), list[i].tied[k]);
    close_model(&c);
  }
  bad(CUTS ", \"clamp_len\": 0, \"tie_projs\": [false, \"no\"]", "tie_projs[1]");
  bad(CUTS ", \"clamp_len\": 0, \"tie_projs\": true", "tie_projs must be a list");
}

static void test_any_clamp_below_one_is_none(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t clamp;
  } value[] = {{"-2", 0}, {"-1000000000000", 0}, {"0", 0}, {"1000000000", 1000000000}};
  char keys[256];
  for (size_t i = 0; i < sizeof value / sizeof value[0]; i++) {
    (void)snprintf(keys, sizeof keys, CUTS ", \"clamp_len\": %s", value[i].text);
    lsp_model c = good(keys);
    assert_int_equal(c.layer[1].position.clamp, value[i].clamp);
    assert_string_equal(fact(&c, "clamp_len"), value[i].text);
    close_model(&c);
  }
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
  enum { MOST = 1024 };
  static char keys[16384];
  many(keys, sizeof keys, MOST - 1);
  lsp_model c = good(keys);
  assert_int_equal(c.words.clusters, MOST);
  for (int id = 0; id < 5000; id++) {
    const int want = id < MOST ? id : MOST - 1;
    assert_int_equal(lsp_cluster_of(&c.words, id), want);
  }
  close_model(&c);
  many(keys, sizeof keys, MOST);
  bad(keys, "expected at most 1023");
}

#define WHOLE CUTS ", \"clamp_len\": 7"

static void test_a_layer_is_what_the_paper_says(void **state) {
  (void)state;
  lsp_model c = good(WHOLE ", \"tgt_len\": 30, \"same_length\": false");
  const lsp_layer *l = &c.layer[1];
  assert_true(l->heads.query == 4 && l->heads.shared == 4 && l->heads.width == 8);
  assert_true(l->qkv.matrix.rows == 96 && l->qkv.matrix.cols == 40);
  assert_true(l->up.matrix.rows == 64 && l->inner == 64 && !l->gated);
  assert_true(l->activation == LSP_RELU && l->attention_norm.kind == LSP_NORM_LAYER);
  assert_true(l->position.kind == LSP_POSITION_RELATIVE);
  assert_true(l->branches == 1 && l->branch[0].kind == LSP_PATTERN_RECURRENCE);
  assert_true(l->branch[0].segment == 30 && l->branch[0].memory == 16);
  assert_true(l->branch[0].virtual_past);
  assert_int_equal(lsp_layer_reach(l), 45);
  assert_true(c.last_norm.kind == LSP_NORM_NONE && c.segment == 30);
  assert_true(l->scale * l->scale > 0.1249f && l->scale * l->scale < 0.1251f);
  assert_true(c.embed_scale > 6.3245f && c.embed_scale < 6.3247f);
  close_model(&c);
}

static void test_facts_are_those_of_every_earlier_release(void **state) {
  (void)state;
  static const char *const key[] = {"config",   "segment",     "mem_len",
                                    "mem_init", "same_length", "clamp_len"};
  lsp_model c = good(WHOLE ", \"tgt_len\": 30");
  assert_int_equal(c.facts, 6);
  for (int i = 0; i < 6; i++)
    assert_string_equal(c.fact[i].key, key[i]);
  assert_int_equal(strlen(fact(&c, "config")), 32);
  assert_string_equal(fact(&c, "segment"), "30");
  assert_string_equal(fact(&c, "mem_len"), "16");
  assert_string_equal(fact(&c, "mem_init"), "zeros");
  assert_string_equal(fact(&c, "same_length"), "true");
  assert_string_equal(fact(&c, "clamp_len"), "7");
  close_model(&c);
}

static void test_options_change_memory_and_not_the_config(void **state) {
  (void)state;
  const lsp_choices choices = {.mem_len = 5, .segment = 9, .mem_init = LSP_MEM_EMPTY};
  lsp_model before = good(WHOLE), c = good_with(WHOLE, &choices);
  assert_true(c.layer[0].branch[0].memory == 5 && c.layer[0].branch[0].segment == 9);
  assert_false(c.layer[0].branch[0].virtual_past);
  assert_string_equal(fact(&c, "segment"), "9");
  assert_string_equal(fact(&c, "mem_len"), "5");
  assert_string_equal(fact(&c, "mem_init"), "empty");
  assert_string_equal(fact(&c, "config"), fact(&before, "config"));
  assert_string_equal(fact(&before, "segment"), "16");
  close_model(&before);
  close_model(&c);
}

static void test_an_empty_window_and_absurd_sizes_are_refused(void **state) {
  (void)state;
  const lsp_choices none = {.segment = -1, .mem_init = -1},
                    huge = {.mem_len = INT64_MAX / 4, .segment = -1, .mem_init = -1};
  bad_with(WHOLE, &none, LSP_E_USAGE, "--mem-len 0 with same_length masks every");
  bad_with(WHOLE, &huge, LSP_E_LIMIT, "take more than 2^56 bytes");
}

static void test_an_unknown_type_is_told_what_is_known(void **state) {
  (void)state;
  lsp_model m;
  lsp_failure why = {.status = LSP_OK};
  assert_int_equal(
      lsp_model_describe("dir", "{\"model_type\": \"rwkv\"}", &nothing, &m, &why),
      LSP_E_FORMAT);
  expect_message(&why, "dir/config.json: model_type is \"rwkv\"; this program runs "
                       "\"gpt2\", \"llama\", \"longspan\", \"ministral\", "
                       "\"mistral\", \"qwen2\", \"qwen3\", \"smollm3\" and "
                       "\"transfo-xl\"");
  lsp_model_close(&m);
}

LSP_TESTS(cmocka_unit_test(test_other_names_are_the_same_sizes_and_win),
          cmocka_unit_test(test_switches_are_truth_values_of_python),
          cmocka_unit_test(test_ties_that_are_not_named_are_none),
          cmocka_unit_test(test_any_clamp_below_one_is_none),
          cmocka_unit_test(test_many_cutoffs_are_found_again),
          cmocka_unit_test(test_a_layer_is_what_the_paper_says),
          cmocka_unit_test(test_facts_are_those_of_every_earlier_release),
          cmocka_unit_test(test_options_change_memory_and_not_the_config),
          cmocka_unit_test(test_an_empty_window_and_absurd_sizes_are_refused),
          cmocka_unit_test(test_an_unknown_type_is_told_what_is_known))
