/* Reading files back: what was written is found; what is damaged is refused in one
 * line, and nothing that HDF5 does reaches this process. */
#include "harness.h"

#include "store_files.h"

#include <sys/wait.h>

enum { MUTANTS = 200, FRONT = 1 << 14 };

static const char *in_folder(char path[LSP_TEST_PATH], const char *name) {
  const int n = snprintf(path, LSP_TEST_PATH, "%s/%s", lsp_test_folder(), name);
  assert_in_range(n, 1, LSP_TEST_PATH - 1);
  return path;
}

static const char *make_output(char path[LSP_TEST_PATH]) {
  lsp_failure why = {0};
  lsp_extent e[LSP_OUTPUT_DATASETS];
  const lsp_output_spec s = store_output();
  assert_int_equal(store_make_output(&s, in_folder(path, "o.h5"), e, &why), LSP_OK);
  return path;
}

static void expect_marks(const lsp_file_view *v, int datasets) {
  lsp_failure why = {0};
  for (int d = 0; d < datasets; d++) {
    const lsp_extent e = v->extent[d];
    for (int64_t i = 0; i < e.rows * e.row_bytes / 4; i++) {
      int32_t found = 0;
      assert_int_equal(lsp_read_at(v->fd, "view", &found, 4, e.offset + 4 * i, &why),
                       LSP_OK);
      assert_int_equal(found, store_mark(d, i));
    }
  }
}

static void expect_attributes(const lsp_attribute *a, int n) {
  assert_int_equal(n, 3);
  for (int i = 0; i < n; i++) {
    assert_string_equal(a[i].key, store_attribute[i].key);
    assert_string_equal(a[i].value, store_attribute[i].value);
  }
}

static void expect_refused(const char *path, const char *words) {
  lsp_failure why = {0};
  lsp_file_view v;
  assert_int_not_equal(lsp_file_open(path, &v, &why), LSP_OK);
  assert_int_equal(v.fd, -1);
  expect_message(&why, path);
  expect_message(&why, words);
  assert_null(strchr(why.text, '\n'));
}

static void expect_vocabulary(const lsp_file_view *v) {
  int64_t edge[sizeof store_edge / sizeof store_edge[0]] = {0};
  unsigned char bytes[sizeof store_tokens] = {0};
  lsp_failure why = {0};
  assert_int_equal(v->output.vocabulary, 3);
  assert_int_equal(v->token_bytes_start.rows, 4);
  assert_int_equal(v->token_bytes.rows, (int64_t)sizeof bytes);
  assert_int_equal(lsp_read_at(v->fd, "edges", edge, (int64_t)sizeof edge,
                               v->token_bytes_start.offset, &why),
                   LSP_OK);
  assert_int_equal(lsp_read_at(v->fd, "bytes", bytes, (int64_t)sizeof bytes,
                               v->token_bytes.offset, &why),
                   LSP_OK);
  assert_memory_equal(edge, store_edge, sizeof edge);
  assert_memory_equal(bytes, store_tokens, sizeof bytes);
}

static void test_output_is_read_as_it_was_written(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_file_view v;
  assert_int_equal(lsp_file_open(make_output(path), &v, &why), LSP_OK);
  assert_int_equal(v.is_memory, 0);
  assert_int_equal(v.output.tokens, 1001);
  assert_int_equal(v.output.documents, 3);
  assert_int_equal(v.output.panels, 5);
  assert_int_equal(v.output.first_position, 30);
  assert_int_equal(v.output.hidden_width, 300);
  assert_true(v.output.write_id && v.output.write_nll && v.output.write_hidden);
  assert_true(v.output.write_starts);
  assert_int_equal(v.output.hidden_layers, 1);
  assert_int_equal(v.output.hidden_layer[0], 12);
  expect_vocabulary(&v);
  for (int i = 0; i < 3; i++) {
    assert_string_equal(v.output.name[i], store_name[i]);
    assert_int_equal(v.output.n_bytes[i], store_bytes[i]);
  }
  assert_memory_equal(v.output.token_start, store_start, sizeof store_start);
  expect_attributes(v.output.attribute, v.output.attributes);
  expect_marks(&v, LSP_OUTPUT_DATASETS);
  lsp_file_close(&v);
}

