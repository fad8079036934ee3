/* The words of --context, and what they make of a model. */
#include "harness.h"

#include "lsp/context.h"
#include "lsp/model.h"
#include "lsp/sizes.h"

#include <string.h>

static void test_words_are_read_and_written_alike(void **state) {
  (void)state;
  static const char *const words[] = {
      "full",        "window:1",      "window:4096,sinks:4",
      "chunks:8192", "chunks:2,half", "chunks:512,stride:100"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    lsp_context c;
    lsp_failure why = {0};
    char text[LSP_CONTEXT_SIZE];
    assert_int_equal(lsp_context_parse(words[i], &c, &why), LSP_OK);
    lsp_context_print(&c, text);
    assert_string_equal(text, words[i]);
  }
  lsp_context none;
  char text[LSP_CONTEXT_SIZE];
  assert_int_equal(lsp_context_parse(NULL, &none, NULL), LSP_OK);
  assert_int_equal(none.kind, LSP_CONTEXT_MODEL);
  lsp_context_print(&none, text);
  assert_string_equal(text, "");
}

static void test_other_words_are_refused(void **state) {
  (void)state;
  static const char *const words[] = {"",
                                      "fully",
                                      "window",
                                      "window:",
                                      "window:0",
                                      "window:-1",
                                      "window: 5",
                                      "window:5,",
                                      "window:5,sinks:0",
                                      "window:5,half",
                                      "window:99999999999999999999",
                                      "sinks:4",
                                      "chunks:5,half,half",
                                      "chunks:5,stride:",
                                      "chunks:5,stride:2,half",
                                      "chunks:5x"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    lsp_context c;
    lsp_failure why = {0};
    assert_int_equal(lsp_context_parse(words[i], &c, &why), LSP_E_USAGE);
    expect_message(&why, "--context");
    expect_message(&why, "window:W,sinks:S");
  }
}

/* ---- Frames */

static const lsp_wrapper no_wrapper = {.kind = LSP_WRAP_NONE};

static lsp_framing framing_of(const char *words, int prefix) {
  lsp_context c;
  lsp_framing g;
  assert_int_equal(lsp_context_parse(words, &c, NULL), LSP_OK);
  assert_int_equal(lsp_sizes_framing(&c, &no_wrapper, prefix, &g, NULL), LSP_OK);
  return g;
}

static void expect_framing(const char *words, int prefix, lsp_framing want) {
  const lsp_framing got = framing_of(words, prefix);
  assert_int_equal(got.prefix, want.prefix);
  assert_int_equal(got.tokens, want.tokens);
  assert_int_equal(got.stride, want.stride);
  assert_int_equal(got.half, want.half);
}

static void test_chunks_count_the_rows_of_the_prefix(void **state) {
  (void)state;
  expect_framing("full", 3, (lsp_framing){.prefix = 3});
  expect_framing("window:7", 3, (lsp_framing){.prefix = 3});
  expect_framing("chunks:10", 3, (lsp_framing){.prefix = 3, .tokens = 7, .stride = 7});
  expect_framing("chunks:10,stride:2", 0, (lsp_framing){.tokens = 10, .stride = 2});
  /* the prefix takes the place of the first tokens, which are not scored */
  expect_framing("chunks:10,half", 3,
                 (lsp_framing){.tokens = 10, .stride = 10, .half = 1});
}

static void expect_refused(const char *words, int prefix, const char *message) {
  lsp_context c;
  lsp_framing g;
  lsp_failure why = {0};
  assert_int_equal(lsp_context_parse(words, &c, NULL), LSP_OK);
  assert_int_equal(lsp_sizes_framing(&c, &no_wrapper, prefix, &g, &why), LSP_E_USAGE);
  expect_message(&why, message);
}

static void test_chunks_that_do_not_fit_are_refused(void **state) {
  (void)state;
  expect_refused("chunks:3", 3, "no room for tokens");
  expect_refused("chunks:5,half", 3, "no room for tokens");
  expect_refused("chunks:10,stride:8", 3, "holds 7 tokens");
}

/* ---- Models */

static lsp_status describe(const char *layers, const char *words, lsp_model *m,
                           lsp_failure *why) {
  char text[1024];
  lsp_choices choices = {.mem_len = -1, .segment = -1};
  assert_int_equal(lsp_context_parse(words, &choices.context, NULL), LSP_OK);
  (void)snprintf(
      text, sizeof text,
      "{\"model_type\": \"longspan\", \"vocab_size\": 50, \"hidden_size\": 8, "
      "\"num_hidden_layers\": 1, \"num_attention_heads\": 2, "
      "\"intermediate_size\": 8, \"layers\": {\"branches\": [%s]}}",
      layers);
  return lsp_model_describe("dir", text, &choices, m, why);
}

static lsp_layer layer_of(const char *layers, const char *words) {
  lsp_model m;
  lsp_failure why = {0};
  assert_int_equal(describe(layers, words, &m, &why), LSP_OK);
  const lsp_layer l = m.layer[0];
  assert_string_equal(m.fact[m.facts - 1].key, "context");
  assert_string_equal(m.fact[m.facts - 1].value, words);
  lsp_model_close(&m);
  return l;
}

