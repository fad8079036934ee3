/* What a checkpoint is: sizes, what its layers see, how far back a token looks, memory,
 * storage. */
#include "cli.h"
#include "info.h"
#include "model_words.h"

#include "lsp/attend.h"
#include "lsp/json.h"
#include "lsp/safetensors.h"
#include "lsp/sizes.h"
#include "lsp/spool.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS_SIZE = 1024 };

/* --- sizes ----------------------------------------------------------------------- */

static const char *norm_words(const lsp_layer *l) {
  return l->attention_norm.kind == LSP_NORM_RMS ? "RMS norm" : "layer norm";
}

static void print_layers(const lsp_model *m) {
  static const char *const place[] = {[LSP_PLACE_PRE] = "before",
                                      [LSP_PLACE_POST] = "after",
                                      [LSP_PLACE_BOTH] = "before and after"};
  static const char *const activation[] = {[LSP_RELU] = "relu",
                                           [LSP_GELU] = "gelu",
                                           [LSP_GELU_TANH] = "gelu_tanh",
                                           [LSP_SILU] = "silu"};
  const lsp_layer *l = &m->layer[0];
  lsp_print_fact(stdout, "layers", "%d, %s %s each sublayer%s", m->layers,
                 norm_words(l), place[l->place],
                 l->query_norm.kind != LSP_NORM_NONE ? ", queries and keys normed, too"
                                                     : "");
  lsp_print_fact(stdout, "width", "%d, feed-forward %d (%s%s)", m->width, l->inner,
                 activation[l->activation], l->gated ? ", gated" : "");
}

/* What its tokenizer.json is, and what it puts before a text. */
static void print_tokenizer(const char *dir, const lsp_model *m) {
  lsp_tokenizer *t = NULL;
  lsp_failure why = {0};
  char number[LSP_NUMBER_SIZE];
  int32_t id[LSP_TEMPLATE_MOST];
  lsp_status st = lsp_tokenizer_of(dir, &t, &why);
  if (st == LSP_OK && t != NULL)
    st = lsp_tokenizer_fits(t, dir, m->words.size, &why);
  if (st != LSP_OK)
    lsp_print_fact(stdout, "tokenizer", "cannot be used: %s", why.text);
  else if (t == NULL)
    lsp_print_fact(stdout, "tokenizer",
                   "none: it reads files of token ids (there is no tokenizer.json)");
  else
    lsp_print_fact(stdout, "tokenizer", "byte-level BPE of %s tokens%s",
                   lsp_grouped(lsp_tokenizer_size(t), number),
                   lsp_tokenizer_prefix(t, id) > 0
                       ? "; its template begins every text (--bos)"
                       : "");
  lsp_tokenizer_close(&t);
}

static void print_vocabulary(const char *dir, const lsp_model *m) {
  const lsp_vocabulary *v = &m->words;
  char number[LSP_NUMBER_SIZE];
  lsp_print_fact(stdout, "vocabulary", "%s%s", lsp_grouped(v->size, number),
                 m->bytes_tokenizer ? ": bytes, so it reads any text" : " tokens");
  if (!m->bytes_tokenizer)
    print_tokenizer(dir, m);
  for (int i = 0; i < v->clusters && v->clusters > 1; i++)
    lsp_print_fact(stdout, i == 0 ? "embeddings" : "", "ids %lld to %lld: width %d",
                   (long long)v->cut[i], (long long)v->cut[i + 1] - 1,
                   v->cluster[i].width);
  lsp_print_fact(stdout, "parameters", "%s",
                 lsp_grouped(lsp_model_parameters(m), number));
}

static void print_prefix(const lsp_model *m) {
  char ids[WORDS_SIZE] = "";
  for (int i = 0; i < m->prefixes; i++)
    lsp_words_add(ids, sizeof ids, "%s%d", i > 0 ? ", " : "", (int)m->prefix[i]);
  if (m->prefixes > 0)
    lsp_print_fact(stdout, "prefix",
                   "%d row%s before every document (id%s %s), seen but never part of "
                   "the output: positions count from there",
                   m->prefixes, m->prefixes == 1 ? "" : "s",
                   m->prefixes == 1 ? "" : "s", ids);
}

/* --- positions and scores -------------------------------------------------------- */

static int has_no_position(const lsp_model *m, int of, int layer) {
  (void)of;
  return m->layer[layer].position.kind == LSP_POSITION_NONE;
}

