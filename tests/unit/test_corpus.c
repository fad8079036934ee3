/* The corpus: which documents there are, in which order, and what they hold. */
#include "harness.h"

#include "lsp/corpus.h"
#include "lsp/durable.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/wait.h>

static const char *at(const char *folder, const char *name) {
  static char path[8][2 * LSP_TEST_PATH];
  static int next;
  char *p = path[next++ % 8];
  (void)snprintf(p, sizeof path[0], "%s/%s", folder, name);
  return p;
}

static void put(const char *path, const void *data, size_t bytes) {
  lsp_failure why = {0};
  if (lsp_replace_file(path, data, bytes, &why) != LSP_OK)
    fail_msg("%s", why.text);
}

static void put_text(const char *folder, const char *name, const char *text) {
  put(at(folder, name), text, strlen(text));
}

static lsp_status try_open(lsp_input_format format, const char *input, lsp_corpus **c,
                           lsp_failure *why) {
  const lsp_corpus_spec spec = {.format = format, .inputs = &input, .input_count = 1};
  return lsp_corpus_open(&spec, c, why);
}

static lsp_corpus *opened(lsp_input_format format, const char *input) {
  lsp_failure why = {0};
  lsp_corpus *c = NULL;
  if (try_open(format, input, &c, &why) != LSP_OK)
    fail_msg("%s", why.text);
  return c;
}

static void expect_refused(lsp_input_format format, const char *input,
                           const char *words, const char *place) {
  lsp_failure why = {0};
  lsp_corpus *c = NULL;
  assert_int_not_equal(try_open(format, input, &c, &why), LSP_OK);
  assert_null(c);
  expect_message(&why, words);
  expect_message(&why, place);
  assert_null(strchr(why.text, '\n'));
}

/* Names in order, each followed by a blank. */
static void expect_names(const lsp_corpus *c, const char *names) {
  char all[1000] = "";
  size_t n = 0;
  for (int64_t d = 0; d < lsp_corpus_count(c); d++) {
    n += (size_t)snprintf(all + n, sizeof all - n, "%s ",
                          lsp_corpus_document(c, d).name);
    assert_true(n < sizeof all);
  }
  assert_string_equal(all, names);
}

static void expect_ids(lsp_corpus *c, int64_t d, int64_t first, int64_t n,
                       const int32_t *expected) {
  lsp_failure why = {0};
  int32_t id[64] = {0};
  assert_true(n <= 64);
  if (lsp_corpus_read(c, d, first, n, 100000, id, &why) != LSP_OK)
    fail_msg("%s", why.text);
  assert_memory_equal(id, expected, (size_t)n * sizeof *id);
}

static void test_a_text_file_is_a_document_and_a_byte_a_token(void **state) {
  (void)state;
  const char *folder = lsp_test_folder();
  put_text(folder, "book.txt", "a\xc3\xa9\n");
  const char *path = at(folder, "book.txt");
  lsp_corpus *c = opened(LSP_INPUT_AUTO, path);
  assert_int_equal(lsp_corpus_count(c), 1);
  const lsp_document d = lsp_corpus_document(c, 0);
  assert_string_equal(d.name, path);
  assert_string_equal(d.path, path);
  assert_int_equal(d.tokens, 4);
  assert_int_equal(d.width, 1);
  expect_ids(c, 0, 0, 4, (const int32_t[]){'a', 0xc3, 0xa9, '\n'});
  expect_ids(c, 0, 2, 1, (const int32_t[]){0xa9});
  expect_ids(c, 0, 4, 0, (const int32_t[]){0});
  lsp_corpus_close(&c);
  assert_null(c);
  lsp_corpus_close(&c);
}

static void test_an_empty_file_is_a_document_too(void **state) {
  (void)state;
  const char *folder = lsp_test_folder();
  put_text(folder, "empty.txt", "");
  lsp_corpus *c = opened(LSP_INPUT_TEXT, at(folder, "empty.txt"));
  assert_int_equal(lsp_corpus_document(c, 0).tokens, 0);
  lsp_corpus_close(&c);
}

static void test_a_folder_is_read_in_byte_order_of_its_paths(void **state) {
  (void)state;
  const char *folder = lsp_test_folder();
  assert_int_equal(mkdir(at(folder, "a"), 0700), 0);
  assert_int_equal(mkdir(at(folder, "a/deep"), 0700), 0);
  assert_int_equal(mkdir(at(folder, ".hidden"), 0700), 0);
  assert_int_equal(mkfifo(at(folder, "pipe"), 0600), 0);
  put_text(folder, "b", "4");
  put_text(folder, "a.txt", "1");
  put_text(folder, "Z", "0");
  put_text(folder, "a/x", "3");
  put_text(folder, "a/deep/y", "2");
  put_text(folder, "\xc3\xa9", "5");
  put_text(folder, ".dot", "no");
  put_text(folder, ".hidden/z", "no");
  lsp_corpus *c = opened(LSP_INPUT_AUTO, folder);
  expect_names(c, "Z a.txt a/deep/y a/x b \xc3\xa9 ");
  for (int i = 0; i < 6; i++)
    expect_ids(c, i, 0, 1, (const int32_t[]){'0' + i});
  lsp_corpus_close(&c);
  c = opened(LSP_INPUT_AUTO, at(folder, "a/"));
  expect_names(c, "deep/y x ");
  assert_null(strstr(lsp_corpus_document(c, 0).path, "//"));
  lsp_corpus_close(&c);
}

static void test_a_folder_without_a_file_is_refused(void **state) {
  (void)state;
  const char *folder = lsp_test_folder();
  put_text(folder, ".dot", "x");
  expect_refused(LSP_INPUT_AUTO, folder, "no file", folder);
}

static void test_links_that_go_round_or_nowhere_are_refused(void **state) {
  (void)state;
  const char *folder = lsp_test_folder();
  put_text(folder, "book", "x");
  assert_int_equal(symlink("book", at(folder, "copy")), 0);
  lsp_corpus *c = opened(LSP_INPUT_AUTO, folder);
  expect_names(c, "book copy ");
  lsp_corpus_close(&c);
  assert_int_equal(mkdir(at(folder, "sub"), 0700), 0);
  assert_int_equal(symlink("..", at(folder, "sub/up")), 0);
  expect_refused(LSP_INPUT_AUTO, folder, "leads back", "sub/up");
  assert_int_equal(unlink(at(folder, "sub/up")), 0);
  assert_int_equal(symlink("self", at(folder, "self")), 0);
  expect_refused(LSP_INPUT_AUTO, folder, "link", "self");
  assert_int_equal(unlink(at(folder, "self")), 0);
  assert_int_equal(rmdir(at(folder, "sub")), 0);
  assert_int_equal(symlink("gone", at(folder, "nowhere")), 0);
  expect_refused(LSP_INPUT_AUTO, folder, "link", "nowhere");
}

