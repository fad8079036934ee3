/* The extent of a JSON text, before anything is built from it. Internal to this folder.
 */
#ifndef LSP_FORMAT_JSON_MEASURE_H
#define LSP_FORMAT_JSON_MEASURE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  int64_t depth;   /* deepest nesting of lists and objects */
  int64_t objects; /* "{" outside strings */
  int64_t lists;   /* "[" outside strings */
  int64_t commas;  /* "," outside strings: values are at most this + objects + lists */
} lsp__json_extent;

/* Local. Counts; never fails, whatever the bytes. */
lsp__json_extent lsp__json_measure(const char *text, size_t bytes);

#endif
