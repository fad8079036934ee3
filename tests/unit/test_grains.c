/* Loans of grains (pooled rows) of any unit, by playing whole corpora: what a rank looks
 * back to is worked out position by position, and every grain of it must come once, from
 * the rank whose span has its last position, or from the ring that was given it. */
#include "harness.h"
#include "random.h"

#include "lsp/plan.h"

enum { CORPORA = 600, DOCUMENTS = 4, RANKS = 7, LOANS = 20000 };

static const int64_t units[] = {2, 16, 64, 4096};
static const int64_t groups[] = {64, 192, 2048};
static const int64_t reaches[] = {1, 2, 63, 300, 5000};

typedef struct {
  int count;
  lsp_loan loan[LOANS];
} loans;

typedef struct {
  int64_t frame, grain;
} mark;

typedef struct {
  lsp_plan plan;
  int64_t tokens[DOCUMENTS];
  lsp_grain grain;
  int64_t reach, ring_groups;
  int ranks;
  mark *ring[RANKS]; /* (ring_groups * group) */
} play;

static void collect(const lsp_loan *loan, void *arg) {
  loans *list = arg;
  assert_true(list->count < LOANS);
  assert_true(loan->first < loan->end && loan->first >= 0);
  list->loan[list->count++] = *loan;
}

/* ---- Position by position */

/* Of a panel of a frame, counted from the frame's first one in the corpus. */
static int64_t start_of(const play *p, int64_t frame, int64_t panel) {
  return lsp_panel_start(panel - p->plan.panel_start[frame] +
                         lsp_panel_of(lsp_plan_begin(&p->plan, frame)));
}

/* Rank whose span has the last position of a grain; -1: none in this wave. */
static int owner(const play *p, lsp_range wave, int64_t frame, int64_t grain) {
  const int64_t last = (grain + 1) * p->grain.unit - 1;
  for (int r = 0; r < p->ranks; r++) {
    const lsp_range span = lsp_plan_span(&p->plan, wave, r, p->ranks);
    for (int64_t panel = lsp_max(span.first, p->plan.panel_start[frame]);
         panel < lsp_min(span.end, p->plan.panel_start[frame + 1]); panel++)
      if (last >= start_of(p, frame, panel) && last < start_of(p, frame, panel + 1))
        return r;
  }
  return -1;
}

/* Grains that end before a panel, in reach; none for one past the last. */
static lsp_tiles past_of(const play *p, int64_t panel) {
  int64_t f = 0, n = 0;
  if (panel >= lsp_plan_panels(&p->plan))
    return (lsp_tiles){0, 0, 0};
  while (p->plan.panel_start[f + 1] <= panel)
    f++;
  while ((n + 1) * p->grain.unit - 1 < start_of(p, f, panel))
    n++;
  return (lsp_tiles){f, n > p->reach ? n - p->reach : 0, n};
}

static mark *ring_at(const play *p, int rank, int64_t grain) {
  assert_int_equal(lsp_grain_rank(p->grain, grain, p->ranks), rank);
  const int64_t place = lsp_grain_place(p->grain, grain, p->ranks, p->ring_groups);
  assert_true(place >= 0 && place < p->ring_groups * p->grain.group);
  return &p->ring[rank][place];
}

/* ---- A wave */

static void list_all(const play *p, lsp_range wave, int keeping, loans list[RANKS]) {
  for (int r = 0; r < p->ranks; r++) {
    const lsp_view_of_wave v = {&p->plan, wave, r, p->ranks};
    list[r].count = 0;
    if (keeping)
      lsp_grain_keep_loans(&v, p->grain, p->reach, collect, &list[r]);
    else
      lsp_grain_past_loans(&v, p->grain, p->reach, collect, &list[r]);
    for (int i = 0; i < list[r].count; i++)
      assert_true(list[r].loan[i].from == r || list[r].loan[i].to == r);
  }
}

static const lsp_loan *next_between(const loans *list, int *at, int a, int b) {
  for (; *at < list->count; ++*at)
    if (list->loan[*at].from == a && list->loan[*at].to == b)
      return &list->loan[(*at)++];
  return NULL;
}

