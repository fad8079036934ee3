/* Reads the tokens of the output, those of the baseline and the bytes of the text side by
 * side.
 *
 * What must hold: no result is shown beside another text than its own. A text that is
 * given has as many bytes as its document, and where a token is a byte, it is that byte;
 * a token of a tokenizer stands for the bytes at its place, unless the tokenizer may have
 * changed them (beyond ASCII). */
#include "show.h"

#include "lsp/durable.h"
#include "lsp/grid.h"
#include "lsp/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 1 << 15 };

/* A text under way. */
typedef struct {
  lsp_show *show;
  int64_t t, bytes;
  int64_t first, end; /* what `window` holds of the text */
  unsigned char window[WINDOW];
  int64_t given;     /* bytes so far */
  double bits, gain; /* of tokens without bytes, for the next byte */
  void (*each)(const lsp_show_byte *b, void *arg);
  void *arg;
} walk;

static lsp_status check_baseline(const lsp_show *s, lsp_failure *why) {
  const lsp_output_spec *a = &s->output.view.output, *b = &s->base.view.output;
  int same = a->documents == b->documents;
  for (int64_t d = 0; same && d <= a->documents; d++)
    same = a->token_start[d] == b->token_start[d];
  if (same)
    return LSP_OK;
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: %lld tokens in %lld documents, but %s has %lld in %lld; the "
                  "baseline must be a run over the same texts",
                  s->base.path, (long long)b->tokens, (long long)b->documents,
                  s->output.path, (long long)a->tokens, (long long)a->documents);
}

static const char *last_part(const char *name) {
  const char *slash = strrchr(name, '/');
  return slash == NULL ? name : slash + 1;
}

const char *lsp_show_full_name(const lsp_show *s, int64_t t) {
  return s->text != NULL ? lsp_corpus_document(s->text, t).name
                         : s->output.view.output.name[s->document[t]];
}

const char *lsp_show_name(const lsp_show *s, int64_t t) {
  return last_part(lsp_show_full_name(s, t));
}

int64_t lsp_show_bytes(const lsp_show *s, int64_t t) {
  return s->bytes[t];
}

/* Bytes of a document: of its text, or, where ids were given, of what they stand for. */
static lsp_status count_bytes(lsp_show *s, int64_t d, int64_t *bytes,
                              lsp_failure *why) {
  const lsp_output_spec *o = &s->output.view.output;
  lsp_read_token t;
  int there = 0;
  *bytes = o->n_bytes[d];
  if (s->output.kind == LSP_OF_BYTES || o->write_starts)
    return LSP_OK;
  *bytes = 0;
  lsp_token_reader_begin(&s->output, d);
  for (;;) {
    LSP_TRY(lsp_token_reader_next(&s->output, &t, &there, why));
    if (!there)
      return LSP_OK;
    *bytes += (int64_t)t.count;
  }
}

/* Documents in order if there are as many as texts, else by name. */
static int64_t document_of(const lsp_show *s, int64_t t) {
  const lsp_output_spec *o = &s->output.view.output;
  const char *name = last_part(lsp_corpus_document(s->text, t).name);
  if (s->texts == o->documents)
    return t;
  for (int64_t d = 0; d < o->documents; d++)
    if (strcmp(last_part(o->name[d]), name) == 0)
      return d;
  return -1;
}

/* An average over only those bytes that have a result would not be that of the text. */
static lsp_status check_finite(const lsp_token_reader *r, int64_t d, lsp_failure *why) {
  const lsp_extent e = r->view.extent[LSP_DOCUMENTS_NOT_FINITE];
  int64_t n = 0;
  if (r->is_half)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: half of its tokens alone were predicted (--context "
                    "chunks:N,half), so there are no bits per byte to show; run with "
                    "--context chunks:N,stride:S",
                    r->path);
  if (e.offset >= 0) /* files of version 1 do not count */
    LSP_TRY(lsp_read_at(r->view.fd, r->path, &n, (int64_t)sizeof n,
                        e.offset + d * e.row_bytes, why));
  if (n == 0)
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_INPUT,
      "%s: %lld tokens of document %lld have no finite nll, so there are no "
      "bits per byte to show; the weights are damaged or overflow float32",
      r->path, (long long)n, (long long)d);
}

