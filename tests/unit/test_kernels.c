/* Every kernel in plain C against double precision; every instruction set against plain
 * C, bit by bit. */
#include "harness.h"
#include "random.h"

#include "lsp/kernels.h"
#include "lsp/packing.h"

#include <float.h>
#include <math.h>

enum { B = LSP_BLOCK, ROUNDS = 300, SENTINEL = -77 };

/* Half of FLT_EPSILON: the relative error of one rounding. */
static const double unit = FLT_EPSILON / 2;

static float *copy(const float *x, int64_t n) {
  float *y = malloc((size_t)n * sizeof *y);
  assert_non_null(y);
  memcpy(y, x, (size_t)n * sizeof *y);
  return y;
}

static float *some(lsp_random *random, int64_t n, float scale) {
  float *x = malloc((size_t)(n > 0 ? n : 1) * sizeof *x);
  assert_non_null(x);
  lsp_random_floats(random, n, x, scale);
  return x;
}

static lsp_kernels plain(void) {
  return lsp_kernels_of(LSP_ISA_PLAIN);
}

/* f(kernels) for every instruction set beyond plain C that runs here. */
#define FOR_OTHERS(k)                                                                  \
  for (int isa_ = LSP_ISA_PLAIN + 1; isa_ <= (int)lsp_isa_here(); isa_++)              \
    for (lsp_kernels table_ = lsp_kernels_of((lsp_isa)isa_), *k = &table_; k != NULL;  \
         k = NULL)

static void expect_near(double got, double want, double tolerance, const char *what) {
  if (!(fabs(got - want) <= tolerance))
    fail_msg("%s: %.9g, expected %.9g within %.3g", what, got, want, tolerance);
}

/* ---- Names */

static void test_instruction_sets_have_names(void **state) {
  (void)state;
  assert_string_equal(lsp_isa_name(LSP_ISA_PLAIN), "plain");
  assert_string_equal(lsp_isa_name(LSP_ISA_AVX2), "avx2");
  assert_string_equal(lsp_isa_name(LSP_ISA_AVX512), "avx512");
  assert_true(lsp_isa_here() < LSP_ISA_COUNT);
}

/* ---- product */

typedef struct {
  lsp_product p;
  float *a, *b, *init, *scale, *c;
  int col_low[B], col_high[B], depth_low[B], depth_high[B];
} product_case;

static void open_product(product_case *t, lsp_random *r, int rows) {
  const int cols = LSP_LANES * (int)lsp_random_in(r, 1, 9);
  const int depth = (int)lsp_random_in(r, 1, 80);
  lsp_product *p = &t->p;
  *p = (lsp_product){.rows = rows, .cols = cols, .depth = depth};
  p->lda = depth + lsp_random_in(r, 0, 9);
  p->ldb = cols + lsp_random_in(r, 0, 9);
  p->ldc = cols + lsp_random_in(r, 0, 9);
  p->ldi = lsp_random_in(r, 0, 1) ? p->ldc : cols + 15; /* rows may even overlap */
  t->a = some(r, rows * p->lda, 1);
  t->b = some(r, depth * p->ldb, 1);
  t->init = some(r, rows * (p->ldi + cols), 2);
  t->scale = some(r, rows, 1);
  t->c = some(r, rows * p->ldc, 1);
  for (int64_t i = 0; i < rows * p->ldc; i++)
    t->c[i] = SENTINEL;
  if (lsp_random_in(r, 0, 3)) {
    p->init = t->init;
    p->scale = lsp_random_in(r, 0, 1) ? t->scale : NULL;
  }
  for (int i = 0; i < rows; i++) {
    t->col_low[i] = (int)lsp_random_in(r, 0, cols);
    t->col_high[i] = (int)lsp_random_in(r, -1, cols - 1);
    t->depth_low[i] = (int)lsp_random_in(r, 0, depth);
    t->depth_high[i] = (int)lsp_random_in(r, -1, depth - 1);
  }
  p->col_low = lsp_random_in(r, 0, 1) ? t->col_low : NULL;
  p->col_high = lsp_random_in(r, 0, 1) ? t->col_high : NULL;
  p->depth_low = lsp_random_in(r, 0, 1) ? t->depth_low : NULL;
  p->depth_high = lsp_random_in(r, 0, 1) ? t->depth_high : NULL;
  for (int i = 0; i < rows; i++)
    for (int k = 0; k < depth; k++)
      if ((p->depth_low && k < t->depth_low[i]) ||
          (p->depth_high && k > t->depth_high[i]))
        t->a[i * p->lda + k] = 0;
  p->a = t->a;
  p->b = t->b;
  p->c = t->c;
}

static void close_product(product_case *t) {
  free(t->a);
  free(t->b);
  free(t->init);
  free(t->scale);
  free(t->c);
}

static int needed(const product_case *t, int i, int j) {
  return (!t->p.col_low || j >= t->col_low[i]) &&
         (!t->p.col_high || j <= t->col_high[i]);
}

/* A chain of depth + 1 roundings: each is relative to a partial sum that is no larger
 * than the sum of what is added, all without sign. */
static void check_product(const product_case *t) {
  const lsp_product *p = &t->p;
  for (int i = 0; i < p->rows; i++)
    for (int j = 0; j < p->ldc; j++) {
      const float got = p->c[i * p->ldc + j];
      if (j >= p->cols) /* what is between rows is nobody's */
        assert_true(got == SENTINEL);
      if (j >= p->cols || !needed(t, i, j))
        continue;
      double sum = 0, size = 0;
      if (p->init != NULL)
        sum = (p->scale ? (double)p->scale[i] : 1) * (double)t->init[i * p->ldi + j];
      size = fabs(sum);
      for (int k = 0; k < p->depth; k++) {
        const double x = (double)p->a[i * p->lda + k] * (double)p->b[k * p->ldb + j];
        sum += x;
        size += fabs(x);
      }
      expect_near((double)got, sum, (p->depth + 1) * unit * size, "product");
    }
}

static int same_product(const product_case *t, const float *other) {
  for (int i = 0; i < t->p.rows; i++)
    for (int j = 0; j < t->p.cols; j++) {
      const int64_t at = i * t->p.ldc + j;
      if (needed(t, i, j) && memcmp(&t->c[at], &other[at], sizeof(float)) != 0)
        return 0;
    }
  return 1;
}

static void test_product_is_the_sum_and_the_same_everywhere(void **state) {
  (void)state;
  lsp_random random = {1};
  for (int round = 0; round < ROUNDS; round++) {
    product_case t;
    open_product(&t, &random, 1 + round % B);
    float *fresh = copy(t.c, t.p.rows * t.p.ldc);
    plain().product(&t.p);
    check_product(&t);
    FOR_OTHERS(k) {
      float *other = copy(fresh, t.p.rows * t.p.ldc);
      lsp_product p = t.p;
      p.c = other;
      k->product(&p);
      assert_true(same_product(&t, other));
      for (int i = 0; i < p.rows; i++)
        for (int64_t j = p.cols; j < p.ldc; j++)
          assert_true(other[i * p.ldc + j] == SENTINEL);
      free(other);
    }
    free(fresh);
    close_product(&t);
  }
}

