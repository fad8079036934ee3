/* The files of a folder, recursively, in byte order of their paths.
 *
 * The order must not depend on the file system or the locale: the corpus is part of the
 * answer. Symbolic links are followed; one that leads nowhere is refused: a book that is
 * silently missing is worse than a message. A folder that is reached a second time is
 * refused, too: its books would count twice, and a few nested links make more ways
 * through the folders than there is time to walk. */
#include "corpus_internal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A folder that was entered. */
typedef struct {
  dev_t device;
  ino_t inode;
  int inside; /* its files are being listed */
  char *path; /* owned */
} folder;

typedef struct {
  const char *root; /* the folder given */
  void *entered;    /* folders, a tree of search.h */
  lsp__paths *out;
  lsp_failure *why;
} walker;

static lsp_status walk(walker *w, const char *relative, const struct stat *facts);

static char *join(const char *parent, const char *name) {
  char *path = NULL;
  const size_t n = strlen(parent);
  const char *between = n == 0 || parent[n - 1] == '/' ? "" : "/";
  return asprintf(&path, "%s%s%s", parent, between, name) < 0 ? NULL : path;
}

/* Takes over `path`, whatever comes back. */
static lsp_status append(lsp__paths *out, char *path, lsp_failure *why) {
  if (out->count == out->capacity) {
    const int64_t capacity = out->capacity == 0 ? 64 : 2 * out->capacity;
    char **more = realloc(out->path, (size_t)capacity * sizeof *more);
    if (more == NULL) {
      free(path);
      return lsp_fail(why, LSP_E_MEMORY, "not enough memory for %" PRId64 " file names",
                      capacity);
    }
    out->path = more;
    out->capacity = capacity;
  }
  out->path[out->count++] = path;
  return LSP_OK;
}

static int by_bytes(const void *left, const void *right) {
  const char *const *a = left;
  const char *const *b = right;
  return strcmp(*a, *b);
}

static void sort(lsp__paths *paths) {
  if (paths->count > 1)
    qsort(paths->path, (size_t)paths->count, sizeof *paths->path, by_bytes);
}

/* --- folders entered ------------------------------------------------------------- */

static int by_identity(const void *left, const void *right) {
  const folder *a = left, *b = right;
  if (a->device != b->device)
    return a->device < b->device ? -1 : 1;
  return a->inode == b->inode ? 0 : a->inode < b->inode ? -1 : 1;
}

static void free_folder(void *f) {
  free(((folder *)f)->path);
  free(f);
}

static lsp_status refuse_again(const walker *w, const folder *before,
                               const char *path) {
  if (before->inside)
    return lsp_fail(w->why, LSP_E_INPUT,
                    "%s: a symbolic link leads back to a folder above it; remove the "
                    "link, or name the files",
                    path);
  return lsp_fail(w->why, LSP_E_INPUT,
                  "%s: is the folder that was listed as %s already, and its files "
                  "would count twice; remove the link that leads to it, or name the "
                  "files",
                  path, before->path);
}

/* Remembers a folder, which must be a new one. path: lent. */
static lsp_status enter(walker *w, const char *path, const struct stat *facts,
                        folder **out) {
  folder *f = calloc(1, sizeof *f);
  if (f != NULL)
    *f = (folder){facts->st_dev, facts->st_ino, 1, strdup(path)};
  const void *found =
      f != NULL && f->path != NULL ? tsearch(f, &w->entered, by_identity) : NULL;
  if (found == NULL) {
    if (f != NULL)
      free_folder(f);
    return lsp_fail(w->why, LSP_E_MEMORY, "%s: not enough memory to list it", path);
  }
  *out = *(folder *const *)found;
  if (*out == f)
    return LSP_OK;
  free_folder(f);
  return refuse_again(w, *out, path);
}

/* --- the walk -------------------------------------------------------------------- */

static lsp_status list_open(DIR *open, const char *path, lsp__paths *names,
                            lsp_failure *why) {
  for (;;) {
    LSP_TRY(lsp__corpus_go_on(why));
    errno = 0;
    const struct dirent *entry = readdir(open);
    if (entry == NULL && errno != 0)
      return lsp_fail(why, LSP_E_IO,
                      "%s: this folder cannot be read: %s; check the disk", path,
                      strerror(errno));
    if (entry == NULL)
      return LSP_OK;
    if (entry->d_name[0] == '.')
      continue;
    char *name = strdup(entry->d_name);
    if (name == NULL)
      return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for its file names",
                      path);
    LSP_TRY(append(names, name, why));
  }
}

/* The names in a folder, sorted. It is closed before those below it are opened: a
 * process may have few files open. */
static lsp_status list(const char *path, lsp__paths *names, lsp_failure *why) {
  DIR *open = opendir(path);
  if (open == NULL)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: this folder cannot be opened: %s; check its permissions", path,
                    strerror(errno));
  const lsp_status status = list_open(open, path, names, why);
  (void)closedir(open);
  sort(names);
  return status;
}

/* Takes over `relative`, whatever comes back. */
static lsp_status visit(walker *w, char *relative) {
  struct stat facts;
  lsp_status status = lsp__corpus_go_on(w->why);
  char *path = relative == NULL ? NULL : join(w->root, relative);
  if (path == NULL)
    status = lsp_fail(w->why, LSP_E_MEMORY, "not enough memory for a file name");
  else if (status == LSP_OK && stat(path, &facts) != 0)
    status =
        lsp_fail(w->why, LSP_E_INPUT,
                 "%s: cannot be looked at: %s; if it is a broken or circular link, "
                 "remove it or mend it",
                 path, strerror(errno));
  else if (status == LSP_OK && S_ISDIR(facts.st_mode))
    status = walk(w, relative, &facts);
  else if (status == LSP_OK && S_ISREG(facts.st_mode)) {
    status = append(w->out, relative, w->why);
    relative = NULL;
  }
  free(path);
  free(relative);
  return status;
}

static lsp_status walk(walker *w, const char *relative, const struct stat *facts) {
  lsp__paths names = {0};
  folder *here = NULL;
  char *path = join(w->root, relative);
  if (path == NULL)
    return lsp_fail(w->why, LSP_E_MEMORY, "%s: not enough memory for its file names",
                    w->root);
  lsp_status status = enter(w, path, facts, &here);
  if (status == LSP_OK)
    status = list(path, &names, w->why);
  for (int64_t i = 0; status == LSP_OK && i < names.count; i++)
    status = visit(w, join(relative, names.path[i]));
  if (status == LSP_OK)
    here->inside = 0;
  lsp__paths_free(&names);
  free(path);
  return status;
}

lsp_status lsp__folder_files(const char *root, lsp__paths *out, lsp_failure *why) {
  struct stat facts;
  if (stat(root, &facts) != 0)
    return lsp_fail(why, LSP_E_INPUT, "%s: cannot be opened: %s; check the name", root,
                    strerror(errno));
  walker w = {.root = root, .out = out, .why = why};
  const lsp_status status = walk(&w, "", &facts);
  tdestroy(w.entered, free_folder);
  sort(out);
  return status;
}

void lsp__paths_free(lsp__paths *paths) {
  for (int64_t i = 0; i < paths->count; i++)
    free(paths->path[i]);
  free(paths->path);
  *paths = (lsp__paths){0};
}
