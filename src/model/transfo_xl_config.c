/* config.json of a transfo-xl checkpoint. */
#include "transfo_xl.h"

#define XXH_INLINE_ALL
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum { WIDTH_MAX = 1 << 20 };

typedef struct {
  const json_t *json;
  const char *path;
  lsp_failure *why;
} source;

/* Some keys have a second name, which wins in the library where both are there. */
static const char *name_of(const source *s, const char *key) {
  static const char *const names[][2] = {{"vocab_size", "n_token"},
                                         {"d_model", "hidden_size"},
                                         {"n_head", "num_attention_heads"},
                                         {"n_layer", "num_hidden_layers"}};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const json_t *other = json_object_get(s->json, names[i][1]);
    if (strcmp(key, names[i][0]) == 0 && other != NULL && !json_is_null(other))
      return names[i][1];
  }
  return key;
}

static lsp_status read_int(const source *s, const char *key, int required, int64_t low,
                           int64_t high, int *value) {
  int64_t wide = *value;
  LSP_TRY(lsp_json_int(s->json, s->path, name_of(s, key), required, low, high, &wide,
                       s->why));
  *value = (int)wide;
  return LSP_OK;
}

static lsp_status read_sizes(const source *s, txl_config *c) {
  LSP_TRY(lsp_json_int(s->json, s->path, name_of(s, "vocab_size"), 1, 1, INT32_MAX,
                       &c->vocab_size, s->why));
  LSP_TRY(read_int(s, "d_model", 1, 2, WIDTH_MAX, &c->d_model));
  LSP_TRY(read_int(s, "d_embed", 1, 1, WIDTH_MAX, &c->d_embed));
  LSP_TRY(read_int(s, "n_head", 1, 1, 4096, &c->n_head));
  LSP_TRY(read_int(s, "d_head", 1, 1, 4096, &c->d_head));
  LSP_TRY(read_int(s, "d_inner", 1, 1, WIDTH_MAX, &c->d_inner));
  LSP_TRY(read_int(s, "n_layer", 1, 1, 4096, &c->n_layer));
  LSP_TRY(read_int(s, "div_val", 1, 1, 1024, &c->div_val));
  LSP_TRY(
      lsp_json_int(s->json, s->path, "mem_len", 1, 0, 1 << 24, &c->mem_len, s->why));
  LSP_TRY(lsp_json_int(s->json, s->path, "clamp_len", 1, INT64_MIN, (int64_t)1 << 53,
                       &c->clamp_len, s->why));
  LSP_TRY(
      lsp_json_int(s->json, s->path, "tgt_len", 0, 0, 1 << 24, &c->tgt_len, s->why));
  if (c->d_model % 2 != 0)
    return lsp_fail(s->why, LSP_E_FORMAT,
                    "%s: d_model is %d; the sinusoids need an even width", s->path,
                    c->d_model);
  return LSP_OK;
}

static lsp_status read_switches(const source *s, txl_config *c) {
  c->same_length = c->untie_r = c->tie_word_embeddings = 1;
  c->layer_norm_epsilon = 1e-5;
  LSP_TRY(lsp_json_bool(s->json, s->path, "pre_lnorm", &c->pre_lnorm, s->why));
  LSP_TRY(lsp_json_bool(s->json, s->path, "same_length", &c->same_length, s->why));
  LSP_TRY(lsp_json_bool(s->json, s->path, "untie_r", &c->untie_r, s->why));
  LSP_TRY(lsp_json_bool(s->json, s->path, "tie_word_embeddings",
                        &c->tie_word_embeddings, s->why));
  LSP_TRY(lsp_json_double(s->json, s->path, "layer_norm_epsilon", 0, 0, 1,
                          &c->layer_norm_epsilon, s->why));
  int attn_type = 0;
  LSP_TRY(read_int(s, "attn_type", 0, 0, 3, &attn_type));
  if (attn_type != 0)
    return lsp_fail(s->why, LSP_E_FORMAT,
                    "%s: attn_type is %d; only 0, relative positions, is known",
                    s->path, attn_type);
  return LSP_OK;
}

