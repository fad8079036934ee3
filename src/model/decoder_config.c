/* config.json of the decoders that are shaped as Llama is. */
#include "decoder.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH_MAX = 1 << 20, INNER_MAX = 1 << 24, HEADS_MAX = 4096 };
#define WINDOW_MAX ((int64_t)1 << 40)

/* --- sizes ----------------------------------------------------------------------- */

static lsp_status read_sizes(const lsp_source *s, decoder_config *c) {
  lsp_library_sizes *z = &c->sizes;
  LSP_TRY(lsp__source_int(s, "vocab_size", 1, 1, INT32_MAX, &z->words));
  LSP_TRY(lsp__source_int(s, "hidden_size", 1, 1, WIDTH_MAX, &z->width));
  LSP_TRY(lsp__source_int(s, "num_hidden_layers", 1, 1, 4096, &z->layers));
  LSP_TRY(lsp__source_int(s, "num_attention_heads", 1, 1, HEADS_MAX, &z->heads));
  LSP_TRY(lsp__source_int(s, "intermediate_size", 1, 1, INNER_MAX, &c->inner));
  return lsp__source_int(s, "max_position_embeddings", 0, 1, WINDOW_MAX, &c->trained);
}

/* Missing keys stand for what the family says; null for what the sizes give. */
static lsp_status read_heads(const lsp_source *s, const decoder_kind *kind,
                             decoder_config *c) {
  const int64_t H = c->sizes.heads;
  if (json_object_get(s->json, "num_key_value_heads") == NULL)
    c->shared = kind->shared;
  if (json_object_get(s->json, "head_dim") == NULL)
    c->head_width = kind->head_width;
  LSP_TRY(lsp__source_int(s, "num_key_value_heads", 0, 1, HEADS_MAX, &c->shared));
  LSP_TRY(lsp__source_int(s, "head_dim", 0, 1, 4096, &c->head_width));
  if (c->shared == 0)
    c->shared = H;
  if (c->head_width == 0)
    c->head_width = c->sizes.width / H;
  if (H % c->shared != 0)
    return lsp__source_refuse(
        s, "num_key_value_heads", lsp__source_get(s, "num_key_value_heads"),
        "a divisor of num_attention_heads, which is %lld (a missing key stands for "
        "%lld)",
        (long long)H, (long long)(kind->shared > 0 ? kind->shared : H));
  if (c->head_width < 2 || c->head_width > 4096 || c->head_width % 2 != 0)
    return lsp__source_refuse(s, "head_dim", lsp__source_get(s, "head_dim"),
                              "an even number from 2 to 4096 (hidden_size / "
                              "num_attention_heads, %lld, where the key is missing)",
                              (long long)(c->sizes.width / H));
  return LSP_OK;
}

/* --- switches -------------------------------------------------------------------- */

static lsp_status read_switches(const lsp_source *s, const decoder_kind *kind,
                                decoder_config *c) {
  c->tied = kind->tied;
  c->head_norms = kind->head_norms;
  c->activation = LSP_SILU;
  c->norm_eps = 1e-6;
  LSP_TRY(lsp__source_truth(s, "tie_word_embeddings", &c->tied));
  LSP_TRY(lsp__source_real(s, "rms_norm_eps", (double)FLT_MIN, 1, &c->norm_eps));
  LSP_TRY(lsp__library_activation(s, "hidden_act", &c->activation));
  if (kind->biases == DECODER_BIAS_BY_KEY)
    LSP_TRY(lsp__source_truth(s, "attention_bias", &c->qkv_bias));
  c->output_bias = c->qkv_bias;
  if (kind->biases == DECODER_BIAS)
    c->qkv_bias = 1;
  if (kind->feed_biases)
    LSP_TRY(lsp__source_truth(s, "mlp_bias", &c->feed_bias));
  return LSP_OK;
}

/* --- layers ---------------------------------------------------------------------- */

