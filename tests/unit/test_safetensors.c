/* The safetensors format: the test vectors of its own reader, and our limits. */
#include "harness.h"

#include "lsp/durable.h"
#include "lsp/safetensors.h"

#include <math.h>

static const char *at(const char *folder, const char *name) {
  static char path[4][2 * LSP_TEST_PATH];
  static int next;
  char *p = path[next++ % 4];
  (void)snprintf(p, sizeof path[0], "%s/%s", folder, name);
  return p;
}

static void put(const char *path, const void *data, size_t bytes) {
  lsp_failure why = {0};
  if (lsp_replace_file(path, data, bytes, &why) != LSP_OK)
    fail_msg("%s", why.text);
}

/* A file of header and data: size, header, data. */
static const char *make(const char *folder, const char *name, const char *header,
                        const void *data, size_t bytes) {
  const uint64_t n = strlen(header);
  const char *path = at(folder, name);
  char *all = malloc(8 + n + bytes);
  assert_non_null(all);
  memcpy(all, &n, 8);
  memcpy(all + 8, header, n);
  if (bytes > 0)
    memcpy(all + 8 + n, data, bytes);
  put(path, all, 8 + n + bytes);
  free(all);
  return path;
}

static lsp_checkpoint *opened(const char *path) {
  lsp_failure why = {0};
  lsp_checkpoint *c = NULL;
  if (lsp_checkpoint_open(path, &c, &why) != LSP_OK)
    fail_msg("%s", why.text);
  return c;
}

static void expect_file_refused(const char *path, const char *words,
                                const char *place) {
  lsp_failure why = {0};
  lsp_checkpoint *c = NULL;
  assert_int_not_equal(lsp_checkpoint_open(path, &c, &why), LSP_OK);
  assert_null(c);
  expect_message(&why, words);
  expect_message(&why, place);
  assert_null(strchr(why.text, '\n'));
}

static void expect_header_refused(const char *header, size_t data, const char *words,
                                  const char *place) {
  static const char zeros[64];
  assert_true(data <= sizeof zeros);
  expect_file_refused(make(lsp_test_folder(), "x.safetensors", header, zeros, data),
                      words, place);
}

static void expect_bytes_refused(const char *bytes, size_t n, const char *words) {
  const char *path = at(lsp_test_folder(), "x.safetensors");
  put(path, bytes, n);
  expect_file_refused(path, words, "x.safetensors");
}

#define I32_2X2(offsets)                                                               \
  "{\"test\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":" offsets "}}"

static void test_the_example_of_the_format_is_read(void **state) {
  (void)state;
  static const char data[16] = {0};
  lsp_checkpoint *c =
      opened(make(lsp_test_folder(), "x.safetensors", I32_2X2("[0,16]"), data, 16));
  assert_int_equal(lsp_checkpoint_count(c), 1);
  const lsp_tensor *t = lsp_checkpoint_find(c, "test");
  assert_non_null(t);
  assert_ptr_equal(t, lsp_checkpoint_at(c, 0));
  assert_null(lsp_checkpoint_find(c, "tes"));
  assert_int_equal(t->dtype, LSP_I32);
  assert_string_equal(t->dtype_name, "I32");
  assert_int_equal(t->rank, 2);
  assert_int_equal(t->count, 4);
  assert_int_equal(t->bytes, 16);
  assert_int_equal(t->offset, 8 + (int64_t)strlen(I32_2X2("[0,16]")));
  assert_non_null(strstr(lsp_checkpoint_path(c, t), "x.safetensors"));
  lsp_checkpoint_close(&c);
  assert_null(c);
  lsp_checkpoint_close(&c);
}

static void test_bytes_after_the_last_tensor_are_refused(void **state) {
  (void)state;
  expect_header_refused(I32_2X2("[0,16]"), 20, "4 bytes more", "incomplete");
}

static void test_a_file_that_is_cut_short_is_refused(void **state) {
  (void)state;
  expect_header_refused(I32_2X2("[0,16]"), 14, "incomplete", "tensor \"test\"");
}

static void test_header_larger_than_the_limit_is_refused(void **state) {
  (void)state;
  expect_bytes_refused("<\0\0\0\0\xff\xff\xff", 8, "too large");
}

static void test_header_larger_than_the_file_is_refused(void **state) {
  (void)state;
  expect_bytes_refused("<\0\0\0\0\0\0\0", 8, "does not fit");
  expect_bytes_refused("\3\0\0\0\0\0\0\0{}", 10, "does not fit");
}

