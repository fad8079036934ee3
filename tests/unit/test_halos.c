/* Loans between ranks where layers look ahead, by playing whole corpora: what ranks keep
 * are the numbers of the blocks that a run would put there, and every rank must get each
 * block that its queries look at once, from one who has it. */
#include "harness.h"
#include "random.h"

#include "lsp/halos.h"

enum {
  CORPORA = 400,
  DOCUMENTS = 5,
  RANKS = 7,
  LAYERS = 3,
  LOANS = 4000,
  RING = 512,
  FIXED = 8
};

typedef struct {
  int count;
  lsp_block_loan loan[LOANS];
} loans;

/* What one layer has left with the ranks: numbers of blocks. */
typedef struct {
  int64_t keys[RANKS][RING], rows[RANKS][RING], fixed[RANKS][FIXED];
} left;

typedef struct {
  lsp_plan plan;
  int64_t tokens[DOCUMENTS];
  lsp_sight sight[LAYERS];
  int64_t room;
  int ranks;
  left layer[LAYERS];
} play;

static void collect(const lsp_block_loan *loan, void *arg) {
  loans *list = arg;
  assert_true(list->count < LOANS);
  assert_true(loan->first < loan->end && loan->first >= 0);
  list->loan[list->count++] = *loan;
}

/* Kinds of lists. */
typedef enum { KEYS, ROWS, FIRSTS, SECONDS, KEEPING, WAITING, OPEN } occasion;

static void list_loans(lsp_step s, int rank, occasion what, int64_t round,
                       loans *list) {
  s.rank = rank;
  list->count = 0;
  switch (what) {
  case KEYS:
    lsp_step_halo_loans(&s, round, collect, list);
    break;
  case ROWS:
    lsp_step_row_loans(&s, collect, list);
    break;
  case FIRSTS:
  case SECONDS:
    lsp_step_fixed_loans(&s, what == SECONDS, collect, list);
    break;
  case KEEPING:
    lsp_step_keep_loans(&s, collect, list);
    break;
  case WAITING:
    lsp_step_wait_loans(&s, collect, list);
    break;
  case OPEN:
    lsp_step_open_loans(&s, collect, list);
    break;
  }
  for (int i = 0; i < list->count; i++)
    assert_true(list->loan[i].from == rank || list->loan[i].to == rank);
}

static const lsp_block_loan *next_between(const loans *list, int *at,
                                          const lsp_block_loan *like) {
  for (; *at < list->count; ++*at) {
    const lsp_block_loan *l = &list->loan[*at];
    if (l->from == like->from && l->to == like->to && l->kind == like->kind)
      return &list->loan[(*at)++];
  }
  return NULL;
}

/* The loans of a kind from one rank to another come in the same order on both. */
static void both_sides_agree(const play *p, loans list[RANKS]) {
  static const lsp_loan_kind kinds[] = {LSP_LOAN_HALO, LSP_LOAN_KEPT, LSP_LOAN_KEEP,
                                        LSP_LOAN_FIXED};
  for (int a = 0; a < p->ranks; a++)
    for (int b = 0; b < p->ranks; b++)
      for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        const lsp_block_loan like = {kinds[k], a, b, 0, 0};
        int at_a = 0, at_b = 0;
        for (;;) {
          const lsp_block_loan *x = next_between(&list[a], &at_a, &like);
          const lsp_block_loan *y = next_between(&list[b], &at_b, &like);
          if (x == NULL || y == NULL) {
            assert_true(x == y);
            break;
          }
          assert_int_equal(x->first, y->first);
          assert_int_equal(x->end, y->end);
        }
      }
}

static void list_all(const play *p, const lsp_step *s, occasion what, int64_t round,
                     loans list[RANKS]) {
  for (int r = 0; r < p->ranks; r++)
    list_loans(*s, r, what, round, &list[r]);
  both_sides_agree(p, list);
}

static int holds(lsp_range r, int64_t first, int64_t end) {
  return r.first <= first && end <= r.end;
}

static int64_t groups_of(const play *p, int64_t blocks) {
  return lsp_block_groups(blocks, p->ranks);
}

