/* What pictures show of each kind of branch, key by key, against its definition. */
#include "harness.h"
#include "random.h"

#include "../../src/cli/info_sight.h"

enum { ROWS = 700, LEVELS = 4, POSITIONS = 5, BLOCK = 64 };

/* What one query sees: of each row its weight, and by level the averages that begin at a
 * row. */
typedef struct {
  int weight[ROWS], global[ROWS], drawn[ROWS], average[LEVELS + 1][ROWS];
  int compared[ROWS], held[ROWS];
} sight;

static void note(const lsp_seen *seen, void *arg) {
  sight *s = arg;
  assert_true(seen->first >= 0 && seen->first < seen->end && seen->end <= ROWS);
  if (seen->how == LSP_SEEN_POOLED) {
    assert_int_equal((seen->end - seen->first) % seen->unit, 0);
    for (int64_t j = seen->first; j < seen->end; j += seen->unit)
      s->average[seen->level][j]++;
    return;
  }
  assert_int_equal(seen->unit, 1);
  assert_int_equal(seen->level, 0);
  for (int64_t j = seen->first; j < seen->end; j++) {
    s->held[j] += seen->how == LSP_SEEN_HELD;
    s->compared[j] += seen->how == LSP_SEEN_COMPARED;
    if (seen->how == LSP_SEEN_HELD || seen->how == LSP_SEEN_COMPARED)
      continue;
    s->weight[j] = seen->weight > s->weight[j] ? seen->weight : s->weight[j];
    s->global[j] += seen->how == LSP_SEEN_GLOBAL;
    s->drawn[j] += seen->how == LSP_SEEN_RANDOM || seen->how == LSP_SEEN_CHOSEN;
  }
}

static void look(const lsp_sight *of, int64_t i, sight *s) {
  memset(s, 0, sizeof *s);
  lsp_sight_of(of, i, note, s);
}

static lsp_sight alone(lsp_sight_part part, int two_sided) {
  return (lsp_sight){.two_sided = two_sided, .rows = ROWS, .part = {part}, .parts = 1};
}

/* --- patterns, global rows, a ramp ------------------------------------------------ */

static int sees(const lsp_pattern *p, int two_sided, int64_t i, int64_t j) {
  if (!two_sided && j > i)
    return 0;
  switch (p->kind) {
  case LSP_PATTERN_LOCAL:
    return two_sided ? llabs(i - j) <= p->window : j > i - p->window;
  case LSP_PATTERN_FIXED:
    return j < p->sinks;
  case LSP_PATTERN_RECURRENCE:
    return j >= i - i % p->segment - p->memory;
  default:
    return 1;
  }
}

static void test_patterns_are_seen_on_one_side_or_on_both(void **state) {
  (void)state;
  lsp_random random = {1};
  sight s;
  for (int c = 0; c < 60; c++) {
    const int two_sided = c % 2;
    const lsp_pattern p = {.kind = (lsp_pattern_kind)(c / 2 % (two_sided ? 3 : 4)),
                           .two_sided = two_sided,
                           .window = lsp_random_in(&random, 1, 300),
                           .sinks = lsp_random_in(&random, 1, 100),
                           .segment = lsp_random_in(&random, 1, 90),
                           .memory = lsp_random_in(&random, 0, 90)};
    const lsp_sight of =
        alone((lsp_sight_part){.kind = LSP_SIGHT_PATTERN, .pattern = &p}, two_sided);
    const int64_t i = lsp_random_in(&random, 0, ROWS - 1);
    look(&of, i, &s);
    for (int64_t j = 0; j < ROWS; j++)
      assert_int_equal(s.weight[j], sees(&p, two_sided, i, j) ? LSP_SEEN_WHOLE : 0);
  }
}

