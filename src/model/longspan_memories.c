/* What the branches that are memories go with. */
#include "longspan.h"

/* --- the store ------------------------------------------------------------------- */

/* Candidates are walked in order, with all that the other branches show. */
static lsp_status check_beside_store(const lsp_source *at, const lsp_layer *l,
                                     const lsp_pattern *p) {
  const lsp_pattern *other = lsp__apart_from_store(l);
  if (other != NULL)
    return lsp__source_refuse(
        at, "type", lsp__source_get(at, "type"),
        "no branch of type \"%s\" in the layer: a store goes with "
        "full, local, fixed, recurrence, global, dynamic and "
        "learned ones",
        lsp_pattern_of(other)->name);
  other = lsp__span_first(l, LSP_PATTERN_FULL);
  if (other != NULL && lsp__span_sharing(l, p) > 1)
    return lsp__source_refuse(
        at, "type", lsp__source_get(at, "type"),
        "no branch of type \"full\" in one softmax with it, which "
        "leaves nothing to be found; set \"merge\" to "
        "\"memory_gate\", \"gate\" or \"sum\"");
  other = lsp__span_first(l, LSP_PATTERN_FIXED);
  if (other == NULL)
    other = lsp__span_first(l, LSP_PATTERN_GLOBAL);
  if (other == NULL || lsp__span_sharing(l, p) == 1)
    return LSP_OK;
  return lsp__source_refuse(at, "type", lsp__source_get(at, "type"),
                            "no branch of type \"%s\" in one softmax with it, or its "
                            "keys would count twice; set \"merge\" to \"memory_gate\", "
                            "\"gate\" or \"sum\"",
                            lsp_pattern_of(other)->name);
}

static lsp_status check_store(const lsp_source *at, const span_config *c,
                              const lsp_layer *l, const lsp_pattern *p) {
  if (c->score_cap > 0)
    return lsp__source_refuse(at, "type", lsp__source_get(at, "type"),
                              "another, or no \"score_cap\" in the model: scores of a "
                              "store are compared as they are");
  if (p->rotated && c->position != SPAN_ROTARY)
    return lsp__source_refuse(at, "keys", lsp__source_get(at, "keys"),
                              "\"plain\", since \"position\" is not \"rotary\"");
  return check_beside_store(at, l, p);
}

/* --- the compressed past --------------------------------------------------------- */

/* Rows are made one when they leave the recurrence beside it. */
static lsp_status check_compressed_past(const lsp_source *at, const lsp_layer *l,
                                        const lsp_pattern *p) {
  const lsp_pattern *r = lsp__span_first(l, LSP_PATTERN_RECURRENCE);
  if (lsp__span_count(l, LSP_PATTERN_RECURRENCE) != 1 || r->same_length)
    return lsp__source_refuse(at, "type", lsp__source_get(at, "type"),
                              "one branch of type \"recurrence\" beside it, with "
                              "\"same_length\" false: what leaves its memory is "
                              "compressed");
  if (r->segment % p->pool == 0 && r->memory % p->pool == 0)
    return LSP_OK;
  return lsp__source_refuse(at, "pool", lsp__source_get(at, "pool"),
                            "one that divides segment and memory of the recurrence "
                            "beside it, which are %lld and %lld",
                            (long long)r->segment, (long long)r->memory);
}

/* --- all of it ------------------------------------------------------------------- */

lsp_status lsp__span_memory(const lsp_source *at, const span_config *c,
                            const lsp_layer *l, const lsp_pattern *p) {
  if (p->kind == LSP_PATTERN_STORE)
    return check_store(at, c, l, p);
  if (p->kind == LSP_PATTERN_COMPRESSED_PAST)
    return check_compressed_past(at, l, p);
  return LSP_OK;
}

lsp_status lsp__span_memory_gate(const lsp_source *s, const lsp_layer *l) {
  int memories = 0;
  for (int b = 0; b < l->branches; b++)
    memories += lsp_pattern_is_memory(&l->branch[b]);
  if (l->merge != LSP_MERGE_MEMORY || (memories == 1 && l->branches > 1))
    return LSP_OK;
  return lsp__source_refuse(
      s, "merge", lsp__source_get(s, "merge"),
      "another, or one branch that is a memory (learned, store or "
      "compressive), not %d, beside one or more that are none, "
      "not %d",
      memories, l->branches - memories);
}
