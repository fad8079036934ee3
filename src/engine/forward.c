/* Transformer-XL over a span: embedding, and layer by layer
 *
 *   project    rows of a panel -> queries, keys, values; keys and values into tiles
 *   attend     a block of queries of a head over its tiles
 *   feed       weighted values -> output projection, norm, feed-forward, norm
 *
 * The panels that neighbours look into are projected first and lent while the others
 * are; the panels that look into the halo are attended last.
 *
 * Post-norm: x = LN(x + attention(x)); x = LN(x + FF(x)). pre_lnorm norms what goes
 * into attention and FF instead of the sums. */
#include "engine_internal.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static float *scratch_of(const lsp_run *e) {
  return e->scratch + omp_get_thread_num() * e->sizes.scratch;
}

static void poll(const lsp_run *e) {
  lsp_beat();
  if (omp_get_thread_num() == 0)
    lsp_exchange_poll(e->exchange);
}

static int64_t width_a(const lsp_run *e) {
  return (int64_t)e->heads.heads * e->heads.width;
}

/* --- embedding ------------------------------------------------------------------- */

/* Rows of cluster i of a panel: looked up, each in its own place, projected, and taken
 * over where the token is of that cluster. */
static void embed_cluster(const lsp_run *e, const lsp_panel *p, const int32_t *id,
                          int first, int rows, int i) {
  const lsp_txl_cluster *k = &e->model.cluster[i];
  const int D = e->config.d_model;
  float *in = scratch_of(e), *out = in + (int64_t)LSP_PANEL * k->width;
  int any = 0;
  for (int r = 0; r < rows && !any; r++)
    any = lsp_txl_cluster_of(&e->config, id[r]) == i;
  if (!any)
    return;
  memset(in, 0, (size_t)p->rows * (size_t)k->width * sizeof(float));
  for (int r = 0; r < rows; r++)
    if (lsp_txl_cluster_of(&e->config, id[r]) == i) {
      memcpy(in + (int64_t)(first + r) * k->width,
             k->embed + (id[r] - e->config.cut[i]) * k->width,
             (size_t)k->width * sizeof(float));
    }
  if (k->in_proj != NULL)
    lsp_gemm(p->rows, D, k->width, in, k->in_proj, out);
  else
    out = in;
  const float scale = sqrtf((float)D);
  for (int r = 0; r < rows; r++)
    if (lsp_txl_cluster_of(&e->config, id[r]) == i) {
      float *x = e->x + (p->row + first + r) * D;
      for (int j = 0; j < D; j++)
        x[j] = out[(int64_t)(first + r) * D + j] * scale;
    }
}

static void embed_panel(lsp_run *e, const lsp_panel *p) {
  const int64_t first = lsp_max(p->start, p->piece->first);
  const int64_t end = lsp_min(p->start + p->rows, p->piece->end);
  const int64_t token = p->piece->token + first - p->piece->first;
  memset(e->x + p->row * e->config.d_model, 0,
         (size_t)p->rows * (size_t)e->config.d_model * sizeof(float));
  for (int i = 0; i < e->config.clusters; i++)
    embed_cluster(e, p, e->id + (token - e->wave.token_first), (int)(first - p->start),
                  (int)(end - first), i);
  lsp_finite_hidden(e, p, -1);
}

void lsp_forward_embed(lsp_run *e) {
#pragma omp parallel for schedule(dynamic) num_threads(e->threads)
  for (int64_t i = 0; i < e->wave.panels; i++)
    embed_panel(e, &e->wave.panel[i]);
}

/* --- projections ----------------------------------------------------------------- */

static float *own_tile(const lsp_run *e, const lsp_piece *piece, int64_t tile) {
  const int64_t own = piece->row / LSP_BLOCK + tile - piece->start / LSP_BLOCK;
  return e->tiles + own * lsp_tile_floats(e->heads);
}

