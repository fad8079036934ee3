/* What is made from the weights once, and lies beside them in the shared block:
 *
 *   zeros    where a bias is absent
 *   strips   of each layer: the relative positions through R, by falling distance
 *   ghost    of each layer: the tile of positions before 0, whose hidden rows are zero
 *            (normed first, a zero row becomes the norm's bias, so its keys and values
 *            are not zero)
 *   gate     of each layer: the weights of its views' results
 *   slots    of each layer: tiles of its learned keys and values
 *   convolved   of each layer: what makes rows of its compressed past
 *   last     tiles and gates of the memory after the last norm
 *   tails    the output rows of the clusters beyond the shortlist, packed for the block
 *            kernel
 *   in, out  projections of the clusters, packed
 *
 * Angles are products and sines in double precision. */
#include "convolved.h"
#include "engine_internal.h"
#include "last_memory.h"

#include "lsp/packing.h"
#include "lsp/rotary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const lsp_job *job;
  lsp_weights *weights;
  float *at;   /* the next free float of the block */
  float *work; /* (64, D), (64, widest product) */
  float *pack; /* (64, LSP_PACK_DEPTH), (LSP_LANES, deepest projection) */
  int fill;
} preparing;

static float *take(preparing *p, int64_t floats) {
  float *at = p->at;
  p->at += lsp_divide_up(floats, LSP_LANES) * LSP_LANES;
  return at;
}

/* Rows of sinusoids: row c of strip d is distance 64 d + 63 - c. */
static void sinusoids(const lsp_model *m, int64_t clamp, int64_t d, float *rows) {
  const int D = m->width;
  for (int c = 0; c < LSP_BLOCK; c++) {
    int64_t t = LSP_BLOCK * d + LSP_BLOCK - 1 - c;
    if (clamp > 0)
      t = lsp_min(t, clamp);
    for (int j = 0; j < D / 2; j++) {
      const double angle = (double)t * (double)m->inv_freq[j];
      rows[(int64_t)c * D + j] = (float)sin(angle);
      rows[(int64_t)c * D + D / 2 + j] = (float)cos(angle);
    }
  }
}

static void make_strips(preparing *p, const lsp_layer *l, lsp_prepared *made) {
  const lsp_model *m = &p->weights->model;
  const int64_t strip = lsp_strip_floats(l->heads, 1);
  made->strip_count = lsp_sizes_strips(l);
  if (made->strip_count <= 0)
    return;
  float *out = take(p, made->strip_count * strip);
  float *rows = p->work, *projected = rows + (int64_t)LSP_BLOCK * m->width;
  made->strips = out;
  for (int64_t d = 0; p->fill && d < made->strip_count; d++) {
    sinusoids(m, l->position.clamp, d, rows);
    lsp_multiply(p->job, &l->position.relative, LSP_BLOCK, rows, projected, p->pack);
    lsp_strip_put(l->heads, projected, out + d * strip);
  }
}

static int has_virtual_past(const lsp_layer *l) {
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].virtual_past)
      return 1;
  return 0;
}

static void make_ghost(preparing *p, const lsp_layer *l, lsp_prepared *made) {
  const lsp_kernels *k = &p->job->kernels;
  const int64_t D = p->weights->model.width, ld = l->qkv.matrix.rows;
  const int64_t A = (int64_t)l->heads.query * l->heads.width;
  if (!has_virtual_past(l))
    return;
  float *tile = take(p, lsp_tile_floats(l->heads));
  float *rows = p->work, *qkv = rows + LSP_BLOCK * D;
  made->ghost = tile;
  if (!p->fill)
    return;
  memset(rows, 0, (size_t)(LSP_BLOCK * D) * sizeof(float));
  if (l->place != LSP_PLACE_POST)
    k->layer_norm(LSP_BLOCK, D, rows, NULL, l->attention_norm.gain,
                  l->attention_norm.bias, l->attention_norm.eps, rows);
  lsp_multiply(p->job, &l->qkv.matrix, LSP_BLOCK, rows, qkv, p->pack);
  for (int i = 0; i < LSP_BLOCK; i++)
    (void)lsp_finite_spoil(k, l->heads, qkv + ld * i);
  lsp_tile_put(l->heads, tile, 0, LSP_BLOCK, qkv + A,
               qkv + A + (int64_t)l->heads.shared * l->heads.width, ld);
}