static void test_global_rows_see_all_and_are_seen_by_all(void **state) {
  (void)state;
  static const int64_t positions[POSITIONS] = {0, 3, 64, 300, 699};
  sight s;
  for (int c = 0; c < 4; c++) {
    const int two_sided = c % 2, first_rows = c / 2;
    const lsp_sight of =
        alone((lsp_sight_part){.kind = LSP_SIGHT_GLOBAL,
                               .positions = first_rows ? NULL : positions,
                               .count = POSITIONS},
              two_sided);
    int is_global[ROWS] = {0};
    for (int k = 0; k < POSITIONS; k++)
      is_global[first_rows ? k : positions[k]] = 1;
    for (int64_t i = 0; i < ROWS; i++) {
      look(&of, i, &s);
      for (int64_t j = 0; j < ROWS; j++)
        assert_int_equal(s.global[j],
                         (two_sided || j <= i) && (is_global[i] || is_global[j]));
      assert_int_equal(lsp_sight_speaker(&of, i, i + 1), i);
    }
    assert_int_equal(lsp_sight_speaker(&of, 290, 310), first_rows ? 309 : 300);
    assert_int_equal(lsp_sight_speaker(&of, 301, 310), 309);
  }
}

static void test_a_ramp_falls_by_eighths(void **state) {
  (void)state;
  lsp_random random = {3};
  sight s;
  for (int c = 0; c < 60; c++) {
    const lsp_sight_part p = {.kind = LSP_SIGHT_DYNAMIC,
                              .window = lsp_random_in(&random, 0, 300),
                              .ramp = lsp_random_in(&random, 1, c % 2 ? 300 : 9)};
    const lsp_sight of = alone(p, 0);
    const int64_t i = lsp_random_in(&random, 0, ROWS - 1);
    look(&of, i, &s);
    for (int64_t j = 0; j < ROWS; j++) {
      const double m = (double)(p.ramp + p.window - (i - j)) / (double)p.ramp;
      const double kept = j > i || m < 0 ? 0 : m > 1 ? 1 : m;
      assert_true(8 * kept <= s.weight[j] && 8 * kept > s.weight[j] - 1);
    }
    assert_int_equal(s.weight[i], LSP_SEEN_WHOLE);
  }
}

/* --- blocks ---------------------------------------------------------------------- */

static int is_candidate(const lsp_sight *of, int64_t b, int64_t c) {
  const lsp_sight_part *p = &of->part[0];
  if (of->two_sided)
    return llabs(c - b) <= p->reach && llabs(c - b) > p->beyond;
  return c >= b - p->reach && c <= b - 1 - p->beyond;
}

/* Whole blocks, each once, as many as there are to be. */
static void check_drawn(const lsp_sight *of, int64_t b, const sight *s) {
  int64_t candidates = 0, drawn = 0;
  for (int64_t c = 0; c < lsp_divide_up(ROWS, BLOCK); c++) {
    const int is = s->drawn[c * BLOCK];
    for (int64_t j = c * BLOCK; j < lsp_min((c + 1) * BLOCK, ROWS); j++)
      assert_int_equal(s->drawn[j], is);
    assert_true(is <= is_candidate(of, b, c));
    candidates += is_candidate(of, b, c);
    drawn += is;
  }
  assert_int_equal(drawn, lsp_min(of->part[0].blocks, candidates));
}

static void test_blocks_are_candidates_and_as_many_as_asked_for(void **state) {
  (void)state;
  lsp_random random = {4};
  sight s;
  for (int c = 0; c < 300; c++) {
    const int chosen = c % 3 == 0;
    lsp_sight of =
        alone((lsp_sight_part){.kind = chosen ? LSP_SIGHT_CHOSEN : LSP_SIGHT_RANDOM,
                               .blocks = lsp_random_in(&random, 1, 5),
                               .reach = lsp_random_in(&random, 1, 12),
                               .beyond = lsp_random_in(&random, 0, 3)},
              !chosen && c % 2);
    const int64_t i = lsp_random_in(&random, 0, ROWS - 1), b = i / BLOCK;
    look(&of, i, &s);
    check_drawn(&of, b, &s);
    for (int64_t j = b * BLOCK; chosen && j < lsp_min((b + 1) * BLOCK, ROWS); j++)
      assert_int_equal(s.weight[j], j <= i ? LSP_SEEN_WHOLE : 0);
  }
}

