/* Checkpoints: finding the files, and the tensors in them by name.
 *
 * A folder holds one file, or an index that maps tensor names to files. The index is
 * foreign, too: it may name only files beside it. (A file may be a symbolic link: the
 * download cache of the Hugging Face hub is made of them.)
 *
 * What must hold once open: tensors are in byte order of their names, no name occurs
 * twice over all files, and every tensor of the index is in the file that it names. */
#include "lsp/safetensors.h"

#include "lsp/json.h"
#include "regular.h"
#include "safetensors_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INDEX_BYTES_MAX = 64 << 20, SHARDS_MAX = 10000, BASENAME_MAX = 255 };

static int by_name(const void *left, const void *right) {
  const lsp_tensor *a = left, *b = right;
  return strcmp(a->name, b->name);
}

static int by_text(const void *left, const void *right) {
  const char *const *a = left;
  const char *const *b = right;
  return strcmp(*a, *b);
}

/* Owns `path` from here on, also after a failure. There must be room for the shard. */
static lsp_status open_shard(lsp_checkpoint *c, char *path, lsp_failure *why) {
  lsp__shard *s = &c->shard[c->shards];
  s->path = path;
  s->fd = -1;
  c->shards++;
  if (path == NULL)
    return lsp_fail(why, LSP_E_MEMORY,
                    "not enough memory for the names of checkpoint "
                    "files");
  LSP_TRY(lsp__regular_open(path, &s->fd, &s->bytes, why));
  return lsp__safetensors_header(c, c->shards - 1, why);
}

static lsp_status reserve_shards(lsp_checkpoint *c, size_t n, lsp_failure *why) {
  c->shard = calloc(n, sizeof *c->shard);
  if (c->shard == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "not enough memory for %zu checkpoint files", n);
  return LSP_OK;
}

static lsp_status sort_tensors(lsp_checkpoint *c, lsp_failure *why) {
  c->hash = calloc((size_t)c->count + 1, sizeof *c->hash);
  if (c->hash == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "not enough memory for %lld tensors",
                    (long long)c->count);
  if (c->count > 1)
    qsort(c->tensor, (size_t)c->count, sizeof *c->tensor, by_name);
  for (int64_t i = 1; i < c->count; i++) {
    const lsp_tensor *a = &c->tensor[i - 1], *b = &c->tensor[i];
    if (strcmp(a->name, b->name) == 0)
      return lsp_fail(
          why, LSP_E_FORMAT,
          "%s: tensor \"%s\" is in %s, too; expected each tensor once; remove "
          "one of them, or fetch the checkpoint again",
          lsp_checkpoint_path(c, a), a->name, lsp_checkpoint_path(c, b));
  }
  return LSP_OK;
}

static lsp_status open_single(lsp_checkpoint *c, const char *path, lsp_failure *why) {
  LSP_TRY(reserve_shards(c, 1, why));
  LSP_TRY(open_shard(c, strdup(path), why));
  return sort_tensors(c, why);
}

/* 1 for the plain name of a file in the same folder; 0 for anything that leads
 * elsewhere. */
static int is_basename(const char *file) {
  const size_t n = strlen(file);
  if (n == 0 || n > BASENAME_MAX || strcmp(file, ".") == 0 || strcmp(file, "..") == 0)
    return 0;
  for (const char *at = file; *at != '\0'; at++)
    if (*at == '/' || *at == '\\' || (unsigned char)*at < 0x20 || *at == 0x7f)
      return 0;
  return 1;
}

static lsp_status not_plain(const char *index, const char *tensor, const char *file,
                            lsp_failure *why) {
  return lsp_fail(
      why, LSP_E_FORMAT,
      "%s: weight_map: tensor \"%s\" is mapped to \"%.60s\", which is not the "
      "plain name of a file in the same folder; do not use this checkpoint "
      "unless you trust it, and correct the index",
      index, tensor, file == NULL ? "no text" : file);
}

/* The file names of the map, sorted, each once, lent by the map. */
static lsp_status list_files(const char *index, json_t *map, const char **file,
                             size_t *count, lsp_failure *why) {
  const char *name;
  json_t *value;
  size_t n = 0;
  json_object_foreach(map, name, value) {
    const char *text = json_string_value(value);
    LSP_TRY(lsp__safetensors_name(index, name, why));
    if (text == NULL || !is_basename(text))
      return not_plain(index, name, text, why);
    file[n++] = text;
  }
  qsort(file, n, sizeof *file, by_text);
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (i == 0 || strcmp(file[i], file[i - 1]) != 0)
      file[kept++] = file[i];
  *count = kept;
  if (kept > SHARDS_MAX)
    return lsp_fail(why, LSP_E_LIMIT,
                    "%s: names %zu files; at most %d are supported; save the model in "
                    "larger shards",
                    index, kept, SHARDS_MAX);
  return LSP_OK;
}

static lsp_status open_files(lsp_checkpoint *c, const char *folder, const char **file,
                             size_t count, lsp_failure *why) {
  LSP_TRY(reserve_shards(c, count, why));
  for (size_t i = 0; i < count; i++) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, file[i]) < 0)
      path = NULL;
    LSP_TRY(open_shard(c, path, why));
  }
  return LSP_OK;
}

