/* What a file of longspan holds: an output, or memory snapshots. */
#include "cli.h"
#include "info.h"

#include "lsp/durable.h"
#include "lsp/grid.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { EACH_SIZE = 640, LISTED = 20, NAME_COLUMNS = 40, PIECE = 4096 };

static double size_of(const lsp_file_view *view) {
  struct stat st;
  return fstat(view->fd, &st) == 0 ? (double)st.st_size : 0;
}

void lsp_info_attributes(const lsp_attribute *attribute, int n) {
  static const char *const known[] = {"identity", "tokens", "documents"};
  for (int i = 0; i < n; i++) {
    int is_known = 0;
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
      is_known = is_known || strcmp(attribute[i].key, known[k]) == 0;
    if (!is_known && strcmp(attribute[i].key, "predicts") == 0 &&
        strcmp(attribute[i].value, "own") == 0)
      lsp_print_fact(stdout, "predicts",
                     "own: a row its own token, which it sees (two-sided, as masked "
                     "language models)");
    else if (!is_known)
      lsp_print_fact(stdout, attribute[i].key, "%s", attribute[i].value);
  }
}

/* One more word of a list. */
static void __attribute__((format(printf, 2, 3)))
add_words(char list[EACH_SIZE], const char *format, ...) {
  const size_t n = strlen(list);
  char words[EACH_SIZE];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(words, sizeof words, format, arguments);
  va_end(arguments);
  (void)snprintf(list + n, EACH_SIZE - n, "%s%s", n > 0 ? ", " : "", words);
}

static void each_token_has(const lsp_output_spec *s, char list[EACH_SIZE]) {
  list[0] = '\0';
  if (s->write_id)
    add_words(list, "id");
  if (s->write_starts)
    add_words(list, "place in the text");
  if (s->write_nll)
    add_words(list, "nll");
  if (s->write_hidden)
    add_words(list, "hidden states of width %d", s->hidden_width);
  for (int i = 0; i < s->hidden_layers; i++)
    add_words(list, "hidden_%d%s", s->hidden_layer[i],
              i == 0 && !s->write_hidden ? " (states before that layer)" : "");
  for (int i = 0; i < s->chosen_layers; i++)
    add_words(list, "chosen_%d%s", s->chosen_layer[i],
              i == 0 ? " (blocks chosen in that layer)" : "");
}

/* Of a text that a tokenizer has cut. */
static void print_text(const lsp_output_spec *s) {
  char number[LSP_NUMBER_SIZE];
  int64_t bytes = 0;
  if (!s->write_starts)
    return;
  for (int64_t d = 0; d < s->documents; d++)
    if (__builtin_add_overflow(bytes, s->n_bytes[d], &bytes))
      return;
  lsp_print_fact(stdout, "text", "%s bytes", lsp_grouped(bytes, number));
  if (s->tokens > 0)
    lsp_print_fact(stdout, "bytes a token", "%.2f", (double)bytes / (double)s->tokens);
}

void lsp_info_contents(const lsp_file_view *view) {
  const lsp_output_spec *s = &view->output;
  char tokens[LSP_NUMBER_SIZE], bytes[LSP_NUMBER_SIZE], each[EACH_SIZE];
  each_token_has(s, each);
  lsp_print_fact(stdout, "tokens", "%s in %lld document%s",
                 lsp_grouped(s->tokens, tokens), (long long)s->documents,
                 s->documents == 1 ? "" : "s");
  print_text(s);
  lsp_print_fact(stdout, "each token has", "%s", each);
  lsp_print_fact(stdout, "size", "%s", lsp_bytes(size_of(view), bytes));
}

/* Results of some documents, side by side. */
typedef struct {
  int64_t nll_count[PIECE], not_finite[PIECE];
  double nll_sum[PIECE], bits[PIECE]; /* bits per byte; NaN: not known */
} results;

/* The results of documents [first, first + n). */
static lsp_status read_results(const lsp_file_view *view, const char *path,
                               int64_t first, int64_t n, results *r, lsp_failure *why) {
  const struct {
    lsp_output_dataset dataset;
    void *to;
  } column[] = {{LSP_DOCUMENTS_NLL_COUNT, r->nll_count},
                {LSP_DOCUMENTS_NOT_FINITE, r->not_finite},
                {LSP_DOCUMENTS_NLL_SUM, r->nll_sum},
                {LSP_DOCUMENTS_BITS_PER_BYTE, r->bits}};
  for (size_t i = 0; i < sizeof column / sizeof column[0]; i++) {
    const lsp_extent e = view->extent[column[i].dataset];
    memset(column[i].to, 0, (size_t)n * 8); /* files of version 1 do not count */
    if (e.offset >= 0)
      LSP_TRY(
          lsp_read_at(view->fd, path, column[i].to, n * 8, e.offset + first * 8, why));
  }
  return LSP_OK;
}

