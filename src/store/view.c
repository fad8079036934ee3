/* Reads the files that longspan wrote: where the datasets lie, and the small ones.
 *
 * HDF5 looks at the file in a child process (probe.c) and only says what lies where;
 * the data are read here by plain pread.
 *
 * What must hold before anything is used: every dataset lies within the file, its
 * dimensions are those of its scales, documents follow each other without gap from
 * token 0 to the last, snapshots have as many rows as their position allows. */
#include "lsp/layout.h"

#include "lsp/durable.h"
#include "lsp/text.h"
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t most_name_bytes = (int64_t)1 << 30;

/* What the strings and arrays of a view live in. */
typedef struct {
  char *text; /* of the attributes */
  lsp_part *part;
  lsp_attribute *attribute;
  char *names;
  const char **name;
  int64_t *column[4];
} owned_memory;

/* A file while it is being looked at. */
typedef struct {
  const char *path;
  int fd;
  int64_t file_bytes;
  lsp__probe_facts facts;
  const lsp__found_part *part; /* (facts.parts) */
  const lsp__schema *schema;
  owned_memory *owned;
  lsp_failure *why;
} reading;

static lsp_status damaged(const reading *r, int row, const char *what) {
  char path[LSP__PATH];
  lsp__row_path(&r->schema->row[row], r->facts.found[row].number, path);
  return lsp_fail(r->why, LSP_E_FORMAT,
                  "%s: %s: %s; the file is damaged: make it again, or restore a copy",
                  r->path, path, what);
}

static lsp_status no_memory(const reading *r) {
  return lsp_fail(r->why, LSP_E_MEMORY, "%s: not enough memory for its index", r->path);
}

static lsp_status check_dataset(const reading *r, int row) {
  const lsp__row *schema = &r->schema->row[row];
  const lsp__found *f = &r->facts.found[row];
  const int64_t element = lsp__element_bytes(schema->element);
  if (element != 0 && schema->element != LSP__SCALE && f->element_bytes != element)
    return damaged(r, row, "its elements have a wrong size");
  if (f->element_bytes < 1)
    return damaged(r, row, "its elements have no size");
  int64_t bytes = f->element_bytes;
  for (int k = 0; k < schema->rank; k++) {
    const lsp__found *scale = &r->facts.found[schema->axis[k]];
    if (f->dims[k] < 0 || !scale->present || scale->dims[0] != f->dims[k])
      return damaged(r, row, "its extent is not that of its dimension scale");
    if (schema->element != LSP__SCALE &&
        __builtin_mul_overflow(bytes, f->dims[k], &bytes))
      return damaged(r, row, "it is larger than any file");
  }
  if (schema->element == LSP__SCALE || bytes == 0)
    return LSP_OK;
  if (f->offset < 0 || bytes > r->file_bytes || f->offset > r->file_bytes - bytes)
    return damaged(r, row, "it does not lie within the file, which was cut short");
  return LSP_OK;
}

static lsp_status check_datasets(const reading *r) {
  for (int i = 0; i < r->schema->rows; i++)
    if (r->facts.found[i].present)
      LSP_TRY(check_dataset(r, i));
  return LSP_OK;
}

/* The extent of a scale that must fit an int. */
static lsp_status small_extent(const reading *r, int row, int *out) {
  const int64_t n = r->facts.found[row].dims[0];
  if (n < 0 || n > INT_MAX)
    return damaged(r, row, "its extent is beyond all limits");
  *out = (int)n;
  return LSP_OK;
}

static lsp_extent extent_of(const reading *r, int row) {
  const lsp__found *f = &r->facts.found[row];
  lsp_extent e = {-1, 0, 0};
  if (!f->present)
    return e;
  e.rows = f->dims[0];
  e.row_bytes = f->element_bytes;
  for (int k = 1; k < r->schema->row[row].rank; k++)
    if (__builtin_mul_overflow(e.row_bytes, f->dims[k], &e.row_bytes))
      e.row_bytes = 0; /* only where there are no rows: check_dataset */
  e.offset = e.rows > 0 && e.row_bytes > 0 ? f->offset : -1;
  return e;
}

