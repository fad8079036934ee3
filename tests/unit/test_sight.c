/* What layers see, source by source, against the definition of each branch written once
 * more, key by key: blocks that are drawn or chosen, means, learned spans, rows that all
 * see, both sides. */
#include "harness.h"
#include "random.h"

#include "lsp/model.h"

#include <time.h>

enum { HEADS = 3, ROWS = 640, BLOCKS = ROWS / LSP_GRID_BLOCK, LAYERS = 240 };

/* ---- The definitions */

/* A step of splitmix64, and a draw below n: products of 64 bits in four parts. */
static uint64_t step(uint64_t z) {
  z += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

static int64_t high_half(uint64_t a, uint64_t b) {
  const uint64_t a0 = a & UINT32_MAX, a1 = a >> 32, b0 = b & UINT32_MAX, b1 = b >> 32;
  const uint64_t middle = (a0 * b0 >> 32) + (a1 * b0 & UINT32_MAX) + a0 * b1;
  return (int64_t)(a1 * b1 + (a1 * b0 >> 32) + (middle >> 32));
}

/* Blocks that query block b may draw from, into list (at most `most`). */
static int list_candidates(const lsp_pattern *p, int64_t b, int64_t blocks,
                           int64_t *list, int most) {
  int n = 0;
  for (int64_t c = lsp_max(0, b - p->block_reach); c <= b + p->block_reach; c++) {
    const int64_t away = c > b ? c - b : b - c;
    if (away <= p->beyond || (p->two_sided ? c >= blocks : c > b))
      continue;
    assert_true(n < most);
    list[n++] = c;
  }
  return n;
}

/* Floyd: for m = n - r .. n - 1, a number up to m, or m if that one is taken. */
static int draw(const lsp_pattern *p, int layer, int head, int64_t b, int64_t blocks,
                int64_t *drawn) {
  static int64_t list[4096];
  static char taken[4096];
  const int n = list_candidates(p, b, blocks, list, 4096);
  uint64_t key = step(p->seed);
  key = step(key ^ (uint64_t)layer);
  key = step(key ^ (uint64_t)head);
  key = step(key ^ (uint64_t)b);
  memset(taken, n <= p->blocks, (size_t)n);
  for (int t = 0; t < p->blocks && n > p->blocks; t++) {
    const int m = n - p->blocks + t;
    const uint64_t u = step(key + (uint64_t)t * UINT64_C(0x9e3779b97f4a7c15));
    const int64_t x = high_half(u, (uint64_t)m + 1);
    taken[taken[x] ? m : x] = 1;
  }
  int count = 0;
  for (int c = 0; c < n; c++)
    if (taken[c])
      drawn[count++] = list[c];
  return count;
}

/* A layer, and what was chosen for it: of each query, which blocks. */
typedef struct {
  lsp_layer layer;
  lsp_model model; /* of this layer alone */
  int number;
  int64_t windows[LSP_BRANCHES_MAX][HEADS], positions[8], spans_windows[HEADS];
  float spans[HEADS];
  char chosen[ROWS][BLOCKS];
  char drawn[LSP_BRANCHES_MAX][HEADS][BLOCKS][BLOCKS];
} scene;

static int is_global(const lsp_pattern *p, int64_t i) {
  for (int n = 0; n < p->position_count; n++)
    if (p->positions[n] == i)
      return 1;
  return p->positions == NULL && i < p->sinks;
}

/* Blocks with a mean that query i sees: those that can be selected. */
static int has_mean(const lsp_pattern *p, int64_t i, int64_t block) {
  for (int64_t c = 0; (c + 1) * p->pool - 1 <= i; c++)
    if (c * p->pool / LSP_GRID_BLOCK == block &&
        (p->block_reach == 0 || c >= (i + 1) / p->pool - p->block_reach))
      return 1;
  return 0;
}

/* First position of level l, 0 .. p->levels. */
static int64_t level_start(const lsp_pattern *p, int l, int64_t i) {
  const int64_t unit = lsp_level_unit(p, l), step_up = l < p->levels ? p->pool : 1;
  const int64_t end = l == 0 ? i + 1 : level_start(p, l - 1, i) / unit;
  const int64_t first = end - p->window;
  return first <= 0 ? 0 : first / step_up * step_up * unit;
}

static int sees_causal(const scene *s, int branch, int head, int64_t i, int64_t j) {
  const lsp_pattern *p = &s->layer.branch[branch];
  const int64_t own = lsp_block_of(i), block = lsp_block_of(j);
  switch (p->kind) {
  case LSP_PATTERN_FULL:
    return 1;
  case LSP_PATTERN_LOCAL:
    return i - j < (p->windows == NULL ? p->window : p->windows[head]);
  case LSP_PATTERN_FIXED:
    return j < p->sinks;
  case LSP_PATTERN_GLOBAL:
    return is_global(p, j) || is_global(p, i);
  case LSP_PATTERN_RANDOM:
    return s->drawn[branch][head][own][block];
  case LSP_PATTERN_CHOSEN:
  case LSP_PATTERN_SELECTED:
    return block == own || s->chosen[i][block];
  case LSP_PATTERN_LEVELS:
    return j >= level_start(p, 0, i);
  case LSP_PATTERN_DYNAMIC: {
    const float part = s->spans[head] < 0 ? 0 : s->spans[head] > 1 ? 1 : s->spans[head];
    return (double)p->ramp + (double)((float)p->window * part) - (double)(i - j) > 0;
  }
  default:
    return 0;
  }
}

/* Global rows of a two-sided model see more; what they do is not a view's. */
static int sees_two_sided(const scene *s, int branch, int head, int64_t i, int64_t j) {
  const lsp_pattern *p = &s->layer.branch[branch];
  const int64_t away = i < j ? j - i : i - j;
  if (p->kind == LSP_PATTERN_LOCAL)
    return away <= (p->windows == NULL ? p->window : p->windows[head]);
  if (p->kind == LSP_PATTERN_GLOBAL)
    return is_global(p, j);
  return sees_causal(s, branch, head, i, j);
}

static int sees(const scene *s, int branch, int head, int64_t i, int64_t j) {
  if (s->layer.branch[branch].two_sided)
    return sees_two_sided(s, branch, head, i, j);
  return j <= i && sees_causal(s, branch, head, i, j);
}

/* Does query i see mean c of a level? */
static int sees_mean(const lsp_pattern *p, int level, int64_t i, int64_t c) {
  const int64_t unit = lsp_level_unit(p, level), at = c * unit;
  if (p->kind == LSP_PATTERN_COMPRESSED)
    return at + unit - 1 <= i &&
           (p->block_reach == 0 || c >= (i + 1) / p->pool - p->block_reach);
  return at >= level_start(p, level, i) && at + unit <= level_start(p, level - 1, i);
}

/* ---- Scenes */

static int64_t in(lsp_random *random, int64_t low, int64_t high) {
  return lsp_random_in(random, low, high);
}

static void fill_branch(scene *s, int b, lsp_pattern_kind kind, lsp_random *random) {
  lsp_pattern *p = &s->layer.branch[b];
  const int pool = 1 << in(random, 1, kind == LSP_PATTERN_LEVELS ? 4 : 6);
  *p = (lsp_pattern){.kind = kind,
                     .two_sided = s->model.two_sided,
                     .window = in(random, 1, 150),
                     .sinks = in(random, 1, 100),
                     .block_reach = in(random, 1, BLOCKS + 2),
                     .pool = pool,
                     .levels = (int)in(random, 1, 4),
                     .ramp = in(random, 1, 40),
                     .seed = lsp_random_bits(random) & UINT32_MAX};
  p->beyond = in(random, 0, lsp_min(3, p->block_reach - 1));
  p->blocks = (int)in(random, 1, lsp_min(6, p->block_reach - p->beyond));
  if (kind == LSP_PATTERN_COMPRESSED || kind == LSP_PATTERN_SELECTED)
    p->block_reach = in(random, 0, 40);
  if (kind == LSP_PATTERN_LEVELS)
    p->window = pool * in(random, 1, 8);
  if (kind == LSP_PATTERN_GLOBAL && in(random, 0, 1)) {
    p->positions = s->positions;
    p->position_count = (int)in(random, 1, 8);
    p->sinks = 0;
    for (int n = 0; n < p->position_count; n++)
      s->positions[n] = (n == 0 ? 0 : s->positions[n - 1] + 1) + in(random, 0, 30);
  }
  if (kind == LSP_PATTERN_LOCAL && in(random, 0, 1)) {
    p->windows = s->windows[b];
    p->window = 0;
    for (int h = 0; h < HEADS; h++) {
      s->windows[b][h] = in(random, 1, 150);
      p->window = lsp_max(p->window, p->windows[h]);
    }
  }
  if (kind == LSP_PATTERN_DYNAMIC)
    p->windows = s->layer.span_windows = s->spans_windows;
}

/* Any blocks that may be chosen, `most` at most. */
static void choose(scene *s, const lsp_pattern *p, int64_t i, int most,
                   lsp_random *random) {
  const int64_t b = lsp_block_of(i);
  for (int tries = 0; tries < 3 * most; tries++) {
    const int64_t c = in(random, 0, BLOCKS - 1);
    int taken = 0;
    for (int64_t k = 0; k < BLOCKS; k++)
      taken += s->chosen[i][k];
    const int candidate = p->kind == LSP_PATTERN_SELECTED
                              ? c < b && has_mean(p, i, c)
                              : c >= b - p->block_reach && c <= b - 1 - p->beyond;
    if (candidate && taken < most)
      s->chosen[i][c] = 1;
  }
}

static void choose_and_draw(scene *s, lsp_random *random) {
  for (int b = 0; b < s->layer.branches; b++) {
    const lsp_pattern *p = &s->layer.branch[b];
    for (int64_t i = 0; i < ROWS && p->kind == LSP_PATTERN_SELECTED; i++)
      choose(s, p, i, p->blocks - 1, random);
    for (int64_t i = 0; i < ROWS && p->kind == LSP_PATTERN_CHOSEN; i++) {
      if (i % LSP_GRID_BLOCK == 0)
        choose(s, p, i, p->blocks, random);
      else
        memcpy(s->chosen[i], s->chosen[i - 1], BLOCKS);
    }
    for (int h = 0; h < HEADS && p->kind == LSP_PATTERN_RANDOM; h++)
      for (int64_t q = 0; q < BLOCKS; q++) {
        int64_t list[BLOCKS];
        const int n = draw(p, s->number, h, q, BLOCKS, list);
        for (int k = 0; k < n; k++)
          s->drawn[b][h][q][list[k]] = 1;
      }
  }
}

/* 1 .. 5 branches in one softmax: those that go together, or one that is alone. */
static void open_scene(scene *s, int two_sided, lsp_random *random) {
  static const lsp_pattern_kind causal[] = {LSP_PATTERN_LOCAL,  LSP_PATTERN_FIXED,
                                            LSP_PATTERN_GLOBAL, LSP_PATTERN_RANDOM,
                                            LSP_PATTERN_RANDOM, LSP_PATTERN_CHOSEN};
  static const lsp_pattern_kind alone[] = {LSP_PATTERN_COMPRESSED, LSP_PATTERN_SELECTED,
                                           LSP_PATTERN_LEVELS, LSP_PATTERN_DYNAMIC};
  lsp_layer *l = &s->layer;
  memset(s, 0, sizeof *s);
  s->number = (int)in(random, 0, 40);
  s->model = (lsp_model){.layers = 1, .layer = l, .two_sided = two_sided};
  l->heads = (lsp_heads){HEADS, 1, 8};
  l->span = s->spans;
  for (int h = 0; h < HEADS; h++)
    s->spans[h] = lsp_random_float(random, 1.4f);
  if (!two_sided && in(random, 0, 1)) {
    l->branches = 1;
    fill_branch(s, 0, alone[in(random, 0, 3)], random);
  } else {
    for (int k = 0; k < 6 - two_sided; k++)
      if (in(random, 0, 1))
        fill_branch(s, l->branches++, causal[k], random);
    if (l->branches == 0 || (two_sided && in(random, 0, 9) == 0))
      fill_branch(s, l->branches++, LSP_PATTERN_FULL, random);
  }
  lsp_model_settle(&s->model);
  choose_and_draw(s, random);
}

/* ---- Views against definitions */

static void add_keys(lsp_keys k, int64_t rows, char *count) {
  assert_true(k.first >= 0 || k.first >= k.end);
  for (int64_t j = k.first; j < lsp_min(k.end, rows); j++)
    count[j]++;
}

/* All rows of a block that no source before shows. */
static void add_block(int64_t block, int64_t rows, char *count) {
  for (int64_t j = block * LSP_GRID_BLOCK;
       j < lsp_min(rows, (block + 1) * LSP_GRID_BLOCK); j++)
    if (!count[j])
      count[j] = 1;
}

static void add_picked(const scene *s, const lsp_pattern *p, int head, int64_t i,
                       int64_t rows, char *count) {
  int64_t block[LSP_PICKS_MAX];
  if (p->kind == LSP_PATTERN_RANDOM) {
    const int n = lsp_draw_blocks(p, s->number, head, lsp_block_of(i),
                                  lsp_divide_up(rows, LSP_GRID_BLOCK), block);
    for (int k = 0; k < n; k++)
      add_block(block[k], rows, count);
    return;
  }
  for (int64_t c = 0; c < BLOCKS; c++)
    if (s->chosen[i][c])
      add_block(c, rows, count);
}

static void check_means(const lsp_view *v, int64_t i) {
  for (int l = 1; v->pooled != NULL && l <= lsp_pattern_levels(v->pooled); l++) {
    const lsp_keys rows = lsp_pooled_keys(v->pooled, l, i);
    for (int64_t c = 0; c <= i; c++)
      assert_int_equal(c >= rows.first && c < rows.end, sees_mean(v->pooled, l, i, c));
  }
}

static void check_query(const scene *s, const lsp_view *v, int head, int64_t i) {
  char count[ROWS] = {0};
  add_keys(lsp_view_run(v, head, i), ROWS, count);
  for (int n = 0; n < lsp_view_fixed_ranges(v); n++)
    add_keys(lsp_view_fixed_range(v, n, head, i), ROWS, count);
  for (int n = 0; n < v->picks; n++)
    add_picked(s, v->picked[n], head, i, ROWS, count);
  for (int64_t j = 0; j < ROWS; j++) {
    int seen = 0;
    for (int b = 0; b < s->layer.branches; b++)
      seen = seen || sees(s, b, head, i, j);
    if (count[j] != seen)
      fail_msg("query %lld sees key %lld %d times, not %d", (long long)i, (long long)j,
               count[j], seen);
  }
  check_means(v, i);
}

static void check_scenes(int two_sided, uint64_t seed) {
  static scene s;
  lsp_random random = {seed};
  for (int c = 0; c < LAYERS; c++) {
    lsp_view view[LSP_BRANCHES_MAX];
    open_scene(&s, two_sided, &random);
    assert_int_equal(lsp_layer_views(&s.layer, view), 1);
    const int head = (int)in(&random, 0, HEADS - 1);
    for (int64_t i = in(&random, 0, 5); i < ROWS; i += in(&random, 1, 9))
      check_query(&s, &view[0], head, i);
  }
}

static void test_sources_show_each_key_that_is_seen_once(void **state) {
  (void)state;
  check_scenes(0, 1);
}

static void test_two_sided_sources_show_each_key_that_is_seen_once(void **state) {
  (void)state;
  check_scenes(1, 2);
}

static void test_each_branch_has_a_view_where_they_are_not_one_softmax(void **state) {
  (void)state;
  static scene s;
  lsp_random random = {3};
  lsp_view view[LSP_BRANCHES_MAX];
  memset(&s, 0, sizeof s);
  s.layer.branches = 3;
  s.layer.merge = LSP_MERGE_INPUT;
  fill_branch(&s, 0, LSP_PATTERN_COMPRESSED, &random);
  fill_branch(&s, 1, LSP_PATTERN_SELECTED, &random);
  fill_branch(&s, 2, LSP_PATTERN_LOCAL, &random);
  assert_int_equal(lsp_layer_views(&s.layer, view), 3);
  assert_true(view[0].pooled == &s.layer.branch[0] && view[0].runs == 0);
  assert_true(view[1].picked[0] == &s.layer.branch[1] && view[1].runs == 1);
  assert_true(view[1].pooled == NULL && view[2].runs == 1 && view[2].picks == 0);
}

/* Neither takes anything from the other, in any order. */
static void test_global_rows_and_fixed_keys_go_together(void **state) {
  (void)state;
  static scene s;
  lsp_random random = {12};
  lsp_view view[LSP_BRANCHES_MAX];
  for (int c = 0; c < 40; c++) {
    memset(&s, 0, sizeof s);
    s.layer.branches = 4;
    s.model.two_sided = c / 2 % 2;
    fill_branch(&s, c % 2, LSP_PATTERN_GLOBAL, &random);
    fill_branch(&s, 1 - c % 2, LSP_PATTERN_FIXED, &random);
    fill_branch(&s, 2, LSP_PATTERN_FIXED, &random);
    fill_branch(&s, 3, LSP_PATTERN_LOCAL, &random);
    (void)lsp_layer_views(&s.layer, view);
    for (int64_t i = 0; i < 300; i++)
      check_query(&s, &view[0], 0, i);
  }
}

/* ---- Blocks that are drawn */

static void test_draws_are_those_of_the_definition(void **state) {
  (void)state;
  lsp_random random = {4};
  for (int c = 0; c < 3000; c++) {
    lsp_pattern p = {.kind = LSP_PATTERN_RANDOM,
                     .two_sided = (int)in(&random, 0, 1),
                     .block_reach = in(&random, 1, c % 3 ? 20 : 1000),
                     .seed = lsp_random_bits(&random) & UINT32_MAX};
    p.beyond = in(&random, 0, lsp_min(p.block_reach - 1, 5));
    p.blocks = (int)in(&random, 1, lsp_min(LSP_PICKS_MAX, p.block_reach - p.beyond));
    int64_t want[LSP_PICKS_MAX], got[LSP_PICKS_MAX];
    const int64_t b = in(&random, 0, c % 2 ? 30 : 1000000);
    const int64_t blocks = b + in(&random, 1, 40);
    const int layer = (int)in(&random, 0, 100), head = (int)in(&random, 0, 100);
    const int n = draw(&p, layer, head, b, blocks, want);
    assert_int_equal(lsp_draw_blocks(&p, layer, head, b, blocks, got), n);
    for (int k = 0; k < n; k++) {
      assert_int_equal(got[k], want[k]);
      assert_true(k == 0 || got[k] > got[k - 1]);
    }
  }
}

/* Numbers of a program of its own, so that no draw ever changes. */
static void test_draws_are_the_same_for_ever(void **state) {
  (void)state;
  static const struct {
    lsp_pattern p;
    int layer, head;
    int64_t b, blocks;
    int64_t drawn[9]; /* ended by -1 */
  } fixed[] = {
      {{.blocks = 3, .block_reach = 20, .beyond = 1, .seed = 7},
       0,
       0,
       40,
       0,
       {21, 28, 33, -1}},
      {{.blocks = 3, .block_reach = 20, .beyond = 1, .seed = 7},
       1,
       0,
       40,
       0,
       {20, 30, 35, -1}},
      {{.blocks = 3, .block_reach = 20, .beyond = 1, .seed = 7},
       0,
       2,
       40,
       0,
       {25, 26, 32, -1}},
      {{.blocks = 3, .block_reach = 20, .beyond = 1, .seed = 7},
       0,
       0,
       41,
       0,
       {27, 34, 39, -1}},
      {{.blocks = 8, .block_reach = 12, .seed = UINT32_MAX},
       3,
       5,
       1000,
       0,
       {988, 991, 993, 994, 995, 996, 998, 999, -1}},
      {{.blocks = 4, .block_reach = 1000000, .beyond = 3},
       0,
       0,
       123456789,
       0,
       {122456804, 122746355, 122783505, 123280902, -1}},
      {{.blocks = 6, .block_reach = 5, .seed = 9, .two_sided = 1},
       2,
       1,
       10,
       16,
       {5, 8, 9, 11, 13, 15, -1}},
      {{.blocks = 5, .block_reach = 30, .beyond = 2, .seed = 9, .two_sided = 1},
       2,
       1,
       10,
       16,
       {1, 4, 5, 7, 14, -1}},
  };
  for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
    int64_t got[LSP_PICKS_MAX];
    const int n = lsp_draw_blocks(&fixed[i].p, fixed[i].layer, fixed[i].head,
                                  fixed[i].b, fixed[i].blocks, got);
    for (int k = 0; k < n; k++)
      assert_int_equal(got[k], fixed[i].drawn[k]);
    assert_int_equal(fixed[i].drawn[n], -1);
  }
}

