/* What is written of each token beside results: what enters the layers that were asked
 * for. It goes to the store before its layer runs; only its sums stay until the end of the
 * wave, when the rest of a panel is known. */
#include "engine_internal.h"
#include "picking.h"
#include "wrapped.h"

#include "lsp/sums.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)LSP_WRITE_LAYERS == (int)LSP_HIDDEN_MOST,
               "as many layers as an output may hold");

/* Layers whose choices are written choose some. */
static lsp_status check_chosen(lsp_run *e) {
  const lsp_model *m = &e->weights.model;
  const lsp_write *w = &e->job.write;
  for (int i = 0; i < w->chosen_layers; i++) {
    const int layer = w->chosen_layer[i];
    if (layer >= m->layers)
      return lsp_fail(&e->job.ctx->why, LSP_E_USAGE,
                      "--write chosen:%d: the model has %d layers; give a LAYER from 0 "
                      "to %d",
                      layer, m->layers, m->layers - 1);
    const lsp_pattern *p = lsp_layer_chooser(&m->layer[layer]);
    if (p == NULL || lsp_choices_of(p) == 0)
      return lsp_fail(&e->job.ctx->why, LSP_E_USAGE,
                      "--write chosen:%d: that layer chooses no blocks; give a LAYER "
                      "that has a chosen branch, or a selected one of 2 blocks or more",
                      layer);
  }
  return LSP_OK;
}

/* Frames that pass all layers one by one leave no layer with the rows of a span. */
static lsp_status check_frames(lsp_run *e) {
  const lsp_write *w = &e->job.write;
  if (!lsp_wrapped_through(&e->weights.model) ||
      (w->chosen_layers == 0 &&
       (w->layers == 0 || w->layer[0] >= e->weights.model.layers)))
    return LSP_OK;
  return lsp_fail(
      &e->job.ctx->why, LSP_E_USAGE,
      "--write %s:%d: the model is wrapped in memory tokens, whose segments "
      "pass all layers one by one, and only what leaves the last one can be "
      "written; give hidden without a LAYER",
      w->chosen_layers > 0 ? "chosen" : "hidden",
      w->chosen_layers > 0 ? w->chosen_layer[0] : w->layer[0]);
}

lsp_status lsp_written_open(lsp_run *e) {
  const int L = e->weights.model.layers;
  lsp_write *w = &e->job.write;
  *w = e->job.options->write;
  LSP_TRY(check_frames(e));
  LSP_TRY(check_chosen(e));
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
    if (p->tokens_end > p->origin)
      LSP_TRY(lsp_corpus_starts(
          e->text.corpus, d, p->token - lsp_plan_document_start(plan, d),
          p->tokens_end - p->origin, e->span.start + (p->token - w->token_first),
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
            (size_t)(p->tokens_end - p->origin) * (size_t)D * sizeof(float));
  }
}

/* Place of a layer among those that are written; -1: it is none of them. */
static int place_of(const int *list, int layers, int layer) {
  for (int i = 0; i < layers; i++)
    if (list[i] == layer)
      return i;
  return -1;
}

/* Sums of what enters the layers in a panel of the corpus. */
uint64_t *lsp_written_sums(const lsp_run *e, int64_t panel) {
  const lsp_write *w = &e->job.write;
  const int64_t place = e->weights.model.two_sided ? panel % e->span.sizes.sum_panels
                                                   : panel - e->span.wave.span.first;
  return e->span.layer_sum + place * (w->layers + w->chosen_layers);
}

void lsp_written_layer(lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  const int64_t D = e->weights.model.width;
  const int place = place_of(e->job.write.layer, e->job.write.layers, layer);
  float *rows = e->span.q; /* no layer needs it between two layers */
  if (place < 0)
    return;
  const double begin = MPI_Wtime();
  lsp_written_rows(e, rows);
  for (int64_t i = 0; i < w->panels; i++) {
    const lsp_panel_output r = lsp_plan_panel_output(&e->text.plan, w->span.first + i);
    lsp_written_sums(e, w->span.first + i)[place] = lsp_sum_hidden(
        rows + (r.token - w->token_first) * D, (r.token_end - r.token) * D);
  }
  lsp_store_rows(e->progress.store, LSP_TOKENS_HIDDEN_LAYER + (lsp_output_dataset)place,
                 w->token_first, w->token_end - w->token_first, rows);
  e->job.clock.seconds[LSP_PHASE_WRITE] += MPI_Wtime() - begin;
}

