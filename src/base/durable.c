/* Bytes that reach the disk.
 *
 * A file is replaced in four steps whose order is the point: write PATH.tmp, sync it,
 * rename it to PATH, sync the folder. A crash at any moment leaves the old file or the
 * new one, whole.
 *
 * What must hold: a write that returned LSP_OK was complete; a sync that failed is not
 * tried again, because the kernel has marked the pages clean and a second call would
 * lie; nothing is written through a link, or to a file that has another name. */
#include "lsp/durable.h"

#include "lsp/beat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
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
    lsp_beat();
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
    lsp_beat();
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

/* Files of our own: never through a link, never with a second name. */

static lsp_status not_our_own(const char *path, const struct stat *st,
                              lsp_failure *why) {
  const char *kind = S_ISLNK(st->st_mode)    ? "a link"
                     : S_ISDIR(st->st_mode)  ? "a folder"
                     : S_ISFIFO(st->st_mode) ? "a pipe"
                     : S_ISREG(st->st_mode)  ? "a file with a second name (hard link)"
                                             : "no regular file";
  return lsp_fail(why, LSP_E_IO,
                  "%s: is %s, and a file is to be written there; nothing was changed: "
                  "move it away, or choose another name",
                  path, kind);
}

static int is_our_own(const struct stat *st) {
  return S_ISREG(st->st_mode) && st->st_nlink <= 1;
}

lsp_status lsp_own_name(const char *path, lsp_failure *why) {
  struct stat st;
  if (lstat(path, &st) == 0)
    return is_our_own(&st) ? LSP_OK : not_our_own(path, &st, why);
  if (errno == ENOENT)
    return LSP_OK;
  const int error = errno;
  return lsp_fail(why, LSP_E_IO,
                  "%s: cannot be looked at: %s; check the folder and its permissions",
                  path, strerror(error));
}

/* Also 0 if the file cannot be read. */
static int begins_with(const char *path, const char *begins) {
  char there[8] = {0}, zeros[8] = {0};
  const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  const size_t most = strlen(begins);
  LSP_ASSERT(most <= sizeof there);
  const ssize_t got = fd < 0 ? -1 : pread(fd, there, most, 0);
  if (fd >= 0)
    (void)close(fd);
  return got >= 0 && (memcmp(there, zeros, (size_t)got) == 0 ||
                      memcmp(there, begins, (size_t)got) == 0);
}

lsp_status lsp_own_remnant(const char *path, const char *begins, lsp_failure *why) {
  struct stat st;
  LSP_TRY(lsp_own_name(path, why));
  if (lstat(path, &st) != 0 || begins_with(path, begins))
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_MISMATCH,
      "%s: is no file of longspan, and the run needs this name; nothing was "
      "changed: move the file away, or name another output",
      path);
}

static const char mark[] = "user.longspan";

void lsp_mark_own(int fd) {
  (void)fsetxattr(fd, mark, "own", 3, 0); /* without: a leftover is not recognised */
}

int lsp_is_marked(const char *path) {
  struct stat st;
  char value[8];
  if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
    return 0;
  return st.st_size == 0 || lgetxattr(path, mark, value, sizeof value) > 0;
}

static lsp_status held(const char *path, lsp_failure *why) {
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: another process is writing it; wait for its end, or choose "
                  "another name",
                  path);
}

/* A lock is worth something only on the file that has the name now. */
static lsp_status lock(int fd, const char *path, lsp_failure *why) {
  struct stat mine, named;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return held(path, why); /* other failures: this file system has no locks */
  if (fstat(fd, &mine) != 0 || lstat(path, &named) != 0 ||
      mine.st_ino != named.st_ino || mine.st_dev != named.st_dev)
    return held(path, why);
  return is_our_own(&mine) ? LSP_OK : not_our_own(path, &mine, why);
}

static lsp_status open_and_lock(const char *path, int flags, int *fd,
                                lsp_failure *why) {
  *fd =
      open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags, 0666);
  if (*fd < 0) {
    const int error = errno;
    return lsp_fail(why, error == ENOENT && flags == 0 ? LSP_E_INPUT : LSP_E_IO,
                    "%s: cannot be %s: %s; %s", path,
                    flags != 0 ? "created" : "opened for writing", strerror(error),
                    what_to_do(error));
  }
  const lsp_status status = lock(*fd, path, why);
  if (status == LSP_OK)
    return LSP_OK;
  (void)close(*fd);
  *fd = -1;
  return status;
}

lsp_status lsp_lock_file(const char *path, int *fd, lsp_failure *why) {
  *fd = -1;
  LSP_TRY(lsp_own_name(path, why));
  return open_and_lock(path, 0, fd, why);
}

/* PATH.tmp made, or the one that a crash has left, emptied. */
static lsp_status claim(lsp_replacement *r, lsp_failure *why) {
  struct stat st;
  if (lstat(r->path, &st) == 0 && !S_ISREG(st.st_mode))
    return not_our_own(r->path, &st, why);
  LSP_TRY(lsp_own_name(r->temporary, why));
  if (lstat(r->temporary, &st) != 0)
    return open_and_lock(r->temporary, O_CREAT | O_EXCL, &r->fd, why);
  LSP_TRY(open_and_lock(r->temporary, 0, &r->fd, why));
  if (ftruncate(r->fd, 0) == 0)
    return LSP_OK;
  const int error = errno;
  (void)close(r->fd);
  r->fd = -1;
  return lsp_fail(why, LSP_E_IO, "%s: cannot be emptied: %s; %s", r->temporary,
                  strerror(error), what_to_do(error));
}

lsp_status lsp_replacement_begin(const char *path, lsp_replacement *r,
                                 lsp_failure *why) {
  *r = (lsp_replacement){.fd = -1, .path = path};
  if (asprintf(&r->temporary, "%s.tmp", path) < 0) {
    r->temporary = NULL;
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to write it", path);
  }
  const lsp_status status = claim(r, why);
  if (status == LSP_OK)
    return LSP_OK;
  free(r->temporary);
  r->temporary = NULL;
  return status;
}

lsp_status lsp_replacement_commit(lsp_replacement *r, lsp_failure *why) {
  LSP_ASSERT(r->fd >= 0 && r->temporary != NULL);
  LSP_TRY(lsp_sync_file(r->fd, r->temporary, why));
  LSP_TRY(lsp_rename(r->temporary, r->path, why));
  free(r->temporary);
  r->temporary = NULL;
  return LSP_OK;
}

void lsp_replacement_end(lsp_replacement *r) {
  if (r->temporary != NULL)
    (void)unlink(r->temporary);
  free(r->temporary);
  r->temporary = NULL;
  if (r->fd >= 0)
    (void)close(r->fd);
  r->fd = -1;
}

lsp_status lsp_replace_file(const char *path, const void *data, size_t bytes,
                            lsp_failure *why) {
  lsp_replacement r;
  LSP_ASSERT(bytes <= INT64_MAX);
  LSP_TRY(lsp_replacement_begin(path, &r, why));
  lsp_status status = lsp_write_at(r.fd, r.temporary, data, (int64_t)bytes, 0, why);
  if (status == LSP_OK)
    status = lsp_replacement_commit(&r, why);
  lsp_replacement_end(&r);
  return status;
}
