/* Reads the bytes of the text and the rows of the output side by side, in pieces.
 *
 * What must hold: text t has as many bytes as its document has tokens, and byte i is
 * token i, so no result is shown beside another text than its own. */
#include "show.h"

#include "lsp/durable.h"
#include "lsp/grid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 15 };

typedef struct {
  int32_t text[PIECE], id[PIECE];
  float nll[PIECE], base[PIECE];
} piece;

static lsp_status open_output(const char *path, lsp_file_view *view, lsp_failure *why) {
  LSP_TRY(lsp_file_open(path, view, why));
  if (view->is_memory)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: a memory file; give the output, which lies beside it", path);
  if (!view->output.write_nll)
    return lsp_fail(why, LSP_E_INPUT, "%s: has no /tokens/nll; run with --write id,nll",
                    path);
  return LSP_OK;
}

static lsp_status check_baseline(const lsp_show *s, lsp_failure *why) {
  const lsp_output_spec *a = &s->view.output, *b = &s->base.output;
  int same = a->documents == b->documents;
  for (int64_t d = 0; same && d <= a->documents; d++)
    same = a->token_start[d] == b->token_start[d];
  if (same)
    return LSP_OK;
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: %lld tokens in %lld documents, but %s has %lld in %lld; the "
                  "baseline must be a run over the same texts",
                  s->base_path, (long long)b->tokens, (long long)b->documents, s->path,
                  (long long)a->tokens, (long long)a->documents);
}

static const char *last_part(const char *name) {
  const char *slash = strrchr(name, '/');
  return slash == NULL ? name : slash + 1;
}

const char *lsp_show_name(const lsp_show *s, int64_t t) {
  return last_part(lsp_corpus_document(s->text, t).name);
}

/* Documents in order if there are as many as texts, else by name. */
static int64_t document_of(const lsp_show *s, int64_t t) {
  const lsp_output_spec *o = &s->view.output;
  const char *name = lsp_show_name(s, t);
  if (lsp_corpus_count(s->text) == o->documents)
    return t;
  for (int64_t d = 0; d < o->documents; d++)
    if (strcmp(last_part(o->name[d]), name) == 0)
      return d;
  return -1;
}

/* An average over only those bytes that have a result would not be that of the text. */
static lsp_status check_finite(const lsp_file_view *view, const char *path, int64_t d,
                               lsp_failure *why) {
  const lsp_extent e = view->extent[LSP_DOCUMENTS_NOT_FINITE];
  int64_t n = 0;
  if (e.offset >= 0) /* files of version 1 do not count */
    LSP_TRY(lsp_read_at(view->fd, path, &n, (int64_t)sizeof n,
                        e.offset + d * e.row_bytes, why));
  if (n == 0)
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_INPUT,
      "%s: %lld tokens of document %lld have no finite nll, so there are no "
      "bits per byte to show; the weights are damaged or overflow float32",
      path, (long long)n, (long long)d);
}

