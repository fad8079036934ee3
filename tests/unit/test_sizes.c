/* Sizes of a run: the waves that are chosen, and what they take. */
#include "harness.h"
#include "random.h"

#include "lsp/exchange.h"
#include "lsp/sizes.h"

enum { LAYERS = 4 };

static const int64_t mib = 1 << 20;

/* A model of four heads of width 64, with its layers' sizes and a plan. */
typedef struct {
  lsp_model model;
  lsp_layer_sizes layer[LAYERS];
  lsp_plan plan;
  lsp_request request;
  lsp_sizing z;
} scene;

static void open_scene(scene *s, const char *branches, int layers, int64_t documents,
                       const int64_t *tokens, lsp_request request) {
  static const lsp_choices nothing = {.mem_len = -1, .segment = -1, .mem_init = -1};
  char text[1024];
  lsp_failure why = {0};
  (void)snprintf(text, sizeof text,
                 "{\"model_type\": \"longspan\", \"vocab_size\": 256, "
                 "\"hidden_size\": 256, \"num_hidden_layers\": %d, "
                 "\"num_attention_heads\": 4, \"intermediate_size\": 1024, "
                 "\"position\": \"none\", \"layers\": {\"branches\": [%s]}}",
                 layers, branches);
  if (lsp_model_describe("dir", text, &nothing, &s->model, &why) != LSP_OK ||
      lsp_plan_open(&s->plan, documents, tokens, 0, (lsp_framing){0}, &why) != LSP_OK)
    fail_msg("%s", why.text);
  request.longest = lsp_plan_longest(&s->plan);
  s->request = request;
  if (lsp_sizes_layers(&s->model, request.longest, request.ranks, s->layer, &why) !=
      LSP_OK)
    fail_msg("%s", why.text);
  s->z = (lsp_sizing){&s->model, s->layer, &s->plan, &s->request};
}

static void close_scene(scene *s) {
  lsp_plan_close(&s->plan);
  lsp_model_close(&s->model);
}

#define RECURRENCE "{\"type\": \"recurrence\", \"segment\": 128, \"memory\": 512}"
#define LONG_RECURRENCE                                                                \
  "{\"type\": \"recurrence\", \"segment\": 128, \"memory\": 131072}"

/* One document of so many tokens. */
static void open_long(scene *s, int64_t tokens, lsp_request request) {
  open_scene(s, RECURRENCE, 4, 1, &tokens, request);
}

static lsp_sizes chosen(const scene *s) {
  lsp_sizes sizes;
  lsp_failure why = {0};
  assert_int_equal(lsp_sizes_choose(&s->z, &sizes, &why), LSP_OK);
  return sizes;
}

static int64_t kept_bytes(const lsp_sizes *s) {
  return (s->rings + s->kept_fixed) * (int64_t)sizeof(float);
}

/* What is kept of the past comes on top. */
static void test_default_waves_fill_the_default_memory(void **state) {
  (void)state;
  for (int64_t ranks = 1; ranks <= 1 << 24; ranks *= 64) {
    scene s;
    open_long(&s, (int64_t)1 << 50,
              (lsp_request){-1, -1, ranks, 1, 0, 0, 0, 0, 0, 0, 0});
    const lsp_sizes most = chosen(&s);
    const lsp_sizes more = lsp_sizes_of(&s.z, most.wave_rows + LSP_PANEL * ranks);
    const int64_t memory = LSP_MEMORY_DEFAULT + kept_bytes(&most);
    assert_int_equal(most.wave_rows % (LSP_PANEL * ranks), 0);
    assert_true(lsp_sizes_rank(&most) <= memory || most.wave_rows == LSP_PANEL * ranks);
    assert_true(lsp_sizes_rank(&more) > memory);
    close_scene(&s);
  }
}

static void test_memory_is_never_exceeded_and_nearly_used(void **state) {
  (void)state;
  for (int64_t memory = 64 * mib; memory < 512 * mib; memory += 17 * mib + 123) {
    scene s;
    open_long(&s, (int64_t)1 << 40,
              (lsp_request){-1, memory, 8, 2, 0, 0, 0, 0, 0, 0, 0});
    const lsp_sizes most = chosen(&s);
    assert_true(lsp_sizes_rank(&most) <= memory);
    assert_true(lsp_sizes_rank(&most) > memory - 3 * mib);
    close_scene(&s);
  }
}