static int same_loan(const lsp_loan *x, const lsp_loan *y) {
  return x->kind == y->kind && x->from == y->from && x->to == y->to &&
         x->frame == y->frame && x->first == y->first && x->end == y->end;
}

/* The loans from one rank to another come in the same order on both. */
static void both_sides_agree(const play *p, const loans list[RANKS]) {
  for (int a = 0; a < p->ranks; a++)
    for (int b = 0; b < p->ranks; b++)
      for (int here = 0, there = 0;;) {
        const lsp_loan *x = next_between(&list[a], &here, a, b);
        const lsp_loan *y = next_between(&list[b], &there, a, b);
        assert_int_equal(x == NULL, y == NULL);
        if (x == NULL)
          break;
        assert_true(same_loan(x, y));
      }
}

/* One grain of a loan is where the loan says. */
static void check_grain(const play *p, lsp_range wave, const lsp_loan *l,
                        int64_t grain) {
  const int lies_with = owner(p, wave, l->frame, grain);
  if (l->kind == LSP_LOAN_HALO) {
    assert_int_equal(lies_with, l->from);
    return;
  }
  const mark *m = ring_at(p, l->from, grain);
  assert_int_equal(l->kind, LSP_LOAN_KEPT);
  assert_int_equal(lies_with, -1);
  assert_true(m->frame == l->frame && m->grain == grain);
  if (grain > l->first) /* in one run of memory */
    assert_true(m == ring_at(p, l->from, grain - 1) + 1);
}

static void borrow(const play *p, lsp_range wave, const loans list[RANKS],
                   int64_t *lent) {
  for (int r = 0; r < p->ranks; r++) {
    const lsp_range span = lsp_plan_span(&p->plan, wave, r, p->ranks);
    const lsp_tiles past =
        span.first < span.end ? past_of(p, span.first) : (lsp_tiles){0, 0, 0};
    char *got = calloc((size_t)(past.end - past.first) + 1, 1);
    assert_non_null(got);
    for (int i = 0; i < list[r].count; i++) {
      const lsp_loan *l = &list[r].loan[i];
      for (int64_t g = l->first; l->to == r && g < l->end; g++) {
        assert_true(l->frame == past.frame && g >= past.first && g < past.end);
        assert_int_equal(got[g - past.first]++, 0);
        if (g == l->first || g + 1 == l->end || g % 17 == 0)
          check_grain(p, wave, l, g);
        ++*lent;
      }
    }
    for (int64_t g = past.first; g < past.end; g++)
      assert_int_equal(got[g - past.first], 1);
    free(got);
  }
}

/* After keeping the rings have all that the next wave can want. */
static void keep(play *p, lsp_range wave, const loans list[RANKS]) {
  const lsp_tiles next = past_of(p, wave.end);
  for (int r = 0; r < p->ranks; r++)
    for (int i = 0; i < list[r].count; i++) {
      const lsp_loan *l = &list[r].loan[i];
      assert_int_equal(l->kind, LSP_LOAN_KEEP);
      assert_true(l->frame == next.frame && l->first >= next.first &&
                  l->end <= next.end);
      for (int64_t g = l->first; l->to == r && g < l->end; g++) {
        mark *m = ring_at(p, r, g);
        if (g == l->first || g + 1 == l->end)
          assert_int_equal(owner(p, wave, l->frame, g), l->from);
        assert_false(m->frame == l->frame && m->grain == g); /* once */
        *m = (mark){l->frame, g};
      }
    }
  for (int64_t g = next.first; g < next.end; g++) {
    const mark *m = ring_at(p, lsp_grain_rank(p->grain, g, p->ranks), g);
    assert_true(m->frame == next.frame && m->grain == g);
  }
}

/* ---- Whole corpora */

