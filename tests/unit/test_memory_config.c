/* Memories in config.json: of a layer, after the last norm, around the model. What does not
 * go together is refused by one line that names key, value and what is allowed. */
#include "harness.h"

#include "lsp/json.h"
#include "lsp/model.h"

#define LAYERS(branches) "\"layers\": {\"branches\": [" branches "]}"
#define MERGED(how, branches)                                                          \
  "\"layers\": {\"merge\": \"" how "\", \"branches\": [" branches "]}"
#define GATED(more, branches)                                                          \
  "\"layers\": {\"merge\": \"memory_gate\", " more ", \"branches\": [" branches "]}"
#define FULL "{\"type\": \"full\"}"
#define LOCAL "{\"type\": \"local\", \"window\": 8}"
#define SINKS "{\"type\": \"fixed\", \"sinks\": 4}"
#define IN_WINDOW "{\"type\": \"fixed\", \"sinks\": 4, \"place\": \"window\"}"
#define GLOBAL "{\"type\": \"global\", \"tokens\": 2}"
#define RANDOM "{\"type\": \"random\", \"blocks\": 2, \"reach\": 9}"
#define CHOSEN "{\"type\": \"chosen\", \"blocks\": 2, \"reach\": 9}"
#define COMPRESSED "{\"type\": \"compressed\"}"
#define SELECTED "{\"type\": \"selected\", \"blocks\": 2}"
#define LEVELS "{\"type\": \"levels\", \"window\": 16, \"pool\": 4, \"levels\": 3}"
#define DYNAMIC "{\"type\": \"dynamic\", \"window\": 50, \"ramp\": 8}"
#define RECURRENCE "{\"type\": \"recurrence\", \"segment\": 8, \"memory\": 12}"
#define ALIKE                                                                          \
  "{\"type\": \"recurrence\", \"segment\": 8, \"memory\": 12, \"same_length\": true}"
#define LEARNED(more) "{\"type\": \"learned\"" more "}"
#define SLOTS ", \"slots\": 5"
#define STORE(numbers) "{\"type\": \"store\", " numbers "}"
#define NEAR "\"memory\": 9, \"segment\": 4, \"neighbours\": 2"
#define PAST(more) "{\"type\": \"compressed_past\"" more "}"
#define POOL ", \"pool\": 4"
#define COMPRESSIVE(more) "{\"type\": \"compressive\"" more "}"
#define SEGMENT ", \"segment\": 4"
#define TWO_SIDED "\"causal\": false, "
#define RELATIVE "\"position\": \"relative\", "
#define LAST(more) "\"last_memory\": {" more "}"
#define WRAP(numbers) "\"memory\": {" numbers "}"
#define INPUT "\"type\": \"input\", \"segment\": 8, \"rows\": 5"
#define TOKENS "\"type\": \"tokens\", \"segment\": 8, \"tokens\": 3"
#define ASSOCIATIVE                                                                    \
  "\"type\": \"associative\", \"segment\": 8, \"tokens\": 3, \"width\": 6"

static const char base[] =
    "{\"model_type\": \"longspan\", \"vocab_size\": 300, \"hidden_size\": 32,"
    " \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2,"
    " \"intermediate_size\": 48, " LAYERS(FULL) "}";

static const char llama[] =
    "{\"model_type\": \"llama\", \"vocab_size\": 300, \"hidden_size\": 32,"
    " \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"intermediate_size\": 48,"
    " \"max_position_embeddings\": 64, \"hidden_act\": \"silu\"}";

static const char gpt2[] =
    "{\"model_type\": \"gpt2\", \"vocab_size\": 300, \"n_embd\": 32, \"n_layer\": 2,"
    " \"n_head\": 4, \"n_positions\": 64}";

static const lsp_choices nothing = {.mem_len = -1, .segment = -1, .mem_init = -1};

/* Describes a model with other keys. */
static lsp_status describe(const char *model, const char *keys,
                           const lsp_choices *choices, lsp_model *m, lsp_failure *why) {
  char object[1024];
  memset(why, 0, sizeof *why);
  json_t *all = json_loads(model, 0, NULL);
  (void)snprintf(object, sizeof object, "{%s}", keys);
  json_t *other = json_loads(object, 0, NULL);
  if (all == NULL || other == NULL)
    fail_msg("not JSON: %s", object);
  assert_int_equal(json_object_update(all, other), 0);
  char *text = json_dumps(all, 0);
  assert_non_null(text);
  const lsp_status st = lsp_model_describe("dir", text, choices, m, why);
  free(text);
  json_decref(all);
  json_decref(other);
  return st;
}

static lsp_model good_of(const char *model, const char *keys,
                         const lsp_choices *choices) {
  lsp_model m;
  lsp_failure why;
  if (describe(model, keys, choices, &m, &why) != LSP_OK)
    fail_msg("%s: %s", keys, why.text);
  return m;
}

