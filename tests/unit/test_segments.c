/* Models wrapped in a memory: how they cut a text into frames, the words for it in files, and
 * what a run reserves for frames that are not divided. */
#include "harness.h"
#include "random.h"

#include "lsp/sizes.h"

/* ---- Words */

static void expect_words(lsp_wrapper w, const char *words) {
  char got[LSP_WRAPPER_WORDS];
  lsp_wrapper back;
  lsp_wrapper_print(&w, got);
  assert_string_equal(got, words);
  assert_int_equal(lsp_wrapper_parse(words, &back), 1);
  assert_int_equal(back.kind, w.kind);
  assert_int_equal(back.segment, w.segment);
  assert_int_equal(back.rows, w.rows);
}

static void test_words_of_a_memory_are_written_and_read(void **state) {
  (void)state;
  expect_words((lsp_wrapper){.kind = LSP_WRAP_INPUT, .segment = 64, .rows = 0},
               "input segment:64 rows:0");
  expect_words((lsp_wrapper){.kind = LSP_WRAP_ASSOCIATIVE, .segment = 1, .rows = 16},
               "associative segment:1 rows:16");
  expect_words((lsp_wrapper){.kind = LSP_WRAP_TOKENS, .segment = 1 << 30, .rows = 7},
               "tokens segment:1073741824 rows:7");
}

static void test_a_file_without_the_words_has_no_memory(void **state) {
  (void)state;
  lsp_wrapper w = {.kind = LSP_WRAP_TOKENS, .segment = 5};
  assert_int_equal(lsp_wrapper_parse(NULL, &w), 1);
  assert_int_equal(w.kind, LSP_WRAP_NONE);
}

/* A damaged file gets no frames that nobody wrote. */
static void test_other_words_of_a_memory_are_none(void **state) {
  (void)state;
  static const char *const words[] = {"",
                                      "none segment:64 rows:0",
                                      "input",
                                      "input segment:64",
                                      "input segment:0 rows:1",
                                      "input segment:-5 rows:1",
                                      "input segment:64 rows:-1",
                                      "input segment:64 rows:1 ",
                                      "input  segment:64 rows:1",
                                      "Input segment:64 rows:1",
                                      "input segment:064 rows:1",
                                      "input segment:4294967296 rows:1",
                                      "input segment:64 rows:4294967296",
                                      "inputinputinputinput segment:64 rows:1"};
  lsp_wrapper w;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    assert_int_equal(lsp_wrapper_parse(words[i], &w), 0);
}

/* ---- Frames */

static lsp_framing framing_of(lsp_wrap_kind kind, int64_t segment, int64_t rows,
                              int prefix) {
  const lsp_context none = {.kind = LSP_CONTEXT_MODEL};
  const lsp_wrapper w = {.kind = kind, .segment = segment, .rows = rows};
  lsp_framing g;
  assert_int_equal(lsp_sizes_framing(&none, &w, prefix, &g, NULL), LSP_OK);
  return g;
}

static void test_each_memory_has_its_frames(void **state) {
  (void)state;
  const lsp_framing input = framing_of(LSP_WRAP_INPUT, 50, 70, 2);
  const lsp_framing associative = framing_of(LSP_WRAP_ASSOCIATIVE, 50, 7, 0);
  const lsp_framing tokens = framing_of(LSP_WRAP_TOKENS, 50, 7, 0);
  assert_int_equal(input.tokens, 50);
  assert_int_equal(input.stride, 50);
  assert_int_equal(input.prefix, 2);
  assert_int_equal(input.again, 70);
  assert_int_equal(input.suffix, 0);
  assert_int_equal(input.linked, 0);
  assert_int_equal(input.whole, 1);
  assert_int_equal(associative.prefix, 0);
  assert_int_equal(associative.again, 0);
  assert_int_equal(associative.suffix, 7);
  assert_int_equal(associative.linked, 1);
  assert_int_equal(associative.whole, 1);
  assert_int_equal(tokens.prefix, 7);
  assert_int_equal(tokens.suffix, 7);
  assert_int_equal(tokens.linked, 1);
  assert_int_equal(tokens.whole, 2);
}

static void test_a_text_that_goes_on_counts_tokens_of_its_document(void **state) {
  (void)state;
  lsp_framing whole = {.prefix = 3}, input = framing_of(LSP_WRAP_INPUT, 50, 70, 0);
  assert_int_equal(lsp_framing_continue(&whole, 123), 123);
  assert_int_equal(whole.before, 0);
  assert_int_equal(lsp_framing_continue(&input, 123), 0);
  assert_int_equal(input.before, 123);
}

/* ---- Sizes */

enum { LAYERS = 2, DOCUMENTS = 9, CORPORA = 150 };

typedef struct {
  lsp_model model;
  lsp_layer_sizes layer[LAYERS];
  lsp_plan plan;
  lsp_request request;
  lsp_sizing z;
} scene;

