/* The shown and the stored form of text: one walk over its characters.
 *
 * What must hold: what is written is printable UTF-8 whatever was read, and only whole
 * characters and escapes are written. */
#include "lsp/text.h"

#include <string.h>

size_t lsp_text_utf8(const char *text, size_t n) {
  const unsigned char *c = (const unsigned char *)text;
  if (n == 0 || (c[0] >= 0x80 && c[0] < 0xc2) || c[0] > 0xf4)
    return 0;
  const size_t length = c[0] < 0x80 ? 1 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
  if (length > n)
    return 0;
  for (size_t i = 1; i < length; i++)
    if ((c[i] & 0xc0) != 0x80)
      return 0;
  /* overlong forms, surrogates, and what lies beyond U+10FFFF */
  if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
      (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
    return 0;
  return length;
}

size_t lsp_text_ill_formed(const char *text, size_t n) {
  const unsigned char *c = (const unsigned char *)text;
  if (c[0] < 0xe0 || c[0] > 0xf4 || n < 2)
    return 1;
  const unsigned low = c[0] == 0xe0 ? 0xa0 : c[0] == 0xf0 ? 0x90 : 0x80;
  const unsigned high = c[0] == 0xed ? 0x9f : c[0] == 0xf4 ? 0x8f : 0xbf;
  if (c[1] < low || c[1] > high)
    return 1;
  return c[0] >= 0xf0 && n > 2 && (c[2] & 0xc0) == 0x80 ? 3 : 2;
}

/* Beyond ASCII: U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F,
 * U+3000. */
size_t lsp_text_white(const char *text, size_t n) {
  const unsigned char *c = (const unsigned char *)text;
  if (n > 0 && c[0] < 0x80)
    return c[0] == ' ' || (c[0] >= '\t' && c[0] <= '\r') ||
           (c[0] >= 0x1c && c[0] <= 0x1f);
  if (n > 1 && c[0] == 0xc2)
    return c[1] == 0x85 || c[1] == 0xa0 ? 2 : 0;
  if (n < 3)
    return 0;
  const unsigned last = c[2];
  if (c[0] == 0xe2 && c[1] == 0x80)
    return (last >= 0x80 && last <= 0x8a) || last == 0xa8 || last == 0xa9 ||
                   last == 0xaf
               ? 3
               : 0;
  return (c[0] == 0xe1 && c[1] == 0x9a && last == 0x80) ||
                 (c[0] == 0xe2 && c[1] == 0x81 && last == 0x9f) ||
                 (c[0] == 0xe3 && c[1] == 0x80 && last == 0x80)
             ? 3
             : 0;
}

int lsp_text_begins_white(const char *text, size_t n) {
  const unsigned char *c = (const unsigned char *)text;
  if (n == 1)
    return c[0] == 0xc2 || (c[0] >= 0xe1 && c[0] <= 0xe3);
  if (n != 2)
    return 0;
  return (c[0] == 0xe1 && c[1] == 0x9a) ||
         (c[0] == 0xe2 && (c[1] == 0x80 || c[1] == 0x81)) ||
         (c[0] == 0xe3 && c[1] == 0x80);
}

/* c[0..length) is a well-formed character. */
static int is_printable(const unsigned char *c, size_t length) {
  if (length == 1)
    return c[0] >= ' ' && c[0] != 0x7f;
  if (length == 2)
    return c[0] != 0xc2 || c[1] >= 0xa0; /* U+0080 to U+009F */
  if (length != 3 || c[0] != 0xe2)
    return 1;
  if (c[1] == 0x80)
    return c[2] < 0xa8 || c[2] > 0xae;               /* U+2028 to U+202E */
  return c[1] != 0x81 || c[2] < 0xa6 || c[2] > 0xa9; /* U+2066 to U+2069 */
}

size_t lsp_text_step(const char *text, size_t n, int *printable) {
  const size_t length = lsp_text_utf8(text, n);
  if (printable != NULL)
    *printable = length > 0 && is_printable((const unsigned char *)text, length);
  return length > 0 ? length : 1;
}

/* Where a form is written. A part that does not fit whole is only counted, and so is
 * everything after it. */
typedef struct {
  char *out;
  size_t size, bytes;
  size_t written;
} sink;

static void put(sink *s, const char *part, size_t n) {
  if (s->written == s->bytes && s->size > n && s->bytes < s->size - n) {
    memcpy(s->out + s->written, part, n);
    s->written += n;
  }
  s->bytes += n;
}

static void put_escaped(sink *s, unsigned char byte) {
  static const char digit[] = "0123456789abcdef";
  const char escape[4] = {'\\', 'x', digit[byte >> 4], digit[byte & 15]};
  put(s, escape, sizeof escape);
}

/* \n, \r or \t; NULL for all other bytes. */
static const char *short_escape(char byte) {
  switch (byte) {
  case '\n':
    return "\\n";
  case '\r':
    return "\\r";
  case '\t':
    return "\\t";
  default:
    return NULL;
  }
}

static size_t write_form(const char *text, char *out, size_t size, int stored) {
  sink s = {.out = out, .size = size};
  size_t left = strlen(text);
  while (left > 0) {
    int printable = 0;
    const size_t n = lsp_text_step(text, left, &printable);
    const char *brief = stored ? NULL : short_escape(*text);
    if (printable && !(stored && *text == '\\'))
      put(&s, text, n);
    else if (brief != NULL)
      put(&s, brief, 2);
    else
      for (size_t i = 0; i < n; i++)
        put_escaped(&s, (unsigned char)text[i]);
    text += n;
    left -= n;
  }
  if (size > 0)
    out[s.written] = '\0';
  return s.bytes;
}

size_t lsp_text_shown(const char *text, char *out, size_t size) {
  return write_form(text, out, size, 0);
}

size_t lsp_text_stored(const char *text, char *out, size_t size) {
  return write_form(text, out, size, 1);
}

int lsp_text_is_printable(const char *text) {
  int printable = 1;
  for (size_t left = strlen(text); left > 0 && printable;) {
    const size_t n = lsp_text_step(text, left, &printable);
    text += n;
    left -= n;
  }
  return printable;
}

static int digit_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that an escape at `text` stands for; 0 if there is none. */
static int escaped_byte(const char *text) {
  if (text[0] != '\\' || text[1] != 'x')
    return 0;
  const int high = digit_value(text[2]);
  const int low = high < 0 ? -1 : digit_value(text[3]);
  return low < 0 ? 0 : 16 * high + low;
}

void lsp_text_restore(char *text) {
  char *to = text;
  while (*text != '\0') {
    const int byte = escaped_byte(text);
    *to++ = byte > 0 ? (char)(unsigned char)byte : *text;
    text += byte > 0 ? 4 : 1;
  }
  *to = '\0';
}
