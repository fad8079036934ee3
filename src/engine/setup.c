/* From options to a run that can begin: kernels agreed, model in memory, buffers sized.
 */
#define XXH_INLINE_ALL
#include "engine_internal.h"

#include "lsp/durable.h"

#include <math.h>
#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* --- kernels -------------------------------------------------------------------------
 */

static int64_t text_hash(const char *text) {
  return (int64_t)(XXH3_64bits(text, strlen(text)) >> 2);
}

static int default_threads(const lsp_ctx *ctx) {
  const char *asked = getenv("OMP_NUM_THREADS");
  if (asked != NULL && atoi(asked) > 0)
    return atoi(asked);
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
    return 1;
  /* Unbound ranks see the whole node, and share it. */
  const int mine = CPU_COUNT(&cpus);
  const int whole = mine >= sysconf(_SC_NPROCESSORS_ONLN);
  return whole && mine > ctx->node_size ? mine / ctx->node_size : whole ? 1 : mine;
}

/* Idle threads of OpenMP spin, and take the time of those that work. */
static void warn_if_crowded(const lsp_run *e) {
  const long cores = sysconf(_SC_NPROCESSORS_ONLN);
  const int64_t wanted = (int64_t)e->ctx->node_size * e->threads;
  if (e->threads > 1 && wanted > cores && getenv("OMP_WAIT_POLICY") == NULL)
    lsp_say(e->ctx,
            "longspan: %d ranks of %d threads on %ld cores: use fewer, or set "
            "OMP_WAIT_POLICY=passive",
            e->ctx->node_size, e->threads, cores);
}

/* Core of the BLAS library: the recorded one; the user's; the library's own choice
 * where all processors are of one kind; else what the weakest of them runs. */
static const char *agreed_core(lsp_run *e, const char *recorded) {
  char name[LSP_BLAS_NAME_SIZE];
  lsp_processor_name(name);
  const int alike = lsp_all_same(e->ctx, text_hash(name));
  if (recorded != NULL && recorded[0] != 0)
    return recorded;
  if (alike || getenv("OPENBLAS_CORETYPE") != NULL)
    return NULL;
  lsp_say(e->ctx, "longspan: processors differ; all ranks use the BLAS core %s",
          lsp_blas_core_for(e->isa));
  return lsp_blas_core_for(e->isa);
}

lsp_status lsp_run_agree_kernels(lsp_run *e, const char *recorded_core) {
  int64_t isa = lsp_min(lsp_isa_here(), e->options->isa), weakest = 0;
  LSP_MPI(MPI_Allreduce(&isa, &weakest, 1, MPI_INT64_T, MPI_MIN, e->ctx->comm));
  e->isa = (lsp_isa)weakest;
  e->kernels = lsp_kernels_of(e->isa);
  e->threads =
      (int)(e->options->threads > 0 ? e->options->threads : default_threads(e->ctx));
  warn_if_crowded(e);
  const char *core = agreed_core(e, recorded_core);
  LSP_TRY(lsp_agree(e->ctx, lsp_blas_open(core, &e->ctx->why)));
  if (!lsp_all_same(e->ctx, text_hash(lsp_blas_core())))
    return lsp_fail(&e->ctx->why, LSP_E_MISMATCH,
                    "the BLAS library chose different cores on different ranks (%s "
                    "here); set OPENBLAS_CORETYPE to one that all processors have",
                    lsp_blas_core());
  return LSP_OK;
}

/* FLOP/s of the products, all threads at once, a twentieth of a second. */
double lsp_run_gemm_rate(const lsp_run *e) {
  static const int64_t M = 256, N = 512, K = 512;
  double flops = 0;
  const double begin = MPI_Wtime();
#pragma omp parallel num_threads(e->threads) reduction(+ : flops)
  {
    float *a = calloc((size_t)(M * K + N * K + M * N), sizeof *a);
    while (a != NULL && MPI_Wtime() - begin < 0.05) {
      lsp_gemm(M, N, K, a, a + M * K, a + M * K + N * K, 0);
      flops += 2.0 * (double)(M * N * K);
    }
    free(a);
  }
  return flops / (MPI_Wtime() - begin);
}

/* --- model ---------------------------------------------------------------------------
 */

