/* Block attention against the formula in double precision. */
#include "harness.h"
#include "random.h"

#include "lsp/attend.h"
#include "lsp/plan.h"

#include <math.h>

enum { HEADS = 3, B = LSP_BLOCK, CASES = 150 };

/* Scores are chains of up to 160 roundings, outputs chains of one rounding a key. What
 * is seen is 1.2e-6 of the largest output where keys differ. Keys that are all alike
 * round the same way again and again, by up to half of 2^-23 each. */
static const double tolerance = 2e-6, tolerance_alike = 6e-8;

/* One block of queries of a random text, all heads; position -1 stands for every
 * position before the text. */
typedef struct {
  lsp_heads heads;
  int head, rows;
  int64_t block, clamp, distances; /* rows of r: distances 0 .. distances - 1 */
  lsp_pattern pattern;
  int64_t first_key[B];
  float *query;       /* (64, H E) */
  float *key, *value; /* (1 + positions, H E), row j + 1 for position j */
  float *r;           /* (distances, H E) */
  float *u, *v;       /* (H, E) */
} scene;

/* What a wrong program would do. */
typedef enum {
  RIGHT,
  R_LATE,     /* r of the distance + 1 */
  R_EARLY,    /* r of the distance - 1 */
  WIDER,      /* one key more at the far end */
  NARROWER,   /* one key less */
  U_FOR_V,    /* the biases swapped */
  NOT_CLAMPED /* distances go on beyond the clamp */
} mutant;

static float *some(lsp_random *random, int64_t n, float scale) {
  float *x = malloc((size_t)n * sizeof *x);
  assert_non_null(x);
  lsp_random_floats(random, n, x, scale);
  return x;
}

static void open_scene(scene *s, lsp_random *random, int width, int64_t block, int rows,
                       lsp_pattern pattern, int64_t clamp) {
  *s = (scene){.heads = {HEADS, width},
               .head = (int)lsp_random_in(random, 0, HEADS - 1),
               .rows = rows,
               .block = block,
               .clamp = clamp,
               .distances = 2 * B + lsp_pattern_reach(&pattern) + 2,
               .pattern = pattern};
  const int64_t columns = (int64_t)HEADS * width, positions = (block + 1) * B;
  s->query = some(random, B * columns, 1);
  s->key = some(random, (positions + 1) * columns, 1);
  s->value = some(random, (positions + 1) * columns, 1);
  s->r = some(random, s->distances * columns, 1);
  s->u = some(random, columns, 1);
  s->v = some(random, columns, 1);
  for (int i = 0; i < rows; i++)
    s->first_key[i] = lsp_pattern_first(&pattern, block * B + i) - block * B;
}

static void close_scene(scene *s) {
  free(s->query);
  free(s->key);
  free(s->value);
  free(s->r);
  free(s->u);
  free(s->v);
}

/* Lowest key that any row sees, relative to the block. */
static int64_t lowest(const scene *s) {
  int64_t low = B;
  for (int i = 0; i < s->rows; i++)
    low = lsp_min(low, s->first_key[i]);
  return low;
}

static double dot(const float *a, const float *bias, const float *b, int n) {
  double sum = 0;
  for (int e = 0; e < n; e++)
    sum += ((double)a[e] + (double)bias[e]) * (double)b[e];
  return sum;
}

static int64_t distance(const scene *s, int64_t t, mutant m) {
  t = m == R_LATE ? t + 1 : m == R_EARLY && t > 0 ? t - 1 : t;
  return s->clamp > 0 && m != NOT_CLAMPED && t > s->clamp ? s->clamp : t;
}

/* Row i of the block, word by word from the formula. */
static void naive_row(const scene *s, int i, mutant m, double *out) {
  const int width = s->heads.width;
  const int64_t ld = (int64_t)HEADS * width, column = (int64_t)s->head * width;
  const int64_t position = s->block * B + i;
  int64_t first = s->block * B + s->first_key[i];
  if (m == WIDER && (first > 0 || s->pattern.virtual_past))
    first--;
  if (m == NARROWER && first < position)
    first++;
  const float *q = s->query + i * ld + column;
  const float *u = (m == U_FOR_V ? s->v : s->u) + column;
  const float *v = (m == U_FOR_V ? s->u : s->v) + column;
  double *score = malloc((size_t)(position - first + 1) * sizeof *score);
  assert_non_null(score);
  double top = -INFINITY, sum = 0;
  for (int64_t j = first; j <= position; j++) {
    const float *k = s->key + (lsp_max(j, -1) + 1) * ld + column;
    const float *r = s->r + distance(s, position - j, m) * ld + column;
    const double x = (dot(q, u, k, width) + dot(q, v, r, width)) / sqrt(width);
    score[j - first] = x;
    top = x > top ? x : top;
  }
  for (int e = 0; e < width; e++)
    out[e] = 0;
  for (int64_t j = first; j <= position; j++) {
    const float *value = s->value + (lsp_max(j, -1) + 1) * ld + column;
    const double p = exp(score[j - first] - top);
    sum += p;
    for (int e = 0; e < width; e++)
      out[e] += p * (double)value[e];
  }
  for (int e = 0; e < width; e++)
    out[e] /= sum;
  free(score);
}

