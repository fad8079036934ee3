/* An estimate of a run, and the two ways to say it. Internal to cli. */
#ifndef LSP_CLI_ESTIMATE_H
#define LSP_CLI_ESTIMATE_H

#include "lsp/corpus.h"
#include "lsp/model.h"
#include "lsp/plan.h"
#include "lsp/sizes.h"
#include "lsp/status.h"
#include "lsp/tokenizer.h"

#include <stdint.h>

typedef struct {
  const char *model, *input, *like, *context, *store, *scratch, *bos;
  int64_t special_tokens, tokens, ranks, mem_len, segment, mem_init, input_format,
      wave_tokens, memory, threads, rate, format;
} plan_options;

/* What attention executes in one layer, over all documents. */
typedef struct {
  double flops; /* of useful pairs */
  double
      visits; /* products of a block of queries of one head with a tile; negative: not
                    counted */
} plan_work;

typedef struct {
  const plan_options *options;
  lsp_context context;
  char store[LSP_RECALL_SIZE]; /* as it is recorded; "": none is given */
  lsp_model model;
  float *spans;             /* what heads have learned of their windows, or NULL */
  lsp_layer_sizes *layer;   /* (layers) */
  lsp_tokenizer *tokenizer; /* NULL: none */
  lsp_corpus *corpus;       /* of the inputs; NULL: one document of --tokens */
  lsp_plan plan;
  lsp_request request;
  double outside;   /* FLOPs outside attention */
  double within;    /* in it, of useful pairs */
  double quadratic; /* of these in layers that look back without end */
  double visits;    /* negative: not counted */
  double rate;      /* FLOP/s that all ranks reach */
  const char *rate_is;
  lsp_sizes sizes;
  lsp_lending lending;
  int64_t wave_tokens; /* of a wave in the midst */
  int64_t least_memory;
} plan_estimate;

/* Local. Work of layer i. */
plan_work lsp_plan_work(const lsp_model *model, int i, const lsp_plan *plan);

/* Bytes of the layers that look back without end, at every position or at means of all:
 * what is kept of them on all ranks, and the most on one. */
typedef struct {
  int layers;
  double all, rank;
} plan_kept;
plan_kept lsp_plan_kept(const plan_estimate *e);

/* Rows of memory tokens in all frames. */
int64_t lsp_plan_memory_tokens(const plan_estimate *e);

/* Bytes of states that are handed along the text, of a snapshot (all within reach, whether
 * a text is as long or not), and of the slot of a run under way. */
typedef struct {
  double states, snapshot, slot;
} plan_disk;
plan_disk lsp_plan_disk(const plan_estimate *e);

/* Local. Both write to standard output. */
void lsp_plan_print(const plan_estimate *e);
lsp_status lsp_plan_print_json(const plan_estimate *e, lsp_failure *why);

/* The parts of a rank's memory: key of the JSON, words, bytes. Rank 0 has all of them. */
typedef struct {
  const char *key, *words;
  int64_t bytes;
} plan_part;
enum { LSP_PLAN_PARTS = 32 };
int lsp_plan_rank_parts(const plan_estimate *e, plan_part part[LSP_PLAN_PARTS]);
int lsp_plan_node_parts(const plan_estimate *e, plan_part part[LSP_PLAN_PARTS]);

/* Names and words of the kinds of loan. */
extern const char *const lsp_plan_kind_key[LSP_LOAN_KINDS];
extern const char *const lsp_plan_kind_words[LSP_LOAN_KINDS];

#endif
