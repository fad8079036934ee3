/* What lies in a file against the sums that lie in it.
 *
 * What must hold: what is read, and in which order it is summed, is what the writers did
 * (lsp/sums.h, lsp_plan_panel_output); the parts of all callers are everything, once. */
#include "lsp/verify.h"

#include "layout_sum.h"
#include "lsp/durable.h"
#include "lsp/sums.h"
#include "lsp/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PIECE = 1 << 22, PLACE = 400, NAME = 200 };

static const char wrong[] = "the checksum is wrong";
static const char unreadable[] = "it cannot be read";

/* Damage that touches is one place: [first, end) of something, 0 rows: none yet. */
typedef struct {
  const lsp_verification *v;
  int64_t of; /* document; or snapshot * layers + layer */
  int64_t first, end;
  int is_unreadable;
  void (*tell)(const lsp_verification *v, int64_t of, int64_t first, int64_t end,
               const char *what);
} damage;

static void end_place(damage *d) {
  if (d->end > d->first)
    d->tell(d->v, d->of, d->first, d->end, d->is_unreadable ? unreadable : wrong);
  d->first = d->end = 0;
}

static void add_place(damage *d, int64_t of, int64_t first, int64_t end,
                      int is_unreadable) {
  const int touches = d->end > d->first && of == d->of && first <= d->end &&
                      is_unreadable == d->is_unreadable;
  if (!touches) {
    end_place(d);
    d->of = of;
    d->first = first;
    d->is_unreadable = is_unreadable;
  }
  d->end = end;
}

static void __attribute__((format(printf, 2, 3)))
tell(const lsp_verification *v, const char *format, ...) {
  char place[PLACE];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(place, sizeof place, format, arguments);
  va_end(arguments);
  v->damaged(v->arg, place);
}

/* "row 3", "rows 3 to 5". */
typedef struct {
  char text[64];
} row_words;

static row_words rows_in_words(int64_t first, int64_t end) {
  row_words w;
  if (end == first + 1)
    (void)snprintf(w.text, sizeof w.text, "row %lld", (long long)first);
  else
    (void)snprintf(w.text, sizeof w.text, "rows %lld to %lld", (long long)first,
                   (long long)end - 1);
  return w;
}

/* Rows [first, first + n) of a dataset. 0: they cannot be read. */
static int read_rows(const lsp_verification *v, int dataset, int64_t first, int64_t n,
                     void *data) {
  const lsp_extent *e = &v->extent[dataset];
  if (n == 0)
    return 1;
  const int64_t bytes = n * e->row_bytes;
  if (lsp_read_at(v->fd, v->path, data, bytes, e->offset + first * e->row_bytes,
                  NULL) != LSP_OK)
    return 0;
  if (v->read != NULL)
    v->read(v->arg, bytes);
  return 1;
}

/* Begin of part p of total things. */
static int64_t cut(int64_t total, int p, int parts) {
  return total / parts * p + total % parts * p / parts;
}

static lsp_status no_memory(const lsp_verification *v, lsp_failure *why) {
  return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to verify it", v->path);
}

/* --- panels ---------------------------------------------------------------------- */

typedef struct {
  int64_t panels;      /* at most, of a piece */
  int64_t width;       /* floats of a hidden row */
  int64_t first;       /* panel of the piece */
  uint64_t *sum;       /* (panels) */
  int32_t *id;         /* (panels * LSP_PANEL) */
  float *nll;          /* (panels * LSP_PANEL + 1) */
  float *hidden;       /* (panels * LSP_PANEL, width) */
  int64_t *start;      /* (panels * LSP_PANEL) */
  int hidden_layers;   /* how many hidden_N there are, */
  int layers;          /* and chosen_N besides */
  int64_t choices;     /* numbers of a row of those */
  int32_t *chosen;     /* (panels * LSP_PANEL, choices) */
  uint64_t *layer_sum; /* (panels, layers) */
} tokens;

static int has(const lsp_verification *v, int dataset) {
  return v->extent[dataset].offset >= 0;
}

static void tell_tokens(const lsp_verification *v, int64_t document, int64_t first,
                        int64_t end, const char *what) {
  char name[NAME] = "";
  if (v->name != NULL) {
    memcpy(name, ", ", 3);
    (void)lsp_text_shown(v->name[document], name + 2, sizeof name - 2);
  }
  tell(v, "%s of /tokens (document %lld%s): %s", rows_in_words(first, end).text,
       (long long)document, name, what);
}

