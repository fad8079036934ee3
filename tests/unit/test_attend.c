/* Block attention against the formula in double precision. */
#include "harness.h"
#include "random.h"

#include "lsp/attend.h"

#include <math.h>

enum { HEADS = 4, B = LSP_BLOCK, CASES = 150, FARTHEST = 1500, SOURCES = 2 };

/* Scores are chains of up to 160 roundings, outputs chains of one rounding a key. What
 * is seen is 1.2e-6 of the largest output where keys differ. Keys that are all alike
 * round the same way again and again, by up to half of 2^-23 each. A cap is off by 1e-6
 * of a score, and scores are below 10. */
static const double tolerance = 2e-6, tolerance_alike = 6e-8, tolerance_cap = 1e-5;

/* What the rows see of a source, relative to the block. */
typedef struct {
  int64_t first[B], end[B];
} source;

/* One block of queries of a random text, all heads; position -1 stands for every
 * position before the text. */
typedef struct {
  lsp_heads heads;
  int head, rows;
  int64_t block, clamp, distances; /* rows of r: distances 0 .. distances - 1 */
  lsp_position_kind kind;
  lsp_normalize normalize;
  float slope, cap, scale;
  source source[SOURCES]; /* disjoint */
  int sources;
  float *query;       /* (64, H E) */
  float *key, *value; /* (1 + positions, G E), row j + 1 for position j */
  float *r;           /* (distances, H E) */
  float *u, *v;       /* (H, E) */
} scene;

/* What a wrong program would do. */
typedef enum {
  RIGHT,
  R_LATE,      /* r of the distance + 1 */
  R_EARLY,     /* r of the distance - 1 */
  WIDER,       /* one key more at the far end */
  NARROWER,    /* one key less */
  U_FOR_V,     /* the biases swapped */
  NOT_CLAMPED, /* distances go on beyond the clamp */
  NOT_CAPPED,
  OTHER_SLOPE, /* of the next head */
  OTHER_GROUP  /* keys and values of head mod G */
} mutant;

static float *some(lsp_random *random, int64_t n, float scale) {
  float *x = malloc((size_t)n * sizeof *x);
  assert_non_null(x);
  lsp_random_floats(random, n, x, scale);
  return x;
}

static float *filled(int64_t n, float with) {
  float *x = malloc((size_t)n * sizeof *x);
  assert_non_null(x);
  for (int64_t i = 0; i < n; i++)
    x[i] = with;
  return x;
}

/* --- scenes ---------------------------------------------------------------------- */

/* A block of a head that sees nothing yet. */
static void open_scene(scene *s, lsp_random *random, lsp_heads heads, int64_t block,
                       int rows, lsp_position_kind kind) {
  memset(s, 0, sizeof *s);
  s->heads = heads;
  s->head = (int)lsp_random_in(random, 0, heads.query - 1);
  s->rows = rows;
  s->block = block;
  s->kind = kind;
  s->scale = 1.0f / sqrtf((float)heads.width);
  s->distances = (block + 1) * B + FARTHEST;
  if (kind == LSP_POSITION_ALIBI)
    s->slope = ldexpf(1, -(int)lsp_random_in(random, 1, 8));
  const int64_t columns = (int64_t)heads.query * heads.width;
  const int64_t shared = (int64_t)heads.shared * heads.width,
                positions = (block + 1) * B;
  const float bias = kind == LSP_POSITION_RELATIVE ? 1 : 0;
  s->query = some(random, B * columns, 1);
  s->key = some(random, (positions + 1) * shared, 1);
  s->value = some(random, (positions + 1) * shared, 1);
  s->r = some(random, kind == LSP_POSITION_RELATIVE ? s->distances * columns : 1, 1);
  s->u = some(random, columns, bias);
  s->v = some(random, columns, bias);
}

static void close_scene(scene *s) {
  free(s->query);
  free(s->key);
  free(s->value);
  free(s->r);
  free(s->u);
  free(s->v);
}

