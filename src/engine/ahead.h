/* Where the keys of a two-sided layer lie, and how they come there. */
#ifndef LSP_AHEAD_H
#define LSP_AHEAD_H

#include "attending.h"

/* The step of a layer in the wave under way. */
lsp_step lsp_ahead_step(const lsp_run *e, int layer);

/* Collective over the pairs. What is lent is not written, what is borrowed not read, before
 * the end. begin: keys of a round, and with the first one the rows that are attended to, in
 * x_next and q_next, and the first rows of frames. keep: what later waves need, after the
 * last round has ended. */
void lsp_ahead_begin(lsp_run *e, int layer, const lsp_step *s, int64_t round);
void lsp_ahead_end(lsp_run *e);
void lsp_ahead_keep(lsp_run *e, int layer, const lsp_step *s);

/* Local. A loan as a message of the list, or as a copy. */
void lsp_ahead_pass(const lsp_run *e, const lsp_block_loan *loan, const float *from,
                    float *to, int64_t floats);

/* Local. What the passes to come find: nothing of other ranks; or a round that has ended.
 */
void lsp_ahead_alone(lsp_run *e);
void lsp_ahead_see(lsp_run *e, int layer, const lsp_step *s, int64_t round);

enum { LSP_AHEAD_SOURCES = 3 };

/* Local, thread-safe. Where tiles of a piece's frame lie that its queries look at, the
 * highest first; those of its first rows. */
int lsp_ahead_sources(const lsp_run *e, int layer, const lsp_piece *piece, int walks,
                      lsp_source source[LSP_AHEAD_SOURCES]);
int lsp_ahead_fixed(const lsp_run *e, int layer, const lsp_piece *piece,
                    lsp_source source[LSP_AHEAD_SOURCES]);

/* Local, thread-safe. A tile of a piece's frame, within sight. */
const float *lsp_ahead_tile(const lsp_run *e, int layer, const lsp_piece *piece,
                            int64_t tile);

#endif
