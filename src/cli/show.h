/* The parts of `longspan show`. One pass over the bytes of the text and their results
 * feeds small state machines of bounded memory; a second pass writes the coloured page.
 * Internal to cli. */
#ifndef LSP_CLI_SHOW_H
#define LSP_CLI_SHOW_H

#include "token_reader.h"

#include "lsp/corpus.h"
#include "lsp/layout.h"
#include "lsp/status.h"

#include <stdint.h>
#include <stdio.h>

/* One byte of the text. What a token of several bytes has, one of them has: that of
 * lsp_token_place; the others have 0. */
typedef struct {
  int64_t position; /* in its document */
  unsigned char byte;
  int predicted;     /* 0: of a token without prediction, as the first of a document */
  double bits, gain; /* nll in bits; how much more it was in the baseline (0 without
                        one) */
} lsp_show_byte;

/* show_read.c: the output, its text, and the baseline, side by side. */
typedef struct {
  lsp_token_reader output, base;
  int with_base;
  lsp_corpus *text;  /* NULL: the texts are read out of the output itself */
  int64_t texts;     /* how many */
  int64_t *document; /* (texts) the document of the output that a text is */
  int64_t *bytes;    /* (texts) */
} lsp_show;

/* Local. Opens all files and checks that their sizes agree; texts 0: all documents of the
 * output. Call lsp_show_close after a failure, too. */
lsp_status lsp_show_open(lsp_show *s, const char *path, const char *base_path,
                         const char *const *text, int texts, lsp_failure *why);
void lsp_show_close(lsp_show *s);

/* Local. The name of text t, and its base name. */
const char *lsp_show_full_name(const lsp_show *s, int64_t t);
const char *lsp_show_name(const lsp_show *s, int64_t t);

/* Local. Bytes of text t. */
int64_t lsp_show_bytes(const lsp_show *s, int64_t t);

/* Local. Calls each(byte, arg) for every byte of text t. Fails, and names the place,
 * where a byte is not the token of the output. */
lsp_status lsp_show_walk(lsp_show *s, int64_t t,
                         void (*each)(const lsp_show_byte *b, void *arg), void *arg,
                         lsp_failure *why);

/* show_chapters.c: chapters by their headings, equal parts where there are none. */
enum { LSP_TITLE_SIZE = 64, LSP_LINE_SIZE = 80 };

typedef struct {
  char title[LSP_TITLE_SIZE];
  int64_t text, start, bytes; /* which text; position of its first byte */
  double bits, gain;
} lsp_chapter;

enum { LSP_PARTS = 20 };

typedef struct {
  lsp_chapter *chapter;
  int64_t count, room, first; /* first: of the text under way */
  int failed;                 /* no memory */
  lsp_chapter part[LSP_PARTS];
  int64_t text, text_bytes;
  lsp_chapter line; /* the line under way: title unused */
  char line_text[LSP_LINE_SIZE];
  int line_bytes, blank_before;
} lsp_chapters;

void lsp_chapters_begin(lsp_chapters *c, int64_t text, int64_t bytes);
void lsp_chapters_byte(lsp_chapters *c, const lsp_show_byte *b);
void lsp_chapters_end(lsp_chapters *c);
void lsp_chapters_free(lsp_chapters *c);

/* Local. A bar for each chapter of [first, end). At most 30 bars: if there are more
 * chapters, neighbours share one. */
void lsp_chapters_print(const lsp_chapters *c, int64_t first, int64_t end,
                        int with_gain);

/* show_sentences.c: the sentences that surprised most. */
enum { LSP_SENTENCE_SIZE = 301, LSP_SENTENCES = 5 };

typedef struct {
  char text[LSP_SENTENCE_SIZE];
  int bytes; /* -1: too long to be shown */
  int64_t start, predicted, document;
  double bits;
} lsp_sentence;

typedef struct {
  lsp_sentence top[LSP_SENTENCES], now;
  int count;
  unsigned char before; /* the byte before */
} lsp_sentences;

