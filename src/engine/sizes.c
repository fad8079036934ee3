/* Sizes: one place for what is reserved and what is foretold. */
#include "lsp/sizes.h"

#include "engine_internal.h"

#include <math.h>

lsp_status lsp_sizes_apply(lsp_txl_config *c, int64_t mem_len, int64_t segment,
                           lsp_failure *why) {
  const int64_t trained = c->mem_len;
  if (mem_len >= 0)
    c->mem_len = mem_len;
  if (segment > 0)
    c->tgt_len = segment;
  else if (c->tgt_len == 0)
    c->tgt_len = trained > 0 ? trained : 128;
  const double row = 2.0 * sizeof(float) * c->n_layer * c->n_head * c->d_head;
  if (row * (double)(c->mem_len + c->tgt_len) > 0x1p56)
    return lsp_fail(why, LSP_E_LIMIT,
                    "keys and values of %d layers, %d heads of width %d and %lld "
                    "positions (mem_len and segment) take more than 2^56 bytes; give a "
                    "smaller --mem-len or --segment, and check config.json",
                    c->n_layer, c->n_head, c->d_head,
                    (long long)(c->mem_len + c->tgt_len));
  if (!c->same_length || c->mem_len > 0)
    return LSP_OK;
  if (mem_len == 0)
    return lsp_fail(
        why, LSP_E_USAGE,
        "--mem-len 0 with same_length masks every position; use a memory of "
        "at least 1");
  return lsp_fail(why, LSP_E_FORMAT,
                  "config.json: mem_len 0 with same_length masks every position; give "
                  "--mem-len of at least 1");
}

lsp_pattern lsp_sizes_pattern(const lsp_txl_config *c, int virtual_past) {
  return (lsp_pattern){.memory = c->mem_len,
                       .segment = c->tgt_len,
                       .same_length = c->same_length,
                       .virtual_past = virtual_past};
}

int64_t lsp_sizes_strips(const lsp_txl_config *c, const lsp_pattern *pattern) {
  const int64_t all = lsp_divide_up(lsp_pattern_reach(pattern), LSP_BLOCK) + 1;
  return c->clamp_len > 0 ? lsp_min(all, c->clamp_len / LSP_BLOCK + 1) : all;
}

static int64_t padded(int64_t floats) {
  return lsp_divide_up(floats, LSP_LANES) * LSP_LANES;
}

int64_t lsp_sizes_tail(const lsp_txl_config *c, int i) {
  const int64_t width = lsp_txl_width(c, i);
  return padded(lsp_divide_up(c->cut[i + 1] - c->cut[i], LSP_BLOCK) * LSP_BLOCK *
                width);
}

int64_t lsp_sizes_prepared(const lsp_txl_config *c, const lsp_pattern *pattern) {
  const lsp_heads h = lsp_sizes_heads(c);
  const int64_t layer = padded(lsp_strip_floats(h, lsp_sizes_strips(c, pattern))) +
                        padded(lsp_tile_floats(h));
  int64_t floats = c->n_layer * layer;
  for (int i = 1; i < c->clusters; i++)
    floats += lsp_sizes_tail(c, i);
  return floats;
}

/* Scratch of a thread. */
static int64_t scratch_of(const lsp_txl_config *c, const lsp_pattern *pattern) {
  const int64_t A = (int64_t)c->n_head * c->d_head, D = c->d_model;
  const int64_t widest = lsp_max(D, c->d_embed);
  const int64_t project = LSP_PANEL * (3 * A + D);
  const int64_t feed = LSP_PANEL * (D + c->d_inner);
  const int64_t embed = LSP_PANEL * (D + c->d_embed);
  /* two floats hold the address of a tile */
  const int64_t tiles = 2 * (lsp_divide_up(lsp_pattern_reach(pattern), LSP_BLOCK) + 2);
  const int64_t attend = lsp_attend_scratch(lsp_sizes_heads(c)) + tiles;
  const int64_t heads =
      LSP_PANEL * (2 * widest + LSP_HEAD_COLUMNS + D) + LSP_BLOCK * widest;
  return padded(
      lsp_max(lsp_max(lsp_max(project, feed), lsp_max(embed, attend)), heads));
}