/* Two links to the next folder on each of 25 levels are 2^25 ways to the last. */
static void test_a_folder_that_is_reached_twice_is_refused(void **state) {
  (void)state;
  const char *folder = lsp_test_folder();
  char place[64] = "", next[64], target[64];
  for (int level = 0; level < 25; level++) {
    (void)snprintf(place, sizeof place, "level%d", level);
    (void)snprintf(target, sizeof target, "../level%d", level + 1);
    assert_int_equal(mkdir(at(folder, place), 0700), 0);
    for (int link = 0; link < 2; link++) {
      (void)snprintf(next, sizeof next, "level%d/%c", level, 'a' + link);
      assert_int_equal(symlink(target, at(folder, next)), 0);
    }
  }
  assert_int_equal(mkdir(at(folder, "level25"), 0700), 0);
  put_text(folder, "level25/book", "x");
  expect_refused(LSP_INPUT_AUTO, at(folder, "level0"), "count twice", "level0/a/a/");
  expect_refused(LSP_INPUT_AUTO, at(folder, "level0"), "listed as",
                 "/b: is the folder");
  /* A link to a folder that is listed nowhere else is followed. */
  assert_int_equal(unlink(at(folder, "level24/b")), 0);
  lsp_corpus *c = opened(LSP_INPUT_AUTO, at(folder, "level24"));
  expect_names(c, "a/book ");
  lsp_corpus_close(&c);
}

static void test_a_file_that_holds_more_than_its_size_is_refused(void **state) {
  (void)state;
  if (access("/proc/self/status", R_OK) == 0)
    expect_refused(LSP_INPUT_TEXT, "/proc/self/status", "more than the 0 bytes",
                   "/proc/self/status");
  if (access("/proc/self/mem", R_OK) == 0) /* which cannot be read at its beginning */
    expect_refused(LSP_INPUT_TEXT, "/proc/self/mem", "cannot be read",
                   "/proc/self/mem");
}

static void test_a_list_names_a_path_a_line(void **state) {
  (void)state;
  const char *folder = lsp_test_folder();
  char list[8 * LSP_TEST_PATH], input[2 * LSP_TEST_PATH];
  put_text(folder, "one", "1");
  assert_int_equal(mkdir(at(folder, "sub"), 0700), 0);
  put_text(folder, "sub/two", "2");
  (void)snprintf(list, sizeof list, "\n%s\r\n\n%s/sub", at(folder, "one"), folder);
  put_text(folder, "list", list);
  (void)snprintf(input, sizeof input, "@%s/list", folder);
  lsp_corpus *c = opened(LSP_INPUT_AUTO, input);
  assert_int_equal(lsp_corpus_count(c), 2);
  assert_string_equal(lsp_corpus_document(c, 0).name, at(folder, "one"));
  assert_string_equal(lsp_corpus_document(c, 1).name, "two");
  lsp_corpus_close(&c);
  (void)snprintf(list, sizeof list, "%s\n\n%s/gone\n", at(folder, "one"), folder);
  put_text(folder, "list", list);
  expect_refused(LSP_INPUT_AUTO, input, "list: line 3: ", "gone: cannot be opened");
  put_text(folder, "list", "\n\n");
  expect_refused(LSP_INPUT_AUTO, input, "names no document", "list");
  put(at(folder, "list"), "a\0b\n", 4);
  expect_refused(LSP_INPUT_AUTO, input, "zero byte", "line 1");
  (void)snprintf(input, sizeof input, "@%s", folder);
  expect_refused(LSP_INPUT_AUTO, input, "cannot be read", folder);
  expect_refused(LSP_INPUT_AUTO, "@/nowhere/at/all", "cannot be opened",
                 "/nowhere/at/all");
}

/* Writes to a pipe in two parts, as a slow command would. */
static pid_t write_slowly(const char *pipe, const char *one, const char *two) {
  const pid_t child = fork();
  if (child != 0)
    return child;
  const int fd = open(pipe, O_WRONLY);
  int wrong = write(fd, one, strlen(one)) < 0;
  (void)usleep(50000);
  wrong |= write(fd, two, strlen(two)) < 0;
  _exit(wrong);
}

static void test_a_list_may_be_a_pipe(void **state) {
  (void)state;
  int status = 0;
  const char *folder = lsp_test_folder();
  char first[LSP_TEST_PATH + 8], rest[2 * LSP_TEST_PATH], input[2 * LSP_TEST_PATH];
  put_text(folder, "one", "1");
  put_text(folder, "two", "22");
  assert_int_equal(mkfifo(at(folder, "list"), 0600), 0);
  (void)snprintf(first, sizeof first, "%s/o", folder);
  (void)snprintf(rest, sizeof rest, "ne\n%s/two", folder);
  const pid_t child = write_slowly(at(folder, "list"), first, rest);
  assert_true(child > 0);
  (void)snprintf(input, sizeof input, "@%s/list", folder);
  lsp_corpus *c = opened(LSP_INPUT_AUTO, input);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_int_equal(lsp_corpus_count(c), 2);
  assert_string_equal(lsp_corpus_document(c, 0).path, at(folder, "one"));
  assert_int_equal(lsp_corpus_document(c, 1).tokens, 2);
  lsp_corpus_close(&c);
}

static void test_what_is_not_there_or_not_a_file_is_refused(void **state) {
  (void)state;
  lsp_failure why = {0};
  lsp_corpus *c = NULL;
  const char *folder = lsp_test_folder();
  assert_int_equal(mkfifo(at(folder, "pipe"), 0600), 0);
  expect_refused(LSP_INPUT_AUTO, at(folder, "pipe"), "\"-\"", "pipe: is a pipe");
  expect_refused(LSP_INPUT_AUTO, at(folder, "gone"), "cannot be opened", "gone");
  const lsp_corpus_spec none = {.format = LSP_INPUT_AUTO};
  assert_int_equal(lsp_corpus_open(&none, &c, &why), LSP_E_USAGE);
  expect_message(&why, "no input");
}

