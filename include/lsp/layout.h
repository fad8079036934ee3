/* The files that longspan writes, drawn where they are made. The only user of HDF5.
 *
 * FILE.h5 (the output); in brackets the dimensions, each with a dimension scale
 *   /                       attributes: format = "longspan-output", format_version =
 *                           "2", first_position (of the first token of document 0: 0,
 *                           or where its snapshot was taken), and every (key, value) of
 *                           the spec: config, hashes, semantic options, kernels
 *   /tokens/token           scale without data (a dimension, not a variable)   N
 *   /tokens/feature         likewise, only with hidden                          D
 *   /tokens/id       int32   (token)            token ids
 *   /tokens/byte_start int64 (token)            place of its first byte in the text of
 *                                            its document; only where text was made
 *                                            into tokens by a tokenizer
 *   /tokens/nll      float32 (token)            nats; NaN where there is no prediction,
 *                                            and where it is not below 2^37
 *   /tokens/hidden   float32 (token, feature)   last hidden state
 *   /tokens/hidden_N float32 (token, feature)   what enters layer N, as asked for: 0 is
 *                                            the embedding
 *   /documents/document     scale without data                                 C
 *   /documents/name         fixed-length UTF-8 (document), padded with NUL, in the
 *                           stored form of lsp/text.h: a byte that is no printable
 *                           UTF-8 is \xNN, a backslash \x5c
 *   /documents/token_start  int64   (document)
 *   /documents/token_count  int64   (document)
 *   /documents/n_bytes      int64   (document)   of its text, if there was text
 *   /documents/nll_count    int64   (document)   predicted tokens that have an nll
 *   /documents/nll_sum      float64 (document)   nats
 *   /documents/bits_per_byte float64 (document)  nll_sum / ln 2 / n_bytes, NaN if none,
 *                           and where half of the tokens are predicted (--context
 *                           chunks:N,half)
 *   /documents/not_finite_count int64 (document) predicted tokens whose nll is not
 *                           finite: not in nll_count and nll_sum, and bits_per_byte is
 *                           NaN then (--not-finite count)
 *   /tokenizer/             only where text was made into tokens by a tokenizer: what
 *                           the ids stand for
 *   /tokenizer/byte         scale without data
 *   /tokenizer/edge         scale without data                                 V + 1
 *   /tokenizer/token_bytes  uint8 (byte)         the bytes of all tokens, joined
 *   /tokenizer/token_start  int64 (edge)         those of token i are [token_start[i],
 *                                                token_start[i + 1])
 *   /integrity/panel        scale without data                                 G
 *   /integrity/panel_xxh3   uint64  (panel)      XXH3-64 of what the panel wrote: ids,
 *                                                nll, hidden, byte_start, and of each
 *                                                hidden_N the XXH3-64 of its rows, as
 *                                                far as they are here
 *   /integrity/document_xxh3 uint64 (document)   XXH3-64 of nll_count, nll_sum, ... of
 *                                                the document, 8 bytes each
 *   /integrity/word         scale without data                                 2
 *   /integrity/layout_xxh3  uint64  (word)       XXH3-128 (high half, low half) of all
 *                                                else, below
 *
 * FILE.memory.h5 (snapshots; S of them)
 *   /                       attributes: format = "longspan-memory", format_version =
 *                           "2", "3" where there are states; fixed_rows (F, where there
 *                           are any), pooled_rows (Q of these, likewise), the same
 *                           identity keys
 *   /snapshots/{snapshot,layer,row,feature,model}   scales without data
 *   /snapshots/document    int64 (snapshot)  index of the document in the corpus
 *   /snapshots/position    int64 (snapshot)  tokens of the document before it (so the
 *                                            next token has this position)
 *   /snapshots/rows        int64 (snapshot)  rows that exist: min(R, position)
 *   /snapshots/layer_rows  int64 (layer)     how many of them the layer keeps, the last
 *                                            ones; absent: all, in every layer
 *   /snapshots/last_id     int32 (snapshot)  id of the last token
 *   /snapshots/hidden      float32 (snapshot, model)  last hidden state of that token:
 *                                            predicts the token that follows
 *   /snapshots/keys        float32 (snapshot, layer, row, feature)
 *   /snapshots/values      float32 (snapshot, layer, row, feature)
 *                          F + R rows: F fixed ones, row i of position i, but for the
 *                          last Q of them, which are means of many positions (in the
 *                          order of engine/strata_memory.h); then R of the past, the
 *                          last one of position - 1. Zero (never written) are
 *                          rows before the first token and rows from position on, rows
 *                          of the past that the layer does not keep, and all of a layer
 *                          that keeps none
 *   /snapshots/row_xxh3    uint64 (snapshot, layer, row)  XXH3-64 of the row's keys,
 *                          then its values; 0 for rows that are zero
 *   /snapshots/end_xxh3    uint64 (snapshot)  XXH3-64 of last_id, then hidden
 *   /states/               only of a model whose memory has parts (lsp/parts.h)
 *   /states/LAYER/NAME     (snapshot, size_D0, size_D1, ...)  a part of a layer, or of the
 *                          model: /states/model/NAME; float32, float64, int32 or int64
 *   /states/size_N         scale without data, of N
 *   /states/part           scale without data
 *   /states/name           fixed-length UTF-8 (part), padded with NUL: LAYER/NAME of all
 *                          parts, in the order of
 *   /states/part_xxh3      uint64 (snapshot, part)  XXH3-64 of the part's numbers
 *   /integrity/word, /integrity/layout_xxh3   as above
 *   feature = head * head_width + component
 *
 * Every byte of a file is under a sum. What the run computes is filled in later, under a
 * sum of its own beside it. All else is under layout_xxh3: headers, names, sizes,
 * attributes, padding; the sum is taken with all that is filled in later, itself
 * included, as zero. Files of version 1 have panel_xxh3 alone (which counts ids and nll
 * even where the file does not hold them), and are still read. A file without states has
 * the same bytes whether the program knows of states or not.
 *
 * Both are laid out by HDF5 in memory (memfd), every dataset contiguous, allocated
 * early, never filled, without times, those of 1 MiB and more aligned to 1 MiB: the
 * bytes are a function of the spec. What is filled in later goes to known offsets by
 * plain writes. Local, all of it. */
