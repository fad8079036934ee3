/* Checkpoints in the safetensors format, one file or several with an index.
 *
 *   file:  u64 little-endian N | N bytes of JSON | tensor bytes, row-major
 *   JSON:  {"NAME": {"dtype": "F32", "shape": [2,3], "data_offsets": [BEGIN,END]}, ...}
 *
 * Everything is checked before a tensor byte is read: header size (<= 100,000,000 and
 * within the file, at most 100,000 tensors), UTF-8, JSON with no duplicate keys, known
 * dtype, rank <= 8, names of at most 512 bytes without control characters, shape
 * product without overflow and equal to the bytes, offsets that tile the data without
 * hole, overlap or trailing bytes. Files are read by pread, never mapped: a truncated
 * map is a SIGBUS.
 *
 * Local, all of it. */
#ifndef LSP_SAFETENSORS_H
#define LSP_SAFETENSORS_H

#include "lsp/status.h"

#include <stdint.h>

enum { LSP_TENSOR_RANK_MAX = 8 };

typedef enum {
  LSP_F64,
  LSP_F32,
  LSP_F16,
  LSP_BF16,
  LSP_I64,
  LSP_I32,
  LSP_U16,
  LSP_U8,
  LSP_OTHER /* known to the format, of no use here: BOOL, I8, I16, U32, F8_E4M3, ... */
} lsp_dtype;

typedef struct {
  const char *name; /* owned by the checkpoint */
  const char *dtype_name;
  lsp_dtype dtype;
  int rank;
  int64_t shape[LSP_TENSOR_RANK_MAX];
  int64_t count;  /* elements */
  int file;       /* which of the files */
  int64_t offset; /* of the first byte, from the beginning of that file */
  int64_t bytes;
} lsp_tensor;

typedef struct lsp_checkpoint lsp_checkpoint;

/* Opens DIR/model.safetensors, or the files that DIR/model.safetensors.index.json names
 * (plain basenames only), or `path` itself if it is a file. */
lsp_status lsp_checkpoint_open(const char *path, lsp_checkpoint **out,
                               lsp_failure *why);

/* Frees *c and sets it to NULL. NULL is accepted. */
void lsp_checkpoint_close(lsp_checkpoint **c);

/* Tensors in byte order of their names. */
int64_t lsp_checkpoint_count(const lsp_checkpoint *c);
const lsp_tensor *lsp_checkpoint_at(const lsp_checkpoint *c, int64_t i);
const lsp_tensor *lsp_checkpoint_find(const lsp_checkpoint *c, const char *name);

/* Path of the file that holds the tensor, for messages. */
const char *lsp_checkpoint_path(const lsp_checkpoint *c, const lsp_tensor *t);

/* Reads elements [first, first + n) of a tensor: F64, F32, F16 or BF16, each a finite
 * float32 (else tensor and element are named). */
lsp_status lsp_checkpoint_floats(const lsp_checkpoint *c, const lsp_tensor *t,
                                 int64_t first, int64_t n, float *out,
                                 lsp_failure *why);

/* XXH3-128 over name, dtype, shape and the XXH3-128 of the stored bytes of all tensors
 * in byte order of name: the same for one file and for shards of it. A tensor that
 * lsp_checkpoint_floats gave whole is not read again: what is hashed is what it gave. */
lsp_status lsp_checkpoint_hash(const lsp_checkpoint *c, unsigned char out[16],
                               lsp_failure *why);

#endif
