/* config.json of the library's families (gpt2, llama, mistral, qwen2, qwen3, smollm3): what
 * is not computed is refused by one line, what is computed is described, in both dialects;
 * and their tensors. The numbers are compared with the library's in golden. */
#include "harness.h"

#include "lsp/json.h"
#include "lsp/model.h"
#include "lsp/options.h"
#include "lsp/safetensors.h"

#include <math.h>

#define ROPE(keys) "\"rope_scaling\": {" keys "}"
#define LLAMA3                                                                         \
  "\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "                 \
  "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 64"
#define TYPES(first, second) "\"layer_types\": [\"" first "\", \"" second "\"]"
#define FULL "full_attention"
#define SLIDING "sliding_attention"

static const char *const llama = "\"model_type\": \"llama\"";
static const char *const mistral = "\"model_type\": \"mistral\"";
static const char *const qwen2 = "\"model_type\": \"qwen2\"";
static const char *const qwen3 = "\"model_type\": \"qwen3\"";
static const char *const smollm3 = "\"model_type\": \"smollm3\"";
static const char *const gpt2 =
    "\"model_type\": \"gpt2\", \"n_embd\": 32, \"n_layer\": 2, \"n_head\": 4";

static const char sizes[] =
    "\"vocab_size\": 61, \"hidden_size\": 32, \"num_hidden_layers\": 2, "
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
    "\"intermediate_size\": 48";

static const lsp_choices nothing = {.mem_len = -1, .segment = -1, .mem_init = -1};

/* Describes the sizes with a type's keys and others. */
static lsp_status describe(const char *type, const char *keys,
                           const lsp_choices *choices, lsp_model *m, lsp_failure *why) {
  char object[1024];
  memset(why, 0, sizeof *why);
  (void)snprintf(object, sizeof object, "{%s}",
                 type == gpt2 ? "\"vocab_size\": 61" : sizes);
  json_t *all = json_loads(object, 0, NULL);
  const char *const part[] = {type, keys};
  for (int i = 0; i < 2; i++) {
    (void)snprintf(object, sizeof object, "{%s}", part[i]);
    json_t *other = json_loads(object, 0, NULL);
    if (all == NULL || other == NULL)
      fail_msg("not JSON: %s", object);
    assert_int_equal(json_object_update(all, other), 0);
    json_decref(other);
  }
  char *text = json_dumps(all, 0);
  assert_non_null(text);
  const lsp_status st = lsp_model_describe("dir", text, choices, m, why);
  free(text);
  json_decref(all);
  return st;
}

static lsp_model good(const char *type, const char *keys) {
  lsp_model m;
  lsp_failure why;
  if (describe(type, keys, &nothing, &m, &why) != LSP_OK)
    fail_msg("%s: %s", keys, why.text);
  return m;
}

static const char *fact(const lsp_model *m, const char *key) {
  for (int i = 0; i < m->facts; i++)
    if (strcmp(m->fact[i].key, key) == 0)
      return m->fact[i].value;
  return "(none)";
}

/* Do both keys describe one model, to a snapshot? */
static int alike(const char *type, const char *keys, const char *others) {
  lsp_model a = good(type, keys), b = good(type, others);
  const int same = strcmp(fact(&a, "config"), fact(&b, "config")) == 0;
  lsp_model_close(&a);
  lsp_model_close(&b);
  return same;
}

static int near(double a, double b) {
  return fabs(a - b) <= 1e-6 * fabs(b);
}

/* --- what is refused ------------------------------------------------------------- */

