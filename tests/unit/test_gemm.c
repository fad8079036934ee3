/* The dense products: right, and a row's bits its own affair. */
#include "harness.h"
#include "random.h"

#include "lsp/gemm.h"
#include "lsp/kernels.h"

#include <float.h>
#include <math.h>
#include <strings.h>
#include <sys/wait.h>

static float *some(lsp_random *random, int64_t n) {
  float *x = malloc((size_t)n * sizeof *x);
  assert_non_null(x);
  lsp_random_floats(random, n, x, 1);
  return x;
}

static int opens(void **state) {
  (void)state;
  lsp_failure why = {0};
  if (lsp_blas_open(NULL, &why) == LSP_OK)
    return 0;
  print_error("%s\n", why.text);
  return 1;
}

/* 0 if the library runs the core, or says that it does not. */
static int runs_or_refuses(const char *core) {
  lsp_failure why = {0};
  const lsp_status st = lsp_blas_open(core, &why);
  if (st == LSP_OK)
    return strcasecmp(lsp_blas_core(), core) != 0;
  return st != LSP_E_MISMATCH || strstr(why.text, core) == NULL;
}

/* In a child: the library is opened once a process. */
static void test_library_runs_the_core_that_was_asked_for_or_refuses(void **state) {
  (void)state;
  const char *core[] = {lsp_blas_core_for((int)lsp_isa_here()), "Prescott",
                        "no such core"};
  for (int i = 0; i < 3; i++) {
    int status = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
      _exit(runs_or_refuses(core[i]));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
}

static void test_core_is_known_by_its_vectors(void **state) {
  (void)state;
  static const struct {
    const char *core;
    int isa;
  } known[] = {{"SkylakeX", LSP_ISA_AVX512},  {"COOPERLAKE", LSP_ISA_AVX512},
               {"Haswell", LSP_ISA_AVX2},     {"haswell", LSP_ISA_AVX2},
               {"Zen", LSP_ISA_AVX2},         {"Sandybridge", LSP_ISA_PLAIN},
               {"Prescott", LSP_ISA_PLAIN},   {"fixed", LSP_ISA_COUNT},
               {"neoversen1", LSP_ISA_COUNT}, {"", LSP_ISA_COUNT},
               {"has", LSP_ISA_COUNT}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    assert_int_equal(lsp_blas_core_isa(known[i].core), known[i].isa);
  for (int isa = 0; isa < LSP_ISA_COUNT; isa++)
    assert_int_equal(lsp_blas_core_isa(lsp_blas_core_for(isa)), isa);
}

static void test_library_and_processor_have_names(void **state) {
  (void)state;
  char name[LSP_BLAS_NAME_SIZE];
  assert_int_equal(opens(NULL), 0); /* once more is nothing */
  assert_true(strlen(lsp_blas_core()) > 0 && strlen(lsp_blas_description()) > 0);
  lsp_processor_name(name);
  assert_non_null(strstr(name, lsp_isa_name(lsp_isa_here())));
}

/* A sum of k products in any order: k roundings of what is no larger than the sum
 * without signs. */
static void check(int64_t m, int64_t n, int64_t k, const float *a, const float *b,
                  const float *c, int turned) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = 0, size = 0;
      for (int64_t e = 0; e < k; e++) {
        const double x =
            (double)a[i * k + e] * (double)(turned ? b[j * k + e] : b[e * n + j]);
        sum += x;
        size += fabs(x);
      }
      const double off = fabs((double)c[i * n + j] - sum);
      if (!(off <= (double)(k + 2) * FLT_EPSILON / 2 * size))
        fail_msg("m %lld n %lld k %lld: element %lld %lld off by %g", (long long)m,
                 (long long)n, (long long)k, (long long)i, (long long)j, off);
    }
}

static void test_products_are_right_for_random_sizes(void **state) {
  (void)state;
  lsp_random random = {1};
  for (int round = 0; round < 60; round++) {
    const int64_t m = round % 3 ? 64 : lsp_random_in(&random, 1, 256);
    const int64_t n = lsp_random_in(&random, 1, 130),
                  k = lsp_random_in(&random, 1, 150);
    float *a = some(&random, m * k), *b = some(&random, n * k);
    float *c = some(&random, m * n);
    lsp_gemm(m, n, k, a, b, c); /* what was in c is of no account */
    check(m, n, k, a, b, c, 1);
    for (int64_t i = 0; i < m * n; i++)
      c[i] = NAN;
    lsp_gemm_plain(m, n, k, a, b, c);
    check(m, n, k, a, b, c, 0);
    free(a);
    free(b);
    free(c);
  }
}

/* The rows of a panel that hold no token may hold anything, even NaN. */
static void test_bits_of_a_row_do_not_depend_on_other_rows(void **state) {
  (void)state;
  lsp_random random = {2};
  static const int64_t rows[] = {64, 128, 256};
  for (int round = 0; round < 24; round++) {
    const int64_t m = rows[round % 3], n = lsp_random_in(&random, 1, 300);
    const int64_t k = lsp_random_in(&random, 1, 300);
    float *a = some(&random, m * k), *b = some(&random, n * k);
    float *c = some(&random, m * n), *d = some(&random, m * n);
    const int64_t row = lsp_random_in(&random, 0, m - 1);
    for (int turned = 0; turned < 2; turned++) {
      for (int other = 0; other < 2; other++) {
        float *out = other ? d : c;
        if (turned)
          lsp_gemm(m, n, k, a, b, out);
        else
          lsp_gemm_plain(m, n, k, a, b, out);
        for (int64_t i = 0; i < m * k && !other; i++)
          if (i / k != row)
            a[i] = round % 2 ? NAN : lsp_random_float(&random, 1e6f);
      }
      assert_memory_equal(c + row * n, d + row * n, (size_t)n * sizeof *c);
    }
    free(a);
    free(b);
    free(c);
    free(d);
  }
}

static void test_cores_rise_with_the_extensions(void **state) {
  (void)state;
  assert_string_equal(lsp_blas_core_for(LSP_ISA_PLAIN), "Prescott");
  assert_string_equal(lsp_blas_core_for(LSP_ISA_AVX2), "Haswell");
  assert_string_equal(lsp_blas_core_for(LSP_ISA_AVX512), "SkylakeX");
}

LSP_TESTS(cmocka_unit_test(test_library_runs_the_core_that_was_asked_for_or_refuses),
          cmocka_unit_test(test_core_is_known_by_its_vectors),
          cmocka_unit_test_setup(test_library_and_processor_have_names, opens),
          cmocka_unit_test_setup(test_products_are_right_for_random_sizes, opens),
          cmocka_unit_test_setup(test_bits_of_a_row_do_not_depend_on_other_rows, opens),
          cmocka_unit_test(test_cores_rise_with_the_extensions))
