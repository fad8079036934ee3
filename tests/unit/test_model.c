/* A description as the rest of the program asks it: views, reach, work, and tensors that
 * are read to their places. */
#include "harness.h"

#include "lsp/model.h"

#include "../../src/model/family.h"

#define FULL "{\"type\": \"full\"}"
#define LOCAL(window) "{\"type\": \"local\", \"window\": " window "}"
#define SINKS(n) "{\"type\": \"fixed\", \"sinks\": " n "}"
#define RECURRENCE "{\"type\": \"recurrence\", \"segment\": 6, \"memory\": 10}"
#define NOT_NORMAL "{\"type\": \"full\", \"normalize\": \"none\"}"

static const lsp_choices nothing = {.mem_len = -1, .segment = -1, .mem_init = -1};

static lsp_model describe(const char *text) {
  lsp_model m;
  lsp_failure why = {.status = LSP_OK};
  if (lsp_model_describe("dir", text, &nothing, &m, &why) != LSP_OK)
    fail_msg("%s", why.text);
  return m;
}

/* A model of width 32 with 4 heads of width 8 in one layer of these branches. */
static lsp_model with(const char *merge, const char *branches) {
  char text[1024];
  (void)snprintf(text, sizeof text,
                 "{\"model_type\": \"longspan\", \"vocab_size\": 100, "
                 "\"hidden_size\": 32, \"num_hidden_layers\": 3, "
                 "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
                 "\"intermediate_size\": 48, \"layers\": {\"merge\": \"%s\", "
                 "\"branches\": [%s]}}",
                 merge, branches);
  return describe(text);
}

/* --- what a layer looks at ------------------------------------------------------- */

static void test_one_softmax_is_one_view_of_all_branches(void **state) {
  (void)state;
  lsp_view view[LSP_BRANCHES_MAX];
  lsp_model m =
      with("softmax", LOCAL("9") ", " SINKS("3") ", " RECURRENCE ", " SINKS("5"));
  const lsp_layer *l = &m.layer[2];
  assert_int_equal(lsp_layer_views(l, view), 1);
  assert_int_equal(view[0].runs, 2);
  assert_ptr_equal(view[0].run[0], &l->branch[0]);
  assert_ptr_equal(view[0].run[1], &l->branch[2]);
  assert_ptr_equal(view[0].fixed, &l->branch[3]); /* the longest holds the other */
  assert_int_equal(view[0].normalize, LSP_NORMALIZE_SOFTMAX);
  lsp_model_close(&m);
}

static void test_other_merges_have_a_view_a_branch(void **state) {
  (void)state;
  lsp_view view[LSP_BRANCHES_MAX];
  lsp_model m = with("sum", LOCAL("9") ", " SINKS("3") ", " NOT_NORMAL);
  assert_int_equal(lsp_layer_views(&m.layer[0], view), 3);
  assert_true(view[0].runs == 1 && view[0].fixed == NULL);
  assert_true(view[1].runs == 0 && view[1].fixed == &m.layer[0].branch[1]);
  assert_true(view[2].runs == 1 && view[2].normalize == LSP_NORMALIZE_NONE);
  assert_int_equal(view[0].normalize, LSP_NORMALIZE_SOFTMAX);
  lsp_model_close(&m);
  m = with("softmax", NOT_NORMAL);
  assert_int_equal(lsp_layer_views(&m.layer[0], view), 1);
  assert_int_equal(view[0].normalize, LSP_NORMALIZE_NONE);
  lsp_model_close(&m);
}