static lsp_status match_text(lsp_show *s, int64_t t, lsp_failure *why) {
  const lsp_document text = lsp_corpus_document(s->text, t);
  const int64_t d = s->document[t] = document_of(s, t);
  if (d >= 0)
    LSP_TRY(count_bytes(s, d, &s->bytes[t], why));
  if (d < 0)
    return lsp_fail(why, LSP_E_MISMATCH,
                    "%s: %s has no document of this name; give the texts that it was "
                    "made from",
                    text.path, s->output.path);
  if (s->bytes[t] == text.tokens)
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_MISMATCH,
      "%s: %lld bytes, but document %lld of %s has %lld; give the text that "
      "it was made from",
      text.path, (long long)text.tokens, (long long)d, s->output.path,
      (long long)s->bytes[t]);
}

static lsp_status match_texts(lsp_show *s, lsp_failure *why) {
  s->texts =
      s->text != NULL ? lsp_corpus_count(s->text) : s->output.view.output.documents;
  if (s->texts == 0)
    return lsp_fail(why, LSP_E_INPUT, "%s: has no document to show", s->output.path);
  s->document = calloc((size_t)s->texts + 1, sizeof *s->document);
  s->bytes = calloc((size_t)s->texts + 1, sizeof *s->bytes);
  if (s->document == NULL || s->bytes == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for %lld texts", (long long)s->texts);
  for (int64_t t = 0; t < s->texts; t++) {
    s->document[t] = t;
    LSP_TRY(s->text != NULL ? match_text(s, t, why)
                            : count_bytes(s, t, &s->bytes[t], why));
    LSP_TRY(check_finite(&s->output, s->document[t], why));
    if (s->with_base)
      LSP_TRY(check_finite(&s->base, s->document[t], why));
  }
  return LSP_OK;
}

/* Ids are needed but where a token is a byte of a text that is given. */
static lsp_status check_kind(const lsp_show *s, int texts, lsp_failure *why) {
  if (texts > 0 && s->output.kind == LSP_OF_BYTES)
    return LSP_OK;
  return lsp_token_reader_needs_text(&s->output, why);
}

lsp_status lsp_show_open(lsp_show *s, const char *path, const char *base_path,
                         const char *const *text, int texts, lsp_failure *why) {
  const lsp_corpus_spec spec = {
      .format = LSP_INPUT_TEXT, .inputs = text, .input_count = texts};
  memset(s, 0, sizeof *s);
  s->output.view.fd = s->base.view.fd = -1;
  s->with_base = base_path != NULL;
  LSP_TRY(lsp_token_reader_open(&s->output, path, why));
  LSP_TRY(check_kind(s, texts, why));
  if (s->with_base) {
    LSP_TRY(lsp_token_reader_open(&s->base, base_path, why));
    LSP_TRY(check_baseline(s, why));
  }
  if (texts > 0)
    LSP_TRY(lsp_corpus_open(&spec, &s->text, why));
  return match_texts(s, why);
}

void lsp_show_close(lsp_show *s) {
  lsp_corpus_close(&s->text);
  lsp_token_reader_close(&s->output);
  lsp_token_reader_close(&s->base);
  free(s->document);
  free(s->bytes);
  s->document = s->bytes = NULL;
}

/* --- the walk -------------------------------------------------------------------- */

/* Bytes [start, start + n) of the text, lent; NULL: not in one window. */
static lsp_status text_at(walk *w, int64_t start, int64_t n, const unsigned char **out,
                          lsp_failure *why) {
  *out = NULL;
  if (n > WINDOW)
    return LSP_OK;
  if (start < w->first || start + n > w->end) {
    w->first = start;
    w->end = lsp_min(start + WINDOW, w->bytes);
    LSP_TRY(
        lsp_corpus_bytes(w->show->text, w->t, start, w->end - start, w->window, why));
  }
  *out = w->window + (start - w->first);
  return LSP_OK;
}

/* Without white space at both ends. */
static size_t trimmed(const unsigned char **text, size_t n) {
  while (n > 0 && lsp_text_white((const char *)*text, n) == 1) {
    (*text)++;
    n--;
  }
  while (n > 0 && lsp_text_white((const char *)*text + n - 1, 1) == 1)
    n--;
  return n;
}

static int is_ascii(const unsigned char *text, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (text[i] >= 0x80)
      return 0;
  return 1;
}

/* 1: a token may have been made from these n bytes. A tokenizer changes no ASCII, but
 * special tokens can take white space with them, and a blank may be put before a text. */
static int may_stand_for(const lsp_read_token *t, const unsigned char *text, size_t n) {
  const unsigned char *token = t->bytes;
  size_t count = t->count;
  if (count == n && memcmp(token, text, n) == 0)
    return 1;
  if (!is_ascii(token, count) || !is_ascii(text, n))
    return 1;
  n = trimmed(&text, n);
  count = trimmed(&token, count);
  return count == n && memcmp(token, text, n) == 0;
}

static lsp_status other_text(const walk *w, const lsp_read_token *t,
                             const unsigned char *text, lsp_failure *why) {
  const lsp_token_reader *r = &w->show->output;
  const char *path = lsp_corpus_document(w->show->text, w->t).path;
  const int64_t token = r->view.output.token_start[r->document] + t->number;
  if (r->kind == LSP_OF_BYTES)
    return lsp_fail(why, LSP_E_MISMATCH,
                    "%s: byte %lld is %d, but token %lld of %s is %d; give the text "
                    "that it was made from",
                    path, (long long)t->start, (int)text[0], (long long)token, r->path,
                    (int)t->id);
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: bytes %lld to %lld are not what token %lld of %s stands for; "
                  "give the text that it was made from",
                  path, (long long)t->start, (long long)t->end - 1, (long long)token,
                  r->path);
}

