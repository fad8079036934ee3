/* A child process that lets HDF5 look at a file.
 *
 * libhdf5 crashes or hangs on files made to hurt it (53 crashes and 30 hangs in 12,000
 * mutants of a small file), so it never opens a file in the process that computes. The
 * child answers through a pipe: a lsp__answer, then the text of the attributes, then the
 * parts.
 *
 * What must hold: the child calls no MPI and leaves by _exit; the parent believes
 * nothing but the size of what it reads, and waits for the child in every case. Links
 * other than hard ones are not followed: they lead to other files. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CPU_SECONDS = 10, WALL_SECONDS = 60, REASON = 400, MOST_TEXT = 1 << 26 };

static const int64_t most_memory = (int64_t)2 << 30; /* over what is mapped already */

typedef struct {
  int64_t complete; /* 1: the facts are there; 0: reason says why not */
  lsp__probe_facts facts;
  char reason[REASON];
} lsp__answer;

/* The child's work. */

typedef struct {
  hid_t file;
  lsp__answer *answer;
  char *text;
  size_t room;
  lsp__found_part *part;
} child;

static int refuse(child *c, const char *what, const char *path) {
  (void)snprintf(c->answer->reason, sizeof c->answer->reason, "%s%s", what, path);
  return -1;
}

static int refuse_hdf5(child *c, const char *what, const char *path) {
  char reason[200];
  lsp__hdf5_reason(reason, sizeof reason);
  (void)snprintf(c->answer->reason, sizeof c->answer->reason, "%s%s: %s", what, path,
                 reason);
  return -1;
}

/* The value of a string attribute as a C string (left to _exit to free); NULL if it is
 * not a string. */
static char *read_string(hid_t attribute) {
  const hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
  if (type < 0 || space < 0 || H5Tget_class(type) != H5T_STRING ||
      H5Sget_simple_extent_npoints(space) != 1)
    return NULL;
  char *value = NULL;
  if (H5Tis_variable_str(type) > 0)
    return H5Aread(attribute, type, &value) < 0 ? NULL : value;
  const size_t n = H5Tget_size(type);
  value = n < MOST_TEXT ? calloc(n + 1, 1) : NULL;
  return value == NULL || H5Aread(attribute, type, value) < 0 ? NULL : value;
}

static char *read_named(child *c, const char *name) {
  const hid_t attribute =
      H5Aexists(c->file, name) > 0 ? H5Aopen(c->file, name, H5P_DEFAULT) : -1;
  return attribute < 0 ? NULL : read_string(attribute);
}

static int add_text(child *c, const char *string) {
  const size_t n = strlen(string) + 1;
  const size_t used = (size_t)c->answer->facts.text_bytes;
  if (n > MOST_TEXT - used)
    return refuse(c, "more than 64 MiB of attributes", "");
  if (used + n > c->room) {
    const size_t room = 2 * (used + n);
    char *wider = realloc(c->text, room);
    if (wider == NULL)
      return refuse(c, "not enough memory for its attributes", "");
    c->text = wider;
    c->room = room;
  }
  memcpy(c->text + used, string, n);
  c->answer->facts.text_bytes += (int64_t)n;
  c->answer->facts.text_strings++;
  return 0;
}

static int read_attribute(child *c, H5_index_t order, hsize_t i) {
  char name[1024];
  const hid_t a =
      H5Aopen_by_idx(c->file, "/", order, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT);
  if (a < 0 || H5Aget_name(a, sizeof name, name) < 0)
    return refuse_hdf5(c, "its attributes cannot be read", "");
  if (strcmp(name, "format") == 0 || strcmp(name, "format_version") == 0)
    return 0;
  const char *value = read_string(a);
  if (value == NULL)
    return 0; /* somebody's own: a number, say */
  return add_text(c, name) != 0 || add_text(c, value) != 0 ? -1 : 0;
}

static int read_attributes(child *c) {
  unsigned tracked = 0;
  const hid_t root = H5Gopen2(c->file, "/", H5P_DEFAULT);
  const hid_t creation = root < 0 ? -1 : H5Gget_create_plist(root);
  const int count = root < 0 ? -1 : H5Aget_num_attrs(root);
  if (creation < 0 || count < 0 || H5Pget_attr_creation_order(creation, &tracked) < 0)
    return refuse_hdf5(c, "its root cannot be read", "");
  const H5_index_t order =
      tracked & H5P_CRT_ORDER_INDEXED ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
  for (int i = 0; i < count; i++)
    if (read_attribute(c, order, (hsize_t)i) != 0)
      return -1;
  return 0;
}

