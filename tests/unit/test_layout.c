/* The skeletons: the same bytes every time, in place, with every dataset where it is
 * said to be. */
#include "harness.h"

#include "store_files.h"

#include <malloc.h>

static const char *in_folder(char path[LSP_TEST_PATH], const char *name) {
  const int n = snprintf(path, LSP_TEST_PATH, "%s/%s", lsp_test_folder(), name);
  assert_in_range(n, 1, LSP_TEST_PATH - 1);
  return path;
}

static void hash_output(const lsp_output_spec *spec, unsigned char hash[16]) {
  lsp_failure why = {0};
  lsp_skeleton s;
  lsp_extent e[LSP_OUTPUT_DATASETS];
  assert_int_equal(lsp_layout_output(spec, &s, e, &why), LSP_OK);
  memcpy(hash, s.hash, 16);
  lsp_skeleton_close(&s);
}

static void hash_memory(const lsp_memory_spec *spec, unsigned char hash[16]) {
  lsp_failure why = {0};
  lsp_skeleton s;
  lsp_extent e[LSP_MEMORY_DATASETS + 8];
  assert_int_equal(lsp_layout_memory(spec, &s, e, &why), LSP_OK);
  memcpy(hash, s.hash, 16);
  lsp_skeleton_close(&s);
}

/* Whatever malloc hands out is full of `byte` from here on (not with a sanitizer's
 * malloc, which does so by itself). */
static void fill_the_heap_with(int byte) {
  (void)mallopt(M_PERTURB, byte);
}

static void test_one_spec_gives_the_same_bytes_whatever_the_heap_holds(void **state) {
  (void)state;
  static const int byte[] = {0, 1, 0x55, 0xaa, 0xff};
  const lsp_output_spec o = store_output();
  const lsp_memory_spec m = store_memory();
  unsigned char first[2][16], again[2][16];
  hash_output(&o, first[0]);
  hash_memory(&m, first[1]);
  for (size_t i = 0; i < sizeof byte / sizeof byte[0]; i++) {
    fill_the_heap_with(byte[i]);
    hash_output(&o, again[0]);
    hash_memory(&m, again[1]);
    assert_memory_equal(first, again, sizeof first);
  }
  fill_the_heap_with(0);
}

static void test_another_spec_gives_another_hash(void **state) {
  (void)state;
  static const int64_t other_bytes[] = {700, 0, 1401};
  static const lsp_attribute other_attribute[] = {
      {"config", "{\"layers\": 3}"}, {"empty", ""}, {"author", "J\xc3\xb6rg"}};
  unsigned char first[16], other[16];
  lsp_output_spec s = store_output();
  hash_output(&s, first);
  s.n_bytes = other_bytes;
  hash_output(&s, other);
  assert_memory_not_equal(first, other, 16);
  s = store_output();
  s.attribute = other_attribute;
  hash_output(&s, other);
  assert_memory_not_equal(first, other, 16);
  s = store_output();
  s.panels++;
  hash_output(&s, other);
  assert_memory_not_equal(first, other, 16);
}

/* Fixed rows take the place of as many of the past: told apart all the same. */
static void test_fixed_rows_and_rows_of_layers_are_in_the_hash(void **state) {
  (void)state;
  static const int64_t layer_rows[] = {16, 16}, others[] = {16, 15};
  unsigned char hash[4][16];
  lsp_memory_spec s = store_memory();
  hash_memory(&s, hash[0]);
  s.fixed = 4;
  s.rows -= 4;
  hash_memory(&s, hash[1]);
  s = store_memory();
  s.layer_rows = layer_rows;
  hash_memory(&s, hash[2]);
  s.layer_rows = others;
  hash_memory(&s, hash[3]);
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < i; k++)
      assert_memory_not_equal(hash[i], hash[k], 16);
}

static const lsp_part parts[] = {{0, "matrix", LSP_PART_F64, 3, {4, 300, 300}},
                                 {0, "normalizer", LSP_PART_F64, 2, {4, 300}},
                                 {1, "matrix", LSP_PART_F32, 2, {3, 2}},
                                 {-1, "ids", LSP_PART_I32, 1, {2}},
                                 {-1, "id_count", LSP_PART_I64, 1, {1}}};
enum { PARTS = 5 };