static void test_memory_is_read_as_it_was_written(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_file_view v;
  lsp_extent e[LSP_MEMORY_DATASETS];
  const lsp_memory_spec s = store_memory();
  assert_int_equal(store_make_memory(&s, in_folder(path, "o.memory.h5"), e, &why),
                   LSP_OK);
  assert_int_equal(lsp_file_open(path, &v, &why), LSP_OK);
  assert_int_equal(v.is_memory, 1);
  assert_int_equal(v.memory.snapshots, 2);
  assert_int_equal(v.memory.layers, 2);
  assert_int_equal(v.memory.rows, 16);
  assert_int_equal(v.memory.width, 8);
  assert_int_equal(v.memory.hidden_width, 12);
  assert_memory_equal(v.memory.document, store_document, sizeof store_document);
  assert_memory_equal(v.memory.position, store_position, sizeof store_position);
  expect_attributes(v.memory.attribute, v.memory.attributes);
  assert_memory_equal(v.extent, e, sizeof e);
  expect_marks(&v, LSP_MEMORY_DATASETS);
  lsp_file_close(&v);
}

static void test_fixed_rows_and_rows_of_layers_are_read_back(void **state) {
  (void)state;
  static const int64_t layer_rows[] = {3, 16};
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_file_view v;
  lsp_extent e[LSP_MEMORY_DATASETS];
  lsp_memory_spec s = store_memory();
  s.fixed = 5;
  s.layer_rows = layer_rows;
  assert_int_equal(store_make_memory(&s, in_folder(path, "o.memory.h5"), e, &why),
                   LSP_OK);
  assert_int_equal(lsp_file_open(path, &v, &why), LSP_OK);
  assert_int_equal(v.memory.rows, 16);
  assert_int_equal(v.memory.fixed, 5);
  assert_memory_equal(v.memory.layer_rows, layer_rows, sizeof layer_rows);
  assert_int_equal(v.extent[LSP_SNAPSHOT_KEYS].row_bytes, 2 * (5 + 16) * 8 * 4);
  expect_attributes(v.memory.attribute, v.memory.attributes);
  assert_memory_equal(v.extent, e, sizeof e);
  expect_marks(&v, LSP_MEMORY_DATASETS);
  lsp_file_close(&v);
}

static const lsp_part parts[] = {{0, "matrix", LSP_PART_F64, 2, {4, 3}},
                                 {1, "matrix", LSP_PART_F32, 4, {2, 3, 1, 2}},
                                 {-1, "ids", LSP_PART_I32, 1, {6}},
                                 {-1, "count", LSP_PART_I64, 0, {0}}};
enum { PARTS = 4 };

static void test_parts_are_read_back(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_file_view v;
  lsp_extent e[LSP_MEMORY_DATASETS + PARTS];
  lsp_memory_spec s = store_memory();
  assert_int_equal(store_make_memory(&s, in_folder(path, "o.memory.h5"), e, &why),
                   LSP_OK);
  assert_int_equal(lsp_file_open(path, &v, &why), LSP_OK);
  assert_int_equal(v.version, 2);
  lsp_file_close(&v);
  s.part = parts;
  s.parts = PARTS;
  for (int rows = 16; rows >= 0; rows -= 16) { /* and where there is nothing else */
    s.rows = rows;
    assert_int_equal(store_make_memory(&s, path, e, &why), LSP_OK);
    assert_int_equal(lsp_file_open(path, &v, &why), LSP_OK);
    assert_int_equal(v.version, 3);
    assert_int_equal(v.memory.rows, rows);
    assert_int_equal(v.memory.parts, PARTS);
    for (int i = 0; i < PARTS; i++) {
      assert_int_equal(v.memory.part[i].layer, parts[i].layer);
      assert_string_equal(v.memory.part[i].name, parts[i].name);
      assert_int_equal(v.memory.part[i].type, parts[i].type);
      assert_int_equal(v.memory.part[i].dims, parts[i].dims);
      assert_memory_equal(v.memory.part[i].dim, parts[i].dim,
                          (size_t)parts[i].dims * sizeof parts[i].dim[0]);
    }
    expect_attributes(v.memory.attribute, v.memory.attributes);
    assert_memory_equal(v.extent, e, sizeof e);
    expect_marks(&v, LSP_MEMORY_DATASETS + PARTS);
    lsp_file_close(&v);
  }
}

