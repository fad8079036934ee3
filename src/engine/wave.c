/* The plan of one wave as this rank sees it: pieces, panels, what is lent and borrowed,
 * which panels come first (neighbours wait for them) and which last (they wait for
 * neighbours). */
#include "engine_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
  lsp_loan **list;
  int *count, *room;
  int failed;
} loan_list;

static void append(const lsp_loan *loan, void *arg) {
  loan_list *l = arg;
  if (*l->count == *l->room) {
    const int room = *l->room == 0 ? 8 : 2 * *l->room;
    lsp_loan *list = realloc(*l->list, (size_t)room * sizeof *list);
    if (list == NULL) {
      l->failed = 1;
      return;
    }
    *l->list = list;
    *l->room = room;
  }
  (*l->list)[(*l->count)++] = *loan;
}

static lsp_status list_loans(lsp_run *e) {
  lsp_wave *w = &e->wave;
  w->lents = w->borroweds = 0;
  loan_list lent = {&w->lent, &w->lents, &w->lent_room, 0};
  loan_list borrowed = {&w->borrowed, &w->borroweds, &w->borrowed_room, 0};
  lsp_plan_lent(&e->plan, w->range, e->ctx->rank, e->ctx->size, append, &lent);
  lsp_plan_borrowed(&e->plan, w->range, e->ctx->rank, e->ctx->size, append, &borrowed);
  if (lent.failed || borrowed.failed)
    return lsp_fail(&e->ctx->why, LSP_E_MEMORY, "no memory for the list of loans");
  return LSP_OK;
}

/* 1 if the panel and the one before it are of the same document. */
static int continues(const lsp_plan *plan, int64_t panel) {
  if (panel >= lsp_plan_panels(plan))
    return 0;
  const int64_t d = lsp_plan_document(plan, panel);
  return panel > plan->panel_start[d];
}

static void list_pieces(lsp_run *e) {
  lsp_wave *w = &e->wave;
  w->pieces = w->panels = 0;
  for (int64_t panel = w->span.first; panel < w->span.end;) {
    lsp_piece *piece = &w->piece[w->pieces++];
    *piece = lsp_plan_piece(&e->plan, w->span, panel);
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

/* Tails: panels with tiles that someone looks into. Borders: panels whose queries look
 * before the span. Rank 0 has its past at hand. */
static void find_borders(lsp_run *e) {
  lsp_wave *w = &e->wave;
  w->tail_from = w->panels;
  w->border_end = 0;
  if (w->panels == 0)
    return;
  const lsp_piece *last = &w->piece[w->pieces - 1];
  for (int i = 0; i < w->lents; i++) {
    if (w->lent[i].from_carry)
      continue;
    int64_t k = w->panels;
    while (k > 0 && w->panel[k - 1].piece == last &&
           (w->panel[k - 1].start + w->panel[k - 1].rows) / LSP_BLOCK >
               w->lent[i].first)
      k--;
    w->tail_from = lsp_min(w->tail_from, k);
  }
  const int64_t reach = lsp_pattern_reach(&e->plan.pattern);
  if (e->ctx->rank > 0 && w->past.first < w->past.end)
    while (w->border_end < w->panels && w->panel[w->border_end].piece == &w->piece[0] &&
           w->panel[w->border_end].start - reach < w->piece[0].start)
      w->border_end++;
}

lsp_status lsp_wave_open(lsp_run *e, int64_t first_panel, int64_t rows) {
  lsp_wave *w = &e->wave;
  const lsp_plan *plan = &e->plan;
  w->range = lsp_plan_wave(plan, first_panel, rows);
  w->span = lsp_plan_span(plan, w->range, e->ctx->rank, e->ctx->size);
  w->rows = lsp_plan_rows_before(plan, w->span.end) -
            lsp_plan_rows_before(plan, w->span.first);
  LSP_ASSERT(w->rows <= e->sizes.span_rows);
  w->token_first = lsp_plan_tokens_before(plan, w->span.first);
  w->token_end = lsp_plan_tokens_before(plan, w->span.end);
  w->nll_first = w->token_first + continues(plan, w->span.first);
  w->nll_end = w->token_end + continues(plan, w->span.end);
  if (w->rows == 0)
    w->nll_end = w->nll_first;
  w->past = w->span.first < w->span.end ? lsp_plan_past(plan, w->span.first)
                                        : (lsp_tiles){0, 0, 0};
  w->carried = lsp_plan_carried(plan, w->range.first);
  w->next = lsp_plan_past(plan, w->range.end);
  list_pieces(e);
  LSP_TRY(list_loans(e));
  find_borders(e);
  return LSP_OK;
}

void lsp_wave_lists_free(lsp_wave *w) {
  free(w->piece);
  free(w->panel);
  free(w->lent);
  free(w->borrowed);
  memset(w, 0, sizeof *w);
}
