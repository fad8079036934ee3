/* Loans of tiles, by playing whole corpora: every rank's rings and fixed tiles hold marks
 * of the tiles that a run would put there, and every loan must find the right ones. */
#include "harness.h"
#include "random.h"

#include "lsp/plan.h"
#include "lsp/tiles.h"

enum { CORPORA = 700, DOCUMENTS = 5, RANKS = 7, LOANS = 6000, FIXED = 8, TILES = 700 };

static const int64_t reaches[] = {0, 1, 3, 40, 200, LSP_TILES_ALL};
static const int64_t rooms[] = {1, 2, 128};

typedef struct {
  int count;
  lsp_loan loan[LOANS];
} loans;

/* What a tile of memory holds. */
typedef struct {
  int64_t frame, tile;
} mark;

/* A run that is played: rings, and fixed tiles that every rank keeps. */
typedef struct {
  lsp_plan plan;
  int64_t tokens[DOCUMENTS];
  int64_t reach, room, fixed, groups;
  int ranks;
  mark *ring[RANKS]; /* (groups * LSP_GROUP) */
  mark kept[RANKS][FIXED];
} play;

static void collect(const lsp_loan *loan, void *arg) {
  loans *list = arg;
  assert_true(list->count < LOANS);
  assert_true(loan->first < loan->end && loan->first >= 0);
  list->loan[list->count++] = *loan;
}

static lsp_view_of_wave asks(const play *p, lsp_range wave, int rank) {
  return (lsp_view_of_wave){&p->plan, wave, rank, p->ranks};
}

/* Which loans: of a round, of keeping, or fixed ones. */
typedef enum { ROUND, KEEPING, FIXED_ONES } occasion;

static void list_loans(const play *p, lsp_range wave, int rank, occasion what,
                       int64_t round, loans *list) {
  const lsp_view_of_wave v = asks(p, wave, rank);
  list->count = 0;
  if (what == ROUND)
    lsp_plan_round_loans(&v, p->reach, p->room, round, collect, list);
  else if (what == KEEPING)
    lsp_plan_keep_loans(&v, p->reach, collect, list);
  else
    lsp_plan_fixed_loans(&v, p->fixed, collect, list);
  for (int i = 0; i < list->count; i++) {
    const lsp_loan *l = &list->loan[i];
    assert_true(l->from == rank || l->to == rank);
    assert_true(l->from >= 0 && l->from < p->ranks && l->to >= 0 && l->to < p->ranks);
    assert_true(what == ROUND     ? l->kind == LSP_LOAN_HALO || l->kind == LSP_LOAN_KEPT
                : what == KEEPING ? l->kind == LSP_LOAN_KEEP
                                  : l->kind == LSP_LOAN_FIXED);
  }
}

/* ---- Both sides say the same */

static const lsp_loan *next_between(const loans *list, int *at, int a, int b) {
  for (; *at < list->count; ++*at) {
    const lsp_loan *l = &list->loan[*at];
    if (l->from == a && l->to == b)
      return &list->loan[(*at)++];
  }
  return NULL;
}

/* The loans from one rank to another come in the same order on both. */
static void both_sides_agree(const play *p, const loans list[RANKS]) {
  for (int a = 0; a < p->ranks; a++)
    for (int b = 0; b < p->ranks; b++) {
      int here = 0, there = 0;
      for (;;) {
        const lsp_loan *x = next_between(&list[a], &here, a, b);
        const lsp_loan *y = next_between(&list[b], &there, a, b);
        assert_int_equal(x == NULL, y == NULL);
        if (x == NULL)
          break;
        assert_true(x->kind == y->kind && x->frame == y->frame &&
                    x->first == y->first && x->end == y->end);
      }
    }
}

/* ---- Where tiles lie */