/* type and keys, and what the message says: key and value, what is allowed */
static const struct {
  const char *const *type;
  const char *keys, *value, *allowed;
} bad[] = {
    {&llama, "\"hidden_size\": null", "\"hidden_size\" is null", "add it"},
    {&llama, "\"num_key_value_heads\": 3", "\"num_key_value_heads\" is 3",
     "a divisor of num_attention_heads, which is 4"},
    {&mistral, "\"num_attention_heads\": 12, \"num_key_value_heads\": 5",
     "\"num_key_value_heads\" is 5", "which is 12 (a missing key stands for 8)"},
    {&llama, ROPE("\"rope_type\": \"yarn\", \"factor\": 2, \"attention_factor\": 1e30"),
     "\"rope_scaling.attention_factor\" is", "a number from 1e-15 to 1e+15"},
    {&llama, "\"head_dim\": 7", "\"head_dim\" is 7", "an even number from 2"},
    {&llama, "\"hidden_size\": 12", "\"head_dim\" is missing", "(hidden_size / "},
    {&llama, "\"hidden_act\": \"quick_gelu\"", "\"hidden_act\" is \"quick_gelu\"",
     "this program runs \"relu\", \"gelu\", "},
    {&gpt2, "\"activation_function\": \"tanh\"", "\"activation_function\" is \"tanh\"",
     "\"gelu_new\", "},
    {&llama, "\"attention_bias\": \"no\"", "\"attention_bias\" is \"no\"",
     "true or false"},
    {&llama, "\"rms_norm_eps\": 0", "\"rms_norm_eps\" is 0", "a number from"},

    {&llama, "\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4}",
     "\"quantization_config\" is there (quant_method \"gptq\")", "data/get_model.py"},
    {&llama, "\"partial_rotary_factor\": 0.5", "\"partial_rotary_factor\" is 0.5",
     "this model_type only without it"},
    {&qwen3, "\"final_logit_softcapping\": 30.0", "\"final_logit_softcapping\" is 30",
     "only without it"},
    {&gpt2, "\"add_cross_attention\": true", "\"add_cross_attention\" is true",
     "only without it"},
    {&gpt2, "\"pruned_heads\": {\"0\": [1]}", "\"pruned_heads\" is {\"0\":[1]}",
     "with all their heads"},
    {&gpt2, "\"n_head\": 5", "n_embd 32 does not make 5 heads", "correct the file"},
    {&gpt2, "\"n_positions\": 0", "\"n_positions\" is 0", "from 1"},

    {&llama, ROPE("\"rope_type\": \"dynamic\", \"factor\": 2.0"),
     "\"rope_scaling.rope_type\" is \"dynamic\"",
     "\"default\", \"linear\", \"llama3\" or \"yarn\": the angles of \"dynamic\" "
     "depend "
     "on the length of the whole text"},
    {&qwen2, ROPE("\"type\": \"longrope\""), "\"rope_scaling.type\" is \"longrope\"",
     "depend on the length"},
    {&llama, ROPE("\"rope_type\": \"spiral\""),
     "\"rope_scaling.rope_type\" is \"spiral\"", "\"linear\", \"llama3\" or \"yarn\""},
    {&llama, ROPE("\"factor\": 2"), "\"rope_scaling.rope_type\" is missing",
     "\"linear\", \"llama3\" or \"yarn\""},
    {&llama, ROPE("\"type\": \"linear\", \"rope_type\": \"yarn\", \"factor\": 2"),
     "\"rope_scaling.rope_type\" is \"yarn\"", "what \"type\" says"},
    {&llama, ROPE("\"rope_type\": \"linear\""), "\"rope_scaling.factor\" is missing",
     "a number above 0, which this rope_type needs"},
    {&llama, ROPE("\"rope_type\": \"linear\", \"factor\": 0"),
     "\"rope_scaling.factor\" is 0", "a number from"},
    {&llama,
     ROPE("\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
          "\"high_freq_factor\": 4"),
     "\"rope_scaling.original_max_position_embeddings\" is missing", "above 0"},
    {&llama,
     ROPE("\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
          "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 64"),
     "\"rope_scaling.high_freq_factor\" is 4", "more than low_freq_factor, which is 4"},
    {&llama, "\"rope_scaling\": \"yarn\"", "\"rope_scaling\" is \"yarn\"", "an object"},
    {&llama, "\"rope_theta\": 1", "\"rope_theta\" is 1", "a number above 1"},
    {&llama, "\"rope_theta\": 500, \"rope_parameters\": {\"rope_theta\": 600}",
     "\"rope_parameters.rope_theta\" is 600",
     "what the outer \"rope_theta\" says (500)"},
    {&llama,
     "\"rope_parameters\": {\"rope_type\": \"default\"}, " ROPE(
         "\"rope_type\": \"linear\", \"factor\": 2"),
     "\"rope_parameters\" is {", "what \"rope_scaling\" says"},
    {&llama, "\"rope_parameters\": {\"partial_rotary_factor\": 0.25}",
     "\"rope_parameters.partial_rotary_factor\" is 0.25", "with 1 alone"},
    {&llama, "\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\"}}",
     "\"rope_parameters.full_attention\" is", "one set of frequencies for all layers"},

    {&mistral, "\"sliding_window\": 0", "\"sliding_window\" is 0", "from 1"},
    {&llama, TYPES(FULL, SLIDING), "\"layer_types[1]\" is \"" SLIDING "\"",
     "the only one of this model_type"},
    {&qwen2, "\"layer_types\": [\"" FULL "\"]", "\"layer_types\" is [", "a list of 2"},
    {&qwen2, TYPES(FULL, "chunked_attention"),
     "\"layer_types[1]\" is \"chunked_attention\"", "\"" FULL "\" or \"" SLIDING "\""},
    {&qwen3, TYPES(FULL, SLIDING), "\"layer_types[1]\" is \"" SLIDING "\"",
     "there is no window without both use_sliding_window and sliding_window"},
    {&smollm3, TYPES(SLIDING, FULL), "\"layer_types[0]\" is \"" SLIDING "\"",
     "there is no sliding_window"},
    {&smollm3, "\"no_rope_layers\": [1]", "\"no_rope_layers\" is [1]", "a list of 2"},
    {&smollm3, "\"no_rope_layers\": [1, \"x\"]", "\"no_rope_layers\" is [1,\"x\"]",
     "0 and 1 alone"},
    {&smollm3, "\"no_rope_layer_interval\": 0", "\"no_rope_layer_interval\" is 0",
     "from 1"},
};

