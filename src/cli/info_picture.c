/* What the layers of a model see, drawn: for each kind of layer (and of heads, where
 * windows differ) a square, queries from top to bottom, keys from left to right. Without a
 * model, an example of each kind of branch.
 *
 *   0 ......... key
 *   . #              # seen of the run that ends at the query
 *   . ##             o seen of the first positions
 *   . o##            and other colours, by lsp_seen_how
 *   query            all squares are of one scale, so that they can be compared
 *
 * A row of cells shows what its last query sees (or a global one among them); a cell is
 * filled if one of its keys is seen.
 *
 * What must hold: the bytes depend on the model alone; no fonts, no links, no scripts. */
#include "info_picture.h"
#include "cli.h"
#include "info.h"
#include "model_words.h"

#include "lsp/durable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  LEAST = 16,      /* positions that are drawn */
  CELLS = 48,      /* of a side, at most */
  CELLS_MOST = 64, /* of a side of an example */
  SIDE = 240,      /* of the square */
  GAP = 40,        /* between pictures */
  LABEL = 87,      /* above a square */
  MARGIN = 28,     /* around all */
  AXIS = 20,       /* below a square */
  BAR = 8,         /* of slots, beside it */
  FOOT = 44,       /* below all, and KEY_LINE for each line of colours */
  KEY_LINE = 20,
  COLUMNS = 4,
  LINE = 17,
  LETTERS = 34, /* of a line above a square */
  LINES = 4,
  SAID_SIZE = 1024
};

/* What a cell shows; the higher one wins. Averages of finer levels, and larger weights, are
 * higher and darker. */
typedef enum {
  AHEAD,
  UNSEEN,
  HELD,
  COMPARED,
  POOLED,
  POOLED_LAST = POOLED + 3,
  FAINT,
  FAINT_LAST = FAINT + LSP_SEEN_WHOLE - 2,
  RANDOM,
  CHOSEN,
  FIXED,
  RUN,
  GLOBAL,
  TONES,
  SLOTS = TONES, /* of no cell */
  KEYS
} tone;

static const char *const colour[TONES] = {[UNSEEN] = "#e8edf3",
                                          [HELD] = "#d9d3a8",
                                          [COMPARED] = "#f3d3da",
                                          [POOLED] = "#b6d6d7",
                                          "#84bebb",
                                          "#51a69f",
                                          "#1f8f83",
                                          [FAINT] = "#d0ddeb",
                                          "#b9cde2",
                                          "#a1bdda",
                                          "#8aacd2",
                                          "#729cc9",
                                          "#5a8cc1",
                                          "#437cb8",
                                          [RANDOM] = "#8e5bb5",
                                          [CHOSEN] = "#c0395a",
                                          [FIXED] = "#dd7a16",
                                          [RUN] = "#2b6cb0",
                                          [GLOBAL] = "#e0a800"};

enum { BEGINS = 1, GOES_ON };

static const char slots[] = "#7a8f3c";
static const char ink[] = "#1f2933", grey[] = "#66737f", frame[] = "#aab4be";

typedef struct {
  FILE *f;
  lsp_pictures list;
  int shows[KEYS]; /* 1: some cell does, or a bar */
  /* (cells, cells) of the square under way. average: of one that is wider than a cell
   * BEGINS the first cell, GOES_ON the others */
  unsigned char cell[CELLS_MOST][CELLS_MOST], average[CELLS_MOST][CELLS_MOST];
} drawing;

/* --- what is drawn --------------------------------------------------------------- */

lsp_picture *lsp_pictures_add(lsp_pictures *list) {
  if (list->count == LSP_PICTURES) {
    list->more++;
    return NULL;
  }
  lsp_picture *p = &list->list[list->count++];
  memset(p, 0, sizeof *p);
  return p;
}

/* --- words of a layer ------------------------------------------------------------ */

/* Of a layer that has one head alone. */
static void say_sight(const lsp_layer *layer, int head, int branch, char *text,
                      size_t size) {
  lsp_layer one = *layer;
  one.heads.query = 1;
  if (layer->span != NULL)
    one.span = layer->span + head;
  for (int b = 0; b < one.branches; b++) {
    if (one.branch[b].kind == LSP_PATTERN_LOCAL)
      one.branch[b].window = lsp_window_of(&layer->branch[b], head);
    one.branch[b].windows = NULL;
  }
  if (branch >= 0)
    lsp_words_branch(&one, branch, text, size);
  else
    lsp_words_sight(&one, text, size);
}

