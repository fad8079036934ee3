/* The learned memory after the last norm (lsp_last_memory): hidden rows ask its slots, as
 * one head of width D asks keys and values. Letters: D model width. */
#ifndef LSP_LAST_MEMORY_H
#define LSP_LAST_MEMORY_H

#include "engine_internal.h"

/* Floats of its tiles; 0: there is none. */
int64_t lsp_last_tiles(const lsp_model *m);

/* Local. Keys and values (slots, D) into tiles of 64 slots; the rest of the last is zero. */
void lsp_last_make(const lsp_model *m, float *tiles);

/* Floats of a thread; 0: there is no such memory. */
int64_t lsp_last_scratch(const lsp_model *m);

/* Local, thread-safe. Hidden rows x (rows, D) of a panel become what they are with the
 * memory; where the head reads both side by side they stay. room: lsp_last_scratch. */
void lsp_last_apply(const lsp_run *e, int rows, float *x, float *room);

/* Local, thread-safe. What the head reads of hidden rows x (rows, D): x itself, or, side by
 * side with the memory, (rows, 2 D) at the beginning of room. */
const float *lsp_last_beside(const lsp_run *e, int rows, const float *x, float *room);

#endif
