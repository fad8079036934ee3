/* A run reads back what it wrote: what is as it was is finished and resumed, what has
 * changed is neither, on every rank, and nothing is renamed. */
#include "harness.h"

#include "lsp/durable.h"
#include "lsp/store.h"
#include "lsp/sums.h"

#include <fcntl.h>

enum { TOKENS = 900, LAYERS = 2, ROWS = 8, WIDTH = 5, MODEL = 3 };

static const int64_t count[2] = {300, 600}, token_start[3] = {0, 300, TOKENS};
static const int64_t document[2] = {0, 1}, position[2] = {300, 5};
static const char *const name[2] = {"first", "second"};

typedef struct {
  lsp_ctx *ctx;
  char path[LSP_TEST_PATH];
  lsp_plan plan;
  lsp_store_spec spec;
  lsp_store *store;
  lsp_store_state state;
  lsp_commit last;
} run;

/* What make_run gives to the memory: FIXED rows beside those of the past (the second
 * document is shorter), a layer that keeps three, one that keeps none; or nothing of it.
 */
enum { FIXED = 6 };
static const int64_t few_rows[LAYERS] = {3, 8}, no_rows[LAYERS] = {8, 0};
static int64_t fixed;
static const int64_t *layer_rows;
static int rows = ROWS;
static const lsp_part all_parts[] = {{0, "matrix", LSP_PART_F64, 2, {3, 3}},
                                     {1, "matrix", LSP_PART_F32, 1, {700}},
                                     {-1, "ids", LSP_PART_I32, 1, {9}}};
static int parts;
static int prefix; /* rows of the plan before each document */

static void make_run(run *r, lsp_ctx *ctx) {
  memset(r, 0, sizeof *r);
  r->ctx = ctx;
  (void)snprintf(r->path, sizeof r->path, "%s/out.h5", lsp_test_folder());
  assert_int_equal(
      lsp_plan_open(&r->plan, 2, count, 0, (lsp_framing){.prefix = prefix}, NULL),
      LSP_OK);
  r->spec = (lsp_store_spec){.path = r->path,
                             .identity = "{\"model\":\"aaaa\"}",
                             .plan = &r->plan,
                             .output = {.tokens = TOKENS,
                                        .documents = 2,
                                        .panels = lsp_plan_panels(&r->plan),
                                        .hidden_width = MODEL,
                                        .write_id = 1,
                                        .write_hidden = 1,
                                        .token_start = token_start,
                                        .n_bytes = count,
                                        .name = name},
                             .memory = {.snapshots = 2,
                                        .layers = LAYERS,
                                        .rows = rows,
                                        .fixed = fixed,
                                        .layer_rows = layer_rows,
                                        .part = all_parts,
                                        .parts = parts,
                                        .width = WIDTH,
                                        .hidden_width = MODEL,
                                        .document = document,
                                        .position = position}};
}

static lsp_status open_run(run *r, int resume) {
  r->spec.resume = resume;
  return lsp_store_open(r->ctx, &r->spec, &r->store, &r->state, &r->last);
}

/* All n rows from rank 0. */
static void put_rows(run *r, lsp_output_dataset dataset, int64_t n, const void *data) {
  const int is_mine = r->ctx->rank == 0;
  lsp_store_rows(r->store, dataset, is_mine ? 0 : n, is_mine ? n : 0, data);
}

static void write_tokens(run *r) {
  static int32_t id[TOKENS];
  static float hidden[TOKENS * MODEL];
  uint64_t sum[TOKENS];
  const int64_t panels = lsp_plan_panels(&r->plan);
  for (int i = 0; i < TOKENS; i++)
    id[i] = 7 * i + 1;
  for (int i = 0; i < TOKENS * MODEL; i++)
    hidden[i] = (float)i + 0.5f;
  for (int64_t p = 0; p < panels; p++) {
    const lsp_panel_output o = lsp_plan_panel_output(&r->plan, p);
    const lsp_panel_data data = {.id = id + o.token,
                                 .ids = o.token_end - o.token,
                                 .hidden = hidden + o.token * MODEL,
                                 .floats = (o.token_end - o.token) * MODEL};
    sum[p] = lsp_sum_panel(&data);
  }
  put_rows(r, LSP_TOKENS_ID, TOKENS, id);
  put_rows(r, LSP_TOKENS_HIDDEN, TOKENS, hidden);
  put_rows(r, LSP_INTEGRITY_PANEL, panels, sum);
}