/* The config with what the options change of it. */
static lsp_status apply_options(lsp_run *e) {
  lsp_txl_config *c = &e->config;
  const lsp_options *o = e->options;
  const int64_t trained = c->mem_len;
  if (o->mem_len >= 0)
    c->mem_len = o->mem_len;
  if (o->segment > 0)
    c->tgt_len = o->segment;
  else if (c->tgt_len == 0)
    c->tgt_len = trained > 0 ? trained : 128;
  if (c->same_length && c->mem_len == 0 && o->mem_len == 0)
    return lsp_fail(
        &e->ctx->why, LSP_E_USAGE,
        "--mem-len 0 with same_length masks every position; use a memory of "
        "at least 1");
  if (c->same_length && c->mem_len == 0)
    return lsp_fail(
        &e->ctx->why, LSP_E_FORMAT,
        "%s/config.json: key \"mem_len\" is 0, which with same_length masks "
        "every position; give --mem-len 1 or more",
        o->model);
  e->mem_zeros = o->mem_init != LSP_MEM_EMPTY;
  e->heads = (lsp_heads){c->n_head, c->d_head};
  e->plan.pattern = (lsp_pattern){.memory = c->mem_len,
                                  .segment = c->tgt_len,
                                  .same_length = c->same_length,
                                  .virtual_past = e->mem_zeros};
  e->reach = lsp_pattern_reach(&e->plan.pattern);
  e->strip_count = lsp_divide_up(e->reach, LSP_BLOCK) + 1;
  if (c->clamp_len > 0)
    e->strip_count = lsp_min(e->strip_count, c->clamp_len / LSP_BLOCK + 1);
  return LSP_OK;
}

lsp_status lsp_run_open_model(lsp_run *e) {
  lsp_ctx *ctx = e->ctx;
  lsp_status st = LSP_OK;
  if (ctx->rank == 0)
    st = lsp_txl_config_read(e->options->model, &e->config, &ctx->why);
  LSP_TRY(lsp_agree(ctx, st));
  lsp_bcast(ctx->comm, &e->config, sizeof e->config);
  LSP_TRY(apply_options(e));
  e->strips = calloc((size_t)e->config.n_layer, sizeof *e->strips);
  e->ghost = calloc((size_t)e->config.n_layer, sizeof *e->ghost);
  if (e->strips == NULL || e->ghost == NULL)
    st =
        lsp_fail(&ctx->why, LSP_E_MEMORY, "no memory for %d layers", e->config.n_layer);
  else
    st = lsp_txl_open(&e->config, NULL, &e->model, &ctx->why);
  LSP_TRY(lsp_agree(ctx, st));
  const int64_t weights = lsp_txl_floats(&e->config);
  LSP_TRY(lsp_shared_open(ctx, weights + lsp_prepared_floats(e), &e->shared));
  lsp_txl_close(&e->model);
  st = lsp_txl_open(&e->config, e->shared.floats, &e->model, &ctx->why);
  if (st == LSP_OK && ctx->rank == 0)
    st = lsp_txl_read(e->options->model, &e->config, e->shared.floats, e->model_hash,
                      &ctx->why);
  LSP_TRY(lsp_agree(ctx, st));
  lsp_bcast(ctx->comm, e->model_hash, sizeof e->model_hash);
  lsp_shared_spread(ctx, &e->shared, 0, weights);
  lsp_prepare(e, e->shared.floats + weights, e->shared.owner);
  lsp_shared_seal(ctx, &e->shared);
  return LSP_OK;
}

/* --- buffers -------------------------------------------------------------------------
 */

static double number_in(const char *path, const char *format) {
  char line[256];
  double value = -1;
  FILE *f = fopen(path, "r");
  while (f != NULL && fgets(line, sizeof line, f) != NULL)
    if (sscanf(line, format, &value) == 1)
      break;
  if (f != NULL)
    (void)fclose(f);
  return value;
}

/* Bytes that a rank may take: what the node has at hand and its control group allows,
 * over the ranks of the node; the smallest of all nodes. */