/* The rows that a sum of panels [first, end) is over. */
static lsp_panel_output rows_of(const lsp_verification *v, int64_t first, int64_t end) {
  lsp_panel_output all = lsp_plan_panel_output(v->plan, first);
  const lsp_panel_output last = lsp_plan_panel_output(v->plan, end - 1);
  all.token_end = last.token_end;
  all.nll_end = last.nll_end;
  if (!has(v, LSP_TOKENS_NLL))
    all.nll = all.nll_end = all.token;
  return all;
}

static void mark_panels(const lsp_verification *v, damage *d, int64_t first,
                        int64_t end, int is_unreadable) {
  for (int64_t p = first; p < end; p++) {
    const lsp_panel_output r = rows_of(v, p, p + 1);
    add_place(d, r.document, r.token, lsp_max(r.token_end, r.nll_end), is_unreadable);
  }
}

static uint64_t sum_of(const lsp_verification *v, const tokens *t, int64_t panel,
                       const lsp_panel_output *all) {
  const lsp_panel_output r = rows_of(v, panel, panel + 1);
  const int64_t at = r.token - all->token, n = r.token_end - r.token;
  const lsp_panel_data data = {.id = t->id + at,
                               .ids = has(v, LSP_TOKENS_ID) ? n : 0,
                               .nll = t->nll + (r.nll - all->nll),
                               .nlls = r.nll_end - r.nll,
                               .hidden = t->hidden + at * t->width,
                               .floats = has(v, LSP_TOKENS_HIDDEN) ? n * t->width : 0,
                               .start = t->start + at,
                               .starts = has(v, LSP_TOKENS_BYTE_START) ? n : 0,
                               .layer_sum =
                                   t->layer_sum + (panel - t->first) * t->layers,
                               .layers = t->layers};
  return lsp_sum_panel(&data);
}

/* Rows of a dataset, if the file has it. 0: they cannot be read. */
static int read_if_there(const lsp_verification *v, int dataset, int64_t first,
                         int64_t n, void *data) {
  return read_rows(v, dataset, first, has(v, dataset) ? n : 0, data);
}

/* Rows of hidden_N or chosen_N number i; 0: they cannot be read. */
static int read_layer(const lsp_verification *v, const tokens *t, int i,
                      const lsp_panel_output *all) {
  const int hidden = i < t->hidden_layers;
  return read_rows(v,
                   hidden ? LSP_TOKENS_HIDDEN_LAYER + i
                          : LSP_TOKENS_CHOSEN_LAYER + i - t->hidden_layers,
                   all->token, all->token_end - all->token,
                   hidden ? (void *)t->hidden : (void *)t->chosen);
}

/* The sums of the rows of each hidden_N and chosen_N, panel by panel; uses t->hidden. */
static int read_layers(const lsp_verification *v, const tokens *t, int64_t end,
                       const lsp_panel_output *all) {
  for (int i = 0; i < t->layers; i++) {
    if (!read_layer(v, t, i, all))
      return 0;
    for (int64_t p = t->first; p < end; p++) {
      const lsp_panel_output r = rows_of(v, p, p + 1);
      const int64_t at = r.token - all->token, n = r.token_end - r.token;
      t->layer_sum[(p - t->first) * t->layers + i] =
          i < t->hidden_layers
              ? lsp_sum_hidden(t->hidden + at * t->width, n * t->width)
              : lsp_sum_chosen(t->chosen + at * t->choices, n * t->choices);
    }
  }
  return 1;
}

static void verify_panels(const lsp_verification *v, tokens *t, damage *d,
                          int64_t first, int64_t end) {
  const lsp_panel_output all = rows_of(v, first, end);
  const int64_t n = all.token_end - all.token;
  t->first = first;
  if (!read_rows(v, LSP_INTEGRITY_PANEL, first, end - first, t->sum) ||
      !read_if_there(v, LSP_TOKENS_ID, all.token, n, t->id) ||
      !read_rows(v, LSP_TOKENS_NLL, all.nll, all.nll_end - all.nll, t->nll) ||
      !read_if_there(v, LSP_TOKENS_BYTE_START, all.token, n, t->start) ||
      !read_layers(v, t, end, &all) ||
      !read_if_there(v, LSP_TOKENS_HIDDEN, all.token, n, t->hidden)) {
    mark_panels(v, d, first, end, 1);
    return;
  }
  for (int64_t p = first; p < end; p++)
    if (sum_of(v, t, p, &all) != t->sum[p - first])
      mark_panels(v, d, p, p + 1, 0);
}

