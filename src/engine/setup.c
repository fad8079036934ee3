/* From options to a run that can begin: kernels agreed, model in memory, buffers sized.
 */
#define XXH_INLINE_ALL
#include "engine_internal.h"
#include "segment_ids.h"
#include "states.h"

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
  const int64_t wanted = (int64_t)e->job.ctx->node_size * e->job.threads;
  if (e->job.threads > 1 && wanted > cores && getenv("OMP_WAIT_POLICY") == NULL)
    lsp_say(e->job.ctx,
            "longspan: %d ranks of %d threads on %ld cores: use fewer, or set "
            "OMP_WAIT_POLICY=passive",
            e->job.ctx->node_size, e->job.threads, cores);
}

/* A core that the user has set, perhaps without knowing: some systems set it for all
 * their users. isa: what every processor has. */
static void warn_if_slow_core(const lsp_run *e, int64_t isa) {
  const char *core = lsp_blas_core();
  if (getenv("OPENBLAS_CORETYPE") == NULL || e->job.ctx->quiet ||
      lsp_blas_core_isa(core) >= isa)
    return;
  lsp_say(e->job.ctx,
          "longspan: OPENBLAS_CORETYPE is set to %s: matrix products at half the speed "
          "of %s or less, which this processor could run; unset it",
          core, lsp_blas_core_for((int)isa));
}

/* Core of the BLAS library: the recorded one; the user's; the library's own choice
 * where all processors are of one kind; else what the weakest of them runs. */
static const char *agreed_core(lsp_run *e, const char *recorded) {
  char name[LSP_BLAS_NAME_SIZE];
  lsp_processor_name(name);
  const int alike = lsp_all_same(e->job.ctx, text_hash(name));
  if (recorded != NULL && recorded[0] != 0)
    return recorded;
  if (alike || getenv("OPENBLAS_CORETYPE") != NULL)
    return NULL;
  lsp_say(e->job.ctx, "longspan: processors differ; all ranks use the BLAS core %s",
          lsp_blas_core_for((int)e->job.isa));
  return lsp_blas_core_for((int)e->job.isa);
}

/* Without the products of the BLAS library it is but a yardstick, which a run under limits
 * can do without. */
static lsp_status open_yardstick(lsp_run *e) {
  lsp_failure *why = &e->job.ctx->why;
  e->job.yardstick = lsp_run_try_blas(e, NULL) == LSP_OK;
  memset(why, 0, sizeof *why);
  LSP_MPI(MPI_Allreduce(MPI_IN_PLACE, &e->job.yardstick, 1, MPI_INT, MPI_MIN,
                        e->job.ctx->comm));
  return e->job.yardstick ? lsp_agree(e->job.ctx, lsp_blas_open(NULL, why)) : LSP_OK;
}

lsp_status lsp_run_agree_kernels(lsp_run *e, const char *recorded_core) {
  int64_t isa[] = {lsp_isa_here(), lsp_min(lsp_isa_here(), e->job.options->isa)};
  LSP_MPI(MPI_Allreduce(MPI_IN_PLACE, isa, 2, MPI_INT64_T, MPI_MIN, e->job.ctx->comm));
  e->job.isa = (lsp_isa)isa[1];
  e->job.kernels = lsp_kernels_of(e->job.isa);
  e->job.threads = (int)(e->job.options->threads > 0 ? e->job.options->threads
                                                     : default_threads(e->job.ctx));
  LSP_TRY(lsp_run_try_threads(e));
  warn_if_crowded(e);
  if (e->job.options->gemm == LSP_GEMM_PACKED)
    return open_yardstick(e);
  const char *core = agreed_core(e, recorded_core);
  LSP_TRY(lsp_agree(e->job.ctx, lsp_run_try_blas(e, core)));
  LSP_TRY(lsp_agree(e->job.ctx, lsp_blas_open(core, &e->job.ctx->why)));
  if (!lsp_all_same(e->job.ctx, text_hash(lsp_blas_core())))
    return lsp_fail(&e->job.ctx->why, LSP_E_MISMATCH,
                    "the BLAS library chose different cores on different ranks (%s "
                    "here); set OPENBLAS_CORETYPE to one that all processors have",
                    lsp_blas_core());
  if (core == NULL)
    warn_if_slow_core(e, isa[0]);
  e->job.yardstick = 1;
  return LSP_OK;
}

