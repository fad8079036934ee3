/* What the models of the Hugging Face library have in common. */
#include "library.h"

#include "lsp/options.h"

#include <stdio.h>
#include <string.h>

/* --- what is refused ------------------------------------------------------------- */

static lsp_status refuse_quantised(const lsp_source *s) {
  const json_t *found = lsp__source_get(s, "quantization_config");
  char text[LSP_JSON_QUOTE_SIZE];
  if (found == NULL)
    return LSP_OK;
  return lsp_fail(s->why, LSP_E_FORMAT,
                  "%s: key \"quantization_config\" is there (quant_method %s): the "
                  "weights are quantised; run a folder of the same model that is not, "
                  "in float32, float16 or bfloat16: the one that it was made from, or "
                  "what data/get_model.py makes of a GGUF file",
                  s->path,
                  lsp_json_quote(json_object_get(found, "quant_method"), text));
}

/* Keys of other architectures, with the value that changes nothing. */
static const struct {
  const char *key;
  double neutral;
} foreign[] = {
    {"partial_rotary_factor", 1},   {"attn_logit_softcapping", 0},
    {"final_logit_softcapping", 0}, {"embedding_multiplier", 1},
    {"residual_multiplier", 1},     {"attention_multiplier", 0},
    {"logits_scaling", 1},          {"logit_scale", 1},
    {"add_cross_attention", 0},     {"is_encoder_decoder", 0},
};

static lsp_status refuse_foreign(const lsp_source *s) {
  for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
    const json_t *found = lsp__source_get(s, foreign[i].key);
    const double value = json_is_true(found) ? 1 : json_number_value(found);
    if (found == NULL || json_is_false(found) ||
        (value == foreign[i].neutral && !json_is_string(found)))
      continue;
    return lsp__source_unable(s, foreign[i].key, found,
                              "this model_type only without it");
  }
  return LSP_OK;
}

lsp_status lsp__library_check(const lsp_source *s) {
  LSP_TRY(refuse_quantised(s));
  return refuse_foreign(s);
}

lsp_status lsp__library_choices(const lsp_source *s, const lsp_choices *choices) {
  const char *option = choices->mem_len >= 0                ? "--mem-len"
                       : choices->segment > 0               ? "--segment"
                       : choices->mem_init == LSP_MEM_ZEROS ? "--mem-init zeros"
                                                            : NULL;
  if (option == NULL)
    return LSP_OK;
  return lsp_fail(s->why, LSP_E_USAGE,
                  "%s: no layer of %s has a memory by segments, which the option is "
                  "for; leave it out",
                  option, s->path);
}

/* --- values ---------------------------------------------------------------------- */

/* Names that are the same function, up to the rounding of a constant. */
static const struct {
  const char *name;
  lsp_activation activation;
} activations[] = {
    {"relu", LSP_RELU},           {"gelu", LSP_GELU},
    {"gelu_python", LSP_GELU},    {"gelu_new", LSP_GELU_TANH},
    {"gelu_fast", LSP_GELU_TANH}, {"gelu_pytorch_tanh", LSP_GELU_TANH},
    {"silu", LSP_SILU},           {"swish", LSP_SILU},
};

lsp_status lsp__library_activation(const lsp_source *s, const char *key,
                                   lsp_activation *value) {
  const json_t *found = lsp__source_get(s, key);
  const char *name = json_string_value(found);
  if (found == NULL)
    return LSP_OK;
  for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
    if (name != NULL && strcmp(name, activations[i].name) == 0) {
      *value = activations[i].activation;
      return LSP_OK;
    }
  return lsp__source_unable(s, key, found,
                            "\"relu\", \"gelu\", \"gelu_python\", \"gelu_new\", "
                            "\"gelu_fast\", \"gelu_pytorch_tanh\", \"silu\" and "
                            "\"swish\"");
}

/* --- the model ------------------------------------------------------------------- */

void lsp__library_describe(const lsp_library_sizes *sizes, lsp_model *model) {
  lsp_vocabulary *words = &model->words;
  model->width = (int)sizes->width;
  model->embed_scale = 1;
  model->segment = 1;
  words->size = words->cut[1] = words->cluster[0].rows = sizes->words;
  words->widest = words->cluster[0].width = (int)sizes->width;
}

/* --- tensors --------------------------------------------------------------------- */

lsp_slot *lsp__library_bare(lsp_slot *s, const char *prefix) {
  const size_t n = strlen(prefix);
  LSP_ASSERT(strncmp(s->name[0], prefix, n) == 0);
  (void)snprintf(s->name[1], LSP_NAME_SIZE, "%s", s->name[0] + n);
  return s;
}

void lsp__library_words(lsp_slots *list, lsp_model *model, int tied, const char *prefix,
                        const char *name) {
  lsp_cluster *words = &model->words.cluster[0];
  lsp_slot *s = lsp__library_bare(lsp_slot_add(list, &words->embed, words->rows,
                                               words->width, "%s%s", prefix, name),
                                  prefix);
  s->of_words = 1;
  if (tied)
    (void)snprintf(s->name[2], LSP_NAME_SIZE, "lm_head.weight");
  else
    lsp_slot_add(list, &words->out, words->rows, words->width, "lm_head.weight")
        ->of_words = 1;
}

int lsp__library_is_of_layer(const char *name, const char *prefix, const char *list,
                             const char *rest) {
  if (strncmp(name, prefix, strlen(prefix)) == 0)
    name += strlen(prefix);
  if (strncmp(name, list, strlen(list)) != 0)
    return 0;
  name += strlen(list);
  const size_t digits = strspn(name, "0123456789");
  return digits > 0 && name[digits] == '.' && strcmp(name + digits + 1, rest) == 0;
}
