/* longspan verify: files that lie on a disk for years, against the sums within them, and
 * against the model and the text that they were made from.
 *
 * What must hold: a file is only said to be right when every byte of it is under a sum
 * that was compared. */
#include "cli.h"

#include "lsp/corpus.h"
#include "lsp/model.h"
#include "lsp/safetensors.h"
#include "lsp/sizes.h"
#include "lsp/store.h"
#include "lsp/text.h"
#include "lsp/verify.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEX = 33, PATH_SIZE = 4096, PLACES_SAID = 100 };

typedef struct {
  const char *model;
  int64_t input_format;
} verify_options;

static const lsp_option verify_option[] = {
    {LSP_OPTION_TEXT, 0, "model", offsetof(verify_options, model), 0, 0, 0, "DIR",
     "the checkpoint that they should have been made with"},
    {LSP_OPTION_WORDS, 0, "input_format", offsetof(verify_options, input_format),
     LSP_INPUT_AUTO, LSP_INPUT_TEXT, LSP_INPUT_LONGSPAN,
     "text|u16|u32|megatron|longspan",
     "what the INPUTs are (default: by name, else "
     "text)"},
};

static const lsp_command verify_command = {
    .usage = "longspan verify [--model DIR] FILE... [-- INPUT...]",
    .about =
        "Reads finished outputs FILE.h5 and memory files FILE.memory.h5 and compares "
        "every byte with the checksums that lie in them. With --model and INPUTs "
        "(files, folders, @LIST, as they were given to run) it also tells whether "
        "they were made from these. What is damaged is said, a line a place. Exit "
        "status: 0 all is right, 1 something is not, 2 wrong usage.",
    .option = verify_option,
    .options = sizeof verify_option / sizeof verify_option[0]};

/* What all files are compared with; "": not asked for. */
typedef struct {
  char model[HEX], config[LSP_FACT_SIZE], input[HEX];
} expected;

typedef struct {
  const char *path;
  int64_t places;
} findings;

static const char advice_for_damage[] = "restore the file from a copy, or make it anew";

static void say(const char *path, const char *place, const char *advice) {
  lsp_failure line = {0};
  (void)lsp_fail(&line, LSP_E_FORMAT, "%s: %s; %s", path, place, advice);
  (void)lsp_complain(&line);
}

static void add_place(void *arg, const char *place) {
  findings *f = arg;
  if (f->places++ < PLACES_SAID)
    say(f->path, place, advice_for_damage);
}

/* --- the sums within ------------------------------------------------------------- */

static lsp_status verify_memory(lsp_verification v, const lsp_file_view *view,
                                lsp_failure *why) {
  v.snapshot_end = view->memory.snapshots;
  return lsp_verify_memory(&v, why);
}

/* What the file says of itself; NULL: nothing. */
static const char *attribute_of(const lsp_file_view *view, const char *key) {
  const lsp_attribute *list =
      view->is_memory ? view->memory.attribute : view->output.attribute;
  const int n = view->is_memory ? view->memory.attributes : view->output.attributes;
  for (int i = 0; i < n; i++)
    if (strcmp(list[i].key, key) == 0)
      return list[i].value;
  return NULL;
}

/* Rows before each document's text; -1: no number of them. */
static int prefix_of(const lsp_file_view *view) {
  const char *text = attribute_of(view, "prefix");
  char *end = NULL;
  if (text == NULL)
    return 0;
  const long n = strtol(text, &end, 10);
  return end != text && *end == '\0' && n >= 0 && n <= LSP_PREFIX_MAX ? (int)n : -1;
}

/* How its documents were cut into frames; 0: its attributes do not say so. */
static int framing_of(const lsp_file_view *view, lsp_framing *framing) {
  const int prefix = prefix_of(view);
  const char *text = attribute_of(view, "context");
  const char *predicts = attribute_of(view, "predicts");
  lsp_context context;
  lsp_wrapper wrapper;
  if (prefix < 0 || lsp_context_parse(text, &context, NULL) != LSP_OK ||
      !lsp_wrapper_parse(attribute_of(view, "segments"), &wrapper) ||
      lsp_sizes_framing(&context, &wrapper, prefix, framing, NULL) != LSP_OK)
    return 0;
  framing->own = predicts != NULL && strcmp(predicts, "own") == 0;
  return 1;
}

/* 1: there can be as many panels as the file says. A frame with a token has at least one,
 * so that a plan does not become larger than what lies in the file. */
static int may_have_panels(const lsp_output_spec *s, const lsp_framing *framing,
                           const int64_t *tokens) {
  int64_t frames = 0;
  for (int64_t d = 0; d < s->documents; d++)
    frames += tokens[d] > 0 ? lsp_framing_frames(framing, d, tokens[d]) : 0;
  return frames <= s->panels;
}

