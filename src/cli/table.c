/* Rows as TSV, CSV or JSON Lines.
 *
 * What must hold: whatever bytes a text has, a reader of the format gets the same rows and
 * columns, and the text as errors="replace" decodes it. */
#include "table.h"

#include "lsp/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
static const char ellipsis[] = "\xe2\x80\xa6";    /* a text goes on */

static void begin_value(lsp_table *t) {
  if (t->format == LSP_TABLE_JSONL)
    (void)fprintf(t->f, "%c\"%s\":", t->column == 0 ? '{' : ',', t->name[t->column]);
  else if (t->column > 0)
    (void)fputc(t->format == LSP_TABLE_TSV ? '\t' : ',', t->f);
}

static void end_row(lsp_table *t) {
  t->column = 0;
  if (t->format == LSP_TABLE_CSV)
    (void)fputs("\r\n", t->f);
  else
    (void)fputs(t->format == LSP_TABLE_JSONL ? "}\n" : "\n", t->f);
}

static void end_value(lsp_table *t) {
  if (++t->column == t->columns)
    end_row(t);
}

void lsp_table_begin(lsp_table *t, FILE *f, lsp_table_format format,
                     const char *const *name, int columns) {
  *t = (lsp_table){.f = f, .format = format, .name = name, .columns = columns};
  if (format == LSP_TABLE_JSONL)
    return;
  for (int i = 0; i < columns; i++) {
    begin_value(t);
    (void)fputs(name[i], f);
    end_value(t);
  }
}

void lsp_table_unknown(lsp_table *t) {
  begin_value(t);
  if (t->format == LSP_TABLE_JSONL)
    (void)fputs("null", t->f);
  end_value(t);
}

void lsp_table_int(lsp_table *t, int64_t value) {
  char text[24], *at = text + sizeof text;
  uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  do
    *--at = (char)('0' + left % 10);
  while ((left /= 10) > 0);
  if (value < 0)
    *--at = '-';
  begin_value(t);
  (void)fwrite(at, 1, (size_t)(text + sizeof text - at), t->f);
  end_value(t);
}

/* Digits that give the number back: most need this many or one more, and %g leaves out
 * zeros at the end. */
static void put_number(lsp_table *t, double value, int is_float) {
  char text[40];
  int digits = is_float ? 8 : 16;
  if (!isfinite(value)) {
    lsp_table_unknown(t);
    return;
  }
  do
    (void)snprintf(text, sizeof text, "%.*g", digits, value);
  while (digits++ < (is_float ? 9 : 17) &&
         (is_float ? strtof(text, NULL) != (float)value : strtod(text, NULL) != value));
  begin_value(t);
  (void)fputs(text, t->f);
  end_value(t);
}

void lsp_table_float(lsp_table *t, float value) {
  put_number(t, (double)value, 1);
}

void lsp_table_double(lsp_table *t, double value) {
  put_number(t, value, 0);
}

/* --- text ------------------------------------------------------------------------ */

/* What stands for a byte of ASCII in the format; NULL: itself. */
static const char *escape_of(lsp_table_format format, char c) {
  const int json = format == LSP_TABLE_JSONL;
  switch (c) {
  case '\t':
    return format == LSP_TABLE_CSV ? NULL : "\\t";
  case '\n':
    return format == LSP_TABLE_CSV ? NULL : "\\n";
  case '\r':
    return format == LSP_TABLE_CSV ? NULL : "\\r";
  case '\\':
    return format == LSP_TABLE_CSV ? NULL : "\\\\";
  case '"':
    return json ? "\\\"" : format == LSP_TABLE_CSV ? "\"\"" : NULL;
  case '\0':
    return json ? "\\u0000" : replacement;
  default:
    return NULL;
  }
}

static void put_ascii(const lsp_table *t, char c) {
  const char *escape = escape_of(t->format, c);
  if (escape != NULL)
    (void)fputs(escape, t->f);
  else if (t->format == LSP_TABLE_JSONL && (unsigned char)c < ' ')
    (void)fprintf(t->f, "\\u%04x", (unsigned)c);
  else
    (void)fputc(c, t->f);
}

/* Bytes of ASCII that need no escape in any format. */
static size_t plain(const char *text, size_t n) {
  size_t i = 0;
  for (; i < n; i++) {
    const unsigned char c = (unsigned char)text[i];
    if (c < ' ' || c > '~' || c == '"' || c == '\\')
      break;
  }
  return i;
}

static void put_text(const lsp_table *t, const char *text, size_t n) {
  for (size_t i = 0; i < n;) {
    const size_t run = plain(text + i, n - i);
    if (run > 0)
      (void)fwrite(text + i, 1, run, t->f);
    i += run;
    if (i == n)
      return;
    const size_t length = lsp_text_utf8(text + i, n - i);
    if (length == 1)
      put_ascii(t, text[i]);
    else if (length > 1)
      (void)fwrite(text + i, 1, length, t->f);
    else
      (void)fputs(replacement, t->f);
    i += length > 0 ? length : lsp_text_ill_formed(text + i, n - i);
  }
}

static int needs_quotes(const lsp_table *t, const char *text, size_t n) {
  if (t->format != LSP_TABLE_CSV)
    return t->format == LSP_TABLE_JSONL;
  for (size_t i = 0; i < n; i++)
    if (text[i] == ',' || text[i] == '"' || text[i] == '\n' || text[i] == '\r')
      return 1;
  return 0;
}

/* Bytes of a text that was cut somewhere, without a part of a character at its end. */
static size_t whole_characters(const char *text, size_t n) {
  size_t begin = n;
  while (begin > 0 && n - begin < 3 && ((unsigned char)text[begin - 1] & 0xc0) == 0x80)
    begin--;
  if (begin == 0 || (unsigned char)text[begin - 1] < 0xc2)
    return n;
  return lsp_text_utf8(text + begin - 1, n - begin + 1) > 0 ? n : begin - 1;
}

void lsp_table_text(lsp_table *t, const char *text, size_t bytes, int is_cut) {
  const int quotes = needs_quotes(t, text, bytes);
  begin_value(t);
  if (quotes)
    (void)fputc('"', t->f);
  put_text(t, text, is_cut ? whole_characters(text, bytes) : bytes);
  if (is_cut)
    (void)fputs(ellipsis, t->f);
  if (quotes)
    (void)fputc('"', t->f);
  end_value(t);
}