/* Rank whose span has a tile of a document in a wave; -1: none. */
static int owner(const play *p, lsp_range wave, int64_t frame, int64_t tile) {
  const int64_t local = lsp_panel_of(tile * LSP_GRID_BLOCK);
  const int64_t panel = p->plan.panel_start[frame] + local -
                        lsp_panel_of(lsp_plan_begin(&p->plan, frame));
  if (panel < p->plan.panel_start[frame])
    return -1;
  for (int r = 0; r < p->ranks; r++) {
    const lsp_range span = lsp_plan_span(&p->plan, wave, r, p->ranks);
    if (panel >= span.first && panel < span.end)
      return r;
  }
  return -1;
}

static mark *ring_at(const play *p, int rank, int64_t tile) {
  assert_int_equal(lsp_kept_rank(tile, p->ranks), rank);
  const int64_t place = lsp_kept_place(tile, p->ranks, p->groups);
  assert_true(place >= 0 && place < p->groups * LSP_GROUP);
  return &p->ring[rank][place];
}

/* Tiles of one document before a panel, in reach; {0, 0, 0} if there are none. */
static lsp_tiles naive_past(const play *p, int64_t panel) {
  if (panel >= lsp_plan_panels(&p->plan))
    return (lsp_tiles){0, 0, 0};
  int64_t d = 0;
  while (p->plan.panel_start[d + 1] <= panel)
    d++;
  const int64_t local =
      panel - p->plan.panel_start[d] + lsp_panel_of(lsp_plan_begin(&p->plan, d));
  const int64_t end = lsp_panel_start(local) / LSP_GRID_BLOCK;
  return (lsp_tiles){d, p->reach < end ? end - p->reach : 0, end};
}

/* ---- A wave */

/* A loan of a round finds its tiles where it says they are. */
static void check_source(const play *p, lsp_range wave, const lsp_loan *l) {
  for (int64_t t = l->first; t < l->end; t++) {
    const int lies_with = owner(p, wave, l->frame, t);
    if (l->kind == LSP_LOAN_KEPT) {
      const mark *m = ring_at(p, l->from, t);
      assert_int_equal(lies_with, -1);
      assert_true(m->frame == l->frame && m->tile == t);
      if (t > l->first) /* in one run of memory */
        assert_true(m == ring_at(p, l->from, t - 1) + 1);
    } else {
      assert_int_equal(lies_with, l->from);
    }
  }
}

/* All rounds of a rank give its past once, nearest first. */
static void check_past(const play *p, lsp_range wave, int rank, const loans *list,
                       int64_t rounds, int64_t round, char *got) {
  const lsp_range span = lsp_plan_span(&p->plan, wave, rank, p->ranks);
  const lsp_tiles past =
      span.first < span.end ? naive_past(p, span.first) : (lsp_tiles){0, 0, 0};
  const int64_t n = past.end - past.first;
  const lsp_tiles now = lsp_plan_round(&p->plan, span, p->reach, p->room, round);
  assert_true(n <= TILES && n <= rounds * p->room);
  for (int i = 0; i < list->count; i++) {
    const lsp_loan *l = &list->loan[i];
    if (l->to != rank)
      continue;
    assert_int_equal(l->frame, past.frame);
    assert_true(l->first >= now.first && l->end <= now.end);
    assert_true(now.frame == past.frame && now.end - now.first <= p->room);
    assert_int_equal(now.end, past.end - round * p->room); /* nearest first */
    check_source(p, wave, l);
    for (int64_t t = l->first; t < l->end; t++) {
      assert_true(t >= past.first && t < past.end);
      assert_int_equal(got[t - past.first]++, 0);
    }
  }
  for (int64_t t = 0; round + 1 == rounds && t < n; t++)
    assert_int_equal(got[t], 1);
}

