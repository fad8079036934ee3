/* The model of a tokenizer.json: the vocabulary, whose tokens are written in the alphabet
 * of bytes, and the merges.
 *
 *   alphabet: a byte that prints stands for itself (! to ~, U+00A1 to U+00FF without
 *   U+00AD); the others, in order, are U+0100, U+0101, ... : a space is U+0120. */
#include "tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { ALPHABET = 0x144 };

static int prints(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
}

/* The byte of every character of the alphabet; -1: none. */
static void fill_alphabet(int16_t byte_of[ALPHABET]) {
  int next = 0x100;
  memset(byte_of, -1, ALPHABET * sizeof *byte_of);
  for (int byte = 0; byte < 0x100; byte++)
    byte_of[prints(byte) ? byte : next++] = (int16_t)byte;
}

/* The bytes that a token is written for, into out; 0: it is not of the alphabet. */
static size_t read_token(const int16_t byte_of[ALPHABET], const char *text, char *out) {
  size_t n = 0;
  for (size_t left = strlen(text), length = 0; left > 0; left -= length) {
    const int32_t c = lsp__character((const unsigned char *)text, left, &length);
    if (c >= ALPHABET || byte_of[c] < 0)
      return 0;
    out[n++] = (char)(unsigned char)byte_of[c];
    text += length;
  }
  return n;
}

/* Every token of the vocabulary at its id: its bytes, or its name if it is no bytes. */
static lsp_status read_vocabulary(lsp_tokenizer *t, const lsp__spot *s,
                                  const json_t *vocabulary, lsp_failure *why) {
  int16_t byte_of[ALPHABET];
  fill_alphabet(byte_of);
  for (int i = 0; i < 256; i++)
    t->byte_id[i] = LSP__NO_TOKEN;
  void *at = json_object_iter((json_t *)(uintptr_t)vocabulary);
  for (; at != NULL; at = json_object_iter_next((json_t *)(uintptr_t)vocabulary, at)) {
    const char *name = json_object_iter_key(at);
    const json_t *value = json_object_iter_value(at);
    const json_int_t id = json_integer_value(value);
    const lsp__spot here = lsp__spot_key(s, name);
    if (t->token[id].text != NULL)
      return lsp__spot_odd(&here, value, "an id of its own", why);
    char *text = t->text + t->text_bytes;
    size_t bytes = read_token(byte_of, name, text);
    const int is_bytes = bytes > 0;
    if (!is_bytes) {
      bytes = strlen(name);
      memcpy(text, name, bytes);
    }
    t->text_bytes += bytes;
    t->token[id] = (lsp__token){.text = text, .bytes = (uint32_t)bytes};
    t->token[id].is_bytes = is_bytes;
    t->n = id >= t->n ? id + 1 : t->n;
    if (is_bytes && bytes == 1)
      t->byte_id[(unsigned char)*text] = (int32_t)id;
  }
  t->vocabulary = (int64_t)json_object_size(vocabulary);
  return LSP_OK;
}

static uint64_t table_size(size_t items) {
  uint64_t size = 16;
  while (size < 2 * (uint64_t)items)
    size *= 2;
  return size;
}

static int32_t id_of(const json_t *vocabulary, const char *name) {
  const json_t *id = json_object_get(vocabulary, name);
  return id == NULL ? LSP__NO_TOKEN : (int32_t)json_integer_value(id);
}

/* Both parts of a merge, ended by NUL, into `parts`; the second one, NULL: no merge. */
static const char *split_merge(const json_t *merge, char *parts) {
  if (json_is_string(merge)) {
    memcpy(parts, json_string_value(merge), json_string_length(merge) + 1);
    char *space = strchr(parts, ' ');
    if (space == NULL || strchr(space + 1, ' ') != NULL)
      return NULL;
    *space = '\0';
    return space + 1;
  }
  const json_t *left = json_array_get(merge, 0);
  const json_t *right = json_array_get(merge, 1);
  if (json_array_size(merge) != 2 || !json_is_string(left) || !json_is_string(right))
    return NULL;
  const size_t bytes = json_string_length(left) + 1;
  memcpy(parts, json_string_value(left), bytes);
  memcpy(parts + bytes, json_string_value(right), json_string_length(right) + 1);
  return parts + bytes;
}

