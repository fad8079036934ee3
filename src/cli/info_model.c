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
    lsp_words_add(
        text, size, "; there are %s%s", lsp_grouped(m->positions_most, number),
        m->wrapper.kind == LSP_WRAP_NONE ? ", and a longer document is refused" : "");
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

/* Around the model, and after its last norm. */
static void print_memories(const lsp_model *m) {
  char text[WORDS_SIZE];
  if (m->last.slots > 0) {
    lsp_words_last(m, text, sizeof text);
    lsp_print_fact(stdout, "last memory", "%s", text);
  }
  if (m->wrapper.kind != LSP_WRAP_NONE) {
    lsp_words_wrapper(m, text, sizeof text);
    lsp_print_fact(stdout, "segments", "%s", text);
  }
}

/* How far back a token looks: in a layer, and through all of them. */
typedef struct {
  int64_t least, most, sum;
  int64_t fixed; /* first positions that are seen at any distance */
  int listed;    /* global rows that a list names */
  int means;     /* layers that look farthest at means */
  int endless;   /* layers */
} reaches;

/* Of a layer, means included; LSP_REACH_ALL. */
static int64_t back_of(const lsp_layer *l) {
  int64_t back = lsp_layer_reach(l);
  for (int b = 0; b < l->branches; b++) {
    const int64_t far =
        lsp_pattern_levels(&l->branch[b]) > 0 ? lsp_words_far(&l->branch[b]) : 0;
    if (back == LSP_REACH_ALL || far == LSP_REACH_ALL)
      return LSP_REACH_ALL;
    back = lsp_max(back, far);
  }
  return back;
}

static void add_first_rows(const lsp_layer *l, reaches *r) {
  for (int b = 0; b < l->branches; b++) {
    const lsp_pattern *p = &l->branch[b];
    if (p->kind == LSP_PATTERN_FIXED || p->kind == LSP_PATTERN_GLOBAL)
      r->fixed = lsp_max(r->fixed, p->sinks);
    r->listed = p->position_count > r->listed ? p->position_count : r->listed;
  }
}

static reaches reaches_of(const lsp_model *m) {
  reaches r = {.least = INT64_MAX};
  for (int i = 0; i < m->layers; i++) {
    const int64_t back = back_of(&m->layer[i]);
    add_first_rows(&m->layer[i], &r);
    if (back == LSP_REACH_ALL) {
      r.endless++;
      continue;
    }
    r.means += back > lsp_layer_reach(&m->layer[i]);
    r.least = lsp_min(r.least, back);
    r.most = lsp_max(r.most, back);
    if (__builtin_add_overflow(r.sum, back, &r.sum))
      r.sum = INT64_MAX;
  }
  return r;
}

static void print_endless(const lsp_model *m, const reaches *r) {
  char layers[WORDS_SIZE];
  lsp_words_layers(m, lsp_words_is_endless, 0, layers, sizeof layers);
  if (m->two_sided)
    lsp_print_fact(stdout, "reach",
                   "a token can look at all of its document: %s %s every position",
                   layers, r->endless == 1 ? "sees" : "see");
  else if (lsp_words_all_seen(m))
    lsp_print_fact(
        stdout, "reach",
        "a token can look back to the beginning of its document: %s %s every "
        "position before",
        layers, r->endless == 1 ? "sees" : "see");
  else
    lsp_print_fact(stdout, "reach",
                   "a token can look back to the beginning of its document: %s %s "
                   "back without end",
                   layers, r->endless == 1 ? "looks" : "look");
}

/* What is seen at any distance. */
static void add_anywhere(const reaches *r, char *text, size_t size) {
  char n[LSP_NUMBER_SIZE];
  if (r->means > 0)
    lsp_words_add(text, size, "; the farthest of them in means");
  if (r->fixed > 0)
    lsp_words_add(text, size, "; and at the first %s%s at any distance",
                  r->fixed == 1 ? "position" : lsp_grouped(r->fixed, n),
                  r->fixed == 1 ? "" : " positions");
  if (r->listed > 0)
    lsp_words_add(text, size, "; and at %d position%s of a list at any distance",
                  r->listed, r->listed == 1 ? "" : "s");
}

/* A frame is all that there is, but for what a memory holds. */
static void print_reach_of_segments(const lsp_model *m) {
  const lsp_wrapper *w = &m->wrapper;
  char n[LSP_NUMBER_SIZE];
  if (w->kind == LSP_WRAP_INPUT && m->two_sided)
    lsp_print_fact(stdout, "reach",
                   "a token sees at most its segment and the %s tokens before it",
                   lsp_grouped(w->rows, n));
  else if (w->kind == LSP_WRAP_INPUT)
    lsp_print_fact(stdout, "reach",
                   "a token sees at most %s tokens before its own, through all layers",
                   lsp_grouped(w->segment + w->rows - 1, n));
  else
    lsp_print_fact(
        stdout, "reach",
        "a token sees those of its segment, and, through the memory, what it "
        "holds of all segments before");
}

