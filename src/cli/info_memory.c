/* What a memory file holds: which positions it remembers, and in what form, layer by
 * layer. Consecutive layers that keep the same are one line. */
#include "cli.h"
#include "info.h"

#include "lsp/grid.h"
#include "lsp/store.h"

#include <string.h>
#include <sys/stat.h>

enum { LISTED = 20, STATES_SIZE = 1024, STATES_AT = 57 };

/* What a layer keeps, or (-1) the model. */
typedef struct {
  int64_t rows, fixed;      /* of the past; of the beginning and means */
  double bytes;             /* of all of it, in a snapshot */
  char states[STATES_SIZE]; /* a line each */
} kept;

static kept kept_by(const lsp_memory_spec *s, int layer) {
  kept k = {0, 0, 0, ""};
  if (layer >= 0) {
    k.rows = lsp_memory_layer_rows(s, layer);
    k.fixed = lsp_memory_layer_fixed(s, layer);
    k.bytes = 2.0 * (double)(k.rows + k.fixed) * s->width * (double)sizeof(float);
  }
  for (int i = 0; i < s->parts; i++) {
    char text[LSP_PART_WORDS];
    const size_t n = strlen(k.states);
    if (s->part[i].layer != layer)
      continue;
    lsp_part_words(&s->part[i], text);
    (void)snprintf(k.states + n, sizeof k.states - n, "%s%s", n > 0 ? "\n" : "", text);
    k.bytes += (double)lsp_part_bytes(&s->part[i]);
  }
  return k;
}

static int is_same(const kept *a, const kept *b) {
  return a->rows == b->rows && a->fixed == b->fixed &&
         strcmp(a->states, b->states) == 0;
}

static void print_kept(const char *who, const kept *k) {
  char rows[LSP_NUMBER_SIZE], fixed[LSP_NUMBER_SIZE], bytes[LSP_NUMBER_SIZE];
  (void)printf("  %-14s %12s %12s %12s  ", who, lsp_grouped(k->rows, rows),
               lsp_grouped(k->fixed, fixed), lsp_bytes(k->bytes, bytes));
  const char *const states = k->states[0] != '\0' ? k->states : "-";
  for (const char *at = states; *at != '\0';) {
    const int n = (int)strcspn(at, "\n");
    (void)printf("%*s%.*s\n", at == states ? 0 : STATES_AT, "", n, at);
    at += n + (at[n] == '\n');
  }
}

static void print_layers(const lsp_memory_spec *s) {
  char who[48];
  (void)printf("\n  %-14s %12s %12s %12s  %s\n", "layer", "rows", "fixed", "bytes",
               "states");
  for (int first = 0, end; first < s->layers; first = end) {
    const kept k = kept_by(s, first);
    kept next = k;
    for (end = first + 1; end < s->layers; end++) {
      next = kept_by(s, end);
      if (!is_same(&k, &next))
        break;
    }
    if (end == first + 1)
      (void)snprintf(who, sizeof who, "%d", first);
    else
      (void)snprintf(who, sizeof who, "%d to %d, each", first, end - 1);
    print_kept(who, &k);
  }
  const kept model = kept_by(s, -1);
  if (model.bytes > 0)
    print_kept("model", &model);
}

/* A number among the parts of the model; -1: it has none of that name, or it is damaged. */
static int64_t number_of(const lsp_file_view *view, const char *path, int64_t snapshot,
                         const char *name) {
  const lsp_memory_spec *s = &view->memory;
  lsp_failure why;
  int64_t number = -1;
  for (int i = 0; i < s->parts; i++)
    if (s->part[i].layer < 0 && strcmp(s->part[i].name, name) == 0 &&
        lsp_part_bytes(&s->part[i]) == (int64_t)sizeof number &&
        lsp_file_read_part(view, path, snapshot, i, &number, &why) != LSP_OK)
      return -1;
  return number;
}

