/* Tiles: what is put is got, where the header says it lies. */
#include "harness.h"
#include "random.h"

#include "lsp/tiles.h"

enum { B = LSP_BLOCK, SENTINEL = -77 };

/* A value says where it came from; exact in a float. */
static float mark(int value, int64_t position, int64_t column) {
  return (float)((value * B + position) * 1000 + column);
}

static float *sentinels(int64_t n) {
  float *x = malloc((size_t)n * sizeof *x);
  assert_non_null(x);
  for (int64_t i = 0; i < n; i++)
    x[i] = SENTINEL;
  return x;
}

/* Rows of positions first .. first + rows - 1 with leading dimension ld. */
static float *marked(lsp_heads h, int value, int first, int rows, int64_t ld) {
  float *x = sentinels(rows * ld);
  for (int i = 0; i < rows; i++)
    for (int64_t c = 0; c < (int64_t)h.shared * h.width; c++)
      x[i * ld + c] = mark(value, first + i, c);
  return x;
}

static void put(lsp_heads h, float *tile, int first, int rows, int64_t ld) {
  float *key = marked(h, 0, first, rows, ld), *value = marked(h, 1, first, rows, ld);
  lsp_tile_put(h, tile, first, rows, key, value, ld);
  free(key);
  free(value);
}

/* Positions [first, end) of the tile are marked, with zeros beside values; all others
 * are as they were. */
static void check_layout(lsp_heads h, const float *tile, int first, int end) {
  const int padded = lsp_padded(h.width);
  for (int head = 0; head < h.shared; head++) {
    const float *k = tile + head * (int64_t)(h.width + padded) * B;
    const float *v = k + (int64_t)h.width * B;
    for (int i = 0; i < B; i++)
      for (int e = 0; e < padded; e++) {
        const int there = i >= first && i < end;
        const int64_t column = (int64_t)head * h.width + e;
        if (e < h.width)
          assert_true(k[e * B + i] == (there ? mark(0, i, column) : SENTINEL));
        const float want = e < h.width ? mark(1, i, column) : 0;
        assert_true(v[i * padded + e] == (there ? want : SENTINEL));
      }
  }
}

static void check_get(lsp_heads h, const float *tile, int first, int rows) {
  const int64_t ld = (int64_t)h.shared * h.width;
  float *key = sentinels(rows * ld), *value = sentinels(rows * ld);
  lsp_tile_get(h, tile, first, rows, key, value);
  for (int i = 0; i < rows; i++)
    for (int64_t c = 0; c < ld; c++) {
      assert_true(key[i * ld + c] == mark(0, first + i, c));
      assert_true(value[i * ld + c] == mark(1, first + i, c));
    }
  free(key);
  free(value);
}

static void test_tile_gives_back_what_was_put(void **state) {
  (void)state;
  lsp_random random = {1};
  static const int widths[] = {1, 3, 15, 16, 17, 20, 41, 64, 65};
  for (int round = 0; round < 200; round++) {
    const int shared = 1 + round % 3;
    const lsp_heads h = {2 * shared, shared, widths[round % 9]};
    const int64_t ld = (int64_t)h.shared * h.width + lsp_random_in(&random, 0, 7);
    const int whole = round % 4 == 0;
    const int first = whole ? 0 : (int)lsp_random_in(&random, 0, B - 1);
    const int rows = whole ? B : (int)lsp_random_in(&random, 1, B - first);
    float *tile = sentinels(lsp_tile_floats(h));
    put(h, tile, first, rows, ld);
    check_layout(h, tile, first, first + rows);
    const int from = (int)lsp_random_in(&random, first, first + rows - 1);
    check_get(h, tile, from, (int)lsp_random_in(&random, 1, first + rows - from));
    free(tile);
  }
}

static void test_tile_fills_row_by_row(void **state) {
  (void)state;
  lsp_random random = {2};
  for (int round = 0; round < 50; round++) {
    const int shared = 1 + round % 3;
    const lsp_heads h = {2 * shared, shared, (int)lsp_random_in(&random, 1, 70)};
    float *tile = sentinels(lsp_tile_floats(h));
    for (int at = 0; at < B;) {
      const int rows = (int)lsp_random_in(&random, 1, B - at);
      put(h, tile, at, rows, (int64_t)h.shared * h.width);
      at += rows;
      check_layout(h, tile, 0, at);
    }
    check_get(h, tile, 0, B);
    free(tile);
  }
}

LSP_TESTS(cmocka_unit_test(test_tile_gives_back_what_was_put),
          cmocka_unit_test(test_tile_fills_row_by_row))