/* Layers with a memory of all that is before. */
static void add_states(const lsp_model *m, char *text, size_t size) {
  char layers[WORDS_SIZE];
  int states = 0;
  for (int i = 0; i < m->layers; i++)
    states += lsp_words_has_state(m, 0, i);
  if (states == 0)
    return;
  lsp_words_layers(m, lsp_words_has_state, 0, layers, sizeof layers);
  lsp_words_add(text, size,
                "; the matri%s of %s hold%s something of all segments before",
                states == 1 ? "x" : "ces", layers, states == 1 ? "s" : "");
}

static void print_reach(const lsp_model *m) {
  const reaches r = reaches_of(m);
  char text[WORDS_SIZE] = "", n[LSP_NUMBER_SIZE];
  if (m->wrapper.kind != LSP_WRAP_NONE) {
    print_reach_of_segments(m);
    return;
  }
  if (r.endless > 0) {
    print_endless(m, &r);
    return;
  }
  lsp_words_add(text, sizeof text, "a token can look back%s %s position%s",
                m->two_sided ? " and ahead" : "", lsp_grouped(r.least, n),
                r.most == 1 ? "" : "s");
  if (r.most > r.least)
    lsp_words_add(text, sizeof text, " to %s", lsp_grouped(r.most, n));
  lsp_words_add(text, sizeof text, " in %s layer",
                r.most > r.least ? "a"
                : m->layers == 1 ? "the one"
                                 : "each");
  if (m->layers > 1)
    lsp_words_add(text, sizeof text,
                  ", and at most %s through all %d layers, the sum of them",
                  lsp_grouped(r.sum, n), m->layers);
  add_anywhere(&r, text, sizeof text);
  add_states(m, text, sizeof text);
  lsp_print_fact(stdout, "reach", "%s", text);
}

/* What is the other way round than in a causal model. */
static void print_sides(const lsp_model *m) {
  char layers[WORDS_SIZE];
  int whole = 0;
  if (!m->two_sided)
    return;
  for (int i = 0; i < m->layers; i++)
    whole += lsp_words_is_whole(m, 0, i);
  lsp_print_fact(stdout, "two-sided",
                 "positions see those after them, and each predicts its own token "
                 "(\"causal\" is false)");
  if (whole == 0)
    return;
  lsp_words_layers(m, lsp_words_is_whole, 0, layers, sizeof layers);
  lsp_print_fact(stdout, "", "%s need%s all of a document, which is one wave", layers,
                 whole == 1 ? "s" : "");
}

/* --- memory and work ------------------------------------------------------------- */

/* Layers of which the same is kept are told as one. */
static int kept_alike(const lsp_model *m, int of, int layer) {
  const lsp_layer *a = &m->layer[of], *b = &m->layer[layer];
  lsp_stratum x[LSP_STRATA_MAX], y[LSP_STRATA_MAX];
  const int n = lsp_layer_strata(a, x);
  int alike = lsp_layer_reach(a) == lsp_layer_reach(b) && lsp_layer_strata(b, y) == n &&
              lsp_words_state(m, of) == lsp_words_state(m, layer);
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
  const double state = lsp_words_state(m, i);
  char number[LSP_NUMBER_SIZE], unit[LSP_NUMBER_SIZE];
  if (m->wrapper.kind != LSP_WRAP_NONE) {
    lsp_words_add(text, size, "a state of %s a layer", lsp_bytes(state, number));
    return;
  }
  lsp_words_add(text, size, "keys and values of ");
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
  if (state > 0)
    lsp_words_add(text, size, "; and a state of %s a layer", lsp_bytes(state, number));
}

/* Of a wrapped model: what is handed on from segment to segment. */
static void print_kept_of_model(const lsp_model *m, int said) {
  char number[LSP_NUMBER_SIZE];
  if (m->wrapper.kind == LSP_WRAP_NONE)
    return;
  lsp_print_fact(stdout, said == 0 ? "kept" : "",
                 "%sthe model: ids of the segment under way%s%s, %s",
                 said == 0 ? "of " : "",
                 m->wrapper.kind == LSP_WRAP_INPUT ? " and of what is read again" : "",
                 m->wrapper.kind == LSP_WRAP_TOKENS ? ", and the memory tokens" : "",
                 lsp_bytes(lsp_words_state(m, -1), number));
}

static void print_kept(const lsp_model *m) {
  char layers[WORDS_SIZE], text[WORDS_SIZE];
  int said = 0;
  for (int i = 0; i < m->layers && !m->two_sided; i++) {
    int is_first = 1;
    for (int k = 0; k < i && is_first; k++)
      is_first = !kept_alike(m, k, i);
    if (!is_first ||
        (m->wrapper.kind != LSP_WRAP_NONE && !lsp_words_has_state(m, 0, i)))
      continue;
    lsp_words_layers(m, kept_alike, i, layers, sizeof layers);
    text[0] = '\0';
    add_kept(m, i, text, sizeof text);
    lsp_print_fact(stdout, said++ == 0 ? "kept" : "", "%s: %s", layers, text);
  }
  if (!m->two_sided)
    print_kept_of_model(m, said);
}