/* A file of the same size with other bytes at one place. */
static void change(const char *path, int64_t offset) {
  FILE *f = fopen(path, "r+b");
  assert_non_null(f);
  assert_int_equal(fseek(f, (long)offset, SEEK_SET), 0);
  const int old = fgetc(f);
  assert_int_equal(fseek(f, (long)offset, SEEK_SET), 0);
  (void)fputc(old ^ 1, f);
  assert_int_equal(fclose(f), 0);
}

/* Opens "-" while standard input is the file. */
static lsp_status open_standard_input(const lsp_corpus_spec *spec, const char *file,
                                      lsp_corpus **c, lsp_failure *why) {
  const int kept = dup(STDIN_FILENO), fd = open(file, O_RDONLY);
  assert_true(fd >= 0);
  assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
  const lsp_status status = lsp_corpus_open(spec, c, why);
  if (kept >= 0)
    (void)dup2(kept, STDIN_FILENO);
  (void)close(kept);
  (void)close(fd);
  return status;
}

static const char *const STANDARD_INPUT[] = {"-", "-"};

static void expect_copy(const lsp_corpus_spec *spec, const char *file, int64_t tokens,
                        lsp_spooling expected) {
  lsp_failure why = {0};
  lsp_corpus *c = NULL;
  if (open_standard_input(spec, file, &c, &why) != LSP_OK)
    fail_msg("%s", why.text);
  expect_names(c, "- ");
  assert_string_equal(lsp_corpus_document(c, 0).path, spec->spool);
  assert_int_equal(lsp_corpus_document(c, 0).tokens, tokens);
  assert_int_equal(*spec->spooling, expected);
  lsp_corpus_close(&c);
}

static void test_a_copy_of_standard_input_serves_the_run_that_made_it(void **state) {
  (void)state;
  lsp_failure why = {0};
  lsp_spooling what = LSP_SPOOL_NONE;
  lsp_corpus *c = NULL;
  static char big[200000];
  const char *folder = lsp_test_folder();
  char spool[2 * LSP_TEST_PATH];
  lsp_corpus_spec spec = {
      .inputs = STANDARD_INPUT, .input_count = 1, .spool = spool, .spooling = &what};
  (void)snprintf(spool, sizeof spool, "%s/run.stdin", folder);
  memset(big, 'a', sizeof big);
  put(at(folder, "source"), big, sizeof big);
  put(at(folder, "longer"), big, sizeof big - 1);
  put_text(folder, "none", "");
  expect_copy(&spec, at(folder, "longer"), sizeof big - 1, LSP_SPOOL_COPIED);
  expect_copy(&spec, at(folder, "source"), sizeof big, LSP_SPOOL_COPIED);
  spec.resumed = 1;
  expect_copy(&spec, at(folder, "source"), sizeof big, LSP_SPOOL_COMPARED);
  expect_copy(&spec, at(folder, "none"), sizeof big, LSP_SPOOL_COMPARED);
  expect_copy(&spec, "/dev/null", sizeof big, LSP_SPOOL_COMPARED);
  assert_int_equal(open_standard_input(&spec, at(folder, "longer"), &c, &why),
                   LSP_E_MISMATCH);
  expect_message(&why, "from byte 199999 on it is another text");
  put(at(folder, "longer"), big, sizeof big);
  change(at(folder, "longer"), 131072);
  assert_int_equal(open_standard_input(&spec, at(folder, "longer"), &c, &why),
                   LSP_E_MISMATCH);
  expect_message(&why, "from byte 131072 on");
  expect_copy(&spec, "/dev/null", sizeof big, LSP_SPOOL_COMPARED);
  spec.resumed = 0;
  expect_copy(&spec, at(folder, "none"), 0, LSP_SPOOL_COPIED);
  assert_int_equal(access(at(folder, "run.stdin.tmp"), F_OK), -1);
}

/* A pipe whose writer neither writes nor ends: a terminal behind mpirun. */
static void test_standard_input_that_says_nothing_is_not_waited_for(void **state) {
  (void)state;
  lsp_spooling what = LSP_SPOOL_NONE;
  const char *folder = lsp_test_folder();
  const lsp_corpus_spec spec = {.inputs = STANDARD_INPUT,
                                .input_count = 1,
                                .spool = at(folder, "run.stdin"),
                                .resumed = 1,
                                .spooling = &what};
  put_text(folder, "run.stdin", "abc");
  assert_int_equal(mkfifo(at(folder, "pipe"), 0600), 0);
  const int writer = open(at(folder, "pipe"), O_RDWR);
  assert_true(writer >= 0);
  expect_copy(&spec, at(folder, "pipe"), 3, LSP_SPOOL_SILENT);
  (void)close(writer);
}

static void test_standard_input_is_refused_where_it_cannot_be(void **state) {
  (void)state;
  lsp_failure why = {0};
  lsp_corpus *c = NULL;
  const char *folder = lsp_test_folder();
  put_text(folder, "source", "abc");
  const char *source = at(folder, "source");
  lsp_corpus_spec spec = {.format = LSP_INPUT_MEGATRON,
                          .inputs = STANDARD_INPUT,
                          .input_count = 1,
                          .spool = at(folder, "spool")};
  assert_int_equal(open_standard_input(&spec, source, &c, &why), LSP_E_USAGE);
  expect_message(&why, "standard input");
  spec.format = LSP_INPUT_U16;
  assert_int_equal(open_standard_input(&spec, source, &c, &why), LSP_E_FORMAT);
  expect_message(&why, "3 bytes");
  spec.format = LSP_INPUT_TEXT;
  spec.input_count = 2;
  assert_int_equal(open_standard_input(&spec, source, &c, &why), LSP_E_USAGE);
  expect_message(&why, "twice");
  spec.input_count = 1;
  spec.spool = NULL;
  assert_int_equal(open_standard_input(&spec, source, &c, &why), LSP_E_USAGE);
}

static void test_raw_ids_are_little_endian_of_two_or_four_bytes(void **state) {
  (void)state;
  const char *folder = lsp_test_folder();
  put(at(folder, "ids"), "\1\0\xff\xff\2\1\0\0", 8);
  lsp_corpus *c = opened(LSP_INPUT_U16, at(folder, "ids"));
  assert_int_equal(lsp_corpus_document(c, 0).tokens, 4);
  expect_ids(c, 0, 0, 4, (const int32_t[]){1, 65535, 258, 0});
  expect_ids(c, 0, 1, 2, (const int32_t[]){65535, 258});
  lsp_corpus_close(&c);
  put(at(folder, "ids"), "\1\0\1\0\2\1\0\0", 8);
  c = opened(LSP_INPUT_U32, at(folder, "ids"));
  expect_ids(c, 0, 0, 2, (const int32_t[]){65537, 258});
  lsp_corpus_close(&c);
  put(at(folder, "ids"), "1234567", 7);
  expect_refused(LSP_INPUT_U16, at(folder, "ids"), "7 bytes", "ids");
  put(at(folder, "ids"), "123456", 6);
  expect_refused(LSP_INPUT_U32, at(folder, "ids"), "6 bytes", "ids");
}

