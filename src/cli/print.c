/* Text for people: wrapped lines, aligned facts, numbers that can be read. */
#include "cli.h"

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
  char text[2 * LSP_MESSAGE_SIZE];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  for (char *c = text; *c != '\0'; c++)
    if ((unsigned char)*c < ' ' || *c == 127)
      *c = *c == '\n' ? ' ' : '?';
  int at = fprintf(f, "  %s ", name);
  while (at < FACT_COLUMN)
    at += fprintf(f, " ");
  lsp_print_wrapped(f, text, at, FACT_COLUMN);
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

void lsp_shortened(const char *name, char *out, size_t columns) {
  size_t n = strlen(name);
  const char *dots = "";
  if (n > columns) { /* the end tells more than the beginning */
    name += n - columns + 3;
    while (((unsigned char)*name & 0xc0) == 0x80)
      name++;
    dots = "...";
  }
  (void)snprintf(out, columns + 1, "%s%s", dots, name);
  for (char *c = out; *c != '\0'; c++)
    if ((unsigned char)*c < ' ' || *c == 127)
      *c = '?';
}
