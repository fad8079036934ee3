/* The corpus as an object: documents and the strings that they point to.
 *
 * What must hold: documents are in the order of the inputs, and each lies within its
 * file as it was when opened. Strings never move, so a document may be copied.
 *
 * Packed, for sending to other ranks (native byte order):
 *
 *   int64 magic, documents, bytes of strings, place of the name of the file of starts
 *         in the strings (-1: none)
 *   int64 (documents, 8)   lsp__row
 *   strings, each ended by a zero byte */
#include "lsp/corpus.h"

#include "corpus_internal.h"
#include "lsp/beat.h"
#include "lsp/stop.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_BYTES = 1 << 16, HEAD = 4 };
static const int64_t MAGIC = 0x33303050524f434c; /* "LCORP003" */

lsp_corpus *lsp__corpus_new(void) {
  lsp_corpus *c = calloc(1, sizeof *c);
  if (c != NULL)
    c->fd = c->starts_fd = -1;
  return c;
}

lsp_status lsp__corpus_go_on(lsp_failure *why) {
  lsp_beat();
  if (!lsp_stop_asked())
    return LSP_OK;
  return lsp_fail(why, LSP_E_STOPPED,
                  "stopped on request while the inputs were being found, before any "
                  "work; the same command begins again");
}

lsp_status lsp__corpus_wait(int fd, lsp_failure *why) {
  return lsp_stop_or_readable(fd) ? LSP_OK : lsp__corpus_go_on(why);
}

/* A chunk with room for `bytes` more. */
static lsp__text_chunk *room(lsp_corpus *c, size_t bytes) {
  if (c->text != NULL && c->text->size - c->text->used >= bytes)
    return c->text;
  const size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
  lsp__text_chunk *chunk = malloc(sizeof *chunk + size);
  if (chunk == NULL)
    return NULL;
  chunk->next = c->text;
  chunk->used = 0;
  chunk->size = size;
  c->text = chunk;
  return chunk;
}

const char *lsp__corpus_keep(lsp_corpus *c, const char *text) {
  const size_t bytes = strlen(text) + 1;
  lsp__text_chunk *chunk = room(c, bytes);
  if (chunk == NULL)
    return NULL;
  char *copy = chunk->text + chunk->used;
  memcpy(copy, text, bytes);
  chunk->used += bytes;
  return copy;
}

static lsp_status grow(lsp_corpus *c, lsp_failure *why) {
  const int64_t capacity = c->capacity == 0 ? 64 : 2 * c->capacity;
  lsp_document *more = realloc(c->document, (size_t)capacity * sizeof *more);
  if (more == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "not enough memory for %" PRId64 " documents",
                    capacity);
  c->document = more;
  c->capacity = capacity;
  return LSP_OK;
}

/* A document must lie in its file, and all tokens must be countable: checked, as the
 * numbers may come from a foreign file. */
static lsp_status check_document(const lsp_corpus *c, const lsp_document *d,
                                 lsp_failure *why) {
  const int width_known = d->width == 1 || d->width == 2 || d->width == 4;
  if (!width_known || d->offset < 0 || d->tokens < 0 || d->offset > d->file_bytes ||
      d->tokens > (d->file_bytes - d->offset) / d->width)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: document %s (%" PRId64 " tokens of %d bytes from byte %" PRId64
                    ") does not lie within the file of %" PRId64 " bytes; restore the "
                    "file, or make it again",
                    d->path, d->name, d->tokens, d->width, d->offset, d->file_bytes);
  if (d->tokens > LSP_TOKENS_MOST - c->tokens)
    return lsp_fail(
        why, LSP_E_LIMIT,
        "%s: with the %" PRId64 " tokens of document %s the texts have more "
        "than 2^60 tokens, which is as far as longspan counts; read them in "
        "several runs",
        d->path, d->tokens, d->name);
  return LSP_OK;
}

lsp_status lsp__corpus_add(lsp_corpus *c, const lsp_document *d, lsp_failure *why) {
  LSP_TRY(check_document(c, d, why));
  if (c->count == c->capacity)
    LSP_TRY(grow(c, why));
  LSP_ASSERT(c->document != NULL);
  lsp_document *added = &c->document[c->count];
  *added = *d;
  added->chunk = lsp_corpus_chunks(c);
  c->tokens += d->tokens;
  c->count++;
  return LSP_OK;
}

/* Offset at which a string will lie. Neighbours that share a path share its bytes. */
static int64_t place_path(const lsp_corpus *c, int64_t d, int64_t before,
                          int64_t next) {
  if (d > 0 && c->document[d].path == c->document[d - 1].path)
    return before;
  return next;
}

static int64_t string_bytes(const lsp_corpus *c) {
  int64_t bytes = c->starts == NULL ? 0 : (int64_t)strlen(c->starts) + 1;
  for (int64_t d = 0; d < c->count; d++) {
    if (place_path(c, d, -1, 0) == 0)
      bytes += (int64_t)strlen(c->document[d].path) + 1;
    bytes += (int64_t)strlen(c->document[d].name) + 1;
  }
  return bytes;
}