/* ---- Means */

static lsp_pattern random_levels(lsp_random *random) {
  lsp_pattern p = {.kind = LSP_PATTERN_LEVELS,
                   .pool = 1 << in(random, 1, 6),
                   .levels = (int)in(random, 1, LSP_LEVELS_MAX)};
  p.window = p.pool * in(random, 1, 6);
  while (p.levels * __builtin_ctz((unsigned)p.pool) > 40)
    p.levels--;
  return p;
}

/* The keys of level 0 and the positions that the means average lie end to end. */
static void test_levels_cover_every_position_once(void **state) {
  (void)state;
  lsp_random random = {5};
  for (int c = 0; c < 20000; c++) {
    const lsp_pattern p = random_levels(&random);
    const int64_t i = in(&random, 0, c % 2 ? 2000 : INT64_C(1) << 44);
    const lsp_keys own = lsp_pattern_of(&p)->keys(&p, 0, i);
    int64_t first = own.first;
    assert_int_equal(own.end, i + 1);
    assert_true(i + 1 - first >= lsp_min(p.window, i + 1));
    for (int l = 1; l <= p.levels; l++) {
      const lsp_keys rows = lsp_pooled_keys(&p, l, i);
      const int64_t unit = lsp_level_unit(&p, l), seen = rows.end - rows.first;
      assert_int_equal(rows.end * unit, first);
      assert_true(seen >= lsp_min(p.window, rows.end));
      assert_true(seen < p.window + (l < p.levels ? p.pool : 1));
      first = rows.first * unit;
    }
    assert_true(first >= 0);
  }
}

