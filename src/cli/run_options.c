/* The options of `run`: the rows of LSP_OPTION_TABLE, and what the table cannot say. */
#include "cli.h"

#include "lsp/bos.h"

#include <stdlib.h>
#include <string.h>

/* The default of a TEXT option is NULL, which is no number. */
#define INITIAL_TEXT(initial) 0
#define INITIAL_INT(initial) initial
#define INITIAL_FLAG(initial) initial
#define INITIAL_TIME(initial) initial
#define INITIAL_SIZE(initial) initial
#define INITIAL_WORDS(initial) initial
#define INITIAL_WRITE(initial) initial

static const lsp_option run_option[] = {
#define X(kind, field, initial, low, high, semantic, argument, help)                   \
  {LSP_OPTION_##kind,                                                                  \
   semantic,                                                                           \
   #field,                                                                             \
   offsetof(lsp_options, field),                                                       \
   INITIAL_##kind(initial),                                                            \
   low,                                                                                \
   high,                                                                               \
   argument,                                                                           \
   help},
    LSP_OPTION_TABLE(X)
#undef X
};

static const lsp_command run_command = {
    .usage = "longspan run --model DIR --output FILE.h5 [options] INPUT...\n"
             "       mpirun -n P longspan run ...",
    .about =
        "Runs a transformer over texts of any length, on all MPI ranks together, "
        "and writes how well it predicts each token to FILE.h5. The answer is the same "
        "for any number of ranks and threads, and for a run stopped and resumed.\n\n"
        "An INPUT is a file, a folder (all files below it, by name), @LIST (a file "
        "with "
        "one path a line) or - (standard input). Exit status: 0 done, 1 failure, 2 "
        "wrong usage, 75 stopped on request with everything committed (to resume, run "
        "the same command with --resume).",
    .option = run_option,
    .options = sizeof run_option / sizeof run_option[0],
    .marks_semantic = 1};

const lsp_command *lsp_run_command(void) {
  return &run_command;
}

/* One argument, quoted so that a shell would read the same. */
static void put_quoted(FILE *f, const char *argument) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                              "0123456789_@%+=:,./-";
  if (argument[0] != '\0' && argument[strspn(argument, plain)] == '\0') {
    (void)fputs(argument, f);
    return;
  }
  (void)fputc('\'', f);
  for (; *argument != '\0'; argument++) {
    if (*argument == '\'')
      (void)fputs("'\\''", f);
    else
      (void)fputc(*argument, f);
  }
  (void)fputc('\'', f);
}

static char *command_line(int argc, char **argv) {
  char *text = NULL;
  size_t bytes = 0;
  FILE *f = open_memstream(&text, &bytes);
  if (f == NULL)
    return NULL;
  (void)fputs("longspan", f);
  for (int i = 0; i < argc; i++) {
    (void)fputc(' ', f);
    put_quoted(f, argv[i]);
  }
  if (fclose(f) == 0)
    return text;
  free(text);
  return NULL;
}

static lsp_status check_options(const lsp_options *o, lsp_failure *why) {
  if (o->model == NULL)
    return lsp_fail(why, LSP_E_USAGE,
                    "--model: is missing; give the folder of a "
                    "checkpoint");
  if (o->output == NULL)
    return lsp_fail(why, LSP_E_USAGE,
                    "--output: is missing; give the file to write, "
                    "such as book.h5");
  if (o->input_count == 0)
    return lsp_fail(why, LSP_E_USAGE,
                    "no INPUT; give the files or folders to read, or "
                    "- for standard input");
  int64_t bos = 0;
  LSP_TRY(lsp_bos_parse(o->bos, &bos, why));
  if (o->resume && o->overwrite)
    return lsp_fail(why, LSP_E_USAGE, "--resume and --overwrite exclude each other");
  return LSP_OK;
}

lsp_status lsp_options_parse(int argc, char **argv, lsp_options *options,
                             lsp_failure *why) {
  memset(options, 0, sizeof *options);
  const char **input = calloc((size_t)argc + 1, sizeof *input);
  char *line = command_line(argc, argv);
  options->inputs = input;
  options->command_line = line;
  if (input == NULL || line == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for the command line");
  LSP_TRY(
      lsp_parse(&run_command, argc, argv, options, input, &options->input_count, why));
  return check_options(options, why);
}

void lsp_options_close(lsp_options *options) {
  free((void *)(uintptr_t)options->inputs);
  free((void *)(uintptr_t)options->command_line);
  memset(options, 0, sizeof *options);
}
