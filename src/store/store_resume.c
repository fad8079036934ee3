/* The commit to resume from. Rank 0 alone.
 *
 * Identity, layout and sizes are compared first, by reading only. Then the last record
 * counts whose slot, read again, has the checksum that the record names; a record that
 * needs no slot always counts. A slot that is missing or of a wrong size is made anew.
 *
 * Then all ranks read back what is committed (store_verify.c), and only then is anything
 * mended.
 *
 * What must hold: nothing is changed before all that can be refused has been checked;
 * a slot that the chosen record names is not touched. */
#include "lsp/store.h"

#include "lsp/durable.h"
#include "lsp/json.h"
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS_AT_ONCE_BYTES = 1 << 20 };

static lsp_status compare_identity(lsp__opening *o, const char *text) {
  json_t *was = NULL;
  LSP_TRY(lsp_json_parse(o->names.journal.at, text, strlen(text), &was, o->why));
  lsp_status status = lsp__store_same_identity(o, was);
  if (status == LSP_OK) /* what the user changed comes before what followed from it */
    status = lsp__store_draw(o);
  if (status == LSP_OK)
    status = lsp__store_same_layout(o, was);
  json_decref(was);
  return status;
}

/* What the finish would refuse to replace is refused now, before the work. */
static lsp_status check_replaced(lsp__opening *o, const char *text) {
  int memory_part = 0;
  LSP_TRY(lsp__store_look(o->names.memory_part.at, &memory_part, NULL, o->why));
  return lsp__store_may_replace(&o->names, text, memory_part, o->why);
}

static lsp_status compare(lsp__opening *o) {
  char *text = NULL;
  LSP_TRY(lsp_journal_peek(o->names.journal.at, &text, o->why));
  lsp_status status = compare_identity(o, text);
  if (status == LSP_OK)
    status = check_replaced(o, text);
  free(text);
  return status;
}

static lsp_status check_file(lsp__opening *o, const lsp__target *t) {
  int there = 0;
  int64_t bytes = 0;
  LSP_TRY(lsp__store_look(t->path.at, &there, &bytes, o->why));
  if (!there)
    return lsp_fail(
        o->why, LSP_E_MISMATCH,
        "%s: --resume refused: %s is missing; use --overwrite to begin anew",
        o->names.output.at, t->path.at);
  if (bytes != t->bytes)
    return lsp_fail(o->why, LSP_E_MISMATCH,
                    "%s: --resume refused: %s has %lld bytes, and %lld were expected; "
                    "use --overwrite to begin anew",
                    o->names.output.at, t->path.at, (long long)bytes,
                    (long long)t->bytes);
  return LSP_OK;
}

/* A finish that was cut off has renamed the memory file already. */
static lsp_status check_memory(lsp__opening *o) {
  lsp__target *t = &o->facts->file[LSP__MEMORY];
  int part = 0, whole = 0;
  LSP_TRY(lsp__store_look(o->names.memory_part.at, &part, NULL, o->why));
  LSP_TRY(lsp__store_look(o->names.memory.at, &whole, NULL, o->why));
  if (!part && whole) {
    LSP_TRY(lsp__store_is_ours(o, o->names.memory.at));
    t->path = o->names.memory;
  }
  return check_file(o, t);
}

/* Sum over the rows that a record says are in its slot. */
static lsp_status sum_part(const lsp__facts *f, int fd, const lsp_commit *c, int kv,
                           char *buffer, uint64_t *sum, const char *path) {
  const lsp_extent *e = &f->slot[LSP_SNAPSHOT_KEYS + kv];
  const int64_t width = (int64_t)f->width * (int64_t)sizeof(float);
  const int64_t most = ROWS_AT_ONCE_BYTES > width ? ROWS_AT_ONCE_BYTES / width : 1;
  for (int layer = 0; layer < f->layers; layer++)
    for (int64_t row = f->rows - c->slot_rows, n; row < f->rows; row += n) {
      n = f->rows - row < most ? f->rows - row : most;
      LSP_TRY(lsp_read_at(fd, path, buffer, n * width,
                          lsp__store_row_offset(f, e, 0, layer, row), NULL));
      for (int64_t i = 0; i < n; i++)
        *sum += lsp__store_row_sum(f, kv, layer, row + i, buffer + i * width);
    }
  return LSP_OK;
}