/* The block's tile d; what no row sees of it is NaN, which must not leak. */
static float *make_tile(const scene *s, int64_t d) {
  const int64_t ld = (int64_t)HEADS * s->heads.width,
                floats = lsp_tile_floats(s->heads);
  float *tile = malloc((size_t)floats * sizeof *tile);
  assert_non_null(tile);
  for (int64_t i = 0; i < floats; i++)
    tile[i] = NAN;
  for (int i = 0; i < B; i++) {
    const int64_t position = (s->block - d) * B + i;
    const int64_t row = lsp_max(position, -1) + 1;
    if (position >= s->block * B + lowest(s) && position < s->block * B + s->rows)
      lsp_tile_put(s->heads, tile, i, 1, s->key + row * ld, s->value + row * ld, ld);
  }
  return tile;
}

/* As many strips as are needed and not one more. */
static float *make_strips(const scene *s, int64_t n) {
  const int64_t ld = (int64_t)HEADS * s->heads.width;
  float *strips = malloc((size_t)lsp_strip_floats(s->heads, n) * sizeof *strips);
  float *rows = malloc((size_t)(B * ld) * sizeof *rows);
  assert_true(strips != NULL && rows != NULL);
  for (int64_t d = 0; d < n; d++) {
    for (int c = 0; c < B; c++)
      for (int64_t e = 0; e < ld; e++)
        rows[c * ld + e] =
            s->r[lsp_min(distance(s, B * d + B - 1 - c, RIGHT), s->distances - 1) * ld +
                 e];
    lsp_strip_put(s->heads, rows, strips + lsp_strip_floats(s->heads, d));
  }
  free(rows);
  return strips;
}

/* out (64, H E): columns of other heads and rows that do not exist stay. */
static void attend(const scene *s, lsp_isa isa, float *out) {
  const int64_t ld = (int64_t)HEADS * s->heads.width;
  const int64_t tiles = 1 + lsp_divide_up(lsp_max(-lowest(s), 0), B);
  const int64_t n = s->clamp > 0 ? lsp_min(s->clamp / B + 1, tiles) : tiles;
  float **tile = malloc((size_t)tiles * sizeof *tile);
  float *scratch = malloc((size_t)lsp_attend_scratch(s->heads) * sizeof *scratch);
  assert_true(tile != NULL && scratch != NULL);
  for (int64_t i = 0; i < lsp_attend_scratch(s->heads); i++)
    scratch[i] = NAN;
  for (int64_t d = 0; d < tiles; d++)
    tile[d] = make_tile(s, d);
  float *strips = make_strips(s, n);
  const int64_t column = (int64_t)s->head * s->heads.width;
  const lsp_kernels kernels = lsp_kernels_of(isa);
  const lsp_attention a = {.kernels = &kernels,
                           .heads = s->heads,
                           .head = s->head,
                           .u = s->u + column,
                           .v = s->v + column,
                           .distances = {strips, n, s->clamp},
                           .rows = s->rows,
                           .query = s->query + column,
                           .ld_query = ld,
                           .first_key = s->first_key,
                           .tile = (const float *const *)tile,
                           .out = out + column,
                           .ld_out = ld};
  lsp_attend_block(&a, scratch);
  for (int64_t d = 0; d < tiles; d++)
    free(tile[d]);
  free(tile);
  free(scratch);
  free(strips);
}

static float *new_output(const scene *s) {
  const int64_t n = (int64_t)B * HEADS * s->heads.width;
  float *out = malloc((size_t)n * sizeof *out);
  assert_non_null(out);
  for (int64_t i = 0; i < n; i++)
    out[i] = -77;
  return out;
}

