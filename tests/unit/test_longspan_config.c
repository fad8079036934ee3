/* config.json of the family longspan: every value that cannot be run is refused by one
 * line that names key, value and what is allowed; what can be run is described. */
#include "harness.h"

#include "lsp/json.h"
#include "lsp/model.h"
#include "lsp/options.h"

#include "../../src/model/family.h"

#include <math.h>

#define LAYERS(branches) "\"layers\": {\"branches\": [" branches "]}"
#define MERGED(how, branches)                                                          \
  "\"layers\": {\"merge\": \"" how "\", \"branches\": [" branches "]}"
#define LOCAL(window) "{\"type\": \"local\", \"window\": " window "}"
#define SINKS(more) "{\"type\": \"fixed\", \"sinks\": 4" more "}"
#define TWO_SIDED "\"causal\": false, "
#define RELATIVE "\"position\": \"relative\", "
#define GLOBAL(more) "{\"type\": \"global\"" more "}"
#define RANDOM(numbers) "{\"type\": \"random\", " numbers "}"
#define CHOSEN(numbers) "{\"type\": \"chosen\", " numbers "}"
#define FEW "\"blocks\": 2, \"reach\": 9"
#define COMPRESSED(more) "{\"type\": \"compressed\"" more "}"
#define SELECTED(blocks) "{\"type\": \"selected\", \"blocks\": " blocks "}"
#define LEVELS(numbers) "{\"type\": \"levels\", " numbers "}"
#define THREE "\"window\": 16, \"pool\": 4, \"levels\": 3"
#define DYNAMIC(numbers) "{\"type\": \"dynamic\", " numbers "}"
#define SOFT "\"window\": 50, \"ramp\": 8"
#define FULL "{\"type\": \"full\"}"
#define RECURRENCE "{\"type\": \"recurrence\", \"segment\": 6, \"memory\": 10}"

#define LEARNED "{\"type\": \"learned\", \"slots\": 5}"
#define STORE(more)                                                                    \
  "{\"type\": \"store\", \"memory\": 9, \"segment\": 4, \"neighbours\": 2" more "}"
#define PAST(more) "{\"type\": \"compressed_past\", \"pool\": 2" more "}"
#define COMPRESSIVE(more) "{\"type\": \"compressive\", \"segment\": 4" more "}"
#define LAST(more) "\"last_memory\": {\"slots\": 7" more "}"
#define UNTIED "\"tie_word_embeddings\": false"
#define INPUT(rows)                                                                    \
  "\"memory\": {\"type\": \"input\", \"segment\": 8, \"rows\": " rows "}"
#define TOKENS "\"memory\": {\"type\": \"tokens\", \"segment\": 8, \"tokens\": 3}"
#define ASSOCIATIVE(more)                                                              \
  "\"memory\": {\"type\": \"associative\", \"segment\": 8, \"tokens\": 3, "            \
  "\"width\": 6" more "}"

static const char base[] =
    "{\"model_type\": \"longspan\", \"vocab_size\": 300, \"hidden_size\": 32,"
    " \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2,"
    " \"intermediate_size\": 48, " LAYERS("{\"type\": \"full\"}") "}";

static const lsp_choices nothing = {.mem_len = -1, .segment = -1, .mem_init = -1};

