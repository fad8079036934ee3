/* Patterns and views against their definitions, key by key. */
#include "harness.h"
#include "random.h"

#include "lsp/kernels.h"
#include "lsp/pattern.h"

#include <time.h>

enum { HEADS = 3, LOWEST = -1400, POSITIONS = 1500, VIEWS = 400 };

/* The patterns of this file: causal runs. test_sight.c has the others. */
enum { CAUSAL_RUNS = LSP_PATTERN_RECURRENCE + 1 };

/* What the head of pattern.h says, as a question about one key. */
static int sees(const lsp_pattern *p, int head, int64_t i, int64_t j) {
  if (j > i || (j < 0 && !p->virtual_past))
    return 0;
  switch (p->kind) {
  case LSP_PATTERN_FULL:
    return 1;
  case LSP_PATTERN_LOCAL:
    return j > i - (p->windows != NULL ? p->windows[head] : p->window);
  case LSP_PATTERN_FIXED:
    return j < p->sinks;
  default:
    return p->same_length ? j > i - p->memory : j >= i - i % p->segment - p->memory;
  }
}

/* windows (HEADS) is filled for some local patterns, and must outlive the pattern. */
static lsp_pattern random_pattern(lsp_random *random, lsp_pattern_kind kind,
                                  int64_t *windows) {
  lsp_pattern p = {.kind = kind,
                   .window = lsp_random_in(random, 1, 300),
                   .sinks = lsp_random_in(random, 1, 200),
                   .segment = lsp_random_in(random, 1, 150),
                   .memory = lsp_random_in(random, 0, 300),
                   .same_length = (int)lsp_random_in(random, 0, 1)};
  if (lsp_random_in(random, 0, 3) == 0)
    p.memory = lsp_random_in(random, 0, 1);
  if (p.same_length && p.memory == 0)
    p.memory = 1;
  if (kind == LSP_PATTERN_RECURRENCE)
    p.virtual_past = lsp_random_in(random, 0, 3) == 0;
  if (kind == LSP_PATTERN_LOCAL && lsp_random_in(random, 0, 1)) {
    p.windows = windows;
    p.window = 0;
    for (int h = 0; h < HEADS; h++) {
      windows[h] = lsp_random_in(random, 1, 300);
      p.window = lsp_max(p.window, windows[h]);
    }
  }
  return p;
}

/* ---- The table */

static void check_row(const lsp_pattern *p, int64_t first, int64_t end) {
  const lsp_pattern_row *row = lsp_pattern_of(p);
  for (int head = 0; head < HEADS; head++) {
    int64_t pairs = 0;
    for (int64_t i = first; i < end; i++) {
      const lsp_keys k = row->keys(p, head, i);
      for (int64_t j = LOWEST; j <= i + 2; j++) {
        assert_int_equal(sees(p, head, i, j), j >= k.first && j < k.end);
        pairs += sees(p, head, i, j);
      }
    }
    assert_true(row->pairs(p, head, first, end) == (double)pairs);
  }
}

static void test_keys_and_pairs_are_the_definition_for_every_row(void **state) {
  (void)state;
  lsp_random random = {1};
  int64_t windows[HEADS];
  for (int kind = 0; kind < CAUSAL_RUNS; kind++)
    for (int c = 0; c < 30; c++) {
      const lsp_pattern p = random_pattern(&random, (lsp_pattern_kind)kind, windows);
      const int64_t first = lsp_random_in(&random, 0, c % 2 ? 900 : 10);
      check_row(&p, first, first + lsp_random_in(&random, 0, 500));
    }
}

/* Reach is what the query that looks back farthest looks back. */
static void test_reach_is_the_most_that_a_query_looks_back(void **state) {
  (void)state;
  lsp_random random = {2};
  int64_t windows[HEADS];
  for (int kind = 0; kind < CAUSAL_RUNS; kind++)
    for (int c = 0; c < 30; c++) {
      const lsp_pattern p = random_pattern(&random, (lsp_pattern_kind)kind, windows);
      const int64_t reach = lsp_pattern_of(&p)->reach(&p);
      int64_t most = 0;
      for (int64_t i = 0; i < POSITIONS; i++)
        for (int head = 0; head < HEADS; head++)
          most = lsp_max(most, i - lsp_pattern_of(&p)->keys(&p, head, i).first);
      if (kind == LSP_PATTERN_FULL)
        assert_int_equal(reach, LSP_REACH_ALL);
      else if (kind == LSP_PATTERN_FIXED) /* kept apart */
        assert_int_equal(reach, 0);
      else
        assert_int_equal(reach, most);
    }
}

