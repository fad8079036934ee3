/* Rotary positions (Su et al. 2021, arXiv:2104.09864): angles for the rows of a block.
 *
 * Pair i of a head is turned by position * frequency[i]. A position far in a book needs
 * its angle to float32: the product is one of doubles, and a block's rows are turned from
 * its first one by a table of 0 .. 63 steps,
 *
 *   cos(a + b) = cos a cos b - sin a sin b
 *
 * Right to 1e-7 up to position 10^8, and to the same times position / 10^8 beyond. Pure.
 * Local, thread-safe. */
#ifndef LSP_ROTARY_H
#define LSP_ROTARY_H

#include "lsp/kernels.h"

#include <stdint.h>

/* steps (64, pairs, 2): cosine and sine of 0 .. 63 positions. frequency (pairs). */
void lsp_rotary_steps(int pairs, const double *frequency, double *steps);

/* cosine, sine (64, pairs) of the positions first .. first + 63; first may be below 0. */
void lsp_rotary_table(int pairs, const double *frequency, const double *steps,
                      int64_t first, float *cosine, float *sine);

/* The same of 64 positions that are `step` apart, each angle by itself. */
void lsp_rotary_angles(int pairs, const double *frequency, int64_t first, int64_t step,
                       float *cosine, float *sine);

#endif