static int sums_up(const lsp__facts *f, const lsp_commit *c, int fd, const char *path) {
  const int64_t width = (int64_t)f->width * (int64_t)sizeof(float);
  char *buffer =
      malloc((size_t)(width > ROWS_AT_ONCE_BYTES ? width : ROWS_AT_ONCE_BYTES));
  uint64_t sum = 0;
  lsp_status status = buffer == NULL ? LSP_E_MEMORY : LSP_OK;
  for (int kv = 0; kv < 2 && status == LSP_OK; kv++)
    status = sum_part(f, fd, c, kv, buffer, &sum, path);
  free(buffer);
  return status == LSP_OK && sum == c->slot_sum;
}

static int slot_is_whole(const lsp__opening *o, int slot) {
  const lsp__target *t = &o->facts->file[LSP__SLOT + slot];
  int there = 0;
  int64_t bytes = 0;
  return lsp__store_look(t->path.at, &there, &bytes, NULL) == LSP_OK && there &&
         bytes == t->bytes;
}

static int slot_verifies(const lsp__opening *o, const lsp_commit *c) {
  const lsp__facts *f = o->facts;
  if (c->slot > 1 || o->slot.fd < 0 || c->slot_rows < 0 || c->slot_rows > f->rows ||
      !slot_is_whole(o, c->slot))
    return 0;
  const char *path = f->file[LSP__SLOT + c->slot].path.at;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  const int right = sums_up(f, c, fd, path);
  (void)close(fd);
  return right;
}

/* Records that count; with slots, the two that may still be whole are read. */
static int64_t records_that_count(const lsp__opening *o, lsp_commit *last) {
  int64_t i = lsp_journal_count(o->journal);
  for (int read = 0; i > 0; i--) {
    lsp_journal_at(o->journal, i - 1, last);
    if (last->slot < 0 || (read < 2 && slot_verifies(o, last)))
      return i;
    read++;
  }
  memset(last, 0, sizeof *last);
  last->slot = -1;
  return 0;
}

/* What does not count and is not merely torn. */
static void tell_losses(const lsp__opening *o, int64_t there) {
  const int64_t tail = lsp_journal_tail(o->journal);
  if (tail > 0 && !lsp_journal_is_torn(o->journal))
    lsp_say(
        o->ctx,
        "%s: damaged after record %lld; the %lld bytes that follow are dropped, and "
        "their work is done again",
        o->names.journal.at, (long long)there, (long long)tail);
  if (o->records < there)
    lsp_say(o->ctx,
            "%s: the memory of the last commit does not have its checksum; resuming "
            "from commit %lld of %lld",
            o->names.output.at, (long long)o->records, (long long)there);
}

lsp_status lsp__store_mend(lsp__opening *o) {
  const int64_t there = lsp_journal_count(o->journal);
  tell_losses(o, there);
  if (o->records < there)
    LSP_TRY(lsp_journal_truncate(o->journal, o->records, o->why));
  for (int i = 0; i < 2 && o->slot.fd >= 0; i++)
    if (!slot_is_whole(o, i))
      LSP_TRY(lsp__store_install_slot(o, i));
  return LSP_OK;
}

/* Slots alternate over the records that name one. */
static int slot_after(const lsp__opening *o, int64_t records) {
  lsp_commit c;
  for (int64_t i = records; i > 0; i--) {
    lsp_journal_at(o->journal, i - 1, &c);
    if (c.slot >= 0)
      return 1 - c.slot;
  }
  return 0;
}

lsp_status lsp__store_resume(lsp__opening *o) {
  LSP_TRY(compare(o));
  LSP_TRY(check_file(o, &o->facts->file[LSP__OUTPUT]));
  if (o->memory.fd >= 0)
    LSP_TRY(check_memory(o));
  LSP_TRY(lsp_journal_open(o->names.journal.at, &o->journal, o->why));
  o->records = records_that_count(o, &o->facts->last);
  o->facts->next_slot = slot_after(o, o->records);
  return LSP_OK;
}
