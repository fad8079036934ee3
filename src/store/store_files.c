/* The files of a run, under the names that are its own: looked at, locked, removed.
 * Rank 0 alone.
 *
 * Names beside FILE.h5 may hold what longspan did not write. What must hold: nothing is
 * removed, emptied or replaced that cannot have come from a run; no link is followed. */
#include "lsp/store.h"

#include "lsp/durable.h"
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char hdf5_begins[] = "\211HDF\r\n\032\n";
static const char journal_begins[] = "LSPJRNL1";
enum { BEGINNING = 8, SEARCHED = 1 << 20 };

lsp_status lsp__store_look(const char *path, int *there, int64_t *bytes,
                           lsp_failure *why) {
  struct stat st;
  *there = 0;
  if (stat(path, &st) != 0) {
    struct stat link;
    if (errno == ENOENT && lstat(path, &link) != 0)
      return LSP_OK;
    return lsp_fail(why, LSP_E_IO,
                    "%s: cannot be looked at: %s; check the folder and "
                    "its permissions",
                    path, strerror(errno));
  }
  if (!S_ISREG(st.st_mode))
    return lsp_fail(why, LSP_E_IO,
                    "%s: is there and is no regular file; name another "
                    "file for the output",
                    path);
  *there = 1;
  if (bytes != NULL)
    *bytes = st.st_size;
  return LSP_OK;
}

/* --- removal --------------------------------------------------------------------- */

lsp_status lsp__store_remove(const char *path, lsp_failure *why) {
  if (unlink(path) == 0 || errno == ENOENT)
    return LSP_OK;
  return lsp_fail(why, LSP_E_IO,
                  "%s: cannot be removed: %s; check the folder and its "
                  "permissions",
                  path, strerror(errno));
}

static lsp_status remove_with_tmp(const lsp__path *path, lsp_failure *why) {
  const lsp__path tmp = lsp__store_tmp(path);
  LSP_TRY(lsp__store_remove(path->at, why));
  return lsp__store_remove(tmp.at, why);
}

lsp_status lsp__store_remove_rest(const lsp__names *names, lsp_failure *why) {
  LSP_TRY(remove_with_tmp(&names->slot, why));
  return lsp_sync_folder_of(names->output.at, why);
}

lsp_status lsp__store_remove_strays(const lsp__names *names, lsp_failure *why) {
  const lsp__path tmp = lsp__store_tmp(&names->journal);
  LSP_TRY(lsp__store_remove(tmp.at, why));
  LSP_TRY(lsp__store_remove(names->output_part.at, why));
  LSP_TRY(remove_with_tmp(&names->memory_part, why));
  return lsp__store_remove_rest(names, why);
}

/* --- is it ours ------------------------------------------------------------------ */

/* A file to read; -1: none can be had, as of a link or a pipe. */
static int open_to_read(const char *path, int64_t *bytes) {
  struct stat st;
  const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
    *bytes = st.st_size;
    return fd;
  }
  if (fd >= 0)
    (void)close(fd);
  return -1;
}

/* begins NULL: whatever it holds. */
static lsp_status check_stray(const char *path, const char *begins, lsp_failure *why) {
  return begins == NULL ? lsp_own_name(path, why) : lsp_own_remnant(path, begins, why);
}

lsp_status lsp__store_check_strays(const lsp__names *n, lsp_failure *why) {
  const lsp__path *const hdf5[] = {&n->output_part, &n->memory_part, &n->slot};
  const lsp__path tmp = lsp__store_tmp(&n->journal);
  struct stat st;
  LSP_TRY(check_stray(n->journal.at, journal_begins, why));
  const int begun = lstat(n->journal.at, &st) == 0;
  LSP_TRY(check_stray(tmp.at, begun ? NULL : journal_begins, why));
  for (size_t i = 0; i < sizeof hdf5 / sizeof hdf5[0]; i++) {
    const lsp__path hdf5_tmp = lsp__store_tmp(hdf5[i]);
    LSP_TRY(check_stray(hdf5[i]->at, begun ? NULL : hdf5_begins, why));
    LSP_TRY(check_stray(hdf5_tmp.at, begun ? NULL : hdf5_begins, why));
  }
  return LSP_OK;
}

