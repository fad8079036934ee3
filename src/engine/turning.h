/* Rotary positions. Local, thread-safe. */
#ifndef LSP_TURNING_H
#define LSP_TURNING_H

#include "engine_internal.h"

/* Queries of a block as if at position `to` at most: the sinks of a window stay just
 * before it (Xiao et al. 2023). query (64, ld) at position + r, already turned, becomes
 * out (64, E) at min(position + r, to). room: 64 * rotated floats. */
void lsp_turn_back(const lsp_run *e, int layer, int64_t position, int64_t to,
                   const float *query, int64_t ld, float *out, float *room);

#endif