static float *carry_tile(const lsp_run *e, int which, int layer, int64_t tile) {
  return e->carry[which] +
         (layer * e->sizes.carry_tiles + tile) * lsp_tile_floats(e->heads);
}

/* Queries of a block of a panel to their place, its keys and values into its tile. Rows
 * before the piece's first token (a document taken up in mid-panel) come from the
 * carried memory. What is not finite is found here, where the rows are read anyway. */
static void place_block(lsp_run *e, const lsp_panel *p, int layer, int row,
                        float *qkv) {
  const int64_t A = width_a(e);
  const int64_t position = p->start + row;
  const int64_t tile = position / LSP_BLOCK;
  const int64_t real = lsp_max(position, p->piece->first);
  const int64_t end = lsp_min(position + LSP_BLOCK, p->piece->end);
  float *to = own_tile(e, p->piece, tile);
  int first = 0;
  if (real < end)
    lsp_finite_projected(e, qkv + (real - position) * (3 * A), (int)(end - real),
                         p->piece->token + real - p->piece->first, layer);
  for (int i = 0; i < LSP_BLOCK; i++)
    memcpy(e->q + (p->row + row + i) * A, qkv + i * (3 * A), (size_t)A * sizeof(float));
  if (position < p->piece->first) {
    memcpy(to, carry_tile(e, 0, layer, tile - e->wave.carried.first),
           (size_t)lsp_tile_floats(e->heads) * sizeof(float));
    first = (int)lsp_min(LSP_BLOCK, p->piece->first - position);
  }
  const float *key = qkv + first * (3 * A) + A;
  lsp_tile_put(e->heads, to, first, LSP_BLOCK - first, key, key + A, 3 * A);
}

static void project_panel(lsp_run *e, const lsp_panel *p, int layer) {
  const lsp_txl_layer *w = &e->model.layer[layer];
  const int64_t A = width_a(e), D = e->config.d_model;
  const float *x = e->x + p->row * D;
  float *qkv = scratch_of(e), *normed = qkv + 3 * A * LSP_PANEL;
  if (e->config.pre_lnorm) {
    e->kernels.layer_norm(p->rows, D, x, NULL, w->norm1_gain, w->norm1_bias,
                          (float)e->config.layer_norm_epsilon, normed);
    x = normed;
  }
  lsp_gemm(p->rows, 3 * A, D, x, w->qkv, qkv);
  poll(e);
  for (int row = 0; row < p->rows; row += LSP_BLOCK)
    place_block(e, p, layer, row, qkv + row * (3 * A));
  poll(e);
}

static void project(lsp_run *e, int layer, int64_t first, int64_t end) {
  const double begin = MPI_Wtime();
#pragma omp parallel for schedule(dynamic) num_threads(e->threads)
  for (int64_t i = first; i < end; i++)
    project_panel(e, &e->wave.panel[i], layer);
  e->clock.seconds[LSP_PHASE_PROJECT] += MPI_Wtime() - begin;
}

/* --- attention ------------------------------------------------------------------- */

const float *lsp_forward_tile(const lsp_run *e, int layer, const lsp_piece *piece,
                              int64_t tile) {
  if (tile < 0)
    return e->ghost[layer];
  if (tile >= piece->start / LSP_BLOCK)
    return own_tile(e, piece, tile);
  if (e->ctx->rank == 0)
    return carry_tile(e, 0, layer, tile - e->wave.carried.first);
  return e->halo + (tile - e->wave.past.first) * lsp_tile_floats(e->heads);
}

/* Blocks of the panels [first, end), one head at a time. A block is found by its
 * number: panels are whole blocks and lie side by side. */
