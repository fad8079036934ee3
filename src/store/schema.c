/* The rows of the two files, in the order in which their objects are made, and the few
 * HDF5 functions that writer and reader share.
 *
 * What must hold: a row's axes are earlier rows with LSP__SCALE; a scale is its own
 * axis. The order of the rows decides where the bytes lie, so changing it changes the
 * hash of every file: raise LSP__FORMAT_VERSION with it. A row that files may lack can
 * come anywhere: the bytes of files without it stay. Parts of a memory are no rows: they
 * follow after the last one, as the file's own /states/name lists them. */
#include "schema.h"

#include <stdio.h>
#include <string.h>

/* LSP_HIDDEN_MOST rows of a kind. */
#define HIDDEN_LAYER(at)                                                               \
  [at] = {"/tokens/hidden_", LSP__F32, 2, {OUT_TOKEN, OUT_FEATURE}, 1, 2}
#define CHOSEN_LAYER(at)                                                               \
  [at] = {"/tokens/chosen_", LSP__I32, 2, {OUT_TOKEN, OUT_CHOICE}, 1, 2}
#define FOUR(row, at) row(at), row((at) + 1), row((at) + 2), row((at) + 3)
#define SIXTEEN(row, at)                                                               \
  FOUR(row, at), FOUR(row, (at) + 4), FOUR(row, (at) + 8), FOUR(row, (at) + 12)
#define ALL_LAYERS(row, at) SIXTEEN(row, at), SIXTEEN(row, (at) + 16)

static const lsp__row output_row[OUT_ROWS] = {
    [OUT_TOKEN] = {"/tokens/token", LSP__SCALE, 1, {OUT_TOKEN}, 0, 1},
    [OUT_FEATURE] = {"/tokens/feature", LSP__SCALE, 1, {OUT_FEATURE}, 1, 1},
    [OUT_ID] = {"/tokens/id", LSP__I32, 1, {OUT_TOKEN}, 1, 1},
    [OUT_BYTE_START] = {"/tokens/byte_start", LSP__I64, 1, {OUT_TOKEN}, 1, 2},
    [OUT_NLL] = {"/tokens/nll", LSP__F32, 1, {OUT_TOKEN}, 1, 1},
    [OUT_HIDDEN] = {"/tokens/hidden", LSP__F32, 2, {OUT_TOKEN, OUT_FEATURE}, 1, 1},
    ALL_LAYERS(HIDDEN_LAYER, OUT_HIDDEN_LAYER),
    [OUT_CHOICE] = {"/tokens/choice", LSP__SCALE, 1, {OUT_CHOICE}, 1, 2},
    ALL_LAYERS(CHOSEN_LAYER, OUT_CHOSEN_LAYER),
    [OUT_DOCUMENT] = {"/documents/document", LSP__SCALE, 1, {OUT_DOCUMENT}, 0, 1},
    [OUT_NAME] = {"/documents/name", LSP__TEXT, 1, {OUT_DOCUMENT}, 0, 1},
    [OUT_TOKEN_START] = {"/documents/token_start", LSP__I64, 1, {OUT_DOCUMENT}, 0, 1},
    [OUT_TOKEN_COUNT] = {"/documents/token_count", LSP__I64, 1, {OUT_DOCUMENT}, 0, 1},
    [OUT_N_BYTES] = {"/documents/n_bytes", LSP__I64, 1, {OUT_DOCUMENT}, 0, 1},
    [OUT_NLL_COUNT] = {"/documents/nll_count", LSP__I64, 1, {OUT_DOCUMENT}, 0, 1},
    [OUT_NLL_SUM] = {"/documents/nll_sum", LSP__F64, 1, {OUT_DOCUMENT}, 0, 1},
    [OUT_BITS_PER_BYTE] =
        {"/documents/bits_per_byte", LSP__F64, 1, {OUT_DOCUMENT}, 0, 1},
    [OUT_NOT_FINITE] =
        {"/documents/not_finite_count", LSP__I64, 1, {OUT_DOCUMENT}, 0, 2},
    [OUT_BYTE] = {"/tokenizer/byte", LSP__SCALE, 1, {OUT_BYTE}, 1, 2},
    [OUT_EDGE] = {"/tokenizer/edge", LSP__SCALE, 1, {OUT_EDGE}, 1, 2},
    [OUT_TOKEN_BYTES] = {"/tokenizer/token_bytes", LSP__U8, 1, {OUT_BYTE}, 1, 2},
    [OUT_TOKEN_BYTES_START] = {"/tokenizer/token_start", LSP__I64, 1, {OUT_EDGE}, 1, 2},
    [OUT_PANEL] = {"/integrity/panel", LSP__SCALE, 1, {OUT_PANEL}, 0, 1},
    [OUT_PANEL_XXH3] = {"/integrity/panel_xxh3", LSP__U64, 1, {OUT_PANEL}, 0, 1},
    [OUT_DOCUMENT_XXH3] =
        {"/integrity/document_xxh3", LSP__U64, 1, {OUT_DOCUMENT}, 0, 2},
    [OUT_WORD] = {"/integrity/word", LSP__SCALE, 1, {OUT_WORD}, 0, 2},
    [OUT_LAYOUT_XXH3] = {"/integrity/layout_xxh3", LSP__U64, 1, {OUT_WORD}, 0, 2},
};

