/* The description of a model: what each layer does, as numbers and views of weights. A
 * family (one file in src/model/, one row of its table) fills it from config.json; the
 * rest of the program reads it, and knows no family.
 *
 *   x = embedding                                          D model width
 *   pre    x += A(N x);  x += F(N x)                       L layers
 *   post   x = N(x + A(x));  x = N(x + F(x))               H, G query and key heads
 *   both   x += P(A(N x));  x += P(F(N x))                 E head width, F feed-forward
 *   A      queries, keys, values; branches; output         V vocabulary
 *   F      down(act(up)), or down(act(gate) * up)
 *
 * Matrices are row-major, rows being output features: y = x W^T + b. Weights lie in one
 * block of floats, which the caller lends; the description owns its tables. Local. */
#ifndef LSP_MODEL_H
#define LSP_MODEL_H

#include "lsp/context.h"
#include "lsp/kernels.h"
#include "lsp/pattern.h"
#include "lsp/recall.h"
#include "lsp/status.h"

#include <stdint.h>

enum {
  LSP_BRANCHES_MAX = 8,
  LSP_PREFIX_MAX = 32,
  LSP_FACTS_MAX = 12,
  LSP_FACT_KEY = 48,
  LSP_FACT_SIZE = LSP_RECALL_SIZE
};

/* How the elements of a matrix are stored: row-major, or in the order of lsp/packing.h. */
typedef enum { LSP_STORED_F32, LSP_STORED_PACKED } lsp_storage;

typedef struct {
  const float *data; /* (rows, cols), lent */
  int64_t rows, cols;
  lsp_storage storage;
} lsp_matrix;

typedef struct {
  lsp_matrix matrix;
  const float *bias; /* (rows) or NULL */
} lsp_linear;

typedef enum { LSP_NORM_NONE, LSP_NORM_LAYER, LSP_NORM_RMS } lsp_norm_kind;

typedef struct {
  lsp_norm_kind kind;
  float eps;
  const float *gain, *bias; /* (width); RMS has no bias */
} lsp_norm;

typedef enum { LSP_PLACE_PRE, LSP_PLACE_POST, LSP_PLACE_BOTH } lsp_norm_place;

typedef struct {
  int query;  /* H */
  int shared; /* G heads of keys and values; query head h reads h / (H / G) */
  int width;  /* E */
} lsp_heads;

/* Where positions enter attention. Learned positions are added to the embedding. */
typedef enum {
  LSP_POSITION_NONE,
  LSP_POSITION_RELATIVE, /* Transformer-XL, section 3.3 */
  LSP_POSITION_ROTARY,   /* Su et al. 2021 */
  LSP_POSITION_ALIBI     /* Press et al. 2021 */
} lsp_position_kind;

typedef struct {
  lsp_position_kind kind;
  /* relative: (q + u) k + (q + v) R r_t; distances from `clamp` on are alike (0: none) */
  lsp_matrix relative; /* (H E, D) */
  const float *u, *v;  /* (H, E) */
  int64_t clamp;
  /* rotary: the first `rotated` components of a head, pair i being (i, i + rotated / 2),
   * turned by position * frequency[i]. (Pairs that a checkpoint keeps side by side are
   * put so when it is read: no score notices.) */
  int rotated;
  const double *frequency; /* (rotated / 2), owned by the model */
  const float *slope;      /* ALiBi: (H), owned by the model */
} lsp_position;

/* What becomes of several branches. */
typedef enum {
  LSP_MERGE_SOFTMAX, /* one softmax over all that they see, each key once */
  LSP_MERGE_GATE,    /* their results weighted by softmax over branches of gate[b, h] */
  LSP_MERGE_SUM,     /* their results added */
  LSP_MERGE_INPUT, /* their results weighted by sigmoid(W x), x what enters attention */
  LSP_MERGE_CONCAT, /* their results side by side: the output has branches H E columns */
  LSP_MERGE_MEMORY /* one softmax over the branches that are no memory (view 0), and the
                       one that is (view 1: learned, store, compressive), weighted by
                       1 - g and g, g = sigmoid(memory_gate[h]) */
} lsp_merge;

