/* Memory that leaves the run: snapshots for the memory file, and rows for the store's ring,
 * from which a killed run is resumed.
 *
 * All stops are known before the run, so every rank writes the rows it owns of every
 * stop within reach, when it has them, wherever the stop itself lies; no rank collects.
 * Rows from before the first wave (the run began from a snapshot) are written by the
 * ranks that keep them. The first rows of a document, which some layers need throughout,
 * go to all of its stops at once.
 *
 *   position   | ... | from ............................... | next wave
 *   ring       | rows of earlier commits | rows of this one |
 */
#include "engine_internal.h"

#include "segment_ids.h"

#include "lsp/durable.h"
#include "strata_memory.h"

#include <stdlib.h>
#include <string.h>

static int is_wrapped(const lsp_run *e) {
  return e->text.plan.framing.whole != 0;
}

/* --- the list of stops ----------------------------------------------------------- */

static lsp_status add_stop(lsp_run *e, int64_t *room, int64_t document,
                           int64_t position) {
  if (e->text.stops == *room) {
    *room = *room == 0 ? 64 : 2 * *room;
    lsp_stop *more = realloc(e->text.stop, (size_t)*room * sizeof *more);
    if (more == NULL)
      return lsp_fail(&e->job.ctx->why, LSP_E_MEMORY, "no memory for %lld snapshots",
                      (long long)*room);
    e->text.stop = more;
  }
  e->text.stop[e->text.stops++] = (lsp_stop){document, position};
  return LSP_OK;
}

static lsp_status document_stops(lsp_run *e, int64_t *room, int64_t d, int64_t every,
                                 int at_end) {
  const lsp_plan *plan = &e->text.plan;
  const int64_t f = lsp_plan_first_frame(plan, d);
  const int64_t first = plan->token_start[f],
                last = lsp_plan_document_start(plan, d + 1);
  const int64_t origin =
      is_wrapped(e) ? lsp_segment_position(e, f, first) : lsp_plan_origin(plan, f);
  const int64_t end = origin + last - first;
  if (end == origin)
    return LSP_OK;
  for (int64_t p = every > 0 ? (origin / every + 1) * every : end; p < end; p += every)
    LSP_TRY(add_stop(e, room, d, p));
  if (at_end || (every > 0 && end % every == 0))
    LSP_TRY(add_stop(e, room, d, end));
  return LSP_OK;
}

lsp_status lsp_list_stops(lsp_run *e) {
  int64_t room = 0, last = e->text.plan.documents - 1;
  const int64_t every = e->job.options->snapshot_every > 0
                            ? e->job.options->snapshot_every * e->weights.model.segment
                            : 0;
  e->text.stops = 0;
  if ((e->text.plan.framing.tokens > 0 && !is_wrapped(e)) || e->weights.model.two_sided)
    return LSP_OK; /* nothing continues a chunk, or a text seen from both sides */
  while (last >= 0 && lsp_plan_document_start(&e->text.plan, last + 1) ==
                          lsp_plan_document_start(&e->text.plan, last))
    last--;
  for (int64_t d = 0; d < e->text.plan.documents; d++) {
    const int at_end = e->job.options->snapshots == LSP_SNAPSHOT_DOCUMENTS ||
                       (e->job.options->snapshots == LSP_SNAPSHOT_LAST && d == last);
    if (at_end || every > 0)
      LSP_TRY(document_stops(e, &room, d, every, at_end));
  }
  return LSP_OK;
}