/* The first layer that has positions; the first one if none has. */
static const lsp_layer *positioned(const lsp_model *m) {
  for (int i = 0; i < m->layers; i++)
    if (!has_no_position(m, 0, i))
      return &m->layer[i];
  return &m->layer[0];
}

static int is_mixed(const lsp_model *m) {
  int without = 0;
  for (int i = 0; i < m->layers; i++)
    without += has_no_position(m, 0, i);
  return without > 0 && without < m->layers;
}

static void position_words(const lsp_model *m, char *text, size_t size) {
  const lsp_layer *l = positioned(m);
  char number[LSP_NUMBER_SIZE];
  text[0] = '\0';
  switch (l->position.kind) {
  case LSP_POSITION_RELATIVE:
    lsp_words_add(text, size, "relative, as in Transformer-XL");
    if (l->position.clamp > 0)
      lsp_words_add(text, size, "; distances are alike from %s on (clamp_len)",
                    lsp_grouped(l->position.clamp, number));
    break;
  case LSP_POSITION_ROTARY:
    lsp_words_add(text, size, "rotary");
    if (l->position.rotated < l->heads.width)
      lsp_words_add(text, size, ", %d of the %d components of a head",
                    l->position.rotated, l->heads.width);
    break;
  case LSP_POSITION_ALIBI:
    lsp_words_add(text, size, "by distance alone (ALiBi)");
    break;
  case LSP_POSITION_NONE:
    lsp_words_add(text, size, "%s", m->positions_most > 0 ? "learned" : "none");
    break;
  }
  if (m->positions_most > 0)
    lsp_words_add(text, size, "; there are %s, and a longer document is refused",
                  lsp_grouped(m->positions_most, number));
}

static void print_positions(const lsp_model *m) {
  char text[WORDS_SIZE], layers[WORDS_SIZE], caps[WORDS_SIZE] = "";
  char number[LSP_NUMBER_SIZE];
  const double scores = (double)m->layer[0].score_cap, logits = (double)m->logit_cap;
  position_words(m, text, sizeof text);
  if (is_mixed(m)) {
    lsp_words_layers(m, has_no_position, 0, layers, sizeof layers);
    lsp_words_add(text, sizeof text, "; none in %s", layers);
  }
  lsp_print_fact(stdout, "positions", "%s", text);
  if (m->trained > 0 && m->trained != m->positions_most)
    lsp_print_fact(stdout, "trained", "for documents of up to %s positions",
                   lsp_grouped(m->trained, number));
  if (scores > 0)
    lsp_words_add(caps, sizeof caps, "scores at %g", scores);
  if (logits > 0)
    lsp_words_add(caps, sizeof caps, "%slogits at %g", scores > 0 ? ", " : "", logits);
  if (caps[0] != '\0')
    lsp_print_fact(stdout, "capped", "%s (by tanh)", caps);
}

/* --- what a token sees ----------------------------------------------------------- */

static int heads_alike(const lsp_model *m) {
  for (int i = 1; i < m->layers; i++)
    if (m->layer[i].heads.query != m->layer[0].heads.query ||
        m->layer[i].heads.shared != m->layer[0].heads.shared ||
        m->layer[i].heads.width != m->layer[0].heads.width)
      return 0;
  return 1;
}

/* Layers that see alike are told as one. */
static void print_sight(const lsp_model *m) {
  char layers[WORDS_SIZE], heads[WORDS_SIZE], sight[WORDS_SIZE];
  const int alike = heads_alike(m);
  int said = 0;
  lsp_words_heads(m->layer[0].heads, heads, sizeof heads);
  if (alike)
    lsp_print_fact(stdout, "heads", "%s", heads);
  for (int i = 0; i < m->layers; i++) {
    if (!lsp_words_is_first(m, i))
      continue;
    lsp_words_layers(m, lsp_words_alike, i, layers, sizeof layers);
    lsp_words_heads(m->layer[i].heads, heads, sizeof heads);
    lsp_words_sight(&m->layer[i], sight, sizeof sight);
    lsp_print_fact(stdout, said++ == 0 ? "attention" : "", "%s: %s%s%s%s", layers,
                   alike ? "" : heads, alike ? "" : "; ", sight,
                   is_mixed(m) && has_no_position(m, 0, i) ? ", without positions"
                                                           : "");
  }
}

static const lsp_pattern *recurrence_of(const lsp_model *m) {
  for (int i = 0; i < m->layers; i++)
    for (int b = 0; b < m->layer[i].branches; b++)
      if (m->layer[i].branch[b].kind == LSP_PATTERN_RECURRENCE)
        return &m->layer[i].branch[b];
  return NULL;
}

