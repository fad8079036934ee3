/* The files of a folder, recursively, in byte order of their paths.
 *
 * The order must not depend on the file system or the locale: the corpus is part of the
 * answer. Symbolic links are followed; one that leads back to a folder above itself is
 * refused, and so is one that leads nowhere: a book that is silently missing is worse
 * than a message. */
#include "corpus_internal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The folders that we are in, innermost first. */
typedef struct folder_chain {
  const struct folder_chain *above;
  const char *root;     /* the folder given */
  const char *relative; /* "" for the folder given */
  dev_t device;
  ino_t inode;
} folder_chain;

static lsp_status walk(const folder_chain *here, lsp__paths *out, lsp_failure *why);

static char *join(const char *folder, const char *name) {
  char *path = NULL;
  const size_t n = strlen(folder);
  const char *between = n == 0 || folder[n - 1] == '/' ? "" : "/";
  return asprintf(&path, "%s%s%s", folder, between, name) < 0 ? NULL : path;
}

/* Takes over `relative`, whatever comes back. */
static lsp_status append(lsp__paths *out, char *relative, lsp_failure *why) {
  if (out->count == out->capacity) {
    const int64_t capacity = out->capacity == 0 ? 64 : 2 * out->capacity;
    char **more = realloc(out->path, (size_t)capacity * sizeof *more);
    if (more == NULL) {
      free(relative);
      return lsp_fail(why, LSP_E_MEMORY, "not enough memory for %" PRId64 " file names",
                      capacity);
    }
    out->path = more;
    out->capacity = capacity;
  }
  out->path[out->count++] = relative;
  return LSP_OK;
}

static lsp_status enter(const folder_chain *above, const char *relative,
                        const struct stat *facts, lsp__paths *out, lsp_failure *why) {
  for (const folder_chain *f = above; f != NULL; f = f->above)
    if (f->device == facts->st_dev && f->inode == facts->st_ino)
      return lsp_fail(
          why, LSP_E_INPUT,
          "%s/%s: a symbolic link leads back to a folder above it; remove the "
          "link, or name the files",
          above->root, relative);
  const folder_chain here = {.above = above,
                             .root = above->root,
                             .relative = relative,
                             .device = facts->st_dev,
                             .inode = facts->st_ino};
  return walk(&here, out, why);
}

/* Takes over `relative`, whatever comes back. */
static lsp_status visit(const folder_chain *here, char *relative, lsp__paths *out,
                        lsp_failure *why) {
  struct stat facts;
  lsp_status status = LSP_OK;
  char *path = join(here->root, relative);
  if (path == NULL)
    status = lsp_fail(why, LSP_E_MEMORY, "not enough memory for a file name");
  else if (stat(path, &facts) != 0)
    status =
        lsp_fail(why, LSP_E_INPUT,
                 "%s: cannot be looked at: %s; if it is a broken or circular link, "
                 "remove it or mend it",
                 path, strerror(errno));
  else if (S_ISDIR(facts.st_mode))
    status = enter(here, relative, &facts, out, why);
  else if (S_ISREG(facts.st_mode)) {
    status = append(out, relative, why);
    relative = NULL;
  }
  free(path);
  free(relative);
  return status;
}

static lsp_status walk_open(const folder_chain *here, DIR *folder, const char *path,
                            lsp__paths *out, lsp_failure *why) {
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(folder);
    if (entry == NULL && errno != 0)
      return lsp_fail(why, LSP_E_IO,
                      "%s: this folder cannot be read: %s; check the disk", path,
                      strerror(errno));
    if (entry == NULL)
      return LSP_OK;
    if (entry->d_name[0] == '.')
      continue;
    char *relative = join(here->relative, entry->d_name);
    if (relative == NULL)
      return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for its file names",
                      path);
    LSP_TRY(visit(here, relative, out, why));
  }
}

static lsp_status walk(const folder_chain *here, lsp__paths *out, lsp_failure *why) {
  char *path = join(here->root, here->relative);
  if (path == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for its file names",
                    here->root);
  lsp_status status = LSP_OK;
  DIR *folder = opendir(path);
  if (folder == NULL)
    status = lsp_fail(why, LSP_E_INPUT,
                      "%s: this folder cannot be opened: %s; check its permissions",
                      path, strerror(errno));
  else
    status = walk_open(here, folder, path, out, why);
  if (folder != NULL)
    (void)closedir(folder);
  free(path);
  return status;
}

static int by_bytes(const void *left, const void *right) {
  const char *const *a = left;
  const char *const *b = right;
  return strcmp(*a, *b);
}

lsp_status lsp__folder_files(const char *folder, lsp__paths *out, lsp_failure *why) {
  struct stat facts;
  if (stat(folder, &facts) != 0)
    return lsp_fail(why, LSP_E_INPUT, "%s: cannot be opened: %s; check the name",
                    folder, strerror(errno));
  const folder_chain here = {
      .root = folder, .relative = "", .device = facts.st_dev, .inode = facts.st_ino};
  LSP_TRY(walk(&here, out, why));
  if (out->count > 1)
    qsort(out->path, (size_t)out->count, sizeof *out->path, by_bytes);
  return LSP_OK;
}

void lsp__paths_free(lsp__paths *paths) {
  for (int64_t i = 0; i < paths->count; i++)
    free(paths->path[i]);
  free(paths->path);
  *paths = (lsp__paths){0};
}
