/* One body for every vector width. The including file defines
 *
 *   VLEN                 floats a vector: 1, 8, 16
 *   ROWS                 rows of a register block
 *   GROUP                columns of a register block, a multiple of LSP_LANES
 *   NAME(x)              x with the suffix of the instruction set
 *   LSP_ISA_TEXT         its name
 *   vec                  a vector of floats, and on it:
 *     v_load v_store v_set v_fma v_add v_sub v_mul v_div
 *     v_fnma(a, b, c)    c - a b, fused
 *     v_minus_abs(x)     -|x|
 *     v_sign_of(x, y)    |y| with the sign of x
 *     v_power_of_two(t)  2^n, where t = n + 127 + 1.5 * 2^23
 *     v_keep(x, low, y)  0 where x < low, else y: where x is NaN, too
 *     v_bits(x, low)     bit j: not x < low in lane j
 *     v_max(a, b)        b where one of them is NaN
 *     lanes_sum(v)       sum of the 16 lanes in v[16 / VLEN], by halves: 8, 4, 2, 1
 *     lanes_max(v)       their maximum
 *
 * and gets lsp__kernels_SUFFIX, which fills the table. What is written here over
 * LSP_LANES fixed lanes does not depend on VLEN, so all instruction sets give the same
 * bits. */
#include "lsp/kernels.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

/* The products of ints below are offsets within a tile, so they do not overflow. */
// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result)

enum {
  VECS = LSP_LANES / VLEN,
  GROUP_VECS = GROUP / VLEN,
  STRIDE = 2 * LSP_LANES, /* columns of scores at a time */
  MANY = STRIDE / VLEN
};

/* Cody and Waite's reduction of x in [-87, 0]: exp(x) = 2^n exp(r), t = n + 127 + 1.5 *
 * 2^23 (127: the bias of an exponent), r in [-ln2/2, ln2/2]. p(r) of degree 4, where
 * exp(r) = 1 + r + r^2 p(r).
 *
 * `many` vectors, step by step side by side: a processor looks ahead by fewer
 * instructions than one chain of an exponential keeps waiting. */
static inline __attribute__((always_inline)) void exp_reduced(int many, const vec *x,
                                                              vec *t, vec *r, vec *p) {
  const float term[] = {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f,
                        1.6666665459e-1f, 5.0000001201e-1f};
  const vec magic = v_set(12583039.0f);
  for (int v = 0; v < many; v++)
    t[v] = v_fma(x[v], v_set(1.44269504f), magic);
  for (int v = 0; v < many; v++)
    p[v] = v_sub(t[v], magic);
  for (int v = 0; v < many; v++)
    r[v] = v_fma(p[v], v_set(-0.693359375f), x[v]);
  for (int v = 0; v < many; v++)
    r[v] = v_fma(p[v], v_set(2.12194440e-4f), r[v]);
  for (int v = 0; v < many; v++)
    p[v] = v_set(1.9875691500e-4f);
  for (int k = 0; k < 5; k++)
    for (int v = 0; v < many; v++)
      p[v] = v_fma(p[v], r[v], v_set(term[k]));
}

/* x = exp(x) for x <= 0 with an error under 1.5 ulp; 0 below -87, whatever was computed
 * there; NaN for NaN. */
static inline __attribute__((always_inline)) void v_exp_many(int many, vec *x) {
  vec t[MANY], r[MANY], p[MANY];
  exp_reduced(many, x, t, r, p);
  for (int v = 0; v < many; v++)
    p[v] = v_fma(p[v], v_mul(r[v], r[v]), v_add(r[v], v_set(1.0f)));
  for (int v = 0; v < many; v++)
    x[v] = v_keep(x[v], v_set(-87.0f), v_mul(p[v], v_power_of_two(t[v])));
}

static inline vec v_exp(vec x) {
  v_exp_many(1, &x);
  return x;
}

/* tanh(x) = -m / (m + 2) with m = exp(-2 |x|) - 1, which is small without
 * cancellation where x is. */
static inline vec v_tanh(vec x) {
  const vec y = v_max(v_set(-87.0f), v_mul(v_set(2.0f), v_minus_abs(x)));
  vec t, r, p;
  exp_reduced(1, &y, &t, &r, &p);
  p = v_fma(p, v_mul(r, r), r);
  const vec power = v_power_of_two(t);
  const vec m = v_fma(power, p, v_sub(power, v_set(1.0f)));
  return v_sign_of(x, v_div(m, v_add(m, v_set(2.0f))));
}

/* x sigmoid(u), where no exponential overflows: e = exp(-|u|), and the sigmoid is
 * 1 / (1 + e) or, for u < 0, e / (1 + e). */
static inline vec v_sigmoid_times(vec u, vec x) {
  const vec zero = v_set(0.0f), one = v_set(1.0f);
  const vec e = v_exp(v_minus_abs(u));
  const vec upper = v_max(v_keep(u, zero, one), e);
  return v_div(v_mul(x, upper), v_add(one, e));
}

