/* The plan against an enumeration of every panel, row and token. */
#include "harness.h"
#include "random.h"

#include "lsp/corpus.h"
#include "lsp/plan.h"

enum { CORPORA = 600, DOCUMENTS = 14, FRAMES = 80000, PANELS = 400000, PREFIX = 32 };

static const int rank_counts[] = {1, 2, 3, 4, 7, 50, 70};
enum { RANK_COUNTS = sizeof rank_counts / sizeof *rank_counts };

/* A panel as the text of grid.h has it: 64, 64, 128, 256, 256, ... from position 0. */
typedef struct {
  int64_t frame, local, start, rows; /* positions start .. start + rows - 1 */
  int64_t first, end;                /* positions of its rows */
  int64_t tokens_end;                /* one past its last token's */
  int64_t origin, token; /* position of the first token that its frame has for
                                        itself, as far as it is here, and its number */
  int64_t rows_before;
} panel;

/* Its first row here, its first own token, one past its last; one past its last row; number
 * of its first own token. */
typedef struct {
  int64_t document, begin, origin, tokens_end, end, token;
  int64_t segment; /* of a wrapped model */
} frame;

typedef struct {
  int64_t tokens[DOCUMENTS];
  int64_t documents, frames, first_position, panels, rows, token_count;
  lsp_framing framing;
  frame frame[FRAMES];
  panel panel[PANELS];
  lsp_plan plan;
} corpus;

static int64_t naive_rows(int64_t local) {
  return local < 2 ? 64 : local == 2 ? 128 : 256;
}

static void add_frame(corpus *c, int64_t d, int64_t lead, int64_t tokens) {
  const int goes_on = d == 0 && c->first_position > 0;
  assert_true(c->frames < FRAMES);
  frame *f = &c->frame[c->frames++];
  *f = (frame){.document = d,
               .begin = goes_on ? c->first_position : 0,
               .origin = (goes_on ? c->first_position : c->framing.prefix) + lead,
               .token = c->token_count};
  f->tokens_end = f->origin + tokens;
  f->end = f->tokens_end + (tokens > 0 ? c->framing.suffix : 0);
  c->token_count += tokens;
}

/* Segments of the whole document, token by token from its beginning. */
static void add_segments(corpus *c, int64_t d) {
  const lsp_framing *g = &c->framing;
  const int64_t from = d == 0 ? g->before : 0, end = from + c->tokens[d];
  int64_t at = from - from % g->stride;
  do {
    const int64_t next = at + g->stride < end ? at + g->stride : end;
    const int64_t own = at > from ? at : from;
    const int64_t read = at > g->again ? at - g->again : 0;
    add_frame(c, d, own - read, next - own);
    c->frame[c->frames - 1].segment = at / g->stride;
    at += g->stride;
  } while (at < end);
}

/* The loop of a strided evaluation. */
static void add_frames(corpus *c, int64_t d) {
  const lsp_framing *g = &c->framing;
  const int64_t all = c->tokens[d];
  int64_t before = 0;
  if (g->tokens == 0) {
    add_frame(c, d, 0, all);
    return;
  }
  if (g->whole) {
    add_segments(c, d);
    return;
  }
  for (int64_t begin = 0;; begin += g->stride) {
    const int64_t end = begin + g->tokens < all ? begin + g->tokens : all;
    add_frame(c, d, before - begin, end - before);
    before = end;
    if (end == all)
      break;
  }
}

static void add_panels(corpus *c, int64_t of) {
  const frame *f = &c->frame[of];
  for (int64_t local = 0, start = 0; start < f->end; start += naive_rows(local++)) {
    const int64_t rows = naive_rows(local);
    if (start + rows <= f->begin || f->origin == f->end)
      continue;
    assert_true(c->panels < PANELS);
    panel *p = &c->panel[c->panels++];
    *p = (panel){.frame = of, .local = local, .start = start, .rows = rows};
    p->first = start > f->begin ? start : f->begin;
    p->end = start + rows < f->end ? start + rows : f->end;
    p->tokens_end = p->end;
    while (p->tokens_end > p->first && p->tokens_end > f->tokens_end)
      p->tokens_end--;
    p->origin = p->first;
    while (p->origin < p->tokens_end && p->origin < f->origin)
      p->origin++;
    p->token = f->token;
    for (int64_t i = f->origin; i < f->tokens_end && i < p->first; i++)
      p->token++;
    p->rows_before = c->rows;
    c->rows += rows;
  }
}