/* The name of a part, as it lies in the file, is another. */
static void test_parts_that_cannot_be_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *name, *words;
  } wrong[] = {{"1/metrix", "it has no /states/1/metrix"},
               {"2/matrix", "it has no /states/2/matrix"},
               {"../snapshots/keys", "it has no /states/../snapshots/keys"},
               {"", "it has no readable /states/"},
               {"name", "not the type"},
               {"part_xxh3", "not the type"}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    char path[LSP_TEST_PATH], name[LSP_PART_PATH] = "";
    lsp_failure why = {0};
    lsp_extent e[LSP_MEMORY_DATASETS + PARTS];
    lsp_memory_spec s = store_memory();
    s.part = parts;
    s.parts = PARTS;
    assert_int_equal(store_make_memory(&s, in_folder(path, "o.memory.h5"), e, &why),
                     LSP_OK);
    const int fd = open(path, O_RDWR);
    static unsigned char all[1 << 16];
    const ssize_t n = pread(fd, all, sizeof all, 0);
    assert_true(n > 0);
    const unsigned char *at = memmem(all, (size_t)n, "1/matrix", 9);
    assert_non_null(at);
    (void)snprintf(name, sizeof name, "%s", wrong[i].name);
    assert_int_equal(pwrite(fd, name, sizeof name, at - all), sizeof name);
    (void)close(fd);
    expect_refused(path, wrong[i].words);
  }
}

/* A part of a layer that there is not, and one that lies beyond the file. */
static void test_parts_of_no_layer_or_of_no_file_are_refused(void **state) {
  (void)state;
  static const lsp_part other[] = {{2, "matrix", LSP_PART_F64, 1, {4}}};
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_extent e[LSP_MEMORY_DATASETS + 1];
  lsp_memory_spec s = store_memory();
  s.part = other;
  s.parts = 1;
  assert_int_equal(store_make_memory(&s, in_folder(path, "o.memory.h5"), e, &why),
                   LSP_OK);
  expect_refused(path, "/states/2/matrix: no name of a part");
}

static void test_a_version_to_come_is_refused_in_words(void **state) {
  (void)state;
  static const char key[] = "format_version";
  for (int is_memory = 0; is_memory < 2; is_memory++) {
    char path[LSP_TEST_PATH];
    lsp_failure why = {0};
    lsp_extent e[LSP_MEMORY_DATASETS + PARTS];
    lsp_memory_spec s = store_memory();
    s.part = parts;
    s.parts = PARTS;
    if (is_memory)
      assert_int_equal(store_make_memory(&s, in_folder(path, "o.memory.h5"), e, &why),
                       LSP_OK);
    else
      make_output(path);
    const int fd = open(path, O_RDWR);
    static unsigned char all[1 << 20];
    const ssize_t n = pread(fd, all, sizeof all, 0);
    assert_non_null(memmem(all, (size_t)n, key, sizeof key));
    /* The value lies in the heap after that of "format". */
    const char *format = is_memory ? "longspan-memory" : "longspan-output";
    const unsigned char *at = memmem(all, (size_t)n, format, strlen(format));
    assert_non_null(at);
    const char was = is_memory ? '3' : '2';
    while (*at != (unsigned char)was)
      at++;
    assert_int_equal(pwrite(fd, "7", 1, at - all), 1);
    (void)close(fd);
    expect_refused(
        path, is_memory ? "its format_version is 7, and this longspan reads 1 to 3"
                        : "its format_version is 7, and this longspan reads 1 to 2");
  }
}

static void test_more_rows_of_a_layer_than_there_are_are_refused(void **state) {
  (void)state;
  static const int64_t wrong[] = {17, -1, INT64_MAX, INT64_MIN};
  static const char *const fixed[] = {"17", "-1", "5x", "", "99999999999999999999"};
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_extent e[LSP_MEMORY_DATASETS];
  in_folder(path, "o.memory.h5");
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    const int64_t layer_rows[] = {16, wrong[i]};
    lsp_memory_spec s = store_memory();
    s.layer_rows = layer_rows;
    assert_int_equal(store_make_memory(&s, path, e, &why), LSP_OK);
    expect_refused(path, "/snapshots/layer_rows: ");
  }
  for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
    const lsp_attribute attribute[] = {{"fixed_rows", fixed[i]}};
    lsp_memory_spec s = store_memory();
    s.attribute = attribute;
    s.attributes = 1;
    assert_int_equal(store_make_memory(&s, path, e, &why), LSP_OK);
    expect_refused(path, "the attribute fixed_rows is no number of rows");
  }
}

