/* Every checkpoint of tests/fixtures (transfo-xl), of tests/fixtures/branches (longspan)
 * and of tests/fixtures/families (gpt2, llama, ...), some of these in a memory around the
 * model (tests/fixtures/wrapped), through the whole program, and some in every context
 * (tests/fixtures/contexts), against the reference in float64 (tests/oracle): all rows of
 * nll, and the hidden rows that the fixture keeps.
 *
 *   hidden  max |a - b| / max |b| <= 1e-5
 *   nll     |a - b| <= 1e-5 max(1, b) */
#include "harness.h"

#include "lsp/durable.h"
#include "lsp/engine.h"
#include "lsp/json.h"
#include "lsp/layout.h"
#include "lsp/safetensors.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>

enum { DOCUMENTS_MAX = 8, PATH_SIZE = 1024 };
static const double tolerance = 1e-5;

typedef struct {
  char dir[PATH_SIZE / 2], output[PATH_SIZE];
  char model[PATH_SIZE]; /* the same folder, but for contexts */
  char context[64];      /* "": none is asked for */
  char bos[16];          /* id of the row before every document, or "none" */
  char input[DOCUMENTS_MAX][PATH_SIZE];
  int64_t documents, mem_empty;
  int is_text;
} fixture;

/* What only contexts say: another folder's model, the context, a row before documents. */
static void read_context(const json_t *json, fixture *f) {
  const char *model = json_string_value(json_object_get(json, "model"));
  const char *context = json_string_value(json_object_get(json, "context"));
  const json_t *prefix = json_object_get(json, "prefix");
  (void)snprintf(f->model, sizeof f->model, "%s", f->dir);
  if (model != NULL)
    (void)snprintf(f->model, sizeof f->model, "%s/%s", LSP_FIXTURES, model);
  (void)snprintf(f->context, sizeof f->context, "%s", context != NULL ? context : "");
  (void)snprintf(f->bos, sizeof f->bos, "none");
  assert_true(json_array_size(prefix) <= 1); /* --bos takes one */
  if (json_array_size(prefix) == 1)
    (void)snprintf(f->bos, sizeof f->bos, "%d",
                   (int)json_integer_value(json_array_get(prefix, 0)));
}

static void read_case(const char *folder, const char *name, fixture *f) {
  char path[PATH_SIZE + 16];
  lsp_failure why = {0};
  json_t *json = NULL;
  (void)snprintf(f->dir, sizeof f->dir, "%s/%s", folder, name);
  (void)snprintf(path, sizeof path, "%s/case.json", f->dir);
  assert_int_equal(lsp_json_read(path, 1 << 16, &json, &why), LSP_OK);
  assert_int_equal(
      lsp_json_int(json, path, "documents", 1, 1, DOCUMENTS_MAX, &f->documents, &why),
      LSP_OK);
  const char *init = json_string_value(json_object_get(json, "mem_init"));
  f->mem_empty = init != NULL && strcmp(init, "empty") == 0;
  read_context(json, f);
  json_decref(json);
  (void)snprintf(path, sizeof path, "%s/config.json", f->model);
  assert_int_equal(lsp_json_read(path, 1 << 20, &json, &why), LSP_OK);
  f->is_text = json_object_get(json, "tokenizer") != NULL;
  json_decref(json);
  for (int64_t d = 0; d < f->documents; d++)
    (void)snprintf(f->input[d], PATH_SIZE, "%s/%s/doc%lld.bin", folder, name,
                   (long long)d);
}

