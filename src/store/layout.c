/* Draws the files of longspan: an HDF5 skeleton in memory, and its way to the disk.
 *
 * HDF5 never sees the file system that the results go to. It lays the file out on an
 * anonymous file (memfd), which costs only the pages that hold metadata, names and
 * counts, however large the file is; own code then copies those pages into place.
 *
 * What must hold:
 *   - the bytes are a function of the spec: no times, fixed versions, every object made
 *     in the order of the schema (valgrind and MALLOC_PERTURB_ show that HDF5 writes no
 *     uninitialised byte);
 *   - HDF5's stdio driver does the drawing: the sec2 driver wants the real path of a
 *     file that is given as a link, and /proc/self/fd/N of a memfd has none;
 *   - a page of zeros is neither hashed nor copied, so the hash does not depend on how
 *     the anonymous file is stored, and the installed file stays as the reservation of
 *     space left it: zero. */
#include "lsp/layout.h"

#include "layout_sum.h"
#include "lsp/durable.h"
#include "lsp/grid.h"
#include "lsp/text.h"
#include "schema.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5_hl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
  PAGE = LSP__PAGE,
  BUFFER = 256 * PAGE,
  ALIGNMENT = 1 << 20,
  METADATA_BLOCK = 1 << 14
};

static const int64_t most_bytes = (int64_t)1 << 60;
static const int64_t most_name_bytes = (int64_t)1 << 30;

/* What is to be drawn, and where it came to lie. */
typedef struct {
  const lsp__schema *schema;
  int wanted[LSP__ROWS];
  int64_t number[LSP__ROWS];      /* of numbered rows */
  int64_t extent[LSP__ROWS];      /* of each scale */
  const void *content[LSP__ROWS]; /* known now; NULL: filled in later */
  int64_t text_bytes;             /* width of LSP__TEXT */
  const lsp_attribute *attribute;
  int attributes;
  struct {
    const char *key; /* an attribute of the format itself; NULL: none */
    char value[24];
  } own[2];
  const char *version;
  const lsp_part *part; /* (parts) of each snapshot, after the rows */
  int parts;
  int64_t offset[LSP__ROWS]; /* result; -1: no bytes in the file */
  int64_t *part_offset;      /* (parts), likewise */
} drawing;

/* HDF5's objects while it draws; negative: not there. */
typedef struct {
  hid_t file, access, creation, group, early, late, scalar, string, text;
  hid_t dataset[LSP__ROWS];
} tools;

/* Bytes of one index of the first axis, and of the whole; -1: beyond all limits. */
static int64_t bytes_of(const drawing *d, int row, int first_axis) {
  const lsp__row *r = &d->schema->row[row];
  int64_t bytes =
      r->element == LSP__TEXT ? d->text_bytes : lsp__element_bytes(r->element);
  for (int k = first_axis; k < r->rank; k++)
    if (__builtin_mul_overflow(bytes, d->extent[r->axis[k]], &bytes) ||
        bytes > most_bytes)
      return -1;
  return bytes;
}

/* Of a part in one snapshot, of the whole dataset; -1: beyond all limits. */
static int64_t bytes_of_part(const drawing *d, int part, int whole) {
  int64_t bytes = lsp_part_bytes(&d->part[part]);
  if (bytes >= 0 && whole &&
      (__builtin_mul_overflow(bytes, d->extent[MEM_SNAPSHOT], &bytes) ||
       bytes > most_bytes))
    return -1;
  return bytes;
}

/* A limit that HDF5 met would leave it with files that it cannot close. */
static lsp_status check_limit(const drawing *d, int64_t bytes, lsp_failure *why) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      (double)bytes <= (double)limit.rlim_cur)
    return LSP_OK;
  return lsp_fail(why, LSP_E_LIMIT,
                  "the %s file takes %.1f MiB, and the limit on the size of a file is "
                  "%.1f MiB; raise it (ulimit -f), or cut the corpus into several runs",
                  d->schema->format, (double)bytes / (1 << 20),
                  (double)limit.rlim_cur / (1 << 20));
}

/* Adds the bytes of a dataset to those of all; -1: beyond all limits. */
static lsp_status add_size(int64_t bytes, const char *path, int64_t *all,
                           lsp_failure *why) {
  if (bytes < 0)
    return lsp_fail(why, LSP_E_LIMIT,
                    "%s would have more than 2^60 bytes; cut the corpus into several "
                    "runs",
                    path);
  *all = (*all < most_bytes ? *all : most_bytes) + bytes +
         (bytes < ALIGNMENT ? 0 : ALIGNMENT);
  return LSP_OK;
}

