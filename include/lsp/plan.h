/* Who computes what, and who lends what to whom: pure functions of the corpus, the
 * reach and the number of ranks. No communication, nothing of the size of the number of
 * ranks; a call takes O(log frames) steps, and one for each rank within reach or, of
 * fixed tiles while a frame begins, for each rank. Only lsp_plan_open and lsp_plan_lay
 * can fail.
 *
 *   corpus   | doc 0              | doc 1 | doc 2                         | ...
 *   panels   | p | p |   p   |  p | p | p | p | p |   p   |      p        |
 *   waves    |------ wave 0 --------|---------- wave 1 ---------|----------
 *   spans    |-rank 0-|-- rank 1 ---|-- rank 0 --|--- rank 1 ---|
 *
 * Panels are numbered through the corpus from 0. A span is a run of panels; a piece is
 * what a span has of one frame. Only the first piece of a span can have a past in another
 * rank or wave, only its last one a future. Tiles are blocks of a frame, numbered from its
 * position 0. */
#ifndef LSP_PLAN_H
#define LSP_PLAN_H

#include "lsp/grid.h"
#include "lsp/status.h"

/* A frame is what the model sees as one text: `prefix` rows that stand before it, tokens of
 * the document that were predicted in an earlier frame and are read again (its lead), the
 * tokens that it has for itself, and `suffix` rows behind them. Positions count its rows. A
 * document is one frame, or, cut into chunks, several:
 *
 *   document   | a b c d e f g h i j |
 *   frame 0    | prefix | a b c d |               tokens 4, stride 2
 *   frame 1    | prefix | c d | e f |             lead, own
 *   frame 2    | prefix | e f | g h |
 *
 * The frames of a model that is wrapped in a memory (lsp_wrapper) are its segments, each
 * behind the last `again` tokens before it, as far as the document has them:
 *
 *   frame 0    | prefix |         a b c | suffix |       tokens 3, stride 3, again 5
 *   frame 1    | prefix |   a b c d e f | suffix |       from d on its own
 *   frame 2    | prefix | b c d e f g h i | suffix |     from g on
 *
 * Document 0 may go on where another run ended, `before` tokens behind its beginning: then
 * frame 0 has the tokens of its segment before that place in its lead, too.
 *
 * All that follows is of frames: panels, pieces, tiles, loans. */
typedef struct {
  int prefix; /* rows before the tokens of every frame */
  int64_t
      tokens; /* that a frame has at most, lead included (but for `again`); 0: all of
                     its document */
  int64_t stride; /* of which it has so many for itself, at most, but for a document's
                     first frame, which has all of them */
  int half;       /* predictions only of the second half of frames that are whole */
  int own;        /* a row predicts its own token, not the next one */
  /* A wrapped model: */
  int64_t suffix; /* rows behind the tokens of every frame that has any */
  int64_t again;  /* tokens before a frame's own ones that are read again, at most */
  int64_t before; /* tokens of document 0 before those that are here */
  int linked;     /* the last token of a frame predicts the first of the document's next
                     one, and no row that is no token predicts any */
  int whole; /* waves and spans hold 1: whole frames; 2: whole frames, and a span all
                     that a wave has of a document */
} lsp_framing;

typedef struct {
  int64_t frames, documents;
  int64_t
      *token_start; /* (frames + 1) tokens of the corpus before those that frame f has
                           for itself */
  int64_t *panel_start; /* (frames + 1) panels before it */
  int64_t *row_start;   /* (frames + 1) rows of those panels: the work */
  int64_t *first_frame; /* (documents + 1) of document d; NULL: its only one, d */
  /* Of the first row of frame 0: 0, or where the snapshot that it continues from was
   * taken (it then has no prefix). Frames of wrapped models begin at 0 (framing.before). */
  int64_t first_position;
  lsp_framing framing;
  int64_t *owned; /* NULL: the tables are lent */
} lsp_plan;

/* A text that is continued at a position: how the framing has it. Returns the plan's
 * first_position. */
static inline int64_t lsp_framing_continue(lsp_framing *framing, int64_t position) {
  if (framing->whole == 0)
    return position;
  framing->before = position;
  return 0;
}

/* Frames of document d, which has so many tokens here: at least one. */
int64_t lsp_framing_frames(const lsp_framing *framing, int64_t d, int64_t tokens);

/* Numbers in the tables of a plan. */
static inline int64_t lsp_plan_numbers(const lsp_framing *framing, int64_t documents,
                                       int64_t frames) {
  return 3 * (frames + 1) + (framing->tokens > 0 ? documents + 1 : 0);
}