/* Describes base with other keys. */
static lsp_status describe(const char *keys, const lsp_choices *choices, lsp_model *m,
                           lsp_failure *why) {
  char object[1024];
  memset(why, 0, sizeof *why);
  json_t *all = json_loads(base, 0, NULL);
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

static lsp_model good_with(const char *keys, const lsp_choices *choices) {
  lsp_model m;
  lsp_failure why;
  if (describe(keys, choices, &m, &why) != LSP_OK)
    fail_msg("%s: %s", keys, why.text);
  return m;
}

static lsp_model good(const char *keys) {
  return good_with(keys, &nothing);
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
    {"\"vocab_size\": null", "\"vocab_size\" is null", "add it"},
    {"\"vocab_size\": 0", "\"vocab_size\" is 0", "from 1 to 2147483647"},
    {"\"vocab_size\": 2147483648", "is 2147483648", "from 1 to 2147483647"},
    {"\"vocab_size\": \"300\"", "\"vocab_size\" is \"300\"", "an integer from 1"},
    {"\"hidden_size\": null", "\"hidden_size\" is null", "add it"},
    {"\"hidden_size\": 32.5", "\"hidden_size\" is 32.5", "an integer from 1"},
    {"\"hidden_size\": -32", "\"hidden_size\" is -32", "an integer from 1"},
    {"\"num_hidden_layers\": 4097", "\"num_hidden_layers\" is 4097", "from 1 to 4096"},
    {"\"num_hidden_layers\": true", "\"num_hidden_layers\" is true", "from 1 to 4096"},
    {"\"num_attention_heads\": 0", "\"num_attention_heads\" is 0", "from 1 to 4096"},
    {"\"num_key_value_heads\": 3", "\"num_key_value_heads\" is 3",
     "a divisor of num_attention_heads, which is 4"},
    {"\"num_key_value_heads\": 8", "\"num_key_value_heads\" is 8",
     "a divisor of num_attention_heads, which is 4"},
    {"\"hidden_size\": 33", "\"head_dim\" is missing", "no multiple"},
    {"\"head_dim\": 0", "\"head_dim\" is 0", "from 1 to 4096"},
    {"\"hidden_size\": 32768", "\"head_dim\" is missing", "at most 4096"},
    {"\"intermediate_size\": null", "\"intermediate_size\" is null", "add it"},
    {"\"norm\": \"batch\"", "\"norm\" is \"batch\"", "\"layer\" or \"rms\""},
    {"\"norm_place\": \"in\"", "is \"in\"", "\"pre\", \"post\" or \"both\""},
    {"\"norm_bias\": 1", "\"norm_bias\" is 1", "true or false"},
    {"\"norm_eps\": 0", "\"norm_eps\" is 0", "a number from 1.17549e-38 to 1"},
    {"\"norm_eps\": \"1e-5\"", "\"norm_eps\" is \"1e-5\"", "a number from"},
    {"\"norm_eps\": 1e300", "\"norm_eps\" is 1.0", "a number from"},
    {"\"position\": \"sin\"", "\"position\" is \"sin\"",
     "\"relative\", \"rotary\", \"learned\", \"alibi\" or \"none\""},
    {"\"rotary_theta\": 1", "\"rotary_theta\" is 1", "a number above 1"},
    {"\"rotary_theta\": -3", "\"rotary_theta\" is -3", "a number from 1"},
    {"\"rotary_width\": 3", "\"rotary_width\" is 3", "an even number from 2 to 8"},
    {"\"rotary_width\": 10", "\"rotary_width\" is 10", "an even number from 2 to 8"},
    {"\"rotary_width\": 0", "\"rotary_width\" is 0", "an integer from 1"},
    {"\"head_dim\": 7", "\"rotary_width\" is missing", "an even number from 2 to 7"},
    {"\"rotary_pairs\": \"odd\"", "is \"odd\"", "\"half\" or \"adjacent\""},
    {"\"position\": \"learned\"", "\"max_position\" is missing", "is \"learned\""},
    {"\"position\": \"learned\", \"max_position\": 0", "\"max_position\" is 0",
     "from 1 to 2147483647"},
    {"\"position\": \"learned\", \"max_position\": 2, \"prefix\": [0, 0]",
     "\"max_position\" is 2", "more than the 2 rows of the prefix"},
    {"\"position\": \"relative\", \"hidden_size\": 33, \"head_dim\": 8",
     "\"hidden_size\" is 33", "an even number"},
    {"\"clamp_len\": -1", "\"clamp_len\" is -1", "from 0 to"},
    {"\"query_key_norm\": \"yes\"", "\"query_key_norm\" is \"yes\"", "true or false"},
    {"\"attention_scale\": 0", "\"attention_scale\" is 0", "a number from 1.17549e-38"},
    {"\"score_cap\": -50", "\"score_cap\" is -50", "a number from 0"},
    {"\"logit_cap\": 1e-300", "\"logit_cap\" is 1", "float32"},
    {"\"embedding_scale\": 1e60", "\"embedding_scale\" is", "a number from"},
    {"\"activation\": \"tanh\"", "is \"tanh\"",
     "\"relu\", \"gelu\", \"gelu_tanh\" or \"silu\""},
    {"\"tokenizer\": \"bytes\"", "\"vocab_size\" is 300", "256, since tokenizer"},
    {"\"tokenizer\": \"bpe\", \"vocab_size\": 256", "\"tokenizer\" is \"bpe\"",
     "\"bytes\""},
    {"\"prefix\": [1, 300]", "\"prefix\"[1] is 300", "from 0 to 299"},
    {"\"prefix\": 7", "\"prefix\" is 7", "a list of integers"},
    {"\"prefix\": [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]",
     "\"prefix\" has 33 entries", "at most 32"},
    {"\"rope_theta\": 5", "\"rope_theta\" is not known", "\"rotary_theta\""},
    {"\"sliding_window\": 5", "\"sliding_window\" is not known", "\"layers\""},

    {"\"layers\": null", "\"layers\" is missing", "an object that stands for every"},
    {"\"layers\": \"full\"", "\"layers\" is \"full\"", "list of 2 (num_hidden_layers)"},
    {"\"layers\": []", "\"layers\" has 0 entries", "which is 2"},
    {"\"layers\": [{\"branches\": [{\"type\": \"full\"}]}]", "has 1 entries",
     "which is 2"},
    {"\"layers\": [{\"branches\": [{\"type\": \"full\"}]}, 5]",
     "\"layers[1]\" is no object", "{\"branches\": [...]}"},
    {"\"layers\": [{\"branches\": [{\"type\": \"full\"}]}, "
     "{\"branches\": [" LOCAL("8") ", " LOCAL("0") "]}]",
     "\"layers[1].branches[1].window\" is 0", "an integer from 1"},
    {"\"layers\": {\"branch\": []}", "\"layers.branch\" is not known",
     "\"branches\", \"merge\""},
    {"\"layers\": {}", "\"layers.branches\" is missing", "1 to 8 branches"},
    {LAYERS(""), "\"layers.branches\" is []", "1 to 8 branches"},
    {LAYERS("{\"type\": \"full\"}, 3"), "\"layers.branches[1]\" is no object", "type"},
    {LAYERS("{\"type\":\"full\"},{\"type\":\"full\"},{\"type\":\"full\"},"
            "{\"type\":\"full\"},{\"type\":\"full\"},{\"type\":\"full\"},"
            "{\"type\":\"full\"},{\"type\":\"full\"},{\"type\":\"full\"}"),
     "\"layers.branches\" is a long list", "1 to 8 branches"},
    {LAYERS("{\"window\": 3}"), "\"layers.branches[0].type\" is missing",
     "\"compressed_past\" or \"compressive\""},
    {LAYERS("{\"type\": \"dilated\"}"), "\"layers.branches[0].type\" is \"dilated\"",
     "\"compressed_past\" or \"compressive\""},
    {LAYERS("{\"type\": \"full\", \"window\": 3}"),
     "\"layers.branches[0].window\" is not known", "known are \"type\", \"normalize\""},
    {LAYERS(LOCAL("-1")), "\"layers.branches[0].window\" is -1", "an integer from 1"},
    {LAYERS(LOCAL("null")), "\"layers.branches[0].window\" is null", "add it"},
    {LAYERS(LOCAL("\"8\"")), "\"layers.branches[0].window\" is \"8\"", "an integer"},
    {LAYERS(LOCAL("[8, 8, 8]")), "\"layers.branches[0].window\" is [8,8,8]",
     "a list of 4 (num_attention_heads), not of 3"},
    {LAYERS(LOCAL("[8, 8, 0, 8]")), "\"layers.branches[0].window\"[2] is 0",
     "an integer from 1"},
    {LAYERS("{\"type\": \"fixed\", \"sinks\": 0}"), "branches[0].sinks\" is 0",
     "from 1 to 4096"},
    {LAYERS("{\"type\": \"fixed\"}"), "branches[0].sinks\" is missing", "add it"},
    {LAYERS(SINKS(", \"place\": \"head\"")), "branches[0].place\" is \"head\"",
     "\"text\" or \"window\""},
    {LAYERS(SINKS(", \"normalize\": \"none\"")), "branches[0].normalize\" is not known",
     "\"type\", \"sinks\", \"place\""},
    {LAYERS("{\"type\": \"recurrence\", \"segment\": 0, \"memory\": 1}"),
     "branches[0].segment\" is 0", "an integer from 1"},
    {LAYERS("{\"type\": \"recurrence\", \"segment\": 4, \"memory\": -1}"),
     "branches[0].memory\" is -1", "an integer from 0"},
    {LAYERS("{\"type\": \"recurrence\", \"segment\": 4, \"memory\": 0, "
            "\"same_length\": true}"),
     "branches[0].memory\" is 0", "an integer from 1"},
    {MERGED("mean", "{\"type\": \"full\"}"), "\"layers.merge\" is \"mean\"",
     "\"sum\", \"input_gate\", \"concat\" or \"memory_gate\""},
    {LAYERS(LOCAL("8") ", {\"type\": \"full\", \"normalize\": \"none\"}"),
     "\"layers.branches[1].normalize\" is \"none\"", "expected \"softmax\""},
    {LAYERS("{\"type\": \"full\", \"normalize\": \"l2\"}"),
     "branches[0].normalize\" is \"l2\"", "\"softmax\" or \"none\""},
    {"\"position\": \"alibi\", " LAYERS(
         LOCAL("8") ", " SINKS(", \"place\": \"window\"")),
     "\"layers.branches\"", "\"window\" needs position \"rotary\""},
    {LAYERS(SINKS(", \"place\": \"window\"")), "\"layers.branches\"",
     "beside it one local branch"},
    {LAYERS("{\"type\": \"full\"}, " SINKS(", \"place\": \"window\"")),
     "\"layers.branches\"", "beside it one local branch"},
    {LAYERS(LOCAL("8") ", " LOCAL("9") ", " SINKS(", \"place\": \"window\"")),
     "\"layers.branches\"", "nothing else"},
    {MERGED("sum", LOCAL("8") ", " SINKS(", \"place\": \"window\"")),
     "\"layers.branches\"", "merge \"softmax\""},
};

/* The types that pick, average, learn or look ahead. */
static const bad_keys bad_branch[] = {
    {"\"causal\": 0", "\"causal\" is 0", "true or false"},
    {TWO_SIDED LAYERS(RECURRENCE), "branches[0].type\" is \"recurrence\"",
     "\"full\", \"local\", \"fixed\", \"global\" or \"random\", since \"causal\" is "
     "false"},
    {TWO_SIDED LAYERS(CHOSEN(FEW)), "type\" is \"chosen\"",
     "since \"causal\" is false"},
    {TWO_SIDED LAYERS(COMPRESSED("")), "is \"compressed\"",
     "since \"causal\" is false"},
    {TWO_SIDED LAYERS(SELECTED("2")), "is \"selected\"", "since \"causal\" is false"},
    {TWO_SIDED LAYERS(LEVELS(THREE)), "type\" is \"levels\"",
     "since \"causal\" is false"},
    {TWO_SIDED LAYERS(DYNAMIC(SOFT)), "is \"dynamic\"", "since \"causal\" is false"},
    {TWO_SIDED LAYERS(LOCAL("8") ", " SINKS(", \"place\": \"window\"")),
     "branches[1].place\" is \"window\"", "\"text\", since \"causal\" is false"},
    {TWO_SIDED "\"position\": \"relative\"", "\"position\" is \"relative\"",
     "\"rotary\", \"learned\", \"alibi\" or \"none\", since \"causal\" is false"},

    {LAYERS("{\"type\": \"local\", \"window\": 8, \"dilation\": 2}"),
     "branches[0].dilation\" is 2",
     "1: longspan has no dilated windows; use levels or random"},
    {LAYERS("{\"type\": \"local\", \"window\": 8, \"dilation\": \"x\"}"),
     "branches[0].dilation\" is \"x\"", "no dilated windows"},

    {LAYERS(GLOBAL("")), "branches[0].tokens\" is missing", "\"positions\" (a list)"},
    {LAYERS(GLOBAL(", \"tokens\": 0")), "branches[0].tokens\" is 0", "from 1 to 4096"},
    {LAYERS(GLOBAL(", \"tokens\": 4097")), "tokens\" is 4097", "from 1 to 4096"},
    {LAYERS(GLOBAL(", \"tokens\": 2, \"positions\": [7]")),
     "branches[0].positions\" is [7]", "\"tokens\" (the first rows), not both"},
    {LAYERS(GLOBAL(", \"positions\": []")), "positions\" is []", "at least one"},
    {LAYERS(GLOBAL(", \"positions\": 5")), "positions\" is 5", "a list of integers"},
    {LAYERS(GLOBAL(", \"positions\": [4, 9, 9]")), "positions\" is [4,9,9]",
     "rising positions, but 9 comes after 9"},
    {LAYERS(GLOBAL(", \"positions\": [4, 3]")), "positions\" is [4,3]",
     "rising positions, but 3 comes after 4"},
    {LAYERS(GLOBAL(", \"positions\": [4, 4096]")), "positions\"[1] is 4096",
     "from 0 to 4095"},
    {LAYERS(GLOBAL(", \"positions\": [-1]")), "positions\"[0] is -1", "from 0 to 4095"},
    {LAYERS(GLOBAL(", \"tokens\": 2, \"projections\": \"mine\"")), "is \"mine\"",
     "\"shared\" or \"own\""},
    {LAYERS(GLOBAL(", \"tokens\": 2, \"projections\": \"own\"")),
     "branches[0].projections\" is \"own\"", "\"shared\": only in a two-sided model"},
    {TWO_SIDED MERGED("sum", GLOBAL(", \"tokens\": 2, \"projections\": \"own\"")),
     "branches[0].projections\" is \"own\"", "\"shared\", or \"merge\" \"softmax\""},
    {LAYERS(GLOBAL(", \"positions\": [0, 9]") ", " RANDOM(FEW)),
     "branches[0].positions\" is [0,9]", "\"tokens\", or another \"merge\""},

    {LAYERS(RANDOM("\"reach\": 9")), "branches[0].blocks\" is missing", "add it"},
    {LAYERS(RANDOM("\"blocks\": 2")), "branches[0].reach\" is missing", "add it"},
    {LAYERS(RANDOM("\"blocks\": 0, \"reach\": 9")), "blocks\" is 0", "from 1 to 64"},
    {LAYERS(RANDOM("\"blocks\": 65, \"reach\": 90")), "blocks\" is 65", "from 1 to 64"},
    {LAYERS(RANDOM("\"blocks\": 1, \"reach\": 0")), "reach\" is 0", "from 1 to 171798"},
    {LAYERS(RANDOM(FEW ", \"beyond\": 9")), "branches[0].beyond\" is 9",
     "less than \"reach\", which is 9"},
    {LAYERS(RANDOM(FEW ", \"beyond\": 8")), "branches[0].blocks\" is 2",
     "at most the 1 block in reach (\"reach\" less \"beyond\")"},
    {TWO_SIDED LAYERS(RANDOM("\"blocks\": 9, \"reach\": 9, \"beyond\": 5")),
     "branches[0].blocks\" is 9", "at most the 8 blocks in reach"},
    {LAYERS(RANDOM(FEW ", \"seed\": 4294967296")), "branches[0].seed\" is 4294967296",
     "from 0 to 4294967295"},
    {LAYERS(RANDOM(FEW ", \"seed\": -1")), "branches[0].seed\" is -1", "from 0 to"},
    {LAYERS(RANDOM(FEW ", \"pool\": 4")), "branches[0].pool\" is not known",
     "\"seed\""},
    {LAYERS(RANDOM(FEW) ", " FULL), "branches[0].type\" is \"random\"",
     "no branch of type \"full\" beside it"},
    {MERGED("sum", RECURRENCE ", " RANDOM(FEW)), "branches[1].type\" is \"random\"",
     "no branch of type \"recurrence\" beside it"},

    {LAYERS(CHOSEN("\"blocks\": 4, \"reach\": 3")), "branches[0].blocks\" is 4",
     "at most the 3 blocks in reach"},
    {LAYERS(CHOSEN(FEW ", \"seed\": 4")), "seed\" is not known", "\"beyond\""},
    {LAYERS(CHOSEN(FEW) ", " CHOSEN(FEW)), "branches[1].type\" is \"chosen\"",
     "at most one branch of it"},
    {MERGED("gate", CHOSEN(FEW) ", " FULL), "branches[0].type\" is \"chosen\"",
     "no branch of type \"full\" beside it"},
    {LAYERS(GLOBAL(", \"tokens\": 2") ", " GLOBAL(", \"tokens\": 2")),
     "branches[1].type\" is \"global\"", "at most one branch of it"},

    {LAYERS(COMPRESSED(", \"pool\": 24")), "branches[0].pool\" is 24",
     "a power of two from 2 to 64"},
    {LAYERS(COMPRESSED(", \"pool\": 1")), "pool\" is 1", "a power of two from 2 to 64"},
    {LAYERS(COMPRESSED(", \"pool\": 128")), "pool\" is 128", "a power of two from 2"},
    {LAYERS(COMPRESSED(", \"pool\": -4")), "pool\" is -4", "a power of two from 2"},
    {LAYERS(COMPRESSED(", \"pool\": \"4\"")), "pool\" is \"4\"",
     "a power of two from 2"},
    {LAYERS(COMPRESSED(", \"reach\": -1")), "reach\" is -1", "an integer from 0"},
    {LAYERS(COMPRESSED("") ", " LOCAL("8")), "\"layers.merge\" is missing",
     "\"sum\", \"input_gate\" or \"concat\", since a branch of type \"compressed\""},
    {MERGED("gate", COMPRESSED("") ", " COMPRESSED("")),
     "branches[1].type\" is \"compressed\"", "at most one branch of it"},

    {MERGED("gate", SELECTED("2")), "branches[0].type\" is \"selected\"",
     "a branch of type \"compressed\" beside it"},
    {MERGED("gate", SELECTED("2") ", " LOCAL("8")),
     "branches[0].type\" is \"selected\"", "a branch of type \"compressed\" beside it"},
    {MERGED("softmax", SELECTED("2") ", " COMPRESSED("")),
     "\"layers.merge\" is \"softmax\"",
     "\"sum\", \"input_gate\" or \"concat\", since a branch of type \"selected\""},
    {MERGED("gate", SELECTED("65") ", " COMPRESSED("")), "branches[0].blocks\" is 65",
     "from 1 to 64"},
    {MERGED("gate", SELECTED("4") ", " COMPRESSED(", \"pool\": 16, \"reach\": 8")),
     "branches[0].blocks\" is 4",
     "at most 3: the own block, and those that the compressed branch reaches (8 means "
     "of 16)"},
    {MERGED("gate", COMPRESSED("") ", " SELECTED("2") ", " FULL),
     "branches[1].type\" is \"selected\"", "no branch of type \"full\" beside it"},
    {MERGED("gate", COMPRESSED("") ", " SELECTED("2") ", " SELECTED("3")),
     "branches[2].type\" is \"selected\"", "at most one branch of it"},

    {LAYERS(LEVELS("\"window\": 16, \"levels\": 3")), "branches[0].pool\" is missing",
     "a power of two from 2 to 64"},
    {LAYERS(LEVELS("\"window\": 18, \"pool\": 4, \"levels\": 3")),
     "branches[0].window\" is 18", "a multiple of \"pool\", which is 4"},
    {LAYERS(LEVELS("\"window\": 16, \"pool\": 4, \"levels\": 9")), "levels\" is 9",
     "from 1 to 8"},
    {LAYERS(LEVELS("\"window\": 64, \"pool\": 64, \"levels\": 7")),
     "branches[0].levels\" is 7", "at most 6: with \"pool\" 64"},
    {LAYERS(LEVELS(THREE) ", " LOCAL("8")), "\"layers.merge\" is missing",
     "since a branch of type \"levels\" is in no softmax with others"},
    {MERGED("sum", LEVELS(THREE) ", " LEVELS(THREE)),
     "branches[1].type\" is \"levels\"", "at most one branch of it"},

    {LAYERS(DYNAMIC("\"window\": 50")), "branches[0].ramp\" is missing", "add it"},
    {LAYERS(DYNAMIC("\"window\": 50, \"ramp\": 0")), "ramp\" is 0",
     "an integer from 1"},
    {LAYERS(DYNAMIC("\"window\": 16777217, \"ramp\": 1")), "window\" is 16777217",
     "from 1 to 16777216"},
    {LAYERS(FULL ", " DYNAMIC(SOFT)), "\"layers.merge\" is missing",
     "since a branch of type \"dynamic\" is in no softmax with others"},

    {RELATIVE LAYERS(RANDOM(FEW)), "branches[0].type\" is \"random\"",
     "a \"clamp_len\" from 1 on in the model, since \"position\" is \"relative\": a "
     "table of all distances takes 122 MiB"},
    {MERGED("sum", CHOSEN(FEW) ", " COMPRESSED("") ", " SELECTED("2")),
     "is \"selected\"", "no branch of type \"chosen\" beside it"},
    {RELATIVE LAYERS(CHOSEN(FEW)), "is \"chosen\"", "a \"clamp_len\" from 1 on"},
    {RELATIVE LAYERS(GLOBAL(", \"tokens\": 2")), "is \"global\"", "\"clamp_len\""},
    {RELATIVE "\"clamp_len\": 90, " LAYERS(LEVELS(THREE)), "is \"levels\"",
     "one that goes with \"position\" \"relative\""},
    {RELATIVE "\"clamp_len\": 90, " LAYERS(DYNAMIC(SOFT)), "is \"dynamic\"",
     "one that goes with \"position\" \"relative\""},
    {RELATIVE "\"clamp_len\": 90, " LAYERS(COMPRESSED("")), "is \"compressed\"",
     "one that goes with \"position\" \"relative\""},
    {RELATIVE "\"clamp_len\": 90, " MERGED("sum", SELECTED("2") ", " COMPRESSED("")),
     "is \"selected\"", "one that goes with \"position\" \"relative\""},
};

static void expect_all_refused(const bad_keys *list, size_t n) {
  for (size_t i = 0; i < n; i++) {
    lsp_model m;
    lsp_failure why;
    const lsp_status st = describe(list[i].keys, &nothing, &m, &why);
    if (st != LSP_E_FORMAT)
      fail_msg("%s: status %d: %s", list[i].keys, (int)st, why.text);
    expect_message(&why, "dir/config.json: ");
    expect_message(&why, list[i].value);
    expect_message(&why, list[i].allowed);
    assert_null(strchr(why.text, '\n'));
    assert_null(strstr(why.text, " ... ")); /* nothing was left out */
    lsp_model_close(&m);
  }
}

static void test_every_bad_value_is_named_with_what_is_allowed(void **state) {
  (void)state;
  expect_all_refused(bad, sizeof bad / sizeof bad[0]);
}

static void test_branches_that_cannot_be_are_named_with_what_is_allowed(void **state) {
  (void)state;
  expect_all_refused(bad_branch, sizeof bad_branch / sizeof bad_branch[0]);
}

static void test_what_is_no_json_number_is_refused_by_place(void **state) {
  (void)state;
  static const char *const text[][2] = {
      {"{\"model_type\": \"longspan\", \"norm_eps\": NaN}", "norm_eps"},
      {"{\"model_type\": \"longspan\", \"norm_eps\": 1e400}", "norm_eps"},
      {"{\"model_type\": \"longspan\", \"vocab_size\": 99999999999999999999}",
       "vocab_size"},
      {"{\"model_type\": \"longspan\", \"gated\": true, \"gated\": true}", "gated"},
      {"{\"model_type\": \"longspan\"}", "\"vocab_size\" is missing"},
      {"{\"model_type\": 5}", "model_type is \"(missing)\"; this program runs "
                              "\"gpt2\", \"llama\", "},
      {"{\"model_type\": \"rwkv\"}", "model_type is \"rwkv\"; this program runs "
                                     "\"gpt2\", \"llama\", "}};
  for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
    lsp_model m;
    lsp_failure why = {.status = LSP_OK};
    assert_int_equal(lsp_model_describe("dir", text[i][0], &nothing, &m, &why),
                     LSP_E_FORMAT);
    expect_message(&why, text[i][1]);
    lsp_model_close(&m);
  }
}

