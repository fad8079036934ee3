/* Cuts a text into its words and what lies between them, byte by byte.
 *
 *   The dogs' “Where's ...        words    The dogs Where's
 *   ^^^ ^^^^     ^^^^^^^          between  all other bytes
 *
 * A word is a run of letters: of ASCII letters and of bytes beyond ASCII, but for the
 * punctuation of U+2000 to U+207F (three bytes, e2 80 xx or e2 81 xx). Apostrophes within
 * belong to it, those at its end do not.
 *
 * What must hold: every byte is a word's or lies between words, and is counted once.
 * Apostrophes, and the first byte of such a mark, are held until it is known which. */
#include "show.h"

#include <ctype.h>
#include <string.h>

enum { MARK_FIRST = 0xe2 };

void lsp_show_add(lsp_show_sum *to, const lsp_show_sum *more) {
  to->bytes += more->bytes;
  to->bits += more->bits;
  to->gain += more->gain;
}

/* FNV-1a */
static uint64_t hashed(uint64_t hash, char byte) {
  return (hash ^ (unsigned char)byte) * 0x100000001b3;
}

void lsp_cut_begin(lsp_cut *c) {
  c->given = 0;
  c->apostrophes_held = 0;
  c->is_open = c->mark_held = c->in_mark = 0;
  memset(&c->held, 0, sizeof c->held);
}

/* `at`: bytes of the text before this one. */
static void add_letter(lsp_cut *c, char byte, int64_t at) {
  lsp_cut_word *w = &c->word;
  if (!c->is_open) {
    memset(w, 0, sizeof *w);
    w->hash = 0xcbf29ce484222325;
    w->first = at;
    c->is_open = 1;
  }
  if (w->kept < LSP_CUT_KEPT)
    w->text[w->kept++] = byte;
  w->hash = hashed(w->hash, byte);
  w->end = at + 1;
}

/* What is held has turned out to be the word's. */
static void take_held(lsp_cut *c, int64_t at) {
  for (; c->apostrophes_held > 0; c->apostrophes_held--)
    add_letter(c, '\'', at - c->apostrophes_held - c->mark_held);
  if (c->mark_held)
    add_letter(c, (char)MARK_FIRST, at - 1);
  c->mark_held = 0;
  lsp_show_add(&c->word.sum, &c->held);
  memset(&c->held, 0, sizeof c->held);
}

/* It lies between words. 1: a word has ended before it. */
static int close_word(lsp_cut *c) {
  const int was_open = c->is_open;
  lsp_show_add(&c->between, &c->held);
  memset(&c->held, 0, sizeof c->held);
  c->apostrophes_held = 0;
  c->is_open = c->mark_held = 0;
  return was_open;
}

static int hold(lsp_cut *c, const lsp_show_sum *byte) {
  lsp_show_add(&c->held, byte);
  return 0;
}

int lsp_cut_byte(lsp_cut *c, const lsp_show_byte *b) {
  const lsp_show_sum byte = {.bytes = 1, .bits = b->bits, .gain = b->gain};
  const int64_t at = c->given++;
  if (c->in_mark || (c->mark_held && (b->byte == 0x80 || b->byte == 0x81))) {
    c->in_mark = !c->in_mark; /* the third byte is still to come */
    (void)hold(c, &byte);
    return close_word(c);
  }
  if (c->mark_held)
    take_held(c, at);
  if (b->byte == MARK_FIRST) {
    c->mark_held = 1;
    return hold(c, &byte);
  }
  if (b->byte == '\'' && c->is_open) {
    c->apostrophes_held++;
    return hold(c, &byte);
  }
  if (!isalpha(b->byte) && b->byte < 0x80) {
    (void)hold(c, &byte);
    return close_word(c);
  }
  take_held(c, at);
  add_letter(c, (char)b->byte, at);
  lsp_show_add(&c->word.sum, &byte);
  return 0;
}

int lsp_cut_end(lsp_cut *c) {
  if (c->mark_held)
    take_held(c, c->given);
  return close_word(c);
}