/* A run that goes on from position s has the rows before it that it needs: those that its
 * queries see, and those of which the next row of the level above is made. */
static void test_reach_of_levels_is_enough(void **state) {
  (void)state;
  lsp_random random = {6};
  for (int c = 0; c < 20000; c++) {
    const lsp_pattern p = random_levels(&random);
    const int64_t s = in(&random, 0, c % 2 ? 5000 : INT64_C(1) << 44);
    for (int l = 1; l <= p.levels; l++) {
      const int64_t unit = lsp_level_unit(&p, l), whole = s / unit;
      const int64_t kept = whole - lsp_level_reach(&p, l);
      assert_true(lsp_pooled_keys(&p, l, s).first >= kept);
      assert_true(l == p.levels || s / (unit * p.pool) * p.pool >= kept);
      assert_true(lsp_level_reach(&p, l) <= 3 * (p.window + p.pool) + 4);
    }
  }
  lsp_pattern p = {.kind = LSP_PATTERN_COMPRESSED, .pool = 16, .block_reach = 9};
  for (int64_t s = 0; s < 1000; s++)
    assert_true(lsp_pooled_keys(&p, 1, s).first >= s / 16 - lsp_level_reach(&p, 1));
  p.block_reach = 0;
  assert_int_equal(lsp_level_reach(&p, 1), LSP_REACH_ALL);
}

