/* What queries see of memories, and the useful work of it, against the definition of each
 * written once more, query by query. */
#include "harness.h"
#include "random.h"

#include "lsp/model.h"

enum { ROWS = 400, TRIALS = 300 };

static int64_t in(lsp_random *random, int64_t low, int64_t high) {
  return lsp_random_in(random, low, high);
}

/* --- the definitions ------------------------------------------------------------- */

/* Key j is compared with query i. */
static int is_candidate(const lsp_pattern *p, int64_t i, int64_t j) {
  const int64_t s = i / p->segment * p->segment;
  return j < s && (p->memory == 0 || j >= s - p->memory);
}

/* Row u, of positions pool u .. pool u + pool - 1, has left the recurrence, and is among the
 * last of those. */
static int is_compressed(const lsp_pattern *p, int64_t i, int64_t u) {
  const int64_t left = i / p->segment * p->segment - p->memory;
  int64_t after = 0;
  for (int64_t w = u + 1; (w + 1) * p->pool <= left; w++)
    after++;
  return (u + 1) * p->pool <= left && (p->block_reach == 0 || after < p->block_reach);
}

static lsp_pattern random_store(lsp_random *random) {
  return (lsp_pattern){.kind = LSP_PATTERN_STORE,
                       .memory = in(random, 0, 3) == 0 ? 0 : in(random, 1, 150),
                       .segment = in(random, 1, 70),
                       .neighbours = (int)in(random, 1, 9)};
}

static lsp_pattern random_past(lsp_random *random) {
  const int pool = 1 << in(random, 1, 4);
  return (lsp_pattern){.kind = LSP_PATTERN_COMPRESSED_PAST,
                       .pool = pool,
                       .block_reach = in(random, 0, 2) == 0 ? 0 : in(random, 1, 12),
                       .memory = pool * in(random, 0, 6),
                       .segment = pool * in(random, 1, 6)};
}

/* --- what is seen ---------------------------------------------------------------- */

static void test_candidates_are_those_before_the_segment(void **state) {
  (void)state;
  lsp_random random = {11};
  for (int t = 0; t < TRIALS; t++) {
    const lsp_pattern p = random_store(&random);
    const int64_t first = in(&random, 0, ROWS), end = in(&random, first, ROWS);
    int64_t pairs = 0;
    for (int64_t i = 0; i < ROWS; i++) {
      const lsp_keys k = lsp_store_candidates(&p, i);
      for (int64_t j = 0; j < ROWS; j++) {
        assert_int_equal(j >= k.first && j < k.end, is_candidate(&p, i, j));
        pairs += i >= first && i < end && is_candidate(&p, i, j);
      }
    }
    assert_true(lsp_pattern_of(&p)->pairs(&p, 0, first, end) == (double)pairs);
  }
}

static void test_compressed_rows_have_left_the_recurrence(void **state) {
  (void)state;
  lsp_random random = {12};
  for (int t = 0; t < TRIALS; t++) {
    const lsp_pattern p = random_past(&random);
    const int64_t first = in(&random, 0, ROWS), end = in(&random, first, ROWS);
    int64_t pairs = 0;
    for (int64_t i = 0; i < ROWS; i++) {
      const lsp_keys k = lsp_pooled_keys(&p, 1, i);
      for (int64_t u = 0; u < ROWS / p.pool + 1; u++) {
        assert_int_equal(u >= k.first && u < k.end, is_compressed(&p, i, u));
        pairs += i >= first && i < end && is_compressed(&p, i, u);
      }
    }
    assert_true(lsp_pattern_of(&p)->pairs(&p, 0, first, end) == (double)pairs);
  }
}

/* Rows before the last whole one that a run needs to continue from any position. */
static void test_reach_of_a_compressed_past_is_enough(void **state) {
  (void)state;
  lsp_random random = {13};
  for (int t = 0; t < TRIALS; t++) {
    const lsp_pattern p = random_past(&random);
    const int64_t reach = lsp_level_reach(&p, 1);
    assert_int_equal(reach == LSP_REACH_ALL, p.block_reach == 0);
    for (int64_t cut = 0; cut < ROWS && reach != LSP_REACH_ALL; cut++)
      for (int64_t i = cut; i < ROWS; i++) {
        const lsp_keys k = lsp_pooled_keys(&p, 1, i);
        assert_true(k.first == k.end || k.first >= cut / p.pool - reach);
      }
  }
}

