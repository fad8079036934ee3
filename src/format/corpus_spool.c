/* Standard input, copied to a file: a run must know the size of its text before the
 * first token, read it from many ranks, and find it again when it is resumed.
 *
 * What must hold: a file of the name `spool` is a complete copy. It appears by rename,
 * after its bytes are on the disk. */
#include "corpus_internal.h"

#include "lsp/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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

static lsp_status copy_to(const char *path, lsp_failure *why) {
  const int fd =
      open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0)
    return lsp_fail(why, LSP_E_IO,
                    "%s: this copy of standard input cannot be created: %s; check the "
                    "folder and its permissions",
                    path, strerror(errno));
  lsp_status status = copy_all(fd, path, why);
  if (status == LSP_OK)
    status = lsp_sync_file(fd, path, why);
  if (close(fd) != 0 && status == LSP_OK)
    status =
        lsp_fail(why, LSP_E_IO,
                 "%s: closing this copy of standard input failed: %s; check the disk",
                 path, strerror(errno));
  return status;
}

lsp_status lsp__corpus_spool(const char *spool, lsp_failure *why) {
  struct stat facts;
  char *temporary = NULL;
  if (stat(spool, &facts) == 0)
    return LSP_OK;
  if (asprintf(&temporary, "%s.tmp", spool) < 0)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to write it", spool);
  lsp_status status = copy_to(temporary, why);
  if (status == LSP_OK)
    status = lsp_rename(temporary, spool, why);
  if (status != LSP_OK)
    (void)unlink(temporary);
  free(temporary);
  return status;
}
