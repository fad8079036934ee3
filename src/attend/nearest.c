/* Exact search for the nearest keys: sift in float32, rescore in double, keep a heap.
 *
 * What must hold: nothing that belongs into a list fails to pass. `last` is rounded
 * downwards, norms upwards, and the bound has SPARE units more than the error of a chain
 * needs: for normalised keys (each number off by half a unit), for the roundings of the
 * bound itself and of its subtraction. (That one is relative to `last`, which may be far
 * greater than |q| |k|: then it decides nothing.) A bound that overflows lets all pass, and
 * so does a NaN. */
#include "lsp/nearest.h"

#include "lsp/grid.h"

#include <float.h>
#include <math.h>

enum {
  B = LSP_BLOCK,
  SPARE = 16,
  SIDE_BY_SIDE = 8 /* double scores: chains that do not wait for each other */
};

int lsp_neighbour_better(lsp_neighbour a, lsp_neighbour b) {
  if (isnan(a.score) || isnan(b.score)) {
    if (isnan(a.score) && isnan(b.score))
      return a.position < b.position;
    return isnan(b.score);
  }
  return a.score > b.score || (a.score == b.score && a.position < b.position);
}

/* --- lists ----------------------------------------------------------------------- */

/* Lets the neighbour at `at` sink until all below it are better. */
static void sink(lsp_neighbour *heap, int64_t n, int64_t at, lsp_neighbour it) {
  for (int64_t below; (below = 2 * at + 1) < n; at = below) {
    if (below + 1 < n && lsp_neighbour_better(heap[below], heap[below + 1]))
      below++;
    if (!lsp_neighbour_better(it, heap[below]))
      break;
    heap[at] = heap[below];
  }
  heap[at] = it;
}

static void rise(lsp_neighbour *heap, int64_t at, lsp_neighbour it) {
  for (int64_t above; at > 0; at = above) {
    above = (at - 1) / 2;
    if (!lsp_neighbour_better(heap[above], it))
      break;
    heap[at] = heap[above];
  }
  heap[at] = it;
}

/* A float that is not above x. */
static float below(double x) {
  const float y = (float)x;
  return (double)y > x ? nextafterf(y, -INFINITY) : y;
}

/* A list that is not full, or whose last one is no number, takes any. */
static float last_of(const lsp_search *s, int64_t i) {
  const double score = s->best[i * s->most].score;
  return s->found[i] < s->most || isnan(score) ? -INFINITY : below(score);
}

static void offer(const lsp_search *s, lsp_search_state *state, int64_t i,
                  lsp_neighbour it) {
  lsp_neighbour *heap = s->best + i * s->most;
  if (s->found[i] < s->most)
    rise(heap, s->found[i]++, it);
  else if (lsp_neighbour_better(it, heap[0]))
    sink(heap, s->most, 0, it);
  else
    return;
  state->last[i] = last_of(s, i);
}

static int by_position(lsp_neighbour a, lsp_neighbour b) {
  return a.position > b.position;
}

/* By heaps again: no list is so bad that it takes long. */
void lsp_neighbours_order(lsp_neighbour *list, int64_t n) {
  for (int64_t end = n, start = n / 2; end > 1;) {
    lsp_neighbour it;
    if (start > 0) {
      it = list[--start];
    } else {
      it = list[--end];
      list[end] = list[0];
    }
    int64_t at = start;
    for (int64_t child; (child = 2 * at + 1) < end; at = child) {
      if (child + 1 < end && by_position(list[child], list[child + 1]))
        child++;
      if (!by_position(it, list[child]))
        break;
      list[at] = list[child];
    }
    list[at] = it;
  }
}

/* --- norms ----------------------------------------------------------------------- */

/* Upwards, with room to spare. NaN stays. */
static float above(double norm) {
  return (float)(norm * 1.0001);
}

/* A chain of squares is off by less than what `above` adds. */
static float largest_norm(int width, const float *keys) {
  float square[B] = {0}, most = 0;
  for (int e = 0; e < width; e++)
    for (int j = 0; j < B; j++)
      square[j] += keys[e * B + j] * keys[e * B + j];
  for (int j = 0; j < B; j++)
    most = square[j] > most ? square[j] : most; /* a NaN passes by itself */
  return above(sqrt((double)most + (double)width * FLT_MIN));
}

static void normalise(int width, const float *keys, double norm[B], float *out) {
  double square[B] = {0};
  for (int e = 0; e < width; e++)
    for (int j = 0; j < B; j++)
      square[j] += (double)keys[e * B + j] * (double)keys[e * B + j];
  for (int j = 0; j < B; j++)
    norm[j] = sqrt(square[j] + LSP_NORM_LEAST);
  for (int e = 0; e < width; e++)
    for (int j = 0; j < B; j++)
      out[e * B + j] = (float)((double)keys[e * B + j] / norm[j]);
}

