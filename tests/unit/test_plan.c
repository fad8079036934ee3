/* The plan against an enumeration of every panel, token and tile. */
#include "harness.h"
#include "random.h"

#include "lsp/corpus.h"
#include "lsp/plan.h"

enum { CORPORA = 400, DOCUMENTS = 14, PANELS = 2000, LOANS = 4000, TILES = 400 };

static const int rank_counts[] = {1, 2, 3, 4, 7, 50, 70};
enum { RANK_COUNTS = sizeof rank_counts / sizeof *rank_counts };

/* A panel as the text of grid.h has it: 64, 64, 128, 256, 256, ... from position 0. */
typedef struct {
  int64_t document, local, start, rows; /* positions start .. start + rows - 1 */
  int64_t first, end, token; /* positions of its tokens; first one's number */
  int64_t rows_before;
} panel;

typedef struct {
  int64_t tokens[DOCUMENTS];
  int64_t documents, first_position, panels, rows, token_count;
  lsp_pattern pattern;
  panel panel[PANELS];
  lsp_plan plan;
} corpus;

static int64_t naive_rows(int64_t local) {
  return local < 2 ? 64 : local == 2 ? 128 : 256;
}

static void enumerate(corpus *c) {
  c->panels = c->rows = c->token_count = 0;
  for (int64_t d = 0; d < c->documents; d++) {
    const int64_t origin = d == 0 ? c->first_position : 0;
    const int64_t end = origin + c->tokens[d];
    for (int64_t local = 0, start = 0; start < end; start += naive_rows(local++)) {
      const int64_t rows = naive_rows(local);
      if (start + rows <= origin || c->tokens[d] == 0)
        continue;
      assert_true(c->panels < PANELS);
      panel *p = &c->panel[c->panels++];
      *p = (panel){.document = d, .local = local, .start = start, .rows = rows};
      p->first = start > origin ? start : origin;
      p->end = start + rows < end ? start + rows : end;
      p->token = c->token_count + p->first - origin;
      p->rows_before = c->rows;
      c->rows += rows;
    }
    c->token_count += c->tokens[d];
  }
}

static int64_t random_tokens(lsp_random *random) {
  static const int64_t special[] = {0,   1,   2,   63,  64,  65,  127, 128, 129, 191,
                                    192, 193, 255, 256, 257, 511, 512, 513, 997, 1021};
  const int64_t kind = lsp_random_in(random, 0, 3);
  if (kind < 2)
    return special[lsp_random_in(random, 0, 19)];
  return kind == 2 ? lsp_random_in(random, 0, 300) : lsp_random_in(random, 0, 5000);
}

static lsp_pattern random_pattern(lsp_random *random) {
  lsp_pattern p = {.memory = lsp_random_in(random, 0, 600),
                   .segment = lsp_random_in(random, 1, 300),
                   .same_length = (int)lsp_random_in(random, 0, 1),
                   .virtual_past = (int)lsp_random_in(random, 0, 1)};
  if (lsp_random_in(random, 0, 4) == 0)
    p.memory = lsp_random_in(random, 0, 1);
  if (p.same_length && p.memory == 0)
    p.memory = 1;
  return p;
}

static void open_corpus(corpus *c, lsp_random *random) {
  c->documents = lsp_random_in(random, 0, DOCUMENTS);
  c->first_position = lsp_random_in(random, 0, 1) ? 0 : lsp_random_in(random, 1, 700);
  for (int64_t d = 0; d < c->documents; d++)
    c->tokens[d] = random_tokens(random);
  c->pattern = random_pattern(random);
  enumerate(c);
  lsp_failure why = {0};
  assert_int_equal(lsp_plan_open(&c->plan, c->documents, c->tokens, c->first_position,
                                 &c->pattern, &why),
                   LSP_OK);
}

/* Runs a check on many corpora. */
static void for_corpora(uint64_t seed, void (*check)(const corpus *, lsp_random *)) {
  static corpus c;
  lsp_random random = {seed};
  for (int i = 0; i < CORPORA; i++) {
    open_corpus(&c, &random);
    check(&c, &random);
    lsp_plan_close(&c.plan);
  }
}

static int64_t random_limit(lsp_random *random) {
  static const int64_t limit[] = {1, 64, 100, 256, 1000, 2048, 4000, 1000000};
  return limit[lsp_random_in(random, 0, 7)];
}