/* ---- Reach */

static void check_reach(const scene *s) {
  const lsp_pattern *p = &s->layer.branch[0];
  const int64_t near = lsp_pattern_near(p), reach = lsp_pattern_of(p)->reach(p);
  const int64_t ahead = lsp_pattern_ahead(p);
  for (int64_t i = 0; i < ROWS; i++)
    for (int h = 0; h < HEADS; h++) {
      const lsp_keys run = lsp_pattern_of(p)->keys(p, h, i);
      assert_true(near == LSP_REACH_ALL || i - run.first <= near);
      assert_true(near == LSP_REACH_ALL || reach == LSP_REACH_ALL || near <= reach);
      for (int64_t j = 0; j < ROWS; j++) {
        if (!sees(s, 0, h, i, j) || is_global(p, j) || is_global(p, i))
          continue;
        assert_true(reach == LSP_REACH_ALL || i - j <= reach);
        assert_true(ahead == LSP_REACH_ALL || j - i <= ahead);
      }
    }
}

static void test_no_query_looks_farther_than_the_reach(void **state) {
  (void)state;
  static const lsp_pattern_kind kinds[] = {
      LSP_PATTERN_RANDOM, LSP_PATTERN_LOCAL,   LSP_PATTERN_FULL,    LSP_PATTERN_CHOSEN,
      LSP_PATTERN_LEVELS, LSP_PATTERN_DYNAMIC, LSP_PATTERN_SELECTED};
  static scene s;
  lsp_random random = {7};
  for (int c = 0; c < 120; c++) {
    const int two_sided = c % 2 && c / 2 % 7 < 3;
    memset(&s, 0, sizeof s);
    s.layer.branches = 1;
    s.layer.heads = (lsp_heads){HEADS, 1, 8};
    s.layer.span = s.spans;
    s.spans[0] = 1;
    s.model = (lsp_model){.layers = 1, .layer = &s.layer, .two_sided = two_sided};
    fill_branch(&s, 0, kinds[c / 2 % 7], &random);
    lsp_model_settle(&s.model);
    choose_and_draw(&s, &random);
    s.layer.branch[0].sinks = 0;
    check_reach(&s);
  }
}

