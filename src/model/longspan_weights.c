/* Names of the tensors of a longspan checkpoint. */
#include "longspan.h"

#include <stdio.h>

/* What the names of a layer's tensors begin with. */
typedef struct {
  lsp_slots *list;
  const span_config *config;
  int layer;
  int given; /* its gate is that of an option */
} place;

static void norm_slots(const place *p, lsp_norm *norm, const char *name) {
  const span_config *c = p->config;
  if (norm->kind == LSP_NORM_NONE)
    return;
  (void)lsp_slot_add(p->list, &norm->gain, c->hidden_size, 0, "layers.%d.%s.weight",
                     p->layer, name);
  if (norm->kind == LSP_NORM_LAYER && c->norm_bias)
    (void)lsp_slot_add(p->list, &norm->bias, c->hidden_size, 0, "layers.%d.%s.bias",
                       p->layer, name);
}

/* Rows of queries and keys are put in the order in which they are turned. */
static void order_pairs(const span_config *c, lsp_slot *s) {
  if (c->position != SPAN_ROTARY || c->rotary_pairs != SPAN_ADJACENT)
    return;
  s->pairs_apart = (int)c->rotary_width;
  s->head_rows = (int)c->head_dim;
}

/* Queries, keys and values, one behind another, `of` being what their names begin with;
 * cols 0: their biases. */
static void projection_slots(const place *p, const float **view, int64_t cols,
                             const char *of) {
  const span_config *c = p->config;
  const int64_t H = c->num_attention_heads, G = c->num_key_value_heads, E = c->head_dim;
  const char *kind = cols > 0 ? "weight" : "bias";
  order_pairs(c, lsp_slot_add(p->list, view, H * E, cols, "layers.%d.attention.%sq.%s",
                              p->layer, of, kind));
  order_pairs(c, lsp_slot_join(p->list, G * E, cols, "layers.%d.attention.%sk.%s",
                               p->layer, of, kind));
  (void)lsp_slot_join(p->list, G * E, cols, "layers.%d.attention.%sv.%s", p->layer, of,
                      kind);
}

static void head_norm_slot(const place *p, lsp_norm *norm, const char *name) {
  const span_config *c = p->config;
  if (norm->kind != LSP_NORM_NONE)
    order_pairs(c, lsp_slot_add(p->list, &norm->gain, c->head_dim, 0,
                                "layers.%d.attention.%s.weight", p->layer, name));
}

static void position_slots(const place *p, lsp_position *position) {
  const span_config *c = p->config;
  const int64_t H = c->num_attention_heads, E = c->head_dim;
  if (position->kind != LSP_POSITION_RELATIVE)
    return;
  (void)lsp_slot_add(p->list, &position->relative.data, H * E, c->hidden_size,
                     "layers.%d.attention.relative.weight", p->layer);
  (void)lsp_slot_add(p->list, &position->u, H, E, "layers.%d.attention.relative.u",
                     p->layer);
  (void)lsp_slot_add(p->list, &position->v, H, E, "layers.%d.attention.relative.v",
                     p->layer);
}

static void linear_slots(const place *p, lsp_linear *linear, int biased,
                         const char *name) {
  const lsp_matrix *m = &linear->matrix;
  (void)lsp_slot_add(p->list, &linear->matrix.data, m->rows, m->cols,
                     "layers.%d.%s.weight", p->layer, name);
  if (biased)
    (void)lsp_slot_add(p->list, &linear->bias, m->rows, 0, "layers.%d.%s.bias",
                       p->layer, name);
}

static void linear_projection_slots(const place *p, lsp_linear *linear,
                                    const char *of) {
  projection_slots(p, &linear->matrix.data, p->config->hidden_size, of);
  if (p->config->attention_bias)
    projection_slots(p, &linear->bias, 0, of);
}

/* Queries are matched with slots as they are before they are turned: in the order of the
 * pairs. */
static void learned_slots(const place *p, lsp_layer *l, int64_t slots) {
  const int64_t G = p->config->num_key_value_heads, E = p->config->head_dim;
  lsp_slot *keys = lsp_slot_add(p->list, &l->memory_keys, G, slots * E,
                                "layers.%d.attention.memory_keys", p->layer);
  order_pairs(p->config, lsp_slot_deepen(keys, E));
  lsp_slot *values = lsp_slot_add(p->list, &l->memory_values, G, slots * E,
                                  "layers.%d.attention.memory_values", p->layer);
  (void)lsp_slot_deepen(values, E);
}

/* The checkpoint has the convolution as torch does: (D, D, pool). */
static void compress_slots(const place *p, lsp_layer *l) {
  lsp_slot *s =
      lsp_slot_add(p->list, &l->compress.data, l->compress.rows, l->compress.cols,
                   "layers.%d.attention.compress.weight", p->layer);
  lsp_slot_deepen(s, l->compress.cols / l->compress.rows)->transposed = 1;
  (void)lsp_slot_add(p->list, &l->compress_bias, l->compress.rows, 0,
                     "layers.%d.attention.compress.bias", p->layer);
}

static void memory_slots(const place *p, lsp_layer *l) {
  const int64_t H = p->config->num_attention_heads;
  for (int b = 0; b < l->branches; b++) {
    if (l->branch[b].kind == LSP_PATTERN_LEARNED)
      learned_slots(p, l, l->branch[b].slots);
    if (l->branch[b].kind == LSP_PATTERN_STORE && l->branch[b].cosine)
      (void)lsp_slot_add(p->list, &l->store_scale, H, 0,
                         "layers.%d.attention.store_scale", p->layer);
  }
  if (l->compress.rows > 0)
    compress_slots(p, l);
}

