/* A tokenizer.json that is not followed is refused, by the name of its place. */
#include "tokenizers.h"

#include "random.h"

#define MODEL                                                                          \
  "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a "  \
  "b\"]}"
#define RULE "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define SPLIT(pattern)                                                                 \
  "{" MODEL ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"  \
  "\"Split\",\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"Isolated\"},"      \
  "{\"type\":\"ByteLevel\",\"use_regex\":false,\"add_prefix_space\":false}]}}"
#define MODEL_WITH(part)                                                               \
  "{" RULE ",\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[]," part "}}"
#define TEMPLATE(single)                                                               \
  "{" MODEL "," RULE                                                                   \
  ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[" single           \
  "],\"special_tokens\":{\"S\":{\"ids\":[1]},\"N\":{\"ids\":[9]}}}}"

static lsp_status parse(const char *text, size_t bytes, lsp_failure *why) {
  lsp_tokenizer *t = NULL;
  const lsp_status status = lsp_tokenizer_parse("t.json", text, bytes, &t, why);
  assert_true((status == LSP_OK) == (t != NULL));
  lsp_tokenizer_close(&t);
  return status;
}

static void expect_refused(const char *text, const char *place, const char *words) {
  lsp_failure why = {0};
  if (parse(text, strlen(text), &why) == LSP_OK)
    fail_msg("accepted: %s", text);
  expect_message(&why, "t.json: ");
  expect_message(&why, place);
  expect_message(&why, words);
  assert_null(strchr(why.text, '\n'));
}

