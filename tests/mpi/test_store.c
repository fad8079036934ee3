/* The store: rows arrive whoever writes them, what is committed is found again, and
 * what is refused is left as it was. */
#include "harness.h"

#include "lsp/durable.h"
#include "lsp/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/syscall.h>

enum { UNITS = 64, LAYERS = 2, ROWS = 8, WIDTH = 5, MODEL = 3 };
static const int64_t UNIT = (int64_t)1 << 20;

/* ---- The disk, watched: which units were written while `watching`, and a write that
 * fails. The linker takes this pwrite before the C library's. */

static int watching, failing;
static int64_t unit_written[UNITS];

ssize_t pwrite(int fd, const void *data, size_t n, off_t offset) {
  if (failing) {
    errno = ENOSPC;
    return -1;
  }
  for (int64_t u = offset / UNIT; watching && u <= (offset + (off_t)n - 1) / UNIT; u++)
    if (u < UNITS)
      unit_written[u] = 1;
  return syscall(SYS_pwrite64, fd, data, n, offset);
}

/* ---- A run */

typedef struct {
  lsp_ctx *ctx;
  char path[LSP_TEST_PATH];
  char identity[200];
  int64_t token_start[3], n_bytes[2], document[2], position[2];
  const char *name[2];
  lsp_attribute attribute[1];
  lsp_store_spec spec;
  lsp_store *store;
  lsp_store_state state;
  lsp_commit last;
} run;

static void make_run(run *r, lsp_ctx *ctx, const char *folder, int64_t tokens,
                     int64_t panels) {
  memset(r, 0, sizeof *r);
  r->ctx = ctx;
  (void)snprintf(r->path, sizeof r->path, "%s/out.h5", folder);
  (void)strcpy(r->identity, "{\"model\":\"aaaa\",\"input\":\"1234\"}");
  r->token_start[1] = tokens / 3;
  r->token_start[2] = tokens;
  r->n_bytes[0] = tokens / 3;
  r->n_bytes[1] = tokens - tokens / 3;
  r->name[0] = "first";
  r->name[1] = "second";
  r->position[0] = 4;
  r->position[1] = tokens / 2;
  r->attribute[0] = (lsp_attribute){"model", "aaaa"};
  r->spec = (lsp_store_spec){.path = r->path, .identity = r->identity};
  r->spec.output = (lsp_output_spec){.tokens = tokens,
                                     .documents = 2,
                                     .panels = panels,
                                     .hidden_width = MODEL,
                                     .write_id = 1,
                                     .write_nll = 0,
                                     .write_hidden = 1,
                                     .token_start = r->token_start,
                                     .n_bytes = r->n_bytes,
                                     .name = r->name,
                                     .attribute = r->attribute,
                                     .attributes = 1};
  r->spec.memory = (lsp_memory_spec){.snapshots = 2,
                                     .layers = LAYERS,
                                     .rows = ROWS,
                                     .width = WIDTH,
                                     .hidden_width = MODEL,
                                     .document = r->document,
                                     .position = r->position,
                                     .attribute = r->attribute,
                                     .attributes = 1};
}

static lsp_status open_run(run *r, int resume, int overwrite) {
  r->spec.resume = resume;
  r->spec.overwrite = overwrite;
  return lsp_store_open(r->ctx, &r->spec, &r->store, &r->state, &r->last);
}

static const lsp_part state_part[] = {{1, "matrix", LSP_PART_F64, 2, {2, 3}},
                                      {1, "matrix", LSP_PART_F64, 2, {3, 2}},
                                      {-1, "matrix", LSP_PART_F64, 2, {2, 3}}};

/* ---- What is written: a value says where it belongs */

static int32_t id_of(int64_t token) {
  return (int32_t)(token * 7 + 1);
}

static float hidden_of(int64_t token, int64_t column) {
  return (float)(token * MODEL + column) + 0.5f;
}

static float memory_of(int64_t wave, int kv, int64_t layer, int64_t row,
                       int64_t column) {
  return (float)((((wave * 2 + kv) * LAYERS + layer) * ROWS + row) * WIDTH + column +
                 1);
}