static int64_t *place(const play *p, int64_t ring[RING], int64_t block, int64_t most) {
  const int64_t at = lsp_block_place(block, p->ranks, groups_of(p, most));
  assert_true(at < RING);
  return &ring[at];
}

/* ---- What arrives */

/* Counts into got, from `first` on, what a rank receives; who lends must have it. */
static void receive(play *p, const lsp_step *s, int layer, occasion what,
                    const loans *list, int rank, int got[], int64_t first) {
  left *l = &p->layer[layer];
  const int64_t border = lsp_blocks_before(s->plan, s->have.first);
  for (int i = 0; i < list->count; i++) {
    const lsp_block_loan *loan = &list->loan[i];
    if (loan->to != rank)
      continue;
    if (loan->kind != LSP_LOAN_KEPT)
      assert_true(holds(lsp_step_own(s, loan->from), loan->first, loan->end));
    for (int64_t b = loan->first; b < loan->end; b++) {
      got[b - first]++;
      if (loan->kind != LSP_LOAN_KEPT)
        continue;
      assert_true(b < border);
      assert_int_equal(lsp_block_keeper(b, p->ranks), loan->from);
      assert_int_equal(
          what == KEYS ? *place(p, l->keys[loan->from], b, lsp_kept_most(&s->sight))
                       : *place(p, l->rows[loan->from], b, lsp_ready_lag(&s->sight)),
          b);
    }
  }
}

enum { SEEN = 4096 };

static void keys_arrive(play *p, const lsp_step *s, int layer, loans list[RANKS]) {
  static int got[RANKS][SEEN];
  const int64_t rounds = lsp_step_rounds_of_all(s);
  memset(got, 0, sizeof got);
  for (int64_t round = 0; round < rounds; round++) {
    list_all(p, s, KEYS, round, list);
    for (int r = 0; r < p->ranks; r++) {
      const lsp_range span = lsp_plan_span(s->plan, s->want, r, s->ranks);
      receive(p, s, layer, KEYS, &list[r], r, got[r], lsp_step_sight(s, span).first);
    }
  }
  for (int r = 0; r < p->ranks; r++) {
    const lsp_range span = lsp_plan_span(s->plan, s->want, r, s->ranks);
    const lsp_range own = lsp_step_own(s, r), sight = lsp_step_sight(s, span);
    int64_t borrowed = 0;
    for (int64_t b = sight.first; b < sight.end; b++) {
      assert_int_equal(got[r][b - sight.first], b < own.first || b >= own.end);
      borrowed += b < own.first || b >= own.end;
    }
    if (s->room == LSP_TILES_ALL)
      assert_true(borrowed <= lsp_halo_most(&s->sight));
    /* all that the queries look at is there by now */
    assert_true(sight.first >= sight.end ||
                sight.end <= lsp_blocks_before(s->plan, s->have.end));
  }
}

static void rows_arrive(play *p, const lsp_step *s, int layer, loans list[RANKS]) {
  static int got[SEEN];
  list_all(p, s, ROWS, 0, list);
  for (int r = 0; r < p->ranks; r++) {
    const lsp_range rows = lsp_step_rows(s, r);
    memset(got, 0, sizeof got);
    receive(p, s, layer, ROWS, &list[r], r, got, rows.first);
    for (int64_t b = rows.first; b < rows.end; b++)
      assert_int_equal(got[b - rows.first], 1);
  }
}

/* The first blocks of the first and last frame of a span, kept ones among them. */
static void fixed_arrive(play *p, const lsp_step *s, int layer, loans list[RANKS]) {
  const int64_t border = lsp_blocks_before(s->plan, s->have.first);
  for (int slot = 0; slot < 2; slot++) {
    list_all(p, s, slot == 0 ? FIRSTS : SECONDS, 0, list);
    for (int r = 0; r < p->ranks; r++) {
      const lsp_range span = lsp_plan_span(s->plan, s->want, r, s->ranks);
      const int64_t f = lsp_step_fixed_frame(s, span, slot);
      int got[FIXED] = {0};
      if (f < 0)
        continue;
      const int64_t first = lsp_blocks_of_frame(s->plan, f);
      const int64_t n = lsp_min(lsp_divide_up(s->sight.fixed, LSP_GRID_BLOCK),
                                lsp_blocks_of_frame(s->plan, f + 1) - first);
      receive(p, s, layer, FIRSTS, &list[r], r, got, first);
      for (int64_t b = first; b < first + n; b++)
        if (b < border)
          assert_int_equal(p->layer[layer].fixed[r][b - first], b);
        else
          assert_int_equal(got[b - first], 1);
    }
  }
}

