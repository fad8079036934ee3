/* Is what lies there of this run? Identities compared, in words. Rank 0 alone; reads
 * only.
 *
 * An identity is a flat JSON object of strings. The journal's has one key more,
 * "layout": the hashes of the skeletons. */
#include "lsp/store.h"

#include "lsp/json.h"
#include "store_internal.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* --- what differs, in words ------------------------------------------------------ */

/* A value for a message: from the place where two differ, and not all of it. */
enum { SHOWN = 40 };

/* Of UTF-8. */
static int is_within_character(char c) {
  return ((unsigned char)c & 0xc0u) == 0x80u;
}

static void show(const char *text, size_t from, char out[SHOWN + 8]) {
  const size_t n = strlen(text);
  const size_t begin = from < n ? from : n;
  const size_t rest = n - begin;
  size_t shown = rest > SHOWN ? SHOWN : rest;
  while (shown > 0 && is_within_character(text[begin + shown]))
    shown--;
  (void)snprintf(out, SHOWN + 8, "%s%.*s%s", begin > 0 ? ".." : "", (int)shown,
                 text + begin, rest > shown ? ".." : "");
}

/* Where two long texts come to differ, a little before. */
static size_t first_difference(const char *x, const char *y) {
  size_t i = 0;
  while (x[i] != '\0' && x[i] == y[i])
    i++;
  size_t from = i < SHOWN ? 0 : i - 8;
  while (from > 0 && is_within_character(x[from]))
    from--;
  return from;
}

/* "WHAT was X and is now Y", of two texts that differ. */
static lsp_status differs(const lsp__opening *o, const char *what, const char *was,
                          const char *is) {
  char before[SHOWN + 8], after[SHOWN + 8];
  const size_t from = first_difference(was, is);
  show(was, from, before);
  show(is, from, after);
  return lsp_fail(o->why, LSP_E_MISMATCH,
                  "%s: --resume refused: %s was %s and is now %s; nothing was changed",
                  o->names.output.at, what, before, after);
}

static lsp_status number_differs(const lsp__opening *o, const char *what, int64_t was,
                                 int64_t is) {
  char before[24], after[24];
  (void)snprintf(before, sizeof before, "%lld", (long long)was);
  (void)snprintf(after, sizeof after, "%lld", (long long)is);
  return differs(o, what, before, after);
}

/* key of the identity, what another value of it means */
#define KEY_TABLE(X)                                                                   \
  X("model", "the model is another: ")                                                 \
  X("input", "the text is another: ")                                                  \
  X("from_snapshot", "the snapshot to begin from is another: ")                        \
  X("gemm", "the products with weights are others (--gemm): ")                         \
  X("blas", "the BLAS library is another: ")                                           \
  X("blas_core", "the BLAS library takes another core: ")                              \
  X("kernels", "this is another version of longspan: ")

static const struct {
  const char *key, *words;
} key_row[] = {
#define X(key, words) {key, words},
    KEY_TABLE(X)
#undef X
};

static const char *text_of(const json_t *value) {
  const char *text = json_string_value(value);
  return text != NULL ? text : value == NULL ? "absent" : "no text";
}

static lsp_status key_differs(const lsp__opening *o, const char *key, const json_t *was,
                              const json_t *is) {
  char what[160];
  const char *words = "";
  for (size_t i = 0; i < sizeof key_row / sizeof key_row[0]; i++)
    if (strcmp(key, key_row[i].key) == 0)
      words = key_row[i].words;
  (void)snprintf(what, sizeof what, "%s`%.80s`", words, key);
  return differs(o, what, text_of(was), text_of(is));
}

/* --- identities ------------------------------------------------------------------ */

/* These are in the journal alone: not what the run is made of, but what came of it. */
static int is_compared(const char *key) {
  return strcmp(key, "layout") != 0 && strcmp(key, "replaces") != 0;
}

