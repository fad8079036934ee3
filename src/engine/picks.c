/* Blocks that queries pick one by one: see picks.h. */
#include "picks.h"

int64_t lsp_picks_open(lsp_run *e, int layer) {
  (void)e, (void)layer;
  return 1;
}
lsp_range lsp_picks_fetch(lsp_run *e, int layer, int64_t batch) {
  (void)layer, (void)batch;
  return (lsp_range){0, e->span.wave.panels};
}
int64_t lsp_picks_most(const lsp_run *e, int layer, const lsp_pattern *p) {
  (void)e, (void)layer, (void)p;
  return 0;
}
int64_t lsp_picks_of(const lsp_run *e, int layer, const lsp_pattern *p,
                     const lsp_panel *panel, int64_t position, int head,
                     int64_t *tile) {
  (void)e, (void)layer, (void)p, (void)panel, (void)position, (void)head, (void)tile;
  return 0;
}
int lsp_picks_sees(const lsp_run *e, int layer, const lsp_pattern *p,
                   const lsp_panel *panel, int64_t position, int head, int64_t tile) {
  (void)e, (void)layer, (void)p, (void)panel, (void)position, (void)head, (void)tile;
  return 0;
}
const float *lsp_picks_tile(const lsp_run *e, int layer, const lsp_piece *piece,
                            int64_t tile, int shared) {
  (void)e, (void)layer, (void)piece, (void)tile, (void)shared;
  return NULL;
}