void lsp_sentences_begin(lsp_sentences *s, int64_t text);
void lsp_sentences_byte(lsp_sentences *s, const lsp_show_byte *b);
void lsp_sentences_end(lsp_sentences *s);
void lsp_sentences_print(const lsp_sentences *s, const lsp_show *show);

/* show_cut.c: the words of a text, and what lies between them. */
enum { LSP_CUT_KEPT = 255 };

typedef struct {
  int64_t bytes;
  double bits, gain;
} lsp_show_sum;

/* Local. */
void lsp_show_add(lsp_show_sum *to, const lsp_show_sum *more);

typedef struct {
  char text[LSP_CUT_KEPT + 1]; /* of a longer word its first bytes */
  int kept;
  uint64_t hash;      /* of all of it */
  int64_t first, end; /* where it lies among the bytes that were given */
  lsp_show_sum sum;
} lsp_cut_word;

typedef struct {
  lsp_cut_word word;    /* under way, or the one that ended last */
  lsp_show_sum between; /* of all that lies between words, of all texts so far */
  int64_t given;        /* bytes of this text */
  int is_open;          /* a word is under way */
  lsp_show_sum held;    /* of bytes of which it is not known yet */
  int64_t apostrophes_held;
  int mark_held, in_mark;
} lsp_cut;

/* Local. Each text is begun, given byte by byte, and ended. lsp_cut_byte and lsp_cut_end
 * return 1 if a word has ended, which is c->word until the next call. */
void lsp_cut_begin(lsp_cut *c);
int lsp_cut_byte(lsp_cut *c, const lsp_show_byte *b);
int lsp_cut_end(lsp_cut *c);

/* show_words.c: the words that memory helped. */
enum { LSP_WORD_SIZE = 40, LSP_CONTEXT = 34 };

typedef struct {
  char word[LSP_WORD_SIZE]; /* "": free */
  char context[LSP_CONTEXT + 1];
  uint64_t hash;
  int64_t count;
  double gain, best;
} lsp_word;

typedef struct {
  lsp_word *word; /* (room) open addressing */
  int64_t room, count;
  unsigned char recent[LSP_CONTEXT];
  int64_t seen; /* bytes of this text */
} lsp_words;

/* Local. A text is its bytes, and each of its words once it has ended. */
lsp_status lsp_words_open(lsp_words *w, lsp_failure *why);
void lsp_words_begin(lsp_words *w);
void lsp_words_byte(lsp_words *w, const lsp_show_byte *b);
void lsp_words_word(lsp_words *w, const lsp_cut_word *word);
void lsp_words_print(const lsp_words *w);
void lsp_words_free(lsp_words *w);

/* show_since.c: bits by how long ago a word was last seen in its document. Memory is that
 * of the different words of one document. */
typedef struct {
  uint64_t hash;
  int64_t text, length; /* its beginning in `texts`; all of its bytes; 0: free */
  int64_t end;          /* where it ended last */
} lsp_since_word;

typedef struct {
  int64_t words;
  lsp_show_sum sum;
} lsp_since_row;

enum { LSP_SINCE_ROWS = 6 };

typedef struct {
  lsp_since_word *word; /* (room) open addressing */
  int64_t room, count;
  char *texts; /* (used, of texts_room) of all words, one after the other */
  int64_t used, texts_room;
  lsp_since_row row[LSP_SINCE_ROWS]; /* by distance; the last: never before */
} lsp_since;

/* Local. 0: no memory. */
int lsp_since_begin(lsp_since *s);
int lsp_since_add(lsp_since *s, const lsp_cut_word *word);

/* Local. between: of what lies between words. */
void lsp_since_print(const lsp_since *s, const lsp_show_sum *between, int with_gain);
void lsp_since_free(lsp_since *s);

/* show_html.c */
lsp_status lsp_show_html(lsp_show *s, const lsp_chapters *chapters, const char *path,
                         lsp_failure *why);

#endif