/* Rows that stand for several of a layer: means, by level (lsp_level_unit). */
typedef struct {
  int64_t unit; /* positions that a row averages */
  int pool;     /* rows of the stratum below that it averages */
  int below;    /* which stratum of the layer that is; -1: keys and values themselves */
  int64_t reach; /* rows before a position that are needed to continue from there;
                    LSP_REACH_ALL */
  int routing; /* blocks are chosen by it: beside the mean key stands not the mean value
                    but the mean query of each group of heads */
  int plain;   /* it averages keys and values that are not normed by head yet; its keys
                  are, once a row is whole */
  int convolved; /* sums of lsp_layer.compress instead of means (plain is set, too) */
} lsp_stratum;

enum { LSP_STRATA_MAX = LSP_LEVELS_MAX + 2 };

typedef struct {
  lsp_norm_place place;
  lsp_norm attention_norm, attention_post; /* `post` only with LSP_PLACE_BOTH */
  lsp_heads heads;
  lsp_linear qkv;                /* ((H + 2 G) E, D): queries, keys, values */
  lsp_norm query_norm, key_norm; /* over E, RMS or none */
  float scale, score_cap;        /* of scores; cap 0: none */
  lsp_position position;
  lsp_pattern branch[LSP_BRANCHES_MAX];
  int branches;
  lsp_merge merge;
  const float *gate;     /* (branches, H) */
  lsp_matrix input_gate; /* (branches H, D) with LSP_MERGE_INPUT, row b H + h */
  lsp_linear global;     /* ((H + 2 G) E, D): queries, keys, values of global rows that
                            have weights of their own; rows 0: none */
  const float *memory_gate; /* (H) with LSP_MERGE_MEMORY */
  int gate_others;          /* 1: g weighs the others, 1 - g the memory */
  int gate_skips; /* 1: a query whose memory holds nothing yet has the others' result as
                      it is; else weighted, the memory's being 0 */
  const float *memory_keys, *memory_values; /* (G, M, E) of learned slots */
  const float *store_scale;                 /* (H) of a store that compares by cosine */
  lsp_matrix compress; /* (D, c D) convolution of a compressed past: column j D + d is
                               of row j of the unit; rows 0: there is none */
  const float *compress_bias; /* (D) */
  const float *span;          /* (H) dynamic: learned spans as parts of the window */
  int64_t *span_windows;      /* (H) owned: what dynamic's `windows` points to */
  lsp_linear output;          /* (D, H E) */
  lsp_norm feed_norm, feed_post;
  lsp_linear up; /* (F, D); gated: (2 F, D), the gate's rows first */
  int inner;     /* F */
  int gated;
  lsp_activation activation;
  lsp_linear down; /* (D, F) */
} lsp_layer;

/* Ids cut[i] .. cut[i + 1] - 1 of an adaptive embedding and softmax (Grave et al. 2017).
 * An ordinary vocabulary is one cluster. */
typedef struct {
  int64_t rows;
  int width;             /* e */
  const float *embed;    /* (rows, e) */
  const float *in_proj;  /* (D, e); NULL: none */
  const float *out;      /* (rows, e) */
  const float *out_bias; /* (rows) or NULL */
  const float *out_proj; /* (D, e), applied as hidden * out_proj; NULL: none */
} lsp_cluster;

typedef struct {
  int64_t size; /* V */
  int clusters;
  int64_t *cut;                /* (clusters + 1), owned */
  lsp_cluster *cluster;        /* (clusters), owned */
  const float *cluster_weight; /* (clusters - 1, e[0]): columns of the head beyond the
                                  shortlist */
  const float *cluster_bias;   /* (clusters - 1) */
  int widest;                  /* widest e */
  int projected;               /* there are in_proj and out_proj */
  lsp_storage storage; /* of out of cluster 0, with it of an embedding that is the
                                  same, and of cluster_weight */
} lsp_vocabulary;