/* --- products with packed weights */

static void pack(int64_t rows, int64_t depth, float *w) {
  float *work = malloc((size_t)(LSP_LANES * depth) * sizeof *work);
  assert_non_null(work);
  lsp_pack(rows, depth, w, work);
  free(work);
}

static void test_a_packed_row_can_be_read_again(void **state) {
  (void)state;
  lsp_random random = {4};
  for (int64_t rows = 1; rows <= 50; rows++) {
    const int64_t depth = lsp_random_in(&random, 1, 40);
    float *w = some(&random, rows * depth, 1), *packed = copy(w, rows * depth);
    float row[40];
    pack(rows, depth, packed);
    for (int64_t i = 0; i < rows; i++) {
      lsp_pack_row(rows, depth, packed, i, row);
      assert_memory_equal(row, w + i * depth, (size_t)depth * sizeof(float));
    }
    free(w);
    free(packed);
  }
}

typedef struct {
  int64_t rows, cols, depth;
  float *x, *w, *packed, *y, *work;
} packed_case;

static void open_packed(packed_case *t, lsp_random *r, int round) {
  t->rows = lsp_random_in(r, 1, 70);
  t->cols = lsp_random_in(r, 1, 150);
  t->depth = round % 2 == 0
                 ? lsp_random_in(r, 1, 90)
                 : lsp_random_in(r, 1, 3) * LSP_PACK_DEPTH + lsp_random_in(r, -1, 1);
  t->x = some(r, t->rows * t->depth, 1);
  t->w = some(r, t->cols * t->depth, 1);
  t->packed = copy(t->w, t->cols * t->depth);
  t->y = some(r, t->rows * t->cols, 1); /* of no account */
  t->work = some(r, t->rows * LSP_PACK_DEPTH, 1);
  pack(t->cols, t->depth, t->packed);
}

static void close_packed(packed_case *t) {
  free(t->x);
  free(t->w);
  free(t->packed);
  free(t->y);
  free(t->work);
}

static lsp_packed_product product_of(const packed_case *t) {
  return (lsp_packed_product){.x = t->x,
                              .w = t->packed,
                              .y = t->y,
                              .work = t->work,
                              .rows = t->rows,
                              .cols = t->cols,
                              .depth = t->depth};
}

/* The definition, element by element: the same bits. */
static float packed_element(const packed_case *t, int64_t i, int64_t j) {
  float sum = 0;
  for (int64_t k0 = 0; k0 < t->depth; k0 += LSP_PACK_DEPTH) {
    float chain = 0;
    for (int64_t k = k0; k < t->depth && k < k0 + LSP_PACK_DEPTH; k++)
      chain = fmaf(t->x[i * t->depth + k], t->w[j * t->depth + k], chain);
    sum = k0 == 0 ? chain : sum + chain;
  }
  return sum;
}

static void test_packed_products_are_the_definition_on_every_isa(void **state) {
  (void)state;
  lsp_random random = {5};
  for (int round = 0; round < 60; round++) {
    packed_case t;
    open_packed(&t, &random, round);
    const lsp_packed_product p = product_of(&t);
    for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
      memset(t.y, 0xff, (size_t)(t.rows * t.cols) * sizeof(float));
      lsp_kernels_of((lsp_isa)isa).packed(&p);
      for (int64_t i = 0; i < t.rows; i++)
        for (int64_t j = 0; j < t.cols; j++) {
          const float want = packed_element(&t, i, j);
          assert_memory_equal(&t.y[i * t.cols + j], &want, sizeof want);
        }
    }
    close_packed(&t);
  }
}

/* Rows from a multiple of LSP_LANES on are a matrix of their own. */
static void test_a_part_of_a_packed_matrix_is_one(void **state) {
  (void)state;
  lsp_random random = {6};
  packed_case t;
  open_packed(&t, &random, 1);
  for (int64_t first = 0; first < t.cols; first += LSP_LANES) {
    lsp_packed_product p = product_of(&t);
    p.w = t.packed + first * t.depth;
    p.cols = t.cols - first;
    lsp_kernels_of(lsp_isa_here()).packed(&p);
    for (int64_t i = 0; i < t.rows; i++)
      for (int64_t j = first; j < t.cols; j++)
        assert_true(t.y[i * p.cols + j - first] == packed_element(&t, i, j));
  }
  close_packed(&t);
}

static void test_product_may_begin_with_what_it_overwrites(void **state) {
  (void)state;
  lsp_random random = {2};
  for (int round = 0; round < B; round++) {
    product_case t;
    open_product(&t, &random, 1 + round);
    t.p.ldi = t.p.ldc;
    t.p.init = t.init;
    t.p.col_low = t.p.col_high = NULL;
    plain().product(&t.p);
    for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
      float *inside = copy(t.init, t.p.rows * t.p.ldc);
      lsp_product p = t.p;
      p.init = p.c = inside;
      lsp_kernels_of((lsp_isa)isa).product(&p);
      assert_true(same_product(&t, inside));
      free(inside);
    }
    close_product(&t);
  }
}

/* Rows that begin one element earlier each: the strips of the position term. */
static void test_product_reads_a_shifting_row(void **state) {
  (void)state;
  lsp_random random = {3};
  float *wide = some(&random, B * 2 * B, 1), *a = some(&random, B * 16, 1);
  float *b = some(&random, 16 * B, 1);
  for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
    float c[B * B];
    const lsp_product p = {.a = a,
                           .lda = 16,
                           .b = b,
                           .ldb = B,
                           .init = wide + B - 1,
                           .ldi = 2 * B - 1,
                           .c = c,
                           .ldc = B,
                           .rows = B,
                           .cols = B,
                           .depth = 16};
    lsp_kernels_of((lsp_isa)isa).product(&p);
    for (int i = 0; i < B; i++)
      for (int j = 0; j < B; j++) {
        float want = 0;
        for (int k = 0; k < 16; k++)
          want = fmaf(a[i * 16 + k], b[k * B + j], want);
        want += wide[i * 2 * B + B - 1 - i + j];
        assert_true(c[i * B + j] == want);
      }
  }
  free(wide);
  free(a);
  free(b);
}

/* ALiBi: one vector of distances, read one element earlier in every row, times a slope
 * of the row. */
static void test_product_reads_a_vector_at_a_falling_offset(void **state) {
  (void)state;
  lsp_random random = {13};
  for (int isa = 0; isa <= (int)lsp_isa_here(); isa++)
    for (int rows = 1; rows <= B; rows++) {
      enum { DEPTH = 5 };
      float *distance = some(&random, rows + B - 1, 9); /* exactly what is read */
      float a[B * DEPTH], b[DEPTH * B], slope[B], c[B * B];
      lsp_random_floats(&random, B * DEPTH, a, 1);
      lsp_random_floats(&random, B * DEPTH, b, 1);
      lsp_random_floats(&random, B, slope, 1);
      const lsp_product p = {.a = a,
                             .lda = DEPTH,
                             .b = b,
                             .ldb = B,
                             .init = distance + rows - 1,
                             .ldi = -1,
                             .scale = slope,
                             .c = c,
                             .ldc = B,
                             .rows = rows,
                             .cols = B,
                             .depth = DEPTH};
      lsp_kernels_of((lsp_isa)isa).product(&p);
      for (int i = 0; i < rows; i++)
        for (int j = 0; j < B; j++) {
          float want = 0;
          for (int k = 0; k < DEPTH; k++)
            want = fmaf(a[i * DEPTH + k], b[k * B + j], want);
          want = fmaf(distance[rows - 1 - i + j], slope[i], want);
          assert_true(c[i * B + j] == want);
        }
      free(distance);
    }
}

