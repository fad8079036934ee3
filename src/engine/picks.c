/* Picked blocks: which, where they are, and how those of other ranks come.
 *
 * A batch is as many panels in a row as pick no more parts than there is room for. What
 * the next batch wants of them stays, and as long as nothing needs its slot the rest does,
 * too. */
#include "picks.h"

#include "picking.h"
#include "states.h"

#include <stdlib.h>
#include <string.h>

/* --- the lists of a run ---------------------------------------------------------- */

static int64_t panels_of(const lsp_run *e) {
  return e->span.sizes.span_rows / LSP_BLOCK + 1;
}

int64_t lsp_picking_size(int64_t parts, int64_t panels) {
  return 2 * lsp_key_set_size(parts) +
         parts * (int64_t)(sizeof(int8_t) + sizeof(lsp_missing)) +
         (panels + (int64_t)LSP_BLOCK * LSP_PICKS_MAX) * (int64_t)sizeof(int64_t) +
         lsp_fetch_size(parts);
}

static int open_lists(lsp_picking *k, int64_t parts, int64_t panels) {
  const int held = lsp_key_set_open(&k->held, parts);
  const int want = lsp_key_set_open(&k->want, parts);
  const size_t n = (size_t)lsp_max(parts, 1);
  k->wanted = calloc(n, sizeof *k->wanted);
  k->missing = calloc(n, sizeof *k->missing);
  k->batch_end = calloc((size_t)panels, sizeof *k->batch_end);
  k->tile = calloc((size_t)LSP_BLOCK * LSP_PICKS_MAX, sizeof *k->tile);
  return held && want && k->wanted != NULL && k->missing != NULL &&
         k->batch_end != NULL && k->tile != NULL;
}

lsp_status lsp_picking_open(lsp_run *e) {
  int picks = 0;
  for (int i = 0; i < e->weights.model.layers; i++)
    picks |= lsp_layer_picks(&e->weights.model.layer[i]);
  if (!picks)
    return LSP_OK;
  const int64_t parts = e->span.sizes.parts;
  lsp_picking *k = calloc(1, sizeof *k);
  e->span.picking = k;
  LSP_TRY(
      lsp_agree(e->job.ctx, k != NULL && open_lists(k, parts, panels_of(e))
                                ? LSP_OK
                                : lsp_fail(&e->job.ctx->why, LSP_E_MEMORY,
                                           "no memory for lists of picked blocks")));
  LSP_ASSERT(k != NULL);
  return parts == 0 ? LSP_OK : lsp_fetch_open(e->job.ctx, parts, &k->fetch);
}

void lsp_picking_close(lsp_run *e) {
  lsp_picking *k = e->span.picking;
  if (k == NULL)
    return;
  lsp_fetch_close(&k->fetch);
  lsp_key_set_close(&k->held);
  lsp_key_set_close(&k->want);
  free(k->wanted);
  free(k->missing);
  free(k->batch_end);
  free(k->tile);
  free(k);
  e->span.picking = NULL;
}

lsp_traffic lsp_run_traffic(const lsp_run *e) {
  lsp_traffic t = lsp_exchange_traffic(e->span.exchange);
  if (e->span.picking != NULL && e->span.picking->fetch != NULL) {
    const lsp_traffic fetched = lsp_fetch_traffic(e->span.picking->fetch);
    t.messages += fetched.messages;
    t.bytes += fetched.bytes;
  }
  const lsp_traffic states = lsp_states_traffic(e);
  t.messages += states.messages;
  t.bytes += states.bytes;
  return t;
}

/* --- which ----------------------------------------------------------------------- */

static int shared_of(lsp_heads h, int head) {
  return head / (h.query / h.shared);
}

/* What a block of queries (chosen) or one of them (selected) chose, and how many. */
static const int32_t *choices_at(const lsp_run *e, int layer, const lsp_pattern *p,
                                 const lsp_panel *panel, int64_t position, int head) {
  const lsp_heads h = e->weights.model.layer[layer].heads;
  int64_t row = panel->row + position - panel->start;
  if (p->kind == LSP_PATTERN_CHOSEN)
    row /= LSP_BLOCK;
  return e->span.choice + (row * h.shared + shared_of(h, head)) * lsp_choices_of(p);
}

