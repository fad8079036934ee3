/* A block of floats a node: what rank 0 wrote is read by all. */
#include "harness.h"

#include "lsp/shared.h"

/* A value says which float it is; exact. */
static float mark(int64_t i) {
  return (float)(i % 9999991);
}

static int holds(const lsp_shared *s, int64_t first, int64_t n) {
  for (int64_t i = first; i < first + n; i++)
    if (s->floats[i] != mark(i))
      return 0;
  return 1;
}

static void test_what_rank_0_wrote_is_read_by_all(void **state) {
  lsp_ctx *ctx = *state;
  static const int64_t counts[] = {1, 15, 16, 17, 1000, 1 << 20};
  for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
    const int64_t n = counts[c], half = n / 2;
    lsp_shared s;
    assert_everywhere(ctx, lsp_shared_open(ctx, n, &s) == LSP_OK);
    assert_everywhere(ctx, s.count == n && (uintptr_t)s.floats % 64 == 0);
    if (ctx->rank == 0)
      for (int64_t i = 0; i < n; i++)
        s.floats[i] = mark(i);
    lsp_shared_spread(ctx, &s, 0, half);
    lsp_shared_spread(ctx, &s, half, n - half);
    lsp_shared_seal(ctx, &s);
    assert_everywhere(ctx, holds(&s, 0, n));
    lsp_shared_close(&s);
    assert_everywhere(ctx, s.floats == NULL);
  }
}

static void test_a_node_shares_one_block_or_each_rank_owns_one(void **state) {
  lsp_ctx *ctx = *state;
  lsp_shared s;
  assert_everywhere(ctx, lsp_shared_open(ctx, 100, &s) == LSP_OK);
  int owners = 0;
  const int owner = s.owner;
  LSP_MPI(MPI_Allreduce(&owner, &owners, 1, MPI_INT, MPI_SUM, ctx->node));
  assert_everywhere(ctx, owners == (s.is_window ? 1 : ctx->node_size));
  assert_everywhere(ctx,
                    ctx->rank != 0 || s.owner); /* rank 0 is where it spreads from */
  /* Owners write what only they know; others of the node see it. */
  if (s.owner)
    for (int i = 0; i < 100; i++)
      s.floats[i] = (float)ctx->rank;
  lsp_shared_seal(ctx, &s);
  int leader = ctx->rank, right = 1;
  LSP_MPI(MPI_Bcast(&leader, 1, MPI_INT, 0, ctx->node));
  for (int i = 0; i < 100; i++)
    right &= s.floats[i] == (float)(s.is_window ? leader : ctx->rank);
  assert_everywhere(ctx, right);
  lsp_shared_close(&s);
}

/* Nobody has room for a petabyte: no window is tried, and no rank gets one. */
static void test_more_than_there_is_fails_on_every_rank(void **state) {
  lsp_ctx *ctx = *state;
  lsp_shared s;
#ifdef __SANITIZE_ADDRESS__
  skip(); /* the sanitizer ends a program that asks for so much */
#endif
  memset(&ctx->why, 0, sizeof ctx->why);
  assert_everywhere(ctx, lsp_shared_open(ctx, INT64_C(1) << 48, &s) == LSP_E_MEMORY);
  expect_message(&ctx->why, "no memory");
  lsp_shared_close(&s);
}

LSP_TESTS(cmocka_unit_test(test_what_rank_0_wrote_is_read_by_all),
          cmocka_unit_test(test_a_node_shares_one_block_or_each_rank_owns_one),
          cmocka_unit_test(test_more_than_there_is_fails_on_every_rank))
