/* Loans between the ranks of a wave whose layers look ahead. Blocks are numbers on one
 * line, spans are neighbours on it: what one has and another wants is where two ranges
 * meet. */
#include "lsp/halos.h"

enum { B = LSP_GRID_BLOCK };

static lsp_range meet(lsp_range a, lsp_range b) {
  return (lsp_range){lsp_max(a.first, b.first), lsp_min(a.end, b.end)};
}

static int is_empty(lsp_range r) {
  return r.first >= r.end;
}

int64_t lsp_blocks_before(const lsp_plan *plan, int64_t panel) {
  return lsp_plan_rows_before(plan, panel) / B;
}

int64_t lsp_blocks_of_frame(const lsp_plan *plan, int64_t frame) {
  return plan->row_start[frame] / B;
}

/* Position of a panel in its frame. */
static int64_t position_of(const lsp_plan *plan, int64_t frame, int64_t panel) {
  return lsp_panel_start(panel - plan->panel_start[frame]);
}

/* --- which panels ---------------------------------------------------------------- */

int64_t lsp_plan_ready(const lsp_plan *plan, int64_t end, const lsp_sight *sight) {
  LSP_ASSERT(plan->first_position == 0);
  if (end >= lsp_plan_panels(plan))
    return end;
  const int64_t f = lsp_plan_frame(plan, end);
  const int64_t there = position_of(plan, f, end);
  if (end == plan->panel_start[f])
    return end;
  if (lsp_min(sight->fixed, lsp_plan_end(plan, f)) > there || sight->ahead >= there)
    return plan->panel_start[f];
  return plan->panel_start[f] + lsp_panel_of(there - sight->ahead);
}

/* A panel of 256 rows waits until the rows ahead of its last one are there, and those come
 * in panels, too; before the first rows of a frame are there all of them wait. */
int64_t lsp_ready_lag(const lsp_sight *sight) {
  const int64_t rows = lsp_max(sight->ahead, sight->fixed);
  return rows == 0 ? 0 : lsp_divide_up(rows + LSP_PANEL, B);
}

int64_t lsp_plan_anew(const lsp_plan *plan, int64_t from, const lsp_sight *sight) {
  if (from >= lsp_plan_panels(plan))
    return from;
  const int64_t f = lsp_plan_frame(plan, from);
  const int64_t position = position_of(plan, f, from);
  if (sight->fixed > 0 || sight->back >= position)
    return plan->panel_start[f];
  return plan->panel_start[f] + lsp_panel_of(position - sight->back);
}

lsp_range lsp_plan_whole_wave(const lsp_plan *plan, int64_t first, int64_t rows) {
  const int64_t f = lsp_plan_frame(plan, first);
  const lsp_range most = lsp_plan_wave(plan, first, rows);
  LSP_ASSERT(first == plan->panel_start[f]);
  if (most.end >= lsp_plan_panels(plan))
    return most;
  const int64_t last = lsp_plan_frame(plan, most.end);
  return (lsp_range){first, plan->panel_start[last > f ? last : f + 1]};
}

/* --- what ranks have and want ---------------------------------------------------- */

static lsp_range blocks_of(const lsp_plan *plan, lsp_range panels) {
  return (lsp_range){lsp_blocks_before(plan, panels.first),
                     lsp_blocks_before(plan, panels.end)};
}

static lsp_range span_to(const lsp_step *s, int rank) {
  return lsp_plan_span(s->plan, s->want, rank, s->ranks);
}

lsp_range lsp_step_own(const lsp_step *s, int rank) {
  return blocks_of(s->plan, lsp_plan_span(s->plan, s->have, rank, s->ranks));
}

lsp_range lsp_step_rows(const lsp_step *s, int rank) {
  return blocks_of(s->plan, span_to(s, rank));
}