static void test_too_little_memory_is_refused_with_the_figures(void **state) {
  (void)state;
  scene s;
  lsp_sizes sizes;
  lsp_failure why = {0};
  open_long(&s, 1 << 20, (lsp_request){-1, 30 * mib, 2, 1, 0, 0, 0, 0, 0, 0, 0});
  assert_int_equal(lsp_sizes_choose(&s.z, &sizes, &why), LSP_E_MEMORY);
  expect_message(&why, "--memory 30M");
  expect_message(&why, "or more");
  s.request.wave_tokens = 1 << 20;
  s.request.memory = 100 * mib;
  assert_int_equal(lsp_sizes_choose(&s.z, &sizes, &why), LSP_E_MEMORY);
  expect_message(&why, "--wave-tokens");
  close_scene(&s);
}

/* A ring for 2050 tiles in each layer: 66 groups of 32, or a quarter of them. */
static void test_a_long_reach_gets_the_memory_it_needs(void **state) {
  (void)state;
  const int64_t tokens = (int64_t)1 << 40, tile = 2 * 4 * 64 * 64;
  scene s;
  for (int64_t ranks = 1; ranks <= 4; ranks *= 4) {
    open_scene(&s, LONG_RECURRENCE, 4, 1, &tokens,
               (lsp_request){-1, -1, ranks, 1, 0, 0, 0, 0, 0, 0, 0});
    const lsp_sizes most = chosen(&s);
    const int64_t groups = lsp_divide_up(1 + lsp_divide_up(2050 - 1, 32), ranks);
    assert_int_equal(s.layer[3].tiles, 2050);
    assert_int_equal(most.rings, 4 * groups * LSP_GROUP * tile);
    assert_true(lsp_sizes_rank(&most) > LSP_MEMORY_DEFAULT);
    assert_true(lsp_sizes_rank(&most) <= LSP_MEMORY_DEFAULT + kept_bytes(&most));
    assert_true(most.wave_rows >= LSP_PANEL * ranks);
    close_scene(&s);
  }
}

/* Attention to everything is bounded by the longest document, and nothing is borrowed
 * beyond a round. */
static void test_an_endless_reach_is_that_of_the_longest_document(void **state) {
  (void)state;
  const int64_t tokens[] = {700, 100000, 5};
  scene s;
  open_scene(&s, "{\"type\": \"full\"}, {\"type\": \"fixed\", \"sinks\": 4}", 1, 3,
             tokens, (lsp_request){-1, -1, 3, 1, 0, 0, 0, 0, 0, 0, 0});
  assert_int_equal(s.layer[0].reach, 100000);
  assert_int_equal(s.layer[0].tiles, lsp_divide_up(100000, 64));
  assert_int_equal(s.layer[0].room, LSP_ROUND_TILES);
  assert_int_equal(s.layer[0].fixed, 1);
  const lsp_sizes sizes = chosen(&s);
  assert_int_equal(sizes.rooms, 2);
  assert_int_equal(sizes.halo, 2 * LSP_ROUND_TILES * s.layer[0].tile);
  close_scene(&s);
}

static void test_a_wave_beyond_all_limits_is_refused(void **state) {
  (void)state;
  scene s;
  lsp_sizes sizes;
  lsp_failure why = {0};
  open_long(&s, (int64_t)1 << 50,
            (lsp_request){(int64_t)1 << 50, -1, 1, 1, 0, 0, 0, 0, 0, 0, 0});
  assert_int_equal(lsp_sizes_choose(&s.z, &sizes, &why), LSP_E_LIMIT);
  close_scene(&s);
}

/* A snapshot holds means in 31 bits of a number; no sum of them wraps before. */
static void test_more_means_than_a_snapshot_holds_are_refused(void **state) {
  (void)state;
  static const char *const many[] = {
      "{\"type\": \"levels\", \"window\": 1099511627776, \"pool\": 32, \"levels\": 8}",
      "{\"type\": \"compressed\", \"pool\": 2, \"reach\": 3000000000}",
      "{\"type\": \"compressed\", \"pool\": 2}"};
  static const lsp_choices nothing = {.mem_len = -1, .segment = -1, .mem_init = -1};
  for (int i = 0; i < 3; i++) {
    lsp_model model;
    lsp_layer_sizes layer[1];
    lsp_failure why = {0};
    char text[512];
    (void)snprintf(text, sizeof text,
                   "{\"model_type\": \"longspan\", \"vocab_size\": 256, "
                   "\"hidden_size\": 8, \"num_hidden_layers\": 1, "
                   "\"num_attention_heads\": 1, \"intermediate_size\": 8, "
                   "\"position\": \"none\", \"layers\": {\"branches\": [%s]}}",
                   many[i]);
    assert_int_equal(lsp_model_describe("dir", text, &nothing, &model, &why), LSP_OK);
    assert_int_equal(lsp_sizes_layers(&model, (int64_t)1 << 40, 4, layer, &why),
                     LSP_E_LIMIT);
    assert_non_null(strstr(why.text, "a snapshot holds at most 2147483647"));
    lsp_model_close(&model);
  }
}