/* What a view shows the scene's rows, as the engine asks it. */
static void see(scene *s, const lsp_view *v) {
  s->sources = v->fixed != NULL ? 2 : 1;
  s->normalize = v->normalize;
  for (int i = 0; i < s->rows; i++) {
    const int64_t position = s->block * B + i;
    const lsp_keys run = lsp_view_run(v, s->head, position);
    const lsp_keys fixed = lsp_view_fixed(v, s->head, position);
    s->source[0].first[i] = run.first - s->block * B;
    s->source[0].end[i] = run.end - s->block * B;
    s->source[1].first[i] = fixed.first - s->block * B;
    s->source[1].end[i] = fixed.end - s->block * B;
  }
}

static void see_pattern(scene *s, const lsp_pattern *p) {
  const int fixed = p->kind == LSP_PATTERN_FIXED;
  const lsp_view v = {.run = {p},
                      .runs = fixed ? 0 : 1,
                      .fixed = fixed ? p : NULL,
                      .normalize = p->normalize};
  see(s, &v);
}

/* The keys of a source from the first that any row sees to the last: [low, high), relative;
 * empty if there are none. */
static void extent(const scene *s, const source *from, int64_t *low, int64_t *high) {
  *low = B;
  *high = INT64_MIN;
  for (int i = 0; i < s->rows; i++)
    if (from->first[i] < from->end[i]) {
      *low = lsp_min(*low, from->first[i]);
      *high = lsp_max(*high, from->end[i]);
    }
}

/* Farthest tile, counted from the block's own. */
static int64_t farthest(const scene *s) {
  int64_t low, high, most = 0;
  for (int k = 0; k < s->sources; k++) {
    extent(s, &s->source[k], &low, &high);
    most = lsp_max(most, low < high ? -lsp_block_of(low) : 0);
  }
  return most;
}

/* --- the formula ----------------------------------------------------------------- */

static double dot(const float *a, const float *bias, const float *b, int n) {
  double sum = 0;
  for (int e = 0; e < n; e++)
    sum += ((double)a[e] + (double)bias[e]) * (double)b[e];
  return sum;
}

static int64_t distance(const scene *s, int64_t t, mutant m) {
  t = m == R_LATE ? t + 1 : m == R_EARLY && t > 0 ? t - 1 : t;
  return s->clamp > 0 && m != NOT_CLAMPED && t > s->clamp ? s->clamp : t;
}

static int64_t shared_column(const scene *s, mutant m) {
  const int group = m == OTHER_GROUP ? s->head % s->heads.shared
                                     : s->head / (s->heads.query / s->heads.shared);
  return (int64_t)group * s->heads.width;
}

/* Score of row i and the key at j, relative to the block. */
static double naive_score(const scene *s, int i, int64_t j, mutant m) {
  const int width = s->heads.width;
  const int64_t ld = (int64_t)s->heads.query * width, column = (int64_t)s->head * width;
  const int64_t row = lsp_max(s->block * B + j, -1) + 1;
  const float *q = s->query + i * ld + column;
  const float *u = (m == U_FOR_V ? s->v : s->u) + column;
  const float *v = (m == U_FOR_V ? s->u : s->v) + column;
  const float *k = s->key + row * s->heads.shared * width + shared_column(s, m);
  double x = dot(q, u, k, width);
  if (s->kind == LSP_POSITION_RELATIVE)
    x += dot(q, v, s->r + distance(s, i - j, m) * ld + column, width);
  x *= (double)s->scale;
  x -= (double)s->slope * (m == OTHER_SLOPE ? 0.5 : 1) * (double)(i - j);
  if (s->cap > 0 && m != NOT_CAPPED)
    x = (double)s->cap * tanh(x / (double)s->cap);
  return x;
}

static lsp_keys naive_keys(const scene *s, int k, int i, mutant m) {
  lsp_keys keys = {s->source[k].first[i], s->source[k].end[i]};
  if (m == WIDER && keys.first > -s->block * B)
    keys.first--;
  if (m == NARROWER && keys.first + 1 < keys.end)
    keys.first++;
  return keys;
}