lsp_range lsp_step_sight(const lsp_step *s, lsp_range panels) {
  const lsp_plan *plan = s->plan;
  lsp_range r = blocks_of(plan, panels);
  if (is_empty(panels))
    return r;
  const int64_t first = lsp_plan_frame(plan, panels.first);
  const int64_t last = lsp_plan_frame(plan, panels.end - 1);
  r.first = lsp_max(lsp_blocks_of_frame(plan, first),
                    r.first - lsp_divide_up(s->sight.back, B));
  r.end = lsp_min(r.end + lsp_divide_up(s->sight.ahead, B),
                  lsp_blocks_of_frame(plan, last + 1));
  return r;
}

/* The blocks of a frame that hold its first rows. */
static lsp_range fixed_of(const lsp_step *s, int64_t frame) {
  const int64_t first = lsp_blocks_of_frame(s->plan, frame);
  return (lsp_range){first, lsp_min(first + lsp_divide_up(s->sight.fixed, B),
                                    lsp_blocks_of_frame(s->plan, frame + 1))};
}

int64_t lsp_step_fixed_frame(const lsp_step *s, lsp_range panels, int slot) {
  if (is_empty(panels) || s->sight.fixed == 0)
    return -1;
  const int64_t first = lsp_plan_frame(s->plan, panels.first);
  const int64_t last = lsp_plan_frame(s->plan, panels.end - 1);
  return slot == 0 ? first : last > first ? last : -1;
}

/* What a rank looks at above and below its own blocks. */
static lsp_range above(const lsp_step *s, int rank) {
  const lsp_range r = lsp_step_sight(s, span_to(s, rank));
  return (lsp_range){lsp_max(r.first, lsp_step_own(s, rank).end), r.end};
}

static lsp_range below(const lsp_step *s, int rank) {
  const lsp_range r = lsp_step_sight(s, span_to(s, rank));
  return (lsp_range){r.first, lsp_min(r.end, lsp_step_own(s, rank).first)};
}

static int64_t rounds_of(lsp_range r, int64_t room) {
  return is_empty(r) ? 0 : lsp_divide_up(r.end - r.first, lsp_max(1, room));
}

lsp_rounds lsp_step_rounds(const lsp_step *s, int rank) {
  const lsp_range a = above(s, rank), b = below(s, rank);
  if (s->room == LSP_TILES_ALL)
    return (lsp_rounds){0, 1};
  const int64_t n = rounds_of(a, s->room);
  return (lsp_rounds){n, n + rounds_of(b, s->room)};
}

lsp_range lsp_step_round(const lsp_step *s, int rank, int64_t round) {
  const lsp_rounds n = lsp_step_rounds(s, rank);
  const lsp_range r = round < n.above ? above(s, rank) : below(s, rank);
  const int64_t back = (round < n.above ? round : round - n.above) * s->room;
  if (s->room == LSP_TILES_ALL)
    return lsp_step_sight(s, span_to(s, rank));
  if (round >= n.all)
    return (lsp_range){r.first, r.first};
  return (lsp_range){lsp_max(r.first, r.end - back - s->room), r.end - back};
}

int64_t lsp_step_rounds_of_all(const lsp_step *s) {
  int64_t most = 1;
  for (int q = 0; q < s->ranks && s->room != LSP_TILES_ALL; q++)
    most = lsp_max(most, lsp_step_rounds(s, q).all);
  return most;
}

/* The panel that is attended to first in the next wave. */
static lsp_range next_panel(const lsp_step *s) {
  const int64_t more = s->want.end < lsp_plan_panels(s->plan);
  return (lsp_range){s->want.end, s->want.end + more};
}

lsp_range lsp_step_kept(const lsp_step *s) {
  const int64_t end = lsp_blocks_before(s->plan, s->have.end);
  const lsp_range next = next_panel(s);
  return (lsp_range){is_empty(next) ? end : lsp_step_sight(s, next).first, end};
}

lsp_range lsp_step_waiting(const lsp_step *s) {
  return blocks_of(s->plan, (lsp_range){s->want.end, s->have.end});
}

int64_t lsp_kept_most(const lsp_sight *sight) {
  return lsp_divide_up(sight->back, B) + lsp_ready_lag(sight);
}

/* A span of the layer's queries begins, and ends, at most a panel after that of its keys,
 * and before it at most the lag and a panel. */
