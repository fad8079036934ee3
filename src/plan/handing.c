/* Who hands a state on to whom, and how long ranks wait for it. */
#include "lsp/handing.h"

int lsp_plan_joined(const lsp_plan *plan, int64_t panel) {
  if (panel <= 0 || panel >= lsp_plan_panels(plan))
    return 0;
  return lsp_plan_document_of(plan, lsp_plan_frame(plan, panel - 1)) ==
         lsp_plan_document_of(plan, lsp_plan_frame(plan, panel));
}

int lsp_plan_owner_of(const lsp_view_of_wave *v, int64_t panel) {
  int low = 0, high = v->ranks - 1;
  while (low < high) { /* the first span that ends after it */
    const int middle = low + (high - low) / 2;
    if (lsp_plan_span(v->plan, v->wave, middle, v->ranks).end > panel)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

static lsp_range span_of(const lsp_view_of_wave *v) {
  return lsp_plan_span(v->plan, v->wave, v->rank, v->ranks);
}

int lsp_plan_hands_to(const lsp_view_of_wave *v) {
  const lsp_range span = span_of(v);
  if (span.first == span.end || !lsp_plan_joined(v->plan, span.end))
    return -1;
  return span.end < v->wave.end ? lsp_plan_owner_of(v, span.end) : 0;
}

int lsp_plan_handed_by(const lsp_view_of_wave *v) {
  const lsp_range span = span_of(v);
  if (span.first == span.end || span.first == v->wave.first ||
      !lsp_plan_joined(v->plan, span.first))
    return -1;
  return lsp_plan_owner_of(v, span.first - 1);
}

/* Rank r has the state of layer 0 when r ranks have had it; it then is so far behind rank 0
 * that the states of all later layers have come when it needs them. */
int64_t lsp_plan_chain_steps(int ranks, int layers, lsp_layer_steps s) {
  return layers * (s.before + s.with + s.after) + (ranks - 1) * s.with;
}
