/* Standard input, copied to a file: a run must know the size of its text before the
 * first token, read it from many ranks, and find it again when it is resumed.
 *
 * What must hold: a file of the name `spool` is a complete copy. It appears by rename,
 * after its bytes are on the disk. A copy that is there counts only where the run that
 * made it is resumed, and only if standard input carries the same text or none. */
#include "corpus_internal.h"

#include "lsp/durable.h"
#include "lsp/stop.h"
#include "regular.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, LOOKS = 30, LOOK_MS = 100 };

/* Bytes of standard input that follow those read before; 0: it has ended. */
static lsp_status read_more(char *buffer, int64_t before, int64_t *bytes,
                            lsp_failure *why) {
  for (;;) {
    LSP_TRY(lsp__corpus_wait(STDIN_FILENO, why));
    const ssize_t got = read(STDIN_FILENO, buffer, BUFFER);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    *bytes = got;
    if (got >= 0)
      return LSP_OK;
    return lsp_fail(
        why, LSP_E_IO,
        "standard input: cannot be read after byte %lld: %s; send it again, "
        "or name a file",
        (long long)before, strerror(errno));
  }
}

/* --- a new copy ------------------------------------------------------------------ */

static lsp_status copy_all(int fd, const char *path, lsp_failure *why) {
  char buffer[BUFFER];
  for (int64_t offset = 0, got = 0;; offset += got) {
    LSP_TRY(read_more(buffer, offset, &got, why));
    if (got == 0)
      return LSP_OK;
    LSP_TRY(lsp_write_at(fd, path, buffer, got, offset, why));
  }
}

static lsp_status copy(const char *spool, lsp_failure *why) {
  lsp_replacement r;
  LSP_TRY(lsp_replacement_begin(spool, &r, why));
  lsp_mark_own(r.fd);
  lsp_status status = copy_all(r.fd, r.temporary, why);
  if (status == LSP_OK)
    status = lsp_replacement_commit(&r, why);
  lsp_replacement_end(&r);
  return status;
}

/* --- a copy that is there -------------------------------------------------------- */

/* Something comes, if only an end, within some seconds. A run that is resumed by hand
 * has a terminal or an idle pipe there, which would be waited for in vain. */
static int something_comes(void) {
  struct pollfd on = {.fd = STDIN_FILENO, .events = POLLIN};
  if (isatty(STDIN_FILENO))
    return 0;
  for (int i = 0; i < LOOKS && !lsp_stop_asked(); i++)
    if (poll(&on, 1, LOOK_MS) > 0)
      return (on.revents & POLLNVAL) == 0;
  return 0;
}

static lsp_status refuse_other(const char *spool, int64_t from, lsp_failure *why) {
  return lsp_fail(why, LSP_E_MISMATCH,
                  "standard input: from byte %lld on it is another text than that of "
                  "the run that is resumed, whose copy is %s; send the same text, or "
                  "nothing, or begin anew with --overwrite",
                  (long long)from, spool);
}

/* The bytes of the copy from `at` on are those of the buffer. */
static lsp_status compare_part(int fd, const char *spool, int64_t at,
                               const char *buffer, int64_t bytes, lsp_failure *why) {
  char copied[BUFFER];
  for (int64_t done = 0; done < bytes;) {
    const ssize_t got = pread(fd, copied, (size_t)(bytes - done), at + done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return lsp_fail(why, LSP_E_IO,
                      "%s: this copy of standard input cannot be read: %s; check the "
                      "disk",
                      spool, strerror(errno));
    for (int64_t i = 0; i < got; i++)
      if (copied[i] != buffer[done + i])
        return refuse_other(spool, at + done + i, why);
    if (got == 0)
      return refuse_other(spool, at + done, why);
    done += got;
  }
  return LSP_OK;
}

/* Standard input without a byte says nothing; else it is the copy, all of it. */
static lsp_status compare(int fd, const char *spool, lsp_failure *why) {
  char buffer[BUFFER];
  struct stat facts;
  int64_t offset = 0;
  for (int64_t got = 0;; offset += got) {
    LSP_TRY(read_more(buffer, offset, &got, why));
    if (got == 0)
      break;
    LSP_TRY(compare_part(fd, spool, offset, buffer, got, why));
  }
  if (offset == 0 || (fstat(fd, &facts) == 0 && (int64_t)facts.st_size == offset))
    return LSP_OK;
  return refuse_other(spool, offset, why);
}

static lsp_status compare_with(const char *spool, lsp_failure *why) {
  int fd = -1;
  int64_t bytes = 0;
  LSP_TRY(lsp__regular_open(spool, &fd, &bytes, why));
  const lsp_status status = compare(fd, spool, why);
  (void)close(fd);
  return status;
}

lsp_status lsp__corpus_spool(const lsp_corpus_spec *spec, lsp_failure *why) {
  struct stat facts;
  lsp_spooling ignored, *what = spec->spooling == NULL ? &ignored : spec->spooling;
  *what = LSP_SPOOL_COPIED;
  if (!spec->resumed || stat(spec->spool, &facts) != 0)
    return copy(spec->spool, why);
  *what = LSP_SPOOL_COMPARED;
  if (something_comes())
    return compare_with(spec->spool, why);
  *what = LSP_SPOOL_SILENT;
  return lsp__corpus_go_on(why);
}
