/* longspan plan: what one document of N tokens takes on P ranks. Pure functions of the
 * model and a few numbers, the same ones that the engine reserves by (lsp/sizes.h). */
#include "cli.h"

#include "lsp/json.h"
#include "lsp/plan.h"
#include "lsp/sizes.h"
#include "lsp/transfo_xl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Waves times ranks whose loans are counted one by one. */
enum { BUDGET = 1 << 19 };

typedef struct {
  const char *model, *like;
  int64_t tokens, ranks, mem_len, segment, wave_tokens, memory, threads, rate;
} plan_options;

#define ROW(kind, field, initial, low, high, argument, help)                           \
  {                                                                                    \
    LSP_OPTION_##kind, 0, #field, offsetof(plan_options, field), initial, low, high,   \
        argument, help                                                                 \
  }

static const lsp_option plan_option[] = {
    ROW(TEXT, model, 0, 0, 0, "DIR", "checkpoint: its config.json is enough"),
    ROW(INT, tokens, -1, 1, (int64_t)1 << 50, "N", "tokens of the document"),
    ROW(INT, ranks, -1, 1, 1 << 24, "P", "MPI ranks"),
    ROW(INT, mem_len, -1, 0, 1 << 24, "N", "as for run"),
    ROW(INT, segment, -1, 1, 1 << 24, "N", "as for run"),
    ROW(INT, wave_tokens, -1, 1, (int64_t)1 << 40, "N", "as for run"),
    ROW(SIZE, memory, -1, 1 << 20, (int64_t)1 << 50, "SIZE", "as for run"),
    ROW(INT, threads, 1, 1, 4096, "N", "threads a rank (default: 1)"),
    ROW(INT, rate, -1, 1, 1000000000, "GFLOPS",
        "GFLOP/s that a rank reaches (default: 40 a thread)"),
    ROW(TEXT, like, 0, 0, 0, "FILE.run.json",
        "take what a thread reaches from a run on such a machine"),
};

static const lsp_command plan_command = {
    .usage = "longspan plan --model DIR --tokens N --ranks P [options]",
    .about = "Says what a run over one document of N tokens on P ranks takes: waves, "
             "memory, messages, time. Runs nothing.",
    .option = plan_option,
    .options = sizeof plan_option / sizeof plan_option[0]};

typedef struct {
  const plan_options *options;
  lsp_txl_config config;
  lsp_plan plan;
  int64_t reach, tile; /* rows; floats */
  double flops, rate;  /* in all; FLOP/s that all ranks reach */
  const char *rate_is; /* where the rate comes from */
  lsp_sizes sizes;
  lsp_lending lending;
} estimate;

static lsp_status open_plan(estimate *e, lsp_failure *why) {
  const plan_options *o = e->options;
  lsp_txl_config *c = &e->config;
  LSP_TRY(lsp_txl_config_read(o->model, c, why));
  LSP_TRY(lsp_sizes_apply(c, o->mem_len, o->segment, why));
  const lsp_pattern pattern = lsp_sizes_pattern(c, 1);
  e->tile = lsp_tile_floats(lsp_sizes_heads(c));
  e->reach = lsp_pattern_reach(&pattern);
  return lsp_plan_open(&e->plan, 1, &o->tokens, 0, &pattern, why);
}

/* lsp_pattern_pairs takes time with the number of segments. Here every segment has a
 * full memory, so one is counted and multiplied. */
static double pairs(const estimate *e) {
  const lsp_pattern *p = &e->plan.pattern;
  const int64_t n = e->options->tokens, segments = n / p->segment;
  if (p->same_length)
    return lsp_pattern_pairs(p, 0, n);
  return (double)segments * lsp_pattern_pairs(p, 0, p->segment) +
         lsp_pattern_pairs(p, segments * p->segment, n);
}

