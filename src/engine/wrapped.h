/* Models wrapped in a memory that passes through their layers, segment by segment of a
 * document (lsp_wrapper): a segment is a frame, and frames come in order.
 *
 *   associative   a layer does all frames of the span before the next layer does:
 *                   read, the layer, write            state: a matrix a layer
 *                 rank r does layer l when rank r - 1 has done it: a wavefront
 *   tokens        all layers do a frame before the next frame:
 *                   memory in, the layers, memory out  state: rows of the model
 *                 ranks share out documents
 *
 * What must hold: waves and spans are of whole frames, so that nothing of a frame is on
 * another rank or in another wave; a layer is then run as if the frame were all of a wave
 * of one rank, and no rank waits for another but along the chain of states. */
#ifndef LSP_WRAPPED_H
#define LSP_WRAPPED_H

#include "engine_internal.h"

/* 1: all layers of a span, the embedding too, are one call (lsp_wrapped_layers). */
int lsp_wrapped_through(const lsp_model *m);

/* 1: behind the last layer, and its norm, the memory takes rows, so that the layer itself
 * leaves them as they are. */
int lsp_wrapped_leaves(const lsp_model *m);

/* Floats that all threads share in a layer; of the scratch of a thread. */
int64_t lsp_wrapped_room(const lsp_model *m);
int64_t lsp_wrapped_scratch(const lsp_model *m);

/* Collective along the chain. One layer (associative), all layers (tokens). */
void lsp_wrapped_layer(lsp_run *e, int layer);
void lsp_wrapped_layers(lsp_run *e);

/* --- steps ------------------------------------------------------------------------- */

/* Local, pure: a step is a frame in a layer. Steps that a wave takes, and those that there
 * are of it: with no rank ever idle it takes all / ranks. */
typedef struct {
  int64_t taken, all;
} lsp_wave_steps;

/* O(ranks layers). */
lsp_wave_steps lsp_wrapped_steps(const lsp_model *m, const lsp_plan *plan,
                                 lsp_range wave, int ranks);

#endif
