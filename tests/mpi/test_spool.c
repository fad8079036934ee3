/* A text cut into tokens by all ranks: the files are those of one encoder over each
 * document, for any ranks and units. */
#include "harness.h"

#include "lsp/durable.h"
#include "lsp/spool.h"
#include "lsp/text_hash.h"
#include "random.h"

#include <fcntl.h>

enum { MOST = 4 << 20 };

/* What one encoder gives. */
typedef struct {
  uint32_t *id;
  int64_t *start;
  int64_t n, room;
} tokens;

static lsp_status keep(const int32_t *id, const int64_t *start, int64_t n, void *arg,
                       lsp_failure *why) {
  tokens *t = arg;
  (void)why;
  assert_true(t->n + n <= t->room);
  for (int64_t i = 0; i < n; i++) {
    t->id[t->n + i] = (uint32_t)id[i];
    t->start[t->n + i] = start[i];
  }
  t->n += n;
  return LSP_OK;
}

static tokens room_for(int64_t n) {
  const tokens t = {calloc((size_t)n, sizeof(uint32_t)),
                    calloc((size_t)n, sizeof(int64_t)), 0, n};
  assert_true(t.id != NULL && t.start != NULL);
  return t;
}

static void free_tokens(tokens *t) {
  free(t->id);
  free(t->start);
}

static tokens encoded(lsp_ctx *ctx, const lsp_tokenizer *t, lsp_corpus *c) {
  tokens all = room_for(3 * MOST);
  unsigned char *text = calloc(MOST, 1);
  lsp_encoder *e = NULL;
  assert_non_null(text);
  assert_int_equal(lsp_encoder_open(t, LSP_SPECIAL_TEXT, keep, &all, &e, &ctx->why),
                   LSP_OK);
  for (int64_t d = 0; d < lsp_corpus_count(c); d++) {
    const int64_t n = lsp_corpus_document(c, d).tokens;
    assert_true(n <= MOST);
    assert_int_equal(lsp_corpus_bytes(c, d, 0, n, text, &ctx->why), LSP_OK);
    assert_int_equal(lsp_encoder_put(e, text, (size_t)n, &ctx->why), LSP_OK);
    assert_int_equal(lsp_encoder_end(e, 0, &ctx->why), LSP_OK);
  }
  lsp_encoder_close(&e);
  free(text);
  return all;
}

/* --- texts ----------------------------------------------------------------------- */

typedef enum { WORDS, LETTERS, BYTES } content;

static void make_text(const char *folder, const char *name, content what, int64_t bytes,
                      uint64_t seed) {
  char path[2 * LSP_TEST_PATH];
  lsp_random r = {seed};
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  for (int64_t i = 0; i < bytes; i++) {
    const int64_t die = lsp_random_in(&r, 0, 99);
    int c = (int)lsp_random_in(&r, 'a', 'z');
    if (what == BYTES)
      c = (int)lsp_random_in(&r, 0, 255);
    else if (what == WORDS && die < 18)
      c = die < 2 ? '\n' : die < 3 ? '.' : ' ';
    (void)fputc(c, f);
  }
  assert_int_equal(fclose(f), 0);
}

static lsp_corpus *opened(const char *folder) {
  lsp_failure why = {0};
  lsp_corpus *c = NULL;
  const lsp_corpus_spec spec = {
      .format = LSP_INPUT_TEXT, .inputs = &folder, .input_count = 1};
  if (lsp_corpus_open(&spec, &c, &why) != LSP_OK)
    fail_msg("%s", why.text);
  return c;
}

/* --- files ----------------------------------------------------------------------- */

typedef struct {
  char ids[2 * LSP_TEST_PATH], starts[2 * LSP_TEST_PATH];
} files;

/* Empty files of ids and starts. */
static files make_files(lsp_ctx *ctx) {
  files f;
  const char *folder = lsp_test_folder();
  (void)snprintf(f.ids, sizeof f.ids, "%s/ids", folder);
  (void)snprintf(f.starts, sizeof f.starts, "%s/starts", folder);
  if (ctx->rank == 0)
    assert_true(lsp_replace_file(f.ids, "", 0, NULL) == LSP_OK &&
                lsp_replace_file(f.starts, "", 0, NULL) == LSP_OK);
  LSP_MPI(MPI_Barrier(ctx->comm));
  return f;
}

/* 1 if the file holds these bytes after its head, and no more. */
static int holds(const char *path, int64_t head, const void *data, int64_t bytes) {
  struct stat facts;
  char *all = malloc((size_t)(head + bytes) + 1);
  const int fd = open(path, O_RDONLY);
  assert_true(fd >= 0 && all != NULL && fstat(fd, &facts) == 0);
  const int same =
      facts.st_size == (bytes > 0 ? head + bytes : 0) &&
      (bytes == 0 || (lsp_read_at(fd, path, all, head + bytes, 0, NULL) == LSP_OK &&
                      memcmp(all + head, data, (size_t)bytes) == 0));
  (void)close(fd);
  free(all);
  return same;
}

