/* The plan of one wave as this rank sees it: pieces and panels. */
#include "engine_internal.h"

#include <stdlib.h>
#include <string.h>

static void list_pieces(lsp_wave *w, const lsp_plan *plan) {
  w->pieces = w->panels = 0;
  for (int64_t panel = w->span.first; panel < w->span.end;) {
    lsp_piece *piece = &w->piece[w->pieces++];
    *piece = lsp_plan_piece(plan, w->span, panel);
    for (int64_t p = piece->panel_first; p < piece->panel_end; p++) {
      const int64_t start = lsp_panel_start(p);
      w->panel[w->panels++] = (lsp_panel){.piece = piece,
                                          .row = piece->row + start - piece->start,
                                          .start = start,
                                          .rows = lsp_panel_rows(p)};
    }
    panel += piece->panel_end - piece->panel_first;
  }
}

void lsp_wave_of(lsp_run *e, lsp_range panels) {
  lsp_wave *w = &e->span.wave;
  const lsp_plan *plan = &e->text.plan;
  w->rank = e->job.ctx->rank;
  w->ranks = e->job.ctx->size;
  w->range = panels;
  w->span = lsp_plan_span(plan, w->range, e->job.ctx->rank, e->job.ctx->size);
  w->rows = lsp_plan_rows_before(plan, w->span.end) -
            lsp_plan_rows_before(plan, w->span.first);
  LSP_ASSERT(w->rows <= e->span.sizes.span_rows);
  w->token_first = lsp_plan_tokens_before(plan, w->span.first);
  w->token_end = lsp_plan_tokens_before(plan, w->span.end);
  w->nll_first = lsp_plan_predicted_before(plan, w->span.first);
  w->nll_end = lsp_plan_predicted_before(plan, w->span.end);
  if (w->rows == 0)
    w->nll_end = w->nll_first;
  w->next = lsp_plan_past(plan, w->range.end, LSP_TILES_ALL);
  list_pieces(w, plan);
}

lsp_view_of_wave lsp_wave_view(const lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  return (lsp_view_of_wave){&e->text.plan, w->range, w->rank, w->ranks};
}

void lsp_wave_open(lsp_run *e, int64_t first_panel, int64_t rows) {
  lsp_wave_of(e, lsp_plan_wave(&e->text.plan, first_panel, rows));
}

void lsp_wave_lists_free(lsp_wave *w) {
  free(w->piece);
  free(w->panel);
  memset(w, 0, sizeof *w);
}