int64_t lsp_snapshot_after(const lsp_run *e, int64_t document, int64_t position) {
  int64_t low = 0, high = e->text.stops;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    const lsp_stop *s = &e->text.stop[middle];
    if (s->document > document || (s->document == document && s->position > position))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

/* --- rows ------------------------------------------------------------------------ */

/* Where rows of keys and values go: rows of the past, or fixed ones. */
typedef struct {
  int64_t snapshot;   /* or LSP_STORE_SLOT */
  int64_t zero;       /* position of row 0 */
  int64_t first, end; /* positions that are wanted */
  int fixed;
} target;

/* Rows [first, end) of a document, as far as they are wanted, from tiles that lie side by
 * side; `tile` holds position 64 tile_first. */
static void write_rows(lsp_run *e, const target *to, int layer, const float *tile,
                       int64_t tile_first, int64_t first, int64_t end) {
  const lsp_heads h = e->weights.model.layer[layer].heads;
  const int64_t K = (int64_t)h.shared * h.width;
  float *keys = e->span.memory_rows, *values = keys + LSP_PANEL * K;
  first = lsp_max(first, to->first);
  end = lsp_min(end, to->end);
  for (int64_t at = first, n; at < end; at += n) {
    n = lsp_min(end - at, LSP_PANEL);
    for (int64_t done = 0; done < n;) {
      const int64_t x = at + done, t = x / LSP_BLOCK;
      const int64_t rows = lsp_min(at + n, (t + 1) * LSP_BLOCK) - x;
      lsp_tile_get(h, tile + (t - tile_first) * lsp_tile_floats(h),
                   (int)(x % LSP_BLOCK), (int)rows, keys + done * K, values + done * K);
      done += rows;
    }
    if (to->fixed)
      lsp_store_fixed(e->progress.store, to->snapshot, layer, at - to->zero, n, keys,
                      values);
    else
      lsp_store_memory(e->progress.store, to->snapshot, layer, at - to->zero, n, keys,
                       values);
  }
}

static void write_piece(lsp_run *e, const target *to, int layer, const lsp_piece *p) {
  write_rows(e, to, layer, lsp_own_tile(e, layer, p, p->start / LSP_BLOCK),
             p->start / LSP_BLOCK, p->first, p->end);
}

/* Rows of R of a stop. */
static target past_of_stop(const lsp_run *e, int layer, int64_t s) {
  const int64_t position = e->text.stop[s].position, R = e->span.sizes.reach;
  return (target){.snapshot = s,
                  .zero = position - R,
                  .first = position - e->span.layer[layer].reach,
                  .end = position};
}

static target fixed_of_stop(const lsp_run *e, int64_t s) {
  return (target){.snapshot = s,
                  .end = lsp_min(e->span.sizes.fixed_rows, e->text.stop[s].position),
                  .fixed = 1};
}

/* --- the ring -------------------------------------------------------------------- */

/* The frame that goes on in the next wave: positions [from, end) are added to the ring
 * by this wave's commit. from == end: none. */
typedef struct {
  int64_t frame, from, end;
  int64_t first; /* row of the frame that this wave, or the snapshot, begins with */
  int begins;    /* the frame is new to the ring */
  int fixed;     /* so are its first rows, or some of them, or there are pooled rows:
                    all of these go there anew */
} addition;

static addition addition_of(const lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  const lsp_plan *plan = &e->text.plan;
  const int64_t R = e->span.sizes.reach;
  addition a = {.frame = w->next.frame};
  if (w->next.first >= w->next.end || (R == 0 && e->span.sizes.fixed_rows == 0))
    return a;
  const int64_t start = plan->panel_start[a.frame];
  const int taken_up = w->range.first == 0 && a.frame == 0 && plan->first_position > 0;
  a.end = w->next.end * LSP_BLOCK;
  a.begins = start >= w->range.first;
  if (taken_up)
    a.first = lsp_max(0, plan->first_position - R);
  else if (!a.begins)
    a.first = lsp_panel_start(w->range.first - start +
                              lsp_panel_of(lsp_plan_begin(plan, a.frame)));
  a.from = lsp_max(a.first, a.end - R);
  a.fixed = e->span.sizes.pooled_rows > 0 ||
            e->span.sizes.fixed_rows > (a.begins ? 0 : a.first);
  return a;
}

static target ring_of(const lsp_run *e, int layer, const addition *a) {
  return (target){.snapshot = LSP_STORE_SLOT,
                  .zero = a->from,
                  .first = lsp_max(a->from, a->end - e->span.layer[layer].reach),
                  .end = a->end};
}

static target ring_fixed(const lsp_run *e, const addition *a) {
  return (target){.snapshot = LSP_STORE_SLOT,
                  .end = lsp_min(e->span.sizes.fixed_rows, a->end),
                  .fixed = 1};
}

void lsp_snapshot_commit(lsp_run *e, lsp_commit *next) {
  const addition a = addition_of(e);
  const int goes_on = a.end > 0;
  const int64_t n = a.end - a.from, R = e->span.sizes.reach;
  const int64_t F = e->span.sizes.fixed_rows, Q = e->span.sizes.pooled_rows;
  next->fixed_new = goes_on && a.fixed;
  next->fixed_rows = !goes_on ? 0 : Q > 0 ? F + Q : lsp_min(F, a.end);
  next->memory_end += n;
  next->memory_rows = !goes_on ? 0 : a.begins ? n : lsp_min(R, next->memory_rows + n);
}

/* --- a layer --------------------------------------------------------------------- */

/* Kept rows before the run's first position to one target; rank 0 has the fixed ones and
 * those within the first panel. */
static void write_kept(lsp_run *e, int layer, const target *to) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  const int64_t position = e->text.plan.first_position;
  const lsp_tiles t = lsp_plan_past(&e->text.plan, 0, y->tiles);
  if (to->fixed) {
    if (e->job.ctx->rank == 0)
      write_rows(e, to, layer, lsp_kept_fixed(e, layer, 0), 0, 0, position);
    return;
  }
  for (int64_t tile = t.first; tile < t.end; tile++)
    if (lsp_kept_rank(tile, e->job.ctx->size) == e->job.ctx->rank)
      write_rows(e, to, layer, lsp_kept_tile(e, layer, tile), tile, tile * LSP_BLOCK,
                 lsp_min(position, (tile + 1) * LSP_BLOCK));
  if (e->job.ctx->rank == 0 && e->kept.opening_first < e->kept.opening_end)
    write_rows(e, to, layer, e->kept.opening + y->opening_at, e->kept.opening_first,
               e->kept.opening_first * LSP_BLOCK, position);
}

