/* Bytes that reach the disk: full writes, syncs, locks, files replaced as a whole. Local.
 *
 * Messages name the file. A failed sync is final and never retried: the kernel marks
 * the pages clean, so that a second sync would say that all is well. */
#ifndef LSP_DURABLE_H
#define LSP_DURABLE_H

#include "lsp/status.h"

#include <stdint.h>

/* Writes all n bytes at offset; interrupted and short writes are continued. LSP_E_IO:
 * fewer were written; a full disk and a full quota are said in words. */
lsp_status lsp_write_at(int fd, const char *path, const void *data, int64_t n,
                        int64_t offset, lsp_failure *why);

/* Reads all n bytes. LSP_E_IO: the file ends before, or cannot be read. */
lsp_status lsp_read_at(int fd, const char *path, void *data, int64_t n, int64_t offset,
                       lsp_failure *why);

lsp_status lsp_sync_file(int fd, const char *path, lsp_failure *why); /* fdatasync */
lsp_status lsp_sync_folder_of(const char *path, lsp_failure *why);

/* Renames and syncs the folder. What had the name `to` is gone. */
lsp_status lsp_rename(const char *from, const char *to, lsp_failure *why);

/* LSP_OK if a file of ours may be made or replaced under this name: nothing is there,
 * or a regular file that has no second name. LSP_E_IO: a link, a hard link, a folder, a
 * pipe or the like, which a write could reach through. */
lsp_status lsp_own_name(const char *path, lsp_failure *why);

/* lsp_own_name, and what is there can be what a crash has left of a file that begins
 * with this text of at most 8 bytes: empty, zeros, or its beginning. LSP_E_MISMATCH: it
 * is a file of another kind. */
lsp_status lsp_own_remnant(const char *path, const char *begins, lsp_failure *why);

/* A text does not tell whose it is, so a file of ours that holds one is marked, by an
 * extended attribute where the file system keeps them. lsp_is_marked: 1 if it is, or if
 * the file is empty; 0 if not, or if no mark can be kept. */
void lsp_mark_own(int fd);
int lsp_is_marked(const char *path);

/* Opens an existing file of ours (lsp_own_name) for reading and writing and locks it
 * against other processes until *fd, which the caller owns, is closed; on a file system
 * without locks it is only opened. *fd is -1 unless LSP_OK comes back. LSP_E_INPUT: it is
 * not there. LSP_E_MISMATCH: another process holds it, or has just replaced it. */
lsp_status lsp_lock_file(const char *path, int *fd, lsp_failure *why);

/* A file that is written beside its name and takes the name when it is whole:
 *
 *   begin    PATH.tmp is made: empty, open, locked against other processes
 *   commit   it is synced and renamed to PATH, and the folder is synced
 *   end      it is closed and unlocked; without a commit it is removed
 *
 * What holds: a crash at any moment leaves under PATH the old file or the new one,
 * whole. A PATH.tmp that a crash has left is emptied and used again. No link is followed
 * and none replaced: begin refuses a PATH that is no regular file and a PATH.tmp that
 * lsp_own_name refuses, and then nothing has been changed. Another name (hard link) of
 * PATH keeps the old file. That PATH is a file which may be replaced is for the caller
 * to know. */
typedef struct {
  int fd;           /* of PATH.tmp, for reading and writing; -1: none */
  const char *path; /* lent until lsp_replacement_end */
  char *temporary;  /* PATH.tmp; owned. NULL after the commit */
} lsp_replacement;

/* LSP_E_MISMATCH: another process is writing PATH.tmp. After any failure there is
 * nothing to end. */
lsp_status lsp_replacement_begin(const char *path, lsp_replacement *r,
                                 lsp_failure *why);
lsp_status lsp_replacement_commit(lsp_replacement *r, lsp_failure *why);
void lsp_replacement_end(lsp_replacement *r); /* once; a second time does nothing */

/* All three for a small file whose bytes are there. */
lsp_status lsp_replace_file(const char *path, const void *data, size_t bytes,
                            lsp_failure *why);

#endif
