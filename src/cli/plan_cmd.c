/* longspan plan: what a run over a text takes on P ranks. Pure functions of the model, the
 * sizes of the documents and a few numbers, the same ones that the engine reserves by
 * (lsp/sizes.h). */
#include "cli.h"
#include "estimate.h"
#include "model_words.h"

#include "lsp/bos.h"
#include "lsp/json.h"
#include "lsp/layout.h"
#include "lsp/spool.h"

#include <stdlib.h>
#include <string.h>

/* Waves times ranks times rounds of borrowing whose loans are counted one by one. */
enum { BUDGET = 1 << 19 };

enum { FORMAT_TEXT, FORMAT_JSON };

#define ROW(kind, field, initial, low, high, argument, help)                           \
  {                                                                                    \
    LSP_OPTION_##kind, 0, #field, offsetof(plan_options, field), initial, low, high,   \
        argument, help                                                                 \
  }

static const lsp_option plan_option[] = {
    ROW(TEXT, model, 0, 0, 0, "DIR", "checkpoint: its config.json is enough"),
    ROW(INT, tokens, -1, 1, (int64_t)1 << 50, "N", "tokens of one document"),
    ROW(TEXT, input, 0, 0, 0, "INPUT",
        "a text, as for run, instead of --tokens; more INPUTs may follow"),
    ROW(WORDS, input_format, LSP_INPUT_AUTO, LSP_INPUT_TEXT, LSP_INPUT_LONGSPAN,
        "text|u16|u32|megatron|longspan", "as for run"),
    ROW(INT, ranks, -1, 1, 1 << 24, "P", "MPI ranks"),
    ROW(INT, threads, 1, 1, 4096, "N", "threads a rank (default: 1)"),
    ROW(INT, mem_len, -1, 0, 1 << 24, "N", "as for run"),
    ROW(INT, segment, -1, 1, 1 << 24, "N", "as for run"),
    ROW(TEXT, bos, 0, 0, 0, "template|none|ID", "as for run"),
    ROW(WORDS, special_tokens, LSP_TOKENS_TEXT, LSP_TOKENS_TEXT, LSP_TOKENS_PARSE,
        "text|parse", "as for run"),
    ROW(WORDS, mem_init, LSP_MEM_DEFAULT, LSP_MEM_ZEROS, LSP_MEM_EMPTY, "zeros|empty",
        "as for run"),
    ROW(TEXT, context, 0, 0, 0, "CONTEXT", "as for run"),
    ROW(TEXT, store, 0, 0, 0, "STORE", "as for run"),
    ROW(INT, wave_tokens, -1, 1, (int64_t)1 << 40, "N", "as for run"),
    ROW(SIZE, memory, -1, 1 << 20, (int64_t)1 << 50, "SIZE", "as for run"),
    ROW(TEXT, scratch, 0, 0, 0, "DIR", "as for run"),
    ROW(INT, rate, -1, 1, 1000000000, "GFLOPS",
        "GFLOP/s that a rank reaches (default: 40 a thread)"),
    ROW(TEXT, like, 0, 0, 0, "FILE.run.json",
        "take what a thread reaches from a run on such a machine"),
    ROW(WORDS, format, FORMAT_TEXT, FORMAT_TEXT, FORMAT_JSON, "text|json",
        "how to say it (default: text)"),
};

static const lsp_command plan_command = {
    .usage = "longspan plan --model DIR --ranks P [options] --tokens N\n"
             "       longspan plan --model DIR --ranks P [options] INPUT...",
    .about =
        "Says what a run takes on P ranks, over one document of N tokens or over the "
        "INPUTs as run would take them (of which only the sizes are read, but for text "
        "that "
        "a tokenizer must cut): waves, "
        "memory, messages, work, and what of it grows with the square of the text. "
        "Runs "
        "nothing.\n\n"
        "--format json has the same numbers under keys that stay. As in FILE.run.json: "
        "ranks, threads, layers, wave_tokens, flops, visits (products of a block of "
        "queries with a tile; where blocks are picked, the most there can be), "
        "messages_ and bytes_a_layer_and_wave, messages_ and bytes_sent (of the rank "
        "that has most), loans (of all ranks, by kind), planned_bytes. Beside them: "
        "model_type, tokens, documents, context, store, segments (of a model with a "
        "memory around it), frames, tokens_read_again, memory_tokens (rows beside "
        "segments), longest_rows (prefix and text), prefix, panels, waves, idle_ranks, "
        "scratch_bytes_a_rank (kept tiles, in the folder of --scratch); "
        "causal; "
        "full_layers (which look back without end, at every position before or at "
        "means of all), flops_of_full_layers, full_kept_bytes and "
        "full_kept_bytes_a_rank; one_wave_layers (which need all of a document at "
        "once), picking_layers (which look at blocks one by one), pooled_rows (of "
        "each layer and stratum), state_bytes (that are handed along the text), "
        "snapshot_bytes and slot_bytes (on disk); flops_outside_attention, "
        "flops_of_attention, "
        "flops_per_second, seconds; lending_is_exact (false: bounds), "
        "picked_messages_a_layer_and_wave and picked_bytes_a_layer_and_wave (of the "
        "rank that sends "
        "most "
        "of picked blocks, which comes on top: bounds); rank_bytes, "
        "node_bytes, both also _by_part, and least_rank_bytes (of the smallest wave). "
        "null: not counted.",
    .option = plan_option,
    .options = sizeof plan_option / sizeof plan_option[0]};

