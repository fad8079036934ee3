/* Snapshots of models that are wrapped in a memory, as far as they are of tokens: the last
 * row of each, and the ids that a run reads again which goes on there. States of layers and
 * memory tokens are saved where they change (states.h). A stop's position is a number of
 * tokens of its document, from its beginning. */
#ifndef LSP_SEGMENT_IDS_H
#define LSP_SEGMENT_IDS_H

#include "engine_internal.h"

/* Tokens of the document of a frame before a token of the corpus, those before the run
 * included. */
int64_t lsp_segment_position(const lsp_run *e, int64_t frame, int64_t token);

/* Local. At the end of a wave: the last token, and the ids, of each stop of the span. After
 * lsp_states_settle; the model's parts are only room from then on. */
void lsp_segment_ends(lsp_run *e);

/* Local, at the end of a wave. Parts of the model to the slot, where they are not handed
 * along (all but memory tokens): a run that is resumed reads its ids from the corpus, for
 * waves end with frames. */
void lsp_segment_commit(lsp_run *e);

/* Collective. Of a run that continues a text: the ids that are read again. */
lsp_status lsp_segment_load(lsp_run *e, const lsp_file_view *from);
void lsp_segment_close(lsp_run *e);

#endif
