/* Rotary frequencies as the Hugging Face library makes them from `rope_theta` and
 * `rope_scaling` (or, as its version 5 writes them, `rope_parameters`). Internal to the
 * model module. Local.
 *
 *   default   f_i = theta^(-2i/E)                                    (Su et al. 2021)
 *   linear    f_i / factor                                     (Chen et al. 2023)
 *   llama3    long waves as linear, short ones as they are, those between by a share of
 *             both
 *   yarn      the same by a ramp over i, and scores that are multiplied (Peng et al.
 *             2023)
 *
 * Others, whose frequencies depend on how long the text is, are refused. */
#ifndef LSP_ROPE_H
#define LSP_ROPE_H

#include "source.h"

#include <float.h>

typedef enum {
  LSP_ROPE_DEFAULT,
  LSP_ROPE_LINEAR,
  LSP_ROPE_LLAMA3,
  LSP_ROPE_YARN
} lsp_rope_type;

/* key, lowest, highest, the types that read it; 0 is "not given". What scales scores is held
 * to what float32 has room for. */
#define LSP_ROPE_REALS(X)                                                              \
  X(factor, (double)FLT_MIN, 1e30, LINEAR | LLAMA3 | YARN)                             \
  X(low_freq_factor, (double)FLT_MIN, 1e30, LLAMA3)                                    \
  X(high_freq_factor, (double)FLT_MIN, 1e30, LLAMA3)                                   \
  X(original_max_position_embeddings, 1, 1e15, LLAMA3 | YARN)                          \
  X(attention_factor, 1e-15, 1e15, YARN)                                               \
  X(beta_fast, 0, 1e30, YARN)                                                          \
  X(beta_slow, 0, 1e30, YARN)                                                          \
  X(mscale, 0, 1e6, YARN)                                                              \
  X(mscale_all_dim, 0, 1e6, YARN)

typedef struct {
  lsp_rope_type type;
  double theta;
#define LSP_ROPE_FIELD(name, ...) double name;
  LSP_ROPE_REALS(LSP_ROPE_FIELD)
#undef LSP_ROPE_FIELD
  int truncate; /* yarn: the ramp begins and ends at whole i */
} lsp_rope;

/* Reads and checks. *rope holds the family's theta; positions: max_position_embeddings. */
lsp_status lsp__rope_read(const lsp_source *config, int64_t positions, lsp_rope *rope);

/* The E / 2 frequencies of a head of E components. */
void lsp__rope_frequencies(const lsp_rope *rope, int width, double *frequency);

/* What queries and keys are both multiplied with, as they are turned. */
double lsp__rope_attention(const lsp_rope *rope);

/* All that decides what the two above give, for a hash; NULL without memory. Owned by the
 * caller. */
json_t *lsp__rope_json(const lsp_rope *rope);

#endif
