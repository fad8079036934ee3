/* A splitting rule's pattern, which Oniguruma (Ruby's syntax) reads in `tokenizers`, for
 * PCRE2.
 *
 * The two agree on the constructs below, and only these are let through:
 *
 *   characters, . | (?: ) (?i: ) (?= ) (?! ) (?> ) ( ) * + ? {n} {n,} {n,m}, lazy and
 *   possessive forms of * + ?, classes of characters, ranges and properties, \r \n \t \f
 *   \v \s \S \d \D, \p{..} of general categories, \uXXXX, escaped punctuation
 *
 * Where they do not, the pattern is rewritten: \s is Unicode's White_Space there, and also
 * U+180E in PCRE2; \v is one character there; ( ) need not capture. */
#include "tokenizer_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHITE                                                                          \
  "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"      \
  "\\x{205f}\\x{3000}"

/* Letters and numbers of Unicode 16, which Oniguruma knows there, that Unicode 14 has not:
 * PCRE2 10.40 to 10.42 know no later one. (Other categories are those of PCRE2.) */
static const char letters_since[] =
    "\\x{1c89}-\\x{1c8a}\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}"
    "\\x{105c0}-\\x{105f3}\\x{10d4a}-\\x{10d65}\\x{10d6f}-\\x{10d85}"
    "\\x{10ec2}-\\x{10ec4}\\x{1123f}-\\x{11240}\\x{11380}-\\x{11389}"
    "\\x{1138b}\\x{1138e}\\x{11390}-\\x{113b5}\\x{113b7}\\x{113d1}\\x{113d3}"
    "\\x{11bc0}-\\x{11be0}\\x{11f02}\\x{11f04}-\\x{11f10}"
    "\\x{11f12}-\\x{11f33}\\x{1342f}\\x{13441}-\\x{13446}"
    "\\x{13460}-\\x{143fa}\\x{16100}-\\x{1611d}\\x{16d40}-\\x{16d6c}"
    "\\x{18cff}\\x{1b132}\\x{1b155}\\x{1df25}-\\x{1df2a}\\x{1e030}-\\x{1e06d}"
    "\\x{1e4d0}-\\x{1e4eb}\\x{1e5d0}-\\x{1e5ed}\\x{1e5f0}\\x{2b739}"
    "\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}";
static const char numbers_since[] =
    "\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}"
    "\\x{11f50}-\\x{11f59}\\x{16130}-\\x{16139}\\x{16d70}-\\x{16d79}"
    "\\x{1ccf0}-\\x{1ccf9}\\x{1d2c0}-\\x{1d2d3}\\x{1e4f0}-\\x{1e4f9}"
    "\\x{1e5f1}-\\x{1e5fa}";

enum { GROUPS_MOST = 32, REPEAT_MOST = 999, OUT_SIZE = 8 * LSP__PATTERN_SIZE };

typedef struct {
  const lsp__spot *spot;
  const char *pattern, *at;
  char *out;
  size_t n, room;
  int caseless[GROUPS_MOST + 1]; /* of every open group */
  int depth;
  int atom; /* what stands before can be repeated */
  int failed;
} reader;

static void put(reader *r, const char *text) {
  const size_t n = strlen(text);
  if (r->room - r->n <= n) {
    r->failed = 1;
    return;
  }
  memcpy(r->out + r->n, text, n + 1);
  r->n += n;
}

static void put_bytes(reader *r, const char *text, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const char c[2] = {text[i], '\0'};
    put(r, c);
  }
}

static lsp_status refuse(const reader *r, const char *what, lsp_failure *why) {
  char text[LSP_MESSAGE_SIZE / 2];
  char part[16];
  size_t n = 0;
  for (const char *c = r->at; *c != '\0' && n + 1 < sizeof part; c++)
    part[n++] = (unsigned char)*c >= ' ' && (unsigned char)*c < 0x7f ? *c : '?';
  part[n] = '\0';
  (void)snprintf(
      text, sizeof text,
      "%s at byte %zu of the pattern (\"%s\") is not known here; make the ids "
      "with the tokenizer's own library and give them instead of text",
      what, (size_t)(r->at - r->pattern), part);
  return lsp__spot_fail(r->spot, LSP_E_FORMAT, text, why);
}

/* \p{NAME} or \P{NAME} at r->at: a general category. */
static lsp_status read_property(reader *r, int in_class, lsp_failure *why) {
  static const char known[] = " L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe "
                              "Pi Pf Po S Sm Sc Sk So Z Zs "
                              "Zl Zp C Cc Cf Cn Co Cs ";
  char word[8];
  const char *name = r->at + 3;
  const size_t n = r->at[2] == '{' ? strcspn(name, "}") : 0;
  if (n == 0 || n > 2 || name[n] != '}')
    return refuse(r, "this property", why);
  (void)snprintf(word, sizeof word, " %.*s ", (int)n, name);
  if (strstr(known, word) == NULL || r->caseless[r->depth])
    return refuse(r, "this property", why);
  const char *since = strcmp(word, " L ") == 0   ? letters_since
                      : strcmp(word, " N ") == 0 ? numbers_since
                                                 : NULL;
  const int negated = since != NULL && r->at[1] == 'P';
  if (negated && in_class)
    return refuse(r, "this property in a class", why);
  if (since != NULL && !in_class)
    put(r, negated ? "[^" : "[");
  put_bytes(r, negated ? "\\p" : r->at, 2);
  put_bytes(r, r->at + 2, n + 2);
  if (since != NULL)
    put(r, since);
  if (since != NULL && !in_class)
    put(r, "]");
  r->at += n + 4;
  return LSP_OK;
}

