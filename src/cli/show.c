/* longspan show: how well the model predicted a text, beside the text. */
#include "show.h"
#include "cli.h"

#include "lsp/grid.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Up to so many texts are shown chapter by chapter; of more texts, each is one row. */
enum { CHARTS = 3 };

typedef struct {
  const char *baseline, *html;
} show_options;

static const lsp_option show_option[] = {
    {LSP_OPTION_TEXT, 0, "baseline", offsetof(show_options, baseline), 0, 0, 0,
     "OTHER.h5",
     "a run over the same texts with less memory (--mem-len): shows what memory saved"},
    {LSP_OPTION_TEXT, 0, "html", offsetof(show_options, html), 0, 0, 0, "OUT.html",
     "write the text as a page, coloured by how much each word surprised"},
};

static const lsp_command show_command = {
    .usage = "longspan show FILE.h5 [TEXT...] [options]",
    .about =
        "Shows an output beside its texts: bits per byte by chapter and by how long "
        "ago a word was last seen, the most surprising sentences, and, with "
        "--baseline, the words that memory helped most. The texts are read out of the "
        "output; TEXTs, the files that it was "
        "made from, choose among them and are compared with it.\n\n"
        "What a token of several bytes has is counted at its first byte that is no "
        "white space: \" the\" for the word \"the\", a token that reaches over two "
        "words for the first of them. A word is a run of letters (and bytes beyond "
        "ASCII) with apostrophes inside; upper and lower case differ.",
    .option = show_option,
    .options = sizeof show_option / sizeof show_option[0]};

typedef struct {
  lsp_chapters chapters;
  lsp_sentences sentences;
  lsp_cut cut;
  lsp_since since;
  lsp_words words;
  int with_gain, failed; /* failed: no memory for words */
} findings;

/* A word has ended. */
static void look_at_word(findings *f) {
  f->failed = f->failed || !lsp_since_add(&f->since, &f->cut.word);
  if (f->with_gain)
    lsp_words_word(&f->words, &f->cut.word);
}

static void look_at(const lsp_show_byte *b, void *arg) {
  findings *f = arg;
  lsp_chapters_byte(&f->chapters, b);
  lsp_sentences_byte(&f->sentences, b);
  if (f->with_gain)
    lsp_words_byte(&f->words, b);
  if (lsp_cut_byte(&f->cut, b))
    look_at_word(f);
}

static lsp_status begin_text(findings *f, int64_t t, int64_t bytes, lsp_failure *why) {
  lsp_chapters_begin(&f->chapters, t, bytes);
  lsp_sentences_begin(&f->sentences, t);
  lsp_words_begin(&f->words);
  lsp_cut_begin(&f->cut);
  return lsp_since_begin(&f->since)
             ? LSP_OK
             : lsp_fail(why, LSP_E_MEMORY, "no memory for words");
}

static void end_text(findings *f) {
  lsp_chapters_end(&f->chapters);
  lsp_sentences_end(&f->sentences);
  if (lsp_cut_end(&f->cut))
    look_at_word(f);
}

static lsp_status look_at_all(lsp_show *s, findings *f, lsp_failure *why) {
  for (int64_t t = 0; t < s->texts; t++) {
    LSP_TRY(begin_text(f, t, lsp_show_bytes(s, t), why));
    LSP_TRY(lsp_show_walk(s, t, look_at, f, why));
    end_text(f);
    if (f->chapters.failed)
      return lsp_fail(why, LSP_E_MEMORY, "no memory for the chapters");
    if (f->failed)
      return lsp_fail(why, LSP_E_MEMORY, "no memory for the words of %.300s",
                      lsp_show_full_name(s, t));
  }
  return LSP_OK;
}

/* The end of the chapters that are of the same text as chapter `first`. */
static int64_t end_of_text(const lsp_chapters *c, int64_t first) {
  int64_t end = first;
  while (end < c->count && c->chapter[end].text == c->chapter[first].text)
    end++;
  return end;
}

