/* Per-token results of a wave to the store, and the sums of its documents.
 *
 * Sums are integers of 2^-40 nat, made from the float32 values that are written: free
 * of order, and anyone can repeat them from the file. */
#include "engine_internal.h"

#include "lsp/sums.h"

#include <math.h>
#include <stdlib.h>

static uint64_t panel_sum(const lsp_run *e, int64_t panel) {
  const lsp_wave *w = &e->span.wave;
  const int64_t D = e->weights.model.width, parts = e->job.write.parts;
  const int64_t layers = e->job.write.layers + e->job.write.chosen_layers;
  const lsp_panel_output r = lsp_plan_panel_output(&e->text.plan, panel);
  const lsp_panel_data data = {
      .id = e->span.id + (r.token - w->token_first),
      .ids = (parts & LSP_WRITE_ID) != 0 ? r.token_end - r.token : 0,
      .nll = e->span.nll + (r.nll - w->nll_first),
      .nlls = (parts & LSP_WRITE_NLL) != 0 ? r.nll_end - r.nll : 0,
      .hidden = e->span.x + (r.token - w->token_first) * D,
      .floats = (parts & LSP_WRITE_HIDDEN) != 0 ? (r.token_end - r.token) * D : 0,
      .start =
          e->span.start == NULL ? NULL : e->span.start + (r.token - w->token_first),
      .starts = e->span.start == NULL ? 0 : r.token_end - r.token,
      .layer_sum = lsp_written_sums(e, panel),
      .layers = layers};
  return lsp_sum_panel(&data);
}

void lsp_results_write(lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  const double begin = MPI_Wtime();
  const int64_t tokens = w->token_end - w->token_first;
  lsp_written_rows(e, e->span.x);
  for (int64_t i = 0; i < w->panels; i++)
    e->span.panel_sum[i] = panel_sum(e, w->span.first + i);
  lsp_store_rows(e->progress.store, LSP_TOKENS_ID, w->token_first, tokens, e->span.id);
  lsp_store_rows(e->progress.store, LSP_TOKENS_BYTE_START, w->token_first, tokens,
                 e->span.start);
  lsp_store_rows(e->progress.store, LSP_TOKENS_NLL, w->nll_first,
                 w->nll_end - w->nll_first, e->span.nll);
  lsp_store_rows(e->progress.store, LSP_TOKENS_HIDDEN, w->token_first, tokens,
                 e->span.x);
  lsp_store_rows(e->progress.store, LSP_INTEGRITY_PANEL, w->span.first, w->panels,
                 e->span.panel_sum);
  e->job.clock.seconds[LSP_PHASE_WRITE] += MPI_Wtime() - begin;
}

/* --- documents ------------------------------------------------------------------- */

/* 1 if the token has a prediction: by a row before it in its frame, or by the one that a
 * snapshot ended with. */
static int is_predicted(const lsp_run *e, int64_t frame, int64_t token) {
  const lsp_plan *plan = &e->text.plan;
  return lsp_plan_predicts(plan, frame, lsp_plan_position(plan, frame, token)) ||
         (token == 0 && e->progress.has_start_hidden);
}

/* What the pieces of the span add to their documents. */
static void sum_pieces(lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  for (int64_t i = 0; i < w->pieces; i++) {
    const lsp_piece *p = &w->piece[i];
    const int64_t first = lsp_max(p->token, w->nll_first);
    const int64_t end = i + 1 < w->pieces ? w->piece[i + 1].token : w->nll_end;
    lsp_nats sum = 0;
    int64_t count = 0, not_finite = 0;
    for (int64_t t = first; t < end; t++) {
      const float nll = e->span.nll[t - w->nll_first];
      if (isnan(nll)) {
        not_finite += is_predicted(e, p->frame, t);
        continue;
      }
      sum += (lsp_nats)round((double)nll * 0x1p40); /* below 2^77: exact */
      count++;
    }
    e->progress.share[i] =
        (lsp_share){lsp_plan_document_of(&e->text.plan, p->frame), count, not_finite,
                    (uint64_t)sum, (int64_t)(sum >> 64)};
  }
}

/* All ranks' shares to rank 0, in rank order; their number there, 0 elsewhere. */
static int64_t gather_shares(lsp_run *e) {
  const lsp_ctx *ctx = e->job.ctx;
  const int mine = lsp_count(e->span.wave.pieces * (int64_t)sizeof(lsp_share));
  int64_t bytes = 0;
  int *count = e->progress.share_count, *place = NULL;
  LSP_MPI(MPI_Gather(&mine, 1, MPI_INT, count, 1, MPI_INT, 0, ctx->comm));
  if (ctx->rank == 0) {
    place = count + ctx->size;
    for (int r = 0; r < ctx->size; r++) {
      place[r] = lsp_count(bytes);
      bytes += count[r];
    }
  }
  LSP_MPI(MPI_Gatherv(e->progress.share, mine, MPI_BYTE, e->progress.all_shares, count,
                      place, MPI_BYTE, 0, ctx->comm));
  return bytes / (int64_t)sizeof(lsp_share);
}

