/* Bits by how long ago what is predicted was last seen: what a far-reaching attention is
 * good for, and where.
 *
 *   ... a letter from Lyme ........................ and Lyme was
 *                     ^^^^|<------- distance ------->|^^^^
 *
 * The distance of a word is the number of bytes between it and the same word before it, in
 * the same document. A table holds where each word of the document ended last; its size
 * goes with the number of different words.
 *
 * Words are the same that have the same bytes; of those of more than LSP_CUT_KEPT bytes
 * the first bytes, the length and a hash of 64 bits have to agree. */
#include "cli.h"
#include "show.h"

#include "lsp/grid.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 8, TEXTS = 1 << 12, NEVER = LSP_SINCE_ROWS - 1 };

/* A row holds the distances up to this one that are in no row before. */
static const struct {
  int64_t most;
  const char *name;
} row[LSP_SINCE_ROWS] = {{100, "up to 100 bytes"},  {1000, "up to 1,000"},
                         {10000, "up to 10,000"},   {100000, "up to 100,000"},
                         {INT64_MAX, "longer ago"}, {-1, "never before"}};

/* Every text begins with a small table, so that many small texts cost little. */
int lsp_since_begin(lsp_since *s) {
  s->used = s->count = 0;
  if (s->room == ROOM) {
    memset(s->word, 0, (size_t)s->room * sizeof *s->word);
    return 1;
  }
  free(s->word);
  s->word = calloc(ROOM, sizeof *s->word);
  s->room = s->word != NULL ? ROOM : 0;
  return s->word != NULL;
}

void lsp_since_free(lsp_since *s) {
  free(s->word);
  free(s->texts);
  memset(s, 0, sizeof *s);
}

/* --- the table ------------------------------------------------------------------- */

static int is_same(const lsp_since *s, const lsp_since_word *a, const lsp_cut_word *b) {
  return a->hash == b->hash && a->length == b->end - b->first &&
         memcmp(s->texts + a->text, b->text, (size_t)b->kept) == 0;
}

/* The place of the word, or the free place for it. The table always has one. */
static lsp_since_word *find(const lsp_since *s, const lsp_cut_word *word) {
  uint64_t i = word->hash % (uint64_t)s->room;
  while (s->word[i].length > 0 && !is_same(s, &s->word[i], word))
    i = (i + 1) % (uint64_t)s->room;
  return &s->word[i];
}

/* Doubles the table. */
static int widen(lsp_since *s) {
  const uint64_t room = 2 * (uint64_t)s->room;
  lsp_since_word *wider = calloc(room, sizeof *wider);
  if (wider == NULL)
    return 0;
  for (int64_t k = 0; k < s->room; k++) {
    if (s->word[k].length == 0)
      continue;
    uint64_t i = s->word[k].hash % room;
    while (wider[i].length > 0)
      i = (i + 1) % room;
    wider[i] = s->word[k];
  }
  free(s->word);
  s->word = wider;
  s->room = (int64_t)room;
  return 1;
}

static int keep_text(lsp_since *s, const lsp_cut_word *word) {
  if (s->texts_room - s->used < word->kept) {
    const int64_t room = s->texts_room == 0 ? TEXTS : 2 * s->texts_room;
    char *wider = realloc(s->texts, (size_t)room);
    if (wider == NULL)
      return 0;
    s->texts = wider;
    s->texts_room = room;
  }
  memcpy(s->texts + s->used, word->text, (size_t)word->kept);
  s->used += word->kept;
  return 1;
}

static void count_in(lsp_since_row *r, const lsp_show_sum *sum) {
  r->words++;
  lsp_show_add(&r->sum, sum);
}

int lsp_since_add(lsp_since *s, const lsp_cut_word *word) {
  lsp_since_word *seen = find(s, word);
  if (seen->length > 0) {
    int i = 0;
    while (word->first - seen->end > row[i].most)
      i++;
    count_in(&s->row[i], &word->sum);
    seen->end = word->end;
    return 1;
  }
  count_in(&s->row[NEVER], &word->sum);
  *seen = (lsp_since_word){.hash = word->hash,
                           .text = s->used,
                           .length = word->end - word->first,
                           .end = word->end};
  s->count++;
  return keep_text(s, word) && (2 * s->count < s->room || widen(s));
}

/* --- printed --------------------------------------------------------------------- */

/* words -1: it has none. */
static void print_row(const char *name, const lsp_since_row *r, int64_t all,
                      int with_gain) {
  char number[LSP_NUMBER_SIZE];
  const double bytes = (double)r->sum.bytes;
  (void)printf("  %-15s %12s %7.2f %%", name,
               r->words >= 0 ? lsp_grouped(r->words, number) : "-",
               100 * bytes / (double)all);
  if (r->sum.bytes == 0)
    (void)printf(" %12s", "-");
  else
    (void)printf(" %12.3f", r->sum.bits / bytes);
  if (with_gain && r->sum.bytes == 0)
    (void)printf(" %8s", "-");
  else if (with_gain)
    (void)printf(" %+8.3f", 0 - r->sum.gain / bytes);
  if (r->words <= 0)
    (void)printf(" %12s\n", "-");
  else
    (void)printf(" %12.2f\n", r->sum.bits / (double)r->words);
}

void lsp_since_print(const lsp_since *s, const lsp_show_sum *between, int with_gain) {
  const lsp_since_row rest = {.words = -1, .sum = *between};
  lsp_since_row all = rest;
  for (int i = 0; i < LSP_SINCE_ROWS; i++)
    lsp_show_add(&all.sum, &s->row[i].sum);
  if (all.sum.bytes == 0)
    return;
  (void)printf("\nBits per byte by how long ago a word was last seen%s\n\n",
               with_gain ? ", change by memory" : "");
  (void)printf("  %-15s %12s %9s %12s%s %12s\n", "last seen", "words", "of bytes",
               "bits a byte", with_gain ? "   change" : "", "bits a word");
  for (int i = 0; i < LSP_SINCE_ROWS; i++)
    print_row(row[i].name, &s->row[i], all.sum.bytes, with_gain);
  print_row("between words", &rest, all.sum.bytes, with_gain);
  print_row("all", &all, all.sum.bytes, with_gain);
  (void)fputs("\n  ", stdout);
  lsp_print_wrapped(stdout,
                    "Distances are in bytes, from where the same word last ended in "
                    "the same document to where it begins.",
                    2, 2);
}
