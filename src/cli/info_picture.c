/* What the layers of a model see, drawn: for each kind of layer (and of heads, where
 * windows differ) a square, queries from top to bottom, keys from left to right.
 *
 *   0 ......... key
 *   . #              # seen of the run that ends at the query
 *   . ##             o seen of the first positions
 *   . o##
 *   query            all squares are of one scale, so that they can be compared
 *
 * What must hold: the bytes depend on the model alone; no fonts, no links, no scripts. */
#include "cli.h"
#include "info.h"
#include "model_words.h"

#include "lsp/durable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  LEAST = 16,  /* positions that are drawn */
  CELLS = 48,  /* of a side, at most */
  SIDE = 240,  /* of the square */
  GAP = 40,    /* between pictures */
  LABEL = 70,  /* above a square */
  MARGIN = 28, /* around all */
  AXIS = 20,   /* below a square */
  FOOT = 62,   /* below all */
  COLUMNS = 4,
  LINE = 17,
  LETTERS = 34, /* of a line above a square */
  LINES = 3,
  PICTURES = 64, /* more are not drawn */
  SAID_SIZE = 1024
};

static const char ink[] = "#1f2933", grey[] = "#66737f", frame[] = "#aab4be";

/* One square. */
typedef struct {
  const lsp_layer *layer;
  lsp_view view;
  int first;       /* the first layer that sees so */
  int head, heads; /* from `head` to before `heads`; all: 0 to H */
  int branch;      /* the view's branch, where they are not in one softmax; -1 */
} picture;

typedef struct {
  const lsp_model *model;
  FILE *f;
  picture list[PICTURES];
  int count, more;
  int cells;    /* of a side */
  int64_t each; /* positions of a cell */
} drawing;

/* --- what is drawn --------------------------------------------------------------- */

static void add_picture(drawing *d, picture p) {
  if (d->count < PICTURES)
    d->list[d->count++] = p;
  else
    d->more++;
}

static void list_layer(drawing *d, int i) {
  const lsp_layer *l = &d->model->layer[i];
  picture p = {.layer = l, .first = i, .branch = -1};
  lsp_view view[LSP_BRANCHES_MAX];
  const int views = lsp_layer_views(l, view);
  for (int v = 0; v < views; v++) {
    p.view = view[v];
    p.branch = views > 1 ? v : -1;
    for (p.head = 0; p.head < l->heads.query; p.head = p.heads) {
      p.heads = lsp_words_heads_end(l, p.head);
      add_picture(d, p);
    }
  }
}

/* A little more than twice as far as any branch looks back that does not look back to the
 * beginning. */
static void choose_scale(drawing *d) {
  int64_t most = 0;
  for (int i = 0; i < d->model->layers; i++)
    for (int b = 0; b < d->model->layer[i].branches; b++) {
      const lsp_pattern *p = &d->model->layer[i].branch[b];
      const int64_t reach = lsp_pattern_of(p)->reach(p);
      most = lsp_max(most, reach == LSP_REACH_ALL ? 0 : reach + 1);
      most = lsp_max(most, p->sinks);
    }
  const int64_t length = lsp_max(most + most / 5 * 6 + most % 5, LEAST);
  d->each = lsp_divide_up(length, CELLS);
  d->cells = (int)lsp_divide_up(length, d->each);
}

/* --- squares --------------------------------------------------------------------- */

typedef enum { PAST, FIXED, RUN } shade;
static const char *const colour[] = {
    [PAST] = "#e8edf3", [FIXED] = "#dd7a16", [RUN] = "#2b6cb0"};

/* Cells of a row, [first, end) of the keys, that are of a shade. A cell is filled if one
 * of its queries sees one of its keys. What a query sees begins no earlier than what the
 * query before it sees, so that a row's first query has the first key of the run, and its
 * last one the most of the fixed keys. */
