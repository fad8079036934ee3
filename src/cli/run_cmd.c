/* longspan run: options, MPI, engine, exit status.
 *
 * Options are read before MPI is up, so a mistake costs nothing and every rank ends
 * with status 2; which rank speaks is then known from the launcher's environment alone.
 */
#include "cli.h"

#include "lsp/engine.h"
#include "lsp/stop.h"
#include "lsp/watch.h"

static lsp_status run(lsp_ctx *ctx, const void *options) {
  return lsp_engine_run(ctx, options);
}

int lsp_cmd_run(int argc, char **argv) {
  lsp_options options;
  lsp_failure why = {0};
  const int speaker = lsp_is_speaker();
  lsp_stop_listen(speaker); /* first: a signal may come before MPI is up */
  if (lsp_answered(speaker ? stdout : NULL, lsp_run_command(), argc, argv))
    return 0;
  lsp_status status = lsp_options_parse(argc, argv, &options, &why);
  if (status != LSP_OK) {
    if (speaker)
      (void)lsp_complain(&why);
    lsp_options_close(&options);
    return lsp_exit_status(status);
  }
  if (options.quiet)
    lsp_stop_hush();
  lsp_stop_after(options.max_time > 0 ? options.max_time : 0);
  lsp_watch_start(options.watchdog, lsp_launched_rank());
  status = lsp_with_mpi(run, &options);
  lsp_options_close(&options);
  return lsp_exit_status(status);
}
