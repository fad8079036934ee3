/* Plain C: every kernel, complete, for any processor; the definition of the others. */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float vec;

static inline vec v_load(const float *p) {
  return *p;
}
static inline void v_store(float *p, vec x) {
  *p = x;
}
static inline vec v_set(float x) {
  return x;
}
static inline vec v_fma(vec a, vec b, vec c) {
  return fmaf(a, b, c);
}
static inline vec v_fnma(vec a, vec b, vec c) {
  return fmaf(-a, b, c);
}
static inline vec v_add(vec a, vec b) {
  return a + b;
}
static inline vec v_sub(vec a, vec b) {
  return a - b;
}
static inline vec v_mul(vec a, vec b) {
  return a * b;
}
static inline vec v_div(vec a, vec b) {
  return a / b;
}
static inline vec v_max(vec a, vec b) {
  return a > b ? a : b;
}
static inline vec v_minus_abs(vec x) {
  return -fabsf(x);
}
static inline vec v_sign_of(vec x, vec y) {
  return copysignf(y, x);
}
static inline vec v_power_of_two(vec t) {
  uint32_t bits;
  memcpy(&bits, &t, sizeof bits);
  bits <<= 23;
  memcpy(&t, &bits, sizeof bits);
  return t;
}
static inline vec v_keep(vec x, vec low, vec y) {
  return x < low ? 0.0f : y;
}
static inline unsigned v_bits(vec x, vec low) {
  return x < low ? 0 : 1;
}

typedef double dvec;

static inline dvec d_load(const double *p) {
  return *p;
}
static inline void d_store(double *p, dvec x) {
  *p = x;
}
static inline dvec d_set(double x) {
  return x;
}
static inline dvec d_fma(dvec a, dvec b, dvec c) {
  return fma(a, b, c);
}

static inline float lanes_sum(const vec lane[16]) {
  float part[16];
  memcpy(part, lane, sizeof part);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++)
      part[i] += part[i + half];
  return part[0];
}

static inline float lanes_max(const vec lane[16]) {
  float best = lane[0];
  for (int i = 1; i < 16; i++)
    best = best > lane[i] ? best : lane[i];
  return best;
}

#define VLEN 1
#define ROWS 4
#define GROUP 16
#define NAME(x) x##_plain
#define LSP_ISA_TEXT "plain"
#include "kernels_body.h"
