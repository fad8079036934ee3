/* GPT-2 (Radford et al. 2019): learned positions, layer norm before each part, biases
 * everywhere, gelu by tanh. Matrices are stored (in, out); queries, keys and values are
 * one.
 *
 *   x = word + position
 *   x += P softmax(q . k / sqrt(E)) v;  x += proj(act(fc N x)) */
#include "library.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX "transformer."
#define LAYER PREFIX "h.%d."

enum { WIDTH_MAX = 1 << 20, INNER_MAX = 1 << 24 };

typedef struct {
  lsp_library_sizes sizes;
  int64_t positions, inner;
  double norm_eps;
  lsp_activation activation;
  int scaled;   /* scores by 1 / sqrt(E) */
  int by_layer; /* scores of layer i by 1 / (i + 1) */
  int tied;
} gpt2_config;

/* --- config.json ----------------------------------------------------------------- */

/* Of two names of a key the newer one wins in the library. */
static lsp_status read_size(const lsp_source *s, const char *name, const char *newer,
                            int required, int64_t most, int64_t *value) {
  const char *key = lsp__source_get(s, newer) != NULL ? newer : name;
  return lsp__source_int(s, key, required, 1, most, value);
}

static lsp_status read_sizes(const lsp_source *s, gpt2_config *c) {
  lsp_library_sizes *z = &c->sizes;
  LSP_TRY(lsp__source_int(s, "vocab_size", 1, 1, INT32_MAX, &z->words));
  LSP_TRY(read_size(s, "n_embd", "hidden_size", 1, WIDTH_MAX, &z->width));
  LSP_TRY(read_size(s, "n_layer", "num_hidden_layers", 1, 4096, &z->layers));
  LSP_TRY(read_size(s, "n_head", "num_attention_heads", 1, 4096, &z->heads));
  c->positions = 1024;
  LSP_TRY(read_size(s, "n_positions", "max_position_embeddings", 0, INT32_MAX,
                    &c->positions));
  c->inner = 4 * z->width;
  LSP_TRY(lsp__source_int(s, "n_inner", 0, 1, INNER_MAX, &c->inner));
  if (z->width % z->heads != 0 || z->width / z->heads > 4096)
    return lsp_fail(s->why, LSP_E_FORMAT,
                    "%s: n_embd %lld does not make %lld heads (n_head) of equal width, "
                    "at most 4096; correct the file",
                    s->path, (long long)z->width, (long long)z->heads);
  return LSP_OK;
}

static lsp_status read_switches(const lsp_source *s, gpt2_config *c) {
  const json_t *pruned = lsp__source_get(s, "pruned_heads");
  c->scaled = c->tied = 1;
  c->activation = LSP_GELU_TANH;
  c->norm_eps = 1e-5;
  LSP_TRY(lsp__source_real(s, "layer_norm_epsilon", (double)FLT_MIN, 1, &c->norm_eps));
  LSP_TRY(lsp__library_activation(s, "activation_function", &c->activation));
  LSP_TRY(lsp__source_truth(s, "scale_attn_weights", &c->scaled));
  LSP_TRY(lsp__source_truth(s, "scale_attn_by_inverse_layer_idx", &c->by_layer));
  LSP_TRY(lsp__source_truth(s, "tie_word_embeddings", &c->tied));
  if (json_object_size(pruned) > 0)
    return lsp__source_unable(s, "pruned_heads", pruned, "models with all their heads");
  return LSP_OK;
}

static lsp_status hash_of(const lsp_source *s, const gpt2_config *c,
                          unsigned char hash[16]) {
  const lsp_library_sizes *z = &c->sizes;
  json_t *all =
      json_pack("{s:[I,I,I,I,I,I], s:f, s:[i,b,b,b]}", "sizes", (json_int_t)z->words,
                (json_int_t)z->width, (json_int_t)z->layers, (json_int_t)z->heads,
                (json_int_t)c->positions, (json_int_t)c->inner, "norm_eps", c->norm_eps,
                "switches", (int)c->activation, c->scaled, c->by_layer, c->tied);
  const lsp_status st = lsp__source_hash(s, all, hash);
  json_decref(all);
  return st;
}

/* --- the description ------------------------------------------------------------- */

static lsp_norm norm_of(const gpt2_config *c) {
  return (lsp_norm){.kind = LSP_NORM_LAYER, .eps = (float)c->norm_eps};
}

