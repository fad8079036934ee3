/* Sizes of a run: the waves that are chosen, and what they take. */
#include "harness.h"
#include "random.h"

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
    const lsp_request request = {-1, -1, ranks, 1, 0};
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
    const lsp_sizes s =
        chosen(&c, (int64_t)1 << 40, (lsp_request){-1, memory, 8, 2, 0});
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
  lsp_request request = {-1, 30 * mib, 2, 1, 0};
  assert_int_equal(lsp_sizes_choose(&c, &plan, &request, &s, &why), LSP_E_MEMORY);
  expect_message(&why, "--memory 30M");
  expect_message(&why, "or more");
  request = (lsp_request){1 << 20, 100 * mib, 2, 1, 0};
  assert_int_equal(lsp_sizes_choose(&c, &plan, &request, &s, &why), LSP_E_MEMORY);
  expect_message(&why, "--wave-tokens");
  lsp_plan_close(&plan);
}

static void test_a_long_reach_gets_the_memory_it_needs(void **state) {
  (void)state;
  lsp_txl_config c = model();
  c.mem_len = 1 << 17;
  const lsp_sizes s = chosen(&c, (int64_t)1 << 40, (lsp_request){-1, -1, 4, 1, 0});
  assert_true(lsp_sizes_rank(&s) > LSP_MEMORY_DEFAULT);
  assert_true(s.wave_rows / 4 >= c.mem_len);
}

static void test_a_wave_beyond_all_limits_is_refused(void **state) {
  (void)state;
  const lsp_txl_config c = model();
  lsp_plan plan = plan_of(&c, (int64_t)1 << 50);
  lsp_sizes s;
  lsp_failure why = {0};
  const lsp_request request = {(int64_t)1 << 50, -1, 1, 1, 0};
  assert_int_equal(lsp_sizes_choose(&c, &plan, &request, &s, &why), LSP_E_LIMIT);
  lsp_plan_close(&plan);
}

/* ---- What ranks lend each other */

typedef struct {
  int rank;
  int64_t tile;
  lsp_sent now;
} counted;

static void count(const lsp_loan *loan, void *arg) {
  counted *c = arg;
  if (loan->peer == c->rank)
    return;
  c->now.messages++;
  c->now.bytes += (loan->end - loan->first) * c->tile * 4;
}

static int64_t most(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* Every wave and every rank, one by one. */
static lsp_lending walked(const lsp_txl_config *c, const lsp_plan *plan,
                          int64_t wave_rows, int ranks) {
  lsp_lending all = {.exact = 1};
  lsp_sent sum[80] = {{0, 0}};
  const int64_t panels = lsp_plan_panels(plan);
  for (int64_t panel = 0; panel < panels; all.waves++) {
    const lsp_range wave = lsp_plan_wave(plan, panel, wave_rows);
    int64_t idle = 0;
    for (int rank = 0; rank < ranks; rank++) {
      const lsp_range span = lsp_plan_span(plan, wave, rank, ranks);
      counted one = {rank, lsp_tile_floats(lsp_sizes_heads(c)), {0, 0}};
      lsp_plan_lent(plan, wave, rank, ranks, count, &one);
      idle += span.first == span.end;
      all.wave.messages = most(all.wave.messages, one.now.messages);
      all.wave.bytes = most(all.wave.bytes, one.now.bytes);
      sum[rank].messages += c->n_layer * one.now.messages;
      sum[rank].bytes += c->n_layer * one.now.bytes;
    }
    all.idle = most(all.idle, idle);
    panel = wave.end;
  }
  for (int rank = 0; rank < ranks; rank++) {
    all.rank.messages = most(all.rank.messages, sum[rank].messages);
    all.rank.bytes = most(all.rank.bytes, sum[rank].bytes);
  }
  return all;
}

static void check_lending(const lsp_txl_config *c, int64_t tokens, int64_t wave_rows,
                          int ranks) {
  lsp_plan plan = plan_of(c, tokens);
  lsp_lending plain = walked(c, &plan, wave_rows, ranks), exact, bound;
  lsp_failure why = {0};
  assert_int_equal(lsp_sizes_lending(c, &plan, wave_rows, ranks, 1 << 20, &exact, &why),
                   LSP_OK);
  assert_int_equal(lsp_sizes_lending(c, &plan, wave_rows, ranks, 0, &bound, &why),
                   LSP_OK);
  assert_memory_equal(&plain, &exact, sizeof plain);
  assert_int_equal(bound.waves, plain.waves);
  assert_false(bound.exact);
  assert_true(bound.wave.messages >= plain.wave.messages);
  assert_true(bound.wave.bytes >= plain.wave.bytes);
  assert_true(bound.rank.messages >= plain.rank.messages);
  assert_true(bound.rank.bytes >= plain.rank.bytes);
  lsp_plan_close(&plan);
}

static void test_lending_is_that_of_every_wave_and_rank_or_a_bound(void **state) {
  (void)state;
  static const int ranks[] = {1, 2, 3, 4, 7, 8, 33, 80};
  lsp_random random = {5};
  for (int i = 0; i < 600; i++) {
    lsp_txl_config c = model();
    c.mem_len = lsp_random_in(&random, 0, i % 3 == 0 ? 3000 : 700);
    c.tgt_len = lsp_random_in(&random, 1, 300);
    c.n_layer = (int)lsp_random_in(&random, 1, 3);
    const int64_t tokens = lsp_random_in(&random, 1, i % 2 == 0 ? 3000 : 100000);
    const int64_t wave = lsp_random_in(&random, LSP_PANEL, i % 4 == 0 ? 40000 : 4000);
    check_lending(&c, tokens, wave, ranks[lsp_random_in(&random, 0, 7)]);
  }
}

static void test_lending_of_any_length_can_be_counted(void **state) {
  (void)state;
  const lsp_txl_config c = model();
  lsp_plan plan = plan_of(&c, (int64_t)1 << 50);
  lsp_lending lending;
  lsp_failure why = {0};
  for (int64_t ranks = 1; ranks <= 1 << 24; ranks *= 8)
    for (int64_t wave = LSP_PANEL; wave <= (int64_t)1 << 50; wave *= 1024) {
      assert_int_equal(
          lsp_sizes_lending(&c, &plan, wave, ranks, 1 << 12, &lending, &why), LSP_OK);
      assert_true(lending.waves > 0 && lending.rank.messages >= 0 &&
                  lending.rank.bytes >= lending.wave.bytes);
    }
  lsp_plan_close(&plan);
}

LSP_TESTS(cmocka_unit_test(test_default_waves_fill_the_default_memory),
          cmocka_unit_test(test_memory_is_never_exceeded_and_nearly_used),
          cmocka_unit_test(test_too_little_memory_is_refused_with_the_figures),
          cmocka_unit_test(test_a_long_reach_gets_the_memory_it_needs),
          cmocka_unit_test(test_a_wave_beyond_all_limits_is_refused),
          cmocka_unit_test(test_lending_is_that_of_every_wave_and_rank_or_a_bound),
          cmocka_unit_test(test_lending_of_any_length_can_be_counted))
