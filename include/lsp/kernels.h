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
  LSP_BLOCK = 64, /* tokens a block of the attention grid, and keys a tile */
  LSP_LANES = 16  /* partial sums of every reduction; head widths are padded to it */
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
                         that is read at a shifting offset has ldi = ld - 1 */
  const float *scale; /* (rows); NULL: ones */
  float *c;           /* (rows, cols), ldc; may be init */
  int64_t lda, ldb, ldi, ldc;
  int rows, cols, depth;
  /* Bounds that a row needs, inclusive, or NULL: all of it. What lies outside col_*
   * may be left as it was; what lies outside depth_* must be zero in a. */
  const int *col_low, *col_high, *depth_low, *depth_high; /* (rows) */
} lsp_product;

typedef struct {
  const char *name;

  void (*product)(const lsp_product *p);

  /* One tile of an online softmax over the keys of a row.
   *   s      [in/out] (rows, LSP_BLOCK) scores in, exp(s - top) out; outside
   *                   low..high (inclusive, NULL: everything is in) zeros
   *   top    [in/out] (rows) running maximum
   *   sum    [in/out] (rows) running sum
   *   decay  [out]    (rows) exp(old top - new top) */
  void (*softmax_tile)(int rows, float *s, const int *low, const int *high, float *top,
                       float *sum, float *decay);

  /* y = (x - mean) / sqrt(variance + eps) * gain + bias, row by row; x may be y.
   * Mean and variance in two passes. With add != NULL the row is x + add. */
  void (*layer_norm)(int64_t rows, int64_t width, const float *x, const float *add,
                     const float *gain, const float *bias, float eps, float *y);

  /* x = max(x + bias, 0) */
  void (*bias_relu)(int64_t rows, int64_t width, float *x, const float *bias);

  /* x = x + bias; a row of `width` */
  void (*bias_add)(int64_t rows, int64_t width, float *x, const float *bias);

  /* x = x + y */
  void (*add)(int64_t n, float *x, const float *y);

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
