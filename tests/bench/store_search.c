/* Exact search of a key-value store alone, on one thread, as a share of the sgemm rate:
 *
 *   store_search [M [K [E [ROWS]]]]     keys 65536, neighbours 32, width 64, queries 256
 *
 * A product of 1024 cubed and a panel of queries against all keys are timed in turn, by CPU
 * time; the figure is the median of ratios. Useful FLOPs are 2 M E a query. Keys and
 * queries are normal numbers: about K ln(M / K) keys of a query pass. With FILE.f32 in
 * LSP_SEARCH_DUMP keys, queries and what was found are written there, for
 * store_search.py. */
#include "blas_core.h"
#include "lsp/gemm.h"
#include "lsp/grid.h"
#include "lsp/nearest.h"
#include "lsp/status.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CUBE = 1024, REPEATS = 15 };

typedef struct {
  int64_t keys;
  int most, width, rows, cosine;
  lsp_kernels kernels;
  float *tile; /* (keys / 64) tiles of (E, 64) */
  float *query, *room, *normalised;
  int64_t *first, *end;
  lsp_neighbour *best;
  int32_t *found;
} bench;

static double now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *room(int64_t bytes) {
  void *p = aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
  LSP_ASSERT(p != NULL);
  return p;
}

static uint64_t state = 88172645463325252u;

static double uniform(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return ((double)(state >> 11) + 0.5) * 0x1p-53;
}

static void normal_numbers(int64_t n, float *x) {
  for (int64_t i = 0; i < n; i++)
    x[i] = (float)(sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()));
}

static double sgemm_rate(float *a) {
  const double begin = now();
  lsp_gemm(CUBE, CUBE, CUBE, a, a + CUBE * CUBE, a + 2 * CUBE * CUBE);
  return 2.0 * CUBE * CUBE * CUBE / (now() - begin);
}

static double search_rate(const bench *b) {
  lsp_search_state s;
  lsp_search_tile tile;
  const lsp_search search = {.kernels = &b->kernels,
                             .width = b->width,
                             .most = b->most,
                             .cosine = b->cosine,
                             .rows = b->rows,
                             .query = b->query,
                             .ld = b->width,
                             .first = b->first,
                             .end = b->end,
                             .best = b->best,
                             .found = b->found};
  const double begin = now();
  memset(b->found, 0, (size_t)b->rows * sizeof *b->found);
  lsp_search_begin(&search, b->room, &s);
  for (int64_t t = 0; t < b->keys / LSP_BLOCK; t++) {
    lsp_search_prepare(&search, b->tile + t * b->width * LSP_BLOCK, t * LSP_BLOCK,
                       b->normalised, &tile);
    lsp_search_look(&search, &s, &tile);
  }
  for (int64_t i = 0; i < b->rows; i++)
    lsp_neighbours_order(b->best + i * b->most, b->found[i]);
  return 2.0 * (double)b->rows * (double)b->keys * b->width / (now() - begin);
}

static void bench_open(bench *b) {
  b->tile = room(b->keys * b->width * 4);
  b->query = room((int64_t)b->rows * b->width * 4);
  b->room = room(lsp_search_floats(b->rows) * 4);
  b->normalised = room((int64_t)LSP_BLOCK * b->width * 4);
  b->first = room((int64_t)b->rows * 8);
  b->end = room((int64_t)b->rows * 8);
  b->best = room((int64_t)b->rows * b->most * (int64_t)sizeof *b->best);
  b->found = room((int64_t)b->rows * 4);
  normal_numbers(b->keys * b->width, b->tile);
  normal_numbers((int64_t)b->rows * b->width, b->query);
  for (int64_t i = 0; i < b->rows; i++) {
    b->first[i] = 0;
    b->end[i] = b->keys;
  }
}

/* Five numbers of 64 bits (keys, width, rows, neighbours, 0), keys (M, E), queries, and of
 * each query the positions found, the highest first. */
static void dump(const bench *b, const char *path) {
  const int64_t head[5] = {b->keys, b->width, b->rows, b->most, 0};
  FILE *f = fopen(path, "wb");
  LSP_ASSERT(f != NULL);
  (void)fwrite(head, sizeof head, 1, f);
  for (int64_t i = 0; i < b->keys; i++)
    for (int e = 0; e < b->width; e++)
      (void)fwrite(b->tile + (i / LSP_BLOCK * b->width + e) * LSP_BLOCK + i % LSP_BLOCK,
                   4, 1, f);
  (void)fwrite(b->query, 4, (size_t)b->rows * (size_t)b->width, f);
  for (int64_t i = 0; i < (int64_t)b->rows * b->most; i++)
    (void)fwrite(&b->best[i].position, 8, 1, f);
  LSP_ASSERT(fclose(f) == 0);
}

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(bench *b, float *cube, const char *name) {
  double share[REPEATS], rate[REPEATS];
  for (int i = 0; i < REPEATS; i++) {
    const double sgemm = sgemm_rate(cube);
    rate[i] = search_rate(b);
    share[i] = rate[i] / sgemm;
  }
  qsort(share, REPEATS, sizeof *share, by_value);
  qsort(rate, REPEATS, sizeof *rate, by_value);
  printf("%-7s M = %lld, k = %d, E = %d, %d queries: %6.1f GFLOP/s, %.2f of sgemm\n",
         name, (long long)b->keys, b->most, b->width, b->rows, rate[REPEATS / 2] * 1e-9,
         share[REPEATS / 2]);
}

static int64_t number(int argc, char **argv, int i, int64_t otherwise) {
  return argc > i ? strtoll(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
  lsp_failure why;
  bench b = {.keys = number(argc, argv, 1, 65536) / LSP_BLOCK * LSP_BLOCK,
             .most = (int)number(argc, argv, 2, 32),
             .width = (int)number(argc, argv, 3, 64),
             .rows = (int)number(argc, argv, 4, 256)};
  float *cube = room((int64_t)3 * CUBE * CUBE * 4);
  LSP_ASSERT(lsp_blas_open(NULL, &why) == LSP_OK);
  print_blas_core();
  normal_numbers((int64_t)3 * CUBE * CUBE, cube);
  bench_open(&b);
  b.kernels = lsp_kernels_of(lsp_isa_here());
  printf("kernels = %s\n", b.kernels.name);
  measure(&b, cube, "scaled");
  if (getenv("LSP_SEARCH_DUMP") != NULL)
    dump(&b, getenv("LSP_SEARCH_DUMP"));
  b.cosine = 1;
  measure(&b, cube, "cosine");
  return 0;
}