static void open_scene(scene *s, const char *memory, int64_t documents,
                       const int64_t *tokens, lsp_request request) {
  static const lsp_choices nothing = {.mem_len = -1, .segment = -1, .mem_init = -1};
  const lsp_context none = {.kind = LSP_CONTEXT_MODEL};
  char text[1024];
  lsp_framing framing;
  lsp_failure why = {0};
  (void)snprintf(text, sizeof text,
                 "{\"model_type\": \"longspan\", \"vocab_size\": 256, "
                 "\"hidden_size\": 64, \"num_hidden_layers\": %d, "
                 "\"num_attention_heads\": 4, \"intermediate_size\": 128, "
                 "\"position\": \"none\", \"layers\": {\"branches\": [{\"type\": "
                 "\"full\"}, {\"type\": \"compressed\", \"pool\": 16}], \"merge\": "
                 "\"sum\"}, \"memory\": %s}",
                 LAYERS, memory);
  if (lsp_model_describe("dir", text, &nothing, &s->model, &why) != LSP_OK)
    fail_msg("%s", why.text);
  assert_int_equal(
      lsp_sizes_framing(&none, &s->model.wrapper, s->model.prefixes, &framing, &why),
      LSP_OK);
  assert_int_equal(lsp_plan_open(&s->plan, documents, tokens, 0, framing, &why),
                   LSP_OK);
  request.longest = lsp_plan_longest(&s->plan);
  s->request = request;
  if (lsp_sizes_layers(&s->model, request.longest, request.ranks, s->layer, &why) !=
      LSP_OK)
    fail_msg("%s", why.text);
  s->z = (lsp_sizing){&s->model, s->layer, &s->plan, &s->request};
}

static void close_scene(scene *s) {
  lsp_plan_close(&s->plan);
  lsp_model_close(&s->model);
}

/* Every span of every wave of so many rows at most fits what is reserved. */
static void spans_fit(const scene *s, const lsp_sizes *sizes, int64_t rows) {
  const int ranks = (int)s->request.ranks;
  for (int64_t panel = 0; panel < lsp_plan_panels(&s->plan);) {
    const lsp_range wave = lsp_sizes_wave(&s->model, &s->plan, panel, rows);
    for (int r = 0; r < ranks; r++) {
      const lsp_range span = lsp_plan_span(&s->plan, wave, r, ranks);
      assert_true(lsp_plan_rows_before(&s->plan, span.end) -
                      lsp_plan_rows_before(&s->plan, span.first) <=
                  sizes->span_rows);
    }
    panel = wave.end;
  }
}

static void test_spans_of_whole_frames_fit_what_is_reserved(void **state) {
  (void)state;
  static const char *const memory[] = {
      "{\"type\": \"input\", \"segment\": %d, \"rows\": 90}",
      "{\"type\": \"associative\", \"segment\": %d, \"tokens\": 5, \"width\": 8}",
      "{\"type\": \"tokens\", \"segment\": %d, \"tokens\": 70}"};
  static const int64_t ranks[] = {1, 2, 3, 7, 40};
  lsp_random random = {91};
  for (int i = 0; i < CORPORA; i++) {
    scene s;
    lsp_sizes sizes;
    lsp_failure why = {0};
    char words[128];
    int64_t tokens[DOCUMENTS];
    for (int d = 0; d < DOCUMENTS; d++)
      tokens[d] = lsp_random_in(&random, 0, i % 3 == 0 ? 9000 : 900);
    (void)snprintf(words, sizeof words, memory[i % 3],
                   (int)lsp_random_in(&random, 1, i % 2 == 0 ? 60 : 1000));
    open_scene(&s, words, lsp_random_in(&random, 1, DOCUMENTS), tokens,
               (lsp_request){.wave_tokens = lsp_random_in(&random, 1, 9000),
                             .memory = -1,
                             .ranks = ranks[lsp_random_in(&random, 0, 4)],
                             .threads = 1});
    assert_int_equal(lsp_sizes_choose(&s.z, &sizes, &why), LSP_OK);
    spans_fit(&s, &sizes, sizes.wave_rows);
    spans_fit(&s, &sizes, lsp_random_in(&random, 1, sizes.wave_rows)); /* --max-time */
    s.request.wave_tokens = -1;
    assert_int_equal(lsp_sizes_choose(&s.z, &sizes, &why), LSP_OK);
    spans_fit(&s, &sizes, sizes.wave_rows);
    close_scene(&s);
  }
}