static void test_parts_that_are_not_known(void **state) {
  (void)state;
  static const struct {
    const char *text, *place, *words;
  } wrong[] = {
      {"{}", "model: ", "is missing; expected an object"},
      {"{" MODEL "}", "pre_tokenizer: ", "ByteLevel"},
      {"{" MODEL "," RULE ",\"extra\":1}", "extra: is 1", "no such key"},
      {"{" MODEL "," RULE ",\"padding\":{}}", "padding: is {}", "expected null"},
      {"{" MODEL "," RULE ",\"truncation\":{\"a\":1}}", "truncation: ", "null"},
      {"{" MODEL "," RULE ",\"normalizer\":{\"type\":\"Lowercase\"}}",
       "normalizer: ", "NFC"},
      {"{" MODEL "," RULE ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{"
       "\"type\":\"NFC\"},{\"type\":\"Strip\"}]}}",
       "normalizer.normalizers[1]: ", "NFC"},
      {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\"}}",
       "pre_tokenizer: ", "ByteLevel"},
      {"{" MODEL
       ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
       "\"ByteLevel\"},{\"type\":\"Digits\"}]}}",
       "pre_tokenizer.pretokenizers[1]: ", "nothing behind ByteLevel"},
      {"{" MODEL
       ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},"
       "\"behavior\":\"Removed\"}}",
       "pre_tokenizer.behavior: is \"Removed\"", "Isolated"},
      {MODEL_WITH("\"dropout\":0.1"), "model.dropout: ", "null"},
      {MODEL_WITH("\"byte_fallback\":true"), "model.byte_fallback: ", "false"},
      {MODEL_WITH("\"unk_token\":\"a\""), "model.unk_token: ", "every byte"},
      {MODEL_WITH("\"type\":\"Unigram\""), "model.type: is \"Unigram\"", "BPE"},
      {MODEL_WITH("\"end_of_word_suffix\":\"</w>\""),
       "model.end_of_word_suffix: ", "null"},
      {"{" RULE ",\"model\":{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}",
       "model.vocab.b: is 0", "an id of its own"},
      {"{" RULE ",\"model\":{\"vocab\":{\"a\":-1},\"merges\":[]}}",
       "model.vocab.a: is -1", "an id"},
      {"{" RULE ",\"model\":{\"vocab\":{\"a\":99999999},\"merges\":[]}}",
       "model.vocab.a: ", "an id"},
      {"{" RULE ",\"model\":{\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}}",
       "model.merges[0]: is \"a b\"", "together are a third"},
      {"{" RULE ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}",
       "model.merges[0]: ", "two tokens"},
      {"{" RULE ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a a a\"]}}",
       "model.merges[0]: ", "two tokens"},
      {"{" MODEL "," RULE ",\"added_tokens\":[{\"id\":7,\"content\":\"<s>\"}]}",
       "added_tokens[0].id: is 7", "the next one"},
      {"{" MODEL "," RULE ",\"added_tokens\":[{\"id\":3,\"content\":\"x\"},{\"id\":4,"
       "\"content\":\"x\"}]}",
       "added_tokens[1].content: is \"x\"", "no other"},
      {"{" MODEL "," RULE ",\"added_tokens\":[{\"id\":3,\"content\":\"\"}]}",
       "added_tokens[0].content: ", "text"},
      {"{" MODEL "," RULE
       ",\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"lstrip\":1}]}",
       "added_tokens[0].lstrip: is 1", "true or false"},
      {"{" MODEL "," RULE ",\"post_processor\":{\"type\":\"BertProcessing\"}}",
       "post_processor: ", "TemplateProcessing"},
      {TEMPLATE("{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"S\"}}"),
       "post_processor.single[1]: ", "no token after the text"},
      {TEMPLATE("{\"SpecialToken\":{\"id\":\"S\"}}"),
       "post_processor.single: ", "the Sequence A"},
      {TEMPLATE("{\"SpecialToken\":{\"id\":\"N\"}},{\"Sequence\":{\"id\":\"A\"}}"),
       "special_tokens.N.ids[0]: is 9", "the id of a token"},
      {TEMPLATE("{\"SpecialToken\":{\"id\":\"Q\"}},{\"Sequence\":{\"id\":\"A\"}}"),
       "special_tokens.Q.ids: is missing", "a list of ids"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    expect_refused(wrong[i].text, wrong[i].place, wrong[i].words);
}

static void test_patterns_that_may_mean_something_else(void **state) {
  (void)state;
  static const struct {
    const char *text, *words;
  } wrong[] = {
      {SPLIT("a*"), "matches nothing"},
      {SPLIT("(?<=a)b"), "this group at byte 0"},
      {SPLIT("a$"), "this character at byte 1"},
      {SPLIT("\\\\w+"), "this escape at byte 0"},
      {SPLIT("\\\\p{Greek}"), "this property"},
      {SPLIT("[a[b]]"), "a class in a class"},
      {SPLIT("[a-\\\\s]"), "this range"},
      {SPLIT("[\\\\S]"), "this escape"},
      {SPLIT("[ab"), "a class without an end"},
      {SPLIT("(?:a"), "a group without an end"},
      {SPLIT("a)"), "an end of no group"},
      {SPLIT("a{2}+"), "this repetition"},
      {SPLIT("a{,2}"), "this repetition"},
      {SPLIT("a+*"), "this repetition"},
      {SPLIT("+"), "this repetition"},
      {SPLIT("(?i:ss)"), "without case"},
      {SPLIT("(?i:[^a])"), "without case"},
      {SPLIT("(?:(?:(?:a{999}){999}){999}){999}"), "PCRE2"},
      {SPLIT("\\\\"), "this escape"},
      {SPLIT("\\\\u12"), "this escape"},
      {SPLIT("\\\\p{L"), "this property"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    expect_refused(wrong[i].text,
                   "pre_tokenizer.pretokenizers[0].pattern: ", wrong[i].words);
}

/* What the messages above are about is refused for that alone. */
static void test_what_is_known_is_read(void **state) {
  (void)state;
  static const char *const good[] = {
      "{" MODEL "," RULE "}",
      MODEL_WITH("\"fuse_unk\":true"),
      TEMPLATE("{\"SpecialToken\":{\"id\":\"S\"}},{\"Sequence\":{\"id\":\"A\"}}"),
      SPLIT("(?i:'[sdmt])|(a|b)++|[a-z\\\\-]{2,3}|\\\\p{Lu}+?|[^\\\\s\\\\p{L}]|\\\\S"),
  };
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    lsp_failure why = {0};
    if (parse(good[i], strlen(good[i]), &why) != LSP_OK)
      fail_msg("%s", why.text);
  }
}

/* Files with bytes changed, cut out and put in: read or refused, never a crash. */
static void test_broken_files_are_read_or_refused(void **state) {
  (void)state;
  enum { TRIES = 500 };
  static const char bits[] = "{}[]\",:0129-.eantrufls\\ \x80\xff";
  lsp_random r = {.state = 5};
  size_t bytes = 0;
  char *text = tokenizer_file("borders", "tokenizer.json", &bytes);
  char *broken = malloc(bytes);
  assert_non_null(broken);
  int refused = 0;
  for (int i = 0; i < TRIES; i++) {
    lsp_failure why = {0};
    memcpy(broken, text, bytes);
    for (int64_t k = lsp_random_in(&r, 1, 3); k > 0; k--)
      broken[lsp_random_in(&r, 0, (int64_t)bytes - 1)] =
          bits[lsp_random_in(&r, 0, (int64_t)sizeof bits - 2)];
    const size_t n = lsp_random_in(&r, 0, 3) == 0
                         ? (size_t)lsp_random_in(&r, 0, (int64_t)bytes)
                         : bytes;
    if (parse(broken, n, &why) != LSP_OK) {
      refused++;
      expect_message(&why, "t.json: ");
    }
  }
  assert_true(refused > TRIES / 2);
  free(broken);
  free(text);
}

LSP_TESTS(cmocka_unit_test(test_parts_that_are_not_known),
          cmocka_unit_test(test_patterns_that_may_mean_something_else),
          cmocka_unit_test(test_what_is_known_is_read),
          cmocka_unit_test(test_broken_files_are_read_or_refused))
