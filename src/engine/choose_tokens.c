/* Blocks selected for each query and group of heads: those whose pooled rows compressed
 * attention weighs most.
 *
 *   first     top and sum of exp(score - top) of each head, over pooled rows
 *   second    p(c) = sum over heads of exp(score - top) / sum;  P(block) = sum of its p(c)
 *
 * Scores are those of the compressed branch itself, made twice: what lies between is as
 * long as the text. All sums are in rising order of heads, then of rows. */
#include "attending.h"
#include "picking.h"
#include "strata.h"

#include <float.h>
#include <string.h>

/* The queries of one block, and one group of heads. */
typedef struct {
  lsp_run *e;
  int layer, shared, group;
  const lsp_pattern *p, *pooled;
  const lsp_panel *panel;
  int64_t position; /* of the first query */
  int rows;
  lsp_source tiles;
  int64_t first[LSP_BLOCK], end[LSP_BLOCK]; /* pooled rows that a query sees */
  int64_t low, high;                        /* and all of them: tiles [low, high) */
  float *top, *sum;                         /* (group, 64) */
  float *scratch;
  lsp_best best[LSP_BLOCK];
} selecting;

int64_t lsp_selecting_scratch(lsp_heads h) {
  return lsp_attend_scratch(h) + (int64_t)2 * LSP_BLOCK * (h.query / h.shared);
}

static void look(selecting *s) {
  int64_t low = INT64_MAX, high = 0;
  for (int i = 0; i < s->rows; i++) {
    const lsp_keys k = lsp_pooled_keys(s->pooled, 1, s->position + i);
    s->first[i] = k.first;
    s->end[i] = k.end;
    if (k.first < k.end) {
      low = lsp_min(low, k.first);
      high = lsp_max(high, k.end);
    }
  }
  s->low = high > 0 ? low / LSP_BLOCK : 0;
  s->high = lsp_divide_up(high, LSP_BLOCK);
}

/* --- scores ---------------------------------------------------------------------- */

/* What a head of the group asks: begun in scratch. */
static lsp_queries ask(const selecting *s, int in_group, lsp_attending *work) {
  const lsp_run *e = s->e;
  const lsp_layer *l = &e->weights.model.layer[s->layer];
  const int head = s->shared * s->group + in_group;
  const int64_t A = l->output.matrix.cols;
  const int64_t row = s->panel->row + s->position - s->panel->start;
  lsp_queries q = lsp_queries_of(e, s->layer, head);
  q.rows = s->rows;
  q.query = e->span.q + row * A + (int64_t)head * l->heads.width;
  q.ld_query = A;
  lsp_attend_begin(&q, s->scratch, work);
  return q;
}

/* Scores of a tile, and exp(score - top) of what each row sees, zero elsewhere; top and
 * sum go on. */
static void weigh(const selecting *s, const lsp_queries *q, lsp_attending *work,
                  int64_t tile, float *top, float *sum, int low[LSP_BLOCK],
                  int high[LSP_BLOCK]) {
  const int64_t unit = s->pooled->pool;
  const lsp_seen seen = {s->first, s->end};
  const lsp_visit visit = {.tile = s->tiles.tile +
                                   (tile - s->tiles.first) * s->tiles.stride +
                                   s->shared * lsp_tile_head(q->heads),
                           .back = -tile,
                           .unit = unit,
                           .distance = s->position + 1 - (tile * LSP_BLOCK + 1) * unit};
  float decay[LSP_BLOCK];
  LSP_ASSERT(tile >= s->tiles.first && tile < s->tiles.end);
  lsp_attend_scores(q, &seen, &visit, work, low, high);
  q->kernels->softmax_tile(s->rows, work->score, low, high, top, sum, decay);
}

static void sum_up(const selecting *s) {
  int low[LSP_BLOCK], high[LSP_BLOCK];
  lsp_attending work;
  for (int h = 0; h < s->group; h++) {
    float *top = s->top + (int64_t)h * LSP_BLOCK,
          *sum = s->sum + (int64_t)h * LSP_BLOCK;
    const lsp_queries q = ask(s, h, &work);
    for (int i = 0; i < LSP_BLOCK; i++) {
      top[i] = -FLT_MAX;
      sum[i] = 0;
    }
    for (int64_t tile = s->low; tile < s->high; tile++)
      weigh(s, &q, &work, tile, top, sum, low, high);
  }
}

/* --- choices --------------------------------------------------------------------- */