/* Row i of the block, word by word from the formula; returns the sum of the weights'
 * sizes where they are not normalized, else 1. */
static double naive_row(const scene *s, int i, mutant m, double *out) {
  const int width = s->heads.width, softmax = s->normalize == LSP_NORMALIZE_SOFTMAX;
  double top = -INFINITY, sum = 0, size = 0;
  memset(out, 0, (size_t)width * sizeof *out);
  for (int k = 0; k < s->sources && softmax; k++)
    for (int64_t j = naive_keys(s, k, i, m).first; j < naive_keys(s, k, i, m).end; j++)
      top = fmax(top, naive_score(s, i, j, m));
  for (int k = 0; k < s->sources; k++)
    for (int64_t j = naive_keys(s, k, i, m).first; j < naive_keys(s, k, i, m).end;
         j++) {
      const double x = naive_score(s, i, j, m), p = softmax ? exp(x - top) : x;
      const int64_t row = lsp_max(s->block * B + j, -1) + 1;
      const float *value =
          s->value + row * s->heads.shared * width + shared_column(s, m);
      sum += p;
      size += fabs(p);
      for (int e = 0; e < width; e++)
        out[e] += p * (double)value[e];
    }
  for (int e = 0; e < width && softmax && sum > 0; e++)
    out[e] /= sum;
  return softmax ? 1 : size;
}

/* --- the program ----------------------------------------------------------------- */

/* The tile `back` blocks before the queries' own; what lies outside [low, high) is NaN,
 * which must not leak. */
static float *make_tile(const scene *s, int64_t back, int64_t low, int64_t high) {
  const int64_t ld = (int64_t)s->heads.shared * s->heads.width;
  float *tile = filled(lsp_tile_floats(s->heads), NAN);
  for (int i = 0; i < B; i++) {
    const int64_t j = i - back * B, row = lsp_max(s->block * B + j, -1) + 1;
    if (j >= low && j < high)
      lsp_tile_put(s->heads, tile, i, 1, s->key + row * ld, s->value + row * ld, ld);
  }
  return tile;
}

/* As many strips as are needed and not one more. */
static float *make_strips(const scene *s, int64_t n) {
  const int64_t ld = (int64_t)s->heads.query * s->heads.width;
  float *strips = malloc((size_t)lsp_strip_floats(s->heads, n) * sizeof *strips);
  float *rows = malloc((size_t)(B * ld) * sizeof *rows);
  assert_true(strips != NULL && rows != NULL);
  for (int64_t d = 0; d < n; d++) {
    for (int c = 0; c < B; c++) {
      const int64_t t = distance(s, B * d + B - 1 - c, RIGHT);
      memcpy(rows + c * ld, s->r + lsp_min(t, s->distances - 1) * ld,
             (size_t)ld * sizeof *rows);
    }
    lsp_strip_put(s->heads, rows, strips + lsp_strip_floats(s->heads, d));
  }
  free(rows);
  return strips;
}

/* Walks a source, the nearest tile first; begun anew after every `cut` tiles. */
static void walk(const scene *s, const lsp_queries *q, const source *from, int64_t cut,
                 const lsp_partial *to) {
  const lsp_seen seen = {from->first, from->end};
  lsp_visit visit[64];
  const int64_t part = s->head / (s->heads.query / s->heads.shared) *
                       lsp_tile_head(s->heads); /* its key/value head */
  int64_t low, high, n = 0;
  lsp_attending w;
  extent(s, from, &low, &high);
  for (int64_t t = low < high ? lsp_block_of(high - 1) : -1;
       low < high && t >= lsp_block_of(low); t--, n++) {
    assert_true(n < 64);
    visit[n] = (lsp_visit){.tile = make_tile(s, -t, low, high) + part, .back = -t};
  }
  const int64_t step = cut > 0 ? cut : 64;
  for (int64_t k = 0; k < n; k += step) {
    float *scratch = filled(lsp_attend_scratch(s->heads), NAN);
    lsp_attend_begin(q, scratch, &w);
    lsp_attend_walk(q, &seen, visit + k, lsp_min(step, n - k), &w, to);
    free(scratch);
  }
  for (int64_t k = 0; k < n; k++)
    free((float *)visit[k].tile - part);
}

