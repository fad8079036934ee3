/* The family transfo-xl: its description. */
#include "transfo_xl.h"

#include "lsp/options.h"

#include <math.h>
#include <stdlib.h>

/* What options change, and whether what comes of it can be run. */
static lsp_status apply(txl_config *c, const lsp_choices *choices, lsp_failure *why) {
  const int64_t trained = c->mem_len;
  if (choices->mem_len >= 0)
    c->mem_len = choices->mem_len;
  if (choices->segment > 0)
    c->tgt_len = choices->segment;
  else if (c->tgt_len == 0)
    c->tgt_len = trained > 0 ? trained : 128;
  const double row = 2.0 * sizeof(float) * c->n_layer * c->n_head * c->d_head;
  if (row * (double)(c->mem_len + c->tgt_len) > 0x1p56)
    return lsp_fail(why, LSP_E_LIMIT,
                    "keys and values of %d layers, %d heads of width %d and %lld "
                    "positions (mem_len and segment) take more than 2^56 bytes; give a "
                    "smaller --mem-len or --segment, and check config.json",
                    c->n_layer, c->n_head, c->d_head,
                    (long long)(c->mem_len + c->tgt_len));
  if (!c->same_length || c->mem_len > 0)
    return LSP_OK;
  if (choices->mem_len == 0)
    return lsp_fail(
        why, LSP_E_USAGE,
        "--mem-len 0 with same_length masks every position; use a memory of "
        "at least 1");
  return lsp_fail(why, LSP_E_FORMAT,
                  "config.json: mem_len 0 with same_length masks every position; give "
                  "--mem-len of at least 1");
}

static void describe_layer(const txl_config *c, int virtual_past, lsp_layer *l) {
  const int64_t D = c->d_model, A = (int64_t)c->n_head * c->d_head, F = c->d_inner;
  const lsp_norm norm = {.kind = LSP_NORM_LAYER, .eps = (float)c->layer_norm_epsilon};
  *l = (lsp_layer){
      .place = c->pre_lnorm ? LSP_PLACE_PRE : LSP_PLACE_POST,
      .attention_norm = norm,
      .heads = {c->n_head, c->n_head, c->d_head},
      .qkv = {.matrix = lsp__matrix(3 * A, D)},
      .scale = 1.0f / sqrtf((float)c->d_head),
      .position = {.kind = LSP_POSITION_RELATIVE,
                   .relative = lsp__matrix(A, D),
                   .clamp = lsp_max(c->clamp_len, 0)},
      .branch[0] = {.kind = LSP_PATTERN_RECURRENCE,
                    .segment = c->tgt_len,
                    .memory = c->mem_len,
                    .same_length = c->same_length,
                    .virtual_past = virtual_past},
      .branches = 1,
      .merge = LSP_MERGE_SOFTMAX,
      .output = {.matrix = lsp__matrix(D, A)},
      .feed_norm = norm,
      .up = {.matrix = lsp__matrix(F, D)},
      .inner = c->d_inner,
      .activation = LSP_RELU,
      .down = {.matrix = lsp__matrix(D, F)},
  };
}

static void describe_words(const txl_config *c, lsp_vocabulary *words) {
  words->size = c->vocab_size;
  words->widest = c->d_embed;
  words->projected = lsp__txl_projected(c);
  for (int i = 0; i < c->clusters; i++) {
    words->cut[i] = c->cut[i];
    words->cluster[i].rows = c->cut[i + 1] - c->cut[i];
    words->cluster[i].width = lsp__txl_width(c, i);
  }
  words->cut[c->clusters] = c->vocab_size;
}

static void put_facts(const txl_config *c, int virtual_past, lsp_model *model) {
  unsigned char hash[16];
  lsp__txl_config_hash(c, hash);
  lsp__fact_hash(model, "config", hash);
  lsp__fact(model, "segment", "%lld", (long long)c->tgt_len);
  lsp__fact(model, "mem_len", "%lld", (long long)c->mem_len);
  lsp__fact(model, "mem_init", "%s", virtual_past ? "zeros" : "empty");
  lsp__fact(model, "same_length", "%s", c->same_length ? "true" : "false");
  lsp__fact(model, "clamp_len", "%lld", (long long)c->clamp_len);
}

static lsp_status describe(const json_t *config, const char *path,
                           const lsp_choices *choices, lsp_model *model,
                           lsp_failure *why) {
  const int virtual_past = choices->mem_init != LSP_MEM_EMPTY;
  txl_config *c = model->own = malloc(sizeof *c);
  if (c == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: no memory to read it", path);
  LSP_TRY(lsp__txl_config(config, path, c, why));
  LSP_TRY(apply(c, choices, why));
  LSP_TRY(lsp__model_tables(model, c->n_layer, c->clusters, why));
  model->width = c->d_model;
  model->embed_scale = sqrtf((float)c->d_model);
  model->bytes_tokenizer = c->bytes_tokenizer;
  model->no_bos = "before a text it has its memory, and no row (--mem-init)";
  model->segment = c->tgt_len;
  for (int i = 0; i < c->n_layer; i++)
    describe_layer(c, virtual_past, &model->layer[i]);
  describe_words(c, &model->words);
  put_facts(c, virtual_past, model);
  return LSP_OK;
}

static void release(lsp_model *model) {
  free(model->own);
}

const lsp_family lsp__transfo_xl = {
    .model_type = "transfo-xl",
    .describe = describe,
    .slots = lsp__txl_slots,
    .ties = lsp__txl_ties,
    .release = release,
};
