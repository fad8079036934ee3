/* The sums of what is written: one definition for writers and verifiers. */
#define XXH_INLINE_ALL
#include "lsp/sums.h"

#include <string.h>
#include <xxhash.h>

uint64_t lsp_sum_panel(const lsp_panel_data *p) {
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  (void)XXH3_64bits_reset(&state);
  if (p->ids > 0)
    (void)XXH3_64bits_update(&state, p->id, (size_t)p->ids * sizeof *p->id);
  if (p->nlls > 0)
    (void)XXH3_64bits_update(&state, p->nll, (size_t)p->nlls * sizeof *p->nll);
  if (p->floats > 0)
    (void)XXH3_64bits_update(&state, p->hidden, (size_t)p->floats * sizeof *p->hidden);
  if (p->starts > 0)
    (void)XXH3_64bits_update(&state, p->start, (size_t)p->starts * sizeof *p->start);
  if (p->layers > 0)
    (void)XXH3_64bits_update(&state, p->layer_sum,
                             (size_t)p->layers * sizeof *p->layer_sum);
  return XXH3_64bits_digest(&state);
}

uint64_t lsp_sum_hidden(const float *hidden, int64_t floats) {
  return XXH3_64bits(hidden, (size_t)floats * sizeof *hidden);
}

uint64_t lsp_sum_chosen(const int32_t *chosen, int64_t numbers) {
  return XXH3_64bits(chosen, (size_t)numbers * sizeof *chosen);
}

uint64_t lsp_sum_document(const void *const column[LSP_DOCUMENT_COLUMNS], int64_t i) {
  unsigned char row[8 * LSP_DOCUMENT_COLUMNS];
  for (int64_t k = 0; k < LSP_DOCUMENT_COLUMNS; k++)
    memcpy(row + 8 * k, (const unsigned char *)column[k] + 8 * i, 8);
  return XXH3_64bits(row, sizeof row);
}

/* Seed 0 is none. */
static uint64_t sum_seeded(uint64_t seed, const void *keys, const void *values,
                           int64_t bytes) {
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  (void)XXH3_64bits_reset_withSeed(&state, seed);
  (void)XXH3_64bits_update(&state, keys, (size_t)bytes);
  (void)XXH3_64bits_update(&state, values, (size_t)bytes);
  return XXH3_64bits_digest(&state);
}

uint64_t lsp_sum_row(const void *keys, const void *values, int64_t bytes) {
  return sum_seeded(0, keys, values, bytes);
}

uint64_t lsp_sum_slot_row(const lsp_slot_place *place, const void *keys,
                          const void *values, int64_t bytes) {
  return sum_seeded(XXH3_64bits(place, sizeof *place), keys, values, bytes);
}

uint64_t lsp_sum_part(const void *data, int64_t bytes) {
  return XXH3_64bits(data, (size_t)bytes);
}

uint64_t lsp_sum_slot_part(const lsp_slot_part *part) {
  return XXH3_64bits(part, sizeof *part);
}

uint64_t lsp_sum_end(int32_t id, const void *hidden, int64_t bytes) {
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  (void)XXH3_64bits_reset(&state);
  (void)XXH3_64bits_update(&state, &id, sizeof id);
  (void)XXH3_64bits_update(&state, hidden, (size_t)bytes);
  return XXH3_64bits_digest(&state);
}
