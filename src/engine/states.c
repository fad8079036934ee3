/* States of layers and of a model: handed from rank to rank in the order of the text, kept
 * over waves, saved with snapshots.
 *
 * Who has a state before whom follows from the plan alone (lsp/handing.h). The last rank of a
 * wave hands to rank 0, which always has the first panel of the next one; it takes that up
 * when the wave is done, so that within a wave states go one way. */
#include "states.h"

#include "lsp/handing.h"
#include "lsp/memory.h"

#include <stdlib.h>
#include <string.h>

/* --- parts ----------------------------------------------------------------------- */

lsp_status lsp_states_list(lsp_run *e) {
  lsp_kept *k = &e->kept;
  k->parts = lsp_memory_parts(&e->weights.model, NULL);
  if (k->parts == 0)
    return LSP_OK;
  k->part = calloc((size_t)k->parts, sizeof *k->part);
  if (k->part == NULL)
    return lsp_fail(&e->job.ctx->why, LSP_E_MEMORY, "no memory for a list of %d states",
                    k->parts);
  (void)lsp_memory_parts(&e->weights.model, k->part);
  return LSP_OK;
}

/* Number of a layer in the chain. */
static int number_of(const lsp_run *e, int layer) {
  return layer < 0 ? e->weights.model.layers : layer;
}

lsp_status lsp_states_open(lsp_run *e) {
  if (e->kept.parts == 0)
    return LSP_OK;
  return lsp_chain_open(e->job.ctx, number_of(e, -1) + 1, &e->span.chain);
}

void lsp_states_close(lsp_run *e) {
  lsp_chain_close(&e->span.chain);
  free(e->kept.part);
  e->kept.part = NULL;
}

/* The parts of a layer among all. */
typedef struct {
  int first, n;
  char *at; /* in kept.state */
  int64_t bytes;
} share;

static share share_of(const lsp_run *e, int layer) {
  lsp_part part[LSP_PARTS_OF_LAYER];
  const int first = lsp_memory_first(&e->weights.model, layer);
  const int n = lsp_memory_parts_of(&e->weights.model, layer, part);
  return (share){first, n, e->kept.state + lsp_parts_at(e->kept.part, first),
                 lsp_parts_bytes(part, n)};
}

static char *part_at(const lsp_run *e, int part) {
  return e->kept.state + lsp_parts_at(e->kept.part, part);
}

void *lsp_state_part(const lsp_run *e, int layer, int i) {
  return part_at(e, lsp_memory_first(&e->weights.model, layer) + i);
}

void lsp_state_zero(lsp_run *e, int layer) {
  const share s = share_of(e, layer);
  memset(s.at, 0, (size_t)s.bytes);
}

/* --- who is before, and after ---------------------------------------------------- */

static lsp_view_of_wave view_of(const lsp_run *e) {
  return (lsp_view_of_wave){&e->text.plan, e->span.wave.range, e->job.ctx->rank,
                            e->job.ctx->size};
}

/* The last rank with rows, if it has what the next wave begins with; else -1. */
static int last_owner(const lsp_run *e) {
  const lsp_view_of_wave v = view_of(e);
  return v.wave.first < v.wave.end && lsp_plan_joined(v.plan, v.wave.end)
             ? lsp_plan_owner_of(&v, v.wave.end - 1)
             : -1;
}

/* The rank before, if the state comes from it in this wave; else -1. */
static int before(const lsp_run *e) {
  const lsp_view_of_wave v = view_of(e);
  return lsp_plan_handed_by(&v);
}

/* Kept from the wave before, or from the snapshot that the run began with. */
static int is_kept(const lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  const int taken_up =
      e->text.start_position > 0 && w->span.first == 0 &&
      lsp_plan_document_of(&e->text.plan, lsp_plan_frame(&e->text.plan, 0)) == 0;
  return w->span.first == w->range.first &&
         (taken_up || lsp_plan_joined(&e->text.plan, w->span.first));
}

/* --- a layer --------------------------------------------------------------------- */

void lsp_state_expect(lsp_run *e, int layer) {
  const share s = share_of(e, layer);
  const int from = s.n > 0 ? before(e) : -1;
  if (from >= 0)
    lsp_chain_expect(e->span.chain, number_of(e, layer), from, s.at, s.bytes);
}

void lsp_state_wait(lsp_run *e, int layer) {
  const double begin = MPI_Wtime();
  if (e->span.wave.pieces == 0 || share_of(e, layer).n == 0)
    return;
  if (before(e) >= 0)
    lsp_chain_wait(e->span.chain, number_of(e, layer));
  else if (!is_kept(e))
    lsp_state_zero(e, layer);
  e->job.clock.seconds[LSP_PHASE_WAIT] += MPI_Wtime() - begin;
}

static void save(lsp_run *e, const share *s, int64_t snapshot) {
  for (int i = s->first; i < s->first + s->n; i++)
    lsp_store_part(e->progress.store, snapshot, i, part_at(e, i));
}

void lsp_state_hand(lsp_run *e, int layer) {
  const lsp_wave *w = &e->span.wave;
  const lsp_view_of_wave v = view_of(e);
  const share s = share_of(e, layer);
  const int to = s.n > 0 ? lsp_plan_hands_to(&v) : -1;
  if (to < 0)
    return;
  if (w->span.end == w->range.end)
    save(e, &s, LSP_STORE_SLOT);
  if (to != v.rank)
    lsp_chain_hand(e->span.chain, number_of(e, layer), to, s.at, s.bytes);
}

/* Ids of a segment under way (segment_ids.c) are not handed on, memory tokens are. */
void lsp_states_settle(lsp_run *e) {
  if (e->span.chain == NULL)
    return;
  const double begin = MPI_Wtime();
  const int layers = e->weights.model.layers;
  const int from = e->job.ctx->rank == 0 ? last_owner(e) : -1;
  for (int i = 0; i <= layers; i++)
    lsp_chain_end(e->span.chain, i);
  for (int i = 0; i <= layers && from > 0; i++) {
    const share s = share_of(e, i < layers ? i : -1);
    if (s.n > 0 && (i < layers || e->weights.model.wrapper.kind == LSP_WRAP_TOKENS))
      lsp_chain_expect(e->span.chain, i, from, s.at, s.bytes);
  }
  for (int i = 0; i <= layers; i++)
    lsp_chain_wait(e->span.chain, i);
  e->job.clock.seconds[LSP_PHASE_WAIT] += MPI_Wtime() - begin;
}

lsp_traffic lsp_states_traffic(const lsp_run *e) {
  return e->span.chain != NULL ? lsp_chain_traffic(e->span.chain) : (lsp_traffic){0, 0};
}

/* --- what leaves the run, and comes back ----------------------------------------- */

void lsp_state_save(lsp_run *e, int layer, int64_t stop) {
  const share s = share_of(e, layer);
  save(e, &s, stop);
}

lsp_status lsp_states_load(lsp_run *e, const lsp_file_view *file) {
  if (e->job.ctx->rank != 0 ||
      (file == NULL && !lsp_plan_joined(&e->text.plan, e->progress.commit.panel_end)))
    return LSP_OK;
  for (int i = 0; i < e->kept.parts; i++)
    LSP_TRY(file == NULL ? lsp_store_read_part(e->progress.store, i, part_at(e, i))
                         : lsp_file_read_part(file, e->job.options->from_snapshot,
                                              file->memory.snapshots - 1, i,
                                              part_at(e, i), &e->job.ctx->why));
  return LSP_OK;
}
