/* What the branches of a layer must be to go together, and to go with the positions of
 * the model. */
#include "longspan.h"

#include <stdio.h>

/* Of each type, what it can be beside. */
static const struct {
  int once;  /* a layer has at most one */
  int alone; /* it is a softmax of its own */
  int far;   /* with relative positions it needs clamp_len */
  int mean;  /* what it shows has no one distance: not with relative positions */
} traits[LSP_PATTERNS] = {
    [LSP_PATTERN_GLOBAL] = {.once = 1, .far = 1},
    [LSP_PATTERN_RANDOM] = {.far = 1},
    [LSP_PATTERN_CHOSEN] = {.once = 1, .far = 1},
    [LSP_PATTERN_COMPRESSED] = {.once = 1, .alone = 1, .mean = 1},
    [LSP_PATTERN_SELECTED] = {.once = 1, .alone = 1, .mean = 1},
    [LSP_PATTERN_LEVELS] = {.once = 1, .alone = 1, .mean = 1},
    [LSP_PATTERN_DYNAMIC] = {.once = 1, .alone = 1, .mean = 1},
    [LSP_PATTERN_LEARNED] = {.once = 1},
    [LSP_PATTERN_STORE] = {.once = 1},
    [LSP_PATTERN_COMPRESSED_PAST] = {.once = 1, .mean = 1},
    [LSP_PATTERN_COMPRESSIVE] = {.once = 1, .alone = 1},
};

int lsp__span_count(const lsp_layer *l, lsp_pattern_kind kind) {
  int n = 0;
  for (int b = 0; b < l->branches; b++)
    n += l->branch[b].kind == kind;
  return n;
}

const lsp_pattern *lsp__span_first(const lsp_layer *l, lsp_pattern_kind kind) {
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == kind)
      return &l->branch[b];
  return NULL;
}

int lsp__span_sharing(const lsp_layer *l, const lsp_pattern *p) {
  int memories = 0;
  if (l->merge == LSP_MERGE_SOFTMAX)
    return l->branches;
  if (l->merge != LSP_MERGE_MEMORY)
    return 1;
  for (int b = 0; b < l->branches; b++)
    memories += lsp_pattern_is_memory(&l->branch[b]);
  return lsp_pattern_is_memory(p) ? memories : l->branches - memories;
}

/* --- one branch ------------------------------------------------------------------ */

/* Fixed keys that are scored as if just before the window need one. s: the layer. */
static lsp_status check_in_window(const lsp_source *s, const span_config *c,
                                  const lsp_layer *l, const lsp_pattern *p) {
  if (!p->in_window || (c->position == SPAN_ROTARY && lsp__span_sharing(l, p) == 2 &&
                        lsp__span_count(l, LSP_PATTERN_LOCAL) == 1))
    return LSP_OK;
  char label[LSP_LABEL_SIZE];
  return lsp_fail(
      s->why, LSP_E_FORMAT,
      "%s: key \"%s\": a fixed branch with \"place\": \"window\" needs "
      "position \"rotary\", merge \"softmax\" (or \"memory_gate\"), and "
      "beside it one local branch and nothing else (but the memory); correct "
      "the file",
      s->path, lsp__source_label(s, "branches", label));
}

/* What is far away needs a table of distances that ends; means have no one distance. */
static lsp_status check_relative(const lsp_source *s, const span_config *c,
                                 const lsp_pattern *p) {
  if (c->position != SPAN_RELATIVE)
    return LSP_OK;
  const json_t *type = lsp__source_get(s, "type");
  if (traits[p->kind].mean)
    return lsp__source_refuse(
        s, "type", type,
        "one that goes with \"position\" \"relative\", or another "
        "\"position\": rotary, learned, alibi or none");
  if (!traits[p->kind].far || c->clamp_len > 0)
    return LSP_OK;
  return lsp__source_refuse(
      s, "type", type,
      "a \"clamp_len\" from 1 on in the model, since \"position\" is \"relative\": a "
      "table of all distances takes %.0f MiB for every million tokens",
      4e6 * (double)(c->num_attention_heads * c->head_dim) / (1 << 20));
}

static lsp_status check_normalize(const lsp_source *s, const lsp_layer *l,
                                  const lsp_pattern *p) {
  if (p->normalize != LSP_NORMALIZE_NONE || lsp__span_sharing(l, p) == 1)
    return LSP_OK;
  return lsp__source_refuse(s, "normalize", lsp__source_get(s, "normalize"),
                            "\"softmax\", since the layer merges its branches into one "
                            "softmax (\"merge\")");
}

/* --- beside others --------------------------------------------------------------- */

static lsp_status check_once(const lsp_source *s, const lsp_layer *l,
                             const lsp_pattern *p) {
  if (!traits[p->kind].once || lsp__span_first(l, p->kind) == p)
    return LSP_OK;
  return lsp__source_refuse(s, "type", lsp__source_get(s, "type"),
                            "another, since a layer has at most one branch of it");
}

