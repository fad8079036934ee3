/* The header of one safetensors file: read, checked, turned into tensors.
 *
 * The rules are those of the format's own reader (huggingface/safetensors, README
 * "Format" and tensor.rs). Count, rank and length of names are limited besides, since a
 * header may be made to exhaust the memory.
 *
 *   data   | begin .. end | begin .. end |   ...   | begin .. end |
 *          0                                                      end of the file
 *
 * Sorted by (begin, end), the first tensor begins at 0, each next one where the one
 * before it ended, and the last one ends where the file does: no hole, no overlap.
 *
 * What must hold after LSP_OK: for every tensor, offset + bytes lies within the file as
 * it was when opened, and bytes = count * size of an element. */
#include "safetensors_internal.h"

#include "json_measure.h"
#include "lsp/durable.h"
#include "lsp/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the formats read here are little-endian, and so must the machine be");

enum { HEADER_MAX = 100000000, TENSORS_MAX = 100000, NAME_MAX_BYTES = 512 };

/* Every type that the format knows: name, bits of an element, what it is to us. */
#define DTYPE_TABLE(X)                                                                 \
  X("F64", 64, LSP_F64)                                                                \
  X("F32", 32, LSP_F32)                                                                \
  X("F16", 16, LSP_F16)                                                                \
  X("BF16", 16, LSP_BF16)                                                              \
  X("I64", 64, LSP_I64)                                                                \
  X("I32", 32, LSP_I32)                                                                \
  X("U16", 16, LSP_U16)                                                                \
  X("U8", 8, LSP_U8)                                                                   \
  X("BOOL", 8, LSP_OTHER)                                                              \
  X("I8", 8, LSP_OTHER)                                                                \
  X("I16", 16, LSP_OTHER)                                                              \
  X("U32", 32, LSP_OTHER)                                                              \
  X("U64", 64, LSP_OTHER)                                                              \
  X("C64", 64, LSP_OTHER)                                                              \
  X("F4", 4, LSP_OTHER)                                                                \
  X("F6_E2M3", 6, LSP_OTHER)                                                           \
  X("F6_E3M2", 6, LSP_OTHER)                                                           \
  X("F8_E4M3", 8, LSP_OTHER)                                                           \
  X("F8_E5M2", 8, LSP_OTHER)                                                           \
  X("F8_E8M0", 8, LSP_OTHER)                                                           \
  X("F8_E4M3FNUZ", 8, LSP_OTHER)                                                       \
  X("F8_E5M2FNUZ", 8, LSP_OTHER)

typedef struct {
  const char *name;
  int bits;
  lsp_dtype dtype;
} dtype_row;

static const dtype_row dtypes[] = {
#define X(name, bits, dtype) {name, bits, dtype},
    DTYPE_TABLE(X)
#undef X
};

/* Which file this is: for messages, and to turn offsets in its data into offsets in the
 * file. */
typedef struct {
  const char *path;
  int file;
  int64_t data;       /* where the data begins in the file */
  int64_t data_bytes; /* and how much there is */
} header_place;

static lsp_status read_header_size(const lsp__shard *s, int64_t *size,
                                   lsp_failure *why) {
  unsigned char raw[8];
  uint64_t n = 0;
  if (s->bytes < 8)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: is %" PRId64 " bytes, too small for a safetensors file, which "
                    "begins with 8 bytes of header size; fetch it again",
                    s->path, s->bytes);
  LSP_TRY(lsp_read_at(s->fd, s->path, raw, 8, 0, why));
  memcpy(&n, raw, sizeof n);
  if (n > HEADER_MAX)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: header of %" PRIu64
                    " bytes is too large (at most %d); this is "
                    "not a safetensors file, or a damaged one; fetch it again",
                    s->path, n, HEADER_MAX);
  if ((int64_t)n > s->bytes - 8)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: header of %" PRIu64 " bytes does not fit into the file of "
                    "%" PRId64 " bytes; it was cut short; fetch it again",
                    s->path, n, s->bytes);
  *size = (int64_t)n;
  return LSP_OK;
}

/* Checked before jansson builds a tree: 100 MB of "[],[],[]..." would take
 * gigabytes. */
static lsp_status check_extent(const char *path, const char *text, int64_t size,
                               lsp_failure *why) {
  const lsp__json_extent extent = lsp__json_measure(text, (size_t)size);
  const int64_t most = TENSORS_MAX;
  if (extent.objects > most + 2 || extent.lists > 2 * most ||
      extent.commas > (LSP_TENSOR_RANK_MAX + 4) * most)
    return lsp_fail(why, LSP_E_LIMIT,
                    "%s: header describes more than %d tensors; this is not a usual "
                    "model; do not use it unless you trust it, and save it in shards",
                    path, TENSORS_MAX);
  return LSP_OK;
}

