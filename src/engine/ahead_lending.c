/* What crosses ranks and waves in a two-sided model: what the loans of a step mean in this
 * rank's memory.
 *
 *   keys    HALO    own tiles  -> halo             rows    HALO    x, q     -> x_next, q_next
 *           KEPT    ring       -> halo                     KEPT    waiting  -> x_next, q_next
 *           KEEP    own tiles  -> ring                     KEEP    x, q     -> waiting
 *           FIXED   own tiles  -> fixed, or kept.fixed for later waves
 *
 * In the halo lie first the blocks below one's own, then those above. What must hold: rings
 * are written only after the last round of the layer has ended; x and q of the stage before
 * stay, as x_next and q_next, until the layer has kept what it keeps. */
#include "ahead.h"
#include "globals.h"

#include <string.h>

typedef struct {
  lsp_run *e;
  const lsp_step *step;
  int layer;
  int64_t round;
  int slot;
} lending;

lsp_step lsp_ahead_step(const lsp_run *e, int layer) {
  lsp_step s = lsp_sizes_step(&e->text.plan, &e->span.layer[layer]);
  s.have = e->span.ahead.stage[layer];
  s.want = e->span.ahead.stage[layer + 1];
  s.rank = e->job.ctx->rank;
  s.ranks = e->job.ctx->size;
  return s;
}

/* --- where things lie ------------------------------------------------------------ */

static float *own_tile(const lsp_run *e, int layer, int64_t block) {
  return e->span.tiles + (block - e->span.ahead.own.first) * e->span.layer[layer].tile;
}

/* Of a round, the blocks below this rank's own, and those above. */
static void parts_of(const lending *l, lsp_range *below, lsp_range *above) {
  const lsp_range own = l->e->span.ahead.own;
  const lsp_range r = lsp_step_round(l->step, l->e->job.ctx->rank, l->round);
  *below = (lsp_range){r.first, lsp_max(r.first, lsp_min(r.end, own.first))};
  above->first = lsp_max(r.first, own.end);
  above->end = lsp_max(above->first, r.end);
}

static float *halo_tile(const lending *l, int64_t block) {
  const lsp_run *e = l->e;
  lsp_range below, above;
  parts_of(l, &below, &above);
  const int64_t at = block < below.end ? block - below.first
                                       : below.end - below.first + block - above.first;
  return e->span.halo + l->round % e->span.sizes.rooms * e->span.sizes.room +
         at * e->span.layer[l->layer].tile;
}

static float *ring_tile(const lsp_run *e, int layer, int64_t block) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  return e->kept.rings + y->ring_at +
         lsp_block_place(block, e->job.ctx->size, y->groups) * y->tile;
}

static float *fixed_tile(const lending *l, int64_t block) {
  const lsp_run *e = l->e;
  const int64_t f = e->span.ahead.fixed_frame[l->slot];
  return e->span.fixed + l->slot * e->span.sizes.fixed_room +
         (block - lsp_blocks_of_frame(&e->text.plan, f)) * e->span.layer[l->layer].tile;
}

static float *kept_fixed(const lending *l, int64_t block) {
  const int64_t f = lsp_step_open_frame(l->step);
  return lsp_kept_fixed(l->e, l->layer,
                        block - lsp_blocks_of_frame(&l->e->text.plan, f));
}

/* --- messages -------------------------------------------------------------------- */

void lsp_ahead_pass(const lsp_run *e, const lsp_block_loan *loan, const float *from,
                    float *to, int64_t floats) {
  lsp_exchange *x = e->span.exchange;
  const int rank = e->job.ctx->rank;
  lsp_status st = LSP_OK;
  if (loan->from == rank && loan->to == rank)
    memcpy(to, from, (size_t)floats * sizeof(float));
  else if (loan->from == rank)
    st = lsp_exchange_send(x, loan->to, (int)loan->kind, from, floats);
  else
    st = lsp_exchange_receive(x, loan->from, (int)loan->kind, to, floats);
  LSP_ASSERT(st == LSP_OK); /* a list of some kilobytes, which grows rarely */
}