static void test_a_file_too_small_for_a_header_is_refused(void **state) {
  (void)state;
  expect_bytes_refused("", 0, "too small");
  expect_bytes_refused("\2\0\0\0\0\0\0", 7, "too small");
}

static void test_a_header_that_is_not_utf8_json_is_refused(void **state) {
  (void)state;
  expect_bytes_refused("\1\0\0\0\0\0\0\0\xff", 9, "UTF-8");
  expect_bytes_refused("\1\0\0\0\0\0\0\0{", 9, "not valid JSON");
  expect_bytes_refused("\0\0\0\0\0\0\0\0", 8, "not valid JSON");
  expect_header_refused("[]", 0, "expected an object", "x.safetensors");
  expect_header_refused("{\"a\":{},\"a\":{}}", 0, "duplicate", "\"a\"");
}

static void test_whitespace_around_the_header_is_accepted(void **state) {
  (void)state;
  static const char data[16] = {0};
  const char *folder = lsp_test_folder();
  lsp_checkpoint *c = opened(make(folder, "x.safetensors",
                                  " \n" I32_2X2("[0,16]") "     ", data, sizeof data));
  lsp_checkpoint_close(&c);
  c = opened(make(folder, "y.safetensors", "{}", NULL, 0));
  assert_int_equal(lsp_checkpoint_count(c), 0);
  assert_null(lsp_checkpoint_find(c, "a"));
  lsp_checkpoint_close(&c);
}

static void test_scalars_and_empty_tensors_are_accepted(void **state) {
  (void)state;
  static const float data = 2.5F;
  float x = 0;
  lsp_failure why = {0};
  lsp_checkpoint *c =
      opened(make(lsp_test_folder(), "x.safetensors",
                  "{\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                  "\"z\":{\"dtype\":\"F32\",\"shape\":[2,0],\"data_offsets\":[0,0]},"
                  "\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]}}",
                  &data, sizeof data));
  const lsp_tensor *s = lsp_checkpoint_find(c, "s"), *z = lsp_checkpoint_find(c, "z");
  assert_int_equal(s->rank, 0);
  assert_int_equal(s->count, 1);
  assert_int_equal(z->count, 0);
  assert_int_equal(lsp_checkpoint_floats(c, s, 0, 1, &x, &why), LSP_OK);
  assert_true(x == 2.5F);
  assert_int_equal(lsp_checkpoint_floats(c, z, 0, 0, &x, &why), LSP_OK);
  assert_string_equal(lsp_checkpoint_at(c, 0)->name, "e");
  lsp_checkpoint_close(&c);
}

static void test_a_shape_that_is_not_its_bytes_is_refused(void **state) {
  (void)state;
  expect_header_refused(I32_2X2("[0,4]"), 4, "need 16", "tensor \"test\"");
  expect_header_refused(I32_2X2("[4,0]"), 4, "data_offsets", "tensor \"test\"");
  expect_header_refused(I32_2X2("[0]"), 16, "data_offsets", "tensor \"test\"");
  expect_header_refused(I32_2X2("[-16,0]"), 16, "data_offsets", "tensor \"test\"");
  expect_header_refused(I32_2X2("[0,16.0]"), 16, "data_offsets", "tensor \"test\"");
  expect_header_refused(
      "{\"w\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2,
      "whole bytes", "tensor \"w\"");
}

static void test_a_shape_that_overflows_is_refused(void **state) {
  (void)state;
  expect_header_refused("{\"w\":{\"dtype\":\"I32\",\"shape\":[2,18446744073709551614],"
                        "\"data_offsets\":[0,16]}}",
                        16, "64 bits", "18446744073709551614");
  expect_header_refused("{\"w\":{\"dtype\":\"I32\",\"shape\":[4,4611686018427387904],"
                        "\"data_offsets\":[0,16]}}",
                        16, "overflows", "tensor \"w\"");
  expect_header_refused("{\"w\":{\"dtype\":\"U8\",\"shape\":[2305843009213693952],"
                        "\"data_offsets\":[0,16]}}",
                        16, "overflows", "tensor \"w\"");
  expect_header_refused("{\"w\":{\"dtype\":\"I32\",\"shape\":[1,1,1,1,1,1,1,1,1],"
                        "\"data_offsets\":[0,4]}}",
                        4, "9 entries", "tensor \"w\"");
  expect_header_refused("{\"w\":{\"dtype\":\"I32\",\"shape\":[-1],"
                        "\"data_offsets\":[0,4]}}",
                        4, "\"shape\"[0] is -1", "tensor \"w\"");
}

