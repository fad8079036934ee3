/* Documents as frames, and positions that a model has. */
#include "lsp/sizes.h"

#include <stdio.h>
#include <string.h>

static const char *const wrapper_names[] = {"none", "input", "associative", "tokens"};

void lsp_wrapper_print(const lsp_wrapper *w, char words[LSP_WRAPPER_WORDS]) {
  (void)snprintf(words, LSP_WRAPPER_WORDS, "%s segment:%lld rows:%lld",
                 wrapper_names[w->kind], (long long)w->segment, (long long)w->rows);
}

int lsp_wrapper_parse(const char *words, lsp_wrapper *w) {
  char name[16], again[LSP_WRAPPER_WORDS];
  long long segment = 0, rows = 0;
  *w = (lsp_wrapper){.kind = LSP_WRAP_NONE};
  if (words == NULL)
    return 1;
  if (sscanf(words, "%15s segment:%lld rows:%lld", name, &segment, &rows) != 3)
    return 0;
  for (int kind = LSP_WRAP_INPUT; kind <= LSP_WRAP_TOKENS; kind++)
    if (strcmp(name, wrapper_names[kind]) == 0)
      w->kind = (lsp_wrap_kind)kind;
  w->segment = segment;
  w->rows = rows;
  lsp_wrapper_print(w, again); /* the very words, so that no others mean the same */
  return w->kind != LSP_WRAP_NONE && segment >= 1 && segment <= INT32_MAX &&
         rows >= 0 && rows <= INT32_MAX && strcmp(words, again) == 0;
}

/* Segments of a document, each with the memory's rows. */
static lsp_framing of_segments(const lsp_wrapper *w, int prefix) {
  lsp_framing g = {
      .prefix = prefix, .tokens = w->segment, .stride = w->segment, .whole = 1};
  if (w->kind == LSP_WRAP_INPUT) {
    g.again = w->rows;
    return g;
  }
  g.suffix = w->rows;
  g.linked = 1;
  if (w->kind == LSP_WRAP_TOKENS) {
    g.prefix = (int)w->rows;
    g.whole = 2; /* what is behind a segment is before the next one */
  }
  return g;
}

lsp_status lsp_sizes_framing(const lsp_context *c, const lsp_wrapper *wrapper,
                             int prefix, lsp_framing *framing, lsp_failure *why) {
  const int64_t tokens = c->chunk - (c->half ? 0 : prefix);
  char text[LSP_CONTEXT_SIZE];
  *framing = wrapper->kind != LSP_WRAP_NONE ? of_segments(wrapper, prefix)
                                            : (lsp_framing){.prefix = prefix};
  if (c->kind != LSP_CONTEXT_CHUNKS || wrapper->kind != LSP_WRAP_NONE)
    return LSP_OK;
  lsp_context_print(c, text);
  if (c->half ? c->chunk / 2 < prefix : tokens < 1)
    return lsp_fail(why, LSP_E_USAGE,
                    "--context %s: chunks of %lld rows have no room for tokens behind "
                    "the %d rows of the prefix; ask for longer ones",
                    text, (long long)c->chunk, prefix);
  if (c->stride > tokens)
    return lsp_fail(
        why, LSP_E_USAGE,
        "--context %s: a chunk holds %lld tokens, and a longer stride would "
        "pass over some; ask for a stride of at most that",
        text, (long long)tokens);
  *framing = (lsp_framing){.prefix = c->half ? 0 : prefix,
                           .tokens = tokens,
                           .stride = c->stride > 0 ? c->stride : tokens,
                           .half = c->half};
  return LSP_OK;
}

/* Half of what the model was trained for, as a round number. */
static int64_t half_of(int64_t trained) {
  return lsp_max(trained / 2, 1);
}

static int looks_back(const lsp_model *m) {
  for (int i = 0; i < m->layers; i++)
    if (lsp_layer_reach(&m->layer[i]) == LSP_REACH_ALL)
      return 1;
  return 0;
}

lsp_status lsp_sizes_positions(const lsp_model *m, const char *dir,
                               const lsp_context *context, int64_t longest,
                               lsp_failure *why) {
  if (m->wrapper.kind != LSP_WRAP_NONE)
    return LSP_OK; /* the description refuses frames that are too long */
  const long long half =
      half_of(m->positions_most > 0 ? m->positions_most : m->trained);
  if (m->positions_most > 0 && longest > m->positions_most)
    return lsp_fail(
        why, LSP_E_INPUT,
        "%s: the model has learned %lld positions, and the longest text "
        "takes %lld; read it in pieces (--context chunks:%lld,stride:%lld), "
        "or use a model with rotary or relative positions",
        dir, (long long)m->positions_most, (long long)longest,
        (long long)m->positions_most, half);
  if (m->trained == 0 || longest <= m->trained || context->kind != LSP_CONTEXT_MODEL)
    return LSP_OK;
  if (!looks_back(m))
    return lsp_fail(
        why, LSP_E_INPUT,
        "%s: the model was trained for %lld positions, and the longest text "
        "takes %lld; say how it is to be read: --context full (its own "
        "windows, beyond its training) or chunks:%lld,stride:%lld",
        dir, (long long)m->trained, (long long)longest, (long long)m->trained, half);
  return lsp_fail(why, LSP_E_INPUT,
                  "%s: the model was trained for %lld positions, and the longest text "
                  "takes %lld; say how it is to be read: --context window:%lld,sinks:4 "
                  "(each token sees the last ones and the first 4), window:%lld, "
                  "chunks:%lld,stride:%lld, or full (all, beyond its training)",
                  dir, (long long)m->trained, (long long)longest, half, half,
                  (long long)m->trained, half);
}