/* The token beside the text that was given: the same, or, where the file has no ids, taken
 * from there. */
static lsp_status compare(walk *w, lsp_read_token *t, lsp_failure *why) {
  const unsigned char *text = NULL;
  if (w->show->text == NULL || t->start < 0)
    return LSP_OK;
  LSP_TRY(text_at(w, t->start, t->end - t->start, &text, why));
  if (t->bytes == NULL) {
    t->bytes = text;
    t->count = 1;
  }
  const int is_byte = w->show->output.kind == LSP_OF_BYTES;
  if (text == NULL || (is_byte && t->bytes[0] == text[0]) ||
      (!is_byte && may_stand_for(t, text, (size_t)(t->end - t->start))))
    return LSP_OK;
  return other_text(w, t, text, why);
}

static lsp_status check_base(const lsp_show *s, const lsp_read_token *t,
                             const lsp_read_token *base, lsp_failure *why) {
  if (t->id < 0 || base->id < 0 || t->id == base->id)
    return LSP_OK;
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: token %lld of document %lld is %d, but %d in %s; the baseline "
                  "must be a run over the same texts",
                  s->base.path, (long long)t->number, (long long)s->output.document,
                  (int)base->id, (int)t->id, s->output.path);
}

/* The bytes of a token. */
static void give(walk *w, const lsp_read_token *t, const lsp_read_token *base) {
  const size_t place = lsp_token_place(t);
  const int predicted = !isnan(t->nll);
  if (predicted) {
    const double bits = (double)t->nll / log(2);
    w->bits += bits;
    if (w->show->with_base && !isnan(base->nll))
      w->gain += (double)base->nll / log(2) - bits;
  }
  for (size_t i = 0; i < t->count; i++, w->given++) {
    const int64_t at = t->start + (int64_t)i, last = lsp_max(t->start, t->end - 1);
    lsp_show_byte b = {.position = t->start < 0 ? w->given : lsp_min(at, last),
                       .byte = t->bytes[i],
                       .predicted = predicted};
    if (i == place) {
      b.bits = w->bits;
      b.gain = w->gain;
      w->bits = w->gain = 0;
    }
    w->each(&b, w->arg);
  }
}

static lsp_status walk_tokens(walk *w, lsp_failure *why) {
  lsp_show *s = w->show;
  lsp_read_token t, base = {.nll = NAN};
  int there = 0, base_there = 0;
  lsp_token_reader_begin(&s->output, s->document[w->t]);
  if (s->with_base)
    lsp_token_reader_begin(&s->base, s->document[w->t]);
  for (;;) {
    LSP_TRY(lsp_token_reader_next(&s->output, &t, &there, why));
    if (!there)
      return LSP_OK;
    LSP_TRY(compare(w, &t, why));
    if (s->with_base) {
      LSP_TRY(lsp_token_reader_next(&s->base, &base, &base_there, why));
      LSP_TRY(check_base(s, &t, &base, why));
    }
    give(w, &t, &base);
  }
}

lsp_status lsp_show_walk(lsp_show *s, int64_t t,
                         void (*each)(const lsp_show_byte *b, void *arg), void *arg,
                         lsp_failure *why) {
  walk *w = calloc(1, sizeof *w);
  if (w == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for text");
  w->show = s;
  w->t = t;
  w->bytes = lsp_show_bytes(s, t);
  w->each = each;
  w->arg = arg;
  const lsp_status st = walk_tokens(w, why);
  free(w);
  return st;
}