static void test_an_id_outside_the_vocabulary_is_named_with_its_place(void **state) {
  (void)state;
  enum { N = 20000 };
  static uint16_t ids[N];
  static int32_t id[N];
  lsp_failure why = {0};
  const char *folder = lsp_test_folder();
  ids[19000] = 300;
  put(at(folder, "ids.u16"), ids, sizeof ids);
  lsp_corpus *c = opened(LSP_INPUT_U16, at(folder, "ids.u16"));
  assert_int_equal(lsp_corpus_read(c, 0, 0, N, 301, id, &why), LSP_OK);
  assert_int_equal(lsp_corpus_read(c, 0, 100, N - 100, 300, id, &why), LSP_E_INPUT);
  expect_message(&why, "ids.u16: token 19000");
  expect_message(&why, "byte 38000");
  expect_message(&why, "is 300, but");
  expect_message(&why, "vocabulary of 300");
  lsp_corpus_close(&c);
  put(at(folder, "ids.u32"), "\0\0\0\0\xff\xff\xff\xff", 8);
  c = opened(LSP_INPUT_U32, at(folder, "ids.u32"));
  assert_int_equal(lsp_corpus_read(c, 0, 0, 2, (int64_t)1 << 40, id, &why),
                   LSP_E_INPUT);
  expect_message(&why, "token 1");
  lsp_corpus_close(&c);
  put_text(folder, "text", "abz");
  c = opened(LSP_INPUT_TEXT, at(folder, "text"));
  assert_int_equal(lsp_corpus_read(c, 0, 0, 3, 'z', id, &why), LSP_E_INPUT);
  expect_message(&why, "token 2");
  lsp_corpus_close(&c);
}

/* Every chunk by itself, and the hash over them. The caller frees *chunks. */
static lsp_status try_hash(lsp_corpus *c, lsp_chunk_hash **chunks,
                           unsigned char out[16], lsp_failure *why) {
  const int64_t n = lsp_corpus_chunks(c);
  *chunks = calloc((size_t)n + 1, sizeof **chunks);
  assert_non_null(*chunks);
  LSP_TRY(lsp_corpus_hash_chunks(c, 0, n, *chunks, why));
  return lsp_corpus_hash(c, *chunks, out, why);
}

static void test_a_file_that_changed_since_it_was_opened_is_named(void **state) {
  (void)state;
  lsp_failure why = {0};
  int32_t id[4];
  unsigned char hash[16];
  lsp_chunk_hash *chunks = NULL;
  const char *folder = lsp_test_folder();
  put_text(folder, "a.txt", "abcd");
  put_text(folder, "b.txt", "efgh");
  lsp_corpus *c = opened(LSP_INPUT_TEXT, folder);
  assert_int_equal(lsp_corpus_read(c, 0, 0, 4, 256, id, &why), LSP_OK);
  assert_int_equal(truncate(at(folder, "a.txt"), 2), 0);
  assert_int_equal(lsp_corpus_read(c, 0, 0, 1, 256, id, &why), LSP_E_MISMATCH);
  expect_message(&why, "a.txt: was 4 bytes");
  put_text(folder, "b.txt", "efghi");
  assert_int_equal(lsp_corpus_read(c, 1, 0, 1, 256, id, &why), LSP_E_MISMATCH);
  expect_message(&why, "b.txt");
  assert_int_equal(try_hash(c, &chunks, hash, &why), LSP_E_MISMATCH);
  free(chunks);
  assert_int_equal(lsp_corpus_read(c, 1, 0, 1, 256, id, &why), LSP_E_MISMATCH);
  assert_int_equal(unlink(at(folder, "a.txt")), 0);
  assert_int_equal(lsp_corpus_read(c, 0, 0, 1, 256, id, &why), LSP_E_INPUT);
  expect_message(&why, "a.txt: cannot be opened");
  lsp_corpus_close(&c);
}

static void test_a_corpus_sent_is_the_same_corpus(void **state) {
  (void)state;
  lsp_failure why = {0};
  void *pack = NULL;
  size_t bytes = 0;
  const char *folder = lsp_test_folder();
  put_text(folder, "a", "1");
  put_text(folder, "b", "22");
  put_text(folder, "c", "");
  lsp_corpus *c = opened(LSP_INPUT_TEXT, folder), *copy = NULL;
  assert_int_equal(lsp_corpus_pack(c, &pack, &bytes, &why), LSP_OK);
  assert_int_equal(lsp_corpus_unpack(pack, bytes, &copy, &why), LSP_OK);
  expect_names(copy, "a b c ");
  for (int i = 0; i < 3; i++) {
    const lsp_document one = lsp_corpus_document(c, i);
    const lsp_document two = lsp_corpus_document(copy, i);
    assert_string_equal(one.path, two.path);
    assert_int_equal(one.tokens, two.tokens);
    assert_int_equal(one.offset, two.offset);
    assert_int_equal(one.width, two.width);
    assert_int_equal(one.file_bytes, two.file_bytes);
  }
  expect_ids(copy, 1, 0, 2, (const int32_t[]){'2', '2'});
  lsp_corpus_close(&copy);
  for (size_t n = 0; n < bytes; n++)
    assert_int_equal(lsp_corpus_unpack(pack, n, &copy, &why), LSP_E_FORMAT);
  assert_null(copy);
  free(pack);
  lsp_corpus_close(&c);
}

static void hash_of(lsp_input_format format, const char *input, unsigned char out[16]) {
  lsp_failure why = {0};
  lsp_corpus *c = opened(format, input);
  lsp_chunk_hash *chunks = NULL;
  if (try_hash(c, &chunks, out, &why) != LSP_OK)
    fail_msg("%s", why.text);
  free(chunks);
  lsp_corpus_close(&c);
}

