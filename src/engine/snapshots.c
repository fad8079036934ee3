/* Memory that leaves the run: snapshots for the memory file, and the rows that the slot
 * gets with the commit to come.
 *
 * All stops are known before the run, so every rank writes the rows it owns of every
 * stop within reach, when it has them, wherever the stop itself lies; no rank collects.
 * Only memory from before the wave is written by rank 0, who carries it, when the run
 * began from a snapshot. */
#include "engine_internal.h"

#include "lsp/durable.h"

#include <stdlib.h>
#include <string.h>

/* --- the list of stops ----------------------------------------------------------- */

static lsp_status add_stop(lsp_run *e, int64_t *room, int64_t document,
                           int64_t position) {
  if (e->stops == *room) {
    *room = *room == 0 ? 64 : 2 * *room;
    lsp_stop *more = realloc(e->stop, (size_t)*room * sizeof *more);
    if (more == NULL)
      return lsp_fail(&e->ctx->why, LSP_E_MEMORY, "no memory for %lld snapshots",
                      (long long)*room);
    e->stop = more;
  }
  e->stop[e->stops++] = (lsp_stop){document, position};
  return LSP_OK;
}

static lsp_status document_stops(lsp_run *e, int64_t *room, int64_t d, int64_t every,
                                 int at_end) {
  const lsp_plan *plan = &e->plan;
  const int64_t origin = lsp_plan_origin(plan, d);
  const int64_t end = origin + plan->token_start[d + 1] - plan->token_start[d];
  if (end == origin)
    return LSP_OK;
  for (int64_t p = every > 0 ? (origin / every + 1) * every : end; p < end; p += every)
    LSP_TRY(add_stop(e, room, d, p));
  if (at_end || (every > 0 && end % every == 0))
    LSP_TRY(add_stop(e, room, d, end));
  return LSP_OK;
}

lsp_status lsp_list_stops(lsp_run *e) {
  int64_t room = 0, last = e->plan.documents - 1;
  const int64_t every = e->options->snapshot_every > 0
                            ? e->options->snapshot_every * e->plan.pattern.segment
                            : 0;
  e->stops = 0;
  while (last >= 0 && e->plan.token_start[last + 1] == e->plan.token_start[last])
    last--;
  for (int64_t d = 0; d < e->plan.documents; d++) {
    const int at_end = e->options->snapshots == LSP_SNAPSHOT_DOCUMENTS ||
                       (e->options->snapshots == LSP_SNAPSHOT_LAST && d == last);
    if (at_end || every > 0)
      LSP_TRY(document_stops(e, &room, d, every, at_end));
  }
  return LSP_OK;
}

