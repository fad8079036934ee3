/* The watchdog where ranks see each other by a file, as on several hosts. */
#include "harness.h"

#include "lsp/watch.h"

#include <time.h>

/* As if every rank were alone on its host. */
static lsp_ctx on_hosts_of_their_own(void **state) {
  lsp_ctx apart = *(lsp_ctx *)*state;
  apart.node_size = 0;
  return apart;
}

static void in_folder(char path[LSP_TEST_PATH], const char *name) {
  (void)snprintf(path, LSP_TEST_PATH, "%s/%s", lsp_test_folder(), name);
}

static void compute_for(double seconds) {
  const double begin = MPI_Wtime();
  while (MPI_Wtime() - begin < seconds)
    continue;
}

/* The last rank computes for longer than the watchdog's time, without a word; the
 * others wait for it. */
static void test_a_rank_that_computes_long_is_not_ended(void **state) {
  lsp_ctx apart = on_hosts_of_their_own(state);
  char path[LSP_TEST_PATH];
  lsp_watch *watch = NULL;
  in_folder(path, "o.h5.alive");
  assert_everywhere(*state, lsp_watch_open(&apart, path, 1, &watch) == LSP_OK);
  assert_everywhere(*state, access(path, F_OK) == 0);
  if (apart.rank == apart.size - 1)
    compute_for(1.7);
  LSP_MPI(MPI_Barrier(apart.comm));
  lsp_watch_close(&watch);
  assert_everywhere(*state, watch == NULL);
  LSP_MPI(MPI_Barrier(apart.comm));
  assert_everywhere(*state, access(path, F_OK) != 0);
}

static void test_waiting_for_someone_outside_is_excused(void **state) {
  lsp_ctx *ctx = *state;
  lsp_watch *watch = NULL;
  const struct timespec pause = {1, 700000000};
  assert_everywhere(*state, lsp_watch_open(ctx, "unused", 1, &watch) == LSP_OK);
  if (ctx->rank == 0) {
    lsp_beat_excuse(1);
    (void)nanosleep(&pause, NULL);
    lsp_beat_excuse(0);
  }
  LSP_MPI(MPI_Barrier(ctx->comm));
  lsp_watch_close(&watch);
}

static void put_file(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  (void)fputs(text, f);
  assert_int_equal(fclose(f), 0);
}

static void test_a_file_of_ours_is_replaced_and_no_other(void **state) {
  lsp_ctx apart = on_hosts_of_their_own(state);
  char path[LSP_TEST_PATH], other[LSP_TEST_PATH];
  lsp_watch *watch = NULL;
  in_folder(path, "p.h5.alive");
  (void)snprintf(other, sizeof other, "%.*s.other", LSP_TEST_PATH - 8, path);
  if (apart.rank == 0)
    put_file(path, "LSPALIVE, and more");
  LSP_MPI(MPI_Barrier(apart.comm));
  assert_everywhere(*state, lsp_watch_open(&apart, path, 60, &watch) == LSP_OK);
  lsp_watch_close(&watch);
  if (apart.rank == 0) {
    put_file(other, "LSPALIVE");
    assert_int_equal(symlink(other, path), 0);
  }
  LSP_MPI(MPI_Barrier(apart.comm));
  assert_everywhere(*state, lsp_watch_open(&apart, path, 60, &watch) == LSP_E_IO);
  expect_message(&apart.why, "another file has its name");
  lsp_watch_close(&watch);
  assert_everywhere(*state, access(path, F_OK) == 0 && access(other, F_OK) == 0);
}

LSP_TESTS(cmocka_unit_test(test_a_rank_that_computes_long_is_not_ended),
          cmocka_unit_test(test_waiting_for_someone_outside_is_excused),
          cmocka_unit_test(test_a_file_of_ours_is_replaced_and_no_other))
