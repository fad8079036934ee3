/* One parser for all subcommands: from the rows of a table it fills a structure.
 *
 * What must hold: an accepted value is within the bounds of its row; on failure the
 * message is one line that names the option, what was given and what is possible. */
#include "cli.h"

#include "lsp/corpus.h"
#include "lsp/kernels.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)LSP_INPUT_TEXT == 0 && (int)LSP_INPUT_LONGSPAN == 4 &&
                   (int)LSP_INPUT_AUTO == 5,
               "the words of --input-format in lsp/options.h");
_Static_assert((int)LSP_ISA_PLAIN == 0 && (int)LSP_ISA_AVX512 == 2 &&
                   (int)LSP_ISA_COUNT == 3,
               "the words of --isa in lsp/options.h");

enum { NAME_SIZE = 64 };

static void *field_of(void *into, const lsp_option *o) {
  return (char *)into + o->offset;
}

static void set_defaults(const lsp_command *command, void *into) {
  for (int i = 0; i < command->options; i++) {
    const lsp_option *o = &command->option[i];
    if (o->kind == LSP_OPTION_TEXT)
      *(const char **)field_of(into, o) = NULL;
    else if (o->kind == LSP_OPTION_WRITE)
      *(lsp_write *)field_of(into, o) = (lsp_write){.parts = o->initial};
    else
      *(int64_t *)field_of(into, o) = o->initial;
  }
}

/* 1 if text[0..n) names the option: '-' and '_' are alike. */
static int is_named(const lsp_option *o, const char *text, size_t n) {
  if (strlen(o->field) != n)
    return 0;
  for (size_t i = 0; i < n; i++)
    if (o->field[i] != (text[i] == '-' ? '_' : text[i]))
      return 0;
  return 1;
}

static void name_of(const lsp_option *o, char name[NAME_SIZE]) {
  (void)snprintf(name, NAME_SIZE, "--%s", o->field);
  for (char *c = name; *c != '\0'; c++)
    *c = *c == '_' ? '-' : *c;
}

/* Edit distance of two short words: insertions, deletions, replacements. */
static int distance(const char *a, const char *b) {
  int row[NAME_SIZE];
  const int n = (int)strnlen(b, NAME_SIZE - 1);
  for (int k = 0; k <= n; k++)
    row[k] = k;
  for (int i = 0; a[i] != '\0'; i++) {
    int diagonal = row[0];
    row[0] = i + 1;
    for (int k = 1; k <= n; k++) {
      const int replaced = diagonal + (a[i] != b[k - 1]);
      const int added = (row[k] < row[k - 1] ? row[k] : row[k - 1]) + 1;
      diagonal = row[k];
      row[k] = replaced < added ? replaced : added;
    }
  }
  return row[n];
}

static lsp_status unknown(const lsp_command *command, const char *given, size_t n,
                          lsp_failure *why) {
  char text[NAME_SIZE], name[NAME_SIZE], nearest[NAME_SIZE] = "";
  int least = 4;
  (void)snprintf(text, sizeof text, "%.*s", (int)(n < NAME_SIZE ? n : NAME_SIZE - 1),
                 given);
  for (int i = 0; i < command->options; i++) {
    name_of(&command->option[i], name);
    const int d = n > 4 && strncmp(name, text, n) == 0 ? 0 : distance(text, name);
    if (d < least && (size_t)d < strlen(name) - 2) {
      least = d;
      memcpy(nearest, name, sizeof nearest);
    }
  }
  if (nearest[0] != '\0')
    return lsp_fail(why, LSP_E_USAGE, "%s: no such option; did you mean %s?", text,
                    nearest);
  return lsp_fail(why, LSP_E_USAGE, "%s: no such option; --help lists them", text);
}

static lsp_status out_of_bounds(const lsp_option *o, const char *name,
                                const char *value, lsp_failure *why) {
  if (o->high == INT64_MAX)
    return lsp_fail(why, LSP_E_USAGE, "%s: %.80s is not %lld or more", name, value,
                    (long long)o->low);
  return lsp_fail(why, LSP_E_USAGE, "%s: %.80s is not in [%lld, %lld]", name, value,
                  (long long)o->low, (long long)o->high);
}