/* A memory around the whole model: a document is read in segments, each a frame. */
typedef enum {
  LSP_WRAP_NONE,
  LSP_WRAP_INPUT,       /* rows before a segment are read again with it */
  LSP_WRAP_ASSOCIATIVE, /* Rodkin et al. 2024 (ARMT): a matrix a layer, written by memory
                           tokens behind a segment, read by its rows before the layer */
  LSP_WRAP_TOKENS /* Bulatov et al. 2022 (RMT): memory tokens before and behind a segment;
                     what becomes of the latter are the former of the next */
} lsp_wrap_kind;

typedef struct {
  lsp_matrix query, key;  /* (width, D) */
  lsp_matrix value;       /* (D, D) */
  const float *beta;      /* (D) */
  const float *beta_bias; /* (1) */
} lsp_associative;

typedef struct {
  lsp_wrap_kind kind;
  int64_t segment;        /* tokens */
  int64_t rows;           /* input: read again; else memory tokens */
  int width, nu;          /* associative: of keys before phi (DPFP-nu) */
  const float *tokens;    /* (rows, D); input: NULL */
  lsp_associative *layer; /* (L) owned; associative only */
} lsp_wrapper;

/* A learned memory after the last norm: y = w values, w = softmax(scale h keys) or, plain,
 * scale h keys. */
typedef enum {
  LSP_LAST_ADD,     /* h + y */
  LSP_LAST_GATE,    /* (1 - s) h + s y, s = sigmoid(gate) for each feature */
  LSP_LAST_PROJECT, /* W [h; y] */
  LSP_LAST_CONCAT   /* the head reads [h; y]: it has 2 D columns; hidden rows stay h */
} lsp_last_merge;

typedef struct {
  int64_t slots; /* 0: there is none */
  lsp_normalize normalize;
  lsp_last_merge merge;
  float scale;
  const float *keys, *values; /* (slots, D) */
  const float *gate;          /* (D) */
  lsp_matrix project;         /* (D, 2 D) */
} lsp_last_memory;

/* Something of a model that decides results and is recorded with them. */
typedef struct {
  char key[LSP_FACT_KEY], value[LSP_FACT_SIZE];
} lsp_fact;

typedef struct lsp_family lsp_family;

typedef struct {
  const lsp_family *family;
  int width;  /* D */
  int layers; /* L */
  lsp_layer *layer;
  lsp_vocabulary words;
  float embed_scale;
  const float *positions; /* (positions_most, D) learned; NULL: none */
  int64_t positions_most; /* rows of a frame that the model has positions for; 0: any */
  int64_t trained;        /* rows of a frame that it was trained for; 0: not known */
  lsp_norm last_norm;
  lsp_last_memory last;
  lsp_wrapper wrapper;
  float logit_cap;       /* 0: none */
  const float *inv_freq; /* (D / 2) of relative positions, or NULL */
  float *given_gate;     /* (heads) owned: memory_gate of layers that --store gives a
                            store; NULL: none */
  int bytes_tokenizer;   /* a token is a byte */
  int32_t prefix[LSP_PREFIX_MAX];
  int two_sided;      /* a row sees those after it, and predicts its own token */
  int prefixes;       /* rows before every document */
  const char *no_bos; /* why no option may change them; NULL: one may */
  int64_t segment;    /* what --snapshot-every counts in; 1 without recurrence */
  lsp_fact fact[LSP_FACTS_MAX];
  int facts;
  void *own; /* the family's */
} lsp_model;

/* What options change of a configuration; negative: nothing. mem_init: an lsp_mem_init. */
typedef struct {
  int64_t mem_len, segment, mem_init;
  lsp_context context;
  lsp_recall recall;
} lsp_choices;

/* Local. The text of DIR/config.json (at most 1 MiB), which the caller frees: what ranks
 * send each other. */
