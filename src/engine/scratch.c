/* Rings in a file: keys and values that later waves look back to, on a disk.
 *
 * The file has no name from the moment it is open, so nothing is left of it whatever becomes
 * of the process. It is mapped as a whole, and is as sparse as the rings are empty: before a
 * wave its part is allocated, so that a full disk is a status and not a SIGBUS. What must
 * hold: no page is written, or read, that was not allocated.
 *
 *   file   | ring of layer 0: groups 0, 1, ... | ring of layer 1 | ...
 *            allocated: as many groups of each as the longest frame has had so far
 *
 * A two-sided model keeps a few rows in other rings: they are allocated at once. */
#include "engine_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const double mib = 1 << 20;

static double free_bytes(int fd) {
  struct statvfs v;
  return fstatvfs(fd, &v) == 0 ? (double)v.f_bavail * (double)v.f_frsize : INFINITY;
}

static lsp_status cannot(const lsp_scratch *s, const char *what, lsp_failure *why) {
  return lsp_fail(
      why, LSP_E_IO,
      "--scratch %s: cannot %s a file there: %s; name a folder on a disk of "
      "this machine that this user may write to",
      s->path, what, strerror(errno));
}

/* Do the files of all ranks of this node fit? */
static lsp_status check_free(const lsp_run *e, lsp_failure *why) {
  const lsp_scratch *s = &e->kept.scratch;
  const double there = free_bytes(s->fd);
  const double needed = (double)s->bytes * e->job.ctx->node_size;
  if (needed <= there)
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_IO,
      "--scratch %s: the keys and values that layers look back to take %.0f "
      "MiB (%.0f MiB for each rank of this node), but %.0f MiB are free "
      "there; name a folder with more room, or give layers a shorter memory",
      s->path, needed / mib, (double)s->bytes / mib, there / mib);
}

static lsp_status make_file(lsp_scratch *s, lsp_failure *why) {
  static const char ending[] = ".scratch";
  char name[sizeof s->path + 32];
  (void)snprintf(name, sizeof name, "%s/longspan-XXXXXX%s", s->path, ending);
  s->fd = mkostemps(name, (int)sizeof ending - 1, O_CLOEXEC);
  if (s->fd < 0)
    return cannot(s, "make", why);
  return unlink(name) == 0 ? LSP_OK : cannot(s, "remove", why);
}

/* Where the file system reserves nothing zeros are written. */
static lsp_status write_zeros(const lsp_scratch *s, int64_t at, int64_t n,
                              lsp_failure *why) {
  static const char zeros[1 << 16];
  for (int64_t some; n > 0; at += some, n -= some) {
    some = lsp_min(n, (int64_t)sizeof zeros);
    LSP_TRY(lsp_write_at(s->fd, s->path, zeros, some, at, why));
  }
  return LSP_OK;
}

static lsp_status allocate(const lsp_scratch *s, int64_t at, int64_t n,
                           lsp_failure *why) {
  int error = EINTR;
  while (error == EINTR)
    error = fallocate(s->fd, 0, at, n) == 0 ? 0 : errno;
  if (error == EOPNOTSUPP || error == ENOSYS)
    return write_zeros(s, at, n, why);
  return error == 0 ? LSP_OK : lsp_fail(why, LSP_E_IO, "%s", strerror(error));
}

static lsp_status full(const lsp_scratch *s, int64_t missing, const char *reason,
                       lsp_failure *why) {
  return lsp_fail(
      why, LSP_E_IO,
      "--scratch %s: no room for %.1f MiB more of keys and values (%s); make "
      "room there, or name another folder, and run the same command with "
      "--resume: what was committed stays",
      s->path, (double)missing / mib, reason);
}

lsp_status lsp_scratch_open(lsp_run *e, lsp_failure *why) {
  lsp_scratch *s = &e->kept.scratch;
  const int64_t bytes = e->span.sizes.scratch_bytes;
  lsp_failure reason;
  if (bytes == 0)
    return LSP_OK;
  (void)snprintf(s->path, sizeof s->path, "%s", e->job.options->scratch);
  s->bytes = bytes;
  LSP_TRY(make_file(s, why));
  LSP_TRY(check_free(e, why));
  if (ftruncate(s->fd, bytes) != 0)
    return cannot(s, "lengthen", why);
  void *at = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
  if (at == MAP_FAILED)
    return cannot(s, "map", why);
  e->kept.rings = at;
  if (e->weights.model.two_sided && allocate(s, 0, bytes, &reason) != LSP_OK)
    return full(s, bytes, reason.text, why);
  s->tiles = e->weights.model.two_sided ? INT64_MAX : 0;
  return LSP_OK;
}

void lsp_scratch_close(lsp_run *e) {
  lsp_scratch *s = &e->kept.scratch;
  if (s->bytes == 0)
    return;
  if (e->kept.rings != NULL)
    (void)munmap(e->kept.rings, (size_t)s->bytes);
  if (s->fd >= 0)
    (void)close(s->fd);
  memset(s, 0, sizeof *s);
}

lsp_status lsp_scratch_reserve(lsp_run *e, int64_t tiles, lsp_failure *why) {
  lsp_scratch *s = &e->kept.scratch;
  const int64_t P = e->job.ctx->size, number = sizeof(float);
  lsp_failure reason;
  lsp_status st = LSP_OK;
  int64_t missing = 0;
  if (s->bytes == 0 || tiles <= s->tiles)
    return LSP_OK;
  for (int layer = 0; layer < e->weights.model.layers; layer++) {
    const lsp_layer_sizes *y = &e->span.layer[layer];
    const int64_t had = lsp_sizes_ring_used(y, s->tiles, P) * number;
    const int64_t n = lsp_sizes_ring_used(y, tiles, P) * number - had;
    if (st == LSP_OK && n > 0)
      st = allocate(s, y->ring_at * number + had, n, &reason);
    missing += st == LSP_OK ? 0 : n;
  }
  if (st != LSP_OK)
    return full(s, missing, reason.text, why);
  s->tiles = tiles;
  return LSP_OK;
}