/* An int64 dataset as a whole, with room for one element more (zero). */
static lsp_status read_column(const reading *r, int row, int64_t **out) {
  const lsp_extent e = extent_of(r, row);
  if ((uint64_t)e.rows > SIZE_MAX / sizeof **out - 1)
    return no_memory(r);
  *out = calloc((size_t)e.rows + 1, sizeof **out);
  if (*out == NULL)
    return no_memory(r);
  if (e.offset < 0)
    return LSP_OK;
  return lsp_read_at(r->fd, r->path, *out, e.rows * e.row_bytes, e.offset, r->why);
}

static lsp_status read_names(const reading *r) {
  const lsp_extent e = extent_of(r, OUT_NAME);
  if (e.rows > 0 && e.row_bytes > most_name_bytes / e.rows)
    return lsp_fail(r->why, LSP_E_LIMIT, "%s: names of more than 1 GiB in all",
                    r->path);
  const size_t n = (size_t)e.rows, width = (size_t)e.row_bytes;
  owned_memory *o = r->owned;
  o->names = calloc(n + 1, width + 1);
  o->name = calloc(n + 1, sizeof *o->name);
  if (o->names == NULL || o->name == NULL)
    return no_memory(r);
  for (size_t i = n; i > 0; i--)
    o->name[i - 1] = o->names + (i - 1) * (width + 1);
  if (e.offset < 0)
    return LSP_OK;
  LSP_TRY(
      lsp_read_at(r->fd, r->path, o->names, e.rows * e.row_bytes, e.offset, r->why));
  for (size_t i = n; i > 0; i--) { /* spread, from the last: (n, width) to width + 1 */
    char *to = o->names + (i - 1) * (width + 1);
    memmove(to, o->names + (i - 1) * width, width);
    to[width] = '\0';
    lsp_text_restore(to);
  }
  return LSP_OK;
}

static lsp_status read_attributes(const reading *r, const lsp_attribute **out,
                                  int *count) {
  const int64_t n = r->facts.text_strings / 2;
  if (n > INT_MAX)
    return no_memory(r);
  r->owned->attribute = calloc((size_t)n + 1, sizeof *r->owned->attribute);
  if (r->owned->attribute == NULL)
    return no_memory(r);
  const char *at = r->owned->text;
  for (int64_t i = 0; i < n; i++) {
    r->owned->attribute[i].key = at;
    at += strlen(at) + 1;
    r->owned->attribute[i].value = at;
    at += strlen(at) + 1;
  }
  *out = r->owned->attribute;
  *count = (int)n;
  return LSP_OK;
}

/* An attribute of the format itself, a number: taken from the list (of *count) of what
 * the run said of itself. 0: it is not there; -1: it is no number. */
static int take_number(const reading *r, const char *key, int *count, int64_t *out) {
  lsp_attribute *list = r->owned->attribute;
  int i = 0;
  while (i < *count && strcmp(list[i].key, key) != 0)
    i++;
  if (i == *count)
    return 0;
  char *end = NULL;
  errno = 0;
  *out = strtoll(list[i].value, &end, 10);
  if (errno != 0 || end == list[i].value || *end != '\0')
    return -1;
  --*count;
  memmove(list + i, list + i + 1, (size_t)(*count - i) * sizeof *list);
  return 1;
}

static lsp_status take_first_position(const reading *r, lsp_file_view *view) {
  lsp_output_spec *s = &view->output;
  const int taken =
      take_number(r, "first_position", &s->attributes, &s->first_position);
  if (taken == 0)
    return view->version < 2
               ? LSP_OK
               : damaged(r, OUT_TOKEN_START, "the attribute first_position is missing");
  if (taken < 0 || s->first_position < 0 || s->first_position > LSP_TOKENS_MOST)
    return damaged(r, OUT_TOKEN_START, "the attribute first_position is no position");
  return LSP_OK;
}

