/* longspan export: surprisal joined to the text, for other programs. */
#include "cli.h"
#include "export.h"

#include "lsp/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
  int64_t tokens, words, documents, format, document;
  const char *output;
} export_options;

#define FIELD(name) #name, offsetof(export_options, name)

static const lsp_option export_option[] = {
    {LSP_OPTION_FLAG, 0, FIELD(tokens), 0, 0, 0, "",
     "a row a token: document, token, id, byte_start, byte_end, nll, bits, text"},
    {LSP_OPTION_FLAG, 0, FIELD(words), 0, 0, 0, "",
     "a row a word: document, word, byte_start, byte_end, tokens, nll, text"},
    {LSP_OPTION_FLAG, 0, FIELD(documents), 0, 0, 0, "",
     "a row a document: all of /documents, and words, token_perplexity, "
     "word_perplexity"},
    {LSP_OPTION_WORDS, 0, FIELD(format), LSP_TABLE_TSV, LSP_TABLE_TSV, LSP_TABLE_JSONL,
     "tsv|csv|jsonl",
     "tsv (default): \\t, \\n, \\r and \\\\ within text for tab, line ends and "
     "backslash; csv: as in RFC 4180; jsonl: a JSON object a line"},
    {LSP_OPTION_INT, 0, FIELD(document), -1, 0, INT64_MAX, "N",
     "only document N, counted from 0"},
    {LSP_OPTION_TEXT, 0, FIELD(output), 0, 0, 0, "FILE",
     "write to FILE (default: standard output)"},
};

static const lsp_command export_command = {
    .usage = "longspan export FILE.h5 --tokens|--words|--documents [options]",
    .about =
        "Writes what an output says of each token, word or document, joined to the "
        "text, "
        "as rows for other programs. byte_start and byte_end are places in the text "
        "file "
        "as it was given to the run: bytes [byte_start, byte_end) are the token or the "
        "word. nll is in nats, and empty (null) where there is no prediction.\n\n"
        "A word is what white space separates, as str.split() of Python does it. A "
        "token "
        "counts for the word in which its first byte lies that is no white space: \" "
        "the\" "
        "for \"the\"; one that reaches over two words for the first of them; one of "
        "white "
        "space alone for none. The nll of a word is the sum of its tokens; it is empty "
        "where one of them has none, and where no token counts for the word.\n\n"
        "Bytes that are no UTF-8 are written as U+FFFD. In Python: "
        "pandas.read_csv(\"words.csv\", keep_default_na=False, na_values={\"nll\": "
        "\"\"})",
    .option = export_option,
    .options = sizeof export_option / sizeof export_option[0]};

static lsp_status choose(const export_options *o, int inputs, lsp_exported *what,
                         lsp_failure *why) {
  if (o->tokens + o->words + o->documents != 1)
    return lsp_fail(why, LSP_E_USAGE,
                    "export takes one of --tokens, --words and --documents");
  if (inputs != 1)
    return lsp_fail(why, LSP_E_USAGE, "export takes one FILE.h5, the output of a run");
  *what = o->tokens  ? LSP_EXPORT_TOKENS
          : o->words ? LSP_EXPORT_WORDS
                     : LSP_EXPORT_DOCUMENTS;
  return LSP_OK;
}

/* Which documents: [*first, *end). */
static lsp_status choose_documents(const export_options *o, const lsp_token_reader *r,
                                   int64_t *first, int64_t *end, lsp_failure *why) {
  const int64_t documents = r->view.output.documents;
  *first = 0;
  *end = documents;
  if (o->document < 0)
    return LSP_OK;
  if (o->document >= documents)
    return lsp_fail(why, LSP_E_USAGE,
                    "--document %lld: %s has %lld documents, counted from 0",
                    (long long)o->document, r->path, (long long)documents);
  *first = o->document;
  *end = o->document + 1;
  return LSP_OK;
}

/* Rows onto a stream. Who reads a pipe may leave early: that is no failure. */
static lsp_status write_rows(const export_options *o, lsp_token_reader *r,
                             lsp_exported what, FILE *f, const char *name,
                             lsp_failure *why) {
  int64_t first = 0, end = 0;
  LSP_TRY(choose_documents(o, r, &first, &end, why));
  errno = 0;
  LSP_TRY(lsp_export_rows(r, what, first, end, f, (lsp_table_format)o->format, why));
  if (!ferror(f) && fflush(f) == 0)
    return LSP_OK;
  if (errno == EPIPE)
    return LSP_OK;
  return lsp_fail(why, LSP_E_IO, "%s: writing failed: %s; is the disk full?", name,
                  strerror(errno));
}

static lsp_status check_output(const char *output, const lsp_token_reader *r,
                               lsp_failure *why) {
  struct stat written, read;
  if (stat(output, &written) != 0 || fstat(r->view.fd, &read) != 0 ||
      written.st_ino != read.st_ino || written.st_dev != read.st_dev)
    return LSP_OK;
  return lsp_fail(why, LSP_E_INPUT,
                  "%.300s: is the output that is read; name another --output", output);
}

/* The rows go through a copy of the descriptor, which fclose closes. */
static lsp_status write_file(const export_options *o, lsp_token_reader *r,
                             lsp_exported what, lsp_failure *why) {
  lsp_replacement file;
  LSP_TRY(check_output(o->output, r, why));
  LSP_TRY(lsp_replacement_begin(o->output, &file, why));
  const int fd = fcntl(file.fd, F_DUPFD_CLOEXEC, 0);
  FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
  lsp_status st = LSP_OK;
  if (f == NULL) {
    st = lsp_fail(why, LSP_E_IO, "%s: cannot be written: %s", o->output,
                  strerror(errno));
    if (fd >= 0)
      (void)close(fd);
  } else {
    st = write_rows(o, r, what, f, o->output, why);
    if (fclose(f) != 0 && st == LSP_OK)
      st = lsp_fail(why, LSP_E_IO, "%s: writing failed: %s; is the disk full?",
                    o->output, strerror(errno));
  }
  if (st == LSP_OK)
    st = lsp_replacement_commit(&file, why);
  lsp_replacement_end(&file);
  return st;
}

static lsp_status export_file(const export_options *o, const char *path,
                              lsp_exported what, lsp_failure *why) {
  lsp_token_reader r;
  lsp_status st = lsp_token_reader_open(&r, path, why);
  if (st == LSP_OK && what == LSP_EXPORT_WORDS)
    st = lsp_token_reader_needs_text(&r, why);
  if (st == LSP_OK)
    st = o->output != NULL ? write_file(o, &r, what, why)
                           : write_rows(o, &r, what, stdout, "standard output", why);
  lsp_token_reader_close(&r);
  return st;
}

int lsp_cmd_export(int argc, char **argv) {
  export_options options;
  lsp_failure why = {0};
  lsp_exported what = LSP_EXPORT_TOKENS;
  int inputs = 0;
  if (lsp_answered(stdout, &export_command, argc, argv))
    return 0;
  (void)signal(SIGPIPE, SIG_IGN);
  const char **input = calloc((size_t)argc + 1, sizeof *input);
  lsp_status st = input != NULL ? LSP_OK : lsp_fail(&why, LSP_E_MEMORY, "no memory");
  if (st == LSP_OK)
    st = lsp_parse(&export_command, argc, argv, &options, input, &inputs, &why);
  if (st == LSP_OK)
    st = choose(&options, inputs, &what, &why);
  if (st == LSP_OK)
    st = export_file(&options, input[0], what, &why);
  free(input);
  return st == LSP_OK ? 0 : lsp_complain(&why);
}
