/* The useful work of a model: what the products need that the formulas ask for. */
#include "lsp/model.h"

/* --- of a row, whatever is before it --------------------------------------------- */

/* Multiply-adds of a compressive memory: a row is added to matrix and normaliser of each key
 * head, and read by each query head. By the delta rule it is taken off what is there, too,
 * and the matrix is multiplied once a segment. */
static double of_compressive(const lsp_layer *l, const lsp_pattern *p) {
  const double E = l->heads.width, G = l->heads.shared, H = l->heads.query;
  const double delta = p->delta ? G * E * (E + E * E / (double)p->segment) : 0;
  return G * E * (E + 1) + H * E * (E + 1) + delta;
}

/* Of a compressed past: a convolution is one product of each row with keys and values in
 * it. */
static double of_compressed_past(const lsp_layer *l, const lsp_pattern *p) {
  return p->convolved
             ? 2.0 * l->heads.shared * l->heads.width * (double)l->compress.rows
             : 0;
}

static double of_layer(const lsp_layer *l, double D) {
  const double rows = l->heads.query + 2.0 * l->heads.shared;
  double sum = rows * l->heads.width * D + (double)l->output.matrix.cols * D +
               (l->gated ? 3 : 2) * D * l->inner + (double)l->input_gate.rows * D +
               (double)l->global.matrix.rows * D;
  for (int b = 0; b < l->branches; b++) {
    if (l->branch[b].kind == LSP_PATTERN_COMPRESSIVE)
      sum += of_compressive(l, &l->branch[b]);
    if (l->branch[b].kind == LSP_PATTERN_COMPRESSED_PAST)
      sum += of_compressed_past(l, &l->branch[b]);
  }
  return sum;
}

/* Reading an associative memory, a row and layer; features are 2 nu width. */
static double of_reading(const lsp_model *m) {
  const double D = m->width, d = m->wrapper.width, K = 2.0 * m->wrapper.nu * d;
  return m->wrapper.kind == LSP_WRAP_ASSOCIATIVE ? d * D + K * (D + 1) : 0;
}

/* Writing it, a memory token and layer: what is there for its key, and what is added. */
static double of_writing(const lsp_model *m) {
  const double D = m->width, d = m->wrapper.width, K = 2.0 * m->wrapper.nu * d;
  return m->wrapper.kind == LSP_WRAP_ASSOCIATIVE ? (d + D + 1) * D + K * (2 * D + 3)
                                                 : 0;
}

double lsp_model_flops_of_layers(const lsp_model *model) {
  double sum = model->layers * of_reading(model);
  for (int i = 0; i < model->layers; i++)
    sum += of_layer(&model->layer[i], model->width);
  return 2 * sum;
}

double lsp_model_flops_per_token(const lsp_model *model) {
  const double D = model->width;
  const lsp_vocabulary *words = &model->words;
  const double e = words->cluster[0].width, head = (double)lsp_model_head_width(model);
  double sum = head * (double)(words->cluster[0].rows + words->clusters - 1);
  if (words->projected)
    sum += 2 * D * e; /* in and out */
  sum += 2 * D * (double)model->last.slots + D * (double)model->last.project.cols;
  if (model->wrapper.kind == LSP_WRAP_ASSOCIATIVE)
    sum += model->layers * of_writing(model) * (double)model->wrapper.rows /
           (double)model->wrapper.segment;
  return lsp_model_flops_of_layers(model) + 2 * sum;
}

/* --- of pairs -------------------------------------------------------------------- */

static int heads_differ(const lsp_view *v) {
  for (int i = 0; i < v->runs; i++)
    if (v->run[i]->windows != NULL)
      return 1;
  return 0;
}

static double pairs_of(const lsp_pattern *p, int64_t first, int64_t end) {
  return p == NULL ? 0 : lsp_pattern_of(p)->pairs(p, 0, first, end);
}

/* Pairs with what queries take from a store: as if it held so much. */
static double taken_from(const lsp_pattern *store, int64_t first, int64_t end) {
  if (store == NULL)
    return 0;
  lsp_pattern most = *store;
  most.memory = store->memory == 0 ? store->neighbours
                                   : lsp_min(store->memory, store->neighbours);
  return pairs_of(&most, first, end);
}

/* Products of a query head with keys or values, each of E multiply-adds. Slots have no
 * place, and thus no product for it; candidates of a store are compared, but few are
 * taken. */
static double products_of(const lsp_view *v, int products, int head, int64_t first,
                          int64_t end) {
  const double slots = pairs_of(v->learned, first, end);
  const double compared = lsp_view_candidates(v, head, first, end);
  const double walked = lsp_view_pairs(v, head, first, end) - slots - compared;
  return products * walked + 2 * slots + compared + taken_from(v->store, first, end);
}

static double products_of_layer(const lsp_layer *l, int64_t first, int64_t end) {
  const int products = l->position.kind == LSP_POSITION_RELATIVE ? 3 : 2;
  lsp_view view[LSP_BRANCHES_MAX];
  const int views = lsp_layer_views(l, view);
  double sum = 0;
  for (int v = 0; v < views; v++) {
    const int each = heads_differ(&view[v]);
    for (int h = 0; h < (each ? l->heads.query : 1); h++)
      sum +=
          (each ? 1 : l->heads.query) * products_of(&view[v], products, h, first, end);
  }
  return sum;
}

double lsp_model_flops_of_pairs(const lsp_model *model, int64_t first, int64_t end) {
  double flops = 0;
  for (int i = 0; i < model->layers; i++)
    flops += 2.0 * model->layer[i].heads.width *
             products_of_layer(&model->layer[i], first, end);
  return flops;
}
