/* Results that are not finite.
 *
 * Finite weights overflow float32 when they are damaged, and what comes out is NaN for
 * some tokens and not for others: an average over the rest would look better than that
 * of a sound model. So every row is looked at where it is made, after the embedding,
 * the projections and each layer.
 *
 * A row is known by its token and layer. The lowest (token, layer) of the wave is the
 * lowest of the run, for a row depends on rows before it and on lower layers alone;
 * log-probabilities belong to the row that gives them, not to the token that they are
 * of, which may be in the next wave. */
#include "engine_internal.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>

static int is_before(lsp_spot a, lsp_spot b) {
  return a.token < b.token || (a.token == b.token && a.layer < b.layer);
}

void lsp_finite_note(lsp_run *e, int64_t token, int layer) {
  const lsp_spot spot = {token, layer};
#pragma omp critical(lsp_not_finite)
  if (is_before(spot, e->span.lowest))
    e->span.lowest = spot;
}

/* A row before the frame's own tokens counts as the first of them, one behind them as the
 * last. */
static int64_t token_of(const lsp_run *e, const lsp_piece *p, int64_t position) {
  const int64_t *start = e->text.plan.token_start + p->frame;
  return lsp_min(lsp_max(lsp_plan_token(&e->text.plan, p->frame, position), start[0]),
                 start[1] - 1);
}

static void fill_row(float *x, int64_t n, float value) {
  for (int64_t i = 0; i < n; i++)
    x[i] = value;
}

void lsp_finite_hidden(lsp_run *e, const lsp_panel *p, int layer) {
  const int64_t D = e->weights.model.width;
  const int64_t first = lsp_max(p->start, p->piece->first);
  const int64_t end = lsp_min(p->start + p->rows, p->piece->end);
  float *x = e->span.x + (p->row + first - p->start) * D;
  if (e->job.kernels.finite((end - first) * D, x))
    return;
  for (int64_t i = 0; i < end - first; i++, x += D)
    if (!e->job.kernels.finite(D, x)) {
      lsp_finite_note(e, token_of(e, p->piece, first + i), layer);
      fill_row(x, D, NAN);
    }
}

int lsp_finite_spoil(const lsp_kernels *k, lsp_heads heads, float *qkv) {
  const int64_t A = (int64_t)heads.query * heads.width;
  const int64_t K = (int64_t)heads.shared * heads.width;
  if (k->finite(A + 2 * K, qkv))
    return 0;
  fill_row(qkv, A + K, NAN);
  fill_row(qkv + A + K, K, 0);
  return 1;
}

void lsp_finite_projected(lsp_run *e, const lsp_piece *p, int64_t position, int rows,
                          float *qkv, int layer) {
  const lsp_heads h = e->weights.model.layer[layer].heads;
  const int64_t ld = (int64_t)(h.query + 2 * h.shared) * h.width;
  if (e->job.kernels.finite(ld * rows, qkv))
    return;
  for (int i = 0; i < rows; i++, qkv += ld)
    if (lsp_finite_spoil(&e->job.kernels, h, qkv))
      lsp_finite_note(e, token_of(e, p, position + i), layer);
}

static lsp_status refuse(lsp_run *e, lsp_spot spot) {
  const int64_t f = lsp_plan_frames_before(&e->text.plan, spot.token);
  const int64_t d = lsp_plan_document_of(&e->text.plan, f);
  /* Frames of a wrapped model begin anew: in the document it is counted. */
  const int64_t position = e->weights.model.wrapper.kind == LSP_WRAP_NONE
                               ? lsp_plan_position(&e->text.plan, f, spot.token)
                               : spot.token -
                                     lsp_plan_document_start(&e->text.plan, d) +
                                     (d == 0 ? e->text.start_position : 0);
  char where[64] = "embedding";
  if (spot.layer == e->weights.model.layers)
    (void)snprintf(where, sizeof where, "log-probabilities");
  else if (spot.layer >= 0)
    (void)snprintf(where, sizeof where, "layer %d (of 0 to %d)", spot.layer,
                   e->weights.model.layers - 1);
  return lsp_fail(&e->job.ctx->why, LSP_E_INPUT,
                  "%s (document %lld), position %lld, %s: the result is not a finite "
                  "number: the weights are damaged or overflow float32; check the "
                  "checkpoint, or count such results: --resume --not-finite count",
                  lsp_corpus_document(e->text.corpus, d).name, (long long)d,
                  (long long)position, where);
}

lsp_status lsp_finite_agree(lsp_run *e) {
  lsp_spot lowest = {INT64_MAX, INT_MAX};
  LSP_MPI(MPI_Allreduce(&e->span.lowest.token, &lowest.token, 1, MPI_INT64_T, MPI_MIN,
                        e->job.ctx->comm));
  if (lowest.token == INT64_MAX || e->job.options->not_finite == LSP_NOT_FINITE_COUNT)
    return LSP_OK;
  /* Of rows that go on in later waves others may turn out to be lower. */
  if (e->weights.model.two_sided &&
      lowest.token >= lsp_plan_tokens_before(&e->text.plan, e->span.wave.range.end))
    return LSP_OK;
  const int mine =
      e->span.lowest.token == lowest.token ? e->span.lowest.layer : INT_MAX;
  LSP_MPI(MPI_Allreduce(&mine, &lowest.layer, 1, MPI_INT, MPI_MIN, e->job.ctx->comm));
  return refuse(e, lowest);
}
