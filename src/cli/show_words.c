/* Words that memory helped to predict: the bits saved against a run without memory,
 * summed over the bytes of a word and over its occurrences.
 *
 * Words are ranked by the mean saving of an occurrence. SHRINK occurrences that save
 * nothing are added to each word, so that a rare word has to save more. */
#include "cli.h"
#include "show.h"

#include "lsp/grid.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Words beyond WORDS_MAX different ones are not counted. */
enum { ROOM = 1 << 12, WORDS_MAX = 1 << 20, LETTERS_MIN = 3, TOP = 10, SHRINK = 20 };

lsp_status lsp_words_open(lsp_words *w, lsp_failure *why) {
  memset(w, 0, sizeof *w);
  w->room = ROOM;
  w->word = calloc((size_t)w->room, sizeof *w->word);
  return w->word != NULL ? LSP_OK : lsp_fail(why, LSP_E_MEMORY, "no memory for words");
}

void lsp_words_free(lsp_words *w) {
  free(w->word);
  memset(w, 0, sizeof *w);
}

/* The place of the word, or the free place for it. The table always has one. */
static lsp_word *place(lsp_word *table, int64_t room, const char *word, uint64_t hash) {
  uint64_t i = hash;
  while (table[i % (uint64_t)room].word[0] != '\0' &&
         strcmp(table[i % (uint64_t)room].word, word) != 0)
    i++;
  return &table[i % (uint64_t)room];
}

/* Doubles a table that is half full; 0: no memory, or too many words. */
static int has_room(lsp_words *w) {
  if (2 * w->count < w->room)
    return 1;
  lsp_word *wider =
      w->count < WORDS_MAX ? calloc((size_t)(2 * w->room), sizeof *wider) : NULL;
  if (wider == NULL)
    return 0;
  for (int64_t i = 0; i < w->room; i++)
    if (w->word[i].word[0] != '\0')
      *place(wider, 2 * w->room, w->word[i].word, w->word[i].hash) = w->word[i];
  free(w->word);
  w->word = wider;
  w->room *= 2;
  return 1;
}

/* Copies the text before the word, and the word. It begins with a whole word, and any
 * white space becomes one blank. */
static void keep_context(const lsp_words *w, const lsp_cut_word *word, char *context) {
  const int64_t begin = lsp_max(0, w->seen - LSP_CONTEXT);
  int n = 0, whole = begin == 0; /* whole: at the beginning of a word */
  for (int64_t i = begin; i < word->end; i++) {
    const unsigned char c = w->recent[i % LSP_CONTEXT];
    const int space = isspace(c) || c < ' ' || c == 127;
    whole = whole || space || i == word->first;
    if (!whole || (n == 0 && space))
      continue;
    if (!space || context[n - 1] != ' ')
      context[n++] = space ? ' ' : (char)c;
  }
  context[n] = '\0';
}

static int letters(const char *word) {
  int n = 0;
  for (; *word != '\0'; word++)
    n += ((unsigned char)*word & 0xc0) != 0x80 && *word != '\'';
  return n;
}

void lsp_words_begin(lsp_words *w) {
  w->seen = 0;
}

void lsp_words_byte(lsp_words *w, const lsp_show_byte *b) {
  w->recent[w->seen++ % LSP_CONTEXT] = b->byte;
}

void lsp_words_word(lsp_words *w, const lsp_cut_word *found) {
  if (found->end - found->first >= LSP_WORD_SIZE || letters(found->text) < LETTERS_MIN)
    return;
  lsp_word *word = place(w->word, w->room, found->text, found->hash);
  if (word->word[0] == '\0') {
    if (!has_room(w))
      return;
    word = place(w->word, w->room, found->text, found->hash);
    memcpy(word->word, found->text, sizeof word->word);
    word->hash = found->hash;
    w->count++;
  }
  word->count++;
  word->gain += found->sum.gain;
  if (word->count == 1 || found->sum.gain > word->best) {
    word->best = found->sum.gain;
    keep_context(w, found, word->context);
  }
}

static double rank_of(const lsp_word *word) {
  return word->gain / (double)(word->count + SHRINK);
}

static void print_word(const lsp_word *word) {
  (void)printf("  %8.1f %7lld %7.2f  ", word->gain, (long long)word->count,
               word->gain / (double)word->count);
  lsp_print_padded(stdout, word->word, 16);
  lsp_print_line(stdout, "  %s", word->context);
}

void lsp_words_print(const lsp_words *w) {
  const lsp_word *top[TOP + 1];
  int count = 0;
  for (int64_t i = 0; i < w->room; i++) {
    const lsp_word *word = &w->word[i];
    if (word->word[0] == '\0' || word->gain <= 0)
      continue;
    int at = count;
    for (; at > 0 && (rank_of(top[at - 1]) < rank_of(word) ||
                      (rank_of(top[at - 1]) == rank_of(word) &&
                       strcmp(top[at - 1]->word, word->word) > 0));
         at--)
      top[at] = top[at - 1];
    top[at] = word;
    count += count < TOP;
  }
  (void)puts("      bits   times    each  word              most helped in");
  for (int i = 0; i < count; i++)
    print_word(top[i]);
}
