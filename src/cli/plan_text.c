/* longspan plan: the estimate in words. */
#include "cli.h"
#include "estimate.h"
#include "model_words.h"

#include <stdio.h>
#include <string.h>

enum { WORDS_SIZE = 1024 };

static const char *plural(int64_t n) {
  return n == 1 ? "" : "s";
}

/* --- memory ---------------------------------------------------------------------- */

static void print_part(const char *name, int64_t bytes) {
  (void)printf("    %-50s %12.1f\n", name, (double)bytes / (1 << 20));
}

static void print_memory(const plan_estimate *e) {
  plan_part part[LSP_PLAN_PARTS];
  int n = lsp_plan_rank_parts(e, part);
  (void)puts("\n  memory of a rank in MiB");
  for (int i = 0; i < n; i++)
    if (part[i].bytes > 0)
      print_part(part[i].words, part[i].bytes);
  print_part("rank 0 in all: what --memory limits", lsp_sizes_rank(&e->sizes));
  n = lsp_plan_node_parts(e, part);
  (void)puts("\n  one copy a node in MiB");
  for (int i = 0; i < n; i++)
    if (part[i].bytes > 0)
      print_part(part[i].words, part[i].bytes);
  print_part("a node in all, without its ranks", e->sizes.node);
}

/* --- messages -------------------------------------------------------------------- */

static void print_sent(const char *name, const char *bound, lsp_sent s,
                       const char *of_what) {
  char bytes[LSP_NUMBER_SIZE], number[LSP_NUMBER_SIZE];
  lsp_print_fact(stdout, name, "%s%s message%s, %s, %s",
                 s.messages == INT64_MAX || s.bytes == INT64_MAX ? "over " : bound,
                 lsp_grouped(s.messages, number), plural(s.messages),
                 lsp_bytes((double)s.bytes, bytes), of_what);
}

static void print_messages(const plan_estimate *e) {
  const lsp_lending *l = &e->lending;
  const char *bound = l->exact ? "" : "at most ";
  const char *name = "of all ranks";
  char bytes[LSP_NUMBER_SIZE];
  print_sent("keys, values", bound, l->layer, "a rank, layer and wave (most)");
  print_sent("", bound, l->rank, "a rank in the whole run (most)");
  for (int k = 0; k < LSP_LOAN_KINDS && l->exact; k++) {
    if (l->kind[k].messages == 0)
      continue;
    print_sent(name, "", l->kind[k], lsp_plan_kind_words[k]);
    name = "";
  }
  if (l->fetched.messages > 0)
    print_sent("picked blocks", "at most ", l->fetched,
               "a rank, layer and wave (most)");
  lsp_print_fact(stdout, "weights", "%s from rank 0 to one rank of every other node",
                 lsp_bytes(4.0 * (double)lsp_model_floats(&e->model), bytes));
  lsp_print_fact(
      stdout, "results",
      "at most 3 messages, 3 MiB, a rank, wave and dataset, so that a MiB of "
      "the file has one writer");
}

/* --- work ------------------------------------------------------------------------ */

/* What grows with the square of the text, and what is kept of all of it. */
static void print_quadratic(const plan_estimate *e) {
  const plan_kept kept = lsp_plan_kept(e);
  const double flops = e->outside + e->within;
  const int one = kept.layers == 1;
  char layers[WORDS_SIZE], all[LSP_NUMBER_SIZE], rank[LSP_NUMBER_SIZE];
  char text[2 * WORDS_SIZE] = "";
  if (kept.layers == 0 || e->model.wrapper.kind != LSP_WRAP_NONE) {
    lsp_print_fact(stdout, "quadratic", "nothing: work grows as the text does");
    return;
  }
  lsp_words_layers(&e->model, lsp_words_is_endless, 0, layers, sizeof layers);
  lsp_words_add(text, sizeof text,
                "%s look%s %s: work grows with the square of the text: %.0f %% of the "
                "FLOPs here",
                layers, one ? "s" : "",
                e->model.two_sided              ? "at every position"
                : lsp_words_all_seen(&e->model) ? "at every position before"
                                                : "back without end",
                flops > 0 ? 100 * e->quadratic / flops : 0);
  if (!e->model.two_sided)
    lsp_words_add(text, sizeof text,
                  "; of the whole document keys and values are kept, %s on all ranks, "
                  "at most %s on one",
                  lsp_bytes(kept.all, all), lsp_bytes(kept.rank, rank));
  lsp_print_fact(stdout, "quadratic", "%s", text);
}

