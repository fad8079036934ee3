/* Sizes of layers that look ahead. */
#include "engine_internal.h"

int lsp_sizes_whole(const lsp_model *m) {
  for (int i = 0; i < m->layers; i++)
    if (lsp_layer_ahead(&m->layer[i]) == LSP_REACH_ALL)
      return 1;
  return 0;
}

lsp_range lsp_sizes_wave(const lsp_model *m, const lsp_plan *plan, int64_t first,
                         int64_t rows) {
  return lsp_sizes_whole(m) ? lsp_plan_whole_wave(plan, first, rows)
                            : lsp_plan_wave(plan, first, rows);
}

lsp_step lsp_sizes_step(const lsp_plan *plan, const lsp_layer_sizes *y) {
  return (lsp_step){.plan = plan,
                    .sight = y->sight,
                    .room = y->in_rounds ? y->room : LSP_TILES_ALL,
                    .ranks = 1};
}

int64_t lsp_sizes_ring(const lsp_layer_sizes *y) {
  return y->groups *
         (y->sight.fixed + y->sight.ahead + y->sight.back > 0 ? LSP_KEPT_GROUP
                                                              : LSP_GROUP) *
         y->tile;
}

int64_t lsp_sizes_wait(const lsp_model *m, int layer, const lsp_layer_sizes *y) {
  return y->wait_groups * LSP_KEPT_GROUP * LSP_BLOCK *
         (m->width + m->layer[layer].output.matrix.cols);
}

/* Rows that the runs of a layer, and what it draws, look ahead. */
static int64_t ahead_of(const lsp_layer *l) {
  int64_t most = 0;
  for (int b = 0; b < l->branches; b++) {
    if (l->branch[b].kind == LSP_PATTERN_GLOBAL)
      continue;
    const int64_t rows = lsp_pattern_ahead(&l->branch[b]);
    if (rows == LSP_REACH_ALL)
      return LSP_REACH_ALL;
    most = lsp_max(most, rows);
  }
  return most;
}

static int64_t within(int64_t rows, int64_t longest) {
  return rows == LSP_REACH_ALL ? LSP_TILES_ALL : lsp_min(rows, longest);
}

void lsp_sizes_ahead(const lsp_model *m, int layer, int64_t longest, int64_t ranks,
                     lsp_layer_sizes *y) {
  const lsp_layer *l = &m->layer[layer];
  const int whole = lsp_sizes_whole(m) || m->wrapper.kind != LSP_WRAP_NONE;
  y->sight = (lsp_sight){.back = within(lsp_layer_near(l), longest),
                         .ahead = within(ahead_of(l), longest),
                         .fixed = lsp_layer_fixed(l)};
  y->fixed = lsp_divide_up(y->sight.fixed, LSP_BLOCK);
  y->in_rounds = y->sight.back == LSP_TILES_ALL || y->sight.ahead == LSP_TILES_ALL;
  y->tiles = y->in_rounds ? lsp_divide_up(longest, LSP_BLOCK)
                          : lsp_divide_up(y->sight.back, LSP_BLOCK) +
                                lsp_divide_up(y->sight.ahead, LSP_BLOCK);
  y->lag = whole ? 0 : lsp_ready_lag(&y->sight);
  y->groups = whole ? 0 : lsp_block_groups(lsp_kept_most(&y->sight), ranks);
  y->wait_groups = lsp_block_groups(y->lag, ranks);
  y->room = y->in_rounds ? LSP_ROUND_TILES : lsp_halo_most(&y->sight);
}

int64_t lsp_sizes_global_blocks(const lsp_layer *l) {
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_GLOBAL && l->branch[b].two_sided)
      return lsp_divide_up(lsp_layer_fixed(l), LSP_BLOCK);
  return 0;
}