int64_t lsp_halo_most(const lsp_sight *sight) {
  const int64_t panel = LSP_PANEL / B;
  return lsp_divide_up(sight->back, B) + lsp_divide_up(sight->ahead, B) +
         lsp_ready_lag(sight) + 2 * panel;
}

/* --- loans ----------------------------------------------------------------------- */

typedef struct {
  const lsp_step *s;
  lsp_loan_kind kind;
  lsp_each_block_loan each;
  void *arg;
} lending;

static void offer(const lending *l, lsp_loan_kind kind, int from, int to, lsp_range r) {
  const lsp_block_loan loan = {kind, from, to, r.first, r.end};
  if (!is_empty(r))
    l->each(&loan, l->arg);
}

/* First rank whose span of what it has, or (wants) gets, ends after a block. */
static int first_after(const lsp_step *s, lsp_range (*of)(const lsp_step *s, int rank),
                       int64_t block) {
  int low = 0, high = s->ranks;
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if (of(s, middle).end > block)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

int lsp_step_rank_of(const lsp_step *s, int64_t block) {
  return first_after(s, lsp_step_own, block);
}

/* Blocks [r) from the spans that have them to rank `to`: all spans (`only` < 0), or those of
 * rank `only`. */
static void from_spans(const lending *l, lsp_range r, int to, int only) {
  const lsp_step *s = l->s;
  if (is_empty(r))
    return;
  if (only >= 0) {
    offer(l, l->kind, only, to, meet(r, lsp_step_own(s, only)));
    return;
  }
  for (int q = first_after(s, lsp_step_own, r.first); q < s->ranks; q++) {
    const lsp_range have = lsp_step_own(s, q);
    if (have.first >= r.end)
      return;
    offer(l, l->kind, q, to, meet(r, have));
  }
}

/* Blocks [r) by groups, between the ring of `keeper` (-1: any rank's) and rank `other`. */
static void by_groups(const lending *l, lsp_loan_kind kind, lsp_range r, int keeper,
                      int other) {
  for (int64_t at = r.first; at < r.end;) {
    const int64_t end = lsp_min(r.end, (at / LSP_KEPT_GROUP + 1) * LSP_KEPT_GROUP);
    const int rank = lsp_block_keeper(at, l->s->ranks);
    if (keeper < 0 || keeper == rank)
      offer(l, kind, kind == LSP_LOAN_KEPT ? rank : other,
            kind == LSP_LOAN_KEPT ? other : rank, (lsp_range){at, end});
    at = end;
  }
}

/* What is before the wave, from the rings. */
static lsp_range before(const lsp_step *s, lsp_range r) {
  return (lsp_range){r.first,
                     lsp_min(r.end, lsp_blocks_before(s->plan, s->have.first))};
}

/* A part of a round that a rank borrows. */
static void borrow(const lending *l, lsp_range r) {
  from_spans(l, r, l->s->rank, -1);
  by_groups(l, LSP_LOAN_KEPT, before(l->s, r), -1, l->s->rank);
}

static void lend(const lending *l, lsp_range r, int to) {
  from_spans(l, r, to, l->s->rank);
  by_groups(l, LSP_LOAN_KEPT, before(l->s, r), l->s->rank, to);
}

/* The parts of a round that rank `to` has not itself. */
static void part_of_round(const lsp_step *s, int64_t round, int to, lsp_range part[2]) {
  const lsp_range own = lsp_step_own(s, to), r = lsp_step_round(s, to, round);
  part[0] = (lsp_range){r.first, lsp_min(r.end, own.first)};
  part[1] = (lsp_range){lsp_max(r.first, own.end), r.end};
}

/* What a rank may look at, whatever the borders of frames: rises with the rank, for those
 * without panels, too. */
static lsp_range sight_of(const lsp_step *s, int rank) {
  const lsp_range r = lsp_step_rows(s, rank);
  return (lsp_range){r.first - lsp_divide_up(s->sight.back, B),
                     r.end + lsp_divide_up(s->sight.ahead, B)};
}

/* Ranks that may look at what this one has in its span or, of earlier waves, in its ring:
 * those whose sight, which rises with the rank, meets it. */
static lsp_range lookers(const lsp_step *s,
                         lsp_range (*of)(const lsp_step *s, int rank)) {
  const lsp_range own = lsp_step_own(s, s->rank);
  const int64_t border = lsp_blocks_before(s->plan, s->have.first);
  int low = 0, high = s->ranks;
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if (of(s, middle).first < own.end || of(s, middle).first < border)
      low = middle + 1;
    else
      high = middle;
  }
  return (lsp_range){of(s, 0).first < border ? 0 : first_after(s, of, own.first), low};
}

