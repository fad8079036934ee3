/* The tables of kernels that this build has, and the choice among them. */
#include "lsp/kernels.h"

static const char *const isa_name[LSP_ISA_COUNT] = {"plain", "avx2", "avx512"};

lsp_isa lsp_isa_here(void) {
  lsp_isa isa = LSP_ISA_PLAIN;
#ifdef LSP_HAVE_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    isa = LSP_ISA_AVX2;
#endif
#ifdef LSP_HAVE_AVX512
  if (isa == LSP_ISA_AVX2 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw"))
    isa = LSP_ISA_AVX512;
#endif
  return isa;
}

const char *lsp_isa_name(lsp_isa isa) {
  return isa < LSP_ISA_COUNT ? isa_name[isa] : "none";
}

lsp_kernels lsp_kernels_of(lsp_isa isa) {
  lsp_kernels k;
  lsp__kernels_plain(&k);
#ifdef LSP_HAVE_AVX2
  if (isa >= LSP_ISA_AVX2)
    lsp__kernels_avx2(&k);
#endif
#ifdef LSP_HAVE_AVX512
  if (isa >= LSP_ISA_AVX512)
    lsp__kernels_avx512(&k);
#endif
  return k;
}