/* Local. tokens (documents): tokens of each, LSP_TOKENS_MOST in all at most. LSP_E_LIMIT:
 * the first document would end beyond that position. A first_position above 0 goes only
 * with whole documents. */
lsp_status lsp_plan_open(lsp_plan *plan, int64_t documents, const int64_t *tokens,
                         int64_t first_position, lsp_framing framing, lsp_failure *why);
void lsp_plan_close(lsp_plan *plan);

/* Sizes of a plan. */
typedef struct {
  int64_t documents, frames, first_position;
  lsp_framing framing;
} lsp_plan_sizes;

/* Local. The same in a table of lsp_plan_numbers, lent as long as the plan lives: ranks of
 * a node share it. tokens NULL: another rank fills the table. */
lsp_status lsp_plan_lay(lsp_plan *plan, const lsp_plan_sizes *sizes,
                        const int64_t *tokens, int64_t *table, lsp_failure *why);

static inline int64_t lsp_plan_panels(const lsp_plan *plan) {
  return plan->panel_start[plan->frames];
}
static inline int64_t lsp_plan_tokens(const lsp_plan *plan) {
  return plan->token_start[plan->frames];
}
/* Tokens that a frame has for itself. */
static inline int64_t lsp_plan_tokens_of(const lsp_plan *plan, int64_t f) {
  return plan->token_start[f + 1] - plan->token_start[f];
}

/* Documents and their frames. */
static inline int64_t lsp_plan_first_frame(const lsp_plan *plan, int64_t d) {
  return plan->first_frame == NULL ? d : plan->first_frame[d];
}
int64_t lsp_plan_document_of(const lsp_plan *plan, int64_t f);

/* Tokens of the corpus before a document (which may be one past the last). */
static inline int64_t lsp_plan_document_start(const lsp_plan *plan, int64_t d) {
  return plan->token_start[lsp_plan_first_frame(plan, d)];
}

/* Tokens of a frame's lead; they may be from before the corpus (framing.before), at
 * negative numbers. */
int64_t lsp_plan_lead(const lsp_plan *plan, int64_t f);

/* Which segment of its document a frame of a wrapped model is: from 0, counted from the
 * document's beginning. */
int64_t lsp_plan_segment(const lsp_plan *plan, int64_t f);

/* From positions of frame f to tokens of the corpus and back: the only place where this is
 * worked out. First row of the frame here; the first token that it has for itself; one
 * past its last token; one past its last row. */
static inline int64_t lsp_plan_begin(const lsp_plan *plan, int64_t f) {
  return f == 0 ? plan->first_position : 0;
}
static inline int64_t lsp_plan_origin(const lsp_plan *plan, int64_t f) {
  if (f == 0 && plan->first_position > 0)
    return plan->first_position;
  return plan->framing.prefix +
         (plan->first_frame == NULL ? 0 : lsp_plan_lead(plan, f));
}
static inline int64_t lsp_plan_tokens_end(const lsp_plan *plan, int64_t f) {
  return lsp_plan_origin(plan, f) + lsp_plan_tokens_of(plan, f);
}
static inline int64_t lsp_plan_end(const lsp_plan *plan, int64_t f) {
  return lsp_plan_tokens_end(plan, f) +
         (lsp_plan_tokens_of(plan, f) > 0 ? plan->framing.suffix : 0);
}

/* Token of the corpus at a position, of the lead, too; below that in the prefix. Behind the
 * frame's tokens it counts on. */
static inline int64_t lsp_plan_token(const lsp_plan *plan, int64_t f,
                                     int64_t position) {
  return plan->token_start[f] + position - lsp_plan_origin(plan, f);
}
static inline int64_t lsp_plan_position(const lsp_plan *plan, int64_t f,
                                        int64_t token) {
  return lsp_plan_origin(plan, f) + token - plan->token_start[f];
}

/* 1 if the token at a position of frame f, from its origin on, is predicted: there is a row
 * that does, in the frame or (linked) in the document's frame before it, and the framing
 * asks for it. */
int lsp_plan_predicts(const lsp_plan *plan, int64_t f, int64_t position);

/* 1 if the last token of frame f predicts the first one of the next frame. */
int lsp_plan_links(const lsp_plan *plan, int64_t f);

/* Rows of the longest frame, from position 0: O(frames). Rows of the panels of the longest
 * document: O(documents). */
int64_t lsp_plan_longest(const lsp_plan *plan);
int64_t lsp_plan_longest_document(const lsp_plan *plan);

/* Tokens that are read again, in all leads together: O(frames). */
int64_t lsp_plan_read_again(const lsp_plan *plan);

