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

/* --- kernels --------------------------------------------------------------------- */

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

/* A core that the user has set, perhaps without knowing: some systems set it for all
 * their users. isa: what every processor has. */
static void warn_if_slow_core(const lsp_run *e, int64_t isa) {
  const char *core = lsp_blas_core();
  if (getenv("OPENBLAS_CORETYPE") == NULL || e->ctx->quiet ||
      lsp_blas_core_isa(core) >= isa)
    return;
  lsp_say(e->ctx,
          "longspan: OPENBLAS_CORETYPE is set to %s: matrix products at half the speed "
          "of %s or less, which this processor could run; unset it",
          core, lsp_blas_core_for((int)isa));
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
          lsp_blas_core_for((int)e->isa));
  return lsp_blas_core_for((int)e->isa);
}

lsp_status lsp_run_agree_kernels(lsp_run *e, const char *recorded_core) {
  int64_t isa[] = {lsp_isa_here(), lsp_min(lsp_isa_here(), e->options->isa)};
  LSP_MPI(MPI_Allreduce(MPI_IN_PLACE, isa, 2, MPI_INT64_T, MPI_MIN, e->ctx->comm));
  e->isa = (lsp_isa)isa[1];
  e->kernels = lsp_kernels_of(e->isa);
  e->threads =
      (int)(e->options->threads > 0 ? e->options->threads : default_threads(e->ctx));
  LSP_TRY(lsp_run_try_threads(e));
  warn_if_crowded(e);
  const char *core = agreed_core(e, recorded_core);
  LSP_TRY(lsp_agree(e->ctx, lsp_run_try_blas(e, core)));
  LSP_TRY(lsp_agree(e->ctx, lsp_blas_open(core, &e->ctx->why)));
  if (!lsp_all_same(e->ctx, text_hash(lsp_blas_core())))
    return lsp_fail(&e->ctx->why, LSP_E_MISMATCH,
                    "the BLAS library chose different cores on different ranks (%s "
                    "here); set OPENBLAS_CORETYPE to one that all processors have",
                    lsp_blas_core());
  if (core == NULL)
    warn_if_slow_core(e, isa[0]);
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
      lsp_gemm(M, N, K, a, a + M * K, a + M * K + N * K);
      flops += 2.0 * (double)(M * N * K);
    }
    free(a);
  }
  return flops / (MPI_Wtime() - begin);
}

/* --- limits of memory ----------------------------------------------------------- */

static void look_for_limits(lsp_run *e) {
  const lsp_limit slurm =
      lsp_slurm_memory(getenv("SLURM_MEM_PER_NODE"), getenv("SLURM_MEM_PER_CPU"),
                       getenv("SLURM_CPUS_ON_NODE"));
  e->limit = lsp_memory_left("");
  if (slurm.bytes < e->limit.bytes)
    e->limit = slurm;
}

/* Do `bytes` of each rank of this node, and the node's copies, fit into its memory?
 * least: what a rank needs for the smallest wave. */
static lsp_status check_room(lsp_run *e, int64_t bytes, int64_t copy, int64_t least) {
  const double mib = 1 << 20, ranks = e->ctx->node_size;
  const double needed = ranks * (double)bytes + (double)copy;
  const double each = floor((e->limit.bytes - (double)copy) / ranks / mib);
  char advice[80] = "";
  if (needed <= e->limit.bytes)
    return LSP_OK;
  if (each * mib >= (double)least && e->options->wave_tokens > 0)
    (void)snprintf(advice, sizeof advice,
                   "give --memory %.0fM in place of --wave-tokens, or ", each);
  else if (each * mib >= (double)least)
    (void)snprintf(advice, sizeof advice, "give --memory %.0fM, or ", each);
  return lsp_fail(&e->ctx->why, LSP_E_MEMORY,
                  "%d rank%s of a node need %.0f MiB (%.0f MiB each, and %.0f MiB of "
                  "weights), but %s has %.0f MiB left; %sstart fewer ranks a node",
                  e->ctx->node_size, e->ctx->node_size == 1 ? "" : "s", needed / mib,
                  (double)bytes / mib, (double)copy / mib, e->limit.source,
                  e->limit.bytes / mib, advice);
}

/* --- model ----------------------------------------------------------------------- */

