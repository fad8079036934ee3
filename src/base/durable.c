/* Bytes that reach the disk.
 *
 * A file is replaced in four steps whose order is the point: write PATH.tmp, sync it,
 * rename it to PATH, sync the folder. A crash at any moment leaves the old file or the
 * new one, whole.
 *
 * What must hold: a write that returned LSP_OK was complete; a sync that failed is not
 * tried again, because the kernel has marked the pages clean and a second call would
 * lie.
 */
#include "lsp/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Linux moves at most 0x7ffff000 bytes a call; this keeps below it, aligned. */
static const int64_t PIECE = (int64_t)1 << 30;

static const char *what_to_do(int error) {
  switch (error) {
  case ENOSPC:
    return "the disk is full: free space on it, or write elsewhere, and run the same "
           "command again";
  case EDQUOT:
    return "the disk quota is used up: free space within it, or write elsewhere, and "
           "run "
           "the same command again";
  case EFBIG:
    return "the file system or a limit of the shell (ulimit -f) does not allow a file "
           "of "
           "this size: write elsewhere";
  case EROFS:
  case EACCES:
  case EPERM:
    return "writing is not allowed here: check the permissions, or write elsewhere";
  case ENOENT:
    return "the folder does not exist: create it first";
  default:
    return "check the disk and its mount";
  }
}

lsp_status lsp_write_at(int fd, const char *path, const void *data, int64_t n,
                        int64_t offset, lsp_failure *why) {
  LSP_ASSERT(n >= 0 && offset >= 0);
  const char *at = data;
  while (n > 0) {
    const ssize_t got = pwrite(fd, at, (size_t)(n < PIECE ? n : PIECE), offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      const int error = got < 0 ? errno : ENOSPC;
      return lsp_fail(why, LSP_E_IO, "%s: cannot write %lld bytes at byte %lld: %s; %s",
                      path, (long long)n, (long long)offset, strerror(error),
                      what_to_do(error));
    }
    at += got;
    n -= got;
    offset += got;
  }
  return LSP_OK;
}

lsp_status lsp_read_at(int fd, const char *path, void *data, int64_t n, int64_t offset,
                       lsp_failure *why) {
  LSP_ASSERT(n >= 0 && offset >= 0);
  char *at = data;
  while (n > 0) {
    const ssize_t got = pread(fd, at, (size_t)(n < PIECE ? n : PIECE), offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return lsp_fail(why, LSP_E_IO,
                      "%s: cannot read %lld bytes at byte %lld: %s; check the disk and "
                      "its mount",
                      path, (long long)n, (long long)offset, strerror(errno));
    if (got == 0)
      return lsp_fail(why, LSP_E_IO,
                      "%s: ends at byte %lld where %lld more were expected: it was cut "
                      "short after it was opened; restore it and run again",
                      path, (long long)offset, (long long)n);
    at += got;
    n -= got;
    offset += got;
  }
  return LSP_OK;
}

lsp_status lsp_sync_file(int fd, const char *path, lsp_failure *why) {
  if (fdatasync(fd) == 0)
    return LSP_OK;
  const int error = errno;
  return lsp_fail(why, LSP_E_IO, "%s: what was written did not reach the disk: %s; %s",
                  path, strerror(error), what_to_do(error));
}

/* The folder that a path lies in; the caller frees it. NULL: no memory. */
static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL)
    return strdup(".");
  return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static lsp_status sync_folder(const char *folder, lsp_failure *why) {
  const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return lsp_fail(why, LSP_E_IO,
                    "%s: cannot open this folder: %s; create it, or check "
                    "its permissions",
                    folder, strerror(errno));
  const int error = fsync(fd) == 0 ? 0 : errno;
  (void)close(fd);
  /* Some network file systems have no sync for folders and say so by EINVAL. */
  if (error == 0 || error == EINVAL)
    return LSP_OK;
  return lsp_fail(why, LSP_E_IO, "%s: this folder did not reach the disk: %s; %s",
                  folder, strerror(error), what_to_do(error));
}

lsp_status lsp_sync_folder_of(const char *path, lsp_failure *why) {
  char *folder = folder_of(path);
  if (folder == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to name its folder",
                    path);
  const lsp_status status = sync_folder(folder, why);
  free(folder);
  return status;
}

lsp_status lsp_rename(const char *from, const char *to, lsp_failure *why) {
  if (rename(from, to) != 0) {
    const int error = errno;
    return lsp_fail(why, LSP_E_IO, "%s: cannot be renamed to %s: %s; %s", from, to,
                    strerror(error), what_to_do(error));
  }
  return lsp_sync_folder_of(to, why);
}

static lsp_status write_whole(const char *path, const void *data, size_t bytes,
                              lsp_failure *why) {
  const int fd =
      open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) {
    const int error = errno;
    return lsp_fail(why, LSP_E_IO, "%s: cannot be created: %s; %s", path,
                    strerror(error), what_to_do(error));
  }
  lsp_status status = lsp_write_at(fd, path, data, (int64_t)bytes, 0, why);
  if (status == LSP_OK)
    status = lsp_sync_file(fd, path, why);
  /* Network file systems report late failures at close. */
  if (close(fd) != 0 && status == LSP_OK) {
    const int error = errno;
    status = lsp_fail(why, LSP_E_IO, "%s: closing it failed: %s; %s", path,
                      strerror(error), what_to_do(error));
  }
  return status;
}

lsp_status lsp_replace_file(const char *path, const void *data, size_t bytes,
                            lsp_failure *why) {
  LSP_ASSERT(bytes <= INT64_MAX);
  char *temporary = NULL;
  if (asprintf(&temporary, "%s.tmp", path) < 0)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to write it", path);
  lsp_status status = write_whole(temporary, data, bytes, why);
  if (status == LSP_OK)
    status = lsp_rename(temporary, path, why);
  if (status != LSP_OK)
    (void)unlink(temporary);
  free(temporary);
  return status;
}