/* The tail of the normal distribution beyond |x| is exp(-x^2 / 2) times a quotient of
 * polynomials in m = -|x|, fitted on [0, 13.3] to a relative 5e-9; all of their terms
 * have one sign, so nothing cancels. Beyond 14, where the exponential is 0, it stays
 * at 14: finite. What the square loses in rounding is given back to first order. */
static inline vec v_gelu(vec x) {
  const vec m = v_max(v_set(-14.0f), v_minus_abs(x));
  const vec square = v_mul(m, m), lost = v_fnma(m, m, square);
  vec e = v_exp(v_mul(square, v_set(-0.5f)));
  e = v_fma(e, v_mul(lost, v_set(0.5f)), e);
  vec p = v_set(0.00402018335f);
  p = v_fma(p, m, v_set(-0.0399841219f));
  p = v_fma(p, m, v_set(0.181306615f));
  p = v_fma(p, m, v_set(-0.435686111f));
  p = v_fma(p, m, v_set(0.5f));
  vec q = v_set(-0.0100769615f);
  q = v_fma(q, m, v_set(0.100232713f));
  q = v_fma(q, m, v_set(-0.464379936f));
  q = v_fma(q, m, v_set(1.19448364f));
  q = v_fma(q, m, v_set(-1.66925716f));
  q = v_fma(q, m, v_set(1.0f));
  const vec tail = v_div(v_mul(e, p), q);
  return v_mul(x, v_sub(v_keep(x, v_set(0.0f), v_set(1.0f)), v_sign_of(x, tail)));
}

/* 2 sqrt(2 / pi), and that times 0.044715 */
static inline vec v_gelu_tanh(vec x) {
  const vec slope = v_fma(v_mul(x, x), v_set(7.13548163e-2f), v_set(1.59576912f));
  return v_sigmoid_times(v_mul(x, slope), x);
}

static inline __attribute__((always_inline)) vec v_act(lsp_activation kind, vec x) {
  switch (kind) {
  case LSP_RELU:
    return v_max(v_set(0.0f), x);
  case LSP_GELU:
    return v_gelu(x);
  case LSP_GELU_TANH:
    return v_gelu_tanh(x);
  case LSP_SILU:
    return v_sigmoid_times(x, x);
  }
  return x;
}

/* A vector of the n floats from x; if they are fewer than VLEN, zeros follow. */
static inline vec v_load_left(const float *x, int64_t n) {
  if (n >= VLEN)
    return v_load(x);
  float some[VLEN] = {0};
  for (int64_t j = 0; j < n; j++)
    some[j] = x[j];
  return v_load(some);
}

static inline void v_store_left(float *x, int64_t n, vec y) {
  if (n >= VLEN) {
    v_store(x, y);
    return;
  }
  float some[VLEN];
  v_store(some, y);
  for (int64_t j = 0; j < n; j++)
    x[j] = some[j];
}

/* x + bias, or x */
static inline vec v_biased(const float *x, const float *bias, int64_t n) {
  const vec z = v_load_left(x, n);
  return bias != NULL ? v_add(z, v_load_left(bias, n)) : z;
}

/* What a register block multiplies: rows of a, columns of b. */
typedef struct {
  const float *a;
  int64_t lda;
  const float *b;
  int64_t ldb;
} factors;

/* Chains of a register block: n rows (a constant after inlining) of a, depth [k0, k1). */
static inline __attribute__((always_inline)) void
chains(const factors of, int n, int vecs, int k0, int k1, vec acc[ROWS][GROUP_VECS]) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < vecs; j++)
      acc[i][j] = v_set(0.0f);
  for (int k = k0; k < k1; k++) {
    vec bk[GROUP_VECS];
    for (int j = 0; j < vecs; j++)
      bk[j] = v_load(of.b + k * of.ldb + j * VLEN);
    for (int i = 0; i < n; i++) {
      const vec ai = v_set(of.a[i * of.lda + k]);
      for (int j = 0; j < vecs; j++)
        acc[i][j] = v_fma(ai, bk[j], acc[i][j]);
    }
  }
}

/* One register block: n rows (a constant after inlining), GROUP columns from `col`,
 * depth [k0, k1). */
static inline __attribute__((always_inline)) void
block(const lsp_product *p, int n, int row, int col, int vecs, int k0, int k1) {
  vec acc[ROWS][GROUP_VECS];
  const factors of = {p->a + row * p->lda, p->lda, p->b + col, p->ldb};
  chains(of, n, vecs, k0, k1, acc);
  const float *init = p->init != NULL ? p->init + row * p->ldi + col : NULL;
  if (init != NULL && p->scale != NULL)
    for (int i = 0; i < n; i++)
      for (int j = 0; j < vecs; j++)
        acc[i][j] = v_fma(v_load(init + i * p->ldi + j * VLEN),
                          v_set(p->scale[row + i]), acc[i][j]);
  else if (init != NULL)
    for (int i = 0; i < n; i++)
      for (int j = 0; j < vecs; j++)
        acc[i][j] = v_add(v_load(init + i * p->ldi + j * VLEN), acc[i][j]);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < vecs; j++)
      v_store(p->c + (row + i) * p->ldc + col + j * VLEN, acc[i][j]);
}