static void enumerate(corpus *c) {
  c->frames = c->panels = c->rows = c->token_count = 0;
  for (int64_t d = 0; d < c->documents; d++)
    add_frames(c, d);
  for (int64_t f = 0; f < c->frames; f++)
    add_panels(c, f);
}

static int64_t random_tokens(lsp_random *random) {
  static const int64_t special[] = {0,   1,   2,   63,  64,  65,  127, 128, 129, 191,
                                    192, 193, 255, 256, 257, 511, 512, 513, 997, 1021};
  const int64_t kind = lsp_random_in(random, 0, 3);
  if (kind < 2)
    return special[lsp_random_in(random, 0, 19)];
  return kind == 2 ? lsp_random_in(random, 0, 300) : lsp_random_in(random, 0, 5000);
}

/* Wrapped models: tokens before a segment, rows before and behind it, or both. */
static void choose_segments(corpus *c, lsp_random *random) {
  const int64_t S = lsp_random_in(random, 0, 2) == 0 ? lsp_random_in(random, 1, 40)
                                                     : lsp_random_in(random, 50, 1500);
  lsp_framing *g = &c->framing;
  *g = (lsp_framing){.tokens = S, .stride = S, .whole = 1};
  g->before = lsp_random_in(random, 0, 1) ? 0 : lsp_random_in(random, 1, 4 * S);
  switch (lsp_random_in(random, 0, 2)) {
  case 0: /* rows before it are read again */
    g->again = lsp_random_in(random, 0, 3 * S);
    g->prefix = lsp_random_in(random, 0, 1) ? 0 : (int)lsp_random_in(random, 1, PREFIX);
    g->own = lsp_random_in(random, 0, 2) == 0;
    return;
  case 1: /* memory tokens behind it */
    g->suffix = lsp_random_in(random, 1, 100);
    g->linked = 1;
    return;
  default: /* on both sides */
    g->suffix = g->prefix = (int)lsp_random_in(random, 1, 200);
    g->linked = 1;
    g->whole = 2;
  }
}

/* Whole documents; chunks, which nothing continues; or segments. */
static void choose_frames(corpus *c, lsp_random *random) {
  const int prefix =
      lsp_random_in(random, 0, 1) ? 0 : (int)lsp_random_in(random, 1, PREFIX);
  c->first_position = lsp_random_in(random, 0, 1) ? 0 : lsp_random_in(random, 1, 700);
  c->framing = (lsp_framing){.prefix = prefix};
  if (lsp_random_in(random, 0, 2) == 0)
    return;
  c->first_position = 0;
  if (lsp_random_in(random, 0, 1)) {
    choose_segments(c, random);
    return;
  }
  c->framing.tokens = lsp_random_in(random, 200, 3000);
  c->framing.stride = lsp_random_in(random, 0, 3) == 0
                          ? c->framing.tokens
                          : lsp_random_in(random, 100, c->framing.tokens);
  c->framing.half = c->framing.stride == c->framing.tokens && prefix == 0;
}

