/* Who lends which tiles, or grains of any other size, to whom, in one wave. */
#include "lsp/plan.h"

/* Grains of frame f before a panel of the corpus, which may be one past the last of the
 * frame. */
static int64_t grains_before(const lsp_plan *plan, lsp_grain g, int64_t f,
                             int64_t panel) {
  const int64_t local =
      panel - plan->panel_start[f] + lsp_panel_of(lsp_plan_begin(plan, f));
  return lsp_panel_start(local) / g.unit;
}

static int is_empty(lsp_tiles t) {
  return t.first >= t.end;
}

static lsp_tiles both(lsp_tiles a, lsp_tiles b) {
  if (a.frame != b.frame)
    return (lsp_tiles){a.frame, 0, 0};
  return (lsp_tiles){a.frame, lsp_max(a.first, b.first), lsp_min(a.end, b.end)};
}

lsp_tiles lsp_grain_past(const lsp_plan *plan, lsp_grain g, int64_t panel,
                         int64_t reach) {
  if (panel >= lsp_plan_panels(plan))
    return (lsp_tiles){plan->frames, 0, 0};
  const int64_t f = lsp_plan_frame(plan, panel);
  const int64_t end = grains_before(plan, g, f, panel);
  return (lsp_tiles){f, lsp_max(0, end - reach), end};
}

lsp_tiles lsp_plan_past(const lsp_plan *plan, int64_t panel, int64_t reach) {
  return lsp_grain_past(plan, lsp_grain_tile(), panel, reach);
}

static lsp_tiles past_of_span(const lsp_plan *plan, lsp_grain g, lsp_range span,
                              int64_t reach) {
  if (span.first >= span.end)
    return (lsp_tiles){plan->frames, 0, 0};
  return lsp_grain_past(plan, g, span.first, reach);
}

lsp_tiles lsp_plan_round(const lsp_plan *plan, lsp_range span, int64_t reach,
                         int64_t room, int64_t round) {
  return lsp_grain_round(plan, lsp_grain_tile(), span, reach, room, round);
}

lsp_tiles lsp_grain_round(const lsp_plan *plan, lsp_grain g, lsp_range span,
                          int64_t reach, int64_t room, int64_t round) {
  const lsp_tiles t = past_of_span(plan, g, span, reach);
  const int64_t end = t.end - lsp_min(round * room, t.end - t.first);
  return (lsp_tiles){t.frame, lsp_max(t.first, end - room), end};
}

int64_t lsp_plan_rounds(const lsp_plan *plan, lsp_range wave, int64_t reach,
                        int64_t room) {
  /* The longest past that a span can have: in the frame that the wave begins in, or in
   * one that begins in the wave. */
  const int64_t f = lsp_plan_frame(plan, wave.first);
  const int64_t end = lsp_min(wave.end, plan->panel_start[f + 1]);
  const int64_t rows =
      lsp_plan_rows_before(plan, wave.end) - lsp_plan_rows_before(plan, wave.first);
  const int64_t most =
      lsp_max(grains_before(plan, lsp_grain_tile(), f, end), rows / LSP_GRID_BLOCK);
  return lsp_max(1, lsp_divide_up(lsp_min(reach, most), lsp_max(1, room)));
}

lsp_tiles lsp_grain_owned(const lsp_plan *plan, lsp_grain g, lsp_range span,
                          int64_t frame) {
  lsp_tiles tiles = {frame, 0, 0};
  if (frame >= plan->frames)
    return tiles;
  const int64_t first = lsp_max(span.first, plan->panel_start[frame]);
  const int64_t end = lsp_min(span.end, plan->panel_start[frame + 1]);
  if (first >= end)
    return tiles;
  tiles.first = grains_before(plan, g, frame, first);
  tiles.end = grains_before(plan, g, frame, end);
  return tiles;
}

static lsp_tiles owned_tiles(const lsp_plan *plan, lsp_range span, int64_t frame) {
  return lsp_grain_owned(plan, lsp_grain_tile(), span, frame);
}

static lsp_range span_of(const lsp_view_of_wave *v, int rank) {
  return lsp_plan_span(v->plan, v->wave, rank, v->ranks);
}