/* ---- What ranks lend each other */

typedef struct {
  int rank;
  int64_t tile;
  int is_pooled;
  lsp_sent now, kind[LSP_LOAN_KINDS];
} counted;

static void count(const lsp_loan *loan, void *arg) {
  counted *c = arg;
  if (loan->from != c->rank || loan->to == c->rank)
    return;
  const int64_t floats = (loan->end - loan->first) * c->tile;
  const lsp_sent sent = {lsp_divide_up(floats, LSP_EXCHANGE_PIECE), 4 * floats};
  c->now.messages += sent.messages;
  c->now.bytes += sent.bytes;
  const int kind = c->is_pooled ? (int)LSP_LOAN_POOLED : (int)loan->kind;
  c->kind[kind].messages += sent.messages;
  c->kind[kind].bytes += sent.bytes;
}

static lsp_sent most(lsp_sent a, lsp_sent b) {
  return (lsp_sent){lsp_max(a.messages, b.messages), lsp_max(a.bytes, b.bytes)};
}

/* All loans of a rank in a layer of a wave. */
static void count_layer(const scene *s, lsp_range wave, int layer, counted *one) {
  const lsp_layer_sizes *y = &s->layer[layer];
  const lsp_view_of_wave v = {&s->plan, wave, one->rank, (int)s->request.ranks};
  const int64_t rounds = lsp_plan_rounds(&s->plan, wave, y->tiles, y->room);
  one->tile = y->tile;
  for (int64_t round = 0; round < rounds; round++)
    lsp_plan_round_loans(&v, y->tiles, y->room, round, count, one);
  lsp_plan_fixed_loans(&v, y->fixed, count, one);
  lsp_plan_keep_loans(&v, y->tiles, count, one);
  one->tile = (int64_t)2 * s->model.layer[layer].heads.shared *
              s->model.layer[layer].heads.width;
  one->is_pooled = 1;
  for (int k = 0; k < y->strata; k++) {
    lsp_grain_past_loans(&v, y->stratum[k].grain, y->stratum[k].reach, count, one);
    lsp_grain_keep_loans(&v, y->stratum[k].grain, y->stratum[k].reach, count, one);
  }
}

/* Every wave, rank and layer, one by one. */
static lsp_lending walked(const scene *s, int64_t wave_rows) {
  lsp_lending all = {.exact = 1};
  lsp_sent sum[80] = {{0, 0}};
  const int ranks = (int)s->request.ranks;
  for (int64_t panel = 0; panel < lsp_plan_panels(&s->plan); all.waves++) {
    const lsp_range wave = lsp_plan_wave(&s->plan, panel, wave_rows);
    int64_t idle = 0;
    for (int rank = 0; rank < ranks; rank++) {
      const lsp_range span = lsp_plan_span(&s->plan, wave, rank, ranks);
      idle += span.first == span.end;
      for (int layer = 0; layer < s->model.layers; layer++) {
        counted one = {.rank = rank};
        count_layer(s, wave, layer, &one);
        all.layer = most(all.layer, one.now);
        sum[rank].messages += one.now.messages;
        sum[rank].bytes += one.now.bytes;
        for (int k = 0; k < LSP_LOAN_KINDS; k++) {
          all.kind[k].messages += one.kind[k].messages;
          all.kind[k].bytes += one.kind[k].bytes;
        }
      }
    }
    all.idle = lsp_max(all.idle, idle);
    panel = wave.end;
  }
  for (int rank = 0; rank < ranks; rank++)
    all.rank = most(all.rank, sum[rank]);
  return all;
}