lsp_status lsp__store_same_identity(const lsp__opening *o, const json_t *was) {
  const char *key;
  json_t *value;
  json_object_foreach(o->identity, key, value) {
    const json_t *before = json_object_get(was, key);
    if (is_compared(key) && (before == NULL || !json_equal(before, value)))
      return key_differs(o, key, before, value);
  }
  json_object_foreach((json_t *)(uintptr_t)was, key, value) {
    if (is_compared(key) && json_object_get(o->identity, key) == NULL)
      return key_differs(o, key, value, NULL);
  }
  return LSP_OK;
}

const char *lsp__store_attribute(const lsp_file_view *view, const char *key) {
  const lsp_attribute *list =
      view->is_memory ? view->memory.attribute : view->output.attribute;
  const int n = view->is_memory ? view->memory.attributes : view->output.attributes;
  for (int i = 0; i < n; i++)
    if (strcmp(list[i].key, key) == 0)
      return list[i].value;
  return NULL;
}

lsp_status lsp__store_is_ours(const lsp__opening *o, const char *path) {
  lsp_file_view view;
  json_t *was = NULL;
  LSP_TRY(lsp_file_open(path, &view, o->why));
  const char *text = lsp__store_attribute(&view, "identity");
  lsp_status status = LSP_OK;
  if (view.version < 2)
    status =
        lsp_fail(o->why, LSP_E_MISMATCH,
                 "%s: --resume refused: an older longspan made %s; use --overwrite "
                 "to run again, or move it away; nothing was changed",
                 o->names.output.at, path);
  else if (text == NULL)
    status =
        lsp_fail(o->why, LSP_E_MISMATCH,
                 "%s: --resume refused: %s does not say which run made it; nothing "
                 "was changed",
                 o->names.output.at, path);
  else
    status = lsp_json_parse(path, text, strlen(text), &was, o->why);
  lsp_file_close(&view);
  if (status == LSP_OK)
    status = lsp__store_same_identity(o, was);
  json_decref(was);
  return status;
}

/* --- layouts --------------------------------------------------------------------- */

static lsp_status same_document(const lsp__opening *o, const lsp_output_spec *was,
                                const lsp_output_spec *is, int64_t d) {
  char what[80];
  const int64_t tokens = was->token_start[d + 1] - was->token_start[d];
  const int64_t now = is->token_start[d + 1] - is->token_start[d];
  (void)snprintf(what, sizeof what, "the name of document %lld (its path as given)",
                 (long long)d);
  if (strcmp(was->name[d], is->name[d]) != 0)
    return differs(o, what, was->name[d], is->name[d]);
  (void)snprintf(what, sizeof what, "the number of tokens of document %lld",
                 (long long)d);
  if (tokens != now)
    return number_differs(o, what, tokens, now);
  (void)snprintf(what, sizeof what, "the number of bytes of document %lld",
                 (long long)d);
  if (was->n_bytes[d] != is->n_bytes[d])
    return number_differs(o, what, was->n_bytes[d], is->n_bytes[d]);
  return LSP_OK;
}

static lsp_status same_results(const lsp__opening *o, const lsp_output_spec *was,
                               const lsp_output_spec *is) {
  const struct {
    const char *what;
    int64_t was, is;
  } number[] = {
      {"the number of documents", was->documents, is->documents},
      {"the number of tokens", was->tokens, is->tokens},
      {"the number of panels", was->panels, is->panels},
      {"writing ids (1: yes, 0: no)", was->write_id, is->write_id},
      {"writing nll (1: yes, 0: no)", was->write_nll, is->write_nll},
      {"writing hidden states (1: yes, 0: no)", was->write_hidden, is->write_hidden},
      {"writing the places of tokens (1: yes, 0: no)", was->write_starts,
       is->write_starts},
      {"the number of layers whose hidden states are written", was->hidden_layers,
       is->hidden_layers},
      {"the number of layers whose choices are written", was->chosen_layers,
       is->chosen_layers},
      {"the number of tokens that the tokenizer has", was->vocabulary, is->vocabulary}};
  for (size_t i = 0; i < sizeof number / sizeof number[0]; i++)
    if (number[i].was != number[i].is)
      return number_differs(o, number[i].what, number[i].was, number[i].is);
  for (int i = 0; i < is->hidden_layers; i++)
    if (was->hidden_layer[i] != is->hidden_layer[i])
      return number_differs(o, "a layer whose hidden states are written",
                            was->hidden_layer[i], is->hidden_layer[i]);
  for (int i = 0; i < is->chosen_layers; i++)
    if (was->chosen_layer[i] != is->chosen_layer[i])
      return number_differs(o, "a layer whose choices are written",
                            was->chosen_layer[i], is->chosen_layer[i]);
  for (int64_t d = 0; d < is->documents; d++)
    LSP_TRY(same_document(o, was, is, d));
  return LSP_OK;
}

