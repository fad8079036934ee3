/* What a query sees: patterns as pure functions of positions. No mask is ever stored.
 *
 * A branch of a layer is a pattern with its numbers; a row of the table
 * (src/pattern/pattern.c) is all that the rest of the program knows of it. Positions count
 * the rows of a document's frame: rows of the prefix first, then the tokens of the text.
 * Blocks are of 64 positions; block b is that of query i.
 *
 *   full         keys 0 .. i                                   (Vaswani et al. 2017)
 *   local        keys i - window + 1 .. i                      (Beltagy et al. 2020)
 *   fixed        keys 0 .. sinks - 1, as far as i              (Xiao et al. 2023)
 *   recurrence   the segment of i and the `memory` keys before it, or, with same_length,
 *                keys i - memory + 1 .. i                      (Dai et al. 2019)
 *   global       some rows that all see and that see all       (Beltagy et al. 2020)
 *   random       blocks drawn for each block and head          (Zaheer et al. 2020)
 *   chosen       the block of i as far as i, and the best of those before by score of their
 *                mean keys                                     (routing by content)
 *   compressed   means of `pool` keys and values               (Yuan et al. 2025, NSA)
 *   selected     the block of i as far as i, and those that compressed attention
 *                weighs most, token by token                   (Yuan et al. 2025, NSA)
 *   levels       a window of keys, before it one of means, before that one of means of
 *                means, ...                                    (Zhu and Soricut 2021)
 *   dynamic      a window as long as a head has learned, with a soft end
 *                                                              (Sukhbaatar et al. 2019)
 *   learned      slots of keys and values that are weights      (Sukhbaatar et al. 2019)
 *   store        of the keys of the `memory` positions before the query's segment the
 *                `neighbours` that match best                   (Wu et al. 2022)
 *   compressed_past   means or convolutions of `pool` rows that have left the recurrence
 *                beside it                                      (Rae et al. 2019)
 *   compressive  a matrix that holds all segments before that of i
 *                                                              (Munkhdalai et al. 2024)
 *
 * In a two-sided model full, local, fixed, global and random look ahead as they look back:
 * local shows keys i - window .. i + window. */
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
  LSP_PATTERN_GLOBAL,
  LSP_PATTERN_RANDOM,
  LSP_PATTERN_CHOSEN,
  LSP_PATTERN_COMPRESSED,
  LSP_PATTERN_SELECTED,
  LSP_PATTERN_LEVELS,
  LSP_PATTERN_DYNAMIC,
  LSP_PATTERN_LEARNED,
  LSP_PATTERN_STORE,
  LSP_PATTERN_COMPRESSED_PAST,
  LSP_PATTERN_COMPRESSIVE,
  LSP_PATTERNS
} lsp_pattern_kind;

enum {
  LSP_SINKS_MAX = 4096,    /* fixed keys, and positions of global rows */
  LSP_PICKS_MAX = 64,      /* blocks that a query picks */
  LSP_LEVELS_MAX = 8,      /* of pooled keys */
  LSP_SLOTS_MAX = 65536,   /* learned keys */
  LSP_NEIGHBOURS_MAX = 256 /* that a query takes from a store */
};

enum { LSP_REACH_ALL = -1 }; /* every position before */

typedef enum { LSP_NORMALIZE_SOFTMAX, LSP_NORMALIZE_NONE } lsp_normalize;

