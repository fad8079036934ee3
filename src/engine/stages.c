/* Waves of two-sided models: which panels each layer takes up.
 *
 * A layer attends to panels whose keys ahead are there, so the ends of its waves lie before
 * those of the layer below (lsp/halos.h). Where the wave begins a layer is where it ended in
 * the last one. After a kill the layers begin anew, each with the first panel that the next
 * one needs, so that every row that is computed is as it would have been. */
#include "engine_internal.h"

#include <stdlib.h>

lsp_status lsp_stages_open(lsp_run *e, lsp_failure *why) {
  const size_t n = (size_t)e->weights.model.layers + 1;
  lsp_ahead *a = &e->span.ahead;
  if (!e->weights.model.two_sided)
    return LSP_OK;
  a->stage = calloc(n, sizeof *a->stage);
  a->floor = calloc(n, sizeof *a->floor);
  if (a->stage == NULL || a->floor == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for the stages of %d layers",
                    e->weights.model.layers);
  return LSP_OK;
}

void lsp_stages_close(lsp_run *e) {
  free(e->span.ahead.stage);
  free(e->span.ahead.floor);
}

void lsp_stages_begin(lsp_run *e) {
  lsp_ahead *a = &e->span.ahead;
  const int L = e->weights.model.layers;
  if (!e->weights.model.two_sided)
    return;
  a->floor[L] = e->progress.commit.panel_end;
  for (int l = L - 1; l >= 0; l--)
    a->floor[l] =
        lsp_plan_anew(&e->text.plan, a->floor[l + 1], &e->span.layer[l].sight);
  a->next = a->floor[0];
}

void lsp_stages_wave(lsp_run *e, int64_t rows) {
  lsp_ahead *a = &e->span.ahead;
  const lsp_plan *plan = &e->text.plan;
  const int L = e->weights.model.layers;
  lsp_range r = lsp_sizes_wave(&e->weights.model, plan, a->next, rows);
  a->next = r.end;
  for (int l = 0; l <= L; l++) {
    a->stage[l] =
        (lsp_range){lsp_max(a->floor[l], r.first), lsp_max(a->floor[l], r.end)};
    if (l < L)
      r = (lsp_range){lsp_plan_ready(plan, r.first, &e->span.layer[l].sight),
                      lsp_plan_ready(plan, r.end, &e->span.layer[l].sight)};
  }
  lsp_wave_of(e, a->stage[0]);
}

lsp_range lsp_wave_taken(const lsp_run *e) {
  return e->weights.model.two_sided ? e->span.ahead.stage[0] : e->span.wave.range;
}