static lsp_memory_spec memory_with_parts(int n) {
  lsp_memory_spec s = store_memory();
  s.part = parts;
  s.parts = n;
  return s;
}

/* Which there are, their names, types and sizes. */
static void test_parts_are_in_the_hash(void **state) {
  (void)state;
  unsigned char hash[6][16];
  lsp_part other[PARTS];
  lsp_memory_spec s = memory_with_parts(PARTS);
  for (int i = 0; i < 3; i++) {
    s.parts = PARTS - i;
    hash_memory(&s, hash[i]);
  }
  s.part = other;
  s.parts = PARTS;
  for (int i = 0; i < 3; i++) {
    memcpy(other, parts, sizeof other);
    if (i == 0)
      other[2].layer = 0, (void)strcpy(other[2].name, "metrix");
    else if (i == 1)
      other[3].type = LSP_PART_F32;
    else
      other[2].dim[0] = 2, other[2].dim[1] = 3;
    hash_memory(&s, hash[3 + i]);
  }
  for (int i = 0; i < 6; i++)
    for (int k = 0; k < i; k++)
      assert_memory_not_equal(hash[i], hash[k], 16);
}

/* Extents in the file, none over another, the large ones at a multiple of 1 MiB. */
static void expect_apart(const lsp_extent *e, int n, int64_t file_bytes) {
  for (int a = 0; a < n; a++) {
    const int64_t bytes = e[a].rows * e[a].row_bytes;
    if (bytes == 0) {
      assert_int_equal(e[a].offset, -1);
      continue;
    }
    assert_in_range(e[a].offset, 1, file_bytes - bytes);
    assert_true(bytes < (1 << 20) || e[a].offset % (1 << 20) == 0);
    for (int b = 0; b < n; b++)
      assert_true(a == b || e[b].offset >= e[a].offset + bytes ||
                  e[b].offset + e[b].rows * e[b].row_bytes <= e[a].offset);
  }
}

static void test_datasets_lie_apart_and_large_ones_aligned(void **state) {
  (void)state;
  lsp_failure why = {0};
  lsp_skeleton s;
  lsp_extent e[LSP_OUTPUT_DATASETS], m[LSP_MEMORY_DATASETS];
  lsp_output_spec o = store_output();
  assert_int_equal(lsp_layout_output(&o, &s, e, &why), LSP_OK);
  assert_int_equal(e[LSP_TOKENS_HIDDEN].row_bytes, 1200);
  expect_apart(e, LSP_OUTPUT_DATASETS, s.bytes);
  lsp_skeleton_close(&s);
  o.write_id = o.write_hidden = 0;
  assert_int_equal(lsp_layout_output(&o, &s, e, &why), LSP_OK);
  assert_int_equal(e[LSP_TOKENS_ID].offset, -1);
  assert_int_equal(e[LSP_TOKENS_HIDDEN].offset, -1);
  assert_true(e[LSP_TOKENS_NLL].offset > 0);
  expect_apart(e, LSP_OUTPUT_DATASETS, s.bytes);
  lsp_skeleton_close(&s);
  const lsp_memory_spec n = store_memory();
  assert_int_equal(lsp_layout_memory(&n, &s, m, &why), LSP_OK);
  assert_int_equal(m[LSP_SNAPSHOT_KEYS].row_bytes, 2 * 16 * 8 * 4);
  expect_apart(m, LSP_MEMORY_DATASETS, s.bytes);
  lsp_skeleton_close(&s);
}

static void test_parts_lie_apart_too(void **state) {
  (void)state;
  lsp_failure why = {0};
  lsp_skeleton s;
  lsp_extent e[LSP_MEMORY_DATASETS + PARTS];
  lsp_memory_spec m = memory_with_parts(PARTS);
  for (int rows = 16; rows >= 0; rows -= 16) {
    m.rows = rows;
    assert_int_equal(lsp_layout_memory(&m, &s, e, &why), LSP_OK);
    assert_int_equal(e[LSP_MEMORY_DATASETS].row_bytes, 4 * 300 * 300 * 8);
    assert_int_equal(e[LSP_SNAPSHOT_PART_SUM].row_bytes, 8 * PARTS);
    expect_apart(e, LSP_MEMORY_DATASETS + PARTS, s.bytes);
    lsp_skeleton_close(&s);
  }
}