/* Layers that need all of a document at once. */
static void print_whole(const plan_estimate *e) {
  char layers[WORDS_SIZE], bytes[LSP_NUMBER_SIZE];
  int whole = 0;
  for (int i = 0; i < e->model.layers; i++)
    whole += lsp_words_is_whole(&e->model, 0, i);
  if (whole == 0)
    return;
  lsp_words_layers(&e->model, lsp_words_is_whole, 0, layers, sizeof layers);
  lsp_print_fact(stdout, "one wave",
                 "%s need%s all of a document: each document is one wave, and must "
                 "fit; it is committed layer by layer (up to %s in FILE.h5.layers), "
                 "unless --write has hidden:LAYER",
                 layers, whole == 1 ? "s" : "",
                 lsp_bytes(8.0 * (double)e->sizes.wave_rows * e->model.width, bytes));
}

static void print_time(const plan_estimate *e) {
  char time[64];
  const double flops = e->outside + e->within, seconds = flops / e->rate;
  if (seconds < 86400 * 365.0)
    (void)snprintf(time, sizeof time, "%lld days %02lld:%02lld:%02lld",
                   (long long)seconds / 86400, (long long)seconds / 3600 % 24,
                   (long long)seconds / 60 % 60, (long long)seconds % 60);
  else
    (void)snprintf(time, sizeof time, "%.3g years", seconds / 86400 / 365);
  lsp_print_fact(stdout, "work", "%.4g FLOP: %.4g outside attention, %.4g within",
                 flops, e->outside, e->within);
  lsp_print_fact(stdout, "time", "%s, if each rank reaches %.4g GFLOP/s (%s)",
                 strncmp(time, "0 days ", 7) == 0 ? time + 7 : time,
                 e->rate / 1e9 / (double)e->request.ranks, e->rate_is);
}

/* --- ranks ----------------------------------------------------------------------- */

/* Ranks without work, in the wave that has most of them. */
static void print_ranks(const plan_estimate *e) {
  char tokens[LSP_NUMBER_SIZE], ranks[LSP_NUMBER_SIZE];
  const int64_t share = e->wave_tokens / e->request.ranks;
  if (e->lending.idle < 0)
    lsp_print_fact(stdout, "a rank", "about %s tokens of a wave",
                   lsp_grouped(share, tokens));
  else
    lsp_print_fact(stdout, "a rank",
                   "about %s tokens of a wave; %s ranks without work (most)",
                   lsp_grouped(share, tokens), lsp_grouped(e->lending.idle, ranks));
}

/* Pooled rows that are kept of a layer, whatever they average. */
static int64_t pooled_rows(const lsp_layer_sizes *y) {
  int64_t rows = 0;
  for (int s = 0; s < y->strata; s++)
    rows += y->stratum[s].reach;
  return rows;
}

/* Layers that reach equally far are told as one. */
static int reach_alike(const lsp_model *m, int of, int layer) {
  const lsp_layer *a = &m->layer[of], *b = &m->layer[layer];
  lsp_stratum one[LSP_STRATA_MAX], other[LSP_STRATA_MAX];
  const int strata = lsp_layer_strata(a, one);
  if (lsp_layer_strata(b, other) != strata)
    return 0;
  for (int s = 0; s < strata; s++)
    if (one[s].reach != other[s].reach || one[s].unit != other[s].unit)
      return 0;
  return lsp_layer_reach(a) == lsp_layer_reach(b) &&
         lsp_layer_near(a) == lsp_layer_near(b) &&
         lsp_layer_fixed(a) == lsp_layer_fixed(b) &&
         lsp_layer_picks(a) == lsp_layer_picks(b);
}