static lsp_status part_differs(const lsp__opening *o, const lsp_part *was,
                               const lsp_part *is) {
  char what[64], before[LSP_PART_WORDS], after[LSP_PART_WORDS];
  if (was->layer != is->layer)
    return number_differs(o, "the layer of a state (-1: the model)", was->layer,
                          is->layer);
  (void)snprintf(what, sizeof what, "a state of layer %d (-1: the model)", is->layer);
  lsp_part_words(was, before);
  lsp_part_words(is, after);
  return differs(o, what, before, after);
}

static lsp_status same_snapshots(const lsp__opening *o, const lsp_memory_spec *was,
                                 const lsp_memory_spec *is) {
  const struct {
    const char *what;
    int64_t was, is;
  } number[] = {{"the number of snapshots", was->snapshots, is->snapshots},
                {"the number of layers", was->layers, is->layers},
                {"the number of rows of memory", was->rows, is->rows},
                {"the number of fixed rows of memory", was->fixed, is->fixed},
                {"the number of pooled rows of memory", was->pooled, is->pooled},
                {"the width of memory", was->width, is->width},
                {"the width of the model", was->hidden_width, is->hidden_width},
                {"the number of states of the memory", was->parts, is->parts}};
  for (size_t i = 0; i < sizeof number / sizeof number[0]; i++)
    if (number[i].was != number[i].is)
      return number_differs(o, number[i].what, number[i].was, number[i].is);
  for (int i = 0; i < is->layers; i++)
    if (lsp_memory_layer_rows(was, i) != lsp_memory_layer_rows(is, i))
      return number_differs(o, "the number of rows of memory of a layer",
                            lsp_memory_layer_rows(was, i),
                            lsp_memory_layer_rows(is, i));
  for (int i = 0; i < is->parts; i++)
    if (!lsp_part_same(&was->part[i], &is->part[i]))
      return part_differs(o, &was->part[i], &is->part[i]);
  for (int64_t i = 0; i < is->snapshots; i++)
    if (was->position[i] != is->position[i])
      return number_differs(o, "the position of a snapshot", was->position[i],
                            is->position[i]);
  return LSP_OK;
}

/* What the files themselves say; LSP_OK: nothing that can be named differs. */
static lsp_status same_files(const lsp__opening *o) {
  const char *const path[] = {o->names.output_part.at, o->names.memory_part.at};
  lsp_status status = LSP_OK;
  for (int i = 0; i < 2 && status == LSP_OK; i++) {
    lsp_file_view view;
    if (lsp_file_open(path[i], &view, NULL) != LSP_OK)
      continue;
    if (view.is_memory && i == 1)
      status = same_snapshots(o, &view.memory, &o->spec->memory);
    else if (!view.is_memory && i == 0)
      status = same_results(o, &view.output, &o->spec->output);
    lsp_file_close(&view);
  }
  return status;
}

lsp_status lsp__store_same_layout(const lsp__opening *o, const json_t *was) {
  char version[32];
  const json_t *before = json_object_get(was, "layout");
  if (json_equal(before, json_object_get(o->identity, "layout")))
    return LSP_OK;
  LSP_TRY(same_files(o));
  lsp_hdf5_version(version, sizeof version);
  return lsp_fail(
      o->why, LSP_E_MISMATCH,
      "%s: --resume refused: its files were laid out otherwise than this "
      "longspan with HDF5 %s lays them out; resume with the version that "
      "began the run, or use --overwrite to begin anew; nothing was changed",
      o->names.output.at, version);
}
