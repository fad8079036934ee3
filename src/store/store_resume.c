/* The commit to resume from. Rank 0 alone.
 *
 * Identity, layout and sizes are compared first, by reading only. Then the last record
 * counts whose memory, read again from the slot, has its checksums; a record that needs
 * none always counts. A slot that is missing or of a wrong size is made anew.
 *
 * Then all ranks read back what is committed (store_verify.c), and only then is anything
 * mended.
 *
 * What must hold: nothing is changed before all that can be refused has been checked;
 * the memory of the chosen record is not touched. */
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

/* What rows of the slot are read into, and how many at once. */
typedef struct {
  int64_t rows;
  float *keys, *values;
  uint64_t *sum;
} rows_buffer;

/* 1 if the rows are there and have their sums. */
static int rows_verify(const lsp__facts *f, int fd, lsp__slot_rows r,
                       const rows_buffer *b) {
  const int64_t bytes = (int64_t)f->width * (int64_t)sizeof(float);
  while (r.rows > 0) {
    lsp__slot_rows part = r;
    part.rows = r.rows < b->rows ? r.rows : b->rows;
    if (lsp__slot_read(f, fd, part, b->keys, b->values, b->sum, NULL) != LSP_OK)
      return 0;
    lsp_slot_place place = lsp__slot_place(&part);
    for (int64_t i = 0; i < part.rows; i++, place.row++)
      if (lsp_sum_slot_row(&place, b->keys + i * f->width, b->values + i * f->width,
                           bytes) != b->sum[i])
        return 0;
    r.first += part.rows;
    r.rows -= part.rows;
  }
  return 1;
}

static int layers_verify(const lsp__opening *o, const lsp_commit *c, int fd,
                         const rows_buffer *b) {
  const lsp_memory_spec *m = &o->spec->memory;
  for (int layer = 0; layer < m->layers; layer++)
    if (!rows_verify(o->facts, fd, lsp__slot_past(m, c, layer), b) ||
        !rows_verify(o->facts, fd, lsp__slot_fixed(m, c, layer), b))
      return 0;
  return 1;
}

/* The parts of the last of `records` records. */
static int parts_verify(const lsp__opening *o, const lsp_commit *c, int64_t records,
                        int fd) {
  const lsp_memory_spec *m = &o->spec->memory;
  const lsp__slot_parts from = {o->facts, m->part, fd, c, records};
  int right = 1;
  for (int i = 0; i < m->parts && c->has_parts && right; i++) {
    void *data = malloc((size_t)lsp_part_bytes(&m->part[i]) + 1);
    right = data != NULL && lsp__store_read_part(&from, i, data, NULL) == LSP_OK;
    free(data);
  }
  return right;
}

static int slot_is_whole(const lsp__opening *o) {
  const lsp__target *t = &o->facts->file[LSP__SLOT];
  int there = 0;
  int64_t bytes = 0;
  return lsp__store_look(t->path.at, &there, &bytes, NULL) == LSP_OK && there &&
         bytes == t->bytes;
}

/* Everything that the last of `records` records says is in the slot. */
static int memory_verifies(const lsp__opening *o, const lsp_commit *c,
                           int64_t records) {
  const lsp__facts *f = o->facts;
  if (o->slot.fd < 0 || c->memory_rows > f->rows || c->fixed_rows > f->fixed ||
      !slot_is_whole(o))
    return 0;
  const int fd = open(f->file[LSP__SLOT].path.at, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  const int64_t width = (int64_t)f->width * (int64_t)sizeof(float);
  rows_buffer b = {
      .rows = width > 0 && width < ROWS_AT_ONCE_BYTES ? ROWS_AT_ONCE_BYTES / width : 1};
  b.keys = malloc((size_t)(b.rows * width) + 1);
  b.values = malloc((size_t)(b.rows * width) + 1);
  b.sum = malloc((size_t)b.rows * sizeof *b.sum);
  const int right = b.keys != NULL && b.values != NULL && b.sum != NULL &&
                    layers_verify(o, c, fd, &b) && parts_verify(o, c, records, fd);
  free(b.keys);
  free(b.values);
  free(b.sum);
  (void)close(fd);
  return right;
}

/* Records that count; with memory, the two whose rows may still be whole are read. */
static int64_t records_that_count(const lsp__opening *o, lsp_commit *last) {
  int64_t i = lsp_journal_count(o->journal);
  for (int read = 0; i > 0; i--) {
    lsp_journal_at(o->journal, i - 1, last);
    if ((last->memory_rows == 0 && last->fixed_rows == 0 && !last->has_parts) ||
        (read < 2 && memory_verifies(o, last, i)))
      return i;
    read++;
  }
  memset(last, 0, sizeof *last);
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
  if (o->facts->records < there)
    lsp_say(o->ctx,
            "%s: the memory of the last commit does not have its checksum; resuming "
            "from commit %lld of %lld",
            o->names.output.at, (long long)o->facts->records, (long long)there);
}

lsp_status lsp__store_mend(lsp__opening *o) {
  const int64_t there = lsp_journal_count(o->journal);
  tell_losses(o, there);
  if (o->facts->records < there)
    LSP_TRY(lsp_journal_truncate(o->journal, o->facts->records, o->why));
  if (o->slot.fd >= 0 && !slot_is_whole(o))
    LSP_TRY(lsp__store_install_slot(o));
  return LSP_OK;
}

lsp_status lsp__store_resume(lsp__opening *o) {
  LSP_TRY(compare(o));
  LSP_TRY(check_file(o, &o->facts->file[LSP__OUTPUT]));
  if (o->memory.fd >= 0)
    LSP_TRY(check_memory(o));
  LSP_TRY(lsp_journal_open(o->names.journal.at, &o->journal, o->why));
  o->facts->records = records_that_count(o, &o->facts->last);
  return LSP_OK;
}