void lsp_step_halo_loans(const lsp_step *s, int64_t round, lsp_each_block_loan each,
                         void *arg) {
  const lending l = {s, LSP_LOAN_HALO, each, arg};
  const lsp_range to = lookers(s, sight_of);
  lsp_range part[2];
  part_of_round(s, round, s->rank, part);
  borrow(&l, part[0]);
  borrow(&l, part[1]);
  for (int q = (int)to.first; q < to.end; q++) {
    if (q == s->rank)
      continue;
    part_of_round(s, round, q, part);
    lend(&l, part[0], q);
    lend(&l, part[1], q);
  }
}

void lsp_step_row_loans(const lsp_step *s, lsp_each_block_loan each, void *arg) {
  const lending l = {s, LSP_LOAN_HALO, each, arg};
  const lsp_range to = lookers(s, lsp_step_rows);
  borrow(&l, lsp_step_rows(s, s->rank));
  for (int q = (int)to.first; q < to.end; q++)
    if (q != s->rank)
      lend(&l, lsp_step_rows(s, q), q);
}

/* Blocks of the wave, among those that are kept, from the spans to the rings. */
static void keep(const lsp_step *s, lsp_range kept, lsp_each_block_loan each,
                 void *arg) {
  const lending l = {s, LSP_LOAN_KEEP, each, arg};
  for (int q = first_after(s, lsp_step_own, kept.first); q < s->ranks; q++)
    by_groups(&l, LSP_LOAN_KEEP, meet(kept, lsp_step_own(s, q)),
              q == s->rank ? -1 : s->rank, q);
}

void lsp_step_keep_loans(const lsp_step *s, lsp_each_block_loan each, void *arg) {
  keep(s, lsp_step_kept(s), each, arg);
}

void lsp_step_wait_loans(const lsp_step *s, lsp_each_block_loan each, void *arg) {
  keep(s, lsp_step_waiting(s), each, arg);
}

/* --- first rows of frames -------------------------------------------------------- */

void lsp_step_fixed_loans(const lsp_step *s, int slot, lsp_each_block_loan each,
                          void *arg) {
  const lending l = {s, LSP_LOAN_FIXED, each, arg};
  for (int to = 0; to < s->ranks && s->sight.fixed > 0; to++) {
    const int64_t f = lsp_step_fixed_frame(s, span_to(s, to), slot);
    if (f >= 0)
      from_spans(&l, fixed_of(s, f), to, to == s->rank ? -1 : s->rank);
  }
}

int64_t lsp_step_open_frame(const lsp_step *s) {
  if (s->sight.fixed == 0 || s->want.end >= lsp_plan_panels(s->plan))
    return -1;
  const int64_t f = lsp_plan_frame(s->plan, s->want.end);
  return s->plan->panel_start[f] < s->have.end ? f : -1;
}

lsp_range lsp_step_open_fixed(const lsp_step *s) {
  const int64_t f = lsp_step_open_frame(s);
  return f < 0 ? (lsp_range){0, 0} : meet(fixed_of(s, f), blocks_of(s->plan, s->have));
}

void lsp_step_open_loans(const lsp_step *s, lsp_each_block_loan each, void *arg) {
  const lending l = {s, LSP_LOAN_FIXED, each, arg};
  const lsp_range r = lsp_step_open_fixed(s);
  for (int to = 0; to < s->ranks; to++)
    from_spans(&l, r, to, to == s->rank ? -1 : s->rank);
}
