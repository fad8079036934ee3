#include "cli.h"
int lsp_cmd_plan(int argc, char **argv) {
  (void)argc;
  (void)argv;
  return 1;
}
