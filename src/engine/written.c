/* What is written of each token beside results: what enters the layers that were asked
 * for. It goes to the store before its layer runs; only its sums stay until the end of the
 * wave, when the rest of a panel is known. */
#include "engine_internal.h"

#include "lsp/sums.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)LSP_WRITE_LAYERS == (int)LSP_HIDDEN_MOST,
               "as many layers as an output may hold");

lsp_status lsp_written_open(lsp_run *e) {
  const int L = e->weights.model.layers;
  lsp_write *w = &e->job.write;
  *w = e->job.options->write;
  if (w->layers == 0 || w->layer[w->layers - 1] < L)
    return LSP_OK;
  if (w->layer[w->layers - 1] > L)
    return lsp_fail(&e->job.ctx->why, LSP_E_USAGE,
                    "--write hidden:%d: the model has %d layers; give a LAYER from 0 "
                    "(the embedding) to %d (hidden, the last state)",
                    w->layer[w->layers - 1], L, L);
  w->layers--; /* after the last layer, and its norm: the last state by another name */
  w->parts |= LSP_WRITE_HIDDEN;
  return LSP_OK;
}

int64_t lsp_written_text_bytes(const lsp_run *e, const lsp_document *d) {
  if (e->weights.model.bytes_tokenizer)
    return d->tokens;
  return lsp_corpus_has_starts(e->text.corpus) ? d->text_bytes : -1;
}

lsp_status lsp_written_vocabulary(const lsp_run *e, lsp_vocabulary_bytes *v) {
  const lsp_tokenizer *t = e->text.tokenizer;
  size_t all = 0, n = 0;
  memset(v, 0, sizeof *v);
  if (t == NULL)
    return LSP_OK;
  v->tokens = lsp_tokenizer_size(t);
  v->start = malloc(((size_t)v->tokens + 1) * sizeof *v->start);
  for (int64_t i = 0; i < v->tokens; i++, all += n)
    (void)lsp_tokenizer_token(t, i, &n);
  v->bytes = malloc(all + 1);
  if (v->start == NULL || v->bytes == NULL)
    return lsp_fail(&e->job.ctx->why, LSP_E_MEMORY, "no memory for the vocabulary");
  v->start[0] = 0;
  for (int64_t i = 0; i < v->tokens; i++) {
    const unsigned char *bytes = lsp_tokenizer_token(t, i, &n);
    if (n > 0)
      memcpy(v->bytes + v->start[i], bytes, n);
    v->start[i + 1] = v->start[i] + (int64_t)n;
  }
  return LSP_OK;
}

lsp_status lsp_written_starts(lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  const lsp_plan *plan = &e->text.plan;
  if (!lsp_corpus_has_starts(e->text.corpus))
    return LSP_OK;
  for (int64_t i = 0; i < w->pieces; i++) {
    const lsp_piece *p = &w->piece[i];
    const int64_t d = lsp_plan_document_of(plan, p->frame);
    if (p->end > p->origin)
      LSP_TRY(lsp_corpus_starts(
          e->text.corpus, d, p->token - lsp_plan_document_start(plan, d),
          p->end - p->origin, e->span.start + (p->token - w->token_first),
          &e->job.ctx->why));
  }
  return LSP_OK;
}

void lsp_written_rows(const lsp_run *e, float *to) {
  const lsp_wave *w = &e->span.wave;
  const int64_t D = e->weights.model.width;
  for (int64_t i = 0; i < w->pieces; i++) {
    const lsp_piece *p = &w->piece[i];
    memmove(to + (p->token - w->token_first) * D,
            e->span.x + (p->row + p->origin - p->start) * D,
            (size_t)(p->end - p->origin) * (size_t)D * sizeof(float));
  }
}

/* Place of a layer among those that are written; -1: it is none of them. */
static int place_of(const lsp_write *w, int layer) {
  for (int i = 0; i < w->layers; i++)
    if (w->layer[i] == layer)
      return i;
  return -1;
}

void lsp_written_layer(lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  const int64_t D = e->weights.model.width;
  const int place = place_of(&e->job.write, layer);
  float *rows = e->span.q; /* no layer needs it between two layers */
  if (place < 0)
    return;
  const double begin = MPI_Wtime();
  lsp_written_rows(e, rows);
  for (int64_t i = 0; i < w->panels; i++) {
    const lsp_panel_output r = lsp_plan_panel_output(&e->text.plan, w->span.first + i);
    e->span.layer_sum[i * e->job.write.layers + place] = lsp_sum_hidden(
        rows + (r.token - w->token_first) * D, (r.token_end - r.token) * D);
  }
  lsp_store_rows(e->progress.store, LSP_TOKENS_HIDDEN_LAYER + (lsp_output_dataset)place,
                 w->token_first, w->token_end - w->token_first, rows);
  e->job.clock.seconds[LSP_PHASE_WRITE] += MPI_Wtime() - begin;
}
