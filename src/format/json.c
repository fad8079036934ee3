/* JSON files that others wrote.
 *
 * jansson parses. This file adds the limits that jansson lacks, and messages that name
 * the place. A hostile file may try to exhaust the stack by nesting or the memory by its
 * size, so both are bounded before the parser sees the text.
 *
 * What must hold: a value that came through a getter has the asked type and lies in the
 * asked range; on any failure *value is untouched. */
#include "lsp/json.h"

#include "json_measure.h"
#include "lsp/durable.h"
#include "regular.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Model and tokenizer files nest 5 deep at most. */
enum { DEPTH_MAX = 32, KEY_SIZE = 256 };

lsp__json_extent lsp__json_measure(const char *text, size_t bytes) {
  lsp__json_extent extent = {0};
  int64_t depth = 0;
  int in_string = 0;
  for (size_t i = 0; i < bytes; i++) {
    const char c = text[i];
    if (in_string && c == '\\')
      i++;
    else if (c == '"')
      in_string = !in_string;
    else if (in_string)
      continue;
    else if (c == '{' || c == '[')
      depth++;
    else if (c == '}' || c == ']')
      depth--;
    if (in_string)
      continue;
    extent.objects += c == '{';
    extent.lists += c == '[';
    extent.commas += c == ',';
    extent.depth = depth > extent.depth ? depth : extent.depth;
  }
  return extent;
}

/* A walk through a text, which knows the current key at each depth. */
typedef struct {
  struct {
    size_t at, length;
  } key[DEPTH_MAX + 1];
  size_t begin, length; /* of the last string */
  int depth, in_string;
} walk;

/* Takes character c, at i. bare: a key counts before its colon has come. */
static void step(walk *w, size_t i, char c, int bare) {
  if (c == '"') {
    w->in_string = !w->in_string;
    if (w->in_string)
      w->begin = i + 1;
    else
      w->length = i - w->begin;
  } else if (w->in_string) {
    return;
  } else if ((c == '{' || c == '[') && w->depth < DEPTH_MAX) {
    w->key[++w->depth].length = 0;
  } else if ((c == '}' || c == ']') && w->depth > 0) {
    w->depth--;
  }
  if (!w->in_string && (c == ':' || (bare && c == '"'))) {
    w->key[w->depth].at = w->begin;
    w->key[w->depth].length = w->length;
  }
}

/* The keys that lead to a place in a text, outermost first, as " (key "A.B")"; empty if
 * there are none. bare: the last may be without its colon. The text nests no deeper
 * than DEPTH_MAX. */
static void name_key(const char *text, size_t bytes, int place, int bare,
                     char out[KEY_SIZE]) {
  walk w;
  size_t used = 0;
  memset(&w, 0, sizeof w);
  for (size_t i = 0; i < bytes && (int64_t)i < place; i++) {
    if (w.in_string && text[i] == '\\')
      i++;
    else
      step(&w, i, text[i], bare);
  }
  out[0] = '\0';
  for (int d = 0; d <= w.depth; d++) {
    const size_t n = w.key[d].length;
    if (n > 0 && n < (KEY_SIZE - used) / 2)
      used +=
          (size_t)snprintf(out + used, KEY_SIZE - used, "%s%.*s",
                           used == 0 ? " (key \"" : ".", (int)n, text + w.key[d].at);
  }
  if (used > 0)
    (void)snprintf(out + used, KEY_SIZE - used, "\")");
}

