/* Any bytes as text that can be shown, and as text that can be stored and had back. */
#include "harness.h"

#include "lsp/text.h"

static void expect_shown(const char *text, const char *expected) {
  char out[128];
  assert_int_equal(lsp_text_shown(text, out, sizeof out), strlen(expected));
  assert_string_equal(out, expected);
  assert_int_equal(lsp_text_is_printable(text), strcmp(text, expected) == 0);
}

static void test_what_is_printable_is_shown_as_it_is(void **state) {
  (void)state;
  expect_shown("", "");
  expect_shown("plain text ~ \\ and \"quotes\"", "plain text ~ \\ and \"quotes\"");
  expect_shown("caf\xc3\xa9 \xe6\x9c\xac \xf0\x9f\x98\x80 \xc2\xa0",
               "caf\xc3\xa9 \xe6\x9c\xac \xf0\x9f\x98\x80 \xc2\xa0");
  expect_shown("\xf4\x8f\xbf\xbf \xed\x9f\xbf \xee\x80\x80 \xe2\x80\xa7 \xe2\x81\xa5",
               "\xf4\x8f\xbf\xbf \xed\x9f\xbf \xee\x80\x80 \xe2\x80\xa7 \xe2\x81\xa5");
}

static void test_control_characters_are_escaped(void **state) {
  (void)state;
  expect_shown("a\nb\rc\td", "a\\nb\\rc\\td");
  expect_shown("\x01\x1b[31m\x7f", "\\x01\\x1b[31m\\x7f");
  expect_shown("\xc2\x80\xc2\x9b"
               "1m\xc2\x9f",
               "\\xc2\\x80\\xc2\\x9b1m\\xc2\\x9f");
  expect_shown("a\xe2\x80\xae"
               "b\xe2\x81\xa6"
               "c\xe2\x80\xa8"
               "d",
               "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6c\\xe2\\x80\\xa8d");
}

static void test_what_is_not_utf8_is_escaped_byte_by_byte(void **state) {
  (void)state;
  expect_shown("caf\xe9", "caf\\xe9"); /* Latin-1 */
  expect_shown("\x9b", "\\x9b");       /* a C1 control in Latin-1 */
  expect_shown("\xc0\xaf \xc1\xbf", "\\xc0\\xaf \\xc1\\xbf"); /* overlong */
  expect_shown("\xe0\x9f\xbf", "\\xe0\\x9f\\xbf");
  expect_shown("\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf");
  expect_shown("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* surrogate */
  expect_shown("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond U+10FFFF */
  expect_shown("\xff\xfe", "\\xff\\xfe");
  expect_shown("\xe6\x9c", "\\xe6\\x9c"); /* cut short */
  expect_shown("\xe6\x9cx", "\\xe6\\x9cx");
}

/* Every text of two bytes, and of three out of some: all stored texts differ, are
 * printable, and give back what was stored. */
static void expect_restored(const char *text) {
  char out[64], back[64];
  const size_t n = lsp_text_stored(text, out, sizeof out);
  assert_int_equal(n, strlen(out));
  assert_true(n <= LSP_TEXT_GROWTH * strlen(text));
  assert_true(lsp_text_is_printable(out));
  memcpy(back, out, n + 1);
  lsp_text_restore(back);
  assert_string_equal(back, text);
}

static void test_stored_text_can_be_had_back(void **state) {
  static const char some[] = "a\\xn01\n\x1b\x80\x9b\xc2\xc3\xe2\xae\xa8\xed\xf0\xff";
  (void)state;
  char text[4] = "";
  for (int a = 1; a < 256; a++)
    for (int b = 1; b < 256; b++) {
      text[0] = (char)(unsigned char)a;
      text[1] = (char)(unsigned char)b;
      expect_restored(text);
    }
  for (const char *a = some; *a != '\0'; a++)
    for (const char *b = some; *b != '\0'; b++)
      for (const char *c = some; *c != '\0'; c++) {
        text[0] = *a;
        text[1] = *b;
        text[2] = *c;
        expect_restored(text);
      }
  expect_restored("\\x41"); /* a name that looks as if it were escaped */
  expect_restored("caf\xe9 caf\xc3\xa9 \\ \n");
}

static void test_what_was_never_stored_is_left_alone(void **state) {
  (void)state;
  static const char *const text[] = {"\\",    "\\x", "\\x4", "\\x4G",
                                     "\\X41", "\\n", "\\x00"};
  for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
    char copy[16];
    (void)snprintf(copy, sizeof copy, "%s", text[i]);
    lsp_text_restore(copy);
    assert_string_equal(copy, text[i]);
  }
}

static void test_only_whole_characters_are_written(void **state) {
  (void)state;
  char out[16];
  memset(out, '#', sizeof out);
  assert_int_equal(lsp_text_shown("ab\xc3\xa9\n", out, 0), 6);
  assert_int_equal(out[0], '#');
  assert_int_equal(lsp_text_shown("ab\xc3\xa9\n", NULL, 0), 6);
  static const char *const cut[] = {"",           "a",          "ab",           "ab",
                                    "ab\xc3\xa9", "ab\xc3\xa9", "ab\xc3\xa9\\n"};
  for (size_t size = 1; size <= 7; size++) {
    memset(out, '#', sizeof out);
    assert_int_equal(lsp_text_shown("ab\xc3\xa9\n", out, size), 6);
    assert_string_equal(out, cut[size - 1]);
    assert_int_equal(out[size], '#');
  }
  /* Nothing comes after what did not fit. */
  assert_int_equal(lsp_text_shown("a\x1b"
                                  "b",
                                  out, 4),
                   6);
  assert_string_equal(out, "a");
}

/* A path that fills a message does not hide what is wrong with it. */
static void test_a_long_message_keeps_both_its_ends(void **state) {
  (void)state;
  static char path[6 * LSP_MESSAGE_SIZE];
  for (size_t n = 0; n + 2 < sizeof path; n += 1 + n / 50) {
    lsp_failure why = {0};
    for (size_t i = 0; i < n; i++)
      path[i] = "\xc3\xa9"[i % 2];
    path[n - n % 2] = '\0';
    assert_int_equal(lsp_fail(&why, LSP_E_IO, "/%s: is wrong; mend it", path),
                     LSP_E_IO);
    const size_t length = strlen(why.text);
    assert_true(length < LSP_MESSAGE_SIZE);
    assert_int_equal(why.text[0], '/');
    assert_string_equal(why.text + length - 19, ": is wrong; mend it");
    assert_true(lsp_text_is_printable(why.text));
    assert_int_equal(strstr(why.text, " ... ") != NULL,
                     strlen(path) + 20 >= LSP_MESSAGE_SIZE);
  }
}

/* Python 3.11: [hex(c) for c in range(0x110000) if chr(c).isspace()] */
static int is_white(unsigned c) {
  return (c >= 0x9 && c <= 0xd) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
         c == 0x202f || c == 0x205f || c == 0x3000;
}

/* A character of the basic plane as UTF-8; its bytes. */
static size_t encode(unsigned c, char out[3]) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    out[0] = (char)(0xc0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3f));
    return 2;
  }
  out[0] = (char)(0xe0 | c >> 12);
  out[1] = (char)(0x80 | (c >> 6 & 0x3f));
  out[2] = (char)(0x80 | (c & 0x3f));
  return 3;
}