/* --- what is asked for ----------------------------------------------------------- */

static lsp_status check_options(const plan_options *o, int inputs, const char **input,
                                lsp_failure *why) {
  if (o->model == NULL || o->ranks < 0 || (o->tokens < 0 && inputs == 0))
    return lsp_fail(why, LSP_E_USAGE,
                    "plan needs --model DIR, --ranks P and --tokens N or INPUTs");
  if (o->tokens > 0 && inputs > 0)
    return lsp_fail(why, LSP_E_USAGE,
                    "--tokens and %.200s exclude each other: give a number or a text",
                    input[0]);
  if (o->rate > 0 && o->like != NULL)
    return lsp_fail(why, LSP_E_USAGE, "--rate and --like exclude each other");
  for (int i = 0; i < inputs; i++)
    if (strcmp(input[i], "-") == 0)
      return lsp_fail(why, LSP_E_USAGE,
                      "plan does not read standard input; give the text as a file, or "
                      "--tokens N");
  return LSP_OK;
}

/* The model must have a use for what a run would read. */
static lsp_status check_text(const plan_estimate *e, lsp_failure *why) {
  const plan_options *o = e->options;
  return lsp_sizes_positions(&e->model, o->model, &e->context,
                             lsp_plan_longest(&e->plan), why);
}

/* The tokenizer of the model, and what it puts before a text; texts: they are read, too.
 * One that cannot be read is in the way only if it is needed, as in a run. */
static lsp_status open_tokenizer(plan_estimate *e, int texts, lsp_failure *why) {
  const plan_options *o = e->options;
  const int text =
      texts && (o->input_format == LSP_INPUT_AUTO || o->input_format == LSP_INPUT_TEXT);
  lsp_status st = LSP_OK;
  if (!e->model.bytes_tokenizer)
    st = lsp_tokenizer_of(o->model, &e->tokenizer, why);
  if (st == LSP_OK && e->tokenizer != NULL)
    st = lsp_tokenizer_fits(e->tokenizer, o->model, e->model.words.size, why);
  if (st != LSP_OK && (text || lsp_bos_needs_tokenizer(o->bos, &e->model)))
    return st;
  if (st != LSP_OK)
    lsp_tokenizer_close(&e->tokenizer);
  return lsp_bos_apply(o->bos, e->tokenizer, &e->model, why);
}

/* Tokens of each document: text that the tokenizer must cut is read, of all else the
 * sizes are known. */
static lsp_status count_tokens(plan_estimate *e, int64_t *tokens, lsp_failure *why) {
  const plan_options *o = e->options;
  const lsp_reader reader = {o->model, e->model.bytes_tokenizer, e->tokenizer != NULL};
  LSP_TRY(lsp_reader_takes(&reader, e->corpus, why));
  for (int64_t d = 0; d < lsp_corpus_count(e->corpus); d++) {
    const lsp_document document = lsp_corpus_document(e->corpus, d);
    tokens[d] = document.tokens;
    if (e->tokenizer != NULL && lsp_is_text(&document))
      LSP_TRY(lsp_tokenizer_count(e->tokenizer, (lsp_special)o->special_tokens,
                                  e->corpus, d, &tokens[d], why));
  }
  return LSP_OK;
}

static lsp_status plan_documents(plan_estimate *e, int64_t n, const int64_t *tokens,
                                 lsp_failure *why) {
  lsp_framing framing;
  LSP_TRY(lsp_sizes_framing(&e->context, &e->model.wrapper, e->model.prefixes, &framing,
                            why));
  framing.own = e->model.two_sided;
  return lsp_plan_open(&e->plan, n, tokens, 0, framing, why);
}