#ifndef LSP_LAYOUT_H
#define LSP_LAYOUT_H

#include "lsp/corpus.h"
#include "lsp/parts.h"
#include "lsp/status.h"

#include <stdint.h>

typedef struct {
  const char *key, *value; /* printable UTF-8 */
} lsp_attribute;

/* Where a dataset lies. */
typedef struct {
  int64_t offset; /* of its first byte in the file; -1: not in this file */
  int64_t rows;   /* extent of the first dimension */
  int64_t row_bytes;
} lsp_extent;

/* Layers whose input, or whose choices, an output may hold. */
enum { LSP_HIDDEN_MOST = 32 };

typedef enum {
  LSP_TOKENS_ID,
  LSP_TOKENS_NLL,
  LSP_TOKENS_HIDDEN,
  LSP_TOKENS_BYTE_START,
  LSP_TOKENS_HIDDEN_LAYER, /* of hidden_layer[0] of the spec; those of the others follow */
  LSP_TOKENS_HIDDEN_LAYER_LAST = LSP_TOKENS_HIDDEN_LAYER + LSP_HIDDEN_MOST - 1,
  LSP_TOKENS_CHOSEN_LAYER, /* likewise of chosen_layer */
  LSP_TOKENS_CHOSEN_LAYER_LAST = LSP_TOKENS_CHOSEN_LAYER + LSP_HIDDEN_MOST - 1,
  LSP_DOCUMENTS_NLL_COUNT,
  LSP_DOCUMENTS_NLL_SUM,
  LSP_DOCUMENTS_BITS_PER_BYTE,
  LSP_DOCUMENTS_NOT_FINITE,
  LSP_INTEGRITY_PANEL,
  LSP_INTEGRITY_DOCUMENT,
  LSP_INTEGRITY_LAYOUT,
  LSP_OUTPUT_DATASETS
} lsp_output_dataset;

typedef struct {
  int64_t tokens, documents, panels;
  int hidden_width; /* D */
  int write_id, write_nll, write_hidden, write_starts;
  int hidden_layers;                     /* whose input is written */
  int hidden_layer[LSP_HIDDEN_MOST];     /* which, rising */
  int chosen_layers;                     /* whose choices of blocks are written */
  int chosen_layer[LSP_HIDDEN_MOST];     /* which, rising */
  int chosen_width;                      /* the most of any: heads times blocks */
  int64_t vocabulary;                    /* V of the tokenizer; 0: the file has none */
  const int64_t *vocabulary_start;       /* (V + 1) */
  const unsigned char *vocabulary_bytes; /* (vocabulary_start[V]) */
  int64_t first_position;     /* of the first token of document 0: 0, or where the
                                 snapshot that it continues from was taken */
  const int64_t *token_start; /* (documents + 1) */
  const int64_t *n_bytes;     /* (documents) */
  const char *const *name;    /* (documents) any bytes, as the file system has them */
  const lsp_attribute *attribute;
  int attributes;
} lsp_output_spec;

typedef enum {
  LSP_SNAPSHOT_LAST_ID,
  LSP_SNAPSHOT_HIDDEN,
  LSP_SNAPSHOT_KEYS, /* row = one snapshot: row_bytes = layers * (F + R) * width * 4 */
  LSP_SNAPSHOT_VALUES,
  LSP_SNAPSHOT_ROW_SUM, /* row = one snapshot: row_bytes = layers * (F + R) * 8 */
  LSP_SNAPSHOT_END_SUM,
  LSP_SNAPSHOT_PART_SUM, /* row = one snapshot: row_bytes = parts * 8 */
  LSP_SNAPSHOT_LAYOUT,
  LSP_MEMORY_DATASETS /* and after these the parts, in the order of the spec: a row = one
                         snapshot */
} lsp_memory_dataset;

