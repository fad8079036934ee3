/* Signals: the first asks, the second ends at once, a blocking read ends. */
#include "harness.h"

#include "lsp/stop.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static void pause_ms(int64_t ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR)
    continue;
}

/* The exit status of a child that listens and then does `what`; its stderr in `said`. */
static int child(int (*what)(void), char said[1024]) {
  int end[2], status = 0;
  assert_int_equal(pipe(end), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    (void)dup2(end[1], STDERR_FILENO);
    (void)close(end[0]);
    (void)close(end[1]);
    lsp_stop_listen(1);
    _exit(what());
  }
  (void)close(end[1]);
  size_t n = 0;
  for (ssize_t got = 1; got > 0 && n < 1023; n += (size_t)(got > 0 ? got : 0))
    got = read(end[0], said + n, 1023 - n);
  said[n] = '\0';
  (void)close(end[0]);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static int usr1_four_times(void) {
  const int before = lsp_stop_asked();
  for (int i = 0; i < 4; i++) {
    (void)kill(getpid(), i % 2 == 0 ? SIGUSR1 : SIGUSR2);
    pause_ms(600);
  }
  return before ? 2 : lsp_stop_asked() ? 0 : 3;
}

static void test_usr1_asks_however_often(void **state) {
  char said[1024];
  (void)state;
  assert_int_equal(child(usr1_four_times, said), 0);
  assert_string_equal(said, "longspan: asked to stop\n");
}

static int term_twice_at_once(void) {
  (void)kill(getpid(), SIGTERM);
  (void)kill(getpid(), SIGINT);
  return lsp_stop_asked() ? 0 : 3;
}

static void test_one_request_may_arrive_twice(void **state) {
  char said[1024];
  (void)state;
  assert_int_equal(child(term_twice_at_once, said), 0);
  assert_string_equal(said, ""); /* it ends before there is need for words */
}

static int term_twice(void) {
  lsp_stop_expect(14.5);
  (void)kill(getpid(), SIGTERM);
  pause_ms(2200);
  (void)kill(getpid(), SIGINT);
  return 3;
}

static void test_the_second_ends_at_once(void **state) {
  char said[1024];
  (void)state;
  assert_int_equal(child(term_twice, said), 75);
  assert_non_null(strstr(said, "finishing the wave, about 1"));
  assert_non_null(strstr(said, "ended at once by a second signal"));
}

static int term_while_waiting(void) {
  int end[2];
  if (pipe(end) != 0)
    return 3;
  if (fork() == 0) {
    pause_ms(100);
    (void)kill(getppid(), SIGTERM);
    pause_ms(200);
    _exit(write(end[1], "x", 1) == 1 ? 0 : 1);
  }
  return lsp_stop_or_readable(end[0]) == 0 ? 0 : 3;
}

static int byte_comes(void) {
  int end[2];
  if (pipe(end) != 0 || write(end[1], "x", 1) != 1)
    return 3;
  return lsp_stop_or_readable(end[0]) == 1 ? 0 : 3;
}

static int term_before_waiting(void) {
  int end[2];
  (void)kill(getpid(), SIGTERM);
  return pipe(end) == 0 && lsp_stop_or_readable(end[0]) == 0 ? 0 : 3;
}

static void test_waiting_ends(void **state) {
  char said[1024];
  (void)state;
  assert_int_equal(child(term_while_waiting, said), 0);
  assert_int_equal(child(byte_comes, said), 0);
  assert_int_equal(child(term_before_waiting, said), 0);
}

static int nobody_reads(void) {
  int end[2];
  if (pipe(end) != 0 || close(end[0]) != 0)
    return 3;
  return write(end[1], "x", 1) < 0 && errno == EPIPE ? 0 : 3;
}

static void test_a_closed_pipe_is_an_error(void **state) {
  char said[1024];
  (void)state;
  assert_int_equal(child(nobody_reads, said), 0);
}

LSP_TESTS(cmocka_unit_test(test_usr1_asks_however_often),
          cmocka_unit_test(test_one_request_may_arrive_twice),
          cmocka_unit_test(test_the_second_ends_at_once),
          cmocka_unit_test(test_waiting_ends),
          cmocka_unit_test(test_a_closed_pipe_is_an_error))
