/* Rows for other programs: TSV, CSV or JSON Lines. Internal to cli.
 *
 *   tsv    a head line; tab, line feed, carriage return and backslash within text as \t,
 *          \n, \r and \\; no quotes
 *   csv    RFC 4180: a head line; fields with a comma, a quote or a line break in quotes,
 *          a quote doubled; lines end in CR LF
 *   jsonl  one object a line
 *
 * Text becomes UTF-8: U+FFFD stands for what is ill-formed (as Python's errors="replace"),
 * and in tsv and csv for NUL. A value that is not known is empty, in jsonl null. Numbers
 * can be read back exactly. */
#ifndef LSP_CLI_TABLE_H
#define LSP_CLI_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum { LSP_TABLE_TSV, LSP_TABLE_CSV, LSP_TABLE_JSONL } lsp_table_format;

typedef struct {
  FILE *f;
  lsp_table_format format;
  const char *const *name; /* (columns) */
  int columns, column;     /* column: the next one */
} lsp_table;

/* Local. The head line, where the format has one. */
void lsp_table_begin(lsp_table *t, FILE *f, lsp_table_format format,
                     const char *const *name, int columns);

/* Local. The next value of the row; after the last one the row ends. */
void lsp_table_int(lsp_table *t, int64_t value);
void lsp_table_float(lsp_table *t, float value); /* not finite: not known */
void lsp_table_double(lsp_table *t, double value);
void lsp_table_text(lsp_table *t, const char *text, size_t bytes, int is_cut);
void lsp_table_unknown(lsp_table *t);

#endif
