/* What the files of the store module share. Internal to it.
 *
 *   store.c         names, close, counters, the calls every other file makes
 *   store_open.c    collective: rank 0 decides, all open
 *   store_state.c   rank 0: what lies in the folder, locks, identities
 *   store_create.c  rank 0: skeletons, creation, removal
 *   store_resume.c  rank 0: the record to go on from, slots verified
 *   store_rows.c    rows of the output (who writes them: lsp/route.h)
 *   store_memory.c  rows of snapshots and slots
 *   store_commit.c  commit and finish */
#ifndef LSP_STORE_INTERNAL_H
#define LSP_STORE_INTERNAL_H

#include "lsp/route.h"
#include "lsp/store.h"

#include <jansson.h>
#include <limits.h>

/* The files that rows go to. */
enum {
  LSP__OUTPUT,
  LSP__MEMORY,
  LSP__SLOT, /* and LSP__SLOT + 1 */
  LSP__FILES = LSP__SLOT + 2
};

typedef struct {
  char at[PATH_MAX];
} lsp__path;

/* One file that rows go to: under this name when the run has it, "" when not. */
typedef struct {
  lsp__path path;
  int64_t bytes;
} lsp__target;

/* What rank 0 found and all ranks know; broadcast as bytes. */
typedef struct {
  lsp_store_state state;
  lsp__target file[LSP__FILES];
  lsp_extent output[LSP_OUTPUT_DATASETS];
  lsp_extent memory[LSP_MEMORY_DATASETS];
  lsp_extent slot[LSP_MEMORY_DATASETS];
  int64_t snapshots, rows; /* R */
  int layers, width, hidden_width;
  int next_slot;
  lsp_commit last;
} lsp__facts;

/* All names of a run. */
typedef struct {
  lsp__path output, output_part, memory, memory_part, slot[2], journal;
} lsp__names;

/* Rows written to the slot of the commit to come. */
typedef struct {
  uint64_t sum;
  int64_t rows, first; /* over all layers, keys and values; lowest row */
} lsp__slot_sum;

struct lsp_store {
  lsp_ctx *ctx;
  lsp__facts facts;
  lsp__names names; /* rank 0 */
  lsp_failure why;  /* the first failure since open; LSP_OK: none */
  int fd[LSP__FILES];
  int dirty[LSP__FILES];
  lsp__slot_sum slot_sum;
  lsp_route *route;
  lsp_journal *journal; /* rank 0 */
  int lock;             /* rank 0: the journal, held until close; -1: none */
  int overwrite;
  lsp_written written;
};

/* Rank 0 while it opens. */
typedef struct {
  lsp_ctx *ctx;
  const lsp_store_spec *spec;
  lsp__names names;
  json_t *identity; /* the run's, with "layout" once the skeletons are drawn */
  lsp_skeleton output, memory, slot;
  int lock;
  lsp_journal *journal;
  lsp__facts *facts;
  lsp_failure *why;
} lsp__opening;

/* store.c. Local. Keeps the first failure. */
void lsp__store_keep(lsp_store *s, const lsp_failure *why);

/* Local. Writes and counts; passes over everything after a failure. */
void lsp__store_write(lsp_store *s, int file, const void *data, int64_t n,
                      int64_t offset);

/* Local. All names from FILE.h5. */
lsp_status lsp__store_names(const char *path, lsp__names *names, lsp_failure *why);

/* Local. PATH.tmp; names leave room for it. */
lsp__path lsp__store_tmp(const lsp__path *path);

/* Local. 0 if there is nothing of this name, 1 if a regular file of *bytes (which may
 * be NULL), a failure for anything else. */
lsp_status lsp__store_look(const char *path, int *there, int64_t *bytes,
                           lsp_failure *why);

/* Local. Removes if there; the folder is not synced. */
lsp_status lsp__store_remove(const char *path, lsp_failure *why);

/* store_memory.c. Local. Checksum of row `row` of layer `layer` (values: kv = 1). */
uint64_t lsp__store_row_sum(const lsp__facts *f, int kv, int layer, int64_t row,
                            const void *data);

/* Local. Where that row lies. */
int64_t lsp__store_row_offset(const lsp__facts *f, const lsp_extent *extent,
                              int64_t snapshot, int layer, int64_t row);

/* store_commit.c. Collective. */
lsp_status lsp__store_sync(lsp_store *s);

/* store_state.c. Rank 0. Decides: LSP_STORE_NEW (nothing made yet; a journal that is to
 * be replaced is locked), RESUMED (journal locked, not yet read) or FINISHED. */
lsp_status lsp__store_decide(lsp__opening *o);

/* Rank 0. Locks a file against other runs, as far as the file system can; *fd holds the
 * lock. flags are added to open's. */
lsp_status lsp__store_lock(lsp__opening *o, const char *path, int flags, int *fd);

/* Rank 0. Refuses if two identities differ: `was` and o->identity; "layout" counts only
 * when both have it. */
lsp_status lsp__store_same_identity(const lsp__opening *o, const json_t *was);

/* Rank 0. Refuses unless the HDF5 file at path was made by a run of this identity. */
lsp_status lsp__store_is_ours(const lsp__opening *o, const char *path);

/* store_create.c. Rank 0. Draws all skeletons, fills the extents. */
lsp_status lsp__store_draw(lsp__opening *o);
lsp_status lsp__store_create(lsp__opening *o);

/* Rank 0. Beside a finished output: removes what a creation that was cut off left,
 * unless somebody is creating at this moment. */
lsp_status lsp__store_clean(lsp__opening *o);
lsp_status lsp__store_install_slot(lsp__opening *o, int slot);

/* Rank 0. After the journal has gone: removes what else a run leaves. */
lsp_status lsp__store_remove_rest(const lsp__names *names, lsp_failure *why);

/* store_resume.c. Rank 0. */
lsp_status lsp__store_resume(lsp__opening *o);

#endif
