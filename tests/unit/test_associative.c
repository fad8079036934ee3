/* Associative memory: numbers of the formulas (worked out by torch in float64), against
 * plain loops in long double, and after a million segments. */
#include "harness.h"
#include "random.h"

#include "lsp/associative.h"

#include <math.h>

enum { MOST_K = 128, MOST_D = 40, MOST_ROWS = 8, SEGMENTS = 1000000 };

/* --- the same, slowly ------------------------------------------------------------- */

typedef struct {
  long double a[MOST_K][MOST_D], z[MOST_K];
} slow;

static long double half(const float *x, int d, int t) {
  const long double v = t < d ? (long double)x[t] : -(long double)x[t - d];
  return v > 0 ? v : 0;
}

static void slow_features(const lsp_association *a, const float *x, long double *phi) {
  const int n = 2 * a->width;
  for (int j = 1; j <= a->nu; j++)
    for (int t = 0; t < n; t++) {
      const int from = t - j;
      phi[(j - 1) * n + t] =
          half(x, a->width, t) * half(x, a->width, (from % n + n) % n);
    }
}

static long double slow_dot(int64_t n, const long double *x, const long double *y) {
  long double sum = 0;
  for (int64_t i = 0; i < n; i++)
    sum += x[i] * y[i];
  return sum;
}

static void slow_read(const lsp_association *a, const slow *s, const float *query,
                      long double *y) {
  const int64_t K = lsp_association_keys(a);
  long double phi[MOST_K];
  slow_features(a, query, phi);
  const long double all = slow_dot(K, phi, s->z) + 1e-5L;
  for (int64_t c = 0; c < a->values; c++) {
    y[c] = 0;
    for (int64_t i = 0; i < K; i++)
      y[c] += phi[i] * s->a[i][c] / all;
  }
}

static void slow_write(const lsp_association *a, slow *s,
                       const lsp_association_rows *r) {
  static slow old;
  const int64_t K = lsp_association_keys(a);
  old = *s;
  for (int64_t t = 0; t < r->rows; t++) {
    long double phi[MOST_K];
    slow_features(a, r->key + t * a->width, phi);
    const long double known = slow_dot(K, phi, old.z) + 1e-5L;
    long double gamma = 1 - known / (slow_dot(K, phi, phi) + 1e-5L);
    gamma = r->first || gamma > 1 ? 1 : gamma < 0 ? 0 : gamma;
    for (int64_t c = 0; c < a->values; c++) {
      long double before = 0;
      for (int64_t i = 0; i < K && !r->first; i++)
        before += phi[i] * old.a[i][c] / known;
      for (int64_t i = 0; i < K; i++)
        s->a[i][c] += (long double)r->beta[t] * phi[i] *
                      ((long double)r->value[t * a->values + c] - before);
    }
    for (int64_t i = 0; i < K; i++)
      s->z[i] += gamma * phi[i];
  }
}

/* --- a memory under test ----------------------------------------------------------- */

typedef struct {
  lsp_association is;
  double matrix[MOST_K * MOST_D], normalizer[MOST_K];
  float key[MOST_ROWS * MOST_K], value[MOST_ROWS * MOST_D];
  double beta[MOST_ROWS], gamma[MOST_ROWS], weight[MOST_ROWS];
  double phi[MOST_ROWS * MOST_K], change[MOST_ROWS * MOST_D];
} memory;

static lsp_association_rows rows_of(memory *m, int64_t rows, int first) {
  return (lsp_association_rows){.rows = rows,
                                .first = first,
                                .key = m->key,
                                .value = m->value,
                                .beta = m->beta,
                                .phi = m->phi,
                                .gamma = m->gamma,
                                .weight = m->weight,
                                .change = m->change};
}

static void write_all(memory *m, const lsp_association_rows *r) {
  lsp_association_look(&m->is, r, m->normalizer);
  lsp_association_write(&m->is, r, 0, m->is.values, m->matrix);
  lsp_association_count(&m->is, r, m->normalizer);
}