static void test_windows_narrow_what_a_layer_sees(void **state) {
  (void)state;
  lsp_layer l = layer_of("{\"type\": \"full\"}", "window:30,sinks:4");
  assert_int_equal(l.branches, 2);
  assert_int_equal(l.branch[0].kind, LSP_PATTERN_LOCAL);
  assert_int_equal(l.branch[0].window, 30);
  assert_int_equal(l.branch[1].kind, LSP_PATTERN_FIXED);
  assert_int_equal(l.branch[1].sinks, 4);
  assert_int_equal(l.branch[1].in_window, 1);
  l = layer_of("{\"type\": \"local\", \"window\": 20}", "window:30");
  assert_int_equal(l.branch[0].window, 20);
  l = layer_of("{\"type\": \"local\", \"window\": 40}", "window:30");
  assert_int_equal(l.branch[0].window, 30);
  l = layer_of("{\"type\": \"local\", \"window\": [7, 30]}", "window:30");
  assert_int_equal(l.branch[0].window, 30);
}

static void expect_no(const char *layers, const char *words, const char *message) {
  lsp_model m;
  lsp_failure why = {0};
  assert_int_equal(describe(layers, words, &m, &why), LSP_E_USAGE);
  expect_message(&why, message);
  lsp_model_close(&m);
}

static void test_layers_without_a_window_refuse_one(void **state) {
  (void)state;
  expect_no("{\"type\": \"recurrence\", \"segment\": 8, \"memory\": 8}", "window:30",
            "has a memory (recurrence)");
  expect_no("{\"type\": \"local\", \"window\": [7, 31]}", "window:30",
            "a window for each head");
  expect_no("{\"type\": \"full\"}, {\"type\": \"fixed\", \"sinks\": 2}",
            "window:30,sinks:4", "fixed keys of its own");
  expect_no("{\"type\": \"full\"}", "window:30,sinks:5000", "at most 4096");
  static const char *const others[] = {
      "{\"type\": \"global\", \"tokens\": 4}",
      "{\"type\": \"random\", \"blocks\": 1, \"reach\": 4}",
      "{\"type\": \"chosen\", \"blocks\": 1, \"reach\": 4}",
      "{\"type\": \"compressed\"}",
      "{\"type\": \"levels\", \"window\": 8, \"pool\": 4, \"levels\": 2}",
      "{\"type\": \"dynamic\", \"window\": 8, \"ramp\": 4}"};
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
    expect_no(others[i], "window:30", "which a window does not narrow");
  expect_no(others[4], "window:30",
            "layer 0 of dir/config.json has a branch of type "
            "\"levels\"");
}

/* To each side. */
static void test_windows_narrow_what_looks_to_both_sides(void **state) {
  (void)state;
  static const char both[] =
      "{\"type\": \"full\"}]}, \"causal\": false, \"_rest\": {\"of\": [";
  const lsp_layer l = layer_of(both, "window:30");
  assert_int_equal(l.branch[0].kind, LSP_PATTERN_LOCAL);
  assert_int_equal(l.branch[0].window, 30);
  assert_int_equal(l.branch[0].two_sided, 1);
  expect_no(both, "window:30,sinks:4", "looks to both sides (causal false)");
}

static void test_sinks_need_positions_that_turn_and_one_window(void **state) {
  (void)state;
  expect_no("{\"type\": \"full\"}]}, \"position\": \"alibi\", \"_rest\": {\"of\": [",
            "window:30,sinks:4", "has ALiBi positions");
  expect_no("{\"type\": \"full\"}, {\"type\": \"local\", \"window\": 3}",
            "window:30,sinks:4", "has several branches");
}

/* ---- Longer than the model was trained for */

static void test_what_is_longer_than_the_training_is_refused_with_advice(void **state) {
  (void)state;
  lsp_model m;
  lsp_failure why = {0};
  lsp_context none = {.kind = LSP_CONTEXT_MODEL}, full = {.kind = LSP_CONTEXT_FULL};
  assert_int_equal(describe("{\"type\": \"full\"}", NULL, &m, &why), LSP_OK);
  m.trained = 100;
  assert_int_equal(lsp_sizes_positions(&m, "dir", &none, 100, &why), LSP_OK);
  assert_int_equal(lsp_sizes_positions(&m, "dir", &none, 101, &why), LSP_E_INPUT);
  expect_message(&why, "trained for 100 positions, and the longest text takes 101");
  expect_message(&why, "--context window:50,sinks:4");
  expect_message(&why, "chunks:100,stride:50");
  assert_int_equal(lsp_sizes_positions(&m, "dir", &full, 101, &why), LSP_OK);
  m.positions_most = 100; /* learned ones do not go on */
  assert_int_equal(lsp_sizes_positions(&m, "dir", &full, 101, &why), LSP_E_INPUT);
  expect_message(&why, "learned 100 positions");
  lsp_model_close(&m);
}

LSP_TESTS(
    cmocka_unit_test(test_words_are_read_and_written_alike),
    cmocka_unit_test(test_other_words_are_refused),
    cmocka_unit_test(test_chunks_count_the_rows_of_the_prefix),
    cmocka_unit_test(test_chunks_that_do_not_fit_are_refused),
    cmocka_unit_test(test_windows_narrow_what_a_layer_sees),
    cmocka_unit_test(test_layers_without_a_window_refuse_one),
    cmocka_unit_test(test_windows_narrow_what_looks_to_both_sides),
    cmocka_unit_test(test_sinks_need_positions_that_turn_and_one_window),
    cmocka_unit_test(test_what_is_longer_than_the_training_is_refused_with_advice))
