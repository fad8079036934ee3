/* Names of the tensors of a transfo-xl checkpoint. */
#include "transfo_xl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LAYER "transformer.layers.%d."

static void norm_slots(lsp_slots *list, lsp_norm *norm, int width, int layer,
                       const char *part) {
  (void)lsp_slot_add(list, &norm->gain, width, 0, LAYER "%s.layer_norm.weight", layer,
                     part);
  (void)lsp_slot_add(list, &norm->bias, width, 0, LAYER "%s.layer_norm.bias", layer,
                     part);
}

static void feed_slots(lsp_slots *list, lsp_linear *linear, int layer, int part) {
  const lsp_matrix *m = &linear->matrix;
  (void)lsp_slot_add(list, &linear->matrix.data, m->rows, m->cols,
                     LAYER "pos_ff.CoreNet.%d.weight", layer, part);
  (void)lsp_slot_add(list, &linear->bias, m->rows, 0, LAYER "pos_ff.CoreNet.%d.bias",
                     layer, part);
}

static void attention_slot(lsp_slots *list, lsp_matrix *m, int layer, const char *net) {
  (void)lsp_slot_add(list, &m->data, m->rows, m->cols, LAYER "dec_attn.%s.weight",
                     layer, net);
}

static void layer_slots(lsp_slots *list, const txl_config *c, lsp_layer *l, int i) {
  attention_slot(list, &l->qkv.matrix, i, "qkv_net");
  attention_slot(list, &l->position.relative, i, "r_net");
  attention_slot(list, &l->output.matrix, i, "o_net");
  norm_slots(list, &l->attention_norm, c->d_model, i, "dec_attn");
  feed_slots(list, &l->up, i, 0);
  feed_slots(list, &l->down, i, 3);
  norm_slots(list, &l->feed_norm, c->d_model, i, "pos_ff");
  if (c->untie_r) {
    (void)lsp_slot_add(list, &l->position.u, c->n_head, c->d_head,
                       LAYER "dec_attn.r_w_bias", i);
    (void)lsp_slot_add(list, &l->position.v, c->n_head, c->d_head,
                       LAYER "dec_attn.r_r_bias", i);
  }
}

/* Biases that all layers share: under the model's name, or the first layer's; other
 * layers may repeat them. */
static void shared_bias(lsp_slots *list, const txl_config *c, const float **view,
                        const char *name) {
  lsp_slot *s = lsp_slot_add(list, view, c->n_head, c->d_head, "transformer.%s", name);
  const int64_t offset = s->offset;
  char of[LSP_NAME_SIZE];
  memcpy(of, s->name[0], sizeof of);
  (void)snprintf(s->name[1], LSP_NAME_SIZE, LAYER "dec_attn.%s", 0, name);
  for (int i = 1; i < c->n_layer; i++)
    (void)lsp_slot_repeat(list, offset, of, c->n_head, c->d_head, LAYER "dec_attn.%s",
                          i, name);
}

/* Tables of embeddings and head: with div_val 1 one serves all clusters. */
static int tables_of(const txl_config *c) {
  return c->div_val == 1 ? 1 : c->clusters;
}

static int64_t table_rows(const txl_config *c, int i) {
  return c->div_val == 1 ? c->vocab_size : c->cut[i + 1] - c->cut[i];
}

/* Output projections that are tied may stand in for the embedding's, and repeat it:
 * those of clusters first .. end - 1. */
static int tied_end(const txl_config *c, int first) {
  return c->div_val == 1 ? c->clusters : first + 1;
}

static int tied_projection(const lsp_model *model, const lsp_slot *s, int i,
                           char name[LSP_NAME_SIZE]) {
  const txl_config *c = model->own;
  const int k = s->tag + i;
  name[0] = '\0';
  if (k >= tied_end(c, s->tag))
    return 0;
  if (c->tie_proj[k])
    (void)snprintf(name, LSP_NAME_SIZE, "crit.out_projs.%d", k);
  return 1;
}

