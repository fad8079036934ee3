/* What a run is made of: a flat JSON object of strings, each in the stored form of
 * lsp/text.h. Two runs with the same identity write the same bytes. A resumed run must
 * have the identity of the first run, and a document continues from a snapshot only with
 * the model and memory that made it.
 *
 * Never in it: ranks, threads, waves, hosts, dates. */
#define XXH_INLINE_ALL
#include "engine_internal.h"
#include "picking.h"

#include "lsp/durable.h"
#include "lsp/json.h"
#include "lsp/text.h"
#include "lsp/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Changes when the definition of a kernel does, and with it bits. */
static const char kernels_version[] = "1";

enum { PAIRS_MAX = 32, VALUE_SIZE = 640 }; /* 32 ids, 64 layers */

typedef struct {
  const char *key[PAIRS_MAX];
  char value[PAIRS_MAX][VALUE_SIZE];
  int count;
} pairs;

static void __attribute__((format(printf, 3, 4)))
put(pairs *p, const char *key, const char *format, ...) {
  char text[VALUE_SIZE];
  va_list arguments;
  LSP_ASSERT(p->count < PAIRS_MAX);
  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  p->key[p->count] = key;
  (void)lsp_text_stored(text, p->value[p->count++], VALUE_SIZE);
}

static void hex(const unsigned char hash[16], char out[33]) {
  for (size_t i = 0; i < 16; i++)
    (void)snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

/* The ids that stand before every text, where an option chooses them. */
static void put_prefix(const lsp_model *m, pairs *p) {
  char ids[VALUE_SIZE] = "";
  for (int i = 0; i < m->prefixes; i++) {
    const size_t n = strlen(ids);
    (void)snprintf(ids + n, sizeof ids - n, "%s%d", i > 0 ? " " : "",
                   (int)m->prefix[i]);
  }
  put(p, "prefix_ids", "%s", ids);
}

/* What memory depends on: a snapshot can only be continued with the same. */
static void put_model(const lsp_run *e, pairs *p) {
  const lsp_model *m = &e->weights.model;
  char hash[33];
  hex(e->weights.hash, hash);
  put(p, "model_type", "%s", lsp_model_type(m));
  put(p, "model", "%s", hash);
  for (int i = 0; i < m->facts; i++)
    put(p, m->fact[i].key, "%s", m->fact[i].value);
  if (m->prefixes > 0)
    put(p, "prefix", "%d", m->prefixes);
  if (m->prefixes > 0 && m->no_bos == NULL)
    put_prefix(m, p);
  if (m->two_sided)
    put(p, "predicts", "own"); /* a row its own token */
  if (m->wrapper.kind != LSP_WRAP_NONE) {
    char words[LSP_WRAPPER_WORDS];
    lsp_wrapper_print(&m->wrapper, words);
    put(p, "segments", "%s", words);
  }
  if (e->text.has_tokenizer) {
    hex(e->text.tokenizer_hash, hash);
    put(p, "tokenizer", "%s", hash);
  }
  if (e->job.options->gemm == LSP_GEMM_PACKED) {
    put(p, "gemm", "packed");
  } else {
    put(p, "blas", "%s", lsp_blas_description());
    put(p, "blas_core", "%s", lsp_blas_core());
  }
  put(p, "kernels", "%s", kernels_version);
}

/* Ids alone do not say where they begin in the text, and what they stand for. */
static void put_tokenizer(const lsp_run *e, pairs *p) {
  static const char *const special[] = {"text", "parse"};
  char text[33];
  if (!e->text.is_tokenised)
    return;
  hex(e->text.text_hash, text);
  put(p, "text", "%s", text);
  put(p, "special_tokens", "%s", special[e->job.options->special_tokens]);
}

/* "id nll hidden hidden:0,6 chosen:6": each layer takes at most 7 bytes. */
static void write_in_words(const lsp_write *w, char text[VALUE_SIZE]) {
  int n =
      snprintf(text, VALUE_SIZE, "%s%s%s", (w->parts & LSP_WRITE_ID) != 0 ? "id" : "",
               (w->parts & LSP_WRITE_NLL) != 0 ? " nll" : "",
               (w->parts & LSP_WRITE_HIDDEN) != 0 ? " hidden" : "");
  for (int i = 0; i < w->layers; i++)
    n += snprintf(text + n, VALUE_SIZE - (size_t)n, "%s%d", i == 0 ? " hidden:" : ",",
                  w->layer[i]);
  for (int i = 0; i < w->chosen_layers; i++)
    n += snprintf(text + n, VALUE_SIZE - (size_t)n, "%s%d", i == 0 ? " chosen:" : ",",
                  w->chosen_layer[i]);
}

/* The numbers of a row of each chosen_N: "0:2x5 3:2x1", layer 0 for each of 2 key/value
 * heads 5 blocks. */
static void put_choices(const lsp_run *e, pairs *p) {
  const lsp_write *w = &e->job.write;
  char text[VALUE_SIZE] = "";
  int n = 0;
  for (int i = 0; i < w->chosen_layers; i++) {
    const lsp_layer *l = &e->weights.model.layer[w->chosen_layer[i]];
    n += snprintf(text + n, VALUE_SIZE - (size_t)n, "%s%d:%dx%d", i == 0 ? "" : " ",
                  w->chosen_layer[i], l->heads.shared,
                  lsp_choices_of(lsp_layer_chooser(l)));
  }
  if (n > 0)
    put(p, "chosen", "%s", text);
}

static void put_run(const lsp_run *e, const char *from_hash, pairs *p) {
  static const char *const when[] = {"last", "documents", "none"};
  char hash[33], write[VALUE_SIZE];
  hex(e->text.hash.hash, hash);
  put(p, "input", "%s", hash);
  put_tokenizer(e, p);
  put(p, "documents", "%lld", (long long)e->text.plan.documents);
  put(p, "tokens", "%lld", (long long)lsp_plan_tokens(&e->text.plan));
  write_in_words(&e->job.write, write);
  put(p, "write", "%s", write);
  put_choices(e, p);
  put(p, "snapshots", "%s",
      when[e->weights.model.two_sided ? LSP_SNAPSHOT_NONE : e->job.options->snapshots]);
  put(p, "snapshot_every", "%lld",
      (long long)lsp_max(0, e->job.options->snapshot_every));
  put(p, "from_snapshot", "%s", from_hash);
}

static char *pairs_json(const pairs *p) {
  json_t *object = json_object();
  int whole = 1;
  for (int i = 0; i < p->count; i++)
    whole &= json_object_set_new(object, p->key[i], json_string(p->value[i])) == 0;
  char *text = whole ? json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
  json_decref(object);
  return text;
}

/* --- the core of an earlier run -------------------------------------------------- */

void lsp_recorded_core(const lsp_run *e, char core[LSP_BLAS_NAME_SIZE]) {
  char path[4096], *text = NULL;
  json_t *identity = NULL;
  lsp_failure ignored; /* the store will say what is wrong with a journal */
  memset(core, 0, LSP_BLAS_NAME_SIZE);
  if (e->job.ctx->rank == 0 && e->job.options->resume &&
      lsp_store_beside(e->job.options->output, ".h5.journal", path, sizeof path,
                       &ignored) == LSP_OK &&
      lsp_journal_peek(path, &text, &ignored) == LSP_OK &&
      lsp_json_parse(path, text, strlen(text), &identity, &ignored) == LSP_OK) {
    const char *value = json_string_value(json_object_get(identity, "blas_core"));
    if (value != NULL && strcmp(value, "fixed") != 0)
      (void)snprintf(core, LSP_BLAS_NAME_SIZE, "%s", value);
    json_decref(identity);
  }
  free(text);
  lsp_bcast(e->job.ctx->comm, core, LSP_BLAS_NAME_SIZE);
}

/* --- the store ------------------------------------------------------------------- */

typedef struct {
  int64_t *bytes, *token_start, *document, *position;
  int64_t *layer_rows;
  const char **name;
  lsp_vocabulary_bytes vocabulary;
} arrays;

/* Of keys, and of values, in every layer. */
static int memory_width(const lsp_run *e) {
  const lsp_heads h = e->weights.model.layer[0].heads;
  return h.shared * h.width;
}

static lsp_status fill_arrays(const lsp_run *e, arrays *a) {
  const int64_t n = e->text.plan.documents, s = e->text.stops;
  a->bytes = malloc(((size_t)n + 1) * sizeof *a->bytes);
  a->token_start = malloc(((size_t)n + 1) * sizeof *a->token_start);
  a->name = malloc(((size_t)n + 1) * sizeof *a->name);
  a->document = malloc(((size_t)s + 1) * sizeof *a->document);
  a->position = malloc(((size_t)s + 1) * sizeof *a->position);
  a->layer_rows = malloc((size_t)e->weights.model.layers * sizeof *a->layer_rows);
  if (!a->bytes || !a->token_start || !a->name || !a->document || !a->position ||
      !a->layer_rows)
    return lsp_fail(&e->job.ctx->why, LSP_E_MEMORY,
                    "no memory for the list of documents");
  for (int64_t d = 0; d <= n; d++)
    a->token_start[d] = lsp_plan_document_start(&e->text.plan, d);
  LSP_TRY(lsp_written_vocabulary(e, &a->vocabulary));
  for (int64_t d = 0; d < n; d++) {
    const lsp_document doc = lsp_corpus_document(e->text.corpus, d);
    a->name[d] = doc.name;
    const int64_t bytes = lsp_written_text_bytes(e, &doc);
    a->bytes[d] = bytes >= 0 ? bytes : doc.tokens * doc.width;
  }
  for (int i = 0; i < e->weights.model.layers; i++)
    a->layer_rows[i] = lsp_sizes_layer_reach(&e->weights.model, i, e->span.sizes.reach);
  for (int64_t i = 0; i < s; i++) {
    a->document[i] = e->text.stop[i].document;
    a->position[i] = e->text.stop[i].position;
  }
  return LSP_OK;
}

static lsp_store_spec make_spec(const lsp_run *e, const arrays *a,
                                const lsp_attribute *attribute, int attributes,
                                const char *identity) {
  const int64_t w = e->job.write.parts;
  lsp_store_spec spec = {
      .path = e->job.options->output,
      .resume = e->job.options->resume != 0,
      .overwrite = e->job.options->overwrite != 0,
      .identity = identity,
      .plan = &e->text.plan,
      .output = {.tokens = lsp_plan_tokens(&e->text.plan),
                 .documents = e->text.plan.documents,
                 .panels = lsp_plan_panels(&e->text.plan),
                 .hidden_width = e->weights.model.width,
                 .write_id = (w & LSP_WRITE_ID) != 0,
                 .write_nll = (w & LSP_WRITE_NLL) != 0,
                 .write_hidden = (w & LSP_WRITE_HIDDEN) != 0,
                 .first_position = e->text.start_position,
                 .token_start = a->token_start,
                 .n_bytes = a->bytes,
                 .name = a->name,
                 .attribute = attribute,
                 .attributes = attributes},
      .memory = {.snapshots = e->text.stops,
                 .layers = e->weights.model.layers,
                 .rows = e->span.sizes.reach,
                 .fixed = e->span.sizes.fixed_rows + e->span.sizes.pooled_rows,
                 .pooled = e->span.sizes.pooled_rows,
                 .layer_rows = a->layer_rows,
                 .width = memory_width(e),
                 .part = e->kept.part,
                 .parts = e->kept.parts,
                 .hidden_width = e->weights.model.width,
                 .document = a->document,
                 .position = a->position,
                 .attribute = attribute,
                 .attributes = attributes}};
  spec.output.vocabulary = a->vocabulary.tokens;
  spec.output.vocabulary_start = a->vocabulary.start;
  spec.output.vocabulary_bytes = a->vocabulary.bytes;
  spec.output.write_starts = lsp_corpus_has_starts(e->text.corpus);
  spec.output.hidden_layers = e->job.write.layers;
  for (int i = 0; i < e->job.write.layers; i++)
    spec.output.hidden_layer[i] = e->job.write.layer[i];
  spec.output.chosen_layers = e->job.write.chosen_layers;
  spec.output.chosen_width = (int)lsp_written_choices(e);
  for (int i = 0; i < e->job.write.chosen_layers; i++)
    spec.output.chosen_layer[i] = e->job.write.chosen_layer[i];
  return spec;
}

/* The numbers of a record are those of a panel border of this corpus. */
static lsp_status check_commit(lsp_run *e) {
  const int64_t panels = e->progress.commit.panel_end,
                tokens = e->progress.commit.token_end;
  if (panels <= lsp_plan_panels(&e->text.plan) &&
      tokens == lsp_plan_tokens_before(&e->text.plan, panels))
    return LSP_OK;
  return lsp_fail(&e->job.ctx->why, LSP_E_FORMAT,
                  "%s: --resume refused: the journal says that %lld panels with %lld "
                  "tokens are done, which is no place in these texts; use --overwrite "
                  "to begin anew",
                  e->job.options->output, (long long)panels, (long long)tokens);
}

lsp_status lsp_run_open_store(lsp_run *e, const char *from_hash,
                              lsp_store_state *state) {
  pairs p = {.count = 0};
  lsp_attribute attribute[PAIRS_MAX];
  arrays a;
  memset(&a, 0, sizeof a);
  put_model(e, &p);
  put_run(e, from_hash, &p);
  for (int i = 0; i < p.count; i++)
    attribute[i] = (lsp_attribute){p.key[i], p.value[i]};
  char *identity = pairs_json(&p);
  lsp_status st = identity == NULL ? lsp_fail(&e->job.ctx->why, LSP_E_MEMORY,
                                              "no memory for the identity of the run")
                                   : fill_arrays(e, &a);
  st = lsp_agree(e->job.ctx, st);
  if (st == LSP_OK) {
    const lsp_store_spec spec = make_spec(e, &a, attribute, p.count, identity);
    st = lsp_store_open(e->job.ctx, &spec, &e->progress.store, state,
                        &e->progress.commit);
  }
  if (st == LSP_OK)
    st = check_commit(e);
  free(identity);
  free(a.bytes);
  free(a.token_start);
  free(a.name);
  free(a.document);
  free(a.position);
  free(a.layer_rows);
  free(a.vocabulary.start);
  free(a.vocabulary.bytes);
  return st;
}

/* --- continuing from a snapshot -------------------------------------------------- */

static const char *attribute_of(const lsp_memory_spec *m, const char *key) {
  for (int i = 0; i < m->attributes; i++)
    if (strcmp(m->attribute[i].key, key) == 0)
      return m->attribute[i].value;
  return "(none)";
}

static void keep_place(void *arg, const char *place) {
  char *first = arg;
  if (first[0] == '\0')
    (void)snprintf(first, VALUE_SIZE, "%s", place);
}

/* The last snapshot is as it was written. */
static lsp_status verify_snapshot(const lsp_run *e, const lsp_file_view *from) {
  const char *path = e->job.options->from_snapshot;
  lsp_failure *why = &e->job.ctx->why;
  char place[VALUE_SIZE] = "";
  if (!from->is_memory || from->memory.snapshots < 1)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: holds no memory snapshot; give the FILE.memory.h5 of a "
                    "finished run",
                    path);
  if (from->version < 2)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: an older longspan wrote it without checksums; make it again "
                    "with this one",
                    path);
  const lsp_verification v = {.path = path,
                              .fd = from->fd,
                              .bytes = from->bytes,
                              .extent = from->extent,
                              .memory = &from->memory,
                              .snapshot_first = from->memory.snapshots - 1,
                              .snapshot_end = from->memory.snapshots,
                              .parts = 1,
                              .damaged = keep_place,
                              .arg = place};
  LSP_TRY(lsp_verify_layout(&v, NULL, why));
  LSP_TRY(lsp_verify_memory(&v, why));
  if (place[0] == '\0')
    return LSP_OK;
  return lsp_fail(why, LSP_E_FORMAT,
                  "%s: damaged: %s; restore it from a copy, or make it anew", path,
                  place);
}

