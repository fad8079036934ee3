/* Rows that average keys and values: see strata.h. */
#include "strata.h"

void lsp_strata_block(lsp_run *e, const lsp_panel *p, int layer, int row,
                      const float *qkv) {
  (void)e, (void)p, (void)layer, (void)row, (void)qkv;
}
void lsp_strata_form(lsp_run *e, int layer) {
  (void)e, (void)layer;
}
void lsp_strata_keep(lsp_run *e, int layer) {
  (void)e, (void)layer;
}
lsp_stratum_rows lsp_strata_rows(const lsp_run *e, int layer, int stratum,
                                 const lsp_piece *piece) {
  (void)e, (void)layer, (void)stratum, (void)piece;
  return (lsp_stratum_rows){0};
}
lsp_source lsp_strata_tiles(const lsp_run *e, int layer, int stratum,
                            const lsp_piece *piece) {
  (void)e, (void)layer, (void)stratum, (void)piece;
  return (lsp_source){0};
}