static void state_path(const lsp_part *part, char path[LSP__PATH]) {
  char name[LSP_PART_PATH];
  lsp_part_path(part, name);
  (void)snprintf(path, LSP__PATH, "/states/%s", name);
}

static lsp_status check_sizes(const drawing *d, lsp_failure *why) {
  char path[LSP__PATH];
  int64_t all = ALIGNMENT; /* metadata before the datasets, each at a border */
  for (int i = 0; i < d->schema->rows; i++) {
    LSP_ASSERT(!d->wanted[i] || d->extent[d->schema->row[i].axis[0]] >= 0);
    lsp__row_path(&d->schema->row[i], d->number[i], path);
    LSP_TRY(add_size(d->wanted[i] ? bytes_of(d, i, 0) : 0, path, &all, why));
  }
  for (int i = 0; i < d->parts; i++) {
    state_path(&d->part[i], path);
    LSP_TRY(add_size(bytes_of_part(d, i, 1), path, &all, why));
  }
  return check_limit(d, all, why);
}

static int open_properties(tools *t) {
  t->access = H5Pcreate(H5P_FILE_ACCESS);
  if (t->access < 0 || H5Pset_fapl_stdio(t->access) < 0 ||
      H5Pset_fclose_degree(t->access, H5F_CLOSE_STRONG) < 0 ||
      H5Pset_alignment(t->access, ALIGNMENT, ALIGNMENT) < 0 ||
      H5Pset_meta_block_size(t->access, METADATA_BLOCK) < 0 ||
      H5Pset_libver_bounds(t->access, H5F_LIBVER_EARLIEST, H5F_LIBVER_V18) < 0)
    return -1;
  const unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
  if ((t->creation = H5Pcreate(H5P_FILE_CREATE)) < 0 ||
      H5Pset_obj_track_times(t->creation, 0) < 0 ||
      H5Pset_link_creation_order(t->creation, order) < 0 ||
      H5Pset_attr_creation_order(t->creation, order) < 0)
    return -1;
  if ((t->group = H5Pcreate(H5P_GROUP_CREATE)) < 0 ||
      H5Pset_obj_track_times(t->group, 0) < 0 ||
      H5Pset_link_creation_order(t->group, order) < 0)
    return -1;
  if ((t->late = H5Pcreate(H5P_DATASET_CREATE)) < 0 ||
      H5Pset_obj_track_times(t->late, 0) < 0 ||
      H5Pset_layout(t->late, H5D_CONTIGUOUS) < 0 ||
      H5Pset_alloc_time(t->late, H5D_ALLOC_TIME_LATE) < 0)
    return -1;
  if ((t->early = H5Pcopy(t->late)) < 0 ||
      H5Pset_alloc_time(t->early, H5D_ALLOC_TIME_EARLY) < 0 ||
      H5Pset_fill_time(t->early, H5D_FILL_TIME_NEVER) < 0)
    return -1;
  return 0;
}

static int open_types(tools *t, int64_t text_bytes) {
  t->scalar = H5Screate(H5S_SCALAR);
  if (t->scalar < 0)
    return -1;
  if ((t->string = H5Tcopy(H5T_C_S1)) < 0 || H5Tset_size(t->string, H5T_VARIABLE) < 0 ||
      H5Tset_cset(t->string, H5T_CSET_UTF8) < 0)
    return -1;
  if ((t->text = H5Tcopy(H5T_C_S1)) < 0 ||
      H5Tset_size(t->text, (size_t)(text_bytes > 0 ? text_bytes : 1)) < 0 ||
      H5Tset_strpad(t->text, H5T_STR_NULLPAD) < 0 ||
      H5Tset_cset(t->text, H5T_CSET_UTF8) < 0)
    return -1;
  return 0;
}

static int write_attribute(const tools *t, const char *key, const char *value) {
  LSP_ASSERT(key != NULL && value != NULL);
  const hid_t a =
      H5Acreate2(t->file, key, t->string, t->scalar, H5P_DEFAULT, H5P_DEFAULT);
  if (a < 0 || H5Awrite(a, t->string, &value) < 0)
    return -1;
  return H5Aclose(a) < 0 ? -1 : 0;
}

/* 1 if something lies in the group. */
static int has_datasets(const drawing *d, const char *group) {
  const size_t n = strlen(group);
  for (int i = 0; i < d->schema->rows; i++)
    if (d->wanted[i] && strncmp(d->schema->row[i].path, group, n) == 0 &&
        d->schema->row[i].path[n] == '/')
      return 1;
  return 0;
}