static void print_snapshot(const lsp_model *m) {
  enum { MILLION = 1000000 };
  char number[LSP_NUMBER_SIZE];
  const reaches r = reaches_of(m);
  const int64_t longest = r.endless > 0 ? MILLION : INT64_C(1) << 56;
  const int64_t rows =
      lsp_sizes_reach(m, longest) + lsp_sizes_fixed(m) + lsp_sizes_pooled(m, longest);
  const double states = lsp_words_states(m);
  double row = 0;
  for (int i = 0; i < m->layers; i++)
    row += 2.0 * sizeof(float) * m->layer[i].heads.shared * m->layer[i].heads.width;
  if (m->two_sided)
    lsp_print_fact(stdout, "snapshot", "none: what looks ahead is not continued");
  else if (m->wrapper.kind != LSP_WRAP_NONE)
    lsp_print_fact(stdout, "snapshot", "%s", lsp_bytes(states, number));
  else if (r.endless > 0 && lsp_words_all_seen(m) && states == 0)
    lsp_print_fact(stdout, "snapshot",
                   "%s for every position before it: it grows with the text",
                   lsp_bytes(row, number));
  else if (r.endless > 0)
    lsp_print_fact(stdout, "snapshot",
                   "%s after a million positions: it grows with "
                   "the text",
                   lsp_bytes(row * (double)rows + states, number));
  else
    lsp_print_fact(stdout, "snapshot", "%s",
                   lsp_bytes(row * (double)rows + states, number));
}

static int has_kind(const lsp_model *m, lsp_pattern_kind kind) {
  for (int i = 0; i < m->layers; i++)
    for (int b = 0; b < m->layer[i].branches; b++)
      if (m->layer[i].branch[b].kind == kind)
        return 1;
  return 0;
}

/* Positions whose mean stands for all: a segment, or some blocks where there are means or
 * picked blocks. */
static int64_t work_period(const lsp_model *m) {
  enum { MOST = 1 << 12 };
  const lsp_pattern *p = recurrence_of(m);
  lsp_stratum stratum[LSP_STRATA_MAX];
  int blocks = 0;
  for (int i = 0; i < m->layers; i++)
    blocks +=
        lsp_layer_picks(&m->layer[i]) || lsp_layer_strata(&m->layer[i], stratum) > 0;
  return blocks > 0 ? MOST : p == NULL ? 1 : lsp_min(p->segment, MOST);
}

/* A frame of a whole segment, as if its tokens had made it. */
static void print_work_of_segments(const lsp_model *m) {
  const lsp_wrapper *w = &m->wrapper;
  const double segment = (double)w->segment;
  const int64_t more = m->prefixes + (w->kind == LSP_WRAP_TOKENS ? 2 : 1) * w->rows;
  lsp_print_fact(
      stdout, "work",
      "%.4g MFLOP a token outside attention, %.4g within: of whole segments, "
      "with the rows beside them",
      (lsp_model_flops_per_token(m) +
       lsp_model_flops_of_layers(m) * (double)more / segment) /
          1e6,
      lsp_model_flops_of_pairs(m, 0, w->segment + more) / segment / 1e6);
}

/* Within attention: the mean over some positions far from the beginning, where a token
 * sees all that it ever will; without an end of the reach there is no such place. */
static void print_work(const lsp_model *m) {
  const reaches r = reaches_of(m);
  const lsp_pattern *p = recurrence_of(m);
  const int64_t period = work_period(m), unit = p == NULL ? period : p->segment;
  const int64_t beyond =
      lsp_min(r.most, INT64_C(1) << 60) + lsp_max(r.fixed, lsp_sizes_fixed(m)) + 1;
  const int64_t at = lsp_divide_up(beyond, unit) * unit;
  const double outside = lsp_model_flops_per_token(m) / 1e6;
  if (m->wrapper.kind != LSP_WRAP_NONE)
    print_work_of_segments(m);
  else if (r.endless > 0 && m->two_sided)
    lsp_print_fact(stdout, "work",
                   "%.4g MFLOP a token outside attention; within it grows with the "
                   "document: %.4g in one of 10,000, %.4g in one of 1,000,000",
                   outside, lsp_model_flops_of_pairs(m, 0, 10000) / 1e10,
                   lsp_model_flops_of_pairs(m, 0, 1000000) / 1e12);
  else if (r.endless > 0)
    lsp_print_fact(stdout, "work",
                   "%.4g MFLOP a token outside attention; within it grows with the "
                   "position: %.4g at 10,000, %.4g at 1,000,000",
                   outside, lsp_model_flops_of_pairs(m, 10000, 10001) / 1e6,
                   lsp_model_flops_of_pairs(m, 1000000, 1000001) / 1e6);
  else
    lsp_print_fact(stdout, "work",
                   "%.4g MFLOP a token outside attention, %s%.4g within", outside,
                   has_kind(m, LSP_PATTERN_DYNAMIC) ? "at most " : "",
                   lsp_model_flops_of_pairs(m, at, at + period) / (double)period / 1e6);
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
  print_memories(m);
  print_sides(m);
  print_reach(m);
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