static void test_what_is_not_computed_is_refused_by_one_line(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    lsp_model m;
    lsp_failure why;
    const lsp_status st = describe(*bad[i].type, bad[i].keys, &nothing, &m, &why);
    if (st != LSP_E_FORMAT)
      fail_msg("%s: status %d: %s", bad[i].keys, (int)st, why.text);
    expect_message(&why, "dir/config.json: ");
    expect_message(&why, bad[i].value);
    expect_message(&why, bad[i].allowed);
    assert_null(strchr(why.text, '\n'));
    assert_null(strstr(why.text, " ... ")); /* nothing was left out */
    lsp_model_close(&m);
  }
}

static void test_options_of_other_models_are_refused(void **state) {
  static const lsp_choices choice[] = {
      {.mem_len = 5, .segment = -1, .mem_init = -1},
      {.mem_len = -1, .segment = 7, .mem_init = -1},
      {.mem_len = -1, .segment = -1, .mem_init = LSP_MEM_ZEROS}};
  static const char *const option[] = {"--mem-len: no", "--segment: no",
                                       "--mem-init zeros: no"};
  (void)state;
  for (int i = 0; i < 3; i++) {
    lsp_model m;
    lsp_failure why;
    assert_int_equal(describe(llama, "", &choice[i], &m, &why), LSP_E_USAGE);
    expect_message(&why, option[i]);
    lsp_model_close(&m);
    assert_int_equal(describe(gpt2, "", &choice[i], &m, &why), LSP_E_USAGE);
    lsp_model_close(&m);
  }
}

/* --- what is understood ---------------------------------------------------------- */

