/* Two threads a rank, apart from the main thread, which may hang anywhere:
 *
 *   beat     writes what the rank does to the board, twenty times in T; where the rank
 *            has not moved for T / 4, reads what the others have written. May hang with
 *            the file system.
 *   judge    does no input or output: ends the job when nothing is known to have moved
 *            for T, which includes a beat thread that hangs.
 *
 * At most JUDGES ranks judge, evenly spread; of those alive the lowest speaks. The
 * others end when they read on the board that the job is ended, for launchers that do
 * not kill them.
 *
 * When the job is suspended as a whole (Slurm, Ctrl-Z) and continued an hour later, the
 * judge finds that it slept far longer than it asked to, and starts anew. */
#include "lsp/watch.h"

#include "board.h"
#include "lsp/beat.h"
#include "lsp/stop.h"
#include "lsp/text.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
  JUDGES = 16,
  STACK = 1 << 18,
  LINE_SIZE = 512,
  PHASE_SIZE = 64,
  SECONDS_MAX = 1000000000
};

/* Of another rank. */
typedef struct {
  uint64_t count, progress;
  int64_t alive_at; /* when `count` was last seen to change */
} sight;

/* Of this rank, at the last look; times in ms. */
typedef struct {
  uint64_t beats;
  int64_t cpu, at;
} motion;

struct lsp_watch {
  lsp_ctx *ctx;
  lsp__board board;
  int64_t limit, step; /* ms: T, and between two beats */
  int stride;          /* every stride-th rank judges */
  pthread_t beat, judge;
  int threads; /* begun: 1: beat, 2: judge */

  /* beat alone */
  lsp__record mine;
  motion motion;
  int64_t moved_at;    /* this rank */
  lsp__record *record; /* (ranks) as read */

  pthread_mutex_t lock; /* never held during input or output */
  pthread_cond_t wake;
  int closing;
  int64_t seen_at;   /* any rank was known to move */
  lsp__record *all;  /* (ranks) */
  sight *sight;      /* (ranks) */
  int64_t looked_at; /* 0: never */
};

