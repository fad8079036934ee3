/* A memory around a model: its numbers in config.json, what it goes with, its tensors. It
 * is the same for every family. */
#include "family.h"
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  SEGMENT_MOST = 1 << 30, /* tokens of a segment, rows that are read again */
  TOKENS_MOST = 1 << 16,  /* memory tokens */
  WIDTH_MOST = 1 << 16,   /* of associative keys before phi */
  NU_MOST = 64
};

static int is_longspan(const lsp_model *model) {
  return model->family == &lsp__longspan;
}

/* Its key in config.json. */
static const char *key_of(const lsp_model *model) {
  return is_longspan(model) ? "memory" : "longspan_memory";
}

/* --- numbers --------------------------------------------------------------------- */

static lsp_status read_kind(const lsp_source *s, lsp_wrapper *w) {
  static const char *const words[] = {"input", "associative", "tokens", NULL};
  static const char *const keys[][6] = {{"type", "segment", "rows"},
                                        {"type", "segment", "tokens", "width", "nu"},
                                        {"type", "segment", "tokens"}};
  int word = 0;
  LSP_TRY(lsp__source_word(s, "type", 1, words, &word));
  w->kind = (lsp_wrap_kind)(LSP_WRAP_INPUT + word);
  return lsp__source_known(s, keys[word]);
}

static lsp_status read_numbers(const lsp_source *s, lsp_wrapper *w) {
  int64_t width = 0, nu = 3;
  LSP_TRY(lsp__source_int(s, "segment", 1, 1, SEGMENT_MOST, &w->segment));
  if (w->kind == LSP_WRAP_INPUT)
    return lsp__source_int(s, "rows", 1, 0, SEGMENT_MOST, &w->rows);
  LSP_TRY(lsp__source_int(s, "tokens", 1, 1, TOKENS_MOST, &w->rows));
  if (w->kind == LSP_WRAP_TOKENS)
    return LSP_OK;
  LSP_TRY(lsp__source_int(s, "width", 1, 1, WIDTH_MOST, &width));
  LSP_TRY(lsp__source_int(s, "nu", 0, 1, NU_MOST, &nu));
  w->width = (int)width;
  w->nu = (int)nu;
  return LSP_OK;
}

static lsp_status make_layers(const char *path, lsp_model *model, lsp_failure *why) {
  lsp_wrapper *w = &model->wrapper;
  const int64_t D = model->width;
  w->layer = calloc((size_t)model->layers, sizeof *w->layer);
  if (w->layer == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: no memory for %d layers", path,
                    model->layers);
  for (int i = 0; i < model->layers; i++) {
    w->layer[i].query = w->layer[i].key = lsp__matrix(w->width, D);
    w->layer[i].value = lsp__matrix(D, D);
  }
  return LSP_OK;
}

/* --- what it goes with ----------------------------------------------------------- */

/* Rows of a frame that is whole. */
static int64_t rows_of(const lsp_model *model) {
  const lsp_wrapper *w = &model->wrapper;
  const int64_t more = w->kind == LSP_WRAP_TOKENS ? 2 * w->rows : w->rows;
  return model->prefixes + w->segment + more;
}

/* Tokens of a memory are written by what stands before them, in the order of the text. */
static lsp_status check_order(const lsp_source *s, const lsp_source *all,
                              const lsp_model *model) {
  if (model->wrapper.kind == LSP_WRAP_INPUT)
    return LSP_OK;
  if (model->two_sided)
    return lsp__source_refuse(s, "type", lsp__source_get(s, "type"),
                              "\"input\", since \"causal\" is false");
  if (model->prefixes > 0)
    return lsp__source_refuse(all, "prefix", lsp__source_get(all, "prefix"),
                              "none, since the tokens of a memory stand around every "
                              "segment (\"%s\")",
                              s->place);
  return LSP_OK;
}

/* Frames begin anew, so that a branch that hands something along the text has no place in
 * them. */
static lsp_status check_branches(const lsp_source *s, const lsp_model *model) {
  for (int i = 0; i < model->layers; i++)
    for (int b = 0; b < model->layer[i].branches; b++) {
      const lsp_pattern *p = &model->layer[i].branch[b];
      if (p->kind == LSP_PATTERN_STORE || p->kind == LSP_PATTERN_COMPRESSIVE)
        return lsp__source_refuse(s, "type", lsp__source_get(s, "type"),
                                  "no memory around the model, since layer %d has a "
                                  "branch of type \"%s\", a memory of the whole text",
                                  i, lsp_pattern_of(p)->name);
    }
  return LSP_OK;
}