static lsp_status take_int(const lsp_option *o, const char *name, const char *value,
                           int64_t *out, lsp_failure *why) {
  char *end = NULL;
  errno = 0;
  const long long n = strtoll(value, &end, 10);
  if (isspace((unsigned char)value[0]) || end == value || *end != '\0')
    return lsp_fail(why, LSP_E_USAGE, "%s: '%.80s' is not a whole number", name, value);
  if (errno == ERANGE || n < o->low || n > o->high)
    return out_of_bounds(o, name, value, why);
  *out = n;
  return LSP_OK;
}

/* Digits up to ':' or the end; -1 if there are none, or too many. */
static int64_t digits(const char **at) {
  int64_t n = 0;
  int count = 0;
  for (; isdigit((unsigned char)**at); (*at)++, count++)
    n = 10 * n + (**at - '0');
  return count > 0 && count <= 12 ? n : -1;
}

static lsp_status take_time(const lsp_option *o, const char *name, const char *value,
                            int64_t *out, lsp_failure *why) {
  const char *at = value;
  int64_t seconds = 0;
  int good = 1, parts = 0;
  do {
    at += parts > 0; /* the ':' */
    const int64_t part = strspn(at, "0123456789") <= 12 ? digits(&at) : -1;
    good = good && part >= 0 && (parts == 0 || part < 60);
    seconds = 60 * seconds + part;
    parts++;
  } while (good && *at == ':' && parts < 3);
  if (!good || *at != '\0')
    return lsp_fail(why, LSP_E_USAGE,
                    "%s: '%.80s' is not a time: H:MM:SS, MM:SS or seconds", name,
                    value);
  if (seconds < o->low || seconds > o->high)
    return out_of_bounds(o, name, value, why);
  *out = seconds;
  return LSP_OK;
}

/* Bytes: a whole number and, perhaps, one of K, M, G. */
static lsp_status take_size(const lsp_option *o, const char *name, const char *value,
                            int64_t *out, lsp_failure *why) {
  static const char unit[] = "KMG";
  const char *at = value;
  int64_t n = digits(&at);
  for (const char *u = unit; n >= 0 && *at != '\0' && *u != '\0'; u++)
    if (toupper((unsigned char)*at) == *u) {
      n <<= 10 * (u - unit + 1);
      at++;
      break;
    }
  if (n < 0 || *at != '\0')
    return lsp_fail(why, LSP_E_USAGE,
                    "%s: '%.80s' is not a size: a number of bytes, or one with K, M or "
                    "G",
                    name, value);
  if (n < o->low || n > o->high)
    return out_of_bounds(o, name, value, why);
  *out = n;
  return LSP_OK;
}

/* Index of the word text[0..n) in a list with '|' or ',' between the words; -1: not in
 * it. */
static int word_number(const char *list, const char *text, size_t n) {
  for (int i = 0;; i++) {
    const size_t length = strcspn(list, "|,");
    if (length == n && strncmp(list, text, n) == 0)
      return i;
    if (list[length] == '\0')
      return -1;
    list += length + 1;
  }
}

static lsp_status take_word(const lsp_option *o, const char *name, const char *value,
                            int64_t *out, lsp_failure *why) {
  const int i = word_number(o->argument, value, strlen(value));
  if (i < 0)
    return lsp_fail(why, LSP_E_USAGE, "%s: '%.80s' is not one of %s", name, value,
                    o->argument);
  *out = o->low + i;
  return LSP_OK;
}

/* The LAYER of text[0..n) = "hidden:LAYER", where that is how it begins; -1: it is
 * something else. */
static int layer_number(const char *begin, const char *text, size_t n) {
  const size_t at = strlen(begin);
  int layer = 0;
  if (n <= at || n > at + 6 || strncmp(text, begin, at) != 0)
    return -1;
  for (size_t i = at; i < n; i++) {
    if (!isdigit((unsigned char)text[i]))
      return -1;
    layer = 10 * layer + (text[i] - '0');
  }
  return layer;
}

/* One layer more, each once, rising. 0: too many. */
static int add_layer(int *layers, int list[LSP_WRITE_LAYERS], int layer) {
  int i = 0;
  while (i < *layers && list[i] < layer)
    i++;
  if (i < *layers && list[i] == layer)
    return 1;
  if (*layers == LSP_WRITE_LAYERS)
    return 0;
  memmove(list + i + 1, list + i, (size_t)(*layers - i) * sizeof list[0]);
  list[i] = layer;
  ++*layers;
  return 1;
}