static int64_t sum(const int64_t *count, int64_t n) {
  int64_t all = 0;
  for (int64_t i = 0; i < n; i++)
    all += count[i];
  return all;
}

static void expect_cut(lsp_ctx *ctx, const lsp_tokenizer *t, lsp_corpus *c,
                       const tokens *whole, int64_t unit) {
  files f = make_files(ctx);
  const int64_t documents = lsp_corpus_count(c);
  int64_t *count = calloc((size_t)documents + 1, sizeof *count);
  assert_non_null(count);
  const lsp_spool_spec spec = {.tokenizer = t,
                               .special = LSP_SPECIAL_TEXT,
                               .width = 4,
                               .head = 64,
                               .ids = f.ids,
                               .starts = f.starts,
                               .unit = unit};
  const lsp_status st = lsp_spool_text(ctx, c, &spec, count);
  assert_everywhere(ctx, st == LSP_OK);
  assert_everywhere(ctx, ctx->rank != 0 || sum(count, documents) == whole->n);
  assert_everywhere(ctx, holds(f.ids, 64, whole->id, 4 * whole->n));
  assert_everywhere(ctx, holds(f.starts, 64, whole->start, 8 * whole->n));
  free(count);
}

static lsp_tokenizer *shared_tokenizer(lsp_ctx *ctx) {
  lsp_tokenizer *t = NULL;
  ctx->quiet = 1;
  assert_everywhere(ctx,
                    lsp_tokenizer_share(ctx, LSP_FIXTURES "/tokens", &t) == LSP_OK);
  assert_everywhere(ctx, t != NULL);
  return t;
}

/* --- tests ----------------------------------------------------------------------- */

static void test_the_ids_do_not_depend_on_ranks_and_units(void **state) {
  static const int64_t units[] = {7, 100, 1000, 4096, 0};
  lsp_ctx *ctx = *state;
  lsp_tokenizer *t = shared_tokenizer(ctx);
  const char *folder = lsp_test_folder();
  if (ctx->rank == 0) {
    make_text(folder, "a", WORDS, 5000, 1);
    make_text(folder, "b", WORDS, 0, 2);
    make_text(folder, "c", LETTERS, 3000, 3);
    make_text(folder, "d", BYTES, 4000, 4);
    make_text(folder, "e", WORDS, 1, 5);
    make_text(folder, "f", WORDS, 1000, 6);
    make_text(folder, "g", WORDS, 0, 7);
  }
  LSP_MPI(MPI_Barrier(ctx->comm));
  lsp_corpus *c = opened(folder);
  tokens whole = encoded(ctx, t, c);
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
    expect_cut(ctx, t, c, &whole, units[i]);
  free_tokens(&whole);
  lsp_corpus_close(&c);
  lsp_tokenizer_close(&t);
}

static void test_many_small_documents(void **state) {
  lsp_ctx *ctx = *state;
  lsp_tokenizer *t = shared_tokenizer(ctx);
  const char *folder = lsp_test_folder();
  for (int i = 0; ctx->rank == 0 && i < 300; i++) {
    char name[16];
    (void)snprintf(name, sizeof name, "%03d", i);
    make_text(folder, name, WORDS, i % 7, (uint64_t)i);
  }
  LSP_MPI(MPI_Barrier(ctx->comm));
  lsp_corpus *c = opened(folder);
  tokens whole = encoded(ctx, t, c);
  expect_cut(ctx, t, c, &whole, 50);
  expect_cut(ctx, t, c, &whole, 0);
  free_tokens(&whole);
  lsp_corpus_close(&c);
  lsp_tokenizer_close(&t);
}

/* A part with more tokens than a rank holds, and what others have made meanwhile. */
static void test_a_long_part_takes_several_rounds(void **state) {
  lsp_ctx *ctx = *state;
  lsp_tokenizer *t = shared_tokenizer(ctx);
  const char *folder = lsp_test_folder();
  if (ctx->rank == 0) {
    make_text(folder, "a", WORDS, 100000, 8);
    make_text(folder, "b", WORDS, 3000000, 9);
    make_text(folder, "c", WORDS, 200000, 10);
  }
  LSP_MPI(MPI_Barrier(ctx->comm));
  lsp_corpus *c = opened(folder);
  tokens whole = encoded(ctx, t, c);
  assert_true(whole.n > 1 << 20);
  expect_cut(ctx, t, c, &whole, 100000);
  expect_cut(ctx, t, c, &whole, 4 << 20);
  free_tokens(&whole);
  lsp_corpus_close(&c);
  lsp_tokenizer_close(&t);
}

