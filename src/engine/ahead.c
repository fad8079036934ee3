/* A layer of a two-sided model.
 *
 *   | projected: stage l ....................................... |
 *   | attended to, fed: stage l + 1 ............... | waits: kept |
 *
 * The keys of the span are lent while panels are attended to that need no others; then the
 * borders are, as the rounds of what they look at arrive. */
#include "ahead.h"
#include "globals.h"

/* 1 if a panel of the span looks at no keys but the span's own. */
static int is_interior(const lsp_run *e, const lsp_step *s, int64_t panel) {
  const lsp_range own = e->span.ahead.own;
  const int64_t p = e->span.wave.span.first + panel;
  const lsp_range sight = lsp_step_sight(s, (lsp_range){p, p + 1});
  if (sight.first < own.first || sight.end > own.end)
    return 0;
  if (s->sight.fixed == 0)
    return 1;
  const int64_t f = lsp_plan_frame(s->plan, p);
  const int64_t first = lsp_blocks_of_frame(s->plan, f);
  return first >= own.first && lsp_min(first + lsp_divide_up(s->sight.fixed, LSP_BLOCK),
                                       lsp_blocks_of_frame(s->plan, f + 1)) <= own.end;
}

/* Panels of the span that are attended to without those of others: a run of them. */
static lsp_range interior(const lsp_run *e, int layer, const lsp_step *s) {
  lsp_range r = {0, e->span.wave.panels};
  if (lsp_sizes_global_blocks(&e->weights.model.layer[layer]) > 0)
    return (lsp_range){0, 0}; /* what global rows see comes first */
  while (r.first < r.end && !is_interior(e, s, r.first))
    r.first++;
  while (r.first < r.end && !is_interior(e, s, r.end - 1))
    r.end--;
  return r;
}

static int moves(const lsp_step *s) {
  return s->have.first != s->want.first || s->have.end != s->want.end;
}

/* The span's rows are now those of the next stage; some may still be on their way. */
static void move_on(lsp_run *e, const lsp_step *s) {
  if (!moves(s))
    return;
  float *x = e->span.x, *q = e->span.q;
  e->span.x = e->span.x_next;
  e->span.q = e->span.q_next;
  e->span.x_next = x;
  e->span.q_next = q;
  lsp_wave_of(e, s->want);
}

/* Weights of results belong to rows: they are worked out anew where those have moved. */
static void open_gates(lsp_run *e, int layer, const lsp_step *s, int64_t first,
                       int64_t end) {
  if (moves(s) && e->weights.model.layer[layer].input_gate.rows > 0)
    lsp_open_gates(e, layer, first, end);
}

static void borders(lsp_run *e, int layer, lsp_range inside, lsp_pass pass) {
  lsp_attend(e, layer, 0, inside.first, pass);
  lsp_attend(e, layer, inside.end, e->span.wave.panels, pass);
}

static void layer_rounds(lsp_run *e, int layer, const lsp_step *s, lsp_range inside) {
  const int64_t rounds = lsp_step_rounds_of_all(s);
  for (int64_t round = 0; round < rounds; round++) {
    if (round > 0)
      lsp_ahead_end(e);
    lsp_ahead_see(e, layer, s, round);
    if (round + 1 < rounds)
      lsp_ahead_begin(e, layer, s, round + 1);
    borders(e, layer, inside,
            (lsp_pass){.opens = round == 0,
                       .walks = 1,
                       .closes = round + 1 == rounds,
                       .round = round});
  }
}

void lsp_ahead_layer(lsp_run *e, int layer) {
  const lsp_step s = lsp_ahead_step(e, layer);
  e->span.ahead.own = lsp_step_own(&s, s.rank);
  lsp_project(e, layer, 0, e->span.wave.panels);
  lsp_globals_project(e, layer);
  lsp_ahead_begin(e, layer, &s, 0);
  move_on(e, &s);
  const lsp_range inside = interior(e, layer, &s);
  lsp_ahead_alone(e);
  open_gates(e, layer, &s, inside.first, inside.end);
  lsp_attend(e, layer, inside.first, inside.end, (lsp_pass){.opens = 1, .closes = 1});
  lsp_feed(e, layer, inside.first, inside.end);
  lsp_ahead_end(e);
  lsp_globals_see(e, layer, &s);
  open_gates(e, layer, &s, 0, inside.first);
  open_gates(e, layer, &s, inside.end, e->span.wave.panels);
  layer_rounds(e, layer, &s, inside);
  lsp_ahead_keep(e, layer, &s);
  lsp_feed(e, layer, 0, inside.first);
  lsp_feed(e, layer, inside.end, e->span.wave.panels);
  lsp_ahead_end(e);
}
