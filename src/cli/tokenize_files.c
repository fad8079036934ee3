/* Token ids in files: raw, or a Megatron dataset (lsp/corpus.h reads both).
 *
 *   idx   "MMIDIDX\0\0" | u64 version 1 | u8 type | u64 S sequences | u64 D + 1 edges
 *         | i32 length[S] | i64 pointer[S] | i64 edge[D + 1]
 *
 * A document is one sequence, but for one that is longer than an i32 can say, which is
 * several. What must hold: both files take their names when they are whole. */
#include "tokenize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TYPE_I32 = 4, TYPE_U16 = 8, BATCH = 4096 };

static const int64_t LONGEST = INT32_MAX; /* sequence */

static int ends_in(const char *path, const char *suffix) {
  const size_t n = strlen(path), m = strlen(suffix);
  return n > m && strcmp(path + n - m, suffix) == 0;
}

lsp_status lsp_tokenize_names(const tokenize_options *o, tokenize_files *f,
                              lsp_failure *why) {
  static const size_t ROOM = 32; /* for suffixes and .tmp */
  size_t stem = strlen(o->output);
  memset(f, 0, sizeof *f);
  f->ids.fd = f->index.fd = -1;
  if (stem + ROOM > sizeof f->bin || ends_in(o->output, "/"))
    return lsp_fail(why, LSP_E_USAGE,
                    "--output %.80s: expected the name of a file to write", o->output);
  (void)snprintf(f->input, sizeof f->input, "%s.stdin", o->output);
  (void)snprintf(f->bin, sizeof f->bin, "%s", o->output);
  if (o->format != TOKENS_MEGATRON)
    return LSP_OK;
  stem -= ends_in(o->output, ".bin") || ends_in(o->output, ".idx") ? 4 : 0;
  (void)snprintf(f->bin, sizeof f->bin, "%.*s.bin", (int)stem, o->output);
  (void)snprintf(f->idx, sizeof f->idx, "%.*s.idx", (int)stem, o->output);
  return LSP_OK;
}

/* A file beside the output, which ends with this process, can be one that a crash has
 * left. */
static lsp_status check_own(const char *path, lsp_failure *why) {
  struct stat facts;
  LSP_TRY(lsp_own_name(path, why));
  if (lstat(path, &facts) != 0 || lsp_is_marked(path))
    return LSP_OK;
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: nothing says that this file was left by longspan, which would "
                  "write to this name; move it away, or name another --output",
                  path);
}

static lsp_status check_name(const char *path, int may_replace, lsp_failure *why) {
  char temporary[PATH_MAX + 8];
  struct stat facts;
  LSP_TRY(lsp_own_name(path, why));
  if (lstat(path, &facts) == 0 && !may_replace)
    return lsp_fail(why, LSP_E_MISMATCH,
                    "%s: is there already; use --overwrite to replace it, or name "
                    "another --output",
                    path);
  (void)snprintf(temporary, sizeof temporary, "%s.tmp", path);
  return check_own(temporary, why);
}

static int takes_standard_input(const tokenize_options *o) {
  for (int i = 0; i < o->input_count; i++)
    if (strcmp(o->inputs[i], "-") == 0)
      return 1;
  return 0;
}

lsp_status lsp_tokenize_check(const tokenize_options *o, const tokenize_files *f,
                              lsp_failure *why) {
  LSP_TRY(check_name(f->bin, o->overwrite != 0, why));
  if (f->idx[0] != '\0')
    LSP_TRY(check_name(f->idx, o->overwrite != 0, why));
  return takes_standard_input(o) ? check_own(f->input, why) : LSP_OK;
}