static void attend_block(const lsp_run *e, int layer, const lsp_panel *p, int block,
                         int head) {
  enum { TILES_MAX = 1024 };
  const lsp_txl_layer *w = &e->model.layer[layer];
  const int64_t A = width_a(e);
  const int64_t position = p->start + (int64_t)block * LSP_BLOCK;
  float *q =
      e->q + (p->row + (int64_t)block * LSP_BLOCK) * A + (int64_t)head * e->heads.width;
  const int64_t rows = lsp_min(LSP_BLOCK, p->piece->end - position);
  for (int64_t i = lsp_max(rows, 0); i < LSP_BLOCK; i++)
    memset(q + i * A, 0, (size_t)e->heads.width * sizeof(float));
  if (rows <= 0)
    return;
  int64_t first_key[LSP_BLOCK], lowest = 0;
  for (int i = 0; i < rows; i++) {
    first_key[i] = lsp_pattern_first(&e->plan.pattern, position + i) - position;
    lowest = lsp_min(lowest, first_key[i]);
  }
  const int64_t count = (LSP_BLOCK - 1 - lowest) / LSP_BLOCK + 1;
  const float *few[TILES_MAX];
  float *scratch = scratch_of(e);
  const float **tile = few;
  if (count > TILES_MAX) /* a very long reach: the list lies behind the scratch */
    tile = (const float **)(void *)(scratch + lsp_attend_scratch(e->heads));
  for (int64_t d = 0; d < count; d++)
    tile[d] = lsp_forward_tile(e, layer, p->piece, position / LSP_BLOCK - d);
  const lsp_attention a = {
      .kernels = &e->kernels,
      .heads = e->heads,
      .head = head,
      .u = w->u + (int64_t)head * e->heads.width,
      .v = w->v + (int64_t)head * e->heads.width,
      .distances = {e->strips[layer], e->strip_count, e->config.clamp_len},
      .rows = (int)rows,
      .query = q,
      .ld_query = A,
      .first_key = first_key,
      .tile = tile,
      .out = q,
      .ld_out = A};
  lsp_attend_block(&a, scratch);
}

static void attend(lsp_run *e, int layer, int64_t first, int64_t end) {
  const double begin = MPI_Wtime();
  const lsp_panel *panel = e->wave.panel;
#pragma omp parallel for schedule(dynamic) collapse(2) num_threads(e->threads)
  for (int64_t i = first; i < end; i++)
    for (int head = 0; head < e->heads.heads; head++) {
      for (int block = 0; block < panel[i].rows / LSP_BLOCK; block++)
        attend_block(e, layer, &panel[i], block, head);
      poll(e);
    }
  e->clock.seconds[LSP_PHASE_ATTEND] += MPI_Wtime() - begin;
}

/* --- output projection and feed-forward ------------------------------------------ */

static void feed_panel(lsp_run *e, const lsp_panel *p, int layer) {
  const lsp_txl_layer *w = &e->model.layer[layer];
  const lsp_kernels *k = &e->kernels;
  const int64_t A = width_a(e), D = e->config.d_model, F = e->config.d_inner;
  const float eps = (float)e->config.layer_norm_epsilon;
  float *x = e->x + p->row * D;
  float *y = scratch_of(e), *inner = y + LSP_PANEL * D;
  const float *in = x;
  lsp_gemm(p->rows, D, A, e->q + p->row * A, w->o, y);
  poll(e);
  if (e->config.pre_lnorm) {
    k->add(p->rows * D, x, y);
    k->layer_norm(p->rows, D, x, NULL, w->norm2_gain, w->norm2_bias, eps, y);
    in = y;
  } else {
    k->layer_norm(p->rows, D, x, y, w->norm1_gain, w->norm1_bias, eps, x);
  }
  lsp_gemm(p->rows, F, D, in, w->ff1, inner);
  poll(e);
  k->activate(LSP_RELU, p->rows, F, inner, w->ff1_bias);
  lsp_gemm(p->rows, D, F, inner, w->ff2, y);
  k->bias_add(p->rows, D, y, w->ff2_bias);
  if (e->config.pre_lnorm)
    k->add(p->rows * D, x, y);
  else
    k->layer_norm(p->rows, D, x, y, w->norm2_gain, w->norm2_bias, eps, x);
  lsp_finite_hidden(e, p, layer);
  poll(e);
}

