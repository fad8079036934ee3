/* Who has a state before whom follows from the plan alone: the panel before the span, and
 * the one after it, have owners. The last rank of a wave hands to rank 0, which always has
 * the first panel of the next one; it takes that up when the wave is done, so that within a
 * wave states go one way. */
#include "states.h"

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

static int64_t document_of(const lsp_plan *plan, int64_t panel) {
  return lsp_plan_document_of(plan, lsp_plan_frame(plan, panel));
}

/* 1: the panel and the one before it are of one document. */
static int joined(const lsp_plan *plan, int64_t panel) {
  return panel > 0 && panel < lsp_plan_panels(plan) &&
         document_of(plan, panel - 1) == document_of(plan, panel);
}

/* The rank whose span has a panel of the wave. */
static int owner_of(const lsp_run *e, int64_t panel) {
  const int ranks = e->job.ctx->size;
  int low = 0, high = ranks - 1;
  while (low < high) { /* the first span that ends after it */
    const int middle = low + (high - low) / 2;
    if (lsp_plan_span(&e->text.plan, e->span.wave.range, middle, ranks).end > panel)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

/* The last rank with rows, if it has what the next wave begins with; else -1. */
static int last_owner(const lsp_run *e) {
  const lsp_range wave = e->span.wave.range;
  return wave.first < wave.end && joined(&e->text.plan, wave.end)
             ? owner_of(e, wave.end - 1)
             : -1;
}

static int comes(const lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  return w->pieces > 0 && w->span.first > w->range.first &&
         joined(&e->text.plan, w->span.first);
}

/* Kept from the wave before, or from the snapshot that the run began with. */
static int is_kept(const lsp_run *e) {
  const lsp_wave *w = &e->span.wave;
  const int taken_up = e->text.start_position > 0 && w->span.first == 0 &&
                       document_of(&e->text.plan, 0) == 0;
  return w->span.first == w->range.first &&
         (taken_up || joined(&e->text.plan, w->span.first));
}

/* --- a layer --------------------------------------------------------------------- */

void lsp_state_expect(lsp_run *e, int layer) {
  const share s = share_of(e, layer);
  if (s.n > 0 && comes(e))
    lsp_chain_expect(e->span.chain, number_of(e, layer),
                     owner_of(e, e->span.wave.span.first - 1), s.at, s.bytes);
}

void lsp_state_wait(lsp_run *e, int layer) {
  const double begin = MPI_Wtime();
  if (e->span.wave.pieces == 0 || share_of(e, layer).n == 0)
    return;
  if (comes(e))
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
  const share s = share_of(e, layer);
  int to = -1;
  if (w->pieces == 0 || s.n == 0 || !joined(&e->text.plan, w->span.end))
    return;
  if (w->span.end < w->range.end)
    to = owner_of(e, w->span.end);
  else {
    save(e, &s, LSP_STORE_SLOT);
    to = 0;
  }
  if (to != e->job.ctx->rank)
    lsp_chain_hand(e->span.chain, number_of(e, layer), to, s.at, s.bytes);
}

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
    if (s.n > 0)
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
      (file == NULL && !joined(&e->text.plan, e->progress.commit.panel_end)))
    return LSP_OK;
  for (int i = 0; i < e->kept.parts; i++)
    LSP_TRY(file == NULL ? lsp_store_read_part(e->progress.store, i, part_at(e, i))
                         : lsp_file_read_part(file, e->job.options->from_snapshot,
                                              file->memory.snapshots - 1, i,
                                              part_at(e, i), &e->job.ctx->why));
  return LSP_OK;
}