static void print_recurrence(const lsp_model *m) {
  const lsp_pattern *p = recurrence_of(m);
  char number[LSP_NUMBER_SIZE];
  if (p == NULL)
    return;
  lsp_print_fact(stdout, "segment", "%s tokens (--segment changes it)",
                 lsp_grouped(p->segment, number));
  lsp_print_fact(stdout, "memory", "%s positions a layer%s (--mem-len changes it)%s",
                 lsp_grouped(p->memory, number),
                 p->same_length ? ", each token sees equally many (same_length)" : "",
                 p->virtual_past
                     ? "; before a text it is zeros, which are seen (--mem-init)"
                     : "");
}

/* How far back a token looks: in a layer, and through all of them; means looked at count as
 * what they average. */
typedef struct {
  int64_t least, most, sum;
  int64_t itself; /* the most of what is looked at by itself */
  int64_t fixed;
  int full;       /* layers */
  int means;      /* some of it is looked at in means */
  int full_means; /* all of it, by some layer, in means alone */
  int globals;    /* some of the fixed rows see all */
} reaches;

static int64_t plus(int64_t a, int64_t b) {
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* What the means of a layer go back over; 0: it has none. */
static int64_t far_of(const lsp_layer *l) {
  int64_t most = 0;
  for (int b = 0; b < l->branches; b++)
    if (lsp_pattern_levels(&l->branch[b]) > 0)
      most = lsp_max(most, lsp_words_far(&l->branch[b]));
  return most;
}

static int has_globals(const lsp_layer *l) {
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_GLOBAL)
      return 1;
  return 0;
}

static reaches reaches_of(const lsp_model *m) {
  reaches r = {.least = INT64_MAX};
  for (int i = 0; i < m->layers; i++) {
    const lsp_layer *l = &m->layer[i];
    r.fixed = lsp_max(r.fixed, lsp_layer_fixed(l));
    r.globals |= has_globals(l);
    if (lsp_words_is_full(m, 0, i)) {
      r.full++;
      r.full_means |= lsp_layer_reach(l) != LSP_REACH_ALL;
      continue;
    }
    const int64_t reach = lsp_layer_reach(l), far = lsp_max(reach, far_of(l));
    r.means |= far > reach;
    r.itself = lsp_max(r.itself, reach);
    r.least = lsp_min(r.least, far);
    r.most = lsp_max(r.most, far);
    r.sum = plus(r.sum, far);
  }
  return r;
}

static void add_bounded(const lsp_model *m, const reaches *r, char *text, size_t size) {
  char n[LSP_NUMBER_SIZE];
  lsp_words_add(text, size, "a token can look %s%s position%s",
                r->means       ? "back about "
                : m->two_sided ? ""
                               : "back ",
                lsp_grouped(r->least, n), r->most == 1 ? "" : "s");
  if (r->most > r->least)
    lsp_words_add(text, size, " to %s", lsp_grouped(r->most, n));
  lsp_words_add(text, size, "%s in %s layer", m->two_sided ? " to each side" : "",
                r->most > r->least ? "a"
                : m->layers == 1   ? "the one"
                                   : "each");
  if (r->means && r->itself > 0)
    lsp_words_add(text, size, " (at most %s by themselves, the others in means)",
                  lsp_grouped(r->itself, n));
  else if (r->means)
    lsp_words_add(text, size, " (in means)");
  if (m->layers > 1)
    lsp_words_add(text, size,
                  ", and at most %s%s through all %d layers, the sum of them",
                  r->means ? "about " : "", lsp_grouped(r->sum, n), m->layers);
}

static void print_reach(const lsp_model *m) {
  const reaches r = reaches_of(m);
  char text[WORDS_SIZE] = "", layers[WORDS_SIZE], n[LSP_NUMBER_SIZE];
  if (r.full > 0) {
    lsp_words_layers(m, lsp_words_is_full, 0, layers, sizeof layers);
    lsp_print_fact(stdout, "reach", "a token can look %s: %s %s every position%s",
                   m->two_sided ? "at all of its document"
                                : "back to the beginning of its document",
                   layers, r.full == 1 ? "sees" : "see",
                   m->two_sided   ? ""
                   : r.full_means ? " before, or means of them"
                                  : " before");
    return;
  }
  add_bounded(m, &r, text, sizeof text);
  if (r.globals)
    lsp_words_add(text, sizeof text,
                  "; and at %sthe rows that see every position%s (among the first %s)",
                  m->two_sided ? "all of its document through " : "",
                  m->two_sided ? "" : ", at any distance", lsp_grouped(r.fixed, n));
  else if (r.fixed > 0)
    lsp_words_add(text, sizeof text, "; and at the first %s%s at any distance",
                  r.fixed == 1 ? "position" : lsp_grouped(r.fixed, n),
                  r.fixed == 1 ? "" : " positions");
  lsp_print_fact(stdout, "reach", "%s", text);
}