static void pass_tiles(const lsp_block_loan *loan, void *arg) {
  const lending *l = arg;
  const int rank = l->e->job.ctx->rank;
  const float *from = NULL;
  float *to = NULL;
  if (loan->from == rank)
    from = loan->kind == LSP_LOAN_KEPT ? ring_tile(l->e, l->layer, loan->first)
                                       : own_tile(l->e, l->layer, loan->first);
  if (loan->to == rank)
    to = loan->kind == LSP_LOAN_KEEP    ? ring_tile(l->e, l->layer, loan->first)
         : loan->kind == LSP_LOAN_FIXED ? fixed_tile(l, loan->first)
                                        : halo_tile(l, loan->first);
  lsp_ahead_pass(l->e, loan, from, to,
                 (loan->end - loan->first) * l->e->span.layer[l->layer].tile);
}

static void pass_kept_fixed(const lsp_block_loan *loan, void *arg) {
  const lending *l = arg;
  const int rank = l->e->job.ctx->rank;
  lsp_ahead_pass(l->e, loan,
                 loan->from == rank ? own_tile(l->e, l->layer, loan->first) : NULL,
                 loan->to == rank ? kept_fixed(l, loan->first) : NULL,
                 (loan->end - loan->first) * l->e->span.layer[l->layer].tile);
}

/* Rows of a kind, x or q, `width` floats each: where they are in the stage that has been
 * projected, in the ring, and in the one that is attended to. */
typedef struct {
  float *now, *kept, *next;
  int64_t width;
} rows;

static void pass_kind(const lending *l, const lsp_block_loan *loan, const rows *r) {
  const lsp_run *e = l->e;
  const int rank = e->job.ctx->rank;
  const int64_t block = LSP_BLOCK * r->width;
  const int64_t place =
      lsp_block_place(loan->first, l->step->ranks, e->span.layer[l->layer].wait_groups);
  const float *from = NULL;
  float *to = NULL;
  if (loan->from == rank)
    from = loan->kind == LSP_LOAN_KEPT
               ? r->kept + place * block
               : r->now + (loan->first - e->span.ahead.own.first) * block;
  if (loan->to == rank)
    to = loan->kind == LSP_LOAN_KEEP
             ? r->kept + place * block
             : r->next + (loan->first - lsp_step_rows(l->step, rank).first) * block;
  lsp_ahead_pass(l->e, loan, from, to, (loan->end - loan->first) * block);
}

static void pass_both(const lending *l, const lsp_block_loan *loan, int is_kept) {
  const lsp_run *e = l->e;
  const lsp_layer_sizes *y = &e->span.layer[l->layer];
  const lsp_model *m = &e->weights.model;
  const int64_t D = m->width, A = m->layer[l->layer].output.matrix.cols;
  float *ring = e->kept.waiting + y->wait_at;
  const rows x = {is_kept ? e->span.x_next : e->span.x, ring, e->span.x_next, D};
  const rows q = {is_kept ? e->span.q_next : e->span.q,
                  ring + y->wait_groups * LSP_KEPT_GROUP * LSP_BLOCK * D,
                  e->span.q_next, A};
  pass_kind(l, loan, &x);
  pass_kind(l, loan, &q);
}

static void pass_rows(const lsp_block_loan *loan, void *arg) {
  pass_both(arg, loan, 0);
}

/* Those of the stage before are in x_next and q_next then. */
static void keep_rows(const lsp_block_loan *loan, void *arg) {
  pass_both(arg, loan, 1);
}

/* --- a step ---------------------------------------------------------------------- */

static int moves(const lsp_step *s) {
  return s->have.first != s->want.first || s->have.end != s->want.end;
}

/* The first rows of the frame of the span's first panel, as far as earlier waves have them;
 * and what this one has. */
static void begin_fixed(lending *l) {
  lsp_run *e = l->e;
  const lsp_step *s = l->step;
  const lsp_range span = lsp_plan_span(s->plan, s->want, s->rank, s->ranks);
  const int64_t before = lsp_blocks_before(s->plan, s->have.first);
  for (l->slot = 0; l->slot < 2; l->slot++) {
    const int64_t f = lsp_step_fixed_frame(s, span, l->slot);
    e->span.ahead.fixed_frame[l->slot] = f;
    if (f >= 0) {
      const int64_t first = lsp_blocks_of_frame(s->plan, f);
      const int64_t kept = lsp_min(before - first, e->span.layer[l->layer].fixed);
      if (kept > 0)
        memcpy(fixed_tile(l, first), lsp_kept_fixed(e, l->layer, 0),
               (size_t)(kept * e->span.layer[l->layer].tile) * sizeof(float));
    }
    lsp_step_fixed_loans(s, l->slot, pass_tiles, l);
  }
}