static void test_reach_is_the_farthest_of_the_branches(void **state) {
  (void)state;
  static const struct {
    const char *branches;
    int64_t reach, fixed;
  } is[] = {{LOCAL("9"), 8, 0},
            {LOCAL("[1, 4, 2, 3]"), 3, 0},
            {RECURRENCE ", " LOCAL("9"), 15, 0},
            {LOCAL("99") ", " RECURRENCE ", " SINKS("7"), 98, 7},
            {SINKS("7") ", " SINKS("9"), 0, 9},
            {FULL ", " LOCAL("9") ", " SINKS("2"), LSP_REACH_ALL, 2},
            {LOCAL("9") ", " FULL, LSP_REACH_ALL, 0}};
  for (size_t i = 0; i < sizeof is / sizeof is[0]; i++) {
    lsp_model m = with("gate", is[i].branches);
    assert_int_equal(lsp_layer_reach(&m.layer[1]), is[i].reach);
    assert_int_equal(lsp_layer_fixed(&m.layer[1]), is[i].fixed);
    lsp_model_close(&m);
  }
}

/* --- work ------------------------------------------------------------------------ */

/* By hand: queries, keys, values 64 rows of 32, output 32 of 32, feed-forward 3 times 48
 * of 32; 3 layers; the head 100 of 32; two operations a multiply-add. */
static void test_work_of_a_token_is_counted_by_hand(void **state) {
  (void)state;
  lsp_model m = with("softmax", FULL);
  const double layer = 64 * 32 + 32 * 32 + 3 * 48 * 32;
  assert_true(lsp_model_flops_per_token(&m) == 2 * (3 * layer + 100 * 32));
  lsp_model_close(&m);
}

static void assert_pairs(const char *merge, const char *branches, double pairs) {
  lsp_model m = with(merge, branches);
  /* 3 layers, heads of width 8, a product for scores and one for values */
  const double flops = lsp_model_flops_of_pairs(&m, 0, 5);
  if (flops != 3 * 2 * 2 * 8 * pairs)
    fail_msg("%s: %g pairs of the heads, not %g", branches, flops / (3 * 2 * 2 * 8),
             pairs);
  lsp_model_close(&m);
}

/* Five queries of four heads. */
static void test_work_of_pairs_sums_views_and_heads(void **state) {
  (void)state;
  assert_pairs("softmax", FULL, 4 * 15);
  assert_pairs("softmax", LOCAL("2"), 4 * 9);
  assert_pairs("softmax", LOCAL("[1, 2, 3, 9]"), 5 + 9 + 12 + 15);
  assert_pairs("softmax", LOCAL("2") ", " SINKS("1"), 4 * 12);
  assert_pairs("softmax", LOCAL("2") ", " FULL, 4 * 15);
  assert_pairs("sum", LOCAL("2") ", " FULL, 4 * (9 + 15));
  assert_pairs("sum", LOCAL("[1, 2, 3, 9]") ", " SINKS("2"), 41 + 4 * 9);
}

static void test_relative_positions_take_a_third_product(void **state) {
  (void)state;
  lsp_model m = describe(
      "{\"model_type\": \"longspan\", \"vocab_size\": 100, \"hidden_size\": 32, "
      "\"num_hidden_layers\": 1, \"num_attention_heads\": 4, "
      "\"intermediate_size\": 48, \"position\": \"relative\", "
      "\"layers\": {\"branches\": [" FULL "]}}");
  assert_true(lsp_model_flops_of_pairs(&m, 2, 5) == 2 * 3 * 8 * 4 * (3 + 4 + 5));
  lsp_model_close(&m);
}

/* --- tensors --------------------------------------------------------------------- */

/* Width 4, 2 query heads of width 6 and one key head; every kind of bias and gain. */
#define TINY                                                                           \
  "\"model_type\": \"longspan\", \"vocab_size\": 3, \"hidden_size\": 4, "              \
  "\"num_hidden_layers\": 1, \"num_attention_heads\": 2, "                             \
  "\"num_key_value_heads\": 1, \"head_dim\": 6, \"rotary_width\": 4, "                 \
  "\"intermediate_size\": 2, \"attention_bias\": true, \"query_key_norm\": true, "     \
  "\"layers\": {\"branches\": [" FULL "]}"

typedef struct {
  const char *name;
  int rows, cols; /* cols 0: a vector */
  int depth;      /* of rank 3: (rows, cols / depth, depth) */
} tensor;

