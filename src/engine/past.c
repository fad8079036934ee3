/* Tiles that cross ranks and waves: what the plan's loans mean in this rank's memory.
 *
 *   HALO    own tiles (last piece)     -> halo
 *   KEPT    ring                       -> halo
 *   KEEP    own tiles (last piece)     -> ring
 *   FIXED   own tiles                  -> fixed, slot 0: of the frame that this span
 *                                         enters in its midst; slot 1: of the one that
 *                                         goes on in the next wave, if it is another
 *
 * A loan to oneself is copied. What must hold: a ring is written only after the last round
 * of the layer has ended, so nobody reads it then; the tiles of a span are written by the
 * next layer, after keeping has ended. */
#include "engine_internal.h"

#include <string.h>

typedef struct {
  lsp_run *e;
  int layer;
  int64_t round;
} lending;

static int64_t tile_floats(const lsp_run *e, int layer) {
  return e->span.layer[layer].tile;
}

float *lsp_own_tile(const lsp_run *e, int layer, const lsp_piece *piece, int64_t tile) {
  const int64_t own = piece->row / LSP_BLOCK + tile - piece->start / LSP_BLOCK;
  return e->span.tiles + own * tile_floats(e, layer);
}

float *lsp_kept_tile(const lsp_run *e, int layer, int64_t tile) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  return e->kept.rings + y->ring_at +
         lsp_kept_place(tile, e->job.ctx->size, y->groups) * y->tile;
}

float *lsp_kept_fixed(const lsp_run *e, int layer, int64_t tile) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  return e->kept.fixed + y->fixed_at + tile * y->tile;
}

/* --- where things lie ------------------------------------------------------------ */

/* Fixed tiles of a frame that this wave computes. */
static lsp_tiles new_fixed(const lsp_run *e, int layer, int64_t frame) {
  return lsp_plan_fixed(&e->text.plan, e->span.wave.range, frame,
                        e->span.layer[layer].fixed);
}

int lsp_past_enters(const lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  if (w->pieces == 0)
    return 0;
  const lsp_tiles t = new_fixed(e, layer, w->piece[0].frame);
  return t.first < t.end && t.first < w->piece[0].start / LSP_BLOCK;
}

const lsp_piece *lsp_past_piece(const lsp_wave *w, int64_t frame) {
  const lsp_piece *last = &w->piece[w->pieces - 1];
  return last->frame == frame ? last : &w->piece[0];
}

lsp_tiles lsp_past_round(const lsp_run *e, int layer, int64_t round) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  return lsp_plan_round(&e->text.plan, e->span.wave.span, y->near_tiles, y->room,
                        round);
}

static float *halo_tile(const lsp_run *e, int layer, int64_t round, int64_t tile) {
  const lsp_tiles t = lsp_past_round(e, layer, round);
  return e->span.halo + round % e->span.sizes.rooms * e->span.sizes.room +
         (tile - t.first) * tile_floats(e, layer);
}

const float *lsp_past_tile(const lsp_run *e, int layer, int64_t round, int64_t tile) {
  return halo_tile(e, layer, round, tile);
}

static float *fixed_tile(const lsp_run *e, int layer, int64_t frame, int64_t tile) {
  const int slot =
      lsp_past_enters(e, layer) && e->span.wave.piece[0].frame == frame ? 0 : 1;
  return e->span.fixed + slot * e->span.sizes.fixed_room + tile * tile_floats(e, layer);
}

const float *lsp_past_fixed(const lsp_run *e, int layer) {
  return lsp_past_enters(e, layer)
             ? fixed_tile(e, layer, e->span.wave.piece[0].frame, 0)
             : lsp_kept_fixed(e, layer, 0);
}

static const float *lent_from(const lending *l, const lsp_loan *loan) {
  if (loan->kind == LSP_LOAN_KEPT)
    return lsp_kept_tile(l->e, l->layer, loan->first);
  return lsp_own_tile(l->e, l->layer, lsp_past_piece(&l->e->span.wave, loan->frame),
                      loan->first);
}

