/* Attention of the span's panels: which tiles a block visits, where they lie, and how the
 * results of a layer's views become one.
 *
 *   run      from the query's own block outwards:
 *            own tiles | rounds of the past, nearest first | positions before 0
 *   fixed    the first tiles of the document, nearest first, as far as the run does not
 *            show them: a partial result of its own, merged after the run's
 *
 * The order is one of positions; where a tile lies, and in which pass it is walked,
 * changes no bit. */
#include "attending.h"
#include "turning.h"

#include <string.h>

enum { VISITS = 64 }; /* tiles that are listed at once */

/* A block of a head and view under way. */
typedef struct {
  lsp_run *e;
  int layer, head, view;
  const lsp_panel *panel;
  int64_t position; /* of its first row */
  float *query;     /* (64, ld): in the span's queries */
  int64_t ld;
  lsp_queries queries;
  int64_t first[LSP_BLOCK], end[LSP_BLOCK]; /* what a source shows, relative */
  lsp_attending work;
  float *scratch; /* after lsp_attend_scratch: (2, 64 Ep) partials, the sum of views,
                     queries turned back */
  int64_t visits;
} block;

static int64_t block_floats(const block *b) {
  return (int64_t)LSP_BLOCK * lsp_padded(b->queries.heads.width);
}

/* --- walking --------------------------------------------------------------------- */

/* Tiles that lie side by side: `first` and those after it, `stride` floats each. */
typedef struct {
  const float *tile;
  int64_t first, stride;
} source;

/* Tiles [low, high) of a source, the nearest first. */
static void walk(block *b, source from, int64_t low, int64_t high,
                 const lsp_partial *to) {
  const lsp_seen seen = {b->first, b->end};
  lsp_visit visit[VISITS];
  const int64_t here = b->position / LSP_BLOCK;
  for (int64_t tile = high - 1; tile >= low;) {
    int64_t n = 0;
    for (; n < VISITS && tile >= low; n++, tile--)
      visit[n] =
          (lsp_visit){from.tile + (tile - from.first) * from.stride, here - tile};
    lsp_attend_walk(&b->queries, &seen, visit, n, &b->work, to);
    b->visits += n;
  }
}

static const lsp_view *view_of(const block *b) {
  return &b->e->weights.layer[b->layer].view[b->view];
}

/* The keys of the run; returns the lowest. */
static int64_t see_run(block *b) {
  int64_t lowest = b->position + 1;
  for (int i = 0; i < b->queries.rows; i++) {
    const lsp_keys k = lsp_view_run(view_of(b), b->head, b->position + i);
    b->first[i] = k.first - b->position;
    b->end[i] = k.end - b->position;
    lowest = lsp_min(lowest, k.first);
  }
  return lowest;
}

static void walk_run(block *b, lsp_pass pass, const lsp_partial *to) {
  if (view_of(b)->runs == 0)
    return;
  const lsp_piece *piece = b->panel->piece;
  const int64_t stride = b->e->span.layer[b->layer].tile;
  const int64_t lowest = lsp_block_of(see_run(b));
  const int64_t here = b->position / LSP_BLOCK, start = piece->start / LSP_BLOCK;
  if (pass.opens)
    walk(b, (source){lsp_own_tile(b->e, b->layer, piece, start), start, stride},
         lsp_max(lowest, start), here + 1, to);
  if (pass.walks && lowest < start) {
    const lsp_tiles t = lsp_past_round(b->e, b->layer, pass.round);
    const float *tile = lsp_past_tile(b->e, b->layer, pass.round, t.first);
    walk(b, (source){tile, t.first, stride}, lsp_max(lowest, t.first), t.end, to);
  }
  if (pass.closes && lowest < 0)
    walk(b, (source){b->e->weights.layer[b->layer].ghost, 0, 0}, lowest, 0, to);
}