#define CACHE_AXES                                                                     \
  { MEM_SNAPSHOT, MEM_LAYER, MEM_ROW, MEM_FEATURE }

static const lsp__row memory_row[MEM_ROWS] = {
    [MEM_SNAPSHOT] = {"/snapshots/snapshot", LSP__SCALE, 1, {MEM_SNAPSHOT}, 0, 1},
    [MEM_LAYER] = {"/snapshots/layer", LSP__SCALE, 1, {MEM_LAYER}, 0, 1},
    [MEM_ROW] = {"/snapshots/row", LSP__SCALE, 1, {MEM_ROW}, 0, 1},
    [MEM_FEATURE] = {"/snapshots/feature", LSP__SCALE, 1, {MEM_FEATURE}, 0, 1},
    [MEM_MODEL] = {"/snapshots/model", LSP__SCALE, 1, {MEM_MODEL}, 0, 1},
    [MEM_DOCUMENT] = {"/snapshots/document", LSP__I64, 1, {MEM_SNAPSHOT}, 0, 1},
    [MEM_POSITION] = {"/snapshots/position", LSP__I64, 1, {MEM_SNAPSHOT}, 0, 1},
    [MEM_ROWS_THERE] = {"/snapshots/rows", LSP__I64, 1, {MEM_SNAPSHOT}, 0, 1},
    [MEM_LAYER_ROWS] = {"/snapshots/layer_rows", LSP__I64, 1, {MEM_LAYER}, 1, 2},
    [MEM_LAST_ID] = {"/snapshots/last_id", LSP__I32, 1, {MEM_SNAPSHOT}, 0, 1},
    [MEM_HIDDEN] = {"/snapshots/hidden", LSP__F32, 2, {MEM_SNAPSHOT, MEM_MODEL}, 0, 1},
    [MEM_KEYS] = {"/snapshots/keys", LSP__F32, 4, CACHE_AXES, 0, 1},
    [MEM_VALUES] = {"/snapshots/values", LSP__F32, 4, CACHE_AXES, 0, 1},
    [MEM_ROW_XXH3] =
        {"/snapshots/row_xxh3", LSP__U64, 3, {MEM_SNAPSHOT, MEM_LAYER, MEM_ROW}, 0, 2},
    [MEM_END_XXH3] = {"/snapshots/end_xxh3", LSP__U64, 1, {MEM_SNAPSHOT}, 0, 2},
    [MEM_PART] = {"/states/part", LSP__SCALE, 1, {MEM_PART}, 1, 3},
    [MEM_PART_NAME] = {"/states/name", LSP__TEXT, 1, {MEM_PART}, 1, 3},
    [MEM_PART_XXH3] =
        {"/states/part_xxh3", LSP__U64, 2, {MEM_SNAPSHOT, MEM_PART}, 1, 3},
    [MEM_WORD] = {"/integrity/word", LSP__SCALE, 1, {MEM_WORD}, 0, 2},
    [MEM_LAYOUT_XXH3] = {"/integrity/layout_xxh3", LSP__U64, 1, {MEM_WORD}, 0, 2},
};

static const lsp__schema output_schema = {
    LSP__FORMAT_OUTPUT,
    {"/tokens", "/documents", "/tokenizer", "/integrity"},
    4,
    output_row,
    OUT_ROWS,
    OUT_LAYOUT_XXH3};

static const lsp__schema memory_schema = {LSP__FORMAT_MEMORY,
                                          {"/snapshots", "/integrity", "/states", NULL},
                                          3,
                                          memory_row,
                                          MEM_ROWS,
                                          MEM_LAYOUT_XXH3};

const lsp__schema *lsp__schema_output(void) {
  return &output_schema;
}

const lsp__schema *lsp__schema_memory(void) {
  return &memory_schema;
}

static const int of_output[LSP_OUTPUT_DATASETS] = {
    [LSP_TOKENS_ID] = OUT_ID,
    [LSP_TOKENS_BYTE_START] = OUT_BYTE_START,
    [LSP_TOKENS_NLL] = OUT_NLL,
    [LSP_TOKENS_HIDDEN] = OUT_HIDDEN,
    [LSP_DOCUMENTS_NLL_COUNT] = OUT_NLL_COUNT,
    [LSP_DOCUMENTS_NLL_SUM] = OUT_NLL_SUM,
    [LSP_DOCUMENTS_BITS_PER_BYTE] = OUT_BITS_PER_BYTE,
    [LSP_DOCUMENTS_NOT_FINITE] = OUT_NOT_FINITE,
    [LSP_INTEGRITY_PANEL] = OUT_PANEL_XXH3,
    [LSP_INTEGRITY_DOCUMENT] = OUT_DOCUMENT_XXH3,
    [LSP_INTEGRITY_LAYOUT] = OUT_LAYOUT_XXH3,
};