/* ---- What stays */

static void keep(play *p, const lsp_step *s, int layer, occasion what,
                 loans list[RANKS]) {
  left *l = &p->layer[layer];
  const int64_t f = lsp_step_open_frame(s);
  list_all(p, s, what, 0, list);
  for (int r = 0; r < p->ranks; r++)
    for (int i = 0; i < list[r].count; i++) {
      const lsp_block_loan *loan = &list[r].loan[i];
      if (loan->to != r)
        continue;
      assert_true(holds(lsp_step_own(s, loan->from), loan->first, loan->end));
      for (int64_t b = loan->first; b < loan->end; b++) {
        if (what != OPEN)
          assert_int_equal(lsp_block_keeper(b, p->ranks), r);
        if (what == OPEN)
          l->fixed[r][b - lsp_blocks_of_frame(s->plan, f)] = b;
        else if (what == KEEPING)
          *place(p, l->keys[r], b, lsp_kept_most(&s->sight)) = b;
        else
          *place(p, l->rows[r], b, lsp_ready_lag(&s->sight)) = b;
      }
    }
}

/* ---- The play */

static void one_step(play *p, const lsp_step *s, int layer) {
  static loans list[RANKS];
  keys_arrive(p, s, layer, list);
  rows_arrive(p, s, layer, list);
  fixed_arrive(p, s, layer, list);
  keep(p, s, layer, KEEPING, list);
  keep(p, s, layer, WAITING, list);
  keep(p, s, layer, OPEN, list);
}

/* Waves from the beginning, or from where a run goes on after `done` panels. */
static void play_from(play *p, lsp_random *seed, int64_t done) {
  const int64_t panels = lsp_plan_panels(&p->plan);
  int64_t floor[LAYERS + 1];
  floor[LAYERS] = done;
  for (int l = LAYERS - 1; l >= 0; l--)
    floor[l] = lsp_plan_anew(&p->plan, floor[l + 1], &p->sight[l]);
  int64_t at = floor[0], results = done;
  while (at < panels) {
    lsp_range r = lsp_plan_wave(&p->plan, at, lsp_random_in(seed, 64, 2063));
    at = r.end;
    for (int l = 0; l < LAYERS; l++) {
      const lsp_range next = {lsp_plan_ready(&p->plan, r.first, &p->sight[l]),
                              lsp_plan_ready(&p->plan, r.end, &p->sight[l])};
      const lsp_step s = {
          .plan = &p->plan,
          .have = {lsp_max(floor[l], r.first), lsp_max(floor[l], r.end)},
          .want = {lsp_max(floor[l + 1], next.first), lsp_max(floor[l + 1], next.end)},
          .sight = p->sight[l],
          .room = p->room,
          .ranks = p->ranks};
      one_step(p, &s, l);
      assert_true(lsp_blocks_before(&p->plan, r.end) -
                      lsp_blocks_before(&p->plan, next.end) <=
                  lsp_ready_lag(&p->sight[l]));
      if (l + 1 == LAYERS) { /* results: all panels, one after the other */
        assert_int_equal(s.want.first, results);
        results = s.want.end;
      }
      r = next;
    }
  }
  assert_int_equal(results, panels);
}

