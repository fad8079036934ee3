/* An object of a config.json, and its place in it: values by key, whose messages name key,
 * value and what is allowed. Internal to the model module. Local. */
#ifndef LSP_SOURCE_H
#define LSP_SOURCE_H

#include "lsp/json.h"

#include <stdint.h>

enum { LSP_LABEL_SIZE = 160 };

typedef struct {
  const json_t *json;
  const char *path;
  const char *place; /* "layers[3].branches[0]"; "" for the whole */
  lsp_failure *why;
} lsp_source;

/* The key with its place, as messages name it. */
const char *lsp__source_label(const lsp_source *s, const char *key,
                              char label[LSP_LABEL_SIZE]);

/* The value of a key; NULL if it is missing or null. */
const json_t *lsp__source_get(const lsp_source *s, const char *key);

/* A failure that says: key, value, what is expected. */
lsp_status lsp__source_refuse(const lsp_source *s, const char *key, const json_t *value,
                              const char *expected, ...)
    __attribute__((format(printf, 4, 5)));

/* A failure of a file that is right, but asks for what this program has not. */
lsp_status lsp__source_unable(const lsp_source *s, const char *key, const json_t *value,
                              const char *known, ...)
    __attribute__((format(printf, 4, 5)));

lsp_status lsp__source_int(const lsp_source *s, const char *key, int required,
                           int64_t low, int64_t high, int64_t *value);
/* A list of at most `most` integers into values (lent), their number into *count; a missing
 * one leaves both. */
lsp_status lsp__source_ints(const lsp_source *s, const char *key, int64_t low,
                            int64_t high, int64_t *values, int most, int *count);
/* As Python takes truth: 0, 1 and null will do, too. */
lsp_status lsp__source_truth(const lsp_source *s, const char *key, int *value);
/* What is neither 0 nor a normal number in float32 is refused. */
lsp_status lsp__source_real(const lsp_source *s, const char *key, double low,
                            double high, double *value);
lsp_status lsp__source_switch(const lsp_source *s, const char *key, int *value);
/* words ended by NULL. required: a missing key is refused. */
lsp_status lsp__source_word(const lsp_source *s, const char *key, int required,
                            const char *const *words, int *value);
/* Refuses keys that are not in the list (ended by NULL) and do not begin with "_". */
lsp_status lsp__source_known(const lsp_source *s, const char *const *keys);

/* XXH3-128 of a value as canonical JSON: keys sorted, no spaces. NULL: no memory was left
 * to make it. */
lsp_status lsp__source_hash(const lsp_source *s, const json_t *value,
                            unsigned char hash[16]);

#endif
