/* What a layer keeps and borrows. */
#include "convolved.h"
#include "last_memory.h"
#include "search.h"
#include "sizes_internal.h"

#include "lsp/attend.h"
#include "lsp/memory.h"

/* Rows back that scores with positions reach: those of a store have none. */
static int64_t reach_with_positions(const lsp_layer *layer) {
  int64_t most = 0;
  for (int b = 0; b < layer->branches; b++) {
    const lsp_pattern *p = &layer->branch[b];
    const int64_t reach =
        p->kind == LSP_PATTERN_STORE ? 0 : lsp_pattern_of(p)->reach(p);
    if (reach == LSP_REACH_ALL)
      return LSP_REACH_ALL;
    most = lsp_max(most, reach);
  }
  return most;
}

int64_t lsp_sizes_strips(const lsp_layer *layer) {
  const int64_t reach = reach_with_positions(layer), clamp = layer->position.clamp;
  if (layer->position.kind != LSP_POSITION_RELATIVE)
    return 0;
  const int64_t at_clamp = clamp > 0 ? clamp / LSP_BLOCK + 1 : INT64_MAX;
  if (reach == LSP_REACH_ALL || lsp_layer_fixed(layer) > 0)
    return clamp > 0 ? at_clamp : -1;
  return lsp_min(lsp_divide_up(reach, LSP_BLOCK) + 1, at_clamp);
}

static int has_strata(const lsp_model *m) {
  lsp_stratum stratum[LSP_STRATA_MAX];
  for (int i = 0; i < m->layers; i++)
    if (lsp_layer_strata(&m->layer[i], stratum) > 0)
      return 1;
  return 0;
}

/* Rows of the past that a layer keeps. Where a layer of the model keeps the first rows of a
 * document, or pooled rows, all layers do, and at least the last row: snapshots are alike
 * in all layers. */
static int64_t reach_of(const lsp_model *m, int layer) {
  if (m->two_sided || m->wrapper.kind != LSP_WRAP_NONE)
    return 0; /* no snapshots, or without keys: frames end with themselves */
  const int64_t reach = lsp_layer_reach(&m->layer[layer]);
  return reach == 0 && (lsp_sizes_fixed(m) > 0 || has_strata(m)) ? 1 : reach;
}

/* Groups of pooled rows are as long as what is looked back to, but no longer than those of
 * tiles: a short reach takes little room. */
static lsp_stratum_sizes stratum_of(lsp_stratum s, int64_t longest, int64_t ranks) {
  enum { GROUP = LSP_GROUP * LSP_BLOCK };
  const int64_t most = longest / s.unit;
  const int64_t reach = s.reach == LSP_REACH_ALL ? most : lsp_min(s.reach, most);
  const int64_t rows = lsp_divide_up(lsp_max(reach, 1), LSP_BLOCK) * LSP_BLOCK;
  lsp_stratum_sizes z = {
      .is = s, .reach = reach, .grain = {s.unit, lsp_min(rows, GROUP)}};
  z.groups = lsp_grain_groups(z.grain, reach, ranks);
  return z;
}

/* Blocks of one key/value head that the queries of a block pick at most. */
static int64_t picks_of_block(const lsp_layer *l) {
  int64_t parts = 0;
  for (int b = 0; b < l->branches; b++) {
    const lsp_pattern *p = &l->branch[b];
    if (p->kind == LSP_PATTERN_RANDOM)
      parts += (int64_t)l->heads.query * p->blocks;
    if (p->kind == LSP_PATTERN_CHOSEN)
      parts += (int64_t)l->heads.shared * p->blocks;
    if (p->kind == LSP_PATTERN_SELECTED)
      parts += (int64_t)l->heads.shared * LSP_BLOCK * (p->blocks - 1);
  }
  return parts;
}

/* Room for what is fetched: at least what a panel picks, at most all within reach. One rank
 * has everything itself, and so has each in a two-sided model, as far as it reaches. */