enum { EMBED, N1, QW, KW, VW, QB, KB, VB, QN, KN, OW, N2, GATE, UP, DOWN, LAST, HEAD };

static const tensor tiny[] = {[EMBED] = {"embed.weight", 3, 4, 0},
                              [N1] = {"layers.0.attention_norm.weight", 4, 0, 0},
                              [QW] = {"layers.0.attention.q.weight", 12, 4, 0},
                              [KW] = {"layers.0.attention.k.weight", 6, 4, 0},
                              [VW] = {"layers.0.attention.v.weight", 6, 4, 0},
                              [QB] = {"layers.0.attention.q.bias", 12, 0, 0},
                              [KB] = {"layers.0.attention.k.bias", 6, 0, 0},
                              [VB] = {"layers.0.attention.v.bias", 6, 0, 0},
                              [QN] = {"layers.0.attention.q_norm.weight", 6, 0, 0},
                              [KN] = {"layers.0.attention.k_norm.weight", 6, 0, 0},
                              [OW] = {"layers.0.attention.o.weight", 4, 12, 0},
                              [N2] = {"layers.0.feed_norm.weight", 4, 0, 0},
                              [GATE] = {"layers.0.feed.gate.weight", 2, 4, 0},
                              [UP] = {"layers.0.feed.up.weight", 2, 4, 0},
                              [DOWN] = {"layers.0.feed.down.weight", 4, 2, 0},
                              [LAST] = {"norm.weight", 4, 0, 0},
                              [HEAD] = {"head.weight", 3, 4, 0}};

static int size_of(const tensor *t) {
  return t->rows * (t->cols > 0 ? t->cols : 1);
}

/* Element k of tensor t, all different. A tied head has the embedding's. */
static float element(int t, int k) {
  return (float)(1000 * (t == HEAD ? EMBED : t) + k + 1);
}

/* Writes tensors 0 .. n - 1 but `without`. */
static const char *write_checkpoint(const tensor *t, int n, int without) {
  static char header[8192];
  char path[LSP_TEST_PATH + 32];
  const char *dir = lsp_test_folder();
  int at = 0, begin = 0;
  for (int i = 0; i < n; i++) {
    if (i == without)
      continue;
    at += snprintf(header + at, sizeof header - (size_t)at,
                   "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%d", begin == 0 ? "{" : ",",
                   t[i].name, t[i].rows);
    if (t[i].depth > 0)
      at += snprintf(header + at, sizeof header - (size_t)at, ",%d,%d],",
                     t[i].cols / t[i].depth, t[i].depth);
    else
      at += snprintf(header + at, sizeof header - (size_t)at,
                     t[i].cols > 0 ? ",%d]," : "],", t[i].cols);
    at += snprintf(header + at, sizeof header - (size_t)at, "\"data_offsets\":[%d,%d]}",
                   begin, begin + 4 * size_of(&t[i]));
    begin += 4 * size_of(&t[i]);
  }
  at += snprintf(header + at, sizeof header - (size_t)at, "}");
  (void)snprintf(path, sizeof path, "%s/model.safetensors", dir);
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  const uint64_t length = (uint64_t)at; /* these machines are little-endian */
  assert_int_equal(fwrite(&length, sizeof length, 1, f), 1);
  assert_int_equal(fwrite(header, 1, (size_t)at, f), (size_t)at);
  for (int i = 0; i < n; i++)
    for (int k = 0; k < size_of(&t[i]) && i != without; k++) {
      const float value = element(i, k);
      assert_int_equal(fwrite(&value, sizeof value, 1, f), 1);
    }
  assert_int_equal(fclose(f), 0);
  return dir;
}

typedef struct {
  lsp_model model;
  float *block;
  lsp_failure why;
  lsp_status status;
} loaded;