static int rising(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* Of a list each number once, rising. */
static int64_t without_repetition(int64_t *list, int64_t n) {
  int64_t left = 0;
  if (n > 1)
    qsort(list, (size_t)n, sizeof *list, rising);
  for (int64_t i = 0; i < n; i++)
    if (left == 0 || list[left - 1] != list[i])
      list[left++] = list[i];
  return left;
}

static int64_t drawn(const lsp_run *e, int layer, const lsp_pattern *p,
                     const lsp_panel *panel, int64_t position, int head,
                     int64_t block[LSP_PICKS_MAX]) {
  const int64_t rows = lsp_plan_end(&e->text.plan, panel->piece->frame);
  return lsp_draw_blocks(p, layer, head, position / LSP_BLOCK,
                         lsp_divide_up(rows, LSP_BLOCK), block);
}

int64_t lsp_picks_most(const lsp_run *e, int layer, const lsp_pattern *p) {
  (void)e;
  (void)layer;
  return p->kind == LSP_PATTERN_SELECTED ? (int64_t)LSP_BLOCK * lsp_choices_of(p)
                                         : p->blocks;
}

int64_t lsp_picks_of(const lsp_run *e, int layer, const lsp_pattern *p,
                     const lsp_panel *panel, int64_t position, int head,
                     int64_t *tile) {
  const lsp_heads h = e->weights.model.layer[layer].heads;
  const int64_t choices = lsp_choices_of(p);
  const int rows = p->kind == LSP_PATTERN_SELECTED ? LSP_BLOCK : 1;
  int64_t n = 0, block[LSP_PICKS_MAX];
  if (p->kind == LSP_PATTERN_RANDOM) {
    n = drawn(e, layer, p, panel, position, head, block);
    memcpy(tile, block, (size_t)n * sizeof *tile);
    return n;
  }
  const int32_t *choice = choices_at(e, layer, p, panel, position, head);
  for (int i = 0; i < rows; i++, choice += h.shared * choices)
    for (int64_t c = 0; c < choices && choice[c] >= 0; c++)
      tile[n++] = choice[c];
  return rows == 1 ? n : without_repetition(tile, n);
}

int lsp_picks_sees(const lsp_run *e, int layer, const lsp_pattern *p,
                   const lsp_panel *panel, int64_t position, int head, int64_t tile) {
  int64_t block[LSP_PICKS_MAX];
  if (p->kind == LSP_PATTERN_RANDOM) {
    const int64_t n = drawn(e, layer, p, panel, position, head, block);
    for (int64_t i = 0; i < n; i++)
      if (block[i] == tile)
        return 1;
    return 0;
  }
  const int32_t *choice = choices_at(e, layer, p, panel, position, head);
  for (int64_t c = 0; c < lsp_choices_of(p) && choice[c] >= 0; c++)
    if (choice[c] == tile)
      return 1;
  return 0;
}

/* --- where ----------------------------------------------------------------------- */

static lsp_view_of_wave wave_of(const lsp_run *e, int rank) {
  return (lsp_view_of_wave){&e->text.plan, e->span.wave.range, rank, e->job.ctx->size};
}

/* Tiles of a frame before the wave: they lie in rings. */
static int64_t tiles_before(const lsp_run *e, int64_t frame) {
  const lsp_tiles t =
      lsp_plan_past(&e->text.plan, e->span.wave.range.first, LSP_TILES_ALL);
  return t.frame == frame ? t.end : 0;
}

/* What this rank has of the past of its first piece. */
static void locate(lsp_run *e, int layer) {
  lsp_picking *k = e->span.picking;
  const lsp_wave *w = &e->span.wave;
  k->near = (lsp_tiles){-1, 0, 0};
  k->near_tile = NULL;
  k->before = 0;
  if (w->pieces == 0)
    return;
  k->before = tiles_before(e, w->piece[0].frame);
  if (e->span.layer[layer].near_tiles == 0)
    return;
  k->near = lsp_past_round(e, layer, 0);
  k->near_tile = lsp_past_tile(e, layer, 0, k->near.first);
}

/* A tile that this rank has; NULL: it must be fetched. */
static const float *tile_here(const lsp_run *e, int layer, const lsp_piece *piece,
                              int64_t tile) {
  const lsp_picking *k = e->span.picking;
  const lsp_layer_sizes *y = &e->span.layer[layer];
  if (tile >= piece->start / LSP_BLOCK)
    return lsp_own_tile(e, layer, piece, tile);
  if (tile >= k->near.first && tile < k->near.end)
    return k->near_tile + (tile - k->near.first) * y->tile;
  if ((tile + 1) * LSP_BLOCK <= e->span.sizes.fixed_rows) /* a snapshot has no more */
    return lsp_past_fixed(e, layer) + tile * y->tile;
  if (tile < k->before && lsp_kept_rank(tile, e->job.ctx->size) == e->job.ctx->rank)
    return lsp_kept_tile(e, layer, tile);
  return NULL;
}

/* The rank that has a tile of the first piece's frame. */
static int peer_of(const lsp_run *e, int64_t tile) {
  if (tile < e->span.picking->before)
    return lsp_kept_rank(tile, e->job.ctx->size);
  const lsp_view_of_wave v = wave_of(e, e->job.ctx->rank);
  return lsp_plan_owner(&v, e->span.wave.piece[0].frame, tile);
}

static int64_t part_floats(const lsp_run *e, int layer) {
  return lsp_tile_head(e->weights.model.layer[layer].heads);
}

static float *slot_at(const lsp_run *e, int layer, int64_t slot) {
  return e->span.picked + slot * part_floats(e, layer);
}

const float *lsp_picks_tile(const lsp_run *e, int layer, const lsp_piece *piece,
                            int64_t tile, int shared) {
  const int G = e->weights.model.layer[layer].heads.shared;
  const float *whole = tile_here(e, layer, piece, tile);
  if (whole != NULL)
    return whole + shared * part_floats(e, layer);
  const int64_t slot = lsp_key_set_find(&e->span.picking->held, tile * G + shared);
  LSP_ASSERT(slot >= 0);
  return slot_at(e, layer, slot);
}

/* --- what a batch wants ---------------------------------------------------------- */

/* What one block of queries wants of one head; 0: there is no room for it. */
static int want_block(lsp_run *e, int layer, const lsp_pattern *p,
                      const lsp_panel *panel, int64_t position, int head) {
  lsp_picking *k = e->span.picking;
  const lsp_heads h = e->weights.model.layer[layer].heads;
  const int64_t n = lsp_picks_of(e, layer, p, panel, position, head, k->tile);
  for (int64_t i = 0; i < n; i++) {
    if (tile_here(e, layer, panel->piece, k->tile[i]) != NULL)
      continue;
    k->asked++;
    if (!lsp_key_set_add(&k->want, k->tile[i] * h.shared + shared_of(h, head)))
      return 0;
  }
  return 1;
}

/* Calls for each block of a panel and each head that picks by itself; 0 as soon as a call
 * returns 0. */
typedef int each_block(lsp_run *e, int layer, const lsp_pattern *p,
                       const lsp_panel *panel, int64_t position, int head);

static int each_of_panel(lsp_run *e, int layer, const lsp_panel *panel,
                         each_block *each) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const int group = l->heads.query / l->heads.shared;
  for (int b = 0; b < l->branches; b++) {
    const lsp_pattern *p = &l->branch[b];
    const int step = p->kind == LSP_PATTERN_RANDOM ? 1 : group;
    if (!lsp_pattern_picks(p))
      continue;
    for (int row = 0; row < panel->rows; row += LSP_BLOCK)
      for (int head = 0; head < l->heads.query; head += step)
        if (panel->start + row < panel->piece->end &&
            !each(e, layer, p, panel, panel->start + row, head))
          return 0;
  }
  return 1;
}

