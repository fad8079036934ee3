/* Cuts the text into sentences while it is read, and keeps the few with the most bits
 * per byte. */
#include "cli.h"
#include "show.h"

#include "lsp/text.h"

#include <ctype.h>
#include <string.h>

enum { SHORTEST = 20 };

/* The text without closing quotes and brackets at its end. */
static int without_quotes(const char *text, int n) {
  for (;;) {
    if (n > 0 && strchr("\"')]*_", text[n - 1]) != NULL)
      n--;
    else if (n > 2 && (memcmp(text + n - 3, "\xe2\x80\x9d", 3) == 0 ||
                       memcmp(text + n - 3, "\xe2\x80\x99", 3) == 0))
      n -= 3;
    else
      return n;
  }
}

/* 1 for "Mr." or "J.": a full stop that does not end the sentence. */
static int is_abbreviated(const char *text, int n) {
  static const char *const list[] = {"Mr", "Mrs", "Ms", "Dr", "St", "Messrs", "Capt"};
  int length = 0;
  while (length < n && isalpha((unsigned char)text[n - 1 - length]))
    length++;
  const char *word = text + n - length;
  if (length == 1 && isupper((unsigned char)word[0]) && word[0] != 'I')
    return 1;
  for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
    if ((size_t)length == strlen(list[i]) && memcmp(word, list[i], (size_t)length) == 0)
      return 1;
  return 0;
}

static int is_sentence(const lsp_sentence *s) {
  const int n = without_quotes(s->text, s->bytes);
  if (n < 1 || strchr(".!?", s->text[n - 1]) == NULL)
    return 0;
  return s->text[n - 1] != '.' || !is_abbreviated(s->text, n - 1);
}

static double mean(const lsp_sentence *s) {
  return s->predicted > 0 ? s->bits / (double)s->predicted : 0;
}

static void clear(lsp_sentence *s) {
  s->bytes = 0;
  s->bits = 0;
  s->predicted = 0;
}

/* The sentence has ended: keeps it if it is among the top. */
static void finish(lsp_sentences *s) {
  lsp_sentence *now = &s->now;
  while (now->bytes > 0 && isspace((unsigned char)now->text[now->bytes - 1]))
    now->bytes--;
  if (now->bytes >= SHORTEST) {
    now->text[now->bytes] = '\0';
    int at = s->count < LSP_SENTENCES ? s->count++ : LSP_SENTENCES;
    for (; at > 0 && mean(&s->top[at - 1]) < mean(now); at--)
      if (at < LSP_SENTENCES)
        s->top[at] = s->top[at - 1];
    if (at < LSP_SENTENCES)
      s->top[at] = *now;
  }
  clear(now);
}

void lsp_sentences_begin(lsp_sentences *s, int64_t text) {
  clear(&s->now);
  s->now.document = text;
  s->before = '\n';
}

void lsp_sentences_byte(lsp_sentences *s, const lsp_show_byte *b) {
  lsp_sentence *now = &s->now;
  const unsigned char before = s->before;
  const int space = isspace(b->byte) || b->byte == '\0';
  if (b->byte == '\r')
    return;
  s->before = b->byte;
  const int over = space && ((now->bytes > 0 && is_sentence(now)) ||
                             (b->byte == '\n' && before == '\n'));
  if (over) {
    finish(s);
    return;
  }
  if (now->bytes < 0 || (now->bytes == 0 && space))
    return;
  if (now->bytes == 0)
    now->start = b->position;
  if (now->bytes == LSP_SENTENCE_SIZE - 1) {
    now->bytes = -1;
    return;
  }
  now->text[now->bytes++] = space ? ' ' : (char)b->byte;
  now->bits += b->bits;
  now->predicted += b->predicted;
}

void lsp_sentences_end(lsp_sentences *s) {
  finish(s);
}

void lsp_sentences_print(const lsp_sentences *s, const lsp_show *show) {
  char name[LSP_NUMBER_SIZE], number[LSP_NUMBER_SIZE];
  char shown[LSP_TEXT_GROWTH * LSP_SENTENCE_SIZE];
  for (int i = 0; i < s->count; i++) {
    const lsp_sentence *top = &s->top[i];
    (void)printf("\n  %.2f bits per byte, at byte %s", mean(top),
                 lsp_grouped(top->start, number));
    lsp_shortened(lsp_show_full_name(show, top->document), name, 40);
    if (show->texts > 1)
      (void)printf(" of %s", name);
    (void)fputs("\n    ", stdout);
    (void)lsp_text_shown(top->text, shown, sizeof shown);
    lsp_print_wrapped(stdout, shown, 4, 4);
  }
}