/* Frame that holds a panel. */
int64_t lsp_plan_frame(const lsp_plan *plan, int64_t panel);

/* Frames, and documents, that end before `token`, a number of tokens of the corpus. For a
 * token of the corpus: the frame, or document, that has it for itself. */
int64_t lsp_plan_frames_before(const lsp_plan *plan, int64_t token);
int64_t lsp_plan_documents_before(const lsp_plan *plan, int64_t token);

/* Rows of all panels before a panel (which may be one past the last). */
int64_t lsp_plan_rows_before(const lsp_plan *plan, int64_t panel);

/* Tokens of the corpus before the first one that a panel has for itself, and before the
 * first one that a row of it predicts (or, in a frame's first panel, that none predicts).
 */
int64_t lsp_plan_tokens_before(const lsp_plan *plan, int64_t panel);
int64_t lsp_plan_predicted_before(const lsp_plan *plan, int64_t panel);

typedef struct {
  int64_t first, end; /* panels */
} lsp_range;

/* The wave that begins at a panel: as many panels as have at most `rows` rows, and at
 * least one; of whole frames, where the framing says so, and at least one of them. */
lsp_range lsp_plan_wave(const lsp_plan *plan, int64_t first, int64_t rows);

/* What rank r of `ranks` owns of a wave; may be empty. Its rows are at most its share and
 * one of what spans are made of more: a panel, a frame, or what the wave has of a document
 * (framing.whole). */
lsp_range lsp_plan_span(const lsp_plan *plan, lsp_range wave, int rank, int ranks);

typedef struct {
  int64_t frame;
  int64_t panel_first, panel_end; /* panels of the frame's own grid */
  int64_t row;                    /* of the piece's first panel in the span */
  int64_t start;                  /* position of that row: a panel border */
  int64_t first, end;             /* positions of its rows: start <= first < end */
  int64_t origin;     /* of the first token that the frame has for itself, as
                                     far as it is here: first <= origin <= tokens_end */
  int64_t token;      /* that token, in the corpus */
  int64_t tokens_end; /* position behind its last token here: <= end */
} lsp_piece;

/* The piece that holds panel `panel` of the span, as much of it as the span has. The
 * next piece begins at panel piece.panel_end. */
lsp_piece lsp_plan_piece(const lsp_plan *plan, lsp_range span, int64_t panel);

/* What a panel writes: its tokens, and the nll of the tokens that its rows predict and,
 * in a frame's first panel, of a first token that none predicts. Ranges of the corpus. */
typedef struct {
  int64_t document;
  int64_t token, token_end;
  int64_t nll, nll_end;
} lsp_panel_output;
lsp_panel_output lsp_plan_panel_output(const lsp_plan *plan, int64_t panel);

/* --- tiles that cross ranks and waves --------------------------------------------
 *
 * A layer reaches `reach` tiles back (LSP_TILES_ALL: to the beginning). The past of a
 * span is what it reaches of its first frame before itself: tiles of the ranks below,
 * and, from earlier waves, kept ones. Kept tiles are dealt by position: group g, of
 * LSP_GROUP tiles, lies with rank g mod P, whichever rank computed it, in a ring of
 * groups; so no rank keeps more than its share.
 *
 *   tiles    | ..... kept: groups of ranks 0 1 2 3 0 1 2 3 ... | wave: spans 0 1 2 3 |
 *   rank 2                       [ round 2 | round 1 | round 0 ][ its span ]
 *
 * A span gets its past in rounds of at most `room` tiles, nearest first: the order in
 * which attention walks. */

enum { LSP_GROUP = 32 };
#define LSP_TILES_ALL (INT64_MAX / 4)

typedef struct {
  int64_t frame, first, end; /* tiles of the frame, or grains */
} lsp_tiles;

/* What is said of tiles holds of anything that stands for a number of positions in a row:
 * grain c for the positions c unit .. (c + 1) unit - 1. It lies with the span that has the
 * last of them, so that of a panel border at position x floor(x / unit) grains are before
 * it. A unit divides 64, or is a multiple of it. */
typedef struct {
  int64_t unit;  /* positions of one */
  int64_t group; /* how many in a row lie with one rank */
} lsp_grain;

static inline lsp_grain lsp_grain_tile(void) {
  return (lsp_grain){LSP_GRID_BLOCK, LSP_GROUP};
}

/* Tiles before a panel that its frame has and that are within reach from there:
 * [first, end) with end the tile of the panel's first row; empty at the frame's
 * beginning. A panel one past the last has none. */
lsp_tiles lsp_plan_past(const lsp_plan *plan, int64_t panel, int64_t reach);
lsp_tiles lsp_grain_past(const lsp_plan *plan, lsp_grain g, int64_t panel,
                         int64_t reach);

