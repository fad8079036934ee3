/* Layers of a wave that are done, for models whose waves are whole documents
 * (lsp_sizes_whole). Others are committed wave by wave alone. */
#ifndef LSP_LAYERS_DONE_H
#define LSP_LAYERS_DONE_H

#include "engine_internal.h"

/* Collective. With a store that is resumed: finds the layers that an earlier process had
 * done of the wave that it was in. */
lsp_status lsp_layers_open(lsp_run *e, lsp_store_state state);

/* Local. done: the file goes, too. */
void lsp_layers_close(lsp_run *e, int done);

/* Local. What a process left that was killed after the output was finished. */
void lsp_layers_forget(const lsp_run *e);

/* Local. Rows of the wave that was under way; else `rows`. */
int64_t lsp_layers_rows(const lsp_run *e, int64_t rows);

/* Collective, in a wave of so many rows. Puts the hidden rows after the layers that are done
 * into span.x; returns how many layers that are. 0: none, or they could not be read. */
int lsp_layers_load(lsp_run *e);

/* Collective, after a layer of a wave. */
lsp_status lsp_layers_commit(lsp_run *e, int layer);

#endif
