/* What crosses ranks in layers that look ahead: the loans of ahead_lending.c and globals.c,
 * without the run. */
#include "lending.h"

typedef struct {
  const lsp_step *step;
  int64_t floats; /* of a block */
  lsp_each_sent each;
  void *arg;
} sending;

static void send_blocks(const lsp_block_loan *loan, void *arg) {
  const sending *s = arg;
  if (loan->from == s->step->rank && loan->to != s->step->rank)
    s->each(loan->kind, (loan->end - loan->first) * s->floats, s->arg);
}

static int64_t width_of(const lsp_layer *l) {
  return l->output.matrix.cols;
}

/* --- global rows ----------------------------------------------------------------- */

static const lsp_pattern *pattern_of(const lsp_layer *l) {
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_GLOBAL)
      return &l->branch[b];
  return NULL;
}

/* Blocks of a frame with global rows. */
static int64_t blocks_with_globals(const lsp_layer *l, const lsp_plan *plan,
                                   int64_t frame) {
  const int64_t end = lsp_min(lsp_plan_end(plan, frame), lsp_layer_fixed(l));
  int64_t n = 0, last = -1;
  for (int64_t i = 0; i < end; i++)
    if (i / LSP_BLOCK != last && lsp_pattern_is_global(pattern_of(l), i)) {
      last = i / LSP_BLOCK;
      n++;
    }
  return n;
}

/* Of these, those that a rank has. */
static int64_t blocks_at_home(const lsp_layer *l, const lsp_step *s, int64_t frame) {
  const lsp_range own = lsp_step_own(s, s->rank);
  const int64_t first = lsp_blocks_of_frame(s->plan, frame);
  const int64_t end = lsp_min(lsp_plan_end(s->plan, frame), lsp_layer_fixed(l));
  int64_t n = 0;
  for (int64_t b = lsp_max(first, own.first);
       b < lsp_min(own.end, first + lsp_divide_up(end, LSP_BLOCK)); b++) {
    int any = 0;
    for (int64_t i = (b - first) * LSP_BLOCK;
         i < lsp_min(end, (b - first + 1) * LSP_BLOCK) && !any; i++)
      any = lsp_pattern_is_global(pattern_of(l), i);
    n += any;
  }
  return n;
}

/* Results on their way to the next rank, and home from the last one. */
static void send_results(const lsp_layer *l, const sending *to) {
  const lsp_step *s = to->step;
  const lsp_plan *plan = s->plan;
  const int64_t floats =
      (int64_t)l->heads.query * LSP_BLOCK * (lsp_padded(l->heads.width) + 2);
  const lsp_range span = lsp_plan_span(plan, s->have, s->rank, s->ranks);
  int64_t n = 0;
  if (span.first >= span.end)
    return;
  const int64_t first = lsp_plan_frame(plan, span.first);
  const int64_t last = lsp_plan_frame(plan, span.end - 1);
  if (plan->panel_start[last + 1] > span.end)
    n += blocks_with_globals(l, plan, last);
  if (plan->panel_start[first] < span.first && plan->panel_start[first + 1] <= span.end)
    n += blocks_with_globals(l, plan, first) - blocks_at_home(l, s, first);
  for (int64_t i = 0; i < n; i++)
    to->each(LSP_LOAN_HALO, floats, to->arg);
}

/* --- a step ---------------------------------------------------------------------- */

static void send_rows(const lsp_sizing *z, const lsp_layer *l, sending *to,
                      void (*loans)(const lsp_step *s, lsp_each_block_loan each,
                                    void *arg)) {
  const int64_t width[] = {z->model->width, width_of(l)};
  if (to->step->have.first == to->step->want.first &&
      to->step->have.end == to->step->want.end)
    return;
  for (int i = 0; i < 2; i++) {
    to->floats = LSP_BLOCK * width[i];
    loans(to->step, send_blocks, to);
  }
}

void lsp_ahead_loans(const lsp_sizing *z, int layer, const lsp_step *s,
                     lsp_each_sent each, void *arg) {
  const lsp_layer *l = &z->model->layer[layer];
  const lsp_layer_sizes *y = &z->layer[layer];
  const int has_globals = lsp_sizes_global_blocks(l) > 0;
  const int64_t rounds = lsp_step_rounds_of_all(s);
  sending to = {s, y->tile, each, arg};
  for (int64_t round = 0; round < rounds; round++)
    lsp_step_halo_loans(s, round, send_blocks, &to);
  for (int slot = 0; slot < 2; slot++) {
    to.floats = y->tile;
    lsp_step_fixed_loans(s, slot, send_blocks, &to);
    to.floats = LSP_BLOCK * width_of(l);
    if (has_globals)
      lsp_step_fixed_loans(s, slot, send_blocks, &to);
  }
  if (has_globals)
    send_results(l, &to);
  send_rows(z, l, &to, lsp_step_row_loans);
  send_rows(z, l, &to, lsp_step_wait_loans);
  to.floats = y->tile;
  if (y->groups > 0)
    lsp_step_keep_loans(s, send_blocks, &to);
  if (y->lag > 0)
    lsp_step_open_loans(s, send_blocks, &to);
}

/* Every other rank gets at most what it looks at beyond its own; rows, and what is kept,
 * leave a rank twice at most; first rows go to everyone, results of global rows one way and
 * home. */
lsp_sent lsp_ahead_bound(const lsp_sizing *z, int layer, int64_t span_rows) {
  const lsp_layer *l = &z->model->layer[layer];
  const lsp_layer_sizes *y = &z->layer[layer];
  const int64_t P = z->request->ranks;
  const int64_t halo =
      y->in_rounds ? lsp_divide_up(z->request->longest, LSP_BLOCK) + 4 : y->room;
  const int64_t rows = span_rows / LSP_BLOCK + y->lag + 4;
  const int64_t row = LSP_BLOCK * (z->model->width + width_of(l));
  const int64_t result =
      (int64_t)l->heads.query * LSP_BLOCK * (lsp_padded(l->heads.width) + 2);
  const int64_t globals = lsp_sizes_global_blocks(l);
  if (P == 1)
    return (lsp_sent){0, 0};
  const double floats =
      (double)P * ((double)halo + 3.0 * (double)y->fixed) * (double)y->tile +
      2.0 * (double)rows * (double)(row + y->tile) +
      (double)globals *
          ((double)P * 2 * (double)(LSP_BLOCK * width_of(l)) + 2.0 * (double)result);
  const int64_t loans =
      P * (halo / LSP_KEPT_GROUP + 2 * lsp_divide_up(halo, lsp_max(1, y->room)) + 10) +
      rows + 2 * globals;
  const double bytes = floats * sizeof(float);
  return (lsp_sent){loans, bytes < 0x1p62 ? (int64_t)bytes : INT64_MAX};
}