#define F32(name, shape, offsets)                                                      \
  "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define U8(name, offsets)                                                              \
  "\"" name "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" offsets "}"

static void test_tensors_that_do_not_tile_the_data_are_refused(void **state) {
  (void)state;
  expect_header_refused("{" U8("a", "[0,4]") "," U8("b", "[0,4]") "}", 4, "overlap",
                        "tensor \"b\"");
  expect_header_refused("{" U8("a", "[0,4]") "," U8("b", "[2,6]") "}", 6, "overlap",
                        "tensor \"b\"");
  expect_header_refused("{" U8("a", "[0,4]") "," U8("b", "[5,9]") "}", 9, "hole",
                        "tensor \"b\"");
  expect_header_refused("{" U8("a", "[1,5]") "}", 5, "hole", "tensor \"a\"");
}

static void test_a_header_of_very_many_tensors_is_refused(void **state) {
  (void)state;
  enum { MANY = 150000, EACH = 80 };
  char *header = malloc((size_t)MANY * EACH);
  assert_non_null(header);
  size_t n = 0;
  for (int i = 0; i < MANY; i++)
    n += (size_t)snprintf(header + n, EACH, "%c" U8("%d", "[0,4]"), i == 0 ? '{' : ',',
                          i);
  memcpy(header + n, "}", 2);
  expect_header_refused(header, 4, "more than 100000 tensors", "x.safetensors");
  free(header);
}

static void test_fields_of_the_wrong_kind_are_refused(void **state) {
  (void)state;
  expect_header_refused("{\"w\":3}", 0, "not an object", "tensor \"w\"");
  expect_header_refused("{\"w\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4, "dtype",
                        "tensor \"w\"");
  expect_header_refused("{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4,
                        "\"shape\" is missing", "tensor \"w\"");
  expect_header_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[]}}", 4,
                        "\"data_offsets\" is missing", "tensor \"w\"");
  expect_header_refused(
      "{\"w\":{\"dtype\":\"Q4_K\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "\"Q4_K\"",
      "tensor \"w\"");
  expect_header_refused("{\"__metadata__\":{\"format\":1}}", 0, "not a text",
                        "__metadata__");
  expect_header_refused("{\"a\\nb\":{}}", 0, "control character", "x.safetensors");
}

static void test_metadata_of_texts_is_passed_over(void **state) {
  (void)state;
  lsp_checkpoint *c = opened(make(lsp_test_folder(), "x.safetensors",
                                  "{\"__metadata__\":{\"format\":\"pt\"}}", NULL, 0));
  assert_int_equal(lsp_checkpoint_count(c), 0);
  lsp_checkpoint_close(&c);
}

static void test_all_float_types_are_widened_from_any_alignment(void **state) {
  (void)state;
  static const double wide[2] = {0.1, -3};
  static const float single[2] = {0.5F, 1e-3F};
  static const uint16_t half[2] = {0x3c00, 0x8001}, brain[2] = {0x3f80, 0xc040};
  unsigned char data[1 + 16 + 8 + 4 + 4] = {9};
  memcpy(data + 1, wide, 16);
  memcpy(data + 17, single, 8);
  memcpy(data + 25, half, 4);
  memcpy(data + 29, brain, 4);
  lsp_checkpoint *c =
      opened(make(lsp_test_folder(), "x.safetensors",
                  "{\"byte\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                  "\"w\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[1,17]},"
                  "\"s\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[17,25]},"
                  "\"h\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[25,29]},"
                  "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[29,33]}}",
                  data, sizeof data));
  static const struct {
    const char *name;
    double value[2];
  } expected[] = {{"w", {0.1, -3}},
                  {"s", {0.5, (double)1e-3F}},
                  {"h", {1, -0x1p-24}},
                  {"b", {1, -3}}};
  lsp_failure why = {0};
  float f[2];
  for (size_t i = 0; i < 4; i++) {
    const lsp_tensor *t = lsp_checkpoint_find(c, expected[i].name);
    assert_int_equal(lsp_checkpoint_floats(c, t, 0, 2, f, &why), LSP_OK);
    for (int k = 0; k < 2; k++)
      assert_true(f[k] == (float)expected[i].value[k]);
    assert_int_equal(lsp_checkpoint_floats(c, t, 1, 1, f, &why), LSP_OK);
    assert_true(f[0] == (float)expected[i].value[1]);
  }
  const lsp_tensor *byte = lsp_checkpoint_find(c, "byte");
  assert_int_equal(lsp_checkpoint_floats(c, byte, 0, 1, f, &why), LSP_E_FORMAT);
  expect_message(&why, "tensor \"byte\" is of type U8");
  lsp_checkpoint_close(&c);
}