/* Heads [head, end) of the layers like layer i; branch -1: of all branches. */
static void say_name(const lsp_model *model, int i, lsp_keys heads, int branch,
                     char *text, size_t size) {
  static const char *const merged[] = {[LSP_MERGE_SOFTMAX] = "",
                                       [LSP_MERGE_GATE] = "gated",
                                       [LSP_MERGE_SUM] = "added",
                                       [LSP_MERGE_INPUT] = "gated by token",
                                       [LSP_MERGE_CONCAT] = "side by side",
                                       [LSP_MERGE_MEMORY] = "memory gated"};
  const int head = (int)heads.first, end = (int)heads.end;
  lsp_words_layers(model, lsp_words_alike, i, text, size);
  text[0] = 'L';
  if (end - head < model->layer[i].heads.query) {
    lsp_words_add(text, size, ", head%s %d", end > head + 1 ? "s" : "", head);
    if (end > head + 1)
      lsp_words_add(text, size, end > head + 2 ? " to %d" : ", %d", end - 1);
  }
  if (branch >= 0)
    lsp_words_add(text, size, ", branch %d, %s", branch + 1,
                  merged[model->layer[i].merge]);
}

/* --- layers ---------------------------------------------------------------------- */

static lsp_sight_kind sight_of(const lsp_pattern *p) {
  static const lsp_sight_kind kind[LSP_PATTERNS] = {
      [LSP_PATTERN_GLOBAL] = LSP_SIGHT_GLOBAL,
      [LSP_PATTERN_RANDOM] = LSP_SIGHT_RANDOM,
      [LSP_PATTERN_CHOSEN] = LSP_SIGHT_CHOSEN,
      [LSP_PATTERN_COMPRESSED] = LSP_SIGHT_COMPRESSED,
      [LSP_PATTERN_SELECTED] = LSP_SIGHT_SELECTED,
      [LSP_PATTERN_LEVELS] = LSP_SIGHT_LEVELS,
      [LSP_PATTERN_DYNAMIC] = LSP_SIGHT_DYNAMIC,
      [LSP_PATTERN_LEARNED] = LSP_SIGHT_LEARNED,
      [LSP_PATTERN_STORE] = LSP_SIGHT_STORE,
      [LSP_PATTERN_COMPRESSED_PAST] = LSP_SIGHT_PAST,
      [LSP_PATTERN_COMPRESSIVE] = LSP_SIGHT_HELD};
  return kind[p->kind];
}

/* How a branch is drawn: the one place that a new kind of pattern has to be told to. */
static lsp_sight_part part_of(const lsp_layer *l, const lsp_pattern *p, int head) {
  lsp_sight_part part = {.kind = sight_of(p),
                         .pattern = p,
                         .positions = p->positions,
                         .count = p->positions != NULL ? p->position_count : p->sinks,
                         .blocks = p->blocks,
                         .beyond = p->beyond,
                         .reach = p->block_reach,
                         .seed = p->seed,
                         .pool = p->pool,
                         .levels = p->levels,
                         .window = p->window,
                         .ramp = p->ramp};
  if (p->kind == LSP_PATTERN_DYNAMIC && l->span != NULL)
    part.window = lsp_words_span(l, p, head);
  return part;
}

/* A text that is read in segments. */
static void put_segments(lsp_sight *s, const lsp_model *model) {
  const lsp_wrapper *w = &model->wrapper;
  s->segment = w->segment;
  s->again = w->kind == LSP_WRAP_INPUT ? w->rows : 0;
  s->before = model->prefixes + (w->kind == LSP_WRAP_TOKENS ? w->rows : 0);
  s->holds = w->kind == LSP_WRAP_ASSOCIATIVE || w->kind == LSP_WRAP_TOKENS;
}

