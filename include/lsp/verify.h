/* Reads the files of a run back and compares them with the sums that lie in them.
 *
 *   layout    all that was known before the first token, and the padding
 *   output    /tokens by panels, /documents by rows
 *   memory    /snapshots by rows and by ends, /states by parts
 *
 * Plain reads, no HDF5, in pieces of some MiB. Local: callers that share the work (ranks
 * of a run) each say which of how many parts is theirs. */
#ifndef LSP_VERIFY_H
#define LSP_VERIFY_H

#include "lsp/layout.h"
#include "lsp/plan.h"

typedef struct {
  /* The file, open for reading, and where its datasets lie. */
  const char *path;
  int fd;
  int64_t bytes;
  const lsp_extent *extent; /* (LSP_OUTPUT_DATASETS), or (LSP_MEMORY_DATASETS +
                               memory->parts) */

  /* How far the file has come. */
  const lsp_plan *plan;          /* panels and documents; a finished memory file needs
                                   none: NULL */
  int64_t panel_end, token_end;  /* written before them */
  int64_t documents;             /* rows of /documents that are complete */
  const lsp_memory_spec *memory; /* of an output: NULL */
  int64_t snapshot_first, snapshot_end;

  int part, parts; /* 0 <= part < parts */

  const char *const *name; /* of the documents, for messages; may be NULL */

  /* Called for each damaged place with a few words, without the file's name; pieces that
   * touch are one place. */
  void (*damaged)(void *arg, const char *place);
  /* Called after each piece with the bytes read; may be NULL. */
  void (*read)(void *arg, int64_t bytes);
  void *arg;
} lsp_verification;

/* What verifying came to: LSP_OK also with damage. A piece that cannot be read is
 * damaged. */
lsp_status lsp_verify_output(const lsp_verification *v, lsp_failure *why);
lsp_status lsp_verify_memory(const lsp_verification *v, lsp_failure *why);

/* hash: what the sum must be, or NULL where only the file knows. */
lsp_status lsp_verify_layout(const lsp_verification *v, const unsigned char hash[16],
                             lsp_failure *why);

#endif
