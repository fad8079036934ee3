/* Text to tokens: the byte-level BPE of a tokenizer.json (Sennrich et al. 2016; Radford
 * et al. 2019), with the ids that Hugging Face's `tokenizers` gives.
 *
 *   text -> added tokens cut out -> normalizer -> splitting rules -> bytes -> merges -> ids
 *
 * Text is any bytes: what is no UTF-8 becomes U+FFFD, as Python's errors="replace" does.
 * A token's place is that of its first byte in the text as it was given. Local, all of it;
 * a tokenizer is read-only once it is open, so that threads share it. */
#ifndef LSP_TOKENIZER_H
#define LSP_TOKENIZER_H

#include "lsp/status.h"

#include <stddef.h>
#include <stdint.h>

enum { LSP_TOKENIZER_BYTES_MOST = 256 << 20, LSP_TEMPLATE_MOST = 32 };

typedef struct lsp_tokenizer lsp_tokenizer;

/* From the text of a tokenizer.json (lent until it returns); path is for messages.
 * LSP_E_FORMAT names the place of what is not known or not allowed. */
lsp_status lsp_tokenizer_parse(const char *path, const char *text, size_t bytes,
                               lsp_tokenizer **out, lsp_failure *why);

/* Frees *t and sets it to NULL. NULL is accepted. */
void lsp_tokenizer_close(lsp_tokenizer **t);

/* One more than its highest id. */
int64_t lsp_tokenizer_size(const lsp_tokenizer *t);

/* The bytes of the text that a token stands for; a special token's are its name. NULL, and
 * *bytes 0: there is no such id. */
const unsigned char *lsp_tokenizer_token(const lsp_tokenizer *t, int64_t id,
                                         size_t *bytes);

/* Ids that the template puts before a text: into id, their number comes back. */
int lsp_tokenizer_prefix(const lsp_tokenizer *t, int32_t id[LSP_TEMPLATE_MOST]);

/* XXH3-128 of the tokenizer.json. */
void lsp_tokenizer_hash(const lsp_tokenizer *t, unsigned char hash[16]);

/* What becomes of the names of special tokens in a text. */
typedef enum {
  LSP_SPECIAL_TEXT, /* they are text like any other */
  LSP_SPECIAL_PARSE /* they are those tokens */
} lsp_special;

/* Takes n tokens in order, lent until it returns: ids, and where each begins, in bytes of
 * the text. */
typedef lsp_status (*lsp_take_tokens)(const int32_t *id, const int64_t *start,
                                      int64_t n, void *arg, lsp_failure *why);

typedef struct lsp_encoder lsp_encoder;

/* An encoder of one text at a time; `t` is lent as long as it lives. One thread. */
lsp_status lsp_encoder_open(const lsp_tokenizer *t, lsp_special special,
                            lsp_take_tokens take, void *arg, lsp_encoder **out,
                            lsp_failure *why);
void lsp_encoder_close(lsp_encoder **e);

/* The next bytes of the text, in pieces of any size: the ids do not depend on it. What is
 * held back is what the splitting rules cannot decide yet: memory is constant but for
 * texts without any place where lsp_tokenizer_cut could cut. */
lsp_status lsp_encoder_put(lsp_encoder *e, const void *text, size_t bytes,
                           lsp_failure *why);

/* The text ends here; the next one begins, at place `start`. */
lsp_status lsp_encoder_end(lsp_encoder *e, int64_t start, lsp_failure *why);

/* The first place, from `from` on, where a text can be cut so that the ids of both parts,
 * encoded apart, are those of the whole, whatever comes before and after these bytes:
 * above `from`; -1: none among these bytes. */
int64_t lsp_tokenizer_cut(const lsp_tokenizer *t, lsp_special special, const void *text,
                          int64_t bytes, int64_t from);

#endif