static void test_reach_of_a_store_is_that_of_its_farthest_candidate(void **state) {
  (void)state;
  lsp_random random = {15};
  for (int t = 0; t < TRIALS; t++) {
    const lsp_pattern p = random_store(&random);
    int64_t most = 0;
    for (int64_t i = 0; i < ROWS; i++)
      most = lsp_max(most, i - lsp_store_candidates(&p, i).first);
    assert_int_equal(lsp_pattern_near(&p), p.memory == 0 ? LSP_REACH_ALL : most);
  }
}

/* --- a view of several ----------------------------------------------------------- */

/* A store counts none that the run of the view shows. */
static void test_candidates_in_a_softmax_are_not_shown_twice(void **state) {
  (void)state;
  lsp_random random = {14};
  for (int t = 0; t < TRIALS; t++) {
    lsp_pattern p[3] = {random_store(&random),
                        {.kind = LSP_PATTERN_LOCAL, .window = in(&random, 1, 90)},
                        {.kind = LSP_PATTERN_RECURRENCE,
                         .segment = in(&random, 1, 40),
                         .memory = in(&random, 0, 60)}};
    lsp_view v = {.store = &p[0], .runs = (int)in(&random, 0, 2)};
    const int64_t first = in(&random, 0, ROWS), end = in(&random, first, 9 * ROWS);
    const int skipped = (int)in(&random, 0, 1);
    int64_t candidates = 0, keys = 0;
    for (int r = 0; r < v.runs; r++)
      v.run[r] = &p[1 + (r + skipped) % 2];
    for (int64_t i = first; i < end; i++) {
      const lsp_keys run = lsp_view_run(&v, 0, i), k = lsp_store_candidates(&p[0], i);
      keys += run.end - run.first;
      for (int64_t j = k.first; j < k.end; j++)
        candidates += j < run.first || j >= run.end;
    }
    if (lsp_view_candidates(&v, 0, first, end) != (double)candidates)
      fail_msg("trial %d: %g candidates of [%lld, %lld), not %lld", t,
               lsp_view_candidates(&v, 0, first, end), (long long)first, (long long)end,
               (long long)candidates);
    assert_true(lsp_view_pairs(&v, 0, first, end) == (double)(keys + candidates));
  }
}

/* --- work, by hand --------------------------------------------------------------- */

static const lsp_choices nothing = {.mem_len = -1, .segment = -1, .mem_init = -1};

/* Width 32, 4 query and 2 key heads of width 8, feed-forward 48, vocabulary 100. */
static lsp_model with(const char *keys) {
  char text[1024];
  lsp_model m;
  lsp_failure why = {0};
  (void)snprintf(text, sizeof text,
                 "{\"model_type\": \"longspan\", \"vocab_size\": 100, "
                 "\"hidden_size\": 32, \"num_hidden_layers\": 3, "
                 "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
                 "\"intermediate_size\": 48, %s}",
                 keys);
  if (lsp_model_describe("dir", text, &nothing, &m, &why) != LSP_OK)
    fail_msg("%s", why.text);
  return m;
}

enum {
  ATTENTION = 64 * 32 + 32 * 32,
  FEED = 3 * 48 * 32,
  LAYER = ATTENTION + FEED,
  HEAD = 100 * 32
};

#define LAYERS(merge, branches)                                                        \
  "\"layers\": {\"merge\": \"" merge "\", \"branches\": [" branches "]}"
#define FULL "{\"type\": \"full\"}"
#define LOCAL "{\"type\": \"local\", \"window\": 2}"
#define SLOTS "{\"type\": \"learned\", \"slots\": 7}"
#define STORE "{\"type\": \"store\", \"memory\": 6, \"segment\": 4, \"neighbours\": 3}"
#define COMPRESSIVE(more) "{\"type\": \"compressive\", \"segment\": 4" more "}"
#define PAST(more)                                                                     \
  "{\"type\": \"recurrence\", \"segment\": 4, \"memory\": 4}, "                        \
  "{\"type\": \"compressed_past\", \"pool\": 2" more "}"

