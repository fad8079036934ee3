/* The journal: what was committed is found again, and nothing else is. */
#include "harness.h"

#include "lsp/journal.h"

#include <xxhash.h>

enum { RECORDS = 3, RECORD = 128 };

static const char identity[] = "{\"model\": \"0123\", \"text\": \"böök\"}";

/* A value says which record it came from. */
static lsp_commit mark(int i) {
  const lsp_commit c = {.panel_end = 10 + i,
                        .token_end = INT64_C(3000000000) + i,
                        .memory_end = INT64_C(0x7edcba9876543210) + i,
                        .memory_rows = 500 + i,
                        .has_parts = i % 3 != 0,
                        .fixed_rows = i % 2 == 0 ? INT32_MAX - i : 0,
                        .fixed_at = INT64_C(0x7edcba9876543200) - i,
                        .fixed_area = i % 3 == 1,
                        .open_count = 100 + i,
                        .open_low = UINT64_MAX - (uint64_t)i,
                        .open_high = -1 - i,
                        .corpus_count = 200 + i,
                        .corpus_low = 7 + (uint64_t)i,
                        .corpus_high = INT64_MAX - i,
                        .open_not_finite = 300 + i,
                        .corpus_not_finite = INT64_MAX - 400 - i};
  return c;
}

static int same(const lsp_commit *a, const lsp_commit *b) {
  return a->panel_end == b->panel_end && a->token_end == b->token_end &&
         a->memory_end == b->memory_end && a->memory_rows == b->memory_rows &&
         a->has_parts == b->has_parts && a->fixed_rows == b->fixed_rows &&
         a->fixed_at == b->fixed_at && a->fixed_area == b->fixed_area &&
         a->fixed_new == b->fixed_new && a->open_count == b->open_count &&
         a->open_low == b->open_low && a->open_high == b->open_high &&
         a->corpus_count == b->corpus_count && a->corpus_low == b->corpus_low &&
         a->corpus_high == b->corpus_high && a->open_not_finite == b->open_not_finite &&
         a->corpus_not_finite == b->corpus_not_finite;
}

static const char *in_folder(char path[LSP_TEST_PATH], const char *name) {
  const int n = snprintf(path, LSP_TEST_PATH, "%s/%s", lsp_test_folder(), name);
  assert_in_range(n, 1, LSP_TEST_PATH - 1);
  return path;
}

static size_t load(const char *path, unsigned char *data, size_t room) {
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  const size_t n = fread(data, 1, room, f);
  assert_int_equal(fclose(f), 0);
  return n;
}

