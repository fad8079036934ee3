/* Where pooled rows lie in a span: every row that a rank has or borrows, and every tile of
 * them, has a place of its own within what was reserved; what a piece's queries look at
 * lies in one run; rings hold what is kept. Played over random corpora, models, ranks and
 * waves, rank by rank. */
#include "harness.h"
#include "random.h"

#include "../../src/engine/strata.h"
#include "../../src/engine/strata_memory.h"

enum { CORPORA = 150, DOCUMENTS = 6 };

static const char *const branches[] = {
    "{\"type\": \"levels\", \"window\": 8, \"pool\": 4, \"levels\": 6}",
    "{\"type\": \"levels\", \"window\": 2, \"pool\": 2, \"levels\": 8}",
    "{\"type\": \"levels\", \"window\": 64, \"pool\": 64, \"levels\": 2}",
    "{\"type\": \"compressed\", \"pool\": 2}",
    "{\"type\": \"compressed\", \"pool\": 64, \"reach\": 3}",
    "{\"type\": \"chosen\", \"blocks\": 2, \"reach\": 9}",
    "{\"type\": \"recurrence\", \"segment\": 96, \"memory\": 32}, "
    "{\"type\": \"compressed_past\", \"pool\": 8}",
    "{\"type\": \"recurrence\", \"segment\": 192, \"memory\": 64}, "
    "{\"type\": \"compressed_past\", \"pool\": 64, \"rows\": 3}"};

typedef struct {
  lsp_run run;
  lsp_ctx ctx;
  lsp_layer_sizes layer[1];
  int64_t tokens[DOCUMENTS], wave_rows;
  char *taken; /* (sizes.strata) */
} scene;

static void open_scene(scene *s, lsp_random *random) {
  static const lsp_choices nothing = {.mem_len = -1, .segment = -1, .mem_init = -1};
  lsp_run *e = &s->run;
  lsp_failure why = {0};
  char text[512];
  memset(s, 0, sizeof *s);
  (void)snprintf(text, sizeof text,
                 "{\"model_type\": \"longspan\", \"vocab_size\": 256, "
                 "\"hidden_size\": 24, \"num_hidden_layers\": 1, "
                 "\"num_attention_heads\": 3, \"intermediate_size\": 8, "
                 "\"position\": \"none\", \"layers\": {\"branches\": [%s]}}",
                 branches[lsp_random_in(random, 0, 7)]);
  const int64_t documents = lsp_random_in(random, 1, DOCUMENTS);
  const int64_t first =
      lsp_random_in(random, 0, 1) ? 0 : lsp_random_in(random, 1, 5000);
  for (int64_t d = 0; d < documents; d++)
    s->tokens[d] = lsp_random_in(random, 0, d % 2 == 0 ? 9000 : 400);
  if (lsp_model_describe("dir", text, &nothing, &e->weights.model, &why) != LSP_OK ||
      lsp_plan_open(&e->text.plan, documents, s->tokens, first, (lsp_framing){0},
                    &why) != LSP_OK)
    fail_msg("%s", why.text);
  s->ctx.size = (int)lsp_random_in(random, 1, 7);
  e->job.ctx = &s->ctx;
  e->span.layer = s->layer;
  const lsp_request request = {
      .ranks = s->ctx.size, .threads = 1, .longest = lsp_plan_longest(&e->text.plan)};
  const lsp_sizing z = {&e->weights.model, s->layer, &e->text.plan, &request};
  if (lsp_sizes_layers(&e->weights.model, request.longest, request.ranks, s->layer,
                       &why) != LSP_OK)
    fail_msg("%s", why.text);
  s->wave_rows = lsp_random_in(random, 1, 12000);
  e->span.sizes = lsp_sizes_of(&z, s->wave_rows);
  const size_t blocks = (size_t)(e->span.sizes.span_rows / LSP_BLOCK) + 1;
  e->span.wave.piece = calloc(blocks, sizeof *e->span.wave.piece);
  e->span.wave.panel = calloc(blocks, sizeof *e->span.wave.panel);
  e->span.strata = calloc((size_t)e->span.sizes.strata + 1, sizeof(float));
  e->kept.strata = calloc((size_t)e->span.sizes.strata_rings + 1, sizeof(float));
  s->taken = calloc((size_t)e->span.sizes.strata + 1, 1);
  assert_true(e->span.wave.piece && e->span.wave.panel && e->span.strata &&
              e->kept.strata && s->taken);
}

