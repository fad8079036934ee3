/* What --store makes of a description: a store beside the attention of some layers, and a
 * gate between the two. */
#include "family.h"

#include <math.h>
#include <stdlib.h>

/* Types whose keys are not found by walking, and states. */
static const lsp_pattern_kind apart[] = {
    LSP_PATTERN_RANDOM,     LSP_PATTERN_CHOSEN,          LSP_PATTERN_SELECTED,
    LSP_PATTERN_LEVELS,     LSP_PATTERN_COMPRESSED_PAST, LSP_PATTERN_COMPRESSED,
    LSP_PATTERN_COMPRESSIVE};

const lsp_pattern *lsp__apart_from_store(const lsp_layer *l) {
  for (size_t i = 0; i < sizeof apart / sizeof apart[0]; i++)
    for (int b = 0; b < l->branches; b++)
      if (l->branch[b].kind == apart[i])
        return &l->branch[b];
  return NULL;
}

/* The first branch that is a memory, or NULL. */
static const lsp_pattern *memory_of(const lsp_layer *l) {
  for (int b = 0; b < l->branches; b++)
    if (lsp_pattern_is_memory(&l->branch[b]))
      return &l->branch[b];
  return NULL;
}

static lsp_status check_model(const char *path, const lsp_recall *r,
                              const lsp_model *model, lsp_failure *why) {
  const int last = r->range[r->ranges - 1].last;
  if (last >= model->layers)
    return lsp_fail(why, LSP_E_USAGE,
                    "--store: there is no layer %d in %s; its layers are 0 to %d", last,
                    path, model->layers - 1);
  if (model->two_sided)
    return lsp_fail(why, LSP_E_USAGE,
                    "--store: %s looks to both sides (causal false), and a store holds "
                    "what is before; leave the option out",
                    path);
  if (model->wrapper.kind != LSP_WRAP_NONE)
    return lsp_fail(why, LSP_E_USAGE,
                    "--store: the model of %s has a memory around it, and reads each "
                    "segment by itself; leave the option out",
                    path);
  return LSP_OK;
}

static lsp_status check_layer(const char *path, const lsp_recall *r, const lsp_layer *l,
                              int layer, lsp_failure *why) {
  const lsp_pattern *other = lsp__apart_from_store(l);
  if (other == NULL)
    other = memory_of(l);
  if (other != NULL)
    return lsp_fail(
        why, LSP_E_USAGE,
        "--store: layer %d of %s has a branch of type \"%s\", which a store "
        "does not go with; choose other layers",
        layer, path, lsp_pattern_of(other)->name);
  if (l->merge != LSP_MERGE_SOFTMAX || l->branches == LSP_BRANCHES_MAX)
    return lsp_fail(why, LSP_E_USAGE,
                    "--store: layer %d of %s has no one softmax (\"merge\") that a "
                    "store could be weighed against; choose other layers",
                    layer, path);
  if (l->score_cap > 0)
    return lsp_fail(why, LSP_E_USAGE,
                    "--store: the scores of layer %d of %s are capped (\"score_cap\"), "
                    "and those of a store are not; leave the option out",
                    layer, path);
  if (r->rotated && l->position.kind != LSP_POSITION_ROTARY)
    return lsp_fail(why, LSP_E_USAGE,
                    "--store keys:rotated: layer %d of %s has no rotary positions; use "
                    "keys:plain",
                    layer, path);
  return LSP_OK;
}

/* sigmoid(given_gate) is the weight of the store, for every head. */
static lsp_status make_gate(const lsp_recall *r, lsp_model *model, lsp_failure *why) {
  int heads = 1;
  for (int i = 0; i < model->layers; i++)
    heads = (int)lsp_max(heads, model->layer[i].heads.query);
  float *gate = malloc((size_t)heads * sizeof *gate);
  if (gate == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for gates of %d heads", heads);
  for (int h = 0; h < heads; h++)
    gate[h] = (float)log(r->gate / (1 - r->gate));
  model->given_gate = gate;
  return LSP_OK;
}

lsp_status lsp__apply_recall(const char *path, const lsp_recall *r, lsp_model *model,
                             lsp_failure *why) {
  char text[LSP_RECALL_SIZE];
  if (r->ranges == 0)
    return LSP_OK;
  LSP_TRY(check_model(path, r, model, why));
  LSP_TRY(make_gate(r, model, why));
  for (int i = 0; i < model->layers; i++) {
    lsp_layer *l = &model->layer[i];
    if (!lsp_recall_has(r, i))
      continue;
    LSP_TRY(check_layer(path, r, l, i, why));
    l->branch[l->branches++] = (lsp_pattern){.kind = LSP_PATTERN_STORE,
                                             .memory = r->memory,
                                             .segment = r->segment,
                                             .neighbours = r->neighbours,
                                             .rotated = r->rotated};
    l->merge = LSP_MERGE_MEMORY;
    l->memory_gate = model->given_gate;
  }
  lsp_recall_print(r, text);
  lsp__fact(model, "store", "%s", text);
  return lsp__model_limits(path, model, why);
}
