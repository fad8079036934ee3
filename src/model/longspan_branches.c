/* A branch of a layer: of each type its keys, and what their values must be. */
#include "longspan.h"

#include <stdlib.h>

/* Rows that a mean is of, at most. */
enum { POOL_MOST = LSP_GRID_BLOCK };

/* The coarsest level averages at most two to this many positions. */
enum { UNIT_BITS_MOST = 40 };

/* Blocks that a pattern may look back at most. */
#define BLOCKS_BACK_MOST (SPAN_WINDOW_MAX / LSP_GRID_BLOCK)

/* Distances of soft spans are exact in float32 up to this. */
enum { SPAN_SOFT_MOST = 1 << 24 };

typedef lsp_status read_branch(const lsp_source *s, span_config *c, lsp_pattern *p);

/* --- values that several types have ---------------------------------------------- */

/* A list of at most `most` numbers, which the config owns; *count is 0 if it is missing. */
static lsp_status read_list(const lsp_source *s, span_config *c, const char *key,
                            int64_t low, int64_t high, int most, const int64_t **list,
                            int *count) {
  span_list *l = malloc(sizeof *l + (size_t)most * sizeof l->value[0]);
  *count = 0;
  if (l == NULL)
    return lsp_fail(s->why, LSP_E_MEMORY, "%s: no memory to read it", s->path);
  l->next = c->lists;
  c->lists = l;
  *list = l->value;
  return lsp__source_ints(s, key, low, high, l->value, most, count);
}

static lsp_status read_normalize(const lsp_source *s, lsp_pattern *p) {
  static const char *const words[] = {"softmax", "none", NULL};
  int word = 0;
  LSP_TRY(lsp__source_word(s, "normalize", 0, words, &word));
  p->normalize = word == 0 ? LSP_NORMALIZE_SOFTMAX : LSP_NORMALIZE_NONE;
  return LSP_OK;
}

static lsp_status read_pool(const lsp_source *s, int required, lsp_pattern *p) {
  const json_t *given = lsp__source_get(s, "pool");
  const json_int_t pool =
      given == NULL && !required ? POOL_MOST : json_integer_value(given);
  if (pool < 2 || pool > POOL_MOST || (pool & (pool - 1)) != 0)
    return lsp__source_refuse(s, "pool", given, "a power of two from 2 to %d",
                              POOL_MOST);
  p->pool = (int)pool;
  return LSP_OK;
}

static lsp_status read_blocks(const lsp_source *s, lsp_pattern *p) {
  int64_t blocks = 0;
  LSP_TRY(lsp__source_int(s, "blocks", 1, 1, LSP_PICKS_MAX, &blocks));
  p->blocks = (int)blocks;
  return LSP_OK;
}

/* Blocks that are picked among those within reach. sides: 2 where they may be ahead. */
static lsp_status read_picks(const lsp_source *s, int sides, lsp_pattern *p) {
  LSP_TRY(read_blocks(s, p));
  LSP_TRY(lsp__source_int(s, "reach", 1, 1, BLOCKS_BACK_MOST, &p->block_reach));
  LSP_TRY(lsp__source_int(s, "beyond", 0, 0, BLOCKS_BACK_MOST, &p->beyond));
  if (p->beyond >= p->block_reach)
    return lsp__source_refuse(s, "beyond", lsp__source_get(s, "beyond"),
                              "less than \"reach\", which is %lld",
                              (long long)p->block_reach);
  const int64_t candidates = sides * (p->block_reach - p->beyond);
  if (p->blocks > candidates)
    return lsp__source_refuse(
        s, "blocks", lsp__source_get(s, "blocks"),
        "at most the %lld block%s in reach (\"reach\" less \"beyond\"%s)",
        (long long)candidates, candidates == 1 ? "" : "s",
        sides > 1 ? ", to both sides" : "");
  return LSP_OK;
}

/* --- types ----------------------------------------------------------------------- */

static lsp_status read_full(const lsp_source *s, span_config *c, lsp_pattern *p) {
  (void)c;
  return read_normalize(s, p);
}