typedef struct {
  int64_t block[16];
  int count;
} block_list;

static void note_block(const lsp_seen *seen, void *arg) {
  block_list *l = arg;
  assert_true(l->count < 16);
  int at = l->count++;
  for (; at > 0 && l->block[at - 1] > seen->first / BLOCK; at--)
    l->block[at] = l->block[at - 1];
  l->block[at] = seen->first / BLOCK;
}

/* Evaluated by another program, from the formulas. */
static void test_the_draw_is_the_same_everywhere(void **state) {
  (void)state;
  static const struct {
    uint64_t seed;
    int layer, head;
    int64_t b, reach, beyond, blocks;
    int two_sided;
    int64_t rows, drawn[8];
  } known[] = {
      {0, 0, 0, 9, 9, 0, 3, 0, 4096, {0, 3, 6}},
      {7, 3, 2, 40, 30, 2, 5, 0, 4096, {11, 13, 22, 26, 37}},
      {4294967295, 11, 15, 63, 63, 0, 8, 0, 4096, {4, 8, 26, 30, 47, 51, 55, 58}},
      {1, 2, 3, 20, 10, 1, 6, 1, 4096, {12, 16, 22, 23, 26, 29}},
      {5, 0, 1, 2, 8, 3, 4, 1, 1000, {7, 8, 9, 10}}};
  for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
    const lsp_sight of = {.two_sided = known[k].two_sided,
                          .rows = known[k].rows,
                          .layer = known[k].layer,
                          .head = known[k].head,
                          .part = {{.kind = LSP_SIGHT_RANDOM,
                                    .blocks = known[k].blocks,
                                    .reach = known[k].reach,
                                    .beyond = known[k].beyond,
                                    .seed = known[k].seed}},
                          .parts = 1};
    block_list l = {.count = 0};
    lsp_sight_of(&of, known[k].b * BLOCK + 5, note_block, &l);
    assert_int_equal(l.count, known[k].blocks);
    for (int n = 0; n < l.count; n++)
      assert_int_equal(l.block[n], known[k].drawn[n]);
  }
}

/* --- averages -------------------------------------------------------------------- */

static int sees_average(const lsp_sight_part *p, int64_t i, int64_t c) {
  return (c + 1) * p->pool - 1 <= i &&
         (p->reach == 0 || c >= (i + 1) / p->pool - p->reach);
}

static void test_averages_are_whole_and_within_reach(void **state) {
  (void)state;
  lsp_random random = {5};
  sight s;
  for (int c = 0; c < 100; c++) {
    const lsp_sight_part p = {
        .kind = LSP_SIGHT_COMPRESSED,
        .pool = (int64_t)1 << lsp_random_in(&random, 1, 6),
        .reach = c % 2 ? lsp_random_in(&random, 1, c % 4 == 1 ? 2 : 40) : 0};
    const lsp_sight of = alone(p, 0);
    const int64_t i = lsp_random_in(&random, 0, ROWS - 1);
    look(&of, i, &s);
    for (int64_t j = 0; j < ROWS; j++)
      assert_int_equal(s.average[1][j],
                       j % p.pool == 0 && sees_average(&p, i, j / p.pool));
  }
}

static void test_selected_blocks_have_an_average_that_is_seen(void **state) {
  (void)state;
  lsp_random random = {6};
  sight s;
  for (int c = 0; c < 100; c++) {
    const lsp_sight_part p = {
        .kind = LSP_SIGHT_SELECTED,
        .blocks = lsp_random_in(&random, 1, 6),
        .pool = (int64_t)1 << lsp_random_in(&random, 1, 6),
        .reach = c % 2 ? lsp_random_in(&random, 1, c % 4 == 1 ? 2 : 40) : 0};
    const lsp_sight of = alone(p, 0);
    const int64_t i = lsp_random_in(&random, 0, ROWS - 1), b = i / BLOCK;
    int64_t may = 0, drawn = 0;
    look(&of, i, &s);
    for (int64_t block = 0; block < b; block++) {
      int any = 0;
      for (int64_t j = 0; j < ROWS; j += p.pool)
        any = any || (j / BLOCK == block && sees_average(&p, i, j / p.pool));
      assert_true(s.drawn[block * BLOCK] <= any);
      may += any;
      drawn += s.drawn[block * BLOCK];
    }
    assert_int_equal(drawn, lsp_min(p.blocks - 1, may));
    for (int64_t j = b * BLOCK; j < ROWS; j++)
      assert_int_equal(s.weight[j], j <= i ? LSP_SEEN_WHOLE : 0);
  }
}

