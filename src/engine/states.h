/* States that are handed along a text (lsp/memory.h): this rank's copy, from whom it comes,
 * to whom it goes, and what of it leaves the run.
 *
 *   wave      | span of rank 0 | span of rank 1 | ... | last span |
 *   a layer       state ------->     state -----> ... ------->      -> rank 0: next wave
 *
 * A state belongs to a document (not to a frame of it). Of each layer: expect, wait, work
 * on the parts, hand. A document that begins in the span begins with zeros; so may the
 * caller do it (lsp_state_zero) for each that begins later in it. What must hold: in every
 * wave in which the rank has rows it calls all three for every layer that has parts; ranks
 * without rows are passed over. */
#ifndef LSP_STATES_H
#define LSP_STATES_H

#include "engine_internal.h"

/* Local. A part of a layer (number `i` of those of lsp_memory_parts_of): this rank's copy,
 * which lasts from wave to wave. */
void *lsp_state_part(const lsp_run *e, int layer, int i);

/* Local. All parts of a layer to what they are before a document: zeros. */
void lsp_state_zero(lsp_run *e, int layer);

/* Local. Posts what comes from the rank before, where the document of the span's first
 * piece has rows before the span in this wave. */
void lsp_state_expect(lsp_run *e, int layer);

/* Collective along the chain. After it the parts are those before the span's first row:
 * come, kept, or zero. Counts the time as waiting. */
void lsp_state_wait(lsp_run *e, int layer);

/* Collective along the chain. The parts, now those after the span's last row, go to the
 * rank that needs them next, and, where the document goes on in the next wave, to the slot.
 */
void lsp_state_hand(lsp_run *e, int layer);

/* Local. The parts as they are to a snapshot (a stop of the text). */
void lsp_state_save(lsp_run *e, int layer, int64_t stop);

/* Local. What the run begins with: of the last commit, or (file) of a snapshot. */
lsp_status lsp_states_load(lsp_run *e, const lsp_file_view *file);

#endif