static uint64_t draw(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* Rank's part of [begin, end): the same cuts on every rank, some parts empty. */
static void part_of(const lsp_ctx *ctx, uint64_t *seed, int64_t begin, int64_t end,
                    int64_t part[2]) {
  int64_t at = begin;
  for (int r = 0; r < ctx->size; r++) {
    const uint64_t a = draw(seed), b = draw(seed);
    const int64_t left = end - at;
    int64_t n = a % 3 == 0 ? 0 : (int64_t)(b % (uint64_t)(left + 1));
    if (a % 5 == 1 && n > 40)
      n = (int64_t)(b % 40); /* many ranks in one unit */
    if (r == ctx->size - 1)
      n = left;
    if (r == ctx->rank) {
      part[0] = at;
      part[1] = at + n;
    }
    at += n;
  }
}

static void write_rows(run *r, lsp_output_dataset dataset, const int64_t part[2],
                       int64_t panels_are_u64) {
  const int64_t n = part[1] - part[0];
  int32_t *id = malloc(((size_t)n + 1) * sizeof *id);
  float *hidden = malloc(((size_t)n + 1) * MODEL * sizeof *hidden);
  uint64_t *panel = malloc(((size_t)n + 1) * sizeof *panel);
  assert_true(id != NULL && hidden != NULL && panel != NULL);
  for (int64_t i = 0; i < n; i++) {
    id[i] = id_of(part[0] + i);
    panel[i] = (uint64_t)(part[0] + i) + 1;
    for (int64_t c = 0; c < MODEL; c++)
      hidden[i * MODEL + c] = hidden_of(part[0] + i, c);
  }
  const void *data = dataset == LSP_TOKENS_HIDDEN ? (const void *)hidden : id;
  lsp_store_rows(r->store, dataset, part[0], n, panels_are_u64 ? panel : data);
  free(id);
  free(hidden);
  free(panel);
}

/* One wave of tokens and of panels, in parts. At most one rank writes into a unit. */
static void write_wave(run *r, uint64_t *seed, const int64_t token[2],
                       const int64_t panel[2]) {
  int64_t part[2];
  memset(unit_written, 0, sizeof unit_written);
  watching = 1;
  part_of(r->ctx, seed, token[0], token[1], part);
  write_rows(r, LSP_TOKENS_ID, part, 0);
  part_of(r->ctx, seed, token[0], token[1], part);
  write_rows(r, LSP_TOKENS_NLL, part, 0); /* the file has none */
  part_of(r->ctx, seed, token[0], token[1], part);
  write_rows(r, LSP_TOKENS_HIDDEN, part, 0);
  part_of(r->ctx, seed, panel[0], panel[1], part);
  write_rows(r, LSP_INTEGRITY_PANEL, part, 1);
  watching = 0;
}

static int no_unit_has_two_writers(run *r) {
  int64_t writers[UNITS];
  int right = 1;
  LSP_MPI(
      MPI_Allreduce(unit_written, writers, UNITS, MPI_INT64_T, MPI_SUM, r->ctx->comm));
  for (int u = 0; u < UNITS; u++)
    right = right && writers[u] <= 1;
  return right;
}

/* The last n rows of a memory, dealt to the ranks by three rows; to a slot, all new. */
static void write_memory(run *r, int64_t snapshot, int64_t wave, int64_t n) {
  float keys[3 * WIDTH], values[3 * WIDTH];
  for (int layer = 0; layer < LAYERS; layer++)
    for (int64_t row = ROWS - n; row < ROWS; row += 3) {
      const int64_t rows = ROWS - row < 3 ? ROWS - row : 3;
      if (row % r->ctx->size != r->ctx->rank)
        continue;
      for (int64_t i = 0; i < rows * WIDTH; i++) {
        keys[i] = memory_of(wave, 0, layer, row + i / WIDTH, i % WIDTH);
        values[i] = memory_of(wave, 1, layer, row + i / WIDTH, i % WIDTH);
      }
      const int64_t first = snapshot == LSP_STORE_SLOT ? row - (ROWS - n) : row;
      lsp_store_memory(r->store, snapshot, layer, first, rows, keys, values);
    }
}

/* A commit with memory, or of a place between documents. */
static lsp_status commit_wave(run *r, int64_t wave, int with_memory) {
  const int64_t n = with_memory ? (wave < ROWS ? wave : ROWS) : 0;
  lsp_commit c = {.panel_end = wave,
                  .token_end = 10 * wave,
                  .memory_end = r->last.memory_end + n,
                  .memory_rows = n};
  write_memory(r, LSP_STORE_SLOT, wave, n);
  const lsp_status status = lsp_store_commit(r->store, &c);
  if (status == LSP_OK)
    r->last = c;
  return status;
}

/* The memory of the commit that the run resumed from is that of a wave, for each rank.
 */
static int has_memory_of(run *r, int64_t wave) {
  float keys[ROWS * WIDTH], values[ROWS * WIDTH];
  const int64_t n = wave < ROWS ? wave : ROWS;
  int right = 1;
  for (int layer = 0; layer < LAYERS; layer++) {
    memset(keys, 1, sizeof keys);
    right = right &&
            lsp_store_read_memory(r->store, layer, 0, ROWS, keys, values) == LSP_OK;
    for (int64_t i = 0; i < (int64_t)ROWS * WIDTH; i++) {
      const int64_t row = i / WIDTH;
      const int there = row >= ROWS - n;
      const float k = there ? memory_of(wave, 0, layer, row, i % WIDTH) : 0.0f;
      const float v = there ? memory_of(wave, 1, layer, row, i % WIDTH) : 0.0f;
      right = right && memcmp(&keys[i], &k, sizeof k) == 0 &&
              memcmp(&values[i], &v, sizeof v) == 0;
    }
  }
  return right;
}

/* ---- The folder, as rank 0 sees it */

typedef struct {
  uint64_t sum;
  int files;
} picture;

static uint64_t mix(uint64_t sum, const void *data, size_t n) {
  for (size_t i = 0; i < n; i++)
    sum = (sum ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
  return sum;
}

static uint64_t sum_file(const char *path, uint64_t sum) {
  static char data[1 << 16];
  const int fd = open(path, O_RDONLY);
  assert_true(fd >= 0);
  for (ssize_t n; (n = read(fd, data, sizeof data)) > 0;)
    sum = mix(sum, data, (size_t)n);
  (void)close(fd);
  return sum;
}

/* Names and contents, free of order. */
static picture look_at(const run *r) {
  picture p = {0, 0};
  char folder[LSP_TEST_PATH], path[2 * LSP_TEST_PATH];
  if (r->ctx->rank != 0)
    return p;
  (void)strcpy(folder, r->path);
  *strrchr(folder, '/') = '\0';
  DIR *d = opendir(folder);
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    if (e->d_name[0] == '.')
      continue;
    (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    p.sum += sum_file(path, mix(1469598103934665603u, e->d_name, strlen(e->d_name)));
    p.files++;
  }
  (void)closedir(d);
  return p;
}

static int is_same(picture a, picture b) {
  return a.sum == b.sum && a.files == b.files;
}

/* The name beside out.h5. */
static const char *beside(const run *r, const char *suffix, char path[LSP_TEST_PATH]) {
  assert_int_equal(lsp_store_beside(r->path, suffix, path, LSP_TEST_PATH, NULL),
                   LSP_OK);
  return path;
}

static int is_there(const run *r, const char *suffix) {
  char path[LSP_TEST_PATH];
  return access(beside(r, suffix, path), F_OK) == 0;
}

static void move_file(const run *r, const char *from, const char *to) {
  char a[LSP_TEST_PATH], b[LSP_TEST_PATH];
  LSP_MPI(MPI_Barrier(r->ctx->comm));
  if (r->ctx->rank == 0)
    assert_int_equal(rename(beside(r, from, a), beside(r, to, b)), 0);
  LSP_MPI(MPI_Barrier(r->ctx->comm));
}

static void remove_file(const run *r, const char *suffix) {
  char path[LSP_TEST_PATH];
  LSP_MPI(MPI_Barrier(r->ctx->comm));
  if (r->ctx->rank == 0)
    assert_int_equal(unlink(beside(r, suffix, path)), 0);
  LSP_MPI(MPI_Barrier(r->ctx->comm));
}

/* Changes every byte that is not zero (the slot's rows are among them). */
static void spoil_file(const run *r, const char *suffix) {
  char path[LSP_TEST_PATH];
  unsigned char page[4096];
  LSP_MPI(MPI_Barrier(r->ctx->comm));
  if (r->ctx->rank == 0) {
    const int fd = open(beside(r, suffix, path), O_RDWR);
    assert_true(fd >= 0);
    ssize_t n;
    for (off_t at = 0; (n = pread(fd, page, sizeof page, at)) > 0; at += n) {
      for (ssize_t i = 0; i < n; i++)
        page[i] ^= (unsigned char)(page[i] != 0);
      assert_int_equal(pwrite(fd, page, (size_t)n, at), n);
    }
    (void)close(fd);
  }
  LSP_MPI(MPI_Barrier(r->ctx->comm));
}

/* Refused with these words on every rank, and nothing in the folder is another. */
static void expect_refusal(run *r, int resume, int overwrite, const char *words) {
  const picture before = look_at(r);
  const lsp_status status = open_run(r, resume, overwrite);
  if (status != LSP_OK)
    expect_message(&r->ctx->why, words);
  assert_everywhere(r->ctx, status != LSP_OK && lsp_exit_status(status) == 1);
  assert_everywhere(r->ctx, r->store == NULL && is_same(before, look_at(r)));
}

static void expect_open(run *r, int resume, int overwrite, lsp_store_state state) {
  const lsp_status status = open_run(r, resume, overwrite);
  if (status != LSP_OK)
    print_error("%s\n", r->ctx->why.text);
  assert_everywhere(r->ctx, status == LSP_OK && r->state == state);
}

/* ---- Tests */

static int output_is_right(const run *r, int64_t tokens, int64_t panels) {
  lsp_file_view view;
  int right = lsp_file_open(r->path, &view, &r->ctx->why) == LSP_OK;
  if (!right) {
    print_error("%s\n", r->ctx->why.text);
    return 0;
  }
  int32_t *id = malloc((size_t)tokens * sizeof *id);
  float *hidden = malloc((size_t)tokens * MODEL * sizeof *hidden);
  uint64_t *panel = malloc((size_t)panels * sizeof *panel);
  assert_true(id != NULL && hidden != NULL && panel != NULL);
  const size_t bytes[3] = {(size_t)tokens * sizeof *id,
                           (size_t)tokens * MODEL * sizeof *hidden,
                           (size_t)panels * sizeof *panel};
  right = pread(view.fd, id, bytes[0], view.extent[LSP_TOKENS_ID].offset) ==
              (ssize_t)bytes[0] &&
          pread(view.fd, hidden, bytes[1], view.extent[LSP_TOKENS_HIDDEN].offset) ==
              (ssize_t)bytes[1] &&
          pread(view.fd, panel, bytes[2], view.extent[LSP_INTEGRITY_PANEL].offset) ==
              (ssize_t)bytes[2];
  for (int64_t i = 0; i < tokens; i++)
    right = right && id[i] == id_of(i);
  for (int64_t i = 0; i < tokens * MODEL; i++)
    right = right && !(fabsf(hidden[i] - hidden_of(i / MODEL, i % MODEL)) > 0.0f);
  for (int64_t i = 0; i < panels; i++)
    right = right && panel[i] == (uint64_t)i + 1;
  free(id);
  free(hidden);
  free(panel);
  lsp_file_close(&view);
  return right;
}

static void check_rows(lsp_ctx *ctx, int64_t tokens, int64_t panels, int waves,
                       uint64_t seed) {
  run r;
  make_run(&r, ctx, lsp_test_folder(), tokens, panels);
  expect_open(&r, 0, 0, LSP_STORE_NEW);
  int64_t token[2] = {0, 0}, panel[2] = {0, 0};
  for (int w = 0; w < waves; w++) {
    const int is_last = w == waves - 1;
    token[0] = token[1];
    panel[0] = panel[1];
    token[1] += (int64_t)(draw(&seed) % (uint64_t)(2 * tokens / waves));
    panel[1] += (int64_t)(draw(&seed) % (uint64_t)(2 * panels / waves + 1));
    token[1] = is_last || token[1] > tokens ? tokens : token[1];
    panel[1] = is_last || panel[1] > panels ? panels : panel[1];
    write_wave(&r, &seed, token, panel);
    assert_everywhere(ctx, no_unit_has_two_writers(&r));
    assert_everywhere(ctx, commit_wave(&r, w, 0) == LSP_OK);
  }
  lsp_written mine = lsp_store_written(r.store);
  int64_t all = 0;
  LSP_MPI(MPI_Allreduce(&mine.bytes, &all, 1, MPI_INT64_T, MPI_SUM, ctx->comm));
  assert_everywhere(ctx, all == tokens * (4 + 4 * MODEL) + 8 * panels);
  assert_everywhere(ctx, lsp_store_finish(r.store) == LSP_OK);
  lsp_store_close(&r.store);
  assert_everywhere(ctx, ctx->rank != 0 || output_is_right(&r, tokens, panels));
}

static void test_rows_arrive_from_any_partition(void **state) {
  for (uint64_t seed = 0; seed < 4; seed++)
    check_rows(*state, 400009, 1601, 3, seed);
}

static void test_rows_of_many_ranks_in_one_unit_arrive(void **state) {
  for (uint64_t seed = 0; seed < 3; seed++)
    check_rows(*state, 270001, 140001, 20, 100 + seed);
}

static void test_a_corpus_of_one_token_arrives(void **state) {
  check_rows(*state, 1, 1, 1, 7);
}

/* Three commits with memory, then the run ends without a finish. */
static void stop_after_three(run *r) {
  expect_open(r, 0, 0, LSP_STORE_NEW);
  assert_everywhere(r->ctx, r->last.memory_rows == 0 && r->last.panel_end == 0);
  for (int64_t wave = 1; wave <= 3; wave++)
    assert_everywhere(r->ctx, commit_wave(r, wave, 1) == LSP_OK);
  lsp_store_close(&r->store);
  LSP_MPI(MPI_Barrier(r->ctx->comm));
}

static void test_resume_finds_the_last_commit(void **state) {
  run r;
  make_run(&r, *state, lsp_test_folder(), 5000, 20);
  stop_after_three(&r);
  expect_open(&r, 1, 0, LSP_STORE_RESUMED);
  assert_everywhere(r.ctx, r.last.panel_end == 3 && r.last.token_end == 30);
  assert_everywhere(r.ctx, r.last.memory_end == 6 && r.last.memory_rows == 3);
  assert_everywhere(r.ctx, has_memory_of(&r, 3));
  assert_everywhere(r.ctx, commit_wave(&r, 20, 1) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  expect_open(&r, 1, 0, LSP_STORE_RESUMED);
  assert_everywhere(r.ctx, r.last.panel_end == 20 && r.last.memory_rows == ROWS);
  assert_everywhere(r.ctx, has_memory_of(&r, 20));
  lsp_store_close(&r.store);
}

static void test_without_its_slot_the_run_begins_anew(void **state) {
  for (int is_gone = 0; is_gone < 2; is_gone++) {
    run r;
    make_run(&r, *state, lsp_test_folder(), 5000, 20);
    stop_after_three(&r);
    if (is_gone)
      remove_file(&r, ".h5.slot");
    else
      spoil_file(&r, ".h5.slot");
    expect_open(&r, 1, 0, LSP_STORE_RESUMED);
    assert_everywhere(r.ctx, r.last.panel_end == 0 && r.last.memory_end == 0);
    assert_everywhere(r.ctx, commit_wave(&r, 1, 1) == LSP_OK);
    lsp_store_close(&r.store);
    LSP_MPI(MPI_Barrier(r.ctx->comm));
    expect_open(&r, 1, 0, LSP_STORE_RESUMED);
    assert_everywhere(r.ctx, r.last.panel_end == 1 && has_memory_of(&r, 1));
    lsp_store_close(&r.store);
  }
}

static void test_a_commit_between_documents_needs_no_memory(void **state) {
  run r;
  make_run(&r, *state, lsp_test_folder(), 5000, 20);
  expect_open(&r, 0, 0, LSP_STORE_NEW);
  assert_everywhere(r.ctx, commit_wave(&r, 1, 1) == LSP_OK);
  assert_everywhere(r.ctx, commit_wave(&r, 2, 0) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  spoil_file(&r, ".h5.slot");
  expect_open(&r, 1, 0, LSP_STORE_RESUMED);
  assert_everywhere(r.ctx, r.last.panel_end == 2 && r.last.memory_rows == 0);
  assert_everywhere(r.ctx, has_memory_of(&r, 0));
  lsp_store_close(&r.store);
}

static void test_what_is_refused_is_left_as_it_was(void **state) {
  run r, other;
  make_run(&r, *state, lsp_test_folder(), 5000, 20);
  stop_after_three(&r);
  expect_refusal(&r, 0, 0, "use --resume to resume it");
  other = r;
  (void)strcpy(other.identity, "{\"model\":\"aaaa\",\"input\":\"5678\"}");
  other.spec.identity = other.identity;
  expect_refusal(
      &other, 1, 0,
      "out.h5: --resume refused: the text is another: `input` was 1234 and is "
      "now 5678; nothing was changed");
  (void)strcpy(other.identity, "{\"model\":\"aaaa\"}");
  expect_refusal(&other, 1, 0, "`input` was 1234 and is now absent");
  other = r;
  other.spec.identity = r.identity;
  other.spec.output.write_hidden = 0;
  expect_refusal(&other, 1, 0,
                 "writing hidden states (1: yes, 0: no) was 1 and is now 0");
  other = r;
  other.spec.identity = r.identity;
  other.name[1] = "elsewhere/second";
  other.spec.output.name = other.name;
  expect_refusal(&other, 1, 0,
                 "the name of document 1 (its path as given) was second and is now "
                 "elsewhere/second; nothing was changed");
  other = r;
  other.spec.identity = r.identity;
  other.n_bytes[0]++;
  other.spec.output.n_bytes = other.n_bytes;
  expect_refusal(&other, 1, 0, "the number of bytes of document 0 was 1666");
  other = r;
  other.spec.identity = r.identity;
  other.spec.memory.part = &state_part[0];
  other.spec.memory.parts = 1;
  expect_refusal(&other, 1, 0, "the number of states of the memory was 0 and is now 1");
  move_file(&r, ".h5.part", ".elsewhere");
  expect_refusal(&r, 1, 0, "out.h5.part is missing");
  move_file(&r, ".elsewhere", ".h5.part");
  move_file(&r, ".memory.h5.part", ".elsewhere");
  expect_refusal(&r, 1, 0, "out.memory.h5.part is missing");
  move_file(&r, ".elsewhere", ".memory.h5.part");
  expect_open(&r, 1, 0, LSP_STORE_RESUMED);
  other = r;
  if (r.ctx->size == 1) /* after some seconds of patience */
    expect_refusal(&other, 1, 0, "another run is writing this output");
  expect_refusal(&other, 0, 1, "another run is writing this output");
  lsp_store_close(&r.store);
}

/* States are compared one by one. */
static void test_a_run_of_other_states_is_refused(void **state) {
  run r;
  make_run(&r, *state, lsp_test_folder(), 5000, 20);
  r.spec.memory.part = &state_part[0];
  r.spec.memory.parts = 1;
  expect_open(&r, 0, 0, LSP_STORE_NEW);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  r.spec.memory.part = &state_part[1];
  expect_refusal(&r, 1, 0,
                 "a state of layer 1 (-1: the model) was matrix (2, 3) float64 and is "
                 "now matrix (3, 2) float64; nothing was changed");
  r.spec.memory.part = &state_part[2];
  expect_refusal(&r, 1, 0,
                 "the layer of a state (-1: the model) was 1 and is now -1; nothing");
  r.spec.memory.part = &state_part[0];
  expect_open(&r, 1, 0, LSP_STORE_RESUMED);
  lsp_store_close(&r.store);
}

static void test_a_part_that_was_cut_is_refused(void **state) {
  run r;
  char path[LSP_TEST_PATH];
  make_run(&r, *state, lsp_test_folder(), 5000, 20);
  stop_after_three(&r);
  if (r.ctx->rank == 0)
    assert_int_equal(truncate(beside(&r, ".h5.part", path), 10000), 0);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  expect_refusal(&r, 1, 0, "has 10000 bytes");
}

static int only_results_are_there(const run *r) {
  return r->ctx->rank != 0 ||
         (is_there(r, ".h5") && is_there(r, ".memory.h5") && look_at(r).files == 2);
}

static void test_finish_removes_the_rest(void **state) {
  run r, other;
  const float hidden[MODEL] = {1, 2, 3};
  make_run(&r, *state, lsp_test_folder(), 5000, 20);
  expect_open(&r, 1, 0, LSP_STORE_NEW);
  write_memory(&r, 1, 9, ROWS);
  if (r.ctx->rank == r.ctx->size - 1)
    lsp_store_memory_end(r.store, 1, 77, hidden);
  assert_everywhere(r.ctx, commit_wave(&r, 1, 1) == LSP_OK);
  assert_everywhere(r.ctx, lsp_store_finish(r.store) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  assert_everywhere(r.ctx, only_results_are_there(&r));
  expect_refusal(&r, 0, 0, "out.h5 exists; use --resume to resume it, or --overwrite");
  other = r;
  (void)strcpy(other.identity, "{\"model\":\"bbbb\",\"input\":\"1234\"}");
  other.spec.identity = other.identity;
  expect_refusal(&other, 1, 0, "`model` was aaaa and is now bbbb");
  expect_open(&r, 1, 0, LSP_STORE_FINISHED);
  assert_everywhere(r.ctx, r.store == NULL && only_results_are_there(&r));
}

static void test_snapshots_are_where_their_file_says(void **state) {
  run r;
  char path[LSP_TEST_PATH];
  const float hidden[MODEL] = {1, 2, 3};
  make_run(&r, *state, lsp_test_folder(), 5000, 20);
  expect_open(&r, 0, 0, LSP_STORE_NEW);
  write_memory(&r, 1, 9, ROWS);
  if (r.ctx->rank == r.ctx->size - 1)
    lsp_store_memory_end(r.store, 1, 77, hidden);
  assert_everywhere(r.ctx, commit_wave(&r, 1, 0) == LSP_OK);
  assert_everywhere(r.ctx, lsp_store_finish(r.store) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  if (r.ctx->rank != 0)
    return;
  lsp_file_view view;
  float value[WIDTH], row[MODEL];
  int32_t id = 0;
  assert_int_equal(lsp_file_open(beside(&r, ".memory.h5", path), &view, NULL), LSP_OK);
  const off_t at = view.extent[LSP_SNAPSHOT_VALUES].offset +
                   (((1 * LAYERS + 1) * ROWS) + 6) * WIDTH * (off_t)sizeof(float);
  assert_int_equal(pread(view.fd, value, sizeof value, at), sizeof value);
  assert_int_equal(pread(view.fd, &id, 4, view.extent[LSP_SNAPSHOT_LAST_ID].offset + 4),
                   4);
  assert_int_equal(pread(view.fd, row, sizeof row,
                         view.extent[LSP_SNAPSHOT_HIDDEN].offset + (off_t)sizeof row),
                   sizeof row);
  assert_float_equal(value[2], memory_of(9, 1, 1, 6, 2), 0);
  assert_int_equal(id, 77);
  assert_memory_equal(row, hidden, sizeof row);
  lsp_file_close(&view);
}

static void test_overwrite_keeps_the_old_file_to_the_end(void **state) {
  run r;
  make_run(&r, *state, lsp_test_folder(), 5000, 20);
  expect_open(&r, 0, 0, LSP_STORE_NEW);
  assert_everywhere(r.ctx, lsp_store_finish(r.store) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  const picture before = look_at(&r);
  expect_open(&r, 0, 1, LSP_STORE_NEW);
  assert_everywhere(r.ctx, commit_wave(&r, 1, 1) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  expect_open(&r, 0, 1, LSP_STORE_NEW); /* once more, over what is under way */
  assert_everywhere(r.ctx, is_there(&r, ".h5") && is_there(&r, ".h5.part"));
  assert_everywhere(r.ctx, lsp_store_finish(r.store) == LSP_OK);
  lsp_store_close(&r.store);
  assert_everywhere(r.ctx, is_same(before, look_at(&r))); /* nothing was written */
}

/* Everything is committed; then finish is cut off after `steps` of its four. */
static void cut_finish_off(run *r, int steps, lsp_store_state state) {
  expect_open(r, 0, 0, LSP_STORE_NEW);
  assert_everywhere(r->ctx, commit_wave(r, 1, 1) == LSP_OK);
  lsp_store_close(&r->store);
  if (steps > 0)
    move_file(r, ".memory.h5.part", ".memory.h5");
  if (steps > 1)
    move_file(r, ".h5.part", ".h5");
  if (steps > 2)
    remove_file(r, ".h5.journal");
  if (steps > 3)
    remove_file(r, ".h5.slot");
  expect_refusal(r, 0, 0, "use --resume");
  expect_open(r, 1, 0, state);
  if (state == LSP_STORE_RESUMED) {
    assert_everywhere(r->ctx, r->last.panel_end == 1);
    assert_everywhere(r->ctx, lsp_store_finish(r->store) == LSP_OK);
    lsp_store_close(&r->store);
  }
  LSP_MPI(MPI_Barrier(r->ctx->comm));
  assert_everywhere(r->ctx, only_results_are_there(r));
}

static void test_a_finish_that_was_cut_off_is_completed(void **state) {
  for (int steps = 0; steps <= 4; steps++) {
    run r;
    make_run(&r, *state, lsp_test_folder(), 5000, 20);
    cut_finish_off(&r, steps, steps < 2 ? LSP_STORE_RESUMED : LSP_STORE_FINISHED);
  }
}

/* Not there when the run began, so nobody has said that it may be replaced. */
static void test_what_came_meanwhile_is_not_replaced(void **state) {
  static const char *const name[] = {".h5", ".memory.h5"};
  for (int i = 0; i < 2; i++) {
    run r;
    char path[LSP_TEST_PATH];
    make_run(&r, *state, lsp_test_folder(), 5000, 20);
    expect_open(&r, 0, 0, LSP_STORE_NEW);
    assert_everywhere(r.ctx, commit_wave(&r, 1, 1) == LSP_OK);
    if (r.ctx->rank == 0)
      assert_int_equal(lsp_replace_file(beside(&r, name[i], path), "mine", 4, NULL),
                       LSP_OK);
    LSP_MPI(MPI_Barrier(r.ctx->comm));
    assert_everywhere(r.ctx, lsp_store_finish(r.store) == LSP_E_MISMATCH);
    expect_message(&r.ctx->why, "is not replaced; move it away");
    lsp_store_close(&r.store);
    LSP_MPI(MPI_Barrier(r.ctx->comm));
    expect_refusal(&r, 1, 0, "is not replaced; move it away");
    remove_file(&r, name[i]);
    expect_open(&r, 1, 0, LSP_STORE_RESUMED);
    assert_everywhere(r.ctx, lsp_store_finish(r.store) == LSP_OK);
    lsp_store_close(&r.store);
    LSP_MPI(MPI_Barrier(r.ctx->comm));
    assert_everywhere(r.ctx, only_results_are_there(&r));
  }
}

static void put_strays(const run *r) {
  static const char *const stray[] = {
      ".h5.part.tmp", ".h5.part",     ".memory.h5.part", ".memory.h5.part.tmp",
      ".h5.slot",     ".h5.slot.tmp", ".h5.journal.tmp"};
  char path[LSP_TEST_PATH];
  for (size_t i = 0; i < sizeof stray / sizeof stray[0] && r->ctx->rank == 0; i++) {
    FILE *f = fopen(beside(r, stray[i], path), "w");
    assert_non_null(f);
    const char *begins = strstr(stray[i], "journal") ? "LSPJRNL1" : "\211HDF\r\n\032\n";
    assert_true(fputs(begins, f) >= 0 && fclose(f) == 0);
  }
  LSP_MPI(MPI_Barrier(r->ctx->comm));
}

static void test_strays_of_a_creation_that_was_cut_off_are_replaced(void **state) {
  run r;
  make_run(&r, *state, lsp_test_folder(), 5000, 20);
  put_strays(&r);
  expect_open(&r, 1, 0, LSP_STORE_NEW);
  assert_everywhere(r.ctx, lsp_store_finish(r.store) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  assert_everywhere(r.ctx, only_results_are_there(&r));
  put_strays(&r); /* of an --overwrite that was cut off */
  expect_open(&r, 1, 0, LSP_STORE_FINISHED);
  assert_everywhere(r.ctx, only_results_are_there(&r));
}

static void test_a_run_without_memory_leaves_one_file(void **state) {
  run r;
  make_run(&r, *state, lsp_test_folder(), 5000, 20);
  r.spec.memory = (lsp_memory_spec){0};
  put_strays(&r);
  expect_open(&r, 0, 0, LSP_STORE_NEW);
  lsp_commit c = {.panel_end = 1};
  assert_everywhere(r.ctx, lsp_store_commit(r.store, &c) == LSP_OK);
  assert_everywhere(r.ctx, c.panel_end == 1 && c.memory_end == 0);
  assert_everywhere(r.ctx, lsp_store_finish(r.store) == LSP_OK);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  assert_everywhere(r.ctx, look_at(&r).files == (r.ctx->rank == 0));
}

static void test_a_failed_write_comes_out_at_the_commit(void **state) {
  run r;
  uint64_t seed = 3;
  const int64_t token[2] = {0, 5000}, panel[2] = {0, 20};
  make_run(&r, *state, lsp_test_folder(), 5000, 20);
  expect_open(&r, 0, 0, LSP_STORE_NEW);
  assert_everywhere(r.ctx, commit_wave(&r, 1, 1) == LSP_OK);
  failing = r.ctx->rank == 0;
  write_wave(&r, &seed, token, panel);
  failing = 0;
  const lsp_status status = commit_wave(&r, 2, 1);
  assert_everywhere(r.ctx, status == LSP_E_IO);
  expect_message(&r.ctx->why, "disk is full");
  assert_everywhere(r.ctx, lsp_store_finish(r.store) == LSP_E_IO);
  lsp_store_close(&r.store);
  LSP_MPI(MPI_Barrier(r.ctx->comm));
  expect_open(&r, 1, 0, LSP_STORE_RESUMED);
  assert_everywhere(r.ctx, r.last.panel_end == 1 && has_memory_of(&r, 1));
  lsp_store_close(&r.store);
}

static void test_a_failed_creation_leaves_nothing(void **state) {
  run r;
  make_run(&r, *state, lsp_test_folder(), 5000, 20);
  failing = 1;
  const lsp_status status = open_run(&r, 0, 0);
  failing = 0;
  assert_everywhere(r.ctx, status == LSP_E_IO && look_at(&r).files == 0);
  (void)strcpy(r.path, "/nonexistent/folder/out.h5");
  assert_everywhere(r.ctx, open_run(&r, 0, 0) == LSP_E_IO);
  expect_message(&r.ctx->why, "/nonexistent/folder/out.h5");
}

static void test_names_lie_beside_the_output(void **state) {
  char name[32];
  (void)state;
  assert_int_equal(lsp_store_beside("a/b.h5", ".run.json", name, 32, NULL), LSP_OK);
  assert_string_equal(name, "a/b.run.json");
  assert_int_equal(lsp_store_beside("a/b", ".memory.h5", name, 32, NULL), LSP_OK);
  assert_string_equal(name, "a/b.memory.h5");
  assert_int_equal(lsp_store_beside("a/b.h5", ".run.json", name, 12, NULL),
                   LSP_E_LIMIT);
  assert_int_equal(lsp_store_beside("a/b.h5", ".run.json", name, 13, NULL), LSP_OK);
}

LSP_TESTS(cmocka_unit_test(test_rows_arrive_from_any_partition),
          cmocka_unit_test(test_rows_of_many_ranks_in_one_unit_arrive),
          cmocka_unit_test(test_a_corpus_of_one_token_arrives),
          cmocka_unit_test(test_resume_finds_the_last_commit),
          cmocka_unit_test(test_without_its_slot_the_run_begins_anew),
          cmocka_unit_test(test_a_commit_between_documents_needs_no_memory),
          cmocka_unit_test(test_what_is_refused_is_left_as_it_was),
          cmocka_unit_test(test_a_run_of_other_states_is_refused),
          cmocka_unit_test(test_a_part_that_was_cut_is_refused),
          cmocka_unit_test(test_finish_removes_the_rest),
          cmocka_unit_test(test_snapshots_are_where_their_file_says),
          cmocka_unit_test(test_overwrite_keeps_the_old_file_to_the_end),
          cmocka_unit_test(test_a_finish_that_was_cut_off_is_completed),
          cmocka_unit_test(test_what_came_meanwhile_is_not_replaced),
          cmocka_unit_test(test_strays_of_a_creation_that_was_cut_off_are_replaced),
          cmocka_unit_test(test_a_run_without_memory_leaves_one_file),
          cmocka_unit_test(test_a_failed_write_comes_out_at_the_commit),
          cmocka_unit_test(test_a_failed_creation_leaves_nothing),
          cmocka_unit_test(test_names_lie_beside_the_output))
