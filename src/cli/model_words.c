/* What layers see, in words. */
#include "model_words.h"

#include "cli.h"

#include "lsp/safetensors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_SAID = 12, WORDS_SIZE = 512 };

lsp_status lsp_words_model(const char *dir, const lsp_choices *choices,
                           lsp_model *model, lsp_failure *why) {
  char *text = NULL;
  memset(model, 0, sizeof *model);
  LSP_TRY(lsp_model_text(dir, &text, why));
  const lsp_status st = lsp_model_describe(dir, text, choices, model, why);
  free(text);
  return st;
}

static int is_dynamic(const lsp_layer *l) {
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_DYNAMIC)
      return 1;
  return 0;
}

/* Of the layers that have some, into `at`, one after the other; 0: something is not there
 * as it should be. */
static int read_spans(const lsp_checkpoint *c, const lsp_model *m, float *at) {
  char name[64];
  for (int i = 0; i < m->layers; i++) {
    const int64_t heads = m->layer[i].heads.query;
    lsp_failure why = {0};
    if (!is_dynamic(&m->layer[i]))
      continue;
    (void)snprintf(name, sizeof name, "layers.%d.attention.span", i);
    const lsp_tensor *t = lsp_checkpoint_find(c, name);
    if (t == NULL || t->count != heads ||
        lsp_checkpoint_floats(c, t, 0, heads, at, &why) != LSP_OK)
      return 0;
    at += heads;
  }
  return 1;
}

void lsp_words_learned(const char *dir, lsp_model *model, float **spans) {
  lsp_checkpoint *c = NULL;
  lsp_failure why = {0};
  int64_t heads = 0;
  *spans = NULL;
  for (int i = 0; i < model->layers; i++)
    heads += is_dynamic(&model->layer[i]) ? model->layer[i].heads.query : 0;
  if (heads == 0 || lsp_checkpoint_open(dir, &c, &why) != LSP_OK)
    return;
  float *at = *spans = calloc((size_t)heads, sizeof *at);
  const int there = at != NULL && read_spans(c, model, at);
  for (int i = 0; there && i < model->layers; i++)
    if (is_dynamic(&model->layer[i])) {
      model->layer[i].span = at;
      at += model->layer[i].heads.query;
    }
  if (there)
    lsp_model_settle(model);
  lsp_checkpoint_close(&c);
}

void lsp_words_add(char *text, size_t size, const char *format, ...) {
  const size_t n = strlen(text);
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(text + n, size - n, format, arguments);
  va_end(arguments);
}

/* --- layers that are alike ------------------------------------------------------- */

static int branches_alike(const lsp_pattern *a, const lsp_pattern *b, int heads) {
  for (int h = 0; h < heads && (a->windows != NULL || b->windows != NULL); h++)
    if (lsp_window_of(a, h) != lsp_window_of(b, h))
      return 0;
  for (int i = 0; i < a->position_count && i < b->position_count; i++)
    if (a->positions[i] != b->positions[i])
      return 0;
  return a->kind == b->kind && a->normalize == b->normalize && a->window == b->window &&
         a->sinks == b->sinks && a->in_window == b->in_window &&
         a->segment == b->segment && a->memory == b->memory &&
         a->same_length == b->same_length && a->virtual_past == b->virtual_past &&
         a->position_count == b->position_count &&
         a->own_projections == b->own_projections && a->blocks == b->blocks &&
         a->block_reach == b->block_reach && a->beyond == b->beyond &&
         a->seed == b->seed && a->pool == b->pool && a->levels == b->levels &&
         a->ramp == b->ramp && a->slots == b->slots && a->neighbours == b->neighbours &&
         a->rotated == b->rotated && a->cosine == b->cosine &&
         a->convolved == b->convolved && a->delta == b->delta && a->tiled == b->tiled;
}

int lsp_words_alike(const lsp_model *model, int i, int k) {
  const lsp_layer *a = &model->layer[i], *b = &model->layer[k];
  if (a->heads.query != b->heads.query || a->heads.shared != b->heads.shared ||
      a->heads.width != b->heads.width || a->position.kind != b->position.kind ||
      a->branches != b->branches || a->merge != b->merge ||
      a->gate_others != b->gate_others || a->gate_skips != b->gate_skips)
    return 0;
  for (int n = 0; n < a->branches; n++)
    if (!branches_alike(&a->branch[n], &b->branch[n], a->heads.query))
      return 0;
  return 1;
}

int lsp_words_is_first(const lsp_model *model, int i) {
  for (int k = 0; k < i; k++)
    if (lsp_words_alike(model, i, k))
      return 0;
  return 1;
}

int lsp_words_is_full(const lsp_model *model, int of, int layer) {
  (void)of;
  return lsp_layer_reach(&model->layer[layer]) == LSP_REACH_ALL;
}

