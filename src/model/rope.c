/* Rotary frequencies of the Hugging Face library. */
#include "rope.h"

#include <math.h>
#include <string.h>

#define KNOWN "\"default\", \"linear\", \"llama3\" or \"yarn\""

static const double pi = 3.14159265358979323846;

/* --- reading --------------------------------------------------------------------- */

/* The object that says how frequencies are made; json NULL: none is there. */
static lsp_status find_object(const lsp_source *config, lsp_source *found) {
  const json_t *older = lsp__source_get(config, "rope_scaling");
  const json_t *newer = lsp__source_get(config, "rope_parameters");
  *found =
      (lsp_source){newer != NULL ? newer : older, config->path,
                   newer != NULL ? "rope_parameters" : "rope_scaling", config->why};
  if (older != NULL && newer != NULL && !json_equal(older, newer))
    return lsp__source_refuse(config, "rope_parameters", newer,
                              "what \"rope_scaling\" says, or one of the two alone");
  if (found->json != NULL && !json_is_object(found->json))
    return lsp__source_refuse(config, found->place, found->json,
                              "an object with \"rope_type\", or null");
  return LSP_OK;
}

/* "rope_type", which was "type" before. */
static lsp_status find_type(const lsp_source *s, const json_t **type,
                            const char **key) {
  const json_t *older = lsp__source_get(s, "type");
  const json_t *newer = lsp__source_get(s, "rope_type");
  if (older != NULL && newer != NULL && !json_equal(older, newer))
    return lsp__source_refuse(s, "rope_type", newer,
                              "what \"type\" says, or one of the two alone");
  *type = newer != NULL ? newer : older;
  *key = newer == NULL && older != NULL ? "type" : "rope_type";
  return LSP_OK;
}

static lsp_status read_type(const lsp_source *s, lsp_rope *rope) {
  static const char *const words[] = {"default", "linear", "llama3", "yarn"};
  const json_t *type = NULL;
  const char *key = NULL;
  LSP_TRY(find_type(s, &type, &key));
  const char *text = json_string_value(type);
  if (type == NULL && strcmp(s->place, "rope_parameters") == 0)
    return LSP_OK; /* the default one */
  for (int i = 0; i < 4 && text != NULL; i++)
    if (strcmp(text, words[i]) == 0) {
      rope->type = (lsp_rope_type)i;
      return LSP_OK;
    }
  if (text != NULL && (strcmp(text, "dynamic") == 0 || strcmp(text, "longrope") == 0))
    return lsp__source_unable(s, key, type,
                              KNOWN
                              ": the angles of \"%s\" depend on the length of the "
                              "whole text, and a token's numbers would depend on "
                              "what comes after it",
                              text);
  return lsp__source_unable(s, key, type, KNOWN);
}

static lsp_status check_partial(const lsp_source *s) {
  const json_t *found = lsp__source_get(s, "partial_rotary_factor");
  if (found == NULL || json_number_value(found) == 1)
    return LSP_OK;
  return lsp__source_unable(s, "partial_rotary_factor", found,
                            "this model_type with 1 alone: the whole head is turned");
}

/* Frequencies by type of layer, which some models of version 5 have. */
static lsp_status refuse_several(const lsp_source *s) {
  static const char *const types[] = {"full_attention", "sliding_attention"};
  for (int i = 0; i < 2; i++) {
    const json_t *found = lsp__source_get(s, types[i]);
    if (found != NULL)
      return lsp__source_unable(s, types[i], found,
                                "one set of frequencies for all layers");
  }
  return LSP_OK;
}

/* A theta beside the object and one within it must be the same. */
static lsp_status read_theta(const lsp_source *config, const lsp_source *s,
                             lsp_rope *rope) {
  double outer = rope->theta, inner = 0;
  LSP_TRY(lsp__source_real(config, "rope_theta", 1, 1e30, &outer));
  if (s->json != NULL)
    LSP_TRY(lsp__source_real(s, "rope_theta", 1, 1e30, &inner));
  if (inner > 0 && lsp__source_get(config, "rope_theta") != NULL && inner != outer)
    return lsp__source_refuse(s, "rope_theta", lsp__source_get(s, "rope_theta"),
                              "what the outer \"rope_theta\" says (%g), or one of the "
                              "two alone",
                              outer);
  rope->theta = inner > 0 ? inner : outer;
  if (rope->theta <= 1)
    return lsp__source_refuse(config, "rope_theta",
                              lsp__source_get(config, "rope_theta"),
                              "a number above 1");
  return LSP_OK;
}

static lsp_status require(const lsp_source *s, const char *key, double value) {
  if (value > 0)
    return LSP_OK;
  return lsp__source_refuse(s, key, lsp__source_get(s, key),
                            "a number above 0, which this rope_type needs");
}