/* Of a model that reads segments: how far it is in them. */
static void print_segment(const lsp_file_view *view, const char *path, int64_t i) {
  const int64_t segments = number_of(view, path, i, "segments");
  const int64_t ids = number_of(view, path, i, "id_count");
  if (segments >= 0 && ids >= 0)
    (void)printf("  after %lld segment%s; %lld id%s for the next", (long long)segments,
                 segments == 1 ? "" : "s", (long long)ids, ids == 1 ? "" : "s");
}

/* Rows of the past that exist, of R, and which positions these are. */
static void print_snapshot(const lsp_file_view *view, const char *path, int64_t i) {
  const lsp_memory_spec *s = &view->memory;
  char position[LSP_NUMBER_SIZE], first[LSP_NUMBER_SIZE], last[LSP_NUMBER_SIZE];
  const int64_t at = s->position[i], rows = lsp_min(at, s->rows);
  (void)printf("  %10lld %10lld %20s %10lld", (long long)i, (long long)s->document[i],
               lsp_grouped(at, position), (long long)rows);
  if (rows > 0)
    (void)printf(" %8.0f %%  %s to %s", 100.0 * (double)rows / (double)s->rows,
                 lsp_grouped(at - rows, first), lsp_grouped(at - 1, last));
  print_segment(view, path, i);
  (void)putchar('\n');
}

static void print_snapshots(const lsp_file_view *view, const char *path) {
  const lsp_memory_spec *s = &view->memory;
  const int64_t listed = lsp_min(s->snapshots, LISTED);
  (void)printf("\n  %10s %10s %20s %10s%s\n", "snapshot", "document", "position",
               "rows", s->rows > 0 ? "       full  positions" : "");
  for (int64_t i = 0; i < listed; i++)
    print_snapshot(view, path, i);
  if (listed < s->snapshots)
    (void)printf("  ... and %lld more\n", (long long)(s->snapshots - listed));
  if (s->snapshots > 0)
    (void)puts("\n  longspan run --from-snapshot continues from the last one.");
}

/* In words; a snapshot is `bytes` long. */
static void print_each(const lsp_memory_spec *s, double bytes) {
  char text[LSP_NUMBER_SIZE];
  if (s->rows + s->fixed > 0 || s->parts == 0)
    lsp_print_fact(stdout, "each holds",
                   "keys and values of %d layers, %lld rows of width %d", s->layers,
                   (long long)s->rows, s->width);
  if (s->fixed > s->pooled)
    lsp_print_fact(stdout, "fixed rows",
                   "%lld, before these, of a document's beginning",
                   (long long)(s->fixed - s->pooled));
  if (s->pooled > 0)
    lsp_print_fact(stdout, "pooled rows", "%lld, before these, means of many positions",
                   (long long)s->pooled);
  if (s->parts > 0)
    lsp_print_fact(stdout, "states", "%d; what the text before leaves to what follows",
                   s->parts);
  lsp_print_fact(stdout, "each takes", "%s", lsp_bytes(bytes, text));
}

void lsp_info_memory(const lsp_file_view *view, const char *path) {
  const lsp_memory_spec *s = &view->memory;
  char bytes[LSP_NUMBER_SIZE];
  struct stat st;
  double all = 0;
  for (int layer = -1; layer < s->layers; layer++)
    all += kept_by(s, layer).bytes;
  lsp_print_line(stdout, "%s: memory snapshots of longspan", path);
  lsp_print_fact(stdout, "snapshots", "%lld", (long long)s->snapshots);
  print_each(s, all);
  if (fstat(view->fd, &st) == 0)
    lsp_print_fact(stdout, "size", "%s", lsp_bytes((double)st.st_size, bytes));
  lsp_print_fact(stdout, "format", "version %d%s", view->version,
                 view->version < 2 ? "; without checksums, so no run continues it"
                                   : "");
  lsp_info_attributes(s->attribute, s->attributes);
  print_layers(s);
  print_snapshots(view, path);
}
