/* The files that `longspan tokenize` writes. Internal to cli. */
#ifndef LSP_CLI_TOKENIZE_H
#define LSP_CLI_TOKENIZE_H

#include "lsp/corpus.h"
#include "lsp/durable.h"

#include <limits.h>

enum { TOKENS_U16, TOKENS_U32, TOKENS_MEGATRON };

typedef struct {
  const char *model, *output;
  int64_t format, special_tokens, overwrite, quiet;
  const char *const *inputs;
  int input_count;
} tokenize_options;

/* NAME.bin, and NAME.idx of a Megatron dataset; what standard input is copied to. */
typedef struct {
  char bin[PATH_MAX], idx[PATH_MAX], input[PATH_MAX];
  lsp_replacement ids, index; /* fd -1: none */
  lsp_spooling spooling;
} tokenize_files;

/* Local. The names, and no file. */
lsp_status lsp_tokenize_names(const tokenize_options *o, tokenize_files *f,
                              lsp_failure *why);

/* Rank 0. Nothing is there that would be replaced without having been asked for. */
lsp_status lsp_tokenize_check(const tokenize_options *o, const tokenize_files *f,
                              lsp_failure *why);

/* Rank 0. Empty files beside the names, which take them at lsp_tokenize_commit. No text
 * and no file of the model is one of them. */
lsp_status lsp_tokenize_begin(const tokenize_options *o, const lsp_corpus *text,
                              tokenize_files *f, lsp_failure *why);

/* Rank 0. tokens: of each of `documents`, of `width` bytes. */
lsp_status lsp_tokenize_commit(const tokenize_options *o, tokenize_files *f,
                               const int64_t *tokens, int64_t documents, int width,
                               lsp_failure *why);

/* Rank 0. What was not committed goes. */
void lsp_tokenize_end(tokenize_files *f);

#endif
