/* What stands before a text: `--bos template|none|ID`. Local. */
#ifndef LSP_BOS_H
#define LSP_BOS_H

#include "lsp/model.h"
#include "lsp/tokenizer.h"

enum { LSP_BOS_TEMPLATE = -2, LSP_BOS_NONE = -1 };

/* One of these, or an id; NULL (not given) is the template. LSP_E_USAGE: none of them. */
lsp_status lsp_bos_parse(const char *text, int64_t *bos, lsp_failure *why);

/* 1: only the tokenizer can say what it is. */
int lsp_bos_needs_tokenizer(const char *text, const lsp_model *model);

/* Fills model->prefix. t may be NULL: there is no template then, and nothing before a text.
 * LSP_E_USAGE: the model does not leave it to an option, or has no such id. */
lsp_status lsp_bos_apply(const char *text, const lsp_tokenizer *t, lsp_model *model,
                         lsp_failure *why);

#endif