/* An HDF5 file whose beginning names the format, of whatever version and however much
 * of it is damaged. */
static int names_format(int fd, const char *path, int64_t bytes, const char *format) {
  const int64_t n = bytes < SEARCHED ? bytes : SEARCHED;
  char *text = malloc(SEARCHED);
  const int found = text != NULL && lsp_read_at(fd, path, text, n, 0, NULL) == LSP_OK &&
                    n >= BEGINNING && memcmp(text, hdf5_begins, BEGINNING) == 0 &&
                    memmem(text, (size_t)n, format, strlen(format)) != NULL;
  free(text);
  return found;
}

lsp_status lsp__store_check_replaced(const char *path, const char *format,
                                     lsp_failure *why) {
  struct stat st;
  int64_t bytes = 0;
  if (lstat(path, &st) != 0)
    return LSP_OK;
  if (!S_ISREG(st.st_mode))
    return lsp_own_name(path, why);
  const int fd = open_to_read(path, &bytes);
  const int ours = fd >= 0 && (bytes == 0 || names_format(fd, path, bytes, format));
  if (fd >= 0)
    (void)close(fd);
  if (ours)
    return LSP_OK;
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: is no %s file, and --overwrite replaces only those; nothing was "
                  "changed: move it away, or name another output",
                  path, format);
}

/* "a" and "a.h5" would have one journal, one memory file and one run.json. */
lsp_status lsp__store_check_alias(const lsp__names *names, lsp_failure *why) {
  lsp__path other = names->output;
  struct stat st;
  const size_t n = strlen(other.at);
  const int has_suffix = n > 3 && strcmp(other.at + n - 3, ".h5") == 0;
  if (has_suffix)
    other.at[n - 3] = '\0';
  else
    memcpy(other.at + n, ".h5", sizeof ".h5");
  if (lstat(other.at, &st) != 0 || st.st_size == 0 ||
      lsp__store_check_replaced(other.at, "longspan-output", NULL) != LSP_OK)
    return LSP_OK;
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: the files beside it would be those of %s, which is an output, "
                  "too; name another output",
                  names->output.at, other.at);
}

lsp_status lsp_store_check_names(const char *path, lsp_failure *why) {
  lsp__names names;
  LSP_TRY(lsp__store_names(path, &names, why));
  LSP_TRY(lsp__store_check_alias(&names, why));
  return lsp__store_check_strays(&names, why);
}

/* --- locks ----------------------------------------------------------------------- */

enum { PATIENCE_TENTHS = 40 };

static int wait_for_other(lsp__opening *o) {
  const struct timespec tenth = {0, 100000000};
  if (!o->spec->resume || o->waited >= PATIENCE_TENTHS)
    return 0;
  if (o->waited++ == 0)
    lsp_say(o->ctx, "%s: another run still holds this output; waiting %d s for its end",
            o->names.output.at, PATIENCE_TENTHS / 10);
  (void)nanosleep(&tenth, NULL);
  return 1;
}

static lsp_status in_use(const lsp__opening *o) {
  return lsp_fail(o->why, LSP_E_MISMATCH,
                  "%s: another run is writing this output; wait for its end, or name "
                  "another output",
                  o->names.output.at);
}

lsp_status lsp__store_lock(lsp__opening *o, const char *path, int *fd) {
  lsp_status status;
  do
    status = lsp_lock_file(path, fd, o->why);
  while (status == LSP_E_MISMATCH && wait_for_other(o));
  return status == LSP_E_MISMATCH ? in_use(o) : status;
}

lsp_status lsp__store_begin(lsp__opening *o, lsp_replacement *r) {
  lsp_status status;
  do
    status = lsp_replacement_begin(o->names.output_part.at, r, o->why);
  while (status == LSP_E_MISMATCH && wait_for_other(o));
  return status == LSP_E_MISMATCH ? in_use(o) : status;
}

lsp_status lsp__store_nobody_holds(lsp__opening *o, const char *path) {
  int fd = -1;
  const lsp_status status = lsp__store_lock(o, path, &fd);
  if (fd >= 0)
    (void)close(fd);
  return status == LSP_E_INPUT ? LSP_OK : status; /* it is not there */
}
