/* The book as one page of HTML, each word on a ground of the colour of its bits a byte.
 *
 * Neighbouring words of one colour share an element. Text is written a whole UTF-8
 * character at a time; U+FFFD stands for a byte that is no UTF-8 and for a control
 * character. Names and titles are written in the shown form of lsp/text.h. */
#include "cli.h"
#include "show.h"

#include "lsp/durable.h"
#include "lsp/text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* from this many bits a byte on, colour of the ground, in the legend */
#define LEVEL_TABLE(X)                                                                 \
  X(0.0, "#ffffff", "0")                                                               \
  X(0.5, "#f3f8ec", "0.5")                                                             \
  X(1.0, "#e6f2d4", "1")                                                               \
  X(1.5, "#f2f3b8", "1.5")                                                             \
  X(2.0, "#fdeaa0", "2")                                                               \
  X(2.5, "#fdd98a", "2.5")                                                             \
  X(3.0, "#fdc374", "3")                                                               \
  X(4.0, "#fba863", "4")                                                               \
  X(5.0, "#f68c5b", "5")                                                               \
  X(6.5, "#ef6f5c", "6.5")

static const struct {
  double from;
  const char *colour, *words;
} level_row[] = {
#define X(from, colour, words) {from, colour, words},
    LEVEL_TABLE(X)
#undef X
};

enum { LEVELS = sizeof level_row / sizeof level_row[0], WORD = 256, ROOM = WORD + 4 };

typedef struct {
  FILE *f;
  const lsp_chapters *chapters;
  int64_t next, text; /* chapter whose beginning comes next */
  char word[ROOM];
  int bytes;
  double bits;
  int64_t predicted;
  int level; /* of the element that is open; -1: none is */
} page;

static int level_of(double bits) {
  int level = 0;
  while (level + 1 < LEVELS && bits >= level_row[level + 1].from)
    level++;
  return level;
}

static void put_character(FILE *f, const char *text, size_t length, int printable) {
  if (*text == '&')
    (void)fputs("&amp;", f);
  else if (*text == '<')
    (void)fputs("&lt;", f);
  else if (*text == '>')
    (void)fputs("&gt;", f);
  else if (*text == '"')
    (void)fputs("&quot;", f);
  else if (*text == '\'')
    (void)fputs("&#39;", f);
  /* The unprintable characters of three bytes set the direction of writing, which a
   * text may do. */
  else if (printable || length == 3 || *text == '\n' || *text == '\t' || *text == '\f')
    (void)fwrite(text, 1, length, f);
  else if (*text != '\r')
    (void)fputs("\xef\xbf\xbd", f);
}

static void put_text(FILE *f, const char *text, size_t n) {
  while (n > 0) {
    int printable = 0;
    const size_t length = lsp_text_step(text, n, &printable);
    put_character(f, text, length, printable);
    text += length;
    n -= length;
  }
}

static void put_name(FILE *f, const char *name) {
  char shown[LSP_TEXT_GROWTH * NAME_MAX + 1];
  (void)lsp_text_shown(name, shown, sizeof shown);
  put_text(f, shown, strlen(shown));
}

static void close_element(page *p) {
  if (p->level >= 0)
    (void)fputs("</b>", p->f);
  p->level = -1;
}

static void end_word(page *p) {
  if (p->bytes == 0)
    return;
  const int level = p->predicted > 0 ? level_of(p->bits / (double)p->predicted) : 0;
  if (level != p->level) {
    close_element(p);
    (void)fprintf(p->f, "<b class=q%d>", level);
    p->level = level;
  }
  put_text(p->f, p->word, (size_t)p->bytes);
  p->bytes = 0;
  p->bits = 0;
  p->predicted = 0;
}

static void put_anchors(page *p, int64_t position) {
  const lsp_chapters *c = p->chapters;
  while (p->next < c->count && c->chapter[p->next].text == p->text &&
         c->chapter[p->next].start <= position) {
    end_word(p);
    close_element(p);
    (void)fprintf(p->f, "<a id=c%lld></a>", (long long)p->next++);
  }
}

static void put_byte(const lsp_show_byte *b, void *arg) {
  page *p = arg;
  const int continues = (b->byte & 0xc0) == 0x80;
  const char byte = (char)b->byte;
  put_anchors(p, b->position);
  if (isspace(b->byte)) {
    end_word(p);
    if (b->byte == '\n')
      close_element(p);
    put_text(p->f, &byte, 1);
    return;
  }
  if (p->bytes == ROOM || (p->bytes >= WORD && !continues))
    end_word(p);
  p->word[p->bytes++] = byte;
  p->bits += b->bits;
  p->predicted += b->predicted;
}