/* ---- The grid and the panels */

static void test_grid_is_64_64_128_and_then_256(void **state) {
  (void)state;
  int64_t start = 0;
  for (int64_t p = 0; p < 50; start += naive_rows(p++)) {
    assert_int_equal(lsp_panel_start(p), start);
    assert_int_equal(lsp_panel_rows(p), naive_rows(p));
    for (int64_t i = start; i < start + naive_rows(p); i++)
      assert_int_equal(lsp_panel_of(i), p);
  }
}

static void panels_are_the_enumeration(const corpus *c, lsp_random *random) {
  (void)random;
  assert_int_equal(lsp_plan_panels(&c->plan), c->panels);
  assert_int_equal(lsp_plan_tokens(&c->plan), c->token_count);
  for (int64_t i = 0; i < c->panels; i++) {
    assert_int_equal(lsp_plan_document(&c->plan, i), c->panel[i].document);
    assert_int_equal(lsp_plan_rows_before(&c->plan, i), c->panel[i].rows_before);
    assert_int_equal(lsp_plan_tokens_before(&c->plan, i), c->panel[i].token);
  }
  assert_int_equal(lsp_plan_rows_before(&c->plan, c->panels), c->rows);
  assert_int_equal(lsp_plan_tokens_before(&c->plan, c->panels), c->token_count);
  assert_int_equal(lsp_plan_documents_before(&c->plan, -1), 0);
  for (int64_t t = 0, d = 0; t <= c->token_count; t++) {
    while (d < c->plan.documents && c->plan.token_start[d + 1] <= t)
      d++;
    assert_int_equal(lsp_plan_documents_before(&c->plan, t), d);
  }
}

static void test_panels_of_random_corpora_are_the_enumeration(void **state) {
  (void)state;
  for_corpora(1, panels_are_the_enumeration);
}

/* Walks the pieces of a span; returns the token after its last. */
static int64_t walk(const corpus *c, lsp_range span, int64_t token) {
  for (int64_t i = span.first; i < span.end;) {
    const lsp_piece piece = lsp_plan_piece(&c->plan, span, i);
    const int64_t panels = piece.panel_end - piece.panel_first;
    const panel *first = &c->panel[i], *last = &c->panel[i + panels - 1];
    assert_true(panels > 0 && i + panels <= span.end);
    assert_int_equal(piece.document, first->document);
    assert_int_equal(last->document, first->document);
    assert_true(i + panels == span.end || last[1].document != first->document);
    assert_int_equal(piece.panel_first, first->local);
    assert_int_equal(piece.row, first->rows_before - c->panel[span.first].rows_before);
    assert_int_equal(piece.start, first->start);
    assert_int_equal(piece.first, first->first);
    assert_int_equal(piece.end, last->end);
    assert_true(piece.start <= piece.first && piece.first < piece.end);
    assert_int_equal(piece.token, token);
    token += piece.end - piece.first;
    i += panels;
  }
  return token;
}

static void spans_walk_all_tokens(const corpus *c, lsp_random *random) {
  const int64_t limit = random_limit(random);
  for (int p = 0; p < RANK_COUNTS; p++) {
    const int ranks = rank_counts[p];
    int64_t token = 0;
    for (int64_t first = 0; first < c->panels;) {
      const lsp_range wave = lsp_plan_wave(&c->plan, first, limit);
      assert_int_equal(wave.first, first);
      assert_true(wave.end > first && wave.end <= c->panels);
      const int64_t rows = lsp_plan_rows_before(&c->plan, wave.end) -
                           lsp_plan_rows_before(&c->plan, wave.first);
      assert_true(rows <= limit || wave.end == first + 1);
      if (wave.end < c->panels) /* one panel more would not fit */
        assert_true(rows + c->panel[wave.end].rows > limit);
      int64_t at = first;
      for (int r = 0; r < ranks; r++) {
        const lsp_range span = lsp_plan_span(&c->plan, wave, r, ranks);
        assert_int_equal(span.first, at);
        assert_true(span.end >= at && span.end <= wave.end);
        const int64_t own = lsp_plan_rows_before(&c->plan, span.end) -
                            lsp_plan_rows_before(&c->plan, span.first);
        assert_true(own <= lsp_divide_up(rows, ranks) + LSP_PANEL);
        token = walk(c, span, token);
        at = span.end;
      }
      assert_int_equal(at, wave.end);
      first = wave.end;
    }
    assert_int_equal(token, c->token_count);
  }
}