/* Every row as far back as the levels reach is seen once, by itself or in one average;
 * the nearer the finer. */
static void test_levels_follow_each_other_without_a_gap(void **state) {
  (void)state;
  lsp_random random = {7};
  sight s;
  for (int c = 0; c < 200; c++) {
    const int64_t pool = (int64_t)1 << lsp_random_in(&random, 1, 3);
    const lsp_sight_part p = {.kind = LSP_SIGHT_LEVELS,
                              .pool = pool,
                              .levels = (int)lsp_random_in(&random, 1, LEVELS),
                              .window = pool * lsp_random_in(&random, 1, 6)};
    const lsp_sight of = alone(p, 0);
    const int64_t i = lsp_random_in(&random, 0, ROWS - 1);
    look(&of, i, &s);
    int64_t from = i + 1, unit = 1;
    for (int level = 0; level <= p.levels; level++, unit *= pool) {
      int64_t count = 0;
      const int *at = level == 0 ? s.weight : s.average[level];
      while (from - unit >= 0 && at[from - unit] > 0) {
        from -= unit;
        count++;
      }
      assert_int_equal(from % unit, 0);
      assert_true(count <= p.window + (level < p.levels ? pool - 1 : 0));
      assert_true(from == 0 || count >= p.window || (level > 0 && from / unit == 0));
    }
    for (int64_t j = 0; j < from; j++) /* and nothing else */
      for (int level = 0; level <= p.levels; level++)
        assert_int_equal(level == 0 ? s.weight[j] : s.average[level][j], 0);
  }
}

/* --- memories -------------------------------------------------------------------- */

/* As many as are asked for, of those that are compared. */
static void test_what_is_found_was_compared(void **state) {
  (void)state;
  lsp_random random = {8};
  sight s;
  for (int c = 0; c < 200; c++) {
    const lsp_pattern p = {.kind = LSP_PATTERN_STORE,
                           .memory = c % 3 == 0 ? 0 : lsp_random_in(&random, 1, 300),
                           .segment = lsp_random_in(&random, 1, 90),
                           .neighbours = (int)lsp_random_in(&random, 1, 20)};
    const lsp_sight of =
        alone((lsp_sight_part){.kind = LSP_SIGHT_STORE, .pattern = &p}, 0);
    const int64_t i = lsp_random_in(&random, 0, ROWS - 1), a = i - i % p.segment;
    int64_t compared = 0, found = 0;
    look(&of, i, &s);
    for (int64_t j = 0; j < ROWS; j++) {
      assert_int_equal(s.compared[j], j < a && (p.memory == 0 || j >= a - p.memory));
      assert_true(s.drawn[j] <= s.compared[j]);
      compared += s.compared[j];
      found += s.drawn[j];
    }
    assert_int_equal(found, lsp_min(compared, p.neighbours));
  }
}

static void test_what_left_the_recurrence_is_averaged(void **state) {
  (void)state;
  sight s;
  const lsp_pattern p = {.kind = LSP_PATTERN_COMPRESSED_PAST,
                         .pool = 8,
                         .block_reach = 20,
                         .segment = 48,
                         .memory = 64};
  const lsp_sight of =
      alone((lsp_sight_part){.kind = LSP_SIGHT_PAST, .pattern = &p}, 0);
  for (int64_t i = 0; i < ROWS; i++) {
    const int64_t end = i - i % 48 - 64;
    look(&of, i, &s);
    for (int64_t j = 0; j < ROWS; j++)
      assert_int_equal(s.average[1][j],
                       j % 8 == 0 && j + 8 <= end && j >= end / 8 * 8 - 160);
  }
}