/* The first tiles of the piece's document: its own, and those before it. */
static void walk_fixed(block *b, int64_t tiles, const lsp_partial *to) {
  const lsp_piece *piece = b->panel->piece;
  const int64_t stride = b->e->span.layer[b->layer].tile;
  const int64_t start = piece->start / LSP_BLOCK;
  if (start < tiles)
    walk(b, (source){lsp_own_tile(b->e, b->layer, piece, start), start, stride}, start,
         tiles, to);
  if (start > 0)
    walk(b, (source){lsp_past_fixed(b->e, b->layer), 0, stride}, 0,
         lsp_min(start, tiles), to);
}

/* The keys of the fixed source; returns one past the highest. */
static int64_t see_fixed(block *b) {
  int64_t most = 0;
  for (int i = 0; i < b->queries.rows; i++) {
    const lsp_keys k = lsp_view_fixed(view_of(b), b->head, b->position + i);
    b->first[i] = k.first - b->position;
    b->end[i] = k.end - b->position;
    most = lsp_max(most, k.end);
  }
  return most;
}

/* Fixed keys into a partial result of their own, then merged. */
static void add_fixed(block *b, const lsp_partial *to) {
  const lsp_view *v = view_of(b);
  const int64_t keys = v->fixed != NULL ? see_fixed(b) : 0;
  float top[LSP_BLOCK], sum[LSP_BLOCK];
  if (keys <= 0)
    return;
  const lsp_partial part = {b->scratch + block_floats(b), to->ldo, top, sum};
  if (v->fixed->in_window) {
    const int64_t width = b->queries.heads.width;
    float *turned = b->scratch + 3 * block_floats(b);
    lsp_turn_back(b->e, b->layer, b->position,
                  lsp_window_of(v->run[0], b->head) - 1 + v->fixed->sinks, b->query,
                  b->ld, turned, turned + block_floats(b));
    b->queries.query = turned;
    b->queries.ld_query = width;
    lsp_attend_begin(&b->queries, lsp_scratch_of(b->e), &b->work);
  }
  b->work.strip = -2; /* what the window holds was cut to what the run shows */
  lsp_attend_empty(&b->queries, &part);
  walk_fixed(b, lsp_divide_up(keys, LSP_BLOCK), &part);
  if (v->normalize == LSP_NORMALIZE_NONE)
    b->e->job.kernels.add(block_floats(b), to->out, part.out);
  else
    b->e->job.kernels.softmax_merge(b->queries.rows, to->ldo, to, &part);
}

/* --- views ----------------------------------------------------------------------- */

static void ask(block *b) {
  const lsp_run *e = b->e;
  const lsp_layer *l = &e->weights.model.layer[b->layer];
  const lsp_prepared *made = &e->weights.layer[b->layer];
  const int64_t column = (int64_t)b->head * l->heads.width;
  const int relative = l->position.kind == LSP_POSITION_RELATIVE;
  b->queries = (lsp_queries){
      .kernels = &e->job.kernels,
      .heads = l->heads,
      .head = b->head,
      .normalize = made->view[b->view].normalize,
      .scale = l->scale,
      .cap = l->score_cap,
      .u = relative ? l->position.u + column : e->weights.zeros,
      .v = relative ? l->position.v + column : e->weights.zeros,
      .distances = {made->strips, made->strip_count, l->position.clamp},
      .slope = l->position.kind == LSP_POSITION_ALIBI ? l->position.slope[b->head] : 0,
      .rows = (int)lsp_min(LSP_BLOCK, b->panel->piece->end - b->position),
      .query = b->query,
      .ld_query = b->ld};
}

