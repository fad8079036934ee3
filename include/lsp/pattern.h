/* What a query sees: patterns as pure functions of positions. No mask is ever stored.
 *
 * A branch of a layer is a pattern with its numbers. Every pattern here is causal and
 * shows each query one run of keys; a row of the table (src/pattern/pattern.c) is all that
 * the rest of the program knows of it. Positions count the rows of a document's frame:
 * rows of the prefix first, then the tokens of the text.
 *
 *   full         keys 0 .. i                                   (Vaswani et al. 2017)
 *   local        keys i - window + 1 .. i                      (Beltagy et al. 2020)
 *   fixed        keys 0 .. sinks - 1, as far as i              (Xiao et al. 2023)
 *   recurrence   the segment of i and the `memory` keys before it, or, with same_length,
 *                keys i - memory + 1 .. i                      (Dai et al. 2019) */
#ifndef LSP_PATTERN_H
#define LSP_PATTERN_H

#include "lsp/grid.h"

#include <stddef.h>
#include <stdint.h>

typedef enum {
  LSP_PATTERN_FULL,
  LSP_PATTERN_LOCAL,
  LSP_PATTERN_FIXED,
  LSP_PATTERN_RECURRENCE,
  LSP_PATTERNS
} lsp_pattern_kind;

typedef enum { LSP_NORMALIZE_SOFTMAX, LSP_NORMALIZE_NONE } lsp_normalize;

typedef struct {
  lsp_pattern_kind kind;
  lsp_normalize normalize;
  int64_t window;         /* local: keys that a query sees, itself included; the widest
                             of the heads */
  const int64_t *windows; /* local: of each query head, lent; NULL: all alike */
  int64_t sinks;          /* fixed */
  int in_window;          /* fixed: scored as if just before the window */
  int64_t segment, memory;
  int same_length;
  int virtual_past; /* recurrence: positions before 0 exist, as constant rows, as far as
                       `memory` reaches */
} lsp_pattern;

/* Keys first .. end - 1; may begin below 0 only with virtual_past. */
typedef struct {
  int64_t first, end;
} lsp_keys;

enum { LSP_SINKS_MAX = 4096 }; /* fixed keys */

enum { LSP_REACH_ALL = -1 }; /* every position before */

typedef struct {
  const char *name; /* as a config says it */
  /* Rows before a position that a run needs to continue from there: the most that any
   * query looks back. LSP_REACH_ALL; fixed keys do not count. */
  int64_t (*reach)(const lsp_pattern *p);
  /* What the query of a head at a position sees. */
  lsp_keys (*keys)(const lsp_pattern *p, int head, int64_t position);
  /* Pairs (query, key) of positions [first, end) of a head: the useful work. */
  double (*pairs)(const lsp_pattern *p, int head, int64_t first, int64_t end);
  /* From a position on the first key stands still or goes along, up to (not including)
   * this higher position; INT64_MAX: for good. */
  int64_t (*bend)(const lsp_pattern *p, int head, int64_t position);
  /* Positions after which, beyond the reach, the number of keys repeats itself; 0: it
   * grows. */
  int64_t (*period)(const lsp_pattern *p);
} lsp_pattern_row;

extern const lsp_pattern_row lsp_pattern_table[LSP_PATTERNS];

static inline const lsp_pattern_row *lsp_pattern_of(const lsp_pattern *p) {
  return &lsp_pattern_table[p->kind];
}

/* Window of a query head of a local pattern. */
static inline int64_t lsp_window_of(const lsp_pattern *p, int head) {
  return p->windows != NULL ? p->windows[head] : p->window;
}

/* One softmax (or plain sum) of a layer: the union of the branches merged into it. It
 * walks two sources: the run of keys that ends at the query, and before it the fixed
 * keys that the run does not hold. Each keeps a running maximum of its own. */
typedef struct {
  const lsp_pattern *fixed;  /* or NULL */
  const lsp_pattern *run[8]; /* full, local, recurrence; lent */
  int runs;
  lsp_normalize normalize;
} lsp_view;

/* What a query sees of the run, and of the fixed keys (which may be empty). */
lsp_keys lsp_view_run(const lsp_view *v, int head, int64_t position);
lsp_keys lsp_view_fixed(const lsp_view *v, int head, int64_t position);

/* Useful pairs of both sources, in steps of segments as far as the reach and for one period:
 * their number does not depend on that of positions. */
double lsp_view_pairs(const lsp_view *v, int head, int64_t first, int64_t end);

/* Tiles (blocks of 64 keys) that the queries [first, end) of one block and head touch:
 * the tile products that attention executes. end - first <= 64. */
int64_t lsp_view_tiles(const lsp_view *v, int head, int64_t first, int64_t end);

#endif