static void write_documents(run *r) {
  int64_t value[LSP_DOCUMENT_COLUMNS][2];
  const void *column[LSP_DOCUMENT_COLUMNS];
  uint64_t sum[2];
  for (int k = 0; k < LSP_DOCUMENT_COLUMNS; k++) {
    value[k][0] = k + 1;
    value[k][1] = k + 100;
    column[k] = value[k];
    put_rows(r, (lsp_output_dataset)(LSP_DOCUMENTS_NLL_COUNT + k), 2, value[k]);
  }
  for (int i = 0; i < 2; i++)
    sum[i] = lsp_sum_document(column, i);
  put_rows(r, LSP_INTEGRITY_DOCUMENT, 2, sum);
}

/* The second snapshot has fewer rows than there is room for. */
static void write_memory(run *r) {
  float keys[700], values[700];
  const float hidden[MODEL] = {1, 2, 3};
  for (int i = 0; i < 700; i++) {
    keys[i] = (float)i + 1;
    values[i] = (float)i + 1000;
  }
  for (int s = 0; s < 2 && r->ctx->rank == r->ctx->size - 1; s++) {
    for (int layer = 0; layer < LAYERS; layer++) {
      const lsp_memory_spec *m = &r->spec.memory;
      const int64_t n = lsp_min(position[s], lsp_memory_layer_rows(m, layer));
      lsp_store_memory(r->store, s, layer, m->rows - n, n, keys, values);
      lsp_store_fixed(r->store, s, layer, 0,
                      lsp_min(position[s], lsp_memory_layer_fixed(m, layer)), values,
                      keys);
    }
    for (int i = 0; i < parts; i++)
      lsp_store_part(r->store, s, i, keys); /* as many bytes of it as the part has */
    lsp_store_memory_end(r->store, s, 70 + s, hidden);
  }
}

/* A run with everything committed. */
static void commit_all(run *r) {
  assert_everywhere(r->ctx, open_run(r, 0) == LSP_OK);
  write_tokens(r);
  write_documents(r);
  write_memory(r);
  lsp_commit c = {.panel_end = lsp_plan_panels(&r->plan), .token_end = TOKENS};
  assert_everywhere(r->ctx, lsp_store_commit(r->store, &c) == LSP_OK);
}

static const char *beside(const run *r, const char *suffix, char path[LSP_TEST_PATH]) {
  assert_int_equal(lsp_store_beside(r->path, suffix, path, LSP_TEST_PATH, NULL),
                   LSP_OK);
  return path;
}

static int is_there(const run *r, const char *suffix) {
  char path[LSP_TEST_PATH];
  return access(beside(r, suffix, path), F_OK) == 0;
}

/* Changes a bit `at` bytes into a dataset, or changes it back. */
static void flip(const run *r, const char *suffix, int dataset, int64_t at) {
  char path[LSP_TEST_PATH];
  unsigned char byte = 0;
  lsp_file_view view;
  LSP_MPI(MPI_Barrier(r->ctx->comm));
  if (r->ctx->rank == 0) {
    assert_int_equal(lsp_file_open(beside(r, suffix, path), &view, NULL), LSP_OK);
    const off_t offset = view.extent[dataset].offset + at;
    lsp_file_close(&view);
    const int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 16;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    (void)close(fd);
  }
  LSP_MPI(MPI_Barrier(r->ctx->comm));
}

typedef struct {
  const char *suffix;
  int dataset;
  int64_t at;
  const char *words;
} damage;

