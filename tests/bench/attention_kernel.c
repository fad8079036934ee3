/* The attention kernel alone, pattern by pattern, as a share of the sgemm rate on one
 * thread:
 *
 *   attention_kernel [NAME]                       all patterns, or those named so
 *
 * Panels, heads and blocks follow each other as in a run, so that tiles are in cache as
 * often. Every figure is the median of ratios: a product of 1024 cubed and the pattern's
 * blocks are timed in turn, by CPU time. Useful FLOPs are those of the pairs (query, key)
 * that lsp_view_pairs counts: scores, values, and relative positions where there are any.
 *
 *   share    of the sgemm rate
 *   visits   tile products that were executed, over the least that touch every pair
 *   useful   pairs over 64 x 64 a visit: 1 where no tile is masked */
#include "blas_core.h"
#include "lsp/attend.h"
#include "lsp/gemm.h"
#include "lsp/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CUBE = 1024, REPEATS = 15, HEADS_MAX = 8 };

typedef struct {
  const char *name;
  lsp_position_kind position;
  lsp_heads heads;
  lsp_pattern run;
  lsp_pattern fixed;  /* sinks 0: none */
  int64_t first, end; /* positions of the queries; whole blocks */
} pattern_case;

static const int64_t windows[HEADS_MAX] = {64, 128, 256, 512, 512, 1024, 1024, 2048};

#define LOCAL(W)                                                                       \
  { .kind = LSP_PATTERN_LOCAL, .window = (W) }
static const pattern_case cases[] = {
    {.name = "relative window 512",
     .position = LSP_POSITION_RELATIVE,
     .heads = {2, 2, 64},
     .run = {.kind = LSP_PATTERN_RECURRENCE, .memory = 512, .same_length = 1},
     .first = 4096,
     .end = 5120},
    {.name = "rotary local 512",
     .position = LSP_POSITION_ROTARY,
     .heads = {2, 2, 64},
     .run = LOCAL(512),
     .first = 4096,
     .end = 5120},
    {.name = "rotary local 512, grouped",
     .position = LSP_POSITION_ROTARY,
     .heads = {8, 2, 64},
     .run = LOCAL(512),
     .first = 4096,
     .end = 4352},
    {.name = "rotary windows a head",
     .position = LSP_POSITION_ROTARY,
     .heads = {8, 8, 64},
     .run = {.kind = LSP_PATTERN_LOCAL, .window = 2048, .windows = windows},
     .first = 4096,
     .end = 4352},
    {.name = "rotary local 512 and 4 sinks",
     .position = LSP_POSITION_ROTARY,
     .heads = {2, 2, 64},
     .run = LOCAL(512),
     .fixed = {.kind = LSP_PATTERN_FIXED, .sinks = 4},
     .first = 4096,
     .end = 5120},
    {.name = "rotary recurrence 128 + 512",
     .position = LSP_POSITION_ROTARY,
     .heads = {2, 2, 64},
     .run = {.kind = LSP_PATTERN_RECURRENCE, .segment = 128, .memory = 512},
     .first = 4096,
     .end = 5120},
    {.name = "rotary full 4096",
     .position = LSP_POSITION_ROTARY,
     .heads = {1, 1, 64},
     .run = {.kind = LSP_PATTERN_FULL},
     .first = 0,
     .end = 4096},
    {.name = "ALiBi full 4096",
     .position = LSP_POSITION_ALIBI,
     .heads = {1, 1, 64},
     .run = {.kind = LSP_PATTERN_FULL},
     .first = 0,
     .end = 4096},
    {.name = "normalize none, local 512",
     .position = LSP_POSITION_ROTARY,
     .heads = {2, 2, 64},
     .run = {.kind = LSP_PATTERN_LOCAL, .normalize = LSP_NORMALIZE_NONE, .window = 512},
     .first = 4096,
     .end = 5120},
};

