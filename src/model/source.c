/* Values of config.json, whose messages name the place of a key. */
#include "source.h"

#define XXH_INLINE_ALL
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { LIST_SIZE = 800 };

const char *lsp__source_label(const lsp_source *s, const char *key,
                              char label[LSP_LABEL_SIZE]) {
  (void)snprintf(label, LSP_LABEL_SIZE, "%s%s%.64s", s->place,
                 s->place[0] != '\0' ? "." : "", key);
  return label;
}

const json_t *lsp__source_get(const lsp_source *s, const char *key) {
  const json_t *found = json_object_get(s->json, key);
  return json_is_null(found) ? NULL : found;
}

lsp_status lsp__source_refuse(const lsp_source *s, const char *key, const json_t *value,
                              const char *expected, ...) {
  char label[LSP_LABEL_SIZE], text[LSP_JSON_QUOTE_SIZE], wanted[LIST_SIZE];
  va_list arguments;
  va_start(arguments, expected);
  (void)vsnprintf(wanted, sizeof wanted, expected, arguments);
  va_end(arguments);
  return lsp_fail(
      s->why, LSP_E_FORMAT, "%s: key \"%s\" is %s; expected %s; correct the file",
      s->path, lsp__source_label(s, key, label), lsp_json_quote(value, text), wanted);
}

lsp_status lsp__source_unable(const lsp_source *s, const char *key, const json_t *value,
                              const char *known, ...) {
  char label[LSP_LABEL_SIZE], text[LSP_JSON_QUOTE_SIZE], words[LIST_SIZE];
  va_list arguments;
  va_start(arguments, known);
  (void)vsnprintf(words, sizeof words, known, arguments);
  va_end(arguments);
  return lsp_fail(s->why, LSP_E_FORMAT, "%s: key \"%s\" is %s; this program runs %s",
                  s->path, lsp__source_label(s, key, label),
                  lsp_json_quote(value, text), words);
}

/* An object that holds the key's value under its label: what lsp_json_* then reads, they
 * name in full. NULL without memory. Owned by the caller. */
static json_t *labelled(const lsp_source *s, const char *key, const char *label) {
  json_t *one = json_object();
  const json_t *value = json_object_get(s->json, key);
  if (one == NULL || value == NULL)
    return one;
  if (json_object_set(one, label, (json_t *)value) == 0)
    return one;
  json_decref(one);
  return NULL;
}

static lsp_status no_memory(const lsp_source *s) {
  return lsp_fail(s->why, LSP_E_MEMORY, "%s: no memory to read it", s->path);
}

lsp_status lsp__source_int(const lsp_source *s, const char *key, int required,
                           int64_t low, int64_t high, int64_t *value) {
  char label[LSP_LABEL_SIZE];
  json_t *one = labelled(s, key, lsp__source_label(s, key, label));
  if (one == NULL)
    return no_memory(s);
  const lsp_status st =
      lsp_json_int(one, s->path, label, required, low, high, value, s->why);
  json_decref(one);
  return st;
}

lsp_status lsp__source_ints(const lsp_source *s, const char *key, int64_t low,
                            int64_t high, int64_t *values, int most, int *count) {
  char label[LSP_LABEL_SIZE];
  json_t *one = labelled(s, key, lsp__source_label(s, key, label));
  if (one == NULL)
    return no_memory(s);
  const lsp_status st =
      lsp_json_ints(one, s->path, label, 0, low, high, values, most, count, s->why);
  json_decref(one);
  return st;
}

lsp_status lsp__source_real(const lsp_source *s, const char *key, double low,
                            double high, double *value) {
  char label[LSP_LABEL_SIZE];
  json_t *one = labelled(s, key, lsp__source_label(s, key, label));
  if (one == NULL)
    return no_memory(s);
  const lsp_status st =
      lsp_json_double(one, s->path, label, 0, low, high, value, s->why);
  json_decref(one);
  LSP_TRY(st);
  if (*value != 0 && fabs(*value) < (double)FLT_MIN)
    return lsp__source_refuse(s, key, lsp__source_get(s, key),
                              "0, or a number that float32 can hold (from %g on)",
                              (double)FLT_MIN);
  return LSP_OK;
}

lsp_status lsp__source_switch(const lsp_source *s, const char *key, int *value) {
  const json_t *found = lsp__source_get(s, key);
  if (found == NULL)
    return LSP_OK;
  if (!json_is_boolean(found))
    return lsp__source_refuse(s, key, found, "true or false");
  *value = json_is_true(found);
  return LSP_OK;
}

lsp_status lsp__source_truth(const lsp_source *s, const char *key, int *value) {
  const json_t *found = json_object_get(s->json, key);
  const int truth = lsp_json_truth(found);
  if (found == NULL)
    return LSP_OK;
  if (truth < 0)
    return lsp__source_refuse(s, key, found, "true or false");
  *value = truth;
  return LSP_OK;
}

/* "a", "b" or "c" */
static void join(const char *const *words, const char *last, char list[LIST_SIZE]) {
  size_t n = 0;
  list[0] = '\0';
  for (int i = 0; words[i] != NULL && n < LIST_SIZE; i++) {
    const char *between = i == 0 ? "" : words[i + 1] == NULL ? last : ", ";
    n += (size_t)snprintf(list + n, LIST_SIZE - n, "%s\"%s\"", between, words[i]);
  }
}

lsp_status lsp__source_word(const lsp_source *s, const char *key, int required,
                            const char *const *words, int *value) {
  const json_t *found = lsp__source_get(s, key);
  const char *text = json_string_value(found);
  if (found == NULL && !required)
    return LSP_OK;
  for (int i = 0; words[i] != NULL && text != NULL; i++)
    if (strcmp(text, words[i]) == 0) {
      *value = i;
      return LSP_OK;
    }
  char list[LIST_SIZE];
  join(words, " or ", list);
  return lsp__source_refuse(s, key, found, "%s", list);
}

static int is_among(const char *key, const char *const *keys) {
  for (int i = 0; keys[i] != NULL; i++)
    if (strcmp(key, keys[i]) == 0)
      return 1;
  return 0;
}

lsp_status lsp__source_known(const lsp_source *s, const char *const *keys) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)s->json, key, value) {
    if (key[0] == '_' || is_among(key, keys))
      continue;
    char label[LSP_LABEL_SIZE], list[LIST_SIZE];
    join(keys, ", ", list);
    return lsp_fail(s->why, LSP_E_FORMAT,
                    "%s: key \"%s\" is not known here; known are %s, and any that "
                    "begins with \"_\"; correct the file",
                    s->path, lsp__source_label(s, key, label), list);
  }
  return LSP_OK;
}

lsp_status lsp__source_hash(const lsp_source *s, const json_t *value,
                            unsigned char hash[16]) {
  XXH128_canonical_t canonical;
  char *text = value == NULL ? NULL : json_dumps(value, JSON_SORT_KEYS | JSON_COMPACT);
  if (text == NULL)
    return lsp_fail(s->why, LSP_E_MEMORY, "%s: no memory to hash it", s->path);
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(text, strlen(text)));
  memcpy(hash, canonical.digest, sizeof canonical.digest);
  free(text);
  return LSP_OK;
}