int lsp_plan_owner(const lsp_view_of_wave *v, int64_t frame, int64_t tile) {
  const int64_t panel = v->plan->panel_start[frame] +
                        lsp_panel_of(tile * LSP_GRID_BLOCK) -
                        lsp_panel_of(lsp_plan_begin(v->plan, frame));
  int low = 0, high = v->ranks - 1;
  while (low < high) { /* the first span that ends after the panel */
    const int middle = low + (high - low) / 2;
    if (span_of(v, middle).end > panel)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

static void offer(lsp_loan_kind kind, int from, int to, lsp_tiles t, lsp_each_loan each,
                  void *arg) {
  const lsp_loan loan = {kind, from, to, t.frame, t.first, t.end};
  if (!is_empty(t))
    each(&loan, arg);
}

/* --- rounds ---------------------------------------------------------------------- */

/* A round: how far back a layer looks, and which part of that is wanted now. */
typedef struct {
  lsp_grain grain;
  int64_t reach, room, number;
} turn;

static lsp_tiles wanted(const lsp_view_of_wave *v, const turn *t, lsp_range span) {
  return lsp_grain_round(v->plan, t->grain, span, t->reach, t->room, t->number);
}

static lsp_tiles before_wave(const lsp_view_of_wave *v, lsp_grain g) {
  return lsp_grain_past(v->plan, g, v->wave.first, LSP_TILES_ALL);
}

/* What is offered between the rings and a rank. */
typedef struct {
  lsp_loan_kind kind;
  lsp_grain grain;
  int ranks;
  int keeper; /* whose ring; -1: any rank's */
  int other;
} dealing;

/* Kept grains `t` by groups. */
static void offer_groups(const dealing *d, lsp_tiles t, lsp_each_loan each, void *arg) {
  for (int64_t at = t.first; at < t.end;) {
    const int64_t end = lsp_min(t.end, (at / d->grain.group + 1) * d->grain.group);
    const int rank = lsp_grain_rank(d->grain, at, d->ranks);
    const int comes = d->kind == LSP_LOAN_KEPT;
    const lsp_tiles group = {t.frame, at, end};
    if (d->keeper < 0 || d->keeper == rank)
      offer(d->kind, comes ? rank : d->other, comes ? d->other : rank, group, each,
            arg);
    at = end;
  }
}

/* The grains that this rank wants: of the spans below, nearest first, and of the rings,
 * this rank's own among them. A span may be too short to have any. */
static void borrow_round(const lsp_view_of_wave *v, const turn *t, lsp_each_loan each,
                         void *arg) {
  const lsp_tiles want = wanted(v, t, span_of(v, v->rank));
  const dealing d = {LSP_LOAN_KEPT, t->grain, v->ranks, -1, v->rank};
  for (int q = v->rank - 1; q >= 0 && !is_empty(want); q--) {
    const lsp_tiles have =
        lsp_grain_owned(v->plan, t->grain, span_of(v, q), want.frame);
    offer(LSP_LOAN_HALO, q, v->rank, both(have, want), each, arg);
    if (!is_empty(have) && have.first <= want.first)
      return;
  }
  offer_groups(&d, both(before_wave(v, t->grain), want), each, arg);
}

/* To ranks after this one that look into its span: as long as the frame of its last
 * panel is their first, and in reach. */
static void lend_span(const lsp_view_of_wave *v, const turn *t, lsp_each_loan each,
                      void *arg) {
  const lsp_range span = span_of(v, v->rank);
  if (span.first >= span.end)
    return;
  const lsp_tiles have =
      lsp_grain_owned(v->plan, t->grain, span, lsp_plan_frame(v->plan, span.end - 1));
  for (int q = v->rank + 1; q < v->ranks; q++) {
    const lsp_range other = span_of(v, q);
    if (other.first >= other.end)
      continue;
    const lsp_tiles past = past_of_span(v->plan, t->grain, other, t->reach);
    if (past.frame != have.frame || past.first >= have.end)
      return;
    offer(LSP_LOAN_HALO, v->rank, q, both(have, wanted(v, t, other)), each, arg);
  }
}

/* To other ranks that look back beyond the wave. */
static void lend_kept(const lsp_view_of_wave *v, const turn *t, lsp_each_loan each,
                      void *arg) {
  const lsp_tiles before = before_wave(v, t->grain);
  if (is_empty(before))
    return;
  for (int q = 0; q < v->ranks; q++) {
    const lsp_range other = span_of(v, q);
    if (other.first >= other.end)
      continue;
    const lsp_tiles past = past_of_span(v->plan, t->grain, other, t->reach);
    if (past.frame != before.frame || past.first >= before.end)
      return;
    const dealing d = {LSP_LOAN_KEPT, t->grain, v->ranks, v->rank, q};
    if (q != v->rank)
      offer_groups(&d, both(before, wanted(v, t, other)), each, arg);
  }
}

static void turn_loans(const lsp_view_of_wave *v, const turn *t, lsp_each_loan each,
                       void *arg) {
  if (t->reach <= 0)
    return;
  borrow_round(v, t, each, arg);
  lend_span(v, t, each, arg);
  lend_kept(v, t, each, arg);
}

void lsp_plan_round_loans(const lsp_view_of_wave *v, int64_t reach, int64_t room,
                          int64_t round, lsp_each_loan each, void *arg) {
  const turn t = {lsp_grain_tile(), reach, room, round};
  turn_loans(v, &t, each, arg);
}

void lsp_grain_past_loans(const lsp_view_of_wave *v, lsp_grain g, int64_t reach,
                          lsp_each_loan each, void *arg) {
  const turn t = {g, reach, reach, 0};
  turn_loans(v, &t, each, arg);
}

/* --- keeping --------------------------------------------------------------------- */

void lsp_grain_keep_loans(const lsp_view_of_wave *v, lsp_grain g, int64_t reach,
                          lsp_each_loan each, void *arg) {
  const lsp_tiles next = lsp_grain_past(v->plan, g, v->wave.end, reach);
  for (int q = v->ranks - 1; q >= 0 && !is_empty(next); q--) {
    const lsp_tiles have = lsp_grain_owned(v->plan, g, span_of(v, q), next.frame);
    const dealing d = {LSP_LOAN_KEEP, g, v->ranks, q == v->rank ? -1 : v->rank, q};
    offer_groups(&d, both(have, next), each, arg);
    if (!is_empty(have) && have.first <= next.first)
      break;
  }
}

void lsp_plan_keep_loans(const lsp_view_of_wave *v, int64_t reach, lsp_each_loan each,
                         void *arg) {
  lsp_grain_keep_loans(v, lsp_grain_tile(), reach, each, arg);
}

/* --- fixed tiles ----------------------------------------------------------------- */

lsp_tiles lsp_plan_fixed(const lsp_plan *plan, lsp_range wave, int64_t frame,
                         int64_t tiles) {
  const lsp_tiles t = owned_tiles(plan, wave, frame);
  return (lsp_tiles){frame, t.first, lsp_min(t.end, tiles)};
}

/* The frame of the span's first panel, if the wave computes first tiles of it, and it
 * has panels in the wave before the span; else -1. */
static int64_t entered(const lsp_view_of_wave *v, lsp_range span, int64_t tiles) {
  if (span.first >= span.end)
    return -1;
  const int64_t f = lsp_plan_frame(v->plan, span.first);
  const int64_t first = lsp_max(v->wave.first, v->plan->panel_start[f]);
  return first < span.first && !is_empty(lsp_plan_fixed(v->plan, v->wave, f, tiles))
             ? f
             : -1;
}

/* The frame that goes on in the next wave, if this one computes first tiles of it; else
 * -1. */
static int64_t leaving(const lsp_view_of_wave *v, int64_t tiles) {
  if (v->wave.end >= lsp_plan_panels(v->plan))
    return -1;
  const int64_t f = lsp_plan_frame(v->plan, v->wave.end);
  return !is_empty(lsp_plan_fixed(v->plan, v->wave, f, tiles)) ? f : -1;
}

/* Fixed tiles of a frame to rank `to`, from every rank whose span has some of them
 * (`only` < 0), or from rank `only`. */
static void lend_fixed(const lsp_view_of_wave *v, int64_t f, int64_t tiles, int to,
                       int only, lsp_each_loan each, void *arg) {
  for (int q = 0; q < v->ranks; q++) {
    const lsp_range span = span_of(v, q);
    if (span.first >= v->plan->panel_start[f + 1])
      break;
    const lsp_tiles have = owned_tiles(v->plan, span, f);
    if (is_empty(have))
      continue;
    if (have.first >= tiles)
      break;
    if (only < 0 || only == q)
      offer(LSP_LOAN_FIXED, q, to, both(have, (lsp_tiles){f, 0, tiles}), each, arg);
  }
}

static int has_fixed(const lsp_view_of_wave *v, int rank, int64_t f, int64_t tiles) {
  const lsp_tiles have = owned_tiles(v->plan, span_of(v, rank), f);
  return !is_empty(have) && have.first < tiles;
}

void lsp_plan_fixed_loans(const lsp_view_of_wave *v, int64_t tiles, lsp_each_loan each,
                          void *arg) {
  const int64_t f = lsp_plan_frame(v->plan, v->wave.first);
  if (tiles <= 0 || (v->wave.end <= v->plan->panel_start[f + 1] &&
                     is_empty(lsp_plan_fixed(v->plan, v->wave, f, tiles))))
    return; /* in the midst of a frame */
  const int64_t next = leaving(v, tiles);
  for (int to = 0; to < v->ranks; to++) {
    const int64_t now = entered(v, span_of(v, to), tiles);
    const int from = to == v->rank ? -1 : v->rank;
    if (now >= 0 && (from < 0 || has_fixed(v, from, now, tiles)))
      lend_fixed(v, now, tiles, to, from, each, arg);
    if (next >= 0 && next != now && (from < 0 || has_fixed(v, from, next, tiles)))
      lend_fixed(v, next, tiles, to, from, each, arg);
  }
}