typedef struct {
  const pattern_case *it;
  lsp_heads heads;
  lsp_kernels kernels;
  lsp_view view;
  int64_t strip_count, blocks; /* of keys */
  float *tiles, *strips, *query, *out, *zeros, *scratch, *partial;
  int64_t visits;
} bench;

static double now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *numbers(int64_t n) {
  float *p = aligned_alloc(64, (size_t)(n + 16) / 16 * 64);
  LSP_ASSERT(p != NULL);
  for (int64_t i = 0; i < n; i++)
    p[i] = (float)((i * 7919) % 1009) / 1009.0f - 0.5f;
  return p;
}

static double sgemm_rate(float *a) {
  const double begin = now();
  lsp_gemm(CUBE, CUBE, CUBE, a, a + CUBE * CUBE, a + 2 * CUBE * CUBE);
  return 2.0 * CUBE * CUBE * CUBE / (now() - begin);
}

static void bench_open(bench *b, const pattern_case *it, int width, lsp_isa isa) {
  *b = (bench){.it = it, .kernels = lsp_kernels_of(isa), .heads = it->heads};
  b->heads.width = width;
  b->view = (lsp_view){.run = {&it->run}, .runs = 1, .normalize = it->run.normalize};
  if (it->fixed.sinks > 0)
    b->view.fixed = &it->fixed;
  b->blocks = it->end / LSP_BLOCK;
  const int64_t block = (int64_t)LSP_BLOCK * lsp_padded(width);
  if (it->position == LSP_POSITION_RELATIVE)
    b->strip_count = it->run.memory / LSP_BLOCK + 2;
  b->tiles = numbers(b->blocks * lsp_tile_floats(b->heads));
  b->strips = numbers(lsp_strip_floats(b->heads, b->strip_count));
  b->query = numbers(block * b->heads.query);
  b->out = numbers(block * b->heads.query);
  b->zeros = calloc((size_t)width, sizeof *b->zeros);
  b->scratch = numbers(lsp_attend_scratch(b->heads));
  b->partial = numbers(2 * block);
}

static void bench_close(bench *b) {
  free(b->tiles), free(b->strips), free(b->query), free(b->out);
  free(b->zeros), free(b->scratch), free(b->partial);
}

/* A source of the block at `position`, the nearest tile first. */
static void walk(bench *b, const lsp_queries *q, int64_t position, int fixed,
                 lsp_attending *work, const lsp_partial *to) {
  int64_t first[LSP_BLOCK], end[LSP_BLOCK], lowest = INT64_MAX, most = 0;
  lsp_visit visit[LSP_BLOCK];
  for (int i = 0; i < LSP_BLOCK; i++) {
    const lsp_keys k = fixed ? lsp_view_fixed(&b->view, q->head, position + i)
                             : lsp_view_run(&b->view, q->head, position + i);
    first[i] = k.first - position, end[i] = k.end - position;
    lowest = lsp_min(lowest, k.first), most = lsp_max(most, k.end);
  }
  const lsp_seen seen = {first, end};
  const int shared = q->head / (q->heads.query / q->heads.shared);
  int64_t n = 0;
  for (int64_t t = lsp_divide_up(most, LSP_BLOCK) - 1; t >= lsp_block_of(lowest); t--)
    visit[n++] = (lsp_visit){.tile = b->tiles + t * lsp_tile_floats(b->heads) +
                                     shared * lsp_tile_head(b->heads),
                             .back = position / LSP_BLOCK - t};
  work->strip = -2;
  lsp_attend_empty(q, to);
  lsp_attend_walk(q, &seen, visit, n, work, to);
  b->visits += n;
}

