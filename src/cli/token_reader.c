/* Reads /tokens of an output in pieces, beside /tokenizer.
 *
 * What must hold: whatever the file says, no byte beyond what was read is touched: edges
 * rise, ids lie within the vocabulary, places rise and lie within the text. */
#include "token_reader.h"

#include "lsp/context.h"
#include "lsp/durable.h"
#include "lsp/grid.h"
#include "lsp/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 15, ROWS = 4096, BYTES = 256 };

static const int64_t most_vocabulary = (int64_t)1 << 28; /* tokens, and bytes of them */
static const unsigned char no_bytes[1];

struct lsp_token_piece {
  int32_t id[PIECE];
  float nll[PIECE];
  int64_t start[PIECE + 1];
  unsigned char byte[BYTES]; /* every byte, as what a token of its own stands for */
};

static lsp_status no_memory(const lsp_token_reader *r, lsp_failure *why) {
  return lsp_fail(why, LSP_E_MEMORY, "%s: no memory to read its tokens", r->path);
}

static lsp_status damaged(const lsp_token_reader *r, const char *what, int64_t row,
                          lsp_failure *why) {
  return lsp_fail(why, LSP_E_FORMAT,
                  "%s: %s (row %lld); the file is damaged: make it again, or restore a "
                  "copy",
                  r->path, what, (long long)row);
}

/* --- what the tokens are --------------------------------------------------------- */

/* Rows [row, row + n) of a column; zeros where the file does not have it. */
static lsp_status read_rows(const lsp_token_reader *r, lsp_extent e, int64_t row,
                            int64_t n, size_t size, void *out, lsp_failure *why) {
  const int64_t bytes = n * (int64_t)size;
  if (e.offset < 0) {
    memset(out, 0, (size_t)bytes);
    return LSP_OK;
  }
  LSP_ASSERT(e.row_bytes == (int64_t)size && row >= 0 && n <= e.rows - row);
  return lsp_read_at(r->view.fd, r->path, out, bytes, e.offset + row * e.row_bytes,
                     why);
}

static int is_half(const lsp_output_spec *s) {
  lsp_context context = {0};
  for (int i = 0; i < s->attributes; i++)
    if (strcmp(s->attribute[i].key, "context") == 0 &&
        lsp_context_parse(s->attribute[i].value, &context, NULL) == LSP_OK)
      return context.half;
  return 0;
}

/* Of documents [first, first + n): 1 if each has as many bytes as tokens, and bits per
 * byte wherever it has results of all tokens: only where a token is a byte. */
static lsp_status are_bytes(const lsp_token_reader *r, int64_t first, int64_t n,
                            int *yes, lsp_failure *why) {
  const lsp_output_spec *s = &r->view.output;
  const lsp_extent *e = r->view.extent;
  int64_t count[ROWS], bad[ROWS];
  double bits[ROWS];
  LSP_TRY(
      read_rows(r, e[LSP_DOCUMENTS_NLL_COUNT], first, n, sizeof count[0], count, why));
  LSP_TRY(read_rows(r, e[LSP_DOCUMENTS_NOT_FINITE], first, n, sizeof bad[0], bad, why));
  LSP_TRY(read_rows(r, e[LSP_DOCUMENTS_BITS_PER_BYTE], first, n, sizeof bits[0], bits,
                    why));
  for (int64_t i = 0; i < n && *yes; i++) {
    const int64_t d = first + i;
    *yes = s->n_bytes[d] == s->token_start[d + 1] - s->token_start[d] &&
           (count[i] == 0 || bad[i] > 0 || r->is_half || !isnan(bits[i]));
  }
  return LSP_OK;
}

static lsp_status find_kind(lsp_token_reader *r, lsp_failure *why) {
  const int64_t documents = r->view.output.documents;
  int yes = 1;
  if (r->view.output.vocabulary > 0) {
    r->kind = LSP_OF_TEXT;
    return LSP_OK;
  }
  for (int64_t first = 0; first < documents && yes; first += ROWS)
    LSP_TRY(are_bytes(r, first, lsp_min(ROWS, documents - first), &yes, why));
  r->kind = yes ? LSP_OF_BYTES : LSP_OF_IDS;
  return LSP_OK;
}

static lsp_status read_vocabulary(lsp_token_reader *r, lsp_failure *why) {
  const int64_t V = r->view.output.vocabulary, all = r->view.token_bytes.rows;
  if (r->kind != LSP_OF_TEXT)
    return LSP_OK;
  if (V > most_vocabulary || all > most_vocabulary)
    return lsp_fail(why, LSP_E_LIMIT,
                    "%s: a vocabulary of %lld tokens and %lld bytes is larger than any "
                    "that longspan writes; the file is damaged",
                    r->path, (long long)V, (long long)all);
  r->edge = malloc(((size_t)V + 1) * sizeof *r->edge);
  r->vocabulary = malloc((size_t)all + 1);
  if (r->edge == NULL || r->vocabulary == NULL)
    return no_memory(r, why);
  LSP_TRY(
      read_rows(r, r->view.token_bytes_start, 0, V + 1, sizeof *r->edge, r->edge, why));
  LSP_TRY(read_rows(r, r->view.token_bytes, 0, all, 1, r->vocabulary, why));
  for (int64_t i = 0; i <= V; i++)
    if (r->edge[i] < (i == 0 ? 0 : r->edge[i - 1]) || r->edge[i] > all)
      return damaged(r, "/tokenizer/token_start does not rise within the bytes", i,
                     why);
  return LSP_OK;
}

