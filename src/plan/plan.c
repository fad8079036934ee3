/* Documents to frames, frames to panels, panels to waves, waves to spans: prefix sums over
 * the frames, and arithmetic of the grid inside one. */
#include "lsp/plan.h"

#include "lsp/corpus.h"

#include <stdlib.h>
#include <string.h>

/* Of the tables: more than any memory holds. */
#define NUMBERS_MOST ((int64_t)1 << 48)

/* --- tables ---------------------------------------------------------------------- */

static int64_t first_panel(const lsp_plan *plan, int64_t f) {
  return lsp_panel_of(lsp_plan_begin(plan, f));
}

/* Tokens of the segment under way that document d had before those that are here. */
static int64_t begun(const lsp_framing *c, int64_t d) {
  return d == 0 && c->before > 0 ? c->before % c->stride : 0;
}

int64_t lsp_framing_frames(const lsp_framing *c, int64_t d, int64_t tokens) {
  const int64_t first = c->tokens - begun(c, d);
  if (c->tokens == 0 || tokens <= first)
    return 1;
  return 1 + lsp_divide_up(tokens - first, c->stride);
}

/* Tokens that the i-th frame of document d has for itself. */
static int64_t own_tokens(const lsp_framing *c, int64_t d, int64_t tokens, int64_t i) {
  const int64_t first = c->tokens - begun(c, d);
  if (c->tokens == 0)
    return tokens;
  if (i == 0)
    return lsp_min(tokens, first);
  return lsp_min(c->stride, tokens - first - (i - 1) * c->stride);
}

static void fill_frame(lsp_plan *plan, int64_t f, int64_t tokens) {
  plan->token_start[f + 1] = plan->token_start[f] + tokens;
  const int64_t p0 = first_panel(plan, f);
  const int64_t p1 = tokens > 0 ? lsp_panel_of(lsp_plan_end(plan, f) - 1) + 1 : p0;
  plan->panel_start[f + 1] = plan->panel_start[f] + p1 - p0;
  plan->row_start[f + 1] =
      plan->row_start[f] + lsp_panel_start(p1) - lsp_panel_start(p0);
}

/* Where documents begin is known before their frames are looked at. */
static void fill(lsp_plan *plan, const int64_t *tokens) {
  int64_t f = 0;
  for (int64_t d = 0; d < plan->documents && plan->first_frame != NULL; d++) {
    plan->first_frame[d] = f;
    f += lsp_framing_frames(&plan->framing, d, tokens[d]);
  }
  if (plan->first_frame != NULL)
    plan->first_frame[plan->documents] = f;
  plan->token_start[0] = plan->panel_start[0] = plan->row_start[0] = 0;
  for (int64_t d = 0; d < plan->documents; d++)
    for (f = lsp_plan_first_frame(plan, d); f < lsp_plan_first_frame(plan, d + 1); f++)
      fill_frame(
          plan, f,
          own_tokens(&plan->framing, d, tokens[d], f - lsp_plan_first_frame(plan, d)));
}

lsp_status lsp_plan_lay(lsp_plan *plan, const lsp_plan_sizes *sizes,
                        const int64_t *tokens, int64_t *table, lsp_failure *why) {
  const int64_t at = sizes->first_position, frames = sizes->frames;
  const int64_t origin = at > 0 ? at : sizes->framing.prefix + sizes->framing.before;
  memset(plan, 0, sizeof *plan);
  if (tokens != NULL && sizes->documents > 0 && origin > LSP_TOKENS_MOST - tokens[0])
    return lsp_fail(
        why, LSP_E_LIMIT,
        "the first document continues at position %lld and has %lld tokens, "
        "but longspan counts positions up to 2^60; begin it anew, without a "
        "snapshot",
        (long long)(at + sizes->framing.before), (long long)tokens[0]);
  plan->token_start = table;
  plan->panel_start = table + frames + 1;
  plan->row_start = table + 2 * (frames + 1);
  plan->first_frame = sizes->framing.tokens > 0 ? table + 3 * (frames + 1) : NULL;
  plan->documents = sizes->documents;
  plan->frames = frames;
  plan->first_position = at;
  plan->framing = sizes->framing;
  if (tokens != NULL)
    fill(plan, tokens);
  return LSP_OK;
}

