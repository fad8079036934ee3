/* Log-probabilities of the tokens that follow: adaptive softmax (Grave et al. 2017,
 * arXiv:1609.04309; with one cluster an ordinary one).
 *
 *   log p(w) = log p_head(w)                                w in the shortlist
 *            = log p_head(column of its cluster) + log p_cluster(w)      else
 *
 * A hidden row predicts its successor, so a rank computes the nll of the token after
 * its last one, and a document's first token has none (two-sided: a row predicts its own). Never more logits at once than a
 * panel of rows by LSP_HEAD_COLUMNS; the rows of a tail cluster, few and anywhere in
 * the panel, go through the block kernel, whose bits do not depend on a row's place. */
#include "engine_internal.h"
#include "last_memory.h"

#include <float.h>
#include <math.h>
#include <omp.h>
#include <string.h>

/* A panel's rows under way: running log-sum-exp and the logit of the target. */
typedef struct {
  const lsp_run *e;
  int rows;
  const float *hidden;   /* (rows, D), or as wide as what the head reads */
  const int32_t *target; /* (rows) id that follows; -1: none is asked for */
  double *nll;           /* (rows) */
  float *projected;      /* (LSP_PANEL, e) */
  float *logits;         /* (LSP_PANEL, LSP_HEAD_COLUMNS) */
  float top[LSP_PANEL], sum[LSP_PANEL], chosen[LSP_PANEL];
} head_work;

static void reset(head_work *w) {
  for (int r = 0; r < w->rows; r++) {
    w->top[r] = -FLT_MAX;
    w->sum[r] = 0;
    w->chosen[r] = 0;
  }
}

/* The panel's hidden rows as cluster i sees them. */
static const float *project(head_work *w, int i) {
  const lsp_cluster *k = &w->e->weights.model.words.cluster[i];
  if (k->out_proj == NULL)
    return w->hidden;
  const lsp_matrix packed = {w->e->weights.out[i], k->width, w->e->weights.model.width,
                             LSP_STORED_PACKED};
  if (packed.data != NULL)
    lsp_multiply(&w->e->job, &packed, w->rows, w->hidden, w->projected,
                 lsp_work_of(w->e));
  else
    lsp_gemm_plain(w->rows, k->width, w->e->weights.model.width, w->hidden, k->out_proj,
                   w->projected);
  return w->projected;
}

static const float *bias_at(const float *bias, int64_t first) {
  return bias != NULL ? bias + first : NULL;
}

/* A row of n logits into its log-sum-exp; row becomes logits with bias and cap. */
static void add_up(head_work *w, int64_t n, float *row, const float *bias, int r) {
  const lsp_kernels *k = &w->e->job.kernels;
  const float cap = w->e->weights.model.logit_cap;
  if (cap > 0) {
    if (bias != NULL)
      k->add(n, row, bias);
    k->soft_cap(n, row, cap);
    bias = NULL;
  }
  k->logsumexp(n, row, bias, &w->top[r], &w->sum[r]);
}

/* Columns [first, first + n) of the head, for every row that has a target. */
static void columns(head_work *w, const float *rows, int64_t first, int64_t n,
                    const float *weight, const float *bias) {
  const lsp_vocabulary *c = &w->e->weights.model.words;
  const lsp_matrix part = {weight, n, lsp_model_head_width(&w->e->weights.model),
                           c->storage};
  lsp_multiply(&w->e->job, &part, w->rows, rows, w->logits, lsp_work_of(w->e));
  for (int r = 0; r < w->rows; r++) {
    if (w->target[r] < 0)
      continue;
    const int i = lsp_cluster_of(c, w->target[r]);
    const int64_t column = i == 0 ? w->target[r] : c->cut[1] + i - 1;
    float *row = w->logits + r * n;
    add_up(w, n, row, bias, r);
    if (column >= first && column < first + n)
      w->chosen[r] = row[column - first];
  }
}

