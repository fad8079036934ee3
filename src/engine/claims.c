/* What a run reads must not be what it writes.
 *
 * A run claims names: its output, what lies beside it, and the log. Whatever lies under
 * them may be replaced, emptied, appended to or removed. So before anything is touched,
 * every input, list, file of the model and snapshot is compared with them: by device and
 * inode, after all links. The first rank of every host compares, since a path may mean
 * different files on different hosts. Files in folders and lists are known once the
 * corpus is open; until then only FILE.stdin can have been written, so a FILE.stdin that
 * would be written anew is refused beside folders and lists.
 *
 * What lies under the claimed names must be of longspan: the store looks at its own, and
 * here is what the engine writes itself, FILE.run.json, FILE.stdin and the tokens of a
 * text. */
#include "engine_internal.h"

#include "lsp/durable.h"
#include "lsp/json.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLAIMS = LSP_STORE_NAMES + 1, LOG = LSP_STORE_NAMES };

typedef struct {
  char path[PATH_MAX];
  struct stat facts;
  int there; /* facts say what of */
} claim;

typedef struct {
  const lsp_options *options;
  claim *claim; /* (CLAIMS) */
  int there;    /* how many are */
  lsp_failure *why;
} claims;

static int same_file(const struct stat *a, const struct stat *b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static void look(claims *c, int i) {
  claim *k = &c->claim[i];
  k->there = k->path[0] != '\0' && stat(k->path, &k->facts) == 0;
  c->there += k->there;
}

static lsp_status name_all(claims *c) {
  const char *log = c->options->log;
  for (int i = 0; i < LSP_STORE_NAMES; i++) {
    LSP_TRY(lsp_store_name(c->options->output, i, c->claim[i].path,
                           sizeof c->claim[i].path, c->why));
    look(c, i);
  }
  if (log != NULL && strlen(log) < sizeof c->claim[LOG].path)
    memcpy(c->claim[LOG].path, log, strlen(log) + 1);
  look(c, LOG);
  return LSP_OK;
}

static lsp_status open_claims(const lsp_run *e, claims *c) {
  *c = (claims){.options = e->job.options, .why = &e->job.ctx->why};
  c->claim = calloc(CLAIMS, sizeof *c->claim);
  if (c->claim == NULL)
    return lsp_fail(c->why, LSP_E_MEMORY, "no memory for the names of the output");
  const lsp_status st = name_all(c);
  if (st != LSP_OK)
    free(c->claim);
  return st;
}

/* --- what is read ---------------------------------------------------------------- */

static lsp_status check_read(const claims *c, const char *path, const char *what) {
  struct stat facts;
  if (c->there == 0 || stat(path, &facts) != 0)
    return LSP_OK; /* who opens it says what is wrong */
  for (int i = 0; i < CLAIMS; i++)
    if (c->claim[i].there && same_file(&facts, &c->claim[i].facts))
      return lsp_fail(
          c->why, LSP_E_INPUT,
          "%.300s: is %s of this run, and the run would write %.300s, which "
          "is the same file; nothing was changed: name another %s",
          path, what, c->claim[i].path, i == LOG ? "--log" : "--output");
  return LSP_OK;
}

static int is_of_model(const char *name) {
  return strcmp(name, "config.json") == 0 || strcmp(name, "tokenizer.json") == 0 ||
         strstr(name, ".safetensors") != NULL;
}

static lsp_status check_model(const claims *c) {
  const char *model = c->options->model;
  lsp_status st = check_read(c, model, "the model");
  DIR *folder = opendir(model);
  const struct dirent *entry;
  while (folder != NULL && st == LSP_OK && (entry = readdir(folder)) != NULL) {
    char path[2 * PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", model, entry->d_name);
    if (is_of_model(entry->d_name))
      st = check_read(c, path, "a file of the model");
  }
  if (folder != NULL)
    (void)closedir(folder);
  return st;
}

/* A dataset of Megatron is read from NAME.bin and NAME.idx, and named as either or as
 * NAME. */
static lsp_status check_input(const claims *c, const char *path) {
  static const char *const suffix[] = {".bin", ".idx"};
  char other[PATH_MAX];
  const size_t n = strlen(path);
  const int suffixed = n > 4 && (strcmp(path + n - 4, suffix[0]) == 0 ||
                                 strcmp(path + n - 4, suffix[1]) == 0);
  LSP_TRY(check_read(c, path, "an input"));
  for (int i = 0; i < 2 && n + 5 < sizeof other; i++) {
    (void)snprintf(other, sizeof other, "%.*s%s", (int)(suffixed ? n - 4 : n), path,
                   suffix[i]);
    LSP_TRY(check_read(c, other, "a part of an input"));
  }
  return LSP_OK;
}

static lsp_status check_named(const claims *c) {
  const lsp_options *o = c->options;
  LSP_TRY(check_model(c));
  if (o->from_snapshot != NULL)
    LSP_TRY(check_read(c, o->from_snapshot, "the snapshot to begin from"));
  for (int i = 0; i < o->input_count; i++) {
    const char *input = o->inputs[i];
    if (input[0] == '@')
      LSP_TRY(check_read(c, input + 1, "a list of the inputs"));
    else if (strcmp(input, "-") != 0)
      LSP_TRY(check_input(c, input));
  }
  return LSP_OK;
}

static lsp_status check_documents(const claims *c, const lsp_corpus *corpus) {
  char spool[PATH_MAX];
  const char *before = NULL;
  LSP_TRY(lsp_store_beside(c->options->output, ".stdin", spool, sizeof spool, c->why));
  for (int64_t d = 0; c->there > 0 && d < lsp_corpus_count(corpus); d++) {
    const lsp_document k = lsp_corpus_document(corpus, d);
    const int is_copy = strcmp(k.name, "-") == 0 && strcmp(k.path, spool) == 0;
    if (!is_copy && (before == NULL || strcmp(before, k.path) != 0))
      LSP_TRY(check_input(c, k.path));
    before = k.path;
  }
  return LSP_OK;
}

/* --- what is written ------------------------------------------------------------- */

static int is_there(const char *path) {
  struct stat facts;
  return lstat(path, &facts) == 0;
}

static lsp_status check_run_json(const claims *c) {
  enum { MOST_BYTES = 1 << 24 };
  const lsp_options *o = c->options;
  char path[PATH_MAX], temporary[PATH_MAX], journal[PATH_MAX];
  struct stat facts;
  json_t *json = NULL;
  LSP_TRY(lsp_store_beside(o->output, ".run.json", path, sizeof path, c->why));
  LSP_TRY(lsp_store_beside(o->output, ".run.json.tmp", temporary, sizeof temporary,
                           c->why));
  LSP_TRY(lsp_store_beside(o->output, ".h5.journal", journal, sizeof journal, c->why));
  LSP_TRY(lsp_own_remnant(temporary, "{", c->why));
  if (lstat(path, &facts) != 0)
    return LSP_OK;
  if (!S_ISREG(facts.st_mode))
    return lsp_own_name(path, c->why);
  if (o->overwrite || is_there(o->output) || is_there(journal))
    return LSP_OK;
  const int ours = lsp_json_read(path, MOST_BYTES, &json, NULL) == LSP_OK &&
                   lsp_report_is_ours(json);
  json_decref(json);
  if (ours)
    return LSP_OK;
  return lsp_fail(
      c->why, LSP_E_MISMATCH,
      "%.300s: is not of a run of longspan, which would replace it; nothing "
      "was changed: move it away, use --overwrite, or name another --output",
      path);
}

static int takes_standard_input(const lsp_options *o) {
  for (int i = 0; i < o->input_count; i++)
    if (strcmp(o->inputs[i], "-") == 0)
      return 1;
  return 0;
}

static int is_folder(const char *path) {
  struct stat facts;
  return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

/* Files are read that only opening the corpus will name. */
static int has_folders_or_lists(const lsp_options *o) {
  for (int i = 0; i < o->input_count; i++)
    if (o->inputs[i][0] == '@' || is_folder(o->inputs[i]))
      return 1;
  return 0;
}

/* A copy of standard input is ours if a run is under way, or if it is marked. */
static lsp_status check_spool(const claims *c) {
  static const char *const suffix[] = {".stdin", ".stdin.tmp"};
  const lsp_options *o = c->options;
  char path[PATH_MAX], journal[PATH_MAX];
  LSP_TRY(lsp_store_beside(o->output, ".h5.journal", journal, sizeof journal, c->why));
  for (int i = 0; i < 2 && takes_standard_input(o); i++) {
    LSP_TRY(lsp_store_beside(o->output, suffix[i], path, sizeof path, c->why));
    LSP_TRY(lsp_own_name(path, c->why));
    if (!is_there(path))
      continue;
    if (!is_there(journal) && !lsp_is_marked(path))
      return lsp_fail(
          c->why, LSP_E_MISMATCH,
          "%.300s: standard input would be copied to this name, and nothing "
          "says that this file was left by a run; nothing was changed: move "
          "it away, or name another --output",
          path);
    if (has_folders_or_lists(o) && !(o->resume && is_there(journal)))
      return lsp_fail(c->why, LSP_E_INPUT,
                      "%.300s: may be named by a folder or list of the inputs, and "
                      "standard input would be copied to it; move it away",
                      path);
  }
  return LSP_OK;
}

/* The log is appended to, so it must be none of the other names. */
static lsp_status check_log(const claims *c) {
  const char *log = c->claim[LOG].path;
  for (int i = 0; i < LSP_STORE_NAMES && log[0] != '\0'; i++) {
    const claim *k = &c->claim[i];
    const int same = k->there && c->claim[LOG].there
                         ? same_file(&k->facts, &c->claim[LOG].facts)
                         : strcmp(k->path, log) == 0;
    if (same)
      return lsp_fail(
          c->why, LSP_E_USAGE,
          "--log %.300s: is a file that the run itself writes (%.300s); name "
          "another",
          log, k->path);
  }
  return LSP_OK;
}

/* --- the run --------------------------------------------------------------------- */

static lsp_status check_before(const lsp_run *e) {
  claims c;
  LSP_TRY(open_claims(e, &c));
  lsp_status st = check_named(&c);
  if (st == LSP_OK)
    st = check_log(&c);
  if (st == LSP_OK && e->job.ctx->rank == 0)
    st = lsp_store_check_names(e->job.options->output, c.why);
  if (st == LSP_OK && e->job.ctx->rank == 0)
    st = check_run_json(&c);
  if (st == LSP_OK && e->job.ctx->rank == 0)
    st = check_spool(&c);
  if (st == LSP_OK && e->job.ctx->rank == 0)
    st = lsp_token_files_check(e->job.options->output, c.why);
  free(c.claim);
  return st;
}

lsp_status lsp_claims_check(const lsp_run *e) {
  const int compares = e->job.ctx->leaders != MPI_COMM_NULL;
  return lsp_agree(e->job.ctx, compares ? check_before(e) : LSP_OK);
}

lsp_status lsp_claims_check_documents(const lsp_run *e) {
  claims c;
  lsp_status st = LSP_OK;
  if (e->job.ctx->leaders != MPI_COMM_NULL && has_folders_or_lists(e->job.options)) {
    st = open_claims(e, &c);
    if (st == LSP_OK) {
      st = check_documents(&c, e->text.corpus);
      free(c.claim);
    }
  }
  return lsp_agree(e->job.ctx, st);
}

int lsp_claims_log_is_known(const lsp_options *o) {
  return !is_there(o->log) || !has_folders_or_lists(o);
}