/* FLOP/s of the products, all threads at once, a twentieth of a second. */
double lsp_run_gemm_rate(const lsp_run *e) {
  static const int64_t M = 256, N = 512, K = 512;
  double flops = 0;
  const double begin = MPI_Wtime();
  if (!e->job.yardstick)
    return 0;
#pragma omp parallel num_threads(e->job.threads) reduction(+ : flops)
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
  e->job.limit = lsp_memory_left("");
  if (slurm.bytes < e->job.limit.bytes)
    e->job.limit = slurm;
}

/* Do `bytes` of each rank of this node, and the node's copies, fit into its memory?
 * least: what a rank needs for the smallest wave. */
static lsp_status check_room(lsp_run *e, int64_t bytes, int64_t copy, int64_t least) {
  const double mib = 1 << 20, ranks = e->job.ctx->node_size;
  const double needed = ranks * (double)bytes + (double)copy;
  const double each = floor((e->job.limit.bytes - (double)copy) / ranks / mib);
  char advice[160] = "";
  if (needed <= e->job.limit.bytes)
    return LSP_OK;
  const double rings = 4.0 * (double)e->span.sizes.rings;
  const int in_files = e->span.sizes.scratch_bytes > 0;
  if (each * mib >= (double)least && e->job.options->wave_tokens > 0)
    (void)snprintf(advice, sizeof advice,
                   "give --memory %.0fM in place of --wave-tokens, or ", each);
  else if (!in_files && needed - ranks * rings <= e->job.limit.bytes)
    (void)snprintf(advice, sizeof advice,
                   "give --scratch DIR, which keeps %.0f MiB of each in files, or ",
                   rings / mib);
  else if (each * mib >= (double)least)
    (void)snprintf(advice, sizeof advice, "give --memory %.0fM, or ", each);
  return lsp_fail(&e->job.ctx->why, LSP_E_MEMORY,
                  "%d rank%s of a node need %.0f MiB (%.0f MiB each, and %.0f MiB of "
                  "weights), but %s has %.0f MiB left; %sstart fewer ranks a node",
                  e->job.ctx->node_size, e->job.ctx->node_size == 1 ? "" : "s",
                  needed / mib, (double)bytes / mib, (double)copy / mib,
                  e->job.limit.source, e->job.limit.bytes / mib, advice);
}

/* --- model ----------------------------------------------------------------------- */

/* The same description on every rank, from the text that rank 0 has read. */
static lsp_status describe(lsp_run *e) {
  lsp_ctx *ctx = e->job.ctx;
  const lsp_options *o = e->job.options;
  lsp_choices choices = {
      .mem_len = o->mem_len, .segment = o->segment, .mem_init = o->mem_init};
  char *text = NULL;
  lsp_status st = lsp_context_parse(o->context, &choices.context, &ctx->why);
  e->text.context = choices.context;
  if (st == LSP_OK)
    st = lsp_recall_parse(o->store, &choices.recall, &ctx->why);
  if (ctx->rank == 0 && st == LSP_OK)
    st = lsp_model_text(o->model, &text, &ctx->why);
  st = lsp_agree(ctx, st);
  int64_t bytes = text != NULL ? (int64_t)strlen(text) + 1 : 0;
  if (st == LSP_OK) {
    lsp_bcast(ctx->comm, &bytes, sizeof bytes);
    if (ctx->rank != 0)
      text = malloc((size_t)bytes);
    st = lsp_agree(ctx, text != NULL
                            ? LSP_OK
                            : lsp_fail(&ctx->why, LSP_E_MEMORY,
                                       "no memory for %lld bytes of config.json",
                                       (long long)bytes));
  }
  if (st == LSP_OK) {
    lsp_bcast(ctx->comm, text, (size_t)bytes);
    st = lsp_model_describe(o->model, text, &choices, &e->weights.model, &ctx->why);
    st = lsp_agree(ctx, st);
  }
  free(text);
  return st;
}