/* More parts than the tables have rows, of as many layers. */
static void test_a_thousand_parts_are_laid_out(void **state) {
  (void)state;
  enum { MANY = 1000 };
  static lsp_part many[MANY];
  static lsp_extent e[LSP_MEMORY_DATASETS + MANY];
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_file_view v;
  lsp_memory_spec m = memory_with_parts(MANY);
  for (int i = 0; i < MANY; i++) {
    many[i] = (lsp_part){i / 8, "", LSP_PART_F32, 1, {1 + i % 5}};
    (void)snprintf(many[i].name, sizeof many[i].name, "part_%c", 'a' + i % 8);
  }
  m.part = many;
  m.layers = MANY / 8;
  m.layer_rows = NULL;
  assert_int_equal(store_make_memory(&m, in_folder(path, "many.memory.h5"), e, &why),
                   LSP_OK);
  assert_int_equal(lsp_file_open(path, &v, &why), LSP_OK);
  assert_int_equal(v.memory.parts, MANY);
  assert_memory_equal(v.extent, e, sizeof e);
  lsp_file_close(&v);
}

static void test_parts_beyond_all_limits_are_refused(void **state) {
  (void)state;
  static const lsp_part large = {0, "matrix", LSP_PART_F64, 2, {1 << 30, 1 << 28}};
  lsp_failure why = {0};
  lsp_skeleton s;
  lsp_extent e[LSP_MEMORY_DATASETS + 1];
  lsp_memory_spec m = store_memory();
  m.part = &large;
  m.parts = 1;
  assert_int_equal(lsp_layout_memory(&m, &s, e, &why), LSP_E_LIMIT);
  expect_message(&why, "/states/0/matrix would have more than 2^60 bytes");
  m.parts = LSP_PARTS_MOST + 1;
  assert_int_equal(lsp_layout_memory(&m, &s, e, &why), LSP_E_LIMIT);
  expect_message(&why, "a file holds 16384 at most");
  assert_int_equal(s.fd, -1);
}

static void test_a_terabyte_costs_a_few_pages(void **state) {
  (void)state;
  lsp_failure why = {0};
  lsp_skeleton s;
  lsp_extent e[LSP_OUTPUT_DATASETS];
  const int64_t start[] = {0, INT64_C(1) << 29}, bytes[] = {INT64_C(1) << 31};
  lsp_output_spec o = store_output();
  o.documents = 1;
  o.tokens = start[1];
  o.token_start = start;
  o.n_bytes = bytes;
  o.panels = o.tokens / 256;
  o.hidden_width = 512;
  assert_int_equal(lsp_layout_output(&o, &s, e, &why), LSP_OK);
  assert_true(s.bytes > INT64_C(1) << 40);
  expect_apart(e, LSP_OUTPUT_DATASETS, s.bytes);
  struct stat st;
  assert_int_equal(fstat(s.fd, &st), 0);
  assert_true(st.st_blocks * 512 < 1 << 18);
  lsp_skeleton_close(&s);
}

static void test_no_tokens_and_no_documents_make_a_file_too(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_file_view v;
  lsp_extent e[LSP_OUTPUT_DATASETS];
  const int64_t start[] = {0};
  lsp_output_spec o = store_output();
  o.tokens = o.documents = o.panels = 0;
  o.token_start = start;
  assert_int_equal(store_make_output(&o, in_folder(path, "e.h5"), e, &why), LSP_OK);
  for (int i = 0; i < LSP_INTEGRITY_LAYOUT; i++) {
    assert_int_equal(e[i].offset, -1);
    assert_int_equal(e[i].rows, 0);
  }
  assert_int_equal(lsp_file_open(path, &v, &why), LSP_OK);
  assert_int_equal(v.output.tokens + v.output.documents + v.output.panels, 0);
  assert_int_equal(v.output.token_start[0], 0);
  lsp_file_close(&v);
}