static void settle(const head_work *w, int r) {
  w->nll[r] += (double)w->top[r] + log((double)w->sum[r]) - (double)w->chosen[r];
}

static void head(head_work *w) {
  const lsp_vocabulary *m = &w->e->weights.model.words;
  const int64_t shortlist = m->cut[1];
  const int64_t width = lsp_model_head_width(&w->e->weights.model);
  const float *rows = project(w, 0);
  reset(w);
  for (int64_t first = 0; first < shortlist; first += LSP_HEAD_COLUMNS)
    columns(w, rows, first, lsp_min(LSP_HEAD_COLUMNS, shortlist - first),
            m->cluster[0].out + first * width, bias_at(m->cluster[0].out_bias, first));
  if (m->clusters > 1)
    columns(w, rows, shortlist, m->clusters - 1, m->cluster_weight, m->cluster_bias);
  for (int r = 0; r < w->rows; r++)
    if (w->target[r] >= 0)
      settle(w, r);
}

/* Up to 64 gathered rows through all of a tail. row[g]: the panel's row that g is. */
static void tail_rows(head_work *w, int i, const float *gathered, const int *row,
                      int n) {
  const lsp_cluster *k = &w->e->weights.model.words.cluster[i];
  const int64_t cut = w->e->weights.model.words.cut[i];
  for (int64_t t = 0; t * LSP_BLOCK < k->rows; t++) {
    const int64_t first = t * LSP_BLOCK;
    const lsp_product p = {.a = gathered,
                           .lda = k->width,
                           .b = w->e->weights.tail[i] + t * LSP_BLOCK * k->width,
                           .ldb = LSP_BLOCK,
                           .c = w->logits,
                           .ldc = LSP_BLOCK,
                           .rows = n,
                           .cols = LSP_BLOCK,
                           .depth = k->width};
    w->e->job.kernels.product(&p);
    for (int g = 0; g < n; g++) {
      const int r = row[g];
      const int64_t column = w->target[r] - cut - first;
      float *logit = w->logits + (int64_t)g * LSP_BLOCK;
      add_up(w, lsp_min(LSP_BLOCK, k->rows - first), logit, bias_at(k->out_bias, first),
             r);
      if (column >= 0 && column < LSP_BLOCK)
        w->chosen[r] = logit[column];
    }
  }
}

static void tail(head_work *w, int i) {
  const int width = w->e->weights.model.words.cluster[i].width;
  int row[LSP_BLOCK], n = 0, any = 0;
  for (int r = 0; r < w->rows && !any; r++)
    any = w->target[r] >= 0 &&
          lsp_cluster_of(&w->e->weights.model.words, w->target[r]) == i;
  if (!any)
    return;
  const float *rows = project(w, i);
  float *gathered = w->logits + (int64_t)LSP_PANEL * LSP_HEAD_COLUMNS;
  reset(w);
  for (int r = 0; r < w->rows; r++) {
    if (w->target[r] >= 0 &&
        lsp_cluster_of(&w->e->weights.model.words, w->target[r]) == i) {
      memcpy(gathered + (int64_t)n * width, rows + (int64_t)r * width,
             (size_t)width * sizeof(float));
      row[n++] = r;
    }
    if (n == LSP_BLOCK || (r + 1 == w->rows && n > 0)) {
      tail_rows(w, i, gathered, row, n);
      for (int g = 0; g < n; g++)
        settle(w, row[g]);
      n = 0;
    }
  }
}

static void panel_nll(head_work *w, float *scratch) {
  const lsp_model *m = &w->e->weights.model;
  const int64_t widest = lsp_max(m->width, m->words.widest);
  const float *rows = lsp_last_beside(w->e, w->rows, w->hidden, scratch);
  if (rows != w->hidden)
    scratch += LSP_PANEL * lsp_model_head_width(m);
  w->hidden = rows;
  w->projected = scratch;
  w->logits = scratch + LSP_PANEL * widest;
  for (int r = 0; r < w->rows; r++)
    w->nll[r] = 0;
  head(w);
  for (int i = 1; i < w->e->weights.model.words.clusters; i++)
    tail(w, i);
}