/* ---- softmax_tile */

/* exp of a rounded difference x, about 2 ulp of its own, and nothing below e^-87. */
static double exp_tolerance(double x, double size) {
  return exp(x) * (fabs(size) * unit + 3 * FLT_EPSILON) + 2e-38;
}

typedef struct {
  int rows, low[B], high[B];
  float s[B * B], top[B], sum[B], decay[B];
} tile_case;

static void random_tile(tile_case *t, lsp_random *r, int number) {
  static const float scales[] = {1, 10, 100, 1e4f};
  const float scale = scales[lsp_random_in(r, 0, 3)];
  lsp_random_floats(r, B * B, t->s, scale);
  for (int i = 0; i < t->rows; i++) {
    t->low[i] = (int)lsp_random_in(r, 0, B);
    t->high[i] = (int)lsp_random_in(r, -1, B - 1);
    for (int j = 0; j < B; j++)
      if (lsp_random_in(r, 0, 15) == 0)
        t->s[i * B + j] = -INFINITY;
    if (lsp_random_in(r, 0, 7) == 0)
      for (int j = 0; j < B; j++)
        t->s[i * B + j] = -INFINITY;
    if (number == 0) {
      t->top[i] = -FLT_MAX;
      t->sum[i] = 0;
    }
  }
}

static void check_tile(const tile_case *was, const tile_case *is, int bounded,
                       double *naive_top, double *naive_sum) {
  for (int i = 0; i < was->rows; i++) {
    double top = naive_top[i], part = 0;
    for (int j = 0; j < B; j++) {
      const int in = !bounded || (j >= was->low[i] && j <= was->high[i]);
      if (in && (double)was->s[i * B + j] > top)
        top = (double)was->s[i * B + j];
    }
    assert_true((double)is->top[i] == top);
    for (int j = 0; j < B; j++) {
      const int in = !bounded || (j >= was->low[i] && j <= was->high[i]);
      const double x = in ? (double)was->s[i * B + j] - top : -INFINITY;
      const double got = (double)is->s[i * B + j];
      if (x == -INFINITY)
        assert_true(got == 0);
      else
        expect_near(got, exp(x), exp_tolerance(x, x), "exp(s - top)");
      part += exp(x);
    }
    const double fall = naive_top[i] - top;
    expect_near((double)is->decay[i], exp(fall),
                exp_tolerance(fall, fmin(fabs(fall), 1e5)), "decay");
    naive_sum[i] = naive_sum[i] * exp(fall) + part;
    naive_top[i] = top;
    /* differences up to 2e4 are rounded to 2e4 * 2^-24, but those with a weight are
     * below 87: 87 roundings, and a few of the sum, for every tile */
    expect_near((double)is->sum[i], naive_sum[i], 6 * 100 * unit * naive_sum[i] + 1e-36,
                "sum");
  }
}

static void test_softmax_over_tiles_is_the_softmax(void **state) {
  (void)state;
  lsp_random random = {4};
  static tile_case t, was, other;
  double top[B], sum[B];
  for (int round = 0; round < 60; round++) {
    t.rows = 1 + round % B;
    for (int i = 0; i < B; i++) {
      top[i] = -(double)FLT_MAX;
      sum[i] = 0;
    }
    for (int tile = 0; tile < 5; tile++) {
      const int bounded = (int)lsp_random_in(&random, 0, 1);
      random_tile(&t, &random, tile);
      was = t;
      plain().softmax_tile(t.rows, t.s, bounded ? t.low : NULL, bounded ? t.high : NULL,
                           t.top, t.sum, t.decay);
      check_tile(&was, &t, bounded, top, sum);
      FOR_OTHERS(k) {
        other = was;
        memcpy(other.decay, t.decay, sizeof t.decay); /* beyond rows: untouched */
        for (int i = 0; i < t.rows; i++)
          other.decay[i] = SENTINEL;
        k->softmax_tile(t.rows, other.s, bounded ? other.low : NULL,
                        bounded ? other.high : NULL, other.top, other.sum, other.decay);
        assert_memory_equal(&other, &t, sizeof t);
      }
    }
  }
}

static void test_rows_that_see_nothing_change_nothing(void **state) {
  (void)state;
  for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
    static tile_case t;
    lsp_random random = {5};
    t.rows = B;
    lsp_random_floats(&random, B * B, t.s, 1e4f);
    static const int bounds[][2] = {{B, B - 1}, {0, -1},   {10, 5},    {B + 40, B + 80},
                                    {0, -B},    {-90, -B}, {B - 1, 0}, {1, 0}};
    for (int i = 0; i < B; i++) {
      t.low[i] = bounds[i % 8][0];
      t.high[i] = bounds[i % 8][1];
      t.s[i * B + i] = i % 5 ? INFINITY : NAN; /* unseen, so nobody's */
      t.top[i] = i % 3 ? (float)i : -FLT_MAX;
      t.sum[i] = i % 3 ? (float)i : 0;
      t.decay[i] = SENTINEL;
    }
    lsp_kernels_of((lsp_isa)isa)
        .softmax_tile(B, t.s, t.low, t.high, t.top, t.sum, t.decay);
    for (int i = 0; i < B; i++) {
      assert_true(t.decay[i] == 1);
      assert_true(t.top[i] == (i % 3 ? (float)i : -FLT_MAX));
      assert_true(t.sum[i] == (i % 3 ? (float)i : 0.0f));
      for (int j = 0; j < B; j++)
        assert_true(t.s[i * B + j] == 0);
    }
  }
}

static void check_mask(int rows, const float *s, const float *masked, const int *low,
                       const int *high) {
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < B; j++) {
      const int in = (!low || j >= low[i]) && (!high || j <= high[i]);
      const float want = in ? s[i * B + j] : 0.0f;
      assert_memory_equal(&masked[i * B + j], &want, sizeof want);
    }
}

static void test_mask_tile_leaves_what_a_row_sees(void **state) {
  (void)state;
  lsp_random random = {14};
  for (int round = 0; round < ROUNDS; round++) {
    const int rows = 1 + round % B, with = round % 4;
    float *s = some(&random, rows * B, 1);
    int low[B], high[B];
    for (int i = 0; i < rows; i++) {
      low[i] = (int)lsp_random_in(&random, -5, B + 5);
      high[i] = (int)lsp_random_in(&random, -5, B + 5);
      s[i * B + (int)lsp_random_in(&random, 0, B - 1)] = -INFINITY;
    }
    for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
      float *masked = copy(s, rows * B);
      lsp_kernels_of((lsp_isa)isa)
          .mask_tile(rows, masked, with & 1 ? low : NULL, with & 2 ? high : NULL);
      check_mask(rows, s, masked, with & 1 ? low : NULL, with & 2 ? high : NULL);
      free(masked);
    }
    free(s);
  }
}

