/* The table of patterns, and what several branches show together. */
#include "lsp/pattern.h"

#include "patterns.h"

#include <stddef.h>

#define LSP_PATTERN_ROW(name)                                                          \
  {                                                                                    \
#name, lsp__##name##_reach, lsp__##name##_keys, lsp__##name##_pairs,               \
        lsp__##name##_bend, lsp__##name##_period                                       \
  }

const lsp_pattern_row lsp_pattern_table[LSP_PATTERNS] = {
    [LSP_PATTERN_FULL] = LSP_PATTERN_ROW(full),
    [LSP_PATTERN_LOCAL] = LSP_PATTERN_ROW(local),
    [LSP_PATTERN_FIXED] = LSP_PATTERN_ROW(fixed),
    [LSP_PATTERN_RECURRENCE] = LSP_PATTERN_ROW(recurrence),
};

lsp_keys lsp_view_run(const lsp_view *v, int head, int64_t position) {
  lsp_keys all = {position + 1, position + 1};
  for (int i = 0; i < v->runs; i++) {
    const lsp_keys k = lsp_pattern_of(v->run[i])->keys(v->run[i], head, position);
    all.first = lsp_min(all.first, k.first);
  }
  return all;
}

lsp_keys lsp_view_fixed(const lsp_view *v, int head, int64_t position) {
  if (v->fixed == NULL)
    return (lsp_keys){0, 0};
  const lsp_keys k = lsp_pattern_of(v->fixed)->keys(v->fixed, head, position);
  return (lsp_keys){k.first, lsp_min(k.end, lsp_view_run(v, head, position).first)};
}

/* --- pairs ----------------------------------------------------------------------- */

static int64_t first_key(const lsp_view *v, int i, int head, int64_t position) {
  return lsp_pattern_of(v->run[i])->keys(v->run[i], head, position).first;
}

static double keys_seen(const lsp_view *v, int head, int64_t position) {
  const lsp_keys run = lsp_view_run(v, head, position);
  const lsp_keys fixed = lsp_view_fixed(v, head, position);
  return (double)(run.end - run.first) + (double)lsp_max(0, fixed.end - fixed.first);
}

/* Where a first key that goes along meets one that stands, or the first or last of the
 * fixed keys: the lower one counts, so that it may be the other from there on. */
static int64_t meeting(const lsp_view *v, int head, int64_t from, int64_t end) {
  for (int i = 0; i < v->runs; i++) {
    const int64_t goes = first_key(v, i, head, from);
    if (first_key(v, i, head, from + 1) == goes)
      continue;
    if (v->fixed != NULL && goes < 0)
      end = lsp_min(end, from - goes);
    else if (v->fixed != NULL && v->fixed->sinks > goes)
      end = lsp_min(end, from + v->fixed->sinks - goes);
    for (int k = 0; k < v->runs; k++) {
      const int64_t other = first_key(v, k, head, from);
      if (other > goes)
        end = lsp_min(end, from + other - goes);
    }
  }
  return end;
}

/* Step by step, from where the number of keys begins to change evenly to where it ceases
 * to. */
static double walked_pairs(const lsp_view *v, int head, int64_t first, int64_t end) {
  double pairs = 0;
  for (int64_t i = first; i < end;) {
    int64_t next = end;
    for (int k = 0; k < v->runs; k++)
      next = lsp_min(next, lsp_pattern_of(v->run[k])->bend(v->run[k], head, i));
    if (next > i + 1)
      next = meeting(v, head, i, next);
    pairs +=
        (keys_seen(v, head, i) + keys_seen(v, head, next - 1)) * (double)(next - i) / 2;
    i = next;
  }
  return pairs;
}

/* Positions after which the number of keys repeats itself beyond `settled`, from where on
 * all reaches are whole. 0: it grows. */
static int64_t period_of(const lsp_view *v, int64_t *settled) {
  int64_t period = 1;
  *settled = v->fixed != NULL ? v->fixed->sinks : 0;
  for (int i = 0; i < v->runs; i++) {
    const int64_t reach = lsp_pattern_of(v->run[i])->reach(v->run[i]);
    const int64_t own = lsp_pattern_of(v->run[i])->period(v->run[i]);
    int64_t a = period, b = own;
    while (b != 0) {
      const int64_t rest = a % b;
      a = b;
      b = rest;
    }
    if (period > 0 && __builtin_mul_overflow(period / a, own, &period))
      period = INT64_MAX; /* longer than any text */
    if (reach != LSP_REACH_ALL)
      *settled = lsp_max(*settled, reach + (v->fixed != NULL ? v->fixed->sinks : 0));
  }
  return period;
}

double lsp_view_pairs(const lsp_view *v, int head, int64_t first, int64_t end) {
  int64_t settled;
  if (v->runs == 0)
    return v->fixed == NULL
               ? 0
               : lsp_pattern_of(v->fixed)->pairs(v->fixed, head, first, end);
  if (v->runs == 1 && v->fixed == NULL)
    return lsp_pattern_of(v->run[0])->pairs(v->run[0], head, first, end);
  const int64_t period = period_of(v, &settled);
  settled = lsp_min(end, lsp_max(first, settled));
  double pairs = walked_pairs(v, head, first, settled);
  if (period == 0) /* all before is seen */
    return pairs + lsp__growing_pairs(settled, end, INT64_MAX);
  const int64_t periods = (end - settled) / period;
  if (periods > 0)
    pairs += (double)periods * walked_pairs(v, head, settled, settled + period);
  return pairs + walked_pairs(v, head, settled, settled + (end - settled) % period);
}

/* --- tiles ----------------------------------------------------------------------- */

static int64_t tiles_of(int64_t first, int64_t end) {
  return first < end ? lsp_block_of(end - 1) - lsp_block_of(first) + 1 : 0;
}

int64_t lsp_view_tiles(const lsp_view *v, int head, int64_t first, int64_t end) {
  int64_t run_first = end, fixed_end = 0;
  for (int64_t i = first; i < end; i++) {
    run_first = lsp_min(run_first, lsp_view_run(v, head, i).first);
    fixed_end = lsp_max(fixed_end, lsp_view_fixed(v, head, i).end);
  }
  return tiles_of(v->runs > 0 ? run_first : end, end) + tiles_of(0, fixed_end);
}
