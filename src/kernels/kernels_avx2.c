/* AVX2 and FMA: 6 rows of 16 columns in 12 of the 16 registers. */
#include <immintrin.h>

typedef __m256 vec;

static inline vec v_load(const float *p) {
  return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vec x) {
  _mm256_storeu_ps(p, x);
}
static inline vec v_set(float x) {
  return _mm256_set1_ps(x);
}
static inline vec v_fma(vec a, vec b, vec c) {
  return _mm256_fmadd_ps(a, b, c);
}
static inline vec v_fnma(vec a, vec b, vec c) {
  return _mm256_fnmadd_ps(a, b, c);
}
static inline vec v_add(vec a, vec b) {
  return _mm256_add_ps(a, b);
}
static inline vec v_sub(vec a, vec b) {
  return _mm256_sub_ps(a, b);
}
static inline vec v_mul(vec a, vec b) {
  return _mm256_mul_ps(a, b);
}
static inline vec v_div(vec a, vec b) {
  return _mm256_div_ps(a, b);
}
static inline vec v_max(vec a, vec b) {
  return _mm256_max_ps(a, b);
}
static inline vec v_minus_abs(vec x) {
  return _mm256_or_ps(x, _mm256_set1_ps(-0.0f));
}
static inline vec v_sign_of(vec x, vec y) {
  const vec sign = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_and_ps(x, sign), _mm256_andnot_ps(sign, y));
}
static inline vec v_power_of_two(vec t) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(t), 23));
}
static inline vec v_keep(vec x, vec low, vec y) {
  return _mm256_and_ps(_mm256_cmp_ps(x, low, _CMP_NLT_UQ), y);
}
static inline unsigned v_bits(vec x, vec low) {
  return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(x, low, _CMP_NLT_UQ));
}

typedef __m256d dvec;

static inline dvec d_load(const double *p) {
  return _mm256_loadu_pd(p);
}
static inline void d_store(double *p, dvec x) {
  _mm256_storeu_pd(p, x);
}
static inline dvec d_set(double x) {
  return _mm256_set1_pd(x);
}
static inline dvec d_fma(dvec a, dvec b, dvec c) {
  return _mm256_fmadd_pd(a, b, c);
}

static inline float quad_sum(__m128 q) {
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}

static inline float quad_max(__m128 q) {
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
}

static inline float lanes_sum(const vec v[2]) {
  const vec s = _mm256_add_ps(v[0], v[1]);
  return quad_sum(_mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}

static inline float lanes_max(const vec v[2]) {
  const vec s = _mm256_max_ps(v[0], v[1]);
  return quad_max(_mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}

#define VLEN 8
#define ROWS 6
#define GROUP 16
#define NAME(x) x##_avx2
#define LSP_ISA_TEXT "avx2"
#include "kernels_body.h"
