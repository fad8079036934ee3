/* Angles of a block from its first position, and a table of steps. */
#include "lsp/rotary.h"

#include <math.h>

void lsp_rotary_steps(int pairs, const double *frequency, double *steps) {
  for (int r = 0; r < LSP_BLOCK; r++)
    for (int i = 0; i < pairs; i++, steps += 2) {
      steps[0] = cos((double)r * frequency[i]);
      steps[1] = sin((double)r * frequency[i]);
    }
}

void lsp_rotary_table(int pairs, const double *frequency, const double *steps,
                      int64_t first, float *cosine, float *sine) {
  for (int i = 0; i < pairs; i++) {
    const double angle = (double)first * frequency[i];
    const double ca = cos(angle), sa = sin(angle);
    for (int r = 0; r < LSP_BLOCK; r++) {
      const double *b = steps + 2 * ((int64_t)r * pairs + i);
      cosine[r * pairs + i] = (float)(ca * b[0] - sa * b[1]);
      sine[r * pairs + i] = (float)(sa * b[0] + ca * b[1]);
    }
  }
}

void lsp_rotary_angles(int pairs, const double *frequency, int64_t first, int64_t step,
                       float *cosine, float *sine) {
  for (int r = 0; r < LSP_BLOCK; r++)
    for (int i = 0; i < pairs; i++) {
      const double angle = (double)(first + r * step) * frequency[i];
      cosine[r * pairs + i] = (float)cos(angle);
      sine[r * pairs + i] = (float)sin(angle);
    }
}
