/* The small parts that picking is made of: the best few, sets of keys, the owner of a
 * tile. */
#include "harness.h"
#include "random.h"

#include "lsp/plan.h"

#include "../../src/engine/picking.h"

#include <math.h>

/* --- the best -------------------------------------------------------------------- */

static void offer_all(lsp_best *best, const float *score, int n) {
  for (int i = 0; i < n; i++)
    lsp_best_offer(best, score[i], 10 + i);
}

static void test_the_best_are_listed_in_rising_order(void **state) {
  (void)state;
  const float score[] = {1, 5, -2, 7, 3};
  int32_t list[3];
  lsp_best best = {.most = 3};
  offer_all(&best, score, 5);
  lsp_best_list(&best, list);
  assert_int_equal(list[0], 11);
  assert_int_equal(list[1], 13);
  assert_int_equal(list[2], 14);
}

static void test_of_equal_scores_the_lower_block_is_taken(void **state) {
  (void)state;
  const float score[] = {2, 4, 2, 4, 2};
  int32_t list[3];
  lsp_best best = {.most = 3};
  offer_all(&best, score, 5);
  lsp_best_list(&best, list);
  assert_int_equal(list[0], 10);
  assert_int_equal(list[1], 11);
  assert_int_equal(list[2], 13);
}

static void test_nan_comes_after_everything(void **state) {
  (void)state;
  const float score[] = {NAN, -INFINITY, NAN, 0};
  int32_t list[4];
  lsp_best two = {.most = 2}, four = {.most = 4};
  offer_all(&two, score, 4);
  offer_all(&four, score, 4);
  lsp_best_list(&two, list);
  assert_int_equal(list[0], 11);
  assert_int_equal(list[1], 13);
  assert_int_equal(four.block[2], 10);
  assert_int_equal(four.block[3], 12);
}

static void test_what_is_missing_is_minus_one(void **state) {
  (void)state;
  const float score[] = {1};
  int32_t list[2];
  lsp_best some = {.most = 2}, none = {.most = 0};
  offer_all(&some, score, 1);
  offer_all(&none, score, 1);
  lsp_best_list(&some, list);
  assert_int_equal(list[0], 10);
  assert_int_equal(list[1], -1);
  assert_int_equal(none.count, 0);
}

static int is_ahead(const float *score, int a, int b) {
  return score[a] > score[b] || (score[a] == score[b] && a < b);
}

/* Against the definition: a block is taken if fewer than `most` are ahead of it. */
static void test_any_scores_give_the_best_by_definition(void **state) {
  (void)state;
  lsp_random random = {7};
  for (int round = 0; round < 500; round++) {
    float score[80];
    int32_t list[LSP_PICKS_MAX];
    const int n = (int)lsp_random_in(&random, 0, 80);
    lsp_best best = {.most = (int)lsp_random_in(&random, 1, LSP_PICKS_MAX)};
    for (int i = 0; i < n; i++)
      score[i] = (float)lsp_random_in(&random, -8, 8);
    offer_all(&best, score, n);
    lsp_best_list(&best, list);
    int at = 0;
    for (int i = 0; i < n; i++) {
      int ahead = 0;
      for (int k = 0; k < n; k++)
        ahead += is_ahead(score, k, i);
      if (ahead < best.most)
        assert_int_equal(list[at++], 10 + i);
    }
    assert_int_equal(best.count, at);
  }
}

/* --- sets ------------------------------------------------------------------------ */

static void
test_a_set_holds_each_key_once_and_as_many_as_it_has_room_for(void **state) {
  (void)state;
  lsp_key_set set;
  assert_true(lsp_key_set_open(&set, 100));
  for (int round = 0; round < 3; round++) {
    for (int64_t i = 0; i < 100; i++)
      assert_true(lsp_key_set_add(&set, i * i * 1000003));
    for (int64_t i = 0; i < 100; i++) {
      assert_true(lsp_key_set_add(&set, i * i * 1000003)); /* is there */
      assert_int_equal(lsp_key_set_find(&set, i * i * 1000003), i);
    }
    assert_int_equal(set.count, 100);
    assert_false(lsp_key_set_add(&set, 5));
    assert_int_equal(lsp_key_set_find(&set, 5), -1);
    lsp_key_set_clear(&set);
    assert_int_equal(lsp_key_set_find(&set, 1000003), -1);
    lsp_key_set_put(&set, 42, 99);
    assert_int_equal(lsp_key_set_find(&set, 42), 99);
    lsp_key_set_clear(&set);
  }
  lsp_key_set_close(&set);
}

static void test_a_set_without_room_is_empty(void **state) {
  (void)state;
  lsp_key_set set;
  assert_true(lsp_key_set_open(&set, 0));
  assert_false(lsp_key_set_add(&set, 0));
  assert_int_equal(lsp_key_set_find(&set, 0), -1);
  lsp_key_set_close(&set);
}

/* --- owners ---------------------------------------------------------------------- */

/* Tiles of a span's pieces belong to its rank, for any documents, waves and ranks. */
static void check_owners(const lsp_plan *plan, lsp_range wave, int ranks) {
  for (int r = 0; r < ranks; r++) {
    const lsp_view_of_wave v = {plan, wave, r, ranks};
    const lsp_range span = lsp_plan_span(plan, wave, r, ranks);
    for (int64_t panel = span.first; panel < span.end;) {
      const lsp_piece p = lsp_plan_piece(plan, span, panel);
      const int64_t first = p.start / LSP_BLOCK, end = lsp_divide_up(p.end, LSP_BLOCK);
      for (int64_t tile = first; tile < end; tile++)
        assert_int_equal(lsp_plan_owner(&v, p.frame, tile), r);
      panel += p.panel_end - p.panel_first;
    }
  }
}

static void test_the_owner_of_a_tile_is_the_rank_whose_span_has_it(void **state) {
  (void)state;
  const int64_t tokens[] = {700, 0, 1, 3000, 65, 64, 5000};
  lsp_failure why = {0};
  for (int64_t first = 0; first <= 1000; first += 250) {
    lsp_plan plan;
    assert_int_equal(
        lsp_plan_open(&plan, 7, tokens, first, (lsp_framing){.prefix = 0}, &why),
        LSP_OK);
    for (int ranks = 1; ranks <= 9; ranks += 2)
      for (int64_t panel = 0; panel < lsp_plan_panels(&plan);) {
        const lsp_range wave = lsp_plan_wave(&plan, panel, 700 * ranks);
        check_owners(&plan, wave, ranks);
        panel = wave.end;
      }
    lsp_plan_close(&plan);
  }
}

LSP_TESTS(
    cmocka_unit_test(test_the_best_are_listed_in_rising_order),
    cmocka_unit_test(test_of_equal_scores_the_lower_block_is_taken),
    cmocka_unit_test(test_nan_comes_after_everything),
    cmocka_unit_test(test_what_is_missing_is_minus_one),
    cmocka_unit_test(test_any_scores_give_the_best_by_definition),
    cmocka_unit_test(test_a_set_holds_each_key_once_and_as_many_as_it_has_room_for),
    cmocka_unit_test(test_a_set_without_room_is_empty),
    cmocka_unit_test(test_the_owner_of_a_tile_is_the_rank_whose_span_has_it))