static void test_installed_file_has_the_bytes_of_the_skeleton(void **state) {
  (void)state;
  char path[LSP_TEST_PATH], temporary[LSP_TEST_PATH + 8];
  unsigned char a[4096], b[4096];
  lsp_failure why = {0};
  lsp_skeleton s;
  lsp_extent e[LSP_OUTPUT_DATASETS];
  struct stat st;
  const lsp_output_spec o = store_output();
  assert_int_equal(lsp_layout_output(&o, &s, e, &why), LSP_OK);
  assert_int_equal(lsp_skeleton_install(&s, in_folder(path, "o.h5"), &why), LSP_OK);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_size, s.bytes);
  const int fd = open(path, O_RDONLY);
  for (int64_t at = 0; at < s.bytes; at += 4096) {
    const ssize_t n = pread(s.fd, a, sizeof a, at);
    assert_int_equal(pread(fd, b, sizeof b, at), n);
    assert_memory_equal(a, b, (size_t)n);
  }
  (void)close(fd);
  (void)snprintf(temporary, sizeof temporary, "%s.tmp", path);
  assert_int_not_equal(access(temporary, F_OK), 0);
  lsp_skeleton_close(&s);
}

static void test_failed_install_says_so_and_leaves_nothing(void **state) {
  (void)state;
  char path[LSP_TEST_PATH], temporary[LSP_TEST_PATH + 8];
  lsp_failure why = {0};
  lsp_skeleton s;
  lsp_extent e[LSP_OUTPUT_DATASETS];
  lsp_output_spec o = store_output();
  assert_int_equal(lsp_layout_output(&o, &s, e, &why), LSP_OK);
  assert_int_equal(lsp_skeleton_install(&s, "/no/such/folder/o.h5", &why), LSP_E_IO);
  expect_message(&why, "/no/such/folder/o.h5");
  lsp_skeleton_close(&s);
  o.hidden_width = 1 << 30; /* 2^59 bytes: more than any folder has free */
  const int64_t start[] = {0, INT64_C(1) << 27, INT64_C(1) << 27, INT64_C(1) << 27};
  o.tokens = start[1];
  o.token_start = start;
  assert_int_equal(lsp_layout_output(&o, &s, e, &why), LSP_OK);
  assert_int_equal(lsp_skeleton_install(&s, in_folder(path, "o.h5"), &why), LSP_E_IO);
  expect_message(&why, path);
  (void)snprintf(temporary, sizeof temporary, "%s.tmp", path);
  assert_int_not_equal(access(temporary, F_OK), 0);
  assert_int_not_equal(access(path, F_OK), 0);
  lsp_skeleton_close(&s);
}

static void test_sizes_beyond_all_limits_are_refused(void **state) {
  (void)state;
  lsp_failure why = {0};
  lsp_skeleton s;
  lsp_extent e[LSP_OUTPUT_DATASETS];
  lsp_output_spec o = store_output();
  o.tokens = INT64_C(1) << 58;
  assert_int_equal(lsp_layout_output(&o, &s, e, &why), LSP_E_LIMIT);
  expect_message(&why, "2^60");
  assert_int_equal(s.fd, -1);
}

static void test_no_descriptor_is_left_open(void **state) {
  (void)state;
  unsigned char hash[16];
  const lsp_output_spec o = store_output();
  hash_output(&o, hash);
  const int before = dup(0);
  (void)close(before);
  for (int i = 0; i < 8; i++)
    hash_output(&o, hash);
  const int after = dup(0);
  (void)close(after);
  assert_int_equal(before, after);
}

LSP_TESTS(cmocka_unit_test(test_one_spec_gives_the_same_bytes_whatever_the_heap_holds),
          cmocka_unit_test(test_another_spec_gives_another_hash),
          cmocka_unit_test(test_fixed_rows_and_rows_of_layers_are_in_the_hash),
          cmocka_unit_test(test_parts_are_in_the_hash),
          cmocka_unit_test(test_parts_lie_apart_too),
          cmocka_unit_test(test_a_thousand_parts_are_laid_out),
          cmocka_unit_test(test_parts_beyond_all_limits_are_refused),
          cmocka_unit_test(test_datasets_lie_apart_and_large_ones_aligned),
          cmocka_unit_test(test_a_terabyte_costs_a_few_pages),
          cmocka_unit_test(test_no_tokens_and_no_documents_make_a_file_too),
          cmocka_unit_test(test_installed_file_has_the_bytes_of_the_skeleton),
          cmocka_unit_test(test_failed_install_says_so_and_leaves_nothing),
          cmocka_unit_test(test_sizes_beyond_all_limits_are_refused),
          cmocka_unit_test(test_no_descriptor_is_left_open))
