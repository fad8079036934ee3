/* The journal: a header and a chain of records, appended and synced one by one.
 *
 *   header   0  magic "LSPJRNL1"
 *            8  u32 version (3)
 *           12  u32 bytes of the identity text
 *           16  XXH3-64 of bytes 0..15 and of everything from 24 to the header's end
 *           24  identity text, then zeros up to a multiple of 128
 *   record   0  i64 panel_end       8  i64 token_end    16  u32 fixed_rows, and
 *           20  u32 number of the record                     fixed_area as bit 31
 *                                                        24  i64 memory_end
 *           32  i64 open_count     40  u64 open_low     48  i64 open_high
 *           56  i64 corpus_count   64  u64 corpus_low   72  i64 corpus_high
 *           80  i64 memory_rows, and has_parts as bit 62
 *                                  88  i64 open_not_finite
 *           96  i64 corpus_not_finite                   104  i64 fixed_at
 *          112  u64 checksum of the record before (of the header, for record 0)
 *          120  u64 XXH3-64 of bytes 0..119
 *
 * All little-endian. A record is aligned to its size, so it never straddles a sector.
 *
 * What must hold: memory shows the records of the file and no others; after a failed
 * append or truncation the file's end is unknown, and the journal takes nothing more.
 */
#include "lsp/journal.h"

#include "lsp/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { HEADER = 24, RECORD = 128, LINK = 112, SUM = 120, VERSION = 3 };
enum { MOST_IDENTITY = 1 << 24, READ_AT_ONCE = 512 };

static const char magic[] = "LSPJRNL1";
static const uint64_t has_parts = (uint64_t)1 << 62;

typedef struct {
  lsp_commit commit;
  uint64_t sum;
} entry;

struct lsp_journal {
  int fd;
  int failed; /* a write failed: the end of the file is unknown */
  char *path, *identity;
  int64_t header_bytes;
  uint64_t header_sum;
  entry *entry; /* (room), count used */
  int64_t count, room;
  int64_t tail; /* bytes after the records that count */
};

static void put(unsigned char *at, uint64_t value, int bytes) {
  for (int b = 0; b < bytes; b++)
    at[b] = (unsigned char)(value >> (8 * b));
}

static uint64_t get(const unsigned char *at, int bytes) {
  uint64_t value = 0;
  for (int b = 0; b < bytes; b++)
    value |= (uint64_t)at[b] << (8 * b);
  return value;
}

static uint64_t encode(const lsp_commit *c, int64_t number, uint64_t before,
                       unsigned char at[RECORD]) {
  memset(at, 0, RECORD);
  put(at + 0, (uint64_t)c->panel_end, 8);
  put(at + 8, (uint64_t)c->token_end, 8);
  put(at + 16, (uint32_t)c->fixed_rows | (uint32_t)c->fixed_area << 31, 4);
  put(at + 20, (uint32_t)number, 4);
  put(at + 24, (uint64_t)c->memory_end, 8);
  put(at + 32, (uint64_t)c->open_count, 8);
  put(at + 40, c->open_low, 8);
  put(at + 48, (uint64_t)c->open_high, 8);
  put(at + 56, (uint64_t)c->corpus_count, 8);
  put(at + 64, c->corpus_low, 8);
  put(at + 72, (uint64_t)c->corpus_high, 8);
  put(at + 80, (uint64_t)c->memory_rows | (c->has_parts ? has_parts : 0), 8);
  put(at + 88, (uint64_t)c->open_not_finite, 8);
  put(at + 96, (uint64_t)c->corpus_not_finite, 8);
  put(at + 104, (uint64_t)c->fixed_at, 8);
  put(at + LINK, before, 8);
  const uint64_t sum = XXH3_64bits(at, SUM);
  put(at + SUM, sum, 8);
  return sum;
}

/* 1 if this is record `number`, after the one with checksum `before`, and its numbers
 * are possible. */
