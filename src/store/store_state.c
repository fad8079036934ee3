/* What lies in the folder, and what follows from it. Rank 0 alone.
 *
 *   FILE.h5  journal    neither option   --resume              --overwrite
 *   no       no         new              new                   new
 *   yes      no         refused          finished or refused   new
 *   any      yes        refused          goes on or refused    new
 *
 * What must hold: a refusal comes before anything has been changed. */
#include "lsp/store.h"

#include "lsp/durable.h"
#include "lsp/json.h"
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static lsp_status in_use(const lsp__opening *o) {
  return lsp_fail(o->why, LSP_E_MISMATCH,
                  "%s: another run is writing this output; wait for its end, or name "
                  "another output",
                  o->names.output.at);
}

lsp_status lsp__store_lock(lsp__opening *o, const char *path, int flags, int *fd) {
  struct stat mine, named;
  *fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags, 0666);
  if (*fd < 0)
    return lsp_fail(
        o->why, LSP_E_IO,
        "%s: cannot be opened for writing: %s; check that the folder exists "
        "and may be written",
        path, strerror(errno));
  const int held = flock(*fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
  /* Other failures: this file system has no locks, and we go on without. */
  const int gone = stat(path, &named) != 0 || fstat(*fd, &mine) != 0 ||
                   named.st_ino != mine.st_ino || named.st_dev != mine.st_dev;
  if (held != EWOULDBLOCK && !gone)
    return LSP_OK;
  (void)close(*fd);
  *fd = -1;
  return in_use(o);
}

/* A value for a message: from the place where two differ, and not all of it. */
enum { SHOWN = 40 };

/* Of UTF-8. */
static int is_within_character(char c) {
  return ((unsigned char)c & 0xc0u) == 0x80u;
}

static void show(const json_t *value, size_t from, char out[SHOWN + 8]) {
  const char *text = json_string_value(value);
  if (text == NULL)
    text = value == NULL ? "absent" : "no text";
  const size_t n = strlen(text);
  const size_t begin = from < n ? from : n;
  const size_t rest = n - begin;
  size_t shown = rest > SHOWN ? SHOWN : rest;
  while (shown > 0 && is_within_character(text[begin + shown]))
    shown--;
  (void)snprintf(out, SHOWN + 8, "%s%.*s%s", begin > 0 ? ".." : "", (int)shown,
                 text + begin, rest > shown ? ".." : "");
}

/* Where two long texts come to differ, a little before. */
static size_t first_difference(const json_t *a, const json_t *b) {
  const char *x = json_string_value(a), *y = json_string_value(b);
  size_t i = 0;
  if (x == NULL || y == NULL)
    return 0;
  while (x[i] != '\0' && x[i] == y[i])
    i++;
  size_t from = i < SHOWN ? 0 : i - 8;
  while (from > 0 && is_within_character(x[from]))
    from--;
  return from;
}

static lsp_status differs(const lsp__opening *o, const char *key, const json_t *was,
                          const json_t *is) {
  char before[SHOWN + 8], after[SHOWN + 8];
  const size_t from = first_difference(was, is);
  show(was, from, before);
  show(is, from, after);
  return lsp_fail(
      o->why, LSP_E_MISMATCH,
      "%s: --resume refused: `%s` was %s and is now %s; nothing was changed",
      o->names.output.at, key, before, after);
}

/* "layout" is in the journal alone, and known here once the skeletons are drawn. */
static int is_compared(const char *key, const json_t *a, const json_t *b) {
  return strcmp(key, "layout") != 0 ||
         (json_object_get(a, key) != NULL && json_object_get(b, key) != NULL);
}

lsp_status lsp__store_same_identity(const lsp__opening *o, const json_t *was) {
  const char *key;
  json_t *value;
  json_object_foreach(o->identity, key, value) {
    const json_t *before = json_object_get(was, key);
    if (is_compared(key, was, o->identity) &&
        (before == NULL || !json_equal(before, value)))
      return differs(o, key, before, value);
  }
  json_object_foreach((json_t *)(uintptr_t)was, key, value) {
    if (is_compared(key, was, o->identity) && json_object_get(o->identity, key) == NULL)
      return differs(o, key, value, NULL);
  }
  return LSP_OK;
}