static int draw_root(const tools *t, const drawing *d) {
  if (write_attribute(t, "format", d->schema->format) != 0 ||
      write_attribute(t, "format_version", d->version) != 0)
    return -1;
  for (int i = 0; i < 2; i++)
    if (d->own[i].key != NULL &&
        write_attribute(t, d->own[i].key, d->own[i].value) != 0)
      return -1;
  for (int i = 0; i < d->attributes; i++)
    if (write_attribute(t, d->attribute[i].key, d->attribute[i].value) != 0)
      return -1;
  for (int i = 0; i < d->schema->groups; i++) {
    if (!has_datasets(d, d->schema->group[i]))
      continue;
    const hid_t g =
        H5Gcreate2(t->file, d->schema->group[i], H5P_DEFAULT, t->group, H5P_DEFAULT);
    if (g < 0 || H5Gclose(g) < 0)
      return -1;
  }
  return 0;
}

/* What netCDF-4 writes for a dimension that is no variable; its readers look for it. */
static int make_scale(hid_t dataset, int64_t extent) {
  char name[96];
  (void)snprintf(name, sizeof name,
                 "This is a netCDF dimension but not a netCDF variable. %10lld",
                 (long long)extent);
  return H5DSset_scale(dataset, name) < 0 ? -1 : 0;
}

static int attach_scales(const tools *t, const drawing *d, int row) {
  const lsp__row *r = &d->schema->row[row];
  for (int k = 0; k < r->rank; k++) {
    const char *scale = strrchr(d->schema->row[r->axis[k]].path, '/') + 1;
    if (H5DSattach_scale(t->dataset[row], t->dataset[r->axis[k]], (unsigned)k) < 0 ||
        H5DSset_label(t->dataset[row], (unsigned)k, scale) < 0)
      return -1;
  }
  return 0;
}

static int draw_dataset(tools *t, const drawing *d, int row) {
  const lsp__row *r = &d->schema->row[row];
  const int is_scale = r->element == LSP__SCALE;
  hsize_t dims[LSP__RANK] = {0};
  for (int k = 0; k < r->rank; k++)
    dims[k] = (hsize_t)d->extent[r->axis[k]];
  const hid_t type = is_scale                  ? H5T_IEEE_F32BE
                     : r->element == LSP__TEXT ? t->text
                                               : lsp__element_type(r->element);
  char path[LSP__PATH];
  lsp__row_path(r, d->number[row], path);
  const hid_t space = H5Screate_simple(r->rank, dims, NULL);
  if (space < 0)
    return -1;
  t->dataset[row] = H5Dcreate2(t->file, path, type, space, H5P_DEFAULT,
                               is_scale ? t->late : t->early, H5P_DEFAULT);
  if (H5Sclose(space) < 0 || t->dataset[row] < 0)
    return -1;
  if (is_scale)
    return make_scale(t->dataset[row], d->extent[row]);
  if (d->content[row] != NULL && dims[0] > 0 &&
      H5Dwrite(t->dataset[row], type, H5S_ALL, H5S_ALL, H5P_DEFAULT, d->content[row]) <
          0)
    return -1;
  return attach_scales(t, d, row);
}