lsp_status lsp_run_open_model(lsp_run *e) {
  lsp_ctx *ctx = e->job.ctx;
  lsp_weights *w = &e->weights;
  LSP_TRY(describe(e));
  LSP_TRY(lsp_run_open_tokenizer(e));
  LSP_TRY(lsp_agree(ctx, lsp_prepare_open(w, &ctx->why)));
  LSP_TRY(lsp_agree(ctx, lsp_states_list(e)));
  e->span.layer = calloc((size_t)w->model.layers, sizeof *e->span.layer);
  LSP_TRY(lsp_agree(ctx, e->span.layer != NULL
                             ? LSP_OK
                             : lsp_fail(&ctx->why, LSP_E_MEMORY,
                                        "no memory for %d layers", w->model.layers)));
  /* Before tables are made: relative positions without end. */
  LSP_TRY(lsp_sizes_layers(&w->model, 0, ctx->size, e->span.layer, &ctx->why));
  const int64_t weights = lsp_model_floats(&w->model);
  const int64_t all = weights + lsp_sizes_prepared(&w->model);
  look_for_limits(e);
  LSP_TRY(lsp_agree(ctx, check_room(e, 0, (int64_t)sizeof(float) * all, INT64_MAX)));
  LSP_TRY(lsp_shared_open(ctx, all, &w->shared));
  lsp_model_place(&w->model, w->shared.floats);
  lsp_status st = LSP_OK;
  if (ctx->rank == 0)
    st = lsp_model_read(e->job.options->model, &w->model, w->shared.floats, w->hash,
                        &ctx->why);
  LSP_TRY(lsp_agree(ctx, st));
  lsp_bcast(ctx->comm, w->hash, sizeof w->hash);
  lsp_shared_spread(ctx, &w->shared, 0, weights);
  LSP_TRY(
      lsp_agree(ctx, lsp_pack_weights(&e->job, &w->model, w->shared.owner, &ctx->why)));
  lsp_prepare(&e->job, w, w->shared.floats + weights, w->shared.owner);
  lsp_shared_seal(ctx, &w->shared);
  return LSP_OK;
}

/* --- buffers --------------------------------------------------------------------- */

/* A buffer, and where its address goes. */
typedef struct {
  float **at;
  int64_t floats;
} buffer_room;

/* Their bytes; a NULL: these alone. */
static size_t deal(lsp_arena *a, const buffer_room *buffer, size_t n) {
  size_t bytes = 0;
  for (size_t i = 0; i < n; i++) {
    bytes += lsp_arena_size(buffer[i].floats);
    if (a != NULL)
      *buffer[i].at = lsp_arena_floats(a, buffer[i].floats);
  }
  return bytes;
}

/* Every buffer in the arena, with its address; a NULL: their bytes alone. */
static size_t deal_buffers(lsp_run *e, lsp_arena *a) {
  lsp_span *p = &e->span;
  const lsp_sizes *z = &p->sizes;
  float *id = NULL, *lead = NULL, *starts = NULL, *sums = NULL, *shares = NULL;
  float *choices = NULL, *states = NULL, *rings = NULL;
  const buffer_room buffer[] = {
      {&p->x, z->x},
      {&p->q, z->q},
      {&p->tiles, z->tiles},
      {&p->gates, z->gates},
      {&p->halo, z->halo},
      {&p->fixed, z->fixed},
      {&p->partials, z->partials},
      {&p->wrapped, z->wrapped},
      {&p->picked, z->picked},
      {&p->compressing, z->compressing},
      {&choices, z->choices},
      {&p->nearest, z->nearest},
      {&p->found, z->found},
      {&p->recalled, z->recalled},
      {&p->turned, z->turned},
      {&p->memory_rows, z->memory_rows},
      {&p->scratch, e->job.threads * z->scratch},
      {&p->nll, z->tokens},
      {&id, z->tokens},
      {&lead, z->lead},
      {&starts, z->starts},
      {&sums, z->sums},
      {&shares, z->shares},
      {&rings, z->scratch_bytes > 0 ? 0 : z->rings},
      {&e->kept.fixed, z->kept_fixed},
      {&p->strata, z->strata},
      {&e->kept.strata, z->strata_rings},
      {&e->kept.waiting, z->waiting},
      {&states, z->states},
      {&p->x_next, z->moved},
      {&p->q_next, z->moved},
      {&p->globals, z->globals},
      {&p->global_q, z->global_q},
      {&p->global_tiles, z->global_tiles},
      {&p->global_rows, z->global_rows},
      {&e->progress.start_hidden, e->weights.model.width},
      {&e->kept.opening, e->job.ctx->rank == 0 ? z->opening : 0},
      {&e->kept.strata_opening, e->job.ctx->rank == 0 ? z->strata_opening : 0}};
  const size_t bytes = deal(a, buffer, sizeof buffer / sizeof buffer[0]);
  if (z->scratch_bytes == 0)
    e->kept.rings = rings;
  p->id = (int32_t *)(void *)id;
  p->lead = (int32_t *)(void *)lead;
  p->choice = (int32_t *)(void *)choices;
  e->kept.state = (char *)states;
  p->start = z->starts > 0 ? (int64_t *)(void *)starts : NULL;
  p->panel_sum = (uint64_t *)(void *)sums;
  p->layer_sum = p->panel_sum == NULL ? NULL : p->panel_sum + z->span_rows / LSP_BLOCK;
  e->progress.share = (lsp_share *)(void *)shares;
  return bytes;
}