/* What merges branches, and what branches have of their own. */
static void branch_slots(const place *p, lsp_layer *l) {
  const int64_t H = p->config->num_attention_heads;
  if (l->merge == LSP_MERGE_GATE)
    (void)lsp_slot_add(p->list, &l->gate, l->branches, H, "layers.%d.attention.gate",
                       p->layer);
  if (l->merge == LSP_MERGE_INPUT)
    (void)lsp_slot_add(p->list, &l->input_gate.data, l->input_gate.rows,
                       l->input_gate.cols, "layers.%d.attention.gate_input.weight",
                       p->layer);
  if (l->merge == LSP_MERGE_MEMORY && !p->given)
    (void)lsp_slot_add(p->list, &l->memory_gate, H, 0,
                       "layers.%d.attention.memory_gate", p->layer);
  memory_slots(p, l);
  if (l->global.matrix.rows > 0)
    linear_projection_slots(p, &l->global, "global_");
  if (l->span_windows != NULL)
    (void)lsp_slot_add(p->list, &l->span, H, 0, "layers.%d.attention.span", p->layer);
}

static void attention_slots(const place *p, lsp_layer *l) {
  const span_config *c = p->config;
  linear_projection_slots(p, &l->qkv, "");
  head_norm_slot(p, &l->query_norm, "q_norm");
  head_norm_slot(p, &l->key_norm, "k_norm");
  position_slots(p, &l->position);
  branch_slots(p, l);
  linear_slots(p, &l->output, c->output_bias, "attention.o");
}

/* The gate's rows, and those that it opens, in one matrix; cols 0: their biases. */
static void gated_slots(const place *p, const float **view, int64_t cols) {
  const int64_t F = p->config->intermediate_size;
  const char *kind = cols > 0 ? "weight" : "bias";
  (void)lsp_slot_add(p->list, view, F, cols, "layers.%d.feed.gate.%s", p->layer, kind);
  (void)lsp_slot_join(p->list, F, cols, "layers.%d.feed.up.%s", p->layer, kind);
}

static void feed_slots(const place *p, lsp_layer *l) {
  const span_config *c = p->config;
  if (!c->gated)
    linear_slots(p, &l->up, c->feed_bias, "feed.up");
  if (c->gated)
    gated_slots(p, &l->up.matrix.data, c->hidden_size);
  if (c->gated && c->feed_bias)
    gated_slots(p, &l->up.bias, 0);
  linear_slots(p, &l->down, c->feed_bias, "feed.down");
}

static void embedding_slots(lsp_slots *list, const span_config *c, lsp_model *m) {
  lsp_slot *s = lsp_slot_add(list, &m->words.cluster[0].embed, c->vocab_size,
                             c->hidden_size, "embed.weight");
  s->of_words = 1;
  if (c->tie_word_embeddings)
    (void)snprintf(s->name[1], LSP_NAME_SIZE, "head.weight");
  if (c->position == SPAN_LEARNED)
    (void)lsp_slot_add(list, &m->positions, c->max_position, c->hidden_size,
                       "position.weight");
}

/* Columns of the head. */
static int64_t head_width(const span_config *c, const lsp_last_memory *last) {
  return (last->slots > 0 && last->merge == LSP_LAST_CONCAT ? 2 : 1) * c->hidden_size;
}

static void last_memory_slots(lsp_slots *list, const span_config *c,
                              lsp_last_memory *last) {
  const int64_t D = c->hidden_size;
  if (last->slots == 0)
    return;
  (void)lsp_slot_add(list, &last->keys, last->slots, D, "last_memory.keys");
  (void)lsp_slot_add(list, &last->values, last->slots, D, "last_memory.values");
  if (last->merge == LSP_LAST_GATE)
    (void)lsp_slot_add(list, &last->gate, D, 0, "last_memory.gate");
  if (last->merge == LSP_LAST_PROJECT)
    (void)lsp_slot_add(list, &last->project.data, D, 2 * D,
                       "last_memory.project.weight");
}

static void last_slots(lsp_slots *list, const span_config *c, lsp_model *m) {
  lsp_norm *norm = &m->last_norm;
  lsp_cluster *words = &m->words.cluster[0];
  if (norm->kind != LSP_NORM_NONE)
    (void)lsp_slot_add(list, &norm->gain, c->hidden_size, 0, "norm.weight");
  if (norm->kind == LSP_NORM_LAYER && c->norm_bias)
    (void)lsp_slot_add(list, &norm->bias, c->hidden_size, 0, "norm.bias");
  last_memory_slots(list, c, &m->last);
  if (!c->tie_word_embeddings)
    lsp_slot_add(list, &words->out, c->vocab_size, head_width(c, &m->last),
                 "head.weight")
        ->of_words = 1;
  if (c->head_bias)
    (void)lsp_slot_add(list, &words->out_bias, c->vocab_size, 0, "head.bias");
}

void lsp__span_slots(lsp_model *model, lsp_slots *list) {
  const span_config *c = model->own;
  embedding_slots(list, c, model);
  for (int i = 0; i < model->layers; i++) {
    lsp_layer *l = &model->layer[i];
    const int given = l->memory_gate != NULL && l->memory_gate == model->given_gate;
    const place p = {list, c, i, given};
    norm_slots(&p, &l->attention_norm, "attention_norm");
    attention_slots(&p, l);
    norm_slots(&p, &l->attention_post, "attention_post_norm");
    norm_slots(&p, &l->feed_norm, "feed_norm");
    feed_slots(&p, l);
    norm_slots(&p, &l->feed_post, "feed_post_norm");
  }
  last_slots(list, c, model);
}

void lsp__span_ties(lsp_model *model) {
  const span_config *c = model->own;
  if (c->tie_word_embeddings)
    model->words.cluster[0].out = model->words.cluster[0].embed;
}