static void projection_slots(lsp_slots *list, const txl_config *c, lsp_cluster *k,
                             int i) {
  lsp_slot *s = lsp_slot_add(list, &k->in_proj, c->d_model, k->width,
                             "transformer.word_emb.emb_projs.%d", i);
  const int64_t offset = s->offset;
  s->substitute = tied_projection;
  s->tag = i;
  for (int n = i; n < tied_end(c, i); n++)
    if (c->tie_proj[n])
      (void)lsp_slot_repeat(list, offset, "the projection of the embedding", c->d_model,
                            k->width, "crit.out_projs.%d", n);
}

static void embedding_slots(lsp_slots *list, const txl_config *c,
                            lsp_cluster *cluster) {
  for (int i = 0; i < tables_of(c); i++) {
    lsp_slot *s =
        lsp_slot_add(list, &cluster[i].embed, table_rows(c, i), cluster[i].width,
                     "transformer.word_emb.emb_layers.%d.weight", i);
    if (c->tie_word_embeddings)
      (void)snprintf(s->name[1], LSP_NAME_SIZE, "crit.out_layers.%d.weight", i);
  }
  for (int i = 0; i < tables_of(c) && lsp__txl_projected(c); i++)
    projection_slots(list, c, &cluster[i], i);
}

static void head_slots(lsp_slots *list, const txl_config *c, lsp_vocabulary *words) {
  lsp_cluster *cluster = words->cluster;
  for (int i = 0; i < tables_of(c); i++) {
    if (!c->tie_word_embeddings)
      (void)lsp_slot_add(list, &cluster[i].out, table_rows(c, i), cluster[i].width,
                         "crit.out_layers.%d.weight", i);
    (void)lsp_slot_add(list, &cluster[i].out_bias, table_rows(c, i), 0,
                       "crit.out_layers.%d.bias", i);
  }
  for (int i = 0; i < c->clusters && lsp__txl_projected(c); i++)
    if (!c->tie_proj[i])
      (void)lsp_slot_add(list, &cluster[i].out_proj, c->d_model, cluster[i].width,
                         "crit.out_projs.%d", i);
  if (c->clusters > 1) {
    (void)lsp_slot_add(list, &words->cluster_weight, c->clusters - 1, c->d_embed,
                       "crit.cluster_weight");
    (void)lsp_slot_add(list, &words->cluster_bias, c->clusters - 1, 0,
                       "crit.cluster_bias");
  }
}

/* As the library computes it: float32 throughout. */
static void compute_inv_freq(const lsp_model *model, float *out) {
  for (int j = 0; j < model->width / 2; j++)
    out[j] = 1.0f / powf(10000.0f, (float)(2 * j) / (float)model->width);
}

void lsp__txl_slots(lsp_model *model, lsp_slots *list) {
  const txl_config *c = model->own;
  embedding_slots(list, c, model->words.cluster);
  for (int i = 0; i < c->n_layer; i++)
    layer_slots(list, c, &model->layer[i], i);
  if (!c->untie_r) {
    shared_bias(list, c, &model->layer[0].position.u, "r_w_bias");
    shared_bias(list, c, &model->layer[0].position.v, "r_r_bias");
  }
  head_slots(list, c, &model->words);
  lsp_slot_add(list, &model->inv_freq, c->d_model / 2, 0,
               "transformer.pos_emb.inv_freq")
      ->absent = compute_inv_freq;
}

/* Ties, and the shares of a table that serves all clusters. */
void lsp__txl_ties(lsp_model *m) {
  const txl_config *c = m->own;
  lsp_cluster *first = m->words.cluster;
  for (int i = 0; i < c->n_layer && !c->untie_r; i++) {
    m->layer[i].position.u = m->layer[0].position.u;
    m->layer[i].position.v = m->layer[0].position.v;
  }
  for (int i = 0; i < c->clusters; i++) {
    lsp_cluster *k = &m->words.cluster[i];
    const int own = i < tables_of(c);
    if (!own) {
      k->embed = first->embed + c->cut[i] * k->width;
      k->in_proj = first->in_proj;
      k->out_bias = first->out_bias + c->cut[i];
    }
    if (c->tie_word_embeddings)
      k->out = k->embed;
    else if (!own)
      k->out = first->out + c->cut[i] * k->width;
    if (lsp__txl_projected(c) && c->tie_proj[i])
      k->out_proj = k->in_proj;
  }
}