static void check_rounds(const play *p, lsp_range wave, int64_t *lent) {
  static loans list[RANKS];
  static char got[RANKS][TILES];
  const int64_t rounds = lsp_plan_rounds(&p->plan, wave, p->reach, p->room);
  assert_true(rounds >= 1);
  memset(got, 0, sizeof got);
  for (int64_t round = 0; round < rounds; round++) {
    for (int r = 0; r < p->ranks; r++)
      list_loans(p, wave, r, ROUND, round, &list[r]);
    both_sides_agree(p, list);
    for (int r = 0; r < p->ranks; r++) {
      check_past(p, wave, r, &list[r], rounds, round, got[r]);
      for (int i = 0; i < list[r].count; i++)
        *lent += list[r].loan[i].to == r;
    }
  }
  for (int r = 0; r < p->ranks; r++) { /* and nothing afterwards */
    list_loans(p, wave, r, ROUND, rounds, &list[r]);
    assert_int_equal(list[r].count, 0);
  }
}

/* After the rounds: tiles that the next wave can want, to those who keep them. */
static void keep(play *p, lsp_range wave) {
  static loans list[RANKS];
  const lsp_tiles next = naive_past(p, wave.end);
  for (int r = 0; r < p->ranks; r++)
    list_loans(p, wave, r, KEEPING, 0, &list[r]);
  both_sides_agree(p, list);
  for (int r = 0; r < p->ranks; r++)
    for (int i = 0; i < list[r].count; i++) {
      const lsp_loan *l = &list[r].loan[i];
      assert_true(l->frame == next.frame && l->first >= next.first &&
                  l->end <= next.end);
      for (int64_t t = l->first; l->to == r && t < l->end; t++) {
        assert_int_equal(owner(p, wave, l->frame, t), l->from);
        mark *m = ring_at(p, r, t);
        assert_false(m->frame == l->frame && m->tile == t); /* once */
        *m = (mark){l->frame, t};
      }
    }
  for (int64_t t = next.first; t < next.end; t++) {
    const mark *m = ring_at(p, lsp_kept_rank(t, p->ranks), t);
    assert_true(m->frame == next.frame && m->tile == t);
  }
}

/* Fixed tiles of a rank's first document that it does not have itself: kept, or lent. */
static void check_entered(const play *p, lsp_range wave, int rank, const int *lent) {
  const lsp_range span = lsp_plan_span(&p->plan, wave, rank, p->ranks);
  if (span.first >= span.end)
    return;
  const lsp_tiles past = naive_past(p, span.first);
  const int64_t d = lsp_plan_frame(&p->plan, span.first);
  const int64_t computed = lsp_plan_fixed(&p->plan, wave, d, LSP_TILES_ALL).first;
  for (int64_t t = 0; t < p->fixed && t < past.end; t++)
    if (t < computed) {
      assert_true(p->kept[rank][t].frame == d && p->kept[rank][t].tile == t);
      assert_int_equal(owner(p, wave, d, t), -1);
    } else {
      assert_int_equal(lent[t], 1);
    }
}

/* Loans of fixed tiles: once each to whoever needs them now or later, to nobody else. */
static void check_fixed(play *p, lsp_range wave, int64_t *lent) {
  static loans list[RANKS];
  const int64_t panels = lsp_plan_panels(&p->plan);
  const int64_t next = wave.end < panels ? lsp_plan_frame(&p->plan, wave.end) : -1;
  for (int r = 0; r < p->ranks; r++)
    list_loans(p, wave, r, FIXED_ONES, 0, &list[r]);
  both_sides_agree(p, list);
  for (int r = 0; r < p->ranks; r++) {
    const lsp_range span = lsp_plan_span(&p->plan, wave, r, p->ranks);
    const int64_t here =
        span.first < span.end ? lsp_plan_frame(&p->plan, span.first) : -1;
    int of_here[FIXED] = {0}, of_next[FIXED] = {0};
    for (int i = 0; i < list[r].count; i++) {
      const lsp_loan *l = &list[r].loan[i];
      if (l->to != r)
        continue;
      ++*lent;
      assert_true(l->end <= p->fixed);
      assert_true(l->frame == next ||
                  (l->frame == here && p->plan.panel_start[here] < span.first));
      for (int64_t t = l->first; t < l->end; t++) {
        assert_int_equal(owner(p, wave, l->frame, t), l->from);
        of_here[t] += l->frame == here;
        of_next[t] += l->frame == next;
      }
    }
    check_entered(p, wave, r, of_here);
    for (int64_t t = 0; t < p->fixed && next >= 0; t++)
      if (owner(p, wave, next, t) >= 0) {
        assert_int_equal(of_next[t], 1);
        p->kept[r][t] = (mark){next, t};
      } else {
        assert_int_equal(of_next[t], 0);
      }
  }
}