static lsp_keys cells_of(const drawing *d, const picture *p, shade of, int64_t row) {
  const int64_t query = row * d->each, last = query + d->each - 1;
  const lsp_keys run = lsp_view_run(&p->view, p->head, query);
  const lsp_keys fixed = lsp_view_fixed(&p->view, p->head, last);
  const int64_t first = p->view.runs > 0 ? lsp_max(run.first, 0) / d->each : row + 1;
  const int64_t end = lsp_min(lsp_divide_up(lsp_max(fixed.end, 0), d->each), first);
  if (of == FIXED)
    return (lsp_keys){0, end};
  return of == RUN ? (lsp_keys){first, row + 1} : (lsp_keys){end, first};
}

/* Rows that are alike are drawn as one. */
static void draw_shade(const drawing *d, const picture *p, shade of) {
  (void)fprintf(d->f, "<path fill=\"%s\" d=\"", colour[of]);
  for (int row = 0, end; row < d->cells; row = end) {
    const lsp_keys k = cells_of(d, p, of, row);
    for (end = row + 1; end < d->cells; end++) {
      const lsp_keys next = cells_of(d, p, of, end);
      if (next.first != k.first || next.end != k.end)
        break;
    }
    if (k.first < k.end)
      (void)fprintf(d->f, "M%lld %dH%lldV%dH%lldz", (long long)k.first, row,
                    (long long)k.end, end, (long long)k.first);
  }
  (void)fputs("\"/>\n", d->f);
}