/* Where the result of a view is kept between passes; in scratch where there is but one. */
static lsp_partial partial_of(const block *b, lsp_pass pass, float top[LSP_BLOCK],
                              float sum[LSP_BLOCK]) {
  const lsp_run *e = b->e;
  const int64_t Ep = lsp_padded(b->queries.heads.width), H = b->queries.heads.query;
  if (pass.opens && pass.closes)
    return (lsp_partial){b->scratch, Ep, top, sum};
  const int64_t blocks = e->span.sizes.span_rows / LSP_BLOCK;
  const int64_t row = b->panel->row + b->position - b->panel->start;
  const int64_t number = (b->view * blocks + row / LSP_BLOCK) * H + b->head;
  float *at = e->span.partials + number * LSP_BLOCK * (Ep + 2);
  return (lsp_partial){at, Ep, at + LSP_BLOCK * Ep, at + LSP_BLOCK * (Ep + 1)};
}

/* The results of all views side by side are one: the first goes where the queries were
 * once all views have read them. */
static void finish(block *b, const lsp_partial *p) {
  const lsp_prepared *made = &b->e->weights.layer[b->layer];
  const int H = b->queries.heads.query, width = b->queries.heads.width;
  const float weight = made->gate != NULL ? made->gate[b->view * H + b->head] : 1.0f;
  float *sum = b->scratch + 2 * block_floats(b);
  if (made->views == 1) {
    lsp_attend_finish(&b->queries, p, weight, 0, b->query, b->ld);
    return;
  }
  lsp_attend_finish(&b->queries, p, weight, b->view > 0, sum, width);
  if (b->view + 1 == made->views)
    for (int i = 0; i < b->queries.rows; i++)
      memcpy(b->query + i * b->ld, sum + (int64_t)i * width,
             (size_t)width * sizeof(float));
}

static void attend_view(block *b, lsp_pass pass) {
  float top[LSP_BLOCK], sum[LSP_BLOCK];
  ask(b);
  float *scratch = lsp_scratch_of(b->e);
  b->scratch = scratch + lsp_attend_scratch(b->queries.heads);
  lsp_attend_begin(&b->queries, scratch, &b->work);
  const lsp_partial p = partial_of(b, pass, top, sum);
  if (pass.opens)
    lsp_attend_empty(&b->queries, &p);
  walk_run(b, pass, &p);
  if (!pass.closes)
    return;
  add_fixed(b, &p);
  finish(b, &p);
}

/* Rows after the last token become zero, so that what follows is finite. Returns the
 * visits. */
static int64_t attend_block(block *b, lsp_pass pass) {
  const int width = b->e->weights.model.layer[b->layer].heads.width;
  const int64_t rows = lsp_min(LSP_BLOCK, b->panel->piece->end - b->position);
  b->visits = 0;
  for (int64_t i = lsp_max(rows, 0); i < LSP_BLOCK; i++)
    memset(b->query + i * b->ld, 0, (size_t)width * sizeof(float));
  if (rows <= 0)
    return 0;
  for (b->view = 0; b->view < b->e->weights.layer[b->layer].views; b->view++)
    attend_view(b, pass);
  return b->visits;
}

void lsp_attend(lsp_run *e, int layer, int64_t first, int64_t end, lsp_pass pass) {
  const double begin = MPI_Wtime();
  const lsp_heads h = e->weights.model.layer[layer].heads;
  const int64_t A = (int64_t)h.query * h.width;
  const lsp_panel *panel = e->span.wave.panel;
  int64_t visits = 0;
#pragma omp parallel for schedule(dynamic) collapse(2) num_threads(e->job.threads)     \
    reduction(+ : visits)
  for (int64_t i = first; i < end; i++)
    for (int head = 0; head < h.query; head++) {
      for (int row = 0; row < panel[i].rows; row += LSP_BLOCK) {
        block b = {.e = e,
                   .layer = layer,
                   .head = head,
                   .panel = &panel[i],
                   .position = panel[i].start + row,
                   .query =
                       e->span.q + (panel[i].row + row) * A + (int64_t)head * h.width,
                   .ld = A};
        visits += attend_block(&b, pass);
      }
      lsp_poll(e);
    }
  e->job.clock.visits += visits;
  e->job.clock.seconds[LSP_PHASE_ATTEND] += MPI_Wtime() - begin;
}