static lsp_model good(const char *keys) {
  return good_of(base, keys, &nothing);
}

static const char *fact(const lsp_model *m, const char *key) {
  for (int i = 0; i < m->facts; i++)
    if (strcmp(m->fact[i].key, key) == 0)
      return m->fact[i].value;
  return "(none)";
}

/* --- what is refused ------------------------------------------------------------- */

/* keys, and what the message says: key and value, what is allowed */
typedef struct {
  const char *keys, *value, *allowed;
} bad_keys;

static const bad_keys bad[] = {
    /* learned */
    {LAYERS(LEARNED("")), "branches[0].slots\" is missing", "add it"},
    {LAYERS(LEARNED(", \"slots\": 0")), "branches[0].slots\" is 0", "from 1 to 65536"},
    {LAYERS(LEARNED(", \"slots\": 65537")), "slots\" is 65537", "from 1 to 65536"},
    {LAYERS(LEARNED(SLOTS ", \"normalize\": \"l2\"")), "normalize\" is \"l2\"",
     "\"softmax\" or \"none\""},
    {LAYERS(LEARNED(SLOTS ", \"segment\": 4")), "segment\" is not known", "\"slots\""},
    {LAYERS(LOCAL ", " LEARNED(SLOTS ", \"normalize\": \"none\"")),
     "branches[1].normalize\" is \"none\"", "\"softmax\", since the layer merges"},
    {MERGED("memory_gate",
            LOCAL ", {\"type\": \"full\", \"normalize\": \"none\"}, " LEARNED(SLOTS)),
     "branches[1].normalize\" is \"none\"", "\"softmax\", since the layer merges"},
    {LAYERS(LEARNED(SLOTS) ", " LEARNED(SLOTS)), "branches[1].type\" is \"learned\"",
     "at most one branch of it"},
    {TWO_SIDED LAYERS(FULL ", " LEARNED(SLOTS)), "branches[1].type\" is \"learned\"",
     "since \"causal\" is false"},

    /* store */
    {LAYERS(STORE("\"segment\": 4, \"neighbours\": 2")), "memory\" is missing",
     "add it"},
    {LAYERS(STORE("\"memory\": -1, \"segment\": 4, \"neighbours\": 2")),
     "branches[0].memory\" is -1", "an integer from 0"},
    {LAYERS(STORE("\"memory\": 9, \"segment\": 0, \"neighbours\": 2")),
     "branches[0].segment\" is 0", "an integer from 1"},
    {LAYERS(STORE("\"memory\": 9, \"segment\": 4, \"neighbours\": 0")),
     "branches[0].neighbours\" is 0", "from 1 to 256"},
    {LAYERS(STORE("\"memory\": 9, \"segment\": 4, \"neighbours\": 257")),
     "branches[0].neighbours\" is 257", "from 1 to 256"},
    {LAYERS(STORE(NEAR ", \"keys\": \"turned\"")), "keys\" is \"turned\"",
     "\"plain\" or \"rotated\""},
    {LAYERS(STORE(NEAR ", \"similarity\": \"l2\"")), "similarity\" is \"l2\"",
     "\"scaled\" or \"cosine\""},
    {"\"position\": \"none\", " LAYERS(STORE(NEAR ", \"keys\": \"rotated\"")),
     "branches[0].keys\" is \"rotated\"",
     "\"plain\", since \"position\" is not \"rotary\""},
    {"\"score_cap\": 50, " LAYERS(STORE(NEAR)), "branches[0].type\" is \"store\"",
     "no \"score_cap\" in the model"},
    {MERGED("sum", STORE(NEAR) ", " STORE(NEAR)), "branches[1].type\" is \"store\"",
     "at most one branch of it"},
    {MERGED("sum", RANDOM ", " STORE(NEAR)), "branches[1].type\" is \"store\"",
     "no branch of type \"random\" in the layer"},
    {MERGED("gate", STORE(NEAR) ", " CHOSEN), "branches[0].type\" is \"store\"",
     "no branch of type \"chosen\" in the layer"},
    {MERGED("gate", COMPRESSED ", " SELECTED ", " STORE(NEAR)),
     "branches[2].type\" is \"store\"", "no branch of type \"selected\" in the layer"},
    {MERGED("gate", COMPRESSED ", " STORE(NEAR)), "branches[1].type\" is \"store\"",
     "no branch of type \"compressed\" in the layer"},
    {MERGED("gate", LEVELS ", " STORE(NEAR)), "branches[1].type\" is \"store\"",
     "no branch of type \"levels\" in the layer"},
    {MERGED("gate", RECURRENCE ", " PAST(POOL) ", " STORE(NEAR)),
     "branches[2].type\" is \"store\"",
     "no branch of type \"compressed_past\" in the layer"},
    {MERGED("gate", COMPRESSIVE(SEGMENT) ", " STORE(NEAR)),
     "branches[1].type\" is \"store\"",
     "no branch of type \"compressive\" in the layer"},
    {LAYERS(LOCAL ", " SINKS ", " STORE(NEAR)), "branches[2].type\" is \"store\"",
     "no branch of type \"fixed\" in one softmax with it"},
    {LAYERS(GLOBAL ", " LOCAL ", " STORE(NEAR)), "branches[2].type\" is \"store\"",
     "no branch of type \"global\" in one softmax with it"},
    {LAYERS(FULL ", " STORE(NEAR)), "branches[1].type\" is \"store\"",
     "no branch of type \"full\" in one softmax with it"},
    {LAYERS(STORE(NEAR) ", " DYNAMIC), "\"layers.merge\" is missing",
     "a branch of type \"dynamic\" is in no softmax with others"},
    {TWO_SIDED LAYERS(STORE(NEAR)), "branches[0].type\" is \"store\"",
     "since \"causal\" is false"},

    /* compressed past */
    {LAYERS(RECURRENCE ", " PAST("")), "branches[1].pool\" is missing",
     "a power of two from 2 to 64"},
    {LAYERS(RECURRENCE ", " PAST(", \"pool\": 6")), "branches[1].pool\" is 6",
     "a power of two from 2 to 64"},
    {LAYERS(RECURRENCE ", " PAST(", \"pool\": 8")), "branches[1].pool\" is 8",
     "divides segment and memory of the recurrence beside it, which are 8 and 12"},
    {LAYERS(RECURRENCE ", " PAST(POOL ", \"rows\": -1")), "rows\" is -1",
     "an integer from 0"},
    {LAYERS(RECURRENCE ", " PAST(POOL ", \"compress\": \"max\"")),
     "compress\" is \"max\"", "\"mean\" or \"convolution\""},
    {LAYERS(PAST(POOL)), "branches[0].type\" is \"compressed_past\"",
     "one branch of type \"recurrence\" beside it"},
    {LAYERS(PAST(POOL) ", " LOCAL), "branches[0].type\" is \"compressed_past\"",
     "one branch of type \"recurrence\" beside it"},
    {LAYERS(PAST(POOL) ", " ALIKE), "branches[0].type\" is \"compressed_past\"",
     "\"same_length\" false"},
    {LAYERS(RECURRENCE ", " RECURRENCE ", " PAST(POOL)),
     "branches[2].type\" is \"compressed_past\"", "one branch of type \"recurrence\""},
    {LAYERS(RECURRENCE ", " PAST(POOL) ", " PAST(POOL)),
     "branches[2].type\" is \"compressed_past\"", "at most one branch of it"},
    {RELATIVE "\"clamp_len\": 9, " LAYERS(RECURRENCE ", " PAST(POOL)),
     "is \"compressed_past\"", "one that goes with \"position\" \"relative\""},
    {TWO_SIDED LAYERS(PAST(POOL)), "is \"compressed_past\"",
     "since \"causal\" is false"},

    /* compressive */
    {LAYERS(COMPRESSIVE("")), "branches[0].segment\" is missing", "add it"},
    {LAYERS(COMPRESSIVE(", \"segment\": 0")), "segment\" is 0", "an integer from 1"},
    {LAYERS(COMPRESSIVE(SEGMENT ", \"rule\": \"sum\"")), "rule\" is \"sum\"",
     "\"linear\" or \"delta\""},
    {LAYERS(COMPRESSIVE(SEGMENT ", \"heads\": \"all\"")), "heads\" is \"all\"",
     "\"grouped\" or \"tiled\""},
    {LAYERS(LOCAL ", " COMPRESSIVE(SEGMENT)), "\"layers.merge\" is missing",
     "\"gate\", \"sum\", \"input_gate\", \"concat\" or \"memory_gate\", since a branch "
     "of type \"compressive\" is in no softmax with others"},
    {MERGED("sum", COMPRESSIVE(SEGMENT) ", " COMPRESSIVE(SEGMENT)),
     "branches[1].type\" is \"compressive\"", "at most one branch of it"},
    {TWO_SIDED LAYERS(COMPRESSIVE(SEGMENT)), "is \"compressive\"",
     "since \"causal\" is false"},

    /* the gate between memory and attention */
    {MERGED("memory_gate", LOCAL), "\"layers.merge\" is \"memory_gate\"",
     "one branch that is a memory (learned, store or compressive), not 0"},
    {MERGED("memory_gate", LEARNED(SLOTS)), "\"layers.merge\" is \"memory_gate\"",
     "beside one or more that are none, not 0"},
    {MERGED("memory_gate", LOCAL ", " LEARNED(SLOTS) ", " STORE(NEAR)),
     "\"layers.merge\" is \"memory_gate\"", "not 2, beside"},
    {MERGED("memory_gate", LOCAL ", " LEVELS ", " LEARNED(SLOTS)),
     "\"layers.merge\" is \"memory_gate\"",
     "since a branch of type \"levels\" is in no softmax with others"},
    {MERGED("memory_gate", COMPRESSED ", " SELECTED ", " LEARNED(SLOTS)),
     "\"layers.merge\" is \"memory_gate\"", "is in no softmax with others"},
    {MERGED("memory_gate", FULL ", " LOCAL ", " IN_WINDOW ", " LEARNED(SLOTS)),
     "\"layers.branches\"", "nothing else (but the memory)"},
    {GATED("\"gate_of\": \"both\"", LOCAL ", " LEARNED(SLOTS)),
     "\"layers.gate_of\" is \"both\"", "\"memory\" or \"others\""},
    {GATED("\"gate_empty\": \"zero\"", LOCAL ", " LEARNED(SLOTS)),
     "\"layers.gate_empty\" is \"zero\"", "\"mix\" or \"skip\""},
    {"\"layers\": {\"gate_of\": \"memory\", \"branches\": [" LOCAL "]}",
     "\"layers.gate_of\" is \"memory\"", "only with \"merge\" \"memory_gate\""},
    {"\"layers\": {\"merge\": \"gate\", \"gate_empty\": \"mix\", \"branches\": [" LOCAL
     "]}",
     "\"layers.gate_empty\" is \"mix\"", "only with \"merge\" \"memory_gate\""},

    /* after the last norm */
    {"\"last_memory\": 5", "\"last_memory\" is 5", "an object: {\"slots\": ...}"},
    {LAST(""), "\"last_memory.slots\" is missing", "add it"},
    {LAST("\"slots\": 65537"), "\"last_memory.slots\" is 65537", "from 1 to 65536"},
    {LAST("\"slots\": 5, \"normalize\": \"l1\""), "last_memory.normalize\" is \"l1\"",
     "\"softmax\" or \"none\""},
    {LAST("\"slots\": 5, \"merge\": \"sum\""), "last_memory.merge\" is \"sum\"",
     "\"add\", \"gate\" or \"concat\""},
    {LAST("\"slots\": 5, \"scale\": 0"), "last_memory.scale\" is 0", "a number from"},
    {LAST("\"slots\": 5, \"width\": 8"), "\"last_memory.width\" is not known",
     "\"slots\""},
    {LAST("\"slots\": 5, \"project\": true"), "last_memory.project\" is true",
     "only with \"merge\" \"concat\""},
    {LAST("\"slots\": 5, \"merge\": \"concat\", \"project\": 1"), "project\" is 1",
     "true or false"},
    {LAST("\"slots\": 5, \"merge\": \"concat\", \"project\": false"),
     "\"last_memory.project\" is false", "\"tie_word_embeddings\" false"},

    /* around the model */
    {"\"memory\": \"input\"", "\"memory\" is \"input\"", "an object: {\"type\": ...}"},
    {"\"longspan_memory\": {}", "\"longspan_memory\" is not known", "\"memory\""},
    {WRAP("\"segment\": 8"), "\"memory.type\" is missing",
     "\"input\", \"associative\" or \"tokens\""},
    {WRAP("\"type\": \"rows\""), "\"memory.type\" is \"rows\"",
     "\"input\", \"associative\" or \"tokens\""},
    {WRAP("\"type\": \"input\", \"rows\": 5"), "\"memory.segment\" is missing",
     "add it"},
    {WRAP("\"type\": \"input\", \"segment\": 0, \"rows\": 5"), "segment\" is 0",
     "from 1 to 1073741824"},
    {WRAP("\"type\": \"input\", \"segment\": 8"), "\"memory.rows\" is missing",
     "add it"},
    {WRAP("\"type\": \"input\", \"segment\": 8, \"rows\": -1"), "memory.rows\" is -1",
     "from 0 to 1073741824"},
    {WRAP(INPUT ", \"tokens\": 3"), "\"memory.tokens\" is not known", "\"rows\""},
    {WRAP("\"type\": \"tokens\", \"segment\": 8"), "\"memory.tokens\" is missing",
     "add it"},
    {WRAP("\"type\": \"tokens\", \"segment\": 8, \"tokens\": 0"), "tokens\" is 0",
     "from 1 to 65536"},
    {WRAP(TOKENS ", \"width\": 3"), "\"memory.width\" is not known", "\"tokens\""},
    {WRAP("\"type\": \"associative\", \"segment\": 8, \"tokens\": 3"),
     "\"memory.width\" is missing", "add it"},
    {WRAP("\"type\": \"associative\", \"segment\": 8, \"tokens\": 3, \"width\": 0"),
     "\"memory.width\" is 0", "from 1 to 65536"},
    {WRAP(ASSOCIATIVE ", \"nu\": 0"), "\"memory.nu\" is 0", "from 1 to 64"},
    {TWO_SIDED WRAP(TOKENS), "\"memory.type\" is \"tokens\"",
     "\"input\", since \"causal\" is false"},
    {TWO_SIDED WRAP(ASSOCIATIVE), "\"memory.type\" is \"associative\"",
     "\"input\", since \"causal\" is false"},
    {"\"prefix\": [7], " WRAP(TOKENS), "\"prefix\" is [7]",
     "none, since the tokens of a memory stand around every segment (\"memory\")"},
    {"\"prefix\": [7], " WRAP(ASSOCIATIVE), "\"prefix\" is [7]", "none, since"},
    {MERGED("sum", LOCAL ", " STORE(NEAR)) ", " WRAP(INPUT),
     "\"memory.type\" is \"input\"",
     "layer 0 has a branch of type \"store\", a memory of the whole text"},
    {MERGED("sum", LOCAL ", " COMPRESSIVE(SEGMENT)) ", " WRAP(TOKENS),
     "\"memory.type\" is \"tokens\"", "layer 0 has a branch of type \"compressive\""},
    {"\"position\": \"learned\", \"max_position\": 13, \"prefix\": [7], " WRAP(INPUT),
     "\"memory.segment\" is 8", "fit the 13 positions of the model: they have 14 rows"},
    {"\"position\": \"learned\", \"max_position\": 13, " WRAP(TOKENS),
     "\"memory.segment\" is 8", "they have 14 rows"},
    {"\"position\": \"learned\", \"max_position\": 10, " WRAP(ASSOCIATIVE),
     "\"memory.segment\" is 8", "they have 11 rows"},
};