static lsp_status parse_failed(const char *name, const char *text, size_t bytes,
                               json_error_t *error, lsp_failure *why) {
  char key[KEY_SIZE];
  const enum json_error_code code = json_error_code(error);
  /* When jansson runs out of memory it mostly leaves the text empty. */
  if (code == json_error_out_of_memory || error->text[0] == '\0')
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to read this JSON", name);
  name_key(text, bytes, error->position, code == json_error_duplicate_key, key);
  const char *hint = "correct the file, or fetch it again";
  if (code == json_error_numeric_overflow)
    hint =
        "expected numbers that fit into 64 bits; correct the file, or fetch it again";
  if (code == json_error_invalid_utf8)
    hint = "expected UTF-8; correct the file, or fetch it again";
  if (code == json_error_duplicate_key)
    hint = "expected each key once; remove one of them";
  return lsp_fail(why, LSP_E_FORMAT, "%s: not valid JSON: line %d, column %d%s: %s; %s",
                  name, error->line, error->column, key, error->text, hint);
}

lsp_status lsp_json_parse(const char *name, const char *text, size_t bytes,
                          json_t **out, lsp_failure *why) {
  *out = NULL;
  const lsp__json_extent extent = lsp__json_measure(text, bytes);
  if (extent.depth > DEPTH_MAX)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: lists and objects nest %" PRId64 " deep; expected at most %d; "
                    "this is not a file of a model",
                    name, extent.depth, DEPTH_MAX);
  json_error_t error;
  json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
  if (root == NULL)
    return parse_failed(name, text, bytes, &error, why);
  if (!json_is_object(root)) {
    json_decref(root);
    return lsp_fail(
        why, LSP_E_FORMAT,
        "%s: the whole JSON is a list; expected an object ({...}); check that "
        "this is the file that was meant",
        name);
  }
  *out = root;
  return LSP_OK;
}

static lsp_status read_open_file(int fd, const char *path, int64_t bytes, json_t **out,
                                 lsp_failure *why) {
  char *text = malloc((size_t)bytes + 1);
  if (text == NULL)
    return lsp_fail(why, LSP_E_MEMORY,
                    "%s: not enough memory to read its %" PRId64 " bytes", path, bytes);
  lsp_status status = lsp_read_at(fd, path, text, bytes, 0, why);
  if (status == LSP_OK)
    status = lsp_json_parse(path, text, (size_t)bytes, out, why);
  free(text);
  return status;
}

lsp_status lsp_json_read(const char *path, size_t max_bytes, json_t **out,
                         lsp_failure *why) {
  int fd = -1;
  int64_t bytes = 0;
  *out = NULL;
  LSP_TRY(lsp__regular_open(path, &fd, &bytes, why));
  lsp_status status = LSP_OK;
  if ((uint64_t)bytes > max_bytes)
    status =
        lsp_fail(why, LSP_E_LIMIT,
                 "%s: is %" PRId64 " bytes; expected at most %zu; check that this is "
                 "the file that was meant",
                 path, bytes, max_bytes);
  else
    status = read_open_file(fd, path, bytes, out, why);
  (void)close(fd);
  return status;
}

const char *lsp_json_quote(const json_t *value, char text[LSP_JSON_QUOTE_SIZE]) {
  if (value == NULL)
    return "missing";
  memset(text, 0, LSP_JSON_QUOTE_SIZE);
  const size_t size =
      json_dumpb(value, text, LSP_JSON_QUOTE_SIZE - 1, JSON_ENCODE_ANY | JSON_COMPACT);
  if (size > 0 && size < LSP_JSON_QUOTE_SIZE)
    return text;
  if (json_is_string(value))
    return "a long text";
  return json_is_array(value) ? "a long list" : "an object";
}

/* The value of a key, NULL if missing or null; missing though required is a failure. */
static lsp_status look_up(const json_t *object, const char *path, const char *key,
                          int required, const json_t **value, lsp_failure *why) {
  const json_t *found = json_object_get(object, key);
  *value = json_is_null(found) ? NULL : found;
  if (*value == NULL && required)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: key \"%s\" is %s; add it, or check that this is the file that "
                    "was meant",
                    path, key, found == NULL ? "missing" : "null");
  return LSP_OK;
}