static void check_lending(const scene *s, int64_t wave_rows) {
  lsp_lending exact, bound;
  const lsp_lending plain = walked(s, wave_rows);
  lsp_failure why = {0};
  assert_int_equal(lsp_sizes_lending(&s->z, wave_rows, 1 << 20, &exact, &why), LSP_OK);
  assert_int_equal(lsp_sizes_lending(&s->z, wave_rows, 0, &bound, &why), LSP_OK);
  assert_memory_equal(&plain, &exact, sizeof plain);
  assert_int_equal(bound.waves, plain.waves);
  assert_false(bound.exact);
  assert_true(bound.layer.messages >= plain.layer.messages);
  assert_true(bound.layer.bytes >= plain.layer.bytes);
  assert_true(bound.rank.messages >= plain.rank.messages);
  assert_true(bound.rank.bytes >= plain.rank.bytes);
}

/* Branches of a layer, at random. */
static void random_branches(lsp_random *random, char *text, size_t size) {
  const int64_t memory = lsp_random_in(random, 1, 3000);
  switch (lsp_random_in(random, 0, 5)) {
  case 0:
    (void)snprintf(text, size, "{\"type\": \"full\"}");
    break;
  case 1:
    (void)snprintf(text, size,
                   "{\"type\": \"local\", \"window\": %lld}, "
                   "{\"type\": \"fixed\", \"sinks\": %lld}",
                   (long long)memory, (long long)lsp_random_in(random, 1, 64));
    break;
  case 2:
    (void)snprintf(text, size,
                   "{\"type\": \"levels\", \"window\": %lld, \"pool\": 4, "
                   "\"levels\": %lld}",
                   (long long)(4 * lsp_random_in(random, 1, 40)),
                   (long long)lsp_random_in(random, 1, 6));
    break;
  case 3:
    (void)snprintf(text, size,
                   "{\"type\": \"compressed\", \"pool\": 2, \"reach\": %lld}",
                   (long long)(lsp_random_in(random, 0, 1) * memory));
    break;
  default:
    (void)snprintf(text, size,
                   "{\"type\": \"recurrence\", \"segment\": %lld, \"memory\": %lld}",
                   (long long)lsp_random_in(random, 1, 300), (long long)memory);
  }
}

static void test_lending_is_that_of_every_wave_and_rank_or_a_bound(void **state) {
  (void)state;
  static const int ranks[] = {1, 2, 3, 4, 7, 8, 33, 80};
  lsp_random random = {5};
  char branches[256];
  for (int i = 0; i < 600; i++) {
    scene s;
    int64_t tokens[3];
    for (int d = 0; d < 3; d++)
      tokens[d] = lsp_random_in(&random, 1, (i + d) % 3 == 0 ? 30000 : 3000);
    random_branches(&random, branches, sizeof branches);
    const lsp_request request = {.wave_tokens = -1,
                                 .memory = -1,
                                 .ranks = ranks[lsp_random_in(&random, 0, 7)],
                                 .threads = 1};
    open_scene(&s, branches, (int)lsp_random_in(&random, 1, 3),
               lsp_random_in(&random, 1, 3), tokens, request);
    check_lending(&s, lsp_random_in(&random, LSP_PANEL, i % 4 == 0 ? 40000 : 4000));
    close_scene(&s);
  }
}

static void test_lending_of_any_length_can_be_counted(void **state) {
  (void)state;
  for (int64_t ranks = 1; ranks <= 1 << 24; ranks *= 8) {
    scene s;
    open_long(&s, (int64_t)1 << 50,
              (lsp_request){-1, -1, ranks, 1, 0, 0, 0, 0, 0, 0, 0});
    for (int64_t wave = LSP_PANEL; wave <= (int64_t)1 << 50; wave *= 1024) {
      lsp_lending lending;
      lsp_failure why = {0};
      assert_int_equal(lsp_sizes_lending(&s.z, wave, 1 << 12, &lending, &why), LSP_OK);
      assert_true(lending.waves > 0 && lending.rank.messages >= 0 &&
                  lending.rank.bytes >= lending.layer.bytes);
    }
    close_scene(&s);
  }
}

LSP_TESTS(cmocka_unit_test(test_more_means_than_a_snapshot_holds_are_refused),
          cmocka_unit_test(test_default_waves_fill_the_default_memory),
          cmocka_unit_test(test_memory_is_never_exceeded_and_nearly_used),
          cmocka_unit_test(test_too_little_memory_is_refused_with_the_figures),
          cmocka_unit_test(test_a_long_reach_gets_the_memory_it_needs),
          cmocka_unit_test(test_an_endless_reach_is_that_of_the_longest_document),
          cmocka_unit_test(test_a_wave_beyond_all_limits_is_refused),
          cmocka_unit_test(test_lending_is_that_of_every_wave_and_rank_or_a_bound),
          cmocka_unit_test(test_lending_of_any_length_can_be_counted))