static lsp_status open_map(lsp_checkpoint *c, const char *folder, const char *index,
                           json_t *map, lsp_failure *why) {
  if (json_object_size(map) == 0)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: has no weight_map with tensors in it; expected "
                    "{\"weight_map\": {\"tensor\": \"file\", ...}}; fetch it again",
                    index);
  size_t count = 0;
  const char **file = calloc(json_object_size(map), sizeof *file);
  if (file == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for its file names",
                    index);
  lsp_status status = list_files(index, map, file, &count, why);
  if (status == LSP_OK)
    status = open_files(c, folder, file, count, why);
  free(file);
  return status;
}

static lsp_status check_map(const lsp_checkpoint *c, const char *index, json_t *map,
                            lsp_failure *why) {
  const char *name;
  json_t *value;
  json_object_foreach(map, name, value) {
    const lsp_tensor *t = lsp_checkpoint_find(c, name);
    const char *wanted = json_string_value(value);
    const char *path = t == NULL ? NULL : lsp_checkpoint_path(c, t);
    if (path != NULL && strcmp(strrchr(path, '/') + 1, wanted) == 0)
      continue;
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: tensor \"%s\" should be in %s, but is %s%s; fetch the files "
                    "of one and the same checkpoint again",
                    index, name, wanted, t == NULL ? "in no file" : "in ",
                    t == NULL ? "" : path);
  }
  return LSP_OK;
}

static lsp_status open_index(lsp_checkpoint *c, const char *folder, const char *index,
                             lsp_failure *why) {
  json_t *root = NULL;
  LSP_TRY(lsp_json_read(index, INDEX_BYTES_MAX, &root, why));
  json_t *map = json_object_get(root, "weight_map");
  lsp_status status = open_map(c, folder, index, map, why);
  if (status == LSP_OK)
    status = sort_tensors(c, why);
  if (status == LSP_OK)
    status = check_map(c, index, map, why);
  json_decref(root);
  return status;
}

static int exists(const char *path) {
  struct stat facts;
  return stat(path, &facts) == 0;
}

static lsp_status open_folder(lsp_checkpoint *c, const char *folder, lsp_failure *why) {
  char *single = NULL, *index = NULL;
  if (asprintf(&single, "%s/model.safetensors", folder) < 0)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to open it", folder);
  if (asprintf(&index, "%s/model.safetensors.index.json", folder) < 0) {
    free(single);
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to open it", folder);
  }
  lsp_status status = LSP_OK;
  if (exists(single))
    status = open_single(c, single, why);
  else if (exists(index))
    status = open_index(c, folder, index, why);
  else
    status = lsp_fail(why, LSP_E_INPUT,
                      "%s: holds neither model.safetensors nor "
                      "model.safetensors.index.json; if its weights are in .bin or .pt "
                      "files, save them again in the safetensors format",
                      folder);
  free(single);
  free(index);
  return status;
}

lsp_status lsp_checkpoint_open(const char *path, lsp_checkpoint **out,
                               lsp_failure *why) {
  struct stat facts;
  *out = NULL;
  if (stat(path, &facts) != 0)
    return lsp_fail(
        why, LSP_E_INPUT,
        "%s: cannot be opened: %s; expected a model folder or a .safetensors "
        "file; check the name and the permissions",
        path, strerror(errno));
  lsp_checkpoint *c = calloc(1, sizeof *c);
  if (c == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to open it", path);
  lsp_status status =
      S_ISDIR(facts.st_mode) ? open_folder(c, path, why) : open_single(c, path, why);
  if (status != LSP_OK)
    lsp_checkpoint_close(&c);
  *out = c;
  return status;
}

void lsp_checkpoint_close(lsp_checkpoint **c) {
  if (*c == NULL)
    return;
  for (int i = 0; i < (*c)->shards; i++) {
    if ((*c)->shard[i].fd >= 0)
      (void)close((*c)->shard[i].fd);
    free((*c)->shard[i].path);
  }
  for (int64_t i = 0; i < (*c)->count; i++)
    free((void *)(uintptr_t)(*c)->tensor[i].name);
  free((*c)->shard);
  free((*c)->tensor);
  free((*c)->hash);
  free(*c);
  *c = NULL;
}

int64_t lsp_checkpoint_count(const lsp_checkpoint *c) {
  return c->count;
}

const lsp_tensor *lsp_checkpoint_at(const lsp_checkpoint *c, int64_t i) {
  LSP_ASSERT(i >= 0 && i < c->count);
  return &c->tensor[i];
}

const lsp_tensor *lsp_checkpoint_find(const lsp_checkpoint *c, const char *name) {
  const lsp_tensor key = {.name = name};
  if (c->count == 0)
    return NULL;
  return bsearch(&key, c->tensor, (size_t)c->count, sizeof key, by_name);
}

const char *lsp_checkpoint_path(const lsp_checkpoint *c, const lsp_tensor *t) {
  return c->shard[t->file].path;
}