static inline int least(const int *value, int row, int n, int otherwise) {
  if (value == NULL)
    return otherwise;
  int best = value[row];
  for (int i = 1; i < n; i++)
    best = value[row + i] < best ? value[row + i] : best;
  return best;
}

static inline int most(const int *value, int row, int n, int otherwise) {
  if (value == NULL)
    return otherwise;
  int best = value[row];
  for (int i = 1; i < n; i++)
    best = value[row + i] > best ? value[row + i] : best;
  return best;
}

/* Computes, for n rows, the columns that at least one of them needs. */
static inline __attribute__((always_inline)) void stripe(const lsp_product *p, int n,
                                                         int row) {
  const int low = least(p->col_low, row, n, 0);
  const int high = most(p->col_high, row, n, p->cols - 1);
  const int k0 = least(p->depth_low, row, n, 0);
  const int k1 = most(p->depth_high, row, n, p->depth - 1) + 1;
  int col = 0;
  for (; col + GROUP <= p->cols; col += GROUP)
    if (col <= high && col + GROUP > low)
      block(p, n, row, col, GROUP_VECS, k0, k1);
  for (; col < p->cols; col += LSP_LANES)
    if (col <= high && col + LSP_LANES > low)
      block(p, n, row, col, VECS, k0, k1);
}

static void NAME(product)(const lsp_product *p) {
  int row = 0;
  for (; row + ROWS <= p->rows; row += ROWS)
    stripe(p, ROWS, row);
  for (; row + 4 <= p->rows; row += 4)
    stripe(p, 4, row);
  for (; row < p->rows; row++)
    stripe(p, 1, row);
}

/* --- sifting --------------------------------------------------------------------- */

/* One register block of scores, which never leave the registers: what passes, as bits. */
static inline __attribute__((always_inline)) void sift_rows(const lsp_sifting *p, int n,
                                                            int row) {
  uint64_t bits[ROWS] = {0};
  for (int col = 0; col < LSP_BLOCK; col += GROUP) {
    vec acc[ROWS][GROUP_VECS];
    const factors of = {p->a + row * p->lda, p->lda, p->b + col, LSP_BLOCK};
    chains(of, n, GROUP_VECS, 0, p->depth, acc);
    for (int i = 0; i < n; i++) {
      const vec least = v_set(p->least[row + i]);
      for (int j = 0; j < GROUP_VECS; j++)
        bits[i] |= (uint64_t)v_bits(acc[i][j], least) << (col + j * VLEN);
    }
  }
  for (int i = 0; i < n; i++)
    p->passes[row + i] = bits[i];
}

static void NAME(sift)(const lsp_sifting *p) {
  int row = 0;
  for (; row + ROWS <= p->rows; row += ROWS)
    sift_rows(p, ROWS, row);
  for (; row + 4 <= p->rows; row += 4)
    sift_rows(p, 4, row);
  for (; row < p->rows; row++)
    sift_rows(p, 1, row);
}

/* --- products with packed weights ------------------------------------------------ */

/* Terms [k0, k0 + depth) of a product, whose x lies in work (rows, depth). */
typedef struct {
  const lsp_packed_product *p;
  int64_t k0, depth;
} chain;

/* One register block: n rows (a constant after inlining) from `row`, `groups` groups of
 * LSP_LANES columns, which lie `apart` floats from each other in w. The sums are added to
 * y, or, with the first terms, begin it. */
static inline __attribute__((always_inline)) void
packed_block(const chain *c, int n, int groups, int64_t row, const float *w,
             int64_t apart, float *y, int64_t ldy) {
  const int vecs = groups * VECS;
  const float *a = c->p->work + row * c->depth;
  vec acc[ROWS][GROUP_VECS];
  for (int i = 0; i < n; i++)
    for (int j = 0; j < vecs; j++)
      acc[i][j] = v_set(0.0f);
  for (int64_t k = 0; k < c->depth; k++) {
    vec b[GROUP_VECS];
    for (int j = 0; j < vecs; j++)
      b[j] = v_load(w + j / VECS * apart + k * LSP_LANES + j % VECS * VLEN);
    for (int i = 0; i < n; i++) {
      const vec ai = v_set(a[i * c->depth + k]);
      for (int j = 0; j < vecs; j++)
        acc[i][j] = v_fma(ai, b[j], acc[i][j]);
    }
  }
  for (int i = 0; i < n; i++)
    for (int j = 0; j < vecs; j++) {
      float *to = y + i * ldy + j * VLEN;
      v_store(to, c->k0 == 0 ? acc[i][j] : v_add(v_load(to), acc[i][j]));
    }
}

