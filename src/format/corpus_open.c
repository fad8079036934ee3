/* Inputs, as given on the command line, to documents.
 *
 *   "-"     standard input, spooled        @LIST   one path a line
 *   FOLDER  its files, in byte order       FILE    one document, or several if the
 *                                                  format has documents of its own
 *
 * What must hold: every file was opened once and can be read; the order of documents is
 * that of the inputs, whatever the file system. */
#include "lsp/corpus.h"

#include "corpus_internal.h"
#include "regular.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
  const lsp_corpus_spec *spec;
  lsp_corpus *c;
  int spooled; /* "-" was seen */
  lsp_failure *why;
} finder;

static int ends_in(const char *path, const char *suffix) {
  const size_t n = strlen(path), m = strlen(suffix);
  return n > m && strcmp(path + n - m, suffix) == 0;
}

static lsp_input_format format_of(const finder *f, const char *path) {
  if (f->spec->format != LSP_INPUT_AUTO)
    return f->spec->format;
  if (ends_in(path, ".idx") || ends_in(path, ".bin"))
    return LSP_INPUT_MEGATRON;
  return ends_in(path, ".h5") ? LSP_INPUT_LONGSPAN : LSP_INPUT_TEXT;
}

static int exists(const char *path) {
  struct stat facts;
  return stat(path, &facts) == 0;
}

/* 1 if the file with another suffix exists. */
static int has_sibling(const char *path, size_t stem, const char *suffix) {
  char *sibling = NULL;
  if (asprintf(&sibling, "%.*s%s", (int)stem, path, suffix) < 0)
    return 0;
  const int there = exists(sibling);
  free(sibling);
  return there;
}

static lsp_status no_memory(const char *path, lsp_failure *why) {
  return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to remember it", path);
}

/* A file that is one document. */
static lsp_status add_plain(finder *f, const char *path, const char *name, int width) {
  int fd = -1;
  int64_t bytes = 0;
  LSP_TRY(lsp__regular_open(path, &fd, &bytes, f->why));
  (void)close(fd);
  if (bytes % width != 0)
    return lsp_fail(f->why, LSP_E_FORMAT,
                    "%s: its %" PRId64 " bytes are not a whole number of %d-byte token "
                    "ids; check the input format, or restore the file",
                    path, bytes, width);
  const lsp_document d = {.name = lsp__corpus_keep(f->c, name),
                          .path = lsp__corpus_keep(f->c, path),
                          .tokens = bytes / width,
                          .width = width,
                          .file_bytes = bytes,
                          .text_bytes = width == 1 ? bytes : -1};
  if (d.name == NULL || d.path == NULL)
    return no_memory(path, f->why);
  return lsp__corpus_add(f->c, &d, f->why);
}

/* The path and the name may end in .idx, in .bin, or in neither. */
static lsp_status add_megatron(finder *f, const char *path, const char *name) {
  const int suffixed = ends_in(path, ".idx") || ends_in(path, ".bin");
  const size_t cut = suffixed ? 4 : 0, stem = strlen(path) - cut;
  if (ends_in(path, ".bin") && !has_sibling(path, stem, ".idx"))
    return lsp_fail(
        f->why, LSP_E_INPUT,
        "%s: has no .idx beside it, so it is not a Megatron dataset; for raw "
        "token ids choose the input format u16 or u32",
        path);
  char *base = strndup(path, stem);
  char *shown = strndup(name, strlen(name) - cut);
  lsp_status status = LSP_OK;
  if (base == NULL || shown == NULL)
    status = no_memory(path, f->why);
  else
    status = lsp__corpus_megatron(f->c, base, shown, f->why);
  free(base);
  free(shown);
  return status;
}

/* Documents of one file share its path. */
static const char *keep_path(lsp_corpus *c, const char *path) {
  if (c->count > 0 && strcmp(c->document[c->count - 1].path, path) == 0)
    return c->document[c->count - 1].path;
  return lsp__corpus_keep(c, path);
}