/* 1: path is there by hard links; 0: it is not there. */
static int is_there(child *c, const char *path) {
  char part[128];
  const size_t whole = strlen(path);
  if (whole >= sizeof part)
    return 0;
  for (size_t n = 0; n < whole;) {
    n += 1 + strcspn(path + n + 1, "/");
    memcpy(part, path, n);
    part[n] = '\0';
    H5L_info_t link;
    if (H5Lexists(c->file, part, H5P_DEFAULT) <= 0)
      return 0;
    if (H5Lget_info(c->file, part, &link, H5P_DEFAULT) < 0 ||
        link.type != H5L_TYPE_HARD)
      return 0;
  }
  return 1;
}

static int has_type(hid_t type, const lsp__row *row) {
  if (row->element == LSP__SCALE)
    return 1;
  if (row->element == LSP__TEXT)
    return H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
  return H5Tequal(type, lsp__element_type(row->element)) > 0;
}

static int is_contiguous(hid_t dataset) {
  const hid_t creation = H5Dget_create_plist(dataset);
  return creation >= 0 && H5Pget_layout(creation) == H5D_CONTIGUOUS &&
         H5Pget_external_count(creation) == 0;
}

static int look_at(child *c, const lsp__row *row, lsp__found *found) {
  char path[LSP__PATH];
  lsp__row_path(row, found->number, path);
  if (!is_there(c, path))
    return lsp__may_be_absent(row, (int)c->answer->facts.version)
               ? 0
               : refuse(c, "it has no ", path);
  const hid_t dataset = H5Dopen2(c->file, path, H5P_DEFAULT);
  const hid_t space = dataset < 0 ? -1 : H5Dget_space(dataset);
  const hid_t type = dataset < 0 ? -1 : H5Dget_type(dataset);
  if (space < 0 || type < 0)
    return refuse_hdf5(c, "it has no readable ", path);
  hsize_t dims[H5S_MAX_RANK] = {0};
  if (H5Sget_simple_extent_type(space) == H5S_NULL ||
      H5Sget_simple_extent_dims(space, dims, NULL) != row->rank)
    return refuse(c, "not the number of dimensions expected: ", path);
  if (!has_type(type, row) || !(row->element == LSP__SCALE || is_contiguous(dataset)))
    return refuse(c, "not the type or not the contiguous layout expected: ", path);
  for (int k = 0; k < row->rank; k++)
    found->dims[k] = (int64_t)dims[k];
  const haddr_t at = row->element == LSP__SCALE ? HADDR_UNDEF : H5Dget_offset(dataset);
  found->offset = at == HADDR_UNDEF ? -1 : (int64_t)at;
  found->element_bytes = (int64_t)H5Tget_size(type);
  found->present = 1;
  return 0;
}

/* The numbers of the links of a group whose names begin with those of a numbered row. */
typedef struct {
  const char *begin;
  int count;
  int64_t number[LSP_HIDDEN_MOST];
} numbers;

/* The number that a name has after its beginning, written as lsp__row_path does; -1. */
static int64_t number_in(const char *name, const char *begin) {
  const size_t n = strlen(begin);
  const char *at = name + n;
  if (strncmp(name, begin, n) != 0 || at[0] == '\0' || strlen(at) > 9 ||
      at[strspn(at, "0123456789")] != '\0' || (at[0] == '0' && at[1] != '\0'))
    return -1;
  return strtoll(at, NULL, 10);
}

static herr_t take_number(hid_t group, const char *name, const H5L_info_t *link,
                          void *arg) {
  numbers *all = arg;
  const int64_t number = number_in(name, all->begin);
  (void)group;
  (void)link;
  if (number < 0)
    return 0;
  if (all->count == LSP_HIDDEN_MOST)
    return -1;
  int i = all->count++;
  for (; i > 0 && all->number[i - 1] > number; i--)
    all->number[i] = all->number[i - 1];
  all->number[i] = number;
  return 0;
}