void lsp_search_prepare(const lsp_search *s, const float *keys, int64_t position,
                        float *room, lsp_search_tile *tile) {
  tile->keys = tile->compared = keys;
  tile->position = position;
  if (!s->cosine) {
    tile->largest = largest_norm(s->width, keys);
    return;
  }
  normalise(s->width, keys, tile->norm, room);
  tile->compared = room;
  tile->largest = above(1);
}

void lsp_search_begin(const lsp_search *s, float *room, lsp_search_state *state) {
  const int64_t n = lsp_divide_up(s->rows, LSP_LANES) * LSP_LANES;
  state->passes = (uint64_t *)(void *)room;
  state->norm = room + 2 * n;
  state->last = state->norm + n;
  state->least = state->last + n;
  for (int64_t i = 0; i < s->rows; i++) {
    double square = 0;
    for (int e = 0; e < s->width; e++)
      square += (double)s->query[i * s->ld + e] * (double)s->query[i * s->ld + e];
    state->norm[i] = above(sqrt(square));
    state->last[i] = last_of(s, i);
  }
}

/* --- a tile ---------------------------------------------------------------------- */

/* What scores must reach: lower than `last` by what they may be off. */
static void set_least(const lsp_search *s, lsp_search_state *state, float largest) {
  const float unit = (float)(s->width + SPARE) * 0x1p-24f;
  const float tiny = (float)(s->width + SPARE) * FLT_TRUE_MIN;
  for (int64_t i = 0; i < s->rows; i++)
    state->least[i] = state->last[i] - (state->norm[i] * largest * unit + tiny);
}

/* Columns of a tile that are candidates of row i. */
static uint64_t candidates(const lsp_search *s, int64_t i, int64_t position) {
  const int64_t low = s->first[i] - position, high = s->end[i] - position;
  uint64_t bits = ~UINT64_C(0);
  if (low >= B || high <= 0 || low >= high)
    return 0;
  if (low > 0)
    bits <<= low;
  if (high < B)
    bits &= ~UINT64_C(0) >> (B - high);
  return bits;
}

/* Rows and columns that passed. */
typedef struct {
  int64_t row[SIDE_BY_SIDE];
  int column[SIDE_BY_SIDE];
  int n;
} passed;

static void rescore(const lsp_search *s, lsp_search_state *state,
                    const lsp_search_tile *t, passed *p) {
  double score[SIDE_BY_SIDE] = {0};
  const float *q[SIDE_BY_SIDE], *k[SIDE_BY_SIDE];
  for (int i = 0; i < SIDE_BY_SIDE; i++) {
    const int it = i < p->n ? i : 0;
    q[i] = s->query + p->row[it] * s->ld;
    k[i] = t->keys + (int64_t)p->column[it];
  }
  for (int e = 0; e < s->width; e++)
    for (int i = 0; i < SIDE_BY_SIDE; i++)
      score[i] += (double)q[i][e] * (double)k[i][(int64_t)e * B];
  for (int i = 0; i < p->n; i++) {
    const double norm = s->cosine ? t->norm[p->column[i]] : 1;
    offer(s, state, p->row[i],
          (lsp_neighbour){score[i] / norm, t->position + p->column[i]});
  }
  p->n = 0;
}

void lsp_search_look(const lsp_search *s, lsp_search_state *state,
                     const lsp_search_tile *t) {
  passed p = {.n = 0};
  int64_t any = 0;
  for (int64_t i = 0; i < s->rows && !any; i++)
    any = s->first[i] < t->position + B && s->end[i] > t->position &&
          s->first[i] < s->end[i];
  if (!any)
    return;
  set_least(s, state, t->largest);
  const lsp_sifting sifting = {.a = s->query,
                               .b = t->compared,
                               .least = state->least,
                               .passes = state->passes,
                               .lda = s->ld,
                               .rows = s->rows,
                               .depth = s->width};
  s->kernels->sift(&sifting);
  for (int64_t i = 0; i < s->rows; i++) {
    uint64_t bits = state->passes[i];
    if (bits == 0)
      continue;
    for (bits &= candidates(s, i, t->position); bits != 0; bits &= bits - 1) {
      p.row[p.n] = i;
      p.column[p.n++] = __builtin_ctzll(bits);
      if (p.n == SIDE_BY_SIDE)
        rescore(s, state, t, &p);
    }
  }
  if (p.n > 0)
    rescore(s, state, t, &p);
}