static void test_ids_of_two_bytes_without_places(void **state) {
  lsp_ctx *ctx = *state;
  lsp_tokenizer *t = shared_tokenizer(ctx);
  const char *folder = lsp_test_folder();
  if (ctx->rank == 0)
    make_text(folder, "a", WORDS, 9000, 11);
  LSP_MPI(MPI_Barrier(ctx->comm));
  lsp_corpus *c = opened(folder);
  tokens whole = encoded(ctx, t, c);
  files f = make_files(ctx);
  int64_t count = 0;
  const lsp_spool_spec spec = {.tokenizer = t, .width = 2, .ids = f.ids, .unit = 1000};
  uint16_t *id = calloc((size_t)whole.n, sizeof *id);
  assert_non_null(id);
  for (int64_t i = 0; i < whole.n; i++)
    id[i] = (uint16_t)whole.id[i];
  assert_everywhere(ctx, lsp_spool_text(ctx, c, &spec, &count) == LSP_OK);
  assert_everywhere(ctx, holds(f.ids, 0, id, 2 * whole.n));
  assert_everywhere(ctx, holds(f.starts, 0, NULL, 0));
  free(id);
  free_tokens(&whole);
  lsp_corpus_close(&c);
  lsp_tokenizer_close(&t);
}

/* What is cut is what was hashed. */
static void test_a_text_that_changes_is_refused_on_every_rank(void **state) {
  lsp_ctx *ctx = *state;
  lsp_tokenizer *t = shared_tokenizer(ctx);
  const char *folder = lsp_test_folder();
  lsp_text_hash h;
  int64_t count = 0;
  files f = make_files(ctx);
  if (ctx->rank == 0)
    make_text(folder, "a", WORDS, 20000, 12);
  LSP_MPI(MPI_Barrier(ctx->comm));
  lsp_corpus *c = opened(folder);
  assert_everywhere(ctx, lsp_text_hash_open(ctx, c, &h) == LSP_OK);
  if (ctx->rank == 0)
    make_text(folder, "a", WORDS, 20000, 13);
  LSP_MPI(MPI_Barrier(ctx->comm));
  const lsp_spool_spec spec = {
      .tokenizer = t, .width = 4, .ids = f.ids, .starts = f.starts, .unit = 1000};
  assert_everywhere(ctx, lsp_spool_text(ctx, c, &spec, &count) == LSP_E_MISMATCH);
  expect_message(&ctx->why, "not those that were hashed");
  memset(&ctx->why, 0, sizeof ctx->why);
  lsp_text_hash_close(&h);
  lsp_corpus_close(&c);
  lsp_tokenizer_close(&t);
}

static void test_a_folder_without_a_tokenizer_has_none(void **state) {
  lsp_ctx *ctx = *state;
  lsp_tokenizer *t = NULL;
  assert_everywhere(ctx, lsp_tokenizer_share(ctx, LSP_FIXTURES "/law", &t) == LSP_OK);
  assert_everywhere(ctx, t == NULL);
}

static void test_a_tokenizer_that_is_none_is_refused_on_every_rank(void **state) {
  lsp_ctx *ctx = *state;
  lsp_tokenizer *t = NULL;
  char path[2 * LSP_TEST_PATH];
  const char *folder = lsp_test_folder();
  (void)snprintf(path, sizeof path, "%s/tokenizer.json", folder);
  if (ctx->rank == 0)
    assert_int_equal(lsp_replace_file(path, "{", 1, NULL), LSP_OK);
  assert_everywhere(ctx, lsp_tokenizer_share(ctx, folder, &t) == LSP_E_FORMAT);
  assert_everywhere(ctx, t == NULL);
  expect_message(&ctx->why, path);
  memset(&ctx->why, 0, sizeof ctx->why);
}

static void test_a_tokenizer_must_fit_the_model(void **state) {
  lsp_ctx *ctx = *state;
  lsp_tokenizer *t = shared_tokenizer(ctx);
  assert_int_equal(lsp_tokenizer_fits(t, "model", 512, &ctx->why), LSP_OK);
  assert_int_equal(lsp_tokenizer_fits(t, "model", 511, &ctx->why), LSP_E_INPUT);
  expect_message(&ctx->why, "ids from 0 to 511, but the model has a vocabulary of 511");
  memset(&ctx->why, 0, sizeof ctx->why);
  lsp_tokenizer_close(&t);
}

LSP_TESTS(cmocka_unit_test(test_the_ids_do_not_depend_on_ranks_and_units),
          cmocka_unit_test(test_many_small_documents),
          cmocka_unit_test(test_a_long_part_takes_several_rounds),
          cmocka_unit_test(test_ids_of_two_bytes_without_places),
          cmocka_unit_test(test_a_text_that_changes_is_refused_on_every_rank),
          cmocka_unit_test(test_a_folder_without_a_tokenizer_has_none),
          cmocka_unit_test(test_a_tokenizer_that_is_none_is_refused_on_every_rank),
          cmocka_unit_test(test_a_tokenizer_must_fit_the_model))
