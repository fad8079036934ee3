/* The exact search against brute force in double: ties, equal keys, NaN, ranges, any order
 * of tiles, and a million keys. */
#include "harness.h"
#include "random.h"

#include "lsp/grid.h"
#include "lsp/nearest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { B = LSP_BLOCK };

typedef struct {
  int width, most, cosine, rows;
  int64_t tiles;
  float *tile;  /* (tiles, E, 64) */
  float *query; /* (rows, E) */
  int64_t *first, *end;
  lsp_neighbour *best;
  int32_t *found;
} field;

static void *room(size_t bytes) {
  void *p = calloc(1, bytes);
  assert_non_null(p);
  return p;
}

static field field_open(int width, int most, int cosine, int rows, int64_t tiles) {
  field f = {.width = width,
             .most = most,
             .cosine = cosine,
             .rows = rows,
             .tiles = tiles,
             .tile = room((size_t)(tiles * B * width) * sizeof(float)),
             .query = room((size_t)(rows * width) * sizeof(float)),
             .first = room((size_t)rows * sizeof(int64_t)),
             .end = room((size_t)rows * sizeof(int64_t)),
             .best = room((size_t)(rows * most) * sizeof(lsp_neighbour)),
             .found = room((size_t)rows * sizeof(int32_t))};
  for (int i = 0; i < rows; i++)
    f.end[i] = tiles * B;
  return f;
}

static void field_close(field *f) {
  free(f->tile);
  free(f->query);
  free(f->first);
  free(f->end);
  free(f->best);
  free(f->found);
}

static float *key_at(const field *f, int64_t position, int e) {
  return f->tile + (position / B * f->width + e) * B + position % B;
}

/* Numbers of a coarse grid: many scores are equal. step 0: fine ones. */
static void fill(field *f, lsp_random *r, float step) {
  for (int64_t j = 0; j < f->tiles * B; j++)
    for (int e = 0; e < f->width; e++) {
      const float x = lsp_random_float(r, 1);
      *key_at(f, j, e) = step > 0 ? step * roundf(x / step) : x;
    }
  for (int64_t i = 0; i < (int64_t)f->rows * f->width; i++) {
    const float x = lsp_random_float(r, 1);
    f->query[i] = step > 0 ? step * roundf(x / step) : x;
  }
}

static double score_of(const field *f, int i, int64_t j) {
  double dot = 0, square = 0;
  for (int e = 0; e < f->width; e++) {
    const double k = (double)*key_at(f, j, e);
    dot += (double)f->query[i * f->width + e] * k;
    square += k * k;
  }
  return f->cosine ? dot / sqrt(square + 1e-12) : dot;
}

static int better(const void *a, const void *b) {
  const lsp_neighbour *x = a, *y = b;
  if (isnan(x->score) != isnan(y->score))
    return isnan(x->score) ? 1 : -1;
  if (!isnan(x->score) && x->score != y->score)
    return x->score > y->score ? -1 : 1;
  return x->position < y->position ? -1 : x->position > y->position;
}

static int later(const void *a, const void *b) {
  const lsp_neighbour *x = a, *y = b;
  return x->position > y->position ? -1 : x->position < y->position;
}

/* All candidates of a row, the best first. */
static int64_t brute(const field *f, int i, lsp_neighbour *all) {
  int64_t n = 0;
  for (int64_t j = f->first[i]; j < f->end[i]; j++)
    all[n++] = (lsp_neighbour){score_of(f, i, j), j};
  qsort(all, (size_t)n, sizeof *all, better);
  return lsp_min(n, f->most);
}

/* The tiles from `at` on, every `step`-th, in calls of `some`. */
static void search(const field *f, lsp_isa isa, int64_t at, int64_t step,
                   int64_t some) {
  const lsp_kernels kernels = lsp_kernels_of(isa);
  lsp_search s = {.kernels = &kernels,
                  .width = f->width,
                  .most = f->most,
                  .cosine = f->cosine,
                  .rows = f->rows,
                  .query = f->query,
                  .ld = f->width,
                  .first = f->first,
                  .end = f->end,
                  .best = f->best,
                  .found = f->found};
  float *state_room = room((size_t)lsp_search_floats(f->rows) * sizeof(float));
  float *normal = room((size_t)(f->width * B) * sizeof(float));
  lsp_search_state state;
  lsp_search_tile tile;
  memset(f->found, 0, (size_t)f->rows * sizeof *f->found);
  for (int64_t n = 0, t = at; n < f->tiles; n++, t = (t + step) % f->tiles) {
    if (n % some == 0)
      lsp_search_begin(&s, state_room, &state);
    lsp_search_prepare(&s, f->tile + t * f->width * B, t * B, normal, &tile);
    lsp_search_look(&s, &state, &tile);
  }
  for (int i = 0; i < f->rows; i++)
    lsp_neighbours_order(f->best + (int64_t)i * f->most, f->found[i]);
  free(state_room);
  free(normal);
}