static void test_keys_of_tools_and_remarks_are_passed_over(void **state) {
  (void)state;
  lsp_model plain = good("\"_why\": null");
  lsp_model m = good("\"architectures\": [\"X\"], \"torch_dtype\": \"float32\", "
                     "\"dtype\": \"float32\", \"transformers_version\": \"4\", "
                     "\"_trained\": {\"steps\": 5}, "
                     "\"layers\": {\"_a\": 1, \"branches\": [{\"type\": \"full\", "
                     "\"_b\": 2}]}");
  assert_string_equal(fact(&m, "config"), fact(&plain, "config"));
  lsp_model other = good("\"norm_eps\": 1e-6");
  assert_string_not_equal(fact(&other, "config"), fact(&plain, "config"));
  lsp_model_close(&plain);
  lsp_model_close(&m);
  lsp_model_close(&other);
}

/* --- what is understood ---------------------------------------------------------- */

static void test_defaults_are_those_of_the_specification(void **state) {
  (void)state;
  lsp_model m = good("");
  const lsp_layer *l = &m.layer[1];
  assert_true(m.width == 32 && m.layers == 2 && m.words.size == 300);
  assert_true(l->heads.query == 4 && l->heads.shared == 2 && l->heads.width == 8);
  assert_true(l->place == LSP_PLACE_PRE && l->attention_norm.kind == LSP_NORM_RMS);
  assert_true(m.last_norm.kind == LSP_NORM_RMS);
  assert_true(l->attention_norm.eps > 0.99e-5f && l->attention_norm.eps < 1.01e-5f);
  assert_true(l->position.kind == LSP_POSITION_ROTARY && l->position.rotated == 8);
  assert_true(l->query_norm.kind == LSP_NORM_NONE && l->gated && l->inner == 48);
  assert_true(l->activation == LSP_SILU && l->merge == LSP_MERGE_SOFTMAX);
  assert_true(l->score_cap == 0 && m.logit_cap == 0 && m.embed_scale == 1);
  assert_true(l->qkv.matrix.rows == 64 && l->up.matrix.rows == 96);
  assert_true(m.prefixes == 0 && m.segment == 1 && !m.bytes_tokenizer);
  assert_true(m.positions_most == 0 && m.words.clusters == 1);
  lsp_model_close(&m);
}