/* ---- softmax_merge */

typedef struct {
  int64_t rows, width, ld;
  float top[B], sum[B], *out;
  lsp_partial part;
} part_case;

static void open_part(part_case *t, lsp_random *r, int64_t rows, int64_t width) {
  *t = (part_case){.rows = rows, .width = width};
  t->ld = width + lsp_random_in(r, 0, 9);
  t->out = some(r, rows * t->ld, 1);
  for (int64_t i = 0; i < rows; i++) {
    t->top[i] = lsp_random_float(r, lsp_random_in(r, 0, 1) ? 1 : 100);
    t->sum[i] = 1 + fabsf(lsp_random_float(r, 50));
    if (lsp_random_in(r, 0, 4) == 0) { /* nothing seen: what `out` holds is nobody's */
      t->top[i] = -FLT_MAX;
      t->sum[i] = 0;
      t->out[i * t->ld] = NAN;
    }
  }
  t->part = (lsp_partial){.out = t->out, .ldo = t->ld, .top = t->top, .sum = t->sum};
}

static void check_merge(const part_case *a, const part_case *b, const lsp_partial *c) {
  for (int64_t i = 0; i < a->rows; i++) {
    const part_case *only = b->sum[i] == 0.0f ? a : a->sum[i] == 0.0f ? b : NULL;
    if (only != NULL) {
      assert_memory_equal(&c->top[i], &only->top[i], sizeof(float));
      assert_memory_equal(&c->sum[i], &only->sum[i], sizeof(float));
      assert_memory_equal(c->out + i * c->ldo, only->out + i * only->ld,
                          (size_t)a->width * sizeof(float));
      continue;
    }
    const double top = fmax((double)a->top[i], (double)b->top[i]);
    const double fa = exp((double)a->top[i] - top), fb = exp((double)b->top[i] - top);
    const double sum = (double)a->sum[i] * fa + (double)b->sum[i] * fb;
    /* the exponential of a rounded difference of which at most 87 counts, and three
     * roundings */
    const double off = 100 * unit;
    assert_true((double)c->top[i] == top);
    expect_near((double)c->sum[i], sum, off * sum, "merged sum");
    for (int64_t j = 0; j < a->width; j++) {
      const double x = (double)a->out[i * a->ld + j] * fa;
      const double y = (double)b->out[i * b->ld + j] * fb;
      expect_near((double)c->out[i * c->ldo + j], x + y,
                  off * (fabs(x) + fabs(y)) + 1e-37, "merged values");
    }
  }
}

static void test_merging_two_partial_softmaxes_is_one_over_both(void **state) {
  (void)state;
  lsp_random random = {15};
  for (int round = 0; round < ROUNDS; round++) {
    const int64_t rows = 1 + round % B, width = lsp_random_in(&random, 1, 80);
    part_case a, b;
    open_part(&a, &random, rows, width);
    open_part(&b, &random, rows, width);
    float *first = NULL, first_top[B], first_sum[B];
    for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
      float *out = copy(a.out, rows * a.ld), top[B], sum[B];
      memcpy(top, a.top, sizeof top);
      memcpy(sum, a.sum, sizeof sum);
      const lsp_partial c = {.out = out, .ldo = a.ld, .top = top, .sum = sum};
      lsp_kernels_of((lsp_isa)isa).softmax_merge(rows, width, &c, &b.part);
      check_merge(&a, &b, &c);
      if (first == NULL) {
        first = copy(out, rows * a.ld);
        memcpy(first_top, top, sizeof top);
        memcpy(first_sum, sum, sizeof sum);
      }
      assert_memory_equal(out, first, (size_t)(rows * a.ld) * sizeof *out);
      assert_memory_equal(top, first_top, (size_t)rows * sizeof *top);
      assert_memory_equal(sum, first_sum, (size_t)rows * sizeof *sum);
      free(out);
    }
    free(first);
    free(a.out);
    free(b.out);
  }
}

/* With the maximum at 0 the tile is the exponential itself. */
static void test_exponential_is_off_by_less_than_one_and_a_half_ulp(void **state) {
  (void)state;
  const lsp_kernels k = plain();
  double worst = 0;
  for (int64_t n = 0; n < 1500000; n += B) {
    float s[B], top = 0, sum = 0, decay;
    double x[B];
    for (int j = 0; j < B; j++) {
      s[j] = (float)((double)-(n + j) * 87 / 1500000);
      x[j] = (double)s[j];
    }
    k.softmax_tile(1, s, NULL, NULL, &top, &sum, &decay);
    for (int j = 0; j < B && x[j] >= -87; j++) {
      int exponent;
      (void)frexp(exp(x[j]), &exponent);
      worst = fmax(worst, fabs((double)s[j] - exp(x[j])) / ldexp(1, exponent - 24));
    }
  }
  if (!(worst < 1.5)) /* the header of the kernel says so */
    fail_msg("exp is off by %g ulp", worst);
}

static void test_exponential_is_one_at_zero_and_nothing_far_below(void **state) {
  (void)state;
  for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
    float s[B] = {0, -87, -87.0001f, -88, -104, -1e4f, -FLT_MAX, -INFINITY};
    float top = 0, sum = 0, decay;
    lsp_kernels_of((lsp_isa)isa).softmax_tile(1, s, NULL, NULL, &top, &sum, &decay);
    assert_true(s[0] == 1 && decay == 1);
    assert_true(s[1] > 0);
    for (int j = 2; j < 8; j++)
      assert_true(s[j] == 0);
  }
}

/* ---- layer_norm */

static void test_layer_norm_is_the_formula_and_the_same_everywhere(void **state) {
  (void)state;
  lsp_random random = {6};
  for (int round = 0; round < ROUNDS; round++) {
    const int64_t rows = lsp_random_in(&random, 1, 5);
    const int64_t width = round < 70 ? round + 1 : lsp_random_in(&random, 1, 1100);
    const int64_t n = rows * width;
    float *x = some(&random, n, 1), *add = some(&random, n, 1), *y = copy(x, n);
    float *gain = some(&random, width, 2), *bias = some(&random, width, 2);
    const int adds = (int)lsp_random_in(&random, 0, 1);
    for (int64_t j = 0; j < n; j++)
      x[j] += (float)(round % 3); /* a mean of some size */
    plain().layer_norm(rows, width, x, adds ? add : NULL, gain, bias, 1e-5f, y);
    for (int64_t i = 0; i < rows; i++) {
      double mean = 0, variance = 0, size = 0;
      for (int64_t j = 0; j < width; j++) {
        const double z = (double)x[i * width + j] + adds * (double)add[i * width + j];
        mean += z / (double)width;
        size = fmax(size, fabs(z));
      }
      for (int64_t j = 0; j < width; j++) {
        const double z = (double)x[i * width + j] + adds * (double)add[i * width + j];
        variance += (z - mean) * (z - mean) / (double)width;
      }
      const double deviation = sqrt(variance + 1e-5);
      for (int64_t j = 0; j < width; j++) {
        const double z = (double)x[i * width + j] + adds * (double)add[i * width + j];
        const double normed = (z - mean) / deviation;
        /* the mean is a sum of width / 16 + 20 roundings of numbers up to `size`; it
         * and the sum are then off by that over the deviation, and the variance by as
         * many roundings of its own */
        const double steps = (double)width / 16 + 20;
        const double off = steps * unit * (size / deviation * 2 + fabs(normed));
        expect_near(
            (double)y[i * width + j], normed * (double)gain[j] + (double)bias[j],
            off * fabs((double)gain[j]) * (1 + fabs(normed)) + 4 * unit, "norm");
      }
    }
    FOR_OTHERS(k) {
      float *other = copy(x, n);
      k->layer_norm(rows, width, other, adds ? add : NULL, gain, bias, 1e-5f, other);
      assert_memory_equal(other, y, (size_t)n * sizeof *y);
      free(other);
    }
    /* y may be x */
    plain().layer_norm(rows, width, x, adds ? add : NULL, gain, bias, 1e-5f, x);
    assert_memory_equal(x, y, (size_t)n * sizeof *y);
    free(x);
    free(add);
    free(y);
    free(gain);
    free(bias);
  }
}

