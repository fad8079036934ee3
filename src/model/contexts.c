/* What --context changes of a description: the windows of its layers. (Chunks change the
 * frames, not the model.) */
#include "family.h"

#include <string.h>

static lsp_status narrow(const char *path, const lsp_context *c, int layer,
                         lsp_pattern *p, lsp_failure *why) {
  switch (p->kind) {
  case LSP_PATTERN_FULL:
    p->kind = LSP_PATTERN_LOCAL;
    p->window = c->window;
    return LSP_OK;
  case LSP_PATTERN_LOCAL:
    if (p->windows != NULL && p->window > c->window)
      return lsp_fail(why, LSP_E_USAGE,
                      "--context window:%lld: layer %d of %s has a window for each "
                      "head, up to %lld; change them there",
                      (long long)c->window, layer, path, (long long)p->window);
    p->window = lsp_min(p->window, c->window);
    return LSP_OK;
  case LSP_PATTERN_FIXED:
    if (c->sinks == 0)
      return LSP_OK;
    return lsp_fail(why, LSP_E_USAGE,
                    "--context sinks:%lld: layer %d of %s has fixed keys of its own; "
                    "leave the sinks out",
                    (long long)c->sinks, layer, path);
  case LSP_PATTERN_RECURRENCE:
    return lsp_fail(why, LSP_E_USAGE,
                    "--context window:%lld: layer %d of %s has a memory (recurrence), "
                    "not a window; --mem-len changes it",
                    (long long)c->window, layer, path);
  default:
    return lsp_fail(
        why, LSP_E_USAGE,
        "--context window:%lld: layer %d of %s has a branch of type \"%s\", "
        "which a window does not narrow (only full and local ones); leave "
        "it out",
        (long long)c->window, layer, path, lsp_pattern_of(p)->name);
  }
}

/* Sinks are scored as if they stood elsewhere: queries are turned back for them. Other
 * positions than rotary ones do not let that happen. */
static lsp_status check_turned(const char *path, const lsp_context *c,
                               const lsp_model *model, int layer, lsp_failure *why) {
  const lsp_position_kind kind = model->layer[layer].position.kind;
  const char *positions = kind == LSP_POSITION_ALIBI      ? "ALiBi"
                          : kind == LSP_POSITION_RELATIVE ? "relative"
                          : model->positions_most > 0     ? "learned"
                                                          : NULL;
  if (positions == NULL)
    return LSP_OK;
  return lsp_fail(why, LSP_E_USAGE,
                  "--context sinks:%lld: layer %d of %s has %s positions, which do not "
                  "let sinks be scored as if they stood before the window; leave the "
                  "sinks out",
                  (long long)c->sinks, layer, path, positions);
}

static lsp_status add_sinks(const char *path, const lsp_context *c, int layer,
                            lsp_model *model, lsp_failure *why) {
  lsp_layer *l = &model->layer[layer];
  if (model->two_sided)
    return lsp_fail(why, LSP_E_USAGE,
                    "--context sinks:%lld: %s looks to both sides (causal false), and "
                    "sinks stand before the window of a causal model; leave the sinks "
                    "out",
                    (long long)c->sinks, path);
  LSP_TRY(check_turned(path, c, model, layer, why));
  if (l->merge != LSP_MERGE_SOFTMAX || l->branches != 1)
    return lsp_fail(why, LSP_E_USAGE,
                    "--context sinks:%lld: layer %d of %s has several branches, and "
                    "sinks stand before the window of one; leave the sinks out",
                    (long long)c->sinks, layer, path);
  l->branch[l->branches++] = (lsp_pattern){.kind = LSP_PATTERN_FIXED,
                                           .normalize = l->branch[0].normalize,
                                           .sinks = c->sinks,
                                           .in_window = 1};
  return LSP_OK;
}

/* A context that is longer than what the model was trained for helps nobody. */
static lsp_status check_trained(const char *path, const lsp_context *c,
                                const lsp_model *model, lsp_failure *why) {
  const int64_t rows = c->kind == LSP_CONTEXT_WINDOW ? c->window + c->sinks : c->chunk;
  char text[LSP_CONTEXT_SIZE];
  if (model->trained == 0 || rows <= model->trained)
    return LSP_OK;
  lsp_context_print(c, text);
  return lsp_fail(
      why, LSP_E_USAGE,
      "--context %s: the model of %s was trained for %lld positions; ask for "
      "at most that many, or for --context full",
      text, path, (long long)model->trained);
}

static lsp_status check_sinks(const lsp_context *c, lsp_failure *why) {
  if (c->sinks <= LSP_SINKS_MAX)
    return LSP_OK;
  return lsp_fail(why, LSP_E_USAGE, "--context sinks:%lld: at most %d",
                  (long long)c->sinks, LSP_SINKS_MAX);
}

/* Chunks are frames that begin anew: not with what makes frames of its own, nor with what
 * is handed along the text. */
static lsp_status check_chunks(const char *path, const lsp_context *c,
                               const lsp_model *model, lsp_failure *why) {
  char text[LSP_CONTEXT_SIZE];
  if (c->kind != LSP_CONTEXT_CHUNKS)
    return LSP_OK;
  lsp_context_print(c, text);
  if (model->wrapper.kind != LSP_WRAP_NONE)
    return lsp_fail(why, LSP_E_USAGE,
                    "--context %s: the model of %s has a memory around it, and reads a "
                    "text in segments of %lld tokens already; leave the option out",
                    text, path, (long long)model->wrapper.segment);
  for (int i = 0; i < model->layers; i++)
    for (int b = 0; b < model->layer[i].branches; b++)
      if (model->layer[i].branch[b].kind == LSP_PATTERN_COMPRESSIVE)
        return lsp_fail(why, LSP_E_USAGE,
                        "--context %s: layer %d of %s has a compressive memory, which "
                        "runs through the whole text; leave the option out",
                        text, i, path);
  return LSP_OK;
}

lsp_status lsp__apply_context(const char *path, const lsp_context *c, lsp_model *model,
                              lsp_failure *why) {
  char text[LSP_CONTEXT_SIZE];
  if (c->kind == LSP_CONTEXT_MODEL || c->kind == LSP_CONTEXT_FULL)
    return LSP_OK; /* the same numbers: neither is a fact of the results */
  LSP_TRY(check_chunks(path, c, model, why));
  LSP_TRY(check_trained(path, c, model, why));
  LSP_TRY(check_sinks(c, why));
  for (int i = 0; i < model->layers && c->kind == LSP_CONTEXT_WINDOW; i++) {
    lsp_layer *l = &model->layer[i];
    for (int b = 0; b < l->branches; b++)
      LSP_TRY(narrow(path, c, i, &l->branch[b], why));
    if (c->sinks > 0)
      LSP_TRY(add_sinks(path, c, i, model, why));
  }
  lsp_context_print(c, text);
  lsp__fact(model, "context", "%s", text);
  return LSP_OK;
}
