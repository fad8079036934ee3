/* Text for people: wrapped lines, aligned facts, numbers that can be read. */
#include "cli.h"

#include "lsp/text.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>

enum { WIDTH = 80, FACT_COLUMN = 17 };

void lsp_print_wrapped(FILE *f, const char *text, int at, int indent) {
  int begun = 0; /* a word is on this line */
  while (*text != '\0') {
    const int n = (int)strcspn(text, " \n");
    if (begun && at + 1 + n > WIDTH) {
      (void)fprintf(f, "\n%*s", indent, "");
      at = indent;
      begun = 0;
    }
    at += fprintf(f, "%s%.*s", begun ? " " : "", n, text);
    begun = 1;
    text += n;
    if (*text == '\n') {
      (void)fprintf(f, "\n%*s", text[1] == '\n' ? 0 : indent, "");
      at = indent;
      begun = 0;
    }
    text += *text != '\0';
  }
  (void)fputc('\n', f);
}

void lsp_print_fact(FILE *f, const char *name, const char *format, ...) {
  char said[2 * LSP_MESSAGE_SIZE], text[LSP_TEXT_GROWTH * sizeof said];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(said, sizeof said, format, arguments);
  va_end(arguments);
  (void)lsp_text_shown(name, text, sizeof text);
  int at = fprintf(f, "  %s ", text);
  (void)lsp_text_shown(said, text, sizeof text);
  while (at < FACT_COLUMN)
    at += fprintf(f, " ");
  lsp_print_wrapped(f, text, at, FACT_COLUMN);
}

void lsp_print_line(FILE *f, const char *format, ...) {
  char said[PATH_MAX + LSP_MESSAGE_SIZE], text[LSP_TEXT_GROWTH * sizeof said];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(said, sizeof said, format, arguments);
  va_end(arguments);
  (void)lsp_text_shown(said, text, sizeof text);
  (void)fprintf(f, "%s\n", text);
}

const char *lsp_grouped(int64_t n, char text[LSP_NUMBER_SIZE]) {
  char digits[LSP_NUMBER_SIZE];
  const int count = snprintf(digits, sizeof digits, "%lld", (long long)n);
  char *to = text;
  for (int i = 0; i < count; i++) {
    const int left = count - i;
    if (i > 0 && left % 3 == 0 && digits[i - 1] != '-')
      *to++ = ',';
    *to++ = digits[i];
  }
  *to = '\0';
  return text;
}

const char *lsp_bytes(double bytes, char text[LSP_NUMBER_SIZE]) {
  static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  int i = 0;
  for (; bytes >= 1024 && i < 5; i++)
    bytes /= 1024;
  (void)snprintf(text, LSP_NUMBER_SIZE, i == 0 || bytes >= 100 ? "%.0f %s" : "%.1f %s",
                 bytes, unit[i]);
  return text;
}

void lsp_print_padded(FILE *f, const char *text, int columns) {
  char shown[LSP_TEXT_GROWTH * 128];
  (void)lsp_text_shown(text, shown, sizeof shown);
  for (const char *c = shown; *c != '\0'; c++)
    columns -= ((unsigned char)*c & 0xc0) != 0x80;
  (void)fprintf(f, "%s%*s", shown, columns > 0 ? columns : 0, "");
}

/* Bytes of the character or escape that shown text begins with. */
static size_t first_of(const char *shown) {
  if (shown[0] == '\\' && shown[1] != '\0')
    return strnlen(shown, shown[1] == 'x' ? 4 : 2);
  return lsp_text_step(shown, strlen(shown), NULL);
}

void lsp_shortened(const char *name, char *out, size_t columns) {
  char shown[LSP_TEXT_GROWTH * LSP_SHORT_MOST + 1];
  LSP_ASSERT(columns >= 3 && columns <= LSP_SHORT_MOST);
  const size_t n = strlen(name);
  const char *at = shown; /* the end tells more than the beginning */
  (void)lsp_text_shown(n > columns ? name + n - columns : name, shown, sizeof shown);
  const int cut = n > columns || strlen(shown) > columns;
  while (strlen(at) > (cut ? columns - 3 : columns))
    at += first_of(at);
  memcpy(out, "...", 3);
  memcpy(out + (cut ? 3 : 0), at, strlen(at) + 1);
}
