/* Blocks chosen for a block of queries: the k best within reach, by the score of their
 * mean key against the mean query of the block before (a block cannot ask for itself: its
 * first query would see what later ones look for).
 *
 * A score is one product of a row with 64 mean keys, for each element a chain of fused
 * multiply-adds over E: a function of the positions alone. */
#include "picking.h"
#include "strata.h"

#include "attending.h"

/* One block of queries, and one group of heads. */
typedef struct {
  lsp_run *e;
  int layer, shared;
  const lsp_pattern *p;
  int64_t block;
  lsp_stratum_rows rows;
  lsp_source tiles;
} asking;

/* The mean query of the block before. */
static const float *query_of(const asking *a) {
  const lsp_heads h = a->e->weights.model.layer[a->layer].heads;
  const int64_t GE = (int64_t)h.shared * h.width;
  LSP_ASSERT(a->block - 1 >= a->rows.first && a->block - 1 < a->rows.end);
  return a->rows.row + (a->block - 1 - a->rows.first) * 2 * GE + GE +
         (int64_t)a->shared * h.width;
}

static void score_tile(const asking *a, int64_t tile, float score[LSP_BLOCK]) {
  const lsp_heads h = a->e->weights.model.layer[a->layer].heads;
  LSP_ASSERT(tile >= a->tiles.first && tile < a->tiles.end);
  const lsp_product p = {.a = query_of(a),
                         .lda = h.width,
                         .b = a->tiles.tile +
                              (tile - a->tiles.first) * a->tiles.stride +
                              a->shared * lsp_tile_head(h),
                         .ldb = LSP_BLOCK,
                         .c = score,
                         .ldc = LSP_BLOCK,
                         .rows = 1,
                         .cols = LSP_BLOCK,
                         .depth = h.width};
  a->e->job.kernels.product(&p);
}

static void choose(const asking *a, int32_t *list) {
  const int64_t low = lsp_max(0, a->block - a->p->block_reach);
  const int64_t end = a->block - a->p->beyond;
  lsp_best best = {.most = a->p->blocks};
  float score[LSP_BLOCK];
  for (int64_t c = low; c < end;) {
    const int64_t tile = c / LSP_BLOCK, next = lsp_min(end, (tile + 1) * LSP_BLOCK);
    score_tile(a, tile, score);
    for (; c < next; c++)
      lsp_best_offer(&best, score[c - tile * LSP_BLOCK], c);
  }
  lsp_best_list(&best, list);
}

static void choose_for_panel(lsp_run *e, int layer, const lsp_pattern *p,
                             const lsp_panel *panel) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  lsp_stratum stratum[LSP_STRATA_MAX];
  const int last = lsp_layer_strata(l, stratum) - 1;
  asking a = {.e = e,
              .layer = layer,
              .p = p,
              .rows = lsp_strata_rows(e, layer, last, panel->piece),
              .tiles = lsp_strata_tiles(e, layer, last, panel->piece)};
  for (int row = 0; row < panel->rows && panel->start + row < panel->piece->end;
       row += LSP_BLOCK) {
    a.block = (panel->start + row) / LSP_BLOCK;
    for (a.shared = 0; a.shared < l->heads.shared; a.shared++)
      choose(&a, e->span.choice +
                     ((panel->row + row) / LSP_BLOCK * l->heads.shared + a.shared) *
                         lsp_choices_of(p));
  }
}

void lsp_choose_blocks(lsp_run *e, int layer, const lsp_pattern *p) {
#pragma omp parallel for schedule(dynamic) num_threads(e->job.threads)
  for (int64_t i = 0; i < e->span.wave.panels; i++) {
    choose_for_panel(e, layer, p, &e->span.wave.panel[i]);
    lsp_poll(e);
  }
}