static lsp_status verify_output(lsp_verification v, const lsp_file_view *view,
                                lsp_failure *why) {
  static const char wrong_rows[] =
      "/integrity/panel_xxh3 has not as many rows as there are panels";
  const lsp_output_spec *s = &view->output;
  lsp_framing framing;
  lsp_plan plan;
  if (!framing_of(view, &framing)) {
    v.damaged(v.arg,
              "its attributes \"prefix\", \"context\" and \"segments\" do not say "
              "what its frames are");
    return LSP_OK;
  }
  const int64_t first = lsp_framing_continue(&framing, s->first_position);
  int64_t *tokens = malloc(((size_t)s->documents + 1) * sizeof *tokens);
  if (tokens == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for its documents",
                    v.path);
  for (int64_t d = 0; d < s->documents; d++)
    tokens[d] = s->token_start[d + 1] - s->token_start[d];
  if (!may_have_panels(s, &framing, tokens)) {
    free(tokens);
    v.damaged(v.arg, wrong_rows);
    return LSP_OK;
  }
  lsp_status st = lsp_plan_open(&plan, s->documents, tokens, first, framing, why);
  free(tokens);
  LSP_TRY(st);
  v.plan = &plan;
  v.panel_end = lsp_plan_panels(&plan);
  v.token_end = s->tokens;
  v.documents = s->documents;
  v.name = s->name;
  if (v.panel_end == s->panels)
    st = lsp_verify_output(&v, why);
  else
    v.damaged(v.arg, wrong_rows);
  lsp_plan_close(&plan);
  return st;
}

static lsp_status verify_sums(const lsp_file_view *view, findings *f,
                              lsp_failure *why) {
  const lsp_verification v = {.path = f->path,
                              .fd = view->fd,
                              .bytes = view->bytes,
                              .extent = view->extent,
                              .memory = view->is_memory ? &view->memory : NULL,
                              .parts = 1,
                              .damaged = add_place,
                              .arg = f};
  LSP_TRY(lsp_verify_layout(&v, NULL, why));
  return view->is_memory ? verify_memory(v, view, why) : verify_output(v, view, why);
}

/* --- what they were made from ---------------------------------------------------- */

static void put_hex(const unsigned char hash[16], char out[HEX]) {
  for (size_t i = 0; i < 16; i++)
    (void)snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

/* What the configuration makes of the weights. What options decide, too, is not compared:
 * a run may have been given others. */
static lsp_status hash_config(const char *dir, expected *e, lsp_failure *why) {
  const lsp_choices none = {.mem_len = -1, .segment = -1};
  lsp_model model = {0};
  char *text = NULL;
  LSP_TRY(lsp_model_text(dir, &text, why));
  const lsp_status st = lsp_model_describe(dir, text, &none, &model, why);
  for (int i = 0; i < model.facts && st == LSP_OK; i++)
    if (strcmp(model.fact[i].key, "config") == 0)
      (void)snprintf(e->config, sizeof e->config, "%s", model.fact[i].value);
  lsp_model_close(&model);
  free(text);
  return st;
}

static lsp_status hash_model(const char *dir, expected *e, lsp_failure *why) {
  lsp_checkpoint *c = NULL;
  unsigned char hash[16];
  LSP_TRY(hash_config(dir, e, why));
  LSP_TRY(lsp_checkpoint_open(dir, &c, why));
  const lsp_status st = lsp_checkpoint_hash(c, hash, why);
  lsp_checkpoint_close(&c);
  if (st == LSP_OK)
    put_hex(hash, e->model);
  return st;
}

static lsp_status hash_chunks(lsp_corpus *c, char out[HEX], lsp_failure *why) {
  const int64_t chunks = lsp_corpus_chunks(c);
  unsigned char hash[16];
  lsp_chunk_hash *chunk = malloc(((size_t)chunks + 1) * sizeof *chunk);
  if (chunk == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "not enough memory for the text's hashes");
  lsp_status st = lsp_corpus_hash_chunks(c, 0, chunks, chunk, why);
  if (st == LSP_OK)
    st = lsp_corpus_hash(c, chunk, hash, why);
  free(chunk);
  if (st == LSP_OK)
    put_hex(hash, out);
  return st;
}

static lsp_status hash_text(int64_t format, const char *const *input, int inputs,
                            char out[HEX], lsp_failure *why) {
  const lsp_corpus_spec spec = {.format = (lsp_input_format)format,
                                .inputs = input,
                                .input_count = inputs,
                                .hdf5_reader = lsp_output_documents};
  lsp_corpus *c = NULL;
  LSP_TRY(lsp_corpus_open(&spec, &c, why));
  const lsp_status st = hash_chunks(c, out, why);
  lsp_corpus_close(&c);
  return st;
}

static void compare(findings *f, const lsp_file_view *view, const char *key,
                    const char *what, const char *is) {
  const char *was = attribute_of(view, key);
  char place[256];
  if (is[0] == '\0' || (was != NULL && strcmp(was, is) == 0))
    return;
  (void)snprintf(place, sizeof place, "made from another %s: %.64s, and this one is %s",
                 what, was != NULL ? was : "(not recorded)", is);
  say(f->path, place, "give the one that it was made from");
  f->places++;
}

/* --- files ----------------------------------------------------------------------- */

/* A run under way is verified when it is resumed: only it knows what is committed. */
static lsp_status explain(const char *path, lsp_failure *why) {
  char journal[PATH_SIZE];
  const size_t n = strlen(path);
  const int is_part = n > 5 && strcmp(path + n - 5, ".part") == 0;
  const int is_begun =
      access(path, F_OK) != 0 &&
      lsp_store_beside(path, ".h5.journal", journal, sizeof journal, NULL) == LSP_OK &&
      access(journal, F_OK) == 0;
  if (is_part || is_begun)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: not finished; `longspan run --resume` verifies what is "
                    "committed before it resumes",
                    path);
  return LSP_OK;
}