static void fill(memory *m, lsp_random *random, int64_t rows) {
  lsp_random_floats(random, rows * m->is.width, m->key, 1);
  lsp_random_floats(random, rows * m->is.values, m->value, 1);
  for (int64_t t = 0; t < rows; t++)
    m->beta[t] = 0.5 + 0.5 * (double)lsp_random_float(random, 1);
}

/* Off by how much, in parts of its norm: the worse of matrix and normalizer. */
static long double error_of(const memory *m, const slow *s) {
  const int64_t K = lsp_association_keys(&m->is), D = m->is.values;
  long double off[2] = {0, 0}, all[2] = {0, 0};
  for (int64_t i = 0; i < K; i++) {
    for (int64_t c = 0; c < D; c++) {
      const long double e = (long double)m->matrix[i * D + c] - s->a[i][c];
      off[0] += e * e;
      all[0] += s->a[i][c] * s->a[i][c];
    }
    const long double e = (long double)m->normalizer[i] - s->z[i];
    off[1] += e * e;
    all[1] += s->z[i] * s->z[i];
  }
  const long double a = off[0] > 0 ? sqrtl(off[0] / all[0]) : 0;
  const long double z = off[1] > 0 ? sqrtl(off[1] / all[1]) : 0;
  return a > z ? a : z;
}

/* --- numbers ----------------------------------------------------------------------- */

static void test_features_are_products_with_what_was_rolled(void **state) {
  (void)state;
  const lsp_association a = {.width = 3, .nu = 3, .values = 1};
  const float x[] = {1.5F, -2.0F, 0.25F};
  double phi[18];
  assert_int_equal(lsp_association_keys(&a), 18);
  lsp_association_features(&a, x, phi);
  for (int i = 0; i < 18; i++) /* y = 1.5 0 0.25 0 2 0 */
    assert_true(phi[i] == (i == 6 ? 3 : i == 8 ? 0.375 : i == 10 ? 0.5 : 0));
}

static void test_features_roll_round_and_round(void **state) {
  (void)state;
  const lsp_association once = {.width = 3, .nu = 1}, often = {.width = 3, .nu = 7};
  const float x[] = {1.5F, 2.0F, 0.25F};
  double one[6], seven[42];
  lsp_association_features(&once, x, one);
  lsp_association_features(&often, x, seven);
  assert_memory_equal(one, seven + 36, sizeof one);
  assert_true(one[1] == 3 && seven[36 + 2] == 0.5);
}

static void test_two_segments_give_the_numbers_of_torch(void **state) {
  (void)state;
  static memory m;
  static const float key[2][4] = {{1, -0.5F, 0.5F, 2}, {0.5F, 1, -1, -1}};
  static const float value[2][6] = {{1, 2, 3, -1, 0.5F, 0.25F},
                                    {0, 1, -2, 2, -0.5F, 1}};
  static const double beta[2][2] = {{0.75, 0.5}, {0.25, 1}};
  static const double matrix[12] = {0.375,
                                    0.75,
                                    1.125,
                                    -0.4375012499750005,
                                    0.34375062498750025,
                                    -0.1406246875062499,
                                    0,
                                    0,
                                    0,
                                    2,
                                    -0.5,
                                    1};
  static const double normalizer[4] = {0.5, 1, 0, 0.999990000099999};
  memset(&m, 0, sizeof m);
  m.is = (lsp_association){.width = 2, .nu = 2, .values = 3};
  for (int s = 0; s < 2; s++) {
    memcpy(m.key, key[s], sizeof key[s]);
    memcpy(m.value, value[s], sizeof value[s]);
    memcpy(m.beta, beta[s], sizeof beta[s]);
    const lsp_association_rows r = rows_of(&m, 2, s == 0);
    write_all(&m, &r);
  }
  for (int i = 0; i < 24; i++)
    assert_true(fabs(m.matrix[i] - (i < 12 ? matrix[i] : 0)) < 1e-15);
  for (int i = 0; i < 8; i++)
    assert_true(fabs(m.normalizer[i] - (i < 4 ? normalizer[i] : 0)) < 1e-15);
  const float query[] = {0.75F, -0.25F};
  float weight[8], copy[8 * LSP_LANES], room[LSP_LANES], x[3] = {1, 1, 1};
  double phi[8];
  const lsp_kernels k = lsp_kernels_of(LSP_ISA_PLAIN);
  lsp_association_copy(&m.is, m.matrix, 0, 8, copy);
  lsp_association_weigh(&m.is, m.normalizer, 1, query, phi, weight);
  lsp_association_read(&m.is, &k, 1, weight, copy, room, x);
  assert_true(fabs((double)x[0] - 1.7499200085324232) < 1e-6);
  assert_true(fabs((double)x[1] - 2.4998400170648465) < 1e-6);
  assert_true(fabs((double)x[2] - 3.24976002559727) < 1e-6);
}

