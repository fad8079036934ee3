/* The walk through the tensors of a model, and the reading of a checkpoint. */
#include "slots.h"

#include "lsp/safetensors.h"

#include "family.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the walk -------------------------------------------------------------------- */

enum { CACHE_LINE = 16 }; /* floats */

int64_t lsp_slots_floats(const lsp_slots *list) {
  return lsp_divide_up(list->end, CACHE_LINE) * CACHE_LINE;
}

/* Hands over the slot that is complete. */
static void complete(lsp_slots *list) {
  if (list->open && list->each != NULL)
    list->each(list, &list->slot);
  list->open = 0;
}

static lsp_slot *begin(lsp_slots *list, int64_t rows, int64_t cols, const char *format,
                       va_list arguments) {
  complete(list);
  lsp_slot *s = &list->slot;
  memset(s, 0, sizeof *s);
  list->open = 1;
  s->rank = cols > 0 ? 2 : 1;
  s->shape[0] = rows;
  s->shape[1] = lsp_max(cols, 1);
  s->count = s->shape[0] * s->shape[1];
  const int n = vsnprintf(s->name[0], LSP_NAME_SIZE, format, arguments);
  LSP_ASSERT(n > 0 && n < LSP_NAME_SIZE);
  return s;
}

static lsp_slot *place_at(lsp_slots *list, int64_t offset) {
  lsp_slot *s = &list->slot;
  s->offset = offset;
  list->end = offset + s->count;
  return s;
}

lsp_slot *lsp_slot_add(lsp_slots *list, const float **view, int64_t rows, int64_t cols,
                       const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  begin(list, rows, cols, format, arguments)->view = view;
  va_end(arguments);
  return place_at(list, lsp_slots_floats(list));
}

lsp_slot *lsp_slot_deepen(lsp_slot *s, int64_t depth) {
  LSP_ASSERT(s->rank == 2 && s->shape[1] % depth == 0);
  s->rank = 3;
  s->shape[1] /= depth;
  s->shape[2] = depth;
  return s;
}

lsp_slot *lsp_slot_join(lsp_slots *list, int64_t rows, int64_t cols, const char *format,
                        ...) {
  va_list arguments;
  va_start(arguments, format);
  (void)begin(list, rows, cols, format, arguments);
  va_end(arguments);
  return place_at(list, list->end);
}

lsp_slot *lsp_slot_repeat(lsp_slots *list, int64_t offset, const char *of, int64_t rows,
                          int64_t cols, const char *format, ...) {
  va_list arguments;
  char name[LSP_NAME_SIZE]; /* `of` may be a name of the slot that this one replaces */
  (void)snprintf(name, sizeof name, "%s", of);
  va_start(arguments, format);
  lsp_slot *s = begin(list, rows, cols, format, arguments);
  va_end(arguments);
  s->offset = offset;
  s->repeats = 1;
  memcpy(s->of, name, sizeof name);
  return s;
}

void lsp__walk(const lsp_model *model, lsp_slots *list) {
  list->model = model;
  list->end = 0;
  list->open = 0;
  model->family->slots((lsp_model *)model, list);
  lsp__wrapper_slots((lsp_model *)model, list);
  complete(list);
}

/* --- sizes and views ------------------------------------------------------------- */

int64_t lsp_model_floats(const lsp_model *model) {
  lsp_slots list = {.each = NULL};
  lsp__walk(model, &list);
  return lsp_slots_floats(&list);
}

static void count_trained(const lsp_slots *list, const lsp_slot *s) {
  if (!s->repeats && s->absent == NULL)
    *(int64_t *)list->arg += s->count;
}

int64_t lsp_model_parameters(const lsp_model *model) {
  int64_t count = 0;
  lsp_slots list = {.each = count_trained, .arg = &count};
  lsp__walk(model, &list);
  return count;
}

static void deal(const lsp_slots *list, const lsp_slot *s) {
  if (s->view != NULL)
    *s->view = *(const float *const *)list->arg + s->offset;
}

void lsp_model_place(lsp_model *model, const float *block) {
  lsp_slots list = {.each = deal, .arg = &block};
  lsp__walk(model, &list);
  if (model->family->ties != NULL)
    model->family->ties(model);
}

/* --- reading --------------------------------------------------------------------- */

typedef struct {
  const lsp_checkpoint *checkpoint;
  const char *dir;
  float *block;
  unsigned char *used; /* (tensors) */
  lsp_status status;   /* of the first failure */
  lsp_failure *why;
} reading;