static void test_rotary_frequencies_fall_by_theta(void **state) {
  (void)state;
  lsp_model m = good("\"rotary_theta\": 10000, \"rotary_width\": 4");
  const lsp_position *p = &m.layer[0].position;
  assert_int_equal(p->rotated, 4);
  assert_true(p->frequency[0] == 1);
  assert_true(p->frequency[1] > 0.00999999999999 && p->frequency[1] < 0.01000000000001);
  lsp_model_close(&m);
}

/* Press et al. 2021: 8 heads have 1/2 .. 1/256; 12 those of 8, then those of 16 with
 * even numbers (2^-0.5, 2^-1.5, ...). */
static void test_slopes_are_those_of_the_paper(void **state) {
  (void)state;
  lsp_model m = good("\"position\": \"alibi\", \"num_attention_heads\": 12, "
                     "\"num_key_value_heads\": 12, \"head_dim\": 4");
  const float *slope = m.layer[1].position.slope;
  for (int h = 0; h < 8; h++)
    assert_true(slope[h] == 1.0f / (float)(2 << h));
  for (int h = 8; h < 12; h++) {
    const float square = slope[h] * slope[h] * (float)(2 << (2 * (h - 8)));
    assert_true(square > 0.999999f && square < 1.000001f);
  }
  lsp_model_close(&m);
}

