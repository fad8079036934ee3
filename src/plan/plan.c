/* Documents to panels, panels to waves, waves to spans: three prefix sums over the
 * documents, and arithmetic of the grid inside one. */
#include "lsp/plan.h"

#include "lsp/corpus.h"

#include <stdlib.h>
#include <string.h>

static int64_t first_panel(const lsp_plan *plan, int64_t d) {
  return lsp_panel_of(lsp_plan_begin(plan, d));
}

static void fill(lsp_plan *plan, const int64_t *tokens) {
  plan->token_start[0] = plan->panel_start[0] = plan->row_start[0] = 0;
  for (int64_t d = 0; d < plan->documents; d++) {
    plan->token_start[d + 1] = plan->token_start[d] + tokens[d];
    const int64_t p0 = first_panel(plan, d);
    const int64_t p1 = tokens[d] > 0 ? lsp_panel_of(lsp_plan_end(plan, d) - 1) + 1 : p0;
    plan->panel_start[d + 1] = plan->panel_start[d] + p1 - p0;
    plan->row_start[d + 1] =
        plan->row_start[d] + lsp_panel_start(p1) - lsp_panel_start(p0);
  }
}

lsp_status lsp_plan_lay(lsp_plan *plan, int64_t documents, const int64_t *tokens,
                        int64_t first_position, int prefix, int64_t *table,
                        lsp_failure *why) {
  const int64_t origin = first_position > 0 ? first_position : prefix;
  memset(plan, 0, sizeof *plan);
  if (tokens != NULL && documents > 0 && origin > LSP_TOKENS_MOST - tokens[0])
    return lsp_fail(
        why, LSP_E_LIMIT,
        "the first document continues at position %lld and has %lld tokens, "
        "but longspan counts positions up to 2^60; begin it anew, without a "
        "snapshot",
        (long long)first_position, (long long)tokens[0]);
  plan->token_start = table;
  plan->panel_start = table + documents + 1;
  plan->row_start = table + 2 * (documents + 1);
  plan->documents = documents;
  plan->first_position = first_position;
  plan->prefix = prefix;
  if (tokens != NULL)
    fill(plan, tokens);
  return LSP_OK;
}

lsp_status lsp_plan_open(lsp_plan *plan, int64_t documents, const int64_t *tokens,
                         int64_t first_position, int prefix, lsp_failure *why) {
  memset(plan, 0, sizeof *plan);
  int64_t *table = malloc(LSP_PLAN_TABLES * ((size_t)documents + 1) * sizeof(int64_t));
  if (table == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for the plan of %lld documents",
                    (long long)documents);
  const lsp_status status =
      lsp_plan_lay(plan, documents, tokens, first_position, prefix, table, why);
  if (status == LSP_OK)
    plan->owned = table;
  else
    free(table);
  return status;
}

void lsp_plan_close(lsp_plan *plan) {
  free(plan->owned);
  memset(plan, 0, sizeof *plan);
}

