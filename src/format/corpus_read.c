/* Tokens out of files, chunk by chunk, and the hashes of the chunks.
 *
 * One file is kept open, because consecutive reads mostly want the same one, and a
 * corpus may have more files than a process may open.
 *
 * What must hold: a file has the size that it had when the corpus was opened (looked at
 * before every read); the tokens given are bytes that were hashed, not bytes read a
 * second time; and every id given lies in [0, vocabulary). */
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

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* The chunk as it is hashed: tokens of 2 bytes become 4, so that u16 and u32 files of
 * the same ids are the same text. */
static const void *widen(lsp__chunk *k, int stored_width) {
  if (stored_width == 1)
    return k->raw;
  for (int64_t i = 0; stored_width == 2 && i < k->tokens; i++) {
    uint16_t narrow = 0;
    memcpy(&narrow, k->raw + 2 * i, sizeof narrow);
    k->wide[i] = narrow;
  }
  return k->wide;
}

/* Reads and hashes chunk `chunk` (of the corpus) of a document. */
static lsp_status read_chunk(lsp_corpus *c, const lsp_document *d, int64_t chunk,
                             lsp_failure *why) {
  const int64_t first = (chunk - d->chunk) * LSP_CHUNK_TOKENS;
  if (c->chunk == NULL)
    c->chunk = malloc(sizeof *c->chunk);
  if (c->chunk == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to read it", d->path);
  lsp__chunk *k = c->chunk;
  k->tokens = smaller(LSP_CHUNK_TOKENS, d->tokens - first);
  k->width = d->width == 1 ? 1 : 4;
  LSP_TRY(lsp_read_at(c->fd, d->path, d->width == 4 ? (void *)k->wide : k->raw,
                      k->tokens * d->width, d->offset + first * d->width, why));
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(
      &canonical,
      XXH3_128bits(widen(k, d->width), (size_t)k->tokens * (size_t)k->width));
  memcpy(k->hash.byte, canonical.digest, sizeof k->hash.byte);
  return LSP_OK;
}

static lsp_status refuse_other(const lsp_document *d, int64_t chunk, int64_t tokens,
                               lsp_failure *why) {
  const int64_t first = (chunk - d->chunk) * LSP_CHUNK_TOKENS;
  return lsp_fail(why, LSP_E_MISMATCH,
                  "%s: tokens %" PRId64 " to %" PRId64 " of document %s (from byte "
                  "%" PRId64 ") are not those that were hashed when the run began: the "
                  "file was changed, or hosts have different files of this name; "
                  "restore it, or begin a new run",
                  d->path, first, first + tokens - 1, d->name,
                  d->offset + first * d->width);
}

/* read_chunk, and what comes is what was hashed before. */
static lsp_status read_checked(lsp_corpus *c, const lsp_document *d, int64_t chunk,
                               lsp_failure *why) {
  LSP_TRY(read_chunk(c, d, chunk, why));
  if (c->expected == NULL ||
      memcmp(&c->expected[chunk], &c->chunk->hash, sizeof c->chunk->hash) == 0)
    return LSP_OK;
  return refuse_other(d, chunk, c->chunk->tokens, why);
}

/* Tokens [first, first + n) of the chunk that was read, each checked. skip: tokens of
 * the document before the chunk. */
static lsp_status take(const lsp__chunk *k, const lsp_document *d, int64_t skip,
                       int64_t first, int64_t n, int64_t vocabulary, int32_t *id,
                       lsp_failure *why) {
  for (int64_t i = 0; i < n; i++) {
    const uint32_t token = k->width == 1 ? k->raw[first + i] : k->wide[first + i];
    if (token >= vocabulary || token > INT32_MAX)
      return refuse_id(d, skip + first + i, token, vocabulary, why);
    id[i] = (int32_t)token;
  }
  return LSP_OK;
}

lsp_status lsp_corpus_read(lsp_corpus *c, int64_t d, int64_t first, int64_t n,
                           int64_t vocabulary, int32_t *id, lsp_failure *why) {
  const lsp_document one = lsp_corpus_document(c, d), *document = &one;
  LSP_ASSERT(first >= 0 && n >= 0 && first <= document->tokens &&
             n <= document->tokens - first);
  LSP_TRY(reach(c, document, why));
  for (int64_t done = 0, part = 0; done < n; done += part) {
    const int64_t at = first + done, within = at % LSP_CHUNK_TOKENS;
    LSP_TRY(read_checked(c, document, document->chunk + at / LSP_CHUNK_TOKENS, why));
    part = smaller(c->chunk->tokens - within, n - done);
    LSP_TRY(take(c->chunk, document, at - within, within, part, vocabulary, id + done,
                 why));
  }
  return LSP_OK;
}

lsp_status lsp_corpus_bytes(lsp_corpus *c, int64_t d, int64_t first, int64_t n,
                            unsigned char *byte, lsp_failure *why) {
  const lsp_document one = lsp_corpus_document(c, d), *document = &one;
  LSP_ASSERT(first >= 0 && n >= 0 && first <= document->tokens &&
             n <= document->tokens - first && document->width == 1);
  LSP_TRY(reach(c, document, why));
  for (int64_t done = 0, part = 0; done < n; done += part) {
    const int64_t at = first + done, within = at % LSP_CHUNK_TOKENS;
    LSP_TRY(read_checked(c, document, document->chunk + at / LSP_CHUNK_TOKENS, why));
    part = smaller(c->chunk->tokens - within, n - done);
    memcpy(byte + done, c->chunk->raw + within, (size_t)part);
  }
  return LSP_OK;
}

/* Each of the chunks [first, end) by read_chunk, its hash to hash if not NULL. */
static lsp_status walk(lsp_corpus *c, int64_t first, int64_t end, lsp_chunk_hash *hash,
                       lsp_failure *why) {
  if (first == end)
    return LSP_OK;
  int64_t at = lsp__corpus_document_of(c, first);
  lsp_document one = lsp_corpus_document(c, at);
  const lsp_document *d = &one;
  LSP_TRY(reach(c, d, why));
  for (int64_t chunk = first; chunk < end; chunk++) {
    const int64_t before = at;
    while (at + 1 < c->count && lsp_corpus_document(c, at + 1).chunk <= chunk)
      at++;
    if (at != before) {
      one = lsp_corpus_document(c, at);
      LSP_TRY(reach(c, d, why));
    }
    if (hash == NULL) {
      LSP_TRY(read_checked(c, d, chunk, why));
    } else {
      LSP_TRY(read_chunk(c, d, chunk, why));
      hash[chunk - first] = c->chunk->hash;
    }
  }
  return LSP_OK;
}

lsp_status lsp_corpus_hash_chunks(lsp_corpus *c, int64_t first, int64_t end,
                                  lsp_chunk_hash *hash, lsp_failure *why) {
  return walk(c, first, end, hash, why);
}

lsp_status lsp_corpus_check(lsp_corpus *c, int64_t first, int64_t end,
                            lsp_failure *why) {
  return walk(c, first, end, NULL, why);
}
