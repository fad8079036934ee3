/* Bytes to the ranks that may write them: no two ranks write into one aligned unit.
 *
 *   file    | unit 0    | unit 1    | unit 2    | unit 3    |      aligned, 1 MiB each
 *   dataset     [.....................................]
 *               :common :      interior     : common :
 *   ranks       [ 0   | 1|  2 |      3         | 4 | 5]
 *
 * A unit that lies only partly within the dataset may hold bytes of another dataset as
 * well: rank 0 writes it. Any other unit is written by the lowest rank that has bytes
 * in it; the ranks after it send it theirs. */
#ifndef LSP_ROUTE_H
#define LSP_ROUTE_H

#include "lsp/ctx.h"

#include <stdint.h>

enum { LSP_ROUTE_UNIT = 1 << 20 };

typedef struct lsp_route lsp_route;

/* Local, on every rank: three buffers of one unit. *out is to be closed after a
 * failure, too. */
lsp_status lsp_route_open(lsp_ctx *ctx, lsp_route **out);
void lsp_route_close(lsp_route **route);

/* Bytes [begin, end) of a file. */
typedef struct {
  int64_t begin, end;
} lsp_byte_range;

/* Collective. Every rank has the bytes `mine` (adjacent, in rank order, any of them
 * empty) of the dataset that lies at `dataset`, and writes what is its to write: calls
 * write(arg, data, n, offset), for bytes of its own and of others. */
void lsp_route_rows(
    lsp_route *route, lsp_byte_range dataset, lsp_byte_range mine, const void *data,
    void (*write)(void *arg, const void *data, int64_t n, int64_t offset), void *arg);

#endif