static const char *attribute(const lsp_file_view *view, const char *key) {
  const lsp_attribute *list =
      view->is_memory ? view->memory.attribute : view->output.attribute;
  const int n = view->is_memory ? view->memory.attributes : view->output.attributes;
  for (int i = 0; i < n; i++)
    if (strcmp(list[i].key, key) == 0)
      return list[i].value;
  return NULL;
}

lsp_status lsp__store_is_ours(const lsp__opening *o, const char *path) {
  lsp_file_view view;
  json_t *was = NULL;
  LSP_TRY(lsp_file_open(path, &view, o->why));
  const char *text = attribute(&view, "identity");
  lsp_status status = LSP_OK;
  if (text == NULL)
    status =
        lsp_fail(o->why, LSP_E_MISMATCH,
                 "%s: --resume refused: %s does not say which run made it; nothing "
                 "was changed",
                 o->names.output.at, path);
  else
    status = lsp_json_parse(path, text, strlen(text), &was, o->why);
  lsp_file_close(&view);
  if (status == LSP_OK)
    status = lsp__store_same_identity(o, was);
  json_decref(was);
  return status;
}

/* What there is. */
typedef struct {
  int output, part, memory, journal;
} there;

static lsp_status look(lsp__opening *o, there *t) {
  const lsp__names *n = &o->names;
  LSP_TRY(lsp__store_look(n->output.at, &t->output, NULL, o->why));
  LSP_TRY(lsp__store_look(n->output_part.at, &t->part, NULL, o->why));
  LSP_TRY(lsp__store_look(n->memory.at, &t->memory, NULL, o->why));
  return lsp__store_look(n->journal.at, &t->journal, NULL, o->why);
}

/* FILE.h5 is there and whole: is it this run's? */
static lsp_status decide_finished(lsp__opening *o, const there *t) {
  LSP_TRY(lsp__store_is_ours(o, o->names.output.at));
  if (o->spec->memory.snapshots > 0 && !t->memory)
    return lsp_fail(o->why, LSP_E_MISMATCH,
                    "%s: --resume refused: the run is finished, but %s is missing; use "
                    "--overwrite to run again",
                    o->names.output.at, o->names.memory.at);
  o->facts->state = LSP_STORE_FINISHED;
  if (!t->journal)
    return lsp__store_clean(o);
  LSP_TRY(lsp__store_remove(o->names.journal.at, o->why));
  LSP_TRY(lsp_sync_folder_of(o->names.journal.at, o->why));
  return lsp__store_remove_rest(&o->names, o->why);
}

static lsp_status decide_resume(lsp__opening *o, const there *t) {
  LSP_TRY(lsp__store_lock(o, o->names.journal.at, 0, &o->lock));
  o->facts->state = LSP_STORE_RESUMED;
  if (t->part)
    return LSP_OK;
  if (t->output) /* the end of a finish was cut off */
    return decide_finished(o, t);
  return lsp_fail(
      o->why, LSP_E_MISMATCH,
      "%s: --resume refused: %s is there, but %s is missing; use --overwrite "
      "to begin anew",
      o->names.output.at, o->names.journal.at, o->names.output_part.at);
}

lsp_status lsp__store_decide(lsp__opening *o) {
  const lsp_store_spec *spec = o->spec;
  const char *output = o->names.output.at;
  there t = {0};
  LSP_TRY(look(o, &t));
  o->facts->state = LSP_STORE_NEW;
  if (spec->resume && t.journal)
    return decide_resume(o, &t);
  if (spec->resume && t.output)
    return decide_finished(o, &t);
  if (spec->overwrite)
    return t.journal ? lsp__store_lock(o, o->names.journal.at, 0, &o->lock) : LSP_OK;
  if (t.journal)
    return lsp_fail(
        o->why, LSP_E_MISMATCH,
        "%s: a run is under way or was stopped (%s exists); use --resume to "
        "go on or --overwrite to begin anew",
        output, o->names.journal.at);
  if (t.output)
    return lsp_fail(o->why, LSP_E_MISMATCH,
                    "%s exists; use --resume to go on or --overwrite to replace it",
                    output);
  if (t.memory && spec->memory.snapshots > 0)
    return lsp_fail(
        o->why, LSP_E_MISMATCH,
        "%s exists, though %s does not; move it away, or use --overwrite to "
        "replace it",
        o->names.memory.at, output);
  return LSP_OK;
}