/* Prints a row for each text, as if the texts were the chapters of one book. */
static lsp_status print_texts(const lsp_show *s, const findings *f, lsp_failure *why) {
  const lsp_chapters *c = &f->chapters;
  lsp_chapters texts = {.count = s->texts};
  texts.chapter = calloc((size_t)texts.count + 1, sizeof *texts.chapter);
  if (texts.chapter == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for the texts");
  for (int64_t t = 0; t < texts.count; t++)
    lsp_shortened(lsp_show_full_name(s, t), texts.chapter[t].title, 28);
  for (int64_t i = 0; i < c->count; i++) {
    lsp_chapter *text = &texts.chapter[c->chapter[i].text];
    text->bytes += c->chapter[i].bytes;
    text->bits += c->chapter[i].bits;
    text->gain += c->chapter[i].gain;
  }
  (void)printf("Bits per byte by text%s\n\n", f->with_gain ? ", change by memory" : "");
  lsp_chapters_print(&texts, 0, texts.count, f->with_gain);
  lsp_chapters_free(&texts);
  return LSP_OK;
}

static void print_chapters(const lsp_show *s, const findings *f) {
  const lsp_chapters *c = &f->chapters;
  char name[44];
  for (int64_t first = 0; first < c->count; first = end_of_text(c, first)) {
    lsp_shortened(lsp_show_full_name(s, c->chapter[first].text), name, sizeof name - 1);
    (void)printf("%sBits per byte%s: %s\n\n", first > 0 ? "\n" : "",
                 f->with_gain ? ", change by memory" : "", name);
    lsp_chapters_print(c, first, end_of_text(c, first), f->with_gain);
  }
}

static lsp_status print_all(const lsp_show *s, findings *f, lsp_failure *why) {
  if (s->texts > CHARTS)
    LSP_TRY(print_texts(s, f, why));
  else
    print_chapters(s, f);
  lsp_since_print(&f->since, &f->cut.between, f->with_gain);
  if (f->sentences.count > 0)
    (void)puts("\nThe most surprising sentences");
  lsp_sentences_print(&f->sentences, s);
  if (f->with_gain) {
    (void)puts("\nThe words that memory helped most\n");
    lsp_words_print(&f->words);
  }
  return LSP_OK;
}

static lsp_status check_page(const char *page, const char *path, lsp_failure *why) {
  struct stat written, read;
  if (page == NULL || path == NULL || stat(page, &written) != 0 ||
      stat(path, &read) != 0 || written.st_ino != read.st_ino ||
      written.st_dev != read.st_dev)
    return LSP_OK;
  return lsp_fail(why, LSP_E_INPUT,
                  "%.300s: is read for the page (as %.300s), so it cannot be the page; "
                  "name another --html",
                  page, path);
}

/* The page must be none of the files that it is made from. */
static lsp_status check_pages(const show_options *o, const char *path,
                              const lsp_show *s, lsp_failure *why) {
  LSP_TRY(check_page(o->html, path, why));
  LSP_TRY(check_page(o->html, o->baseline, why));
  for (int64_t t = 0; s->text != NULL && t < s->texts; t++)
    LSP_TRY(check_page(o->html, lsp_corpus_document(s->text, t).path, why));
  return LSP_OK;
}

static lsp_status show(const show_options *o, const char *const *input, int inputs,
                       lsp_failure *why) {
  lsp_show s;
  findings *f = calloc(1, sizeof *f);
  if (f == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory to show anything");
  f->with_gain = o->baseline != NULL;
  lsp_status st = lsp_show_open(&s, input[0], o->baseline, input + 1, inputs - 1, why);
  if (st == LSP_OK)
    st = check_pages(o, input[0], &s, why);
  if (st == LSP_OK)
    st = lsp_words_open(&f->words, why);
  if (st == LSP_OK)
    st = look_at_all(&s, f, why);
  if (st == LSP_OK)
    st = print_all(&s, f, why);
  if (st == LSP_OK && o->html != NULL)
    st = lsp_show_html(&s, &f->chapters, o->html, why);
  if (st == LSP_OK && o->html != NULL) {
    (void)puts("");
    lsp_print_line(stdout, "The text in colours: %s", o->html);
  }
  lsp_words_free(&f->words);
  lsp_since_free(&f->since);
  lsp_chapters_free(&f->chapters);
  free(f);
  lsp_show_close(&s);
  return st;
}

int lsp_cmd_show(int argc, char **argv) {
  show_options options;
  lsp_failure why = {0};
  int inputs = 0;
  if (lsp_answered(stdout, &show_command, argc, argv))
    return 0;
  const char **input = calloc((size_t)argc + 1, sizeof *input);
  lsp_status st = input != NULL ? LSP_OK : lsp_fail(&why, LSP_E_MEMORY, "no memory");
  if (st == LSP_OK)
    st = lsp_parse(&show_command, argc, argv, &options, input, &inputs, &why);
  if (st == LSP_OK && inputs < 1)
    st = lsp_fail(&why, LSP_E_USAGE,
                  "show takes FILE.h5 and, if only some texts are to be shown, these");
  if (st == LSP_OK)
    st = show(&options, input, inputs, &why);
  free(input);
  return st == LSP_OK ? 0 : lsp_complain(&why);
}