static void test_white_space_is_that_of_python(void **state) {
  (void)state;
  int whites = 0;
  for (unsigned c = 0; c < 0x10000; c++) {
    char text[4] = {'x', 'x', 'x', 'x'};
    const size_t n = encode(c, text);
    assert_int_equal(lsp_text_white(text, sizeof text), is_white(c) ? n : 0);
    assert_int_equal(lsp_text_white(text, n), is_white(c) ? n : 0);
    for (size_t part = 1; part < n && is_white(c); part++) {
      assert_true(lsp_text_begins_white(text, part));
      assert_int_equal(lsp_text_white(text, part), 0);
    }
    assert_false(lsp_text_begins_white(text, n) && n != 2);
    whites += is_white(c);
  }
  assert_int_equal(whites, 29);
  assert_int_equal(lsp_text_white("", 0), 0);
}

/* What bytes.decode(errors="replace") makes of them: the length of each U+FFFD. */
static void test_ill_formed_text_is_replaced_as_python_does(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t bytes;
  } row[] = {{"\x80x", 1},
             {"\xff\xff", 1},
             {"\xc3", 1},
             {"\xc3x", 1},
             {"\xc0\x80", 1},
             {"\xe2\x80", 2},
             {"\xe2\x80x", 2},
             {"\xe2x", 1},
             {"\xe0\x80\x80", 1},
             {"\xe0\xa0", 2},
             {"\xed\xa0\x80", 1},
             {"\xed\x9f", 2},
             {"\xf0\x9f\x98", 3},
             {"\xf0\x9f\x98x", 3},
             {"\xf0\x9fx", 2},
             {"\xf0\x80\x80\x80", 1},
             {"\xf4\x90\x80\x80", 1},
             {"\xf4\x8f\x80", 3},
             {"\xf5\x80\x80\x80", 1}};
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
    assert_int_equal(lsp_text_ill_formed(row[i].text, strlen(row[i].text)),
                     row[i].bytes);
}

LSP_TESTS(cmocka_unit_test(test_white_space_is_that_of_python),
          cmocka_unit_test(test_ill_formed_text_is_replaced_as_python_does),
          cmocka_unit_test(test_a_long_message_keeps_both_its_ends),
          cmocka_unit_test(test_what_is_printable_is_shown_as_it_is),
          cmocka_unit_test(test_control_characters_are_escaped),
          cmocka_unit_test(test_what_is_not_utf8_is_escaped_byte_by_byte),
          cmocka_unit_test(test_stored_text_can_be_had_back),
          cmocka_unit_test(test_what_was_never_stored_is_left_alone),
          cmocka_unit_test(test_only_whole_characters_are_written))