static lsp_status verify_opened(const lsp_file_view *view, const expected *e,
                                findings *f, lsp_failure *why) {
  char n[LSP_NUMBER_SIZE], m[LSP_NUMBER_SIZE];
  if (view->version < 2)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: an older longspan wrote it, without checksums of all of it; "
                    "make it anew with this one",
                    f->path);
  LSP_TRY(verify_sums(view, f, why));
  compare(f, view, "model", "model", e->model);
  compare(f, view, "config", "config.json", e->config);
  compare(f, view, "input", "text", e->input);
  if (f->places > PLACES_SAID)
    say(f->path, "more places are damaged than are listed here", "take a copy");
  if (f->places > 0)
    return LSP_OK;
  if (view->is_memory)
    lsp_print_line(stdout, "%s: all right: %s snapshot%s", f->path,
                   lsp_grouped(view->memory.snapshots, n),
                   view->memory.snapshots == 1 ? "" : "s");
  else
    lsp_print_line(stdout, "%s: all right: %s tokens in %s document%s", f->path,
                   lsp_grouped(view->output.tokens, n),
                   lsp_grouped(view->output.documents, m),
                   view->output.documents == 1 ? "" : "s");
  return LSP_OK;
}

/* Where HDF5 finds its way through the file no longer, nothing can be compared. */
static lsp_status open_file(const char *path, lsp_file_view *view, lsp_failure *why) {
  lsp_failure reason = {0};
  LSP_TRY(explain(path, why));
  const lsp_status st = lsp_file_open(path, view, &reason);
  if (st == LSP_E_FORMAT)
    return lsp_fail(why, st, "%s; %s", reason.text, advice_for_damage);
  *why = reason;
  return st;
}

/* 1 if the file is right. */
static int verify_file(const char *path, const expected *e) {
  findings f = {path, 0};
  lsp_failure why = {0};
  lsp_file_view view;
  lsp_status st = open_file(path, &view, &why);
  if (st == LSP_OK) {
    st = verify_opened(&view, e, &f, &why);
    lsp_file_close(&view);
  }
  if (st != LSP_OK)
    (void)lsp_complain(&why);
  return st == LSP_OK && f.places == 0;
}

/* Where `--` stands; argc if it does not. */
static int end_of_options(int argc, char **argv) {
  int i = 1;
  while (i < argc && strcmp(argv[i], "--") != 0)
    i++;
  return i;
}

static lsp_status expect(const verify_options *o, int inputs, char **input, expected *e,
                         lsp_failure *why) {
  for (int i = 0; i < inputs; i++)
    if (strcmp(input[i], "-") == 0)
      return lsp_fail(why, LSP_E_USAGE,
                      "verify does not read standard input; give the text as a file");
  if (o->model != NULL)
    LSP_TRY(hash_model(o->model, e, why));
  if (inputs > 0)
    LSP_TRY(
        hash_text(o->input_format, (const char *const *)input, inputs, e->input, why));
  return LSP_OK;
}

int lsp_cmd_verify(int argc, char **argv) {
  verify_options options;
  expected e = {"", "", ""};
  lsp_failure why = {0};
  int files = 0, right = 1;
  const int end = end_of_options(argc, argv);
  const int inputs = end < argc ? argc - end - 1 : 0;
  if (lsp_answered(stdout, &verify_command, end, argv))
    return 0;
  const char **file = calloc((size_t)argc + 1, sizeof *file);
  lsp_status st = file != NULL ? LSP_OK : lsp_fail(&why, LSP_E_MEMORY, "no memory");
  if (st == LSP_OK)
    st = lsp_parse(&verify_command, end, argv, &options, file, &files, &why);
  if (st == LSP_OK && files == 0)
    st = lsp_fail(&why, LSP_E_USAGE,
                  "verify takes FILE.h5 and FILE.memory.h5 files; the texts follow "
                  "after --");
  if (st == LSP_OK)
    st = expect(&options, inputs, argv + argc - inputs, &e, &why);
  for (int i = 0; i < files && st == LSP_OK; i++)
    right = verify_file(file[i], &e) && right;
  free(file);
  if (st != LSP_OK)
    return lsp_complain(&why);
  return right ? 0 : lsp_exit_status(LSP_E_FORMAT);
}