static void test_waves_and_spans_hold_every_token_once_in_order(void **state) {
  (void)state;
  for_corpora(2, spans_walk_all_tokens);
}

/* The memory of a document that is taken up in mid-panel lies with rank 0. */
static void first_panel_is_rank_0s(const corpus *c, lsp_random *random) {
  const int64_t limit = random_limit(random);
  static const int many[] = {1, 3, 50, 63, 64, 65, 127, 1000, 40000};
  for (int64_t first = 0; first < c->panels;) {
    const lsp_range wave = lsp_plan_wave(&c->plan, first, limit);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
      const lsp_range span = lsp_plan_span(&c->plan, wave, 0, many[i]);
      assert_true(span.first == first && span.end > first);
    }
    first = wave.end;
  }
}

static void
test_first_panel_of_a_wave_is_rank_0s_for_any_number_of_ranks(void **state) {
  (void)state;
  for_corpora(7, first_panel_is_rank_0s);
}

/* ---- Patterns */

/* Whether the query at i sees the key at j, as the sentences of plan.h have it. */
static int sees(const lsp_pattern *p, int64_t i, int64_t j) {
  if (j > i || (j < 0 && !p->virtual_past))
    return 0;
  if (p->same_length)
    return j > i - p->memory;
  return j >= i - i % p->segment - p->memory;
}

static void test_pattern_is_the_set_of_keys_that_are_seen(void **state) {
  (void)state;
  lsp_random random = {3};
  for (int c = 0; c < 60; c++) {
    const lsp_pattern p = random_pattern(&random);
    const int64_t from = lsp_random_in(&random, 0, 900);
    const int64_t end = from + lsp_random_in(&random, 0, 700);
    int64_t pairs = 0;
    for (int64_t i = from; i < end; i++) {
      const int64_t first = lsp_pattern_first(&p, i);
      assert_true(first >= i - lsp_pattern_reach(&p));
      assert_true(first >= 0 || p.virtual_past);
      for (int64_t j = -1000; j <= i; j++) {
        assert_int_equal(sees(&p, i, j), j >= first);
        pairs += sees(&p, i, j);
      }
    }
    assert_true(lsp_pattern_pairs(&p, from, end) == (double)pairs);
  }
}

/* ---- Loans */

typedef struct {
  int lender, borrower, from_carry, to_carry;
  int64_t first, end;
} loan;

typedef struct {
  int rank, borrows, count;
  loan loan[LOANS];
} loans;

static void keep(const lsp_loan *l, void *arg) {
  loans *list = arg;
  assert_true(list->count < LOANS);
  assert_true(l->first < l->end);
  list->loan[list->count++] = (loan){.lender = list->borrows ? l->peer : list->rank,
                                     .borrower = list->borrows ? list->rank : l->peer,
                                     .from_carry = l->from_carry != 0,
                                     .to_carry = l->to_carry != 0,
                                     .first = l->first,
                                     .end = l->end};
}

static int same(const loan *a, const loan *b) {
  return a->lender == b->lender && a->borrower == b->borrower &&
         a->from_carry == b->from_carry && a->to_carry == b->to_carry &&
         a->first == b->first && a->end == b->end;
}

static int same_pair(const loan *a, const loan *b) {
  return a->lender == b->lender && a->borrower == b->borrower;
}

/* Every loan of `of` is the next one of its pair in `in`. Loans to oneself may come in
 * another order: nothing is sent. */
static void each_is_found(const loans *of, const loans *in) {
  assert_int_equal(of->count, in->count);
  for (int i = 0; i < of->count; i++) {
    const loan *a = &of->loan[i];
    int place = 0, found = 0, alike = 0;
    for (int k = 0; k < i; k++)
      place += same_pair(a, &of->loan[k]);
    for (int k = 0; k < of->count; k++)
      alike += same(a, &of->loan[k]);
    for (int k = 0; k < in->count; k++) {
      const loan *b = &in->loan[k];
      alike -= same(a, b);
      if (!same_pair(a, b))
        continue;
      found |= same(a, b) && (place == 0 || a->lender == a->borrower);
      place--;
    }
    assert_int_equal(alike, 0);
    assert_true(found);
  }
}

