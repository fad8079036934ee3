/* What libraries would not survive is tried before they need it: OpenMP ends the
 * process with words of its own where a thread cannot be started, and OpenBLAS asks
 * again and again, for ever, for memory that a limit denies it. */
#include "engine_internal.h"

#include "lsp/stop.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- threads --------------------------------------------------------------------- */

typedef struct {
  pthread_t *thread;
  int count, error;
  pthread_mutex_t gate; /* held until all may end */
} threads;

static void *wait_at_gate(void *arg) {
  threads *t = arg;
  (void)pthread_mutex_lock(&t->gate);
  (void)pthread_mutex_unlock(&t->gate);
  return NULL;
}

/* All but the main thread; one that cannot be started ends the attempt. */
static void start_threads(threads *t, int wanted) {
  t->thread = malloc((size_t)wanted * sizeof *t->thread);
  if (t->thread == NULL) {
    t->error = ENOMEM;
    return;
  }
  sigset_t all, old;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_BLOCK, &all, &old);
  while (t->count < wanted - 1 && t->error == 0) {
    t->error = pthread_create(&t->thread[t->count], NULL, wait_at_gate, t);
    t->count += t->error == 0;
  }
  (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

lsp_status lsp_run_try_threads(lsp_run *e) {
  threads t = {.gate = PTHREAD_MUTEX_INITIALIZER};
  (void)pthread_mutex_lock(&t.gate);
  start_threads(&t, e->job.threads);
  LSP_MPI(
      MPI_Barrier(e->job.ctx->comm)); /* limits are for the ranks of a host together */
  (void)pthread_mutex_unlock(&t.gate);
  for (int i = 0; i < t.count; i++)
    (void)pthread_join(t.thread[i], NULL);
  free(t.thread);
  lsp_status st = LSP_OK;
  if (t.error != 0)
    st =
        lsp_fail(&e->job.ctx->why, LSP_E_LIMIT,
                 "only %d of %d threads a rank can be started, with %d rank%s on the "
                 "host (%s); use fewer --threads, or raise the limits on processes and "
                 "memory (ulimit -u, ulimit -v, pids.max of the control group)",
                 t.count + 1, e->job.threads, e->job.ctx->node_size,
                 e->job.ctx->node_size == 1 ? "" : "s", strerror(t.error));
  return lsp_agree(e->job.ctx, st);
}

/* --- a matrix product ------------------------------------------------------------ */

static double limit_mib(void) {
  static const int kind[] = {RLIMIT_AS, RLIMIT_DATA};
  double least = INFINITY;
  for (size_t i = 0; i < 2; i++) {
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)kind[i], &limit) == 0 &&
        limit.rlim_cur != RLIM_INFINITY)
      least = fmin(least, (double)limit.rlim_cur / (1 << 20));
  }
  return least;
}

/* In the child: a product on every thread at once, as later in the run. It takes
 * milliseconds; seconds of processor time are those of a library that asks for ever. */
static _Noreturn void multiply_and_exit(const char *core, int count) {
  static const int64_t M = 256, N = 256, K = 256;
  const struct rlimit cpu = {3, 3};
  (void)setrlimit(RLIMIT_CPU, &cpu);
  if (lsp_blas_open(core, NULL) != LSP_OK)
    _exit(0); /* the parent will say why */
  int failed = 0;
#pragma omp parallel num_threads(count) reduction(+ : failed)
  {
    float *a = calloc((size_t)(M * K + N * K + M * N), sizeof *a);
    failed += a == NULL;
#pragma omp barrier
    for (int i = 0; i < 4 && a != NULL; i++)
      lsp_gemm(M, N, K, a, a + M * K, a + M * K + N * K);
    free(a);
  }
  _exit(failed != 0);
}

/* 1: the child ended well in time. The end of its pipe tells, without SIGCHLD. */
static int ends_well(pid_t child, int end) {
  enum { SECONDS = 60 };
  struct pollfd on = {.fd = end, .events = POLLIN};
  int ready = 0, status = 0;
  for (int i = 0; i < 10 * SECONDS && ready <= 0 && !lsp_stop_asked(); i++)
    ready = poll(&on, 1, 100);
  if (ready <= 0)
    (void)kill(child, SIGKILL);
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    continue;
  return lsp_stop_asked() ||
         (ready > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

lsp_status lsp_run_try_blas(lsp_run *e, const char *core) {
  const double limit = limit_mib();
  int end[2];
  if (isinf(limit) || pipe(end) != 0)
    return LSP_OK;
  const pid_t child = fork();
  if (child == 0) {
    (void)close(end[0]);
    multiply_and_exit(core, e->job.threads);
  }
  (void)close(end[1]);
  const int fits = child > 0 && ends_well(child, end[0]);
  (void)close(end[0]);
  if (fits)
    return LSP_OK;
  return lsp_fail(
      &e->job.ctx->why, LSP_E_LIMIT,
      "the limit of %.0f MiB on the memory of a process (ulimit -v or -d) "
      "leaves no room for matrix products on %d thread%s: the BLAS library "
      "takes some 128 MiB for each; raise the limit, or use fewer --threads",
      limit, e->job.threads, e->job.threads == 1 ? "" : "s");
}
