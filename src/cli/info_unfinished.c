/* An unfinished output: how far it has come, by its journal.
 *
 * To open a journal cuts it to its last whole record, which would harm a run that is
 * writing it. So a copy in memory is opened. */
#include "cli.h"
#include "info.h"

#include "lsp/durable.h"
#include "lsp/journal.h"
#include "lsp/store.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, PIECE = 1 << 16 };

static lsp_status copy_bytes(int from, int to, const char *path, lsp_failure *why) {
  char *piece = malloc(PIECE);
  lsp_status st =
      piece != NULL ? LSP_OK : lsp_fail(why, LSP_E_MEMORY, "%s: no memory", path);
  int64_t at = 0;
  ssize_t n = 1;
  while (st == LSP_OK && n > 0) {
    n = pread(from, piece, PIECE, at);
    if (n < 0)
      st = lsp_fail(why, LSP_E_IO, "%s: %s", path, strerror(errno));
    else
      st = lsp_write_at(to, path, piece, n, at, why);
    at += n;
  }
  free(piece);
  return st;
}

/* The journal's last record, out of a copy; *count 0: there is none yet. */
static lsp_status read_last(const char *path, lsp_commit *last, int64_t *count,
                            lsp_failure *why) {
  char copy[64];
  lsp_journal *j = NULL;
  const int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (from < 0)
    return lsp_fail(why, LSP_E_INPUT, "%s: %s", path, strerror(errno));
  const int to = memfd_create("journal", MFD_CLOEXEC);
  lsp_status st = to < 0 ? lsp_fail(why, LSP_E_MEMORY, "%s: no memory", path)
                         : copy_bytes(from, to, path, why);
  (void)close(from);
  (void)snprintf(copy, sizeof copy, "/proc/self/fd/%d", to);
  if (st == LSP_OK && lsp_journal_open(copy, &j, NULL) != LSP_OK)
    st = lsp_fail(why, LSP_E_FORMAT,
                  "%s: not a journal of longspan, or a damaged one; what it belongs to "
                  "cannot be resumed: begin anew with --overwrite",
                  path);
  if (to >= 0)
    (void)close(to);
  LSP_TRY(st);
  *count = lsp_journal_count(j);
  if (*count > 0)
    lsp_journal_at(j, *count - 1, last);
  lsp_journal_close(&j);
  return LSP_OK;
}

static void print_progress(const lsp_commit *last, int64_t tokens) {
  char done[LSP_NUMBER_SIZE], all[LSP_NUMBER_SIZE];
  const double nats = lsp_nats_value(lsp_nats_of(last->corpus_low, last->corpus_high));
  lsp_print_fact(stdout, "committed", "%s of %s tokens (%.1f %%)",
                 lsp_grouped(last->token_end, done), lsp_grouped(tokens, all),
                 tokens > 0 ? 100.0 * (double)last->token_end / (double)tokens : 100.0);
  if (last->corpus_not_finite > 0)
    lsp_print_fact(stdout, "not finite", "%s predicted tokens have no finite nll",
                   lsp_grouped(last->corpus_not_finite, done));
  else if (last->corpus_count > 0)
    lsp_print_fact(stdout, "so far", "%.4f bits a token",
                   nats / log(2) / (double)last->corpus_count);
}

/* What a resumed run begins with. */
static void print_memory(const lsp_commit *last) {
  char rows[LSP_NUMBER_SIZE], fixed[LSP_NUMBER_SIZE], some[64] = "";
  if (last->fixed_rows > 0)
    (void)snprintf(some, sizeof some, " and %s fixed ones",
                   lsp_grouped(last->fixed_rows, fixed));
  if (last->memory_rows > 0 || last->fixed_rows > 0)
    lsp_print_fact(stdout, "memory",
                   "%s rows before the next token%s%s, in FILE.h5.slot",
                   lsp_grouped(last->memory_rows, rows), some,
                   last->has_parts ? ", and the states" : "");
  else if (last->has_parts)
    lsp_print_fact(stdout, "memory",
                   "the states before the next token, in FILE.h5.slot");
}

static void print_age(const char *journal) {
  struct stat st;
  if (stat(journal, &st) != 0)
    return;
  const long long seconds = (long long)(time(NULL) - st.st_mtime);
  if (seconds < 120)
    lsp_print_fact(stdout, "last commit",
                   "%lld s ago: a run may be writing it at this moment", seconds);
  else
    lsp_print_fact(stdout, "last commit", "%lld h %02lld min ago", seconds / 3600,
                   seconds / 60 % 60);
}

lsp_status lsp_info_unfinished(const char *path, int replaces, lsp_failure *why) {
  char journal[PATH_SIZE], part[PATH_SIZE];
  lsp_commit last = {0};
  int64_t count = 0;
  lsp_file_view view;
  LSP_TRY(lsp_store_beside(path, ".h5.journal", journal, sizeof journal, why));
  LSP_TRY(lsp_store_beside(path, ".h5.part", part, sizeof part, why));
  LSP_TRY(read_last(journal, &last, &count, why));
  if (access(part, F_OK) != 0) { /* being laid out, or renamed at the end */
    lsp_print_line(stdout, "%s: an output of longspan, being begun or finished", path);
    print_age(journal);
  } else {
    LSP_TRY(lsp_file_open(part, &view, why));
    lsp_print_line(stdout, "%s: %s, not finished", path,
                   replaces ? "the new output, which will replace the complete one"
                            : "an output of longspan");
    lsp_info_contents(&view);
    print_progress(&last, view.output.tokens);
    if (count > 0 && last.token_end < view.output.tokens)
      print_memory(&last);
    print_age(journal);
    lsp_file_close(&view);
  }
  lsp_print_fact(stdout, "to resume",
                 "run the same command with --resume, on any number of ranks; "
                 "--overwrite begins anew");
  return LSP_OK;
}
