#include "lsp/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#undef lsp_fail

static void (*panic_handler)(void);

lsp_status lsp_fail(lsp_failure *why, lsp_status status, const char *format, ...) {
  if (why == NULL)
    return status;
  why->status = status;
  why->agreed = 0;
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(why->text, sizeof why->text, format, arguments);
  va_end(arguments);
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
