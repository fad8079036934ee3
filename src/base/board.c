#include "board.h"

#include "lsp/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "LSPALIVE";

enum { RECORD = LSP__RECORD_WORDS * 8 };

_Static_assert(sizeof(lsp__record) == RECORD, "a record is of whole words");

static size_t bytes_of(const lsp__board *b) {
  return (size_t)(1 + b->ranks) * RECORD;
}

/* --- any record, in memory or in the file ---------------------------------------- */

static int put(const lsp__board *b, int index, const void *record) {
  if (b->words != NULL) {
    uint64_t word[LSP__RECORD_WORDS];
    memcpy(word, record, RECORD);
    for (int i = 0; i < LSP__RECORD_WORDS; i++)
      atomic_store_explicit(&b->words[index * LSP__RECORD_WORDS + i], word[i],
                            memory_order_relaxed);
    return 1;
  }
  const int fd = open(b->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return 0;
  const ssize_t n = pwrite(fd, record, RECORD, (off_t)index * RECORD);
  return (close(fd) == 0) & (n == RECORD);
}

static int get(const lsp__board *b, int first, int count, void *records) {
  if (b->words != NULL) {
    uint64_t *word = records;
    for (int i = 0; i < count * LSP__RECORD_WORDS; i++)
      word[i] = atomic_load_explicit(&b->words[first * LSP__RECORD_WORDS + i],
                                     memory_order_relaxed);
    return 1;
  }
  const int fd = open(b->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return 0;
  const ssize_t n = pread(fd, records, (size_t)count * RECORD, (off_t)first * RECORD);
  (void)close(fd);
  return n == (ssize_t)count * RECORD;
}

int lsp__board_put(const lsp__board *b, const lsp__record *mine) {
  return put(b, 1 + b->rank, mine);
}

int lsp__board_get(const lsp__board *b, lsp__record *all) {
  return get(b, 1, b->ranks, all);
}

int lsp__board_end(const lsp__board *b) {
  char head[RECORD] = "";
  memcpy(head, magic, sizeof magic);
  head[sizeof magic] = 1;
  return put(b, 0, head);
}

int lsp__board_ended(const lsp__board *b) {
  _Alignas(8) char head[RECORD] = "";
  return get(b, 0, 1, head) && head[sizeof magic] == 1;
}

/* --- making it ------------------------------------------------------------------- */

lsp_status lsp__board_remove_old(const char *path, lsp_failure *why) {
  char head[sizeof magic] = "";
  struct stat st;
  if (lstat(path, &st) != 0 && errno == ENOENT)
    return LSP_OK;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  const int ours = fd >= 0 && read(fd, head, sizeof head) == (ssize_t)sizeof head &&
                   memcmp(head, magic, sizeof head) == 0;
  if (fd >= 0)
    (void)close(fd);
  if (ours && (unlink(path) == 0 || errno == ENOENT))
    return LSP_OK;
  return lsp_fail(why, LSP_E_IO,
                  "%s: the watchdog's file cannot be made, another file has its name; "
                  "move that one away, or use --watchdog 0",
                  path);
}

static lsp_status create(const lsp__board *b, lsp_failure *why) {
  LSP_TRY(lsp__board_remove_old(b->path, why));
  char *zeros = calloc(1, bytes_of(b));
  if (zeros == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for the watchdog");
  memcpy(zeros, magic, sizeof magic);
  lsp_status st = LSP_OK;
  const int fd =
      open(b->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0)
    st = lsp_fail(why, LSP_E_IO,
                  "%s: the watchdog's file cannot be made: %s; check the folder, or "
                  "use --watchdog 0",
                  b->path, strerror(errno));
  else
    st = lsp_write_at(fd, b->path, zeros, (int64_t)bytes_of(b), 0, why);
  if (fd >= 0)
    (void)close(fd);
  free(zeros);
  return st;
}

static void open_window(lsp_ctx *ctx, lsp__board *b) {
  MPI_Aint size = 0;
  int unit = 0;
  const MPI_Aint mine = ctx->rank == 0 ? (MPI_Aint)bytes_of(b) : 0;
  LSP_MPI(MPI_Win_allocate_shared(mine, 8, MPI_INFO_NULL, ctx->node, (void *)&b->words,
                                  &b->window));
  LSP_MPI(MPI_Win_shared_query(b->window, 0, &size, &unit, (void *)&b->words));
  if (ctx->rank == 0)
    for (size_t i = 0; i < bytes_of(b) / 8; i++)
      atomic_store(&b->words[i], 0);
  LSP_MPI(MPI_Barrier(ctx->node));
}

lsp_status lsp__board_open(lsp_ctx *ctx, const char *path, int in_memory,
                           lsp__board *b) {
  memset(b, 0, sizeof *b);
  b->window = MPI_WIN_NULL;
  b->rank = ctx->rank;
  b->ranks = ctx->size;
  if (in_memory) {
    open_window(ctx, b);
    return LSP_OK;
  }
  lsp_status st = LSP_OK;
  b->path = strdup(path);
  if (b->path == NULL)
    st = lsp_fail(&ctx->why, LSP_E_MEMORY, "no memory for the watchdog");
  else if (ctx->rank == 0)
    st = create(b, &ctx->why);
  b->made = ctx->rank == 0 && st == LSP_OK;
  return lsp_agree(ctx, st);
}

void lsp__board_close(lsp__board *b) {
  if (b->window != MPI_WIN_NULL)
    LSP_MPI(MPI_Win_free(&b->window));
  if (b->made)
    (void)unlink(b->path);
  free(b->path);
  b->path = NULL;
  b->words = NULL;
}