/* p (64, 64) += what a head gives to the pooled rows of a tile. */
static void add_head(const selecting *s, int h, int64_t tile, float *p,
                     int low[LSP_BLOCK], int high[LSP_BLOCK]) {
  float top[LSP_BLOCK], sum[LSP_BLOCK] = {0};
  lsp_attending work;
  const lsp_queries q = ask(s, h, &work);
  memcpy(top, s->top + (int64_t)h * LSP_BLOCK, sizeof top);
  weigh(s, &q, &work, tile, top, sum, low, high);
  for (int i = 0; i < s->rows; i++) {
    const float all = s->sum[(int64_t)h * LSP_BLOCK + i], over = all == 0 ? 0 : 1 / all;
    for (int c = 0; c < LSP_BLOCK; c++)
      p[i * LSP_BLOCK + c] += work.score[i * LSP_BLOCK + c] * over;
  }
}

/* Blocks of a tile that row i sees rows of, before its own. */
static void offer_row(selecting *s, int i, int64_t tile, const float *p, int low,
                      int high) {
  const int rows = LSP_BLOCK / s->pooled->pool; /* of a block */
  for (int at = low / rows * rows; at <= high; at += rows) {
    const int64_t block = tile * s->pooled->pool + at / rows;
    float sum = 0;
    if (block >= s->position / LSP_BLOCK)
      return;
    for (int c = at; c < at + rows; c++)
      sum += p[i * LSP_BLOCK + c];
    lsp_best_offer(&s->best[i], sum, block);
  }
}

static void offer_tile(selecting *s, int64_t tile) {
  float p[LSP_BLOCK * LSP_BLOCK] = {0};
  int low[LSP_BLOCK] = {0}, high[LSP_BLOCK] = {0};
  for (int h = 0; h < s->group; h++)
    add_head(s, h, tile, p, low, high);
  for (int i = 0; i < s->rows; i++)
    if (low[i] <= high[i])
      offer_row(s, i, tile, p, low[i], high[i]);
}

/* Rows that a snapshot stands for, and those after the last one, choose nothing. */
static void write_choices(const selecting *s) {
  const lsp_heads h = s->e->weights.model.layer[s->layer].heads;
  const int64_t row = s->panel->row + s->position - s->panel->start;
  const lsp_best none = {.most = s->best[0].most};
  for (int i = 0; i < LSP_BLOCK; i++) {
    const int is_row = i < s->rows && s->position + i >= s->panel->piece->first;
    lsp_best_list(is_row ? &s->best[i] : &none,
                  s->e->span.choice + ((row + i) * h.shared + s->shared) * none.most);
  }
}

static void select_block(selecting *s) {
  for (int i = 0; i < LSP_BLOCK; i++)
    s->best[i] = (lsp_best){.most = (int)lsp_choices_of(s->p)};
  s->rows = (int)lsp_max(0, lsp_min(LSP_BLOCK, s->panel->piece->end - s->position));
  look(s);
  if (s->best[0].most > 0 && s->high > 0) {
    sum_up(s);
    for (int64_t tile = s->low; tile < s->high; tile++)
      offer_tile(s, tile);
  }
  write_choices(s);
}

static int stratum_of(const lsp_layer *l, const lsp_pattern *pooled) {
  int n = 0;
  for (const lsp_pattern *p = l->branch; p != pooled; p++)
    n += lsp_pattern_levels(p);
  return n;
}

void lsp_choose_tokens(lsp_run *e, int layer, const lsp_pattern *p) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const lsp_pattern *pooled = lsp_picks_pooled(e, layer);
  const int stratum = stratum_of(l, pooled);
#pragma omp parallel for schedule(dynamic) collapse(2) num_threads(e->job.threads)
  for (int64_t i = 0; i < e->span.wave.panels; i++)
    for (int shared = 0; shared < l->heads.shared; shared++) {
      const lsp_panel *panel = &e->span.wave.panel[i];
      selecting s = {.e = e,
                     .layer = layer,
                     .shared = shared,
                     .group = l->heads.query / l->heads.shared,
                     .p = p,
                     .pooled = pooled,
                     .panel = panel,
                     .tiles = lsp_strata_tiles(e, layer, stratum, panel->piece),
                     .scratch = lsp_scratch_of(e)};
      s.top = s.scratch + lsp_attend_scratch(l->heads);
      s.sum = s.top + (int64_t)LSP_BLOCK * s.group;
      for (int row = 0; row < panel->rows; row += LSP_BLOCK) {
        s.position = panel->start + row;
        select_block(&s);
      }
      lsp_poll(e);
    }
}
