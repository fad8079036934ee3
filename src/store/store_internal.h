/* What the files of the store module share. Internal to it. A file calls only files
 * above it in this list:
 *
 *   store.c           names, close, counters, the calls every other file makes
 *   store_files.c     rank 0: files looked at, locked, removed; are they ours?
 *   store_identity.c  rank 0: is a file of this run? What differs, in words
 *   store_replaced.c  rank 0: what the finish may replace
 *   store_draw.c      rank 0: skeletons, extents
 *   store_create.c    rank 0: creation, tidying up
 *   store_slot.c      where the rows of the slot lie; reading them
 *   store_resume.c    rank 0: the record to resume from, its memory verified
 *   store_state.c     rank 0: new, resumed, finished or refused
 *   store_verify.c    collective: what was written against its sums
 *   store_open.c      collective: rank 0 decides, all verify and open
 *   store_rows.c      rows of the output (who writes them: lsp/route.h)
 *   store_memory.c    rows of snapshots and of the slot
 *   store_parts.c     parts of snapshots and of the slot
 *   store_commit.c    commit and finish */
#ifndef LSP_STORE_INTERNAL_H
#define LSP_STORE_INTERNAL_H

#include "lsp/durable.h"
#include "lsp/route.h"
#include "lsp/store.h"
#include "lsp/sums.h"

#include <jansson.h>
#include <limits.h>

/* The files that rows go to. */
enum { LSP__OUTPUT, LSP__MEMORY, LSP__SLOT, LSP__FILES };

typedef struct {
  char at[PATH_MAX];
} lsp__path;

/* One file that rows go to: under this name when the run has it, "" when not. */
typedef struct {
  lsp__path path;
  int64_t bytes;
  unsigned char layout[16]; /* lsp_skeleton.hash */
} lsp__target;

/* What rank 0 found and all ranks know; broadcast as bytes. */
typedef struct {
  lsp_store_state state;
  lsp__target file[LSP__FILES];
  lsp_extent output[LSP_OUTPUT_DATASETS];
  int64_t snapshots, rows, fixed; /* R, F */
  int layers, width, hidden_width;
  int parts;
  lsp_commit last;
  int64_t records; /* of the journal, up to `last` */
  /* (LSP_MEMORY_DATASETS + parts, + 2 parts: of both areas), of the store; broadcast
   * apart. */
  lsp_extent *memory, *slot;
} lsp__facts;

/* All names of a run. */
typedef struct {
  lsp__path output, output_part, memory, memory_part, slot, journal;
} lsp__names;

/* Rows written to the slot for the commit to come, over all layers, and where they end. */
typedef struct {
  int64_t rows, fixed;
  int64_t rows_end, fixed_end;
} lsp__slot_count;

/* Rows of one layer in the slot. */
typedef struct {
  int layer;
  int is_fixed, area; /* fixed rows, of an area; else of the log */
  int64_t since;      /* of fixed rows: lsp_commit.fixed_at */
  int64_t first, rows;
} lsp__slot_rows;

struct lsp_store {
  lsp_ctx *ctx;
  lsp__facts facts;
  lsp__names names; /* rank 0 */
  const lsp_plan *plan;
  lsp_memory_spec memory; /* sizes; document, position, layer_rows, part (owned) */
  int is_verified;        /* whole, and nothing was written since */
  lsp_failure why;        /* the first failure since open; LSP_OK: none */
  int fd[LSP__FILES];
  int dirty[LSP__FILES];
  lsp__slot_count count;
  int *written_part;  /* (parts) how often, to the slot for the commit to come */
  uint64_t *part_sum; /* (parts) lsp_sum_part of what was written */
  lsp_route *route;
  lsp_journal *journal; /* rank 0 */
  int lock;             /* rank 0: the journal, held until close; -1: none */
  lsp_written written;
};