/* Over all documents. */
typedef struct {
  int64_t predicted, not_finite;
  double nats, bytes; /* of documents that have predictions */
  int of_bytes;       /* a document has bits per byte: tokens are bytes */
} totals;

static lsp_status add_up(const lsp_file_view *view, const char *path, results *r,
                         totals *t, lsp_failure *why) {
  const lsp_output_spec *s = &view->output;
  memset(t, 0, sizeof *t);
  for (int64_t first = 0; first < s->documents; first += PIECE) {
    const int64_t n = lsp_min(PIECE, s->documents - first);
    LSP_TRY(read_results(view, path, first, n, r, why));
    for (int64_t i = 0; i < n; i++) {
      t->predicted += r->nll_count[i];
      t->not_finite += r->not_finite[i];
      t->of_bytes = t->of_bytes || !isnan(r->bits[i]);
      if (r->nll_count[i] == 0)
        continue;
      t->nats += r->nll_sum[i];
      t->bytes += (double)s->n_bytes[first + i];
    }
  }
  return LSP_OK;
}

/* The bytes of token ids are no text, so these have bits per token. r: the results of
 * the first documents. */
static void print_document(const lsp_output_spec *s, const results *r, int64_t d,
                           int of_bytes) {
  char name[NAME_COLUMNS + 1], tokens[LSP_NUMBER_SIZE], bits[32] = "-";
  if (r->not_finite[d] > 0)
    (void)snprintf(bits, sizeof bits, "not finite");
  else if (of_bytes && !isnan(r->bits[d]))
    (void)snprintf(bits, sizeof bits, "%.4f", r->bits[d]);
  else if (!of_bytes && r->nll_count[d] > 0)
    (void)snprintf(bits, sizeof bits, "%.4f",
                   r->nll_sum[d] / log(2) / (double)r->nll_count[d]);
  lsp_shortened(s->name[d], name, NAME_COLUMNS);
  (void)fputs("  ", stdout);
  lsp_print_padded(stdout, name, NAME_COLUMNS);
  (void)printf(" %18s %15s\n",
               lsp_grouped(s->token_start[d + 1] - s->token_start[d], tokens), bits);
}

/* Where some tokens have no finite result there is no average. */
static void print_overall(const lsp_output_spec *s, const totals *t) {
  char number[LSP_NUMBER_SIZE], all[LSP_NUMBER_SIZE];
  const double bits = t->nats / log(2);
  if (t->not_finite > 0) {
    lsp_print_fact(stdout, "not finite", "%s of %s predicted tokens have no finite nll",
                   lsp_grouped(t->not_finite, number),
                   lsp_grouped(t->not_finite + t->predicted, all));
    return;
  }
  if (t->of_bytes)
    lsp_print_fact(stdout, "bits per byte", "%.4f", bits / t->bytes);
  if (t->predicted > 0 && (!t->of_bytes || s->write_starts)) {
    lsp_print_fact(stdout, "bits per token", "%.4f", bits / (double)t->predicted);
    lsp_print_fact(stdout, "perplexity", "%.4f", exp2(bits / (double)t->predicted));
  }
}

static lsp_status print_results(const lsp_file_view *view, const char *path, results *r,
                                lsp_failure *why) {
  const lsp_output_spec *s = &view->output;
  const int64_t listed = lsp_min(s->documents, LISTED);
  totals t;
  LSP_TRY(add_up(view, path, r, &t, why));
  print_overall(s, &t);
  lsp_info_attributes(s->attribute, s->attributes);
  const int of_bytes = t.of_bytes || t.predicted == 0;
  (void)printf("\n  %-*s %18s %15s\n", NAME_COLUMNS, "document", "tokens",
               of_bytes ? "bits per byte" : "bits per token");
  if (listed > 0)
    LSP_TRY(read_results(view, path, 0, listed, r, why));
  for (int64_t d = 0; d < listed; d++)
    print_document(s, r, d, of_bytes);
  if (listed < s->documents)
    (void)printf("  ... and %lld more\n", (long long)(s->documents - listed));
  return LSP_OK;
}

static lsp_status print_output(const lsp_file_view *view, const char *path,
                               int replaced, lsp_failure *why) {
  results *r = malloc(sizeof *r);
  if (r == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: no memory", path);
  lsp_print_line(stdout, "%s: an output of longspan, complete%s", path,
                 replaced ? "; a run with --overwrite is to replace it (see below)"
                          : "");
  lsp_info_contents(view);
  const lsp_status st = print_results(view, path, r, why);
  free(r);
  return st;
}

lsp_status lsp_info_file(const char *path, int replaced, lsp_failure *why) {
  lsp_file_view view;
  lsp_status st = LSP_OK;
  LSP_TRY(lsp_file_open(path, &view, why));
  if (view.is_memory)
    lsp_info_memory(&view, path);
  else
    st = print_output(&view, path, replaced, why);
  lsp_file_close(&view);
  return st;
}
