/* Attention over panels of the span, in passes; what files of the forward pass share. */
#ifndef LSP_ATTENDING_H
#define LSP_ATTENDING_H

#include "engine_internal.h"
#include "strata.h"

/* A walk over all that a query sees, or a part of it. */
typedef struct {
  int opens;  /* begins, and walks the span's own tiles */
  int walks;  /* walks the tiles of a round of the past */
  int closes; /* walks positions before 0 and fixed tiles, and finishes */
  int64_t round;
} lsp_pass;

/* Panels [first, end) of the span. What is between passes lies in span.partials. */
void lsp_attend(lsp_run *e, int layer, int64_t first, int64_t end, lsp_pass pass);

/* Queries and keys of the 64 rows of a block at `position`, in qkv (64, (H + 2 G) E):
 * normed by head, then turned, as the layer asks. Local, thread-safe. */
void lsp_norm_block(const lsp_run *e, int layer, float *qkv);
void lsp_turn_block(const lsp_run *e, int layer, int64_t position, float *qkv);

/* Keys (G E) of one row, normed by head as the layer asks. Local, thread-safe. */
void lsp_norm_keys(const lsp_run *e, int layer, float *keys);

/* Panels [first, end) of the span: projected; and, after attention, fed forward. */
void lsp_project(lsp_run *e, int layer, int64_t first, int64_t end);
void lsp_feed(lsp_run *e, int layer, int64_t first, int64_t end);

/* The rows of the wave behind the last layer, where that leaves them as they are
 * (lsp_wrapped_leaves): the last norm, then the memory after it. */
typedef enum { LSP_LEAVE_NORM, LSP_LEAVE_MEMORY } lsp_leaving;
void lsp_leave(lsp_run *e, lsp_leaving what);

/* What goes into the attention of a panel: its rows, or their norm in room (rows, D). */
const float *lsp_attention_input(const lsp_run *e, const lsp_panel *p, int layer,
                                 float *room);

/* Weights of results, row by row, of panels [first, end) of the span. */
void lsp_open_gates(lsp_run *e, int layer, int64_t first, int64_t end);

/* What a head of a layer asks, but for its rows and queries; one softmax. */
lsp_queries lsp_queries_of(const lsp_run *e, int layer, int head);

/* Scratch of this thread; a sign of life, and messages moved on thread 0. */
float *lsp_scratch_of(const lsp_run *e);
void lsp_poll(const lsp_run *e);

#endif