static lsp_status plan_corpus(plan_estimate *e, lsp_failure *why) {
  const int64_t n = lsp_corpus_count(e->corpus);
  int64_t *tokens = malloc(((size_t)n + 1) * sizeof *tokens);
  if (tokens == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for %lld documents", (long long)n);
  lsp_status st = count_tokens(e, tokens, why);
  if (st == LSP_OK)
    st = plan_documents(e, n, tokens, why);
  free(tokens);
  return st;
}

static lsp_status open_text(plan_estimate *e, int inputs, const char **input,
                            lsp_failure *why) {
  const plan_options *o = e->options;
  const lsp_corpus_spec spec = {.format = (lsp_input_format)o->input_format,
                                .inputs = input,
                                .input_count = inputs,
                                .hdf5_reader = lsp_output_documents};
  if (inputs == 0)
    return plan_documents(e, 1, &o->tokens, why);
  LSP_TRY(lsp_corpus_open(&spec, &e->corpus, why));
  return plan_corpus(e, why);
}

/* --- what it takes --------------------------------------------------------------- */

/* Bytes of what a node has one copy of beside the weights: the list of documents (of one
 * that is not there, about), where they begin, and the hashes of their chunks. */
static lsp_status size_tables(plan_estimate *e, lsp_failure *why) {
  enum { LIST = 256, WORD = sizeof(float) };
  void *packed = NULL;
  size_t list = LIST;
  int64_t chunks = lsp_divide_up(lsp_plan_tokens(&e->plan), LSP_CHUNK_TOKENS);
  if (e->corpus != NULL) {
    LSP_TRY(lsp_corpus_pack(e->corpus, &packed, &list, why));
    chunks = 0;
    for (int64_t d = 0; d < e->plan.documents; d++)
      chunks += lsp_divide_up(lsp_plan_document_start(&e->plan, d + 1) -
                                  lsp_plan_document_start(&e->plan, d),
                              LSP_CHUNK_TOKENS);
  }
  free(packed);
  e->request.tables =
      lsp_divide_up((int64_t)list, WORD) * WORD +
      lsp_plan_numbers(&e->plan.framing, e->plan.documents, e->plan.frames) *
          (int64_t)sizeof(int64_t) +
      lsp_max(chunks, 1) * (int64_t)sizeof(lsp_chunk_hash);
  return LSP_OK;
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

static lsp_status find_rate(plan_estimate *e, lsp_failure *why) {
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

/* Rows of all frames that predict nothing, but for what stands before a text: tokens that
 * are read again; in segments all that stands around them, too. */
static int64_t rows_beside(const plan_estimate *e) {
  const lsp_plan *p = &e->plan;
  int64_t rows = 0;
  if (e->model.wrapper.kind == LSP_WRAP_NONE)
    return lsp_plan_read_again(p);
  for (int64_t f = 0; f < p->frames; f++)
    if (lsp_plan_tokens_of(p, f) > 0)
      rows += lsp_plan_end(p, f) - lsp_plan_begin(p, f) - lsp_plan_tokens_of(p, f);
  return rows;
}

/* Layers that see alike work alike. */
static void add_work(plan_estimate *e) {
  const lsp_model *m = &e->model;
  e->outside = (double)lsp_plan_tokens(&e->plan) * lsp_model_flops_per_token(m) +
               (double)rows_beside(e) * lsp_model_flops_of_layers(m);
  for (int i = 0; i < m->layers; i++) {
    if (!lsp_words_is_first(m, i))
      continue;
    const plan_work one = lsp_plan_work(m, i, &e->plan);
    int alike = 0;
    for (int k = i; k < m->layers; k++)
      alike += lsp_words_alike(m, i, k);
    e->within += alike * one.flops;
    if (lsp_words_is_endless(m, 0, i))
      e->quadratic += alike * one.flops;
    e->visits = one.visits < 0 || e->visits < 0 ? -1 : e->visits + alike * one.visits;
  }
}

/* How much a layer has to count, in layers that borrow once from few ranks: rounds, sides,
 * and means that come from all ranks since they are from waves ago. */
static int64_t loans_of(const plan_estimate *e, int i) {
  const lsp_layer_sizes *y = &e->layer[i];
  const int64_t room = lsp_max(1, y->room), ranks = e->request.ranks;
  const int64_t tiles =
      y->in_rounds ? lsp_divide_up(e->request.longest, LSP_BLOCK) : y->tiles;
  int64_t loans = lsp_max(1, lsp_divide_up(tiles, room));
  if (e->model.two_sided)
    loans *= ranks;
  for (int s = 0; s < y->strata; s++) {
    const lsp_stratum_sizes *t = &y->stratum[s];
    const int far = t->reach > e->sizes.wave_rows / t->is.unit;
    loans += far ? lsp_max(1, ranks / 4) : 1;
  }
  return loans;
}

static int64_t budget_of(const plan_estimate *e) {
  int64_t most = 1;
  for (int i = 0; i < e->model.layers; i++)
    most = lsp_max(most, loans_of(e, i));
  return BUDGET / most;
}

/* Tokens of a wave with one before it and one after it, if there is one. 0: texts without a
 * token have none. */
static int64_t tokens_of_wave(const plan_estimate *e) {
  if (e->lending.waves == 0)
    return 0;
  lsp_range wave = lsp_sizes_wave(&e->model, &e->plan, 0, e->sizes.wave_rows);
  if (e->lending.waves > 2)
    wave = lsp_sizes_wave(&e->model, &e->plan, wave.end, e->sizes.wave_rows);
  return lsp_plan_tokens_before(&e->plan, wave.end) -
         lsp_plan_tokens_before(&e->plan, wave.first);
}

/* 1: the run cuts text into tokens, and writes where they begin. */
static int cuts_text(const plan_estimate *e) {
  const int64_t format = e->options->input_format;
  if (e->tokenizer == NULL)
    return 0;
  if (e->corpus == NULL)
    return format == LSP_INPUT_AUTO || format == LSP_INPUT_TEXT;
  const lsp_document first = lsp_corpus_document(e->corpus, 0);
  return lsp_is_text(&first);
}

static lsp_status size_run(plan_estimate *e, lsp_failure *why) {
  const plan_options *o = e->options;
  const lsp_sizing z = {&e->model, e->layer, &e->plan, &e->request};
  e->request = (lsp_request){.wave_tokens = o->wave_tokens,
                             .memory = o->memory,
                             .scratch = o->scratch != NULL,
                             .ranks = o->ranks,
                             .threads = o->threads,
                             .longest = lsp_plan_longest(&e->plan),
                             .starts = cuts_text(e)};
  LSP_TRY(size_tables(e, why));
  LSP_TRY(lsp_sizes_layers(&e->model, e->request.longest, o->ranks, e->layer, why));
  LSP_TRY(lsp_sizes_choose(&z, &e->sizes, why));
  LSP_TRY(lsp_sizes_lending(&z, e->sizes.wave_rows, budget_of(e), &e->lending, why));
  e->least_memory = lsp_sizes_least(&z);
  e->wave_tokens = tokens_of_wave(e);
  return LSP_OK;
}

static lsp_status estimate(plan_estimate *e, int inputs, const char **input,
                           lsp_failure *why) {
  const plan_options *o = e->options;
  lsp_choices choices = {
      .mem_len = o->mem_len, .segment = o->segment, .mem_init = o->mem_init};
  LSP_TRY(lsp_context_parse(o->context, &e->context, why));
  choices.context = e->context;
  LSP_TRY(lsp_recall_parse(o->store, &choices.recall, why));
  if (o->store != NULL)
    lsp_recall_print(&choices.recall, e->store);
  LSP_TRY(lsp_words_model(o->model, &choices, &e->model, why));
  e->layer = calloc((size_t)e->model.layers, sizeof *e->layer);
  if (e->layer == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for %d layers", e->model.layers);
  LSP_TRY(find_rate(e, why));
  LSP_TRY(open_tokenizer(e, inputs > 0, why));
  LSP_TRY(open_text(e, inputs, input, why));
  LSP_TRY(check_text(e, why));
  LSP_TRY(size_run(e, why));
  lsp_words_learned(o->model, &e->model,
                    &e->spans); /* sizes are those of the longest */
  add_work(e);
  return LSP_OK;
}

static lsp_status plan_run(const plan_options *o, int inputs, const char **input,
                           lsp_failure *why) {
  plan_estimate e;
  memset(&e, 0, sizeof e);
  e.options = o;
  LSP_TRY(check_options(o, inputs, input, why));
  lsp_status st = estimate(&e, inputs, input, why);
  if (st == LSP_OK && o->format == FORMAT_JSON)
    st = lsp_plan_print_json(&e, why);
  else if (st == LSP_OK)
    lsp_plan_print(&e);
  lsp_plan_close(&e.plan);
  lsp_corpus_close(&e.corpus);
  lsp_tokenizer_close(&e.tokenizer);
  free(e.layer);
  lsp_model_close(&e.model);
  free(e.spans);
  return st;
}

int lsp_cmd_plan(int argc, char **argv) {
  plan_options options;
  lsp_failure why = {0};
  int inputs = 0;
  if (lsp_answered(stdout, &plan_command, argc, argv))
    return 0;
  /* input[0] is kept for --input */
  const char **input = calloc((size_t)argc + 2, sizeof *input);
  lsp_status st = input != NULL ? LSP_OK : lsp_fail(&why, LSP_E_MEMORY, "no memory");
  if (st == LSP_OK)
    st = lsp_parse(&plan_command, argc, argv, &options, input + 1, &inputs, &why);
  if (st == LSP_OK) {
    const int given = options.input != NULL;
    input[0] = options.input;
    st = plan_run(&options, inputs + given, input + !given, &why);
  }
  free(input);
  return st == LSP_OK ? 0 : lsp_complain(&why);
}