static const damage damages[] = {
    {".h5.part", LSP_TOKENS_ID, 4L * 299, "rows 256 to 299 of /tokens (document 0)"},
    {".h5.part", LSP_TOKENS_HIDDEN, 4L * MODEL * 812, "rows 812 to 899 of /tokens"},
    {".h5.part", LSP_INTEGRITY_PANEL, 8L * 4,
     "rows 300 to 363 of /tokens (document 1)"},
    {".h5.part", LSP_DOCUMENTS_NLL_SUM, 11, "row 1 of /documents"},
    {".h5.part", LSP_INTEGRITY_DOCUMENT, 1, "row 0 of /documents"},
    {".h5.part", LSP_INTEGRITY_LAYOUT, 9, "headers, names, sizes or attributes"},
    {".memory.h5.part", LSP_SNAPSHOT_KEYS, 4L * WIDTH *ROWS,
     "row 0 of /snapshots/keys, values (snapshot 0, layer 1)"},
    {".memory.h5.part", LSP_SNAPSHOT_VALUES, 4L * WIDTH *(2 * ROWS + 1),
     "row 1 of /snapshots/keys, values (snapshot 1, layer 0)"},
    {".memory.h5.part", LSP_SNAPSHOT_ROW_SUM, 8L * (4 * ROWS - 1),
     "row 7 of /snapshots/keys, values (snapshot 1, layer 1)"},
    {".memory.h5.part", LSP_SNAPSHOT_HIDDEN, 4, "row 0 of /snapshots/last_id, hidden"},
    {".memory.h5.part", LSP_SNAPSHOT_LAST_ID, 4, "row 1 of /snapshots/last_id, hidden"},
};

/* Refused at the finish and when it is resumed; once the bit is back, neither. */
static void check_damage(lsp_ctx *ctx, const damage *d) {
  run r;
  make_run(&r, ctx);
  commit_all(&r);
  flip(&r, d->suffix, d->dataset, d->at);
  assert_everywhere(ctx, lsp_store_finish(r.store) == LSP_E_FORMAT);
  expect_message(&ctx->why, "not finished: ");
  expect_message(&ctx->why, d->words);
  lsp_store_close(&r.store);
  assert_everywhere(ctx, !is_there(&r, ".h5") && !is_there(&r, ".memory.h5"));
  assert_everywhere(ctx, open_run(&r, 1) == LSP_E_FORMAT && r.store == NULL);
  expect_message(&ctx->why, "--resume refused: ");
  expect_message(&ctx->why, d->words);
  flip(&r, d->suffix, d->dataset, d->at);
  assert_everywhere(ctx, open_run(&r, 1) == LSP_OK && r.state == LSP_STORE_RESUMED);
  assert_everywhere(ctx, lsp_store_finish(r.store) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(ctx->comm));
  assert_everywhere(ctx, is_there(&r, ".h5") && is_there(&r, ".memory.h5"));
  lsp_plan_close(&r.plan);
}

static void test_what_has_changed_is_not_finished_and_not_resumed(void **state) {
  for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++)
    check_damage(*state, &damages[i]);
}

static const damage damages_of_few[] = {
    {".memory.h5.part", LSP_SNAPSHOT_KEYS, 4L * WIDTH * 5,
     "row 5 of /snapshots/keys, values (snapshot 0, layer 0)"},
    {".memory.h5.part", LSP_SNAPSHOT_VALUES, 4L * WIDTH *(2 * (FIXED + ROWS) + 4),
     "row 4 of /snapshots/keys, values (snapshot 1, layer 0)"},
    {".memory.h5.part", LSP_SNAPSHOT_ROW_SUM, 8L * (2 * (FIXED + ROWS) + 5),
     "row 5 of /snapshots/keys, values (snapshot 1, layer 0)"},
    {".memory.h5.part", LSP_SNAPSHOT_KEYS, 4L * WIDTH *(FIXED + 4),
     "row 10 of /snapshots/keys, values (snapshot 0, layer 0)"},
    {".memory.h5.part", LSP_SNAPSHOT_ROW_SUM, 8L * (FIXED + 5),
     "row 11 of /snapshots/keys, values (snapshot 0, layer 0)"},
    {".memory.h5.part", LSP_SNAPSHOT_VALUES,
     4L * WIDTH *(3 * (FIXED + ROWS) + FIXED + 2),
     "row 8 of /snapshots/keys, values (snapshot 1, layer 1)"},
};