/* Softmax over branches of gate[b, h], of head h. */
static void weigh_branches(const lsp_layer *l, int views, int h, float *out) {
  const int H = l->heads.query;
  double top = l->gate[h], sum = 0;
  for (int b = 1; b < views; b++)
    top = fmax(top, (double)l->gate[b * H + h]);
  for (int b = 0; b < views; b++)
    sum += exp((double)l->gate[b * H + h] - top);
  for (int b = 0; b < views; b++)
    out[b * H + h] = (float)(exp((double)l->gate[b * H + h] - top) / sum);
}

/* Of a memory (view 1) and the others (view 0). */
static void weigh_memory(const lsp_layer *l, int h, float *out) {
  const int H = l->heads.query;
  const double opens = exp(-(double)l->memory_gate[h]);
  const double g = 1 / (1 + opens), rest = 1 / (1 + 1 / opens);
  out[h] = (float)(l->gate_others ? g : rest);
  out[H + h] = (float)(l->gate_others ? rest : g);
}

static void make_gate(preparing *p, const lsp_layer *l, lsp_prepared *made) {
  const int H = l->heads.query;
  if (l->merge != LSP_MERGE_GATE && l->merge != LSP_MERGE_MEMORY)
    return;
  float *out = take(p, (int64_t)made->views * H);
  made->gate = out;
  for (int h = 0; p->fill && h < H; h++)
    if (l->merge == LSP_MERGE_MEMORY)
      weigh_memory(l, h, out);
    else
      weigh_branches(l, made->views, h, out);
}

/* Learned keys and values, in tiles of 64 slots; what a tile has beyond them is zero. */
static void make_slots(preparing *p, const lsp_layer *l, lsp_prepared *made) {
  const lsp_pattern *slots = lsp_layer_slots(l);
  const lsp_heads one = {1, 1, l->heads.width};
  const int64_t floats = lsp_sizes_slots(l), E = l->heads.width;
  if (floats == 0)
    return;
  float *out = take(p, floats);
  made->slots = out;
  if (p->fill)
    memset(out, 0, (size_t)floats * sizeof(float));
  for (int64_t at = 0; p->fill && at < slots->slots; at += LSP_BLOCK)
    for (int g = 0; g < l->heads.shared; g++, out += lsp_tile_head(l->heads)) {
      const int64_t first = (g * slots->slots + at) * E;
      lsp_tile_put(one, out, 0, (int)lsp_min(LSP_BLOCK, slots->slots - at),
                   l->memory_keys + first, l->memory_values + first, E);
    }
}

static void make_convolved(preparing *p, const lsp_layer *l, lsp_prepared *made) {
  if (lsp_convolved_constant(l) == 0)
    return;
  float *matrices = take(p, lsp_convolved_matrices(l));
  float *constant = take(p, lsp_convolved_constant(l));
  made->convolved = matrices;
  made->convolved_constant = constant;
  if (p->fill)
    lsp_convolved_make(p->job, l, matrices, constant);
}

static void make_last(preparing *p) {
  const lsp_model *m = &p->weights->model;
  if (m->last.slots == 0)
    return;
  float *tiles = take(p, lsp_last_tiles(m)), *gate = take(p, m->width);
  p->weights->last_slots = tiles;
  p->weights->last_gate = gate;
  if (p->fill)
    lsp_last_make(m, tiles);
  for (int64_t d = 0; p->fill && d < m->width; d++)
    gate[d] = m->last.merge == LSP_LAST_GATE
                  ? (float)(1 / (1 + exp(-(double)m->last.gate[d])))
                  : 0;
}

static void pack_tail(const lsp_cluster *k, float *out) {
  const int64_t width = k->width;
  for (int64_t t = 0; t * LSP_BLOCK < k->rows; t++, out += LSP_BLOCK * width)
    for (int64_t j = 0; j < width; j++)
      for (int c = 0; c < LSP_BLOCK; c++) {
        const int64_t row = t * LSP_BLOCK + c;
        out[j * LSP_BLOCK + c] = row < k->rows ? k->out[row * width + j] : 0.0f;
      }
}

/* Projections of cluster i, packed: one weight may stand for both, and they are read in
 * different orders. */