/* \uXXXX at r->at. */
static lsp_status read_code(reader *r, lsp_failure *why) {
  char text[16];
  for (int i = 2; i < 6; i++)
    if (!isxdigit((unsigned char)r->at[i]))
      return refuse(r, "this escape", why);
  (void)snprintf(text, sizeof text, "\\x{%.4s}", r->at + 2);
  put(r, text);
  r->at += 6;
  return LSP_OK;
}

/* An escape at r->at; *single: it stands for one character. */
static lsp_status read_escape(reader *r, int in_class, int *single, lsp_failure *why) {
  const char c = r->at[1];
  *single = 0;
  if (c == 'p' || c == 'P')
    return read_property(r, in_class, why);
  if (c == 's')
    put(r, in_class ? WHITE : "[" WHITE "]");
  else if (c == 'S' && !in_class)
    put(r, "[^" WHITE "]");
  else if (c == 'd' || c == 'D')
    put(r, c == 'd' ? "\\p{Nd}" : "\\P{Nd}");
  else
    *single = 1;
  if (*single && c == 'u')
    return read_code(r, why);
  if (*single && c == 'v')
    put(r, "\\x{0b}");
  else if (*single &&
           (c == 'r' || c == 'n' || c == 't' || c == 'f' || ispunct((unsigned char)c)))
    put_bytes(r, r->at, 2);
  else if (*single)
    return refuse(r, "this escape", why);
  r->at += 2;
  return LSP_OK;
}

/* One character at r->at, which means itself. */
static void read_literal(reader *r) {
  size_t n = 0;
  (void)lsp__character((const unsigned char *)r->at, strlen(r->at), &n);
  put_bytes(r, r->at, n);
  r->at += n;
}

/* A hyphen of a class at r->at: a range between two characters, itself at either end, and
 * refused elsewhere. *single: the item before it is one character. */
static lsp_status read_hyphen(reader *r, int at_end, int *single, lsp_failure *why) {
  int last = 1;
  if (at_end) {
    put(r, "\\-");
    r->at++;
    *single = 0;
    return LSP_OK;
  }
  if (!*single || r->at[1] == '[' || r->at[1] == '\0')
    return refuse(r, "this range", why);
  put(r, "-");
  r->at++;
  if (*r->at == '\\')
    LSP_TRY(read_escape(r, 1, &last, why));
  else
    read_literal(r);
  if (!last || (*r->at == '-' && r->at[1] != ']'))
    return refuse(r, "this range", why);
  *single = 0;
  return LSP_OK;
}

/* One item of a class at r->at. */
static lsp_status read_item(reader *r, int first, int *single, lsp_failure *why) {
  if (*r->at == '[' || (r->at[0] == '&' && r->at[1] == '&'))
    return refuse(r, "a class in a class", why);
  if (*r->at == '-')
    return read_hyphen(r, first || r->at[1] == ']', single, why);
  if (*r->at == '\\')
    return read_escape(r, 1, single, why);
  read_literal(r);
  *single = 1;
  return LSP_OK;
}

static lsp_status read_class(reader *r, lsp_failure *why) {
  put(r, "[");
  r->at++;
  if (*r->at == '^') {
    if (r->caseless[r->depth])
      return refuse(r, "a negated class without case", why);
    put(r, "^");
    r->at++;
  }
  int items = 0;
  int single = 0;
  for (; *r->at != ']' && *r->at != '\0'; items++)
    LSP_TRY(read_item(r, items == 0, &single, why));
  if (*r->at != ']' || items == 0)
    return refuse(r, "a class without an end", why);
  put(r, "]");
  r->at++;
  return LSP_OK;
}

/* What opens a group at r->at. */
static lsp_status open_group(reader *r, lsp_failure *why) {
  static const char *const known[] = {"(?:", "(?i:", "(?=", "(?!", "(?>"};
  if (r->depth == GROUPS_MOST)
    return refuse(r, "a group so deep", why);
  r->caseless[r->depth + 1] = r->caseless[r->depth];
  r->depth++;
  if (r->at[1] != '?') {
    put(r, "(?:");
    r->at++;
    return LSP_OK;
  }
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strncmp(r->at, known[i], strlen(known[i])) == 0) {
      put(r, known[i]);
      r->at += strlen(known[i]);
      r->caseless[r->depth] |= i == 1;
      return LSP_OK;
    }
  return refuse(r, "this group", why);
}