static void test_missing_keys_stand_for_what_the_library_takes(void **state) {
  (void)state;
  lsp_model m = good(llama, "");
  const lsp_layer *l = &m.layer[1];
  assert_true(l->place == LSP_PLACE_PRE && l->attention_norm.kind == LSP_NORM_RMS);
  assert_true(near((double)l->attention_norm.eps, 1e-6));
  assert_true(l->heads.query == 4 && l->heads.shared == 2 && l->heads.width == 8);
  assert_true(l->gated && l->activation == LSP_SILU && l->inner == 48);
  assert_true(l->branches == 1 && l->branch[0].kind == LSP_PATTERN_FULL);
  assert_true(l->position.kind == LSP_POSITION_ROTARY && l->position.rotated == 8);
  assert_true(near(l->position.frequency[1], 0.1));
  assert_true(near((double)l->scale, 1 / sqrt(8)));
  assert_true(m.trained == 2048 && m.positions_most == 0 && m.segment == 1);
  lsp_model_close(&m);
  m = good(llama, "\"num_key_value_heads\": null, \"head_dim\": null");
  assert_true(m.layer[0].heads.shared == 4 && m.layer[0].heads.width == 8);
  lsp_model_close(&m);
  m = good(mistral, "");
  assert_true(m.layer[0].branch[0].kind == LSP_PATTERN_LOCAL);
  assert_true(m.layer[0].branch[0].window == 4096 && m.trained == 131072);
  lsp_model_close(&m);
  m = good(qwen3, "");
  assert_int_equal(m.layer[0].heads.width, 128);
  assert_true(m.layer[0].query_norm.kind == LSP_NORM_RMS);
  lsp_model_close(&m);
}

static void test_gpt2_is_what_its_paper_says(void **state) {
  (void)state;
  lsp_model m = good(gpt2, "");
  const lsp_layer *l = &m.layer[1];
  assert_true(l->place == LSP_PLACE_PRE && l->attention_norm.kind == LSP_NORM_LAYER);
  assert_true(near((double)l->attention_norm.eps, 1e-5));
  assert_true(l->activation == LSP_GELU_TANH && !l->gated && l->inner == 128);
  assert_true(l->position.kind == LSP_POSITION_NONE);
  assert_true(m.positions_most == 1024 && m.trained == 1024 && m.embed_scale == 1);
  assert_true(near((double)l->scale, 1 / sqrt(8)));
  lsp_model_close(&m);
  m = good(gpt2, "\"scale_attn_weights\": false, \"n_inner\": 50, "
                 "\"scale_attn_by_inverse_layer_idx\": true, "
                 "\"max_position_embeddings\": 77");
  assert_true(m.layer[0].scale == 1 && m.layer[1].scale == 0.5f);
  assert_true(m.layer[0].inner == 50 && m.positions_most == 77);
  lsp_model_close(&m);
}

static int64_t window_of(const lsp_model *m, int layer) {
  const lsp_pattern *p = &m->layer[layer].branch[0];
  return p->kind == LSP_PATTERN_LOCAL ? p->window : 0;
}

static void expect_windows(const char *type, const char *keys, int64_t first,
                           int64_t second) {
  lsp_model m = good(type, keys);
  if (window_of(&m, 0) != first || window_of(&m, 1) != second)
    fail_msg("%s, %s: windows %lld, %lld", type, keys, (long long)window_of(&m, 0),
             (long long)window_of(&m, 1));
  lsp_model_close(&m);
}

static void test_layers_see_a_window_as_each_family_says(void **state) {
  (void)state;
  expect_windows(llama, "\"sliding_window\": 5, " TYPES(FULL, FULL), 0, 0);
  expect_windows(mistral, "\"sliding_window\": 5", 5, 5);
  expect_windows(mistral, "\"sliding_window\": null", 0, 0);
  expect_windows(mistral, "\"sliding_window\": 5, " TYPES(FULL, SLIDING), 0, 5);
  expect_windows(qwen2, "\"sliding_window\": 5, \"max_window_layers\": 0", 0, 0);
  expect_windows(qwen2, "\"use_sliding_window\": true, \"sliding_window\": 5", 0, 0);
  expect_windows(qwen2,
                 "\"use_sliding_window\": true, \"sliding_window\": 5, "
                 "\"max_window_layers\": 1",
                 0, 5);
  expect_windows(
      qwen3,
      "\"use_sliding_window\": true, \"sliding_window\": 5, " TYPES(SLIDING, FULL), 5,
      0);
  expect_windows(smollm3,
                 "\"use_sliding_window\": true, \"sliding_window\": 5, "
                 "\"no_rope_layers\": [0, 1]",
                 5, 0);
  expect_windows(smollm3, "\"sliding_window\": 5, " TYPES(FULL, SLIDING), 0, 5);
}

