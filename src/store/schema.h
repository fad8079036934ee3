/* The datasets of longspan's HDF5 files as tables: what layout.c draws and what
 * probe.c looks for are the same rows. Internal to the store. */
#ifndef LSP_STORE_SCHEMA_H
#define LSP_STORE_SCHEMA_H

#include "lsp/layout.h"

#include <hdf5.h>
#include <stdint.h>

enum { LSP__RANK = 4, LSP__ROWS = 96, LSP__SUM_WORDS = 2 };
enum { LSP__PATH = LSP_PART_PATH + 8, LSP__STATE_RANK = LSP_PART_DIMS + 1 };

#define LSP__FORMAT_OUTPUT "longspan-output"
#define LSP__FORMAT_MEMORY "longspan-memory"
#define LSP__FORMAT_VERSION "2" /* and 1, without all sums, is read */
#define LSP__STATES_VERSION "3" /* of a memory file with states */

typedef enum {
  LSP__SCALE, /* a dimension without data: only its extent says something */
  LSP__U8,
  LSP__I32,
  LSP__I64,
  LSP__U64,
  LSP__F32,
  LSP__F64,
  LSP__TEXT /* fixed-length UTF-8, padded with NUL */
} lsp__element;

/* Output. A dataset follows the scales of its axes. */
enum {
  OUT_TOKEN,
  OUT_FEATURE,
  OUT_ID,
  OUT_BYTE_START,
  OUT_NLL,
  OUT_HIDDEN,
  OUT_HIDDEN_LAYER, /* and those after it: LSP_HIDDEN_MOST in all */
  OUT_HIDDEN_LAYER_LAST = OUT_HIDDEN_LAYER + LSP_HIDDEN_MOST - 1,
  OUT_CHOICE,
  OUT_CHOSEN_LAYER, /* and those after it: as many */
  OUT_CHOSEN_LAYER_LAST = OUT_CHOSEN_LAYER + LSP_HIDDEN_MOST - 1,
  OUT_DOCUMENT,
  OUT_NAME,
  OUT_TOKEN_START,
  OUT_TOKEN_COUNT,
  OUT_N_BYTES,
  OUT_NLL_COUNT,
  OUT_NLL_SUM,
  OUT_BITS_PER_BYTE,
  OUT_NOT_FINITE,
  OUT_BYTE,
  OUT_EDGE,
  OUT_TOKEN_BYTES,
  OUT_TOKEN_BYTES_START,
  OUT_PANEL,
  OUT_PANEL_XXH3,
  OUT_DOCUMENT_XXH3,
  OUT_WORD,
  OUT_LAYOUT_XXH3,
  OUT_ROWS
};

/* Memory. */
enum {
  MEM_SNAPSHOT,
  MEM_LAYER,
  MEM_ROW,
  MEM_FEATURE,
  MEM_MODEL,
  MEM_DOCUMENT,
  MEM_POSITION,
  MEM_ROWS_THERE,
  MEM_LAYER_ROWS,
  MEM_LAST_ID,
  MEM_HIDDEN,
  MEM_KEYS,
  MEM_VALUES,
  MEM_ROW_XXH3,
  MEM_END_XXH3,
  MEM_PART,
  MEM_PART_NAME,
  MEM_PART_XXH3,
  MEM_WORD,
  MEM_LAYOUT_XXH3,
  MEM_ROWS
};

typedef struct {
  const char *path; /* ends in _: a number of the file's own follows */
  lsp__element element;
  int rank;
  int axis[LSP__RANK]; /* rows of the same table: the scale of each axis */
  int optional;        /* may be absent */
  int since;           /* format version that brought it; files of older ones lack it */
} lsp__row;

typedef struct {
  const char *format;   /* attribute of the root */
  const char *group[4]; /* one without datasets is left out */
  int groups;
  const lsp__row *row;
  int rows;
  int sum_row; /* the one that holds the layout's sum */
} lsp__schema;

/* Local. */
const lsp__schema *lsp__schema_output(void);
const lsp__schema *lsp__schema_memory(void);

/* Local. The row of an lsp_output_dataset, of an lsp_memory_dataset. */
int lsp__output_row(int dataset);
int lsp__memory_row(int dataset);

/* Local. The element's type in the file; LSP__TEXT and LSP__SCALE have none here. */
hid_t lsp__element_type(lsp__element e);

/* Local. 1 if a file of a format version may lack the row. */
int lsp__may_be_absent(const lsp__row *row, int version);

/* Local. Type of the numbers of a part in the file. */
hid_t lsp__part_type(lsp_part_type type);

/* Local. 1 if a number follows the row's path. */
int lsp__row_is_numbered(const lsp__row *row);

/* Local. The row's path in a file; number: of a numbered row. */
void lsp__row_path(const lsp__row *row, int64_t number, char path[LSP__PATH]);

/* Local. Bytes of an element; 0 for LSP__TEXT, whose width is the file's. */
int64_t lsp__element_bytes(lsp__element e);

/* Local. File access through plain POSIX calls, without locks (the file is ours alone
 * or only read; NFS and Lustre may refuse locks), and with every object closed with the
 * file. Negative: HDF5 failed. The caller closes it. */
hid_t lsp__plain_access(void);

/* Local. The innermost reason of HDF5's last failure, one line. */
void lsp__hdf5_reason(char *text, size_t bytes);

#endif