static void expect_refused(const char *model, const bad_keys *is) {
  lsp_model m;
  lsp_failure why;
  const lsp_status st = describe(model, is->keys, &nothing, &m, &why);
  if (st != LSP_E_FORMAT)
    fail_msg("%s: status %d: %s", is->keys, (int)st, why.text);
  expect_message(&why, "dir/config.json: ");
  expect_message(&why, is->value);
  expect_message(&why, is->allowed);
  assert_null(strchr(why.text, '\n'));
  assert_null(strstr(why.text, " ... ")); /* nothing was left out */
  lsp_model_close(&m);
}

static void test_what_does_not_go_together_is_named_with_what_is_allowed(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    expect_refused(base, &bad[i]);
}

static void refused(const char *model, const char *keys, lsp_choices choices,
                    const char *words) {
  lsp_model m;
  lsp_failure why;
  assert_int_equal(describe(model, keys, &choices, &m, &why), LSP_E_USAGE);
  expect_message(&why, words);
  lsp_model_close(&m);
}

static lsp_choices context(const char *words) {
  lsp_choices c = nothing;
  assert_int_equal(lsp_context_parse(words, &c.context, NULL), LSP_OK);
  return c;
}

static void test_options_that_change_frames_are_refused(void **state) {
  (void)state;
  refused(
      base, WRAP(INPUT), context("chunks:4"),
      "--context chunks:4: the model of dir/config.json has a memory around it, and "
      "reads a text in segments of 8 tokens already");
  refused(llama, "\"longspan_memory\": {" TOKENS "}", context("chunks:9,half"),
          "has a memory around it");
  refused(base, MERGED("sum", LOCAL ", " COMPRESSIVE(SEGMENT)), context("chunks:4"),
          "layer 0 of dir/config.json has a compressive memory");
  const lsp_choices window = context("window:4"), full = context("full");
  lsp_model m = good_of(base, WRAP(INPUT), &window);
  assert_true(m.layer[1].branch[0].kind == LSP_PATTERN_LOCAL && m.wrapper.segment == 8);
  lsp_model_close(&m);
  m = good_of(base, WRAP(INPUT), &full);
  assert_int_equal(m.layer[1].branch[0].kind, LSP_PATTERN_FULL);
  lsp_model_close(&m);
}