/* The scale of N numbers, made for the first axis that needs it. */
static hid_t open_size(const tools *t, const char *path, int64_t n) {
  const hsize_t dims[1] = {(hsize_t)n};
  const htri_t there = H5Lexists(t->file, path, H5P_DEFAULT);
  if (there != 0)
    return there < 0 ? H5I_INVALID_HID : H5Dopen2(t->file, path, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(1, dims, NULL);
  if (space < 0)
    return H5I_INVALID_HID;
  const hid_t size = H5Dcreate2(t->file, path, H5T_IEEE_F32BE, space, H5P_DEFAULT,
                                t->late, H5P_DEFAULT);
  return H5Sclose(space) < 0 || size < 0 || make_scale(size, n) != 0 ? H5I_INVALID_HID
                                                                     : size;
}

static int attach_sizes(const tools *t, const lsp_part *part, hid_t dataset) {
  char path[LSP__PATH];
  if (H5DSattach_scale(dataset, t->dataset[MEM_SNAPSHOT], 0) < 0 ||
      H5DSset_label(dataset, 0, "snapshot") < 0)
    return -1;
  for (int k = 0; k < part->dims; k++) {
    const unsigned axis = (unsigned)k + 1;
    (void)snprintf(path, sizeof path, "/states/size_%lld", (long long)part->dim[k]);
    const hid_t size = open_size(t, path, part->dim[k]);
    if (size < 0 || H5DSattach_scale(dataset, size, axis) < 0 ||
        H5DSset_label(dataset, axis, strrchr(path, '/') + 1) < 0 || H5Dclose(size) < 0)
      return -1;
  }
  return 0;
}

/* The group of a layer, or of the model, before its first part. */
static int take_group(const tools *t, const char *path) {
  char group[LSP__PATH];
  (void)snprintf(group, sizeof group, "%.*s", (int)(strrchr(path, '/') - path), path);
  const htri_t there = H5Lexists(t->file, group, H5P_DEFAULT);
  if (there != 0)
    return there < 0 ? -1 : 0;
  const hid_t g = H5Gcreate2(t->file, group, H5P_DEFAULT, t->group, H5P_DEFAULT);
  return g < 0 || H5Gclose(g) < 0 ? -1 : 0;
}

static int draw_part(tools *t, const drawing *d, int i) {
  const lsp_part *part = &d->part[i];
  char path[LSP__PATH];
  hsize_t dims[LSP__STATE_RANK] = {(hsize_t)d->extent[MEM_SNAPSHOT]};
  for (int k = 0; k < part->dims; k++)
    dims[k + 1] = (hsize_t)part->dim[k];
  state_path(part, path);
  const hid_t space = H5Screate_simple(part->dims + 1, dims, NULL);
  if (space < 0 || take_group(t, path) != 0)
    return -1;
  const hid_t dataset = H5Dcreate2(t->file, path, lsp__part_type(part->type), space,
                                   H5P_DEFAULT, t->early, H5P_DEFAULT);
  if (H5Sclose(space) < 0 || dataset < 0 || attach_sizes(t, part, dataset) != 0)
    return -1;
  const haddr_t at = H5Dget_offset(dataset);
  d->part_offset[i] = at == HADDR_UNDEF ? -1 : (int64_t)at;
  return H5Dclose(dataset) < 0 ? -1 : 0;
}

static int draw(tools *t, drawing *d, const char *path) {
  if (open_properties(t) != 0 || open_types(t, d->text_bytes) != 0)
    return -1;
  t->file = H5Fcreate(path, H5F_ACC_TRUNC, t->creation, t->access);
  if (t->file < 0 || draw_root(t, d) != 0)
    return -1;
  for (int i = 0; i < d->schema->rows; i++)
    if (d->wanted[i] && draw_dataset(t, d, i) != 0)
      return -1;
  for (int i = 0; i < d->parts; i++)
    if (draw_part(t, d, i) != 0)
      return -1;
  for (int i = 0; i < d->schema->rows; i++) {
    const haddr_t at = d->wanted[i] ? H5Dget_offset(t->dataset[i]) : HADDR_UNDEF;
    d->offset[i] = at == HADDR_UNDEF ? -1 : (int64_t)at;
  }
  for (int i = 0; i < d->schema->rows; i++)
    if (d->wanted[i] && H5Dclose(t->dataset[i]) < 0)
      return -1;
  const hid_t file = t->file;
  t->file = H5I_INVALID_HID;
  return H5Fclose(file) < 0 ? -1 : 0;
}

static void close_tools(tools *t) {
  if (t->file >= 0)
    (void)H5Fclose(t->file); /* with all that is open in it */
  const hid_t other[] = {t->access, t->creation, t->group,  t->early,
                         t->late,   t->scalar,   t->string, t->text};
  for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
    if (other[i] >= 0)
      (void)H5Idec_ref(other[i]);
}

/* An anonymous file: memory, or where that cannot be had an unlinked one in TMPDIR. */
static int anonymous_file(void) {
  const int fd = memfd_create("longspan-skeleton", MFD_CLOEXEC);
  if (fd >= 0)
    return fd;
  const char *folder = getenv("TMPDIR");
  char path[PATH_MAX];
  const int n = snprintf(path, sizeof path, "%s/longspan-skeleton-XXXXXX",
                         folder != NULL && *folder != '\0' ? folder : "/tmp");
  if (n < 0 || (size_t)n >= sizeof path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  const int file = mkostemp(path, O_CLOEXEC);
  if (file >= 0)
    (void)unlink(path);
  return file;
}

/* Calls visit for every run of pages that are not all zero, in order. The run lies
 * within one buffer and begins at a multiple of PAGE. */
typedef lsp_status (*visitor)(void *state, const unsigned char *data, int64_t n,
                              int64_t offset, lsp_failure *why);

static lsp_status visit_runs(const unsigned char *data, int64_t n, int64_t offset,
                             visitor visit, void *state, lsp_failure *why) {
  for (int64_t first = 0, end; first < n; first = end) {
    end = first + PAGE < n ? first + PAGE : n;
    if (lsp__is_zero(data + first, end - first))
      continue;
    while (end < n && !lsp__is_zero(data + end, n - end < PAGE ? n - end : PAGE))
      end = end + PAGE < n ? end + PAGE : n;
    LSP_TRY(visit(state, data + first, end - first, offset + first, why));
  }
  return LSP_OK;
}

/* The next extent at or after `at` that holds data, widened to whole pages; *first is
 * s->bytes when there is none. Without SEEK_DATA all is data. */
static void next_extent(const lsp_skeleton *s, int64_t at, int64_t *first,
                        int64_t *end) {
  const int64_t data = lseek(s->fd, at, SEEK_DATA);
  if (data < 0) {
    *first = errno == ENXIO ? s->bytes : at;
    *end = s->bytes;
    return;
  }
  const int64_t hole = lseek(s->fd, data, SEEK_HOLE);
  const int64_t whole = data / PAGE * PAGE;
  *first = whole > at ? whole : at;
  *end = hole < 0 ? s->bytes : (hole + PAGE - 1) / PAGE * PAGE;
  *end = *end < s->bytes ? *end : s->bytes;
}

static lsp_status walk(const lsp_skeleton *s, visitor visit, void *state,
                       lsp_failure *why) {
  unsigned char *buffer = malloc(BUFFER);
  if (buffer == NULL)
    return lsp_fail(why, LSP_E_MEMORY,
                    "not enough memory (%d bytes) to lay out the files", BUFFER);
  lsp_status status = LSP_OK;
  int64_t first = 0, end = 0;
  for (int64_t at = 0; status == LSP_OK && at < s->bytes;) {
    if (at >= end)
      next_extent(s, at, &first, &end);
    at = at < first ? first : at;
    const int64_t n = end - at < BUFFER ? end - at : BUFFER;
    if (n > 0)
      status = lsp_read_at(s->fd, "(skeleton in memory)", buffer, n, at, why);
    if (status == LSP_OK && n > 0)
      status = visit_runs(buffer, n, at, visit, state, why);
    at += n;
  }
  free(buffer);
  return status;
}

static lsp_extent extent_of(const drawing *d, int row) {
  lsp_extent e = {-1, 0, 0};
  if (d->wanted[row]) {
    e.offset = d->offset[row];
    e.rows = d->extent[d->schema->row[row].axis[0]];
    e.row_bytes = bytes_of(d, row, 1);
  }
  return e;
}

static lsp_extent extent_of_part(const drawing *d, int i) {
  return (lsp_extent){d->part_offset[i], d->extent[MEM_SNAPSHOT],
                      bytes_of_part(d, i, 0)};
}

/* The sum of the skeleton, which is without what is filled in later, and the sum's
 * place in it. */
static lsp_status sum_skeleton(const drawing *d, const lsp__file *f,
                               unsigned char hash[16], lsp_failure *why) {
  const int rows = d->schema->rows, all = rows + d->parts;
  lsp_extent *late = malloc((size_t)all * sizeof *late);
  if (late == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "not enough memory to lay out %d datasets", all);
  for (int i = 0; i < rows; i++) {
    const int is_late =
        d->content[i] == NULL && d->schema->row[i].element != LSP__SCALE;
    late[i] = is_late ? extent_of(d, i) : (lsp_extent){-1, 0, 0};
  }
  for (int i = 0; i < d->parts; i++)
    late[rows + i] = extent_of_part(d, i);
  const lsp_status status = lsp__layout_sum(f, late, all, hash, why);
  free(late);
  return status;
}

static lsp_status measure(const drawing *d, lsp_skeleton *s, lsp_failure *why) {
  struct stat st;
  if (fstat(s->fd, &st) != 0)
    return lsp_fail(why, LSP_E_IO, "the layout in memory: its size cannot be read: %s",
                    strerror(errno));
  s->bytes = st.st_size;
  const lsp__file f = {s->fd, "(skeleton in memory)", s->bytes};
  LSP_TRY(sum_skeleton(d, &f, s->hash, why));
  uint64_t word[2] = {0, 0}; /* the canonical form is big-endian */
  for (size_t i = 0; i < sizeof s->hash; i++)
    word[i / 8] = word[i / 8] << 8 | s->hash[i];
  return lsp_write_at(s->fd, f.path, word, (int64_t)sizeof word,
                      d->offset[d->schema->sum_row], why);
}

static lsp_status make_skeleton(drawing *d, lsp_skeleton *s, lsp_failure *why) {
  memset(s, 0, sizeof *s);
  s->fd = -1;
  LSP_TRY(check_sizes(d, why));
  s->fd = anonymous_file();
  if (s->fd < 0)
    return lsp_fail(why, LSP_E_IO,
                    "no anonymous file for the layout: memfd_create and TMPDIR both "
                    "failed: %s; set TMPDIR to a folder that can be written",
                    strerror(errno));
  H5E_auto2_t print = NULL;
  void *print_data = NULL;
  (void)H5Eget_auto2(H5E_DEFAULT, &print, &print_data);
  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  char path[64], text[256];
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d", s->fd);
  tools t;
  memset(&t, 0xff, sizeof t); /* every id negative */
  lsp_status status = LSP_OK;
  if (draw(&t, d, path) != 0) {
    lsp__hdf5_reason(text, sizeof text);
    status = lsp_fail(why, LSP_E_IO, "HDF5 cannot lay out the %s file: %s",
                      d->schema->format, text);
  }
  close_tools(&t);
  (void)H5Eset_auto2(H5E_DEFAULT, print, print_data);
  if (status == LSP_OK)
    status = measure(d, s, why);
  if (status != LSP_OK)
    lsp_skeleton_close(s);
  return status;
}

/* Names in their stored form (lsp/text.h), padded with NUL to one width, a multiple of
 * 8: (documents, width). */
static lsp_status pack_names(const lsp_output_spec *spec, drawing *d, char **names,
                             lsp_failure *why) {
  size_t width = 1;
  for (int64_t i = 0; i < spec->documents; i++) {
    const size_t n = lsp_text_stored(spec->name[i], NULL, 0);
    width = n > width ? n : width;
  }
  width = (width + 7) / 8 * 8; /* what follows stays aligned */
  d->text_bytes = (int64_t)width;
  if ((int64_t)width > most_name_bytes / (spec->documents > 0 ? spec->documents : 1))
    return lsp_fail(why, LSP_E_LIMIT,
                    "the names of %lld documents, the longest of %zu bytes, would take "
                    "more than 1 GiB in the file; give the documents shorter paths",
                    (long long)spec->documents, width);
  *names = calloc((size_t)spec->documents * width + 1, 1);
  if (*names == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for the names of %lld documents",
                    (long long)spec->documents);
  for (int64_t i = 0; i < spec->documents; i++)
    /* A name of full width ends in the next one's place, before that is written. */
    (void)lsp_text_stored(spec->name[i], *names + (size_t)i * width, width + 1);
  return LSP_OK;
}

static void add_vocabulary(const lsp_output_spec *spec, drawing *d) {
  for (int row = OUT_BYTE; row <= OUT_TOKEN_BYTES_START; row++)
    d->wanted[row] = 1;
  d->extent[OUT_BYTE] = spec->vocabulary_start[spec->vocabulary];
  d->extent[OUT_EDGE] = spec->vocabulary + 1;
  d->content[OUT_TOKEN_BYTES] = spec->vocabulary_bytes;
  d->content[OUT_TOKEN_BYTES_START] = spec->vocabulary_start;
}

static void set_own(drawing *d, int i, const char *key, int64_t value) {
  d->own[i].key = key;
  (void)snprintf(d->own[i].value, sizeof d->own[i].value, "%lld", (long long)value);
}

static drawing output_drawing(const lsp_output_spec *spec) {
  drawing d = {.schema = lsp__schema_output(),
               .version = LSP__FORMAT_VERSION,
               .attribute = spec->attribute,
               .attributes = spec->attributes};
  LSP_ASSERT(spec->hidden_layers >= 0 && spec->hidden_layers <= LSP_HIDDEN_MOST);
  LSP_ASSERT(spec->chosen_layers >= 0 && spec->chosen_layers <= LSP_HIDDEN_MOST);
  for (int i = 0; i < OUT_ROWS; i++)
    d.wanted[i] = !lsp__schema_output()->row[i].optional;
  d.wanted[OUT_ID] = spec->write_id;
  d.wanted[OUT_BYTE_START] = spec->write_starts;
  d.wanted[OUT_NLL] = spec->write_nll;
  d.wanted[OUT_HIDDEN] = spec->write_hidden;
  d.wanted[OUT_FEATURE] = spec->write_hidden || spec->hidden_layers > 0;
  for (int i = 0; i < spec->hidden_layers; i++) {
    d.wanted[OUT_HIDDEN_LAYER + i] = 1;
    d.number[OUT_HIDDEN_LAYER + i] = spec->hidden_layer[i];
  }
  d.wanted[OUT_CHOICE] = spec->chosen_layers > 0;
  for (int i = 0; i < spec->chosen_layers; i++) {
    d.wanted[OUT_CHOSEN_LAYER + i] = 1;
    d.number[OUT_CHOSEN_LAYER + i] = spec->chosen_layer[i];
  }
  d.extent[OUT_TOKEN] = spec->tokens;
  d.extent[OUT_FEATURE] = spec->hidden_width;
  d.extent[OUT_CHOICE] = spec->chosen_width;
  d.extent[OUT_DOCUMENT] = spec->documents;
  d.extent[OUT_PANEL] = spec->panels;
  d.extent[OUT_WORD] = LSP__SUM_WORDS;
  if (spec->vocabulary > 0)
    add_vocabulary(spec, &d);
  set_own(&d, 0, "first_position", spec->first_position);
  d.content[OUT_TOKEN_START] = spec->token_start;
  d.content[OUT_N_BYTES] = spec->n_bytes;
  return d;
}

lsp_status lsp_layout_output(const lsp_output_spec *spec, lsp_skeleton *skeleton,
                             lsp_extent extent[LSP_OUTPUT_DATASETS], lsp_failure *why) {
  memset(skeleton, 0, sizeof *skeleton);
  skeleton->fd = -1;
  drawing d = output_drawing(spec);
  char *names = NULL;
  LSP_TRY(pack_names(spec, &d, &names, why));
  d.content[OUT_NAME] = names;
  int64_t *count = calloc((size_t)spec->documents + 1, sizeof *count);
  if (count == NULL) {
    free(names);
    return lsp_fail(why, LSP_E_MEMORY, "no memory for %lld documents",
                    (long long)spec->documents);
  }
  for (int64_t i = 0; i < spec->documents; i++)
    count[i] = spec->token_start[i + 1] - spec->token_start[i];
  d.content[OUT_TOKEN_COUNT] = count;
  const lsp_status status = make_skeleton(&d, skeleton, why);
  for (int i = 0; status == LSP_OK && i < LSP_OUTPUT_DATASETS; i++)
    extent[i] = extent_of(&d, lsp__output_row(i));
  free(count);
  free(names);
  return status;
}

/* All that is known of a memory file before the first token; rows (snapshots) of each,
 * names (parts, width). */
static drawing memory_drawing(const lsp_memory_spec *spec, const int64_t *rows,
                              const char *names) {
  drawing d = {.schema = lsp__schema_memory(),
               .version = spec->parts > 0 ? LSP__STATES_VERSION : LSP__FORMAT_VERSION,
               .attribute = spec->attribute,
               .attributes = spec->attributes,
               .part = spec->part,
               .parts = spec->parts,
               .text_bytes = LSP_PART_PATH};
  for (int i = 0; i < MEM_ROWS; i++)
    d.wanted[i] = 1;
  d.wanted[MEM_LAYER_ROWS] = spec->layer_rows != NULL;
  for (int i = MEM_PART; i <= MEM_PART_XXH3; i++)
    d.wanted[i] = spec->parts > 0;
  if (spec->fixed > 0)
    set_own(&d, 0, "fixed_rows", spec->fixed);
  if (spec->pooled > 0)
    set_own(&d, 1, "pooled_rows", spec->pooled);
  d.extent[MEM_SNAPSHOT] = spec->snapshots;
  d.extent[MEM_LAYER] = spec->layers;
  d.extent[MEM_ROW] = spec->fixed + spec->rows;
  d.extent[MEM_FEATURE] = spec->width;
  d.extent[MEM_MODEL] = spec->hidden_width;
  d.extent[MEM_PART] = spec->parts;
  d.extent[MEM_WORD] = LSP__SUM_WORDS;
  d.content[MEM_DOCUMENT] = spec->document;
  d.content[MEM_POSITION] = spec->position;
  d.content[MEM_ROWS_THERE] = rows;
  d.content[MEM_LAYER_ROWS] = spec->layer_rows;
  d.content[MEM_PART_NAME] = names;
  return d;
}

/* What is allocated to lay out a memory file. */
typedef struct {
  int64_t *rows, *part_offset;
  char *names;
} memory_room;

static int make_room(const lsp_memory_spec *spec, memory_room *m) {
  const size_t snapshots = (size_t)spec->snapshots, parts = (size_t)spec->parts;
  m->rows = calloc(snapshots + 1, sizeof *m->rows);
  m->part_offset = calloc(parts + 1, sizeof *m->part_offset);
  m->names = calloc(parts + 1, LSP_PART_PATH);
  if (m->rows == NULL || m->part_offset == NULL || m->names == NULL)
    return -1;
  for (size_t i = 0; i < snapshots; i++)
    m->rows[i] = lsp_min(spec->position[i], spec->rows);
  for (size_t i = 0; i < parts; i++)
    lsp_part_path(&spec->part[i], m->names + i * LSP_PART_PATH);
  return 0;
}

static lsp_status draw_memory(const lsp_memory_spec *spec, const memory_room *room,
                              lsp_skeleton *skeleton, lsp_extent *extent,
                              lsp_failure *why) {
  drawing d = memory_drawing(spec, room->rows, room->names);
  d.part_offset = room->part_offset;
  LSP_TRY(make_skeleton(&d, skeleton, why));
  for (int i = 0; i < LSP_MEMORY_DATASETS; i++)
    extent[i] = extent_of(&d, lsp__memory_row(i));
  for (int i = 0; i < spec->parts; i++)
    extent[LSP_MEMORY_DATASETS + i] = extent_of_part(&d, i);
  return LSP_OK;
}

lsp_status lsp_layout_memory(const lsp_memory_spec *spec, lsp_skeleton *skeleton,
                             lsp_extent *extent, lsp_failure *why) {
  memory_room room;
  memset(skeleton, 0, sizeof *skeleton);
  skeleton->fd = -1;
  if (spec->parts > LSP_PARTS_MOST)
    return lsp_fail(why, LSP_E_LIMIT,
                    "the model's memory has %d states, and a file holds %d at most; "
                    "use a model of fewer layers",
                    spec->parts, LSP_PARTS_MOST);
  const lsp_status status =
      make_room(spec, &room) == 0
          ? draw_memory(spec, &room, skeleton, extent, why)
          : lsp_fail(why, LSP_E_MEMORY, "no memory for %lld snapshots",
                     (long long)spec->snapshots);
  free(room.rows);
  free(room.part_offset);
  free(room.names);
  return status;
}

void lsp_skeleton_close(lsp_skeleton *skeleton) {
  if (skeleton->fd >= 0)
    (void)close(skeleton->fd);
  skeleton->fd = -1;
}

/* Installing. */

typedef struct {
  int fd;
  const char *path;
} target;

static lsp_status copy_run(void *state, const unsigned char *data, int64_t n,
                           int64_t offset, lsp_failure *why) {
  const target *t = state;
  return lsp_write_at(t->fd, t->path, data, n, offset, why);
}

/* In GiB, or in MiB where that would be next to nothing. */
static double in_unit(double bytes, double whole) {
  return bytes / (whole < 1 << 30 ? 1 << 20 : 1 << 30);
}

static const char *unit(int64_t whole) {
  return whole < 1 << 30 ? "MiB" : "GiB";
}

static double free_bytes(int fd) {
  struct statvfs v;
  return fstatvfs(fd, &v) == 0 ? (double)v.f_bavail * (double)v.f_frsize : -1.0;
}

/* The file's whole size, reserved if the file system can, else at least seen to be
 * free. (A reservation that fails may have taken all there was until then.) glibc's
 * posix_fallocate would write every block instead. */
static lsp_status reserve(const target *t, int64_t bytes, lsp_failure *why) {
  const double there = free_bytes(t->fd);
  int error = there >= 0 && there < (double)bytes ? ENOSPC : EINTR;
  while (error == EINTR)
    error = fallocate(t->fd, 0, 0, bytes) == 0 ? 0 : errno;
  if (error == EOPNOTSUPP || error == ENOSYS) {
    error = there >= 0 && there < (double)bytes ? ENOSPC : 0;
    if (error == 0 && ftruncate(t->fd, bytes) != 0)
      error = errno;
  }
  if (error == ENOSPC || error == EDQUOT)
    return lsp_fail(why, LSP_E_IO,
                    "%s: needs %.3f %s, but %.3f %s are free (%s); free some space, or "
                    "choose another --output",
                    t->path, in_unit((double)bytes, (double)bytes), unit(bytes),
                    in_unit(there, (double)bytes), unit(bytes), strerror(error));
  if (error != 0)
    return lsp_fail(
        why, LSP_E_IO,
        "%s: cannot make a file of %.3f %s: %s; check the disk and its mount, "
        "or choose another --output",
        t->path, in_unit((double)bytes, (double)bytes), unit(bytes), strerror(error));
  return LSP_OK;
}

lsp_status lsp_skeleton_copy(const lsp_skeleton *skeleton, int fd, const char *path,
                             lsp_failure *why) {
  target t = {fd, path};
  LSP_TRY(reserve(&t, skeleton->bytes, why));
  return walk(skeleton, copy_run, &t, why);
}

lsp_status lsp_skeleton_install(const lsp_skeleton *skeleton, const char *path,
                                lsp_failure *why) {
  lsp_replacement r;
  LSP_TRY(lsp_replacement_begin(path, &r, why));
  lsp_status status = lsp_skeleton_copy(skeleton, r.fd, r.temporary, why);
  if (status == LSP_OK)
    status = lsp_replacement_commit(&r, why);
  lsp_replacement_end(&r);
  return status;
}