static void test_the_hash_is_of_the_text_and_not_of_where_it_lies(void **state) {
  (void)state;
  const char *one = lsp_test_folder(), *two = lsp_test_folder();
  unsigned char a[16], b[16];
  put_text(one, "x", "abc");
  put_text(one, "y", "de");
  put_text(two, "other", "abc");
  put_text(two, "than", "de");
  hash_of(LSP_INPUT_TEXT, one, a);
  hash_of(LSP_INPUT_TEXT, two, b);
  assert_memory_equal(a, b, 16);
  put_text(two, "other", "abcd");
  put_text(two, "than", "e");
  hash_of(LSP_INPUT_TEXT, two, b);
  assert_memory_not_equal(a, b, 16);
  put(at(one, "ids"), "\1\0\2\0", 4);
  put(at(two, "ids"), "\1\0\0\0\2\0\0\0", 8);
  hash_of(LSP_INPUT_U16, at(one, "ids"), a);
  hash_of(LSP_INPUT_U32, at(two, "ids"), b);
  assert_memory_equal(a, b, 16);
}

/* Three documents: more than two chunks, none, and one of which one token is in the
 * second chunk. */
static const char *make_long_documents(int width, int64_t tokens[3]) {
  const char *folder = lsp_test_folder();
  static unsigned char bytes[4 * (2 * LSP_CHUNK_TOKENS + 100)];
  tokens[0] = 2 * LSP_CHUNK_TOKENS + 100;
  tokens[1] = 0;
  tokens[2] = LSP_CHUNK_TOKENS + 1;
  for (int64_t i = 0; i < tokens[0]; i++) {
    const uint32_t id = (uint32_t)(i * 7919 % 251);
    memcpy(bytes + i * width, &id, (size_t)width);
  }
  put(at(folder, "a"), bytes, (size_t)(tokens[0] * width));
  put(at(folder, "b"), bytes, 0);
  put(at(folder, "c"), bytes + width, (size_t)(tokens[2] * width));
  return folder;
}

static void test_long_documents_have_the_same_hash_at_every_width(void **state) {
  (void)state;
  int64_t tokens[3];
  unsigned char narrow[16], wide[16];
  hash_of(LSP_INPUT_U16, make_long_documents(2, tokens), narrow);
  hash_of(LSP_INPUT_U32, make_long_documents(4, tokens), wide);
  assert_memory_equal(narrow, wide, 16);
  hash_of(LSP_INPUT_TEXT, make_long_documents(1, tokens), wide);
  assert_memory_not_equal(narrow, wide, 16);
}

static void test_shares_of_the_chunks_cover_each_once(void **state) {
  (void)state;
  int64_t tokens[3];
  lsp_corpus *c = opened(LSP_INPUT_U32, make_long_documents(4, tokens));
  assert_int_equal(lsp_corpus_chunks(c), 5);
  assert_int_equal(lsp_corpus_document(c, 0).chunk, 0);
  assert_int_equal(lsp_corpus_document(c, 1).chunk, 3);
  assert_int_equal(lsp_corpus_document(c, 2).chunk, 3);
  for (int64_t shares = 1; shares < 12; shares++) {
    int64_t last = 0;
    assert_int_equal(lsp_corpus_share(c, 0, shares), 0);
    for (int64_t s = 0; s <= shares; s++) {
      const int64_t first = lsp_corpus_share(c, s, shares);
      assert_true(first >= last);
      last = first;
    }
    assert_int_equal(last, 5);
  }
  assert_in_range(lsp_corpus_share(c, 1, 2), 2, 3);
  lsp_corpus_close(&c);
}

static void expect_walk(lsp_corpus *c, int64_t d, int64_t first, int64_t n) {
  static int32_t id[2 * LSP_CHUNK_TOKENS + 100];
  lsp_failure why = {0};
  if (lsp_corpus_read(c, d, first, n, 256, id, &why) != LSP_OK)
    fail_msg("%s", why.text);
  for (int64_t i = 0; i < n; i++)
    assert_int_equal(id[i], (first + i + (d == 2)) * 7919 % 251);
}

static void test_tokens_that_are_not_those_that_were_hashed_are_refused(void **state) {
  (void)state;
  lsp_failure why = {0};
  int64_t tokens[3];
  unsigned char hash[16];
  lsp_chunk_hash *chunks = NULL;
  for (int width = 1; width <= 4; width *= 2) {
    const lsp_input_format format = width == 1   ? LSP_INPUT_TEXT
                                    : width == 2 ? LSP_INPUT_U16
                                                 : LSP_INPUT_U32;
    const char *folder = make_long_documents(width, tokens);
    lsp_corpus *c = opened(format, folder);
    assert_int_equal(try_hash(c, &chunks, hash, &why), LSP_OK);
    lsp_corpus_expect(c, chunks);
    expect_walk(c, 0, 0, tokens[0]);
    expect_walk(c, 0, LSP_CHUNK_TOKENS - 1, LSP_CHUNK_TOKENS + 2);
    expect_walk(c, 2, LSP_CHUNK_TOKENS, 1);
    assert_int_equal(lsp_corpus_check(c, 0, 5, &why), LSP_OK);
    change(at(folder, "a"), (LSP_CHUNK_TOKENS + 5) * (int64_t)width);
    expect_walk(c, 0, 0, LSP_CHUNK_TOKENS);
    expect_walk(c, 0, 2 * LSP_CHUNK_TOKENS, 100);
    int32_t id[2];
    assert_int_equal(lsp_corpus_read(c, 0, 2 * LSP_CHUNK_TOKENS - 1, 2, 256, id, &why),
                     LSP_E_MISMATCH);
    expect_message(&why, "tokens 65536 to 131071 of document a ");
    assert_int_equal(lsp_corpus_check(c, 0, 5, &why), LSP_E_MISMATCH);
    assert_int_equal(lsp_corpus_check(c, 2, 5, &why), LSP_OK);
    lsp_corpus_close(&c);
    free(chunks);
  }
}

/* A Megatron index under construction. */
typedef struct {
  char bytes[400];
  size_t n;
} index_file;

static void add(index_file *f, const void *data, size_t bytes) {
  memcpy(f->bytes + f->n, data, bytes);
  f->n += bytes;
}

/* Three sequences of 2, 1, 3 tokens; documents: the first two, none, the third. */
static index_file make_index(unsigned char dtype, int64_t width) {
  index_file f = {.n = 0};
  const uint64_t version = 1, counts[2] = {3, 4};
  const int32_t lengths[3] = {2, 1, 3};
  const int64_t pointers[3] = {0, 2 * width, 3 * width}, edges[4] = {0, 2, 2, 3};
  add(&f, "MMIDIDX\0\0", 9);
  add(&f, &version, 8);
  add(&f, &dtype, 1);
  add(&f, counts, 16);
  add(&f, lengths, sizeof lengths);
  add(&f, pointers, sizeof pointers);
  add(&f, edges, sizeof edges);
  return f;
}