lsp_status lsp_token_reader_open(lsp_token_reader *r, const char *path,
                                 lsp_failure *why) {
  memset(r, 0, sizeof *r);
  r->path = path;
  r->view.fd = -1;
  LSP_TRY(lsp_file_open(path, &r->view, why));
  if (r->view.is_memory)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: a memory file; give the output, which lies beside it", path);
  if (!r->view.output.write_nll)
    return lsp_fail(why, LSP_E_INPUT, "%s: has no /tokens/nll; run with --write id,nll",
                    path);
  r->piece = malloc(sizeof *r->piece);
  if (r->piece == NULL)
    return no_memory(r, why);
  for (int i = 0; i < BYTES; i++)
    r->piece->byte[i] = (unsigned char)i;
  r->is_half = is_half(&r->view.output);
  LSP_TRY(find_kind(r, why));
  return read_vocabulary(r, why);
}

void lsp_token_reader_close(lsp_token_reader *r) {
  if (r->view.fd >= 0)
    lsp_file_close(&r->view);
  free(r->edge);
  free(r->vocabulary);
  free(r->piece);
  r->edge = NULL;
  r->vocabulary = NULL;
  r->piece = NULL;
}

lsp_status lsp_token_reader_needs_text(const lsp_token_reader *r, lsp_failure *why) {
  if (r->kind == LSP_OF_IDS)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: was made from token ids without a tokenizer, so nothing says "
                    "what text they stand for; run on the text, with a tokenizer.json "
                    "in the model's folder",
                    r->path);
  if (!r->view.output.write_id)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: has no /tokens/id, so its text cannot be read back; run with "
                    "--write id,nll",
                    r->path);
  return LSP_OK;
}

/* --- tokens ---------------------------------------------------------------------- */

void lsp_token_reader_begin(lsp_token_reader *r, int64_t document) {
  LSP_ASSERT(document >= 0 && document < r->view.output.documents);
  r->document = document;
  r->next = r->first = r->end = 0;
}

/* Tokens [next, next + n) of the document, and where the one after them begins. */
static lsp_status read_piece(lsp_token_reader *r, int64_t tokens, lsp_failure *why) {
  const lsp_output_spec *s = &r->view.output;
  const lsp_extent *e = r->view.extent;
  struct lsp_token_piece *p = r->piece;
  const int64_t row = s->token_start[r->document] + r->next;
  const int64_t n = lsp_min(PIECE, tokens - r->next);
  LSP_TRY(read_rows(r, e[LSP_TOKENS_ID], row, n, sizeof p->id[0], p->id, why));
  LSP_TRY(read_rows(r, e[LSP_TOKENS_NLL], row, n, sizeof p->nll[0], p->nll, why));
  if (s->write_starts) {
    const int64_t more = r->next + n < tokens;
    LSP_TRY(read_rows(r, e[LSP_TOKENS_BYTE_START], row, n + more, sizeof p->start[0],
                      p->start, why));
    if (!more)
      p->start[n] = s->n_bytes[r->document];
    for (int64_t i = 0; i < n; i++)
      if (p->start[i] < 0 || p->start[i] > p->start[i + 1] ||
          p->start[i + 1] > s->n_bytes[r->document])
        return damaged(r, "/tokens/byte_start does not rise within the text", row + i,
                       why);
  }
  r->first = r->next;
  r->end = r->next + n;
  return LSP_OK;
}

/* What a token stands for, as far as that is known. */
static lsp_status give_bytes(const lsp_token_reader *r, lsp_read_token *t,
                             lsp_failure *why) {
  const int64_t V = r->kind == LSP_OF_TEXT ? r->view.output.vocabulary : BYTES;
  if (!r->view.output.write_id || r->kind == LSP_OF_IDS)
    return LSP_OK;
  if (t->id < 0 || t->id >= V)
    return damaged(r, "an id of /tokens/id is not in the vocabulary",
                   r->view.output.token_start[r->document] + t->number, why);
  if (r->kind == LSP_OF_BYTES) {
    t->bytes = &r->piece->byte[t->id];
    t->count = 1;
    return LSP_OK;
  }
  t->count = (size_t)(r->edge[t->id + 1] - r->edge[t->id]);
  t->bytes = t->count > 0 ? r->vocabulary + r->edge[t->id] : no_bytes;
  return LSP_OK;
}

lsp_status lsp_token_reader_next(lsp_token_reader *r, lsp_read_token *t, int *there,
                                 lsp_failure *why) {
  const lsp_output_spec *s = &r->view.output;
  const int64_t tokens = s->token_start[r->document + 1] - s->token_start[r->document];
  *there = r->next < tokens;
  if (!*there)
    return LSP_OK;
  if (r->next == r->end)
    LSP_TRY(read_piece(r, tokens, why));
  const int64_t i = r->next - r->first;
  *t = (lsp_read_token){.number = r->next++,
                        .id = s->write_id ? r->piece->id[i] : -1,
                        .start = -1,
                        .end = -1,
                        .nll = r->piece->nll[i]};
  if (r->kind == LSP_OF_BYTES) {
    t->start = t->number;
    t->end = t->number + 1;
  } else if (s->write_starts) {
    t->start = r->piece->start[i];
    t->end = r->piece->start[i + 1];
  }
  return give_bytes(r, t, why);
}

size_t lsp_token_place(const lsp_read_token *t) {
  const char *text = (const char *)t->bytes;
  for (size_t i = 0, white; i < t->count; i += white) {
    white = lsp_text_white(text + i, t->count - i);
    if (white == 0)
      return i;
  }
  return 0;
}
