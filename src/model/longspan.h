/* The family longspan: a general decoder, whose config.json says what each layer is.
 * Internal to the family.
 *
 * One table a kind of value gives the fields, their ranges and the list of known keys. */
#ifndef LSP_LONGSPAN_H
#define LSP_LONGSPAN_H

#include "family.h"
#include "source.h"

#include <float.h>

enum { SPAN_WIDTH_MAX = 1 << 20, SPAN_INNER_MAX = 1 << 24 };

/* Positions that a pattern may look back at most: sums of two are exact. */
#define SPAN_WINDOW_MAX ((int64_t)1 << 40)

/* key, lowest, highest, required; 0: not given (no key takes 0 for something else) */
#define SPAN_INTS(X)                                                                   \
  X(vocab_size, 1, INT32_MAX, 1)                                                       \
  X(hidden_size, 1, SPAN_WIDTH_MAX, 1)                                                 \
  X(num_hidden_layers, 1, 4096, 1)                                                     \
  X(num_attention_heads, 1, 4096, 1)                                                   \
  X(num_key_value_heads, 1, 4096, 0)                                                   \
  X(head_dim, 1, 4096, 0)                                                              \
  X(intermediate_size, 1, SPAN_INNER_MAX, 1)                                           \
  X(rotary_width, 1, 4096, 0)                                                          \
  X(max_position, 1, INT32_MAX, 0)                                                     \
  X(clamp_len, 0, (int64_t)1 << 53, 0)

/* key, lowest, highest, default; 0 is "none" or "not given" */
#define SPAN_REALS(X)                                                                  \
  X(norm_eps, (double)FLT_MIN, 1, 1e-5)                                                \
  X(rotary_theta, 1, 1e30, 10000)                                                      \
  X(attention_scale, (double)FLT_MIN, 1e30, 0)                                         \
  X(score_cap, 0, 1e30, 0)                                                             \
  X(logit_cap, 0, 1e30, 0)                                                             \
  X(embedding_scale, (double)FLT_MIN, 1e30, 1)

/* key, default */
#define SPAN_SWITCHES(X)                                                               \
  X(causal, 1)                                                                         \
  X(norm_bias, 1)                                                                      \
  X(query_key_norm, 0)                                                                 \
  X(attention_bias, 0)                                                                 \
  X(output_bias, 0)                                                                    \
  X(feed_bias, 0)                                                                      \
  X(gated, 1)                                                                          \
  X(tie_word_embeddings, 1)                                                            \
  X(head_bias, 0)

/* key, default, words: a word's value is its number in the list */
#define SPAN_WORDS(X)                                                                  \
  X(tokenizer, SPAN_IDS, "bytes")                                                      \
  X(norm, SPAN_RMS, "layer", "rms")                                                    \
  X(norm_place, SPAN_PRE, "pre", "post", "both")                                       \
  X(position, SPAN_ROTARY, "relative", "rotary", "learned", "alibi", "none")           \
  X(rotary_pairs, SPAN_HALF, "half", "adjacent")                                       \
  X(activation, SPAN_SILU, "relu", "gelu", "gelu_tanh", "silu")

enum { SPAN_IDS = -1, SPAN_BYTES };
enum { SPAN_LAYER, SPAN_RMS };
enum { SPAN_PRE, SPAN_POST, SPAN_BOTH };
enum { SPAN_RELATIVE, SPAN_ROTARY, SPAN_LEARNED, SPAN_ALIBI, SPAN_NONE };
enum { SPAN_HALF, SPAN_ADJACENT };
enum { SPAN_RELU, SPAN_GELU, SPAN_GELU_TANH, SPAN_SILU };

/* Numbers of a branch that are a list: windows of the heads, positions of global rows. */
typedef struct span_list span_list;
struct span_list {
  span_list *next;
  int64_t value[];
};

/* config.json, and what the description points into. */
typedef struct {
#define SPAN_FIELD(name, ...) int64_t name;
  SPAN_INTS(SPAN_FIELD)
#undef SPAN_FIELD
#define SPAN_FIELD(name, ...) double name;
  SPAN_REALS(SPAN_FIELD)
#undef SPAN_FIELD
#define SPAN_FIELD(name, ...) int name;
  SPAN_SWITCHES(SPAN_FIELD)
  SPAN_WORDS(SPAN_FIELD)
#undef SPAN_FIELD
  int64_t prefix[LSP_PREFIX_MAX];
  int prefixes;
  span_list *lists;
  double *frequency; /* (rotary_width / 2) */
  float *slope;      /* (H) */
  float *inv_freq;   /* (D / 2) */
} span_config;

/* --- the parts ------------------------------------------------------------------- */

/* All keys but `layers`. */
lsp_status lsp__span_config(const lsp_source *s, span_config *c);

/* Branches and merge of every layer. */
lsp_status lsp__span_layers(const lsp_source *s, span_config *c, lsp_model *model);

/* One branch, an object of a layer's list. Lists of it are owned by the config. */
lsp_status lsp__span_branch(const lsp_source *s, span_config *c, lsp_pattern *p);

/* What the branches of a layer and their merge must be to go together. s: the layer. */
lsp_status lsp__span_together(const lsp_source *s, const span_config *c,
                              const lsp_layer *l);

/* Of that: what memories are beside, at being branch p; and the one that a gate weighs. */
lsp_status lsp__span_memory(const lsp_source *at, const span_config *c,
                            const lsp_layer *l, const lsp_pattern *p);
lsp_status lsp__span_memory_gate(const lsp_source *s, const lsp_layer *l);

/* Branches of a type, and the first one (or NULL). Branches that share a softmax with p,
 * itself included. */
int lsp__span_count(const lsp_layer *l, lsp_pattern_kind kind);
const lsp_pattern *lsp__span_first(const lsp_layer *l, lsp_pattern_kind kind);
int lsp__span_sharing(const lsp_layer *l, const lsp_pattern *p);

/* The memory after the last norm, if there is one. */
lsp_status lsp__span_last(const lsp_source *s, const span_config *c, lsp_model *model);

/* XXH3-128 of the canonical JSON: keys sorted, no spaces, without those that say nothing
 * of the model. */
lsp_status lsp__span_hash(const lsp_source *s, unsigned char hash[16]);

void lsp__span_slots(lsp_model *model, lsp_slots *list);
void lsp__span_ties(lsp_model *model);

#endif