/* What is compared first: the model, and keys that not every file has, where what is absent
 * on one side counts, too. */
static const char *const optional[] = {"model_type", "model",      "gemm",    "context",
                                       "segment",    "mem_len",    "store",   "memory",
                                       "prefix",     "prefix_ids", "predicts"};

static const char *value_of(const pairs *p, const char *key) {
  for (int i = 0; i < p->count; i++)
    if (strcmp(p->key[i], key) == 0)
      return p->value[i];
  return "(none)";
}

static lsp_status same_value(const char *path, const char *key, const char *was,
                             const char *is, lsp_failure *why) {
  if (strcmp(was, is) == 0)
    return LSP_OK;
  if (strcmp(key, "gemm") == 0) { /* the library's products go without the key */
    was = strcmp(was, "(none)") == 0 ? "blas" : was;
    is = strcmp(is, "(none)") == 0 ? "blas" : is;
  }
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: was made with %s = %s, but this run has %s; continue with the "
                  "model and options that made it",
                  path, key, was, is);
}

/* As above, of means. */
static int has_pooled(const lsp_model *model, int64_t rows, int64_t position) {
  const int64_t needed = lsp_sizes_pooled(model, position);
  return rows == needed ||
         (rows > needed && lsp_sizes_pooled(model, INT64_MAX / 2) > needed);
}