typedef struct {
  lsp_pattern_kind kind;
  lsp_normalize normalize;
  int two_sided;
  int64_t window; /* local: keys that a query sees, itself included (two-sided: to
                             each side, itself not included); the widest of the heads.
                             dynamic: the longest span that can be learned. levels: rows of
                             each level */
  const int64_t *windows; /* local, dynamic: of each query head, lent; NULL: all alike.
                             dynamic: keys that it sees, itself included, once the weights
                             are there */
  int64_t sinks; /* fixed; global: rows 0 .. sinks - 1, where no list says which */
  int in_window; /* fixed: scored as if just before the window */
  int64_t segment, memory;
  int same_length;
  int virtual_past; /* recurrence: positions before 0 exist, as constant rows, as far as
                       `memory` reaches */
  const int64_t *positions; /* global: (position_count) rising, lent; NULL: sinks */
  int position_count;
  int own_projections; /* global rows have weights of their own */
  int blocks; /* random, chosen: that a block picks; selected: that a query sees,
                          its own included */
  int64_t block_reach; /* random, chosen: blocks back; compressed, selected: pooled rows
                          back, 0: all */
  int64_t beyond;      /* random, chosen: the nearest blocks that are not picked */
  uint64_t seed;       /* random */
  int pool;       /* rows of a mean: a power of two, at most 64; selected: that of the
                          compressed branch beside it */
  int levels;     /* of means */
  int64_t ramp;   /* dynamic: keys over which a span ends */
  int64_t slots;  /* learned */
  int neighbours; /* store: `memory` positions before the `segment` of the query, 0: all;
                      in one softmax with others it shows none that they show */
  int rotated;    /* store: keys and queries are compared as they are turned for their
                      positions; else as they are before */
  int cosine;     /* store: normalised first, with a scale a head */
  int convolved; /* compressed_past: by a convolution; else means. block_reach: rows, 0:
                      all; `segment` and `memory` are those of the recurrence */
  int delta;     /* compressive: the delta rule; else linear. `segment` */
  int tiled; /* compressive: query head h reads the memory of key/value head h mod G;
                      else h / (H / G), as attention does */
} lsp_pattern;

/* Keys first .. end - 1; may begin below 0 only with virtual_past. Two-sided: may end past
 * the end of the frame. */
typedef struct {
  int64_t first, end;
} lsp_keys;

typedef struct {
  const char *name; /* as a config says it */
  /* Rows before a position that a run needs to continue from there: the most that any
   * query looks back. LSP_REACH_ALL; fixed keys and pooled ones do not count. */
  int64_t (*reach)(const lsp_pattern *p);
  /* The part of its keys that is one run with the query's own position in it or at its
   * end; empty: {position + 1, position + 1}. */
  lsp_keys (*keys)(const lsp_pattern *p, int head, int64_t position);
  /* Pairs (query, key) of positions [first, end) of a head, of all that it sees: the useful
   * work. Two-sided: a pair counts at the later of its two positions, so that a frame has
   * what its rows have together; of random, what the frame's end takes away still
   * counts. */
  double (*pairs)(const lsp_pattern *p, int head, int64_t first, int64_t end);
  /* From a position on the first key of the run stands still or goes along, up to (not
   * including) this higher position; INT64_MAX: for good. */
  int64_t (*bend)(const lsp_pattern *p, int head, int64_t position);
  /* Positions after which, beyond the reach, the number of keys repeats itself; 0: it
   * grows. */
  int64_t (*period)(const lsp_pattern *p);
} lsp_pattern_row;

extern const lsp_pattern_row lsp_pattern_table[LSP_PATTERNS];

static inline const lsp_pattern_row *lsp_pattern_of(const lsp_pattern *p) {
  return &lsp_pattern_table[p->kind];
}

/* Window of a query head of a local or dynamic pattern. */
static inline int64_t lsp_window_of(const lsp_pattern *p, int head) {
  return p->windows != NULL ? p->windows[head] : p->window;
}

/* Rows before a position that the runs of a pattern look back to: at most its reach, which
 * counts picked blocks, too. (Two-sided patterns have all within reach at hand.) */
int64_t lsp_pattern_near(const lsp_pattern *p);

/* Rows after a position that a pattern looks ahead to; LSP_REACH_ALL. 0: it is causal. */
int64_t lsp_pattern_ahead(const lsp_pattern *p);

/* 1 for random, chosen, selected: a query looks at blocks one by one. */
int lsp_pattern_picks(const lsp_pattern *p);

/* 1 if a row of the frame is one that all see (global). */
int lsp_pattern_is_global(const lsp_pattern *p, int64_t position);

/* Blocks that block b of a query head of a layer draws (random), rising, into
 * block[LSP_PICKS_MAX]; returns how many. blocks: of the frame (two-sided only).
 * Splitmix64 of (seed, layer, head, b) as a counter, Floyd's sampling. */
