/* The hash of a text that all ranks take together: the same for any ranks and nodes, and
 * nothing else is read later. Nodes are simulated: a rank's node is its number over
 * `ranks_a_node`. */
#include "harness.h"

#include "lsp/text_hash.h"

enum { DOCUMENTS = 3, CHUNKS = 6 };

static lsp_ctx nodes_of(const lsp_ctx *all, int ranks_a_node) {
  lsp_ctx ctx = *all;
  LSP_MPI(MPI_Comm_split(ctx.comm, ctx.rank / ranks_a_node, ctx.rank, &ctx.node));
  LSP_MPI(MPI_Comm_rank(ctx.node, &ctx.node_rank));
  LSP_MPI(MPI_Comm_size(ctx.node, &ctx.node_size));
  LSP_MPI(MPI_Comm_split(ctx.comm, ctx.node_rank == 0 ? 0 : MPI_UNDEFINED, ctx.rank,
                         &ctx.leaders));
  memset(&ctx.why, 0, sizeof ctx.why);
  ctx.quiet = 1;
  return ctx;
}

static void free_nodes(lsp_ctx *ctx) {
  LSP_MPI(MPI_Comm_free(&ctx->node));
  if (ctx->leaders != MPI_COMM_NULL)
    LSP_MPI(MPI_Comm_free(&ctx->leaders));
}

/* Three texts of 2.5, 0 and 2 chunks and one byte; byte `other` is another. */
enum { NONE = -1, ALL = -2 };
static void make_texts(const char *folder, int64_t other) {
  static const int64_t bytes[DOCUMENTS] = {5 * LSP_CHUNK_TOKENS / 2, 0,
                                           2 * LSP_CHUNK_TOKENS + 1};
  for (int64_t d = 0, i = 0; d < DOCUMENTS; d++) {
    char path[2 * LSP_TEST_PATH];
    (void)snprintf(path, sizeof path, "%s/%d", folder, (int)d);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (int64_t n = 0; n < bytes[d]; n++, i++)
      (void)fputc((int)(i * 31 % 255) + (i == other || other == ALL), f);
    assert_int_equal(fclose(f), 0);
  }
}

/* Rank 0 and those on its node read one folder, the others may read another. */
static lsp_corpus *open_texts(const char *folder) {
  lsp_failure why = {0};
  lsp_corpus *c = NULL;
  const lsp_corpus_spec spec = {
      .format = LSP_INPUT_TEXT, .inputs = &folder, .input_count = 1};
  if (lsp_corpus_open(&spec, &c, &why) != LSP_OK)
    fail_msg("%s", why.text);
  return c;
}

static void test_the_hash_is_the_same_for_any_ranks_and_nodes(void **state) {
  lsp_ctx *all = *state;
  const char *folder = lsp_test_folder();
  unsigned char alone[16];
  lsp_chunk_hash chunk[CHUNKS];
  if (all->rank == 0)
    make_texts(folder, NONE);
  LSP_MPI(MPI_Barrier(all->comm));
  lsp_corpus *c = open_texts(folder);
  assert_int_equal(lsp_corpus_chunks(c), CHUNKS);
  assert_int_equal(lsp_corpus_hash_chunks(c, 0, CHUNKS, chunk, &all->why), LSP_OK);
  assert_int_equal(lsp_corpus_hash(c, chunk, alone, &all->why), LSP_OK);
  for (int ranks = 1; ranks <= all->size; ranks++) {
    lsp_ctx ctx = nodes_of(all, ranks);
    lsp_text_hash h;
    int32_t id[2] = {0};
    const lsp_status st = lsp_text_hash_open(&ctx, c, &h);
    assert_everywhere(all, st == LSP_OK);
    assert_everywhere(all, memcmp(h.hash, alone, sizeof alone) == 0);
    assert_everywhere(all, memcmp(h.table.floats, chunk, sizeof chunk) == 0);
    assert_everywhere(all, lsp_corpus_read(c, 2, LSP_CHUNK_TOKENS - 1, 2, 256, id,
                                           &ctx.why) == LSP_OK);
    lsp_corpus_expect(c, NULL);
    lsp_text_hash_close(&h);
    free_nodes(&ctx);
  }
  lsp_corpus_close(&c);
}

