/* States along the ranks: in order, whole, several on their way at once, and nobody waits
 * for those after it. */
#include "harness.h"

#include "lsp/chain.h"

enum { STATES = 3, WAVES = 4, LARGE = 400000 };

/* Numbers of a state: one, a few, many (beyond what MPI sends eagerly). */
static int64_t length(int state) {
  static const int64_t lengths[STATES] = {1, LARGE, 4097};
  return lengths[state];
}

typedef struct {
  double *at[STATES];
} buffers;

static void open_buffers(buffers *b) {
  for (int s = 0; s < STATES; s++) {
    b->at[s] = calloc((size_t)length(s) + 1, sizeof(double));
    LSP_ASSERT(b->at[s] != NULL);
  }
}

static void close_buffers(buffers *b) {
  for (int s = 0; s < STATES; s++)
    free(b->at[s]);
}

static int64_t bytes_of(int state) {
  return length(state) * (int64_t)sizeof(double);
}

/* What the state is after a number of ranks have added to it, one after another: an order
 * of additions and products that no other order gives. */
static double after(int turns, int state, int64_t i) {
  double x = (double)(i % 1009) + state;
  for (int t = 0; t < turns; t++)
    x = x * 0.5 + (double)(t + 1);
  return x;
}

static void take_turn(buffers *b, int state, int turn) {
  for (int64_t i = 0; i < length(state); i++)
    b->at[state][i] = b->at[state][i] * 0.5 + (double)(turn + 1);
}

static int is_after(const buffers *b, int state, int turns) {
  for (int64_t i = 0; i < length(state); i++)
    if (b->at[state][i] != after(turns, state, i))
      return 0;
  return b->at[state][length(state)] == 0;
}

static void begin(buffers *b) {
  for (int s = 0; s < STATES; s++)
    for (int64_t i = 0; i < length(s); i++)
      b->at[s][i] = after(0, s, i);
}

/* A wave: every state through all ranks; then from the last rank to rank 0. */
static int wave(const lsp_ctx *ctx, lsp_chain *c, buffers *b, int number) {
  const int rank = ctx->rank, P = ctx->size;
  int right = 1;
  for (int s = 0; s < STATES; s++) {
    if (rank > 0)
      lsp_chain_expect(c, s, rank - 1, b->at[s], bytes_of(s));
    lsp_chain_poll(c);
    lsp_chain_wait(c, s);
    right &= is_after(b, s, number * P + rank);
    take_turn(b, s, number * P + rank);
    const int to = (rank + 1) % P;
    if (to != rank)
      lsp_chain_hand(c, s, to, b->at[s], bytes_of(s));
  }
  for (int s = 0; s < STATES; s++) {
    lsp_chain_end(c, s);
    if (rank == 0 && P > 1)
      lsp_chain_expect(c, s, P - 1, b->at[s], bytes_of(s));
  }
  for (int s = 0; s < STATES; s++)
    lsp_chain_wait(c, s);
  return right;
}

static void test_states_go_along_all_ranks_in_order(void **state) {
  lsp_ctx *ctx = *state;
  lsp_chain *c = NULL;
  buffers b;
  int right = 1;
  assert_int_equal(lsp_chain_open(ctx, STATES, &c), LSP_OK);
  open_buffers(&b);
  begin(&b);
  for (int number = 0; number < WAVES; number++)
    right &= wave(ctx, c, &b, number);
  if (ctx->rank == 0)
    for (int s = 0; s < STATES; s++)
      right &= is_after(&b, s, WAVES * ctx->size);
  assert_everywhere(ctx, right);
  close_buffers(&b);
  lsp_chain_close(&c);
  assert_null(c);
}

/* Rank 0 hands on all its states, of any size, before the next rank expects the first: no
 * call of it waits. */
static void test_nobody_waits_for_those_after_it(void **state) {
  lsp_ctx *ctx = *state;
  lsp_chain *c = NULL;
  buffers b;
  int right = 1;
  assert_int_equal(lsp_chain_open(ctx, STATES, &c), LSP_OK);
  open_buffers(&b);
  if (ctx->rank == 0)
    begin(&b);
  for (int s = 0; s < STATES && ctx->rank == 0 && ctx->size > 1; s++)
    lsp_chain_hand(c, s, 1, b.at[s], bytes_of(s));
  MPI_Barrier(ctx->comm);
  if (ctx->rank == 1) /* in another order than they were sent */
    for (int s = STATES - 1; s >= 0; s--) {
      lsp_chain_expect(c, s, 0, b.at[s], bytes_of(s));
      lsp_chain_wait(c, s);
      right &= is_after(&b, s, 0);
    }
  for (int s = 0; s < STATES; s++)
    lsp_chain_end(c, s);
  assert_everywhere(ctx, right);
  close_buffers(&b);
  lsp_chain_close(&c);
}

static void test_what_is_sent_is_counted(void **state) {
  lsp_ctx *ctx = *state;
  lsp_chain *c = NULL;
  buffers b;
  assert_int_equal(lsp_chain_open(ctx, STATES, &c), LSP_OK);
  open_buffers(&b);
  begin(&b);
  (void)wave(ctx, c, &b, 0);
  const lsp_traffic t = lsp_chain_traffic(c);
  int64_t bytes = 0;
  for (int s = 0; s < STATES; s++)
    bytes += bytes_of(s);
  const int64_t sends = ctx->size > 1;
  assert_everywhere(ctx, t.messages == sends * STATES && t.bytes == sends * bytes);
  close_buffers(&b);
  lsp_chain_close(&c);
}

static void test_nothing_expected_is_not_waited_for(void **state) {
  lsp_ctx *ctx = *state;
  lsp_chain *c = NULL;
  assert_int_equal(lsp_chain_open(ctx, 1, &c), LSP_OK);
  lsp_chain_poll(c);
  lsp_chain_wait(c, 0);
  lsp_chain_end(c, 0);
  lsp_chain_close(&c);
  lsp_chain_close(&c); /* NULL is accepted */
  assert_everywhere(ctx, c == NULL);
}

LSP_TESTS(cmocka_unit_test(test_states_go_along_all_ranks_in_order),
          cmocka_unit_test(test_nobody_waits_for_those_after_it),
          cmocka_unit_test(test_what_is_sent_is_counted),
          cmocka_unit_test(test_nothing_expected_is_not_waited_for))