static double memory_at_hand(const lsp_ctx *ctx) {
  double bytes = 1024 * number_in("/proc/meminfo", "MemAvailable: %lf");
  const double limit = number_in("/sys/fs/cgroup/memory.max", "%lf");
  const double used = number_in("/sys/fs/cgroup/memory.current", "%lf");
  if (limit > 0 && used >= 0 && limit - used < bytes)
    bytes = limit - used;
  if (bytes <= 0)
    bytes = 1e9;
  bytes /= ctx->node_size;
  double least = 0;
  LSP_MPI(MPI_Allreduce(&bytes, &least, 1, MPI_DOUBLE, MPI_MIN, ctx->comm));
  return least;
}

static double bytes_per_row(const lsp_run *e) {
  const double A = (double)e->heads.heads * e->heads.width;
  return 4.0 *
         (e->config.d_model + A + (double)lsp_tile_floats(e->heads) / LSP_BLOCK + 8);
}

static double fixed_bytes(const lsp_run *e) {
  const double tile = 4.0 * (double)lsp_tile_floats(e->heads);
  const double A = (double)e->heads.heads * e->heads.width;
  double bytes = 4.0 * (double)e->scratch_floats * e->threads +
                 tile * (double)e->plan.reach_tiles + 8.0 * (double)e->reach * A;
  if (e->ctx->rank == 0)
    bytes += 2 * tile * (double)e->carry_tiles * e->config.n_layer;
  return bytes;
}

/* Rows of a wave: about 30 s of work, at least twice the reach a rank, within three
 * fifths of the memory at hand. */
static int64_t default_wave_rows(const lsp_run *e) {
  const lsp_pattern *p = &e->plan.pattern;
  const double pairs = (double)(p->memory + (p->same_length ? 0 : p->segment / 2));
  const double flops = lsp_txl_flops_per_token(&e->config) +
                       pairs * lsp_txl_flops_per_pair(&e->config) * e->config.n_layer;
  const double thirty = 30 * 0.7 * e->gemm_rate / flops;
  const double room =
      (0.6 * memory_at_hand(e->ctx) - fixed_bytes(e)) / bytes_per_row(e);
  const int64_t most = room > LSP_PANEL ? (int64_t)room - LSP_PANEL : LSP_PANEL;
  int64_t rows = (int64_t)(thirty / e->ctx->size);
  rows = lsp_max(rows, 2 * e->reach);
  rows = lsp_max(lsp_min(rows, most), LSP_PANEL);
  int64_t agreed = 0;
  LSP_MPI(MPI_Allreduce(&rows, &agreed, 1, MPI_INT64_T, MPI_MIN, e->ctx->comm));
  return agreed * e->ctx->size;
}

static int64_t scratch_floats(const lsp_run *e) {
  const lsp_txl_config *c = &e->config;
  const int64_t A = (int64_t)c->n_head * c->d_head, D = c->d_model;
  const int64_t project = LSP_PANEL * (3 * A + D);
  const int64_t feed = LSP_PANEL * (D + (int64_t)c->d_inner);
  const int64_t embed = LSP_PANEL * (D + (int64_t)c->d_embed);
  const int64_t tiles = 2 * (lsp_divide_up(e->reach, LSP_BLOCK) + 2);
  const int64_t attend = lsp_attend_scratch(e->heads) + tiles;
  const int64_t heads = lsp_heads_scratch(e) + (int64_t)LSP_PANEL * D;
  const int64_t most =
      lsp_max(lsp_max(lsp_max(project, feed), lsp_max(embed, attend)), heads);
  return lsp_divide_up(most, 16) * 16;
}

static size_t arena_bytes(const lsp_run *e) {
  const int64_t D = e->config.d_model, A = (int64_t)e->heads.heads * e->heads.width;
  const int64_t tile = lsp_tile_floats(e->heads), rows = e->span_rows;
  const int64_t blocks = lsp_divide_up(rows, LSP_BLOCK);
  size_t bytes =
      lsp_arena_size(rows * D) + lsp_arena_size(rows * A) +
      lsp_arena_size(blocks * tile) + lsp_arena_size(e->plan.reach_tiles * tile) +
      lsp_arena_size(2 * e->reach * A) +
      lsp_arena_size(e->threads * e->scratch_floats) + 2 * lsp_arena_size(rows + 1) +
      lsp_arena_size(2 * blocks) + lsp_arena_size(8 * blocks) + lsp_arena_size(D);
  if (e->ctx->rank == 0)
    bytes += 2 * lsp_arena_size(e->config.n_layer * e->carry_tiles * tile);
  return bytes;
}