static void test_layers_may_differ_and_branches_are_read(void **state) {
  (void)state;
  lsp_model m = good("\"layers\": [{\"branches\": [" LOCAL("[5, 6, 7, 4]") ", " SINKS(
      ", \"place\": \"window\"") "]}, {\"merge\": \"gate\", \"branches\": "
                                 "[" RECURRENCE ", {\"type\": \"full\", "
                                 "\"normalize\": \"none\"}]}]");
  const lsp_layer *a = &m.layer[0], *b = &m.layer[1];
  assert_true(a->branches == 2 && a->branch[0].kind == LSP_PATTERN_LOCAL);
  assert_true(a->branch[0].window == 7 && lsp_window_of(&a->branch[0], 3) == 4);
  assert_true(a->branch[1].sinks == 4 && a->branch[1].in_window);
  assert_true(b->merge == LSP_MERGE_GATE && b->branches == 2);
  assert_true(b->branch[0].segment == 6 && b->branch[0].memory == 10);
  assert_true(b->branch[0].virtual_past == 0 && b->branch[0].same_length == 0);
  assert_true(b->branch[1].normalize == LSP_NORMALIZE_NONE);
  assert_int_equal(m.segment, 6);
  lsp_model_close(&m);
}

/* The most branches that go together, and each number of theirs. */
static void test_numbers_of_every_type_are_read(void **state) {
  (void)state;
  lsp_model m =
      good(LAYERS(CHOSEN("\"blocks\": 7, \"reach\": 9, \"beyond\": 2") ", " RANDOM(
          FEW
          ", "
          "\"beyon"
          "d\": "
          "3, "
          "\"seed"
          "\": "
          "4294967"
          "295") ", " RANDOM(FEW) ", " GLOBAL(", \"tokens\": 5") ", " SINKS("") ","
                                                                                " " LOCAL(
                                                                                    "8")));
  const lsp_pattern *p = m.layer[1].branch;
  assert_true(m.layer[1].branches == 6 && !m.two_sided);
  assert_true(p[0].kind == LSP_PATTERN_CHOSEN && p[0].blocks == 7 && p[0].beyond == 2);
  assert_true(p[0].block_reach == 9 && !p[0].two_sided);
  assert_true(p[1].kind == LSP_PATTERN_RANDOM && p[1].blocks == 2);
  assert_true(p[1].seed == UINT32_MAX && p[1].beyond == 3 && p[2].seed == 0);
  assert_true(p[3].kind == LSP_PATTERN_GLOBAL && p[3].sinks == 5);
  assert_true(p[3].positions == NULL && !p[3].own_projections);
  lsp_model_close(&m);
  m = good(LAYERS(LEVELS("\"window\": 192, \"pool\": 64, \"levels\": 6")));
  p = m.layer[0].branch;
  assert_true(p->window == 192 && p->pool == 64 && p->levels == 6);
  lsp_model_close(&m);
  m = good(LAYERS(COMPRESSED("")));
  assert_true(m.layer[0].branch[0].pool == 64 && m.layer[0].branch[0].block_reach == 0);
  lsp_model_close(&m);
}