/* ---- Whole corpora */

/* What a snapshot leaves to its successor. */
static void take_up(play *p) {
  const lsp_tiles past = naive_past(p, 0);
  for (int r = 0; r < p->ranks; r++) {
    p->ring[r] = malloc((size_t)(p->groups * LSP_GROUP + 1) * sizeof(mark));
    assert_non_null(p->ring[r]);
    for (int64_t i = 0; i < p->groups * LSP_GROUP; i++)
      p->ring[r][i] = (mark){-1, -1};
    for (int64_t t = 0; t < FIXED; t++)
      p->kept[r][t] = t < past.end ? (mark){0, t} : (mark){-1, -1};
  }
  for (int64_t t = past.first; t < past.end; t++)
    *ring_at(p, lsp_kept_rank(t, p->ranks), t) = (mark){0, t};
}

/* Whole documents, or chunks, which nothing continues. */
static lsp_framing choose_frames(lsp_random *random, int64_t first) {
  lsp_framing g = {.prefix = (int)lsp_random_in(random, 0, 1) * 5};
  if (first > 0 || lsp_random_in(random, 0, 2) > 0)
    return g;
  g.tokens = lsp_random_in(random, 200, 4000);
  g.stride = lsp_random_in(random, g.tokens / 2, g.tokens);
  return g;
}

static void open_play(play *p, lsp_random *random) {
  memset(p, 0, sizeof *p);
  const int64_t documents = lsp_random_in(random, 1, DOCUMENTS);
  const int big = lsp_random_in(random, 0, 2) == 0;
  for (int64_t d = 0; d < documents; d++)
    p->tokens[d] = lsp_random_in(random, 0, 3) == 0
                       ? lsp_random_in(random, 0, 2)
                       : lsp_random_in(random, 0, big ? 9000 : 1500);
  const int64_t first =
      lsp_random_in(random, 0, 1) ? 0 : lsp_random_in(random, 1, big ? 20000 : 700);
  p->reach = reaches[lsp_random_in(random, 0, 5)];
  p->room = rooms[lsp_random_in(random, 0, 2)];
  p->ranks = (int)lsp_random_in(random, 1, RANKS);
  p->fixed = lsp_random_in(random, 0, 2) ? lsp_random_in(random, 0, 1)
                                         : lsp_random_in(random, 2, FIXED);
  lsp_failure why = {0};
  assert_int_equal(lsp_plan_open(&p->plan, documents, p->tokens, first,
                                 choose_frames(random, first), &why),
                   LSP_OK);
  /* as far as the longest document goes, as a run has it */
  const int64_t most = lsp_divide_up(lsp_plan_longest(&p->plan), LSP_GRID_BLOCK);
  p->groups = lsp_kept_groups(lsp_min(p->reach, most), p->ranks);
  take_up(p);
}

static void close_play(play *p) {
  for (int r = 0; r < p->ranks; r++)
    free(p->ring[r]);
  lsp_plan_close(&p->plan);
}

static int64_t wave_rows(lsp_random *random) {
  static const int64_t rows[] = {1, 64, 300, 700, 1024, 2048, 5000, 40000};
  return rows[lsp_random_in(random, 0, 7)];
}

