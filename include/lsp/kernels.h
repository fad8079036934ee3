/* The table of kernels: plain C fills every entry, an instruction set replaces them.
 *
 * All entries are defined element by element as chains of fused multiply-adds and as
 * sums over 16 fixed lanes, so that plain C, AVX2 and AVX-512 give the same bits; a
 * test holds them to it. A NaN that a row depends on comes out as NaN, and so does an
 * overflow that would spoil it; none is taken for a small number. Row-major everywhere,
 * last index fastest. Local, thread-safe. */
#ifndef LSP_KERNELS_H
#define LSP_KERNELS_H

#include <stdint.h>

enum {
  LSP_PACK_DEPTH = 256, /* terms of a chain in products with packed weights */
  LSP_BLOCK = 64,       /* tokens a block of the attention grid, and keys a tile */
  LSP_LANES = 16 /* partial sums of every reduction; head widths are padded to it */
};

/* Weakest first: all ranks run the weakest that any of them has. */
typedef enum { LSP_ISA_PLAIN, LSP_ISA_AVX2, LSP_ISA_AVX512, LSP_ISA_COUNT } lsp_isa;

/* c = scale * init + a b: for each element one chain of fused multiply-adds in rising
 * depth, begun with 0, and one more that adds scale * init (so that sums over many
 * tiles err with the number of tiles, not of terms). Sizes up to LSP_BLOCK rows; cols a
 * multiple of LSP_LANES. */
typedef struct {
  const float *a;     /* (rows, depth), leading dimension lda */
  const float *b;     /* (depth, cols), ldb */
  const float *init;  /* (rows, cols), ldi; NULL: zeros. ldi may be any number: a row
                         that is read at a shifting offset has ldi = ld - 1, one vector
                         read so has ldi = -1 */
  const float *scale; /* (rows); NULL: ones */
  float *c;           /* (rows, cols), ldc; may be init */
  int64_t lda, ldb, ldi, ldc;
  int rows, cols, depth;
  /* Bounds that a row needs, inclusive, or NULL: all of it. What lies outside col_*
   * may be left as it was; what lies outside depth_* must be zero in a. */
  const int *col_low, *col_high, *depth_low, *depth_high; /* (rows) */
} lsp_product;

/* Which keys of a tile may be among the best of a row: those whose score, the chain of
 * lsp_product, is not below the least that still counts. A NaN is below nothing. */
typedef struct {
  const float *a;     /* (rows, depth), leading dimension lda */
  const float *b;     /* (depth, LSP_BLOCK), dense */
  const float *least; /* (rows) */
  uint64_t *passes;   /* (rows) out: bit j for column j */
  int64_t lda;
  int rows, depth; /* any number of rows */
} lsp_sifting;

/* y = x w^T, w packed by lsp_pack (lsp/packing.h). Of each element of y: chains of fused
 * multiply-adds over LSP_PACK_DEPTH terms in rising depth, each begun with 0, added up in
 * rising order. So a row's bits depend on neither its place nor the number of rows, and
 * those of a column not on the other columns. */
typedef struct {
  const float *x; /* (rows, depth), dense */
  const float *w; /* (cols, depth), packed */
  float *y;       /* (rows, cols), dense; apart from x */
  float *work;    /* (rows, LSP_PACK_DEPTH) */
  int64_t rows, cols, depth;
} lsp_packed_product;

/* sum += a b in double: for each element one chain of fused multiply-adds in rising depth,
 * begun with what it was. */
typedef struct {
  const double *a; /* (rows, depth), lda */
  const double *b; /* (depth, cols), ldb */
  double *sum;     /* (rows, cols), lds; apart from a and b */
  int64_t lda, ldb, lds, depth;
  int rows, cols;
} lsp_double_product;

/* What stands between the two products of a feed-forward. NaN and minus infinity give
 * NaN, plus infinity stays: an overflow is never taken for a number. (RELU alone gives
 * 0 for minus infinity.)
 *   RELU       max(x, 0)
 *   GELU       x (1 + erf(x / sqrt 2)) / 2   (Hendrycks, Gimpel 2016)
 *   GELU_TANH  x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)), the same by a tanh
 *   SILU       x sigmoid(x)
 * Off by less than 1e-6 of the value or e^-87 |x|, whichever is more; GELU_TANH by as
 * much more as rounding its sigmoid's argument costs. */
typedef enum lsp_activation {
  LSP_RELU,
  LSP_GELU,
  LSP_GELU_TANH,
  LSP_SILU
} lsp_activation;

/* y = x / sqrt(mean(x^2) + eps) * gain, row by row (Zhang, Sennrich 2019). A mean that
 * overflows gives a row of NaN. */
typedef struct {
  const float *x;    /* (rows, width), leading dimension ldx */
  const float *add;  /* (rows, width), dense; NULL: nothing. The row is x + add */
  const float *gain; /* (width) */
  float *y;          /* (rows, width), ldy; may be x, with ldy = ldx */
  int64_t ldx, ldy;
  int64_t rows, width;
  float eps;
} lsp_rms;

/* Softmax over a part of the keys of each row, not yet divided by the sum. */
typedef struct {
  float *out; /* (rows, width), ldo: values weighted by exp(score - top) */
  int64_t ldo;
  float *top; /* (rows) maximum of the scores; -FLT_MAX if there are none */
  float *sum; /* (rows) sum of exp(score - top); 0 if there are none */
} lsp_partial;