/* ---- Pairs */

/* Blocks that a query may pick of, at most as many as it picks. */
static int64_t picks_of(const lsp_pattern *p, int64_t i) {
  static int64_t list[4096];
  const int64_t b = lsp_block_of(i);
  int64_t n = 0;
  if (p->kind != LSP_PATTERN_SELECTED)
    return lsp_min(p->blocks, list_candidates(p, b, INT64_MAX, list, 4096));
  for (int64_t c = 0; c < b; c++)
    n += has_mean(p, i, c);
  return lsp_min(p->blocks - 1, n);
}

/* As the rows of the table and views count them: run and fixed keys, means, and picked
 * blocks as if nothing else showed these. */
static int64_t pairs_of(const lsp_view *v, int head, int64_t i) {
  const lsp_keys run = lsp_view_run(v, head, i);
  int64_t pairs = run.end - run.first;
  for (int n = 0; n < lsp_view_fixed_ranges(v); n++) {
    const lsp_keys fixed = lsp_view_fixed_range(v, n, head, i);
    pairs += lsp_max(0, fixed.end - fixed.first);
  }
  for (int n = 0; n < v->picks; n++)
    pairs += LSP_GRID_BLOCK * picks_of(v->picked[n], i);
  for (int l = 1; v->pooled != NULL && l <= lsp_pattern_levels(v->pooled); l++) {
    const lsp_keys means = lsp_pooled_keys(v->pooled, l, i);
    pairs += means.end - means.first;
  }
  return pairs;
}

