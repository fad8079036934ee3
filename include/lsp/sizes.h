/* How large everything of a run is: pure functions, shared by the engine, which
 * reserves it, and by `longspan plan`, which says it beforehand. Sizes in floats (4
 * bytes). */
#ifndef LSP_SIZES_H
#define LSP_SIZES_H

#include "lsp/memory.h"
#include "lsp/plan.h"
#include "lsp/transfo_xl.h"

_Static_assert((int)LSP_GRID_BLOCK == (int)LSP_BLOCK, "blocks are tiles");

enum { LSP_HEAD_COLUMNS = 1024 }; /* logits of a row at once */

/* What options change of a configuration; negative: nothing. Checks that something is
 * left to see. The configuration then holds segment (tgt_len) and mem_len of the run.
 */
lsp_status lsp_sizes_apply(lsp_txl_config *config, int64_t mem_len, int64_t segment,
                           lsp_failure *why);

/* The pattern of a configuration to which lsp_sizes_apply has been. */
lsp_pattern lsp_sizes_pattern(const lsp_txl_config *config, int virtual_past);

static inline lsp_heads lsp_sizes_heads(const lsp_txl_config *c) {
  return (lsp_heads){c->n_head, c->d_head};
}

/* Strips of relative positions that a layer needs. */
int64_t lsp_sizes_strips(const lsp_txl_config *config, const lsp_pattern *pattern);

/* Packed output rows of cluster i, beyond the shortlist. */
int64_t lsp_sizes_tail(const lsp_txl_config *config, int i);

/* What is made from the weights and lies beside them, one copy a node. */
int64_t lsp_sizes_prepared(const lsp_txl_config *config, const lsp_pattern *pattern);

/* Scratch of a thread. */
int64_t lsp_sizes_scratch(const lsp_txl_config *config, const lsp_pattern *pattern);

/* Rows of a wave for a rate of all ranks (FLOP/s as far as it is reached): about 30 s
 * of work, at least twice the reach a rank; before limits of memory. */
int64_t lsp_sizes_wave(const lsp_txl_config *config, const lsp_pattern *pattern,
                       double rate, int64_t ranks);

/* FLOPs of a token in the midst of a long document. */
double lsp_sizes_flops(const lsp_txl_config *config, const lsp_pattern *pattern);

/* Buffers of a rank for waves of wave_rows rows. */
typedef struct {
  int64_t wave_rows;
  int64_t span_rows;   /* capacity of a span: it ends at the first panel border past its
                          share */
  int64_t x, q, tiles; /* hidden states, queries, keys and values of the span */
  int64_t halo;        /* borrowed tiles */
  int64_t memory_rows; /* rows of a snapshot on their way out */
  int64_t scratch;     /* of one thread */
  int64_t carry_tiles; /* of one layer, carried from wave to wave */
  int64_t carry;       /* rank 0, twice: all layers */
} lsp_sizes;

lsp_sizes lsp_sizes_of(const lsp_txl_config *config, const lsp_plan *plan,
                       int64_t wave_rows, int64_t ranks);

#endif