/* What the reader of HDF5 calls for each document. */
static lsp_status add_found(const lsp_document *found, void *arg) {
  finder *f = arg;
  lsp_document d = *found;
  d.text_bytes = -1;
  d.name = lsp__corpus_keep(f->c, found->name);
  d.path = keep_path(f->c, found->path);
  if (d.name == NULL || d.path == NULL)
    return no_memory(found->path, f->why);
  return lsp__corpus_add(f->c, &d, f->why);
}

static lsp_status add_longspan(finder *f, const char *path) {
  int fd = -1;
  int64_t bytes = 0;
  LSP_TRY(lsp__regular_open(path, &fd, &bytes, f->why));
  (void)close(fd);
  if (f->spec->hdf5_reader == NULL)
    return lsp_fail(f->why, LSP_E_INPUT,
                    "%s: HDF5 files cannot be read here; give text or raw token ids",
                    path);
  return f->spec->hdf5_reader(path, add_found, f, f->why);
}

static lsp_status add_file(finder *f, const char *path, const char *name) {
  switch (format_of(f, path)) {
  case LSP_INPUT_U16:
    return add_plain(f, path, name, 2);
  case LSP_INPUT_U32:
    return add_plain(f, path, name, 4);
  case LSP_INPUT_MEGATRON:
    return add_megatron(f, path, name);
  case LSP_INPUT_LONGSPAN:
    return add_longspan(f, path);
  case LSP_INPUT_TEXT:
  case LSP_INPUT_AUTO:
    break;
  }
  return add_plain(f, path, name, 1);
}

/* In a folder, a Megatron dataset (two files) counts once, and files that cannot be of
 * the chosen format are left out. */
static int is_wanted(const finder *f, const char *path) {
  if (format_of(f, path) == LSP_INPUT_LONGSPAN)
    return ends_in(path, ".h5");
  if (format_of(f, path) != LSP_INPUT_MEGATRON)
    return 1;
  if (ends_in(path, ".bin"))
    return !has_sibling(path, strlen(path) - 4, ".idx");
  return ends_in(path, ".idx");
}

static lsp_status add_below(finder *f, const char *folder, const char *relative,
                            int *found) {
  char *path = NULL;
  const size_t n = strlen(folder);
  const char *between = n > 0 && folder[n - 1] == '/' ? "" : "/";
  if (asprintf(&path, "%s%s%s", folder, between, relative) < 0)
    return no_memory(folder, f->why);
  lsp_status status = LSP_OK;
  if (is_wanted(f, path)) {
    *found = 1;
    status = add_file(f, path, relative);
  }
  free(path);
  return status;
}

static lsp_status add_folder(finder *f, const char *folder) {
  lsp__paths files = {0};
  int found = 0;
  lsp_status status = lsp__folder_files(folder, &files, f->why);
  for (int64_t i = 0; status == LSP_OK && i < files.count; i++)
    status = add_below(f, folder, files.path[i], &found);
  lsp__paths_free(&files);
  if (status == LSP_OK && !found)
    status = lsp_fail(f->why, LSP_E_INPUT,
                      "%s: no file of the input format is in this folder or below it "
                      "(names that begin with a dot are passed over); name another",
                      folder);
  return status;
}

static lsp_status add_path(finder *f, const char *path) {
  struct stat facts;
  const lsp_input_format format = f->spec->format;
  const int may_be_megatron = format == LSP_INPUT_AUTO || format == LSP_INPUT_MEGATRON;
  if (stat(path, &facts) == 0)
    return S_ISDIR(facts.st_mode) ? add_folder(f, path) : add_file(f, path, path);
  const int error = errno;
  if (may_be_megatron && has_sibling(path, strlen(path), ".idx"))
    return add_megatron(f, path, path);
  return lsp_fail(
      f->why, LSP_E_INPUT,
      "%s: cannot be opened: %s; expected a file, a folder, @LIST or \"-\"; "
      "check the name and the permissions",
      path, strerror(error));
}

