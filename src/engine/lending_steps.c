/* Messages of two-sided layers: every loan of a step is listed as the run will list it. */
#include "lending.h"

typedef struct {
  const lsp_step *step;
  lsp_sent *kind;
  int64_t floats; /* of a block */
} counting;

static void count_loan(const lsp_block_loan *loan, void *arg) {
  const counting *c = arg;
  lsp_sent *to = &c->kind[loan->kind];
  if (loan->from == c->step->rank && loan->to != c->step->rank)
    *to = lsp_sent_add(*to, 1, lsp_sent_tiles(loan->end - loan->first, c->floats));
}

/* Rows and their queries go as two messages. */
static void count_rows(const lsp_sizing *z, int layer, counting *c,
                       void (*list)(const lsp_step *s, lsp_each_block_loan each,
                                    void *arg)) {
  const lsp_heads h = z->model->layer[layer].heads;
  c->floats = (int64_t)LSP_BLOCK * z->model->width;
  list(c->step, count_loan, c);
  c->floats = (int64_t)LSP_BLOCK * h.query * h.width;
  list(c->step, count_loan, c);
}

static void count_fixed(counting *c, int64_t floats) {
  c->floats = floats;
  for (int slot = 0; slot < 2; slot++)
    lsp_step_fixed_loans(c->step, slot, count_loan, c);
}

/* Results of global rows: a piece that does not end its frame hands them on, one that does
 * sends them home (engine/globals.c). */
static void count_results(const lsp_sizing *z, int layer, counting *c) {
  const lsp_layer *l = &z->model->layer[layer];
  const lsp_step *s = c->step;
  const lsp_plan *plan = s->plan;
  const lsp_range span = lsp_plan_span(plan, s->have, s->rank, s->ranks);
  const lsp_sent one = lsp_sent_tiles(
      l->heads.query, LSP_BLOCK * (lsp_padded(l->heads.width) + (int64_t)2));
  for (int64_t panel = span.first; panel < span.end;) {
    const lsp_piece piece = lsp_plan_piece(plan, span, panel);
    const int64_t end = lsp_plan_end(plan, piece.frame);
    for (int64_t b = 0; b < lsp_sizes_global_blocks(l); b++)
      if (lsp_sizes_has_globals(l, b, end) &&
          (piece.end < end ||
           lsp_step_rank_of(s, lsp_blocks_of_frame(plan, piece.frame) + b) != s->rank))
        c->kind[LSP_LOAN_HALO] = lsp_sent_add(c->kind[LSP_LOAN_HALO], 1, one);
    panel += piece.panel_end - piece.panel_first;
  }
}

void lsp_count_step(const lsp_sizing *z, int layer, const lsp_step *s,
                    lsp_sent kind[LSP_LOAN_KINDS]) {
  const lsp_layer_sizes *y = &z->layer[layer];
  const lsp_heads h = z->model->layer[layer].heads;
  const int moves = s->have.first != s->want.first || s->have.end != s->want.end;
  const int64_t rounds = lsp_step_rounds_of_all(s);
  counting c = {s, kind, y->tile};
  for (int64_t round = 0; round < rounds; round++)
    lsp_step_halo_loans(s, round, count_loan, &c);
  count_fixed(&c, y->tile);
  if (y->groups > 0)
    lsp_step_keep_loans(s, count_loan, &c);
  if (y->lag > 0)
    lsp_step_open_loans(s, count_loan, &c);
  if (moves) {
    count_rows(z, layer, &c, lsp_step_row_loans);
    count_rows(z, layer, &c, lsp_step_wait_loans);
  }
  if (lsp_sizes_global_blocks(&z->model->layer[layer]) == 0)
    return;
  count_fixed(&c, (int64_t)LSP_BLOCK * h.query * h.width);
  count_results(z, layer, &c);
}