static const uint16_t MEGATRON_IDS[6] = {10, 11, 12, 50000, 21, 22};

static const char *make_megatron(void) {
  const char *folder = lsp_test_folder();
  const index_file f = make_index(8, 2);
  put(at(folder, "data.idx"), f.bytes, f.n);
  put(at(folder, "data.bin"), MEGATRON_IDS, sizeof MEGATRON_IDS);
  return folder;
}

static void test_a_megatron_dataset_is_found_by_any_of_its_names(void **state) {
  (void)state;
  const char *folder = make_megatron();
  static const char *const given[] = {"data.idx", "data.bin", "data"};
  for (int i = 0; i < 3; i++) {
    char name[3 * LSP_TEST_PATH];
    lsp_corpus *c =
        opened(i == 1 ? LSP_INPUT_MEGATRON : LSP_INPUT_AUTO, at(folder, given[i]));
    assert_int_equal(lsp_corpus_count(c), 3);
    (void)snprintf(name, sizeof name, "%s/data#2", folder);
    assert_string_equal(lsp_corpus_document(c, 2).name, name);
    assert_int_equal(lsp_corpus_document(c, 1).tokens, 0);
    expect_ids(c, 0, 0, 3, (const int32_t[]){10, 11, 12});
    expect_ids(c, 2, 0, 3, (const int32_t[]){50000, 21, 22});
    lsp_corpus_close(&c);
  }
  lsp_corpus *c = opened(LSP_INPUT_AUTO, folder);
  expect_names(c, "data#0 data#1 data#2 ");
  lsp_corpus_close(&c);
}

static void test_megatron_ids_may_be_of_one_and_four_bytes(void **state) {
  (void)state;
  const char *folder = lsp_test_folder();
  static const int32_t wide[6] = {1, 2, 3, 70000, 5, 6};
  index_file f = make_index(4, 4);
  put(at(folder, "w.idx"), f.bytes, f.n);
  put(at(folder, "w.bin"), wide, sizeof wide);
  lsp_corpus *c = opened(LSP_INPUT_AUTO, at(folder, "w.idx"));
  expect_ids(c, 2, 0, 3, wide + 3);
  lsp_corpus_close(&c);
  f = make_index(1, 1);
  put(at(folder, "n.idx"), f.bytes, f.n);
  put(at(folder, "n.bin"), "abcdef", 6);
  c = opened(LSP_INPUT_AUTO, at(folder, "n.idx"));
  expect_ids(c, 2, 1, 2, (const int32_t[]){'e', 'f'});
  lsp_corpus_close(&c);
}

/* The index with some bytes replaced is refused. */
static void expect_index_refused(size_t offset, const void *data, size_t bytes,
                                 const char *words) {
  const char *folder = make_megatron();
  index_file f = make_index(8, 2);
  memcpy(f.bytes + offset, data, bytes);
  put(at(folder, "data.idx"), f.bytes, f.n);
  expect_refused(LSP_INPUT_AUTO, at(folder, "data.idx"), words, "data.idx: ");
}

static void test_a_megatron_index_that_is_wrong_is_refused(void **state) {
  (void)state;
  const int64_t big = INT64_MAX, two = 2, wrong_edges[4] = {0, 3, 2, 3};
  const int32_t negative = -1, more = 4;
  expect_index_refused(0, "X", 1, "MMIDIDX");
  expect_index_refused(9, &two, 8, "version 2");
  expect_index_refused(17, "\5", 1, "5 (int64)");
  expect_index_refused(17, "\7", 1, "7 (float32)");
  expect_index_refused(17, "\2", 1, "2 (int8)");
  expect_index_refused(17, "\x63", 1, "99 (unknown)");
  expect_index_refused(17, "\4", 1, "does not follow");
  expect_index_refused(18, &big, 8, "bytes can hold");
  expect_index_refused(26, &big, 8, "bytes can hold");
  expect_index_refused(26, "\0", 1, "bytes can hold");
  expect_index_refused(18, &two, 8, "need");
  expect_index_refused(34, &negative, 4, "sequence 0");
  expect_index_refused(34, &more, 4, "sequence 1");
  expect_index_refused(42, &more, 4, "sequences end at byte 14");
  expect_index_refused(46, &big, 8, "sequence 0");
  expect_index_refused(54, &big, 8, "sequence 1");
  expect_index_refused(70, wrong_edges, sizeof wrong_edges, "edges");
  expect_index_refused(70, &two, 8, "edges");
  expect_index_refused(94, &big, 8, "edges");
}

static void test_a_megatron_dataset_of_the_wrong_size_is_refused(void **state) {
  (void)state;
  const char *folder = make_megatron();
  index_file f = make_index(8, 2);
  for (size_t n = 0; n < f.n; n++) {
    put(at(folder, "data.idx"), f.bytes, n);
    expect_refused(LSP_INPUT_AUTO, at(folder, "data"), "make it again", "data.idx");
  }
  add(&f, "\0\0\0", 3);
  put(at(folder, "data.idx"), f.bytes, f.n);
  expect_refused(LSP_INPUT_AUTO, at(folder, "data"), "mode", "data.idx");
  folder = make_megatron();
  assert_int_equal(truncate(at(folder, "data.bin"), 11), 0);
  expect_refused(LSP_INPUT_AUTO, at(folder, "data"), "11 bytes", "data.idx");
  assert_int_equal(unlink(at(folder, "data.bin")), 0);
  expect_refused(LSP_INPUT_AUTO, at(folder, "data"), "cannot be opened", "data.bin");
  put_text(folder, "alone.bin", "ab");
  expect_refused(LSP_INPUT_AUTO, at(folder, "alone.bin"), "u16", "alone.bin");
}

/* A reader of HDF5 that finds what it was told to. */
static int64_t hdf5_tokens, hdf5_bytes = 16;

static lsp_status hdf5_reader(const char *path,
                              lsp_status (*found)(const lsp_document *d, void *arg),
                              void *arg, lsp_failure *why) {
  (void)why;
  for (int64_t i = 0; i < 2; i++) {
    char name[8] = {(char)('a' + i)};
    const lsp_document d = {.name = name,
                            .path = path,
                            .offset = 8 * i,
                            .tokens = hdf5_tokens,
                            .width = 4,
                            .file_bytes = hdf5_bytes};
    LSP_TRY(found(&d, arg));
  }
  return LSP_OK;
}

