/* Output, memory file and journal of a run as one thing: rows go in, waves are
 * committed, a killed run is resumed.
 *
 *   FILE.h5.part              the output under way     -> FILE.h5
 *   FILE.memory.h5.part       snapshots under way      -> FILE.memory.h5
 *   FILE.h5.slot0, .slot1     memory at the last two commits, in the memory file's layout
 *   FILE.h5.journal           what has been committed
 *
 * Every rank writes its rows at known offsets. No two ranks write into one aligned MiB:
 * the rows at a border go to the rank that owns the unit. Then all sync, all agree, and
 * one journal record commits the wave. */
#ifndef LSP_STORE_H
#define LSP_STORE_H

#include "lsp/ctx.h"
#include "lsp/journal.h"
#include "lsp/layout.h"
#include "lsp/plan.h"

typedef struct lsp_store lsp_store;

typedef struct {
  const char *path; /* FILE.h5 */
  int resume, overwrite;
  lsp_output_spec output;
  lsp_memory_spec memory; /* snapshots == 0: no memory file */
  const char *identity;   /* JSON object of strings: what the run is made of */
  const lsp_plan *plan;   /* of the corpus, lent until close: which panel wrote which
                             rows; NULL: rows are not verified, only the layout */
} lsp_store_spec;

typedef enum { LSP_STORE_NEW, LSP_STORE_RESUMED, LSP_STORE_FINISHED } lsp_store_state;

/* Collective; of the spec all ranks read plan, memory.document and memory.position, the
 * rest is read on rank 0 alone. What exists is refused without resume or overwrite, and
 * never touched before everything has been checked: what is committed is read back and
 * compared with its sums, by all ranks together. After
 * LSP_STORE_FINISHED *out is NULL. last: the commit to go on from (zeros when new, with
 * slot -1). */
lsp_status lsp_store_open(lsp_ctx *ctx, const lsp_store_spec *spec, lsp_store **out,
                          lsp_store_state *state, lsp_commit *last);

/* Collective over the node of failure: Local frees; nothing on disk changes. */
void lsp_store_close(lsp_store **store);

/* Collective. Rows [first, first + rows) of a dataset from every rank, adjacent and in
 * rank order, any of them empty. A dataset that the file does not have is passed over.
 * Failures are kept, and come out at the commit: a rank goes on with its schedule. */
void lsp_store_rows(lsp_store *store, lsp_output_dataset dataset, int64_t first,
                    int64_t rows, const void *data);

/* Local. Which memory is written: a snapshot of the memory file, or the slot of the
 * commit to come. */
enum { LSP_STORE_SLOT = -1 };

/* Local; thread 0. Rows [first, first + rows) of R of one layer, dense (rows, H E). */
void lsp_store_memory(lsp_store *store, int64_t snapshot, int layer, int64_t first,
                      int64_t rows, const float *keys, const float *values);

/* Local; thread 0. The last token of a snapshot: its id and its hidden row (D). */
void lsp_store_memory_end(lsp_store *store, int64_t snapshot, int32_t id,
                          const float *hidden);

/* Local; rank 0, after LSP_STORE_RESUMED with a slot. */
lsp_status lsp_store_read_memory(lsp_store *store, int layer, int64_t first,
                                 int64_t rows, float *keys, float *values);

/* Collective. Syncs, agrees, and appends the record (slot and slot_sum are filled in
 * here when with_slot). */
lsp_status lsp_store_commit(lsp_store *store, lsp_commit *commit, int with_slot);

/* Collective, after the last commit. Reads everything back and compares it with its sums,
 * by all ranks together, renames, removes journal and slots. Nothing is renamed if
 * anything is damaged. */
lsp_status lsp_store_finish(lsp_store *store);

typedef struct {
  int64_t bytes; /* written by this rank */
  double seconds;
} lsp_written;
lsp_written lsp_store_written(const lsp_store *store);

/* Local. FILE.h5 -> FILE.memory.h5, FILE.run.json, ...: the name with its ".h5" taken
 * off, if it has one, and the suffix added. */
lsp_status lsp_store_beside(const char *path, const char *suffix, char *out,
                            size_t size, lsp_failure *why);

#endif