/* ---- rms_norm */

static void check_rms(const lsp_rms *p, const float *x) {
  for (int64_t i = 0; i < p->rows; i++) {
    double square = 0;
    for (int64_t j = 0; j < p->width; j++) {
      const float a = p->add ? p->add[i * p->width + j] : 0;
      const double z = (double)(x[i * p->ldx + j] + a);
      square += z * z / (double)p->width;
    }
    for (int64_t j = 0; j < p->width; j++) {
      const float a = p->add ? p->add[i * p->width + j] : 0;
      const double z = (double)(x[i * p->ldx + j] + a);
      const double want = z / sqrt(square + (double)p->eps) * (double)p->gain[j];
      /* a sum of squares of width / 16 + 20 roundings, of which the root halves the
       * error, and five more roundings */
      const double steps = ((double)p->width / 16 + 20) / 2 + 5;
      expect_near((double)p->y[i * p->ldy + j], want, steps * unit * fabs(want),
                  "rms norm");
    }
  }
}

static void test_rms_norm_is_the_formula_and_the_same_everywhere(void **state) {
  (void)state;
  lsp_random random = {16};
  for (int round = 0; round < ROUNDS; round++) {
    const int64_t rows = lsp_random_in(&random, 1, 5);
    const int64_t width = round < 70 ? round + 1 : lsp_random_in(&random, 1, 1100);
    lsp_rms p = {.rows = rows, .width = width, .eps = 1e-5f};
    p.ldx = width + lsp_random_in(&random, 0, 9);
    p.ldy = width + lsp_random_in(&random, 0, 9);
    float *x = some(&random, rows * p.ldx, round % 3 ? 1 : 1e-3f);
    float *add = some(&random, rows * width, 1), *gain = some(&random, width, 2);
    float *y = some(&random, rows * p.ldy, 1), *fresh = copy(y, rows * p.ldy);
    p.x = x;
    p.y = y;
    p.gain = gain;
    p.add = round % 2 ? add : NULL;
    plain().rms_norm(&p);
    check_rms(&p, x);
    for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
      float *apart = copy(fresh, rows * p.ldy), *inside = copy(x, rows * p.ldx);
      lsp_rms q = p;
      q.y = apart;
      lsp_kernels_of((lsp_isa)isa).rms_norm(&q);
      q.x = q.y = inside;
      q.ldy = q.ldx;
      lsp_kernels_of((lsp_isa)isa).rms_norm(&q);
      for (int64_t i = 0; i < rows; i++) {
        const size_t size = (size_t)width * sizeof *y, more = sizeof *y;
        assert_memory_equal(apart + i * p.ldy, y + i * p.ldy, size);
        assert_memory_equal(inside + i * p.ldx, y + i * p.ldy, size);
        assert_memory_equal(apart + i * p.ldy + width, fresh + i * p.ldy + width,
                            (size_t)(p.ldy - width) * more);
        assert_memory_equal(inside + i * p.ldx + width, x + i * p.ldx + width,
                            (size_t)(p.ldx - width) * more);
      }
      free(apart);
      free(inside);
    }
    free(x);
    free(add);
    free(gain);
    free(y);
    free(fresh);
  }
}

/* ---- Activations */

static const lsp_activation kinds[] = {LSP_RELU, LSP_GELU, LSP_GELU_TANH, LSP_SILU};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* The sigmoid's argument in GELU_TANH; in the others none that is rounded. */
static double argument(lsp_activation kind, double x) {
  return kind == LSP_GELU_TANH
             ? 2 * sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)
             : 0;
}

static double naive_activation(lsp_activation kind, double x) {
  switch (kind) {
  case LSP_RELU:
    return x > 0 ? x : 0;
  case LSP_GELU:
    return x * erfc(-x / sqrt(2)) / 2;
  case LSP_GELU_TANH:
    return x / (1 + exp(-argument(kind, x)));
  case LSP_SILU:
    return x / (1 + exp(-x));
  }
  return NAN;
}

/* 1e-6 or e^-87 |x| as the header says, and the last bit of the smallest numbers. The
 * argument of GELU_TANH has six roundings, those of its two constants included; they
 * show where it is negative. */
static double activation_tolerance(lsp_activation kind, double x) {
  const double rounded = fmin(fabs(argument(kind, x)), 100) * 6 * unit;
  return fabs(naive_activation(kind, x)) * (1e-6 + (x < 0 ? rounded : 0)) +
         1.7e-38 * fabs(x) + 2e-45;
}

/* Numbers of every size and sign, and densely what matters: -20 .. 20. */
static float *all_sizes(lsp_random *random, int64_t n) {
  float *x = some(random, n, 20);
  for (int64_t j = 0; j < n; j += 3) {
    const double size = exp(-90 + 160 * (double)j / (double)n);
    x[j] = (float)(x[j] < 0 ? -size : size);
  }
  return x;
}

static void test_activations_are_off_by_less_than_a_millionth(void **state) {
  (void)state;
  enum { N = 300001 };
  lsp_random random = {17};
  float *x = all_sizes(&random, N);
  for (int kind = 0; kind < KINDS; kind++) {
    float *y = copy(x, N);
    plain().activate(kinds[kind], 1, N, y, NULL);
    for (int64_t j = 0; j < N; j++)
      expect_near((double)y[j], naive_activation(kinds[kind], (double)x[j]),
                  activation_tolerance(kinds[kind], (double)x[j]), "activation");
    FOR_OTHERS(k) {
      float *other = copy(x, N);
      k->activate(kinds[kind], 1, N, other, NULL);
      assert_memory_equal(other, y, N * sizeof *y);
      free(other);
    }
    free(y);
  }
  free(x);
}

/* Products in double: one chain of fused multiply-adds an element, whatever the shape, and
 * nothing is touched beside the columns. */
