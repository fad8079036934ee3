/* The forward pass end to end as a share of the sgemm rate in the same process on the
 * same threads:
 *
 *   forward_pass [MODEL] [TOKENS [D L W F THREADS]]    default transfo-xl 16384
 *                                                      512 12 512 2048 1
 *
 * MODEL is transfo-xl or one of the table below, whose F is 1408 by default, so that its
 * three matrices of the feed-forward are about as large as the two of F 2048; W is of
 * transfo-xl.
 * Under mpirun every rank runs; the exchange's wait is printed beside the imbalance of
 * the ranks' CPU time. Useful FLOPs only: none masked, padded or doubled. */
#include "blas_core.h"
#include "lsp/corpus.h"
#include "lsp/engine.h"
#include "lsp/json.h"
#include "lsp/kernels.h"
#include "random_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CUBE = 2048 };

/* Models of type longspan, by what their layers look at. */
static const struct {
  const char *name, *layers;
  int two_sided, gates;
} models[] = {
    {"rotary", "{\"branches\":[{\"type\":\"local\",\"window\":512}]}", 0, 0},
    {"two-sided", "{\"branches\":[{\"type\":\"local\",\"window\":256}]}", 1, 0},
    {"full", "{\"branches\":[{\"type\":\"full\"}]}", 0, 0},
    {"random",
     "{\"branches\":[{\"type\":\"local\",\"window\":128},{\"type\":\"random\","
     "\"blocks\":6,\"reach\":64,\"beyond\":2}]}",
     0, 0},
    {"chosen",
     "{\"branches\":[{\"type\":\"local\",\"window\":128},{\"type\":\"chosen\","
     "\"blocks\":6,\"reach\":64,\"beyond\":2}]}",
     0, 0},
    {"tenth", /* of the blocks of 8,192 tokens; beside "full" */
     "{\"branches\":[{\"type\":\"chosen\",\"blocks\":6,\"reach\":128}]}", 0, 0},
    {"levels",
     "{\"branches\":[{\"type\":\"levels\",\"window\":128,\"pool\":8,\"levels\":2}]}", 0,
     0},
    {"nsa",
     "{\"merge\":\"input_gate\",\"branches\":[{\"type\":\"compressed\",\"pool\":64},"
     "{\"type\":\"selected\",\"blocks\":8},{\"type\":\"local\",\"window\":256}]}",
     0, 3},
    {"compressive",
     "{\"merge\":\"sum\",\"branches\":[{\"type\":\"local\",\"window\":512},"
     "{\"type\":\"compressive\",\"segment\":256}]}",
     0, 0},
    {"compressive-delta",
     "{\"merge\":\"sum\",\"branches\":[{\"type\":\"local\",\"window\":512},"
     "{\"type\":\"compressive\",\"segment\":256,\"rule\":\"delta\"}]}",
     0, 0}};
enum { MODELS = sizeof models / sizeof models[0] };

typedef struct {
  double wall, cpu; /* FLOP/s: of all threads, of one second of CPU time */
} rates;

static double cpu_now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fill(float *a) {
  for (int64_t i = 0; a != NULL && i < 2 * CUBE * CUBE; i++)
    a[i] = (float)(i % 17) * 0.01f;
}

/* `threads` products of 2048 cubed at once; the best of three. */
static rates sgemm_rates(int threads) {
  rates best = {0, 0};
  const double flops = threads * 2.0 * CUBE * CUBE * CUBE;
  float **a = calloc((size_t)threads, sizeof *a);
  for (int i = 0; a != NULL && i < threads; i++) {
    a[i] = calloc((size_t)3 * CUBE * CUBE, sizeof **a);
    fill(a[i]);
  }
  for (int repeat = 0; a != NULL && repeat < 3; repeat++) {
    const double begin = MPI_Wtime(), cpu = cpu_now();
#pragma omp parallel for num_threads(threads)
    for (int i = 0; i < threads; i++)
      if (a[i] != NULL)
        lsp_gemm(CUBE, CUBE, CUBE, a[i], a[i] + CUBE * CUBE, a[i] + 2 * CUBE * CUBE);
    best.wall = fmax(best.wall, flops / (MPI_Wtime() - begin));
    best.cpu = fmax(best.cpu, flops / (cpu_now() - cpu));
  }
  for (int i = 0; a != NULL && i < threads; i++)
    free(a[i]);
  free(a);
  return best;
}

static int argument(int argc, char **argv, int i, int otherwise) {
  return argc > i ? atoi(argv[i]) : otherwise;
}

static int write_text(const char *path, int tokens) {
  FILE *f = fopen(path, "wb");
  for (int i = 0; f != NULL && i < tokens; i++)
    (void)fputc('a' + (i * 7 + i / 13) % 26, f);
  return f != NULL && fclose(f) == 0;
}

static double number(const json_t *o, const char *key, const char *part) {
  const json_t *v = json_object_get(o, key);
  return json_number_value(part != NULL ? json_object_get(v, part) : v);
}