static void test_a_model_may_look_to_both_sides(void **state) {
  (void)state;
  lsp_model m = good(TWO_SIDED LAYERS(LOCAL("8") ", " SINKS("") ", " GLOBAL(
      ", \"positions\": [0, 7, 4095], \"projections\": \"own\"")));
  const lsp_layer *l = &m.layer[1];
  assert_int_equal(m.two_sided, 1);
  for (int b = 0; b < l->branches; b++)
    assert_int_equal(l->branch[b].two_sided, 1);
  assert_true(l->branch[2].position_count == 3 && l->branch[2].positions[2] == 4095);
  assert_true(l->branch[2].own_projections && l->global.matrix.rows == 64);
  lsp_model_close(&m);
  m = good(TWO_SIDED LAYERS(FULL ", " SINKS("")));
  assert_true(m.layer[0].branch[1].two_sided && m.layer[0].global.matrix.rows == 0);
  lsp_model_close(&m);
  m = good(TWO_SIDED LAYERS(RANDOM("\"blocks\": 12, \"reach\": 9, \"beyond\": 3")));
  assert_true(m.layer[1].branch[0].two_sided && m.layer[1].branch[0].blocks == 12);
  lsp_model_close(&m);
}

/* Blocks are selected by what the compressed branch weighs, wherever it stands. */
static void test_selected_knows_the_means_beside_it(void **state) {
  (void)state;
  lsp_model m = good(MERGED("input_gate", SELECTED("3") ", " LOCAL("8") ", " COMPRESSED(
                                              ", \"pool\": 16, \"reach\": 8")));
  const lsp_layer *l = &m.layer[1];
  assert_true(l->branch[0].pool == 16 && l->branch[0].block_reach == 8);
  assert_true(l->merge == LSP_MERGE_INPUT && l->input_gate.rows == 12);
  assert_true(l->input_gate.cols == 32);
  lsp_model_close(&m);
}

/* What a head has learned of the window decides how far it looks: a part of it, cut to
 * 0 .. 1, and the ramp. Layers that one object describes have spans of their own. */
static void test_learned_spans_become_windows(void **state) {
  (void)state;
  static const float spans[2][4] = {{0, -3, 1, 7}, {0.5f, 0.021f, 0.02f, (float)NAN}};
  static const int64_t keys[2][4] = {{8, 8, 58, 58}, {33, 10, 9, 8}};
  lsp_model m = good(LAYERS(DYNAMIC(SOFT)));
  for (int h = 0; h < 4; h++)
    assert_int_equal(lsp_window_of(&m.layer[1].branch[0], h), 58);
  for (int i = 0; i < 2; i++)
    m.layer[i].span = spans[i];
  lsp_model_settle(&m);
  for (int i = 0; i < 2; i++)
    for (int h = 0; h < 4; h++)
      assert_int_equal(lsp_window_of(&m.layer[i].branch[0], h), keys[i][h]);
  lsp_model_close(&m);
}