typedef struct {
  lsp_partial p;
  float top[B], sum[B];
} partial;

static void open_partial(partial *x, const lsp_queries *q) {
  const int64_t padded = lsp_padded(q->heads.width);
  x->p = (lsp_partial){filled(B * padded, NAN), padded, x->top, x->sum};
  lsp_attend_empty(q, &x->p);
}

/* out (64, H E): columns of other heads and rows that do not exist stay. */
static void attend(const scene *s, lsp_isa isa, int64_t cut, float *out) {
  const int64_t ld = (int64_t)s->heads.query * s->heads.width, tiles = farthest(s) + 1;
  const int64_t n = s->clamp > 0 ? lsp_min(s->clamp / B + 1, tiles) : tiles;
  const int64_t column = (int64_t)s->head * s->heads.width;
  const lsp_kernels kernels = lsp_kernels_of(isa);
  float *strips = s->kind == LSP_POSITION_RELATIVE ? make_strips(s, n) : NULL;
  const lsp_queries q = {.kernels = &kernels,
                         .heads = s->heads,
                         .head = s->head,
                         .normalize = s->normalize,
                         .scale = s->scale,
                         .cap = s->cap,
                         .u = s->u + column,
                         .v = s->v + column,
                         .distances = {strips, n, s->clamp},
                         .slope = s->slope,
                         .rows = s->rows,
                         .query = s->query + column,
                         .ld_query = ld};
  partial all, one;
  open_partial(&all, &q);
  for (int k = 0; k < s->sources; k++) {
    open_partial(&one, &q);
    walk(s, &q, &s->source[k], cut, &one.p);
    if (s->normalize == LSP_NORMALIZE_NONE)
      kernels.add(B * one.p.ldo, all.p.out, one.p.out);
    else
      kernels.softmax_merge(s->rows, one.p.ldo, &all.p, &one.p);
    free(one.p.out);
  }
  lsp_attend_finish(&q, &all.p, (lsp_weight){.all = 1}, 0, out + column, ld);
  free(all.p.out);
  free(strips);
}

static float *new_output(const scene *s) {
  return filled((int64_t)B * s->heads.query * s->heads.width, -77);
}

/* Largest difference from the formula (or a mutant of it) over the largest output, or
 * over what a row sums where that is more. */
static double difference(const scene *s, const float *out, mutant m) {
  const int width = s->heads.width;
  double *want = malloc((size_t)width * sizeof *want);
  assert_non_null(want);
  double worst = 0, most = 0;
  for (int i = 0; i < s->rows; i++) {
    const double size = naive_row(s, i, m, want);
    if (s->normalize == LSP_NORMALIZE_NONE)
      most = fmax(most, size);
    for (int e = 0; e < width; e++) {
      const float got = out[((int64_t)i * s->heads.query + s->head) * width + e];
      const double off = fabs((double)got - want[e]);
      worst = off <= worst ? worst : off; /* a NaN is worst */
      most = fmax(most, fabs(want[e]));
    }
  }
  free(want);
  return worst == 0 ? 0 : worst / most;
}

static int untouched_outside(const scene *s, const float *out) {
  const int width = s->heads.width;
  for (int i = 0; i < B; i++)
    for (int head = 0; head < s->heads.query; head++)
      for (int e = 0; e < width; e++)
        if ((i >= s->rows || head != s->head) &&
            out[((int64_t)i * s->heads.query + head) * width + e] != -77)
          return 0;
  return 1;
}