static double number_of(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

/* FLOP/s that a thread reached in a run, waiting for neighbours included. */
static lsp_status rate_of_run(const char *path, double *rate, lsp_failure *why) {
  enum { MOST_BYTES = 1 << 24 };
  json_t *run = NULL;
  LSP_TRY(lsp_json_read(path, MOST_BYTES, &run, why));
  const double seconds = number_of(json_object_get(run, "compute_seconds"), "avg");
  *rate = number_of(run, "flops") / seconds / number_of(run, "ranks") /
          number_of(run, "threads");
  json_decref(run);
  if (!(*rate > 0 && *rate < 1e18))
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: does not say what a run reached (flops, compute_seconds, "
                    "ranks, threads); give the FILE.run.json of a run that computed "
                    "something",
                    path);
  return LSP_OK;
}

static lsp_status find_rate(estimate *e, lsp_failure *why) {
  const plan_options *o = e->options;
  double thread = lsp_nominal_rate;
  e->rate_is = "assumed; --like FILE.run.json takes it from a run";
  if (o->like != NULL) {
    LSP_TRY(rate_of_run(o->like, &thread, why));
    e->rate_is = "as in the run of --like";
  }
  e->rate = (double)o->ranks * (double)o->threads * thread;
  if (o->rate > 0) {
    e->rate = (double)o->ranks * 1e9 * (double)o->rate;
    e->rate_is = "given";
  }
  return LSP_OK;
}

static lsp_status size_waves(estimate *e, lsp_failure *why) {
  const plan_options *o = e->options;
  const lsp_txl_config *c = &e->config;
  const lsp_request request = {.wave_tokens = o->wave_tokens,
                               .memory = o->memory,
                               .ranks = o->ranks,
                               .threads = o->threads};
  LSP_TRY(find_rate(e, why));
  e->flops = (double)o->tokens * lsp_txl_flops_per_token(c) +
             c->n_layer * pairs(e) * lsp_txl_flops_per_pair(c);
  LSP_TRY(lsp_sizes_choose(c, &e->plan, &request, &e->sizes, why));
  return lsp_sizes_lending(c, &e->plan, e->sizes.wave_rows, o->ranks, BUDGET,
                           &e->lending, why);
}

/* --- memory ---------------------------------------------------------------------- */

static void print_part(const char *name, int64_t bytes) {
  (void)printf("    %-50s %12.1f\n", name, (double)bytes / (1 << 20));
}

static void print_floats(const char *name, int64_t floats) {
  print_part(name, (int64_t)sizeof(float) * floats);
}

static void print_memory(const estimate *e) {
  const lsp_txl_config *c = &e->config;
  const lsp_sizes *z = &e->sizes;
  (void)puts("\n  memory in MiB, the same for a text of any length");
  print_floats("weights (one copy a node)", lsp_txl_floats(c));
  print_floats("positions, packed rows (one copy a node)",
               lsp_sizes_prepared(c, &e->plan.pattern));
  print_floats("hidden states x", z->x);
  print_floats("queries q", z->q);
  print_floats("keys and values of the span", z->tiles);
  print_floats("keys and values borrowed", z->halo);
  print_floats("rows of snapshots", z->memory_rows);
  print_floats("scratch of the threads", z->scratch * e->options->threads);
  print_floats("ids, results, sums", 2 * z->tokens + z->sums + z->shares);
  print_part("lists of panels", z->lists);
  print_part("the program, MPI, HDF5, BLAS (about)", z->process);
  print_part("a rank in all, without the node's copy", lsp_sizes_rank(z) - z->root);
  print_part("rank 0 more: memory from wave to wave, sums", z->root);
  print_part("rank 0 in all: what --memory limits", lsp_sizes_rank(z));
}

/* --- messages -------------------------------------------------------------------- */

static void print_sent(const char *name, const char *bound, const lsp_sent *s,
                       const char *of_what) {
  char bytes[LSP_NUMBER_SIZE], number[LSP_NUMBER_SIZE];
  lsp_print_fact(stdout, name, "%s%s message%s, %s, %s",
                 s->messages == INT64_MAX || s->bytes == INT64_MAX ? "over " : bound,
                 lsp_grouped(s->messages, number), s->messages == 1 ? "" : "s",
                 lsp_bytes((double)s->bytes, bytes), of_what);
}

static void print_messages(const estimate *e) {
  const lsp_lending *l = &e->lending;
  const char *bound = l->exact ? "" : "at most ";
  char bytes[LSP_NUMBER_SIZE];
  print_sent("keys, values", bound, &l->wave, "a rank, layer and wave (most)");
  print_sent("", bound, &l->rank, "a rank in the whole run (most)");
  lsp_print_fact(stdout, "weights", "%s from rank 0 to one rank of every other node",
                 lsp_bytes(4.0 * (double)lsp_txl_floats(&e->config), bytes));
  lsp_print_fact(
      stdout, "results",
      "at most 3 messages, 3 MiB, a rank, wave and dataset, so that a MiB of "
      "the file has one writer");
}

/* --- all of it ------------------------------------------------------------------- */

static void print_time(const estimate *e) {
  char time[64];
  const double seconds = e->flops / e->rate;
  if (seconds < 86400 * 365.0)
    (void)snprintf(time, sizeof time, "%lld days %02lld:%02lld:%02lld",
                   (long long)seconds / 86400, (long long)seconds / 3600 % 24,
                   (long long)seconds / 60 % 60, (long long)seconds % 60);
  else
    (void)snprintf(time, sizeof time, "%.3g years", seconds / 86400 / 365);
  lsp_print_fact(stdout, "work", "%.4g FLOP", e->flops);
  lsp_print_fact(stdout, "time", "%s, if each rank reaches %.4g GFLOP/s (%s)",
                 strncmp(time, "0 days ", 7) == 0 ? time + 7 : time,
                 e->rate / 1e9 / (double)e->options->ranks, e->rate_is);
}

/* Ranks without work, in the wave that has most of them. */
static void print_ranks(const estimate *e, int64_t wave_tokens) {
  char tokens[LSP_NUMBER_SIZE], ranks[LSP_NUMBER_SIZE];
  const int64_t share = wave_tokens / e->options->ranks;
  if (e->lending.idle < 0)
    lsp_print_fact(stdout, "a rank", "about %s tokens of a wave",
                   lsp_grouped(share, tokens));
  else
    lsp_print_fact(stdout, "a rank",
                   "about %s tokens of a wave; %s ranks without work (most)",
                   lsp_grouped(share, tokens), lsp_grouped(e->lending.idle, ranks));
}

static void print_estimate(const estimate *e) {
  const plan_options *o = e->options;
  char tokens[LSP_NUMBER_SIZE], panels[LSP_NUMBER_SIZE], waves[LSP_NUMBER_SIZE],
      ranks[LSP_NUMBER_SIZE], bytes[LSP_NUMBER_SIZE];
  lsp_range wave = lsp_plan_wave(&e->plan, 0, e->sizes.wave_rows);
  if (e->lending.waves > 2) /* a wave with one before it and one after it */
    wave = lsp_plan_wave(&e->plan, wave.end, e->sizes.wave_rows);
  const int64_t wave_tokens = lsp_plan_tokens_before(&e->plan, wave.end) -
                              lsp_plan_tokens_before(&e->plan, wave.first);
  (void)printf("%s tokens in one document on %s rank%s of %lld thread%s\n",
               lsp_grouped(o->tokens, tokens), lsp_grouped(o->ranks, ranks),
               o->ranks == 1 ? "" : "s", (long long)o->threads,
               o->threads == 1 ? "" : "s");
  lsp_print_fact(stdout, "panels", "%s",
                 lsp_grouped(lsp_plan_panels(&e->plan), panels));
  lsp_print_fact(stdout, "waves", "%s of %s tokens, a commit after each",
                 lsp_grouped(e->lending.waves, waves),
                 lsp_grouped(wave_tokens, tokens));
  print_ranks(e, wave_tokens);
  lsp_print_fact(stdout, "reach", "%lld positions, %lld tiles", (long long)e->reach,
                 (long long)e->plan.reach_tiles);
  print_messages(e);
  print_time(e);
  lsp_print_fact(stdout, "output", "%s with id and nll",
                 lsp_bytes(8.0 * (double)o->tokens, bytes));
  print_memory(e);
}

static lsp_status plan_run(const plan_options *o, int inputs, lsp_failure *why) {
  estimate e;
  memset(&e, 0, sizeof e);
  e.options = o;
  if (o->model == NULL || o->tokens < 0 || o->ranks < 0)
    return lsp_fail(why, LSP_E_USAGE,
                    "plan needs --model DIR, --tokens N and --ranks P");
  if (o->rate > 0 && o->like != NULL)
    return lsp_fail(why, LSP_E_USAGE, "--rate and --like exclude each other");
  if (inputs > 0)
    return lsp_fail(why, LSP_E_USAGE, "plan reads no inputs; give --tokens N");
  LSP_TRY(open_plan(&e, why));
  const lsp_status status = size_waves(&e, why);
  if (status == LSP_OK)
    print_estimate(&e);
  lsp_plan_close(&e.plan);
  return status;
}

int lsp_cmd_plan(int argc, char **argv) {
  plan_options options;
  lsp_failure why = {0};
  int inputs = 0;
  if (lsp_answered(stdout, &plan_command, argc, argv))
    return 0;
  const char **input = calloc((size_t)argc + 1, sizeof *input);
  lsp_status st = input != NULL ? LSP_OK : lsp_fail(&why, LSP_E_MEMORY, "no memory");
  if (st == LSP_OK)
    st = lsp_parse(&plan_command, argc, argv, &options, input, &inputs, &why);
  free(input);
  if (st == LSP_OK)
    st = plan_run(&options, inputs, &why);
  return st == LSP_OK ? 0 : lsp_complain(&why);
}