static void test_layers_without_rotary_positions_are_known(void **state) {
  (void)state;
  lsp_model m = good(smollm3, "\"no_rope_layer_interval\": 2");
  assert_true(m.layer[0].position.kind == LSP_POSITION_ROTARY);
  assert_true(m.layer[1].position.kind == LSP_POSITION_NONE);
  lsp_model_close(&m);
  m = good(smollm3, "\"no_rope_layers\": [false, 1], " ROPE(
                        "\"rope_type\": \"yarn\", \"factor\": 4, "
                        "\"attention_factor\": 3"));
  assert_true(m.layer[0].position.kind == LSP_POSITION_NONE);
  assert_true(near((double)m.layer[0].scale, 1 / sqrt(8))); /* nothing is turned */
  assert_true(near((double)m.layer[1].scale, 9 / sqrt(8)));
  lsp_model_close(&m);
}

/* --- rotary positions ------------------------------------------------------------ */

static void test_frequencies_are_scaled_by_their_type(void **state) {
  (void)state;
  lsp_model m =
      good(llama, "\"rope_theta\": 16, " ROPE("\"type\": \"linear\", \"factor\": 2.5"));
  for (int i = 0; i < 4; i++)
    assert_true(near(m.layer[0].position.frequency[i], pow(2, -i) / 2.5));
  lsp_model_close(&m);
  /* Waves of 2 pi (100, 10, 1, 0.1 of them in 628 positions): between 8 and 40 both. */
  m = good(llama, "\"rope_theta\": 10000, " ROPE(
                      "\"rope_type\": \"llama3\", \"factor\": 4, "
                      "\"low_freq_factor\": 8, \"high_freq_factor\": 40, "
                      "\"original_max_position_embeddings\": 628"));
  const double *f = m.layer[0].position.frequency;
  const double share = (628 * 0.1 / 6.283185307179586 - 8) / 32;
  assert_true(near(f[0], 1) && near(f[2], 0.01 / 4) && near(f[3], 0.001 / 4));
  assert_true(near(f[1], 0.1 * ((1 - share) / 4 + share)));
  lsp_model_close(&m);
}

/* With theta 16, head width 8 and 2 pi 16 positions, pair i turns 16 / 2^i times: beta 8
 * is pair 1, beta 2 pair 3, and pair 2 lies in the middle of the ramp. */
static void test_yarn_is_a_ramp_and_scales_scores(void **state) {
  (void)state;
  lsp_model m =
      good(llama, "\"rope_theta\": 16, " ROPE("\"rope_type\": \"yarn\", \"factor\": 4, "
                                              "\"beta_fast\": 8, \"beta_slow\": 2, "
                                              "\"truncate\": false, "
                                              "\"original_max_position_embeddings\": "
                                              "100.53096491487338"));
  const double *f = m.layer[0].position.frequency;
  const double factor = 0.1 * log(4) + 1;
  assert_true(near(f[0], 1) && near(f[1], 0.5) && near(f[3], 0.125 / 4));
  assert_true(near(f[2], 0.25 * (0.5 + 0.5 / 4)));
  assert_true(near((double)m.layer[0].scale, factor * factor / sqrt(8)));
  lsp_model_close(&m);
  m = good(llama, ROPE("\"rope_type\": \"yarn\", \"factor\": 4, \"mscale\": 1.5, "
                       "\"mscale_all_dim\": 0.5"));
  const double ratio = (0.15 * log(4) + 1) / (0.05 * log(4) + 1);
  assert_true(near((double)m.layer[0].scale, ratio * ratio / sqrt(8)));
  lsp_model_close(&m);
}

/* --- dialects and the hash ------------------------------------------------------- */

