/* Standard input, copied to a file: a run must know the size of its text before the
 * first token, read it from many ranks, and find it again when it is resumed.
 *
 * What must hold: a file of the name `spool` is a complete copy. It appears by rename,
 * after its bytes are on the disk. */
#include "corpus_internal.h"

#include "lsp/durable.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 16 };

static lsp_status copy_all(int fd, const char *path, lsp_failure *why) {
  char buffer[BUFFER];
  for (int64_t offset = 0;;) {
    const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return lsp_fail(
          why, LSP_E_IO,
          "standard input: cannot be read after byte %lld: %s; send it again, "
          "or name a file",
          (long long)offset, strerror(errno));
    if (got == 0)
      return LSP_OK;
    LSP_TRY(lsp_write_at(fd, path, buffer, got, offset, why));
    offset += got;
  }
}

lsp_status lsp__corpus_spool(const char *spool, lsp_failure *why) {
  struct stat facts;
  lsp_replacement r;
  if (stat(spool, &facts) == 0)
    return LSP_OK;
  LSP_TRY(lsp_replacement_begin(spool, &r, why));
  lsp_status status = copy_all(r.fd, r.temporary, why);
  if (status == LSP_OK)
    status = lsp_replacement_commit(&r, why);
  lsp_replacement_end(&r);
  return status;
}
