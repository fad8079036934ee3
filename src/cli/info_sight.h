/* What a query sees, as runs of keys, for pictures. Internal to cli.
 *
 * It is said for every kind of branch that a layer can have, in one form, so that what
 * draws it knows none of them. B is the block of 64 rows, b the block of the query i.
 *
 *   pattern      full, local, fixed, recurrence: as lsp/pattern.h says; in a two-sided frame
 *                all rows, |i - j| <= window, the first rows
 *   global       some rows see all rows and are seen by all
 *   random       all rows of some blocks, drawn for each block of queries, layer and head
 *   chosen       its own block up to i, and blocks that the content decides on
 *   compressed   averages of `pool` rows each, once they are whole
 *   selected     as chosen, but each query has its own
 *   levels       rows, then averages of `pool` of them, then averages of `pool` of these...
 *   dynamic      the last rows, with a weight that falls from 1 to 0 along a ramp
 *   learned      no row: slots
 *   store        rows that are compared, and some of them that are found
 *   past         averages of rows that have left a recurrence
 *   held         all rows before the segment, together: a matrix holds them
 *
 * Of a model that reads its text in segments, each with what stands around it, a row of a
 * frame is a row of the text again, and what stands around it holds all before.
 *
 * A picture cannot know what content decides: it shows an example, drawn at random. */
#ifndef LSP_CLI_INFO_SIGHT_H
#define LSP_CLI_INFO_SIGHT_H

#include "lsp/pattern.h"

#include <stdint.h>

typedef enum {
  LSP_SIGHT_PATTERN,
  LSP_SIGHT_GLOBAL,
  LSP_SIGHT_RANDOM,
  LSP_SIGHT_CHOSEN,
  LSP_SIGHT_COMPRESSED,
  LSP_SIGHT_SELECTED,
  LSP_SIGHT_LEVELS,
  LSP_SIGHT_DYNAMIC,
  LSP_SIGHT_LEARNED,
  LSP_SIGHT_STORE,
  LSP_SIGHT_PAST,
  LSP_SIGHT_HELD,
  LSP_SIGHTS
} lsp_sight_kind;

/* The numbers of a branch; those that its kind has no use for are 0. */
typedef struct {
  lsp_sight_kind kind;
  const lsp_pattern *pattern; /* pattern, store, past, held: lent */
  const int64_t *positions;   /* global: (count) rising, lent; NULL: 0 .. count - 1 */
  int64_t count;              /* global */
  int64_t blocks, beyond;     /* random, chosen, selected */
  int64_t reach;              /* random, chosen: blocks; compressed: averages, 0: all */
  uint64_t seed;              /* random */
  int64_t pool;               /* compressed, selected, levels */
  int levels;
  int64_t window; /* levels; dynamic: the span of the head */
  int64_t ramp;   /* dynamic */
} lsp_sight_part;

enum { LSP_SIGHT_PARTS = 8 }; /* as many as branches */

/* All that a head of a layer sees. */
typedef struct {
  int two_sided;
  int64_t rows; /* of the frame */
  int layer, head;
  /* Of a model with a memory around it; segment 0: a text is one frame. */
  int64_t segment; /* rows of the text that a frame has for itself */
  int64_t again;   /* of those before it that it has, too, at most */
  int64_t before;  /* rows that are none of the text, before these */
  int holds;       /* the memory holds all segments before */
  lsp_sight_part part[LSP_SIGHT_PARTS];
  int parts;
} lsp_sight;

/* How a key is seen. Where it is seen in several ways, the later one is drawn. */
typedef enum {
  LSP_SEEN_HELD, /* in a state */
  LSP_SEEN_COMPARED,
  LSP_SEEN_POOLED,
  LSP_SEEN_RANDOM,
  LSP_SEEN_CHOSEN, /* by content: an example */
  LSP_SEEN_FIXED,
  LSP_SEEN_RUN,
  LSP_SEEN_GLOBAL
} lsp_seen_how;

enum { LSP_SEEN_WHOLE = 8 };

/* Keys first .. end - 1, all seen in one way. */
typedef struct {
  int64_t first, end;
  lsp_seen_how how;
  int64_t unit; /* rows of an average, from `first` on; 1 */
  int level;    /* of averages: 1 of rows, 2 of averages of rows, ...; 0 */
  int weight;   /* in eighths */
} lsp_seen;

/* Local. Calls see(seen, arg) for what query i sees. Runs may overlap, and there may be
 * none. */
void lsp_sight_of(const lsp_sight *s, int64_t i,
                  void (*see)(const lsp_seen *seen, void *arg), void *arg);

/* Local. The query that stands for the queries [first, end): a global one if there is one,
 * else the last. */
int64_t lsp_sight_speaker(const lsp_sight *s, int64_t first, int64_t end);

/* Local. Rows that a picture should reach back to, so that it shows the part; 0: of those
 * that look back to the beginning. */
int64_t lsp_sight_reach(const lsp_sight_part *part);

#endif