/* A layer has one list of choices. */
static lsp_status check_chooser(const lsp_source *s, const lsp_layer *l,
                                const lsp_pattern *p) {
  if (p->kind != LSP_PATTERN_SELECTED || lsp__span_first(l, LSP_PATTERN_CHOSEN) == NULL)
    return LSP_OK;
  return lsp__source_refuse(s, "type", lsp__source_get(s, "type"),
                            "no branch of type \"chosen\" beside it: one branch of a "
                            "layer chooses blocks by what they hold");
}

/* s: the layer */
static lsp_status check_alone(const lsp_source *s, const lsp_layer *l,
                              const lsp_pattern *p) {
  if (!traits[p->kind].alone || lsp__span_sharing(l, p) == 1)
    return LSP_OK;
  return lsp__source_refuse(
      s, "merge", lsp__source_get(s, "merge"),
      "\"gate\", \"sum\", \"input_gate\"%s, since a branch of type \"%s\" is in no "
      "softmax with others",
      p->kind == LSP_PATTERN_COMPRESSIVE ? ", \"concat\" or \"memory_gate\""
                                         : " or \"concat\"",
      lsp_pattern_of(p)->name);
}

/* Where all is seen, nothing is left to be picked. */
static lsp_status check_left(const lsp_source *s, const lsp_layer *l,
                             const lsp_pattern *p) {
  const lsp_pattern *all = lsp__span_first(l, LSP_PATTERN_FULL);
  if (all == NULL)
    all = lsp__span_first(l, LSP_PATTERN_RECURRENCE);
  if (!lsp_pattern_picks(p) || all == NULL)
    return LSP_OK;
  return lsp__source_refuse(s, "type", lsp__source_get(s, "type"),
                            "no branch of type \"%s\" beside it, which leaves nothing "
                            "to be picked",
                            lsp_pattern_of(all)->name);
}

/* Blocks that have a mean within reach of the compressed branch, and the own one. */
static lsp_status check_selected(const lsp_source *s, const lsp_layer *l,
                                 const lsp_pattern *p) {
  const lsp_pattern *means = lsp__span_first(l, LSP_PATTERN_COMPRESSED);
  if (p->kind != LSP_PATTERN_SELECTED)
    return LSP_OK;
  if (means == NULL)
    return lsp__source_refuse(s, "type", lsp__source_get(s, "type"),
                              "a branch of type \"compressed\" beside it, by whose "
                              "weights blocks are selected");
  const int64_t most =
      1 + lsp_divide_up(means->block_reach * means->pool, LSP_GRID_BLOCK);
  if (means->block_reach == 0 || p->blocks <= most)
    return LSP_OK;
  return lsp__source_refuse(s, "blocks", lsp__source_get(s, "blocks"),
                            "at most %lld: the own block, and those that the "
                            "compressed branch reaches (%lld means of %d)",
                            (long long)most, (long long)means->block_reach,
                            means->pool);
}

static lsp_status check_global(const lsp_source *s, const lsp_layer *l,
                               const lsp_pattern *p) {
  if (!p->own_projections || l->merge == LSP_MERGE_SOFTMAX)
    return LSP_OK;
  return lsp__source_refuse(s, "projections", lsp__source_get(s, "projections"),
                            "\"shared\", or \"merge\" \"softmax\" in the layer");
}

/* Beside blocks that are picked, fixed keys are the first of the document. */
static lsp_status check_positions(const lsp_source *s, const lsp_layer *l,
                                  const lsp_pattern *p) {
  if (p->positions == NULL || lsp__span_sharing(l, p) == 1 || !lsp_layer_picks(l))
    return LSP_OK;
  return lsp__source_refuse(s, "positions", lsp__source_get(s, "positions"),
                            "\"tokens\", or another \"merge\" than \"softmax\", since "
                            "a branch beside it picks blocks");
}

/* --- all of it ------------------------------------------------------------------- */

/* s: the layer, at: branch p of it */
static lsp_status check_branch(const lsp_source *s, const lsp_source *at,
                               const span_config *c, const lsp_layer *l,
                               const lsp_pattern *p) {
  LSP_TRY(check_in_window(s, c, l, p));
  LSP_TRY(check_relative(at, c, p));
  LSP_TRY(check_normalize(at, l, p));
  LSP_TRY(check_once(at, l, p));
  LSP_TRY(check_chooser(at, l, p));
  LSP_TRY(check_left(at, l, p));
  LSP_TRY(check_selected(at, l, p));
  LSP_TRY(check_alone(s, l, p));
  LSP_TRY(check_global(at, l, p));
  LSP_TRY(check_positions(at, l, p));
  return lsp__span_memory(at, c, l, p);
}

lsp_status lsp__span_together(const lsp_source *s, const span_config *c,
                              const lsp_layer *l) {
  char label[LSP_LABEL_SIZE], place[LSP_LABEL_SIZE + 16];
  LSP_TRY(lsp__span_memory_gate(s, l));
  (void)lsp__source_label(s, "branches", label);
  for (int b = 0; b < l->branches; b++) {
    (void)snprintf(place, sizeof place, "%s[%d]", label, b);
    const lsp_source at = {json_array_get(lsp__source_get(s, "branches"), (size_t)b),
                           s->path, place, s->why};
    LSP_TRY(check_branch(s, &at, c, l, &l->branch[b]));
  }
  return LSP_OK;
}
