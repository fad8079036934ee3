/* A checkpoint from the inside: its files and tensors. Internal to this folder. */
#ifndef LSP_FORMAT_SAFETENSORS_INTERNAL_H
#define LSP_FORMAT_SAFETENSORS_INTERNAL_H

#include "lsp/safetensors.h"

typedef struct {
  char *path; /* owned */
  int fd;     /* -1: not open */
  int64_t bytes;
} lsp__shard;

/* XXH3-128 of the stored bytes of a tensor. */
typedef struct {
  int known;
  unsigned char byte[16];
} lsp__tensor_hash;

struct lsp_checkpoint {
  lsp__shard *shard; /* (shards) */
  int shards;
  lsp_tensor *tensor; /* (count); names owned, in byte order of name once open */
  int64_t count, capacity;
  lsp__tensor_hash *hash; /* (count); of the bytes that were given out */
};

/* Local. Reads and checks the header of shard `file` and appends its tensors. */
lsp_status lsp__safetensors_header(lsp_checkpoint *c, int file, lsp_failure *why);

/* Local. Names of tensors go into messages: short, and without control characters. */
lsp_status lsp__safetensors_name(const char *path, const char *name, lsp_failure *why);

#endif