/* Room for the parts of a merge, and for both joined. */
static size_t merge_bytes(const json_t *merge) {
  return json_string_length(merge) + json_string_length(json_array_get(merge, 0)) +
         json_string_length(json_array_get(merge, 1)) + 3;
}

/* A merge given twice has its last rank. */
static void put_merge(lsp_tokenizer *t, int32_t left, int32_t right, int32_t id,
                      uint32_t rank) {
  const uint64_t pair = ((uint64_t)left + 1) << 32 | ((uint64_t)right + 1);
  uint64_t i = lsp__mix(pair) & t->merge_mask;
  while (t->merge[i].pair != 0 && t->merge[i].pair != pair)
    i = (i + 1) & t->merge_mask;
  t->merge[i] = (lsp__merge){.pair = pair, .rank = rank, .id = id};
}

static lsp_status read_merge(lsp_tokenizer *t, const lsp__spot *s, const json_t *merge,
                             const json_t *vocabulary, uint32_t rank,
                             lsp_failure *why) {
  const size_t bytes = merge_bytes(merge);
  char *parts = malloc(2 * bytes);
  if (parts == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for its merges", s->file);
  lsp_status status = LSP_OK;
  const char *right = split_merge(merge, parts);
  if (right == NULL) {
    status = lsp__spot_odd(s, merge, "two tokens: \"A B\" or [\"A\", \"B\"]", why);
  } else {
    char *both = parts + bytes;
    const size_t n = strlen(parts);
    memcpy(both, parts, n);
    memcpy(both + n, right, strlen(right) + 1);
    const int32_t left_id = id_of(vocabulary, parts);
    const int32_t right_id = id_of(vocabulary, right);
    const int32_t id = id_of(vocabulary, both);
    if (left_id < 0 || right_id < 0 || id < 0)
      status = lsp__spot_odd(
          s, merge, "two tokens of the vocabulary that together are a third", why);
    else
      put_merge(t, left_id, right_id, id, rank);
  }
  free(parts);
  return status;
}

static lsp_status read_merges(lsp_tokenizer *t, const lsp__spot *s, const json_t *list,
                              const json_t *vocabulary, lsp_failure *why) {
  if (!json_is_array(list))
    return lsp__spot_odd(s, list, "a list", why);
  const uint64_t size = table_size(json_array_size(list));
  t->merge = calloc(size, sizeof *t->merge);
  if (t->merge == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for its merges", s->file);
  t->merge_mask = size - 1;
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *merge = json_array_get(list, i);
    const lsp__spot here = lsp__spot_at(s, (int64_t)i);
    const char *text = json_string_value(merge);
    if (text != NULL && strncmp(text, "#version", 8) == 0)
      continue;
    LSP_TRY(read_merge(t, &here, merge, vocabulary, (uint32_t)i, why));
  }
  return LSP_OK;
}

/* The tokens that are bytes, by their bytes. */
static lsp_status index_words(lsp_tokenizer *t, const lsp__spot *s, lsp_failure *why) {
  const uint64_t size = table_size((size_t)t->vocabulary);
  t->word = malloc(size * sizeof *t->word);
  if (t->word == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for its vocabulary",
                    s->file);
  t->word_mask = size - 1;
  for (uint64_t i = 0; i < size; i++)
    t->word[i] = LSP__NO_TOKEN;
  for (int64_t id = 0; id < t->n; id++) {
    const lsp__token *token = &t->token[id];
    if (!token->is_bytes)
      continue;
    uint64_t i = XXH3_64bits(token->text, token->bytes) & t->word_mask;
    while (t->word[i] != LSP__NO_TOKEN)
      i = (i + 1) & t->word_mask;
    t->word[i] = (int32_t)id;
  }
  return LSP_OK;
}

int32_t lsp__word_find(const lsp_tokenizer *t, const void *bytes, size_t n) {
  for (uint64_t i = XXH3_64bits(bytes, n) & t->word_mask;; i = (i + 1) & t->word_mask) {
    const int32_t id = t->word[i];
    if (id == LSP__NO_TOKEN ||
        (t->token[id].bytes == n && memcmp(t->token[id].text, bytes, n) == 0))
      return id;
  }
}

/* 1 if every byte that UTF-8 has is a token. */
static int knows_all_bytes(const lsp_tokenizer *t) {
  int known = 1;
  for (int byte = 0; byte <= 0xf4; byte++)
    known = known && (t->byte_id[byte] >= 0 || byte == 0xc0 || byte == 0xc1);
  return known;
}

static lsp_status read_switches(lsp_tokenizer *t, const lsp__spot *s,
                                const json_t *model, lsp_failure *why) {
  static const char *const nothing[] = {"dropout", "continuing_subword_prefix",
                                        "end_of_word_suffix"};
  int fallback = 0;
  for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
    const json_t *found = json_object_get(model, nothing[i]);
    const lsp__spot here = lsp__spot_key(s, nothing[i]);
    if (found != NULL && !json_is_null(found) &&
        !(i > 0 && json_is_string(found) && json_string_length(found) == 0))
      return lsp__spot_odd(&here, found, i == 0 ? "null" : "null or \"\"", why);
  }
  LSP_TRY(lsp__spot_bool(s, model, "ignore_merges", &t->ignore_merges, why));
  LSP_TRY(lsp__spot_bool(s, model, "byte_fallback", &fallback, why));
  const lsp__spot at_fallback = lsp__spot_key(s, "byte_fallback");
  if (fallback)
    return lsp__spot_odd(&at_fallback, json_object_get(model, "byte_fallback"), "false",
                         why);
  return lsp__spot_bool(s, model, "fuse_unk", &fallback, why);
}

