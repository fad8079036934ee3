/* A compressive memory against its formula, written out in long double; wherever its rows
 * are cut; after a million segments. */
#include "harness.h"
#include "random.h"

#include "lsp/compressive.h"

#include <float.h>
#include <math.h>

enum { WIDTHS = 5, ROWS = 300, MILLION = 1000000 };

static const int64_t widths[WIDTHS] = {1, 5, 8, 65, 130};

static void *room(int64_t n, size_t size) {
  void *x = calloc((size_t)n, size);
  LSP_ASSERT(x != NULL);
  return x;
}

static const lsp_kernels *plain(void) {
  static lsp_kernels k;
  k = lsp_kernels_of(LSP_ISA_PLAIN);
  return &k;
}

static lsp_compressive memory_of(int64_t E, int delta) {
  lsp_compressive m = {.kernels = plain(), .width = E};
  m.matrix = room(E * E, sizeof(double));
  m.normalizer = room(E, sizeof(double));
  m.matrix_sum = room(E * E, sizeof(double));
  m.normalizer_sum = room(E, sizeof(double));
  m.decay_sum = delta ? room(E * E, sizeof(double)) : NULL;
  return m;
}

static void close_memory(lsp_compressive *m) {
  free(m->matrix);
  free(m->normalizer);
  free(m->matrix_sum);
  free(m->normalizer_sum);
  free(m->decay_sum);
}

/* ---- The formula */

typedef struct {
  int64_t width;
  int delta;
  long double *matrix, *normalizer, *matrix_sum, *normalizer_sum;
} formula;

static formula formula_of(int64_t E, int delta) {
  return (formula){E,
                   delta,
                   room(E * E, sizeof(long double)),
                   room(E, sizeof(long double)),
                   room(E * E, sizeof(long double)),
                   room(E, sizeof(long double))};
}

static void close_formula(formula *f) {
  free(f->matrix);
  free(f->normalizer);
  free(f->matrix_sum);
  free(f->normalizer_sum);
}

static long double dot_of(const formula *f, const float *key) {
  long double dot = 0;
  for (int64_t a = 0; a < f->width; a++)
    dot += (long double)key[a] * f->normalizer[a];
  return fmaxl(dot, 1e-10L);
}

/* What stands for component b of the value of a key. */
static long double value_of(const formula *f, const float *key, const float *value,
                            int64_t b) {
  long double found = 0;
  for (int64_t a = 0; a < f->width && f->delta; a++)
    found += (long double)key[a] * f->matrix[a * f->width + b];
  return (long double)value[b] - found / dot_of(f, key);
}

static void formula_absorb(formula *f, const float *key, const float *value) {
  const int64_t E = f->width;
  for (int64_t b = 0; b < E; b++) {
    const long double v = value_of(f, key, value, b);
    for (int64_t a = 0; a < E; a++)
      f->matrix_sum[a * E + b] += (long double)key[a] * v;
  }
  for (int64_t a = 0; a < E; a++)
    f->normalizer_sum[a] += (long double)key[a];
}

static void formula_close(formula *f) {
  const int64_t E = f->width;
  for (int64_t i = 0; i < E * E; i++)
    f->matrix[i] += f->matrix_sum[i];
  for (int64_t i = 0; i < E; i++)
    f->normalizer[i] += f->normalizer_sum[i];
  memset(f->matrix_sum, 0, (size_t)(E * E) * sizeof(long double));
  memset(f->normalizer_sum, 0, (size_t)E * sizeof(long double));
}

static long double formula_read(const formula *f, const float *query, int64_t b) {
  long double sum = 0;
  for (int64_t a = 0; a < f->width; a++)
    sum += (long double)query[a] * f->matrix[a * f->width + b];
  return sum / dot_of(f, query);
}

/* ---- Rows */

typedef struct {
  float *key, *value; /* (ROWS, E) */
} rows;

/* elu(x) + 1 of normal numbers, roughly; values of both signs. */
static rows rows_of(int64_t E, uint64_t seed) {
  lsp_random random = {seed};
  rows r = {room(ROWS * E, sizeof(float)), room(ROWS * E, sizeof(float))};
  for (int64_t i = 0; i < ROWS * E; i++) {
    const double x = (double)lsp_random_float(&random, 2);
    r.key[i] = (float)(x > 0 ? x + 1 : exp(x));
    r.value[i] = lsp_random_float(&random, 1);
  }
  return r;
}

static void close_rows(rows *r) {
  free(r->key);
  free(r->value);
}

static lsp_compressive_rows some_of(const rows *r, int64_t E, int64_t first,
                                    int64_t n) {
  return (lsp_compressive_rows){r->key + first * E, r->value + first * E, E, E, n};
}

