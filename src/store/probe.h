/* What HDF5 says about a file that nobody vouches for. Internal to the store. */
#ifndef LSP_STORE_PROBE_H
#define LSP_STORE_PROBE_H

#include "lsp/status.h"
#include "schema.h"

#include <stddef.h>
#include <stdint.h>

/* A dataset as the child saw it: contiguous, of the schema's type and rank. */
typedef struct {
  int64_t present;
  int64_t offset; /* -1: has no bytes in the file */
  int64_t dims[LSP__RANK];
  int64_t element_bytes;
  int64_t number; /* of a numbered row */
} lsp__found;

typedef struct {
  int64_t is_memory; /* 0: output */
  int64_t version;   /* format_version */
  lsp__found found[LSP__ROWS];
  int64_t text_bytes; /* of the attributes below */
  int64_t text_strings;
  int64_t parts; /* of the memory: see lsp__found_part */
} lsp__probe_facts;

/* A part as the child saw it: contiguous, of a type that parts have. */
typedef struct {
  char name[LSP_PART_PATH]; /* as /states/name has it */
  int64_t type, rank;       /* lsp_part_type; of the dataset */
  int64_t dims[LSP__STATE_RANK];
  int64_t offset; /* -1: has no bytes in the file */
} lsp__found_part;

/* What the child sent. The caller frees it. */
typedef struct {
  lsp__probe_facts facts;
  char *text;            /* (facts.text_bytes) */
  lsp__found_part *part; /* (facts.parts) */
} lsp__probed;

/* Local. Forks; the child opens fd (a regular file, open for reading) through HDF5 with
 * limits on memory, processor time and time, finds whether it is an output or a memory
 * file, and sends the facts. The text is text_strings strings, each ended by NUL: key,
 * value, key, value ... of the string attributes of the root but format and
 * format_version. The facts are numbers from a child that may have been led astray: check
 * them. If the child died, *why says so in one line. After a failure there is nothing to
 * free. */
lsp_status lsp__probe(int fd, const char *path, lsp__probed *out, lsp_failure *why);

#endif