/* What the heads of a layer see of one branch, or of all (-1). */
static void list_heads(lsp_pictures *list, const lsp_model *model, int i, int branch) {
  const lsp_layer *l = &model->layer[i];
  for (int head = 0, end; head < l->heads.query; head = end) {
    end = lsp_words_heads_end(l, head);
    lsp_picture *p = lsp_pictures_add(list);
    if (p == NULL)
      continue;
    p->sight.two_sided = model->two_sided;
    p->sight.layer = i;
    p->sight.head = head;
    put_segments(&p->sight, model);
    for (int b = 0; b < l->branches; b++)
      if (branch < 0 || b == branch)
        p->sight.part[p->sight.parts++] = part_of(l, &l->branch[b], head);
    say_name(model, i, (lsp_keys){head, end}, branch, p->name, sizeof p->name);
    say_sight(l, head, branch, p->says, sizeof p->says);
  }
}

/* Branches that are not in one softmax are drawn one by one. */
static void list_layers(lsp_pictures *list, const lsp_model *model) {
  for (int i = 0; i < model->layers; i++) {
    const lsp_layer *l = &model->layer[i];
    const int apart = l->merge != LSP_MERGE_SOFTMAX && l->branches > 1;
    if (!lsp_words_is_first(model, i))
      continue;
    for (int b = 0; apart && b < l->branches; b++)
      list_heads(list, model, i, b);
    if (!apart)
      list_heads(list, model, i, -1);
  }
}

/* A little more than twice as far as any branch looks back that does not look back to the
 * beginning. */
static void choose_scale(lsp_pictures *list) {
  int64_t most = 0;
  for (int i = 0; i < list->count; i++)
    most = lsp_max(most, list->list[i].sight.segment + list->list[i].sight.again);
  for (int i = 0; i < list->count; i++)
    for (int b = 0; b < list->list[i].sight.parts; b++)
      most = lsp_max(most, lsp_sight_reach(&list->list[i].sight.part[b]));
  const int64_t length = lsp_max(most + most / 5 * 6 + most % 5, LEAST);
  list->each = lsp_divide_up(length, CELLS);
  list->cells = (int)lsp_divide_up(length, list->each);
}

/* --- cells ----------------------------------------------------------------------- */

static tone tone_of(const lsp_seen *seen) {
  static const tone of[] = {[LSP_SEEN_RANDOM] = RANDOM, [LSP_SEEN_CHOSEN] = CHOSEN,
                            [LSP_SEEN_HELD] = HELD,     [LSP_SEEN_COMPARED] = COMPARED,
                            [LSP_SEEN_FIXED] = FIXED,   [LSP_SEEN_RUN] = RUN,
                            [LSP_SEEN_GLOBAL] = GLOBAL};
  if (seen->how == LSP_SEEN_POOLED)
    return (tone)lsp_max(POOLED, POOLED_LAST + 1 - seen->level);
  return seen->weight < LSP_SEEN_WHOLE ? (tone)(FAINT + seen->weight - 1)
                                       : of[seen->how];
}

typedef struct {
  drawing *d;
  int row;
} cells_row;

static void fill(const cells_row *r, int64_t first, int64_t end, tone t) {
  unsigned char *cell = r->d->cell[r->row];
  for (int64_t k = lsp_max(first, 0); k < lsp_min(end, r->d->list.cells); k++)
    cell[k] = cell[k] < t ? (unsigned char)t : cell[k];
}

/* Averages of more rows than a cell: coarser cells, each from where the one before it
 * ends. */
static void fill_coarse(const cells_row *r, const lsp_seen *seen) {
  const lsp_pictures *list = &r->d->list;
  const int64_t drawn = list->cells * list->each;
  for (int64_t key = seen->first; key < lsp_min(seen->end, drawn); key += seen->unit) {
    const int64_t first = (key + list->each / 2) / list->each;
    const int64_t end = (key + seen->unit + list->each / 2) / list->each;
    fill(r, first, end, tone_of(seen));
    for (int64_t k = first; k < lsp_min(end, list->cells); k++)
      r->d->average[r->row][k] = k == first ? BEGINS : GOES_ON;
  }
}

static void fill_seen(const lsp_seen *seen, void *arg) {
  const cells_row *r = arg;
  const int64_t each = r->d->list.each;
  if (seen->unit > each)
    fill_coarse(r, seen);
  else
    fill(r, seen->first / each, lsp_divide_up(seen->end, each), tone_of(seen));
}

