/* Decoders as Llama shaped them (Touvron et al. 2023): RMS norm before each part, rotary
 * positions, grouped heads, a gated feed-forward. The families that share this differ in a
 * few switches, a row of which (decoder_kind) is a family's own file. Internal to them.
 *
 *   x += O softmax(turn(norm(Q N x)) . turn(norm(K N x))) V N x
 *   x += down(act(gate N x) * up N x)
 *
 * Numbers are those of transformers 4.57.6; config.json may be in the dialect of its
 * version 5 as well. */
#ifndef LSP_DECODER_H
#define LSP_DECODER_H

#include "library.h"
#include "rope.h"

/* Which layers see a window only. */
typedef enum {
  DECODER_FULL,    /* none */
  DECODER_WINDOW,  /* all, where sliding_window is not null, or as layer_types says */
  DECODER_TOP,     /* with use_sliding_window those from max_window_layers on, or as
                      layer_types says */
  DECODER_UNTURNED /* with use_sliding_window those without rotary positions, or as
                      layer_types says */
} decoder_sight;

/* Biases of attention. */
typedef enum {
  DECODER_NO_BIAS,
  DECODER_BIAS,        /* of queries, keys and values */
  DECODER_BIAS_BY_KEY, /* with attention_bias of these and of the output */
} decoder_biases;

/* What sets a family apart. */
typedef struct {
  decoder_biases biases;
  int feed_biases; /* mlp_bias is a key */
  int head_norms; /* queries and keys are normed head by head, before they are turned */
  decoder_sight sight;
  int unturned; /* no_rope_layers is a key */
  /* What missing keys stand for. */
  int64_t shared;     /* num_key_value_heads; 0: as many as heads */
  int64_t head_width; /* head_dim; 0: hidden_size / num_attention_heads */
  int64_t trained;    /* max_position_embeddings */
  int64_t window;     /* sliding_window; 0: none */
  double theta;       /* rope_theta */
  int tied;           /* tie_word_embeddings */
} decoder_kind;

/* A config.json, and what the description points into. */
typedef struct {
  lsp_library_sizes sizes;
  int64_t shared, head_width, inner, trained; /* G, E, F */
  double norm_eps;
  lsp_activation activation;
  int qkv_bias, output_bias, feed_bias, head_norms, tied;
  lsp_rope rope;
  int64_t *window;   /* (L) 0: every position before */
  int *turned;       /* (L) has rotary positions */
  double *frequency; /* (E / 2) */
} decoder_config;

/* Functions of lsp_family. */
lsp_status lsp__decoder_describe(const json_t *config, const char *path,
                                 const lsp_choices *choices, lsp_model *model,
                                 lsp_failure *why);
void lsp__decoder_slots(lsp_model *model, lsp_slots *list);
void lsp__decoder_ties(lsp_model *model);
void lsp__decoder_release(lsp_model *model);
int lsp__decoder_ignores(const char *name);

/* A row of the table of families: a decoder with these switches. */
#define DECODER_FAMILY(type, switches)                                                 \
  {                                                                                    \
    .model_type = (type), .describe = lsp__decoder_describe,                           \
    .slots = lsp__decoder_slots, .ties = lsp__decoder_ties,                            \
    .release = lsp__decoder_release, .ignores = lsp__decoder_ignores,                  \
    .kind = &(switches)                                                                \
  }

/* Reads config.json; c is all zeros, and its tables are freed by release. */
lsp_status lsp__decoder_config(const lsp_source *s, const decoder_kind *kind,
                               decoder_config *c);

/* XXH3-128 of what decides numbers. */
lsp_status lsp__decoder_hash(const lsp_source *s, const decoder_config *c,
                             unsigned char hash[16]);

#endif