/* Which hidden_N and chosen_N there are, and how wide they are. */
static void count_layers(const lsp_verification *v, tokens *t) {
  const int hidden =
      has(v, LSP_TOKENS_HIDDEN) ? LSP_TOKENS_HIDDEN : LSP_TOKENS_HIDDEN_LAYER;
  while (t->hidden_layers < LSP_HIDDEN_MOST &&
         has(v, LSP_TOKENS_HIDDEN_LAYER + t->hidden_layers))
    t->hidden_layers++;
  t->layers = t->hidden_layers;
  while (t->layers - t->hidden_layers < LSP_HIDDEN_MOST &&
         has(v, LSP_TOKENS_CHOSEN_LAYER + t->layers - t->hidden_layers))
    t->layers++;
  if (has(v, hidden))
    t->width = v->extent[hidden].row_bytes / (int64_t)sizeof(float);
  if (t->layers > t->hidden_layers)
    t->choices =
        v->extent[LSP_TOKENS_CHOSEN_LAYER].row_bytes / (int64_t)sizeof(int32_t);
}

static lsp_status verify_tokens(const lsp_verification *v, lsp_failure *why) {
  const int64_t first = cut(v->panel_end, v->part, v->parts);
  const int64_t end = cut(v->panel_end, v->part + 1, v->parts);
  tokens t = {.width = 0};
  if (first == end)
    return LSP_OK;
  count_layers(v, &t);
  const int64_t row = (int64_t)sizeof(float) * (4 + t.width + t.choices);
  t.panels = lsp_max(1, lsp_min(end - first, PIECE / row / LSP_PANEL));
  const size_t rows = (size_t)t.panels * LSP_PANEL;
  t.sum = calloc((size_t)t.panels, sizeof *t.sum);
  t.id = malloc(rows * sizeof *t.id);
  t.nll = malloc((rows + 1) * sizeof *t.nll);
  t.hidden = malloc((rows * (size_t)t.width + 1) * sizeof *t.hidden);
  t.chosen = malloc((rows * (size_t)t.choices + 1) * sizeof *t.chosen);
  t.start = malloc(rows * sizeof *t.start);
  t.layer_sum = malloc(((size_t)t.panels * (size_t)t.layers + 1) * sizeof *t.layer_sum);
  lsp_status status = LSP_OK;
  if (!t.sum || !t.id || !t.nll || !t.hidden || !t.chosen || !t.start || !t.layer_sum) {
    status = no_memory(v, why);
  } else {
    damage d = {.v = v, .tell = tell_tokens};
    for (int64_t p = first; p < end; p += t.panels)
      verify_panels(v, &t, &d, p, lsp_min(p + t.panels, end));
    end_place(&d);
  }
  free(t.sum);
  free(t.id);
  free(t.nll);
  free(t.hidden);
  free(t.chosen);
  free(t.start);
  free(t.layer_sum);
  return status;
}

/* --- documents ------------------------------------------------------------------- */

enum { ROWS_AT_ONCE = 4096 };

static void tell_documents(const lsp_verification *v, int64_t of, int64_t first,
                           int64_t end, const char *what) {
  (void)of;
  tell(v, "%s of /documents (nll_count, nll_sum, ...): %s",
       rows_in_words(first, end).text, what);
}

static void verify_some_documents(const lsp_verification *v, uint64_t *data, damage *d,
                                  int64_t first, int64_t n) {
  const void *column[LSP_DOCUMENT_COLUMNS];
  uint64_t *sum = data + (size_t)LSP_DOCUMENT_COLUMNS * ROWS_AT_ONCE;
  int whole = read_rows(v, LSP_INTEGRITY_DOCUMENT, first, n, sum);
  for (int k = 0; k < LSP_DOCUMENT_COLUMNS; k++) {
    column[k] = data + (size_t)k * ROWS_AT_ONCE;
    whole = whole && read_rows(v, LSP_DOCUMENTS_NLL_COUNT + k, first, n,
                               data + (size_t)k * ROWS_AT_ONCE);
  }
  if (!whole)
    add_place(d, 0, first, first + n, 1);
  for (int64_t i = 0; i < n && whole; i++)
    if (lsp_sum_document(column, i) != sum[i])
      add_place(d, 0, first + i, first + i + 1, 0);
}