/* Frames end with themselves: nothing is kept or borrowed, and snapshots hold no keys. */
static void test_nothing_of_a_frame_is_kept_or_lent(void **state) {
  (void)state;
  const int64_t tokens = 100000;
  scene s;
  lsp_failure why = {0};
  lsp_lending lending;
  open_scene(
      &s, "{\"type\": \"input\", \"segment\": 700, \"rows\": 90}", 1, &tokens,
      (lsp_request){.wave_tokens = 8000, .memory = -1, .ranks = 3, .threads = 1});
  const lsp_sizes z = lsp_sizes_of(&s.z, 8000);
  assert_int_equal(z.rings + z.halo + z.strata_rings + z.kept_fixed + z.partials, 0);
  assert_int_equal(z.reach + z.fixed_rows + z.pooled_rows, 0);
  assert_int_equal(lsp_sizes_lending(&s.z, z.wave_rows, 1 << 20, &lending, &why),
                   LSP_OK);
  assert_true(lending.waves > 10);
  assert_int_equal(lending.rank.messages, 0);
  close_scene(&s);
}

/* Documents are shared out whole: with many ranks a long one does not make every rank
 * reserve a wave of all of them. */
static void test_a_long_document_does_not_ask_for_the_waves_of_all_ranks(void **state) {
  (void)state;
  const int64_t tokens = (int64_t)1 << 22;
  static const char memory[] =
      "{\"type\": \"tokens\", \"segment\": 500, \"tokens\": 10}";
  lsp_sizes one, many;
  lsp_failure why = {0};
  for (int64_t ranks = 1; ranks <= 4096; ranks *= 64) {
    scene s;
    open_scene(
        &s, memory, 1, &tokens,
        (lsp_request){.wave_tokens = -1, .memory = -1, .ranks = ranks, .threads = 1});
    lsp_sizes *z = ranks == 1 ? &one : &many;
    assert_int_equal(lsp_sizes_choose(&s.z, z, &why), LSP_OK);
    spans_fit(&s, z, z->wave_rows);
    close_scene(&s);
  }
  assert_true(lsp_sizes_rank(&many) <= 2 * lsp_sizes_rank(&one));
}

/* Short ones are, in waves for all ranks: each rank gets some. */
static void test_many_short_documents_are_shared_out(void **state) {
  (void)state;
  enum { MANY = 2000, RANKS = 7 };
  static int64_t tokens[MANY];
  static const char memory[] =
      "{\"type\": \"tokens\", \"segment\": 500, \"tokens\": 10}";
  scene s;
  lsp_sizes z;
  lsp_failure why = {0};
  for (int d = 0; d < MANY; d++)
    tokens[d] = 300 + d % 7 * 100;
  open_scene(&s, memory, MANY, tokens,
             (lsp_request){
                 .wave_tokens = -1, .memory = 100 << 20, .ranks = RANKS, .threads = 1});
  assert_int_equal(lsp_sizes_choose(&s.z, &z, &why), LSP_OK);
  assert_true(lsp_sizes_rank(&z) <= 100 << 20);
  const lsp_range wave = lsp_plan_wave(&s.plan, 0, z.wave_rows);
  const int64_t rows = lsp_plan_rows_before(&s.plan, wave.end);
  assert_true(rows > z.span_rows);
  for (int r = 0; r < RANKS; r++) {
    const lsp_range span = lsp_plan_span(&s.plan, wave, r, RANKS);
    const int64_t own = lsp_plan_rows_before(&s.plan, span.end) -
                        lsp_plan_rows_before(&s.plan, span.first);
    assert_true(own >= rows / RANKS / 2 && own <= 2 * rows / RANKS);
  }
  close_scene(&s);
}

static void test_a_frame_that_does_not_fit_is_refused_with_the_figures(void **state) {
  (void)state;
  const int64_t tokens = (int64_t)1 << 22;
  scene s;
  lsp_sizes z;
  lsp_failure why = {0};
  open_scene(
      &s, "{\"type\": \"input\", \"segment\": 1000000, \"rows\": 0}", 1, &tokens,
      (lsp_request){.wave_tokens = -1, .memory = 200 << 20, .ranks = 16, .threads = 1});
  assert_int_equal(lsp_sizes_choose(&s.z, &z, &why), LSP_E_MEMORY);
  expect_message(&why, "--memory 200M: the longest frame");
  expect_message(&why, "or more");
  close_scene(&s);
}

LSP_TESTS(
    cmocka_unit_test(test_words_of_a_memory_are_written_and_read),
    cmocka_unit_test(test_a_file_without_the_words_has_no_memory),
    cmocka_unit_test(test_other_words_of_a_memory_are_none),
    cmocka_unit_test(test_each_memory_has_its_frames),
    cmocka_unit_test(test_a_text_that_goes_on_counts_tokens_of_its_document),
    cmocka_unit_test(test_spans_of_whole_frames_fit_what_is_reserved),
    cmocka_unit_test(test_nothing_of_a_frame_is_kept_or_lent),
    cmocka_unit_test(test_a_long_document_does_not_ask_for_the_waves_of_all_ranks),
    cmocka_unit_test(test_many_short_documents_are_shared_out),
    cmocka_unit_test(test_a_frame_that_does_not_fit_is_refused_with_the_figures))