/* Largest difference from the formula (or a mutant of it) over the largest output. */
static double difference(const scene *s, const float *out, mutant m) {
  const int width = s->heads.width;
  double *want = malloc((size_t)width * sizeof *want);
  assert_non_null(want);
  double worst = 0, most = 0;
  for (int i = 0; i < s->rows; i++) {
    naive_row(s, i, m, want);
    for (int e = 0; e < width; e++) {
      const float got = out[((int64_t)i * HEADS + s->head) * width + e];
      const double off = fabs((double)got - want[e]);
      worst = off <= worst ? worst : off; /* a NaN is worst */
      most = fmax(most, fabs(want[e]));
    }
  }
  free(want);
  return worst / most;
}

static int untouched_outside(const scene *s, const float *out) {
  const int width = s->heads.width;
  for (int i = 0; i < B; i++)
    for (int head = 0; head < HEADS; head++)
      for (int e = 0; e < width; e++)
        if ((i >= s->rows || head != s->head) &&
            out[((int64_t)i * HEADS + head) * width + e] != -77)
          return 0;
  return 1;
}

static void check(const scene *s) {
  const size_t bytes = (size_t)(B * HEADS * s->heads.width) * sizeof(float);
  float *plain = new_output(s);
  attend(s, LSP_ISA_PLAIN, plain);
  const double off = difference(s, plain, RIGHT);
  const double alike = s->pattern.virtual_past ? (double)lsp_max(-lowest(s), 0) : 0;
  if (!(off <= tolerance + alike * tolerance_alike))
    fail_msg(
        "E %d block %lld rows %d memory %lld segment %lld same_length %d virtual %d "
        "clamp %lld: off by %g",
        s->heads.width, (long long)s->block, s->rows, (long long)s->pattern.memory,
        (long long)s->pattern.segment, s->pattern.same_length, s->pattern.virtual_past,
        (long long)s->clamp, off);
  assert_true(untouched_outside(s, plain));
  for (int isa = LSP_ISA_PLAIN + 1; isa <= (int)lsp_isa_here(); isa++) {
    float *other = new_output(s);
    attend(s, (lsp_isa)isa, other);
    assert_memory_equal(other, plain, bytes);
    free(other);
  }
  free(plain);
}

static const int widths[] = {16, 20, 64, 41};

static lsp_pattern random_pattern(lsp_random *random) {
  lsp_pattern p = {.memory = lsp_random_in(random, 0, 4) == 0
                                 ? lsp_random_in(random, 400, 1000)
                                 : lsp_random_in(random, 0, 300),
                   .segment = lsp_random_in(random, 1, 200),
                   .same_length = (int)lsp_random_in(random, 0, 1),
                   .virtual_past = lsp_random_in(random, 0, 3) == 0};
  if (p.same_length && p.memory == 0)
    p.memory = 1;
  return p;
}

static void test_block_is_the_formula_for_random_patterns(void **state) {
  (void)state;
  lsp_random random = {1};
  for (int c = 0; c < CASES; c++) {
    const int width = c % 9 == 8 ? (int)lsp_random_in(&random, 1, 80) : widths[c % 4];
    const int rows = c % 3 == 0 ? (int)lsp_random_in(&random, 1, B) : B;
    const int64_t block = lsp_random_in(&random, 0, c % 4 == 0 ? 2 : 20);
    const int64_t clamp = c % 2 == 0 ? 0 : lsp_random_in(&random, 1, 400);
    scene s;
    open_scene(&s, &random, width, block, rows, random_pattern(&random), clamp);
    check(&s);
    close_scene(&s);
  }
}

static void test_block_is_the_formula_at_the_borders_of_strips(void **state) {
  (void)state;
  lsp_random random = {2};
  static const int64_t memory[] = {1, 2, 63, 64, 65, 127, 128, 129, 320, 384, 448, 513};
  static const int64_t clamp[] = {-1, 1, 63, 64, 65, 127, 128, 383, 2000};
  enum { MEMORIES = sizeof memory / sizeof *memory };
  for (int c = 0; c < 9 * MEMORIES; c++) {
    const lsp_pattern p = {.memory = memory[c % MEMORIES],
                           .segment = 64 + c % 3 - 1,
                           .same_length = c % 2,
                           .virtual_past = c % 5 == 0};
    scene s;
    open_scene(&s, &random, c % 2 ? 16 : 20, c % 4 == 0 ? 0 : 11, c % 3 ? B : B - 1, p,
               clamp[c / MEMORIES]);
    check(&s);
    close_scene(&s);
  }
}