/* First stop of a document with a position above `position`. */
static int64_t stop_after(const lsp_run *e, int64_t document, int64_t position) {
  int64_t low = 0, high = e->stops;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    const lsp_stop *s = &e->stop[middle];
    if (s->document > document || (s->document == document && s->position > position))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

/* --- rows ------------------------------------------------------------------------ */

/* The slot has, of the document under way at the end of the wave, the rows up to the
 * wave. Appended are the rows from here on that are memory at its end: those of the wave,
 * in the first one also what was carried into it. */
static int64_t appended_from(const lsp_run *e) {
  const lsp_wave *w = &e->wave;
  const int goes_on = w->range.first > 0 && w->carried.document == w->next.document;
  return lsp_max(w->next.end * LSP_BLOCK - e->reach,
                 goes_on ? w->carried.end * LSP_BLOCK : 0);
}

static int is_carried_on(const lsp_run *e) {
  return e->reach > 0 && e->wave.next.first < e->wave.next.end;
}

void lsp_snapshot_record(const lsp_run *e, lsp_commit *commit) {
  const int64_t position = e->wave.next.end * LSP_BLOCK;
  commit->memory_rows = is_carried_on(e) ? lsp_min(e->reach, position) : 0;
  if (is_carried_on(e))
    commit->memory_end += position - appended_from(e);
}

/* Rows [first, end) of a document's memory, in tiles from `tile` on (whose first
 * position is 64 tile_first), to a stop at `position`. */
static void write_rows(lsp_run *e, int64_t snapshot, int64_t position, int layer,
                       const float *tile, int64_t tile_first, int64_t first,
                       int64_t end) {
  const int64_t A = (int64_t)e->heads.heads * e->heads.width;
  first = lsp_max(first, position - e->reach);
  end = lsp_min(end, position);
  if (first >= end)
    return;
  float *keys = e->memory_rows, *values = keys + e->reach * A;
  for (int64_t at = first; at < end;) {
    const int64_t t = at / LSP_BLOCK;
    const int64_t n = lsp_min(end, (t + 1) * LSP_BLOCK) - at;
    lsp_tile_get(e->heads, tile + (t - tile_first) * lsp_tile_floats(e->heads),
                 (int)(at % LSP_BLOCK), (int)n, keys + (at - first) * A,
                 values + (at - first) * A);
    at += n;
  }
  lsp_store_memory(e->store, snapshot, layer,
                   snapshot == LSP_STORE_SLOT ? first - appended_from(e)
                                              : e->reach - (position - first),
                   end - first, keys, values);
}

static void write_piece(lsp_run *e, int64_t snapshot, int64_t position, int layer,
                        const lsp_piece *piece) {
  write_rows(e, snapshot, position, layer,
             lsp_forward_tile(e, layer, piece, piece->start / LSP_BLOCK),
             piece->start / LSP_BLOCK, piece->first, piece->end);
}

/* What rank 0 carried into the wave: rows before the wave's first token. */
static void write_carried(lsp_run *e, int64_t snapshot, int64_t position, int layer) {
  const lsp_wave *w = &e->wave;
  if (e->ctx->rank != 0 || w->carried.first >= w->carried.end)
    return;
  const int64_t first_token =
      w->range.first == 0
          ? e->plan.first_position
          : lsp_panel_start(
                w->range.first - e->plan.panel_start[w->carried.document] +
                lsp_panel_of(lsp_plan_origin(&e->plan, w->carried.document)));
  const float *tile =
      e->carry[0] + layer * e->sizes.carry_tiles * lsp_tile_floats(e->heads);
  write_rows(e, snapshot, position, layer, tile, w->carried.first,
             w->carried.first * LSP_BLOCK, first_token);
}

void lsp_snapshot_layer(lsp_run *e, int layer) {
  const lsp_wave *w = &e->wave;
  if (e->reach <= 0)
    return;
  for (int64_t i = 0; i < w->pieces; i++) {
    const lsp_piece *piece = &w->piece[i];
    for (int64_t s = stop_after(e, piece->document, piece->first);
         s < e->stops && e->stop[s].document == piece->document &&
         e->stop[s].position - e->reach < piece->end;
         s++)
      write_piece(e, s, e->stop[s].position, layer, piece);
  }
  if (w->range.first == 0)
    for (int64_t s = 0; s < e->stops && e->stop[s].document == w->carried.document &&
                        e->stop[s].position - e->reach < e->plan.first_position;
         s++)
      write_carried(e, s, e->stop[s].position, layer);
  if (!is_carried_on(e))
    return;
  const int64_t position = w->next.end * LSP_BLOCK; /* of the next wave's first token */
  if (w->pieces > 0 && w->piece[w->pieces - 1].document == w->next.document)
    write_piece(e, LSP_STORE_SLOT, position, layer, &w->piece[w->pieces - 1]);
  if (w->range.first == 0 && w->carried.document == w->next.document)
    write_carried(e, LSP_STORE_SLOT, position, layer);
}

/* --- the last token of each stop ------------------------------------------------- */

void lsp_snapshot_ends(lsp_run *e) {
  const lsp_wave *w = &e->wave;
  const int64_t D = e->config.d_model;
  for (int64_t i = 0; i < w->pieces; i++) {
    const lsp_piece *p = &w->piece[i];
    for (int64_t s = stop_after(e, p->document, p->first);
         s < e->stops && e->stop[s].document == p->document &&
         e->stop[s].position <= p->end;
         s++) {
      const int64_t last = e->stop[s].position - 1;
      lsp_store_memory_end(e->store, s,
                           e->id[p->token + last - p->first - w->token_first],
                           e->x + (p->row + last - p->start) * D);
    }
  }
}

/* --- reading --------------------------------------------------------------------- */

typedef lsp_status (*read_rows)(lsp_run *e, const lsp_file_view *from, int layer,
                                int64_t first, int64_t rows, float *keys,
                                float *values);

static lsp_status from_slot(lsp_run *e, const lsp_file_view *from, int layer,
                            int64_t first, int64_t rows, float *keys, float *values) {
  (void)from;
  return lsp_store_read_memory(e->store, layer, first, rows, keys, values);
}

/* Row `first` counts from the end of R rows of this run; the file may have kept more or
 * fewer. */
static lsp_status from_file(lsp_run *e, const lsp_file_view *from, int layer,
                            int64_t first, int64_t rows, float *keys, float *values) {
  const lsp_memory_spec *m = &from->memory;
  const int64_t row_bytes = (int64_t)m->width * (int64_t)sizeof(float);
  const int64_t row = m->rows - (e->reach - first);
  const int64_t at =
      (((m->snapshots - 1) * m->layers + layer) * m->rows + row) * row_bytes;
  LSP_TRY(lsp_read_at(from->fd, e->options->from_snapshot, keys, rows * row_bytes,
                      from->extent[LSP_SNAPSHOT_KEYS].offset + at, &e->ctx->why));
  return lsp_read_at(from->fd, e->options->from_snapshot, values, rows * row_bytes,
                     from->extent[LSP_SNAPSHOT_VALUES].offset + at, &e->ctx->why);
}

/* Rank 0: the memory before `position` into the tiles carried into the first wave. */
lsp_status lsp_snapshot_load(lsp_run *e, const lsp_file_view *from) {
  const lsp_tiles tiles = lsp_plan_carried(&e->plan, e->commit.panel_end);
  const int64_t A = (int64_t)e->heads.heads * e->heads.width;
  const int64_t position =
      from != NULL ? e->plan.first_position : tiles.end * LSP_BLOCK;
  const int64_t first =
      lsp_max(lsp_max(0, position - e->reach), tiles.first * LSP_BLOCK);
  const read_rows read = from != NULL ? from_file : from_slot;
  float *keys = e->memory_rows, *values = keys + e->reach * A;
  for (int layer = 0; layer < e->config.n_layer && first < position; layer++) {
    LSP_TRY(read(e, from, layer, e->reach - (position - first), position - first, keys,
                 values));
    for (int64_t at = first; at < position;) {
      const int64_t t = at / LSP_BLOCK;
      const int64_t n = lsp_min(position, (t + 1) * LSP_BLOCK) - at;
      float *tile = e->carry[0] + (layer * e->sizes.carry_tiles + t - tiles.first) *
                                      lsp_tile_floats(e->heads);
      lsp_tile_put(e->heads, tile, (int)(at % LSP_BLOCK), (int)n,
                   keys + (at - first) * A, values + (at - first) * A, A);
      at += n;
    }
  }
  return LSP_OK;
}
