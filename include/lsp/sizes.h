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

/* What a run is asked for that decides its sizes. Together with the model and the
 * corpus these decide the waves: nothing measured does, so that the same command takes
 * the same memory every time, and what `longspan plan` says. */
typedef struct {
  int64_t wave_tokens; /* negative: chosen */
  int64_t memory;      /* bytes a rank may take beside the node's copies; negative:
                          LSP_MEMORY_DEFAULT, or what twice the reach needs */
  int64_t ranks, threads;
  int64_t tables; /* bytes of the tables of documents, one copy a node */
} lsp_request;

/* Larger waves than fit in this were not faster, and smaller ones than fit in half of
 * it not much slower. */
enum { LSP_MEMORY_DEFAULT = 256 << 20 };

/* FLOP/s of a thread, for "about 30 s of work" a wave: nominal, so that waves do not
 * depend on what else the machine does. */
static const double lsp_nominal_rate = 40e9;

/* What a run holds in memory. Everything but `node` is of one rank; rank 0, which holds
 * most, has `root` more. */
typedef struct {
  int64_t wave_rows;
  int64_t span_rows; /* capacity of a span: it ends at the first panel border past its
                          share */
  /* floats in the arena */
  int64_t x, q, tiles; /* hidden states, queries, keys and values of the span */
  int64_t halo;        /* borrowed tiles */
  int64_t memory_rows; /* rows of a snapshot on their way out */
  int64_t scratch;     /* of one thread */
  int64_t tokens;      /* ids; as many again for nll */
  int64_t sums;        /* of the panels */
  int64_t shares;      /* what documents got of the span */
  int64_t carry_tiles; /* of one layer, carried from wave to wave */
  int64_t carry;       /* rank 0, twice: all layers */
  int64_t pieces;      /* of a wave on all ranks, at most: a number */
  /* bytes */
  int64_t buffers; /* all of the above without the carry */
  int64_t lists;   /* pieces and panels of the span */
  int64_t process; /* program, MPI, HDF5, BLAS, the output's buffers */
  int64_t root;    /* rank 0: the carry, and what documents got of all spans */
  int64_t node;    /* weights, what is made of them, documents: one copy a node */
} lsp_sizes;

/* Bytes of rank 0 beside the node's copies. */
static inline int64_t lsp_sizes_rank(const lsp_sizes *s) {
  return s->buffers + s->lists + s->process + s->root;
}

/* Sizes for waves of wave_rows rows. */
lsp_sizes lsp_sizes_of(const lsp_txl_config *config, const lsp_plan *plan,
                       const lsp_request *request, int64_t wave_rows);

/* Bytes of rank 0 for the smallest wave that a run chooses. */
int64_t lsp_sizes_least(const lsp_txl_config *config, const lsp_plan *plan,
                        const lsp_request *request);

/* Local, pure. Chooses the waves of a run: those asked for, else about 30 s of work
 * within the memory. LSP_E_MEMORY with the figures if the memory asked for is not
 * enough. */
lsp_status lsp_sizes_choose(const lsp_txl_config *config, const lsp_plan *plan,
                            const lsp_request *request, lsp_sizes *out,
                            lsp_failure *why);

/* Messages to other ranks, and their bytes. */
typedef struct {
  int64_t messages, bytes;
} lsp_sent;

/* What ranks lend each other of keys and values (lsp/exchange.h): messages and bytes
 * are each the most of any rank, which may be different ones. */
typedef struct {
  int exact; /* the counts of a run; else bounds, which a run stays below */
  int64_t waves;
  int64_t idle;  /* ranks without work in the wave that has most of them; -1: not
                        counted */
  lsp_sent wave; /* in one layer of one wave */
  lsp_sent rank; /* in the whole run */
} lsp_lending;

/* Local, pure. The lending of a run over one document. Waves that are alike are counted
 * once; what is left to count is given up for bounds beyond `budget` waves times ranks
 * (0: bounds alone). */
lsp_status lsp_sizes_lending(const lsp_txl_config *config, const lsp_plan *plan,
                             int64_t wave_rows, int64_t ranks, int64_t budget,
                             lsp_lending *out, lsp_failure *why);

#endif