/* All rows of some groups of columns. */
static inline __attribute__((always_inline)) void
packed_columns(const chain *c, int groups, const float *w, int64_t apart, float *y) {
  const int64_t rows = c->p->rows, ldy = c->p->cols;
  int64_t row = 0;
  for (; row + ROWS <= rows; row += ROWS)
    packed_block(c, ROWS, groups, row, w, apart, y + row * ldy, ldy);
  for (; row + 2 <= rows; row += 2)
    packed_block(c, 2, groups, row, w, apart, y + row * ldy, ldy);
  for (; row < rows; row++)
    packed_block(c, 1, groups, row, w, apart, y + row * ldy, ldy);
}

/* The last n columns, fewer than LSP_LANES: beside zeros. */
static void NAME(packed_rest)(const chain *c, int64_t n, const float *w, float *y) {
  const int64_t ldy = c->p->cols;
  float padded[LSP_PACK_DEPTH * LSP_LANES], out[LSP_LANES];
  const chain alone = {c->p, 0, c->depth};
  memset(padded, 0, sizeof padded);
  for (int64_t k = 0; k < c->depth; k++)
    memcpy(padded + k * LSP_LANES, w + k * n, (size_t)n * sizeof(float));
  for (int64_t row = 0; row < c->p->rows; row++) {
    packed_block(&alone, 1, 1, row, padded, 0, out, LSP_LANES);
    for (int64_t j = 0; j < n; j++)
      y[row * ldy + j] = c->k0 == 0 ? out[j] : y[row * ldy + j] + out[j];
  }
}

static void NAME(packed)(const lsp_packed_product *p) {
  enum { GROUPS = GROUP / LSP_LANES };
  const int64_t apart = LSP_LANES * p->depth;
  for (int64_t k0 = 0; k0 < p->depth; k0 += LSP_PACK_DEPTH) {
    const int64_t left = p->depth - k0;
    const chain c = {p, k0, left < LSP_PACK_DEPTH ? left : LSP_PACK_DEPTH};
    for (int64_t i = 0; i < p->rows; i++)
      memcpy(p->work + i * c.depth, p->x + i * p->depth + k0,
             (size_t)c.depth * sizeof(float));
    const float *w = p->w + k0 * LSP_LANES;
    int64_t col = 0;
    for (; col + GROUP <= p->cols; col += GROUP)
      packed_columns(&c, GROUPS, w + col * p->depth, apart, p->y + col);
    for (; GROUPS > 1 && col + LSP_LANES <= p->cols; col += LSP_LANES)
      packed_columns(&c, 1, w + col * p->depth, apart, p->y + col);
    const int64_t rest = p->cols - col; /* fewer than LSP_LANES */
    const float *last = p->w + col * p->depth + k0 * rest;
    if (rest > 0)
      NAME(packed_rest)(&c, rest, last, p->y + col);
  }
}

/* Columns of a row that count, low..high, and the strides [from, to) that hold them: none
 * if low > high. */
typedef struct {
  int low, high, from, to;
} columns;

static inline columns columns_of(const int *low, const int *high, int i) {
  columns c = {low != NULL ? low[i] : 0, high != NULL ? high[i] : LSP_BLOCK - 1, 0, 0};
  if (c.low < 0)
    c.low = 0;
  if (c.high > LSP_BLOCK - 1)
    c.high = LSP_BLOCK - 1;
  if (c.low > c.high)
    return (columns){0, -1, 0, 0};
  c.from = c.low / STRIDE * STRIDE;
  c.to = (c.high / STRIDE + 1) * STRIDE;
  return c;
}

/* Sets what these strides hold outside low..high to `value`. */
static inline void mask_strides(float *row, columns c, float value) {
  for (int j = c.from; j < c.low; j++)
    row[j] = value;
  for (int j = c.high + 1; j < c.to; j++)
    row[j] = value;
}

/* Zeros before `from` and from `to` on. */
static inline void zero_rest(float *row, int from, int to) {
  for (int j = 0; j < from; j += VLEN)
    v_store(row + j, v_set(0.0f));
  for (int j = to; j < LSP_BLOCK; j += VLEN)
    v_store(row + j, v_set(0.0f));
}

/* Maximum of the strides, and of -INFINITY where some are left out. */
static inline __attribute__((always_inline)) float row_max(const float *row, int from,
                                                           int to) {
  vec best[VECS];
  for (int v = 0; v < VECS; v++)
    best[v] = v_set(-INFINITY);
  for (int j = from; j < to; j += LSP_LANES)
    for (int v = 0; v < VECS; v++)
      best[v] = v_max(best[v], v_load(row + j + v * VLEN));
  if (to < LSP_BLOCK)
    for (int v = 0; v < VECS; v++)
      best[v] = v_max(best[v], v_set(-INFINITY));
  return lanes_max(best);
}

