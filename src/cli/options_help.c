/* --help, made from the same table as the parser. */
#include "cli.h"

#include <string.h>

enum { COLUMN = 25 };

static void print_option(FILE *f, const lsp_option *o, int mark) {
  char left[80];
  (void)snprintf(left, sizeof left, "%c --%s %s", mark ? '*' : ' ', o->field,
                 o->argument);
  for (char *c = left; *c != ' ' || c < left + 2; c++)
    *c = *c == '_' ? '-' : *c;
  const int at = fprintf(f, "%s", left);
  if (at >= COLUMN)
    (void)fprintf(f, "\n%*s", COLUMN, "");
  else
    (void)fprintf(f, "%*s", COLUMN - at, "");
  lsp_print_wrapped(f, o->help, COLUMN, COLUMN);
}

void lsp_print_help(FILE *f, const lsp_command *command) {
  (void)fprintf(f, "Usage: %s\n\n", command->usage);
  lsp_print_wrapped(f, command->about, 0, 0);
  if (command->options > 0)
    (void)fprintf(f, "\nOptions%s:\n",
                  command->marks_semantic
                      ? " (* may change the answer; the others never do)"
                      : "");
  for (int i = 0; i < command->options; i++)
    print_option(f, &command->option[i],
                 command->marks_semantic && command->option[i].semantic);
  (void)fprintf(f, "  %-*s%s\n", COLUMN - 2, "--help", "this text");
}

int lsp_answered(FILE *f, const lsp_command *command, int argc, char **argv) {
  for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
    const int help = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    if (!help && strcmp(argv[i], "--version") != 0)
      continue;
    if (f != NULL && help)
      lsp_print_help(f, command);
    else if (f != NULL)
      lsp_print_version(f);
    return 1;
  }
  return 0;
}
