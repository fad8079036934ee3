/* Rows of a compressed past and learned slots: what queries see of them, unit by unit; pairs
 * and tiles against counting; what a run needs to continue from a position. */
#include "harness.h"
#include "random.h"

#include "lsp/kernels.h"
#include "lsp/model.h"
#include "lsp/pattern.h"

#include <time.h>

enum { CASES = 300, POSITIONS = 2500 };

/* A recurrence and the compressed past beside it. */
typedef struct {
  lsp_pattern recurrence, past, slots;
  lsp_view view;
} scene;

static scene random_scene(lsp_random *random) {
  scene s = {
      .recurrence = {.kind = LSP_PATTERN_RECURRENCE},
      .past = {.kind = LSP_PATTERN_COMPRESSED_PAST,
               .pool = 1 << lsp_random_in(random, 1, 6)},
      .slots = {.kind = LSP_PATTERN_LEARNED, .slots = lsp_random_in(random, 1, 300)}};
  const int64_t c = s.past.pool;
  s.recurrence.segment = s.past.segment = c * lsp_random_in(random, 1, 200 / c + 1);
  s.recurrence.memory = s.past.memory = c * lsp_random_in(random, 0, 300 / c);
  s.past.block_reach =
      lsp_random_in(random, 0, 2) == 0 ? 0 : lsp_random_in(random, 1, 150);
  return s;
}

/* View of all three; its pointers are to the caller's scene. */
static void look(scene *s) {
  s->view = (lsp_view){
      .run = {&s->recurrence}, .runs = 1, .pooled = &s->past, .learned = &s->slots};
}

/* Rows c u .. c u + c - 1 have left the memory of the query's segment, and no Mc units
 * after it have. */
static int sees(const lsp_pattern *p, int64_t i, int64_t u) {
  const int64_t left = i / p->segment * p->segment - p->memory;
  const int64_t newest = left >= 0 ? left / p->pool - 1 : -1;
  return u >= 0 && u <= newest && (p->block_reach == 0 || newest - u < p->block_reach);
}

static void test_rows_are_those_that_have_left_the_memory(void **state) {
  (void)state;
  lsp_random random = {1};
  for (int c = 0; c < CASES; c++) {
    const scene s = random_scene(&random);
    for (int64_t i = lsp_random_in(&random, 0, 10); i < POSITIONS; i += 7) {
      const lsp_keys k = lsp_pooled_keys(&s.past, 1, i);
      for (int64_t u = -1; u <= i / s.past.pool + 1; u++)
        assert_int_equal(sees(&s.past, i, u), u >= k.first && u < k.end);
      /* No position is seen twice, and none between the two is left out. */
      const lsp_keys run = lsp_pattern_of(&s.recurrence)->keys(&s.recurrence, 0, i);
      if (k.first < k.end)
        assert_int_equal(k.end * s.past.pool, run.first);
    }
  }
}

static int64_t count_pairs(const scene *s, int64_t first, int64_t end) {
  int64_t pairs = 0;
  for (int64_t i = first; i < end; i++) {
    const lsp_keys run = lsp_view_run(&s->view, 0, i);
    const lsp_keys k = lsp_pooled_keys(&s->past, 1, i);
    pairs += run.end - run.first + lsp_max(0, k.end - k.first) + s->slots.slots;
  }
  return pairs;
}