static lsp_status check(const lsp_source *s, const lsp_rope *rope) {
  if (rope->type != LSP_ROPE_DEFAULT)
    LSP_TRY(require(s, "factor", rope->factor));
  if (rope->type != LSP_ROPE_LLAMA3)
    return LSP_OK;
  LSP_TRY(require(s, "low_freq_factor", rope->low_freq_factor));
  LSP_TRY(require(s, "high_freq_factor", rope->high_freq_factor));
  LSP_TRY(require(s, "original_max_position_embeddings",
                  rope->original_max_position_embeddings));
  if (rope->high_freq_factor <= rope->low_freq_factor)
    return lsp__source_refuse(
        s, "high_freq_factor", lsp__source_get(s, "high_freq_factor"),
        "more than low_freq_factor, which is %g", rope->low_freq_factor);
  return LSP_OK;
}

enum {
  LINEAR = 1 << LSP_ROPE_LINEAR,
  LLAMA3 = 1 << LSP_ROPE_LLAMA3,
  YARN = 1 << LSP_ROPE_YARN
};

lsp_status lsp__rope_read(const lsp_source *config, int64_t positions, lsp_rope *rope) {
  lsp_source s;
  rope->truncate = 1;
  LSP_TRY(find_object(config, &s));
  LSP_TRY(read_theta(config, &s, rope));
  if (s.json == NULL)
    return LSP_OK;
  LSP_TRY(refuse_several(&s));
  LSP_TRY(read_type(&s, rope));
  LSP_TRY(check_partial(&s));
#define READ(name, low, high, types)                                                   \
  if (((types) >> rope->type & 1) != 0)                                                \
    LSP_TRY(lsp__source_real(&s, #name, low, high, &rope->name));
  LSP_ROPE_REALS(READ)
#undef READ
  if (rope->type == LSP_ROPE_YARN)
    LSP_TRY(lsp__source_switch(&s, "truncate", &rope->truncate));
  LSP_TRY(check(&s, rope));
  if (rope->type == LSP_ROPE_YARN && rope->original_max_position_embeddings <= 0)
    rope->original_max_position_embeddings = (double)positions;
  return LSP_OK;
}

/* --- frequencies ----------------------------------------------------------------- */

/* Shares of both between the two wave lengths. */
static double llama3(const lsp_rope *r, double f) {
  const double waves = r->original_max_position_embeddings * f / (2 * pi);
  const double low = r->low_freq_factor, high = r->high_freq_factor;
  if (waves < low)
    return f / r->factor;
  if (waves > high)
    return f;
  const double share = (waves - low) / (high - low);
  return (1 - share) * f / r->factor + share * f;
}

/* The i whose frequency turns so many times within the length of the training. */
static double turning(const lsp_rope *r, int width, double times) {
  return width * log(r->original_max_position_embeddings / (times * 2 * pi)) /
         (2 * log(r->theta));
}

static void yarn(const lsp_rope *r, int width, double *frequency) {
  double low = turning(r, width, r->beta_fast > 0 ? r->beta_fast : 32);
  double high = turning(r, width, r->beta_slow > 0 ? r->beta_slow : 1);
  if (r->truncate) {
    low = floor(low);
    high = ceil(high);
  }
  low = fmax(low, 0);
  high = fmin(high, width - 1);
  if (low == high)
    high += 0.001;
  for (int i = 0; i < width / 2; i++) {
    const double ramp = fmin(fmax((i - low) / (high - low), 0), 1);
    frequency[i] = frequency[i] / r->factor * ramp + frequency[i] * (1 - ramp);
  }
}

void lsp__rope_frequencies(const lsp_rope *r, int width, double *frequency) {
  for (int i = 0; i < width / 2; i++) {
    frequency[i] = pow(r->theta, -2.0 * i / width);
    if (r->type == LSP_ROPE_LINEAR)
      frequency[i] /= r->factor;
    if (r->type == LSP_ROPE_LLAMA3)
      frequency[i] = llama3(r, frequency[i]);
  }
  if (r->type == LSP_ROPE_YARN)
    yarn(r, width, frequency);
}

static double magnitude(double factor, double scale) {
  return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

double lsp__rope_attention(const lsp_rope *r) {
  if (r->type != LSP_ROPE_YARN)
    return 1;
  if (r->attention_factor > 0)
    return r->attention_factor;
  if (r->mscale > 0 && r->mscale_all_dim > 0)
    return magnitude(r->factor, r->mscale) / magnitude(r->factor, r->mscale_all_dim);
  return magnitude(r->factor, 1);
}

json_t *lsp__rope_json(const lsp_rope *r) {
  json_t *list = json_pack("[i, f, i]", (int)r->type, r->theta, r->truncate);
#define PUT(name, ...)                                                                 \
  if (list != NULL)                                                                    \
    (void)json_array_append_new(list, json_real(r->name));
  LSP_ROPE_REALS(PUT)
#undef PUT
  return list;
}
