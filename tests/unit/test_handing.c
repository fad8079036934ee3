/* States along the ranks: each goes from where its document was to where it goes on, by
 * playing whole corpora; and how long ranks wait for it. */
#include "harness.h"
#include "random.h"

#include "lsp/handing.h"

enum { CORPORA = 300, DOCUMENTS = 6, RANKS = 8, LAYERS = 12, MOST = 9000 };

/* ---- Who hands to whom */

typedef struct {
  lsp_plan plan;
  int64_t tokens[DOCUMENTS];
  int ranks;
} play;

static void deal(play *p, lsp_random *random) {
  lsp_failure why;
  lsp_framing framing = {0};
  for (int d = 0; d < DOCUMENTS; d++)
    p->tokens[d] =
        lsp_random_in(random, 0, 2) == 0 ? 0 : lsp_random_in(random, 1, 2500);
  if (lsp_random_in(random, 0, 1) == 0) { /* documents of several frames */
    framing.tokens = lsp_random_in(random, 20, 700);
    framing.stride = framing.tokens;
  }
  assert_int_equal(lsp_plan_open(&p->plan, DOCUMENTS, p->tokens, 0, framing, &why),
                   LSP_OK);
  p->ranks = (int)lsp_random_in(random, 1, RANKS);
}

static int64_t document_at(const play *p, int64_t panel) {
  int64_t frame = 0;
  while (p->plan.panel_start[frame + 1] <= panel)
    frame++;
  return lsp_plan_document_of(&p->plan, frame);
}

/* Plays a run: where[d] is the rank that has the state of a document; panel after panel is
 * done by its owner, who must have it, or have been handed it. */
static void play_run(const play *p, int64_t rows) {
  const int64_t panels = lsp_plan_panels(&p->plan);
  int64_t first = 0, done = -1; /* document of the last panel */
  int where = -1;
  while (first < panels) {
    const lsp_range wave = lsp_plan_wave(&p->plan, first, rows);
    lsp_view_of_wave v = {&p->plan, wave, 0, p->ranks};
    int next = -1;
    for (v.rank = 0; v.rank < p->ranks; v.rank++) {
      const lsp_range span = lsp_plan_span(&p->plan, wave, v.rank, p->ranks);
      const int by = lsp_plan_handed_by(&v), to = lsp_plan_hands_to(&v);
      if (span.first == span.end) {
        assert_true(by == -1 && to == -1);
        continue;
      }
      const int goes_on = done == document_at(p, span.first);
      assert_int_equal(lsp_plan_joined(&p->plan, span.first), goes_on);
      assert_true(!goes_on || where == v.rank);
      assert_int_equal(by, goes_on && span.first > wave.first ? next : -1);
      for (int64_t panel = span.first; panel < span.end; panel++)
        assert_int_equal(lsp_plan_owner_of(&v, panel), v.rank);
      done = document_at(p, span.end - 1);
      const int needed = span.end < panels && document_at(p, span.end) == done;
      assert_int_equal(to >= 0, needed);
      assert_true(to <= 0 || to > v.rank);
      assert_true(span.end < wave.end || to <= 0); /* rank 0, in the next wave */
      where = to;
      next = v.rank;
    }
    first = wave.end;
  }
}

static void test_a_state_is_where_its_document_goes_on(void **state) {
  (void)state;
  lsp_random random = {4};
  for (int i = 0; i < CORPORA; i++) {
    play p;
    deal(&p, &random);
    play_run(&p, lsp_random_in(&random, 1, MOST));
    lsp_plan_close(&p.plan);
  }
}

/* ---- Idle steps */

/* Layer after layer, rank after rank: one has the state when the one before has had it. */
static int64_t played(int ranks, int layers, lsp_layer_steps s, int waits_for_all) {
  int64_t handed[LAYERS], end = 0;
  memset(handed, 0, sizeof handed);
  int64_t start[RANKS] = {0};
  for (int l = 0; l < layers; l++) {
    int64_t last = 0;
    for (int r = 0; r < ranks; r++) {
      const int64_t ready = start[r] + s.before;
      const int64_t from = r > 0 && handed[l] > ready ? handed[l] : ready;
      handed[l] = from + s.with;
      start[r] = handed[l] + s.after;
      last = start[r];
    }
    for (int r = 0; r < ranks && waits_for_all; r++)
      start[r] = last; /* as if each layer ended with an agreement */
    end = last;
  }
  return end;
}

static void test_ranks_lag_once_not_once_a_layer(void **state) {
  (void)state;
  static const lsp_layer_steps some[] = {
      {60, 2, 38}, {50, 0, 50}, {1, 100, 1}, {0, 1, 0}};
  for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
    for (int ranks = 1; ranks <= RANKS; ranks++)
      for (int layers = 1; layers <= LAYERS; layers++)
        assert_int_equal(lsp_plan_chain_steps(ranks, layers, some[i]),
                         played(ranks, layers, some[i], 0));
  /* A layer of 100 steps, 2 of them with the state. */
  print_message("ranks  steps of 12 layers  ideal  idle  idle if each layer waited\n");
  const int64_t ideal = LAYERS * (some[0].before + some[0].with + some[0].after);
  for (int ranks = 1; ranks <= RANKS; ranks++) {
    const int64_t steps = lsp_plan_chain_steps(ranks, LAYERS, some[0]);
    print_message("%5d  %18d  %5d  %3.1f%%  %3.1f%%\n", ranks, (int)steps, (int)ideal,
                  100.0 * (double)(steps - ideal) / (double)steps,
                  100.0 * (double)(played(ranks, LAYERS, some[0], 1) - ideal) /
                      (double)played(ranks, LAYERS, some[0], 1));
    assert_int_equal(steps, ideal + 2 * (int64_t)(ranks - 1));
  }
}

LSP_TESTS(cmocka_unit_test(test_a_state_is_where_its_document_goes_on),
          cmocka_unit_test(test_ranks_lag_once_not_once_a_layer))
