/* Parts of a memory: how large they are, where they lie, when two are the same. */
#include "harness.h"

#include "lsp/parts.h"

static const lsp_part part[] = {{0, "matrix", LSP_PART_F64, 3, {2, 3, 5}},
                                {0, "ids", LSP_PART_I32, 1, {3}},
                                {-1, "count", LSP_PART_I64, 0, {0}},
                                {-1, "tokens", LSP_PART_F32, 2, {0, 7}},
                                {-1, "rows", LSP_PART_F32, 1, {1}}};
enum { PARTS = 5 };

static void test_each_begins_at_a_multiple_of_eight(void **state) {
  static const int64_t bytes[PARTS] = {240, 12, 8, 0, 4},
                       at[] = {0, 240, 256, 264, 264};
  (void)state;
  for (int i = 0; i < PARTS; i++) {
    assert_int_equal(lsp_part_bytes(&part[i]), bytes[i]);
    assert_int_equal(lsp_parts_at(part, i), at[i]);
  }
  assert_int_equal(lsp_parts_bytes(part, PARTS), 272);
  assert_int_equal(lsp_parts_bytes(part, 0), 0);
}

static void test_what_is_beyond_all_limits_has_no_size(void **state) {
  static const int64_t wrong[][2] = {
      {INT64_MAX, 1}, {1 << 30, 1 << 28}, {-1, 1}, {0, -1}, {INT64_MIN, INT64_MIN}};
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    const lsp_part p = {0, "matrix", LSP_PART_F64, 2, {wrong[i][0], wrong[i][1]}};
    assert_int_equal(lsp_part_bytes(&p), -1);
  }
  const lsp_part most = {0, "matrix", LSP_PART_F64, 2, {1 << 30, 1 << 27}};
  assert_int_equal(lsp_part_bytes(&most), INT64_C(1) << 60);
}

static void test_two_are_the_same_in_everything_or_not(void **state) {
  (void)state;
  lsp_part other[6];
  assert_true(lsp_part_same(&part[0], &part[0]));
  for (int i = 0; i < 6; i++)
    other[i] = part[0];
  other[0].layer = -1;
  (void)strcpy(other[1].name, "matri");
  other[2].type = LSP_PART_I64;
  other[3].dims = 2;
  other[4].dim[2] = 4;
  other[5].dim[3] = 9; /* no dimension of it */
  for (int i = 0; i < 6; i++)
    assert_int_equal(lsp_part_same(&part[0], &other[i]), i == 5);
}

static void test_words_say_name_shape_and_type(void **state) {
  (void)state;
  char text[LSP_PART_WORDS];
  static const char *const words[PARTS] = {"matrix (2, 3, 5) float64", "ids (3) int32",
                                           "count () int64", "tokens (0, 7) float32",
                                           "rows (1) float32"};
  for (int i = 0; i < PARTS; i++) {
    lsp_part_words(&part[i], text);
    assert_string_equal(text, words[i]);
  }
  const lsp_part most = {0,
                         "abcdefghijklmnopqrstuvwxyzabcde",
                         LSP_PART_F64,
                         4,
                         {INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN}};
  lsp_part_words(&most, text);
  assert_string_equal(text + strlen(text) - 8, " float64");
}

LSP_TESTS(cmocka_unit_test(test_each_begins_at_a_multiple_of_eight),
          cmocka_unit_test(test_what_is_beyond_all_limits_has_no_size),
          cmocka_unit_test(test_two_are_the_same_in_everything_or_not),
          cmocka_unit_test(test_words_say_name_shape_and_type))
