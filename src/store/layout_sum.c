/* What the layout wrote of a file, as one number: HDF5's headers, names, sizes,
 * attributes, and the padding between datasets.
 *
 *   | headers, names, ... | late data | padding | late data | ...
 *     hashed                taken as    hashed    taken as
 *                           zero                  zero
 *
 * What must hold: a page that is zero, late data taken as zero, is passed over. So the
 * skeleton, the file under way and the finished file have one sum, and large late data
 * are never read. */
#include "layout_sum.h"

#include "lsp/durable.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PAGE = LSP__PAGE, BUFFER = 64 * PAGE };

typedef struct {
  int64_t begin, end;
} range;

/* Late data, sorted. */
typedef struct {
  range *late;
  int count;
} mask;

static int by_begin(const void *a, const void *b) {
  const range *x = a, *y = b;
  return (x->begin > y->begin) - (x->begin < y->begin);
}

/* late NULL: there is no memory for it. */
static mask make_mask(const lsp_extent *late, int n) {
  mask m = {malloc(((size_t)n + 1) * sizeof *m.late), 0};
  for (int i = 0; i < n && m.late != NULL; i++)
    if (late[i].offset >= 0 && late[i].rows > 0 && late[i].row_bytes > 0)
      m.late[m.count++] =
          (range){late[i].offset, late[i].offset + late[i].rows * late[i].row_bytes};
  if (m.count > 1)
    qsort(m.late, (size_t)m.count, sizeof *m.late, by_begin);
  return m;
}

static int64_t page_up(int64_t at) {
  return (at + PAGE - 1) / PAGE * PAGE;
}

/* The next run of pages from `at` on, which is the border of one, with something else
 * than late data: [*first, *end), not past `bytes`. */
static void next_run(const mask *m, int64_t bytes, int64_t at, int64_t *first,
                     int64_t *end) {
  *first = at;
  *end = bytes;
  for (int i = 0; i < m->count; i++) {
    const range r = m->late[i];
    const int64_t whole = page_up(r.begin); /* whole pages of late data begin here */
    const int64_t whole_end = r.end == bytes ? bytes : r.end / PAGE * PAGE;
    if (whole <= *first && whole_end > *first)
      *first = whole_end;
    else if (whole > *first && whole < whole_end) {
      *end = whole;
      return;
    }
  }
}

static void clear_late(const mask *m, unsigned char *data, int64_t n, int64_t offset) {
  for (int i = 0; i < m->count; i++) {
    const int64_t begin = m->late[i].begin > offset ? m->late[i].begin : offset;
    const int64_t end = m->late[i].end < offset + n ? m->late[i].end : offset + n;
    if (begin < end)
      memset(data + (begin - offset), 0, (size_t)(end - begin));
  }
}

static void put_number(XXH3_state_t *state, int64_t n) {
  unsigned char number[8];
  for (int b = 0; b < 8; b++)
    number[b] = (unsigned char)((uint64_t)n >> (8 * b));
  (void)XXH3_128bits_update(state, number, sizeof number);
}

static void add_pages(XXH3_state_t *state, const unsigned char *data, int64_t n,
                      int64_t offset) {
  for (int64_t at = 0; at < n; at += PAGE) {
    const int64_t size = n - at < PAGE ? n - at : PAGE;
    if (lsp__is_zero(data + at, size))
      continue;
    put_number(state, offset + at);
    (void)XXH3_128bits_update(state, data + at, (size_t)size);
  }
}

static lsp_status add_file(XXH3_state_t *state, const lsp__file *f, const mask *m,
                           unsigned char *buffer, lsp_failure *why) {
  for (int64_t at = 0, first, end; at < f->bytes; at = end) {
    next_run(m, f->bytes, at, &first, &end);
    end = end - first < BUFFER ? end : first + BUFFER;
    if (end <= first)
      break;
    LSP_TRY(lsp_read_at(f->fd, f->path, buffer, end - first, first, why));
    clear_late(m, buffer, end - first, first);
    add_pages(state, buffer, end - first, first);
  }
  put_number(state, f->bytes);
  return LSP_OK;
}

int lsp__is_zero(const unsigned char *p, int64_t n) {
  return p[0] == 0 && memcmp(p, p + 1, (size_t)n - 1) == 0;
}

lsp_status lsp__layout_sum(const lsp__file *f, const lsp_extent *late, int n,
                           unsigned char hash[16], lsp_failure *why) {
  const mask m = make_mask(late, n);
  unsigned char *buffer = malloc(BUFFER);
  XXH3_state_t *state = XXH3_createState();
  lsp_status status = LSP_OK;
  if (m.late == NULL || buffer == NULL || state == NULL) {
    status = lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory to hash it", f->path);
  } else {
    (void)XXH3_128bits_reset(state);
    status = add_file(state, f, &m, buffer, why);
    XXH128_canonical_t sum;
    XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(state));
    memcpy(hash, sum.digest, sizeof sum.digest);
  }
  free(m.late);
  free(buffer);
  (void)XXH3_freeState(state);
  return status;
}