static void open_play(play *p, lsp_random *seed) {
  static const int64_t backs[] = {0, 1, 63, 64, 65, 130, 256, 300, 1000};
  static const lsp_framing framing = {0};
  lsp_failure why = {0};
  memset(p, 0, sizeof *p);
  memset(p->layer, 0xff, sizeof p->layer);
  p->ranks = (int)lsp_random_in(seed, 1, RANKS);
  p->room = lsp_random_in(seed, 0, 2) == 0 ? lsp_random_in(seed, 1, 5) : LSP_TILES_ALL;
  for (int d = 0; d < DOCUMENTS; d++)
    p->tokens[d] = lsp_random_in(seed, 0, d % 2 == 0 ? 2999 : 199);
  for (int l = 0; l < LAYERS; l++)
    p->sight[l] =
        (lsp_sight){backs[lsp_random_in(seed, 0, 8)], backs[lsp_random_in(seed, 0, 8)],
                    lsp_random_in(seed, 0, 1) * lsp_random_in(seed, 0, 299)};
  assert_int_equal(lsp_plan_open(&p->plan, DOCUMENTS, p->tokens, 0, framing, &why),
                   LSP_OK);
}

static void
test_ranks_get_the_blocks_that_they_look_at_from_those_who_have_them(void **state) {
  lsp_random seed = {5};
  static play p;
  (void)state;
  for (int i = 0; i < CORPORA; i++) {
    open_play(&p, &seed);
    play_from(&p, &seed, 0);
    lsp_plan_close(&p.plan);
  }
}

static void test_a_run_that_goes_on_has_what_it_looks_at(void **state) {
  lsp_random seed = {6};
  static play p;
  (void)state;
  for (int i = 0; i < CORPORA; i++) {
    open_play(&p, &seed);
    const int64_t panels = lsp_plan_panels(&p.plan);
    play_from(&p, &seed, lsp_random_in(&seed, 0, lsp_max(0, panels - 1)));
    lsp_plan_close(&p.plan);
  }
}

/* By asking for every row. */
static void test_panels_are_ready_when_all_that_they_look_at_is_there(void **state) {
  lsp_random seed = {7};
  static play p;
  (void)state;
  for (int i = 0; i < CORPORA / 4; i++) {
    open_play(&p, &seed);
    const lsp_sight *s = &p.sight[0];
    const int64_t panels = lsp_plan_panels(&p.plan);
    for (int64_t end = 0; end <= panels; end++) {
      int64_t ready = 0;
      for (; ready < end; ready++) {
        const int64_t f = lsp_plan_frame(&p.plan, ready);
        const int64_t last = lsp_panel_start(ready + 1 - p.plan.panel_start[f]) - 1;
        const int64_t looks = lsp_min(lsp_max(last + s->ahead, s->fixed - 1),
                                      lsp_plan_end(&p.plan, f) - 1);
        if (p.plan.panel_start[f] + lsp_panel_of(looks) >= end)
          break;
      }
      assert_int_equal(lsp_plan_ready(&p.plan, end, s), ready);
    }
    lsp_plan_close(&p.plan);
  }
}

static void test_waves_of_whole_frames(void **state) {
  lsp_random seed = {8};
  static play p;
  (void)state;
  for (int i = 0; i < CORPORA; i++) {
    open_play(&p, &seed);
    const int64_t panels = lsp_plan_panels(&p.plan);
    const int64_t rows = lsp_random_in(&seed, 64, 4063);
    for (int64_t at = 0; at < panels;) {
      const lsp_range w = lsp_plan_whole_wave(&p.plan, at, rows);
      const int64_t f = lsp_plan_frame(&p.plan, at);
      assert_int_equal(w.first, at);
      assert_true(w.end == panels ||
                  p.plan.panel_start[lsp_plan_frame(&p.plan, w.end)] == w.end);
      const int64_t n =
          lsp_plan_rows_before(&p.plan, w.end) - lsp_plan_rows_before(&p.plan, at);
      assert_true(n <= rows || w.end == p.plan.panel_start[f + 1]);
      at = w.end;
    }
    lsp_plan_close(&p.plan);
  }
}

LSP_TESTS(cmocka_unit_test(
              test_ranks_get_the_blocks_that_they_look_at_from_those_who_have_them),
          cmocka_unit_test(test_a_run_that_goes_on_has_what_it_looks_at),
          cmocka_unit_test(test_panels_are_ready_when_all_that_they_look_at_is_there),
          cmocka_unit_test(test_waves_of_whole_frames))
