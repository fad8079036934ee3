/* The corpus: the documents of one run, in order, as one stream of tokens.
 *
 * A document is a run of tokens of a fixed width somewhere in a file. Opening finds the
 * documents and their sizes and reads no token; reading takes any range of one.
 *
 * A document is hashed in chunks of a fixed number of tokens, counted from its first:
 *
 *   documents   |   doc 0                     | doc 1 |   doc 2             | ...
 *   chunks      | 0         | 1         | 2   | 3     | 4         | 5       | ...
 *
 * A reader that was given the hashes of all chunks reads whole chunks and compares: the
 * tokens that it gives out are those that were hashed.
 *
 * A text that a tokenizer has cut into tokens is a corpus of ids, made from the corpus of
 * its bytes.
 *
 * Local, all of it: rank 0 opens, packs and sends; the others unpack. */
#ifndef LSP_CORPUS_H
#define LSP_CORPUS_H

#include "lsp/status.h"

#include <stdint.h>

enum { LSP_CHUNK_TOKENS = 65536 };

typedef struct {
  unsigned char byte[16];
} lsp_chunk_hash;

/* Tokens of a corpus, and positions in a document, are counted up to this, so that sums
 * of a few of them, and their bytes, stay within 63 bits. More is refused. */
#define LSP_TOKENS_MOST ((int64_t)1 << 60)

typedef enum {
  LSP_INPUT_TEXT, /* a file is a document, a byte is a token */
  LSP_INPUT_U16,  /* raw little-endian token ids, a file is a document */
  LSP_INPUT_U32,
  LSP_INPUT_MEGATRON, /* NAME.bin with NAME.idx (given as either, or as NAME) */
  LSP_INPUT_LONGSPAN, /* an output of longspan: its /tokens/id and /documents */
  LSP_INPUT_AUTO      /* .idx/.bin: Megatron; .h5: longspan; else text */
} lsp_input_format;

typedef struct {
  const char *name;   /* as given, or path below the folder given: what /documents/name
                         shows; a document of Megatron's NAME.bin: NAME#0, NAME#1, ... */
  const char *path;   /* file that holds the tokens */
  int64_t offset;     /* of the first token, bytes */
  int64_t tokens;     /* count; 0 is a document, too */
  int width;          /* bytes a token: 1, 2, 4, all little-endian */
  int64_t file_bytes; /* size of the file when it was opened */
  int64_t text_bytes; /* of the text that the tokens were made from, or that they are
                         (width 1); -1: ids were given */
  int64_t chunk;      /* number of its first chunk: the chunks of the documents before
                         it; set by the corpus */
} lsp_document;

typedef struct lsp_corpus lsp_corpus;

/* Finds the documents of a file in longspan's own HDF5 layout; set by whoever may use
 * HDF5 (lsp_output_documents in lsp/layout.h). Calls add(document, arg) for each in
 * order. */
typedef lsp_status (*lsp_hdf5_documents)(const char *path,
                                         lsp_status (*add)(const lsp_document *d,
                                                           void *arg),
                                         void *arg, lsp_failure *why);

/* What became of standard input. */
typedef enum {
  LSP_SPOOL_NONE,     /* it is no input */
  LSP_SPOOL_COPIED,   /* copied */
  LSP_SPOOL_COMPARED, /* the copy that was there is used: the same text came, or none */
  LSP_SPOOL_SILENT    /* the copy that was there is used: nothing came, and no end */
} lsp_spooling;

typedef struct {
  lsp_input_format format;
  const char *const *inputs; /* files, folders (recursively, in byte order of path),
                                @LIST files (one path a line, taken as it stands; blank
                                lines are ignored), "-": standard input */
  int input_count;
  const char *spool;      /* file that standard input is copied to (its complete copy
                             appears by rename) */
  int resumed;            /* an existing copy is of the run that is resumed: it is used,
                             and other text on standard input is refused; else it is
                             replaced */
  lsp_spooling *spooling; /* may be NULL; set also where opening fails */
  lsp_hdf5_documents hdf5_reader; /* may be NULL: .h5 inputs are then refused */
} lsp_corpus_spec;

/* Rank 0. Opens every file once to see that it can be read; a folder's dot-files and
 * non-regular files are passed over, a file given by name must be regular (or a FIFO
 * refused with a hint at "-"), and hold as many bytes as its size says. A folder that is
 * reached twice, by links, is refused. No input, or a folder without a file, is an
 * error. Once lsp_stop_asked, LSP_E_STOPPED comes back soon. */
