/* Who lends which tiles to whom, in one wave. */
#include "lsp/plan.h"

static int64_t grid_panel(const lsp_plan *plan, int64_t d, int64_t panel) {
  return panel - plan->panel_start[d] + lsp_panel_of(lsp_plan_origin(plan, d));
}

lsp_tiles lsp_plan_past(const lsp_plan *plan, int64_t panel) {
  if (panel >= lsp_plan_panels(plan))
    return (lsp_tiles){plan->documents, 0, 0};
  const int64_t d = lsp_plan_document(plan, panel);
  const int64_t end = lsp_panel_start(grid_panel(plan, d, panel)) / LSP_GRID_BLOCK;
  return (lsp_tiles){d, lsp_max(0, end - plan->reach_tiles), end};
}

lsp_tiles lsp_plan_carried(const lsp_plan *plan, int64_t panel) {
  lsp_tiles tiles = lsp_plan_past(plan, panel);
  if (tiles.document == 0 && panel == 0 && plan->documents > 0)
    tiles.end = lsp_divide_up(plan->first_position, LSP_GRID_BLOCK);
  return tiles;
}

/* Tiles of a document that a span owns: [first, end). */
static lsp_tiles owned_tiles(const lsp_plan *plan, lsp_range span, int64_t document) {
  lsp_tiles tiles = {document, 0, 0};
  if (document >= plan->documents)
    return tiles;
  const int64_t first = lsp_max(span.first, plan->panel_start[document]);
  const int64_t end = lsp_min(span.end, plan->panel_start[document + 1]);
  if (first >= end)
    return tiles;
  tiles.first = lsp_panel_start(grid_panel(plan, document, first)) / LSP_GRID_BLOCK;
  tiles.end = lsp_panel_start(grid_panel(plan, document, end)) / LSP_GRID_BLOCK;
  return tiles;
}

static int empty(lsp_tiles t) {
  return t.first >= t.end;
}

/* Reports the tiles that are in both runs, if any, as a loan. */
static void offer(lsp_tiles have, lsp_tiles want, lsp_loan loan,
                  void (*each)(const lsp_loan *, void *), void *arg) {
  if (have.document != want.document)
    return;
  loan.first = lsp_max(have.first, want.first);
  loan.end = lsp_min(have.end, want.end);
  if (loan.first < loan.end)
    each(&loan, arg);
}

/* Reports all lenders of the tiles `want`: the ranks below `below`, nearest first, then
 * the memory carried from the wave before. */
static void lenders(const lsp_plan *plan, lsp_range wave, int below, int ranks,
                    lsp_tiles want, int to_carry,
                    void (*each)(const lsp_loan *, void *), void *arg) {
  if (empty(want))
    return;
  for (int q = below - 1; q >= 0; q--) {
    const lsp_range span = lsp_plan_span(plan, wave, q, ranks);
    const lsp_tiles have = owned_tiles(plan, span, want.document);
    offer(have, want, (lsp_loan){.peer = q, .to_carry = to_carry}, each, arg);
    if (!empty(have) && have.first <= want.first)
      return;
  }
  offer(lsp_plan_past(plan, wave.first), want,
        (lsp_loan){.peer = 0, .from_carry = 1, .to_carry = to_carry}, each, arg);
}

void lsp_plan_borrowed(const lsp_plan *plan, lsp_range wave, int rank, int ranks,
                       void (*each)(const lsp_loan *, void *), void *arg) {
  const lsp_range span = lsp_plan_span(plan, wave, rank, ranks);
  if (span.first < span.end)
    lenders(plan, wave, rank, ranks, lsp_plan_past(plan, span.first), 0, each, arg);
  if (rank == 0)
    lenders(plan, wave, ranks, ranks, lsp_plan_past(plan, wave.end), 1, each, arg);
}

/* Reports all borrowers of the tiles `have`, from rank `from` on. */
static void borrowers(const lsp_plan *plan, lsp_range wave, int from, int ranks,
                      lsp_tiles have, int from_carry,
                      void (*each)(const lsp_loan *, void *), void *arg) {
  if (empty(have))
    return;
  for (int q = from; q < ranks; q++) {
    const lsp_range span = lsp_plan_span(plan, wave, q, ranks);
    if (span.first >= span.end)
      continue;
    const lsp_tiles want = lsp_plan_past(plan, span.first);
    if (want.document != have.document || want.first >= have.end)
      break;
    offer(have, want, (lsp_loan){.peer = q, .from_carry = from_carry}, each, arg);
  }
  offer(have, lsp_plan_past(plan, wave.end),
        (lsp_loan){.peer = 0, .from_carry = from_carry, .to_carry = 1}, each, arg);
}

void lsp_plan_lent(const lsp_plan *plan, lsp_range wave, int rank, int ranks,
                   void (*each)(const lsp_loan *, void *), void *arg) {
  const lsp_range span = lsp_plan_span(plan, wave, rank, ranks);
  if (span.first < span.end) {
    const int64_t last = lsp_plan_document(plan, span.end - 1);
    borrowers(plan, wave, rank + 1, ranks, owned_tiles(plan, span, last), 0, each, arg);
  }
  if (rank == 0)
    borrowers(plan, wave, 0, ranks, lsp_plan_past(plan, wave.first), 1, each, arg);
}
