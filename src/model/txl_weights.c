/* Names of a transfo-xl checkpoint to places in one block of floats, and to views.
 *
 * One list of slots, made from the configuration alone and so the same on every rank,
 * serves the size of the block, the views, and the reading. A slot names the tensor
 * that fills it; what may stand in for it or repeat it is an alias. */
#include "lsp/safetensors.h"
#include "lsp/transfo_xl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 112, LAYER_SLOTS = 13, ALIASES = 3 };

/* What is done when no tensor has the slot's name or an alias of it. */
typedef enum { REQUIRED, COMPUTED } absence;

typedef struct {
  char name[ALIASES][NAME_SIZE]; /* name[0] preferred; the others alike or absent */
  int rank;
  int64_t shape[2];
  int64_t count;
  int64_t offset; /* in the block */
  /* Output projections that may stand in: those of these clusters that are tied. */
  int tied_first, tied_end;
  absence if_absent;
  const float **view; /* NULL when the list is made for reading */
} slot;

typedef struct {
  const lsp_txl_config *config;
  slot *slots;
  int count, room;
  int64_t floats;
  const float *block;
} slot_list;

static slot *add(slot_list *l, int rank, int64_t rows, int64_t cols,
                 const float **view) {
  LSP_ASSERT(l->count < l->room);
  slot *s = &l->slots[l->count++];
  memset(s, 0, sizeof *s);
  s->rank = rank;
  s->shape[0] = rows;
  s->shape[1] = cols;
  s->count = rows * cols;
  s->offset = l->floats;
  s->view = view;
  if (view != NULL && l->block != NULL)
    *view = l->block + s->offset;
  l->floats += (s->count + 15) / 16 * 16; /* every tensor begins on a cache line */
  return s;
}

static void matrix(slot_list *l, const float **view, int64_t rows, int64_t cols,
                   const char *name) {
  (void)snprintf(add(l, 2, rows, cols, view)->name[0], NAME_SIZE, "%s", name);
}

static void layer_slot(slot_list *l, const float **view, int rank, int64_t rows,
                       int64_t cols, int layer, const char *name) {
  slot *s = add(l, rank, rows, cols, view);
  (void)snprintf(s->name[0], NAME_SIZE, "transformer.layers.%d.%s", layer, name);
}

static void layer_slots(slot_list *l, lsp_txl_layer *m, int i) {
  const lsp_txl_config *c = l->config;
  const int64_t D = c->d_model, A = (int64_t)c->n_head * c->d_head, F = c->d_inner;
  layer_slot(l, &m->qkv, 2, 3 * A, D, i, "dec_attn.qkv_net.weight");
  layer_slot(l, &m->r, 2, A, D, i, "dec_attn.r_net.weight");
  layer_slot(l, &m->o, 2, D, A, i, "dec_attn.o_net.weight");
  layer_slot(l, &m->norm1_gain, 1, D, 1, i, "dec_attn.layer_norm.weight");
  layer_slot(l, &m->norm1_bias, 1, D, 1, i, "dec_attn.layer_norm.bias");
  layer_slot(l, &m->ff1, 2, F, D, i, "pos_ff.CoreNet.0.weight");
  layer_slot(l, &m->ff1_bias, 1, F, 1, i, "pos_ff.CoreNet.0.bias");
  layer_slot(l, &m->ff2, 2, D, F, i, "pos_ff.CoreNet.3.weight");
  layer_slot(l, &m->ff2_bias, 1, D, 1, i, "pos_ff.CoreNet.3.bias");
  layer_slot(l, &m->norm2_gain, 1, D, 1, i, "pos_ff.layer_norm.weight");
  layer_slot(l, &m->norm2_bias, 1, D, 1, i, "pos_ff.layer_norm.bias");
  if (c->untie_r) {
    layer_slot(l, &m->u, 2, c->n_head, c->d_head, i, "dec_attn.r_w_bias");
    layer_slot(l, &m->v, 2, c->n_head, c->d_head, i, "dec_attn.r_r_bias");
  }
}

/* Biases that all layers share: under the model's name, or the first layer's. */
static void shared_bias(slot_list *l, const float **view, const char *name) {
  slot *s = add(l, 2, l->config->n_head, l->config->d_head, view);
  (void)snprintf(s->name[0], NAME_SIZE, "transformer.%s", name);
  (void)snprintf(s->name[1], NAME_SIZE, "transformer.layers.0.dec_attn.%s", name);
}

