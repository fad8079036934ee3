/* A small output and a small memory file for the tests of the store. */
#ifndef LSP_TESTS_STORE_FILES_H
#define LSP_TESTS_STORE_FILES_H

#include "lsp/durable.h"
#include "lsp/layout.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const int64_t store_start[] = {0, 700, 700, 1001};
static const int64_t store_bytes[] = {700, 0, 1400};
static const char *const store_name[] = {"a.txt", "", "folder/b\xc3\xb6ok.txt"};
static const lsp_attribute store_attribute[] = {
    {"config", "{\"layers\": 2}"}, {"empty", ""}, {"author", "J\xc3\xb6rg"}};
static const int64_t store_edge[] = {0, 3, 3, 5};
static const unsigned char store_tokens[] = {'a', 'b', '\0', ' ', 'c'};
static const int64_t store_document[] = {0, 2};
static const int64_t store_position[] = {512, 7};

static inline lsp_output_spec store_output(void) {
  const lsp_output_spec s = {.tokens = 1001,
                             .documents = 3,
                             .panels = 5,
                             .first_position = 30,
                             .hidden_width = 300,
                             .write_id = 1,
                             .write_nll = 1,
                             .write_hidden = 1,
                             .write_starts = 1,
                             .hidden_layers = 1,
                             .hidden_layer = {12},
                             .vocabulary = 3,
                             .vocabulary_start = store_edge,
                             .vocabulary_bytes = store_tokens,
                             .token_start = store_start,
                             .n_bytes = store_bytes,
                             .name = store_name,
                             .attribute = store_attribute,
                             .attributes = 3};
  return s;
}

static inline lsp_memory_spec store_memory(void) {
  const lsp_memory_spec s = {.snapshots = 2,
                             .layers = 2,
                             .rows = 16,
                             .width = 8,
                             .hidden_width = 12,
                             .document = store_document,
                             .position = store_position,
                             .attribute = store_attribute,
                             .attributes = 3};
  return s;
}

/* Element i of a dataset tells both. */
static inline int32_t store_mark(int dataset, int64_t i) {
  return (int32_t)(dataset * 1000000 + (int)(i % 1000000));
}

/* 4-byte marks all over an extent. */
static inline lsp_status store_fill(const char *path, const lsp_extent *e, int datasets,
                                    lsp_failure *why) {
  lsp_status status = LSP_OK;
  const int fd = open(path, O_RDWR);
  if (fd < 0)
    return LSP_E_IO;
  for (int d = 0; d < datasets; d++)
    for (int64_t i = 0; status == LSP_OK && i < e[d].rows * e[d].row_bytes / 4; i++) {
      const int32_t mark = store_mark(d, i);
      status = lsp_write_at(fd, path, &mark, 4, e[d].offset + 4 * i, why);
    }
  return close(fd) == 0 ? status : LSP_E_IO;
}

/* A file in place, filled with marks. */
static inline lsp_status store_make_output(const lsp_output_spec *spec,
                                           const char *path,
                                           lsp_extent e[LSP_OUTPUT_DATASETS],
                                           lsp_failure *why) {
  lsp_skeleton s;
  LSP_TRY(lsp_layout_output(spec, &s, e, why));
  const lsp_status status = lsp_skeleton_install(&s, path, why);
  lsp_skeleton_close(&s);
  LSP_TRY(status);
  return store_fill(path, e, LSP_OUTPUT_DATASETS, why);
}

static inline lsp_status store_make_memory(const lsp_memory_spec *spec,
                                           const char *path, lsp_extent *e,
                                           lsp_failure *why) {
  lsp_skeleton s;
  LSP_TRY(lsp_layout_memory(spec, &s, e, why));
  const lsp_status status = lsp_skeleton_install(&s, path, why);
  lsp_skeleton_close(&s);
  LSP_TRY(status);
  return store_fill(path, e, LSP_MEMORY_DATASETS + spec->parts, why);
}

#endif
