/* JSON files that we did not write: read strictly (jansson), asked for by key with a
 * range, and refused by a message that names file and key.
 *
 * Local, all of it. */
#ifndef LSP_JSON_H
#define LSP_JSON_H

#include "lsp/status.h"

#include <jansson.h>
#include <stdint.h>

/* Reads a whole JSON object from a file of at most max_bytes. Duplicate keys, invalid
 * UTF-8, NaN and Infinity, and trailing text are refused (file, line, column).
 * The caller owns *out (json_decref). */
lsp_status lsp_json_read(const char *path, size_t max_bytes, json_t **out,
                         lsp_failure *why);

/* The same from memory; `name` stands for it in messages. */
lsp_status lsp_json_parse(const char *name, const char *text, size_t bytes,
                          json_t **out, lsp_failure *why);

/* One key of an object read from `path` (used in messages only).
 * required != 0: a missing key is an error; otherwise *value keeps what it holds
 * (the default). JSON null counts as missing. */
lsp_status lsp_json_int(const json_t *object, const char *path, const char *key,
                        int required, int64_t low, int64_t high, int64_t *value,
                        lsp_failure *why);
lsp_status lsp_json_double(const json_t *object, const char *path, const char *key,
                           int required, double low, double high, double *value,
                           lsp_failure *why);
/* A value in a few printable words, for messages: itself if short, else its kind; "missing"
 * for NULL. Returns text or a constant. */
enum { LSP_JSON_QUOTE_SIZE = 64 };
const char *lsp_json_quote(const json_t *value, char text[LSP_JSON_QUOTE_SIZE]);

/* A truth value as Python takes it: 1 for true and an integer other than 0, 0 for false,
 * 0, null and what is not there (NULL), -1 for all else. */
int lsp_json_truth(const json_t *value);

/* A truth value by its key; a missing one keeps what *value holds, null is false. */
lsp_status lsp_json_bool(const json_t *object, const char *path, const char *key,
                         int *value, lsp_failure *why);

/* A list of integers: at most `most` of them into values (lent), count into *count. */
lsp_status lsp_json_ints(const json_t *object, const char *path, const char *key,
                         int required, int64_t low, int64_t high, int64_t *values,
                         int most, int *count, lsp_failure *why);

#endif