/* Are there projections between embeddings and model? */
static int projected(const lsp_txl_config *c) {
  return c->div_val > 1 || c->d_embed != c->d_model;
}

static void embedding_slots(slot_list *l, lsp_txl *m) {
  const lsp_txl_config *c = l->config;
  /* With div_val 1 one table and one projection serve all clusters. */
  const int tables = c->div_val == 1 ? 1 : c->clusters;
  for (int i = 0; i < tables; i++) {
    const int64_t rows = c->div_val == 1 ? c->vocab_size : c->cut[i + 1] - c->cut[i];
    slot *s = add(l, 2, rows, lsp_txl_width(c, i), &m->cluster[i].embed);
    (void)snprintf(s->name[0], NAME_SIZE, "transformer.word_emb.emb_layers.%d.weight",
                   i);
    if (c->tie_word_embeddings)
      (void)snprintf(s->name[1], NAME_SIZE, "crit.out_layers.%d.weight", i);
  }
  for (int i = 0; i < tables && projected(c); i++) {
    slot *s = add(l, 2, c->d_model, lsp_txl_width(c, i), &m->cluster[i].in_proj);
    (void)snprintf(s->name[0], NAME_SIZE, "transformer.word_emb.emb_projs.%d", i);
    s->tied_first = i;
    s->tied_end = c->div_val == 1 ? c->clusters : i + 1;
  }
}

static void head_slots(slot_list *l, lsp_txl *m) {
  const lsp_txl_config *c = l->config;
  const int tables = c->div_val == 1 ? 1 : c->clusters;
  for (int i = 0; i < tables; i++) {
    const int64_t rows = c->div_val == 1 ? c->vocab_size : c->cut[i + 1] - c->cut[i];
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof name, "crit.out_layers.%d.weight", i);
    if (!c->tie_word_embeddings)
      matrix(l, &m->cluster[i].out, rows, lsp_txl_width(c, i), name);
    slot *s = add(l, 1, rows, 1, &m->cluster[i].out_bias);
    (void)snprintf(s->name[0], NAME_SIZE, "crit.out_layers.%d.bias", i);
  }
  for (int i = 0; i < c->clusters && projected(c); i++) {
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof name, "crit.out_projs.%d", i);
    if (!c->tie_proj[i])
      matrix(l, &m->cluster[i].out_proj, c->d_model, lsp_txl_width(c, i), name);
  }
  if (c->clusters > 1) {
    matrix(l, &m->cluster_weight, c->clusters - 1, c->d_embed, "crit.cluster_weight");
    (void)snprintf(add(l, 1, c->clusters - 1, 1, &m->cluster_bias)->name[0], NAME_SIZE,
                   "crit.cluster_bias");
  }
}

