/* JSON that we did not write: read strictly, refused with file and key. */
#include "harness.h"

#include "lsp/durable.h"
#include "lsp/json.h"

#include <math.h>

/* The object, which must be valid; the caller frees it. */
static json_t *parsed(const char *text) {
  lsp_failure why = {0};
  json_t *root = NULL;
  if (lsp_json_parse("config.json", text, strlen(text), &root, &why) != LSP_OK)
    fail_msg("%s", why.text);
  return root;
}

static void expect_refused(const char *text, size_t bytes, const char *words) {
  lsp_failure why = {0};
  json_t *root = NULL;
  assert_int_equal(lsp_json_parse("config.json", text, bytes, &root, &why),
                   LSP_E_FORMAT);
  assert_null(root);
  expect_message(&why, "config.json: ");
  expect_message(&why, words);
  assert_null(strchr(why.text, '\n'));
}

static void test_what_is_not_strict_json_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *words;
  } wrong[] = {
      {"{\"a\": 1, \"a\": 2}", "duplicate"},
      {"{\"a\": NaN}", "line 1"},
      {"{\"a\": -Infinity}", "line 1"},
      {"{\"a\": 1} x", "end of file"},
      {"{\n\"a\":\n1e999}", "line 3"},
      {"{\"a\": 18446744073709551614}", "64 bits"},
      {"{\"a\": \"\xff\"}", "UTF-8"},
      {"{\"a\": \"\\ud800\"}", "line 1"},
      {"{\"a\": \"\\u0000\"}", "line 1"},
      {"{\"a\": 1,}", "line 1"},
      {"{'a': 1}", "line 1"},
      {"[1, 2]", "expected an object"},
      {"{\"a\": \"\x1b[2J\n\"}", "line 1"},
      {"{", "line 1"},
      {"", "line 1"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    expect_refused(wrong[i].text, strlen(wrong[i].text), wrong[i].words);
  expect_refused("{\"a\": 1}\0", 9, "end of file");
}

static void test_deep_nesting_is_refused_before_it_is_built(void **state) {
  (void)state;
  char text[200];
  memset(text, '[', sizeof text);
  memcpy(text, "{\"a\":", 5);
  expect_refused(text, sizeof text, "nest 196 deep");
  json_t *root = parsed("{\"a\": \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"}");
  json_decref(root);
}

static void test_integers_are_taken_only_in_their_range(void **state) {
  (void)state;
  lsp_failure why = {0};
  int64_t n = 7;
  json_t *o = parsed("{\"layers\": 12, \"real\": 3.0, \"text\": \"4\", \"none\": null,"
                     " \"most\": 9223372036854775807}");
  assert_int_equal(lsp_json_int(o, "config.json", "layers", 1, 1, 12, &n, &why),
                   LSP_OK);
  assert_int_equal(n, 12);
  assert_int_equal(lsp_json_int(o, "config.json", "most", 1, 0, INT64_MAX, &n, &why),
                   LSP_OK);
  assert_true(n == INT64_MAX);
  n = 7;
  assert_int_equal(lsp_json_int(o, "config.json", "layers", 1, 1, 11, &n, &why),
                   LSP_E_FORMAT);
  assert_string_equal(why.text,
                      "config.json: key \"layers\" is 12; expected an integer "
                      "from 1 to 11; correct the file");
  assert_int_equal(lsp_json_int(o, "config.json", "real", 1, 1, 11, &n, &why),
                   LSP_E_FORMAT);
  expect_message(&why, "3.0");
  assert_int_equal(lsp_json_int(o, "config.json", "text", 0, 1, 11, &n, &why),
                   LSP_E_FORMAT);
  expect_message(&why, "\"4\"");
  assert_int_equal(lsp_json_int(o, "config.json", "none", 0, 1, 11, &n, &why), LSP_OK);
  assert_int_equal(lsp_json_int(o, "config.json", "gone", 0, 1, 11, &n, &why), LSP_OK);
  assert_int_equal(n, 7);
  assert_int_equal(lsp_json_int(o, "config.json", "none", 1, 1, 11, &n, &why),
                   LSP_E_FORMAT);
  expect_message(&why, "\"none\" is null");
  assert_int_equal(lsp_json_int(o, "config.json", "gone", 1, 1, 11, &n, &why),
                   LSP_E_FORMAT);
  expect_message(&why, "\"gone\" is missing");
  json_decref(o);
}

static void test_numbers_may_be_written_as_integers(void **state) {
  (void)state;
  lsp_failure why = {0};
  double x = -1;
  json_t *o = parsed("{\"eps\": 1e-5, \"one\": 1, \"flag\": true}");
  assert_int_equal(lsp_json_double(o, "c", "eps", 1, 0, 1, &x, &why), LSP_OK);
  assert_true(x == 1e-5);
  assert_int_equal(lsp_json_double(o, "c", "one", 1, 0, 1, &x, &why), LSP_OK);
  assert_true(x == 1.0);
  assert_int_equal(lsp_json_double(o, "c", "one", 1, 2, INFINITY, &x, &why),
                   LSP_E_FORMAT);
  expect_message(&why, "\"one\"");
  assert_int_equal(lsp_json_double(o, "c", "flag", 1, 0, 1, &x, &why), LSP_E_FORMAT);
  expect_message(&why, "true");
  json_decref(o);
}

static void test_a_truth_value_is_as_python_takes_it(void **state) {
  (void)state;
  static const struct {
    const char *key;
    int truth;
  } want[] = {{"yes", 1}, {"no", 0}, {"one", 1}, {"zero", 0}, {"null", 0}, {"none", 7}};
  lsp_failure why = {0};
  json_t *o = parsed("{\"yes\": true, \"no\": false, \"one\": 1, \"zero\": 0, "
                     "\"null\": null, \"text\": \"no\", \"real\": 1.0}");
  for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
    int truth = 7; /* kept where the key is missing */
    assert_int_equal(lsp_json_bool(o, "c", want[i].key, &truth, &why), LSP_OK);
    assert_int_equal(truth, want[i].truth);
  }
  int truth = 7;
  assert_int_equal(lsp_json_bool(o, "c", "text", &truth, &why), LSP_E_FORMAT);
  expect_message(&why, "\"text\" is \"no\"; expected true or false");
  assert_int_equal(lsp_json_bool(o, "c", "real", &truth, &why), LSP_E_FORMAT);
  assert_int_equal(truth, 7);
  json_decref(o);
}

