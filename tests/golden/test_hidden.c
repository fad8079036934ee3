/* --write hidden:LAYER through the whole program: what enters each layer, against the
 * reference in float64 (tests/oracle/make_hidden.py), and the last state by both its
 * names.
 *
 *   max |a - b| / max |b| <= 1e-5, of every layer, as for the last state */
#include "harness.h"

#include "lsp/durable.h"
#include "lsp/engine.h"
#include "lsp/layout.h"
#include "lsp/safetensors.h"

#include <fcntl.h>
#include <math.h>

enum { DOCUMENTS = 6, PATH_SIZE = 1024 };
static const double tolerance = 1e-5;
static const int checked[] = {0, 3, 4};

typedef struct {
  const char *dir;
  char output[PATH_SIZE], input[DOCUMENTS][PATH_SIZE];
} scene;

static lsp_status run_case(lsp_ctx *ctx, scene *s, lsp_write write) {
  const char *inputs[DOCUMENTS];
  for (int d = 0; d < DOCUMENTS; d++) {
    (void)snprintf(s->input[d], PATH_SIZE, "%s/doc%d.bin", s->dir, d);
    inputs[d] = s->input[d];
  }
  const lsp_options options = {.model = s->dir,
                               .output = s->output,
                               .write = write,
                               .segment = -1,
                               .mem_len = -1,
                               .input_format = LSP_INPUT_TEXT,
                               .snapshots = LSP_SNAPSHOT_NONE,
                               .snapshot_every = -1,
                               .overwrite = 1,
                               .wave_tokens = 512,
                               .memory = -1,
                               .max_time = -1,
                               .threads = 1,
                               .isa = 3,
                               .quiet = 1,
                               .inputs = inputs,
                               .input_count = DOCUMENTS};
  return lsp_engine_run(ctx, &options);
}

/* A tensor of the expected numbers, freed by the caller. */
static void *expected(const lsp_checkpoint *c, const char *name, int64_t *count) {
  lsp_failure why = {0};
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

/* The worst row of a document in a dataset, relative to the largest number of them. */
static double worst_of(const lsp_file_view *v, const lsp_checkpoint *c, int document,
                       int layer, lsp_output_dataset dataset) {
  char name[64];
  int64_t rows = 0, values = 0;
  double worst = 0, most = 0;
  lsp_failure why = {0};
  const int64_t D = v->output.hidden_width;
  const lsp_extent *x = &v->extent[dataset];
  (void)snprintf(name, sizeof name, "doc%d.rows", document);
  int32_t *row = expected(c, name, &rows);
  (void)snprintf(name, sizeof name, "doc%d.hidden_%d", document, layer);
  double *want = expected(c, name, &values);
  float *have = malloc((size_t)D * sizeof *have);
  assert_non_null(have);
  assert_int_equal(values, rows * D);
  assert_true(x->offset >= 0);
  for (int64_t i = 0; i < rows; i++) {
    const int64_t at = v->output.token_start[document] + row[i];
    assert_int_equal(lsp_read_at(v->fd, name, have, x->row_bytes,
                                 x->offset + at * x->row_bytes, &why),
                     LSP_OK);
    for (int64_t j = 0; j < D; j++) {
      worst = fmax(worst, fabs((double)have[j] - want[i * D + j]));
      most = fmax(most, fabs(want[i * D + j]));
    }
  }
  free(row);
  free(want);
  free(have);
  return worst / most;
}

static void compare(const scene *s, const char *name, int layers) {
  char path[PATH_SIZE];
  lsp_failure why = {0};
  lsp_file_view v;
  lsp_checkpoint *c = NULL;
  (void)snprintf(path, sizeof path, LSP_FIXTURES "/hidden/%s.safetensors", name);
  assert_int_equal(lsp_checkpoint_open(path, &c, &why), LSP_OK);
  assert_int_equal(lsp_file_open(s->output, &v, &why), LSP_OK);
  assert_int_equal(v.output.hidden_layers, layers);
  assert_true(v.output.write_hidden);
  for (int layer = 0; layer <= layers; layer++) {
    const int dataset =
        layer == layers ? (int)LSP_TOKENS_HIDDEN : (int)LSP_TOKENS_HIDDEN_LAYER + layer;
    double worst = 0;
    for (size_t i = 0; i < sizeof checked / sizeof checked[0]; i++)
      worst =
          fmax(worst, worst_of(&v, c, checked[i], layer, (lsp_output_dataset)dataset));
    if (layer < layers)
      assert_int_equal(v.output.hidden_layer[layer], layer);
    print_message("%-12s hidden:%d error %.2e\n", name, layer, worst);
    assert_true(worst <= tolerance);
  }
  lsp_file_close(&v);
  lsp_checkpoint_close(&c);
}

/* hidden:L is the last state. */
static void every_layer(lsp_ctx *ctx, const char *name, int layers) {
  scene s;
  lsp_write write = {.parts = 0, .layers = layers + 1};
  for (int layer = 0; layer <= layers; layer++)
    write.layer[layer] = layer;
  char dir[PATH_SIZE / 2];
  (void)snprintf(dir, sizeof dir, LSP_FIXTURES "/branches/%s", name);
  s.dir = dir;
  (void)snprintf(s.output, sizeof s.output, "%s/out.h5", lsp_test_folder());
  const lsp_status st = run_case(ctx, &s, write);
  if (st != LSP_OK && ctx->rank == 0)
    print_error("%s: %s\n", name, ctx->why.text);
  assert_everywhere(ctx, st == LSP_OK);
  if (ctx->rank == 0)
    compare(&s, name, layers);
  LSP_MPI(MPI_Barrier(ctx->comm));
}

static void test_every_layer_is_as_the_reference_has_it(void **state) {
  every_layer(*state, "local-grows", 3);
  every_layer(*state, "prefix", 2);
  every_layer(*state, "recurrence", 2);
}

static void test_a_layer_above_the_last_is_refused(void **state) {
  lsp_ctx *ctx = *state;
  scene s;
  s.dir = LSP_FIXTURES "/branches/prefix";
  (void)snprintf(s.output, sizeof s.output, "%s/out.h5", lsp_test_folder());
  const lsp_write write = {.parts = LSP_WRITE_NLL, .layers = 1, .layer = {3}};
  assert_everywhere(ctx, run_case(ctx, &s, write) == LSP_E_USAGE);
  assert_everywhere(ctx, strstr(ctx->why.text, "the model has 2 layers") != NULL);
}

LSP_TESTS(cmocka_unit_test(test_every_layer_is_as_the_reference_has_it),
          cmocka_unit_test(test_a_layer_above_the_last_is_refused))