/* keys: after TINY's */
static loaded load(const char *dir, const char *keys) {
  char text[1024];
  unsigned char hash[16];
  loaded l;
  memset(&l, 0, sizeof l);
  (void)snprintf(text, sizeof text, "{" TINY "%s}", keys);
  l.model = describe(text);
  l.block = calloc((size_t)lsp_model_floats(&l.model), sizeof *l.block);
  assert_non_null(l.block);
  lsp_model_place(&l.model, l.block);
  l.status = lsp_model_read(dir, &l.model, l.block, hash, &l.why);
  return l;
}

static loaded load_good(const char *dir, const char *keys) {
  loaded l = load(dir, keys);
  if (l.status != LSP_OK)
    fail_msg("%s", l.why.text);
  return l;
}

static void unload(loaded *l) {
  free(l->block);
  lsp_model_close(&l->model);
}

static void assert_rows(const float *have, int t, const int *row, int rows) {
  const int cols = tiny[t].cols > 0 ? tiny[t].cols : 1;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < cols; j++)
      if (have[i * cols + j] != element(t, row[i] * cols + j))
        fail_msg("%s: row %d, column %d is %g", tiny[t].name, i, j,
                 (double)have[i * cols + j]);
}

static const int as_stored[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

static void test_joined_tensors_fill_one_matrix(void **state) {
  (void)state;
  loaded l = load_good(write_checkpoint(tiny, HEAD, -1), "");
  const lsp_layer *a = &l.model.layer[0];
  assert_int_equal(a->qkv.matrix.rows, 24);
  assert_rows(a->qkv.matrix.data, QW, as_stored, 12);
  assert_rows(a->qkv.matrix.data + 48, KW, as_stored, 6);
  assert_rows(a->qkv.matrix.data + 72, VW, as_stored, 6);
  assert_rows(a->qkv.bias, QB, as_stored, 12);
  assert_rows(a->qkv.bias + 12, KB, as_stored, 6);
  assert_rows(a->qkv.bias + 18, VB, as_stored, 6);
  assert_rows(a->up.matrix.data, GATE, as_stored, 2);
  assert_rows(a->up.matrix.data + 8, UP, as_stored, 2);
  assert_rows(a->down.matrix.data, DOWN, as_stored, 4);
  assert_rows(a->output.matrix.data, OW, as_stored, 4);
  assert_rows(l.model.last_norm.gain, LAST, as_stored, 4);
  assert_ptr_equal(l.model.words.cluster[0].out, l.model.words.cluster[0].embed);
  assert_null(a->output.bias);
  assert_null(a->attention_norm.bias);
  unload(&l);
}

/* Every place begins on a cache line of 16 floats; joined ones share one. */
static void test_the_block_is_the_sum_of_its_places(void **state) {
  (void)state;
  loaded l = load(write_checkpoint(tiny, HEAD, -1), "");
  const int64_t qkv_weight = 96, qkv_bias = 32, down = 16;
  const int64_t embed = 16, norms = 3 * 16, gains = 2 * 16, out = 48, up = 16;
  assert_int_equal(lsp_model_floats(&l.model),
                   embed + norms + qkv_weight + qkv_bias + gains + out + up + down);
  int64_t trained = 0;
  for (int t = 0; t < HEAD; t++)
    trained += size_of(&tiny[t]);
  assert_int_equal(lsp_model_parameters(&l.model), trained);
  assert_int_equal((l.model.layer[0].qkv.bias - l.block) % 16, 0);
  unload(&l);
}

/* Components 0 1 2 3 of a head are turned in pairs (0, 1) and (2, 3); 4 and 5 are not. */
static void test_adjacent_pairs_are_moved_apart(void **state) {
  (void)state;
  static const int moved[] = {0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11};
  loaded l =
      load_good(write_checkpoint(tiny, HEAD, -1), ", \"rotary_pairs\": \"adjacent\"");
  const lsp_layer *a = &l.model.layer[0];
  assert_rows(a->qkv.matrix.data, QW, moved, 12);
  assert_rows(a->qkv.matrix.data + 48, KW, moved, 6);
  assert_rows(a->qkv.matrix.data + 72, VW, as_stored, 6);
  assert_rows(a->qkv.bias, QB, moved, 12);
  assert_rows(a->qkv.bias + 12, KB, moved, 6);
  assert_rows(a->qkv.bias + 18, VB, as_stored, 6);
  assert_rows(a->query_norm.gain, QN, moved, 6);
  assert_rows(a->key_norm.gain, KN, moved, 6);
  unload(&l);
}

static void test_a_tied_head_may_be_stored_again_and_must_be_equal(void **state) {
  (void)state;
  static tensor other[HEAD + 1];
  loaded l = load_good(write_checkpoint(tiny, HEAD + 1, -1), "");
  unload(&l);
  l = load_good(write_checkpoint(tiny, HEAD + 1, EMBED), ""); /* it stands in */
  assert_rows(l.model.words.cluster[0].embed, EMBED, as_stored, 3);
  unload(&l);
  memcpy(other, tiny, sizeof other);
  other[N1] = (tensor){"head.weight", 3, 4, 0}; /* with N1's numbers */
  other[HEAD] = (tensor){"layers.0.attention_norm.weight", 4, 0, 0};
  l = load(write_checkpoint(other, HEAD + 1, -1), "");
  assert_int_equal(l.status, LSP_E_FORMAT);
  expect_message(&l.why, "tensor head.weight differs from embed.weight");
  unload(&l);
}

static void test_tensors_that_do_not_fit_are_named(void **state) {
  (void)state;
  static tensor other[HEAD + 1];
  for (int t = 0; t < HEAD; t++) {
    loaded l = load(write_checkpoint(tiny, HEAD, t), "");
    char words[128];
    (void)snprintf(words, sizeof words, "tensor %s is missing", tiny[t].name);
    assert_int_equal(l.status, LSP_E_FORMAT);
    expect_message(&l.why, words);
    unload(&l);
  }
  memcpy(other, tiny, sizeof other);
  other[KW].rows = 12;
  loaded l = load(write_checkpoint(other, HEAD, -1), "");
  assert_int_equal(l.status, LSP_E_FORMAT);
  expect_message(&l.why, "tensor layers.0.attention.k.weight is F32 of shape [12, 4], "
                         "config.json asks for [6, 4]");
  unload(&l);
  other[KW].rows = 6;
  other[HEAD].name = "layers.1.norm";
  l = load(write_checkpoint(other, HEAD + 1, -1), "");
  assert_int_equal(l.status, LSP_E_FORMAT);
  expect_message(&l.why, "tensor layers.1.norm has no place in the model");
  unload(&l);
}

/* A family of one tensor, stored (in, out). */
static void turned_slots(lsp_model *model, lsp_slots *list) {
  lsp_slot_add(list, &model->positions, 12, 4, "layers.0.attention.q.weight")
      ->transposed = 1;
}

static void test_a_transposed_tensor_is_turned(void **state) {
  (void)state;
  static const lsp_family turned = {.model_type = "turned", .slots = turned_slots};
  lsp_model m = {.family = &turned};
  float block[48];
  unsigned char hash[16];
  lsp_failure why = {.status = LSP_OK};
  assert_int_equal(lsp_model_floats(&m), 48);
  lsp_model_place(&m, block);
  assert_int_equal(
      lsp_model_read(write_checkpoint(&tiny[QW], 1, -1), &m, block, hash, &why),
      LSP_OK);
  for (int i = 0; i < 12; i++)
    for (int j = 0; j < 4; j++)
      assert_true(m.positions[j * 12 + i] == element(0, i * 4 + j));
  lsp_model_close(&m);
}

/* One of (2, 4, 3): its matrices (4, 3) are turned, or its last dimension is a head whose
 * components 0 .. 1 (a pair) would stand side by side. */
static void deep_slots(lsp_model *model, lsp_slots *list) {
  lsp_slot_deepen(lsp_slot_add(list, &model->positions, 2, 12, "deep"), 3)->transposed =
      1;
}

static void paired_slots(lsp_model *model, lsp_slots *list) {
  lsp_slot *s =
      lsp_slot_deepen(lsp_slot_add(list, &model->positions, 2, 12, "deep"), 6);
  s->pairs_apart = 4;
  s->head_rows = 6;
}

static lsp_status read_deep(const lsp_family *family, int depth, float block[32],
                            lsp_failure *why) {
  const tensor deep = {"deep", 2, 12, depth};
  unsigned char hash[16];
  lsp_model m = {.family = family};
  lsp_model_place(&m, block);
  const lsp_status st =
      lsp_model_read(write_checkpoint(&deep, 1, -1), &m, block, hash, why);
  lsp_model_close(&m);
  return st;
}

static void test_a_tensor_may_have_three_dimensions(void **state) {
  (void)state;
  static const lsp_family turned = {.model_type = "deep", .slots = deep_slots};
  static const lsp_family paired = {.model_type = "paired", .slots = paired_slots};
  static const int apart[] = {0, 2, 1, 3, 4, 5};
  float block[32] = {0};
  lsp_failure why = {.status = LSP_OK};
  assert_int_equal(read_deep(&turned, 3, block, &why), LSP_OK);
  for (int o = 0; o < 2; o++)
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 3; j++)
        assert_true(block[o * 12 + j * 4 + i] == element(0, o * 12 + i * 3 + j));
  assert_int_equal(read_deep(&paired, 6, block, &why), LSP_OK);
  for (int k = 0; k < 24; k++)
    assert_true(block[k] == element(0, k / 6 * 6 + apart[k % 6]));
  assert_int_equal(read_deep(&turned, 4, block, &why), LSP_E_FORMAT);
  expect_message(&why, "tensor deep is F32 of shape [2, 3, 4], config.json asks for "
                       "[2, 4, 3]");
}

