/* The store's small calls: names, opening, the first failure, counted writes, close.
 *
 * What must hold: after the first failure nothing more is written, and the failure
 * comes out at the next commit. */
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

static int has_suffix(const char *path) {
  const size_t n = strlen(path);
  return n > 3 && strcmp(path + n - 3, ".h5") == 0;
}

static lsp_status put_name(char *out, size_t size, size_t stem, const char *path,
                           const char *suffix, lsp_failure *why) {
  const size_t n = strlen(suffix);
  if (stem >= size || n >= size - stem)
    return lsp_fail(why, LSP_E_LIMIT,
                    "%.200s...: the path is too long; use a shorter one", path);
  memmove(out, path, stem);
  memcpy(out + stem, suffix, n + 1);
  return LSP_OK;
}

lsp_status lsp_store_beside(const char *path, const char *suffix, char *out,
                            size_t size, lsp_failure *why) {
  const size_t n = strlen(path);
  return put_name(out, size, has_suffix(path) ? n - 3 : n, path, suffix, why);
}

lsp_status lsp_store_name(const char *path, int i, char *out, size_t size,
                          lsp_failure *why) {
  static const char *const suffix[LSP_STORE_NAMES - 1] = {
      ".memory.h5",          ".run.json", ".run.json.tmp", ".stdin",
      ".stdin.tmp",          ".h5.part",  ".h5.part.tmp",  ".memory.h5.part",
      ".memory.h5.part.tmp", ".h5.slot",  ".h5.slot.tmp",  ".h5.journal",
      ".h5.journal.tmp",     ".h5.alive", ".h5.ids.tmp",   ".h5.starts.tmp",
      ".h5.layers"};
  LSP_ASSERT(i >= 0 && i < LSP_STORE_NAMES);
  if (i == 0)
    return put_name(out, size, strlen(path), path, "", why);
  return lsp_store_beside(path, suffix[i - 1], out, size, why);
}

lsp_status lsp__store_names(const char *path, lsp__names *names, lsp_failure *why) {
  const struct {
    lsp__path *name;
    const char *suffix;
  } list[] = {{&names->output_part, ".h5.part"},
              {&names->slot, ".h5.slot"},
              {&names->journal, ".h5.journal"},
              {&names->memory, ".memory.h5"},
              {&names->memory_part, ".memory.h5.part"}};
  memset(names, 0, sizeof *names);
  if (*path == '\0' || path[strlen(path) - 1] == '/')
    return lsp_fail(why, LSP_E_USAGE,
                    "\"%s\": expected the name of a file for the output", path);
  LSP_TRY(put_name(names->output.at, PATH_MAX - 8, strlen(path), path, "", why));
  for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
    LSP_TRY(
        lsp_store_beside(path, list[i].suffix, list[i].name->at, PATH_MAX - 8, why));
  return LSP_OK;
}

lsp__path lsp__store_tmp(const lsp__path *path) {
  lsp__path tmp = *path;
  const size_t n = strlen(path->at);
  LSP_ASSERT(n + sizeof ".tmp" <= sizeof tmp.at);
  memcpy(tmp.at + n, ".tmp", sizeof ".tmp");
  return tmp;
}

/* A network file system may still show the folder as it was: ten looks in some 9 s. */
int lsp__store_open_patiently(const lsp__target *t, int access) {
  enum { LOOKS = 10 };
  struct stat st;
  for (int i = 1;; i++) {
    const int fd = open(t->path.at, access | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size == t->bytes)
      return fd;
    const int error = fd < 0 ? errno : EAGAIN; /* of another size */
    if (fd >= 0)
      (void)close(fd);
    errno = error;
    if (i == LOOKS || (error != ENOENT && error != ESTALE && error != EAGAIN))
      return -1;
    const struct timespec pause = {i / 4, 20000000L << (i % 4)};
    (void)nanosleep(&pause, NULL);
  }
}

void lsp__store_keep(lsp_store *s, const lsp_failure *why) {
  if (s->why.status == LSP_OK)
    s->why = *why;
}

void lsp__store_write(lsp_store *s, int file, const void *data, int64_t n,
                      int64_t offset) {
  if (s->why.status != LSP_OK || n == 0)
    return;
  const double began = MPI_Wtime();
  s->dirty[file] = 1;
  s->is_verified = 0;
  if (lsp_write_at(s->fd[file], s->facts.file[file].path.at, data, n, offset,
                   &s->why) == LSP_OK)
    s->written.bytes += n;
  s->written.seconds += MPI_Wtime() - began;
}

lsp_written lsp_store_written(const lsp_store *store) {
  return store->written;
}

void lsp_store_close(lsp_store **store) {
  lsp_store *s = *store;
  if (s == NULL)
    return;
  for (int i = 0; i < LSP__FILES; i++)
    if (s->fd[i] >= 0)
      (void)close(s->fd[i]);
  free((void *)(uintptr_t)s->memory.document);
  free((void *)(uintptr_t)s->memory.position);
  free((void *)(uintptr_t)s->memory.layer_rows);
  free((void *)(uintptr_t)s->memory.part);
  free(s->written_part);
  free(s->part_sum);
  free(s->facts.memory);
  free(s->facts.slot);
  lsp_route_close(&s->route);
  lsp_journal_close(&s->journal);
  if (s->lock >= 0)
    (void)close(s->lock);
  free(s);
  *store = NULL;
}
