/* Blocks of the past that queries pick one by one: drawn, chosen by content, or selected
 * token by token; and where they come from.
 *
 *   own span | what was borrowed for the run | first tiles of the document | own ring
 *   fetched from the span or the ring of the rank that has it
 *
 * The panels of a span are attended in batches, so that what a batch picks fits into the
 * room for fetched blocks (lsp_layer_sizes.parts). A block of one key/value head is what is
 * fetched: a part. One that came for a batch is there for the next ones, as long as nothing
 * needs its place.
 *
 * Who lends what is asked for (lsp/fetch.h), also where blocks are drawn: a lender might
 * draw for all blocks in reach and know what others want, but not what each of them still
 * has and in which batch it wants the rest, unless it repeats all their batches; a request
 * takes 8 bytes for a part of some KiB.
 *
 * What that costs, in a layer of a wave of W positions: a block of queries picks w parts at
 * most, r H drawn, k G chosen, 64 (S - 1) G selected; so n blocks of a span fetch at most
 * n w parts, and all spans W / 64 w; each batch takes a request and an answer for every
 * pair of ranks of which one wants something of the other. None of this depends on how long
 * the text is. */
#ifndef LSP_PICKS_H
#define LSP_PICKS_H

#include "engine_internal.h"

/* Collective. After the strata of the layer were formed and what the run looks back to has
 * come: chooses blocks for all queries of the span. Returns in how many batches its
 * panels are attended, the same on all ranks. */
int64_t lsp_picks_open(lsp_run *e, int layer);

/* Collective. Fetches what a batch picks; returns its panels of the span. */
lsp_range lsp_picks_fetch(lsp_run *e, int layer, int64_t batch);

/* Most blocks that the queries of a block visit together, of one branch. */
int64_t lsp_picks_most(const lsp_run *e, int layer, const lsp_pattern *p);

/* Local, thread-safe, until the next fetch. The blocks (tiles of the piece's frame) that
 * any of the 64 queries of a head from `position` on picks of a branch, rising, into
 * tile[lsp_picks_most]; returns how many. */
int64_t lsp_picks_of(const lsp_run *e, int layer, const lsp_pattern *p,
                     const lsp_panel *panel, int64_t position, int head, int64_t *tile);

/* 1 if the query at a position has picked a tile (random, chosen: as all of its block). */
int lsp_picks_sees(const lsp_run *e, int layer, const lsp_pattern *p,
                   const lsp_panel *panel, int64_t position, int head, int64_t tile);

/* The part of a key/value head of a picked tile: its keys, then its values. */
const float *lsp_picks_tile(const lsp_run *e, int layer, const lsp_piece *piece,
                            int64_t tile, int shared);

#endif