static int64_t parts_of(const lsp_model *m, const lsp_layer *l, int64_t tiles,
                        int64_t ranks) {
  if (ranks == 1 || m->two_sided || !lsp_layer_picks(l))
    return 0;
  const int64_t part = lsp_tile_head(l->heads) * (int64_t)sizeof(float);
  const int64_t panel = LSP_PANEL / LSP_BLOCK * picks_of_block(l);
  return lsp_min(tiles * l->heads.shared, lsp_max(panel, LSP_PICKED_BYTES / part));
}

/* Of a block of queries: numbers of the blocks that they choose. */
static int64_t choices_of(const lsp_layer *l) {
  const lsp_pattern *p = lsp_layer_chooser(l);
  if (p == NULL)
    return 0;
  return (int64_t)l->heads.shared * (p->kind == LSP_PATTERN_CHOSEN
                                         ? p->blocks
                                         : LSP_BLOCK * (int64_t)(p->blocks - 1));
}

static void store_of(const lsp_layer *l, int64_t longest, lsp_layer_sizes *s) {
  const lsp_pattern *store = lsp_store_of(l);
  if (store == NULL)
    return;
  s->neighbours = store->neighbours;
  s->turns = !store->rotated && l->position.kind == LSP_POSITION_ROTARY;
  for (int b = 0; b < l->branches; b++) {
    const int64_t near = lsp_pattern_near(&l->branch[b]);
    if (&l->branch[b] != store)
      s->beside = lsp_max(s->beside, near == LSP_REACH_ALL ? longest : near);
  }
}

/* Of frames that no wave and no span divides nothing is kept or borrowed. */
static void alone(lsp_layer_sizes *s) {
  s->near_tiles = s->room = s->parts = 0;
  for (int k = 0; k < s->strata; k++)
    s->stratum[k].reach = s->stratum[k].groups = 0;
}

static lsp_layer_sizes layer_of(const lsp_model *m, int i, int64_t longest,
                                int64_t ranks) {
  const lsp_layer *l = &m->layer[i];
  lsp_layer_sizes s = {.tile = lsp_tile_floats(l->heads)};
  const int64_t reach = reach_of(m, i);
  s.reach = reach == LSP_REACH_ALL ? longest : lsp_min(reach, longest);
  s.tiles = lsp_divide_up(s.reach, LSP_BLOCK);
  const int64_t near = lsp_layer_near(l);
  s.near = near == LSP_REACH_ALL ? longest : lsp_min(near, longest);
  s.near_tiles = lsp_divide_up(s.near, LSP_BLOCK);
  s.parts = parts_of(m, l, s.tiles, ranks);
  s.picks = picks_of_block(l);
  s.choices = choices_of(l);
  store_of(l, longest, &s);
  s.fixed = lsp_divide_up(lsp_sizes_fixed(m), LSP_BLOCK);
  s.groups = lsp_kept_groups(s.tiles, ranks);
  s.strips = lsp_sizes_strips(l);
  lsp_stratum stratum[LSP_STRATA_MAX];
  s.strata = lsp_layer_strata(l, stratum);
  /* Blocks are attended in one go where they pick some of the past, or look at means. */
  s.room = lsp_layer_picks(l) || s.strata > 0 ? s.near_tiles
                                              : lsp_min(s.near_tiles, LSP_ROUND_TILES);
  lsp_part part[LSP_PARTS_OF_LAYER];
  s.state = lsp_parts_bytes(part, lsp_memory_parts_of(m, i, part));
  s.pooled = (int64_t)2 * l->heads.shared * l->heads.width;
  for (int k = 0; k < s.strata; k++)
    s.stratum[k] = stratum_of(stratum[k], longest, ranks);
  if (m->two_sided)
    lsp_sizes_ahead(m, i, longest, ranks, &s);
  else if (m->wrapper.kind != LSP_WRAP_NONE)
    alone(&s);
  return s;
}

