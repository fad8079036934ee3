/* The subcommands, and the option parser that they share. Internal to cli.
 *
 * A subcommand describes itself by a table of options; parser, bounds, messages and
 * --help are made from it. */
#ifndef LSP_CLI_H
#define LSP_CLI_H

#include "lsp/ctx.h"
#include "lsp/options.h"
#include "lsp/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* name, what it is for */
#define LSP_COMMAND_TABLE(X)                                                           \
  X(run, "run a model over texts, on all MPI ranks together")                          \
  X(info, "say what a model folder, an output or a memory file is")                    \
  X(show, "show an output beside its text: chapters, sentences, words, HTML")          \
  X(export, "write tokens, words or documents with their surprisal as TSV, CSV, JSON") \
  X(verify, "find damage in outputs and memory files: compare them with their sums")   \
  X(tokenize, "cut texts into the token ids of a model, and write them")               \
  X(plan, "memory, traffic and time of a run, before it runs")

/* Each takes the arguments from its own name on and returns the exit status. */
#define X(name, help) int lsp_cmd_##name(int argc, char **argv);
LSP_COMMAND_TABLE(X)
#undef X

/* What an option is: the first column of LSP_OPTION_TABLE. */
typedef enum {
  LSP_OPTION_TEXT,
  LSP_OPTION_INT,
  LSP_OPTION_FLAG,
  LSP_OPTION_TIME,
  LSP_OPTION_SIZE,
  LSP_OPTION_WORDS,
  LSP_OPTION_WRITE
} lsp_option_kind;

typedef struct {
  lsp_option_kind kind;
  int semantic;      /* may change the answer */
  const char *field; /* the name, with _ for -: mem_len is --mem-len */
  size_t offset; /* of a const char * (TEXT), an lsp_write (WRITE) or an int64_t in the
                    structure filled */
  int64_t initial, low, high;
  const char *argument, *help;
} lsp_option;

typedef struct {
  const char *usage; /* lines after "Usage: " */
  const char *about; /* paragraphs; each is wrapped */
  const lsp_option *option;
  int options;
  int marks_semantic; /* --help marks the options that may change the answer */
} lsp_command;

/* Local. Reads argv[1..]: options and inputs in any order; `--` ends the options. Fills
 * `into`, defaults first, and input (lent, with room for argc). */
lsp_status lsp_parse(const lsp_command *command, int argc, char **argv, void *into,
                     const char **input, int *inputs, lsp_failure *why);

/* Local. If --help (-h) or --version is among the options: answers on f (NULL: says
 * nothing) and returns 1. */
int lsp_answered(FILE *f, const lsp_command *command, int argc, char **argv);

/* Local. Help of one command. */
void lsp_print_help(FILE *f, const lsp_command *command);

/* Local. Words of `text` on lines of at most 80 columns; newlines end paragraphs. The
 * first line begins at column `at` (where the cursor is), the others at `indent`. */
void lsp_print_wrapped(FILE *f, const char *text, int at, int indent);

/* Local. One line in the shown form of lsp/text.h, for all that names a file. */
void lsp_print_line(FILE *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Local. "  name      value" in the shown form, the value wrapped in a column of its
 * own. */
void lsp_print_fact(FILE *f, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Local. 1234567 as "1,234,567"; bytes as "1.2 MiB". Return `text`. */
enum { LSP_NUMBER_SIZE = 48 };
const char *lsp_grouped(int64_t n, char text[LSP_NUMBER_SIZE]);
const char *lsp_bytes(double bytes, char text[LSP_NUMBER_SIZE]);

/* Local. Text of less than 128 bytes in the shown form, and spaces up to the width. */
void lsp_print_padded(FILE *f, const char *text, int columns);

/* Local. A file name in the shown form, in at most `columns` bytes: its end if it is
 * longer. `out` has room for columns + 1. */
enum { LSP_SHORT_MOST = 64 };
void lsp_shortened(const char *name, char *out, size_t columns);

/* Local. The options of `run`. Whatever comes out, lsp_options_close frees it. */
lsp_status lsp_options_parse(int argc, char **argv, lsp_options *options,
                             lsp_failure *why);
void lsp_options_close(lsp_options *options);
const lsp_command *lsp_run_command(void);

/* Local. What `longspan --version` says. */
void lsp_print_version(FILE *f);

/* Local. 1 if this process is the one that prints, as far as the launcher's environment
 * says. To be asked before MPI_Init: where MPI finds no other processes, each one is
 * rank 0 to itself. */
int lsp_is_speaker(void);

/* Local. The rank of this process, if the launcher's environment says it, else 0. */
int64_t lsp_launched_rank(void);

/* All ranks. MPI from its beginning to its end, and `work` in between, whose message is
 * said. */
lsp_status lsp_with_mpi(lsp_status (*work)(lsp_ctx *ctx, const void *arg),
                        const void *arg);

/* Local. "longspan: <message>" on stderr; returns the exit status. */
int lsp_complain(const lsp_failure *why);

#endif
