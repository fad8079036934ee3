/* Output, memory file and journal of a run as one thing: rows go in, waves are
 * committed, a killed run is resumed.
 *
 *   FILE.h5.part              the output under way     -> FILE.h5
 *   FILE.memory.h5.part       snapshots under way      -> FILE.memory.h5
 *   FILE.h5.slot              the memory at the last commits, in the memory file's layout
 *   FILE.h5.journal           what has been committed
 *
 * Every rank writes its rows at known offsets. No two ranks write into one aligned MiB:
 * the rows at a border go to the rank that owns the unit. Then all sync, all agree, and
 * one journal record commits the wave.
 *
 * The slot holds rows of each layer, 2 F + 3 R of them:
 *
 *   | fixed rows 0 .. F-1 | fixed rows 0 .. F-1 | ring of 3 R rows                     |
 *     area 0                area 1                row i of the log at i modulo 3 R
 *
 *   log   ... | R rows before E | n rows | ...        n <= R
 *                               E        E + n
 *               memory of the     memory_end of the commit to come, whose
 *               last commit       memory is the last memory_rows rows before it
 *
 * A commit appends the rows of its wave that are memory at its end, and no others: what
 * it writes does not grow with the reach R. Meanwhile the memory of the last commit and
 * that of the one before stay whole. The first F rows of a document are written once, in
 * the wave in which it begins, to the area that the last commit does not use; where some
 * of the F are pooled rows, all F are written anew by each commit. Each row
 * has a sum beside it with its place in the log, or the commit that began the document,
 * as seed: a row of another time is none.
 *
 * Parts of the memory (lsp/parts.h) have two areas in the slot, too, each with room for
 * all of them. A commit in the midst of a document writes them all, as its record's number
 * is even or odd; so those of the last commit stay whole meanwhile. The sum of each has in
 * it which commit it belongs to. */
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

/* Collective; of the spec all ranks read plan and memory, the rest is read on rank 0
 * alone. A refusal comes before anything has been changed:
 *   - an output that exists, without resume or overwrite; with resume, one of another
 *     text, model or option, which is named;
 *   - with overwrite, a FILE.h5 that is no output of longspan (FILE.memory.h5 likewise);
 *   - a file of another kind, a link, a hard link, a pipe or a folder under any name that
 *     the run needs while it is under way;
 *   - an output that another run is writing; with resume it is waited for some seconds,
 *     because a run that was killed takes a moment to die;
 *   - what is committed and, read back by all ranks together, is not as its sums say.
 * Files that are replaced stay until lsp_store_finish. After LSP_STORE_FINISHED *out is
 * NULL, else the caller closes it. last: the commit to resume from (zeros when new). */
lsp_status lsp_store_open(lsp_ctx *ctx, const lsp_store_spec *spec, lsp_store **out,
                          lsp_store_state *state, lsp_commit *last);

/* Local. Closes the files and frees *store, also after a failure on this rank alone;
 * nothing on disk changes, and a run that is not finished can be resumed. */
void lsp_store_close(lsp_store **store);

/* Collective. Rows [first, first + rows) of a dataset from every rank, adjacent and in
 * rank order, any of them empty. A dataset that the file does not have is passed over.
 * Failures are kept, and come out at the commit: a rank that fails keeps its schedule. */
void lsp_store_rows(lsp_store *store, lsp_output_dataset dataset, int64_t first,
                    int64_t rows, const void *data);

/* Local. Which memory is written: a snapshot of the memory file, or the slot, for the
 * commit to come. */
enum { LSP_STORE_SLOT = -1 };

/* Local; thread 0. Rows [first, first + rows) of the past of one layer, dense (rows,
 * width).
 * Of a snapshot: of its R rows; only the last ones, those that the layer keeps.
 * Of the slot: first counts from the end of the log at the last commit (0: the first new
 * row), the same for all layers; of the n new rows of all ranks together a layer that
 * keeps r < n gets the last r, any other all, each once. */
void lsp_store_memory(lsp_store *store, int64_t snapshot, int layer, int64_t first,
                      int64_t rows, const float *keys, const float *values);

/* Local; thread 0. Fixed rows [first, first + rows) of one layer that keeps any, dense
 * (rows, width): of positions first, first + 1, ... of the document. Into the slot they
 * go all anew, with fixed_new of the commit to come: when another document begins, and
 * when the one under way, still shorter than F, has grown. */
void lsp_store_fixed(lsp_store *store, int64_t snapshot, int layer, int64_t first,
                     int64_t rows, const float *keys, const float *values);

/* Local; thread 0. The last token of a snapshot: its id and its hidden row (D). */
void lsp_store_memory_end(lsp_store *store, int64_t snapshot, int32_t id,
                          const float *hidden);

/* Local; thread 0. A part of the spec's memory (its number there), whole: into a snapshot,
 * or into the slot for the commit to come, by the one rank that has it; every part once
 * between two commits while a document goes on, none where none does. */
void lsp_store_part(lsp_store *store, int64_t snapshot, int part, const void *data);

/* Local, any rank, after LSP_STORE_RESUMED and before the next commit: a part as the commit
 * that is resumed from has it. */
lsp_status lsp_store_read_part(lsp_store *store, int part, void *data);

/* Collective. The memory file that rank 0 has opened, opened on the others, too: sizes,
 * parts and extents; of the snapshots they know only how many there are. */
lsp_status lsp_file_share(lsp_ctx *ctx, const char *path, lsp_file_view *file);

/* Local. A part of a snapshot of a memory file; its sum is checked. */
lsp_status lsp_file_read_part(const lsp_file_view *file, const char *path,
                              int64_t snapshot, int part, void *data, lsp_failure *why);

/* Local, any rank, after LSP_STORE_RESUMED and before the next commit. Rows [first, first
 * + rows) of the R of one layer, as the commit that is resumed from has them: row R - 1 is
 * the last one; what it has not, or the layer does not keep, is zero. */
lsp_status lsp_store_read_memory(lsp_store *store, int layer, int64_t first,
                                 int64_t rows, float *keys, float *values);

/* Likewise of the F fixed rows; those past fixed_rows are zero. */
lsp_status lsp_store_read_fixed(lsp_store *store, int layer, int64_t first,
                                int64_t rows, float *keys, float *values);

/* Collective. Syncs, agrees, and appends the record. The caller says in it how the log
 * goes on (memory_end: n more than in the last commit), memory_rows, fixed_rows and
 * fixed_new; where the fixed rows lie (fixed_area, fixed_at), and whether there are parts
 * (has_parts), is filled in here. All four are 0 in a run that keeps no memory. */
lsp_status lsp_store_commit(lsp_store *store, lsp_commit *commit);

/* Collective, after the last commit. Reads everything back and compares it with its sums,
 * by all ranks together, renames, removes journal and slot. Nothing is renamed if
 * anything is damaged. Replaces only the FILE.h5 and FILE.memory.h5 that were there when
 * the run began (LSP_E_MISMATCH: others have come; nothing is lost, and the run can be
 * resumed to finish). */
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

/* Local. The names that a run with this output makes, replaces or removes: the output
 * itself (i = 0), FILE.memory.h5, FILE.run.json, FILE.stdin and all that exists while a
 * run is under way. */
enum { LSP_STORE_NAMES = 18 };
lsp_status lsp_store_name(const char *path, int i, char *out, size_t size,
                          lsp_failure *why);

/* Local. What lsp_store_open refuses of the names that a run needs while it is under way,
 * before there is anything else to open. */
lsp_status lsp_store_check_names(const char *path, lsp_failure *why);

#endif
