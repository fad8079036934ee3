/* Words that memory helped to predict: the bits saved against a run without memory,
 * summed over the bytes of a word and over its occurrences.
 *
 * Words are ranked by the mean saving of an occurrence. SHRINK occurrences that save
 * nothing are added to each word, so that a rare word has to save more. */
#include "cli.h"
#include "show.h"

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

/* FNV-1a */
static uint64_t hash(const char *word) {
  uint64_t h = 0xcbf29ce484222325;
  for (; *word != '\0'; word++)
    h = (h ^ (unsigned char)*word) * 0x100000001b3;
  return h;
}

/* The place of the word, or the free place for it. The table always has one. */
static lsp_word *place(lsp_word *table, int64_t room, const char *word) {
  uint64_t i = hash(word);
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
      *place(wider, 2 * w->room, w->word[i].word) = w->word[i];
  free(w->word);
  w->word = wider;
  w->room *= 2;
  return 1;
}

/* Copies the text before the word, and the word, whose end lies `after` bytes back. It
 * begins with a whole word, and any white space becomes one blank. */
static void keep_context(const lsp_words *w, int after, char *context) {
  const int64_t end = w->seen - after;
  const int64_t begin = end > LSP_CONTEXT - after ? w->seen - LSP_CONTEXT : 0;
  int n = 0, whole = begin == 0; /* whole: at the beginning of a word */
  for (int64_t i = begin; i < end; i++) {
    const unsigned char c = w->recent[i % LSP_CONTEXT];
    const int space = isspace(c) || c < ' ' || c == 127;
    whole = whole || space || i == end - w->length;
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

/* The word has ended, `after` bytes before the byte read last. */
static void finish(lsp_words *w, int after) {
  int n = w->bytes;
  w->length = n;
  w->bytes = 0;
  if (n == 0 || n == LSP_WORD_SIZE)
    return;
  while (n > 0 && w->now[n - 1] == '\'')
    n--;
  w->now[n] = '\0';
  if (letters(w->now) < LETTERS_MIN)
    return;
  lsp_word *word = place(w->word, w->room, w->now);
  if (word->word[0] == '\0') {
    if (!has_room(w))
      return;
    word = place(w->word, w->room, w->now);
    memcpy(word->word, w->now, sizeof word->word);
    w->count++;
  }
  word->count++;
  word->gain += w->gain;
  if (word->count == 1 || w->gain > word->best) {
    word->best = w->gain;
    keep_context(w, after, word->context);
  }
}

static int is_letter(unsigned char c, int inside) {
  return isalpha(c) || c >= 0x80 || (inside && c == '\'');
}

/* Punctuation such as U+2014 and U+201D has three bytes, e2 80 xx or e2 81 xx. */
static int ends_in_mark(const lsp_words *w, unsigned char c) {
  return (c == 0x80 || c == 0x81) && w->bytes > 0 && w->bytes < LSP_WORD_SIZE &&
         (unsigned char)w->now[w->bytes - 1] == 0xe2;
}

void lsp_words_byte(lsp_words *w, const lsp_show_byte *b) {
  const unsigned char c = b->byte;
  w->recent[w->seen++ % LSP_CONTEXT] = c;
  if (w->skip > 0) {
    w->skip--;
    return;
  }
  if (ends_in_mark(w, c)) {
    w->bytes--;
    w->gain -= w->last_gain;
    w->skip = 1;
    finish(w, 2);
    return;
  }
  if (!is_letter(c, w->bytes > 0)) {
    finish(w, 1);
    return;
  }
  if (w->bytes == 0)
    w->gain = 0;
  if (w->bytes < LSP_WORD_SIZE - 1)
    w->now[w->bytes++] = (char)c;
  else
    w->bytes = LSP_WORD_SIZE;
  w->gain += b->gain;
  w->last_gain = b->gain;
}

void lsp_words_end(lsp_words *w) {
  finish(w, 0);
  w->seen = 0;
  w->skip = 0;
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
