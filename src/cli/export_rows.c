/* Tokens, words and documents of an output as rows. */
#include "export.h"
#include "word_reader.h"

#include "lsp/durable.h"
#include "lsp/grid.h"

#include <math.h>
#include <string.h>

static const char *const token_column[] = {"document", "token", "id",   "byte_start",
                                           "byte_end", "nll",   "bits", "text"};
static const char *const word_column[] = {"document", "word", "byte_start", "byte_end",
                                          "tokens",   "nll",  "text"};
static const char *const document_column[] = {
    "document",         "name",      "token_start",      "token_count",
    "n_bytes",          "nll_count", "nll_sum",          "bits_per_byte",
    "not_finite_count", "words",     "token_perplexity", "word_perplexity"};

#define COUNT(list) ((int)(sizeof(list) / sizeof((list)[0])))

typedef struct {
  lsp_token_reader *reader;
  int64_t document;
  lsp_table table;
  int64_t words; /* of the document */
} export;

static void put_known(lsp_table *t, int64_t value) {
  if (value < 0)
    lsp_table_unknown(t);
  else
    lsp_table_int(t, value);
}

/* --- tokens ---------------------------------------------------------------------- */

static void put_token(export *x, const lsp_read_token *t) {
  lsp_table *table = &x->table;
  lsp_table_int(table, x->document);
  lsp_table_int(table, t->number);
  put_known(table, t->id);
  put_known(table, t->start);
  put_known(table, t->end);
  lsp_table_float(table, t->nll);
  lsp_table_float(table, (float)((double)t->nll / log(2)));
  if (t->bytes == NULL)
    lsp_table_unknown(table);
  else
    lsp_table_text(table, (const char *)t->bytes, t->count, 0);
}

static lsp_status export_tokens(export *x, lsp_failure *why) {
  lsp_read_token t;
  int there = 0;
  lsp_token_reader_begin(x->reader, x->document);
  for (;;) {
    LSP_TRY(lsp_token_reader_next(x->reader, &t, &there, why));
    if (!there || ferror(x->table.f))
      return LSP_OK;
    put_token(x, &t);
  }
}

/* --- words ----------------------------------------------------------------------- */

static void put_word(const lsp_read_word *word, void *arg) {
  export *x = arg;
  lsp_table *table = &x->table;
  if (ferror(table->f))
    return;
  lsp_table_int(table, x->document);
  lsp_table_int(table, word->number);
  put_known(table, word->start);
  put_known(table, word->end);
  lsp_table_int(table, word->tokens);
  lsp_table_double(table, word->nll);
  lsp_table_text(table, word->text, word->bytes, word->is_cut);
}

static void count_word(const lsp_read_word *word, void *arg) {
  export *x = arg;
  x->words = word->number + 1;
}

static lsp_status walk_words(export *x,
                             void (*take)(const lsp_read_word *word, void *arg),
                             lsp_failure *why) {
  lsp_word_reader words;
  lsp_read_token t;
  int there = 1;
  lsp_status st = LSP_OK;
  lsp_token_reader_begin(x->reader, x->document);
  lsp_word_reader_begin(&words, take, x);
  while (st == LSP_OK && there && !ferror(x->table.f)) {
    st = lsp_token_reader_next(x->reader, &t, &there, why);
    if (st == LSP_OK && there)
      lsp_word_reader_token(&words, &t);
  }
  const lsp_status end = lsp_word_reader_end(&words, st == LSP_OK ? why : NULL);
  return st == LSP_OK ? end : st;
}

static lsp_status export_words(export *x, lsp_failure *why) {
  return walk_words(x, put_word, why);
}

/* --- documents ------------------------------------------------------------------- */

/* The document's row of a column of 8 bytes; *out stays where there is none. */
static lsp_status read_one(const export *x, lsp_output_dataset dataset, void *out,
                           lsp_failure *why) {
  const lsp_file_view *v = &x->reader->view;
  const lsp_extent e = v->extent[dataset];
  if (e.offset < 0)
    return LSP_OK;
  return lsp_read_at(v->fd, x->reader->path, out, e.row_bytes,
                     e.offset + x->document * e.row_bytes, why);
}

static double perplexity(double nll, int64_t not_finite, int64_t count) {
  return count > 0 && not_finite == 0 ? exp(nll / (double)count) : NAN;
}

static lsp_status export_document(export *x, lsp_failure *why) {
  const lsp_output_spec *s = &x->reader->view.output;
  const int64_t d = x->document;
  int64_t nll_count = 0, not_finite = 0;
  double nll_sum = NAN, bits = NAN;
  lsp_failure no_text;
  LSP_TRY(read_one(x, LSP_DOCUMENTS_NLL_COUNT, &nll_count, why));
  LSP_TRY(read_one(x, LSP_DOCUMENTS_NOT_FINITE, &not_finite, why));
  LSP_TRY(read_one(x, LSP_DOCUMENTS_NLL_SUM, &nll_sum, why));
  LSP_TRY(read_one(x, LSP_DOCUMENTS_BITS_PER_BYTE, &bits, why));
  x->words = 0;
  if (lsp_token_reader_needs_text(x->reader, &no_text) == LSP_OK)
    LSP_TRY(walk_words(x, count_word, why));
  else
    x->words = -1;
  lsp_table *table = &x->table;
  lsp_table_int(table, d);
  lsp_table_text(table, s->name[d], strlen(s->name[d]), 0);
  lsp_table_int(table, s->token_start[d]);
  lsp_table_int(table, s->token_start[d + 1] - s->token_start[d]);
  lsp_table_int(table, s->n_bytes[d]);
  lsp_table_int(table, nll_count);
  lsp_table_double(table, nll_sum);
  lsp_table_double(table, bits);
  lsp_table_int(table, not_finite);
  put_known(table, x->words);
  lsp_table_double(table, perplexity(nll_sum, not_finite, nll_count));
  /* Of words there is one only where all of the text was predicted. */
  lsp_table_double(table, perplexity(nll_sum, not_finite, isnan(bits) ? 0 : x->words));
  return LSP_OK;
}

/* --- all ------------------------------------------------------------------------- */

lsp_status lsp_export_rows(lsp_token_reader *r, lsp_exported what, int64_t first,
                           int64_t end, FILE *f, lsp_table_format format,
                           lsp_failure *why) {
  static const struct {
    const char *const *column;
    int columns;
    lsp_status (*document)(export *x, lsp_failure *why);
  } kind[] = {[LSP_EXPORT_TOKENS] = {token_column, COUNT(token_column), export_tokens},
              [LSP_EXPORT_WORDS] = {word_column, COUNT(word_column), export_words},
              [LSP_EXPORT_DOCUMENTS] = {document_column, COUNT(document_column),
                                        export_document}};
  export x = {.reader = r};
  if (what == LSP_EXPORT_WORDS)
    LSP_TRY(lsp_token_reader_needs_text(r, why));
  lsp_table_begin(&x.table, f, format, kind[what].column, kind[what].columns);
  for (x.document = first; x.document < end && !ferror(f); x.document++)
    LSP_TRY(kind[what].document(&x, why));
  return LSP_OK;
}
