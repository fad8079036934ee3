/* `last_memory` of config.json: a memory of learned slots after the last norm. */
#include "longspan.h"

#include <math.h>

/* What becomes of the rows and what they read. */
static lsp_status read_merge(const lsp_source *s, const span_config *c,
                             lsp_last_memory *last) {
  static const char *const words[] = {"add", "gate", "concat", NULL};
  static const lsp_last_merge merges[] = {LSP_LAST_ADD, LSP_LAST_GATE,
                                          LSP_LAST_PROJECT};
  int word = 0, project = 1;
  LSP_TRY(lsp__source_word(s, "merge", 0, words, &word));
  LSP_TRY(lsp__source_switch(s, "project", &project));
  last->merge = merges[word];
  if (last->merge != LSP_LAST_PROJECT && lsp__source_get(s, "project") != NULL)
    return lsp__source_refuse(s, "project", lsp__source_get(s, "project"),
                              "no such key, since it goes only with \"merge\" "
                              "\"concat\"");
  if (last->merge != LSP_LAST_PROJECT || project)
    return LSP_OK;
  last->merge = LSP_LAST_CONCAT;
  if (c->tie_word_embeddings)
    return lsp__source_refuse(s, "project", lsp__source_get(s, "project"),
                              "true, or \"tie_word_embeddings\" false: without a "
                              "projection the head has twice the columns of the "
                              "embedding");
  return LSP_OK;
}

lsp_status lsp__span_last(const lsp_source *s, const span_config *c, lsp_model *model) {
  static const char *const keys[] = {"slots",   "normalize", "merge",
                                     "project", "scale",     NULL};
  static const char *const normalizes[] = {"softmax", "none", NULL};
  lsp_last_memory *last = &model->last;
  const json_t *given = lsp__source_get(s, "last_memory");
  const lsp_source at = {given, s->path, "last_memory", s->why};
  double scale = 1 / sqrt((double)c->hidden_size);
  int word = 0;
  if (given == NULL)
    return LSP_OK;
  if (!json_is_object(given))
    return lsp__source_refuse(s, "last_memory", given, "an object: {\"slots\": ...}");
  LSP_TRY(lsp__source_known(&at, keys));
  LSP_TRY(lsp__source_int(&at, "slots", 1, 1, LSP_SLOTS_MAX, &last->slots));
  LSP_TRY(lsp__source_word(&at, "normalize", 0, normalizes, &word));
  last->normalize = word == 0 ? LSP_NORMALIZE_SOFTMAX : LSP_NORMALIZE_NONE;
  if (lsp__source_get(&at, "scale") != NULL)
    LSP_TRY(lsp__source_real(&at, "scale", (double)FLT_MIN, 1e30, &scale));
  last->scale = (float)scale;
  LSP_TRY(read_merge(&at, c, last));
  if (last->merge == LSP_LAST_PROJECT)
    last->project = lsp__matrix(c->hidden_size, 2 * c->hidden_size);
  return LSP_OK;
}
