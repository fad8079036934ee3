/* Idle steps of models that are wrapped in a memory: counted from the plan as ranks work,
 * and again frame by frame; a table at 1 to 8 ranks beside the ideal. */
#include "harness.h"
#include "random.h"

#include "../../src/engine/wrapped.h"

enum { DOCUMENTS = 12, MOST_FRAMES = 4096, LAYERS = 12, RANKS = 8 };

typedef struct {
  lsp_model model;
  lsp_plan plan;
} scene;

static void open_scene(scene *s, lsp_wrap_kind kind, int64_t documents,
                       const int64_t *tokens) {
  lsp_failure why = {0};
  const int64_t S = 60, m = 4;
  const int through = kind == LSP_WRAP_TOKENS;
  const lsp_framing framing = {.prefix = through ? (int)m : 0,
                               .tokens = S,
                               .stride = S,
                               .suffix = m,
                               .linked = 1,
                               .whole = through ? 2 : 1};
  memset(s, 0, sizeof *s);
  s->model.layers = LAYERS;
  s->model.wrapper = (lsp_wrapper){.kind = kind, .segment = S, .rows = m};
  if (lsp_plan_open(&s->plan, documents, tokens, 0, framing, &why) != LSP_OK)
    fail_msg("%s", why.text);
}

/* The same, frame by frame: one waits for its layer before, for the frame before in its
 * layer, if that is of its document, and for its rank. */
static int64_t played(const scene *s, lsp_range wave, int ranks) {
  static int64_t end[LAYERS][MOST_FRAMES];
  int64_t last = 0;
  for (int r = 0; r < ranks; r++) {
    const lsp_range span = lsp_plan_span(&s->plan, wave, r, ranks);
    int64_t free_at = 0;
    if (span.first == span.end)
      continue;
    const int64_t first = lsp_plan_frame(&s->plan, span.first);
    const int64_t behind = lsp_plan_frame(&s->plan, span.end - 1) + 1;
    const int through = s->model.wrapper.kind == LSP_WRAP_TOKENS;
    for (int64_t i = 0; i < (behind - first) * LAYERS; i++) {
      const int64_t f = first + (through ? i / LAYERS : i % (behind - first));
      const int layer = (int)(through ? i % LAYERS : i / (behind - first));
      const int64_t start = s->plan.panel_start[f];
      if (f == first && span.first > wave.first && lsp_plan_segment(&s->plan, f) > 0)
        free_at = lsp_max(free_at, end[layer][f - 1]);
      assert_true(start >= wave.first);
      end[layer][f] = ++free_at;
      last = lsp_max(last, free_at);
    }
  }
  return last;
}

static void test_steps_are_those_of_frames_in_layers(void **state) {
  (void)state;
  lsp_random random = {5};
  for (int trial = 0; trial < 300; trial++) {
    int64_t tokens[DOCUMENTS];
    const int64_t documents = lsp_random_in(&random, 1, DOCUMENTS);
    scene s;
    for (int64_t d = 0; d < documents; d++)
      tokens[d] = lsp_random_in(&random, 0, 5000);
    open_scene(&s, trial % 2 ? LSP_WRAP_TOKENS : LSP_WRAP_ASSOCIATIVE, documents,
               tokens);
    const int ranks = (int)lsp_random_in(&random, 1, RANKS);
    for (int64_t first = 0; first < lsp_plan_panels(&s.plan);) {
      const lsp_range wave =
          lsp_plan_wave(&s.plan, first, lsp_random_in(&random, 1, 9000));
      const lsp_wave_steps steps = lsp_wrapped_steps(&s.model, &s.plan, wave, ranks);
      assert_int_equal(steps.taken, played(&s, wave, ranks));
      assert_true(steps.taken * ranks >= steps.all);
      first = wave.end;
    }
    lsp_plan_close(&s.plan);
  }
}

/* Steps of a corpus that is one wave. */
static lsp_wave_steps steps_of(lsp_wrap_kind kind, int64_t documents,
                               const int64_t *tokens, int ranks) {
  scene s;
  open_scene(&s, kind, documents, tokens);
  const lsp_range wave = {0, lsp_plan_panels(&s.plan)};
  const lsp_wave_steps steps = lsp_wrapped_steps(&s.model, &s.plan, wave, ranks);
  lsp_plan_close(&s.plan);
  return steps;
}

static double idle(lsp_wave_steps s, int ranks) {
  return 100 * (1 - (double)s.all / (double)(s.taken * ranks));
}

/* A book of 840 segments, or 24 of 35 each, twelve layers. */
static void test_a_wavefront_takes_a_layer_more_a_rank(void **state) {
  (void)state;
  const int64_t one[] = {(int64_t)840 * 60};
  int64_t many[24];
  for (int d = 0; d < 24; d++)
    many[d] = (int64_t)35 * 60;
  print_message(
      "ranks   ideal   associative  idle   tokens, 24 books  idle   one book  "
      "idle\n");
  for (int ranks = 1; ranks <= RANKS; ranks++) {
    const lsp_wave_steps a = steps_of(LSP_WRAP_ASSOCIATIVE, 1, one, ranks);
    const lsp_wave_steps t = steps_of(LSP_WRAP_TOKENS, 24, many, ranks);
    const lsp_wave_steps b = steps_of(LSP_WRAP_TOKENS, 1, one, ranks);
    print_message("%5d  %6d  %12d  %3.0f%%  %17d  %3.0f%%  %9d  %3.0f%%\n", ranks,
                  (int)(a.all / ranks), (int)a.taken, idle(a, ranks), (int)t.taken,
                  idle(t, ranks), (int)b.taken, idle(b, ranks));
    const int64_t longest = lsp_divide_up(840, ranks);
    assert_int_equal(a.all, 840 * LAYERS);
    assert_true(a.taken >= 840 * LAYERS / ranks + (ranks - 1) * (840 / ranks));
    assert_true(a.taken <= longest * (LAYERS + ranks - 1));
    assert_int_equal(t.taken, lsp_divide_up(24, ranks) * 35 * LAYERS);
    assert_int_equal(b.taken, b.all); /* strictly in order */
  }
}

LSP_TESTS(cmocka_unit_test(test_steps_are_those_of_frames_in_layers),
          cmocka_unit_test(test_a_wavefront_takes_a_layer_more_a_rank))