lsp_status lsp_json_int(const json_t *object, const char *path, const char *key,
                        int required, int64_t low, int64_t high, int64_t *value,
                        lsp_failure *why) {
  char text[LSP_JSON_QUOTE_SIZE];
  const json_t *found = NULL;
  LSP_TRY(look_up(object, path, key, required, &found, why));
  if (found == NULL)
    return LSP_OK;
  const int64_t number = json_integer_value(found);
  if (!json_is_integer(found) || number < low || number > high)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: key \"%s\" is %s; expected an integer from %" PRId64
                    " to %" PRId64 "; correct the file",
                    path, key, lsp_json_quote(found, text), low, high);
  *value = number;
  return LSP_OK;
}

lsp_status lsp_json_double(const json_t *object, const char *path, const char *key,
                           int required, double low, double high, double *value,
                           lsp_failure *why) {
  char text[LSP_JSON_QUOTE_SIZE];
  const json_t *found = NULL;
  LSP_TRY(look_up(object, path, key, required, &found, why));
  if (found == NULL)
    return LSP_OK;
  const double number = json_number_value(found);
  if (!json_is_number(found) || !isfinite(number) || number < low || number > high)
    return lsp_fail(
        why, LSP_E_FORMAT,
        "%s: key \"%s\" is %s; expected a number from %g to %g; correct the "
        "file",
        path, key, lsp_json_quote(found, text), low, high);
  *value = number;
  return LSP_OK;
}

int lsp_json_truth(const json_t *value) {
  if (value == NULL || json_is_null(value) || json_is_false(value))
    return 0;
  if (json_is_integer(value))
    return json_integer_value(value) != 0;
  return json_is_true(value) ? 1 : -1;
}

lsp_status lsp_json_bool(const json_t *object, const char *path, const char *key,
                         int *value, lsp_failure *why) {
  char text[LSP_JSON_QUOTE_SIZE];
  const json_t *found = json_object_get(object, key);
  if (found == NULL)
    return LSP_OK;
  const int truth = lsp_json_truth(found);
  if (truth < 0)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: key \"%s\" is %s; expected true or false; correct the file",
                    path, key, lsp_json_quote(found, text));
  *value = truth;
  return LSP_OK;
}

/* All entries are integers in range; nothing is stored before that is known. */
static lsp_status check_entries(const json_t *list, const char *path, const char *key,
                                int64_t low, int64_t high, lsp_failure *why) {
  char text[LSP_JSON_QUOTE_SIZE];
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *entry = json_array_get(list, i);
    const int64_t number = json_integer_value(entry);
    if (!json_is_integer(entry) || number < low || number > high)
      return lsp_fail(why, LSP_E_FORMAT,
                      "%s: key \"%s\"[%zu] is %s; expected an integer from %" PRId64
                      " to %" PRId64 "; correct the file",
                      path, key, i, lsp_json_quote(entry, text), low, high);
  }
  return LSP_OK;
}

/* NOLINTNEXTLINE(readability-function-size): ten parameters by contract */
lsp_status lsp_json_ints(const json_t *object, const char *path, const char *key,
                         int required, int64_t low, int64_t high, int64_t *values,
                         int most, int *count, lsp_failure *why) {
  char text[LSP_JSON_QUOTE_SIZE];
  const json_t *found = NULL;
  LSP_TRY(look_up(object, path, key, required, &found, why));
  if (found == NULL)
    return LSP_OK;
  if (!json_is_array(found))
    return lsp_fail(
        why, LSP_E_FORMAT,
        "%s: key \"%s\" is %s; expected a list of integers; correct the file", path,
        key, lsp_json_quote(found, text));
  const size_t n = json_array_size(found);
  if (n > (size_t)most)
    return lsp_fail(
        why, LSP_E_FORMAT,
        "%s: key \"%s\" has %zu entries; expected at most %d; correct the file", path,
        key, n, most);
  LSP_TRY(check_entries(found, path, key, low, high, why));
  for (size_t i = 0; i < n; i++)
    values[i] = json_integer_value(json_array_get(found, i));
  *count = (int)n;
  return LSP_OK;
}
