/* A corpus from the inside. Internal to this folder.
 *
 *   corpus.c           the object: documents, their strings, packing
 *   corpus_open.c      inputs to files to documents
 *   corpus_folder.c    the files of a folder
 *   corpus_list.c      the bytes of a list of paths
 *   corpus_megatron.c  the documents of NAME.idx
 *   corpus_spool.c     standard input to a file
 *   corpus_chunks.c    which chunks there are, and the hash of the corpus
 *   corpus_read.c      tokens, and the hashes of their chunks
 *   corpus_ids.c       texts as ids in files, and where their tokens begin */
#ifndef LSP_FORMAT_CORPUS_INTERNAL_H
#define LSP_FORMAT_CORPUS_INTERNAL_H

#include "lsp/corpus.h"

/* Strings that live as long as the corpus; a list, so that none ever moves. */
typedef struct lsp__text_chunk {
  struct lsp__text_chunk *next;
  size_t used, size;
  char text[];
} lsp__text_chunk;

/* A chunk of a document as it is hashed. */
typedef struct {
  int64_t tokens;
  int width; /* 1 or 4 */
  lsp_chunk_hash hash;
  uint32_t wide[LSP_CHUNK_TOKENS];         /* tokens of 4 bytes */
  unsigned char raw[2 * LSP_CHUNK_TOKENS]; /* those of 1 byte; of 2, as they are read */
} lsp__chunk;

/* A document as it is packed. */
typedef struct {
  int64_t name, path; /* offsets in the strings */
  int64_t offset, tokens, width, file_bytes, text_bytes, chunk;
} lsp__row;

struct lsp_corpus {
  lsp_document *document; /* (count); strings are in text. NULL when unpacked: then */
  const lsp__row *row;    /* (count), lent */
  const char *strings;    /* lent */
  int64_t count, capacity;
  int64_t tokens;                 /* of all documents */
  lsp__text_chunk *text;          /* newest first */
  int fd;                         /* the one file kept open; -1: none */
  const char *fd_path;            /* its path, one of text or of strings */
  const char *starts;             /* file of the places of all tokens; NULL: none */
  int starts_fd;                  /* -1: not open */
  const lsp_chunk_hash *expected; /* (chunks), lent; NULL: nothing is compared */
  lsp__chunk *chunk;              /* the one being read; NULL: none yet */
};

/* Local. An empty corpus; NULL: no memory. */
lsp_corpus *lsp__corpus_new(void);

/* Local. A copy that lives as long as the corpus; NULL: no memory. */
const char *lsp__corpus_keep(lsp_corpus *c, const char *text);

/* Local. Appends a document, whose strings the corpus keeps already. It must lie in its
 * file: checked, as its numbers may come from a foreign file. */
lsp_status lsp__corpus_add(lsp_corpus *c, const lsp_document *d, lsp_failure *why);

/* Local. LSP_E_STOPPED once the process has been asked to stop. A sign of life. */
lsp_status lsp__corpus_go_on(lsp_failure *why);

/* Local. Waits until fd can be read, as long as that takes; LSP_E_STOPPED as above. */
lsp_status lsp__corpus_wait(int fd, lsp_failure *why);

/* Local. All bytes of a list of paths, which may be a pipe, with room for one more. The
 * caller frees *text, whatever comes back. */
lsp_status lsp__corpus_slurp(const char *list, char **text, size_t *bytes,
                             lsp_failure *why);

/* Local. Document that holds a chunk. */
int64_t lsp__corpus_document_of(const lsp_corpus *c, int64_t chunk);

typedef struct {
  char **path; /* (count), owned, relative to the folder */
  int64_t count, capacity;
} lsp__paths;

/* Local. Regular files below a folder in byte order of their paths, without dot-files.
 * *out is zeroed by the caller, and freed by it with lsp__paths_free, whatever comes
 * back. */
lsp_status lsp__folder_files(const char *folder, lsp__paths *out, lsp_failure *why);
void lsp__paths_free(lsp__paths *paths);

/* Local. Adds the documents of BASE.bin as BASE.idx tells; they are named NAME#0,
 * NAME#1, ... */
lsp_status lsp__corpus_megatron(lsp_corpus *c, const char *base, const char *name,
                                lsp_failure *why);

/* Local. Standard input to spec->spool, or compared with the copy that is there. */
lsp_status lsp__corpus_spool(const lsp_corpus_spec *spec, lsp_failure *why);

#endif
