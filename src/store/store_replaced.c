/* What a run will replace when it finishes: FILE.h5 and FILE.memory.h5 of an earlier
 * run, if --overwrite said so.
 *
 * The journal's identity keeps a fingerprint of both ("replaces"), for days may pass
 * until the finish. What must hold: a file that was not there at the beginning, or is
 * not the same, is never replaced. Rank 0 alone; reads only. */
#include "lsp/store.h"

#include "lsp/durable.h"
#include "lsp/json.h"
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { LOOKED_AT = 1 << 16, FINGERPRINT = 17 };

static const char nothing[] = "-";

/* Of the size and the beginning, which has hashes of all that the file was made of. */
static lsp_status fingerprint(const char *path, char text[FINGERPRINT],
                              lsp_failure *why) {
  char beginning[LOOKED_AT];
  int there = 0;
  int64_t bytes = 0;
  (void)snprintf(text, FINGERPRINT, "%s", nothing);
  LSP_TRY(lsp__store_look(path, &there, &bytes, why));
  if (!there)
    return LSP_OK;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return lsp_fail(why, LSP_E_IO, "%s: cannot be opened for reading: %s", path,
                    strerror(errno));
  const int64_t n = bytes < LOOKED_AT ? bytes : LOOKED_AT;
  const lsp_status status = lsp_read_at(fd, path, beginning, n, 0, why);
  (void)close(fd);
  LSP_TRY(status);
  const XXH64_hash_t hash =
      XXH3_64bits_withSeed(beginning, (size_t)n, (XXH64_hash_t)bytes);
  (void)snprintf(text, FINGERPRINT, "%016llx", (unsigned long long)hash);
  return LSP_OK;
}

/* The identity that a file names; NULL if none can be read. The caller frees it. */
static char *identity_of(const char *path) {
  lsp_file_view view;
  char *copy = NULL;
  if (lsp_file_open(path, &view, NULL) != LSP_OK)
    return NULL;
  const char *text = lsp__store_attribute(&view, "identity");
  if (text != NULL)
    copy = strdup(text);
  lsp_file_close(&view);
  return copy;
}

/* Output and memory file are of one run. */
static int is_pair(const lsp__names *names) {
  char *output = identity_of(names->output.at), *memory = identity_of(names->memory.at);
  const int same = output != NULL && memory != NULL && strcmp(output, memory) == 0;
  free(output);
  free(memory);
  return same;
}

lsp_status lsp__store_record_replaced(lsp__opening *o) {
  char output[FINGERPRINT], memory[FINGERPRINT], both[2 * FINGERPRINT];
  LSP_TRY(fingerprint(o->names.output.at, output, o->why));
  LSP_TRY(fingerprint(o->names.memory.at, memory, o->why));
  /* A run without snapshots takes away the memory file of the output that it replaces,
   * and no other. */
  if (o->spec->memory.snapshots == 0 && !is_pair(&o->names))
    (void)snprintf(memory, sizeof memory, "%s", nothing);
  (void)snprintf(both, sizeof both, "%s.%s", output, memory);
  if (json_object_set_new(o->identity, "replaces", json_string(both)) != 0)
    return lsp_fail(o->why, LSP_E_MEMORY, "%s: not enough memory for its journal",
                    o->names.output.at);
  return LSP_OK;
}

/* The two fingerprints of the record; "-" where there is none. */
static void parse_record(const char *identity, char output[FINGERPRINT],
                         char memory[FINGERPRINT]) {
  json_t *was = NULL;
  (void)snprintf(output, FINGERPRINT, "%s", nothing);
  (void)snprintf(memory, FINGERPRINT, "%s", nothing);
  if (lsp_json_parse("journal", identity, strlen(identity), &was, NULL) != LSP_OK)
    return;
  const char *both = json_string_value(json_object_get(was, "replaces"));
  const char *dot = both == NULL ? NULL : strchr(both, '.');
  if (dot != NULL) {
    (void)snprintf(output, FINGERPRINT, "%.*s", (int)(dot - both), both);
    (void)snprintf(memory, FINGERPRINT, "%s", dot + 1);
  }
  json_decref(was);
}

static lsp_status check(const char *path, const char *recorded, lsp_failure *why) {
  char is[FINGERPRINT];
  LSP_TRY(fingerprint(path, is, why));
  if (strcmp(is, nothing) == 0 || strcmp(is, recorded) == 0)
    return LSP_OK;
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: has come, or was changed, since the run began, so it is not "
                  "replaced; move it away, and run the same command with --resume",
                  path);
}

lsp_status lsp__store_may_replace(const lsp__names *names, const char *identity,
                                  int with_memory, lsp_failure *why) {
  char output[FINGERPRINT], memory[FINGERPRINT];
  parse_record(identity, output, memory);
  LSP_TRY(check(names->output.at, output, why));
  return with_memory ? check(names->memory.at, memory, why) : LSP_OK;
}

int lsp__store_is_left_over(const lsp__names *names, const char *identity) {
  char output[FINGERPRINT], memory[FINGERPRINT], is[FINGERPRINT];
  parse_record(identity, output, memory);
  return strcmp(memory, nothing) != 0 &&
         fingerprint(names->memory.at, is, NULL) == LSP_OK && strcmp(is, memory) == 0;
}