/* row = exp(row - top) in these columns; part (LSP_LANES): their sums by lanes. */
static inline __attribute__((always_inline)) void
row_exp(float *row, float top, int from, int to, float *part) {
  vec sum[VECS];
  for (int v = 0; v < VECS; v++)
    sum[v] = v_set(0.0f);
  for (int j = from; j < to; j += STRIDE) {
    vec e[MANY];
    for (int v = 0; v < MANY; v++)
      e[v] = v_sub(v_load(row + j + v * VLEN), v_set(top));
    v_exp_many(MANY, e);
    for (int v = 0; v < MANY; v++) {
      v_store(row + j + v * VLEN, e[v]);
      sum[v % VECS] = v_add(sum[v % VECS], e[v]);
    }
  }
  for (int v = 0; v < VECS; v++)
    v_store(part + v * VLEN, sum[v]);
}

/* sum = sum * decay + what the lanes hold */
static inline void add_parts(int rows, const float (*part)[LSP_LANES],
                             const float *decay, float *sum) {
  for (int i = 0; i < rows; i++) {
    vec lane[VECS];
    for (int v = 0; v < VECS; v++)
      lane[v] = v_load(part[i] + v * VLEN);
    sum[i] = fmaf(sum[i], decay[i], lanes_sum(lane));
  }
}

static inline void raise_top(float tile_top, float *top, float *change) {
  const float new_top = *top > tile_top ? *top : tile_top;
  *change = *top - new_top;
  *top = new_top;
}

static inline void decays(int rows, const float *change, float *decay) {
  float fall[LSP_BLOCK];
  for (int i = 0; i < rows; i += VLEN)
    v_store(fall + i, v_exp(v_load(change + i)));
  memcpy(decay, fall, (size_t)rows * sizeof *decay);
}

/* softmax_tile where something is masked. */
static void softmax_some(int rows, float *s, const int *low, const int *high,
                         float *top, float *sum, float *decay) {
  float change[LSP_BLOCK] = {0}, part[LSP_BLOCK][LSP_LANES];
  for (int i = 0; i < rows; i++) {
    float *row = s + (int64_t)i * LSP_BLOCK;
    const columns c = columns_of(low, high, i);
    mask_strides(row, c, -INFINITY);
    raise_top(row_max(row, c.from, c.to), &top[i], &change[i]);
  }
  decays(rows, change, decay);
  for (int i = 0; i < rows; i++) {
    float *row = s + (int64_t)i * LSP_BLOCK;
    const columns c = columns_of(low, high, i);
    row_exp(row, top[i], c.from, c.to, part[i]);
    zero_rest(row, c.from, c.to);
  }
  add_parts(rows, (const float(*)[LSP_LANES])part, decay, sum);
}

/* Maxima first, then all decays at once, then the exponentials, then their sums: rows do
 * not wait for each other's reductions. A row that sees nothing has the tile's maximum
 * -INFINITY, below any `top`: its decay is exp(0) and its weights are 0. */
static void NAME(softmax_tile)(int rows, float *s, const int *low, const int *high,
                               float *top, float *sum, float *decay) {
  float change[LSP_BLOCK] = {0}, part[LSP_BLOCK][LSP_LANES];
  if (low != NULL || high != NULL) {
    softmax_some(rows, s, low, high, top, sum, decay);
    return;
  }
  for (int i = 0; i < rows; i++)
    raise_top(row_max(s + (int64_t)i * LSP_BLOCK, 0, LSP_BLOCK), &top[i], &change[i]);
  decays(rows, change, decay);
  for (int i = 0; i < rows; i++)
    row_exp(s + (int64_t)i * LSP_BLOCK, top[i], 0, LSP_BLOCK, part[i]);
  add_parts(rows, (const float(*)[LSP_LANES])part, decay, sum);
}

static void NAME(mask_tile)(int rows, float *s, const int *low, const int *high) {
  if (low == NULL && high == NULL)
    return;
  for (int i = 0; i < rows; i++) {
    float *row = s + (int64_t)i * LSP_BLOCK;
    const columns c = columns_of(low, high, i);
    mask_strides(row, c, 0.0f);
    zero_rest(row, c.from, c.to);
  }
}

/* A row of softmax_merge: out = out f + other g. */
static inline void row_merge(int64_t width, float *out, float f, const float *other,
                             float g) {
  int64_t j = 0;
  for (; j + VLEN <= width; j += VLEN)
    v_store(out + j,
            v_fma(v_load(other + j), v_set(g), v_mul(v_load(out + j), v_set(f))));
  for (; j < width; j++)
    out[j] = fmaf(other[j], g, out[j] * f);
}

static void NAME(softmax_merge)(int64_t rows, int64_t width, const lsp_partial *part,
                                const lsp_partial *other) {
  for (int64_t i = 0; i < rows; i++) {
    float *out = part->out + i * part->ldo;
    const float *from = other->out + i * other->ldo;
    if (other->sum[i] == 0.0f)
      continue;
    if (part->sum[i] == 0.0f) {
      memcpy(out, from, (size_t)width * sizeof *out);
      part->top[i] = other->top[i];
      part->sum[i] = other->sum[i];
      continue;
    }
    const float a = part->top[i], b = other->top[i], top = a > b ? a : b;
    float fall[LSP_LANES] = {a - top, b - top};
    v_store(fall, v_exp(v_load(fall)));
    if (VLEN == 1)
      v_store(fall + 1, v_exp(v_load(fall + 1)));
    row_merge(width, out, fall[0], from, fall[1]);
    part->sum[i] = fmaf(other->sum[i], fall[1], part->sum[i] * fall[0]);
    part->top[i] = top;
  }
}

