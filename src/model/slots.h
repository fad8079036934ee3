/* Names of tensors to places in the block of weights. A family lists its tensors one
 * after another, from the description alone and so the same on every rank; the walk
 * through them serves the size of the block, the views, and the reading. Internal to the
 * model module. Local. */
#ifndef LSP_SLOTS_H
#define LSP_SLOTS_H

#include "lsp/model.h"

enum { LSP_NAME_SIZE = 112, LSP_ALIASES = 3 };

typedef struct lsp_slot lsp_slot;
typedef struct lsp_slots lsp_slots;

/* A tensor and its place. */
struct lsp_slot {
  char name[LSP_ALIASES][LSP_NAME_SIZE]; /* name[0] preferred; the others may stand in
                                            for it, or repeat it and must then be equal */
  int rank;
  int64_t shape[3]; /* as stored in the checkpoint */
  int64_t count, offset;
  int transposed; /* stored (in, out): turned while it is read. Of rank 3: each of its
                      matrices (shape[1], shape[2]) is */
  int pairs_apart; /* rotary pairs side by side in the first `pairs_apart` rows (of rank 3:
                      columns) of each head of `head_rows`: moved half the width apart */
  int head_rows;
  int of_words; /* a row for each id: another number of rows is a wrong vocab_size */
  const float **view; /* NULL: none of its own */
  /* Fills what no tensor of the checkpoint does; NULL: one is required. */
  void (*absent)(const lsp_model *model, float *out);
  /* Further names that may stand in for it: writes the i-th, or "", which is skipped; 0
   * behind the last. NULL: none. */
  int (*substitute)(const lsp_model *model, const lsp_slot *s, int i,
                    char name[LSP_NAME_SIZE]);
  int tag;                /* for `substitute` */
  int repeats;            /* may be there, and must then equal what is at `offset`: */
  char of[LSP_NAME_SIZE]; /* what that is, for messages */
};

/* A walk through the slots. */
struct lsp_slots {
  const lsp_model *model;
  lsp_slot slot; /* the last one, which its family may still refine */
  int open;      /* there is one */
  int64_t end;   /* of what was placed */
  /* Takes each slot when it is complete; NULL: only sizes matter. */
  void (*each)(const lsp_slots *list, const lsp_slot *s);
  void *arg;
};

/* Floats up to the next cache line behind `end`: where an ordinary slot begins. */
int64_t lsp_slots_floats(const lsp_slots *list);

/* Adds a slot, whose name is printed from the format; cols 0: a vector of `rows`. The
 * slot that is returned can be refined until the next one is added. */
lsp_slot *lsp_slot_add(lsp_slots *list, const float **view, int64_t rows, int64_t cols,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Makes the last slot, of (rows, cols), one of rank 3: (rows, cols / depth, depth). */
lsp_slot *lsp_slot_deepen(lsp_slot *s, int64_t depth);

/* The same as lsp_slot_add, placed right behind the last one, as queries, keys and values of one matrix
 * are. */
lsp_slot *lsp_slot_join(lsp_slots *list, int64_t rows, int64_t cols, const char *format,
                        ...) __attribute__((format(printf, 4, 5)));

/* A tensor that the checkpoint may hold again: of the size of the slot at `offset`, which
 * is called `of` in messages. */
lsp_slot *lsp_slot_repeat(lsp_slots *list, int64_t offset, const char *of, int64_t rows,
                          int64_t cols, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* Walks through all slots of a model. Views are written only by what `each` does. */
void lsp__walk(const lsp_model *model, lsp_slots *list);

#endif
