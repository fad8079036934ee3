/* Faults in file I/O, put under an unchanged program by LD_PRELOAD.
 *
 *   LSP_FAULT_PATH         faults concern files whose path holds this text (needed)
 *   LSP_FAULT_RANK         only in the process with this OMPI_COMM_WORLD_RANK;
 *                          unset: in all
 *   LSP_FAULT_AT           number of the call that fails, from 1
 *   LSP_FAULT_COUNT_FILE   the number of calls is written here as each is made, so
 *                          that it is there after a kill and after _exit, too
 *   LSP_FAULT_TRACE_FILE   one line a call is appended here: number, call, path
 *   LSP_FAULT_MODE
 *       count    nothing fails (the default)
 *       kill     SIGKILL before the call
 *       torn     the first half of a write is done, then SIGKILL
 *       enospc   the call fails once with ENOSPC
 *       eio      the call fails once with EIO
 *       short    a write does its first half and says so
 *       sticky   this call and all that follow fail with ENOSPC
 *   LSP_FAULT_OPEN_AS      what is opened without O_CREAT is this file instead: the
 *                          path of another host, or a file replaced under a run
 *       hang     the call never returns
 *   LSP_FAULT_INIT         in MPI_Init_thread: the number of a signal that the process
 *                          sends itself first, or "hang": it never returns
 *
 * Counted: open, openat, creat with O_CREAT; write, pwrite, pwritev; fsync, fdatasync;
 * ftruncate, fallocate; rename, unlink; and their 64-bit names.
 *
 * What must hold: calls are counted in one order per process (an atomic counter), a
 * file elsewhere costs nothing but the look at its path, errno is kept where nothing
 * fails, and no function here calls one that it replaces.
 *
 * Build: cc -shared -fPIC -o iofault.so iofault.c. Public domain. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

typedef enum {
  COUNT,
  KILL,
  TORN,
  NO_SPACE,
  IO_ERROR,
  SHORT,
  STICKY,
  HANG,
  MODES
} fault_mode;

static const char *const mode_name[MODES] = {"count", "kill",  "torn",   "enospc",
                                             "eio",   "short", "sticky", "hang"};

typedef enum { PASS, FAIL, HALF, HALF_AND_DIE } verdict;

/* How many calls there were, and the path of the last that matched in this thread. */
static atomic_long calls;
static _Thread_local char matched[PATH_MAX];

static fault_mode mode_of(const char *name) {
  for (int m = 0; name != NULL && m < MODES; m++)
    if (strcmp(name, mode_name[m]) == 0)
      return (fault_mode)m;
  return COUNT;
}

static int rank_matches(void) {
  const char *wanted = getenv("LSP_FAULT_RANK"), *rank = getenv("OMPI_COMM_WORLD_RANK");
  return wanted == NULL || rank == NULL || strcmp(wanted, rank) == 0;
}

static int path_matches(const char *path) {
  const char *wanted = getenv("LSP_FAULT_PATH");
  if (wanted == NULL || *wanted == '\0' || path == NULL ||
      strstr(path, wanted) == NULL || !rank_matches())
    return 0;
  (void)snprintf(matched, sizeof matched, "%s", path);
  return 1;
}

