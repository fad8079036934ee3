/* Text that anybody may have written: names of files, command lines, names of hosts,
 * attributes, the lines of a book. It may hold any bytes but NUL.
 *
 * There are two forms of it, both printable UTF-8 on one line:
 *
 *   shown    for terminals, logs and messages
 *   stored   for files; the original bytes can be had back from it
 *
 * Both keep every printable character and write what is left byte by byte as \xNN (two
 * lower-case hexadecimal digits):
 *   - bytes that are not well-formed UTF-8, overlong forms and surrogates among them;
 *   - control characters: U+0001 to U+001F, U+007F, and U+0080 to U+009F;
 *   - characters that break a line or turn the direction of writing: U+2028, U+2029,
 *     U+202A to U+202E, U+2066 to U+2069.
 * The shown form has \n, \r and \t for these three. The stored form has \x5c for a
 * backslash, so that two different texts are never stored alike.
 *
 * Local, all of it. */
#ifndef LSP_TEXT_H
#define LSP_TEXT_H

#include <stddef.h>

/* A byte takes at most this many in either form. */
enum { LSP_TEXT_GROWTH = 4 };

/* Write the form of text into out (size bytes), ended by NUL and cut after a whole
 * character or escape; nothing is written if size is 0. Return the bytes of the whole
 * form without NUL, as snprintf does. */
size_t lsp_text_shown(const char *text, char *out, size_t size);
size_t lsp_text_stored(const char *text, char *out, size_t size);

/* The bytes that lsp_text_stored was given, in place. Any text is accepted: what is no
 * escape stays as it is, and so does \x00. */
void lsp_text_restore(char *text);

/* 1 if the text is printable UTF-8, so that its shown form is the text itself. */
int lsp_text_is_printable(const char *text);

/* Bytes of the character at text[0..n), n > 0: 1 to 4, and 1 for a byte that is not
 * well-formed UTF-8. *printable (may be NULL): 1 if both forms keep it (a backslash
 * counts as kept). */
size_t lsp_text_step(const char *text, size_t n, int *printable);

/* Bytes of the well-formed UTF-8 character at text[0..n); 0 if there is none. */
size_t lsp_text_utf8(const char *text, size_t n);

/* Bytes that one U+FFFD stands for where text[0..n), n > 0, begins with no well-formed
 * character: the longest part of one (as Unicode recommends and Python does), at least a
 * byte. */
size_t lsp_text_ill_formed(const char *text, size_t n);

/* Bytes of the white space character (of Python's str.isspace) at text[0..n); 0 if there
 * is none. */
size_t lsp_text_white(const char *text, size_t n);

/* 1 if text[0..n) is the beginning, but not all, of such a character. */
int lsp_text_begins_white(const char *text, size_t n);

#endif
