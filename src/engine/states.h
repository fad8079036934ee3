/* States that are handed along a text (lsp/memory.h): this rank's copy, from whom it comes,
 * to whom it goes, and what of it leaves the run.
 *
 *   wave      | span of rank 0 | span of rank 1 | ... | last span |
 *   a layer       state ------->     state -----> ... ------->      -> rank 0: next wave
 *
 * A state belongs to a document (not to a frame of it). Of each layer (and of the model:
 * layer -1): expect, wait, work on the parts, hand. After the wait the parts are those
 * before the span's first row: come, kept, or zeros, as at the beginning of a document; for
 * each document that begins later in the span the caller makes them so (lsp_state_zero).
 * After handing on they are only read, until the layer's turn in the next wave. What must
 * hold: in every wave in which the rank has rows it calls all three for every layer that
 * has parts; ranks without rows are passed over, and may call them, too. No rank waits for
 * those after it before lsp_states_settle. */
#ifndef LSP_STATES_H
#define LSP_STATES_H

#include "engine_internal.h"

/* Local. The parts of the model: their list, which sizes and the store ask for. */
lsp_status lsp_states_list(lsp_run *e);

/* Collective. After the buffers. */
lsp_status lsp_states_open(lsp_run *e);
void lsp_states_close(lsp_run *e);

/* Local. A part of a layer (number `i` of those of lsp_memory_parts_of): this rank's copy,
 * which lasts from wave to wave. */
void *lsp_state_part(const lsp_run *e, int layer, int i);

/* Local. All parts of a layer to what they are before a document: zeros. */
void lsp_state_zero(lsp_run *e, int layer);

/* Local. Posts what comes from the rank before, where the document of the span's first
 * piece has rows before the span in this wave. */
void lsp_state_expect(lsp_run *e, int layer);

/* Collective along the chain. After it the parts are those before the span's first row.
 * Counts the time as waiting. */
void lsp_state_wait(lsp_run *e, int layer);

/* Local, returns at once. The parts, now those after the span's last row, go to the rank
 * that needs them next, and, where the document goes on in the next wave, to the slot. */
void lsp_state_hand(lsp_run *e, int layer);

/* Collective, once all layers of a wave are done: what was handed on has left, and rank 0
 * has what the next wave begins with. */
void lsp_states_settle(lsp_run *e);

/* Local. The parts as they are to a snapshot (a stop of the text). */
void lsp_state_save(lsp_run *e, int layer, int64_t stop);

/* Local. What the run begins with: of the last commit, where it lies within a document, or
 * (file) of the last snapshot of another run. */
lsp_status lsp_states_load(lsp_run *e, const lsp_file_view *file);

/* Local. Sent by this rank since the run began. */
lsp_traffic lsp_states_traffic(const lsp_run *e);

#endif
