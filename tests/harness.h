/* The one header of every test: cmocka, the way to main(), and asserts for many ranks.
 *
 *   #include "harness.h"
 *   static void test_that_one_and_one_is_two(void **state) { ... }
 *   LSP_TESTS(cmocka_unit_test(test_that_one_and_one_is_two))     no semicolon
 *
 * Compiled with LSP_TEST_MPI (folders mpi and golden) every rank runs every test, and
 * *state is the lsp_ctx of all ranks. There, a failed assert_everywhere is a failure on
 * all ranks and the next test follows; a plain assert that fails on one rank ends the
 * job at once (CMOCKA_TEST_ABORT), because the other ranks would wait for it.
 *
 * Public domain. */
#ifndef LSP_TESTS_HARNESS_H
#define LSP_TESTS_HARNESS_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "lsp/status.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef LSP_TEST_MPI
#include "lsp/ctx.h"
static lsp_ctx lsp_test_ctx; /* what *state points to */
#endif

enum { LSP_TEST_FOLDERS = 256, LSP_TEST_PATH = 512 };

static char lsp_test_folder_path[LSP_TEST_FOLDERS][LSP_TEST_PATH];
static int lsp_test_folders;
static pid_t lsp_test_pid; /* a forked child that exits removes nothing */

/* Local. The message of a failure holds the words. */
#define expect_message(why, words) lsp_test_message((why), (words), __FILE__, __LINE__)

static inline void lsp_test_message(const lsp_failure *why, const char *words,
                                    const char *file, int line) {
  if (strstr(why->text, words) != NULL)
    return;
  print_error("message: \"%s\"\nexpected in it: \"%s\"\n", why->text, words);
  _fail(file, line);
}

static inline int lsp_test_remove(const char *path, const struct stat *s, int type,
                                  struct FTW *at) {
  (void)s, (void)at;
  if (type == FTW_DNR || type == FTW_DP)
    return rmdir(path), 0;
  return unlink(path), 0;
}

static inline void lsp_test_remove_folders(void) {
  if (getpid() != lsp_test_pid)
    return;
  for (int i = 0; i < lsp_test_folders; i++)
    (void)nftw(lsp_test_folder_path[i], lsp_test_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Local. 0 if there is no folder to be had. */
static inline int lsp_test_make_folder(char *path) {
  const char *parent = getenv("TMPDIR");
  if (parent == NULL || parent[0] == '\0')
    parent = "/tmp";
  const int n = snprintf(path, LSP_TEST_PATH, "%s/longspan-test-XXXXXX", parent);
  return n > 0 && n < LSP_TEST_PATH && mkdtemp(path) != NULL;
}

/* Collective (local in a test without MPI). A new, empty folder, the same on all ranks,
 * removed with its contents at exit. Owned by the harness, good until then. */
static inline const char *lsp_test_folder(void) {
  if (lsp_test_folders == LSP_TEST_FOLDERS)
    fail_msg("%d folders in one test program", LSP_TEST_FOLDERS);
  char *path = lsp_test_folder_path[lsp_test_folders];
  int maker = 1, made = 1;
#ifdef LSP_TEST_MPI
  maker = lsp_test_ctx.rank == 0;
#endif
  if (maker)
    made = lsp_test_make_folder(path);
#ifdef LSP_TEST_MPI
  LSP_MPI(MPI_Bcast(&made, 1, MPI_INT, 0, lsp_test_ctx.comm));
  LSP_MPI(MPI_Bcast(path, LSP_TEST_PATH, MPI_CHAR, 0, lsp_test_ctx.comm));
#endif
  if (!made)
    fail_msg("no folder at %s", path);
  if (maker && lsp_test_folders == 0) {
    lsp_test_pid = getpid();
    (void)atexit(lsp_test_remove_folders);
  }
  lsp_test_folders++;
  return path;
}

#ifdef LSP_TEST_MPI

/* Collective. Fails on every rank or on none. The condition is local and is evaluated
 * once on each rank. */
#define assert_everywhere(ctx, condition)                                              \
  lsp_test_everywhere((ctx), (condition) ? 1 : 0, #condition, __FILE__, __LINE__)

static inline void lsp_test_everywhere(lsp_ctx *ctx, int holds, const char *condition,
                                       const char *file, int line) {
  int all = 0;
  LSP_MPI(MPI_Allreduce(&holds, &all, 1, MPI_INT, MPI_MIN, ctx->comm));
  if (all)
    return;
  int *each = calloc((size_t)ctx->size, sizeof *each);
  LSP_ASSERT(each != NULL);
  LSP_MPI(MPI_Allgather(&holds, 1, MPI_INT, each, 1, MPI_INT, ctx->comm));
  if (ctx->rank == 0) {
    print_error("%s:%d: false on these of %d ranks:", file, line, ctx->size);
    for (int r = 0; r < ctx->size; r++)
      if (!each[r])
        print_error(" %d", r);
    print_error("\n%s\n", condition);
  }
  free(each);
  (void)unsetenv("CMOCKA_TEST_ABORT"); /* all ranks are here: no need of the net */
  _fail(file, line);
}

/* Before every test: the net is up, and all ranks begin together. */
static inline int lsp_test_begin(void **state) {
  *state = &lsp_test_ctx;
  return setenv("CMOCKA_TEST_ABORT", "1", 1) != 0 ||
         MPI_Barrier(lsp_test_ctx.comm) != MPI_SUCCESS;
}

/* Rank 0 tells what passes; what fails goes to stderr on every rank. */
static inline int lsp_test_main(const char *name, struct CMUnitTest *tests, size_t n) {
  int provided = 0, failed, most = 0;
  LSP_MPI(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided));
  LSP_ASSERT(provided >= MPI_THREAD_FUNNELED);
  lsp_ctx_open(&lsp_test_ctx, MPI_COMM_WORLD);
  if (lsp_test_ctx.rank != 0)
    LSP_ASSERT(freopen("/dev/null", "w", stdout) != NULL);
  for (size_t i = 0; i < n; i++)
    if (tests[i].setup_func == NULL)
      tests[i].setup_func = lsp_test_begin;
  failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
  LSP_MPI(MPI_Allreduce(&failed, &most, 1, MPI_INT, MPI_MAX, lsp_test_ctx.comm));
  lsp_ctx_close(&lsp_test_ctx);
  LSP_MPI(MPI_Finalize());
  return most != 0;
}

#else

static inline int lsp_test_main(const char *name, struct CMUnitTest *tests, size_t n) {
  return _cmocka_run_group_tests(name, tests, n, NULL, NULL) != 0;
}

#endif

#define LSP_TESTS(...)                                                                 \
  int main(void) {                                                                     \
    struct CMUnitTest tests[] = {__VA_ARGS__};                                         \
    return lsp_test_main(__FILE__, tests, sizeof tests / sizeof tests[0]);             \
  }

#endif