static void test_numbers_that_are_not_finite_are_refused_by_element(void **state) {
  (void)state;
  enum { N = 5000 };
  static float data[N];
  static double wide[2] = {1, 1e300};
  static float f[N];
  lsp_failure why = {0};
  const char *folder = lsp_test_folder();
  data[4321] = NAN;
  data[4322] = -INFINITY;
  lsp_checkpoint *c = opened(
      make(folder, "x.safetensors",
           "{\"w.1\":{\"dtype\":\"F32\",\"shape\":[5000],\"data_offsets\":[0,20000]}}",
           data, sizeof data));
  const lsp_tensor *t = lsp_checkpoint_at(c, 0);
  assert_int_equal(lsp_checkpoint_floats(c, t, 0, N, f, &why), LSP_E_FORMAT);
  expect_message(&why, "x.safetensors: tensor \"w.1\": element 4321");
  assert_int_equal(lsp_checkpoint_floats(c, t, 4322, 2, f, &why), LSP_E_FORMAT);
  expect_message(&why, "element 4322");
  expect_message(&why, "-inf");
  assert_int_equal(lsp_checkpoint_floats(c, t, 4323, N - 4323, f, &why), LSP_OK);
  lsp_checkpoint_close(&c);
  c = opened(make(folder, "y.safetensors",
                  "{\"big\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}}",
                  wide, sizeof wide));
  t = lsp_checkpoint_at(c, 0);
  assert_int_equal(lsp_checkpoint_floats(c, t, 0, 1, f, &why), LSP_OK);
  assert_int_equal(lsp_checkpoint_floats(c, t, 0, 2, f, &why), LSP_E_FORMAT);
  expect_message(&why, "tensor \"big\": element 1");
  lsp_checkpoint_close(&c);
}

/* A tensor of all 65,536 halves; those that are not finite are refused. */
static void test_all_halves_are_what_their_bits_say(void **state) {
  (void)state;
  enum { N = 65536 };
  static uint16_t data[N];
  lsp_failure why = {0};
  for (int bits = 0; bits < N; bits++)
    data[bits] = (uint16_t)bits;
  lsp_checkpoint *c =
      opened(make(lsp_test_folder(), "x.safetensors",
                  "{\"h\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":"
                  "[0,131072]}}",
                  data, sizeof data));
  const lsp_tensor *t = lsp_checkpoint_at(c, 0);
  for (int bits = 0; bits < N; bits++) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double sign = bits >> 15 ? -1 : 1;
    float got = 0;
    const lsp_status st = lsp_checkpoint_floats(c, t, bits, 1, &got, &why);
    assert_int_equal(st, exponent == 31 ? LSP_E_FORMAT : LSP_OK);
    if (exponent == 0)
      assert_true((double)got == sign * ldexp(fraction, -24) &&
                  (signbit(got) != 0) == (sign < 0));
    else if (exponent < 31)
      assert_true((double)got == sign * ldexp(1024 + fraction, exponent - 25));
  }
  lsp_checkpoint_close(&c);
}

static void test_a_file_truncated_after_opening_is_an_error_not_a_signal(void **state) {
  (void)state;
  static const char data[16] = {0};
  unsigned char hash[16];
  lsp_failure why = {0};
  const char *path =
      make(lsp_test_folder(), "x.safetensors", I32_2X2("[0,16]"), data, sizeof data);
  lsp_checkpoint *c = opened(path);
  assert_int_equal(truncate(path, 20), 0);
  assert_int_equal(lsp_checkpoint_hash(c, hash, &why), LSP_E_IO);
  expect_message(&why, "x.safetensors: ends at byte");
  lsp_checkpoint_close(&c);
}

static void put_text(const char *path, const char *text) {
  put(path, text, strlen(text));
}

static const char INDEX[] = "model.safetensors.index.json";