static void test_pairs_and_tiles_are_counted(void **state) {
  (void)state;
  lsp_random random = {2};
  for (int c = 0; c < CASES; c++) {
    scene s = random_scene(&random);
    look(&s);
    const int64_t first = lsp_random_in(&random, 0, c % 2 ? 9000 : 10);
    const int64_t end = first + lsp_random_in(&random, 0, c % 3 ? 300 : 20000);
    assert_true(lsp_view_pairs(&s.view, 0, first, end) ==
                (double)count_pairs(&s, first, end));
    const int64_t block = LSP_BLOCK * lsp_random_in(&random, 0, 40);
    const int64_t after = block + lsp_random_in(&random, 1, LSP_BLOCK);
    const lsp_view run = {.run = {&s.recurrence}, .runs = 1};
    static char touched[POSITIONS];
    int64_t tiles = lsp_view_tiles(&run, 0, block, after, 0);
    memset(touched, 0, sizeof touched);
    for (int64_t i = block; i < after; i++)
      for (int64_t u = 0; u <= i / s.past.pool; u++)
        touched[u / LSP_BLOCK] |= (char)sees(&s.past, i, u);
    for (size_t t = 0; t < sizeof touched; t++)
      tiles += touched[t];
    tiles += (s.slots.slots + LSP_BLOCK - 1) / LSP_BLOCK;
    assert_int_equal(lsp_view_tiles(&s.view, 0, block, after, 0), tiles);
  }
}

/* Ranges that nobody walks through. */
static void test_pairs_of_a_trillion_positions_take_no_time(void **state) {
  (void)state;
  lsp_random random = {3};
  const clock_t begin = clock();
  for (int c = 0; c < 1000; c++) {
    scene s = random_scene(&random);
    look(&s);
    const int64_t n = INT64_C(1000000000000);
    const double whole = lsp_view_pairs(&s.view, 0, 0, n);
    const double a = lsp_view_pairs(&s.view, 0, 0, n / 3);
    const double b = lsp_view_pairs(&s.view, 0, n / 3, n);
    assert_true(whole >= (double)n * (double)s.slots.slots);
    assert_true((whole - a - b) / whole < 1e-12 && (whole - a - b) / whole > -1e-12);
  }
  assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 20);
}

/* A run that goes on at a position has the last `reach` rows that are whole there; the
 * queries from there on see no older one, and some query sees nearly all of them. */
static void test_reach_is_what_queries_from_a_position_on_see(void **state) {
  (void)state;
  lsp_random random = {4};
  for (int c = 0; c < CASES; c++) {
    const scene s = random_scene(&random);
    const int64_t reach = lsp_level_reach(&s.past, 1), unit = s.past.pool;
    int64_t most = 0;
    if (s.past.block_reach == 0) {
      assert_int_equal(reach, LSP_REACH_ALL);
      continue;
    }
    for (int64_t at = 0; at < POSITIONS; at++) {
      const lsp_keys k = lsp_pooled_keys(&s.past, 1, at);
      if (k.first < k.end)
        most = lsp_max(most, at / unit - k.first);
    }
    assert_true(most <= reach);
    if (s.past.segment + s.past.memory + s.past.block_reach * unit < POSITIONS / 2)
      assert_true(reach - most <= 2);
  }
}

static void test_the_stratum_says_how_its_rows_are_made(void **state) {
  (void)state;
  lsp_stratum stratum[LSP_STRATA_MAX];
  for (int convolved = 0; convolved < 2; convolved++) {
    const lsp_layer l = {.branches = 2,
                         .branch = {{.kind = LSP_PATTERN_RECURRENCE, .segment = 64},
                                    {.kind = LSP_PATTERN_COMPRESSED_PAST,
                                     .segment = 64,
                                     .pool = 8,
                                     .convolved = convolved}}};
    assert_int_equal(lsp_layer_strata(&l, stratum), 1);
    assert_int_equal(stratum[0].unit, 8);
    assert_int_equal(stratum[0].below, -1);
    assert_int_equal(stratum[0].reach, LSP_REACH_ALL);
    assert_int_equal(stratum[0].plain, 1);
    assert_int_equal(stratum[0].convolved, convolved);
  }
}

LSP_TESTS(cmocka_unit_test(test_rows_are_those_that_have_left_the_memory),
          cmocka_unit_test(test_pairs_and_tiles_are_counted),
          cmocka_unit_test(test_pairs_of_a_trillion_positions_take_no_time),
          cmocka_unit_test(test_reach_is_what_queries_from_a_position_on_see),
          cmocka_unit_test(test_the_stratum_says_how_its_rows_are_made))