static lsp_status run_fixture(lsp_ctx *ctx, fixture *f, lsp_gemm_kind gemm) {
  const char *inputs[DOCUMENTS_MAX];
  for (int64_t d = 0; d < f->documents; d++)
    inputs[d] = f->input[d];
  const lsp_options options = {
      .model = f->model,
      .output = f->output,
      .write.parts = LSP_WRITE_ID | LSP_WRITE_NLL | LSP_WRITE_HIDDEN,
      .segment = -1,
      .mem_len = -1,
      .mem_init = f->mem_empty ? LSP_MEM_EMPTY : LSP_MEM_DEFAULT,
      .context = f->context[0] != '\0' ? f->context : NULL,
      .bos = f->context[0] != '\0' ? f->bos : NULL,
      .input_format = f->is_text ? LSP_INPUT_TEXT : LSP_INPUT_U16,
      .gemm = gemm,
      .overwrite = 1,
      .snapshots = LSP_SNAPSHOT_LAST,
      .snapshot_every = -1,
      .wave_tokens = 512,
      .max_time = -1,
      .threads = 1,
      .isa = 3,
      .quiet = 1,
      .inputs = inputs,
      .input_count = (int)f->documents};
  return lsp_engine_run(ctx, &options);
}

/* A tensor of the expected numbers, freed by the caller. */
static void *expected(const lsp_checkpoint *c, int64_t d, const char *what,
                      int64_t *count) {
  char name[64];
  lsp_failure why = {0};
  (void)snprintf(name, sizeof name, "doc%lld.%s", (long long)d, what);
  const lsp_tensor *t = lsp_checkpoint_find(c, name);
  assert_non_null(t);
  void *data = malloc((size_t)t->bytes + 1);
  assert_non_null(data);
  const int fd = open(lsp_checkpoint_path(c, t), O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  assert_int_equal(lsp_read_at(fd, name, data, t->bytes, t->offset, &why), LSP_OK);
  (void)close(fd);
  *count = t->count;
  return data;
}

static float *rows_of(const lsp_file_view *view, const fixture *f, int dataset,
                      int64_t first, int64_t rows) {
  const lsp_extent *x = &view->extent[dataset];
  lsp_failure why = {0};
  float *data = malloc((size_t)(rows * x->row_bytes) + 1);
  assert_non_null(data);
  assert_int_equal(lsp_read_at(view->fd, f->output, data, rows * x->row_bytes,
                               x->offset + first * x->row_bytes, &why),
                   LSP_OK);
  return data;
}

static double worst_nll(const lsp_file_view *view, const fixture *f,
                        const lsp_checkpoint *c, int64_t d) {
  int64_t n = 0;
  double worst = 0;
  double *want = expected(c, d, "nll", &n);
  float *have = rows_of(view, f, LSP_TOKENS_NLL, view->output.token_start[d], n);
  assert_int_equal(n, view->output.token_start[d + 1] - view->output.token_start[d]);
  for (int64_t i = 0; i < n; i++) {
    /* NaN just where the reference has it: the first token, unless there is a prefix */
    assert_true((have[i] != have[i]) == (want[i] != want[i]));
    if (want[i] == want[i])
      worst = fmax(worst, fabs(have[i] - want[i]) / fmax(1, want[i]));
  }
  free(want);
  free(have);
  return worst;
}

static double worst_hidden(const lsp_file_view *view, const fixture *f,
                           const lsp_checkpoint *c, int64_t d) {
  int64_t n = 0, values = 0;
  double worst = 0, most = 0;
  int32_t *row = expected(c, d, "rows", &n);
  double *want = expected(c, d, "hidden", &values);
  const int64_t D = view->output.hidden_width;
  assert_int_equal(values, n * D);
  for (int64_t i = 0; i < n; i++) {
    float *have =
        rows_of(view, f, LSP_TOKENS_HIDDEN, view->output.token_start[d] + row[i], 1);
    for (int64_t j = 0; j < D; j++) {
      worst = fmax(worst, fabs(have[j] - want[i * D + j]));
      most = fmax(most, fabs(want[i * D + j]));
    }
    free(have);
  }
  free(row);
  free(want);
  return worst / most;
}

static void compare(const fixture *f, const char *name) {
  char path[PATH_SIZE + 32];
  lsp_failure why = {0};
  lsp_file_view view;
  lsp_checkpoint *c = NULL;
  double nll = 0, hidden = 0;
  (void)snprintf(path, sizeof path, "%s/expected.safetensors", f->dir);
  assert_int_equal(lsp_checkpoint_open(path, &c, &why), LSP_OK);
  assert_int_equal(lsp_file_open(f->output, &view, &why), LSP_OK);
  assert_int_equal(view.output.documents, f->documents);
  for (int64_t d = 0; d < f->documents; d++) {
    nll = fmax(nll, worst_nll(&view, f, c, d));
    if (lsp_checkpoint_find(c, "doc0.hidden") != NULL)
      hidden = fmax(hidden, worst_hidden(&view, f, c, d));
  }
  print_message("%-21s error of nll %.2e, of hidden %.2e\n", name, nll, hidden);
  assert_true(nll <= tolerance);
  assert_true(hidden <= tolerance);
  lsp_file_close(&view);
  lsp_checkpoint_close(&c);
}

static int is_shown(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

static int is_case(const char *folder, const char *name) {
  char path[PATH_SIZE];
  (void)snprintf(path, sizeof path, "%s/%.200s/case.json", folder, name);
  return access(path, R_OK) == 0;
}

static void run_case(lsp_ctx *ctx, fixture *f, const char *name, lsp_gemm_kind gemm) {
  const lsp_status st = run_fixture(ctx, f, gemm);
  if (st != LSP_OK && ctx->rank == 0)
    print_error("%s: %s\n", name, ctx->why.text);
  assert_everywhere(ctx, st == LSP_OK);
  if (ctx->rank == 0)
    compare(f, name);
  LSP_MPI(MPI_Barrier(ctx->comm));
}

/* All cases of a folder; at least as many as `least`. */
static void run_folder(lsp_ctx *ctx, const char *folder, int least) {
  struct dirent **entry = NULL;
  const int n = scandir(folder, &entry, is_shown, alphasort);
  int cases = 0;
  for (int i = 0; i < n; i++) {
    fixture f;
    if (!is_case(folder, entry[i]->d_name)) {
      free(entry[i]);
      continue;
    }
    cases++;
    read_case(folder, entry[i]->d_name, &f);
    (void)snprintf(f.output, sizeof f.output, "%s/out.h5", lsp_test_folder());
    run_case(ctx, &f, entry[i]->d_name, LSP_GEMM_PACKED);
    if (ctx->size == 1)
      run_case(ctx, &f, entry[i]->d_name, LSP_GEMM_BLAS);
    free(entry[i]);
  }
  free(entry);
  assert_true(cases >= least);
}

static void test_every_transfo_xl_fixture_is_as_the_reference_has_it(void **state) {
  run_folder(*state, LSP_FIXTURES, 15);
}

static void test_every_branch_fixture_is_as_the_reference_has_it(void **state) {
  run_folder(*state, LSP_FIXTURES "/branches", 105);
}

static void test_every_family_fixture_is_as_its_library_has_it(void **state) {
  run_folder(*state, LSP_FIXTURES "/families", 20);
}

static void test_every_wrapped_fixture_is_as_its_library_has_it(void **state) {
  run_folder(*state, LSP_FIXTURES "/wrapped", 5);
}

static void test_every_context_is_as_its_definition_has_it(void **state) {
  run_folder(*state, LSP_FIXTURES "/contexts", 25);
}

LSP_TESTS(cmocka_unit_test(test_every_transfo_xl_fixture_is_as_the_reference_has_it),
          cmocka_unit_test(test_every_branch_fixture_is_as_the_reference_has_it),
          cmocka_unit_test(test_every_family_fixture_is_as_its_library_has_it),
          cmocka_unit_test(test_every_wrapped_fixture_is_as_its_library_has_it),
          cmocka_unit_test(test_every_context_is_as_its_definition_has_it))