/* --- against long double ------------------------------------------------------------ */

/* Random memories, written for some segments, then read. */
static void test_memories_are_those_of_plain_loops(void **state) {
  (void)state;
  static memory m;
  static slow s;
  static float copy[MOST_K * 48], weight[3 * MOST_K];
  float query[3 * 8], room[3 * 48], x[3 * MOST_D], before[3 * MOST_D];
  double phi[MOST_K];
  lsp_random random = {7};
  for (int trial = 0; trial < 100; trial++) {
    const int64_t segments = lsp_random_in(&random, 1, 20);
    memset(&m, 0, sizeof m);
    memset(&s, 0, sizeof s);
    m.is = (lsp_association){.width = (int)lsp_random_in(&random, 1, 8),
                             .nu = (int)lsp_random_in(&random, 1, 8),
                             .values = lsp_random_in(&random, 1, MOST_D)};
    for (int64_t i = 0; i < segments; i++) {
      const int64_t rows = lsp_random_in(&random, 1, MOST_ROWS);
      fill(&m, &random, rows);
      const lsp_association_rows r = rows_of(&m, rows, i == 0);
      slow_write(&m.is, &s, &r);
      write_all(&m, &r);
    }
    const int64_t K = lsp_association_keys(&m.is), D = m.is.values;
    assert_true(error_of(&m, &s) < 1e-12L);
    lsp_random_floats(&random, (int64_t)3 * m.is.width, query, 1);
    lsp_random_floats(&random, 3 * D, x, 1);
    memcpy(before, x, sizeof x);
    const lsp_kernels k = lsp_kernels_of((lsp_isa)(trial % ((int)lsp_isa_here() + 1)));
    lsp_association_copy(&m.is, m.matrix, 0, K, copy);
    lsp_association_weigh(&m.is, m.normalizer, 3, query, phi, weight);
    lsp_association_read(&m.is, &k, 3, weight, copy, room, x);
    for (int r = 0; r < 3; r++) {
      long double y[MOST_D], off = 0, all = 0;
      slow_read(&m.is, &s, query + (int64_t)r * m.is.width, y);
      for (int64_t c = 0; c < D; c++) {
        const long double right = (long double)before[r * D + c] + y[c];
        const long double e = (long double)x[r * D + c] - right;
        off += e * e;
        all += right * right;
      }
      assert_true(off <= 1e-12L * all); /* 1e-6 */
    }
  }
}

/* --- shared out --------------------------------------------------------------------- */