static void draw_square(const drawing *d, const picture *p) {
  (void)fprintf(d->f, "<g transform=\"scale(%.6g)\">\n", (double)SIDE / d->cells);
  draw_shade(d, p, PAST);
  draw_shade(d, p, FIXED);
  draw_shade(d, p, RUN);
  (void)fprintf(d->f, "<path stroke=\"#fff\" stroke-width=\".1\" d=\"");
  for (int i = 1; i < d->cells; i++)
    (void)fprintf(d->f, "M0 %dH%dM%d 0V%d", i, d->cells, i, d->cells);
  (void)fprintf(d->f,
                "\"/>\n</g>\n<rect width=\"%d\" height=\"%d\" fill=\"none\" "
                "stroke=\"%s\"/>\n",
                SIDE, SIDE, frame);
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

/* Of a layer that has the heads of the picture alone. */
static void sight_of(const picture *p, char *text, size_t size) {
  lsp_layer one = *p->layer;
  for (int b = 0; b < one.branches; b++) {
    one.branch[b].window = lsp_window_of(&p->layer->branch[b], p->head);
    one.branch[b].windows = NULL;
  }
  if (p->branch >= 0)
    lsp_words_branch(&one, p->branch, text, size);
  else
    lsp_words_sight(&one, text, size);
}

static void name_of(const drawing *d, const picture *p, char *text, size_t size) {
  static const char *const merged[] = {
      [LSP_MERGE_SOFTMAX] = "", [LSP_MERGE_GATE] = "gated", [LSP_MERGE_SUM] = "added"};
  const int end = p->heads;
  lsp_words_layers(d->model, lsp_words_alike, p->first, text, size);
  text[0] = 'L';
  if (end - p->head < p->layer->heads.query) {
    lsp_words_add(text, size, ", head%s %d", end > p->head + 1 ? "s" : "", p->head);
    if (end > p->head + 1)
      lsp_words_add(text, size, end > p->head + 2 ? " to %d" : ", %d", end - 1);
  }
  if (p->branch >= 0)
    lsp_words_add(text, size, ", branch %d, %s", p->branch + 1,
                  merged[p->layer->merge]);
}

/* To one line. */
static void shorten(char *text) {
  if (strlen(text) > LETTERS)
    memcpy(text + LETTERS - 3, "...", sizeof "...");
}

static void draw_picture(const drawing *d, const picture *p, int x, int y) {
  char name[SAID_SIZE], sight[SAID_SIZE], number[LSP_NUMBER_SIZE];
  name_of(d, p, name, sizeof name);
  sight_of(p, sight, sizeof sight);
  (void)fprintf(d->f, "<g transform=\"translate(%d %d)\" class=\"picture\">\n", x, y);
  shorten(name);
  put_line(d, -12 - LINE * lines_of(sight), "font-weight=\"bold\"", name, strlen(name));
  put_wrapped(d, sight);
  draw_square(d, p);
  (void)fprintf(d->f,
                "<g fill=\"%s\" font-size=\"11\"><text y=\"%d\">0</text>"
                "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text></g>\n</g>\n",
                grey, SIDE + 15, SIDE, SIDE + 15,
                lsp_grouped(d->cells * d->each, number));
}

/* --- all of it ------------------------------------------------------------------- */

static void put_key(const drawing *d, int x, const char *fill, const char *text) {
  (void)fprintf(d->f,
                "<rect x=\"%d\" y=\"-10\" width=\"12\" height=\"12\" fill=\"%s\"/>"
                "<text x=\"%d\">%s</text>\n",
                x, fill, x + 18, text);
}

static void draw_foot(const drawing *d, int y) {
  char said[SAID_SIZE] = "", n[LSP_NUMBER_SIZE];
  int any_fixed = 0;
  for (int i = 0; i < d->count; i++)
    any_fixed = any_fixed || d->list[i].view.fixed != NULL;
  (void)fprintf(d->f, "<g transform=\"translate(%d %d)\">\n", MARGIN, y);
  put_key(d, 0, colour[RUN], "seen");
  put_key(d, 72, colour[PAST], "not seen");
  if (any_fixed)
    put_key(d, 168, colour[FIXED], "first positions");
  lsp_words_add(said, sizeof said, "Down: queries. Across: keys.");
  if (d->each > 1)
    lsp_words_add(said, sizeof said, " A cell: %s positions.", lsp_grouped(d->each, n));
  if (d->more > 0)
    lsp_words_add(said, sizeof said, " %d more not drawn.", d->more);
  put_line(d, 24, "font-size=\"12\"", said, strlen(said));
  (void)fputs("</g>\n", d->f);
}

static void draw_all(drawing *d) {
  const int columns = (int)lsp_max(1, lsp_min(d->count, COLUMNS));
  const int rows = (int)lsp_divide_up(d->count, COLUMNS);
  const int row = LABEL + SIDE + AXIS + MARGIN / 2;
  const int width = 2 * MARGIN + columns * SIDE + (columns - 1) * GAP;
  const int height = MARGIN / 2 + rows * row + FOOT;
  (void)fprintf(d->f,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\" "
                "fill=\"%s\">\n<title>What a token sees</title>\n"
                "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
                width, height, width, height, ink, width, height);
  for (int i = 0; i < d->count; i++)
    draw_picture(d, &d->list[i], MARGIN + i % COLUMNS * (SIDE + GAP),
                 MARGIN / 2 + i / COLUMNS * row + LABEL);
  draw_foot(d, height - FOOT / 2 - 8);
  (void)fputs("</svg>\n", d->f);
}

static lsp_status no_memory(lsp_failure *why) {
  return lsp_fail(why, LSP_E_MEMORY, "no memory to draw what layers see");
}

lsp_status lsp_info_picture(const lsp_model *model, const char *path,
                            lsp_failure *why) {
  char *text = NULL;
  size_t bytes = 0;
  drawing *d = calloc(1, sizeof *d);
  if (d == NULL)
    return no_memory(why);
  d->model = model;
  d->f = open_memstream(&text, &bytes);
  if (d->f == NULL) {
    free(d);
    return no_memory(why);
  }
  for (int i = 0; i < model->layers; i++)
    if (lsp_words_is_first(model, i))
      list_layer(d, i);
  choose_scale(d);
  draw_all(d);
  lsp_status st = fclose(d->f) == 0 ? LSP_OK : no_memory(why);
  if (st == LSP_OK)
    st = lsp_replace_file(path, text, bytes, why);
  free(text);
  free(d);
  return st;
}