/* The nll as it is written: NaN unless it is finite and a sum has room for it, which is
 * so below 2^37 (lsp_nats). `token` is that of the row that gives it. */
static float written(lsp_run *e, double nll, int64_t token) {
  const float value = (float)nll;
  if (fabsf(value) < 0x1p37F)
    return value;
  lsp_finite_note(e, token, e->weights.model.layers);
  return NAN;
}

/* Where frames are linked, rows that are no tokens predict nothing. */
static int64_t first_predictor(const lsp_plan *plan, int64_t f) {
  return plan->framing.linked ? lsp_plan_origin(plan, f) - lsp_plan_lead(plan, f) : 0;
}

/* One panel of the span: targets are the tokens after its rows, or their own, as far as the
 * document goes. */
static void span_panel(lsp_run *e, const lsp_panel *p, float *scratch) {
  const lsp_plan *plan = &e->text.plan;
  const int64_t f = p->piece->frame;
  const int64_t origin = lsp_plan_origin(plan, f);
  const int64_t end = lsp_plan_tokens_end(plan, f) + lsp_plan_links(plan, f);
  const int64_t first = lsp_max(p->piece->first, first_predictor(plan, f));
  const int64_t base = plan->token_start[f] - origin; /* of position 0 */
  const int ahead = !plan->framing.own; /* from a row to what it predicts */
  int any = 0;
  head_work w = {
      .e = e, .rows = p->rows, .hidden = e->span.x + p->row * e->weights.model.width};
  int32_t target[LSP_PANEL];
  double nll[LSP_PANEL];
  for (int r = 0; r < p->rows; r++) {
    const int64_t position = p->start + r;
    const int64_t at = position + ahead;
    const int asked =
        position >= first && at >= origin && at < end && lsp_plan_predicts(plan, f, at);
    target[r] = asked ? e->span.id[base + at - e->span.wave.token_first] : -1;
    any = any || asked;
  }
  if (!any)
    return;
  w.target = target;
  w.nll = nll;
  panel_nll(&w, scratch);
  for (int r = 0; r < p->rows; r++)
    if (target[r] >= 0) {
      const int64_t token = base + p->start + r;
      e->span.nll[token + ahead - e->span.wave.nll_first] =
          written(e, nll[r], lsp_max(token, plan->token_start[f]));
    }
}

void lsp_logprobs_span(lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  for (int64_t i = w->nll_first; i < w->nll_end; i++)
    e->span.nll[i - w->nll_first] = NAN; /* what nothing predicts keeps it */
#pragma omp parallel for schedule(dynamic) num_threads(e->job.threads)
  for (int64_t i = 0; i < w->panels; i++)
    span_panel(e, &w->panel[i],
               e->span.scratch + omp_get_thread_num() * e->span.sizes.scratch);
}

float lsp_logprobs_one(lsp_run *e, const float *hidden, int64_t position, int32_t id) {
  const int64_t p = lsp_panel_of(position);
  const int rows = lsp_panel_rows(p);
  const int64_t place = position - lsp_panel_start(p);
  const int64_t D = e->weights.model.width;
  int32_t target[LSP_PANEL];
  double nll[LSP_PANEL];
  float *panel = e->span.scratch, *rest = panel + (int64_t)LSP_PANEL * D;
  memset(panel, 0, (size_t)rows * (size_t)D * sizeof(float));
  memcpy(panel + place * D, hidden, (size_t)D * sizeof(float));
  for (int r = 0; r < rows; r++)
    target[r] = r == place ? id : -1;
  head_work w = {.e = e, .rows = rows, .hidden = panel, .target = target, .nll = nll};
  panel_nll(&w, rest);
  return written(e, nll[place], -1);
}
