/* The wave loop.
 *
 *   open   kernels agreed, model, corpus, store (new, or where an earlier run stopped)
 *   wave   tokens -> embed -> layers -> log-probabilities -> store -> commit
 *   end    check, rename, table
 *
 * A rank that fails inside a wave keeps its schedule; failures come out where the ranks
 * agree: after reading, and at the commit. */
#include "engine_internal.h"
#include "layers_done.h"
#include "segment_ids.h"
#include "states.h"
#include "wrapped.h"

#include "lsp/durable.h"
#include "lsp/stop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- one wave -------------------------------------------------------------------- */

/* Tokens of document d, from one of the corpus on. */
static lsp_status read_ids(lsp_run *e, int64_t d, int64_t token, int64_t n,
                           int32_t *id) {
  return n == 0 ? LSP_OK
                : lsp_corpus_read(e->text.corpus, d,
                                  token - lsp_plan_document_start(&e->text.plan, d), n,
                                  e->weights.model.words.size, id, &e->job.ctx->why);
}

/* Tokens [token, end) that are read again; those before the corpus come from a snapshot. */
static lsp_status read_lead(lsp_run *e, int64_t d, int64_t token, int64_t end,
                            int32_t *id) {
  const int64_t before = lsp_min(lsp_max(0, -token), end - token);
  LSP_ASSERT(before <= e->text.befores && (before == 0 || -token <= e->text.befores));
  if (before > 0)
    memcpy(id, e->text.before + e->text.befores + token, (size_t)before * sizeof *id);
  return read_ids(e, d, token + before, end - token - before, id + before);
}

/* Of a piece: the rows of its lead, its own tokens, and the one that its last token
 * predicts. */
static lsp_status read_piece(lsp_run *e, const lsp_piece *p) {
  const lsp_plan *plan = &e->text.plan;
  const int64_t d = lsp_plan_document_of(plan, p->frame);
  const int64_t origin = lsp_plan_origin(plan, p->frame);
  const int64_t end = lsp_plan_tokens_end(plan, p->frame);
  const int64_t next =
      p->end >= origin && p->tokens_end < end + lsp_plan_links(plan, p->frame);
  const int64_t first = lsp_max(p->first, origin - lsp_plan_lead(plan, p->frame));
  if (first < p->origin)
    LSP_TRY(read_lead(e, d, lsp_plan_token(plan, p->frame, first),
                      lsp_plan_token(plan, p->frame, p->origin),
                      e->span.lead + p->row + first - p->start));
  return read_ids(e, d, p->token, p->tokens_end - p->origin + next,
                  e->span.id + (p->token - e->span.wave.token_first));
}

static lsp_status read_tokens(lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  const double begin = MPI_Wtime();
  for (int64_t i = 0; i < w->pieces; i++)
    LSP_TRY(read_piece(e, &w->piece[i]));
  LSP_TRY(lsp_written_starts(e));
  e->job.clock.seconds[LSP_PHASE_READ] += MPI_Wtime() - begin;
  return LSP_OK;
}

static void count_flops(lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  const lsp_model *m = &e->weights.model;
  double flops = (double)(w->token_end - w->token_first) * lsp_model_flops_per_token(m);
  for (int64_t i = 0; i < w->pieces; i++) {
    const lsp_piece *p = &w->piece[i];
    if (m->wrapper.kind != LSP_WRAP_NONE)
      flops += (double)(p->end - p->first - (p->tokens_end - p->origin)) *
               lsp_model_flops_of_layers(m);
    else if (lsp_plan_lead(&e->text.plan, p->frame) > 0)
      flops += (double)(p->origin - lsp_max(p->first, m->prefixes)) *
               lsp_model_flops_of_layers(m);
    flops += lsp_model_flops_of_pairs(m, p->first, p->end);
  }
  e->job.clock.flops += flops;
}