static void fill_cells(drawing *d, const lsp_sight *sight) {
  memset(d->cell, 0, sizeof d->cell);
  memset(d->average, 0, sizeof d->average);
  for (int row = 0; row < d->list.cells; row++) {
    cells_row r = {.d = d, .row = row};
    fill(&r, 0, sight->two_sided ? d->list.cells : row + 1, UNSEEN);
    const int64_t query =
        lsp_sight_speaker(sight, row * d->list.each, (row + 1) * d->list.each);
    lsp_sight_of(sight, query, fill_seen, &r);
  }
}

/* Which tones there are in the square. */
static void note_tones(const drawing *d, int has[TONES]) {
  for (int row = 0; row < d->list.cells; row++)
    for (int k = 0; k < d->list.cells; k++)
      has[d->cell[row][k]] = 1;
}

/* --- squares --------------------------------------------------------------------- */

static int rows_alike(const drawing *d, tone t, int a, int b) {
  for (int k = 0; k < d->list.cells; k++)
    if ((d->cell[a][k] == t) != (d->cell[b][k] == t))
      return 0;
  return 1;
}

/* Rows that are alike are drawn as one. */
static void draw_tone(const drawing *d, tone t) {
  const int cells = d->list.cells;
  for (int row = 0, end; row < cells; row = end) {
    for (end = row + 1; end < cells && rows_alike(d, t, row, end); end++)
      ;
    for (int k = 0, stop; k < cells; k = stop) {
      const int is = d->cell[row][k] == t;
      for (stop = k + 1; stop < cells && (d->cell[row][stop] == t) == is; stop++)
        ;
      if (is)
        (void)fprintf(d->f, "M%d %dH%dV%dH%dz", k, row, stop, end, k);
    }
  }
}

/* The lines between cells. */
static void draw_lines(const drawing *d) {
  (void)fprintf(d->f, "<path stroke=\"#fff\" stroke-width=\".1\" d=\"");
  for (int i = 1; i < d->list.cells; i++)
    (void)fprintf(d->f, "M0 %dH%dM%d 0V%d", i, d->list.cells, i, d->list.cells);
  (void)fputs("\"/>\n", d->f);
}

/* 1: cell k of a row has the border of an average of this tone at its left (BEGINS), or
 * lies within one, as the cell at its left does (GOES_ON). */
static int is_average(const drawing *d, tone t, int part, int row, int k) {
  return d->cell[row][k] == t && d->average[row][k] == part &&
         (part == BEGINS || d->cell[row][k - 1] == t);
}

/* Averages of this tone are coarser cells: their borders are drawn over the lines, and
 * what lines are within them is covered. */
static void draw_averages(const drawing *d, tone t, int part) {
  (void)fprintf(d->f, "<path stroke=\"%s\" stroke-width=\"%s\" d=\"",
                part == BEGINS ? "#fff" : colour[t], part == BEGINS ? ".3" : ".2");
  for (int k = 1; k < d->list.cells; k++)
    for (int row = 0, end; row < d->list.cells; row = end) {
      end = row + 1;
      if (!is_average(d, t, part, row, k))
        continue;
      while (end < d->list.cells && is_average(d, t, part, end, k))
        end++;
      if (part == BEGINS)
        (void)fprintf(d->f, "M%d %dV%d", k, row, end);
      else
        (void)fprintf(d->f, "M%d %d.05v.9", k, row);
      for (int next = row + 1; part == GOES_ON && next < end; next++)
        (void)fputs("m0 .1v.9", d->f);
    }
  (void)fputs("\"/>\n", d->f);
}

/* Slots have no place among the keys: a bar beside them. */
static int has_slots(const lsp_sight *sight) {
  for (int k = 0; k < sight->parts; k++)
    if (sight->part[k].kind == LSP_SIGHT_LEARNED)
      return 1;
  return 0;
}

static void draw_slots(const drawing *d) {
  (void)fprintf(d->f, "<rect x=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n",
                -BAR - 4, BAR, SIDE, slots);
}

