/* The words of a text, from its tokens: what white space separates, as Python's
 * str.split() does it on the text (errors="replace"). Internal to cli.
 *
 *   tokens   | It | is | a | tru | th |  univers | ally |       each counts where its
 *   words     ^It   ^is  ^a  ^truth      ^universally           first letter is */
#ifndef LSP_CLI_WORD_READER_H
#define LSP_CLI_WORD_READER_H

#include "token_reader.h"

/* Of a longer word only this much is held. */
enum { LSP_WORD_BYTES_MOST = 1 << 20 };

typedef struct {
  int64_t number;     /* in its document */
  int64_t start, end; /* its bytes in the text of the document */
  int64_t tokens;     /* that count for it */
  double nll;         /* their sum; NaN: one of them has none, or there are none */
  const char *text;   /* (bytes) lent until the call returns */
  size_t bytes;
  int is_cut; /* the text is longer */
} lsp_read_word;

/* A byte of the text that may yet turn out to be white space. */
typedef struct {
  char byte;
  int counts; /* a token counts here */
  int64_t start, end;
  float nll;
} lsp_placed_byte;

typedef struct {
  void (*take)(const lsp_read_word *word, void *arg);
  void *arg;
  lsp_read_word now;
  int is_open, failed; /* failed: no memory */
  char *text;
  size_t room;
  lsp_placed_byte held[3];
  int holds;
} lsp_word_reader;

/* Local. Calls take(word, arg) for each word, once it has ended. */
void lsp_word_reader_begin(lsp_word_reader *w,
                           void (*take)(const lsp_read_word *word, void *arg),
                           void *arg);
void lsp_word_reader_token(lsp_word_reader *w, const lsp_read_token *t);

/* Local. The text has ended: the last word is given, and memory freed. LSP_E_MEMORY if
 * there was not enough for a word. */
lsp_status lsp_word_reader_end(lsp_word_reader *w, lsp_failure *why);

#endif