static void describe_layer(const gpt2_config *c, int i, lsp_layer *l) {
  const int64_t D = c->sizes.width, H = c->sizes.heads, E = D / H, F = c->inner;
  const double scale = c->scaled ? 1 / sqrt((double)E) : 1;
  l->place = LSP_PLACE_PRE;
  l->attention_norm = l->feed_norm = norm_of(c);
  l->heads = (lsp_heads){(int)H, (int)H, (int)E};
  l->qkv.matrix = lsp__matrix(3 * D, D);
  l->scale = (float)(c->by_layer ? scale / (i + 1) : scale);
  l->branch[0].kind = LSP_PATTERN_FULL;
  l->branches = 1;
  l->output.matrix = lsp__matrix(D, D);
  l->up.matrix = lsp__matrix(F, D);
  l->inner = (int)F;
  l->activation = c->activation;
  l->down.matrix = lsp__matrix(D, F);
}

static lsp_status describe(const json_t *config, const char *path,
                           const lsp_choices *choices, lsp_model *model,
                           lsp_failure *why) {
  const lsp_source s = {config, path, "", why};
  unsigned char hash[16];
  gpt2_config *c = model->own = calloc(1, sizeof *c);
  if (c == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: no memory to read it", path);
  LSP_TRY(lsp__library_check(&s));
  LSP_TRY(read_sizes(&s, c));
  LSP_TRY(read_switches(&s, c));
  LSP_TRY(lsp__library_choices(&s, choices));
  LSP_TRY(lsp__model_tables(model, (int)c->sizes.layers, 1, why));
  lsp__library_describe(&c->sizes, model);
  model->trained = model->positions_most = c->positions;
  model->last_norm = norm_of(c);
  for (int i = 0; i < model->layers; i++)
    describe_layer(c, i, &model->layer[i]);
  LSP_TRY(hash_of(&s, c, hash));
  lsp__fact_hash(model, "config", hash);
  return lsp__model_limits(path, model, why);
}

/* --- tensors --------------------------------------------------------------------- */

static void norm_slots(lsp_slots *list, lsp_norm *norm, int64_t width,
                       const char *name) {
  (void)lsp__library_bare(
      lsp_slot_add(list, &norm->gain, width, 0, PREFIX "%s.weight", name), PREFIX);
  (void)lsp__library_bare(
      lsp_slot_add(list, &norm->bias, width, 0, PREFIX "%s.bias", name), PREFIX);
}

static void linear_slots(lsp_slots *list, lsp_linear *linear, int layer,
                         const char *name) {
  const lsp_matrix *m = &linear->matrix;
  lsp_slot *s = lsp_slot_add(list, &linear->matrix.data, m->cols, m->rows,
                             LAYER "%s.weight", layer, name);
  s->transposed = 1;
  (void)lsp__library_bare(s, PREFIX);
  (void)lsp__library_bare(
      lsp_slot_add(list, &linear->bias, m->rows, 0, LAYER "%s.bias", layer, name),
      PREFIX);
}

static void layer_slots(lsp_slots *list, lsp_layer *l, int64_t width, int i) {
  char first[32], second[32];
  (void)snprintf(first, sizeof first, "h.%d.ln_1", i);
  (void)snprintf(second, sizeof second, "h.%d.ln_2", i);
  norm_slots(list, &l->attention_norm, width, first);
  linear_slots(list, &l->qkv, i, "attn.c_attn");
  linear_slots(list, &l->output, i, "attn.c_proj");
  norm_slots(list, &l->feed_norm, width, second);
  linear_slots(list, &l->up, i, "mlp.c_fc");
  linear_slots(list, &l->down, i, "mlp.c_proj");
}

static void slots(lsp_model *model, lsp_slots *list) {
  const gpt2_config *c = model->own;
  lsp__library_words(list, model, c->tied, PREFIX, "wte.weight");
  (void)lsp__library_bare(lsp_slot_add(list, &model->positions, c->positions,
                                       c->sizes.width, PREFIX "wpe.weight"),
                          PREFIX);
  for (int i = 0; i < model->layers; i++)
    layer_slots(list, &model->layer[i], c->sizes.width, i);
  norm_slots(list, &model->last_norm, c->sizes.width, "ln_f");
}

static void ties(lsp_model *model) {
  const gpt2_config *c = model->own;
  if (c->tied)
    model->words.cluster[0].out = model->words.cluster[0].embed;
}

/* The mask, which older versions of the library stored. */
static int ignores(const char *name) {
  return lsp__library_is_of_layer(name, PREFIX, "h.", "attn.bias") ||
         lsp__library_is_of_layer(name, PREFIX, "h.", "attn.masked_bias");
}

static void release(lsp_model *model) {
  free(model->own);
}

const lsp_family lsp__gpt2 = {
    .model_type = "gpt2",
    .describe = describe,
    .slots = slots,
    .ties = ties,
    .release = release,
    .ignores = ignores,
};
