/* What crosses ranks in layers that look ahead, before a run. */
#ifndef LSP_LENDING_H
#define LSP_LENDING_H

#include "lsp/sizes.h"

/* A loan to another rank, of so many floats. */
typedef void (*lsp_each_sent)(lsp_loan_kind kind, int64_t floats, void *arg);

/* Local, pure. All loans of rank s->rank to others in a step of a layer. */
void lsp_ahead_loans(const lsp_sizing *z, int layer, const lsp_step *s,
                     lsp_each_sent each, void *arg);

/* Local, pure. The most of a step, in floats and in loans: a bound. span_rows: of a rank. */
lsp_sent lsp_ahead_bound(const lsp_sizing *z, int layer, int64_t span_rows);

#endif