static void deal_buffers(lsp_run *e) {
  const int64_t D = e->config.d_model, A = (int64_t)e->heads.heads * e->heads.width;
  const int64_t tile = lsp_tile_floats(e->heads), rows = e->span_rows;
  const int64_t blocks = lsp_divide_up(rows, LSP_BLOCK);
  lsp_arena *a = &e->arena;
  e->x = lsp_arena_floats(a, rows * D);
  e->q = lsp_arena_floats(a, rows * A);
  e->tiles = lsp_arena_floats(a, blocks * tile);
  e->halo = lsp_arena_floats(a, e->plan.reach_tiles * tile);
  e->memory_rows = lsp_arena_floats(a, 2 * e->reach * A);
  e->scratch = lsp_arena_floats(a, e->threads * e->scratch_floats);
  e->nll = lsp_arena_floats(a, rows + 1);
  e->id = (int32_t *)(void *)lsp_arena_floats(a, rows + 1);
  e->panel_sum = (uint64_t *)(void *)lsp_arena_floats(a, 2 * blocks);
  e->share = (lsp_share *)(void *)lsp_arena_floats(a, 8 * blocks);
  e->start_hidden = lsp_arena_floats(a, D);
  for (int i = 0; i < 2 && e->ctx->rank == 0; i++)
    e->carry[i] = lsp_arena_floats(a, e->config.n_layer * e->carry_tiles * tile);
}

lsp_status lsp_run_open_buffers(lsp_run *e) {
  lsp_failure *why = &e->ctx->why;
  const int64_t all = lsp_plan_rows_before(&e->plan, lsp_plan_panels(&e->plan));
  e->scratch_floats = scratch_floats(e);
  e->carry_tiles = e->plan.reach_tiles + LSP_PANEL / LSP_BLOCK;
  e->wave_rows =
      e->options->wave_tokens > 0 ? e->options->wave_tokens : default_wave_rows(e);
  e->wave_rows = lsp_max(lsp_min(e->wave_rows, all), LSP_PANEL);
  /* A span ends at the first panel border past its share. */
  e->span_rows = lsp_divide_up(e->wave_rows, e->ctx->size) + LSP_PANEL;
  e->span_rows =
      lsp_divide_up(lsp_min(e->span_rows, lsp_max(all, LSP_PANEL)), LSP_BLOCK) *
      LSP_BLOCK;
  const size_t blocks = (size_t)(e->span_rows / LSP_BLOCK);
  lsp_status st = lsp_arena_open(&e->arena, arena_bytes(e), why);
  e->wave.piece = calloc(blocks + 1, sizeof *e->wave.piece);
  e->wave.panel = calloc(blocks + 1, sizeof *e->wave.panel);
  if (e->ctx->rank == 0) { /* at most a document a panel, and two more a rank */
    const int64_t pieces = e->wave_rows / LSP_BLOCK + 2 * (int64_t)e->ctx->size;
    e->all_shares = calloc((size_t)pieces, sizeof *e->all_shares);
    e->share_count = calloc(2 * (size_t)e->ctx->size, sizeof *e->share_count);
  }
  const int lists = e->wave.piece != NULL && e->wave.panel != NULL &&
                    (e->ctx->rank != 0 || (e->all_shares && e->share_count));
  if (st == LSP_OK && !lists)
    st = lsp_fail(why, LSP_E_MEMORY, "no memory for the panels of a wave");
  LSP_TRY(lsp_agree(e->ctx, st));
  deal_buffers(e);
  return lsp_exchange_open(e->ctx, &e->exchange);
}

void lsp_run_close(lsp_run *e) {
  lsp_exchange_close(&e->exchange);
  lsp_store_close(&e->store);
  lsp_wave_lists_free(&e->wave);
  lsp_arena_close(&e->arena);
  lsp_plan_close(&e->plan);
  lsp_corpus_close(&e->corpus);
  lsp_txl_close(&e->model);
  lsp_shared_close(&e->shared);
  free(e->strips);
  free(e->ghost);
  free(e->stop);
  free(e->all_shares);
  free(e->share_count);
}