/* Two shards and their index. */
static const char *make_sharded(void) {
  const char *folder = lsp_test_folder();
  (void)make(folder, "m-2.safetensors", "{" U8("b", "[0,4]") "," U8("c", "[4,8]") "}",
             "bbbbcccc", 8);
  (void)make(folder, "m-1.safetensors", "{" U8("d", "[0,4]") "," U8("a", "[4,8]") "}",
             "ddddaaaa", 8);
  put_text(at(folder, INDEX), "{\"metadata\":{\"total_size\":16},\"weight_map\":{"
                              "\"c\":\"m-2.safetensors\",\"a\":\"m-1.safetensors\","
                              "\"b\":\"m-2.safetensors\",\"d\":\"m-1.safetensors\"}}");
  return folder;
}

static void test_shards_and_one_file_are_the_same_checkpoint(void **state) {
  (void)state;
  lsp_failure why = {0};
  unsigned char one[16], two[16], other[16];
  const char *folder = lsp_test_folder();
  (void)make(folder, "model.safetensors",
             "{" U8("a", "[0,4]") "," U8("b", "[4,8]") "," U8("c", "[8,12]") "," U8(
                 "d", "[12,16]") "}",
             "aaaabbbbccccdddd", 16);
  lsp_checkpoint *c = opened(folder);
  assert_int_equal(lsp_checkpoint_hash(c, one, &why), LSP_OK);
  lsp_checkpoint_close(&c);
  c = opened(make_sharded());
  assert_int_equal(lsp_checkpoint_count(c), 4);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(lsp_checkpoint_at(c, i)->name[0], 'a' + i);
  }
  assert_int_equal(lsp_checkpoint_hash(c, two, &why), LSP_OK);
  lsp_checkpoint_close(&c);
  assert_memory_equal(one, two, 16);
  (void)make(folder, "model.safetensors",
             "{" U8("a", "[0,4]") "," U8("b", "[4,8]") "," U8("c", "[8,12]") "," U8(
                 "d", "[12,16]") "}",
             "aaaabbbbccccdddx", 16);
  c = opened(folder);
  assert_int_equal(lsp_checkpoint_hash(c, other, &why), LSP_OK);
  lsp_checkpoint_close(&c);
  assert_memory_not_equal(one, other, 16);
}

/* Bytes that changed in the file since they were given out are not those of the hash. */
static void test_the_hash_is_of_the_numbers_that_were_given_out(void **state) {
  (void)state;
  lsp_failure why = {0};
  unsigned char before[16], after[16];
  static float numbers[10000], f[10000];
  static const char header[] = "{" F32("a", "[10000]", "[0,40000]") "}";
  const char *folder = lsp_test_folder();
  for (int i = 0; i < 10000; i++)
    numbers[i] = (float)i;
  const char *path = make(folder, "model.safetensors", header, numbers, sizeof numbers);
  lsp_checkpoint *c = opened(folder);
  assert_int_equal(lsp_checkpoint_hash(c, before, &why), LSP_OK);
  lsp_checkpoint_close(&c);
  c = opened(folder);
  const lsp_tensor *t = lsp_checkpoint_find(c, "a");
  assert_int_equal(lsp_checkpoint_floats(c, t, 0, 10000, f, &why), LSP_OK);
  FILE *file = fopen(path, "r+b");
  assert_non_null(file);
  assert_int_equal(fseek(file, 8 + (long)strlen(header) + 4 * 9000, SEEK_SET), 0);
  assert_int_equal(fwrite(&numbers[1], sizeof *numbers, 1, file), 1);
  assert_int_equal(fclose(file), 0);
  assert_int_equal(lsp_checkpoint_hash(c, after, &why), LSP_OK);
  assert_memory_equal(before, after, 16);
  assert_int_equal(lsp_checkpoint_floats(c, t, 0, 10000, f, &why), LSP_E_MISMATCH);
  expect_message(&why, "tensor \"a\" changed while it was read");
  lsp_checkpoint_close(&c);
}

