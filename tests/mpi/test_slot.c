/* The slot: what a commit writes is what is new, and what is read after a resume is the
 * memory of the last commit, or, where that is damaged, of the one before. */
#include "harness.h"

#include "lsp/store.h"

#include <fcntl.h>
#include <sys/syscall.h>

enum { LAYERS = 3, WIDTH = 5, MODEL = 3, MOST_LOG = 4096, MOST_ROWS = 16 };

/* ---- The disk: after some more writes of this rank the others are lost, and nobody is
 * told. The linker takes this pwrite before the C library's. */

static int64_t writes_left = INT64_MAX;

ssize_t pwrite(int fd, const void *data, size_t n, off_t offset) {
  if (writes_left <= 0)
    return (ssize_t)n;
  writes_left -= writes_left < INT64_MAX;
  return syscall(SYS_pwrite64, fd, data, n, offset);
}

/* ---- A run */

typedef struct {
  lsp_ctx *ctx;
  char path[LSP_TEST_PATH];
  int64_t token_start[2], n_bytes[1];
  const char *name[1];
  lsp_store_spec spec;
  lsp_store *store;
  lsp_store_state state;
  lsp_commit last;
  int64_t wave;               /* of what is written: part of every value */
  int64_t log_wave[MOST_LOG]; /* which one wrote a row of the log */
  int64_t fixed_wave;         /* and the fixed rows */
  int64_t part_wave;          /* and the parts */
} run;

/* rows: of the past; fixed: beside them. */
static void make_run(run *r, lsp_ctx *ctx, int64_t rows, int64_t fixed) {
  memset(r, 0, sizeof *r);
  r->ctx = ctx;
  (void)snprintf(r->path, sizeof r->path, "%s/out.h5", lsp_test_folder());
  r->token_start[1] = r->n_bytes[0] = 100;
  r->name[0] = "text";
  r->spec = (lsp_store_spec){.path = r->path, .identity = "{\"model\":\"aaaa\"}"};
  r->spec.output = (lsp_output_spec){.tokens = 100,
                                     .documents = 1,
                                     .panels = 1,
                                     .write_id = 1,
                                     .token_start = r->token_start,
                                     .n_bytes = r->n_bytes,
                                     .name = r->name};
  r->spec.memory = (lsp_memory_spec){.layers = LAYERS,
                                     .rows = rows,
                                     .fixed = fixed,
                                     .width = WIDTH,
                                     .hidden_width = MODEL};
}

/* Parts of every type, of layers and of the model; the first takes many pages. */
enum { PARTS = 5, MOST_PART = 8 * 40 * 40 };
static const lsp_part part[PARTS] = {
    {0, "matrix", LSP_PART_F64, 3, {2, 40, 20}},
    {0, "normalizer", LSP_PART_F32, 1, {7}},
    {2, "matrix", LSP_PART_F64, 2, {3, 3}},
    {-1, "ids", LSP_PART_I32, 1, {9}},
    {-1, "id_count", LSP_PART_I64, 1, {1}},
};

static void make_run_of_parts(run *r, lsp_ctx *ctx, int64_t rows, int64_t fixed) {
  make_run(r, ctx, rows, fixed);
  r->spec.memory.part = part;
  r->spec.memory.parts = PARTS;
}

static void open_run(run *r, int resume) {
  r->spec.resume = resume;
  const lsp_status status =
      lsp_store_open(r->ctx, &r->spec, &r->store, &r->state, &r->last);
  if (status != LSP_OK)
    print_error("%s\n", r->ctx->why.text);
  assert_everywhere(r->ctx, status == LSP_OK);
}

static void close_run(run *r) {
  lsp_store_close(&r->store);
  LSP_MPI(MPI_Barrier(r->ctx->comm));
}

static void reopen(run *r) {
  close_run(r);
  open_run(r, 1);
  assert_everywhere(r->ctx, r->state == LSP_STORE_RESUMED);
}

/* A value says where it belongs, and who wrote it; fixed rows have kv 2 and 3. */
static float value_of(int64_t wave, int kv, int layer, int64_t row, int64_t column) {
  return (float)((((wave * 4 + kv) * LAYERS + layer) * 64 + row % 64) * WIDTH + column +
                 1);
}

static int64_t kept(const run *r, int layer) {
  return lsp_memory_layer_rows(&r->spec.memory, layer);
}

