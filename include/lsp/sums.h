/* The sums that lie beside the data in the files of a run: computed by the rank that
 * writes a piece, and again, from what lies in the file, by who verifies it
 * (lsp/verify.h). XXH3-64 over the pieces in the order of the arguments, as they lie in
 * the file. Local, pure functions. */
#ifndef LSP_SUMS_H
#define LSP_SUMS_H

#include "lsp/layout.h"

#include <stdint.h>

/* What a panel wrote (lsp_plan_panel_output says which rows that is). What the output
 * does not hold has the count 0. */
typedef struct {
  const int32_t *id;
  int64_t ids;
  const float *nll;
  int64_t nlls;
  const float *hidden;
  int64_t floats; /* rows times width */
  const int64_t *start;
  int64_t starts;
  const uint64_t
      *layer_sum; /* (layers) of each hidden_N and then each chosen_N, rising:
                                lsp_sum_hidden, lsp_sum_chosen */
  int64_t layers;
} lsp_panel_data;

uint64_t lsp_sum_panel(const lsp_panel_data *p);

/* Of the panel's rows of one hidden_N: they are written, and may be gone, before the rest
 * of the panel is known. */
uint64_t lsp_sum_hidden(const float *hidden, int64_t floats);
uint64_t lsp_sum_chosen(const int32_t *chosen, int64_t numbers);

/* The columns of /documents that are filled in later: the datasets from
 * LSP_DOCUMENTS_NLL_COUNT on, 8 bytes a row each. */
enum { LSP_DOCUMENT_COLUMNS = LSP_INTEGRITY_PANEL - LSP_DOCUMENTS_NLL_COUNT };

/* Row i of each of them. column (LSP_DOCUMENT_COLUMNS), in the order of the datasets. */
uint64_t lsp_sum_document(const void *const column[LSP_DOCUMENT_COLUMNS], int64_t i);

/* A row of memory: keys and values, bytes each. */
uint64_t lsp_sum_row(const void *keys, const void *values, int64_t bytes);

/* A row of the slot, with its place as seed: what lay there before, of another place in
 * the log or of another document, does not have the sum. */
typedef struct {
  uint64_t what; /* 2: a row of the log; 0, 1: a fixed row in that area */
  uint64_t layer;
  uint64_t since; /* of a fixed row: lsp_commit.fixed_at; else 0 */
  uint64_t row;   /* in the log; of the fixed ones */
} lsp_slot_place;

uint64_t lsp_sum_slot_row(const lsp_slot_place *place, const void *keys,
                          const void *values, int64_t bytes);

/* A part of a memory: its numbers. */
uint64_t lsp_sum_part(const void *data, int64_t bytes);

/* A part in the slot: the sum of its numbers with the commit whose memory it is: what lay
 * there before, of another time, does not have the sum. */
typedef struct {
  uint64_t data; /* lsp_sum_part */
  uint64_t part;
  uint64_t panel_end, token_end;
} lsp_slot_part;

uint64_t lsp_sum_slot_part(const lsp_slot_part *part);

/* The last token of a snapshot: its id and its hidden row. */
uint64_t lsp_sum_end(int32_t id, const void *hidden, int64_t bytes);

#endif