/* Tiles come in three orders; every instruction set. */
static void check(const field *f) {
  const int64_t steps[][3] = {
      {0, 1, 1000000}, {f->tiles - 1, f->tiles - 1, 1}, {3, 7, 4}};
  lsp_neighbour *all = room((size_t)(f->tiles * B) * sizeof *all);
  for (int isa = 0; isa <= (int)lsp_isa_here(); isa++)
    for (int order = 0; order < 3; order++) {
      if (order == 2 && f->tiles % 7 == 0)
        continue;
      search(f, (lsp_isa)isa, steps[order][0] % f->tiles, steps[order][1],
             steps[order][2]);
      for (int i = 0; i < f->rows; i++) {
        const int64_t n = brute(f, i, all);
        const lsp_neighbour *list = f->best + (int64_t)i * f->most;
        assert_int_equal(f->found[i], n);
        qsort(all, (size_t)n, sizeof *all, later);
        for (int64_t k = 0; k < n; k++) {
          assert_int_equal(list[k].position, all[k].position);
          assert_true(list[k].score == all[k].score ||
                      (isnan(list[k].score) && isnan(all[k].score)));
        }
      }
    }
  free(all);
}

static void test_like_brute_force(void **arg) {
  (void)arg;
  static const int widths[] = {1, 8, 20, 64}, mosts[] = {1, 3, 32, 256};
  lsp_random r = {.state = 1};
  for (int cosine = 0; cosine < 2; cosine++)
    for (int w = 0; w < 4; w++) {
      field f = field_open(widths[w], mosts[w], cosine, 70, 11);
      fill(&f, &r, 0);
      check(&f);
      field_close(&f);
    }
}

/* Scores that are equal, for keys that are and for keys that are not. */
static void test_ties(void **arg) {
  (void)arg;
  lsp_random r = {.state = 2};
  for (int cosine = 0; cosine < 2; cosine++) {
    field f = field_open(8, 16, cosine, 67, 9);
    fill(&f, &r, 0.5f);
    for (int64_t j = 100; j < f.tiles * B; j++) /* every 37th is the same */
      for (int e = 0; e < f.width; e++)
        *key_at(&f, j, e) = *key_at(&f, j % 37, e);
    memset(f.query, 0, (size_t)f.width * sizeof(float)); /* all match it alike */
    check(&f);
    for (int k = 0; k < f.most; k++)
      assert_int_equal(f.best[k].position, f.most - 1 - k);
    field_close(&f);
  }
}

static void test_ranges(void **arg) {
  (void)arg;
  lsp_random r = {.state = 3};
  field f = field_open(12, 5, 0, 200, 10);
  fill(&f, &r, 0.25f);
  for (int i = 0; i < f.rows; i++) {
    f.first[i] = lsp_random_in(&r, 0, f.tiles * B - 1);
    f.end[i] = f.first[i] - 3 + lsp_random_in(&r, 0, 200);
    f.end[i] = lsp_max(f.first[i], lsp_min(f.end[i], f.tiles * B));
  }
  check(&f);
  field_close(&f);
}

