/* Messages of a run before it runs: numbers that may be too large to hold, and what kinds of
 * layer send. All pure. */
#ifndef LSP_LENDING_H
#define LSP_LENDING_H

#include "lsp/sizes.h"

/* a + n b; INT64_MAX where a number cannot hold it. */
int64_t lsp_add_times(int64_t a, int64_t n, int64_t b);
lsp_sent lsp_sent_add(lsp_sent a, int64_t n, lsp_sent b);
lsp_sent lsp_sent_most(lsp_sent a, lsp_sent b);

/* So many pieces of so many floats, side by side. */
lsp_sent lsp_sent_tiles(int64_t tiles, int64_t tile);

/* What rank s->rank sends in a step of a two-sided layer, added by kind. */
void lsp_count_step(const lsp_sizing *z, int layer, const lsp_step *s,
                    lsp_sent kind[LSP_LOAN_KINDS]);

/* What a rank sends in such a step at most. sizes: of the run. rows: that the wave has at
 * least. */
lsp_sent lsp_bound_of_step(const lsp_sizing *z, int layer, const lsp_sizes *sizes,
                           int64_t rows);

/* What a rank asks for, and gives, at most of picked blocks in a layer of a wave. */
lsp_sent lsp_bound_of_picks(const lsp_sizing *z, int layer, const lsp_sizes *sizes,
                            int64_t rows);

#endif
