/* Transformer-XL (Dai et al. 2019, arXiv:1901.02860), as Hugging Face `transfo-xl`
 * checkpoints hold it: configuration, and weights as views into one block of floats.
 *
 * D model width, H heads, E head width, F feed-forward width, L layers, V vocabulary,
 * e[i] width of the embeddings of cluster i (D_embed / div_val^i). Rows are output
 * features, as stored. */
#ifndef LSP_TRANSFO_XL_H
#define LSP_TRANSFO_XL_H

#include "lsp/status.h"

#include <stdint.h>

enum { LSP_TXL_CLUSTERS_MAX = 1024 };

/* Plain data: can be sent to other ranks as bytes. */
typedef struct {
  int64_t vocab_size;
  int d_model, d_embed, n_head, d_head, d_inner, n_layer, div_val;
  int64_t mem_len, clamp_len, tgt_len; /* tgt_len 0: not given; clamp_len <= 0: none */
  int pre_lnorm, same_length, untie_r, tie_word_embeddings;
  double layer_norm_epsilon;
  int bytes_tokenizer; /* "tokenizer": "bytes" */
  /* Cluster i holds ids cut[i] .. cut[i + 1] - 1; cluster 0 is the shortlist. */
  int clusters;
  int64_t cut[LSP_TXL_CLUSTERS_MAX + 1];
  int tie_proj[LSP_TXL_CLUSTERS_MAX]; /* output projection i is an embedding's */
} lsp_txl_config;

typedef struct {
  const float *qkv;                     /* (3 H E, D) queries, keys, values */
  const float *r;                       /* (H E, D) of the relative positions */
  const float *o;                       /* (D, H E) */
  const float *u, *v;                   /* (H, E) r_w_bias, r_r_bias */
  const float *norm1_gain, *norm1_bias; /* (D) */
  const float *ff1, *ff1_bias;          /* (F, D), (F) */
  const float *ff2, *ff2_bias;          /* (D, F), (D) */
  const float *norm2_gain, *norm2_bias; /* (D) */
} lsp_txl_layer;

/* One cluster of the adaptive embedding and softmax. */
typedef struct {
  int64_t rows;          /* ids in it */
  int width;             /* e[i] */
  const float *embed;    /* (rows, e) */
  const float *in_proj;  /* (D, e); NULL: none */
  const float *out;      /* (rows, e) */
  const float *out_bias; /* (rows) */
  const float *out_proj; /* (D, e), applied as hidden * out_proj; NULL: none */
} lsp_txl_cluster;

typedef struct {
  lsp_txl_config config;
  lsp_txl_layer *layer; /* (L) */
  lsp_txl_cluster cluster[LSP_TXL_CLUSTERS_MAX];
  const float *cluster_weight; /* (clusters - 1, e[0]): columns of the head beyond the
                                  shortlist */
  const float *cluster_bias;   /* (clusters - 1) */
  const float *inv_freq;       /* (D / 2) */
} lsp_txl;

/* Width e[i] of the embeddings of cluster i. */
static inline int lsp_txl_width(const lsp_txl_config *c, int i) {
  int width = c->d_embed;
  for (int k = 0; k < i; k++)
    width /= c->div_val;
  return width;
}

/* Cluster that holds an id. */
static inline int lsp_txl_cluster_of(const lsp_txl_config *c, int64_t id) {
  int low = 0, high = c->clusters;
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    if (id >= c->cut[middle])
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* Local. Reads and checks DIR/config.json. Keys of the architecture are required (their
 * defaults in the library describe another model), under the library's own name or its
 * other one (hidden_size for d_model); switches default as the library's do, and may be
 * numbers or null, as in Python. */
lsp_status lsp_txl_config_read(const char *dir, lsp_txl_config *config,
                               lsp_failure *why);

/* XXH3-128 over what the configuration makes of the weights: the same tensors under
 * another epsilon, another order of the norms or other clusters are another model. Left
 * out are mem_len, clamp_len, tgt_len and same_length, which a run records as it uses
 * them. */
void lsp_txl_config_hash(const lsp_txl_config *c, unsigned char out[16]);

/* Local. Floats of the block that holds all weights. */
int64_t lsp_txl_floats(const lsp_txl_config *config);

/* Local. Deals views into a block (lent for the life of the model), which may be filled
 * later; with block NULL only sizes are set. lsp_txl_close frees the tables, not the
 * block. */
lsp_status lsp_txl_open(const lsp_txl_config *config, const float *block,
                        lsp_txl *model, lsp_failure *why);
void lsp_txl_close(lsp_txl *model);

/* Local; one rank a node (or one in all). Reads a checkpoint into the block, float32.
 * Refuses missing, misshapen and unexpected tensors by name; tied duplicates must equal
 * what they duplicate. hash: XXH3-128 of the checkpoint. */
lsp_status lsp_txl_read(const char *dir, const lsp_txl_config *config, float *block,
                        unsigned char hash[16], lsp_failure *why);

/* Multiply-adds times two that one token takes outside the attention over keys, head
 * included: what the useful work is counted by. */
double lsp_txl_flops_per_token(const lsp_txl_config *config);
/* The same for one (query, key) pair of one layer: scores, positions, values. */
double lsp_txl_flops_per_pair(const lsp_txl_config *config);

#endif