/* One path, one size, another text on every host but the first. */
static void expect_refused(lsp_ctx *all, int ranks_a_node, int64_t other) {
  const char *one = lsp_test_folder(), *two = lsp_test_folder();
  lsp_ctx ctx = nodes_of(all, ranks_a_node);
  lsp_text_hash h;
  if (all->rank == 0)
    make_texts(one, NONE);
  if (all->rank == all->size - 1)
    make_texts(two, other);
  LSP_MPI(MPI_Barrier(all->comm));
  lsp_corpus *c = open_texts(all->rank < ranks_a_node ? one : two);
  const lsp_status st = lsp_text_hash_open(&ctx, c, &h);
  assert_everywhere(all, st == LSP_E_MISMATCH);
  expect_message(&ctx.why, "reads another text than host");
  if (other >= 0)
    expect_message(&ctx.why,
                   other < 5 * LSP_CHUNK_TOKENS / 2 ? "document 0" : "document 2");
  lsp_corpus_close(&c);
  lsp_text_hash_close(&h);
  free_nodes(&ctx);
}

static void test_hosts_with_different_texts_are_refused_by_name(void **state) {
  lsp_ctx *all = *state;
  for (int ranks = 1; ranks < all->size; ranks++)
    expect_refused(all, ranks, ALL);
}

/* Of two hosts one hashes a chunk and the other reads it again. */
static void test_two_hosts_that_differ_in_one_byte_are_refused(void **state) {
  lsp_ctx *all = *state;
  static const int64_t places[] = {0, 5 * LSP_CHUNK_TOKENS / 2 - 1,
                                   4 * LSP_CHUNK_TOKENS};
  for (int ranks = all->size / 2; ranks > 0 && ranks < all->size; ranks++)
    for (size_t i = 0; 2 * ranks >= all->size && i < 3; i++)
      expect_refused(all, ranks, places[i]);
}

/* On one host nothing is read twice at the start: what a rank reads later is compared. */
static void test_what_is_read_later_is_what_was_hashed(void **state) {
  lsp_ctx *all = *state;
  const char *folder = lsp_test_folder();
  lsp_ctx ctx = nodes_of(all, all->size);
  lsp_text_hash h;
  int32_t id[2] = {0};
  if (all->rank == 0)
    make_texts(folder, NONE);
  LSP_MPI(MPI_Barrier(all->comm));
  lsp_corpus *c = open_texts(folder);
  assert_everywhere(all, lsp_text_hash_open(&ctx, c, &h) == LSP_OK);
  assert_everywhere(all, lsp_corpus_read(c, 0, 0, 2, 256, id, &ctx.why) == LSP_OK);
  if (all->rank == 0)
    make_texts(folder, 7);
  LSP_MPI(MPI_Barrier(all->comm));
  assert_everywhere(all,
                    lsp_corpus_read(c, 0, 0, 2, 256, id, &ctx.why) == LSP_E_MISMATCH);
  assert_everywhere(
      all, lsp_corpus_read(c, 0, LSP_CHUNK_TOKENS, 2, 256, id, &ctx.why) == LSP_OK);
  lsp_corpus_close(&c);
  lsp_text_hash_close(&h);
  free_nodes(&ctx);
}

LSP_TESTS(cmocka_unit_test(test_the_hash_is_the_same_for_any_ranks_and_nodes),
          cmocka_unit_test(test_hosts_with_different_texts_are_refused_by_name),
          cmocka_unit_test(test_two_hosts_that_differ_in_one_byte_are_refused),
          cmocka_unit_test(test_what_is_read_later_is_what_was_hashed))