static void draw_square(drawing *d, const lsp_picture *p) {
  int has[TONES] = {0};
  fill_cells(d, &p->sight);
  note_tones(d, has);
  (void)fprintf(d->f, "<g transform=\"scale(%.6g)\">\n", (double)SIDE / d->list.cells);
  for (tone t = UNSEEN; t < TONES; t++) {
    if (!has[t])
      continue;
    (void)fprintf(d->f, "<path fill=\"%s\" d=\"", colour[t]);
    draw_tone(d, t);
    (void)fputs("\"/>\n", d->f);
  }
  draw_lines(d);
  for (tone t = POOLED; t <= POOLED_LAST; t++) {
    if (!has[t])
      continue;
    draw_averages(d, t, GOES_ON);
    draw_averages(d, t, BEGINS);
  }
  (void)fprintf(d->f,
                "</g>\n<rect width=\"%d\" height=\"%d\" fill=\"none\" "
                "stroke=\"%s\"/>\n",
                SIDE, SIDE, frame);
  if (has_slots(&p->sight))
    draw_slots(d);
}

/* --- words ----------------------------------------------------------------------- */

static void put_escaped(FILE *f, const char *text, size_t n) {
  for (size_t i = 0; i < n; i++) {
    switch (text[i]) {
    case '&':
      (void)fputs("&amp;", f);
      break;
    case '<':
      (void)fputs("&lt;", f);
      break;
    case '>':
      (void)fputs("&gt;", f);
      break;
    default:
      (void)fputc(text[i], f);
    }
  }
}

/* Words as long as they fit on a line. */
static size_t line_of(const char *text, size_t letters) {
  size_t n = strlen(text);
  if (n <= letters)
    return n;
  for (n = letters; n > 0 && text[n] != ' '; n--)
    ;
  return n > 0 ? n : letters;
}

static void put_line(const drawing *d, double y, const char *style, const char *text,
                     size_t n) {
  (void)fprintf(d->f, "<text y=\"%.0f\" %s>", y, style);
  put_escaped(d->f, text, n);
  (void)fputs("</text>\n", d->f);
}

/* Lines that end just above the square. */
static void put_wrapped(const drawing *d, const char *text) {
  const char *from[LINES];
  size_t bytes[LINES];
  int lines = 0;
  for (; *text != '\0' && lines < LINES; lines++) {
    from[lines] = text;
    bytes[lines] = line_of(text, LETTERS);
    text += bytes[lines];
    text += *text == ' ';
  }
  for (int i = 0; i < lines; i++)
    put_line(d, -10 - LINE * (lines - 1 - i), "", from[i], bytes[i]);
}

static int lines_of(const char *text) {
  int lines = 0;
  for (; *text != '\0' && lines < LINES; lines++) {
    text += line_of(text, LETTERS);
    text += *text == ' ';
  }
  return lines;
}

/* To one line. */
static void shorten(char *text) {
  if (strlen(text) > LETTERS)
    memcpy(text + LETTERS - 3, "...", sizeof "...");
}

static void draw_picture(drawing *d, const lsp_picture *p, int x, int y) {
  char name[sizeof p->name], number[LSP_NUMBER_SIZE];
  (void)snprintf(name, sizeof name, "%s", p->name);
  (void)fprintf(d->f, "<g transform=\"translate(%d %d)\" class=\"picture\">\n", x, y);
  shorten(name);
  put_line(d, -12 - LINE * lines_of(p->says), "font-weight=\"bold\"", name,
           strlen(name));
  put_wrapped(d, p->says);
  draw_square(d, p);
  (void)fprintf(d->f,
                "<g fill=\"%s\" font-size=\"11\"><text y=\"%d\">0</text>"
                "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text></g>\n</g>\n",
                grey, SIDE + 15, SIDE, SIDE + 15,
                lsp_grouped(d->list.cells * d->list.each, number));
}

/* --- all of it ------------------------------------------------------------------- */

/* The colours that there are, on lines of this width; returns how many lines. Without f
 * nothing is drawn. */