static void test_documents_of_an_output_come_from_the_reader_of_hdf5(void **state) {
  (void)state;
  lsp_failure why = {0};
  lsp_corpus *c = NULL;
  const char *folder = lsp_test_folder();
  put(at(folder, "run.h5"), "\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0", 16);
  const char *input = at(folder, "run.h5");
  expect_refused(LSP_INPUT_AUTO, input, "HDF5", "run.h5");
  const lsp_corpus_spec spec = {.format = LSP_INPUT_AUTO,
                                .inputs = &input,
                                .input_count = 1,
                                .hdf5_reader = hdf5_reader};
  hdf5_tokens = 2;
  assert_int_equal(lsp_corpus_open(&spec, &c, &why), LSP_OK);
  expect_names(c, "a b ");
  expect_ids(c, 1, 0, 2, (const int32_t[]){3, 4});
  lsp_corpus_close(&c);
  hdf5_tokens = 3;
  assert_int_equal(lsp_corpus_open(&spec, &c, &why), LSP_E_FORMAT);
  expect_message(&why, "does not lie within the file");
  /* Two of these are more than can be counted. */
  hdf5_bytes = INT64_MAX;
  hdf5_tokens = LSP_TOKENS_MOST / 2 + 1;
  assert_int_equal(lsp_corpus_open(&spec, &c, &why), LSP_E_LIMIT);
  expect_message(&why, "2^60 tokens");
}

/* ---- Many documents */

enum { MANY = 100000, MANY_TOKENS = 70 };

/* A dataset of MANY documents of MANY_TOKENS bytes; the folder. */
static const char *make_many(void) {
  const char *folder = lsp_test_folder();
  const uint64_t version = 1, counts[2] = {MANY, MANY + 1};
  const unsigned char dtype = 1;
  const size_t size = 34 + (size_t)MANY * 20 + 8;
  char *idx = calloc(1, size), *bin = calloc(MANY, MANY_TOKENS);
  assert_non_null(idx);
  assert_non_null(bin);
  memcpy(idx, "MMIDIDX\0\0", 9);
  memcpy(idx + 9, &version, 8);
  memcpy(idx + 17, &dtype, 1);
  memcpy(idx + 18, counts, 16);
  for (int64_t i = 0; i <= MANY; i++) {
    const int32_t length = MANY_TOKENS;
    const int64_t pointer = i * MANY_TOKENS;
    memcpy(idx + 34 + 12 * (size_t)MANY + 8 * i, &i, 8);
    if (i == MANY)
      break;
    memcpy(idx + 34 + 4 * i, &length, 4);
    memcpy(idx + 34 + 4 * (size_t)MANY + 8 * i, &pointer, 8);
    bin[i * MANY_TOKENS] = (char)(i % 128);
  }
  put(at(folder, "m.idx"), idx, size);
  put(at(folder, "m.bin"), bin, (size_t)MANY * MANY_TOKENS);
  free(idx);
  free(bin);
  return folder;
}

/* The ranks of a node share the packed bytes: what each has beside them must not grow
 * with the number of documents, and they must be few. */
static void test_of_many_documents_a_rank_holds_little_beside_what_is_shared(void **s) {
  (void)s;
  lsp_failure why = {0};
  void *pack = NULL;
  size_t bytes = 0;
  lsp_corpus *c = opened(LSP_INPUT_AUTO, at(make_many(), "m.idx")), *shared = NULL;
  assert_int_equal(lsp_corpus_count(c), MANY);
  assert_int_equal(lsp_corpus_pack(c, &pack, &bytes, &why), LSP_OK);
  const size_t names = strlen(lsp_corpus_document(c, MANY - 1).name) + 1;
  assert_true(bytes <= MANY * (64 + names) + 4096);
  lsp_corpus_close(&c);
  const struct mallinfo2 before = mallinfo2();
  assert_int_equal(lsp_corpus_unpack(pack, bytes, &shared, &why), LSP_OK);
  const struct mallinfo2 after = mallinfo2();
  assert_true(after.uordblks + after.hblkhd <= before.uordblks + before.hblkhd + 4096);
  assert_int_equal(lsp_corpus_count(shared), MANY);
  for (int64_t d = 0; d < MANY; d += 9973)
    expect_ids(shared, d, 0, 1, (const int32_t[]){(int32_t)(d % 128)});
  lsp_corpus_close(&shared);
  free(pack);
}

/* --- texts as ids ---------------------------------------------------------------- */

static void put_headed(const char *path, const void *data, size_t bytes) {
  char all[LSP_TOKEN_FILE_HEAD + 64] = "head";
  assert_true(bytes <= 64);
  memcpy(all + LSP_TOKEN_FILE_HEAD, data, bytes);
  put(path, all, LSP_TOKEN_FILE_HEAD + bytes);
}

/* Texts "ab" and "" and "cde" as 1, 0 and 2 tokens. */
static lsp_corpus *tokenised(const char *folder) {
  static const uint32_t id[] = {70000, 7, 8};
  static const int64_t start[] = {0, 0, 2};
  static const int64_t tokens[] = {1, 0, 2};
  lsp_failure why = {0};
  lsp_corpus *c = NULL;
  put_headed(at(folder, "ids"), id, sizeof id);
  put_headed(at(folder, "starts"), start, sizeof start);
  assert_int_equal(mkdir(at(folder, "in"), 0700), 0);
  put_text(folder, "in/a", "ab");
  put_text(folder, "in/b", "");
  put_text(folder, "in/c", "cde");
  lsp_corpus *text = opened(LSP_INPUT_TEXT, at(folder, "in"));
  assert_false(lsp_corpus_has_starts(text));
  assert_int_equal(lsp_corpus_document(text, 2).text_bytes, 3);
  const lsp_token_files files = {at(folder, "ids"), at(folder, "starts"), tokens};
  if (lsp_corpus_of_ids(text, &files, &c, &why) != LSP_OK)
    fail_msg("%s", why.text);
  lsp_corpus_close(&text);
  return c;
}

