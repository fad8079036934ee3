/* The words of --store. */
#include "harness.h"

#include "lsp/recall.h"

static void test_words_are_read_and_written_in_one_order(void **state) {
  (void)state;
  static const char *const words[][2] = {
      {"layers:3,k:1,gate:0.5",
       "layers:3,k:1,gate:0.5,memory:0,segment:512,keys:plain"},
      {"layers:3+5+7,k:32,gate:0.1",
       "layers:3+5+7,k:32,gate:0.1,memory:0,segment:512,keys:plain"},
      {"keys:rotated,segment:1,memory:7,gate:1e-3,k:256,layers:0-2+4+6-4095",
       "layers:0-2+4+6-4095,k:256,gate:0.001,memory:7,segment:1,keys:rotated"},
      {"layers:5-5,k:2,gate:0.30000000000000004,memory:1099511627776",
       "layers:5,k:2,gate:0.30000000000000004,memory:1099511627776,segment:512,"
       "keys:plain"},
  };
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    lsp_recall r, again;
    lsp_failure why = {0};
    char text[LSP_RECALL_SIZE];
    if (lsp_recall_parse(words[i][0], &r, &why) != LSP_OK)
      fail_msg("%s", why.text);
    lsp_recall_print(&r, text);
    assert_string_equal(text, words[i][1]);
    assert_int_equal(lsp_recall_parse(text, &again, &why), LSP_OK);
    assert_memory_equal(&r, &again, sizeof r);
  }
}

static void test_nothing_is_no_store(void **state) {
  (void)state;
  lsp_recall r;
  assert_int_equal(lsp_recall_parse(NULL, &r, NULL), LSP_OK);
  assert_int_equal(r.ranges, 0);
  assert_false(lsp_recall_has(&r, 0));
}

static void test_layers_are_those_of_the_list(void **state) {
  (void)state;
  static const char has[] = "0110001";
  lsp_recall r;
  assert_int_equal(lsp_recall_parse("layers:1-2+6,k:1,gate:0.5", &r, NULL), LSP_OK);
  for (int i = 0; i < 7; i++)
    assert_int_equal(lsp_recall_has(&r, i), has[i] == '1');
}

static void test_other_words_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *words;
  } is[] = {{"", "an unknown key"},
            {"layers:3", "missing"},
            {"layers:3,k:2", "missing"},
            {"k:2,gate:0.5", "missing"},
            {"layers:3,gate:0.5", "missing"},
            {"layers:,k:2,gate:0.5", "\"layers\" is no list"},
            {"layers:3+,k:2,gate:0.5", "\"layers\" is no list"},
            {"layers:4096,k:2,gate:0.5", "\"layers\" is no list"},
            {"layers:5-3,k:2,gate:0.5", "\"layers\" has a range"},
            {"layers:5-,k:2,gate:0.5", "\"layers\" has a range"},
            {"layers:5+5,k:2,gate:0.5", "\"layers\" do not rise"},
            {"layers:1-5+4,k:2,gate:0.5", "\"layers\" do not rise"},
            {"layers:3,k:0,gate:0.5", "\"k\" is not from 1 to 256"},
            {"layers:3,k:257,gate:0.5", "\"k\" is not from 1 to 256"},
            {"layers:3,k:2,gate:0", "\"gate\" is no number above 0"},
            {"layers:3,k:2,gate:1", "\"gate\" is no number above 0 and below 1"},
            {"layers:3,k:2,gate:-0.5", "\"gate\" is no number"},
            {"layers:3,k:2,gate:nan", "\"gate\" is no number"},
            {"layers:3,k:2,gate:", "\"gate\" is no number"},
            {"layers:3,k:2,gate:0.5,memory:-1", "\"memory\" is no number"},
            {"layers:3,k:2,gate:0.5,memory:99999999999999999999", "\"memory\""},
            {"layers:3,k:2,gate:0.5,segment:0", "\"segment\" is no number"},
            {"layers:3,k:2,gate:0.5,keys:turned", "\"keys\" is neither"},
            {"layers:3,k:2,gate:0.5,keys:plainer", "something else than a comma"},
            {"layers:3,k:2,gate:0.5,", "an unknown key"},
            {"layers:3,k:2,gate:0.5,rows:4", "an unknown key"},
            {"layers:3,k:2,k:2,gate:0.5", "a key twice"},
            {"layers:3,k:2 ,gate:0.5", "something else than a comma"}};
  for (size_t i = 0; i < sizeof is / sizeof *is; i++) {
    lsp_recall r;
    lsp_failure why = {0};
    assert_int_equal(lsp_recall_parse(is[i].text, &r, &why), LSP_E_USAGE);
    expect_message(&why, "--store ");
    expect_message(&why, is[i].words);
    expect_message(&why, "layers:LIST,k:K,gate:G[,memory:M][,segment:S]");
  }
}

/* As many parts as there may be, and one more. */
static void test_a_list_of_layers_has_an_end(void **state) {
  (void)state;
  for (int parts = LSP_RECALL_RANGES; parts <= LSP_RECALL_RANGES + 1; parts++) {
    char text[1024] = "k:256,gate:0.30000000000000004,memory:1099511627776,"
                      "segment:1099511627776,keys:rotated,layers:";
    lsp_recall r;
    lsp_failure why = {0};
    for (int i = 0; i < parts; i++) {
      const size_t n = strlen(text);
      (void)snprintf(text + n, sizeof text - n, "%s%d", i > 0 ? "+" : "", 3000 + 2 * i);
    }
    if (parts > LSP_RECALL_RANGES) {
      assert_int_equal(lsp_recall_parse(text, &r, &why), LSP_E_USAGE);
      expect_message(&why, "too many parts (64 at most)");
      continue;
    }
    char written[LSP_RECALL_SIZE];
    assert_int_equal(lsp_recall_parse(text, &r, &why), LSP_OK);
    lsp_recall_print(&r, written);
    assert_non_null(strstr(written, "+3126,k:256,"));
    assert_non_null(strstr(written, ",keys:rotated"));
  }
}

LSP_TESTS(cmocka_unit_test(test_words_are_read_and_written_in_one_order),
          cmocka_unit_test(test_nothing_is_no_store),
          cmocka_unit_test(test_layers_are_those_of_the_list),
          cmocka_unit_test(test_other_words_are_refused),
          cmocka_unit_test(test_a_list_of_layers_has_an_end))