static void NAME(soft_cap)(int64_t n, float *x, float cap) {
  const vec c = v_set(cap);
  for (int64_t j = 0; j < n; j += VLEN) {
    const vec q = v_div(v_load_left(x + j, n - j), c);
    v_store_left(x + j, n - j, v_mul(c, v_tanh(q)));
  }
}

static void NAME(rotate)(int64_t rows, int64_t pairs, const float *cosine,
                         const float *sine, float *x, int64_t ldx) {
  for (int64_t i = 0; i < rows; i++, x += ldx, cosine += pairs, sine += pairs) {
    float *y = x + pairs;
    int64_t j = 0;
    for (; j + VLEN <= pairs; j += VLEN) {
      const vec a = v_load(x + j), b = v_load(y + j);
      const vec c = v_load(cosine + j), s = v_load(sine + j);
      v_store(x + j, v_fnma(b, s, v_mul(a, c)));
      v_store(y + j, v_fma(b, c, v_mul(a, s)));
    }
    for (; j < pairs; j++) {
      const float a = x[j], b = y[j];
      x[j] = fmaf(-b, sine[j], a * cosine[j]);
      y[j] = fmaf(b, cosine[j], a * sine[j]);
    }
  }
}

/* Sums f(j) over a row, where f is x or (x - mean)^2: in 16 lanes, then what is
 * left. */
static inline float row_sum(const float *x, int64_t width) {
  vec part[VECS];
  for (int v = 0; v < VECS; v++)
    part[v] = v_set(0.0f);
  int64_t j = 0;
  for (; j + LSP_LANES <= width; j += LSP_LANES)
    for (int v = 0; v < VECS; v++)
      part[v] = v_add(part[v], v_load(x + j + v * VLEN));
  float total = lanes_sum(part);
  for (; j < width; j++)
    total += x[j];
  return total;
}

static inline float row_square_sum(const float *x, int64_t width, float mean) {
  vec part[VECS];
  for (int v = 0; v < VECS; v++)
    part[v] = v_set(0.0f);
  int64_t j = 0;
  for (; j + LSP_LANES <= width; j += LSP_LANES)
    for (int v = 0; v < VECS; v++) {
      const vec d = v_sub(v_load(x + j + v * VLEN), v_set(mean));
      part[v] = v_fma(d, d, part[v]);
    }
  float total = lanes_sum(part);
  for (; j < width; j++)
    total = fmaf(x[j] - mean, x[j] - mean, total);
  return total;
}

static void NAME(add)(int64_t n, float *x, const float *y) {
  int64_t j = 0;
  for (; j + VLEN <= n; j += VLEN)
    v_store(x + j, v_add(v_load(x + j), v_load(y + j)));
  for (; j < n; j++)
    x[j] += y[j];
}

static void NAME(add_scaled)(int64_t n, float *x, const float *y, float a) {
  int64_t j = 0;
  for (; j + VLEN <= n; j += VLEN)
    v_store(x + j, v_fma(v_set(a), v_load(y + j), v_load(x + j)));
  for (; j < n; j++)
    x[j] = fmaf(a, y[j], x[j]);
}

static void NAME(scale)(int64_t n, float *x, float a) {
  int64_t j = 0;
  for (; j + VLEN <= n; j += VLEN)
    v_store(x + j, v_mul(v_set(a), v_load(x + j)));
  for (; j < n; j++)
    x[j] *= a;
}

/* y = x + add, a row */
static inline void row_add(int64_t width, const float *x, const float *add, float *y) {
  int64_t j = 0;
  for (; j + VLEN <= width; j += VLEN)
    v_store(y + j, v_add(v_load(x + j), v_load(add + j)));
  for (; j < width; j++)
    y[j] = x[j] + add[j];
}

static void NAME(layer_norm)(int64_t rows, int64_t width, const float *x,
                             const float *add, const float *gain, const float *bias,
                             float eps, float *y) {
  for (int64_t i = 0; i < rows; i++, x += width, y += width) {
    const float *in = x;
    if (add != NULL) {
      row_add(width, x, add, y);
      add += width;
      in = y;
    }
    const float mean = row_sum(in, width) / (float)width;
    const float variance = row_square_sum(in, width, mean) / (float)width;
    /* An overflow would give rows of the bias, which look like results. */
    const float over = variance <= FLT_MAX ? 1.0f / sqrtf(variance + eps) : NAN;
    int64_t j = 0;
    for (; j + VLEN <= width; j += VLEN) {
      const vec d = v_mul(v_sub(v_load(in + j), v_set(mean)), v_set(over));
      v_store(y + j, v_fma(d, v_load(gain + j), v_load(bias + j)));
    }
    for (; j < width; j++)
      y[j] = fmaf((in[j] - mean) * over, gain[j], bias[j]);
  }
}