/* "hidden:LAYER" or "chosen:LAYER". */
static lsp_status take_layer(const char *name, const char *word, int hidden, int chosen,
                             const char *words, lsp_write *write, lsp_failure *why) {
  const size_t n = strcspn(word, ",");
  if (hidden < 0 && chosen < 0)
    return lsp_fail(why, LSP_E_USAGE,
                    "%s: '%.*s' is not one of %s,hidden:LAYER,chosen:LAYER", name,
                    (int)(n < 80 ? n : 80), word, words);
  if (hidden >= 0 ? add_layer(&write->layers, write->layer, hidden)
                  : add_layer(&write->chosen_layers, write->chosen_layer, chosen))
    return LSP_OK;
  return lsp_fail(why, LSP_E_USAGE,
                  "%s: more than %d layers; write them in several runs", name,
                  LSP_WRITE_LAYERS);
}

static lsp_status take_write(const lsp_option *o, const char *name, const char *value,
                             lsp_write *out, lsp_failure *why) {
  lsp_write write = {.parts = 0};
  for (const char *at = value;; at++) {
    const size_t n = strcspn(at, ",");
    const int i = word_number(o->argument, at, n);
    if (i >= 0)
      write.parts |= (int64_t)1 << i;
    else
      LSP_TRY(take_layer(name, at, layer_number("hidden:", at, n),
                         layer_number("chosen:", at, n), o->argument, &write, why));
    at += n;
    if (*at == '\0')
      break;
  }
  *out = write;
  return LSP_OK;
}

static lsp_status take(const lsp_option *o, const char *name, const char *value,
                       void *field, lsp_failure *why) {
  switch (o->kind) {
  case LSP_OPTION_TEXT:
    if (value[0] == '\0')
      return lsp_fail(why, LSP_E_USAGE, "%s: is empty; give %s", name, o->argument);
    *(const char **)field = value;
    return LSP_OK;
  case LSP_OPTION_INT:
    return take_int(o, name, value, field, why);
  case LSP_OPTION_TIME:
    return take_time(o, name, value, field, why);
  case LSP_OPTION_SIZE:
    return take_size(o, name, value, field, why);
  case LSP_OPTION_WORDS:
    return take_word(o, name, value, field, why);
  case LSP_OPTION_WRITE:
    return take_write(o, name, value, field, why);
  case LSP_OPTION_FLAG:
    break;
  }
  *(int64_t *)field = 1;
  return LSP_OK;
}

/* The option at argv[*i], with its value, which may be argv[*i + 1]. */
static lsp_status take_option(const lsp_command *command, int argc, char **argv, int *i,
                              void *into, lsp_failure *why) {
  const char *given = argv[*i], *value = strchr(given, '=');
  const size_t n = value == NULL ? strlen(given) : (size_t)(value - given);
  const lsp_option *o = NULL;
  char name[NAME_SIZE];
  for (int k = 0; k < command->options && o == NULL; k++)
    if (n > 2 && given[1] == '-' && is_named(&command->option[k], given + 2, n - 2))
      o = &command->option[k];
  if (o == NULL)
    return unknown(command, given, n, why);
  name_of(o, name);
  if (o->kind == LSP_OPTION_FLAG) {
    if (value != NULL)
      return lsp_fail(why, LSP_E_USAGE, "%s: takes no value, but was given '%.80s'",
                      name, value + 1);
    return take(o, name, NULL, field_of(into, o), why);
  }
  if (value == NULL && (*i + 1 == argc || strncmp(argv[*i + 1], "--", 2) == 0))
    return lsp_fail(why, LSP_E_USAGE, "%s: needs a value: %s", name, o->argument);
  return take(o, name, value == NULL ? argv[++*i] : value + 1, field_of(into, o), why);
}

lsp_status lsp_parse(const lsp_command *command, int argc, char **argv, void *into,
                     const char **input, int *inputs, lsp_failure *why) {
  int plain = 0; /* after "--" */
  set_defaults(command, into);
  *inputs = 0;
  for (int i = 1; i < argc; i++) {
    if (!plain && strcmp(argv[i], "--") == 0)
      plain = 1;
    else if (plain || argv[i][0] != '-' || argv[i][1] == '\0')
      input[(*inputs)++] = argv[i];
    else
      LSP_TRY(take_option(command, argc, argv, &i, into, why));
  }
  return LSP_OK;
}

int lsp_complain(const lsp_failure *why) {
  lsp_print_line(stderr, "longspan: %s", why->text);
  return lsp_exit_status(why->status);
}
