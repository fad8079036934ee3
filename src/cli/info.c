/* longspan info PATH: what is it, and what can be done with it. */
#include "info.h"
#include "cli.h"

#include "lsp/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

typedef struct {
  const char *pattern;
} info_options;

static const lsp_option info_option[] = {
    {LSP_OPTION_TEXT, 0, "pattern", offsetof(info_options, pattern), 0, 0, 0,
     "FILE.svg",
     "also draw what each layer of a model sees; without PATH, an example of each kind "
     "of "
     "attention"},
};

static const lsp_command info_command = {
    .usage = "longspan info [--pattern FILE.svg] PATH\n"
             "       longspan info --pattern FILE.svg",
    .about = "Says what PATH is: a model folder, an output FILE.h5 (finished or under "
             "way), or memory snapshots FILE.memory.h5.",
    .option = info_option,
    .options = sizeof info_option / sizeof info_option[0]};

static int ends_with(const char *text, const char *end) {
  const size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

/* The output FILE.h5 that a file of a run under way belongs to; NULL if the path is too
 * long. */
static const char *output_of(const char *path, char out[PATH_SIZE]) {
  static const char *const suffix[] = {".memory.h5.part", ".h5.part", ".h5.journal",
                                       ".h5.slot"};
  if (snprintf(out, PATH_SIZE, "%s", path) >= PATH_SIZE - 16)
    return NULL;
  for (size_t i = 0; i < sizeof suffix / sizeof suffix[0]; i++)
    if (ends_with(out, suffix[i])) {
      memcpy(out + strlen(out) - strlen(suffix[i]), ".h5", sizeof ".h5");
      break;
    }
  return out;
}

static int is_beside(const char *output, const char *suffix) {
  char path[PATH_SIZE];
  return lsp_store_beside(output, suffix, path, sizeof path, NULL) == LSP_OK &&
         access(path, F_OK) == 0;
}

static lsp_status info(const char *path, const char *picture, lsp_failure *why) {
  char output[PATH_SIZE];
  struct stat st;
  const int found = stat(path, &st) == 0;
  const int error = errno;
  if (found && S_ISDIR(st.st_mode))
    return lsp_info_model(path, picture, why);
  if (picture != NULL)
    return lsp_fail(why, LSP_E_USAGE,
                    "--pattern: %.200s is no model folder; only of a model it can be "
                    "drawn what its layers see",
                    path);
  if (output_of(path, output) == NULL)
    return lsp_fail(why, LSP_E_INPUT,
                    "%.200s...: the path is too long; use a shorter one", path);
  const int under_way = is_beside(output, ".h5.journal");
  const int replaces =
      under_way && is_beside(output, ".h5.part") && access(output, F_OK) == 0;
  const int shown = found && (!under_way || strcmp(path, output) == 0);
  if (shown)
    LSP_TRY(lsp_info_file(path, replaces, why));
  if (shown && under_way)
    (void)putchar('\n');
  if (under_way)
    return lsp_info_unfinished(output, replaces, why);
  return found ? LSP_OK : lsp_fail(why, LSP_E_INPUT, "%s: %s", path, strerror(error));
}

/* Without a path there are the examples to draw. */
static lsp_status draw_examples(const char *picture, lsp_failure *why) {
  LSP_TRY(lsp_info_picture(NULL, picture, why));
  lsp_print_fact(stdout, "drawn", "an example of each kind of attention, in %s",
                 picture);
  return LSP_OK;
}

int lsp_cmd_info(int argc, char **argv) {
  info_options options = {NULL};
  lsp_failure why = {0};
  int paths = 0;
  if (lsp_answered(stdout, &info_command, argc, argv))
    return 0;
  const char **path = calloc((size_t)argc + 1, sizeof *path);
  lsp_status st = path != NULL ? LSP_OK : lsp_fail(&why, LSP_E_MEMORY, "no memory");
  if (st == LSP_OK)
    st = lsp_parse(&info_command, argc, argv, &options, path, &paths, &why);
  const int examples = paths == 0 && options.pattern != NULL;
  if (st == LSP_OK && paths != 1 && !examples)
    st = lsp_fail(&why, LSP_E_USAGE,
                  "info takes one PATH: a model folder, an output or a memory file");
  if (st == LSP_OK)
    st = examples ? draw_examples(options.pattern, &why)
                  : info(path[0], options.pattern, &why);
  free(path);
  return st == LSP_OK ? 0 : lsp_complain(&why);
}
