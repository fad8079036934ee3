/* Snapshots of models that are wrapped in a memory: no keys, but states, and the ids of the
 * segment under way, which the run that continues reads again with the rest of it.
 *
 *   document   | ..... | segment g - 1 | segment g .. p | not yet
 *   ids                          | again |  p mod S    |
 *
 * So a text may be cut anywhere, and the frame of segment g has the same rows in the run
 * that goes on as in one that was never cut. At the end of a segment there are none but
 * those that the next one reads again. A stop is a number of tokens of its document, those
 * before the run included. */
#include "segment_ids.h"

#include "states.h"

#include "lsp/memory.h"

#include <stdlib.h>
#include <string.h>

/* Parts of the model, in the order of lsp_memory_parts_of. */
enum { IDS, ID_COUNT, SEGMENTS };

static int first_part(const lsp_run *e) {
  return lsp_memory_first(&e->weights.model, -1);
}

static const lsp_part *part_of(const lsp_run *e, int part) {
  return &e->kept.part[first_part(e) + part];
}

/* --- stops ----------------------------------------------------------------------- */

int64_t lsp_segment_position(const lsp_run *e, int64_t f, int64_t token) {
  const int64_t d = lsp_plan_document_of(&e->text.plan, f);
  return token - lsp_plan_document_start(&e->text.plan, d) +
         (d == 0 ? e->text.plan.framing.before : 0);
}

/* Stops within a frame's own tokens, and behind the last of them. */
static lsp_range stops_of(const lsp_run *e, int64_t f) {
  const int64_t *start = e->text.plan.token_start + f;
  const int64_t d = lsp_plan_document_of(&e->text.plan, f);
  return (lsp_range){lsp_snapshot_after(e, d, lsp_segment_position(e, f, start[0])),
                     lsp_snapshot_after(e, d, lsp_segment_position(e, f, start[1]))};
}

/* --- what a snapshot holds ------------------------------------------------------- */

/* The id at a position of a frame of the span: of its lead, or its own. */
static int32_t id_at(const lsp_run *e, const lsp_piece *p, int64_t position) {
  if (position < p->origin)
    return e->span.lead[p->row + position - p->start];
  return e->span.id[p->token + position - p->origin - e->span.wave.token_first];
}

/* Ids, their number, and the segments that are done, before a stop within the frame of p. */
static void note(lsp_run *e, const lsp_piece *p, int64_t stop) {
  const lsp_framing *c = &e->text.plan.framing;
  const int64_t end = e->text.stop[stop].position, done = end / c->stride;
  const int64_t n = end - lsp_max(0, done * c->stride - c->again);
  const int64_t at = p->origin + end - lsp_segment_position(e, p->frame, p->token);
  const int64_t room = lsp_part_bytes(part_of(e, IDS));
  int32_t *id = lsp_state_part(e, -1, IDS);
  LSP_ASSERT(n * (int64_t)sizeof *id <= room);
  memset(id, 0, (size_t)room);
  for (int64_t i = 0; i < n; i++)
    id[i] = id_at(e, p, at - n + i);
  *(int64_t *)lsp_state_part(e, -1, ID_COUNT) = n;
  *(int64_t *)lsp_state_part(e, -1, SEGMENTS) = done;
}

void lsp_segment_ends(lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  const int64_t D = e->weights.model.width;
  for (int64_t i = 0; i < w->pieces; i++) {
    const lsp_piece *p = &w->piece[i];
    const lsp_range stops = stops_of(e, p->frame);
    for (int64_t s = stops.first; s < stops.end; s++) {
      const int64_t at = p->origin + e->text.stop[s].position - 1 -
                         lsp_segment_position(e, p->frame, p->token);
      lsp_store_memory_end(e->progress.store, s, id_at(e, p, at),
                           e->span.x + (p->row + at - p->start) * D);
      note(e, p, s);
      for (int part = IDS; part <= SEGMENTS; part++)
        lsp_store_part(e->progress.store, s, first_part(e) + part,
                       lsp_state_part(e, -1, part));
    }
  }
}