static void test_an_index_may_name_only_files_beside_it(void **state) {
  (void)state;
  static const char *const wrong[] = {
      "../m-1.safetensors", "/etc/passwd", "sub/m", "..", ".", "", "m\\\\1"};
  const char *folder = make_sharded();
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    char text[200];
    (void)snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"%s\"}}", wrong[i]);
    put_text(at(folder, INDEX), text);
    expect_file_refused(folder, "plain name", "tensor \"a\"");
  }
  put_text(at(folder, INDEX), "{\"weight_map\":{\"a\":3}}");
  expect_file_refused(folder, "plain name", "tensor \"a\"");
  put_text(at(folder, INDEX), "{\"weight_map\":{}}");
  expect_file_refused(folder, "weight_map", INDEX);
  put_text(at(folder, INDEX), "{\"weight_map\":[]}");
  expect_file_refused(folder, "weight_map", INDEX);
  put_text(at(folder, INDEX), "{}");
  expect_file_refused(folder, "weight_map", INDEX);
}

static void test_an_index_that_is_wrong_about_a_tensor_is_refused(void **state) {
  (void)state;
  const char *folder = make_sharded();
  put_text(at(folder, INDEX), "{\"weight_map\":{\"zz\":\"m-1.safetensors\"}}");
  expect_file_refused(folder, "is in no file", "tensor \"zz\"");
  put_text(at(folder, INDEX),
           "{\"weight_map\":{\"a\":\"m-2.safetensors\",\"d\":\"m-1.safetensors\"}}");
  expect_file_refused(folder, "should be in m-2.safetensors", "tensor \"a\"");
  put_text(at(folder, INDEX), "{\"weight_map\":{\"a\":\"m-3.safetensors\"}}");
  expect_file_refused(folder, "cannot be opened", "m-3.safetensors");
}

static void test_a_tensor_in_two_shards_is_refused(void **state) {
  (void)state;
  const char *folder = make_sharded();
  (void)make(folder, "m-2.safetensors", "{" U8("b", "[0,4]") "," U8("a", "[4,8]") "}",
             "bbbbaaaa", 8);
  put_text(at(folder, INDEX),
           "{\"weight_map\":{\"b\":\"m-2.safetensors\",\"d\":\"m-1.safetensors\"}}");
  expect_file_refused(folder, "tensor \"a\"", "m-2.safetensors");
}

static void test_a_folder_without_a_checkpoint_is_refused(void **state) {
  (void)state;
  const char *folder = lsp_test_folder();
  expect_file_refused(folder, "neither model.safetensors", folder);
  expect_file_refused(at(folder, "gone"), "cannot be opened", "gone");
}

LSP_TESTS(
    cmocka_unit_test(test_the_example_of_the_format_is_read),
    cmocka_unit_test(test_bytes_after_the_last_tensor_are_refused),
    cmocka_unit_test(test_a_file_that_is_cut_short_is_refused),
    cmocka_unit_test(test_header_larger_than_the_limit_is_refused),
    cmocka_unit_test(test_header_larger_than_the_file_is_refused),
    cmocka_unit_test(test_a_file_too_small_for_a_header_is_refused),
    cmocka_unit_test(test_a_header_that_is_not_utf8_json_is_refused),
    cmocka_unit_test(test_whitespace_around_the_header_is_accepted),
    cmocka_unit_test(test_scalars_and_empty_tensors_are_accepted),
    cmocka_unit_test(test_a_shape_that_is_not_its_bytes_is_refused),
    cmocka_unit_test(test_a_shape_that_overflows_is_refused),
    cmocka_unit_test(test_tensors_that_do_not_tile_the_data_are_refused),
    cmocka_unit_test(test_a_header_of_very_many_tensors_is_refused),
    cmocka_unit_test(test_fields_of_the_wrong_kind_are_refused),
    cmocka_unit_test(test_metadata_of_texts_is_passed_over),
    cmocka_unit_test(test_all_float_types_are_widened_from_any_alignment),
    cmocka_unit_test(test_numbers_that_are_not_finite_are_refused_by_element),
    cmocka_unit_test(test_all_halves_are_what_their_bits_say),
    cmocka_unit_test(test_a_file_truncated_after_opening_is_an_error_not_a_signal),
    cmocka_unit_test(test_shards_and_one_file_are_the_same_checkpoint),
    cmocka_unit_test(test_the_hash_is_of_the_numbers_that_were_given_out),
    cmocka_unit_test(test_an_index_may_name_only_files_beside_it),
    cmocka_unit_test(test_an_index_that_is_wrong_about_a_tensor_is_refused),
    cmocka_unit_test(test_a_tensor_in_two_shards_is_refused),
    cmocka_unit_test(test_a_folder_without_a_checkpoint_is_refused))