static const int of_memory[LSP_MEMORY_DATASETS] = {
    [LSP_SNAPSHOT_LAST_ID] = MEM_LAST_ID,    [LSP_SNAPSHOT_HIDDEN] = MEM_HIDDEN,
    [LSP_SNAPSHOT_KEYS] = MEM_KEYS,          [LSP_SNAPSHOT_VALUES] = MEM_VALUES,
    [LSP_SNAPSHOT_ROW_SUM] = MEM_ROW_XXH3,   [LSP_SNAPSHOT_END_SUM] = MEM_END_XXH3,
    [LSP_SNAPSHOT_PART_SUM] = MEM_PART_XXH3, [LSP_SNAPSHOT_LAYOUT] = MEM_LAYOUT_XXH3,
};

int lsp__output_row(int dataset) {
  if (dataset >= LSP_TOKENS_HIDDEN_LAYER && dataset <= LSP_TOKENS_HIDDEN_LAYER_LAST)
    return OUT_HIDDEN_LAYER + (dataset - LSP_TOKENS_HIDDEN_LAYER);
  if (dataset >= LSP_TOKENS_CHOSEN_LAYER && dataset <= LSP_TOKENS_CHOSEN_LAYER_LAST)
    return OUT_CHOSEN_LAYER + (dataset - LSP_TOKENS_CHOSEN_LAYER);
  return of_output[dataset];
}

int lsp__memory_row(int dataset) {
  return of_memory[dataset];
}

int lsp__may_be_absent(const lsp__row *row, int version) {
  return row->optional || version < row->since;
}

int lsp__row_is_numbered(const lsp__row *row) {
  return row->path[strlen(row->path) - 1] == '_';
}

void lsp__row_path(const lsp__row *row, int64_t number, char path[LSP__PATH]) {
  if (lsp__row_is_numbered(row))
    (void)snprintf(path, LSP__PATH, "%s%lld", row->path, (long long)number);
  else
    (void)snprintf(path, LSP__PATH, "%s", row->path);
}

hid_t lsp__element_type(lsp__element e) {
  switch (e) {
  case LSP__U8:
    return H5T_STD_U8LE;
  case LSP__I32:
    return H5T_STD_I32LE;
  case LSP__I64:
    return H5T_STD_I64LE;
  case LSP__U64:
    return H5T_STD_U64LE;
  case LSP__F32:
    return H5T_IEEE_F32LE;
  case LSP__F64:
    return H5T_IEEE_F64LE;
  case LSP__SCALE:
  case LSP__TEXT:
    break;
  }
  return H5I_INVALID_HID;
}

hid_t lsp__part_type(lsp_part_type type) {
  switch (type) {
  case LSP_PART_F32:
    return H5T_IEEE_F32LE;
  case LSP_PART_F64:
    return H5T_IEEE_F64LE;
  case LSP_PART_I32:
    return H5T_STD_I32LE;
  case LSP_PART_I64:
    return H5T_STD_I64LE;
  }
  return H5I_INVALID_HID;
}

void lsp_part_path(const lsp_part *part, char path[LSP_PART_PATH]) {
  if (part->layer < 0)
    (void)snprintf(path, LSP_PART_PATH, "model/%s", part->name);
  else
    (void)snprintf(path, LSP_PART_PATH, "%d/%s", part->layer, part->name);
}

int64_t lsp__element_bytes(lsp__element e) {
  switch (e) {
  case LSP__U8:
    return 1;
  case LSP__SCALE:
  case LSP__I32:
  case LSP__F32:
    return 4;
  case LSP__I64:
  case LSP__U64:
  case LSP__F64:
    return 8;
  case LSP__TEXT:
    break;
  }
  return 0;
}

hid_t lsp__plain_access(void) {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  if (access < 0)
    return access;
  if (H5Pset_fapl_sec2(access) < 0 ||
      H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0)
    goto failed;
#if H5_VERSION_GE(1, 10, 7) &&                                                         \
    !(H5_VERS_MAJOR == 1 && H5_VERS_MINOR == 12 && H5_VERS_RELEASE == 0)
  if (H5Pset_file_locking(access, 0, 1) < 0)
    goto failed;
#endif
  return access;
failed:
  (void)H5Pclose(access);
  return H5I_INVALID_HID;
}

typedef struct {
  char *text;
  size_t bytes;
} reason;

static herr_t keep_first(unsigned n, const H5E_error2_t *error, void *argument) {
  reason *r = argument;
  if (n == 0 && error->desc != NULL)
    (void)snprintf(r->text, r->bytes, "%s", error->desc);
  return 0;
}

void lsp__hdf5_reason(char *text, size_t bytes) {
  reason r = {text, bytes};
  (void)snprintf(text, bytes, "no reason given");
  (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &r);
}
