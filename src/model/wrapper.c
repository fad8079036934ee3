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

/* --- all of it ------------------------------------------------------------------- */

lsp_status lsp__describe_wrapper(const json_t *config, const char *path,
                                 lsp_model *model, lsp_failure *why) {
  lsp_wrapper *w = &model->wrapper;
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
  model->segment = w->segment;
  if (w->kind == LSP_WRAP_ASSOCIATIVE)
    LSP_TRY(make_layers(path, model, why));
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
