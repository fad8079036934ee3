/* The family longspan: its description. */
#include "longspan.h"

#include "lsp/options.h"

#include <math.h>
#include <stdlib.h>

/* --- tables of positions --------------------------------------------------------- */

/* Slopes of ALiBi: a power of two of heads has a geometric series, others have that of
 * the next lower power and every second one of the next higher. */
static void fill_slopes(int64_t heads, float *slope) {
  int64_t n = 1;
  while (2 * n <= heads)
    n *= 2;
  for (int64_t h = 0; h < n; h++)
    slope[h] = (float)exp2(-8.0 * (double)(h + 1) / (double)n);
  for (int64_t h = n; h < heads; h++)
    slope[h] = (float)exp2(-8.0 * (double)(2 * (h - n) + 1) / (double)(2 * n));
}

static lsp_status make_tables(span_config *c, lsp_failure *why) {
  const int64_t pairs = c->rotary_width / 2, D = c->hidden_size;
  c->frequency = calloc((size_t)pairs + 1, sizeof *c->frequency);
  c->slope = calloc((size_t)c->num_attention_heads, sizeof *c->slope);
  c->inv_freq = calloc((size_t)D / 2 + 1, sizeof *c->inv_freq);
  if (c->frequency == NULL || c->slope == NULL || c->inv_freq == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for tables of positions");
  for (int64_t i = 0; i < pairs; i++)
    c->frequency[i] = pow(c->rotary_theta, -2.0 * (double)i / (double)c->rotary_width);
  for (int64_t m = 0; m < D / 2; m++)
    c->inv_freq[m] = (float)pow(10000.0, -2.0 * (double)m / (double)D);
  fill_slopes(c->num_attention_heads, c->slope);
  return LSP_OK;
}

/* --- a layer --------------------------------------------------------------------- */

static lsp_position position_of(const span_config *c) {
  const int64_t A = c->num_attention_heads * c->head_dim;
  switch (c->position) {
  case SPAN_RELATIVE:
    return (lsp_position){.kind = LSP_POSITION_RELATIVE,
                          .relative = lsp__matrix(A, c->hidden_size),
                          .clamp = c->clamp_len};
  case SPAN_ROTARY:
    return (lsp_position){.kind = LSP_POSITION_ROTARY,
                          .rotated = (int)c->rotary_width,
                          .frequency = c->frequency};
  case SPAN_ALIBI:
    return (lsp_position){.kind = LSP_POSITION_ALIBI, .slope = c->slope};
  default: /* learned ones are added to the embedding */
    return (lsp_position){.kind = LSP_POSITION_NONE};
  }
}

static lsp_norm norm_of(const span_config *c) {
  return (lsp_norm){.kind = c->norm == SPAN_RMS ? LSP_NORM_RMS : LSP_NORM_LAYER,
                    .eps = (float)c->norm_eps};
}

/* All of a layer but its branches, which are there. */
static void describe_layer(const span_config *c, lsp_layer *l) {
  static const lsp_norm_place place[] = {LSP_PLACE_PRE, LSP_PLACE_POST, LSP_PLACE_BOTH};
  static const lsp_activation activation[] = {LSP_RELU, LSP_GELU, LSP_GELU_TANH,
                                              LSP_SILU};
  const int64_t D = c->hidden_size, E = c->head_dim, F = c->intermediate_size;
  const int64_t H = c->num_attention_heads, G = c->num_key_value_heads;
  const lsp_norm norm = norm_of(c);
  l->place = place[c->norm_place];
  l->attention_norm = l->feed_norm = norm;
  if (l->place == LSP_PLACE_BOTH)
    l->attention_post = l->feed_post = norm;
  l->heads = (lsp_heads){(int)H, (int)G, (int)E};
  l->qkv.matrix = lsp__matrix((H + 2 * G) * E, D);
  if (c->query_key_norm)
    l->query_norm = l->key_norm =
        (lsp_norm){.kind = LSP_NORM_RMS, .eps = (float)c->norm_eps};
  l->scale =
      c->attention_scale > 0 ? (float)c->attention_scale : 1.0f / sqrtf((float)E);
  l->score_cap = (float)c->score_cap;
  l->position = position_of(c);
  l->output.matrix =
      lsp__matrix(D, (l->merge == LSP_MERGE_CONCAT ? l->branches : 1) * H * E);
  l->up.matrix = lsp__matrix(c->gated ? 2 * F : F, D);
  l->inner = (int)F;
  l->gated = c->gated;
  l->activation = activation[c->activation];
  l->down.matrix = lsp__matrix(D, F);
}

/* What branches and merge need beside them: weights, and windows that weights decide. */
static lsp_status describe_branches(const span_config *c, lsp_layer *l,
                                    lsp_failure *why) {
  const int64_t D = c->hidden_size, H = c->num_attention_heads;
  if (l->merge == LSP_MERGE_INPUT)
    l->input_gate = lsp__matrix(l->branches * H, D);
  for (int b = 0; b < l->branches; b++) {
    lsp_pattern *p = &l->branch[b];
    if (p->convolved)
      l->compress = lsp__matrix(D, p->pool * D);
    if (p->own_projections)
      l->global.matrix = lsp__matrix(l->qkv.matrix.rows, D);
    if (p->kind != LSP_PATTERN_DYNAMIC)
      continue;
    l->span_windows = malloc((size_t)H * sizeof *l->span_windows);
    if (l->span_windows == NULL)
      return lsp_fail(why, LSP_E_MEMORY, "no memory for spans of %lld heads",
                      (long long)H);
    for (int64_t h = 0; h < H; h++)
      l->span_windows[h] = p->window + p->ramp;
    p->windows = l->span_windows;
  }
  return LSP_OK;
}

/* --- options --------------------------------------------------------------------- */

static lsp_pattern *first_recurrence(const lsp_model *model) {
  for (int i = 0; i < model->layers; i++)
    for (int b = 0; b < model->layer[i].branches; b++)
      if (model->layer[i].branch[b].kind == LSP_PATTERN_RECURRENCE)
        return &model->layer[i].branch[b];
  return NULL;
}

static lsp_status change(const lsp_choices *choices, lsp_pattern *p, lsp_failure *why) {
  if (p->kind != LSP_PATTERN_RECURRENCE && p->kind != LSP_PATTERN_COMPRESSED_PAST)
    return LSP_OK;
  if (choices->mem_len >= 0)
    p->memory = choices->mem_len;
  if (choices->segment > 0)
    p->segment = choices->segment;
  if (p->same_length && p->memory < 1)
    return lsp_fail(
        why, LSP_E_USAGE,
        "--mem-len 0 with same_length masks every position; use a memory of "
        "at least 1");
  if (p->kind == LSP_PATTERN_COMPRESSED_PAST &&
      (p->memory % p->pool != 0 || p->segment % p->pool != 0))
    return lsp_fail(why, LSP_E_USAGE,
                    "--mem-len %lld, --segment %lld: the compressed past of the model "
                    "has a pool of %d rows; use multiples of it",
                    (long long)p->memory, (long long)p->segment, p->pool);
  return LSP_OK;
}

/* Refuses options that this model has no use for. */
static lsp_status check_options(const char *path, const lsp_choices *choices,
                                const lsp_model *model, lsp_failure *why) {
  if (choices->mem_init == LSP_MEM_ZEROS)
    return lsp_fail(why, LSP_E_USAGE,
                    "--mem-init zeros: before a text, a longspan model sees nothing "
                    "(empty); leave the option out");
  if (first_recurrence(model) != NULL)
    return LSP_OK;
  if (choices->mem_len >= 0 || choices->segment > 0)
    return lsp_fail(
        why, LSP_E_USAGE,
        "%s %lld: no layer of %s has a branch of type \"recurrence\", which "
        "the option is for; leave it out",
        choices->mem_len >= 0 ? "--mem-len" : "--segment",
        (long long)(choices->mem_len >= 0 ? choices->mem_len : choices->segment), path);
  return LSP_OK;
}

static lsp_status apply(const char *path, const lsp_choices *choices, lsp_model *model,
                        lsp_failure *why) {
  LSP_TRY(check_options(path, choices, model, why));
  for (int i = 0; i < model->layers; i++)
    for (int b = 0; b < model->layer[i].branches; b++)
      LSP_TRY(change(choices, &model->layer[i].branch[b], why));
  const lsp_pattern *p = first_recurrence(model);
  model->segment = p == NULL ? 1 : p->segment;
  if (choices->segment > 0)
    lsp__fact(model, "segment", "%lld", (long long)choices->segment);
  if (choices->mem_len >= 0)
    lsp__fact(model, "mem_len", "%lld", (long long)choices->mem_len);
  return LSP_OK;
}

/* --- the model ------------------------------------------------------------------- */

static void describe_words(const span_config *c, lsp_vocabulary *words) {
  words->size = c->vocab_size;
  words->widest = (int)c->hidden_size;
  words->cut[1] = c->vocab_size;
  words->cluster[0].rows = c->vocab_size;
  words->cluster[0].width = (int)c->hidden_size;
}

static void describe_rest(const span_config *c, lsp_model *model) {
  model->width = (int)c->hidden_size;
  model->embed_scale = (float)c->embedding_scale;
  model->logit_cap = (float)c->logit_cap;
  model->two_sided = !c->causal;
  model->bytes_tokenizer = c->tokenizer == SPAN_BYTES;
  if (c->position == SPAN_LEARNED)
    model->positions_most = c->max_position;
  if (c->position == SPAN_RELATIVE)
    model->inv_freq = c->inv_freq;
  if (c->norm_place != SPAN_POST)
    model->last_norm = norm_of(c);
  model->prefixes = c->prefixes;
  model->no_bos = "its config.json says what stands before a text (\"prefix\")";
  for (int i = 0; i < c->prefixes; i++)
    model->prefix[i] = (int32_t)c->prefix[i];
}

static lsp_status describe(const json_t *config, const char *path,
                           const lsp_choices *choices, lsp_model *model,
                           lsp_failure *why) {
  const lsp_source s = {config, path, "", why};
  unsigned char hash[16];
  span_config *c = model->own = calloc(1, sizeof *c);
  if (c == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: no memory to read it", path);
  LSP_TRY(lsp__span_config(&s, c));
  LSP_TRY(make_tables(c, why));
  LSP_TRY(lsp__model_tables(model, (int)c->num_hidden_layers, 1, why));
  LSP_TRY(lsp__span_layers(&s, c, model));
  for (int i = 0; i < model->layers; i++) {
    describe_layer(c, &model->layer[i]);
    LSP_TRY(describe_branches(c, &model->layer[i], why));
  }
  describe_words(c, &model->words);
  describe_rest(c, model);
  LSP_TRY(lsp__span_last(&s, c, model));
  LSP_TRY(lsp__span_hash(&s, hash));
  lsp__fact_hash(model, "config", hash);
  LSP_TRY(apply(path, choices, model, why));
  return lsp__model_limits(path, model, why);
}

static void release(lsp_model *model) {
  span_config *c = model->own;
  if (c == NULL)
    return;
  for (span_list *list = c->lists, *next; list != NULL; list = next) {
    next = list->next;
    free(list);
  }
  free(c->frequency);
  free(c->slope);
  free(c->inv_freq);
  free(c);
}

const lsp_family lsp__longspan = {
    .model_type = "longspan",
    .describe = describe,
    .slots = lsp__span_slots,
    .ties = lsp__span_ties,
    .release = release,
};