/* Keys far larger and far smaller than the others, infinities, NaN, and queries so. */
static void test_extremes(void **arg) {
  (void)arg;
  static const float odd[] = {1e30f, -1e30f, 1e-30f, 1e-42f, NAN, INFINITY, 3e38f};
  lsp_random r = {.state = 4};
  for (int cosine = 0; cosine < 2; cosine++) {
    field f = field_open(6, 9, cosine, 40, 5);
    fill(&f, &r, 0);
    for (int64_t j = 0; j < f.tiles * B; j += 5)
      *key_at(&f, j, (int)(j % f.width)) = odd[j / 5 % 7];
    for (int i = 0; i < 6; i++)
      f.query[i * f.width + i % f.width] = odd[i];
    for (int i = 8; i < 16; i++)
      for (int e = 0; e < f.width; e++)
        f.query[i * f.width + e] *= i < 12 ? 1e-38f : 1e37f;
    check(&f);
    for (int i = 20; i < 25; i++) { /* fewer numbers than places: NaN come last */
      f.first[i] = 0;
      f.end[i] = 12;
    }
    for (int e = 0; e < f.width; e++)
      for (int64_t j = 3; j < 12; j++)
        *key_at(&f, j, e) = NAN;
    check(&f);
    assert_int_equal(f.found[20], 9);
    assert_int_equal(f.best[20 * 9].position, 8);
    field_close(&f);
  }
}

/* Scores closer than float32 tells apart: of each row all candidates have one score in
 * float32, which for some rows is below the exact ones. */
static void test_beyond_float(void **arg) {
  (void)arg;
  field f = field_open(16, 4, 0, 20, 20);
  lsp_random r = {.state = 5};
  fill(&f, &r, 0);
  for (int64_t j = 0; j < f.tiles * B; j++)
    for (int e = 0; e < f.width; e++)
      *key_at(&f, j, e) =
          e < 15 ? f.query[j / B * f.width + e] : lsp_random_float(&r, 1e-9f);
  for (int i = 0; i < f.rows; i++) {
    f.query[i * f.width + 15] = 1;
    f.first[i] = (int64_t)i * B;
    f.end[i] = (int64_t)(i + 1) * B;
  }
  check(&f);
  field_close(&f);
}

static void test_a_million(void **arg) {
  (void)arg;
  lsp_random r = {.state = 6};
  field f = field_open(16, 32, 0, 6, 1000000 / B);
  lsp_neighbour *all = room((size_t)(f.tiles * B) * sizeof *all);
  fill(&f, &r, 0);
  for (int64_t j = 777; j < f.tiles * B; j += 1000) /* equal ones far apart */
    for (int e = 0; e < f.width; e++)
      *key_at(&f, j, e) = f.query[f.width + e];
  search(&f, lsp_isa_here(), 0, 1, 128);
  for (int i = 0; i < f.rows; i++) {
    const int64_t n = brute(&f, i, all);
    qsort(all, (size_t)n, sizeof *all, later);
    assert_int_equal(f.found[i], n);
    for (int64_t k = 0; k < n; k++)
      assert_int_equal(f.best[(int64_t)i * f.most + k].position, all[k].position);
  }
  free(all);
  field_close(&f);
}

/* The kernel alone: a bit says whether the chain of fused multiply-adds is not below the
 * bound, to the last bit, on every instruction set. */
static void test_sift(void **arg) {
  (void)arg;
  enum { ROWS = 71, E = 9, LD = 12 };
  lsp_random r = {.state = 7};
  float a[ROWS * LD], b[E * B], least[ROWS];
  uint64_t passes[ROWS];
  lsp_random_floats(&r, ROWS * LD, a, 1);
  lsp_random_floats(&r, E * B, b, 1);
  b[3 * B + 5] = NAN;
  for (int i = 0; i < ROWS; i++) { /* the score of a column itself is a bound */
    float chain = 0;
    for (int e = 0; e < E; e++)
      chain = fmaf(a[i * LD + e], b[e * B + i % B], chain);
    least[i] = i % 3 == 0 ? chain : nextafterf(chain, i % 3 == 1 ? 9 : -9);
  }
  for (int isa = 0; isa <= (int)lsp_isa_here(); isa++) {
    const lsp_kernels k = lsp_kernels_of((lsp_isa)isa);
    k.sift(&(lsp_sifting){a, b, least, passes, LD, ROWS, E});
    for (int i = 0; i < ROWS; i++)
      for (int j = 0; j < B; j++) {
        float chain = 0;
        for (int e = 0; e < E; e++)
          chain = fmaf(a[i * LD + e], b[e * B + j], chain);
        assert_int_equal(passes[i] >> j & 1, !(chain < least[i]));
      }
  }
}

LSP_TESTS(cmocka_unit_test(test_sift), cmocka_unit_test(test_like_brute_force),
          cmocka_unit_test(test_ties), cmocka_unit_test(test_ranges),
          cmocka_unit_test(test_extremes), cmocka_unit_test(test_beyond_float),
          cmocka_unit_test(test_a_million))