/* Collective. The waves of this run, and whether they fit. */
lsp_status lsp_run_size(lsp_run *e) {
  int threads = 0; /* of the rank that has most: all ranks choose alike */
  LSP_MPI(
      MPI_Allreduce(&e->job.threads, &threads, 1, MPI_INT, MPI_MAX, e->job.ctx->comm));
  const int64_t tables =
      e->text.list.count + e->text.tables.count + e->text.hash.table.count; /* floats */
  const lsp_request request = {.wave_tokens = e->job.options->wave_tokens,
                               .memory = e->job.options->memory,
                               .scratch = e->job.options->scratch != NULL,
                               .tables = tables * (int64_t)sizeof(float),
                               .ranks = e->job.ctx->size,
                               .threads = threads,
                               .longest = lsp_plan_longest(&e->text.plan),
                               .hidden_layers = e->job.write.layers,
                               .chosen_layers = e->job.write.chosen_layers,
                               .chosen_width = lsp_written_choices(e),
                               .starts = lsp_corpus_has_starts(e->text.corpus)};
  lsp_failure *why = &e->job.ctx->why;
  const lsp_sizing z = {&e->weights.model, e->span.layer, &e->text.plan, &request};
  LSP_TRY(lsp_agree(e->job.ctx,
                    lsp_sizes_positions(z.model, e->job.options->model,
                                        &e->text.context, request.longest, why)));
  LSP_TRY(
      lsp_sizes_layers(z.model, request.longest, request.ranks, e->span.layer, why));
  lsp_status st = lsp_sizes_choose(&z, &e->span.sizes, why);
  lsp_model_settle(&e->weights.model); /* after the sizes, which `plan` says without
                                          any weights */
  if (st == LSP_OK)
    st = check_room(e, lsp_sizes_rank(&e->span.sizes),
                    e->span.sizes.node *
                        (e->weights.shared.is_window ? 1 : e->job.ctx->node_size),
                    lsp_sizes_least(&z));
  if (st == LSP_OK)
    st = lsp_scratch_open(e, why);
  return lsp_agree(e->job.ctx, st);
}

lsp_status lsp_run_open_buffers(lsp_run *e) {
  lsp_failure *why = &e->job.ctx->why;
  const size_t blocks = (size_t)(e->span.sizes.span_rows / LSP_BLOCK);
  lsp_status st = lsp_arena_open(&e->span.arena, deal_buffers(e, NULL), why);
  if (st == LSP_OK)
    st = lsp_stages_open(e, why);
  e->span.wave.piece = calloc(blocks + 1, sizeof *e->span.wave.piece);
  e->span.wave.panel = calloc(blocks + 1, sizeof *e->span.wave.panel);
  if (e->job.ctx->rank == 0) {
    e->progress.all_shares =
        calloc((size_t)e->span.sizes.pieces, sizeof *e->progress.all_shares);
    e->progress.share_count =
        calloc(2 * (size_t)e->job.ctx->size, sizeof *e->progress.share_count);
  }
  const int lists =
      e->span.wave.piece != NULL && e->span.wave.panel != NULL &&
      (e->job.ctx->rank != 0 || (e->progress.all_shares && e->progress.share_count));
  if (st == LSP_OK && !lists)
    st = lsp_fail(why, LSP_E_MEMORY, "no memory for the panels of a wave");
  LSP_TRY(lsp_agree(e->job.ctx, st));
  (void)deal_buffers(e, &e->span.arena);
  LSP_TRY(lsp_exchange_open(e->job.ctx, &e->span.exchange));
  LSP_TRY(lsp_states_open(e));
  return lsp_picking_open(e);
}

void lsp_run_close(lsp_run *e) {
  lsp_picking_close(e);
  lsp_exchange_close(&e->span.exchange);
  lsp_states_close(e);
  lsp_segment_close(e);
  lsp_store_close(&e->progress.store);
  lsp_tokens_close(e);
  lsp_wave_lists_free(&e->span.wave);
  lsp_stages_close(e);
  lsp_arena_close(&e->span.arena);
  lsp_scratch_close(e);
  lsp_plan_close(&e->text.plan);
  lsp_corpus_close(&e->text.corpus);
  lsp_text_hash_close(&e->text.hash);
  lsp_model_close(&e->weights.model);
  lsp_prepare_close(&e->weights);
  lsp_shared_close(&e->weights.shared);
  lsp_shared_close(&e->text.tables);
  lsp_shared_close(&e->text.list);
  free(e->span.layer);
  free(e->text.stop);
  free(e->progress.all_shares);
  free(e->progress.share_count);
}