/* All rows of a layer, into those of the past and the fixed ones. */
static lsp_status part_rows(const reading *r, lsp_memory_spec *s) {
  const int64_t all = r->facts.found[MEM_ROW].dims[0];
  const int taken = take_number(r, "fixed_rows", &s->attributes, &s->fixed);
  if (taken < 0 || s->fixed < 0 || s->fixed > all)
    return damaged(r, MEM_ROW, "the attribute fixed_rows is no number of rows");
  if (take_number(r, "pooled_rows", &s->attributes, &s->pooled) < 0 || s->pooled < 0 ||
      s->pooled > s->fixed)
    return damaged(r, MEM_ROW, "the attribute pooled_rows is no number of rows");
  s->rows = all - s->fixed;
  if (!r->facts.found[MEM_LAYER_ROWS].present)
    return LSP_OK;
  LSP_TRY(read_column(r, MEM_LAYER_ROWS, &r->owned->column[3]));
  s->layer_rows = r->owned->column[3];
  for (int i = 0; i < s->layers; i++)
    if (s->layer_rows[i] < 0 || s->layer_rows[i] > s->rows)
      return damaged(r, MEM_LAYER_ROWS, "a layer keeps more rows than there are");
  return LSP_OK;
}

/* Documents follow each other without gap, from token 0 to the last token. */
static lsp_status check_documents(const reading *r, const lsp_output_spec *s,
                                  int64_t *start, const int64_t *count) {
  int64_t at = 0;
  for (int64_t i = 0; i < s->documents; i++) {
    if (start[i] != at || count[i] < 0 || count[i] > s->tokens - at)
      return damaged(r, OUT_TOKEN_START, "the documents do not follow each other");
    if (s->n_bytes[i] < 0)
      return damaged(r, OUT_N_BYTES, "a document has a negative number of bytes");
    at += count[i];
  }
  if (at != s->tokens)
    return damaged(r, OUT_TOKEN_COUNT,
                   "the documents do not have as many tokens as /tokens");
  start[s->documents] = at;
  return LSP_OK;
}

/* The layers of numbered rows from `first` on. */
static lsp_status read_layers(const reading *r, int first, int *layers,
                              int layer[LSP_HIDDEN_MOST]) {
  while (*layers < LSP_HIDDEN_MOST && r->facts.found[first + *layers].present) {
    const int row = first + *layers;
    const int64_t number = r->facts.found[row].number;
    if (number < 0 || number > INT_MAX || (*layers > 0 && number <= layer[*layers - 1]))
      return damaged(r, row, "the layers are out of order");
    layer[(*layers)++] = (int)number;
  }
  return LSP_OK;
}

/* Which hidden states and choices there are, and how wide they are. */
static lsp_status read_hidden(const reading *r, lsp_output_spec *s) {
  s->write_hidden = r->facts.found[OUT_HIDDEN].present != 0;
  LSP_TRY(read_layers(r, OUT_HIDDEN_LAYER, &s->hidden_layers, s->hidden_layer));
  LSP_TRY(read_layers(r, OUT_CHOSEN_LAYER, &s->chosen_layers, s->chosen_layer));
  if (s->chosen_layers > 0)
    LSP_TRY(small_extent(r, OUT_CHOICE, &s->chosen_width));
  return s->write_hidden || s->hidden_layers > 0
             ? small_extent(r, OUT_FEATURE, &s->hidden_width)
             : LSP_OK;
}

/* What lies where of the tokens' bytes; both datasets, or none. */
static lsp_status read_vocabulary(const reading *r, lsp_file_view *view) {
  const lsp__found *bytes = &r->facts.found[OUT_TOKEN_BYTES],
                   *start = &r->facts.found[OUT_TOKEN_BYTES_START];
  if (!bytes->present && !start->present)
    return LSP_OK;
  if (!bytes->present || !start->present || start->dims[0] < 1)
    return damaged(r, OUT_TOKEN_BYTES_START,
                   "only a part of the tokens' bytes is here");
  view->output.vocabulary = start->dims[0] - 1;
  view->token_bytes = extent_of(r, OUT_TOKEN_BYTES);
  view->token_bytes_start = extent_of(r, OUT_TOKEN_BYTES_START);
  return LSP_OK;
}