/* Rows [first, end) from this rank, at most three in one call. */
static void put(run *r, int is_fixed, int layer, int64_t first, int64_t end) {
  float data[2][3 * WIDTH];
  const int64_t base = is_fixed ? 0 : r->last.memory_end;
  for (int kv = 0; kv < 2; kv++)
    for (int64_t i = 0; i < (end - first) * WIDTH; i++)
      data[kv][i] = value_of(r->wave, 2 * is_fixed + kv, layer,
                             base + first + i / WIDTH, i % WIDTH);
  if (is_fixed)
    lsp_store_fixed(r->store, LSP_STORE_SLOT, layer, first, end - first, data[0],
                    data[1]);
  else
    lsp_store_memory(r->store, LSP_STORE_SLOT, layer, first, end - first, data[0],
                     data[1]);
}

static void deal(run *r, int is_fixed, int layer, int64_t first, int64_t end) {
  for (int64_t at = first; at < end; at += 3)
    if ((at / 3 + layer + r->wave) % r->ctx->size == r->ctx->rank)
      put(r, is_fixed, layer, at, at + 3 < end ? at + 3 : end);
}

/* n new rows of every layer, or the last ones, as many as it keeps. */
static void write_log(run *r, int64_t n) {
  r->wave++;
  for (int layer = 0; layer < LAYERS; layer++)
    deal(r, 0, layer, n > kept(r, layer) ? n - kept(r, layer) : 0, n);
  for (int64_t i = 0; i < n; i++)
    if (r->last.memory_end + i < MOST_LOG)
      r->log_wave[r->last.memory_end + i] = r->wave;
}

static void write_fixed(run *r, int64_t n) {
  for (int layer = 0; layer < LAYERS; layer++)
    if (lsp_memory_layer_fixed(&r->spec.memory, layer) > 0)
      deal(r, 1, layer, 0, n);
  r->fixed_wave = r->wave;
}

/* Byte i of a part tells the wave; the numbers need not be any. */
static void fill_part(unsigned char *data, int i, int64_t wave) {
  for (int64_t at = 0; at < lsp_part_bytes(&part[i]); at++)
    data[at] = (unsigned char)(at * 7 + i * 31 + wave * 13 + 1);
}

static void write_parts(run *r) {
  unsigned char data[MOST_PART];
  r->part_wave = r->wave;
  for (int i = 0; i < PARTS; i++) {
    fill_part(data, i, r->wave);
    if ((i + r->wave) % r->ctx->size == r->ctx->rank)
      lsp_store_part(r->store, LSP_STORE_SLOT, i, data);
  }
}

static int parts_are_right(run *r) {
  unsigned char data[MOST_PART], expected[MOST_PART];
  int right = 1;
  for (int i = 0; i < PARTS; i++) {
    memset(expected, 0, sizeof expected);
    if (r->last.has_parts)
      fill_part(expected, i, r->part_wave);
    memset(data, 1, sizeof data);
    right = right && lsp_store_read_part(r->store, i, data) == LSP_OK &&
            memcmp(data, expected, (size_t)lsp_part_bytes(&part[i])) == 0;
  }
  return right;
}

/* n rows more, of which the last `live` are memory; fixed rows, written if is_new. */
static void commit_with(run *r, int64_t n, int64_t live, int64_t fixed, int is_new,
                        int with_parts) {
  write_log(r, n);
  if (is_new)
    write_fixed(r, fixed);
  if (with_parts)
    write_parts(r);
  lsp_commit c = {.panel_end = r->last.panel_end + 1,
                  .token_end = r->last.token_end + 10,
                  .memory_end = r->last.memory_end + n,
                  .memory_rows = live,
                  .fixed_rows = fixed,
                  .fixed_new = is_new};
  assert_everywhere(r->ctx, lsp_store_commit(r->store, &c) == LSP_OK);
  assert_everywhere(r->ctx, c.has_parts == with_parts);
  r->last = c;
}

static void commit(run *r, int64_t n, int64_t live, int64_t fixed, int is_new) {
  commit_with(r, n, live, fixed, is_new, 0);
}

/* Three rows more and all parts, in the midst of a document. */
static void commit_parts(run *r) {
  const int64_t n = lsp_min(3, r->spec.memory.rows);
  commit_with(r, n, lsp_min(r->last.memory_end + n, r->spec.memory.rows), 0, 0, 1);
}

static int row_is(const float *row, int is_there, int64_t wave, int kv, int layer,
                  int64_t number) {
  int right = 1;
  for (int64_t i = 0; i < WIDTH; i++) {
    const float expected = is_there ? value_of(wave, kv, layer, number, i) : 0.0f;
    right = right && memcmp(&row[i], &expected, sizeof expected) == 0;
  }
  return right;
}

