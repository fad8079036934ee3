#include "lsp/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef lsp_fail

static void (*panic_handler)(void);

/* Of a message that is too long, the beginning and the end, which says what to do. */
enum { ROOM = 8 * LSP_MESSAGE_SIZE, FRONT = LSP_MESSAGE_SIZE / 4 };

static int is_within_character(char c) {
  return ((unsigned char)c & 0xc0) == 0x80;
}

static void keep(lsp_failure *why, const char *text, size_t n) {
  static const char dots[] = " ... ";
  size_t front = n, end = n;
  if (n >= sizeof why->text) {
    front = FRONT;
    end = n - (sizeof why->text - FRONT - sizeof dots);
    while (is_within_character(text[front]))
      front--;
    while (is_within_character(text[end]))
      end++;
  }
  memcpy(why->text, text, front);
  (void)snprintf(why->text + front, sizeof why->text - front, "%s%s",
                 end < n ? dots : "", text + end);
}

lsp_status lsp_fail(lsp_failure *why, lsp_status status, const char *format, ...) {
  if (why == NULL)
    return status;
  char text[ROOM];
  text[0] = '\0';
  va_list arguments;
  va_start(arguments, format);
  const int n = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  why->status = status;
  why->agreed = 0;
  keep(why, text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
  return status;
}

int lsp_exit_status(lsp_status status) {
  switch (status) {
#define X(name, exit_status, words)                                                    \
  case name:                                                                           \
    return exit_status;
    LSP_STATUS_TABLE(X)
#undef X
  }
  return 1;
}

const char *lsp_status_words(lsp_status status) {
  switch (status) {
#define X(name, exit_status, words)                                                    \
  case name:                                                                           \
    return words;
    LSP_STATUS_TABLE(X)
#undef X
  }
  return "unknown status";
}

void lsp_on_panic(void (*handler)(void)) {
  panic_handler = handler;
}

_Noreturn void lsp_panic(const char *file, int line, const char *what) {
  (void)fprintf(stderr, "longspan: internal error at %s:%d: %s\n", file, line, what);
  (void)fflush(stderr);
  if (panic_handler != NULL)
    panic_handler();
  abort();
}