static lsp_status verify_documents(const lsp_verification *v, lsp_failure *why) {
  const int64_t end = cut(v->documents, v->part + 1, v->parts);
  uint64_t *data =
      malloc((LSP_DOCUMENT_COLUMNS + 1) * (size_t)ROWS_AT_ONCE * sizeof *data);
  if (data == NULL)
    return no_memory(v, why);
  damage d = {.v = v, .tell = tell_documents};
  for (int64_t i = cut(v->documents, v->part, v->parts); i < end; i += ROWS_AT_ONCE)
    verify_some_documents(v, data, &d, i, lsp_min(ROWS_AT_ONCE, end - i));
  end_place(&d);
  free(data);
  return LSP_OK;
}

lsp_status lsp_verify_output(const lsp_verification *v, lsp_failure *why) {
  LSP_TRY(verify_tokens(v, why));
  return verify_documents(v, why);
}

/* --- memory ---------------------------------------------------------------------- */

/* Rows [first, end) of one layer of one snapshot, counted with the fixed ones: those
 * before `there` are zero, the others are there. */
typedef struct {
  int64_t place; /* snapshot * layers + layer */
  int64_t first, there, end;
} row_range;

enum { ROW_RANGES = 4 };

typedef struct {
  int64_t rows; /* at most, of a piece */
  unsigned char *keys, *values;
  uint64_t *sum;
} cache;

static void tell_rows(const lsp_verification *v, int64_t of, int64_t first, int64_t end,
                      const char *what) {
  tell(v, "%s of /snapshots/keys, values (snapshot %lld, layer %lld): %s",
       rows_in_words(first, end).text, (long long)(of / v->memory->layers),
       (long long)(of % v->memory->layers), what);
}

/* Tokens of the corpus before a position of a snapshot's document. Of a wrapped model, whose
 * documents are many frames, positions are tokens of the document. */
static int64_t tokens_before(const lsp_verification *v, int64_t snapshot,
                             int64_t position) {
  const int64_t document = v->memory->document[snapshot];
  const lsp_framing *c = &v->plan->framing;
  return c->whole ? lsp_plan_document_start(v->plan, document) + position -
                        (document == 0 ? c->before : 0)
                  : lsp_plan_token(v->plan, document, position);
}

/* The position as far as a document is done. Of one that has not begun nothing is there,
 * its prefix neither. */
static int64_t position_done(const lsp_verification *v, int64_t document) {
  return v->token_end > v->plan->token_start[document]
             ? lsp_plan_position(v->plan, document, v->token_end)
             : 0;
}

static int64_t rows_of_a_layer(const lsp_verification *v) {
  return v->memory->fixed + v->memory->rows;
}

/* A row is there with the token of its position. Four ranges: fixed rows, fixed rows that
 * the document is too short for, rows of the past, and pooled rows: what a pooled row
 * averages is not known here, but all are there with the snapshot's last token. */
static void ranges_of(const lsp_verification *v, int64_t place,
                      row_range r[ROW_RANGES]) {
  const lsp_memory_spec *m = v->memory;
  const int64_t snapshot = place / m->layers, position = m->position[snapshot];
  const int layer = (int)(place % m->layers);
  const int64_t end = rows_of_a_layer(v);
  const int64_t all = lsp_memory_layer_fixed(m, layer);
  const int64_t positions = lsp_memory_layer_first(m, layer);
  const int64_t fixed = lsp_min(positions, position);
  const int64_t past = lsp_min(lsp_memory_layer_rows(m, layer), position);
  r[0] = (row_range){place, 0, 0, fixed};
  r[1] = (row_range){place, fixed, m->fixed, all > 0 ? positions : m->fixed};
  r[2] = (row_range){place, m->fixed, end - past, end};
  r[3] = (row_range){place, positions, positions, all};
  if (v->plan != NULL) {
    const int64_t done = position_done(v, m->document[snapshot]);
    r[0].end = lsp_max(0, lsp_min(fixed, done));
    r[3].end = done < position ? positions : all;
    r[2].end = lsp_max(r[2].there, end - lsp_max(0, position - done));
  }
}

static int row_is_right(const cache *c, const row_range *r, int64_t row, int64_t i,
                        int64_t bytes) {
  const unsigned char *keys = c->keys + i * bytes, *values = c->values + i * bytes;
  if (row < r->there)
    return c->sum[i] == 0 && lsp__is_zero(keys, bytes) && lsp__is_zero(values, bytes);
  return c->sum[i] == lsp_sum_row(keys, values, bytes);
}