static void test_products_in_double_are_chains_and_the_same_everywhere(void **state) {
  (void)state;
  enum { MOST = 70, LD = 75 };
  static double a[MOST * LD], b[MOST * LD], sum[MOST * LD], is[MOST * LD],
      got[MOST * LD];
  lsp_random random = {19};
  for (int i = 0; i < MOST * LD; i++) {
    a[i] = (double)lsp_random_float(&random, 1) * 3.14159265358979323846;
    b[i] = (double)lsp_random_float(&random, 1) * 3.14159265358979323846;
    sum[i] = (double)lsp_random_float(&random, 1);
  }
  for (int round = 0; round < 60; round++) {
    const int rows = (int)lsp_random_in(&random, 1, MOST);
    const int cols = (int)lsp_random_in(&random, 1, MOST);
    const int64_t depth = lsp_random_in(&random, 0, MOST);
    memcpy(is, sum, sizeof is);
    for (int i = 0; i < rows; i++)
      for (int j = 0; j < cols; j++)
        for (int64_t d = 0; d < depth; d++)
          is[i * LD + j] = fma(a[i * LD + d], b[d * LD + j], is[i * LD + j]);
    for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
      memcpy(got, sum, sizeof got);
      const lsp_double_product p = {.a = a,
                                    .b = b,
                                    .sum = got,
                                    .lda = LD,
                                    .ldb = LD,
                                    .lds = LD,
                                    .depth = depth,
                                    .rows = rows,
                                    .cols = cols};
      lsp_kernels_of((lsp_isa)isa).product_double(&p);
      assert_memory_equal(got, is, sizeof is);
    }
  }
}

static void test_elu_one_is_the_formula_and_the_same_everywhere(void **state) {
  (void)state;
  enum { N = 100003 };
  lsp_random random = {18};
  float *x = all_sizes(&random, N), *y = copy(x, N);
  x[0] = 0;
  x[1] = -INFINITY;
  x[2] = INFINITY;
  x[3] = NAN;
  plain().elu_one(N, x, y);
  assert_true(y[0] == 1 && y[1] == 0 && isinf(y[2]) != 0 && isnan(y[3]) != 0);
  for (int64_t j = 4; j < N; j++) {
    const double is = x[j] > 0 ? (double)x[j] + 1 : exp((double)x[j]);
    expect_near((double)y[j], is, 2e-7 * is + 1.7e-38, "elu + 1");
  }
  FOR_OTHERS(k) {
    float *other = copy(x, N);
    k->elu_one(N, other, other); /* in place */
    assert_memory_equal(other, y, N * sizeof *y);
    free(other);
  }
  free(x);
  free(y);
}

static void test_activations_end_as_they_should(void **state) {
  (void)state;
  static const float large[] = {100, 1e10f, 1e19f, 1e20f, 1e30f, FLT_MAX};
  for (int isa = 0; isa <= (int)lsp_isa_here(); isa++)
    for (int kind = 0; kind < KINDS; kind++) {
      const lsp_kernels k = lsp_kernels_of((lsp_isa)isa);
      float x[16] = {0, -0.0f, INFINITY, -INFINITY};
      memcpy(x + 4, large, sizeof large);
      for (int j = 0; j < 6; j++)
        x[10 + j] = -large[j];
      k.activate(kinds[kind], 1, 16, x, NULL);
      assert_true(x[0] == 0 && x[1] == 0 && x[2] == INFINITY);
      if (kinds[kind] == LSP_RELU)
        assert_true(x[3] == 0);
      else
        assert_true(isnan(x[3]) != 0); /* an overflow is not taken for a 0 */
      for (int j = 0; j < 6; j++) {
        assert_true(x[4 + j] == large[j]);
        assert_true(x[10 + j] == 0);
      }
    }
}

/* y = x + bias: every second `width` of x */
static void half_of(int64_t rows, int64_t width, const float *x, const float *bias,
                    float *y) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < width; j++) {
      const float z = x[i * 2 * width + j];
      y[i * width + j] = bias != NULL ? z + bias[j] : z;
    }
}

/* Biases are added first, in one rounding; rows and tails of every length. */
static void test_activations_and_gates_of_biased_rows(void **state) {
  (void)state;
  lsp_random random = {18};
  for (int round = 0; round < ROUNDS; round++) {
    const lsp_activation kind = kinds[round % KINDS];
    const int64_t rows = lsp_random_in(&random, 1, 4);
    const int64_t width = round < 70 ? round + 1 : lsp_random_in(&random, 1, 300);
    const int64_t n = rows * width;
    float *x = some(&random, 2 * n, 5), *bias = some(&random, 2 * width, 5);
    const int to_gate = (int)lsp_random_in(&random, 0, 1);
    const int to_up = (int)lsp_random_in(&random, 0, 1);
    float *gate = some(&random, n, 1), *up = some(&random, n, 1);
    half_of(rows, width, x, to_gate ? bias : NULL, gate);
    half_of(rows, width, x + width, to_up ? bias + width : NULL, up);
    plain().activate(kind, 1, n, gate, NULL);
    for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
      const lsp_kernels k = lsp_kernels_of((lsp_isa)isa);
      float *y = some(&random, n + 1, 1), *z = some(&random, n, 1);
      y[n] = SENTINEL;
      k.gate(kind, rows, width, x, to_gate ? bias : NULL, to_up ? bias + width : NULL,
             y);
      assert_true(y[n] == SENTINEL);
      half_of(rows, width, x, NULL, z);
      k.activate(kind, rows, width, z, to_gate ? bias : NULL);
      assert_memory_equal(z, gate, (size_t)n * sizeof *z);
      for (int64_t j = 0; j < n; j++)
        assert_true(y[j] == gate[j] * up[j]);
      free(y);
      free(z);
    }
    free(x);
    free(bias);
    free(gate);
    free(up);
  }
}

/* ---- soft_cap */

static void test_soft_cap_is_off_by_less_than_a_millionth(void **state) {
  (void)state;
  enum { N = 100003 };
  static const float caps[] = {1, 30, 50, 0.3f};
  lsp_random random = {19};
  float *x = all_sizes(&random, N);
  for (int c = 0; c < 4; c++) {
    const double cap = (double)caps[c];
    float *y = copy(x, N);
    plain().soft_cap(N, y, caps[c]);
    for (int64_t j = 0; j < N; j++) {
      const double want = cap * tanh((double)x[j] / cap);
      /* below 2^-126, x / cap keeps a last bit of 2^-149 */
      expect_near((double)y[j], want, 1e-6 * fabs(want) + 2e-45 * (2 + cap),
                  "soft cap");
      assert_true(signbit(y[j]) == signbit(x[j]));
    }
    FOR_OTHERS(k) {
      float *other = copy(x, N);
      k->soft_cap(N, other, caps[c]);
      assert_memory_equal(other, y, N * sizeof *y);
      free(other);
    }
    free(y);
  }
  free(x);
}

static void test_soft_cap_of_infinity_is_the_cap(void **state) {
  (void)state;
  for (int isa = 0; isa <= (int)lsp_isa_here(); isa++)
    for (int n = 5; n < 40; n++) {
      float x[40] = {INFINITY, -INFINITY, NAN, 0, -FLT_MAX};
      x[n - 1] = n == 5 ? -FLT_MAX : INFINITY;
      lsp_kernels_of((lsp_isa)isa).soft_cap(n, x, 30);
      assert_true(x[0] == 30 && x[1] == -30 && x[3] == 0 && x[4] == -30);
      assert_true(isnan(x[2]) != 0);
      assert_true(x[n - 1] == (n == 5 ? -30 : 30));
    }
}

