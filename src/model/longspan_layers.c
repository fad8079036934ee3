/* `layers` of config.json: the branches of each layer, and what becomes of them. */
#include "longspan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- branches -------------------------------------------------------------------- */

typedef lsp_status read_branch(const lsp_source *s, span_config *c, lsp_pattern *p);

static lsp_status add_windows(const lsp_source *s, span_config *c, lsp_pattern *p,
                              const json_t *list) {
  const size_t H = (size_t)c->num_attention_heads;
  char label[LSP_LABEL_SIZE];
  int count = 0;
  if (json_array_size(list) != H)
    return lsp__source_refuse(
        s, "window", list,
        "an integer, or a list of %zu (num_attention_heads), not of "
        "%zu",
        H, json_array_size(list));
  span_windows *w = malloc(sizeof *w + H * sizeof w->window[0]);
  json_t *one = json_object();
  lsp__source_label(s, "window", label);
  lsp_status st = LSP_OK;
  if (w == NULL || json_object_set(one, label, (json_t *)list) != 0)
    st = lsp_fail(s->why, LSP_E_MEMORY, "%s: no memory for windows", s->path);
  else
    st = lsp_json_ints(one, s->path, label, 1, 1, SPAN_WINDOW_MAX, w->window, (int)H,
                       &count, s->why);
  json_decref(one);
  if (st != LSP_OK) {
    free(w);
    return st;
  }
  w->next = c->windows;
  c->windows = w;
  p->windows = w->window;
  for (size_t h = 0; h < H; h++)
    p->window = lsp_max(p->window, w->window[h]);
  return LSP_OK;
}

static lsp_status read_normalize(const lsp_source *s, lsp_pattern *p) {
  static const char *const words[] = {"softmax", "none", NULL};
  int word = 0;
  LSP_TRY(lsp__source_word(s, "normalize", 0, words, &word));
  p->normalize = word == 0 ? LSP_NORMALIZE_SOFTMAX : LSP_NORMALIZE_NONE;
  return LSP_OK;
}

static lsp_status read_full(const lsp_source *s, span_config *c, lsp_pattern *p) {
  (void)c;
  return read_normalize(s, p);
}

static lsp_status read_local(const lsp_source *s, span_config *c, lsp_pattern *p) {
  const json_t *window = lsp__source_get(s, "window");
  LSP_TRY(read_normalize(s, p));
  if (json_is_array(window))
    return add_windows(s, c, p, window);
  return lsp__source_int(s, "window", 1, 1, SPAN_WINDOW_MAX, &p->window);
}

static lsp_status read_fixed(const lsp_source *s, span_config *c, lsp_pattern *p) {
  static const char *const words[] = {"text", "window", NULL};
  (void)c;
  LSP_TRY(lsp__source_int(s, "sinks", 1, 1, LSP_SINKS_MAX, &p->sinks));
  return lsp__source_word(s, "place", 0, words, &p->in_window);
}

static lsp_status read_recurrence(const lsp_source *s, span_config *c, lsp_pattern *p) {
  (void)c;
  LSP_TRY(read_normalize(s, p));
  LSP_TRY(lsp__source_switch(s, "same_length", &p->same_length));
  LSP_TRY(lsp__source_int(s, "segment", 1, 1, SPAN_WINDOW_MAX, &p->segment));
  return lsp__source_int(s, "memory", 1, p->same_length ? 1 : 0, SPAN_WINDOW_MAX,
                         &p->memory);
}

/* Of each pattern, how it is read, and its keys. */
static const struct {
  read_branch *read;
  const char *const keys[6];
} branch_table[LSP_PATTERNS] = {
    [LSP_PATTERN_FULL] = {read_full, {"type", "normalize"}},
    [LSP_PATTERN_LOCAL] = {read_local, {"type", "window", "normalize"}},
    [LSP_PATTERN_FIXED] = {read_fixed, {"type", "sinks", "place"}},
    [LSP_PATTERN_RECURRENCE] = {read_recurrence,
                                {"type", "segment", "memory", "same_length",
                                 "normalize"}},
};

static lsp_status one_branch(const lsp_source *s, span_config *c, lsp_pattern *p) {
  const char *types[LSP_PATTERNS + 1] = {NULL};
  int type = 0;
  for (int i = 0; i < LSP_PATTERNS && branch_table[i].read != NULL; i++)
    types[i] = lsp_pattern_table[i].name;
  LSP_TRY(lsp__source_word(s, "type", 1, types, &type));
  LSP_TRY(lsp__source_known(s, branch_table[type].keys));
  p->kind = (lsp_pattern_kind)type;
  return branch_table[type].read(s, c, p);
}

/* --- a layer --------------------------------------------------------------------- */

static int count_of(const lsp_layer *l, lsp_pattern_kind kind) {
  int n = 0;
  for (int b = 0; b < l->branches; b++)
    n += l->branch[b].kind == kind;
  return n;
}

/* Fixed keys that are scored as if just before the window need one. */
static lsp_status check_in_window(const lsp_source *s, const span_config *c,
                                  const lsp_layer *l) {
  if (c->position == SPAN_ROTARY && l->merge == LSP_MERGE_SOFTMAX && l->branches == 2 &&
      count_of(l, LSP_PATTERN_LOCAL) == 1)
    return LSP_OK;
  char label[LSP_LABEL_SIZE];
  return lsp_fail(s->why, LSP_E_FORMAT,
                  "%s: key \"%s\": a fixed branch with \"place\": \"window\" needs "
                  "position \"rotary\", merge \"softmax\", and beside it one local "
                  "branch and nothing else; correct the file",
                  s->path, lsp__source_label(s, "branches", label));
}

static lsp_status check_layer(const lsp_source *s, const span_config *c,
                              const lsp_layer *l) {
  char label[LSP_LABEL_SIZE];
  for (int b = 0; b < l->branches; b++) {
    const lsp_pattern *p = &l->branch[b];
    if (p->in_window)
      LSP_TRY(check_in_window(s, c, l));
    if (p->normalize == LSP_NORMALIZE_NONE && l->merge == LSP_MERGE_SOFTMAX &&
        l->branches > 1)
      return lsp_fail(
          s->why, LSP_E_FORMAT,
          "%s: key \"%s[%d].normalize\" is \"none\"; expected \"softmax\", "
          "since the layer merges its branches into one softmax (\"merge\"); "
          "correct the file",
          s->path, lsp__source_label(s, "branches", label), b);
  }
  return LSP_OK;
}

static lsp_status one_layer(const lsp_source *s, span_config *c, lsp_layer *l) {
  static const char *const keys[] = {"branches", "merge", NULL};
  static const char *const merges[] = {"softmax", "gate", "sum", NULL};
  char label[LSP_LABEL_SIZE], place[LSP_LABEL_SIZE + 16];
  int merge = 0;
  LSP_TRY(lsp__source_known(s, keys));
  LSP_TRY(lsp__source_word(s, "merge", 0, merges, &merge));
  l->merge = (lsp_merge)merge;
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
    LSP_TRY(one_branch(&branch, c, &l->branch[b]));
  }
  l->branches = (int)n;
  return check_layer(s, c, l);
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
