/* What a file of longspan holds: an output, or memory snapshots. */
#include "cli.h"
#include "info.h"

#include "lsp/durable.h"
#include "lsp/grid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LISTED = 20, NAME_COLUMNS = 40 };

static double size_of(const lsp_file_view *view) {
  struct stat st;
  return fstat(view->fd, &st) == 0 ? (double)st.st_size : 0;
}

/* Passes over what is said elsewhere, or once more. */
static void print_attributes(const lsp_attribute *attribute, int n) {
  static const char *const known[] = {"identity", "tokens", "documents"};
  for (int i = 0; i < n; i++) {
    int is_known = 0;
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
      is_known = is_known || strcmp(attribute[i].key, known[k]) == 0;
    if (!is_known)
      lsp_print_fact(stdout, attribute[i].key, "%s", attribute[i].value);
  }
}

void lsp_info_contents(const lsp_file_view *view) {
  const lsp_output_spec *s = &view->output;
  char tokens[LSP_NUMBER_SIZE], bytes[LSP_NUMBER_SIZE], hidden[48] = "";
  if (s->write_hidden)
    (void)snprintf(hidden, sizeof hidden, "%shidden states of width %d",
                   s->write_id || s->write_nll ? ", " : "", s->hidden_width);
  lsp_print_fact(stdout, "tokens", "%s in %lld document%s",
                 lsp_grouped(s->tokens, tokens), (long long)s->documents,
                 s->documents == 1 ? "" : "s");
  lsp_print_fact(stdout, "each token has", "%s%s%s%s", s->write_id ? "id" : "",
                 s->write_id && s->write_nll ? ", " : "", s->write_nll ? "nll" : "",
                 hidden);
  lsp_print_fact(stdout, "size", "%s", lsp_bytes(size_of(view), bytes));
}

/* Row d of a float64 dataset of the documents; NaN if there is none. */
static lsp_status read_double(const lsp_file_view *view, const char *path,
                              lsp_output_dataset dataset, int64_t d, double *value,
                              lsp_failure *why) {
  const lsp_extent e = view->extent[dataset];
  *value = (double)NAN;
  if (e.offset < 0)
    return LSP_OK;
  return lsp_read_at(view->fd, path, value, (int64_t)sizeof *value,
                     e.offset + d * e.row_bytes, why);
}

static lsp_status print_document(const lsp_file_view *view, const char *path, int64_t d,
                                 lsp_failure *why) {
  const lsp_output_spec *s = &view->output;
  char name[NAME_COLUMNS + 1], tokens[LSP_NUMBER_SIZE], bits[32] = "-";
  double value = 0;
  LSP_TRY(read_double(view, path, LSP_DOCUMENTS_BITS_PER_BYTE, d, &value, why));
  if (!isnan(value))
    (void)snprintf(bits, sizeof bits, "%.4f", value);
  lsp_shortened(s->name[d], name, NAME_COLUMNS);
  (void)fputs("  ", stdout);
  lsp_print_padded(stdout, name, NAME_COLUMNS);
  (void)printf(" %18s %15s\n",
               lsp_grouped(s->token_start[d + 1] - s->token_start[d], tokens), bits);
  return LSP_OK;
}

/* nll_sum / ln 2 / n_bytes over all documents that have predictions. */
static lsp_status print_overall(const lsp_file_view *view, const char *path,
                                lsp_failure *why) {
  const lsp_output_spec *s = &view->output;
  double nats = 0, bytes = 0, sum = 0;
  for (int64_t d = 0; d < s->documents; d++) {
    LSP_TRY(read_double(view, path, LSP_DOCUMENTS_NLL_SUM, d, &sum, why));
    if (isnan(sum))
      continue;
    nats += sum;
    bytes += (double)s->n_bytes[d];
  }
  if (bytes > 0)
    lsp_print_fact(stdout, "bits per byte", "%.4f", nats / log(2) / bytes);
  return LSP_OK;
}

static lsp_status print_output(const lsp_file_view *view, const char *path,
                               lsp_failure *why) {
  const lsp_output_spec *s = &view->output;
  const int64_t listed = lsp_min(s->documents, LISTED);
  lsp_print_line(stdout, "%s: an output of longspan, complete", path);
  lsp_info_contents(view);
  LSP_TRY(print_overall(view, path, why));
  print_attributes(s->attribute, s->attributes);
  (void)printf("\n  %-*s %18s %15s\n", NAME_COLUMNS, "document", "tokens",
               "bits per byte");
  for (int64_t d = 0; d < listed; d++)
    LSP_TRY(print_document(view, path, d, why));
  if (listed < s->documents)
    (void)printf("  ... and %lld more\n", (long long)(s->documents - listed));
  return LSP_OK;
}

static void print_memory(const lsp_file_view *view, const char *path) {
  const lsp_memory_spec *s = &view->memory;
  char bytes[LSP_NUMBER_SIZE], position[LSP_NUMBER_SIZE];
  const int64_t listed = lsp_min(s->snapshots, LISTED);
  lsp_print_line(stdout, "%s: memory snapshots of longspan", path);
  lsp_print_fact(stdout, "snapshots", "%lld", (long long)s->snapshots);
  lsp_print_fact(stdout, "each holds",
                 "keys and values of %d layers, %lld rows of width %d", s->layers,
                 (long long)s->rows, s->width);
  lsp_print_fact(stdout, "size", "%s", lsp_bytes(size_of(view), bytes));
  print_attributes(s->attribute, s->attributes);
  (void)printf("\n  %10s %10s %20s %10s\n", "snapshot", "document", "position", "rows");
  for (int64_t i = 0; i < listed; i++)
    (void)printf("  %10lld %10lld %20s %10lld\n", (long long)i,
                 (long long)s->document[i], lsp_grouped(s->position[i], position),
                 (long long)lsp_min(s->position[i], s->rows));
  if (listed < s->snapshots)
    (void)printf("  ... and %lld more\n", (long long)(s->snapshots - listed));
  if (s->snapshots > 0)
    (void)puts("\n  longspan run --from-snapshot goes on from the last one.");
}

lsp_status lsp_info_file(const char *path, lsp_failure *why) {
  lsp_file_view view;
  lsp_status st = LSP_OK;
  LSP_TRY(lsp_file_open(path, &view, why));
  if (view.is_memory)
    print_memory(&view, path);
  else
    st = print_output(&view, path, why);
  lsp_file_close(&view);
  return st;
}