static void expect_tokenised(lsp_corpus *c) {
  static const int64_t bytes[] = {2, 0, 3};
  lsp_failure why = {0};
  int64_t start[3] = {-1, -1, -1};
  expect_names(c, "a b c ");
  assert_true(lsp_corpus_has_starts(c));
  for (int64_t d = 0; d < 3; d++)
    assert_int_equal(lsp_corpus_document(c, d).text_bytes, bytes[d]);
  expect_ids(c, 0, 0, 1, (const int32_t[]){70000});
  expect_ids(c, 2, 0, 2, (const int32_t[]){7, 8});
  assert_int_equal(lsp_corpus_starts(c, 1, 0, 0, start, &why), LSP_OK);
  assert_int_equal(lsp_corpus_starts(c, 2, 0, 2, start, &why), LSP_OK);
  assert_true(start[0] == 0 && start[1] == 2);
  assert_int_equal(lsp_corpus_starts(c, 2, 1, 1, start, &why), LSP_OK);
  assert_int_equal(start[0], 2);
}

static void test_a_tokenised_text_keeps_names_and_bytes(void **state) {
  (void)state;
  lsp_failure why = {0};
  void *pack = NULL;
  size_t bytes = 0;
  lsp_corpus *c = tokenised(lsp_test_folder()), *sent = NULL;
  expect_tokenised(c);
  assert_int_equal(lsp_corpus_pack(c, &pack, &bytes, &why), LSP_OK);
  lsp_corpus_close(&c);
  assert_int_equal(lsp_corpus_unpack(pack, bytes, &sent, &why), LSP_OK);
  expect_tokenised(sent);
  lsp_corpus_close(&sent);
  free(pack);
}

/* The places of the tokens are replaced by `bytes` of these. */
static void expect_bad_starts(const int64_t *start, size_t bytes, const char *words) {
  const char *folder = lsp_test_folder();
  lsp_failure why = {0};
  int64_t got[3];
  lsp_corpus *c = tokenised(folder);
  put_headed(at(folder, "starts"), start, bytes);
  assert_int_equal(lsp_corpus_starts(c, 2, 0, 2, got, &why), LSP_E_MISMATCH);
  expect_message(&why, words);
  lsp_corpus_close(&c);
}

static void test_starts_that_are_no_places_in_the_text_are_refused(void **state) {
  (void)state;
  expect_bad_starts((const int64_t[]){0, 2, 1}, 24, "token 1 of document c begins");
  expect_bad_starts((const int64_t[]){0, -1, 0}, 24, "token 0 of document c begins");
  expect_bad_starts((const int64_t[]){0, 0, 4}, 24, "token 1 of document c begins");
  expect_bad_starts((const int64_t[]){0, 0}, 16, "is 80 bytes");
}

static void test_ids_that_were_given_have_no_text(void **state) {
  (void)state;
  const char *folder = lsp_test_folder();
  lsp_failure why = {0};
  int64_t start = 0;
  put_text(folder, "x.u16", "ab");
  lsp_corpus *c = opened(LSP_INPUT_U16, at(folder, "x.u16"));
  assert_int_equal(lsp_corpus_document(c, 0).text_bytes, -1);
  assert_int_equal(lsp_corpus_starts(c, 0, 0, 1, &start, &why), LSP_E_USAGE);
  expect_message(&why, "x.u16");
  lsp_corpus_close(&c);
}

static void test_bytes_are_read_as_they_are(void **state) {
  (void)state;
  const char *folder = lsp_test_folder();
  lsp_failure why = {0};
  unsigned char byte[4] = {0};
  put_text(folder, "book", "a\xc3\xa9\n");
  lsp_corpus *c = opened(LSP_INPUT_TEXT, at(folder, "book"));
  assert_int_equal(lsp_corpus_bytes(c, 0, 1, 3, byte, &why), LSP_OK);
  assert_memory_equal(byte, "\xc3\xa9\n", 3);
  lsp_corpus_close(&c);
}

LSP_TESTS(
    cmocka_unit_test(test_a_tokenised_text_keeps_names_and_bytes),
    cmocka_unit_test(test_starts_that_are_no_places_in_the_text_are_refused),
    cmocka_unit_test(test_ids_that_were_given_have_no_text),
    cmocka_unit_test(test_bytes_are_read_as_they_are),
    cmocka_unit_test(test_of_many_documents_a_rank_holds_little_beside_what_is_shared),
    cmocka_unit_test(test_a_text_file_is_a_document_and_a_byte_a_token),
    cmocka_unit_test(test_an_empty_file_is_a_document_too),
    cmocka_unit_test(test_a_folder_is_read_in_byte_order_of_its_paths),
    cmocka_unit_test(test_a_folder_without_a_file_is_refused),
    cmocka_unit_test(test_links_that_go_round_or_nowhere_are_refused),
    cmocka_unit_test(test_a_folder_that_is_reached_twice_is_refused),
    cmocka_unit_test(test_a_file_that_holds_more_than_its_size_is_refused),
    cmocka_unit_test(test_a_list_names_a_path_a_line),
    cmocka_unit_test(test_a_list_may_be_a_pipe),
    cmocka_unit_test(test_what_is_not_there_or_not_a_file_is_refused),
    cmocka_unit_test(test_a_copy_of_standard_input_serves_the_run_that_made_it),
    cmocka_unit_test(test_standard_input_that_says_nothing_is_not_waited_for),
    cmocka_unit_test(test_standard_input_is_refused_where_it_cannot_be),
    cmocka_unit_test(test_raw_ids_are_little_endian_of_two_or_four_bytes),
    cmocka_unit_test(test_an_id_outside_the_vocabulary_is_named_with_its_place),
    cmocka_unit_test(test_a_file_that_changed_since_it_was_opened_is_named),
    cmocka_unit_test(test_a_corpus_sent_is_the_same_corpus),
    cmocka_unit_test(test_the_hash_is_of_the_text_and_not_of_where_it_lies),
    cmocka_unit_test(test_long_documents_have_the_same_hash_at_every_width),
    cmocka_unit_test(test_shares_of_the_chunks_cover_each_once),
    cmocka_unit_test(test_tokens_that_are_not_those_that_were_hashed_are_refused),
    cmocka_unit_test(test_a_megatron_dataset_is_found_by_any_of_its_names),
    cmocka_unit_test(test_megatron_ids_may_be_of_one_and_four_bytes),
    cmocka_unit_test(test_a_megatron_index_that_is_wrong_is_refused),
    cmocka_unit_test(test_a_megatron_dataset_of_the_wrong_size_is_refused),
    cmocka_unit_test(test_documents_of_an_output_come_from_the_reader_of_hdf5))