static int decode(const unsigned char at[RECORD], int64_t number, uint64_t before,
                  entry *out) {
  out->sum = get(at + SUM, 8);
  if (out->sum != XXH3_64bits(at, SUM) || get(at + LINK, 8) != before ||
      get(at + 20, 4) != (uint32_t)number)
    return 0;
  lsp_commit *c = &out->commit;
  c->panel_end = (int64_t)get(at + 0, 8);
  c->token_end = (int64_t)get(at + 8, 8);
  c->fixed_rows = (int64_t)(get(at + 16, 4) & 0x7fffffffu);
  c->fixed_area = (int32_t)(get(at + 16, 4) >> 31);
  c->fixed_new = 0;
  c->memory_end = (int64_t)get(at + 24, 8);
  c->open_count = (int64_t)get(at + 32, 8);
  c->open_low = get(at + 40, 8);
  c->open_high = (int64_t)get(at + 48, 8);
  c->corpus_count = (int64_t)get(at + 56, 8);
  c->corpus_low = get(at + 64, 8);
  c->corpus_high = (int64_t)get(at + 72, 8);
  c->memory_rows = (int64_t)(get(at + 80, 8) & ~has_parts);
  c->has_parts = (get(at + 80, 8) & has_parts) != 0;
  c->open_not_finite = (int64_t)get(at + 88, 8);
  c->corpus_not_finite = (int64_t)get(at + 96, 8);
  c->fixed_at = (int64_t)get(at + 104, 8);
  return c->panel_end >= 0 && c->token_end >= 0 && c->open_count >= 0 &&
         c->corpus_count >= 0 && c->open_not_finite >= 0 && c->corpus_not_finite >= 0 &&
         c->memory_rows >= 0 && c->memory_end >= c->memory_rows && c->fixed_at >= 0 &&
         c->memory_end >= c->fixed_at;
}

static uint64_t sum_before(const lsp_journal *j, int64_t i) {
  return i == 0 ? j->header_sum : j->entry[i - 1].sum;
}

static int64_t end_of(const lsp_journal *j, int64_t records) {
  return j->header_bytes + records * RECORD;
}

static int64_t padded(int64_t bytes) {
  return (bytes + RECORD - 1) / RECORD * RECORD;
}

static lsp_status no_memory(const char *path, lsp_failure *why) {
  return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for the journal", path);
}

static lsp_status keep(lsp_journal *j, const entry *e, lsp_failure *why) {
  if (j->count == j->room) {
    const int64_t room = j->room == 0 ? 64 : 2 * j->room;
    entry *wider = realloc(j->entry, (size_t)room * sizeof *wider);
    if (wider == NULL)
      return no_memory(j->path, why);
    j->entry = wider;
    j->room = room;
  }
  j->entry[j->count++] = *e;
  return LSP_OK;
}

/* Over the header as it lies, whose checksum field is passed over. */
static uint64_t sum_header(const unsigned char *header, size_t bytes) {
  const uint64_t front = XXH3_64bits(header, 16);
  return XXH3_64bits_withSeed(header + HEADER, bytes - HEADER, front);
}

lsp_status lsp_journal_create(const char *path, const char *identity_json,
                              lsp_journal **out, lsp_failure *why) {
  *out = NULL;
  const size_t n = strlen(identity_json);
  if (n > MOST_IDENTITY)
    return lsp_fail(why, LSP_E_LIMIT,
                    "%s: the identity of the run has more than 16 MiB", path);
  const size_t bytes = (size_t)padded((int64_t)(HEADER + n));
  unsigned char *header = calloc(bytes, 1);
  if (header == NULL)
    return no_memory(path, why);
  memcpy(header, magic, 8);
  put(header + 8, VERSION, 4);
  put(header + 12, n, 4);
  memcpy(header + HEADER, identity_json, n);
  put(header + 16, sum_header(header, bytes), 8);
  const lsp_status status = lsp_replace_file(path, header, bytes, why);
  free(header);
  LSP_TRY(status);
  return lsp_journal_open(path, out, why);
}

static lsp_status not_a_journal(const lsp_journal *j, const char *reason,
                                lsp_failure *why) {
  return lsp_fail(
      why, LSP_E_FORMAT,
      "%s: no journal that can be resumed (%s); begin anew with --overwrite", j->path,
      reason);
}

