/* Sizes of a run: the waves that are chosen, and what they take. */
#include "harness.h"

#include "lsp/sizes.h"

static const int64_t mib = 1 << 20;

static lsp_txl_config model(void) {
  const lsp_txl_config c = {.vocab_size = 256,
                            .d_model = 256,
                            .d_embed = 256,
                            .n_head = 4,
                            .d_head = 64,
                            .d_inner = 1024,
                            .n_layer = 4,
                            .div_val = 1,
                            .mem_len = 512,
                            .tgt_len = 128,
                            .clusters = 1,
                            .cut = {0, 256}};
  return c;
}

static lsp_plan plan_of(const lsp_txl_config *c, int64_t tokens) {
  lsp_plan plan;
  lsp_failure why = {0};
  const lsp_pattern pattern = lsp_sizes_pattern(c, 1);
  assert_int_equal(lsp_plan_open(&plan, 1, &tokens, 0, &pattern, &why), LSP_OK);
  return plan;
}

static lsp_sizes chosen(const lsp_txl_config *c, int64_t tokens, lsp_request request) {
  lsp_plan plan = plan_of(c, tokens);
  lsp_sizes s;
  lsp_failure why = {0};
  assert_int_equal(lsp_sizes_choose(c, &plan, &request, &s, &why), LSP_OK);
  lsp_plan_close(&plan);
  return s;
}

static void test_default_waves_fill_the_default_memory(void **state) {
  (void)state;
  const lsp_txl_config c = model();
  for (int64_t ranks = 1; ranks <= 1 << 24; ranks *= 64) {
    const lsp_request request = {-1, -1, ranks, 1};
    const lsp_sizes s = chosen(&c, (int64_t)1 << 50, request);
    lsp_plan plan = plan_of(&c, (int64_t)1 << 50);
    const lsp_sizes more =
        lsp_sizes_of(&c, &plan, &request, s.wave_rows + LSP_PANEL * ranks);
    assert_int_equal(s.wave_rows % (LSP_PANEL * ranks), 0);
    assert_true(lsp_sizes_rank(&s) <= LSP_MEMORY_DEFAULT ||
                s.wave_rows / ranks <=
                    2 * lsp_pattern_reach(&plan.pattern) + LSP_PANEL);
    assert_true(lsp_sizes_rank(&more) > LSP_MEMORY_DEFAULT);
    lsp_plan_close(&plan);
  }
}

static void test_memory_is_never_exceeded_and_nearly_used(void **state) {
  (void)state;
  const lsp_txl_config c = model();
  for (int64_t memory = 64 * mib; memory < 512 * mib; memory += 17 * mib + 123) {
    const lsp_sizes s = chosen(&c, (int64_t)1 << 40, (lsp_request){-1, memory, 8, 2});
    assert_true(lsp_sizes_rank(&s) <= memory);
    assert_true(lsp_sizes_rank(&s) > memory - 3 * mib);
  }
}

static void test_too_little_memory_is_refused_with_the_figures(void **state) {
  (void)state;
  const lsp_txl_config c = model();
  lsp_plan plan = plan_of(&c, 1 << 20);
  lsp_sizes s;
  lsp_failure why = {0};
  lsp_request request = {-1, 30 * mib, 2, 1};
  assert_int_equal(lsp_sizes_choose(&c, &plan, &request, &s, &why), LSP_E_MEMORY);
  expect_message(&why, "--memory 30M");
  expect_message(&why, "or more");
  request = (lsp_request){1 << 20, 100 * mib, 2, 1};
  assert_int_equal(lsp_sizes_choose(&c, &plan, &request, &s, &why), LSP_E_MEMORY);
  expect_message(&why, "--wave-tokens");
  lsp_plan_close(&plan);
}

static void test_a_long_reach_gets_the_memory_it_needs(void **state) {
  (void)state;
  lsp_txl_config c = model();
  c.mem_len = 1 << 17;
  const lsp_sizes s = chosen(&c, (int64_t)1 << 40, (lsp_request){-1, -1, 4, 1});
  assert_true(lsp_sizes_rank(&s) > LSP_MEMORY_DEFAULT);
  assert_true(s.wave_rows / 4 >= c.mem_len);
}

static void test_a_wave_beyond_all_limits_is_refused(void **state) {
  (void)state;
  const lsp_txl_config c = model();
  lsp_plan plan = plan_of(&c, (int64_t)1 << 50);
  lsp_sizes s;
  lsp_failure why = {0};
  const lsp_request request = {(int64_t)1 << 50, -1, 1, 1};
  assert_int_equal(lsp_sizes_choose(&c, &plan, &request, &s, &why), LSP_E_LIMIT);
  lsp_plan_close(&plan);
}

LSP_TESTS(cmocka_unit_test(test_default_waves_fill_the_default_memory),
          cmocka_unit_test(test_memory_is_never_exceeded_and_nearly_used),
          cmocka_unit_test(test_too_little_memory_is_refused_with_the_figures),
          cmocka_unit_test(test_a_long_reach_gets_the_memory_it_needs),
          cmocka_unit_test(test_a_wave_beyond_all_limits_is_refused))