int lsp_draw_blocks(const lsp_pattern *p, int layer, int head, int64_t b,
                    int64_t blocks, int64_t block[LSP_PICKS_MAX]);

/* Pooled rows that a query sees of a level, 1 .. lsp_pattern_levels (compressed, levels, compressed_past).
 * A row of level l averages pool^l positions and is there when the last of them is. */
lsp_keys lsp_pooled_keys(const lsp_pattern *p, int level, int64_t position);

/* Keys that a query of a store compares. */
lsp_keys lsp_store_candidates(const lsp_pattern *p, int64_t position);

/* 1 for learned, store, compressive: what LSP_MERGE_MEMORY weighs by the gate. */
int lsp_pattern_is_memory(const lsp_pattern *p);

/* Levels of pooled rows; 0: none. */
int lsp_pattern_levels(const lsp_pattern *p);

/* Positions that a row of a level averages. */
int64_t lsp_level_unit(const lsp_pattern *p, int level);

/* Pooled rows of a level before the last whole one that a run needs to continue from a
 * position, those of which the next level is made among them; LSP_REACH_ALL. */
int64_t lsp_level_reach(const lsp_pattern *p, int level);

/* One softmax (or plain sum) of a layer: the union of the branches merged into it. It
 * walks sources, each with a running maximum of its own, merged in this order:
 *   run      the keys around or before the query, in one run
 *   fixed    keys at the beginning of the frame that the run does not hold
 *   picked   blocks, but for what run and fixed hold of them
 *   pooled   of each level, from the first
 *   learned  slots, the highest first
 *   store    what was found, the highest position first */
typedef struct {
  const lsp_pattern *fixed;       /* global, else fixed; or NULL */
  const lsp_pattern *sinks;       /* fixed beside global; or NULL */
  const lsp_pattern *run[8];      /* lent */
  const lsp_pattern *picked[8];   /* random, chosen, selected; lent */
  const lsp_pattern *pooled;      /* compressed, levels; or NULL */
  const lsp_pattern *soft;        /* dynamic: scores have a term by distance; or NULL */
  const lsp_pattern *learned;     /* or NULL */
  const lsp_pattern *store;       /* or NULL */
  const lsp_pattern *compressive; /* or NULL; then nothing else is in the view */
  int runs, picks;
  lsp_normalize normalize;
} lsp_view;

/* The part of a run of keys that is before another run, or (above) after it. */
lsp_keys lsp_keys_outside(lsp_keys k, lsp_keys run, int above);

/* What a query sees of the run, and of the fixed keys (which may be empty). Range `n` of
 * the fixed keys, 0 .. lsp_view_fixed_ranges - 1. */
lsp_keys lsp_view_run(const lsp_view *v, int head, int64_t position);
int lsp_view_fixed_ranges(const lsp_view *v);
lsp_keys lsp_view_fixed_range(const lsp_view *v, int n, int head, int64_t position);
static inline lsp_keys lsp_view_fixed(const lsp_view *v, int head, int64_t position) {
  return lsp_view_fixed_range(v, 0, head, position);
}

/* Useful pairs of all sources, in steps of segments as far as the reach and for one period:
 * their number does not depend on that of positions. Blocks that are picked count as if
 * nothing else showed them; two-sided, or beside global rows, all branches do. */
double lsp_view_pairs(const lsp_view *v, int head, int64_t first, int64_t end);

/* Of these the pairs of a query and a key that a store compares it with, most of which it
 * does not take. (Beside a run of very many positions: at most so many.) */
double lsp_view_candidates(const lsp_view *v, int head, int64_t first, int64_t end);

/* Tiles (blocks of 64 keys, or of 64 means) that the queries [first, end) of one block and
 * head touch of run, fixed keys and pooled rows: the tile products that attention executes,
 * but for picked blocks. end - first <= 64. rows: of the frame, where the view is
 * two-sided. */
int64_t lsp_view_tiles(const lsp_view *v, int head, int64_t first, int64_t end,
                       int64_t rows);

#endif