/* Two-sided: nothing is kept of what all that see it have seen. */
static void sides_words(const plan_estimate *e, int i, char *text, size_t size) {
  const lsp_layer_sizes *y = &e->layer[i];
  const int64_t reach = lsp_layer_reach(&e->model.layer[i]);
  char n[LSP_NUMBER_SIZE];
  if (reach == LSP_REACH_ALL)
    lsp_words_add(text, size, "every position");
  else
    lsp_words_add(text, size, "%s positions to each side", lsp_grouped(reach, n));
  if (y->fixed > 0)
    lsp_words_add(text, size, ", and %s tile%s of the beginning",
                  lsp_grouped(y->fixed, n), plural(y->fixed));
  if (y->lag > 0)
    lsp_words_add(text, size, "; up to %s block%s of a document wait for those ahead",
                  lsp_grouped(y->lag, n), plural(y->lag));
}

static void reach_words(const plan_estimate *e, int i, char *text, size_t size) {
  const lsp_layer *l = &e->model.layer[i];
  const lsp_layer_sizes *y = &e->layer[i];
  const int64_t reach = lsp_layer_reach(l), pooled = pooled_rows(y);
  char n[LSP_NUMBER_SIZE];
  if (reach == LSP_REACH_ALL)
    lsp_words_add(text, size, "every position before, ");
  else
    lsp_words_add(text, size, "%s positions, ", lsp_grouped(reach, n));
  lsp_words_add(text, size, "%s tile%s", lsp_grouped(y->tiles, n), plural(y->tiles));
  if (y->fixed > 0)
    lsp_words_add(text, size, ", and %s of the beginning", lsp_grouped(y->fixed, n));
  if (pooled > 0)
    lsp_words_add(text, size, ", and %s pooled row%s", lsp_grouped(pooled, n),
                  plural(pooled));
  if (!lsp_layer_picks(l))
    return;
  lsp_words_add(text, size, "; blocks are fetched as they are picked");
  if (y->near_tiles > 0)
    lsp_words_add(
        text, size, ", but for the last%s%s tile%s", y->near_tiles == 1 ? "" : " ",
        y->near_tiles == 1 ? "" : lsp_grouped(y->near_tiles, n), plural(y->near_tiles));
}

static void print_reach(const plan_estimate *e) {
  const lsp_model *m = &e->model;
  char layers[WORDS_SIZE], text[WORDS_SIZE];
  int said = 0;
  if (m->wrapper.kind != LSP_WRAP_NONE) {
    lsp_print_fact(stdout, "reach", "none beyond a segment and what stands around it");
    return;
  }
  for (int i = 0; i < m->layers; i++) {
    int is_first = 1;
    for (int k = 0; k < i && is_first; k++)
      is_first = !reach_alike(m, k, i);
    if (!is_first)
      continue;
    lsp_words_layers(m, reach_alike, i, layers, sizeof layers);
    text[0] = '\0';
    lsp_words_add(text, sizeof text, "%s: ", layers);
    if (m->two_sided)
      sides_words(e, i, text, sizeof text);
    else
      reach_words(e, i, text, sizeof text);
    lsp_print_fact(stdout, said++ == 0 ? "reach" : "", "%s", text);
  }
}

static void print_head(const plan_estimate *e) {
  char tokens[LSP_NUMBER_SIZE], ranks[LSP_NUMBER_SIZE], documents[LSP_NUMBER_SIZE];
  const int64_t n = e->plan.documents;
  (void)printf("%s token%s in %s document%s on %s rank%s of %lld thread%s\n",
               lsp_grouped(lsp_plan_tokens(&e->plan), tokens),
               plural(lsp_plan_tokens(&e->plan)),
               n == 1 ? "one" : lsp_grouped(n, documents), plural(n),
               lsp_grouped(e->request.ranks, ranks), plural(e->request.ranks),
               (long long)e->request.threads, plural(e->request.threads));
}