static int draw_keys(const drawing *d, FILE *f, int width) {
  static const struct {
    tone t;
    const char *text;
  } key[] = {{RUN, "seen"},
             {UNSEEN, "not seen"},
             {FIXED, "first positions"},
             {GLOBAL, "global"},
             {RANDOM, "drawn at random"},
             {CHOSEN, "chosen (an example)"},
             {POOLED_LAST, "averages (lighter: of more keys)"},
             {COMPARED, "compared"},
             {HELD, "held in a state"},
             {SLOTS, "learned slots"},
             {FAINT + 3, "seen less"}};
  int x = 0, line = 0;
  for (size_t i = 0; i < sizeof key / sizeof key[0]; i++) {
    const int wide = 40 + 7 * (int)strlen(key[i].text);
    if (!d->shows[key[i].t])
      continue;
    if (x > 0 && x + wide > width) {
      x = 0;
      line++;
    }
    if (f != NULL)
      (void)fprintf(f,
                    "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" "
                    "fill=\"%s\"/><text x=\"%d\" y=\"%d\">%s</text>\n",
                    x, line * KEY_LINE - 10,
                    key[i].t == SLOTS ? slots : colour[key[i].t], x + 18,
                    line * KEY_LINE, key[i].text);
    x += wide;
  }
  return line + 1;
}

static void draw_foot(const drawing *d, int y, int width) {
  char said[SAID_SIZE] = "", n[LSP_NUMBER_SIZE];
  (void)fprintf(d->f, "<g transform=\"translate(%d %d)\">\n", MARGIN, y);
  const int lines = draw_keys(d, d->f, width);
  lsp_words_add(said, sizeof said, "Down: queries. Across: keys.");
  if (d->list.each > 1)
    lsp_words_add(said, sizeof said, " A cell: %s positions.",
                  lsp_grouped(d->list.each, n));
  if (d->list.more > 0)
    lsp_words_add(said, sizeof said, " %d more not drawn.", d->list.more);
  put_line(d, 4 + KEY_LINE * lines, "font-size=\"12\"", said, strlen(said));
  (void)fputs("</g>\n", d->f);
}

static void draw_all(drawing *d) {
  const int count = d->list.count;
  const int columns = (int)lsp_max(1, lsp_min(count, COLUMNS));
  const int rows = (int)lsp_divide_up(count, COLUMNS);
  const int row = LABEL + SIDE + AXIS + MARGIN / 2;
  const int inner = columns * SIDE + (columns - 1) * GAP;
  for (int i = 0; i < count; i++) {
    fill_cells(d, &d->list.list[i].sight);
    note_tones(d, d->shows);
    d->shows[SLOTS] |= has_slots(&d->list.list[i].sight);
  }
  const int foot = FOOT + KEY_LINE * draw_keys(d, NULL, inner);
  const int width = 2 * MARGIN + inner, height = MARGIN / 2 + rows * row + foot;
  (void)fprintf(d->f,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\" "
                "fill=\"%s\">\n<title>What a token sees</title>\n"
                "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
                width, height, width, height, ink, width, height);
  for (int i = 0; i < count; i++)
    draw_picture(d, &d->list.list[i], MARGIN + i % COLUMNS * (SIDE + GAP),
                 MARGIN / 2 + i / COLUMNS * row + LABEL);
  draw_foot(d, height - foot + 22, inner);
  (void)fputs("</svg>\n", d->f);
}

static lsp_status no_memory(lsp_failure *why) {
  return lsp_fail(why, LSP_E_MEMORY, "no memory to draw what layers see");
}

static lsp_status draw(drawing *d, const char *path, lsp_failure *why) {
  char *text = NULL;
  size_t bytes = 0;
  d->f = open_memstream(&text, &bytes);
  if (d->f == NULL)
    return no_memory(why);
  for (int i = 0; i < d->list.count; i++)
    d->list.list[i].sight.rows = d->list.cells * d->list.each;
  draw_all(d);
  lsp_status st = fclose(d->f) == 0 ? LSP_OK : no_memory(why);
  if (st == LSP_OK)
    st = lsp_replace_file(path, text, bytes, why);
  free(text);
  return st;
}

lsp_status lsp_info_picture(const lsp_model *model, const char *path,
                            lsp_failure *why) {
  drawing *d = calloc(1, sizeof *d);
  if (d == NULL)
    return no_memory(why);
  if (model != NULL) {
    list_layers(&d->list, model);
    choose_scale(&d->list);
  } else {
    lsp_info_examples(&d->list);
  }
  const lsp_status st = draw(d, path, why);
  free(d);
  return st;
}