/* --- what is read ---------------------------------------------------------------- */

static void test_numbers_of_memories_are_read(void **state) {
  (void)state;
  lsp_model m = good(
      MERGED("gate", LEARNED(SLOTS ", \"normalize\": \"none\"") ", " STORE(
                         NEAR ", \"keys\": \"rotated\", \"similarity\": \"cosine\"")));
  const lsp_pattern *p = m.layer[1].branch;
  assert_true(p[0].kind == LSP_PATTERN_LEARNED && p[0].slots == 5);
  assert_int_equal(p[0].normalize, LSP_NORMALIZE_NONE);
  assert_true(p[1].kind == LSP_PATTERN_STORE && p[1].memory == 9 && p[1].segment == 4);
  assert_true(p[1].neighbours == 2 && p[1].rotated && p[1].cosine);
  lsp_model_close(&m);
  m = good(MERGED("sum",
                  COMPRESSIVE(SEGMENT ", \"rule\": \"delta\", \"heads\": \"tiled\"")));
  p = m.layer[0].branch;
  assert_true(p->kind == LSP_PATTERN_COMPRESSIVE && p->segment == 4);
  assert_true(p->delta && p->tiled);
  lsp_model_close(&m);
  m = good(LAYERS(STORE("\"memory\": 0, \"segment\": 1, \"neighbours\": 256")));
  p = m.layer[0].branch;
  assert_true(p->memory == 0 && !p->rotated && !p->cosine && p->neighbours == 256);
  assert_int_equal(lsp_layer_reach(&m.layer[0]), LSP_REACH_ALL);
  lsp_model_close(&m);
}

