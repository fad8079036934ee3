/* The signals of a run.
 *
 * What must hold: a handler does only what POSIX allows in one: lock-free atomics,
 * clock_gettime, write, pthread_kill, _exit. MPI has threads of its own, and the kernel
 * may hand a signal to any of them: such a thread notes it and passes it on to the main
 * thread, whose blocking call then ends.
 *
 * The state below is that of the process, as its signal handlers are. */
#include "lsp/stop.h"

#include "lsp/beat.h"
#include "lsp/status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* One Ctrl-C may arrive twice, from the terminal and from the launcher: what comes
 * within half a second of the first is the same request. */
enum { SAME_REQUEST_MS = 500, LINE_SIZE = 256 };

/* A launcher that ends its ranks sends TERM and, a second later, KILL. Words about a
 * commit to come would be misleading then, so they come later still. */
enum { SAY_AFTER_S = 2 };

static struct {
  pthread_t main_thread;
  int listens;
  int wake[2];        /* a pipe; the byte in it is never taken out */
  atomic_int speaks;  /* says what was asked */
  atomic_int speaker; /* says that it ends at once */
  atomic_int asked;
  atomic_int passed_on;     /* signals on their way to the main thread, noted already */
  _Atomic int64_t first_ms; /* of the first TERM or INT; 0: none yet */
  _Atomic int64_t until_ms; /* when the work under way ends; 0: not known */
  _Atomic int64_t deadline_ms; /* from then on the process counts as asked; 0: none */
} stop = {.wake = {-1, -1}};

/* Never 0. */
static int64_t now_ms(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + 1;
}

/* --- in the handler -------------------------------------------------------------- */

static size_t put_text(char *line, size_t at, const char *text) {
  while (*text != '\0' && at < LINE_SIZE)
    line[at++] = *text++;
  return at;
}

static size_t put_number(char *line, size_t at, int64_t n) {
  char digit[24];
  size_t count = 0;
  do
    digit[count++] = (char)('0' + n % 10);
  while ((n /= 10) > 0);
  while (count > 0 && at < LINE_SIZE)
    line[at++] = digit[--count];
  return at;
}

static void say(const char *line, size_t bytes) {
  const ssize_t ignored = write(STDERR_FILENO, line, bytes);
  (void)ignored;
}

static void on_alarm(int number) {
  (void)number;
  const int error = errno;
  char line[LINE_SIZE];
  const int64_t left = atomic_load(&stop.until_ms) - now_ms();
  size_t n = put_text(line, 0, "longspan: asked to stop");
  if (left > 0) {
    n = put_text(line, n, ": finishing the wave, about ");
    n = put_number(line, n, (left + 999) / 1000);
    n = put_text(line, n, " s");
  }
  if (atomic_load(&stop.first_ms) != 0)
    n = put_text(line, n, "; a second TERM or INT ends at once, the last commit kept");
  n = put_text(line, n, "\n");
  if (atomic_load(&stop.speaks))
    say(line, n);
  errno = error;
}

static void end_at_once(void) {
  static const char line[] =
      "longspan: ended at once by a second signal; what was committed is kept; to "
      "resume, run the same command with --resume\n";
  if (atomic_load(&stop.speaker))
    say(line, sizeof line - 1);
  _exit(lsp_exit_status(LSP_E_STOPPED));
}

/* 1: another request than the first. */
static int is_second(int64_t now) {
  int64_t none = 0;
  if (atomic_compare_exchange_strong(&stop.first_ms, &none, now))
    return 0;
  return now - none >= SAME_REQUEST_MS;
}

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)context;
  const int error = errno;
  const int ending = number == SIGTERM || number == SIGINT;
  if (info->si_code == SI_TKILL && atomic_load(&stop.passed_on) > 0) {
    atomic_store(&stop.passed_on, 0); /* several at once arrive as one */
    return;
  }
  if (ending && is_second(now_ms()))
    end_at_once();
  if (!atomic_exchange(&stop.asked, 1)) {
    const ssize_t ignored = write(stop.wake[1], "", 1);
    (void)ignored;
    if (atomic_load(&stop.speaks))
      (void)alarm(SAY_AFTER_S);
  }
  if (!pthread_equal(pthread_self(), stop.main_thread)) {
    atomic_store(&stop.passed_on, 1);
    (void)pthread_kill(stop.main_thread, number);
  }
  errno = error;
}

/* --- outside of it --------------------------------------------------------------- */

void lsp_stop_listen(int speaks) {
  static const int stopping[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT};
  struct sigaction action;
  stop.main_thread = pthread_self();
  atomic_store(&stop.speaks, speaks);
  atomic_store(&stop.speaker, speaks);
  if (pipe2(stop.wake, O_CLOEXEC | O_NONBLOCK) != 0)
    stop.wake[0] = stop.wake[1] = -1;
  memset(&action, 0, sizeof action);
  (void)sigemptyset(&action.sa_mask);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO; /* no SA_RESTART */
  for (size_t i = 0; i < sizeof stopping / sizeof stopping[0]; i++)
    (void)sigaction(stopping[i], &action, NULL);
  memset(&action, 0, sizeof action);
  (void)sigemptyset(&action.sa_mask);
  action.sa_handler = on_alarm;
  action.sa_flags = SA_RESTART;
  (void)sigaction(SIGALRM, &action, NULL);
  (void)signal(SIGPIPE, SIG_IGN);
  (void)signal(SIGXFSZ, SIG_IGN);
  stop.listens = 1;
}

void lsp_stop_hush(void) {
  atomic_store(&stop.speaks, 0);
}

/* Until the deadline; -1: there is none. */
static int64_t ms_left(void) {
  const int64_t deadline =
      atomic_load_explicit(&stop.deadline_ms, memory_order_relaxed);
  if (deadline == 0)
    return -1;
  const int64_t now = now_ms();
  return now < deadline ? deadline - now : 0;
}

void lsp_stop_after(int64_t seconds) {
  atomic_store(&stop.deadline_ms,
               seconds > 0 && seconds < INT32_MAX ? now_ms() + 1000 * seconds : 0);
}

int lsp_stop_asked(void) {
  lsp_beat();
  return atomic_load_explicit(&stop.asked, memory_order_relaxed) || ms_left() == 0;
}

int lsp_stop_or_readable(int fd) {
  struct pollfd on[2] = {{.fd = fd, .events = POLLIN},
                         {.fd = stop.listens ? stop.wake[0] : -1, .events = POLLIN}};
  while (!lsp_stop_asked()) {
    lsp_beat_excuse(1);
    const int64_t left = ms_left();
    const int ready = poll(on, 2, left < INT32_MAX ? (int)left : -1);
    lsp_beat_excuse(0);
    if (ready < 0 && errno != EINTR)
      return 1; /* the read will say what is wrong */
    if (ready > 0 && on[0].revents != 0 && on[1].revents == 0)
      return 1;
  }
  return 0;
}

void lsp_stop_expect(double seconds) {
  const int known = seconds >= 0 && seconds < 1e9;
  atomic_store(&stop.until_ms, known ? now_ms() + (int64_t)(1e3 * seconds) : 0);
}