static int64_t put_string(char *strings, int64_t at, const char *text) {
  const size_t bytes = strlen(text) + 1;
  memcpy(strings + at, text, bytes);
  return at + (int64_t)bytes;
}

lsp_status lsp_corpus_pack(const lsp_corpus *c, void **out, size_t *bytes,
                           lsp_failure *why) {
  const int64_t text = string_bytes(c);
  const size_t numbers = HEAD * sizeof(int64_t) + (size_t)c->count * sizeof(lsp__row);
  LSP_ASSERT(c->document != NULL || c->count == 0);
  int64_t *pack = malloc(numbers + (size_t)text);
  *out = pack;
  if (pack == NULL)
    return lsp_fail(why, LSP_E_MEMORY,
                    "not enough memory to send %" PRId64 " documents", c->count);
  const int64_t head[HEAD] = {MAGIC, c->count, text, c->starts == NULL ? -1 : 0};
  memcpy(pack, head, sizeof head);
  lsp__row *row = (lsp__row *)(void *)(pack + HEAD);
  char *strings = (char *)pack + numbers;
  int64_t at = c->starts == NULL ? 0 : put_string(strings, 0, c->starts), path = 0;
  for (int64_t i = 0; i < c->count; i++) {
    const lsp_document *d = &c->document[i];
    path = place_path(c, i, path, at);
    if (path == at)
      at = put_string(strings, at, d->path);
    row[i] = (lsp__row){at,       path,          d->offset,     d->tokens,
                        d->width, d->file_bytes, d->text_bytes, d->chunk};
    at = put_string(strings, at, d->name);
  }
  LSP_ASSERT(at == text);
  *bytes = numbers + (size_t)text;
  return LSP_OK;
}

/* Every row as it was when it was packed: it came over a network. */
static lsp_status check_rows(lsp_corpus *c, int64_t count, int64_t text,
                             lsp_failure *why) {
  for (int64_t i = 0; i < count; i++) {
    const lsp__row *r = &c->row[i];
    if (r->name < 0 || r->name >= text || r->path < 0 || r->path >= text ||
        r->text_bytes < -1 || r->chunk != lsp_corpus_chunks(c))
      return lsp_fail(why, LSP_E_FORMAT,
                      "packed corpus: document %" PRId64 " is damaged", i);
    c->count = i + 1;
    const lsp_document d = lsp_corpus_document(c, i);
    LSP_TRY(check_document(c, &d, why));
    c->tokens += d.tokens;
  }
  return LSP_OK;
}

static lsp_status unpack(lsp_corpus *c, const char *data, size_t bytes,
                         lsp_failure *why) {
  int64_t head[HEAD] = {0};
  if (bytes >= sizeof head)
    memcpy(head, data, sizeof head);
  const int64_t rest = (int64_t)bytes - (int64_t)sizeof head;
  const int64_t row = (int64_t)sizeof(lsp__row);
  const int64_t count = head[1], text = head[2], starts = head[3];
  if (head[0] != MAGIC || count < 0 || count > rest / row ||
      text != rest - count * row || (text > 0 && data[bytes - 1] != '\0') ||
      starts < -1 || starts >= text)
    return lsp_fail(
        why, LSP_E_FORMAT,
        "the list of documents was damaged on its way between ranks (%zu bytes)",
        bytes);
  c->row = (const lsp__row *)(const void *)(data + sizeof head);
  c->strings = data + bytes - text;
  c->starts = starts >= 0 ? c->strings + starts : NULL;
  return check_rows(c, count, text, why);
}

lsp_status lsp_corpus_unpack(const void *data, size_t bytes, lsp_corpus **out,
                             lsp_failure *why) {
  lsp_corpus *c = lsp__corpus_new();
  *out = c;
  if (c == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "not enough memory for the list of documents");
  const lsp_status status = unpack(c, data, bytes, why);
  if (status != LSP_OK)
    lsp_corpus_close(out);
  return status;
}

void lsp_corpus_close(lsp_corpus **c) {
  if (*c == NULL)
    return;
  if ((*c)->fd >= 0)
    (void)close((*c)->fd);
  if ((*c)->starts_fd >= 0)
    (void)close((*c)->starts_fd);
  while ((*c)->text != NULL) {
    lsp__text_chunk *next = (*c)->text->next;
    free((*c)->text);
    (*c)->text = next;
  }
  free((*c)->document);
  free((*c)->chunk);
  free(*c);
  *c = NULL;
}

int64_t lsp_corpus_count(const lsp_corpus *c) {
  return c->count;
}

lsp_document lsp_corpus_document(const lsp_corpus *c, int64_t d) {
  LSP_ASSERT(d >= 0 && d < c->count);
  if (c->row == NULL)
    return c->document[d];
  const lsp__row *r = &c->row[d];
  return (lsp_document){.name = c->strings + r->name,
                        .path = c->strings + r->path,
                        .offset = r->offset,
                        .tokens = r->tokens,
                        .width = r->width >= 0 && r->width <= 4 ? (int)r->width : 0,
                        .file_bytes = r->file_bytes,
                        .text_bytes = r->text_bytes,
                        .chunk = r->chunk};
}
