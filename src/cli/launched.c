/* A subcommand on the ranks that a launcher started: who speaks, whether they find each
 * other, MPI from its beginning to its end. */
#include "cli.h"

#include "lsp/stop.h"
#include "lsp/watch.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

/* A number from the environment; -1: not there. */
static int64_t number_in(const char *name) {
  const char *text = getenv(name);
  char *end = NULL;
  if (text == NULL)
    return -1;
  const long long n = strtoll(text, &end, 10);
  return end == text ? -1 : n;
}

/* The rank of this process, if the launcher's environment says it, else 0. Rank 0
 * prints. */
int64_t lsp_launched_rank(void) {
  static const char *const rank[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                     "SLURM_PROCID"};
  for (size_t i = 0; i < sizeof rank / sizeof rank[0]; i++)
    if (number_in(rank[i]) >= 0)
      return number_in(rank[i]);
  return 0;
}

int lsp_is_speaker(void) {
  return lsp_launched_rank() == 0;
}

/* Slurm numbers steps from 0; batch script, interactive shell and the like have ids
 * just below 2^32 (4294967290 and up), and one task whatever the job has. */
static int is_slurm_step(void) {
  const int64_t step = number_in("SLURM_STEP_ID");
  return step >= 0 && step < 0xffffff00;
}

/* Processes that the launcher started together with this one; -1: it did not say. The
 * innermost launcher is asked first. */
static int64_t tasks_started(const char **variable) {
  static const char *const size[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE",
                                     "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"};
  for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
    if (strncmp(size[i], "SLURM", 5) == 0 && !is_slurm_step())
      continue;
    *variable = size[i];
    if (number_in(size[i]) >= 0)
      return number_in(size[i]);
  }
  return -1;
}

/* Processes that do not find each other would each do the whole run, and all write the
 * same file. */
static lsp_status check_singletons(int size, lsp_failure *why) {
  const char *variable = "";
  const int64_t started = tasks_started(&variable);
  if (size != 1 || started <= 1)
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_INPUT,
      "%lld processes were started (%s) but MPI sees only one, so each would "
      "do the whole run; start them with `srun --mpi=pmix` or with the mpirun "
      "of the MPI library that longspan was built with",
      (long long)started, variable);
}

/* A process without a launcher, in a job that was given room for several. */
static void hint_at_launcher(int size) {
  static const char *const tasks[] = {"SLURM_NTASKS", "PBS_NP", "LSB_DJOB_NUMPROC",
                                      "NSLOTS"};
  const char *ignored = "";
  if (size != 1 || tasks_started(&ignored) >= 0)
    return;
  for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++)
    if (number_in(tasks[i]) > 1) {
      (void)fprintf(stderr,
                    "longspan: this job may run %lld tasks (%s=%lld), and this is one "
                    "process; to use them all: mpirun longspan run ...\n",
                    (long long)number_in(tasks[i]), tasks[i],
                    (long long)number_in(tasks[i]));
      return;
    }
}

static lsp_status work_with_mpi(lsp_status (*work)(lsp_ctx *ctx, const void *arg),
                                const void *arg, int speaker) {
  int size = 0;
  lsp_failure why = {0};
  lsp_ctx ctx;
  LSP_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size));
  lsp_status status = check_singletons(size, &why);
  if (status != LSP_OK) {
    if (speaker)
      (void)lsp_complain(&why);
    return status;
  }
  hint_at_launcher(size);
  lsp_ctx_open(&ctx, MPI_COMM_WORLD);
  status = work(&ctx, arg);
  if (status != LSP_OK)
    lsp_say(&ctx, "longspan: %s",
            ctx.why.text[0] != '\0' ? ctx.why.text : lsp_status_words(status));
  lsp_ctx_close(&ctx);
  return status;
}

lsp_status lsp_with_mpi(lsp_status (*work)(lsp_ctx *ctx, const void *arg),
                        const void *arg) {
  int provided = 0;
  lsp_status status = LSP_E_INPUT;
  const int speaker = lsp_is_speaker();
  LSP_MPI(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided));
  if (provided >= MPI_THREAD_FUNNELED)
    status = work_with_mpi(work, arg, speaker);
  else if (speaker)
    (void)fprintf(stderr, "longspan: this MPI library has no MPI_THREAD_FUNNELED\n");
  lsp_watch_up();
  LSP_MPI(MPI_Finalize());
  return status;
}
