/* The semantic options as JSON: what FILE.run.json shows of the command line. */
#include "lsp/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Word i of a list such as "zeros|empty"; the length into *n. */
static const char *word_at(const char *list, int64_t i, size_t *n) {
  for (; i > 0; i--)
    list += strcspn(list, "|,") + 1;
  *n = strcspn(list, "|,");
  return list;
}

static void put_int(FILE *f, int64_t value) {
  if (value < 0)
    (void)fputs("null", f);
  else
    (void)fprintf(f, "%lld", (long long)value);
}

static void put_word(FILE *f, const char *list, int64_t low, int64_t high,
                     int64_t value) {
  size_t n;
  if (value < low || value > high) {
    (void)fputs("null", f);
    return;
  }
  const char *word = word_at(list, value - low, &n);
  (void)fprintf(f, "\"%.*s\"", (int)n, word);
}

static void put_write(FILE *f, const char *list, const lsp_write *write) {
  const char *comma = "";
  (void)fputc('[', f);
  for (int64_t i = 0; write->parts >> i != 0; i++) {
    size_t n;
    if ((write->parts >> i & 1) == 0)
      continue;
    const char *word = word_at(list, i, &n);
    (void)fprintf(f, "%s\"%.*s\"", comma, (int)n, word);
    comma = ", ";
  }
  for (int i = 0; i < write->layers; i++, comma = ", ")
    (void)fprintf(f, "%s\"hidden:%d\"", comma, write->layer[i]);
  for (int i = 0; i < write->chosen_layers; i++, comma = ", ")
    (void)fprintf(f, "%s\"chosen:%d\"", comma, write->chosen_layer[i]);
  (void)fputc(']', f);
}

/* A TEXT option is recorded as given or not given: its content is in the file's
 * identity. */
static void put_value(FILE *f, const char *kind, const char *list, int64_t low,
                      int64_t high, int64_t value) {
  if (strcmp(kind, "WORDS") == 0)
    put_word(f, list, low, high, value);
  else if (strcmp(kind, "FLAG") == 0 || strcmp(kind, "TEXT") == 0)
    (void)fputs(value ? "true" : "false", f);
  else
    put_int(f, value);
}

#define VALUE_TEXT(field) options->field != NULL
#define VALUE_INT(field) options->field
#define VALUE_TIME(field) options->field
#define VALUE_SIZE(field) options->field
#define VALUE_FLAG(field) options->field
#define VALUE_WORDS(field) options->field
#define VALUE_WRITE(field) options->field.parts

char *lsp_options_record(const lsp_options *options) {
  static const struct {
    const char *kind, *name, *list;
    int64_t low, high;
    int semantic;
  } row[] = {
#define X(kind, field, initial, low, high, semantic, argument, help)                   \
  {#kind, #field, argument, low, high, semantic},
      LSP_OPTION_TABLE(X)
#undef X
  };
  const int64_t value[] = {
#define X(kind, field, initial, low, high, semantic, argument, help)                   \
  VALUE_##kind(field),
      LSP_OPTION_TABLE(X)
#undef X
  };
  char *text = NULL;
  size_t bytes = 0;
  const char *comma = "";
  FILE *f = open_memstream(&text, &bytes);
  if (f == NULL)
    return NULL;
  (void)fputc('{', f);
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    if (!row[i].semantic)
      continue;
    (void)fprintf(f, "%s\"%s\": ", comma, row[i].name);
    if (strcmp(row[i].kind, "WRITE") == 0)
      put_write(f, row[i].list, &options->write);
    else
      put_value(f, row[i].kind, row[i].list, row[i].low, row[i].high, value[i]);
    comma = ", ";
  }
  (void)fputc('}', f);
  if (fclose(f) == 0)
    return text;
  free(text);
  return NULL;
}