static void test_a_list_is_checked_entry_by_entry(void **state) {
  (void)state;
  lsp_failure why = {0};
  int64_t v[3] = {-1, -1, -1};
  int n = -1;
  json_t *o = parsed("{\"cutoffs\": [20, 40], \"none\": [], \"bad\": [1, -2], "
                     "\"long\": [1, 2, 3, 4], \"text\": \"abc\"}");
  assert_int_equal(lsp_json_ints(o, "c", "none", 1, 0, 99, v, 3, &n, &why), LSP_OK);
  assert_int_equal(n, 0);
  assert_int_equal(lsp_json_ints(o, "c", "bad", 1, 0, 99, v, 3, &n, &why),
                   LSP_E_FORMAT);
  expect_message(&why, "\"bad\"[1] is -2");
  assert_true(v[0] == -1);
  assert_int_equal(lsp_json_ints(o, "c", "long", 1, 0, 99, v, 3, &n, &why),
                   LSP_E_FORMAT);
  expect_message(&why, "\"long\" has 4 entries");
  assert_int_equal(lsp_json_ints(o, "c", "text", 1, 0, 99, v, 3, &n, &why),
                   LSP_E_FORMAT);
  expect_message(&why, "\"abc\"; expected a list");
  assert_int_equal(lsp_json_ints(o, "c", "cutoffs", 1, 0, 99, v, 3, &n, &why), LSP_OK);
  assert_int_equal(n, 2);
  assert_true(v[0] == 20 && v[1] == 40 && v[2] == -1);
  json_decref(o);
}

static void test_a_file_is_read_whole_or_refused_by_name(void **state) {
  (void)state;
  lsp_failure why = {0};
  char path[2 * LSP_TEST_PATH];
  json_t *root = NULL;
  const char *folder = lsp_test_folder();
  (void)snprintf(path, sizeof path, "%s/config.json", folder);
  assert_int_equal(lsp_json_read(path, 100, &root, &why), LSP_E_INPUT);
  expect_message(&why, "config.json: cannot be opened");
  assert_int_equal(lsp_replace_file(path, "{\"a\": [1]}", 10, &why), LSP_OK);
  assert_int_equal(lsp_json_read(path, 9, &root, &why), LSP_E_LIMIT);
  expect_message(&why, "10 bytes");
  assert_null(root);
  assert_int_equal(lsp_json_read(path, 10, &root, &why), LSP_OK);
  assert_true(json_is_object(root));
  json_decref(root);
  assert_int_equal(lsp_json_read(folder, 10, &root, &why), LSP_E_INPUT);
  expect_message(&why, "folder");
}

static void test_a_pipe_is_refused_and_never_waited_for(void **state) {
  (void)state;
  lsp_failure why = {0};
  char path[2 * LSP_TEST_PATH];
  json_t *root = NULL;
  (void)snprintf(path, sizeof path, "%s/pipe.json", lsp_test_folder());
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(lsp_json_read(path, 10, &root, &why), LSP_E_INPUT);
  expect_message(&why, "pipe.json: is a pipe");
}

LSP_TESTS(cmocka_unit_test(test_what_is_not_strict_json_is_refused),
          cmocka_unit_test(test_deep_nesting_is_refused_before_it_is_built),
          cmocka_unit_test(test_integers_are_taken_only_in_their_range),
          cmocka_unit_test(test_numbers_may_be_written_as_integers),
          cmocka_unit_test(test_a_truth_value_is_as_python_takes_it),
          cmocka_unit_test(test_a_list_is_checked_entry_by_entry),
          cmocka_unit_test(test_a_file_is_read_whole_or_refused_by_name),
          cmocka_unit_test(test_a_pipe_is_refused_and_never_waited_for))