static lsp_status read_windows(const lsp_source *s, span_config *c, lsp_pattern *p) {
  const int H = (int)c->num_attention_heads;
  const json_t *list = lsp__source_get(s, "window");
  int count = 0;
  if (json_array_size(list) != (size_t)H)
    return lsp__source_refuse(
        s, "window", list,
        "an integer, or a list of %d (num_attention_heads), not of %zu", H,
        json_array_size(list));
  LSP_TRY(read_list(s, c, "window", 1, SPAN_WINDOW_MAX, H, &p->windows, &count));
  for (int h = 0; h < count; h++)
    p->window = lsp_max(p->window, p->windows[h]);
  return LSP_OK;
}

static lsp_status read_local(const lsp_source *s, span_config *c, lsp_pattern *p) {
  const json_t *dilation = lsp__source_get(s, "dilation");
  LSP_TRY(read_normalize(s, p));
  if (dilation != NULL && json_integer_value(dilation) != 1)
    return lsp__source_refuse(
        s, "dilation", dilation,
        "1: longspan has no dilated windows; use levels or random");
  if (json_is_array(lsp__source_get(s, "window")))
    return read_windows(s, c, p);
  return lsp__source_int(s, "window", 1, 1, SPAN_WINDOW_MAX, &p->window);
}

static lsp_status read_fixed(const lsp_source *s, span_config *c, lsp_pattern *p) {
  static const char *const words[] = {"text", "window", NULL};
  LSP_TRY(lsp__source_int(s, "sinks", 1, 1, LSP_SINKS_MAX, &p->sinks));
  LSP_TRY(lsp__source_word(s, "place", 0, words, &p->in_window));
  if (p->in_window && !c->causal)
    return lsp__source_refuse(s, "place", lsp__source_get(s, "place"),
                              "\"text\", since \"causal\" is false");
  return LSP_OK;
}

static lsp_status read_recurrence(const lsp_source *s, span_config *c, lsp_pattern *p) {
  (void)c;
  LSP_TRY(read_normalize(s, p));
  LSP_TRY(lsp__source_switch(s, "same_length", &p->same_length));
  LSP_TRY(lsp__source_int(s, "segment", 1, 1, SPAN_WINDOW_MAX, &p->segment));
  return lsp__source_int(s, "memory", 1, p->same_length ? 1 : 0, SPAN_WINDOW_MAX,
                         &p->memory);
}

static lsp_status read_positions(const lsp_source *s, span_config *c, lsp_pattern *p) {
  const json_t *list = lsp__source_get(s, "positions");
  LSP_TRY(read_list(s, c, "positions", 0, LSP_SINKS_MAX - 1, LSP_SINKS_MAX,
                    &p->positions, &p->position_count));
  if (p->position_count == 0)
    return lsp__source_refuse(s, "positions", list, "at least one position");
  for (int i = 1; i < p->position_count; i++)
    if (p->positions[i] <= p->positions[i - 1])
      return lsp__source_refuse(
          s, "positions", list, "rising positions, but %lld comes after %lld",
          (long long)p->positions[i], (long long)p->positions[i - 1]);
  return LSP_OK;
}

static lsp_status read_global(const lsp_source *s, span_config *c, lsp_pattern *p) {
  static const char *const words[] = {"shared", "own", NULL};
  const json_t *tokens = lsp__source_get(s, "tokens");
  const json_t *positions = lsp__source_get(s, "positions");
  LSP_TRY(lsp__source_word(s, "projections", 0, words, &p->own_projections));
  if (p->own_projections && c->causal)
    return lsp__source_refuse(
        s, "projections", lsp__source_get(s, "projections"),
        "\"shared\": only in a two-sided model (\"causal\" false) "
        "do global rows have projections of their own");
  if (tokens != NULL && positions != NULL)
    return lsp__source_refuse(s, "positions", positions,
                              "either it or \"tokens\" (the first rows), not both");
  if (tokens == NULL && positions == NULL)
    return lsp__source_refuse(
        s, "tokens", NULL, "either it (so many first rows) or \"positions\" (a list)");
  if (positions != NULL)
    return read_positions(s, c, p);
  return lsp__source_int(s, "tokens", 1, 1, LSP_SINKS_MAX, &p->sinks);
}