static int fd_matches(int fd) {
  char link[64], path[PATH_MAX];
  const int error = errno;
  (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  errno = error;
  if (n <= 0)
    return 0;
  path[n] = '\0';
  return path_matches(path);
}

/* By bare system calls, past what is replaced below. flags: O_APPEND for a trace. */
static void put_line(const char *path, int flags, const char *line, int bytes) {
  const long fd =
      syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
  if (fd < 0)
    return;
  (void)syscall(SYS_write, fd, line, (size_t)bytes);
  (void)syscall(SYS_close, fd);
}

static void report(long n, const char *call) {
  const char *count = getenv("LSP_FAULT_COUNT_FILE");
  const char *trace = getenv("LSP_FAULT_TRACE_FILE");
  char line[PATH_MAX + 64];
  const int error = errno;
  if (count != NULL)
    put_line(count, 0, line, snprintf(line, sizeof line, "%ld\n", n));
  if (trace != NULL)
    put_line(trace, O_APPEND, line,
             snprintf(line, sizeof line, "%ld %s %s\n", n, call, matched));
  errno = error;
}

static _Noreturn void hang(void) {
  for (;;)
    (void)pause();
}

static _Noreturn void die(void) {
  (void)kill(getpid(), SIGKILL);
  hang();
}

/* Counts a call that matches and says what becomes of it; errno is set for FAIL.
 * can_halve: the call is a write. */
static verdict judge(const char *call, int can_halve) {
  const char *at_text = getenv("LSP_FAULT_AT");
  const long at = at_text == NULL ? 0 : atol(at_text);
  const fault_mode mode = mode_of(getenv("LSP_FAULT_MODE"));
  const long n = atomic_fetch_add(&calls, 1) + 1;
  report(n, call);
  if (mode == SHORT && can_halve && at_text == NULL)
    return HALF;
  if (at < 1 || mode == COUNT || (mode == STICKY ? n < at : n != at))
    return PASS;
  if (mode == KILL || (mode == TORN && !can_halve))
    die();
  if (mode == HANG)
    hang();
  if (mode == TORN)
    return HALF_AND_DIE;
  if (mode == SHORT)
    return can_halve ? HALF : PASS;
  errno = mode == IO_ERROR ? EIO : ENOSPC;
  return FAIL;
}

static ssize_t end_write(verdict v, ssize_t written) {
  if (v == HALF_AND_DIE)
    die();
  return written;
}

/* The first half of the bytes, by bare system calls. offset < 0: where the file is. */
static ssize_t write_half(int fd, const void *data, size_t n, int64_t offset) {
  const size_t half = n > 1 ? n / 2 : n;
  return offset < 0 ? (ssize_t)syscall(SYS_write, fd, data, half)
                    : (ssize_t)syscall(SYS_pwrite64, fd, data, half, offset);
}

static ssize_t write_half_of(int fd, const struct iovec *v, int count, int64_t offset) {
  return count < 1 ? 0 : write_half(fd, v[0].iov_base, v[0].iov_len, offset);
}

/* What is replaced. Each has its prototype from the system's headers; the 64-bit names
 * are functions of their own in glibc. */

ssize_t write(int fd, const void *data, size_t n) {
  const verdict v = fd_matches(fd) ? judge("write", 1) : PASS;
  if (v == FAIL)
    return -1;
  return v == PASS ? (ssize_t)syscall(SYS_write, fd, data, n)
                   : end_write(v, write_half(fd, data, n, -1));
}

static ssize_t write_at(int fd, const void *data, size_t n, int64_t offset) {
  const verdict v = fd_matches(fd) ? judge("write", 1) : PASS;
  if (v == FAIL)
    return -1;
  return v == PASS ? (ssize_t)syscall(SYS_pwrite64, fd, data, n, offset)
                   : end_write(v, write_half(fd, data, n, offset));
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t offset) {
  return write_at(fd, data, n, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset) {
  return write_at(fd, data, n, offset);
}

static ssize_t write_vector_at(int fd, const struct iovec *data, int n,
                               int64_t offset) {
  const verdict v = fd_matches(fd) ? judge("write", 1) : PASS;
  if (v == FAIL)
    return -1;
  return v == PASS ? (ssize_t)syscall(SYS_pwritev, fd, data, n, offset, 0L)
                   : end_write(v, write_half_of(fd, data, n, offset));
}

ssize_t pwritev(int fd, const struct iovec *data, int n, off_t offset) {
  return write_vector_at(fd, data, n, offset);
}

ssize_t pwritev64(int fd, const struct iovec *data, int n, off64_t offset) {
  return write_vector_at(fd, data, n, offset);
}

int fsync(int fd) {
  return fd_matches(fd) && judge("sync", 0) == FAIL ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
  return fd_matches(fd) && judge("sync", 0) == FAIL ? -1
                                                    : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t n) {
  return fd_matches(fd) && judge("ftruncate", 0) == FAIL
             ? -1
             : (int)syscall(SYS_ftruncate, fd, n);
}

int ftruncate64(int fd, off64_t n) {
  return fd_matches(fd) && judge("ftruncate", 0) == FAIL
             ? -1
             : (int)syscall(SYS_ftruncate, fd, n);
}

int fallocate(int fd, int how, off_t at, off_t n) {
  return fd_matches(fd) && judge("fallocate", 0) == FAIL
             ? -1
             : (int)syscall(SYS_fallocate, fd, how, at, n);
}

int fallocate64(int fd, int how, off64_t at, off64_t n) {
  return fallocate(fd, how, at, n);
}

int rename(const char *from, const char *to) {
  return (path_matches(from) || path_matches(to)) && judge("rename", 0) == FAIL
             ? -1
             : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path) {
  return path_matches(path) && judge("unlink", 0) == FAIL
             ? -1
             : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

static int open_at(int folder, const char *path, int how, mode_t rights) {
  if ((how & O_CREAT) != 0 && path_matches(path) && judge("open", 0) == FAIL)
    return -1;
  const char *other = getenv("LSP_FAULT_OPEN_AS");
  if (other != NULL && (how & O_CREAT) == 0 && path_matches(path))
    path = other;
  return (int)syscall(SYS_openat, folder, path, how, rights);
}

/* The rights are there only if the file may be made. */
#define RIGHTS(last)                                                                   \
  mode_t rights = 0;                                                                   \
  if ((last & O_CREAT) != 0 || (last & O_TMPFILE) == O_TMPFILE) {                      \
    va_list more;                                                                      \
    va_start(more, last);                                                              \
    rights = va_arg(more, mode_t);                                                     \
    va_end(more);                                                                      \
  }

int open(const char *path, int how, ...) {
  RIGHTS(how)
  return open_at(AT_FDCWD, path, how, rights);
}

int open64(const char *path, int how, ...) {
  RIGHTS(how)
  return open_at(AT_FDCWD, path, how | O_LARGEFILE, rights);
}

int openat(int folder, const char *path, int how, ...) {
  RIGHTS(how)
  return open_at(folder, path, how, rights);
}

int openat64(int folder, const char *path, int how, ...) {
  RIGHTS(how)
  return open_at(folder, path, how | O_LARGEFILE, rights);
}

int creat(const char *path, mode_t rights) {
  return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, rights);
}

/* The signature is that of any MPI library. */
int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
  int (*real)(int *, char ***, int, int *) = NULL;
  void *found = dlsym(RTLD_NEXT, "MPI_Init_thread");
  const char *what = rank_matches() ? getenv("LSP_FAULT_INIT") : NULL;
  memcpy(&real, &found, sizeof real);
  if (what != NULL && strcmp(what, "hang") == 0)
    hang();
  if (what != NULL)
    (void)raise(atoi(what));
  return real(argc, argv, required, provided);
}