static lsp_status read_output(const reading *r, lsp_file_view *view) {
  lsp_output_spec *s = &view->output;
  owned_memory *o = r->owned;
  s->tokens = r->facts.found[OUT_TOKEN].dims[0];
  s->documents = r->facts.found[OUT_DOCUMENT].dims[0];
  s->panels = r->facts.found[OUT_PANEL].dims[0];
  if (s->tokens > LSP_TOKENS_MOST)
    return damaged(r, OUT_TOKEN, "more than 2^60 tokens");
  s->write_id = r->facts.found[OUT_ID].present != 0;
  s->write_nll = r->facts.found[OUT_NLL].present != 0;
  s->write_starts = r->facts.found[OUT_BYTE_START].present != 0;
  LSP_TRY(read_hidden(r, s));
  LSP_TRY(read_vocabulary(r, view));
  for (int i = 0; i < LSP_OUTPUT_DATASETS; i++)
    view->extent[i] = extent_of(r, lsp__output_row(i));
  LSP_TRY(read_attributes(r, &s->attribute, &s->attributes));
  LSP_TRY(take_first_position(r, view));
  LSP_TRY(read_names(r));
  LSP_TRY(read_column(r, OUT_TOKEN_START, &o->column[0]));
  LSP_TRY(read_column(r, OUT_TOKEN_COUNT, &o->column[1]));
  LSP_TRY(read_column(r, OUT_N_BYTES, &o->column[2]));
  s->name = o->name;
  s->token_start = o->column[0];
  s->n_bytes = o->column[2];
  return check_documents(r, s, o->column[0], o->column[1]);
}

static lsp_status check_snapshots(const reading *r, const lsp_memory_spec *s,
                                  const int64_t *rows) {
  for (int64_t i = 0; i < s->snapshots; i++) {
    if (s->document[i] < 0 || s->position[i] < 0)
      return damaged(r, MEM_POSITION, "a snapshot before the first token or document");
    if (s->position[i] > LSP_TOKENS_MOST)
      return damaged(r, MEM_POSITION,
                     "a position above 2^60, which is as far as longspan counts");
    if (rows[i] != (s->position[i] < s->rows ? s->position[i] : s->rows))
      return damaged(r, MEM_ROWS_THERE, "not as many rows as the position allows");
  }
  return LSP_OK;
}

/* --- parts ----------------------------------------------------------------------- */

static lsp_status damaged_part(const reading *r, int64_t i, const char *what) {
  return lsp_fail(
      r->why, LSP_E_FORMAT,
      "%s: /states/%.*s: %s; the file is damaged: make it again, or restore "
      "a copy",
      r->path, LSP_PART_PATH, r->part[i].name, what);
}

/* "3/matrix", "model/ids", as lsp_part_path writes it; -1: something else. */
static int parse_name(const char *name, int layers, lsp_part *part) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
  char again[LSP_PART_PATH];
  const char *slash = strchr(name, '/');
  const size_t n = slash != NULL ? strlen(slash + 1) : 0;
  if (n == 0 || n >= LSP_PART_NAME || strspn(slash + 1, letters) != n)
    return -1;
  part->layer = strncmp(name, "model/", 6) == 0 ? -1 : (int)strtol(name, NULL, 10);
  memcpy(part->name, slash + 1, n + 1);
  lsp_part_path(part, again);
  return part->layer >= -1 && part->layer < layers && strcmp(again, name) == 0 ? 0 : -1;
}

static lsp_status take_part(const reading *r, int64_t i, const lsp_memory_spec *s,
                            lsp_part *part, lsp_extent *extent) {
  const lsp__found_part *f = &r->part[i];
  int64_t all;
  if (f->name[LSP_PART_PATH - 1] != '\0' || parse_name(f->name, s->layers, part) != 0)
    return damaged_part(r, i, "no name of a part");
  if (f->rank < 1 || f->rank > LSP__STATE_RANK || f->dims[0] != s->snapshots ||
      f->type < 0 || f->type > LSP_PART_I64)
    return damaged_part(r, i, "it is not of all snapshots");
  part->type = (lsp_part_type)f->type;
  part->dims = (int)f->rank - 1;
  memcpy(part->dim, f->dims + 1, sizeof part->dim);
  const int64_t bytes = lsp_part_bytes(part);
  if (bytes < 0 || __builtin_mul_overflow(bytes, s->snapshots, &all))
    return damaged_part(r, i, "it is larger than any file");
  if (all > 0 &&
      (f->offset < 0 || all > r->file_bytes || f->offset > r->file_bytes - all))
    return damaged_part(r, i, "it does not lie within the file, which was cut short");
  *extent = (lsp_extent){all > 0 ? f->offset : -1, s->snapshots, bytes};
  return LSP_OK;
}

