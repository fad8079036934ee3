/* Memories around a model and after its last norm, in words, and what states take. */
#include "cli.h"
#include "model_words.h"

#include "lsp/memory.h"

static const char *plural(int64_t n) {
  return n == 1 ? "" : "s";
}

static void add_input(const lsp_wrapper *w, char *text, size_t size) {
  char number[LSP_NUMBER_SIZE];
  if (w->rows == 0)
    lsp_words_add(text, size, "by itself");
  else
    lsp_words_add(text, size, "after the %s token%s before it, which are read again",
                  lsp_grouped(w->rows, number), plural(w->rows));
}

static void add_associative(const lsp_model *m, char *text, size_t size) {
  const lsp_wrapper *w = &m->wrapper;
  char rows[LSP_NUMBER_SIZE], features[LSP_NUMBER_SIZE], width[LSP_NUMBER_SIZE];
  lsp_words_add(text, size,
                "before %s memory token%s, which write a matrix (%s x %s) of each "
                "layer, that the segments after it read",
                lsp_grouped(w->rows, rows), plural(w->rows),
                lsp_grouped((int64_t)2 * w->nu * w->width, features),
                lsp_grouped(m->width, width));
}

static void add_tokens(const lsp_wrapper *w, char *text, size_t size) {
  char number[LSP_NUMBER_SIZE];
  lsp_words_add(text, size,
                "between %s memory token%s before and as many behind it, of which the "
                "next segment has what has become of them",
                lsp_grouped(w->rows, number), plural(w->rows));
}

void lsp_words_wrapper(const lsp_model *m, char *text, size_t size) {
  char number[LSP_NUMBER_SIZE];
  text[0] = '\0';
  lsp_words_add(text, size, "a document is read in segments of %s token%s, each ",
                lsp_grouped(m->wrapper.segment, number), plural(m->wrapper.segment));
  if (m->wrapper.kind == LSP_WRAP_INPUT)
    add_input(&m->wrapper, text, size);
  else if (m->wrapper.kind == LSP_WRAP_ASSOCIATIVE)
    add_associative(m, text, size);
  else
    add_tokens(&m->wrapper, text, size);
  lsp_words_add(text, size, "; positions count from 0 in each");
}

void lsp_words_last(const lsp_model *m, char *text, size_t size) {
  static const char *const merged[] = {
      [LSP_LAST_ADD] = "added to the hidden row",
      [LSP_LAST_GATE] = "weighed against the hidden row by a gate",
      [LSP_LAST_PROJECT] = "beside the hidden row, and projected with it",
      [LSP_LAST_CONCAT] = "beside the hidden row, and both are read by the head"};
  char number[LSP_NUMBER_SIZE];
  text[0] = '\0';
  lsp_words_add(text, size, "%s learned slot%s after the last norm%s, %s",
                lsp_grouped(m->last.slots, number), plural(m->last.slots),
                m->last.normalize == LSP_NORMALIZE_NONE ? " (without a softmax)" : "",
                merged[m->last.merge]);
}

double lsp_words_state(const lsp_model *m, int layer) {
  lsp_part part[LSP_PARTS_OF_LAYER];
  const int n = lsp_memory_parts_of(m, layer, part);
  return (double)lsp_parts_bytes(part, n);
}

double lsp_words_states(const lsp_model *m) {
  double bytes = 0;
  for (int i = -1; i < m->layers; i++)
    bytes += lsp_words_state(m, i);
  return bytes;
}

int lsp_words_has_state(const lsp_model *m, int of, int layer) {
  (void)of;
  return lsp_words_state(m, layer) > 0;
}