void lsp_ahead_begin(lsp_run *e, int layer, const lsp_step *s, int64_t round) {
  lending l = {e, s, layer, round, 0};
  lsp_exchange_clear(e->span.exchange);
  lsp_step_halo_loans(s, round, pass_tiles, &l);
  if (round == 0 && moves(s))
    lsp_step_row_loans(s, pass_rows, &l);
  if (round == 0) {
    begin_fixed(&l);
    lsp_globals_lend(e, layer, s);
  }
  lsp_exchange_begin(e->span.exchange);
}

void lsp_ahead_end(lsp_run *e) {
  const double begin = MPI_Wtime();
  lsp_exchange_end(e->span.exchange);
  e->job.clock.seconds[LSP_PHASE_WAIT] += MPI_Wtime() - begin;
}

void lsp_ahead_keep(lsp_run *e, int layer, const lsp_step *s) {
  lending l = {e, s, layer, 0, 0};
  lsp_exchange_clear(e->span.exchange);
  if (e->span.layer[layer].groups > 0)
    lsp_step_keep_loans(s, pass_tiles, &l);
  if (moves(s))
    lsp_step_wait_loans(s, keep_rows, &l);
  if (e->span.layer[layer].lag > 0)
    lsp_step_open_loans(s, pass_kept_fixed, &l);
  lsp_exchange_begin(e->span.exchange);
}

/* --- what passes see ------------------------------------------------------------- */

void lsp_ahead_alone(lsp_run *e) {
  lsp_ahead *a = &e->span.ahead;
  a->above = a->below = (lsp_range){0, 0};
  a->walks_own = 1;
}

void lsp_ahead_see(lsp_run *e, int layer, const lsp_step *s, int64_t round) {
  lsp_ahead *a = &e->span.ahead;
  const lending l = {e, s, layer, round, 0};
  const lsp_rounds n = lsp_step_rounds(s, s->rank);
  parts_of(&l, &a->below, &a->above);
  if (a->below.first < a->below.end)
    a->below_tiles = halo_tile(&l, a->below.first);
  if (a->above.first < a->above.end)
    a->above_tiles = halo_tile(&l, a->above.first);
  a->walks_own = round == lsp_max(0, n.above - 1);
}

static lsp_source tiles_of(const lsp_run *e, int layer, const lsp_piece *piece,
                           const float *tile, lsp_range blocks) {
  const int64_t first = lsp_blocks_of_frame(&e->text.plan, piece->frame);
  return (lsp_source){tile, blocks.first - first, blocks.end - first,
                      e->span.layer[layer].tile};
}

/* With or without own tiles, with or without the halo. */
static int sources_of(const lsp_run *e, int layer, const lsp_piece *piece, int own,
                      int walks, lsp_source source[LSP_AHEAD_SOURCES]) {
  const lsp_ahead *a = &e->span.ahead;
  int n = 0;
  if (walks && a->above.first < a->above.end)
    source[n++] = tiles_of(e, layer, piece, a->above_tiles, a->above);
  if (own)
    source[n++] = tiles_of(e, layer, piece, e->span.tiles, a->own);
  if (walks && a->below.first < a->below.end)
    source[n++] = tiles_of(e, layer, piece, a->below_tiles, a->below);
  return n;
}

int lsp_ahead_sources(const lsp_run *e, int layer, const lsp_piece *piece, int walks,
                      lsp_source source[LSP_AHEAD_SOURCES]) {
  return sources_of(e, layer, piece, e->span.ahead.walks_own, walks, source);
}

/* Frames within the span have no place of their own: their first rows are among its tiles,
 * whichever round walks those. */
int lsp_ahead_fixed(const lsp_run *e, int layer, const lsp_piece *piece,
                    lsp_source source[LSP_AHEAD_SOURCES]) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  for (int slot = 0; slot < 2; slot++)
    if (e->span.ahead.fixed_frame[slot] == piece->frame) {
      source[0] = (lsp_source){e->span.fixed + slot * e->span.sizes.fixed_room, 0,
                               y->fixed, y->tile};
      return 1;
    }
  return sources_of(e, layer, piece, 1, 1, source);
}

const float *lsp_ahead_tile(const lsp_run *e, int layer, const lsp_piece *piece,
                            int64_t tile) {
  lsp_source source[LSP_AHEAD_SOURCES];
  const int n = sources_of(e, layer, piece, 1, 1, source);
  int i = 0;
  while (i < n && (tile < source[i].first || tile >= source[i].end))
    i++;
  LSP_ASSERT(i < n); /* it is within sight */
  return source[i].tile + (tile - source[i].first) * source[i].stride;
}
