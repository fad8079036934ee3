/* Sizes: one place for what is reserved and what is foretold. */
#include "lsp/sizes.h"

#include "lsp/attend.h"

lsp_status lsp_sizes_apply(lsp_txl_config *c, int64_t mem_len, int64_t segment,
                           lsp_failure *why) {
  const int64_t trained = c->mem_len;
  if (mem_len >= 0)
    c->mem_len = mem_len;
  if (segment > 0)
    c->tgt_len = segment;
  else if (c->tgt_len == 0)
    c->tgt_len = trained > 0 ? trained : 128;
  if (!c->same_length || c->mem_len > 0)
    return LSP_OK;
  if (mem_len == 0)
    return lsp_fail(
        why, LSP_E_USAGE,
        "--mem-len 0 with same_length masks every position; use a memory of "
        "at least 1");
  return lsp_fail(why, LSP_E_FORMAT,
                  "config.json: mem_len 0 with same_length masks every position; give "
                  "--mem-len of at least 1");
}

lsp_pattern lsp_sizes_pattern(const lsp_txl_config *c, int virtual_past) {
  return (lsp_pattern){.memory = c->mem_len,
                       .segment = c->tgt_len,
                       .same_length = c->same_length,
                       .virtual_past = virtual_past};
}

int64_t lsp_sizes_strips(const lsp_txl_config *c, const lsp_pattern *pattern) {
  const int64_t all = lsp_divide_up(lsp_pattern_reach(pattern), LSP_BLOCK) + 1;
  return c->clamp_len > 0 ? lsp_min(all, c->clamp_len / LSP_BLOCK + 1) : all;
}

static int64_t padded(int64_t floats) {
  return lsp_divide_up(floats, LSP_LANES) * LSP_LANES;
}

int64_t lsp_sizes_tail(const lsp_txl_config *c, int i) {
  const int64_t width = lsp_txl_width(c, i);
  return padded(lsp_divide_up(c->cut[i + 1] - c->cut[i], LSP_BLOCK) * LSP_BLOCK *
                width);
}

int64_t lsp_sizes_prepared(const lsp_txl_config *c, const lsp_pattern *pattern) {
  const lsp_heads h = lsp_sizes_heads(c);
  const int64_t layer = padded(lsp_strip_floats(h, lsp_sizes_strips(c, pattern))) +
                        padded(lsp_tile_floats(h));
  int64_t floats = c->n_layer * layer;
  for (int i = 1; i < c->clusters; i++)
    floats += lsp_sizes_tail(c, i);
  return floats;
}

int64_t lsp_sizes_scratch(const lsp_txl_config *c, const lsp_pattern *pattern) {
  const int64_t A = (int64_t)c->n_head * c->d_head, D = c->d_model;
  const int64_t widest = lsp_max(D, c->d_embed);
  const int64_t project = LSP_PANEL * (3 * A + D);
  const int64_t feed = LSP_PANEL * (D + c->d_inner);
  const int64_t embed = LSP_PANEL * (D + c->d_embed);
  /* two floats hold the address of a tile */
  const int64_t tiles = 2 * (lsp_divide_up(lsp_pattern_reach(pattern), LSP_BLOCK) + 2);
  const int64_t attend = lsp_attend_scratch(lsp_sizes_heads(c)) + tiles;
  const int64_t heads =
      LSP_PANEL * (2 * widest + LSP_HEAD_COLUMNS + D) + LSP_BLOCK * widest;
  return padded(
      lsp_max(lsp_max(lsp_max(project, feed), lsp_max(embed, attend)), heads));
}

double lsp_sizes_flops(const lsp_txl_config *c, const lsp_pattern *p) {
  const double pairs = (double)(p->memory + (p->same_length ? 0 : p->segment / 2));
  return lsp_txl_flops_per_token(c) + pairs * lsp_txl_flops_per_pair(c) * c->n_layer;
}

int64_t lsp_sizes_wave(const lsp_txl_config *c, const lsp_pattern *pattern, double rate,
                       int64_t ranks) {
  const double thirty = 30 * rate / lsp_sizes_flops(c, pattern) / (double)ranks;
  const int64_t rows = thirty < 1e12 ? (int64_t)thirty : (int64_t)1e12;
  return lsp_max(lsp_max(rows, 2 * lsp_pattern_reach(pattern)), LSP_PANEL) * ranks;
}

lsp_sizes lsp_sizes_of(const lsp_txl_config *c, const lsp_plan *plan, int64_t wave_rows,
                       int64_t ranks) {
  const lsp_heads h = lsp_sizes_heads(c);
  const int64_t A = (int64_t)c->n_head * c->d_head, tile = lsp_tile_floats(h);
  const int64_t all = lsp_plan_rows_before(plan, lsp_plan_panels(plan));
  const int64_t reach = lsp_pattern_reach(&plan->pattern);
  lsp_sizes s = {.wave_rows = lsp_max(lsp_min(wave_rows, all), LSP_PANEL)};
  const int64_t share = lsp_divide_up(s.wave_rows, ranks) + LSP_PANEL;
  s.span_rows =
      lsp_divide_up(lsp_min(share, lsp_max(all, LSP_PANEL)), LSP_BLOCK) * LSP_BLOCK;
  s.x = s.span_rows * c->d_model;
  s.q = s.span_rows * A;
  s.tiles = s.span_rows / LSP_BLOCK * tile;
  s.halo = plan->reach_tiles * tile;
  s.memory_rows = 2 * reach * A;
  s.scratch = lsp_sizes_scratch(c, &plan->pattern);
  /* a document taken up in the middle of a panel has tiles of that panel, too */
  s.carry_tiles = plan->reach_tiles + LSP_PANEL / LSP_BLOCK;
  s.carry = c->n_layer * s.carry_tiles * tile;
  return s;
}
