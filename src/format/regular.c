/* Opens regular files for reading.
 *
 * What must hold: opening never blocks (a FIFO without a writer would, for ever), and
 * the size of an opened file is the number of its bytes. */
#include "regular.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static lsp_status refuse_kind(const char *path, mode_t mode, lsp_failure *why) {
  if (S_ISDIR(mode))
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: is a folder where a file was expected; name a "
                    "file in it",
                    path);
  if (S_ISFIFO(mode) || S_ISCHR(mode) || S_ISSOCK(mode))
    return lsp_fail(
        why, LSP_E_INPUT,
        "%s: is a %s where a regular file was expected; to read from a pipe, "
        "send it to standard input and give \"-\" as the input",
        path,
        S_ISFIFO(mode)  ? "pipe"
        : S_ISCHR(mode) ? "device"
                        : "socket");
  return lsp_fail(why, LSP_E_INPUT, "%s: is not a regular file; copy it to one", path);
}

/* Files of /proc and of some FUSE file systems say that they have 0 bytes, or fewer than
 * they have: what they hold would pass for an empty text. */
static lsp_status check_end(int fd, const char *path, int64_t bytes, lsp_failure *why) {
  char byte = 0;
  ssize_t got = 0;
  do
    got = pread(fd, &byte, 1, bytes);
  while (got < 0 && errno == EINTR);
  if (got == 0)
    return LSP_OK;
  if (got < 0)
    return lsp_fail(why, LSP_E_IO, "%s: cannot be read: %s; check the disk", path,
                    strerror(errno));
  return lsp_fail(
      why, LSP_E_INPUT,
      "%s: holds more than the %lld bytes that its size says, as files of "
      "/proc do, or one that is being written to; copy it and name the copy, "
      "or send it to standard input and give \"-\" as the input",
      path, (long long)bytes);
}

lsp_status lsp__regular_open(const char *path, int *fd, int64_t *bytes,
                             lsp_failure *why) {
  struct stat facts;
  *fd = -1;
  const int got = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (got < 0)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: cannot be opened: %s; check the name and the permissions",
                    path, strerror(errno));
  lsp_status status = LSP_OK;
  if (fstat(got, &facts) != 0)
    status = lsp_fail(why, LSP_E_IO, "%s: its size cannot be read: %s; check the disk",
                      path, strerror(errno));
  else if (!S_ISREG(facts.st_mode))
    status = refuse_kind(path, facts.st_mode, why);
  else
    status = check_end(got, path, (int64_t)facts.st_size, why);
  if (status != LSP_OK) {
    (void)close(got);
    return status;
  }
  *fd = got;
  *bytes = (int64_t)facts.st_size;
  return LSP_OK;
}
