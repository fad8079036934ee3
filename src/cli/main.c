/* longspan: one program, a few subcommands. */
#include "cli.h"

#include <string.h>

typedef struct {
  const char *name, *help;
  int (*run)(int argc, char **argv);
} subcommand;

static const subcommand subcommands[] = {
#define X(name, help) {#name, help, lsp_cmd_##name},
    LSP_COMMAND_TABLE(X)
#undef X
};

enum { SUBCOMMANDS = sizeof subcommands / sizeof subcommands[0] };

static void print_overview(FILE *f) {
  (void)fputs("longspan runs transformers over texts longer than any one process can "
              "hold.\n\n"
              "Usage: longspan COMMAND ...\n\n",
              f);
  for (int i = 0; i < SUBCOMMANDS; i++)
    (void)fprintf(f, "  %-8s %s\n", subcommands[i].name, subcommands[i].help);
  (void)fputs("\n"
              "  longspan COMMAND --help   options of a command\n"
              "  longspan --version        how this program was built\n\n"
              "Try: longspan run --model DIR --output book.h5 book.txt\n",
              f);
}

int main(int argc, char **argv) {
  lsp_failure why = {0};
  const char *name = argc > 1 ? argv[1] : "";
  for (int i = 0; i < SUBCOMMANDS; i++)
    if (strcmp(name, subcommands[i].name) == 0)
      return subcommands[i].run(argc - 1, argv + 1);
  if (strcmp(name, "--version") == 0) {
    lsp_print_version(stdout);
    return 0;
  }
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
      strcmp(name, "help") == 0) {
    print_overview(stdout);
    return 0;
  }
  if (argc < 2) {
    if (lsp_is_speaker())
      print_overview(stderr);
    return lsp_exit_status(LSP_E_USAGE);
  }
  (void)lsp_fail(&why, LSP_E_USAGE, "%.80s: no such command; --help lists them", name);
  return lsp_is_speaker() ? lsp_complain(&why) : lsp_exit_status(LSP_E_USAGE);
}
