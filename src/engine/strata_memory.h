/* Pooled rows in snapshots and in the store's slot: further fixed rows of a layer, after
 * those of the beginning of the document. Of each stratum, in their order,
 *
 *   | the last rows that are whole at the position | of the unit that is not: its sums |
 *
 * the latter only where keys and values themselves are averaged; zero where there is
 * none. */
#ifndef LSP_STRATA_MEMORY_H
#define LSP_STRATA_MEMORY_H

#include "engine_internal.h"

/* Row of a stratum: of a piece of the span, or borrowed before the first one. */
float *lsp_stratum_row(const lsp_run *e, int layer, int stratum, const lsp_piece *piece,
                       int64_t row);

/* Row of the ring of this rank. */
float *lsp_stratum_kept(const lsp_run *e, int layer, int stratum, int64_t row);

/* Rank 0: row of the panel within which the run began, whole where its snapshot was taken;
 * and the sums of the unit that was not. */
float *lsp_stratum_opening(const lsp_run *e, int layer, int stratum, int64_t row);
float *lsp_stratum_begun(const lsp_run *e, int layer, int stratum);

/* Thread-safe. To a snapshot: the sums of the unit that it cuts. */
void lsp_strata_save_cut(lsp_run *e, int layer, int stratum, int64_t stop,
                         const float *row);

/* Rows of pieces of the span, and of the ring before the first wave, to the snapshots that
 * want them. */
void lsp_strata_save_piece(lsp_run *e, int layer, const lsp_piece *piece);
void lsp_strata_save_kept(lsp_run *e, int layer);

/* To the slot: what this rank keeps after the wave. border: where the next one begins. */
void lsp_strata_save_slot(lsp_run *e, int layer, int64_t border);

/* Rows before `position` of a document, from the store's slot or (file) from the last
 * snapshot of another run, to the rings of this rank and what rank 0 opens with. border:
 * of the panel that has the position. */
lsp_status lsp_strata_load(lsp_run *e, const lsp_file_view *file, int layer,
                           int64_t position, int64_t border);

#endif
