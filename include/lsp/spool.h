/* Text to token ids in files, by all ranks together.
 *
 *   documents   |  doc 0                         | doc 1 |  doc 2      | ...
 *   units       | 0       | 1       | 2     | 0     | 0       | 1   |
 *   ranks         0         1         2       0 ...     in rounds
 *   ids         | of unit 0 | of unit 1 | ...             where it ends nobody knows before
 *
 * A unit is a fixed number of bytes; the part of the text that belongs to it goes from the
 * first safe cut in it to that of a later one (lsp_tokenizer_cut), so that the ids depend
 * neither on units nor on ranks. In a round each rank encodes a unit or a few small
 * documents into memory; a sum over the ranks before says where its ids lie in the file;
 * all write (lsp/route.h). A part with more tokens than a rank holds takes several rounds,
 * in which the ranks after it wait. */
#ifndef LSP_SPOOL_H
#define LSP_SPOOL_H

#include "lsp/corpus.h"
#include "lsp/ctx.h"
#include "lsp/tokenizer.h"

#include <stdint.h>

/* Local. The text of DIR/tokenizer.json, which the caller frees. *text is NULL if there is
 * no such file. */
lsp_status lsp_tokenizer_text(const char *dir, char **text, size_t *bytes,
                              lsp_failure *why);

/* Local. The tokenizer of a model folder; *out is NULL if it has none. */
lsp_status lsp_tokenizer_of(const char *dir, lsp_tokenizer **out, lsp_failure *why);

/* Collective. The same, read by rank 0 alone. */
lsp_status lsp_tokenizer_share(lsp_ctx *ctx, const char *dir, lsp_tokenizer **out);

/* Local. Every id of the tokenizer is one of the model's. */
lsp_status lsp_tokenizer_fits(const lsp_tokenizer *t, const char *dir,
                              int64_t vocabulary, lsp_failure *why);

/* 1: its bytes are text. */
int lsp_is_text(const lsp_document *d);

/* What a model can read: ids; text, if it is made for bytes or has a tokenizer, which
 * cannot be given together with ids. */
typedef struct {
  const char *dir; /* of the model, for messages */
  int bytes, has_tokenizer;
} lsp_reader;

/* Local. It can read these documents. */
lsp_status lsp_reader_takes(const lsp_reader *r, const lsp_corpus *c, lsp_failure *why);

/* Local. What a document's text becomes, counted and not kept: its tokens. */
lsp_status lsp_tokenizer_count(const lsp_tokenizer *t, lsp_special special,
                               lsp_corpus *text, int64_t document, int64_t *tokens,
                               lsp_failure *why);

typedef struct {
  const lsp_tokenizer *tokenizer;
  lsp_special special;
  int width;          /* bytes of an id in the file: 2 or 4 */
  int64_t head;       /* bytes of both files before the first token */
  const char *ids;    /* file that is there, for ids */
  const char *starts; /* the same for places, 8 bytes each; NULL: they are not wanted */
  int64_t unit;       /* bytes of a unit; 0: as many as is good */
} lsp_spool_spec;

/* Collective. The tokens of all documents of a corpus of text. tokens (documents), on rank
 * 0: of each. The text should be one that gives out what was hashed (lsp/text_hash.h), so
 * that one which changes meanwhile is refused. LSP_E_STOPPED: asked to stop. Whatever
 * fails, the files may then hold anything. */
lsp_status lsp_spool_text(lsp_ctx *ctx, lsp_corpus *text, const lsp_spool_spec *spec,
                          int64_t *tokens);

#endif