static lsp_status match_texts(lsp_show *s, lsp_failure *why) {
  const lsp_output_spec *o = &s->view.output;
  const int64_t n = lsp_corpus_count(s->text);
  s->document = calloc((size_t)n + 1, sizeof *s->document);
  if (s->document == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for %lld texts", (long long)n);
  for (int64_t t = 0; t < n; t++) {
    const lsp_document text = lsp_corpus_document(s->text, t);
    const int64_t d = s->document[t] = document_of(s, t);
    if (d < 0)
      return lsp_fail(why, LSP_E_MISMATCH,
                      "%s: %s has no document of this name; give the texts that it was "
                      "made from",
                      text.path, s->path);
    const int64_t tokens = o->token_start[d + 1] - o->token_start[d];
    if (tokens != text.tokens)
      return lsp_fail(
          why, LSP_E_MISMATCH,
          "%s: %lld bytes, but document %lld of %s has %lld tokens; give the "
          "text that it was made from, a byte a token",
          text.path, (long long)text.tokens, (long long)d, s->path, (long long)tokens);
    LSP_TRY(check_finite(&s->view, s->path, d, why));
    if (s->base_path != NULL)
      LSP_TRY(check_finite(&s->base, s->base_path, d, why));
  }
  return LSP_OK;
}

lsp_status lsp_show_open(lsp_show *s, const char *path, const char *base_path,
                         const char *const *text, int texts, lsp_failure *why) {
  const lsp_corpus_spec spec = {
      .format = LSP_INPUT_TEXT, .inputs = text, .input_count = texts};
  memset(s, 0, sizeof *s);
  s->path = path;
  s->base_path = base_path;
  s->view.fd = s->base.fd = -1;
  LSP_TRY(open_output(path, &s->view, why));
  if (base_path != NULL) {
    LSP_TRY(open_output(base_path, &s->base, why));
    LSP_TRY(check_baseline(s, why));
  }
  LSP_TRY(lsp_corpus_open(&spec, &s->text, why));
  return match_texts(s, why);
}

void lsp_show_close(lsp_show *s) {
  lsp_corpus_close(&s->text);
  if (s->view.fd >= 0)
    lsp_file_close(&s->view);
  if (s->base.fd >= 0)
    lsp_file_close(&s->base);
  free(s->document);
  s->document = NULL;
}

int64_t lsp_show_texts(const lsp_show *s) {
  return lsp_corpus_count(s->text);
}

/* Rows [row, row + n) of a column of 4-byte numbers. */
static lsp_status read_column(const lsp_file_view *view, const char *path,
                              lsp_output_dataset dataset, int64_t row, int64_t n,
                              void *out, lsp_failure *why) {
  const lsp_extent e = view->extent[dataset];
  LSP_ASSERT(e.offset >= 0 && e.row_bytes == 4 && row + n <= e.rows);
  return lsp_read_at(view->fd, path, out, 4 * n, e.offset + 4 * row, why);
}

static lsp_status check_ids(const lsp_show *s, const lsp_file_view *view,
                            const char *path, int64_t t, int64_t first, int64_t n,
                            piece *p, lsp_failure *why) {
  const int64_t row = view->output.token_start[s->document[t]] + first;
  if (!view->output.write_id)
    return LSP_OK;
  LSP_TRY(read_column(view, path, LSP_TOKENS_ID, row, n, p->id, why));
  for (int64_t i = 0; i < n; i++)
    if (p->id[i] != p->text[i])
      return lsp_fail(why, LSP_E_MISMATCH,
                      "%s: byte %lld is %d, but token %lld of %s is %d; give the text "
                      "that it was made from",
                      lsp_corpus_document(s->text, t).path, (long long)(first + i),
                      (int)p->text[i], (long long)(row + i), path, (int)p->id[i]);
  return LSP_OK;
}

static lsp_status read_piece(lsp_show *s, int64_t t, int64_t first, int64_t n, piece *p,
                             lsp_failure *why) {
  const int64_t row = s->view.output.token_start[s->document[t]] + first;
  LSP_TRY(lsp_corpus_read(s->text, t, first, n, 256, p->text, why));
  LSP_TRY(check_ids(s, &s->view, s->path, t, first, n, p, why));
  LSP_TRY(read_column(&s->view, s->path, LSP_TOKENS_NLL, row, n, p->nll, why));
  if (s->base_path == NULL)
    return LSP_OK;
  LSP_TRY(check_ids(s, &s->base, s->base_path, t, first, n, p, why));
  return read_column(&s->base, s->base_path, LSP_TOKENS_NLL, row, n, p->base, why);
}

static lsp_show_byte byte_at(const lsp_show *s, const piece *p, int64_t first,
                             int64_t i) {
  lsp_show_byte b = {.position = first + i, .byte = (unsigned char)p->text[i]};
  b.predicted = !isnan(p->nll[i]);
  if (b.predicted)
    b.bits = (double)p->nll[i] / log(2);
  if (b.predicted && s->base_path != NULL && !isnan(p->base[i]))
    b.gain = (double)p->base[i] / log(2) - b.bits;
  return b;
}

lsp_status lsp_show_walk(lsp_show *s, int64_t t,
                         void (*each)(const lsp_show_byte *b, void *arg), void *arg,
                         lsp_failure *why) {
  const int64_t bytes = lsp_corpus_document(s->text, t).tokens;
  piece *p = malloc(sizeof *p);
  lsp_status st =
      p != NULL ? LSP_OK : lsp_fail(why, LSP_E_MEMORY, "no memory for text");
  for (int64_t first = 0; first < bytes && st == LSP_OK; first += PIECE) {
    const int64_t n = lsp_min(PIECE, bytes - first);
    st = read_piece(s, t, first, n, p, why);
    for (int64_t i = 0; i < n && st == LSP_OK; i++) {
      const lsp_show_byte b = byte_at(s, p, first, i);
      each(&b, arg);
    }
  }
  free(p);
  return st;
}