/* Largest difference between what both read, against the largest number that is read. */
static double error_of(const lsp_compressive *m, const formula *f, const float *query,
                       int64_t n) {
  const int64_t E = m->width;
  float *copy = room(lsp_compressive_floats(E), sizeof(float));
  float *out = room(n * E, sizeof(float));
  double *work = room(LSP_COMPRESSIVE_WORK * E, sizeof(double));
  const lsp_compressive_queries q = {plain(), E, n, query, out, E, E};
  long double worst = 0, most = 0;
  lsp_compressive_copy(m, copy);
  lsp_compressive_read(&q, copy, work);
  for (int64_t i = 0; i < n; i++)
    for (int64_t b = 0; b < E; b++) {
      const long double is = formula_read(f, query + i * E, b);
      worst = fmaxl(worst, fabsl((long double)out[i * E + b] - is));
      most = fmaxl(most, fabsl(is));
    }
  free(copy);
  free(out);
  free(work);
  return (double)(most > 0 ? worst / most : worst);
}

/* ---- Tests */

static void check_formula(int64_t E, int delta, int64_t segment) {
  rows r = rows_of(E, 1 + (uint64_t)(E + segment));
  lsp_compressive m = memory_of(E, delta);
  formula f = formula_of(E, delta);
  for (int64_t first = 0; first + segment <= ROWS; first += segment) {
    const lsp_compressive_rows some = some_of(&r, E, first, segment);
    lsp_compressive_absorb(&m, &some);
    lsp_compressive_close(&m);
    for (int64_t i = first; i < first + segment; i++)
      formula_absorb(&f, r.key + i * E, r.value + i * E);
    formula_close(&f);
    assert_true(error_of(&m, &f, r.key, 7) < 1e-6);
  }
  close_rows(&r);
  close_memory(&m);
  close_formula(&f);
}

static void test_a_memory_is_what_the_formula_says(void **state) {
  (void)state;
  static const int64_t segments[] = {1, 2, 13, 64, 100, 300};
  for (int w = 0; w < WIDTHS; w++)
    for (size_t s = 0; s < sizeof segments / sizeof segments[0]; s++)
      for (int delta = 0; delta < 2; delta++)
        check_formula(widths[w], delta, segments[s]);
}

static void test_nothing_is_read_of_an_empty_memory(void **state) {
  (void)state;
  enum { E = 5 };
  rows r = rows_of(E, 7);
  lsp_compressive m = memory_of(E, 1);
  const lsp_compressive_rows some = some_of(&r, E, 0, 10);
  float copy[E * (E + 1)], out[ROWS * E];
  double work[LSP_COMPRESSIVE_WORK * E];
  const lsp_compressive_queries q = {plain(), E, ROWS, r.key, out, E, E};
  lsp_compressive_absorb(&m, &some); /* a segment that has not ended */
  lsp_compressive_copy(&m, copy);
  lsp_compressive_read(&q, copy, work);
  for (int i = 0; i < ROWS * E; i++)
    assert_true(out[i] == 0);
  lsp_compressive_close(&m);
  lsp_compressive_copy(&m, copy);
  lsp_compressive_read(&q, copy, work);
  assert_true(out[0] != 0);
  lsp_compressive_begin(&m);
  for (int i = 0; i < E * E; i++)
    assert_true(m.matrix[i] == 0 && m.matrix_sum[i] == 0 && m.decay_sum[i] == 0);
  close_rows(&r);
  close_memory(&m);
}

static int same(const lsp_compressive *a, const lsp_compressive *b) {
  const size_t square = (size_t)(a->width * a->width) * sizeof(double);
  const size_t row = (size_t)a->width * sizeof(double);
  return memcmp(a->matrix, b->matrix, square) == 0 &&
         memcmp(a->matrix_sum, b->matrix_sum, square) == 0 &&
         memcmp(a->normalizer, b->normalizer, row) == 0 &&
         memcmp(a->normalizer_sum, b->normalizer_sum, row) == 0 &&
         (a->decay_sum == NULL || memcmp(a->decay_sum, b->decay_sum, square) == 0);
}

/* Rows in pieces of any size, and their halves one after the other, have the bits of all
 * at once. */
