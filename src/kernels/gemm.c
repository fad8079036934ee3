/* CBLAS behind dlopen. The state below is the one library of the process: opened once,
 * before any thread uses it, and only read afterwards. */
#include "lsp/gemm.h"

#include "lsp/kernels.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#ifndef LSP_BLAS_LIBRARY
#define LSP_BLAS_LIBRARY "libopenblas.so.0"
#endif

enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };

typedef void (*sgemm_fn)(int order, int trans_a, int trans_b, int m, int n, int k,
                         float alpha, const float *a, int lda, const float *b, int ldb,
                         float beta, float *c, int ldc);

static struct {
  sgemm_fn sgemm;
  char core[LSP_BLAS_NAME_SIZE];
  char description[2 * LSP_BLAS_NAME_SIZE];
} blas;

void lsp_processor_name(char name[LSP_BLAS_NAME_SIZE]) {
  char vendor[64] = "unknown", family[32] = "0", model[32] = "0", line[256];
  FILE *f = fopen("/proc/cpuinfo", "r");
  while (f != NULL && fgets(line, sizeof line, f) != NULL && line[0] != '\n') {
    (void)sscanf(line, "vendor_id : %63s", vendor);
    (void)sscanf(line, "cpu family : %31s", family);
    (void)sscanf(line, "model : %31s", model);
  }
  if (f != NULL)
    (void)fclose(f);
  (void)snprintf(name, LSP_BLAS_NAME_SIZE, "%s family %s model %s %s", vendor, family,
                 model, lsp_isa_name(lsp_isa_here()));
}

const char *lsp_blas_core_for(int weakest) {
  if (weakest >= LSP_ISA_AVX512)
    return "SkylakeX";
  return weakest >= LSP_ISA_AVX2 ? "Haswell" : "Prescott";
}

int lsp_blas_core_isa(const char *core) {
  static const struct {
    lsp_isa isa;
    const char *names; /* each between two spaces */
  } known[] = {{LSP_ISA_AVX512, " skylakex cooperlake sapphirerapids "},
               {LSP_ISA_AVX2, " haswell zen excavator "},
               {LSP_ISA_PLAIN,
                " katmai coppermine northwood prescott banias core2 penryn "
                "dunnington nehalem sandybridge atom athlon opteron "
                "opteron_sse3 barcelona bobcat bulldozer piledriver "
                "steamroller nano "}};
  char name[32];
  const int length = snprintf(name, sizeof name, " %s ", core);
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (length < (int)sizeof name && strcasestr(known[i].names, name) != NULL)
      return (int)known[i].isa;
  return LSP_ISA_COUNT;
}

/* A function of the library, or NULL. ISO C knows no conversion from an object pointer
 * to a function pointer, so the pointer's bytes are copied. */
static void symbol(void *library, const char *name, void *function) {
  void *p = dlsym(library, name);
  memcpy(function, &p, sizeof p);
}

static void describe(void *library) {
  static const char *const parallel_name[] = {"serial", "pthread", "OpenMP"};
  char *(*config)(void), *(*core)(void);
  int (*parallel)(void);
  symbol(library, "openblas_get_config", &config);
  symbol(library, "openblas_get_corename", &core);
  symbol(library, "openblas_get_parallel", &parallel);
  (void)snprintf(blas.core, sizeof blas.core, "%s", core == NULL ? "fixed" : core());
  if (config == NULL) {
    (void)snprintf(blas.description, sizeof blas.description, "%s", LSP_BLAS_LIBRARY);
    return;
  }
  char version[64] = "";
  (void)sscanf(config(), "%*s %63s", version);
  const int kind = parallel == NULL ? 0 : parallel();
  (void)snprintf(blas.description, sizeof blas.description, "OpenBLAS %s (%s)", version,
                 kind >= 0 && kind <= 2 ? parallel_name[kind] : "unknown threading");
}

lsp_status lsp_blas_open(const char *core, lsp_failure *why) {
  if (blas.sgemm != NULL)
    return LSP_OK;
  /* Set before the library is loaded, which reads it then: no threads of its own, and
   * the agreed core. */
  if (setenv("OPENBLAS_NUM_THREADS", "1", 1) != 0 ||
      (core != NULL && setenv("OPENBLAS_CORETYPE", core, 1) != 0))
    return lsp_fail(why, LSP_E_MEMORY,
                    "cannot set the environment of the BLAS library");
  (void)setenv("MKL_NUM_THREADS", "1", 1);
  (void)setenv("BLIS_NUM_THREADS", "1", 1);
  void *library = dlopen(LSP_BLAS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL)
    return lsp_fail(why, LSP_E_INPUT,
                    "cannot open the BLAS library %s (%s); install it where it was at "
                    "build time, or build again",
                    LSP_BLAS_LIBRARY, dlerror());
  symbol(library, "cblas_sgemm", &blas.sgemm);
  if (blas.sgemm == NULL)
    return lsp_fail(why, LSP_E_INPUT, "%s has no cblas_sgemm; build with OpenBLAS",
                    LSP_BLAS_LIBRARY);
  describe(library);
  if (core != NULL && strcasecmp(core, blas.core) != 0)
    return lsp_fail(why, LSP_E_MISMATCH,
                    "the BLAS library runs its core '%s' here where '%s' is needed for "
                    "the same bits; run on the processors of the first run, or begin "
                    "anew with --overwrite",
                    blas.core, core);
  return LSP_OK;
}

const char *lsp_blas_core(void) {
  return blas.core;
}

const char *lsp_blas_description(void) {
  return blas.description;
}

/* 32-bit sizes of the CBLAS interface: panels and widths are far below. */
static int blas_size(int64_t n) {
  LSP_ASSERT(n > 0 && n <= INT32_MAX);
  return (int)n;
}

void lsp_gemm(int64_t m, int64_t n, int64_t k, const float *a, const float *b,
              float *c) {
  LSP_ASSERT(blas.sgemm != NULL);
  blas.sgemm(ROW_MAJOR, PLAIN, TRANSPOSED, blas_size(m), blas_size(n), blas_size(k),
             1.0f, a, blas_size(k), b, blas_size(k), 0.0f, c, blas_size(n));
}

void lsp_gemm_plain(int64_t m, int64_t n, int64_t k, const float *a, const float *b,
                    float *c) {
  LSP_ASSERT(blas.sgemm != NULL);
  blas.sgemm(ROW_MAJOR, PLAIN, PLAIN, blas_size(m), blas_size(n), blas_size(k), 1.0f, a,
             blas_size(k), b, blas_size(n), 0.0f, c, blas_size(n));
}