static lsp_status wrong_words(const reading *r, const lsp_slot *s,
                              const lsp_tensor *t) {
  const long long rows = (long long)t->shape[0], words = (long long)s->shape[0];
  return lsp_fail(r->why, LSP_E_FORMAT,
                  "%s: tensor %s has %lld rows, but vocab_size of config.json is %lld; "
                  "take the config.json that belongs to this checkpoint, or set "
                  "vocab_size to %lld",
                  lsp_checkpoint_path(r->checkpoint, t), t->name, rows, words, rows);
}

enum { SHAPE_SIZE = 128 };

static void print_shape(const int64_t *shape, int rank, char text[SHAPE_SIZE]) {
  text[0] = '\0';
  for (int i = 0; i < rank; i++) {
    const size_t n = strlen(text);
    (void)snprintf(text + n, SHAPE_SIZE - n, "%s%lld", i > 0 ? ", " : "",
                   (long long)shape[i]);
  }
}

static lsp_status check_shape(const reading *r, const lsp_slot *s,
                              const lsp_tensor *t) {
  int same = t->rank == s->rank;
  for (int i = 0; same && i < s->rank; i++)
    same = t->shape[i] == s->shape[i];
  if (same)
    return LSP_OK;
  if (s->of_words && t->rank == 2 && t->shape[1] == s->shape[1])
    return wrong_words(r, s, t);
  char have[SHAPE_SIZE], want[SHAPE_SIZE];
  print_shape(t->shape, t->rank, have);
  print_shape(s->shape, s->rank, want);
  return lsp_fail(r->why, LSP_E_FORMAT,
                  "%s: tensor %s is %s of shape [%s], config.json asks for [%s]",
                  lsp_checkpoint_path(r->checkpoint, t), t->name, t->dtype_name, have,
                  want);
}

static void transpose(const float *in, int64_t rows, int64_t cols, float *out) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++)
      out[j * rows + i] = in[i * cols + j];
}

/* Each matrix of a tensor, of which one of rank 2 is the only one. */
static void transpose_each(const lsp_slot *s, const float *in, float *out) {
  const int64_t *shape = s->rank == 3 ? &s->shape[1] : s->shape;
  const int64_t size = shape[0] * shape[1];
  for (int64_t at = 0; at < s->count; at += size)
    transpose(in + at, shape[0], shape[1], out + at);
}

/* Rows 2i and 2i + 1 of every head become rows i and i + pairs_apart / 2. (What is a head
 * along the last dimension has rows of one number.) */
static void move_pairs(const lsp_slot *s, float *out, float *head) {
  const int64_t rows = s->rank == 3 ? s->count : s->shape[0];
  const int64_t cols = s->count / rows, half = s->pairs_apart / 2;
  const size_t row = (size_t)cols * sizeof *out;
  for (int64_t first = 0; first < rows; first += s->head_rows) {
    float *at = out + first * cols;
    memcpy(head, at, (size_t)s->pairs_apart * row);
    for (int64_t i = 0; i < half; i++) {
      memcpy(at + i * cols, head + 2 * i * cols, row);
      memcpy(at + (i + half) * cols, head + (2 * i + 1) * cols, row);
    }
  }
}

/* From the order of the checkpoint to that of the block. */
static lsp_status arrange(const reading *r, const lsp_slot *s, float *out) {
  LSP_ASSERT(!s->transposed || s->pairs_apart == 0);
  if (!s->transposed && s->pairs_apart == 0)
    return LSP_OK;
  const size_t bytes = (size_t)s->count * sizeof *out;
  float *copy = malloc(bytes);
  if (copy == NULL)
    return lsp_fail(r->why, LSP_E_MEMORY, "no memory to arrange tensor %s", s->name[0]);
  if (s->transposed) {
    memcpy(copy, out, bytes);
    transpose_each(s, copy, out);
  } else {
    move_pairs(s, out, copy);
  }
  free(copy);
  return LSP_OK;
}

static void mark_used(const reading *r, const lsp_tensor *t) {
  const int64_t i = t - lsp_checkpoint_at(r->checkpoint, 0);
  LSP_ASSERT(lsp_checkpoint_at(r->checkpoint, i) == t);
  r->used[i] = 1;
}

/* Reads one tensor into out. */
static lsp_status take(const reading *r, const lsp_slot *s, const char *name,
                       float *out, int *found) {
  const lsp_tensor *t = name[0] == 0 ? NULL : lsp_checkpoint_find(r->checkpoint, name);
  *found = t != NULL;
  if (t == NULL)
    return LSP_OK;
  mark_used(r, t);
  LSP_TRY(check_shape(r, s, t));
  LSP_TRY(lsp_checkpoint_floats(r->checkpoint, t, 0, t->count, out, r->why));
  return arrange(r, s, out);
}