static lsp_status check_header(lsp_journal *j, const unsigned char *header,
                               lsp_failure *why) {
  const size_t n = (size_t)get(header + 12, 4);
  j->header_sum = get(header + 16, 8);
  if (j->header_sum != sum_header(header, (size_t)j->header_bytes))
    return not_a_journal(j, "the checksum of its header is wrong", why);
  if (memchr(header + HEADER, '\0', n) != NULL)
    return not_a_journal(j, "its description of the run is not text", why);
  j->identity = strndup((const char *)header + HEADER, n);
  return j->identity == NULL ? no_memory(j->path, why) : LSP_OK;
}

static lsp_status read_header(lsp_journal *j, int64_t file_bytes, lsp_failure *why) {
  unsigned char front[HEADER];
  if (file_bytes < HEADER)
    return not_a_journal(j, "it is too short", why);
  LSP_TRY(lsp_read_at(j->fd, j->path, front, HEADER, 0, why));
  if (memcmp(front, magic, 8) != 0)
    return not_a_journal(j, "it does not begin as one", why);
  if (get(front + 8, 4) != VERSION)
    return not_a_journal(j, "another version of longspan wrote it", why);
  const int64_t n = (int64_t)get(front + 12, 4);
  j->header_bytes = padded(HEADER + n);
  if (n > MOST_IDENTITY || j->header_bytes > file_bytes)
    return not_a_journal(j, "its header is not whole", why);
  unsigned char *header = malloc((size_t)j->header_bytes);
  if (header == NULL)
    return no_memory(j->path, why);
  lsp_status status = lsp_read_at(j->fd, j->path, header, j->header_bytes, 0, why);
  if (status == LSP_OK)
    status = check_header(j, header, why);
  free(header);
  return status;
}

/* Keeps the records of one piece; *whole is 0 after the first that does not count. */
static lsp_status keep_records(lsp_journal *j, const unsigned char *piece, int64_t n,
                               int *whole, lsp_failure *why) {
  for (int64_t i = 0; i < n && *whole; i++) {
    entry e;
    *whole = decode(piece + i * RECORD, j->count, sum_before(j, j->count), &e);
    if (*whole)
      LSP_TRY(keep(j, &e, why));
  }
  return LSP_OK;
}

static lsp_status read_records(lsp_journal *j, int64_t file_bytes, lsp_failure *why) {
  const int64_t there = (file_bytes - j->header_bytes) / RECORD;
  unsigned char *piece = malloc((size_t)READ_AT_ONCE * RECORD);
  if (piece == NULL)
    return no_memory(j->path, why);
  lsp_status status = LSP_OK;
  int whole = 1;
  for (int64_t i = 0; i < there && whole && status == LSP_OK; i += READ_AT_ONCE) {
    const int64_t n = there - i < READ_AT_ONCE ? there - i : READ_AT_ONCE;
    status = lsp_read_at(j->fd, j->path, piece, n * RECORD, end_of(j, i), why);
    if (status == LSP_OK)
      status = keep_records(j, piece, n, &whole, why);
  }
  free(piece);
  return status;
}

static lsp_status cut(lsp_journal *j, lsp_failure *why) {
  if (ftruncate(j->fd, end_of(j, j->count)) != 0) {
    j->failed = 1;
    return lsp_fail(why, LSP_E_IO,
                    "%s: cannot be cut to its last whole record: %s; check the disk "
                    "and the permissions",
                    j->path, strerror(errno));
  }
  const lsp_status status = lsp_sync_file(j->fd, j->path, why);
  j->failed = status != LSP_OK;
  j->tail = 0;
  return status;
}

