/* The documents of a Megatron dataset: NAME.bin holds tokens, NAME.idx says where.
 *
 *   idx:  "MMIDIDX\0\0" | u64 version = 1 | u8 dtype | u64 S sequences | u64 D edges
 *         | i32 length[S] | i64 pointer[S] | i64 edge[D]
 *   bin:  tokens of sequence 0, 1, ..., without gaps
 *
 * (megatron/core/datasets/indexed_dataset.py.) Document d is the sequences edge[d] to
 * edge[d+1] - 1. A longer file has a list of modes at its end (text and images):
 * refused.
 *
 * What must hold for each document: its sequences follow one another in the .bin, so
 * that it is one run of tokens; all of them together fill the .bin exactly. */
#include "corpus_internal.h"

#include "lsp/durable.h"
#include "regular.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAGIC_BYTES = 9, HEAD_BYTES = 34 };

/* code, name, bytes of a token; 0: of no use as token ids here */
#define MEGATRON_TABLE(X)                                                              \
  X(1, "uint8", 1)                                                                     \
  X(2, "int8", 0)                                                                      \
  X(3, "int16", 0)                                                                     \
  X(4, "int32", 4)                                                                     \
  X(5, "int64", 0)                                                                     \
  X(6, "float64", 0)                                                                   \
  X(7, "float32", 0)                                                                   \
  X(8, "uint16", 2)

typedef struct {
  const char *idx, *bin; /* paths */
  int fd;                /* of the idx */
  int64_t idx_bytes, bin_bytes;
  int width;
  int64_t sequences, edges;
  int32_t *length;  /* (sequences), tokens */
  int64_t *pointer; /* (sequences), bytes */
  int64_t *edge;    /* (edges), sequences */
} dataset;

static lsp_status parse_width(const char *path, int code, int *width,
                              lsp_failure *why) {
  const char *name = "unknown";
  *width = 0;
  switch (code) {
#define X(number, words, bytes)                                                        \
  case number:                                                                         \
    name = words;                                                                      \
    *width = bytes;                                                                    \
    break;
    MEGATRON_TABLE(X)
#undef X
  default:
    break;
  }
  if (*width != 0)
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_FORMAT,
      "%s: byte 17: tokens are of type %d (%s); expected 1 (uint8), 4 (int32) "
      "or 8 (uint16); preprocess the text again",
      path, code, name);
}

static lsp_status read_head(dataset *m, lsp_failure *why) {
  unsigned char head[HEAD_BYTES];
  uint64_t version = 0, counts[2] = {0};
  if (m->idx_bytes < HEAD_BYTES)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: is %" PRId64
                    " bytes; a Megatron index has at least %d; it was "
                    "cut short, make it again",
                    m->idx, m->idx_bytes, HEAD_BYTES);
  LSP_TRY(lsp_read_at(m->fd, m->idx, head, HEAD_BYTES, 0, why));
  if (memcmp(head, "MMIDIDX\0\0", MAGIC_BYTES) != 0)
    return lsp_fail(
        why, LSP_E_FORMAT,
        "%s: does not begin with MMIDIDX: not a Megatron index; for raw token "
        "ids in a .bin file choose the input format u16 or u32",
        m->idx);
  memcpy(&version, head + 9, sizeof version);
  if (version != 1)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: version %" PRIu64
                    " of the Megatron index is not known; expected "
                    "1; preprocess the text again",
                    m->idx, version);
  LSP_TRY(parse_width(m->idx, head[17], &m->width, why));
  memcpy(counts, head + 18, sizeof counts);
  const uint64_t bytes = (uint64_t)m->idx_bytes; /* 12 a sequence, 8 an edge */
  m->sequences = counts[0] <= bytes / 12 ? (int64_t)counts[0] : -1;
  m->edges = counts[1] <= bytes / 8 ? (int64_t)counts[1] : -1;
  if (m->sequences >= 0 && m->edges >= 1)
    return LSP_OK;
  return lsp_fail(why, LSP_E_FORMAT,
                  "%s: says that it has %" PRIu64 " sequences and %" PRIu64
                  " document edges, more than its %" PRId64
                  " bytes can hold; make it again",
                  m->idx, counts[0], counts[1], m->idx_bytes);
}