/* A repetition of what the block already holds must be equal to it. */
static lsp_status take_duplicate(const reading *r, const lsp_slot *s, const char *name,
                                 const char *of, const float *value) {
  int found = 0;
  float *copy = NULL;
  if (name[0] == 0 || lsp_checkpoint_find(r->checkpoint, name) == NULL)
    return LSP_OK;
  copy = malloc((size_t)s->count * sizeof *copy + 1);
  if (copy == NULL)
    return lsp_fail(r->why, LSP_E_MEMORY, "no memory to compare tensor %s", name);
  lsp_status st = take(r, s, name, copy, &found);
  if (st == LSP_OK && memcmp(copy, value, (size_t)s->count * sizeof *copy) != 0)
    st = lsp_fail(r->why, LSP_E_FORMAT,
                  "%s: tensor %s differs from %s, to which config.json ties it", r->dir,
                  name, of);
  free(copy);
  return st;
}

static lsp_status take_substitute(const reading *r, const lsp_model *model,
                                  const lsp_slot *s, float *out, int *found) {
  char name[LSP_NAME_SIZE] = "";
  if (s->substitute == NULL)
    return LSP_OK;
  for (int i = 0; !*found && s->substitute(model, s, i, name); i++)
    LSP_TRY(take(r, s, name, out, found));
  return LSP_OK;
}

static lsp_status fill(const reading *r, const lsp_model *model, const lsp_slot *s) {
  float *out = r->block + s->offset;
  int found = 0, from = 0;
  if (s->repeats)
    return take_duplicate(r, s, s->name[0], s->of, out);
  while (!found && from < LSP_ALIASES)
    LSP_TRY(take(r, s, s->name[from++], out, &found));
  if (!found)
    LSP_TRY(take_substitute(r, model, s, out, &found));
  if (!found && s->absent != NULL) {
    s->absent(model, out);
    return LSP_OK;
  }
  if (!found)
    return lsp_fail(r->why, LSP_E_FORMAT,
                    "%s: tensor %s is missing; the checkpoint does not fit its "
                    "config.json",
                    r->dir, s->name[0]);
  const char *held = s->name[lsp_max(from - 1, 0)];
  for (; from < LSP_ALIASES; from++)
    LSP_TRY(take_duplicate(r, s, s->name[from], held, out));
  return LSP_OK;
}

static void fill_next(const lsp_slots *list, const lsp_slot *s) {
  reading *r = list->arg;
  if (r->status == LSP_OK)
    r->status = fill(r, list->model, s);
}

static int is_ignored(const lsp_model *model, const char *name) {
  return model->family->ignores != NULL && model->family->ignores(name);
}

static lsp_status refuse_unexpected(const reading *r, const lsp_model *model) {
  for (int64_t i = 0; i < lsp_checkpoint_count(r->checkpoint); i++) {
    const lsp_tensor *t = lsp_checkpoint_at(r->checkpoint, i);
    if (!r->used[i] && !is_ignored(model, t->name))
      return lsp_fail(r->why, LSP_E_FORMAT,
                      "%s: tensor %s has no place in the model that config.json "
                      "describes",
                      lsp_checkpoint_path(r->checkpoint, t), t->name);
  }
  return LSP_OK;
}

static lsp_status read_all(reading *r, const lsp_model *model) {
  lsp_slots list = {.each = fill_next, .arg = r};
  if (r->used == NULL)
    return lsp_fail(r->why, LSP_E_MEMORY, "no memory for the list of tensors");
  lsp__walk(model, &list);
  LSP_TRY(r->status);
  return refuse_unexpected(r, model);
}

lsp_status lsp_model_read(const char *dir, const lsp_model *model, float *block,
                          unsigned char hash[16], lsp_failure *why) {
  lsp_checkpoint *checkpoint = NULL;
  LSP_TRY(lsp_checkpoint_open(dir, &checkpoint, why));
  reading r = {.checkpoint = checkpoint, .dir = dir, .block = block, .why = why};
  r.used = calloc((size_t)lsp_checkpoint_count(checkpoint) + 1, 1);
  lsp_status st = read_all(&r, model);
  if (st == LSP_OK)
    st = lsp_checkpoint_hash(checkpoint, hash, why);
  free(r.used);
  lsp_checkpoint_close(&checkpoint);
  return st;
}