/* ---- rotate */

static void test_rotate_turns_every_pair_by_its_angle(void **state) {
  (void)state;
  lsp_random random = {20};
  for (int round = 0; round < ROUNDS; round++) {
    const int64_t rows = 1 + round % B, pairs = lsp_random_in(&random, 1, 70);
    const int64_t ldx = 2 * pairs + lsp_random_in(&random, 0, 50);
    float *x = some(&random, rows * ldx, 3);
    float *c = some(&random, rows * pairs, 1), *s = some(&random, rows * pairs, 1);
    for (int64_t j = 0; j < rows * pairs; j++) {
      c[j] = cosf(10 * c[j]);
      s[j] = sinf(10 * s[j]);
    }
    float *first = copy(x, rows * ldx);
    plain().rotate(rows, pairs, c, s, first, ldx);
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < ldx; j++) {
        const float *row = x + i * ldx, got = first[i * ldx + j];
        if (j >= 2 * pairs) {
          assert_true(got == row[j]);
          continue;
        }
        const int64_t at = j % pairs;
        const double cosine = (double)c[i * pairs + at];
        const double sine = (double)s[i * pairs + at] * (j < pairs ? -1 : 1);
        const double p = (double)row[j] * cosine;
        const double q = (double)row[(j + pairs) % (2 * pairs)] * sine;
        /* a product rounded, and the sum */
        expect_near((double)got, p + q, 2 * unit * (fabs(p) + fabs(q)), "rotation");
      }
    FOR_OTHERS(k) {
      float *other = copy(x, rows * ldx);
      k->rotate(rows, pairs, c, s, other, ldx);
      assert_memory_equal(other, first, (size_t)(rows * ldx) * sizeof *x);
      free(other);
    }
    free(x);
    free(c);
    free(s);
    free(first);
  }
}

/* ---- The small ones: one or two roundings, so exact in terms of floats */

static void test_biases_and_sums_are_exact_and_the_same_everywhere(void **state) {
  (void)state;
  lsp_random random = {7};
  for (int round = 0; round < ROUNDS; round++) {
    const int64_t rows = lsp_random_in(&random, 1, 5);
    const int64_t width = round < 70 ? round + 1 : lsp_random_in(&random, 1, 300);
    const int64_t n = rows * width;
    float *x = some(&random, n, 1), *y = some(&random, n, 1);
    float *bias = some(&random, width, 1);
    for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
      const lsp_kernels k = lsp_kernels_of((lsp_isa)isa);
      float *relu = copy(x, n), *biased = copy(x, n), *sum = copy(x, n);
      float *scaled = copy(x, n), *moved = copy(x, n);
      k.activate(LSP_RELU, rows, width, relu, bias);
      k.bias_add(rows, width, biased, bias);
      k.add(n, sum, y);
      k.scale(n, scaled, bias[0]);
      k.add_scaled(n, moved, y, bias[0]);
      for (int64_t j = 0; j < n; j++) {
        const float z = x[j] + bias[j % width], want = z > 0 ? z : 0;
        assert_memory_equal(&biased[j], &z, sizeof z);
        assert_memory_equal(&relu[j], &want, sizeof want);
        assert_true(sum[j] == x[j] + y[j]);
        assert_true(scaled[j] == bias[0] * x[j]);
        assert_true(moved[j] == fmaf(bias[0], y[j], x[j]));
      }
      free(scaled);
      free(moved);
      free(relu);
      free(biased);
      free(sum);
    }
    free(x);
    free(y);
    free(bias);
  }
}

static void test_shift_scale_pads_with_zeros(void **state) {
  (void)state;
  lsp_random random = {8};
  for (int round = 0; round < ROUNDS; round++) {
    const int rows = 1 + round % B, width = (int)lsp_random_in(&random, 1, 100);
    const int64_t ldx = width + lsp_random_in(&random, 0, 20);
    const int64_t ldy = lsp_padded(width);
    const float scale = lsp_random_float(&random, 1);
    float *x = some(&random, rows * ldx, 1), *bias = some(&random, width, 1);
    for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
      float *y = some(&random, rows * ldy, 1);
      lsp_kernels_of((lsp_isa)isa)
          .shift_scale(rows, width, x, ldx, bias, scale, y, ldy);
      for (int i = 0; i < rows; i++)
        for (int j = 0; j < ldy; j++) {
          const float want = j < width ? (x[i * ldx + j] + bias[j]) * scale : 0.0f;
          assert_memory_equal(&y[i * ldy + j], &want, sizeof want);
        }
      free(y);
    }
    free(x);
    free(bias);
  }
}

/* ---- logsumexp */

static double naive_logsumexp(int64_t n, const float *x, const float *bias) {
  double top = -INFINITY, sum = 0;
  for (int64_t j = 0; j < n; j++)
    top = fmax(top, (double)(bias ? x[j] + bias[j] : x[j]));
  for (int64_t j = 0; j < n; j++)
    sum += exp((double)(bias ? x[j] + bias[j] : x[j]) - top);
  return top + log(sum);
}

static void test_logsumexp_over_chunks_is_that_of_the_whole(void **state) {
  (void)state;
  lsp_random random = {9};
  for (int round = 0; round < ROUNDS; round++) {
    const int64_t n = round < 70 ? round + 1 : lsp_random_in(&random, 1, 3000);
    const float scale = round % 3 == 0 ? 1e4f : round % 3 == 1 ? 10 : 1;
    float *logit = some(&random, n, scale), *bias = some(&random, n, 1);
    const int biased = (int)lsp_random_in(&random, 0, 1);
    const double want = naive_logsumexp(n, logit, biased ? bias : NULL);
    float *x = copy(logit, n), top = -FLT_MAX, sum = 0;
    int64_t at = 0, pieces[64], count = 0;
    while (at < n) { /* pieces of 0 and more */
      int64_t piece = lsp_random_in(&random, 0, 1 + n / 2);
      piece = at + piece > n || count == 63 ? n - at : piece;
      plain().logsumexp(piece, x + at, biased ? bias + at : NULL, &top, &sum);
      pieces[count++] = piece;
      at += piece;
    }
    /* the logarithm of a sum that is known to about 100 roundings a piece, and `top` */
    expect_near((double)top + log((double)sum), want,
                (double)(count + 1) * 150 * unit + unit * fabs(want), "logsumexp");
    for (int64_t j = 0; j < n; j++)
      assert_true(x[j] == (biased ? logit[j] + bias[j] : logit[j]));
    FOR_OTHERS(k) {
      float *y = copy(logit, n), other_top = -FLT_MAX, other_sum = 0;
      at = 0;
      for (int64_t i = 0; i < count; at += pieces[i++])
        k->logsumexp(pieces[i], y + at, biased ? bias + at : NULL, &other_top,
                     &other_sum);
      assert_memory_equal(&other_top, &top, sizeof top);
      assert_memory_equal(&other_sum, &sum, sizeof sum);
      assert_memory_equal(y, x, (size_t)n * sizeof *x);
      free(y);
    }
    free(x);
    free(logit);
    free(bias);
  }
}