static void test_absent_datasets_are_absent(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_file_view v;
  lsp_extent e[LSP_OUTPUT_DATASETS];
  lsp_output_spec s = store_output();
  s.write_id = s.write_nll = s.write_hidden = s.write_starts = s.hidden_layers = 0;
  s.vocabulary = 0;
  assert_int_equal(store_make_output(&s, in_folder(path, "o.h5"), e, &why), LSP_OK);
  assert_int_equal(lsp_file_open(path, &v, &why), LSP_OK);
  assert_int_equal(v.output.hidden_layers, 0);
  assert_int_equal(v.output.vocabulary, 0);
  assert_int_equal(v.extent[LSP_TOKENS_BYTE_START].offset, -1);
  assert_int_equal(v.extent[LSP_TOKENS_HIDDEN_LAYER].offset, -1);
  assert_false(v.output.write_id || v.output.write_nll || v.output.write_hidden);
  assert_int_equal(v.output.tokens, 1001);
  assert_int_equal(v.extent[LSP_TOKENS_ID].offset, -1);
  lsp_file_close(&v);
}

static void test_check_tells_output_and_memory_apart(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  make_output(path);
  assert_int_equal(lsp_layout_check(path, "longspan-output", &why), LSP_OK);
  assert_int_equal(lsp_layout_check(path, "longspan-memory", &why), LSP_E_FORMAT);
  expect_message(&why, path);
  assert_int_equal(lsp_layout_check("/none", "longspan-output", &why), LSP_E_INPUT);
}

typedef struct {
  int count;
  int64_t tokens, first;
} seen;

static lsp_status add(const lsp_document *d, void *arg) {
  seen *s = arg;
  assert_string_equal(d->name, store_name[s->count]);
  assert_int_equal(d->width, 4);
  assert_true(d->tokens == 0 || d->offset + 4 * d->tokens <= d->file_bytes);
  if (s->count == 0)
    s->first = d->offset;
  assert_int_equal(d->offset, s->first + 4 * s->tokens);
  s->tokens += d->tokens;
  s->count++;
  return LSP_OK;
}

static lsp_status stop(const lsp_document *d, void *arg) {
  (void)d;
  ++*(int *)arg;
  return LSP_E_LIMIT;
}

static void test_documents_of_an_output_can_be_read_again(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  seen s = {0, 0, 0};
  int calls = 0;
  assert_int_equal(lsp_output_documents(make_output(path), add, &s, &why), LSP_OK);
  assert_int_equal(s.count, 3);
  assert_int_equal(s.tokens, 1001);
  assert_int_equal(lsp_output_documents(path, stop, &calls, &why), LSP_E_LIMIT);
  assert_int_equal(calls, 1);
}

static void test_what_is_no_file_of_ours_is_refused(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  expect_refused("/no/such/file.h5", "cannot be opened");
  expect_refused("/dev/null", "not a regular file");
  expect_refused(lsp_test_folder(), "not a regular file");
  in_folder(path, "fifo");
  assert_int_equal(mkfifo(path, 0600), 0);
  expect_refused(path, "not a regular file");
  in_folder(path, "empty.h5");
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fclose(f), 0);
  expect_refused(path, "not a readable HDF5 file");
  f = fopen(path, "wb");
  assert_non_null(f);
  for (int i = 0; i < 10000; i++)
    assert_int_not_equal(fputc((i * 7919) >> 3 & 0xff, f), EOF);
  assert_int_equal(fclose(f), 0);
  expect_refused(path, "not a readable HDF5 file");
}

static void test_truncated_file_is_refused_at_every_length(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  struct stat st;
  assert_int_equal(stat(make_output(path), &st), 0);
  for (off_t n = st.st_size - 1; n > 0; n = n * 3 / 4) {
    assert_int_equal(truncate(path, n), 0);
    expect_refused(path, "not a readable HDF5 file");
  }
}

/* Metadata with a few wrong bytes: any answer but a crash, a hang or a wild number. */
/* Files of which four of the first `range` bytes are others. */
static void try_mutants(const char *path, uint32_t range) {
  unsigned char good[FRONT], bad[FRONT];
  uint32_t random = 1;
  const int fd = open(path, O_RDWR);
  assert_int_equal(pread(fd, good, FRONT, 0), FRONT);
  for (int m = 0; m < MUTANTS; m++) {
    memcpy(bad, good, FRONT);
    for (int i = 0; i < 4; i++) {
      random = random * 1664525 + 1013904223;
      bad[(random >> 8) % FRONT % range] = (unsigned char)(random >> 3);
    }
    assert_int_equal(pwrite(fd, bad, FRONT, 0), FRONT);
    lsp_failure why = {0};
    lsp_file_view v;
    if (lsp_file_open(path, &v, &why) == LSP_OK) {
      lsp_file_close(&v);
    } else {
      expect_message(&why, path);
      assert_null(strchr(why.text, '\n'));
    }
  }
  (void)close(fd);
}