/* FLOPs of a token in the midst of a long document. */
static double flops_of(const lsp_txl_config *c, const lsp_pattern *p) {
  const double pairs = (double)(p->memory + (p->same_length ? 0 : p->segment / 2));
  return lsp_txl_flops_per_token(c) + pairs * lsp_txl_flops_per_pair(c) * c->n_layer;
}

/* Bytes of a process before its first wave: the program and its libraries, MPI with a
 * neighbour on the node, HDF5, the BLAS library's work space of each thread, the three
 * units on their way to the output. Measured with Open MPI 4 and OpenBLAS on one host;
 * FILE.run.json has the plan beside the peak. */
static int64_t process_bytes(const lsp_request *request) {
  enum { PROCESS = 26 << 20, THREAD = 1 << 20 };
  return PROCESS + request->threads * THREAD;
}

static int64_t arena_bytes(const int64_t *floats, size_t n) {
  int64_t bytes = 0;
  for (size_t i = 0; i < n; i++)
    bytes += (int64_t)lsp_arena_size(floats[i]);
  return bytes;
}

/* Documents have pieces in a wave: one each, and one more for every border of a span. */
static int64_t pieces_of_wave(const lsp_plan *plan, int64_t wave_rows, int64_t ranks) {
  return lsp_min(plan->documents, wave_rows / LSP_BLOCK + 1) + ranks;
}

static void add_bytes(const lsp_txl_config *c, const lsp_plan *plan,
                      const lsp_request *request, lsp_sizes *s) {
  const int64_t blocks = s->span_rows / LSP_BLOCK;
  const int64_t floats[] = {s->x,      s->q,           s->tiles,
                            s->halo,   s->memory_rows, request->threads * s->scratch,
                            s->tokens, s->tokens,      s->sums,
                            s->shares, c->d_model};
  const int64_t carry[] = {s->carry, s->carry};
  s->buffers = arena_bytes(floats, sizeof floats / sizeof floats[0]);
  s->lists = (blocks + 1) * (int64_t)(sizeof(lsp_piece) + sizeof(lsp_panel));
  s->pieces = pieces_of_wave(plan, s->wave_rows, request->ranks);
  s->root = arena_bytes(carry, 2) +
            s->pieces * (int64_t)(sizeof(lsp_share) + 5 * sizeof(double)) +
            request->ranks * 2 * (int64_t)sizeof(int);
  s->process = process_bytes(request);
  s->node = (int64_t)sizeof(float) *
                (lsp_txl_floats(c) + lsp_sizes_prepared(c, &plan->pattern)) +
            request->tables;
}

lsp_sizes lsp_sizes_of(const lsp_txl_config *c, const lsp_plan *plan,
                       const lsp_request *request, int64_t wave_rows) {
  const lsp_heads h = lsp_sizes_heads(c);
  const int64_t A = (int64_t)c->n_head * c->d_head, tile = lsp_tile_floats(h);
  const int64_t all = lsp_plan_rows_before(plan, lsp_plan_panels(plan));
  const int64_t reach = lsp_pattern_reach(&plan->pattern);
  lsp_sizes s = {.wave_rows = lsp_max(lsp_min(wave_rows, all), LSP_PANEL)};
  const int64_t share = lsp_divide_up(s.wave_rows, request->ranks) + LSP_PANEL;
  s.span_rows =
      lsp_divide_up(lsp_min(share, lsp_max(all, LSP_PANEL)), LSP_BLOCK) * LSP_BLOCK;
  const int64_t blocks = s.span_rows / LSP_BLOCK;
  s.x = s.span_rows * c->d_model;
  s.q = s.span_rows * A;
  s.tiles = blocks * tile;
  s.halo = plan->reach_tiles * tile;
  s.memory_rows = 2 * reach * A;
  s.scratch = scratch_of(c, &plan->pattern);
  s.tokens = s.span_rows + 1;
  s.sums = blocks * (int64_t)(sizeof(uint64_t) / sizeof(float));
  s.shares = blocks * (int64_t)(sizeof(lsp_share) / sizeof(float));
  /* a document taken up in the middle of a panel has tiles of that panel, too */
  s.carry_tiles = plan->reach_tiles + LSP_PANEL / LSP_BLOCK;
  s.carry = c->n_layer * s.carry_tiles * tile;
  add_bytes(c, plan, request, &s);
  return s;
}

