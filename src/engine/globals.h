/* Global rows of two-sided layers: those that see all of their frame. */
#ifndef LSP_GLOBALS_H
#define LSP_GLOBALS_H

#include "ahead.h"

/* Local. After the panels of the span were projected: by the layer's weights for global
 * rows, if it has any. */
void lsp_globals_project(lsp_run *e, int layer);

/* Local. Their queries, to ranks that have other parts of their frame: into the list of
 * lsp_ahead_begin. */
void lsp_globals_lend(lsp_run *e, int layer, const lsp_step *s);

/* Collective. After that list has ended: what all global rows of the span's frames see. */
void lsp_globals_see(lsp_run *e, int layer, const lsp_step *s);

/* Local, thread-safe, from then on. What the global rows among the 64 from `position` on of
 * a panel have seen takes the place of what is there. */
void lsp_globals_replace(const lsp_run *e, int layer, const lsp_panel *panel,
                         int64_t position, int head, const lsp_partial *p);

#endif