static void test_block_holds_with_large_scores(void **state) {
  (void)state;
  lsp_random random = {3};
  for (int c = 0; c < 8; c++) {
    const lsp_pattern p = {.memory = 200, .segment = 1, .same_length = 1};
    scene s;
    open_scene(&s, &random, widths[c % 4], 6, B, p, c % 2 ? 100 : 0);
    for (int64_t i = 0; i < (int64_t)B * HEADS * s.heads.width; i++)
      s.query[i] *= 500; /* scores of thousands: one key has it all, almost always */
    float *out = new_output(&s);
    attend(&s, lsp_isa_here(), out);
    /* a score of 1e4 is known to 1e4 * 2^-24 = 6e-4, and a few such roundings */
    assert_true(difference(&s, out, RIGHT) < 1e-2);
    free(out);
    close_scene(&s);
  }
}

static void test_a_row_depends_on_no_other_row(void **state) {
  (void)state;
  lsp_random random = {4};
  for (int c = 0; c < 24; c++) {
    scene s;
    open_scene(&s, &random, widths[c % 4], 7, B, random_pattern(&random),
               c % 3 ? 0 : 100);
    const int64_t ld = (int64_t)HEADS * s.heads.width;
    float *whole = new_output(&s), *alone = new_output(&s);
    attend(&s, lsp_isa_here(), whole);
    /* row `row` last, the others with another past and other contents */
    const int row = (int)lsp_random_in(&random, 0, B - 1);
    s.rows = row + 1;
    for (int i = 0; i < row; i++) {
      s.first_key[i] = lsp_min(i, lsp_random_in(&random, -500, B - 1));
      if (!s.pattern.virtual_past)
        s.first_key[i] = lsp_max(s.first_key[i], -s.block * B);
    }
    lsp_random_floats(&random, row * ld, s.query, 3);
    if (s.distances < 2 * B + 502) { /* r as far as the others now look */
      s.r = realloc(s.r, (size_t)((2 * B + 502) * ld) * sizeof *s.r);
      assert_non_null(s.r);
      lsp_random_floats(&random, (2 * B + 502 - s.distances) * ld,
                        s.r + s.distances * ld, 1);
      s.distances = 2 * B + 502;
    }
    attend(&s, lsp_isa_here(), alone);
    const int64_t at = row * ld + (int64_t)s.head * s.heads.width;
    assert_memory_equal(whole + at, alone + at, (size_t)s.heads.width * sizeof(float));
    free(whole);
    free(alone);
    close_scene(&s);
  }
}

static void test_wrong_formulas_would_be_noticed(void **state) {
  (void)state;
  lsp_random random = {5};
  static const mutant mutants[] = {R_LATE,   R_EARLY, WIDER,
                                   NARROWER, U_FOR_V, NOT_CLAMPED};
  for (int same_length = 0; same_length < 2; same_length++)
    for (size_t m = 0; m < sizeof mutants / sizeof *mutants; m++) {
      const lsp_pattern p = {.memory = 150, .segment = 30, .same_length = same_length};
      scene s;
      open_scene(&s, &random, 20, 9, B, p, 70);
      float *out = new_output(&s);
      attend(&s, lsp_isa_here(), out);
      assert_true(difference(&s, out, RIGHT) <= tolerance);
      if (!(difference(&s, out, mutants[m]) > 1000 * tolerance))
        fail_msg("mutant %d would pass", (int)mutants[m]);
      free(out);
      close_scene(&s);
    }
}

static void test_strip_is_rows_turned(void **state) {
  (void)state;
  const lsp_heads h = {HEADS, 5};
  float rows[B * HEADS * 5], strip[HEADS * 5 * B];
  for (int i = 0; i < B * HEADS * 5; i++)
    rows[i] = (float)i;
  lsp_strip_put(h, rows, strip);
  for (int head = 0; head < HEADS; head++)
    for (int e = 0; e < 5; e++)
      for (int c = 0; c < B; c++)
        assert_int_equal((int)strip[(head * 5 + e) * B + c],
                         (c * HEADS + head) * 5 + e);
}

LSP_TESTS(cmocka_unit_test(test_strip_is_rows_turned),
          cmocka_unit_test(test_block_is_the_formula_for_random_patterns),
          cmocka_unit_test(test_block_is_the_formula_at_the_borders_of_strips),
          cmocka_unit_test(test_block_holds_with_large_scores),
          cmocka_unit_test(test_a_row_depends_on_no_other_row),
          cmocka_unit_test(test_wrong_formulas_would_be_noticed))