/* --- the choice ------------------------------------------------------------------ */

typedef struct {
  const lsp_txl_config *config;
  const lsp_plan *plan;
  const lsp_request *request;
  int64_t all; /* rows of the corpus */
} choice;

/* Waves of `rows` rows a rank, or the whole corpus. */
static lsp_sizes with_rows(const choice *c, int64_t rows) {
  const int64_t ranks = c->request->ranks;
  const int64_t wave = rows >= lsp_divide_up(c->all, ranks) ? c->all : rows * ranks;
  return lsp_sizes_of(c->config, c->plan, c->request, wave);
}

int64_t lsp_sizes_least(const lsp_txl_config *config, const lsp_plan *plan,
                        const lsp_request *request) {
  const choice c = {config, plan, request,
                    lsp_plan_rows_before(plan, lsp_plan_panels(plan))};
  const lsp_sizes s = with_rows(&c, LSP_PANEL);
  return lsp_sizes_rank(&s);
}

static lsp_status too_little(const char *what, int64_t needed, int64_t memory,
                             lsp_failure *why) {
  const double mib = 1 << 20;
  return lsp_fail(why, LSP_E_MEMORY,
                  "--memory %.0fM: %s of this model needs %.1f MiB a rank; give "
                  "--memory %.0fM or more",
                  (double)memory / mib, what, (double)needed / mib,
                  ceil((double)needed / mib));
}

/* What was asked for. Bytes of such waves must be countable before they are counted. */
static lsp_status as_asked(const choice *c, lsp_sizes *out, lsp_failure *why) {
  const int64_t wave = lsp_min(c->request->wave_tokens, c->all);
  const double row =
      4.0 * (double)(c->config->d_model + 4 * c->config->n_head * c->config->d_head);
  if (row * (double)wave / (double)c->request->ranks > 0x1p50)
    return lsp_fail(why, LSP_E_LIMIT,
                    "--wave-tokens %lld would take more than a PiB a rank; use fewer, "
                    "or more ranks",
                    (long long)wave);
  *out = lsp_sizes_of(c->config, c->plan, c->request, wave);
  if (c->request->memory > 0 && lsp_sizes_rank(out) > c->request->memory)
    return too_little("a wave of the --wave-tokens given", lsp_sizes_rank(out),
                      c->request->memory, why);
  return LSP_OK;
}

lsp_status lsp_sizes_choose(const lsp_txl_config *config, const lsp_plan *plan,
                            const lsp_request *request, lsp_sizes *out,
                            lsp_failure *why) {
  const choice c = {config, plan, request,
                    lsp_plan_rows_before(plan, lsp_plan_panels(plan))};
  if (request->wave_tokens > 0)
    return as_asked(&c, out, why);
  const int64_t twice = lsp_max(2 * lsp_pattern_reach(&plan->pattern), LSP_PANEL);
  int64_t memory = request->memory;
  if (memory <= 0) {
    *out = with_rows(&c, twice);
    memory = lsp_max(LSP_MEMORY_DEFAULT, lsp_sizes_rank(out));
  }
  *out = with_rows(&c, LSP_PANEL);
  if (lsp_sizes_rank(out) > memory)
    return too_little("the smallest wave", lsp_sizes_rank(out), memory, why);
  const double thirty = 30 * lsp_nominal_rate * (double)request->threads /
                        flops_of(config, &plan->pattern);
  const int64_t most = lsp_min(memory / (4 * (int64_t)config->d_model),
                               thirty < 1e12 ? (int64_t)thirty : (int64_t)1e12);
  int64_t low = 1, high = lsp_max(lsp_max(most, twice) / LSP_PANEL, 1);
  while (low < high) { /* the most panels that fit */
    const int64_t middle = high - (high - low) / 2;
    const lsp_sizes s = with_rows(&c, middle * LSP_PANEL);
    if (lsp_sizes_rank(&s) <= memory)
      low = middle;
    else
      high = middle - 1;
  }
  *out = with_rows(&c, low * LSP_PANEL);
  return LSP_OK;
}