static lsp_status parse_header(const lsp__shard *s, int64_t size, json_t **root,
                               lsp_failure *why) {
  char name[LSP_MESSAGE_SIZE];
  (void)snprintf(name, sizeof name, "%.800s: header (bytes 8 to %" PRId64 ")", s->path,
                 8 + size);
  char *text = malloc((size_t)size + 1);
  if (text == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to read it", name);
  lsp_status status = lsp_read_at(s->fd, s->path, text, size, 8, why);
  if (status == LSP_OK)
    status = check_extent(s->path, text, size, why);
  if (status == LSP_OK)
    status = lsp_json_parse(name, text, (size_t)size, root, why);
  free(text);
  return status;
}

static lsp_status check_metadata(const char *path, json_t *metadata, lsp_failure *why) {
  const char *key;
  json_t *value;
  if (!json_is_object(metadata))
    return lsp_fail(
        why, LSP_E_FORMAT,
        "%s: key \"__metadata__\" is not an object of texts; fetch it again", path);
  json_object_foreach(metadata, key, value) {
    if (!json_is_string(value))
      return lsp_fail(
          why, LSP_E_FORMAT,
          "%s: key \"__metadata__\" holds a value that is not a text, which "
          "the format demands; save the file again",
          path);
  }
  return LSP_OK;
}

lsp_status lsp__safetensors_name(const char *path, const char *name, lsp_failure *why) {
  if (strlen(name) > NAME_MAX_BYTES)
    return lsp_fail(why, LSP_E_LIMIT,
                    "%s: tensor \"%.60s...\" has a name of %zu bytes; at most %d are "
                    "supported; this is not a usual model",
                    path, name, strlen(name), NAME_MAX_BYTES);
  for (const char *at = name; *at != '\0'; at++)
    if ((unsigned char)*at < 0x20 || *at == 0x7f)
      return lsp_fail(
          why, LSP_E_FORMAT,
          "%s: a tensor's name holds a control character at byte %td; do not "
          "use this checkpoint unless you trust it",
          path, at - name);
  return LSP_OK;
}

static lsp_status parse_dtype(const char *place, const json_t *info, lsp_tensor *t,
                              int *bits, lsp_failure *why) {
  const char *name = json_string_value(json_object_get(info, "dtype"));
  if (name == NULL)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: key \"dtype\" is missing or not a text; fetch the file again",
                    place);
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
    if (strcmp(dtypes[i].name, name) != 0)
      continue;
    t->dtype_name = dtypes[i].name;
    t->dtype = dtypes[i].dtype;
    *bits = dtypes[i].bits;
    return LSP_OK;
  }
  json_t *quoted = json_object_get(info, "dtype");
  char text[48] = {0};
  const size_t size =
      json_dumpb(quoted, text, sizeof text - 1, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
  return lsp_fail(
      why, LSP_E_FORMAT,
      "%s: key \"dtype\" is %s, which is not a type of the safetensors format; "
      "save the model again as F32, F16 or BF16",
      place, size < sizeof text ? text : "a long text");
}

/* Elements and bytes that the shape asks for; every multiplication is checked. */
static lsp_status shape_bytes(const char *place, const lsp_tensor *t, int bits,
                              int64_t *count, int64_t *bytes, lsp_failure *why) {
  int64_t n = 1, all = 0;
  int over = 0;
  for (int i = 0; i < t->rank; i++)
    over |= __builtin_mul_overflow(n, t->shape[i], &n);
  over |= __builtin_mul_overflow(n, (int64_t)bits, &all);
  if (over)
    return lsp_fail(
        why, LSP_E_FORMAT,
        "%s: key \"shape\": the number of elements overflows 64 bits; fetch "
        "the file again, and do not use it unless you trust it",
        place);
  if (all % 8 != 0)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: %" PRId64 " elements of %d bits do not fill whole bytes; save "
                    "the model again",
                    place, n, bits);
  *count = n;
  *bytes = all / 8;
  return LSP_OK;
}

static lsp_status parse_tensor(const header_place *at, const char *place,
                               const json_t *info, lsp_tensor *t, lsp_failure *why) {
  int bits = 0, offsets = 0;
  int64_t offset[2] = {0}, expected = 0;
  if (!json_is_object(info))
    return lsp_fail(
        why, LSP_E_FORMAT,
        "%s: is not an object with dtype, shape and data_offsets; fetch the "
        "file again",
        place);
  LSP_TRY(parse_dtype(place, info, t, &bits, why));
  LSP_TRY(lsp_json_ints(info, place, "shape", 1, 0, INT64_MAX, t->shape,
                        LSP_TENSOR_RANK_MAX, &t->rank, why));
  LSP_TRY(shape_bytes(place, t, bits, &t->count, &expected, why));
  LSP_TRY(lsp_json_ints(info, place, "data_offsets", 1, 0, INT64_MAX, offset, 2,
                        &offsets, why));
  if (offsets != 2 || offset[1] < offset[0])
    return lsp_fail(
        why, LSP_E_FORMAT,
        "%s: key \"data_offsets\" is not [begin, end] with begin <= end; fetch "
        "the file again",
        place);
  t->bytes = offset[1] - offset[0];
  if (t->bytes != expected)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: data_offsets [%" PRId64 ", %" PRId64 "] hold %" PRId64
                    " bytes, "
                    "but its shape and dtype need %" PRId64 "; fetch the file again",
                    place, offset[0], offset[1], t->bytes, expected);
  if (offset[1] > at->data_bytes)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: ends at byte %" PRId64
                    " of the data, but the file is incomplete: "
                    "it holds %" PRId64 " bytes of data; fetch it again",
                    place, offset[1], at->data_bytes);
  t->offset = at->data + offset[0];
  t->file = at->file;
  return LSP_OK;
}