int lsp_words_is_endless(const lsp_model *model, int of, int layer) {
  lsp_stratum stratum[LSP_STRATA_MAX];
  const int strata = lsp_layer_strata(&model->layer[layer], stratum);
  for (int s = 0; s < strata; s++)
    if (stratum[s].reach == LSP_REACH_ALL)
      return 1;
  return lsp_words_is_full(model, of, layer);
}

int lsp_words_is_whole(const lsp_model *model, int of, int layer) {
  (void)of;
  return lsp_layer_ahead(&model->layer[layer]) == LSP_REACH_ALL;
}

int lsp_words_is_picking(const lsp_model *model, int of, int layer) {
  (void)of;
  return lsp_layer_picks(&model->layer[layer]);
}

static int has_full(const lsp_layer *l) {
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_FULL)
      return 1;
  return 0;
}

int lsp_words_all_seen(const lsp_model *model) {
  for (int i = 0; i < model->layers; i++)
    if (lsp_words_is_endless(model, 0, i) && !has_full(&model->layer[i]))
      return 0;
  return 1;
}

/* Every how many layers they come: the step of at least four of them; else 0. */
static int step_of(const lsp_model *model, lsp_words_is *is, int of) {
  int last = -1, step = 0, count = 0;
  for (int i = 0; i < model->layers; i++) {
    if (!is(model, of, i))
      continue;
    if (last >= 0 && step != 0 && i - last != step)
      return 0;
    step = last >= 0 ? i - last : 0;
    last = i;
    count++;
  }
  return count >= 4 && step > 1 ? step : 0;
}

static void add_runs(const lsp_model *model, lsp_words_is *is, int of, char *text,
                     size_t size) {
  int runs = 0;
  for (int i = 0, end; i < model->layers; i = end) {
    end = i + 1;
    if (!is(model, of, i))
      continue;
    while (end < model->layers && is(model, of, end))
      end++;
    if (runs++ == RUNS_SAID)
      lsp_words_add(text, size, ", ...");
    if (runs > RUNS_SAID)
      continue;
    lsp_words_add(text, size, "%s%d", runs > 1 ? ", " : "", i);
    if (end > i + 1)
      lsp_words_add(text, size, end > i + 2 ? " to %d" : ", %d", end - 1);
  }
}

void lsp_words_layers(const lsp_model *model, lsp_words_is *is, int of, char *text,
                      size_t size) {
  int count = 0, first = -1, last = 0;
  for (int i = 0; i < model->layers; i++)
    if (is(model, of, i)) {
      first = first < 0 ? i : first;
      last = i;
      count++;
    }
  const int step = step_of(model, is, of);
  text[0] = '\0';
  lsp_words_add(text, size, "layer%s ", count == 1 ? "" : "s");
  if (step > 0)
    lsp_words_add(text, size, "%d, %d, ... %d", first, first + step, last);
  else
    add_runs(model, is, of, text, size);
}

/* --- what they see --------------------------------------------------------------- */

void lsp_words_heads(lsp_heads heads, char *text, size_t size) {
  text[0] = '\0';
  if (heads.query == heads.shared)
    lsp_words_add(text, size, "%d head%s of width %d", heads.query,
                  heads.query == 1 ? "" : "s", heads.width);
  else
    lsp_words_add(text, size, "%d query heads, %d key/value head%s of width %d",
                  heads.query, heads.shared, heads.shared == 1 ? "" : "s", heads.width);
}

int lsp_words_heads_end(const lsp_layer *layer, int head) {
  int end = head + 1;
  for (; end < layer->heads.query; end++)
    for (int b = 0; b < layer->branches; b++)
      if (layer->branch[b].windows != NULL &&
          lsp_window_of(&layer->branch[b], end) !=
              lsp_window_of(&layer->branch[b], head))
        return end;
  return end;
}

static int has_comma(const lsp_layer *layer, int branch) {
  char text[WORDS_SIZE];
  lsp_words_branch(layer, branch, text, sizeof text);
  return layer->branch[branch].kind != LSP_PATTERN_LOCAL && strstr(text, ", ") != NULL;
}

void lsp_words_sight(const lsp_layer *layer, char *text, size_t size) {
  static const char *const merged[] = {
      [LSP_MERGE_SOFTMAX] = " in one softmax",
      [LSP_MERGE_GATE] = " weighed by a gate",
      [LSP_MERGE_SUM] = " added",
      [LSP_MERGE_INPUT] = " each weighed by gates of the token",
      [LSP_MERGE_CONCAT] = " side by side",
      [LSP_MERGE_MEMORY] = " memory and attention weighed by a gate"};
  const int n = layer->branches;
  int long_words = 0;
  for (int b = 0; b < n; b++)
    long_words += has_comma(layer, b);
  text[0] = '\0';
  for (int b = 0; b < n; b++) {
    if (b > 0)
      lsp_words_add(text, size, long_words ? "; " : b + 1 == n ? " and " : ", ");
    lsp_words_add_branch(layer, b, text, size);
  }
  if (n > 1)
    lsp_words_add(text, size, "%s%s", long_words ? ";" : ",", merged[layer->merge]);
}