static void open_corpus(corpus *c, lsp_random *random) {
  c->documents = lsp_random_in(random, 0, DOCUMENTS);
  for (int64_t d = 0; d < c->documents; d++)
    c->tokens[d] = random_tokens(random);
  choose_frames(c, random);
  enumerate(c);
  lsp_failure why = {0};
  assert_int_equal(lsp_plan_open(&c->plan, c->documents, c->tokens, c->first_position,
                                 c->framing, &why),
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
  assert_int_equal(c->plan.frames, c->frames);
  assert_int_equal(c->plan.documents, c->documents);
  assert_int_equal(lsp_plan_panels(&c->plan), c->panels);
  assert_int_equal(lsp_plan_tokens(&c->plan), c->token_count);
  for (int64_t i = 0; i < c->panels; i++) {
    assert_int_equal(lsp_plan_frame(&c->plan, i), c->panel[i].frame);
    assert_int_equal(lsp_plan_rows_before(&c->plan, i), c->panel[i].rows_before);
    assert_int_equal(lsp_plan_tokens_before(&c->plan, i), c->panel[i].token);
  }
  assert_int_equal(lsp_plan_rows_before(&c->plan, c->panels), c->rows);
  assert_int_equal(lsp_plan_tokens_before(&c->plan, c->panels), c->token_count);
}

static void frames_and_documents_are_found(const corpus *c, lsp_random *random) {
  (void)random;
  int64_t d = 0, f = 0, end = c->documents > 0 ? c->tokens[0] : 0, again = 0;
  assert_int_equal(lsp_plan_documents_before(&c->plan, -1), 0);
  for (int64_t t = 0; t <= c->token_count; t++) {
    for (; d < c->documents && end <= t; d++)
      end += d + 1 < c->documents ? c->tokens[d + 1] : 0;
    while (f < c->frames &&
           (f + 1 < c->frames ? c->frame[f + 1].token : c->token_count) <= t)
      f++;
    assert_int_equal(lsp_plan_documents_before(&c->plan, t), d);
    assert_int_equal(lsp_plan_frames_before(&c->plan, t), f);
  }
  for (f = 0; f < c->frames; f++) {
    const int64_t lead = c->frame[f].origin - c->frame[f].begin - c->framing.prefix;
    assert_int_equal(lsp_plan_document_of(&c->plan, f), c->frame[f].document);
    if (c->first_position == 0)
      assert_int_equal(lsp_plan_lead(&c->plan, f), lead);
    if (c->framing.whole)
      assert_int_equal(lsp_plan_segment(&c->plan, f), c->frame[f].segment);
    again += c->first_position == 0 ? lead : 0;
  }
  assert_int_equal(lsp_plan_read_again(&c->plan), again);
}

static void test_frames_and_documents_of_tokens_are_found(void **state) {
  (void)state;
  for_corpora(5, frames_and_documents_are_found);
}

static void test_panels_of_random_corpora_are_the_enumeration(void **state) {
  (void)state;
  for_corpora(1, panels_are_the_enumeration);
}

/* ---- Positions and tokens */

static void positions_are_counted_with_the_prefix(const corpus *c, lsp_random *random) {
  (void)random;
  int64_t token = 0, longest = 0;
  for (int64_t k = 0; k < c->frames; k++) {
    const frame *f = &c->frame[k];
    assert_int_equal(lsp_plan_begin(&c->plan, k), f->begin);
    assert_int_equal(lsp_plan_origin(&c->plan, k), f->origin);
    assert_int_equal(lsp_plan_end(&c->plan, k), f->end);
    assert_int_equal(lsp_plan_tokens_end(&c->plan, k), f->tokens_end);
    assert_int_equal(lsp_plan_tokens_of(&c->plan, k), f->tokens_end - f->origin);
    longest = f->end > longest ? f->end : longest;
    for (int64_t i = f->origin; i < f->tokens_end; i++, token++) {
      assert_int_equal(lsp_plan_token(&c->plan, k, i), token);
      assert_int_equal(lsp_plan_position(&c->plan, k, token), i);
    }
  }
  assert_int_equal(lsp_plan_longest(&c->plan), longest);
}

static void test_positions_count_the_prefix_and_tokens_do_not(void **state) {
  (void)state;
  for_corpora(3, positions_are_counted_with_the_prefix);
}

/* The row that predicts a token of frame f: its frame, and position there; frame -1: none
 * does. The row before it; two-sided its own; of linked frames the token before it, in
 * whatever frame of the document. */
typedef struct {
  int64_t frame, position;
} place;

static place predictor(const corpus *c, int64_t k, int64_t position) {
  const frame *f = &c->frame[k];
  if (c->framing.own)
    return (place){k, position};
  if (c->framing.linked && position == c->framing.prefix) {
    const int goes_on = k > 0 && f[-1].document == f->document;
    return goes_on ? (place){k - 1, f[-1].tokens_end - 1} : (place){-1, 0};
  }
  return position > f->begin ? (place){k, position - 1} : (place){-1, 0};
}

/* What the framing asks for: llama-perplexity scores the tokens N / 2 + 1 .. N - 1 of each
 * whole chunk. */
static int naive_predicts(const corpus *c, int64_t k, int64_t position) {
  const lsp_framing *g = &c->framing;
  const frame *f = &c->frame[k];
  return predictor(c, k, position).frame >= 0 &&
         (!g->half ||
          (f->tokens_end - f->origin == g->tokens && position >= g->tokens / 2 + 1));
}

/* A token's nll is written by the panel of the row that predicts it; one that none does by
 * its frame's first panel. */
static void panels_write_each_number_once(const corpus *c, lsp_random *random) {
  (void)random;
  int64_t token = 0, nll = 0, owner = 0;
  for (int64_t i = 0; i < c->panels; i++) {
    const panel *p = &c->panel[i];
    const frame *f = &c->frame[p->frame];
    const lsp_panel_output out = lsp_plan_panel_output(&c->plan, i);
    assert_int_equal(out.document, f->document);
    assert_int_equal(out.token, token);
    assert_int_equal(out.token_end, token + p->tokens_end - p->origin);
    assert_int_equal(out.nll, nll);
    for (int64_t t = out.nll; t < out.nll_end; t++) {
      while (owner + 1 < c->frames && c->frame[owner + 1].token <= t)
        owner++;
      const int64_t position = c->frame[owner].origin + t - c->frame[owner].token;
      const place by = predictor(c, owner, position);
      assert_true(by.frame < 0 ? i == c->plan.panel_start[owner]
                               : by.frame == p->frame && by.position >= p->first &&
                                     by.position < p->end);
      assert_int_equal(lsp_plan_predicts(&c->plan, owner, position),
                       naive_predicts(c, owner, position));
    }
    token = out.token_end;
    nll = out.nll_end;
  }
  assert_int_equal(token, c->token_count);
  assert_int_equal(nll, c->token_count);
  for (int64_t k = 0; k < c->frames; k++)
    assert_int_equal(lsp_plan_links(&c->plan, k),
                     c->framing.linked && k + 1 < c->frames &&
                         c->frame[k + 1].document == c->frame[k].document);
}

static void test_panels_write_each_token_and_each_nll_once(void **state) {
  (void)state;
  for_corpora(4, panels_write_each_number_once);
}

/* ---- Waves and spans */

/* Walks the pieces of a span; returns the token after its last. */
static int64_t walk(const corpus *c, lsp_range span, int64_t token) {
  for (int64_t i = span.first; i < span.end;) {
    const lsp_piece piece = lsp_plan_piece(&c->plan, span, i);
    const int64_t panels = piece.panel_end - piece.panel_first;
    const panel *first = &c->panel[i], *last = &c->panel[i + panels - 1];
    assert_true(panels > 0 && i + panels <= span.end);
    assert_int_equal(piece.frame, first->frame);
    assert_int_equal(last->frame, first->frame);
    assert_true(i + panels == span.end || last[1].frame != first->frame);
    assert_int_equal(piece.panel_first, first->local);
    assert_int_equal(piece.row, first->rows_before - c->panel[span.first].rows_before);
    assert_int_equal(piece.start, first->start);
    assert_int_equal(piece.first, first->first);
    assert_int_equal(piece.end, last->end);
    assert_true(piece.start <= piece.first && piece.first < piece.end);
    int64_t own = 0, until = piece.first;
    for (const panel *p = first; p <= last; p++) {
      own += p->tokens_end - p->origin;
      until = p->tokens_end > p->first ? p->tokens_end : until;
    }
    assert_int_equal(piece.tokens_end, until);
    assert_true(piece.first <= piece.origin && piece.tokens_end <= piece.end);
    assert_int_equal(piece.tokens_end - piece.origin, own);
    assert_int_equal(piece.token, token);
    token += own;
    i += panels;
  }
  return token;
}

/* What spans are made of, as a number: of panel, frame or document. A border between two
 * panels that have the same one is no border of a span. */
static int64_t unit_of(const corpus *c, int64_t i, int whole) {
  const panel *p = &c->panel[i];
  return whole == 0 ? i : whole == 1 ? p->frame : c->frame[p->frame].document;
}

/* 1 if a wave or span may end before panel i. */
static int is_border(const corpus *c, int64_t i, int whole) {
  return i == 0 || i == c->panels || unit_of(c, i - 1, whole) != unit_of(c, i, whole);
}

/* Rows of the longest unit in panels [first, end). */
static int64_t longest_unit(const corpus *c, lsp_range r, int whole) {
  int64_t longest = 0, rows = 0;
  for (int64_t i = r.first; i < r.end; i++) {
    rows = (i > r.first && is_border(c, i, whole) ? 0 : rows) + c->panel[i].rows;
    longest = rows > longest ? rows : longest;
  }
  return longest;
}

static int64_t rows_of_panels(const corpus *c, lsp_range r) {
  int64_t rows = 0;
  for (int64_t i = r.first; i < r.end; i++)
    rows += c->panel[i].rows;
  return rows;
}

/* As many rows as the limit allows, of whole panels or frames, and at least one of them. */
static void wave_is_full(const corpus *c, lsp_range wave, int64_t limit) {
  const int by = c->framing.whole > 0;
  const int64_t rows = rows_of_panels(c, wave);
  assert_true(wave.end > wave.first && wave.end <= c->panels);
  assert_true(is_border(c, wave.end, by));
  assert_true(rows <= limit ||
              unit_of(c, wave.first, by) == unit_of(c, wave.end - 1, by));
  lsp_range more = {wave.first, wave.end + 1};
  while (more.end < c->panels && !is_border(c, more.end, by))
    more.end++;
  if (wave.end < c->panels)
    assert_true(rows_of_panels(c, more) > limit);
}

static int64_t walk_spans(const corpus *c, lsp_range wave, int ranks, int64_t token) {
  const int whole = c->framing.whole;
  const int64_t rows = rows_of_panels(c, wave), unit = longest_unit(c, wave, whole);
  int64_t at = wave.first;
  for (int r = 0; r < ranks; r++) {
    const lsp_range span = lsp_plan_span(&c->plan, wave, r, ranks);
    assert_int_equal(span.first, at);
    assert_true(span.end >= at && span.end <= wave.end);
    assert_true(span.end == wave.end || span.end == wave.first ||
                is_border(c, span.end, whole));
    assert_true(rows_of_panels(c, span) <= lsp_divide_up(rows, ranks) + unit);
    token = walk(c, span, token);
    at = span.end;
  }
  assert_int_equal(at, wave.end);
  return token;
}

static void spans_walk_all_tokens(const corpus *c, lsp_random *random) {
  const int64_t limit = random_limit(random);
  for (int p = 0; p < RANK_COUNTS; p++) {
    int64_t token = 0;
    for (int64_t first = 0; first < c->panels;) {
      const lsp_range wave = lsp_plan_wave(&c->plan, first, limit);
      assert_int_equal(wave.first, first);
      wave_is_full(c, wave, limit);
      token = walk_spans(c, wave, rank_counts[p], token);
      first = wave.end;
    }
    assert_int_equal(token, c->token_count);
  }
}

static void test_waves_and_spans_hold_every_token_once_in_order(void **state) {
  (void)state;
  for_corpora(2, spans_walk_all_tokens);
}

/* In rows of panels, which a document without tokens has none of. */
static void longest_document_is_found(const corpus *c, lsp_random *random) {
  (void)random;
  int64_t longest = 0, rows = 0;
  for (int64_t i = 0; i < c->panels; i++) {
    rows = (i > 0 && is_border(c, i, 2) ? 0 : rows) + c->panel[i].rows;
    longest = rows > longest ? rows : longest;
  }
  assert_int_equal(lsp_plan_longest_document(&c->plan), longest);
}

static void test_rows_of_the_longest_document_are_found(void **state) {
  (void)state;
  for_corpora(8, longest_document_is_found);
}

/* The memory of a frame that is taken up in mid-panel lies with rank 0. */
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

/* The last position that is counted, and the first that is not. */
static void test_positions_beyond_all_limits_are_refused(void **state) {
  (void)state;
  const int64_t tokens[] = {1000, 5};
  const lsp_framing five = {.prefix = 5};
  lsp_failure why = {0};
  lsp_plan plan;
  for (int64_t past = -3; past <= 3; past++) {
    const int64_t first = LSP_TOKENS_MOST - tokens[0] + past;
    const lsp_status st = lsp_plan_open(&plan, 2, tokens, first, five, &why);
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
  assert_int_equal(lsp_plan_open(&plan, 2, tokens, INT64_MAX, five, &why), LSP_E_LIMIT);
  expect_message(&why, "2^60");
}

/* Numbers whose bytes a size_t does not count: 24 for each of 2^64 / 24 frames. */
static void test_more_frames_than_memory_can_hold_are_refused(void **state) {
  (void)state;
  const int64_t tokens = (int64_t)(UINT64_MAX / 24) + 1;
  const lsp_framing each = {.prefix = 1, .tokens = 2, .stride = 1};
  lsp_failure why = {0};
  lsp_plan plan;
  assert_true(tokens < LSP_TOKENS_MOST);
  assert_int_equal(lsp_plan_open(&plan, 1, &tokens, 0, each, &why), LSP_E_MEMORY);
  expect_message(&why, "no memory for the plan");
}

LSP_TESTS(
    cmocka_unit_test(test_more_frames_than_memory_can_hold_are_refused),
    cmocka_unit_test(test_positions_beyond_all_limits_are_refused),
    cmocka_unit_test(test_rows_of_the_longest_document_are_found),
    cmocka_unit_test(test_grid_is_64_64_128_and_then_256),
    cmocka_unit_test(test_panels_of_random_corpora_are_the_enumeration),
    cmocka_unit_test(test_frames_and_documents_of_tokens_are_found),
    cmocka_unit_test(test_positions_count_the_prefix_and_tokens_do_not),
    cmocka_unit_test(test_panels_write_each_token_and_each_nll_once),
    cmocka_unit_test(test_waves_and_spans_hold_every_token_once_in_order),
    cmocka_unit_test(test_first_panel_of_a_wave_is_rank_0s_for_any_number_of_ranks))
