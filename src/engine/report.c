/* What a run says: a progress line, the timing table that HPC users know, and
 * FILE.run.json, which holds what differs between runs and so must not be in the HDF5.
 */
#include "engine_internal.h"
#include "states.h"

#include "lsp/durable.h"
#include "lsp/json.h"
#include "lsp/text.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* --- progress -------------------------------------------------------------------- */

static void print_duration(double seconds, char out[32]) {
  const long s = seconds > 0 && seconds < 1e9 ? (long)(seconds + 0.5) : 0;
  (void)snprintf(out, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

static void print_line(const lsp_run *e, double done, int on_terminal) {
  char left[32];
  const double all = (double)lsp_plan_tokens(&e->text.plan);
  const double passed = MPI_Wtime() - e->job.ctx->started;
  const double rate = (done - (double)e->progress.first_token) / passed;
  const double nats = lsp_nats_value(
      lsp_nats_of(e->progress.commit.corpus_low, e->progress.commit.corpus_high));
  char bits[64] = "";
  if (e->progress.commit.corpus_not_finite > 0)
    (void)snprintf(bits, sizeof bits, ", %lld results not finite",
                   (long long)e->progress.commit.corpus_not_finite);
  else if (e->progress.commit.corpus_count > 0)
    (void)snprintf(bits, sizeof bits, ", %.4f bits a %s",
                   nats / log(2.0) / (double)e->progress.commit.corpus_count,
                   e->weights.model.bytes_tokenizer ? "byte" : "token");
  print_duration(rate > 0 ? (all - done) / rate : 0, left);
  (void)fprintf(stderr, "%s%.0f of %.0f tokens (%.1f %%), %.0f tokens/s%s, %s left%s",
                on_terminal ? "\r\033[K" : "", done, all,
                all > 0 ? 100 * done / all : 100, rate > 0 ? rate : 0, bits, left,
                on_terminal ? "" : "\n");
  if (on_terminal && done >= all)
    (void)fputc('\n', stderr);
}

/* layer -1: between waves. On a terminal twice a second, in a log every half minute. */
void lsp_report_progress(lsp_run *e, int layer, int force) {
  if (e->job.ctx->rank != 0 || e->job.ctx->quiet)
    return;
  const int on_terminal = isatty(STDERR_FILENO);
  const double now = MPI_Wtime();
  const int last = lsp_plan_panels(&e->text.plan) == e->progress.commit.panel_end;
  if (now - e->job.last_progress < (on_terminal ? 0.5 : 30) && !(force && last))
    return;
  e->job.last_progress = now;
  double done = (double)e->progress.commit.token_end;
  if (layer >= 0) {
    const double wave =
        (double)(lsp_plan_tokens_before(&e->text.plan, e->span.wave.range.end) -
                 e->progress.commit.token_end);
    done += wave * (layer + 1) / (e->weights.model.layers + 1);
  }
  print_line(e, done, on_terminal);
}

/* --- numbers of all ranks -------------------------------------------------------- */

typedef struct {
  double least, sum, most;
} spread;

static spread spread_of(const lsp_ctx *ctx, double value) {
  spread s;
  LSP_MPI(MPI_Allreduce(&value, &s.least, 1, MPI_DOUBLE, MPI_MIN, ctx->comm));
  LSP_MPI(MPI_Allreduce(&value, &s.sum, 1, MPI_DOUBLE, MPI_SUM, ctx->comm));
  LSP_MPI(MPI_Allreduce(&value, &s.most, 1, MPI_DOUBLE, MPI_MAX, ctx->comm));
  return s;
}

typedef struct {
  spread phase[LSP_PHASES];
  spread wall, cpu, flops, messages, bytes, written, peak;
  spread compute;                     /* seconds */
  spread layer_messages, layer_bytes; /* in a layer of a wave, the most */
  spread kind_messages[LSP_LOAN_KINDS], kind_bytes[LSP_LOAN_KINDS];
  spread visits;
  spread fetch_messages, fetch_bytes;   /* requests, and blocks that were asked for */
  spread handed_messages, handed_bytes; /* states */
  spread parts, part_bytes, hits;
  spread touched[LSP_PICKED_KINDS], visible[LSP_PICKED_KINDS];
} totals;

static const char *const kind_name[LSP_LOAN_KINDS] = {"halo", "kept", "keep", "fixed",
                                                      "pooled"};

static const char *const phase_name[LSP_PHASES] = {
#define X(name, words) words,
    LSP_PHASE_TABLE(X)
#undef X
};

static void collect_picked(const lsp_run *e, lsp_traffic all, totals *t) {
  const lsp_ctx *ctx = e->job.ctx;
  const lsp_traffic lent = lsp_exchange_traffic(e->span.exchange);
  const lsp_picked_counts *c = &e->job.clock.picked;
  const lsp_traffic handed = lsp_states_traffic(e);
  t->handed_messages = spread_of(ctx, (double)handed.messages);
  t->handed_bytes = spread_of(ctx, (double)handed.bytes);
  t->fetch_messages =
      spread_of(ctx, (double)(all.messages - lent.messages - handed.messages));
  t->fetch_bytes = spread_of(ctx, (double)(all.bytes - lent.bytes - handed.bytes));
  t->parts = spread_of(ctx, (double)c->parts);
  t->part_bytes = spread_of(ctx, (double)c->bytes);
  t->hits = spread_of(ctx, (double)c->hits);
  for (int i = 0; i < LSP_PICKED_KINDS; i++) {
    t->touched[i] = spread_of(ctx, (double)c->touched[i]);
    t->visible[i] = spread_of(ctx, (double)c->visible[i]);
  }
}

static void collect(const lsp_run *e, totals *t) {
  const lsp_ctx *ctx = e->job.ctx;
  const lsp_traffic traffic = lsp_run_traffic(e);
  struct rusage usage;
  memset(&usage, 0, sizeof usage);
  (void)getrusage(RUSAGE_SELF, &usage);
  double compute = 0;
  for (int i = 0; i < LSP_PHASES; i++) {
    t->phase[i] = spread_of(ctx, e->job.clock.seconds[i]);
    if (i >= LSP_PHASE_EMBED && i <= LSP_PHASE_HEAD)
      compute += e->job.clock.seconds[i];
  }
  t->compute = spread_of(ctx, compute);
  t->layer_messages = spread_of(ctx, (double)e->job.clock.sent.messages);
  t->layer_bytes = spread_of(ctx, (double)e->job.clock.sent.bytes);
  t->wall = spread_of(ctx, MPI_Wtime() - ctx->started);
  t->cpu = spread_of(ctx, e->job.clock.cpu);
  t->flops = spread_of(ctx, e->job.clock.flops);
  t->messages = spread_of(ctx, (double)traffic.messages);
  t->bytes = spread_of(ctx, (double)traffic.bytes);
  for (int kind = 0; kind < LSP_LOAN_KINDS; kind++) {
    const lsp_traffic of = lsp_exchange_traffic_of(e->span.exchange, kind);
    t->kind_messages[kind] = spread_of(ctx, (double)of.messages);
    t->kind_bytes[kind] = spread_of(ctx, (double)of.bytes);
  }
  t->visits = spread_of(ctx, (double)e->job.clock.visits);
  collect_picked(e, traffic, t);
  t->written = spread_of(ctx, (double)lsp_store_written(e->progress.store).bytes);
  t->peak = spread_of(ctx, (double)usage.ru_maxrss * 1024);
}

/* --- the table ------------------------------------------------------------------- */

static void print_phases(const lsp_run *e, const totals *t) {
  const int P = e->job.ctx->size;
  const double wall = t->wall.sum / P;
  double rest = wall;
  lsp_say(e->job.ctx, "%-24s %9s %9s %9s %9s %6s", "phase (seconds a rank)", "min",
          "avg", "max", "imbalance", "%");
  for (int i = 0; i < LSP_PHASES; i++) {
    const spread *s = &t->phase[i];
    const double mean = s->sum / P;
    rest -= mean;
    lsp_say(e->job.ctx, "%-24s %9.3f %9.3f %9.3f %9.2f %6.1f", phase_name[i], s->least,
            mean, s->most, mean > 0 ? s->most / mean : 1.0, 100 * mean / wall);
  }
  lsp_say(e->job.ctx, "%-24s %9s %9.3f %9s %9s %6.1f", "start and rest", "", rest, "",
          "", 100 * rest / wall);
}

static void print_rates(const lsp_run *e, const totals *t) {
  const int P = e->job.ctx->size;
  const double tokens =
      (double)(e->progress.commit.token_end - e->progress.first_token);
  const double seconds = t->compute.sum / P;
  const double rate = seconds > 0 ? t->flops.sum / seconds : 0;
  char wall[32];
  print_duration(t->wall.most, wall);
  const int packed = e->job.options->gemm == LSP_GEMM_PACKED;
  char blas[3 * LSP_BLAS_NAME_SIZE + 32] = "";
  if (e->job.yardstick)
    (void)snprintf(blas, sizeof blas, "%s%s, core %s", packed ? "; sgemm of " : "",
                   lsp_blas_description(), lsp_blas_core());
  lsp_say(e->job.ctx, "%d rank%s of %d thread%s, %s kernels, %s%s", P,
          P == 1 ? "" : "s", e->job.threads, e->job.threads == 1 ? "" : "s",
          e->job.kernels.name, packed ? "packed products" : "", blas);
  char share[64] = "";
  if (e->job.gemm_rate > 0)
    (void)snprintf(share, sizeof share, ", %.0f %% of the sgemm rate at start",
                   100 * rate / e->job.gemm_rate);
  lsp_say(e->job.ctx, "%.0f tokens in %s: %.0f tokens/s; %.1f GFLOP/s in compute%s",
          tokens, wall, t->wall.most > 0 ? tokens / t->wall.most : 0, rate * 1e-9,
          share);
  lsp_say(e->job.ctx,
          "sent at most %.0f messages, %.3f MiB a rank, layer and wave; %.0f messages, "
          "%.3f MiB a rank in all",
          t->layer_messages.most, t->layer_bytes.most / (1 << 20), t->messages.most,
          t->bytes.most / (1 << 20));
  lsp_say(e->job.ctx, "written %.1f MiB; peak memory %.0f MiB a rank (%.0f planned)",
          t->written.sum / (1 << 20), t->peak.most / (1 << 20),
          (double)(lsp_sizes_rank(&e->span.sizes) + e->span.sizes.node) / (1 << 20));
}

static const char *const picked_name[LSP_PICKED_KINDS] = {
    [LSP_PICKED_RANDOM] = "random",
    [LSP_PICKED_CHOSEN] = "chosen",
    [LSP_PICKED_SELECTED] = "selected"};

/* Of a selected branch: of the blocks that one query of 64 might look at, those that any
 * of them does. */
static void print_picked(const lsp_run *e, const totals *t) {
  char line[256] = "none";
  int n = 0;
  if (e->span.picking == NULL)
    return;
  for (int i = 0; i < LSP_PICKED_KINDS; i++)
    if (t->visible[i].sum > 0)
      n +=
          snprintf(line + n, sizeof line - (size_t)n, "%s%s %.1f %%", n > 0 ? ", " : "",
                   picked_name[i], 100 * t->touched[i].sum / t->visible[i].sum);
  lsp_say(e->job.ctx,
          "of the blocks in their reach 64 queries touch: %s; of %.0f blocks of a head "
          "that other ranks have %.0f were fetched, %.3f MiB, and the rest found here",
          line, t->parts.sum + t->hits.sum, t->parts.sum,
          t->part_bytes.sum / (1 << 20));
}

static double text_bytes(const lsp_run *e) {
  double bytes = 0;
  for (int64_t d = 0; d < lsp_corpus_count(e->text.corpus); d++) {
    const lsp_document document = lsp_corpus_document(e->text.corpus, d);
    bytes += (double)lsp_written_text_bytes(e, &document);
  }
  return bytes;
}

static void print_score(const lsp_run *e) {
  const lsp_commit *c = &e->progress.commit;
  if (c->corpus_count == 0 || c->corpus_not_finite > 0)
    return;
  const double bits =
      lsp_nats_value(lsp_nats_of(c->corpus_low, c->corpus_high)) / log(2.0);
  const char *seen = e->weights.model.two_sided ? " of tokens that are seen" : "";
  const int half = e->text.plan.framing.half; /* of the bytes nothing is known then */
  if (e->weights.model.bytes_tokenizer && !half)
    lsp_say(e->job.ctx, "%s: %.6f bits a byte over %lld bytes in %lld document%s",
            e->job.options->output, bits / (double)c->token_end,
            (long long)c->token_end, (long long)e->text.plan.documents,
            e->text.plan.documents == 1 ? "" : "s");
  else if (e->text.is_tokenised && !half)
    lsp_say(e->job.ctx,
            "%s: %.6f bits a byte, %.6f bits a token, perplexity%s %.6f, over %lld "
            "predicted tokens in %lld document%s",
            e->job.options->output, bits / text_bytes(e),
            bits / (double)c->corpus_count, seen, exp2(bits / (double)c->corpus_count),
            (long long)c->corpus_count, (long long)e->text.plan.documents,
            e->text.plan.documents == 1 ? "" : "s");
  else
    lsp_say(e->job.ctx,
            "%s: %.6f bits a token, perplexity%s %.6f, over %lld predicted tokens in "
            "%lld document%s",
            e->job.options->output, bits / (double)c->corpus_count, seen,
            exp2(bits / (double)c->corpus_count), (long long)c->corpus_count,
            (long long)e->text.plan.documents, e->text.plan.documents == 1 ? "" : "s");
}

/* Said even to those who asked for silence. */
static void print_not_finite(const lsp_run *e) {
  const lsp_commit *c = &e->progress.commit;
  const int64_t all = c->corpus_not_finite + c->corpus_count;
  if (c->corpus_not_finite > 0)
    lsp_say(e->job.ctx,
            "longspan: %s: %lld of %lld predicted tokens have no finite nll: the "
            "weights are damaged or overflow float32",
            e->job.options->output, (long long)c->corpus_not_finite, (long long)all);
}

/* --- FILE.run.json --------------------------------------------------------------- */

static json_t *spread_json(const spread *s, int ranks) {
  return json_pack("{s:f, s:f, s:f}", "min", s->least, "avg", s->sum / ranks, "max",
                   s->most);
}

/* A text that anybody may have written, in its stored form (lsp/text.h) if `escaped`. */
static json_t *text_json(const char *text, int escaped) {
  const size_t size = LSP_TEXT_GROWTH * strlen(text) + 1;
  char *stored = escaped ? malloc(size) : NULL;
  if (stored != NULL)
    (void)lsp_text_stored(text, stored, size);
  json_t *string =
      escaped && stored == NULL ? NULL : json_string(escaped ? stored : text);
  free(stored);
  return string;
}

/* The key "escaped" lists the keys whose text is in the stored form. */
static void list_escaped(json_t *o, const char *key) {
  if (json_object_get(o, "escaped") == NULL)
    (void)json_object_set_new(o, "escaped", json_array());
  (void)json_array_append_new(json_object_get(o, "escaped"), json_string(key));
}

static void put_text(json_t *o, const char *key, const char *text) {
  const int escaped = !lsp_text_is_printable(text);
  (void)json_object_set_new(o, key, text_json(text, escaped));
  if (escaped)
    list_escaped(o, key);
}

typedef char host_name[MPI_MAX_PROCESSOR_NAME];

/* Names of the hosts, in order of their first rank, into o on rank 0. */
static void put_hosts(const lsp_ctx *ctx, json_t *o) {
  host_name name = "";
  int length = 0, hosts = 0, escaped = 0;
  if (ctx->leaders == MPI_COMM_NULL)
    return;
  LSP_MPI(MPI_Get_processor_name(name, &length));
  LSP_MPI(MPI_Comm_size(ctx->leaders, &hosts));
  host_name *all = ctx->rank == 0 ? calloc((size_t)hosts, sizeof *all) : NULL;
  LSP_ASSERT(ctx->rank != 0 || all != NULL);
  LSP_MPI(MPI_Gather(name, (int)sizeof name, MPI_CHAR, all, (int)sizeof name, MPI_CHAR,
                     0, ctx->leaders));
  if (all == NULL)
    return;
  json_t *list = json_array();
  for (int i = 0; i < hosts; i++)
    escaped = escaped || !lsp_text_is_printable(all[i]);
  for (int i = 0; i < hosts; i++)
    (void)json_array_append_new(list, text_json(all[i], escaped));
  (void)json_object_set_new(o, "hosts", list);
  if (escaped)
    list_escaped(o, "hosts");
  free(all);
}

static void put_time(json_t *o, const char *key, time_t when) {
  char text[32];
  struct tm utc;
  if (gmtime_r(&when, &utc) != NULL &&
      strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) > 0)
    (void)json_object_set_new(o, key, json_string(text));
}

static json_t *phases_json(const totals *t, int ranks) {
  json_t *o = json_object();
  for (int i = 0; i < LSP_PHASES; i++)
    (void)json_object_set_new(o, phase_name[i], spread_json(&t->phase[i], ranks));
  return o;
}

/* Of all ranks, by kind of loan (lsp/plan.h). */
static json_t *loans_json(const totals *t) {
  json_t *o = json_object();
  for (int kind = 0; kind < LSP_LOAN_KINDS; kind++)
    (void)json_object_set_new(o, kind_name[kind],
                              json_pack("{s:I, s:I}", "messages",
                                        (json_int_t)t->kind_messages[kind].sum, "bytes",
                                        (json_int_t)t->kind_bytes[kind].sum));
  return o;
}

/* Picked blocks: parts (of one key/value head) that came from other ranks, and how often
 * one was wanted that had come before; what that took; of pairs of blocks in reach, those
 * touched. */
static json_t *picked_json(const totals *t) {
  json_t *o = json_pack(
      "{s:I, s:I, s:I, s:I, s:I}", "parts_fetched", (json_int_t)t->parts.sum,
      "bytes_fetched", (json_int_t)t->part_bytes.sum, "parts_found",
      (json_int_t)t->hits.sum, "messages_sent", (json_int_t)t->fetch_messages.sum,
      "bytes_sent", (json_int_t)t->fetch_bytes.sum);
  for (int i = 0; i < LSP_PICKED_KINDS; i++)
    if (t->visible[i].sum > 0)
      (void)json_object_set_new(
          o, picked_name[i],
          json_pack("{s:I, s:I}", "pairs_touched", (json_int_t)t->touched[i].sum,
                    "pairs_in_reach", (json_int_t)t->visible[i].sum));
  return o;
}

static void put_environment(json_t *o) {
  static const char *const name[] = {"SLURM_JOB_ID", "SLURM_JOB_NODELIST",
                                     "SLURM_RESTART_COUNT", "PBS_JOBID"};
  char mpi[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  LSP_MPI(MPI_Get_library_version(mpi, &length));
  mpi[strcspn(mpi, "\n")] = 0;
  put_text(o, "mpi", mpi);
  for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
    const char *value = getenv(name[i]);
    if (value != NULL)
      put_text(o, name[i], value);
  }
}

static void put_options(json_t *o, const lsp_options *options) {
  char *text = lsp_options_record(options);
  if (text != NULL)
    (void)json_object_set_new(o, "semantic_options", json_loads(text, 0, NULL));
  free(text);
}

/* Everything but hosts and state into o. */
static void put_facts(json_t *o, const lsp_run *e, const totals *t) {
  const int P = e->job.ctx->size;
  const time_t now = time(NULL);
  const char *line = e->job.options->command_line;
  put_text(o, "command_line", line != NULL ? line : "");
  (void)json_object_set_new(o, "ranks", json_integer(P));
  (void)json_object_set_new(o, "threads", json_integer(e->job.threads));
  put_text(o, "kernels", e->job.kernels.name);
  put_text(o, "gemm", e->job.options->gemm == LSP_GEMM_PACKED ? "packed" : "blas");
  put_text(o, "blas", lsp_blas_description());
  put_text(o, "blas_core", lsp_blas_core());
  (void)json_object_set_new(o, "wave_tokens",
                            json_integer((json_int_t)e->span.sizes.wave_rows));
  (void)json_object_set_new(o, "first_token",
                            json_integer((json_int_t)e->progress.first_token));
  (void)json_object_set_new(o, "token_end",
                            json_integer((json_int_t)e->progress.commit.token_end));
  put_time(o, "started", now - (time_t)(MPI_Wtime() - e->job.ctx->started));
  put_time(o, "ended", now);
  put_environment(o);
  put_options(o, e->job.options);
  (void)json_object_set_new(o, "seconds", phases_json(t, P));
  (void)json_object_set_new(o, "wall_seconds", spread_json(&t->wall, P));
  (void)json_object_set_new(o, "cpu_seconds", spread_json(&t->cpu, P));
  (void)json_object_set_new(o, "flops", json_real(t->flops.sum));
  (void)json_object_set_new(o, "sgemm_flops_per_second", json_real(e->job.gemm_rate));
  (void)json_object_set_new(o, "compute_seconds", spread_json(&t->compute, P));
  (void)json_object_set_new(o, "messages_a_layer_and_wave",
                            spread_json(&t->layer_messages, P));
  (void)json_object_set_new(o, "bytes_a_layer_and_wave",
                            spread_json(&t->layer_bytes, P));
  (void)json_object_set_new(o, "messages_sent", spread_json(&t->messages, P));
  (void)json_object_set_new(o, "bytes_sent", spread_json(&t->bytes, P));
  (void)json_object_set_new(o, "loans", loans_json(t));
  if (e->span.picking != NULL)
    (void)json_object_set_new(o, "picked", picked_json(t));
  if (e->kept.parts > 0)
    (void)json_object_set_new(
        o, "states",
        json_pack("{s:i, s:I, s:o, s:o}", "parts", e->kept.parts, "bytes",
                  (json_int_t)lsp_parts_bytes(e->kept.part, e->kept.parts),
                  "messages_sent", spread_json(&t->handed_messages, P), "bytes_sent",
                  spread_json(&t->handed_bytes, P)));
  /* products of a block of queries of one head with a tile, of all ranks */
  (void)json_object_set_new(o, "visits", json_integer((json_int_t)t->visits.sum));
  (void)json_object_set_new(o, "written_bytes",
                            json_integer((json_int_t)t->written.sum));
  (void)json_object_set_new(o, "not_finite",
                            json_integer(e->progress.commit.corpus_not_finite));
  (void)json_object_set_new(o, "layers", json_integer(e->weights.model.layers));
  (void)json_object_set_new(o, "peak_bytes", spread_json(&t->peak, P));
  /* rank 0's, and with it the node's copies */
  const int64_t planned = lsp_sizes_rank(&e->span.sizes) + e->span.sizes.node;
  (void)json_object_set_new(o, "planned_bytes", json_integer(planned));
  (void)json_object_set_new(o, "arena_bytes",
                            json_integer((json_int_t)e->span.arena.size));
}

static lsp_status write_json(const char *path, const json_t *o, lsp_failure *why) {
  char *text = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
  if (text == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to write it", path);
  const lsp_status st = lsp_replace_file(path, text, strlen(text), why);
  free(text);
  return st;
}

/* The results are whole without FILE.run.json. */
static void warn(const lsp_run *e, const lsp_failure *why) {
  lsp_say(
      e->job.ctx,
      "longspan: %s (the results are not affected: this file only records hosts and "
      "times)",
      why->text);
}

/* What tells a FILE.run.json of longspan from others of that name. */
static const char format[] = "longspan-run";

int lsp_report_is_ours(const json_t *o) {
  const char *is = json_string_value(json_object_get(o, "format"));
  return is != NULL && strcmp(is, format) == 0;
}

/* Collective. FILE.run.json; once the run has ended the table, and a warning if the file
 * could not be written. */
void lsp_report_end(const lsp_run *e, const char *state, int ended) {
  totals t;
  char path[PATH_MAX];
  lsp_failure why = {0};
  json_t *o = json_object();
  collect(e, &t);
  put_text(o, "format", format);
  put_text(o, "state", state);
  put_hosts(e->job.ctx, o);
  if (e->job.ctx->rank == 0) {
    put_facts(o, e, &t);
    lsp_status st =
        lsp_store_beside(e->job.options->output, ".run.json", path, sizeof path, &why);
    if (st == LSP_OK)
      st = write_json(path, o, &why);
    if (st != LSP_OK && ended)
      warn(e, &why);
  }
  json_decref(o);
  if (ended && !e->job.ctx->quiet && e->job.ctx->rank == 0) {
    print_phases(e, &t);
    print_rates(e, &t);
    print_picked(e, &t);
    print_score(e);
  }
  if (ended)
    print_not_finite(e);
}

/* Rank 0. The run that gave the output its name may have been killed before it could
 * write that it was done. */
void lsp_report_finished(const lsp_run *e) {
  enum { MOST_BYTES = 1 << 24 };
  char path[PATH_MAX];
  json_t *o = NULL;
  lsp_failure why = {0};
  if (lsp_store_beside(e->job.options->output, ".run.json", path, sizeof path, &why) !=
          LSP_OK ||
      access(path, F_OK) != 0 || lsp_json_read(path, MOST_BYTES, &o, NULL) != LSP_OK)
    return; /* nothing depends on this file */
  const char *state = json_string_value(json_object_get(o, "state"));
  if (lsp_report_is_ours(o) && (state == NULL || strcmp(state, "done") != 0)) {
    put_text(o, "state", "done");
    if (write_json(path, o, &why) != LSP_OK)
      warn(e, &why);
  }
  json_decref(o);
}