static double cpu_seconds(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What a layer of this wave sent. */
static void count_sent(lsp_run *e, lsp_traffic before) {
  const lsp_traffic now = lsp_run_traffic(e);
  lsp_sent *most = &e->job.clock.sent;
  most->messages = lsp_max(most->messages, now.messages - before.messages);
  most->bytes = lsp_max(most->bytes, now.bytes - before.bytes);
}

/* Within a wave of whole documents. */
static lsp_status stopped_after(lsp_run *e, int layers) {
  return lsp_fail(&e->job.ctx->why, LSP_E_STOPPED,
                  "stopped %s after %lld of %lld tokens and %d of the %d layers of the "
                  "next ones, all committed; to resume, run the same command with "
                  "--resume",
                  lsp_stop_asked() ? "on request" : "for --max-time",
                  (long long)e->progress.commit.token_end,
                  (long long)lsp_plan_tokens(&e->text.plan), layers,
                  e->weights.model.layers);
}

/* A layer and what is written before and after it. */
static void compute_layer(lsp_run *e, int layer) {
  lsp_written_layer(e, layer);
  lsp_snapshot_before(e, layer);
  if (e->weights.model.wrapper.kind == LSP_WRAP_ASSOCIATIVE)
    lsp_wrapped_layer(e, layer);
  else
    lsp_forward_layer(e, layer);
  lsp_written_chosen(e, layer);
  lsp_snapshot_layer(e, layer);
}

static lsp_status compute_each_layer(lsp_run *e, int done) {
  for (int layer = done; layer < e->weights.model.layers; layer++) {
    const double start = MPI_Wtime();
    lsp_beat_phase("layer", layer);
    const lsp_traffic before = lsp_run_traffic(e);
    compute_layer(e, layer);
    count_sent(e, before);
    LSP_TRY(lsp_layers_commit(e, layer));
    lsp_report_progress(e, layer, 0);
    if (e->progress.layers.fd >= 0 && layer + 1 < e->weights.model.layers &&
        lsp_pace_ends(e, MPI_Wtime() - start))
      return stopped_after(e, layer + 1);
  }
  return LSP_OK;
}

/* Of a model whose frames pass all layers one by one. */
static void compute_frames(lsp_run *e) {
  const lsp_traffic before = lsp_run_traffic(e);
  lsp_beat_phase("layers", -1);
  lsp_wrapped_layers(e);
  count_sent(e, before);
}

static lsp_status compute_layers(lsp_run *e) {
  const double cpu = cpu_seconds(), begin = MPI_Wtime();
  if (!e->weights.model.two_sided || /* there some may wait for their turn */
      lsp_sizes_whole(&e->weights.model))
    e->span.lowest.token = INT64_MAX;
  const int done = lsp_layers_load(e);
  if (done == 0 && !lsp_wrapped_through(&e->weights.model))
    lsp_forward_embed(e);
  e->job.clock.seconds[LSP_PHASE_EMBED] += MPI_Wtime() - begin;
  lsp_written_begin(e);
  if (lsp_wrapped_through(&e->weights.model))
    compute_frames(e);
  else
    LSP_TRY(compute_each_layer(e, done));
  lsp_written_spread(e);
  e->job.clock.cpu += cpu_seconds() - cpu;
  return LSP_OK;
}

/* The row that predicts the run's first token, where that was in another run. */
static int64_t start_row(const lsp_run *e) {
  const lsp_framing *c = &e->text.plan.framing;
  return c->whole ? c->prefix + c->stride - 1 : e->text.start_position - 1;
}

/* 1: the run's first token is predicted by a row of the run before: of linked frames by the
 * last token of a frame, but where that is read again. */
static int predicted_before(const lsp_run *e) {
  const lsp_framing *c = &e->text.plan.framing;
  return !c->whole || (c->linked && lsp_plan_lead(&e->text.plan, 0) == 0);
}

static void predict(lsp_run *e) {
  const double cpu = cpu_seconds(), begin = MPI_Wtime();
  lsp_beat_phase("log-probabilities", -1);
  lsp_logprobs_span(e);
  if (e->progress.has_start_hidden && e->span.wave.pieces > 0 &&
      e->span.wave.token_first == 0)
    e->span.nll[0] =
        lsp_logprobs_one(e, e->progress.start_hidden, start_row(e), e->span.id[0]);
  e->job.clock.seconds[LSP_PHASE_HEAD] += MPI_Wtime() - begin;
  e->job.clock.cpu += cpu_seconds() - cpu;
  count_flops(e);
}

/* Results of the wave, or of the panels that are ready with it. */
static lsp_status finish_wave(lsp_run *e) {
  predict(e);
  lsp_beat_phase("writing", -1);
  lsp_states_settle(e);
  const double level = MPI_Wtime(); /* what follows waits for all: told apart here */
  LSP_TRY(lsp_finite_agree(e));
  e->job.clock.seconds[LSP_PHASE_LEVEL] += MPI_Wtime() - level;
  lsp_snapshot_ends(e);
  lsp_segment_commit(e);
  lsp_results_write(e);
  lsp_commit next = e->progress.commit;
  next.panel_end = e->span.wave.range.end;
  next.token_end = lsp_plan_tokens_before(&e->text.plan, next.panel_end);
  LSP_TRY(lsp_results_documents(e, &next));
  const double begin = MPI_Wtime();
  lsp_beat_phase("committing", -1);
  lsp_snapshot_commit(e, &next);
  LSP_TRY(lsp_store_commit(e->progress.store, &next));
  e->job.clock.seconds[LSP_PHASE_COMMIT] += MPI_Wtime() - begin;
  e->progress.commit = next;
  return LSP_OK;
}

/* What may fail before the first layer. */
static lsp_status prepare_wave(lsp_run *e) {
  LSP_TRY(lsp_scratch_reserve(e, e->span.wave.next.end, &e->job.ctx->why));
  return read_tokens(e);
}

static lsp_status run_wave(lsp_run *e, int64_t rows) {
  lsp_beat_phase("reading tokens", -1);
  if (e->weights.model.two_sided)
    lsp_stages_wave(e, lsp_layers_rows(e, rows));
  else
    lsp_wave_open(e, e->progress.commit.panel_end, rows);
  LSP_TRY(lsp_agree(e->job.ctx, prepare_wave(e)));
  LSP_TRY(compute_layers(e));
  if (!e->weights.model.two_sided)
    return finish_wave(e);
  if (e->span.wave.range.first == e->span.wave.range.end)
    return LSP_OK; /* all still waits for what is ahead of it */
  LSP_TRY(lsp_agree(e->job.ctx, read_tokens(e)));
  return finish_wave(e);
}

static lsp_status run_waves(lsp_run *e) {
  const int64_t panels = lsp_plan_panels(&e->text.plan);
  while (e->progress.commit.panel_end < panels) {
    const int64_t rows = lsp_pace_rows(e);
    if (rows == 0)
      return lsp_pace_stopped(e);
    const double begin = MPI_Wtime();
    LSP_TRY(run_wave(e, rows));
    lsp_pace_note(e, MPI_Wtime() - begin);
    lsp_report_progress(e, -1, 1);
  }
  return LSP_OK;
}

/* --- the run --------------------------------------------------------------------- */

/* The watchdog. Where ranks are on several hosts it needs a file beside the output, so
 * the output is opened first: who does not own it may leave nothing there. */
static lsp_status open_watch(lsp_run *e, int output_is_open) {
  char path[4096];
  const int one_host = e->job.ctx->node_size == e->job.ctx->size;
  LSP_TRY(lsp_store_beside(e->job.options->output, ".h5.alive", path, sizeof path,
                           &e->job.ctx->why));
  if (output_is_open && e->job.ctx->rank == 0)
    lsp_watch_forget(path);
  if (output_is_open == one_host)
    return LSP_OK;
  return lsp_watch_open(e->job.ctx, path, e->job.options->watchdog, &e->job.watch);
}

/* A corpus without tokens has documents all the same. */
static lsp_status write_empty_documents(lsp_run *e) {
  if (lsp_plan_panels(&e->text.plan) > 0 || e->text.plan.documents == 0)
    return LSP_OK;
  memset(&e->span.wave.range, 0, sizeof e->span.wave.range);
  e->span.wave.pieces = 0;
  lsp_commit next = e->progress.commit;
  LSP_TRY(lsp_results_documents(e, &next));
  return lsp_store_commit(e->progress.store, &next);
}

/* Memory before the first token of this run. */
static lsp_status load_memory(lsp_run *e, lsp_store_state state,
                              const lsp_file_view *from) {
  const lsp_commit *c = &e->progress.commit;
  const char *path = e->job.options->from_snapshot;
  if (state == LSP_STORE_RESUMED && c->panel_end > 0) {
    if (c->memory_rows > 0 || c->fixed_rows > 0)
      LSP_TRY(lsp_snapshot_load(e, NULL));
    return lsp_states_load(e, NULL);
  }
  if (path == NULL || e->text.plan.frames == 0 ||
      lsp_plan_tokens_of(&e->text.plan, 0) == 0)
    return LSP_OK; /* no token continues it */
  const lsp_extent *x = &from->extent[LSP_SNAPSHOT_HIDDEN];
  LSP_TRY(lsp_read_at(from->fd, path, e->progress.start_hidden, x->row_bytes,
                      x->offset + (from->memory.snapshots - 1) * x->row_bytes,
                      &e->job.ctx->why));
  e->progress.has_start_hidden = predicted_before(e);
  LSP_TRY(lsp_snapshot_load(e, from));
  return lsp_states_load(e, from);
}

static void find_next_document(lsp_run *e) {
  const lsp_commit *c = &e->progress.commit;
  e->progress.next_document =
      c->panel_end > 0 ? lsp_plan_documents_before(&e->text.plan, c->token_end) : 0;
}

static lsp_status compute_all(lsp_run *e, lsp_store_state state, lsp_file_view *from) {
  const double rate = lsp_run_gemm_rate(e);
  LSP_MPI(MPI_Allreduce(&rate, &e->job.gemm_rate, 1, MPI_DOUBLE, MPI_SUM,
                        e->job.ctx->comm));
  LSP_TRY(lsp_run_open_buffers(e));
  LSP_TRY(lsp_segment_load(e, from));
  LSP_TRY(lsp_agree(e->job.ctx, load_memory(e, state, from)));
  find_next_document(e);
  e->progress.first_token = e->progress.commit.token_end;
  e->span.lowest.token = INT64_MAX;
  lsp_stages_begin(e);
  LSP_TRY(lsp_layers_open(e, state));
  const lsp_status st = run_waves(e);
  if (st != LSP_OK) {
    if (st == LSP_E_STOPPED)
      lsp_report_end(e, "stopped", 1);
    return st;
  }
  LSP_TRY(write_empty_documents(e));
  /* Before the output has its name: a finished one is never without its facts. */
  lsp_beat_phase("finishing the output", -1);
  lsp_report_end(e, "finishing", 0);
  const double begin = MPI_Wtime();
  LSP_TRY(lsp_store_finish(e->progress.store));
  lsp_layers_close(e, 1);
  LSP_TRY(lsp_agree(e->job.ctx, lsp_inputs_done(e)));
  e->job.clock.seconds[LSP_PHASE_COMMIT] += MPI_Wtime() - begin;
  lsp_report_end(e, "done", 1);
  return LSP_OK;
}

/* Collective. late: once it is known that a log which was there is no input. */
static lsp_status open_log(const lsp_run *e, int late) {
  const char *path = e->job.options->log;
  lsp_ctx *ctx = e->job.ctx;
  lsp_status st = LSP_OK;
  if (ctx->rank == 0 && path != NULL && ctx->log == NULL &&
      (late || lsp_claims_log_is_known(e->job.options))) {
    ctx->log = fopen(path, "a");
    if (ctx->log == NULL)
      st = lsp_fail(&ctx->why, LSP_E_IO,
                    "%s: the log cannot be opened: %s; check the folder and its "
                    "permissions, or name another --log",
                    path, strerror(errno));
  }
  return lsp_agree(ctx, st);
}

/* Text and output: what there is to do. */
static lsp_status open_work(lsp_run *e, const char *from_hash, lsp_store_state *state) {
  lsp_beat_phase("reading the input", -1);
  LSP_TRY(lsp_run_open_corpus(e));
  LSP_TRY(open_log(e, 1));
  LSP_TRY(lsp_run_size(e));
  lsp_beat_phase("opening the output", -1);
  return lsp_run_open_store(e, from_hash, state);
}

static lsp_status run(lsp_run *e, lsp_file_view *from) {
  char core[LSP_BLAS_NAME_SIZE], from_hash[33];
  lsp_store_state state = LSP_STORE_NEW;
  const lsp_status watched = open_watch(e, 0);
  lsp_watch_up();
  LSP_TRY(watched);
  lsp_recorded_core(e, core);
  LSP_TRY(lsp_run_agree_kernels(e, core));
  lsp_beat_phase("reading the model", -1);
  LSP_TRY(lsp_run_open_model(e));
  LSP_TRY(lsp_written_open(e));
  LSP_TRY(lsp_snapshot_open(e, from, from_hash));
  const lsp_status st = open_work(e, from_hash, &state);
  if (st != LSP_OK) {
    lsp_inputs_forget(e);
    return st;
  }
  if (state == LSP_STORE_FINISHED) {
    lsp_say(e->job.ctx, "longspan: %s is finished already", e->job.options->output);
    if (e->job.ctx->rank == 0)
      lsp_report_finished(e);
    lsp_layers_forget(e);
    return lsp_agree(e->job.ctx, lsp_inputs_done(e));
  }
  LSP_TRY(open_watch(e, 1));
  return compute_all(e, state, from);
}

lsp_status lsp_engine_run(lsp_ctx *ctx, const lsp_options *options) {
  lsp_run e;
  lsp_file_view from;
  memset(&e, 0, sizeof e);
  memset(&from, 0, sizeof from);
  from.fd = -1;
  e.job.ctx = ctx;
  e.job.options = options;
  ctx->quiet = options->quiet != 0;
  lsp_status st = lsp_claims_check(&e);
  if (st == LSP_OK)
    st = open_log(&e, 0);
  if (st == LSP_OK)
    st = run(&e, &from);
  if (from.fd >= 0)
    lsp_file_close(&from);
  lsp_watch_close(&e.job.watch);
  lsp_layers_close(&e, 0);
  lsp_run_close(&e);
  return st;
}