static void test_other_words_choose_other_parts(void **state) {
  (void)state;
  lsp_model m = good(
      "\"norm\": \"layer\", \"norm_place\": \"both\", \"position\": \"learned\", "
      "\"max_position\": 100, \"query_key_norm\": true, \"attention_scale\": 0.25, "
      "\"score_cap\": 50, \"logit_cap\": 30, \"activation\": \"gelu_tanh\", "
      "\"gated\": false, \"prefix\": [7, 299], \"embedding_scale\": 2, "
      "\"vocab_size\": 300");
  const lsp_layer *l = &m.layer[0];
  assert_true(l->place == LSP_PLACE_BOTH && l->feed_post.kind == LSP_NORM_LAYER);
  assert_true(l->position.kind == LSP_POSITION_NONE && m.positions_most == 100);
  assert_true(l->query_norm.kind == LSP_NORM_RMS && l->key_norm.kind == LSP_NORM_RMS);
  assert_true(l->scale == 0.25f && l->score_cap == 50 && m.logit_cap == 30);
  assert_true(l->activation == LSP_GELU_TANH && !l->gated && l->up.matrix.rows == 48);
  assert_true(m.prefixes == 2 && m.prefix[1] == 299 && m.embed_scale == 2);
  lsp_model_close(&m);
  m = good("\"position\": \"relative\", \"clamp_len\": 9, \"norm_place\": \"post\", "
           "\"tokenizer\": \"bytes\", \"vocab_size\": 256");
  assert_true(m.layer[0].position.kind == LSP_POSITION_RELATIVE);
  assert_true(m.layer[0].position.clamp == 9 && m.inv_freq[0] == 1);
  assert_true(m.inv_freq[1] > 0.562341f && m.inv_freq[1] < 0.562342f); /* 10^(-1/4) */
  assert_true(m.last_norm.kind == LSP_NORM_NONE && m.bytes_tokenizer);
  lsp_model_close(&m);
}

/* --- tensors --------------------------------------------------------------------- */

typedef struct {
  char text[8192]; /* name[shape] of each, a line each */
  size_t at;
  int count;
} inventory;

static void note(const lsp_slots *list, const lsp_slot *s) {
  inventory *all = list->arg;
  char shape[64];
  int n = 0;
  for (int i = 0; i < s->rank; i++)
    n += snprintf(shape + n, sizeof shape - (size_t)n, "%s%lld", i > 0 ? "," : "",
                  (long long)s->shape[i]);
  all->at += (size_t)snprintf(all->text + all->at, sizeof all->text - all->at,
                              "\n%s[%s]\n", s->name[0], shape);
  assert_true(all->at < sizeof all->text);
  all->count++;
}

/* keys, how many tensors there are, and one that is among them */
static const struct {
  const char *keys;
  int count;
  const char *name;
} tensors[] = {
    {"\"gated\": true", 20, "layers.1.attention.k.weight[16,32]"},
    {"\"norm\": \"layer\"", 25, "layers.1.feed_norm.bias[32]"},
    {"\"norm\": \"layer\", \"norm_bias\": false", 20, "norm.weight[32]"},
    {"\"norm_place\": \"post\"", 19, "layers.1.feed_norm.weight[32]"},
    {"\"norm_place\": \"both\"", 24, "layers.0.attention_post_norm.weight[32]"},
    {"\"norm_place\": \"both\", \"norm\": \"layer\"", 33,
     "layers.0.feed_post_norm.bias[32]"},
    {"\"position\": \"learned\", \"max_position\": 50", 21, "position.weight[50,32]"},
    {"\"position\": \"relative\"", 26, "layers.1.attention.relative.u[4,8]"},
    {"\"position\": \"relative\"", 26, "layers.1.attention.relative.weight[32,32]"},
    {"\"query_key_norm\": true", 24, "layers.0.attention.k_norm.weight[8]"},
    {"\"attention_bias\": true", 26, "layers.1.attention.k.bias[16]"},
    {"\"output_bias\": true", 22, "layers.0.attention.o.bias[32]"},
    {"\"feed_bias\": true", 26, "layers.0.feed.gate.bias[48]"},
    {"\"gated\": false", 18, "layers.0.feed.up.weight[48,32]"},
    {"\"gated\": false, \"feed_bias\": true", 22, "layers.0.feed.up.bias[48]"},
    {"\"tie_word_embeddings\": false", 21, "head.weight[300,32]"},
    {"\"head_bias\": true", 21, "head.bias[300]"},
    {"\"head_dim\": 20", 20, "layers.0.attention.o.weight[32,80]"},
    {MERGED("gate", LOCAL("8") ", {\"type\": \"full\"}"), 22,
     "layers.1.attention.gate[2,4]"},
    {MERGED("input_gate", LOCAL("8") ", " FULL ", " SINKS("")), 22,
     "layers.1.attention.gate_input.weight[12,32]"},
    {LAYERS(DYNAMIC(SOFT)), 22, "layers.1.attention.span[4]"},
    {TWO_SIDED LAYERS(GLOBAL(", \"tokens\": 2, \"projections\": \"own\"")), 26,
     "layers.0.attention.global_q.weight[32,32]"},
    {TWO_SIDED "\"attention_bias\": true, " LAYERS(
         GLOBAL(", \"tokens\": 2, \"projections\": \"own\"")),
     38, "layers.1.attention.global_v.bias[16]"},
    {LAYERS(GLOBAL(", \"tokens\": 2")), 20, "norm.weight[32]"},
    {LAYERS(LEARNED), 24, "layers.1.attention.memory_keys[2,5,8]"},
    {LAYERS(LEARNED), 24, "layers.0.attention.memory_values[2,5,8]"},
    {MERGED("memory_gate", LOCAL("8") ", " STORE("")), 22,
     "layers.1.attention.memory_gate[4]"},
    {MERGED("memory_gate", LOCAL("8") ", " STORE(", \"similarity\": \"cosine\"")), 24,
     "layers.1.attention.store_scale[4]"},
    {MERGED("sum", LOCAL("8") ", " COMPRESSIVE("")), 20, "norm.weight[32]"},
    {MERGED("concat", LOCAL("8") ", " FULL ", " COMPRESSIVE("")), 20,
     "layers.1.attention.o.weight[32,96]"},
    {LAYERS(RECURRENCE ", " PAST("")), 20, "norm.weight[32]"},
    {LAYERS(RECURRENCE ", " PAST(", \"compress\": \"convolution\"")), 24,
     "layers.0.attention.compress.weight[32,32,2]"},
    {LAYERS(RECURRENCE ", " PAST(", \"compress\": \"convolution\"")), 24,
     "layers.1.attention.compress.bias[32]"},
    {LAST(""), 22, "last_memory.keys[7,32]"},
    {LAST(", \"merge\": \"add\""), 22, "last_memory.values[7,32]"},
    {LAST(", \"merge\": \"gate\""), 23, "last_memory.gate[32]"},
    {LAST(", \"merge\": \"concat\""), 23, "last_memory.project.weight[32,64]"},
    {LAST(", \"merge\": \"concat\", \"project\": false") ", " UNTIED, 23,
     "head.weight[300,64]"},
    {INPUT("5"), 20, "norm.weight[32]"},
    {TOKENS, 21, "memory.tokens[3,32]"},
    {ASSOCIATIVE(""), 31, "memory.tokens[3,32]"},
    {ASSOCIATIVE(""), 31, "memory.layers.0.query.weight[6,32]"},
    {ASSOCIATIVE(""), 31, "memory.layers.1.key.weight[6,32]"},
    {ASSOCIATIVE(""), 31, "memory.layers.1.value.weight[32,32]"},
    {ASSOCIATIVE(""), 31, "memory.layers.1.beta.weight[1,32]"},
    {ASSOCIATIVE(""), 31, "memory.layers.1.beta.bias[1]"},
};