lsp_status lsp_model_text(const char *dir, char **text, lsp_failure *why);

/* Local. The description, without weights: the same on every rank that has the text. dir
 * is for messages. LSP_E_FORMAT names key, value and what is allowed; LSP_E_USAGE: an
 * option asks for what the model does not have. lsp_model_close after a failure, too. */
lsp_status lsp_model_describe(const char *dir, const char *text,
                              const lsp_choices *choices, lsp_model *model,
                              lsp_failure *why);
void lsp_model_close(lsp_model *model);

/* Local. Its model_type. */
const char *lsp_model_type(const lsp_model *model);

/* Local. Floats of the block that holds all weights. */
int64_t lsp_model_floats(const lsp_model *model);

/* Local. Trained parameters; a tensor that is tied to another counts once. */
int64_t lsp_model_parameters(const lsp_model *model);

/* Local. Deals the views into a block, which may be filled later and is lent for the
 * life of the model. */
void lsp_model_place(lsp_model *model, const float *block);

/* Local; one rank a node (or one in all). Reads the checkpoint's tensors into the block,
 * as float32. Refuses missing, misshapen and unexpected tensors by name; tensors that
 * config.json ties must be equal. hash: XXH3-128 of the checkpoint. */
lsp_status lsp_model_read(const char *dir, const lsp_model *model, float *block,
                          unsigned char hash[16], lsp_failure *why);

/* Local. After the weights are there: what they say of the windows (dynamic). */
void lsp_model_settle(lsp_model *model);

/* Rows back over which a head of a dynamic branch looks at full weight. */
float lsp_layer_span(const lsp_layer *layer, const lsp_pattern *p, int head);

/* What the rows of the head are wide: D, or 2 D beside a memory. */
int64_t lsp_model_head_width(const lsp_model *model);

/* The cluster that holds an id. */
int lsp_cluster_of(const lsp_vocabulary *words, int64_t id);

/* What a layer's softmaxes (or sums) look at: one view of all branches merged into one
 * softmax, else one a branch. At most LSP_BRANCHES_MAX. */
int lsp_layer_views(const lsp_layer *layer, lsp_view view[LSP_BRANCHES_MAX]);

/* Rows before a position that a layer needs to continue from there; LSP_REACH_ALL. */
int64_t lsp_layer_reach(const lsp_layer *layer);

/* The same of its runs alone: what every query may look at, without picked blocks. */
int64_t lsp_layer_near(const lsp_layer *layer);

/* Rows after a position that a layer looks ahead to; LSP_REACH_ALL. 0: it is causal. */
int64_t lsp_layer_ahead(const lsp_layer *layer);

/* The branch that picks blocks by content (chosen or selected), or NULL. */
const lsp_pattern *lsp_layer_chooser(const lsp_layer *layer);

/* The branch of learned slots, or NULL. */
const lsp_pattern *lsp_layer_slots(const lsp_layer *layer);

/* 1 if queries look at blocks one by one (random, chosen, selected). */
int lsp_layer_picks(const lsp_layer *layer);

/* The strata of a layer, each after the one below it; returns how many. Those of levels or
 * compressed come first, in order of their level; then that of routing. */
int lsp_layer_strata(const lsp_layer *layer, lsp_stratum stratum[LSP_STRATA_MAX]);

/* Fixed rows at the beginning of a document that a layer needs throughout. */
int64_t lsp_layer_fixed(const lsp_layer *layer);

/* Multiply-adds times two that a token takes outside the attention over keys, head
 * included: what the useful work is counted by. */
double lsp_model_flops_per_token(const lsp_model *model);

/* Of these, those of a token that is read again and predicts nothing: its layers'. */
double lsp_model_flops_of_layers(const lsp_model *model);

/* The same of positions [first, end) of a document for the pairs of all layers. */
double lsp_model_flops_of_pairs(const lsp_model *model, int64_t first, int64_t end);

#endif