/* Numbered rows of a schema, from the first to the last, are one dataset, many times. */
static int look_at_numbered(child *c, const lsp__schema *schema, int first, int end) {
  char group[LSP__PATH];
  const char *path = schema->row[first].path, *name = strrchr(path, '/') + 1;
  numbers all = {.begin = name};
  (void)snprintf(group, sizeof group, "%.*s", (int)(name - 1 - path), path);
  LSP_ASSERT(end - first == LSP_HIDDEN_MOST);
  if (H5Literate_by_name(c->file, group, H5_INDEX_NAME, H5_ITER_INC, NULL, take_number,
                         &all, H5P_DEFAULT) < 0)
    return refuse(c, "unreadable, or too many of ", path);
  for (int i = 0; i < all.count; i++) {
    lsp__found *found = &c->answer->facts.found[first + i];
    found->number = all.number[i];
    if (look_at(c, &schema->row[first + i], found) != 0)
      return -1;
  }
  return 0;
}

/* All datasets of a schema. */
static int look_at_rows(child *c, const lsp__schema *schema) {
  for (int i = 0; i < schema->rows; i++) {
    int end = i;
    while (end < schema->rows && lsp__row_is_numbered(&schema->row[end]) &&
           strcmp(schema->row[end].path, schema->row[i].path) == 0)
      end++;
    if (end > i && look_at_numbered(c, schema, i, end) != 0)
      return -1;
    if (end == i && look_at(c, &schema->row[i], &c->answer->facts.found[i]) != 0)
      return -1;
    i = end > i ? end - 1 : i;
  }
  return 0;
}

/* Parts. */

/* -1: none that parts have. */
static int64_t part_type(hid_t type) {
  static const lsp_part_type all[] = {LSP_PART_F32, LSP_PART_F64, LSP_PART_I32,
                                      LSP_PART_I64};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    if (H5Tequal(type, lsp__part_type(all[i])) > 0)
      return (int64_t)all[i];
  return -1;
}

static int look_at_part(child *c, lsp__found_part *part) {
  char path[LSP__PATH];
  (void)snprintf(path, sizeof path, "/states/%s", part->name);
  if (!is_there(c, path))
    return refuse(c, "it has no ", path);
  const hid_t dataset = H5Dopen2(c->file, path, H5P_DEFAULT);
  const hid_t space = dataset < 0 ? -1 : H5Dget_space(dataset);
  const hid_t type = dataset < 0 ? -1 : H5Dget_type(dataset);
  if (space < 0 || type < 0)
    return refuse_hdf5(c, "it has no readable ", path);
  hsize_t dims[H5S_MAX_RANK] = {0};
  part->rank = H5Sget_simple_extent_type(space) == H5S_NULL
                   ? -1
                   : H5Sget_simple_extent_dims(space, dims, NULL);
  if (part->rank < 1 || part->rank > LSP__STATE_RANK)
    return refuse(c, "not the number of dimensions expected: ", path);
  part->type = part_type(type);
  if (part->type < 0 || !is_contiguous(dataset))
    return refuse(c, "not the type or not the contiguous layout expected: ", path);
  for (int k = 0; k < part->rank; k++)
    part->dims[k] = (int64_t)dims[k];
  const haddr_t at = H5Dget_offset(dataset);
  part->offset = at == HADDR_UNDEF ? -1 : (int64_t)at;
  return H5Dclose(dataset) < 0 || H5Sclose(space) < 0 || H5Tclose(type) < 0
             ? refuse_hdf5(c, "unreadable: ", path)
             : 0;
}

/* All parts that /states/name lists, which is read as it lies in the file. */
static int look_at_parts(child *c, int fd) {
  const lsp__found *name = &c->answer->facts.found[MEM_PART_NAME];
  const int64_t n = name->present ? name->dims[0] : 0, width = name->element_bytes;
  if (n == 0)
    return 0;
  if (n < 0 || n > LSP_PARTS_MOST || width < 1 || width > LSP_PART_PATH)
    return refuse(c, "too many parts, or names too long: ", "/states/name");
  c->part = calloc((size_t)n, sizeof *c->part);
  if (c->part == NULL)
    return refuse(c, "not enough memory for its parts", "");
  for (int64_t i = 0; i < n; i++) {
    lsp__found_part *part = &c->part[i];
    if (name->offset < 0 ||
        pread(fd, part->name, (size_t)width, name->offset + i * width) != width ||
        part->name[LSP_PART_PATH - 1] != '\0')
      return refuse(c, "unreadable: ", "/states/name");
    if (look_at_part(c, part) != 0)
      return -1;
  }
  c->answer->facts.parts = n;
  return 0;
}