static void open_play(play *p, lsp_random *random) {
  memset(p, 0, sizeof *p);
  const int64_t documents = lsp_random_in(random, 1, DOCUMENTS);
  const int big = lsp_random_in(random, 0, 2) == 0;
  for (int64_t d = 0; d < documents; d++)
    p->tokens[d] = lsp_random_in(random, 0, 3) == 0
                       ? lsp_random_in(random, 0, 2)
                       : lsp_random_in(random, 0, big ? 40000 : 3000);
  const int64_t first =
      lsp_random_in(random, 0, 1) ? 0 : lsp_random_in(random, 1, big ? 20000 : 700);
  p->grain.unit = units[lsp_random_in(random, 0, 3)];
  p->grain.group = groups[lsp_random_in(random, 0, 2)];
  p->ranks = (int)lsp_random_in(random, 1, RANKS);
  lsp_failure why = {0};
  assert_int_equal(lsp_plan_open(&p->plan, documents, p->tokens, first,
                                 (lsp_framing){.prefix = first == 0 ? 3 : 0}, &why),
                   LSP_OK);
  /* as far as the longest document goes, as a run has it */
  p->reach = lsp_min(reaches[lsp_random_in(random, 0, 4)],
                     lsp_plan_longest(&p->plan) / p->grain.unit);
  p->ring_groups = lsp_grain_groups(p->grain, p->reach, p->ranks);
  const size_t room = (size_t)(p->ring_groups * p->grain.group + 1);
  for (int r = 0; r < p->ranks; r++) {
    p->ring[r] = malloc(room * sizeof(mark));
    assert_non_null(p->ring[r]);
    for (size_t i = 0; i < room; i++)
      p->ring[r][i] = (mark){-1, -1};
  }
  const lsp_tiles past = past_of(p, 0); /* what a snapshot leaves */
  for (int64_t g = past.first; g < past.end; g++)
    *ring_at(p, lsp_grain_rank(p->grain, g, p->ranks), g) = (mark){past.frame, g};
}

static void close_play(play *p) {
  for (int r = 0; r < p->ranks; r++)
    free(p->ring[r]);
  lsp_plan_close(&p->plan);
}

static void test_every_loan_finds_its_grains_and_gives_each_once(void **state) {
  (void)state;
  static play p;
  static loans list[RANKS];
  static const int64_t rows[] = {1, 64, 300, 700, 1024, 5000, 40000};
  lsp_random random = {3};
  int64_t lent = 0;
  for (int c = 0; c < CORPORA; c++) {
    open_play(&p, &random);
    for (int64_t panel = 0; panel < lsp_plan_panels(&p.plan);) {
      const lsp_range wave =
          lsp_plan_wave(&p.plan, panel, rows[lsp_random_in(&random, 0, 6)]);
      list_all(&p, wave, 0, list);
      both_sides_agree(&p, list);
      borrow(&p, wave, list, &lent);
      list_all(&p, wave, 1, list);
      both_sides_agree(&p, list);
      keep(&p, wave, list);
      panel = wave.end;
    }
    close_play(&p);
  }
  assert_true(lent > 100000); /* there was something to check */
}

/* What a tile is, said as a grain, gives the loans of tiles. */
static void test_tiles_are_grains_of_64(void **state) {
  (void)state;
  static loans tiles, grains;
  lsp_plan plan;
  lsp_failure why = {0};
  const int64_t tokens = 30000;
  assert_int_equal(lsp_plan_open(&plan, 1, &tokens, 0, (lsp_framing){0}, &why), LSP_OK);
  for (int64_t panel = 0; panel < lsp_plan_panels(&plan);) {
    const lsp_view_of_wave v = {&plan, lsp_plan_wave(&plan, panel, 7000), 2, 4};
    tiles.count = grains.count = 0;
    lsp_plan_round_loans(&v, 50, 50, 0, collect, &tiles);
    lsp_plan_keep_loans(&v, 50, collect, &tiles);
    lsp_grain_past_loans(&v, lsp_grain_tile(), 50, collect, &grains);
    lsp_grain_keep_loans(&v, lsp_grain_tile(), 50, collect, &grains);
    assert_int_equal(tiles.count, grains.count);
    for (int i = 0; i < tiles.count; i++)
      assert_true(same_loan(&tiles.loan[i], &grains.loan[i]));
    panel = v.wave.end;
  }
  lsp_plan_close(&plan);
}

LSP_TESTS(cmocka_unit_test(test_every_loan_finds_its_grains_and_gives_each_once),
          cmocka_unit_test(test_tiles_are_grains_of_64))