static void NAME(rms_norm)(const lsp_rms *p) {
  const int64_t width = p->width;
  for (int64_t i = 0; i < p->rows; i++) {
    const float *in = p->x + i * p->ldx;
    float *y = p->y + i * p->ldy;
    if (p->add != NULL) {
      row_add(width, in, p->add + i * width, y);
      in = y;
    }
    const float square = row_square_sum(in, width, 0.0f) / (float)width;
    /* An overflow would give rows of zeros, which look like results. */
    const float over = square <= FLT_MAX ? 1.0f / sqrtf(square + p->eps) : NAN;
    int64_t j = 0;
    for (; j + VLEN <= width; j += VLEN)
      v_store(y + j, v_mul(v_mul(v_load(in + j), v_set(over)), v_load(p->gain + j)));
    for (; j < width; j++)
      y[j] = in[j] * over * p->gain[j];
  }
}

/* A row of `activate`; kind is a constant after inlining. */
static inline __attribute__((always_inline)) void
row_act(lsp_activation kind, int64_t width, float *x, const float *bias) {
  for (int64_t j = 0; j < width; j += VLEN) {
    const float *at = bias != NULL ? bias + j : NULL;
    v_store_left(x + j, width - j, v_act(kind, v_biased(x + j, at, width - j)));
  }
}

static void NAME(activate)(lsp_activation kind, int64_t rows, int64_t width, float *x,
                           const float *bias) {
  for (int64_t i = 0; i < rows; i++, x += width)
    switch (kind) {
    case LSP_RELU:
      row_act(LSP_RELU, width, x, bias);
      break;
    case LSP_GELU:
      row_act(LSP_GELU, width, x, bias);
      break;
    case LSP_GELU_TANH:
      row_act(LSP_GELU_TANH, width, x, bias);
      break;
    case LSP_SILU:
      row_act(LSP_SILU, width, x, bias);
      break;
    }
}

/* A row of `gate`. */
static inline __attribute__((always_inline)) void
row_gate(lsp_activation kind, int64_t width, const float *x, const float *bias_gate,
         const float *bias_up, float *y) {
  for (int64_t j = 0; j < width; j += VLEN) {
    const float *to_gate = bias_gate != NULL ? bias_gate + j : NULL;
    const float *to_up = bias_up != NULL ? bias_up + j : NULL;
    const vec z = v_biased(x + j, to_gate, width - j);
    const vec up = v_biased(x + width + j, to_up, width - j);
    v_store_left(y + j, width - j, v_mul(v_act(kind, z), up));
  }
}

static void NAME(gate)(lsp_activation kind, int64_t rows, int64_t width, const float *x,
                       const float *bias_gate, const float *bias_up, float *y) {
  for (int64_t i = 0; i < rows; i++, x += 2 * width, y += width)
    switch (kind) {
    case LSP_RELU:
      row_gate(LSP_RELU, width, x, bias_gate, bias_up, y);
      break;
    case LSP_GELU:
      row_gate(LSP_GELU, width, x, bias_gate, bias_up, y);
      break;
    case LSP_GELU_TANH:
      row_gate(LSP_GELU_TANH, width, x, bias_gate, bias_up, y);
      break;
    case LSP_SILU:
      row_gate(LSP_SILU, width, x, bias_gate, bias_up, y);
      break;
    }
}

static void NAME(elu_one)(int64_t n, const float *x, float *y) {
  const vec zero = v_set(0.0f);
  for (int64_t j = 0; j < n; j += VLEN) {
    const vec v = v_load_left(x + j, n - j);
    const vec below = v_sub(zero, v_max(zero, v_sub(zero, v)));
    v_store_left(y + j, n - j, v_add(v_max(zero, v), v_exp(below)));
  }
}

static void NAME(bias_add)(int64_t rows, int64_t width, float *x, const float *bias) {
  for (int64_t i = 0; i < rows; i++, x += width)
    NAME(add)(width, x, bias);
}

static void NAME(shift_scale)(int rows, int width, const float *x, int64_t ldx,
                              const float *bias, float scale, float *y, int64_t ldy) {
  for (int i = 0; i < rows; i++, x += ldx, y += ldy) {
    int j = 0;
    for (; j + VLEN <= width; j += VLEN)
      v_store(y + j, v_mul(v_add(v_load(x + j), v_load(bias + j)), v_set(scale)));
    for (; j < width; j++)
      y[j] = (x[j] + bias[j]) * scale;
    for (; j < ldy; j++)
      y[j] = 0.0f;
  }
}

