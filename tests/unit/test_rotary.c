/* Angles of rotary positions, against long double. */
#include "harness.h"

#include "lsp/rotary.h"

#include <math.h>

enum { PAIRS = 16, B = LSP_BLOCK };

static double frequency[PAIRS], steps[2 * B * PAIRS];

static void fill(void) {
  for (int i = 0; i < PAIRS; i++)
    frequency[i] = pow(10000.0, -(double)i / PAIRS);
  lsp_rotary_steps(PAIRS, frequency, steps);
}

/* Half of float32's spacing below 1 is 3e-8; the product of doubles is off by 2^-53 of an
 * angle of 10^8, 1.1e-8, which the table may double. */
static double worst_at(int64_t first) {
  float cosine[B * PAIRS], sine[B * PAIRS];
  double worst = 0;
  lsp_rotary_table(PAIRS, frequency, steps, first, cosine, sine);
  for (int r = 0; r < B; r++)
    for (int i = 0; i < PAIRS; i++) {
      const long double angle = (long double)(first + r) * (long double)frequency[i];
      worst = fmax(worst, fabs((double)(cosl(angle) - cosine[r * PAIRS + i])));
      worst = fmax(worst, fabs((double)(sinl(angle) - sine[r * PAIRS + i])));
    }
  return worst;
}

static void test_angles_are_right_to_position_10_8(void **state) {
  static const int64_t first[] = {0, 64, -64, 4096, 1000000, 99999936, -99999936};
  (void)state;
  fill();
  for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
    assert_true(worst_at(first[i]) < 7e-8);
}

/* What a score sees is the distance: that of keys 40 positions before is the same at the
 * beginning and 10^8 positions on, to the rounding of float32. */
static void test_scores_see_distances_also_at_10_8(void **state) {
  float near_cos[B * PAIRS], near_sin[B * PAIRS], far_cos[B * PAIRS],
      far_sin[B * PAIRS];
  (void)state;
  fill();
  lsp_rotary_table(PAIRS, frequency, steps, 0, near_cos, near_sin);
  lsp_rotary_table(PAIRS, frequency, steps, 100000000, far_cos, far_sin);
  for (int i = 0; i < PAIRS; i++) {
    /* cos of the difference of two angles of a pair */
    const int q = 50 * PAIRS + i, k = 10 * PAIRS + i;
    const float near_score = near_cos[q] * near_cos[k] + near_sin[q] * near_sin[k];
    const float far_score = far_cos[q] * far_cos[k] + far_sin[q] * far_sin[k];
    assert_true(fabsf(near_score - far_score) < 4e-7F);
  }
}

LSP_TESTS(cmocka_unit_test(test_angles_are_right_to_position_10_8),
          cmocka_unit_test(test_scores_see_distances_also_at_10_8))
