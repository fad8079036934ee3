/* AVX-512: 6 rows of 64 columns in 24 of the 32 registers. */
#include <immintrin.h>

typedef __m512 vec;

static inline vec v_load(const float *p) {
  return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vec x) {
  _mm512_storeu_ps(p, x);
}
static inline vec v_set(float x) {
  return _mm512_set1_ps(x);
}
static inline vec v_fma(vec a, vec b, vec c) {
  return _mm512_fmadd_ps(a, b, c);
}
static inline vec v_fnma(vec a, vec b, vec c) {
  return _mm512_fnmadd_ps(a, b, c);
}
static inline vec v_add(vec a, vec b) {
  return _mm512_add_ps(a, b);
}
static inline vec v_sub(vec a, vec b) {
  return _mm512_sub_ps(a, b);
}
static inline vec v_mul(vec a, vec b) {
  return _mm512_mul_ps(a, b);
}
static inline vec v_div(vec a, vec b) {
  return _mm512_div_ps(a, b);
}
static inline vec v_max(vec a, vec b) {
  return _mm512_max_ps(a, b);
}
static inline vec v_minus_abs(vec x) {
  return _mm512_or_ps(x, _mm512_set1_ps(-0.0f));
}
static inline vec v_sign_of(vec x, vec y) {
  const vec sign = _mm512_set1_ps(-0.0f);
  return _mm512_or_ps(_mm512_and_ps(x, sign), _mm512_andnot_ps(sign, y));
}
static inline vec v_power_of_two(vec t) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(t), 23));
}
static inline vec v_keep(vec x, vec low, vec y) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, low, _CMP_NLT_UQ), y);
}
static inline unsigned v_bits(vec x, vec low) {
  return _mm512_cmp_ps_mask(x, low, _CMP_NLT_UQ);
}

static inline float quad_sum(__m128 q) {
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}

static inline float quad_max(__m128 q) {
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
}

typedef __m512d dvec;

static inline dvec d_load(const double *p) {
  return _mm512_loadu_pd(p);
}
static inline void d_store(double *p, dvec x) {
  _mm512_storeu_pd(p, x);
}
static inline dvec d_set(double x) {
  return _mm512_set1_pd(x);
}
static inline dvec d_fma(dvec a, dvec b, dvec c) {
  return _mm512_fmadd_pd(a, b, c);
}

static inline float lanes_sum(const vec v[1]) {
  const __m256 s =
      _mm256_add_ps(_mm512_castps512_ps256(v[0]), _mm512_extractf32x8_ps(v[0], 1));
  return quad_sum(_mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}

static inline float lanes_max(const vec v[1]) {
  const __m256 s =
      _mm256_max_ps(_mm512_castps512_ps256(v[0]), _mm512_extractf32x8_ps(v[0], 1));
  return quad_max(_mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}

#define VLEN 16
#define ROWS 6
#define GROUP 64
#define NAME(x) x##_avx512
#define LSP_ISA_TEXT "avx512"
#include "kernels_body.h"