static void close_scene(scene *s) {
  lsp_wave_lists_free(&s->run.span.wave);
  lsp_plan_close(&s->run.text.plan);
  lsp_model_close(&s->run.weights.model);
  free(s->run.span.strata);
  free(s->run.kept.strata);
  free(s->taken);
}

/* n floats that nobody else has. */
static void take(scene *s, const float *at, int64_t n) {
  const int64_t first = at - s->run.span.strata;
  assert_true(first >= 0 && first + n <= s->run.span.sizes.strata);
  for (int64_t i = first; i < first + n; i++)
    assert_int_equal(s->taken[i]++, 0);
}

static void check_piece(scene *s, int stratum, const lsp_piece *piece) {
  const lsp_run *e = &s->run;
  const lsp_layer_sizes *y = &s->layer[0];
  const int64_t unit = y->stratum[stratum].grain.unit;
  const lsp_stratum_rows r = lsp_strata_rows(e, 0, stratum, piece);
  const lsp_source t = lsp_strata_tiles(e, 0, stratum, piece);
  const int64_t border = lsp_panel_start(piece->panel_end);
  assert_int_equal(r.end, piece->end / unit);
  if (piece == e->span.wave.piece)
    assert_int_equal(r.first,
                     lsp_max(0, piece->start / unit - y->stratum[stratum].reach));
  else
    assert_int_equal(r.first, 0);
  /* A row that is not whole at the end of the text has a place, too, while it is summed. */
  for (int64_t row = r.first; row < border / unit; row++) {
    const float *at = lsp_stratum_row(e, 0, stratum, piece, row);
    assert_true(at == r.row + (row - r.first) * y->pooled);
    take(s, at, y->pooled);
  }
  assert_int_equal(t.stride, y->tile);
  assert_int_equal(t.first, r.first / LSP_BLOCK);
  assert_int_equal(t.end, lsp_divide_up(r.end, LSP_BLOCK));
  for (int64_t tile = t.first; tile < t.end; tile++)
    take(s, t.tile + (tile - t.first) * t.stride, t.stride);
  assert_int_equal((t.tile - e->span.strata) % LSP_LANES, 0);
}

static void check_ring(const scene *s, int stratum) {
  const lsp_run *e = &s->run;
  const lsp_stratum_sizes *z = &s->layer[0].stratum[stratum];
  const lsp_tiles next =
      lsp_grain_past(&e->text.plan, z->grain, e->span.wave.range.end, z->reach);
  const float *last = NULL;
  for (int64_t row = next.first; row < next.end; row++) {
    if (lsp_grain_rank(z->grain, row, s->ctx.size) != s->ctx.rank)
      continue;
    const float *at = lsp_stratum_kept(e, 0, stratum, row);
    assert_true(at >= e->kept.strata &&
                at + s->layer[0].pooled <= e->kept.strata + e->span.sizes.strata_rings);
    assert_true(at != last);
    last = at;
  }
}

static void test_every_row_and_tile_has_a_place_of_its_own(void **state) {
  (void)state;
  static scene s;
  lsp_random random = {11};
  int64_t pieces = 0;
  for (int c = 0; c < CORPORA; c++) {
    open_scene(&s, &random);
    const lsp_wave *w = &s.run.span.wave;
    for (int64_t panel = 0; panel < lsp_plan_panels(&s.run.text.plan);
         panel = w->range.end)
      for (s.ctx.rank = 0; s.ctx.rank < s.ctx.size; s.ctx.rank++) {
        lsp_wave_open(&s.run, panel, s.run.span.sizes.wave_rows);
        memset(s.taken, 0, (size_t)s.run.span.sizes.strata);
        for (int k = 0; k < s.layer[0].strata; k++) {
          for (int64_t i = 0; i < w->pieces; i++, pieces++)
            check_piece(&s, k, &w->piece[i]);
          check_ring(&s, k);
        }
      }
    close_scene(&s);
  }
  assert_true(pieces > 3000); /* there was something to check */
}

LSP_TESTS(cmocka_unit_test(test_every_row_and_tile_has_a_place_of_its_own))