/* Grains of a frame that a run of panels (a span) has. */
lsp_tiles lsp_grain_owned(const lsp_plan *plan, lsp_grain g, lsp_range span,
                          int64_t frame);

/* What of its past a span gets in a round. */
lsp_tiles lsp_plan_round(const lsp_plan *plan, lsp_range span, int64_t reach,
                         int64_t room, int64_t round);
lsp_tiles lsp_grain_round(const lsp_plan *plan, lsp_grain g, lsp_range span,
                          int64_t reach, int64_t room, int64_t round);

/* Rounds after which every span of the wave has its past: at least one. */
int64_t lsp_plan_rounds(const lsp_plan *plan, lsp_range wave, int64_t reach,
                        int64_t room);

/* Rank that keeps a group, and the place of the group in its ring of `groups`. */
static inline int lsp_grain_rank(lsp_grain g, int64_t at, int ranks) {
  return (int)(at / g.group % ranks);
}
static inline int64_t lsp_grain_place(lsp_grain g, int64_t at, int ranks,
                                      int64_t groups) {
  return at / g.group / ranks % groups * g.group + at % g.group;
}
static inline int lsp_kept_rank(int64_t tile, int ranks) {
  return lsp_grain_rank(lsp_grain_tile(), tile, ranks);
}
static inline int64_t lsp_kept_place(int64_t tile, int ranks, int64_t groups) {
  return lsp_grain_place(lsp_grain_tile(), tile, ranks, groups);
}

/* Groups of a rank's ring: its share of the groups that `n` grains in a row touch. */
static inline int64_t lsp_grain_groups(lsp_grain g, int64_t n, int64_t ranks) {
  return n == 0 ? 0 : lsp_divide_up(lsp_divide_up(n - 1, g.group) + 1, ranks);
}
static inline int64_t lsp_kept_groups(int64_t tiles, int64_t ranks) {
  return lsp_grain_groups(lsp_grain_tile(), tiles, ranks);
}

typedef enum {
  LSP_LOAN_HALO,   /* from the span of a rank to the past of another */
  LSP_LOAN_KEPT,   /* from the ring of a rank to the past of one */
  LSP_LOAN_KEEP,   /* from the span of a rank to the ring of one */
  LSP_LOAN_FIXED,  /* those of the first tiles of a frame that this wave computes, to
                     ranks that are in it without having them, now (first frame of
                     their span) or in the next wave */
  LSP_LOAN_POOLED, /* rows that are no tiles, whichever way they go: no loan of the plan
                      is of this kind, but they are counted by it */
  LSP_LOAN_KINDS
} lsp_loan_kind;

typedef struct {
  lsp_loan_kind kind;
  int from, to; /* ranks; may be the same */
  int64_t frame;
  int64_t first, end; /* tiles of the frame, in one run on both sides */
} lsp_loan;

/* Of the first `tiles` tiles of a frame those that a wave computes; may be empty. Tiles
 * below are kept from earlier waves. */
lsp_tiles lsp_plan_fixed(const lsp_plan *plan, lsp_range wave, int64_t frame,
                         int64_t tiles);

typedef void (*lsp_each_loan)(const lsp_loan *loan, void *arg);

/* Who asks: rank of ranks, in a wave. */
typedef struct {
  const lsp_plan *plan;
  lsp_range wave;
  int rank, ranks;
} lsp_view_of_wave;

/* The rank whose span has a tile of a frame that is in the wave: O(log ranks). */
int lsp_plan_owner(const lsp_view_of_wave *v, int64_t frame, int64_t tile);

/* Calls each(loan, arg) for every loan of a round, of keeping, and of fixed tiles, in
 * which `rank` takes part, in an order of loans that both sides of a pair agree on. */
void lsp_plan_round_loans(const lsp_view_of_wave *v, int64_t reach, int64_t room,
                          int64_t round, lsp_each_loan each, void *arg);
void lsp_plan_keep_loans(const lsp_view_of_wave *v, int64_t reach, lsp_each_loan each,
                         void *arg);
void lsp_plan_fixed_loans(const lsp_view_of_wave *v, int64_t tiles, lsp_each_loan each,
                          void *arg);

/* The same of grains, all that a span reaches in one round. */
void lsp_grain_past_loans(const lsp_view_of_wave *v, lsp_grain g, int64_t reach,
                          lsp_each_loan each, void *arg);
void lsp_grain_keep_loans(const lsp_view_of_wave *v, lsp_grain g, int64_t reach,
                          lsp_each_loan each, void *arg);

#endif