lsp_status lsp_plan_open(lsp_plan *plan, int64_t documents, const int64_t *tokens,
                         int64_t first_position, lsp_framing framing,
                         lsp_failure *why) {
  lsp_plan_sizes sizes = {documents, 0, first_position, framing};
  memset(plan, 0, sizeof *plan);
  for (int64_t d = 0; d < documents; d++)
    sizes.frames += lsp_framing_frames(&framing, d, tokens[d]);
  /* As many frames as tokens could be more bytes than a size_t counts. */
  const int64_t numbers = lsp_plan_numbers(&framing, documents, sizes.frames);
  int64_t *table =
      numbers < NUMBERS_MOST ? malloc((size_t)numbers * sizeof *table) : NULL;
  if (table == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for the plan of %lld documents",
                    (long long)documents);
  const lsp_status status = lsp_plan_lay(plan, &sizes, tokens, table, why);
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

/* --- documents, frames, tokens --------------------------------------------------- */

/* The last of start[0 .. count] that is at most n; 0 if none is. */
static int64_t last_start(const int64_t *start, int64_t count, int64_t n) {
  int64_t low = 0, high = count;
  while (low < high) {
    const int64_t middle = high - (high - low) / 2;
    if (start[middle] <= n)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

int64_t lsp_plan_document_of(const lsp_plan *plan, int64_t f) {
  return plan->first_frame == NULL ? f
                                   : last_start(plan->first_frame, plan->documents, f);
}

/* Place of a frame among those of its document here. */
static int64_t place_of(const lsp_plan *plan, int64_t f) {
  return f - lsp_plan_first_frame(plan, lsp_plan_document_of(plan, f));
}

/* Segments of the document of a frame that were before those that are here. */
static int64_t segments_before(const lsp_plan *plan, int64_t f, int64_t place) {
  const lsp_framing *c = &plan->framing;
  return f == place && c->before > 0 ? c->before / c->stride : 0;
}

int64_t lsp_plan_segment(const lsp_plan *plan, int64_t f) {
  const int64_t place = place_of(plan, f);
  return segments_before(plan, f, place) + place;
}

int64_t lsp_plan_lead(const lsp_plan *plan, int64_t f) {
  const lsp_framing *c = &plan->framing;
  if (c->tokens == 0 || c->tokens - c->stride + c->again + c->before == 0)
    return 0;
  const int64_t place = place_of(plan, f);
  const int64_t segment = segments_before(plan, f, place) + place;
  const int64_t again = segment > c->again / c->stride
                            ? c->again
                            : lsp_min(c->again, segment * c->stride);
  return again + (place > 0 ? c->tokens - c->stride : f == 0 ? begun(c, 0) : 0);
}

/* 1 if the frame is its document's first one here. */
static int is_first(const lsp_plan *plan, int64_t f) {
  return place_of(plan, f) == 0;
}

int lsp_plan_links(const lsp_plan *plan, int64_t f) {
  return plan->framing.linked && f + 1 < plan->frames && !is_first(plan, f + 1);
}

int lsp_plan_predicts(const lsp_plan *plan, int64_t f, int64_t position) {
  const lsp_framing *c = &plan->framing;
  if (c->linked && position <= lsp_plan_origin(plan, f))
    return lsp_plan_lead(plan, f) > 0 || !is_first(plan, f);
  if (!c->own && position <= lsp_plan_begin(plan, f))
    return 0;
  return !c->half ||
         (lsp_plan_tokens_of(plan, f) == c->tokens && position > c->tokens / 2);
}

int64_t lsp_plan_longest(const lsp_plan *plan) {
  int64_t longest = 0;
  for (int64_t f = 0; f < plan->frames; f++)
    longest = lsp_max(longest, lsp_plan_end(plan, f));
  return longest;
}

int64_t lsp_plan_longest_document(const lsp_plan *plan) {
  int64_t longest = 0;
  for (int64_t d = 0; d < plan->documents; d++)
    longest = lsp_max(longest, plan->row_start[lsp_plan_first_frame(plan, d + 1)] -
                                   plan->row_start[lsp_plan_first_frame(plan, d)]);
  return longest;
}

int64_t lsp_plan_read_again(const lsp_plan *plan) {
  int64_t tokens = 0;
  for (int64_t f = 0; f < plan->frames && plan->first_frame != NULL; f++)
    tokens += lsp_plan_lead(plan, f);
  return tokens;
}

int64_t lsp_plan_frame(const lsp_plan *plan, int64_t panel) {
  LSP_ASSERT(panel >= 0 && panel < lsp_plan_panels(plan));
  return last_start(plan->panel_start, plan->frames, panel);
}

int64_t lsp_plan_frames_before(const lsp_plan *plan, int64_t token) {
  return last_start(plan->token_start, plan->frames, token);
}

int64_t lsp_plan_documents_before(const lsp_plan *plan, int64_t token) {
  const int64_t f = lsp_plan_frames_before(plan, token);
  return plan->first_frame == NULL ? f
                                   : last_start(plan->first_frame, plan->documents, f);
}

/* --- panels ---------------------------------------------------------------------- */

/* From the number of a panel in the corpus to its number in its frame. */
static int64_t local_panel(const lsp_plan *plan, int64_t f, int64_t panel) {
  return panel - plan->panel_start[f] + first_panel(plan, f);
}

int64_t lsp_plan_rows_before(const lsp_plan *plan, int64_t panel) {
  if (panel == lsp_plan_panels(plan))
    return plan->row_start[plan->frames];
  const int64_t f = lsp_plan_frame(plan, panel);
  return plan->row_start[f] + lsp_panel_start(local_panel(plan, f, panel)) -
         lsp_panel_start(first_panel(plan, f));
}

int64_t lsp_plan_tokens_before(const lsp_plan *plan, int64_t panel) {
  if (panel == lsp_plan_panels(plan))
    return lsp_plan_tokens(plan);
  const int64_t f = lsp_plan_frame(plan, panel);
  const int64_t from =
      lsp_panel_start(local_panel(plan, f, panel)) - lsp_plan_origin(plan, f);
  return plan->token_start[f] + lsp_min(lsp_max(from, 0), lsp_plan_tokens_of(plan, f));
}

/* What the panel before predicts reaches one token beyond it. Where frames are linked a row
 * before a frame's first token predicts nothing, and the first token is the frame's own
 * only where the document begins with it. */
int64_t lsp_plan_predicted_before(const lsp_plan *plan, int64_t panel) {
  const int linked = plan->framing.linked;
  if (plan->framing.own || panel == lsp_plan_panels(plan))
    return lsp_plan_tokens_before(plan, panel);
  const int64_t f = lsp_plan_frame(plan, panel);
  if (panel == plan->panel_start[f])
    return plan->token_start[f] + (linked && !is_first(plan, f));
  const int64_t from =
      lsp_panel_start(local_panel(plan, f, panel)) - lsp_plan_origin(plan, f);
  if (from < 0)
    return plan->token_start[f] + (linked && lsp_plan_lead(plan, f) == 0);
  return plan->token_start[f] +
         lsp_min(from + 1, lsp_plan_tokens_of(plan, f) + lsp_plan_links(plan, f));
}

lsp_panel_output lsp_plan_panel_output(const lsp_plan *plan, int64_t panel) {
  const int64_t f = lsp_plan_frame(plan, panel);
  return (lsp_panel_output){.document = lsp_plan_document_of(plan, f),
                            .token = lsp_plan_tokens_before(plan, panel),
                            .token_end = lsp_plan_tokens_before(plan, panel + 1),
                            .nll = lsp_plan_predicted_before(plan, panel),
                            .nll_end = lsp_plan_predicted_before(plan, panel + 1)};
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
  const int64_t end = fits ? beyond : lsp_max(beyond - 1, first + 1);
  if (!plan->framing.whole || end == panels)
    return (lsp_range){first, end};
  const int64_t f = lsp_plan_frame(plan, first), last = lsp_plan_frame(plan, end);
  return (lsp_range){first, plan->panel_start[last > f ? last : f + 1]};
}

/* The first border of frames, or of documents, at a panel or after it. */
static int64_t border_at(const lsp_plan *plan, int64_t panel) {
  if (panel >= lsp_plan_panels(plan))
    return panel;
  const int64_t f = lsp_plan_frame(plan, panel);
  if (panel == plan->panel_start[f] && (plan->framing.whole == 1 || is_first(plan, f)))
    return panel;
  return plan->framing.whole == 1 ? plan->panel_start[f + 1]
                                  : plan->panel_start[lsp_plan_first_frame(
                                        plan, lsp_plan_document_of(plan, f) + 1)];
}

/* Where the span ends that has `rows` rows of a wave before it. */
static int64_t cut_at(const lsp_plan *plan, lsp_range wave, int64_t before,
                      int64_t rows) {
  const int64_t panel = panel_at_rows(plan, wave.first, wave.end, before + rows);
  return !plan->framing.whole || panel == wave.first
             ? panel
             : lsp_min(border_at(plan, panel), wave.end);
}

lsp_range lsp_plan_span(const lsp_plan *plan, lsp_range wave, int rank, int ranks) {
  const int64_t before = lsp_plan_rows_before(plan, wave.first);
  const int64_t rows = lsp_plan_rows_before(plan, wave.end) - before;
  const int64_t share = rows / ranks, rest = rows % ranks;
  /* Rounded up, so that rank 0, which has the carried memory, owns the first panel. */
  const int64_t from = share * rank + lsp_divide_up(rest * rank, ranks);
  const int64_t to = share * (rank + 1) + lsp_divide_up(rest * (rank + 1), ranks);
  return (lsp_range){cut_at(plan, wave, before, from), cut_at(plan, wave, before, to)};
}

lsp_piece lsp_plan_piece(const lsp_plan *plan, lsp_range span, int64_t panel) {
  lsp_piece piece;
  const int64_t f = lsp_plan_frame(plan, panel);
  const int64_t end = lsp_min(span.end, plan->panel_start[f + 1]);
  piece.frame = f;
  piece.panel_first = local_panel(plan, f, panel);
  piece.panel_end = piece.panel_first + end - panel;
  piece.row =
      lsp_plan_rows_before(plan, panel) - lsp_plan_rows_before(plan, span.first);
  piece.start = lsp_panel_start(piece.panel_first);
  piece.first = lsp_max(piece.start, lsp_plan_begin(plan, f));
  piece.end = lsp_min(lsp_panel_start(piece.panel_end), lsp_plan_end(plan, f));
  const int64_t begin = lsp_plan_origin(plan, f), all = lsp_plan_tokens_end(plan, f);
  piece.tokens_end = lsp_min(piece.end, lsp_max(piece.first, all));
  piece.origin = lsp_min(lsp_max(piece.first, begin), piece.tokens_end);
  piece.token = lsp_plan_token(plan, f, lsp_min(lsp_max(piece.first, begin), all));
  return piece;
}