/* Segments, and what stands around them. */
static void print_segments(const plan_estimate *e) {
  char text[WORDS_SIZE], number[LSP_NUMBER_SIZE];
  const int64_t rows = lsp_plan_memory_tokens(e);
  lsp_words_wrapper(&e->model, text, sizeof text);
  lsp_print_fact(stdout, "segments", "%s", text);
  if (rows > 0)
    lsp_print_fact(stdout, "", "%s row%s are memory tokens", lsp_grouped(rows, number),
                   plural(rows));
}

/* Chunks: frames of a document that overlap. */
static void print_frames(const plan_estimate *e) {
  char frames[LSP_NUMBER_SIZE], tokens[LSP_NUMBER_SIZE];
  char context[LSP_CONTEXT_SIZE];
  lsp_context_print(&e->context, context);
  if (context[0] != '\0')
    lsp_print_fact(stdout, "context", "%s", context);
  if (e->store[0] != '\0')
    lsp_print_fact(stdout, "store", "%s", e->store);
  if (e->model.wrapper.kind != LSP_WRAP_NONE)
    print_segments(e);
  if (e->plan.framing.tokens > 0)
    lsp_print_fact(stdout, "frames", "%s; %s token%s read again",
                   lsp_grouped(e->plan.frames, frames),
                   lsp_grouped(lsp_plan_read_again(&e->plan), tokens),
                   lsp_plan_read_again(&e->plan) == 1 ? " is" : "s are");
}

static void print_snapshots(const plan_estimate *e) {
  const plan_disk disk = lsp_plan_disk(e);
  char bytes[LSP_NUMBER_SIZE], slot[LSP_NUMBER_SIZE], text[WORDS_SIZE] = "";
  if (disk.states > 0)
    lsp_words_add(text, sizeof text, " (states: %s)", lsp_bytes(disk.states, bytes));
  if (disk.snapshot > 0)
    lsp_print_fact(
        stdout, "snapshots",
        "%s each in FILE.memory.h5%s, and %s in FILE.h5.slot while under way",
        lsp_bytes(disk.snapshot, bytes), text, lsp_bytes(disk.slot, slot));
}

/* Kept tiles that lie in a file of their own, which is gone at the end. */
static void print_scratch(const plan_estimate *e) {
  char bytes[LSP_NUMBER_SIZE], all[LSP_NUMBER_SIZE];
  const int64_t rank = e->sizes.scratch_bytes;
  if (rank > 0)
    lsp_print_fact(stdout, "scratch", "%s a rank in the folder of --scratch, %s in all",
                   lsp_bytes((double)rank, bytes),
                   lsp_bytes((double)rank * (double)e->request.ranks, all));
}

void lsp_plan_print(const plan_estimate *e) {
  char number[LSP_NUMBER_SIZE], tokens[LSP_NUMBER_SIZE], bytes[LSP_NUMBER_SIZE];
  print_head(e);
  print_frames(e);
  if (e->plan.frames > 1)
    lsp_print_fact(stdout, "longest", "%s rows, %d of them prefix",
                   lsp_grouped(e->request.longest, number), e->plan.framing.prefix);
  lsp_print_fact(stdout, "panels", "%s",
                 lsp_grouped(lsp_plan_panels(&e->plan), number));
  lsp_print_fact(stdout, "waves", "%s of %s tokens, a commit after each",
                 lsp_grouped(e->lending.waves, number),
                 lsp_grouped(e->wave_tokens, tokens));
  print_ranks(e);
  print_reach(e);
  print_whole(e);
  print_messages(e);
  print_quadratic(e);
  print_time(e);
  lsp_print_fact(stdout, "output", "%s with id and nll",
                 lsp_bytes(8.0 * (double)lsp_plan_tokens(&e->plan), bytes));
  print_snapshots(e);
  print_scratch(e);
  print_memory(e);
}
