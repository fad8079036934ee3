/* config.json of a longspan model, all but its layers. */
#include "longspan.h"

#include <stddef.h>

/* Keys of the whole that say nothing of the model. */
static const char *const informational[] = {"architectures", "torch_dtype",
                                            "transformers_version", "dtype", NULL};

static void drop(json_t *object, const char *const *keys) {
  for (int i = 0; keys[i] != NULL; i++)
    (void)json_object_del(object, keys[i]);
}

/* What lsp__source_known allows. */
static const char *const known[] = {"model_type",
#define KEY(name, ...) #name,
                                    SPAN_INTS(KEY) SPAN_REALS(KEY) SPAN_SWITCHES(KEY)
                                        SPAN_WORDS(KEY)
#undef KEY
                                            "prefix",
                                    "layers",
                                    "memory",
                                    "last_memory",
                                    NULL};

/* --- one kind of value after another --------------------------------------------- */

static lsp_status read_ints(const lsp_source *s, span_config *c) {
#define READ(name, low, high, required)                                                \
  LSP_TRY(lsp__source_int(s, #name, required, low, high, &c->name));
  SPAN_INTS(READ)
#undef READ
  return LSP_OK;
}

static lsp_status read_reals(const lsp_source *s, span_config *c) {
#define READ(name, low, high, value)                                                   \
  c->name = value;                                                                     \
  LSP_TRY(lsp__source_real(s, #name, low, high, &c->name));
  SPAN_REALS(READ)
#undef READ
  return LSP_OK;
}

static lsp_status read_switches(const lsp_source *s, span_config *c) {
#define READ(name, value)                                                              \
  c->name = value;                                                                     \
  LSP_TRY(lsp__source_switch(s, #name, &c->name));
  SPAN_SWITCHES(READ)
#undef READ
  return LSP_OK;
}

static lsp_status read_words(const lsp_source *s, span_config *c) {
#define READ(name, value, ...)                                                         \
  {                                                                                    \
    static const char *const words[] = {__VA_ARGS__, NULL};                            \
    c->name = value;                                                                   \
    LSP_TRY(lsp__source_word(s, #name, 0, words, &c->name));                           \
  }
  SPAN_WORDS(READ)
#undef READ
  return LSP_OK;
}

static lsp_status read_prefix(const lsp_source *s, span_config *c) {
  return lsp_json_ints(s->json, s->path, "prefix", 0, 0, c->vocab_size - 1, c->prefix,
                       LSP_PREFIX_MAX, &c->prefixes, s->why);
}

/* --- what must fit together ------------------------------------------------------ */

static lsp_status settle_heads(const lsp_source *s, span_config *c) {
  const int64_t D = c->hidden_size, H = c->num_attention_heads;
  if (c->num_key_value_heads == 0)
    c->num_key_value_heads = H;
  if (H % c->num_key_value_heads != 0)
    return lsp__source_refuse(
        s, "num_key_value_heads", lsp__source_get(s, "num_key_value_heads"),
        "a divisor of num_attention_heads, which is %lld", (long long)H);
  if (c->head_dim == 0 && D % H != 0)
    return lsp__source_refuse(s, "head_dim", NULL,
                              "it, since hidden_size %lld is no multiple of "
                              "num_attention_heads %lld",
                              (long long)D, (long long)H);
  if (c->head_dim == 0)
    c->head_dim = D / H;
  if (c->head_dim > 4096)
    return lsp__source_refuse(s, "head_dim", NULL,
                              "at most 4096, but hidden_size / num_attention_heads is "
                              "%lld",
                              (long long)c->head_dim);
  return LSP_OK;
}

static lsp_status settle_rotary(const lsp_source *s, span_config *c) {
  const int64_t E = c->head_dim;
  const json_t *given = lsp__source_get(s, "rotary_width");
  if (given == NULL && c->position != SPAN_ROTARY)
    return LSP_OK;
  if (given == NULL && E % 2 == 0)
    c->rotary_width = E;
  if (c->rotary_width < 2 || c->rotary_width > E || c->rotary_width % 2 != 0)
    return lsp__source_refuse(s, "rotary_width", given,
                              "an even number from 2 to %lld (head_dim)", (long long)E);
  if (c->rotary_theta <= 1)
    return lsp__source_refuse(s, "rotary_theta", lsp__source_get(s, "rotary_theta"),
                              "a number above 1");
  return LSP_OK;
}

static lsp_status settle_positions(const lsp_source *s, const span_config *c) {
  if (c->position == SPAN_RELATIVE && !c->causal)
    return lsp__source_refuse(s, "position", lsp__source_get(s, "position"),
                              "\"rotary\", \"learned\", \"alibi\" or \"none\", since "
                              "\"causal\" is false");
  if (c->position == SPAN_RELATIVE && c->hidden_size % 2 != 0)
    return lsp__source_refuse(
        s, "hidden_size", lsp__source_get(s, "hidden_size"),
        "an even number: position \"relative\" has as many sines as "
        "cosines");
  if (c->position != SPAN_LEARNED)
    return LSP_OK;
  if (c->max_position == 0)
    return lsp__source_refuse(s, "max_position", NULL,
                              "the rows of the table, since position is \"learned\"");
  if (c->prefixes >= c->max_position)
    return lsp__source_refuse(s, "max_position", lsp__source_get(s, "max_position"),
                              "more than the %d rows of the prefix", c->prefixes);
  return LSP_OK;
}

static lsp_status settle_tokenizer(const lsp_source *s, const span_config *c) {
  if (c->tokenizer != SPAN_BYTES || c->vocab_size == 256)
    return LSP_OK;
  return lsp__source_refuse(s, "vocab_size", lsp__source_get(s, "vocab_size"),
                            "256, since tokenizer is \"bytes\"");
}

static lsp_status check_known(const lsp_source *s) {
  json_t *rest = json_copy((json_t *)s->json);
  if (rest == NULL)
    return lsp_fail(s->why, LSP_E_MEMORY, "%s: no memory to read it", s->path);
  drop(rest, informational);
  const lsp_status st =
      lsp__source_known(&(lsp_source){rest, s->path, s->place, s->why}, known);
  json_decref(rest);
  return st;
}

lsp_status lsp__span_config(const lsp_source *s, span_config *c) {
  LSP_TRY(check_known(s));
  LSP_TRY(read_ints(s, c));
  LSP_TRY(read_reals(s, c));
  LSP_TRY(read_switches(s, c));
  LSP_TRY(read_words(s, c));
  LSP_TRY(read_prefix(s, c));
  LSP_TRY(settle_heads(s, c));
  LSP_TRY(settle_rotary(s, c));
  LSP_TRY(settle_positions(s, c));
  return settle_tokenizer(s, c);
}

/* --- the hash -------------------------------------------------------------------- */

/* Takes out, at any depth, what begins with "_". It nests no deeper than a JSON text
 * may. */
static void drop_remarks(json_t *value) { /* NOLINT(misc-no-recursion) */
  const char *key;
  json_t *inner;
  void *next;
  size_t i;
  json_object_foreach_safe(value, next, key, inner) {
    if (key[0] == '_')
      (void)json_object_del(value, key);
    else
      drop_remarks(inner);
  }
  json_array_foreach(value, i, inner) drop_remarks(inner);
}

lsp_status lsp__span_hash(const lsp_source *s, unsigned char hash[16]) {
  json_t *copy = json_deep_copy(s->json);
  drop(copy, informational);
  drop_remarks(copy);
  const lsp_status st = lsp__source_hash(s, copy, hash);
  json_decref(copy);
  return st;
}