/* A line of a list, without its end; says which line when it fails. */
static lsp_status add_line(finder *f, const char *list, int64_t line, char *text,
                           size_t bytes) {
  while (bytes > 0 && text[bytes - 1] == '\r')
    bytes--;
  if (bytes == 0)
    return LSP_OK;
  LSP_TRY(lsp__corpus_go_on(f->why));
  if (memchr(text, '\0', bytes) != NULL)
    return lsp_fail(f->why, LSP_E_FORMAT,
                    "%s: line %" PRId64 ": holds a zero byte; expected one path a line",
                    list, line);
  text[bytes] = '\0';
  const lsp_status status = add_path(f, text);
  if (status != LSP_OK && status != LSP_E_STOPPED && f->why != NULL) {
    const lsp_failure inner = *f->why;
    return lsp_fail(f->why, status, "%s: line %" PRId64 ": %s", list, line, inner.text);
  }
  return status;
}

/* text[bytes] may be written to. */
static lsp_status add_lines(finder *f, const char *list, char *text, size_t bytes) {
  char *at = text, *const end = text + bytes;
  for (int64_t line = 1; at < end; line++) {
    char *const next = memchr(at, '\n', (size_t)(end - at));
    char *const stop = next == NULL ? end : next;
    LSP_TRY(add_line(f, list, line, at, (size_t)(stop - at)));
    at = stop + 1;
  }
  return LSP_OK;
}

/* May be a pipe: @<(find ...) in a shell. */
static lsp_status add_list(finder *f, const char *list) {
  const int64_t before = f->c->count;
  char *text = NULL;
  size_t bytes = 0;
  lsp_status status = lsp__corpus_slurp(list, &text, &bytes, f->why);
  if (status == LSP_OK)
    status = add_lines(f, list, text, bytes);
  free(text);
  if (status == LSP_OK && f->c->count == before)
    status =
        lsp_fail(f->why, LSP_E_INPUT,
                 "%s: this list names no document; expected one path a line", list);
  return status;
}

static lsp_status add_standard_input(finder *f) {
  const lsp_input_format format = f->spec->format;
  if (f->spooled)
    return lsp_fail(f->why, LSP_E_USAGE,
                    "standard input: given twice (\"-\"); give it once");
  if (f->spec->spool == NULL)
    return lsp_fail(f->why, LSP_E_USAGE,
                    "standard input: there is no place to copy it to; name a file");
  if (format == LSP_INPUT_MEGATRON || format == LSP_INPUT_LONGSPAN)
    return lsp_fail(
        f->why, LSP_E_USAGE,
        "standard input: can be text, u16 or u32, but not a dataset of this "
        "input format; name its file");
  f->spooled = 1;
  LSP_TRY(lsp__corpus_spool(f->spec, f->why));
  const int width = format == LSP_INPUT_U16 ? 2 : format == LSP_INPUT_U32 ? 4 : 1;
  return add_plain(f, f->spec->spool, "-", width);
}

static lsp_status add_input(finder *f, const char *input) {
  if (strcmp(input, "-") == 0)
    return add_standard_input(f);
  if (input[0] == '@')
    return add_list(f, input + 1);
  return add_path(f, input);
}

lsp_status lsp_corpus_open(const lsp_corpus_spec *spec, lsp_corpus **out,
                           lsp_failure *why) {
  *out = NULL;
  if (spec->input_count == 0)
    return lsp_fail(why, LSP_E_USAGE,
                    "no input: name files, folders, @LIST or \"-\" for standard input");
  lsp_corpus *c = lsp__corpus_new();
  if (c == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "not enough memory for the list of documents");
  finder f = {.spec = spec, .c = c, .why = why};
  lsp_status status = LSP_OK;
  if (spec->spooling != NULL)
    *spec->spooling = LSP_SPOOL_NONE;
  for (int i = 0; status == LSP_OK && i < spec->input_count; i++)
    status = add_input(&f, spec->inputs[i]);
  if (status == LSP_OK && c->count == 0)
    status = lsp_fail(why, LSP_E_INPUT,
                      "%s: no document in the input; name a file with "
                      "text",
                      spec->inputs[0]);
  if (status != LSP_OK)
    lsp_corpus_close(&c);
  *out = c;
  return status;
}