/* Rows that see nothing are zero to the bit. */
static void blind_rows_are_zero(const scene *s, const float *out) {
  for (int i = 0; i < s->rows; i++) {
    int sees = 0;
    for (int k = 0; k < s->sources; k++)
      sees |= s->source[k].first[i] < s->source[k].end[i];
    for (int e = 0; !sees && e < s->heads.width; e++)
      assert_true(out[((int64_t)i * s->heads.query + s->head) * s->heads.width + e] ==
                  0);
  }
}

/* The formula; the same bits in every instruction set and wherever the walk is cut. */
static void check(const scene *s) {
  const size_t bytes = (size_t)(B * s->heads.query * s->heads.width) * sizeof(float);
  static const int64_t cuts[] = {1, 2, 3, 5};
  float *plain = new_output(s);
  attend(s, LSP_ISA_PLAIN, 0, plain);
  const double off = difference(s, plain, RIGHT);
  const double alike = (double)lsp_max(farthest(s) - s->block, 0) * B;
  if (!(off <= (s->cap > 0 ? tolerance_cap : tolerance) + alike * tolerance_alike))
    fail_msg("E %d of %d heads in %d, head %d, block %lld rows %d, kind %d clamp %lld "
             "cap %g normalize %d sources %d: off by %g",
             s->heads.width, s->heads.query, s->heads.shared, s->head,
             (long long)s->block, s->rows, (int)s->kind, (long long)s->clamp,
             (double)s->cap, (int)s->normalize, s->sources, off);
  assert_true(untouched_outside(s, plain));
  blind_rows_are_zero(s, plain);
  for (int isa = LSP_ISA_PLAIN; isa <= (int)lsp_isa_here(); isa++) {
    float *other = new_output(s);
    attend(s, (lsp_isa)isa, cuts[(s->block + isa) % 4], other);
    assert_memory_equal(other, plain, bytes);
    free(other);
  }
  free(plain);
}

/* --- tests ----------------------------------------------------------------------- */

static const int widths[] = {16, 20, 64, 41};

static lsp_heads random_heads(lsp_random *random, int c) {
  const int width = c % 9 == 8 ? (int)lsp_random_in(random, 1, 80) : widths[c % 4];
  return (lsp_heads){HEADS, 1 << (int)lsp_random_in(random, 0, 2), width};
}

static lsp_pattern random_recurrence(lsp_random *random) {
  lsp_pattern p = {.kind = LSP_PATTERN_RECURRENCE,
                   .memory = lsp_random_in(random, 0, 4) == 0
                                 ? lsp_random_in(random, 400, 1000)
                                 : lsp_random_in(random, 0, 300),
                   .segment = lsp_random_in(random, 1, 200),
                   .same_length = (int)lsp_random_in(random, 0, 1),
                   .virtual_past = lsp_random_in(random, 0, 3) == 0};
  if (p.same_length && p.memory == 0)
    p.memory = 1;
  return p;
}

/* Any row of the table of patterns. */
static lsp_pattern random_pattern(lsp_random *random, lsp_pattern_kind kind) {
  lsp_pattern p = random_recurrence(random);
  p.kind = kind;
  p.window = lsp_random_in(random, 1, 400);
  p.sinks = lsp_random_in(random, 1, lsp_random_in(random, 0, 1) ? 9 : 200);
  p.virtual_past = kind == LSP_PATTERN_RECURRENCE && p.virtual_past;
  return p;
}

static lsp_position_kind random_kind(lsp_random *random) {
  static const lsp_position_kind kinds[] = {LSP_POSITION_NONE, LSP_POSITION_ALIBI,
                                            LSP_POSITION_RELATIVE};
  return kinds[lsp_random_in(random, 0, 2)];
}

/* Clamps, and what is not normal. */
static void vary(scene *s, lsp_random *random, int c) {
  s->clamp = c % 2 == 0 ? 0 : lsp_random_in(random, 1, 400);
  s->cap = c % 5 == 0 ? 3 : 0;
}