/* Parts and where they lie; before version 3 there are none. */
static lsp_status read_parts(const reading *r, lsp_file_view *view) {
  lsp_memory_spec *s = &view->memory;
  const lsp__found *f = r->facts.found;
  const int64_t n = r->facts.parts;
  if (view->version < 3)
    return LSP_OK;
  if (!f[MEM_PART].present || !f[MEM_PART_NAME].present || !f[MEM_PART_XXH3].present ||
      n != f[MEM_PART].dims[0])
    return damaged(r, MEM_PART_NAME, "only a part of what /states must hold is here");
  r->owned->part = calloc((size_t)n + 1, sizeof *r->owned->part);
  if (r->owned->part == NULL)
    return no_memory(r);
  for (int64_t i = 0; i < n; i++)
    LSP_TRY(
        take_part(r, i, s, &r->owned->part[i], &view->extent[LSP_MEMORY_DATASETS + i]));
  s->part = r->owned->part;
  s->parts = (int)n;
  return LSP_OK;
}

static lsp_status read_memory(const reading *r, lsp_file_view *view) {
  lsp_memory_spec *s = &view->memory;
  owned_memory *o = r->owned;
  s->snapshots = r->facts.found[MEM_SNAPSHOT].dims[0];
  LSP_TRY(small_extent(r, MEM_LAYER, &s->layers));
  LSP_TRY(small_extent(r, MEM_FEATURE, &s->width));
  LSP_TRY(small_extent(r, MEM_MODEL, &s->hidden_width));
  for (int i = 0; i < LSP_MEMORY_DATASETS; i++)
    view->extent[i] = extent_of(r, lsp__memory_row(i));
  LSP_TRY(read_parts(r, view));
  LSP_TRY(read_attributes(r, &s->attribute, &s->attributes));
  LSP_TRY(part_rows(r, s));
  LSP_TRY(read_column(r, MEM_DOCUMENT, &o->column[0]));
  LSP_TRY(read_column(r, MEM_POSITION, &o->column[1]));
  LSP_TRY(read_column(r, MEM_ROWS_THERE, &o->column[2]));
  s->document = o->column[0];
  s->position = o->column[1];
  return check_snapshots(r, s, o->column[2]);
}

/* A regular file, open; O_NONBLOCK so that a FIFO does not hold us up. */
static lsp_status open_regular(const char *path, int *fd, int64_t *bytes,
                               lsp_failure *why) {
  struct stat st;
  *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (*fd < 0)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: cannot be opened: %s; check its name and "
                    "permissions",
                    path, strerror(errno));
  if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)) {
    *bytes = st.st_size;
    return LSP_OK;
  }
  (void)close(*fd);
  *fd = -1;
  return lsp_fail(why, LSP_E_INPUT,
                  "%s: not a regular file; give the .h5 file that longspan wrote",
                  path);
}

static lsp_status look(reading *r, lsp_file_view *view) {
  view->is_memory = r->facts.is_memory != 0;
  view->extent = calloc(view->is_memory ? LSP_MEMORY_DATASETS + (size_t)r->facts.parts
                                        : LSP_OUTPUT_DATASETS,
                        sizeof *view->extent);
  if (view->extent == NULL)
    return no_memory(r);
  view->version = (int)r->facts.version;
  view->bytes = r->file_bytes;
  r->schema = view->is_memory ? lsp__schema_memory() : lsp__schema_output();
  for (int i = 0; i < r->schema->rows; i++)
    if (!r->facts.found[i].present &&
        !lsp__may_be_absent(&r->schema->row[i], view->version))
      return damaged(r, i, "it is missing");
  LSP_TRY(check_datasets(r));
  return view->is_memory ? read_memory(r, view) : read_output(r, view);
}