static void test_pairs_of_views_are_those_of_their_sources(void **state) {
  (void)state;
  static scene s;
  lsp_random random = {8};
  for (int c = 0; c < 4 * LAYERS; c++) {
    lsp_view view[LSP_BRANCHES_MAX];
    open_scene(&s, 0, &random);
    (void)lsp_layer_views(&s.layer, view);
    if (view[0].fixed != NULL && view[0].fixed->kind == LSP_PATTERN_GLOBAL &&
        s.layer.branches > 1)
      continue; /* counted branch by branch: below */
    const int head = (int)in(&random, 0, HEADS - 1);
    const int64_t first = in(&random, 0, c % 2 ? 3000 : 100);
    const int64_t end = first + in(&random, 0, 1500);
    int64_t pairs = 0;
    for (int64_t i = first; i < end; i++)
      pairs += pairs_of(&view[0], head, i);
    if (lsp_view_pairs(&view[0], head, first, end) != (double)pairs)
      fail_msg("case %d, first of %d kinds %s: pairs of [%lld, %lld): %.0f, not %lld",
               c, s.layer.branches, lsp_pattern_of(&s.layer.branch[0])->name,
               (long long)first, (long long)end,
               lsp_view_pairs(&view[0], head, first, end), (long long)pairs);
  }
}

