/* Finds chapters by their headings while the text is read.
 *
 * A heading is a short line after a blank one: a word such as CHAPTER, then a number. A
 * table of contents is a run of headings with nothing between them, so a chapter of
 * less than SHORTEST bytes becomes part of the next one. */
#include "cli.h"
#include "show.h"

#include "lsp/grid.h"
#include "lsp/text.h"

#include <ctype.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { SHORTEST = 400, BARS = 30, TITLE_COLUMNS = 28, COLUMNS = 80 };

static const char *const division[] = {"VOLUME", "BOOK", "PART"};
static const char *const section[] = {"CHAPTER", "LETTER", "CANTO", "STAVE", "SCENE"};
static const char *const number_word[] = {
    "one",    "two",     "three",    "four",     "five",  "six",    "seven",  "eight",
    "nine",   "ten",     "eleven",   "twelve",   "first", "second", "third",  "fourth",
    "fifth",  "sixth",   "seventh",  "eighth",   "ninth", "tenth",  "twenty", "last",
    "thirty", "fifteen", "thirteen", "fourteen", "the"};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* 1 if the line begins with a word of the list, as CHAPTER or Chapter; *n its length.
 */
static int begins_with(const char *line, const char *const *list, size_t words,
                       size_t *n) {
  for (size_t i = 0; i < words; i++) {
    *n = strlen(list[i]);
    if (strncasecmp(line, list[i], *n) == 0 && isupper((unsigned char)line[0]) &&
        line[*n] == ' ')
      return 1;
  }
  return 0;
}

static int is_number(const char *text) {
  size_t n = strspn(text, "0123456789");
  if (n == 0)
    n = strspn(text, "IVXLC");
  if (n > 0)
    return !isalnum((unsigned char)text[n]);
  for (size_t i = 0; i < COUNT(number_word); i++) {
    n = strlen(number_word[i]);
    if (strncasecmp(text, number_word[i], n) == 0 && !isalpha((unsigned char)text[n]))
      return isupper((unsigned char)text[0]);
  }
  return 0;
}

/* 2: heading of a division, 1: of a section, 0: a line like others. */
static int heading(const char *line) {
  size_t n;
  const int kind = begins_with(line, division, COUNT(division), &n) ? 2
                   : begins_with(line, section, COUNT(section), &n) ? 1
                                                                    : 0;
  return kind > 0 && is_number(line + n + strspn(line + n, " ")) ? kind : 0;
}

static void add_to(lsp_chapter *c, const lsp_chapter *more) {
  c->bytes += more->bytes;
  c->bits += more->bits;
  c->gain += more->gain;
}

static lsp_chapter *new_chapter(lsp_chapters *c) {
  if (c->count == c->room) {
    const int64_t room = c->room == 0 ? 64 : 2 * c->room;
    lsp_chapter *wider = realloc(c->chapter, (size_t)room * sizeof *wider);
    c->failed = c->failed || wider == NULL;
    if (wider == NULL)
      return &c->line; /* never read, since c->failed is set */
    c->chapter = wider;
    c->room = room;
  }
  lsp_chapter *chapter = &c->chapter[c->count++];
  memset(chapter, 0, sizeof *chapter);
  return chapter;
}

/* As much of a line, in its shown form, as a title holds. */
static void set_title(lsp_chapter *chapter, const char *before, const char *line) {
  char text[LSP_TITLE_SIZE + LSP_LINE_SIZE];
  (void)snprintf(text, sizeof text, "%s%s%s", before, before[0] != '\0' ? ", " : "",
                 line);
  (void)lsp_text_shown(text, chapter->title, sizeof chapter->title);
}

static void begin_chapter(lsp_chapters *c, const char *line, int kind) {
  char before[LSP_TITLE_SIZE] = "";
  lsp_chapter *last = &c->chapter[c->count - 1];
  if (last->bytes >= SHORTEST) {
    last = new_chapter(c);
    last->start = c->line.start;
    last->text = c->text;
  } else if (kind == 1 && heading(last->title) == 2) {
    (void)snprintf(before, sizeof before, "%.*s", (int)strcspn(last->title, "."),
                   last->title);
    before[strcspn(before, ",")] = '\0';
  }
  set_title(last, before, line);
}

/* The line has ended, or is too long for a heading. */
static void end_line(lsp_chapters *c) {
  char *line = c->line_text;
  line[c->line_bytes] = '\0';
  while (c->line_bytes > 0 && isspace((unsigned char)line[c->line_bytes - 1]))
    line[--c->line_bytes] = '\0';
  line += strspn(line, " \t");
  const int kind = c->blank_before ? heading(line) : 0;
  if (kind > 0)
    begin_chapter(c, line, kind);
  if (!c->failed)
    add_to(&c->chapter[c->count - 1], &c->line);
  c->blank_before = line[0] == '\0';
  c->line_bytes = 0;
  c->line.bytes = 0;
  c->line.bits = c->line.gain = 0;
}