/* What is so because a token sees those after it. */
static void print_two_sided(const lsp_model *m) {
  if (!m->two_sided)
    return;
  lsp_print_fact(
      stdout, "two-sided",
      "a token sees those after it, too, and its row, which sees it, predicts "
      "it (as in masked language models): every token has an nll, the first "
      "one, too");
  if (lsp_sizes_whole(m))
    lsp_print_fact(
        stdout, "",
        "a layer sees all of a document, so that a run holds a document as a "
        "whole, in the memory of all ranks together");
  else
    lsp_print_fact(
        stdout, "",
        "a document may be of any length: rows wait for those ahead of them");
}

/* --- memory and work ------------------------------------------------------------- */

/* Layers of which the same is kept are told as one. */
static int kept_alike(const lsp_model *m, int of, int layer) {
  const lsp_layer *a = &m->layer[of], *b = &m->layer[layer];
  lsp_stratum x[LSP_STRATA_MAX], y[LSP_STRATA_MAX];
  const int n = lsp_layer_strata(a, x);
  int alike = lsp_layer_reach(a) == lsp_layer_reach(b) && lsp_layer_strata(b, y) == n;
  for (int k = 0; alike && k < n; k++)
    alike = x[k].unit == y[k].unit && x[k].reach == y[k].reach;
  return alike;
}

/* "the last 64 positions, 6 means of 64 to choose by, the first 4 positions" */
static void add_kept(const lsp_model *m, int i, char *text, size_t size) {
  lsp_stratum stratum[LSP_STRATA_MAX];
  const int n = lsp_layer_strata(&m->layer[i], stratum);
  const int64_t reach = lsp_sizes_layer_reach(m, i, LSP_REACH_ALL);
  const int64_t fixed = lsp_sizes_fixed(m);
  char number[LSP_NUMBER_SIZE], unit[LSP_NUMBER_SIZE];
  if (reach == LSP_REACH_ALL)
    lsp_words_add(text, size, "every position");
  else
    lsp_words_add(text, size, "the last %s position%s", lsp_grouped(reach, number),
                  reach == 1 ? "" : "s");
  for (int k = 0; k < n; k++)
    lsp_words_add(text, size, ", %s mean%s of %s%s",
                  stratum[k].reach == LSP_REACH_ALL
                      ? "all"
                      : lsp_grouped(stratum[k].reach, number),
                  stratum[k].reach == 1 ? "" : "s", lsp_grouped(stratum[k].unit, unit),
                  stratum[k].routing ? " (to choose blocks by)" : "");
  if (fixed > 0)
    lsp_words_add(text, size, ", the first %s", lsp_grouped(fixed, number));
}

static void print_kept(const lsp_model *m) {
  char layers[WORDS_SIZE], text[WORDS_SIZE];
  int said = 0;
  for (int i = 0; i < m->layers && !m->two_sided; i++) {
    int is_first = 1;
    for (int k = 0; k < i && is_first; k++)
      is_first = !kept_alike(m, k, i);
    if (!is_first)
      continue;
    lsp_words_layers(m, kept_alike, i, layers, sizeof layers);
    text[0] = '\0';
    add_kept(m, i, text, sizeof text);
    lsp_print_fact(stdout, said++ == 0 ? "kept" : "", "%s: keys and values of %s",
                   layers, text);
  }
}