static lsp_status list_slots(slot_list *l, const lsp_txl_config *c, const float *block,
                             lsp_txl *model, lsp_failure *why) {
  memset(l, 0, sizeof *l);
  l->config = c;
  l->block = block;
  l->room = c->n_layer * LAYER_SLOTS + 6 * LSP_TXL_CLUSTERS_MAX + 8;
  l->slots = calloc((size_t)l->room, sizeof *l->slots);
  if (l->slots == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for the list of tensors");
  embedding_slots(l, model);
  for (int i = 0; i < c->n_layer; i++)
    layer_slots(l, &model->layer[i], i);
  if (!c->untie_r) {
    shared_bias(l, &model->layer[0].u, "r_w_bias");
    shared_bias(l, &model->layer[0].v, "r_r_bias");
  }
  head_slots(l, model);
  slot *s = add(l, 1, c->d_model / 2, 1, &model->inv_freq);
  (void)snprintf(s->name[0], NAME_SIZE, "transformer.pos_emb.inv_freq");
  s->if_absent = COMPUTED;
  return LSP_OK;
}

/* Views that are another tensor's: ties, and the shares of a table that serves all.
 * Without a block (dealt 0) sizes alone. */
static void tie_views(lsp_txl *m, int dealt) {
  const lsp_txl_config *c = &m->config;
  for (int i = 0; i < c->n_layer && !c->untie_r; i++) {
    m->layer[i].u = m->layer[0].u;
    m->layer[i].v = m->layer[0].v;
  }
  for (int i = 0; i < c->clusters; i++) {
    lsp_txl_cluster *k = &m->cluster[i];
    const int own = c->div_val > 1 || i == 0;
    k->width = lsp_txl_width(c, i);
    k->rows = c->cut[i + 1] - c->cut[i];
    if (!dealt)
      continue;
    if (!own) {
      k->embed = m->cluster[0].embed + c->cut[i] * k->width;
      k->in_proj = m->cluster[0].in_proj;
      k->out_bias = m->cluster[0].out_bias + c->cut[i];
    }
    if (c->tie_word_embeddings)
      k->out = k->embed;
    else if (!own)
      k->out = m->cluster[0].out + c->cut[i] * k->width;
    if (projected(c) && c->tie_proj[i])
      k->out_proj = k->in_proj;
  }
}

static lsp_status make(const lsp_txl_config *c, const float *block, lsp_txl *model,
                       slot_list *l, lsp_failure *why) {
  memset(model, 0, sizeof *model);
  model->config = *c;
  model->layer = calloc((size_t)c->n_layer, sizeof *model->layer);
  if (model->layer == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for %d layers", c->n_layer);
  LSP_TRY(list_slots(l, c, block, model, why));
  tie_views(model, block != NULL);
  return LSP_OK;
}

int64_t lsp_txl_floats(const lsp_txl_config *config) {
  lsp_txl model;
  slot_list l;
  memset(&l, 0, sizeof l);
  const lsp_status st = make(config, NULL, &model, &l, NULL);
  free(l.slots);
  lsp_txl_close(&model);
  return st == LSP_OK ? l.floats : -1;
}

lsp_status lsp_txl_open(const lsp_txl_config *config, const float *block,
                        lsp_txl *model, lsp_failure *why) {
  slot_list l;
  memset(&l, 0, sizeof l);
  const lsp_status st = make(config, block, model, &l, why);
  free(l.slots);
  if (st != LSP_OK)
    lsp_txl_close(model);
  return st;
}

void lsp_txl_close(lsp_txl *model) {
  free(model->layer);
  model->layer = NULL;
}

typedef struct {
  const lsp_checkpoint *checkpoint;
  const char *dir;
  unsigned char *used; /* (tensors) */
  lsp_failure *why;
} reading;

static lsp_status check_shape(const reading *r, const slot *s, const lsp_tensor *t) {
  int same = t->rank == s->rank;
  for (int i = 0; same && i < s->rank; i++)
    same = t->shape[i] == s->shape[i];
  if (same)
    return LSP_OK;
  char have[128] = "", want[64];
  for (int i = 0; i < t->rank; i++) {
    const size_t n = strlen(have);
    (void)snprintf(have + n, sizeof have - n, "%s%lld", i > 0 ? ", " : "",
                   (long long)t->shape[i]);
  }
  (void)snprintf(want, sizeof want, s->rank == 1 ? "%lld" : "%lld, %lld",
                 (long long)s->shape[0], (long long)s->shape[1]);
  return lsp_fail(r->why, LSP_E_FORMAT,
                  "%s: tensor %s is %s of shape [%s], config.json asks for [%s]",
                  lsp_checkpoint_path(r->checkpoint, t), t->name, t->dtype_name, have,
                  want);
}

/* Reads one tensor into out. */
static lsp_status take(const reading *r, const slot *s, const char *name, float *out,
                       int *found) {
  const lsp_tensor *t = name[0] == 0 ? NULL : lsp_checkpoint_find(r->checkpoint, name);
  *found = t != NULL;
  if (t == NULL)
    return LSP_OK;
  for (int64_t i = 0; i < lsp_checkpoint_count(r->checkpoint); i++)
    if (lsp_checkpoint_at(r->checkpoint, i) == t)
      r->used[i] = 1;
  LSP_TRY(check_shape(r, s, t));
  return lsp_checkpoint_floats(r->checkpoint, t, 0, t->count, out, r->why);
}

/* A repetition of what the block already holds must be equal to it. */
static lsp_status take_duplicate(const reading *r, const slot *s, const char *name,
                                 const char *of, const float *value) {
  int found = 0;
  float *copy = malloc((size_t)s->count * sizeof *copy);
  if (copy == NULL)
    return lsp_fail(r->why, LSP_E_MEMORY, "no memory to compare tensor %s", name);
  lsp_status st = take(r, s, name, copy, &found);
  if (st == LSP_OK && found &&
      memcmp(copy, value, (size_t)s->count * sizeof *copy) != 0)
    st = lsp_fail(r->why, LSP_E_FORMAT,
                  "%s: tensor %s differs from %s, to which config.json ties it", r->dir,
                  name, of);
  free(copy);
  return st;
}

/* As the library computes it: float32 throughout. */
static void compute_inv_freq(const lsp_txl_config *c, float *out) {
  for (int j = 0; j < c->d_model / 2; j++)
    out[j] = 1.0f / powf(10000.0f, (float)(2 * j) / (float)c->d_model);
}

static lsp_status fill(const reading *r, const lsp_txl_config *c, const slot *s,
                       float *block) {
  float *out = block + s->offset;
  int found = 0, from = 0;
  while (!found && from < ALIASES)
    LSP_TRY(take(r, s, s->name[from++], out, &found));
  for (int i = s->tied_first; !found && i < s->tied_end; i++) {
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof name, "crit.out_projs.%d", i);
    if (c->tie_proj[i])
      LSP_TRY(take(r, s, name, out, &found));
  }
  if (!found && s->if_absent == COMPUTED) {
    compute_inv_freq(c, out);
    return LSP_OK;
  }
  if (!found)
    return lsp_fail(r->why, LSP_E_FORMAT,
                    "%s: tensor %s is missing; the checkpoint does not fit its "
                    "config.json",
                    r->dir, s->name[0]);
  for (; from < ALIASES; from++)
    if (s->name[from][0] != 0)
      LSP_TRY(take_duplicate(r, s, s->name[from], s->name[from - 1], out));
  return LSP_OK;
}

/* Tied tensors that a checkpoint may store again. */
static lsp_status check_ties(const reading *r, const lsp_txl *m, const slot_list *l) {
  const lsp_txl_config *c = &m->config;
  char name[NAME_SIZE];
  slot s;
  for (int i = 0; i < c->clusters && projected(c); i++) {
    if (!c->tie_proj[i])
      continue;
    memset(&s, 0, sizeof s);
    s.rank = 2;
    s.shape[0] = c->d_model;
    s.shape[1] = m->cluster[i].width;
    s.count = s.shape[0] * s.shape[1];
    (void)snprintf(name, sizeof name, "crit.out_projs.%d", i);
    LSP_TRY(take_duplicate(r, &s, name, "the projection of the embedding",
                           m->cluster[i].out_proj));
  }
  for (int k = 0; k < l->count && !c->untie_r; k++) {
    const slot *shared = &l->slots[k];
    const char *leaf = strrchr(shared->name[0], '.') + 1;
    if (strcmp(leaf, "r_w_bias") != 0 && strcmp(leaf, "r_r_bias") != 0)
      continue;
    for (int i = 1; i < c->n_layer; i++) {
      (void)snprintf(name, sizeof name, "transformer.layers.%d.dec_attn.%s", i, leaf);
      LSP_TRY(
          take_duplicate(r, shared, name, shared->name[0], l->block + shared->offset));
    }
  }
  return LSP_OK;
}

static lsp_status refuse_unexpected(const reading *r) {
  for (int64_t i = 0; i < lsp_checkpoint_count(r->checkpoint); i++) {
    const lsp_tensor *t = lsp_checkpoint_at(r->checkpoint, i);
    if (!r->used[i])
      return lsp_fail(r->why, LSP_E_FORMAT,
                      "%s: tensor %s has no place in the model that config.json "
                      "describes",
                      lsp_checkpoint_path(r->checkpoint, t), t->name);
  }
  return LSP_OK;
}

static lsp_status read_all(reading *r, const lsp_txl *m, const slot_list *l,
                           float *block) {
  for (int k = 0; k < l->count; k++)
    LSP_TRY(fill(r, &m->config, &l->slots[k], block));
  LSP_TRY(check_ties(r, m, l));
  return refuse_unexpected(r);
}

lsp_status lsp_txl_read(const char *dir, const lsp_txl_config *config, float *block,
                        unsigned char hash[16], lsp_failure *why) {
  lsp_checkpoint *checkpoint = NULL;
  lsp_txl model;
  slot_list l;
  LSP_TRY(lsp_checkpoint_open(dir, &checkpoint, why));
  reading r = {checkpoint, dir, NULL, why};
  memset(&l, 0, sizeof l);
  lsp_status st = make(config, block, &model, &l, why);
  r.used = calloc((size_t)lsp_checkpoint_count(checkpoint) + 1, 1);
  if (st == LSP_OK && r.used == NULL)
    st = lsp_fail(why, LSP_E_MEMORY, "no memory for the list of tensors");
  if (st == LSP_OK)
    st = read_all(&r, &model, &l, block);
  if (st == LSP_OK)
    st = lsp_checkpoint_hash(checkpoint, hash, why);
  free(r.used);
  free(l.slots);
  lsp_txl_close(&model);
  lsp_checkpoint_close(&checkpoint);
  return st;
}