/* Tiles of the document before a panel that a query from there on can see. */
static lsp_tiles naive_past(const corpus *c, int64_t at) {
  if (at == c->panels)
    return (lsp_tiles){c->documents, 0, 0};
  const panel *p = &c->panel[at];
  const int64_t lowest = lsp_max(0, p->start - lsp_pattern_reach(&c->pattern));
  return (lsp_tiles){p->document, lsp_min(lowest, p->start) / 64, p->start / 64};
}

static int same_tiles(lsp_tiles a, lsp_tiles b) {
  if (a.first >= a.end)
    return b.first >= b.end;
  return a.document == b.document && a.first == b.first && a.end == b.end;
}

/* Rank that owns a tile in a wave, by its panel; -1: none, it is older. */
static int owner(const corpus *c, lsp_range wave, int ranks, int64_t document,
                 int64_t tile) {
  for (int r = 0; r < ranks; r++) {
    const lsp_range span = lsp_plan_span(&c->plan, wave, r, ranks);
    for (int64_t i = span.first; i < span.end; i++) {
      const panel *p = &c->panel[i];
      if (p->document == document && p->start / 64 <= tile &&
          tile < (p->start + p->rows) / 64)
        return r;
    }
  }
  return -1;
}

/* The loans of a borrower (of one kind) give every tile of `want` once, each from where
 * it lies. */
static void covers(const corpus *c, lsp_range wave, int ranks, const loans *list,
                   int to_carry, lsp_tiles want) {
  static int owner_of[TILES], seen[TILES];
  const lsp_tiles carry = naive_past(c, wave.first);
  if (want.first >= want.end)
    want.first = want.end = 0;
  assert_true(want.end - want.first <= TILES);
  for (int64_t t = want.first; t < want.end; t++) {
    seen[t - want.first] = 0;
    owner_of[t - want.first] = owner(c, wave, ranks, want.document, t);
  }
  for (int i = 0; i < list->count; i++) {
    const loan *l = &list->loan[i];
    if (l->to_carry != to_carry)
      continue;
    assert_true(l->first >= want.first && l->end <= want.end);
    for (int64_t t = l->first; t < l->end; t++) {
      const int lies_with = owner_of[t - want.first];
      seen[t - want.first]++;
      assert_int_equal(l->from_carry, lies_with < 0);
      assert_int_equal(l->lender, lies_with < 0 ? 0 : lies_with);
      if (l->from_carry)
        assert_true(carry.document == want.document && carry.first <= t &&
                    t < carry.end);
    }
  }
  for (int64_t t = want.first; t < want.end; t++)
    assert_int_equal(seen[t - want.first], 1);
}

static void check_wave(const corpus *c, lsp_range wave, int ranks) {
  static loans all_borrowed, all_lent, one;
  all_borrowed.count = all_lent.count = 0;
  all_borrowed.borrows = 1;
  for (int r = 0; r < ranks; r++) {
    const lsp_range span = lsp_plan_span(&c->plan, wave, r, ranks);
    one.count = 0;
    one.rank = all_borrowed.rank = all_lent.rank = r;
    one.borrows = 1;
    lsp_plan_borrowed(&c->plan, wave, r, ranks, keep, &one);
    lsp_plan_borrowed(&c->plan, wave, r, ranks, keep, &all_borrowed);
    lsp_plan_lent(&c->plan, wave, r, ranks, keep, &all_lent);
    lsp_tiles past = {0}, next = {0};
    if (span.first < span.end) {
      past = naive_past(c, span.first);
      assert_true(same_tiles(past, lsp_plan_past(&c->plan, span.first)));
    }
    if (r == 0) {
      next = naive_past(c, wave.end);
      assert_true(same_tiles(next, lsp_plan_past(&c->plan, wave.end)));
    }
    covers(c, wave, ranks, &one, 0, past);
    covers(c, wave, ranks, &one, 1, next);
  }
  each_is_found(&all_borrowed, &all_lent);
  each_is_found(&all_lent, &all_borrowed);
}

static void loans_are_right(const corpus *c, lsp_random *random) {
  const int64_t limit = random_limit(random);
  const int ranks = rank_counts[lsp_random_in(random, 0, RANK_COUNTS - 1)];
  for (int64_t first = 0; first < c->panels;) {
    const lsp_range wave = lsp_plan_wave(&c->plan, first, limit);
    check_wave(c, wave, ranks);
    first = wave.end;
  }
}