/* Compressed are rows that have left the recurrence beside it, as options make it. */
static void test_a_compressed_past_follows_the_recurrence(void **state) {
  (void)state;
  static const char keys[] =
      LAYERS(PAST(POOL ", \"rows\": 7, \"compress\": \"convolution\"") ", " RECURRENCE);
  lsp_choices choices = nothing;
  lsp_model m = good(keys);
  const lsp_layer *l = &m.layer[1];
  assert_true(l->branch[0].segment == 8 && l->branch[0].memory == 12);
  assert_true(l->branch[0].block_reach == 7 && l->branch[0].convolved);
  assert_true(l->compress.rows == 32 && l->compress.cols == 4 * 32);
  lsp_model_close(&m);
  choices.mem_len = 20;
  choices.segment = 4;
  m = good_of(base, keys, &choices);
  l = &m.layer[0];
  assert_true(l->branch[0].segment == 4 && l->branch[0].memory == 20);
  assert_true(l->branch[1].segment == 4 && l->branch[1].memory == 20);
  lsp_model_close(&m);
  choices.mem_len = 10;
  refused(base, keys, choices, "has a pool of 4 rows; use multiples of it");
}

static void test_a_gate_weighs_one_memory_and_the_rest(void **state) {
  (void)state;
  lsp_view view[LSP_BRANCHES_MAX];
  lsp_model m = good(GATED("\"gate_of\": \"others\", \"gate_empty\": \"skip\"",
                           STORE(NEAR) ", " LOCAL ", " IN_WINDOW));
  const lsp_layer *l = &m.layer[1];
  assert_true(l->merge == LSP_MERGE_MEMORY && l->gate_others && l->gate_skips);
  assert_int_equal(lsp_layer_views(l, view), 2);
  assert_true(view[0].runs == 1 && view[0].fixed == &l->branch[2]);
  assert_true(view[0].store == NULL && view[1].store == &l->branch[0]);
  assert_true(view[1].runs == 0 && view[1].fixed == NULL);
  lsp_model_close(&m);
  m = good(MERGED("memory_gate", LEVELS ", " COMPRESSIVE(SEGMENT)));
  l = &m.layer[0];
  assert_true(!l->gate_others && !l->gate_skips);
  assert_int_equal(lsp_layer_views(l, view), 2);
  assert_true(view[0].pooled == &l->branch[0] && view[1].compressive == &l->branch[1]);
  lsp_model_close(&m);
  m = good(MERGED("concat", LOCAL ", " SINKS ", " LEARNED(SLOTS)));
  assert_int_equal(m.layer[0].output.matrix.cols, 3 * 32);
  assert_int_equal(lsp_layer_views(&m.layer[0], view), 3);
  lsp_model_close(&m);
}