/* no_rope_layers says of each layer if it is turned, in spite of its name. */
static lsp_status read_turned(const lsp_source *s, const decoder_kind *kind,
                              decoder_config *c) {
  const json_t *list = lsp__source_get(s, "no_rope_layers");
  const int64_t L = c->sizes.layers;
  int64_t interval = 4;
  for (int64_t i = 0; i < L; i++)
    c->turned[i] = 1;
  if (!kind->unturned)
    return LSP_OK;
  LSP_TRY(lsp__source_int(s, "no_rope_layer_interval", 0, 1, INT32_MAX, &interval));
  for (int64_t i = 0; i < L; i++)
    c->turned[i] = (i + 1) % interval != 0;
  if (list == NULL)
    return LSP_OK;
  if (!json_is_array(list) || (int64_t)json_array_size(list) != L)
    return lsp__source_refuse(s, "no_rope_layers", list,
                              "a list of %lld numbers (num_hidden_layers), 1 where a "
                              "layer has rotary positions and 0 where it has none",
                              (long long)L);
  for (int64_t i = 0; i < L; i++) {
    c->turned[i] = lsp_json_truth(json_array_get(list, (size_t)i));
    if (c->turned[i] < 0)
      return lsp__source_refuse(s, "no_rope_layers", list, "0 and 1 alone");
  }
  return LSP_OK;
}

/* The window of the layers that have one, by the keys of the family; 0: none. */
static lsp_status read_window(const lsp_source *s, const decoder_kind *kind, int *used,
                              int64_t *window) {
  *window = json_object_get(s->json, "sliding_window") == NULL ? kind->window : 0;
  *used = kind->sight == DECODER_WINDOW;
  if (kind->sight == DECODER_FULL)
    return LSP_OK;
  LSP_TRY(lsp__source_int(s, "sliding_window", 0, 1, WINDOW_MAX, window));
  if (kind->sight != DECODER_WINDOW)
    LSP_TRY(lsp__source_truth(s, "use_sliding_window", used));
  return LSP_OK;
}

/* The windows of a config without layer_types. */
static lsp_status default_windows(const lsp_source *s, const decoder_kind *kind,
                                  int64_t window, decoder_config *c) {
  int64_t full = kind->sight == DECODER_TOP ? 28 : 0;
  if (kind->sight == DECODER_TOP)
    LSP_TRY(lsp__source_int(s, "max_window_layers", 0, 0, INT32_MAX, &full));
  for (int64_t i = 0; i < c->sizes.layers; i++) {
    const int passed = kind->sight == DECODER_UNTURNED && c->turned[i];
    c->window[i] = i >= full && !passed ? window : 0;
  }
  return LSP_OK;
}

static lsp_status wrong_type(const lsp_source *s, int64_t layer, const json_t *type,
                             const char *expected) {
  char label[LSP_LABEL_SIZE];
  (void)snprintf(label, sizeof label, "layer_types[%lld]", (long long)layer);
  return lsp__source_refuse(s, label, type, "%s", expected);
}

/* One entry of layer_types. Families without windows may have it, too. */
static lsp_status apply_type(const lsp_source *s, const decoder_kind *kind,
                             int64_t layer, int64_t window, decoder_config *c) {
  const json_t *type =
      json_array_get(json_object_get(s->json, "layer_types"), (size_t)layer);
  const char *name = json_string_value(type);
  const int sliding = name != NULL && strcmp(name, "sliding_attention") == 0;
  const int reads = kind->sight != DECODER_FULL;
  if (!sliding && (name == NULL || strcmp(name, "full_attention") != 0))
    return wrong_type(s, layer, type, "\"full_attention\" or \"sliding_attention\"");
  if (sliding && reads && window == 0)
    return wrong_type(s, layer, type,
                      kind->sight == DECODER_TOP
                          ? "\"full_attention\", as there is no window without both "
                            "use_sliding_window and sliding_window"
                          : "\"full_attention\", as there is no sliding_window");
  if (sliding && !reads)
    return wrong_type(s, layer, type,
                      "\"full_attention\", the only one of this model_type");
  if (reads)
    c->window[layer] = sliding ? window : 0;
  return LSP_OK;
}

