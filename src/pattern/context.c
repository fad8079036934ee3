/* The words of --context. */
#include "lsp/context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Windows and chunks are counted in rows up to this. */
static const long long most = 1LL << 40;

static lsp_status refuse(const char *text, lsp_failure *why) {
  return lsp_fail(
      why, LSP_E_USAGE,
      "--context %.60s: expected full, window:W, window:W,sinks:S, chunks:N, "
      "chunks:N,stride:S or chunks:N,half, with numbers from 1 on",
      text);
}

/* Takes `word` and a number off the beginning of *at; 0: it is not there. */
static int take(const char **at, const char *word, int64_t *number) {
  const size_t n = strlen(word);
  char *end = NULL;
  if (strncmp(*at, word, n) != 0 || (*at)[n] < '0' || (*at)[n] > '9')
    return 0;
  errno = 0;
  const long long value = strtoll(*at + n, &end, 10);
  if (errno != 0 || value < 1 || value > most)
    return 0;
  *number = value;
  *at = end;
  return 1;
}

lsp_status lsp_context_parse(const char *text, lsp_context *context, lsp_failure *why) {
  const char *at = text;
  memset(context, 0, sizeof *context);
  if (text == NULL)
    return LSP_OK;
  if (strcmp(text, "full") == 0) {
    context->kind = LSP_CONTEXT_FULL;
    return LSP_OK;
  }
  if (take(&at, "window:", &context->window)) {
    context->kind = LSP_CONTEXT_WINDOW;
    (void)take(&at, ",sinks:", &context->sinks);
  } else if (take(&at, "chunks:", &context->chunk)) {
    context->kind = LSP_CONTEXT_CHUNKS;
    if (strcmp(at, ",half") == 0) {
      context->half = 1;
      at += strlen(at);
    } else {
      (void)take(&at, ",stride:", &context->stride);
    }
  }
  return at == text || *at != '\0' ? refuse(text, why) : LSP_OK;
}

void lsp_context_print(const lsp_context *context, char text[LSP_CONTEXT_SIZE]) {
  const lsp_context *c = context;
  text[0] = '\0';
  if (c->kind == LSP_CONTEXT_FULL)
    (void)snprintf(text, LSP_CONTEXT_SIZE, "full");
  else if (c->kind == LSP_CONTEXT_WINDOW && c->sinks > 0)
    (void)snprintf(text, LSP_CONTEXT_SIZE, "window:%lld,sinks:%lld",
                   (long long)c->window, (long long)c->sinks);
  else if (c->kind == LSP_CONTEXT_WINDOW)
    (void)snprintf(text, LSP_CONTEXT_SIZE, "window:%lld", (long long)c->window);
  else if (c->kind == LSP_CONTEXT_CHUNKS && c->stride > 0)
    (void)snprintf(text, LSP_CONTEXT_SIZE, "chunks:%lld,stride:%lld",
                   (long long)c->chunk, (long long)c->stride);
  else if (c->kind == LSP_CONTEXT_CHUNKS)
    (void)snprintf(text, LSP_CONTEXT_SIZE, "chunks:%lld%s", (long long)c->chunk,
                   c->half ? ",half" : "");
}