typedef struct {
  int64_t snapshots;
  int layers;
  int64_t rows;              /* R: of the past, the most that a layer keeps */
  int64_t fixed;             /* F: the first rows of a document, beside them, */
  int64_t pooled;            /* of which the last ones are Q pooled rows */
  const int64_t *layer_rows; /* (layers) at most R: of the past, kept by each; 0: the
                                layer has no memory, no fixed rows either; NULL: all R */
  int width;                 /* of keys, and of values: H * E */
  const lsp_part *part;      /* (parts) of layers and of the model, lent */
  int parts;
  int hidden_width;
  const int64_t *document, *position; /* (snapshots) */
  const lsp_attribute *attribute;
  int attributes;
} lsp_memory_spec;

/* Rows of the past that a layer keeps. */
static inline int64_t lsp_memory_layer_rows(const lsp_memory_spec *m, int layer) {
  return m->layer_rows == NULL ? m->rows : m->layer_rows[layer];
}

/* Fixed rows that a layer keeps, and those of them that are rows of positions. */
static inline int64_t lsp_memory_layer_fixed(const lsp_memory_spec *m, int layer) {
  return m->layer_rows != NULL && m->layer_rows[layer] == 0 ? 0 : m->fixed;
}
static inline int64_t lsp_memory_layer_first(const lsp_memory_spec *m, int layer) {
  const int64_t fixed = lsp_memory_layer_fixed(m, layer);
  return fixed > m->pooled ? fixed - m->pooled : 0;
}

/* How many parts a file may have. */
enum { LSP_PARTS_MOST = 1 << 14 };

/* Where a part lies within /states: "3/matrix", "model/ids". */
enum { LSP_PART_PATH = LSP_PART_NAME + 16 };
void lsp_part_path(const lsp_part *part, char path[LSP_PART_PATH]);

/* A skeleton: an anonymous file (memfd) with everything but the data. */
typedef struct {
  int fd;
  int64_t bytes;          /* logical size */
  unsigned char hash[16]; /* XXH3-128 of every 4 KiB page that is not all zero, each
                             after its offset (u64), and at the end of the size (u64);
                             taken before layout_xxh3, which holds it, is filled in */
} lsp_skeleton;

lsp_status lsp_layout_output(const lsp_output_spec *spec, lsp_skeleton *skeleton,
                             lsp_extent extent[LSP_OUTPUT_DATASETS], lsp_failure *why);
/* extent (LSP_MEMORY_DATASETS + spec->parts) */
lsp_status lsp_layout_memory(const lsp_memory_spec *spec, lsp_skeleton *skeleton,
                             lsp_extent *extent, lsp_failure *why);
void lsp_skeleton_close(lsp_skeleton *skeleton);

/* Copies a skeleton into an empty file: space for its whole size is reserved (fallocate,
 * or statvfs where the file system cannot), then what is not zero is copied. Nothing is
 * synced. */
lsp_status lsp_skeleton_copy(const lsp_skeleton *skeleton, int fd, const char *path,
                             lsp_failure *why);

/* Puts a skeleton in place under PATH, by an lsp_replacement: whole or not at all. */
lsp_status lsp_skeleton_install(const lsp_skeleton *skeleton, const char *path,
                                lsp_failure *why);

/* LSP_OK if HDF5 (in a child process) opens the file read-only, finds every dataset of
 * its format, and that format is `format`. */
lsp_status lsp_layout_check(const char *path, const char *format, lsp_failure *why);

/* An output or memory file, read. It must be regular; HDF5 looks at it in a child
 * process with limits on memory and time, since a file may be hostile; only the offsets
 * and the text that the child found come back. */
typedef struct {
  int is_memory;
  int version;            /* of its format: 1 (few sums), 2, or 3 (with states) */
  int64_t bytes;          /* of the file */
  lsp_output_spec output; /* strings and arrays owned by this object; the vocabulary's
                             are NULL: they lie in the file */
  lsp_memory_spec memory;
  lsp_extent *extent; /* (LSP_OUTPUT_DATASETS), or (LSP_MEMORY_DATASETS + memory.parts);
                         owned by this object */
  lsp_extent token_bytes, token_bytes_start; /* of the vocabulary */
  int fd;                /* open for reading by pread at the offsets above */
  lsp_part *shared_part; /* memory.part, where another rank opened it; owned */
  void *owned;
} lsp_file_view;

lsp_status lsp_file_open(const char *path, lsp_file_view *view, lsp_failure *why);
void lsp_file_close(lsp_file_view *view);

/* For lsp_corpus_spec.hdf5_reader. What add gets is lent until it returns. */
lsp_status lsp_output_documents(const char *path,
                                lsp_status (*add)(const lsp_document *d, void *arg),
                                void *arg, lsp_failure *why);

/* Version of the HDF5 library at run time, such as "1.10.8". */
void lsp_hdf5_version(char *text, size_t size);

#endif
