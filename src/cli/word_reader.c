/* Words from tokens, byte by byte.
 *
 * What must hold: a character of white space may lie in two tokens, so bytes that can
 * begin one are held back until it is known. Nothing else that is well-formed begins
 * within such a character, so what was held back is never looked at twice. */
#include "word_reader.h"

#include "lsp/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_FIRST = 64 };

void lsp_word_reader_begin(lsp_word_reader *w,
                           void (*take)(const lsp_read_word *word, void *arg),
                           void *arg) {
  memset(w, 0, sizeof *w);
  w->take = take;
  w->arg = arg;
}

static void close_word(lsp_word_reader *w) {
  if (!w->is_open)
    return;
  w->now.text = w->text;
  if (w->now.tokens == 0)
    w->now.nll = NAN;
  if (!w->failed)
    w->take(&w->now, w->arg);
  w->is_open = 0;
  w->now = (lsp_read_word){.number = w->now.number + 1};
}

static void add_byte(lsp_word_reader *w, char byte) {
  if (w->now.bytes == LSP_WORD_BYTES_MOST) {
    w->now.is_cut = 1;
    return;
  }
  if (w->now.bytes == w->room) {
    const size_t room = w->room == 0 ? ROOM_FIRST : 2 * w->room;
    char *wider = realloc(w->text, room);
    w->failed = w->failed || wider == NULL;
    if (wider == NULL)
      return;
    w->text = wider;
    w->room = room;
  }
  w->text[w->now.bytes++] = byte;
}

/* A byte that is no white space. */
static void put(lsp_word_reader *w, const lsp_placed_byte *b) {
  if (!w->is_open) {
    w->is_open = 1;
    w->now.start = b->start;
  }
  w->now.end = b->end;
  if (b->counts) {
    w->now.tokens++;
    w->now.nll += (double)b->nll; /* NaN stays NaN */
  }
  add_byte(w, b->byte);
}

static void put_held(lsp_word_reader *w) {
  for (int i = 0; i < w->holds; i++)
    put(w, &w->held[i]);
  w->holds = 0;
}

/* 1 if the held bytes and this one are, or can become, a character of white space;
 * *whole: they are. */
static int continues(const lsp_word_reader *w, char byte, int *whole) {
  char c[sizeof w->held / sizeof w->held[0] + 1];
  const size_t n = (size_t)w->holds + 1;
  for (int i = 0; i < w->holds; i++)
    c[i] = w->held[i].byte;
  c[n - 1] = byte;
  *whole = lsp_text_white(c, n) == n;
  return *whole || lsp_text_begins_white(c, n);
}

static void take_byte(lsp_word_reader *w, const lsp_placed_byte *b) {
  int whole = 0;
  if (w->holds > 0 && !continues(w, b->byte, &whole))
    put_held(w);
  if (!continues(w, b->byte, &whole)) {
    put(w, b);
  } else if (whole) {
    close_word(w);
    w->holds = 0;
  } else {
    w->held[w->holds++] = *b;
  }
}

void lsp_word_reader_token(lsp_word_reader *w, const lsp_read_token *t) {
  const size_t place = lsp_token_place(t);
  for (size_t i = 0; i < t->count; i++) {
    const int64_t at = t->start + (int64_t)i;
    const int is_last = i + 1 == t->count;
    const lsp_placed_byte b = {.byte = (char)t->bytes[i],
                               .counts = i == place,
                               .start = at < t->end ? at : t->end,
                               .end = !is_last && at + 1 < t->end ? at + 1 : t->end,
                               .nll = t->nll};
    take_byte(w, &b);
  }
}

lsp_status lsp_word_reader_end(lsp_word_reader *w, lsp_failure *why) {
  put_held(w);
  close_word(w);
  free(w->text);
  w->text = NULL;
  w->room = 0;
  if (w->failed)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for a word");
  return LSP_OK;
}
