/* The attention kernel alone, as a share of the sgemm rate on one thread:
 *
 *   attention_kernel [W [E]]                                           default 512 64
 *
 * A causal window of W keys with relative positions, tiles in cache as in a run. Useful
 * FLOPs: scores, positions and values of the visible pairs. */
#include "blas_core.h"
#include "lsp/attend.h"
#include "lsp/gemm.h"
#include "lsp/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CUBE = 1024, BLOCKS = 64 };

static double now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *numbers(int64_t n) {
  float *p = aligned_alloc(64, (size_t)(n + 16) / 16 * 64);
  for (int64_t i = 0; p != NULL && i < n; i++)
    p[i] = (float)((i * 7919) % 1009) / 1009.0f - 0.5f;
  return p;
}

static double sgemm_rate(void) {
  float *a = numbers(3 * CUBE * CUBE);
  double best = 0;
  for (int i = 0; i < 5; i++) {
    const double begin = now();
    lsp_gemm(CUBE, CUBE, CUBE, a, a + CUBE * CUBE, a + 2 * CUBE * CUBE);
    const double rate = 2.0 * CUBE * CUBE * CUBE / (now() - begin);
    best = rate > best ? rate : best;
  }
  free(a);
  return best;
}

static double attention_rate(int64_t window, int width, lsp_isa isa) {
  const lsp_kernels k = lsp_kernels_of(isa);
  const lsp_heads h = {1, width};
  const lsp_pattern p = {.memory = window, .same_length = 1};
  const int64_t reach = lsp_divide_up(lsp_pattern_reach(&p), LSP_BLOCK);
  float *tiles = numbers((reach + BLOCKS) * lsp_tile_floats(h));
  float *strips = numbers(lsp_strip_floats(h, reach + 1));
  float *q = numbers((int64_t)LSP_BLOCK * width), *out = numbers(LSP_BLOCK * width);
  float *scratch = numbers(lsp_attend_scratch(h));
  const float **tile = malloc((size_t)(reach + 1) * sizeof *tile);
  int64_t first[LSP_BLOCK];
  double best = 0;
  for (int i = 0; i < LSP_BLOCK; i++)
    first[i] = i - window + 1;
  for (int repeat = 0; repeat < 7; repeat++) {
    const double begin = now();
    for (int b = 0; b < BLOCKS; b++) {
      for (int64_t d = 0; d <= reach; d++)
        tile[d] = tiles + (reach + b - d) * lsp_tile_floats(h);
      const lsp_attention a = {.kernels = &k,
                               .heads = h,
                               .u = q,
                               .v = q,
                               .distances = {strips, reach + 1, 0},
                               .rows = LSP_BLOCK,
                               .query = q,
                               .ld_query = width,
                               .first_key = first,
                               .tile = tile,
                               .out = out,
                               .ld_out = width};
      lsp_attend_block(&a, scratch);
    }
    const double flops = 2.0 * 3 * width * (double)window * LSP_BLOCK * BLOCKS;
    const double rate = flops / (now() - begin);
    best = rate > best ? rate : best;
  }
  free(tiles), free(strips), free(q), free(out), free(scratch), free(tile);
  return best;
}

int main(int argc, char **argv) {
  const int64_t window = argc > 1 ? atoi(argv[1]) : 512;
  const int width = argc > 2 ? atoi(argv[2]) : 64;
  lsp_failure why = {0};
  if (lsp_blas_open(NULL, &why) != LSP_OK) {
    (void)fprintf(stderr, "%s\n", why.text);
    return 1;
  }
  const double sgemm = sgemm_rate();
  print_blas_core();
  printf("sgemm_gflops = %.1f\n", sgemm * 1e-9);
  for (int isa = LSP_ISA_AVX2; isa <= (int)lsp_isa_here(); isa++) {
    const double rate = attention_rate(window, width, (lsp_isa)isa);
    printf("attention_gflops[%s] = %.1f\nattention_share_of_sgemm[%s] = %.3f\n",
           lsp_isa_name((lsp_isa)isa), rate * 1e-9, lsp_isa_name((lsp_isa)isa),
           rate / sgemm);
  }
  return 0;
}