static void test_loans_give_each_past_once_and_both_sides_agree(void **state) {
  (void)state;
  for_corpora(4, loans_are_right);
}

/* What is carried into the first wave reaches up to the place of the snapshot. */
static void carry_is_right(const corpus *c, lsp_random *random) {
  (void)random;
  for (int64_t i = 0; i <= c->panels; i++) {
    lsp_tiles want = naive_past(c, i);
    if (i == 0 && want.document == 0 && c->documents > 0)
      while (want.end * 64 < c->first_position)
        want.end++;
    assert_true(same_tiles(lsp_plan_carried(&c->plan, i), want));
  }
}

static void test_carry_into_the_first_panel_reaches_the_snapshot(void **state) {
  (void)state;
  for_corpora(6, carry_is_right);
}

/* ---- Traffic */

static int64_t most_borrowed(int64_t tokens, int ranks, const lsp_pattern *pattern) {
  static loans one;
  lsp_plan plan;
  lsp_failure why = {0};
  assert_int_equal(lsp_plan_open(&plan, 1, &tokens, 0, pattern, &why), LSP_OK);
  const lsp_range wave = lsp_plan_wave(&plan, 0, 1000000000);
  int64_t most = 0;
  for (int r = 0; r < ranks; r++) {
    int64_t tiles = 0;
    one.count = 0;
    lsp_plan_borrowed(&plan, wave, r, ranks, keep, &one);
    for (int i = 0; i < one.count; i++)
      tiles += one.loan[i].end - one.loan[i].first;
    most = lsp_max(most, tiles);
  }
  lsp_plan_close(&plan);
  return most;
}

static void test_borrowed_tiles_do_not_grow_with_the_document(void **state) {
  (void)state;
  for (int64_t memory = 1; memory <= 1601; memory += 200)
    for (int p = 1; p < RANK_COUNTS; p++) {
      const lsp_pattern pattern = {.memory = memory, .same_length = 1};
      const int64_t short_one = most_borrowed(150000, rank_counts[p], &pattern);
      assert_int_equal(short_one, lsp_divide_up(memory - 1, 64));
      assert_int_equal(most_borrowed(1500000, rank_counts[p], &pattern), short_one);
    }
}

/* The last position that is counted, and the first that is not. */
static void test_positions_beyond_all_limits_are_refused(void **state) {
  (void)state;
  const lsp_pattern pattern = {.memory = 512, .segment = 512};
  const int64_t tokens[] = {1000, 5};
  lsp_failure why = {0};
  lsp_plan plan;
  for (int64_t past = -3; past <= 3; past++) {
    const int64_t first = LSP_TOKENS_MOST - tokens[0] + past;
    const lsp_status st = lsp_plan_open(&plan, 2, tokens, first, &pattern, &why);
    assert_int_equal(st, past > 0 ? LSP_E_LIMIT : LSP_OK);
    if (st != LSP_OK)
      continue;
    const lsp_range all = {0, lsp_plan_panels(&plan)};
    const lsp_piece piece = lsp_plan_piece(&plan, all, 0);
    assert_int_equal(piece.first, first);
    assert_int_equal(piece.end, first + tokens[0]);
    assert_int_equal(lsp_plan_tokens_before(&plan, all.end), 1005);
    lsp_plan_close(&plan);
  }
  assert_int_equal(lsp_plan_open(&plan, 2, tokens, INT64_MAX, &pattern, &why),
                   LSP_E_LIMIT);
  expect_message(&why, "2^60");
}

LSP_TESTS(
    cmocka_unit_test(test_positions_beyond_all_limits_are_refused),

    cmocka_unit_test(test_grid_is_64_64_128_and_then_256),
    cmocka_unit_test(test_panels_of_random_corpora_are_the_enumeration),
    cmocka_unit_test(test_waves_and_spans_hold_every_token_once_in_order),
    cmocka_unit_test(test_first_panel_of_a_wave_is_rank_0s_for_any_number_of_ranks),
    cmocka_unit_test(test_pattern_is_the_set_of_keys_that_are_seen),
    cmocka_unit_test(test_loans_give_each_past_once_and_both_sides_agree),
    cmocka_unit_test(test_carry_into_the_first_panel_reaches_the_snapshot),
    cmocka_unit_test(test_borrowed_tiles_do_not_grow_with_the_document))