/* The states of the file are those of the model, each of its shape. */
static lsp_status check_states(const lsp_run *e, const lsp_memory_spec *m) {
  const char *path = e->job.options->from_snapshot;
  lsp_failure *why = &e->job.ctx->why;
  if (m->parts != e->kept.parts)
    return lsp_fail(why, LSP_E_MISMATCH,
                    "%s: holds %d states, but the model needs %d; continue with the "
                    "model and options that made it",
                    path, m->parts, e->kept.parts);
  for (int i = 0; i < m->parts; i++) {
    char has[LSP_PART_WORDS], needs[LSP_PART_WORDS];
    if (lsp_part_same(&m->part[i], &e->kept.part[i]))
      continue;
    lsp_part_words(&m->part[i], has);
    lsp_part_words(&e->kept.part[i], needs);
    return lsp_fail(
        why, LSP_E_MISMATCH,
        "%s: its state %d is %s of layer %d, but the model needs %s of "
        "layer %d (-1: the model); continue with the model and options that "
        "made it",
        path, i, has, m->part[i].layer, needs, e->kept.part[i].layer);
  }
  return LSP_OK;
}

static lsp_status check_snapshot(const lsp_run *e, const lsp_file_view *from) {
  const char *path = e->job.options->from_snapshot;
  const lsp_memory_spec *m = &from->memory;
  lsp_failure *why = &e->job.ctx->why;
  pairs p = {.count = 0};
  put_model(e, &p);
  for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++)
    LSP_TRY(same_value(path, optional[i], attribute_of(m, optional[i]),
                       value_of(&p, optional[i]), why));
  for (int i = 0; i < p.count; i++)
    LSP_TRY(same_value(path, p.key[i], attribute_of(m, p.key[i]), p.value[i], why));
  const lsp_model *model = &e->weights.model;
  const int64_t position = m->position[m->snapshots - 1];
  LSP_TRY(check_states(e, m));
  /* What looks back without end needs all rows, however many that are. */
  const int64_t rows = lsp_sizes_reach(model, position);
  if (m->layers == model->layers && m->hidden_width == model->width &&
      m->width == memory_width(e) && m->fixed - m->pooled == lsp_sizes_fixed(model) &&
      has_pooled(model, m->pooled, position) &&
      (m->rows == rows ||
       (m->rows > rows && lsp_sizes_reach(model, INT64_MAX) == INT64_MAX)))
    return LSP_OK;
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: holds %d layers of %lld rows of width %d, but the model needs "
                  "%d layers of %lld rows of width %d; continue with the model and "
                  "options that made it",
                  path, m->layers, (long long)m->rows, m->width, model->layers,
                  (long long)rows, memory_width(e));
}

