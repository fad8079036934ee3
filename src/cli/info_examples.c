/* An example of each kind of branch, for the picture that is drawn without a model. */
#include "info_picture.h"

#include <stdio.h>
#include <string.h>

/* Squares of 512 positions, 8 blocks. */
enum { CELLS = 64, EACH = 8 };

static const lsp_pattern
    full = {.kind = LSP_PATTERN_FULL},
    window = {.kind = LSP_PATTERN_LOCAL, .window = 96},
    narrow = {.kind = LSP_PATTERN_LOCAL, .window = 32},
    around = {.kind = LSP_PATTERN_LOCAL, .two_sided = 1, .window = 48},
    sinks = {.kind = LSP_PATTERN_FIXED, .sinks = 16},
    recurrence = {.kind = LSP_PATTERN_RECURRENCE, .segment = 64, .memory = 96},
    segment = {.kind = LSP_PATTERN_RECURRENCE, .segment = 64},
    store = {.kind = LSP_PATTERN_STORE, .memory = 256, .segment = 64, .neighbours = 6},
    short_memory = {.kind = LSP_PATTERN_RECURRENCE, .segment = 64, .memory = 64},
    past = {.kind = LSP_PATTERN_COMPRESSED_PAST,
            .segment = 64,
            .memory = 64,
            .pool = 32},
    matrix = {.kind = LSP_PATTERN_COMPRESSIVE, .segment = 64};

/* Parts as they are written most. */
#define PATTERN(p)                                                                     \
  { .kind = LSP_SIGHT_PATTERN, .pattern = &(p) }
#define GLOBAL(n)                                                                      \
  { .kind = LSP_SIGHT_GLOBAL, .count = (n) }

static const struct {
  const char *name, *says;
  lsp_sight sight;
} example[] = {
    {"full", "every position before", {.parts = 1, .part = {PATTERN(full)}}},
    {"local", "a window of 96", {.parts = 1, .part = {PATTERN(window)}}},
    {"local, two-sided",
     "48 positions before and 48 after",
     {.two_sided = 1, .parts = 1, .part = {PATTERN(around)}}},
    {"fixed, local",
     "the first 16 positions and a window of 96, in one softmax",
     {.parts = 2, .part = {PATTERN(sinks), PATTERN(window)}}},
    {"recurrence",
     "segments of 64 with a memory of 96",
     {.parts = 1, .part = {PATTERN(recurrence)}}},
    {"global, local, two-sided",
     "the first 16 positions see all and are seen by all (Longformer)",
     {.two_sided = 1, .parts = 2, .part = {GLOBAL(16), PATTERN(around)}}},
    {"random, fixed, local",
     "2 of the 6 blocks before, drawn for each block and head",
     {.parts = 3,
      .part = {{.kind = LSP_SIGHT_RANDOM, .blocks = 2, .reach = 6},
               PATTERN(sinks),
               PATTERN(narrow)}}},
    {"random, global, local, two-sided",
     "a block drawn of those on both sides (BigBird)",
     {.two_sided = 1,
      .parts = 3,
      .part = {{.kind = LSP_SIGHT_RANDOM, .blocks = 1, .reach = 7, .beyond = 1},
               GLOBAL(16),
               PATTERN(around)}}},
    {"chosen",
     "by block: its own block, and 2 earlier ones that its block before asks for",
     {.parts = 1, .part = {{.kind = LSP_SIGHT_CHOSEN, .blocks = 2, .reach = 8}}}},
    {"compressed, selected, local",
     "by token (NSA): averages of 32, 2 blocks that each token asks for, a window of "
     "32",
     {.parts = 3,
      .part = {{.kind = LSP_SIGHT_COMPRESSED, .pool = 32},
               {.kind = LSP_SIGHT_SELECTED, .pool = 32, .blocks = 2},
               PATTERN(narrow)}}},
    {"levels",
     "a window of 8 positions, then 8 averages of 4, 8 of 16 and 8 of 64",
     {.parts = 1,
      .part = {{.kind = LSP_SIGHT_LEVELS, .window = 8, .pool = 4, .levels = 3}}}},
    {"dynamic",
     "a span that each head learns (here 96), and a ramp (of 160)",
     {.parts = 1, .part = {{.kind = LSP_SIGHT_DYNAMIC, .window = 96, .ramp = 160}}}},
    {"learned, local",
     "slots that are weights, and a window of 96 (persistent memory)",
     {.parts = 2, .part = {{.kind = LSP_SIGHT_LEARNED}, PATTERN(window)}}},
    {"store, local",
     "the best 6 of the 256 positions before its segment of 64, and a window of 32 "
     "(Memorizing Transformers)",
     {.parts = 2,
      .part = {{.kind = LSP_SIGHT_STORE, .pattern = &store}, PATTERN(narrow)}}},
    {"compressed_past, recurrence",
     "averages of 32 of what has left a memory of 64 (Compressive Transformer)",
     {.parts = 2,
      .part = {{.kind = LSP_SIGHT_PAST, .pattern = &past}, PATTERN(short_memory)}}},
    {"compressive, recurrence",
     "a matrix of all segments of 64 before, and its own segment (Infini-attention)",
     {.parts = 2,
      .part = {{.kind = LSP_SIGHT_HELD, .pattern = &matrix}, PATTERN(segment)}}},
    {"memory: input",
     "around a model: segments of 128, each after the 64 positions before, which are "
     "read again",
     {.segment = 128, .again = 64, .parts = 1, .part = {PATTERN(full)}}},
    {"memory: associative or tokens",
     "around a model: segments of 128, and a state of all before (ARMT, RMT)",
     {.segment = 128, .holds = 1, .parts = 1, .part = {PATTERN(full)}}},
};

void lsp_info_examples(lsp_pictures *list) {
  list->cells = CELLS;
  list->each = EACH;
  for (size_t i = 0; i < sizeof example / sizeof example[0]; i++) {
    lsp_picture *p = lsp_pictures_add(list);
    if (p == NULL)
      return;
    p->sight = example[i].sight;
    (void)snprintf(p->name, sizeof p->name, "%s", example[i].name);
    (void)snprintf(p->says, sizeof p->says, "%s", example[i].says);
  }
}
