/* Ranks fail together and know the same. */
#include "harness.h"

#include "lsp/ctx.h"

static const lsp_status failures[] = {LSP_E_INPUT, LSP_E_IO, LSP_E_MEMORY, LSP_E_LIMIT};

/* What a rank says when it fails. */
static lsp_status offer(lsp_ctx *ctx, int fails) {
  if (!fails)
    return LSP_OK;
  return lsp_fail(&ctx->why, failures[ctx->rank % 4], "rank %d of case %d", ctx->rank,
                  fails);
}

static void test_all_take_status_and_message_of_the_lowest_failing_rank(void **state) {
  lsp_ctx *ctx = *state;
  for (int failing = 1; failing < 1 << ctx->size; failing++) { /* a set of ranks */
    char want[64];
    int lowest = 0;
    while (!(failing >> lowest & 1))
      lowest++;
    memset(&ctx->why, 0, sizeof ctx->why);
    const lsp_status st =
        lsp_agree(ctx, offer(ctx, failing >> ctx->rank & 1 ? failing : 0));
    int n = snprintf(want, sizeof want, "rank %d of case %d", lowest, failing);
    if (lowest > 0)
      (void)snprintf(want + n, sizeof want - (size_t)n, " (rank %d)", lowest);
    assert_everywhere(ctx, st == failures[lowest % 4]);
    assert_everywhere(ctx, ctx->why.status == st);
    assert_everywhere(ctx, strcmp(ctx->why.text, want) == 0);
  }
}

static void test_the_host_is_named_where_there_are_several(void **state) {
  lsp_ctx apart = *(lsp_ctx *)*state;
  char end[LSP_MESSAGE_SIZE];
  const int last = apart.size - 1;
  apart.node_size = 0; /* as if every rank were alone on its host */
  lsp_status st = LSP_OK;
  if (apart.rank == last)
    st = lsp_fail(&apart.why, LSP_E_IO, "%s", "gone.txt");
  for (int again = 0; again < 2; again++) { /* a status goes through several hands */
    st = lsp_agree(&apart, st);
    assert_everywhere(*state, st == LSP_E_IO);
    (void)snprintf(end, sizeof end, "gone.txt (rank %d on host ", last);
    assert_everywhere(*state, strncmp(apart.why.text, end, strlen(end)) == 0);
    assert_everywhere(*state,
                      strchr(apart.why.text, '(') == strrchr(apart.why.text, '('));
  }
  memset(apart.why.text, 'x', LSP_MESSAGE_SIZE - 1); /* a text that leaves no room */
  apart.why.agreed = 0;
  assert_everywhere(*state, lsp_agree(&apart, LSP_E_IO) == LSP_E_IO);
  assert_everywhere(*state, strstr(apart.why.text, "x (rank 0 on host ") != NULL);
}

static void test_all_go_on_when_none_fails(void **state) {
  lsp_ctx *ctx = *state;
  (void)lsp_fail(&ctx->why, LSP_E_IO, "of rank %d, of old", ctx->rank);
  assert_everywhere(ctx, lsp_agree(ctx, LSP_OK) == LSP_OK);
  assert_everywhere(ctx, strstr(ctx->why.text, "of old") != NULL);
}

static void test_all_same_notices_any_one_rank(void **state) {
  lsp_ctx *ctx = *state;
  static const int64_t values[] = {0, 1, -1, INT64_MAX, -INT64_MAX, INT64_C(1) << 53};
  for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
    assert_everywhere(ctx, lsp_all_same(ctx, values[v]));
    for (int odd = 0; odd < ctx->size; odd++) {
      const int64_t other = values[v] > 0 ? values[v] - 1 : values[v] + 1;
      const int same = lsp_all_same(ctx, ctx->rank == odd ? other : values[v]);
      assert_everywhere(ctx, same == (ctx->size == 1));
    }
  }
}

static void test_broadcast_of_any_size_is_whole(void **state) {
  lsp_ctx *ctx = *state;
  static const size_t sizes[] = {0, 1, 7, 63, 4097, 1000003};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    unsigned char *data = malloc(sizes[s] + 1);
    LSP_ASSERT(data != NULL);
    for (size_t i = 0; i <= sizes[s]; i++)
      data[i] = (unsigned char)(ctx->rank == 0 ? i * 7 % 251 : 255);
    data[sizes[s]] = (unsigned char)ctx->rank; /* stays */
    lsp_bcast(ctx->comm, data, sizes[s]);
    int right = data[sizes[s]] == ctx->rank;
    for (size_t i = 0; i < sizes[s]; i++)
      right &= data[i] == i * 7 % 251;
    assert_everywhere(ctx, right);
    free(data);
  }
}

static void test_every_node_has_one_leader(void **state) {
  lsp_ctx *ctx = *state;
  int leader = ctx->node_rank == 0, leaders = 0, of_node = 0, among = 0;
  assert_everywhere(ctx, ctx->node_size >= 1 && ctx->node_rank < ctx->node_size);
  assert_everywhere(ctx, leader == (ctx->leaders != MPI_COMM_NULL));
  LSP_MPI(MPI_Allreduce(&leader, &leaders, 1, MPI_INT, MPI_SUM, ctx->comm));
  LSP_MPI(MPI_Allreduce(&leader, &of_node, 1, MPI_INT, MPI_SUM, ctx->node));
  if (ctx->leaders != MPI_COMM_NULL)
    LSP_MPI(MPI_Comm_size(ctx->leaders, &among));
  assert_everywhere(ctx, of_node == 1);
  assert_everywhere(ctx, !leader || among == leaders);
}

LSP_TESTS(cmocka_unit_test(test_all_take_status_and_message_of_the_lowest_failing_rank),
          cmocka_unit_test(test_the_host_is_named_where_there_are_several),
          cmocka_unit_test(test_all_go_on_when_none_fails),
          cmocka_unit_test(test_all_same_notices_any_one_rank),
          cmocka_unit_test(test_broadcast_of_any_size_is_whole),
          cmocka_unit_test(test_every_node_has_one_leader))