static void test_both_dialects_are_one_model(void **state) {
  (void)state;
  assert_true(alike(llama, "\"rope_theta\": 500, \"torch_dtype\": \"float16\"",
                    "\"rope_parameters\": {\"rope_type\": \"default\", "
                    "\"rope_theta\": 500}, \"dtype\": \"float16\""));
  assert_true(alike(llama, "\"rope_theta\": 500, " ROPE(LLAMA3),
                    "\"rope_parameters\": {" LLAMA3
                    ", \"rope_theta\": 500}, " TYPES(FULL, FULL)));
  assert_true(alike(llama, ROPE("\"type\": \"linear\", \"factor\": 2"),
                    ROPE("\"rope_type\": \"linear\", \"factor\": 2.0")));
  assert_true(alike(
      qwen2,
      "\"use_sliding_window\": true, \"sliding_window\": 5, "
      "\"max_window_layers\": 1",
      "\"use_sliding_window\": true, \"sliding_window\": 5, " TYPES(FULL, SLIDING)));
  assert_true(alike(gpt2, "\"n_ctx\": 1024", "\"num_hidden_layers\": 2"));
}

static void test_what_decides_no_number_is_passed_over(void **state) {
  (void)state;
  assert_true(alike(llama, "",
                    "\"architectures\": [\"LlamaForCausalLM\"], \"use_cache\": true, "
                    "\"auto_map\": {\"AutoModel\": \"x.Y\"}, \"pretraining_tp\": 4, "
                    "\"bos_token_id\": 1, \"attention_dropout\": 0.1, "
                    "\"max_position_embeddings\": 9, \"quantization_config\": null, "
                    "\"partial_rotary_factor\": 1.0, \"transformers_version\": \"4\""));
  assert_true(alike(gpt2, "",
                    "\"reorder_and_upcast_attn\": true, \"pruned_heads\": {}, "
                    "\"add_cross_attention\": false, \"embd_pdrop\": 0.3"));
}