static void test_block_is_the_formula_for_random_recurrences(void **state) {
  (void)state;
  lsp_random random = {1};
  for (int c = 0; c < CASES; c++) {
    const lsp_pattern p = random_recurrence(&random);
    const int rows = c % 3 == 0 ? (int)lsp_random_in(&random, 1, B) : B;
    scene s;
    open_scene(&s, &random, random_heads(&random, c),
               lsp_random_in(&random, 0, c % 4 == 0 ? 2 : 20), rows,
               LSP_POSITION_RELATIVE);
    s.clamp = c % 2 == 0 ? 0 : lsp_random_in(&random, 1, 400);
    see_pattern(&s, &p);
    check(&s);
    close_scene(&s);
  }
}

static void test_block_is_the_formula_at_the_borders_of_strips(void **state) {
  (void)state;
  lsp_random random = {2};
  static const int64_t memory[] = {1, 2, 63, 64, 65, 127, 128, 129, 320, 384, 448, 513};
  static const int64_t clamp[] = {-1, 1, 63, 64, 65, 127, 128, 383, 2000};
  enum { MEMORIES = sizeof memory / sizeof *memory };
  for (int c = 0; c < 9 * MEMORIES; c++) {
    const lsp_pattern p = {.kind = LSP_PATTERN_RECURRENCE,
                           .memory = memory[c % MEMORIES],
                           .segment = 64 + c % 3 - 1,
                           .same_length = c % 2,
                           .virtual_past = c % 5 == 0};
    scene s;
    open_scene(&s, &random, (lsp_heads){HEADS, HEADS, c % 2 ? 16 : 20},
               c % 4 == 0 ? 0 : 11, c % 3 ? B : B - 1, LSP_POSITION_RELATIVE);
    s.clamp = clamp[c / MEMORIES];
    see_pattern(&s, &p);
    check(&s);
    close_scene(&s);
  }
}

static void test_every_pattern_of_the_table_is_its_dense_softmax(void **state) {
  (void)state;
  lsp_random random = {6};
  /* Those that are one run, or fixed keys; tests/golden holds all to the reference. */
  for (int kind = 0; kind <= LSP_PATTERN_RECURRENCE; kind++)
    for (int c = 0; c < 45; c++) {
      lsp_pattern p = random_pattern(&random, (lsp_pattern_kind)kind);
      p.normalize = c % 7 == 0 ? LSP_NORMALIZE_NONE : LSP_NORMALIZE_SOFTMAX;
      const int rows = c % 3 == 0 ? (int)lsp_random_in(&random, 1, B) : B;
      scene s;
      open_scene(&s, &random, random_heads(&random, c),
                 lsp_random_in(&random, 0, c % 4 == 0 ? 2 : 20), rows,
                 random_kind(&random));
      vary(&s, &random, c);
      see_pattern(&s, &p);
      check(&s);
      close_scene(&s);
    }
}

/* Far from the beginning the fixed source begins with a distance past all strips. */
static void test_run_and_fixed_keys_merged_are_one_softmax(void **state) {
  (void)state;
  lsp_random random = {7};
  for (int c = 0; c < CASES; c++) {
    const lsp_pattern run =
        random_pattern(&random, c % 2 ? LSP_PATTERN_LOCAL : LSP_PATTERN_RECURRENCE);
    const lsp_pattern fixed = random_pattern(&random, LSP_PATTERN_FIXED);
    const lsp_view v = {.run = {&run}, .runs = 1, .fixed = &fixed};
    scene s;
    open_scene(&s, &random, random_heads(&random, c),
               lsp_random_in(&random, 0, c % 4 == 0 ? 5 : 40), B, random_kind(&random));
    vary(&s, &random, c);
    see(&s, &v);
    check(&s);
    close_scene(&s);
  }
}

/* Keys from `from` on, at random; every few rows, or all (every = 1), nothing: an end at or
 * below the beginning, both among the keys that others see. */
