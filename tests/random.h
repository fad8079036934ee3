/* Random numbers of the tests: the same ones on every machine (splitmix64). */
#ifndef LSP_TESTS_RANDOM_H
#define LSP_TESTS_RANDOM_H

#include <stdint.h>

typedef struct {
  uint64_t state;
} lsp_random;

static inline uint64_t lsp_random_bits(lsp_random *r) {
  uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* Both ends included. */
static inline int64_t lsp_random_in(lsp_random *r, int64_t low, int64_t high) {
  return low + (int64_t)(lsp_random_bits(r) % (uint64_t)(high - low + 1));
}

/* Uniform in -scale .. scale, with 24 bits. */
static inline float lsp_random_float(lsp_random *r, float scale) {
  return scale * (float)((double)(lsp_random_bits(r) >> 40) / 8388608.0 - 1.0);
}

static inline void lsp_random_floats(lsp_random *r, int64_t n, float *x, float scale) {
  for (int64_t i = 0; i < n; i++)
    x[i] = lsp_random_float(r, scale);
}

#endif
