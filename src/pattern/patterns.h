/* One file a pattern; the functions that its row of the table names. */
#ifndef LSP_PATTERNS_H
#define LSP_PATTERNS_H

#include "lsp/pattern.h"

#define LSP_PATTERN_FUNCTIONS(name)                                                    \
  int64_t lsp__##name##_reach(const lsp_pattern *p);                                   \
  lsp_keys lsp__##name##_keys(const lsp_pattern *p, int head, int64_t position);       \
  double lsp__##name##_pairs(const lsp_pattern *p, int head, int64_t first,            \
                             int64_t end);                                             \
  int64_t lsp__##name##_bend(const lsp_pattern *p, int head, int64_t position);        \
  int64_t lsp__##name##_period(const lsp_pattern *p);

LSP_PATTERN_FUNCTIONS(full)
LSP_PATTERN_FUNCTIONS(local)
LSP_PATTERN_FUNCTIONS(fixed)
LSP_PATTERN_FUNCTIONS(recurrence)
LSP_PATTERN_FUNCTIONS(global)
LSP_PATTERN_FUNCTIONS(random)
LSP_PATTERN_FUNCTIONS(chosen)
LSP_PATTERN_FUNCTIONS(compressed)
LSP_PATTERN_FUNCTIONS(selected)
LSP_PATTERN_FUNCTIONS(levels)
LSP_PATTERN_FUNCTIONS(dynamic)
LSP_PATTERN_FUNCTIONS(learned)
LSP_PATTERN_FUNCTIONS(store)
LSP_PATTERN_FUNCTIONS(compressed_past)
LSP_PATTERN_FUNCTIONS(compressive)

/* Rows of a compressed past that a query sees. */
lsp_keys lsp__compressed_past_rows(const lsp_pattern *p, int64_t position);

/* What patterns without a run of their own, or with the query's block as their run, have in
 * common. */
lsp_keys lsp__no_keys(int64_t position);
lsp_keys lsp__block_keys(int64_t position);
double lsp__block_pairs(int64_t first, int64_t end); /* of the query's block */

/* Sum over i in [first, end) of min(i + 1, most): a run that grows with the position
 * until it is whole. */
double lsp__growing_pairs(int64_t first, int64_t end, int64_t most);

/* The same two-sided, pairs counting at the later position. */
double lsp__growing_both(int64_t first, int64_t end, int64_t most);

/* Sum over x in [first, end) of max(0, floor((x - start) / unit)): means that are whole.
 * Sums over a trillion positions are exact. */
__extension__ typedef __int128 lsp__sum;
lsp__sum lsp__whole_means(int64_t first, int64_t end, int64_t start, int64_t unit);

/* Pairs with the blocks that are picked (random, chosen), the own one not among them. */
double lsp__picked_pairs(const lsp_pattern *p, int64_t first, int64_t end);

#endif