/* The last of start[0 .. documents] that is at most n; 0 if none is. */
static int64_t last_start(const lsp_plan *plan, const int64_t *start, int64_t n) {
  int64_t low = 0, high = plan->documents;
  while (low < high) {
    const int64_t middle = high - (high - low) / 2;
    if (start[middle] <= n)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

int64_t lsp_plan_longest(const lsp_plan *plan) {
  int64_t longest = 0;
  for (int64_t d = 0; d < plan->documents; d++)
    longest = lsp_max(longest, lsp_plan_end(plan, d));
  return longest;
}

int64_t lsp_plan_document(const lsp_plan *plan, int64_t panel) {
  LSP_ASSERT(panel >= 0 && panel < lsp_plan_panels(plan));
  return last_start(plan, plan->panel_start, panel);
}

int64_t lsp_plan_documents_before(const lsp_plan *plan, int64_t token) {
  return last_start(plan, plan->token_start, token);
}

/* From the number of a panel in the corpus to its number in the document. */
static int64_t local_panel(const lsp_plan *plan, int64_t d, int64_t panel) {
  return panel - plan->panel_start[d] + first_panel(plan, d);
}

int64_t lsp_plan_rows_before(const lsp_plan *plan, int64_t panel) {
  if (panel == lsp_plan_panels(plan))
    return plan->row_start[plan->documents];
  const int64_t d = lsp_plan_document(plan, panel);
  return plan->row_start[d] + lsp_panel_start(local_panel(plan, d, panel)) -
         lsp_panel_start(first_panel(plan, d));
}

int64_t lsp_plan_tokens_before(const lsp_plan *plan, int64_t panel) {
  if (panel == lsp_plan_panels(plan))
    return lsp_plan_tokens(plan);
  const int64_t d = lsp_plan_document(plan, panel);
  const int64_t position = lsp_panel_start(local_panel(plan, d, panel));
  return lsp_plan_token(plan, d, lsp_max(position, lsp_plan_origin(plan, d)));
}

lsp_panel_output lsp_plan_panel_output(const lsp_plan *plan, int64_t panel) {
  lsp_panel_output r;
  r.document = lsp_plan_document(plan, panel);
  r.token = lsp_plan_tokens_before(plan, panel);
  r.token_end = lsp_plan_tokens_before(plan, panel + 1);
  r.nll = r.token + (r.token > plan->token_start[r.document]);
  r.nll_end = lsp_min(r.token_end + 1, plan->token_start[r.document + 1]);
  return r;
}

/* Lowest panel in [low, high] with at least `rows` rows before it; high if none. */
static int64_t panel_at_rows(const lsp_plan *plan, int64_t low, int64_t high,
                             int64_t rows) {
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (lsp_plan_rows_before(plan, middle) >= rows)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

lsp_range lsp_plan_wave(const lsp_plan *plan, int64_t first, int64_t rows) {
  const int64_t panels = lsp_plan_panels(plan);
  LSP_ASSERT(first < panels && rows > 0);
  const int64_t limit = lsp_plan_rows_before(plan, first) + rows;
  /* the first panel with more than `limit` rows before it */
  const int64_t beyond = panel_at_rows(plan, first, panels, limit + 1);
  const int fits = lsp_plan_rows_before(plan, beyond) <= limit;
  return (lsp_range){first, fits ? beyond : lsp_max(beyond - 1, first + 1)};
}

lsp_range lsp_plan_span(const lsp_plan *plan, lsp_range wave, int rank, int ranks) {
  const int64_t before = lsp_plan_rows_before(plan, wave.first);
  const int64_t rows = lsp_plan_rows_before(plan, wave.end) - before;
  const int64_t share = rows / ranks, rest = rows % ranks;
  /* Rounded up, so that rank 0, which has the carried memory, owns the first panel. */
  const int64_t from = share * rank + lsp_divide_up(rest * rank, ranks);
  const int64_t to = share * (rank + 1) + lsp_divide_up(rest * (rank + 1), ranks);
  return (lsp_range){panel_at_rows(plan, wave.first, wave.end, before + from),
                     panel_at_rows(plan, wave.first, wave.end, before + to)};
}

lsp_piece lsp_plan_piece(const lsp_plan *plan, lsp_range span, int64_t panel) {
  lsp_piece piece;
  const int64_t d = lsp_plan_document(plan, panel);
  const int64_t end = lsp_min(span.end, plan->panel_start[d + 1]);
  piece.document = d;
  piece.panel_first = local_panel(plan, d, panel);
  piece.panel_end = piece.panel_first + end - panel;
  piece.row =
      lsp_plan_rows_before(plan, panel) - lsp_plan_rows_before(plan, span.first);
  piece.start = lsp_panel_start(piece.panel_first);
  piece.first = lsp_max(piece.start, lsp_plan_begin(plan, d));
  piece.end = lsp_min(lsp_panel_start(piece.panel_end), lsp_plan_end(plan, d));
  piece.origin = lsp_max(piece.first, lsp_plan_origin(plan, d));
  piece.token = lsp_plan_token(plan, d, piece.origin);
  return piece;
}
