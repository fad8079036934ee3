/* What the rest of the program asks a description. */
#include "lsp/model.h"

#include "lsp/json.h"

#include "family.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES_MAX = 1 << 20, PATH_SIZE = 4096 };

/* --- from config.json to a description ------------------------------------------- */

static lsp_status config_path(const char *dir, char path[PATH_SIZE], lsp_failure *why) {
  if (snprintf(path, PATH_SIZE, "%s/config.json", dir) >= PATH_SIZE)
    return lsp_fail(why, LSP_E_INPUT, "%.200s...: path too long", dir);
  return LSP_OK;
}

/* What jansson read, written again: numbers keep every bit, and what is not JSON is
 * refused here, by the one rank that reads. */
lsp_status lsp_model_text(const char *dir, char **text, lsp_failure *why) {
  char path[PATH_SIZE];
  json_t *json = NULL;
  *text = NULL;
  LSP_TRY(config_path(dir, path, why));
  LSP_TRY(lsp_json_read(path, CONFIG_BYTES_MAX, &json, why));
  *text = json_dumps(json, JSON_COMPACT);
  json_decref(json);
  if (*text == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: no memory for its text", path);
  return LSP_OK;
}

static lsp_status unknown_type(const char *path, const char *type, lsp_failure *why) {
  char known[256] = "";
  for (int i = 0; lsp__families[i] != NULL; i++) {
    const size_t n = strlen(known);
    const char *between = i == 0 ? "" : lsp__families[i + 1] != NULL ? ", " : " and ";
    (void)snprintf(known + n, sizeof known - n, "%s\"%s\"", between,
                   lsp__families[i]->model_type);
  }
  return lsp_fail(why, LSP_E_FORMAT,
                  "%s: model_type is \"%.60s\"; this program runs %s", path,
                  type == NULL ? "(missing)" : type, known);
}

static lsp_status describe(const json_t *json, const char *path,
                           const lsp_choices *choices, lsp_model *model,
                           lsp_failure *why) {
  const char *type = json_string_value(json_object_get(json, "model_type"));
  for (int i = 0; lsp__families[i] != NULL && type != NULL; i++)
    if (strcmp(type, lsp__families[i]->model_type) == 0)
      model->family = lsp__families[i];
  if (model->family == NULL)
    return unknown_type(path, type, why);
  LSP_TRY(model->family->describe(json, path, choices, model, why));
  LSP_TRY(lsp__describe_wrapper(json, path, &choices->context, model, why));
  LSP_TRY(lsp__apply_context(path, &choices->context, model, why));
  return lsp__apply_recall(path, &choices->recall, model, why);
}

lsp_status lsp_model_describe(const char *dir, const char *text,
                              const lsp_choices *choices, lsp_model *model,
                              lsp_failure *why) {
  char path[PATH_SIZE];
  json_t *json = NULL;
  memset(model, 0, sizeof *model);
  LSP_TRY(config_path(dir, path, why));
  LSP_TRY(lsp_json_parse(path, text, strlen(text), &json, why));
  const lsp_status st = describe(json, path, choices, model, why);
  json_decref(json);
  return st;
}

void lsp_model_close(lsp_model *model) {
  if (model->family != NULL && model->family->release != NULL)
    model->family->release(model);
  for (int i = 0; i < model->layers && model->layer != NULL; i++)
    free(model->layer[i].span_windows);
  free(model->wrapper.layer);
  free(model->given_gate);
  free(model->layer);
  free(model->words.cut);
  free(model->words.cluster);
  memset(model, 0, sizeof *model);
}

/* --- for families ---------------------------------------------------------------- */

void lsp__fact(lsp_model *model, const char *key, const char *format, ...) {
  va_list arguments;
  LSP_ASSERT(model->facts < LSP_FACTS_MAX);
  lsp_fact *fact = &model->fact[model->facts++];
  (void)snprintf(fact->key, sizeof fact->key, "%s", key);
  va_start(arguments, format);
  (void)vsnprintf(fact->value, sizeof fact->value, format, arguments);
  va_end(arguments);
}

void lsp__fact_hash(lsp_model *model, const char *key, const unsigned char hash[16]) {
  char hex[33];
  for (size_t i = 0; i < 16; i++)
    (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
  lsp__fact(model, key, "%s", hex);
}

lsp_status lsp__model_tables(lsp_model *model, int layers, int clusters,
                             lsp_failure *why) {
  lsp_vocabulary *words = &model->words;
  model->layers = layers;
  words->clusters = clusters;
  model->layer = calloc((size_t)layers, sizeof *model->layer);
  words->cut = calloc((size_t)clusters + 1, sizeof *words->cut);
  words->cluster = calloc((size_t)clusters, sizeof *words->cluster);
  if (model->layer == NULL || words->cut == NULL || words->cluster == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for %d layers", layers);
  return LSP_OK;
}

lsp_matrix lsp__matrix(int64_t rows, int64_t cols) {
  return (lsp_matrix){.rows = rows, .cols = cols, .storage = LSP_STORED_F32};
}

/* Rows that a layer keeps, means among them; what has no bound is the text's. */
static int64_t rows_of(const lsp_layer *layer) {
  lsp_stratum stratum[LSP_STRATA_MAX];
  const int strata = lsp_layer_strata(layer, stratum);
  int64_t rows = lsp_max(0, lsp_layer_reach(layer));
  for (int s = 0; s < strata; s++)
    rows += lsp_max(0, stratum[s].reach);
  return rows;
}

lsp_status lsp__model_limits(const char *path, const lsp_model *model,
                             lsp_failure *why) {
  const lsp_heads heads = model->layer[0].heads;
  const double row = 2.0 * sizeof(float) * heads.shared * heads.width;
  int64_t widest = 0;
  for (int i = 0; i < model->layers; i++)
    widest = lsp_max(widest, rows_of(&model->layer[i]));
  if (row * model->layers * (double)widest <= 0x1p56)
    return LSP_OK;
  return lsp_fail(why, LSP_E_LIMIT,
                  "%s: keys and values of %d layers, %d heads of width %d and %lld "
                  "positions take more than 2^56 bytes; use smaller windows, memories, "
                  "segments or reaches",
                  path, model->layers, heads.shared, heads.width, (long long)widest);
}

/* --- vocabulary ------------------------------------------------------------------ */

int lsp_cluster_of(const lsp_vocabulary *words, int64_t id) {
  int low = 0, high = words->clusters;
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    if (id >= words->cut[middle])
      low = middle;
    else
      high = middle;
  }
  return low;
}

int64_t lsp_model_head_width(const lsp_model *model) {
  const int beside = model->last.slots > 0 && model->last.merge == LSP_LAST_CONCAT;
  return beside ? 2 * (int64_t)model->width : model->words.cluster[0].width;
}

/* --- what a layer looks at ------------------------------------------------------- */

/* Fixed keys are a beginning of the document, so that the longest holds the others. */
static void look_at_sinks(lsp_view *view, const lsp_pattern *branch) {
  const lsp_pattern **sinks =
      view->fixed != NULL && view->fixed->kind == LSP_PATTERN_GLOBAL ? &view->sinks
                                                                     : &view->fixed;
  if (*sinks == NULL || branch->sinks > (*sinks)->sinks)
    *sinks = branch;
}

/* Puts a branch into a view. */
static void look_at(lsp_view *view, const lsp_pattern *branch) {
  view->normalize = branch->normalize;
  switch (branch->kind) {
  case LSP_PATTERN_GLOBAL:
    view->sinks = view->fixed;
    view->fixed = branch;
    return;
  case LSP_PATTERN_FIXED:
    look_at_sinks(view, branch);
    return;
  case LSP_PATTERN_RANDOM:
    view->picked[view->picks++] = branch;
    return;
  case LSP_PATTERN_CHOSEN:
  case LSP_PATTERN_SELECTED:
    view->picked[view->picks++] = branch;
    break;
  case LSP_PATTERN_COMPRESSED:
  case LSP_PATTERN_COMPRESSED_PAST:
    view->pooled = branch;
    return;
  case LSP_PATTERN_LEARNED:
    view->learned = branch;
    return;
  case LSP_PATTERN_STORE:
    view->store = branch;
    return;
  case LSP_PATTERN_COMPRESSIVE:
    view->compressive = branch;
    return;
  case LSP_PATTERN_LEVELS:
    view->pooled = branch;
    break;
  case LSP_PATTERN_DYNAMIC:
    view->soft = branch;
    break;
  default:
    break;
  }
  view->run[view->runs++] = branch;
}

int lsp_layer_views(const lsp_layer *layer, lsp_view view[LSP_BRANCHES_MAX]) {
  const int merged =
      layer->merge == LSP_MERGE_SOFTMAX || layer->merge == LSP_MERGE_MEMORY;
  const int memories = layer->merge == LSP_MERGE_MEMORY;
  memset(view, 0, LSP_BRANCHES_MAX * sizeof *view);
  for (int b = 0; b < layer->branches; b++) {
    const int apart = memories && lsp_pattern_is_memory(&layer->branch[b]);
    look_at(&view[merged ? apart : b], &layer->branch[b]);
  }
  return merged ? 1 + memories : layer->branches;
}

/* The most of any branch. */
static int64_t most_of(const lsp_layer *layer, int64_t (*of)(const lsp_pattern *p)) {
  int64_t most = 0;
  for (int b = 0; b < layer->branches; b++) {
    const int64_t rows = of(&layer->branch[b]);
    if (rows == LSP_REACH_ALL)
      return LSP_REACH_ALL;
    most = lsp_max(most, rows);
  }
  return most;
}

static int64_t reach_of(const lsp_pattern *p) {
  return lsp_pattern_of(p)->reach(p);
}

int64_t lsp_layer_reach(const lsp_layer *layer) {
  return most_of(layer, reach_of);
}

int64_t lsp_layer_near(const lsp_layer *layer) {
  return most_of(layer, lsp_pattern_near);
}

int64_t lsp_layer_ahead(const lsp_layer *layer) {
  return most_of(layer, lsp_pattern_ahead);
}

static int64_t fixed_rows(const lsp_pattern *p) {
  if (p->kind == LSP_PATTERN_GLOBAL && p->positions != NULL)
    return p->positions[p->position_count - 1] + 1;
  return p->kind == LSP_PATTERN_FIXED || p->kind == LSP_PATTERN_GLOBAL ? p->sinks : 0;
}

int64_t lsp_layer_fixed(const lsp_layer *layer) {
  return most_of(layer, fixed_rows);
}

const lsp_pattern *lsp_layer_chooser(const lsp_layer *layer) {
  for (int b = 0; b < layer->branches; b++)
    if (layer->branch[b].kind == LSP_PATTERN_CHOSEN ||
        layer->branch[b].kind == LSP_PATTERN_SELECTED)
      return &layer->branch[b];
  return NULL;
}

const lsp_pattern *lsp_layer_slots(const lsp_layer *layer) {
  for (int b = 0; b < layer->branches; b++)
    if (layer->branch[b].kind == LSP_PATTERN_LEARNED)
      return &layer->branch[b];
  return NULL;
}

int lsp_layer_picks(const lsp_layer *layer) {
  for (int b = 0; b < layer->branches; b++)
    if (lsp_pattern_picks(&layer->branch[b]))
      return 1;
  return 0;
}

int lsp_layer_strata(const lsp_layer *layer, lsp_stratum stratum[LSP_STRATA_MAX]) {
  int n = 0;
  for (int b = 0; b < layer->branches; b++) {
    const lsp_pattern *p = &layer->branch[b];
    for (int l = 1; l <= lsp_pattern_levels(p); l++, n++)
      stratum[n] = (lsp_stratum){.unit = lsp_level_unit(p, l),
                                 .pool = p->pool,
                                 .below = l == 1 ? -1 : n - 1,
                                 .reach = lsp_level_reach(p, l),
                                 .plain = p->kind == LSP_PATTERN_COMPRESSED_PAST,
                                 .convolved = p->convolved};
  }
  for (int b = 0; b < layer->branches; b++)
    if (layer->branch[b].kind == LSP_PATTERN_CHOSEN)
      stratum[n++] = (lsp_stratum){.unit = LSP_BLOCK,
                                   .pool = LSP_BLOCK,
                                   .below = -1,
                                   .reach = layer->branch[b].block_reach,
                                   .routing = 1};
  return n;
}

void lsp_model_settle(lsp_model *model) {
  for (int i = 0; i < model->layers; i++) {
    lsp_layer *l = &model->layer[i];
    for (int b = 0; b < l->branches; b++) {
      const lsp_pattern *p = &l->branch[b];
      for (int h = 0; p->kind == LSP_PATTERN_DYNAMIC && h < l->heads.query; h++)
        l->span_windows[h] =
            (int64_t)ceil((double)lsp_layer_span(l, p, h) + (double)p->ramp);
    }
  }
}

float lsp_layer_span(const lsp_layer *layer, const lsp_pattern *p, int head) {
  const float part = layer->span[head];
  return (float)p->window * (part > 1 ? 1.0f : part > 0 ? part : 0.0f);
}

const char *lsp_model_type(const lsp_model *model) {
  return model->family->model_type;
}