static lsp_status hash_range(const lsp_run *e, const lsp_file_view *from,
                             int64_t offset, int64_t bytes, XXH3_state_t *state) {
  enum { PIECE = 1 << 20 };
  char *piece = malloc(PIECE);
  lsp_status st = LSP_OK;
  if (piece == NULL)
    st = lsp_fail(&e->job.ctx->why, LSP_E_MEMORY, "%s: not enough memory to read it",
                  e->job.options->from_snapshot);
  for (int64_t at = 0; st == LSP_OK && at < bytes; at += PIECE) {
    const int64_t n = lsp_min(PIECE, bytes - at);
    st = lsp_read_at(from->fd, e->job.options->from_snapshot, piece, n, offset + at,
                     &e->job.ctx->why);
    if (st == LSP_OK)
      (void)XXH3_128bits_update(state, piece, (size_t)n);
  }
  free(piece);
  return st;
}

/* Rank 0: the last snapshot of the file; its position and hidden row are taken, its
 * content becomes part of the run's identity. */
static lsp_status take_snapshot(lsp_run *e, lsp_file_view *from, char from_hash[33]) {
  lsp_failure *why = &e->job.ctx->why;
  LSP_TRY(lsp_file_open(e->job.options->from_snapshot, from, why));
  LSP_TRY(verify_snapshot(e, from));
  LSP_TRY(check_snapshot(e, from));
  const int64_t last = from->memory.snapshots - 1;
  const lsp_extent *x = from->extent;
  unsigned char hash[16];
  XXH128_canonical_t canonical;
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  (void)XXH3_128bits_reset(&state);
  e->text.start_position = from->memory.position[last];
  (void)XXH3_128bits_update(&state, &e->text.start_position,
                            sizeof e->text.start_position);
  const int end = LSP_MEMORY_DATASETS + from->memory.parts;
  for (int i = LSP_SNAPSHOT_HIDDEN; i < end;
       i = i == LSP_SNAPSHOT_VALUES ? (int)LSP_MEMORY_DATASETS : i + 1)
    LSP_TRY(hash_range(e, from, x[i].offset + last * x[i].row_bytes, x[i].row_bytes,
                       &state));
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
  memcpy(hash, canonical.digest, sizeof hash);
  hex(hash, from_hash);
  return LSP_OK;
}

lsp_status lsp_snapshot_open(lsp_run *e, lsp_file_view *from, char from_hash[33]) {
  lsp_status st = LSP_OK;
  memset(from, 0, sizeof *from);
  from->fd = -1;
  (void)snprintf(from_hash, 33, "none");
  if (e->job.options->from_snapshot == NULL)
    return LSP_OK;
  if (e->job.ctx->rank == 0)
    st = take_snapshot(e, from, from_hash);
  LSP_TRY(lsp_agree(e->job.ctx, st));
  lsp_bcast(e->job.ctx->comm, &e->text.start_position, sizeof e->text.start_position);
  return lsp_file_share(e->job.ctx, e->job.options->from_snapshot, from);
}