static void test_mutants_never_hurt(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  try_mutants(make_output(path), 6000);
}

static void test_mutants_with_parts_never_hurt(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_extent e[LSP_MEMORY_DATASETS + PARTS];
  lsp_memory_spec s = store_memory();
  s.part = parts;
  s.parts = PARTS;
  assert_int_equal(store_make_memory(&s, in_folder(path, "o.memory.h5"), e, &why),
                   LSP_OK);
  try_mutants(path, FRONT);
}

/* Documents that overlap: HDF5 is content, we are not. */
static void test_wrong_numbers_in_a_sound_file_are_refused(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  struct stat st;
  assert_int_equal(stat(make_output(path), &st), 0);
  const size_t n = (size_t)st.st_size;
  unsigned char *all = malloc(n);
  assert_non_null(all);
  const int fd = open(path, O_RDWR);
  assert_int_equal(pread(fd, all, n, 0), n);
  const unsigned char *at = memmem(all, n, store_start + 1, 2 * sizeof store_start[0]);
  assert_non_null(at);
  const int64_t wrong = 701;
  assert_int_equal(pwrite(fd, &wrong, sizeof wrong, at - all), sizeof wrong);
  (void)close(fd);
  free(all);
  expect_refused(path, "/documents/token_start");
}

/* Sound files, made by ourselves, of what cannot be counted. */
static void test_numbers_beyond_all_limits_are_refused(void **state) {
  (void)state;
  static const int64_t wrong[] = {-1, LSP_TOKENS_MOST + 1, INT64_MAX - 5, INT64_MAX,
                                  INT64_MIN};
  lsp_failure why = {0};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    char path[LSP_TEST_PATH];
    lsp_extent extent[LSP_MEMORY_DATASETS];
    const int64_t position[] = {7, wrong[i]};
    lsp_memory_spec spec = store_memory();
    spec.position = position;
    in_folder(path, "beyond.memory.h5");
    assert_int_equal(store_make_memory(&spec, path, extent, &why), LSP_OK);
    expect_refused(path, "/snapshots/position: ");
  }
}

static void test_no_child_and_no_descriptor_is_left(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_file_view v;
  make_output(path);
  const int before = dup(0);
  (void)close(before);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(lsp_file_open(path, &v, &why), LSP_OK);
    lsp_file_close(&v);
    expect_refused("/proc/self/exe", "not a readable HDF5 file");
  }
  const int after = dup(0);
  (void)close(after);
  assert_int_equal(before, after);
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

LSP_TESTS(cmocka_unit_test(test_numbers_beyond_all_limits_are_refused),
          cmocka_unit_test(test_output_is_read_as_it_was_written),
          cmocka_unit_test(test_memory_is_read_as_it_was_written),
          cmocka_unit_test(test_fixed_rows_and_rows_of_layers_are_read_back),
          cmocka_unit_test(test_parts_are_read_back),
          cmocka_unit_test(test_parts_that_cannot_be_are_refused),
          cmocka_unit_test(test_parts_of_no_layer_or_of_no_file_are_refused),
          cmocka_unit_test(test_a_version_to_come_is_refused_in_words),
          cmocka_unit_test(test_more_rows_of_a_layer_than_there_are_are_refused),
          cmocka_unit_test(test_absent_datasets_are_absent),
          cmocka_unit_test(test_check_tells_output_and_memory_apart),
          cmocka_unit_test(test_documents_of_an_output_can_be_read_again),
          cmocka_unit_test(test_what_is_no_file_of_ours_is_refused),
          cmocka_unit_test(test_truncated_file_is_refused_at_every_length),
          cmocka_unit_test(test_mutants_never_hurt),
          cmocka_unit_test(test_mutants_with_parts_never_hurt),
          cmocka_unit_test(test_wrong_numbers_in_a_sound_file_are_refused),
          cmocka_unit_test(test_no_child_and_no_descriptor_is_left))