static int layer_is_right(run *r, int layer, float data[2][MOST_ROWS * WIDTH],
                          int64_t first, int64_t rows) {
  const int64_t R = r->spec.memory.rows;
  const int64_t live =
      r->last.memory_rows < kept(r, layer) ? r->last.memory_rows : kept(r, layer);
  int right =
      lsp_store_read_memory(r->store, layer, first, rows, data[0], data[1]) == LSP_OK;
  for (int kv = 0; kv < 2; kv++)
    for (int64_t i = 0; i < rows; i++) {
      const int64_t age = R - (first + i); /* 1: the last row */
      const int64_t number = r->last.memory_end - age;
      right = right && row_is(data[kv] + i * WIDTH, age <= live,
                              age <= live ? r->log_wave[number] : 0, kv, layer, number);
    }
  return right;
}

/* On every rank, in two pieces as well as in one. */
static int memory_is_right(run *r) {
  float data[2][MOST_ROWS * WIDTH];
  const int64_t R = r->spec.memory.rows;
  int right = 1;
  for (int layer = 0; layer < LAYERS; layer++)
    for (int64_t cut = 0; cut < R; cut += 2) {
      memset(data, 1, sizeof data);
      right = right && layer_is_right(r, layer, data, 0, cut) &&
              layer_is_right(r, layer, data, cut, R - cut);
    }
  return right;
}

static int fixed_is_right(run *r) {
  float data[2][MOST_ROWS * WIDTH];
  const int64_t F = r->spec.memory.fixed;
  int right = 1;
  for (int layer = 0; layer < LAYERS; layer++) {
    const int64_t there = kept(r, layer) > 0 ? r->last.fixed_rows : 0;
    memset(data, 1, sizeof data);
    right = right &&
            lsp_store_read_fixed(r->store, layer, 1, F - 1, data[0], data[1]) == LSP_OK;
    for (int kv = 0; kv < 2; kv++)
      for (int64_t i = 1; i < F; i++)
        right = right && row_is(data[kv] + (i - 1) * WIDTH, i < there, r->fixed_wave,
                                2 + kv, layer, i);
  }
  return right;
}

static int64_t written(const run *r) {
  int64_t bytes = lsp_store_written(r->store).bytes;
  LSP_MPI(MPI_Allreduce(MPI_IN_PLACE, &bytes, 1, MPI_INT64_T, MPI_SUM, r->ctx->comm));
  return bytes;
}

/* One bit of byte `at` of a dataset. */
static void flip_byte(const run *r, int dataset, int64_t byte_at) {
  char path[LSP_TEST_PATH];
  LSP_MPI(MPI_Barrier(r->ctx->comm));
  if (r->ctx->rank == 0) {
    lsp_file_view view;
    unsigned char byte = 0;
    assert_int_equal(lsp_store_beside(r->path, ".h5.slot", path, sizeof path, NULL),
                     LSP_OK);
    assert_int_equal(lsp_file_open(path, &view, NULL), LSP_OK);
    const off_t at = view.extent[dataset].offset + byte_at;
    lsp_file_close(&view);
    const int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 32;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    (void)close(fd);
  }
  LSP_MPI(MPI_Barrier(r->ctx->comm));
}

/* Of a row of a layer, of 2 F + 3 R. */
static void flip(const run *r, int dataset, int layer, int64_t row) {
  const lsp_memory_spec *m = &r->spec.memory;
  const int64_t bytes = dataset == LSP_SNAPSHOT_ROW_SUM ? 8 : 4 * WIDTH;
  flip_byte(r, dataset, (layer * (2 * m->fixed + 3 * m->rows) + row) * bytes + 3);
}

/* Of a part as record number `record` has it; of its sum. */
static void flip_part(const run *r, int64_t record, int i, int64_t byte_at) {
  flip_byte(r, LSP_MEMORY_DATASETS + (int)(record % 2) * PARTS + i, byte_at);
}
static void flip_part_sum(const run *r, int64_t record, int i) {
  flip_byte(r, LSP_SNAPSHOT_PART_SUM, 8 * (record % 2 * PARTS + i) + 5);
}

static void flip_log(const run *r, int dataset, int layer, int64_t number) {
  const lsp_memory_spec *m = &r->spec.memory;
  flip(r, dataset, layer, 2 * m->fixed + number % (3 * m->rows));
}

/* ---- Tests */

enum { ROW_BYTES = 2 * WIDTH * 4 + 8 };