static void check_cuts(int64_t E, int delta) {
  rows r = rows_of(E, 21);
  lsp_random random = {5};
  lsp_compressive whole = memory_of(E, delta), cut = memory_of(E, delta),
                  halves = memory_of(E, delta);
  for (int segment = 0; segment < 3; segment++) {
    const lsp_compressive_rows all = some_of(&r, E, 0, ROWS);
    lsp_compressive_absorb(&whole, &all);
    lsp_compressive_absorb_sums(&halves, &all);
    lsp_compressive_absorb_decay(&halves, &all);
    for (int64_t first = 0, n; first < ROWS; first += n) {
      n = lsp_random_in(&random, 1, 90);
      n = n < ROWS - first ? n : ROWS - first;
      const lsp_compressive_rows some = some_of(&r, E, first, n);
      lsp_compressive_absorb(&cut, &some);
    }
    assert_true(same(&whole, &cut) && same(&whole, &halves));
    lsp_compressive_close(&whole);
    lsp_compressive_close(&cut);
    lsp_compressive_close(&halves);
    assert_true(same(&whole, &cut) && same(&whole, &halves));
  }
  close_rows(&r);
  close_memory(&whole);
  close_memory(&cut);
  close_memory(&halves);
}

static void test_where_rows_are_cut_changes_no_bit(void **state) {
  (void)state;
  for (int w = 0; w < WIDTHS; w++)
    for (int delta = 0; delta < 2; delta++)
      check_cuts(widths[w], delta);
}

static void test_reading_in_place_and_row_by_row_is_the_same(void **state) {
  (void)state;
  enum { WIDTH = 65 };
  const int64_t E = WIDTH, LD = 70;
  rows r = rows_of(E, 3);
  lsp_compressive m = memory_of(E, 0);
  const lsp_compressive_rows all = some_of(&r, E, 0, ROWS);
  float *copy = room(lsp_compressive_floats(E), sizeof(float));
  float *apart = room(ROWS * E, sizeof(float)), *place = room(ROWS * LD, sizeof(float));
  double work[LSP_COMPRESSIVE_WORK * WIDTH];
  lsp_compressive_absorb(&m, &all);
  lsp_compressive_close(&m);
  lsp_compressive_copy(&m, copy);
  for (int i = 0; i < ROWS; i++) {
    const lsp_compressive_queries one = {plain(),       E, 1, r.key + i * E,
                                         apart + i * E, E, E};
    lsp_compressive_read(&one, copy, work);
    memcpy(place + i * LD, r.key + i * E, WIDTH * sizeof(float));
  }
  const lsp_compressive_queries q = {plain(), E, ROWS, place, place, LD, LD};
  lsp_compressive_read(&q, copy, work);
  for (int i = 0; i < ROWS; i++)
    assert_memory_equal(place + i * LD, apart + i * E, WIDTH * sizeof(float));
  free(copy);
  free(apart);
  free(place);
  close_rows(&r);
  close_memory(&m);
}

/* A million segments. Keys and values repeat themselves, so that sums grow and grow; a sum
 * in float then stands still: the last part of the test shows that this one can tell. */
static void check_million(int delta) {
  enum { E = 4, S = 1 };
  rows r = rows_of(E, 99);
  lsp_compressive m = memory_of(E, delta);
  formula f = formula_of(E, delta);
  float sum = 0;
  for (int64_t i = 0; i < MILLION; i++) {
    const int64_t row = i * 7 % ROWS;
    const lsp_compressive_rows some = some_of(&r, E, row, S);
    lsp_compressive_absorb(&m, &some);
    lsp_compressive_close(&m);
    formula_absorb(&f, r.key + row * E, r.value + row * E);
    formula_close(&f);
    sum += r.key[row * E];
  }
  const double read = error_of(&m, &f, r.key, ROWS);
  const double kept = fabs(m.normalizer[0] - (double)f.normalizer[0]) / m.normalizer[0];
  const double in_float = fabs((double)sum - m.normalizer[0]) / m.normalizer[0];
  print_message(
      "%s rule after 10^6 segments: relative error of what is read %.1e, of the "
      "normalizer %.1e (%.1e were it kept in float)\n",
      delta ? "delta" : "linear", read, kept, in_float);
  assert_true(read < 5e-7);
  assert_true(kept < 1e-11);
  assert_true(in_float > 1e-6);
  close_rows(&r);
  close_memory(&m);
  close_formula(&f);
}

static void test_a_million_segments_stay_right(void **state) {
  (void)state;
  check_million(0);
  check_million(1);
}

LSP_TESTS(cmocka_unit_test(test_a_memory_is_what_the_formula_says),
          cmocka_unit_test(test_nothing_is_read_of_an_empty_memory),
          cmocka_unit_test(test_where_rows_are_cut_changes_no_bit),
          cmocka_unit_test(test_reading_in_place_and_row_by_row_is_the_same),
          cmocka_unit_test(test_a_million_segments_stay_right))
