/* Ids to hidden rows: looked up by clusters, projected, scaled; learned positions added. */
#include "attending.h"
#include "engine_internal.h"

#include "lsp/packing.h"

#include <string.h>

/* A panel: the ids of its rows, -1 where there is no row, NO_TOKEN - i in one that is row i
 * of the memory around the model. */
enum { NO_TOKEN = -2 };

typedef struct {
  const lsp_panel *panel;
  int32_t id[LSP_PANEL];
} ids;

/* The id of a row that is none of the frame's own tokens. */
static int32_t other_id(const lsp_run *e, const lsp_panel *p, int64_t position) {
  const lsp_plan *plan = &e->text.plan;
  const int64_t f = p->piece->frame, behind = lsp_plan_tokens_end(plan, f);
  if (position < e->weights.model.prefixes)
    return e->weights.model.prefix[position];
  if (position >= behind)
    return NO_TOKEN - (int32_t)(position - behind);
  if (position < lsp_plan_origin(plan, f) - lsp_plan_lead(plan, f))
    return NO_TOKEN - (int32_t)position;
  return e->span.lead[p->row + position - p->start];
}

static void list_ids(const lsp_run *e, const lsp_panel *p, ids *list) {
  const lsp_plan *plan = &e->text.plan;
  const int64_t f = p->piece->frame, origin = lsp_plan_origin(plan, f);
  const int64_t first = lsp_max(origin, e->weights.model.prefixes);
  const int64_t end = lsp_plan_tokens_end(plan, f);
  list->panel = p;
  for (int r = 0; r < p->rows; r++) {
    const int64_t position = p->start + r;
    const int exists = position >= p->piece->first && position < p->piece->end;
    if (!exists)
      list->id[r] = -1;
    else if (position < first || position >= end)
      list->id[r] = other_id(e, p, position);
    else
      list->id[r] =
          e->span
              .id[plan->token_start[f] + position - origin - e->span.wave.token_first];
  }
}

static int is_of(const lsp_model *m, int32_t id, int cluster) {
  return id >= 0 && lsp_cluster_of(&m->words, id) == cluster;
}

/* The embedding of an id of cluster i, which may be the packed output matrix. */
static void look_up(const lsp_model *m, int i, int32_t id, float *row) {
  const lsp_cluster *k = &m->words.cluster[i];
  const int64_t at = id - m->words.cut[i];
  if (i == 0 && m->words.storage == LSP_STORED_PACKED && k->embed == k->out)
    lsp_pack_row(k->rows, k->width, k->out, at, row);
  else
    memcpy(row, k->embed + at * k->width, (size_t)k->width * sizeof(float));
}

/* Rows of cluster i: looked up, each in its own place, projected, and taken over where the
 * token is of that cluster. */
static void embed_cluster(const lsp_run *e, const ids *list, int i) {
  const lsp_model *m = &e->weights.model;
  const lsp_cluster *k = &m->words.cluster[i];
  const lsp_panel *p = list->panel;
  const int D = m->width;
  float *in = lsp_scratch_of(e), *out = in + (int64_t)LSP_PANEL * k->width;
  int any = 0;
  for (int r = 0; r < p->rows && !any; r++)
    any = is_of(m, list->id[r], i);
  if (!any)
    return;
  memset(in, 0, (size_t)p->rows * (size_t)k->width * sizeof(float));
  for (int r = 0; r < p->rows; r++)
    if (is_of(m, list->id[r], i))
      look_up(m, i, list->id[r], in + (int64_t)r * k->width);
  const float *packed = e->weights.in[i];
  const lsp_matrix projection = {packed != NULL ? packed : k->in_proj, D, k->width,
                                 packed != NULL ? LSP_STORED_PACKED : LSP_STORED_F32};
  if (k->in_proj != NULL)
    lsp_multiply(&e->job, &projection, p->rows, in, out, lsp_work_of(e));
  else
    out = in;
  for (int r = 0; r < p->rows; r++)
    if (is_of(m, list->id[r], i)) {
      float *x = e->span.x + (p->row + r) * D;
      for (int j = 0; j < D; j++)
        x[j] = out[(int64_t)r * D + j] * m->embed_scale;
    }
}

/* Rows of the memory around the model are hidden rows as they are. */
static void put_memory(const lsp_run *e, const ids *list) {
  const int64_t D = e->weights.model.width;
  const float *tokens =
      e->span.memory != NULL ? e->span.memory : e->weights.model.wrapper.tokens;
  for (int r = 0; r < list->panel->rows; r++)
    if (list->id[r] <= NO_TOKEN)
      memcpy(e->span.x + (list->panel->row + r) * D,
             tokens + (int64_t)(NO_TOKEN - list->id[r]) * D, (size_t)D * sizeof(float));
}

static void embed_panel(lsp_run *e, const lsp_panel *p) {
  const lsp_model *m = &e->weights.model;
  ids list = {p, {0}};
  list_ids(e, p, &list);
  memset(e->span.x + p->row * m->width, 0,
         (size_t)p->rows * (size_t)m->width * sizeof(float));
  for (int i = 0; i < m->words.clusters; i++)
    embed_cluster(e, &list, i);
  put_memory(e, &list);
  for (int r = 0; r < p->rows && m->positions != NULL; r++)
    if (list.id[r] != -1)
      e->job.kernels.add(m->width, e->span.x + (p->row + r) * m->width,
                         m->positions + (p->start + r) * m->width);
  lsp_finite_hidden(e, p, -1);
}

void lsp_embed(lsp_run *e, int64_t first, int64_t end) {
#pragma omp parallel for schedule(dynamic) num_threads(e->job.threads)
  for (int64_t i = first; i < end; i++)
    embed_panel(e, &e->span.wave.panel[i]);
}

void lsp_forward_embed(lsp_run *e) {
  lsp_embed(e, 0, e->span.wave.panels);
}