/* Room for n more tensors. */
static lsp_status grow(lsp_checkpoint *c, const char *path, int64_t n,
                       lsp_failure *why) {
  const int64_t capacity = c->count + n;
  lsp_tensor *more = realloc(c->tensor, (size_t)capacity * sizeof *more + 1);
  if (more == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for %" PRId64 " tensors",
                    path, capacity);
  c->tensor = more;
  c->capacity = capacity;
  return LSP_OK;
}

static lsp_status append_tensor(lsp_checkpoint *c, const header_place *at,
                                const char *name, const json_t *info,
                                lsp_failure *why) {
  char place[LSP_MESSAGE_SIZE + NAME_MAX_BYTES];
  lsp_tensor t = {0};
  LSP_TRY(lsp__safetensors_name(at->path, name, why));
  (void)snprintf(place, sizeof place, "%.800s: tensor \"%s\"", at->path, name);
  LSP_TRY(parse_tensor(at, place, info, &t, why));
  t.name = strdup(name);
  if (t.name == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for its name", place);
  LSP_ASSERT(c->count < c->capacity);
  c->tensor[c->count++] = t;
  return LSP_OK;
}

static lsp_status append_tensors(lsp_checkpoint *c, const header_place *at,
                                 json_t *root, lsp_failure *why) {
  const char *name;
  json_t *info;
  LSP_TRY(grow(c, at->path, (int64_t)json_object_size(root), why));
  json_object_foreach(root, name, info) {
    if (strcmp(name, "__metadata__") == 0)
      LSP_TRY(check_metadata(at->path, info, why));
    else
      LSP_TRY(append_tensor(c, at, name, info, why));
  }
  return LSP_OK;
}

static int by_place(const void *left, const void *right) {
  const lsp_tensor *const *a = left;
  const lsp_tensor *const *b = right;
  if ((*a)->offset != (*b)->offset)
    return (*a)->offset < (*b)->offset ? -1 : 1;
  if ((*a)->bytes != (*b)->bytes)
    return (*a)->bytes < (*b)->bytes ? -1 : 1;
  return strcmp((*a)->name, (*b)->name);
}

static lsp_status check_tiling(const header_place *at, const lsp_tensor *const *sorted,
                               int64_t n, lsp_failure *why) {
  int64_t end = at->data;
  for (int64_t i = 0; i < n; i++) {
    const lsp_tensor *t = sorted[i];
    if (t->offset != end)
      return lsp_fail(why, LSP_E_FORMAT,
                      "%s: tensor \"%s\" begins at byte %" PRId64 " of the data, where "
                      "%" PRId64 " was expected: %s; fetch the file again",
                      at->path, t->name, t->offset - at->data, end - at->data,
                      t->offset < end ? "tensors overlap"
                                      : "there is a hole before it");
    end += t->bytes;
  }
  if (end != at->data + at->data_bytes)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: the tensors end at byte %" PRId64 ", but the file has %" PRId64
                    " bytes more: the header is incomplete; fetch the file again",
                    at->path, end, at->data + at->data_bytes - end);
  return LSP_OK;
}

static lsp_status check_places(const lsp_checkpoint *c, const header_place *at,
                               int64_t first, lsp_failure *why) {
  const int64_t n = c->count - first;
  const lsp_tensor **sorted = malloc((size_t)n * sizeof *sorted + 1);
  if (sorted == NULL)
    return lsp_fail(why, LSP_E_MEMORY,
                    "%s: not enough memory to check its %" PRId64 " tensors", at->path,
                    n);
  for (int64_t i = 0; i < n; i++)
    sorted[i] = &c->tensor[first + i];
  qsort(sorted, (size_t)n, sizeof *sorted, by_place);
  const lsp_status status = check_tiling(at, sorted, n, why);
  free(sorted);
  return status;
}

lsp_status lsp__safetensors_header(lsp_checkpoint *c, int file, lsp_failure *why) {
  const lsp__shard *s = &c->shard[file];
  const int64_t first = c->count;
  json_t *root = NULL;
  int64_t size = 0;
  LSP_TRY(read_header_size(s, &size, why));
  LSP_TRY(parse_header(s, size, &root, why));
  const header_place at = {.path = s->path,
                           .file = file,
                           .data = 8 + size,
                           .data_bytes = s->bytes - 8 - size};
  lsp_status status = append_tensors(c, &at, root, why);
  json_decref(root);
  if (status == LSP_OK)
    status = check_places(c, &at, first, why);
  return status;
}