static void test_every_switch_has_its_tensors(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
    static inventory all;
    char line[128];
    memset(&all, 0, sizeof all);
    lsp_model m = good(tensors[i].keys);
    lsp_slots list = {.each = note, .arg = &all};
    lsp__walk(&m, &list);
    (void)snprintf(line, sizeof line, "\n%s\n", tensors[i].name);
    if (all.count != tensors[i].count || strstr(all.text, line) == NULL)
      fail_msg("%s: %d tensors, not %d with %s: %s", tensors[i].keys, all.count,
               tensors[i].count, tensors[i].name, all.text);
    lsp_model_close(&m);
  }
}

/* --- options --------------------------------------------------------------------- */

static void refused(const char *keys, lsp_choices choices, lsp_status status,
                    const char *words) {
  lsp_model m;
  lsp_failure why;
  assert_int_equal(describe(keys, &choices, &m, &why), status);
  expect_message(&why, words);
  lsp_model_close(&m);
}

static void test_options_change_recurrence_and_are_recorded(void **state) {
  (void)state;
  const lsp_choices both = {.mem_len = 3, .segment = 9, .mem_init = LSP_MEM_EMPTY};
  lsp_model m = good_with(LAYERS(RECURRENCE ", " SINKS("")), &both);
  assert_true(m.layer[1].branch[0].memory == 3 && m.layer[1].branch[0].segment == 9);
  assert_string_equal(fact(&m, "segment"), "9");
  assert_string_equal(fact(&m, "mem_len"), "3");
  assert_int_equal(m.segment, 9);
  lsp_model_close(&m);
  m = good(LAYERS(RECURRENCE));
  assert_true(m.facts == 1 && m.segment == 6);
  lsp_model_close(&m);
}

static void test_options_without_use_are_refused(void **state) {
  (void)state;
  refused("", (lsp_choices){.mem_len = 5, .segment = -1, .mem_init = -1}, LSP_E_USAGE,
          "--mem-len 5: no layer of");
  refused("", (lsp_choices){.mem_len = -1, .segment = 7, .mem_init = -1}, LSP_E_USAGE,
          "--segment 7: no layer of");
  refused(LAYERS(RECURRENCE),
          (lsp_choices){.mem_len = -1, .segment = -1, .mem_init = LSP_MEM_ZEROS},
          LSP_E_USAGE, "--mem-init zeros: before a text");
  refused(LAYERS("{\"type\": \"recurrence\", \"segment\": 6, \"memory\": 10, "
                 "\"same_length\": true}"),
          (lsp_choices){.mem_len = 0, .segment = -1, .mem_init = -1}, LSP_E_USAGE,
          "--mem-len 0 with same_length");
}

static void test_absurd_sizes_are_refused(void **state) {
  (void)state;
  refused("\"num_hidden_layers\": 4096, \"head_dim\": 4096, " LAYERS(
              LOCAL("1000000000000")),
          nothing, LSP_E_LIMIT, "take more than 2^56 bytes");
  static const char *const far[] = {
      RANDOM("\"blocks\": 1, \"reach\": 17179869184"),
      CHOSEN("\"blocks\": 1, \"reach\": 17179869184"),
      COMPRESSED(", \"reach\": 1099511627776"),
      LEVELS("\"window\": 1099511627776, \"pool\": 2, \"levels\": 8")};
  for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
    char keys[512];
    (void)snprintf(keys, sizeof keys, "\"head_dim\": 4096, " LAYERS("%s"), far[i]);
    refused(keys, nothing, LSP_E_LIMIT, "take more than 2^56 bytes");
  }
}

LSP_TESTS(cmocka_unit_test(test_every_bad_value_is_named_with_what_is_allowed),
          cmocka_unit_test(test_branches_that_cannot_be_are_named_with_what_is_allowed),
          cmocka_unit_test(test_numbers_of_every_type_are_read),
          cmocka_unit_test(test_a_model_may_look_to_both_sides),
          cmocka_unit_test(test_selected_knows_the_means_beside_it),
          cmocka_unit_test(test_learned_spans_become_windows),
          cmocka_unit_test(test_what_is_no_json_number_is_refused_by_place),
          cmocka_unit_test(test_keys_of_tools_and_remarks_are_passed_over),
          cmocka_unit_test(test_defaults_are_those_of_the_specification),
          cmocka_unit_test(test_rotary_frequencies_fall_by_theta),
          cmocka_unit_test(test_slopes_are_those_of_the_paper),
          cmocka_unit_test(test_layers_may_differ_and_branches_are_read),
          cmocka_unit_test(test_other_words_choose_other_parts),
          cmocka_unit_test(test_every_switch_has_its_tensors),
          cmocka_unit_test(test_options_change_recurrence_and_are_recorded),
          cmocka_unit_test(test_options_without_use_are_refused),
          cmocka_unit_test(test_absurd_sizes_are_refused))
