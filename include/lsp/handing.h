/* States that are handed along a text: who hands on to whom follows from the plan. Pure
 * functions, as those of lsp/plan.h.
 *
 *   wave      | span of rank 0 | span of rank 1 | ... | last span |
 *   a state       ----------->     --------->  ... --->      -> rank 0: next wave
 *
 * A state belongs to a document, whatever frames it is cut into. */
#ifndef LSP_HANDING_H
#define LSP_HANDING_H

#include "lsp/plan.h"

/* 1: a panel (which may be one past the last) and the one before it are of one document. */
int lsp_plan_joined(const lsp_plan *plan, int64_t panel);

/* The rank whose span has a panel of the wave: O(log ranks). */
int lsp_plan_owner_of(const lsp_view_of_wave *v, int64_t panel);

/* The rank that needs next what v->rank has after its span: in this wave, or, of the last
 * one with rows, in the next wave (rank 0, which may be itself). -1: none does, or the rank
 * has no rows. */
int lsp_plan_hands_to(const lsp_view_of_wave *v);

/* The rank from which v->rank gets, in this wave, what is before its span; -1: none. */
int lsp_plan_handed_by(const lsp_view_of_wave *v);

/* Steps of a layer on every rank, of one wave: before the state is needed, with the state
 * (from its coming to its going), and after that. */
typedef struct {
  int64_t before, with, after;
} lsp_layer_steps;

/* Steps from the beginning of a wave of so many layers to the end of its last layer on the
 * last rank. What it takes beyond layers (before + with + after), each rank is idle. */
int64_t lsp_plan_chain_steps(int ranks, int layers, lsp_layer_steps steps);

#endif