static void test_the_hash_knows_every_key_that_decides_a_number(void **state) {
  static const struct {
    const char *const *type;
    const char *keys;
  } change[] = {
      {&llama, "\"num_key_value_heads\": 4"},
      {&llama, "\"head_dim\": 10"},
      {&llama, "\"intermediate_size\": 50"},
      {&llama, "\"rms_norm_eps\": 1e-5"},
      {&llama, "\"hidden_act\": \"gelu\""},
      {&llama, "\"attention_bias\": true"},
      {&llama, "\"mlp_bias\": true"},
      {&llama, "\"tie_word_embeddings\": true"},
      {&llama, "\"rope_theta\": 10001"},
      {&llama, ROPE("\"rope_type\": \"linear\", \"factor\": 2")},
      {&mistral, "\"sliding_window\": 5"},
      {&smollm3, "\"no_rope_layers\": [1, 0]"},
      {&gpt2, "\"n_positions\": 100"},
      {&gpt2, "\"n_inner\": 100"},
      {&gpt2, "\"layer_norm_epsilon\": 1e-6"},
      {&gpt2, "\"activation_function\": \"relu\""},
      {&gpt2, "\"scale_attn_weights\": false"},
      {&gpt2, "\"scale_attn_by_inverse_layer_idx\": true"},
      {&gpt2, "\"tie_word_embeddings\": false"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof change / sizeof change[0]; i++)
    if (alike(*change[i].type, "", change[i].keys))
      fail_msg("%s: the hash is the same", change[i].keys);
}

/* --- tensors --------------------------------------------------------------------- */

/* Reads the tensors of a fixture, of whose config.json one key is another. */
static lsp_status read_fixture(const char *name, const char *keys, lsp_failure *why) {
  char dir[512], path[640];
  json_t *config = NULL, *other = json_loads(keys, 0, NULL);
  unsigned char hash[16];
  lsp_model m;
  assert_non_null(other);
  (void)snprintf(dir, sizeof dir, "%s/families/%s", LSP_FIXTURES, name);
  (void)snprintf(path, sizeof path, "%s/config.json", dir);
  assert_int_equal(lsp_json_read(path, 1 << 20, &config, why), LSP_OK);
  assert_int_equal(json_object_update(config, other), 0);
  char *text = json_dumps(config, 0);
  assert_int_equal(lsp_model_describe(dir, text, &nothing, &m, why), LSP_OK);
  float *block = calloc((size_t)lsp_model_floats(&m), sizeof *block);
  assert_non_null(block);
  const lsp_status st = lsp_model_read(dir, &m, block, hash, why);
  free(block);
  free(text);
  json_decref(config);
  json_decref(other);
  lsp_model_close(&m);
  return st;
}

static const struct {
  const char *fixture, *keys, *what, *advice;
} unfit[] = {
    {"llama", "{\"vocab_size\": 62}",
     "tensor model.embed_tokens.weight has 61 rows, but vocab_size of config.json is "
     "62",
     "set vocab_size to 61"},
    {"gpt2", "{\"vocab_size\": 50257}",
     "tensor transformer.wte.weight has 61 rows, but vocab_size of config.json is "
     "50257",
     "set vocab_size to 61"},
    {"llama-bare", "{\"vocab_size\": 60}", "tensor embed_tokens.weight has 61 rows",
     "is 60"},
    {"llama", "{\"intermediate_size\": 37}",
     "tensor model.layers.0.mlp.gate_proj.weight is F32 of shape [36, 32]", "[37, 32]"},
    {"llama", "{\"attention_bias\": true}",
     "tensor model.layers.0.self_attn.q_proj.bias is missing", "config.json"},
    {"llama-linear", "{\"mlp_bias\": false}",
     "tensor model.layers.0.mlp.down_proj.bias has no place", "config.json"},
    {"qwen2", "{\"tie_word_embeddings\": false, \"num_hidden_layers\": 1}",
     "tensor model.layers.1.", "has no place"},
    {"llama-bare", "{\"tie_word_embeddings\": false}",
     "tensor lm_head.weight is missing", "config.json"},
    {"llama", "{\"tie_word_embeddings\": true}",
     "tensor lm_head.weight differs from "
     "model.embed_tokens.weight",
     "config.json ties it"},
    {"gpt2-old", "{\"n_positions\": 131}",
     "tensor wpe.weight is F16 of shape [130, 32]", "[131, 32]"},
};

static void test_tensors_that_do_not_fit_are_named(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
    lsp_failure why = {.status = LSP_OK};
    assert_int_equal(read_fixture(unfit[i].fixture, unfit[i].keys, &why), LSP_E_FORMAT);
    expect_message(&why, unfit[i].what);
    expect_message(&why, unfit[i].advice);
  }
}

/* gpt2-old holds masks, llama3 frequencies; both names begin as those of real tensors. */
static void test_buffers_of_old_files_are_passed_over(void **state) {
  (void)state;
  lsp_failure why = {.status = LSP_OK};
  assert_int_equal(read_fixture("gpt2-old", "{}", &why), LSP_OK);
  assert_int_equal(read_fixture("llama3", "{}", &why), LSP_OK);
}

LSP_TESTS(cmocka_unit_test(test_what_is_not_computed_is_refused_by_one_line),
          cmocka_unit_test(test_options_of_other_models_are_refused),
          cmocka_unit_test(test_missing_keys_stand_for_what_the_library_takes),
          cmocka_unit_test(test_gpt2_is_what_its_paper_says),
          cmocka_unit_test(test_layers_see_a_window_as_each_family_says),
          cmocka_unit_test(test_layers_without_rotary_positions_are_known),
          cmocka_unit_test(test_frequencies_are_scaled_by_their_type),
          cmocka_unit_test(test_yarn_is_a_ramp_and_scales_scores),
          cmocka_unit_test(test_both_dialects_are_one_model),
          cmocka_unit_test(test_what_decides_no_number_is_passed_over),
          cmocka_unit_test(test_the_hash_knows_every_key_that_decides_a_number),
          cmocka_unit_test(test_tensors_that_do_not_fit_are_named),
          cmocka_unit_test(test_buffers_of_old_files_are_passed_over))