static lsp_status probe_and_look(reading *r, lsp_file_view *view) {
  lsp__probed probed;
  LSP_TRY(lsp__probe(r->fd, r->path, &probed, r->why));
  r->facts = probed.facts;
  r->part = probed.part;
  r->owned->text = probed.text;
  const lsp_status status = look(r, view);
  free(probed.part);
  return status;
}

lsp_status lsp_file_open(const char *path, lsp_file_view *view, lsp_failure *why) {
  memset(view, 0, sizeof *view);
  reading r = {.path = path, .fd = -1, .why = why};
  view->fd = -1;
  LSP_TRY(open_regular(path, &r.fd, &r.file_bytes, why));
  view->fd = r.fd;
  view->owned = r.owned = calloc(1, sizeof *r.owned);
  const lsp_status status = r.owned == NULL ? no_memory(&r) : probe_and_look(&r, view);
  if (status != LSP_OK)
    lsp_file_close(view);
  return status;
}

void lsp_file_close(lsp_file_view *view) {
  owned_memory *o = view->owned;
  if (view->fd >= 0)
    (void)close(view->fd);
  if (o != NULL) {
    free(o->text);
    free(o->part);
    free(o->attribute);
    free(o->names);
    free(o->name);
    for (size_t i = 0; i < sizeof o->column / sizeof o->column[0]; i++)
      free(o->column[i]);
  }
  free(o);
  free(view->extent);
  free(view->shared_part);
  memset(view, 0, sizeof *view);
  view->fd = -1;
}

lsp_status lsp_layout_check(const char *path, const char *format, lsp_failure *why) {
  int fd;
  int64_t bytes;
  LSP_TRY(open_regular(path, &fd, &bytes, why));
  lsp__probed probed;
  const lsp_status status = lsp__probe(fd, path, &probed, why);
  (void)close(fd);
  free(probed.text);
  free(probed.part);
  LSP_TRY(status);
  const char *is = probed.facts.is_memory ? LSP__FORMAT_MEMORY : LSP__FORMAT_OUTPUT;
  if (strcmp(is, format) != 0)
    return lsp_fail(why, LSP_E_FORMAT, "%s: is a %s file; expected a %s file", path, is,
                    format);
  return LSP_OK;
}

static lsp_status add_documents(const char *path, const lsp_file_view *view,
                                lsp_status (*add)(const lsp_document *d, void *arg),
                                void *arg, lsp_failure *why) {
  const lsp_output_spec *s = &view->output;
  struct stat st;
  if (view->is_memory)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: a memory file has no text; give the output file beside it",
                    path);
  if (!s->write_id)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: has no /tokens/id, so its text cannot be read back; give the "
                    "original text",
                    path);
  if (fstat(view->fd, &st) != 0)
    return lsp_fail(why, LSP_E_IO, "%s: its size cannot be read: %s; check the disk",
                    path, strerror(errno));
  const lsp_extent id = view->extent[LSP_TOKENS_ID];
  for (int64_t i = 0; i < s->documents; i++) {
    const int64_t count = s->token_start[i + 1] - s->token_start[i];
    const int64_t at = id.offset < 0 ? 0 : id.offset + s->token_start[i] * id.row_bytes;
    const lsp_document d = {.name = s->name[i],
                            .path = path,
                            .offset = at,
                            .tokens = count,
                            .width = (int)id.row_bytes,
                            .file_bytes = st.st_size};
    LSP_TRY(add(&d, arg));
  }
  return LSP_OK;
}

lsp_status lsp_output_documents(const char *path,
                                lsp_status (*add)(const lsp_document *d, void *arg),
                                void *arg, lsp_failure *why) {
  lsp_file_view view;
  LSP_TRY(lsp_file_open(path, &view, why));
  const lsp_status status = add_documents(path, &view, add, arg, why);
  lsp_file_close(&view);
  return status;
}
