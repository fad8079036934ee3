/* `layers` of config.json: the branches of each layer, and what becomes of them. */
#include "longspan.h"

#include <stdio.h>

/* Selected blocks are those that the compressed branch beside them weighs most. */
static void route_selected(lsp_layer *l) {
  const lsp_pattern *compressed = NULL;
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_COMPRESSED)
      compressed = &l->branch[b];
  for (int b = 0; b < l->branches && compressed != NULL; b++)
    if (l->branch[b].kind == LSP_PATTERN_SELECTED) {
      l->branch[b].pool = compressed->pool;
      l->branch[b].block_reach = compressed->block_reach;
    }
}

/* Rows are compressed once they have left the recurrence beside them. */
static void follow_recurrence(lsp_layer *l) {
  const lsp_pattern *recurrence = NULL;
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_RECURRENCE)
      recurrence = &l->branch[b];
  for (int b = 0; b < l->branches && recurrence != NULL; b++)
    if (l->branch[b].kind == LSP_PATTERN_COMPRESSED_PAST) {
      l->branch[b].segment = recurrence->segment;
      l->branch[b].memory = recurrence->memory;
    }
}

/* How a gate between memory and attention is meant. */
static lsp_status read_gate(const lsp_source *s, lsp_layer *l) {
  static const char *const of[] = {"memory", "others", NULL};
  static const char *const empty[] = {"mix", "skip", NULL};
  static const char *const keys[] = {"gate_of", "gate_empty"};
  for (int i = 0; i < 2 && l->merge != LSP_MERGE_MEMORY; i++)
    if (lsp__source_get(s, keys[i]) != NULL)
      return lsp__source_refuse(s, keys[i], lsp__source_get(s, keys[i]),
                                "no such key, since it goes only with \"merge\" "
                                "\"memory_gate\"");
  LSP_TRY(lsp__source_word(s, "gate_of", 0, of, &l->gate_others));
  return lsp__source_word(s, "gate_empty", 0, empty, &l->gate_skips);
}

static lsp_status one_layer(const lsp_source *s, span_config *c, lsp_layer *l) {
  static const char *const keys[] = {"branches", "merge", "gate_of", "gate_empty",
                                     NULL};
  static const char *const merges[] = {"softmax", "gate",        "sum", "input_gate",
                                       "concat",  "memory_gate", NULL};
  char label[LSP_LABEL_SIZE], place[LSP_LABEL_SIZE + 16];
  int merge = 0;
  LSP_TRY(lsp__source_known(s, keys));
  LSP_TRY(lsp__source_word(s, "merge", 0, merges, &merge));
  l->merge = (lsp_merge)merge;
  LSP_TRY(read_gate(s, l));
  const json_t *list = lsp__source_get(s, "branches");
  const size_t n = json_array_size(list);
  if (n < 1 || n > LSP_BRANCHES_MAX)
    return lsp__source_refuse(s, "branches", list, "a list of 1 to %d branches",
                              LSP_BRANCHES_MAX);
  for (size_t b = 0; b < n; b++) {
    (void)snprintf(place, sizeof place, "%s[%zu]",
                   lsp__source_label(s, "branches", label), b);
    const lsp_source branch = {json_array_get(list, b), s->path, place, s->why};
    if (!json_is_object(branch.json))
      return lsp_fail(s->why, LSP_E_FORMAT,
                      "%s: \"%s\" is no object; expected {\"type\": ...}; correct the "
                      "file",
                      s->path, place);
    LSP_TRY(lsp__span_branch(&branch, c, &l->branch[b]));
  }
  l->branches = (int)n;
  LSP_TRY(lsp__span_together(s, c, l));
  route_selected(l);
  follow_recurrence(l);
  return LSP_OK;
}

lsp_status lsp__span_layers(const lsp_source *s, span_config *c, lsp_model *model) {
  const json_t *layers = lsp__source_get(s, "layers");
  if (json_is_object(layers)) {
    const lsp_source all = {layers, s->path, "layers", s->why};
    LSP_TRY(one_layer(&all, c, &model->layer[0]));
    for (int i = 1; i < model->layers; i++)
      model->layer[i] = model->layer[0];
    return LSP_OK;
  }
  if (!json_is_array(layers))
    return lsp__source_refuse(s, "layers", layers,
                              "an object that stands for every layer, or a list of %d "
                              "(num_hidden_layers)",
                              model->layers);
  if (json_array_size(layers) != (size_t)model->layers)
    return lsp_fail(s->why, LSP_E_FORMAT,
                    "%s: key \"layers\" has %zu entries; expected num_hidden_layers, "
                    "which is %d; correct the file",
                    s->path, json_array_size(layers), model->layers);
  for (int i = 0; i < model->layers; i++) {
    char place[32];
    (void)snprintf(place, sizeof place, "layers[%d]", i);
    const lsp_source layer = {json_array_get(layers, (size_t)i), s->path, place,
                              s->why};
    if (!json_is_object(layer.json))
      return lsp_fail(
          s->why, LSP_E_FORMAT,
          "%s: \"%s\" is no object; expected {\"branches\": [...]}; correct "
          "the file",
          s->path, place);
    LSP_TRY(one_layer(&layer, c, &model->layer[i]));
  }
  return LSP_OK;
}