static lsp_status read_clusters(const source *s, txl_config *c) {
  int64_t cut[TXL_CLUSTERS_MAX];
  int cuts = 0;
  LSP_TRY(lsp_json_ints(s->json, s->path, "cutoffs", 1, 1, c->vocab_size - 1, cut,
                        TXL_CLUSTERS_MAX - 1, &cuts, s->why));
  c->cut[0] = 0;
  for (int i = 0; i < cuts; i++) {
    if (cut[i] <= c->cut[i])
      return lsp_fail(s->why, LSP_E_FORMAT,
                      "%s: cutoffs must rise; number %d is %lld after %lld", s->path,
                      i + 1, (long long)cut[i], (long long)c->cut[i]);
    c->cut[i + 1] = cut[i];
  }
  c->clusters = cuts + 1;
  c->cut[c->clusters] = c->vocab_size;
  int width = c->d_embed;
  for (int i = 0; i < c->clusters; i++, width /= c->div_val)
    if (width < 1)
      return lsp_fail(s->why, LSP_E_FORMAT,
                      "%s: d_embed %d / div_val %d ^ %d leaves no width for cluster %d",
                      s->path, c->d_embed, c->div_val, i, i);
  return LSP_OK;
}

/* The library writes `tie_projs`, one truth value a cluster, and it wins when it is
 * there, null or short, too: what it does not name is not tied.
 * `proj_share_all_but_first` is what it is made from where it is not there. */
static lsp_status read_ties(const source *s, txl_config *c) {
  int share = 1;
  LSP_TRY(lsp_json_bool(s->json, s->path, "proj_share_all_but_first", &share, s->why));
  for (int i = 0; i < c->clusters; i++)
    c->tie_proj[i] = share && i > 0;
  const json_t *list = json_object_get(s->json, "tie_projs");
  if (list == NULL)
    return LSP_OK;
  if (!json_is_array(list) && !json_is_null(list))
    return lsp_fail(s->why, LSP_E_FORMAT,
                    "%s: tie_projs must be a list of truth values, or null", s->path);
  for (int i = 0; i < c->clusters; i++) {
    const int tied = lsp_json_truth(json_array_get(list, (size_t)i));
    if (tied < 0)
      return lsp_fail(s->why, LSP_E_FORMAT, "%s: tie_projs[%d] is not true or false",
                      s->path, i);
    c->tie_proj[i] = tied;
  }
  return LSP_OK;
}

static lsp_status read_tokenizer(const source *s, txl_config *c) {
  const json_t *t = json_object_get(s->json, "tokenizer");
  if (t == NULL || json_is_null(t))
    return LSP_OK;
  if (!json_is_string(t) || strcmp(json_string_value(t), "bytes") != 0)
    return lsp_fail(s->why, LSP_E_FORMAT,
                    "%s: tokenizer is not \"bytes\", the only one known; give token "
                    "files (--input-format) and leave the key out",
                    s->path);
  if (c->vocab_size != 256)
    return lsp_fail(s->why, LSP_E_FORMAT,
                    "%s: tokenizer \"bytes\" needs vocab_size 256, not %lld", s->path,
                    (long long)c->vocab_size);
  c->bytes_tokenizer = 1;
  return LSP_OK;
}

lsp_status lsp__txl_config(const json_t *json, const char *path, txl_config *c,
                           lsp_failure *why) {
  const source s = {json, path, why};
  memset(c, 0, sizeof *c);
  LSP_TRY(read_sizes(&s, c));
  LSP_TRY(read_switches(&s, c));
  LSP_TRY(read_clusters(&s, c));
  LSP_TRY(read_ties(&s, c));
  return read_tokenizer(&s, c);
}

void lsp__txl_config_hash(const txl_config *c, unsigned char out[16]) {
  const int64_t number[] = {c->vocab_size,     c->d_model,  c->d_embed,
                            c->n_head,         c->d_head,   c->d_inner,
                            c->n_layer,        c->div_val,  c->pre_lnorm,
                            c->untie_r,        c->clusters, c->tie_word_embeddings,
                            c->bytes_tokenizer};
  XXH128_canonical_t canonical;
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  (void)XXH3_128bits_reset(&state);
  (void)XXH3_128bits_update(&state, number, sizeof number);
  (void)XXH3_128bits_update(&state, &c->layer_norm_epsilon,
                            sizeof c->layer_norm_epsilon);
  for (int i = 0; i < c->clusters; i++) {
    const int64_t cluster[] = {c->cut[i + 1], c->tie_proj[i]};
    (void)XXH3_128bits_update(&state, cluster, sizeof cluster);
  }
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
  memcpy(out, canonical.digest, sizeof canonical.digest);
}