/* The number of a version that is read; 0: none. */
static int version_of(const char *text, int is_memory) {
  const char *const known[] = {"1", LSP__FORMAT_VERSION, LSP__STATES_VERSION};
  for (int i = 0; i < (is_memory ? 3 : 2); i++)
    if (strcmp(text, known[i]) == 0)
      return i + 1;
  return 0;
}

static int take_version(child *c, const char *text) {
  lsp__probe_facts *f = &c->answer->facts;
  f->version = text != NULL ? version_of(text, f->is_memory != 0) : 0;
  if (f->version > 0)
    return 0;
  (void)snprintf(
      c->answer->reason, sizeof c->answer->reason,
      "its format_version is %.20s, and this longspan reads 1 to %s; use the "
      "longspan that wrote it, or make it again",
      text != NULL ? text : "missing",
      f->is_memory ? LSP__STATES_VERSION : LSP__FORMAT_VERSION);
  return -1;
}

static int examine(child *c, int fd) {
  char path[64];
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const hid_t access = lsp__plain_access();
  c->file = access < 0 ? -1 : H5Fopen(path, H5F_ACC_RDONLY, access);
  if (c->file < 0)
    return refuse_hdf5(c, "HDF5 cannot open it", "");
  const char *format = read_named(c, "format"),
             *version = read_named(c, "format_version");
  const lsp__schema *schema = lsp__schema_output();
  if (format != NULL && strcmp(format, LSP__FORMAT_MEMORY) == 0) {
    schema = lsp__schema_memory();
    c->answer->facts.is_memory = 1;
  } else if (format == NULL || strcmp(format, LSP__FORMAT_OUTPUT) != 0) {
    return refuse(c,
                  "HDF5, but not written by longspan: its attribute format is "
                  "not " LSP__FORMAT_OUTPUT " or " LSP__FORMAT_MEMORY,
                  "");
  }
  if (take_version(c, version) != 0 || look_at_rows(c, schema) != 0)
    return -1;
  if (c->answer->facts.version >= 3 && look_at_parts(c, fd) != 0)
    return -1;
  return read_attributes(c);
}

static int64_t mapped_bytes(void) {
  long long pages = 0;
  FILE *f = fopen("/proc/self/statm", "re");
  if (f == NULL)
    return 0;
  if (fscanf(f, "%lld", &pages) != 1)
    pages = 0;
  (void)fclose(f);
  return pages * (int64_t)sysconf(_SC_PAGESIZE);
}

static void set_limit(__rlimit_resource_t what, int64_t value) {
  struct rlimit limit;
  if (getrlimit(what, &limit) != 0)
    return;
  if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > (rlim_t)value)
    limit.rlim_max = (rlim_t)value;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(what, &limit);
}

/* Dies when it should, quietly, and never outlives its parent. */
static void confine(pid_t parent) {
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent)
    _exit(1);
  for (int s = 1; s < NSIG; s++)
    (void)signal(s, SIG_DFL); /* not the handlers of MPI and of the program */
  sigset_t none;
  (void)sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
  const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nowhere >= 0) {
    (void)dup2(nowhere, STDOUT_FILENO);
    (void)dup2(nowhere, STDERR_FILENO);
  }
  set_limit(RLIMIT_CORE, 0);
  set_limit(RLIMIT_CPU, CPU_SECONDS);
  set_limit(RLIMIT_AS, mapped_bytes() + most_memory);
  (void)alarm(WALL_SECONDS);
}

static void send_bytes(int to, const void *data, size_t n) {
  const char *at = data;
  while (n > 0) {
    const ssize_t sent = write(to, at, n);
    if (sent < 0 && errno == EINTR)
      continue;
    if (sent <= 0)
      _exit(1);
    at += sent;
    n -= (size_t)sent;
  }
}

static _Noreturn void be_child(int fd, int to, pid_t parent) {
  confine(parent);
  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  lsp__answer answer;
  memset(&answer, 0, sizeof answer);
  child c = {-1, &answer, NULL, 0, NULL};
  answer.complete = examine(&c, fd) == 0;
  send_bytes(to, &answer, sizeof answer);
  if (answer.complete) {
    send_bytes(to, c.text, (size_t)answer.facts.text_bytes);
    send_bytes(to, c.part, (size_t)answer.facts.parts * sizeof *c.part);
  }
  _exit(0);
}