static void attend(bench *b, int head, int64_t position) {
  float top[2][LSP_BLOCK], sum[2][LSP_BLOCK];
  const int width = b->heads.width, Ep = lsp_padded(width);
  const int64_t ld = (int64_t)b->heads.query * width;
  lsp_attending work;
  const lsp_queries q = {
      .kernels = &b->kernels,
      .heads = b->heads,
      .head = head,
      .normalize = b->view.normalize,
      .scale = 0.125f,
      .u = b->zeros,
      .v = b->zeros,
      .distances = {b->strip_count > 0 ? b->strips : NULL, b->strip_count, 0},
      .slope = b->it->position == LSP_POSITION_ALIBI ? 0.01f : 0,
      .rows = LSP_BLOCK,
      .query = b->query + (int64_t)head * width,
      .ld_query = ld};
  const lsp_partial p = {b->partial, Ep, top[0], sum[0]};
  const lsp_partial sinks = {b->partial + (int64_t)LSP_BLOCK * Ep, Ep, top[1], sum[1]};
  lsp_attend_begin(&q, b->scratch, &work);
  walk(b, &q, position, 0, &work, &p);
  if (b->view.fixed != NULL) {
    walk(b, &q, position, 1, &work, &sinks);
    b->kernels.softmax_merge(LSP_BLOCK, Ep, &p, &sinks);
  }
  lsp_attend_finish(&q, &p, (lsp_weight){.all = 1}, 0, b->out + (int64_t)head * width,
                    ld);
}

static double attention_rate(bench *b) {
  double pairs = 0;
  b->visits = 0;
  const double begin = now();
  for (int64_t panel = b->it->first; panel < b->it->end; panel += LSP_PANEL)
    for (int head = 0; head < b->heads.query; head++)
      for (int64_t at = panel; at < panel + LSP_PANEL; at += LSP_BLOCK)
        attend(b, head, at);
  const double seconds = now() - begin;
  for (int head = 0; head < b->heads.query; head++)
    pairs += lsp_view_pairs(&b->view, head, b->it->first, b->it->end);
  return 2.0 * (b->strip_count > 0 ? 3 : 2) * b->heads.width * pairs / seconds;
}

static int rising(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print_case(bench *b, float *room) {
  double share[REPEATS], pairs = 0;
  int64_t least = 0;
  (void)attention_rate(b);
  for (int i = 0; i < REPEATS; i++) {
    const double sgemm = sgemm_rate(room);
    share[i] = attention_rate(b) / sgemm;
  }
  qsort(share, REPEATS, sizeof *share, rising);
  for (int head = 0; head < b->heads.query; head++) {
    pairs += lsp_view_pairs(&b->view, head, b->it->first, b->it->end);
    for (int64_t at = b->it->first; at < b->it->end; at += LSP_BLOCK)
      least += lsp_view_tiles(&b->view, head, at, at + LSP_BLOCK, 0);
  }
  const double visits = (double)b->visits;
  printf("%-30s E %3d %-7s %6.3f %7.3f %7.3f\n", b->it->name, b->heads.width,
         b->kernels.name, share[REPEATS / 2], visits / (double)least,
         pairs / (visits * LSP_BLOCK * LSP_BLOCK));
}

int main(int argc, char **argv) {
  static const int width[] = {64, 128};
  lsp_failure why = {0};
  if (lsp_blas_open(NULL, &why) != LSP_OK) {
    (void)fprintf(stderr, "%s\n", why.text);
    return 1;
  }
  float *room = numbers(3 * CUBE * CUBE);
  print_blas_core();
  (void)sgemm_rate(room);
  printf("sgemm_gflops = %.1f\n", sgemm_rate(room) * 1e-9);
  printf("%-30s %-5s %-7s %6s %7s %7s\n", "pattern", "width", "set", "share", "visits",
         "useful");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    for (int w = 0; w < 2; w++)
      for (int isa = LSP_ISA_AVX2; isa <= (int)lsp_isa_here(); isa++) {
        bench b;
        if (argc > 1 && strstr(cases[i].name, argv[1]) == NULL)
          continue;
        bench_open(&b, &cases[i], width[w], (lsp_isa)isa);
        print_case(&b, room);
        bench_close(&b);
      }
  free(room);
  return 0;
}