static void test_every_loan_finds_its_tiles_and_gives_each_once(void **state) {
  (void)state;
  static play p;
  lsp_random random = {1};
  int64_t rounds = 0, fixed = 0;
  for (int c = 0; c < CORPORA; c++) {
    open_play(&p, &random);
    const int64_t rows = c % 2 ? wave_rows(&random) : 0; /* 0: of many sizes */
    for (int64_t panel = 0; panel < lsp_plan_panels(&p.plan);) {
      const lsp_range wave =
          lsp_plan_wave(&p.plan, panel, rows > 0 ? rows : wave_rows(&random));
      check_rounds(&p, wave, &rounds);
      check_fixed(&p, wave, &fixed);
      keep(&p, wave);
      panel = wave.end;
    }
    close_play(&p);
  }
  assert_true(rounds > 10000 && fixed > 1000); /* there was something to check */
}

/* ---- Amounts */

static void count_tiles(const lsp_loan *loan, void *arg) {
  *(int64_t *)arg += loan->end - loan->first;
}

/* The most that a rank is party to in the first wave. */
static int64_t most_lent(int64_t tokens, int ranks, int64_t reach) {
  lsp_plan plan;
  lsp_failure why = {0};
  assert_int_equal(lsp_plan_open(&plan, 1, &tokens, 0, (lsp_framing){0}, &why), LSP_OK);
  const lsp_range wave = lsp_plan_wave(&plan, 0, 1000000000);
  int64_t most = 0;
  for (int r = 0; r < ranks; r++) {
    const lsp_view_of_wave v = {&plan, wave, r, ranks};
    int64_t tiles = 0;
    for (int64_t round = 0; round < lsp_plan_rounds(&plan, wave, reach, 8); round++)
      lsp_plan_round_loans(&v, reach, 8, round, count_tiles, &tiles);
    most = lsp_max(most, tiles);
  }
  lsp_plan_close(&plan);
  return most;
}

static void test_lent_tiles_do_not_grow_with_the_document(void **state) {
  (void)state;
  static const int many[] = {2, 3, 4, 7, 50, 70};
  for (int64_t reach = 1; reach <= 26; reach += 5)
    for (size_t p = 0; p < sizeof many / sizeof *many; p++) {
      const int64_t short_one = most_lent(150000, many[p], reach);
      assert_int_equal(short_one, (many[p] > 2 ? 2 : 1) * reach); /* in and out */
      assert_int_equal(most_lent(1500000, many[p], reach), short_one);
    }
}

/* No rank keeps more than its share of a long past, and at most two groups beyond. */
static void test_a_ring_is_a_ranks_share_of_the_past(void **state) {
  (void)state;
  const lsp_heads h = {2, 2, 64};
  const int64_t tile = 2 * 2 * 64 * 64 * 4; /* keys and values of 2 heads of width 64 */
  assert_int_equal(lsp_tile_floats(h) * 4, tile);
  static const struct {
    int64_t ranks, groups;
  } is[] = {{1, 50}, {2, 25}, {4, 13}, {7, 8}, {50, 1}, {1000, 1}};
  const int64_t tiles = lsp_divide_up(100000, LSP_GRID_BLOCK); /* 1563 */
  for (size_t i = 0; i < sizeof is / sizeof *is; i++) {
    const int64_t bytes = lsp_kept_groups(tiles, is[i].ranks) * LSP_GROUP * tile;
    assert_int_equal(bytes, is[i].groups * 2097152);
    assert_true(bytes <= tiles * tile / is[i].ranks + 2 * LSP_GROUP * tile);
  }
  assert_int_equal(lsp_kept_groups(0, 4), 0);
  assert_int_equal(lsp_kept_groups(1, 4), 1);
}

LSP_TESTS(cmocka_unit_test(test_every_loan_finds_its_tiles_and_gives_each_once),
          cmocka_unit_test(test_lent_tiles_do_not_grow_with_the_document),
          cmocka_unit_test(test_a_ring_is_a_ranks_share_of_the_past))