/* A frame has what its rows see together, global rows all of it, whatever the counting
 * gives to which row. (Of random, the frame's end is not known.) */
static void test_pairs_of_two_sided_frames_are_those_of_their_rows(void **state) {
  (void)state;
  static const lsp_pattern_kind kinds[] = {LSP_PATTERN_FULL, LSP_PATTERN_LOCAL,
                                           LSP_PATTERN_FIXED, LSP_PATTERN_GLOBAL};
  static scene s;
  lsp_random random = {9};
  for (int c = 0; c < 80; c++) {
    memset(&s, 0, sizeof s);
    s.layer.branches = 1;
    s.model.two_sided = 1;
    fill_branch(&s, 0, kinds[c % 4], &random);
    const lsp_pattern *p = &s.layer.branch[0];
    const int64_t rows = in(&random, 260, ROWS), cut = in(&random, 0, rows);
    int64_t pairs = 0;
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < rows; j++)
        pairs +=
            (p->kind == LSP_PATTERN_GLOBAL && is_global(p, i)) || sees(&s, 0, 1, i, j);
    assert_true(lsp_pattern_of(p)->pairs(p, 1, 0, cut) +
                    lsp_pattern_of(p)->pairs(p, 1, cut, rows) ==
                (double)pairs);
  }
}

