/* Bytes that reach the disk: full writes, syncs, atomic replacement. Local.
 * A failed sync is final and never retried: the pages are marked clean. */
#ifndef LSP_DURABLE_H
#define LSP_DURABLE_H

#include "lsp/status.h"

#include <stdint.h>

/* All n bytes at offset; EINTR and short counts are gone on with. ENOSPC and EDQUOT say
 * so in words. */
lsp_status lsp_write_at(int fd, const char *path, const void *data, int64_t n,
                        int64_t offset, lsp_failure *why);

/* All n bytes; an early end is an error. */
lsp_status lsp_read_at(int fd, const char *path, void *data, int64_t n, int64_t offset,
                       lsp_failure *why);

lsp_status lsp_sync_file(int fd, const char *path, lsp_failure *why); /* fdatasync */
lsp_status lsp_sync_folder_of(const char *path, lsp_failure *why);
lsp_status lsp_rename(const char *from, const char *to, lsp_failure *why); /* + sync */

/* Writes a small whole file by PATH.tmp, fsync, rename, fsync of the folder. */
lsp_status lsp_replace_file(const char *path, const void *data, size_t bytes,
                            lsp_failure *why);

#endif
