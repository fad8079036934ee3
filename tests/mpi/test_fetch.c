/* Parts by request: each arrives where it was asked for, round after round, whoever asks
 * whom. */
#include "harness.h"

#include "lsp/fetch.h"

enum { MOST = 40, KEYS = 64, LARGE = 5000, ROUNDS = 6 };

/* What rank `owner` has under a key in a round; exact in a float. */
static float mark(int owner, int64_t key, int round, int64_t i) {
  return (float)(((owner * KEYS + key) * ROUNDS + round) * 100 + i % 97);
}

typedef struct {
  const lsp_ctx *ctx;
  float *have; /* (KEYS, LARGE) */
  float *got;  /* (MOST, LARGE) */
  int64_t floats;
  int round;
  int asked[8]; /* parts that each rank asked for in this round */
} parts;

static void open_parts(const lsp_ctx *ctx, parts *p) {
  *p = (parts){.ctx = ctx};
  p->have = calloc((size_t)KEYS * LARGE, sizeof *p->have);
  p->got = calloc((size_t)MOST * LARGE, sizeof *p->got);
  LSP_ASSERT(p->have != NULL && p->got != NULL);
}

static void close_parts(parts *p) {
  free(p->have);
  free(p->got);
}

static const float *find(int peer, int64_t key, void *arg) {
  parts *p = arg;
  p->asked[peer]++;
  return p->have + key * LARGE;
}

/* Parts that `rank` asks `owner` for in a round: none of some. */
static int wants(int rank, int owner, int round) {
  return rank == owner ? 0 : (3 * rank + 5 * owner + 7 * round) % 4;
}

static int64_t key_of(int rank, int owner, int round, int i) {
  return (11 * rank + 13 * owner + 17 * round + 23 * i) % KEYS;
}

static void ask(lsp_fetch *f, parts *p, int round) {
  const lsp_ctx *ctx = p->ctx;
  float *to = p->got;
  lsp_fetch_clear(f);
  for (int q = ctx->size - 1; q >= 0; q--)
    for (int i = 0; i < wants(ctx->rank, q, round); i++, to += LARGE)
      lsp_fetch_ask(f, q, key_of(ctx->rank, q, round, i), to);
}

static int arrived(const parts *p, int round) {
  const float *at = p->got;
  for (int q = p->ctx->size - 1; q >= 0; q--)
    for (int i = 0; i < wants(p->ctx->rank, q, round); i++, at += LARGE)
      for (int64_t k = 0; k < p->floats; k++)
        if (at[k] != mark(q, key_of(p->ctx->rank, q, round, i), round, k))
          return 0;
  return 1;
}

/* One round; what is lent changes at once afterwards, as a rank that is ahead does. */
static int round_of(lsp_fetch *f, parts *p, int round) {
  p->round = round;
  p->floats = round % 2 ? LARGE : 1 + round; /* eager, and not */
  memset(p->asked, 0, sizeof p->asked);
  for (int64_t key = 0; key < KEYS; key++)
    for (int64_t k = 0; k < p->floats; k++)
      p->have[key * LARGE + k] = mark(p->ctx->rank, key, round, k);
  ask(f, p, round);
  lsp_fetch_round(f, p->floats, find, p);
  int right = arrived(p, round);
  for (int q = 0; q < p->ctx->size; q++)
    right &= p->asked[q] == wants(q, p->ctx->rank, round);
  return right;
}

static void test_every_part_arrives_where_it_was_asked_for(void **state) {
  lsp_ctx *ctx = *state;
  lsp_fetch *f = NULL;
  parts p;
  open_parts(ctx, &p);
  assert_everywhere(ctx, lsp_fetch_open(ctx, MOST, &f) == LSP_OK);
  for (int round = 0; round < ROUNDS; round++)
    assert_everywhere(ctx, round_of(f, &p, round));
  lsp_fetch_close(&f);
  assert_everywhere(ctx, f == NULL);
  lsp_fetch_close(&f); /* nothing is accepted */
  close_parts(&p);
}

/* No agreement between rounds; some ranks are late. */
static void test_a_rank_that_is_ahead_does_not_mix_rounds(void **state) {
  lsp_ctx *ctx = *state;
  lsp_fetch *f = NULL;
  parts p;
  int right = 1;
  open_parts(ctx, &p);
  assert_everywhere(ctx, lsp_fetch_open(ctx, MOST, &f) == LSP_OK);
  for (int round = 0; round < ROUNDS; round++) {
    if (round % 2 == ctx->rank % 2)
      (void)usleep(20000);
    right &= round_of(f, &p, round);
  }
  assert_everywhere(ctx, right);
  lsp_fetch_close(&f);
  close_parts(&p);
}

static void test_traffic_counts_requests_and_parts(void **state) {
  lsp_ctx *ctx = *state;
  lsp_fetch *f = NULL;
  parts p;
  int64_t messages = 0, bytes = 0;
  open_parts(ctx, &p);
  assert_everywhere(ctx, lsp_fetch_open(ctx, MOST, &f) == LSP_OK);
  for (int round = 0; round < 2; round++) {
    assert_everywhere(ctx, round_of(f, &p, round));
    for (int q = 0; q < ctx->size; q++) {
      const int mine = wants(ctx->rank, q, round), theirs = wants(q, ctx->rank, round);
      messages += (mine > 0) + (theirs > 0);
      bytes += 8 * mine + 4 * theirs * p.floats;
    }
  }
  assert_everywhere(ctx, lsp_fetch_traffic(f).messages == messages);
  assert_everywhere(ctx, lsp_fetch_traffic(f).bytes == bytes);
  lsp_fetch_close(&f);
  close_parts(&p);
}

static void test_nobody_asks_and_nothing_is_sent(void **state) {
  lsp_ctx *ctx = *state;
  lsp_fetch *f = NULL;
  assert_everywhere(ctx, lsp_fetch_open(ctx, 0, &f) == LSP_OK);
  for (int round = 0; round < 3; round++) {
    lsp_fetch_clear(f);
    lsp_fetch_round(f, 64, find, NULL);
  }
  assert_everywhere(ctx, lsp_fetch_traffic(f).messages == 0);
  lsp_fetch_close(&f);
}

LSP_TESTS(cmocka_unit_test(test_every_part_arrives_where_it_was_asked_for),
          cmocka_unit_test(test_a_rank_that_is_ahead_does_not_mix_rounds),
          cmocka_unit_test(test_traffic_counts_requests_and_parts),
          cmocka_unit_test(test_nobody_asks_and_nothing_is_sent))
