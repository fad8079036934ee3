/* Which core of OpenBLAS a figure is of. Some systems set a weak one for all their users:
 * quote figures with OPENBLAS_CORETYPE unset. Local. */
#ifndef LSP_BENCH_BLAS_CORE_H
#define LSP_BENCH_BLAS_CORE_H

#include "lsp/gemm.h"

#include <stdio.h>
#include <stdlib.h>

static void print_blas_core(void) {
  const char *set = getenv("OPENBLAS_CORETYPE");
  printf("blas_core = %s\n", lsp_blas_core());
  printf("OPENBLAS_CORETYPE = %s\n", set != NULL ? set : "(not set)");
}

#endif