/* Rows of a layer, as the datasets count them: every layer of every snapshot. */
static int read_cache(const lsp_verification *v, const cache *c, int64_t first,
                      int64_t n) {
  const struct {
    int dataset;
    void *to;
    int64_t bytes;
  } part[] = {
      {LSP_SNAPSHOT_KEYS, c->keys, v->memory->width * (int64_t)sizeof(float)},
      {LSP_SNAPSHOT_VALUES, c->values, v->memory->width * (int64_t)sizeof(float)},
      {LSP_SNAPSHOT_ROW_SUM, c->sum, (int64_t)sizeof *c->sum}};
  for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
    const int64_t at = v->extent[part[i].dataset].offset + first * part[i].bytes;
    if (lsp_read_at(v->fd, v->path, part[i].to, n * part[i].bytes, at, NULL) != LSP_OK)
      return 0;
    if (v->read != NULL)
      v->read(v->arg, n * part[i].bytes);
  }
  return 1;
}

static void verify_range(const lsp_verification *v, const cache *c, damage *d,
                         const row_range *r) {
  const int64_t bytes = v->memory->width * (int64_t)sizeof(float);
  for (int64_t row = r->first, n; row < r->end; row += n) {
    n = lsp_min(c->rows, r->end - row);
    if (!read_cache(v, c, r->place * rows_of_a_layer(v) + row, n)) {
      add_place(d, r->place, row, row + n, 1);
      continue;
    }
    for (int64_t i = 0; i < n; i++)
      if (!row_is_right(c, r, row + i, i, bytes))
        add_place(d, r->place, row + i, row + i + 1, 0);
  }
}

static void verify_layer(const lsp_verification *v, const cache *c, damage *d,
                         int64_t place) {
  row_range r[ROW_RANGES];
  ranges_of(v, place, r);
  for (int i = 0; i < ROW_RANGES; i++)
    verify_range(v, c, d, &r[i]);
}

/* The last token of a snapshot is done. */
static int is_done(const lsp_verification *v, int64_t snapshot) {
  return v->plan == NULL ||
         tokens_before(v, snapshot, v->memory->position[snapshot]) <= v->token_end;
}

/* The last token of a snapshot; hidden has room for its row. */
static void verify_end(const lsp_verification *v, int64_t snapshot, void *hidden) {
  int32_t id = 0;
  uint64_t sum = 0;
  if (!is_done(v, snapshot))
    return;
  const int is_read = read_rows(v, LSP_SNAPSHOT_LAST_ID, snapshot, 1, &id) &&
                      read_rows(v, LSP_SNAPSHOT_HIDDEN, snapshot, 1, hidden) &&
                      read_rows(v, LSP_SNAPSHOT_END_SUM, snapshot, 1, &sum);
  const int64_t bytes = v->extent[LSP_SNAPSHOT_HIDDEN].row_bytes;
  if (!is_read || sum != lsp_sum_end(id, hidden, bytes))
    tell(v, "row %lld of /snapshots/last_id, hidden: %s", (long long)snapshot,
         is_read ? wrong : unreadable);
}

static void verify_layers(const lsp_verification *v, const cache *c, void *hidden) {
  const int has_rows = rows_of_a_layer(v) > 0 && v->memory->width > 0;
  const int layers = has_rows ? v->memory->layers : 1; /* 1: for the ends alone */
  const int64_t all = (v->snapshot_end - v->snapshot_first) * layers;
  const int64_t end = cut(all, v->part + 1, v->parts);
  damage d = {.v = v, .tell = tell_rows};
  for (int64_t i = cut(all, v->part, v->parts); i < end; i++) {
    const int64_t snapshot = v->snapshot_first + i / layers;
    if (has_rows)
      verify_layer(v, c, &d, v->snapshot_first * layers + i);
    if (i % layers == 0)
      verify_end(v, snapshot, hidden);
  }
  end_place(&d);
}

/* The sum of a part of a snapshot, piece by piece. 0: it cannot be read. */
static int sum_part(const lsp_verification *v, int64_t snapshot, int part, void *piece,
                    XXH3_state_t *state) {
  const lsp_extent *e = &v->extent[LSP_MEMORY_DATASETS + part];
  (void)XXH3_64bits_reset(state);
  for (int64_t at = 0, n; at < e->row_bytes; at += n) {
    n = lsp_min(PIECE, e->row_bytes - at);
    if (lsp_read_at(v->fd, v->path, piece, n, e->offset + snapshot * e->row_bytes + at,
                    NULL) != LSP_OK)
      return 0;
    if (v->read != NULL)
      v->read(v->arg, n);
    (void)XXH3_64bits_update(state, piece, (size_t)n);
  }
  return 1;
}