static lsp_status check_positions(const lsp_source *s, const lsp_model *model,
                                  const lsp_context *context) {
  const int64_t rows = rows_of(model);
  if (model->positions_most > 0 && rows > model->positions_most)
    return lsp__source_refuse(s, "segment", lsp__source_get(s, "segment"),
                              "one whose frames fit the %lld positions of the model: "
                              "they have %lld rows",
                              (long long)model->positions_most, (long long)rows);
  if (model->trained == 0 || rows <= model->trained ||
      context->kind != LSP_CONTEXT_MODEL)
    return LSP_OK;
  return lsp__source_refuse(
      s, "segment", lsp__source_get(s, "segment"),
      "one whose frames fit the %lld positions that the model was "
      "trained for (they have %lld rows), or --context full",
      (long long)model->trained, (long long)rows);
}

static lsp_status check(const lsp_source *s, const lsp_source *all,
                        const lsp_context *context, const lsp_model *model) {
  if (model->family == &lsp__transfo_xl)
    return lsp__source_refuse(
        all, key_of(model), s->json,
        "no such key: a model of type \"transfo-xl\" has a memory "
        "of its own (\"mem_len\")");
  LSP_TRY(check_order(s, all, model));
  LSP_TRY(check_branches(s, model));
  return check_positions(s, model, context);
}

/* The numbers of a library's model are recorded here; those of a longspan one are in the
 * hash of its config. */
static void print(const lsp_wrapper *w, char text[LSP_FACT_SIZE]) {
  const long long segment = (long long)w->segment, rows = (long long)w->rows;
  text[0] = '\0';
  if (w->kind == LSP_WRAP_INPUT)
    (void)snprintf(text, LSP_FACT_SIZE, "input,segment:%lld,rows:%lld", segment, rows);
  if (w->kind == LSP_WRAP_ASSOCIATIVE)
    (void)snprintf(text, LSP_FACT_SIZE,
                   "associative,segment:%lld,tokens:%lld,width:%d,nu:%d", segment, rows,
                   w->width, w->nu);
  if (w->kind == LSP_WRAP_TOKENS)
    (void)snprintf(text, LSP_FACT_SIZE, "tokens,segment:%lld,tokens:%lld", segment,
                   rows);
}

/* --- all of it ------------------------------------------------------------------- */

lsp_status lsp__describe_wrapper(const json_t *config, const char *path,
                                 const lsp_context *context, lsp_model *model,
                                 lsp_failure *why) {
  lsp_wrapper *w = &model->wrapper;
  char text[LSP_FACT_SIZE];
  const lsp_source all = {config, path, "", why};
  const char *key = key_of(model);
  const json_t *given = lsp__source_get(&all, key);
  const lsp_source s = {given, path, key, why};
  if (given == NULL)
    return LSP_OK;
  if (!json_is_object(given))
    return lsp__source_refuse(&all, key, given, "an object: {\"type\": ...}");
  LSP_TRY(read_kind(&s, w));
  LSP_TRY(read_numbers(&s, w));
  LSP_TRY(check(&s, &all, context, model));
  model->segment = w->segment;
  if (w->kind != LSP_WRAP_INPUT)
    model->no_bos = "the tokens of its memory stand around every segment";
  if (w->kind == LSP_WRAP_ASSOCIATIVE)
    LSP_TRY(make_layers(path, model, why));
  if (is_longspan(model))
    return LSP_OK;
  print(w, text);
  lsp__fact(model, "memory", "%s", text);
  return LSP_OK;
}

/* --- tensors --------------------------------------------------------------------- */

static void layer_slots(lsp_slots *list, lsp_associative *a, int i) {
  (void)lsp_slot_add(list, &a->query.data, a->query.rows, a->query.cols,
                     "memory.layers.%d.query.weight", i);
  (void)lsp_slot_add(list, &a->key.data, a->key.rows, a->key.cols,
                     "memory.layers.%d.key.weight", i);
  (void)lsp_slot_add(list, &a->value.data, a->value.rows, a->value.cols,
                     "memory.layers.%d.value.weight", i);
  (void)lsp_slot_add(list, &a->beta, 1, a->value.cols, "memory.layers.%d.beta.weight",
                     i);
  (void)lsp_slot_add(list, &a->beta_bias, 1, 0, "memory.layers.%d.beta.bias", i);
}

void lsp__wrapper_slots(lsp_model *model, lsp_slots *list) {
  lsp_wrapper *w = &model->wrapper;
  if (w->kind == LSP_WRAP_ASSOCIATIVE || w->kind == LSP_WRAP_TOKENS)
    (void)lsp_slot_add(list, &w->tokens, w->rows, model->width, "memory.tokens");
  for (int i = 0; w->layer != NULL && i < model->layers; i++)
    layer_slots(list, &w->layer[i], i);
}