/* read_head has bounded both lists by the size of the file, so nothing overflows. */
static lsp_status read_lists(dataset *m, lsp_failure *why) {
  const int64_t lengths = m->sequences * 4, pointers = m->sequences * 8;
  const int64_t edges = m->edges * 8;
  const int64_t expected = HEAD_BYTES + lengths + pointers + edges;
  if (m->sequences > 0 && m->idx_bytes == expected + m->sequences)
    return lsp_fail(
        why, LSP_E_FORMAT,
        "%s: has a mode for each sequence (text and images); only plain text "
        "is supported; preprocess the text without modes",
        m->idx);
  if (m->idx_bytes != expected)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: is %" PRId64 " bytes, where %" PRId64 " sequences and %" PRId64
                    " document edges need %" PRId64 "; make it again",
                    m->idx, m->idx_bytes, m->sequences, m->edges, expected);
  m->length = malloc((size_t)lengths + 1);
  m->pointer = malloc((size_t)pointers + 1);
  m->edge = malloc((size_t)edges + 1);
  if (m->length == NULL || m->pointer == NULL || m->edge == NULL)
    return lsp_fail(why, LSP_E_MEMORY,
                    "%s: not enough memory for its %" PRId64 " sequences", m->idx,
                    m->sequences);
  LSP_TRY(lsp_read_at(m->fd, m->idx, m->length, lengths, HEAD_BYTES, why));
  LSP_TRY(lsp_read_at(m->fd, m->idx, m->pointer, pointers, HEAD_BYTES + lengths, why));
  return lsp_read_at(m->fd, m->idx, m->edge, edges, expected - edges, why);
}

static lsp_status check_sequences(const dataset *m, lsp_failure *why) {
  int64_t end = 0;
  for (int64_t s = 0; s < m->sequences && end <= m->bin_bytes; s++) {
    if (m->length[s] < 0 || m->pointer[s] != end)
      return lsp_fail(
          why, LSP_E_FORMAT,
          "%s: sequence %" PRId64 " (%d tokens from byte %" PRId64 ") does not "
          "follow the one before, which ends at byte %" PRId64 " of %s; make "
          "the dataset again",
          m->idx, s, (int)m->length[s], m->pointer[s], end, m->bin);
    end += (int64_t)m->length[s] * m->width;
  }
  if (end != m->bin_bytes)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: its sequences end at byte %" PRId64 ", but %s is %" PRId64
                    " bytes; the two do not belong together, or one was cut short",
                    m->idx, end, m->bin, m->bin_bytes);
  return LSP_OK;
}

static lsp_status check_edges(const dataset *m, lsp_failure *why) {
  int rising = m->edge[0] == 0 && m->edge[m->edges - 1] == m->sequences;
  for (int64_t d = 1; d < m->edges; d++)
    rising = rising && m->edge[d] >= m->edge[d - 1];
  if (rising)
    return LSP_OK;
  return lsp_fail(why, LSP_E_FORMAT,
                  "%s: the document edges do not rise from 0 to %" PRId64
                  ", the number of "
                  "sequences; make the dataset again",
                  m->idx, m->sequences);
}

static lsp_status add_documents(lsp_corpus *c, const dataset *m, const char *name,
                                lsp_failure *why) {
  const char *path = lsp__corpus_keep(c, m->bin);
  int64_t end = 0;
  for (int64_t d = 0; d + 1 < m->edges; d++) {
    char *shown = NULL;
    int64_t tokens = 0;
    for (int64_t s = m->edge[d]; s < m->edge[d + 1]; s++)
      tokens += m->length[s];
    if (asprintf(&shown, "%s#%" PRId64, name, d) < 0)
      shown = NULL;
    const lsp_document document = {.name = shown == NULL ? NULL
                                                         : lsp__corpus_keep(c, shown),
                                   .path = path,
                                   .offset = end,
                                   .tokens = tokens,
                                   .width = m->width,
                                   .file_bytes = m->bin_bytes,
                                   .text_bytes = -1};
    free(shown);
    if (document.name == NULL || path == NULL)
      return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for its documents",
                      m->idx);
    LSP_TRY(lsp__corpus_add(c, &document, why));
    end += tokens * m->width;
  }
  return LSP_OK;
}

static lsp_status read_dataset(lsp_corpus *c, dataset *m, const char *name,
                               lsp_failure *why) {
  int fd = -1;
  LSP_TRY(lsp__regular_open(m->idx, &m->fd, &m->idx_bytes, why));
  LSP_TRY(lsp__regular_open(m->bin, &fd, &m->bin_bytes, why));
  (void)close(fd);
  LSP_TRY(read_head(m, why));
  LSP_TRY(read_lists(m, why));
  LSP_TRY(check_sequences(m, why));
  LSP_TRY(check_edges(m, why));
  return add_documents(c, m, name, why);
}

lsp_status lsp__corpus_megatron(lsp_corpus *c, const char *base, const char *name,
                                lsp_failure *why) {
  char *idx = NULL, *bin = NULL;
  if (asprintf(&idx, "%s.idx", base) < 0)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to open it", base);
  if (asprintf(&bin, "%s.bin", base) < 0) {
    free(idx);
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to open it", base);
  }
  dataset m = {.idx = idx, .bin = bin, .fd = -1};
  const lsp_status status = read_dataset(c, &m, name, why);
  if (m.fd >= 0)
    (void)close(m.fd);
  free(m.length);
  free(m.pointer);
  free(m.edge);
  free(idx);
  free(bin);
  return status;
}