static void feed(lsp_run *e, int layer, int64_t first, int64_t end) {
  const double begin = MPI_Wtime();
#pragma omp parallel for schedule(dynamic) num_threads(e->threads)
  for (int64_t i = first; i < end; i++)
    feed_panel(e, &e->wave.panel[i], layer);
  e->clock.seconds[LSP_PHASE_FEED] += MPI_Wtime() - begin;
}

/* --- exchange -------------------------------------------------------------------- */

static int kind_of(const lsp_loan *loan) {
  return loan->from_carry + 2 * loan->to_carry;
}

static const float *lent_from(const lsp_run *e, int layer, const lsp_loan *loan) {
  const lsp_wave *w = &e->wave;
  if (loan->from_carry)
    return carry_tile(e, 0, layer, loan->first - w->carried.first);
  return own_tile(e, &w->piece[w->pieces - 1], loan->first);
}

static float *borrowed_to(const lsp_run *e, int layer, const lsp_loan *loan) {
  const lsp_wave *w = &e->wave;
  if (loan->to_carry)
    return carry_tile(e, 1, layer, loan->first - w->next.first);
  return e->halo + (loan->first - w->past.first) * lsp_tile_floats(e->heads);
}

static lsp_status list_messages(lsp_run *e, int layer) {
  const int64_t tile = lsp_tile_floats(e->heads);
  lsp_exchange_clear(e->exchange);
  for (int i = 0; i < e->wave.lents; i++) {
    const lsp_loan *loan = &e->wave.lent[i];
    if (loan->peer != e->ctx->rank)
      LSP_TRY(lsp_exchange_send(e->exchange, loan->peer, kind_of(loan),
                                lent_from(e, layer, loan),
                                (loan->end - loan->first) * tile));
  }
  for (int i = 0; i < e->wave.borroweds; i++) {
    const lsp_loan *loan = &e->wave.borrowed[i];
    if (loan->peer != e->ctx->rank)
      LSP_TRY(lsp_exchange_receive(e->exchange, loan->peer, kind_of(loan),
                                   borrowed_to(e, layer, loan),
                                   (loan->end - loan->first) * tile));
  }
  return LSP_OK;
}

/* Rank 0 to itself: what the next wave will look back into. (Its own past is read where
 * it lies, in the carried memory.) */
static void copy_own_carry(lsp_run *e, int layer) {
  const size_t tile = (size_t)lsp_tile_floats(e->heads) * sizeof(float);
  for (int i = 0; i < e->wave.lents; i++) {
    const lsp_loan *loan = &e->wave.lent[i];
    if (loan->peer == e->ctx->rank && loan->to_carry)
      memcpy(borrowed_to(e, layer, loan), lent_from(e, layer, loan),
             (size_t)(loan->end - loan->first) * tile);
  }
}

void lsp_forward_layer(lsp_run *e, int layer) {
  const lsp_wave *w = &e->wave;
  project(e, layer, w->tail_from, w->panels);
  /* The list of a layer is as long as that of the layer before: growing it can fail in
   * the first layer of the first wave alone, before anything was sent. */
  const lsp_status listed = list_messages(e, layer);
  LSP_ASSERT(listed == LSP_OK);
  lsp_exchange_begin(e->exchange);
  project(e, layer, 0, w->tail_from);
  attend(e, layer, w->border_end, w->panels);
  feed(e, layer, w->border_end, w->panels);
  const double begin = MPI_Wtime();
  lsp_exchange_end(e->exchange);
  e->clock.seconds[LSP_PHASE_WAIT] += MPI_Wtime() - begin;
  attend(e, layer, 0, w->border_end);
  feed(e, layer, 0, w->border_end);
  copy_own_carry(e, layer);
}