static float *lent_to(const lending *l, const lsp_loan *loan) {
  if (loan->kind == LSP_LOAN_KEEP)
    return lsp_kept_tile(l->e, l->layer, loan->first);
  if (loan->kind == LSP_LOAN_FIXED)
    return fixed_tile(l->e, l->layer, loan->frame, loan->first);
  return halo_tile(l->e, l->layer, l->round, loan->first);
}

/* --- exchange -------------------------------------------------------------------- */

static void enlist(const lsp_loan *loan, void *arg) {
  const lending *l = arg;
  lsp_exchange *x = l->e->span.exchange;
  const int rank = l->e->span.wave.rank;
  const int64_t floats = (loan->end - loan->first) * tile_floats(l->e, l->layer);
  lsp_status st = LSP_OK;
  if (loan->from == rank && loan->to == rank)
    memcpy(lent_to(l, loan), lent_from(l, loan), (size_t)floats * sizeof(float));
  else if (loan->from == rank)
    st = lsp_exchange_send(x, loan->to, (int)loan->kind, lent_from(l, loan), floats);
  else
    st = lsp_exchange_receive(x, loan->from, (int)loan->kind, lent_to(l, loan), floats);
  LSP_ASSERT(st == LSP_OK); /* a list of some kilobytes, which grows rarely */
}

int64_t lsp_past_rounds(const lsp_run *e, int layer) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  return lsp_plan_rounds(&e->text.plan, e->span.wave.range, y->near_tiles, y->room);
}

/* Those of the entered frame that earlier waves computed. */
static void copy_kept_fixed(const lsp_run *e, int layer) {
  if (!lsp_past_enters(e, layer))
    return;
  const int64_t d = e->span.wave.piece[0].frame;
  memcpy(fixed_tile(e, layer, d, 0), lsp_kept_fixed(e, layer, 0),
         (size_t)(new_fixed(e, layer, d).first * tile_floats(e, layer)) *
             sizeof(float));
}

void lsp_past_again(lsp_run *e, int layer, int64_t round) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  const lsp_view_of_wave v = lsp_wave_view(e);
  lending l = {e, layer, round};
  lsp_exchange_clear(e->span.exchange);
  lsp_plan_round_loans(&v, y->near_tiles, y->room, round, enlist, &l);
  lsp_exchange_begin(e->span.exchange);
}

void lsp_past_begin(lsp_run *e, int layer, int64_t round) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  const lsp_view_of_wave v = lsp_wave_view(e);
  lending l = {e, layer, round};
  lsp_exchange_clear(e->span.exchange);
  lsp_plan_round_loans(&v, y->near_tiles, y->room, round, enlist, &l);
  if (round == 0) {
    copy_kept_fixed(e, layer);
    lsp_plan_fixed_loans(&v, y->fixed, enlist, &l);
  }
  lsp_exchange_begin(e->span.exchange);
}

void lsp_past_end(lsp_run *e) {
  const double begin = MPI_Wtime();
  lsp_exchange_end(e->span.exchange);
  e->job.clock.seconds[LSP_PHASE_WAIT] += MPI_Wtime() - begin;
}

void lsp_past_keep_begin(lsp_run *e, int layer) {
  const lsp_view_of_wave v = lsp_wave_view(e);
  lending l = {e, layer, 0};
  lsp_exchange_clear(e->span.exchange);
  lsp_plan_keep_loans(&v, e->span.layer[layer].tiles, enlist, &l);
  lsp_exchange_begin(e->span.exchange);
}

void lsp_past_keep_end(lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  const int64_t d = w->next.frame;
  lsp_past_end(e);
  if (w->next.first >= w->next.end)
    return;
  /* What is new of the frame that goes on; one that began replaces the one before. */
  const lsp_tiles t = new_fixed(e, layer, d);
  if (t.first < t.end)
    memcpy(lsp_kept_fixed(e, layer, t.first), fixed_tile(e, layer, d, t.first),
           (size_t)((t.end - t.first) * tile_floats(e, layer)) * sizeof(float));
}