static void save(const char *path, const unsigned char *data, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

static void append(lsp_journal *j, int first, int end) {
  lsp_failure why = {0};
  for (int i = first; i < end; i++) {
    const lsp_commit c = mark(i);
    assert_int_equal(lsp_journal_append(j, &c, &why), LSP_OK);
  }
}

/* A journal of n records; its bytes, too. */
static size_t make(const char *path, int n, unsigned char *data, size_t room) {
  lsp_failure why = {0};
  lsp_journal *j = NULL;
  assert_int_equal(lsp_journal_create(path, identity, &j, &why), LSP_OK);
  append(j, 0, n);
  lsp_journal_close(&j);
  assert_null(j);
  return load(path, data, room);
}

static void expect_records(const lsp_journal *j, int64_t n) {
  assert_int_equal(lsp_journal_count(j), n);
  for (int i = 0; i < n; i++) {
    lsp_commit found;
    const lsp_commit c = mark(i);
    lsp_journal_at(j, i, &found);
    assert_true(same(&found, &c));
  }
}

static void expect_opens_with(const char *path, int64_t n) {
  lsp_failure why = {0};
  lsp_journal *j = NULL;
  assert_int_equal(lsp_journal_open(path, &j, &why), LSP_OK);
  assert_string_equal(lsp_journal_identity(j), identity);
  expect_records(j, n);
  lsp_journal_close(&j);
}

static void test_identity_and_records_survive(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  unsigned char data[4096];
  const size_t n = make(in_folder(path, "journal"), RECORDS, data, sizeof data);
  assert_int_equal(n % RECORD, 0);
  expect_opens_with(path, RECORDS);
}

/* Opening changes nothing; the next append cuts the tail off. */
static void expect_tail(const char *path, int records, size_t tail, size_t end) {
  unsigned char data[4096];
  lsp_failure why = {0};
  lsp_journal *j = NULL;
  assert_int_equal(lsp_journal_open(path, &j, &why), LSP_OK);
  assert_int_equal(lsp_journal_tail(j), tail);
  assert_int_equal(lsp_journal_is_torn(j), tail > 0 && tail <= RECORD);
  assert_int_equal(load(path, data, sizeof data), end + tail);
  append(j, records, records + 1);
  assert_int_equal(lsp_journal_tail(j), 0);
  lsp_journal_close(&j);
  assert_int_equal(load(path, data, sizeof data), end + RECORD);
  expect_opens_with(path, records + 1);
}

static void test_torn_tail_of_every_length_is_dropped_and_cut_off(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  unsigned char data[4096];
  const size_t n = make(in_folder(path, "journal"), RECORDS, data, sizeof data);
  const size_t header = n - (size_t)RECORDS * RECORD;
  for (size_t cut = header; cut <= n; cut++) {
    save(path, data, cut);
    const size_t whole = (cut - header) / RECORD;
    expect_opens_with(path, (int64_t)whole);
    expect_tail(path, (int)whole, (cut - header) % RECORD, header + whole * RECORD);
  }
}

static void test_records_lost_to_a_flip_are_told_from_a_torn_one(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  unsigned char data[4096];
  const size_t n = make(in_folder(path, "journal"), RECORDS, data, sizeof data);
  const size_t header = n - (size_t)RECORDS * RECORD;
  for (size_t i = 0; i < RECORDS; i++) {
    const size_t end = header + i * RECORD;
    data[end + 70] ^= 1;
    save(path, data, n);
    data[end + 70] ^= 1;
    expect_tail(path, (int)i, n - end, end);
  }
}

static void test_header_of_every_shorter_length_is_refused(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  unsigned char data[4096];
  const size_t n = make(in_folder(path, "journal"), 0, data, sizeof data);
  for (size_t cut = 0; cut < n; cut++) {
    lsp_failure why = {0};
    lsp_journal *j = NULL;
    save(path, data, cut);
    assert_int_equal(lsp_journal_open(path, &j, &why), LSP_E_FORMAT);
    assert_null(j);
    expect_message(&why, path);
  }
}

/* One bit of every byte, another one in each. */
static void test_flipped_bit_is_noticed_wherever_it_is(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  unsigned char data[4096];
  const size_t n = make(in_folder(path, "journal"), RECORDS, data, sizeof data);
  const size_t header = n - (size_t)RECORDS * RECORD;
  for (size_t bit = 0; bit < 8 * n; bit += 9) {
    lsp_failure why = {0};
    lsp_journal *j = NULL;
    data[bit / 8] ^= (unsigned char)(1U << (bit % 8));
    save(path, data, n);
    data[bit / 8] ^= (unsigned char)(1U << (bit % 8));
    const lsp_status status = lsp_journal_open(path, &j, &why);
    if (bit / 8 < header) {
      assert_int_equal(status, LSP_E_FORMAT);
    } else {
      assert_int_equal(status, LSP_OK);
      expect_records(j, (int64_t)((bit / 8 - header) / RECORD));
    }
    lsp_journal_close(&j);
  }
}

static void test_records_of_another_run_or_order_do_not_count(void **state) {
  (void)state;
  char path[LSP_TEST_PATH], other[LSP_TEST_PATH];
  unsigned char data[4096], foreign[4096];
  lsp_failure why = {0};
  lsp_journal *j = NULL;
  const size_t n = make(in_folder(path, "journal"), 2, data, sizeof data);
  assert_int_equal(
      lsp_journal_create(in_folder(other, "other"), "{\"model\": \"4567\"}", &j, &why),
      LSP_OK);
  append(j, 0, 2);
  lsp_journal_close(&j);
  const size_t m = load(other, foreign, sizeof foreign);
  memcpy(data + n - RECORD, foreign + m - RECORD, RECORD);
  save(path, data, n);
  expect_opens_with(path, 1);
  memcpy(data + n - (size_t)2 * RECORD, foreign + m - (size_t)2 * RECORD,
         (size_t)2 * RECORD);
  save(path, data, n);
  expect_opens_with(path, 0);
}

static void test_truncation_drops_records_and_appending_goes_on(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  unsigned char data[4096], again[4096];
  lsp_failure why = {0};
  lsp_journal *j = NULL;
  const size_t n = make(in_folder(path, "journal"), RECORDS, data, sizeof data);
  assert_int_equal(lsp_journal_open(path, &j, &why), LSP_OK);
  assert_int_equal(lsp_journal_truncate(j, 2, &why), LSP_OK);
  expect_records(j, 2);
  append(j, 2, RECORDS);
  expect_records(j, RECORDS);
  lsp_journal_close(&j);
  assert_int_equal(load(path, again, sizeof again), n);
  assert_memory_equal(data, again, n);
}

static void test_many_records_are_read_back(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  unsigned char data[1];
  (void)make(in_folder(path, "journal"), 520, data, sizeof data);
  expect_opens_with(path, 520);
}

static void test_second_writer_is_noticed(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_journal *a = NULL, *b = NULL;
  assert_int_equal(lsp_journal_create(in_folder(path, "journal"), identity, &a, &why),
                   LSP_OK);
  assert_int_equal(lsp_journal_open(path, &b, &why), LSP_OK);
  append(b, 0, 1);
  const lsp_commit c = mark(0);
  assert_int_equal(lsp_journal_append(a, &c, &why), LSP_E_MISMATCH);
  expect_message(&why, "another longspan");
  lsp_journal_close(&a);
  lsp_journal_close(&b);
  expect_opens_with(path, 1);
}

static void test_absent_journal_and_a_folder_are_refused(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_journal *j = NULL;
  assert_int_equal(lsp_journal_open(in_folder(path, "none"), &j, &why), LSP_E_INPUT);
  expect_message(&why, path);
  assert_int_not_equal(lsp_journal_open(lsp_test_folder(), &j, &why), LSP_OK);
  assert_int_not_equal(lsp_journal_open("/dev/null", &j, &why), LSP_OK);
  lsp_journal_close(&j);
}

/* What only the caller of a commit says is not in the file. */
static void test_that_fixed_rows_were_new_is_not_kept(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  lsp_failure why = {0};
  lsp_journal *j = NULL;
  lsp_commit c = mark(0), found;
  c.fixed_new = 1;
  assert_int_equal(lsp_journal_create(in_folder(path, "new"), identity, &j, &why),
                   LSP_OK);
  assert_int_equal(lsp_journal_append(j, &c, &why), LSP_OK);
  lsp_journal_at(j, 0, &found);
  assert_int_equal(found.fixed_new, 0);
  lsp_journal_close(&j);
  expect_opens_with(path, 1);
}

/* A whole header, with a checksum that is right, of another version. */
static void test_a_journal_of_another_version_is_refused_in_words(void **state) {
  (void)state;
  char path[LSP_TEST_PATH];
  unsigned char data[4096];
  const size_t n = make(in_folder(path, "journal"), 1, data, sizeof data);
  assert_int_equal(data[8], 3);
  for (unsigned char version = 1; version < 5; version++) {
    lsp_failure why = {0};
    lsp_journal *j = NULL;
    const size_t header = n - RECORD;
    data[8] = version;
    const XXH64_hash_t sum =
        XXH3_64bits_withSeed(data + 24, header - 24, XXH3_64bits(data, 16));
    memcpy(data + 16, &sum, sizeof sum);
    save(path, data, n);
    assert_int_equal(lsp_journal_open(path, &j, &why),
                     version == 3 ? LSP_OK : LSP_E_FORMAT);
    if (version != 3)
      expect_message(&why, "another version of longspan wrote it); begin anew with "
                           "--overwrite");
    lsp_journal_close(&j);
  }
}

/* Whole records, with checksums that are right, of what no run commits. */
static void test_impossible_numbers_do_not_count(void **state) {
  (void)state;
  const lsp_commit wrong[] = {{.panel_end = -1},
                              {.token_end = INT64_MIN},
                              {.open_count = -1},
                              {.corpus_count = -1},
                              {.memory_end = -1},
                              {.memory_rows = INT64_MIN},
                              {.memory_rows = INT64_MIN, .has_parts = 1},
                              {.memory_rows = -1},
                              {.memory_end = 7, .memory_rows = 8},
                              {.fixed_at = -1},
                              {.memory_end = 7, .fixed_at = 8}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    char path[LSP_TEST_PATH];
    lsp_journal *j = NULL;
    lsp_failure why = {0};
    in_folder(path, "impossible");
    assert_int_equal(lsp_journal_create(path, identity, &j, &why), LSP_OK);
    append(j, 0, 1);
    assert_int_equal(lsp_journal_append(j, &wrong[i], &why), LSP_OK);
    lsp_journal_close(&j);
    assert_int_equal(lsp_journal_open(path, &j, &why), LSP_OK);
    assert_int_equal(lsp_journal_count(j), 1);
    lsp_journal_close(&j);
  }
}

LSP_TESTS(cmocka_unit_test(test_that_fixed_rows_were_new_is_not_kept),
          cmocka_unit_test(test_a_journal_of_another_version_is_refused_in_words),
          cmocka_unit_test(test_impossible_numbers_do_not_count),
          cmocka_unit_test(test_identity_and_records_survive),
          cmocka_unit_test(test_torn_tail_of_every_length_is_dropped_and_cut_off),
          cmocka_unit_test(test_records_lost_to_a_flip_are_told_from_a_torn_one),
          cmocka_unit_test(test_header_of_every_shorter_length_is_refused),
          cmocka_unit_test(test_flipped_bit_is_noticed_wherever_it_is),
          cmocka_unit_test(test_records_of_another_run_or_order_do_not_count),
          cmocka_unit_test(test_truncation_drops_records_and_appending_goes_on),
          cmocka_unit_test(test_many_records_are_read_back),
          cmocka_unit_test(test_second_writer_is_noticed),
          cmocka_unit_test(test_absent_journal_and_a_folder_are_refused))
