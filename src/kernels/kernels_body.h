/* One body for every vector width. The including file defines
 *
 *   VLEN                 floats a vector: 1, 8, 16
 *   ROWS                 rows of a register block
 *   GROUP                columns of a register block, a multiple of LSP_LANES
 *   NAME(x)              x with the suffix of the instruction set
 *   LSP_ISA_TEXT         its name
 *   vec                  a vector of floats, and on it:
 *     v_load v_store v_set v_fma v_add v_sub v_mul
 *     v_power_of_two(t)  2^n, where t = n + 1.5 * 2^23
 *     v_keep(x, low, y)  0 where x < low, else y: where x is NaN, too
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

/* The products of ints below are offsets within a tile, so they do not overflow. */
// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result)

enum { VECS = LSP_LANES / VLEN, GROUP_VECS = GROUP / VLEN };

/* exp(x) for x <= 0 with an error under 1.5 ulp; 0 below -87; NaN for NaN. Cody and
 * Waite's reduction, a polynomial of degree 6 on [-ln2/2, ln2/2]. */
static inline vec v_exp(vec x) {
  const vec magic = v_set(12582912.0f);
  const vec low = v_set(-87.0f);
  const vec y = v_max(low, x);
  const vec t = v_fma(y, v_set(1.44269504f), magic);
  const vec n = v_sub(t, magic);
  vec r = v_fma(n, v_set(-0.693359375f), y);
  r = v_fma(n, v_set(2.12194440e-4f), r);
  vec p = v_set(1.9875691500e-4f);
  p = v_fma(p, r, v_set(1.3981999507e-3f));
  p = v_fma(p, r, v_set(8.3334519073e-3f));
  p = v_fma(p, r, v_set(4.1665795894e-2f));
  p = v_fma(p, r, v_set(1.6666665459e-1f));
  p = v_fma(p, r, v_set(5.0000001201e-1f));
  p = v_fma(p, v_mul(r, r), v_add(r, v_set(1.0f)));
  return v_keep(x, low, v_mul(p, v_power_of_two(t)));
}

/* One register block: n rows (a constant after inlining), GROUP columns from `col`,
 * depth [k0, k1). */
static inline __attribute__((always_inline)) void
block(const lsp_product *p, int n, int row, int col, int vecs, int k0, int k1) {
  vec acc[ROWS][GROUP_VECS];
  for (int i = 0; i < n; i++)
    for (int j = 0; j < vecs; j++)
      acc[i][j] = v_set(0.0f);
  const float *a = p->a + row * p->lda;
  const float *b = p->b + col;
  for (int k = k0; k < k1; k++) {
    vec bk[GROUP_VECS];
    for (int j = 0; j < vecs; j++)
      bk[j] = v_load(b + k * p->ldb + j * VLEN);
    for (int i = 0; i < n; i++) {
      const vec ai = v_set(a[i * p->lda + k]);
      for (int j = 0; j < vecs; j++)
        acc[i][j] = v_fma(ai, bk[j], acc[i][j]);
    }
  }
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

/* Sets the scores outside low..high to minus infinity. */
static void mask_row(float *row, int low, int high) {
  for (int j = 0; j < low && j < LSP_BLOCK; j++)
    row[j] = -INFINITY;
  for (int j = high + 1; j < LSP_BLOCK; j++)
    row[j] = -INFINITY;
}

static inline float row_max(const float *row) {
  vec best[VECS];
  for (int v = 0; v < VECS; v++)
    best[v] = v_load(row + v * VLEN);
  for (int j = LSP_LANES; j < LSP_BLOCK; j += LSP_LANES)
    for (int v = 0; v < VECS; v++)
      best[v] = v_max(best[v], v_load(row + j + v * VLEN));
  return lanes_max(best);
}

/* row = exp(row - top). Returns its sum. */
static inline float row_exp(float *row, float top) {
  vec part[VECS];
  for (int v = 0; v < VECS; v++)
    part[v] = v_set(0.0f);
  for (int j = 0; j < LSP_BLOCK; j += LSP_LANES)
    for (int v = 0; v < VECS; v++) {
      const vec e = v_exp(v_sub(v_load(row + j + v * VLEN), v_set(top)));
      v_store(row + j + v * VLEN, e);
      part[v] = v_add(part[v], e);
    }
  return lanes_sum(part);
}

/* Maxima first, then all decays at once, then the exponentials: rows do not wait for
 * each other's reductions. */
static void NAME(softmax_tile)(int rows, float *s, const int *low, const int *high,
                               float *top, float *sum, float *decay) {
  float change[LSP_BLOCK] = {0};
  for (int i = 0; i < rows; i++) {
    float *row = s + (int64_t)i * LSP_BLOCK;
    if (low != NULL || high != NULL)
      mask_row(row, low != NULL ? low[i] : 0, high != NULL ? high[i] : LSP_BLOCK - 1);
    const float tile_top = row_max(row);
    const float new_top = top[i] > tile_top ? top[i] : tile_top;
    change[i] = top[i] - new_top;
    top[i] = new_top;
  }
  for (int i = 0; i < rows; i += VLEN)
    v_store(change + i, v_exp(v_load(change + i)));
  for (int i = 0; i < rows; i++) {
    decay[i] = change[i];
    sum[i] = fmaf(sum[i], decay[i], row_exp(s + (int64_t)i * LSP_BLOCK, top[i]));
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

static void NAME(layer_norm)(int64_t rows, int64_t width, const float *x,
                             const float *add, const float *gain, const float *bias,
                             float eps, float *y) {
  for (int64_t i = 0; i < rows; i++, x += width, y += width) {
    const float *in = x;
    if (add != NULL) {
      int64_t j = 0;
      for (; j + VLEN <= width; j += VLEN)
        v_store(y + j, v_add(v_load(x + j), v_load(add + j)));
      for (; j < width; j++)
        y[j] = x[j] + add[j];
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

static void NAME(bias_relu)(int64_t rows, int64_t width, float *x, const float *bias) {
  for (int64_t i = 0; i < rows; i++, x += width) {
    int64_t j = 0;
    for (; j + VLEN <= width; j += VLEN)
      v_store(x + j, v_max(v_set(0.0f), v_add(v_load(x + j), v_load(bias + j))));
    for (; j < width; j++) {
      const float z = x[j] + bias[j];
      x[j] = 0.0f > z ? 0.0f : z;
    }
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

void NAME(lsp__kernels)(lsp_kernels *k) {
  k->name = LSP_ISA_TEXT;
  k->product = NAME(product);
  k->softmax_tile = NAME(softmax_tile);
  k->layer_norm = NAME(layer_norm);
  k->bias_relu = NAME(bias_relu);
  k->bias_add = NAME(bias_add);
  k->add = NAME(add);
  k->shift_scale = NAME(shift_scale);
  k->logsumexp = NAME(logsumexp);
  k->finite = NAME(finite);
}

// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