/* A record of the journal counts them in 31 bits. */
static lsp_status check_pooled(const lsp_model *model, int64_t longest,
                               lsp_failure *why) {
  const int64_t rows = lsp_sizes_fixed(model) + lsp_sizes_pooled(model, longest);
  if (rows <= INT32_MAX)
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_LIMIT,
      "the model looks back to %lld means of keys and values, and a snapshot "
      "holds at most 2147483647; give its levels smaller windows, its compressed "
      "branches smaller reaches or larger pools",
      (long long)rows);
}

static void place_strata(lsp_layer_sizes *y, int64_t *ring, int64_t *opening) {
  for (int k = 0; k < y->strata; k++) {
    lsp_stratum_sizes *s = &y->stratum[k];
    s->ring_at = *ring;
    s->opening_at = *opening;
    *ring += lsp__ring_floats(y, s);
    *opening += lsp__opening_rows(s) * y->pooled;
  }
}

/* Chosen blocks are written, and kept until then, as numbers of 32 bits. */
static lsp_status check_choices(int layer, int64_t longest, lsp_failure *why) {
  const int64_t most = (int64_t)INT32_MAX * LSP_BLOCK;
  if (longest <= most)
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_LIMIT,
      "layer %d chooses among the blocks of a text of %lld rows, and longspan "
      "counts them as far as row %lld; cut the text into documents, or read "
      "it in pieces (--context chunks:N)",
      layer, (long long)longest, (long long)most);
}

lsp_status lsp_sizes_layers(const lsp_model *model, int64_t longest, int64_t ranks,
                            lsp_layer_sizes *layer, lsp_failure *why) {
  int64_t ring = 0, wait = 0, fixed = 0, opening = 0, rows = 0, rows_opening = 0;
  for (int i = 0; i < model->layers; i++) {
    lsp_layer_sizes *s = &layer[i];
    *s = layer_of(model, i, longest, ranks);
    if (s->strips < 0)
      return lsp_fail(
          why, LSP_E_LIMIT,
          "layer %d looks back without end with relative positions, and a "
          "table of their distances takes %.0f MiB for every million tokens; "
          "give the model a clamp_len, or rotary positions",
          i,
          4e6 * model->layer[i].heads.query * model->layer[i].heads.width / (1 << 20));
    if (s->choices > 0)
      LSP_TRY(check_choices(i, longest, why));
    s->ring_at = ring;
    s->fixed_at = fixed;
    s->opening_at = opening;
    s->wait_at = wait;
    ring += lsp_sizes_ring(s);
    wait += lsp_sizes_wait(model, i, s);
    fixed += s->fixed * s->tile;
    opening += LSP_PANEL / LSP_BLOCK * s->tile;
    place_strata(s, &rows, &rows_opening);
  }
  return check_pooled(model, longest, why);
}

int64_t lsp_sizes_ring_used(const lsp_layer_sizes *y, int64_t tiles, int64_t ranks) {
  return lsp_min(y->groups, lsp_kept_groups(tiles, ranks)) * LSP_GROUP * y->tile;
}

int64_t lsp_sizes_slots(const lsp_layer *layer) {
  const lsp_pattern *p = lsp_layer_slots(layer);
  return p == NULL ? 0
                   : lsp_divide_up(p->slots, LSP_BLOCK) * lsp_tile_floats(layer->heads);
}

int64_t lsp_sizes_tail(const lsp_model *m, int i) {
  const lsp_vocabulary *v = &m->words;
  return lsp__padded(lsp_divide_up(v->cut[i + 1] - v->cut[i], LSP_BLOCK) * LSP_BLOCK *
                     v->cluster[i].width);
}

int64_t lsp_sizes_projection(const lsp_model *m, int i) {
  const lsp_cluster *k = &m->words.cluster[i];
  return m->words.projected ? lsp__padded((int64_t)m->width * k->width) : 0;
}

/* Zeros that stand for absent biases. */
static int64_t widest_bias(const lsp_model *m) {
  int64_t most = m->width;
  for (int i = 0; i < m->layers; i++)
    most = lsp_max(most, m->layer[i].heads.width);
  return lsp__padded(most);
}