/* Every branch by itself. */
static void test_pairs_beside_global_rows_are_those_of_each_branch(void **state) {
  (void)state;
  lsp_layer l = {.branches = 2,
                 .branch = {{.kind = LSP_PATTERN_GLOBAL, .sinks = 4},
                            {.kind = LSP_PATTERN_LOCAL, .window = 9}}};
  lsp_view view[LSP_BRANCHES_MAX];
  (void)lsp_layer_views(&l, view);
  double pairs = 0;
  for (int b = 0; b < 2; b++)
    pairs += lsp_pattern_of(&l.branch[b])->pairs(&l.branch[b], 0, 3, 500);
  assert_true(lsp_view_pairs(&view[0], 0, 3, 500) == pairs);
}

/* Nothing is walked, and what is counted in two parts is the whole. */
static void test_pairs_of_a_trillion_positions_take_no_time(void **state) {
  (void)state;
  static scene s;
  lsp_random random = {10};
  const int64_t n = INT64_C(1000000000000);
  const clock_t begin = clock();
  for (int c = 0; c < 1000; c++) {
    lsp_view view[LSP_BRANCHES_MAX];
    open_scene(&s, c % 2, &random);
    (void)lsp_layer_views(&s.layer, view);
    const int64_t cut = in(&random, 1, n - 1);
    const double whole = lsp_view_pairs(&view[0], 0, 0, n);
    const double parts =
        lsp_view_pairs(&view[0], 0, 0, cut) + lsp_view_pairs(&view[0], 0, cut, n);
    assert_true(whole > 0 && (whole - parts) / whole < 1e-12);
    assert_true((whole - parts) / whole > -1e-12);
  }
  assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 20);
}

/* ---- Tiles */

static void test_tiles_of_two_sided_blocks_end_with_the_frame(void **state) {
  (void)state;
  static scene s;
  lsp_random random = {11};
  for (int c = 0; c < LAYERS; c++) {
    static const lsp_pattern_kind kinds[] = {LSP_PATTERN_FULL, LSP_PATTERN_LOCAL};
    char touched[BLOCKS] = {0};
    lsp_view view[LSP_BRANCHES_MAX];
    memset(&s, 0, sizeof s);
    s.layer.branches = 1;
    s.model.two_sided = 1;
    fill_branch(&s, 0, kinds[c % 2], &random);
    (void)lsp_layer_views(&s.layer, view);
    const int64_t rows = in(&random, 1, ROWS);
    const int64_t first = in(&random, 0, lsp_block_of(rows - 1)) * LSP_GRID_BLOCK;
    const int64_t end = lsp_min(rows, first + LSP_GRID_BLOCK);
    int64_t tiles = 0;
    for (int64_t i = first; i < end; i++)
      for (int64_t j = 0; j < rows; j++)
        touched[lsp_block_of(j)] |= (char)sees(&s, 0, 1, i, j);
    for (int t = 0; t < BLOCKS; t++)
      tiles += touched[t];
    assert_int_equal(lsp_view_tiles(&view[0], 1, first, end, rows), tiles);
  }
}

LSP_TESTS(cmocka_unit_test(test_sources_show_each_key_that_is_seen_once),
          cmocka_unit_test(test_two_sided_sources_show_each_key_that_is_seen_once),
          cmocka_unit_test(test_each_branch_has_a_view_where_they_are_not_one_softmax),
          cmocka_unit_test(test_global_rows_and_fixed_keys_go_together),
          cmocka_unit_test(test_draws_are_those_of_the_definition),
          cmocka_unit_test(test_draws_are_the_same_for_ever),
          cmocka_unit_test(test_levels_cover_every_position_once),
          cmocka_unit_test(test_reach_of_levels_is_enough),
          cmocka_unit_test(test_no_query_looks_farther_than_the_reach),
          cmocka_unit_test(test_pairs_of_views_are_those_of_their_sources),
          cmocka_unit_test(test_pairs_of_two_sided_frames_are_those_of_their_rows),
          cmocka_unit_test(test_pairs_beside_global_rows_are_those_of_each_branch),
          cmocka_unit_test(test_pairs_of_a_trillion_positions_take_no_time),
          cmocka_unit_test(test_tiles_of_two_sided_blocks_end_with_the_frame))