static void pack_projections(preparing *p, int i) {
  const lsp_model *m = &p->weights->model;
  const lsp_cluster *k = &m->words.cluster[i];
  const int64_t D = m->width, E = k->width, floats = lsp_sizes_projection(m, i);
  if (floats == 0 || m->words.storage != LSP_STORED_PACKED)
    return;
  float *in = take(p, floats), *out = take(p, floats);
  p->weights->in[i] = k->in_proj != NULL ? in : NULL;
  p->weights->out[i] = k->out_proj != NULL ? out : NULL;
  if (p->fill && k->in_proj != NULL) {
    memcpy(in, k->in_proj, (size_t)(D * E) * sizeof(float));
    lsp_pack(D, E, in, p->pack);
  }
  if (p->fill && k->out_proj != NULL) {
    for (int64_t j = 0; j < D; j++)
      for (int64_t c = 0; c < E; c++)
        out[c * D + j] = k->out_proj[j * E + c];
    lsp_pack(E, D, out, p->pack);
  }
}

/* --- tables of this process ------------------------------------------------------ */

lsp_status lsp_prepare_open(lsp_weights *w, lsp_failure *why) {
  const lsp_model *m = &w->model;
  int64_t doubles = 0;
  for (int i = 0; i < m->layers; i++)
    doubles += (int64_t)LSP_BLOCK * m->layer[i].position.rotated;
  w->layer = calloc((size_t)m->layers + 1, sizeof *w->layer);
  w->tail = calloc((size_t)m->words.clusters, sizeof *w->tail);
  w->in = calloc((size_t)m->words.clusters, sizeof *w->in);
  w->out = calloc((size_t)m->words.clusters, sizeof *w->out);
  w->turns = calloc((size_t)doubles + 1, sizeof *w->turns);
  if (!w->layer || !w->tail || !w->in || !w->out || !w->turns)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for %d layers", m->layers);
  double *turn = w->turns;
  for (int i = 0; i < m->layers; i++) {
    lsp_prepared *made = &w->layer[i];
    made->views = lsp_layer_views(&m->layer[i], made->view);
    made->strata = lsp_layer_strata(&m->layer[i], made->stratum);
    made->is_far = made->strata > 0 || (lsp_layer_picks(&m->layer[i]) && !m->two_sided);
    if (m->layer[i].position.rotated > 0) {
      lsp_rotary_steps(m->layer[i].position.rotated / 2, m->layer[i].position.frequency,
                       turn);
      made->turn = turn;
      turn += (int64_t)LSP_BLOCK * m->layer[i].position.rotated;
    }
  }
  return LSP_OK;
}

void lsp_prepare_close(lsp_weights *w) {
  free(w->layer);
  free(w->tail);
  free(w->in);
  free(w->out);
  free(w->turns);
  w->layer = NULL;
  w->tail = NULL;
  w->in = NULL;
  w->out = NULL;
  w->turns = NULL;
}

/* --- the block ------------------------------------------------------------------- */

void lsp_prepare(const lsp_job *job, lsp_weights *w, float *block, int fill) {
  const lsp_model *m = &w->model;
  preparing p = {.job = job, .weights = w, .at = block, .fill = fill};
  int64_t widest = m->width, head = m->width;
  for (int i = 0; i < m->layers; i++) {
    widest = lsp_max(widest, m->layer[i].qkv.matrix.rows);
    head = lsp_max(head, m->layer[i].heads.width);
  }
  const int64_t room = lsp_max((int64_t)LSP_BLOCK * LSP_PACK_DEPTH,
                               LSP_LANES * lsp_max(m->width, m->words.widest));
  p.work = aligned_alloc(64, (size_t)(LSP_BLOCK * (m->width + widest) + room) *
                                 sizeof(float));
  LSP_ASSERT(p.work != NULL);
  p.pack = p.work + LSP_BLOCK * (m->width + widest);
  float *zeros = take(&p, head);
  w->zeros = zeros;
  if (fill)
    memset(zeros, 0, (size_t)head * sizeof(float));
  for (int i = 0; i < m->layers; i++) {
    make_strips(&p, &m->layer[i], &w->layer[i]);
    make_ghost(&p, &m->layer[i], &w->layer[i]);
    make_gate(&p, &m->layer[i], &w->layer[i]);
    make_slots(&p, &m->layer[i], &w->layer[i]);
    make_convolved(&p, &m->layer[i], &w->layer[i]);
  }
  make_last(&p);
  for (int i = 1; i < m->words.clusters; i++) {
    float *out = take(&p, lsp_sizes_tail(m, i));
    w->tail[i] = out;
    if (fill)
      pack_tail(&m->words.cluster[i], out);
  }
  for (int i = 0; i < m->words.clusters; i++)
    pack_projections(&p, i);
  free(p.work);
}
