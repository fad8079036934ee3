/* How much of a text a model reads at once: what --context says, in words that name a
 * semantics each.
 *
 *   (nothing)             what the model's own library does; texts longer than the model
 *                         was trained for are refused
 *   full                  the same for any length
 *   window:W              layers that look back without end see W keys, the query's own
 *                         included; a narrower window of the model stays
 *   window:W,sinks:S      and the first S rows of the frame, scored as if they stood just
 *                         before the window (Xiao et al. 2023)
 *   chunks:N              frames of N rows, prefix included, one behind the other
 *   chunks:N,stride:S     frames that begin S tokens after one another; predicted is what
 *                         the frame before did not have (the strided evaluation that
 *                         transformers documents)
 *   chunks:N,half         frames of N tokens, the first of them replaced by the prefix;
 *                         predicted are tokens N / 2 + 1 .. N - 1 of each whole one
 *                         (llama-perplexity)
 *
 * Local, all of it. */
#ifndef LSP_CONTEXT_H
#define LSP_CONTEXT_H

#include "lsp/status.h"

#include <stdint.h>

typedef enum {
  LSP_CONTEXT_MODEL,
  LSP_CONTEXT_FULL,
  LSP_CONTEXT_WINDOW,
  LSP_CONTEXT_CHUNKS
} lsp_context_kind;

typedef struct {
  lsp_context_kind kind;
  int64_t window, sinks; /* sinks 0: none */
  int64_t chunk, stride; /* rows; tokens, 0: as many as a chunk has */
  int half;
} lsp_context;

/* LSP_E_USAGE says what is expected. text NULL: nothing was said. */
lsp_status lsp_context_parse(const char *text, lsp_context *context, lsp_failure *why);

enum { LSP_CONTEXT_SIZE = 48 };

/* The same in words, as it is recorded; "" for LSP_CONTEXT_MODEL. */
void lsp_context_print(const lsp_context *context, char text[LSP_CONTEXT_SIZE]);

#endif