/* The config with what the options change of it. */
static lsp_status apply_options(lsp_run *e) {
  const lsp_options *o = e->options;
  LSP_TRY(lsp_sizes_apply(&e->config, o->mem_len, o->segment, &e->ctx->why));
  e->mem_zeros = o->mem_init != LSP_MEM_EMPTY;
  e->heads = lsp_sizes_heads(&e->config);
  e->plan.pattern = lsp_sizes_pattern(&e->config, e->mem_zeros);
  e->reach = lsp_pattern_reach(&e->plan.pattern);
  e->strip_count = lsp_sizes_strips(&e->config, &e->plan.pattern);
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
  const int64_t all = weights + lsp_sizes_prepared(&e->config, &e->plan.pattern);
  look_for_limits(e);
  LSP_TRY(lsp_agree(ctx, check_room(e, 0, (int64_t)sizeof(float) * all, INT64_MAX)));
  LSP_TRY(lsp_shared_open(ctx, all, &e->shared));
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

/* --- buffers --------------------------------------------------------------------- */

/* Every buffer in the arena, with its address; room 0: their bytes alone. */
static size_t deal_buffers(lsp_run *e, lsp_arena *a) {
  const lsp_sizes *z = &e->sizes;
  float *id = NULL, *sums = NULL, *shares = NULL;
  const struct {
    float **at;
    int64_t floats;
  } buffer[] = {{&e->x, z->x},
                {&e->q, z->q},
                {&e->tiles, z->tiles},
                {&e->halo, z->halo},
                {&e->memory_rows, z->memory_rows},
                {&e->scratch, e->threads * z->scratch},
                {&e->nll, z->tokens},
                {&id, z->tokens},
                {&sums, z->sums},
                {&shares, z->shares},
                {&e->start_hidden, e->config.d_model},
                {&e->carry[0], e->ctx->rank == 0 ? z->carry : 0},
                {&e->carry[1], e->ctx->rank == 0 ? z->carry : 0}};
  size_t bytes = 0;
  for (size_t i = 0; i < sizeof buffer / sizeof buffer[0]; i++) {
    bytes += lsp_arena_size(buffer[i].floats);
    if (a != NULL)
      *buffer[i].at = lsp_arena_floats(a, buffer[i].floats);
  }
  e->id = (int32_t *)(void *)id;
  e->panel_sum = (uint64_t *)(void *)sums;
  e->share = (lsp_share *)(void *)shares;
  return bytes;
}

/* Collective. The waves of this run, and whether they fit. */
lsp_status lsp_run_size(lsp_run *e) {
  int threads = 0; /* of the rank that has most: all ranks choose alike */
  LSP_MPI(MPI_Allreduce(&e->threads, &threads, 1, MPI_INT, MPI_MAX, e->ctx->comm));
  const int64_t tables =
      e->list.count + e->tables.count + e->text.table.count; /* floats */
  const lsp_request request = {.wave_tokens = e->options->wave_tokens,
                               .memory = e->options->memory,
                               .tables = tables * (int64_t)sizeof(float),
                               .ranks = e->ctx->size,
                               .threads = threads};
  lsp_failure *why = &e->ctx->why;
  lsp_status st = lsp_sizes_choose(&e->config, &e->plan, &request, &e->sizes, why);
  if (st == LSP_OK)
    st = check_room(e, lsp_sizes_rank(&e->sizes),
                    e->sizes.node * (e->shared.is_window ? 1 : e->ctx->node_size),
                    lsp_sizes_least(&e->config, &e->plan, &request));
  return lsp_agree(e->ctx, st);
}

lsp_status lsp_run_open_buffers(lsp_run *e) {
  lsp_failure *why = &e->ctx->why;
  const size_t blocks = (size_t)(e->sizes.span_rows / LSP_BLOCK);
  lsp_status st = lsp_arena_open(&e->arena, deal_buffers(e, NULL), why);
  e->wave.piece = calloc(blocks + 1, sizeof *e->wave.piece);
  e->wave.panel = calloc(blocks + 1, sizeof *e->wave.panel);
  if (e->ctx->rank == 0) {
    e->all_shares = calloc((size_t)e->sizes.pieces, sizeof *e->all_shares);
    e->share_count = calloc(2 * (size_t)e->ctx->size, sizeof *e->share_count);
  }
  const int lists = e->wave.piece != NULL && e->wave.panel != NULL &&
                    (e->ctx->rank != 0 || (e->all_shares && e->share_count));
  if (st == LSP_OK && !lists)
    st = lsp_fail(why, LSP_E_MEMORY, "no memory for the panels of a wave");
  LSP_TRY(lsp_agree(e->ctx, st));
  (void)deal_buffers(e, &e->arena);
  return lsp_exchange_open(e->ctx, &e->exchange);
}

void lsp_run_close(lsp_run *e) {
  lsp_exchange_close(&e->exchange);
  lsp_store_close(&e->store);
  lsp_wave_lists_free(&e->wave);
  lsp_arena_close(&e->arena);
  lsp_plan_close(&e->plan);
  lsp_corpus_close(&e->corpus);
  lsp_text_hash_close(&e->text);
  lsp_txl_close(&e->model);
  lsp_shared_close(&e->shared);
  lsp_shared_close(&e->tables);
  lsp_shared_close(&e->list);
  free(e->strips);
  free(e->ghost);
  free(e->stop);
  free(e->all_shares);
  free(e->share_count);
}