static void NAME(logsumexp)(int64_t n, float *x, const float *bias, float *top,
                            float *sum) {
  if (n <= 0)
    return;
  if (bias != NULL)
    NAME(add)(n, x, bias);
  float new_top = *top;
  for (int64_t j = 0; j < n; j++)
    new_top = x[j] > new_top ? x[j] : new_top;
  vec part[VECS];
  for (int v = 0; v < VECS; v++)
    part[v] = v_set(0.0f);
  int64_t j = 0;
  for (; j + LSP_LANES <= n; j += LSP_LANES)
    for (int v = 0; v < VECS; v++)
      part[v] = v_add(part[v], v_exp(v_sub(v_load(x + j + v * VLEN), v_set(new_top))));
  if (j < n) {
    float rest[LSP_LANES];
    for (int i = 0; i < LSP_LANES; i++)
      rest[i] = j + i < n ? x[j + i] : -INFINITY;
    for (int v = 0; v < VECS; v++)
      part[v] = v_add(part[v], v_exp(v_sub(v_load(rest + v * VLEN), v_set(new_top))));
  }
  float lane[LSP_LANES];
  v_store(lane, v_exp(v_set(*top - new_top)));
  *sum = fmaf(*sum, lane[0], lanes_sum(part));
  *top = new_top;
}

/* Sums of x * 0: NaN, whatever the order, as soon as one x is not finite. */
static int NAME(finite)(int64_t n, const float *x) {
  enum { CHAINS = 4 };
  vec part[CHAINS];
  float rest = 0;
  int64_t j = 0;
  for (int v = 0; v < CHAINS; v++)
    part[v] = v_set(0.0f);
  for (; j + (int64_t)CHAINS * VLEN <= n; j += (int64_t)CHAINS * VLEN)
    for (int v = 0; v < CHAINS; v++)
      part[v] = v_fma(v_load(x + j + v * VLEN), v_set(0.0f), part[v]);
  for (; j < n; j++)
    rest += x[j] * 0.0f;
  for (int v = 0; v < CHAINS; v++) {
    float lane[VLEN];
    v_store(lane, part[v]);
    for (int i = 0; i < VLEN; i++)
      rest += lane[i];
  }
  return !isnan(rest);
}

/* Doubles of a vector. */
enum { DLEN = sizeof(dvec) / sizeof(double), DROWS = 4, DCOLS = 2 * DLEN };

/* DROWS rows of DCOLS columns of NAME(product_double); rows and cols may be fewer, done one
 * by one. */
static inline void NAME(double_patch)(const lsp_double_product *p, int rows) {
  dvec sum[DROWS][2];
  for (int i = 0; i < DROWS; i++)
    for (int v = 0; v < 2; v++)
      sum[i][v] = d_load(p->sum + (i < rows ? i : 0) * p->lds + v * DLEN);
  for (int64_t d = 0; d < p->depth; d++) {
    const dvec b0 = d_load(p->b + d * p->ldb), b1 = d_load(p->b + d * p->ldb + DLEN);
    for (int i = 0; i < DROWS; i++) {
      const dvec a = d_set(p->a[(i < rows ? i : 0) * p->lda + d]);
      sum[i][0] = d_fma(a, b0, sum[i][0]);
      sum[i][1] = d_fma(a, b1, sum[i][1]);
    }
  }
  for (int i = 0; i < rows; i++)
    for (int v = 0; v < 2; v++)
      d_store(p->sum + i * p->lds + v * DLEN, sum[i][v]);
}

static void NAME(product_double)(const lsp_double_product *p) {
  for (int row = 0; row < p->rows; row += DROWS) {
    const int rows = p->rows - row < DROWS ? p->rows - row : DROWS;
    lsp_double_product q = *p;
    int col = 0;
    q.a += row * p->lda;
    q.sum += row * p->lds;
    for (; col + DCOLS <= p->cols; col += DCOLS) {
      if (rows == DROWS)
        NAME(double_patch)(&q, DROWS);
      else
        NAME(double_patch)(&q, rows);
      q.b += DCOLS;
      q.sum += DCOLS;
    }
    for (; col < p->cols; col++, q.b++, q.sum++)
      for (int i = 0; i < rows; i++)
        for (int64_t d = 0; d < p->depth; d++)
          q.sum[i * p->lds] =
              fma(q.a[i * p->lda + d], q.b[d * p->ldb], q.sum[i * p->lds]);
  }
}

void NAME(lsp__kernels)(lsp_kernels *k) {
  k->name = LSP_ISA_TEXT;
  k->product = NAME(product);
  k->sift = NAME(sift);
  k->packed = NAME(packed);
  k->product_double = NAME(product_double);
  k->softmax_tile = NAME(softmax_tile);
  k->softmax_merge = NAME(softmax_merge);
  k->mask_tile = NAME(mask_tile);
  k->soft_cap = NAME(soft_cap);
  k->rotate = NAME(rotate);
  k->layer_norm = NAME(layer_norm);
  k->rms_norm = NAME(rms_norm);
  k->activate = NAME(activate);
  k->gate = NAME(gate);
  k->elu_one = NAME(elu_one);
  k->bias_add = NAME(bias_add);
  k->add = NAME(add);
  k->add_scaled = NAME(add_scaled);
  k->scale = NAME(scale);
  k->shift_scale = NAME(shift_scale);
  k->logsumexp = NAME(logsumexp);
  k->finite = NAME(finite);
}

// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