/* {n}, {n,} or {n,m} at r->at. */
static lsp_status read_interval(reader *r, lsp_failure *why) {
  char *end = NULL;
  if (!isdigit((unsigned char)r->at[1]))
    return refuse(r, "this repetition", why);
  const unsigned long least = strtoul(r->at + 1, &end, 10);
  unsigned long most = least;
  if (*end == ',' && isdigit((unsigned char)end[1]))
    most = strtoul(end + 1, &end, 10);
  else if (*end == ',')
    end++;
  if (*end != '}' || least > most || most > REPEAT_MOST || end[1] == '?' ||
      end[1] == '+')
    return refuse(r, "this repetition", why);
  put_bytes(r, r->at, (size_t)(end + 1 - r->at));
  r->at = end + 1;
  return LSP_OK;
}

static lsp_status read_repeat(reader *r, lsp_failure *why) {
  if (!r->atom)
    return refuse(r, "this repetition", why);
  r->atom = 0;
  if (*r->at == '{')
    return read_interval(r, why);
  const size_t n = r->at[1] == '?' || r->at[1] == '+' ? 2 : 1;
  put_bytes(r, r->at, n);
  r->at += n;
  return LSP_OK;
}

/* Without case some pairs of letters are one character (ss and U+00DF), which PCRE2 does
 * not know. */
static int is_pair_without_case(const reader *r) {
  static const char *const pair[] = {"ss", "st", "ff", "fi", "fl"};
  for (size_t i = 0; i < sizeof pair / sizeof pair[0]; i++)
    if (tolower((unsigned char)r->at[0]) == pair[i][0] &&
        tolower((unsigned char)r->at[1]) == pair[i][1])
      return 1;
  return 0;
}

static lsp_status read_one(reader *r, lsp_failure *why) {
  int single = 0;
  const char c = *r->at;
  if (c == '*' || c == '+' || c == '?' || c == '{')
    return read_repeat(r, why);
  r->atom = 1;
  if (c == '\\')
    return read_escape(r, 0, &single, why);
  if (c == '[')
    return read_class(r, why);
  if (c == '(' || c == '|' || c == ')')
    r->atom = c == ')';
  if (c == '(')
    return open_group(r, why);
  if (c == ')' && --r->depth < 0)
    return refuse(r, "an end of no group", why);
  if (c == '^' || c == '$' || c == ']' || c == '}')
    return refuse(r, "this character", why);
  if (r->caseless[r->depth] && ((unsigned char)c >= 0x80 || is_pair_without_case(r)))
    return refuse(r, "this character without case", why);
  read_literal(r);
  return LSP_OK;
}

static lsp_status translate(reader *r, lsp_failure *why) {
  while (*r->at != '\0' && !r->failed)
    LSP_TRY(read_one(r, why));
  if (r->failed)
    return refuse(r, "a pattern so long", why);
  return r->depth == 0 ? LSP_OK : refuse(r, "a group without an end", why);
}

static lsp_status compile(const lsp__spot *s, const char *pattern, lsp__rule *rule,
                          lsp_failure *why) {
  int code = 0;
  size_t place = 0;
  uint32_t empty = 0;
  pcre2_compile_context *context = pcre2_compile_context_create(NULL);
  if (context == NULL)
    return lsp__spot_fail(s, LSP_E_MEMORY, "not enough memory for its pattern", why);
  (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  rule->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                             PCRE2_UTF | PCRE2_UCP, &code, &place, context);
  pcre2_compile_context_free(context);
  if (rule->code == NULL) {
    char text[LSP_MESSAGE_SIZE / 2] = "is a pattern that PCRE2 refuses: ";
    const size_t n = strlen(text);
    (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)text + n, sizeof text - n);
    return lsp__spot_fail(s, LSP_E_FORMAT, text, why);
  }
  (void)pcre2_pattern_info(rule->code, PCRE2_INFO_MATCHEMPTY, &empty);
  if (empty)
    return lsp__spot_fail(
        s, LSP_E_FORMAT,
        "is a pattern that matches nothing at all in places; expected one "
        "that takes a character at least; correct the file",
        why);
  rule->jit = pcre2_jit_compile(rule->code, PCRE2_JIT_COMPLETE) == 0;
  return LSP_OK;
}

lsp_status lsp__regex_compile(const lsp__spot *s, const char *pattern, lsp__rule *rule,
                              lsp_failure *why) {
  char *out = malloc(OUT_SIZE);
  if (out == NULL)
    return lsp__spot_fail(s, LSP_E_MEMORY, "not enough memory for its pattern", why);
  reader r = {
      .spot = s, .pattern = pattern, .at = pattern, .out = out, .room = OUT_SIZE};
  lsp_status status = translate(&r, why);
  if (status == LSP_OK)
    status = compile(s, out, rule, why);
  free(out);
  return status;
}