/* Wants of panels from `first` on, as many as there is room for; returns the end. */
static int64_t want_batch(lsp_run *e, int layer, int64_t first) {
  lsp_picking *k = e->span.picking;
  const lsp_wave *w = &e->span.wave;
  int64_t end = first;
  lsp_key_set_clear(&k->want);
  while (end < w->panels && each_of_panel(e, layer, &w->panel[end], want_block))
    end++;
  LSP_ASSERT(end > first || first == w->panels); /* there is room for a panel */
  return end;
}

/* --- counters -------------------------------------------------------------------- */

/* Blocks that any of the queries of a block might pick. */
static int64_t visible_of(const lsp_run *e, int layer, const lsp_pattern *p,
                          const lsp_panel *panel, int64_t position) {
  const int64_t b = position / LSP_BLOCK;
  int64_t low = lsp_max(0, b - p->block_reach), high = b - 1 - p->beyond;
  if (p->kind == LSP_PATTERN_SELECTED) {
    const lsp_pattern *pooled = lsp_picks_pooled(e, layer);
    low = lsp_pooled_keys(pooled, 1, position).first * pooled->pool / LSP_BLOCK;
  } else if (p->two_sided) {
    const int64_t rows = lsp_plan_end(&e->text.plan, panel->piece->frame);
    const int64_t last = lsp_block_of(rows - 1);
    high = lsp_min(last, b + p->block_reach);
    low += lsp_max(0, lsp_min(last, b + p->beyond) - lsp_max(0, b - p->beyond) + 1);
  }
  return lsp_max(0, high - low + 1);
}