static void verify_part(const lsp_verification *v, int64_t snapshot, int part,
                        void *piece, XXH3_state_t *state) {
  const lsp_memory_spec *m = v->memory;
  const lsp_extent *sums = &v->extent[LSP_SNAPSHOT_PART_SUM];
  const int64_t bytes = (int64_t)sizeof(uint64_t);
  char name[LSP_PART_PATH];
  uint64_t sum = 0;
  if (!is_done(v, snapshot))
    return;
  const int is_read =
      lsp_read_at(v->fd, v->path, &sum, bytes,
                  sums->offset + snapshot * sums->row_bytes + part * bytes,
                  NULL) == LSP_OK &&
      sum_part(v, snapshot, part, piece, state);
  lsp_part_path(&m->part[part], name);
  if (!is_read || sum != XXH3_64bits_digest(state))
    tell(v, "/states/%s (snapshot %lld): %s", name, (long long)snapshot,
         is_read ? wrong : unreadable);
}

static lsp_status verify_parts(const lsp_verification *v, lsp_failure *why) {
  const int parts = v->memory->parts;
  const int64_t all = (v->snapshot_end - v->snapshot_first) * parts;
  const int64_t end = cut(all, v->part + 1, v->parts);
  if (all == 0)
    return LSP_OK;
  void *piece = malloc(PIECE);
  XXH3_state_t *state = XXH3_createState();
  for (int64_t i = cut(all, v->part, v->parts);
       i < end && piece != NULL && state != NULL; i++)
    verify_part(v, v->snapshot_first + i / parts, (int)(i % parts), piece, state);
  const int failed = piece == NULL || state == NULL;
  free(piece);
  (void)XXH3_freeState(state);
  return failed ? no_memory(v, why) : LSP_OK;
}

lsp_status lsp_verify_memory(const lsp_verification *v, lsp_failure *why) {
  const lsp_memory_spec *m = v->memory;
  LSP_TRY(verify_parts(v, why));
  const int64_t bytes = m->width * (int64_t)sizeof(float);
  cache c = {
      .rows = lsp_max(1, lsp_min(rows_of_a_layer(v), bytes > 0 ? PIECE / bytes : 1))};
  c.keys = malloc((size_t)(c.rows * bytes) + 1);
  c.values = malloc((size_t)(c.rows * bytes) + 1);
  c.sum = malloc((size_t)c.rows * sizeof *c.sum);
  void *hidden = malloc((size_t)v->extent[LSP_SNAPSHOT_HIDDEN].row_bytes + 1);
  lsp_status status = LSP_OK;
  if (c.keys == NULL || c.values == NULL || c.sum == NULL || hidden == NULL)
    status = no_memory(v, why);
  else
    verify_layers(v, &c, hidden);
  free(c.keys);
  free(c.values);
  free(c.sum);
  free(hidden);
  return status;
}

/* --- layout ---------------------------------------------------------------------- */

lsp_status lsp_verify_layout(const lsp_verification *v, const unsigned char hash[16],
                             lsp_failure *why) {
  const lsp__file f = {v->fd, v->path, v->bytes};
  const int layout =
      v->memory == NULL ? (int)LSP_INTEGRITY_LAYOUT : (int)LSP_SNAPSHOT_LAYOUT;
  const int datasets = v->memory == NULL ? (int)LSP_OUTPUT_DATASETS
                                         : (int)LSP_MEMORY_DATASETS + v->memory->parts;
  unsigned char found[16], written[16];
  uint64_t word[2] = {0, 0};
  lsp_failure reason;
  const lsp_status status = lsp__layout_sum(&f, v->extent, datasets, found, &reason);
  if (status == LSP_E_MEMORY)
    return no_memory(v, why);
  if (status != LSP_OK || !read_rows(v, layout, 0, 2, word)) {
    tell(v, "headers, names, sizes or attributes: %s", unreadable);
    return LSP_OK;
  }
  for (size_t i = 0; i < sizeof written; i++)
    written[i] = (unsigned char)(word[i / 8] >> (56 - 8 * (i % 8)));
  if (memcmp(found, written, sizeof found) != 0 ||
      (hash != NULL && memcmp(found, hash, sizeof found) != 0))
    tell(v, "headers, names, sizes or attributes: %s", wrong);
  return LSP_OK;
}
