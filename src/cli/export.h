/* The parts of `longspan export`. Internal to cli. */
#ifndef LSP_CLI_EXPORT_H
#define LSP_CLI_EXPORT_H

#include "table.h"
#include "token_reader.h"

/* What is exported. */
typedef enum { LSP_EXPORT_TOKENS, LSP_EXPORT_WORDS, LSP_EXPORT_DOCUMENTS } lsp_exported;

/* Local. Documents [first, end) of an output, as rows on f. Stops early, without a
 * failure, once f has one. */
lsp_status lsp_export_rows(lsp_token_reader *r, lsp_exported what, int64_t first,
                           int64_t end, FILE *f, lsp_table_format format,
                           lsp_failure *why);

#endif