/* Fixed rows, rows that a document is too short for, and those that a layer does not
 * keep, which are zero. */
static void test_rows_that_are_fixed_and_rows_that_are_not_kept(void **state) {
  fixed = FIXED;
  layer_rows = few_rows;
  for (size_t i = 0; i < sizeof damages_of_few / sizeof damages_of_few[0]; i++)
    check_damage(*state, &damages_of_few[i]);
  layer_rows = no_rows; /* the second layer has no fixed rows either */
  const damage d = {".memory.h5.part", LSP_SNAPSHOT_KEYS, 4L * WIDTH * (FIXED + ROWS),
                    "row 0 of /snapshots/keys, values (snapshot 0, layer 1)"};
  check_damage(*state, &d);
  fixed = 0;
  layer_rows = NULL;
}

static const damage damages_of_parts[] = {
    {".memory.h5.part", LSP_MEMORY_DATASETS, 8L * 9 + 3,
     "out.memory.h5.part: /states/0/matrix (snapshot 1): the checksum is wrong"},
    {".memory.h5.part", LSP_MEMORY_DATASETS + 1, 4L * 699,
     "out.memory.h5.part: /states/1/matrix (snapshot 0): the checksum is wrong"},
    {".memory.h5.part", LSP_MEMORY_DATASETS + 2, 4L * 10,
     "out.memory.h5.part: /states/model/ids (snapshot 1): the checksum is wrong"},
    {".memory.h5.part", LSP_SNAPSHOT_PART_SUM, 8L * 4,
     "out.memory.h5.part: /states/1/matrix (snapshot 1): the checksum is wrong"},
    {".memory.h5.part", LSP_SNAPSHOT_PART_SUM, 8L * 2,
     "out.memory.h5.part: /states/model/ids (snapshot 0): the checksum is wrong"},
};

/* Beside rows, and alone. */
static void test_parts_that_have_changed_are_named(void **state) {
  parts = 3;
  for (size_t i = 0; i < sizeof damages_of_parts / sizeof damages_of_parts[0]; i++) {
    rows = i % 2 == 0 ? ROWS : 0;
    check_damage(*state, &damages_of_parts[i]);
  }
  rows = ROWS;
  parts = 0;
}

/* What a reader gets of a part is whole, or a line. */
static void test_a_part_that_is_read_is_compared_with_its_sum(void **state) {
  run r;
  char path[LSP_TEST_PATH];
  parts = 3;
  make_run(&r, *state);
  commit_all(&r);
  lsp_file_view view = {.fd = -1};
  beside(&r, ".memory.h5.part", path);
  for (int flipped = 0; flipped < 2; flipped++) {
    lsp_failure why = {0};
    float data[700];
    if (flipped)
      flip(&r, ".memory.h5.part", LSP_MEMORY_DATASETS + 1, 4 * 700);
    if (r.ctx->rank == 0)
      assert_int_equal(lsp_file_open(path, &view, &why), LSP_OK);
    assert_everywhere(r.ctx, lsp_file_share(r.ctx, path, &view) == LSP_OK);
    assert_everywhere(r.ctx, view.memory.parts == 3 && view.memory.snapshots == 2);
    assert_everywhere(r.ctx, strcmp(view.memory.part[1].name, "matrix") == 0);
    for (int s = 0; s < 2; s++)
      assert_everywhere(r.ctx, lsp_file_read_part(&view, path, s, 1, data, &why) ==
                                   (flipped && s == 1 ? LSP_E_FORMAT : LSP_OK));
    if (flipped)
      expect_message(&why, "/states/1/matrix (snapshot 1): the checksum is wrong");
    assert_true(data[0] >= 1 && data[699] >= 700 && data[699] <= 700);
    lsp_file_close(&view);
  }
  lsp_store_close(&r.store);
  lsp_plan_close(&r.plan);
  parts = 0;
}