/* ---- What is not finite */

/* A NaN anywhere in what a row depends on, and nowhere else. */
static void test_nan_is_never_taken_for_a_number(void **state) {
  (void)state;
  enum { N = 37 };
  for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
    const lsp_kernels k = lsp_kernels_of((lsp_isa)isa);
    for (int at = 0; at < B; at++) {
      float s[2 * B] = {0}, top[2] = {1, 1}, sum[2] = {3, 3}, decay[2];
      const int low[2] = {2, 2}, high[2] = {60, 60};
      s[at] = NAN;
      k.softmax_tile(2, s, low, high, top, sum, decay);
      assert_int_equal(isnan(sum[0]) != 0, at >= 2 && at <= 60);
      assert_true(isnan(sum[1]) == 0);
    }
    for (int at = 0; at < N; at++) {
      float x[2 * N] = {0}, bias[N] = {0}, relu[2 * N], first = -FLT_MAX, sum = 0;
      x[at] = NAN;
      memcpy(relu, x, sizeof x);
      k.activate(LSP_RELU, 2, N, relu, bias);
      for (int j = 0; j < 2 * N; j++)
        assert_int_equal(isnan(relu[j]) != 0, j == at);
      for (int kind = 0; kind < KINDS; kind++) {
        float plainly[2 * N], gated[N];
        memcpy(plainly, x, sizeof x);
        k.activate(kinds[kind], 2, N, plainly, NULL);
        for (int j = 0; j < 2 * N; j++)
          assert_int_equal(isnan(plainly[j]) != 0, j == at);
        k.gate(kinds[kind], 1, N, x, bias, bias, gated);
        for (int j = 0; j < N; j++)
          assert_int_equal(isnan(gated[j]) != 0, j == at);
      }
      k.logsumexp(N, x, NULL, &first, &sum);
      assert_true(isnan(sum) != 0);
    }
  }
}

static void test_finite_sees_every_place(void **state) {
  (void)state;
  static const float not_finite[] = {NAN, INFINITY, -INFINITY};
  enum { N = 150 };
  for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
    const lsp_kernels k = lsp_kernels_of((lsp_isa)isa);
    float x[N];
    for (int j = 0; j < N; j++)
      x[j] = j % 3 == 0 ? FLT_MAX : j % 3 == 1 ? -FLT_MAX : 1e-42f;
    for (int n = 0; n <= N; n++)
      assert_int_equal(k.finite(n, x), 1);
    for (int n = 0; n < N; n++) {
      const float kept = x[n];
      x[n] = not_finite[n % 3];
      assert_int_equal(k.finite(n, x), 1); /* one past the end */
      assert_int_equal(k.finite(n + 1, x), 0);
      assert_int_equal(k.finite(N, x), 0);
      x[n] = kept;
    }
  }
}

/* A variance beyond float32 would make the row that of the bias. */
static void test_norm_of_what_overflows_is_nan(void **state) {
  (void)state;
  enum { N = 20 };
  for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
    const lsp_kernels k = lsp_kernels_of((lsp_isa)isa);
    float x[2 * N] = {0}, y[2 * N], gain[N], bias[N] = {0};
    for (int j = 0; j < N; j++)
      gain[j] = 1;
    x[3] = 1e21f;
    x[N + 3] = 1e18f;
    k.layer_norm(2, N, x, NULL, gain, bias, 1e-5f, y);
    for (int j = 0; j < 2 * N; j++)
      assert_int_equal(isnan(y[j]) != 0, j < N);
    const lsp_rms p = {.x = x,
                       .y = y,
                       .gain = gain,
                       .ldx = N,
                       .ldy = N,
                       .rows = 2,
                       .width = N,
                       .eps = 1e-5f};
    k.rms_norm(&p);
    for (int j = 0; j < 2 * N; j++)
      assert_int_equal(isnan(y[j]) != 0, j < N);
  }
}

/* The merged sum tells, whichever part the NaN came in. */
static void test_merging_keeps_a_nan(void **state) {
  (void)state;
  for (int isa = 0; isa <= (int)lsp_isa_here(); isa++)
    for (int which = 0; which < 4; which++) {
      float out[2][20] = {{1}, {1}}, top[2] = {1, 2}, sum[2] = {1, 1};
      (which < 2 ? top : sum)[which % 2] = NAN;
      const lsp_partial part = {out[0], 20, &top[0], &sum[0]};
      const lsp_partial other = {out[1], 20, &top[1], &sum[1]};
      lsp_kernels_of((lsp_isa)isa).softmax_merge(1, 20, &part, &other);
      assert_true(isnan(sum[0]) != 0);
    }
}

LSP_TESTS(cmocka_unit_test(test_instruction_sets_have_names),
          cmocka_unit_test(test_product_is_the_sum_and_the_same_everywhere),
          cmocka_unit_test(test_a_packed_row_can_be_read_again),
          cmocka_unit_test(test_packed_products_are_the_definition_on_every_isa),
          cmocka_unit_test(test_a_part_of_a_packed_matrix_is_one),
          cmocka_unit_test(test_product_may_begin_with_what_it_overwrites),
          cmocka_unit_test(test_product_reads_a_shifting_row),
          cmocka_unit_test(test_product_reads_a_vector_at_a_falling_offset),
          cmocka_unit_test(test_softmax_over_tiles_is_the_softmax),
          cmocka_unit_test(test_rows_that_see_nothing_change_nothing),
          cmocka_unit_test(test_mask_tile_leaves_what_a_row_sees),
          cmocka_unit_test(test_merging_two_partial_softmaxes_is_one_over_both),
          cmocka_unit_test(test_exponential_is_off_by_less_than_one_and_a_half_ulp),
          cmocka_unit_test(test_exponential_is_one_at_zero_and_nothing_far_below),
          cmocka_unit_test(test_layer_norm_is_the_formula_and_the_same_everywhere),
          cmocka_unit_test(test_rms_norm_is_the_formula_and_the_same_everywhere),
          cmocka_unit_test(test_activations_are_off_by_less_than_a_millionth),
          cmocka_unit_test(test_products_in_double_are_chains_and_the_same_everywhere),
          cmocka_unit_test(test_elu_one_is_the_formula_and_the_same_everywhere),
          cmocka_unit_test(test_activations_end_as_they_should),
          cmocka_unit_test(test_activations_and_gates_of_biased_rows),
          cmocka_unit_test(test_soft_cap_is_off_by_less_than_a_millionth),
          cmocka_unit_test(test_soft_cap_of_infinity_is_the_cap),
          cmocka_unit_test(test_rotate_turns_every_pair_by_its_angle),
          cmocka_unit_test(test_biases_and_sums_are_exact_and_the_same_everywhere),
          cmocka_unit_test(test_shift_scale_pads_with_zeros),
          cmocka_unit_test(test_logsumexp_over_chunks_is_that_of_the_whole),
          cmocka_unit_test(test_nan_is_never_taken_for_a_number),
          cmocka_unit_test(test_finite_sees_every_place),
          cmocka_unit_test(test_norm_of_what_overflows_is_nan),
          cmocka_unit_test(test_merging_keeps_a_nan))