static void test_what_a_commit_writes_does_not_grow_with_the_reach(void **state) {
  static const int64_t reach[] = {10, 10000};
  for (int i = 0; i < 2; i++) {
    run r;
    make_run(&r, *state, reach[i], 0);
    open_run(&r, 0);
    for (int64_t wave = 1; wave <= 40; wave++) {
      commit(&r, 7, 7 * wave < reach[i] ? 7 * wave : reach[i], 0, 0);
      assert_everywhere(r.ctx, written(&r) == wave * 7 * LAYERS * ROW_BYTES);
    }
    close_run(&r);
  }
}

static uint64_t draw(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* Any number of new rows, and of those that are memory. */
static void commit_any(run *r, uint64_t *seed) {
  const int64_t R = r->spec.memory.rows;
  const int64_t n = (int64_t)(draw(seed) % (uint64_t)(R + 1));
  const int64_t end = r->last.memory_end + n;
  const int64_t most = end < R ? end : R;
  const int64_t live = draw(seed) % 3 == 0 ? n : most;
  commit(r, n, draw(seed) % 7 == 0 ? 0 : live, 0, 0);
}

static void test_the_ring_comes_around_again_and_again(void **state) {
  static const int64_t reach[] = {1, 2, 7, MOST_ROWS};
  for (uint64_t i = 0; i < 4; i++) {
    run r;
    uint64_t seed = i;
    make_run(&r, *state, reach[i], 0);
    open_run(&r, 0);
    for (int wave = 0; wave < 60; wave++) {
      commit_any(&r, &seed);
      if (wave % 4 == 3)
        reopen(&r);
      if (wave % 4 == 3)
        assert_everywhere(r.ctx, r.last.panel_end == wave + 1 && memory_is_right(&r));
    }
    assert_everywhere(r.ctx, r.last.memory_end > 3 * 3 * reach[i]);
    close_run(&r);
  }
}

/* A part of the ranks goes on, then all again. */
static void test_other_ranks_read_the_same_rows(void **state) {
  lsp_ctx *all = *state;
  static run r;
  uint64_t seed = 5;
  make_run(&r, all, 7, 0);
  for (int ranks = 1; ranks <= all->size; ranks++) {
    MPI_Comm some;
    lsp_ctx ctx;
    LSP_MPI(MPI_Comm_split(all->comm, all->rank < ranks ? 0 : MPI_UNDEFINED, all->rank,
                           &some));
    if (some != MPI_COMM_NULL) {
      lsp_ctx_open(&ctx, some);
      r.ctx = &ctx;
      open_run(&r, ranks > 1);
      assert_everywhere(&ctx, ranks == 1 || memory_is_right(&r));
      for (int wave = 0; wave < 5; wave++)
        commit_any(&r, &seed);
      commit(&r, 2, r.last.memory_rows + 2 < 7 ? r.last.memory_rows + 2 : 7, 0, 0);
      close_run(&r);
      lsp_ctx_close(&ctx);
      LSP_MPI(MPI_Comm_free(&some));
    }
    r.ctx = all;
    /* The others hear what was written. */
    LSP_MPI(MPI_Bcast(&r.wave, 1, MPI_INT64_T, 0, all->comm));
    LSP_MPI(MPI_Bcast(&seed, 1, MPI_UINT64_T, 0, all->comm));
    LSP_MPI(MPI_Bcast(r.log_wave, MOST_LOG, MPI_INT64_T, 0, all->comm));
  }
  open_run(&r, 1);
  assert_everywhere(all, r.last.memory_rows >= 2 && memory_is_right(&r));
  close_run(&r);
}

/* Even when all rows of a wave were written that was never committed. */
static void test_a_damaged_row_falls_back_to_the_commit_before(void **state) {
  static const int dataset[] = {LSP_SNAPSHOT_KEYS, LSP_SNAPSHOT_VALUES,
                                LSP_SNAPSHOT_ROW_SUM};
  for (int i = 0; i < 3; i++) {
    run r;
    make_run(&r, *state, 8, 0);
    open_run(&r, 0);
    for (int wave = 0; wave < 9; wave++)
      commit(&r, wave % 2 == 0 ? 3 : 8, wave == 0 ? 3 : 8, 0, 0);
    const lsp_commit whole = r.last;
    commit(&r, 8, 8, 0, 0);
    int64_t was[MOST_LOG];
    memcpy(was, r.log_wave, sizeof was);
    write_log(&r, 8);
    memcpy(r.log_wave, was, sizeof was);
    close_run(&r);
    flip_log(&r, dataset[i], 1, r.last.memory_end - 1 - i);
    open_run(&r, 1);
    assert_everywhere(r.ctx, r.last.panel_end == whole.panel_end);
    assert_everywhere(r.ctx, r.last.memory_end == whole.memory_end);
    assert_everywhere(r.ctx, memory_is_right(&r));
    commit(&r, 5, 8, 0, 0); /* over what was dropped */
    reopen(&r);
    assert_everywhere(r.ctx, r.last.panel_end == whole.panel_end + 1);
    assert_everywhere(r.ctx, memory_is_right(&r));
    close_run(&r);
  }
}

static void test_rows_of_two_commits_that_are_damaged_leave_none(void **state) {
  run r;
  make_run(&r, *state, 8, 0);
  open_run(&r, 0);
  for (int wave = 0; wave < 5; wave++)
    commit(&r, 3, wave < 2 ? 3 * (wave + 1) : 8, 0, 0);
  close_run(&r);
  flip_log(&r, LSP_SNAPSHOT_KEYS, 2, r.last.memory_end - 5);
  open_run(&r, 1);
  assert_everywhere(r.ctx, r.last.panel_end == 0 && r.last.memory_end == 0);
  assert_everywhere(r.ctx, memory_is_right(&r));
  close_run(&r);
}

static void test_rows_that_are_no_memory_any_more_are_not_looked_at(void **state) {
  run r;
  make_run(&r, *state, 8, 0);
  open_run(&r, 0);
  for (int wave = 0; wave < 5; wave++)
    commit(&r, 3, wave < 2 ? 3 * (wave + 1) : 8, 0, 0);
  commit(&r, 3, 4, 0, 0); /* of a document that has just begun */
  close_run(&r);
  flip_log(&r, LSP_SNAPSHOT_KEYS, 2, r.last.memory_end - 5);
  flip_log(&r, LSP_SNAPSHOT_KEYS, 2, r.last.memory_end);
  open_run(&r, 1);
  assert_everywhere(r.ctx, r.last.panel_end == 6 && memory_is_right(&r));
  close_run(&r);
}

/* The slot as rank 0 finds it: kept, and put back after the next commit as if that had
 * never reached the disk. */
static char image[1 << 20];

static void slot_image(const run *r, int put_back) {
  char path[LSP_TEST_PATH];
  static ssize_t n;
  LSP_MPI(MPI_Barrier(r->ctx->comm));
  if (r->ctx->rank == 0) {
    assert_int_equal(lsp_store_beside(r->path, ".h5.slot", path, sizeof path, NULL),
                     LSP_OK);
    const int fd = open(path, O_RDWR);
    if (put_back)
      assert_int_equal(pwrite(fd, image, (size_t)n, 0), n);
    else
      n = pread(fd, image, sizeof image, 0);
    assert_in_range(n, 1, sizeof image - 1);
    (void)close(fd);
  }
  LSP_MPI(MPI_Barrier(r->ctx->comm));
}

/* A row whose bytes and sum are those of another place. */
static void test_a_row_of_another_time_does_not_count(void **state) {
  run r;
  make_run(&r, *state, 4, 0);
  open_run(&r, 0);
  for (int wave = 0; wave < 3; wave++) /* the ring is full once */
    commit(&r, 4, 4, 0, 0);
  slot_image(&r, 0);
  commit(&r, 4, 4, 0, 0); /* over the rows of the first */
  close_run(&r);
  slot_image(&r, 1);
  open_run(&r, 1);
  assert_everywhere(r.ctx, r.last.panel_end == 3 && memory_is_right(&r));
  close_run(&r);
}

static void test_fixed_rows_of_an_older_document_do_not_count(void **state) {
  run r;
  make_run(&r, *state, 4, 3);
  open_run(&r, 0);
  commit(&r, 4, 0, 3, 1);
  commit(&r, 4, 0, 3, 1);
  const int64_t wave = r.fixed_wave;
  slot_image(&r, 0);
  commit(&r, 4, 0, 3, 1); /* over the rows of the first document */
  close_run(&r);
  slot_image(&r, 1);
  open_run(&r, 1);
  r.fixed_wave = wave;
  assert_everywhere(r.ctx, r.last.panel_end == 2 && fixed_is_right(&r));
  close_run(&r);
}

static void test_fixed_rows_stay_as_long_as_their_document(void **state) {
  run r;
  make_run(&r, *state, 8, 6);
  open_run(&r, 0);
  commit(&r, 8, 8, 6, 1);
  const int64_t begun = written(&r);
  assert_everywhere(r.ctx, begun == LAYERS * (8 + 6) * ROW_BYTES);
  for (int wave = 0; wave < 6; wave++) { /* the ring comes around */
    commit(&r, 8, 8, 6, 0);
    assert_everywhere(r.ctx,
                      written(&r) == begun + (wave + 1) * LAYERS * 8 * ROW_BYTES);
  }
  reopen(&r);
  assert_everywhere(r.ctx, r.last.panel_end == 7 && r.last.fixed_rows == 6);
  assert_everywhere(r.ctx, fixed_is_right(&r) && memory_is_right(&r));
  commit(&r, 0, 0, 0, 0); /* between documents */
  reopen(&r);
  assert_everywhere(r.ctx, r.last.fixed_rows == 0 && fixed_is_right(&r));
  commit(&r, 2, 2, 2, 1); /* a document that has two rows so far */
  reopen(&r);
  assert_everywhere(r.ctx, r.last.fixed_rows == 2 && fixed_is_right(&r));
  commit(&r, 7, 8, 6, 1); /* and now more than six */
  commit(&r, 1, 8, 6, 0);
  reopen(&r);
  assert_everywhere(r.ctx, r.last.fixed_rows == 6 && fixed_is_right(&r));
  assert_everywhere(r.ctx, r.last.panel_end == 11 && memory_is_right(&r));
  close_run(&r);
}

static void test_a_damaged_fixed_row_falls_back_to_the_document_before(void **state) {
  run r;
  make_run(&r, *state, 8, 6);
  open_run(&r, 0);
  commit(&r, 8, 8, 6, 1);
  commit(&r, 8, 8, 6, 0);
  const int64_t wave = r.fixed_wave;
  const int area = r.last.fixed_area;
  commit(&r, 3, 3, 3, 1);
  assert_everywhere(r.ctx, r.last.fixed_area == 1 - area);
  close_run(&r);
  flip(&r, LSP_SNAPSHOT_VALUES, 2, r.last.fixed_area * 6 + 2);
  open_run(&r, 1);
  r.fixed_wave = wave;
  assert_everywhere(r.ctx, r.last.panel_end == 2 && r.last.fixed_rows == 6);
  assert_everywhere(r.ctx, fixed_is_right(&r) && memory_is_right(&r));
  commit(&r, 3, 3, 3, 1);
  reopen(&r);
  assert_everywhere(r.ctx, r.last.panel_end == 3 && fixed_is_right(&r));
  close_run(&r);
  flip(&r, LSP_SNAPSHOT_VALUES, 2, r.last.fixed_area * 6 + 4); /* not in use */
  open_run(&r, 1);
  assert_everywhere(r.ctx, r.last.panel_end == 3 && fixed_is_right(&r));
  close_run(&r);
}

/* One layer keeps three rows, one all, one nothing at all. */
static void test_a_layer_keeps_no_more_rows_than_it_needs(void **state) {
  static const int64_t layer_rows[LAYERS] = {3, 8, 0};
  run r;
  make_run(&r, *state, 8, 4);
  r.spec.memory.layer_rows = layer_rows;
  open_run(&r, 0);
  commit(&r, 5, 5, 4, 1);
  assert_everywhere(r.ctx, written(&r) == (3 + 5 + 2 * 4) * ROW_BYTES);
  commit(&r, 2, 7, 4, 0);
  assert_everywhere(r.ctx, written(&r) == (3 + 5 + 2 * 4 + 2 * 2) * ROW_BYTES);
  reopen(&r);
  assert_everywhere(r.ctx, r.last.panel_end == 2);
  assert_everywhere(r.ctx, fixed_is_right(&r) && memory_is_right(&r));
  for (int wave = 0; wave < 6; wave++)
    commit(&r, 8, 8, 4, 0);
  close_run(&r);
  flip_log(&r, LSP_SNAPSHOT_KEYS, 0, r.last.memory_end - 4); /* it keeps three */
  flip_log(&r, LSP_SNAPSHOT_KEYS, 2, r.last.memory_end - 1);
  flip(&r, LSP_SNAPSHOT_KEYS, 2, r.last.fixed_area * 4);
  open_run(&r, 1);
  assert_everywhere(r.ctx, r.last.panel_end == 8);
  assert_everywhere(r.ctx, fixed_is_right(&r) && memory_is_right(&r));
  close_run(&r);
  flip_log(&r, LSP_SNAPSHOT_KEYS, 0, r.last.memory_end - 3);
  open_run(&r, 1);
  assert_everywhere(r.ctx, r.last.panel_end == 7 && memory_is_right(&r));
  close_run(&r);
}

/* Beside rows, and alone: a model may have nothing else. */
static void test_parts_are_those_of_the_last_commit(void **state) {
  static const int64_t reach[] = {8, 0};
  for (int i = 0; i < 2; i++) {
    run r;
    make_run_of_parts(&r, *state, reach[i], 0);
    if (reach[i] == 0)
      r.spec.memory.width = 0;
    open_run(&r, 0);
    for (int wave = 1; wave <= 5; wave++) {
      commit_parts(&r);
      reopen(&r);
      assert_everywhere(r.ctx, r.last.panel_end == wave && r.last.has_parts);
      assert_everywhere(r.ctx, parts_are_right(&r) && memory_is_right(&r));
    }
    commit(&r, 0, 0, 0, 0); /* between documents */
    reopen(&r);
    assert_everywhere(r.ctx, r.last.panel_end == 6 && !r.last.has_parts);
    assert_everywhere(r.ctx, parts_are_right(&r));
    commit_parts(&r);
    commit_parts(&r);
    reopen(&r);
    assert_everywhere(r.ctx, r.last.panel_end == 8 && parts_are_right(&r));
    close_run(&r);
  }
}

static void test_what_parts_take_at_a_commit_is_their_size(void **state) {
  run r;
  int64_t bytes = 0;
  for (int i = 0; i < PARTS; i++)
    bytes += lsp_part_bytes(&part[i]) + 8;
  make_run_of_parts(&r, *state, 0, 0);
  open_run(&r, 0);
  for (int wave = 1; wave <= 3; wave++) {
    commit_parts(&r);
    assert_everywhere(r.ctx, written(&r) == wave * bytes);
  }
  close_run(&r);
}

/* Written by a wave that was never committed, whole or in part. */
static void test_parts_of_a_wave_without_a_commit_do_not_count(void **state) {
  for (int whole = 0; whole < 2; whole++) {
    run r;
    make_run_of_parts(&r, *state, 8, 0);
    open_run(&r, 0);
    commit_parts(&r);
    commit_parts(&r);
    const int64_t wave = r.part_wave;
    r.wave++;
    if (!whole)
      writes_left = r.ctx->rank % 2;
    write_parts(&r);
    writes_left = INT64_MAX;
    r.part_wave = wave;
    reopen(&r);
    assert_everywhere(r.ctx, r.last.panel_end == 2 && parts_are_right(&r));
    commit_parts(&r);
    reopen(&r);
    assert_everywhere(r.ctx, r.last.panel_end == 3 && parts_are_right(&r));
    close_run(&r);
  }
}

/* A bit of any part, or of its sum; without rows beside them, too. */
static void test_a_damaged_part_falls_back_to_the_commit_before(void **state) {
  for (int i = 0; i < 2 * PARTS; i++) {
    const int p = i % PARTS, is_sum = i >= PARTS;
    run r;
    make_run_of_parts(&r, *state, i % 2 == 0 ? 8 : 0, 0);
    open_run(&r, 0);
    for (int wave = 0; wave < 3 + p % 2; wave++)
      commit_parts(&r);
    const lsp_commit whole = r.last;
    const int64_t wave = r.part_wave;
    commit_parts(&r);
    close_run(&r);
    if (is_sum)
      flip_part_sum(&r, whole.panel_end, p);
    else
      flip_part(&r, whole.panel_end, p, lsp_part_bytes(&part[p]) - 1);
    open_run(&r, 1);
    r.part_wave = wave;
    assert_everywhere(r.ctx, r.last.panel_end == whole.panel_end);
    assert_everywhere(r.ctx, parts_are_right(&r) && memory_is_right(&r));
    commit_parts(&r); /* over what was dropped */
    reopen(&r);
    assert_everywhere(r.ctx, r.last.panel_end == whole.panel_end + 1);
    assert_everywhere(r.ctx, parts_are_right(&r) && memory_is_right(&r));
    close_run(&r);
    flip_part(&r, r.last.panel_end - 1, p, 0);
    flip_part(&r, r.last.panel_end, PARTS - 1, 0);
    open_run(&r, 1);
    assert_everywhere(r.ctx, r.last.panel_end == 0 && parts_are_right(&r));
    close_run(&r);
  }
}

/* What lies there is whole, with a sum that was right two commits before. */
static void test_parts_of_another_time_do_not_count(void **state) {
  run r;
  make_run_of_parts(&r, *state, 0, 0);
  open_run(&r, 0);
  for (int wave = 0; wave < 3; wave++)
    commit_parts(&r);
  const int64_t before = r.part_wave;
  slot_image(&r, 0);
  commit_parts(&r); /* over the second one's */
  close_run(&r);
  slot_image(&r, 1);
  open_run(&r, 1);
  r.part_wave = before;
  assert_everywhere(r.ctx, r.last.panel_end == 3 && parts_are_right(&r));
  close_run(&r);
}

/* Each rank loses what it writes from its k-th write on, the record or not: the memory is
 * that of the commit that counts. */
static void test_whatever_is_lost_the_memory_is_of_one_commit(void **state) {
  int counted[2] = {0, 0};
  for (int64_t k = 0; counted[1] == 0; k++) {
    run r;
    make_run_of_parts(&r, *state, 8, 0);
    open_run(&r, 0);
    for (int wave = 0; wave < 3; wave++)
      commit_parts(&r);
    const int64_t wave = r.part_wave;
    /* Others than rank 0, which writes the record, lose more. */
    writes_left = r.ctx->rank == 0 ? k : k / 2;
    commit_parts(&r);
    writes_left = INT64_MAX;
    close_run(&r);
    open_run(&r, 1);
    if (r.last.panel_end == 3)
      r.part_wave = wave;
    assert_everywhere(r.ctx, r.last.panel_end == 3 || r.last.panel_end == 4);
    assert_everywhere(r.ctx, parts_are_right(&r) && memory_is_right(&r));
    counted[r.last.panel_end - 3]++;
    commit_parts(&r);
    reopen(&r);
    assert_everywhere(r.ctx, parts_are_right(&r) && memory_is_right(&r));
    close_run(&r);
  }
  assert_everywhere(*state, counted[0] > 5);
}

/* On any number of ranks. */
static void test_other_ranks_read_the_same_parts(void **state) {
  lsp_ctx *all = *state;
  static run r;
  make_run_of_parts(&r, all, 7, 0);
  for (int ranks = 1; ranks <= all->size; ranks++) {
    MPI_Comm some;
    lsp_ctx ctx;
    LSP_MPI(MPI_Comm_split(all->comm, all->rank < ranks ? 0 : MPI_UNDEFINED, all->rank,
                           &some));
    if (some != MPI_COMM_NULL) {
      lsp_ctx_open(&ctx, some);
      r.ctx = &ctx;
      open_run(&r, ranks > 1);
      assert_everywhere(&ctx, ranks == 1 || parts_are_right(&r));
      commit_parts(&r);
      close_run(&r);
      lsp_ctx_close(&ctx);
      LSP_MPI(MPI_Comm_free(&some));
    }
    r.ctx = all;
    LSP_MPI(MPI_Bcast(&r.wave, 1, MPI_INT64_T, 0, all->comm));
    LSP_MPI(MPI_Bcast(&r.part_wave, 1, MPI_INT64_T, 0, all->comm));
  }
  open_run(&r, 1);
  assert_everywhere(all, r.last.panel_end == all->size && parts_are_right(&r));
  close_run(&r);
}

LSP_TESTS(cmocka_unit_test(test_parts_are_those_of_the_last_commit),
          cmocka_unit_test(test_what_parts_take_at_a_commit_is_their_size),
          cmocka_unit_test(test_parts_of_a_wave_without_a_commit_do_not_count),
          cmocka_unit_test(test_a_damaged_part_falls_back_to_the_commit_before),
          cmocka_unit_test(test_parts_of_another_time_do_not_count),
          cmocka_unit_test(test_whatever_is_lost_the_memory_is_of_one_commit),
          cmocka_unit_test(test_other_ranks_read_the_same_parts),
          cmocka_unit_test(test_what_a_commit_writes_does_not_grow_with_the_reach),
          cmocka_unit_test(test_the_ring_comes_around_again_and_again),
          cmocka_unit_test(test_other_ranks_read_the_same_rows),
          cmocka_unit_test(test_a_damaged_row_falls_back_to_the_commit_before),
          cmocka_unit_test(test_rows_of_two_commits_that_are_damaged_leave_none),
          cmocka_unit_test(test_rows_that_are_no_memory_any_more_are_not_looked_at),
          cmocka_unit_test(test_a_row_of_another_time_does_not_count),
          cmocka_unit_test(test_fixed_rows_of_an_older_document_do_not_count),
          cmocka_unit_test(test_fixed_rows_stay_as_long_as_their_document),
          cmocka_unit_test(test_a_damaged_fixed_row_falls_back_to_the_document_before),
          cmocka_unit_test(test_a_layer_keeps_no_more_rows_than_it_needs))