/* --- two-sided models: a panel passes the layers in several waves ------------------ */

/* All ranks have all sums. At the beginning of a wave rank 0 keeps those of earlier ones,
 * and what ranks then put is added up. */
void lsp_written_begin(lsp_run *e) {
  const lsp_write *w = &e->job.write;
  if (!e->weights.model.two_sided || w->layers == 0)
    return;
  if (e->job.ctx->rank != 0)
    memset(e->span.layer_sum, 0,
           (size_t)(e->span.sizes.sum_panels * w->layers) * sizeof(uint64_t));
  for (int i = 0; i < w->layers && e->job.ctx->rank == 0; i++) {
    const lsp_range new = e->span.ahead.stage[w->layer[i]];
    for (int64_t panel = new.first; panel < new.end; panel++)
      lsp_written_sums(e, panel)[i] = 0;
  }
}

void lsp_written_spread(lsp_run *e) {
  const int64_t n = e->span.sizes.sum_panels * e->job.write.layers;
  if (e->weights.model.two_sided && n > 0)
    LSP_MPI(MPI_Allreduce(MPI_IN_PLACE, e->span.layer_sum, lsp_count(n), MPI_UINT64_T,
                          MPI_SUM, e->job.ctx->comm));
}

/* --- choices ---------------------------------------------------------------------- */

static int64_t choices_of_layer(const lsp_layer *l) {
  return (int64_t)l->heads.shared * lsp_choices_of(lsp_layer_chooser(l));
}

int64_t lsp_written_choices(const lsp_run *e) {
  const lsp_write *w = &e->job.write;
  int64_t most = 0;
  for (int i = 0; i < w->chosen_layers; i++)
    most = lsp_max(most, choices_of_layer(&e->weights.model.layer[w->chosen_layer[i]]));
  return most;
}

/* The choices of a layer, a row of `width` numbers for each token of the span. */
static void put_chosen(const lsp_run *e, const lsp_layer *l, int64_t width,
                       int32_t *to) {
  const lsp_wave *w = &e->span.wave;
  const int by_block = lsp_layer_chooser(l)->kind == LSP_PATTERN_CHOSEN;
  const int64_t n = choices_of_layer(l);
  for (int64_t i = 0; i < w->pieces; i++) {
    const lsp_piece *p = &w->piece[i];
    int32_t *out = to + (p->token - w->token_first) * width;
    for (int64_t at = p->origin; at < p->tokens_end; at++, out += width) {
      const int64_t row = p->row + at - p->start;
      memcpy(out, e->span.choice + (by_block ? row / LSP_BLOCK : row) * n,
             (size_t)n * sizeof *out);
      for (int64_t c = n; c < width; c++)
        out[c] = -1;
    }
  }
}

void lsp_written_chosen(lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  const lsp_write *write = &e->job.write;
  const int place = place_of(write->chosen_layer, write->chosen_layers, layer);
  const int64_t width = lsp_written_choices(e);
  int32_t *rows = (int32_t *)(void *)e->span.q; /* as above */
  if (place < 0)
    return;
  const double begin = MPI_Wtime();
  put_chosen(e, &e->weights.model.layer[layer], width, rows);
  for (int64_t i = 0; i < w->panels; i++) {
    const lsp_panel_output r = lsp_plan_panel_output(&e->text.plan, w->span.first + i);
    lsp_written_sums(e, w->span.first + i)[write->layers + place] = lsp_sum_chosen(
        rows + (r.token - w->token_first) * width, (r.token_end - r.token) * width);
  }
  lsp_store_rows(e->progress.store, LSP_TOKENS_CHOSEN_LAYER + (lsp_output_dataset)place,
                 w->token_first, w->token_end - w->token_first, rows);
  e->job.clock.seconds[LSP_PHASE_WRITE] += MPI_Wtime() - begin;
}