/* Rank 0 while it opens. */
typedef struct {
  lsp_ctx *ctx;
  const lsp_store_spec *spec;
  lsp__names names;
  json_t *identity; /* the run's, with "layout" once the skeletons are drawn */
  lsp_skeleton output, memory, slot;
  int lock;   /* the journal, locked; -1: none */
  int waited; /* for another run to end, tenths of a second */
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

/* Local. Opens a file that rank 0 has made; -1, with EAGAIN: of another
 * size. */
int lsp__store_open_patiently(const lsp__target *t, int access);

/* store_slot.c. Local. How many of the rows, from the first on, lie together, and the
 * number of the first one in the file's layer. */
int64_t lsp__slot_piece(const lsp__facts *f, const lsp__slot_rows *r, int64_t *row);

/* Local. What the first of the rows is, for its sum. */
lsp_slot_place lsp__slot_place(const lsp__slot_rows *r);

/* Local. Rows and their sums (which may be NULL), of any number. */
lsp_status lsp__slot_read(const lsp__facts *f, int fd, lsp__slot_rows r, float *keys,
                          float *values, uint64_t *sum, lsp_failure *why);

/* Local. What a record says a layer has: rows of the past, the last ones; fixed rows. */
lsp__slot_rows lsp__slot_past(const lsp_memory_spec *m, const lsp_commit *c, int layer);
lsp__slot_rows lsp__slot_fixed(const lsp_memory_spec *m, const lsp_commit *c,
                               int layer);

/* store_parts.c. Local. The sums of the parts that this rank has written to the slot for
 * a commit. Before the files are synced. */
void lsp__store_seal_parts(lsp_store *s, const lsp_commit *c);

/* Collective. 1: all parts were written to the slot, once each; 0: none was. */
int lsp__store_count_parts(lsp_store *s);

/* The parts of a commit: that of the last of `records` records. */
typedef struct {
  const lsp__facts *facts;
  const lsp_part *part; /* (facts->parts) */
  int fd;               /* of the slot */
  const lsp_commit *commit;
  int64_t records;
} lsp__slot_parts;

/* Local. LSP_E_FORMAT: it is not there, or damaged. */
lsp_status lsp__store_read_part(const lsp__slot_parts *from, int part, void *data,
                                lsp_failure *why);

/* store_verify.c. Collective. Compares the files with their sums, as far as a commit
 * goes, or whole if c is NULL; what: the beginning of the message. Changes nothing. */
lsp_status lsp__store_verify(lsp_store *s, const lsp_commit *c, const char *what);

/* store_commit.c. Collective. */
lsp_status lsp__store_sync(lsp_store *s);

/* store_files.c. Local. *there is 0 if there is nothing of this name, 1 if there is a
 * regular file of *bytes (which may be NULL), also by a link; a failure for anything
 * else. */
lsp_status lsp__store_look(const char *path, int *there, int64_t *bytes,
                           lsp_failure *why);

/* Local. Removes if there; the folder is not synced. */
lsp_status lsp__store_remove(const char *path, lsp_failure *why);

/* Local. After the journal has gone: removes what else a run leaves. */
lsp_status lsp__store_remove_rest(const lsp__names *names, lsp_failure *why);

/* Local. Removes all that a run leaves that never came to its journal, but for
 * FILE.h5.part.tmp, which is the lock of a creation. */
lsp_status lsp__store_remove_strays(const lsp__names *names, lsp_failure *why);

/* Local. Refuses if something lies under a name that is the run's own while it is under
 * way (.part, .slot, .journal, .tmp and so on) that cannot have come from a run: a
 * link, a pipe, a file of another kind. Beside a journal of longspan any regular file
 * counts as the run's, whatever became of its bytes. */
lsp_status lsp__store_check_strays(const lsp__names *names, lsp_failure *why);

/* Local. Refuses if there is something of this name that is neither empty nor an HDF5
 * file of this format. */
lsp_status lsp__store_check_replaced(const char *path, const char *format,
                                     lsp_failure *why);

/* Local. Refuses if "a.h5" is to be written and "a" is an output, or the other way
 * round: the names beside them are the same. */
lsp_status lsp__store_check_alias(const lsp__names *names, lsp_failure *why);

/* Rank 0. lsp_lock_file, and with --resume some seconds of patience, as a run that was
 * killed takes a moment to die. LSP_E_MISMATCH: another run holds it. LSP_E_INPUT: it is
 * not there. */
lsp_status lsp__store_lock(lsp__opening *o, const char *path, int *fd);

/* Rank 0. Begins FILE.h5.part, with the same patience. */
lsp_status lsp__store_begin(lsp__opening *o, lsp_replacement *r);

/* Rank 0. LSP_OK: not there, or held by nobody. */
lsp_status lsp__store_nobody_holds(lsp__opening *o, const char *path);

/* store_identity.c. Rank 0. Refuses if two identities differ: `was` and o->identity. */
lsp_status lsp__store_same_identity(const lsp__opening *o, const json_t *was);

/* Rank 0; after lsp__store_draw. Refuses if `was`, of a journal, has another "layout",
 * and says what it is that differs in FILE.h5.part or FILE.memory.h5.part. */
lsp_status lsp__store_same_layout(const lsp__opening *o, const json_t *was);

/* Local. The value of an attribute, lent by the view; NULL if it has none. */
const char *lsp__store_attribute(const lsp_file_view *view, const char *key);

/* Rank 0. Refuses unless the HDF5 file at path was made by a run of this identity. */
lsp_status lsp__store_is_ours(const lsp__opening *o, const char *path);

/* store_replaced.c. Rank 0. Writes down in o->identity what the finish may replace. */
lsp_status lsp__store_record_replaced(lsp__opening *o);

/* Rank 0. Refuses if FILE.h5 (or, with_memory, FILE.memory.h5) is there and is not what
 * this identity, of a journal, has written down. */
lsp_status lsp__store_may_replace(const lsp__names *names, const char *identity,
                                  int with_memory, lsp_failure *why);

/* Rank 0. 1 if FILE.memory.h5 is that of the output that is replaced. */
int lsp__store_is_left_over(const lsp__names *names, const char *identity);

/* store_draw.c. Rank 0. Draws all skeletons, fills the extents and the targets. */
lsp_status lsp__store_draw(lsp__opening *o);

/* store_create.c. Rank 0. From the drawn skeletons to files and a locked journal; after
 * a failure nothing of it is left. */
lsp_status lsp__store_create(lsp__opening *o);
lsp_status lsp__store_install_slot(lsp__opening *o);

/* Rank 0. Beside a finished output: removes what its run, or a creation that was cut
 * off, left, unless somebody is creating at this moment. */
lsp_status lsp__store_tidy(lsp__opening *o);

/* store_resume.c. Rank 0. Finds the commit to resume from; changes nothing. */
lsp_status lsp__store_resume(lsp__opening *o);

/* Rank 0. Drops the records that do not count, and makes a missing slot anew. */
lsp_status lsp__store_mend(lsp__opening *o);

/* store_state.c. Rank 0. Decides: LSP_STORE_NEW (a journal that is to be replaced is
 * locked), RESUMED (journal locked, not yet read) or FINISHED (journal, if there is one,
 * locked). Changes nothing. */
lsp_status lsp__store_decide(lsp__opening *o);

#endif
