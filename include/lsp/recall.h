/* A store for layers of a model that was trained without one: what --store says.
 *
 *   layers:LIST,k:K,gate:G[,memory:M][,segment:S][,keys:plain|rotated]
 *
 *   layers    numbers and ranges, rising: 3+5+7, 3-7, 0-2+9
 *   k         keys that a query takes from the store, 1 .. 256
 *   gate      weight of what it takes, above 0 and below 1; the layer's own attention has
 *             the rest
 *   memory    positions before the query's segment that the store holds; 0: all (default)
 *   segment   positions that a query looks past, so that what is near is left to the
 *             layer itself (default 512)
 *   keys      compared as they are before they are turned for their positions (default),
 *             or as they are after
 *
 * Local, all of it. */
#ifndef LSP_RECALL_H
#define LSP_RECALL_H

#include "lsp/status.h"

#include <stdint.h>

enum { LSP_RECALL_RANGES = 64, LSP_RECALL_SIZE = 480 };

typedef struct {
  int ranges; /* 0: nothing was said */
  struct {
    int first, last;
  } range[LSP_RECALL_RANGES]; /* of layers, rising */
  int neighbours;
  double gate;
  int64_t memory, segment;
  int rotated;
} lsp_recall;

/* LSP_E_USAGE says what is expected. text NULL: nothing was said. */
lsp_status lsp_recall_parse(const char *text, lsp_recall *recall, lsp_failure *why);

/* The same in words, as it is recorded: all keys, in the order above. */
void lsp_recall_print(const lsp_recall *recall, char text[LSP_RECALL_SIZE]);

/* 1 if a layer is among those that get a store. */
int lsp_recall_has(const lsp_recall *recall, int layer);

#endif