lsp_status lsp__model_read(lsp_tokenizer *t, const lsp__spot *root, const json_t *model,
                           lsp_failure *why) {
  const lsp__spot s = lsp__spot_key(root, "model");
  LSP_TRY(lsp__spot_keys(&s, model,
                         "type dropout unk_token continuing_subword_prefix "
                         "end_of_word_suffix fuse_unk byte_fallback ignore_merges "
                         "vocab merges",
                         why));
  const json_t *type = json_object_get(model, "type");
  const lsp__spot at_type = lsp__spot_key(&s, "type");
  if (type != NULL &&
      (!json_is_string(type) || strcmp(json_string_value(type), "BPE") != 0))
    return lsp__spot_odd(&at_type, type, "\"BPE\"", why);
  LSP_TRY(read_switches(t, &s, model, why));
  const json_t *vocabulary = json_object_get(model, "vocab");
  const lsp__spot at_vocab = lsp__spot_key(&s, "vocab");
  const lsp__spot at_merges = lsp__spot_key(&s, "merges");
  if (!json_is_object(vocabulary))
    return lsp__spot_odd(&at_vocab, vocabulary, "an object of tokens and ids", why);
  LSP_TRY(read_vocabulary(t, &at_vocab, vocabulary, why));
  LSP_TRY(
      read_merges(t, &at_merges, json_object_get(model, "merges"), vocabulary, why));
  const json_t *unknown = json_object_get(model, "unk_token");
  const lsp__spot at_unknown = lsp__spot_key(&s, "unk_token");
  if (unknown != NULL && !json_is_null(unknown) &&
      (!json_is_string(unknown) || !knows_all_bytes(t)))
    return lsp__spot_odd(&at_unknown, unknown,
                         "null, or a vocabulary that has every byte", why);
  return t->ignore_merges ? index_words(t, &s, why) : LSP_OK;
}
