/* Characters of well-formed UTF-8, and what they are.
 *
 * White_Space and \w are those of Rust's regular expressions, by which added tokens see
 * spaces and words. */
#include "tokenizer_internal.h"

#include "lsp/text.h"

#include <utf8proc.h>

int32_t lsp__character(const unsigned char *text, size_t n, size_t *bytes) {
  const unsigned char c = text[0];
  (void)n;
  *bytes = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
  if (c < 0x80)
    return c;
  if (c < 0xe0)
    return (c & 0x1f) << 6 | (text[1] & 0x3f);
  if (c < 0xf0)
    return (c & 0x0f) << 12 | (text[1] & 0x3f) << 6 | (text[2] & 0x3f);
  return (c & 0x07) << 18 | (text[1] & 0x3f) << 12 | (text[2] & 0x3f) << 6 |
         (text[3] & 0x3f);
}

int32_t lsp__character_before(const unsigned char *text, size_t n, size_t *bytes) {
  *bytes = 1;
  while (*bytes < n && *bytes < 4 && (text[n - *bytes] & 0xc0) == 0x80)
    ++*bytes;
  const unsigned char *first = text + n - *bytes;
  if (lsp_text_utf8((const char *)first, *bytes) != *bytes)
    return -1;
  return lsp__character(first, *bytes, bytes);
}

int lsp__is_space(int32_t c) {
  return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
         c == 0x202f || c == 0x205f || c == 0x3000;
}

int lsp__is_letter(int32_t c) {
  const utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

/* Numbers of Unicode 17, by which Rust tells them in the rule Digits, that Unicode 14 has
 * not. */
static int is_number_since(int32_t c) {
  static const struct {
    int32_t first, last;
  } since[] = {
      {0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9}, {0x11de0, 0x11de9},
      {0x11f50, 0x11f59}, {0x16130, 0x16139}, {0x16d70, 0x16d79}, {0x16ff4, 0x16ff6},
      {0x1ccf0, 0x1ccf9}, {0x1d2c0, 0x1d2d3}, {0x1e4f0, 0x1e4f9}, {0x1e5f1, 0x1e5fa},
  };
  for (size_t i = 0; i < sizeof since / sizeof since[0]; i++)
    if (c >= since[i].first && c <= since[i].last)
      return 1;
  return 0;
}

int lsp__is_number(int32_t c) {
  if (c < 0x80)
    return c >= '0' && c <= '9';
  if (c >= 0x10d40 && is_number_since(c))
    return 1;
  const utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

/* Symbols that count as letters: circled and squared ones. */
static int is_symbol_letter(int32_t c) {
  return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
         (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
}

int lsp__is_word(int32_t c) {
  switch (c < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(c)) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_PC:
    return 1;
  default:
    return c == 0x200c || c == 0x200d || is_symbol_letter(c);
  }
}
