/* The hash of the text of a run, taken by all ranks, each its share; and with it the
 * hash of every chunk, so that what a rank reads later can be compared.
 *
 *   chunks   | rank 0 of node 0 | rank 1 of node 0 | rank 0 of node 1 | ...
 *   again    | rank 0 of node 1 | rank 1 of node 1 | rank 0 of node 2 | ...
 *
 * With several nodes every chunk is read on two of them, since a path may lead to
 * another file on another host. */
#ifndef LSP_TEXT_HASH_H
#define LSP_TEXT_HASH_H

#include "lsp/corpus.h"
#include "lsp/shared.h"

typedef struct {
  lsp_shared table;       /* 16 bytes a chunk, once a node */
  unsigned char hash[16]; /* of the corpus: lsp_corpus_hash */
} lsp_text_hash;

/* Collective. c is the same corpus on every rank. From here on it gives out only tokens
 * that were hashed. Says how far it is, unless ctx->quiet. A file that is not the same
 * on two hosts is refused by the names of both; LSP_E_STOPPED: the run was asked to
 * stop. *out is to be closed whatever comes back. */
lsp_status lsp_text_hash_open(lsp_ctx *ctx, lsp_corpus *c, lsp_text_hash *out);

/* Collective; not before the corpus is read for the last time. A zeroed one is
 * accepted. */
void lsp_text_hash_close(lsp_text_hash *h);

#endif
