/* An output, token by token: what each stands for, where it lies in the text, how much it
 * surprised. Memory is that of the vocabulary and of a few thousand tokens. Internal to
 * cli.
 *
 * Sums over parts of a text follow one convention: what a token has is counted where its
 * first byte lies that is no white space (its first byte if it is white space as a whole).
 * So " the" counts for the word "the", and a token that reaches over two words counts for
 * the first. */
#ifndef LSP_CLI_TOKEN_READER_H
#define LSP_CLI_TOKEN_READER_H

#include "lsp/layout.h"
#include "lsp/status.h"

#include <stddef.h>
#include <stdint.h>

typedef enum {
  LSP_OF_BYTES, /* a token is a byte of the text */
  LSP_OF_TEXT,  /* the file has the vocabulary of a tokenizer */
  LSP_OF_IDS    /* nobody knows what they stand for */
} lsp_token_kind;

typedef struct {
  int64_t number;             /* in its document */
  int32_t id;                 /* -1: the file has none */
  int64_t start, end;         /* its bytes in the text of the document; -1: not known */
  float nll;                  /* NaN: none */
  const unsigned char *bytes; /* (count) what it stands for, lent until the next token;
                                 NULL: not known */
  size_t count;
} lsp_read_token;

struct lsp_token_piece;

typedef struct {
  const char *path;
  lsp_file_view view;
  lsp_token_kind kind;
  int is_half;               /* half of the tokens alone is predicted (chunks:N,half) */
  int64_t *edge;             /* (V + 1) of bytes, as /tokenizer/token_start */
  unsigned char *vocabulary; /* (edge[V]) */
  struct lsp_token_piece *piece;
  int64_t document, next, first, end; /* the next token; those in `piece` */
} lsp_token_reader;

/* Local. Refuses memory files and outputs without /tokens/nll. lsp_token_reader_close
 * after a failure, too. */
lsp_status lsp_token_reader_open(lsp_token_reader *r, const char *path,
                                 lsp_failure *why);
void lsp_token_reader_close(lsp_token_reader *r);

/* Local. LSP_E_INPUT, and why: what the tokens stand for is not in the file. */
lsp_status lsp_token_reader_needs_text(const lsp_token_reader *r, lsp_failure *why);

/* Local. The first token of a document comes next. */
void lsp_token_reader_begin(lsp_token_reader *r, int64_t document);

/* Local. The next token of the document; *there 0: it has no more. */
lsp_status lsp_token_reader_next(lsp_token_reader *r, lsp_read_token *t, int *there,
                                 lsp_failure *why);

/* Local. Which of its bytes a token is counted at. */
size_t lsp_token_place(const lsp_read_token *t);

#endif