static lsp_status read_random(const lsp_source *s, span_config *c, lsp_pattern *p) {
  int64_t seed = 0;
  LSP_TRY(lsp__source_int(s, "seed", 0, 0, UINT32_MAX, &seed));
  p->seed = (uint64_t)seed;
  return read_picks(s, c->causal ? 1 : 2, p);
}

static lsp_status read_chosen(const lsp_source *s, span_config *c, lsp_pattern *p) {
  (void)c;
  return read_picks(s, 1, p);
}

static lsp_status read_compressed(const lsp_source *s, span_config *c, lsp_pattern *p) {
  (void)c;
  LSP_TRY(read_pool(s, 0, p));
  return lsp__source_int(s, "reach", 0, 0, SPAN_WINDOW_MAX, &p->block_reach);
}

static lsp_status read_selected(const lsp_source *s, span_config *c, lsp_pattern *p) {
  (void)c;
  return read_blocks(s, p);
}

static lsp_status read_levels(const lsp_source *s, span_config *c, lsp_pattern *p) {
  int64_t levels = 0;
  (void)c;
  LSP_TRY(read_pool(s, 1, p));
  LSP_TRY(lsp__source_int(s, "window", 1, 1, SPAN_WINDOW_MAX, &p->window));
  LSP_TRY(lsp__source_int(s, "levels", 1, 1, LSP_LEVELS_MAX, &levels));
  p->levels = (int)levels;
  if (p->window % p->pool != 0)
    return lsp__source_refuse(s, "window", lsp__source_get(s, "window"),
                              "a multiple of \"pool\", which is %d", p->pool);
  const int most = UNIT_BITS_MOST / __builtin_ctz((unsigned)p->pool);
  if (levels > most)
    return lsp__source_refuse(
        s, "levels", lsp__source_get(s, "levels"),
        "at most %d: with \"pool\" %d more would average more than 2^%d positions",
        most, p->pool, UNIT_BITS_MOST);
  return LSP_OK;
}

static lsp_status read_dynamic(const lsp_source *s, span_config *c, lsp_pattern *p) {
  (void)c;
  LSP_TRY(lsp__source_int(s, "window", 1, 1, SPAN_SOFT_MOST, &p->window));
  return lsp__source_int(s, "ramp", 1, 1, SPAN_SOFT_MOST, &p->ramp);
}

static lsp_status read_learned(const lsp_source *s, span_config *c, lsp_pattern *p) {
  (void)c;
  LSP_TRY(read_normalize(s, p));
  return lsp__source_int(s, "slots", 1, 1, LSP_SLOTS_MAX, &p->slots);
}

static lsp_status read_store(const lsp_source *s, span_config *c, lsp_pattern *p) {
  static const char *const keys[] = {"plain", "rotated", NULL};
  static const char *const similarities[] = {"scaled", "cosine", NULL};
  int64_t neighbours = 0;
  (void)c;
  LSP_TRY(lsp__source_int(s, "memory", 1, 0, SPAN_WINDOW_MAX, &p->memory));
  LSP_TRY(lsp__source_int(s, "segment", 1, 1, SPAN_WINDOW_MAX, &p->segment));
  LSP_TRY(lsp__source_int(s, "neighbours", 1, 1, LSP_NEIGHBOURS_MAX, &neighbours));
  p->neighbours = (int)neighbours;
  LSP_TRY(lsp__source_word(s, "keys", 0, keys, &p->rotated));
  return lsp__source_word(s, "similarity", 0, similarities, &p->cosine);
}