static void print_figures(const char *path, rates sgemm, int ranks) {
  static const char *const compute[] = {"embed",          "project q, k, v",
                                        "attention",      "output and feed-forward",
                                        "wait for halos", "log-probabilities"};
  lsp_failure why = {0};
  json_t *o = NULL;
  if (lsp_json_read(path, 1 << 20, &o, &why) != LSP_OK) {
    (void)fprintf(stderr, "%s\n", why.text);
    return;
  }
  const json_t *seconds = json_object_get(o, "seconds");
  double wall = 0;
  for (size_t i = 0; i < sizeof compute / sizeof compute[0]; i++) {
    const double s = number(seconds, compute[i], "avg");
    wall += s;
    printf("seconds[%s] = %.3f\n", compute[i], s);
  }
  const double flops = number(o, "flops", NULL) / ranks;
  const double cpu = number(o, "cpu_seconds", "avg");
  const double cpu_most = number(o, "cpu_seconds", "max");
  const double cpu_least = number(o, "cpu_seconds", "min");
  const double wait = number(seconds, "wait for halos", "max");
  printf("sgemm_gflops = %.1f\n", sgemm.wall * 1e-9);
  printf("sgemm_gflops_cpu_time = %.1f\n", sgemm.cpu * 1e-9);
  printf("forward_gflops = %.1f\n", flops / wall * 1e-9);
  printf("forward_share_of_sgemm = %.3f\n", flops / wall / sgemm.wall);
  printf("forward_share_of_sgemm_cpu_time = %.3f\n", flops / cpu / sgemm.cpu);
  printf("exchange_wait_share = %.4f\n", wait / wall);
  printf("cpu_imbalance_share = %.4f\n", (cpu_most - cpu_least) / wall);
  printf("tokens_per_second = %.0f\n", number(o, "token_end", NULL) / wall);
  json_decref(o);
}

/* Options of a run that starts from nothing. */
static lsp_options options_of(const char *model, const char *output,
                              const char *const *inputs, int threads) {
  return (lsp_options){.model = model,
                       .output = output,
                       .write.parts = LSP_WRITE_ID | LSP_WRITE_NLL,
                       .segment = -1,
                       .mem_len = -1,
                       .input_format = LSP_INPUT_TEXT,
                       .snapshot_every = -1,
                       .wave_tokens = -1,
                       .memory = -1,
                       .max_time = -1,
                       .threads = threads,
                       .isa = LSP_ISA_COUNT,
                       .quiet = 1,
                       .inputs = inputs,
                       .input_count = 1};
}

int main(int argc, char **argv) {
  int model = -1; /* transfo-xl */
  if (argc > 1 && (argv[1][0] < '0' || argv[1][0] > '9')) {
    for (int i = 0; i < MODELS; i++)
      if (strcmp(argv[1], models[i].name) == 0)
        model = i;
    if (model < 0 && strcmp(argv[1], "transfo-xl") != 0) {
      (void)fprintf(stderr, "forward_pass: no model %s\n", argv[1]);
      return 2;
    }
    argc--, argv++;
  }
  const int tokens = argument(argc, argv, 1, 16384);
  const int d = argument(argc, argv, 2, 512);
  const random_model m = {.layers = model < 0 ? NULL : models[model].layers,
                          .two_sided = model >= 0 && models[model].two_sided,
                          .gates = model < 0 ? 0 : models[model].gates,
                          .d_model = d,
                          .n_head = d / 64,
                          .n_layer = argument(argc, argv, 3, 12),
                          .mem_len = argument(argc, argv, 4, 512),
                          .d_inner = argument(argc, argv, 5, model < 0 ? 2048 : 1408),
                          .tgt_len = 128,
                          .same_length = 1};
  const int threads = argument(argc, argv, 6, 1);
  char dir[] = "/tmp/longspan-bench-XXXXXX", text[64], output[64], report[64];
  int provided = 0;
  lsp_ctx ctx;
  LSP_MPI(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided));
  lsp_ctx_open(&ctx, MPI_COMM_WORLD);
  if (ctx.rank == 0 && mkdtemp(dir) == NULL)
    MPI_Abort(MPI_COMM_WORLD, 1);
  lsp_bcast(ctx.comm, dir, sizeof dir);
  (void)snprintf(text, sizeof text, "%s/text", dir);
  (void)snprintf(output, sizeof output, "%s/out.h5", dir);
  (void)snprintf(report, sizeof report, "%s/out.run.json", dir);
  if (ctx.rank == 0 && (!random_model_write(&m, dir) || !write_text(text, tokens)))
    MPI_Abort(MPI_COMM_WORLD, 1);
  LSP_MPI(MPI_Barrier(ctx.comm));
  const char *inputs[] = {text};
  const lsp_options o = options_of(dir, output, inputs, threads);
  const lsp_status st = lsp_engine_run(&ctx, &o);
  if (st != LSP_OK)
    (void)fprintf(stderr, "%s\n", ctx.why.text);
  const rates rate = sgemm_rates(threads);
  if (ctx.rank == 0 && st == LSP_OK) {
    print_blas_core();
    print_figures(report, rate, ctx.size);
  }
  if (ctx.rank == 0) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    (void)!system(command);
  }
  lsp_ctx_close(&ctx);
  LSP_MPI(MPI_Finalize());
  return st == LSP_OK ? 0 : 1;
}