static lsp_status read_windows(const lsp_source *s, const decoder_kind *kind,
                               decoder_config *c) {
  const json_t *types = lsp__source_get(s, "layer_types");
  int used = 0;
  int64_t window = 0;
  LSP_TRY(read_window(s, kind, &used, &window));
  LSP_TRY(default_windows(s, kind, used ? window : 0, c));
  if (types == NULL)
    return LSP_OK;
  if (!json_is_array(types) || (int64_t)json_array_size(types) != c->sizes.layers)
    return lsp__source_refuse(s, "layer_types", types,
                              "a list of %lld (num_hidden_layers)",
                              (long long)c->sizes.layers);
  if (kind->sight == DECODER_TOP && !used)
    window = 0;
  for (int64_t i = 0; i < c->sizes.layers; i++)
    LSP_TRY(apply_type(s, kind, i, window, c));
  return LSP_OK;
}

/* --- all of it ------------------------------------------------------------------- */

static lsp_status make_tables(const lsp_source *s, decoder_config *c) {
  const size_t layers = (size_t)c->sizes.layers;
  c->window = calloc(layers, sizeof *c->window);
  c->turned = calloc(layers, sizeof *c->turned);
  c->frequency = calloc((size_t)c->head_width / 2, sizeof *c->frequency);
  if (c->window == NULL || c->turned == NULL || c->frequency == NULL)
    return lsp_fail(s->why, LSP_E_MEMORY, "%s: no memory for its layers", s->path);
  return LSP_OK;
}

lsp_status lsp__decoder_config(const lsp_source *s, const decoder_kind *kind,
                               decoder_config *c) {
  c->trained = kind->trained;
  c->rope.theta = kind->theta;
  LSP_TRY(lsp__library_check(s));
  LSP_TRY(read_sizes(s, c));
  LSP_TRY(read_heads(s, kind, c));
  LSP_TRY(read_switches(s, kind, c));
  LSP_TRY(lsp__rope_read(s, c->trained, &c->rope));
  LSP_TRY(make_tables(s, c));
  LSP_TRY(read_turned(s, kind, c));
  LSP_TRY(read_windows(s, kind, c));
  lsp__rope_frequencies(&c->rope, (int)c->head_width, c->frequency);
  return LSP_OK;
}

/* --- the hash -------------------------------------------------------------------- */

/* The same whatever the dialect, and without what decides no number. */
lsp_status lsp__decoder_hash(const lsp_source *s, const decoder_config *c,
                             unsigned char hash[16]) {
  const lsp_library_sizes *z = &c->sizes;
  json_t *windows = json_array(), *turned = json_array();
  for (int64_t i = 0; i < z->layers; i++) {
    (void)json_array_append_new(windows, json_integer(c->window[i]));
    (void)json_array_append_new(turned, json_boolean(c->turned[i]));
  }
  json_t *all = json_pack(
      "{s:[I,I,I,I,I,I,I], s:f, s:[i,b,b,b,b,b], s:o, s:o, s:o}", "sizes",
      (json_int_t)z->words, (json_int_t)z->width, (json_int_t)z->layers,
      (json_int_t)z->heads, (json_int_t)c->shared, (json_int_t)c->head_width,
      (json_int_t)c->inner, "norm_eps", c->norm_eps, "switches", (int)c->activation,
      c->qkv_bias, c->output_bias, c->feed_bias, c->head_norms, c->tied, "rope",
      lsp__rope_json(&c->rope), "windows", windows, "turned", turned);
  const lsp_status st = lsp__source_hash(s, all, hash);
  json_decref(all);
  return st;
}
