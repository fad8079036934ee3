/* The dense products, by whatever CBLAS the program was built with (OpenBLAS best).
 *
 * The library is opened at run time, after the ranks have agreed which of its cores to
 * use: its choice is made when it is loaded, and decides bits. One call runs on one
 * thread; parallelism is above. */
#ifndef LSP_GEMM_H
#define LSP_GEMM_H

#include "lsp/status.h"

#include <stdint.h>

enum { LSP_BLAS_NAME_SIZE = 160 };

/* Local. What decides the library's choice of core: processor vendor, family, model and
 * vector extensions, as text. Ranks with the same text may let the library choose. */
void lsp_processor_name(char name[LSP_BLAS_NAME_SIZE]);

/* Local. The OpenBLAS core for ranks that differ: the best that any processor with the
 * extensions of `weakest` (an lsp_isa) runs. */
const char *lsp_blas_core_for(int weakest);

/* Local. The lsp_isa whose vectors the kernels of an OpenBLAS core use, by the core's
 * name in any case; LSP_ISA_COUNT for a name that is not known here. */
int lsp_blas_core_isa(const char *core);

/* Local. Opens the library with one thread a call and the named core (NULL: its own
 * choice). Once a process. */
lsp_status lsp_blas_open(const char *core, lsp_failure *why);

/* Local. Core that was chosen ("Haswell"; "fixed" if the library has but one), and the
 * library in words ("OpenBLAS 0.3.21 ... , pthread"). */
const char *lsp_blas_core(void);
const char *lsp_blas_description(void);

/* Local, thread-safe. c = a b^T:
 *   a (m, k), b (n, k), c (m, n), row-major and dense.
 * m is the row count of a panel, never a shorter last call: with some cores a row's
 * bits depend on it and on the row's place. */
void lsp_gemm(int64_t m, int64_t n, int64_t k, const float *a, const float *b,
              float *c);

/* Local, thread-safe. As lsp_gemm with b (k, n). */
void lsp_gemm_plain(int64_t m, int64_t n, int64_t k, const float *a, const float *b,
                    float *c);

#endif