/* All layers have as many rows in a snapshot as the one that needs most. */
static void print_snapshot(const lsp_model *m) {
  enum { POSITIONS = 1 << 20 };
  char number[LSP_NUMBER_SIZE];
  const int64_t none = lsp_sizes_pooled(m, 0), some = lsp_sizes_pooled(m, POSITIONS);
  const int64_t reach = lsp_sizes_reach(m, 0);
  double row = 0;
  for (int i = 0; i < m->layers; i++)
    row += 2.0 * sizeof(float) * m->layer[i].heads.shared * m->layer[i].heads.width;
  if (m->two_sided)
    lsp_print_fact(stdout, "snapshot",
                   "none: what a token sees after it is not there yet");
  else if (reaches_of(m).full > 0)
    lsp_print_fact(stdout, "snapshot",
                   "%s for every position before it: it grows with the text",
                   lsp_bytes(row *
                                 ((double)(lsp_sizes_reach(m, POSITIONS) - reach) +
                                  (double)(some - none)) /
                                 POSITIONS,
                             number));
  else
    lsp_print_fact(
        stdout, "snapshot", "%s",
        lsp_bytes(row * (double)(reach + lsp_sizes_fixed(m) + none), number));
}

/* Positions over which the pairs of layers are alike on average. */
static int64_t period_of(const lsp_model *m) {
  enum { MOST = 1 << 12 };
  const lsp_pattern *p = recurrence_of(m);
  int64_t period = p == NULL ? 1 : lsp_min(p->segment, MOST);
  for (int i = 0; i < m->layers; i++)
    for (int b = 0; b < m->layer[i].branches; b++) {
      const lsp_pattern *one = &m->layer[i].branch[b];
      const int levels = lsp_pattern_levels(one);
      if (lsp_pattern_picks(one))
        period = lsp_max(period, LSP_GRID_BLOCK);
      if (levels > 0)
        period = lsp_max(period, lsp_level_unit(one, levels));
    }
  return period;
}

/* Within attention: the mean over some positions far from the beginning, where a token
 * sees all that it ever will; with `full` there is no such place. */
static void print_work(const lsp_model *m) {
  enum { SHORT = 10000, LONG = 1000000 };
  const reaches r = reaches_of(m);
  const lsp_pattern *p = recurrence_of(m);
  const double outside = lsp_model_flops_per_token(m) / 1e6;
  if (r.full > 0) {
    lsp_print_fact(stdout, "work",
                   "%.4g MFLOP a token outside attention; within it grows with the "
                   "%s: %.4g at 10,000, %.4g at 1,000,000",
                   outside, m->two_sided ? "document" : "position",
                   m->two_sided ? lsp_model_flops_of_pairs(m, 0, SHORT) / SHORT / 1e6
                                : lsp_model_flops_of_pairs(m, SHORT, SHORT + 1) / 1e6,
                   m->two_sided ? lsp_model_flops_of_pairs(m, 0, LONG) / LONG / 1e6
                                : lsp_model_flops_of_pairs(m, LONG, LONG + 1) / 1e6);
    return;
  }
  const int64_t unit = lsp_max(p == NULL ? 1 : p->segment, period_of(m));
  const int64_t period = period_of(m);
  const int64_t beyond = plus(plus(r.most, r.fixed), LSP_GRID_BLOCK + 1);
  const int64_t at = lsp_divide_up(lsp_min(beyond, INT64_MAX / 4), unit) * unit;
  const double within = lsp_model_flops_of_pairs(m, at, at + period) / (double)period;
  lsp_print_fact(stdout, "work", "%.4g MFLOP a token outside attention, %.4g within",
                 outside, within / 1e6);
}

/* --- storage --------------------------------------------------------------------- */

/* The keys of an object that have a value, in one line with those before. */
static void add_switches(const json_t *object, const char *const *key, char *said,
                         size_t size) {
  for (int i = 0; key[i] != NULL; i++) {
    const json_t *value = json_object_get(object, key[i]);
    const char *between = said[0] != '\0' ? ", " : "";
    if (json_is_boolean(value))
      lsp_words_add(said, size, "%s%s %s", between, key[i],
                    json_is_true(value) ? "true" : "false");
    else if (json_is_number(value))
      lsp_words_add(said, size, "%s%s %g", between, key[i], json_number_value(value));
    else if (json_is_string(value))
      lsp_words_add(said, size, "%s%s %.40s", between, key[i],
                    json_string_value(value));
  }
}