int64_t lsp_sizes_prepared(const lsp_model *m) {
  int64_t floats = widest_bias(m) + lsp__padded(lsp_last_tiles(m)) +
                   lsp__padded(m->last.slots > 0 ? m->width : 0);
  for (int i = 0; i < m->layers; i++) {
    const lsp_layer *l = &m->layer[i];
    floats += lsp__padded(lsp_strip_floats(l->heads, lsp_max(0, lsp_sizes_strips(l)))) +
              lsp__padded(lsp_tile_floats(l->heads)) +
              lsp__padded((int64_t)LSP_BRANCHES_MAX * l->heads.query) +
              lsp__padded(lsp_sizes_slots(l)) + lsp__padded(lsp_convolved_matrices(l)) +
              lsp__padded(lsp_convolved_constant(l));
  }
  for (int i = 1; i < m->words.clusters; i++)
    floats += lsp_sizes_tail(m, i);
  for (int i = 0; i < m->words.clusters; i++)
    floats += 2 * lsp_sizes_projection(m, i);
  return floats;
}

int64_t lsp_sizes_layer_reach(const lsp_model *m, int layer, int64_t longest) {
  const int64_t reach = reach_of(m, layer);
  return reach == LSP_REACH_ALL ? longest : reach;
}

int64_t lsp_sizes_reach(const lsp_model *m, int64_t longest) {
  int64_t most = 0;
  for (int i = 0; i < m->layers; i++)
    most = lsp_max(most, lsp_sizes_layer_reach(m, i, longest));
  return most;
}

int64_t lsp_sizes_fixed(const lsp_model *m) {
  int64_t most = 0;
  if (m->wrapper.kind != LSP_WRAP_NONE)
    return 0;
  for (int i = 0; i < m->layers && !m->two_sided; i++)
    most = lsp_max(most, lsp_layer_fixed(&m->layer[i]));
  return most;
}

/* Rows of a stratum in a snapshot, but for one that looks back without end: it has none. */
static int64_t bounded_rows(const lsp_stratum *s) {
  const int64_t most = (int64_t)1
                       << 40; /* no snapshot has more: their sum is a number */
  return (s->reach == LSP_REACH_ALL ? 0 : lsp_min(s->reach, most)) + (s->below < 0);
}

int64_t lsp_sizes_pooled(const lsp_model *m, int64_t longest) {
  int64_t most = 0;
  if (m->wrapper.kind != LSP_WRAP_NONE)
    return 0;
  for (int i = 0; i < m->layers; i++) {
    lsp_stratum stratum[LSP_STRATA_MAX];
    const int n = lsp_layer_strata(&m->layer[i], stratum);
    int64_t rows = 0;
    for (int k = 0; k < n; k++)
      rows += bounded_rows(&stratum[k]) +
              (stratum[k].reach == LSP_REACH_ALL ? longest / stratum[k].unit : 0);
    most = lsp_max(most, rows);
  }
  return most;
}

int64_t lsp_sizes_pooled_rows(const lsp_model *m, int layer, int k, int64_t all) {
  lsp_stratum stratum[LSP_STRATA_MAX];
  const int n = lsp_layer_strata(&m->layer[layer], stratum);
  if (stratum[k].reach != LSP_REACH_ALL)
    return stratum[k].reach;
  for (int i = 0; i < n; i++)
    all -= bounded_rows(&stratum[i]);
  return all;
}

int64_t lsp_sizes_pooled_at(const lsp_model *m, int layer, int k, int64_t all) {
  lsp_stratum stratum[LSP_STRATA_MAX];
  int64_t at = 0;
  (void)lsp_layer_strata(&m->layer[layer], stratum);
  for (int i = 0; i < k; i++)
    at += lsp_sizes_pooled_rows(m, layer, i, all) + (stratum[i].below < 0);
  return at;
}