static void test_rows_have_the_names_of_configs(void **state) {
  (void)state;
  static const char *const names[] = {
      "full",    "local",   "fixed",      "recurrence",      "global",
      "random",  "chosen",  "compressed", "selected",        "levels",
      "dynamic", "learned", "store",      "compressed_past", "compressive"};
  assert_int_equal(sizeof names / sizeof *names, LSP_PATTERNS);
  for (int i = 0; i < LSP_PATTERNS; i++)
    assert_string_equal(lsp_pattern_table[i].name, names[i]);
}

/* ---- Views */

enum { BRANCHES = 4 };

typedef struct {
  lsp_pattern branch[BRANCHES];
  int64_t windows[BRANCHES][HEADS];
  int branches;
  lsp_view view;
} scene;

/* 1 .. 4 branches; the longest fixed one holds the others, as lsp_layer_views has it. */
static void open_scene(scene *s, lsp_random *random) {
  memset(s, 0, sizeof *s);
  s->branches = (int)lsp_random_in(random, 1, BRANCHES);
  for (int b = 0; b < s->branches; b++) {
    const int full = lsp_random_in(random, 0, 9) == 0;
    const lsp_pattern_kind kind =
        full ? LSP_PATTERN_FULL
             : (lsp_pattern_kind)lsp_random_in(random, LSP_PATTERN_LOCAL,
                                               LSP_PATTERN_RECURRENCE);
    lsp_pattern *p = &s->branch[b];
    *p = random_pattern(random, kind, s->windows[b]);
    if (kind != LSP_PATTERN_FIXED)
      s->view.run[s->view.runs++] = p;
    else if (s->view.fixed == NULL || p->sinks > s->view.fixed->sinks)
      s->view.fixed = p;
  }
}

static int any_sees(const scene *s, int head, int64_t i, int64_t j) {
  for (int b = 0; b < s->branches; b++)
    if (sees(&s->branch[b], head, i, j))
      return 1;
  return 0;
}

static int within(lsp_keys k, int64_t j) {
  return j >= k.first && j < k.end;
}

static void check_view(const scene *s, int head, int64_t first, int64_t end) {
  int64_t pairs = 0;
  for (int64_t i = first; i < end; i++) {
    const lsp_keys run = lsp_view_run(&s->view, head, i);
    const lsp_keys fixed = lsp_view_fixed(&s->view, head, i);
    for (int64_t j = LOWEST; j <= i + 2; j++) {
      const int seen = any_sees(s, head, i, j);
      assert_false(within(run, j) && within(fixed, j));
      assert_int_equal(within(run, j) || within(fixed, j), seen);
      pairs += seen;
    }
  }
  if (lsp_view_pairs(&s->view, head, first, end) != (double)pairs)
    fail_msg("pairs of [%lld, %lld): %.0f, counted %lld", (long long)first,
             (long long)end, lsp_view_pairs(&s->view, head, first, end),
             (long long)pairs);
}

static void
test_run_and_fixed_are_the_union_of_the_branches_and_disjoint(void **state) {
  (void)state;
  static scene s;
  lsp_random random = {3};
  for (int c = 0; c < VIEWS; c++) {
    open_scene(&s, &random);
    const int64_t first = lsp_random_in(&random, 0, c % 2 ? 900 : 10);
    check_view(&s, (int)lsp_random_in(&random, 0, HEADS - 1), first,
               first + lsp_random_in(&random, 0, 300));
  }
}