static void test_a_memory_after_the_last_norm_is_read(void **state) {
  (void)state;
  lsp_model m = good(LAST("\"slots\": 5"));
  assert_true(m.last.slots == 5 && m.last.merge == LSP_LAST_ADD);
  assert_int_equal(m.last.normalize, LSP_NORMALIZE_SOFTMAX);
  assert_true(m.last.scale > 0.1767766f && m.last.scale < 0.1767768f); /* 32^-0.5 */
  lsp_model_close(&m);
  m = good(LAST("\"slots\": 5, \"merge\": \"gate\", \"normalize\": \"none\", "
                "\"scale\": 0.25"));
  assert_true(m.last.merge == LSP_LAST_GATE && m.last.scale == 0.25f);
  assert_int_equal(m.last.normalize, LSP_NORMALIZE_NONE);
  lsp_model_close(&m);
  m = good(LAST("\"slots\": 5, \"merge\": \"concat\", \"scale\": null"));
  assert_true(m.last.merge == LSP_LAST_PROJECT && m.last.project.cols == 64);
  lsp_model_close(&m);
  m = good("\"tie_word_embeddings\": false, " LAST(
      "\"slots\": 5, \"merge\": \"concat\", \"project\": false"));
  assert_true(m.last.merge == LSP_LAST_CONCAT && m.last.project.rows == 0);
  lsp_model_close(&m);
  m = good("\"gated\": true");
  assert_true(m.last.slots == 0 && m.wrapper.kind == LSP_WRAP_NONE);
  lsp_model_close(&m);
}