static void test_all_segments_before_are_held(void **state) {
  (void)state;
  sight s;
  const lsp_pattern p = {.kind = LSP_PATTERN_COMPRESSIVE, .segment = 50};
  const lsp_sight of =
      alone((lsp_sight_part){.kind = LSP_SIGHT_HELD, .pattern = &p}, 0);
  for (int64_t i = 0; i < ROWS; i++) {
    look(&of, i, &s);
    for (int64_t j = 0; j < ROWS; j++) {
      assert_int_equal(s.held[j], j < i - i % 50);
      assert_int_equal(s.weight[j], 0);
    }
  }
}

/* Of a window in frames: rows of the segment and those read again before it; rows of no
 * text take places of the window. */
static void test_frames_are_seen_as_rows_of_the_text(void **state) {
  (void)state;
  lsp_random random = {9};
  sight s;
  for (int c = 0; c < 300; c++) {
    const int two_sided = c % 2;
    const lsp_pattern p = {.kind = LSP_PATTERN_LOCAL,
                           .two_sided = two_sided,
                           .window = lsp_random_in(&random, 1, 150)};
    lsp_sight of =
        alone((lsp_sight_part){.kind = LSP_SIGHT_PATTERN, .pattern = &p}, two_sided);
    of.segment = lsp_random_in(&random, 1, 200);
    of.again = c % 3 == 0 ? 0 : lsp_random_in(&random, 1, 250);
    of.before = c % 3 == 0 ? lsp_random_in(&random, 0, 9) : 0;
    of.holds = c % 5 == 0;
    const int64_t i = lsp_random_in(&random, 0, ROWS - 1), a = i - i % of.segment;
    look(&of, i, &s);
    for (int64_t j = 0; j < ROWS; j++) {
      const int in_frame = j >= a - of.again && j < a + of.segment;
      assert_int_equal(s.weight[j],
                       in_frame && sees(&p, two_sided, i, j) ? LSP_SEEN_WHOLE : 0);
      assert_int_equal(s.held[j], of.holds && j < a);
    }
  }
}

static void test_reaches_of_any_size_are_no_overflow(void **state) {
  (void)state;
  const lsp_sight_part levels = {.kind = LSP_SIGHT_LEVELS,
                                 .window = (int64_t)1 << 40,
                                 .pool = 32,
                                 .levels = 8},
                       random = {.kind = LSP_SIGHT_RANDOM, .reach = INT64_MAX / 2},
                       near = {.kind = LSP_SIGHT_LEVELS,
                               .window = 16,
                               .pool = 4,
                               .levels = 3};
  assert_true(lsp_sight_reach(&levels) > (int64_t)1 << 50);
  assert_true(lsp_sight_reach(&random) > (int64_t)1 << 50);
  assert_int_equal(lsp_sight_reach(&near), 16 * 64);
}

LSP_TESTS(cmocka_unit_test(test_patterns_are_seen_on_one_side_or_on_both),
          cmocka_unit_test(test_global_rows_see_all_and_are_seen_by_all),
          cmocka_unit_test(test_a_ramp_falls_by_eighths),
          cmocka_unit_test(test_blocks_are_candidates_and_as_many_as_asked_for),
          cmocka_unit_test(test_the_draw_is_the_same_everywhere),
          cmocka_unit_test(test_averages_are_whole_and_within_reach),
          cmocka_unit_test(test_selected_blocks_have_an_average_that_is_seen),
          cmocka_unit_test(test_levels_follow_each_other_without_a_gap),
          cmocka_unit_test(test_what_is_found_was_compared),
          cmocka_unit_test(test_what_left_the_recurrence_is_averaged),
          cmocka_unit_test(test_all_segments_before_are_held),
          cmocka_unit_test(test_frames_are_seen_as_rows_of_the_text),
          cmocka_unit_test(test_reaches_of_any_size_are_no_overflow))
