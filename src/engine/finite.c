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
  if (is_before(spot, e->lowest))
    e->lowest = spot;
}

static void fill_row(float *x, int64_t n, float value) {
  for (int64_t i = 0; i < n; i++)
    x[i] = value;
}

void lsp_finite_hidden(lsp_run *e, const lsp_panel *p, int layer) {
  const int64_t D = e->config.d_model;
  const int64_t first = lsp_max(p->start, p->piece->first);
  const int64_t end = lsp_min(p->start + p->rows, p->piece->end);
  float *x = e->x + (p->row + first - p->start) * D;
  if (e->kernels.finite((end - first) * D, x))
    return;
  for (int64_t i = 0; i < end - first; i++, x += D)
    if (!e->kernels.finite(D, x)) {
      lsp_finite_note(e, p->piece->token + first - p->piece->first + i, layer);
      fill_row(x, D, NAN);
    }
}

int lsp_finite_spoil(const lsp_run *e, float *qkv) {
  const int64_t A = (int64_t)e->heads.heads * e->heads.width;
  if (e->kernels.finite(3 * A, qkv))
    return 0;
  fill_row(qkv, 2 * A, NAN);
  fill_row(qkv + 2 * A, A, 0);
  return 1;
}

void lsp_finite_projected(lsp_run *e, float *qkv, int rows, int64_t token, int layer) {
  const int64_t A = (int64_t)e->heads.heads * e->heads.width;
  if (e->kernels.finite(3 * A * rows, qkv))
    return;
  for (int i = 0; i < rows; i++, qkv += 3 * A)
    if (lsp_finite_spoil(e, qkv))
      lsp_finite_note(e, token + i, layer);
}

static lsp_status refuse(lsp_run *e, lsp_spot spot) {
  const int64_t d = lsp_plan_documents_before(&e->plan, spot.token);
  const int64_t position =
      lsp_plan_origin(&e->plan, d) + spot.token - e->plan.token_start[d];
  char where[64] = "embedding";
  if (spot.layer == e->config.n_layer)
    (void)snprintf(where, sizeof where, "log-probabilities");
  else if (spot.layer >= 0)
    (void)snprintf(where, sizeof where, "layer %d (of 0 to %d)", spot.layer,
                   e->config.n_layer - 1);
  return lsp_fail(&e->ctx->why, LSP_E_INPUT,
                  "%s (document %lld), position %lld, %s: the result is not a finite "
                  "number: the weights are damaged or overflow float32; check the "
                  "checkpoint, or count such results: --resume --not-finite count",
                  lsp_corpus_document(e->corpus, d).name, (long long)d,
                  (long long)position, where);
}

lsp_status lsp_finite_agree(lsp_run *e) {
  lsp_spot lowest = {INT64_MAX, INT_MAX};
  LSP_MPI(MPI_Allreduce(&e->lowest.token, &lowest.token, 1, MPI_INT64_T, MPI_MIN,
                        e->ctx->comm));
  if (lowest.token == INT64_MAX || e->options->not_finite == LSP_NOT_FINITE_COUNT)
    return LSP_OK;
  const int mine = e->lowest.token == lowest.token ? e->lowest.layer : INT_MAX;
  LSP_MPI(MPI_Allreduce(&mine, &lowest.layer, 1, MPI_INT, MPI_MIN, e->ctx->comm));
  return refuse(e, lowest);
}