/* Multiply-adds of a token outside attention. */
static void test_work_of_a_token_has_that_of_memories(void **state) {
  (void)state;
  static const struct {
    const char *keys;
    double adds;
  } is[] = {
      {LAYERS("sum", LOCAL ", " SLOTS), 3 * LAYER + HEAD},
      {LAYERS("concat", LOCAL ", " SLOTS), 3 * (LAYER + 32 * 32) + HEAD},
      /* 2 key heads are written, 4 query heads read: 8 * 8 and a normaliser of 8 */
      {LAYERS("sum", LOCAL ", " COMPRESSIVE("")), 3 * (LAYER + 6 * 72) + HEAD},
      /* what is there: 8 * 8 a row, and 8 * 8 * 8 a segment of 4 rows */
      {LAYERS("sum", LOCAL ", " COMPRESSIVE(", \"rule\": \"delta\"")),
       3 * (LAYER + 6 * 72 + 2 * (64 + 128)) + HEAD},
      {LAYERS("softmax", PAST("")), 3 * LAYER + HEAD},
      {LAYERS("softmax", PAST(", \"compress\": \"convolution\"")),
       3 * (LAYER + 32 * 32) + HEAD},
      {LAYERS("softmax", FULL) ", \"last_memory\": {\"slots\": 5}",
       3 * LAYER + HEAD + 2 * 5 * 32},
      {LAYERS("softmax", FULL) ", \"last_memory\": {\"slots\": 5, \"merge\": "
                               "\"concat\"}",
       3 * LAYER + HEAD + 2 * 5 * 32 + 32 * 64},
      {LAYERS("softmax", FULL) ", \"memory\": {\"type\": \"tokens\", \"segment\": 8, "
                               "\"tokens\": 2}",
       3 * LAYER + HEAD},
      /* read: a query of 5, 30 features for 32 numbers and a normaliser; written by 2 of
       * 8 rows: key, value, beta; what is there, and what is added, with normalisers */
      {LAYERS("softmax", FULL) ", \"memory\": {\"type\": \"associative\", "
                               "\"segment\": 8, \"tokens\": 2, \"width\": 5}",
       3 * (LAYER + 5 * 32 + 30 * 33) + HEAD +
           3 * (5 * 32 + 32 * 32 + 32 + 30 * 67) * 2.0 / 8},
  };
  for (size_t i = 0; i < sizeof is / sizeof is[0]; i++) {
    lsp_model m = with(is[i].keys);
    if (lsp_model_flops_per_token(&m) != 2 * is[i].adds)
      fail_msg("%s: %g, not %g", is[i].keys, lsp_model_flops_per_token(&m) / 2,
               is[i].adds);
    lsp_model_close(&m);
  }
}

/* Products of width 8 of the 4 heads in 3 layers, over 10 positions: of segments of 4 the
 * candidates are 0, 4 and 6 (memory 6), of which 3 are taken. */
static void test_work_of_pairs_has_that_of_memories(void **state) {
  (void)state;
  static const struct {
    const char *keys;
    double products;
  } is[] = {
      {LAYERS("sum", LOCAL ", " SLOTS), 2 * 19 + 2 * 70},
      {LAYERS("softmax", LOCAL ", " SLOTS), 2 * 19 + 2 * 70},
      {"\"position\": \"relative\", " LAYERS("softmax", LOCAL ", " SLOTS),
       3 * 19 + 2 * 70},
      {LAYERS("memory_gate", LOCAL ", " STORE),
       2 * 19 + (4 * 4 + 2 * 6) + (4 * 3 + 2 * 3)},
      /* the first of a segment sees the last candidate in its window */
      {LAYERS("softmax", LOCAL ", " STORE),
       2 * 19 + (4 * 4 + 2 * 6 - 2) + (4 * 3 + 2 * 3)},
      {LAYERS("sum", LOCAL ", " COMPRESSIVE("")), 2 * 19},
      /* runs of 1 .. 4, 5 .. 8, 5, 6; of the third segment 2 rows have left */
      {LAYERS("softmax", PAST("")), 2 * (10 + 26 + 11) + 2 * 2 * 2},
  };
  for (size_t i = 0; i < sizeof is / sizeof is[0]; i++) {
    lsp_model m = with(is[i].keys);
    const double flops = lsp_model_flops_of_pairs(&m, 0, 10) / (3 * 4 * 2 * 8);
    if (flops != is[i].products)
      fail_msg("%s: %g, not %g", is[i].keys, flops, is[i].products);
    lsp_model_close(&m);
  }
}

LSP_TESTS(cmocka_unit_test(test_candidates_are_those_before_the_segment),
          cmocka_unit_test(test_compressed_rows_have_left_the_recurrence),
          cmocka_unit_test(test_reach_of_a_compressed_past_is_enough),
          cmocka_unit_test(test_reach_of_a_store_is_that_of_its_farthest_candidate),
          cmocka_unit_test(test_candidates_in_a_softmax_are_not_shown_twice),
          cmocka_unit_test(test_work_of_a_token_has_that_of_memories),
          cmocka_unit_test(test_work_of_pairs_has_that_of_memories))