void lsp_snapshot_before(lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  if (w->range.first != 0 || e->text.plan.first_position == 0 || is_wrapped(e))
    return;
  lsp_strata_save_kept(e, layer);
  for (int64_t s = 0; s < e->text.stops && e->text.stop[s].document == 0; s++) {
    const target past = past_of_stop(e, layer, s), fixed = fixed_of_stop(e, s);
    write_kept(e, layer, &past);
    write_kept(e, layer, &fixed);
  }
  const addition a = addition_of(e);
  if (a.end > 0 && a.frame == 0) {
    const target past = ring_of(e, layer, &a), fixed = ring_fixed(e, &a);
    write_kept(e, layer, &past);
    write_kept(e, layer, &fixed);
  }
}

/* A piece to the stops of its document that want rows of it. */
static void write_to_stops(lsp_run *e, int layer, const lsp_piece *p) {
  for (int64_t s = lsp_snapshot_after(e, p->frame, p->first);
       s < e->text.stops && e->text.stop[s].document == p->frame; s++) {
    const target past = past_of_stop(e, layer, s);
    const target fixed = fixed_of_stop(e, s);
    if (p->start >= e->span.sizes.fixed_rows && past.first >= p->end)
      return;
    write_piece(e, &past, layer, p);
    if (p->start < fixed.end)
      write_piece(e, &fixed, layer, p);
  }
}

void lsp_snapshot_layer(lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  if (is_wrapped(e))
    return; /* no keys go on */
  for (int64_t i = 0; i < w->pieces; i++) {
    write_to_stops(e, layer, &w->piece[i]);
    lsp_strata_save_piece(e, layer, &w->piece[i]);
  }
  const addition a = addition_of(e);
  if (a.end == 0)
    return;
  lsp_strata_save_slot(e, layer, a.end);
  const target past = ring_of(e, layer, &a), fixed = ring_fixed(e, &a);
  if (a.fixed && !a.begins && e->job.ctx->rank == 0) /* those of earlier waves */
    write_rows(e, &fixed, layer, lsp_kept_fixed(e, layer, 0), 0, 0, a.first);
  if (w->pieces == 0)
    return;
  const lsp_piece *last = &w->piece[w->pieces - 1];
  if (last->frame != a.frame)
    return;
  write_piece(e, &past, layer, last);
  if (a.fixed && last->start < fixed.end)
    write_piece(e, &fixed, layer, last);
}

/* --- the last token of each stop ------------------------------------------------- */

void lsp_snapshot_ends(lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  const int64_t D = e->weights.model.width;
  if (is_wrapped(e)) {
    if (e->text.stops > 0)
      lsp_segment_ends(e);
    return;
  }
  for (int64_t i = 0; i < w->pieces; i++) {
    const lsp_piece *p = &w->piece[i];
    for (int64_t s = lsp_snapshot_after(e, p->frame, p->first);
         s < e->text.stops && e->text.stop[s].document == p->frame &&
         e->text.stop[s].position <= p->end;
         s++) {
      const int64_t last = e->text.stop[s].position - 1;
      const int64_t token = lsp_plan_token(&e->text.plan, p->frame, last);
      lsp_store_memory_end(e->progress.store, s, e->span.id[token - w->token_first],
                           e->span.x + (p->row + last - p->start) * D);
    }
  }
}

/* --- reading --------------------------------------------------------------------- */

/* Where memory is read from: the ring of this run, or (file) the last snapshot of another,
 * which ends at `position`. */
typedef struct {
  lsp_run *e;
  const lsp_file_view *file;
  int64_t position;
} source;

