/* Tokens out of files, and the hash over them.
 *
 * One file is kept open, because consecutive reads mostly want the same one, and a
 * corpus may have more files than a process may open.
 *
 * What must hold: a file has the size that it had when the corpus was opened (looked at
 * before every read), and every id given lies in [0, vocabulary). */
#include "lsp/corpus.h"

#include "corpus_internal.h"
#include "lsp/durable.h"
#include "regular.h"

#define XXH_INLINE_ALL
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { CHUNK = 16384 }; /* tokens at a time */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the formats read here are little-endian, and so must the machine be");

static lsp_status check_size(const lsp_document *d, int64_t bytes, lsp_failure *why) {
  if (bytes == d->file_bytes)
    return LSP_OK;
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: was %" PRId64 " bytes when the run began and is %" PRId64
                  " bytes now; restore it, or begin a new run",
                  d->path, d->file_bytes, bytes);
}

/* The file of a document, open. */
static lsp_status reach(lsp_corpus *c, const lsp_document *d, lsp_failure *why) {
  struct stat facts;
  int64_t bytes = 0;
  if (c->fd >= 0 && (c->fd_path == d->path || strcmp(c->fd_path, d->path) == 0)) {
    if (fstat(c->fd, &facts) == 0)
      return check_size(d, (int64_t)facts.st_size, why);
    return lsp_fail(why, LSP_E_IO, "%s: its size cannot be had: %s; check the disk",
                    d->path, strerror(errno));
  }
  if (c->fd >= 0)
    (void)close(c->fd);
  c->fd = -1;
  LSP_TRY(lsp__regular_open(d->path, &c->fd, &bytes, why));
  c->fd_path = d->path;
  return check_size(d, bytes, why);
}

static uint32_t token_at(const unsigned char *raw, int width, int64_t i) {
  uint16_t narrow = 0;
  uint32_t wide = 0;
  switch (width) {
  case 1:
    return raw[i];
  case 2:
    memcpy(&narrow, raw + 2 * i, sizeof narrow);
    return narrow;
  default:
    memcpy(&wide, raw + 4 * i, sizeof wide);
    return wide;
  }
}

static lsp_status refuse_id(const lsp_document *d, int64_t token, uint32_t id,
                            int64_t vocabulary, lsp_failure *why) {
  return lsp_fail(
      why, LSP_E_INPUT,
      "%s: token %" PRId64 " of document %s (byte %" PRId64 " of the file) is "
      "%" PRIu32 ", but the model has a vocabulary of %" PRId64 " ids, 0 to "
      "%" PRId64 "; use text or ids made for this model, and check the width "
      "of the ids (%d bytes)",
      d->path, token, d->name, d->offset + token * d->width, id, vocabulary,
      vocabulary - 1, d->width);
}

/* At most CHUNK tokens, each checked. */
static lsp_status read_chunk(const lsp_corpus *c, const lsp_document *d, int64_t first,
                             int64_t n, int64_t vocabulary, int32_t *id,
                             lsp_failure *why) {
  unsigned char raw[CHUNK * 4];
  LSP_ASSERT(n <= CHUNK);
  LSP_TRY(lsp_read_at(c->fd, d->path, raw, n * d->width, d->offset + first * d->width,
                      why));
  for (int64_t i = 0; i < n; i++) {
    const uint32_t token = token_at(raw, d->width, i);
    if (token >= vocabulary || token > INT32_MAX)
      return refuse_id(d, first + i, token, vocabulary, why);
    id[i] = (int32_t)token;
  }
  return LSP_OK;
}

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

lsp_status lsp_corpus_read(lsp_corpus *c, int64_t d, int64_t first, int64_t n,
                           int64_t vocabulary, int32_t *id, lsp_failure *why) {
  const lsp_document *document = lsp_corpus_document(c, d);
  LSP_ASSERT(first >= 0 && n >= 0 && first <= document->tokens &&
             n <= document->tokens - first);
  LSP_TRY(reach(c, document, why));
  for (int64_t done = 0; done < n; done += CHUNK)
    LSP_TRY(read_chunk(c, document, first + done, smaller(CHUNK, n - done), vocabulary,
                       id + done, why));
  return LSP_OK;
}

static void hash_number(XXH3_state_t *state, int64_t number) {
  (void)XXH3_128bits_update(state, &number, sizeof number);
}

/* Bytes as they are; wider tokens as 4 bytes each, so that u16 and u32 files of the
 * same ids are the same text. */
static lsp_status hash_document(lsp_corpus *c, const lsp_document *d,
                                XXH3_state_t *state, lsp_failure *why) {
  unsigned char raw[CHUNK * 4];
  uint32_t wide[CHUNK];
  hash_number(state, d->tokens);
  hash_number(state, d->width == 1 ? 1 : 4);
  LSP_TRY(reach(c, d, why));
  for (int64_t done = 0; done < d->tokens; done += CHUNK) {
    const int64_t n = smaller(CHUNK, d->tokens - done);
    LSP_TRY(lsp_read_at(c->fd, d->path, raw, n * d->width, d->offset + done * d->width,
                        why));
    for (int64_t i = 0; d->width == 2 && i < n; i++)
      wide[i] = token_at(raw, 2, i);
    const void *bytes = d->width == 2 ? (const void *)wide : raw;
    (void)XXH3_128bits_update(state, bytes, (size_t)n * (d->width == 1 ? 1 : 4));
  }
  return LSP_OK;
}

lsp_status lsp_corpus_hash(lsp_corpus *c, unsigned char out[16], lsp_failure *why) {
  XXH3_state_t *state = XXH3_createState();
  if (state == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "not enough memory to hash the corpus");
  (void)XXH3_128bits_reset(state);
  hash_number(state, c->count);
  lsp_status status = LSP_OK;
  for (int64_t d = 0; status == LSP_OK && d < c->count; d++)
    status = hash_document(c, &c->document[d], state, why);
  if (status == LSP_OK) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
    memcpy(out, canonical.digest, sizeof canonical.digest);
  }
  (void)XXH3_freeState(state);
  return status;
}