/* Switches as config.json has them: those that say something of the tensors. */
static lsp_status print_switches(const char *dir, lsp_failure *why) {
  static const char *const key[] = {"untie_r",
                                    "tie_word_embeddings",
                                    "div_val",
                                    "norm_eps",
                                    "layer_norm_epsilon",
                                    "rms_norm_eps",
                                    "rope_theta",
                                    NULL};
  static const char *const of_rope[] = {"type", "rope_type", "factor", "rope_theta",
                                        NULL};
  char said[WORDS_SIZE] = "", *text = NULL;
  json_t *json = NULL;
  LSP_TRY(lsp_model_text(dir, &text, why));
  const lsp_status st = lsp_json_parse(dir, text, strlen(text), &json, why);
  free(text);
  LSP_TRY(st);
  add_switches(json, key, said, sizeof said);
  add_switches(json_object_get(json, "rope_scaling"), of_rope, said, sizeof said);
  add_switches(json_object_get(json, "rope_parameters"), of_rope, said, sizeof said);
  json_decref(json);
  if (said[0] != '\0')
    lsp_print_fact(stdout, "options", "%s", said);
  return LSP_OK;
}

/* Tables of relative positions, one copy a node. */
static void print_strips(const lsp_model *m) {
  char bytes[LSP_NUMBER_SIZE];
  double floats = 0;
  int without_end = 0;
  for (int i = 0; i < m->layers; i++) {
    const int64_t strips = lsp_sizes_strips(&m->layer[i]);
    without_end |= strips < 0;
    floats += (double)lsp_strip_floats(m->layer[i].heads, lsp_max(0, strips));
  }
  if (without_end)
    lsp_print_fact(stdout, "", "and tables of distances as long as a document");
  else if (floats > 0)
    lsp_print_fact(stdout, "", "and %s of tables of distances",
                   lsp_bytes(4 * floats, bytes));
}

/* "F16" or "F16 and F32": the types of the tensors, in order of appearance. */
static void print_storage(const lsp_checkpoint *k, const lsp_model *m) {
  char types[64] = "", bytes[LSP_NUMBER_SIZE], memory[LSP_NUMBER_SIZE];
  double sum = 0;
  int files = 0;
  for (int64_t i = 0; i < lsp_checkpoint_count(k); i++) {
    const lsp_tensor *t = lsp_checkpoint_at(k, i);
    const size_t n = strlen(types);
    sum += (double)t->bytes;
    files = t->file + 1 > files ? t->file + 1 : files;
    if (strstr(types, t->dtype_name) == NULL && n + 16 < sizeof types)
      (void)snprintf(types + n, sizeof types - n, "%s%s", n > 0 ? " and " : "",
                     t->dtype_name);
  }
  lsp_print_fact(stdout, "stored", "%lld tensors of %s in %d file%s, %s",
                 (long long)lsp_checkpoint_count(k), types, files,
                 files == 1 ? "" : "s", lsp_bytes(sum, bytes));
  lsp_print_fact(stdout, "in memory", "%s a node, float32",
                 lsp_bytes(4.0 * (double)lsp_model_floats(m), memory));
  print_strips(m);
}

/* --- all of it ------------------------------------------------------------------- */

static lsp_status print_model(const char *dir, const lsp_model *m,
                              const lsp_checkpoint *checkpoint, lsp_failure *why) {
  const int is_txl = strcmp(lsp_model_type(m), "transfo-xl") == 0;
  lsp_print_line(stdout, "%s: a %s model", dir,
                 is_txl ? "Transformer-XL" : lsp_model_type(m));
  print_layers(m);
  print_vocabulary(dir, m);
  print_positions(m);
  print_prefix(m);
  print_sight(m);
  print_recurrence(m);
  print_reach(m);
  print_two_sided(m);
  print_kept(m);
  print_snapshot(m);
  print_work(m);
  LSP_TRY(print_switches(dir, why));
  print_storage(checkpoint, m);
  return LSP_OK;
}

lsp_status lsp_info_model(const char *dir, const char *picture, lsp_failure *why) {
  const lsp_choices none = {.mem_len = -1, .segment = -1};
  lsp_model model = {0};
  lsp_checkpoint *checkpoint = NULL;
  float *spans = NULL;
  lsp_status st = lsp_words_model(dir, &none, &model, why);
  if (st == LSP_OK)
    st = lsp_checkpoint_open(dir, &checkpoint, why);
  if (st == LSP_OK)
    lsp_words_learned(dir, &model, &spans);
  if (st == LSP_OK)
    st = print_model(dir, &model, checkpoint, why);
  if (st == LSP_OK && picture != NULL)
    st = lsp_info_picture(&model, picture, why);
  if (st == LSP_OK && picture != NULL)
    lsp_print_fact(stdout, "drawn", "what each layer sees, in %s", picture);
  lsp_checkpoint_close(&checkpoint);
  lsp_model_close(&model);
  free(spans);
  return st;
}
