/* What picked blocks are kept in (picks.h): the room for fetched ones, and what was
 * chosen. Shared by picks.c and the files that choose. */
#ifndef LSP_PICKING_H
#define LSP_PICKING_H

#include "engine_internal.h"

#include "lsp/fetch.h"

/* Keys without repetition, each with a number below `room`: a table with open addressing.
 * The key of a part is its tile times G, plus its key/value head. */
typedef struct {
  int64_t *key;   /* (room) by number; -1: none */
  int32_t *table; /* (mask + 1) number + 1 by hash; 0: nothing */
  uint64_t mask;
  int64_t room, count; /* count: numbers given out in turn */
} lsp_key_set;

/* key_set.c. Local. 0: no memory; closed all the same. */
int lsp_key_set_open(lsp_key_set *s, int64_t room);
void lsp_key_set_close(lsp_key_set *s);
int64_t lsp_key_set_size(int64_t room); /* bytes */
void lsp_key_set_clear(lsp_key_set *s);
/* Number of a key; -1: it is not there. Thread-safe. */
int64_t lsp_key_set_find(const lsp_key_set *s, int64_t key);
/* A key that is not there gets a number: this one, or the next in turn (0: there is no
 * room for it). */
void lsp_key_set_put(lsp_key_set *s, int64_t key, int64_t number);
int lsp_key_set_add(lsp_key_set *s, int64_t key);

/* A part that is not here: who has it, and the slot that it goes to. */
typedef struct {
  int64_t key;
  int32_t peer, slot;
} lsp_missing;

struct lsp_picking {
  lsp_fetch *fetch;     /* NULL: there is one rank */
  int64_t parts;        /* slots of the layer under way */
  lsp_key_set held;     /* by slot */
  lsp_key_set want;     /* of the batch */
  int8_t *wanted;       /* (parts) 1: the batch wants what is in the slot */
  lsp_missing *missing; /* (parts) */
  int64_t asked;        /* parts that blocks of queries want, one by one */
  int64_t hand;         /* slot that is given away next, if nobody wants it */
  int64_t *batch_end;   /* (panels) of the span: panels before the end of a batch */
  int64_t batches;      /* of this rank */
  int fetches;          /* some rank fetches something in this layer */
  int64_t *tile;        /* (LSP_BLOCK * LSP_PICKS_MAX) a list */
  lsp_tiles near;       /* of the first piece: tiles in the halo, */
  const float *near_tile;
  int64_t before; /* and tiles before the wave, which lie in rings */
};

/* best.c. The best of what was offered, by score, `most` of them; of equal scores the lower
 * block, NaN after all. Local. */
typedef struct {
  float score[LSP_PICKS_MAX]; /* falling */
  int32_t block[LSP_PICKS_MAX];
  int count, most;
} lsp_best;

/* Blocks are offered in rising order. */
void lsp_best_offer(lsp_best *best, float score, int64_t block);
/* Blocks in rising order, then -1, into list (most). */
void lsp_best_list(const lsp_best *best, int32_t *list);

/* choose_blocks.c, choose_tokens.c. Local: the choices of all queries of the span of a
 * layer. Blocks of the frame; -1: none. */

/* (blocks of the span, G, k): of a block and key/value head, rising. */
void lsp_choose_blocks(lsp_run *e, int layer, const lsp_pattern *p);

/* (rows of the span, G, S - 1): of a row and key/value head, rising. */
void lsp_choose_tokens(lsp_run *e, int layer, const lsp_pattern *p);

/* The compressed branch of a layer, whose pooled rows stand for selected blocks. */
const lsp_pattern *lsp_picks_pooled(const lsp_run *e, int layer);

/* Choices that a query or block makes of each key/value head. */
static inline int lsp_choices_of(const lsp_pattern *p) {
  return p->kind == LSP_PATTERN_CHOSEN     ? p->blocks
         : p->kind == LSP_PATTERN_SELECTED ? p->blocks - 1
                                           : 0;
}

#endif