static void test_the_text_is_what_the_folder_holds(void **state) {
  (void)state;
  char path[LSP_TEST_PATH + 32], *text = NULL;
  lsp_failure why = {.status = LSP_OK};
  const char *dir = lsp_test_folder();
  (void)snprintf(path, sizeof path, "%s/config.json", dir);
  assert_int_equal(lsp_model_text(dir, &text, &why), LSP_E_INPUT);
  expect_message(&why, path);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fprintf(f, "{" TINY ",\n\"norm_eps\": 0.1}\n") > 0);
  assert_int_equal(fclose(f), 0);
  assert_int_equal(lsp_model_text(dir, &text, &why), LSP_OK);
  lsp_model from_file = describe(text), direct = describe("{" TINY ", "
                                                          "\"norm_eps\": 0.1}");
  assert_string_equal(from_file.fact[0].value, direct.fact[0].value);
  assert_true(from_file.last_norm.eps == 0.1f);
  free(text);
  lsp_model_close(&from_file);
  lsp_model_close(&direct);
}

LSP_TESTS(cmocka_unit_test(test_one_softmax_is_one_view_of_all_branches),
          cmocka_unit_test(test_other_merges_have_a_view_a_branch),
          cmocka_unit_test(test_reach_is_the_farthest_of_the_branches),
          cmocka_unit_test(test_work_of_a_token_is_counted_by_hand),
          cmocka_unit_test(test_work_of_pairs_sums_views_and_heads),
          cmocka_unit_test(test_relative_positions_take_a_third_product),
          cmocka_unit_test(test_joined_tensors_fill_one_matrix),
          cmocka_unit_test(test_the_block_is_the_sum_of_its_places),
          cmocka_unit_test(test_adjacent_pairs_are_moved_apart),
          cmocka_unit_test(test_a_tied_head_may_be_stored_again_and_must_be_equal),
          cmocka_unit_test(test_tensors_that_do_not_fit_are_named),
          cmocka_unit_test(test_a_transposed_tensor_is_turned),
          cmocka_unit_test(test_a_tensor_may_have_three_dimensions),
          cmocka_unit_test(test_the_text_is_what_the_folder_holds))