/* Of a snapshot in the second document, when only the first panel of it is done. */
static void test_fixed_rows_are_looked_at_when_their_tokens_are_done(void **state) {
  run r;
  fixed = FIXED;
  make_run(&r, *state);
  assert_everywhere(r.ctx, open_run(&r, 0) == LSP_OK);
  write_tokens(&r);
  write_documents(&r);
  write_memory(&r);
  lsp_commit c = {.panel_end = 2, .token_end = 300}; /* all of the first document */
  assert_everywhere(r.ctx, lsp_store_commit(r.store, &c) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  flip(&r, ".memory.h5.part", LSP_SNAPSHOT_KEYS, 4L * WIDTH * 2 * (FIXED + ROWS));
  assert_everywhere(r.ctx, open_run(&r, 1) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  flip(&r, ".memory.h5.part", LSP_SNAPSHOT_KEYS, 4L * WIDTH * 1);
  assert_everywhere(r.ctx, open_run(&r, 1) == LSP_E_FORMAT);
  expect_message(&r.ctx->why, "row 1 of /snapshots/keys, values (snapshot 0, layer 0)");
  lsp_plan_close(&r.plan);
  fixed = 0;
}

/* Nor is the prefix of a document that has not begun. */
static void test_a_prefix_is_not_looked_at_before_its_document_begins(void **state) {
  run r;
  fixed = FIXED;
  prefix = 2;
  make_run(&r, *state);
  assert_everywhere(r.ctx, open_run(&r, 0) == LSP_OK);
  write_tokens(&r);
  write_documents(&r);
  write_memory(&r);
  lsp_commit c = {.panel_end = r.plan.panel_start[1], .token_end = 300};
  assert_everywhere(r.ctx, lsp_store_commit(r.store, &c) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  flip(&r, ".memory.h5.part", LSP_SNAPSHOT_KEYS, 4L * WIDTH * 2 * (FIXED + ROWS));
  assert_everywhere(r.ctx, open_run(&r, 1) == LSP_OK);
  lsp_store_close(&r.store);
  lsp_plan_close(&r.plan);
  fixed = 0;
  prefix = 0;
}

/* Behind the last commit anything may lie. */
static void test_what_is_not_committed_is_not_looked_at(void **state) {
  run r;
  parts = 3;
  make_run(&r, *state);
  assert_everywhere(r.ctx, open_run(&r, 0) == LSP_OK);
  write_tokens(&r);
  lsp_commit c = {.panel_end = 2, .token_end = 128};
  assert_everywhere(r.ctx, lsp_store_commit(r.store, &c) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  flip(&r, ".h5.part", LSP_TOKENS_ID, 4 * 128);
  flip(&r, ".h5.part", LSP_DOCUMENTS_NLL_SUM, 0);
  flip(&r, ".memory.h5.part", LSP_SNAPSHOT_KEYS, 0);
  flip(&r, ".memory.h5.part", LSP_MEMORY_DATASETS + 1, 0);
  assert_everywhere(r.ctx, open_run(&r, 1) == LSP_OK);
  assert_everywhere(r.ctx, r.last.panel_end == 2);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  flip(&r, ".h5.part", LSP_TOKENS_ID, 4 * 127);
  assert_everywhere(r.ctx, open_run(&r, 1) == LSP_E_FORMAT);
  expect_message(&r.ctx->why, "rows 64 to 127 of /tokens");
  lsp_plan_close(&r.plan);
  parts = 0;
}

LSP_TESTS(cmocka_unit_test(test_what_has_changed_is_not_finished_and_not_resumed),
          cmocka_unit_test(test_rows_that_are_fixed_and_rows_that_are_not_kept),
          cmocka_unit_test(test_parts_that_have_changed_are_named),
          cmocka_unit_test(test_a_part_that_is_read_is_compared_with_its_sum),
          cmocka_unit_test(test_fixed_rows_are_looked_at_when_their_tokens_are_done),
          cmocka_unit_test(test_a_prefix_is_not_looked_at_before_its_document_begins),
          cmocka_unit_test(test_what_is_not_committed_is_not_looked_at))