static int count_block(lsp_run *e, int layer, const lsp_pattern *p,
                       const lsp_panel *panel, int64_t position, int head) {
  lsp_picked_counts *c = &e->job.clock.picked;
  const int kind = p->kind == LSP_PATTERN_RANDOM   ? LSP_PICKED_RANDOM
                   : p->kind == LSP_PATTERN_CHOSEN ? LSP_PICKED_CHOSEN
                                                   : LSP_PICKED_SELECTED;
  c->touched[kind] +=
      lsp_picks_of(e, layer, p, panel, position, head, e->span.picking->tile);
  c->visible[kind] += visible_of(e, layer, p, panel, position);
  return 1;
}

/* --- batches --------------------------------------------------------------------- */

const lsp_pattern *lsp_picks_pooled(const lsp_run *e, int layer) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_COMPRESSED)
      return &l->branch[b];
  return NULL;
}

static void choose(lsp_run *e, int layer) {
  const lsp_pattern *p = lsp_layer_chooser(&e->weights.model.layer[layer]);
  const double begin = MPI_Wtime();
  if (p == NULL)
    return;
  if (p->kind == LSP_PATTERN_CHOSEN)
    lsp_choose_blocks(e, layer, p);
  else
    lsp_choose_tokens(e, layer, p);
  e->job.clock.seconds[LSP_PHASE_ATTEND] += MPI_Wtime() - begin;
}

/* Nothing of another layer or wave is in the slots. */
static void empty_slots(lsp_picking *k, int64_t parts) {
  k->parts = parts;
  k->hand = 0;
  k->want.room = k->held.room = parts;
  lsp_key_set_clear(&k->held);
  for (int64_t slot = 0; slot < parts; slot++)
    k->held.key[slot] = -1;
}

/* Returns whether anything is wanted at all. */
static int plan_batches(lsp_run *e, int layer) {
  lsp_picking *k = e->span.picking;
  int wants = 0;
  k->batches = 0;
  for (int64_t first = 0; first < e->span.wave.panels;) {
    first = want_batch(e, layer, first);
    wants |= k->want.count > 0;
    k->batch_end[k->batches++] = first;
  }
  return wants;
}

int64_t lsp_picks_open(lsp_run *e, int layer) {
  lsp_picking *k = e->span.picking;
  choose(e, layer);
  locate(e, layer);
  /* A frame by itself needs none of other ranks. */
  empty_slots(k, e->span.wave.ranks == 1 ? 0 : e->span.layer[layer].parts);
  k->fetches = 0;
  k->batches = 1;
  k->batch_end[0] = e->span.wave.panels;
  if (k->parts == 0)
    return 1;
  int64_t most[2] = {1, plan_batches(e, layer)};
  most[0] = lsp_max(1, k->batches);
  const double begin = MPI_Wtime();
  LSP_MPI(MPI_Allreduce(MPI_IN_PLACE, most, 2, MPI_INT64_T, MPI_MAX, e->job.ctx->comm));
  e->job.clock.seconds[LSP_PHASE_WAIT] += MPI_Wtime() - begin;
  k->fetches = most[1] > 0;
  return most[0];
}

/* --- fetching -------------------------------------------------------------------- */

typedef struct {
  const lsp_run *e;
  int layer;
} lender;

