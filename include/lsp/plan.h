/* Who computes what, and who lends what to whom: pure functions of the corpus, the
 * reach and the number of ranks. No communication, O(log documents) a call, nothing of
 * the size of the number of ranks.
 *
 *   corpus   | doc 0              | doc 1 | doc 2                         | ...
 *   panels   | p | p |   p   |  p | p | p | p | p |   p   |      p        |
 *   waves    |------ wave 0 --------|---------- wave 1 ---------|----------
 *   spans    |-rank 0-|-- rank 1 ---|-- rank 0 --|--- rank 1 ---|
 *
 * Panels are numbered through the corpus from 0. A span is a run of panels; a piece is
 * what a span has of one document. Only the first piece of a span can have a past in
 * another rank or wave, only its last one a future. Tiles are blocks of a document,
 * numbered from its position 0. */
#ifndef LSP_PLAN_H
#define LSP_PLAN_H

#include "lsp/grid.h"
#include "lsp/status.h"

/* A causal pattern that reaches back from every position. */
typedef struct {
  int64_t memory;   /* mem_len */
  int64_t segment;  /* tokens a segment; of no effect when same_length */
  int same_length;  /* each query sees the last `memory` positions including itself;
                       else all from `memory` positions before its segment */
  int virtual_past; /* positions before 0 exist, as constant rows, as far as `memory`
                       reaches (--mem-init zeros) */
} lsp_pattern;

/* Lowest position that the query at `position` sees; may be negative only with
 * virtual_past. */
int64_t lsp_pattern_first(const lsp_pattern *p, int64_t position);

/* How far back a pattern can look: the rows before a position that a run needs to
 * continue from there. */
int64_t lsp_pattern_reach(const lsp_pattern *p);

/* Pairs (query, key) that positions [first, end) of a document see: the useful work. */
double lsp_pattern_pairs(const lsp_pattern *p, int64_t first, int64_t end);

typedef struct {
  int64_t documents;
  int64_t *token_start;   /* (documents + 1) tokens before document d */
  int64_t *panel_start;   /* (documents + 1) panels before it */
  int64_t *row_start;     /* (documents + 1) rows of those panels: the work */
  int64_t first_position; /* position of the first token of document 0: 0, or where the
                             snapshot that it continues from was taken */
  lsp_pattern pattern;
  int64_t reach_tiles; /* tiles that hold the reach before a tile border */
  int64_t *owned;      /* NULL: the tables are lent */
} lsp_plan;

enum { LSP_PLAN_TABLES = 3 };

/* Local. tokens (documents): tokens of each, LSP_TOKENS_MOST in all at most. LSP_E_LIMIT:
 * the first document would end beyond that position. */
lsp_status lsp_plan_open(lsp_plan *plan, int64_t documents, const int64_t *tokens,
                         int64_t first_position, const lsp_pattern *pattern,
                         lsp_failure *why);
void lsp_plan_close(lsp_plan *plan);

/* Local. The same in a table of LSP_PLAN_TABLES (documents + 1) numbers, lent as long as
 * the plan lives: ranks of a node share it. tokens NULL: another rank fills the table. */
lsp_status lsp_plan_lay(lsp_plan *plan, int64_t documents, const int64_t *tokens,
                        int64_t first_position, const lsp_pattern *pattern,
                        int64_t *table, lsp_failure *why);

static inline int64_t lsp_plan_panels(const lsp_plan *plan) {
  return plan->panel_start[plan->documents];
}
static inline int64_t lsp_plan_tokens(const lsp_plan *plan) {
  return plan->token_start[plan->documents];
}
/* Position of the first token of document d. */
static inline int64_t lsp_plan_origin(const lsp_plan *plan, int64_t d) {
  return d == 0 ? plan->first_position : 0;
}

/* Document that holds a panel. */
int64_t lsp_plan_document(const lsp_plan *plan, int64_t panel);

/* Documents that end before `token`, a number of tokens of the corpus. For a token of the
 * corpus: the document that holds it. */
int64_t lsp_plan_documents_before(const lsp_plan *plan, int64_t token);

/* Rows of all panels before a panel (which may be one past the last). */
int64_t lsp_plan_rows_before(const lsp_plan *plan, int64_t panel);

/* Tokens of the corpus before the first token of a panel. */
int64_t lsp_plan_tokens_before(const lsp_plan *plan, int64_t panel);

typedef struct {
  int64_t first, end; /* panels */
} lsp_range;

/* The wave that begins at a panel: as many panels as have at most `rows` rows, and at
 * least one. */
lsp_range lsp_plan_wave(const lsp_plan *plan, int64_t first, int64_t rows);

/* What rank r of `ranks` owns of a wave; may be empty. */
lsp_range lsp_plan_span(const lsp_plan *plan, lsp_range wave, int rank, int ranks);

typedef struct {
  int64_t document;
  int64_t panel_first, panel_end; /* panels of the document's own grid */
  int64_t row;                    /* of the piece's first panel in the span */
  int64_t start;                  /* position of that row: a panel border */
  int64_t first, end;             /* positions of its tokens: start <= first < end */
  int64_t token;                  /* of position `first`, in the corpus */
} lsp_piece;

/* The piece that holds panel `panel` of the span, as much of it as the span has. The
 * next piece begins at panel piece.panel_end. */
lsp_piece lsp_plan_piece(const lsp_plan *plan, lsp_range span, int64_t panel);

/* Tiles before a panel that its document has and that the pattern reaches from there:
 * [first, end) with end the tile of the panel's first row; empty at the document's
 * beginning. A panel one past the last has none. */
typedef struct {
  int64_t document, first, end;
} lsp_tiles;
lsp_tiles lsp_plan_past(const lsp_plan *plan, int64_t panel);

/* What a panel writes: its tokens, and the nll of the tokens that its rows predict and,
 * in a document's first panel, of the document's first token. Ranges of the corpus. */
typedef struct {
  int64_t document;
  int64_t token, token_end;
  int64_t nll, nll_end;
} lsp_panel_output;
lsp_panel_output lsp_plan_panel_output(const lsp_plan *plan, int64_t panel);

/* Memory carried into the wave that begins at a panel: as lsp_plan_past, and, where the
 * document was taken up from a snapshot in the middle of that panel, the tiles of the
 * panel up to that position. */
lsp_tiles lsp_plan_carried(const lsp_plan *plan, int64_t panel);

/* One loan of tiles. Lender and borrower are ranks; the carried memory of a wave lies
 * with rank 0, as lender (from_carry) and as borrower for the wave to come (to_carry).
 */
typedef struct {
  int peer;
  int64_t first, end; /* tiles of the document */
  int from_carry, to_carry;
} lsp_loan;

/* What rank `rank` borrows, resp. lends, in a wave: calls each(loan, arg) for every
 * loan, in an order that both sides of a pair of ranks agree on. Loans to oneself (rank
 * 0 and the carry) are reported to both, with peer == rank. */
void lsp_plan_borrowed(const lsp_plan *plan, lsp_range wave, int rank, int ranks,
                       void (*each)(const lsp_loan *loan, void *arg), void *arg);
void lsp_plan_lent(const lsp_plan *plan, lsp_range wave, int rank, int ranks,
                   void (*each)(const lsp_loan *loan, void *arg), void *arg);

#endif
