/* Places in a tokenizer.json, and what is asked of a value there. */
#include "tokenizer_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 256, SEQUENCE_DEPTH = 8 };

lsp__spot lsp__spot_key(const lsp__spot *up, const char *key) {
  return (lsp__spot){.file = up->file, .up = up, .key = key};
}

lsp__spot lsp__spot_at(const lsp__spot *up, int64_t index) {
  return (lsp__spot){.file = up->file, .up = up, .index = index};
}

/* The path of a spot, outermost first; returns the bytes written. */
static size_t write_path(const lsp__spot *s, char out[PATH_SIZE]) {
  if (s->up == NULL)
    return 0;
  const size_t used = write_path(s->up, out);
  const size_t left = PATH_SIZE - used;
  const int n = s->key != NULL
                    ? snprintf(out + used, left, "%s%s", used > 0 ? "." : "", s->key)
                    : snprintf(out + used, left, "[%" PRId64 "]", s->index);
  const size_t more = n > 0 ? (size_t)n : 0;
  return more < left ? used + more : PATH_SIZE - 1;
}

lsp_status lsp__spot_fail(const lsp__spot *s, lsp_status status, const char *text,
                          lsp_failure *why) {
  char path[PATH_SIZE] = "";
  (void)write_path(s, path);
  return lsp_fail(why, status, "%s: %s%s%s", s->file, path, path[0] != '\0' ? ": " : "",
                  text);
}

lsp_status lsp__spot_odd(const lsp__spot *s, const json_t *found, const char *expected,
                         lsp_failure *why) {
  char quote[LSP_JSON_QUOTE_SIZE];
  char text[LSP_MESSAGE_SIZE / 2];
  (void)snprintf(
      text, sizeof text,
      "is %s; expected %s; make the ids with the tokenizer's own library and "
      "give them instead of text",
      lsp_json_quote(found, quote), expected);
  return lsp__spot_fail(s, LSP_E_FORMAT, text, why);
}

/* 1 if `word` is among the words of a list with a space between them. */
static int is_listed(const char *list, const char *word) {
  const size_t n = strlen(word);
  for (const char *at = list; *at != '\0';) {
    const size_t length = strcspn(at, " ");
    if (length == n && strncmp(at, word, n) == 0)
      return 1;
    at += length + strspn(at + length, " ");
  }
  return 0;
}

lsp_status lsp__spot_keys(const lsp__spot *s, const json_t *object, const char *known,
                          lsp_failure *why) {
  if (!json_is_object(object))
    return lsp__spot_odd(s, object, "an object", why);
  void *at = json_object_iter((json_t *)(uintptr_t)object);
  for (; at != NULL; at = json_object_iter_next((json_t *)(uintptr_t)object, at)) {
    const char *key = json_object_iter_key(at);
    if (is_listed(known, key))
      continue;
    const json_t *value = json_object_iter_value(at);
    char expected[LSP_MESSAGE_SIZE / 4];
    (void)snprintf(expected, sizeof expected, "no such key, but of %s", known);
    const lsp__spot here = lsp__spot_key(s, key);
    return lsp__spot_odd(&here, value, expected, why);
  }
  return LSP_OK;
}

lsp_status lsp__spot_bool(const lsp__spot *s, const json_t *object, const char *key,
                          int *value, lsp_failure *why) {
  const json_t *found = json_object_get(object, key);
  if (found == NULL || json_is_null(found))
    return LSP_OK;
  const lsp__spot here = lsp__spot_key(s, key);
  if (!json_is_boolean(found))
    return lsp__spot_odd(&here, found, "true or false", why);
  *value = json_is_true(found);
  return LSP_OK;
}

static lsp_status read_parts(lsp_tokenizer *t, const lsp__spot *s, const json_t *part,
                             const char *list, lsp__read_part read, int depth,
                             lsp_failure *why) {
  if (part == NULL || json_is_null(part))
    return LSP_OK;
  if (!json_is_object(part))
    return lsp__spot_odd(s, part, "an object or null", why);
  const json_t *type = json_object_get(part, "type");
  const lsp__spot at_type = lsp__spot_key(s, "type");
  if (!json_is_string(type))
    return lsp__spot_odd(&at_type, type, "the name of a type", why);
  if (strcmp(json_string_value(type), "Sequence") != 0)
    return read(t, s, part, json_string_value(type), why);
  const json_t *parts = json_object_get(part, list);
  const lsp__spot at_list = lsp__spot_key(s, list);
  if (!json_is_array(parts))
    return lsp__spot_odd(&at_list, parts, "a list", why);
  if (depth >= SEQUENCE_DEPTH)
    return lsp__spot_odd(&at_list, parts, "Sequences that nest less", why);
  for (size_t i = 0; i < json_array_size(parts); i++) {
    const lsp__spot here = lsp__spot_at(&at_list, (int64_t)i);
    const json_t *each = json_array_get(parts, i);
    if (!json_is_object(each))
      return lsp__spot_odd(&here, each, "an object", why);
    LSP_TRY(read_parts(t, &here, each, list, read, depth + 1, why));
  }
  return LSP_OK;
}

lsp_status lsp__read_parts(lsp_tokenizer *t, const lsp__spot *s, const json_t *part,
                           const char *list, lsp__read_part read, lsp_failure *why) {
  return read_parts(t, s, part, list, read, 0, why);
}