/* What a rank means by a key: a part of the first frame of its span. */
static const float *find_part(int peer, int64_t key, void *arg) {
  const lender *l = arg;
  const lsp_run *e = l->e;
  const lsp_wave *w = &e->span.wave;
  const int G = e->weights.model.layer[l->layer].heads.shared;
  const lsp_range span = lsp_plan_span(&e->text.plan, w->range, peer, e->job.ctx->size);
  const int64_t frame = lsp_plan_frame(&e->text.plan, span.first), tile = key / G;
  const int64_t at = key % G * part_floats(e, l->layer);
  if (tile < tiles_before(e, frame))
    return lsp_kept_tile(e, l->layer, tile) + at;
  const lsp_piece *last = &w->piece[w->pieces - 1];
  LSP_ASSERT(last->frame == frame);
  return lsp_own_tile(e, l->layer, last, tile) + at;
}

static int by_peer(const void *a, const void *b) {
  const lsp_missing *x = a, *y = b;
  if (x->peer != y->peer)
    return x->peer < y->peer ? -1 : 1;
  return (x->key > y->key) - (x->key < y->key);
}

/* Of what is wanted, what is not there, in the order in which it is asked for. */
static int64_t list_missing(lsp_run *e, int layer) {
  lsp_picking *k = e->span.picking;
  const int G = e->weights.model.layer[layer].heads.shared;
  int64_t n = 0;
  memset(k->wanted, 0, (size_t)k->parts);
  for (int64_t i = 0; i < k->want.count; i++) {
    const int64_t slot = lsp_key_set_find(&k->held, k->want.key[i]);
    if (slot >= 0)
      k->wanted[slot] = 1;
    else
      k->missing[n++] =
          (lsp_missing){k->want.key[i], peer_of(e, k->want.key[i] / G), 0};
  }
  e->job.clock.picked.hits += k->asked - n;
  if (n > 1)
    qsort(k->missing, (size_t)n, sizeof *k->missing, by_peer);
  return n;
}

/* A slot for each, of what has not been wanted for long. */
static void give_slots(lsp_picking *k, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    while (k->wanted[k->hand])
      k->hand = (k->hand + 1) % k->parts;
    k->missing[i].slot = (int32_t)k->hand;
    k->held.key[k->hand] = k->missing[i].key;
    k->hand = (k->hand + 1) % k->parts;
  }
  lsp_key_set_clear(&k->held);
  for (int64_t slot = 0; slot < k->parts; slot++)
    if (k->held.key[slot] >= 0)
      lsp_key_set_put(&k->held, k->held.key[slot], slot);
}

static void fetch(lsp_run *e, int layer) {
  lsp_picking *k = e->span.picking;
  const int64_t n = list_missing(e, layer), floats = part_floats(e, layer);
  const double begin = MPI_Wtime();
  lender l = {e, layer};
  give_slots(k, n);
  lsp_fetch_clear(k->fetch);
  for (int64_t i = 0; i < n; i++)
    lsp_fetch_ask(k->fetch, k->missing[i].peer, k->missing[i].key,
                  slot_at(e, layer, k->missing[i].slot));
  lsp_fetch_round(k->fetch, floats, find_part, &l);
  e->job.clock.picked.parts += n;
  e->job.clock.picked.bytes += n * floats * (int64_t)sizeof(float);
  e->job.clock.seconds[LSP_PHASE_WAIT] += MPI_Wtime() - begin;
}

lsp_range lsp_picks_fetch(lsp_run *e, int layer, int64_t batch) {
  lsp_picking *k = e->span.picking;
  const lsp_wave *w = &e->span.wave;
  lsp_range panels = {w->panels, w->panels};
  if (batch < k->batches)
    panels = (lsp_range){batch == 0 ? 0 : k->batch_end[batch - 1], k->batch_end[batch]};
  lsp_key_set_clear(&k->want);
  k->asked = 0;
  for (int64_t i = panels.first; i < panels.end; i++) {
    (void)each_of_panel(e, layer, &w->panel[i], count_block);
    if (k->fetches)
      (void)each_of_panel(e, layer, &w->panel[i], want_block);
  }
  if (k->fetches)
    fetch(e, layer);
  return panels;
}