typedef struct {
  const char *name;

  void (*product)(const lsp_product *p);

  void (*sift)(const lsp_sifting *p);

  void (*packed)(const lsp_packed_product *p);

  void (*product_double)(const lsp_double_product *p);

  /* One tile of an online softmax over the keys of a row.
   *   s      [in/out] (rows, LSP_BLOCK) scores in, exp(s - top) out; outside
   *                   low..high (inclusive, NULL: everything is in) zeros
   *   top    [in/out] (rows) running maximum
   *   sum    [in/out] (rows) running sum
   *   decay  [out]    (rows) exp(old top - new top) */
  void (*softmax_tile)(int rows, float *s, const int *low, const int *high, float *top,
                       float *sum, float *decay);

  /* Merges what two parts of the keys gave for the same rows, in place of the first:
   *   top = max(top1, top2), f_i = exp(top_i - top),
   *   out = out1 f1 + out2 f2, sum = sum1 f1 + sum2 f2
   * A part with sum 0 changes nothing, whatever its out holds. */
  void (*softmax_merge)(int64_t rows, int64_t width, const lsp_partial *part,
                        const lsp_partial *other);

  /* Zeros outside low..high (inclusive, NULL: everything is in) of s (rows, LSP_BLOCK):
   * for scores that go without a softmax. */
  void (*mask_tile)(int rows, float *s, const int *low, const int *high);

  /* x = cap tanh(x / cap), cap > 0; infinities become +-cap. Off by less than 1e-6 of
   * the value, also near 0. */
  void (*soft_cap)(int64_t n, float *x, float cap);

  /* Rotates the pairs (a, b) = (x[i], x[i + pairs]) of each row, i < pairs, in place:
   *   a, b = a cos - b sin, b cos + a sin
   * x (rows, 2 pairs), ldx; cosine, sine (rows, pairs) dense (Su et al. 2021, in the
   * order of halves). */
  void (*rotate)(int64_t rows, int64_t pairs, const float *cosine, const float *sine,
                 float *x, int64_t ldx);

  /* y = (x - mean) / sqrt(variance + eps) * gain + bias, row by row; x may be y.
   * Mean and variance in two passes. With add != NULL the row is x + add. */
  void (*layer_norm)(int64_t rows, int64_t width, const float *x, const float *add,
                     const float *gain, const float *bias, float eps, float *y);

  void (*rms_norm)(const lsp_rms *p);

  /* x = activation(x + bias), x (rows, width) dense; bias (width) or NULL */
  void (*activate)(lsp_activation kind, int64_t rows, int64_t width, float *x,
                   const float *bias);

  /* y = activation(gate + bias_gate) (up + bias_up). x (rows, 2 width): the columns of
   * the gate, then those of up; y (rows, width), dense, apart from x; biases (width) or
   * NULL (Shazeer 2020). */
  void (*gate)(lsp_activation kind, int64_t rows, int64_t width, const float *x,
               const float *bias_gate, const float *bias_up, float *y);

  /* y = elu(x) + 1: x + 1 above 0, else exp(x) (Katharopoulos et al. 2020). y may be x.
   * Off by less than 2e-7 of the value; 0 below -87. NaN stays. */
  void (*elu_one)(int64_t n, const float *x, float *y);

  /* x = x + bias; a row of `width` */
  void (*bias_add)(int64_t rows, int64_t width, float *x, const float *bias);

  /* x = x + y */
  void (*add)(int64_t n, float *x, const float *y);

  /* x = x + a y, fused */
  void (*add_scaled)(int64_t n, float *x, const float *y, float a);

  /* x = a x */
  void (*scale)(int64_t n, float *x, float a);

  /* y = (x + bias) * scale for one head: rows of ldx in, rows of ldy out, the columns
   * from width to ldy zero */
  void (*shift_scale)(int rows, int width, const float *x, int64_t ldx,
                      const float *bias, float scale, float *y, int64_t ldy);

  /* Online log-sum-exp of a row of logits x + bias (bias may be NULL): top and sum as
   * in softmax_tile, begun with top = -FLT_MAX, sum = 0. x is overwritten by x + bias.
   */
  void (*logsumexp)(int64_t n, float *x, const float *bias, float *top, float *sum);

  /* 1 if all n numbers are finite */
  int (*finite)(int64_t n, const float *x);
} lsp_kernels;

/* Weakest of what the processor has and what this build knows. */
lsp_isa lsp_isa_here(void);

/* "plain", "avx2", "avx512". */
const char *lsp_isa_name(lsp_isa isa);

/* The complete table for an instruction set; the caller has checked lsp_isa_here. */
lsp_kernels lsp_kernels_of(lsp_isa isa);

/* Width padded to lanes. */
static inline int lsp_padded(int width) {
  return (width + LSP_LANES - 1) / LSP_LANES * LSP_LANES;
}

/* Each fills what it has; internal to the module. */
void lsp__kernels_plain(lsp_kernels *k);
void lsp__kernels_avx2(lsp_kernels *k);
void lsp__kernels_avx512(lsp_kernels *k);

#endif