static void test_a_memory_around_the_model_is_read(void **state) {
  (void)state;
  lsp_model m = good(TWO_SIDED "\"prefix\": [7], " WRAP(INPUT));
  assert_true(m.wrapper.kind == LSP_WRAP_INPUT && m.wrapper.rows == 5);
  assert_true(m.wrapper.segment == 8 && m.segment == 8 && m.wrapper.layer == NULL);
  lsp_model_close(&m);
  m = good(LAYERS(RECURRENCE) ", " WRAP(TOKENS));
  assert_true(m.wrapper.kind == LSP_WRAP_TOKENS && m.wrapper.rows == 3);
  assert_int_equal(m.segment, 8);
  assert_string_equal(fact(&m, "memory"), "(none)"); /* the config's hash has it */
  lsp_model_close(&m);
  m = good(WRAP(ASSOCIATIVE));
  assert_true(m.wrapper.kind == LSP_WRAP_ASSOCIATIVE && m.wrapper.nu == 3);
  assert_true(m.wrapper.width == 6 && m.wrapper.layer[1].query.rows == 6);
  assert_true(m.wrapper.layer[1].value.rows == 32 && m.wrapper.layer[0].key.cols == 32);
  lsp_model_close(&m);
  m = good("\"position\": \"learned\", \"max_position\": 14, " WRAP(TOKENS));
  assert_int_equal(m.positions_most, 14);
  lsp_model_close(&m);
}

/* --- a store for a model that has none ------------------------------------------- */

static lsp_choices store(const char *words) {
  lsp_choices c = nothing;
  lsp_failure why = {0};
  if (lsp_recall_parse(words, &c.recall, &why) != LSP_OK)
    fail_msg("%s", why.text);
  return c;
}

static void test_layers_are_given_a_store(void **state) {
  (void)state;
  static const char *const models[] = {base, llama, gpt2};
  const lsp_choices choices = store("layers:1,k:32,gate:0.2,memory:100,segment:64");
  for (int i = 0; i < 3; i++) {
    lsp_view view[LSP_BRANCHES_MAX];
    lsp_model m = good_of(models[i], "", &choices),
              bare = good_of(models[i], "", &nothing);
    const lsp_layer *l = &m.layer[1];
    assert_true(m.layer[0].branches == 1 && l->branches == 2);
    assert_true(l->merge == LSP_MERGE_MEMORY && m.layer[0].merge == LSP_MERGE_SOFTMAX);
    assert_int_equal(lsp_layer_views(l, view), 2);
    assert_true(view[0].run[0] == &l->branch[0] && view[1].store == &l->branch[1]);
    assert_true(l->branch[1].memory == 100 && l->branch[1].segment == 64);
    assert_true(l->branch[1].neighbours == 32 && !l->branch[1].rotated);
    for (int h = 0; h < 4; h++) /* log(0.2 / 0.8) */
      assert_true(l->memory_gate[h] > -1.386295f && l->memory_gate[h] < -1.386293f);
    assert_true(!l->gate_others && !l->gate_skips);
    assert_string_equal(fact(&m, "store"),
                        "layers:1,k:32,gate:0.2,memory:100,segment:64,keys:plain");
    assert_int_equal(lsp_model_floats(&m),
                     lsp_model_floats(&bare)); /* no tensor more */
    lsp_model_close(&m);
    lsp_model_close(&bare);
  }
}

/* A window with sinks keeps them, as the other side of the gate. */
static void test_a_store_goes_beside_a_window_with_sinks(void **state) {
  (void)state;
  lsp_view view[LSP_BRANCHES_MAX];
  lsp_choices choices = store("layers:0-1,k:4,gate:0.5,keys:rotated");
  assert_int_equal(lsp_context_parse("window:16,sinks:4", &choices.context, NULL),
                   LSP_OK);
  lsp_model m = good_of(llama, "", &choices);
  const lsp_layer *l = &m.layer[1];
  assert_int_equal(lsp_layer_views(l, view), 2);
  assert_true(view[0].runs == 1 && view[0].fixed->in_window && view[0].store == NULL);
  assert_true(view[1].store->rotated && view[1].store->memory == 0);
  assert_true(l->memory_gate[3] == 0);
  assert_string_equal(fact(&m, "context"), "window:16,sinks:4");
  lsp_model_close(&m);
}