static lsp_status read_compressed_past(const lsp_source *s, span_config *c,
                                       lsp_pattern *p) {
  static const char *const words[] = {"mean", "convolution", NULL};
  (void)c;
  LSP_TRY(read_pool(s, 1, p));
  LSP_TRY(lsp__source_word(s, "compress", 0, words, &p->convolved));
  return lsp__source_int(s, "rows", 0, 0, SPAN_WINDOW_MAX, &p->block_reach);
}

static lsp_status read_compressive(const lsp_source *s, span_config *c,
                                   lsp_pattern *p) {
  static const char *const rules[] = {"linear", "delta", NULL};
  static const char *const heads[] = {"grouped", "tiled", NULL};
  (void)c;
  LSP_TRY(lsp__source_int(s, "segment", 1, 1, SPAN_WINDOW_MAX, &p->segment));
  LSP_TRY(lsp__source_word(s, "rule", 0, rules, &p->delta));
  return lsp__source_word(s, "heads", 0, heads, &p->tiled);
}

/* --- the table ------------------------------------------------------------------- */

/* Of each type, how it is read, whether a two-sided model may have it, and its keys. */
static const struct {
  read_branch *read;
  int two_sided;
  const char *const keys[8];
} branch_table[LSP_PATTERNS] = {
    [LSP_PATTERN_FULL] = {read_full, 1, {"type", "normalize"}},
    [LSP_PATTERN_LOCAL] = {read_local, 1, {"type", "window", "normalize", "dilation"}},
    [LSP_PATTERN_FIXED] = {read_fixed, 1, {"type", "sinks", "place"}},
    [LSP_PATTERN_RECURRENCE] =
        {read_recurrence, 0, {"type", "segment", "memory", "same_length", "normalize"}},
    [LSP_PATTERN_GLOBAL] = {read_global,
                            1,
                            {"type", "tokens", "positions", "projections"}},
    [LSP_PATTERN_RANDOM] = {read_random,
                            1,
                            {"type", "blocks", "reach", "beyond", "seed"}},
    [LSP_PATTERN_CHOSEN] = {read_chosen, 0, {"type", "blocks", "reach", "beyond"}},
    [LSP_PATTERN_COMPRESSED] = {read_compressed, 0, {"type", "pool", "reach"}},
    [LSP_PATTERN_SELECTED] = {read_selected, 0, {"type", "blocks"}},
    [LSP_PATTERN_LEVELS] = {read_levels, 0, {"type", "window", "pool", "levels"}},
    [LSP_PATTERN_DYNAMIC] = {read_dynamic, 0, {"type", "window", "ramp"}},
    [LSP_PATTERN_LEARNED] = {read_learned, 0, {"type", "slots", "normalize"}},
    [LSP_PATTERN_STORE] = {read_store,
                           0,
                           {"type", "memory", "segment", "neighbours", "keys",
                            "similarity"}},
    [LSP_PATTERN_COMPRESSED_PAST] = {read_compressed_past,
                                     0,
                                     {"type", "pool", "rows", "compress"}},
    [LSP_PATTERN_COMPRESSIVE] = {read_compressive,
                                 0,
                                 {"type", "segment", "rule", "heads"}},
};

static lsp_status refuse_two_sided(const lsp_source *s) {
  return lsp__source_refuse(s, "type", lsp__source_get(s, "type"),
                            "\"full\", \"local\", \"fixed\", \"global\" or \"random\", "
                            "since \"causal\" is false");
}

lsp_status lsp__span_branch(const lsp_source *s, span_config *c, lsp_pattern *p) {
  const char *types[LSP_PATTERNS + 1] = {NULL};
  int type = 0;
  for (int i = 0; i < LSP_PATTERNS; i++)
    types[i] = lsp_pattern_table[i].name;
  LSP_TRY(lsp__source_word(s, "type", 1, types, &type));
  if (!c->causal && !branch_table[type].two_sided)
    return refuse_two_sided(s);
  LSP_TRY(lsp__source_known(s, branch_table[type].keys));
  p->kind = (lsp_pattern_kind)type;
  p->two_sided = !c->causal;
  return branch_table[type].read(s, c, p);
}
