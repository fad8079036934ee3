/* Bytes that reach the disk: whole writes, early ends, atomic replacement. */
#include "harness.h"

#include "lsp/durable.h"

#include <fcntl.h>
#include <sys/stat.h>

static char *path_in(const char *folder, const char *name) {
  static char path[2 * LSP_TEST_PATH];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void test_what_is_written_is_read_back(void **state) {
  (void)state;
  lsp_failure why = {0};
  const char *path = path_in(lsp_test_folder(), "file");
  const int fd = open(path, O_RDWR | O_CREAT, 0600);
  char back[5] = {0};
  assert_true(fd >= 0);
  assert_int_equal(lsp_write_at(fd, path, "book", 4, 7, &why), LSP_OK);
  assert_int_equal(lsp_sync_file(fd, path, &why), LSP_OK);
  assert_int_equal(lsp_read_at(fd, path, back, 4, 7, &why), LSP_OK);
  assert_string_equal(back, "book");
  (void)close(fd);
}

static void test_an_early_end_is_an_error_that_names_file_and_byte(void **state) {
  (void)state;
  lsp_failure why = {0};
  const char *path = path_in(lsp_test_folder(), "short.bin");
  char back[9];
  assert_int_equal(lsp_replace_file(path, "12345", 5, &why), LSP_OK);
  const int fd = open(path, O_RDONLY);
  assert_int_equal(lsp_read_at(fd, path, back, 9, 0, &why), LSP_E_IO);
  expect_message(&why, "short.bin");
  expect_message(&why, "byte 5");
  (void)close(fd);
}

static void test_a_full_disk_is_said_in_words(void **state) {
  (void)state;
  lsp_failure why = {0};
  const int fd = open("/dev/full", O_WRONLY);
  if (fd < 0)
    skip();
  assert_int_equal(lsp_write_at(fd, "/dev/full", "x", 1, 0, &why), LSP_E_IO);
  expect_message(&why, "/dev/full");
  expect_message(&why, "the disk is full");
  (void)close(fd);
}

static void test_a_replaced_file_leaves_no_temporary_one(void **state) {
  (void)state;
  lsp_failure why = {0};
  const char *folder = lsp_test_folder();
  char back[4] = {0};
  const char *path = path_in(folder, "facts.json");
  assert_int_equal(lsp_replace_file(path, "old and longer", 14, &why), LSP_OK);
  assert_int_equal(lsp_replace_file(path, "new", 3, &why), LSP_OK);
  const int fd = open(path, O_RDONLY);
  assert_int_equal(lsp_read_at(fd, path, back, 3, 0, &why), LSP_OK);
  assert_string_equal(back, "new");
  assert_int_equal(lseek(fd, 0, SEEK_END), 3);
  (void)close(fd);
  assert_int_equal(access(path_in(folder, "facts.json.tmp"), F_OK), -1);
}

static void test_a_folder_that_is_missing_is_named(void **state) {
  (void)state;
  lsp_failure why = {0};
  const char *path = path_in(lsp_test_folder(), "nowhere/facts.json");
  assert_int_equal(lsp_replace_file(path, "x", 1, &why), LSP_E_IO);
  expect_message(&why, "nowhere/facts.json");
  expect_message(&why, "create it first");
  assert_int_equal(lsp_sync_folder_of(path, &why), LSP_E_IO);
  assert_int_equal(lsp_rename(path, path, &why), LSP_E_IO);
}

static void test_a_name_without_a_folder_is_in_the_current_one(void **state) {
  (void)state;
  lsp_failure why = {0};
  assert_int_equal(lsp_sync_folder_of("facts.json", &why), LSP_OK);
  assert_int_equal(lsp_sync_folder_of("/facts.json", &why), LSP_OK);
}

static int64_t size_of(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 ? st.st_size : -1;
}

/* Whatever lies at PATH.tmp that no crash of ours leaves. */
static void test_nothing_is_written_through_what_was_planted(void **state) {
  (void)state;
  char folder[LSP_TEST_PATH], victim[2 * LSP_TEST_PATH], path[2 * LSP_TEST_PATH];
  char temporary[2 * LSP_TEST_PATH + 8];
  (void)snprintf(folder, sizeof folder, "%s", lsp_test_folder());
  (void)strcpy(victim, path_in(folder, "victim"));
  (void)strcpy(path, path_in(folder, "facts.json"));
  (void)snprintf(temporary, sizeof temporary, "%s.tmp", path);
  assert_int_equal(lsp_replace_file(victim, "victim", 6, NULL), LSP_OK);
  for (int kind = 0; kind < 5; kind++) {
    lsp_failure why = {0};
    const int planted = kind == 0   ? symlink("victim", temporary)
                        : kind == 1 ? symlink("nowhere", temporary)
                        : kind == 2 ? link(victim, temporary)
                        : kind == 3 ? mkfifo(temporary, 0600)
                                    : mkdir(temporary, 0700);
    assert_int_equal(planted, 0);
    assert_int_equal(lsp_replace_file(path, "x", 1, &why), LSP_E_IO);
    expect_message(&why, "facts.json.tmp: is ");
    expect_message(&why, "nothing was changed");
    assert_int_equal(size_of(victim), 6);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(path_in(folder, "nowhere"), F_OK), -1);
    assert_int_equal(remove(temporary), 0);
  }
  assert_int_equal(symlink("victim", path), 0); /* the name itself, too */
  assert_int_equal(lsp_replace_file(path, "x", 1, NULL), LSP_E_IO);
  assert_int_equal(size_of(path), 6);
}

static void test_what_a_crash_left_is_taken_over(void **state) {
  (void)state;
  lsp_replacement one, two;
  char path[2 * LSP_TEST_PATH], temporary[2 * LSP_TEST_PATH + 8];
  (void)strcpy(path, path_in(lsp_test_folder(), "file"));
  (void)snprintf(temporary, sizeof temporary, "%s.tmp", path);
  FILE *f = fopen(temporary, "w");
  assert_true(f != NULL && fputs("left by a crash", f) >= 0 && fclose(f) == 0);
  assert_int_equal(lsp_replacement_begin(path, &one, NULL), LSP_OK);
  assert_int_equal(size_of(temporary), 0);
  assert_int_equal(lsp_replacement_begin(path, &two, NULL), LSP_E_MISMATCH);
  assert_int_equal(lsp_write_at(one.fd, temporary, "new", 3, 0, NULL), LSP_OK);
  assert_int_equal(lsp_replacement_commit(&one, NULL), LSP_OK);
  lsp_replacement_end(&one);
  lsp_replacement_end(&one);
  assert_int_equal(size_of(path), 3);
  assert_int_equal(lsp_replacement_begin(path, &two, NULL), LSP_OK);
  lsp_replacement_end(&two);
  assert_int_equal(size_of(path), 3);
  assert_int_equal(access(temporary, F_OK), -1);
}

LSP_TESTS(cmocka_unit_test(test_what_is_written_is_read_back),
          cmocka_unit_test(test_an_early_end_is_an_error_that_names_file_and_byte),
          cmocka_unit_test(test_a_full_disk_is_said_in_words),
          cmocka_unit_test(test_a_replaced_file_leaves_no_temporary_one),
          cmocka_unit_test(test_a_folder_that_is_missing_is_named),
          cmocka_unit_test(test_a_name_without_a_folder_is_in_the_current_one),
          cmocka_unit_test(test_nothing_is_written_through_what_was_planted),
          cmocka_unit_test(test_what_a_crash_left_is_taken_over))