static lsp_status read_file(const source *f, int layer, int64_t row, int64_t rows,
                            float *keys, float *values) {
  const lsp_memory_spec *m = &f->file->memory;
  lsp_failure *why = &f->e->job.ctx->why;
  const char *path = f->e->job.options->from_snapshot;
  const int64_t row_bytes = (int64_t)m->width * (int64_t)sizeof(float);
  const int64_t at =
      (((m->snapshots - 1) * m->layers + layer) * (m->fixed + m->rows) + row) *
      row_bytes;
  LSP_TRY(lsp_read_at(f->file->fd, path, keys, rows * row_bytes,
                      f->file->extent[LSP_SNAPSHOT_KEYS].offset + at, why));
  return lsp_read_at(f->file->fd, path, values, rows * row_bytes,
                     f->file->extent[LSP_SNAPSHOT_VALUES].offset + at, why);
}

lsp_status lsp_snapshot_read_fixed(lsp_run *e, const lsp_file_view *file, int layer,
                                   int64_t first, int64_t rows, float *keys,
                                   float *values) {
  const source f = {e, file, 0};
  if (file != NULL)
    return read_file(&f, layer, first, rows, keys, values);
  return lsp_store_read_fixed(e->progress.store, layer, first, rows, keys, values);
}

/* Positions [first, end), of the past or fixed. */
static lsp_status read_rows(const source *f, int layer, int fixed, int64_t first,
                            int64_t end, float *keys, float *values) {
  const int64_t n = end - first, back = f->position - first;
  lsp_store *store = f->e->progress.store;
  if (fixed)
    return lsp_snapshot_read_fixed(f->e, f->file, layer, first, n, keys, values);
  if (f->file != NULL)
    return read_file(f, layer, f->file->memory.fixed + f->file->memory.rows - back, n,
                     keys, values);
  return lsp_store_read_memory(store, layer, f->e->span.sizes.reach - back, n, keys,
                               values);
}

/* Rows of one tile, from `low` on. */
static lsp_status load_tile(const source *f, int layer, int fixed, int64_t tile,
                            int64_t low, float *to) {
  const lsp_heads h = f->e->weights.model.layer[layer].heads;
  const int64_t K = (int64_t)h.shared * h.width;
  const int64_t first = lsp_max(low, tile * LSP_BLOCK);
  const int64_t end = lsp_min(f->position, (tile + 1) * LSP_BLOCK);
  float *keys = f->e->span.memory_rows, *values = keys + LSP_PANEL * K;
  if (first >= end)
    return LSP_OK;
  LSP_TRY(read_rows(f, layer, fixed, first, end, keys, values));
  lsp_tile_put(h, to, (int)(first % LSP_BLOCK), (int)(end - first), keys, values, K);
  return LSP_OK;
}

static lsp_status load_layer(const source *f, lsp_tiles all, int layer) {
  lsp_run *e = f->e;
  const lsp_layer_sizes *y = &e->span.layer[layer];
  const int64_t low = lsp_max(0, f->position - y->reach);
  const int64_t border = all.end;
  for (int64_t t = lsp_max(0, border - y->tiles); t < border; t++)
    if (lsp_kept_rank(t, e->job.ctx->size) == e->job.ctx->rank)
      LSP_TRY(load_tile(f, layer, 0, t, low, lsp_kept_tile(e, layer, t)));
  const int64_t S = lsp_min(e->span.sizes.fixed_rows, f->position);
  const source fixed = {f->e, f->file, S};
  for (int64_t t = 0; t < lsp_divide_up(S, LSP_BLOCK); t++)
    LSP_TRY(load_tile(&fixed, layer, 1, t, 0, lsp_kept_fixed(e, layer, t)));
  for (int64_t t = e->kept.opening_first; t < e->kept.opening_end; t++) {
    float *to = e->kept.opening + y->opening_at + (t - e->kept.opening_first) * y->tile;
    LSP_TRY(load_tile(f, layer, 0, t, low, to));
    /* Fixed rows may be here, too, and before those within reach. */
    LSP_TRY(load_tile(&fixed, layer, 1, t, 0, to));
  }
  return lsp_strata_load(e, f->file, layer, f->position, border * LSP_BLOCK);
}

/* What this rank keeps of the memory before the first wave. */
lsp_status lsp_snapshot_load(lsp_run *e, const lsp_file_view *from) {
  if (is_wrapped(e))
    return LSP_OK;
  const lsp_tiles all =
      lsp_plan_past(&e->text.plan, e->progress.commit.panel_end, LSP_TILES_ALL);
  const source f = {e, from,
                    from != NULL ? e->text.plan.first_position : all.end * LSP_BLOCK};
  if (from != NULL && e->job.ctx->rank == 0) {
    e->kept.opening_first = all.end;
    e->kept.opening_end = lsp_divide_up(f.position, LSP_BLOCK);
  }
  LSP_TRY(lsp_scratch_reserve(e, all.end, &e->job.ctx->why));
  for (int layer = 0; layer < e->weights.model.layers; layer++)
    LSP_TRY(load_layer(&f, all, layer));
  return LSP_OK;
}