/* 1: this rank has the wave's last frame, and its document goes on. */
static int goes_on_here(const lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  const lsp_plan *plan = &e->text.plan;
  if (w->pieces == 0 || w->span.end != w->range.end ||
      w->range.end == lsp_plan_panels(plan))
    return 0;
  return lsp_plan_document_of(plan, w->piece[w->pieces - 1].frame) ==
         lsp_plan_document_of(plan, lsp_plan_frame(plan, w->range.end));
}

void lsp_segment_commit(lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  const lsp_wrap_kind kind = e->weights.model.wrapper.kind;
  if (kind == LSP_WRAP_NONE || kind == LSP_WRAP_TOKENS || e->weights.model.two_sided ||
      !goes_on_here(e))
    return;
  lsp_state_zero(e, -1);
  *(int64_t *)lsp_state_part(e, -1, SEGMENTS) =
      lsp_plan_segment(&e->text.plan, w->piece[w->pieces - 1].frame) + 1;
  for (int part = IDS; part <= SEGMENTS; part++)
    lsp_store_part(e->progress.store, LSP_STORE_SLOT, first_part(e) + part,
                   lsp_state_part(e, -1, part));
}

/* --- a text that goes on --------------------------------------------------------- */

static lsp_status wrong(const lsp_run *e, int64_t n, int64_t id) {
  return lsp_fail(&e->job.ctx->why, LSP_E_FORMAT,
                  "%s: /states of the model hold %lld ids before position %lld, the "
                  "last one looked at %lld, and the model reads %lld ids below %lld "
                  "there; make the file anew",
                  e->job.options->from_snapshot, (long long)n,
                  (long long)e->text.start_position, (long long)id,
                  (long long)lsp_plan_lead(&e->text.plan, 0),
                  (long long)e->weights.model.words.size);
}

/* Rank 0. ids has room for the part; n: how many there are. */
static lsp_status read_ids(const lsp_run *e, const lsp_file_view *from, int32_t *ids,
                           int64_t *n) {
  lsp_failure *why = &e->job.ctx->why;
  const char *path = e->job.options->from_snapshot;
  const int64_t last = from->memory.snapshots - 1;
  const int64_t lead = lsp_plan_lead(&e->text.plan, 0);
  LSP_TRY(lsp_file_read_part(from, path, last, first_part(e) + ID_COUNT, n, why));
  LSP_TRY(lsp_file_read_part(from, path, last, first_part(e) + IDS, ids, why));
  if (*n != lead)
    return wrong(e, *n, -1);
  for (int64_t i = 0; i < *n; i++)
    if (ids[i] < 0 || ids[i] >= e->weights.model.words.size)
      return wrong(e, *n, ids[i]);
  return LSP_OK;
}

lsp_status lsp_segment_load(lsp_run *e, const lsp_file_view *from) {
  lsp_ctx *ctx = e->job.ctx;
  lsp_status st = LSP_OK;
  if (e->text.plan.framing.before == 0 || e->text.plan.frames == 0)
    return LSP_OK;
  const int64_t bytes = lsp_part_bytes(part_of(e, IDS));
  e->text.before = malloc((size_t)bytes);
  if (e->text.before == NULL)
    st = lsp_fail(&ctx->why, LSP_E_MEMORY, "no memory for %lld bytes of ids",
                  (long long)bytes);
  st = lsp_agree(ctx, st);
  if (st == LSP_OK && ctx->rank == 0 && e->text.before != NULL)
    st = read_ids(e, from, e->text.before, &e->text.befores);
  LSP_TRY(lsp_agree(ctx, st));
  lsp_bcast(ctx->comm, &e->text.befores, sizeof e->text.befores);
  lsp_bcast(ctx->comm, e->text.before, (size_t)bytes);
  return LSP_OK;
}

void lsp_segment_close(lsp_run *e) {
  free(e->text.before);
  e->text.before = NULL;
}
