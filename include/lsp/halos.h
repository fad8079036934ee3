/* Who lends what to whom where layers look ahead: pure functions, as those of lsp/plan.h.
 *
 * A layer cannot attend to a row before the keys ahead of it are there. So in a wave a layer
 * projects the panels that the layer before has made, and attends to those of them, and of
 * earlier ones, that see all they are to see: it lags behind by what it looks ahead.
 *
 *   layer 0   projects |=========================|
 *             attends |========================|       what is left waits for the next wave
 *   layer 1   projects |========================|
 *             attends |======================|
 *
 * Where a wave ends with a frame nothing is left waiting: so no wave is needed at the end
 * that only drains, and frames that are whole in a wave never wait.
 *
 * A step is one layer of one wave: the panels that have been projected (`have`) and those
 * that are attended to (`want`), each dealt to the ranks as spans. Blocks are counted
 * through the corpus. What earlier waves left is dealt by position, in small groups: the
 * window of blocks that are kept is short. Frames begin at position 0: nothing two-sided is
 * continued from a snapshot. */
#ifndef LSP_HALOS_H
#define LSP_HALOS_H

#include "lsp/plan.h"

/* What the queries of a layer look at, in rows before and after them; LSP_TILES_ALL: to the
 * frame's borders. fixed: of the first rows of the frame, too. */
typedef struct {
  int64_t back, ahead, fixed;
} lsp_sight;

/* Blocks of the corpus before a panel, and before a frame. */
int64_t lsp_blocks_before(const lsp_plan *plan, int64_t panel);
int64_t lsp_blocks_of_frame(const lsp_plan *plan, int64_t frame);

/* The panels before the returned one see all that they look at, if those before `end` are
 * there. Rises with `end`; between the two is a part of one frame alone. */
int64_t lsp_plan_ready(const lsp_plan *plan, int64_t end, const lsp_sight *sight);

/* Most blocks between the two. */
int64_t lsp_ready_lag(const lsp_sight *sight);

/* The panel from which on a layer must be computed anew, so that the next layer can be from
 * panel `from` on. */
int64_t lsp_plan_anew(const lsp_plan *plan, int64_t from, const lsp_sight *sight);

/* The wave that begins at a panel, of whole frames: as many as have at most `rows` rows
 * together, and at least one. */
lsp_range lsp_plan_whole_wave(const lsp_plan *plan, int64_t first, int64_t rows);

typedef struct {
  const lsp_plan *plan;
  lsp_range have, want; /* panels of the wave */
  lsp_sight sight;
  int64_t room; /* blocks of a round */
  int rank, ranks;
} lsp_step;

/* Blocks that a rank has projected, and those of the queries that it attends to. */
lsp_range lsp_step_own(const lsp_step *s, int rank);
lsp_range lsp_step_rows(const lsp_step *s, int rank);

/* The rank whose span has a block of the wave. */
int lsp_step_rank_of(const lsp_step *s, int64_t block);

/* Blocks that the queries of panels [first, end) look at, without the first rows of frames:
 * one run. */
lsp_range lsp_step_sight(const lsp_step *s, lsp_range panels);

/* The frame whose first rows come apart: that of the first of these panels (slot 0), and of
 * the last one, if it is another (slot 1); -1: none. Those of frames in between are in
 * sight. */
int64_t lsp_step_fixed_frame(const lsp_step *s, lsp_range panels, int slot);

/* Of what the span of a rank looks at, what it has not itself comes in rounds, the highest
 * first: those above its own blocks in rounds 0 .. `above` - 1, then those below. */
typedef struct {
  int64_t above, all;
} lsp_rounds;
lsp_rounds lsp_step_rounds(const lsp_step *s, int rank);
lsp_range lsp_step_round(const lsp_step *s, int rank, int64_t round);

/* Rounds after which every rank has what it looks at: at least one. */
int64_t lsp_step_rounds_of_all(const lsp_step *s);

/* Blocks that later waves will look at, of keys and of rows that wait, up to those that
 * have been projected. */
lsp_range lsp_step_kept(const lsp_step *s);
lsp_range lsp_step_waiting(const lsp_step *s);

/* Most blocks in either, and in what a rank gets in a round where there is but one. */
int64_t lsp_kept_most(const lsp_sight *sight);
int64_t lsp_halo_most(const lsp_sight *sight);

/* Kept blocks lie in groups of LSP_KEPT_GROUP, group g with rank g mod P, in a ring. */
enum { LSP_KEPT_GROUP = 4 };
static inline int lsp_block_keeper(int64_t block, int ranks) {
  return (int)(block / LSP_KEPT_GROUP % ranks);
}
static inline int64_t lsp_block_place(int64_t block, int ranks, int64_t groups) {
  return block / LSP_KEPT_GROUP / ranks % groups * LSP_KEPT_GROUP +
         block % LSP_KEPT_GROUP;
}
/* Groups of a rank's ring that holds `blocks` in a row. */
static inline int64_t lsp_block_groups(int64_t blocks, int64_t ranks) {
  return blocks == 0
             ? 0
             : lsp_divide_up(lsp_divide_up(blocks - 1, LSP_KEPT_GROUP) + 1, ranks);
}

/* Blocks [first, end) from a span (HALO, KEEP, FIXED) or a ring (KEPT) of a rank to
 * another, or to itself. */
typedef struct {
  lsp_loan_kind kind;
  int from, to;
  int64_t first, end;
} lsp_block_loan;

typedef void (*lsp_each_block_loan)(const lsp_block_loan *loan, void *arg);

/* Calls each(loan, arg) for every loan in which s->rank takes part, in an order that both
 * sides of a pair agree on: of keys in a round, without what is its own; of rows to those
 * who attend to them, all of them; of keys and of rows that later waves need; of the first
 * rows of frames, for now, and for later waves. */
void lsp_step_halo_loans(const lsp_step *s, int64_t round, lsp_each_block_loan each,
                         void *arg);
void lsp_step_row_loans(const lsp_step *s, lsp_each_block_loan each, void *arg);
void lsp_step_keep_loans(const lsp_step *s, lsp_each_block_loan each, void *arg);
void lsp_step_wait_loans(const lsp_step *s, lsp_each_block_loan each, void *arg);
void lsp_step_fixed_loans(const lsp_step *s, int slot, lsp_each_block_loan each,
                          void *arg);

/* The frame whose first rows later waves look at, if they are still under way after this
 * one; -1: none. Its first blocks that this wave projects, which all ranks keep. */
int64_t lsp_step_open_frame(const lsp_step *s);
lsp_range lsp_step_open_fixed(const lsp_step *s);
void lsp_step_open_loans(const lsp_step *s, lsp_each_block_loan each, void *arg);

#endif
