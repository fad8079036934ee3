/* Names of the tensors of decoders that are shaped as Llama is. */
#include "decoder.h"

#include <string.h>

#define PREFIX "model."
#define LAYER PREFIX "layers.%d."

static void vector_slot(lsp_slots *list, const float **view, int64_t n, int layer,
                        const char *name) {
  (void)lsp__library_bare(
      lsp_slot_add(list, view, n, 0, LAYER "%s.weight", layer, name), PREFIX);
}

/* Matrices that are read as one, a row under another; cols 0: their biases. */
static void joined_slots(lsp_slots *list, const float **view, int64_t cols, int layer,
                         const char *const name[], const int64_t rows[], int n) {
  const char *kind = cols > 0 ? "weight" : "bias";
  for (int i = 0; i < n; i++)
    (void)lsp__library_bare(i == 0 ? lsp_slot_add(list, view, rows[i], cols,
                                                  LAYER "%s.%s", layer, name[i], kind)
                                   : lsp_slot_join(list, rows[i], cols, LAYER "%s.%s",
                                                   layer, name[i], kind),
                            PREFIX);
}

static void linear_slots(lsp_slots *list, lsp_linear *linear, int biased, int layer,
                         const char *const name[], const int64_t rows[], int n) {
  joined_slots(list, &linear->matrix.data, linear->matrix.cols, layer, name, rows, n);
  if (biased)
    joined_slots(list, &linear->bias, 0, layer, name, rows, n);
}

static void attention_slots(lsp_slots *list, const decoder_config *c, lsp_layer *l,
                            int i) {
  static const char *const qkv[] = {"self_attn.q_proj", "self_attn.k_proj",
                                    "self_attn.v_proj"};
  static const char *const output[] = {"self_attn.o_proj"};
  const int64_t E = c->head_width, H = c->sizes.heads, G = c->shared;
  linear_slots(list, &l->qkv, c->qkv_bias, i, qkv,
               (const int64_t[]){H * E, G * E, G * E}, 3);
  if (c->head_norms) {
    vector_slot(list, &l->query_norm.gain, E, i, "self_attn.q_norm");
    vector_slot(list, &l->key_norm.gain, E, i, "self_attn.k_norm");
  }
  linear_slots(list, &l->output, c->output_bias, i, output, &c->sizes.width, 1);
}

static void feed_slots(lsp_slots *list, const decoder_config *c, lsp_layer *l, int i) {
  static const char *const up[] = {"mlp.gate_proj", "mlp.up_proj"};
  static const char *const down[] = {"mlp.down_proj"};
  linear_slots(list, &l->up, c->feed_bias, i, up, (const int64_t[]){c->inner, c->inner},
               2);
  linear_slots(list, &l->down, c->feed_bias, i, down, &c->sizes.width, 1);
}

void lsp__decoder_slots(lsp_model *model, lsp_slots *list) {
  const decoder_config *c = model->own;
  const int64_t D = c->sizes.width;
  lsp__library_words(list, model, c->tied, PREFIX, "embed_tokens.weight");
  for (int i = 0; i < model->layers; i++) {
    lsp_layer *l = &model->layer[i];
    vector_slot(list, &l->attention_norm.gain, D, i, "input_layernorm");
    attention_slots(list, c, l, i);
    vector_slot(list, &l->feed_norm.gain, D, i, "post_attention_layernorm");
    feed_slots(list, c, l, i);
  }
  (void)lsp__library_bare(
      lsp_slot_add(list, &model->last_norm.gain, D, 0, PREFIX "norm.weight"), PREFIX);
}

void lsp__decoder_ties(lsp_model *model) {
  const decoder_config *c = model->own;
  if (c->tied)
    model->words.cluster[0].out = model->words.cluster[0].embed;
}

/* Frequencies, which older versions of the library stored. */
int lsp__decoder_ignores(const char *name) {
  return lsp__library_is_of_layer(name, PREFIX, "layers.",
                                  "self_attn.rotary_emb.inv_freq") ||
         strcmp(name, PREFIX "rotary_emb.inv_freq") == 0 ||
         strcmp(name, "rotary_emb.inv_freq") == 0;
}