static void test_layers_that_take_no_store_are_named(void **state) {
  (void)state;
  static const char words[] = "layers:1,k:4,gate:0.5";
  static const struct {
    const char *keys, *words;
  } is[] = {
      {TWO_SIDED LAYERS(FULL), "looks to both sides"},
      {WRAP(INPUT), "has a memory around it"},
      {MERGED("gate", LOCAL ", " SINKS),
       "layer 1 of dir/config.json has no one softmax"},
      {LAYERS(RANDOM), "has a branch of type \"random\""},
      {LAYERS(LEVELS), "has a branch of type \"levels\""},
      {LAYERS(LEARNED(SLOTS) ", " LOCAL), "has a branch of type \"learned\""},
      {LAYERS(STORE(NEAR)), "has a branch of type \"store\""},
      {LAYERS(COMPRESSIVE(SEGMENT)), "has a branch of type \"compressive\""},
      {"\"score_cap\": 30", "the scores of layer 1 of dir/config.json are capped"}};
  for (size_t i = 0; i < sizeof is / sizeof is[0]; i++)
    refused(base, is[i].keys, store(words), is[i].words);
  refused(base, "", store("layers:0+2,k:4,gate:0.5"), "there is no layer 2 in");
  refused(gpt2, "", store("layers:0,k:4,gate:0.5,keys:rotated"),
          "layer 0 of dir/config.json has no rotary positions");
}

/* --- of other families ----------------------------------------------------------- */

static void test_models_of_a_library_may_be_wrapped(void **state) {
  (void)state;
  static const char *const models[] = {llama, gpt2};
  for (int i = 0; i < 2; i++) {
    lsp_model m = good_of(models[i], "\"longspan_memory\": {" TOKENS "}", &nothing);
    assert_true(m.wrapper.kind == LSP_WRAP_TOKENS && m.segment == 8);
    assert_non_null(m.no_bos);
    lsp_model input = good_of(models[i], "\"longspan_memory\": {" INPUT "}", &nothing);
    assert_true(input.wrapper.rows == 5 && input.no_bos == NULL);
    assert_string_equal(fact(&m, "memory"), "tokens,segment:8,tokens:3");
    assert_string_equal(fact(&input, "memory"), "input,segment:8,rows:5");
    lsp_model_close(&m);
    lsp_model_close(&input);
  }
  lsp_model m = good_of(llama, "\"memory\": 7", &nothing); /* a tool's key */
  assert_int_equal(m.wrapper.kind, LSP_WRAP_NONE);
  lsp_model_close(&m);
}

#define OF_LIBRARY(numbers) "\"longspan_memory\": {" numbers "}"

static void test_what_no_library_model_can_be_is_refused(void **state) {
  (void)state;
  static const bad_keys long_frames = {
      OF_LIBRARY("\"type\": \"input\", \"segment\": 60, \"rows\": 5"),
      "\"longspan_memory.segment\" is 60", "trained for (they have 65 rows)"};
  static const bad_keys no_positions = {
      OF_LIBRARY("\"type\": \"tokens\", \"segment\": 60, \"tokens\": 3"),
      "\"longspan_memory.segment\" is 60", "64 positions of the model: they have 66"};
  static const bad_keys unknown = {OF_LIBRARY("\"type\": \"tokens\", \"size\": 60"),
                                   "\"longspan_memory.size\" is not known",
                                   "\"segment\""};
  static const char transfo_xl[] =
      "{\"model_type\": \"transfo-xl\", \"vocab_size\": 300, \"cutoffs\": [], "
      "\"d_model\": 32, \"d_embed\": 32, \"n_head\": 4, \"d_head\": 8, \"d_inner\": "
      "48, "
      "\"div_val\": 1, \"n_layer\": 2, \"mem_len\": 8, \"clamp_len\": 9, "
      "\"tgt_len\": 8}";
  static const bad_keys own = {OF_LIBRARY(INPUT), "\"longspan_memory\" is {",
                               "has a memory of its own (\"mem_len\")"};
  const lsp_choices full = context("full");
  expect_refused(llama, &long_frames);
  expect_refused(gpt2, &no_positions);
  expect_refused(llama, &unknown);
  expect_refused(transfo_xl, &own);
  lsp_model m = good_of(llama, long_frames.keys, &full);
  assert_int_equal(m.wrapper.segment, 60);
  lsp_model_close(&m);
}

LSP_TESTS(
    cmocka_unit_test(test_what_does_not_go_together_is_named_with_what_is_allowed),
    cmocka_unit_test(test_options_that_change_frames_are_refused),
    cmocka_unit_test(test_numbers_of_memories_are_read),
    cmocka_unit_test(test_a_compressed_past_follows_the_recurrence),
    cmocka_unit_test(test_a_gate_weighs_one_memory_and_the_rest),
    cmocka_unit_test(test_a_memory_after_the_last_norm_is_read),
    cmocka_unit_test(test_a_memory_around_the_model_is_read),
    cmocka_unit_test(test_layers_are_given_a_store),
    cmocka_unit_test(test_a_store_goes_beside_a_window_with_sinks),
    cmocka_unit_test(test_layers_that_take_no_store_are_named),
    cmocka_unit_test(test_models_of_a_library_may_be_wrapped),
    cmocka_unit_test(test_what_no_library_model_can_be_is_refused))