static void put_head(const page *p, const lsp_show *s) {
  FILE *f = p->f;
  (void)fputs("<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>\n"
              "<meta name=viewport content=\"width=device-width\">\n<title>",
              f);
  put_name(f, lsp_show_name(s, 0));
  (void)fputs(" - longspan</title>\n<style>\n"
              "body { max-width: 42em; margin: 2em auto; padding: 0 1em; color: #222;\n"
              "  background: #fff; font: 1.05em/1.6 Georgia, serif; }\n"
              "b { font-weight: normal; }\n"
              "nav, .legend { font: 0.8em/1.7 system-ui, sans-serif; }\n"
              "nav { columns: 16em; } nav a { display: block; color: inherit; }\n"
              ".legend b { padding: 0.2em 0.7em; }\n"
              ".text { white-space: pre-wrap; overflow-wrap: anywhere; }\n",
              f);
  for (int i = 0; i < LEVELS; i++)
    (void)fprintf(f, ".q%d { background: %s; }\n", i, level_row[i].colour);
  (void)fputs("</style></head><body>\n", f);
}

static void put_overview(const page *p, const lsp_show *s) {
  FILE *f = p->f;
  const lsp_chapters *c = p->chapters;
  double bits = 0, bytes = 0;
  for (int64_t i = 0; i < c->count; i++) {
    bits += c->chapter[i].bits;
    bytes += (double)c->chapter[i].bytes;
  }
  (void)fputs("<h1>", f);
  put_name(f, lsp_show_name(s, 0));
  if (s->texts > 1)
    (void)fprintf(f, " and %lld more", (long long)s->texts - 1);
  (void)fprintf(
      f,
      "</h1>\n<p class=legend>%.3f bits per byte in all. The colour of a word "
      "says how much it surprised the model, in bits per byte, from<br>",
      bytes > 0 ? bits / bytes : 0.0);
  for (int i = 0; i < LEVELS; i++)
    (void)fprintf(f, "<b class=q%d>%s</b>", i, level_row[i].words);
  (void)fputs("</p>\n<nav>\n", f);
  for (int64_t i = 0; i < c->count; i++) {
    const lsp_chapter *k = &c->chapter[i];
    const double rate = k->bytes > 0 ? k->bits / (double)k->bytes : 0;
    (void)fprintf(f, "<a href=\"#c%lld\"><b class=q%d>%.2f</b> ", (long long)i,
                  level_of(rate), rate);
    put_name(f, k->title);
    (void)fputs("</a>\n", f);
  }
  (void)fputs("</nav>\n", f);
}

static lsp_status put_texts(page *p, lsp_show *s, lsp_failure *why) {
  for (int64_t t = 0; t < s->texts; t++) {
    if (s->texts > 1) {
      (void)fputs("<h2>", p->f);
      put_name(p->f, lsp_show_name(s, t));
      (void)fputs("</h2>\n", p->f);
    }
    p->text = t;
    (void)fputs("<div class=text>", p->f);
    LSP_TRY(lsp_show_walk(s, t, put_byte, p, why));
    end_word(p);
    close_element(p);
    (void)fputs("</div>\n", p->f);
  }
  (void)fputs("</body></html>\n", p->f);
  return LSP_OK;
}

/* The page goes to *r, and through a copy of its descriptor, which fclose closes. */
static lsp_status write_page(lsp_show *s, const lsp_chapters *chapters,
                             const lsp_replacement *r, lsp_failure *why) {
  const int fd = fcntl(r->fd, F_DUPFD_CLOEXEC, 0);
  page p = {.f = fd >= 0 ? fdopen(fd, "w") : NULL, .chapters = chapters, .level = -1};
  if (p.f == NULL) {
    const int error = errno;
    if (fd >= 0)
      (void)close(fd);
    return lsp_fail(why, LSP_E_IO, "%s: cannot be written: %s", r->path,
                    strerror(error));
  }
  put_head(&p, s);
  put_overview(&p, s);
  lsp_status st = put_texts(&p, s, why);
  const int failed = ferror(p.f) != 0;
  const int late = fclose(p.f) != 0;
  if (st == LSP_OK && (failed || late))
    st = lsp_fail(why, LSP_E_IO, "%s: writing failed: %s; is the disk full?", r->path,
                  strerror(errno));
  return st;
}

lsp_status lsp_show_html(lsp_show *s, const lsp_chapters *chapters, const char *path,
                         lsp_failure *why) {
  lsp_replacement r;
  LSP_TRY(lsp_replacement_begin(path, &r, why));
  lsp_status st = write_page(s, chapters, &r, why);
  if (st == LSP_OK)
    st = lsp_replacement_commit(&r, why);
  lsp_replacement_end(&r);
  return st;
}