/* Until ranks can see each other. */
static struct {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  int64_t limit; /* ms */
  int begun, up;
} starting = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t ms_of(clockid_t clock) {
  struct timespec t;
  (void)clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- the end --------------------------------------------------------------------- */

static void on_alarm(int number) {
  (void)number;
  _exit(1);
}

/* MPI_Abort makes the launcher end all ranks. Any of this may hang with what hangs, so
 * the process goes in any case. */
static _Noreturn void end_job(const lsp_watch *w, const char *line) {
  struct sigaction action;
  sigset_t set;
  memset(&action, 0, sizeof action);
  (void)sigemptyset(&action.sa_mask);
  action.sa_handler = on_alarm;
  (void)sigaction(SIGALRM, &action, NULL);
  (void)alarm(5);
  (void)sigemptyset(&set);
  (void)sigaddset(&set, SIGALRM);
  (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  lsp_stop_hush(); /* the launcher's TERM is no request to stop */
  char shown[LSP_TEXT_GROWTH * LINE_SIZE + 1];
  const size_t n = lsp_text_shown(line, shown, sizeof shown);
  shown[n] = '\n';
  const ssize_t ignored = write(STDERR_FILENO, shown, n > 0 ? n + 1 : 0);
  (void)ignored;
  (void)lsp__board_end(&w->board);
  (void)MPI_Abort(MPI_COMM_WORLD, 1);
  _exit(1);
}

/* --- the beat -------------------------------------------------------------------- */

/* Has this rank done anything since the last look? At least a fiftieth of a processor
 * counts where it does not wait for others. */
static int has_moved(motion *m, const lsp_beat_state *s, int64_t now) {
  const int64_t cpu = ms_of(CLOCK_PROCESS_CPUTIME_ID);
  const int moved = s->beats != m->beats || s->excused ||
                    (!s->waits && 50 * (cpu - m->cpu) > now - m->at);
  *m = (motion){s->beats, cpu, now};
  return moved;
}

/* What the others have written, compared with what they had. */
static void merge(lsp_watch *w, int64_t now) {
  for (int r = 0; r < w->ctx->size; r++) {
    sight *s = &w->sight[r];
    w->all[r] = w->record[r];
    if (w->looked_at == 0 || w->all[r].count != s->count)
      s->alive_at = now;
    if (w->looked_at == 0 || w->all[r].progress != s->progress)
      w->seen_at = now;
    s->count = w->all[r].count;
    s->progress = w->all[r].progress;
  }
  w->looked_at = now;
}

/* Another rank has spoken: the judge of this one, who misses its signs of life, has
 * nothing to add while the launcher ends them all. */
static void be_silent(lsp_watch *w) {
  (void)pthread_mutex_lock(&w->lock);
  w->closing = 1;
  (void)pthread_mutex_unlock(&w->lock);
}

static void look_around(lsp_watch *w) {
  const int judges = w->ctx->rank % w->stride == 0;
  if (lsp__board_ended(&w->board)) {
    be_silent(w);
    end_job(w, "");
  }
  const int read = judges && lsp__board_get(&w->board, w->record);
  (void)pthread_mutex_lock(&w->lock);
  if (read)
    merge(w, ms_of(CLOCK_MONOTONIC));
  else /* nothing is known of the others, so nothing is held against them */
    w->seen_at = ms_of(CLOCK_MONOTONIC);
  (void)pthread_mutex_unlock(&w->lock);
}

static void beat(lsp_watch *w) {
  const lsp_beat_state s = lsp_beat_now();
  const int64_t now = ms_of(CLOCK_MONOTONIC);
  const int moved = has_moved(&w->motion, &s, now);
  if (moved) {
    w->moved_at = now;
    w->mine.progress++;
    (void)pthread_mutex_lock(&w->lock);
    w->seen_at = now;
    (void)pthread_mutex_unlock(&w->lock);
  }
  w->mine.count++;
  w->mine.since = now - w->moved_at;
  w->mine.waits = s.waits;
  w->mine.layer = s.layer;
  (void)strncpy(w->mine.phase, s.phase, LSP__PHASE_SIZE - 1);
  (void)lsp__board_put(&w->board, &w->mine);
  if (w->mine.since >= w->limit / 4)
    look_around(w);
}

/* Waits for some ms, or until the flag is set, which it returns. */
static int pause_for(int64_t ms, pthread_mutex_t *lock, pthread_cond_t *wake,
                     const int *flag) {
  struct timespec until;
  (void)clock_gettime(CLOCK_MONOTONIC, &until);
  const int64_t ns = until.tv_nsec + ms % 1000 * 1000000;
  until.tv_sec += ms / 1000 + ns / 1000000000;
  until.tv_nsec = ns % 1000000000;
  (void)pthread_mutex_lock(lock);
  int late = 0;
  while (!*flag && late != ETIMEDOUT)
    late = pthread_cond_timedwait(wake, lock, &until);
  const int set = *flag;
  (void)pthread_mutex_unlock(lock);
  return set;
}

static int pause_step(lsp_watch *w) {
  return pause_for(w->step, &w->lock, &w->wake, &w->closing);
}

static void *beat_thread(void *arg) {
  lsp_watch *w = arg;
  do
    beat(w);
  while (!pause_step(w));
  return NULL;
}

/* --- the judgement --------------------------------------------------------------- */

static int64_t silence(const lsp_watch *w, int rank, int64_t now) {
  return rank == w->ctx->rank ? 0 : now - w->sight[rank].alive_at;
}

/* The rank that holds the others: the one longest without signs of life; else one that
 * does not wait; else (-1) none. */
static int culprit(const lsp_watch *w, int64_t now) {
  int rank = 0;
  for (int r = 1; r < w->ctx->size; r++)
    if (silence(w, r, now) > silence(w, rank, now))
      rank = r;
  if (silence(w, rank, now) > w->limit / 3)
    return rank;
  for (int r = 0; r < w->ctx->size; r++)
    if (!w->all[r].waits)
      return r;
  return -1;
}

static void put_phase(char out[PHASE_SIZE], const char *phase, int layer) {
  if (layer >= 0)
    (void)snprintf(out, PHASE_SIZE, "%.*s %d", LSP__PHASE_SIZE - 1, phase, layer);
  else
    (void)snprintf(out, PHASE_SIZE, "%.*s", LSP__PHASE_SIZE - 1, phase);
}

static void put_line(const lsp_watch *w, int64_t now, char line[LINE_SIZE]) {
  const lsp_beat_state s = lsp_beat_now();
  const int own = w->looked_at == 0 || now - w->looked_at > w->limit / 3;
  const int blamed = own ? w->ctx->rank : culprit(w, now);
  const int rank = blamed < 0 ? 0 : blamed;
  const lsp__record *r = own ? &w->mine : &w->all[rank];
  char phase[PHASE_SIZE], what[96];
  put_phase(phase, own ? s.phase : r->phase, own ? s.layer : r->layer);
  if (own && s.waits)
    (void)snprintf(what, sizeof what, "cannot read what other ranks do, waiting in");
  else if (blamed < 0)
    (void)snprintf(what, sizeof what, "waits, as all ranks do, in");
  else if (!own && silence(w, rank, now) > w->limit / 3)
    (void)snprintf(what, sizeof what, "has stopped, without a sign of life, in");
  else
    (void)snprintf(what, sizeof what, "is stuck in");
  (void)snprintf(
      line, LINE_SIZE,
      "longspan: no progress on any rank for %lld s (--watchdog): rank %d on host %.*s "
      "%s: %s; what was committed is kept; to resume, run the same command with "
      "--resume",
      (long long)w->limit / 1000, rank, LSP__HOST_SIZE - 1, r->host, what, phase);
}

/* Ranks below this one that judge, too, and are alive: they come first. */
static int judges_before(const lsp_watch *w, int64_t now) {
  int count = 0;
  for (int r = 0; r < w->ctx->rank && w->looked_at > 0; r += w->stride)
    count += silence(w, r, now) <= w->limit / 3;
  return count;
}

/* 1: time to end the job, and the line says why. */
static int judge(lsp_watch *w, int64_t start, int moved, char line[LINE_SIZE]) {
  (void)pthread_mutex_lock(&w->lock);
  const int64_t now = ms_of(CLOCK_MONOTONIC);
  if (moved)
    w->seen_at = now;
  const int64_t since = w->seen_at > start ? w->seen_at : start;
  const int64_t turn = judges_before(w, now) * (2 * w->step + 1000);
  const int ends = !w->closing && now - since >= w->limit + turn;
  if (ends)
    put_line(w, now, line);
  (void)pthread_mutex_unlock(&w->lock);
  return ends;
}

static void *judge_thread(void *arg) {
  lsp_watch *w = arg;
  int64_t before = ms_of(CLOCK_MONOTONIC), start = before;
  motion own = {0, 0, before};
  char line[LINE_SIZE];
  while (!pause_step(w)) {
    const int64_t now = ms_of(CLOCK_MONOTONIC);
    const lsp_beat_state s = lsp_beat_now();
    if (now - before > w->step + w->limit / 4 + 1000)
      start = now; /* this process did not run either */
    before = now;
    if (judge(w, start, has_moved(&own, &s, now), line))
      end_job(w, line);
  }
  return NULL;
}

/* --- until all are up ------------------------------------------------------------ */

static void *start_thread(void *arg) {
  enum { PARTS = 20 };
  static const char line[] =
      "longspan: MPI has not come up on all ranks within the time of --watchdog; a "
      "process or a host has stopped, or the hosts do not reach each other\n";
  (void)arg;
  /* In parts: a process that is suspended meanwhile has lost one of them at most. */
  for (int i = 0; i < PARTS; i++)
    if (pause_for(starting.limit / PARTS, &starting.lock, &starting.wake, &starting.up))
      return NULL;
  const ssize_t ignored = write(STDERR_FILENO, line, sizeof line - 1);
  (void)ignored;
  _exit(1);
}

/* One that waits by the monotonic clock. */
static void open_cond(pthread_cond_t *wake) {
  pthread_condattr_t attr;
  (void)pthread_condattr_init(&attr);
  (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  (void)pthread_cond_init(wake, &attr);
  (void)pthread_condattr_destroy(&attr);
}

/* A thread to which no signals come. */
static int begin_thread(pthread_t *thread, void *(*function)(void *), void *arg) {
  pthread_attr_t attr;
  sigset_t all, old;
  int error = pthread_attr_init(&attr);
  (void)pthread_attr_setstacksize(&attr, STACK);
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_BLOCK, &all, &old);
  if (error == 0)
    error = pthread_create(thread, &attr, function, arg);
  (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
  (void)pthread_attr_destroy(&attr);
  return error;
}

void lsp_watch_start(int64_t seconds, int64_t rank) {
  if (seconds <= 0 || starting.begun)
    return;
  starting.limit = 1000 * (seconds < SECONDS_MAX ? seconds : SECONDS_MAX);
  open_cond(&starting.wake);
  starting.limit += 3000 * (rank < JUDGES ? rank : JUDGES);
  starting.begun = begin_thread(&starting.thread, start_thread, NULL) == 0;
}

void lsp_watch_up(void) {
  if (!starting.begun)
    return;
  (void)pthread_mutex_lock(&starting.lock);
  starting.up = 1;
  (void)pthread_cond_signal(&starting.wake);
  (void)pthread_mutex_unlock(&starting.lock);
  (void)pthread_join(starting.thread, NULL);
  starting.begun = 0;
}

/* --- open and close -------------------------------------------------------------- */

static lsp_status start_threads(lsp_watch *w) {
  int error = begin_thread(&w->beat, beat_thread, w);
  w->threads += error == 0;
  if (error == 0 && w->ctx->rank % w->stride == 0) {
    error = begin_thread(&w->judge, judge_thread, w);
    w->threads += error == 0;
  }
  if (error == 0)
    return LSP_OK;
  return lsp_fail(&w->ctx->why, LSP_E_LIMIT,
                  "cannot start the threads of the watchdog: %s; check ulimit -u, or "
                  "use --watchdog 0",
                  strerror(error));
}

static lsp_status allocate(lsp_ctx *ctx, int64_t seconds, lsp_watch **out) {
  lsp_watch *w = calloc(1, sizeof *w);
  *out = w;
  if (w == NULL)
    return lsp_fail(&ctx->why, LSP_E_MEMORY, "no memory for the watchdog");
  const size_t P = (size_t)ctx->size;
  w->ctx = ctx;
  w->limit = (seconds < SECONDS_MAX ? seconds : SECONDS_MAX) * 1000;
  w->step = w->limit / 20 < 30000 ? w->limit / 20 : 30000;
  w->stride = (ctx->size + JUDGES - 1) / JUDGES;
  w->moved_at = w->seen_at = w->motion.at = ms_of(CLOCK_MONOTONIC);
  w->board.window = MPI_WIN_NULL;
  (void)gethostname(w->mine.host, LSP__HOST_SIZE - 1);
  w->record = calloc(P, sizeof *w->record);
  w->all = calloc(P, sizeof *w->all);
  w->sight = calloc(P, sizeof *w->sight);
  (void)pthread_mutex_init(&w->lock, NULL);
  open_cond(&w->wake);
  if (w->record == NULL || w->all == NULL || w->sight == NULL)
    return lsp_fail(&ctx->why, LSP_E_MEMORY, "no memory for the watchdog");
  return LSP_OK;
}

lsp_status lsp_watch_open(lsp_ctx *ctx, const char *path, int64_t seconds,
                          lsp_watch **out) {
  *out = NULL;
  if (seconds <= 0)
    return LSP_OK;
  LSP_TRY(lsp_agree(ctx, allocate(ctx, seconds, out)));
  lsp_watch *w = *out;
  LSP_ASSERT(w != NULL);
  LSP_TRY(lsp__board_open(ctx, path, ctx->node_size == ctx->size, &w->board));
  return lsp_agree(ctx, start_threads(w));
}

void lsp_watch_forget(const char *path) {
  (void)lsp__board_remove_old(path, NULL);
}

void lsp_watch_close(lsp_watch **watch) {
  lsp_watch *w = *watch;
  if (w == NULL)
    return;
  (void)pthread_mutex_lock(&w->lock);
  w->closing = 1;
  (void)pthread_cond_broadcast(&w->wake);
  (void)pthread_mutex_unlock(&w->lock);
  if (w->threads > 0)
    (void)pthread_join(w->beat, NULL);
  if (w->threads > 1)
    (void)pthread_join(w->judge, NULL);
  lsp__board_close(&w->board);
  (void)pthread_mutex_destroy(&w->lock);
  (void)pthread_cond_destroy(&w->wake);
  free(w->record);
  free(w->all);
  free(w->sight);
  free(w);
  *watch = NULL;
}