typedef struct {
  int64_t count;
  int64_t *nll_count, *not_finite;
  double *nll_sum, *bits;
  uint64_t *sum; /* over the others */
} columns;

static void finish_document(const lsp_run *e, columns *c, lsp_commit *commit) {
  const int64_t i = c->count++;
  const lsp_document d = lsp_corpus_document(e->text.corpus, e->progress.next_document);
  const double nats = lsp_nats_value(lsp_nats_of(commit->open_low, commit->open_high));
  c->nll_count[i] = commit->open_count;
  c->nll_sum[i] = nats;
  c->not_finite[i] = commit->open_not_finite;
  /* Ids alone say nothing of bytes, and half of the tokens nothing of all bytes. */
  const int64_t bytes = lsp_written_text_bytes(e, &d);
  const int known = bytes > 0 && commit->open_count > 0 &&
                    commit->open_not_finite == 0 && !e->text.plan.framing.half;
  c->bits[i] = known ? nats / log(2.0) / (double)bytes : NAN;
  const void *const column[LSP_DOCUMENT_COLUMNS] = {c->nll_count, c->nll_sum, c->bits,
                                                    c->not_finite};
  c->sum[i] = lsp_sum_document(column, i);
  commit->open_count = commit->open_not_finite = 0;
  commit->open_low = 0;
  commit->open_high = 0;
}

static void add_share(lsp_commit *commit, const lsp_share *s) {
  const lsp_nats more = lsp_nats_of(s->low, s->high);
  const lsp_nats open = lsp_nats_of(commit->open_low, commit->open_high) + more;
  const lsp_nats all = lsp_nats_of(commit->corpus_low, commit->corpus_high) + more;
  commit->open_count += s->count;
  commit->open_not_finite += s->not_finite;
  commit->open_low = (uint64_t)open;
  commit->open_high = (int64_t)(open >> 64);
  commit->corpus_count += s->count;
  commit->corpus_not_finite += s->not_finite;
  commit->corpus_low = (uint64_t)all;
  commit->corpus_high = (int64_t)(all >> 64);
}

/* Rank 0: documents that the wave finished, in order. */
static void finish_documents(lsp_run *e, columns *c, lsp_commit *commit,
                             int64_t shares) {
  int64_t s = 0;
  while (e->progress.next_document < e->text.plan.documents) {
    for (;
         s < shares && e->progress.all_shares[s].document == e->progress.next_document;
         s++)
      add_share(commit, &e->progress.all_shares[s]);
    if (lsp_plan_document_start(&e->text.plan, e->progress.next_document + 1) >
        commit->token_end)
      break;
    finish_document(e, c, commit);
    e->progress.next_document++;
  }
}

lsp_status lsp_results_documents(lsp_run *e, lsp_commit *commit) {
  const double begin = MPI_Wtime();
  columns c = {0, NULL, NULL, NULL, NULL, NULL};
  lsp_status st = LSP_OK;
  const int64_t first = e->progress.next_document;
  const int64_t count =
      lsp_plan_documents_before(&e->text.plan, commit->token_end) - first;
  sum_pieces(e);
  const int64_t shares = gather_shares(e);
  if (e->job.ctx->rank == 0) {
    c.nll_count = malloc(((size_t)count + 1) * sizeof *c.nll_count);
    c.nll_sum = malloc(((size_t)count + 1) * sizeof *c.nll_sum);
    c.bits = malloc(((size_t)count + 1) * sizeof *c.bits);
    c.not_finite = malloc(((size_t)count + 1) * sizeof *c.not_finite);
    c.sum = malloc(((size_t)count + 1) * sizeof *c.sum);
    if (!c.nll_count || !c.nll_sum || !c.bits || !c.not_finite || !c.sum)
      st = lsp_fail(&e->job.ctx->why, LSP_E_MEMORY, "no memory for %lld documents",
                    (long long)count);
    else
      finish_documents(e, &c, commit, shares);
  }
  st = lsp_agree(e->job.ctx, st);
  if (st == LSP_OK) {
    e->progress.next_document = first + count;
    const int64_t rows = e->job.ctx->rank == 0 ? count : 0;
    const int64_t at = e->job.ctx->rank == 0 ? first : first + count;
    lsp_store_rows(e->progress.store, LSP_DOCUMENTS_NLL_COUNT, at, rows, c.nll_count);
    lsp_store_rows(e->progress.store, LSP_DOCUMENTS_NLL_SUM, at, rows, c.nll_sum);
    lsp_store_rows(e->progress.store, LSP_DOCUMENTS_BITS_PER_BYTE, at, rows, c.bits);
    lsp_store_rows(e->progress.store, LSP_DOCUMENTS_NOT_FINITE, at, rows, c.not_finite);
    lsp_store_rows(e->progress.store, LSP_INTEGRITY_DOCUMENT, at, rows, c.sum);
  }
  free(c.nll_count);
  free(c.nll_sum);
  free(c.bits);
  free(c.not_finite);
  free(c.sum);
  e->job.clock.seconds[LSP_PHASE_WRITE] += MPI_Wtime() - begin;
  return st;
}