/* A tile that a source has keys in for any query of the block is a product. */
static void check_tiles(const scene *s, int head, int64_t first, int64_t end) {
  static char run_touched[POSITIONS], fixed_touched[POSITIONS];
  const int64_t base = -LOWEST / LSP_BLOCK + 2;
  int64_t tiles = 0;
  memset(run_touched, 0, sizeof run_touched);
  memset(fixed_touched, 0, sizeof fixed_touched);
  for (int64_t i = first; i < end; i++) {
    const lsp_keys run = lsp_view_run(&s->view, head, i);
    const lsp_keys fixed = lsp_view_fixed(&s->view, head, i);
    for (int64_t j = run.first; j < run.end; j++)
      run_touched[lsp_block_of(j) + base] = 1;
    for (int64_t j = fixed.first; j < fixed.end; j++)
      fixed_touched[lsp_block_of(j) + base] = 1;
  }
  for (size_t t = 0; t < sizeof run_touched; t++)
    tiles += run_touched[t];
  for (size_t t = 0; t < sizeof fixed_touched; t++)
    tiles += fixed_touched[t];
  assert_int_equal(lsp_view_tiles(&s->view, head, first, end, 0), tiles);
}

static void test_tiles_are_those_that_a_block_touches(void **state) {
  (void)state;
  static scene s;
  lsp_random random = {4};
  for (int c = 0; c < 4 * VIEWS; c++) {
    open_scene(&s, &random);
    const int64_t block = LSP_BLOCK * lsp_random_in(&random, 0, c % 2 ? 20 : 3);
    const int64_t rows = c % 3 ? LSP_BLOCK : lsp_random_in(&random, 1, LSP_BLOCK);
    check_tiles(&s, (int)lsp_random_in(&random, 0, HEADS - 1), block, block + rows);
  }
}

/* Ranges far longer than any period or reach, against walking them. */
static void test_pairs_of_long_ranges_are_counted(void **state) {
  (void)state;
  static scene s;
  lsp_random random = {5};
  for (int c = 0; c < VIEWS; c++) {
    open_scene(&s, &random);
    const int64_t first = lsp_random_in(&random, 0, c % 2 ? 2000 : 3);
    const int64_t end = first + lsp_random_in(&random, 0, 60000);
    const int head = (int)lsp_random_in(&random, 0, HEADS - 1);
    double pairs = 0;
    for (int64_t i = first; i < end; i++) {
      const lsp_keys run = lsp_view_run(&s.view, head, i);
      const lsp_keys fixed = lsp_view_fixed(&s.view, head, i);
      pairs +=
          (double)(run.end - run.first) + (double)lsp_max(0, fixed.end - fixed.first);
    }
    if (lsp_view_pairs(&s.view, head, first, end) != pairs)
      fail_msg("case %d: pairs of [%lld, %lld): %.0f, counted %.0f", c,
               (long long)first, (long long)end,
               lsp_view_pairs(&s.view, head, first, end), pairs);
  }
}

/* Past every reach the pairs of a range grow in proportion: a thousand such calls, each of
 * which would take minutes if it walked, in a second of this process. */
static void test_pairs_of_a_trillion_positions_take_no_time(void **state) {
  (void)state;
  static scene s;
  lsp_random random = {6};
  const clock_t begin = clock();
  for (int c = 0; c < 1000; c++) {
    open_scene(&s, &random);
    const int64_t n = INT64_C(1000000000000);
    const double whole = lsp_view_pairs(&s.view, 0, 0, n);
    const double a = lsp_view_pairs(&s.view, 0, 0, n / 3);
    const double b = lsp_view_pairs(&s.view, 0, n / 3, n);
    assert_true(whole >= (double)n);
    assert_true((whole - a - b) / whole < 1e-12 && (whole - a - b) / whole > -1e-12);
  }
  assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 20);
}

LSP_TESTS(
    cmocka_unit_test(test_rows_have_the_names_of_configs),
    cmocka_unit_test(test_keys_and_pairs_are_the_definition_for_every_row),
    cmocka_unit_test(test_reach_is_the_most_that_a_query_looks_back),
    cmocka_unit_test(test_run_and_fixed_are_the_union_of_the_branches_and_disjoint),
    cmocka_unit_test(test_tiles_are_those_that_a_block_touches),
    cmocka_unit_test(test_pairs_of_long_ranges_are_counted),
    cmocka_unit_test(test_pairs_of_a_trillion_positions_take_no_time))
