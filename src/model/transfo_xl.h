/* Transformer-XL (Dai et al. 2019, arXiv:1901.02860), as Hugging Face `transfo-xl`
 * checkpoints hold it. Internal to the family.
 *
 * D model width, H heads, E head width, F feed-forward width, e[i] width of the
 * embeddings of cluster i (D_embed / div_val^i). */
#ifndef LSP_TXL_H
#define LSP_TXL_H

#include "family.h"

enum { TXL_CLUSTERS_MAX = 1024 };

typedef struct {
  int64_t vocab_size;
  int d_model, d_embed, n_head, d_head, d_inner, n_layer, div_val;
  int64_t mem_len, clamp_len, tgt_len; /* tgt_len 0: not given; clamp_len <= 0: none */
  int pre_lnorm, same_length, untie_r, tie_word_embeddings;
  double layer_norm_epsilon;
  int bytes_tokenizer; /* "tokenizer": "bytes" */
  /* Cluster i holds ids cut[i] .. cut[i + 1] - 1; cluster 0 is the shortlist. */
  int clusters;
  int64_t cut[TXL_CLUSTERS_MAX + 1];
  int tie_proj[TXL_CLUSTERS_MAX]; /* output projection i is an embedding's */
} txl_config;

/* Width e[i] of the embeddings of cluster i. */
static inline int lsp__txl_width(const txl_config *c, int i) {
  int width = c->d_embed;
  for (int k = 0; k < i; k++)
    width /= c->div_val;
  return width;
}

/* Are there projections between embeddings and model? */
static inline int lsp__txl_projected(const txl_config *c) {
  return c->div_val > 1 || c->d_embed != c->d_model;
}

/* Checks config.json. Keys of the architecture are required (their defaults in the
 * library describe another model), under the library's own name or its other one
 * (hidden_size for d_model); switches default as the library's do, and may be numbers or
 * null, as in Python. */
lsp_status lsp__txl_config(const json_t *json, const char *path, txl_config *config,
                           lsp_failure *why);

/* XXH3-128 over what the configuration makes of the weights: the same tensors under
 * another epsilon, another order of the norms or other clusters are another model. Left
 * out are mem_len, clamp_len, tgt_len and same_length, which are facts of their own. */
void lsp__txl_config_hash(const txl_config *c, unsigned char out[16]);

/* Tensors and ties; model->own is a txl_config. */
void lsp__txl_slots(lsp_model *model, lsp_slots *list);
void lsp__txl_ties(lsp_model *model);

#endif