void lsp_chapters_begin(lsp_chapters *c, int64_t text, int64_t bytes) {
  memset(c->part, 0, sizeof c->part);
  memset(&c->line, 0, sizeof c->line);
  c->first = c->count;
  c->text = text;
  c->text_bytes = bytes;
  c->line_bytes = 0;
  c->blank_before = 1;
  lsp_chapter *beginning = new_chapter(c);
  beginning->text = text;
  set_title(beginning, "", "(before the first)");
}

void lsp_chapters_byte(lsp_chapters *c, const lsp_show_byte *b) {
  const lsp_chapter one = {.bytes = 1, .bits = b->bits, .gain = b->gain};
  if (c->failed)
    return;
  if (c->line.bytes == 0)
    c->line.start = b->position;
  add_to(&c->part[(double)b->position / (double)c->text_bytes * LSP_PARTS < LSP_PARTS
                      ? (int)((double)b->position / (double)c->text_bytes * LSP_PARTS)
                      : LSP_PARTS - 1],
         &one);
  add_to(&c->line, &one);
  if (c->line_bytes < LSP_LINE_SIZE - 1)
    c->line_text[c->line_bytes++] = b->byte == '\0' ? '?' : (char)b->byte;
  else
    c->line_text[0] = '?'; /* too long for a heading */
  if (b->byte == '\n')
    end_line(c);
}

void lsp_chapters_end(lsp_chapters *c) {
  if (c->failed)
    return;
  end_line(c);
  if (c->count - c->first >= 2)
    return;
  c->count = c->first; /* no chapters: equal parts, by where they begin */
  for (int i = 0; i < LSP_PARTS; i++) {
    if (c->part[i].bytes == 0)
      continue;
    lsp_chapter *chapter = new_chapter(c);
    if (c->failed)
      return;
    *chapter = c->part[i];
    chapter->text = c->text;
    chapter->start =
        i == 0 || c->count - c->first < 2 ? 0 : chapter[-1].start + chapter[-1].bytes;
    (void)snprintf(chapter->title, sizeof chapter->title, "from %d %%",
                   100 * i / LSP_PARTS);
  }
}

void lsp_chapters_free(lsp_chapters *c) {
  free(c->chapter);
  memset(c, 0, sizeof *c);
}

/* --- bars ------------------------------------------------------------------------ */

static int terminal_has_utf8(void) {
  if (!isatty(STDOUT_FILENO))
    return 0;
  (void)setlocale(LC_CTYPE, "");
  return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static void print_bar(double share, int columns) {
  static const char *const eighth[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int utf8 = terminal_has_utf8();
  const int eighths = share > 0 ? (int)(share * columns * 8 + 0.5) : 0;
  const int colours = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
  (void)fputs(colours ? "\x1b[36m" : "", stdout);
  for (int i = 0; i < (utf8 ? eighths / 8 : (eighths + 4) / 8); i++)
    (void)fputs(utf8 ? "█" : "#", stdout);
  (void)fputs(utf8 ? eighth[eighths % 8] : "", stdout);
  (void)fputs(colours ? "\x1b[0m\n" : "\n", stdout);
}

/* Neighbours as one bar: the title of the first, and how many follow. */
static lsp_chapter together(const lsp_chapter *chapter, int64_t n) {
  lsp_chapter sum = chapter[0];
  char more[24] = "";
  for (int64_t i = 1; i < n; i++)
    add_to(&sum, &chapter[i]);
  if (n > 1)
    (void)snprintf(more, sizeof more, " (+%lld)", (long long)(n - 1));
  size_t length = strlen(sum.title), most = TITLE_COLUMNS - strlen(more);
  if (length > most) {
    length = most;
    while (length > 0 && ((unsigned char)sum.title[length] & 0xc0) == 0x80)
      length--;
  }
  (void)snprintf(sum.title + length, sizeof sum.title - length, "%s", more);
  return sum;
}

static double rate(const lsp_chapter *c) {
  return c->bytes > 0 ? c->bits / (double)c->bytes : 0;
}

void lsp_chapters_print(const lsp_chapters *c, int64_t first, int64_t end,
                        int with_gain) {
  const int64_t each = lsp_max(lsp_divide_up(end - first, BARS), 1);
  const int columns = COLUMNS - TITLE_COLUMNS - 10 - (with_gain ? 9 : 0);
  double most = 1e-9;
  for (int64_t i = first; i < end; i += each) {
    const lsp_chapter sum = together(&c->chapter[i], lsp_min(each, end - i));
    most = rate(&sum) > most ? rate(&sum) : most;
  }
  for (int64_t i = first; i < end; i += each) {
    const lsp_chapter sum = together(&c->chapter[i], lsp_min(each, end - i));
    (void)fputs("  ", stdout);
    lsp_print_padded(stdout, sum.title, TITLE_COLUMNS);
    (void)printf(" %6.3f", rate(&sum));
    if (with_gain)
      (void)printf(" %+8.3f", sum.bytes > 0 ? 0 - sum.gain / (double)sum.bytes : 0.0);
    (void)fputc(' ', stdout);
    print_bar(rate(&sum) / most, columns);
  }
}