/* The parent's. */

static int receive(int from, void *data, size_t n) {
  char *at = data;
  while (n > 0) {
    const ssize_t got = read(from, at, n);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return -1;
    at += got;
    n -= (size_t)got;
  }
  return 0;
}

/* n bytes and a NUL; NULL: they did not come. */
static void *receive_all(int from, size_t n) {
  char *data = malloc(n + 1);
  if (data == NULL)
    return NULL;
  data[n] = '\0';
  if (receive(from, data, n) == 0)
    return data;
  free(data);
  return NULL;
}

/* All that the child sends; -1 if it is not whole. */
static int receive_answer(int from, lsp__answer *answer, lsp__probed *out) {
  if (receive(from, answer, sizeof *answer) != 0)
    return -1;
  answer->reason[sizeof answer->reason - 1] = '\0';
  if (!answer->complete)
    return 0;
  const int64_t n = answer->facts.text_bytes, parts = answer->facts.parts;
  if (n < 0 || n > MOST_TEXT || parts < 0 || parts > LSP_PARTS_MOST)
    return -1;
  out->facts = answer->facts;
  out->text = receive_all(from, (size_t)n);
  if (out->text != NULL)
    out->part = receive_all(from, (size_t)parts * sizeof *out->part);
  return out->part != NULL ? 0 : -1;
}

static void forget(lsp__probed *out) {
  free(out->text);
  free(out->part);
  memset(out, 0, sizeof *out);
}

/* The text holds an even number of whole strings, as many as were promised. */
static int text_is_whole(const lsp__probe_facts *facts, const char *text) {
  int64_t strings = 0;
  for (int64_t i = 0; i < facts->text_bytes; i++)
    strings += text[i] == '\0';
  return strings == facts->text_strings && strings % 2 == 0 &&
         (facts->text_bytes == 0 || text[facts->text_bytes - 1] == '\0');
}

static lsp_status tell_death(int waited, const char *path, lsp_failure *why) {
  const int number = WIFSIGNALED(waited) ? WTERMSIG(waited) : 0;
  if (number == SIGALRM || number == SIGXCPU || number == SIGKILL)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: not a readable HDF5 file (HDF5 took more than %d s to open "
                    "it; it is damaged)",
                    path, number == SIGALRM ? WALL_SECONDS : CPU_SECONDS);
  if (number != 0)
    return lsp_fail(why, LSP_E_FORMAT,
                    "%s: not a readable HDF5 file (HDF5 crashed on it with signal %d; "
                    "it is damaged)",
                    path, number);
  return lsp_fail(why, LSP_E_FORMAT,
                  "%s: not a readable HDF5 file (reading it ended without an answer)",
                  path);
}

lsp_status lsp__probe(int fd, const char *path, lsp__probed *out, lsp_failure *why) {
  memset(out, 0, sizeof *out);
  (void)H5open(); /* here, since it may call MPI, which the child must not */
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return lsp_fail(why, LSP_E_IO,
                    "%s: cannot make a pipe to read it: %s; close other programs, or "
                    "raise the limit (ulimit -n)",
                    path, strerror(errno));
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0)
    be_child(fd, ends[1], parent);
  (void)close(ends[1]);
  if (pid < 0) {
    (void)close(ends[0]);
    return lsp_fail(why, LSP_E_MEMORY,
                    "%s: cannot start a process to read it: %s; close other programs, "
                    "or raise the limit (ulimit -u)",
                    path, strerror(errno));
  }
  lsp__answer answer;
  const int whole = receive_answer(ends[0], &answer, out) == 0;
  (void)close(ends[0]);
  int waited = 0;
  while (waitpid(pid, &waited, 0) < 0 && errno == EINTR)
    continue;
  if (!whole || !answer.complete)
    forget(out);
  if (!whole)
    return tell_death(waited, path, why);
  if (!answer.complete)
    return lsp_fail(why, LSP_E_FORMAT, "%s: not a readable HDF5 file of longspan (%s)",
                    path, answer.reason);
  if (text_is_whole(&out->facts, out->text))
    return LSP_OK;
  forget(out);
  return lsp_fail(why, LSP_E_FORMAT,
                  "%s: not a readable HDF5 file of longspan (its "
                  "attributes are damaged)",
                  path);
}