static void test_columns_and_rows_may_be_shared_out(void **state) {
  (void)state;
  static memory m, parts;
  static float copy[MOST_K * 48], weight[4 * MOST_K], alone[MOST_K];
  float room[4 * 48], x[4 * MOST_D], one[MOST_D];
  double phi[MOST_K];
  lsp_random random = {11};
  m.is = parts.is = (lsp_association){.width = 7, .nu = 3, .values = 37};
  for (int segment = 0; segment < 5; segment++) {
    fill(&m, &random, 5);
    memcpy(parts.key, m.key, sizeof m.key);
    memcpy(parts.value, m.value, sizeof m.value);
    memcpy(parts.beta, m.beta, sizeof m.beta);
    const lsp_association_rows r = rows_of(&m, 5, segment == 0);
    const lsp_association_rows p = rows_of(&parts, 5, segment == 0);
    write_all(&m, &r);
    lsp_association_look(&parts.is, &p, parts.normalizer);
    lsp_association_write(&parts.is, &p, 20, 37, parts.matrix);
    lsp_association_write(&parts.is, &p, 0, 1, parts.matrix);
    lsp_association_write(&parts.is, &p, 1, 20, parts.matrix);
    lsp_association_count(&parts.is, &p, parts.normalizer);
  }
  assert_memory_equal(m.matrix, parts.matrix, sizeof m.matrix);
  assert_memory_equal(m.normalizer, parts.normalizer, sizeof m.normalizer);
  float query[4 * 7];
  lsp_random_floats(&random, 28, query, 1);
  memset(x, 0, sizeof x);
  lsp_association_copy(&m.is, m.matrix, 0, lsp_association_keys(&m.is), copy);
  lsp_association_weigh(&m.is, m.normalizer, 4, query, phi, weight);
  const lsp_kernels k = lsp_kernels_of(lsp_isa_here());
  lsp_association_read(&m.is, &k, 4, weight, copy, room, x);
  for (int r = 0; r < 4; r++) {
    memset(one, 0, sizeof one);
    lsp_association_weigh(&m.is, m.normalizer, 1, query + (ptrdiff_t)r * 7, phi, alone);
    lsp_association_read(&m.is, &k, 1, alone, copy, room, one);
    assert_memory_equal(one, x + (ptrdiff_t)r * 37, 37 * sizeof *one);
  }
}

static void test_what_is_no_number_stays_none(void **state) {
  (void)state;
  const lsp_association a = {.width = 2, .nu = 1, .values = 1};
  const float x[] = {1, NAN};
  double phi[4];
  lsp_association_features(&a, x, phi);
  assert_true(isnan(phi[1])); /* y[1] y[0] */
}

/* --- a million segments --------------------------------------------------------------- */

/* As after a write of a state that is kept in float. */
static void make_float(memory *m) {
  for (int i = 0; i < MOST_K * MOST_D; i++)
    m->matrix[i] = (double)(float)m->matrix[i];
  for (int i = 0; i < MOST_K; i++)
    m->normalizer[i] = (double)(float)m->normalizer[i];
}

/* A strong write, and then a million of a strength around `beta`; in_float: how far off a state in float is. */
static long double million(double beta, long double *in_float) {
  static memory m, rounded;
  static slow s;
  lsp_random random = {3};
  memset(&m, 0, sizeof m);
  memset(&rounded, 0, sizeof rounded);
  memset(&s, 0, sizeof s);
  m.is = rounded.is = (lsp_association){.width = 2, .nu = 3, .values = 2};
  for (int64_t i = 0; i < SEGMENTS; i++) {
    fill(&m, &random, 1);
    m.beta[0] *= i == 0 ? 1 : beta;
    const lsp_association_rows r = rows_of(&m, 1, i == 0);
    slow_write(&m.is, &s, &r);
    write_all(&m, &r);
    lsp_association_rows f = rows_of(&rounded, 1, i == 0);
    f.key = m.key;
    f.value = m.value;
    f.beta = m.beta;
    write_all(&rounded, &f);
    make_float(&rounded);
  }
  *in_float = error_of(&rounded, &s);
  return error_of(&m, &s);
}

/* Weak writes are why the state is in double: what they add to a float is rounded away. */
static void test_a_million_segments_leave_it_right(void **state) {
  (void)state;
  static const double beta[] = {1, 1e-8};
  long double off = 0, in_float = 0;
  for (int i = 0; i < 2; i++) {
    off = million(beta[i], &in_float);
    print_message("1,000,000 segments, beta %.0e: off by %.1Le; in float by %.1Le\n",
                  beta[i], off, in_float);
    assert_true(off < 1e-10L);
  }
  assert_true(in_float > 1e-5L);
}

LSP_TESTS(cmocka_unit_test(test_features_are_products_with_what_was_rolled),
          cmocka_unit_test(test_features_roll_round_and_round),
          cmocka_unit_test(test_two_segments_give_the_numbers_of_torch),
          cmocka_unit_test(test_memories_are_those_of_plain_loops),
          cmocka_unit_test(test_columns_and_rows_may_be_shared_out),
          cmocka_unit_test(test_what_is_no_number_stays_none),
          cmocka_unit_test(test_a_million_segments_leave_it_right))