static void see_at_random(scene *s, lsp_random *random, int64_t from, int every) {
  source *seen = &s->source[0];
  int64_t low, high;
  s->sources = 1;
  for (int i = 0; i < s->rows; i++) {
    seen->first[i] = seen->end[i] = 0;
    if (lsp_random_in(random, 1, every) == 1)
      continue;
    seen->first[i] = lsp_random_in(random, from, i);
    seen->end[i] = lsp_random_in(random, seen->first[i] + 1, i + 1);
  }
  extent(s, seen, &low, &high);
  for (int i = 0; i < s->rows && low < high; i++)
    if (seen->first[i] == seen->end[i]) {
      seen->first[i] = lsp_random_in(random, low, high);
      seen->end[i] = lsp_random_in(random, low, seen->first[i]);
    }
}

/* Rows that see a part of a tile, or none of it, or nothing at all. */
static void test_rows_see_what_they_are_shown_and_may_see_nothing(void **state) {
  (void)state;
  lsp_random random = {8};
  static const int every[] = {1000, 20, 3, 1};
  for (int c = 0; c < 2 * CASES; c++) {
    const int64_t block = lsp_random_in(&random, 0, 8);
    scene s;
    open_scene(&s, &random, random_heads(&random, c), block, c % 3 ? B : 17,
               random_kind(&random));
    vary(&s, &random, c);
    s.normalize = c % 5 == 1 ? LSP_NORMALIZE_NONE : LSP_NORMALIZE_SOFTMAX;
    see_at_random(&s, &random, lsp_random_in(&random, -block * B, 0), every[c % 4]);
    check(&s);
    close_scene(&s);
  }
}

/* Results weighted and added, as gates and sums of branches want it. */
static void test_finish_weighs_and_adds(void **state) {
  (void)state;
  const lsp_kernels kernels = lsp_kernels_of(lsp_isa_here());
  const lsp_queries q = {.kernels = &kernels, .heads = {2, 1, 20}, .rows = 3};
  partial x;
  float out[B * 40];
  open_partial(&x, &q);
  for (int i = 0; i < 3; i++) {
    x.sum[i] = i == 1 ? 0 : 4; /* row 1 saw nothing */
    for (int e = 0; e < 20; e++)
      x.p.out[i * x.p.ldo + e] = i == 1 ? 0 : (float)(8 * e);
  }
  for (int k = 0; k < B * 40; k++)
    out[k] = 1;
  lsp_attend_finish(&q, &x.p, (lsp_weight){.all = 0.5f}, 1, out + 20, 40);
  for (int i = 0; i < B; i++)
    for (int e = 0; e < 40; e++) {
      const int there = i < 3 && e >= 20 && i != 1;
      assert_true(out[i * 40 + e] == (there ? 1 + (float)(e - 20) : 1));
    }
  free(x.p.out);
}

static void test_block_holds_with_large_scores(void **state) {
  (void)state;
  lsp_random random = {3};
  for (int c = 0; c < 8; c++) {
    const lsp_pattern p = {.kind = LSP_PATTERN_LOCAL, .window = 200};
    scene s;
    open_scene(&s, &random, (lsp_heads){HEADS, HEADS, widths[c % 4]}, 6, B,
               LSP_POSITION_RELATIVE);
    s.clamp = c % 2 ? 100 : 0;
    see_pattern(&s, &p);
    for (int64_t i = 0; i < (int64_t)B * HEADS * s.heads.width; i++)
      s.query[i] *= 500; /* scores of thousands: one key has it all, almost always */
    float *out = new_output(&s);
    attend(&s, lsp_isa_here(), 0, out);
    /* a score of 1e4 is known to 1e4 * 2^-24 = 6e-4, and a few such roundings */
    assert_true(difference(&s, out, RIGHT) < 1e-2);
    free(out);
    close_scene(&s);
  }
}