lsp_status lsp_corpus_open(const lsp_corpus_spec *spec, lsp_corpus **out,
                           lsp_failure *why);

/* Where the tokens of a text have been written: in both files document after document,
 * without gaps, after a head of any content. */
enum { LSP_TOKEN_FILE_HEAD = 64 };
typedef struct {
  const char *ids;    /* file of their ids, 4 bytes each */
  const char *starts; /* file of places, 8 bytes each: that of a token's first byte in
                            the text of its document */
  const int64_t *tokens; /* (documents) */
} lsp_token_files;

/* The same documents under the same names, as those ids. */
lsp_status lsp_corpus_of_ids(const lsp_corpus *text, const lsp_token_files *files,
                             lsp_corpus **out, lsp_failure *why);

/* The corpus as bytes, for sending. The caller frees *out. */
lsp_status lsp_corpus_pack(const lsp_corpus *c, void **out, size_t *bytes,
                           lsp_failure *why);

/* A corpus over the bytes of lsp_corpus_pack, which are lent as long as it lives, at an
 * address divisible by 8. It holds nothing of the size of the corpus itself, so that the
 * ranks of a node can share the bytes. */
lsp_status lsp_corpus_unpack(const void *data, size_t bytes, lsp_corpus **out,
                             lsp_failure *why);

/* Frees *c and sets it to NULL. NULL is accepted. */
void lsp_corpus_close(lsp_corpus **c);

int64_t lsp_corpus_count(const lsp_corpus *c); /* documents */
lsp_document lsp_corpus_document(const lsp_corpus *c, int64_t d);

/* Chunks of all documents; a document without tokens has none. */
int64_t lsp_corpus_chunks(const lsp_corpus *c);

/* The first chunk of share `share` of `shares`, which cost about the same to read; with
 * share == shares, the number of chunks. */
int64_t lsp_corpus_share(const lsp_corpus *c, int64_t share, int64_t shares);

/* XXH3-128 of each of the chunks [first, end) into hash (end - first), lent: of the
 * stored bytes if the width is 1, else of 4 bytes a token, little-endian. */
lsp_status lsp_corpus_hash_chunks(lsp_corpus *c, int64_t first, int64_t end,
                                  lsp_chunk_hash *hash, lsp_failure *why);

/* XXH3-128 over (number of documents; then for each: number of tokens, 1 or 4, the
 * hashes of its chunks; numbers are int64, all little-endian): what the text is, not
 * where it lies or what it is called. hash (chunks), lent. Reads no file. */
lsp_status lsp_corpus_hash(const lsp_corpus *c, const lsp_chunk_hash *hash,
                           unsigned char out[16], lsp_failure *why);

/* From here on what is read must have these hashes (chunks), lent as long as the corpus
 * lives; NULL: nothing is compared. */
void lsp_corpus_expect(lsp_corpus *c, const lsp_chunk_hash *hash);

/* Reads the chunks [first, end) and compares them. */
lsp_status lsp_corpus_check(lsp_corpus *c, int64_t first, int64_t end,
                            lsp_failure *why);

/* Token ids [first, first + n) of document d into id (lent). A file that shrank or
 * cannot be opened is an error naming it, and so are tokens that are not those of the
 * hash expected, and an id outside [0, vocabulary), with its place in the file. Keeps
 * at most one file open between calls. One thread at a time for one corpus. */
lsp_status lsp_corpus_read(lsp_corpus *c, int64_t d, int64_t first, int64_t n,
                           int64_t vocabulary, int32_t *id, lsp_failure *why);

/* 1: a text was tokenised, so that lsp_corpus_starts says where its tokens begin. */
int lsp_corpus_has_starts(const lsp_corpus *c);

/* Where the tokens [first, first + n) of document d begin, in bytes of its text, into
 * start (lent): from 0 to text_bytes, never falling. LSP_E_USAGE unless
 * lsp_corpus_has_starts. Keeps a second file open; one thread at a time, as
 * lsp_corpus_read. */
lsp_status lsp_corpus_starts(lsp_corpus *c, int64_t d, int64_t first, int64_t n,
                             int64_t *start, lsp_failure *why);

/* Bytes [first, first + n) of document d, whose width is 1, into byte (lent): read,
 * compared and refused as by lsp_corpus_read. */
lsp_status lsp_corpus_bytes(lsp_corpus *c, int64_t d, int64_t first, int64_t n,
                            unsigned char *byte, lsp_failure *why);

#endif