static int same_file(const char *a, const char *b) {
  struct stat one, other;
  return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

static lsp_status check_read(const tokenize_files *f, const char *path,
                             lsp_failure *why) {
  if (!same_file(path, f->bin) && !same_file(path, f->idx))
    return LSP_OK;
  return lsp_fail(why, LSP_E_INPUT,
                  "%.300s: would be read and replaced; nothing was changed: name "
                  "another --output",
                  path);
}

/* A raw file holds one document. */
static lsp_status check_count(const tokenize_options *o, const lsp_corpus *text,
                              lsp_failure *why) {
  if (o->format == TOKENS_MEGATRON || lsp_corpus_count(text) == 1)
    return LSP_OK;
  return lsp_fail(why, LSP_E_USAGE,
                  "%.200s: is one of %lld documents, and a file of raw ids holds one; "
                  "use --format megatron, or one command for each",
                  lsp_corpus_document(text, 1).name, (long long)lsp_corpus_count(text));
}

lsp_status lsp_tokenize_begin(const tokenize_options *o, const lsp_corpus *text,
                              tokenize_files *f, lsp_failure *why) {
  char tokenizer[2 * PATH_MAX];
  LSP_TRY(check_count(o, text, why));
  (void)snprintf(tokenizer, sizeof tokenizer, "%s/tokenizer.json", o->model);
  LSP_TRY(check_read(f, tokenizer, why));
  for (int64_t d = 0; d < lsp_corpus_count(text); d++)
    LSP_TRY(check_read(f, lsp_corpus_document(text, d).path, why));
  LSP_TRY(lsp_replacement_begin(f->bin, &f->ids, why));
  lsp_mark_own(f->ids.fd);
  if (f->idx[0] == '\0')
    return LSP_OK;
  LSP_TRY(lsp_replacement_begin(f->idx, &f->index, why));
  lsp_mark_own(f->index.fd);
  return LSP_OK;
}

/* --- the index of a dataset ------------------------------------------------------ */

static int64_t sequences_of(int64_t tokens) {
  return tokens == 0 ? 1 : (tokens + LONGEST - 1) / LONGEST;
}

static void put(FILE *out, const void *number, size_t bytes) {
  (void)fwrite(number, bytes, 1, out); /* ferror says what became of it */
}

static void put_head(FILE *out, int width, int64_t sequences, int64_t documents) {
  const uint64_t version = 1, s = (uint64_t)sequences, edges = (uint64_t)documents + 1;
  const unsigned char type = width == 2 ? TYPE_U16 : TYPE_I32;
  put(out, "MMIDIDX\0\0", 9);
  put(out, &version, sizeof version);
  put(out, &type, sizeof type);
  put(out, &s, sizeof s);
  put(out, &edges, sizeof edges);
}

/* The list of lengths, or of pointers. */
static void put_sequences(FILE *out, const int64_t *tokens, int64_t documents,
                          int64_t width, int pointers) {
  int64_t place = 0;
  for (int64_t d = 0; d < documents; d++)
    for (int64_t left = tokens[d], s = sequences_of(left); s > 0; s--) {
      const int32_t length = (int32_t)(left < LONGEST ? left : LONGEST);
      if (pointers)
        put(out, &place, sizeof place);
      else
        put(out, &length, sizeof length);
      place += length * width;
      left -= length;
    }
}

static void put_edges(FILE *out, const int64_t *tokens, int64_t documents) {
  int64_t edge = 0;
  put(out, &edge, sizeof edge);
  for (int64_t d = 0; d < documents; d++) {
    edge += sequences_of(tokens[d]);
    put(out, &edge, sizeof edge);
  }
}

static lsp_status write_index(const lsp_replacement *r, const int64_t *tokens,
                              int64_t documents, int width, lsp_failure *why) {
  int64_t sequences = 0;
  const int fd = dup(r->fd);
  FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
  for (int64_t d = 0; d < documents; d++)
    sequences += sequences_of(tokens[d]);
  if (out != NULL) {
    put_head(out, width, sequences, documents);
    put_sequences(out, tokens, documents, width, 0);
    put_sequences(out, tokens, documents, width, 1);
    put_edges(out, tokens, documents);
  } else if (fd >= 0) {
    (void)close(fd);
  }
  const int failed = out == NULL || ferror(out);
  if (out != NULL && fclose(out) == 0 && !failed)
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_IO,
      "%s: cannot be written: is the disk full, or over quota? Make room and "
      "begin again",
      r->temporary);
}

lsp_status lsp_tokenize_commit(const tokenize_options *o, tokenize_files *f,
                               const int64_t *tokens, int64_t documents, int width,
                               lsp_failure *why) {
  if (o->format == TOKENS_MEGATRON) {
    LSP_TRY(write_index(&f->index, tokens, documents, width, why));
    LSP_TRY(lsp_sync_file(f->index.fd, f->index.temporary, why));
  }
  LSP_TRY(lsp_replacement_commit(&f->ids, why));
  return o->format == TOKENS_MEGATRON ? lsp_replacement_commit(&f->index, why) : LSP_OK;
}

void lsp_tokenize_end(tokenize_files *f) {
  if (f->ids.fd >= 0)
    lsp_replacement_end(&f->ids);
  if (f->index.fd >= 0)
    lsp_replacement_end(&f->index);
  if (f->spooling == LSP_SPOOL_COPIED)
    (void)unlink(f->input);
}