static void test_a_row_depends_on_no_other_row(void **state) {
  (void)state;
  lsp_random random = {4};
  for (int c = 0; c < 48; c++) {
    const lsp_pattern p = random_recurrence(&random);
    scene s;
    open_scene(&s, &random, random_heads(&random, c), 7, B, random_kind(&random));
    vary(&s, &random, c);
    see_pattern(&s, &p);
    const int64_t ld = (int64_t)HEADS * s.heads.width;
    float *whole = new_output(&s), *alone = new_output(&s);
    attend(&s, lsp_isa_here(), 0, whole);
    /* row `row` last, the others with another past and other contents */
    const int row = (int)lsp_random_in(&random, 0, B - 1);
    s.rows = row + 1;
    for (int i = 0; i < row; i++) {
      int64_t *first = &s.source[0].first[i];
      *first = lsp_min(i, lsp_random_in(&random, -500, B - 1));
      if (!p.virtual_past)
        *first = lsp_max(*first, -s.block * B);
    }
    lsp_random_floats(&random, row * ld, s.query, 3);
    attend(&s, lsp_isa_here(), 0, alone);
    const int64_t at = row * ld + (int64_t)s.head * s.heads.width;
    assert_memory_equal(whole + at, alone + at, (size_t)s.heads.width * sizeof(float));
    free(whole);
    free(alone);
    close_scene(&s);
  }
}

static void would_be_noticed(lsp_random *random, mutant m, lsp_position_kind kind,
                             const lsp_pattern *p) {
  scene s;
  open_scene(&s, random, (lsp_heads){HEADS, 2, 20}, 9, B, kind);
  s.head = 1; /* group 0, and 1 for a wrong program */
  s.clamp = 70;
  s.cap = m == NOT_CAPPED ? 2 : 0;
  see_pattern(&s, p);
  float *out = new_output(&s);
  attend(&s, lsp_isa_here(), 0, out);
  assert_true(difference(&s, out, RIGHT) <= tolerance_cap);
  if (!(difference(&s, out, m) > 1000 * tolerance))
    fail_msg("mutant %d would pass", (int)m);
  free(out);
  close_scene(&s);
}

static void test_wrong_formulas_would_be_noticed(void **state) {
  (void)state;
  lsp_random random = {5};
  for (int same_length = 0; same_length < 2; same_length++) {
    const lsp_pattern p = {.kind = LSP_PATTERN_RECURRENCE,
                           .memory = 150,
                           .segment = 30,
                           .same_length = same_length};
    for (int m = R_LATE; m <= OTHER_GROUP; m++)
      would_be_noticed(&random, (mutant)m,
                       m == OTHER_SLOPE ? LSP_POSITION_ALIBI : LSP_POSITION_RELATIVE,
                       &p);
  }
}

static void test_strip_is_rows_turned(void **state) {
  (void)state;
  const lsp_heads h = {HEADS, 2, 5};
  float rows[B * HEADS * 5], strip[HEADS * 5 * B];
  for (int i = 0; i < B * HEADS * 5; i++)
    rows[i] = (float)i;
  lsp_strip_put(h, rows, strip);
  for (int head = 0; head < HEADS; head++)
    for (int e = 0; e < 5; e++)
      for (int c = 0; c < B; c++)
        assert_int_equal((int)strip[(head * 5 + e) * B + c],
                         (c * HEADS + head) * 5 + e);
}

LSP_TESTS(cmocka_unit_test(test_strip_is_rows_turned),
          cmocka_unit_test(test_block_is_the_formula_for_random_recurrences),
          cmocka_unit_test(test_block_is_the_formula_at_the_borders_of_strips),
          cmocka_unit_test(test_every_pattern_of_the_table_is_its_dense_softmax),
          cmocka_unit_test(test_run_and_fixed_keys_merged_are_one_softmax),
          cmocka_unit_test(test_rows_see_what_they_are_shown_and_may_see_nothing),
          cmocka_unit_test(test_finish_weighs_and_adds),
          cmocka_unit_test(test_block_holds_with_large_scores),
          cmocka_unit_test(test_a_row_depends_on_no_other_row),
          cmocka_unit_test(test_wrong_formulas_would_be_noticed))
