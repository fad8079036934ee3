/* Decoders as Llama shaped them: the description. */
#include "decoder.h"

#include <math.h>
#include <stdlib.h>

static lsp_norm norm_of(const decoder_config *c) {
  return (lsp_norm){.kind = LSP_NORM_RMS, .eps = (float)c->norm_eps};
}

/* What turned queries and keys are both multiplied with goes into the scale of their
 * products. */
static float scale_of(const decoder_config *c, int turned) {
  const double factor = turned ? lsp__rope_attention(&c->rope) : 1;
  return (float)(factor * factor / sqrt((double)c->head_width));
}

static void describe_layer(const decoder_config *c, int i, lsp_layer *l) {
  const int64_t D = c->sizes.width, E = c->head_width, F = c->inner;
  const int64_t H = c->sizes.heads, G = c->shared;
  l->place = LSP_PLACE_PRE;
  l->attention_norm = l->feed_norm = norm_of(c);
  l->heads = (lsp_heads){(int)H, (int)G, (int)E};
  l->qkv.matrix = lsp__matrix((H + 2 * G) * E, D);
  if (c->head_norms)
    l->query_norm = l->key_norm = norm_of(c);
  l->scale = scale_of(c, c->turned[i]);
  if (c->turned[i])
    l->position = (lsp_position){
        .kind = LSP_POSITION_ROTARY, .rotated = (int)E, .frequency = c->frequency};
  l->branch[0].kind = c->window[i] > 0 ? LSP_PATTERN_LOCAL : LSP_PATTERN_FULL;
  l->branch[0].window = c->window[i];
  l->branches = 1;
  l->output.matrix = lsp__matrix(D, H * E);
  l->up.matrix = lsp__matrix(2 * F, D);
  l->inner = (int)F;
  l->gated = 1;
  l->activation = c->activation;
  l->down.matrix = lsp__matrix(D, F);
}

lsp_status lsp__decoder_describe(const json_t *config, const char *path,
                                 const lsp_choices *choices, lsp_model *model,
                                 lsp_failure *why) {
  const lsp_source s = {config, path, "", why};
  unsigned char hash[16];
  decoder_config *c = model->own = calloc(1, sizeof *c);
  if (c == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: no memory to read it", path);
  LSP_TRY(lsp__decoder_config(&s, model->family->kind, c));
  LSP_TRY(lsp__library_choices(&s, choices));
  LSP_TRY(lsp__model_tables(model, (int)c->sizes.layers, 1, why));
  lsp__library_describe(&c->sizes, model);
  model->trained = c->trained;
  model->last_norm = norm_of(c);
  for (int i = 0; i < model->layers; i++)
    describe_layer(c, i, &model->layer[i]);
  LSP_TRY(lsp__decoder_hash(&s, c, hash));
  lsp__fact_hash(model, "config", hash);
  return lsp__model_limits(path, model, why);
}

void lsp__decoder_release(lsp_model *model) {
  decoder_config *c = model->own;
  if (c == NULL)
    return;
  free(c->window);
  free(c->turned);
  free(c->frequency);
  free(c);
}