static lsp_status open_file(lsp_journal *j, int access, int64_t *bytes,
                            lsp_failure *why) {
  struct stat st;
  j->fd = open(j->path, access | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (j->fd < 0 || fstat(j->fd, &st) != 0)
    return lsp_fail(why, errno == ENOENT ? LSP_E_INPUT : LSP_E_IO,
                    "%s: the journal cannot be opened: %s", j->path, strerror(errno));
  if (!S_ISREG(st.st_mode))
    return not_a_journal(j, "it is not a regular file", why);
  *bytes = st.st_size;
  return read_header(j, st.st_size, why);
}

static lsp_status read_journal(lsp_journal *j, lsp_failure *why) {
  int64_t bytes = 0;
  LSP_TRY(open_file(j, O_RDWR, &bytes, why));
  LSP_TRY(read_records(j, bytes, why));
  j->tail = bytes - end_of(j, j->count);
  return LSP_OK;
}

lsp_status lsp_journal_peek(const char *path, char **identity_json, lsp_failure *why) {
  int64_t bytes = 0;
  *identity_json = NULL;
  lsp_journal *j = calloc(1, sizeof *j);
  if (j == NULL)
    return no_memory(path, why);
  j->fd = -1;
  j->path = strdup(path);
  const lsp_status status =
      j->path == NULL ? no_memory(path, why) : open_file(j, O_RDONLY, &bytes, why);
  if (status == LSP_OK) {
    *identity_json = j->identity;
    j->identity = NULL;
  }
  lsp_journal_close(&j);
  return status;
}

lsp_status lsp_journal_open(const char *path, lsp_journal **out, lsp_failure *why) {
  *out = NULL;
  lsp_journal *j = calloc(1, sizeof *j);
  if (j == NULL)
    return no_memory(path, why);
  j->fd = -1;
  j->path = strdup(path);
  const lsp_status status =
      j->path == NULL ? no_memory(path, why) : read_journal(j, why);
  if (status == LSP_OK)
    *out = j;
  else
    lsp_journal_close(&j);
  return status;
}

void lsp_journal_close(lsp_journal **j) {
  if (*j == NULL)
    return;
  if ((*j)->fd >= 0)
    (void)close((*j)->fd);
  free((*j)->path);
  free((*j)->identity);
  free((*j)->entry);
  free(*j);
  *j = NULL;
}

const char *lsp_journal_identity(const lsp_journal *j) {
  return j->identity;
}

int64_t lsp_journal_count(const lsp_journal *j) {
  return j->count;
}

void lsp_journal_at(const lsp_journal *j, int64_t i, lsp_commit *out) {
  LSP_ASSERT(i >= 0 && i < j->count);
  *out = j->entry[i].commit;
}

int64_t lsp_journal_tail(const lsp_journal *j) {
  return j->tail;
}

int lsp_journal_is_torn(const lsp_journal *j) {
  return j->tail > 0 && j->tail <= RECORD;
}

/* The file is as we left it: another run that writes to it would show in its length. */
static lsp_status check_end(lsp_journal *j, lsp_failure *why) {
  struct stat st;
  if (j->failed)
    return lsp_fail(why, LSP_E_IO,
                    "%s: writing to the journal has failed before; run the same "
                    "command with --resume to resume from the last commit",
                    j->path);
  if (fstat(j->fd, &st) != 0)
    return lsp_fail(why, LSP_E_IO, "%s: its size cannot be read: %s; check the disk",
                    j->path, strerror(errno));
  if (st.st_size != end_of(j, j->count) + j->tail || st.st_nlink == 0)
    return lsp_fail(why, LSP_E_MISMATCH,
                    "%s: somebody else has changed the journal; is another longspan "
                    "writing the same output?",
                    j->path);
  return LSP_OK;
}

lsp_status lsp_journal_truncate(lsp_journal *j, int64_t i, lsp_failure *why) {
  LSP_ASSERT(i >= 0 && i <= j->count);
  LSP_TRY(check_end(j, why));
  j->count = i;
  return cut(j, why);
}

lsp_status lsp_journal_append(lsp_journal *j, const lsp_commit *c, lsp_failure *why) {
  LSP_ASSERT(c->fixed_rows >= 0 && c->fixed_rows <= INT32_MAX);
  LSP_ASSERT(c->fixed_area == 0 || c->fixed_area == 1);
  LSP_TRY(check_end(j, why));
  if (j->tail > 0)
    LSP_TRY(cut(j, why));
  unsigned char record[RECORD];
  entry e = {.commit = *c};
  e.commit.fixed_new = 0;
  e.sum = encode(c, j->count, sum_before(j, j->count), record);
  LSP_TRY(keep(j, &e, why)); /* first, for it can fail without harm */
  j->count--;
  lsp_status status =
      lsp_write_at(j->fd, j->path, record, RECORD, end_of(j, j->count), why);
  if (status == LSP_OK)
    status = lsp_sync_file(j->fd, j->path, why);
  if (status == LSP_OK)
    j->count++;
  else
    j->failed = 1;
  return status;
}
